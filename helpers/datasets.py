"""Every image that comes in: `load` for data sets, `photograph` for single pictures; `results` for stored tables.

``python -m helpers.datasets NAME ...`` fetches sets for later.
"""

import csv
import math
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import real, scenes
from .claims import check_integer

PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "china", "coffee", "flower", "grass", "gravel")
SURFACES = ("brick", "gravel", "grass")
# Sets that need no network, and the options of each beyond those that every set has
OPTIONS = {"digits": (), "surfaces": ("n_test", "light", "rotation"), "faces": (), "shapes": ("n_test", "classes")}
OPTIONS["shapes"] += scenes.KNOBS
TEST_SHARE = 0.2  # of a set that does not say what to test on
RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"


@dataclass(frozen=True, repr=False)
class DataSet:
    """Images and labels, split for training and testing.

    Images are ``(batch, height, width, channels)``, labels integers that index `class_names`. Where they are known,
    boxes are ``(batch, 4)``, float32: left, top, right, bottom in pixels of these images, right and bottom exclusive
    (Keras's "xyxy"); and masks ``(batch, height, width)``, uint8: the class of each pixel, where there are two 0 for
    the background and 1 for the object.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: str
    boxes_train: np.ndarray | None = None
    boxes_test: np.ndarray | None = None
    masks_train: np.ndarray | None = None
    masks_test: np.ndarray | None = None

    def __repr__(self) -> str:
        shape, dtype = " × ".join(map(str, self.x_train.shape[1:])), self.x_train.dtype
        known = [what for what in ("boxes", "masks") if getattr(self, f"{what}_train") is not None]
        counts = np.bincount(self.y_train, minlength=len(self.class_names))
        named = ", ".join(f"{name}: {count}" for name, count in zip(self.class_names, counts, strict=True))
        per_class = named if len(counts) <= 12 else f"{counts.min()} to {counts.max()} in {len(counts)} classes"
        return (
            f"{self.name}: {len(self.x_train):,} training and {len(self.x_test):,} test images of {shape}, "
            f"{dtype} from {self.x_train.min():g} to {self.x_train.max():g}"
            f"{', with ' if known else ''}{' and '.join(known)}\n"
            f"training images of each class: {per_class}\n"
            f"source: {self.source}"
        )


def load(
    name: str | Path,
    *,
    size: int | None = None,
    fit: str = "stretch",
    dtype: str = "uint8",
    n_train: int | None = None,
    seed: int = 0,
    **options,
) -> DataSet:
    """Load a data set, split for training and testing, into memory.

    With no network needed: ``"digits"``, 1,797 handwritten digits, 8×8, grey; ``"faces"``, 100 faces and 100 other
    crops of photographs, 25×25, grey; ``"surfaces"``, crops of three grey photographs, as RGB: a brick wall (which
    stands in for paving), gravel and grass, those to train on from the left of each photograph, those to test on from
    the right; ``"shapes"``, rendered scenes with box and mask (`helpers.scenes.render`).

    Downloaded once by tensorflow-datasets, into ``data/`` or ``TFDS_DATA_DIR``: ``"mnist"``, ``"fashion_mnist"``,
    ``"cifar10"``, ``"cifar100"``, ``"tf_flowers"``, ``"oxford_iiit_pet"``, or any other of its image classification
    sets by its name there.

    The path of a folder of photographs: one folder for each class; or a folder ``images`` beside a folder ``masks``
    (PNGs of the same names), a file ``boxes.csv`` (``file,left,top,right,bottom`` in pixels, ``class`` if you like), or
    both. Folders ``train`` and ``test`` (or ``val``) that are like this are taken as the split.

    Parameters
    ----------
    size
        Side in pixels to resize to. By default the images keep their size; ``surfaces`` and ``shapes`` are 32.
    fit
        How images of other proportions become square: ``"stretch"``, which keeps all of them; ``"crop"``, the largest
        square in the middle; ``"pad"``, all of them between black bars. Boxes and masks follow.
    dtype
        ``"uint8"`` for values from 0 to 255, ``"float32"`` for 0 to 1.
    n_train
        Take that many training images, with the classes in proportion. By default all; of ``surfaces`` 600, of
        ``shapes`` 800.
    seed
        Draws the images of `n_train`, the crops of ``surfaces`` and the scenes of ``shapes``. What is for training and
        what for testing does not depend on it: sets that do not say are split 80 to 20, stratified.
    **options
        For ``surfaces``: ``n_test`` (300); ``light``, from 0, as photographed, to 1, strongly changed brightness and
        contrast (0.3); ``rotation``, the largest angle in degrees either way (0). For ``shapes``: ``n_test`` (200),
        ``classes`` and the knobs of `helpers.scenes.render`.

    A bad argument, a folder that is not as described, or more than 2 GiB raises ``ValueError``; a set that cannot be
    downloaded ``ConnectionError``, within seconds; files that are damaged or cannot be written another ``OSError``.
    """
    if not isinstance(name, (str, Path)) or name == "":
        raise ValueError(f"name: got {name!r}, expected the name of a data set or the path of a folder")
    if fit not in real.FITS or (fit != "stretch" and size is None):
        raise ValueError(f"fit: got {fit!r} with size={size}, expected 'stretch', or 'crop' or 'pad' with a size")
    if dtype not in ("uint8", "float32"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'uint8' or 'float32'")
    size = None if size is None else check_integer("size", size, 1)
    n_train = None if n_train is None else check_integer("n_train", n_train, 1)
    seed = check_integer("seed", seed, 0)
    allowed = OPTIONS.get(name, ())
    if unknown := [option for option in options if option not in allowed]:
        raise ValueError(f"{unknown[0]}: is no setting of {str(name)!r}, which has {', '.join(allowed) or 'none'}")
    if isinstance(name, str) and name in (*OPTIONS, *real.KNOWN) and Path(name).is_dir():
        warnings.warn(f"{name} is the set of this name; load('./{name}') has the folder that is here", stacklevel=2)
    if name == "shapes":
        data = _shapes(size or 32, n_train or 800, seed, **options)
    elif name == "surfaces":
        data = _surfaces(size or 32, n_train or 600, seed, **options)
    else:
        data = _divided(_read(name, size, fit), n_train, seed)
    if dtype == "uint8":
        return data
    real.check_memory(len(data.x_train) + len(data.x_test), data.x_train.shape[1:], 4)
    return replace(data, x_train=np.float32(data.x_train) / 255, x_test=np.float32(data.x_test) / 255)


def photograph(name: str | Path, *, size: int | None = None, grey: bool = False) -> np.ndarray:
    """One of the photographs that scikit-image and scikit-learn carry, or one of your own.

    `name` is one of `PHOTOGRAPHS`, or the path of an image file, which comes upright, what is transparent as white.
    With a `size`, the largest square is cut out of the middle and resized to this many pixels. Returned is uint8,
    ``(height, width, 3)`` or for `grey`, luminance, ``(height, width)``; ``brick``, ``camera``, ``grass`` and
    ``gravel`` are always grey. An unknown name, or a file that is no picture, raises ``ValueError``.
    """
    if isinstance(name, Path) or (isinstance(name, str) and Path(name).suffix):
        if not Path(name).is_file():
            raise ValueError(f"name: got {str(name)!r}, which is no file, expected the path of a picture")
        pixels = real.read_picture(Path(name))
    elif name not in PHOTOGRAPHS:
        known = ", ".join(PHOTOGRAPHS)
        raise ValueError(f"name: got {name!r}, expected the path of a picture, with its ending, or one of {known}")
    elif name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        pixels = getattr(data, name)()
    picture = Image.fromarray(pixels)
    if grey:
        picture = picture.convert("L")
    if size is not None:
        size, side = check_integer("size", size, 1), min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return np.array(picture)  # a copy: Pillow lends its memory for reading only


def results(name: str) -> list[dict[str, float | str]]:
    """The rows of the table ``data/results/NAME.csv``, measured beforehand by the command in its first line.

    A row has a value for each column: a number where it can be one, else text.
    """

    def value(text: str) -> float | str:
        try:
            return float(text)
        except ValueError:
            return text

    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [{column: value(text) for column, text in row.items()} for row in rows]


# --- sets that are made on demand ---


def _shapes(size: int, n_train: int, seed: int, n_test: int = 200, **options) -> DataSet:
    counts = n_train, check_integer("n_test", n_test, 1)
    train, test = (
        scenes.render(count, size=size, seed=2 * seed + part, **options) for part, count in enumerate(counts)
    )
    arrays = train.images, train.labels, test.images, test.labels
    annotations = train.boxes, test.boxes, train.masks, test.masks
    return DataSet("shapes", *arrays, train.class_names, "rendered by helpers/scenes.py", *annotations)


def _surfaces(
    size: int, n_train: int, seed: int, n_test: int = 300, light: float = 0.3, rotation: float = 0
) -> DataSet:
    check_integer("n_test", n_test, 1)
    for option, value, most in (("light", light, 1), ("rotation", rotation, 180)):
        if not 0 <= value <= most:
            raise ValueError(f"{option}: got {value!r}, expected a number from 0 to {most}")
    arrays = []
    for part, (count, low, high) in enumerate([(n_train, 0, 0.625), (n_test, 0.625, 1)]):
        rng = np.random.default_rng([seed, part])
        labels = scenes.balanced(count, len(SURFACES), rng)
        regions = [grey[:, int(low * grey.shape[1]) : int(high * grey.shape[1])] for grey in map(photograph, SURFACES)]
        pairs = zip(labels, rng.uniform(-1, 1, (count, 5)), strict=True)
        crops = [_crop(regions[label], size, light, rotation, draw) for label, draw in pairs]
        arrays += [np.repeat(np.stack(crops)[..., None], 3, axis=-1), labels]
    source = (
        "crops of photographs in scikit-image (CC0Textures Bricks25 and Gravel04; grass by linolafett); "
        "the brick is a wall that stands in for paving"
    )
    return DataSet("surfaces", *arrays, SURFACES, source)


def _crop(region: np.ndarray, size: int, light: float, rotation: float, draw: np.ndarray) -> np.ndarray:
    """A turned square out of a region, never reaching beyond it, in another light."""
    side = 64  # in the photograph
    angle = np.deg2rad(rotation * draw[0])
    cos, sin = np.cos(angle), np.sin(angle)
    reach = side * (abs(cos) + abs(sin))  # of the turned square, along either axis
    x, y = (reach / 2 + (1 + draw[1 + axis]) / 2 * (region.shape[1 - axis] - reach) for axis in (0, 1))
    half = side / 2
    to_region = (cos, -sin, x - cos * half + sin * half, sin, cos, y - sin * half - cos * half)
    picture = Image.fromarray(region)
    picture = picture.transform((side, side), Image.Transform.AFFINE, to_region, Image.Resampling.BICUBIC)
    picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    contrast, brightness = 2 ** (light * draw[3]), 96 * light * draw[4]
    pixels = (np.asarray(picture, np.float32) - 128) * contrast + 128 + brightness
    return np.rint(pixels.clip(0, 255)).astype(np.uint8)


# --- sets that are read whole, and divided unless they are already ---


def _read(name: str | Path, size: int | None, fit: str) -> real.Found:
    """The set of this name or in this folder, whole."""
    path = Path(name).expanduser()
    is_path = isinstance(name, Path) or name.startswith((".", "~")) or path.is_absolute()
    if name in OPTIONS:
        return _stored(name, size)
    if is_path or (name not in real.KNOWN and path.exists()):
        return real.read_folder(path, size, fit)
    _check_name(name)
    return real.read_set(name, size, fit)


def _divided(found: real.Found, n_train: int | None, seed: int) -> DataSet:
    train, test = found.parts["train"], found.parts.get("test")
    if test is None:
        chosen, rest = divide(train.labels, found.class_names)
        train, test = train.some(chosen), train.some(rest)
    if n_train is not None:
        train = train.some(stratified(train.labels, n_train, seed, "n_train"))
    boxes, masks = (train.boxes, test.boxes), (train.masks, test.masks)
    if boxes[0] is None and masks[0] is not None and max(map(np.max, masks)) == 1:
        boxes = map(scenes.boxes_of, masks)
    arrays = train.images, train.labels, test.images, test.labels
    return DataSet(found.name, *arrays, found.class_names, found.source, *boxes, *masks)


def _stored(name: str, size: int | None) -> real.Found:
    """The digits of scikit-learn or the faces of scikit-image, in an order that mixes the classes."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, labels = np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target
        class_names = tuple(map(str, range(10)))
        source = "UCI optical recognition of handwritten digits (Alpaydin and Kaynak 1998), in scikit-learn"
    else:
        from skimage.data import lfw_subset

        images, labels = np.round(lfw_subset() * 255).astype(np.uint8), np.repeat([1, 0], 100)  # the faces come first
        order = np.random.default_rng(0).permutation(len(images))
        images, labels, class_names = images[order], labels[order], ("no face", "face")
        source = "100 faces of Labeled Faces in the Wild (Huang et al. 2007) and 100 other crops, in scikit-image"
    if size is not None:
        real.check_memory(len(images), (size, size))
        images = np.stack([Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images])
    return real.Found(name, {"train": real.Part(images[..., None], labels)}, class_names, source)


