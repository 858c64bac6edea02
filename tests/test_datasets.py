"""The embedded sets and the photographs are what they are said to be, in every run, and without TensorFlow."""

import base64
import io
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import lfw_subset
from skimage.feature import match_template
from sklearn.datasets import load_digits

from helpers import datasets, scenes
from helpers.datasets import PHOTOGRAPHS, SURFACES, DataSet, load, photograph, stream

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
# No light and no turning: what is cut out is what was photographed.
PLAIN = {"light": 0, "rotation": 0}
FEW = {"n_train": 30, "n_test": 20}


@pytest.fixture(scope="module")
def sets():
    return {name: load(name) for name in DOCUMENTED}


@pytest.fixture(scope="module")
def digits(sets):
    return sets["digits"]


def arrays(data: DataSet) -> dict[str, np.ndarray]:
    return {field: value for field, value in vars(data).items() if isinstance(value, np.ndarray)}


def equal(first: DataSet, second: DataSet) -> bool:
    first, second = arrays(first), arrays(second)
    return first.keys() == second.keys() and all(np.array_equal(first[field], second[field]) for field in first)


def pixels(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


# All embedded sets


def test_all_embedded_sets_are_tested():
    assert list(datasets._EMBEDDED) == list(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_set_is_as_documented(sets, name):
    data = sets[name]
    train, test, shape, class_names = DOCUMENTED[name]
    assert data.name == name
    assert (data.x_train.shape, data.x_test.shape) == ((train, *shape), (test, *shape))
    assert (data.y_train.shape, data.y_test.shape) == ((train,), (test,))
    assert data.x_train.dtype == data.x_test.dtype == np.uint8
    assert data.y_train.dtype.kind == data.y_test.dtype.kind == "i"
    assert data.class_names == class_names
    assert set(data.y_train) == set(data.y_test) == set(range(len(class_names)))
    for images in (data.x_train, data.x_test):
        assert images.min() < 16
        assert images.max() == 255
        assert len(set(pixels(images))) > 0.95 * len(images)


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("settings", [{}, {"size": 40, "dtype": "float32", "n_train": 50, "seed": 1}])
def test_loading_again_gives_the_same(name, settings):
    assert equal(load(name, **settings), load(name, **settings))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_changing_the_arrays_does_not_change_the_next_load(sets, name):
    for array in arrays(load(name)).values():
        array[:] = 0
    assert equal(load(name), sets[name])


@pytest.mark.parametrize("name", DOCUMENTED)
def test_float32_is_the_same_from_0_to_1(sets, name):
    data, floats = sets[name], load(name, dtype="float32")
    for part in ("train", "test"):
        images, of_floats = getattr(data, f"x_{part}"), getattr(floats, f"x_{part}")
        assert of_floats.dtype == np.float32
        assert np.array_equal(of_floats, images.astype(np.float32) / 255)
        assert np.array_equal(getattr(data, f"y_{part}"), getattr(floats, f"y_{part}"))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_size_is_that_of_the_images(name):
    data = load(name, size=37, n_train=20)
    assert data.x_train.shape[:3] == (20, 37, 37)
    assert data.x_test.shape[1:] == data.x_train.shape[1:]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_numbers_may_be_numpy_s(name):
    plain = {"size": 40, "n_train": 150, "seed": 200}
    assert equal(load(name, **{key: np.uint8(value) for key, value in plain.items()}), load(name, **plain))


@pytest.mark.parametrize("name", DRAWN)
def test_another_seed_draws_others(sets, name):
    other = load(name, seed=1)
    for field in ("x_train", "x_test"):
        assert not set(pixels(getattr(other, field))) & set(pixels(getattr(sets[name], field)))


@pytest.mark.parametrize("name", DRAWN)
def test_as_many_are_drawn_as_asked_for_with_the_classes_in_balance(name):
    data = load(name, n_train=41, n_test=19)
    assert (len(data.x_train), len(data.x_test)) == (41, 19)
    assert np.ptp(np.bincount(data.y_train, minlength=len(data.class_names))) <= 1
    assert np.ptp(np.bincount(data.y_test, minlength=len(data.class_names))) <= 1


@pytest.mark.parametrize("name", SPLIT)
def test_without_n_train_a_seed_changes_nothing(sets, name):
    assert equal(load(name, seed=1), sets[name])


# n_train


@pytest.mark.parametrize("name", SPLIT)
def test_n_train_takes_some_with_the_classes_in_proportion(sets, name):
    whole, some = sets[name], load(name, n_train=55)
    assert len(some.x_train) == len(some.y_train) == 55
    in_whole, in_some = np.bincount(whole.y_train), np.bincount(some.y_train)
    assert np.abs(in_some - 55 * in_whole / in_whole.sum()).max() < 1
    assert np.array_equal(some.x_test, whole.x_test)
    assert np.array_equal(some.y_test, whole.y_test)


@pytest.mark.parametrize("name", SPLIT)
def test_a_seed_draws_the_images_of_n_train(name):
    first, second = (load(name, n_train=55, seed=seed) for seed in (0, 1))
    assert set(pixels(first.x_train)) != set(pixels(second.x_train))


@pytest.mark.parametrize("name", SPLIT)
def test_more_training_images_are_the_fewer_ones_and_others(sets, name):
    def pairs(data):
        return Counter(zip(pixels(data.x_train), data.y_train.tolist(), strict=True))

    few, more, whole = pairs(load(name, n_train=20)), pairs(load(name, n_train=60)), pairs(sets[name])
    assert few <= more <= whole


@pytest.mark.parametrize(
    "name, n_train, message",
    [
        ("digits", 0, "got 0, expected an integer of at least 1"),
        ("digits", 100.0, "got 100.0, expected an integer of at least 1"),
        ("digits", 9, "got 9, expected 10 (one of each class) to 1437 (all)"),
        ("digits", 1438, "got 1438, expected 10 (one of each class) to 1437 (all)"),
        ("faces", 1, "got 1, expected 2 (one of each class) to 160 (all)"),
        ("faces", 161, "got 161, expected 2 (one of each class) to 160 (all)"),
        ("surfaces", -1, "got -1, expected an integer of at least 1"),
        ("shapes", 0, "got 0, expected an integer of at least 1"),
    ],
)
def test_n_train_is_from_one_of_each_class_to_all(name, n_train, message):
    with pytest.raises(ValueError) as raised:
        load(name, n_train=n_train)
    assert str(raised.value) == f"n_train: {message}"


SEEDS = st.integers(0, 1000)


@st.composite
def labels_of_classes(draw, fewest: int) -> np.ndarray:
    """Labels of classes of very different size, at least so many in each, in any order."""
    of_each = draw(st.lists(st.integers(fewest, 40), min_size=1, max_size=12))
    return np.random.default_rng(draw(SEEDS)).permutation(np.repeat(np.arange(len(of_each)), of_each))


@given(labels=labels_of_classes(1), seed=SEEDS, data=st.data())
def test_a_stratified_choice_is_exact_and_in_proportion(labels, seed, data):
    classes, in_all = np.unique(labels, return_counts=True)
    count = data.draw(st.integers(len(classes), len(labels)))
    chosen = datasets._stratified(labels, count, seed, "n_train")
    assert chosen.shape == (count,)
    assert np.all(np.diff(chosen) > 0)
    assert set(chosen) <= set(range(len(labels)))
    in_chosen = (labels[chosen] == classes[:, None]).sum(axis=1)
    assert in_chosen.min() >= 1
    # Webster's method: no class's last image has its turn after another's next one. With classes of different size that
    # bounds no single class's distance from its share, which can be more than one image.
    more, fewer = in_chosen > 1, in_chosen < in_all
    if more.any() and fewer.any():
        last, following = (in_chosen - 0.5) / in_all, (in_chosen + 0.5) / in_all
        assert last[more].max() <= following[fewer].min()
    if len(set(in_all)) == 1:
        assert np.ptp(in_chosen) <= 1


@given(labels=labels_of_classes(1), seed=SEEDS, data=st.data())
def test_smaller_stratified_choices_are_within_larger_ones(labels, seed, data):
    counts = st.integers(len(np.unique(labels)), len(labels))
    few, more = sorted([data.draw(counts), data.draw(counts)])
    chosen = [set(datasets._stratified(labels, count, seed, "n_train")) for count in (few, more)]
    assert chosen[0] <= chosen[1]


@given(labels=labels_of_classes(2))
def test_a_division_has_every_class_on_both_sides(labels):
    train, test = datasets._divided(labels)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(test) > 0)
    assert set(labels[train]) == set(labels[test]) == set(labels)
    assert len(test) == max(len(set(labels)), np.ceil(0.2 * len(labels)))
    assert all(map(np.array_equal, datasets._divided(labels), (train, test)))


def test_a_class_of_one_image_cannot_be_divided():
    with pytest.raises(ValueError) as raised:
        datasets._divided(np.array([0, 3, 0, 1, 1]))
    assert str(raised.value) == "name: class number 3 has one image only, expected one to train and one to test on"


# Digits


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


# Faces


def test_every_face_is_a_face(sets):
    data, original = sets["faces"], np.round(lfw_subset() * 255).astype(np.uint8)
    faces, others = set(pixels(original[:100])), set(pixels(original[100:]))
    images, labels = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    assert len(images) == len(original)
    assert set(pixels(images[labels == 1])) == faces
    assert set(pixels(images[labels == 0])) == others
    assert np.bincount(data.y_train).tolist() == [80, 80]
    assert np.bincount(data.y_test).tolist() == [20, 20]


def test_faces_are_mixed_with_others(sets):
    assert 40 < np.abs(np.diff(sets["faces"].y_train)).sum()


# Surfaces


def repaint(monkeypatch, paint) -> None:
    """Have every photograph's left five eighths and the rest painted on before it is cut up."""

    def painted(name):
        picture = photograph(name)
        paint(*np.split(picture, [picture.shape[1] * 5 // 8], axis=1))
        return picture

    monkeypatch.setattr(datasets, "photograph", painted)


def test_surfaces_are_grey_as_rgb(sets):
    for images in (sets["surfaces"].x_train, sets["surfaces"].x_test):
        assert np.array_equal(images, np.repeat(images[..., :1], 3, axis=-1))


@pytest.mark.parametrize("part, columns", [("train", (0, 320)), ("test", (320, 512))])
def test_a_crop_is_found_where_it_was_cut_out(part, columns):
    data = load("surfaces", **PLAIN, crop=48, size=48, n_train=9, n_test=9)
    for crop, label in zip(getattr(data, f"x_{part}")[..., 0], getattr(data, f"y_{part}"), strict=True):
        likeness = [match_template(photograph(name), crop) for name in SURFACES]
        best = [each.max() for each in likeness]
        assert np.argmax(best) == label
        assert best[label] > 0.85, "a place between two pixels blurs a little"
        top, left = np.unravel_index(likeness[label].argmax(), likeness[label].shape)
        assert columns[0] <= left <= columns[1] - 48
        window = photograph(SURFACES[label])[top : top + 48, left : left + 48]
        assert crop.mean() == pytest.approx(window.mean(), abs=2)


REACHING = [
    {},
    {"crop": 8, "size": 8, "rotation": 45},
    {"rotation": 180},
    {"crop": 128, "rotation": 180},
    {"crop": 128, "rotation": 180, "light": 1, "seed": 5},
]


@pytest.mark.parametrize("settings", REACHING)
@pytest.mark.parametrize("side, same, others", [(0, "x_test", "x_train"), (1, "x_train", "x_test")])
def test_training_and_test_crops_share_no_pixel(monkeypatch, settings, side, same, others):
    before = load("surfaces", n_train=150, n_test=150, **settings)
    noise = np.random.default_rng(0)

    def paint(*sides):
        sides[side][:] = noise.integers(0, 256, sides[side].shape)

    repaint(monkeypatch, paint)
    after = load("surfaces", n_train=150, n_test=150, **settings)
    assert np.array_equal(getattr(after, same), getattr(before, same))
    assert not set(pixels(getattr(after, others))) & set(pixels(getattr(before, others)))


@pytest.mark.parametrize("crop", [8, 64, 128])
@pytest.mark.parametrize("rotation", [0, 45, 180])
def test_crops_do_not_reach_beyond_their_part(monkeypatch, crop, rotation):
    def paint(left, right):
        left[:], right[:] = 100, 200

    repaint(monkeypatch, paint)
    data = load("surfaces", n_train=200, n_test=200, light=0, rotation=rotation, crop=crop, size=crop)
    assert set(np.unique(data.x_train)) == {100}
    assert set(np.unique(data.x_test)) == {200}


def test_crops_come_from_all_over_their_part(monkeypatch):
    def paint(left, right):
        for side in (left, right):
            side[:] = np.linspace(0, 255, side.shape[1])

    repaint(monkeypatch, paint)
    across = load("surfaces", **PLAIN, crop=8, size=8).x_train.mean(axis=(1, 2, 3))
    assert across.min() < 10
    assert across.max() > 245
    assert across.mean() == pytest.approx(127.5, abs=10)


@pytest.mark.parametrize("largest", [0, 30, 180])
def test_rotation_turns_by_angles_up_to_the_largest_either_way(monkeypatch, largest):
    def paint(left, right):
        for side in (left, right):
            side[:] = np.linspace(0, 255, len(side))[:, None]  # brighter downwards

    repaint(monkeypatch, paint)
    images = load("surfaces", light=0, rotation=largest, size=64).x_train[..., 0].astype(float)
    down = (images[:, -8:].mean(axis=(1, 2)) - images[:, :8].mean(axis=(1, 2))).astype(float)
    right = (images[:, :, -8:] - images[:, :, :8]).mean(axis=(1, 2))
    angles = np.rad2deg(np.arctan2(right, down))
    assert np.abs(angles).max() <= largest + 1
    if largest:
        assert angles.max() > 0.95 * largest
        assert angles.min() < -0.95 * largest


@pytest.mark.parametrize("light", [0, 0.3, 1])
def test_light_changes_brightness(monkeypatch, light):
    def paint(*sides):
        for side in sides:
            side[:] = 128

    repaint(monkeypatch, paint)
    levels = load("surfaces", light=light).x_train.astype(int)
    assert np.ptp(levels, axis=(1, 2, 3)).max() == 0
    change = levels[:, 0, 0, 0] - 128
    assert np.abs(change).max() <= round(96 * light)
    assert change.max() >= 90 * light
    assert change.min() <= -90 * light


def test_light_changes_contrast():
    before, after = (load("surfaces", light=light).x_train.astype(float) for light in (0, 0.3))
    unclipped = (after.min(axis=(1, 2, 3)) > 0) & (after.max(axis=(1, 2, 3)) < 255)
    contrast = after[unclipped].std(axis=(1, 2, 3)) / before[unclipped].std(axis=(1, 2, 3))
    assert unclipped.sum() > 100
    assert contrast.min() == pytest.approx(2**-0.3, abs=0.03)
    assert contrast.max() == pytest.approx(2**0.3, abs=0.03)


@pytest.mark.parametrize("settings", [{"crop": 8}, {"crop": 128}, {"light": 1}, {"rotation": 180}, {"seed": 1}])
def test_settings_of_surfaces_change_the_images(settings):
    default, changed = load("surfaces", **FEW), load("surfaces", **FEW, **settings)
    for field in ("x_train", "x_test"):
        assert not set(pixels(getattr(default, field))) & set(pixels(getattr(changed, field)))


def test_settings_of_surfaces_may_be_numpy_s():
    plain = {"n_test": 20, "crop": 128, "light": 0.5, "rotation": 180}
    small = {"n_test": np.uint8(20), "crop": np.uint8(128), "light": np.float16(0.5), "rotation": np.uint8(180)}
    assert equal(load("surfaces", n_train=30, **small), load("surfaces", n_train=30, **plain))


# Shapes


def test_boxes_and_masks_of_shapes_belong_to_their_images():
    plain = dict.fromkeys(("colour", "background"), "fixed")
    data = load("shapes", **FEW, **plain, size=48)
    for part in ("train", "test"):
        images, boxes, masks = (getattr(data, f"{what}_{part}") for what in ("x", "boxes", "masks"))
        assert masks.shape == images.shape[:3]
        assert masks.dtype == np.uint8
        assert boxes.shape == (len(images), 4)
        # Half way from the red of slate to that of orange
        assert np.array_equal(masks, images[..., 0] > 147)
        for mask, box in zip(masks, boxes, strict=True):
            rows, columns = np.nonzero(mask)
            extent = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
            assert box * 48 == pytest.approx(extent)


@pytest.mark.parametrize("knob", scenes.KNOBS)
def test_knobs_of_shapes_are_turned(knob):
    default = load("shapes", **FEW)
    images = [load("shapes", **FEW, **{knob: setting}) for setting in ("fixed", "random")]
    for field in ("x_train", "x_test"):
        fixed, random = (getattr(data, field) for data in images)
        assert not np.array_equal(fixed, random)
        assert np.array_equal(getattr(default, field), fixed) or np.array_equal(getattr(default, field), random)


def test_shapes_of_some_classes_are_numbered_in_that_order():
    fixed = dict.fromkeys(scenes.KNOBS, "fixed")
    data = load("shapes", **FEW, **fixed, classes=("star", "ring"))
    assert data.class_names == ("star", "ring")
    assert np.bincount(data.y_train).tolist() == [15, 15]
    assert np.bincount(data.y_test).tolist() == [10, 10]
    for label, name in enumerate(data.class_names):
        alone = load("shapes", **FEW, **fixed, classes=[name])
        assert set(pixels(data.x_train[data.y_train == label])) == set(pixels(alone.x_train))


def test_no_scene_is_for_training_and_for_testing():
    loaded = [load("shapes", seed=seed) for seed in range(4)]
    train, test = (
        {scene for data in loaded for scene in pixels(getattr(data, field))} for field in ("x_train", "x_test")
    )
    assert (len(train), len(test)) == (4 * 800, 4 * 200)
    assert not train & test


# What is refused

NAMES = (
    "expected digits, surfaces, faces, shapes, a set of tensorflow-datasets "
    "(mnist, fashion_mnist, cifar10, cifar100, tf_flowers, oxford_iiit_pet, ...) or the path of a folder"
)
NO_NAME = "expected the name of a data set or the path of a folder"
SIDE = "expected an integer of at least 1"


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("digist", {}, f"name: got 'digist', {NAMES} (did you mean 'digits'?)"),
        ("Digits", {}, f"name: got 'Digits', {NAMES} (did you mean 'digits'?)"),
        ("surface", {}, f"name: got 'surface', {NAMES} (did you mean 'surfaces'?)"),
        ("cifar_10", {}, f"name: got 'cifar_10', {NAMES} (did you mean 'cifar10'?)"),
        ("zzzzzzzz", {}, f"name: got 'zzzzzzzz', {NAMES}"),
        ("no/such/folder", {}, f"name: got 'no/such/folder', {NAMES}"),
        ("camera", {}, "name: got 'camera', which is a photograph: use photograph('camera')"),
        ("", {}, f"name: got '', {NO_NAME}"),
        (None, {}, f"name: got None, {NO_NAME}"),
        (3, {}, f"name: got 3, {NO_NAME}"),
        (b"digits", {}, f"name: got b'digits', {NO_NAME}"),
        (["digits"], {}, f"name: got ['digits'], {NO_NAME}"),
        ("digits", {"size": 0}, f"size: got 0, {SIDE}"),
        ("digits", {"size": -28}, f"size: got -28, {SIDE}"),
        ("digits", {"size": 28.0}, f"size: got 28.0, {SIDE}"),
        ("digits", {"size": (28, 28)}, f"size: got (28, 28), {SIDE}"),
        ("digits", {"dtype": "float64"}, "dtype: got 'float64', expected 'uint8' or 'float32'"),
        ("digits", {"dtype": float}, "dtype: got <class 'float'>, expected 'uint8' or 'float32'"),
        ("digits", {"seed": -1}, "seed: got -1, expected an integer of at least 0"),
        ("digits", {"seed": None}, "seed: got None, expected an integer of at least 0"),
    ],
)
def test_load_and_stream_refuse(name, settings, message):
    for function in (load, stream):
        with pytest.raises(ValueError) as raised:
            function(name, **settings)
        assert str(raised.value) == message


OF_SURFACES = "is no setting of 'surfaces', which has n_test, crop, light, rotation"
OF_SHAPES = f"is no setting of 'shapes', which has n_test, classes, {', '.join(scenes.KNOBS)}"
CLASSES = f"expected different names out of {', '.join(scenes.CLASSES)}"


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("digits", {"n_test": 5}, "n_test: is no setting of 'digits', which has none"),
        ("faces", {"crop": 20}, "crop: is no setting of 'faces', which has none"),
        ("mnist", {"light": 0}, "light: is no setting of 'mnist', which has none"),
        ("surfaces", {"light": 0, "blur": "fixed"}, f"blur: {OF_SURFACES}"),
        ("surfaces", {"n_test": 0}, f"n_test: got 0, {SIDE}"),
        ("surfaces", {"n_test": None}, f"n_test: got None, {SIDE}"),
        ("surfaces", {"crop": 7}, "crop: got 7, expected an integer of at least 8"),
        ("surfaces", {"crop": 129}, "crop: got 129, expected at most 128"),
        ("surfaces", {"light": -0.1}, "light: got -0.1, expected a number from 0 to 1"),
        ("surfaces", {"light": 1.01}, "light: got 1.01, expected a number from 0 to 1"),
        ("surfaces", {"rotation": -1}, "rotation: got -1, expected a number from 0 to 180"),
        ("surfaces", {"rotation": 181}, "rotation: got 181, expected a number from 0 to 180"),
        ("shapes", {"objects": 2}, f"objects: {OF_SHAPES}"),
        ("shapes", {"n_test": 1.5}, f"n_test: got 1.5, {SIDE}"),
        ("shapes", {"colour": "red"}, "colour: got 'red', expected 'fixed' or 'random'"),
        ("shapes", {"classes": ("star", "cat")}, f"classes: got ('star', 'cat'), {CLASSES}"),
        ("shapes", {"size": 31}, "size: got 31, expected an integer of at least 32"),
    ],
)
def test_settings_are_refused(name, settings, message):
    with pytest.raises(ValueError) as raised:
        load(name, **settings)
    assert str(raised.value) == message


