"""What a model is and does: its sizes and costs, its feature maps, and the pixels that a unit sees.

Every function works on Sequential and functional models, nested ones included, and leaves the model as it was.
Layers are called by their names; one inside a nested model is ``"inner/conv"``, a layer's second use ``"conv#2"``.
Keras and TensorFlow are imported where they are used, so that importing this module loads neither.
"""

import collections
import contextlib
import dataclasses
import functools
import inspect
import math
from collections.abc import Iterator, Sequence

import numpy as np

from .validation import check_array, check_integer, size_text

# Layers that do something in training only.
_IN_TRAINING = frozenset(
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise GaussianDropout AlphaDropout RandomFlip "
    "RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness".split()
)
# Layers (and operations such as `x + y`) whose output at a place depends on that place only, and makes no new units.
_IN_PLACE = _IN_TRAINING | frozenset(
    "InputLayer Identity Activation ReLU LeakyReLU PReLU ELU Softmax BatchNormalization Normalization "
    "UnitNormalization Rescaling ActivityRegularization Add Subtract Multiply Average Maximum Minimum Concatenate "
    "Divide TrueDivide Power Negative Absolute Square Sqrt Rsqrt Exp Log Clip Cast Relu Relu6 LeakyRelu Elu Selu Gelu "
    "Silu Sigmoid HardSigmoid HardSilu Softplus Softsign LogSoftmax Tanh".split()
)
# Layers that move, repeat or rescale the units there are.
_REARRANGING = frozenset(
    "Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D "
    "CenterCrop RandomCrop Resizing UpSampling1D UpSampling2D UpSampling3D LayerNormalization GroupNormalization "
    "GetItem Transpose ExpandDims Squeeze".split()
)
_CONVOLUTIONS = frozenset(f"{kind}{n}D" for kind in ("Conv", "DepthwiseConv", "SeparableConv") for n in (1, 2, 3))
_TRANSPOSED = frozenset(f"Conv{n}DTranspose" for n in (1, 2, 3))
_WITH_KERNELS = _CONVOLUTIONS | _TRANSPOSED | {"Dense"}
# Layers whose output is the array that came in, with another shape at most.
_PASSING_ON = frozenset("Identity ActivityRegularization Flatten Reshape ExpandDims Squeeze".split())
_POOLING = frozenset(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3))
_GLOBAL_POOLING = frozenset(f"Global{kind}" for kind in _POOLING)

BYTES_PER_VALUE = 4  # float32
MOST_JACOBIAN_ENTRIES = 100_000_000
_CHUNK_ENTRIES = 4_000_000


# Sizes


