"""The exercises of notebook 05, transfer learning: each checker is named like its exercise."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import SimpleNamespace

import numpy as np

from .engine import Mistake, call, describe, exercise, judge, numbers, run, same


def _split(
    layers,
    frozen,
    lower=((0, 0), (1, 2)),
    upper=((1, 1), (0, 1)),
    kernel=lambda k: k * k,
    biased=lambda norm: not norm,
    of=lambda channels, filters: filters,
) -> tuple[int, int]:
    """The trainable parameters and the others, where the layers with these numbers are frozen.

    `lower` is for the frozen layers, `upper` for the rest: a row for the trainable and one for the others, with how
    often the convolution is counted and how often gamma and beta, which are as many as the moving statistics.
    """
    total = np.zeros(2, dtype=int)
    for number, (k, channels, filters, norm) in enumerate(layers):
        convolution = kernel(k) * channels * filters + filters * biased(norm)
        shares = lower if number in frozen else upper
        total += np.array(shares) @ (convolution, 2 * of(channels, filters) * norm)
    return tuple(total.tolist())


@exercise
def trainable_and_frozen(answer) -> None:
    rng = np.random.default_rng()
    # Both kinds of layers on both sides. The numbers are small, so that a single bias shows.
    mixed = [(3, 3, 8, True), (5, 8, 5, False), (3, 5, 6, False), (1, 6, 9, True), (3, 9, 4, True)]
    cases = [{"layers": mixed, "frozen": 2}]
    for _ in range(10):
        widths = rng.permutation(np.arange(3, 13))[: int(rng.integers(4, 8))].tolist()
        layers = [(int(rng.choice([1, 3, 5])), *pair, bool(rng.random() < 0.6)) for pair in itertools.pairwise(widths)]
        cases.append({"layers": layers, "frozen": int(rng.integers(1, len(layers)))})

    def outcomes(layers, frozen):
        count = len(layers)
        split = partial(_split, layers, range(frozen))
        right = split()
        return {
            "": right,
            "The two numbers are in the wrong order: the trainable parameters first.": right[::-1],
            "The moving mean and variance are counted as trainable: no gradient ever reaches them.": (
                split(upper=((1, 2), (0, 0)))
            ),
            "The moving means and variances are missing: two numbers for each channel, trainable in no layer.": (
                split(lower=((0, 0), (1, 1)), upper=((1, 1), (0, 0)))
            ),
            "The moving means and variances of the layers that are not frozen are missing: they are not trainable "
            "either.": split(upper=((1, 1), (0, 0))),
            "The moving means and variances of the frozen layers are missing.": split(lower=((0, 0), (1, 1))),
            "Of the batch normalisation that is not frozen, gamma and beta are trainable: you count all four as "
            "others.": split(upper=((1, 0), (0, 2))),
            "The batch normalisation is missing: four numbers for each channel, two of them trainable.": (
                split(lower=((0, 0), (1, 0)), upper=((1, 0), (0, 0)))
            ),
            "Gamma and beta are missing: two trainable numbers for each channel of a batch normalisation.": (
                split(lower=((0, 0), (1, 1)), upper=((1, 0), (0, 1)))
            ),
            "The batch normalisation is not frozen with its convolution: gamma and beta of the frozen layers still "
            "count as trainable.": split(lower=((0, 1), (1, 1))),
            "The batch normalisation of the frozen layers is missing among the others.": split(lower=((0, 0), (1, 0))),
            "Every convolution has biases here: one with batch normalisation has none.": (
                split(biased=lambda norm: True)
            ),
            "The biases are missing: one for each filter where there is no batch normalisation.": (
                split(biased=lambda norm: False)
            ),
            "The biases are in the wrong layers: True is for batch normalisation, and then there are none.": (
                split(biased=lambda norm: norm)
            ),
            "A kernel has k×k weights for each pair of channels, not k.": split(kernel=lambda k: k),
            "Batch normalisation comes after the convolution: it has as many channels as filters, not as it reads.": (
                split(of=lambda channels, filters: channels)
            ),
            "The second number is that of all parameters: return those that are not trainable.": (right[0], sum(right)),
            "This is the sum of both: return two numbers.": sum(right),
            "You freeze the last layers: the first ones are frozen.": _split(layers, range(count - frozen, count)),
            "You train the layers that are to be frozen, and freeze the others.": _split(layers, range(frozen, count)),
            "One layer too many is frozen.": _split(layers, range(frozen + 1)),
            "One layer too few is frozen.": _split(layers, range(frozen - 1)),
            "Only one layer is frozen: all up to it are to be.": _split(layers, [frozen - 1]),
            "frozen has no effect: nothing of the first layers is trainable.": _split(layers, []),
        }

    judge(answer, outcomes, cases)
    all_or_none = [{"layers": mixed, "frozen": frozen} for frozen in (0, len(mixed))]
    judge(answer, lambda layers, frozen: {"": _split(layers, range(frozen))}, all_or_none)


PLACES = (0, 1, 2)  # the axes of a batch but for the channels


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

    def outcomes(activations, mean, variance, momentum):
        def moved(
            steps=activations,
            mean=mean,
            variance=variance,
            kept=momentum,
            over=PLACES,
            spread=lambda x, _: x.var(PLACES),
        ):
            """Moving statistics; the mean is taken over these axes, and `spread` sees the moving mean too."""
            for batch in steps:
                variance = kept * variance + (1 - kept) * spread(batch, mean)
                mean = kept * mean + (1 - kept) * batch.mean(over)
            return mean, variance

        def moved_over(axes):
            return moved(over=axes, spread=lambda x, _: x.var(axes))

        def own(x, axes=PLACES):
            return x.mean(axes), x.var(axes)

        right = moved()
        return {
            "": right,
            "The momentum is on the wrong side: it is the share of the old value that is kept.": (
                moved(kept=1 - momentum)
            ),
            "The two are in the wrong order: the mean first.": right[::-1],
            "These are the last batch's own mean and variance: nothing of the old values is kept.": (
                own(activations[-1])
            ),
            "These are the mean and variance of all activations: nothing of the old values is kept.": (
                own(activations, (0, 1, 2, 3))
            ),
            "The statistics do not move: they are returned as they came.": (mean, variance),
            "You begin with a mean of 0 and a variance of 1: begin with mean and variance.": (
                moved(mean=0 * mean, variance=0 * variance + 1)
            ),
            "You begin with a mean and a variance of 0: begin with mean and variance.": (
                moved(mean=0 * mean, variance=0 * variance)
            ),
            "The first batch replaces the old values: it moves them, as each batch does.": (
                moved(activations[1:], *own(activations[0]))
            ),
            "The mean is right. The variance is as it came: it moves as the mean does.": (right[0], variance),
            "Only the last step has an effect: go on from what the step before left.": moved(activations[-1:]),
            "Only the first step is taken: all of them, one after the other.": moved(activations[:1]),
            "All steps are taken together as one batch: each moves the statistics.": (
                moved([np.concatenate(activations)])
            ),
            "One number stands for all channels: take the mean over the batch, height and width only.": (
                moved_over(None)
            ),
            "The mean is over the batch only: each channel has one, over height and width too.": moved_over(0),
            "The mean is over height and width only: each channel has one, over the batch too.": moved_over((1, 2)),
            "The mean is right. The standard deviation stands for the variance, which is its square.": (
                moved(spread=lambda x, _: x.std(PLACES))
            ),
            "The mean is right. You divide by n − 1 in the variance: Keras divides by n.": (
                moved(spread=lambda x, _: x.var(PLACES, ddof=1))
            ),
            "The mean is right. The variance is around the moving mean: take it around the batch's own.": (
                moved(spread=lambda x, moving: ((x - moving) ** 2).mean(PLACES))
            ),
            "The mean is right. You take the mean of the squares: subtract the square of the batch's mean.": (
                moved(spread=lambda x, _: (x**2).mean(PLACES))
            ),
            "The mean is right. The variance is one for all channels.": moved(spread=lambda x, _: x.var()),
        }

    judge(answer, outcomes, cases)


def _as_it_is(x: np.ndarray) -> np.ndarray:
    return x


def _unit(x: np.ndarray, axis: int = 1, order: int = 2) -> np.ndarray:
    """Each row, or each column, divided by its length."""
    return x / np.linalg.norm(x, order, axis=axis, keepdims=True)


def _dot(new: np.ndarray, means: np.ndarray) -> np.ndarray:
    return new @ means.T


def _nearness(new: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The distances, negative: the nearest has the largest."""
    return -np.linalg.norm(new[:, None] - means, axis=2)


