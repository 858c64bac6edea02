"""The sizes of published networks to the last connection; fields, maps and patches against straightforward ways."""

import math
import pickle
import random
import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from helpers import inspection, quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

layers = keras.layers


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.clear_session(free_memory=False)  # names count from the start
    keras.utils.set_random_seed(0)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stack(shape: tuple, *parts) -> keras.Sequential:
    return keras.Sequential([keras.Input(shape), *parts])


class Subsampling(layers.Layer):
    """LeNet-5's S2 and S4: the sum of 2×2 values, times a coefficient, plus a bias; one of each for a map."""

    def build(self, shape):
        self.coefficient = self.add_weight(shape=(shape[-1],), name="coefficient")
        self.bias = self.add_weight(shape=(shape[-1],), name="bias", initializer="zeros")

    def call(self, x):
        return keras.ops.tanh(4 * keras.ops.average_pool(x, 2) * self.coefficient + self.bias)

    def connections(self, shape):
        return 4 * math.prod(shape)


class Shift(layers.Layer):
    """Elementwise, with weights, and of someone's own."""

    def build(self, shape):
        self.beta = self.add_weight(shape=(shape[-1],), name="beta")

    def call(self, x):
        return x + self.beta


class Masked(layers.Conv2D):
    """A convolution that computes something else: only the middle of its 3×3 kernel."""

    def call(self, x):
        return keras.ops.conv(x, self.kernel[1:2, 1:2], padding="valid")


class Own(layers.Layer):
    """Someone's own layer that computes a function."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def local_response_norm(x):
    """AlexNet's: divides by a power of the sum of squares over five neighbouring channels."""
    squares = keras.ops.pad(keras.ops.square(x), ((0, 0), (0, 0), (0, 0), (2, 2)))
    return x / (2 + 1e-4 * sum(squares[..., i : i + x.shape[-1]] for i in range(5))) ** 0.75


def local(layer: layers.Layer) -> layers.Layer:
    """A layer that says that it works place by place."""
    layer.works_place_by_place = True
    return layer


def nested_model() -> keras.Model:
    """Nested, residual, with a shared layer and with operations that are no layers."""
    inputs = keras.Input((12, 12, 2), name="image")
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", bias_initializer="random_normal", name="shared")
    conv, norm = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")
    inner = keras.Sequential([conv, norm, layers.MaxPooling2D(name="pool")], name="inner")
    x = inner(shared(shared(inputs)))
    norm.moving_variance.assign([1, 2, 3, 4])
    skip = layers.Conv2D(4, 1, use_bias=False, name="skip")(x)
    x = keras.ops.relu(layers.Conv2D(4, 3, padding="same", name="deep")(x) + skip)
    x = layers.Dropout(0.5, name="dropout")(layers.Concatenate(name="both")([x, skip]))
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
        *(layers.Dense(units, name=name) for name, units in (("F5", 120), ("F6", 84), ("output", 10))),
    )


# Sizes and costs


def test_lenet_has_the_sizes_of_the_lecture():
    sizes = inspection.layer_sizes(lenet())
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
    assert sizes["C3"] is sizes[2]
    assert (sizes["C3"].parameters, sizes["C3"].connections_with_biases) == (2_416, 241_600)
    assert sizes["S2"].connections_with_biases == 4_704
    assert sizes.total.connections_with_biases == 422_824 + 4_704 + 1_600 + 120 + 84 + 10


def test_layers_of_one_s_own_say_their_connections():
    model = stack((28, 28, 6), Subsampling(name="S2"), layers.Flatten(), layers.Dense(10, use_bias=False))
    sizes = inspection.layer_sizes(model)
    assert (sizes["S2"].units, sizes["S2"].connections, sizes["S2"].connections_with_biases) == (1_176, 4_704, 5_880)
    assert (sizes["S2"].weights, sizes["S2"].biases) == (6, 6)
    assert list(inspection.multiply_adds(model).values()) == [4_704, 11_760]
    assert inspection.depth(model) == 2


