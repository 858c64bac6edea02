"""The exercises of notebook 05, transfer learning."""

import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from unittest.mock import patch

import numpy as np

from .engine import Exercise, Mistake, run


def trainable_and_frozen(layers, frozen, *, biased=lambda norm: not norm, moving=2, learned=2):
    trainable = others = 0
    for place, (k, channels, filters, norm) in enumerate(layers):
        own = k * k * channels * filters + filters * biased(norm) + learned * filters * norm
        trainable, others = (trainable, others + own) if place < frozen else (trainable + own, others)
        others += moving * filters * norm
    return trainable, others


def _layers(rng):
    widths = rng.permutation(np.arange(3, 13))[:7].tolist()
    norms = rng.permutation([True, True, True, False, False, bool(rng.integers(2))]).tolist()
    pairs = zip(itertools.pairwise(widths), norms, strict=True)
    layers = [(int(rng.choice([3, 5])), *pair, norm) for pair, norm in pairs]
    return {"layers": layers, "frozen": int(rng.integers(7))}


Exercise(
    "trainable_and_frozen",
    right=trainable_and_frozen,
    draw=_layers,
    mistakes={
        "They are in the wrong order: the trainable ones first.": lambda **c: trainable_and_frozen(**c)[::-1],
        "The moving means and variances are missing: two numbers for each channel.": dict(moving=0),
        "The moving means and variances count as trainable: no gradient reaches them.": dict(moving=0, learned=4),
        "The batch normalisation is missing: four numbers for each channel, two trainable.": dict(moving=0, learned=0),
        "Every convolution has biases here: one with batch normalisation has none.": dict(biased=lambda norm: True),
        "You freeze the last layers.": lambda layers, frozen: trainable_and_frozen(layers[::-1], frozen),
    },
    also=[
        ("Nothing is frozen.", {"layers": [(3, 3, 8, True), (5, 8, 5, False)], "frozen": 0}),
        ("All layers are frozen.", {"layers": [(3, 3, 8, True), (5, 8, 5, False)], "frozen": 2}),
    ],
)


def moving_statistics(activations, mean, variance, momentum, *, over=(0, 1, 2), spread=np.var, kept=lambda m: m):
    for batch in activations:
        mean = kept(momentum) * mean + (1 - kept(momentum)) * batch.mean(over)
        variance = kept(momentum) * variance + (1 - kept(momentum)) * spread(batch, over)
    return mean, variance


def _activations(rng):
    activations = rng.normal(2, 3, size=rng.integers(2, (5, 5, 5, 4, 6)))
    mean, variance = rng.uniform(0.5, 2, size=(2, activations.shape[-1]))
    return {"activations": activations, "mean": mean, "variance": variance, "momentum": float(rng.uniform(0.6, 0.9))}


Exercise(
    "moving_statistics",
    right=moving_statistics,
    draw=_activations,
    mistakes={
        "The momentum is on the wrong side: it is the share of the old value that is kept.": dict(kept=lambda m: 1 - m),
        "The two are in the wrong order: the mean first.": lambda **c: moving_statistics(**c)[::-1],
        "You begin with a mean of 0 and a variance of 1: begin with mean and variance.": lambda **c: moving_statistics(
            **c | {"mean": 0 * c["mean"], "variance": 0 * c["variance"] + 1}
        ),
        "Only the last step has an effect.": lambda activations, **c: moving_statistics(activations[-1:], **c),
        "One number stands for all channels: take the mean over the batch, height and width only.": dict(over=None),
        "The standard deviation stands for the variance, which is its square.": dict(spread=np.std),
        "You divide by n − 1 in the variance: Keras divides by n.": dict(spread=partial(np.var, ddof=1)),
    },
)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def nearest_class(features, labels, new, *, of=_unit, of_means=_unit, pick=lambda s: s.argmax(1)):
    means = [of(features)[labels == label].mean(axis=0) for label in range(labels.max() + 1)]
    return pick(_unit(new) @ of_means(np.stack(means)).T)


def _features(rng):
    """The classes overlap, and differ in length, in number and in how much they vary."""
    classes = int(rng.integers(3, 6))
    labels = rng.permutation(np.repeat(np.arange(classes), rng.permutation(np.arange(3, 3 + 4 * classes, 4))))
    centres = rng.normal(size=(classes, 5)) * rng.uniform(0.5, 3, size=(classes, 1))
    noise = rng.normal(size=(len(labels), 5)) * rng.uniform(0.5, 2, size=classes)[labels][:, None]
    features = (centres[labels] + noise) * rng.uniform(0.2, 3, size=(len(labels), 1))
    return {"features": features, "labels": labels, "new": rng.normal(size=(20, 5)) * rng.uniform(0.2, 4, (20, 1))}