SIMILARITIES = "These are the similarities: return the class with the largest."


def _nearest_classes(features: np.ndarray, labels: np.ndarray, new: np.ndarray) -> dict:
    """The classes of the new vectors, and what comes out by diagnosis."""

    def nearest(of=_unit, gather=np.mean, of_means=_unit, of_new=_unit, compared=_dot, pick=lambda s: s.argmax(1)):
        """`of`, `of_means` and `of_new` scale the features, the means and the new vectors."""
        means = [gather(of(features)[labels == label], axis=0) for label in range(labels.max() + 1)]
        return pick(compared(of_new(new), of_means(np.stack(means))))

    right, nearest_image = nearest(), (_unit(new) @ _unit(features).T).argmax(axis=1)
    as_they_occur = list(dict.fromkeys(labels.tolist()))
    return {
        "": right,
        "The features are not scaled before the mean, so that long vectors count for more.": nearest(of=_as_it_is),
        "The means are not scaled to length 1, so that the class with the longest has an advantage.": (
            nearest(of_means=_as_it_is)
        ),
        "Neither the features nor the means are scaled: this is a dot product, not the cosine similarity.": (
            nearest(of=_as_it_is, of_means=_as_it_is)
        ),
        "These are sums, not scaled to length 1: a class with many images has an advantage.": (
            nearest(gather=np.sum, of_means=_as_it_is)
        ),
        "You take the distance of vectors that are not scaled: the cosine similarity does not depend on lengths.": (
            nearest(_as_it_is, np.mean, _as_it_is, _as_it_is, _nearness)
        ),
        "You take the distance to means that are not scaled to length 1.": (
            nearest(of_means=_as_it_is, compared=_nearness)
        ),
        "You take the distance from new vectors that are not scaled to length 1, to means that are not either.": (
            nearest(of_means=_as_it_is, of_new=_as_it_is, compared=_nearness)
        ),
        "This is the class of the nearest single image: compare with the mean of each class.": labels[nearest_image],
        "This is the place of the nearest single image: return the class whose mean is nearest.": nearest_image,
        "The features are scaled column by column: each image's vector has a length.": (
            nearest(of=partial(_unit, axis=0))
        ),
        "You divide by the sum of the absolute values: the length is the square root of the sum of the squares.": (
            nearest(of=partial(_unit, order=1), of_means=partial(_unit, order=1))
        ),
        "The classes are numbered in the order in which they first occur: return the labels.": (
            np.argsort(as_they_occur)[right]
        ),
        "This is the class with the smallest similarity: take the largest.": nearest(pick=lambda s: s.argmin(1)),
        SIMILARITIES: nearest(pick=_as_it_is),
        "This is the largest similarity: return its class.": nearest(pick=lambda s: s.max(1)),
        "This is the new image that is most similar to each class: return a class for each new image.": (
            nearest(pick=lambda s: s.argmax(0))
        ),
    }


