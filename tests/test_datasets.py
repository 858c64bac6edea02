"""The digits and the photographs are what they are said to be, in every run, and without TensorFlow."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from helpers.datasets import PHOTOGRAPHS, load, photograph

ROOT = Path(__file__).resolve().parent.parent
GREY = {"brick", "camera", "grass", "gravel"}


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_digits_are_as_documented(digits):
    assert digits.name == "digits"
    assert digits.x_train.shape == (1437, 8, 8, 1)
    assert digits.x_test.shape == (360, 8, 8, 1)
    assert digits.y_train.shape == (1437,)
    assert digits.y_test.shape == (360,)
    assert digits.x_train.dtype == digits.x_test.dtype == np.uint8
    assert digits.y_train.dtype.kind == "i"
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_every_digit_is_in_one_half_with_its_label(digits):
    original = load_digits()
    images = np.concatenate([digits.x_train, digits.x_test])[..., 0]
    labels = np.concatenate([digits.y_train, digits.y_test])
    restored = np.round(images / (255 / 16)).astype(int)

    def counted(images, labels):
        pairs = zip(images.astype(int), labels, strict=True)
        return Counter((image.tobytes(), int(label)) for image, label in pairs)

    assert counted(restored, labels) == counted(original.images, original.target)


def test_the_split_is_stratified(digits):
    in_test = np.bincount(digits.y_test, minlength=10)
    in_all = in_test + np.bincount(digits.y_train, minlength=10)
    assert np.abs(in_test - 0.2 * in_all).max() < 1


def test_the_split_is_shuffled(digits):
    """The data come in the order of their writers, who must not be in one half only."""
    original = load_digits().target
    assert not np.array_equal(digits.y_train, original[:1437])


@pytest.mark.parametrize("settings", [{}, {"size": 12, "dtype": "float32"}])
def test_loading_again_gives_the_same(settings):
    first, second = load("digits", **settings), load("digits", **settings)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_changing_the_images_does_not_change_the_next_load(digits):
    changed = load("digits")
    changed.x_train[:] = 0
    assert np.array_equal(load("digits").x_train, digits.x_train)


@pytest.mark.parametrize("dtype, top", [("uint8", 255), ("float32", 1)])
def test_digits_can_be_enlarged(digits, dtype, top):
    large = load("digits", size=28, dtype=dtype)
    assert large.x_train.shape == (1437, 28, 28, 1)
    assert large.x_test.shape == (360, 28, 28, 1)
    assert large.x_train.dtype == dtype
    assert (large.x_train.min(), large.x_train.max()) == (0, top)
    assert np.array_equal(large.y_train, digits.y_train)
    # Still the same digits: averaged back to 8×8 blocks they resemble the small ones.
    small, blocks = digits.x_test[..., 0] / 255, large.x_test[:, 2:26, 2:26, 0] / top
    blocks = blocks.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), blocks.ravel())[0, 1] > 0.9


def test_the_same_split_at_float32(digits):
    floats = load("digits", dtype="float32")
    assert floats.x_train.dtype == np.float32
    assert np.array_equal(np.round(floats.x_train * 255), digits.x_train)


def test_repr_is_readable(digits):
    first, classes, source = repr(digits).splitlines()
    assert first == "digits: 1,437 training and 360 test images of 8 × 8 × 1, uint8 from 0 to 255"
    counts = [int(count) for count in re.findall(r"\d: (\d+)", classes)]
    assert counts == np.bincount(digits.y_train).tolist()
    assert "handwritten digits" in source


@pytest.mark.parametrize(
    "arguments, settings, message",
    [
        (("digist",), {}, "name: got 'digist', expected 'digits'"),
        (("Digits",), {}, "name: got 'Digits', expected 'digits'"),
        ((None,), {}, "name: got None, expected 'digits'"),
        (("digits",), {"size": 0}, "size: got 0, expected an integer of at least 1"),
        (("digits",), {"size": -28}, "size: got -28, expected an integer of at least 1"),
        (("digits",), {"size": 28.0}, "size: got 28.0, expected an integer of at least 1"),
        (("digits",), {"size": (28, 28)}, "size: got (28, 28), expected an integer of at least 1"),
        (("digits",), {"dtype": "float64"}, "dtype: got 'float64', expected 'uint8' or 'float32'"),
        (("digits",), {"dtype": float}, "dtype: got <class 'float'>, expected 'uint8' or 'float32'"),
    ],
)
def test_load_refuses(arguments, settings, message):
    with pytest.raises(ValueError) as raised:
        load(*arguments, **settings)
    assert str(raised.value) == message


def test_load_points_to_photograph():
    with pytest.raises(ValueError, match=r"use photograph\('camera'\)"):
        load("camera")


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_pictures(name):
    picture = photograph(name)
    assert picture.dtype == np.uint8
    assert picture.ndim == 2 if name in GREY else picture.shape[2:] == (3,)
    assert min(picture.shape[:2]) >= 256
    assert picture.std() > 10
    assert np.array_equal(picture, photograph(name))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_size_makes_a_square(name):
    assert photograph(name, size=64).shape == ((64, 64) if name in GREY else (64, 64, 3))
    assert photograph(name, size=64, grey=True).shape == (64, 64)


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_a_size_cuts_from_the_middle(name):
    whole = photograph(name)
    height, width = whole.shape[:2]
    assert height < width
    left = (width - height) // 2
    assert np.array_equal(photograph(name, size=height), whole[:, left : left + height])


def test_shrinking_averages_rather_than_skips():
    whole, small = photograph("camera"), photograph("camera", size=64)
    blocks = whole.reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert np.abs(small - blocks).mean() < 0.5 * np.abs(whole[4::8, 4::8] - blocks).mean()


def test_grey_is_luminance():
    colour, grey = photograph("astronaut"), photograph("astronaut", grey=True)
    assert grey.dtype == np.uint8
    assert np.abs(colour @ (0.299, 0.587, 0.114) - grey).max() < 1
    assert np.array_equal(photograph("camera", grey=True), photograph("camera"))


@pytest.mark.parametrize(
    "name, size, message",
    [
        ("cat", None, "name: got 'cat', expected one of astronaut, brick, "),
        ("digits", None, "name: got 'digits', expected one of "),
        ("Camera", None, "name: got 'Camera', expected one of "),
        ("camera", 0, "size: got 0, expected an integer of at least 1"),
        ("camera", 64.0, "size: got 64.0, expected an integer of at least 1"),
    ],
)
def test_photograph_refuses(name, size, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        photograph(name, size=size)


@pytest.mark.parametrize("settings", [{}, {"size": 32}, {"grey": True}])
def test_a_photograph_can_be_painted_on(settings):
    picture = photograph("astronaut", **settings)
    picture[:8, :8] = 0
    assert not picture[:8, :8].any()


def test_loading_needs_no_tensorflow():
    code = """
import sys
from helpers.datasets import PHOTOGRAPHS, load, photograph

load("digits", size=12, dtype="float32")
for name in PHOTOGRAPHS:
    photograph(name, size=16)
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
