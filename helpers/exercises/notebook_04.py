"""The exercises of notebook 04, milestone architectures."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from .engine import Exercise, Mistake
from .keras_blocks import close, computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


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
        "You add the padding: the map needs less, not more.": dict(step=lambda n, k, s, p: (n - 1) * s + k + 2 * p),
        "The strides have no effect: a window moves by them.": dict(step=lambda n, k, s, p: n - 1 + k - 2 * p),
        "Between n places there are n − 1 steps: you have n.": dict(step=lambda n, k, s, p: n * s + k - 2 * p),
        "n places need (n − 1)·stride + kernel, not n·stride + kernel − 1.": dict(
            step=lambda n, k, s, p: n * s + k - 1 - 2 * p
        ),
        "The layers are read from the wrong end: begin with the last.": dict(order=1),
    },
    also=[
        ("A single layer:", {"layers": [(5, 2, 0)]}),
        ("With stride 1 and a kernel larger than the image but for its zeros:", {"layers": [(3, 1, 1), (4, 1, 0)]}),
        (
            "Zeros alone would be enough here, but each layer reads and leaves at least one place.",
            {"layers": [(1, 1, 1)]},
        ),
    ],
)


def grouped_cost(side, k, channels, filters, groups, *, shared=lambda groups: groups, size=lambda k: k * k, biases=1):
    weights = size(k) * channels * filters // shared(groups)
    return weights + biases * filters, side * side * weights


def _grouped(rng):
    side, groups, *widths = rng.integers((7, 2, 2, 2), (30, 6, 9, 9)).tolist()
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
        "A slice of a filter has k×k weights, not k.": dict(size=lambda k: k),
        "You count the biases among the multiply-adds: they cost none.": lambda **c: (
            grouped_cost(**c)[0],
            c["side"] ** 2 * grouped_cost(**c)[0],
        ),
        "The map keeps its size: you count the multiply-adds where the whole kernel fits.": lambda **c: (
            grouped_cost(**c)[0],
            grouped_cost(**c | {"side": c["side"] - c["k"] + 1})[1],
        ),
    },
    also=[
        ("One group is an ordinary convolution.", {"side": 7, "k": 3, "channels": 5, "filters": 8, "groups": 1}),
        (
            "As many groups as channels: each filter sees one.",
            {"side": 6, "k": 5, "channels": 7, "filters": 7, "groups": 7},
        ),
    ],
)


def densenet_count(
    blocks, growth, stem, *, layer=lambda c, g: 4 * c * g + 36 * g * g, halve=True, ends=1, biases=False
):
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
    return {"blocks": rng.integers(2, 7, size=int(rng.integers(2, 5))).tolist(), "growth": growth, "stem": stem}


Exercise(
    "densenet_count",
    right=densenet_count,
    draw=_blocks,
    mistakes={
        "The two numbers are in the wrong order: the channels first.": lambda **c: densenet_count(**c)[::-1],
        "This counts biases: these convolutions have none.": dict(biases=True),
        "The 3×3 convolution reads the 4·growth channels that the 1×1 gives, not growth.": dict(
            layer=lambda c, g: 4 * c * g + 9 * g * g
        ),
        "The 3×3 convolution reads what the 1×1 leaves, not all channels so far.": dict(layer=lambda c, g: 13 * c * g),
        "A layer's 1×1 convolution is missing.": dict(layer=lambda c, g: 36 * g * g),
        "The convolution between two blocks leaves all channels: it halves them.": dict(halve=False),
        "There is a convolution after the last block too: it stands between two blocks only.": dict(ends=0),
    },
    also=[("One block has no convolution after it.", {"blocks": [3], "growth": 4, "stem": 9})],
)


def path_lengths(blocks):
    return np.array([math.comb(blocks, length) for length in range(blocks + 1)])


Exercise(
    "path_lengths",
    right=path_lengths,
    draw=lambda rng: {"blocks": int(rng.integers(2, 10))},
    mistakes={
        "The first number is missing: one path goes through no block at all.": lambda blocks: path_lengths(blocks)[1:],
        "The last number is missing: one path goes through all blocks.": lambda blocks: path_lengths(blocks)[:-1],
        "This is the number of all paths: return one number for each length.": lambda blocks: 2**blocks,
        "These are shares of all paths: return how many there are.": lambda blocks: path_lengths(blocks) / 2**blocks,
        "These paths go through at most so many blocks: count those through exactly so many.": lambda blocks: np.cumsum(
            path_lengths(blocks)
        ),
        "This is one block too many.": lambda blocks: path_lengths(blocks + 1),
        "These are the lengths: return how many paths have each.": lambda blocks: np.arange(blocks + 1),
    },
    also=[
        ("One block has two paths.", {"blocks": 1}),
        ("54 blocks have 2^54 paths: count them without going through them.", {"blocks": 54}),
    ],
)


# The exercises in Keras

ROWS, COLUMNS = 7, 6
MOST_DRAWS = 20

PLAN = (  # the convolutions of each inception branch: what a diagnosis calls them, their sizes and numbers of filters
    (("1×1 convolution", 1, "ones"),),
    (("1×1 convolution", 1, "reduce3"), ("3×3 convolution", 3, "threes")),
    (("1×1 convolution", 1, "reduce5"), ("first 3×3 convolution", 3, "fives"), ("second 3×3 convolution", 3, "fives")),
    (("1×1 convolution", 1, "pooled"),),
)


def factorised_inception(answer) -> None:
    import keras

    rng = np.random.default_rng()
    # All different, so that a kernel's shape tells which one it is
    channels, *values = (int(value) for value in rng.permutation(np.arange(3, 13))[:7])
    sizes = dict(zip(("ones", "reduce3", "threes", "reduce5", "fives", "pooled"), values, strict=True))
    model = model_of(
        answer,
        {"x": keras.Input((ROWS, COLUMNS, channels))} | sizes,
        added="Branches with different numbers of channels cannot be added: concatenate them.",
        joined="The branches come out as {} and cannot be joined: padding='same' everywhere keeps the size, and the "
        "pooling needs strides=1, which is its window's size otherwise.",
    )
    convolutions, normalisations, others = parts_of(model)
    if normalisations:
        raise Mistake("There is a normalisation in it: only convolutions, ReLU and pooling are asked for.")
    if others:
        raise Mistake(f"A layer has weights named {others[0]!r}: only Conv2D, ReLU and pooling are asked for.")
    rows = _branches(convolutions, channels, sizes)
    expected = ROWS, COLUMNS, sum(sizes[plan[-1][2]] for plan in PLAN)
    if tuple(model.output.shape[1:]) != expected:
        raise Mistake(
            f"For x of shape {(ROWS, COLUMNS, channels)} the result has shape {tuple(model.output.shape[1:])}, where "
            f"{expected} is asked for: 'same' padding, stride 1, and each branch once."
        )
    # Mostly negative, so that zeros around the map are seen by a pooling
    x = rng.normal(loc=-0.7, size=(4, ROWS, COLUMNS, channels))
    rows = [randomised(row, rng) for row in rows]
    _check_branches(computed(model, x), x, rows)


def _branches(convolutions: Sequence[Mapping], channels: int, sizes: Mapping) -> list[list[Mapping]]:
    """The convolutions of each branch; a `Mistake` unless these are the planned ones."""
    planned = []
    for branch, plan in enumerate(PLAN, start=1):
        reads = channels
        for what, size, name in plan:
            planned.append(((size, size, reads, sizes[name]), f"In branch {branch} the {what}", name))
            reads = sizes[name]
    shapes = [kernel_shape(convolution) for convolution in convolutions]
    if not shapes:
        raise Mistake("There is no convolution in it.")
    asked = [shape for shape, _, _ in planned]
    extra = [shape for index, shape in enumerate(shapes) if shape not in asked or shape in shapes[:index]]
    if (5, 5, sizes["reduce5"], sizes["fives"]) in extra:
        raise Mistake("In branch 3 there is still a 5×5 convolution: put two 3×3 in its place.")
    for shape, label, name in planned:
        if shape in shapes:
            continue
        filters = f"{name}={shape[3]}"
        # What is in its place, if that differs in one respect only
        for other in extra:
            if other[:3] == shape[:3]:
                raise Mistake(f"{label} has {other[3]} filters, where {filters} is asked for.")
        for other in extra:
            if (*other[:2], other[3]) == (*shape[:2], shape[3]):
                source = (
                    f"x has {channels}" if shape[2] == channels else f"{shape[2]} come from the convolution before it"
                )
                raise Mistake(f"{label} reads {other[2]} channels, where {source}: what is it called on?")
            if other[2:] == shape[2:]:
                raise Mistake(f"{label} has a kernel of {other[0]}×{other[1]}.")
        raise Mistake(f"{label} with {filters} filters is missing: does it lead into the result?")
    if extra:
        height, width, reads, filters = extra[0]
        raise Mistake(f"There is a convolution too many, {height}×{width} from {reads} to {filters} channels.")
    in_order = [convolutions[shapes.index(shape)] for shape in asked]
    for convolution, (_, label, _) in zip(in_order, planned, strict=True):
        if "bias" not in convolution:
            raise Mistake(f"{label} has no biases: leave use_bias as it is.")
    rest = iter(in_order)
    return [[next(rest) for _ in plan] for plan in PLAN]


def _check_branches(result: np.ndarray, x: np.ndarray, rows: list[list[Mapping]]) -> None:
    """Raise a `Mistake` unless the result holds the four branches, in their order."""
    all_steps = "CR", "CRCR", "CRCRCR", "PCR"
    right, linear = [], []
    for steps, row in zip(all_steps, rows, strict=True):
        right.append(stepped(steps, x, row))
        linear.append(stepped(steps.replace("R", ""), x, row))
    for order in itertools.permutations(range(4)):
        if close(result, np.concatenate([right[branch] for branch in order], axis=-1)):
            if order == (0, 1, 2, 3):
                return
            shown = ", ".join(str(branch + 1) for branch in order)
            raise Mistake(f"Each branch is right, but they come in the order {shown}.")
    if close(result, np.concatenate(linear, axis=-1)):
        raise Mistake("The ReLU is missing after every convolution: Conv2D has none unless it is told to.")

    parts = np.split(result, np.cumsum([part.shape[-1] for part in right])[:-1], axis=-1)
    branch = next(branch for branch in range(4) if not close(parts[branch], right[branch]))
    pool, wrong = ("P" if branch == 3 else ""), {}
    for relus in itertools.product(("R", ""), repeat=len(rows[branch])):
        missing = " and ".join(what for (what, *_), relu in zip(PLAN[branch], relus, strict=True) if not relu)
        wrong[f"the ReLU is missing after the {missing}."] = pool + "".join(f"C{relu}" for relu in relus)
    if pool:
        wrong |= {
            "the pooling is missing.": "CR",
            "the average is taken: max pooling is asked for.": "ACR",
            "the pooling comes after the convolution: pool first.": "CRP",
            "the pooling sees zeros beyond the map's edge: padding='same' leaves them out.": "ZCR",
        }
    for diagnosis, steps in wrong.items():
        if close(parts[branch], stepped(steps, x, rows[branch])):
            raise Mistake(f"In branch {branch + 1} {diagnosis}")
    raise Mistake(
        f"Branch {branch + 1} has its convolutions, but does not compute what is asked for. Look at its padding, its "
        "activations and what each layer is called on; or two branches stand in each other's place."
    )


Exercise("factorised_inception", judge=factorised_inception, seconds=60)

BLOCKS = {  # diagnosis, none for the right block: its steps, as `stepped` reads them
    "": "NRCNRC+",
    "There is a ReLU after the addition, which lets nothing negative pass: leave it out.": "NRCNRC+R",
    "This is the first version of the block: normalise before each convolution, and do nothing after the addition.": (
        "CNRCN+R"
    ),
    "Normalisation and ReLU come after each convolution: put them before.": "CNRCNR+",
    "The ReLU comes before the normalisation: normalise first.": "RNCRNC+",
    "The skip is missing: x is not added.": "NRCNRC",
    "You add what comes out of the first normalisation and ReLU: add x itself.": "NRsCNRC+",
    "There is no ReLU in it.": "NCNC+",
}


def preactivation_block(answer) -> None:
    import keras

    rng = np.random.default_rng()
    channels = int(rng.integers(3, 9))
    model = model_of(
        answer,
        {"x": keras.Input((ROWS, COLUMNS, channels))},
        added="What you add to x has another shape: padding='same' keeps the map's size, and as many filters as x has "
        "channels (x.shape[-1]) keep their number.",
    )
    convolutions, normalisations, others = parts_of(model)
    shape = tuple(model.output.shape[1:])
    if shape == (ROWS, COLUMNS, 2 * channels):
        raise Mistake("The result has twice as many channels as x: add x, instead of concatenating.")
    if shape != (ROWS, COLUMNS, channels):
        raise Mistake(f"For x of shape {(ROWS, COLUMNS, channels)} the result has shape {shape}: it keeps x's.")
    if others or any("moving_mean" not in normalisation for normalisation in normalisations):
        raise Mistake("A layer is neither a convolution (Conv2D) nor a batch normalisation (BatchNormalization).")
    for height, width, reads, filters in map(kernel_shape, convolutions):
        if (height, width) != (3, 3):
            raise Mistake(f"There is a {height}×{width} convolution: both are 3×3.")
        if (reads, filters) != (channels, channels):
            raise Mistake(
                f"A convolution has {filters} filters and reads {reads} channels: x has {channels}, which both keep."
            )
    if any("bias" in convolution for convolution in convolutions):
        raise Mistake("The convolutions have biases: the text asks for none (use_bias=False).")

    for _ in range(MOST_DRAWS):
        kernels, scales = randomised(convolutions, rng), randomised(normalisations, rng)
        x = 2 * rng.normal(size=(3, ROWS, COLUMNS, channels))
        outcomes = {diagnosis: stepped(steps, x, kernels, scales) for diagnosis, steps in BLOCKS.items()}
        # Again where nothing passes a ReLU, say, and two blocks look the same
        if not any(close(*pair) for pair in itertools.combinations(outcomes.values(), 2) if pair[0].size):
            break
    if is_right(computed(model, x), outcomes.items()):
        return
    for layers, name in ((kernels, "convolution"), (scales, "normalisation")):
        if len(layers) != 2:
            raise Mistake(f"The number of {name}s in it is {len(layers)}, where 2 are asked for.")
    raise Mistake(
        "Two convolutions and two normalisations are there, but the block does not compute what is asked for: "
        "normalisation, ReLU, convolution, the same again, and x is added."
    )


Exercise("preactivation_block", judge=preactivation_block, seconds=60)
