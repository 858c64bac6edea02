"""What the checkers of Keras blocks share.

A block is computed here step by step, with random weights that the answer's layers are given.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .engine import Mistake, describe, plain, refuse_other_names


def model_of(answer, case: Mapping, added: str, joined: str = ""):
    """The model from the tensors in `case` to what the answer makes of them.

    `added` and `joined` say why maps of different shapes cannot be added or concatenated; {} stands for their sides.
    """
    # Inside, because importing the checkers must not start TensorFlow
    import keras

    tensors = {name: value for name, value in case.items() if isinstance(value, keras.KerasTensor)}
    if not callable(answer) or isinstance(answer, keras.Layer):
        raise Mistake(f"Write a function; this is {describe(answer)}.")
    try:
        result = answer(**case)
    except Exception as error:
        refuse_other_names(error, case)
        text = plain(error)
        sides = dict.fromkeys(re.findall(r"\(None, (\d+), (\d+), \d+\)", text))
        diagnosis = f"Building the block raises {type(error).__name__}: {text}"
        if "incompatible shapes" in text or "broadcast" in text:
            diagnosis = added
        elif joined and len(sides) > 1:
            diagnosis = joined.format(" and ".join("×".join(pair) for pair in sides))
        raise Mistake(diagnosis) from None
    if not isinstance(result, keras.KerasTensor):
        given = " and ".join(tensors)
        raise Mistake(f"It returns {describe(result)}, where the tensor is asked for that comes out for {given}.")
    for name, tensor in tensors.items():
        if result is tensor:
            raise Mistake(f"It returns {name} itself: use the tensor that each layer gives.")
    model = keras.Model(list(tensors.values()), result)
    if any("Dropout" in type(layer).__name__ for layer in model.layers):
        raise Mistake("There is a dropout in it: nothing of the kind is asked for.")
    return model


def parts_of(model) -> tuple[list[dict], list[dict], list[str]]:
    """The convolutions and the normalisations, each as its weights by name, and the names of all other weights."""
    layers = {}
    for weight in model.weights:
        layers.setdefault(weight.path.rpartition("/")[0], {})[weight.name] = weight
    convolutions, normalisations, others = [], [], []
    for layer in layers.values():
        # A kernel with two axes is that of a dense layer, which on a map is a 1×1 convolution
        if "kernel" in layer and len(layer["kernel"].shape) in (2, 4):
            convolutions.append(layer)
        elif layer.keys() <= {"gamma", "beta", "moving_mean", "moving_variance"}:
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
    values = [{name: _drawn(name, tuple(weight.shape), rng) for name, weight in part.items()} for part in parts]
    for part, drawn in zip(parts, values, strict=True):
        for name, weight in part.items():
            weight.assign(drawn[name])
    return values


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if name == "kernel":
        return rng.normal(scale=math.sqrt(2 / math.prod(shape[:-1])), size=shape)
    if name == "moving_variance":  # so large that it does not matter what a layer adds to it
        return rng.uniform(3, 9, size=shape)
    return rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1, 1], size=shape)


def computed(model, *arrays: np.ndarray) -> np.ndarray:
    """What the block makes of these maps."""
    return np.asarray(model([x.astype("float32") for x in arrays]))


def close(result, expected) -> bool:
    """Whether the maps are the same but for rounding, which adds up in float32."""
    return bool(result.shape == expected.shape and np.abs(result - expected).max() <= 2e-3 * np.abs(expected).max())


def is_right(result: np.ndarray, outcomes: Iterable[tuple[str, np.ndarray]]) -> bool:
    """Whether the result is the outcome that has no diagnosis; a `Mistake` when it is one of the others."""
    diagnosis = next((text for text, outcome in outcomes if close(result, outcome)), None)
    if diagnosis:
        raise Mistake(diagnosis)
    return diagnosis == ""


def stepped(steps: str, x: np.ndarray, kernels: Sequence[Mapping], scales: Sequence[Mapping] = ()) -> np.ndarray:
    """Compute a block step by step; empty when its layers are too few or too many for these steps.

    C convolution, R ReLU; P max pooling, A average pooling; N normalisation; + adds the block's input.
    """
    from keras import ops

    if (steps.count("C"), steps.count("N")) != (len(kernels), len(scales)):
        return np.empty(0)
    kernels, scales, skip = iter(kernels), iter(scales), x
    for step in steps:
        match step:
            case "C":
                weights = next(kernels)
                kernel = weights["kernel"].reshape(kernel_shape(weights))
                convolved = ops.conv(x.astype("float32"), kernel.astype("float32"), padding="same")
                x = np.asarray(convolved) + weights.get("bias", 0)
            case "R":
                x = np.maximum(x, 0)
            case "P":
                x = np.asarray(ops.max_pool(x, 3, 1, "same"))
            case "A":
                x = np.asarray(ops.average_pool(x, 3, 1, "same"))
            case "N":
                scale = next(scales)
                x = (x - scale["moving_mean"]) / np.sqrt(scale["moving_variance"] + 1e-3)
                x = x * scale.get("gamma", 1) + scale.get("beta", 0)
            case "+":
                x = x + skip
    return x
