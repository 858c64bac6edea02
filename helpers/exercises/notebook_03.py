"""The exercises of notebook 03, preprocessing and augmentation: each checker is named like its exercise."""

import textwrap
from collections.abc import Callable, Mapping

import numpy as np

from .engine import Mistake, call, compare, describe, exercise, inputs, numbers, same


@exercise
def count_crops(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"height": 6, "width": 5, "size": 3}, {"height": 7, "width": 7, "size": 7}]
    for _ in range(20):
        size = int(rng.integers(3, 30))
        height, width = (size + int(more) for more in rng.choice(np.arange(1, 40), size=2, replace=False))
        cases.append({"height": height, "width": width, "size": size})

    def of_places(make):
        """What `make` gives for the number of rows and of columns where a crop can begin."""
        return lambda height, width, size: make(height - size + 1, width - size + 1)

    compare(
        answer,
        of_places(lambda rows, columns: 2 * rows * columns),
        cases,
        {
            "One place too few on each side, as in the paper on AlexNet: a crop has a place before it takes its first "
            "step.": of_places(lambda rows, columns: 2 * (rows - 1) * (columns - 1)),
            "The mirror images are missing, and a place on each side: a crop has one before it takes its first "
            "step.": of_places(lambda rows, columns: (rows - 1) * (columns - 1)),
            "The mirror images are missing: each crop has one.": of_places(lambda rows, columns: rows * columns),
            "You count mirror images twice over: only left and right change places, so there are two of each crop.": (
                of_places(lambda rows, columns: 4 * rows * columns)
            ),
            "You move the crop down only: it moves to the right as well.": of_places(lambda rows, columns: 2 * rows),
            "You move the crop to the right only: it moves down as well.": of_places(lambda rows, columns: 2 * columns),
            "You add the rows' places to the columns': each row goes with each column.": of_places(
                lambda rows, columns: 2 * (rows + columns)
            ),
            "You add the rows' places to the columns', without mirror images: each row goes with each column.": (
                of_places(lambda rows, columns: rows + columns)
            ),
            "The width has no effect: you use the height for both sides.": of_places(lambda rows, columns: 2 * rows**2),
            "The height has no effect: you use the width for both sides.": of_places(
                lambda rows, columns: 2 * columns**2
            ),
            "The size has no effect: a crop that begins at the last pixel would hang over the edge.": (
                lambda height, width, size: 2 * height * width
            ),
            "These are tiles side by side: crops may overlap.": lambda height, width, size: (
                2 * (height // size) * (width // size)
            ),
            "These are tiles side by side, without mirror images: crops may overlap.": lambda height, width, size: (
                (height // size) * (width // size)
            ),
            "You divide the photograph's area by the crop's: crops may overlap.": lambda height, width, size: (
                2 * height * width / size**2
            ),
            "You subtract the crop's area from the photograph's: count the places where a crop can begin.": (
                lambda height, width, size: 2 * (height * width - size**2)
            ),
            "You count the pixels of all crops: count the crops.": lambda height, width, size: (
                2 * (height - size + 1) * (width - size + 1) * size**2
            ),
            "One place too many on each side: at the last one the crop would hang over the edge.": of_places(
                lambda rows, columns: 2 * (rows + 1) * (columns + 1)
            ),
        },
    )


def _statistics(x, axis=(0, 1, 2)):
    """Mean and standard deviation, by default of each channel."""
    x = x.astype(float)
    return x.mean(axis=axis, keepdims=True), x.std(axis=axis, keepdims=True)


def _standardised(x, mean, std):
    return (x - mean) / std


def _treated(numbers_of: Callable, change: Callable = _standardised) -> Callable:
    """Both sets, each changed with the numbers that `numbers_of` has for it."""
    return lambda x_train, x_test: tuple(
        change(x.astype(float), *numbers_of(x, x_train, x_test)) for x in (x_train, x_test)
    )


def _of_train(axis=(0, 1, 2)) -> Callable:
    return lambda x, x_train, x_test: _statistics(x_train, axis)


def _of_each(axis=(0, 1, 2)) -> Callable:
    return lambda x, x_train, x_test: _statistics(x, axis)


def _extremes(axis) -> Callable:
    return lambda x, x_train, x_test: (
        x_train.min(axis=axis, keepdims=True).astype(float),
        x_train.max(axis=axis, keepdims=True).astype(float),
    )


def _to_unit(x, lowest, highest):
    return (x - lowest) / (highest - lowest)


def _in_uint8(x_train, x_test):
    mean, std = _statistics(x_train)
    return tuple((x - mean.astype(x.dtype)) / std for x in (x_train, x_test))


@exercise
def standardise(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    # The channels lie apart, and the test images are lighter and have less contrast.
    for dtype, train, test in (
        ("uint8", (12, 5, 4, 3), 7),
        ("float32", (9, 4, 6, 3), 5),
        ("float64", (14, 3, 5, 3), 6),
    ):
        x_train = rng.integers((0, 60, 130), (120, 200, 240), size=train)
        x_test = rng.integers((60, 120, 190), (140, 220, 256), size=(test, *train[1:]))
        cases.append({"x_train": x_train.astype(dtype), "x_test": x_test.astype(dtype)})

    first = call(answer, cases[0])
    for part, given in zip(first, cases[0].values(), strict=False) if isinstance(first, (tuple, list)) else ():
        if isinstance(part, np.ndarray) and part.dtype.kind in "ui" and not np.array_equal(part, given):
            raise Mistake(f"Your result is {part.dtype}, which has nothing between whole numbers: make it floats.")

    def right(x_train, x_test, ddof=0):
        pixels = x_train[..., 0].size
        mean, std = _statistics(x_train)
        std = np.where(std == 0, 1, std) * np.sqrt(pixels / (pixels - ddof))
        return _standardised(x_train.astype(float), mean, std), _standardised(x_test.astype(float), mean, std)

    # Dividing by N − 1 in the variance is no mistake, although these sets are so small that it shows.
    ddof = int(same(first, right(**cases[0], ddof=1)))

    def reference(**case):
        return right(**case, ddof=ddof)

    compare(
        answer,
        reference,
        cases,
        {
            "The test images are treated with their own mean and standard deviation: use the training images'.": (
                _treated(_of_each())
            ),
            "The mean and standard deviation are of both sets together: nothing may be learnt from the test images.": (
                _treated(lambda x, x_train, x_test: _statistics(np.concatenate([x_train, x_test])))
            ),
            "Both sets are treated with the test images' numbers: use the training images'.": _treated(
                lambda x, x_train, x_test: _statistics(x_test)
            ),
            "The test images have their mean subtracted: subtract the training images'.": _treated(
                lambda x, x_train, x_test: (_statistics(x)[0], _statistics(x_train)[1])
            ),
            "The test images are divided by their own standard deviation: divide by the training images'.": _treated(
                lambda x, x_train, x_test: (_statistics(x_train)[0], _statistics(x)[1])
            ),
            "The training images are right, the test images come out as they were. (Numbers taken from training images "
            "that are standardised already are 0 and 1.)": lambda **case: (reference(**case)[0], case["x_test"]),
            "The test images are right, the training images come out as they were.": lambda **case: (
                case["x_train"],
                reference(**case)[1],
            ),
            "This is one mean and one standard deviation for all channels: each channel has its own.": _treated(
                _of_train(None)
            ),
            "The mean is of all channels: each channel has its own.": _treated(
                lambda x, x_train, x_test: (_statistics(x_train, None)[0], _statistics(x_train)[1])
            ),
            "The standard deviation is of all channels: each channel has its own.": _treated(
                lambda x, x_train, x_test: (_statistics(x_train)[0], _statistics(x_train, None)[1])
            ),
            "Each pixel has a mean and standard deviation of its own: a channel has one of each, for all its pixels.": (
                _treated(_of_train(0))
            ),
            "Each column has a mean and standard deviation of its own: a channel has one of each.": (
                _treated(_of_train((0, 1)))
            ),
            "Each row has a mean and standard deviation of its own: a channel has one of each.": (
                _treated(_of_train((0, 2)))
            ),
            "Each image is treated with its own numbers: a channel has one mean for all images.": (
                _treated(_of_each((1, 2)))
            ),
            "Each image is treated with one mean of its own for all channels: take one for each channel, "
            "over all images.": _treated(_of_each((1, 2, 3))),
            "The mean goes over the channels of a pixel: take one for each channel, over all pixels.": (
                _treated(_of_each(3))
            ),
            "You divide by the variance: the standard deviation is its square root.": _treated(
                _of_train(), lambda x, mean, std: (x - mean) / std**2
            ),
            "You multiply by the standard deviation: divide by it.": _treated(
                _of_train(), lambda x, mean, std: (x - mean) * std
            ),
            "You only subtract the mean: divide by the standard deviation too.": _treated(
                _of_train(), lambda x, mean, std: x - mean
            ),
            "You only divide by the standard deviation: subtract the mean first.": _treated(
                _of_train(), lambda x, mean, std: x / std
            ),
            "You divide first and subtract the mean of the images before that: subtract, then divide.": _treated(
                _of_train(), lambda x, mean, std: x / std - mean
            ),
            "You subtract in uint8, where 5 − 10 is 251: work with floats.": _in_uint8,
            "The two are in the wrong order: the training images first.": lambda **case: reference(**case)[::-1],
            "This takes each channel from its smallest to its largest value to 0…1: a mean of 0 and a standard "
            "deviation of 1 are asked for.": _treated(_extremes((0, 1, 2)), _to_unit),
            "This takes the images from their smallest to their largest value to 0…1: a mean of 0 and a standard "
            "deviation of 1 are asked for.": _treated(_extremes(None), _to_unit),
            "You divide by 255: a mean of 0 and a standard deviation of 1 are asked for.": lambda x_train, x_test: (
                x_train / 255,
                x_test / 255,
            ),
            "This is −1…1: a mean of 0 and a standard deviation of 1 are asked for.": lambda x_train, x_test: (
                x_train / 127.5 - 1,
                x_test / 127.5 - 1,
            ),
        },
    )
    # A channel of 255: this and its sums are whole numbers in float32 too, even after a division by 255.
    flat = {name: x[:6].copy() for name, x in cases[0].items()}
    for x in flat.values():
        x[..., 1] = 255
    with np.errstate(all="ignore"):  # the diagnosis says it
        result = call(answer, flat)
    if not same(result, reference(**flat)):
        arrays = [numbers(part) for part in result] if isinstance(result, (tuple, list)) else []
        is_nan = any(array is not None and np.isnan(array).any() for array in arrays)
        raise Mistake(
            "A channel that is 255 in every image has standard deviation 0, by which nothing can be divided: such a "
            f"channel is to become 0, and comes out as {'NaN' if is_nan else 'something else'}."
        )


@exercise
def flip_boxes(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for n in (3, 5, 8):
        # Corners in two halves, so that each box has a width and a height
        near, far = rng.uniform(0.02, 0.48, size=(n, 2)), rng.uniform(0.52, 0.98, size=(n, 2))
        cases.append({"boxes": np.concatenate([near, far - near], axis=1)})

    def columns(make):
        return lambda boxes: np.stack(make(*boxes.T), axis=1)

    right = columns(lambda left, top, width, height: (1 - left - width, top, width, height))

    def first_row(boxes):
        boxes = boxes.copy()
        boxes[0] = 1 - boxes[0] - boxes[2]
        return boxes

    compare(
        answer,
        right,
        cases,
        {
            "The boxes are unchanged: they have to follow the mirror.": lambda boxes: boxes,
            "1 − left is where the left edge goes; in the mirror it is the box's right edge.": columns(
                lambda left, top, width, height: (1 - left, top, width, height)
            ),
            "You mirror top and bottom: left is the first column.": columns(
                lambda left, top, width, height: (left, 1 - top - height, width, height)
            ),
            "You mirror top and bottom as well: only left and right change places.": columns(
                lambda left, top, width, height: (1 - left - width, 1 - top - height, width, height)
            ),
            "The width is negative: a box begins at its left edge, in the mirror too.": columns(
                lambda left, top, width, height: (1 - left, top, -width, height)
            ),
            "The third column is the width; you take it for the right edge.": columns(
                lambda left, top, width, height: (1 - width, top, 1 - left, height)
            ),
            "You return the right and the bottom edge: return width and height, as in the input.": columns(
                lambda left, top, width, height: (1 - left - width, top, 1 - left, top + height)
            ),
            "You return the right edge in place of the width.": columns(
                lambda left, top, width, height: (1 - left - width, top, 1 - left, height)
            ),
            "The width changes: a mirror makes nothing wider.": columns(
                lambda left, top, width, height: (1 - left - width, top, 1 - width, height)
            ),
            "All four columns are subtracted from 1: only where the box begins changes.": lambda boxes: 1 - boxes,
            "Boxes begin left of the image: its right edge is at 1, not at 0.": columns(
                lambda left, top, width, height: (-left - width, top, width, height)
            ),
            "Boxes begin left of the image: its right edge is at 1, and a box begins at its left edge.": columns(
                lambda left, top, width, height: (-left, top, width, height)
            ),
            "The width goes the wrong way: the box's other edge is further left, not further right.": columns(
                lambda left, top, width, height: (1 - left + width, top, width, height)
            ),
            "You go back by half the width: left is the box's edge, not its centre.": columns(
                lambda left, top, width, height: (1 - left - width / 2, top, width, height)
            ),
            "1 − width is where a box lies that touches the image's right edge: where it begins counts too.": columns(
                lambda left, top, width, height: (1 - width, top, width, height)
            ),
            "You subtract the height: left and width lie in the same direction.": columns(
                lambda left, top, width, height: (1 - left - height, top, width, height)
            ),
            "The right edge is missing its mirror: left + width is where the box ends before.": columns(
                lambda left, top, width, height: (left + width, top, width, height)
            ),
            "The boxes are right, in the wrong order: box i belongs to image i.": lambda boxes: right(boxes)[::-1],
            "The order of the boxes is reversed: the images are mirrored, not their order.": lambda boxes: boxes[::-1],
            "The order of the columns is reversed: mirror the place, not the array.": lambda boxes: boxes[:, ::-1],
            "boxes[0] is the first box; the first column is boxes[:, 0].": first_row,
            "The columns are right, but they are rows: return (n, 4).": lambda boxes: right(boxes).T,
            "This is the left edge alone: return all four columns.": lambda boxes: right(boxes)[:, 0],
        },
    )


@exercise
def class_weights(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for classes in (3, 2, 5, 7):
        # Different numbers of images, and neither they nor the first images in the order of the classes
        counts = rng.choice(np.arange(2, 30), size=classes, replace=False)
        counts[:2] = max(counts[:2]) + 1, min(counts[:2])
        if classes > 2:
            counts[2] = counts[0] + 5
        labels = rng.permutation(np.repeat(np.arange(classes), counts))
        cases.append({"labels": np.concatenate([np.roll(np.arange(classes), 1), labels]), "classes": classes})

    def of_counts(make):
        """What `make` gives for the numbers of images of each class."""
        return lambda labels, classes: make(np.bincount(labels, minlength=classes))

    def with_mean_over_images(make):
        return of_counts(lambda n: make(n) * n.sum() / (make(n) * n).sum())

    right = with_mean_over_images(lambda n: 1 / n)

    def by_occurrence(labels, classes):
        return right(labels, classes)[list(dict.fromkeys(labels.tolist()))]

    inverse = "The proportions are right, the scale is not: "
    compare(
        answer,
        right,
        cases,
        {
            inverse + "the weights of each class's images sum to 1.": of_counts(lambda n: 1 / n),
            inverse + "the mean over the images is the number of classes.": of_counts(lambda n: n.sum() / n),
            inverse + "the weights sum to 1.": of_counts(lambda n: 1 / n / (1 / n).sum()),
            inverse + "the mean over the classes is 1, where the mean over the images is asked for.": of_counts(
                lambda n: 1 / n / (1 / n).mean()
            ),
            inverse + "the largest weight is 1.": of_counts(lambda n: n.min() / n),
            inverse + "the smallest weight is 1.": of_counts(lambda n: n.max() / n),
            inverse + "you divide by 2, which is right for two classes only.": of_counts(lambda n: n.sum() / (2 * n)),
            inverse + "the class in the middle has weight 1.": of_counts(lambda n: np.median(n) / n),
            inverse + "the sum over the images is 1, where their mean is to be 1.": of_counts(
                lambda n: 1 / (n * len(n))
            ),
            "The more often a class occurs, the larger is its weight here: it should be the smaller.": (
                with_mean_over_images(lambda n: n)
            ),
            "These are the numbers of images of each class: the weights go the other way.": of_counts(lambda n: n),
            "These are the shares of the classes: the weights go the other way.": of_counts(lambda n: n / n.sum()),
            "These are the shares of the classes, scaled: the weights go the other way.": of_counts(
                lambda n: n / n.mean()
            ),
            "1 minus the share falls as a class grows, but twice as often is not half the weight.": of_counts(
                lambda n: 1 - n / n.sum()
            ),
            "1 minus the share, scaled, falls as a class grows, but twice as often is not half the weight.": (
                with_mean_over_images(lambda n: 1 - n / n.sum())
            ),
            "These are square roots of what is asked for: twice as often is half the weight.": of_counts(
                lambda n: np.sqrt(n.mean() / n)
            ),
            "These weights fall with the square root of how often a class occurs: twice as often is half the weight.": (
                with_mean_over_images(lambda n: 1 / np.sqrt(n))
            ),
            "These are logarithms: twice as often is half the weight.": of_counts(lambda n: np.log(n.sum() / n)),
            "The weights are squared: twice as often is half the weight, not a quarter.": with_mean_over_images(
                lambda n: 1 / n**2
            ),
            "All weights are the same: a class that occurs less often has a larger one.": of_counts(
                lambda n: np.ones(len(n))
            ),
            "This is a weight for each image: return one for each class.": lambda labels, classes: right(
                labels, classes
            )[labels],
            "The weights are sorted: weight k belongs to class k.": lambda **case: np.sort(right(**case)),
            "The weights are sorted, from the largest: weight k belongs to class k.": lambda **case: np.sort(
                right(**case)
            )[::-1],
            "The weights are in the order in which the classes first occur: weight k belongs to class k.": (
                by_occurrence
            ),
        },
    )


ORIGIN = (0, 100)  # the first pixel of an atlas
DRAWS = 2_000
# Pearson's chi-squared of 15 places: above this with a probability of 1e-18 when all are equally likely
MOST_UNEVEN = 120


@exercise
def random_crop(answer) -> None:
    rng = np.random.default_rng()
    small = {"image": _atlas(5, 7), "size": 3, "rng": rng}
    call(answer, small)
    _check_places(answer, **small)
    # In a large image two draws are hardly ever the same
    large = {"image": _atlas(40, 50), "size": 8}
    seeds = [int(seed) for seed in rng.integers(10**6, size=8)]
    twice = [[_piece(answer, large | {"rng": np.random.default_rng(seed)}) for seed in seeds] for _ in range(2)]
    if not np.array_equal(*twice):
        raise Mistake("Two generators with the same seed give different crops: draw from rng and nothing else.")
    for height, width in ((4, 7), (7, 4), (4, 4)):
        _piece(answer, {"image": _atlas(height, width), "size": 4, "rng": rng})


def _atlas(height: int, width: int) -> np.ndarray:
    """An image whose pixels tell their row and, from 100 on, their column."""
    return (np.indices((height, width)).transpose(1, 2, 0) + ORIGIN).astype(np.uint8)


def _piece(answer, case: Mapping) -> np.ndarray:
    """One crop, checked."""
    shown = {name: case[name] for name in ("image", "size")}
    array = _crop(call(answer, case), shown)
    if array.shape != (case["size"], case["size"], 2):
        raise Mistake(_wrong_shape(array, shown))
    _check_pixels(array[None], case["image"])
    return array


def _crop(result, shown: Mapping) -> np.ndarray:
    array = numbers(result)
    if array is None:
        raise Mistake(f"For {inputs(shown)} it returns {describe(result)}, where an array is asked for.")
    return array


def _wrong_shape(array: np.ndarray, shown: Mapping) -> str:
    size = shown["size"]
    return f"For {inputs(shown)} the result has shape {array.shape}, where {(size, size, 2)} is asked for."


def _check_pixels(crops: np.ndarray, image: np.ndarray) -> None:
    """Raise a `Mistake` unless each crop is a piece of the atlas."""
    size, shape = crops.shape[1], image.shape[:2]
    places = crops - ORIGIN
    steps = np.indices((size, size)).transpose(1, 2, 0)

    def cut(places):
        """Which of these crops are pieces."""
        inside = (places >= 0) & (places < shape)
        return (inside & (places == places[:, :1, :1] + steps)).all(axis=(1, 2, 3))

    if cut(places).all():
        return
    crop = crops[cut(places).argmin()]
    for diagnosis, changed in (
        ("Rows and columns of the crop are swapped: only cut.", crop.swapaxes(0, 1)),
        ("The crop is mirrored, left and right: only cut.", crop[:, ::-1]),
        ("The crop is mirrored, top and bottom: only cut.", crop[::-1]),
        ("The crop is turned: only cut.", crop[::-1, ::-1]),
        ("The order of the channels is reversed: only cut.", crop[:, :, ::-1]),
    ):
        if cut(changed[None] - ORIGIN).all():
            raise Mistake(diagnosis)
    place = crop - ORIGIN
    if np.array_equal(place, (place[0, 0] + steps) % shape):
        raise Mistake("The crop leaves the image on one side and comes in again on the other: cut only where it fits.")
    pixels = image.reshape(-1, 2)
    if not all((pixel == pixels).all(axis=1).any() for pixel in crop.reshape(-1, 2)):
        raise Mistake("The crop holds values that are no pixel of the image: only cut, where it fits.")
    raise Mistake("The crop's pixels are not neighbours in the image: cut one piece, row after row.")


def _check_places(answer, image: np.ndarray, size: int, rng: np.random.Generator) -> None:
    """Raise a `Mistake` unless the crops come from all places, equally often."""
    shown = {"image": image, "size": size}
    crops = []
    try:
        for _ in range(DRAWS):
            crops.append(answer(image=image.copy(), size=size, rng=rng))
    except Exception as error:
        raise Mistake(f"For {inputs(shown)} it sometimes raises {type(error).__name__}: {error}") from None
    crops = [_crop(crop, shown) for crop in crops]
    for crop in crops:
        if crop.ndim != 3 or crop.shape[2] != 2 or max(crop.shape[:2]) > size:
            raise Mistake(_wrong_shape(crop, shown))
    room = np.subtract(image.shape[:2], size)
    cut = next((crop for crop in crops if crop.shape != (size, size, 2)), None)
    if cut is not None:
        furthest = np.max([crop[0, 0] - ORIGIN for crop in crops if crop.size] or [[0, 0]], axis=0)
        if np.array_equal(furthest, room[::-1]):
            raise Mistake("The sides are swapped: the row is drawn from the width, and the column from the height.")
        if np.array_equal(furthest, (room[1], room[1])):
            raise Mistake("The rows are drawn from the width, so that the crop can hang over the bottom edge.")
        raise Mistake(
            f"Some crops hang over the edge, and one has shape {cut.shape}: how far down and to the right can a crop "
            "begin?"
        )
    crops = np.stack(crops)
    _check_pixels(crops, image)

    counts = np.zeros(room + 1, dtype=int)
    np.add.at(counts, tuple((crops[:, 0, 0] - ORIGIN).astype(int).T), 1)
    lines = [counts.sum(axis=1), counts.sum(axis=0)]
    used = [np.flatnonzero(line) for line in lines]
    if max(map(len, used)) == 1:
        row, column = (int(line[0]) for line in used)
        middle = np.array_equal((row, column), room // 2)
        where = "in the middle" if middle else f"from row {row} and column {column} on"
        raise Mistake(f"The crop is always the same one, {where}: draw its place from rng in each call.")
    for line, name, drawn in zip(used, ("row", "column"), ("column", "row"), strict=True):
        if len(line) == 1:
            raise Mistake(f"Only the {drawn} is drawn, the {name} is always {line[0]}: draw both.")
    if np.count_nonzero(counts) == max(map(len, used)):
        raise Mistake("Row and column always move together: draw a number of its own for each.")
    _check_edges(used, room)
    if not counts.all():
        row, column = (int(place) for place in np.argwhere(counts == 0)[0])
        raise Mistake(f"The crop from row {row} and column {column} on never comes up: each row goes with each column.")
    expected = DRAWS / counts.size
    if np.sum((counts - expected) ** 2) / expected > MOST_UNEVEN:
        raise Mistake(_uneven(lines))


def _check_edges(used: list[np.ndarray], room: np.ndarray) -> None:
    """Raise a `Mistake` when a crop never begins in some row or some column."""
    never = [np.setdiff1d(np.arange(most + 1), line) for line, most in zip(used, room, strict=True)]
    if not any(map(len, never)):
        return
    if not len(never[0]) and np.array_equal(used[1], np.arange(room[0] + 1)):
        raise Mistake("The columns are drawn from the height, so that those on the right are never used.")
    concerned = [name for name, line in zip(("row", "column"), never, strict=True) if len(line)]
    for edge, place, why in (
        ("last", room, "a crop can begin one place further"),
        ("first", 0 * room, "a crop can begin at 0"),
    ):
        if all(line.tolist() in ([], [one]) for line, one in zip(never, place, strict=True)):
            edges = " and ".join(f"{edge} {name}" for name in concerned)
            raise Mistake(f"The image's {edges} {'is' if len(concerned) == 1 else 'are'} never used: {why}.")
    line = next(line for line in never if len(line))
    raise Mistake(f"A crop never begins in {concerned[0]} {line[0]}, although it fits there.")


def _uneven(lines: list[np.ndarray]) -> str:
    """Say what comes up too often or too rarely."""
    # In parts of what each should have
    ratios = {name: line / line.mean() for name, line in zip(("row", "column"), lines, strict=True)}
    for name, ratio in ratios.items():
        if max(ratio[0], ratio[-1]) < 0.85:
            return (
                f"The first and the last {name} for a crop to begin in come up less often than those between: does "
                "rounding do that, or a distribution that is not uniform?"
            )
    for name, ratio in ratios.items():
        if ratio[-1] > 1.3 and ratio[-1] == ratio.max():
            return (
                f"The last {name} for a crop to begin in comes up {ratio[-1]:.1f} times as often as it should: draw "
                "only places that fit, and move none back from beyond the edge."
            )
    name, ratio = max(ratios.items(), key=lambda item: np.abs(item[1] - 1).max())
    worst = int(np.abs(ratio - 1).argmax())
    return (
        f"Not every place is equally likely: a crop begins in {name} {worst} in {ratio[worst] / len(ratio):.0%} of the "
        f"draws, where {1 / len(ratio):.0%} is asked for."
    )


@exercise
def training_pipeline(answer) -> None:
    # Inside, because importing the checkers must not start TensorFlow
    import tensorflow as tf

    rng = np.random.default_rng()
    batch = int(rng.choice([43, 46, 49, 52, 55, 58]))
    n = batch * int(2_900 / batch) + int(rng.integers(5, 40))
    # The first two pixels number the images, which are sorted by label as many a folder is
    images = rng.integers(0, 250, size=(n, 2, 3, 1)).astype(np.uint8)
    images[:, 0, :2, 0] = np.stack(np.divmod(np.arange(n), 256), axis=1)
    case = {"images": images, "labels": np.sort(rng.integers(0, 10, size=n)), "batch": batch}

    dataset = call(answer, case)
    if not isinstance(dataset, tf.data.Dataset):
        raise Mistake(f"Return a tf.data.Dataset; this is {describe(dataset)}.")
    parts = dataset.element_spec
    if isinstance(parts, tf.TensorSpec):
        raise Mistake("The dataset holds one array at a time, where a pair (images, labels) is asked for.")
    if not isinstance(parts, tuple):
        raise Mistake(f"Each element of the dataset is a {type(parts).__name__}: make it a pair (images, labels).")
    if len(parts) != 2:
        raise Mistake(f"Each element of the dataset has length {len(parts)}: make it a pair (images, labels).")
    if isinstance(parts[0], tf.TensorSpec) and parts[0].shape.rank == 5:
        raise Mistake("The batches come in batches: make them once.")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise Mistake("The dataset never ends: an epoch is over when every image was there, so repeat nothing.")
    first = _numbers_of(_epoch(dataset, n), case)
    batches = _epoch(dataset, n)
    if not batches:
        raise Mistake("The second epoch is empty: one can go through this dataset only once.")
    try:
        second = _numbers_of(batches, case)
    except Mistake as mistake:
        raise Mistake(f"The first epoch is right, the second is not. {mistake}") from None
    _check_order(first, second, n)


def _epoch(dataset, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches of one epoch, or a few more of a dataset that goes on."""
    batches, found = [], 0
    try:
        for pair in dataset:
            images, labels = (np.asarray(part) for part in pair)
            _check_ranks(images, labels)
            batches.append((images, labels))
            found += len(images)
            if max(found, len(batches)) > n:
                break
    except Mistake:
        raise
    except Exception as error:
        text = textwrap.shorten(str(error), 200)
        raise Mistake(f"Going through the dataset raises {type(error).__name__}: {text}") from None
    return batches


def _check_ranks(images: np.ndarray, labels: np.ndarray) -> None:
    if images.ndim < 3 <= labels.ndim:
        raise Mistake("Images and labels are in the wrong order: the images come first.")
    if images.ndim == 3 and labels.ndim == 0:
        raise Mistake("The images come one at a time: make batches of them.")
    if images.ndim != 4 or images.dtype.kind in "OSUc":
        raise Mistake(
            f"A batch of images is {images.dtype} of shape {images.shape}: numbers along four axes are asked for."
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise Mistake(f"The labels have become vectors of {labels.shape[1]} (one-hot): leave them numbers.")
    if labels.shape != images.shape[:1]:
        raise Mistake(f"A batch has {len(images)} images, but labels of shape {labels.shape}.")


SCALES = {  # diagnosis, none for the right scale: how to undo it
    "": lambda x: 255 * x,
    "The images are floats, but still from 0 to 255: scale them.": lambda x: x,
    "The images are divided by 255 twice.": lambda x: 255**2 * x,
    "The images are from −1 to 1: 0…1 is asked for.": lambda x: 127.5 * (x + 1),
    "The images are from −0.5 to 0.5: 0…1 is asked for.": lambda x: 255 * (x + 0.5),
    "The images are from 0 to 2: 0…1 is asked for.": lambda x: 127.5 * x,
    "The images are divided by 256: then white, which is 255, is not 1.": lambda x: 256 * x,
}


def _numbers_of(batches: list[tuple[np.ndarray, np.ndarray]], case: Mapping) -> list[np.ndarray]:
    """The images' numbers in each batch, all else being right."""
    stored, n, batch = case["images"], len(case["images"]), case["batch"]
    if not batches:
        raise Mistake("The dataset is empty.")
    sizes = [len(images) for images, _ in batches]
    for images, _ in batches:
        if images.shape[1:] != stored.shape[1:]:
            raise Mistake(f"The images have shape {images.shape[1:]}, where {stored.shape[1:]} is asked for.")
    if sizes[0] == n:
        raise Mistake(f"All {n:,} images come in one batch: make batches of {batch}.")
    if max(sizes) != batch:
        raise Mistake(f"The batches hold {max(sizes)} images, where batch={batch} is asked for.")
    if sum(sizes) > n:
        raise Mistake(f"More than the {n:,} images come in one epoch: each is to come once.")
    if sum(sizes) == n - n % batch:
        raise Mistake(f"The last {n % batch} images are missing: the last batch may be smaller than the others.")
    if sum(sizes) < n:
        raise Mistake(f"{n - sum(sizes):,} of {n:,} images do not come.")
    # Anywhere, because whole batches that are mixed are a matter of `_check_order`
    if sizes.count(batch) < len(sizes) - 1:
        raise Mistake(f"The batches are not all of {batch} images; only the last one may be smaller.")

    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    found = _unscaled(images, stored)
    once = np.unique(found).size
    if once < n:
        raise Mistake(f"Only {once:,} of the {n:,} images come, some of them more than once.")
    own = case["labels"][found]
    if not np.array_equal(labels, own):
        if np.array_equal(np.sort(labels), case["labels"]):
            raise Mistake("The labels no longer belong to their images: keep each pair together when you mix.")
        if labels.dtype.kind == "f" and np.allclose(255 * labels, own):
            raise Mistake("The labels are divided by 255 too: scale the images only.")
        raise Mistake("The labels are changed: leave them as they are.")
    return np.split(found, np.cumsum(sizes)[:-1])


def _unscaled(images: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """The numbers of these images, whose scale and type are right."""
    if images.dtype.kind in "bui":
        if _found(images, stored) is not None:
            raise Mistake("The images are as they were, whole numbers from 0 to 255: scale them.")
        raise Mistake(f"The images are {images.dtype}, which has nothing between 0 and 1: make them float32.")
    for diagnosis, undo in SCALES.items():
        found = _found(undo(images.astype(float)), stored)
        if found is not None and diagnosis:
            raise Mistake(diagnosis)
        if found is not None and images.dtype == np.float32:
            return found
        if found is not None:
            break
    if images.dtype != np.float32:
        raise Mistake(f"The images are {images.dtype}, where float32 is asked for.")
    raise Mistake(
        f"The images hold values from {images.min():.3g} to {images.max():.3g}, and they are not the stored ones "
        "divided by 255."
    )


def _found(pixels: np.ndarray, stored: np.ndarray) -> np.ndarray | None:
    """The numbers of these images; None when they are not the stored ones."""
    pixels = pixels.astype(float)
    if not ((pixels > -0.5) & (pixels < 255.5)).all():  # neither is NaN
        return None
    whole = np.rint(pixels)
    if np.abs(pixels - whole).max() > 1e-2:
        return None
    found = (256 * whole[:, 0, 0, 0] + whole[:, 0, 1, 0]).astype(int)
    return found if found.max() < len(stored) and np.array_equal(whole, stored[found]) else None


def _check_order(first: list[np.ndarray], second: list[np.ndarray], n: int) -> None:
    """Raise a `Mistake` unless two epochs, given as the numbers in each batch, are mixed, each in its own way."""
    epochs = [np.concatenate(epoch) for epoch in (first, second)]
    places = np.arange(n)
    if all(np.array_equal(epoch, places) for epoch in epochs):
        raise Mistake("The images come as they are stored, in every epoch: mix them.")
    if all((np.diff(numbers_in) == 1).all() for numbers_in in (*first, *second)):
        raise Mistake("Whole batches are mixed, and each holds neighbours of the stored order: mix the images first.")
    if np.array_equal(*epochs):
        raise Mistake("The second epoch has the same order as the first: mix anew in each.")
    # How far ahead of its place an image can come is what a buffer limits. Without a limit it is less than three
    # quarters of the set with a probability below 1e-17: the first 200 images would all have to be of the first 82 %.
    ahead = min(int((epoch - places).max()) for epoch in epochs)
    if ahead < 0.75 * n:
        raise Mistake(
            f"No image comes more than {ahead:,} places ahead of where it is stored, so that the {n:,} are mixed with "
            "their neighbours only: the shuffle needs a larger buffer."
        )
    # Two orders that have nothing to do with each other are a third of the set apart, give or take half a per cent
    apart = np.abs(np.argsort(epochs[0]) - np.argsort(epochs[1])).mean()
    if apart < 0.2 * n:
        raise Mistake(
            "The second epoch's order is close to the first's: the set is mixed once, and then with neighbours only."
        )
