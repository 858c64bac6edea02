"""The sizes of published networks to the last connection; fields, maps and patches against straightforward ways."""

import itertools
import math
import pickle
import random
import re
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import notebook_rules as rules
from helpers import inspection, quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

layers = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.clear_session(free_memory=False)  # names count from the start
    keras.utils.set_random_seed(0)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stack(shape: tuple, *parts) -> keras.Sequential:
    return keras.Sequential([keras.Input(shape), *parts])


class SparseMaps(keras.layers.Layer):
    """LeNet-5's C3: each of 16 maps sees only some of the 6 maps before it."""

    SOURCES = (
        *((n, (n + 1) % 6, (n + 2) % 6) for n in range(6)),
        *((n, (n + 1) % 6, (n + 2) % 6, (n + 3) % 6) for n in range(6)),
        *((n, (n + 1) % 6, (n + 3) % 6, (n + 4) % 6) for n in range(3)),
        tuple(range(6)),
    )

    def build(self, shape):
        self.kernel = self.add_weight(shape=(5, 5, 60), name="kernel")
        self.bias = self.add_weight(shape=(16,), name="bias", initializer="zeros")
        pairs = [(source, target) for target, sources in enumerate(self.SOURCES) for source in sources]
        self.spread = np.zeros((60, 6 * 16), np.float32)
        self.spread[np.arange(60), [source * 16 + target for source, target in pairs]] = 1

    def call(self, x):
        kernel = keras.ops.reshape(keras.ops.matmul(self.kernel, self.spread), (5, 5, 6, 16))
        return keras.ops.tanh(keras.ops.conv(x, kernel, padding="valid") + self.bias)


class Subsampling(keras.layers.Layer):
    """LeNet-5's S2 and S4: the sum of 2×2 values, times a coefficient, plus a bias; one of each for a map."""

    def build(self, shape):
        self.coefficient = self.add_weight(shape=(shape[-1],), name="coefficient")
        self.bias = self.add_weight(shape=(shape[-1],), name="bias", initializer="zeros")

    def call(self, x):
        return keras.ops.tanh(4 * keras.ops.average_pool(x, 2) * self.coefficient + self.bias)


class Shift(keras.layers.Layer):
    """Elementwise, with weights, and of someone's own."""

    def build(self, shape):
        self.beta = self.add_weight(shape=(shape[-1],), name="beta")

    def call(self, x):
        return x + self.beta


class Plain(keras.layers.Conv2D):
    """Only a name for a convolution."""


class Masked(keras.layers.Conv2D):
    """A convolution that computes something else: only the middle of its 3×3 kernel."""

    def call(self, x):
        return keras.ops.conv(x, self.kernel[1:2, 1:2], padding="valid")


class Everywhere(keras.layers.Layer):
    """Each unit sees all inputs, through a ReLU that a bias keeps off at most inputs."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(math.prod(shape[1:]), 5), name="kernel", initializer="random_normal")

    def call(self, x):
        return keras.ops.relu(keras.ops.matmul(keras.ops.reshape(x, (-1, self.kernel.shape[0])), self.kernel) - 0.2)


class LocalResponseNorm(keras.layers.Layer):
    """AlexNet's: divides by a power of the sum of squares over five neighbouring channels."""

    def call(self, x):
        squares = keras.ops.pad(keras.ops.square(x), ((0, 0), (0, 0), (0, 0), (2, 2)))
        return x / (2 + 1e-4 * sum(squares[..., i : i + x.shape[-1]] for i in range(5))) ** 0.75


class Own(keras.layers.Layer):
    """Someone's own layer that computes a function."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


class ZeroAtFirst(keras.layers.Layer):
    """Adds what a kernel sees, which is zero before training."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], shape[-1]), name="kernel", initializer="zeros")

    def call(self, x):
        return x + keras.ops.conv(x, self.kernel, padding="same")


class Subclassed(keras.Model):
    def call(self, x):
        return x


def nested_model() -> keras.Model:
    """Nested, residual, with shared layers and with operations that are no layers."""
    inputs = keras.Input((12, 12, 2), name="image")
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", bias_initializer="random_normal", name="shared")
    x = shared(shared(inputs))
    inner = keras.Sequential(
        [
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm", beta_initializer="random_normal"),
            layers.MaxPooling2D(name="pool"),
        ],
        name="inner",
    )
    x = inner(x)
    skip = layers.Conv2D(4, 1, use_bias=False, name="skip")(x)
    x = keras.ops.relu(layers.Conv2D(4, 3, padding="same", name="deep")(x) + skip)
    x = layers.Concatenate(name="both")([x, skip])
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))


def lenet() -> keras.Sequential:
    """The LeNet of the CSC413 lecture, biases left out of its table."""
    return stack(
        (32, 32, 1),
        layers.Conv2D(6, 5, activation="tanh", name="C1"),
        layers.AveragePooling2D(2, name="S2"),
        layers.Conv2D(16, 5, activation="tanh", name="C3"),
        layers.AveragePooling2D(2, name="S4"),
        layers.Flatten(name="flat"),
        layers.Dense(120, name="F5"),
        layers.Dense(84, name="F6"),
        layers.Dense(10, name="output"),
    )


# Sizes


def test_lenet_has_the_sizes_of_the_lecture():
    sizes = inspection.layer_sizes(lenet())
    assert {row.name: (row.units, row.connections, row.weights) for row in sizes} == {
        "C1": (4_704, 117_600, 150),
        "S2": (1_176, 4_704, 0),
        "C3": (1_600, 240_000, 2_400),
        "S4": (400, 1_600, 0),
        "flat": (0, 0, 0),
        "F5": (120, 48_000, 48_000),
        "F6": (84, 10_080, 10_080),
        "output": (10, 840, 840),
    }
    assert [row.biases for row in sizes] == [6, 0, 16, 0, 0, 120, 84, 10]


def test_sizes_are_found_by_name_and_position_and_show_as_a_table():
    sizes = inspection.layer_sizes(lenet())
    assert len(sizes) == 8
    assert sizes["C3"] is sizes[2]
    assert sizes[-1].name == "output"
    assert (sizes["C3"].kind, sizes["C3"].shape, sizes["F6"].shape) == ("Conv2D", (10, 10, 16), (84,))
    assert sizes["C3"].parameters == 2_416
    assert sizes["C3"].connections_with_biases == 241_600
    assert sizes["S2"].connections_with_biases == 4_704
    assert sizes.total.name == "total"
    assert sizes.total.parameters == 61_706
    assert sizes.total.connections_with_biases == 422_824 + 4_704 + 1_600 + 120 + 84 + 10
    assert repr(sizes).split("\n") == [
        "layer   kind                output  units  connections  weights  biases",
        "───────────────────────────────────────────────────────────────────────",
        "C1      Conv2D             28×28×6  4,704      117,600      150       6",
        "S2      AveragePooling2D   14×14×6  1,176        4,704        0       0",
        "C3      Conv2D            10×10×16  1,600      240,000    2,400      16",
        "S4      AveragePooling2D    5×5×16    400        1,600        0       0",
        "flat    Flatten                400      0            0        0       0",
        "F5      Dense                  120    120       48,000   48,000     120",
        "F6      Dense                   84     84       10,080   10,080      84",
        "output  Dense                   10     10          840      840      10",
        "───────────────────────────────────────────────────────────────────────",
        "total                               8,094      422,824   61,470     236",
    ]


