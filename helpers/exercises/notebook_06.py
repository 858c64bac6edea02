"""The exercises of notebook 06, beyond classification."""

import numpy as np

from .engine import Exercise, Mistake
from .keras_blocks import computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


def prediction_map(side, trained, stride, channels, units, *, more=1, kernel=None, biases=1):
    kernel = kernel or trained // stride
    return side // stride - kernel + more, (kernel**2 * channels + biases) * units


def _windows(rng):
    stride, kernel, more, channels, units = rng.integers((1, 2, 0, 2, 2), (9, 6, 12, 12, 12)).tolist()
    sizes = {"side": (kernel + more) * stride, "trained": kernel * stride, "stride": stride}
    return sizes | {"channels": channels, "units": units}


Exercise(
    "prediction_map",
    right=prediction_map,
    draw=_windows,
    mistakes={
        "The two numbers are in the wrong order: the side first.": lambda **c: prediction_map(**c)[::-1],
        "These are the steps from the first place to the last: count the first place too.": dict(more=0),
        "The stride has no effect: there is a window every stride pixels.": dict(stride=1),
        "This is for a kernel of 1×1: the dense layer reads trained // stride places a side.": dict(kernel=1),
        "The biases are missing: one for each unit.": dict(biases=0),
        "The kernel has one slice: there is one for each channel.": dict(channels=1),
    },
    also=[("With stride 1 there is a window at each pixel.", dict(side=9, trained=4, stride=1, channels=2, units=3))],
)


def box_iou(
    a, b, *, edges=np.asarray, overlap=lambda sides: sides.clip(0).prod(axis=-1), union=lambda a, b, both: a + b - both
):
    a, b = edges(a)[:, None], edges(b)[None]
    both = overlap(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]))
    areas = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (a, b))
    below = union(*areas, both)
    return np.divide(both, below, out=np.zeros(both.shape), where=below != 0)


def _boxes(rng, count, spread=8, sides=(1, 6)):
    corners = rng.uniform(0, spread, size=(count, 2))
    return np.concatenate([corners, corners + rng.uniform(*sides, size=(count, 2))], axis=1)


Exercise(
    "box_iou",
    right=box_iou,
    draw=lambda rng: {"a": _boxes(rng, 4), "b": _boxes(rng, 6)},
    mistakes={
        "The sum of the areas has the intersection twice: divide by the union.": dict(union=lambda a, b, both: a + b),
        "You divide by the smaller area: divide by the union.": dict(union=lambda a, b, both: np.minimum(a, b)),
        "The result is transposed: a row for each box of a.": lambda a, b: box_iou(a, b).T,
        "Two negative sides have a positive product: clip each at 0 before you multiply.": dict(
            overlap=lambda sides: sides.prod(axis=-1).clip(0)
        ),
        "Where two boxes lie apart, a side of the intersection is negative: clip it at 0.": dict(
            overlap=lambda sides: sides.prod(axis=-1)
        ),
        "You take the last two numbers, right and bottom, as width and height.": dict(
            edges=lambda x: x + np.pad(x[:, :2], ((0, 0), (2, 0)))
        ),
        "You add 1 to each side, as if an edge were a pixel.": dict(edges=lambda x: np.add(x, [0, 0, 1, 1])),
    },
    also=[("A pair whose union has no area, 0/0, has 0.", {"a": np.ones((1, 4)), "b": np.ones((2, 4))})],
)


def mean_iou(matrix, *, union=lambda true, predicted, hit: true + predicted - hit, weights=np.ones_like):
    hit, true, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    there = true + predicted > 0
    ious = hit[there] / union(true, predicted, hit)[there]
    return hit.sum() / matrix.sum(), np.average(ious, weights=weights(true[there]))


def _confusion(rng):
    n = int(rng.integers(3, 7))
    return {"matrix": rng.integers(1, 30, size=(n, n)) + np.diag(rng.integers(10, 90, size=n))}


def _without(true=slice(0), predicted=slice(0)):
    """A confusion in which these classes are not there, or never predicted."""
    matrix = np.random.default_rng(0).integers(5, 30, size=(6, 6))
    matrix[true] = 0
    matrix[:, predicted] = 0
    return {"matrix": matrix}


Exercise(
    "mean_iou",
    right=mean_iou,
    draw=_confusion,
    mistakes={
        "The two numbers are in the wrong order: the pixel accuracy first.": lambda matrix: mean_iou(matrix)[::-1],
        "The pixel accuracy is no mean over classes: each pixel counts the same.": lambda matrix: (
            (matrix.diagonal() / matrix.sum(axis=1)).mean(),
            mean_iou(matrix)[1],
        ),
        "You divide by the true pixels, for the recall: divide by the union.": dict(union=lambda true, *_: true),
        "The right pixels are in the union twice: subtract them once.": dict(union=lambda a, b, hit: a + b),
        "This is the Dice coefficient: the IoU divides by the union.": dict(union=lambda a, b, hit: (a + b) / 2),
        "Classes are weighted by their pixels: here each counts the same.": dict(weights=lambda true: true),
    },
    also=[
        ("A class that is neither there nor predicted has 0/0, or NaN: leave it out.", _without(2, 2)),
        ("A class that is predicted but not there counts as 0.", _without(true=0)),
        ("A class that is there but never predicted counts as 0.", _without(predicted=3)),
    ],
)


def transposed_matrix(kernel, stride, n):
    matrix = np.zeros((stride * (n - 1) + len(kernel), n))
    for column in range(n):
        matrix[stride * column :][: len(kernel), column] = kernel
    return matrix


def _transposed(rng):
    k, stride, n = rng.integers(1, 6, size=3).tolist()
    return {"kernel": rng.uniform(1.2, 8.8, size=k), "stride": stride, "n": n}


