"""The functions and layers of notebook 02, just as students see them."""

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import signal, special

from notebook_code import definitions

NAME = "02_building_cnns_with_keras"
TABLE = np.array([[(i + o) % 6 < 3 for o in range(16)] for i in range(6)], int)


@pytest.fixture(scope="module")
def lesson() -> dict:
    return definitions(NAME)


@pytest.fixture(scope="module", params=["digits", "mnist"])
def prepare(request):
    namespace = definitions(NAME)
    namespace["DATASET"] = request.param
    return namespace["prepare_digit"]


# Loss and probabilities


def test_softmax_and_loss_are_those_of_scipy(lesson):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 5, size=(20, 7)), rng.integers(0, 7, 20)
    np.testing.assert_allclose(lesson["softmax"](logits), special.softmax(logits, axis=1), rtol=1e-12)
    expected = -special.log_softmax(logits, axis=1)[np.arange(20), labels].mean()
    assert lesson["cross_entropy_loss"](logits, labels) == pytest.approx(expected, rel=1e-12)


def test_softmax_survives_large_logits(lesson):
    np.testing.assert_allclose(lesson["softmax"](np.array([[1e4, 0.0], [-1e4, -1e4]])), [[1, 0], [0.5, 0.5]])


@pytest.mark.parametrize(
    "confidence, correct, expected",
    [
        ([0.95] * 20, [True] * 19 + [False], 0.0),  # 95 % sure, right in 19 of 20
        ([1.0] * 4, [True, True, False, False], 0.5),  # certain, right in half of the cases
        ([0.35, 0.85, 0.85], [True, True, False], (0.65 + 0.7) / 3),
    ],
)
def test_calibration_error(lesson, confidence, correct, expected):
    measured = lesson["calibration_error"](np.array(confidence), np.array(correct))
    assert measured == pytest.approx(expected, abs=1e-9)


# Convolutions and maps


def test_conv2d_is_scipys_correlation(lesson):
    rng = np.random.default_rng(1)
    image, kernel, bias = rng.normal(size=(9, 7, 2)), rng.normal(size=(3, 2, 2, 4)), rng.normal(size=4)
    expected = np.stack(
        [
            sum(signal.correlate2d(image[..., c], kernel[..., c, f], "valid") for c in range(2)) + bias[f]
            for f in range(4)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(lesson["conv2d"](image, kernel, bias), expected, rtol=1e-10)


def test_dead_maps_are_those_that_are_zero_for_every_image(lesson):
    net = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, activation="relu", name="conv")])
    kernel = np.zeros((3, 3, 1, 4), np.float32)
    kernel[1, 1, 0] = [1, -1, 1, 0]
    net.layers[0].set_weights([kernel, np.array([0, 0, -0.8, 1], np.float32)])
    images = np.zeros((3, 6, 6, 1), np.float32)
    assert lesson["dead_maps"](net, "conv", images).tolist() == [0, 1, 2]
    images[2, 3, 3] = 1  # one image wakes map 0, and map 2
    assert lesson["dead_maps"](net, "conv", images).tolist() == [1]


@pytest.mark.parametrize("pixels", range(5))
def test_move_right(lesson, pixels):
    images = np.random.default_rng(2).random((3, 28, 28, 1))
    moved = lesson["move_right"](images, pixels)
    assert np.all(moved[:, :, :pixels] == 0)
    np.testing.assert_array_equal(moved[:, :, pixels:], images[:, :, : 28 - pixels])


def test_framed_puts_zeros_around(lesson):
    images = np.random.default_rng(3).random((2, 28, 28, 1))
    framed = lesson["framed"](images)
    np.testing.assert_array_equal(framed[:, 2:-2, 2:-2], images)
    assert framed.sum() == pytest.approx(images.sum())


# LeNet-5's layers


def test_subsampling_is_a_scaled_sum_with_a_bias(lesson):
    layer = lesson["Subsampling"]()
    x = np.random.default_rng(4).normal(size=(2, 4, 6, 3)).astype(np.float32)
    layer.build(x.shape)
    coefficient, bias = np.array([0.5, -1, 2], np.float32), np.array([0.1, 0.2, -0.3], np.float32)
    layer.set_weights([coefficient, bias])
    sums = x.reshape(2, 2, 2, 3, 2, 3).sum(axis=(2, 4))
    np.testing.assert_allclose(layer(x), np.tanh(coefficient * sums + bias), rtol=1e-5, atol=1e-6)