@dataclasses.dataclass(frozen=True)
class LayerSize:
    """The size of one use of a layer.

    Attributes
    ----------
    name, kind
        The layer's name and class.
    shape
        Shape of its output, without the batch.
    units
        Values it computes; 0 when it only moves or transforms single values, as Flatten and ReLU do.
    weights, biases
        Parameters; those named "bias" or "beta" are biases. Counted at the first use of a layer.
    connections
        Pairs of a unit and an input of it, biases left out.
    bias_connections
        The units that have a bias.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    units: int
    weights: int
    biases: int
    connections: int
    bias_connections: int

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases

    @property
    def connections_with_biases(self) -> int:
        """Connections, with one more for each unit that has a bias."""
        return self.connections + self.bias_connections


class Sizes(Sequence):
    """The rows of `layer_sizes`, by position or by name, with their sum `total`; shows as a table."""

    def __init__(self, rows: Sequence[LayerSize]):
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key):
        if not isinstance(key, str):
            return self._rows[key]
        return self._rows[_position("layer", key, [row.name for row in self._rows])]

    @property
    def total(self) -> LayerSize:
        """The sums over all rows."""
        counts = ("units", "weights", "biases", "connections", "bias_connections")
        sums = {count: sum(getattr(row, count) for row in self._rows) for count in counts}
        return LayerSize("total", "", (), **sums)

    def __repr__(self) -> str:
        lines = [("layer", "kind", "output", "units", "connections", "weights", "biases")]
        for row in (*self._rows, self.total):
            numbers = (row.units, row.connections, row.weights, row.biases)
            lines.append((row.name, row.kind, size_text(row.shape), *(f"{number:,}" for number in numbers)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "─" * len(texts[0])
        return "\n".join([texts[0], rule, *texts[1:-1], rule, texts[-1]])


def layer_sizes(model) -> Sizes:
    """Count the units, weights and connections of each layer, in the order of computation.

    Convolutions are counted by the lectures' formula W·H·K²·I·J, so positions in the padding count too. A separable
    one counts both of its steps, a transposed one the K²·J outputs of each input value. For a layer that Keras does
    not know, the nonzero entries of its Jacobian are counted at random inputs.

    Parameters
    ----------
    model
        A built Sequential or functional model with one input of fixed size.

    Raises
    ------
    ValueError
        For another model, or a layer whose connections cannot be measured or are too many to measure.
    """
    rows, seen = [], set()
    for step in _steps(model):
        units, connections = _connections(step)
        weights = biases = 0
        has_bias = False
        for variable in getattr(step.operation, "weights", []):
            is_bias = variable.name in ("bias", "beta")
            has_bias |= is_bias
            if id(variable) not in seen:
                seen.add(id(variable))
                weights += math.prod(variable.shape) * (not is_bias)
                biases += math.prod(variable.shape) * is_bias
        kind = type(step.operation).__name__
        shape = step.out_shapes[0]
        rows.append(LayerSize(step.name, kind, shape, units, weights, biases, connections, units * has_bias))
    return Sizes(rows)


def _connections(step: "_Step") -> tuple[int, int]:
    """Units of one step, and their connections to its inputs."""
    layer, kind = step.operation, step.kind
    if kind in _IN_PLACE or kind in _REARRANGING:
        return 0, 0
    units, inputs = (sum(map(math.prod, shapes)) for shapes in (step.out_shapes, step.in_shapes))
    if kind in _POOLING:
        return units, units * math.prod(layer.pool_size)
    if kind in _GLOBAL_POOLING:
        return units, inputs
    if kind in _WITH_KERNELS:
        return units, _kernel_connections(step)
    return _measured_connections(step, units, inputs)


def _kernel_connections(step: "_Step") -> int:
    """The connections of a convolution or Dense layer."""
    layer, kind = step.operation, step.kind
    units, inputs = math.prod(step.out_shapes[0]), math.prod(step.in_shapes[0])
    if kind in _TRANSPOSED:
        return inputs * math.prod(layer.kernel.shape[:-1])
    if kind.startswith("Separable"):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return units // layer.filters * kernels
    if kind.startswith("Depthwise"):
        return units * math.prod(layer.kernel_size)
    return units * math.prod(layer.kernel.shape[:-1])


def _measured_connections(step: "_Step", units: int, inputs: int) -> tuple[int, int]:
    """The same for any layer: the nonzero entries of its Jacobian."""
    if units * inputs > MOST_JACOBIAN_ENTRIES:
        raise ValueError(
            f"model: got layer {step.name!r} ({type(step.operation).__name__}) with {units:,} outputs of {inputs:,} "
            f"inputs, expected at most {MOST_JACOBIAN_ENTRIES:,} pairs to measure the connections of an unknown layer"
        )
    most, count = 0, 0
    chunk = max(1, _CHUNK_ENTRIES // max(units, inputs))
    for start in range(0, units, chunk):
        # Copy i of an input asks for output i alone, so that the gradients are rows of the Jacobian.
        wanted = np.arange(start, min(start + chunk, units))[:, None] == np.arange(units)
        for seen in _seen_inputs(step, wanted, np.random.default_rng(0)):
            each = np.count_nonzero(seen.reshape(len(wanted), -1), axis=1)
            most, count = max(most, each.max()), count + int(each.sum())
    # A layer that takes each output from one value of an input computes no new units.
    return (units, count) if most > 1 else (0, 0)


# Costs


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Build models inside ``with shapes_only():`` whose weights have shapes and no values, and take no memory.

    They can be counted by the functions of this module that do not run a model, but neither run nor trained. Afterwards
    Keras's session is cleared: layers' names count from the start, and a dtype policy that was set is forgotten.
    """
    import keras

    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.utils.clear_session(free_memory=False)  # else Keras makes up for the values at the next occasion


def multiply_adds(model) -> dict[str, int]:
    """Count the multiplications by weights, each with its addition, of each convolution and Dense layer for one image.

    They are the layer's `connections` in `layer_sizes`, by the lectures' formula W·H·K²·I·J: positions in the padding
    count too. Biases, pooling, normalisation and activations cost none, nor do layers of one's own without weights.

    Parameters
    ----------
    model
        A built Sequential or functional model with one input of fixed size.

    Returns
    -------
    dict
        By layer name, in the order of computation; each use of a layer counts.

    Raises
    ------
    ValueError
        For another model, or a layer with weights that is no convolution, Dense, normalisation or activation.
    """
    return {step.name: _kernel_connections(step) for step in _steps(model) if _has_kernel(step)}