def test_nested_shared_and_residual_models_are_counted_to_the_last_parameter():
    model = nested_model()
    model.trainable = False
    sizes = inspection.layer_sizes(model)
    names = [row.name for row in sizes]
    assert names[:5] == ["shared", "shared#2", "inner/conv", "inner/norm", "inner/pool"]
    assert set(names[5:8]) == {"skip", "deep", "add"}
    assert names[8:] == ["relu", "both", "dropout", "mean", "classes"]
    assert sizes.total.parameters == model.count_params()
    first, second = sizes["shared"], sizes["shared#2"]
    assert (first.parameters, second.parameters, first.units, second.units) == (38, 0, 288, 288)
    assert first.connections_with_biases == second.connections_with_biases == 288 * 19
    assert {row.name for row in sizes if not row.units} == {"inner/norm", "add", "relu", "both", "dropout"}
    assert (sizes["mean"].units, sizes["mean"].connections) == (8, 8 * 25)
    costs = {"shared": 5_184, "shared#2": 5_184, "inner/conv": 7_200, "skip": 400, "deep": 3_600, "classes": 24}
    assert inspection.multiply_adds(model) == costs
    assert inspection.depth(model) == 5


def test_a_model_or_layers_used_again_are_counted_at_their_new_size():
    inner = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3, name="conv")], name="inner")
    inputs = keras.Input((9, 8, 1))
    sizes = inspection.layer_sizes(keras.Model(inputs, inner(inner(inputs))))
    expected = [("inner/conv", (7, 6, 1), 10), ("inner/conv#2", (5, 4, 1), 0)]
    assert [(row.name, row.shape, row.parameters) for row in sizes] == expected
    assert inspection.multiply_adds(stack((20, 20, 1), *inner.layers)) == {"conv": 18 * 18 * 9}


def layer_by_layer(model) -> int:
    """The multiply-adds of the convolutions and Dense layers of a model without nesting, from its layers' settings."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            inputs = layer.depth_multiplier if isinstance(layer, layers.DepthwiseConv2D) else layer.filters
            count += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel_size) * layer.input.shape[-1] * inputs
        elif isinstance(layer, layers.Dense):
            count += layer.input.shape[-1] * layer.units
    return count


@pytest.mark.parametrize(
    "name, count, depth",
    [
        ("VGG16", 15_470_264_320, 16),
        ("ResNet50", 3_857_973_248, 50),
        ("DenseNet121", 2_834_161_664, 121),
        ("InceptionV3", 5_713_216_096, 48),
        ("MobileNetV2", 300_774_272, 53),
        ("EfficientNetB0", 385_814_752, 82),
        ("ConvNeXtTiny", 4_455_531_264, 59),
    ],
)
def test_networks_of_keras_cost_what_is_known(name, count, depth):
    with inspection.shapes_only():
        model = getattr(keras.applications, name)(weights=None)
    assert sum(inspection.multiply_adds(model).values()) == count
    assert name == "ConvNeXtTiny" or layer_by_layer(model) == count  # which has grouped convolutions, and nesting
    assert inspection.depth(model) == depth
    sizes = inspection.layer_sizes(model)
    assert sizes.total.parameters == model.count_params()
    if name != "ConvNeXtTiny":
        of_keras = [(layer.name, tuple(layer.output.shape[1:])) for layer in model.layers]
        assert sorted((row.name, row.shape) for row in sizes) == sorted(of_keras[1:])


def profiled(model) -> float:
    """The multiply-adds that TensorFlow counts in the model's graph."""
    image = tf.TensorSpec((1, *model.input_shape[1:]))
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(image).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output()
    return profiler.profile(graph, options=options.build()).total_float_ops / 2