Exercise(
    "transposed_matrix",
    right=transposed_matrix,
    draw=_transposed,
    mistakes={
        "This is its transpose, an ordinary convolution's.": lambda **c: transposed_matrix(**c).T,
        "The kernel is turned around.": lambda kernel, **c: transposed_matrix(kernel[::-1], **c),
        "Each copy begins one row below the one before: it is stride rows.": dict(stride=1),
        "The copies never overlap: the next begins stride rows further.": lambda kernel, stride, n: transposed_matrix(
            kernel, len(kernel), n
        ),
        "The ends are cut off, to stride · n rows: keep every row that a copy reaches.": lambda kernel, stride, n: (
            transposed_matrix(kernel, stride, n)[: stride * n]
        ),
    },
)


def precision_recall(
    boxes, scores, truths, threshold, *, order=lambda scores: np.argsort(-scores), again=False, any_box=False
):
    free, hits = np.ones(len(truths), dtype=bool), 0
    for ious in box_iou(boxes, truths)[order(scores)]:
        place = np.argmax(ious if any_box else np.where(free, ious, -1))
        if free[place] and ious[place] >= threshold:
            hits, free[place] = hits + 1, again
    return hits / len(boxes), hits / len(truths)


def _scene(rng):
    """Crowded true boxes, and found boxes around them."""
    n, m = rng.integers((12, 9), (17, 13)).tolist()
    truths = _boxes(rng, m, spread=1, sides=(3, 5))
    boxes = truths[rng.integers(m, size=n)] + rng.normal(scale=0.5, size=(n, 4))
    return {"boxes": boxes, "scores": rng.uniform(0.1, 1, size=n), "truths": truths, "threshold": 0.65}


# So large that what an answer adds to the union, against dividing by 0, is lost
HALVES = np.array([[[0.0, 0, 4, 2]], [[0, 0, 4, 4]]]) * 2**20

Exercise(
    "precision_recall",
    right=precision_recall,
    draw=_scene,
    mistakes={
        "The two numbers are in the wrong order: precision first.": lambda **c: precision_recall(**c)[::-1],
        "Recall is divided by the number of true boxes.": lambda **c: precision_recall(**c)[:1] * 2,
        "The boxes are taken as they come: begin with the highest score.": dict(order=lambda s: np.arange(len(s))),
        "The boxes are taken from the lowest score up: begin with the highest.": dict(order=np.argsort),
        "A true box is taken more than once: each counts for one hit only.": dict(again=True),
        "A box whose best true box is taken fails here: take the best of those that are left.": dict(any_box=True),
    },
    also=[
        (
            "An IoU that equals the threshold is a hit too: at least is ≥.",
            {"boxes": HALVES[0], "scores": np.array([0.4]), "truths": HALVES[1], "threshold": 0.5},
        ),
        (
            "With threshold 0 a box is a hit as long as a true one is left.",
            {"boxes": HALVES[0] + 2**30, "scores": np.array([0.4]), "truths": HALVES[1], "threshold": 0.0},
        ),
    ],
)


def decoder_step(answer) -> None:
    import keras

    rng = np.random.default_rng()
    (h, w), (c, d) = rng.permutation([3, 4, 5, 6])[:2].tolist(), rng.permutation([3, 4, 5])[:2].tolist()
    filters, shapes = int(rng.integers(11, 15)), ((h, w, c), (2 * h, 2 * w, d))
    tensors = dict(zip(("coarse", "fine"), map(keras.Input, shapes), strict=True))
    model = model_of(
        answer,
        tensors | {"filters": filters},
        added="You add the two maps: concatenate them, coarse upsampled before.",
        joined="Maps of {} cannot be joined: upsample coarse by 2 before, in height and width; leave fine as it is.",
    )
    convolutions, normalisations, others = parts_of(model)
    kinds = [(*kernel_shape(part)[:2], "bias" in part) for part in convolutions]
    if normalisations or others or kinds != [(3, 3, True)]:
        raise Mistake("One Conv2D of 3×3 with bias is asked for, and nothing else to train: use UpSampling2D.")
    shape, asked = tuple(model.output.shape[1:]), (2 * h, 2 * w, filters)
    if shape != asked:
        raise Mistake(
            f"The result has shape {shape}, where {asked} is asked for: upsample coarse, join the channels, and then "
            "convolve with padding='same'."
        )
    reads = kernel_shape(convolutions[0])[2]
    if reads != c + d:
        raise Mistake(f"The convolution reads {reads} channels: concatenate coarse and fine, {c + d} together.")
    weights = randomised(convolutions, rng)
    coarse, fine = (rng.normal(size=(3, *sides)) for sides in shapes)
    nearest, bilinear = (
        np.asarray(keras.layers.UpSampling2D(interpolation=way)(coarse.astype("float32")))
        for way in ("nearest", "bilinear")
    )
    known = {
        "": ("CR", nearest),
        "The ReLU is missing: Conv2D has none unless it is told to.": ("C", nearest),
        "The ReLU comes before the convolution: it belongs after it.": ("RC", nearest),
        "The upsampling is bilinear: by itself UpSampling2D repeats each value.": ("CR", bilinear),
    }
    outcomes = (
        (diagnosis, stepped(steps, np.concatenate(maps, axis=-1), weights))
        for diagnosis, (steps, large) in known.items()
        for maps in ((large, fine), (fine, large))  # the order in which the two are joined is free
    )
    if not is_right(computed(model, coarse, fine), outcomes):
        raise Mistake("It does not compute what is asked for: look at what is upsampled, and at the one ReLU.")


Exercise("decoder_step", judge=decoder_step, seconds=60)
