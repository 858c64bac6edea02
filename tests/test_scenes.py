"""Class, box and mask agree with the picture, every knob does what it says and no more, and every scene repeats."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from scipy import ndimage

from helpers.scenes import CLASSES, KNOBS, Scenes, boxes_of, render

ROOT = Path(__file__).resolve().parent.parent
FIXED = dict.fromkeys(KNOBS, "fixed")
RANDOM = dict.fromkeys(KNOBS, "random")
SHAPING = ("position", "scale", "rotation", "viewpoint")
PAINTING = ("colour", "background", "illumination", "noise", "blur")
ARRAYS = ("images", "labels", "boxes", "masks", "visible")

ANY_SCENES = st.builds(
    render,
    st.integers(1, 4),
    size=st.integers(32, 128),
    seed=st.integers(0, 2**64),
    objects=st.integers(1, 4),
    classes=st.lists(st.sampled_from(CLASSES), min_size=1, unique=True),
    **{knob: st.sampled_from(["fixed", "random"]) for knob in KNOBS},
)


def assert_same(first: Scenes, second: Scenes, names=ARRAYS) -> None:
    for name in names:
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def square(masks: np.ndarray, pixels: int) -> np.ndarray:
    side = 2 * pixels + 1
    return np.ones((1,) * (masks.ndim - 2) + (side, side))


def grown(masks: np.ndarray, pixels: int) -> np.ndarray:
    return ndimage.binary_dilation(masks, square(masks, pixels))


def shrunk(masks: np.ndarray, pixels: int) -> np.ndarray:
    return ndimage.binary_erosion(masks, square(masks, pixels))


def coverage(images: np.ndarray) -> np.ndarray:
    """How much of each pixel is object, read from the colours alone: every one is a blend of the same two."""
    pixels = images.reshape(-1, 3).astype(float)
    slate = np.median(pixels, axis=0)
    away = pixels - slate
    orange = away[np.abs(away).sum(axis=1).argmax()]
    share = away @ orange / (orange @ orange)
    assert np.abs(away - share[:, None] * orange).max() <= 1, "another colour than the two"
    return share.reshape(images.shape[:-1])


def inner_colours(scenes: Scenes) -> np.ndarray:
    """The colour of each scene's one object, from 0 to 1."""
    pairs = zip(scenes.images, shrunk(scenes.masks, 1), strict=True)
    return np.array([np.median(image[inside], axis=0) for image, inside in pairs]) / 255


def areas(masks: np.ndarray) -> np.ndarray:
    return masks.sum(axis=(-2, -1), dtype=float)


# What is returned


@pytest.mark.parametrize("objects, axis", [(1, ()), (2, (2,)), (4, (4,))])
def test_shapes_and_types_are_as_documented(objects, axis):
    scenes = render(3, size=40, objects=objects)
    assert scenes.images.shape == (3, 40, 40, 3)
    assert scenes.labels.shape == scenes.visible.shape == (3, *axis)
    assert scenes.boxes.shape == (3, *axis, 4)
    assert scenes.masks.shape == (3, *axis, 40, 40)
    assert scenes.images.dtype == scenes.masks.dtype == np.uint8
    assert scenes.boxes.dtype == np.float32
    assert scenes.labels.dtype.kind == "i"
    assert scenes.visible.dtype.kind == "f"
    assert scenes.class_names == CLASSES


@given(ANY_SCENES)
def test_a_box_is_the_extent_of_its_mask(scenes):
    size = scenes.images.shape[1]
    assert np.isin(scenes.masks, (0, 1)).all()
    for mask, box in zip(scenes.masks.reshape(-1, size, size), scenes.boxes.reshape(-1, 4), strict=True):
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert box == pytest.approx(np.array([left, top, right - left, bottom - top]) / size, abs=1e-6)
        assert box.min() >= 0
        assert (box[:2] + box[2:]).max() <= 1 + 1e-6


