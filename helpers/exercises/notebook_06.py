"""The exercises of notebook 06, beyond classification: each checker is named like its exercise."""

import operator
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from .engine import Mistake, call, exercise, in_either, judge, numbers
from .keras_blocks import computed, is_right, kernel_shape, model_of, parts_of, randomised, stepped


def _refuse_nan(answer, case: Mapping, diagnosis: str) -> None:
    """Raise this diagnosis when the result holds NaN, which equals nothing and is in no comparison."""
    with np.errstate(all="ignore"):  # the diagnosis says it
        result = numbers(call(answer, case))
    if result is not None and np.isnan(result).any():
        raise Mistake(diagnosis)


@exercise
def prediction_map(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"side": 20, "trained": 8, "stride": 4, "channels": 3, "units": 5}]
    for _ in range(10):
        stride, kernel, more, channels, units = (int(value) for value in rng.integers(2, (9, 6, 12, 12, 12)))
        sides = {"side": (kernel + more) * stride, "trained": kernel * stride}
        cases.append(sides | {"stride": stride, "channels": channels, "units": units})

    def outcomes(side, trained, stride, channels, units):
        read, kernel = side // stride, trained // stride  # the sides of the map that is read, and of the kernel
        right = places, parameters = read - kernel + 1, (kernel**2 * channels + 1) * units
        wrong_sides = {
            "These are the steps from the first place to the last: count the first place too.": places - 1,
            "You lay the windows side by side: there is one every stride pixels.": side // trained,
            "The stride has no effect: there is a window every stride pixels.": side - trained + 1,
            "This is the map that the new convolution reads: without padding it leaves a smaller one.": read,
            "The new kernel is trained/stride on a side, not trained.": read - trained + 1,
            "This is the number of places in the map: return its side.": places**2,
        }
        wrong_parameters = {
            "The biases are missing: one for each unit.": parameters - units,
            "There is one bias for each unit, not one in all.": parameters - units + 1,
            "The weights are counted once for each place: all places share them.": places**2 * parameters,
            "The kernel is 1×1: the dense layer reads places as well as channels.": (channels + 1) * units,
            "You count one side of the kernel: take the square.": (kernel * channels + 1) * units,
            "The kernel is as large as the image, not as its map.": (trained**2 * channels + 1) * units,
            "The kernel is as large as the new map: it stays as it was.": (read**2 * channels + 1) * units,
            "The kernel has one slice: there is one for each channel.": (kernel**2 + 1) * units,
            "These are the parameters of one unit.": parameters / units,
        }
        said = "The side is right.", "The number of parameters is right."
        return {
            "": right,
            "The two numbers are in the wrong order: the side first.": right[::-1],
            "This is the sum of both: return two numbers.": sum(right),
        } | in_either(right, wrong_sides, wrong_parameters, said)

    judge(answer, outcomes, cases)
    one_place = {"side": 12, "trained": 12, "stride": 4, "channels": 5, "units": 3}
    judge(answer, lambda **case: {"": outcomes(**case)[""]}, [one_place, one_place | {"trained": 4}])


def _overlaps(a, b, clip=lambda wide, high: np.maximum(wide, 0) * np.maximum(high, 0), one=0) -> tuple:
    """All intersections and the areas of a and b, with another way to clip, or so many pixels more on a side."""
    (left, top, right, bottom), others = a.T[..., None], b.T
    wide = np.minimum(right, others[2]) - np.maximum(left, others[0]) + one
    high = np.minimum(bottom, others[3]) - np.maximum(top, others[1]) + one
    area = (others[2] - others[0] + one) * (others[3] - others[1] + one)
    return clip(wide, high), (right - left + one) * (bottom - top + one), area


def _iou(a, b, **changes) -> np.ndarray:
    both, area_a, area_b = _overlaps(a, b, **changes)
    return both / (area_a + area_b - both)


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """On a fine grid, where the sides of a narrow overlap are exact in float32 too."""
    corners = rng.integers(0, 8 * 1024, size=(count, 2))
    return np.concatenate([corners, corners + rng.integers(1024, 6 * 1024, size=(count, 2))], axis=1) / 1024


