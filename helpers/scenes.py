"""The renderer of the `shapes` set: small scenes whose class, bounding box and mask are known exactly.

Outlines are polygons. Rotation, scale, viewpoint and position move their points; Pillow draws them at `OVERSAMPLING`
times the size, and the average over each pixel is its coverage. Illumination, blur and noise change colours only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from skimage import data

from .claims import check_integer

_RANDOM = ("position", "scale", "rotation", "colour", "background")  # by default
_FIXED = ("illumination", "noise", "blur", "occlusion", "viewpoint")
KNOBS = _RANDOM + _FIXED
OVERSAMPLING = 5  # odd, so that two objects never cover half of a pixel each
_CHUNK = 64  # scenes painted at a time, which bounds the memory
_TRIES = 8  # placements of several objects, before they are set apart


def _around(count: int, radii: Sequence[float] = (1.0,), start: float = -90.0) -> np.ndarray:
    """Points around the origin at equal angles, with the radii taken in turn."""
    angles = np.deg2rad(start + 360 * np.arange(count) / count)
    return np.resize(radii, count)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2.5], axis=1) / 15


def _moon() -> np.ndarray:
    """A disc less a smaller one that is shifted to the right; the two circles meet at the horns."""
    horn, shift = np.deg2rad(52), 0.45
    radius, turn = np.hypot(np.cos(horn) - shift, np.sin(horn)), np.arctan2(np.sin(horn), np.cos(horn) - shift)
    outer, inner = np.linspace(horn, 2 * np.pi - horn, 30), np.linspace(2 * np.pi - turn, turn, 24)
    edge = np.stack([shift + radius * np.cos(inner), radius * np.sin(inner)], axis=1)
    return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), edge]) * 1.05 + np.array([0.2, 0])


def _mirrored(right: Sequence[tuple[float, float]]) -> np.ndarray:
    """The outline whose right half runs through these points, from top to bottom."""
    return np.concatenate([right, np.array(right)[::-1] * [-1, 1]])


# Outlines within about 1.1 of the origin, y downwards.
_OUTLINES = {
    "circle": _around(40),
    "square": _around(4, [1.15], start=45),
    "triangle": _around(3, [1.15]) + np.array([0, 0.2]),
    "star": _around(10, [1.15, 0.47]),
    "cross": _mirrored([(0.36, -1), (0.36, -0.36), (1, -0.36), (1, 0.36), (0.36, 0.36), (0.36, 1)]),
    "ring": _around(40),
    "heart": _heart(),
    "moon": _moon(),
    "arrow": _mirrored([(0, -1.1), (0.85, -0.1), (0.34, -0.1), (0.34, 1.05)]),
    "bolt": np.array([(0.25, -1.1), (-0.7, 0.2), (-0.08, 0.2), (-0.3, 1.1), (0.7, -0.3), (0.08, -0.3)]),
}
_HOLES = {"ring": _around(40, [0.55])}
CLASSES = tuple(_OUTLINES)


@dataclass(frozen=True, repr=False)
class Scenes:
    """Rendered scenes; with several objects in each, an axis of objects follows the first one."""

    images: np.ndarray  # (scene, height, width, 3), uint8
    labels: np.ndarray  # (scene,) or (scene, object), index into class_names; a later object covers an earlier one
    boxes: np.ndarray  # (..., 4), float32: left, top, right and bottom of the mask's extent, in pixels
    masks: np.ndarray  # (..., height, width), uint8: 1 where the visible part covers at least half of the pixel
    class_names: tuple[str, ...]


def render(
    count: int, *, size: int = 32, seed: int = 0, objects: int = 1, classes: Sequence[str] = CLASSES, **knobs: str
) -> Scenes:
    """Render scenes that repeat exactly for the same arguments.

    Every knob draws from a stream of its own: the same seed with one knob turned gives the same scenes but for that
    knob. The first scenes are the same however many are asked for, and classes differ in count by one at most.

    Parameters
    ----------
    count, seed
        Number of scenes, and a whole number from 0.
    size, objects
        Side of the square images in pixels, 32 to 128; objects in every scene, 1 to 4.
    classes
        Which of `CLASSES` to draw from; labels index this list.
    **knobs
        Each ``"fixed"`` or ``"random"``; by default the first five are random, the others fixed:

        - position: in the middle (several objects: each in a quarter of its own), or anywhere within the frame;
        - scale: a radius of 0.32 of the side, or 0.22 to 0.42 (of several objects: 0.7 times as much);
        - rotation: upright, or by any angle;
        - colour: orange, or any strong colour;
        - background: plain slate, or a plain dark or pale colour, a gradient, or tinted brick, gravel or grass;
        - illumination: even, or 0.5 to 1.2 times as bright with a gradient of up to ±50 % in any direction;
        - noise: none, or Gaussian of standard deviation 5 to 30 of the 255 grey levels;
        - blur: none, or Gaussian of standard deviation 0.3 to 1.2 pixels for each 32 pixels of the side;
        - occlusion: none, or a bar across the first object; of every object at least 30 % stays visible;
        - viewpoint: straight ahead, or the object's plane tilted in perspective by 20 to 55 degrees about any axis.

    Raises
    ------
    ValueError
        For a number out of range, an unknown class, an unknown knob, or one that is neither fixed nor random.
    """
    settings = dict.fromkeys(_RANDOM, "random") | dict.fromkeys(_FIXED, "fixed") | knobs
    for knob, setting in settings.items():
        if knob not in KNOBS:
            raise ValueError(f"{knob}: is no knob of render, which has {', '.join(KNOBS)}")
        if setting not in ("fixed", "random"):
            raise ValueError(f"{knob}: got {setting!r}, expected 'fixed' or 'random'")
    count, seed = check_integer("count", count, 1), check_integer("seed", seed, 0)
    size, objects = check_integer("size", size, 32), check_integer("objects", objects, 1)
    if size > 128 or objects > 4:
        raise ValueError(f"size and objects: got {size} and {objects}, expected at most 128 and 4")
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    if not classes or not set(classes) <= set(CLASSES) or len(set(classes)) < len(classes):
        raise ValueError(f"classes: got {classes!r}, expected different names out of {', '.join(CLASSES)}")

    # The functions below take a random knob's numbers from its stream; the other knobs have none.
    streams = {knob: np.random.default_rng([seed, KNOBS.index(knob)]) for knob in KNOBS if settings[knob] == "random"}
    streams["grain"] = np.random.default_rng([seed, KNOBS.index("noise"), 1])
    labels = balanced(count * objects, len(classes), np.random.default_rng([seed, len(KNOBS)])).reshape(count, objects)
    coverage = _drawn(_outlines(classes, labels, size, streams), size, streams)
    images = np.concatenate([_painted(coverage[at : at + _CHUNK], streams) for at in range(0, count, _CHUNK)])
    masks = (coverage[:, 1:] >= 128).astype(np.uint8)
    first = 0 if objects == 1 else slice(None)
    return Scenes(images, labels[:, first], boxes_of(masks)[:, first], masks[:, first], classes)


def balanced(count: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Labels in blocks that hold every class once, each block in an order of its own."""
    return rng.random((-(-count // classes), classes)).argsort(axis=1).ravel()[:count]


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """The extent of the non-zero pixels of masks ``(..., height, width)``.

    Returned are ``(..., 4)``, float32: left, top, right, bottom in pixels; four zeros for an empty mask.
    """
    bounds = []
    for used in (masks.any(axis=-2), masks.any(axis=-1)):  # columns, rows
        last = used.shape[-1] - used[..., ::-1].argmax(axis=-1)
        bounds.append((used.argmax(axis=-1), last * used.any(axis=-1)))
    (left, right), (top, bottom) = bounds
    return np.stack([left, top, right, bottom], axis=-1).astype(np.float32)


def _outlines(classes: tuple[str, ...], labels: np.ndarray, size: int, streams: dict) -> np.ndarray:
    """Outlines and holes around the origin, ``(2, scene, object, point, 2)`` in pixels; no hole is a point repeated."""
    polygons = [[_OUTLINES[name] for name in classes], [_HOLES.get(name, np.zeros((1, 2))) for name in classes]]
    longest = max(len(outline) for outline in _OUTLINES.values())
    table = np.array([[np.pad(p, [(0, longest - len(p)), (0, 0)], mode="edge") for p in part] for part in polygons])
    points = table[:, labels]
    if "rotation" in streams:
        points = _turned(points, 2 * np.pi * streams["rotation"].random(labels.shape))
    if "viewpoint" in streams:
        axis, tilt = np.moveaxis(streams["viewpoint"].random((*labels.shape, 2)), -1, 0)
        axis, tilt = 2 * np.pi * axis, np.deg2rad(20 + 35 * tilt)[..., None]
        along, across = np.moveaxis(_turned(points, -axis), -1, 0)
        nearness = 3 / (3 + across * np.sin(tilt))  # as seen from three radii away
        points = _turned(np.stack([along * nearness, across * np.cos(tilt) * nearness], axis=-1), axis)
    radius = 0.22 + 0.2 * streams["scale"].random(labels.shape) if "scale" in streams else 0.32
    share, room = (1, size) if labels.shape[1] == 1 else (0.7, size / 2)
    widest = np.ptp(points[0], axis=-2).max(axis=-1)
    return points * np.minimum(share * radius * size, room / widest)[..., None, None]


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Every object's points, turned about the origin."""
    cos, sin = np.cos(angles)[..., None], np.sin(angles)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _shifts(outlines: np.ndarray, size: int, streams: dict) -> np.ndarray:
    """Shifts that put every object inside the frame, ``(try, scene, object, 2)`` in pixels; the last parts them."""
    count, objects = outlines.shape[:2]
    low, extent = outlines.min(axis=-2), np.ptp(outlines, axis=-2)
    quarters = np.array([(0.25, 0.25), (0.75, 0.75), (0.75, 0.25), (0.25, 0.75)])
    apart = (0.5 if objects == 1 else quarters[:objects]) * size - extent / 2 - low
    if "position" not in streams:
        return apart[None]
    places = streams["position"].random((count, 1 if objects == 1 else _TRIES, objects, 2))
    return np.stack([*(places.swapaxes(0, 1) * (size - extent) - low), apart])


def _drawn(outlines: np.ndarray, size: int, streams: dict) -> np.ndarray:
    """Coverage of each pixel by the bar and by what is visible of every object, ``(scene, 1 + object, ...)``, uint8."""
    _, count, objects = outlines.shape[:3]
    shifts = _shifts(outlines[0], size, streams)
    coverage = np.zeros((count, 1 + objects, size, size), np.uint8)
    for scene in range(count):
        for shift in shifts[:, scene]:
            placed = outlines[:, scene] + shift[:, None]
            whole = [_silhouette(*placed[:, number], size) for number in range(objects)]
            parts = [reduce(ImageChops.subtract, whole[number:]) for number in range(objects)]
            if objects == 1 or _enough_visible(whole, parts):
                break
        if "occlusion" in streams:
            bar, parts = _occluded(whole, parts, placed[0, 0], size, streams["occlusion"].random(3))
            coverage[scene, 0] = bar.reduce(OVERSAMPLING)
        coverage[scene, 1:] = [part.reduce(OVERSAMPLING) for part in parts]
    return coverage


def _silhouette(outline: np.ndarray, hole: np.ndarray, size: int) -> Image.Image:
    """A polygon less its hole, white on black, `OVERSAMPLING` times as large."""
    canvas = Image.new("L", (size * OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    # Pillow's coordinates name the middles of pixels, ours their edges.
    draw.polygon((outline * OVERSAMPLING - 0.5).ravel().tolist(), fill=255)
    if (hole[0] != hole[1]).any():
        draw.polygon((hole * OVERSAMPLING - 0.5).ravel().tolist(), fill=0)
    return canvas


def _enough_visible(whole: list[Image.Image], parts: list[Image.Image]) -> bool:
    """Whether at least 30 % of each object's mask is left of it."""
    areas = [[sum(shape.reduce(OVERSAMPLING).histogram()[128:]) for shape in shapes] for shapes in (parts, whole)]
    return (np.divide(*areas) >= 0.3).all()


def _occluded(whole: list, parts: list, target: np.ndarray, size: int, draws: np.ndarray) -> tuple[Image.Image, list]:
    """A bar across the target and what it leaves, narrower until enough of every object is visible, else no bar."""
    along, across = _turned(np.eye(2), np.pi * draws[0])
    reach = target @ across
    middle = reach.min() + (0.2 + 0.6 * draws[1]) * np.ptp(reach)
    half_width = (0.15 + 0.2 * draws[2]) * np.ptp(reach)
    foot = target.mean(axis=0) @ along * along + middle * across
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    while half_width * OVERSAMPLING >= 1:
        outline = foot + corners[:, :1] * 2 * size * along + corners[:, 1:] * half_width * across
        bar = _silhouette(outline, np.zeros((2, 2)), size)
        left = [ImageChops.subtract(part, bar) for part in parts]
        if _enough_visible(whole, left):
            return bar, left
        half_width *= 0.7
    return Image.new("L", whole[0].size), parts


def _painted(coverage: np.ndarray, streams: dict) -> np.ndarray:
    """Images: objects and bar over the background, then light, blur and noise."""
    count, _, size = coverage.shape[:3]
    bar, *shapes = np.moveaxis(coverage, 1, 0)[..., None].astype(np.float32) / 255
    background = _backgrounds(streams["background"], count, size) if "background" in streams else _hsv(0.6, 0.35, 0.3)
    image = background * (1 - sum(shapes) - bar) + _hsv(0.07, 0.45, 0.35) * bar
    colours = np.broadcast_to(_hsv(0.08, 0.85, 0.96), (count, len(shapes), 3))
    if "colour" in streams:
        hue, saturation, value = np.moveaxis(streams["colour"].random((count, len(shapes), 3)), -1, 0)
        colours = _hsv(hue, 0.65 + 0.3 * saturation, 0.75 + 0.25 * value)
    for number, shape in enumerate(shapes):
        image += shape * colours[:, number, None, None]
    if "illumination" in streams:
        level, direction, steepness = streams["illumination"].random((count, 3)).T[..., None, None]
        light = (0.5 + 0.7 * level) * (1 + 0.5 * steepness * _ramp(2 * np.pi * direction, size))
        image *= light[..., None].astype(np.float32)
    if "blur" in streams:
        from scipy.ndimage import gaussian_filter  # slow to import

        for picture, sigma in zip(image, (0.3 + 0.9 * streams["blur"].random(count)) * size / 32, strict=True):
            gaussian_filter(picture, (sigma, sigma, 0), output=picture, mode="nearest")
    if "noise" in streams:
        strength = (0.02 + 0.1 * streams["noise"].random((count, 1, 1, 1))).astype(np.float32)
        image += streams["grain"].standard_normal(image.shape, np.float32) * strength
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


def _hsv(hue, saturation, value) -> np.ndarray:
    from matplotlib.colors import hsv_to_rgb  # slow to import

    return hsv_to_rgb(np.stack(np.broadcast_arrays(hue, saturation, value), axis=-1)).astype(np.float32)


@cache
def _textures(size: int) -> np.ndarray:
    """Windows of this side on brick, gravel and grass, halved in size, with values spread over 0 to 1."""
    small = np.array([Image.fromarray(p).reduce(2) for p in (data.brick(), data.gravel(), data.grass())], np.float32)
    low, high = np.percentile(small, (2, 98), axis=(1, 2), keepdims=True)
    spread = ((small - low) / (high - low)).clip(0, 1)
    return np.lib.stride_tricks.sliding_window_view(spread, (size, size), axis=(1, 2))


def _backgrounds(stream: np.random.Generator, count: int, size: int) -> np.ndarray:
    """One colour, a gradient to a second or a texture of both; both dark or both pale, so that objects stand out."""
    draws = stream.random((count, 9))
    pale, hue, strength, value, other_hue, kind, angle = draws[:, :7].T[..., None, None]
    pale = pale < 0.4
    saturation = np.where(pale, 0.18, 0.5) * strength
    dark_value = 0.1 + 0.2 * value
    first = _hsv(hue, saturation, np.where(pale, 0.95 + 0.05 * value, dark_value))
    second = _hsv((hue + 0.12 * (other_hue - 0.5)) % 1, saturation, np.where(pale, 0.8, dark_value + 0.22))
    windows = _textures(size)
    which, top, left = (draws[:, 6:] * windows.shape[:3]).astype(int).T
    gradient = (1 + _ramp(2 * np.pi * angle, size)) / 2
    blend = np.choose((kind * 3).astype(int), [0, gradient, windows[which, top, left]]).astype(np.float32)
    return first + blend[..., None] * (second - first)


def _ramp(angle: np.ndarray, size: int) -> np.ndarray:
    """From −1 at one edge or corner to 1 at the opposite one, rising in this direction."""
    axis = (2 * np.arange(size) + 1) / size - 1
    cos, sin = np.cos(angle), np.sin(angle)
    return (cos * axis + sin * axis[:, None]) / (np.abs(cos) + np.abs(sin))
