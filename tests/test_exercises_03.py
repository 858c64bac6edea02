"""Right and wrong answers to the exercises of notebook 03: `test_exercises.py` gives the tables to the checkers."""

import math
from collections import Counter

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from helpers import quiet_import
from helpers.exercises import check

with quiet_import():
    import keras
    import tensorflow as tf

# Right answers, as different as students' are


def count_crops(height, width, size):
    return 2 * (height - size + 1) * (width - size + 1)


def count_crops_one_by_one(height, width, size):
    count = 0
    for _ in range(height - size + 1):
        for _ in range(width - size + 1):
            count += 2
    return count


def crop_views(height, width, size):
    return 2 * math.prod(sliding_window_view(np.zeros((height, width)), (size, size)).shape[:2])


PIXELS = (0, 1, 2)


def standardise(x_train, x_test, ddof=0):
    mean, std = x_train.mean(axis=PIXELS), x_train.std(axis=PIXELS, ddof=ddof)
    std[std == 0] = 1
    return (x_train - mean) / std, (x_test - mean) / std


def standardise_in_float32(x_train, x_test):
    x_train, x_test = x_train.astype(np.float32), x_test.astype(np.float32)
    mean = x_train.mean(axis=PIXELS, keepdims=True)
    std = x_train.std(axis=PIXELS, keepdims=True) + 1e-7
    return (x_train - mean) / std, (x_test - mean) / std


def standardise_fractions(x_train, x_test):
    x_train, x_test = x_train / 255, x_test / 255
    mean, std = x_train.mean(axis=PIXELS), np.maximum(x_train.std(axis=PIXELS), 1e-6)
    return [(x - mean) / std for x in (x_train, x_test)]


def standardise_in_loops(x_train, x_test):
    results = np.zeros(x_train.shape), np.zeros(x_test.shape)
    for channel in range(x_train.shape[-1]):
        values = x_train[..., channel]
        if values.std() > 0:
            for x, result in zip((x_train, x_test), results, strict=True):
                result[..., channel] = (x[..., channel] - values.mean()) / values.std()
    return results


def standardise_without_nan(x_train, x_test):
    mean, std = x_train.mean(axis=PIXELS), x_train.std(axis=PIXELS)
    return np.nan_to_num((x_train - mean) / std), np.nan_to_num((x_test - mean) / std)


def standardise_by_sklearn(x_train, x_test):
    scaler = StandardScaler().fit(x_train.reshape(-1, x_train.shape[-1]))
    return tuple(scaler.transform(x.reshape(-1, x.shape[-1])).reshape(x.shape) for x in (x_train, x_test))


def standardise_by_keras(x_train, x_test):
    layer = keras.layers.Normalization(axis=-1)
    layer.adapt(x_train.astype("float32"))
    return layer(x_train), layer(x_test)


def flip_boxes(boxes, width):
    flipped = boxes.copy()
    flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return flipped


def flip_boxes_in_a_loop(boxes, width):
    return [(width - right, top, width - left, bottom) for left, top, right, bottom in boxes]


def flip_boxes_by_a_matrix(boxes, width):
    matrix = np.eye(4)
    matrix[[0, 2]] = -matrix[[2, 0]]
    return boxes @ matrix + [width, 0, width, 0]


def class_weights(labels, classes):
    return len(labels) / (classes * np.bincount(labels, minlength=classes))


def class_weights_by_counter(labels, classes):
    counts = Counter(labels.tolist())
    return [len(labels) / classes / counts[k] for k in range(classes)]


def class_weights_by_sklearn(labels, classes):
    return compute_class_weight("balanced", classes=np.arange(classes), y=labels)


def class_weights_in_two_steps(labels, classes):
    weights = 1 / (labels[:, None] == np.arange(classes)).sum(axis=0)
    return weights / weights[labels].mean()


def random_crop(image, size, rng):
    height, width = image.shape[:2]
    top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
    return image[top : top + size, left : left + size]


def random_crop_by_one_draw(image, size, rng):
    columns = image.shape[1] - size + 1
    top, left = divmod(rng.integers((image.shape[0] - size + 1) * columns), columns)
    return image[top : top + size, left : left + size].copy()


def random_crop_up_to_the_end(image, size, rng):
    top, left = rng.integers(0, np.subtract(image.shape[:2], size), endpoint=True)
    return image[top:, left:][:size, :size].tolist()


def random_crop_of_views(image, size, rng):
    views = sliding_window_view(image, (size, size), axis=(0, 1))
    return rng.choice(views.reshape(-1, *views.shape[2:])).transpose(1, 2, 0)


def random_crop_by_floats(image, size, rng):
    top, left = (int(rng.random() * (n - size + 1)) for n in image.shape[:2])
    result = np.zeros((size, size, image.shape[2]))
    for i in range(size):
        for j in range(size):
            result[i, j] = image[top + i, left + j]
    return result


