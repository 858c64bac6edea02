"""The exercises of notebook 06, beyond classification."""

import operator
from collections.abc import Iterator, Mapping

import numpy as np

from .engine import Exercise, Mistake
from .keras_blocks import computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


def prediction_map(side, trained, stride, channels, units, *, more=1, read=None, kernel=None, slices=None, biases=1):
    map_side, kernel = read or side // stride, kernel or trained // stride
    return map_side - kernel + more, (kernel**2 * (slices or channels) + biases) * units


def _windows(rng):
    stride, kernel, more, channels, units = rng.integers(2, (9, 6, 12, 12, 12)).tolist()
    sizes = {"side": (kernel + more) * stride, "trained": kernel * stride, "stride": stride}
    return sizes | {"channels": channels, "units": units}


Exercise(
    "prediction_map",
    right=prediction_map,
    draw=_windows,
    mistakes={
        "The two numbers are in the wrong order: the side first.": lambda **c: prediction_map(**c)[::-1],
        "These are the steps from the first place to the last: count the first place too.": dict(more=0),
        "The stride has no effect: there is a window every stride pixels.": lambda **c: (
            c["side"] - c["trained"] + 1,
            prediction_map(**c)[1],
        ),
        "This is the map that the new convolution reads: without padding it leaves a smaller one.": lambda **c: (
            c["side"] // c["stride"],
            prediction_map(**c)[1],
        ),
        "The biases are missing: one for each unit.": dict(biases=0),
        "The kernel is 1×1: the dense layer reads places as well as channels.": lambda **c: (
            prediction_map(**c)[0],
            prediction_map(**c, kernel=1)[1],
        ),
        "The kernel has one slice: there is one for each channel.": dict(slices=1),
    },
    also=[
        ("An image as large as in training has one place.", dict(side=12, trained=12, stride=4, channels=5, units=3)),
        ("With stride 1 there is a window at each pixel.", dict(side=9, trained=4, stride=1, channels=2, units=3)),
    ],
)


def box_iou(
    a, b, *, clip=lambda wide, high: np.maximum(wide, 0) * np.maximum(high, 0), below=None, edges=lambda x: x, one=0
):
    (left, top, right, bottom), others = edges(a).T[..., None], edges(b).T
    wide = np.minimum(right, others[2]) - np.maximum(left, others[0]) + one
    high = np.minimum(bottom, others[3]) - np.maximum(top, others[1]) + one
    area_a = (right - left + one) * (bottom - top + one)
    area_b = (others[2] - others[0] + one) * (others[3] - others[1] + one)
    both = clip(wide, high)
    union = below(area_a, area_b) if below else area_a + area_b - both
    return np.divide(both, union, out=np.zeros(both.shape), where=union != 0)


def _boxes(rng, count):
    corners = rng.uniform(0, 8, size=(count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 6, size=(count, 2))], axis=1)


def _two_lists(rng):
    # Pairs that overlap, the first or the second larger, that touch, and that lie apart in one direction and in both
    a = np.array([[0.0, 1, 4, 4], [6, 0, 9, 3]])
    b = np.array([[2.0, 2, 5, 7], [4, 1, 5, 5], [7, 6, 12, 9], [1, 5, 3, 6.5], [8, 1, 9.5, 2]])
    n, m = rng.integers(1, 5, size=2)
    return {"a": np.concatenate([a, _boxes(rng, n)]), "b": np.concatenate([b, _boxes(rng, m)])}


Exercise(
    "box_iou",
    right=box_iou,
    draw=_two_lists,
    mistakes={
        "You divide by the sum of the areas: the union has the intersection only once.": dict(below=lambda a, b: a + b),
        "You divide by the area of the smaller box: divide by the union.": dict(below=np.minimum),
        "The result is transposed: a row for each box of a.": lambda a, b: box_iou(a, b).T,
        "Where two boxes lie apart in both directions, two negative sides have a positive product: clip each at 0 "
        "before you multiply.": dict(clip=lambda wide, high: np.maximum(wide * high, 0)),
        "Where two boxes lie apart, a side of the intersection is negative: clip it at 0.": dict(clip=operator.mul),
        "The last two numbers of a box are its right and bottom edge: you take them as width and height.": dict(
            edges=lambda x: np.concatenate([x[:, :2], x[:, :2] + x[:, 2:]], axis=1)
        ),
        "You add 1 to each side, as if an edge were a whole pixel: a side is right − left.": dict(one=1),
    },
    also=[
        (
            "Two boxes without area have a union without area, and 0/0 is NaN: they have 0.",
            {
                "a": np.array([[1.0, 1, 4, 1], [2, 2, 2, 2]]),
                "b": np.array([[2.0, 2, 2, 2], [0, 0, 5, 5], [1, 1, 4, 1]]),
            },
        )
    ],
)