@given(ANY_SCENES)
def test_labels_shares_and_masks_fit_together(scenes):
    assert scenes.labels.min() >= 0
    assert scenes.labels.max() < len(scenes.class_names)
    assert scenes.visible.min() >= 0.3
    assert scenes.visible.max() <= 1
    count, size = scenes.images.shape[:2]
    masks = scenes.masks.reshape(count, -1, size, size)
    assert masks.any(axis=(2, 3)).all()
    assert masks.sum(axis=1).max() == 1, "a pixel belongs to two objects"


def test_crowded_objects_share_no_pixel_and_stay_visible():
    scenes = render(300, objects=4)
    assert scenes.masks.sum(axis=1).max() == 1
    assert scenes.visible.min() >= 0.3


def test_boxes_of_masks_that_are_not_square():
    masks = np.zeros((2, 3, 4, 8), np.uint8)
    masks[0, 1, 1:3, 2:7] = 1
    masks[1, 2, 3, 0] = masks[1, 2, 0, 7] = 255
    boxes = boxes_of(masks)
    assert boxes.dtype == np.float32
    expected = np.zeros((2, 3, 4))
    expected[0, 1] = 2 / 8, 1 / 4, 5 / 8, 2 / 4
    expected[1, 2] = 0, 0, 1, 1
    assert np.array_equal(boxes, expected), "four zeros for an empty mask"
    assert np.array_equal(boxes_of(masks[0, 1] > 0), expected[0, 1])


def test_repr_is_readable():
    assert repr(render(3, classes=["star", "moon"])) == "3 scenes of 32 × 32 × 3 with one object each: star, moon"
    assert repr(render(1200, objects=2)) == (
        "1,200 scenes of 32 × 32 × 3 with 2 objects each: "
        "circle, square, triangle, star, cross, ring, heart, moon, arrow, bolt"
    )


# Masks and the picture


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("size", [32, 57])
def test_a_mask_is_where_the_picture_is_at_least_half_object(name, size):
    scenes = render(25, size=size, classes=[name], **FIXED | dict.fromkeys(SHAPING, "random"))
    share = coverage(scenes.images)
    assert np.array_equal(scenes.masks, share >= 0.495), "0.5, less what 8 bits round off"
    blended = (share > 0.1) & (share < 0.9)
    assert blended.sum(axis=(1, 2)).min() > 10, "no smooth edge"


# Of radius 1, by formula; the corners of square and triangle lie at 1.15.
UNIT_AREAS = {
    "circle": np.pi,
    "square": 2 * 1.15**2,
    "triangle": 0.75 * np.sqrt(3) * 1.15**2,
    "ring": np.pi * (1 - 0.55**2),
    "cross": 2 * 2 * 0.72 - 0.72**2,
}


@pytest.mark.parametrize("name", UNIT_AREAS)
def test_areas_are_those_of_geometry(name):
    scenes = render(20, size=128, classes=[name], **FIXED | {"position": "random", "rotation": "random"})
    area = UNIT_AREAS[name] * (0.32 * 128) ** 2
    assert areas(scenes.masks) == pytest.approx(area, rel=0.025)
    assert areas(coverage(scenes.images)) == pytest.approx(area, rel=0.025)


def test_scale_is_the_radius():
    scenes = render(200, size=128, classes=["circle"], **FIXED | {"scale": "random"})
    radii = scenes.boxes[:, 2:] / 2
    assert radii[:, 0] == pytest.approx(radii[:, 1], abs=0.01)
    assert (radii.min(), radii.max()) == pytest.approx((0.22, 0.42), abs=0.01)
    settings = FIXED | {"scale": "random", "position": "random"}
    last = render(200, objects=2, classes=["circle"], **settings).boxes[:, 1, 2:] / 2
    assert last.min() == pytest.approx(0.7 * 0.22, abs=0.02)
    assert last.max() == pytest.approx(0.25, abs=0.02), "an object has to fit into a quarter"