def test_the_published_lenet_5_has_340_908_connections():
    model = stack(
        (32, 32, 1),
        layers.Conv2D(6, 5, activation="tanh", name="C1"),
        Subsampling(name="S2"),
        SparseMaps(name="C3"),
        Subsampling(name="S4"),
        layers.Conv2D(120, 5, activation="tanh", name="C5"),
        layers.Flatten(),
        layers.Dense(84, activation="tanh", name="F6"),
        layers.Dense(10, use_bias=False, name="output"),
    )
    sizes = inspection.layer_sizes(model)
    assert {row.name: row.connections_with_biases for row in sizes if row.units} == {
        "C1": 122_304,
        "S2": 5_880,
        "C3": 151_600,
        "S4": 2_000,
        "C5": 48_120,
        "F6": 10_164,
        "output": 840,
    }
    assert sizes.total.connections_with_biases == 340_908
    assert {name: sizes[name].parameters for name in ("C1", "S2", "C3", "S4", "C5", "F6")} == {
        "C1": 156,
        "S2": 12,
        "C3": 1_516,
        "S4": 32,
        "C5": 48_120,
        "F6": 10_164,
    }
    assert (sizes["S2"].units, sizes["C3"].units, sizes["S4"].units) == (1_176, 1_600, 400)


def test_alexnet_has_724_million_connections():
    keras.config.set_floatx("float16")  # half the memory for the 61 million weights
    try:
        model = stack(
            (227, 227, 3),
            layers.Conv2D(96, 11, strides=4, kernel_initializer="zeros"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(256, 5, padding="same", groups=2, kernel_initializer="zeros"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(384, 3, padding="same", kernel_initializer="zeros"),
            layers.Conv2D(384, 3, padding="same", groups=2, kernel_initializer="zeros"),
            layers.Conv2D(256, 3, padding="same", groups=2, kernel_initializer="zeros"),
            layers.MaxPooling2D(3, 2),
            layers.Flatten(),
            *(layers.Dense(units, kernel_initializer="zeros") for units in (4096, 4096, 1000)),
        )
    finally:
        keras.config.set_floatx("float32")
    sizes = inspection.layer_sizes(model)
    assert sum(row.connections for row in sizes if row.kind in ("Conv2D", "Dense")) == 724_406_816
    assert sizes.total.parameters == 60_965_224


def test_nested_shared_and_residual_models_are_counted_to_the_last_parameter():
    model = nested_model()
    sizes = inspection.layer_sizes(model)
    assert [row.name for row in sizes] == [
        "image", "shared", "shared#2", "inner/conv", "inner/norm", "inner/pool",
        *(row.name for row in sizes[6:9]), "relu", "both", "dropout", "mean", "classes",
    ]  # fmt: skip
    assert {row.name for row in sizes[6:9]} == {"skip", "deep", "add"}
    assert sizes.total.parameters == model.count_params()
    first, second = sizes["shared"], sizes["shared#2"]
    assert (first.weights, first.biases, second.weights, second.biases) == (36, 2, 0, 0)
    assert first.units == second.units == 288
    assert first.connections_with_biases == second.connections_with_biases == 288 * 19
    assert (sizes["inner/norm"].weights, sizes["inner/norm"].biases) == (12, 4)
    assert {row.name for row in sizes if not row.units} == {
        "image", "inner/norm", "add", "relu", "both", "dropout",
    }  # fmt: skip
    assert all(row.connections_with_biases == 0 for row in sizes if not row.units)
    assert (sizes["mean"].units, sizes["mean"].connections) == (8, 8 * 25)


def test_branches_come_in_the_order_of_keras():
    inputs = keras.Input((6, 6, 1))
    branches = [layers.Conv2D(1, 3, name=f"branch{n}")(inputs) for n in range(5)]
    model = keras.Model(inputs, layers.Concatenate()(branches))
    names = [layer.name for layer in model.layers]
    assert [row.name for row in inspection.layer_sizes(model)] == names
    assert list(inspection.feature_maps(model, normal(1, 6, 6, 1))) == names


def test_a_model_used_twice_is_counted_twice_but_for_its_parameters():
    inner = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3, name="conv")], name="inner")
    inputs = keras.Input((9, 8, 1))
    model = keras.Model(inputs, inner(inner(inputs)))
    sizes = inspection.layer_sizes(model)
    assert [(row.name, row.shape, row.parameters) for row in sizes[1:]] == [
        ("inner/conv", (7, 6, 1), 10),
        ("inner/conv#2", (5, 4, 1), 0),
    ]


class Relabelled(keras.layers.Layer):
    """Hides a layer from `layer_sizes`, which then has to measure it."""

    def __init__(self, layer):
        super().__init__(name="hidden")
        self.layer = layer

    def build(self, shape):
        self.layer.build(shape)

    def call(self, x):
        return self.layer(x)


LAYERS = {
    "convolution": ((6, 7, 3), lambda: layers.Conv2D(2, (2, 3))),
    "strided": ((9, 8, 2), lambda: layers.Conv2D(3, 3, strides=2)),
    "dilated": ((9, 8, 2), lambda: layers.Conv2D(3, 3, dilation_rate=2)),
    "grouped": ((5, 5, 4), lambda: layers.Conv2D(6, 3, groups=2)),
    "depthwise": ((5, 6, 3), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "one-dimensional": ((9, 3), lambda: layers.Conv1D(4, 3)),
    "transposed": ((3, 4, 2), lambda: layers.Conv2DTranspose(3, 2, strides=2)),
    "dense": ((7,), lambda: layers.Dense(4, activation="relu")),
    "dense on maps": ((3, 4, 5), lambda: layers.Dense(2)),
    "mean pooling": ((7, 6, 2), lambda: layers.AveragePooling2D((2, 3), 2)),
    "global pooling": ((4, 3, 5), lambda: layers.GlobalAveragePooling2D()),
}


@pytest.mark.parametrize("shape, make", LAYERS.values(), ids=LAYERS)
def test_connections_are_the_nonzero_entries_of_the_jacobian(shape, make):
    layer = make()
    (row,) = inspection.layer_sizes(stack(shape, layer))
    x = tf.constant(normal(1, *shape))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x) if not getattr(layer, "activation", None) else layer(x) + sum_of(layer, x)
    entries = np.count_nonzero(tape.jacobian(y, x))
    assert (row.connections, row.units) == (entries, math.prod(y.shape[1:]))
    (measured,) = inspection.layer_sizes(stack(shape, Relabelled(make())))
    assert (measured.connections, measured.units) == (entries, row.units)
    assert measured.connections_with_biases == row.connections_with_biases


def sum_of(layer, x):
    """What a layer computes before its ReLU, so that none of its connections is off."""
    return tf.matmul(x, layer.kernel) if layer.activation is keras.activations.relu else 0