def depth(model) -> int:
    """Count the convolutions and Dense layers on the longest path from the input to an output.

    This is the number in names such as VGG-16 and ResNet-50. A separable convolution is one layer, and a layer that
    is used twice on the path counts twice.

    Parameters
    ----------
    model
        A built Sequential or functional model with one input of fixed size.

    Raises
    ------
    ValueError
        As `multiply_adds`.
    """
    steps, outputs = _steps_and_outputs(model)
    depths = {0: 0}
    for step in steps:
        before = max((depths[key] for key in step.inputs), default=0)
        depths.update(dict.fromkeys(step.outputs, before + _has_kernel(step)))
    return max(depths[key] for key in outputs)


def _has_kernel(step: "_Step") -> bool:
    """Whether a step is a convolution or Dense layer."""
    free = step.kind in _IN_PLACE or step.kind in _REARRANGING
    if not free and step.kind not in _WITH_KERNELS and getattr(step.operation, "weights", ()):
        raise ValueError(
            f"model: got layer {step.name!r} ({type(step.operation).__name__}) with weights, whose multiplications "
            "cannot be counted, expected convolutions, Dense layers, and layers that do not multiply by weights"
        )
    return step.kind in _WITH_KERNELS


def activation_memory(model, *, training: bool) -> int:
    """Compute the bytes that the input and the layers' outputs take for one image, at 4 bytes (float32) per value.

    Each layer or operation makes a new array, ReLU and BatchNormalization too; the activation inside
    ``Conv2D(activation="relu")`` makes none beside the convolution's. Flatten, Reshape and Identity pass their input
    on, which then stays as long as what they passed on is used. So do, at test time, Dropout and other layers that
    act in training only. Weights, gradients and a layer's own working memory are not counted.

    Parameters
    ----------
    model
        A built Sequential or functional model with one input of fixed size.
    training
        True: all arrays are kept until the backward pass has used them, and their sum is returned; frozen layers
        and those called with ``training=False`` are counted like the others. False: each is freed after its last use
        in the order of computation, the model's outputs never, and the most that is there at once is returned: while
        a layer runs, its inputs, its outputs and all that later layers need.

    Raises
    ------
    ValueError
        For another model, or a `training` that is not True or False.
    """
    if not isinstance(training, (bool, np.bool_)):
        raise ValueError(f"training: got {training!r}, expected True or False")
    steps, outputs = _steps_and_outputs(model)
    # The array in which each tensor lies, by the tensor that it was made for, and the values in each array.
    arrays, sizes = {0: 0}, {0: math.prod(steps[0].image)}
    for step in steps:
        acts = training or step.node.arguments.kwargs.get("training")
        if step.kind in _PASSING_ON or (step.kind in _IN_TRAINING and not acts):
            arrays.update((new, arrays[old]) for old, new in zip(step.inputs, step.outputs, strict=True))
        elif step.inputs:
            arrays.update((key, key) for key in step.outputs)
            sizes.update((key, math.prod(shape)) for key, shape in zip(step.outputs, step.out_shapes, strict=True))
    if training:
        return BYTES_PER_VALUE * sum(sizes.values())
    last_use = {arrays[key]: index for index, step in enumerate(steps) for key in step.inputs}
    last_use.update((arrays[key], len(steps)) for key in outputs)
    alive, most = {0}, 0
    for index, step in enumerate(steps):
        alive.update(arrays[key] for key in step.outputs)
        most = max(most, sum(sizes[array] for array in alive))
        alive = {array for array in alive if last_use.get(array, -1) > index}
    return BYTES_PER_VALUE * most


# Feature maps