@pytest.mark.parametrize("name", DOCUMENTED)
def test_more_than_fits_is_refused(sets, monkeypatch, name):
    needed = sets[name].x_train.nbytes + sets[name].x_test.nbytes
    monkeypatch.setattr(datasets, "LARGEST", needed)
    assert equal(load(name), sets[name])
    count = len(sets[name].x_train) + len(sets[name].x_test)
    for settings in ({"size": 64}, {"dtype": "float32"}):
        with pytest.raises(ValueError, match=rf"^size: {count:,} images of .* take .* GiB, expected at most "):
            load(name, **settings)


# Streams


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("settings", [{}, {"size": 32, "dtype": "float32", "n_train": 40, "seed": 2}])
def test_a_stream_gives_what_load_gives(name, settings):
    data, streamed = load(name, **settings), stream(name, **settings)
    for part in ("train", "test"):
        images, labels = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        examples = getattr(streamed, part)
        image, label = examples.element_spec
        assert (tuple(image.shape), tuple(label.shape)) == (images.shape[1:], ())
        assert (image.dtype.name, label.dtype.name) == (images.dtype, "int64")
        assert examples.cardinality() == len(images)
        streamed_images, streamed_labels = next(examples.batch(len(images)).as_numpy_iterator())
        assert np.array_equal(streamed_images, images)
        assert np.array_equal(streamed_labels, labels)
    assert (streamed.name, streamed.class_names, streamed.source) == (data.name, data.class_names, data.source)


