"""Real data sets and folders of photographs through `load`, where they lie beside the repository: `pytest -m real`."""

import gzip
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import notebook_rules
from helpers.datasets import load, stream
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


def test_a_stream_gives_what_load_gives(mnist):
    read = stream("mnist")
    assert (int(read.train.cardinality()), int(read.test.cardinality())) == (60_000, 10_000)
    images, labels = next(read.train.batch(200).as_numpy_iterator())
    assert np.array_equal(images, mnist.x_train[:200])
    assert np.array_equal(labels, mnist.y_train[:200])


def test_a_stream_feeds_keras(cache):
    import helpers

    with helpers.quiet_import():
        import keras
    keras.utils.set_random_seed(0)
    read = stream("cifar10", n_train=512, dtype="float32")
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(read.train.shuffle(512, seed=0).batch(64), epochs=5, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    "folder, classes",
    [
        ("flower_photos", "daisy, dandelion, roses, sunflowers, tulips"),
        ("pavements", "asphalt, cobblestone, compacted, gravel, ground, paving_stones, sett"),
    ],
)
def test_folders_of_photographs(folder, classes):
    data = load(DATA / folder, size=64)
    count = len(data.class_names)
    assert ", ".join(data.class_names) == classes
    assert data.x_train.shape == (80 * count, 64, 64, 3)
    assert set(np.bincount(data.y_train)) == {80}
    assert set(np.bincount(data.y_test)) == {20}
    assert not np.array_equal(data.y_train, np.sort(data.y_train))
    assert data.x_train.std() > 40


def test_photographs_keep_their_class_and_their_looks():
    """Every picture is a shrunk copy of some file in the folder of its class."""
    data = load(DATA / "flower_photos", size=16)
    files = sorted((DATA / "flower_photos" / "tulips").iterdir())
    shrunk = np.stack(
        [np.asarray(Image.open(file).convert("RGB").resize((16, 16), Image.Resampling.BICUBIC)) for file in files]
    )
    tulips = data.x_test[data.y_test == data.class_names.index("tulips")].astype(float)
    nearest = [np.abs(shrunk - image).mean(axis=(1, 2, 3)) for image in tulips]
    assert len(tulips) == 20
    assert max(distances.min() for distances in nearest) < 10
    assert len({distances.argmin() for distances in nearest}) == 20


def test_street_scenes_with_masks(tmp_path):
    (tmp_path / "images").symlink_to(DATA / "camvid_small" / "train")
    (tmp_path / "masks").symlink_to(DATA / "camvid_small" / "trainannot")
    streets = load(tmp_path, size=96)
    assert (len(streets.x_train), len(streets.x_test)) == (128, 32)
    assert streets.masks_train.shape == (128, 96, 96)
    assert set(np.unique(streets.masks_train)) == set(range(12))
    assert streets.boxes_train is None
    # Class 0 is the sky, class 3 the road: one is above, the other below, and the sky is the brighter.
    rows = np.arange(96)[:, None] * np.ones(96, int)
    sky, road = streets.masks_train == 0, streets.masks_train == 3
    assert np.broadcast_to(rows, sky.shape)[sky].mean() < 30 < 60 < np.broadcast_to(rows, road.shape)[road].mean()
    assert streets.x_train[sky].mean() > streets.x_train[road].mean() + 50


def test_notebook_02_runs_on_mnist(cache):
    execute("02_building_cnns_with_keras", DATASET="mnist")


def test_notebook_03_runs_on_cifar10(cache):
    execute("03_preprocessing_and_augmentation", DATASET="cifar10")


def test_notebook_03_runs_on_a_folder_of_photographs():
    execute("03_preprocessing_and_augmentation", DATASET=str(DATA / "flower_photos"))


def test_notebook_05_teaches_on_a_folder_of_real_photographs():
    execute("05_transfer_learning", DATASET=str(DATA / "pavements"))
