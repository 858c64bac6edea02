"""The pretrained networks: what they take and give, that they arrive whole, and what is said when they do not."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import backbone, quiet_import, real
from helpers.datasets import load

with quiet_import():
    import keras

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def course():
    return backbone.load()


def pooled(network, images) -> np.ndarray:
    return np.asarray(network(images, training=False)).mean(axis=(1, 2))


def test_the_weights_that_ship_are_small_and_without_objects():
    assert backbone.WEIGHTS.stat().st_size <= MOST_BYTES
    with np.load(backbone.WEIGHTS, allow_pickle=False) as stored:
        assert all(np.isfinite(stored[name]).all() for name in stored.files)


@pytest.mark.parametrize("size", [32, 48, 96])
def test_images_become_maps_at_an_eighth(course, size):
    maps = np.asarray(course(np.zeros((2, size, size, 3), np.uint8), training=False))
    assert maps.shape == (2, size // 8, size // 8, 256)
    assert maps.min() >= 0


def test_it_comes_frozen_and_in_inference_mode(course):
    assert course.trainable_weights == []
    before = course.get_weights()
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    alone = np.asarray(course(images[:1], training=True))
    together = np.asarray(course(images, training=True))
    assert np.allclose(alone[0], together[0], atol=1e-4)  # the batch does not matter, even if training is asked for
    assert all((old == new).all() for old, new in zip(before, course.get_weights(), strict=True))


def test_trainable_when_asked():
    network = backbone.load(trainable=True)
    kernels = [variable for variable in network.trainable_weights if "kernel" in variable.path]
    assert len(kernels) == 11
    assert len(network.trainable_weights) == 33


def test_the_scaling_is_inside(course):
    """Whole numbers or floats, the same image gives the same features; and the range matters."""
    images = load("surfaces", n_train=6, n_test=1).x_train
    assert images.dtype == np.uint8
    as_bytes, as_floats = pooled(course, images), pooled(course, images.astype(np.float32))
    assert np.array_equal(as_bytes, as_floats)
    assert np.abs(pooled(course, images / 255) - as_floats).max() > 0.1


def test_two_loads_agree_and_random_ones_do_not(course):
    image = np.full((1, 32, 32, 3), 200, np.uint8)
    assert np.array_equal(pooled(course, image), pooled(backbone.load(), image))
    keras.utils.set_random_seed(0)
    random = backbone.load(pretrained=False)
    assert random.count_params() == course.count_params() == 1_319_952
    assert not np.allclose(pooled(course, image), pooled(random, image), atol=1e-3)


def test_the_features_know_surfaces_from_each_other(course):
    """The nearest of thirty training images, by angle, is mostly of the same class; by pixels it is not."""
    data = load("surfaces", n_train=30, n_test=90, light=1.0, rotation=180)
    right = {}
    for space in ("features", "pixels"):
        vectors = [
            pooled(course, part) if space == "features" else part.reshape(len(part), -1) - 128.0
            for part in (data.x_train, data.x_test)
        ]
        train, test = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors)
        right[space] = (data.y_train[(test @ train.T).argmax(axis=1)] == data.y_test).mean()
    assert right["features"] > 0.7
    assert right["features"] > right["pixels"] + 0.2


def test_what_is_saved_is_loaded(tmp_path, monkeypatch):
    keras.utils.set_random_seed(1)
    network = backbone.build()
    monkeypatch.setattr(backbone, "WEIGHTS", tmp_path / "weights.npz")
    backbone.save(network, backbone.WEIGHTS)
    loaded = backbone.load()
    for old, new in zip(network.get_weights(), loaded.get_weights(), strict=True):
        assert np.allclose(old, new, rtol=1e-3, atol=1e-6)  # kernels lose digits, nothing else


@pytest.mark.parametrize("damage", ["cut", "other", "text"])
def test_a_damaged_file_is_named(tmp_path, monkeypatch, damage):
    file = tmp_path / "backbone.npz"
    if damage == "cut":
        file.write_bytes(backbone.WEIGHTS.read_bytes()[:100_000])
    elif damage == "other":
        np.savez(file, stem=np.zeros(3))
    else:
        file.write_text("not weights")
    monkeypatch.setattr(backbone, "WEIGHTS", file)
    with pytest.raises(OSError, match=r"backbone\.npz is damaged.*git checkout"):
        backbone.load()


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(backbone, "WEIGHTS", tmp_path / "backbone.npz")
    with pytest.raises(FileNotFoundError, match=r"backbone\.npz is not there"):
        backbone.load()


@pytest.mark.parametrize("name", ["resnet", "", None, 3])
def test_an_unknown_network_is_refused(name):
    with pytest.raises(ValueError, match=r"name: got .* expected one of course, mobilenet_v2"):
        backbone.load(name)


# MobileNetV2, without its weights


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def test_mobilenet_says_in_seconds_that_it_cannot_be_had(empty_cache, monkeypatch):
    monkeypatch.setattr(backbone, "_MOBILENET_URL", "http://localhost:9/weights.h5")  # nobody answers there
    started = time.perf_counter()
    with pytest.raises(ConnectionError, match=r'load\("course"\) needs no network.*--fetch'):
        backbone.load("mobilenet_v2")
    assert time.perf_counter() - started < 10
    assert not list(empty_cache.glob("*.h5"))


def test_mobilenet_is_fetched_into_keras_s_cache(empty_cache, monkeypatch):
    monkeypatch.setattr(real, "content", lambda url: b"what came from " + url.encode())
    file = backbone._fetched()
    assert file.parent == empty_cache
    assert file.read_bytes() == f"what came from {backbone._MOBILENET_URL}".encode()


def test_a_damaged_mobilenet_is_removed(empty_cache):
    empty_cache.mkdir()
    file = empty_cache / backbone._MOBILENET_FILE
    file.write_bytes(b"half a file")
    with pytest.raises(OSError, match="was damaged and has been removed"):
        backbone.load("mobilenet_v2")
    assert not file.exists()


# How it was trained


@pytest.fixture
def mosaics(tmp_path):
    """Two classes of 320 images that differ in colour."""
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (40, 80, 200)), ("red", (200, 80, 40))):
        pixels = np.clip(rng.normal(colour, 30, (512, 640, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    return tmp_path


def test_training_learns_goes_on_where_it_stopped_and_stores_weights(mosaics, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(backbone, "SIZES", (16, 16))
    monkeypatch.setattr(backbone, "CHANNELS", (8, 8, 8))
    checkpoints, file = tmp_path / "checkpoints", tmp_path / "weights.npz"
    accuracy_of = backbone._accuracy

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(backbone, "_accuracy", stop)
    with pytest.raises(KeyboardInterrupt):
        backbone.train(mosaics, checkpoints, file)
    monkeypatch.setattr(backbone, "_accuracy", accuracy_of)
    assert not file.exists()
    assert backbone.train(mosaics, checkpoints, file) > 0.5
    printed = capsys.readouterr().out
    assert "epoch  2 of 2" in printed and "epoch  1 of 2" not in printed  # the first was done
    monkeypatch.setattr(backbone, "WEIGHTS", file)
    assert backbone.load().output.shape[-1] == 8


def test_augmentation_keeps_images_apart_and_in_range():
    images = np.random.default_rng(0).integers(0, 256, (50, 24, 24, 3), dtype=np.uint8)
    varied = backbone._varied(images, np.random.default_rng(1))
    assert varied.shape == images.shape and varied.dtype == np.uint8
    assert (varied != images).any(axis=(1, 2, 3)).all()
    assert np.array_equal(varied, backbone._varied(images, np.random.default_rng(1)))


@pytest.mark.parametrize(("what", "message"), [("nothing", "found 0 JPEG files"), ("small", "expected 640 by 512")])
def test_other_folders_are_refused(tmp_path, what, message):
    if what == "small":
        for name in "ab":
            Image.new("RGB", (64, 64)).save(tmp_path / f"{name}.jpg")
    with pytest.raises(ValueError, match=f"folder: .*{message}"):
        backbone.train(tmp_path, tmp_path / "checkpoints", tmp_path / "weights.npz")


# With the real weights, which are not part of the repository

SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("keras")
    shutil.copytree(SHARED / "data" / "keras_models", home / "models")
    return home


@pytest.mark.real
def test_mobilenet_is_keras_own_with_its_preprocessing(keras_home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    ours = backbone.load("mobilenet_v2")
    theirs = keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights=None)
    theirs.load_weights(backbone.mobilenet_file())
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(images.copy()), training=False)
    assert np.allclose(ours(images, training=False), expected, atol=1e-3)
    assert ours.trainable_weights == [] and ours.count_params() == 2_257_984


@pytest.mark.real
def test_a_probe_on_mobilenet_knows_flowers(keras_home, monkeypatch):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    data = load(SHARED / "data" / "flower_photos", size=160)
    images, labels = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    network = backbone.load("mobilenet_v2")
    vectors = np.concatenate([pooled(network, images[first : first + 50]) for first in range(0, len(images), 50)])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    assert cross_val_score(probe, vectors, labels, cv=5).mean() >= 0.8


@pytest.mark.real
def test_the_command_says_without_network_what_to_do(tmp_path):
    """In a process of its own, as an instructor would run it."""
    settings = os.environ | {"KERAS_HOME": str(tmp_path), "https_proxy": "http://localhost:9"}
    started = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "helpers.backbone", "--fetch"], cwd=ROOT, env=settings, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "could not be downloaded" in run.stderr and "needs no network" in run.stderr
    assert time.perf_counter() - started < 30