@exercise
def box_iou(answer) -> None:
    rng = np.random.default_rng()
    # Pairs that overlap, the first or the second larger, that touch, and that lie apart in one direction and in both
    a = np.array([[0.0, 1, 4, 4], [6, 0, 9, 3]])
    b = np.array([[2.0, 2, 5, 7], [4, 1, 5, 5], [7, 6, 12, 9], [1, 5, 3, 6.5], [8, 1, 9.5, 2]])
    cases = [{"a": np.concatenate([a, _boxes(rng, n)]), "b": np.concatenate([b, _boxes(rng, n)])} for n in (1, 3)]

    def with_edges(boxes):
        """The edges of boxes whose last two numbers are width and height."""
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)

    def outcomes(a, b):
        both, area_a, area_b = _overlaps(a, b)
        union = area_a + area_b - both
        right = both / union
        return {
            "": right,
            "You divide by the sum of the areas: the union has the intersection only once.": both / (area_a + area_b),
            "You divide by the area of the smaller box: divide by the union.": both / np.minimum(area_a, area_b),
            "You divide by the area of the larger box: divide by the union.": both / np.maximum(area_a, area_b),
            "You divide by the area of the box in a: divide by the union.": both / area_a,
            "You divide by the area of the box in b: divide by the union.": both / area_b,
            "These are the intersections: divide them by the unions.": both,
            "These are the unions: divide the intersections by them.": union,
            "The result is transposed: a row for each box of a.": right.T,
            "Where two boxes lie apart in both directions, two negative sides have a positive product: clip each at 0 "
            "before you multiply.": _iou(a, b, clip=lambda wide, high: np.maximum(wide * high, 0)),
            "Where two boxes lie apart, a side of the intersection is negative: clip it at 0.": (
                _iou(a, b, clip=operator.mul)
            ),
            "The last two numbers of a box are its right and bottom edge: you take them as width and height.": (
                _iou(with_edges(a), with_edges(b))
            ),
            "You add 1 to each side, as if an edge were a whole pixel: a side is right − left.": _iou(a, b, one=1),
        }

    judge(answer, outcomes, cases)
    few = [{"a": _boxes(rng, n), "b": _boxes(rng, m)} for n, m in ((1, 5), (4, 1), (3, 3))]
    judge(answer, lambda a, b: {"": _iou(a, b)}, few)
    # A box without area, in another, beside it and on itself
    flat = {"a": np.array([[1.0, 1, 4, 1], [2, 2, 2, 2]]), "b": np.array([[2.0, 2, 2, 2], [0, 0, 5, 5], [1, 1, 4, 1]])}
    _refuse_nan(answer, flat, "Two boxes without area have a union without area, and 0/0 is NaN: they have 0.")
    with np.errstate(all="ignore"):
        judge(answer, lambda a, b: {"": np.zeros((2, 3))}, [flat])


def _ious(matrix: np.ndarray) -> np.ndarray:
    """Of each class; NaN for one that is neither there nor predicted."""
    hits = matrix.diagonal()
    with np.errstate(invalid="ignore"):
        return hits / (matrix.sum(0) + matrix.sum(1) - hits)


@exercise
def mean_iou(answer) -> None:
    rng = np.random.default_rng()
    full = [rng.integers(1, 30, size=(n, n)) + np.diag(rng.integers(10, 90, size=n)) for n in (3, 4, 6)]

    def right(matrix):
        return matrix.trace() / matrix.sum(), np.nanmean(_ious(matrix))

    def outcomes(matrix):
        hit, true, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        union = true + predicted - hit
        wrong_accuracies = {
            "The pixel accuracy is no mean over classes: each pixel counts the same.": (hit / true).mean(),
            "This is the share of wrong pixels, not the accuracy.": 1 - hit.sum() / true.sum(),
            "This is the number of right pixels: divide by that of all.": hit.sum(),
        }
        wrong_means = {
            "You divide by the true pixels, for the recall: divide by the union.": (hit / true).mean(),
            "You divide by the predicted pixels, for the precision: take the union.": (hit / predicted).mean(),
            "The right pixels are in the union twice: subtract them once.": (hit / (true + predicted)).mean(),
            "The right pixels are subtracted twice.": (hit / (union - hit)).mean(),
            "Classes are weighted by their pixels: here each counts the same.": (
                (true * hit / union).sum() / true.sum()
            ),
            "You add up the classes before you divide: take the mean of the quotients.": hit.sum() / union.sum(),
            "The first class is left out.": (hit / union)[1:].mean(),
            "There is a value for each class: return their mean.": hit / union,
        }
        both = right(matrix)
        return {
            "": both,
            "The two numbers are in the wrong order: the pixel accuracy first.": both[::-1],
        } | in_either(both, wrong_accuracies, wrong_means, ("The pixel accuracy is right.", "The mean is right."))

    judge(answer, outcomes, [{"matrix": matrix} for matrix in full])
    # One class is neither there nor predicted, another is not there, and two are never predicted
    cases = []
    for absent, unseen, *missed in (rng.permutation(6)[:4], (5, 0, 2, 3)):
        matrix = rng.integers(5, 30, size=(6, 6))
        matrix[[absent, unseen]] = matrix[:, [absent, *missed]] = 0
        cases.append({"matrix": matrix})
        _refuse_nan(answer, cases[-1], "A class that is neither there nor predicted has 0/0, or NaN: leave it out.")

    def with_absent(matrix):
        accuracy, mean = right(matrix)
        ious, hit, true, predicted = _ious(matrix), matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        wrong_choices = {
            "A class neither there nor predicted counts as 0: leave it out.": np.nan_to_num(ious),
            "A class neither there nor predicted counts as 1: leave it out.": np.nan_to_num(ious, nan=1),
            "A class that is predicted but not there is left out: it counts as 0.": ious[true > 0],
            "A class that is there but never predicted is left out: it counts as 0.": ious[predicted > 0],
            "A class of which no pixel is right is left out: it counts as 0.": ious[hit > 0],
        }
        return {"": (accuracy, mean)} | {text: (accuracy, chosen.mean()) for text, chosen in wrong_choices.items()}

    with np.errstate(all="ignore"):
        judge(answer, with_absent, cases)


