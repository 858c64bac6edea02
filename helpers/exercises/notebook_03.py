"""The exercises of notebook 03, preprocessing and augmentation."""

from collections.abc import Mapping

import numpy as np

from .engine import Exercise, Mistake, as_array, call, describe, inputs, plain, run


def count_crops(height, width, size, *, first=1, mirrored=2, join=np.multiply):
    return int(mirrored * join(height - size + first, width - size + first))


def _photograph(rng):
    size = int(rng.integers(3, 30))
    height, width = (size + rng.choice(np.arange(1, 40), size=2, replace=False)).tolist()
    return {"height": height, "width": width, "size": size}


Exercise(
    "count_crops",
    right=count_crops,
    draw=_photograph,
    mistakes={
        "One place too few on each side, as in the paper on AlexNet: a crop has a place before it takes its first "
        "step.": dict(first=0),
        "The mirror images are missing: each crop has one.": dict(mirrored=1),
        "The mirror images are missing, and a place on each side: a crop has one before it takes its first step.": dict(
            first=0, mirrored=1
        ),
        "You count mirror images twice over: only left and right change places.": dict(mirrored=4),
        "You add the rows' places to the columns': each row goes with each column.": dict(join=np.add),
        "These are tiles side by side: crops may overlap.": lambda height, width, size: (
            2 * (height // size) * (width // size)
        ),
        "The size has no effect: a crop that begins at the last pixel would hang over the edge.": (
            lambda height, width, size: 2 * height * width
        ),
    },
    also=[("A crop as large as the photograph has one place, and a mirror image.", dict(height=7, width=7, size=7))],
)


def standardise(
    x_train, x_test, *, axis=(0, 1, 2), of=lambda train, test: train, scale=lambda x, mean, std: (x - mean) / std
):
    source = of(x_train.astype(float), x_test.astype(float))
    mean, std = source.mean(axis, keepdims=True), source.std(axis, keepdims=True)
    std = np.where(std < 1e-6 * np.abs(source).max(), 1, std)  # of a channel that is the same everywhere
    return tuple(scale(x.astype(float), mean, std) for x in (x_train, x_test))


def _two_sets(rng, shape=(12, 30, 30, 3), tests=4):
    """The channels lie apart, and the test images are lighter and have less contrast."""
    x_train = rng.integers((0, 60, 130), (120, 200, 240), size=shape, dtype=np.uint8)
    return {"x_train": x_train, "x_test": rng.integers((60, 120, 190), (140, 220, 255), (tests, *shape[1:]), np.uint8)}


def _sets(level=None, spread=1.0, dtype="float32"):
    """Small sets, of which the second channel has this level, or little contrast."""
    case = {name: x / 255 * spread for name, x in _two_sets(np.random.default_rng(0), (60, 16, 16, 3)).items()}
    for x in case.values():
        x[..., 1] = x[..., 1] if level is None else level
    return {name: x.astype(dtype) for name, x in case.items()}


Exercise(
    "standardise",
    right=standardise,
    draw=_two_sets,
    mistakes={
        "The test images are treated with their own mean and standard deviation: use the training images'.": (
            lambda x_train, x_test: (standardise(x_train, x_test)[0], standardise(x_test, x_test)[0])
        ),
        "The mean and standard deviation are of both sets together: nothing may be learnt from the test images.": dict(
            of=lambda train, test: np.concatenate([train, test])
        ),
        "This is one mean and one standard deviation for all channels: each channel has its own.": dict(axis=None),
        "Each pixel has a mean and standard deviation of its own: a channel has one of each, for all its pixels.": dict(
            axis=0
        ),
        "You divide by the variance: the standard deviation is its square root.": dict(
            scale=lambda x, mean, std: (x - mean) / std**2
        ),
        "You only subtract the mean: divide by the standard deviation too.": dict(scale=lambda x, mean, std: x - mean),
        "You divide by 255: a mean of 0 and a standard deviation of 1 are asked for.": dict(
            scale=lambda x, mean, std: x / 255
        ),
    },
    also=[
        ("Images of floats, with little contrast: a standard deviation below 1 is one too.", _sets(spread=0.1)),
        ("A channel that is 255 in every image has no spread to divide by: it is to become 0.", _sets(255.0)),
        (
            "A channel that is 0.1 everywhere becomes 0, although its standard deviation may come out as 1e-7.",
            _sets(0.1),
        ),
    ],
)


def flip_boxes(boxes, width, *, left=lambda box, width: width - box[2], right=lambda box, width: width - box[0]):
    box = boxes.T
    return np.stack([left(box, width), box[1], right(box, width), box[3]], axis=1)


def _boxes(rng):
    width, n = int(rng.integers(20, 100)), int(rng.integers(3, 8))
    # Corners in two halves, so that each box has a width and a height
    near, far = rng.uniform(0.02, 0.48, size=(n, 2)), rng.uniform(0.52, 0.98, size=(n, 2))
    return {"boxes": width * np.concatenate([near, far], axis=1), "width": width}


Exercise(
    "flip_boxes",
    right=flip_boxes,
    draw=_boxes,
    mistakes={
        "The boxes are unchanged: they have to follow the mirror.": lambda boxes, width: boxes,
        "Left is now beyond right: the mirror of the left edge is the new right edge.": dict(
            left=lambda box, width: width - box[0], right=lambda box, width: width - box[2]
        ),
        "Only the left edge is mirrored: the right one is where the old left edge goes.": dict(
            right=lambda box, width: box[2]
        ),
        "All four columns are subtracted from the width: only left and right change.": lambda boxes, width: (
            width - boxes
        ),
        "You mirror top and bottom: left is the first column, right the third.": lambda boxes, width: np.stack(
            [boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], axis=1
        ),
        "The third column is the right edge; you take it for the width of the box.": dict(
            left=lambda box, width: width - box[0] - box[2], right=lambda box, width: box[2]
        ),
        "The images are `width` pixels wide, and these are no shares: subtract from width, not from 1.": (
            lambda boxes, width: flip_boxes(boxes, 1)
        ),
    },
)


def class_weights(labels, classes, *, weigh=lambda n: 1 / n, scale=None):
    counts = np.bincount(labels, minlength=classes)
    weights = weigh(counts)
    return weights / (scale(weights) if scale else weights[labels].mean())


def _labels(rng):
    """Different numbers of images, and neither they nor the first images in the order of the classes."""
    classes = int(rng.integers(2, 8))
    counts = rng.choice(np.arange(2, 30), size=classes, replace=False)
    counts[:2] = max(counts[:2]) + 1, min(counts[:2])
    labels = rng.permutation(np.repeat(np.arange(classes), counts))
    return {"labels": np.concatenate([np.roll(np.arange(classes), 1), labels]), "classes": classes}


Exercise(
    "class_weights",
    right=class_weights,
    draw=_labels,
    mistakes={
        "The proportions are right, the scale is not: the weights of each class's images sum to 1.": dict(
            scale=lambda weights: 1
        ),
        "The proportions are right, the scale is not: the weights sum to 1.": dict(scale=np.sum),
        "The proportions are right, the scale is not: the mean over the classes is 1, not over the images.": dict(
            scale=np.mean
        ),
        "The more often a class occurs, the larger is its weight here: it should be the smaller.": dict(
            weigh=lambda n: n
        ),
        "1 minus the share falls as a class grows, but twice as often is not half the weight.": dict(
            weigh=lambda n: 1 - n / n.sum(), scale=lambda weights: 1
        ),
        "This is a weight for each image: return one for each class.": lambda labels, classes: class_weights(
            labels, classes
        )[labels],
        "All weights are the same: a class that occurs less often has a larger one.": dict(
            weigh=lambda n: np.ones(len(n))
        ),
    },
)

DRAWS = 4_000
# Pearson's chi-squared of 15 places: above this with a probability of 1e-8 when all are equally likely
MOST_UNEVEN = 65


def random_crop(answer) -> None:
    rng = np.random.default_rng()
    _check_places(answer, {"image": _atlas(5, 7), "size": 3, "rng": rng})
    # In a large image two draws are hardly ever the same
    large, seeds = {"image": _atlas(40, 50), "size": 8}, rng.integers(10**6, size=8)
    twice = [[_piece(answer, large | {"rng": np.random.default_rng(seed)}) for seed in seeds] for _ in range(2)]
    if not np.array_equal(*twice):
        raise Mistake("Two generators with the same seed give different crops: draw from rng and nothing else.")
    for height, width in ((4, 7), (7, 4), (4, 4)):
        _piece(answer, {"image": _atlas(height, width), "size": 4, "rng": rng})


def _atlas(height: int, width: int) -> np.ndarray:
    """An image whose pixels tell their row and, from 100 on, their column."""
    return (np.indices((height, width)).transpose(1, 2, 0) + np.array([0, 100])).astype(np.uint8)


def _piece(answer, case: Mapping, is_first: bool = True) -> np.ndarray:
    """One crop, which has to be a piece of the atlas."""
    size, image = case["size"], case["image"]
    result = call(answer, case) if is_first else run(answer, case, inputs(case))
    crop = as_array(result, case)
    if crop.shape != (size, size, 2):
        edge = " Does it hang over the edge? How far down and to the right can a crop begin?"
        raise Mistake(
            f"For {inputs(case)} the result has shape {crop.shape}, where {(size, size, 2)} is asked for.{edge}"
        )
    top, left = (crop[0, 0] - (0, 100)).astype(int)
    if not np.array_equal(crop, image[top : top + size, left : left + size]):
        is_flipped = (np.diff(crop[..., 1], axis=1) == -1).all()
        remedy = "it is mirrored: only cut" if is_flipped else "cut one piece, row after row, only where it fits"
        raise Mistake(f"The crop is no piece of the image: {remedy}.")
    return crop


def _check_places(answer, case: Mapping) -> None:
    """Raise a `Mistake` unless the crops come from all places, equally often."""
    crops = [_piece(answer, case, is_first=n == 0) for n in range(DRAWS)]
    starts = np.array([crop[0, 0] - (0, 100) for crop in crops]).astype(int)
    room = np.subtract(case["image"].shape[:2], case["size"])
    counts = np.zeros(room + 1)
    np.add.at(counts, tuple(starts.T), 1)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    if (counts > 0).sum() == 1:
        raise Mistake("The crop is always the same one: draw its place from rng in each call.")
    for name, line in (("row", rows), ("column", columns)):
        if (line > 0).sum() == 1:
            raise Mistake(f"The {name} is always {line.argmax()}: draw both.")
    if (counts > 0).sum() <= max(len(rows), len(columns)):
        raise Mistake("Row and column always move together: draw a number of its own for each.")
    for name, line in (("row", rows), ("column", columns)):
        if not line.all():
            never, last = np.flatnonzero(line == 0), len(line) - 1
            hint = ": rng.integers leaves its end out" if never.tolist() == [last] else ""
            raise Mistake(f"A crop never begins in {name} {never[0]}, although it fits there{hint}.")
    expected = DRAWS / counts.size
    if np.sum((counts - expected) ** 2) / expected > MOST_UNEVEN:
        row, column = np.unravel_index(np.abs(counts - expected).argmax(), counts.shape)
        share = f"{counts[row, column] / DRAWS:.1%} of the draws, where {1 / counts.size:.1%} is asked for"
        raise Mistake(f"Not every place is equally likely: a crop begins in row {row}, column {column} in {share}.")


Exercise("random_crop", judge=random_crop)


def training_pipeline(answer) -> None:
    # Inside, because importing the exercises must not start TensorFlow
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
    if not isinstance(dataset.element_spec, tuple) or len(dataset.element_spec) != 2:
        raise Mistake("Each element of the dataset is to be a pair (images, labels).")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise Mistake("The dataset never ends: an epoch is over when every image was there, so repeat nothing.")
    epochs = []
    for number in ("first", "second"):
        try:
            epochs.append(_order(_epoch(dataset, n), case))
        except Mistake as mistake:
            raise Mistake(f"In the {number} epoch: {mistake}" if epochs else str(mistake)) from None
    _check_mixed(epochs, n, batch)


def _epoch(dataset, n: int) -> list[list[np.ndarray]]:
    """The batches of one epoch, or a few more of a dataset that goes on."""
    batches = []
    try:
        for pair in dataset:
            batches.append([np.asarray(part) for part in pair])
            if len(batches) > n:
                break
    except Exception as error:
        raise Mistake(f"Going through the dataset raises {type(error).__name__}: {plain(error)}") from None
    return batches


def _order(batches: list[list[np.ndarray]], case: Mapping) -> np.ndarray:
    """The images' numbers in the order in which they come, all else being right."""
    stored, n, batch = case["images"], len(case["images"]), case["batch"]
    if not batches:
        raise Mistake("The dataset is empty.")
    for images, labels in batches:
        if images.shape[1:] != stored.shape[1:]:
            shapes = f"shape {images.shape}, where {('batch', *stored.shape[1:])} is asked for"
            raise Mistake(f"The images have {shapes}: one batch of pairs, the images first.")
        if labels.shape != images.shape[:1]:
            raise Mistake(f"A batch has {len(images)} images, but labels of shape {labels.shape}: leave them numbers.")
    sizes = [len(images) for images, _ in batches]
    if sum(sizes) == n - n % batch:
        raise Mistake(f"The last {n % batch} images are missing: the last batch may be smaller than the others.")
    if sum(sizes) != n:
        raise Mistake(f"{sum(sizes):,} images come in an epoch, where each of the {n:,} is to come once.")
    if max(sizes) != batch or sizes.count(batch) < len(sizes) - 1:
        raise Mistake(f"The batches hold {min(sizes)} to {max(sizes)} images, where batch={batch} is asked for.")
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    if images.dtype != np.float32:
        raise Mistake(
            f"The images are {images.dtype} from {images.min():g} to {images.max():g}: make them float32, 0…1."
        )
    whole = np.rint(255.0 * images)
    found = (256 * whole[:, 0, 0, 0] + whole[:, 0, 1, 0]).clip(0, n - 1).astype(int)
    if not np.abs(255.0 * images - stored[found]).max() <= 0.01:  # nor for NaN
        scales = {
            1 / 255: "scale them to 0…1",
            255: "they are divided by 255 twice",
            256 / 255: "256 is not white, 255 is",
        }
        ratio = images.max() * 255 / stored.max()
        hint = next((text for scale, text in scales.items() if abs(ratio * scale - 1) < 1e-3), "divide by 255, no more")
        raise Mistake(f"The images hold values from {images.min():.3g} to {images.max():.3g}: {hint}.")
    if len(np.unique(found)) < n:
        raise Mistake(f"Only {len(np.unique(found)):,} of the {n:,} images come, some of them more than once.")
    if not np.array_equal(labels, case["labels"][found]):
        is_mixed = np.array_equal(np.sort(labels), case["labels"])
        remedy = "keep each pair together when you mix" if is_mixed else "leave them as they are"
        raise Mistake(f"The labels no longer belong to their images: {remedy}.")
    return found


def _check_mixed(epochs: list[np.ndarray], n: int, batch: int) -> None:
    """Raise a `Mistake` unless two epochs, given as the images' numbers, are mixed, each in its own way."""
    first, places = epochs[0], np.arange(n)
    if np.array_equal(first, places):
        raise Mistake("The images come as they are stored: mix them.")
    if (np.diff(first[:batch]) == 1).all():
        raise Mistake("Whole batches are mixed, and each holds neighbours of the stored order: mix the images first.")
    if np.array_equal(*epochs):
        raise Mistake("The second epoch has the same order as the first: mix anew in each.")
    # How far ahead of its place an image can come is what a buffer limits. Without a limit it is less than 92 % of the
    # set in both epochs with a probability of 1e-8: none of the last images would be among the first.
    ahead = max(int((epoch - places).max()) for epoch in epochs)
    if ahead < 0.92 * n:
        near = f"No image comes more than {ahead:,} places ahead of where it is stored"
        raise Mistake(f"{near}, so that the {n:,} are mixed with neighbours only: the shuffle needs a larger buffer.")
    # Two orders that have nothing to do with each other are a third of the set apart, give or take half a per cent
    if np.abs(np.argsort(epochs[0]) - np.argsort(epochs[1])).mean() < 0.2 * n:
        raise Mistake("The second epoch's order is close to the first's: the set is mixed once, and then hardly.")


Exercise("training_pipeline", judge=training_pipeline, seconds=60)