def feature_maps(model, images, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the output of each layer for a batch of images, in inference mode, in the order of computation.

    Parameters
    ----------
    model
        A built Sequential or functional model with one input.
    images
        A batch ``(n, h, w, c)``, as the model takes it.
    layers
        Names of the layers to keep; by default all.

    Raises
    ------
    ValueError
        For another model, a single image, images of another size, or an unknown name.
    """
    import keras

    images = _checked_images(model, images)
    steps = _steps(model, images.shape[1:])
    names = [step.name for step in steps]
    if isinstance(layers, str):
        raise ValueError(f"layers: got {layers!r}, expected a list of names")
    wanted = set(range(len(steps))) if layers is None else {_position("layers", name, names) for name in layers}
    values = {0: keras.ops.convert_to_tensor(images, dtype=model.inputs[0].dtype)}
    kept = {}
    for index, step in enumerate(steps[: max(wanted, default=-1) + 1]):
        if step.inputs:
            values.update(zip(step.outputs, step.run([values[key] for key in step.inputs]), strict=True))
        if index in wanted:
            kept[step.name] = np.asarray(values[step.outputs[0]])
    return kept


# Receptive fields


@dataclasses.dataclass(frozen=True, repr=False)
class Field:
    """The receptive field of a layer's units: how large, and where it lies for each unit.

    Attributes
    ----------
    size
        ``(height, width)`` in pixels.
    stride
        Pixels from one unit's field to the next one's, down and across; 0 when every unit sees the whole image.
    start
        ``(top, left)`` pixel of the field of unit (0, 0); negative where it reaches into the padding.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """``(top, left, height, width)`` of the field of one unit, in pixels; it may leave the image."""
        place = check_integer("row", row, 0), check_integer("column", column, 0)
        top, left = (start + stride * at for start, stride, at in zip(self.start, self.stride, place, strict=True))
        return top, left, *self.size

    def __repr__(self) -> str:
        if self.stride == (0, 0):
            return f"Field {size_text(self.size)}, the whole image"
        stride, start = (
            str(pair[0]) if pair[0] == pair[1] else f"({pair[0]}, {pair[1]})" for pair in (self.stride, self.start)
        )
        return f"Field {size_text(self.size)}, stride {stride}, start {start}".replace("-", "−")


def receptive_field(model, layer: str) -> Field:
    """Compute the receptive field of a layer's units from kernel sizes, strides, dilations and padding.

    With several paths from the input it is the smallest box around them all. Units behind Flatten, Dense or global
    pooling see the whole image. A layer of one's own changes nothing where it keeps the size of its maps and gradients
    show that each place sees only itself. The formula for a stack is that of Araujo, Norris and Sim, "Computing
    Receptive Fields of Convolutional Neural Networks", Distill (2019).

    Parameters
    ----------
    model
        A built Sequential or functional model with one image of fixed size as input.
    layer
        The layer's name.

    Raises
    ------
    ValueError
        For another model, an unknown name, or a path through a layer whose geometry is unknown.
    """
    return _field(_image_steps(model), layer)


def _field(steps: list["_Step"], layer: str) -> Field:
    target = steps[_position("layer", layer, [step.name for step in steps])]
    image = steps[0].image[:2]
    fields = {0: Field((1, 1), (1, 1), (0, 0))}
    for step in _ancestors(steps, target):
        after = _field_after(step, [fields[key] for key in step.inputs], Field(image, (0, 0), (0, 0)))
        fields.update(dict.fromkeys(step.outputs, after))
    return fields[target.outputs[0]]


def _field_after(step: "_Step", fields: list[Field], whole: Field) -> Field:
    """The field of a step's outputs, from those of its inputs."""
    layer, kind = step.operation, step.kind
    if not fields:  # the Input layer
        return Field((1, 1), (1, 1), (0, 0))
    if all(field == whole for field in fields):
        return whole
    before, after = step.in_shapes[0], step.out_shapes[0]
    has_maps = len(before) == len(after) == 3
    if kind in _GLOBAL_POOLING or kind in ("Flatten", "GroupNormalization"):
        return whole
    if kind in ("Dense", "Reshape") and not has_maps:
        return whole
    if has_maps and getattr(layer, "data_format", None) != "channels_first":
        if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
            window = tuple((k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True))
            return _slid(fields[0], window, layer.strides, _rings(layer, window, before))
        if kind in ("MaxPooling2D", "AveragePooling2D"):
            return _slid(fields[0], layer.pool_size, layer.strides, _rings(layer, layer.pool_size, before))
        if kind == "ZeroPadding2D":
            return _slid(fields[0], (1, 1), (1, 1), [sides[0] for sides in layer.padding])
        if kind == "Cropping2D":
            return _slid(fields[0], (1, 1), (1, 1), [-sides[0] for sides in layer.cropping])
        if kind == "Dense" or (kind == "Reshape" and before[:2] == after[:2]):
            return fields[0]
        if kind == "LayerNormalization":
            return fields[0] if layer.axis in (-1, 3, [-1], [3]) else whole
        if kind in _IN_PLACE:
            if whole in fields:
                return whole
            same_grid = all(shape[:2] == after[:2] for shape in step.in_shapes)
            if same_grid and len({field.stride for field in fields}) == 1:
                return _union(fields)
        if not kind and _works_place_by_place(step):
            return fields[0]
    raise ValueError(
        f"layer: got one that sees the image through {step.name!r} ({type(layer).__name__}), whose geometry is "
        "unknown, expected a path of convolutions, pooling, padding and layers that work place by place"
    )


def _works_place_by_place(step: "_Step") -> bool:
    """Whether gradients show that each place of a layer's map sees that place only."""
    if not len(step.in_shapes) == len(step.out_shapes) == 1 or step.in_shapes[0][:2] != step.out_shapes[0][:2]:
        return False
    # What a weight of zeros hides now may be seen after training.
    if not all(np.any(v) for v in getattr(step.operation, "weights", ()) if v.name not in ("bias", "beta")):
        return False
    # From a random half of the places, wanted together, no other place may be seen; on small maps, from several such
    # halves. One place in the middle would not do: it stays where it is when a map is turned round.
    rng = np.random.default_rng(0)
    height, width, channels = step.out_shapes[0]
    wanted = rng.random((math.ceil(100 / (height * width)), height, width, 1)) < 0.5
    (seen,) = _seen_inputs(step, np.repeat(wanted, channels, -1).reshape(len(wanted), -1), rng)
    return bool(seen.any() and not (seen & ~wanted).any())


def _rings(layer, window: Sequence[int], shape: tuple) -> list[int]:
    """The zeros that a layer puts above and to the left of maps of this shape."""
    if layer.padding == "valid":
        return [0, 0]
    sides = zip(window, layer.strides, shape[:2], strict=True)
    # TensorFlow's "same": as few as possible, the odd one at the end.
    return [max((math.ceil(n / s) - 1) * s + k - n, 0) // 2 for k, s, n in sides]


def _slid(field: Field, window: Sequence[int], strides: Sequence[int], before: Sequence[int]) -> Field:
    """The field of a window's outputs, as it slides over units with `field`, with `before` zeros put in front."""
    axes = list(zip(field.size, field.stride, field.start, window, strides, before, strict=True))
    return Field(
        size=tuple(size + (k - 1) * stride for size, stride, _, k, _, _ in axes),
        stride=tuple(stride * step for _, stride, _, _, step, _ in axes),
        start=tuple(start - zeros * stride for _, stride, start, _, _, zeros in axes),
    )


def _union(fields: Sequence[Field]) -> Field:
    """The smallest field around several of the same stride."""
    start = tuple(min(field.start[axis] for field in fields) for axis in (0, 1))
    end = (max(field.start[axis] + field.size[axis] for field in fields) for axis in (0, 1))
    size = tuple(b - a for a, b in zip(start, end, strict=True))
    return Field(size, fields[0].stride, start)


def measured_field(
    model, layer: str, row: int, column: int, channel: int | None = None, seed: int = 0
) -> tuple[int, int, int, int]:
    """Measure with gradients which pixels a unit can see: ``(top, left, height, width)`` of the box around them.

    The gradient is taken back through one layer at a time, at random inputs of that layer, and only whether it is
    zero is passed on: so no pixel is lost because gradients cancel, vanish over many layers, or meet a ReLU that
    happens to be off. For the same reason the nonzero parameters of a convolution or Dense layer count as equal and
    positive, and max pooling as average pooling over the same windows. Other layers run as they are.

    Inside the image the box equals ``receptive_field(model, layer).box(row, column)``. At a border, of the image or
    of what cropping left of it, it may be smaller, since strides and dilations can leave the outermost pixels out.

    Parameters
    ----------
    model
        A built Sequential or functional model with one image of fixed size as input.
    layer
        Name of a layer with maps ``(h, w, c)``.
    row, column
        Place of the unit in the map.
    channel
        The unit's channel; by default all of them together.
    seed
        Of the random inputs.

    Returns
    -------
    tuple
        Height and width are 0 when the unit sees no pixel, only padding.

    Raises
    ------
    ValueError
        For another model, an unknown name, a layer without maps, or a place or channel outside the map.
    """
    steps = _image_steps(model)
    target = _step_with_maps(steps, layer)
    height, width, channels = target.out_shapes[0]
    row, column = _inside("row", row, height), _inside("column", column, width)
    # What the unit depends on, tensor by tensor
    masks = {0: np.zeros(steps[0].image, bool)}
    for step in steps:
        masks.update((key, np.zeros(shape, bool)) for key, shape in zip(step.outputs, step.out_shapes, strict=True))
    chosen = slice(None) if channel is None else _inside("channel", channel, channels)
    masks[target.outputs[0]][row, column, chosen] = True
    rng = np.random.default_rng(check_integer("seed", seed, 0))
    for step in reversed(_ancestors(steps, target)):
        wanted = np.concatenate([masks[key].ravel() for key in step.outputs])
        for key, seen in zip(step.inputs, _seen_inputs(step, wanted[None], rng), strict=True):
            masks[key] |= seen[0]
    pixels = masks[0].any(axis=-1)
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _seen_inputs(step: "_Step", wanted: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Which values of each input the wanted outputs depend on; `wanted` is ``(batch, outputs in all)``."""
    import tensorflow as tf

    batch = len(wanted)
    found = [np.zeros((batch, *shape), bool) for shape in step.in_shapes]

    # As a graph, in which what is not asked for is not computed. In eager mode TensorFlow computes a convolution's
    # kernel gradient too, which corrupts memory on CPUs where a stride is larger than the kernel (TensorFlow 2.21).
    @tf.function(autograph=False)
    def gradients(inputs, factors):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs = [tf.cast(tf.reshape(y, (batch, -1)), tf.float32) for y in step.run_open(inputs)]
            total = tf.reduce_sum(tf.concat(outputs, 1) * factors)
        return tape.gradient(total, inputs, unconnected_gradients="zero")

    for draw in _draws(step.in_shapes, rng) if found else ():
        inputs = [tf.constant(np.broadcast_to(x, (batch, *x.shape)), tf.float32) for x in draw]
        # Random factors, lest gradients cancel: those of a softmax's outputs add up to zero.
        factors = tf.constant(wanted * rng.uniform(0.5, 1.5, wanted.shape[1]), tf.float32)
        for seen, gradient in zip(found, gradients(inputs, factors), strict=True):
            gradient = np.asarray(gradient)
            seen |= np.isfinite(gradient) & (gradient != 0)
    return found


def _draws(shapes: list[tuple], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Random inputs of which any common activation lets one through.

    Small ones do not saturate a tanh, large ones outweigh a bias, and a ReLU is on at `x` or at `-x`.
    """
    for scale in (0.1, 1, 10):
        draw = [scale * rng.normal(size=shape) for shape in shapes]
        yield draw
        yield [-x for x in draw]


# Patches


@dataclasses.dataclass(frozen=True, repr=False)
class Patches:
    """What excites a channel most: `patches` ``(count, h, w, c)``, their `values`, largest first, and the `places`
    ``(image, row, column)`` of the units that had them."""

    patches: np.ndarray
    values: np.ndarray
    places: list[tuple[int, int, int]]

    def __repr__(self) -> str:
        low, high = self.values[-1], self.values[0]
        size = size_text(self.patches.shape[1:3])
        return f"Patches: {len(self.patches)} of {size} pixels, values {high:.3g} … {low:.3g}"


def top_patches(model, layer: str, images, channel: int, count: int = 9) -> Patches:
    """Find the image patches that excite one channel of a layer most, at most one from each image.

    A patch is the receptive field of the unit with the image's largest value, 0 where it leaves the image.

    Parameters
    ----------
    model
        A built Sequential or functional model with one image as input.
    layer
        Name of a layer with maps ``(h, w, c)``.
    images
        ``(n, h, w, c)``; the patches have their dtype.
    channel
        Which map of the layer.
    count
        How many patches.

    Raises
    ------
    ValueError
        For another model, an unknown name, a layer without maps or of unknown geometry, a channel that there is not,
        or fewer images than patches.
    """
    images = _checked_images(model, images)
    steps = _image_steps(model, images.shape[1:])
    channel = _inside("channel", channel, _step_with_maps(steps, layer).out_shapes[0][-1])
    if check_integer("count", count, 1) > len(images):
        raise ValueError(f"count: got {count}, expected at most {len(images)}, the number of images")
    field = _field(steps, layer)
    values, rows, columns = [], [], []
    for start in range(0, len(images), 64):
        maps = feature_maps(model, images[start : start + 64], [layer])[layer][..., channel]
        flat = maps.reshape(len(maps), -1)
        best = flat.argmax(axis=1)
        values.extend(flat.max(axis=1))
        rows.extend(best // maps.shape[2])
        columns.extend(best % maps.shape[2])
    order = np.argsort(-np.asarray(values), kind="stable")[:count]
    places = [(int(n), int(rows[n]), int(columns[n])) for n in order]
    patches = np.stack([_cut(images[n], field.box(row, column)) for n, row, column in places])
    return Patches(patches, np.asarray(values)[order], places)


def _cut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    top, left, height, width = box
    patch = np.zeros((height, width, image.shape[2]), image.dtype)
    inside = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    y, x = max(-top, 0), max(-left, 0)
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch


# The graph: nested models unfolded into one list of steps


@dataclasses.dataclass(frozen=True)
class _Step:
    """One use of a layer or operation. Tensors are known by numbers; 0 is the model's input."""

    name: str
    node: object
    inputs: list[int]
    outputs: list[int]
    in_shapes: list[tuple]
    out_shapes: list[tuple]
    image: tuple

    @property
    def operation(self):
        return self.node.operation

    @functools.cached_property
    def kind(self) -> str:
        """The name of the Keras class whose computation this is, or "" where it is someone's own."""
        own = type(self.operation)
        base = next(c for c in own.__mro__ if c.__module__.partition(".")[0] == "keras")
        return base.__name__ if own.call is base.call else ""

    def run(self, values: list) -> list:
        """The outputs for these inputs, in inference mode."""
        import keras

        args, kwargs = _filled(self.node, values)
        if "training" in inspect.signature(self.operation.call).parameters and kwargs.get("training") is None:
            kwargs["training"] = False
        return keras.tree.flatten(self.operation(*args, **kwargs))

    def run_open(self, values: list) -> list:
        """The same with everything open that weights or maxima could close; see `measured_field`."""
        import keras

        layer, kind = self.operation, self.kind
        if kind.startswith("GlobalMax"):
            axes = tuple(range(1, len(self.in_shapes[0])))
            return [keras.ops.mean(values[0], axis=axes, keepdims=layer.keepdims)]
        if kind in _POOLING and kind.startswith("Max"):
            return [keras.ops.average_pool(values[0], layer.pool_size, layer.strides, layer.padding, layer.data_format)]
        if kind in _WITH_KERNELS:
            variables = [[_opened(v) for v in layer.trainable_variables]]
            variables.append([_opened(v) for v in layer.non_trainable_variables])
            return [layer.stateless_call(*variables, values[0])[0]]
        return self.run(values)


def _opened(variable):
    """Equal positive values where this variable is not 0, with sum 1."""
    import keras

    weights = keras.ops.cast(keras.ops.not_equal(variable, 0), variable.dtype)
    return weights / keras.ops.maximum(keras.ops.sum(weights), 1)


def _filled(node, values: list) -> tuple[list, dict]:
    """The arguments that a node was called with, with `values` for its symbolic tensors."""
    import keras

    rest = iter(values)
    return keras.tree.map_structure(
        lambda x: next(rest) if isinstance(x, keras.KerasTensor) else x,
        (list(node.arguments.args), dict(node.arguments.kwargs)),
    )


def _steps(model, shape: tuple | None = None) -> list[_Step]:
    """All steps from the input (of `shape`, when the model leaves its size open) to the outputs, nested ones too."""
    return _steps_and_outputs(model, shape)[0]


def _steps_and_outputs(model, shape: tuple | None = None) -> tuple[list[_Step], list[int]]:
    """The same, and the numbers of the model's outputs."""
    _check_model(model)
    shapes = [tuple(shape or model.inputs[0].shape[1:])]
    steps = []
    outputs = _unfold(model, "", [0], shapes, steps)
    uses = collections.Counter()
    for index, step in enumerate(steps):
        if any(None in sizes for sizes in (step.image, *step.out_shapes)):
            raise ValueError(
                f"model: got an input of shape {step.image} and an output of shape {step.out_shapes[0]} at "
                f"{step.name!r}, expected fixed sizes: give the Input a shape without None"
            )
        uses[step.name] += 1
        if uses[step.name] > 1:
            steps[index] = dataclasses.replace(step, name=f"{step.name}#{uses[step.name]}")
    return steps, outputs


def _unfold(model, prefix: str, inputs: list[int], shapes: list[tuple], steps: list[_Step]) -> list[int]:
    """Append the steps of a model whose inputs are known, and return its outputs."""
    import keras

    graph = _graph(model)
    known = {id(tensor): key for tensor, key in zip(graph.inputs, inputs, strict=True)}
    # Keras runs the deepest nodes first; its own order within a depth is that of `operations`.
    order = {id(operation): index for index, operation in enumerate(graph.operations)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in sorted(graph._nodes_by_depth[depth], key=lambda node: order[id(node.operation)]):
            operation = node.operation
            if id(node.outputs[0]) in known:
                # Keras lists the Input among a functional model's layers, not among a Sequential model's.
                if not prefix and not isinstance(model, keras.Sequential) and not node.input_tensors:
                    steps.append(_Step(operation.name, node, [], [0], [], [shapes[0]], shapes[0]))
                continue
            keys = [known[id(tensor)] for tensor in node.input_tensors]
            if _graph(operation) is not None:
                outputs = _unfold(operation, f"{prefix}{operation.name}/", keys, shapes, steps)
            else:
                in_shapes = [shapes[key] for key in keys]
                out_shapes = _output_shapes(node, in_shapes)
                outputs = list(range(len(shapes), len(shapes) + len(out_shapes)))
                shapes.extend(out_shapes)
                steps.append(_Step(prefix + operation.name, node, keys, outputs, in_shapes, out_shapes, shapes[0]))
            known.update((id(tensor), key) for tensor, key in zip(node.outputs, outputs, strict=True))
    return [known[id(tensor)] for tensor in graph.outputs]


def _output_shapes(node, in_shapes: list[tuple]) -> list[tuple]:
    """A node's output shapes without the batch: as recorded, or computed where it now gets inputs of another size."""
    import keras

    outputs = node.outputs
    if in_shapes != [tuple(tensor.shape[1:]) for tensor in node.input_tensors]:
        tensors = [
            keras.KerasTensor((None, *shape), dtype=tensor.dtype)
            for shape, tensor in zip(in_shapes, node.input_tensors, strict=True)
        ]
        args, kwargs = _filled(node, tensors)
        outputs = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
    return [tuple(tensor.shape[1:]) for tensor in outputs]


def _graph(model):
    """The graph of a Sequential or functional model, None of anything else or before it is built."""
    import keras

    if isinstance(model, keras.Sequential):
        return model._functional
    return model if isinstance(model, keras.Model) and isinstance(model, keras.Function) else None


def _ancestors(steps: list[_Step], target: _Step) -> list[_Step]:
    """The steps that a target depends on, and the target itself."""
    needed, found = set(target.outputs), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            found.append(step)
            needed.update(step.inputs)
    return found[::-1]


# Arguments


def _check_model(model) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise ValueError(f"model: got {type(model).__name__}, expected a Keras model")
    if _graph(model) is None:
        if isinstance(model, keras.Sequential):
            raise ValueError(
                "model: got a Sequential model without a known input, expected a built one "
                "(build it first: call it on a batch or give it an Input)"
            )
        raise ValueError(
            f"model: got {type(model).__name__}, a subclassed model, "
            "expected a Sequential or functional one: only these can be inspected"
        )
    if len(model.inputs) != 1:
        raise ValueError(f"model: got one with {len(model.inputs)} inputs, expected one input")


def _image_steps(model, shape: tuple | None = None) -> list[_Step]:
    steps = _steps(model, shape)
    if len(steps[0].image) != 3:
        raise ValueError(f"model: got an input of shape {steps[0].image}, expected images (height, width, channels)")
    return steps


def _checked_images(model, images) -> np.ndarray:
    """A batch of images that the model takes."""
    _check_model(model)
    expected = tuple(model.inputs[0].shape[1:])
    if np.ndim(images) == 3 and len(expected) == 3:
        raise ValueError(
            f"images: got one image of shape {np.shape(images)}, expected a batch (n, h, w, c): pass images[:1]"
        )
    images = check_array("images", images, (len(expected) + 1,))
    if any(b not in (None, a) for a, b in zip(images.shape[1:], expected, strict=True)):
        raise ValueError(f"images: got shape {images.shape}, expected (n, {', '.join(map(str, expected))})")
    return images


def _step_with_maps(steps: list[_Step], layer: str) -> _Step:
    step = steps[_position("layer", layer, [step.name for step in steps])]
    if len(step.out_shapes[0]) != 3:
        raise ValueError(f"layer: got {layer!r} with outputs of shape {step.out_shapes[0]}, expected maps (h, w, c)")
    return step


def _position(argument: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ValueError(f"{argument}: got {name!r}, expected one of {', '.join(names)}")
    return names.index(name)


def _inside(name: str, value, length: int) -> int:
    """An index of something that has this length."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < length:
        raise ValueError(f"{name}: got {value!r}, expected 0 to {length - 1}")
    return int(value)