def _copies(kernel: np.ndarray, stride: int, n: int) -> np.ndarray:
    """A copy of the kernel in each of n columns, each `stride` rows below the one before."""
    matrix = np.zeros((stride * (n - 1) + len(kernel), n))
    for column in range(n):
        matrix[stride * column :][: len(kernel), column] = kernel
    return matrix


@exercise
def transposed_matrix(answer) -> None:
    rng = np.random.default_rng()
    # No value is near an integer, and no kernel is as long as its stride
    cases = [
        {"kernel": rng.integers(1, 9, size=k) + rng.uniform(0.2, 0.8, size=k), "stride": stride, "n": n}
        for k, stride, n in ((3, 2, 4), (4, 3, 5), (2, 4, 3), (5, 2, int(rng.integers(6, 9))))
    ]

    def outcomes(kernel, stride, n):
        right, one_apart = _copies(kernel, stride, n), _copies(kernel, 1, n)
        return {
            "": right,
            "This is its transpose, an ordinary convolution's: the copies are in the columns.": right.T,
            "The kernel is turned around: its values keep their order.": _copies(kernel[::-1], stride, n),
            "Each copy begins one row below the one before: it is stride rows.": one_apart,
            "The copies have the distance of a stride of 1, and zeros follow.": (
                np.pad(one_apart, [(0, (stride - 1) * (n - 1)), (0, 0)])
            ),
            "The copies stand side by side and never overlap: the next begins stride rows further.": (
                _copies(kernel, len(kernel), n)
            ),
            "stride and n have changed places.": _copies(kernel, n, stride),
            "The first copy begins one row too late.": np.pad(right, [(1, 0), (0, 0)]),
            "The ends are cut off, to stride · n rows: keep every row that a copy reaches.": right[: stride * n],
            "The last rows are zeros: leave them out.": np.pad(right, [(0, stride - 1), (0, 0)]),
            "This is the result for values of 1: return the matrix.": right.sum(1),
            "Values are cut to integers: make the zeros of floats.": np.trunc(right),
        }

    judge(answer, outcomes, cases)
    kernel = cases[0]["kernel"]
    edges = ((kernel, 1, 4), (kernel, 3, 1), (kernel[:1], 2, 3))
    cases = [{"kernel": k, "stride": stride, "n": n} for k, stride, n in edges]
    judge(answer, lambda **case: {"": _copies(**case)}, cases)


def _detected(
    boxes,
    scores,
    truths,
    threshold,
    pick=np.argmax,
    hit=operator.ge,
    again=False,
    any_box=False,
    missed=False,
) -> tuple[float, float]:
    """Precision and recall, with another choice of the true box or rule."""
    iou, free, hits = _iou(boxes, truths), np.ones(len(truths), dtype=bool), 0
    for row in np.argsort(-scores):
        place = pick(iou[row] if any_box else np.where(free, iou[row], -1))
        reached = bool(free[place] and hit(iou[row, place], threshold))
        hits += reached
        free[place] &= again or not (reached or missed)
    return hits / len(boxes), hits / len(truths)