@pytest.mark.parametrize(
    "shape, kind, settings, by_hand",
    [
        ((9, 8, 6), "Conv2D", {"filters": 4, "kernel_size": (2, 3), "strides": 2, "padding": "same"}, None),
        ((9, 8, 6), "Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2}, (7 * 6 * 4) * (3 * 3 * 3)),
        ((9, 8, 6), "Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}, (5 * 4 * 4) * (3 * 3 * 6)),
        ((9, 8, 6), "DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, None),
        ((9, 8, 6), "SeparableConv2D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2, "strides": 2}, None),
        ((9, 8, 6), "Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, None),
        ((9, 6), "Conv1D", {"filters": 4, "kernel_size": 3}, None),
        ((9, 8, 6), "Dense", {"units": 4}, None),
    ],
)
def test_multiply_adds_are_those_of_tensorflow_s_profiler(shape, kind, settings, by_hand):
    model = stack(shape, getattr(layers, kind)(**settings, use_bias=False, name="counted"))
    assert inspection.multiply_adds(model) == {"counted": by_hand or profiled(model)}  # which misses groups, dilations
    assert inspection.layer_sizes(model)["counted"].units == math.prod(model.output_shape[1:])


def test_layers_that_only_move_or_transform_values_have_no_units():
    pieces = (layers.Rescaling(2), layers.ZeroPadding2D(), layers.BatchNormalization(), layers.ReLU())
    own = (Own(local_response_norm), layers.RandomFlip(), layers.LayerNormalization(), layers.Reshape((-1, 2)))
    sizes = inspection.layer_sizes(stack((6, 6, 2), *pieces, layers.UpSampling2D(), *own))
    assert {(row.units, row.connections_with_biases) for row in sizes} == {(0, 0)}


# Memory


def chain(*options) -> keras.Model:
    first = layers.Conv2D(3, 3, padding="same", activation="relu")
    return stack((4, 4, 2), first, layers.BatchNormalization(), *options, layers.Flatten(), layers.Dense(5))


def joined(make) -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, make(inputs))


def skip_connection(x):
    a = layers.Conv2D(2, 1)(x)
    return layers.Add()([a, layers.Conv2D(2, 1)(layers.Conv2D(8, 1)(a))])


def flattened_and_kept(x):
    flat = layers.Flatten()(x)
    return layers.Add()([flat, layers.Dense(32)(layers.Dense(50)(flat))])


def two_branches(x):
    pooled = layers.MaxPooling2D()(layers.Conv2D(8, 1)(x))
    return layers.Concatenate()([pooled, layers.Conv2D(8, 2, strides=2)(x)])


def early_output(x):
    early = layers.Conv2D(10, 1)(x)
    return [early, layers.Conv2D(8, 1)(layers.Conv2D(1, 1)(early))]


@pytest.mark.parametrize(
    "make, training, test",
    [
        (lambda: chain(layers.MaxPooling2D()), 32 + 48 + 48 + 12 + 5, 48 + 48),
        (lambda: chain(layers.RandomFlip(), layers.Dropout(0.5)), 32 + 4 * 48 + 5, 48 + 48),
        (lambda: joined(skip_connection), 32 + 32 + 128 + 32 + 32, 32 + 128 + 32),
        (lambda: joined(flattened_and_kept), 32 + 50 + 32 + 32, 32 + 50 + 32),
        (lambda: joined(lambda x: keras.ops.reshape(layers.Identity()(layers.Flatten()(x)), (-1, 8, 4))), 32, 32),
        (lambda: joined(two_branches), 32 + 128 + 32 + 32 + 64, 32 + 128 + 32),
        (lambda: joined(early_output), 32 + 160 + 16 + 128, 160 + 16 + 128),
    ],
)
def test_activation_memory_by_hand(make, training, test):
    assert inspection.activation_memory(make(), training=True) == 4 * training
    assert inspection.activation_memory(make(), training=False) == 4 * test


# Outputs and feature maps


def test_outputs_come_in_the_order_of_the_images_and_right_ones_are_counted():
    model, images = nested_model(), normal(230, 12, 12, 2)
    np.testing.assert_allclose(inspection.outputs(model, images), model(images, training=False), atol=1e-6)
    labels = np.asarray(model(images)).argmax(axis=1)
    labels[:23] += 1
    assert inspection.accuracy(model, images, labels) == pytest.approx(0.9)


def test_feature_maps_are_what_each_layer_gives():
    model, images = nested_model(), normal(3, 12, 12, 2)
    maps = inspection.feature_maps(model, images)
    two = model.get_layer("shared")(model.get_layer("shared")(images))
    conv, norm, pool = model.get_layer("inner").layers
    pooled = pool(norm(conv(two), training=False))
    skip, deep = (model.get_layer(name)(pooled) for name in ("skip", "deep"))
    expected = {
        "shared": model.get_layer("shared")(images),
        "inner": pooled,
        "dropout": tf.concat([tf.nn.relu(deep + skip), skip], -1),
    }
    for name, values in {**expected, "classes": model(images, training=False)}.items():
        np.testing.assert_allclose(maps[name], values, atol=1e-6, err_msg=name)
    assert set(maps) >= {row.name for row in inspection.layer_sizes(model) if not {"/", "#"} & set(row.name)}
    assert list(inspection.feature_maps(lenet(), normal(2, 32, 32, 1), layers=["S4", "C1"])) == ["C1", "S4"]


def test_feature_maps_of_bytes_of_any_size_and_in_half_precision():
    parts = (layers.Rescaling(1 / 255), layers.RandomRotation(0.5), layers.Conv2D(2, 3, name="conv", dtype="bfloat16"))
    model = stack((None, None, 1), *parts)
    images = np.random.default_rng(0).integers(0, 256, (2, 7, 9, 1), dtype=np.uint8)
    maps = inspection.feature_maps(model, images, ["conv"])["conv"]
    assert (maps.shape, maps.dtype) == ((2, 5, 7, 2), np.float32)
    np.testing.assert_array_equal(maps, keras.ops.cast(model(images, training=False), "float32"))


# Receptive fields


@pytest.mark.parametrize(
    "make, layer, size, stride, start",
    [
        (lenet, "C3", (14, 14), (2, 2), (0, 0)),
        (lenet, "S4", (16, 16), (4, 4), (0, 0)),
        (lenet, "F6", (32, 32), (0, 0), (0, 0)),
        (nested_model, "shared#2", (5, 5), (1, 1), (-2, -2)),
        (nested_model, "inner/pool", (8, 8), (2, 2), (-2, -2)),
        (nested_model, "dropout", (12, 12), (2, 2), (-4, -4)),  # the longest path decides
        (nested_model, "mean", (12, 12), (0, 0), (0, 0)),
    ],
)
def test_fields_by_hand(make, layer, size, stride, start):
    field = inspection.receptive_field(make(), layer)
    assert (field.size, field.stride, field.start) == (size, stride, start)
    left, top, right, bottom = field.box(1, 3)
    assert (top, left, bottom - top, right - left) == (start[0] + stride[0], start[1] + 3 * stride[1], *size)


@pytest.mark.parametrize(
    "name, size, start",
    [("ResNet50", 483, -241), ("VGG16", 212, -90), ("MobileNetV2", 491, -214), ("InceptionV3", 1_311, -618)],
)
def test_fields_of_networks_of_keras(name, size, start):
    """ResNet's and VGG's are in Araujo et al. (2019), with VGG's 212 before the last pooling."""
    with inspection.shapes_only():
        model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(224, 224, 3))
    field = inspection.receptive_field(model, model.layers[-1].name)
    assert (field.size, field.stride, field.start) == ((size, size), (32, 32), (start, start))


def test_behind_squeeze_and_excitation_a_unit_sees_everything():
    inputs = keras.Input((9, 9, 2))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = keras.Model(inputs, layers.Conv2D(1, 3, name="after")(layers.Multiply()([x, gate])))
    assert inspection.receptive_field(model, "after").size == (9, 9)


@pytest.mark.parametrize(
    "layer",
    [
        *(layers.RandomShear(0.2), layers.RandomZoom(0.5), layers.RandomColorJitter(1.0), layers.LayerNormalization()),
        *(layers.Activation("tanh"), layers.PReLU(), layers.BatchNormalization(), layers.Dropout(0.5)),
        local(Own(local_response_norm)),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_that_work_place_by_place_in_inference_leave_the_field_as_it_is(layer):
    model = stack((8, 8, 3), layer, layers.Conv2D(4, 3, name="end"))
    assert inspection.receptive_field(model, "end") == inspection.Field((3, 3), (1, 1), (0, 0))


@pytest.mark.parametrize(
    "layer",
    [
        Own(lambda x: keras.ops.average_pool(x, 3, 1, padding="same")),
        *(layers.GroupNormalization(2), layers.UpSampling2D(), layers.Softmax(axis=1)),
        *(Masked(4, 3, padding="same", kernel_initializer="zeros"), Shift(), Subsampling()),
    ],
)
def test_other_layers_have_an_unknown_geometry(layer):
    message = f"layer: got one that sees through {layer.name!r} ({type(layer).__name__}), whose geometry is"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        inspection.receptive_field(stack((9, 9, 2), layer), layer.name)


PAIRS, PADDING = st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from(["same", "valid"])
# (kind, size, stride or dilation, padding)
PIECES = st.tuples(st.sampled_from(["conv", "dilated", "pool", "pad", "crop", "residual"]), PAIRS, PAIRS, PADDING)


def piece(x, kind, size, step, padding):
    """A linear layer, so that gradients hide nothing."""
    if kind == "pool":
        return layers.AveragePooling2D(size, step, padding=padding)(x)
    if kind in ("pad", "crop"):
        return {"pad": layers.ZeroPadding2D, "crop": layers.Cropping2D}[kind](((1, size[0]), (size[1], 1)))(x)
    if kind == "residual":
        return layers.Add()([x, layers.Conv2D(2, size, padding="same")(x)])
    return layers.Conv2D(2, size, padding=padding, **{"strides" if kind == "conv" else "dilation_rate": step})(x)


@hypothesis.settings(max_examples=30)
@hypothesis.given(specs=st.lists(PIECES, min_size=1, max_size=4), data=st.data())
def test_fields_are_where_gradients_are_not_zero(specs, data):
    inputs = x = keras.Input((15, 14, 2))
    for spec in specs:
        try:
            x = piece(x, *spec)
        except ValueError:  # nothing is left of the maps
            hypothesis.reject()
        hypothesis.assume(min(x.shape[1:3]) > 0)
    model = keras.Model(inputs, layers.Identity(name="end")(x))
    row, column = (data.draw(st.integers(0, side - 1)) for side in model.output_shape[1:3])

    @tf.function  # eager mode would also compute the kernels' gradients, which can crash where strides are larger
    def gradient(image):
        return tf.gradients(tf.reduce_sum(model(image, training=False)[0, row, column]), image)[0]

    pixels = np.abs(gradient(tf.constant(normal(1, 15, 14, 2)))[0]).sum(axis=-1) > 0
    field = inspection.receptive_field(model, "end")
    (left, top, right, bottom), (rows, columns) = field.box(row, column), np.nonzero(pixels)
    is_cropped = any(kind == "crop" for kind, *_ in specs)  # then zeros can stand where the image goes on
    if min(top, left) >= 0 and bottom <= 15 and right <= 14 and len(rows) and not is_cropped:
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)
    elif len(rows):  # strides and dilations can leave the outermost pixels of an image out
        assert top <= rows.min() and rows.max() < bottom and left <= columns.min() and columns.max() < right


# Patches


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_top_patches_are_the_best_of_all_places(dtype):
    first = layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")
    model = stack((None, None, 2), first, layers.Conv2D(4, 3, padding="same", name="conv"))
    images = np.random.default_rng(0).integers(0, 256, (150, 12, 14, 2)).astype(dtype)
    images[90] = images[20]  # ties go to the first image
    found = inspection.top_patches(model, "conv", images, channel=2, count=40)
    maps = np.asarray(model(images))[..., 2]
    best = sorted(range(150), key=lambda n: (-maps[n].max(), n))[:40]
    places = [(n, *map(int, np.argwhere(maps[n] == maps[n].max())[0])) for n in best]
    assert found.places == places
    np.testing.assert_allclose(found.values, [maps[place] for place in places], rtol=1e-5)
    padded = np.pad(images, ((0, 0), (9, 9), (9, 9), (0, 0)))
    corners = [(n, 2 * row + 9 - 2, 2 * column + 9 - 2) for n, row, column in places]  # 7×7, stride 2, start −2
    assert np.array_equal(found.patches, [padded[n, top : top + 7, left : left + 7] for n, top, left in corners])
    assert found.patches.dtype == dtype
    assert any(0 in place[1:] for place in places), "no patch that leaves the image was tested"


# The model stays as it was; what is no model, or a wrong argument


def test_nothing_about_the_model_or_the_random_numbers_changes():
    model, images = nested_model(), normal(4, 12, 12, 2)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.arange(4) % 3, verbose=0)
    weights, output = model.get_weights(), model.get_layer("shared").output
    before = pickle.dumps((random.getstate(), np.random.get_state(), model.get_config()))  # noqa: NPY002
    for function in (inspection.layer_sizes, inspection.multiply_adds, inspection.depth):
        function(model)
    inspection.activation_memory(model, training=True)
    inspection.top_patches(model, "both", images, 1, count=2)
    assert pickle.dumps((random.getstate(), np.random.get_state(), model.get_config())) == before  # noqa: NPY002
    assert all(map(np.array_equal, model.get_weights(), weights))
    assert model.get_layer("shared").output is output and model.compiled


IMAGES = normal(5, 32, 32, 1)
ONE_IMAGE = "images: got a 3-D array of shape (32, 32, 1), expected 4-D"
NAMES = "expected one of C1, S2, C3, S4, flat, F5, F6, output"
OPEN = stack((None, None, 1), layers.Conv2D(1, 3, name="conv"))
FIRST = stack((3, 32, 32), layers.Conv2D(8, 3, data_format="channels_first", name="conv"))
UNCOUNTED = "with weights whose connections are unknown, expected"


def two_strides():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Add(name="sum")([layers.Conv2D(1, 3)(inputs), layers.Conv2D(1, 3, 6)(inputs)]))


@pytest.mark.parametrize(
    "message, function, model, arguments",
    [
        ("model: got int, expected a functional", "layer_sizes", 3, ()),
        ("model: got Sequential, expected a functional", "depth", keras.Sequential([layers.Conv2D(1, 3)]), ()),
        ("model: got Model, expected a functional", "feature_maps", keras.Model(), (IMAGES,)),
        ("model: got inputs of shapes [(None, None, 1)], expected one", "multiply_adds", OPEN, ()),
        *(
            ("model: got layer 'conv' with 'channels_first', expected", function, FIRST, arguments)
            for function, arguments in [("multiply_adds", ()), ("receptive_field", ("conv",))]
        ),
        *(
            (f"model: got layer 'own' ({type(own).__name__}) {UNCOUNTED}", function, stack((4, 2), own), ())
            for function in ("layer_sizes", "multiply_adds", "depth")
            for own in (layers.LSTM(2, name="own"), Shift(name="own"))
        ),
        (f"layer: got 'C2', {NAMES}", "receptive_field", lenet(), ("C2",)),
        (f"layers: got 'C2', {NAMES.replace('one', 'some')}", "feature_maps", lenet(), (IMAGES, ["C1", "C2"])),
        (ONE_IMAGE, "feature_maps", lenet(), (IMAGES[0],)),
        ("images: got an array with NaN", "feature_maps", lenet(), (IMAGES * np.nan,)),
        ("layer: got one behind 'sum', whose inputs", "receptive_field", two_strides(), ("sum",)),
    ],
)
def test_bad_arguments_are_named(message, function, model, arguments):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        getattr(inspection, function)(model, *arguments)


# Without weights


def test_models_without_values_are_counted_and_not_run():
    def build():
        image = keras.Input((16, 16, 3))
        x = Shift(name="own")(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2)(image)))
        return keras.Model(image, layers.Dense(5)(layers.Dropout(0.5)(layers.Flatten()(x))))

    with inspection.shapes_only():
        bare = build()
    assert inspection.activation_memory(bare, training=True) == inspection.activation_memory(build(), training=True)
    assert bare.count_params() == build().count_params()
    runs = [bare, lambda x: bare.predict(x, verbose=0), lambda x: inspection.feature_maps(bare, x)]
    for run in (*runs, lambda x: bare.get_weights()):
        with pytest.raises(RuntimeError, match=r"got one built in shapes_only\(\), whose weights have no values"):
            run(np.zeros((1, 16, 16, 3)))
    assert build()(np.zeros((1, 16, 16, 3))).shape == (1, 5)


def test_models_without_values_take_no_memory_then_or_later():
    with pytest.raises(KeyError), inspection.shapes_only():
        model = stack((10**6,), layers.Dense(10**6))  # 4 terabytes of weights
        raise KeyError
    assert stack((8,), layers.Dense(8))(np.ones((1, 8))).shape == (1, 8)
    assert inspection.multiply_adds(model) == {"dense": 10**12}


def test_outputs_takes_few_large_images_at_a_time():
    for side, most in ((32, 100), (512, 4), (2048, 1)):
        taken = []
        model = lambda images, training: taken.append(len(images)) or images[:, 0, 0]  # noqa: B023, E731
        inspection.outputs(model, np.zeros((6, side, side, 1), np.uint8))
        assert max(taken) == min(6, most) and sum(taken) == 6
