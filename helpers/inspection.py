"""What a model is and does: the sizes and costs of its layers, its feature maps, and the pixels that a unit sees.

For a built Sequential or functional model with one input of fixed size (for feature maps it may be open). A layer of a
model inside it is called ``"inner/conv"``, a layer's second use ``"conv#2"``.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from .claims import check_array, size_text

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
_WITH_KERNELS = (*_CONVOLUTIONS, "Conv1D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense")
# Layers whose weights scale and shift single values: not counted as multiplications by weights
_SCALING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "PReLU", "LayerScale")
# Layers whose output is, unless they train, the array that came in (the beginnings of their names)
_IN_TRAINING = ("Dropout", "SpatialDropout", "AlphaDropout", "Gaussian", "Rand", "MixUp", "CutMix", "AugMix")
# Layers and operations each place of whose output depends on that place only
_IN_PLACE = (
    "Dense", "Activation", "ReLU", "Relu", "Relu6", "LeakyReLU", "PReLU", "ELU", "Sigmoid", "Silu", "HardSilu",
    "HardSigmoid", "Rescaling", "Identity", "Add", "Subtract", "Multiply", "Divide", "Average", "Maximum",
    "Concatenate", "CustomScaleLayer", "BatchNormalization", "LayerNormalization", "Normalization", "LayerScale",
)  # fmt: skip


class LayerSize(NamedTuple):
    """One use of a layer, with the `shape` of its output without the batch. `units` are the values that it computes, 0
    when it only moves or transforms some; `weights` and `biases` are counted at its first use; `connections` are pairs
    of a unit and an input of it, where a bias can count as one more input."""

    name: str
    kind: str
    shape: tuple[int, ...]
    units: int
    weights: int
    biases: int
    connections: int
    connections_with_biases: int

    @property
    def parameters(self) -> int:
        return self.weights + self.biases


class Sizes(list):
    """The rows of `layer_sizes`, by position or by name, with their sum `total`; shows as a table."""

    def __getitem__(self, key):
        return {row.name: row for row in self}[key] if isinstance(key, str) else super().__getitem__(key)

    @property
    def total(self) -> LayerSize:
        _, _, _, *columns = zip(*self, strict=True)
        return LayerSize("total", "", (), *map(sum, columns))

    def __repr__(self) -> str:
        lines = [("layer", "kind", "output", "units", "connections", "weights", "biases")]
        for row in (*self, self.total):
            numbers = (row.units, row.connections, row.weights, row.biases)
            lines.append((row.name, row.kind, size_text(row.shape), *(f"{number:,}" for number in numbers)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<>>>>>", widths, strict=True))
        texts = [form.format(*line) for line in lines]
        rule = "─" * len(texts[0])
        return "\n".join([texts[0], rule, *texts[1:-1], rule, texts[-1]])


def layer_sizes(model) -> Sizes:
    """Count the units, weights and connections of each layer, in the order of computation.

    Convolutions are counted by the lectures' formula W·H·K²·I·J, so positions in the padding count too. A layer of
    one's own has connections when it has a method ``connections(shape)``, which gets the shape of its output.
    """
    rows = Sizes()
    for name, use in _graph(model)[0].items():
        variables = getattr(use.layer, "weights", [])
        biases = sum(math.prod(variable.shape) for variable in variables if variable.name in ("bias", "beta"))
        weights = sum(math.prod(variable.shape) for variable in variables) - biases
        connections = _multiply_adds(use)
        if use.kind.startswith("Global"):
            connections = math.prod(use.inputs[0].shape[1:])
        elif hasattr(use.layer, "pool_size"):
            connections = math.prod(use.shape) * math.prod(use.layer.pool_size)
        units = math.prod(use.shape) if connections else 0
        new = (0, 0) if "#" in name else (weights, biases)
        rows.append(LayerSize(name, use.kind, use.shape, units, *new, connections, connections + units * bool(biases)))
    return rows


def multiply_adds(model) -> dict[str, int]:
    """Count the multiplications by weights, each with its addition, of convolutions and Dense layers for one image.
    They are the layers' `connections` in `layer_sizes`. ``ValueError``: another layer has weights, such as LSTM."""
    return {name: count for name, use in _graph(model)[0].items() if (count := _multiply_adds(use))}


