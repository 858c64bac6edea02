"""The embedded sets, the photographs and the tables are what they are said to be, in every run, without TensorFlow."""

import csv
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import lfw_subset
from skimage.feature import match_template
from sklearn.datasets import load_digits

from helpers import datasets, real, scenes
from helpers.datasets import OPTIONS, PHOTOGRAPHS, SURFACES, DataSet, load, photograph, results

ROOT = Path(__file__).resolve().parent.parent
GREY = {"brick", "camera", "grass", "gravel"}
# How many images to train and to test on, of which shape, and the classes
DOCUMENTED = {
    "digits": (1437, 360, (8, 8, 1), tuple("0123456789")),
    "surfaces": (600, 300, (32, 32, 3), ("brick", "gravel", "grass")),
    "faces": (160, 40, (25, 25, 1), ("no face", "face")),
    "shapes": (800, 200, (32, 32, 3), scenes.CLASSES),
}
SPLIT, DRAWN = ("digits", "faces"), ("surfaces", "shapes")
FEW = {"n_train": 30, "n_test": 20}


@pytest.fixture(scope="module")
def sets():
    return {name: load(name) for name in DOCUMENTED}


def equal(first: DataSet, second: DataSet) -> bool:
    return all(np.array_equal(value, getattr(second, field)) for field, value in vars(first).items())


def pixels(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


# All embedded sets


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_set_is_as_documented(sets, name):
    data = sets[name]
    train, test, shape, class_names = DOCUMENTED[name]
    assert (data.name, data.class_names) == (name, class_names)
    assert (data.x_train.shape, data.x_test.shape) == ((train, *shape), (test, *shape))
    assert (data.y_train.shape, data.y_test.shape) == ((train,), (test,))
    assert data.y_train.dtype.kind == data.y_test.dtype.kind == "i"
    assert set(data.y_train) == set(data.y_test) == set(range(len(class_names)))
    assert len(set(pixels(data.x_train)) - set(pixels(data.x_test))) > 0.95 * train
    for images in (data.x_train, data.x_test):
        assert images.dtype == np.uint8 and images.min() < 16 and images.max() == 255


@pytest.mark.parametrize("name", DOCUMENTED)
def test_loading_again_gives_the_same_in_other_forms(sets, name):
    settings = {"size": 40, "n_train": 50, "seed": 1}
    data, floats = load(name, **settings), load(name, dtype="float32", **settings)
    assert data.x_train.shape[:3] == (50, 40, 40)
    assert equal(data, load(name, **{key: np.uint8(value) for key, value in settings.items()}))
    assert floats.x_train.dtype == floats.x_test.dtype == np.float32
    assert np.array_equal(floats.x_train, data.x_train.astype(np.float32) / 255)
    assert np.array_equal(floats.x_test, data.x_test.astype(np.float32) / 255)
    load(name).x_train[:] = 0
    assert equal(load(name), sets[name])


@pytest.mark.parametrize("name, digest", [("digits", "296f3e973c09"), ("faces", "6ad167911d2e")])
def test_splits_stay_what_the_stored_results_were_measured_on(sets, name, digest):
    data = sets[name]
    arrays = (data.x_train, data.y_train.astype("<i8"), data.x_test, data.y_test.astype("<i8"))
    assert hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:12] == digest


@pytest.mark.parametrize("name", DRAWN)
def test_as_many_are_drawn_as_asked_for_in_balance_and_others_by_another_seed(name):
    data, other = load(name, n_train=41, n_test=19), load(name, n_train=41, n_test=19, seed=1)
    assert np.ptp(np.bincount(data.y_train, minlength=len(data.class_names))) <= 1
    assert (len(data.x_train), len(data.x_test)) == (41, 19)
    drawn = [set(pixels(images)) for images in (data.x_train, data.x_test, other.x_train, other.x_test)]
    assert len(set.union(*drawn)) == 120