def test_a_separable_convolution_has_the_connections_of_both_its_steps():
    inputs = (8, 8, 3)
    (row,) = inspection.layer_sizes(stack(inputs, layers.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False)))
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    parts = inspection.layer_sizes(stack(inputs, depthwise, layers.Conv2D(5, 1, use_bias=False)))
    assert (row.connections, row.weights) == (parts.total.connections, parts.total.weights)
    assert row.units == 6 * 6 * 5


def test_layers_that_only_move_or_transform_values_have_no_units():
    model = stack(
        (6, 6, 2),
        layers.Rescaling(2),
        layers.ZeroPadding2D(),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.UpSampling2D(),
        layers.Cropping2D(),
        Shift(),
        layers.Lambda(lambda x: x[:, ::-1]),
        layers.Permute((3, 1, 2)),
        layers.Reshape((4, -1)),
        layers.Dropout(0.1),
        layers.Activation("tanh"),
    )
    sizes = inspection.layer_sizes(model)
    assert [(row.units, row.connections_with_biases) for row in sizes] == [(0, 0)] * 12
    assert sizes["shift"].biases == 2


def test_a_renamed_convolution_is_one_and_large_ones_are_not_computed():
    model = stack((500, 500, 3), Plain(64, 3), layers.MaxPooling2D())
    sizes = inspection.layer_sizes(model)
    assert (sizes[0].kind, sizes[0].connections) == ("Plain", 498 * 498 * 64 * 27)


def test_a_convolution_with_a_call_of_its_own_is_measured():
    (row,) = inspection.layer_sizes(stack((5, 5, 3), Masked(4, 3, padding="same", use_bias=False)))
    assert (row.kind, row.units, row.connections, row.weights) == ("Masked", 100, 300, 108)


def test_frozen_parameters_count_too():
    model = nested_model()
    whole = inspection.layer_sizes(model).total
    model.trainable = False
    assert inspection.layer_sizes(model).total == whole


def test_units_that_are_mostly_off_are_measured_too():
    (row,) = inspection.layer_sizes(stack((3, 3, 2), Everywhere()))
    assert (row.units, row.connections) == (5, 90)


def test_an_unknown_layer_that_is_too_large_to_measure_is_named(monkeypatch):
    model = stack((12, 12, 1), Subsampling(name="sub"))
    monkeypatch.setattr(inspection, "MOST_JACOBIAN_ENTRIES", 36 * 144)
    assert inspection.layer_sizes(model)["sub"].connections == 144
    monkeypatch.setattr(inspection, "MOST_JACOBIAN_ENTRIES", 36 * 144 - 1)
    message = "model: got layer 'sub' (Subsampling) with 36 outputs of 144 inputs, expected at most 5,183 pairs"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        inspection.layer_sizes(model)


# Costs


@pytest.fixture
def zeros_for_weights(monkeypatch):
    """Random weights of networks of their full size take seconds."""
    zeros = lambda self, shape, dtype=None, **_: tf.zeros(shape, dtype)  # noqa: E731
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", zeros)


def layer_by_layer(model) -> int:
    """The multiply-adds of the convolutions and Dense layers of a model without nesting, from its layers' settings."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            _, height, width, _ = layer.output.shape
            count += height * width * layer.filters * math.prod(layer.kernel_size) * layer.input.shape[-1]
        elif isinstance(layer, layers.Dense):
            count += layer.input.shape[-1] * layer.units
    return count


@pytest.mark.parametrize(
    "name, count, depth",
    [
        ("VGG16", 15_470_264_320, 16),
        ("VGG19", 19_632_062_464, 19),
        ("ResNet50", 3_857_973_248, 50),
        ("DenseNet121", 2_834_161_664, 121),
    ],
)
def test_published_networks_cost_what_is_known(name, count, depth, zeros_for_weights):
    model = getattr(keras.applications, name)(weights=None)
    assert sum(inspection.multiply_adds(model).values()) == layer_by_layer(model) == count
    assert inspection.depth(model) == depth


def profiled(model) -> float:
    """The multiply-adds that TensorFlow counts in the model's graph."""
    image = tf.TensorSpec((1, *model.input_shape[1:]))
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(image).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output()
    return profiler.profile(graph, options=options.build()).total_float_ops / 2


