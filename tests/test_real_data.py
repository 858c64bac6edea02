"""Real data sets through `load`, where they lie beside the repository, and notebooks on them: `pytest -m real`."""

import gzip
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import notebook_rules
from helpers.datasets import load
from notebook_code import execute

pytestmark = pytest.mark.real

SHARED = notebook_rules.ROOT.parent / "shared"
DATA = SHARED / "data"
CLASSES = {
    "mnist": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "fashion_mnist": "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
    "cifar10": "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder in which tensorflow-datasets finds MNIST, Fashion-MNIST and CIFAR-10, with no way to the network."""
    folder = tmp_path_factory.mktemp("real")
    command = [sys.executable, SHARED / "prepare_real_data.py", folder, "mnist", "fashion_mnist", "cifar10"]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        for proxy in ("HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(proxy, "http://127.0.0.1:9")
        yield folder


@pytest.fixture(scope="module")
def mnist(cache):
    return load("mnist")


def idx(name: str, header: int) -> np.ndarray:
    with gzip.open(DATA / "mnist" / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


@pytest.mark.parametrize(
    "name, shape, train, test",
    [
        ("mnist", (28, 28, 1), 60_000, 10_000),
        ("fashion_mnist", (28, 28, 1), 60_000, 10_000),
        ("cifar10", (32, 32, 3), 50_000, 10_000),
    ],
)
def test_sets_are_as_published(cache, name, shape, train, test):
    data = load(name)
    assert (data.x_train.shape, data.x_test.shape) == ((train, *shape), (test, *shape))
    assert (data.y_train.shape, data.y_test.shape) == ((train,), (test,))
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert (data.x_train.min(), data.x_train.max()) == (0, 255)
    assert ", ".join(data.class_names) == CLASSES[name]
    if name != "mnist":
        assert set(np.bincount(data.y_train)) == {train // 10}
        assert set(np.bincount(data.y_test)) == {test // 10}
    assert data.boxes_train is data.masks_train is None


def test_mnist_statistics(mnist):
    assert mnist.x_train.mean() == pytest.approx(33.3184, abs=5e-5)
    assert mnist.x_train.std() == pytest.approx(78.5675, abs=5e-5)
    assert np.bincount(mnist.y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_fashion_mnist_statistics(cache):
    images = load("fashion_mnist").x_train / 255
    assert (images.mean(), images.std()) == pytest.approx((0.2860, 0.3530), abs=5e-5)


def test_cifar10_statistics(cache):
    """Published per-channel means; the copy that lies here went through lossy compression."""
    images = load("cifar10").x_train
    assert images.mean(axis=(0, 1, 2)) == pytest.approx([125.3, 123.0, 113.9], abs=0.5)


def test_mnist_holds_the_pixels_and_labels_of_the_original_files(mnist):
    images, labels = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784), idx("t10k-labels-idx1-ubyte.gz", 8)

    def counted(images, labels):
        return Counter((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))

    assert counted(mnist.x_test.reshape(-1, 784), mnist.y_test) == counted(images, labels)


def test_the_order_is_always_the_same(mnist):
    again = load("mnist")
    assert np.array_equal(again.x_test, mnist.x_test)
    assert np.array_equal(again.y_train, mnist.y_train)


def test_a_part_is_taken_from_the_training_images_only(mnist):
    part = load("mnist", n_train=500, dtype="float32")
    assert np.abs(np.bincount(part.y_train) - 500 * np.bincount(mnist.y_train) / 60_000).max() < 1
    everything = {image.tobytes() for image in mnist.x_train}
    assert all(image.tobytes() in everything for image in np.rint(part.x_train * 255).astype(np.uint8))
    assert np.array_equal(np.rint(part.x_test * 255), mnist.x_test)


def test_notebook_02_runs_on_mnist(cache):
    execute("02_building_cnns_with_keras", DATASET="mnist", EPOCHS=4)  # each training once over all images


def test_notebook_03_runs_on_cifar10(cache):
    execute("03_preprocessing_and_augmentation", DATASET="cifar10")