@pytest.mark.parametrize("name", SPLIT)
def test_n_train_takes_some_with_the_classes_in_proportion(sets, name):
    whole, some, more, other = sets[name], *(load(name, n_train=n, seed=s) for n, s in ((55, 0), (80, 0), (55, 1)))
    share = np.bincount(whole.y_train) / len(whole.y_train)
    assert np.abs(np.bincount(some.y_train) - 55 * share).max() < 1
    pairs = [Counter(zip(pixels(each.x_train), each.y_train.tolist(), strict=True)) for each in (some, more, whole)]
    assert pairs[0] <= pairs[1] <= pairs[2]
    assert set(pixels(some.x_train)) != set(pixels(other.x_train))
    assert np.array_equal(some.x_test, whole.x_test) and np.array_equal(other.y_test, whole.y_test)


@st.composite
def labels_of_classes(draw) -> np.ndarray:
    """Labels of classes of very different size, at least two in each, in any order."""
    of_each = draw(st.lists(st.integers(2, 40), min_size=1, max_size=12))
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(np.repeat(np.arange(len(of_each)), of_each))


@given(labels=labels_of_classes(), seed=st.integers(0, 99), data=st.data())
def test_a_stratified_choice_is_exact_in_proportion_and_within_larger_ones(labels, seed, data):
    in_all = np.bincount(labels)
    count = data.draw(st.integers(len(in_all), len(labels)))
    chosen = datasets.stratified(labels, count, seed, "n_train")
    assert len(chosen) == count and np.all(np.diff(chosen) > 0)
    in_chosen = np.bincount(labels[chosen], minlength=len(in_all))
    assert in_chosen.min() >= 1
    # Webster's method: no class's last image has its turn after another's next one.
    more, fewer = in_chosen > 1, in_chosen < in_all
    if more.any() and fewer.any():
        assert ((in_chosen - 0.5) / in_all)[more].max() <= ((in_chosen + 0.5) / in_all)[fewer].min()
    assert set(chosen) <= set(datasets.stratified(labels, min(count + 3, len(labels)), seed, "n_train"))


@given(labels=labels_of_classes())
def test_a_division_has_every_class_on_both_sides(labels):
    train, test = datasets.divide(labels, tuple("abcdefghijkl"))
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert set(labels[train]) == set(labels[test]) == set(labels)
    assert len(test) == max(len(set(labels)), np.ceil(0.2 * len(labels)))


# Each embedded set


def test_digits_and_faces_are_the_originals_with_their_labels(sets):
    original = load_digits()
    faces = np.round(lfw_subset() * 255)
    for name, images, labels, scale in (
        ("digits", original.images, original.target, 255 / 16),
        ("faces", faces, np.repeat([1, 0], 100), 1),
    ):
        data = sets[name]
        x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
        restored = zip(pixels(np.round(x[..., 0] / scale).astype(int)), y.tolist(), strict=True)
        assert Counter(restored) == Counter(zip(pixels(images.astype(int)), labels.tolist(), strict=True))
        assert np.abs(np.diff(data.y_train)).sum() > 40, "mixed"


@pytest.mark.parametrize("part, columns", [("train", (0, 320)), ("test", (320, 512))])
def test_a_crop_of_a_surface_is_found_where_it_was_cut_out(part, columns):
    data = load("surfaces", light=0, size=64, n_train=9, n_test=9)
    for crop, label in zip(getattr(data, f"x_{part}"), getattr(data, f"y_{part}"), strict=True):
        assert np.ptp(crop, axis=-1).max() == 0, "grey as RGB"
        likeness = [match_template(photograph(name), crop[..., 0]) for name in SURFACES]
        assert np.argmax([each.max() for each in likeness]) == label
        assert likeness[label].max() > 0.85, "a place between two pixels blurs a little"
        _, left = np.unravel_index(likeness[label].argmax(), likeness[label].shape)
        assert columns[0] <= left <= columns[1] - 64