def random_crop_by_shuffling(image, size, rng):
    top, left = (rng.permutation(n - size + 1)[0] for n in image.shape[:2])
    return np.take(np.take(image, range(top, top + size), axis=0), range(left, left + size), axis=1)


pairs = tf.data.Dataset.from_tensor_slices


def scaled(images, labels):
    return tf.cast(images, tf.float32) / 255, labels


def pipeline(*steps):
    """A function that puts these steps, each from (dataset, n, batch), behind one another."""

    def answer(images, labels, batch):
        dataset = pairs((images, labels))
        for step in steps:
            dataset = step(dataset, len(images), batch)
        return dataset

    return answer


def mix(dataset, n, batch):
    return dataset.shuffle(n)


def mix_once(dataset, n, batch):
    return dataset.shuffle(n, reshuffle_each_iteration=False)


def mix_with(size):
    return lambda dataset, n, batch: dataset.shuffle(size)


def bundle(dataset, n, batch):
    return dataset.batch(batch)


def bundle_all_but_the_last(dataset, n, batch):
    return dataset.batch(batch, drop_remainder=True)


def bundle_of(size):
    return lambda dataset, n, batch: dataset.batch(size)


def change(function):
    return lambda dataset, n, batch: dataset.map(function)


def keep(dataset, n, batch):
    return dataset.cache()


def repeat(times=None):
    return lambda dataset, n, batch: dataset.repeat(times)


def ahead(dataset, n, batch):
    return dataset.prefetch(tf.data.AUTOTUNE)


scale = change(scaled)
training_pipeline = pipeline(keep, mix, bundle, scale, ahead)