@pytest.mark.parametrize(
    "shape, kind, settings",
    [
        ((9, 8, 6), "Conv2D", {"filters": 4, "kernel_size": (2, 3), "padding": "same"}),
        ((9, 8, 6), "Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2}),
        ((9, 8, 6), "DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}),
        ((9, 8, 6), "SeparableConv2D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2, "strides": 2}),
        ((9, 8, 6), "Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
        ((9, 6), "Conv1D", {"filters": 4, "kernel_size": 3}),
        ((9, 8, 6), "Dense", {"units": 4}),
    ],
)
def test_multiply_adds_are_those_of_tensorflow_s_profiler(shape, kind, settings):
    model = stack(shape, getattr(layers, kind)(**settings, use_bias=False, name="counted"))
    assert inspection.multiply_adds(model) == {"counted": profiled(model)}


def test_multiply_adds_that_the_profiler_does_not_see_by_hand():
    grouped = stack((9, 8, 6), layers.Conv2D(4, 3, groups=2, name="grouped"))
    assert inspection.multiply_adds(grouped) == {"grouped": (7 * 6 * 4) * (3 * 3 * 3)}
    dilated = stack((9, 8, 6), layers.Conv2D(4, 3, dilation_rate=2, name="dilated"))
    assert inspection.multiply_adds(dilated) == {"dilated": (5 * 4 * 4) * (3 * 3 * 6)}


def test_nested_and_shared_layers_cost_each_time_and_in_the_order_of_computation():
    costs = inspection.multiply_adds(nested_model())
    assert list(costs)[:3] == ["shared", "shared#2", "inner/conv"]
    assert list(costs)[-1] == "classes"
    assert costs == {
        "shared": 288 * 18,
        "shared#2": 288 * 18,
        "inner/conv": 400 * 18,
        "skip": 100 * 4,
        "deep": 100 * 36,
        "classes": 3 * 8,
    }
    assert inspection.depth(nested_model()) == 5


def test_costs_are_known_without_running_the_model():
    model = stack((100_000, 100_000, 1), layers.Conv2D(8, 3, padding="same", name="huge"), LocalResponseNorm())
    assert inspection.multiply_adds(model) == {"huge": 72 * 10**10}
    assert inspection.depth(model) == 1
    assert inspection.activation_memory(model, training=True) == 4 * 17 * 10**10
    assert inspection.activation_memory(model, training=False) == 4 * 16 * 10**10


def test_alexnet_has_8_layers_and_googlenet_22():
    normalised = [LocalResponseNorm(), layers.MaxPooling2D(3, 2)]
    alexnet = stack(
        (67, 67, 3),
        *(layers.Conv2D(2, 11, strides=4), *normalised, layers.Conv2D(2, 5, padding="same"), LocalResponseNorm()),
        *(layers.Conv2D(2, 3, padding="same", activation="relu") for _ in range(3)),
        *(layers.MaxPooling2D(3, 2), layers.Flatten(), layers.Dense(2), layers.Dropout(0.5), layers.Dense(2)),
        layers.Dense(3),
    )
    assert inspection.depth(alexnet) == 8
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for size in (7, 1, 3):
        x = layers.Conv2D(2, size, padding="same")(x)
    for _ in range(9):
        branches = [layers.MaxPooling2D(3, 1, padding="same")(x), x, x, x]
        branches[1:3] = [layers.Conv2D(1, 1)(branch) for branch in branches[1:3]]
        sizes = (1, 3, 5, 1)
        x = layers.Concatenate()(
            [layers.Conv2D(1, k, padding="same")(branch) for k, branch in zip(sizes, branches, strict=True)]
        )
    side = layers.Dense(3)(layers.GlobalAveragePooling2D()(branches[0]))
    googlenet = keras.Model(inputs, [layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), side])
    assert inspection.depth(googlenet) == 22


def chain() -> keras.Model:
    first = layers.Conv2D(3, 3, padding="same", activation="relu")
    return stack(
        (4, 4, 2), first, layers.BatchNormalization(), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(5)
    )


def skip_connection() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    a = layers.Conv2D(2, 1)(inputs)
    return keras.Model(inputs, layers.Add()([a, layers.Conv2D(2, 1)(layers.Conv2D(8, 1)(a))]))


def flattened_and_kept() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    flat = layers.Flatten()(inputs)
    return keras.Model(inputs, layers.Add()([flat, layers.Dense(32)(layers.Dense(50)(flat))]))


def passed_on() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    x = layers.Identity()(layers.Reshape((8, 4))(layers.Flatten()(inputs)))
    return keras.Model(inputs, keras.ops.reshape(x, (-1, 32)))


def two_branches() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    pooled = layers.MaxPooling2D()(layers.Conv2D(8, 1)(inputs))
    return keras.Model(inputs, layers.Concatenate()([pooled, layers.Conv2D(8, 2, strides=2)(inputs)]))


def early_output() -> keras.Model:
    inputs = keras.Input((10,))
    early = layers.Dense(100)(inputs)
    return keras.Model(inputs, [early, layers.Dense(80)(layers.Dense(1)(early))])


def dropout(**options) -> keras.Model:
    inputs = keras.Input((10,))
    x = layers.Dropout(0.5)(layers.Dense(20)(inputs), **options)
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    "make, training, test",
    [
        (lambda: stack((10,), layers.Dense(3)), 10 + 3, 10 + 3),
        (chain, 32 + 48 + 48 + 12 + 5, 48 + 48),
        (skip_connection, 32 + 32 + 128 + 32 + 32, 32 + 128 + 32),
        (flattened_and_kept, 32 + 50 + 32 + 32, 32 + 50 + 32),
        (passed_on, 32, 32),
        (two_branches, 32 + 128 + 32 + 32 + 64, 32 + 128 + 32),
        (early_output, 10 + 100 + 1 + 80, 100 + 1 + 80),
        (dropout, 10 + 20 + 20 + 3, 10 + 20),
        (lambda: dropout(training=True), 10 + 20 + 20 + 3, 20 + 20),
    ],
)
def test_activation_memory_by_hand(make, training, test):
    assert inspection.activation_memory(make(), training=True) == 4 * training
    assert inspection.activation_memory(make(), training=False) == 4 * test


def test_activation_memory_of_a_nested_model_is_that_of_its_maps():
    maps = inspection.feature_maps(nested_model(), np.zeros((1, 12, 12, 2)))
    assert inspection.activation_memory(nested_model(), training=True) == sum(values.nbytes for values in maps.values())
    # Largest while the batch normalisation inside runs: two arrays of 10×10×4.
    assert inspection.activation_memory(nested_model(), training=False) == 4 * 800


# (kind, units of a Dense layer, which of the values before); those of other kinds are ignored
GRAPHS = st.lists(
    st.tuples(
        st.sampled_from(["dense", "relu", "dropout", "flatten", "concatenate"]),
        st.integers(1, 30),
        st.integers(0, 20),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=9,
)


def simulated(graph: dict, order: list[str], outputs: set, training: bool) -> int:
    """Hold the arrays by name, drop the names that nothing needs any more, and add up what is left."""
    held, largest, made = {"input": [7]}, 7, 7
    for position, name in enumerate(order):
        kind, size, sources = graph[name]
        if kind == "flatten" or (kind == "dropout" and not training):
            held[name] = held[sources[0]]
        else:
            held[name] = [size]
            made += size
        largest = max(largest, sum({id(array): array[0] for array in held.values()}.values()))
        needed = outputs.union(*(graph[later][2] for later in order[position + 1 :]))
        held = {key: array for key, array in held.items() if key in needed}
    return made if training else largest


@hypothesis.settings(max_examples=40)
@hypothesis.given(specs=GRAPHS, extra=st.sets(st.integers(1, 9)))
def test_activation_memory_is_that_of_a_simulation(specs, extra):
    keras.utils.clear_session(free_memory=False)
    tensors, graph = {"input": keras.Input((7,))}, {}
    for index, (kind, units, *picks) in enumerate(specs):
        sources = [list(tensors)[pick % len(tensors)] for pick in picks][: 2 if kind == "concatenate" else 1]
        name = f"{kind}{index}"
        layer = {
            "dense": lambda name=name, units=units: layers.Dense(units, name=name),
            "relu": lambda name=name: layers.ReLU(name=name),
            "dropout": lambda name=name: layers.Dropout(0.5, name=name),
            "flatten": lambda name=name: layers.Flatten(name=name),
            "concatenate": lambda name=name: layers.Concatenate(name=name),
        }[kind]()
        values = [tensors[source] for source in sources]
        tensors[name] = layer(values if kind == "concatenate" else values[0])
        graph[name] = (kind, tensors[name].shape[-1], sources)
    used = {source for _, _, sources in graph.values() for source in sources}
    outputs = {name for index, name in enumerate(tensors) if index and (name not in used or index in extra)}
    model = keras.Model(tensors["input"], [tensors[name] for name in sorted(outputs)])
    order = [layer.name for layer in model.layers if layer.name in graph]
    found = [inspection.activation_memory(model, training=training) for training in (False, True)]
    assert found == [4 * simulated(graph, order, outputs, training) for training in (False, True)]
    assert found[0] <= found[1]


# Feature maps


def test_feature_maps_are_what_each_layer_gives():
    model, images = nested_model(), normal(3, 12, 12, 2)
    model.get_layer("inner").get_layer("norm").moving_variance.assign([1, 2, 3, 4])
    maps = inspection.feature_maps(model, images)
    shared, inner = model.get_layer("shared"), model.get_layer("inner")
    one = shared(images)
    two = shared(one)
    conv = inner.layers[0](two)
    norm = inner.layers[1](conv, training=False)
    pool = inner.layers[2](norm)
    skip = model.get_layer("skip")(pool)
    deep = model.get_layer("deep")(pool)
    relu = tf.nn.relu(deep + skip)
    both = tf.concat([relu, skip], -1)
    mean = tf.reduce_mean(both, (1, 2))
    expected = {
        "image": images, "shared": one, "shared#2": two, "inner/conv": conv, "inner/norm": norm, "inner/pool": pool,
        "skip": skip, "deep": deep, "add": deep + skip, "relu": relu, "both": both, "dropout": both, "mean": mean,
        "classes": model(images, training=False),
    }  # fmt: skip
    assert set(maps) == set(expected)
    assert list(maps)[:6] == list(expected)[:6]
    assert list(maps)[-5:] == list(expected)[-5:]
    for name, values in expected.items():
        assert isinstance(maps[name], np.ndarray)
        np.testing.assert_allclose(maps[name], values, atol=1e-6, err_msg=name)


def test_only_the_wanted_maps_are_kept_in_the_order_of_computation():
    images = normal(2, 32, 32, 1)
    maps = inspection.feature_maps(lenet(), images, layers=["S4", "C1"])
    assert {name: values.shape for name, values in maps.items()} == {"C1": (2, 28, 28, 6), "S4": (2, 5, 5, 16)}
    assert list(maps) == ["C1", "S4"]


def test_feature_maps_of_bytes_and_of_any_size():
    model = stack((None, None, 1), layers.Rescaling(1 / 255), layers.Conv2D(2, 3, name="conv"))
    images = np.full((2, 7, 9, 1), 255, np.uint8)
    maps = inspection.feature_maps(model, images, ["conv"])["conv"]
    np.testing.assert_allclose(maps, model(images), rtol=1e-6)
    assert maps.shape == (2, 5, 7, 2)


def test_layers_that_were_told_to_train_do():
    """Monte Carlo dropout stays on, as in `predict`."""
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Dropout(0.5, name="mc")(inputs, training=True))
    assert 0 < np.mean(inspection.feature_maps(model, np.ones((1, 4, 4, 1)))["mc"] == 0) < 1


# Receptive fields


def test_the_fields_of_lenet_by_hand():
    fields = {name: inspection.receptive_field(lenet(), name) for name in ("C1", "S2", "C3", "S4", "flat", "F6")}
    assert {name: repr(field) for name, field in fields.items()} == {
        "C1": "Field 5×5, stride 1, start 0",
        "S2": "Field 6×6, stride 2, start 0",
        "C3": "Field 14×14, stride 2, start 0",
        "S4": "Field 16×16, stride 4, start 0",
        "flat": "Field 32×32, the whole image",
        "F6": "Field 32×32, the whole image",
    }
    assert fields["S4"].box(1, 3) == (4, 12, 16, 16)
    assert fields["F6"].box(0, 0) == (0, 0, 32, 32)


def test_a_field_that_is_not_square_shows_both_sides():
    model = stack((20, 30, 1), layers.Conv2D(1, (3, 5), strides=(1, 2), padding="same", name="conv"))
    field = inspection.receptive_field(model, "conv")
    assert repr(field) == "Field 3×5, stride (1, 2), start (−1, −1)".replace("(−1, −1)", "−1")
    assert (field.size, field.stride, field.start) == ((3, 5), (1, 2), (-1, -1))
    assert field.box(0, 4) == (-1, 7, 3, 5)


def test_the_field_of_resnet_s_stem():
    """7×7 with stride 2, then 3×3 pooling with stride 2: 11×11 and stride 4, as in Araujo et al. (2019)."""
    model = stack(
        (224, 224, 3),
        layers.ZeroPadding2D(3),
        layers.Conv2D(4, 7, strides=2),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(3, 2, name="pool"),
    )
    assert repr(inspection.receptive_field(model, "pool")) == "Field 11×11, stride 4, start −5"


def test_the_longest_path_decides():
    model = nested_model()
    assert repr(inspection.receptive_field(model, "shared#2")) == "Field 5×5, stride 1, start −2"
    assert repr(inspection.receptive_field(model, "skip")) == "Field 8×8, stride 2, start −2"
    assert repr(inspection.receptive_field(model, "deep")) == "Field 12×12, stride 2, start −4"
    for name in ("add", "relu", "both", "dropout"):
        assert inspection.receptive_field(model, name) == inspection.receptive_field(model, "deep")
    assert repr(inspection.receptive_field(model, "mean")) == "Field 12×12, the whole image"
    assert repr(inspection.receptive_field(model, "image")) == "Field 1×1, stride 1, start 0"


def test_paths_that_reach_to_different_sides_are_joined():
    inputs = keras.Input((12, 12, 1))
    up = layers.Conv2D(1, 3)(layers.ZeroPadding2D(((2, 0), (0, 2)))(inputs))
    down = layers.Conv2D(1, 3)(layers.ZeroPadding2D(((0, 2), (2, 0)))(inputs))
    model = keras.Model(inputs, layers.Add(name="sum")([up, down]))
    field = inspection.receptive_field(model, "sum")
    assert (field.size, field.start) == ((5, 5), (-2, -2))
    assert inspection.measured_field(model, "sum", 5, 6) == field.box(5, 6) == (3, 4, 5, 5)


def test_behind_squeeze_and_excitation_a_unit_sees_everything():
    inputs = keras.Input((9, 9, 2))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(layers.Dense(2, activation="relu")(gate))
    model = keras.Model(inputs, layers.Conv2D(1, 3, name="after")(layers.Multiply()([x, gate])))
    assert repr(inspection.receptive_field(model, "after")) == "Field 9×9, the whole image"
    assert inspection.measured_field(model, "after", 2, 2) == (0, 0, 9, 9)


def test_normalization_over_the_channels_sees_its_place():
    model = stack((8, 8, 4), layers.Conv2D(4, 3, name="conv"), layers.LayerNormalization(name="place"))
    assert inspection.receptive_field(model, "place") == inspection.receptive_field(model, "conv")
    assert inspection.measured_field(model, "place", 0, 1) == (0, 1, 3, 3)


def test_a_layer_of_one_s_own_that_works_place_by_place_leaves_the_field_as_it_is():
    def model(*own):
        first = layers.Conv2D(6, 11, strides=4)
        return stack((67, 59, 3), first, *own, layers.MaxPooling2D(3, 2), layers.Conv2D(4, 3, name="end"))

    own = model(LocalResponseNorm(name="own"), Shift(name="shift"))
    own.get_layer("shift").set_weights([np.zeros(6)])
    assert inspection.receptive_field(own, "end") == inspection.receptive_field(model(), "end")
    assert inspection.measured_field(own, "own", 3, 4) == inspection.receptive_field(own, "own").box(3, 4)
    assert inspection.measured_field(own, "end", 1, 1) == inspection.receptive_field(own, "end").box(1, 1)
    images = normal(5, 67, 59, 3)
    found = inspection.top_patches(own, "end", images, 1, count=3)
    assert found.places == [place for _, place, _ in brute_force_patches(own, "end", images, 1, 3)]


@pytest.mark.parametrize(
    "shape, layer",
    [
        ((9, 9, 2), lambda: Own(lambda x: keras.ops.average_pool(x, 3, 1, padding="same"))),
        ((9, 9, 2), lambda: Own(lambda x: x + 1e-6 * keras.ops.mean(x, axis=(1, 2), keepdims=True))),
        ((9, 9, 2), lambda: Own(lambda x: x[:, ::-1])),
        ((9, 9, 2), lambda: Own(lambda x: x[:, ::-1, ::-1])),
        ((9, 9, 2), lambda: Own(lambda x: keras.ops.transpose(x, (0, 2, 1, 3)))),
        ((2, 2, 1), lambda: Own(lambda x: keras.ops.concatenate([x[:, :1], x[:, 1:, ::-1]], axis=1))),
        ((9, 9, 2), lambda: Own(lambda x: x[:, :, :-1])),
        ((9, 9, 2), lambda: Own(lambda x: keras.ops.reshape(x, (-1, 9, 18)))),
        ((9, 9, 2), lambda: Own(keras.ops.round)),
        ((9, 9, 2), ZeroAtFirst),
        ((9, 9, 2), lambda: Masked(4, 3, padding="same", kernel_initializer="zeros")),
    ],
)
def test_other_layers_of_one_s_own_have_an_unknown_geometry(shape, layer):
    own = layer()
    message = f"layer: got one that sees the image through {own.name!r} ({type(own).__name__}), whose geometry is"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        inspection.receptive_field(stack(shape, own), own.name)


# Fields by formula, by `measured_field` and by the plain gradient of a linear model

PADDING = st.sampled_from(["same", "valid"])


def pairs(low: int, high: int):
    return st.tuples(st.integers(low, high), st.integers(low, high))


# (kind, size, stride or dilation, padding)
PIECES = st.one_of(
    st.tuples(st.just("conv"), pairs(1, 4), pairs(1, 3), PADDING),
    st.tuples(st.just("dilated"), pairs(2, 3), pairs(1, 3), PADDING),
    st.tuples(st.just("pool"), pairs(1, 3), pairs(1, 3), PADDING),
    st.tuples(st.just("pad"), pairs(0, 2), st.none(), st.none()),
    st.tuples(st.just("residual"), pairs(1, 5), st.none(), st.just("same")),
    st.tuples(st.just("norm"), st.none(), st.none(), st.none()),
)


def piece(x, spec, linear: bool):
    kind, size, step, padding = spec
    activation = None if linear else "relu"
    # Biases that switch nearly all ReLUs off at common inputs.
    options = {"activation": activation, "bias_initializer": keras.initializers.Constant(-3.0)}
    if kind == "conv":
        return layers.Conv2D(2, size, strides=step, padding=padding, **options)(x)
    if kind == "dilated":
        return layers.Conv2D(2, size, dilation_rate=step, padding=padding, **options)(x)
    if kind == "pool":
        return (layers.AveragePooling2D if linear else layers.MaxPooling2D)(size, step, padding=padding)(x)
    if kind == "pad":
        return layers.ZeroPadding2D((size, size[::-1]))(x)
    if kind == "residual":
        return layers.Add()([x, layers.Conv2D(x.shape[-1], size, padding=padding, **options)(x)])
    return layers.BatchNormalization()(x)


def build(specs, linear: bool, size: tuple = (15, 14)) -> keras.Model | None:
    """A model of these pieces whose last layer is "end"; None when nothing is left of the maps."""
    inputs = x = keras.Input((*size, 2))
    for spec in specs:
        try:
            x = piece(x, spec, linear)
        except ValueError:
            return None
        if min(x.shape[1:3]) < 1:
            return None
    return keras.Model(inputs, layers.Identity(name="end")(x))


def gradient_box(model, row: int, column: int) -> tuple:
    """The box of the nonzero gradient of a linear model's unit."""

    @tf.function  # eager mode would also compute the kernels' gradients, which can crash: see `_seen_inputs`
    def gradient(x):
        return tf.gradients(tf.reduce_sum(model(x, training=False)[0, row, column]), x)[0]

    pixels = np.abs(gradient(tf.constant(normal(1, *model.input_shape[1:])))[0]).sum(axis=-1) > 0
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return (rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1) if len(rows) else (0, 0, 0, 0)


def clipped(box: tuple, size: tuple = (15, 14)) -> tuple:
    """The part of a box inside the image."""
    top, left = max(box[0], 0), max(box[1], 0)
    return top, left, min(box[0] + box[2], size[0]) - top, min(box[1] + box[3], size[1]) - left


@hypothesis.settings(max_examples=20)  # each builds two models and compiles their gradients
@hypothesis.given(specs=st.lists(PIECES, min_size=1, max_size=4), data=st.data())
def test_measured_fields_are_gradients_and_agree_with_the_formula(specs, data):
    linear, model = build(specs, linear=True), build(specs, linear=False)
    hypothesis.assume(model is not None and linear is not None)
    height, width = model.output_shape[1:3]
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = inspection.receptive_field(model, "end").box(row, column)
    measured = inspection.measured_field(model, "end", row, column)
    assert measured == gradient_box(linear, row, column)
    inside = clipped(box)
    if inside == box:  # nothing lost at the border: the field is exactly that
        assert measured == box
    elif measured[2] and measured[3]:
        assert measured[0] >= inside[0]
        assert measured[1] >= inside[1]
        assert measured[0] + measured[2] <= inside[0] + inside[2]
        assert measured[1] + measured[3] <= inside[1] + inside[3]


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    sizes=st.lists(st.tuples(st.sampled_from(["conv", "residual", "pool"]), pairs(1, 4)), min_size=1, max_size=4),
    data=st.data(),
)
def test_without_strides_and_dilation_the_formula_holds_at_the_border_too(sizes, data):
    model = build([(kind, size, (1, 1), "same") for kind, size in sizes], linear=False)
    row, column = data.draw(st.sampled_from([0, 1, 13, 14])), data.draw(st.sampled_from([0, 12, 13]))
    box = inspection.receptive_field(model, "end").box(row, column)
    assert inspection.measured_field(model, "end", row, column) == clipped(box)


def test_tiny_weights_are_measured_and_zeros_are_not():
    model = stack((9, 9, 1), layers.Conv2D(2, 3, name="conv"))
    kernel = np.zeros((3, 3, 1, 2))
    kernel[1, 1, 0, 0] = 1e-20
    kernel[:, 2, 0, 1] = -5
    model.layers[0].set_weights([kernel, np.zeros(2)])
    assert inspection.measured_field(model, "conv", 2, 4) == (2, 5, 3, 2)


def test_deep_saturated_and_cancelling_models_are_measured_too():
    inputs = keras.Input((40, 40, 1))
    x = inputs
    for _ in range(12):
        x = layers.Conv2D(1, 3, activation="sigmoid", kernel_initializer=keras.initializers.Constant(-40.0))(x)
    x = layers.Subtract(name="zero")([x, x])
    assert inspection.measured_field(keras.Model(inputs, x), "zero", 3, 4) == (3, 4, 25, 25)


def test_a_layer_of_one_s_own_and_a_softmax_are_measured():
    softmax = layers.Conv2D(3, 3, activation="softmax")
    model = stack((12, 12, 2), softmax, Subsampling(), layers.UpSampling2D(name="up"))
    assert inspection.measured_field(model, "up", 3, 4) == (2, 4, 4, 4)
    model = stack((8, 8, 1), layers.Conv2DTranspose(2, 3, strides=2, activation="relu", name="t"))
    assert inspection.measured_field(model, "t", 4, 4) == (1, 1, 2, 2)


def test_the_whole_window_of_max_pooling_is_seen():
    model = stack(
        (14, 14, 1), layers.MaxPooling2D(7, name="pool"), layers.GlobalMaxPooling2D(keepdims=True, name="all")
    )
    assert inspection.measured_field(model, "pool", 1, 0) == (7, 0, 7, 7)
    assert inspection.measured_field(model, "all", 0, 0) == (0, 0, 14, 14)


def test_a_unit_in_the_padding_sees_nothing():
    model = stack((6, 6, 1), layers.ZeroPadding2D(2, name="pad"))
    assert inspection.measured_field(model, "pad", 0, 3) == (0, 0, 0, 0)
    assert inspection.receptive_field(model, "pad").box(0, 3) == (-2, 1, 1, 1)


# Patches


def brute_force_patches(model, name: str, images, channel: int, count: int):
    """One loop over all places of all images, with the images padded."""
    maps = keras.Model(model.inputs, model.get_layer(name).output).predict(images, verbose=0)[..., channel]
    field = inspection.receptive_field(model, name)
    padded = np.pad(images, ((0, 0), (50, 50), (50, 50), (0, 0)))
    found = []
    for n, single in enumerate(maps):
        places = itertools.product(range(single.shape[0]), range(single.shape[1]))
        value, row, column = max(((single[place], *place) for place in places), key=lambda item: item[0])
        top, left, height, width = field.box(row, column)
        patch = padded[n, 50 + top : 50 + top + height, 50 + left : 50 + left + width]
        found.append((value, (n, row, column), patch))
    return sorted(found, key=lambda item: -item[0])[:count]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_top_patches_are_the_best_of_all_places(dtype):
    model = stack(
        (12, 14, 2),
        layers.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(4, 3, padding="same", name="conv"),
    )
    images = np.random.default_rng(0).integers(0, 256, (150, 12, 14, 2)).astype(dtype)
    found = inspection.top_patches(model, "conv", images, channel=2, count=40)
    expected = brute_force_patches(model, "conv", images, 2, 40)
    assert found.places == [place for _, place, _ in expected]
    np.testing.assert_allclose(found.values, [value for value, _, _ in expected], rtol=1e-5)
    assert np.array_equal(found.patches, [patch for _, _, patch in expected])
    assert found.patches.dtype == dtype
    assert any(0 in (row, column) for _, row, column in found.places), "no patch that leaves the image was tested"
    assert repr(found) == f"Patches: 40 of 7×7 pixels, values {found.values[0]:.3g} … {found.values[-1]:.3g}"


def test_top_patches_find_a_spot_and_ties_go_to_the_first_images():
    images = np.zeros((12, 9, 9, 1), np.uint8)
    for n in range(12):
        images[n, n % 9, (2 * n) % 9] = 200 + n // 6
    model = stack((None, None, 1), layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros", name="spot"))
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, 1] = 1
    model.layers[0].set_weights([kernel, np.zeros(1)])
    found = inspection.top_patches(model, "spot", images, 0)
    assert [place[0] for place in found.places] == [6, 7, 8, 9, 10, 11, 0, 1, 2]
    assert found.values.tolist() == [201] * 6 + [200] * 3
    assert found.places[3] == (9, 0, 0)
    assert (found.patches[:, 1, 1, 0] == found.values).all()
    assert found.patches.shape == (9, 3, 3, 1)
    assert found.patches.sum() == found.values.sum()


# The model stays as it was


def test_nothing_about_the_model_or_the_random_numbers_changes():
    model, images = nested_model(), normal(4, 12, 12, 2)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.arange(4) % 3, verbose=0)
    model.get_layer("inner").trainable = False
    state = [np.array(v) for v in model.variables], [np.array(v) for v in model.optimizer.variables]
    trainable = [layer.trainable for layer in model.layers]
    before = pickle.dumps((random.getstate(), np.random.get_state(), model.get_config()))  # noqa: NPY002
    inspection.layer_sizes(model)
    inspection.multiply_adds(model)
    inspection.depth(model)
    inspection.activation_memory(model, training=True)
    inspection.feature_maps(model, images)
    inspection.receptive_field(model, "both")
    inspection.measured_field(model, "both", 1, 1)
    inspection.top_patches(model, "both", images, 1, count=2)
    assert pickle.dumps((random.getstate(), np.random.get_state(), model.get_config())) == before  # noqa: NPY002
    after = [np.array(v) for v in model.variables], [np.array(v) for v in model.optimizer.variables]
    for was, now in zip(itertools.chain(*state), itertools.chain(*after), strict=True):
        assert np.array_equal(was, now)
    assert trainable == [layer.trainable for layer in model.layers]
    assert model.compiled


