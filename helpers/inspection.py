"""What a model is and does: the sizes and costs of its layers, its feature maps, and the pixels that a unit sees.

For a built Sequential or functional model with one input of fixed size (for feature maps it may be open). A layer of a
model inside it is called ``"inner/conv"``, a layer's second use ``"conv#2"``.
"""

import collections
import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .claims import check_array, check_integer, size_text

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
_WITH_KERNELS = (*_CONVOLUTIONS, "Conv1D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense")
# Layers whose weights scale and shift single values: not counted as multiplications by weights
_SCALING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "PReLU", "LayerScale")
# Layers whose output is the array that came in: always, or unless they train (the beginnings of their names)
_PASSING_ON = ("Identity", "Flatten", "Reshape")
_IN_TRAINING = ("Dropout", "SpatialDropout", "AlphaDropout", "Gaussian", "Rand", "MixUp", "CutMix", "AugMix")
# Layers and operations each place of whose output depends on that place only
_IN_PLACE = (
    "Dense", "Activation", "ReLU", "Relu", "Relu6", "LeakyReLU", "PReLU", "ELU", "Sigmoid", "Silu", "HardSilu",
    "HardSigmoid", "Rescaling", "Identity", "Add", "Subtract", "Multiply", "Divide", "Average", "Maximum",
    "Concatenate", "CustomScaleLayer", "BatchNormalization", "LayerNormalization", "Normalization", "LayerScale",
)  # fmt: skip


@dataclass(frozen=True)
class LayerSize:
    """The size of one use of a layer, whose output has this `shape` without the batch.

    `units` are the values it computes, 0 when it only moves or transforms values, as Flatten and ReLU do. `weights`
    and `biases` are parameters, counted at the first use of a layer. `connections` are pairs of a unit and an input of
    it; `connections_with_biases` has one more for each unit that has a bias.
    """

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
        """Weights and biases together."""
        return self.weights + self.biases


