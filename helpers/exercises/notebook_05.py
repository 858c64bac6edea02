"""The exercises of notebook 05, transfer learning: each checker is named like its exercise."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import numpy as np

from .engine import Mistake, call, compare, describe, exercise, numbers, run, same, second_wrong


def _parameters(layers, frozen, kernel=lambda k: k * k, biased=lambda norm: not norm, of=lambda c, f: f, place=None):
    """The parts of each layer, and whether it is frozen: `place` says so from its number and the number of layers."""
    for number, (k, channels, filters, norm) in enumerate(layers):
        yield SimpleNamespace(
            frozen=place(number, len(layers), frozen) if place else number < frozen,
            conv=kernel(k) * channels * filters + (filters if biased(norm) else 0),
            norm=2 * of(channels, filters) if norm else 0,  # gamma and beta, and as many moving statistics
        )


@exercise
def trainable_and_frozen(answer) -> None:
    rng = np.random.default_rng()
    # Both kinds of layers on both sides. The numbers are small, so that a single bias shows.
    cases = [
        {"layers": [(3, 3, 8, True), (5, 8, 5, False), (3, 5, 6, False), (1, 6, 9, True), (3, 9, 4, True)], "frozen": 2}
    ]
    for _ in range(10):
        widths = rng.permutation(np.arange(3, 13))[: int(rng.integers(4, 8))].tolist()
        kinds = zip(rng.choice([1, 3, 5], size=len(widths)), rng.random(len(widths)) < 0.6, strict=True)
        layers = [
            (int(k), *pair, bool(norm)) for (k, norm), pair in zip(kinds, itertools.pairwise(widths), strict=False)
        ]
        cases.append({"layers": layers, "frozen": int(rng.integers(1, len(layers)))})

    def split(
        trainable=lambda p: 0 if p.frozen else p.conv + p.norm,
        others=lambda p: p.conv + 2 * p.norm if p.frozen else p.norm,
        **changes,
    ):
        """Two sums over the layers, of what each has on either side."""

        def both(layers, frozen):
            parts = list(_parameters(layers, frozen, **changes))
            return sum(map(trainable, parts)), sum(map(others, parts))

        return both

    right = split()
    compare(
        answer,
        right,
        cases,
        {
            "The two numbers are in the wrong order: the trainable parameters first.": lambda **c: right(**c)[::-1],
            "The moving mean and variance are counted as trainable: no gradient ever reaches them.": split(
                lambda p: 0 if p.frozen else p.conv + 2 * p.norm, lambda p: p.conv + 2 * p.norm if p.frozen else 0
            ),
            "The moving means and variances are missing: two numbers for each channel, trainable in no layer.": split(
                others=lambda p: p.conv + p.norm if p.frozen else 0
            ),
            "The moving means and variances of the layers that are not frozen are missing: they are not trainable "
            "either.": split(others=lambda p: p.conv + 2 * p.norm if p.frozen else 0),
            "The moving means and variances of the frozen layers are missing.": split(
                others=lambda p: p.conv + p.norm if p.frozen else p.norm
            ),
            "Of the batch normalisation that is not frozen, gamma and beta are trainable: you count all four as "
            "others.": split(
                lambda p: 0 if p.frozen else p.conv, lambda p: p.conv + 2 * p.norm if p.frozen else 2 * p.norm
            ),
            "The batch normalisation is missing: four numbers for each channel, two of them trainable.": split(
                lambda p: 0 if p.frozen else p.conv, lambda p: p.conv if p.frozen else 0
            ),
            "Gamma and beta are missing: two trainable numbers for each channel of a batch normalisation.": split(
                lambda p: 0 if p.frozen else p.conv, lambda p: p.conv + p.norm if p.frozen else p.norm
            ),
            "The batch normalisation is not frozen with its convolution: gamma and beta of the frozen layers still "
            "count as trainable.": split(
                lambda p: p.norm if p.frozen else p.conv + p.norm, lambda p: p.conv + p.norm if p.frozen else p.norm
            ),
            "The batch normalisation of the frozen layers is missing among the others.": split(
                others=lambda p: p.conv if p.frozen else p.norm
            ),
            "Every convolution has biases here: one with batch normalisation has none.": split(
                biased=lambda norm: True
            ),
            "The biases are missing: one for each filter where there is no batch normalisation.": split(
                biased=lambda norm: False
            ),
            "The biases are in the wrong layers: True is for batch normalisation, and then there are none.": split(
                biased=lambda norm: norm
            ),
            "A kernel has k×k weights for each pair of channels, not k.": split(kernel=lambda k: k),
            "Batch normalisation comes after the convolution: it has as many channels as filters, not as it reads.": (
                split(of=lambda channels, filters: channels)
            ),
            "You freeze the last layers: the first ones are frozen.": split(
                place=lambda number, count, frozen: number >= count - frozen
            ),
            "You train the layers that are to be frozen, and freeze the others.": split(
                place=lambda number, count, frozen: number >= frozen
            ),
            "One layer too many is frozen.": split(place=lambda number, count, frozen: number < frozen + 1),
            "One layer too few is frozen.": split(place=lambda number, count, frozen: number < frozen - 1),
            "Only one layer is frozen: all up to it are to be.": split(
                place=lambda number, count, frozen: number == frozen - 1
            ),
            "frozen has no effect: nothing of the first layers is trainable.": split(
                place=lambda number, count, frozen: False
            ),
            "The second number is that of all parameters: return those that are not trainable.": second_wrong(
                right, lambda **c: sum(right(**c))
            ),
            "This is the sum of both: return two numbers.": lambda **c: sum(right(**c)),
        },
    )
    layers = cases[0]["layers"]
    compare(answer, right, [{"layers": layers, "frozen": frozen} for frozen in (0, len(layers))], {})


def _moved(
    axis=(0, 1, 2), share=lambda momentum: momentum, spread=lambda x, axis, mean: x.var(axis), steps=lambda x: x
):
    """Moving statistics, with another axis, share of the old value, measure of the spread or choice of the steps."""

    def statistics(activations, mean, variance, momentum):
        kept = share(momentum)
        for batch in steps(activations):
            # The spread may be measured around the mean so far
            spread_of = spread(batch, axis, mean)
            mean = kept * mean + (1 - kept) * batch.mean(axis)
            variance = kept * variance + (1 - kept) * spread_of
        return mean, variance

    return statistics


@exercise
def moving_statistics(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for steps, batch, height, width, channels in ((2, 4, 2, 3, 3), (4, 3, 3, 2, 2), (3, 2, 2, 4, 5)):
        # A mean and a spread of its own in each step and channel
        shift, scale = rng.normal(scale=3, size=(2, steps, 1, 1, 1, channels))
        noise = rng.normal(size=(steps, batch, height, width, channels))
        cases.append(
            {
                "activations": shift + (1.5 + np.abs(scale)) * noise,
                "mean": rng.normal(size=channels),
                "variance": rng.uniform(0.5, 2, size=channels),
                "momentum": float(rng.uniform(0.6, 0.9)),
            }
        )

    right = _moved()

    def of_pooled(x):
        return x.reshape(1, -1, *x.shape[2:])

    def both_pooled(spread):
        """No momentum at all: the batches' own statistics, in the mean over the steps."""
        return lambda activations, **c: (
            np.mean([x.mean((0, 1, 2)) for x in activations], axis=0),
            np.mean([spread(x) for x in activations], axis=0),
        )

    def with_variance(make):
        return second_wrong(right, lambda **c: make(**c)[1])

    compare(
        answer,
        right,
        cases,
        {
            "The momentum is on the wrong side: it is the share of the old value that is kept.": _moved(
                share=lambda momentum: 1 - momentum
            ),
            "The two are in the wrong order: the mean first.": lambda **c: right(**c)[::-1],
            "Only the last step has an effect: go on from what the step before left.": _moved(steps=lambda x: x[-1:]),
            "Only the first step is taken: all of them, one after the other.": _moved(steps=lambda x: x[:1]),
            "All steps are taken together as one batch: each moves the statistics.": _moved(steps=of_pooled),
            "The steps are taken from the last to the first.": _moved(steps=lambda x: x[::-1]),
            "These are the last batch's own mean and variance: nothing of the old values is kept.": (
                lambda activations, **c: (activations[-1].mean((0, 1, 2)), activations[-1].var((0, 1, 2)))
            ),
            "These are the mean and variance of all activations: nothing of the old values is kept.": (
                lambda activations, **c: (activations.mean((0, 1, 2, 3)), activations.var((0, 1, 2, 3)))
            ),
            "These are the means over the steps: nothing of the old values is kept.": both_pooled(
                lambda x: x.var((0, 1, 2))
            ),
            "The statistics do not move: they are returned as they came.": lambda mean, variance, **c: (mean, variance),
            "You begin with a mean of 0 and a variance of 1: begin with mean and variance.": (
                lambda mean, variance, **c: right(mean=0 * mean, variance=0 * variance + 1, **c)
            ),
            "You begin with a mean and a variance of 0: begin with mean and variance.": (
                lambda mean, variance, **c: right(mean=0 * mean, variance=0 * variance, **c)
            ),
            "The first batch replaces the old values: it moves them, as each batch does.": (
                lambda activations, mean, variance, momentum: right(
                    activations[1:], activations[0].mean((0, 1, 2)), activations[0].var((0, 1, 2)), momentum
                )
            ),
            "One number stands for all channels: take the mean over the batch, height and width only.": _moved(
                axis=None
            ),
            "The mean is over the batch only: each channel has one, over height and width too.": _moved(axis=0),
            "The mean is over height and width only: each channel has one, over the batch too.": _moved(axis=(1, 2)),
        }
        | {
            f"The mean is right. {text}": with_variance(make)
            for text, make in {
                "The standard deviation stands for the variance, which is its square.": _moved(
                    spread=lambda x, axis, mean: x.std(axis)
                ),
                "You divide by n − 1 in the variance: Keras divides by n.": _moved(
                    spread=lambda x, axis, mean: x.var(axis, ddof=1)
                ),
                "The variance is around the moving mean: take it around the batch's own.": _moved(
                    spread=lambda x, axis, mean: ((x - mean) ** 2).mean(axis)
                ),
                "You take the mean of the squares: subtract the square of the batch's mean.": _moved(
                    spread=lambda x, axis, mean: (x**2).mean(axis)
                ),
                "The variance is as it came: it moves as the mean does.": lambda variance, **c: (None, variance),
                "For the variance the momentum is on the wrong side.": _moved(share=lambda momentum: 1 - momentum),
                "The variance is one for all channels.": _moved(
                    spread=lambda x, axis, mean: np.full(x.shape[-1], x.var())
                ),
                "The variance is over the batch only, with the mean of that over height and width.": _moved(
                    spread=lambda x, axis, mean: x.var(0).mean((0, 1))
                ),
                "The variance is over height and width only, with the mean of that over the batch.": _moved(
                    spread=lambda x, axis, mean: x.var((1, 2)).mean(0)
                ),
                "Only the last step has an effect on the variance.": _moved(steps=lambda x: x[-1:]),
            }.items()
        },
    )