def test_importing_the_module_loads_no_tensorflow():
    code = "import sys, helpers.inspection; print({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=rules.ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


# Bad arguments


def two_inputs() -> keras.Model:
    a, b = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    return keras.Model([a, b], layers.Add()([a, b]))


def unknown_geometry() -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    up = layers.UpSampling2D(name="up")(layers.Conv2D(1, 3, name="conv")(inputs))
    return keras.Model(inputs, layers.Conv2D(1, 3, name="end")(up))


def uneven_paths() -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    small = layers.Conv2D(1, 1, strides=2)(inputs)
    return keras.Model(inputs, layers.Add(name="sum")([small, layers.Conv2D(1, 5)(inputs)]))


def broadcast_unit() -> keras.Model:
    """Every place gets the same unit, which does not see the whole image."""
    inputs = keras.Input((8, 8, 1))
    one = layers.Conv2D(1, 3, strides=6)(inputs)
    return keras.Model(inputs, layers.Add(name="sum")([layers.Conv2D(1, 3)(inputs), one]))


IMAGES = normal(5, 32, 32, 1)
MODELS = {
    "model: got int, expected a Keras model": lambda: 3,
    "model: got Conv2D, expected a Keras model": lambda: layers.Conv2D(1, 1),
    "model: got a Sequential model without a known input, expected a built one (build it first: call it on a batch or "
    "give it an Input)": lambda: keras.Sequential([layers.Conv2D(1, 3)]),
    "model: got Subclassed, a subclassed model, expected a Sequential or functional one: only these can be "
    "inspected": Subclassed,
    "model: got one with 2 inputs, expected one input": two_inputs,
}


