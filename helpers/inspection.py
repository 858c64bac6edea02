"""What a model is and does: its sizes and costs, its feature maps, and the pixels that a unit sees.

Every function takes a built Sequential or functional model with one input of fixed size, which may nest others, and
leaves it as it was; for `feature_maps` the size may be open. Another model, or a name that no layer has, raises
``ValueError``. Layers are called by their names; one inside a nested model is ``"inner/conv"``, a layer's second use
``"conv#2"``.
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
    "Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout RandomFlip RandomRotation RandomZoom "
    "RandomTranslation RandomContrast RandomBrightness".split()
)
# Layers (and operations such as `x + y`) whose output at a place depends on that place only, and makes no new units.
_IN_PLACE = _IN_TRAINING | frozenset(
    "InputLayer Identity Activation ReLU LeakyReLU PReLU ELU Softmax BatchNormalization Normalization Rescaling "
    "Add Subtract Multiply Divide TrueDivide Average Maximum Minimum Concatenate Relu Sigmoid Tanh".split()
)
# Layers whose output is the array that came in, with another shape at most.
_PASSING_ON = frozenset(("Identity", "Flatten", "Reshape"))
# Layers that compute no new units, but transform, move, repeat or rescale those that there are.
_WITHOUT_UNITS = (
    _IN_PLACE
    | _PASSING_ON
    | frozenset("Permute ZeroPadding2D Cropping2D Resizing UpSampling2D LayerNormalization GetItem".split())
)
_CONVOLUTIONS = frozenset(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"))
_WITH_KERNELS = _CONVOLUTIONS | {"Conv1D", "Conv2DTranspose", "Dense"}
_POOLING = frozenset(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3))
_GLOBAL_POOLING = frozenset(f"Global{kind}" for kind in _POOLING)
_BIASES = ("bias", "beta")  # what Keras calls them

BYTES_PER_VALUE = 4  # float32
MOST_JACOBIAN_ENTRIES = 10_000_000


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
        return _named("layer", key, self._rows) if isinstance(key, str) else self._rows[key]

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
        form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<>>>>>", widths, strict=True))
        texts = [form.format(*line) for line in lines]
        rule = "─" * len(texts[0])
        return "\n".join([texts[0], rule, *texts[1:-1], rule, texts[-1]])


def layer_sizes(model) -> Sizes:
    """Count the units, weights and connections of each layer, in the order of computation.

    Convolutions are counted by the lectures' formula W·H·K²·I·J, so positions in the padding count too. A separable
    one counts both of its steps, a transposed one the K²·J outputs of each input value. For a layer that is none of
    Keras's usual ones, the nonzero entries of its Jacobian are counted at random inputs.

    Raises
    ------
    ValueError
        For such a layer that is too large to be measured.
    """
    rows, seen = [], set()
    for step in _Graph(model).steps:
        units, connections = _connections(step)
        variables = getattr(step.operation, "weights", [])
        has_bias = any(variable.name in _BIASES for variable in variables)
        new = [variable for variable in variables if id(variable) not in seen]
        seen.update(map(id, new))
        biases = sum(math.prod(variable.shape) for variable in new if variable.name in _BIASES)
        weights = sum(math.prod(variable.shape) for variable in new) - biases
        kind = type(step.operation).__name__
        shape = step.out_shapes[0]
        rows.append(LayerSize(step.name, kind, shape, units, weights, biases, connections, units * has_bias))
    return Sizes(rows)


def _connections(step: "_Step") -> tuple[int, int]:
    """Units of one step, and their connections to its inputs."""
    if step.kind in _WITHOUT_UNITS:
        return 0, 0
    units, inputs = (sum(map(math.prod, shapes)) for shapes in (step.out_shapes, step.in_shapes))
    if step.kind in _POOLING:
        return units, units * math.prod(step.operation.pool_size)
    if step.kind in _GLOBAL_POOLING:
        return units, inputs
    if step.kind in _WITH_KERNELS:
        return units, _kernel_connections(step)
    return _measured_connections(step, units, inputs)


def _kernel_connections(step: "_Step") -> int:
    """The connections of a convolution or Dense layer, which uses its kernels once at each place."""
    shape = step.in_shapes[0] if step.kind.endswith("Transpose") else step.out_shapes[0]
    kernels = [weight.shape for weight in step.operation.weights if weight.name.endswith("kernel")]
    return math.prod(shape[:-1]) * sum(map(math.prod, kernels))


def _measured_connections(step: "_Step", units: int, inputs: int) -> tuple[int, int]:
    """Units and connections of any layer: the nonzero entries of its Jacobian."""
    if units * max(units, inputs) > MOST_JACOBIAN_ENTRIES:
        raise ValueError(
            f"model: got layer {step.name!r} ({type(step.operation).__name__}) with {units:,} outputs of {inputs:,} "
            f"inputs, expected at most {MOST_JACOBIAN_ENTRIES:,} pairs to measure the connections of an unknown layer"
        )
    # Copy i of an input asks for output i alone, so that the gradients are rows of the Jacobian.
    jacobians = _seen_inputs(step, np.eye(units, dtype=bool))
    counts = [np.count_nonzero(jacobian.reshape(units, -1), axis=1) for jacobian in jacobians]
    # A layer that takes each output from one value of an input computes no new units.
    return (units, int(np.sum(counts))) if np.max(counts) > 1 else (0, 0)


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

    They are the layer's `connections` in `layer_sizes`, by layer name, in the order of computation; each use of a
    layer counts. Biases, pooling, normalisation and activations cost none, nor do layers of one's own without weights.

    Raises
    ------
    ValueError
        For a layer with weights that is no convolution, Dense, normalisation or activation.
    """
    return {step.name: _kernel_connections(step) for step in _Graph(model).steps if _has_kernel(step)}