def divide(labels: np.ndarray, class_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices for training and for testing, 80 to 20 in each class, always the same."""
    lone = [name for index, name in enumerate(class_names) if np.sum(labels == index) == 1]
    if lone:
        raise ValueError(f"name: {', '.join(lone)} has one image only, expected one to train and one to test on")
    test = stratified(labels, max(len(np.unique(labels)), math.ceil(TEST_SHARE * len(labels))), 0, "test images")
    return np.setdiff1d(np.arange(len(labels)), test), test


def stratified(labels: np.ndarray, count: int, seed: int, name: str) -> np.ndarray:
    """Ascending indices of `count` examples, with the classes in proportion and each of them there.

    For the same seed, what a smaller count chooses is among what a larger one does.
    """
    classes = np.unique(labels)
    if not len(classes) <= count <= len(labels):
        raise ValueError(f"{name}: got {count}, expected {len(classes)} (one of each class) to {len(labels)} (all)")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    # The k-th of a class of n comes when a share of (k + 1/2) / n of all has been chosen; the first comes at once.
    turn = np.empty(len(labels))
    for label in classes:
        members = shuffled[labels[shuffled] == label]
        turn[members] = (np.arange(len(members)) + 0.5) / len(members)
        turn[members[0]] = 0
    return np.sort(shuffled[np.argsort(turn[shuffled], kind="stable")[:count]])


def _check_name(name: str) -> None:
    """Raise ``ValueError`` unless tensorflow-datasets has a set of this name."""
    if name.split("/")[0].split(":")[0] not in real.names():
        some = f"{', '.join(OPTIONS)}, a set of tensorflow-datasets ({', '.join(real.KNOWN)}, ...)"
        raise ValueError(f"name: got {name!r}, expected {some} or the path of a folder")


def _main(names: list[str]) -> int:
    """Fetch these sets, or say which there are; return the exit status."""
    failed = 0
    if not names:
        print("always there:", *OPTIONS, "\nto fetch: python -m helpers.datasets", *real.KNOWN)
    for name in names:
        try:
            if name not in OPTIONS:
                _check_name(name)
                real.fetch(name)
            print(f"{name}: ready")
        except (ValueError, OSError) as error:
            failed = 1
            print(error, file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
