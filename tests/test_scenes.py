"""Class, box and mask agree with the picture, every knob does what it says and no more, and every scene repeats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from scipy import ndimage

from helpers.scenes import CLASSES, KNOBS, boxes_of, render

FIXED, RANDOM = dict.fromkeys(KNOBS, "fixed"), dict.fromkeys(KNOBS, "random")
SHAPING = ("position", "scale", "rotation", "viewpoint")
PAINTING = ("colour", "background", "illumination", "noise", "blur")


def grown(masks: np.ndarray, pixels: int) -> np.ndarray:
    """Grown by this many pixels in every direction, or shrunk if the number is negative."""
    side = 2 * abs(pixels) + 1
    around = np.ones((1,) * (masks.ndim - 2) + (side, side))
    return ndimage.binary_dilation(masks, around) if pixels > 0 else ndimage.binary_erosion(masks, around)


def coverage(images: np.ndarray) -> np.ndarray:
    """How much of each pixel is object, read from the colours alone: every one is a blend of the same two."""
    pixels = images.reshape(-1, 3).astype(float)
    away = pixels - np.median(pixels, axis=0)  # from the slate
    orange = away[np.abs(away).sum(axis=1).argmax()]
    share = away @ orange / (orange @ orange)
    assert np.abs(away - share[:, None] * orange).max() <= 1, "another colour than the two"
    return share.reshape(images.shape[:-1])


def areas(masks: np.ndarray) -> np.ndarray:
    return masks.sum(axis=(-2, -1), dtype=float)


# What is returned


@given(
    st.builds(
        render,
        st.integers(1, 4),
        size=st.integers(32, 128),
        seed=st.integers(0, 2**64),
        objects=st.integers(1, 4),
        classes=st.lists(st.sampled_from(CLASSES), min_size=1, unique=True),
        **{knob: st.sampled_from(["fixed", "random"]) for knob in KNOBS},
    )
)
def test_labels_masks_and_boxes_fit_together(scenes):
    count, size, _, channels = scenes.images.shape
    of_each = scenes.labels.shape
    assert (of_each[0], channels) == (count, 3)
    assert (scenes.masks.shape, scenes.boxes.shape) == ((*of_each, size, size), (*of_each, 4))
    assert (scenes.images.dtype, scenes.masks.dtype, scenes.boxes.dtype) == (np.uint8, np.uint8, np.float32)
    assert 0 <= scenes.labels.min() <= scenes.labels.max() < len(scenes.class_names)
    masks = scenes.masks.reshape(count, -1, size, size)
    assert masks.sum(axis=1).max() == 1, "a pixel belongs to two objects"
    for mask, box in zip(masks.reshape(-1, size, size), scenes.boxes.reshape(-1, 4), strict=True):
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert box.tolist() == [left, top, right, bottom]


def test_boxes_of_masks_that_are_not_square():
    masks = np.zeros((3, 4, 8), np.uint8)
    masks[1, 1:3, 2:7] = masks[2, 3, 0] = masks[2, 0, 7] = 255
    assert np.array_equal(boxes_of(masks), [(0, 0, 0, 0), (2, 1, 7, 3), (0, 0, 8, 4)]), "empty: zeros"


# Masks and the picture


@pytest.mark.parametrize("size", [32, 57])
@pytest.mark.parametrize("name", CLASSES)
def test_a_mask_is_where_the_picture_is_at_least_half_object(name, size):
    scenes = render(25, size=size, classes=[name], **FIXED | dict.fromkeys(SHAPING, "random"))
    share = coverage(scenes.images)
    assert np.array_equal(scenes.masks, share >= 0.495), "0.5, less what 8 bits round off"
    assert ((share > 0.1) & (share < 0.9)).sum(axis=(1, 2)).min() > 10, "no smooth edge"


@pytest.mark.parametrize("name, area", [("circle", np.pi), ("ring", np.pi * (1 - 0.55**2)), ("square", 2 * 1.15**2)])
def test_areas_are_those_of_geometry(name, area):
    scenes = render(20, size=128, classes=[name], **FIXED | {"position": "random", "rotation": "random"})
    assert areas(scenes.masks) == pytest.approx(area * (0.32 * 128) ** 2, rel=0.025)


def test_upright_objects_have_the_shape_of_their_label_and_stand_in_the_middle():
    templates = {name: render(1, classes=name, **FIXED).masks[0] for name in CLASSES}
    assert len({template.tobytes() for template in templates.values()}) == len(CLASSES)
    assert templates["arrow"].sum(axis=1).argmax() < 16, "the head is above"
    for classes in (CLASSES, ("moon", "star", "bolt")):
        scenes = render(30, classes=classes, **FIXED)
        assert scenes.class_names == classes
        assert (scenes.boxes[:, :2] + scenes.boxes[:, 2:]) / 2 == pytest.approx(16, abs=1)
        for label, mask in zip(scenes.labels, scenes.masks, strict=True):
            assert np.array_equal(mask, templates[classes[label]])


@pytest.mark.parametrize("objects", [1, 3])
def test_objects_lie_anywhere_in_the_frame_but_wholly_inside(objects):
    """The last object, which nothing covers, is as large anywhere as in the place that is known to be free."""
    anywhere, in_place = (
        render(300, size=64, objects=objects, **RANDOM | {"occlusion": "fixed", "position": setting}).masks
        for setting in ("random", "fixed")
    )
    masks, masks_in_place = (masks.reshape(300, -1, 64, 64)[:, -1] for masks in (anywhere, in_place))
    assert areas(masks) == pytest.approx(areas(masks_in_place), rel=0.2)
    assert areas(masks).sum() == pytest.approx(areas(masks_in_place).sum(), rel=0.005)
    boxes = boxes_of(masks)
    room = 64 - (boxes[:, 2:] - boxes[:, :2])
    counts, _, _ = np.histogram2d(*(boxes[:, :2] / room).T, bins=3, range=[(0, 1.05)] * 2)
    assert counts.min() > 10, "some part of the frame stays empty"


# Several objects, and the bar


def test_later_objects_cover_earlier_ones_of_which_enough_stays_visible():
    scenes = render(200, size=64, objects=3, classes="circle", scale="fixed")
    visible = areas(scenes.masks) / (np.pi * (0.7 * 0.32 * 64) ** 2)
    assert visible[:, 2] == pytest.approx(1, abs=0.05)
    assert 0.28 < visible.min() < 0.4
    assert visible[:, 0].mean() < visible[:, 1].mean() - 0.03 < 0.95
    for image, inside in zip(scenes.images.astype(int), grown(scenes.masks, -2), strict=True):
        assert max(np.ptp(image[part], axis=0).max() for part in inside if part.any()) <= 1, "another object's colour"


@pytest.mark.parametrize("objects", [2, 3, 4])
def test_objects_in_fixed_positions_have_a_quarter_each(objects):
    scenes = render(200, size=64, objects=objects, **RANDOM | {"position": "fixed", "occlusion": "fixed"})
    first, last = scenes.boxes[..., :2], scenes.boxes[..., 2:]
    quarters = (first + last) / 2 > 32
    assert np.where(quarters, first >= 31, last <= 33).all()
    assert np.diff(np.sort(quarters @ [1, 2], axis=1)).all()


@pytest.mark.parametrize("objects", [1, 3])
def test_what_the_bar_hides_is_not_in_the_mask(objects):
    settings = FIXED | {"scale": "random", "rotation": "random"}
    free = render(200, size=48, objects=objects, **settings)
    barred = render(200, size=48, objects=objects, **settings | {"occlusion": "random"})
    whole, left = (scenes.masks.reshape(200, objects, 48, 48) for scenes in (free, barred))
    assert (left <= whole).all()
    change = np.abs(free.images.astype(int) - barred.images).max(axis=-1)
    strong = (change > 0.6 * change.max())[:, None]
    assert strong.any(axis=(1, 2, 3)).all()
    assert not (strong & (left == 1)).any()
    share = areas(left) / areas(whole)
    assert share.min() >= 0.3
    assert (share[:, 0] < 1).all()
    assert share[:, 0].mean() < 0.7


def test_a_bar_over_crowded_objects_comes_to_an_end():
    """No bar is narrow enough where others hide 70 % of an object already."""
    scenes = render(200, objects=4, classes="circle", scale="fixed", occlusion="random")
    assert areas(scenes.masks).min() > 0.25 * np.pi * (0.7 * 0.32 * 32) ** 2


# Repetition


@pytest.mark.parametrize(
    "settings, labels, area, mean",
    [
        ({}, [5, 8, 6, 1, 9, 3], 213.0, 116.63),
        ({"size": 48, "objects": 3, "rotation": "fixed", "classes": CLASSES[:5]}, [1, 3, 0, 4, 2, 0], 220.2, 118.15),
        (RANDOM, [5, 8, 6, 1, 9, 3], 83.9, 86.47),
        (RANDOM | {"seed": 1, "objects": 2}, [8, 1, 5, 7, 2, 3], 52.2, 94.97),
    ],
)
def test_scenes_are_those_that_thresholds_and_stored_results_were_measured_on(settings, labels, area, mean):
    scenes = render(40, **settings)
    assert scenes.labels.ravel()[:6].tolist() == labels
    assert areas(scenes.masks).mean() == pytest.approx(area, abs=0.1)
    assert scenes.images.mean() == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize("objects", [1, 3])
def test_the_first_scenes_are_the_same_however_many_are_asked_for(objects):
    settings = {"objects": objects, "seed": 5, **RANDOM}
    everything = render(260, **settings)
    for count in (1, 40, 257):
        few = render(np.int64(count), **settings)
        for name in ("images", "labels", "boxes", "masks"):
            assert np.array_equal(getattr(few, name), getattr(everything, name)[:count]), name
    other = render(260, **settings | {"seed": 6})
    assert len({image.tobytes() for image in (*everything.images, *other.images)}) == 520


@pytest.mark.parametrize("count, objects", [(1, 1), (95, 1), (33, 4)])
@pytest.mark.parametrize("classes", [CLASSES, ("ring", "heart", "bolt")])
def test_classes_differ_in_count_by_one_at_most(count, objects, classes):
    labels = render(count, objects=objects, classes=classes).labels.ravel()
    assert np.ptp(np.bincount(labels, minlength=len(classes))) <= 1


# Every knob


@pytest.mark.parametrize("others", [FIXED, RANDOM], ids=["others fixed", "others random"])
@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_changes_pictures_but_never_labels(knob, others):
    fixed, random = (render(60, **others | {knob: setting}) for setting in ("fixed", "random"))
    assert (fixed.images != random.images).any(axis=(1, 2, 3)).mean() > 0.85, "circles look the same when rotated"
    assert np.array_equal(fixed.labels, random.labels)
    masks_change = (fixed.masks != random.masks).any(axis=(1, 2)).mean()
    assert masks_change == 0 if knob in PAINTING else masks_change > 0.85


@pytest.mark.parametrize("knob", [*SHAPING, "colour", "background"])
def test_a_knob_changes_no_pixel_that_belongs_to_others(knob):
    """Blur would carry changes further, and the bar moves with the object."""
    settings = RANDOM | {"blur": "fixed", "occlusion": "fixed"}
    fixed, random = (render(60, **settings | {knob: setting}) for setting in ("fixed", "random"))
    either = (fixed.masks | random.masks) > 0
    untouched = grown(either, -2) if knob == "background" else ~grown(either, 3)
    assert untouched.any(axis=(1, 2)).mean() > 0.8
    assert np.array_equal(fixed.images[untouched], random.images[untouched])


def test_scale_is_the_radius():
    scenes = render(200, size=128, classes=["circle"], **FIXED | {"scale": "random"})
    radii = (scenes.boxes[:, 2:] - scenes.boxes[:, :2]) / 2 / 128
    assert (radii.min(), radii.max()) == pytest.approx((0.22, 0.42), abs=0.01)
    boxes = render(200, objects=2, classes=["circle"], scale="random", size=64).boxes[:, 1]
    last = (boxes[:, 2:] - boxes[:, :2]) / 2 / 64
    assert (last.min(), last.max()) == pytest.approx((0.7 * 0.22, 0.25), abs=0.02), "an object fits into a quarter"


def test_viewpoint_tilts_by_20_to_55_degrees():
    tilts = []
    for mask in render(200, size=64, classes=["circle"], **FIXED | {"viewpoint": "random"}).masks:
        short, long = np.sqrt(np.linalg.eigvalsh(np.cov(np.nonzero(mask))))
        tilts.append(np.rad2deg(np.arccos(short / long)))
    assert (min(tilts), max(tilts)) == pytest.approx((20, 55), abs=4)


def test_colours_are_orange_or_strong_and_stand_out_from_every_background():
    red, green, blue = render(1, classes="circle", **FIXED).images[0, 16, 16] / 255
    assert red > green + 0.3 > blue + 0.6
    scenes, colours = render(500), []
    inside, outside = grown(scenes.masks, -1), grown(scenes.masks, 4) & ~grown(scenes.masks, 1)
    for image, core, ring in zip(scenes.images / 255, inside, outside, strict=True):
        colours.append(np.median(image[core], axis=0))
        assert np.linalg.norm(image[ring].mean(axis=0) - colours[-1]) > 0.35
    hue, saturation, value = rgb_to_hsv(colours).T
    assert np.histogram(hue, bins=6, range=(0, 1))[0].min() > 40
    assert min(saturation.min() - 0.6, value.min() - 0.7) > 0


def test_backgrounds_are_plain_graded_or_textured_and_dark_or_pale():
    top = render(300, **FIXED | {"background": "random"}).images[:, :4].astype(int)  # the object is in the middle
    plain = np.ptp(top, axis=(1, 2)).max(axis=-1) == 0
    rough = np.abs(np.diff(top, n=2, axis=2)).max(axis=(1, 2, 3)) > 2
    assert min(plain.sum(), rough.sum(), (~plain & ~rough).sum()) > 70
    brightness = top.max(axis=-1) / 255
    pale = brightness.min(axis=(1, 2)) > 0.75
    assert (pale | (brightness.max(axis=(1, 2)) < 0.55)).all()
    assert 90 < pale.sum() < 150


def test_illumination_is_a_level_and_a_gradient():
    settings = FIXED | {"position": "random"}
    even, lit = render(300, **settings), render(300, **settings | {"illumination": "random"})
    # Without red, in which the object is so bright that more light makes no difference.
    ratio = lit.images[..., 1:].sum(axis=-1) / even.images[..., 1:].sum(axis=-1)
    y, x = (2 * np.indices((32, 32)) + 1) / 32 - 1
    plane = np.stack([np.ones(32 * 32), x.ravel(), y.ravel()], axis=1)
    (level, right, down), *_ = np.linalg.lstsq(plane, ratio.reshape(300, -1).T, rcond=None)
    assert np.abs(plane @ [level, right, down] - ratio.reshape(300, -1).T).max() < 0.03
    assert (level.min(), level.max()) == pytest.approx((0.5, 1.2), abs=0.03)
    steepness = (np.abs(right) + np.abs(down)) / level
    assert (steepness.min(), steepness.max()) == pytest.approx((0, 0.5), abs=0.03)
    assert np.unique(np.sign([right, down]), axis=1).shape == (2, 4), "some direction never comes"


def test_noise_is_gaussian_of_5_to_30_grey_levels():
    clean, noisy = render(260, **FIXED), render(260, **FIXED | {"noise": "random"})
    noise = noisy.images.astype(float) - clean.images
    # The blue of the slate is far enough from black for nearly all noise.
    strength = np.array([part[..., 2][~grown(mask, 2)].std() for part, mask in zip(noise, clean.masks, strict=True)])
    assert (strength.min(), strength.max()) == pytest.approx((5, 30), abs=2)
    grain = np.corrcoef(noise[:, :4].reshape(len(noise), -1)) - np.eye(len(noise))
    assert np.abs(grain).max() < 0.5, "two scenes have the same grain"


def test_blur_is_gaussian_in_proportion_to_the_side():
    sharp, blurred = (render(60, size=64, **FIXED | {"blur": setting}).images for setting in ("fixed", "random"))
    widths = np.arange(0.2, 1.3, 0.05)
    candidates = [ndimage.gaussian_filter(sharp.astype(float), (0, 2 * width, 2 * width, 0)) for width in widths]
    errors = np.array([np.abs(candidate - blurred).mean(axis=(1, 2, 3)) for candidate in candidates])
    assert errors.min(axis=0).max() < 1
    best = widths[errors.argmin(axis=0)]
    assert (best.min(), best.max()) == pytest.approx((0.3, 1.2), abs=0.1)


# Wrong arguments

NAMES = f"expected different names out of {', '.join(CLASSES)}"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"count": 0}, "count: got 0, expected an integer of at least 1"),
        ({"size": 200}, "size and objects: got 200 and 1, expected at most 128 and 4"),
        ({"objects": 5}, "size and objects: got 32 and 5, expected at most 128 and 4"),
        ({"blur": 0.5}, "blur: got 0.5, expected 'fixed' or 'random'"),
        ({"color": "fixed"}, f"color: is no knob of render, which has {', '.join(KNOBS)}"),
        ({"classes": ()}, f"classes: got (), {NAMES}"),
        ({"classes": "Star"}, f"classes: got ('Star',), {NAMES}"),
    ],
)
def test_render_refuses(settings, message):
    with pytest.raises(ValueError) as raised:
        render(**{"count": 2} | settings)
    assert str(raised.value) == message