def test_partial_convolution_is_a_convolution_with_zeros_where_nothing_is_connected(lesson):
    layer = lesson["PartialConv2D"](TABLE)
    x = np.random.default_rng(5).normal(size=(2, 8, 9, 6)).astype(np.float32)
    layer.build(x.shape)
    kernel, bias = (np.random.default_rng(6).normal(size=w.shape).astype(np.float32) for w in layer.get_weights())
    layer.set_weights([kernel, bias])
    full = np.zeros((5, 5, 6, 16), np.float32)
    full[:, :, TABLE == 1] = kernel  # pairs in the order of the table's rows
    np.testing.assert_allclose(layer(x), np.tanh(keras.ops.conv(x, full) + bias), rtol=1e-4, atol=1e-5)
    assert layer.count_params() == 25 * TABLE.sum() + 16


@pytest.fixture
def published(lesson):
    lesson["table"] = TABLE
    return lesson["lenet_as_published"]()


def test_every_weight_of_the_published_net_gets_a_gradient(published):
    import tensorflow as tf

    x = np.random.default_rng(7).random((4, 32, 32, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(published(x) ** 2)
    for weight, gradient in zip(published.weights, tape.gradient(value, published.trainable_weights), strict=True):
        assert np.all(gradient.numpy() != 0), weight.path


def test_the_published_net_is_the_same_after_saving_and_loading(published, tmp_path):
    x = np.random.default_rng(8).random((4, 32, 32, 1)).astype(np.float32)
    published.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), published.predict(x, verbose=0))
    np.testing.assert_array_equal(loaded.get_layer("C3").table, TABLE)


# A student's own drawing


def seven(size=(100, 100), ink=0, paper=255, shift=(0, 0), scale=1.0) -> Image.Image:
    picture = Image.new("L", size, paper)
    points = np.array([(30, 25), (70, 25), (45, 80)]) * scale + shift
    ImageDraw.Draw(picture).line([tuple(point) for point in points], fill=ink, width=max(3, round(8 * scale)))
    return picture


def test_a_digit_is_prepared_alike_wherever_and_however_large_it_was_drawn(prepare):
    reference = prepare(np.asarray(seven()))
    assert reference.shape == (1, 28, 28, 1) and reference.dtype == np.float32
    assert reference.min() == 0 and reference.max() == 1
    light_on_dark = seven(ink=255, paper=0)
    for picture in (seven(shift=(20, -10)), seven(size=(300, 200), scale=2), seven(ink=60, paper=230), light_on_dark):
        other = prepare(np.asarray(picture))
        assert np.abs(other - reference).mean() < 0.03


def test_a_prepared_digit_lies_in_the_middle_and_keeps_its_proportions(prepare):
    grey = np.zeros((90, 60))
    grey[10:70, 20:30] = 255  # 60 high, 10 wide
    ink = prepare(grey)[0, :, :, 0] > 0.5
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert abs(rows[0] - (27 - rows[-1])) <= 1 and abs(columns[0] - (27 - columns[-1])) <= 1
    assert len(rows) in (20, 26) and 3 <= len(columns) <= 5


@pytest.mark.parametrize(
    "grey, reason",
    [
        (np.zeros((28, 28, 3)), r"got shape \(28, 28, 3\), expected \(height, width\)"),
        (np.zeros((7, 60)), r"got shape \(7, 60\), expected \(height, width\), 8×8 or more"),
        (np.full((28, 28), 256), "got 256 to 256, expected 0 to 255"),
        (np.eye(28), "got 0 to 1, expected 0 to 255"),
        (np.full((28, 28), np.nan), "expected 0 to 255"),
        (np.full((28, 28), 128), "an even surface, expected strokes"),
        (np.random.default_rng(9).integers(110, 130, (28, 28)), "an even surface, expected strokes"),
    ],
)
def test_what_is_no_drawing_is_refused_with_a_reason(prepare, grey, reason):
    with pytest.raises(ValueError, match=f"grey: .*{reason}"):
        prepare(grey)