@pytest.mark.parametrize("rotation", [0, 45, 180])
def test_training_and_test_crops_share_no_pixel(monkeypatch, rotation):
    """Each part of the photographs has a level of its own, which no crop of the other part has."""
    levels = np.repeat([100, 200], [320, 192]) * np.ones((512, 1))
    monkeypatch.setattr(datasets, "photograph", lambda name: levels.astype(np.uint8))
    data = load("surfaces", n_train=200, n_test=200, light=0, rotation=rotation)
    assert set(np.unique(data.x_train)) == {100}
    assert set(np.unique(data.x_test)) == {200}


@pytest.mark.parametrize("largest, light", [(0, 0), (30, 0.3), (180, 1)])
def test_rotation_and_light_reach_what_is_asked_for(monkeypatch, largest, light):
    ramp = np.linspace(0, 255, 512)[:, None] * np.ones(512)
    monkeypatch.setattr(datasets, "photograph", lambda name: ramp.astype(np.uint8))
    images = load("surfaces", light=0, rotation=largest, size=64).x_train[..., 0].astype(float)
    down = (images[:, -8:].mean(axis=(1, 2)) - images[:, :8].mean(axis=(1, 2))).astype(float)
    right = (images[:, :, -8:] - images[:, :, :8]).mean(axis=(1, 2))
    angles = np.rad2deg(np.arctan2(right, down))
    assert angles.max() == pytest.approx(largest, rel=0.05, abs=1)
    assert angles.min() == pytest.approx(-largest, rel=0.05, abs=1)
    monkeypatch.setattr(datasets, "photograph", lambda name: np.full((512, 512), 128, np.uint8))
    change = load("surfaces", light=light).x_train.astype(int) - 128
    assert round(96 * light) >= change.max() >= 90 * light and -round(96 * light) <= change.min() <= -90 * light


def test_shapes_are_the_renderer_s_with_their_annotations():
    settings = {"classes": ("star", "ring"), "background": "fixed"}
    data = load("shapes", **FEW, size=48, seed=3, **settings)
    assert data.class_names == ("star", "ring")
    for part, count, seed in (("train", 30, 6), ("test", 20, 7)):
        scene = scenes.render(count, size=48, seed=seed, **settings)
        for field, what in (("x", "images"), ("y", "labels"), ("boxes", "boxes"), ("masks", "masks")):
            assert np.array_equal(getattr(data, f"{field}_{part}"), getattr(scene, what))


# What is refused, and what is said

NAMES = f"expected digits, surfaces, faces, shapes, a set of tensorflow-datasets ({', '.join(real.KNOWN)}, ...) or"
SURFACES_HAVE = "is no setting of 'surfaces', which has n_test, light, rotation"


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("digist", {}, f"name: got 'digist', {NAMES} the path of a folder"),
        ("no/such/folder", {}, f"name: got 'no/such/folder', {NAMES} the path of a folder"),
        (["digits"], {}, "name: got ['digits'], expected the name of a data set or the path of a folder"),
        ("digits", {"size": 28.0}, "size: got 28.0, expected an integer of at least 1"),
        ("digits", {"size": 60_000}, "size: 1,797 images of 60000×60000 take 6024.9 GiB, expected at most 2: choose a"),
        ("digits", {"dtype": float}, "dtype: got <class 'float'>, expected 'uint8' or 'float32'"),
        ("digits", {"seed": None}, "seed: got None, expected an integer of at least 0"),
        ("digits", {"n_train": 0}, "n_train: got 0, expected an integer of at least 1"),
        ("digits", {"n_train": 9}, "n_train: got 9, expected 10 (one of each class) to 1437 (all)"),
        ("faces", {"n_train": 161}, "n_train: got 161, expected 2 (one of each class) to 160 (all)"),
        ("digits", {"n_test": 5}, "n_test: is no setting of 'digits', which has none"),
        ("surfaces", {"light": 0, "blur": "fixed"}, f"blur: {SURFACES_HAVE}"),
        ("surfaces", {"n_test": 0}, "n_test: got 0, expected an integer of at least 1"),
        ("surfaces", {"light": 1.01}, "light: got 1.01, expected a number from 0 to 1"),
        ("surfaces", {"rotation": 181}, "rotation: got 181, expected a number from 0 to 180"),
        ("shapes", {"objects": 2}, "objects: is no setting of 'shapes', which has n_test, classes, "),
    ],
)
def test_load_refuses(name, settings, message):
    with pytest.raises(ValueError) as raised:
        load(name, **settings)
    assert str(raised.value).startswith(message)