def _unit(x: np.ndarray, axis: int = 1) -> np.ndarray:
    """Each row, or each column, divided by its length."""
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def _means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])


def _sums(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([features[labels == label].sum(axis=0) for label in range(labels.max() + 1)])


def _distances(new: np.ndarray, means: np.ndarray) -> np.ndarray:
    """From each new vector to each mean, negative: the nearest has the largest."""
    return -np.linalg.norm(new[:, None] - means, axis=2)


def _similarities(features: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    return _unit(new) @ _unit(_means(_unit(features), labels)).T


def _order_of_occurrence(labels: np.ndarray) -> np.ndarray:
    """The labels by the place at which each first occurs."""
    return np.array(list(dict.fromkeys(labels.tolist())))


NEAREST = {  # diagnosis, none for what is asked for: the class from features, labels and new
    "": lambda f, y, new: _similarities(f, y, new).argmax(axis=1),
    "The features are not scaled before the mean, so that long vectors count for more.": (
        lambda f, y, new: (new @ _unit(_means(f, y)).T).argmax(axis=1)
    ),
    "The means are not scaled to length 1, so that the class with the longest has an advantage.": (
        lambda f, y, new: (new @ _means(_unit(f), y).T).argmax(axis=1)
    ),
    "Neither the features nor the means are scaled: this is a dot product, not the cosine similarity.": (
        lambda f, y, new: (new @ _means(f, y).T).argmax(axis=1)
    ),
    "These are sums, not scaled to length 1: a class with many images has an advantage.": (
        lambda f, y, new: (new @ _sums(_unit(f), y).T).argmax(axis=1)
    ),
    "These are sums of features that are not scaled, nor are the sums: a class with many images has an advantage.": (
        lambda f, y, new: (new @ _sums(f, y).T).argmax(axis=1)
    ),
    "You take the distance of vectors that are not scaled: the cosine similarity does not depend on lengths.": (
        lambda f, y, new: _distances(new, _means(f, y)).argmax(axis=1)
    ),
    "You take the distance to means that are not scaled to length 1.": (
        lambda f, y, new: _distances(_unit(new), _means(_unit(f), y)).argmax(axis=1)
    ),
    "You take the distance from new vectors that are not scaled to length 1, to means that are not either.": (
        lambda f, y, new: _distances(new, _means(_unit(f), y)).argmax(axis=1)
    ),
    "You take the distance to means of features that are not scaled.": (
        lambda f, y, new: _distances(_unit(new), _means(f, y)).argmax(axis=1)
    ),
    "This is the class of the nearest single image: compare with the mean of each class.": (
        lambda f, y, new: y[(_unit(new) @ _unit(f).T).argmax(axis=1)]
    ),
    "This is the class with the smallest similarity: take the largest.": (
        lambda f, y, new: _similarities(f, y, new).argmin(axis=1)
    ),
    "This is the class with the second largest similarity.": (
        lambda f, y, new: _similarities(f, y, new).argsort(axis=1)[:, -2]
    ),
    "The features are scaled column by column: each image's vector has a length.": (
        lambda f, y, new: (_unit(new) @ _unit(_means(_unit(f, axis=0), y)).T).argmax(axis=1)
    ),
    "You divide by the sum of the absolute values: the length is the square root of the sum of the squares.": (
        lambda f, y, new: (new @ _l1(_means(_l1(f), y)).T).argmax(axis=1)
    ),
    "The classes are numbered in the order in which they first occur: return the labels.": (
        lambda f, y, new: np.argsort(_order_of_occurrence(y))[_similarities(f, y, new).argmax(axis=1)]
    ),
}


def _l1(x: np.ndarray) -> np.ndarray:
    return x / np.abs(x).sum(axis=1, keepdims=True)


@exercise
def nearest_class(answer) -> None:
    rng = np.random.default_rng()
    cases = [_drawn_features(rng, classes) for classes in (4, 3, 5)]

    def of_similarities(make):
        return lambda **case: make(_similarities(**case))

    compare(
        answer,
        lambda features, labels, new: NEAREST[""](features, labels, new),
        cases,
        {
            text: lambda features, labels, new, make=make: make(features, labels, new)
            for text, make in NEAREST.items()
            if text
        }
        | {
            "These are the similarities: return the class with the largest.": of_similarities(lambda s: s),
            "These are the similarities, a row for each class: return the class with the largest.": of_similarities(
                lambda s: s.T
            ),
            "This is the largest similarity: return its class.": of_similarities(lambda s: s.max(axis=1)),
            "This is the new image that is most similar to each class: return a class for each new image.": (
                of_similarities(lambda s: s.argmax(axis=0))
            ),
            "These are zeros and a one for each image: return the class's number.": of_similarities(
                lambda s: np.eye(s.shape[1])[s.argmax(axis=1)]
            ),
            "This is the place of the nearest single image: return the class whose mean is nearest.": (
                lambda features, labels, new: (_unit(new) @ _unit(features).T).argmax(axis=1)
            ),
        },
    )


def _drawn_features(rng: np.random.Generator, classes: int) -> dict:
    """Features for which each way in `NEAREST` gives other classes, and no two similarities are nearly the same."""
    while True:
        counts = rng.permutation(np.arange(3, 3 + 4 * classes, 4))
        labels = rng.permutation(np.repeat(np.arange(classes), counts))
        # The classes overlap, and differ in length and in how much they vary
        centres = rng.normal(size=(classes, 5)) * rng.uniform(0.5, 3, size=(classes, 1))
        noise = rng.normal(size=(len(labels), 5)) * rng.uniform(0.5, 2, size=classes)[labels][:, None]
        features = (centres[labels] + noise) * rng.uniform(0.2, 3, size=(len(labels), 1))
        new = rng.normal(size=(60, 5)) * rng.uniform(0.2, 4, size=(60, 1))
        ranked = np.sort(_similarities(features, labels, new), axis=1)
        results = {tuple(make(features, labels, new).tolist()) for make in NEAREST.values()}
        if len(results) == len(NEAREST) and (ranked[:, -1] - ranked[:, -2]).min() > 1e-4:
            return {"features": features, "labels": labels, "new": new}


def _scaled(x: np.ndarray) -> np.ndarray:
    """The map as it is asked for, from the weighted sum of the maps."""
    x = np.maximum(x, 0)
    return x / max(x.max(), np.finfo(float).tiny)


@exercise
def cam(answer) -> None:
    rng = np.random.default_rng()
    # As many classes as channels, so that a row of the kernel is told from a column
    cases = [_drawn_maps(rng, *shape) for shape in ((4, 5, 6, 6), (3, 2, 5, 5), (6, 5, 7, 7))]

    def of_sum(make):
        return lambda maps, kernel, label: make(maps @ kernel[:, label])

    def weighted(make):
        """The map for other weights of the channels."""
        return lambda maps, kernel, label: _scaled(maps @ make(maps, kernel, label))

    right = of_sum(_scaled)
    compare(
        answer,
        right,
        cases,
        {
            "The ReLU is missing: negative values become 0.": of_sum(lambda x: x / x.max()),
            "The ReLU is missing, and the largest absolute value is 1: negative values become 0.": of_sum(
                lambda x: x / np.abs(x).max()
            ),
            "This goes from the smallest value, as 0, to the largest: negative values become 0 instead.": of_sum(
                lambda x: (x - x.min()) / (x.max() - x.min())
            ),
            "You take absolute values: what speaks against the class becomes 0.": of_sum(
                lambda x: np.abs(x) / np.abs(x).max()
            ),
            "Negative values become 0, but the largest is not 1: divide by it.": of_sum(lambda x: np.maximum(x, 0)),
            "You divide by the sum: the largest is to be 1.": of_sum(
                lambda x: np.maximum(x, 0) / np.maximum(x, 0).sum()
            ),
            "You divide by the largest absolute value before the ReLU: the largest that is left is to be 1.": of_sum(
                lambda x: np.maximum(x, 0) / np.abs(x).max()
            ),
            "This is the weighted sum alone: negative values become 0, and the largest is to be 1.": of_sum(
                lambda x: x
            ),
            "The weighted sum is divided by the number of places, and is left so: negative values become 0, and the "
            "largest is to be 1.": of_sum(lambda x: x / x.size),
            "Channels with a negative weight are left out: they are subtracted, and the ReLU comes after the sum.": (
                weighted(lambda maps, kernel, label: np.maximum(kernel[:, label], 0))
            ),
            "The weights lose their sign: a channel with a negative weight speaks against the class.": weighted(
                lambda maps, kernel, label: np.abs(kernel[:, label])
            ),
            "The sign is wrong: this is what speaks against the class.": of_sum(lambda x: _scaled(-x)),
            "The weights are a row of the kernel: a class has a column.": weighted(
                lambda maps, kernel, label: kernel[label]
            ),
            "The map is that of the class with the highest score: make it for label.": weighted(
                lambda maps, kernel, label: kernel[:, (maps.mean((0, 1)) @ kernel).argmax()]
            ),
            "The map is that of class 0: make it for label.": weighted(lambda maps, kernel, label: kernel[:, 0]),
            "The map is that of the class before: classes begin with 0.": weighted(
                lambda maps, kernel, label: kernel[:, label - 1]
            ),
            "The map is of all classes together: only the weights of label count.": weighted(
                lambda maps, kernel, label: kernel.sum(axis=1)
            ),
            "The channels are not weighted: each counts by its weight for the class.": (
                lambda maps, kernel, label: _scaled(maps.sum(axis=2))
            ),
            "The weights are multiplied by the channels' means: the gradient does not depend on the maps.": weighted(
                lambda maps, kernel, label: kernel[:, label] * maps.mean((0, 1))
            ),
            "There is a map for each channel: sum over the channels.": lambda maps, kernel, label: _scaled(
                maps * kernel[:, label]
            ),
            "There is a map for each channel, and negative values are left: sum over the channels.": (
                lambda maps, kernel, label: maps * kernel[:, label]
            ),
            "There is a map for each class: return that of label.": lambda maps, kernel, label: _scaled(maps @ kernel),
            "Height and width have changed places.": lambda **case: right(**case).T,
            "This is the score of the class, one number: keep height and width.": lambda maps, kernel, label: (
                maps.mean((0, 1)) @ kernel[:, label]
            ),
        },
    )
    compare(answer, right, [_drawn_maps(rng, *shape) for shape in ((3, 4, 7, 5), (4, 4, 5, 8))], {})

    against = _drawn_maps(rng, 3, 4, 6, 5)
    against["maps"] += 0.1  # so that the largest value is below 0, and dividing by that gives no NaN
    against["kernel"][:, against["label"]] = -rng.uniform(0.5, 1, size=6)
    with np.errstate(all="ignore"):  # the diagnosis says it
        result = numbers(call(answer, against))
    if result is None or not same(result, np.zeros((3, 4))):
        came = "NaN" if result is not None and np.isnan(result).any() else "something else"
        raise Mistake(
            "Where every channel speaks against the class, no value is above 0 and there is no largest to divide by: "
            f"all are to be 0, and come out as {came}."
        )


def _drawn_maps(rng: np.random.Generator, height: int, width: int, channels: int, classes: int) -> dict:
    """Maps after a ReLU, which speak for a class in one place and against it in another."""
    while True:
        maps = np.maximum(rng.normal(size=(height, width, channels)), 0)
        kernel = rng.normal(size=(channels, classes))
        label = int(rng.integers(2, classes))
        values = maps @ kernel
        own, best = values[..., label], int(values.sum((0, 1)).argmax())
        # Each class has both signs, so that no map is all zeros, and its own is more negative than positive
        mixed = values.max((0, 1)).min() > 0.1 and values.min((0, 1)).max() < -0.1 and own.min() < -1.1 * own.max()
        if mixed and best not in (0, label - 1, label):
            return {"maps": maps, "kernel": kernel, "label": label}


# The exercises in Keras


def _size(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _is_norm(layer) -> bool:
    return hasattr(layer, "moving_variance")


@exercise
def unfreeze_from(answer) -> None:
    base = _drawn_base(np.random.default_rng())
    names = ("conv2", "norm1", "dense", "images", "norm3", "last")
    before = base.get_weights()
    results = []
    for name in names:
        # By way of True, for what is False already is not set again, and does not reach the layers
        base.trainable = True
        base.trainable = False
        what = f"the layer {name!r} of a base with layers {', '.join(layer.name for layer in base.layers)}"
        result = run(answer, {"base": base, "name": name}, what)
        after = base.get_weights()
        if len(after) != len(before) or not all(map(np.array_equal, before, after)):
            raise Mistake("It changes the values of base's weights: change only what is trainable.")
        results.append((result, {layer.name for layer in base.layers if layer.trainable_weights}, base.trainable))
    _check_unfrozen(base, names, results)
    for name, (result, _, _) in zip(names, results, strict=True):
        if not same(result, _size(_expected(base, name, lambda place, at: place >= at))):
            raise Mistake(_wrong_number(base, names, [result for result, _, _ in results]))


def _drawn_base(rng: np.random.Generator):
    """A small network with a shortcut, and numbers of channels all different; not each layer has biases."""
    # Inside, because importing the checkers must not start TensorFlow
    import keras
    from keras import layers

    first, second, third = (int(value) for value in rng.permutation(np.arange(2, 9))[:3])
    images = keras.Input((8, 8, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1")(x)
    skip = layers.BatchNormalization(name="norm1")(x)
    x = layers.Conv2D(second, 3, padding="same", name="conv2")(layers.ReLU(name="relu1")(skip))
    x = layers.BatchNormalization(name="norm2")(x)
    x = layers.Add(name="add")([layers.Dense(first, name="dense")(layers.ReLU(name="relu2")(x)), skip])
    x = layers.Conv2D(third, 3, use_bias=False, name="conv3")(x)
    x = layers.BatchNormalization(name="norm3")(x)
    return keras.Model(images, layers.ReLU(name="last")(x), name="base")


def _expected(base, name: str, chosen: Callable, norms: bool = False) -> list:
    """The weights that train, when a layer does that `chosen` picks by its place and that of the layer `name`."""
    at = [layer.name for layer in base.layers].index(name)
    return [
        weight
        for place, layer in enumerate(base.layers)
        if chosen(place, at) and (norms or not _is_norm(layer))
        for weight in layer.weights
        if not weight.name.startswith("moving")
    ]


UNFROZEN = {  # diagnosis, none for what is asked for: whether a layer trains, and whether batch normalisation does too
    "": (lambda place, at: place >= at, False),
    "Batch normalisation is trainable too: leave it frozen.": (lambda place, at: place >= at, True),
    "The layer called name is still frozen: it is the first to train.": (lambda place, at: place > at, False),
    "The layer called name is still frozen, and batch normalisation is trainable: it is the other way round.": (
        lambda place, at: place > at,
        True,
    ),
    "The layer before the one called name is trainable too.": (lambda place, at: place >= at - 1, False),
    "The layer before the one called name is trainable too, and so is batch normalisation.": (
        lambda place, at: place >= at - 1,
        True,
    ),
    "Every layer is trainable: base.trainable = True sets all the layers in it, so it comes first, and then what is "
    "to stay frozen is frozen.": (lambda place, at: True, True),
    "The layers before the one called name are trainable too: after base.trainable = True, freeze them again.": (
        lambda place, at: True,
        False,
    ),
    "Only the layer called name is trainable: those after it are to be as well.": (
        lambda place, at: place == at,
        False,
    ),
    "Only the layer called name is trainable, even if it is a batch normalisation: those after it are to be as well.": (
        lambda place, at: place == at,
        True,
    ),
    "The layers before the one called name are trainable, and the others frozen: it is the other way round.": (
        lambda place, at: place < at,
        False,
    ),
    "The layers before the one called name are trainable, batch normalisation too: it is the other way round.": (
        lambda place, at: place < at,
        True,
    ),
    "The layers up to the one called name are trainable: it is those from there on.": (
        lambda place, at: place <= at,
        False,
    ),
    "Nothing is trainable in base: unfreeze its layers.": (lambda place, at: False, False),
}


def _check_unfrozen(base, names, results) -> None:
    """Raise a `Mistake` unless the right layers are trainable, and the base itself."""

    def trained(name, chosen, norms):
        kept = {id(weight) for weight in _expected(base, name, chosen, norms)}
        return {layer.name for layer in base.layers if any(id(weight) in kept for weight in layer.weights)}

    for diagnosis, (chosen, norms) in UNFROZEN.items():
        if all(found == trained(name, chosen, norms) for name, (_, found, _) in zip(names, results, strict=True)):
            if diagnosis:
                raise Mistake(diagnosis)
            break
    else:
        for name, (_, found, _) in zip(names, results, strict=True):
            wrong = found ^ trained(name, *UNFROZEN[""])
            if wrong:
                first = next(layer.name for layer in base.layers if layer.name in wrong)
                state = "trainable" if first in found else "frozen"
                raise Mistake(f"For the name {name!r} the layer {first!r} is {state}, and should not be.")
    # What trains nothing may leave the base frozen
    if not all(is_trainable for _, found, is_trainable in results if found):
        raise Mistake(
            "The layers are right, but base itself is still frozen, so that base.trainable_weights is empty: set "
            "base.trainable = True first, which unfreezes all its layers, and then freeze some."
        )


def _wrong_number(base, names, results) -> str:
    """What is wrong with the number, where the layers are right."""
    everything = _size(base.weights)

    def right(name):
        return _expected(base, name, lambda place, at: place >= at)

    def layers_of(name):
        kept = {id(weight) for weight in right(name)}
        return [layer for layer in base.layers if any(id(weight) in kept for weight in layer.weights)]

    def upper(name):
        """All layers from this one on."""
        return base.layers[[layer.name for layer in base.layers].index(name) :]

    for diagnosis, make in {
        "These are all parameters of base: return how many are trainable.": lambda name: everything,
        "These are the parameters that are not trainable.": lambda name: everything - _size(right(name)),
        "This is the number of arrays: count the parameters in them.": lambda name: len(right(name)),
        "This is the number of trainable layers: count their parameters.": lambda name: len(layers_of(name)),
        "This is the number of layers from the one called name on: count the parameters that are trainable.": (
            lambda name: len(upper(name))
        ),
        "You count batch normalisation too, which stays frozen.": lambda name: _size(
            weight for layer in upper(name) for weight in layer.weights
        ),
        "You count gamma and beta of batch normalisation too, which stay frozen.": lambda name: _size(
            weight for layer in upper(name) for weight in layer.weights if not weight.name.startswith("moving")
        ),
        "The biases are missing in the number.": lambda name: _size(
            weight for weight in right(name) if weight.name == "kernel"
        ),
        "You return 0: count after you have unfrozen the layers.": lambda name: 0,
        "You count before the last layers are frozen or unfrozen: these are all trainable parameters that base could "
        "have.": lambda name: _size(weight for weight in base.weights if not weight.name.startswith("moving")),
        "These are the parameters of the layer called name only.": lambda name: _size(upper(name)[0].weights),
    }.items():
        if all(same(result, make(name)) for name, result in zip(names, results, strict=True)):
            return diagnosis
    name, result = next(
        (name, result) for name, result in zip(names, results, strict=True) if not same(result, _size(right(name)))
    )
    number = numbers(result)
    shown = f"{result}" if number is not None and number.ndim == 0 else describe(result)
    return (
        f"The right layers are trainable, but for the name {name!r} it returns {shown}, where "
        f"{_size(right(name)):,} is asked for."
    )


WORDS = ("object", "frozen", "count", "range", "spread", "recompile", "statistics")


def findings(model, base, predict, images, labels, stated) -> set[str]:
    """The words of `WORDS` that apply to a model about to be fine-tuned; its weights stay as they are.

    Parameters
    ----------
    model
        A compiled Keras model.
    base
        The part of it that is meant to be trained.
    predict
        Gives a class for each image.
    images, labels
        What one step of training is made with.
    stated
        How many trainable parameters the model is said to have.
    """
    before = model.get_weights()
    kept = [(weight, weight.trainable, weight.numpy()) for weight in model.weights]
    try:
        model.train_on_batch(images, labels)
    except (ValueError, NotImplementedError):  # after `fit`, Keras makes the step anew, and misses the optimizer's part
        moved = [(True, False)]
    else:
        moved = [(trainable, not np.array_equal(value, weight.numpy())) for weight, trainable, value in kept]
    model.set_weights(before)
    is_part = any(layer is base for layer in model.layers)
    applies = {
        "object": not is_part,
        "frozen": is_part and not base.trainable_weights,
        "count": _size(model.trainable_weights) != stated,
        "range": np.max(images) <= 1,
        "spread": len(np.unique(predict(images))) == 1 < len(np.unique(labels)),
        "recompile": (True, False) in moved,
        "statistics": (False, True) in moved,
    }
    return {word for word, does in applies.items() if does}


CLASSES = 3
IMAGES = 8
SIDE = 8


def _small_base():
    import keras
    from keras import layers

    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for place, filters in enumerate((4, 5), start=1):
        x = layers.Conv2D(filters, 3, use_bias=False, name=f"conv{place}")(x)
        # Leaky, so that each weight has a gradient whatever the images are
        x = layers.LeakyReLU(name=f"relu{place}")(layers.BatchNormalization(name=f"norm{place}")(x))
    return keras.Model(images, x, name="base")


def _compiled(model, base) -> SimpleNamespace:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    # Keras makes the step here, from what is trainable now
    model.train_on_batch(np.zeros((IMAGES, SIDE, SIDE, 3), "float32"), np.arange(IMAGES) % CLASSES)
    return SimpleNamespace(model=model, base=base)


@functools.cache
def _small_models() -> SimpleNamespace:
    """Compiled models, each with its base, kept because the first step of each takes longer than all others."""
    import keras
    from keras import layers

    def top():
        return keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)])

    class Classifier(keras.Model):
        """Its base stays in inference mode: a functional model in training overrides training=False."""

        def __init__(self, base):
            super().__init__()
            self.base, self.top = base, top()

        def call(self, images):
            return self.top(self.base(images, training=False))

    def functional(base):
        images = keras.Input((SIDE, SIDE, 3))
        return keras.Model(images, top()(base(images)))

    def freeze(base, names):
        for name in names:
            base.get_layer(name).trainable = False

    upper, whole, moving, frozen = (_small_base() for _ in range(4))
    freeze(upper, ("conv1", "norm1", "norm2"))
    freeze(moving, ("conv1",))
    frozen.trainable = False
    return SimpleNamespace(
        upper=_compiled(functional(upper), upper),
        whole=_compiled(Classifier(whole), whole),
        moving=_compiled(functional(moving), moving),
        frozen=_compiled(keras.Sequential([keras.Input((SIDE, SIDE, 3)), frozen, top()]), frozen),
        fresh=_small_base(),
    )


def _drawn_images(rng: np.random.Generator, low: float = 0, high: float = 255) -> tuple[dict, float]:
    """Images and labels, and a value that the first pixel of some images is above, and of others below."""
    images = rng.uniform(low, high, size=(IMAGES, SIDE, SIDE, 3)).astype("float32")
    images[:2, 0, 0, 0] = low, high
    labels = rng.permutation(np.concatenate([np.arange(CLASSES), rng.integers(CLASSES, size=IMAGES - CLASSES)]))
    return {"images": images, "labels": labels}, (low + high) / 2


def finetuning_cases(rng: np.random.Generator) -> Iterator[tuple[str, dict, dict[str, str]]]:
    """What a case is, the arguments, and why some words do or do not apply to it.

    A case is to be used before the next is drawn: they share their models.
    """
    models = _small_models()
    plain, middle = _drawn_images(rng)

    def by_pixel(level):
        return lambda images: (np.asarray(images)[:, 0, 0, 0] > level).astype(int)

    def constant(label):
        return lambda images: np.full(len(images), label)

    def case(part, base=None, data=plain, predict=None, stated=None, rate=0.01):
        part.model.optimizer.learning_rate.assign(rate)
        return {
            "model": part.model,
            "base": base or part.base,
            "predict": predict or by_pixel(middle),
            **data,
            "stated": _size(part.model.trainable_weights) if stated is None else stated,
        }

    upper, whole, moving, frozen = models.upper, models.whole, models.moving, models.frozen
    right = {
        "object": "base is one of model.layers, though not the first",
        "frozen": "base is frozen only if none of its weights is trainable",
        "count": "stated is the number of parameters in model.trainable_weights, which are arrays of many",
        "range": "there are values above 1",
        "spread": "the predictions are several classes",
        "recompile": "each trainable weight moves, so compare copies made before the step, not the variables",
        "statistics": "its batch normalisation is frozen, and the step leaves the statistics alone",
    }
    yield "a model in which all is right", case(upper), right

    dark = {"images": np.zeros_like(plain["images"]), "labels": plain["labels"]}
    dark["images"][1:, 0, 0] = rng.uniform(1.2, 3, size=(IMAGES - 1, 3))
    yield (
        "dark images",
        case(upper, data=dark, predict=by_pixel(1)),
        right | {"range": "one value above 1 is enough to tell that they are not from 0 to 1"},
    )
    yield (
        "images that are all of one class, and predicted to be",
        case(upper, data=plain | {"labels": np.full(IMAGES, 1)}, predict=constant(1)),
        right | {"spread": "one prediction for all is a bug only where the labels hold several classes"},
    )
    inference = right | {
        "object": "base is one of model.layers",
        "statistics": "the step leaves the statistics alone, although batch normalisation is not frozen",
    }
    yield "a base that stays in inference mode and is trained as a whole", case(whole), inference
    yield (
        "a learning rate of 3e-6",
        case(whole, rate=3e-6),
        inference | {"recompile": "each weight moves, if only by that little: np.allclose hides it"},
    )
    for low, high in ((0, 1), (-1, 1)):
        data, level = _drawn_images(rng, low, high)
        yield (
            f"images from {low} to {high}",
            case(upper, data=data, predict=by_pixel(level)),
            right | {"range": "no value is above 1"},
        )
    for label in (0, CLASSES - 1):
        yield (
            f"a predict that gives class {label} for every image",
            case(upper, predict=constant(label)),
            right | {"spread": "the labels hold several classes, and the predictions one"},
        )
    for weights, what in (
        (upper.model.weights, "the number of all parameters"),
        (upper.model.layers[-1].weights, "the number of the last layer's parameters"),
    ):
        yield (
            f"a text that states {what}",
            case(upper, stated=_size(weights)),
            right | {"count": "model has another number of trainable parameters"},
        )
    yield (
        "a base that is called in training mode",
        case(moving),
        right | {"statistics": "the step changes moving means and variances, if not all that is not trainable"},
    )

    stacked = right | {
        "object": "base is one of model.layers",
        "recompile": "each trainable weight moves",
        "statistics": "a frozen base keeps its statistics",
        "count": "stated is what the model has, even if more was meant",
    }
    models.fresh.trainable = True
    frozen.base.trainable = False
    of_fresh = stacked | {
        "object": "it has the same name and form, and is not the object in the model: compare with `is`",
        "frozen": "that is asked only of a base that is in the model",
    }
    yield "a second base, unfrozen, that the model does not hold", case(frozen, models.fresh), of_fresh
    models.fresh.trainable = False
    yield "a second base, frozen, that the model does not hold", case(frozen, models.fresh), of_fresh
    stacked |= {"frozen": "none of its weights is trainable, whatever the flags of its layers say"}
    yield "a base whose trainable was never set to True", case(frozen), stacked
    yield (
        "a frozen base, images from 0 to 1 and one class for all",
        case(frozen, data=data, predict=constant(0)),
        stacked | dict.fromkeys(("frozen", "range", "spread"), "where there are several bugs, each is to be found"),
    )
    frozen.base.trainable = True
    for layer in frozen.base.layers:
        layer.trainable = not layer.weights
    yield "a base that is trainable, each of whose layers with weights is frozen", case(frozen), stacked
    # By way of False, for what is True already is not set again, and does not reach the layers
    frozen.base.trainable = False
    frozen.base.trainable = True
    yield (
        "a model fitted with base frozen, then unfrozen and not compiled again",
        case(frozen),
        stacked
        | {
            "frozen": "its weights are trainable, and yet do not move",
            "recompile": "Keras goes on with the step that it has, which leaves base as it is",
        },
    )


@exercise
def check_finetuning(answer) -> None:
    models = _small_models()
    parts = models.whole, models.upper, models.moving, models.frozen
    kept = [part.model.get_weights() for part in parts]

    def states():
        models.frozen.base.trainable = False
        return [(part.model.optimizer, part.model.train_function, _flags(part.model)) for part in parts]

    before = states()
    try:
        for what, case, why in finetuning_cases(np.random.default_rng()):
            _check_words(answer, what, case, why)
    finally:
        for part, weights in zip(parts, kept, strict=True):
            part.model.set_weights(weights)
        if states() != before:  # an answer that compiles a model, say: the next one gets others
            _small_models.cache_clear()


def _flags(model) -> list[bool]:
    return [weight.trainable for weight in model.weights]


def _check_words(answer, what: str, case: Mapping, why: Mapping[str, str]) -> None:
    """Raise a `Mistake` unless the answer finds what there is in one case, and leaves all as it was."""
    expected = findings(**case)
    model, images, labels = case["model"], case["images"].copy(), case["labels"].copy()
    weights, flags = model.get_weights(), _flags(model)
    result = run(answer, case, what)
    if isinstance(result, np.ndarray):
        result = result.tolist()
    if not isinstance(result, (list, tuple, set, frozenset)):
        raise Mistake(f"It returns {describe(result)}, where a list of words is asked for.")
    for word in result:
        if word not in WORDS:
            shown = repr(word) if isinstance(word, str) else describe(word)
            raise Mistake(f"It returns {shown}, which is none of the words {', '.join(WORDS)}.")
    for word in WORDS:
        if word in expected and word not in result:
            raise Mistake(f"It does not find {word!r} for {what}: {why[word]}.")
        if word in result and word not in expected:
            raise Mistake(f"It reports {word!r} for {what}: {why[word]}.")
    if not (np.array_equal(images, case["images"]) and np.array_equal(labels, case["labels"])):
        raise Mistake("It changes images or labels: work on a copy.")
    if _flags(model) != flags:
        raise Mistake("It changes what is trainable in model: only look.")
    changed = {
        flag for flag, old, new in zip(flags, weights, model.get_weights(), strict=True) if not np.array_equal(old, new)
    }
    if changed == {False}:
        raise Mistake(
            "The trainable weights are as they came, but the step's moving mean and variance are left behind: give all "
            "weights back."
        )
    if changed:
        raise Mistake(
            "It leaves model one step further: keep model.get_weights() before the step, and give them back with "
            "model.set_weights."
        )