def mean_iou(matrix, *, union=lambda true, predicted, hit: true + predicted - hit, mean=None, accuracy=None):
    hit, true, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    there = true + predicted > 0
    ious = hit[there] / union(true, predicted, hit)[there]
    right = accuracy(hit, true) if accuracy else hit.sum() / matrix.sum()
    return right, mean(ious, true, hit) if mean else ious.mean()


def _confusion(rng):
    n = int(rng.integers(3, 7))
    return {"matrix": rng.integers(1, 30, size=(n, n)) + np.diag(rng.integers(10, 90, size=n))}


def _without(absent=(), unseen=(), missed=()):
    """A confusion in which classes are neither there nor predicted, only predicted, or only there."""
    matrix = np.random.default_rng(0).integers(5, 30, size=(6, 6))
    matrix[[*absent, *unseen]] = 0
    matrix[:, [*absent, *missed]] = 0
    return {"matrix": matrix}


Exercise(
    "mean_iou",
    right=mean_iou,
    draw=_confusion,
    mistakes={
        "The two numbers are in the wrong order: the pixel accuracy first.": lambda matrix: mean_iou(matrix)[::-1],
        "The pixel accuracy is no mean over classes: each pixel counts the same.": dict(
            accuracy=lambda hit, true: (hit / true).mean()
        ),
        "You divide by the true pixels, for the recall: divide by the union.": dict(
            union=lambda true, predicted, hit: true
        ),
        "The right pixels are in the union twice: subtract them once.": dict(
            union=lambda true, predicted, hit: true + predicted
        ),
        "This is the Dice coefficient, 2·intersection / sum of both: the IoU divides by the union.": dict(
            union=lambda true, predicted, hit: (true + predicted) / 2
        ),
        "Classes are weighted by their pixels: here each counts the same.": dict(
            mean=lambda ious, true, hit: (ious * true).sum() / true.sum()
        ),
        "The first class is left out.": dict(mean=lambda ious, true, hit: ious[1:].mean()),
    },
    also=[
        ("A class that is neither there nor predicted has 0/0, or NaN: leave it out.", _without(absent=[2])),
        ("A class that is predicted but not there counts as 0.", _without(unseen=[0])),
        ("A class that is there but never predicted counts as 0.", _without(missed=[1, 3])),
    ],
)


def transposed_matrix(kernel, stride, n):
    matrix = np.zeros((stride * (n - 1) + len(kernel), n))
    for column in range(n):
        matrix[stride * column :][: len(kernel), column] = kernel
    return matrix


def _transposed(rng):
    k, stride = (int(side) for side in rng.permutation([2, 3, 4, 5])[:2])
    return {"kernel": rng.uniform(1.2, 8.8, size=k), "stride": stride, "n": int(rng.integers(3, 8))}


Exercise(
    "transposed_matrix",
    right=transposed_matrix,
    draw=_transposed,
    mistakes={
        "This is its transpose, an ordinary convolution's: the copies are in the columns.": lambda **c: (
            transposed_matrix(**c).T
        ),
        "The kernel is turned around: its values keep their order.": lambda **c: transposed_matrix(
            **c | {"kernel": c["kernel"][::-1]}
        ),
        "Each copy begins one row below the one before: it is stride rows.": lambda **c: transposed_matrix(
            **c | {"stride": 1}
        ),
        "The copies stand side by side and never overlap: the next begins stride rows further.": lambda **c: (
            transposed_matrix(**c | {"stride": len(c["kernel"])})
        ),
        "The ends are cut off, to stride · n rows: keep every row that a copy reaches.": lambda **c: transposed_matrix(
            **c
        )[: c["stride"] * c["n"]],
        "This is the result for values of 1: return the matrix.": lambda **c: transposed_matrix(**c).sum(axis=1),
        "Values are cut to integers: make the zeros of floats.": lambda **c: np.trunc(transposed_matrix(**c)),
    },
    also=[
        ("With stride 1:", {"kernel": np.array([1.5, 2, 3]), "stride": 1, "n": 4}),
        ("A single column:", {"kernel": np.array([1.5, 2, 3]), "stride": 3, "n": 1}),
        ("A kernel of one value:", {"kernel": np.array([1.5]), "stride": 2, "n": 3}),
    ],
)