@exercise
def nearest_class(answer) -> None:
    rng = np.random.default_rng()
    judge(answer, _nearest_classes, [_drawn_features(rng, classes) for classes in (4, 3, 5)])


def _drawn_features(rng: np.random.Generator, classes: int) -> dict:
    """Features for which each mistake gives other numbers, and no two similarities are nearly the same."""
    while True:
        counts = rng.permutation(np.arange(3, 3 + 4 * classes, 4))
        labels = rng.permutation(np.repeat(np.arange(classes), counts))
        # The classes overlap, and differ in length and in how much they vary
        centres = rng.normal(size=(classes, 5)) * rng.uniform(0.5, 3, size=(classes, 1))
        noise = rng.normal(size=(len(labels), 5)) * rng.uniform(0.5, 2, size=classes)[labels][:, None]
        features = (centres[labels] + noise) * rng.uniform(0.2, 3, size=(len(labels), 1))
        new = rng.normal(size=(60, 5)) * rng.uniform(0.2, 4, size=(60, 1))
        outcomes = _nearest_classes(features, labels, new)
        ranked = np.sort(outcomes[SIMILARITIES], axis=1)
        different = {tuple(outcome.ravel().tolist()) for outcome in outcomes.values()}
        if len(different) == len(outcomes) and (ranked[:, -1] - ranked[:, -2]).min() > 1e-4:
            return {"features": features, "labels": labels, "new": new}


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _scaled(x: np.ndarray) -> np.ndarray:
    """The map as it is asked for, from the weighted sum of the maps."""
    return _relu(x) / max(x.max(), np.finfo(float).tiny)


