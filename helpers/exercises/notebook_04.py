"""The exercises of notebook 04, milestone architectures: each checker is named like its exercise."""

import itertools
import math
import time
import timeit
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from .engine import Mistake, call, exercise, in_either, judge, numbers
from .keras_blocks import close, computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


@exercise
def smallest_input(answer) -> None:
    rng = np.random.default_rng()
    alexnet = [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 0)]
    lists = [[(3, 2, 1)], [(5, 1, 0), (2, 2, 0)], [(4, 3, 1), (3, 1, 0)], alexnet]
    for _ in range(20):
        kernels, strides = rng.integers((3, 1), (8, 4), size=(int(rng.integers(3, 6)), 2)).T
        paddings = rng.integers(0, (kernels + 1) // 2)
        lists.append(list(zip(kernels.tolist(), strides.tolist(), paddings.tolist(), strict=True)))

    def back(layers, step=lambda n, k, s, p: (n - 1) * s + k - 2 * p, least=1, last=1):
        """The side of the image, from that after the last layer; `step` goes back through one layer."""
        n = last
        for layer in reversed(layers):
            n = max(step(n, *layer), least)
        return n

    def outcomes(layers):
        right = back(layers)
        return {
            "": right,
            "The padding has no effect: zeros stand in for 2·padding.": (
                back(layers, lambda n, k, s, p: (n - 1) * s + k)
            ),
            "You count the padding on one side only: it goes around.": (
                back(layers, lambda n, k, s, p: (n - 1) * s + k - p)
            ),
            "You add the padding: the map needs less, not more.": (
                back(layers, lambda n, k, s, p: (n - 1) * s + k + 2 * p)
            ),
            "The strides have no effect: a window moves by them.": back(layers, lambda n, k, s, p: n - 1 + k - 2 * p),
            "Between n places there are n − 1 steps: you have n.": back(layers, lambda n, k, s, p: n * s + k - 2 * p),
            "n places need (n − 1)·stride + kernel, not n·stride + kernel − 1.": (
                back(layers, lambda n, k, s, p: n * s + k - 1 - 2 * p)
            ),
            "Each triple is (kernel, stride, padding), in this order.": (
                back(layers, lambda n, s, k, p: (n - 1) * s + k - 2 * p)
            ),
            "The layers are read from the wrong end: begin with the last.": back(layers[::-1]),
            "You use only the first layer.": back(layers[:1]),
            "You use only the last layer.": back(layers[-1:]),
            "This is the product of the strides: the kernels are missing.": math.prod(s for _, s, _ in layers),
            "You begin with no place after the last layer: one is left.": back(layers, last=0, least=-math.inf),
            "One too few: of an image of this side, nothing is left.": right - 1,
            "One too many: an image with a side one shorter is enough.": right + 1,
            "This is the area: return the side.": right**2,
        }

    judge(answer, outcomes, [{"layers": layers} for layers in lists])

    def with_many_zeros(layers):
        unlimited = back(layers, least=-math.inf)
        return {
            "": back(layers),
            "For [(1, 1, 1)] zeros alone would be enough, but an image has at least one pixel.": unlimited,
            "In the middle a layer leaves no place, and nothing to put zeros around: each has to leave one.": (
                max(unlimited, 1)
            ),
        }

    # More zeros than a kernel needs
    lists = [(1, 1, 1)], [(3, 2, 0), (2, 1, 2)], [(5, 1, 0), (3, 2, 2), (1, 1, 1)]
    judge(answer, with_many_zeros, [{"layers": layers} for layers in lists])


@exercise
def grouped_cost(answer) -> None:
    rng = np.random.default_rng()
    # Two groups, then one group, one for each channel, and any
    cases = [
        {"side": 9, "k": 3, "channels": 4, "filters": 6, "groups": 2},
        {"side": 7, "k": 3, "channels": 5, "filters": 8, "groups": 1},
        {"side": 6, "k": 5, "channels": 7, "filters": 7, "groups": 7},
    ]
    for _ in range(10):
        side, groups, *widths = (int(value) for value in rng.integers((7, 2, 2, 2), (30, 6, 9, 9)))
        channels, filters = (groups * width for width in widths)
        sizes = {"side": side, "k": int(rng.choice([3, 5, 7])), "channels": channels, "filters": filters}
        cases.append(sizes | {"groups": groups})

    def outcomes(side, k, channels, filters, groups):
        weights = k**2 * channels * filters // groups
        right = parameters, products = weights + filters, side**2 * weights
        wrong_parameters = {
            "The groups have no effect on the parameters: a filter sees its part of the channels.": (
                weights * groups + filters
            ),
            "The parameters are those of one group only.": weights / groups + filters,
            "The parameters are those of one group only, biases too.": parameters / groups,
            "The parameters grow with the groups: they have to fall.": weights * groups**2 + filters,
            "The biases are missing in the parameters: one for each filter.": weights,
            "You divide the biases by the groups: each filter has one.": weights + filters / groups,
            "You multiply the biases by the groups: each filter has one.": weights + filters * groups,
            "There is one bias for each filter, not one in all.": weights + 1,
            "There is one bias for each filter, not for each group.": weights + groups,
            "In the parameters a slice of a filter has k×k weights, not k.": weights // k + filters,
        }
        wrong_products = {
            "The groups have no effect on the multiply-adds: a filter reads its part of the channels.": (
                products * groups
            ),
            "The multiply-adds are those of one group only.": products / groups,
            "The multiply-adds grow with the groups: they have to fall.": products * groups**2,
            "You count the biases among the multiply-adds: they cost none.": side**2 * parameters,
            "You count each multiply-add twice: a product and its addition are one.": 2 * products,
            "The multiply-adds are those of a single place: there are side×side.": weights,
            "The multiply-adds are those of a single row: there are side×side places.": side * weights,
            "The map keeps its size: you count the multiply-adds where the whole kernel fits.": (
                (side - k + 1) ** 2 * weights
            ),
            "In the multiply-adds a slice of a filter has k×k weights, not k.": products // k,
            "The multiply-adds are those of one filter only.": products // filters,
        }
        said = "The parameters are right.", "The multiply-adds are right."
        return {
            "": right,
            "The two numbers are in the wrong order: the parameters first, then the multiply-adds.": right[::-1],
            "This is the sum of both: return the two numbers.": sum(right),
        } | in_either(right, wrong_parameters, wrong_products, said)

    judge(answer, outcomes, cases)


@exercise
def densenet_count(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"blocks": [2, 3, 2], "growth": 4, "stem": 9}, {"blocks": [3, 2], "growth": 5, "stem": 8}]
    for _ in range(8):
        growth, stem = (int(value) for value in rng.integers((3, 5), (20, 40)))
        blocks = rng.integers(2, 7, size=int(rng.integers(2, 5))).tolist()
        cases.append({"blocks": blocks, "growth": growth, "stem": stem})

    def outcomes(blocks, growth, stem):
        g = growth

        def count(
            layer=lambda c, given: 4 * c * g + 36 * g * g,
            between=lambda c, half: c * half,
            half=lambda c: c // 2,
            stem=stem,
            last=False,
        ):
            """Channels and weights; a layer that sees c channels, in a block given so many, has `layer(c, given)`."""
            channels, weights = stem, 0
            for place, layers in enumerate(blocks):
                given = channels
                for _ in range(layers):
                    weights += layer(channels, given)
                    channels += growth
                if last or place < len(blocks) - 1:
                    weights += between(channels, half(channels))
                    channels = half(channels)
            return channels, weights

        right = count()
        wrong_layers = {
            "A layer's 1×1 convolution is missing.": lambda c, given: 36 * g * g,
            "A layer's 3×3 convolution is missing.": lambda c, given: 4 * c * g,
            "The 3×3 convolution reads what the 1×1 leaves, not all channels so far.": lambda c, given: (4 + 9) * c * g,
            "The 1×1 convolution is missing, and the 3×3 reads all channels so far.": lambda c, given: 9 * c * g,
            "The 1×1 convolution gives 4·growth channels, not growth.": lambda c, given: c * g + 9 * g * g,
            "The 3×3 convolution gives growth channels, not 4·growth.": lambda c, given: 4 * c * g + 144 * g * g,
            "The 3×3 convolution has 9 weights in a slice, not 3.": lambda c, given: 4 * c * g + 12 * g * g,
            "The 3×3 convolution has 9 weights in a slice, not 1.": lambda c, given: 4 * c * g + 4 * g * g,
            "A layer sees all channels so far, not only what the block was given.": (
                lambda c, given: 4 * given * g + 36 * g * g
            ),
            "A layer sees all channels so far, not only those of the layer before it.": (
                lambda c, given: 4 * (c if c == given else g) * g + 36 * g * g
            ),
            "A layer does not see the channels that it makes itself: add growth after counting it.": (
                lambda c, given: 4 * (c + g) * g + 36 * g * g
            ),
        }
        wrong_betweens = {
            "The convolutions between the blocks are missing.": lambda c, half: 0,
            "Between two blocks half of the channels come out: you count all.": lambda c, half: c * c,
            "Between two blocks all channels are read: count before you halve.": lambda c, half: half**2,
            "The convolution between two blocks is 1×1, not 3×3.": lambda c, half: 9 * c * half,
        }
        wrong_weights = (
            {text: count(layer) for text, layer in wrong_layers.items()}
            | {text: count(between=between) for text, between in wrong_betweens.items()}
            | {
                "This counts biases: these convolutions have none.": count(
                    lambda c, given: 4 * (c + 1) * g + (36 * g + 1) * g, lambda c, half: (c + 1) * half
                ),
                "The convolution that makes the stem's channels is not counted here.": (0, right[1] + 147 * stem),
            }
        )
        return {
            "": right,
            "The two numbers are in the wrong order: the channels first, then the weights.": right[::-1],
            "The channels are never halved: between two blocks a 1×1 convolution does that.": (
                count(half=lambda c: c, between=lambda c, half: 0)
            ),
            "The convolution between two blocks leaves all channels: it halves them.": count(half=lambda c: c),
            "There is a convolution after the last block too: it stands between two blocks only.": count(last=True),
            "Half of 9 channels are 4, not 4.5: divide with //.": count(half=lambda c: c / 2),
            "Half of 9 channels are 4: you round up.": count(half=lambda c: -(-c // 2)),
            "The stem has no effect: the first block gets that many channels.": count(stem=0),
        } | {f"The channels are right. {text}": (right[0], wrong) for text, (_, wrong) in wrong_weights.items()}

    judge(answer, outcomes, cases)


def _paths(blocks: int) -> np.ndarray:
    return np.array([math.comb(blocks, k) for k in range(blocks + 1)])


@exercise
def path_lengths(answer) -> None:
    def outcomes(blocks):
        right, lengths = _paths(blocks), np.arange(blocks + 1)
        return {
            "": right,
            "The last number is missing: one path goes through all blocks.": right[:-1],
            "The first number is missing: one path goes through no block at all.": right[1:],
            "The first and the last number are missing: no block, and all blocks.": right[1:-1],
            "This is the number of all paths: return one number for each length.": right.sum(),
            "These are shares of all paths: return how many there are.": right / right.sum(),
            "These paths go through at most so many blocks: count those through exactly so many.": np.cumsum(right),
            "You count a path once for each block that it goes through: count it once.": lengths * right,
            "You count orders of the blocks: a signal can go through them in one only.": (
                right * [math.factorial(k) for k in lengths.tolist()]
            ),
            "You double at each step: count in how many ways k of all blocks can be chosen.": 2.0**lengths,
            "Here one path has each length: one through a single block can take any of them.": np.ones(blocks + 1),
            "These are the lengths: return how many paths have each.": lengths,
            "This is one block too many.": _paths(blocks + 1),
            "This is one block too few.": _paths(blocks - 1),
        }

    rng = np.random.default_rng()
    numbers_of_blocks = 1, 2, 3, *rng.integers(4, 10, size=3).tolist()
    judge(answer, outcomes, [{"blocks": blocks} for blocks in numbers_of_blocks])
    # An answer that goes through all paths one by one is to be found before 54 blocks take it for ever
    for blocks in (12, 16, 19, 22):
        once = partial(call, answer, {"blocks": blocks})
        # The first time may include what is done only once, such as an import
        taken = min(timeit.repeat(once, timer=time.thread_time, repeat=2, number=1))
        if taken > 0.05:
            raise Mistake(
                f"{blocks} blocks take {taken:.2g} s: does each further block double the work? 54 blocks have 2^54 "
                "paths, so count them without going through them."
            )
    for blocks in (int(rng.integers(30, 54)), 54):
        _check_exact(answer, blocks)


def _check_exact(answer, blocks: int) -> None:
    """Raise a `Mistake` unless these are the very numbers, which floats and int64 need not hold."""
    case = {"blocks": blocks}
    result, expected = call(answer, case), _paths(blocks)
    array = numbers(result)
    if array is None or array.shape != expected.shape:
        judge(answer, lambda blocks: {"": expected}, [case])
        return
    for place, (value, exact) in enumerate(zip(result, expected.tolist(), strict=True)):
        if value == exact:
            continue
        given = f"For blocks={blocks}, {place} of them, you have {value}, where {exact:,} is asked for"
        if abs(value - exact) < 1e-6 * exact:
            raise Mistake(f"{given}: a float is rounded. Stay with whole numbers, with // or math.comb.")
        raise Mistake(f"{given}: does a whole number of NumPy overflow? Python's own do not.")


# The exercises in Keras

ROWS, COLUMNS = 7, 6
MOST_DRAWS = 20

PLAN = (  # the convolutions of each inception branch: what a diagnosis calls them, their sizes and numbers of filters
    (("1×1 convolution", 1, "ones"),),
    (("1×1 convolution", 1, "reduce3"), ("3×3 convolution", 3, "threes")),
    (("1×1 convolution", 1, "reduce5"), ("first 3×3 convolution", 3, "fives"), ("second 3×3 convolution", 3, "fives")),
    (("1×1 convolution", 1, "pooled"),),
)


@exercise
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


BLOCKS = {  # diagnosis, none for the right block: its steps, as `stepped` reads them
    "": "NRCNRC+",
    "There is a ReLU after the addition, which lets nothing negative pass: leave it out.": "NRCNRC+R",
    "This is the order of the first version, and no ReLU after the addition: normalise before each convolution.": (
        "CNRCN+"
    ),
    "This is the first version of the block: normalise before each convolution, and do nothing after the addition.": (
        "CNRCN+R"
    ),
    "Normalisation and ReLU come after each convolution: put them before.": "CNRCNR+",
    "The ReLU comes before the normalisation, both times: normalise first.": "RNCRNC+",
    "The ReLU comes before the first normalisation: normalise first.": "RNCNRC+",
    "The ReLU comes before the second normalisation: normalise first.": "NRCRNC+",
    "The skip is missing: x is not added.": "NRCNRC",
    "You add what comes out of the first normalisation and ReLU: add x itself.": "NRsCNRC+",
    "You add what comes out of the first normalisation: add x itself.": "NsRCNRC+",
    "There is no ReLU in it.": "NCNC+",
    "The first ReLU is missing.": "NCNRC+",
    "The second ReLU is missing.": "NRCNC+",
    "There is a ReLU after the second convolution: x is added to what that gives.": "NRCNRCR+",
    "There is a normalisation after the second convolution: x is added to what that gives.": "NRCNRCN+",
    "There is no normalisation in it.": "RCRC+",
    "The second normalisation is missing.": "NRCRC+",
    "The first normalisation is missing, before the first ReLU.": "RCNRC+",
    "Normalisation and ReLU are missing before the first convolution.": "CNRC+",
    "Normalisation and ReLU are missing before the second convolution.": "NRCC+",
    "There is one convolution, with its normalisation and ReLU: do all three twice.": "NRC+",
    "The normalisation takes the batch's mean even where nothing is trained: leave training as it is.": "BRCBRC+",
}


@exercise
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
        if 1 in (len(kernels), len(scales)):
            name = "convolution" if len(kernels) == 1 else "normalisation"
            shared = stepped(BLOCKS[""], x, (2 * kernels)[:2], (2 * scales)[:2])
            outcomes[f"One {name} is used twice, with the same weights: make a layer for each time."] = shared
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