def test_upright_objects_stand_in_the_middle_the_right_way_up():
    scenes = render(len(CLASSES), size=128, **FIXED)
    assert scenes.boxes[:, :2] + scenes.boxes[:, 2:] / 2 == pytest.approx(0.5, abs=1 / 128)
    centres = {
        CLASSES[label]: (np.array(ndimage.center_of_mass(mask))[::-1] + 0.5) / 128
        for label, mask in zip(scenes.labels, scenes.masks, strict=True)
    }
    for name in set(CLASSES) - {"moon", "bolt"}:
        assert centres[name][0] == pytest.approx(0.5, abs=0.01), "one half mirrors the other"
    assert centres["triangle"][1] > 0.53
    assert centres["star"][1] > 0.51
    assert centres["heart"][1] < 0.47
    assert centres["moon"][0] < 0.47
    arrow = scenes.masks[scenes.labels == CLASSES.index("arrow")][0]
    assert arrow.sum(axis=1).argmax() < 64, "the head is above"


def test_every_object_has_the_shape_of_its_label():
    templates = {name: render(1, classes=[name], **FIXED).masks[0] for name in CLASSES}
    assert len({template.tobytes() for template in templates.values()}) == len(CLASSES)
    for classes in (CLASSES, ("star", "moon"), ("moon", "star", "bolt")):
        scenes = render(30, classes=classes, **FIXED)
        assert scenes.class_names == classes
        for label, mask in zip(scenes.labels, scenes.masks, strict=True):
            assert np.array_equal(mask, templates[classes[label]])


@pytest.mark.parametrize("objects", [1, 3])
def test_objects_lie_wholly_inside_the_frame(objects):
    """The last object, which nothing covers, is as large anywhere as in the place that is known to be free."""
    settings = RANDOM | {"occlusion": "fixed"}
    anywhere = render(300, size=64, objects=objects, **settings)
    in_place = render(300, size=64, objects=objects, **settings | {"position": "fixed"})
    masks, masks_in_place = (scenes.masks.reshape(300, -1, 64, 64)[:, -1] for scenes in (anywhere, in_place))
    assert areas(masks) == pytest.approx(areas(masks_in_place), rel=0.2)
    assert areas(masks).sum() == pytest.approx(areas(masks_in_place).sum(), rel=0.005)


@pytest.mark.parametrize("objects", [1, 3])
def test_objects_lie_anywhere_in_the_frame(objects):
    boxes = render(300, size=64, objects=objects).boxes.reshape(300, -1, 4)[:, -1]
    share = boxes[:, :2] / (1 - boxes[:, 2:])
    assert share.min() < 0.05
    assert share.max() > 0.95
    counts, _, _ = np.histogram2d(*share.T, bins=3, range=[(0, 1.05)] * 2)
    assert counts.min() > 10, "some part of the frame stays empty"


# Several objects, and the bar


def test_later_objects_cover_earlier_ones():
    scenes = render(200, size=64, objects=3)
    assert (scenes.visible[:, -1] == 1).all()
    assert (scenes.visible[:, 0] < 1).mean() > 0.5
    assert scenes.visible[:, 0].mean() < scenes.visible[:, 1].mean() - 0.03
    same, colours = [], []
    for image, inside in zip(scenes.images.astype(int), shrunk(scenes.masks, 2), strict=True):
        for part in inside[inside.any(axis=(1, 2))]:
            colours.append(tuple(np.median(image[part], axis=0)))
            same.extend(np.abs(image[part] - colours[-1]).max(axis=1) <= 1)
    assert np.mean(same) > 0.99, "more than the tip of a star has another object's colour"
    assert len(set(colours)) > 0.95 * len(colours) > 500, "objects of a scene look alike"


def test_visible_is_the_share_of_the_whole_object():
    scenes = render(60, size=128, objects=3, classes=["circle"], scale="fixed", occlusion="random")
    share = areas(scenes.masks) / (np.pi * (0.7 * 0.32 * 128) ** 2)
    assert scenes.visible == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("objects", [2, 3, 4])
