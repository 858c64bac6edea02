"""Right and wrong answers to the exercises of notebook 06: `test_exercises.py` gives the tables to the checkers."""

import functools

import numpy as np
import pytest

from helpers import quiet_import
from helpers.exercises import check

with quiet_import():
    import keras

layers, ops = keras.layers, keras.ops

# Right answers, as different as students' are


def prediction_map(side, trained, stride, channels, units):
    kernel = trained // stride
    return side // stride - kernel + 1, (kernel**2 * channels + 1) * units


def prediction_map_by_walking(side, trained, stride, channels, units):
    weights = np.zeros((trained // stride, trained // stride, channels, units))
    return [len(range(0, side - trained + 1, stride)), weights.size + units]


def prediction_map_in_keras(side, trained, stride, channels, units):
    conv = layers.Conv2D(units, trained // stride)
    maps = (None, side // stride, side // stride, channels)
    conv.build(maps)
    return conv.compute_output_shape(maps)[1], conv.count_params()


def areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def common(a, b, clip=lambda sides: np.maximum(sides, 0)):
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return clip(sides).prod(axis=2)


def unions(a, b):
    return areas(a)[:, None] + areas(b) - common(a, b)


def box_iou(a, b):
    return common(a, b) / np.maximum(unions(a, b), 1e-9)


def box_iou_with_loops(a, b):
    result = np.zeros((len(a), len(b)))
    for i, (left, top, right, bottom) in enumerate(a):
        for j, other in enumerate(b):
            wide, high = min(right, other[2]) - max(left, other[0]), min(bottom, other[3]) - max(top, other[1])
            if wide > 0 and high > 0:
                union = (right - left) * (bottom - top) + (other[2] - other[0]) * (other[3] - other[1]) - wide * high
                result[i, j] = wide * high / union
    return result


def box_iou_in_float32(a, b):
    a, b = a.astype("float32"), b.astype("float32")
    return np.where(unions(a, b) > 0, common(a, b) / unions(a, b), np.float32(0)).tolist()


def quotients(matrix):
    hits = matrix.diagonal()
    return hits / (matrix.sum(0) + matrix.sum(1) - hits)


def mean_iou(matrix):
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    there = union > 0
    return matrix.trace() / matrix.sum(), (matrix.diagonal()[there] / union[there]).mean()


def mean_iou_with_loops(matrix):
    values = []
    for k in range(len(matrix)):
        union = sum(matrix[k]) + sum(matrix[:, k]) - matrix[k, k]
        if union:
            values.append(matrix[k, k] / union)
    return [sum(matrix[k, k] for k in range(len(matrix))) / matrix.sum(), sum(values) / len(values)]


def mean_iou_with_nan(matrix):
    matrix = matrix.astype("float32")
    return np.trace(matrix) / matrix.sum(), np.nanmean(quotients(matrix))


def transposed_matrix(kernel, stride, n):
    matrix = np.zeros((stride * (n - 1) + len(kernel), n))
    for column in range(n):
        matrix[column * stride : column * stride + len(kernel), column] = kernel
    return matrix


def transposed_matrix_by_definition(kernel, stride, n):
    rows = range(stride * (n - 1) + len(kernel))
    return [[kernel[r - stride * c] if 0 <= r - stride * c < len(kernel) else 0.0 for c in range(n)] for r in rows]


def transposed_matrix_by_convolving(kernel, stride, n):
    spread = np.eye(stride * (n - 1) + 1, dtype="float32")[::stride]
    return np.stack([np.convolve(row, kernel) for row in spread], axis=1)


def hits(boxes, scores, truths, threshold):
    free, count = list(range(len(truths))), 0
    for box in boxes[np.argsort(scores)[::-1]]:
        if free:
            iou = box_iou(box[None], truths[free])[0]
            if iou.max() >= threshold:
                free.pop(iou.argmax())
                count += 1
    return count


def precision_recall(boxes, scores, truths, threshold):
    count = hits(boxes, scores, truths, threshold)
    return count / len(boxes), count / len(truths)


def precision_recall_by_crossing_out(boxes, scores, truths, threshold, iou=box_iou, order=None, equal=True):
    pairs = np.array(iou(boxes, truths))
    count = 0
    for row in order(scores) if order else sorted(range(len(boxes)), key=lambda row: -scores[row]):
        best = pairs[row].argmax()
        if pairs[row, best] >= threshold if equal else pairs[row, best] > threshold:
            pairs[:, best] = -1
            count += 1
    return [count / len(boxes), count / len(truths)]


def precision_recall_in_float32(**case):
    return precision_recall_by_crossing_out(**case, iou=box_iou_in_float32)


def step(  # a decoder's step, with one thing that is done differently
    coarse,
    fine,
    filters,
    up=lambda x: layers.UpSampling2D()(x),
    join=lambda coarse, fine: layers.Concatenate()([coarse, fine]),
    conv=lambda x, filters: layers.Conv2D(filters, 3, padding="same", activation="relu")(x),
):
    return conv(join(up(coarse), fine), filters)


def conv2d(size=3, **settings):
    return lambda x, filters: layers.Conv2D(filters, size, **{"padding": "same", "activation": "relu"} | settings)(x)


def step_of_operations(coarse, fine, filters):
    large = ops.repeat(ops.repeat(coarse, 2, axis=1), 2, axis=2)
    return ops.relu(layers.Conv2D(filters, 3, padding="same")(ops.concatenate([fine, large], axis=-1)))


def step_of_layers(coarse, fine, filters):
    x = layers.concatenate([fine, layers.Resizing(*fine.shape[1:3], interpolation="nearest")(coarse)])
    return keras.Sequential([layers.Conv2D(filters, (3, 3), padding="same"), layers.ReLU()])(x)


def step_of_a_model(coarse, fine, filters):
    given = [keras.Input(tensor.shape[1:]) for tensor in (coarse, fine)]
    x = layers.ZeroPadding2D()(layers.Concatenate()([layers.UpSampling2D((2, 2))(given[0]), given[1]]))
    return keras.Model(given, layers.Activation("relu")(layers.Conv2D(filters, 3)(x)))([coarse, fine])


RIGHT = {
    "prediction_map": [prediction_map, prediction_map_by_walking, prediction_map_in_keras],
    "box_iou": [box_iou, box_iou_with_loops, box_iou_in_float32],
    "mean_iou": [mean_iou, mean_iou_with_loops, mean_iou_with_nan],
    "transposed_matrix": [transposed_matrix, transposed_matrix_by_definition, transposed_matrix_by_convolving],
    "precision_recall": [precision_recall, precision_recall_by_crossing_out, precision_recall_in_float32],
    "decoder_step": [step, step_of_operations, step_of_layers, step_of_a_model],
}

# Wrong answers, each below the words that tell it from all others


def side(make):
    """A wrong side of the map, the right number of parameters."""
    return lambda **c: (make(**c), prediction_map(**c)[1])


def parameters(make):
    """The right side of the map, a wrong number of parameters."""
    return lambda side, trained, stride, channels, units: (
        side // stride - trained // stride + 1,
        make(trained // stride, channels, units),
    )


def share(make):
    """All pairs, from the intersection and the two areas."""
    return lambda a, b: make(common(a, b), areas(a)[:, None], areas(b))


def clipped(clip):
    return lambda a, b: common(a, b, clip) / (areas(a)[:, None] + areas(b) - common(a, b, clip))


def with_a_pixel_more(a, b):
    return box_iou(*(boxes + np.array([0, 0, 1, 1]) for boxes in (a, b)))


def as_sizes(a, b):
    return box_iou(*(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) for boxes in (a, b)))


def box_iou_with_nan(a, b):
    return common(a, b) / unions(a, b)


def box_iou_in_place(a, b):
    a[:, 2:] -= a[:, :2]
    return a @ b.T


def accuracy(make):
    return lambda matrix: (make(matrix), mean_iou(matrix)[1])


def mean(make):
    """The right accuracy, and a wrong mean from the hits and the sums of rows and of columns."""
    return lambda matrix: (mean_iou(matrix)[0], make(matrix.diagonal(), matrix.sum(1), matrix.sum(0)))


def of_those(keep):
    return lambda matrix: (mean_iou(matrix)[0], quotients(matrix)[keep(matrix)].mean())


def absent_as(value):
    return lambda matrix: (mean_iou(matrix)[0], np.where(np.isnan(quotients(matrix)), value, quotients(matrix)).mean())


def from_the_best_of_all(boxes, scores, truths, threshold):
    taken = set()
    for row in np.argsort(-scores):
        iou = box_iou(boxes[row : row + 1], truths)[0]
        if iou.max() >= threshold:
            taken.add(int(iou.argmax()))
    return len(taken) / len(boxes), len(taken) / len(truths)


def first_that_reaches(boxes, scores, truths, threshold):
    pairs = box_iou(boxes, truths)
    taken = []
    for row in np.argsort(-scores):
        taken += [place for place in range(len(truths)) if pairs[row, place] >= threshold and place not in taken][:1]
    return len(taken) / len(boxes), len(taken) / len(truths)


def taken_all_the_same(boxes, scores, truths, threshold):
    pairs, count = box_iou(boxes, truths), 0
    for row in np.argsort(-scores):
        best = pairs[row].argmax()
        count += pairs[row, best] >= threshold
        pairs[:, best] = -1
    return count / len(boxes), count / len(truths)


def by_true_boxes(boxes, scores, truths, threshold):
    return precision_recall(truths, -np.arange(len(truths)), boxes, threshold)[::-1]


def near(boxes, truths, threshold, **c):
    return box_iou(boxes, truths) >= threshold


def half_of_fine(coarse, fine, filters):
    return conv2d()(layers.Concatenate()([coarse, layers.MaxPooling2D()(fine)]), filters)


def convolved_too_early(coarse, fine, filters):
    return layers.Concatenate()([conv2d()(layers.UpSampling2D()(coarse), filters), fine])


def two_convolutions(x, filters):
    return conv2d()(conv2d()(x, filters), filters)


WRONG = {
    "prediction_map": {
        "in the wrong order": lambda **c: prediction_map(**c)[::-1],
        "the sum of both": lambda **c: sum(prediction_map(**c)),
        "count the first place too": side(lambda side, trained, stride, **c: (side - trained) // stride),
        "You lay the windows side by side": side(lambda side, trained, **c: side // trained),
        "The stride has no effect": side(lambda side, trained, **c: side - trained + 1),
        "the map that the new convolution reads": side(lambda side, stride, **c: side // stride),
        "trained/stride on a side, not trained": side(lambda side, trained, stride, **c: side // stride - trained + 1),
        "the number of places": side(lambda **c: prediction_map(**c)[0] ** 2),
        "The biases are missing": parameters(lambda k, channels, units: k * k * channels * units),
        "not one in all": parameters(lambda k, channels, units: k * k * channels * units + 1),
        "once for each place": lambda **c: (
            prediction_map(**c)[0],
            prediction_map(**c)[0] ** 2 * prediction_map(**c)[1],
        ),
        "The kernel is 1×1": parameters(lambda k, channels, units: (channels + 1) * units),
        "one side of the kernel": parameters(lambda k, channels, units: (k * channels + 1) * units),
        "as large as the image,": lambda trained, channels, units, **c: (
            prediction_map(trained=trained, channels=channels, units=units, **c)[0],
            (trained**2 * channels + 1) * units,
        ),
        "as large as the new map": lambda side, stride, channels, units, trained: (
            (side - trained) // stride + 1,
            ((side // stride) ** 2 * channels + 1) * units,
        ),
        "one slice": parameters(lambda k, channels, units: (k * k + 1) * units),
        "of one unit": parameters(lambda k, channels, units: k * k * channels + 1),
        "In value 2 of 2": parameters(lambda k, channels, units: 7),
        "where 2 values are asked for": lambda **c: prediction_map(**c)[0],
        "Keep the parameters' names: side, trained": lambda side, trained: 0,
        "is the return missing?": lambda **c: print(end=""),
    },
    "box_iou": {
        "The result is transposed": lambda a, b: box_iou(b, a),
        "apart in both directions": clipped(lambda sides: np.where((sides < 0).sum(2, keepdims=True) == 1, 0, sides)),
        "a side of the intersection is negative": clipped(lambda sides: sides),
        "the sum of the areas": share(lambda i, a, b: i / (a + b)),
        "of the smaller box": share(lambda i, a, b: i / np.minimum(a, b)),
        "of the larger box": share(lambda i, a, b: i / np.maximum(a, b)),
        "of the box in a:": share(lambda i, a, b: i / a),
        "of the box in b:": share(lambda i, a, b: i / b),
        "These are the intersections": common,
        "These are the unions": unions,
        "as width and height": as_sizes,
        "You add 1 to each side": with_a_pixel_more,
        "0/0 is NaN": box_iou_with_nan,
        "of the values differ": lambda a, b: box_iou(a, b) ** 2,
        "the result has shape": lambda a, b: box_iou(a, b).ravel(),
        "It changes its input a": box_iou_in_place,
        "it raises ValueError": lambda a, b: a * b[:, :3],
        "is the return missing?": lambda **c: print(end=""),
        "Write a function; this is 3": 3,
    },
    "mean_iou": {
        "in the wrong order": lambda matrix: mean_iou(matrix)[::-1],
        "no mean over classes": accuracy(lambda matrix: (matrix.diagonal() / matrix.sum(1)).mean()),
        "the share of wrong pixels": accuracy(lambda matrix: 1 - matrix.trace() / matrix.sum()),
        "the number of right pixels": accuracy(np.trace),
        "for the recall": mean(lambda hit, true, called: (hit / true).mean()),
        "for the precision": mean(lambda hit, true, called: (hit / called).mean()),
        "are in the union twice": mean(lambda hit, true, called: (hit / (true + called)).mean()),
        "are subtracted twice": mean(lambda hit, true, called: (hit / (true + called - 2 * hit)).mean()),
        "Classes are weighted": mean(lambda hit, true, called: (true * hit / (true + called - hit)).sum() / true.sum()),
        "add up the classes": mean(lambda hit, true, called: hit.sum() / (true + called - hit).sum()),
        "The first class is left out": lambda matrix: (mean_iou(matrix)[0], quotients(matrix)[1:].mean()),
        "a value for each class": lambda matrix: (mean_iou(matrix)[0], quotients(matrix)),
        "0/0, or NaN": lambda matrix: (mean_iou(matrix)[0], quotients(matrix).mean()),
        "nor predicted counts as 0": absent_as(0),
        "nor predicted counts as 1": absent_as(1),
        "predicted but not there": of_those(lambda matrix: matrix.any(1)),
        "there but never predicted": of_those(lambda matrix: matrix.any(0)),
        "no pixel is right": of_those(lambda matrix: matrix.diagonal() > 0),
        "In value 1 of 2": accuracy(lambda matrix: 2),
        "where 2 values are asked for": lambda matrix: mean_iou(matrix)[1],
        "is the return missing?": lambda matrix: print(end=""),
    },
    "transposed_matrix": {
        "This is its transpose": lambda kernel, stride, n: transposed_matrix(kernel, stride, n).T,
        "turned around": lambda kernel, stride, n: transposed_matrix(kernel[::-1], stride, n),
        "one row below the one before": lambda kernel, stride, n: transposed_matrix(kernel, 1, n),
        "distance of a stride of 1": lambda kernel, stride, n: np.concatenate(
            [transposed_matrix(kernel, 1, n), np.zeros(((stride - 1) * (n - 1), n))]
        ),
        "side by side": lambda kernel, stride, n: np.kron(np.eye(n), kernel[:, None]),
        "have changed places": lambda kernel, stride, n: transposed_matrix(kernel, n, stride),
        "one row too late": lambda kernel, stride, n: np.pad(transposed_matrix(kernel, stride, n), [(1, 0), (0, 0)]),
        "The ends are cut off": lambda kernel, stride, n: transposed_matrix(kernel, stride, n)[: stride * n],
        "The last rows are zeros": lambda kernel, stride, n: np.pad(
            transposed_matrix(kernel, stride, n), [(0, stride - 1), (0, 0)]
        ),
        "for values of 1": lambda kernel, stride, n: transposed_matrix(kernel, stride, n) @ np.ones(n),
        "cut to integers": lambda kernel, stride, n: transposed_matrix(kernel.astype(int), stride, n),
        "of the values differ": lambda kernel, stride, n: 2 * transposed_matrix(kernel, stride, n),
        "the result has shape": lambda kernel, stride, n: transposed_matrix(kernel, stride, n + 1),
        "It changes its input kernel": lambda kernel, stride, n: np.multiply(kernel, 2, out=kernel),
        "is the return missing?": lambda **c: print(end=""),
    },
    "precision_recall": {
        "in the wrong order": lambda **c: precision_recall(**c)[::-1],
        "by the number of found": lambda **c: (hits(**c) / len(c["boxes"]),) * 2,
        "by the number of true": lambda **c: (hits(**c) / len(c["truths"]),) * 2,
        "numbers of hits": lambda **c: (hits(**c), hits(**c)),
        "taken as they come": functools.partial(precision_recall_by_crossing_out, order=lambda s: range(len(s))),
        "from the lowest score up": functools.partial(precision_recall_by_crossing_out, order=np.argsort),
        "An IoU that equals": functools.partial(precision_recall_by_crossing_out, equal=False),
        "taken more than once": lambda **c: (near(**c).any(1).mean(), near(**c).any(1).sum() / len(c["truths"])),
        "fails here": from_the_best_of_all,
        "takes a true box all the same": taken_all_the_same,
        "the first true box that": first_that_reaches,
        "in their own order": by_true_boxes,
        "You count the boxes near": lambda **c: (near(**c).any(1).mean(), near(**c).any(0).mean()),
        "you ask for 0.5": lambda threshold, **c: precision_recall(threshold=0.5, **c),
        "In value 1 of 2": lambda **c: (2, precision_recall(**c)[1]),
        "where 2 values are asked for": lambda **c: precision_recall(**c)[0],
        "is the return missing?": lambda **c: print(end=""),
    },
    "decoder_step": {
        "a transposed convolution": functools.partial(
            step, up=lambda x: layers.Conv2DTranspose(x.shape[-1], 2, strides=2)(x)
        ),
        "other weights than": functools.partial(
            step, up=lambda x: layers.BatchNormalization()(layers.UpSampling2D()(x))
        ),
        "is 2, where 1": functools.partial(step, conv=two_convolutions),
        "is 0, where 1": functools.partial(step, conv=lambda x, filters: layers.ReLU()(x)),
        "a kernel of 1×1": functools.partial(step, conv=conv2d(1)),
        "no bias": functools.partial(step, conv=conv2d(use_bias=False)),
        "needs padding='same'": functools.partial(step, conv=conv2d(padding="valid")),
        "upsample coarse to the size of": half_of_fine,
        "after the concatenation, and": convolved_too_early,
        "concatenate the channels": functools.partial(
            step, join=lambda coarse, fine: layers.Concatenate(axis=1)([coarse, fine])
        ),
        "look at what changes its size": functools.partial(
            step, conv=conv2d(strides=2, dilation_rate=1, padding="valid")
        ),
        "The ReLU is missing": functools.partial(step, conv=conv2d(activation=None)),
        "The ReLU comes before": functools.partial(
            step, conv=lambda x, filters: conv2d(activation=None)(layers.ReLU()(x), filters)
        ),
        "bilinear": functools.partial(step, up=lambda x: layers.UpSampling2D(interpolation="bilinear")(x)),
        "The skip is missing": functools.partial(step, join=lambda coarse, fine: coarse),
        "Only fine is used": functools.partial(step, join=lambda coarse, fine: fine),
        "coarse is joined with itself": functools.partial(
            step, join=lambda coarse, fine: layers.Concatenate()([coarse, coarse])
        ),
        "You add the two maps": functools.partial(step, join=lambda coarse, fine: layers.Add()([coarse, fine])),
        "cannot be added": functools.partial(step, up=lambda x: x, join=lambda coarse, fine: coarse + fine),
        "cannot be joined": functools.partial(step, up=lambda x: x),
        "and at the activation": functools.partial(step, conv=conv2d(activation="sigmoid")),
        "where coarse and fine have": functools.partial(
            step, join=lambda coarse, fine: layers.Concatenate()([coarse, fine, fine])
        ),
        "It returns coarse itself": lambda coarse, fine, filters: coarse,
        "It returns fine itself": lambda coarse, fine, filters: fine,
        "It returns a model": lambda coarse, fine, filters: keras.Model([coarse, fine], step(coarse, fine, filters)),
        "It returns a layer": lambda coarse, fine, filters: layers.Conv2D(filters, 3),
        "Keep the parameters' names: coarse, fine, filters": lambda coarse, fine: coarse,
        "is the return missing?": lambda **c: print(end=""),
        "Write a function; this is 3": 3,
    },
}

# The right result of a checker's first case, and others that a student might type in
CONSTANTS = {
    "prediction_map": [0, (0, 0), (4, 65), ()],
    "box_iou": [0, np.zeros((3, 6)), np.zeros((2, 3)), []],
    "mean_iou": [0, (0, 0), (1, 1), (0.5, np.nan)],
    "transposed_matrix": [0, np.zeros((9, 4)), np.ones((9, 4)), []],
    "precision_recall": [0, (0, 0), (0.5, 1 / 3), (1, 1)],
    "decoder_step": [0, "coarse", [], keras.Input((8, 8, 12)), layers.UpSampling2D(), keras.Sequential()],
}


def test_the_matrix_does_what_keras_does():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(1, 6, 1)).astype("float32"), rng.normal(size=(4, 1, 1)).astype("float32")
    expected = keras.ops.conv_transpose(x, kernel, strides=3)[0, :, 0]
    np.testing.assert_allclose(transposed_matrix(kernel[:, 0, 0], 3, 6) @ x[0, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_tie_survives_what_keeps_from_dividing_by_zero():
    def answer(**case):
        return precision_recall_by_crossing_out(**case, iou=lambda a, b: common(a, b) / (unions(a, b) + 1e-6))

    assert check("precision_recall", answer).status == "correct"


@pytest.mark.parametrize("answer", [print, layers.Dense(1), keras.Sequential(), lambda **c: [[1], [2, 3]]])
def test_strange_blocks_are_only_mistakes(answer):
    assert check("decoder_step", answer).status == "not yet"