@pytest.mark.parametrize(
    "call",
    [
        inspection.layer_sizes,
        inspection.multiply_adds,
        inspection.depth,
        lambda model: inspection.activation_memory(model, training=True),
        lambda model: inspection.feature_maps(model, IMAGES),
        lambda model: inspection.receptive_field(model, "conv"),
        lambda model: inspection.measured_field(model, "conv", 0, 0),
        lambda model: inspection.top_patches(model, "conv", IMAGES, 0, count=1),
    ],
    ids=[
        *("layer_sizes", "multiply_adds", "depth", "activation_memory"),
        *("feature_maps", "receptive_field", "measured_field", "top_patches"),
    ],
)
@pytest.mark.parametrize("message, make", MODELS.items(), ids=["number", "layer", "unbuilt", "subclassed", "inputs"])
def test_other_models_are_refused_with_what_to_do(call, message, make):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(make())


def test_a_model_that_was_called_is_built():
    model = keras.Sequential([layers.Conv2D(1, 3, name="conv")])
    model(np.zeros((5, 7, 7, 1)))
    assert inspection.layer_sizes(model)["conv"].units == 25
    assert inspection.feature_maps(model, np.zeros((2, 7, 7, 1)))["conv"].shape == (2, 5, 5, 1)


NO_SIZE = (
    "model: got an input of shape (None, None, 1) and an output of shape (None, None, 1) at 'conv', expected fixed"
)
UNCOUNTED = "with weights, whose multiplications cannot be counted, expected convolutions, Dense layers, and layers"
NAMES = "expected one of C1, S2, C3, S4, flat, F5, F6, output"


