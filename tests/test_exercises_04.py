"""Right and wrong answers to the exercises of notebook 04: `test_exercises.py` gives the tables to the checkers."""

import itertools
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import quiet_import
from helpers.exercises import check

with quiet_import():
    import keras

layers, ops = keras.layers, keras.ops

# Right answers, as different as students' are


def smallest_input(layers):
    side = 1
    for kernel, stride, padding in reversed(layers):
        side = max((side - 1) * stride + kernel - 2 * padding, 1)
    return side


def sides_after(side, layers):
    for kernel, stride, padding in layers:
        side = (side + 2 * padding - kernel) // stride + 1
        yield side


def smallest_input_by_trying(layers):
    return next(side for side in itertools.count(1) if all(after > 0 for after in sides_after(side, layers)))


def smallest_input_recursively(layers, wanted=1):
    if not layers:
        return float(wanted)
    *before, (kernel, stride, padding) = layers
    return smallest_input_recursively(before, max(1, stride * wanted - stride + kernel - 2 * padding))


def grouped_cost(side, k, channels, filters, groups):
    weights = k * k * (channels // groups) * filters
    return weights + filters, side * side * weights


def grouped_cost_group_by_group(side, k, channels, filters, groups):
    parameters = products = 0
    for _ in range(groups):
        weights = k**2 * (channels / groups) * (filters / groups)
        parameters += weights + filters / groups
        products += side**2 * weights
    return [parameters, products]


def grouped_cost_of_kernels(side, k, channels, filters, groups):
    kernels = np.zeros((groups, k, k, channels // groups, filters // groups))
    return kernels.size + filters, kernels.size * side**2


def densenet_count(blocks, growth, stem):
    channels, weights = stem, 0
    for place, count in enumerate(blocks):
        if place > 0:
            weights += channels * (channels // 2)
            channels //= 2
        for _ in range(count):
            weights += channels * 4 * growth + 3 * 3 * 4 * growth * growth
            channels += growth
    return channels, weights


def densenet_count_by_sums(blocks, growth, stem):
    weights = 0
    for n in blocks[:-1]:
        weights += n * stem * 4 * growth + 4 * growth**2 * n * (n - 1) / 2 + 36 * n * growth**2
        weights += (stem + n * growth) * ((stem + n * growth) // 2)
        stem = (stem + n * growth) // 2
    n = blocks[-1]
    weights += n * stem * 4 * growth + 4 * growth**2 * n * (n - 1) / 2 + 36 * n * growth**2
    return np.array([stem + n * growth, weights]).tolist()


def densenet_count_of_kernels(blocks, growth, stem):
    kernels = []
    for place, count in enumerate(blocks):
        if place:
            kernels.append((1, 1, stem, stem // 2))
            stem = stem // 2
        for _ in range(count):
            kernels += [(1, 1, stem, 4 * growth), (3, 3, 4 * growth, growth)]
            stem += growth
    return stem, sum(map(math.prod, kernels))


def path_lengths(blocks):
    return [math.comb(blocks, k) for k in range(blocks + 1)]


def path_lengths_by_pascal(blocks):
    row = [1]
    for _ in range(blocks):
        row = [left + right for left, right in zip([0, *row], [*row, 0], strict=True)]
    return tuple(row)


def path_lengths_recursively(blocks):
    if blocks == 0:
        return np.array([1])
    fewer = path_lengths_recursively(blocks - 1)
    return np.append(fewer, 0) + np.append(0, fewer)


def path_lengths_by_factorials(blocks):
    f = math.factorial
    return [f(blocks) // (f(k) * f(blocks - k)) for k in range(blocks + 1)]


def path_lengths_by_convolution(blocks):
    row = np.ones(1)
    for _ in range(blocks):
        row = np.convolve(row, [1.0, 1.0])
    return row


def convolved(x, filters, size):
    return layers.Conv2D(filters, size, padding="same", activation="relu")(x)


def branches_of(x, ones, reduce3, threes, reduce5, fives, pooled, conv=convolved):
    return [
        conv(x, ones, 1),
        conv(conv(x, reduce3, 1), threes, 3),
        conv(conv(conv(x, reduce5, 1), fives, 3), fives, 3),
        conv(layers.MaxPooling2D(3, strides=1, padding="same")(x), pooled, 1),
    ]


def joined(parts):
    return layers.Concatenate()(parts)


def inception(conv=convolved, join=joined):
    return lambda **case: join(branches_of(**case, conv=conv))


def convolved_then_relu(x, filters, size):
    return layers.ReLU()(layers.Conv2D(filters, (size, size), padding="same")(x))


def convolved_with_activation(x, filters, size):
    return layers.Activation("relu")(layers.Conv2D(filters, size, 1, "same")(x))


def convolved_with_ops(x, filters, size):
    x = layers.ZeroPadding2D(size // 2)(x)
    return ops.relu(layers.Conv2D(filters, size)(x))


def dense_for_1x1(x, filters, size):
    return layers.Dense(filters, activation="relu")(x) if size == 1 else convolved(x, filters, size)


def inception_of_sequences(x, ones, reduce3, threes, reduce5, fives, pooled):
    def conv(filters, size):
        return layers.Conv2D(filters, size, padding="same", activation=keras.activations.relu)

    pool = layers.MaxPool2D((3, 3), strides=(1, 1), padding="same")
    chains = [
        [conv(ones, 1)],
        [conv(reduce3, 1), conv(threes, 3)],
        [conv(reduce5, 1), conv(fives, 3), conv(fives, 3)],
        [pool, conv(pooled, 1)],
    ]
    return ops.concatenate([keras.Sequential(chain)(x) for chain in reversed(chains)][::-1], axis=-1)


def inception_with_one_relu(x, ones, reduce3, threes, reduce5, fives, pooled):
    """The last ReLU of each branch may as well come after the concatenation."""

    def last(x, filters, size):
        return layers.Conv2D(filters, size, padding="same")(x)

    pool = layers.MaxPooling2D(3, strides=1, padding="same")(x)
    parts = [
        last(x, ones, 1),
        last(convolved(x, reduce3, 1), threes, 3),
        last(convolved(convolved(x, reduce5, 1), fives, 3), fives, 3),
        last(pool, pooled, 1),
    ]
    return layers.ReLU()(layers.concatenate(parts, axis=3))


def inception_of_a_model(x, **sizes):
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, inception()(x=inner, **sizes))(x)


class Convolution(keras.Layer):
    def __init__(self, filters, size):
        super().__init__()
        self.convolution = layers.Conv2D(filters, size, padding="same")

    def call(self, x):
        return ops.relu(self.convolution(x))


def bare(x, filters=None, size=3, **options):
    return layers.Conv2D(filters or x.shape[-1], size, padding="same", use_bias=False, **options)(x)


def norm(x, **options):
    return layers.BatchNormalization(**options)(x)


relu = ops.relu
STEPS = {"N": norm, "R": relu, "C": bare}


def block(steps):
    """A function that goes through these steps: N, R and C as above, s where the skip begins, + where it ends."""

    def answer(x):
        skip = x
        for step in steps:
            if step == "s":
                skip = x
            elif step == "+":
                x = x + skip
            else:
                x = STEPS[step](x)
        return x

    return answer


def preactivation_block(x):
    y = x
    for _ in range(2):
        y = layers.BatchNormalization()(y)
        y = layers.ReLU()(y)
        y = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)(y)
    return layers.Add()([x, y])


def preactivation_in_sequence(x):
    def half():
        return [
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.Activation("relu"),
            layers.Conv2D(x.shape[-1], (3, 3), padding="same", use_bias=False),
        ]

    return keras.Sequential(half() + half())(x) + x


def preactivation_with_padding(x):
    y = x
    for _ in range(2):
        y = layers.ZeroPadding2D(1)(relu(norm(y, scale=False)))
        y = layers.Conv2D(x.shape[-1], 3, use_bias=False)(y)
    return layers.add([y, x])


class Preactivation(keras.Layer):
    """A student's own layer, whose weights come in another order than the steps."""

    def build(self, shape):
        self.norms = [layers.BatchNormalization() for _ in range(2)]
        self.kernels = [layers.Conv2D(shape[-1], 3, padding="same", activation=None, use_bias=False) for _ in range(2)]
        for layer in self.norms + self.kernels:
            layer.build(shape)

    def call(self, x, training=None):
        y = x
        for normalise, convolve in zip(self.norms, self.kernels, strict=True):
            y = convolve(relu(normalise(y, training=training)))
        return x + y


RIGHT = {
    "smallest_input": [smallest_input, smallest_input_by_trying, smallest_input_recursively],
    "grouped_cost": [grouped_cost, grouped_cost_group_by_group, grouped_cost_of_kernels],
    "densenet_count": [densenet_count, densenet_count_by_sums, densenet_count_of_kernels],
    "path_lengths": [
        path_lengths,
        path_lengths_by_pascal,
        path_lengths_recursively,
        path_lengths_by_factorials,
        path_lengths_by_convolution,
    ],
    "factorised_inception": [
        inception(),
        inception(convolved_then_relu, layers.concatenate),
        inception(convolved_with_activation),
        inception(convolved_with_ops),
        inception(dense_for_1x1),
        inception(lambda x, filters, size: Convolution(filters, size)(x)),
        inception_of_sequences,
        inception_with_one_relu,
        inception_of_a_model,
    ],
    "preactivation_block": [
        preactivation_block,
        block("NRCNRC+"),
        preactivation_in_sequence,
        preactivation_with_padding,
        lambda x: Preactivation()(x),
    ],
}

# Wrong answers, each below the words that tell it from all others


def backwards(step, least=1, last=1):
    def walk(layers):
        side = last
        for layer in reversed(layers):
            side = max(step(side, *layer), least)
        return side

    return walk


def needed(n, k, s, p):
    return (n - 1) * s + k - 2 * p


def smallest_input_by_popping(layers):
    side = 1
    while layers:
        side = max(needed(side, *layers.pop()), 1)
    return side


def costs(first=lambda c, right: right, second=lambda c, right: right):
    """The two costs, each changed when a function says how, from the arguments and the right number."""

    def answer(**case):
        c = SimpleNamespace(**case)
        return tuple(make(c, right) for make, right in zip((first, second), grouped_cost(**case), strict=True))

    return answer


def densenet(layer=None, between=lambda c: c * (c // 2), half=lambda c: c // 2, last=False):
    """A count in which a layer has `layer(seen, given, growth)` weights, and so on."""

    def answer(blocks, growth, stem):
        make = layer or (lambda seen, given, g: seen * 4 * g + 36 * g * g)
        channels, weights = stem, 0
        for place, count in enumerate(blocks):
            given = channels
            for _ in range(count):
                weights += make(channels, given, growth)
                channels += growth
            if last or place + 1 < len(blocks):
                weights += between(channels)
                channels = half(channels)
        return channels, weights

    return answer


def densenet_with_biases(blocks, growth, stem):
    count = densenet(lambda c, b, g: (c + 1) * 4 * g + (36 * g + 1) * g, between=lambda c: (c + 1) * (c // 2))
    return count(blocks, growth, stem)


def of_row(make):
    return lambda blocks: make(path_lengths(blocks))


def path_lengths_one_by_one(blocks):
    counts = [0] * (blocks + 1)
    for number in range(2**blocks):
        counts[number.bit_count()] += 1
    return counts


def path_lengths_by_products(blocks):
    return list(Counter(map(sum, itertools.product((0, 1), repeat=blocks))).values())


def path_lengths_in_floats(blocks):
    return [round(math.exp(math.lgamma(blocks + 1) - math.lgamma(k + 1) - math.lgamma(blocks - k + 1)))
            for k in range(blocks + 1)]  # fmt: skip


def path_lengths_that_overflow(blocks):
    factorials = np.cumprod([1, *range(1, blocks + 1)], dtype=np.int64)
    with np.errstate(all="ignore"):
        return factorials[-1] // (factorials * factorials[::-1])


def path_lengths_of_few(blocks):
    return path_lengths(min(blocks, 24))


def path_lengths_with_text(blocks):
    return path_lengths(blocks) if blocks < 25 else list(map(str, path_lengths(blocks)))


def swapping(**names):
    """A right block with some arguments exchanged."""
    return lambda **case: inception()(**{names.get(name, name): value for name, value in case.items()})


def order(*places):
    return inception(join=lambda parts: joined([parts[place] for place in places]))


def with_branch(place, make):
    """A right block but for one branch, which `make` builds from x and the sizes."""

    def answer(**case):
        parts = branches_of(**case)
        parts[place] = make(SimpleNamespace(**case))
        return joined(parts)

    return answer


def linear(x, filters, size):
    return layers.Conv2D(filters, size, padding="same")(x)


def pool(x, strides=1, kind=layers.MaxPooling2D):
    return kind(3, strides=strides, padding="same")(x)


def chained(**case):
    case = SimpleNamespace(**case)
    first = x = convolved(case.x, case.ones, 1)
    second = x = convolved(convolved(x, case.reduce3, 1), case.threes, 3)
    third = x = convolved(convolved(convolved(x, case.reduce5, 1), case.fives, 3), case.fives, 3)
    return joined([first, second, third, convolved(pool(x), case.pooled, 1)])


def of_own_input(**case):
    return inception()(**case | {"x": keras.Input(case["x"].shape[1:])})


def twice(make):
    """A block that uses one layer of its own kind twice."""

    def answer(x):
        normalise = layers.BatchNormalization()
        convolve = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)
        return x + make(x, normalise, convolve)

    return answer


def shared_norm(x, normalise, convolve):
    return bare(relu(normalise(bare(relu(normalise(x))))))


def with_steps(**steps):
    """A right block with another layer for some of its steps."""

    def answer(x):
        y = x
        for step in "NRCNRC":
            y = steps.get(step, STEPS[step])(y)
        return x + y

    return answer


def failing(x):
    raise RuntimeError("a mistake inside")


def unlucky(x):
    """Fails only when it is computed."""
    return layers.Lambda(failing, output_shape=lambda shape: shape)(preactivation_block(x))


WRONG = {
    "smallest_input": {
        "The padding has no effect": backwards(lambda n, k, s, p: (n - 1) * s + k),
        "on one side only": backwards(lambda n, k, s, p: (n - 1) * s + k - p),
        "You add the padding": backwards(lambda n, k, s, p: (n - 1) * s + k + 2 * p),
        "The strides have no effect": backwards(lambda n, k, s, p: n - 1 + k - 2 * p),
        "you have n.": backwards(lambda n, k, s, p: n * s + k - 2 * p),
        "not n·stride + kernel − 1": backwards(lambda n, k, s, p: n * s + k - 1 - 2 * p),
        "the product of the strides": lambda layers: math.prod(s for _, s, _ in layers),
        "from the wrong end": lambda layers: smallest_input(layers[::-1]),
        "in this order": lambda layers: smallest_input([(k, s, p) for s, k, p in layers]),
        "only the first layer": lambda layers: smallest_input(layers[:1]),
        "only the last layer": lambda layers: smallest_input(layers[-1:]),
        "You begin with no place": backwards(needed, last=0, least=-math.inf),
        "One too few": lambda layers: smallest_input(layers) - 1,
        "One too many": lambda layers: smallest_input(layers) + 1,
        "This is the area": lambda layers: smallest_input(layers) ** 2,
        "zeros alone would be enough": backwards(needed, least=-math.inf),
        "In the middle a layer leaves no place": lambda layers: next(
            side for side in itertools.count(1) if list(sides_after(side, layers))[-1] > 0
        ),
        "For layers=[(3, 2, 1)] you return 4, where 1 is": lambda layers: smallest_input(layers) + 3,
        "It changes its input layers": smallest_input_by_popping,
        "it raises TypeError": lambda layers: sum(layers),
        "it returns a list, where one number": lambda layers: [smallest_input(layers)],
        "is the return missing?": lambda layers: print(end=""),
        "Keep the parameters' names: layers": lambda triples: smallest_input(triples),
    },
    "grouped_cost": {
        "the parameters first": lambda **c: grouped_cost(**c)[::-1],
        "This is the sum": lambda **c: sum(grouped_cost(**c)),
        "no effect on the parameters": costs(lambda c, n: (n - c.filters) * c.groups + c.filters),
        "The parameters are those of one group only.": costs(lambda c, n: (n - c.filters) // c.groups + c.filters),
        "The parameters are those of one group only, biases": costs(lambda c, n: n / c.groups),
        "The parameters grow": costs(lambda c, n: (n - c.filters) * c.groups**2 + c.filters),
        "The biases are missing": costs(lambda c, n: n - c.filters),
        "You divide the biases": costs(lambda c, n: n - c.filters + c.filters / c.groups),
        "You multiply the biases": costs(lambda c, n: n - c.filters + c.filters * c.groups),
        "not one in all": costs(lambda c, n: n - c.filters + 1),
        "not for each group": costs(lambda c, n: n - c.filters + c.groups),
        "In the parameters a slice": costs(lambda c, n: (n - c.filters) // c.k + c.filters),
        "no effect on the multiply-adds": costs(second=lambda c, n: n * c.groups),
        "The multiply-adds are those of one group only": costs(second=lambda c, n: n // c.groups),
        "The multiply-adds grow": costs(second=lambda c, n: n * c.groups**2),
        "the biases among the multiply-adds": costs(second=lambda c, n: n + c.side**2 * c.filters),
        "each multiply-add twice": costs(second=lambda c, n: 2 * n),
        "of a single place": costs(second=lambda c, n: n // c.side**2),
        "a single row": costs(second=lambda c, n: n // c.side),
        "where the whole kernel fits": costs(second=lambda c, n: n // c.side**2 * (c.side - c.k + 1) ** 2),
        "In the multiply-adds a slice": costs(second=lambda c, n: n // c.k),
        "one filter only": costs(second=lambda c, n: n // c.filters),
        "In value 2 of 2: For side=9, k=3": costs(second=lambda c, n: n + 1_000),
        "it raises ZeroDivisionError": lambda groups, **c: 1 // (groups - groups),
        "where 2 values are asked for": lambda **c: (*grouped_cost(**c), 0),
        "is the return missing?": lambda **c: print(end=""),
    },
    "densenet_count": {
        "the channels first": lambda **c: densenet_count(**c)[::-1],
        "The channels are never halved": densenet(between=lambda c: 0, half=lambda c: c),
        "leaves all channels": densenet(between=lambda c: c * c, half=lambda c: c),
        "after the last block too": densenet(last=True),
        "not 4.5": densenet(between=lambda c: c * c / 2, half=lambda c: c / 2),
        "you round up": densenet(between=lambda c: c * -(-c // 2), half=lambda c: -(-c // 2)),
        "The stem has no effect": lambda blocks, growth, stem: densenet_count(blocks, growth, 0),
        "This counts biases": densenet_with_biases,
        "A layer's 1×1": densenet(lambda seen, given, g: 36 * g * g),
        "A layer's 3×3": densenet(lambda seen, given, g: seen * 4 * g),
        "reads what the 1×1 leaves": densenet(lambda seen, given, g: seen * 4 * g + 9 * seen * g),
        "The 1×1 convolution is missing": densenet(lambda seen, given, g: 9 * seen * g),
        "The 1×1 convolution gives": densenet(lambda seen, given, g: seen * g + 9 * g * g),
        "The 3×3 convolution gives": densenet(lambda seen, given, g: seen * 4 * g + 144 * g * g),
        "not 3.": densenet(lambda seen, given, g: seen * 4 * g + 12 * g * g),
        "not 1.": densenet(lambda seen, given, g: seen * 4 * g + 4 * g * g),
        "not only what the block": densenet(lambda seen, given, g: given * 4 * g + 36 * g * g),
        "not only those of the layer": densenet(
            lambda seen, given, g: (seen if seen == given else g) * 4 * g + 36 * g * g
        ),
        "that it makes itself": densenet(lambda seen, given, g: (seen + g) * 4 * g + 36 * g * g),
        "The convolutions between the blocks are missing": densenet(between=lambda c: 0),
        "you count all": densenet(between=lambda c: c * c),
        "count before you halve": densenet(between=lambda c: (c // 2) ** 2),
        "not 3×3": densenet(between=lambda c: 9 * c * (c // 2)),
        "makes the stem's channels": lambda **c: (densenet_count(**c)[0], densenet_count(**c)[1] + 147 * c["stem"]),
        "In value 1 of 2": lambda **c: (c["growth"], densenet_count(**c)[1]),
        "It changes its input blocks": lambda blocks, **c: (blocks.pop(), 0),
        "Keep the parameters' names: blocks, growth, stem": lambda blocks, k, stem: (0, 0),
        "is the return missing?": lambda **c: print(end=""),
    },
    "path_lengths": {
        "The last number is missing": of_row(lambda row: row[:-1]),
        "The first number is missing": of_row(lambda row: row[1:]),
        "The first and the last": of_row(lambda row: row[1:-1]),
        "the number of all paths": of_row(sum),
        "These are shares": of_row(lambda row: [n / sum(row) for n in row]),
        "through at most so many": of_row(np.cumsum),
        "once for each block": of_row(lambda row: [k * n for k, n in enumerate(row)]),
        "orders of the blocks": lambda blocks: [math.perm(blocks, k) for k in range(blocks + 1)],
        "You double": lambda blocks: [2**k for k in range(blocks + 1)],
        "one path has each length": lambda blocks: [1] * (blocks + 1),
        "These are the lengths": lambda blocks: list(range(blocks + 1)),
        "one block too many": lambda blocks: path_lengths(blocks + 1),
        "one block too few": lambda blocks: path_lengths(blocks - 1),
        "blocks take": path_lengths_one_by_one,
        "a float is rounded": path_lengths_in_floats,
        "overflow": path_lengths_that_overflow,
        "the result has shape (25,)": path_lengths_of_few,
        "it returns a list, where numbers": path_lengths_with_text,
        "it returns a Counter": lambda blocks: Counter(path_lengths(blocks)),
        "the result has shape (), where (2,)": lambda blocks: 0.5,
        "is the return missing?": lambda blocks: print(end=""),
        "it raises TypeError": lambda blocks: [1] * (blocks + "1"),
    },
    "factorised_inception": {
        "they come in the order 2, 1, 3, 4": order(1, 0, 2, 3),
        "they come in the order 4, 3, 2, 1": order(3, 2, 1, 0),
        "the result has shape (7, 6,": order(0, 1, 2, 3, 3),
        "missing after every convolution": inception(linear),
        "In branch 1 the ReLU is missing after the 1×1": with_branch(0, lambda c: linear(c.x, c.ones, 1)),
        "In branch 2 the ReLU is missing after the 1×1": with_branch(
            1, lambda c: convolved(linear(c.x, c.reduce3, 1), c.threes, 3)
        ),
        "after the first 3×3 convolution and second 3×3 convolution.": with_branch(
            2, lambda c: linear(linear(convolved(c.x, c.reduce5, 1), c.fives, 3), c.fives, 3)
        ),
        "In branch 4 the pooling is missing": with_branch(3, lambda c: convolved(c.x, c.pooled, 1)),
        "In branch 4 the average": with_branch(
            3, lambda c: convolved(pool(c.x, kind=layers.AveragePooling2D), c.pooled, 1)
        ),
        "In branch 4 the pooling comes after": with_branch(3, lambda c: pool(convolved(c.x, c.pooled, 1))),
        "In branch 4 the pooling sees zeros": with_branch(
            3,
            lambda c: convolved(layers.MaxPooling2D(3, strides=1)(layers.ZeroPadding2D(1)(c.x)), c.pooled, 1),
        ),
        "Branch 3 has its convolutions": with_branch(
            2,
            lambda c: convolved(
                layers.Conv2D(c.fives, 3, padding="same", activation="relu", dilation_rate=2)(
                    convolved(c.x, c.reduce5, 1)
                ),
                c.fives,
                3,
            ),
        ),
        "The branches come out as 7×6 and 3×2": with_branch(
            3, lambda c: convolved(pool(c.x, strides=None), c.pooled, 1)
        ),
        "joined along a wrong axis": inception(join=lambda parts: layers.Concatenate(axis=1)(parts)),
        "cannot be added": inception(join=lambda parts: layers.Add()(parts)),
        "still a 5×5": with_branch(2, lambda c: convolved(convolved(c.x, c.reduce5, 1), c.fives, 5)),
        "In branch 3 the second 3×3 convolution with": with_branch(
            2, lambda c: convolved(convolved(c.x, c.reduce5, 1), c.fives, 3)
        ),
        "In branch 2 the 1×1 convolution reads": chained,
        "come from the convolution before it": with_branch(
            1, lambda c: (lambda y: convolved(joined([y, c.x]), c.threes, 3))(convolved(c.x, c.reduce3, 1))
        ),
        "In branch 2 the 3×3 convolution has a kernel of 1×1": with_branch(
            1, lambda c: convolved(convolved(c.x, c.reduce3, 1), c.threes, 1)
        ),
        "filters, where threes=": swapping(threes="fives", fives="threes"),
        "In branch 2 the 1×1 convolution with": with_branch(1, lambda c: convolved(c.x, c.threes, 3)),
        "In branch 4 the 1×1 convolution with": with_branch(3, lambda c: pool(c.x)),
        "There is a convolution too many, 3×3": lambda **c: convolved(inception()(**c), 4, 3),
        "There is no convolution in it": lambda x, **c: pool(x),
        "There is a normalisation in it": lambda **c: norm(inception()(**c)),
        "weights named 'alpha'": lambda **c: layers.PReLU()(inception()(**c)),
        "In branch 1 the 1×1 convolution has no biases": with_branch(0, lambda c: relu(bare(c.x, c.ones, 1))),
        "It returns None": lambda **c: print(end=""),
        "It returns a model": lambda **c: keras.Model(c["x"], inception()(**c)),
        "It returns a layer": lambda **c: layers.Concatenate(),
        "It returns a list of 4": inception(join=list),
        "It returns an array": lambda **c: np.zeros((1, 7, 6, 5)),
        "It returns x itself": lambda x, **c: x,
        "No model leads from x": of_own_input,
        "raises ValueError: Unrecognized keyword": lambda x, ones, **c: layers.Conv2D(ones, 1, pad="same")(x),
        "Write a function; this is 3": 3,
        "Write a function; this is a Sequential": keras.Sequential([layers.ReLU()]),
        "Keep the parameters' names: x, ones": lambda image, ones, reduce3, threes, reduce5, fives, pooled: image,
    },
    "preactivation_block": {
        "There is a ReLU after the addition": block("NRCNRC+R"),
        "the order of the first version, and no ReLU": block("CNRCN+"),
        "the first version of the block": block("CNRCN+R"),
        "come after each convolution": block("CNRCNR+"),
        "before the normalisation, both times": block("RNCRNC+"),
        "before the first normalisation: n": block("RNCNRC+"),
        "before the second normalisation: n": block("NRCRNC+"),
        "The skip is missing": block("NRCNRC"),
        "the first normalisation and ReLU: add": block("NRsCNRC+"),
        "the first normalisation: add": block("NsRCNRC+"),
        "There is no ReLU": block("NCNC+"),
        "The first ReLU is missing": block("NCNRC+"),
        "The second ReLU is missing": block("NRCNC+"),
        "a ReLU after the second convolution": block("NRCNRCR+"),
        "a normalisation after the second convolution": block("NRCNRCN+"),
        "There is no normalisation": block("RCRC+"),
        "The second normalisation is missing": block("NRCRC+"),
        "The first normalisation is missing": block("RCNRC+"),
        "missing before the first convolution": block("CNRC+"),
        "missing before the second convolution": block("NRCC+"),
        "There is one convolution, with": block("NRC+"),
        "The number of convolutions in it is 3": block("NRCNRCNRC+"),
        "The number of convolutions in it is 0": block("NR+"),
        "The number of normalisations in it is 4": block("NNRCNNRC+"),
        "not compute what is asked for": with_steps(R=layers.LeakyReLU()),
        "One convolution is used twice": twice(lambda x, n, c: c(relu(norm(c(relu(norm(x))))))),
        "One normalisation is used twice": twice(shared_norm),
        "the batch's mean": with_steps(N=lambda x: layers.BatchNormalization()(x, training=True)),
        "instead of concatenating": lambda x: joined([x, block("NRCNRC")(x)]),
        "the result has shape (4, 3,": lambda x: pool(preactivation_block(x), strides=2),
        "neither a convolution": with_steps(N=lambda x: layers.LayerNormalization()(x)),
        "There is a 1×1 convolution": with_steps(C=lambda x: bare(x, size=1)),
        "A convolution has 20 filters": lambda x: x + bare(relu(norm(bare(relu(norm(x)), 20))), x.shape[-1]),
        "The convolutions have biases": with_steps(C=lambda x: linear(x, x.shape[-1], 3)),
        "What you add to x has another shape": with_steps(C=lambda x: bare(x, 20)),
        "It returns None": lambda x: print(end=""),
        "It returns a layer": lambda x: layers.BatchNormalization(),
        "It returns a model": lambda x: keras.Model(x, preactivation_block(x)),
        "It returns a set": lambda x: {1},
        "It returns x itself": lambda x: x,
        "Building the block raises RuntimeError: a mistake": failing,
        "Computing the block raises RuntimeError": unlucky,
        "Write a function; this is 3": 3,
        "Write a function; this is a Sequential": keras.Sequential([layers.ReLU()]),
        "Keep the parameters' names: x.": lambda image: image,
    },
}

# The right result of a checker's first case, and others that a student might type in
CONSTANTS = {
    "smallest_input": [0, 1, 67, 7.0],
    "grouped_cost": [0, (114, 8_748), (307_456, 223_948_800)],
    "densenet_count": [0, (1_024, 6_860_800), (0, 0)],
    "path_lengths": [0, [1, 1], [1, 2, 1], path_lengths(54), []],
    "factorised_inception": [0, "x", [], np.zeros((2, 7, 6, 4)), keras.Input((7, 6, 4)), keras.ops.zeros((2, 7, 6, 4))],
    "preactivation_block": [0, "x", {}, keras.Input((7, 6, 4)), keras.layers.Add(), keras.Sequential()],
}


def test_the_numbers_of_the_papers():
    alexnet = [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 0)]
    assert smallest_input(alexnet) == 67
    assert grouped_cost(27, 5, 96, 256, 2) == (307_456, 223_948_800)


def test_groups_are_those_of_keras():
    layer = layers.Conv2D(6, 3, groups=2, padding="same")
    layer.build((None, 9, 9, 4))
    assert grouped_cost(9, 3, 4, 6, 2)[0] == layer.count_params()


def test_densenet_is_that_of_keras():
    model = keras.applications.DenseNet121(weights=None)
    # All but the first convolution, which makes the stem
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Conv2D)][1:]
    weights = sum(math.prod(kernel.shape) for kernel in kernels)
    assert densenet_count((6, 12, 24, 16), 32, 64) == (1_024, weights) == (model.layers[-2].input.shape[-1], weights)


def one_branch_of(make):
    """A block with a strange first branch."""
    return lambda **case: joined([make(part) if place == 0 else part for place, part in enumerate(branches_of(**case))])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: ops.exp(100 * x), id="infinity"),
        pytest.param(lambda x: 0 * x / 0, id="NaN"),
        pytest.param(lambda x: ops.cast(x > 0, "float32"), id="true and false"),
        pytest.param(layers.Dropout(0.5), id="dropout is idle"),
        pytest.param(layers.UnitNormalization(), id="a layer without weights"),
        pytest.param(lambda x: x[:, ::-1], id="upside down"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")
def test_strange_branches_are_only_mistakes(change):
    verdict = check("factorised_inception", one_branch_of(change))
    assert verdict.status == ("correct" if isinstance(change, layers.Dropout) else "not yet")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda x, **sizes: ops.cast(inception()(x=x, **sizes), "int32"), id="whole numbers"),
        pytest.param(lambda x, **sizes: ops.sum(x), id="one number"),
        pytest.param(lambda x, **sizes: layers.Flatten()(x), id="one axis"),
        pytest.param(lambda x, **sizes: {"x": x}, id="a dictionary"),
        pytest.param(lambda x, **sizes: x[0], id="one image"),
        pytest.param(lambda x, **sizes: layers.Conv1D(4, 3)(layers.Reshape((42, -1))(x)), id="one dimension"),
        pytest.param(lambda x, **sizes: layers.Conv3D(4, 1)(ops.expand_dims(x, -1)), id="three dimensions"),
        pytest.param(lambda x, **sizes: layers.Embedding(9, 4)(ops.cast(x, "int32")), id="an embedding"),
        pytest.param(lambda x, **sizes: 1 / 0, id="an error"),
        pytest.param(lambda x, **sizes: keras.Input((3,)), id="another input"),
        pytest.param(lambda x, **sizes: keras.layers.Conv2D, id="a class"),
        pytest.param(keras.layers.Conv2D, id="a class for an answer"),
        pytest.param(keras.Sequential([keras.layers.ReLU()]), id="a model for an answer"),
        pytest.param(keras.ops.relu, id="a function of Keras"),
        pytest.param(print, id="a function of Python"),
    ],
)
@pytest.mark.parametrize("exercise", ["factorised_inception", "preactivation_block"])
def test_strange_blocks_are_only_mistakes(exercise, answer):
    assert check(exercise, answer).status == "not yet"


@pytest.mark.parametrize("result", [np.array(1), np.ones((2, 1)), [[1], [2, 3]], ["a", "b"], {0: 1, 1: 1}, "11"])
@pytest.mark.parametrize("most", [0, 29])
def test_strange_lists_are_only_mistakes(result, most):
    def answer(blocks):
        return path_lengths(blocks) if blocks <= most else result

    assert check("path_lengths", answer).status == "not yet"


def test_a_brute_count_is_left_in_time():
    """Before it comes to 54 blocks, which would take it for ever."""
    for answer in (path_lengths_one_by_one, path_lengths_by_products):
        assert "does each further block double the work?" in check("path_lengths", answer).diagnosis