class Sizes(list):
    """The rows of `layer_sizes`, by position or by name, with their sum `total`; shows as a table."""

    def __getitem__(self, key):
        return _named("layer", key, self) if isinstance(key, str) else super().__getitem__(key)

    @property
    def total(self) -> LayerSize:
        """The sums over all rows."""
        counts = ("units", "weights", "biases", "connections", "connections_with_biases")
        return LayerSize("total", "", (), **{count: sum(getattr(row, count) for row in self) for count in counts})

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

    Convolutions are counted by the lectures' formula W·H·K²·I·J, so positions in the padding count too. A separable
    one counts both of its steps, a transposed one the K²·J outputs of each input value. A layer of one's own says
    itself how many there are, by a method ``connections(shape)`` that gets the shape of its output. ``ValueError`` is
    raised for a layer with other weights and without that method.
    """
    rows, seen = Sizes(), set()
    for use in _graph(model)[0]:
        variables = getattr(use.layer, "weights", [])
        new = [variable for variable in variables if id(variable) not in seen]
        seen.update(map(id, new))
        is_bias = {id(variable): variable.name in ("bias", "beta") for variable in variables}
        biases = sum(math.prod(variable.shape) for variable in new if is_bias[id(variable)])
        weights = sum(math.prod(variable.shape) for variable in new) - biases
        connections = _connections(use)
        units = math.prod(use.shape) if connections else 0
        with_biases = connections + units * any(is_bias.values())
        rows.append(LayerSize(use.name, use.kind, use.shape, units, weights, biases, connections, with_biases))
    return rows


def multiply_adds(model) -> dict[str, int]:
    """Count the multiplications by weights, each with its addition, of each convolution and Dense layer for one image.

    They are the layer's `connections` in `layer_sizes`, by layer name, in the order of computation; each use of a
    layer counts, and so does a layer of one's own that says its connections. Biases, pooling, normalisation and
    activations cost none.
    """
    return {use.name: _connections(use) for use in _graph(model)[0] if _multiplies(use)}


def depth(model) -> int:
    """Count the convolutions and Dense layers on the longest path from the input to an output.

    This is the number in names such as VGG-16 and ResNet-50. A separable convolution is one layer, and a layer that
    is used twice on the path counts twice.
    """
    depths: dict[int, int] = {}
    for use in _graph(model)[0]:
        before = max(depths.get(id(tensor), 0) for tensor in use.inputs)
        depths.update({id(tensor): before + _multiplies(use) for tensor in use.outputs})
    return max(depths.values())


def _multiplies(use: "_Use") -> bool:
    """Whether a layer multiplies by weights: a convolution, a Dense layer, or one that says its connections."""
    if use.kind in _WITH_KERNELS or hasattr(use.layer, "connections"):
        return True
    if getattr(use.layer, "weights", ()) and use.kind not in _SCALING:
        got = f"got layer {use.name!r} ({use.kind}) with weights whose connections are unknown"
        raise ValueError(f"model: {got}, expected Keras's usual ones, or a layer with a method connections(shape)")
    return False


def _connections(use: "_Use") -> int:
    """The connections of the units that a layer computes, 0 when it computes none."""
    layer, kind = use.layer, use.kind
    if hasattr(layer, "connections"):
        return int(layer.connections(use.shape))
    if _multiplies(use):  # with its kernels once at each place
        places = use.inputs[0].shape[1:-1] if kind.endswith("Transpose") else use.shape[:-1]
        kernels = [weight.shape for weight in layer.weights if weight.name.endswith("kernel")]
        return math.prod(places) * sum(map(math.prod, kernels))
    if kind.startswith("Global"):
        return math.prod(use.inputs[0].shape[1:])
    return math.prod(use.shape) * math.prod(layer.pool_size) if hasattr(layer, "pool_size") else 0


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Build models inside ``with shapes_only():`` whose weights have shapes and no values, and take no memory.

    They can be counted by the functions of this module that do not run a model; running one raises ``RuntimeError``.
    Afterwards Keras's session is cleared: layers' names count from the start, a dtype policy that was set is forgotten.
    """
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

    Each layer or operation makes one new array, ReLU and BatchNormalization too. Flatten, Reshape and Identity pass
    their input on; so do, at test time, layers that act in training only, such as Dropout. Weights, gradients and a
    layer's own working memory are not counted. In `training` all arrays are kept until the backward pass has used
    them, and their sum is returned. Else each is freed after its last use in the order of computation, the model's
    outputs never, and the most that is there at once is returned.
    """
    (uses, ends), image = _graph(model), model.inputs[0]
    lies_in = {id(image): id(image)}  # for each tensor the array, called by the tensor that it was made for
    sizes, made, needed = {id(image): math.prod(image.shape[1:])}, {id(image): 0}, {id(image): 0}
    for now, use in enumerate(uses):
        needed.update((lies_in[id(tensor)], now) for tensor in use.inputs)
        is_identity = use.kind.startswith(_IN_TRAINING) and use.shape == use.inputs[0].shape[1:] and not training
        passes_on = use.kind in _PASSING_ON or is_identity
        for tensor in use.outputs:
            array = lies_in[id(tensor)] = lies_in[id(use.inputs[0])] if passes_on else id(tensor)
            sizes.setdefault(array, math.prod(tensor.shape[1:]))
            made.setdefault(array, now)
            needed[array] = now
    needed.update((lies_in[id(tensor)], len(uses)) for tensor in ends)
    there = [[sizes[array] for array in sizes if made[array] <= now <= needed[array]] for now in range(len(uses))]
    return 4 * (sum(sizes.values()) if training else max(map(sum, there)))


def outputs(model, images) -> np.ndarray:
    """A model's outputs in inference mode, for a batch of images taken 100 at a time."""
    parts = np.split(images, range(100, len(images), 100))
    return np.concatenate([np.asarray(model(part, training=False)) for part in parts])


def accuracy(model, images, labels) -> float:
    """The share of the images whose largest output is that of their label, an integer from 0 on."""
    return float((outputs(model, images).argmax(axis=1) == labels).mean())


