"""The exercises of notebook 04, milestone architectures."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from .engine import Exercise, Mistake
from .keras_blocks import computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


def smallest_input(layers, *, step=lambda n, k, s, p: (n - 1) * s + k - 2 * p, order=-1):
    n = 1
    for k, s, p in layers[::order]:  # back through each layer, which has to leave a place
        n = max(step(n, k, s, p), 1)
    return n


def _layers(rng):
    kernels, strides = rng.integers((3, 2), (8, 4), size=(int(rng.integers(3, 6)), 2)).T
    paddings = rng.integers(0, (kernels + 1) // 2)
    paddings[0] = 1
    return {"layers": list(zip(kernels.tolist(), strides.tolist(), paddings.tolist(), strict=True))}


Exercise(
    "smallest_input",
    right=smallest_input,
    draw=_layers,
    mistakes={
        "The padding has no effect: zeros stand in for 2·padding.": dict(step=lambda n, k, s, p: (n - 1) * s + k),
        "You count the padding on one side only: it goes around.": dict(step=lambda n, k, s, p: (n - 1) * s + k - p),
        "The strides have no effect: a window moves by them.": dict(step=lambda n, k, s, p: n - 1 + k - 2 * p),
        "Between n places there are n − 1 steps: you have n.": dict(step=lambda n, k, s, p: n * s + k - 2 * p),
        "The layers are read from the wrong end: begin with the last.": dict(order=1),
    },
    also=[("Zeros alone would be enough, but each layer reads and leaves a place.", {"layers": [(1, 1, 1)]})],
)


def grouped_cost(side, k, channels, filters, groups, *, shared=lambda groups: groups, biases=1, paid=0, lost=0):
    weights = k * k * channels * filters // shared(groups)
    return weights + biases * filters, (side - lost * (k - 1)) ** 2 * (weights + paid * filters)


def _grouped(rng):
    side, groups, *widths = rng.integers((7, 1, 2, 2), (30, 6, 9, 9)).tolist()
    channels, filters = (groups * width for width in widths)
    k = int(rng.choice([3, 5, 7]))
    return {"side": side, "k": k, "channels": channels, "filters": filters, "groups": groups}


Exercise(
    "grouped_cost",
    right=grouped_cost,
    draw=_grouped,
    mistakes={
        "The two numbers are in the wrong order: the parameters first.": lambda **c: grouped_cost(**c)[::-1],
        "The groups have no effect: a filter sees its part of the channels.": dict(shared=lambda groups: 1),
        "These are the numbers of one group only: there are several.": dict(shared=lambda groups: groups**2),
        "The biases are missing in the parameters: one for each filter.": dict(biases=0),
        "You count the biases among the multiply-adds: they cost none.": dict(paid=1),
        "The map keeps its size: you count the multiply-adds where the whole kernel fits.": dict(lost=1),
    },
)


def densenet_count(blocks, growth, stem, *, layer=lambda c, g: 4 * c * g + 36 * g * g, halve=True, ends=1, biases=0):
    channels, weights = stem, 0
    for place, layers in enumerate(blocks):
        for _ in range(layers):
            weights += layer(channels, growth) + 5 * growth * biases
            channels += growth
        if place < len(blocks) - ends:
            after = channels // 2 if halve else channels
            weights, channels = weights + channels * after + after * biases, after
    return channels, weights


def _blocks(rng):
    growth, stem = rng.integers((3, 5), (20, 40)).tolist()
    return {"blocks": rng.integers(2, 7, size=int(rng.integers(1, 5))).tolist(), "growth": growth, "stem": stem}


Exercise(
    "densenet_count",
    right=densenet_count,
    draw=_blocks,
    mistakes={
        "The two numbers are in the wrong order: the channels first.": lambda **c: densenet_count(**c)[::-1],
        "This counts biases: these convolutions have none.": dict(biases=1),
        "The 3×3 convolution reads 4·growth channels, not growth.": dict(layer=lambda c, g: 4 * c * g + 9 * g * g),
        "The 3×3 convolution reads what the 1×1 leaves, not all channels so far.": dict(layer=lambda c, g: 13 * c * g),
        "The convolution between two blocks leaves all channels: it halves them.": dict(halve=False),
        "There is a convolution after the last block too: it stands between two blocks only.": dict(ends=0),
    },
)


def path_lengths(blocks):
    return np.array([math.comb(blocks, length) for length in range(blocks + 1)])


Exercise(
    "path_lengths",
    right=path_lengths,
    draw=lambda rng: {"blocks": int(rng.integers(1, 10))},
    mistakes={
        "The first number is missing: one path goes through no block at all.": lambda blocks: path_lengths(blocks)[1:],
        "The last number is missing: one path goes through all blocks.": lambda blocks: path_lengths(blocks)[:-1],
        "This is the number of all paths: return one number for each length.": lambda blocks: 2**blocks,
        "These are shares of all paths: return how many there are.": lambda blocks: path_lengths(blocks) / 2**blocks,
    },
    also=[
        ("One block has two paths.", {"blocks": 1}),
        ("54 blocks have 2^54 paths: count them without going through them.", {"blocks": 54}),
    ],
)


# The exercises in Keras

ROWS, COLUMNS = 7, 6
BRANCHES = ("CR", "CRCR", "CRCRCR", "PCR")  # each branch's steps, as `stepped` reads them
INCEPTIONS = {
    "The ReLU is missing after every convolution: Conv2D has none unless it is told to.": ("C", "CC", "CCC", "PC"),
    "There is no ReLU between the convolutions of a branch: one follows each.": ("CR", "CCR", "CCCR", "PCR"),
    "In branch 4 the average is taken: max pooling is asked for.": (*BRANCHES[:3], "ACR"),
    "In branch 4 the pooling is missing.": (*BRANCHES[:3], "CR"),
    "In branch 4 the pooling comes after the convolution: pool first.": (*BRANCHES[:3], "CRP"),
}


def factorised_inception(answer) -> None:
    import keras

    rng = np.random.default_rng()
    # All different, so that a kernel's shape tells which one it is
    names = ("ones", "reduce3", "threes", "reduce5", "fives", "pooled")
    channels, *sizes = rng.permutation(np.arange(3, 13))[:7].tolist()
    ones, reduce3, threes, reduce5, fives, pooled = sizes
    model = model_of(
        answer,
        {"x": keras.Input((ROWS, COLUMNS, channels))} | dict(zip(names, sizes, strict=True)),
        added="Branches with different numbers of channels cannot be added: concatenate them.",
        joined="The branches come out as {} and cannot be joined: padding='same' everywhere keeps the size, and the "
        "pooling needs strides=1, which is its window's size otherwise.",
    )
    planned = {
        "In branch 1 the 1×1 convolution": (1, 1, channels, ones),
        "In branch 2 the 1×1 convolution": (1, 1, channels, reduce3),
        "In branch 2 the 3×3 convolution": (3, 3, reduce3, threes),
        "In branch 3 the 1×1 convolution": (1, 1, channels, reduce5),
        "In branch 3 the first 3×3 convolution": (3, 3, reduce5, fives),
        "In branch 3 the second 3×3 convolution": (3, 3, fives, fives),
        "In branch 4 the 1×1 convolution": (1, 1, channels, pooled),
    }
    shape, asked = tuple(model.output.shape[1:]), (ROWS, COLUMNS, ones + threes + fives + pooled)
    kernels = _planned_kernels(model, planned)
    if shape != asked:
        raise Mistake(f"The result has shape {shape}, where {asked} is asked for: is each branch there once?")
    kernels = randomised(kernels, rng)
    # Mostly negative, so that a ReLU before a pooling would be seen
    x = rng.normal(loc=-0.7, size=(4, ROWS, COLUMNS, channels))
    if not is_right(computed(model, x), _inceptions(x, [kernels[:1], kernels[1:3], kernels[3:6], kernels[6:]])):
        raise Mistake(
            "All convolutions are there, but the block does not compute what is asked for: look at the pooling, the "
            "activations and what each layer is called on."
        )


def _planned_kernels(model, planned: dict[str, tuple]) -> list[dict]:
    """The convolutions in the order of the plan; a `Mistake` unless these are all."""
    convolutions, normalisations, others = parts_of(model)
    if normalisations or others:
        raise Mistake("A layer has other weights than a convolution's: only Conv2D, ReLU and pooling are asked for.")
    by_shape = {kernel_shape(convolution): convolution for convolution in convolutions}
    extra = by_shape.keys() - planned.values()
    for what, shape in planned.items():
        # In its place is what has most in common with it
        nearest = max(extra, key=lambda other: sum(map(np.equal, other, shape)), default=None)
        if shape not in by_shape:
            found = f"has a kernel of shape {nearest}" if nearest else "is missing"
            raise Mistake(f"{what} {found}, where {shape} is asked for: height, width, channels it reads, filters.")
    if len(convolutions) > len(planned):
        raise Mistake(f"There are {len(convolutions)} convolutions in it, where {len(planned)} are asked for.")
    if not all("bias" in convolution for convolution in convolutions):
        raise Mistake("A convolution has no biases: leave use_bias as it is.")
    return [by_shape[shape] for shape in planned.values()]


def _inceptions(x: np.ndarray, kernels: Sequence) -> Iterator[tuple[str, np.ndarray]]:
    """What comes out with its diagnosis, none for what is asked for."""
    right = list(map(stepped, BRANCHES, [x] * 4, kernels))
    for order in itertools.permutations(range(4)):
        text = f"Each branch is right, but they come in the order {', '.join(str(i + 1) for i in order)}."
        yield "" if order == (0, 1, 2, 3) else text, np.concatenate([right[i] for i in order], axis=-1)
    for text, steps in INCEPTIONS.items():
        yield text, np.concatenate(list(map(stepped, steps, [x] * 4, kernels)), axis=-1)


Exercise("factorised_inception", judge=factorised_inception, seconds=60)

BLOCKS = {  # diagnosis, none for the right block: its steps, as `stepped` reads them
    "": "NRCNRC+",
    "There is a ReLU after the addition, which lets nothing negative pass: leave it out.": "NRCNRC+R",
    "This is the first version: normalise before each convolution, and do nothing after the addition.": "CNRCN+R",
    "Normalisation and ReLU come after each convolution: put them before.": "CNRCNR+",
    "The ReLU comes before the normalisation: normalise first.": "RNCRNC+",
    "The skip is missing: x is not added.": "NRCNRC",
    "There is no ReLU in it.": "NCNC+",
}


def preactivation_block(answer) -> None:
    import keras

    rng = np.random.default_rng()
    channels = int(rng.integers(8, 13))  # so many that each ReLU lets something pass
    model = model_of(
        answer,
        {"x": keras.Input((ROWS, COLUMNS, channels))},
        added="What you add to x has another shape: padding='same' keeps the map's size, and as many filters as x has "
        "channels (x.shape[-1]) keep their number.",
    )
    convolutions, normalisations, others = parts_of(model)
    if len(convolutions) != 2 or sum("moving_mean" in part for part in normalisations) != 2 or others:
        raise Mistake("Two convolutions and two batch normalisations are asked for, and no other layer with weights.")
    for shape in map(kernel_shape, convolutions):
        if shape != (3, 3, channels, channels):
            raise Mistake(f"A kernel has shape {shape}, where {(3, 3, channels, channels)} is asked for.")
    if any("bias" in convolution for convolution in convolutions):
        raise Mistake("The convolutions have biases: the text asks for none (use_bias=False).")
    kernels, scales = randomised(convolutions, rng), randomised(normalisations, rng)
    x = 2 * rng.normal(size=(3, ROWS, COLUMNS, channels))
    outcomes = ((text, stepped(steps, x, kernels, scales)) for text, steps in BLOCKS.items())
    if not is_right(computed(model, x), outcomes):
        raise Mistake("It computes something else: normalisation, ReLU, convolution, the same again, and x is added.")


Exercise("preactivation_block", judge=preactivation_block, seconds=60)