def test_a_set_says_in_plain_text_what_it_is(sets):
    first, classes, source = repr(sets["digits"]).splitlines()
    assert first == "digits: 1,437 training and 360 test images of 8 × 8 × 1, uint8 from 0 to 255"
    assert [int(n) for n in re.findall(r"\d: (\d+)", classes)] == np.bincount(sets["digits"].y_train).tolist()
    assert "handwritten digits" in source
    data = load("shapes", **FEW, classes=("star", "ring"), dtype="float32")
    assert re.search(
        r"× 3, float32 from 0.0\d+ to (1|0.99\d*), with boxes and masks\n.*star: 15, ring: 15\n", repr(data)
    )
    many = DataSet("many", data.x_train[:27], np.arange(27) % 13, data.x_test, data.y_test, tuple("abcdefghijklm"), "")
    assert "training images of each class: 2 to 3 in 13 classes" in repr(many)


# Photographs and tables


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_pictures(name):
    picture = photograph(name)
    assert picture.dtype == np.uint8
    assert picture.ndim == 2 if name in GREY else picture.shape[2:] == (3,)
    assert min(picture.shape[:2]) >= 256 and picture.std() > 10
    small = photograph(name, size=64)
    assert small.shape == ((64, 64) if name in GREY else (64, 64, 3))
    small[:] = 0  # may be painted on


def test_a_size_cuts_from_the_middle_and_averages():
    whole = photograph("coffee")
    assert np.array_equal(photograph("coffee", size=400), whole[:, 100:500])
    whole, small = photograph("camera"), photograph("camera", size=64)
    blocks = whole.reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert np.abs(small - blocks).mean() < 0.5 * np.abs(whole[4::8, 4::8] - blocks).mean()


def test_grey_is_luminance():
    colour, grey = photograph("astronaut"), photograph("astronaut", grey=True)
    assert np.abs(colour @ (0.299, 0.587, 0.114) - grey).max() < 1


def test_a_photograph_may_be_a_file(tmp_path):
    Image.new("RGBA", (20, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert photograph(tmp_path / "clear.png").shape == photograph(str(tmp_path / "clear.png")).shape == (30, 20, 3)
    assert photograph(tmp_path / "clear.png", size=8, grey=True).min() == 255, "what is transparent is white"
    with pytest.raises(ValueError, match=r"^name: got .*, which is no file, expected the path of a picture"):
        photograph(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r"^name: got 'cat', expected the path of a picture, with its ending, or one "):
        photograph("cat")


def test_results_are_the_rows_of_a_table():
    assert results("streets")[0] == {"method": "most frequent at the place", "seed": 0.0, "mean IoU": 0.171}
    assert results("budget")[0]["notebook"] == "01_convolution_by_hand"
    for file in (ROOT / "data" / "results").glob("*.csv"):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert [list(map(str, row)) for row in csv.reader(lines[:1])] == [list(results(file.stem)[0])]
        assert len(results(file.stem)) == len(lines) - 1


# The whole


def test_loading_needs_no_tensorflow():
    code = f"""
import sys
from helpers.datasets import load, photograph
assert "matplotlib" not in sys.modules
for name in {list(DOCUMENTED)}:
    print(load(name, size=32, dtype="float32", n_train=20))
assert not {{"tensorflow", "keras", "tensorflow_datasets"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_data_sheet_states_the_source_of_everything():
    sheet = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in sheet.splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip("`") for row in rows) == sorted([*OPTIONS, *real.KNOWN, *PHOTOGRAPHS])
    assert all(len(row) == 4 and all(row) for row in rows)