def refused(message: str, function, *arguments, model=lenet, **named):
    return pytest.param(message, function, model, arguments, named, id=f"{function.__name__}-{message[:30]}")


@pytest.mark.parametrize(
    "message, function, make, arguments, named",
    [
        *(
            refused(NO_SIZE, function, model=lambda: stack((None, None, 1), layers.Conv2D(1, 3, name="conv")), **named)
            for function, named in [
                (inspection.layer_sizes, {}),
                (inspection.multiply_adds, {}),
                (inspection.depth, {}),
                (inspection.activation_memory, {"training": False}),
            ]
        ),
        *(
            refused(f"model: got layer {name!r} ({kind}) {UNCOUNTED}", function, model=make)
            for function in (inspection.multiply_adds, inspection.depth)
            for name, kind, make in [
                ("own", "Shift", lambda: stack((4, 4, 1), Shift(name="own"))),
                ("mine", "Masked", lambda: stack((4, 4, 1), Masked(1, 3, name="mine"))),
                ("rnn", "LSTM", lambda: stack((4, 2), layers.LSTM(2, name="rnn"))),
            ]
        ),
        refused("training: got 1, expected True or False", inspection.activation_memory, training=1),
        refused("training: got None, expected True or False", inspection.activation_memory, training=None),
        refused(f"layers: got 'C2', {NAMES}", inspection.feature_maps, IMAGES, ["C1", "C2"]),
        refused("layers: got 'C1', expected a list", inspection.feature_maps, IMAGES, "C1"),
        refused(
            "images: got one image of shape (32, 32, 1), expected a batch (n, h, w, c): pass images[:1]",
            inspection.feature_maps,
            IMAGES[0],
        ),
        refused("images: got a 2-D array", inspection.feature_maps, IMAGES[0, ..., 0]),
        refused("images: got shape (5, 31, 32, 1), expected (n, 32, 32, 1)", inspection.feature_maps, IMAGES[:, 1:]),
        refused("images: got an array with NaN", inspection.feature_maps, IMAGES * np.nan),
        refused(f"layer: got 'C2', {NAMES}", inspection.receptive_field, "C2"),
        refused(
            "layer: got one that sees the image through 'up' (UpSampling2D), whose geometry is unknown",
            inspection.receptive_field,
            "end",
            model=unknown_geometry,
        ),
        refused(
            "layer: got one that sees the image through 'sum' (Add), whose geometry is unknown",
            inspection.receptive_field,
            "sum",
            model=uneven_paths,
        ),
        refused(
            "layer: got one that sees the image through 'sum' (Add), whose geometry is unknown",
            inspection.receptive_field,
            "sum",
            model=broadcast_unit,
        ),
        refused(
            "layer: got one that sees the image through 'sub' (Subsampling), whose geometry is unknown",
            inspection.receptive_field,
            "sub",
            model=lambda: stack((8, 8, 1), Subsampling(name="sub")),
        ),
        refused(
            "layer: got one that sees the image through 'join' (Concatenate), whose geometry is unknown",
            inspection.receptive_field,
            "join",
            model=lambda: keras.Model(x := keras.Input((8, 8, 1)), layers.Concatenate(axis=1, name="join")([x, x])),
        ),
        refused(
            "model: got an input of shape (9,), expected images (height, width, channels)",
            inspection.receptive_field,
            "dense",
            model=lambda: stack((9,), layers.Dense(3, name="dense")),
        ),
        refused("layer: got 'C2'", inspection.measured_field, "C2", 0, 0),
        refused(
            "layer: got 'F5' with outputs of shape (120,), expected maps (h, w, c)",
            inspection.measured_field,
            "F5",
            0,
            0,
        ),
        refused("row: got 5, expected 0 to 4", inspection.measured_field, "S4", 5, 0),
        refused("column: got -1, expected 0 to 4", inspection.measured_field, "S4", 0, -1),
        refused("layer: got 'C2'", inspection.top_patches, "C2", IMAGES, 0),
        refused("layer: got 'F5' with outputs", inspection.top_patches, "F5", IMAGES, 0),
        refused("channel: got 6, expected 0 to 5", inspection.top_patches, "C1", IMAGES, 6),
        refused("channel: got True, expected 0 to 5", inspection.top_patches, "C1", IMAGES, True),
        refused("count: got 6, expected at most 5, the number of images", inspection.top_patches, "C1", IMAGES, 0, 6),
        refused("count: got 0, expected", inspection.top_patches, "C1", IMAGES, 0, 0),
        refused("images: got one image", inspection.top_patches, "C1", IMAGES[0], 0),
    ],
)
def test_bad_arguments_are_named(message, function, make, arguments, named):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        function(make(), *arguments, **named)