def test_objects_in_fixed_positions_have_a_quarter_each(objects):
    settings = RANDOM | {"position": "fixed", "occlusion": "fixed"}
    scenes = render(200, size=64, objects=objects, **settings)
    assert (scenes.visible == 1).all()
    first, last = scenes.boxes[..., :2], scenes.boxes[..., :2] + scenes.boxes[..., 2:]
    quarters = (first + last) / 2 > 0.5
    assert np.where(quarters, first >= 0.5 - 1 / 64, last <= 0.5 + 1 / 64).all()
    assert (np.sort(quarters @ [1, 2], axis=1)[:, 1:] != np.sort(quarters @ [1, 2], axis=1)[:, :-1]).all()


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
    same = (change == 0)[:, None]
    assert np.array_equal(left & same, whole & same)
    beside = change * ~grown(whole.any(axis=1), 2)
    assert (beside.max(axis=(1, 2)) > 15).mean() > 0.95, "the bar itself is not in the picture"

    share = (areas(left) / areas(whole)).reshape(barred.visible.shape)
    assert barred.visible == pytest.approx(share, rel=1e-12)
    assert share.min() >= 0.3
    of_first = share.reshape(200, objects)[:, 0]
    assert (of_first < 1).all()
    assert of_first.mean() < 0.7
    assert of_first.std() > 0.05


def test_a_bar_over_crowded_objects_comes_to_an_end():
    """The bar is made narrower until 30 % of every object is visible, which no bar may reach if others hide 70 %."""
    code = """
from helpers.scenes import render

print(render(4, seed=31, objects=2, occlusion="random").visible.min() >= 0.3)
print(render(200, objects=4, occlusion="random").visible.min() >= 0.3)
"""
    # A process of its own, because an endless loop ends only with its process.
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "True"]


# Repetition


def test_the_same_arguments_give_the_same_scenes():
    assert_same(render(40, objects=2, seed=3, **RANDOM), render(40, objects=2, seed=3, **RANDOM))


def test_another_seed_gives_other_scenes():
    first, second = render(40, seed=3, **RANDOM), render(40, seed=4, **RANDOM)
    for name in ARRAYS:
        assert not np.array_equal(getattr(first, name), getattr(second, name)), name


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_takes_other_values_in_other_scenes_and_with_other_seeds(knob):
    pictures = [render(30, seed=seed, classes="moon", **FIXED | {knob: "random"}).images for seed in (3, 4)]
    different = {picture.tobytes() for picture in np.concatenate(pictures)}
    assert len(different) > 0.85 * 60, "more than a few scales or angles that 32 pixels cannot tell apart"


@pytest.mark.parametrize("objects", [1, 3])
def test_the_first_scenes_are_the_same_however_many_are_asked_for(objects):
    settings = {"objects": objects, "seed": 5, **RANDOM}
    everything = render(260, **settings)
    for count in (1, 40, 257):
        first = Scenes(*(getattr(everything, name)[:count] for name in ARRAYS), everything.class_names)
        assert_same(render(count, **settings), first)


def test_defaults_are_as_documented():
    explicit = render(
        30,
        size=32,
        seed=0,
        objects=1,
        classes=CLASSES,
        **RANDOM | dict.fromkeys(("illumination", "noise", "blur", "occlusion", "viewpoint"), "fixed"),
    )
    assert_same(render(30), explicit)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_numbers_from_numpy_are_as_good_as_python_ones(kind):
    expected = render(70, size=64, seed=3, objects=4)
    assert_same(render(kind(70), size=kind(64), seed=kind(3), objects=kind(4)), expected)


@pytest.mark.parametrize("count, objects", [(1, 1), (9, 1), (10, 1), (95, 1), (7, 3), (33, 4)])
@pytest.mark.parametrize("classes", [CLASSES, ("star", "moon"), ("ring", "heart", "bolt")])
def test_classes_differ_in_count_by_one_at_most(count, objects, classes):
    labels = render(count, objects=objects, classes=classes).labels
    assert np.ptp(np.bincount(labels.ravel(), minlength=len(classes))) <= 1


def test_classes_come_in_no_order():
    blocks = render(200).labels.reshape(20, 10)
    assert len(np.unique(blocks, axis=0)) == 20
    assert len(np.unique(blocks[:, 0])) > 4


def test_one_class_may_be_given_by_its_name():
    assert_same(render(5, classes="star"), render(5, classes=["star"]))


# Every knob