Exercise(
    "nearest_class",
    right=nearest_class,
    draw=_features,
    mistakes={
        "The features are not scaled before the mean, so that long vectors count for more.": dict(of=lambda x: x),
        "The means are not scaled to length 1: the longest has an advantage.": dict(of_means=lambda x: x),
        "These are the similarities: return the class with the largest.": dict(pick=lambda s: s),
        "This is the class of the nearest single image: compare with the mean of each class.": (
            lambda features, labels, new: labels[(_unit(new) @ _unit(features).T).argmax(axis=1)]
        ),
    },
)


def cam(
    maps, kernel, label, *, weights=lambda own: own, relu=lambda x: np.maximum(x, 0), scale=lambda x: x / (x.max() or 1)
):
    return scale(relu(maps @ weights(kernel[:, label])))


def _maps(rng):
    """Maps after a ReLU, of as many classes as channels, that speak for a class here and against it there."""
    while True:
        maps, kernel = np.maximum(rng.normal(size=(4, 5, 6)), 0), rng.normal(size=(6, 6))
        values = maps @ kernel
        if values.max((0, 1)).min() > 0.1 and values.min((0, 1)).max() < -0.1:
            return {"maps": maps, "kernel": kernel, "label": int(rng.integers(6))}


Exercise(
    "cam",
    right=cam,
    draw=_maps,
    mistakes={
        "The ReLU is missing: negative values become 0.": dict(relu=lambda x: x),
        "Negative values become 0, but the largest is not 1: divide by it.": dict(scale=lambda x: x),
        "The smallest value has become 0: negative values become 0 instead.": dict(relu=lambda x: x - x.min()),
        "Channels with a negative weight are left out: subtract them.": dict(weights=lambda own: np.maximum(own, 0)),
        "These weights are a row of the kernel: take a column.": lambda kernel, **c: cam(kernel=kernel.T, **c),
        "The channels are not weighted: each counts by its weight for the class.": dict(weights=np.ones_like),
    },
    also=[
        ("Nothing speaks for the class: all are 0.", {"maps": np.ones((3, 4, 6)), "kernel": -np.eye(6), "label": 1}),
        ("For class 0, too:", {"maps": np.ones((3, 4, 2)), "kernel": np.array([[1.0, -2], [1, 3]]), "label": 0}),
    ],
)


# The exercises in Keras


