"""The exercises of notebook 03, preprocessing and augmentation: each checker is named like its exercise."""

import functools
from collections.abc import Mapping

import numpy as np

from .engine import Mistake, as_array, call, describe, exercise, inputs, judge, numbers, plain, run, same


@exercise
def count_crops(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"height": 6, "width": 5, "size": 3}, {"height": 7, "width": 7, "size": 7}]
    for _ in range(20):
        size = int(rng.integers(3, 30))
        height, width = (size + rng.choice(np.arange(1, 40), size=2, replace=False)).tolist()
        cases.append({"height": height, "width": width, "size": size})

    def outcomes(height, width, size):
        rows, columns = height - size + 1, width - size + 1  # where a crop can begin
        tiles = (height // size) * (width // size)
        return {
            "": 2 * rows * columns,
            "One place too few on each side, as in the paper on AlexNet: a crop has a place before it takes its first "
            "step.": 2 * (rows - 1) * (columns - 1),
            "The mirror images are missing, and a place on each side: a crop has one before it takes its first step.": (
                (rows - 1) * (columns - 1)
            ),
            "The mirror images are missing: each crop has one.": rows * columns,
            "You count mirror images twice over: only left and right change places, so there are two of each crop.": (
                4 * rows * columns
            ),
            "You move the crop down only: it moves to the right as well.": 2 * rows,
            "You move the crop to the right only: it moves down as well.": 2 * columns,
            "You add the rows' places to the columns': each row goes with each column.": 2 * (rows + columns),
            "You add the rows' places to the columns', without mirror images: each row goes with each column.": (
                rows + columns
            ),
            "The width has no effect: you use the height for both sides.": 2 * rows**2,
            "The height has no effect: you use the width for both sides.": 2 * columns**2,
            "The size has no effect: a crop that begins at the last pixel would hang over the edge.": (
                2 * height * width
            ),
            "These are tiles side by side: crops may overlap.": 2 * tiles,
            "These are tiles side by side, without mirror images: crops may overlap.": tiles,
            "You divide the photograph's area by the crop's: crops may overlap.": 2 * height * width / size**2,
            "You subtract the crop's area from the photograph's: count the places where a crop can begin.": (
                2 * (height * width - size**2)
            ),
            "You count the pixels of all crops: count the crops.": 2 * rows * columns * size**2,
            "One place too many on each side: at the last one the crop would hang over the edge.": (
                2 * (rows + 1) * (columns + 1)
            ),
        }

    judge(answer, outcomes, cases)


def _statistics(x: np.ndarray, axis=(0, 1, 2), ddof: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, by default of each channel."""
    return x.mean(axis=axis, keepdims=True), x.std(axis=axis, ddof=ddof, keepdims=True)


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

    def outcomes(x_train, x_test, ddof=0):
        train, test = x_train.astype(float), x_test.astype(float)

        def both(shift, scale):
            return (train - shift) / scale, (test - shift) / scale

        def each_on_its_own(axis):
            return tuple((x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True) for x in (train, test))

        mean, std = _statistics(train, ddof=ddof)
        std = np.where(std == 0, 1, std)
        right = both(mean, std)
        test_mean, test_std = _statistics(test)
        one_mean, one_std = train.mean(), train.std()
        low, high = (extreme(train, axis=(0, 1, 2)) for extreme in (np.min, np.max))
        return {
            "": right,
            "The test images are treated with their own mean and standard deviation: use the training images'.": (
                each_on_its_own((0, 1, 2))
            ),
            "The mean and standard deviation are of both sets together: nothing may be learnt from the test images.": (
                both(*_statistics(np.concatenate([train, test])))
            ),
            "Both sets are treated with the test images' numbers: use the training images'.": both(test_mean, test_std),
            "The test images have their mean subtracted: subtract the training images'.": (
                right[0],
                (test - test_mean) / std,
            ),
            "The test images are divided by their own standard deviation: divide by the training images'.": (
                right[0],
                (test - mean) / test_std,
            ),
            "The training images are right, the test images come out as they were. (Numbers taken from training images "
            "that are standardised already are 0 and 1.)": (right[0], test),
            "The test images are right, the training images come out as they were.": (train, right[1]),
            "This is one mean and one standard deviation for all channels: each channel has its own.": (
                both(one_mean, one_std)
            ),
            "The mean is of all channels: each channel has its own.": both(one_mean, std),
            "The standard deviation is of all channels: each channel has its own.": both(mean, one_std),
            "Each pixel has a mean and standard deviation of its own: a channel has one of each, for all its pixels.": (
                both(*_statistics(train, 0))
            ),
            "Each column has a mean and standard deviation of its own: a channel has one of each.": (
                both(*_statistics(train, (0, 1)))
            ),
            "Each row has a mean and standard deviation of its own: a channel has one of each.": (
                both(*_statistics(train, (0, 2)))
            ),
            "Each image is treated with its own numbers: a channel has one mean for all images.": (
                each_on_its_own((1, 2))
            ),
            "Each image is treated with one mean of its own for all channels: take one for each channel, "
            "over all images.": each_on_its_own((1, 2, 3)),
            "The mean goes over the channels of a pixel: take one for each channel, over all pixels.": (
                each_on_its_own(3)
            ),
            "You divide by the variance: the standard deviation is its square root.": both(mean, std**2),
            "You multiply by the standard deviation: divide by it.": both(mean, 1 / std),
            "You only subtract the mean: divide by the standard deviation too.": both(mean, 1),
            "You only divide by the standard deviation: subtract the mean first.": both(0, std),
            "You divide first and subtract the mean of the images before that: subtract, then divide.": (
                both(mean * std, std)
            ),
            "You subtract in uint8, where 5 − 10 is 251: work with floats.": (
                tuple((x - mean.astype(x.dtype)) / std for x in (x_train, x_test))
            ),
            "The two are in the wrong order: the training images first.": right[::-1],
            "This takes each channel from its smallest to its largest value to 0…1: a mean of 0 and a standard "
            "deviation of 1 are asked for.": both(low, high - low),
            "This takes the images from their smallest to their largest value to 0…1: a mean of 0 and a standard "
            "deviation of 1 are asked for.": both(low.min(), high.max() - low.min()),
            "You divide by 255: a mean of 0 and a standard deviation of 1 are asked for.": both(0, 255),
            "This is −1…1: a mean of 0 and a standard deviation of 1 are asked for.": both(127.5, 127.5),
        }

    # Dividing by N − 1 in the variance is no mistake, although these sets are so small that it shows.
    ddof = int(same(first, outcomes(**cases[0], ddof=1)[""]))
    judge(answer, functools.partial(outcomes, ddof=ddof), cases)
    # A channel of 255: this and its sums are whole numbers in float32 too, even after a division by 255.
    flat = {name: x[:6].copy() for name, x in cases[0].items()}
    for x in flat.values():
        x[..., 1] = 255
    with np.errstate(all="ignore"):  # the diagnosis says it
        result, expected = call(answer, flat), outcomes(**flat, ddof=ddof)[""]
    if not same(result, expected):
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
    for n, width in ((3, 100), (5, 32), (8, 61)):
        # Corners in two halves, so that each box has a width and a height
        near, far = rng.uniform(0.02, 0.48, size=(n, 2)), rng.uniform(0.52, 0.98, size=(n, 2))
        cases.append({"boxes": width * np.concatenate([near, far], axis=1), "width": width})

    def outcomes(boxes, width):
        left, top, right, bottom = boxes.T

        def box(left, top=top, right=width - left, bottom=bottom):
            return np.stack([left, top, right, bottom], axis=1)

        answer, first_row = box(width - right), boxes.copy()
        first_row[0], first_row[2] = width - boxes[2], width - boxes[0]
        return {
            "": answer,
            "The boxes are unchanged: they have to follow the mirror.": boxes,
            "Left is now beyond right: the mirror of the left edge is the new right edge.": (
                box(width - left, right=width - right)
            ),
            "Left and right have changed places, but not been mirrored: subtract them from the width.": (
                box(right, right=left)
            ),
            "You mirror top and bottom: left is the first column, right the third.": (
                box(left, width - bottom, right, width - top)
            ),
            "You mirror top and bottom as well: only left and right change.": (
                box(width - right, width - bottom, bottom=width - top)
            ),
            "All four columns are subtracted from the width: only left and right change.": width - boxes,
            "Only the left edge is mirrored: the right one is where the old left edge goes.": (
                box(width - right, right=right)
            ),
            "Only the right edge is mirrored: the left one is where the old right edge goes.": box(left),
            "The third column is the right edge; you take it for the width of the box.": box(
                width - left - right, right=right
            ),
            "You return the box's width in place of its right edge.": box(width - right, right=right - left),
            "The edges are one pixel off: right is where the box ends, so that width − right is exact.": (
                box(width - 1 - right, right=width - 1 - left)
            ),
            "The boxes are mirrored at 0, not at the image's middle: add its width.": box(-right, right=-left),
            "The images are `width` pixels wide, and these are no shares: subtract from width, not from 1.": (
                box(1 - right, right=1 - left)
            ),
            "The boxes are right, in the wrong order: box i belongs to image i.": answer[::-1],
            "The order of the boxes is reversed: the images are mirrored, not their order.": boxes[::-1],
            "The order of the columns is reversed: mirror the place, not the array.": boxes[:, ::-1],
            "boxes[0] is the first box; the first column is boxes[:, 0].": first_row,
            "The columns are right, but they are rows: return (n, 4).": answer.T,
            "This is the left edge alone: return all four columns.": width - right,
        }

    judge(answer, outcomes, cases)


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

    def outcomes(labels, classes):
        n = np.bincount(labels, minlength=classes)
        shares, inverse = n / n.sum(), 1 / n

        def scaled(weights):
            return weights / weights[labels].mean()

        right, as_they_occur = scaled(inverse), list(dict.fromkeys(labels.tolist()))
        off = "The proportions are right, the scale is not: "
        return {
            "": right,
            off + "the weights of each class's images sum to 1.": inverse,
            off + "the mean over the images is the number of classes.": 1 / shares,
            off + "the weights sum to 1.": inverse / inverse.sum(),
            off + "the mean over the classes is 1, where the mean over the images is asked for.": (
                inverse / inverse.mean()
            ),
            off + "the largest weight is 1.": n.min() / n,
            off + "the smallest weight is 1.": n.max() / n,
            off + "you divide by 2, which is right for two classes only.": 1 / (2 * shares),
            off + "the class in the middle has weight 1.": np.median(n) / n,
            off + "the sum over the images is 1, where their mean is to be 1.": inverse / classes,
            "The more often a class occurs, the larger is its weight here: it should be the smaller.": scaled(n),
            "These are the numbers of images of each class: the weights go the other way.": n,
            "These are the shares of the classes: the weights go the other way.": shares,
            "These are the shares of the classes, scaled: the weights go the other way.": classes * shares,
            "1 minus the share falls as a class grows, but twice as often is not half the weight.": 1 - shares,
            "1 minus the share, scaled, falls as a class grows, but twice as often is not half the weight.": (
                scaled(1 - shares)
            ),
            "These are square roots of what is asked for: twice as often is half the weight.": np.sqrt(right),
            "These weights fall with the square root of how often a class occurs: twice as often is half the weight.": (
                scaled(np.sqrt(inverse))
            ),
            "These are logarithms: twice as often is half the weight.": -np.log(shares),
            "The weights are squared: twice as often is half the weight, not a quarter.": scaled(inverse**2),
            "All weights are the same: a class that occurs less often has a larger one.": np.ones(classes),
            "This is a weight for each image: return one for each class.": right[labels],
            "The weights are sorted: weight k belongs to class k.": np.sort(right),
            "The weights are sorted, from the largest: weight k belongs to class k.": np.sort(right)[::-1],
            "The weights are in the order in which the classes first occur: weight k belongs to class k.": (
                right[as_they_occur]
            ),
        }

    judge(answer, outcomes, cases)


ORIGIN = (0, 100)  # the first pixel of an atlas
DRAWS = 2_000
# Pearson's chi-squared of 15 places: above this with a probability of 1e-18 when all are equally likely
MOST_UNEVEN = 120


@exercise
def random_crop(answer) -> None:
    rng = np.random.default_rng()
    _check_places(answer, {"image": _atlas(5, 7), "size": 3, "rng": rng})
    # In a large image two draws are hardly ever the same
    large = {"image": _atlas(40, 50), "size": 8}
    seeds = rng.integers(10**6, size=8)
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
    crop = as_array(call(answer, case), case, (case["size"], case["size"], 2))
    _check_pixels(crop[None], case["image"])
    return crop


def _check_pixels(crops: np.ndarray, image: np.ndarray) -> None:
    """Raise a `Mistake` unless each crop is a piece of the atlas."""
    size, shape = crops.shape[1], image.shape[:2]
    steps = np.indices((size, size)).transpose(1, 2, 0)

    def are_cut(crops):
        places = crops - ORIGIN
        inside = (places >= 0) & (places < shape)
        return (inside & (places == places[:, :1, :1] + steps)).all(axis=(1, 2, 3))

    cut = are_cut(crops)
    if cut.all():
        return
    crop = crops[cut.argmin()]
    for diagnosis, changed in (
        ("Rows and columns of the crop are swapped: only cut.", crop.swapaxes(0, 1)),
        ("The crop is mirrored, left and right: only cut.", crop[:, ::-1]),
        ("The crop is mirrored, top and bottom: only cut.", crop[::-1]),
        ("The crop is turned: only cut.", crop[::-1, ::-1]),
        ("The order of the channels is reversed: only cut.", crop[:, :, ::-1]),
    ):
        if are_cut(changed[None]).all():
            raise Mistake(diagnosis)
    place = crop - ORIGIN
    if np.array_equal(place, (place[0, 0] + steps) % shape):
        raise Mistake("The crop leaves the image on one side and comes in again on the other: cut only where it fits.")
    pixels = image.reshape(-1, 2)
    if not all((pixel == pixels).all(axis=1).any() for pixel in crop.reshape(-1, 2)):
        raise Mistake("The crop holds values that are no pixel of the image: only cut, where it fits.")
    raise Mistake("The crop's pixels are not neighbours in the image: cut one piece, row after row.")


def _check_places(answer, case: Mapping) -> None:
    """Raise a `Mistake` unless the crops come from all places, equally often."""
    image, size = case["image"], case["size"]
    full = size, size, 2
    call(answer, case)
    what = f"some draws with {inputs(case)}"
    crops = [as_array(run(answer, case | {"image": image.copy()}, what), case) for _ in range(DRAWS)]
    for crop in crops:
        if crop.shape[2:] != full[2:] or max(crop.shape) > size:  # smaller ones hang over the edge
            as_array(crop, case, full)
    cut = next((crop.shape for crop in crops if crop.shape != full), None)
    over_the_edge = Mistake(
        f"Some crops hang over the edge, and one has shape {cut}: how far down and to the right can a crop begin?"
    )
    if not all(crop.size for crop in crops):
        raise over_the_edge
    _check_pixels(np.reshape([crop for crop in crops if crop.shape == full], (-1, *full)), image)

    starts = np.array([crop[0, 0] - ORIGIN for crop in crops])
    places = np.unique(starts, axis=0)
    rows, columns = (np.unique(line).tolist() for line in starts.T)
    room = np.subtract(image.shape[:2], size)
    if len(places) == 1:
        middle = np.array_equal(places[0], room // 2)
        where = "in the middle" if middle else f"from row {rows[0]:g} and column {columns[0]:g} on"
        raise Mistake(f"The crop is always the same one, {where}: draw its place from rng in each call.")
    if len(rows) == 1:
        raise Mistake(f"Only the column is drawn, the row is always {rows[0]:g}: draw both.")
    if len(columns) == 1:
        raise Mistake(f"Only the row is drawn, the column is always {columns[0]:g}: draw both.")
    if len(places) == max(len(rows), len(columns)):
        raise Mistake("Row and column always move together: draw a number of its own for each.")

    down, right = (list(range(most + 1)) for most in room)  # the rows and columns where a crop can begin
    for diagnosis, known in {
        "The sides are swapped: the row is drawn from the width, and the column from the height.": (right, down),
        "The rows are drawn from the width, so that the crop can hang over the bottom edge.": (right, right),
        "The columns are drawn from the height, so that those on the right are never used.": (down, down),
        "The image's last row and last column are never used: a crop can begin one place further.": (
            down[:-1],
            right[:-1],
        ),
        "The image's last row is never used: a crop can begin one place further.": (down[:-1], right),
        "The image's last column is never used: a crop can begin one place further.": (down, right[:-1]),
        "The image's first row and first column are never used: a crop can begin at 0.": (down[1:], right[1:]),
    }.items():
        if (rows, columns) == known:
            raise Mistake(diagnosis)
    if cut:
        raise over_the_edge
    for name, used, fits in (("row", rows, down), ("column", columns, right)):
        if used != fits:
            never = min(set(fits).difference(used))
            raise Mistake(f"A crop never begins in {name} {never}, although it fits there.")

    counts = np.zeros(room + 1, dtype=int)
    np.add.at(counts, tuple(starts.astype(int).T), 1)
    _check_counts(counts)


def _check_counts(counts: np.ndarray) -> None:
    """Raise a `Mistake` unless the places come up equally often."""
    if not counts.all():
        row, column = np.argwhere(counts == 0)[0]
        raise Mistake(f"The crop from row {row} and column {column} on never comes up: each row goes with each column.")
    expected = DRAWS / counts.size
    if np.sum((counts - expected) ** 2) / expected <= MOST_UNEVEN:
        return
    lines = {"row": counts.sum(axis=1), "column": counts.sum(axis=0)}
    ratios = {name: line / line.mean() for name, line in lines.items()}  # 1 is what each should have
    for name, ratio in ratios.items():
        if max(ratio[0], ratio[-1]) < 0.85:
            raise Mistake(
                f"The first and the last {name} for a crop to begin in come up less often than those between: does "
                "rounding do that, or a distribution that is not uniform?"
            )
    for name, ratio in ratios.items():
        if ratio[-1] > 1.3 and ratio[-1] == ratio.max():
            raise Mistake(
                f"The last {name} for a crop to begin in comes up {ratio[-1]:.1f} times as often as it should: draw "
                "only places that fit, and move none back from beyond the edge."
            )
    name, ratio = max(ratios.items(), key=lambda item: np.abs(item[1] - 1).max())
    worst = int(np.abs(ratio - 1).argmax())
    raise Mistake(
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


def _epoch(dataset, n: int) -> list[list[np.ndarray]]:
    """The batches of one epoch, or a few more of a dataset that goes on."""
    batches, found = [], 0
    try:
        for pair in dataset:
            batches.append([np.asarray(part) for part in pair])
            found += len(np.atleast_1d(batches[-1][0]))
            if max(found, len(batches)) > n:
                break
    except Exception as error:
        raise Mistake(f"Going through the dataset raises {type(error).__name__}: {plain(error)}") from None
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


def _numbers_of(batches: list[list[np.ndarray]], case: Mapping) -> list[np.ndarray]:
    """The images' numbers in each batch, all else being right."""
    stored, n, batch = case["images"], len(case["images"]), case["batch"]
    if not batches:
        raise Mistake("The dataset is empty.")
    for images, labels in batches:
        _check_ranks(images, labels)
        if images.shape[1:] != stored.shape[1:]:
            raise Mistake(f"The images have shape {images.shape[1:]}, where {stored.shape[1:]} is asked for.")
    sizes = [len(images) for images, _ in batches]
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
        if found is not None:
            break
    if images.dtype != np.float32:
        raise Mistake(f"The images are {images.dtype}, where float32 is asked for.")
    if found is None:
        raise Mistake(
            f"The images hold values from {images.min():.3g} to {images.max():.3g}, and they are not the stored ones "
            "divided by 255."
        )
    return found


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