@pytest.mark.parametrize("others", [FIXED, RANDOM], ids=["others fixed", "others random"])
@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_changes_pictures_but_never_labels(knob, others):
    fixed, random = (render(60, **others | {knob: setting}) for setting in ("fixed", "random"))
    assert (fixed.images != random.images).any(axis=(1, 2, 3)).mean() > 0.85, "circles look the same when rotated"
    assert np.array_equal(fixed.labels, random.labels)
    if knob in PAINTING:
        assert_same(fixed, random, ("masks", "boxes", "visible"))
    else:
        assert (fixed.masks != random.masks).any(axis=(1, 2)).mean() > 0.85


@pytest.mark.parametrize("knob", [*SHAPING, "colour", "background"])
def test_a_knob_changes_no_pixel_that_belongs_to_others(knob):
    """Blur would carry changes further, and the bar moves with the object."""
    settings = RANDOM | {"blur": "fixed", "occlusion": "fixed"}
    fixed, random = (render(60, **settings | {knob: setting}) for setting in ("fixed", "random"))
    either = (fixed.masks | random.masks) > 0
    untouched = shrunk(either, 2) if knob == "background" else ~grown(either, 3)
    assert untouched.any(axis=(1, 2)).mean() > 0.8
    assert np.array_equal(fixed.images[untouched], random.images[untouched])


@pytest.mark.parametrize("knob", [*SHAPING, "background"])
def test_objects_keep_their_colours(knob):
    settings = FIXED | dict.fromkeys((*SHAPING, "colour", "background"), "random")
    fixed, random = (render(60, size=64, **settings | {knob: setting}) for setting in ("fixed", "random"))
    assert np.array_equal(inner_colours(fixed), inner_colours(random))


@pytest.mark.parametrize("knob", ["scale", "rotation"])
def test_objects_keep_their_places(knob):
    settings = FIXED | {"position": "random", "scale": "random", "rotation": "random"}
    fixed, random = (
        render(100, size=64, classes=["circle"], **settings | {knob: setting}).boxes for setting in ("fixed", "random")
    )
    places, others = (boxes[:, :2] / (1 - boxes[:, 2:]) for boxes in (fixed, random))
    assert places == pytest.approx(others, abs=0.1)
    if knob == "rotation":
        assert fixed == pytest.approx(random, abs=2.5 / 64)


def test_knobs_are_drawn_independently():
    """What a knob decides in a scene says nothing about what another one decides in it."""
    count = 300
    plain = render(count, classes=["moon"], **FIXED)
    turned = {knob: render(count, classes=["moon"], **FIXED | {knob: "random"}) for knob in KNOBS}
    corner = {knob: turned[knob].images[:, :6, :6].astype(float) for knob in KNOBS}
    place = turned["position"].boxes[:, :2] / (1 - turned["position"].boxes[:, 2:])
    boxes = turned["rotation"].boxes * 32
    centres = np.array([ndimage.center_of_mass(mask) for mask in turned["rotation"].masks])[:, ::-1] + 0.5
    lean_x, lean_y = (centres - boxes[:, :2] - boxes[:, 2:] / 2).T
    hue, saturation, value = rgb_to_hsv(inner_colours(turned["colour"])).T
    decisions = {
        "left": place[:, 0],
        "top": place[:, 1],
        "scale": areas(turned["scale"].masks),
        "turn": (np.arctan2(lean_y, lean_x) - np.pi) % (2 * np.pi),
        "hue": hue,
        "saturation": saturation,
        "value": value,
        "paleness": corner["background"].mean(axis=(1, 2, 3)),
        "light": turned["illumination"].images.mean(axis=(1, 2, 3)),
        "noise": corner["noise"][..., 2].std(axis=(1, 2)),
        "blur": np.abs(turned["blur"].images.astype(float) - plain.images).mean(axis=(1, 2, 3)),
        "visible": turned["occlusion"].visible,
        "tilt": areas(turned["viewpoint"].masks),
    }
    correlations = np.corrcoef(list(decisions.values())) - np.eye(len(decisions))
    assert np.abs(correlations).max() < 0.25, "five standard errors or more"