def _scene(rng: np.random.Generator) -> dict:
    """Crowded true boxes, found boxes around them, and no IoU so near to another that rounding decides."""
    while True:
        n, m = (int(value) for value in rng.integers((8, 6), (12, 9)))
        corners = rng.uniform(0, 1, size=(m, 2))
        truths = np.concatenate([corners, corners + rng.uniform(3, 5, size=(m, 2))], axis=1)
        boxes = truths[rng.integers(m, size=n)] + rng.normal(scale=0.5, size=(n, 4))
        threshold = round(float(rng.uniform(0.5, 0.8)), 2)
        iou = _iou(boxes, truths)
        gaps = np.diff(np.sort(np.concatenate([iou, np.full((n, 1), threshold)], axis=1)), axis=1)
        if gaps.min() > 1e-3:
            scores = rng.permutation(np.linspace(0.1, 0.95, n)) + rng.uniform(0, 0.01, size=n)
            return {"boxes": boxes, "scores": scores, "truths": truths, "threshold": threshold}


@exercise
def precision_recall(answer) -> None:
    rng = np.random.default_rng()
    # An IoU of exactly 1/2. It is so large that what an answer adds to the union, against dividing by 0, is lost.
    tie = {
        "boxes": np.array([[0.0, 0, 4, 2], [6, 6, 8, 8]]) * 2**20,
        "scores": np.array([0.4, 0.8]),
        "truths": np.array([[0.0, 0, 4, 4], [6, 0, 8, 2], [9, 9, 12, 10]]) * 2**20,
        "threshold": 0.5,
    }

    def outcomes(boxes, scores, truths, threshold):
        detected = partial(_detected, boxes=boxes, scores=scores, truths=truths, threshold=threshold)
        right = precision, recall = detected()
        reached = _iou(boxes, truths) >= threshold
        by_truths = _detected(truths, -np.arange(len(truths)), boxes, threshold)
        return {
            "": right,
            "The two numbers are in the wrong order: precision first.": right[::-1],
            "Both are divided by the number of found boxes: for recall take the true ones.": (precision, precision),
            "Both are divided by the number of true boxes: for precision take the found.": (recall, recall),
            "These are numbers of hits: divide them.": (round(precision * len(scores)),) * 2,
            "The boxes are taken as they come: begin with the highest score.": (
                detected(scores=-np.arange(len(scores)))
            ),
            "The boxes are taken from the lowest score up: begin with the highest.": detected(scores=-scores),
            "An IoU that equals the threshold is a hit too: at least is ≥.": detected(hit=operator.gt),
            "A true box is taken more than once: each counts for one hit only.": detected(again=True),
            "A box whose best true box is taken fails here: take the best of those that are left.": (
                detected(any_box=True)
            ),
            "A box that is no hit takes a true box all the same: leave it to the next.": detected(missed=True),
            "Each box takes the first true box that reaches the threshold: take the one with the largest IoU.": (
                detected(pick=lambda iou: (iou >= threshold).argmax())
            ),
            "The true boxes take found ones, in their own order: the found ones take, by their scores.": (
                by_truths[::-1]
            ),
            "You count the boxes near any true box, and the true boxes near any found one: in a hit one takes one.": (
                reached.any(axis=1).mean(),
                reached.any(axis=0).mean(),
            ),
            "The threshold has no effect: you ask for 0.5.": detected(threshold=0.5),
        }

    cases, results = [tie], [(outcome,) for outcome in outcomes(**tie).values()]
    # Until each mistake gives other numbers than the others, and than no mistake
    while len(set(results)) < len(results):
        cases.append(_scene(rng))
        drawn = outcomes(**cases[-1]).values()
        results = [(*before, outcome) for before, outcome in zip(results, drawn, strict=True)]
    judge(answer, outcomes, cases)
    # All found, and a single box that finds nothing
    truths = cases[1]["truths"]
    all_found = {"boxes": truths, "scores": np.linspace(0.9, 0.2, len(truths)), "truths": truths, "threshold": 0.7}
    none_found = {"boxes": truths[:1] + 50, "scores": np.array([0.9]), "truths": truths, "threshold": 0.4}
    judge(answer, lambda **case: {"": _detected(**case)}, [all_found, none_found])


@exercise
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
