"""The functions of notebook 03, just as students see them, and its stored results."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.neighbors import KNeighborsClassifier

from helpers import scenes
from helpers.datasets import results
from notebook_code import definitions
from notebook_rules import ROOT

NAME = "03_preprocessing_and_augmentation"
NUISANCES = [knob for knob in scenes.KNOBS if knob not in ("colour", "blur")]


@pytest.fixture(scope="module")
def lesson() -> dict:
    return definitions(NAME)


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


# Scenes


def test_a_nuisance_changes_nothing_but_itself(lesson):
    tidy = lesson["render"](20, 3)
    for nuisance in NUISANCES:
        other = lesson["render"](20, 3, nuisance)
        np.testing.assert_array_equal(other.labels, tidy.labels)
        assert np.any(other.images != tidy.images, axis=(1, 2, 3)).mean() > 0.7
        if nuisance in ("illumination", "noise", "background"):
            np.testing.assert_array_equal(other.masks, tidy.masks)


# Files and ranges


def test_nearest_is_scikit_learns(lesson):
    train, test = random_images(40, 5, 5, 3), random_images(30, 5, 5, 3, seed=1)
    labels = np.arange(40) % 7
    expected = KNeighborsClassifier(1).fit(train.reshape(40, -1), labels).predict(test.reshape(30, -1))
    np.testing.assert_array_equal(lesson["nearest"](train, labels, test), expected)


@pytest.mark.parametrize("place", [(2, 3), (20, 15)])
@pytest.mark.parametrize("size", [(12, 20), (24, 9)])
def test_a_normalised_digit_fills_20_pixels_around_its_centre_of_mass(lesson, place, size):
    canvas = np.zeros((48, 48), np.float32)
    top, left = place
    canvas[top : top + size[0], left : left + size[1]] = 255
    canvas[top, left : left + size[1]] = 128  # a lighter end
    normalised = lesson["normalised"](canvas)
    assert normalised.shape == (28, 28)
    np.testing.assert_allclose(ndimage.center_of_mass(normalised), (13.5, 13.5), atol=0.51)
    rows, columns = (np.flatnonzero(normalised.max(axis=axis)) for axis in (1, 0))
    extent = np.array([np.ptp(rows), np.ptp(columns)]) + 1
    assert extent.max() == 20
    assert extent[0] / extent[1] == pytest.approx(size[0] / size[1], rel=0.1)


def test_the_circle_is_measured_as_it_was_drawn(lesson):
    picture = Image.new("RGB", (60, 50))
    ImageDraw.Draw(picture).rectangle((10, 5, 29, 44), fill=(245, 160, 60))
    assert lesson["size_of_circle"](np.asarray(picture)) == (20, 40)


def test_coins_cannot_be_foretold_but_by_a_leak(lesson):
    rng = np.random.default_rng(5)
    leaky, honest = (np.mean([lesson["coin_accuracy"](rng, which) for _ in range(60)]) for which in ("all", "training"))
    assert leaky > 0.8 and abs(honest - 0.5) < 0.07


# Pipelines


@pytest.mark.parametrize("count, batch", [(10, 3), (32, 32), (5, 8)])
def test_the_pipeline_gives_every_image_once_with_its_label(lesson, count, batch):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    for _ in range(2):
        batches = list(lesson["pipeline"](images, np.arange(count), batch_size=batch))
        assert [len(labels) for _, labels in batches][:-1] == [batch] * (-(-count // batch) - 1)
        seen = [(int(image[0, 0, 0]), int(label)) for x, y in batches for image, label in zip(x, y, strict=True)]
        assert sorted(seen) == [(number, number) for number in range(count)]


def test_the_pipeline_augments_anew_in_each_epoch(lesson):
    lesson["keras"].utils.set_random_seed(0)  # with which tf.random would begin anew in each epoch
    images = random_images(6, 32, 32, 3)
    batches = lesson["pipeline"](images, np.arange(6), lesson["gentle"])

    def epoch() -> dict[int, bytes]:
        pairs = [pair for x, labels in batches for pair in zip(x.numpy(), labels.numpy(), strict=True)]
        return {int(label): image.tobytes() for image, label in pairs}

    first, second = epoch(), epoch()
    assert first.keys() == second.keys() == set(range(6))
    assert all(first[label] != second[label] for label in first)


# Augmentation


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(2, 20), st.floats(-360, 360))
def test_a_turn_is_scipys(lesson, height, width, degrees):
    image = random_images(height, width, 3, seed=height * width).astype(float)
    turned = lesson["rotate"](image, degrees)
    y, x = lesson["source"](image.shape, degrees)
    for channel in range(3):
        # Between the outermost pixels only: beyond them SciPy's border is another
        expected = ndimage.map_coordinates(image[..., channel], (y, x), order=1, mode="grid-constant")
        np.testing.assert_allclose(turned[..., channel], expected, atol=1e-6)


def test_a_turn_is_counter_clockwise(lesson):
    image = random_images(7, 7, 3)
    np.testing.assert_allclose(lesson["rotate"](image, 90), np.rot90(image), atol=1e-9)
    np.testing.assert_allclose(lesson["rotate"](image, 0), image)


def test_another_light_adds_one_colour_along_the_directions(lesson):
    lesson["directions"], lesson["variances"] = np.eye(3)[:, ::-1], np.array([0.01, 0.02, 0.2])
    image = np.full((4, 5, 3), 0.5)
    shifts = np.array([lesson["other_light"](image, np.random.default_rng(seed)) - 0.5 for seed in range(400)])
    assert np.ptp(shifts, axis=(1, 2)).max() < 1e-12  # the same for all pixels
    np.testing.assert_allclose(shifts[:, 0, 0].std(axis=0), [0.02, 0.002, 0.001], rtol=0.15)


def test_gentle_moves_are_affine_gentle_and_fresh(lesson):
    side = 65
    y, x = np.mgrid[:side, :side].astype(np.float32)
    ramp = np.stack([x, y, np.ones_like(x)], axis=-1)  # a pixel's colour is its place
    keras.utils.set_random_seed(0)
    moved = array(lesson["gentle"](np.repeat(ramp[None], 200, axis=0)))
    inner = slice(24, 41)
    design = np.stack([x, y, np.ones_like(x)], axis=-1)[inner, inner].reshape(-1, 3)
    fits = np.array([np.linalg.lstsq(design, image[inner, inner, :2].reshape(-1, 2), rcond=None)[0] for image in moved])
    left_over = moved[:, inner, inner, :2].reshape(200, -1, 2) - design @ fits
    assert np.abs(left_over).max() < 1.1  # nearest pixel

    matrices = fits[:, :2].transpose(0, 2, 1)
    determinants = np.linalg.det(matrices)
    assert 0.3 < (determinants < 0).mean() < 0.7  # mirrored or not
    zooms = np.sqrt(np.abs(determinants))
    assert 0.83 < zooms.min() < 0.9 and 1.1 < zooms.max() < 1.17
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 1, 1]))
    assert -16 < angles.min() < -10 and 10 < angles.max() < 16
    middle = np.array([side // 2, side // 2, 1]) @ fits - side // 2
    assert 2 < np.abs(middle).max() < 4


def test_every_augmentation_keeps_shape_and_range_and_changes_something(lesson):
    images = random_images(8, 32, 32, 3).astype(np.float32)
    for name, way in lesson["augmentations"]().items():
        if way is not None:
            keras.utils.set_random_seed(1)
            changed = array(way(images, training=True))
            assert changed.shape == images.shape, name
            assert np.any(changed != images), name
            assert -120 < changed.min() and changed.max() < 375, name  # Gaussian noise leaves 0 … 255 by a little
            np.testing.assert_allclose(array(way(images, training=False)), images, atol=1e-3)


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),
        ((0, 0, 1, 1), (5, 5, 9, 9), 0),
        ((0, 0, 4, 4), (1, 1, 2, 2), 1 / 16),
    ],
)
def test_iou(lesson, a, b, expected):
    a, b = np.array([a], float), np.array([b], float)
    assert lesson["iou"](a, b) == pytest.approx([expected])
    assert lesson["iou"](b, a) == pytest.approx([expected])


def test_ten_crops_are_corners_middle_and_mirrors(lesson):
    images = random_images(3, 32, 32, 3)
    crops = lesson["ten_crops"](images)
    assert crops.shape == (10, 3, 32, 32, 3)
    np.testing.assert_array_equal(crops[4], images)
    np.testing.assert_array_equal(crops[5:], crops[:5, :, :, ::-1])
    np.testing.assert_array_equal(crops[0][:, 2:, 2:], images[:, :30, :30])  # cut further up and to the left
    np.testing.assert_array_equal(crops[3][:, :30, :30], images[:, 2:, 2:])
    assert len({crop.tobytes() for crop in crops}) == 10


# Stored results


@pytest.mark.parametrize("name", ["augmentation_matrix", "augmentation_sizes"])
def test_a_table_says_how_it_was_made(name):
    first = (ROOT / "data" / "results" / f"{name}.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("#") and first.endswith(": python tests/benchmarks/augmentation.py results")


def test_the_stored_matrix_is_complete(lesson):
    rows = results("augmentation_matrix")
    ways = [*lesson["augmentations"](), "six, 10 times as long"]
    tests = ["tidy", *NUISANCES, "all at once"]
    expected = [(way, test, seed) for seed in range(5) for way in ways for test in tests]
    assert [(row["trained_with"], row["tested_under"], row["seed"]) for row in rows] == expected
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_the_stored_curves_are_complete():
    rows = results("augmentation_sizes")
    cases = {(row["trained"], row["images"], row["batches"], row["seed"]) for row in rows}
    lengths = [*((size, 500) for size in (50, 100, 200, 400, 800, 1_600, 3_200)), (3_200, 2_000)]
    assert cases == {(way, *length, seed) for way in ("plain", "augmented") for length in lengths for seed in range(5)}
    assert len(rows) == len(cases)