def test_colours_are_orange_or_strong():
    (orange,) = np.unique(inner_colours(render(20, **FIXED)), axis=0)
    red, green, blue = orange
    assert red > green + 0.3 > blue + 0.6
    hue, saturation, value = rgb_to_hsv(inner_colours(render(300, **FIXED | {"colour": "random"}))).T
    assert np.histogram(hue, bins=6, range=(0, 1))[0].min() > 20
    assert saturation.min() > 0.6
    assert value.min() > 0.7


def test_objects_stand_out_from_every_background():
    scenes = render(500)
    outside = grown(scenes.masks, 4) & ~grown(scenes.masks, 1)
    for image, ring, colour in zip(scenes.images, outside, inner_colours(scenes), strict=True):
        assert np.linalg.norm(image[ring].mean(axis=0) / 255 - colour) > 0.35


def test_backgrounds_are_plain_graded_or_textured():
    scenes = render(300, **FIXED | {"background": "random"})
    plain, graded, textured, pale, colours = 0, 0, 0, 0, set()
    y, x = np.indices((32, 32)) / 32
    for image, outside in zip(scenes.images, ~grown(scenes.masks, 3), strict=True):
        pixels = image[outside].astype(float)
        brightness = pixels.max(axis=1) / 255
        assert brightness.max() < 0.55 or brightness.min() > 0.75, "neither dark nor pale"
        pale += brightness.min() > 0.75
        plane = np.stack([np.ones(len(pixels)), x[outside], y[outside]], axis=1)
        rest = pixels - plane @ np.linalg.lstsq(plane, pixels, rcond=None)[0]
        if np.ptp(pixels, axis=0).max() == 0:
            plain += 1
            colours.add(tuple(pixels[0]))
        elif np.abs(rest).max() < 1.5:
            graded += 1
        else:
            textured += 1
    assert min(plain, graded, textured) > 70
    assert 90 < pale < 150
    assert len(colours) > 0.8 * plain


def test_the_fixed_background_is_plain():
    scenes = render(20, **FIXED | {"position": "random"})
    assert len(np.unique(scenes.images[~grown(scenes.masks, 3)], axis=0)) == 1


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
    # More scenes than are painted at a time.
    clean, noisy = render(260, **FIXED), render(260, **FIXED | {"noise": "random"})
    noise = noisy.images.astype(float) - clean.images
    # Green and blue of the slate are far enough from black for nearly all noise.
    greens, blues = ([noise[i, ..., c][~grown(mask, 2)] for i, mask in enumerate(clean.masks)] for c in (1, 2))
    strength = np.array([blue.std() for blue in blues])
    assert strength.min() == pytest.approx(5, abs=1)
    assert strength.max() == pytest.approx(30, abs=3)
    assert np.abs([blue.mean() for blue in blues]).max() < 5
    normal = np.concatenate([blue / blue.std() for blue in blues])
    assert (np.abs(normal) > 2).mean() == pytest.approx(0.0455, abs=0.01)
    assert np.abs(np.corrcoef(np.concatenate(greens), np.concatenate(blues))[0, 1]) < 0.05
    grain = np.corrcoef(noise[:, :4].reshape(len(noise), -1)) - np.eye(len(noise))
    assert np.abs(grain).max() < 0.5, "two scenes have the same grain"


def test_noise_never_turns_white_into_black():
    settings = RANDOM | {"noise": "fixed"}
    clean, noisy = render(200, **settings), render(200, **settings | {"noise": "random"})
    assert np.abs(noisy.images.astype(int) - clean.images).max() < 6 * 31


def test_noise_is_neither_blurred_nor_lit():
    settings = FIXED | {"colour": "random", "background": "random"}
    noise, measurable = [], True
    for others in ({}, {"blur": "random", "illumination": "random"}):
        clean, noisy = (render(50, **settings | others | {"noise": setting}).images for setting in ("fixed", "random"))
        noise.append(noisy.astype(int) - clean)
        measurable = measurable & (noisy > 0) & (noisy < 255) & (clean > 0) & (clean < 255)
    assert measurable.mean() > 0.6
    assert np.abs(noise[0] - noise[1])[measurable].max() <= 2, "more than rounding"