def _size(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def unfreeze_from(base, name, *, trains=operator.ge, of_norms=False, of_base=True, count=_size):
    base.trainable = of_base
    at = base.layers.index(base.get_layer(name))
    for place, layer in enumerate(base.layers):
        layer.trainable = trains(place, at) and (of_norms or not hasattr(layer, "moving_variance"))
    return count(base.trainable_weights)


LAYERS = ["conv1", "after1", "relu1", "conv2", "after2", "relu2", "dense1", "conv3", "after3", "relu3"]


@cache
def _base(*names: str):
    # Inside, because importing the checkers must not start TensorFlow
    import keras
    from keras import layers

    x = images = keras.Input((8, 8, 3))
    for place, name in enumerate(names, start=2):
        made = {"after": layers.BatchNormalization, "relu": layers.ReLU, "dense": partial(layers.Dense, place)}
        x = made.get(name[:-1], partial(layers.Conv2D, place, 3, padding="same"))(name=name)(x)
    return keras.Model(images, x)


def _unfrozen(answer: Callable) -> Callable:
    """Of a base with these layers: the number, what trains, and whether the base as a whole does."""

    def unfrozen(base, name):
        model = _base(*base)
        # By way of True, for what is False already is not set again, and does not reach the layers
        model.trainable = True
        model.trainable = False
        number = answer(base=model, name=name)
        return number, [bool(layer.trainable_weights) for layer in model.layers[1:]], bool(model.trainable_weights)

    return unfrozen


Exercise(
    "unfreeze_from",
    right=unfreeze_from,
    draw=lambda rng: {"base": LAYERS, "name": str(rng.choice(LAYERS))},
    mistakes={
        "The layer called name is still frozen: it is the first to train.": dict(trains=operator.gt),
        "The layers before that one are trainable too: freeze them again.": dict(trains=lambda place, at: True),
        "Only the layer called name is trainable: those after it are to be as well.": dict(trains=operator.eq),
        "Batch normalisation is trainable too: leave it frozen.": dict(of_norms=True),
        "Every layer is trainable: base.trainable = True sets all the layers in it, so it comes first, and then what "
        "is to stay frozen is frozen.": dict(trains=lambda place, at: True, of_norms=True),
        "base itself is still frozen, so that base.trainable_weights is empty: set base.trainable = True first, which "
        "unfreezes all its layers, and then freeze some.": dict(of_base=False),
        "This is the number of arrays: count the parameters in them.": dict(count=len),
    },
    through=_unfrozen,
    seconds=60,
)

WORDS = ("object", "frozen", "count", "range", "spread", "recompile", "statistics")


def findings(model, base, predict, images, labels, stated) -> set[str]:
    """The `WORDS` that apply to a compiled model, as the exercise says; its weights stay as they are."""
    before = model.get_weights()
    kept = [(weight, weight.trainable, weight.numpy()) for weight in model.weights]
    try:
        model.train_on_batch(images, labels)
        moved = [(trainable, not np.array_equal(value, weight.numpy())) for weight, trainable, value in kept]
    except (ValueError, NotImplementedError):  # after `fit`, Keras makes the step anew, and misses the optimizer's part
        moved = [(True, False)]
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
LABELS = np.arange(8) % CLASSES
SIDE = 8


def _compiled(*trained: str):
    """A compiled model whose part `base` trains these layers."""
    import keras
    from keras import layers

    base = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 127.5, offset=-1)], name="base")
    for place in (1, 2):
        base.add(layers.Conv2D(3 + place, 3, use_bias=False, name=f"conv{place}"))
        base.add(layers.BatchNormalization(name=f"norm{place}"))
        base.add(layers.LeakyReLU())  # so that each weight has a gradient whatever the images are
    for layer in base.layers:
        layer.trainable = layer.name in trained
    model = keras.Sequential([base, layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # With steps that np.allclose does not see in weights around 1, as gamma's
    model.compile(keras.optimizers.Adam(3e-6), loss, jit_compile=False)
    # Keras makes the step here, from what is trainable now
    model.train_on_batch(np.zeros((len(LABELS), SIDE, SIDE, 3), "float32"), LABELS)
    return model


@cache
def _models() -> tuple:
    """Kept, because the first step of each takes longer than all others."""
    return _compiled("conv2"), _compiled("norm1", "conv2", "norm2"), _compiled()


def _situations(rng: np.random.Generator) -> Iterator[tuple[str, dict]]:
    """What a case is, and the arguments. It is to be used before the next is drawn: they share their models."""
    upper, moving, frozen = _models()
    images = rng.uniform(0, 255, size=(len(LABELS), SIDE, SIDE, 3)).astype("float32")
    dark = images / 255
    dark[1, 0] = 2

    def case(model, **changes):
        usual = {"model": model, "base": model.get_layer("base"), "predict": lambda x: np.arange(len(x)) % CLASSES}
        return usual | {"images": images, "labels": LABELS.copy(), "stated": _size(model.trainable_weights)} | changes

    def always(x):
        return np.full(len(x), CLASSES - 1)

    yield "a model in which all is right, at a learning rate of 3e-6", case(upper)
    yield "dark images, of which some values are above 1", case(upper, images=dark)
    yield "labels that are all of one class, as is predicted", case(upper, labels=0 * LABELS, predict=always)
    yield "images from 0 to 1", case(upper, images=images / 255)
    yield "a predict that gives the last class for every image", case(upper, predict=always)
    yield "a text that states the number of all parameters", case(upper, stated=_size(upper.weights))
    yield "a base that is called in training mode", case(moving)
    base = frozen.get_layer("base")
    for layer in base.layers:
        layer.trainable = False
    yield "another base of the same form and name, which is not in the model", case(upper, base=base)
    yield "images from 0 to 1 and a base each of whose layers is frozen", case(frozen, images=images / 255)
    for layer in base.layers:
        layer.trainable = True
    yield "a model fitted with base frozen, then unfrozen and not compiled again", case(frozen)
    with patch.object(upper, "train_on_batch", side_effect=ValueError("the optimizer does not know a variable")):
        yield "a model whose step raises ValueError", case(upper)


def check_finetuning(answer) -> None:
    for what, case in _situations(np.random.default_rng()):
        _check_words(answer, what, case)


def _check_words(answer, what: str, case: Mapping) -> None:
    """Raise a `Mistake` unless the answer finds what there is in one case, and leaves all as it was."""
    expected, model = findings(**case), case["model"]
    weights, optimizer = model.get_weights(), [variable.numpy() for variable in model.optimizer.variables]
    result = list(run(answer, case, what))
    for word in result:
        if word not in WORDS:
            raise Mistake(f"It returns {word!r}, which is none of the words {', '.join(WORDS)}.")
    for word in WORDS:
        if (word in expected) != (word in result):
            raise Mistake(f"It {'does not find' if word in expected else 'reports'} {word!r} for {what}.")
    if not all(map(np.array_equal, weights, model.get_weights())):
        raise Mistake("It leaves model one step further: give all its weights back, the moving statistics too.")
    if not all(map(np.array_equal, optimizer, [variable.numpy() for variable in model.optimizer.variables])):
        raise Mistake("It leaves the optimizer one step further: keep the values of its variables, and assign them.")


Exercise("check_finetuning", judge=check_finetuning, seconds=120)