def test_an_unknown_layer_s_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=f"^layer: got 'C2', {NAMES}$"):
        inspection.layer_sizes(lenet())["C2"]


def test_a_unit_has_no_negative_place():
    with pytest.raises(ValueError, match=r"^row: got -1, expected"):
        inspection.receptive_field(lenet(), "C1").box(-1, 0)


def test_layers_of_unknown_geometry_beside_the_path_do_no_harm():
    assert inspection.receptive_field(unknown_geometry(), "conv").size == (3, 3)


# Without weights


def test_shapes_alone_are_counted_as_the_network_is():
    def build():
        image = keras.Input((16, 16, 3))
        x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2)(image))
        return keras.Model(image, layers.Dense(5)(layers.Dropout(0.5)(layers.Flatten()(x))))

    with inspection.shapes_only():
        bare = build()
    whole = build()
    assert bare.count_params() == whole.count_params()
    assert list(inspection.multiply_adds(bare).values()) == list(inspection.multiply_adds(whole).values())
    assert inspection.depth(bare) == inspection.depth(whole) == 2
    for training in (True, False):
        assert inspection.activation_memory(bare, training=training) == inspection.activation_memory(
            whole, training=training
        )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no module resource")
def test_shapes_alone_take_no_memory_then_or_later():
    code = """
import resource
from helpers import inspection, quiet_import
with quiet_import():
    import keras
layer = keras.layers.Dense
keras.Sequential([keras.Input((8,)), layer(8)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with inspection.shapes_only():
        model = keras.Sequential([keras.Input((10_000,)), layer(20_000)])
        raise KeyError
except KeyError:
    pass
net = keras.Sequential([keras.Input((8,)), layer(8)])
assert net(keras.ops.ones((1, 8))).shape == (1, 8) and model.count_params() == 200_020_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=rules.ROOT, check=True)
    assert int(grown.stdout) < 200_000  # KiB (bytes on macOS); the weights alone have 781,000 KiB