@exercise
def cam(answer) -> None:
    rng = np.random.default_rng()
    # As many classes as channels, so that a row of the kernel is told from a column
    cases = [_drawn_maps(rng, *shape) for shape in ((4, 5, 6, 6), (3, 2, 5, 5), (6, 5, 7, 7))]

    def right(maps, kernel, label):
        return _scaled(maps @ kernel[:, label])

    def outcomes(maps, kernel, label):
        def weighted(weights):
            return _scaled(maps @ weights)

        own, means = kernel[:, label], maps.mean((0, 1))
        x = maps @ own
        return {
            "": right(maps, kernel, label),
            "The ReLU is missing: negative values become 0.": x / x.max(),
            "The ReLU is missing, and the largest absolute value is 1: negative values become 0.": x / np.abs(x).max(),
            "This goes from the smallest value, as 0, to the largest: negative values become 0 instead.": (
                (x - x.min()) / (x.max() - x.min())
            ),
            "You take absolute values: what speaks against the class becomes 0.": np.abs(x) / np.abs(x).max(),
            "Negative values become 0, but the largest is not 1: divide by it.": _relu(x),
            "You divide by the sum: the largest is to be 1.": _relu(x) / _relu(x).sum(),
            "You divide by the largest absolute value before the ReLU: the largest that is left is to be 1.": (
                _relu(x) / np.abs(x).max()
            ),
            "This is the weighted sum alone: negative values become 0, and the largest is to be 1.": x,
            "The sign is wrong: this is what speaks against the class.": _scaled(-x),
            "Height and width have changed places.": _scaled(x).T,
            "This is the score of the class, one number: keep height and width.": x.mean(),
            "Channels with a negative weight are left out: they are subtracted, and the ReLU comes after the sum.": (
                weighted(_relu(own))
            ),
            "The weights lose their sign: a channel with a negative weight speaks against the class.": (
                weighted(np.abs(own))
            ),
            "The weights are a row of the kernel: a class has a column.": weighted(kernel[label]),
            "The map is that of the class with the highest score: make it for label.": (
                weighted(kernel[:, (means @ kernel).argmax()])
            ),
            "The map is that of class 0: make it for label.": weighted(kernel[:, 0]),
            "The map is that of the class before: classes begin with 0.": weighted(kernel[:, label - 1]),
            "The map is of all classes together: only the weights of label count.": weighted(kernel.sum(axis=1)),
            "The channels are not weighted: each counts by its weight for the class.": weighted(np.ones(len(kernel))),
            "The weights are multiplied by the channels' means: the gradient does not depend on the maps.": (
                weighted(own * means)
            ),
            "There is a map for each channel: sum over the channels.": weighted(np.diag(own)),
            "There is a map for each class: return that of label.": weighted(kernel),
        }

    judge(answer, outcomes, cases)
    oblong = [_drawn_maps(rng, *shape) for shape in ((3, 4, 7, 5), (4, 4, 5, 8))]
    judge(answer, lambda **case: {"": right(**case)}, oblong)

    against = _drawn_maps(rng, 3, 4, 6, 5)
    against["maps"] += 0.1  # so that the largest value is below 0, and dividing by that gives no NaN
    against["kernel"][:, against["label"]] = -rng.uniform(0.5, 1, size=6)
    with np.errstate(all="ignore"):  # the diagnosis says it
        result = numbers(call(answer, against))
    if not same(result, np.zeros((3, 4))):
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


