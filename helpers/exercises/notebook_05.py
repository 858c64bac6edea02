"""The exercises of notebook 05, transfer learning."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import SimpleNamespace

import numpy as np

from .engine import Exercise, Mistake, describe, run, same


def trainable_and_frozen(
    layers, frozen, *, size=lambda k: k * k, biased=lambda norm: not norm, moving=2, learned=2, of_last=False
):
    trainable = others = 0
    for place, (k, channels, filters, norm) in enumerate(layers):
        own = size(k) * channels * filters + filters * biased(norm) + learned * filters * norm
        is_frozen = place >= len(layers) - frozen if of_last else place < frozen
        trainable, others = (trainable, others + own) if is_frozen else (trainable + own, others)
        others += moving * filters * norm
    return trainable, others


def _layers(rng):
    widths = rng.permutation(np.arange(3, 13))[:7].tolist()
    norms = rng.permutation([True, True, True, False, False, bool(rng.integers(2))]).tolist()
    layers = [
        (int(rng.choice([3, 5])), *pair, norm) for pair, norm in zip(itertools.pairwise(widths), norms, strict=True)
    ]
    return {"layers": layers, "frozen": int(rng.integers(1, 6))}


ONE = [(3, 3, 8, True), (5, 8, 5, False)]

Exercise(
    "trainable_and_frozen",
    right=trainable_and_frozen,
    draw=_layers,
    mistakes={
        "The two numbers are in the wrong order: the trainable parameters first.": lambda layers, frozen: (
            trainable_and_frozen(layers, frozen)[::-1]
        ),
        "The moving means and variances are missing: two numbers for each channel, trainable in no layer.": dict(
            moving=0
        ),
        "The moving mean and variance are counted as trainable: no gradient ever reaches them.": dict(
            moving=0, learned=4
        ),
        "The batch normalisation is missing: four numbers for each channel, two of them trainable.": dict(
            moving=0, learned=0
        ),
        "Every convolution has biases here: one with batch normalisation has none.": dict(biased=lambda norm: True),
        "A kernel has k×k weights for each pair of channels, not k.": dict(size=lambda k: k),
        "You freeze the last layers: the first ones are frozen.": dict(of_last=True),
    },
    also=[
        ("Nothing is frozen.", {"layers": ONE, "frozen": 0}),
        ("All layers are frozen.", {"layers": ONE, "frozen": 2}),
    ],
)

PLACES = (0, 1, 2)  # the axes of a batch but for the channels


def moving_statistics(activations, mean, variance, momentum, *, over=PLACES, spread=np.var, kept=lambda m: m):
    for batch in activations:
        mean = kept(momentum) * mean + (1 - kept(momentum)) * batch.mean(over)
        variance = kept(momentum) * variance + (1 - kept(momentum)) * spread(batch, over)
    return mean, variance


def _activations(rng):
    steps, batch, height, width, channels = rng.integers((2, 2, 2, 2, 2), (5, 5, 4, 5, 6)).tolist()
    # A mean and a spread of its own in each step and channel
    shift, scale = rng.normal(scale=3, size=(2, steps, 1, 1, 1, channels))
    noise = rng.normal(size=(steps, batch, height, width, channels))
    statistics = {"mean": rng.normal(size=channels), "variance": rng.uniform(0.5, 2, size=channels)}
    activations = shift + (1.5 + np.abs(scale)) * noise
    return {"activations": activations, **statistics, "momentum": float(rng.uniform(0.6, 0.9))}


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
        "Only the last step has an effect: go on from what the step before left.": lambda **c: moving_statistics(
            **c | {"activations": c["activations"][-1:]}
        ),
        "One number stands for all channels: take the mean over the batch, height and width only.": dict(over=None),
        "The standard deviation stands for the variance, which is its square.": dict(spread=np.std),
        "You divide by n − 1 in the variance: Keras divides by n.": dict(spread=partial(np.var, ddof=1)),
    },
)


def _unit(x: np.ndarray, axis: int = 1) -> np.ndarray:
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def nearest_class(features, labels, new, *, of=_unit, of_means=_unit, gather=np.mean, pick=lambda s: s.argmax(1)):
    means = [gather(of(features)[labels == label], axis=0) for label in range(labels.max() + 1)]
    return pick(_unit(new) @ of_means(np.stack(means)).T)


def _features(rng):
    """The classes overlap, and differ in length, in number and in how much they vary; no two are as near."""
    while True:
        classes = int(rng.integers(3, 6))
        labels = rng.permutation(np.repeat(np.arange(classes), rng.permutation(np.arange(3, 3 + 4 * classes, 4))))
        centres = rng.normal(size=(classes, 5)) * rng.uniform(0.5, 3, size=(classes, 1))
        noise = rng.normal(size=(len(labels), 5)) * rng.uniform(0.5, 2, size=classes)[labels][:, None]
        features = (centres[labels] + noise) * rng.uniform(0.2, 3, size=(len(labels), 1))
        case = {"features": features, "labels": labels, "new": rng.normal(size=(60, 5)) * rng.uniform(0.2, 4, (60, 1))}
        ranked = np.sort(nearest_class(**case, pick=lambda s: s), axis=1)
        if (ranked[:, -1] - ranked[:, -2]).min() > 1e-4:
            return case


Exercise(
    "nearest_class",
    right=nearest_class,
    draw=_features,
    mistakes={
        "The features are not scaled before the mean, so that long vectors count for more.": dict(of=lambda x: x),
        "The means are not scaled to length 1, so that the class with the longest has an advantage.": dict(
            of_means=lambda x: x
        ),
        "These are sums, not scaled to length 1: a class with many images has an advantage.": dict(
            gather=np.sum, of_means=lambda x: x
        ),
        "The features are scaled column by column: each image's vector has a length.": dict(of=partial(_unit, axis=0)),
        "This is the class with the smallest similarity: take the largest.": dict(pick=lambda s: s.argmin(1)),
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
            return {"maps": maps, "kernel": kernel, "label": int(rng.integers(1, 6))}


Exercise(
    "cam",
    right=cam,
    draw=_maps,
    mistakes={
        "The ReLU is missing: negative values become 0.": dict(relu=lambda x: x),
        "Negative values become 0, but the largest is not 1: divide by it.": dict(scale=lambda x: x),
        "This goes from the smallest value, as 0, to the largest: negative values become 0 instead.": dict(
            relu=lambda x: x - x.min()
        ),
        "Channels with a negative weight are left out: they are subtracted, and the ReLU comes after the sum.": dict(
            weights=lambda own: np.maximum(own, 0)
        ),
        "The weights are a row of the kernel: a class has a column.": lambda maps, kernel, label: cam(
            maps, kernel.T, label
        ),
        "The map is that of class 0: make it for label.": lambda maps, kernel, label: cam(maps, kernel, 0),
        "The channels are not weighted: each counts by its weight for the class.": dict(weights=np.ones_like),
    },
    also=[
        (
            "Where every channel speaks against the class, all are to be 0: there is no largest to divide by.",
            {"maps": np.ones((3, 4, 6)), "kernel": -np.ones((6, 5)), "label": 1},
        ),
        ("For class 0, too:", {"maps": np.ones((3, 4, 2)), "kernel": np.array([[1.0, -2], [1, 3]]), "label": 0}),
    ],
)


# The exercises in Keras


def _size(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _trainable(layers) -> int:
    """How many parameters could train: all but the moving statistics."""
    return _size(weight for layer in layers for weight in layer.weights if not weight.name.startswith("moving"))


UNFROZEN = {  # diagnosis, none for what is asked for: whether a layer trains, by its place and that of the one named
    "": lambda place, at: place >= at,
    "The layer called name is still frozen: it is the first to train.": lambda place, at: place > at,
    "The layers before the one called name are trainable too: after base.trainable = True, freeze them again.": (
        lambda place, at: True
    ),
    "Only the layer called name is trainable: those after it are to be as well.": lambda place, at: place == at,
    "The layers up to the one called name are trainable: it is those from there on.": lambda place, at: place <= at,
    "Nothing is trainable in base: unfreeze its layers.": lambda place, at: False,
}


def unfreeze_from(answer) -> None:
    base = _drawn_base(np.random.default_rng())
    before = base.get_weights()
    results, found, base_is_frozen = {}, {}, False
    for name in ("conv2", "after1", "dense", "images", "after3", "last"):
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
    for name, result in results.items():
        train, upper = _chosen(base, name), base.layers[base.layers.index(base.get_layer(name)) :]
        right = _trainable(train)
        if same(result, right):
            continue
        wrong = {
            "These are all parameters of base: return how many are trainable.": base.count_params(),
            "This is the number of arrays: count the parameters in them.": sum(len(layer.weights) for layer in train),
            "You count gamma and beta of batch normalisation too, which stay frozen.": _trainable(upper),
            "The biases are missing in the number.": _size(layer.kernel for layer in train),
            "You return 0: count after you have unfrozen the layers.": 0,
        }
        texts = (text for text, value in wrong.items() if same(result, value))
        raise Mistake(next(texts, f"For the name {name!r} you return {result}, where {right} is asked for."))


Exercise("unfreeze_from", judge=unfreeze_from, seconds=60)


def _drawn_base(rng: np.random.Generator):
    """A small network with a shortcut, and numbers of channels all different; not each layer has biases."""
    # Inside, because importing the checkers must not start TensorFlow
    import keras
    from keras import layers

    first, second, third = (int(value) for value in rng.permutation(np.arange(2, 9))[:3])
    images = keras.Input((8, 8, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1")(x)
    skip = layers.BatchNormalization(name="after1")(x)
    x = layers.Conv2D(second, 3, padding="same", name="conv2")(layers.ReLU(name="relu1")(skip))
    x = layers.BatchNormalization(name="after2")(x)
    x = layers.Add(name="add")([layers.Dense(first, name="dense")(layers.ReLU(name="relu2")(x)), skip])
    x = layers.Conv2D(third, 3, use_bias=False, name="conv3")(x)
    x = layers.BatchNormalization(name="after3")(x)
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
    yield "a model whose step raises ValueError", case(upper) | {"model": _Raising(upper)}


class _Raising:
    """A model whose step raises what Keras's does where the optimizer has never seen a weight that trains now."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def train_on_batch(self, *_args, **_named):
        raise ValueError("Unknown variable: the optimizer can only be called for those it was built with")


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
    weights, flags, steps = model.get_weights(), _flags(model), int(model.optimizer.iterations)
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
    if int(model.optimizer.iterations) != steps:
        remedy = "keep the values of model.optimizer.variables before it, and assign them after it"
        raise Mistake(f"It leaves the optimizer one step further: {remedy}.")
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


Exercise("check_finetuning", judge=check_finetuning, seconds=120)