def _multiply_adds(use: "_Use") -> int:
    if hasattr(use.layer, "connections"):
        return int(use.layer.connections(use.shape))
    if getattr(use.layer, "weights", ()) and use.kind not in (*_WITH_KERNELS, *_SCALING):
        got = f"got layer {use.layer.name!r} ({use.kind}) with weights whose connections are unknown"
        raise ValueError(f"model: {got}, expected Keras's usual ones, or a layer with a method connections(shape)")
    kernels = [weight.shape for weight in getattr(use.layer, "weights", ()) if weight.name.endswith("kernel")]
    places = use.inputs[0].shape[1:-1] if use.kind.endswith("Transpose") else use.shape[:-1]
    return math.prod(places) * sum(map(math.prod, kernels))


def depth(model) -> int:
    """Count the convolutions and Dense layers on the longest path, as names such as VGG-16 and ResNet-50 do."""
    depths: dict[int, int] = {}
    for use in _graph(model)[0].values():
        before = max(depths.get(id(tensor), 0) for tensor in use.inputs)
        depths.update({id(tensor): before + bool(_multiply_adds(use)) for tensor in use.outputs})
    return max(depths.values())


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Inside ``with shapes_only():`` build models whose weights have no values: to count; running raises an error."""
    import keras

    add_weight, is_building = keras.Layer.add_weight, True

    def no_value(shape, dtype=None):
        if is_building:  # some layers run to compute their shapes
            return keras.ops.ones(shape, dtype)
        raise RuntimeError("model: got one built in shapes_only(), whose weights have no values: build it outside")

    def add_without_value(layer, shape=None, initializer=None, *rest, **named):
        return add_weight(layer, shape, no_value, *rest, **named)

    keras.Layer.add_weight = add_without_value
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.Layer.add_weight, is_building = add_weight, False
        keras.utils.clear_session(free_memory=False)  # else Keras makes up for the values at the next occasion


def activation_memory(model, *, training: bool) -> int:
    """Compute the bytes that the input and the layers' outputs take for one image, at 4 bytes (float32) per value.

    Each layer makes a new array, ReLU too; only Flatten, Reshape, Identity and, at test time, Dropout pass theirs on.
    In `training` all arrays add up. Else each but the model's outputs is freed after its last use, if any; the most at
    once is returned.
    """
    (uses, ends), image = _graph(model), model.inputs[0]
    arrays = [[math.prod(image.shape[1:]), 0, 0]]  # the number of values, when it is made, when it is last used
    array_of = {id(image): arrays[0]}
    passing = ("Identity", "Flatten", "Reshape", *(() if training else _IN_TRAINING))
    for now, use in enumerate(uses.values()):
        for tensor in use.inputs:
            array_of[id(tensor)][2] = now
        passes_on = use.kind.startswith(passing) and math.prod(use.shape) == math.prod(use.inputs[0].shape[1:])
        for tensor in use.outputs:
            if not passes_on:
                arrays.append([math.prod(tensor.shape[1:]), now, len(uses)])
            array_of[id(tensor)] = array_of[id(use.inputs[0])] if passes_on else arrays[-1]
    for tensor in ends:
        array_of[id(tensor)][2] = len(uses)
    there = [sum(size for size, made, last in arrays if made <= now <= last) for now in range(len(uses))]
    return 4 * (sum(size for size, _, _ in arrays) if training else max(there))


def outputs(model, images) -> np.ndarray:
    """A model's outputs in inference mode, for images of which at most 100, and a million pixels, go in at a time."""
    count = min(100, max(1, 2**20 // math.prod(images.shape[1:3])))
    batches = np.split(images, range(count, len(images), count))
    shown = tqdm(batches, "batches", leave=False, delay=10)  # seconds until it shows
    return np.concatenate([model(batch, training=False) for batch in shown])


def accuracy(model, images, labels) -> float:
    """The share of the images whose largest output is that of their label, an integer from 0 on."""
    return float((outputs(model, images).argmax(axis=1) == labels).mean())


def feature_maps(model, images, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the output of each layer at its first use, float32, in inference mode and the order of computation.

    `images` are ``(n, h, w, c)``; `layers` names those to keep, by default all. A model inside the model is one layer.
    """
    import keras

    ends: dict = {}
    for node in nodes_of(model):
        if node.input_tensors:
            ends.setdefault(node.operation.name, node.outputs[0])
    if unknown := set(layers or ()) - set(ends):
        raise ValueError(f"layers: got {min(unknown)!r}, expected some of {', '.join(ends)}")
    images = check_array("images", images, (len(model.inputs[0].shape),))
    kept = {name: end for name, end in ends.items() if layers is None or name in layers}
    maps = keras.Model(model.inputs[0], kept)(images, training=False)
    return {name: np.asarray(keras.ops.cast(maps[name], "float32")) for name in kept}


class Field(NamedTuple):
    """The receptive field of a layer's units, in pixels: its `size` ``(height, width)``, the `stride` from one unit's
    field to the next one's, down and across (0 when every unit sees the whole image), and the `start` ``(top, left)``
    of the field of unit (0, 0), negative where it reaches into the padding."""

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """``(left, top, right, bottom)`` of the field of one unit, in pixels; it may leave the image."""
        top, left = self.start[0] + self.stride[0] * row, self.start[1] + self.stride[1] * column
        return left, top, left + self.size[1], top + self.size[0]


def receptive_field(model, layer: str) -> Field:
    """Compute the receptive field of a layer's units from kernel sizes, strides, dilations and padding.

    It is a box around all paths, and the whole image behind Flatten or global pooling (Araujo et al., Distill 2019).
    ``ValueError``: what a layer sees is unknown; one's own can have ``works_place_by_place = True``.
    """
    uses, image = _graph(model)[0], model.inputs[0]
    if layer not in uses:
        raise ValueError(f"layer: got {layer!r}, expected one of {', '.join(uses)}")
    whole = Field(image.shape[1:3], (0, 0), (0, 0))
    fields = {id(image): Field((1, 1), (1, 1), (0, 0))}
    for name, use in uses.items():
        before = [fields[id(tensor)] for tensor in use.inputs]
        field = whole
        if whole not in before and len({field.stride for field in before}) > 1:
            raise ValueError(f"layer: got one behind {name!r}, whose inputs have fields of different strides")
        if not (whole in before or use.kind.startswith("Global") or len(use.shape) == 1):
            axes = []
            for axis, (size, stride, zeros) in enumerate(_window(use)):
                jump = max(field.stride[axis] for field in before)
                start = min(field.start[axis] for field in before)
                end = max(field.start[axis] + field.size[axis] for field in before)
                axes.append((end - start + (size - 1) * jump, jump * stride, start - jump * zeros))
            field = Field(*zip(*axes, strict=True))
        if name == layer:
            return field
        fields.update({id(tensor): field for tensor in use.outputs})


def _window(use: "_Use") -> list[tuple[int, int, int]]:
    """For both axes, size and stride of the window that a layer slides over its inputs, and the zeros before them."""
    layer, kind = use.layer, use.kind
    if kind == "ZeroPadding2D":
        return [(1, 1, before) for before, _ in layer.padding]
    if kind == "Cropping2D":
        return [(1, 1, -before) for before, _ in layer.cropping]
    if kind in _IN_PLACE or kind.startswith(_IN_TRAINING) or getattr(layer, "works_place_by_place", False):
        return [(1, 1, 0), (1, 1, 0)]
    if kind not in (*_CONVOLUTIONS, "MaxPooling2D", "AveragePooling2D"):
        raise ValueError(f"layer: got one that sees through {layer.name!r} ({kind}), whose geometry is unknown")
    window = []
    kernel, rates = (layer.kernel_size, layer.dilation_rate) if kind in _CONVOLUTIONS else (layer.pool_size, (1, 1))
    for k, rate, stride, length in zip(kernel, rates, layer.strides, use.inputs[0].shape[1:3], strict=True):
        size = (k - 1) * rate + 1
        # TensorFlow's "same": as few zeros as possible, the odd one at the end
        zeros = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
        window.append((size, stride, zeros // 2 if layer.padding == "same" else 0))
    return window


class Patches(NamedTuple):
    """What excites a channel most: `patches` ``(count, h, w, c)``, their `values`, largest first, and the `places`
    ``(image, row, column)`` of the units that had them."""

    patches: np.ndarray
    values: np.ndarray
    places: list[tuple[int, int, int]]


def top_patches(model, layer: str, images, channel: int, count: int = 9) -> Patches:
    """Find the image patches that excite one channel of a layer's maps most, at most one from each image.

    A patch is the receptive field of the unit with the image's largest value, 0 outside the image ``(h, w, c)``.
    """
    field = receptive_field(_on_inputs(model, [images.shape[1:]]), layer)
    batches = (images[start : start + 64] for start in range(0, len(images), 64))
    maps = np.concatenate([feature_maps(model, batch, [layer])[layer][..., channel] for batch in batches])
    values = maps.max(axis=(1, 2))
    best = np.argsort(-values, kind="stable")[:count]
    places = [(int(n), *map(int, np.unravel_index(maps[n].argmax(), maps[n].shape))) for n in best]
    side = max(*field.size, *np.negative(field.start))
    padded = np.pad(images[best], [(0, 0), (side, side), (side, side), (0, 0)])
    boxes = [np.add(field.box(row, column), side) for _, row, column in places]
    patches = [image[top:bottom, left:right] for image, (left, top, right, bottom) in zip(padded, boxes, strict=True)]
    return Patches(np.stack(patches), values[best], places)


class _Use(NamedTuple):
    """One use of a layer, or of an operation such as ``x + y``: its symbolic inputs and outputs."""

    layer: object
    kind: str
    shape: tuple[int, ...]
    inputs: list
    outputs: list


def nodes_of(model) -> list:
    """The calls of a Keras model's layers, each after those that it depends on; ``ValueError`` where it has none."""
    if not getattr(model, "outputs", None):
        raise ValueError(f"model: got {type(model).__name__}, expected a functional model or a built Sequential one")
    found: dict = {}

    def visit(node) -> None:
        if node not in found:
            for parent in node.parent_nodes:
                visit(parent)
            found[node] = None

    for end in model.outputs:
        visit(end._keras_history.operation._inbound_nodes[end._keras_history.node_index])
    return list(found)


def _graph(model) -> tuple[dict[str, _Use], list]:
    """By name the uses of layers, also of those in models inside the model, each after those that it depends on; and
    the outputs' tensors."""
    uses = {}

    def walk(inner, prefix: str, inputs: list) -> list:
        real = dict(zip(map(id, inner.inputs), inputs, strict=True))
        for node in nodes_of(inner):
            if getattr(node.operation, "data_format", None) == "channels_first":
                name = node.operation.name
                raise ValueError(f"model: got layer {name!r} with 'channels_first', expected 'channels_last'")
            layer, before, after = node.operation, [real[id(tensor)] for tensor in node.input_tensors], node.outputs
            if hasattr(layer, "layers"):
                after = walk(_on_inputs(layer, [own.shape[1:] for own in before]), f"{prefix}{layer.name}/", before)
            elif before:
                count = 1 + sum(use.layer is layer for use in uses.values())
                name = prefix + layer.name + (f"#{count}" if count > 1 else "")
                uses[name] = _Use(layer, type(layer).__name__, tuple(after[0].shape[1:]), before, after)
            for tensor, own in zip(node.outputs, after, strict=True):
                real.setdefault(id(tensor), own)  # inputs are there already
        return [real[id(tensor)] for tensor in inner.outputs]

    shapes = [tuple(node.outputs[0].shape[1:]) for node in nodes_of(model) if not node.input_tensors]
    if len(shapes) != 1 or None in shapes[0]:
        raise ValueError(f"model: got inputs of shapes {shapes}, expected one input, of a shape without None")
    return uses, walk(model, "", model.inputs)


def _on_inputs(model, shapes: Sequence[tuple[int, ...]]):
    """A model of the same layers, on inputs of these shapes."""
    import keras

    plain, inputs = keras.Model(model.inputs, model.outputs), [keras.Input(shape) for shape in shapes]
    return keras.models.clone_model(plain, inputs, clone_function=lambda layer: layer)