@pytest.mark.parametrize("size", [32, 64])
def test_blur_is_gaussian_in_proportion_to_the_side(size):
    sharp, blurred = (render(60, size=size, **FIXED | {"blur": setting}).images for setting in ("fixed", "random"))
    widths = np.arange(0.2, 1.3, 0.05)
    candidates = [ndimage.gaussian_filter(sharp.astype(float), (0, s, s, 0)) for s in widths * size / 32]
    errors = np.array([np.abs(candidate - blurred).mean(axis=(1, 2, 3)) for candidate in candidates])
    assert errors.min(axis=0).max() < 1
    best = widths[errors.argmin(axis=0)]
    assert (best.min(), best.max()) == pytest.approx((0.3, 1.2), abs=0.1)


def test_viewpoint_tilts_in_perspective():
    settings = FIXED | {"viewpoint": "random"}
    tilts = []
    for mask in render(200, size=64, classes=["circle"], **settings).masks:
        short, long = np.sqrt(np.linalg.eigvalsh(np.cov(np.nonzero(mask))))
        tilts.append(np.rad2deg(np.arccos(short / long)))
    assert (min(tilts), max(tilts)) == pytest.approx((20, 55), abs=4)
    masks = render(100, size=64, classes=["square"], **settings).masks
    lopsided = (masks != masks[:, ::-1, ::-1]).sum(axis=(1, 2)) / areas(masks)
    assert lopsided.mean() > 0.15, "the near side looks no larger than the far side"


@pytest.mark.parametrize("name", ["arrow", "moon"])
def test_rotation_is_by_any_angle(name):
    """Seen from any side: the extent in every direction takes all values from the least to the greatest."""
    upright = render(1, size=128, classes=[name], **FIXED)
    turned = render(200, size=128, classes=[name], **FIXED | {"rotation": "random"})
    assert areas(turned.masks) == pytest.approx(areas(upright.masks)[0], rel=0.02)
    centres = np.array([ndimage.center_of_mass(mask) for mask in turned.masks]) / 128 + 0.5 / 128
    middles = (turned.boxes[:, :2] + turned.boxes[:, 2:] / 2)[:, ::-1]
    lean = centres - middles
    assert np.histogram(np.arctan2(*lean.T), bins=8, range=(-np.pi, np.pi))[0].min() > 8


# Wrong arguments


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"count": 0}, "count: got 0, expected an integer of at least 1"),
        ({"count": 2.5}, "count: got 2.5, expected an integer of at least 1"),
        ({"count": True}, "count: got True, expected an integer of at least 1"),
        ({"size": 16}, "size: got 16, expected an integer of at least 32"),
        ({"size": 200}, "size: got 200, expected at most 128"),
        ({"size": "32"}, "size: got '32', expected an integer of at least 32"),
        ({"seed": -1}, "seed: got -1, expected an integer of at least 0"),
        ({"seed": 1.5}, "seed: got 1.5, expected an integer of at least 0"),
        ({"objects": 0}, "objects: got 0, expected an integer of at least 1"),
        ({"objects": 5}, "objects: got 5, expected at most 4"),
    ],
)
def test_render_refuses_numbers(settings, message):
    with pytest.raises(ValueError) as raised:
        render(**{"count": 2} | settings)
    assert str(raised.value) == message


@pytest.mark.parametrize("classes", [("star", "hat"), (), ("star", "moon", "star"), ("Star",)])
def test_render_refuses_classes(classes):
    with pytest.raises(ValueError) as raised:
        render(2, classes=classes)
    names = "circle, square, triangle, star, cross, ring, heart, moon, arrow, bolt"
    assert str(raised.value) == f"classes: got {classes!r}, expected different names out of {names}"


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("setting", ["Random", None, True, 0.5])
def test_render_refuses_a_knob_that_is_neither_fixed_nor_random(knob, setting):
    with pytest.raises(ValueError) as raised:
        render(2, **{knob: setting})
    assert str(raised.value) == f"{knob}: got {setting!r}, expected 'fixed' or 'random'"


def test_rendering_needs_no_tensorflow():
    code = """
import sys
from helpers.scenes import KNOBS, render

render(5, objects=2, **dict.fromkeys(KNOBS, "random"))
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