def precision_recall(boxes, scores, truths, threshold, *, hit=operator.ge, again=False, any_box=False, missed=False):
    iou, free, hits = box_iou(boxes, truths), np.ones(len(truths), dtype=bool), 0
    for row in np.argsort(-scores):
        place = np.argmax(iou[row] if any_box else np.where(free, iou[row], -1))
        reached = bool(free[place] and hit(iou[row, place], threshold))
        hits += reached
        free[place] &= again or not (reached or missed)
    return hits / len(boxes), hits / len(truths)


def _scene(rng):
    """Crowded true boxes, found boxes around them, and no IoU so near to the threshold that rounding decides."""
    while True:
        n, m = rng.integers((12, 9), (17, 13)).tolist()
        corners = rng.uniform(0, 1, size=(m, 2))
        truths = np.concatenate([corners, corners + rng.uniform(3, 5, size=(m, 2))], axis=1)
        boxes = truths[rng.integers(m, size=n)] + rng.normal(scale=0.5, size=(n, 4))
        threshold = round(float(rng.uniform(0.5, 0.8)), 2)
        iou = box_iou(boxes, truths)
        gaps = np.diff(np.sort(np.concatenate([iou, np.full((n, 1), threshold)], axis=1)), axis=1)
        if gaps.min() > 1e-3:
            scores = rng.permutation(np.linspace(0.1, 0.95, n)) + rng.uniform(0, 0.01, size=n)
            return {"boxes": boxes, "scores": scores, "truths": truths, "threshold": threshold}


# So large that what an answer adds to the union, against dividing by 0, is lost
TRUE = np.array([[0.0, 0, 4, 4], [6, 0, 8, 2], [9, 9, 12, 10]]) * 2**20

Exercise(
    "precision_recall",
    right=precision_recall,
    draw=_scene,
    mistakes={
        "The two numbers are in the wrong order: precision first.": lambda **c: precision_recall(**c)[::-1],
        "Both are divided by the number of found boxes: for recall take the true ones.": lambda **c: (
            precision_recall(**c)[0],
            precision_recall(**c)[0],
        ),
        "The boxes are taken as they come: begin with the highest score.": lambda **c: precision_recall(
            **c | {"scores": -np.arange(len(c["scores"]))}
        ),
        "The boxes are taken from the lowest score up: begin with the highest.": lambda **c: precision_recall(
            **c | {"scores": -c["scores"]}
        ),
        "A true box is taken more than once: each counts for one hit only.": dict(again=True),
        "A box whose best true box is taken fails here: take the best of those that are left.": dict(any_box=True),
        "A box that is no hit takes a true box all the same: leave it to the next.": dict(missed=True),
    },
    also=[
        (
            "An IoU that equals the threshold is a hit too: at least is ≥.",
            {"boxes": TRUE[:1] * [1, 1, 1, 0.5], "scores": np.array([0.4]), "truths": TRUE, "threshold": 0.5},
        ),
        (
            "Nothing is found at all.",
            {"boxes": TRUE[:1] + 2**30, "scores": np.array([0.9]), "truths": TRUE, "threshold": 0.4},
        ),
        (
            "With threshold 0 a box is a hit as long as a true one is left.",
            {"boxes": TRUE[[0, 0]], "scores": np.array([0.9, 0.8]), "truths": TRUE[:1], "threshold": 0.0},
        ),
    ],
)


def decoder_step(answer) -> None:
    rng = np.random.default_rng()
    size = tuple(int(side) for side in rng.permutation([3, 4, 5, 6])[:2])
    c, d = (int(channels) for channels in rng.permutation([3, 4, 5])[:2])
    # With the same number of channels first: maps can be added then, which the numbers tell from joining them
    for channels in ((c, c), (c, d)):
        _check_step(answer, rng, size, channels, filters=int(rng.integers(11, 15)))