def feature_maps(model, images, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the output of each layer, float32, for a batch of images, in inference mode and the order of computation.

    `images` are ``(n, h, w, c)``, as the model takes them; `layers` names those to keep, by default all.
    """
    import keras

    images = _checked_images(model, images)
    if isinstance(layers, str):
        raise ValueError(f"layers: got {layers!r}, expected a list of names")
    uses = _graph(model, is_whole=True)[0]
    wanted = uses if layers is None else sorted([_named("layers", name, uses) for name in layers], key=uses.index)
    maps = keras.Model(model.inputs[0], [use.outputs[0] for use in wanted])(images, training=False)
    maps = keras.tree.flatten(maps)  # a list of one comes as the one
    return {use.name: np.asarray(keras.ops.cast(own, "float32")) for use, own in zip(wanted, maps, strict=True)}


@dataclass(frozen=True)
class Field:
    """The receptive field of a layer's units, in pixels: its `size` ``(height, width)``, the `stride` from one unit's
    field to the next one's, down and across (0 when every unit sees the whole image), and the `start` ``(top, left)``
    of the field of unit (0, 0), negative where it reaches into the padding."""

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """``(left, top, right, bottom)`` of the field of one unit, in pixels; it may leave the image."""
        place = check_integer("row", row, 0), check_integer("column", column, 0)
        top, left = (start + stride * at for start, stride, at in zip(self.start, self.stride, place, strict=True))
        return left, top, left + self.size[1], top + self.size[0]


def receptive_field(model, layer: str) -> Field:
    """Compute the receptive field of a layer's units from kernel sizes, strides, dilations and padding.

    With several paths from the input it is the smallest box around them all. Units behind Flatten or global pooling
    see the whole image. The formula for a stack is that of Araujo, Norris and Sim, "Computing Receptive Fields of
    Convolutional Neural Networks", Distill (2019). ``ValueError`` is raised when the input is no image, or a path
    leads through a layer whose geometry is unknown.
    """
    uses, image = _graph(model)[0], model.inputs[0]
    target = _named("layer", layer, uses)
    if len(image.shape) != 4:
        raise ValueError(f"model: got an input of shape {image.shape[1:]}, expected images (height, width, channels)")
    whole = Field(image.shape[1:3], (0, 0), (0, 0))
    fields = {id(image): Field((1, 1), (1, 1), (0, 0))}
    for use in uses[: uses.index(target) + 1]:
        before = [fields[id(tensor)] for tensor in use.inputs]
        if whole not in before and len({field.stride for field in before}) > 1:
            raise ValueError(f"layer: got one behind {use.name!r}, whose inputs have fields of different strides")
        sees_all = whole in before or use.kind.startswith("Global") or (use.kind in _PASSING_ON and len(use.shape) == 1)
        after = whole if sees_all else _slid(before, _window(use))
        fields.update({id(tensor): after for tensor in use.outputs})
    return fields[id(target.outputs[0])]


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
        got = f"got one that sees the image through {use.name!r} ({kind}), whose geometry is unknown"
        known = (
            "convolutions, pooling, padding, and layers that work place by place, as one's own say with an attribute"
        )
        raise ValueError(f"layer: {got}, expected {known} works_place_by_place = True")
    window = []
    kernel, rates = (layer.kernel_size, layer.dilation_rate) if kind in _CONVOLUTIONS else (layer.pool_size, (1, 1))
    for k, rate, stride, length in zip(kernel, rates, layer.strides, use.inputs[0].shape[1:3], strict=True):
        size = (k - 1) * rate + 1
        # TensorFlow's "same": as few zeros as possible, the odd one at the end
        zeros = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
        window.append((size, stride, zeros // 2 if layer.padding == "same" else 0))
    return window


def _slid(fields: list[Field], window: list[tuple[int, int, int]]) -> Field:
    """The field of a window's outputs, as it slides over units with these fields and over zeros put before them."""
    axes = []
    for axis, (size, stride, zeros) in enumerate(window):
        jump = fields[0].stride[axis]
        start = min(field.start[axis] for field in fields)
        end = max(field.start[axis] + field.size[axis] for field in fields)
        axes.append((end - start + (size - 1) * jump, jump * stride, start - jump * zeros))
    return Field(*zip(*axes, strict=True))


@dataclass(frozen=True)
class Patches:
    """What excites a channel most: `patches` ``(count, h, w, c)``, their `values`, largest first, and the `places`
    ``(image, row, column)`` of the units that had them."""

    patches: np.ndarray
    values: np.ndarray
    places: list[tuple[int, int, int]]


def top_patches(model, layer: str, images, channel: int, count: int = 9) -> Patches:
    """Find the image patches that excite one channel of a layer most, at most one from each image.

    A patch is the receptive field of the unit with the image's largest value, 0 where it leaves the image. It has the
    dtype of the images, ``(n, h, w, c)``.
    """
    images = _checked_images(model, images)
    fixed = _on_inputs(model, [images.shape[1:]])
    field, shape = receptive_field(fixed, layer), _named("layer", layer, _graph(fixed)[0]).shape
    if len(shape) != 3:
        raise ValueError(f"layer: got {layer!r} with outputs of shape {shape}, expected maps (h, w, c)")
    if check_integer("channel", channel, 0) >= shape[-1]:
        raise ValueError(f"channel: got {channel}, expected 0 to {shape[-1] - 1}")
    if check_integer("count", count, 1) > len(images):
        raise ValueError(f"count: got {count}, expected at most {len(images)}, the number of images")
    batches = (images[start : start + 64] for start in range(0, len(images), 64))
    maps = np.concatenate([feature_maps(model, batch, [layer])[layer][..., channel] for batch in batches])
    values = maps.max(axis=(1, 2))
    best = np.argsort(-values, kind="stable")[:count]
    rows, columns = np.unravel_index(maps[best].reshape(count, -1).argmax(axis=1), maps.shape[1:])
    places = list(zip(best.tolist(), rows.tolist(), columns.tolist(), strict=True))
    side = max(*field.size, *np.negative(field.start))
    padded = np.pad(images, [(0, 0), (side, side), (side, side), (0, 0)])
    patches = []
    for number, row, column in places:
        left, top, right, bottom = (side + edge for edge in field.box(row, column))
        patches.append(padded[number, top:bottom, left:right])
    return Patches(np.stack(patches), values[best], places)


@dataclass(frozen=True, eq=False)
class _Use:
    """One use of a layer, or of an operation such as ``x + y``: its symbolic inputs and outputs."""

    name: str
    layer: object
    inputs: list
    outputs: list

    @property
    def kind(self) -> str:
        """The name of the layer's class, or of the Keras class whose computation it inherits."""
        own = type(self.layer)
        base = next((c for c in own.__mro__ if c.__module__.partition(".")[0] == "keras"), own)
        return base.__name__ if own.call is base.call else own.__name__

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.outputs[0].shape[1:])