def _trainable(layers) -> int:
    """How many parameters could train: all but the moving statistics."""
    return _size(weight for layer in layers for weight in layer.weights if not weight.name.startswith("moving"))


UNFROZEN = {  # diagnosis, none for what is asked for: whether a layer trains, by its place and that of the one named
    "": lambda place, at: place >= at,
    "The layer called name is still frozen: it is the first to train.": lambda place, at: place > at,
    "The layer before the one called name is trainable too.": lambda place, at: place >= at - 1,
    "The layers before the one called name are trainable too: after base.trainable = True, freeze them again.": (
        lambda place, at: True
    ),
    "Only the layer called name is trainable: those after it are to be as well.": lambda place, at: place == at,
    "The layers before the one called name are trainable, and the others frozen: it is the other way round.": (
        lambda place, at: place < at
    ),
    "The layers up to the one called name are trainable: it is those from there on.": lambda place, at: place <= at,
    "Nothing is trainable in base: unfreeze its layers.": lambda place, at: False,
}


@exercise
def unfreeze_from(answer) -> None:
    base = _drawn_base(np.random.default_rng())
    before = base.get_weights()
    results, found, base_is_frozen = {}, {}, False
    for name in ("conv2", "norm1", "dense", "images", "norm3", "last"):
        # By way of True, for what is False already is not set again, and does not reach the layers
        base.trainable = True
        base.trainable = False
        what = f"the layer {name!r} of a base with layers {', '.join(layer.name for layer in base.layers)}"
        results[name] = run(answer, {"base": base, "name": name}, what)
        after = base.get_weights()
        if len(after) != len(before) or not all(map(np.array_equal, before, after)):
            raise Mistake("It changes the values of base's weights: change only what is trainable.")
        found[name] = {layer.name for layer in base.layers if layer.trainable_weights}
        # What trains nothing may leave the base frozen
        base_is_frozen |= bool(found[name]) and not base.trainable
    _check_unfrozen(base, found)
    if base_is_frozen:
        raise Mistake(
            "The layers are right, but base itself is still frozen, so that base.trainable_weights is empty: set "
            "base.trainable = True first, which unfreezes all its layers, and then freeze some."
        )
    _check_number(base, results)


def _chosen(base, name: str, trains: Callable = UNFROZEN[""]) -> list:
    """The layers with weights that are to train, or would with another rule; no batch normalisation."""
    at = base.layers.index(base.get_layer(name))
    return [
        layer
        for place, layer in enumerate(base.layers)
        if layer.weights and trains(place, at) and not hasattr(layer, "moving_variance")
    ]


def _check_unfrozen(base, found: Mapping[str, set]) -> None:
    """Raise a `Mistake` unless the right layers are found to be trainable for each name."""
    norms = {layer.name for layer in base.layers if hasattr(layer, "moving_variance")}
    everything = {layer.name for layer in base.layers if layer.weights}
    if all(trained == everything for trained in found.values()):
        raise Mistake(
            "Every layer is trainable: base.trainable = True sets all the layers in it, so it comes first, and then "
            "what is to stay frozen is frozen."
        )

    def wrong(name, trains=UNFROZEN[""]):
        return (found[name] - norms) ^ {layer.name for layer in _chosen(base, name, trains)}

    for diagnosis, trains in UNFROZEN.items():
        if not any(wrong(name, trains) for name in found):
            if diagnosis:
                raise Mistake(diagnosis)
            break
    else:
        name = next(name for name in found if wrong(name))
        first = next(layer.name for layer in base.layers if layer.name in wrong(name))
        state = "trainable" if first in found[name] else "frozen"
        raise Mistake(f"For the name {name!r} the layer {first!r} is {state}, and should not be.")
    if any(trained & norms for trained in found.values()):
        raise Mistake("Batch normalisation is trainable too: leave it frozen.")