def test_a_stream_s_repr_is_readable():
    assert repr(stream("faces", dtype="float32")).splitlines() == [
        "faces: a stream of 160 training and 40 test images of 25 × 25 × 1, float32",
        "classes: no face, face",
        "source: 100 faces of Labeled Faces in the Wild (Huang et al. 2007) and 100 other crops, in scikit-image",
    ]


# What a notebook shows


class Page(HTMLParser):
    """The images, tags' styles and words of a piece of HTML whose tags are closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.images, self.styles, self.words, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self._open.append(tag)
            self.styles.append(dict(attrs).get("style", ""))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def pictures(self) -> list[np.ndarray]:
        addresses = [image["src"].removeprefix("data:image/bmp;base64,") for image in self.images]
        return [np.array(Image.open(io.BytesIO(base64.b64decode(address)))) for address in addresses]

    def frames(self) -> list[list[float]]:
        """Left, top, width and height, in percent, of what lies over the images."""
        found = [re.findall(r"(?:left|top|width|height):([\d.]+)%", style) for style in self.styles]
        return [[float(value) for value in values] for values in found if len(values) == 4]


def made(class_names: tuple[str, ...], of_each: int = 3, shape: tuple[int, ...] = (6, 5, 3), name="made") -> DataSet:
    """A set of noise, `of_each` images of every class to train on and one to test on."""
    labels = np.repeat(np.arange(len(class_names)), of_each)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), *shape), np.uint8)
    return DataSet(name, images, labels, images[::of_each], labels[::of_each], class_names, "nowhere & <never>")


def test_repr_is_readable(digits):
    first, classes, source = repr(digits).splitlines()
    assert first == "digits: 1,437 training and 360 test images of 8 × 8 × 1, uint8 from 0 to 255"
    counts = [int(count) for count in re.findall(r"\d: (\d+)", classes)]
    assert counts == np.bincount(digits.y_train).tolist()
    assert "handwritten digits" in source


def test_repr_mentions_boxes_masks_and_floats():
    data = load("shapes", **FEW, classes=("star", "ring"), dtype="float32")
    first, classes, _ = repr(data).splitlines()
    low, high = data.x_train.min(), data.x_train.max()
    assert first == (
        f"shapes: 30 training and 20 test images of 32 × 32 × 3, float32 from {low:g} to {high:g}, with boxes and masks"
    )
    assert classes == "training images of each class: star: 15, ring: 15"


def test_many_classes_are_counted_together():
    twelve, thirteen = (made(tuple(f"class {number}" for number in range(count))) for count in (12, 13))
    assert "class 0: 3, class 1: 3, " in repr(twelve)
    assert repr(thirteen).splitlines()[1] == "training images of each class: 3 in 13 classes"
    fewer = DataSet(**{**vars(thirteen), "x_train": thirteen.x_train[1:], "y_train": thirteen.y_train[1:]})
    assert repr(fewer).splitlines()[1] == "training images of each class: 2 to 3 in 13 classes"


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_html_shows_the_facts_and_images_of_every_class(name, dtype):
    data = load(name, dtype=dtype)
    page = Page(data._repr_html_())
    for line in repr(data).splitlines():
        key, _, value = line.partition(": ")
        assert {key, value} <= set(page.words)
    shown = Counter(image["alt"] for image in page.images)
    assert set(shown) == set(data.class_names)
    assert len(set(shown.values())) == 1
    assert sum(shown.values()) <= 12
    known = {class_name: set() for class_name in data.class_names}
    for image, label in zip(load(name).x_train, data.y_train, strict=True):
        known[data.class_names[label]].add(image.tobytes())
    for image, picture in zip(page.images, page.pictures(), strict=True):
        assert picture.tobytes() in known[image["alt"]]
        assert image["alt"] in page.words, "the class stands below"
    assert data._repr_html_() == data._repr_html_() == load(name, dtype=dtype)._repr_html_()


def test_html_frames_the_object(sets):
    data = sets["shapes"]
    page = Page(data._repr_html_())
    indices = [pixels(data.x_train).index(picture.tobytes()) for picture in page.pictures()]
    assert len(page.frames()) == len(indices) >= 10
    assert np.array(page.frames()) == pytest.approx(100 * data.boxes_train[indices], abs=0.051)
    assert Page(sets["faces"]._repr_html_()).frames() == []


@pytest.mark.parametrize("classes, shown", [(1, 12), (2, 12), (5, 10), (7, 7), (12, 12), (40, 12)])
def test_html_has_a_dozen_thumbnails_at_most(classes, shown):
    data = made(tuple(f"class {number}" for number in range(classes)), of_each=12)
    assert len(Page(data._repr_html_()).images) == shown


def test_html_escapes_names():
    page = Page(made(("<b>&", '" onload="'), name="<i>")._repr_html_())
    assert {image["alt"] for image in page.images} == {"<b>&", '" onload="'}
    assert {"<i>", "<b>&", "nowhere & <never>"} <= set(page.words)


@pytest.mark.parametrize(
    "shape, thumbnail", [((300, 600, 3), (56, 112)), ((400, 200, 1), (112, 56)), ((1, 1, 1), (1, 1))]
)
def test_a_thumbnail_of_a_large_image_is_small(shape, thumbnail):
    first, *_ = Page(made(("a", "b"), 1, shape)._repr_html_()).pictures()
    assert first.shape[:2] == thumbnail


# Photographs


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
        ("cat", None, "name: got 'cat', expected the path of a picture, with its ending, or one of astronaut, brick, "),
        ("digits", None, "name: got 'digits', expected the path of a picture, with its ending, or one of "),
        ("Camera", None, "name: got 'Camera', expected the path of a picture, with its ending, or one of "),
        ("camera", 0, "size: got 0, expected an integer of at least 1"),
        ("camera", 64.0, "size: got 64.0, expected an integer of at least 1"),
    ],
)
def test_photograph_refuses(name, size, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        photograph(name, size=size)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_a_photograph_may_be_a_file_of_any_usual_kind(tmp_path, mode):
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("black", (10, 5, 20, 30))
    file = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    picture.convert(mode).save(file)
    expected = np.full((40, 60), 255)
    expected[5:30, 10:20] = 0
    for name in (file, str(file)):
        assert np.abs(photograph(name, grey=True) - expected).mean() < 2
    assert photograph(file).shape == (40, 60, 3)
    assert photograph(file, size=16).shape == (16, 16, 3)


def test_what_is_transparent_in_a_photograph_is_white(tmp_path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert photograph(tmp_path / "clear.png").min() == 255


def test_files_that_are_no_photographs_are_refused_with_a_reason(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png: is not an image that Pillow can read"):
        photograph(tmp_path / "text.png")
    for missing in (tmp_path / "missing.png", str(tmp_path / "missing.png"), tmp_path):
        with pytest.raises(ValueError, match=r"name: got .*, which is no file, expected the path of a picture"):
            photograph(missing)


@pytest.mark.parametrize("settings", [{}, {"size": 32}, {"grey": True}])
def test_a_photograph_can_be_painted_on(settings):
    picture = photograph("astronaut", **settings)
    picture[:8, :8] = 0
    assert not picture[:8, :8].any()


# The whole


def test_loading_needs_no_tensorflow():
    code = """
import sys
from helpers import datasets

for name in datasets._EMBEDDED:
    datasets.load(name, size=32, dtype="float32", n_train=20)._repr_html_()
for name in datasets.PHOTOGRAPHS:
    datasets.photograph(name, size=16)
print(sorted({"tensorflow", "keras", "tensorflow_datasets"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


def test_the_data_sheet_states_the_source_of_everything():
    sheet = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in sheet.splitlines() if line.startswith("| `")]
    named = [row[0].strip("`") for row in rows]
    assert sorted(named) == sorted([*datasets._EMBEDDED, *datasets._REAL, *PHOTOGRAPHS])
    for row in rows:
        assert len(row) == 4
        assert all(row), f"{row[0]} has an empty cell"