def nodes_of(model) -> list:
    """The calls of a Keras model's layers, each after those that it depends on; ``ValueError`` where it has none."""
    try:
        ends = [tensor._keras_history for tensor in model.outputs]
    except (AttributeError, TypeError, ValueError):
        came = type(model).__name__
        raise ValueError(f"model: got {came}, expected a functional model or a Sequential one that is built") from None
    found: dict = {}

    def visit(node) -> None:
        if node not in found:
            for parent in node.parent_nodes:
                visit(parent)
            found[node] = None

    for end in ends:
        visit(end.operation._inbound_nodes[end.node_index])
    return list(found)


def _graph(model, is_whole: bool = False) -> tuple[list[_Use], list]:
    """The uses of layers in a model with one input, each after those that it depends on, and the outputs' tensors.

    A model inside the model is unfolded, its layers called ``"inner/conv"``, or `is_whole`, of whatever size.
    """
    names, uses, stands_for = collections.Counter(), [], {}

    def resolved(tensors) -> list:
        return [stands_for.get(id(tensor), tensor) for tensor in tensors]

    def walk(inner, prefix: str) -> None:
        for node in nodes_of(inner):
            layer, inputs = node.operation, resolved(node.input_tensors)
            if not inputs:  # where the model begins
                continue
            if hasattr(layer, "layers") and not is_whole:
                own = _on_inputs(layer, [tensor.shape[1:] for tensor in inputs])
                stands_for.update(zip(map(id, own.inputs), inputs, strict=True))
                walk(own, f"{prefix}{layer.name}/")
                stands_for.update(zip(map(id, node.outputs), resolved(own.outputs), strict=True))
                continue
            name = prefix + layer.name
            names[name] += 1
            use = _Use(f"{name}#{names[name]}" if names[name] > 1 else name, layer, inputs, node.outputs)
            if getattr(layer, "data_format", None) == "channels_first":
                raise ValueError(f"model: got layer {name!r} with 'channels_first', expected 'channels_last'")
            if not is_whole and None in (*model.inputs[0].shape[1:], *use.shape):
                shapes = f"an input of shape {model.inputs[0].shape[1:]} and an output of shape {use.shape} at {name!r}"
                raise ValueError(f"model: got {shapes}, expected fixed sizes: give the Input a shape without None")
            uses.append(use)

    walk(model, "")
    if len(model.inputs) != 1:
        raise ValueError(f"model: got {len(model.inputs)} inputs, expected one")
    return uses, resolved(model.outputs)


def _on_inputs(model, shapes: Sequence[tuple[int, ...]]):
    """A model of the same layers, on inputs of these shapes."""
    import keras

    plain, inputs = keras.Model(model.inputs, model.outputs), [keras.Input(shape) for shape in shapes]
    return keras.models.clone_model(plain, inputs, clone_function=lambda layer: layer)


def _checked_images(model, images) -> np.ndarray:
    _graph(model, is_whole=True)[0]
    expected = tuple(model.inputs[0].shape[1:])
    if np.ndim(images) == len(expected) == 3:
        shape = np.shape(images)
        raise ValueError(f"images: got one image of shape {shape}, expected a batch (n, h, w, c): pass image[None]")
    images = check_array("images", images, (len(expected) + 1,))
    if any(b not in (None, a) for a, b in zip(images.shape[1:], expected, strict=True)):
        raise ValueError(f"images: got shape {images.shape}, expected (n, {', '.join(map(str, expected))})")
    return images


def _named(argument: str, name: str, rows: Sequence):
    """The one of these uses or rows with this name."""
    found = {row.name: row for row in rows}
    if name not in found:
        raise ValueError(f"{argument}: got {name!r}, expected one of {', '.join(found)}")
    return found[name]
