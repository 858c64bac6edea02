"""What the checkers of Keras blocks share.

A block is computed here step by step, with random weights that the answer's layers are given.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .engine import Mistake, describe, plain, refuse_other_names

NORMALISATION = {"gamma", "beta", "moving_mean", "moving_variance"}


def model_of(answer, case: Mapping, added: str, joined: str = ""):
    """The model from the tensors in `case` to what the answer makes of them.

    `added` and `joined` say why maps of different shapes cannot be added or concatenated; {} stands for their sides.
    """
    # Inside, because importing the checkers must not start TensorFlow
    import keras

    tensors = {name: value for name, value in case.items() if isinstance(value, keras.KerasTensor)}
    given = " and ".join(tensors)
    if not callable(answer) or isinstance(answer, keras.Layer):
        raise Mistake(f"Write a function; this is {describe(answer)}.")
    try:
        result = answer(**case)
    except Exception as error:
        refuse_other_names(error, case)
        text = plain(error)
        diagnosis = f"Building the block raises {type(error).__name__}: {text}"
        if "incompatible shapes" in text or "broadcast" in text:
            diagnosis = added
        elif joined and ("matching shapes" in text or "must have the same shape" in text):
            sides = dict.fromkeys(re.findall(r"\(None, (\d+), (\d+), \d+\)", text))
            diagnosis = "The maps are joined along a wrong axis: concatenate the channels, which is the last one."
            if len(sides) > 1:
                diagnosis = joined.format(" and ".join("×".join(pair) for pair in sides))
        raise Mistake(diagnosis) from None
    if result is None:
        raise Mistake("It returns None: is the return missing?")
    if isinstance(result, keras.Model):
        raise Mistake(f"It returns a model: return the tensor that comes out for {given}.")
    if isinstance(result, keras.Layer):
        raise Mistake("It returns a layer: call it on a tensor, and return the tensor that comes out.")
    if isinstance(result, (list, tuple)):
        raise Mistake(f"It returns a {type(result).__name__} of {len(result)}: return one tensor.")
    if not isinstance(result, keras.KerasTensor):
        raise Mistake(f"It returns {describe(result)}, where a Keras tensor is asked for: call layers on {given}.")
    for name, tensor in tensors.items():
        if result is tensor:
            raise Mistake(f"It returns {name} itself: use the tensor that each layer gives.")
    try:
        model = keras.Model(list(tensors.values()), result)
    except Exception as error:
        raise Mistake(
            f"No model leads from {given} to the result: does each layer read that, or what came of it? Keras says: "
            f"{plain(error)}"
        ) from None
    dropping = [layer.name for layer in model.layers if "Dropout" in type(layer).__name__]
    if dropping:
        raise Mistake(f"There is a dropout in it, {dropping[0]!r}: nothing of the kind is asked for.")
    return model


def parts_of(model) -> tuple[list[dict], list[dict], list[str]]:
    """The convolutions and the normalisations, each as its weights by name, and the names of all other weights."""
    layers = []  # a layer's weights follow one another
    for weight in model.weights:
        kin = next((names for names in ({"kernel", "bias"}, NORMALISATION) if weight.name in names), set())
        if not layers or weight.name in layers[-1] or not layers[-1].keys() <= kin:
            layers.append({})
        layers[-1][weight.name] = weight
    convolutions, normalisations, others = [], [], []
    for layer in layers:
        # A kernel with two axes is that of a dense layer, which on a map is a 1×1 convolution
        if "kernel" in layer and len(layer["kernel"].shape) in (2, 4):
            convolutions.append(layer)
        elif layer.keys() <= NORMALISATION:
            normalisations.append(layer)
        else:
            others += layer
    return convolutions, normalisations, others


def kernel_shape(convolution: Mapping) -> tuple[int, ...]:
    """Height, width, channels read and filters of a kernel."""
    shape = tuple(convolution["kernel"].shape)
    return (1, 1, *shape) if len(shape) == 2 else shape


def randomised(parts: Sequence[Mapping], rng: np.random.Generator) -> list[dict]:
    """Give the layers random weights, and return these."""
    values = []
    for part in parts:
        values.append({})
        for name, weight in part.items():
            shape = tuple(weight.shape)
            value = rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1, 1], size=shape)
            if name == "kernel":
                value = rng.normal(scale=math.sqrt(2 / math.prod(shape[:-1])), size=shape)
            elif name == "moving_variance":  # so large that it does not matter what a layer adds to it
                value = rng.uniform(3, 9, size=shape)
            weight.assign(value)
            values[-1][name] = value
    return values


def computed(model, *arrays: np.ndarray) -> np.ndarray:
    """What the block makes of these maps; a `Mistake` when it fails."""
    try:
        return np.asarray(model([x.astype("float32") for x in arrays]))
    except Exception as error:
        raise Mistake(f"Computing the block raises {type(error).__name__}: {plain(error)}") from None


def close(result, expected) -> bool:
    """Whether the maps are the same but for rounding, which adds up in float32."""
    return bool(result.shape == expected.shape and np.abs(result - expected).max() <= 2e-3 * np.abs(expected).max())


def is_right(result: np.ndarray, outcomes: Iterable[tuple[str, np.ndarray]]) -> bool:
    """Whether the result is the outcome that has no diagnosis; a `Mistake` when it is one of the others."""
    for diagnosis, outcome in outcomes:
        if close(result, outcome):
            if diagnosis:
                raise Mistake(diagnosis)
            return True
    return False


def stepped(steps: str, x: np.ndarray, kernels: Sequence[Mapping], scales: Sequence[Mapping] = ()) -> np.ndarray:
    """Compute a block step by step; empty when its layers are too few or too many for these steps.

    C convolution, R ReLU; P max pooling, A average pooling, Z max pooling with zeros around; N normalisation; s the
    skip begins here, and not with x, + the skip is added.
    """
    import keras

    if (steps.count("C"), steps.count("N")) != (len(kernels), len(scales)):
        return np.empty(0)
    kernels, scales, skip = iter(kernels), iter(scales), x
    for step in steps:
        match step:
            case "C":
                weights = next(kernels)
                kernel = weights["kernel"].reshape(kernel_shape(weights)).astype("float32")
                convolved = keras.ops.conv(x.astype("float32"), kernel, padding="same")
                x = np.asarray(convolved) + weights.get("bias", 0)
            case "R":
                x = np.maximum(x, 0)
            case "P":
                x = np.asarray(keras.ops.max_pool(x, 3, 1, "same"))
            case "A":
                x = np.asarray(keras.ops.average_pool(x, 3, 1, "same"))
            case "Z":
                x = np.asarray(keras.ops.max_pool(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 1))
            case "N":
                scale = next(scales)
                x = (x - scale["moving_mean"]) / np.sqrt(scale["moving_variance"] + 1e-3)
                x = x * scale.get("gamma", 1) + scale.get("beta", 0)
            case "s":
                skip = x
            case "+":
                x = x + skip
    return x