def _check_step(answer, rng: np.random.Generator, size: tuple, channels: tuple, filters: int) -> None:
    import keras

    doubled = 2 * size[0], 2 * size[1]
    shapes = (*size, channels[0]), (*doubled, channels[1])
    tensors = dict(zip(("coarse", "fine"), map(keras.Input, shapes), strict=True))
    model = model_of(
        answer,
        tensors | {"filters": filters},
        added="These maps cannot be added: upsample coarse, and concatenate it with fine.",
        joined="Maps of {} cannot be joined: upsample coarse by 2 before, in height and width, and leave fine as it "
        "is.",
    )
    convolutions, normalisations, others = parts_of(model)
    if any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in model.layers):
        raise Mistake("There is a transposed convolution in it: UpSampling2D repeats each value, and has no weights.")
    if normalisations or others:
        raise Mistake("A layer has other weights than a convolution's: there is one Conv2D and nothing else to train.")
    if len(convolutions) != 1:
        raise Mistake(f"The number of convolutions in it is {len(convolutions)}, where 1 is asked for.")
    *kernel, reads, _ = kernel_shape(convolutions[0])
    if kernel != [3, 3]:
        raise Mistake(f"The convolution has a kernel of {kernel[0]}×{kernel[1]}, where 3×3 is asked for.")
    if "bias" not in convolutions[0]:
        raise Mistake("The convolution has no bias: leave use_bias as it is.")
    shape = tuple(model.output.shape[1:])
    if shape != (*doubled, filters):
        known = {
            (doubled[0] - 2, doubled[1] - 2, filters): "the convolution needs padding='same'",
            (*size, filters): "upsample coarse to the size of fine, which stays as it is",
            (*doubled, filters + channels[1]): "the convolution comes after the concatenation, and reads both",
            (2 * doubled[0], doubled[1], filters): "concatenate the channels, which are the last axis",
        }.get(shape, "look at what changes its size or its channels")
        raise Mistake(f"The result has shape {shape}, where {(*doubled, filters)} is asked for: {known}.")
    weights = randomised(convolutions, rng)[0]
    coarse, fine = (rng.normal(size=(3, *sides)) for sides in shapes)
    result = computed(model, coarse, fine)
    smooth = np.asarray(keras.layers.UpSampling2D(interpolation="bilinear")(coarse.astype("float32")))
    if is_right(result, _steps(coarse.repeat(2, axis=1).repeat(2, axis=2), fine, smooth, weights)):
        return
    if reads != sum(channels):
        raise Mistake(f"The convolution reads {reads} channels, where coarse and fine have {sum(channels)} together.")
    raise Mistake(
        "There is one convolution that reads enough channels, but the block does not compute what is asked for. Look "
        "at what is upsampled and what is joined, and at the activation: one ReLU, after the convolution."
    )


def _steps(large, fine, smooth, weights: Mapping) -> Iterator[tuple[str, np.ndarray]]:
    """What comes out with its diagnosis, none for what is asked for; left out where the kernel reads other channels."""
    read = {
        "": (large, fine),
        "The upsampling is bilinear: by itself UpSampling2D repeats each value, the nearest neighbour.": (smooth, fine),
        "The skip is missing: concatenate the upsampled coarse with fine.": (large,),
        "Only fine is used: concatenate it with the upsampled coarse.": (fine,),
        "coarse is joined with itself: fine is missing.": (large, large),
    }
    if large.shape == fine.shape:
        read["You add the two maps: concatenate them, so that the convolution can tell them apart."] = (large + fine,)
    for diagnosis, maps in read.items():
        # The order in which the two are joined is free
        for ordered in (maps, maps[::-1]):
            x = np.concatenate(ordered, axis=-1)
            if x.shape[-1] != weights["kernel"].shape[2]:
                continue
            yield diagnosis, stepped("CR", x, [weights])
            if not diagnosis:
                yield "The ReLU is missing: Conv2D has none unless it is told to.", stepped("C", x, [weights])
                yield "The ReLU comes before the convolution: it belongs after it.", stepped("RC", x, [weights])


Exercise("decoder_step", judge=decoder_step, seconds=60)
