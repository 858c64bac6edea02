"""The functions of notebook 01 on real images, where those lie beside the repository: `pytest -m real`."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import helpers
import notebook_code
import notebook_rules

pytestmark = pytest.mark.real

DATA = notebook_rules.ROOT.parent / "shared" / "data"
SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def mnist_test_images(count: int) -> np.ndarray:
    with gzip.open(DATA / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16)
    return pixels.reshape(-1, 28, 28, 1)[:count]


def photographs(count: int) -> list[Path]:
    return sorted((DATA / "flower_photos").rglob("*.jpg"))[:count]


@pytest.fixture(scope="module")
def lesson() -> dict:
    return notebook_code.definitions("01_convolution_by_hand")


@pytest.fixture(scope="module")
def tf():
    with helpers.quiet_import():
        import tensorflow
    return tensorflow


def test_edges_of_mnist_digits(lesson, tf):
    digits = mnist_test_images(100).astype(np.float32)
    kernel = SOBEL[:, :, None, None].astype(np.float32)
    expected = tf.nn.conv2d(digits, kernel, 1, "VALID").numpy()
    assert np.array_equal(lesson["conv_im2col"](digits, kernel), expected)
    assert np.array_equal(lesson["conv2d"](digits[0, :, :, 0], SOBEL), expected[0, :, :, 0])


def test_a_layer_on_colour_photographs(lesson, tf):
    paths = photographs(3)
    assert len(paths) == 3
    kernel = np.random.default_rng(0).normal(size=(5, 5, 3, 8)).astype(np.float32)
    for path in paths:
        photo = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        expected = tf.nn.conv2d(photo[None], kernel, 2, "VALID").numpy()
        assert np.allclose(lesson["conv_im2col"](photo[None], kernel, stride=2), expected, atol=1e-4)


def test_learning_a_kernel_from_a_real_photograph(lesson):
    """Gradient descent with the notebook's own backward pass finds the kernel that made the edge map."""
    photo = np.asarray(Image.open(photographs(1)[0]).convert("L"), float)[None, :, :, None]
    photo = (photo - photo.mean()) / photo.std()
    target = lesson["conv_im2col"](photo, SOBEL[:, :, None, None])
    kernel, velocity = np.random.default_rng(0).normal(size=(3, 3, 1, 1)), 0
    for _ in range(600):
        error = lesson["conv_im2col"](photo, kernel) - target
        _, gradient = lesson["conv_backward"](photo, kernel, 2 * error / error.size)
        velocity = 0.9 * velocity - 0.05 * gradient
        kernel += velocity
    assert np.abs(kernel[:, :, 0, 0] - SOBEL).max() < 0.1
