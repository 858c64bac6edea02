"""The networks of notebook 04, just as students see them: sizes, functions, and its stored results."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from sklearn.metrics import top_k_accuracy_score

from helpers import inspection
from helpers.datasets import load, results
from notebook_code import definitions
from notebook_rules import ROOT

NAME = "04_milestone_architectures"
TWINS = ["LeNet-5", "AlexNet", "ZFNet", "VGG-11", "GoogLeNet", "ResNet-18", "DenseNet-21"]


@pytest.fixture(scope="module")
def lesson() -> dict:
    return definitions(NAME)


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# The contest


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_top_k_error_is_scikit_learns(lesson, data):
    classes = data.draw(st.integers(3, 12))
    k = data.draw(st.integers(1, classes - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    scores, labels = rng.permuted(np.tile(np.arange(classes), (20, 1)), axis=1), rng.integers(classes, size=20)
    expected = 1 - top_k_accuracy_score(labels, scores, k=k, labels=range(classes))
    assert lesson["top_k_error"](scores, labels, k) == pytest.approx(expected)


# Sizes, at full size


@pytest.mark.parametrize(
    "builder, options, parameters, depth",
    [
        ("build_lenet", {}, 61_706, 5),
        ("build_published_lenet", {}, 60_000, 6),
        ("build_alexnet", {}, 60_965_224, 8),
        ("build_alexnet", {"groups": 1}, 62_378_344, 8),
        ("build_zfnet", {}, 62_357_608, 8),
        ("build_vgg", {}, 138_357_544, 16),
        ("build_vgg", {"convolutions": (2, 2, 4, 4, 4)}, 143_667_240, 19),
        ("build_googlenet", {}, 6_998_552, 22),
        ("build_googlenet", {"heads": True}, 13_378_280, 22),
        ("build_resnet", {"blocks": (2, 2, 2, 2), "block": "basic_block"}, 11_689_512, 18),
        ("build_resnet", {"block": "basic_block"}, 21_797_672, 34),
        ("build_resnet", {}, 25_557_032, 50),
        ("build_densenet", {}, 7_978_856, 121),
    ],
)
def test_a_published_network_has_its_published_size(lesson, builder, options, parameters, depth):
    options = {name: lesson.get(value, value) if name == "block" else value for name, value in options.items()}
    with inspection.shapes_only():
        model = lesson[builder](**options)
    assert sum(math.prod(variable.shape) for variable in model.trainable_variables) == parameters
    assert inspection.depth(model) == depth


@pytest.mark.parametrize("width", [1 / 64, 1 / 8, 0.3])
@pytest.mark.parametrize("channels", [6, 16, 64, 96])
def test_scaled_channels_can_be_cut_in_two(lesson, channels, width):
    scaled = lesson["scaled"](channels, width)
    assert scaled >= 2 and scaled % 2 == 0
    assert abs(scaled - channels * width) <= 1 or scaled == 2
    assert lesson["scaled"](channels, 1.0) == channels


def test_every_twin_gives_one_logit_for_each_class(lesson):
    assert list(lesson["twins"](67, 10)) == TWINS
    for build in lesson["twins"](67, 7).values():
        assert array(build()(normal(2, 67, 67, 3), training=False)).shape == (2, 7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder, side, options",
    [
        ("build_googlenet", 800, {}),
        ("build_resnet", 544, {}),
        ("build_densenet", 544, {"blocks": (2, 2, 2, 2)}),  # over 58 layers the outermost gradients are 0 in float32
    ],
)
def test_fields_larger_than_the_image_are_those_of_the_formula(lesson, builder, side, options):
    model = lesson[builder]((side, side, 3), 10, width=1 / 64, **options)
    last = [layer for layer in model.layers if len(layer.output.shape) == 4][-1].name
    middle = [n // 2 for n in model.get_layer(last).output.shape[1:3]]
    assert lesson["measured_field"](model, last, *middle) == inspection.receptive_field(model, last).size


# The same function


@pytest.mark.parametrize("channels", [2, 5, 16])
def test_local_response_normalisation_is_tensorflows(lesson, channels):
    x = 100 * normal(2, 3, 4, channels)
    expected = tf.nn.local_response_normalization(x, 2, bias=2, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(array(lesson["LocalResponseNorm"]()(x)), expected, rtol=1e-5)


SHAPE = (64, 64, 3)
BUILDERS = {"VGG16": "build_vgg", "ResNet50": "build_resnet", "DenseNet121": "build_densenet"}
# The same blocks, fewer of them: each takes long to build, and is built once for each change
SHALLOW = {
    "build_vgg": {"convolutions": (1, 1, 1, 1, 1), "width": 1 / 8},
    "build_resnet": {"blocks": (1, 1, 1, 1)},
    "build_densenet": {"blocks": (4, 4, 4, 4)},
}


def far(lesson, theirs, ours) -> float:
    """How far apart two networks are, when ours has the weights of theirs."""
    lesson["transplant"](theirs, ours)
    images = np.random.default_rng(2).random((4, *SHAPE), dtype=np.float32)
    return lesson["difference"](theirs, ours, images)


@pytest.mark.parametrize("name, builder", BUILDERS.items())
def test_with_the_weights_of_keras_applications_ours_is_the_same_function(lesson, name, builder):
    make = getattr(keras.applications, name)
    theirs = make(weights=None, input_shape=SHAPE, classes=10, classifier_activation=None)
    lesson["randomise"](theirs, np.random.default_rng(1))
    assert far(lesson, theirs, lesson[builder](SHAPE, 10)) < 1e-4


@pytest.mark.parametrize("builder", SHALLOW)
def test_the_comparison_notices_a_changed_network(lesson, builder, monkeypatch):
    build = functools.partial(lesson[builder], SHAPE, 10, **SHALLOW[builder])
    original = build()
    lesson["randomise"](original, np.random.default_rng(1))
    assert far(lesson, original, build()) < 1e-4

    def wider_epsilon(model):
        for layer in lesson["layers_of"](model, layers.BatchNormalization):
            layer.epsilon = 1e-3
        return model

    def same_padding(x, filters, k, strides=1):
        x = layers.Conv2D(filters, k, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(epsilon=1.001e-5)(x)

    def relu_first(x, filters, k):
        x = layers.BatchNormalization(epsilon=1.001e-5)(layers.ReLU()(x))
        return layers.Conv2D(filters, k, padding="same", use_bias=False)(x)

    def norm_last(x, filters, strides=1, shortcuts=True):
        y = layers.ReLU()(lesson["conv_norm"](x, filters, 1, strides))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(epsilon=1.001e-5)(layers.ReLU()(y))
        return layers.ReLU()(lesson["add_shortcut"](x, lesson["conv_norm"](y, 4 * filters, 1), strides))

    def other_activation(x, filters, k, strides=1, padding="same"):
        return layers.Conv2D(filters, k, strides, padding, activation="leaky_relu")(x)

    if builder == "build_vgg":
        monkeypatch.setitem(lesson, "conv", other_activation)
        assert far(lesson, original, build()) > 1e-3
        return
    assert far(lesson, original, wider_epsilon(build())) > 1e-3
    if builder == "build_resnet":
        assert far(lesson, original, build(block=lesson["moved_stride"])) > 1e-2
        assert far(lesson, original, build(block=norm_last)) > 1e-2
    else:
        with monkeypatch.context() as change:
            change.setitem(lesson, "norm_relu_conv", relu_first)
            assert far(lesson, original, build()) > 1e-3
    monkeypatch.setitem(lesson, "conv_norm", same_padding)
    assert far(lesson, original, build()) > 1e-3


# The race and the chains


def test_a_race_starts_anew_for_each_seed(lesson, monkeypatch):
    build, built = lesson["build_vgg"], []

    def noted(*arguments):
        built.append(build(*arguments))
        return built[-1]

    monkeypatch.setitem(lesson, "build_vgg", noted)
    data = load("shapes", size=67, n_train=64, n_test=40)
    rows, weights = [], []
    for row in lesson["race"]("VGG-11", data, [3, 4, 3], budget=3e9):
        rows.append(row)
        weights.append(np.concatenate([w.ravel() for w in built[0].get_weights()]))
    assert [row["seed"] for row in rows] == [3, 4, 3]
    assert 0.9 * 3e9 < 3 * rows[0]["multiply_adds"] * rows[0]["images"] <= 3e9
    np.testing.assert_array_equal(weights[0], weights[2])
    assert np.abs(weights[0] - weights[1]).max() > 1e-3


def test_a_chain_without_a_block_is_as_the_others_compute_it(lesson):
    net = lesson["build_chain"](3, shortcuts=True)
    x = normal(2, 16, 16, 1)
    expected = x
    for part in (net.layers[0], net.layers[1], *net.layers[3:]):
        expected = part(expected)
    np.testing.assert_allclose(array(lesson["without_block"](net, 2)(x)), array(expected), rtol=1e-5)
    assert len(net.layers) == 6


# Stored results


@pytest.mark.parametrize("part", ["race", "depth"])
def test_a_table_says_how_it_was_made(part):
    first = (ROOT / "data" / "results" / f"milestones_{part}.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("#") and first.endswith(f": python tests/benchmarks/milestones.py {part}")


def test_the_stored_race_is_complete_and_fair(lesson):
    rows = results("milestones_race")
    assert [(row["network"], row["seed"]) for row in rows] == [(name, seed) for name in TWINS for seed in range(3)]
    builders = lesson["twins"](67, 10)
    for row in rows[::3]:
        assert row["multiply_adds"] == sum(inspection.multiply_adds(builders[row["network"]]()).values())
    spent = [3 * row["multiply_adds"] * row["images"] for row in rows]
    assert max(spent) <= 200e9 and min(spent) > 0.99 * 200e9


def test_the_stored_depths_are_complete():
    rows = results("milestones_depth")
    cases = {(row["network"], row["layers"], row["seed"]) for row in rows}
    depths = (8, 14, 20, 32, 44)
    assert cases == {(kind, n, seed) for kind in ("plain", "residual") for n in depths for seed in range(3)}
    assert len(rows) == len(cases) and all(0 <= row["training_error"] <= 1 for row in rows)
