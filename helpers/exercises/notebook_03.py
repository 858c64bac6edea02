"""The exercises of notebook 03, preprocessing and augmentation."""

import numpy as np

from .engine import Exercise, Mistake, as_array, call, describe, inputs, plain, run


def count_crops(height, width, size, *, first=1, mirrored=2, join=np.multiply):
    return mirrored * int(join(height - size + first, width - size + first))


def _photograph(rng):
    size = int(rng.integers(3, 30))
    height, width = (size + rng.choice(np.arange(1, 40), size=2, replace=False)).tolist()
    return {"height": height, "width": width, "size": size}


Exercise(
    "count_crops",
    right=count_crops,
    draw=_photograph,
    mistakes={
        "One place too few on each side, as in the paper on AlexNet: count the first one too.": dict(first=0),
        "The mirror images are missing: each crop has one.": dict(mirrored=1),
        "You count mirror images twice over: only left and right change places.": dict(mirrored=4),
        "You add the rows' places to the columns': each row goes with each column.": dict(join=np.add),
        "These are tiles: crops may overlap.": lambda height, width, size: 2 * (height // size) * (width // size),
    },
    also=[("A crop as large as the photograph has one place.", {"height": 7, "width": 7, "size": 7})],
)


def standardise(x_train, x_test, *, axis=(0, 1, 2), of=lambda train, test: train, power=1):
    source = of(x_train.astype(float), x_test.astype(float))
    mean, std = source.mean(axis, keepdims=True), source.std(axis, keepdims=True)
    std = np.where(np.ptp(source, axis, keepdims=True) == 0, 1, std) ** power
    return (x_train - mean) / std, (x_test - mean) / std


def _two_sets(rng):
    """The channels lie apart, and the test images are lighter and have less contrast."""
    x_train = rng.integers((0, 60, 130), (120, 200, 240), size=(12, 30, 30, 3), dtype=np.uint8)
    x_test = rng.integers((60, 120, 190), (140, 220, 255), size=(4, 30, 30, 3), dtype=np.uint8)
    return {"x_train": x_train, "x_test": x_test}


def _floats(scale, level=0.0):
    """Whole numbers by a power of two, so that float32 sums are exact; where the scale is 0, a channel of one level."""
    sets = _two_sets(np.random.default_rng(0))
    return {name: np.float32(x / 256 * np.array(scale) + np.array([0, level, 0])) for name, x in sets.items()}


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
        "This is one mean and one standard deviation for all channels: each has its own.": dict(axis=None),
        "Each pixel has a mean and standard deviation of its own: take them of all pixels.": dict(axis=0),
        "You divide by the variance: the standard deviation is its square root.": dict(power=2),
        "You only subtract the mean: divide by the standard deviation too.": dict(power=0),
    },
    also=[
        ("Images of floats, with little contrast: a standard deviation below 1 is one too.", _floats(1 / 8)),
        ("A channel that is 1 in every image has no spread to divide by: it becomes 0.", _floats([1, 0, 1], 1)),
        ("A channel of 0.1 has a std above 0, by rounding: ask whether the channel varies.", _floats([1, 0, 1], 0.1)),
    ],
)


def flip_boxes(boxes, width):
    left, top, right, bottom = boxes.T
    return np.stack([width - right, top, width - left, bottom], axis=1)


def _boxes(rng):
    n, width = rng.integers((3, 20), (8, 100)).tolist()
    near, far = rng.uniform(0.02, 0.48, size=(n, 2)), rng.uniform(0.52, 0.98, size=(n, 2))
    return {"boxes": width * np.concatenate([near, far], axis=1), "width": width}


Exercise(
    "flip_boxes",
    right=flip_boxes,
    draw=_boxes,
    mistakes={
        "The boxes are unchanged: they have to follow the mirror.": lambda boxes, width: boxes,
        "Left is now beyond right: in the mirror they change places.": lambda **c: flip_boxes(**c)[:, [2, 1, 0, 3]],
        "Only the left edge is mirrored: the right one is where the old left edge goes.": lambda boxes, width: np.c_[
            width - boxes[:, 2], boxes[:, 1:]
        ],
        "All columns are subtracted from the width: top and bottom stay.": lambda boxes, width: width - boxes,
        "The third column is the right edge, not the width of the box.": lambda boxes, width: np.c_[
            width - boxes[:, 0] - boxes[:, 2], boxes[:, 1:]
        ],
        "One pixel off: an edge at x goes to width − x.": lambda boxes, width: flip_boxes(boxes, width - 1),
    },
)