def pipeline_by_permutations(images, labels, batch):
    rng = np.random.default_rng()

    def epoch():
        order = rng.permutation(len(images))
        for start in range(0, len(images), batch):
            chosen = order[start : start + batch]
            yield (images[chosen] / 255).astype("float32"), labels[chosen]

    kinds = tf.TensorSpec((None, *images.shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(epoch, output_signature=kinds)


def pipeline_of_numbers(images, labels, batch):
    stored, kinds = tf.constant(images), tf.constant(labels, tf.int32)

    def read(number):
        return tf.image.convert_image_dtype(stored[number], tf.float32), kinds[number]

    return tf.data.Dataset.range(len(images)).shuffle(len(images), seed=1).map(read).batch(batch)


def pipeline_of_zipped_sets(images, labels, batch):
    dataset = tf.data.Dataset.zip((pairs(images.astype("float32") / 255), pairs(labels)))
    return dataset.shuffle(10 * len(images), reshuffle_each_iteration=True).batch(batch)


def pipeline_through_keras(images, labels, batch):
    layer = keras.layers.Rescaling(1 / 255)
    return pairs((images, labels)).shuffle(len(images)).batch(batch).map(lambda x, y: (layer(x), y))


RIGHT = {
    "count_crops": [
        count_crops,
        count_crops_one_by_one,
        crop_views,
        lambda height, width, size: 2.0 * np.prod(np.array([height, width]) - size + 1),
    ],
    "standardise": [
        standardise,
        standardise_in_float32,
        standardise_fractions,
        standardise_in_loops,
        standardise_without_nan,
        standardise_by_sklearn,
        standardise_by_keras,
        lambda **c: standardise(**c, ddof=1),
        lambda **c: tuple(x.astype("float32") for x in standardise(**c)),
    ],
    "flip_boxes": [flip_boxes, flip_boxes_in_a_loop, flip_boxes_by_a_matrix],
    "class_weights": [
        class_weights,
        class_weights_by_counter,
        class_weights_by_sklearn,
        class_weights_in_two_steps,
        lambda **c: class_weights(**c).astype("float32"),
    ],
    "random_crop": [
        random_crop,
        random_crop_by_one_draw,
        random_crop_up_to_the_end,
        random_crop_of_views,
        random_crop_by_floats,
        random_crop_by_shuffling,
    ],
    "training_pipeline": [
        training_pipeline,
        pipeline(mix, bundle, scale),
        pipeline(scale, mix, bundle),
        pipeline(mix, scale, bundle, ahead),
        pipeline(mix_with(10_000), bundle, scale),
        pipeline(mix, bundle, mix_with(8), scale),
        pipeline_by_permutations,
        pipeline_of_numbers,
        pipeline_of_zipped_sets,
        pipeline_through_keras,
    ],
}

# Wrong answers, each below the words that tell it from all others


def of_places(make):
    return lambda height, width, size: make(height - size + 1, width - size + 1)


def statistics(x, axis=PIXELS):
    return x.mean(axis=axis, keepdims=True), x.std(axis=axis, keepdims=True)


def treat(x, mean, std):
    return (x - mean) / std


def with_train(change, axis=PIXELS):
    return lambda x_train, x_test: tuple(change(x, *statistics(x_train, axis)) for x in (x_train, x_test))


def with_each(axis):
    return lambda x_train, x_test: tuple(treat(x, *statistics(x, axis)) for x in (x_train, x_test))


def from_0_to_1(axis):
    def answer(x_train, x_test):
        low, high = (edge(x_train, axis=axis, keepdims=True).astype(float) for edge in (np.min, np.max))
        return (x_train - low) / (high - low), (x_test - low) / (high - low)

    return answer


def standardise_one_after_the_other(x_train, x_test):
    x_train = treat(x_train, *statistics(x_train))
    return x_train, treat(x_test, *statistics(x_train))


def standardise_into_integers(x_train, x_test):
    results = np.zeros_like(x_train), np.zeros_like(x_test)
    for x, result in zip((x_train, x_test), results, strict=True):
        result[:] = np.abs(treat(x, *statistics(x_train)))
    return results


def standardise_in_uint8(x_train, x_test):
    mean, std = statistics(x_train)
    return tuple((x - mean.astype(x.dtype)) / std for x in (x_train, x_test))


def standardise_in_place(x_train, x_test):
    x_train[:] = 0
    return x_train.astype(float), x_test.astype(float)


def standardise_without_zero(x_train, x_test):
    mean, std = statistics(x_train)
    return treat(x_train, mean, std), treat(x_test, mean, std)


def standardise_all_but_the_same(x_train, x_test):
    mean, std = statistics(x_train)
    mean, std = np.where(std == 0, 0, mean), np.where(std == 0, 1, std)
    return treat(x_train, mean, std), treat(x_test, mean, std)


def boxes_of(make):
    return lambda boxes, width: np.stack(make(width, *boxes.T), axis=1)


def flip_boxes_in_place(boxes, width):
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return boxes


def flip_the_first_row(boxes, width):
    flipped = boxes.copy()
    flipped[0], flipped[2] = width - boxes[2], width - boxes[0]
    return flipped


def of_counts(make):
    return lambda labels, classes: make(np.bincount(labels))


def to_mean_1(make):
    def answer(labels, classes):
        weights = make(np.bincount(labels))
        return weights / weights[labels].mean()

    return answer


def weights_by_occurrence(labels, classes):
    return [len(labels) / classes / count for count in Counter(labels.tolist()).values()]


def crop_at(place):
    """A crop where `place(height, width, size, rng)` says."""

    def answer(image, size, rng):
        top, left = place(*image.shape[:2], size, rng)
        return image[top : top + size, left : left + size]

    return answer


def crop_then(change):
    return lambda image, size, rng: change(random_crop(image, size, rng))


def rounded(height, width, size, rng):
    return round(rng.uniform(0, height - size)), round(rng.uniform(0, width - size))


def pushed_back(height, width, size, rng):
    return min(rng.integers(height), height - size), min(rng.integers(width), width - size)


def one_of_two(height, width, size, rng):
    """Each row and each column comes up, but not each with each."""
    top = rng.integers(height - size + 1)
    left = rng.integers(width - size + 1)
    return top, left if top != 1 else 2


def favouring_the_start(height, width, size, rng):
    return tuple(max(0, rng.integers(-2, n - size + 1)) for n in (height, width))


def random_crop_around(image, size, rng):
    top, left = rng.integers(image.shape[0]), rng.integers(image.shape[1])
    return np.roll(image, (-top, -left), axis=(0, 1))[:size, :size]


def random_crop_padded(image, size, rng):
    padded = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)), constant_values=-1)
    return random_crop(padded, size, rng)


def random_pixels(image, size, rng):
    return image[rng.integers(image.shape[0], size=(size, size)), rng.integers(image.shape[1], size=(size, size))]


def random_crop_in_place(image, size, rng):
    crop = random_crop(image, size, rng).copy()
    image[:] = 0
    return crop


def random_crop_of_the_small(image, size, rng):
    return random_crop(image, 3, rng)


def random_crop_that_needs_room(image, size, rng):
    if size in image.shape[:2]:
        raise ValueError("the crop is as large as the image")
    return random_crop(image, size, rng)


def random_crop_failing_at_times(image, size, rng):
    if rng.integers(20) == 0:
        raise RuntimeError("a rare mistake")
    return random_crop(image, size, rng)


def exchange(images, labels):
    return labels, images


def with_images(make):
    return change(lambda images, labels: (make(images), labels))


def as_floats(images):
    return tf.cast(images, tf.float32)


def pipeline_shuffled_apart(images, labels, batch):
    n = len(images)
    return tf.data.Dataset.zip((pairs(images).shuffle(n), pairs(labels).shuffle(n))).batch(batch).map(scaled)


def pipeline_mixed_by_numpy(steps):
    def answer(images, labels, batch):
        order = np.random.default_rng().permutation(len(images))
        return steps(images[order], labels[order], batch)

    return answer


