"""The pretrained networks: what they take and give, that they arrive whole, and what is said when they do not."""

import runpy
import shutil
import sys
import time
from pathlib import Path

import backbone as recipe
import numpy as np
import pytest
from PIL import Image

from helpers import backbone, quiet_import, real
from helpers.datasets import load
from notebook_rules import ROOT

with quiet_import():
    import keras

STRIPES = np.arange(32 * 32 * 3).reshape(1, 32, 32, 3) * 7 % 256


@pytest.fixture(scope="module")
def course():
    return backbone.load()


def pooled(network, images) -> np.ndarray:
    return np.asarray(network(images, training=False)).mean(axis=(1, 2))


def test_plain_keras_reads_the_weights_and_the_features_stay_the_same(course):
    assert backbone.WEIGHTS.stat().st_size < 3_000_000
    plain, trainable = backbone.build(), backbone.load(trainable=True)
    plain.load_weights(backbone.WEIGHTS)
    for network in (plain, course, trainable):
        found = pooled(network, STRIPES)
        assert (found[0, 3], found.mean(), found.std()) == pytest.approx((4.0080, 0.4862, 1.0679), abs=2e-4)
    assert [len(network.trainable_weights) for network in (course, trainable)] == [0, 33]
    assert {layer.momentum for layer in course.layers if hasattr(layer, "momentum")} == {0.9}
    untrained = backbone.load(pretrained=False)
    assert untrained.count_params() == course.count_params() == 1_319_952
    assert pooled(untrained, STRIPES)[0, 3] != pytest.approx(4.008, abs=0.1)


@pytest.mark.parametrize("size", [32, 48, 96])
def test_images_become_maps_at_an_eighth_each_on_its_own(course, size):
    """Frozen, a network gives an image the same maps in any batch, even if training is asked for."""
    images, before = np.random.default_rng(0).uniform(0, 255, (3, size, size, 3)), course.get_weights()
    alone, together = (np.asarray(course(part, training=True)) for part in (images[:1], images))
    assert together.shape == (3, size // 8, size // 8, 256) and together.min() >= 0
    assert np.allclose(alone[0], together[0], atol=1e-4)
    assert all(map(np.array_equal, before, course.get_weights()))


def test_the_features_know_surfaces_from_each_other(course):
    """The nearest of thirty training images, by angle, is mostly of the same class, whether in bytes or floats."""
    data = load("surfaces", n_train=30, n_test=90, light=1.0, rotation=180)
    train, test = pooled(course, data.x_train), pooled(course, data.x_test.astype(np.float32))
    train, test = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (train, test))
    assert (data.y_train[(test @ train.T).argmax(axis=1)] == data.y_test).mean() > 0.7


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("damage", ["missing", "a byte lost", "one byte", "text", "of another network"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, monkeypatch, damage):
    file, whole = tmp_path / backbone.WEIGHTS.name, backbone.WEIGHTS.read_bytes()
    if damage == "of another network":
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(file)
    elif damage != "missing":
        middle = bytes([whole[1_000_000] ^ 1]) if damage == "one byte" else b""
        file.write_bytes(b"not weights" if damage == "text" else whole[:1_000_000] + middle + whole[1_000_001:])
    monkeypatch.setattr(backbone, "WEIGHTS", file)
    with pytest.raises(OSError, match=r"missing or damaged: run 'git checkout backbone\.weights\.h5'"):
        backbone.load()


@pytest.mark.parametrize("name", ["resnet", None])
def test_an_unknown_network_is_refused(name):
    with pytest.raises(ValueError, match=r"name: got .* expected one of course, mobilenet_v2"):
        backbone.load(name)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_command_says_in_seconds_that_mobilenet_cannot_be_had(cache, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://localhost:9")  # nobody answers there
    monkeypatch.setattr(sys, "argv", ["helpers.backbone", "--fetch"])
    started = time.perf_counter()
    with pytest.raises(SystemExit, match=r'could not be downloaded .*load\("course"\) needs no network'):
        runpy.run_module("helpers.backbone", run_name="__main__")
    assert time.perf_counter() - started < 30  # imports included


def test_mobilenet_is_fetched_into_the_cache_whole_or_not_at_all(cache, monkeypatch):
    monkeypatch.setattr(real, "content", lambda url: b"what came from " + url.encode())

    def interrupted(file, content):
        file.touch()
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Path, "write_bytes", interrupted)
        backbone._fetched_mobilenet()
    assert not list(cache.iterdir())
    assert backbone._fetched_mobilenet().read_bytes() == f"what came from {backbone._MOBILENET_URL}".encode()
    with pytest.raises(OSError, match="missing or damaged: delete it"):
        backbone.load("mobilenet_v2")
    assert backbone.mobilenet_file().is_file()  # which another process may be about to replace


@pytest.mark.parametrize("pretrained", [False, pytest.param(True, marks=pytest.mark.real)])
def test_mobilenet_is_keras_s_own_with_its_preprocessing(cache, pretrained):
    theirs = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    if pretrained:
        shutil.copytree(ROOT.parent / "shared" / "data" / "keras_models", cache)
        theirs.load_weights(backbone.mobilenet_file())
    ours = backbone.load("mobilenet_v2", pretrained=pretrained)
    if not pretrained:
        theirs.set_weights(ours.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(images.copy()), training=False)
    assert np.abs(ours(images, training=False) - expected).max() < 1e-3 * np.max(expected)
    assert ours.trainable_weights == [] and ours.count_params() == 2_257_984


def test_training_learns_goes_on_where_it_stopped_and_stores_weights(tmp_path, monkeypatch, capsys):
    noise = np.random.default_rng(0).normal(0, 30, (512, 640, 3))
    for name, colour in (("blue", (40, 80, 200)), ("red", (200, 80, 40))):
        Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.jpg")
    file = tmp_path / "small.weights.h5"
    monkeypatch.setattr(backbone, "STAGES", ((8, 1),))
    monkeypatch.setattr(recipe, "SIZES", (16, 16))
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(recipe, "accuracy", lambda *arguments: 1 / 0)
        recipe.train(tmp_path, tmp_path / "checkpoints", file)
    assert recipe.train(tmp_path, tmp_path / "checkpoints", file) > 0.5
    printed = capsys.readouterr().out
    assert "epoch  2 of 2" in printed and "epoch  1 of 2" not in printed  # the first was done
    trained = keras.models.load_model(tmp_path / "checkpoints" / "model.keras").layers[0]
    monkeypatch.setattr(backbone, "WEIGHTS", file)
    for ours, stored in zip(trained.get_weights(), backbone.load().get_weights(), strict=True):
        assert np.allclose(ours, stored, rtol=1e-3 * (ours.ndim == 4), atol=1e-6)  # kernels alone lose digits