def class_weights(labels, classes, *, power=-1, size=None):
    weights = np.bincount(labels, minlength=classes) ** float(power)
    return weights / (size(weights) if size else weights[labels].mean())


def _labels(rng):
    """Each class occurs another number of times."""
    counts = rng.choice(np.arange(2, 30), size=rng.integers(2, 8), replace=False)
    return {"labels": rng.permutation(np.repeat(np.arange(len(counts)), counts)), "classes": len(counts)}


Exercise(
    "class_weights",
    right=class_weights,
    draw=_labels,
    mistakes={
        "Only the scale is not right: the weights of each class's images sum to 1.": dict(size=lambda weights: 1),
        "Only the scale is not right: the weights sum to 1.": dict(size=np.sum),
        "Only the scale is not right: the mean over the classes is 1, not over the images.": dict(size=np.mean),
        "The more often a class occurs, the larger is its weight here: turn it round.": dict(power=1),
        "1 minus the share falls as a class grows, but twice as often is not half the weight.": (
            lambda labels, classes: 1 - np.bincount(labels) / len(labels)
        ),
        "This is a weight for each image: return one for each class.": lambda **c: class_weights(**c)[c["labels"]],
    },
)

DRAWS = 6_000
MOST_UNEVEN = 72  # Pearson's chi-squared of 15 places is larger with a probability of 1e-9 when all are equally likely