def pipeline_without_labels(images, labels, batch):
    return pairs(images).shuffle(len(images)).batch(batch).map(lambda images: as_floats(images) / 255)


def pipeline_drawn_with_replacement(images, labels, batch):
    chosen = np.random.default_rng().integers(len(images), size=len(images))
    return training_pipeline(images[chosen], labels[chosen], batch)


def pipeline_for_one_epoch(images, labels, batch):
    ready = iter(list(training_pipeline(images, labels, batch)))
    kinds = tf.TensorSpec((None, *images.shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(lambda: ready, output_signature=kinds)


def pipeline_of_an_endless_generator(images, labels, batch):
    def epoch():
        while True:
            for start in range(0, len(images) - batch, batch):
                yield images[start : start + batch] / 255, labels[start : start + batch]

    kinds = tf.TensorSpec((None, *images.shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(epoch, output_signature=kinds)


def pipeline_in_place(images, labels, batch):
    np.random.default_rng().shuffle(images)
    return training_pipeline(images, labels, batch)


def bundle_by_halves(dataset, n, batch):
    return dataset.take(n // 2).batch(batch).concatenate(dataset.skip(n // 2).batch(batch))


def failing(images, labels):
    tf.debugging.assert_less(labels, tf.constant(5, labels.dtype), "a mistake inside the pipeline")
    return images, labels


WRONG = {
    "count_crops": {
        "as in the paper on AlexNet": of_places(lambda rows, columns: 2 * (rows - 1) * (columns - 1)),
        "and a place on each side": of_places(lambda rows, columns: (rows - 1) * (columns - 1)),
        "The mirror images are missing: each": of_places(lambda rows, columns: rows * columns),
        "mirror images twice over": of_places(lambda rows, columns: 4 * rows * columns),
        "You move the crop down only": of_places(lambda rows, columns: 2 * rows),
        "You move the crop to the right only": of_places(lambda rows, columns: 2 * columns),
        "to the columns': each row": of_places(lambda rows, columns: 2 * (rows + columns)),
        "to the columns', without mirror": of_places(lambda rows, columns: rows + columns),
        "The width has no effect": of_places(lambda rows, columns: 2 * rows * rows),
        "The height has no effect": of_places(lambda rows, columns: 2 * columns * columns),
        "The size has no effect": lambda height, width, size: 2 * height * width,
        "tiles side by side: ": lambda height, width, size: 2 * (height // size) * (width // size),
        "tiles side by side, without": lambda height, width, size: (height // size) * (width // size),
        "You divide the photograph's area": lambda height, width, size: 2 * (height / size) * (width / size),
        "You subtract the crop's area": lambda height, width, size: 2 * (height * width - size * size),
        "You count the pixels": lambda height, width, size: count_crops(height, width, size) * size**2,
        "One place too many": of_places(lambda rows, columns: 2 * (rows + 1) * (columns + 1)),
        "For height=6, width=5, size=3 you return 25, where 24": lambda **c: count_crops(**c) + 1,
        "returns a tuple, where one number": lambda **c: (count_crops(**c) // 2, 2),
        "Keep the parameters' names: height, width, size": lambda h, w, s: 0,
        "is the return missing?": lambda **c: print(end=""),
    },
    "standardise": {
        "with their own mean and standard deviation": with_each(PIXELS),
        "both sets together": lambda x_train, x_test: tuple(
            treat(x, *statistics(np.concatenate([x_train, x_test]))) for x in (x_train, x_test)
        ),
        "Both sets are treated with the test images'": lambda x_train, x_test: standardise(x_test, x_train)[::-1],
        "have their mean subtracted": lambda x_train, x_test: (
            treat(x_train, *statistics(x_train)),
            (x_test - x_test.mean(axis=PIXELS)) / x_train.std(axis=PIXELS),
        ),
        "divided by their own standard deviation": lambda x_train, x_test: (
            treat(x_train, *statistics(x_train)),
            (x_test - x_train.mean(axis=PIXELS)) / x_test.std(axis=PIXELS),
        ),
        "the test images come out as they were": standardise_one_after_the_other,
        "the training images come out as they were": lambda x_train, x_test: (x_train, standardise(x_train, x_test)[1]),
        "one mean and one standard deviation for all channels": with_train(treat, axis=None),
        "The mean is of all channels": with_train(lambda x, mean, std: (x - mean.mean()) / std),
        "The standard deviation is of all channels": lambda x_train, x_test: tuple(
            (x - x_train.mean(axis=PIXELS)) / x_train.std() for x in (x_train, x_test)
        ),
        "Each pixel has a mean": with_train(treat, axis=0),
        "Each column has a mean": with_train(treat, axis=(0, 1)),
        "Each row has a mean": with_train(treat, axis=(0, 2)),
        "Each image is treated with its own": with_each((1, 2)),
        "with one mean of its own for all channels": with_each((1, 2, 3)),
        "over the channels of a pixel": with_each(-1),
        "You divide by the variance": with_train(lambda x, mean, std: (x - mean) / std**2),
        "You multiply by the standard deviation": with_train(lambda x, mean, std: (x - mean) * std),
        "You only subtract the mean": with_train(lambda x, mean, std: x - mean),
        "You only divide by the standard deviation": with_train(lambda x, mean, std: x / std),
        "You divide first": with_train(lambda x, mean, std: x / std - mean),
        "You subtract in uint8": standardise_in_uint8,
        "in the wrong order": lambda **c: standardise(**c)[::-1],
        "each channel from its smallest": from_0_to_1(PIXELS),
        "the images from their smallest": from_0_to_1(None),
        "You divide by 255": lambda x_train, x_test: (x_train / 255, x_test / 255),
        "This is −1…1": lambda x_train, x_test: (x_train / 127.5 - 1, x_test / 127.5 - 1),
        "Your result is uint8": standardise_into_integers,
        "and comes out as NaN": standardise_without_zero,
        "and comes out as something else": standardise_all_but_the_same,
        "it raises UFuncTypeError: Cannot cast": lambda x_train, x_test: np.subtract(
            x_train, x_train.mean(axis=PIXELS), out=x_train
        ),
        "It changes its input x_train": standardise_in_place,
        "returns an array of shape (12, 5, 4, 3), where 2 values": lambda **c: standardise(**c)[0],
        "In value 1 of 2: ": lambda **c: tuple(x + 1 for x in standardise(**c)),
        "is the return missing?": lambda **c: print(end=""),
    },
    "flip_boxes": {
        "The boxes are unchanged": lambda boxes, width: boxes,
        "Left is now beyond right": boxes_of(lambda w, left, top, right, bottom: (w - left, top, w - right, bottom)),
        "have changed places, but not been mirrored": lambda boxes, width: boxes[:, [2, 1, 0, 3]],
        "You mirror top and bottom: ": boxes_of(lambda w, left, top, right, bottom: (left, w - bottom, right, w - top)),
        "You mirror top and bottom as well": boxes_of(
            lambda w, left, top, right, bottom: (w - right, w - bottom, w - left, w - top)
        ),
        "All four columns": lambda boxes, width: width - boxes,
        "Only the left edge": boxes_of(lambda w, left, top, right, bottom: (w - right, top, right, bottom)),
        "Only the right edge": boxes_of(lambda w, left, top, right, bottom: (left, top, w - left, bottom)),
        "you take it for the width": boxes_of(lambda w, left, top, wide, bottom: (w - left - wide, top, wide, bottom)),
        "the box's width in place": boxes_of(
            lambda w, left, top, right, bottom: (w - right, top, right - left, bottom)
        ),
        "one pixel off": boxes_of(lambda w, left, top, right, bottom: (w - 1 - right, top, w - 1 - left, bottom)),
        "mirrored at 0": boxes_of(lambda w, left, top, right, bottom: (-right, top, -left, bottom)),
        "these are no shares": boxes_of(lambda w, left, top, right, bottom: (1 - right, top, 1 - left, bottom)),
        "The boxes are right, in the wrong order": lambda **c: flip_boxes(**c)[::-1],
        "The order of the boxes is reversed": lambda boxes, width: np.flip(boxes, axis=0),
        "The order of the columns is reversed": lambda boxes, width: np.flip(boxes, axis=1),
        "boxes[0] is the first box": flip_the_first_row,
        "they are rows": lambda **c: flip_boxes(**c).T,
        "the left edge alone": lambda **c: flip_boxes(**c)[:, 0],
        "of the values differ, first at [0, 0]": lambda **c: flip_boxes(**c) ** 2,
        "It changes its input boxes": flip_boxes_in_place,
        "it raises ValueError": lambda boxes, width: boxes.reshape(5, 5),
        "is the return missing?": lambda boxes, width: print(end=""),
    },
    "class_weights": {
        "the weights of each class's images sum to 1": of_counts(lambda n: 1 / n),
        "is the number of classes": of_counts(lambda n: n.sum() / n),
        "the scale is not: the weights sum to 1": of_counts(lambda n: 1 / n / np.sum(1 / n)),
        "the mean over the classes is 1": of_counts(lambda n: len(n) / n / np.sum(1 / n)),
        "the largest weight is 1": of_counts(lambda n: n.min() / n),
        "the smallest weight is 1": of_counts(lambda n: n.max() / n),
        "you divide by 2": of_counts(lambda n: n.sum() / n / 2),
        "the class in the middle": of_counts(lambda n: np.median(n) / n),
        "the sum over the images is 1": of_counts(lambda n: 1 / n / len(n)),
        "The more often a class occurs": to_mean_1(lambda n: n),
        "These are the numbers of images": of_counts(lambda n: n),
        "These are the shares of the classes: ": of_counts(lambda n: n / n.sum()),
        "These are the shares of the classes, scaled": of_counts(lambda n: len(n) * n / n.sum()),
        "1 minus the share falls": of_counts(lambda n: 1 - n / n.sum()),
        "1 minus the share, scaled, falls": to_mean_1(lambda n: 1 - n / n.sum()),
        "These are square roots": lambda **c: np.sqrt(class_weights(**c)),
        "with the square root": to_mean_1(lambda n: n**-0.5),
        "These are logarithms": of_counts(lambda n: np.log(n.sum() / n)),
        "The weights are squared": to_mean_1(lambda n: 1 / n**2),
        "All weights are the same": of_counts(np.ones_like),
        "This is a weight for each image": lambda labels, classes: class_weights(labels, classes)[labels],
        "The weights are sorted: ": lambda **c: sorted(class_weights(**c)),
        "The weights are sorted, from the largest": lambda **c: -np.sort(-class_weights(**c)),
        "in the order in which the classes first occur": weights_by_occurrence,
        "it returns a dict, where numbers": lambda **c: dict(enumerate(class_weights(**c))),
        "of the values differ, first at [0]": lambda **c: class_weights(**c) + 1,
        "the result has shape (4,), where (3,)": lambda classes, **c: np.ones(classes + 1),
        "it raises IndexError": lambda labels, classes: labels[len(labels)],
        "is the return missing?": lambda **c: print(end=""),
    },
    "random_crop": {
        "always the same one, in the middle": crop_at(lambda h, w, s, rng: ((h - s) // 2, (w - s) // 2)),
        "always the same one, from row 0 and column 0": crop_at(lambda h, w, s, rng: (0, 0)),
        "always the same one, from row 2 and column 4": crop_at(lambda h, w, s, rng: (h - s, w - s)),
        "always the same one, from row 2 and column 3": lambda image, size, rng: random_crop(
            image, size, np.random.default_rng(0)
        ),
        "Only the row is drawn, the column is always 0": crop_at(lambda h, w, s, rng: (rng.integers(h - s + 1), 0)),
        "Only the column is drawn, the row is always 0": crop_at(lambda h, w, s, rng: (0, rng.integers(w - s + 1))),
        "Row and column always move together": crop_at(lambda h, w, s, rng: [rng.integers(min(h, w) - s + 1)] * 2),
        "The image's last row and last column are never used": crop_at(
            lambda h, w, s, rng: (rng.integers(h - s), rng.integers(w - s))
        ),
        "The image's last row is never": crop_at(lambda h, w, s, rng: (rng.integers(h - s), rng.integers(w - s + 1))),
        "The image's last column is": crop_at(lambda h, w, s, rng: (rng.integers(h - s + 1), rng.integers(w - s))),
        "The image's first row and first column are never used": crop_at(
            lambda h, w, s, rng: rng.integers(1, [h - s + 1, w - s + 1])
        ),
        "A crop never begins in column 0": crop_at(lambda h, w, s, rng: rng.integers([0, 1], [h - s + 1, w - s])),
        "The columns are drawn from the height": crop_at(lambda h, w, s, rng: rng.integers(h - s + 1, size=2)),
        "The rows are drawn from the width": crop_at(lambda h, w, s, rng: rng.integers(w - s + 1, size=2)),
        "The sides are swapped": crop_at(lambda h, w, s, rng: rng.integers([w - s + 1, h - s + 1])),
        "Some crops hang over the edge": crop_at(lambda h, w, s, rng: rng.integers([h, w])),
        "The crop from row 1 and column 0 on never": crop_at(one_of_two),
        "come up less often than those between": crop_at(rounded),
        "times as often as it should": crop_at(pushed_back),
        "Not every place is equally likely: a crop begins in column 0 in 4": crop_at(favouring_the_start),
        "Rows and columns of the crop": crop_then(lambda crop: crop.transpose(1, 0, 2)),
        "mirrored, left and right": crop_then(np.fliplr),
        "mirrored, top and bottom": crop_then(np.flipud),
        "The crop is turned": crop_then(lambda crop: np.rot90(crop, 2)),
        "The order of the channels": crop_then(lambda crop: crop[:, :, ::-1]),
        "comes in again on the other": random_crop_around,
        "no pixel of the image": random_crop_padded,
        "not neighbours": random_pixels,
        "draw from rng and nothing else": lambda image, size, rng: random_crop(image, size, np.random.default_rng()),
        "For image of shape (40, 50, 2), size=8 the result has shape (3, 3, 2)": random_crop_of_the_small,
        "the result has shape (3, 3), where (3, 3, 2)": crop_then(lambda crop: crop[:, :, 0]),
        "the result has shape (3, 7, 2), where (3, 3, 2)": lambda image, size, rng: image[:size],
        "it raises ValueError: the crop is as large as the image": random_crop_that_needs_room,
        "raises RuntimeError: a rare mistake": random_crop_failing_at_times,
        "it returns a tuple, where an array": lambda image, size, rng: ((1,), (2, 3)),
        "It changes its input image": random_crop_in_place,
        "Keep the parameters' names: image, size, rng": lambda image, size: image,
        "is the return missing?": lambda **c: print(end=""),
    },
    "training_pipeline": {
        "this is a list": lambda **c: list(training_pipeline(**c)),
        "this is a tuple": lambda images, labels, batch: (images, labels),
        "one array at a time": pipeline_without_labels,
        "has length 3": pipeline(mix, bundle, change(lambda images, labels: (images / 255, labels, labels))),
        "is a dict": pipeline(mix, bundle, change(lambda images, labels: {"images": images, "labels": labels})),
        "The dataset never ends": pipeline(mix, repeat(), bundle, scale),
        "the images come first": pipeline(mix, bundle, scale, change(exchange)),
        "The images come one at a time": pipeline(mix, scale),
        "The batches come in batches": pipeline(mix, bundle, bundle, scale),
        "A batch of images is float32 of shape": pipeline(
            mix, bundle, scale, with_images(lambda images: tf.reshape(images, (-1, 6)))
        ),
        "vectors of 10 (one-hot)": pipeline(
            mix, bundle, scale, change(lambda images, labels: (images, tf.one_hot(labels, 10)))
        ),
        "but labels of shape": pipeline(mix, bundle, change(lambda images, labels: (images / 255, labels[:, None]))),
        "The dataset is empty": pipeline(mix, bundle, scale, lambda dataset, n, batch: dataset.take(0)),
        "The images have shape (3, 2, 1), where (2, 3, 1)": pipeline(
            mix, bundle, scale, with_images(lambda images: tf.transpose(images, (0, 2, 1, 3)))
        ),
        "come in one batch": pipeline(mix, lambda dataset, n, batch: dataset.batch(n), scale),
        "The batches hold 32 images": pipeline(mix, bundle_of(32), scale),
        "come in one epoch: each is to come once": pipeline(mix, repeat(2), bundle, scale),
        "images are missing: the last batch": pipeline(mix, bundle_all_but_the_last, scale),
        "images do not come": pipeline(mix, lambda dataset, n, batch: dataset.skip(batch), bundle, scale),
        "The batches are not all of": pipeline(bundle_by_halves, scale),
        "whole numbers from 0 to 255": pipeline(mix, bundle),
        "uint8, which has nothing between": pipeline(mix, bundle, with_images(lambda images: images // 255)),
        "floats, but still from 0 to 255": pipeline(mix, bundle, with_images(as_floats)),
        "divided by 255 twice": pipeline(scale, mix, bundle, with_images(lambda images: images / 255)),
        "from −1 to 1": pipeline(mix, bundle, with_images(lambda images: as_floats(images) / 127.5 - 1)),
        "from −0.5 to 0.5": pipeline(mix, bundle, with_images(lambda images: as_floats(images) / 255 - 0.5)),
        "from 0 to 2: ": pipeline(mix, bundle, with_images(lambda images: as_floats(images) / 127.5)),
        "divided by 256": pipeline(mix, bundle, with_images(lambda images: as_floats(images) / 256)),
        "The images are float64": lambda images, labels, batch: pipeline(mix, bundle)(images / 255, labels, batch),
        "The images are float16": pipeline(mix, bundle, with_images(lambda images: tf.cast(images / 255, tf.float16))),
        "not the stored ones divided by 255": pipeline(
            mix, bundle, with_images(lambda images: as_floats(images) / tf.reduce_max(as_floats(images)))
        ),
        "some of them more than once": pipeline_drawn_with_replacement,
        "no longer belong to their images": pipeline_shuffled_apart,
        "The labels are divided by 255 too": pipeline(
            mix, bundle, scale, change(lambda images, labels: (images, labels / 255))
        ),
        "The labels are changed": pipeline(mix, bundle, scale, change(lambda images, labels: (images, labels + 1))),
        "The second epoch is empty": pipeline_for_one_epoch,
        "as they are stored, in every epoch": pipeline(bundle, scale),
        "Whole batches are mixed": pipeline(bundle, mix, scale),
        "has the same order as the first": pipeline(mix, bundle, keep, scale),
        "ahead of where it is stored": pipeline(mix_with(1_000), bundle, scale),
        "is close to the first's": pipeline_mixed_by_numpy(pipeline(mix_with(32), bundle, scale)),
        "Going through the dataset raises InvalidArgumentError": pipeline(mix, change(failing), bundle, scale),
        "It changes its input images": pipeline_in_place,
        "Keep the parameters' names: images, labels, batch": lambda x, y, batch: x,
        "is the return missing?": lambda **c: print(end=""),
    },
}

# The right result of a checker's first case, and others that a student might type in
CONSTANTS = {
    "count_crops": [0, 24, 2_178, 2_048.0],
    "standardise": [0, (0, 0), (np.zeros((12, 5, 4, 3)), np.zeros((7, 5, 4, 3)))],
    "flip_boxes": [0, np.zeros((3, 4)), [[50, 50, 50, 50]] * 3],
    "class_weights": [1, 0, [1, 1, 1], np.ones(3) / 3],
    "random_crop": [0, np.zeros((3, 3, 2)), np.indices((3, 3)).transpose(1, 2, 0), []],
    "training_pipeline": [
        0,
        [],
        (np.zeros((32, 2, 3, 1)), np.zeros(32)),
        tf.data.Dataset.range(9),
        pairs(([0.5], [1])),
    ],
}


def diagnosis(exercise, answer):
    return check(exercise, answer).diagnosis


def test_an_endless_dataset_is_left_in_time():
    """Nothing tells that a generator never ends, before one image too many has come."""
    assert "More than the 2," in diagnosis("training_pipeline", pipeline_of_an_endless_generator)


def test_a_second_epoch_that_is_worse_is_found():
    def answer(images, labels, batch):
        ready = list(training_pipeline(images, labels, batch))
        epochs = iter([ready, ready[1:]])
        kinds = tf.TensorSpec((None, *images.shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64)
        return tf.data.Dataset.from_generator(lambda: next(epochs), output_signature=kinds)

    found = diagnosis("training_pipeline", answer)
    assert found.startswith("The first epoch is right, the second is not. ")
    assert found.endswith(" images do not come.")


@pytest.mark.parametrize("size", [2, 32, 256, 1_000, 2_048])
def test_a_buffer_smaller_than_the_set_is_found(size):
    answer = pipeline(mix_with(size), bundle, scale)
    assert "places ahead of where it is stored" in diagnosis("training_pipeline", answer)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((mix_once, bundle, scale), id="reshuffle_each_iteration=False"),
        pytest.param((mix, keep, bundle, scale), id="cache"),
    ],
)
def test_an_order_that_is_kept_is_found(steps):
    assert "has the same order as the first" in diagnosis("training_pipeline", pipeline(*steps))


def test_a_set_mixed_by_numpy_once_has_one_order():
    assert "has the same order" in diagnosis("training_pipeline", pipeline_mixed_by_numpy(pipeline(bundle, scale)))


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(lambda images, labels: (images, tf.as_string(labels)), id="labels that are text"),
        pytest.param(lambda images, labels: (tf.as_string(images), labels), id="images that are text"),
        pytest.param(lambda images, labels: (images / 0, labels), id="NaN and infinity"),
        pytest.param(lambda images, labels: (images / 255, {"label": labels}), id="a dictionary in a pair"),
        pytest.param(lambda images, labels: (tf.cast(images, tf.bfloat16) / 255, labels), id="bfloat16"),
        pytest.param(lambda images, labels: (images > 100, labels), id="true and false"),
        pytest.param(lambda images, labels: (tf.cast(images, tf.complex64), labels), id="complex numbers"),
        pytest.param(lambda images, labels: (tf.RaggedTensor.from_tensor(images), labels), id="ragged"),
        pytest.param(lambda images, labels: tf.RaggedTensor.from_tensor(images), id="ragged, alone"),
        pytest.param(lambda images, labels: (images[: 1 + labels[0]], labels), id="too few images"),
        pytest.param(lambda images, labels: (images[:, : 1 + tf.shape(images)[0] % 2], labels), id="sizes that vary"),
        pytest.param(lambda images, labels: (tf.random.uniform(tf.shape(images)), labels), id="noise"),
    ],
)
def test_strange_elements_are_only_mistakes(element):
    assert check("training_pipeline", pipeline(mix, bundle, change(element))).status == "not yet"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda image, size, rng: image[: rng.integers(4)], id="sizes that vary"),
        pytest.param(lambda image, size, rng: [1, "a", None][rng.integers(3)], id="kinds that vary"),
        pytest.param(lambda image, size, rng: image[:0], id="empty"),
        pytest.param(lambda image, size, rng: image[-1:2, -1:2], id="empty along both sides"),
        pytest.param(lambda image, size, rng: random_crop(image, size, rng) / 0.0, id="infinity"),
        pytest.param(lambda image, size, rng: image[0, 0, rng.integers(1, 2) :][:2], id="one axis"),
        pytest.param(lambda image, size, rng: random_crop(image, size, rng)[..., : 1 + rng.integers(2)], id="channels"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_strange_crops_are_only_mistakes(answer):
    assert check("random_crop", answer).status == "not yet"


@pytest.mark.parametrize("result", [(), (1,), (1, 2, 3), "ab", {"x_train": 0, "x_test": 1}, ([[1], [2, 3]], 0)])
def test_strange_pairs_are_only_mistakes(result):
    assert check("standardise", lambda x_train, x_test: result).status == "not yet"