def depth(model) -> int:
    """Count the convolutions and Dense layers on the longest path from the input to an output.

    This is the number in names such as VGG-16 and ResNet-50. A separable convolution is one layer, and a layer that
    is used twice on the path counts twice. Raises what `multiply_adds` does.
    """
    graph = _Graph(model)
    depths = {0: 0}
    for step in graph.steps:
        before = max((depths[key] for key in step.inputs), default=0)
        depths.update(dict.fromkeys(step.outputs, before + _has_kernel(step)))
    return max(depths[key] for key in graph.outputs)


def _has_kernel(step: "_Step") -> bool:
    """Whether a step is a convolution or Dense layer."""
    if step.kind not in _WITHOUT_UNITS | _WITH_KERNELS and getattr(step.operation, "weights", ()):
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
    training
        True: all arrays are kept until the backward pass has used them, and their sum is returned; frozen layers
        and those called with ``training=False`` are counted like the others. False: each is freed after its last use
        in the order of computation, the model's outputs never, and the most that is there at once is returned: while
        a layer runs, its inputs, its outputs and all that later layers need.
    """
    if not isinstance(training, (bool, np.bool_)):
        raise ValueError(f"training: got {training!r}, expected True or False")
    graph = _Graph(model)
    # The array in which each tensor lies, called by the tensor that it was made for.
    arrays = {0: 0}
    for step in graph.steps:
        acts = training or step.node.arguments.kwargs.get("training")
        passes_on = step.kind in _PASSING_ON or (step.kind in _IN_TRAINING and not acts)
        if step.inputs:
            arrays.update((key, arrays[step.inputs[0]] if passes_on else key) for key in step.outputs)
    sizes = {array: math.prod(graph.shapes[array]) for array in arrays.values()}
    if training:
        return BYTES_PER_VALUE * sum(sizes.values())
    last_use = {arrays[key]: index for index, step in enumerate(graph.steps) for key in step.inputs}
    last_use.update((arrays[key], len(graph.steps)) for key in graph.outputs)
    alive, most = {0}, 0
    for index, step in enumerate(graph.steps):
        alive.update(arrays[key] for key in step.outputs)
        most = max(most, sum(sizes[array] for array in alive))
        alive = {array for array in alive if last_use.get(array, -1) > index}
    return BYTES_PER_VALUE * most


# Feature maps


def feature_maps(model, images, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the output of each layer for a batch of images, in inference mode, in the order of computation.

    Parameters
    ----------
    images
        A batch ``(n, h, w, c)``, as the model takes it.
    layers
        Names of the layers to keep; by default all.

    Raises
    ------
    ValueError
        For a single image or images of another size.
    """
    import keras

    images = _checked_images(model, images)
    graph = _Graph(model, images.shape[1:])
    if isinstance(layers, str):
        raise ValueError(f"layers: got {layers!r}, expected a list of names")
    wanted = graph.steps if layers is None else [_named("layers", name, graph.steps) for name in layers]
    values = {0: keras.ops.convert_to_tensor(images, dtype=model.inputs[0].dtype)}
    kept = {}
    for step in graph.steps:
        if step.inputs:
            values.update(zip(step.outputs, step.run([values[key] for key in step.inputs]), strict=True))
        if step in wanted:
            kept[step.name] = np.asarray(values[step.outputs[0]])
        if len(kept) == len(wanted):
            break
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

    Raises
    ------
    ValueError
        When the input is no image, or a path leads through a layer whose geometry is unknown.
    """
    return _field(_image_graph(model), layer)


def _field(graph: "_Graph", layer: str) -> Field:
    target = _named("layer", layer, graph.steps)
    whole = Field(graph.shapes[0][:2], (0, 0), (0, 0))
    fields = {0: Field((1, 1), (1, 1), (0, 0))}
    for step in graph.leading_to(target):
        after = _field_after(step, [fields[key] for key in step.inputs], whole)
        fields.update(dict.fromkeys(step.outputs, after))
    return fields[target.outputs[0]]


def _field_after(step: "_Step", fields: list[Field], whole: Field) -> Field:
    """The field of a step's outputs, from those of its inputs."""
    layer, kind, after = step.operation, step.kind, step.out_shapes[0]
    if whole in fields or kind in _GLOBAL_POOLING or (kind in _PASSING_ON and len(after) == 1):
        return whole
    if kind in _CONVOLUTIONS:
        window = [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        return _slid(fields[0], window, layer.strides, _rings(layer, window, step.in_shapes[0]))
    if kind in _POOLING:
        return _slid(fields[0], layer.pool_size, layer.strides, _rings(layer, layer.pool_size, step.in_shapes[0]))
    if kind == "ZeroPadding2D":
        return _slid(fields[0], (1, 1), (1, 1), [sides[0] for sides in layer.padding])
    same_grid = all(shape[:2] == after[:2] for shape in step.in_shapes)
    if kind in _IN_PLACE and same_grid and len({field.stride for field in fields}) == 1:
        return _union(fields)
    if same_grid and len(fields) == len(step.out_shapes) == 1 and _works_place_by_place(step):
        return fields[0]
    raise ValueError(
        f"layer: got one that sees the image through {step.name!r} ({type(layer).__name__}), whose geometry is "
        "unknown, expected a path of convolutions, pooling, padding and layers that work place by place"
    )


def _works_place_by_place(step: "_Step") -> bool:
    """Whether gradients show that each place of a layer's map sees that place only."""
    # What a weight of zeros hides now may be seen after training.
    if not all(np.any(v) for v in getattr(step.operation, "weights", ()) if v.name not in _BIASES):
        return False
    # From a random half of the places, wanted together, no other place may be seen; on small maps, from several such
    # halves. One place in the middle would not do: it stays where it is when a map is turned round.
    height, width, *channels = step.out_shapes[0]
    halves = np.random.default_rng(0).random((math.ceil(100 / (height * width)), height, width, 1)) < 0.5
    (seen,) = _seen_inputs(step, np.repeat(halves, math.prod(channels), axis=-1))
    return bool(seen.any() and not (seen.reshape(*halves.shape[:3], -1) & ~halves).any())


def _rings(layer, window: Sequence[int], shape: tuple) -> list[int]:
    """The zeros that a layer puts above and to the left of maps of this shape."""
    if layer.padding == "valid":
        return [0, 0]
    sides = zip(window, layer.strides, shape[:2], strict=True)
    # TensorFlow's "same": as few as possible, the odd one at the end.
    return [max((math.ceil(n / s) - 1) * s + k - n, 0) // 2 for k, s, n in sides]


def _slid(field: Field, window: Sequence[int], strides: Sequence[int], before: Sequence[int]) -> Field:
    """The field of a window's outputs, as it slides over units with `field`, with `before` zeros put in front."""
    axes = zip(field.size, field.stride, field.start, window, strides, before, strict=True)
    slid = [(size + (k - 1) * stride, stride * step, start - stride * n) for size, stride, start, k, step, n in axes]
    return Field(*zip(*slid, strict=True))


def _union(fields: Sequence[Field]) -> Field:
    """The smallest field around several of the same stride."""
    start = tuple(min(field.start[axis] for field in fields) for axis in (0, 1))
    end = (max(field.start[axis] + field.size[axis] for field in fields) for axis in (0, 1))
    size = tuple(b - a for a, b in zip(start, end, strict=True))
    return Field(size, fields[0].stride, start)


def measured_field(model, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
    """Measure with gradients which pixels the units at a place of a layer's maps can see.

    The gradient is taken back through one layer at a time, at random inputs of that layer, and only whether it is
    zero is passed on: so no pixel is lost because gradients cancel, vanish over many layers, or meet a ReLU that
    happens to be off. For the same reason the nonzero parameters of a convolution or Dense layer count as equal and
    positive, and max pooling as average pooling over the same windows. Other layers run as they are.

    Inside the image the box equals ``receptive_field(model, layer).box(row, column)``. At a border it may be smaller,
    since strides and dilations can leave the outermost pixels out.

    Returns
    -------
    tuple
        ``(top, left, height, width)`` of the box around the pixels; height and width are 0 when the units see only
        padding.

    Raises
    ------
    ValueError
        When the input is no image, the layer has no maps ``(h, w, c)``, or the place is outside them.
    """
    graph = _image_graph(model)
    target = _step_with_maps(graph, layer)
    height, width, _ = target.out_shapes[0]
    # What the units depend on, tensor by tensor
    masks = [np.zeros(shape, bool) for shape in graph.shapes]
    masks[target.outputs[0]][_inside("row", row, height), _inside("column", column, width)] = True
    for step in reversed(graph.leading_to(target)):
        wanted = np.concatenate([masks[key].ravel() for key in step.outputs])
        for key, seen in zip(step.inputs, _seen_inputs(step, wanted[None]), strict=True):
            masks[key] |= seen[0]
    pixels = masks[0].any(axis=-1)
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _seen_inputs(step: "_Step", wanted: np.ndarray) -> list[np.ndarray]:
    """Which values of each input, ``(batch, ...)``, the wanted outputs, ``(batch, ...)``, depend on."""
    import tensorflow as tf

    batch, rng = len(wanted), np.random.default_rng(0)
    # Random factors, lest gradients cancel: those of a softmax's outputs add up to zero.
    factors = wanted.reshape(batch, -1)
    factors = tf.constant(factors * rng.uniform(0.5, 1.5, factors.shape[1]), tf.float32)

    # As a graph, in which what is not asked for is not computed. In eager mode TensorFlow computes a convolution's
    # kernel gradient too, which corrupts memory on CPUs where a stride is larger than the kernel (TensorFlow 2.21).
    @tf.function(autograph=False)
    def gradients(inputs):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs = [tf.cast(tf.reshape(y, (batch, -1)), tf.float32) for y in step.run_open(inputs)]
            total = tf.reduce_sum(tf.concat(outputs, 1) * factors)
        return tape.gradient(total, inputs, unconnected_gradients="zero")

    found = [np.zeros((batch, *shape), bool) for shape in step.in_shapes]
    # Small inputs do not saturate a tanh, large ones outweigh a bias, and a ReLU is on at `x` or at `-x`.
    for scale in (0.1, 1, 10):
        draw = [scale * rng.normal(size=shape) for shape in step.in_shapes]
        for sign in (1, -1):
            inputs = [tf.constant(np.broadcast_to(sign * x, (batch, *x.shape)), tf.float32) for x in draw]
            for seen, gradient in zip(found, map(np.asarray, gradients(inputs)), strict=True):
                seen |= np.isfinite(gradient) & (gradient != 0)
    return found


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

    A patch is the receptive field of the unit with the image's largest value, 0 where it leaves the image. It has the
    dtype of the images, ``(n, h, w, c)``.

    Raises
    ------
    ValueError
        As `feature_maps` and `receptive_field`; for a layer without maps ``(h, w, c)``, a channel that it does not
        have, or fewer images than patches.
    """
    images = _checked_images(model, images)
    graph = _image_graph(model, images.shape[1:])
    channel = _inside("channel", channel, _step_with_maps(graph, layer).out_shapes[0][-1])
    if check_integer("count", count, 1) > len(images):
        raise ValueError(f"count: got {count}, expected at most {len(images)}, the number of images")
    field = _field(graph, layer)
    batches = (images[start : start + 64] for start in range(0, len(images), 64))
    maps = np.concatenate([feature_maps(model, batch, [layer])[layer][..., channel] for batch in batches])
    values = maps.max(axis=(1, 2))
    best = np.argsort(-values, kind="stable")[:count]
    rows, columns = np.unravel_index(maps[best].reshape(count, -1).argmax(axis=1), maps.shape[1:])
    places = list(zip(best.tolist(), rows.tolist(), columns.tolist(), strict=True))
    patches = np.stack([_cut(images[n], field.box(row, column)) for n, row, column in places])
    return Patches(patches, values[best], places)


def _cut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    top, left, height, width = box
    patch = np.zeros((height, width, image.shape[2]), image.dtype)
    inside = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    y, x = max(-top, 0), max(-left, 0)
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch


# The graph: nested models unfolded into one list of steps


@dataclasses.dataclass(frozen=True, eq=False)
class _Step:
    """One use of a layer or operation. Tensors are known by their places in the shapes of the graph."""

    name: str
    node: object
    inputs: list[int]
    outputs: list[int]
    in_shapes: list[tuple]
    out_shapes: list[tuple]

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
        if kind in _POOLING | _GLOBAL_POOLING and "Max" in kind:
            average = getattr(keras.layers, kind.replace("Max", "Average"))
            return [average.from_config(layer.get_config())(values[0])]
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


class _Graph:
    """What a model computes: `steps` in their order, the `shapes` of all tensors, and which of them are `outputs`.

    Shapes are without the batch. The first is that of the input: `shape`, when the model leaves its size open.
    """

    def __init__(self, model, shape: tuple | None = None):
        _check_model(model)
        self.shapes = [tuple(shape or model.inputs[0].shape[1:])]
        self.steps: list[_Step] = []
        self._uses = collections.Counter()
        self.outputs = self._unfold(model, "", [0])

    def _unfold(self, model, prefix: str, inputs: list[int]) -> list[int]:
        """Append the steps of a model whose inputs are known, and return its outputs."""
        import keras

        graph = _functional(model)
        known = {id(tensor): key for tensor, key in zip(graph.inputs, inputs, strict=True)}
        # Keras runs the deepest nodes first; its own order within a depth is that of `operations`.
        order = {id(operation): index for index, operation in enumerate(graph.operations)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in sorted(graph._nodes_by_depth[depth], key=lambda node: order[id(node.operation)]):
                name = prefix + node.operation.name
                if not node.input_tensors:
                    # Keras lists the Input among a functional model's layers, not among a Sequential model's.
                    if not prefix and not isinstance(model, keras.Sequential):
                        self.steps.append(_Step(name, node, [], [0], [], self.shapes[:1]))
                    continue
                keys = [known[id(tensor)] for tensor in node.input_tensors]
                nested = _functional(node.operation) is not None
                outputs = self._unfold(node.operation, f"{name}/", keys) if nested else self._append(name, node, keys)
                known.update((id(tensor), key) for tensor, key in zip(node.outputs, outputs, strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def _append(self, name: str, node, inputs: list[int]) -> list[int]:
        """Append one step, and return its outputs."""
        in_shapes = [self.shapes[key] for key in inputs]
        out_shapes = _output_shapes(node, in_shapes)
        if any(None in shape for shape in (self.shapes[0], *out_shapes)):
            raise ValueError(
                f"model: got an input of shape {self.shapes[0]} and an output of shape {out_shapes[0]} at "
                f"{name!r}, expected fixed sizes: give the Input a shape without None"
            )
        outputs = list(range(len(self.shapes), len(self.shapes) + len(out_shapes)))
        self.shapes.extend(out_shapes)
        self._uses[name] += 1
        unique = f"{name}#{self._uses[name]}" if self._uses[name] > 1 else name
        self.steps.append(_Step(unique, node, inputs, outputs, in_shapes, out_shapes))
        return outputs

    def leading_to(self, target: _Step) -> list[_Step]:
        """The steps from the input to a target, which is the last of them."""
        needed, found = set(target.outputs), []
        for step in reversed(self.steps):
            if step.inputs and needed.intersection(step.outputs):
                found.append(step)
                needed.update(step.inputs)
        return found[::-1]


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


def _functional(model):
    """The graph of a Sequential or functional model, None of anything else or before it is built."""
    import keras

    if isinstance(model, keras.Sequential):
        return model._functional
    return model if isinstance(model, keras.Model) and isinstance(model, keras.Function) else None


# Arguments


def _check_model(model) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise ValueError(f"model: got {type(model).__name__}, expected a Keras model")
    if _functional(model) is None:
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


def _image_graph(model, shape: tuple | None = None) -> _Graph:
    graph = _Graph(model, shape)
    if len(graph.shapes[0]) != 3:
        raise ValueError(f"model: got an input of shape {graph.shapes[0]}, expected images (height, width, channels)")
    return graph


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


def _named(argument: str, name: str, rows: "Sequence[_Step | LayerSize]"):
    """The one with this name."""
    found = {row.name: row for row in rows}
    if name not in found:
        raise ValueError(f"{argument}: got {name!r}, expected one of {', '.join(found)}")
    return found[name]


def _step_with_maps(graph: _Graph, layer: str) -> _Step:
    step = _named("layer", layer, graph.steps)
    if len(step.out_shapes[0]) != 3:
        raise ValueError(f"layer: got {layer!r} with outputs of shape {step.out_shapes[0]}, expected maps (h, w, c)")
    return step


def _inside(name: str, value, length: int) -> int:
    """An index of something that has this length."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < length:
        raise ValueError(f"{name}: got {value!r}, expected 0 to {length - 1}")
    return int(value)