def _check_number(base, results: Mapping) -> None:
    """Raise a `Mistake` unless the number is right for each name."""

    def outcomes(name):
        train, upper = _chosen(base, name), base.layers[base.layers.index(base.get_layer(name)) :]
        total, right = base.count_params(), _trainable(train)
        return {
            "": right,
            "These are all parameters of base: return how many are trainable.": total,
            "These are the parameters that are not trainable.": total - right,
            "This is the number of arrays: count the parameters in them.": sum(len(layer.weights) for layer in train),
            "This is the number of trainable layers: count their parameters.": len(train),
            "You count batch normalisation too, which stays frozen.": sum(layer.count_params() for layer in upper),
            "You count gamma and beta of batch normalisation too, which stay frozen.": _trainable(upper),
            "The biases are missing in the number.": _size(layer.kernel for layer in train),
            "You return 0: count after you have unfrozen the layers.": 0,
            "You count before the last layers are frozen or unfrozen: these are all trainable parameters that base "
            "could have.": _trainable(base.layers),
        }

    judge(lambda name: results[name], outcomes, [{"name": name} for name in results])


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


WORDS = {  # why a word applies, and why it does not
    "object": (
        "it has the same name and form, and is not the object in the model: compare with `is`",
        "base is one of model.layers, though perhaps not the first",
    ),
    "frozen": (
        "none of its weights is trainable, whatever the flags of its layers say",
        "base is frozen only if it is in the model, and none of its weights is trainable",
    ),
    "count": (
        "model has another number of trainable parameters",
        "stated is the number of parameters in model.trainable_weights, which are arrays of many",
    ),
    "range": ("no value is above 1", "one value above 1 is enough to tell that they are not from 0 to 1"),
    "spread": (
        "the labels hold several classes, and the predictions one",
        "one prediction for all is a bug only where the labels hold several classes, and here it is not so",
    ),
    "recompile": (
        "Keras goes on with the step that it has, which leaves base as it is",
        "each trainable weight moves, if only by that little that np.allclose hides it: compare copies made before the "
        "step, not the variables",
    ),
    "statistics": (
        "the step changes moving means and variances, if not all that is not trainable",
        "the step leaves the statistics alone, whether batch normalisation is frozen or not",
    ),
}


def findings(model, base, predict, images, labels, stated) -> set[str]:
    """The words of `WORDS` that apply to a compiled model, as the exercise says; its weights stay as they are."""
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


def _small_base(frozen=()):
    import keras
    from keras import layers

    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for place, filters in enumerate((4, 5), start=1):
        x = layers.Conv2D(filters, 3, use_bias=False, name=f"conv{place}")(x)
        # Leaky, so that each weight has a gradient whatever the images are
        x = layers.LeakyReLU(name=f"relu{place}")(layers.BatchNormalization(name=f"norm{place}")(x))
    base = keras.Model(images, x, name="base")
    for name in frozen:
        base.get_layer(name).trainable = False
    return base


@cache
def _small_models() -> SimpleNamespace:
    """Compiled models with a base each, kept because the first step of each takes longer than all others."""
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

    models = SimpleNamespace(
        upper=functional(_small_base(frozen=("conv1", "norm1", "norm2"))),
        whole=Classifier(_small_base()),
        moving=functional(_small_base(frozen=("conv1",))),
        frozen=keras.Sequential([keras.Input((SIDE, SIDE, 3)), _small_base(), top()]),
    )
    models.frozen.get_layer("base").trainable = False
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for model in vars(models).values():
        model.compile(keras.optimizers.Adam(), loss, jit_compile=False)
        # Keras makes the step here, from what is trainable now
        model.train_on_batch(np.zeros((IMAGES, SIDE, SIDE, 3), "float32"), np.arange(IMAGES) % CLASSES)
    return models


def _by_pixel(level: float) -> Callable:
    """Classes 0 and 1, by an image's first value."""
    return lambda images: (np.asarray(images)[:, 0, 0, 0] > level).astype(int)


def _drawn_images(rng: np.random.Generator, low: float = 0, high: float = 255) -> dict:
    """Images, labels of all classes, and predictions that are several."""
    images = rng.uniform(low, high, size=(IMAGES, SIDE, SIDE, 3)).astype("float32")
    images[:2, 0, 0, 0] = low, high
    labels = rng.permutation(np.concatenate([np.arange(CLASSES), rng.integers(CLASSES, size=IMAGES - CLASSES)]))
    return {"images": images, "labels": labels, "predict": _by_pixel((low + high) / 2)}