def random_crop(answer) -> None:
    rng, counts = np.random.default_rng(), np.zeros((3, 5))
    for _ in range(DRAWS):
        counts[_place(answer, 5, 7, 3, rng)] += 1
    lines = {"row": counts.sum(axis=1), "column": counts.sum(axis=0)}
    for name, line in lines.items():
        if line.max() == DRAWS:
            raise Mistake(f"The {name} is always {line.argmax()}: draw row and column from rng in each call.")
    if np.sum(counts > 0) <= 5:
        raise Mistake("Row and column always move together: draw a number of its own for each.")
    for name, line in lines.items():
        if not line.all():
            end = ": rng.integers leaves its end out" if line[:-1].all() else ""
            raise Mistake(f"A crop never begins in {name} {line.argmin()}, although it fits there{end}.")
    expected = DRAWS / counts.size
    if np.sum((counts - expected) ** 2) / expected > MOST_UNEVEN:
        row, column = np.unravel_index(np.abs(counts - expected).argmax(), counts.shape)
        share = f"{counts[row, column] / DRAWS:.1%} of the draws, not {1 / counts.size:.1%}"
        raise Mistake(f"Not every place is equally likely: a crop begins in row {row}, column {column} in {share}.")
    for sides in ((40, 50, 8), (4, 7, 4), (7, 4, 4), (4, 4, 4)):  # height, width and the crop's
        seeded = [_place(answer, *sides, np.random.default_rng(n // 2)) for n in range(16)]
        if seeded[::2] != seeded[1::2]:
            raise Mistake("Two generators with the same seed give different crops: draw from rng and nothing else.")


def _place(answer, height, width, size, rng) -> tuple[int, int]:
    """Where a crop begins, which has to be a piece of an image that holds in each pixel its row and column."""
    image = np.indices((height, width), dtype=np.uint8).transpose(1, 2, 0)
    case = {"image": image.copy(), "size": size, "rng": rng}
    crop = as_array(run(answer, case, inputs(case)), case)
    if crop.ndim == 3 and min(crop.shape[:2]) < size:
        hint = "a slice ends at top + size, or left + size, not at size."
        if crop.size and (crop[-1, -1] == image[-1, -1]).any():
            hint = "it hangs over the edge, so how far down and to the right can one begin?"
        raise Mistake(f"A crop has shape {crop.shape}, where {(size, size, 2)} is asked for: {hint}")
    top, left = as_array(crop, case, (size, size, 2))[0, 0].astype(int)
    if not np.array_equal(crop, image[top : top + size, left : left + size]):
        raise Mistake("The crop is no piece of the image: only cut, row after row, where it fits.")
    return top, left


def training_pipeline(answer) -> None:
    # Inside, because importing the exercises must not start TensorFlow
    import tensorflow as tf

    rng = np.random.default_rng()
    batch = int(rng.integers(43, 59))
    n = 3_000 // batch * batch + int(rng.integers(5, 40))
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
        raise Mistake("The dataset does not end: an epoch is over when every image was there, so repeat nothing.")
    epochs = [_order(dataset, case) for _ in range(4)]
    first, second, places = *epochs[:2], np.arange(n)
    if np.array_equal(first, places):
        raise Mistake("The images come as they are stored: mix them.")
    if (np.diff(first[:batch]) == 1).all():
        raise Mistake("Whole batches are mixed, and each holds neighbours of the stored order: mix the images first.")
    if np.array_equal(first, second):
        raise Mistake("The second epoch has the same order as the first: mix anew in each.")
    # How far ahead of its place an image can come is what a buffer limits. Without a limit it is less than 94 % of the
    # set in all four epochs with a probability of 1e-9.
    ahead = max((epoch - places).max() for epoch in epochs)
    if ahead < 0.94 * n:
        near = f"No image comes more than {ahead:,} places ahead of where it is stored"
        raise Mistake(f"{near}, so that the {n:,} are mixed with neighbours: the shuffle needs a larger buffer.")
    # Two orders that have nothing to do with each other are a third of the set apart, give or take half a per cent
    if np.abs(np.argsort(first) - np.argsort(second)).mean() < 0.2 * n:
        raise Mistake("The second epoch's order is close to the first's: the set is mixed once, and then hardly.")


def _order(dataset, case) -> np.ndarray:
    """The images' numbers in the order in which they come in an epoch, all else being right."""
    stored, n, batch = case["images"], len(case["images"]), case["batch"]
    try:
        batches = [[np.asarray(part) for part in pair] for pair in dataset]
    except Exception as error:
        raise Mistake(f"Going through the dataset raises {type(error).__name__}: {plain(error)}") from None
    for images, labels in batches:
        if images.shape[1:] != stored.shape[1:] or labels.shape != images.shape[:1]:
            shapes = f"images of shape {images.shape} with labels of shape {labels.shape}"
            raise Mistake(f"A batch is {shapes}, where {(batch, *stored.shape[1:])} with {(batch,)} is asked for.")
    sizes = [len(images) for images, _ in batches]
    if sum(sizes) == n - n % batch:
        raise Mistake(f"The last {n % batch} images are missing: the last batch may be smaller than the others.")
    if sum(sizes) != n:
        raise Mistake(f"{sum(sizes):,} images come in an epoch, where each of the {n:,} is to come once.")
    if max(sizes) != batch or sizes.count(batch) < len(sizes) - 1:
        raise Mistake(f"The batches hold {min(sizes)} to {max(sizes)} images, where batch={batch} is asked for.")
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    whole = np.rint(np.nan_to_num(255.0 * images))
    found = (256 * whole[:, 0, 0, 0] + whole[:, 0, 1, 0]).clip(0, n - 1).astype(int)
    if images.dtype != np.float32 or not np.allclose(255.0 * images, stored[found], atol=0.01):
        values = f"{images.dtype} from {images.min():.3g} to {images.max():.3g}"
        raise Mistake(f"The images are {values}: divide the stored ones by 255, as float32.")
    if len(np.unique(found)) < n:
        raise Mistake(f"Only {len(np.unique(found)):,} of the {n:,} images come, some of them more than once.")
    if not np.array_equal(labels, case["labels"][found]):
        raise Mistake("The labels are changed, or belong to other images: mix the pairs, and leave them numbers.")
    return found


Exercise("random_crop", judge=random_crop, seconds=60)
Exercise("training_pipeline", judge=training_pipeline, seconds=60)