def finetuning_cases(rng: np.random.Generator) -> Iterator[tuple[str, dict]]:
    """What a case is, and the arguments. It is to be used before the next is drawn: they share their models."""
    models = _small_models()
    plain = _drawn_images(rng)

    def case(model, rate=0.01, **changes):
        model.optimizer.learning_rate.assign(rate)
        usual = {"model": model, "base": model.get_layer("base"), "stated": _size(model.trainable_weights)}
        return usual | plain | changes

    def always(label):
        return lambda images: np.full(len(images), label)

    upper, frozen = models.upper, models.frozen
    yield "a model in which all is right", case(upper)
    dark = np.zeros_like(plain["images"])
    dark[1:, 0, 0] = rng.uniform(1.2, 3, size=(IMAGES - 1, 3))
    yield "dark images", case(upper, images=dark, predict=_by_pixel(1))
    one_class = {"labels": np.full(IMAGES, 1), "predict": always(1)}
    yield "images that are all of one class, and predicted to be", case(upper, **one_class)
    yield "a base that stays in inference mode and is trained as a whole", case(models.whole)
    yield "a learning rate of 3e-6", case(models.whole, rate=3e-6)
    for low, high in ((0, 1), (-1, 1)):
        yield f"images from {low} to {high}", case(upper, **_drawn_images(rng, low, high))
    for label in (0, CLASSES - 1):
        yield f"a predict that gives class {label} for every image", case(upper, predict=always(label))
    yield "a text that states the number of all parameters", case(upper, stated=_size(upper.weights))
    last = upper.layers[-1]
    yield "a text that states the number of the last layer's parameters", case(upper, stated=_size(last.weights))
    yield "a base that is called in training mode", case(models.moving)

    base, second = frozen.get_layer("base"), _small_base()
    base.trainable = False
    for is_trainable, state in ((True, "unfrozen"), (False, "frozen")):
        second.trainable = is_trainable
        yield f"a second base, {state}, that the model does not hold", case(frozen, base=second)
    yield "a base whose trainable was never set to True", case(frozen)
    several = _drawn_images(rng, 0, 1) | {"predict": always(0)}
    yield "a frozen base, images from 0 to 1 and one class for all", case(frozen, **several)
    base.trainable = True
    for layer in base.layers:
        layer.trainable = not layer.weights
    yield "a base that is trainable, each of whose layers with weights is frozen", case(frozen)
    # By way of False, for what is True already is not set again, and does not reach the layers
    base.trainable = False
    base.trainable = True
    yield "a model fitted with base frozen, then unfrozen and not compiled again", case(frozen)


@exercise
def check_finetuning(answer) -> None:
    models = vars(_small_models())
    kept = {name: model.get_weights() for name, model in models.items()}

    def states():
        models["frozen"].get_layer("base").trainable = False
        return [(model.optimizer, model.train_function, _flags(model)) for model in models.values()]

    before = states()
    try:
        for what, case in finetuning_cases(np.random.default_rng()):
            _check_words(answer, what, case)
    finally:
        for name, weights in kept.items():
            models[name].set_weights(weights)
        if states() != before:  # an answer that compiles a model, say: the next one gets others
            _small_models.cache_clear()


def _flags(model) -> list[bool]:
    return [weight.trainable for weight in model.weights]


def _check_words(answer, what: str, case: Mapping) -> None:
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
        if word not in tuple(WORDS):  # which compares what cannot be hashed, too
            shown = repr(word) if isinstance(word, str) else describe(word)
            raise Mistake(f"It returns {shown}, which is none of the words {', '.join(WORDS)}.")
    for word, (why, why_not) in WORDS.items():
        if word in expected and word not in result:
            raise Mistake(f"It does not find {word!r} for {what}: {why}.")
        if word in result and word not in expected:
            raise Mistake(f"It reports {word!r} for {what}: {why_not}.")
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
