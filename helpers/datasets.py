"""Every image that comes in: `load` for data sets, `stream` for those too large, `photograph` for single pictures.

``python -m helpers.datasets`` lists the sets that are on this computer; with names it fetches them.
"""

import base64
import difflib
import html
import io
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import downloads, folders, quiet_import, scenes
from .validation import check_integer, check_range, size_text

if TYPE_CHECKING:
    import tensorflow as tf

PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "china", "coffee", "flower", "grass", "gravel")
SURFACES = ("brick", "gravel", "grass")
LARGEST = 2 * 2**30  # bytes that `load` may take
TEST_SHARE = 0.2  # of a set that does not say what to test on

_MOST_CLASSES_LISTED = 12
_THUMBNAIL = 56  # pixels


@dataclass(frozen=True, repr=False)
class DataSet:
    """Images and labels, split for training and testing.

    Images are ``(batch, height, width, channels)``, labels integers that index `class_names`. Where they are known,
    boxes are ``(batch, 4)``: left, top, width, height as shares of the image's sides, and masks
    ``(batch, height, width)``, uint8: the class of each pixel, where there are two 0 for the background and 1 for the
    object.
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
        return "\n".join(f"{key}: {value}" for key, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(key)}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for key, value in self._facts().items()
        )
        present = np.unique(self.y_train)[:_MOST_CLASSES_LISTED]
        each = max(1, _MOST_CLASSES_LISTED // len(present))
        samples = [index for label in present for index in np.flatnonzero(self.y_train == label)[:each]]
        strip = "".join(map(self._thumbnail, samples))
        return f'<table>{rows}</table><div style="display:flex;flex-wrap:wrap;gap:8px">{strip}</div>'

    def _facts(self) -> dict[str, str]:
        low, high = self.x_train.min(), self.x_train.max()
        counts = Counter(self.y_train.tolist())
        if len(self.class_names) <= _MOST_CLASSES_LISTED:
            per_class = ", ".join(f"{name}: {counts[index]}" for index, name in enumerate(self.class_names))
        else:
            fewest, most = min(counts.values()), max(counts.values())
            per_class = f"{fewest if fewest == most else f'{fewest} to {most}'} in {len(self.class_names)} classes"
        known = [what for what in ("boxes", "masks") if getattr(self, f"{what}_train") is not None]
        return {
            self.name: f"{len(self.x_train):,} training and {len(self.x_test):,} test images "
            f"of {' × '.join(map(str, self.x_train.shape[1:]))}, {self.x_train.dtype} from {low:g} to {high:g}"
            + (f", with {' and '.join(known)}" if known else ""),
            "training images of each class": per_class,
            "source": self.source,
        }

    def _thumbnail(self, index: int) -> str:
        """An image with its class below it and its box drawn, as HTML that needs no file."""
        from PIL import Image

        image = self.x_train[index]
        if image.dtype != np.uint8:
            image = np.rint(image * 255).astype(np.uint8)
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        picture.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))
        stored = io.BytesIO()
        picture.save(stored, format="BMP")  # not compressed, so that the same image gives the same text everywhere
        address = f"data:image/bmp;base64,{base64.b64encode(stored.getvalue()).decode()}"
        class_name = html.escape(self.class_names[self.y_train[index]])
        frame = ""
        if self.boxes_train is not None:
            left, top, width, height = (f"{share:.1%}" for share in self.boxes_train[index])
            frame = (
                f'<div style="position:absolute;box-sizing:border-box;border:2px solid #0072B2;outline:1px solid white;'
                f'left:{left};top:{top};width:{width};height:{height}"></div>'
            )
        return (
            f'<div style="text-align:center"><div style="position:relative;width:{_THUMBNAIL}px;margin:auto">'
            f'<img alt="{class_name}" src="{address}" style="width:100%;display:block;image-rendering:pixelated">'
            f"{frame}</div>{class_name}</div>"
        )


@dataclass(frozen=True, repr=False)
class DataStream:
    """Images and labels that are read as they are needed, split for training and testing.

    Attributes
    ----------
    train, test
        ``tf.data.Dataset`` of ``(image, label)``, one at a time, neither shuffled nor batched.
    name, class_names, source
        As in `DataSet`.
    """

    name: str
    train: "tf.data.Dataset"
    test: "tf.data.Dataset"
    class_names: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        image, _ = self.train.element_spec
        return (
            f"{self.name}: a stream of {self.train.cardinality():,} training and "
            f"{self.test.cardinality():,} test images of {' × '.join(map(str, image.shape))}, {image.dtype.name}\n"
            f"classes: {', '.join(self.class_names)}\n"
            f"source: {self.source}"
        )


class _Real(NamedTuple):
    """A set that tensorflow-datasets has: the embedded set that serves without a network, and where it is from."""

    instead: str
    source: str
    trimap: str | None = None


_INSTEAD = "shapes"
_REAL = {
    "mnist": _Real("digits", "MNIST handwritten digits (LeCun, Bottou, Bengio and Haffner 1998)"),
    "fashion_mnist": _Real("digits", "Fashion-MNIST, pictures of clothes (Xiao, Rasul and Vollgraf 2017)"),
    "cifar10": _Real("shapes", "CIFAR-10, tiny photographs (Krizhevsky 2009)"),
    "cifar100": _Real("shapes", "CIFAR-100, tiny photographs (Krizhevsky 2009)"),
    "tf_flowers": _Real("surfaces", "Flower photographs from Flickr (The TensorFlow Team 2019)"),
    "oxford_iiit_pet": _Real(
        "shapes", "Oxford-IIIT Pet, cats and dogs of 37 breeds (Parkhi et al. 2012)", trimap="segmentation_mask"
    ),
}


def load(
    name: str | Path,
    *,
    size: int | None = None,
    dtype: str = "uint8",
    n_train: int | None = None,
    seed: int = 0,
    **options,
) -> DataSet:
    """Load a data set, split for training and testing, into memory.

    Parameters
    ----------
    name
        With no network needed:

        - ``"digits"``: 1,797 handwritten digits, 8×8 (UCI, inside scikit-learn);
        - ``"surfaces"``: crops of three grey photographs, as RGB: a brick wall (which stands in for paving), gravel and
          grass. Training crops come from the left of each photograph, test crops from the right;
        - ``"faces"``: 100 faces and 100 other crops of photographs, 25×25, grey (inside scikit-image);
        - ``"shapes"``: small rendered scenes with box and mask, see `helpers.scenes.render`.

        Downloaded once by tensorflow-datasets, into ``data/`` or ``TFDS_DATA_DIR``: ``"mnist"``, ``"fashion_mnist"``,
        ``"cifar10"``, ``"cifar100"``, ``"tf_flowers"``, ``"oxford_iiit_pet"``, or any other of its image classification
        sets by its name there.

        The path of a folder of photographs: one folder for each class; or a folder ``images`` beside a folder ``masks``
        (the same names), a file ``boxes.csv`` (``file,x,y,w,h`` in pixels, ``class`` if you like), or both.
    size
        Side in pixels to resize to; other proportions are stretched, so that boxes and masks stay whole. By default the
        images keep their size; ``surfaces`` and ``shapes`` are 32.
    dtype
        ``"uint8"`` for values from 0 to 255, ``"float32"`` for 0 to 1.
    n_train
        Take that many training images, with the classes in proportion. By default all; of ``surfaces`` 600, of
        ``shapes`` 800.
    seed
        Draws the images of `n_train`, the crops of ``surfaces`` and the scenes of ``shapes``. What is for training and
        what for testing does not depend on it: sets that do not say are split 80 to 20, stratified.
    **options
        For ``surfaces``: ``n_test`` (300); ``crop``, the side in pixels of what is cut out, 8 to 128 (64); ``light``,
        from 0, as photographed, to 1, strongly changed brightness and contrast (0.3); ``rotation``, the largest angle
        in degrees either way, 0 to 180 (0). For ``shapes``: ``n_test`` (200), ``classes`` and the knobs of
        `helpers.scenes.render`.

    Raises
    ------
    ValueError
        For an unknown name or option, a number out of range, a folder that is not as described, or more than 2 GiB.
    ConnectionError
        When the set has to be downloaded and cannot be; it says so within seconds.
    OSError
        When the files on disk are damaged or cannot be written.
    """
    size, n_train, seed = _checked(name, size, dtype, n_train, seed)
    allowed = _OPTIONS.get(name, ())
    for option in options:
        if option not in allowed:
            raise ValueError(f"{option}: is no setting of {str(name)!r}, which has {', '.join(allowed) or 'none'}")
    if name in _EMBEDDED:
        data = _EMBEDDED[name](size=size, n_train=n_train, seed=seed, **options)
    else:
        data = _read(name, size, np.dtype(dtype).itemsize, n_train, seed)
    if dtype == "uint8":
        return data
    _check_memory(len(data.x_train) + len(data.x_test), data.x_train.shape[1:], 4)
    return replace(data, x_train=np.float32(data.x_train) / 255, x_test=np.float32(data.x_test) / 255)


def stream(
    name: str | Path, *, size: int | None = None, dtype: str = "uint8", n_train: int | None = None, seed: int = 0
) -> DataStream:
    """Open a data set, split for training and testing, without reading it into memory.

    Its images are the ones that `load` gives, decoded and resized when they are asked for.

    Parameters
    ----------
    name, size, dtype, n_train, seed
        As for `load`.

    Raises
    ------
    ValueError, ConnectionError, OSError
        As `load`.
    """
    size, n_train, seed = _checked(name, size, dtype, n_train, seed)
    with quiet_import():
        import tensorflow as tf

    if name in _EMBEDDED:
        data = load(name, size=size, dtype=dtype, n_train=n_train, seed=seed)
        pairs = (data.x_train, data.y_train), (data.x_test, data.y_test)
        train, test = map(tf.data.Dataset.from_tensor_slices, pairs)
        return DataStream(data.name, train, test, data.class_names, data.source)

    found, title, source = _find(name)
    _shape(found, size)

    def scaled(image, label, *_mask):
        return image if dtype == "uint8" else tf.cast(image, tf.float32) / 255, label

    train, test = (
        found.stream(pool, indices, size).map(scaled, num_parallel_calls=tf.data.AUTOTUNE)
        for pool, indices in _parts(found, n_train, seed)
    )
    return DataStream(title, train, test, found.class_names, source)


def photograph(name: str | Path, *, size: int | None = None, grey: bool = False) -> np.ndarray:
    """One of the photographs that scikit-image and scikit-learn carry, or one of your own.

    Parameters
    ----------
    name
        One of `PHOTOGRAPHS`, or the path of an image file: it comes upright, what is transparent as white.
    size
        Cut the largest square out of the middle and resize it to this many pixels; by default the whole picture.
    grey
        Return luminance instead of colour. ``brick``, ``camera``, ``grass`` and ``gravel`` are always grey.

    Returns
    -------
    numpy.ndarray
        ``(height, width, 3)`` or, for grey, ``(height, width)``; uint8.

    Raises
    ------
    ValueError
        For an unknown name, a file that is not there or is no picture, or a size below 1.
    """
    is_file = isinstance(name, Path) or (isinstance(name, str) and Path(name).suffix != "")
    if not is_file and name not in PHOTOGRAPHS:
        known = ", ".join(PHOTOGRAPHS)
        raise ValueError(f"name: got {name!r}, expected the path of a picture, with its ending, or one of {known}")
    if size is not None:
        check_integer("size", size, 1)
    from PIL import Image

    if is_file:
        if not Path(name).is_file():
            raise ValueError(f"name: got {str(name)!r}, which is no file, expected the path of a picture")
        picture = Image.fromarray(folders.read_picture(Path(name)))
    elif name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        picture = Image.fromarray(load_sample_image(f"{name}.jpg"))
    else:
        from skimage import data

        picture = Image.fromarray(getattr(data, name)())
    if grey:
        picture = picture.convert("L")
    if size is not None:
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return np.array(picture)  # a copy: Pillow lends its memory for reading only


def fetch(name: str):
    """Have a set of tensorflow-datasets on this computer, with progress on screen, and return its builder.

    Raises
    ------
    ValueError, ConnectionError, OSError
        As `load`.
    """
    if name in PHOTOGRAPHS:
        raise ValueError(f"name: got {name!r}, which is a photograph: use photograph({name!r})")
    known = downloads.names()
    if name.split("/")[0].split(":")[0] not in known:
        close = difflib.get_close_matches(name.lower(), [*_EMBEDDED, *known], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(
            f"name: got {name!r}, expected {', '.join(_EMBEDDED)}, a set of tensorflow-datasets "
            f"({', '.join(_REAL)}, ...) or the path of a folder{hint}"
        )
    return downloads.fetch(name, _REAL[name].instead if name in _REAL else _INSTEAD)


def _checked(
    name: str | Path, size: int | None, dtype: str, n_train: int | None, seed: int
) -> tuple[int | None, int | None, int]:
    """Size, number of training images and seed as Python's integers."""
    if not isinstance(name, (str, Path)) or name == "":
        raise ValueError(f"name: got {name!r}, expected the name of a data set or the path of a folder")
    if dtype not in ("uint8", "float32"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'uint8' or 'float32'")
    return (
        None if size is None else check_integer("size", size, 1),
        None if n_train is None else check_integer("n_train", n_train, 1),
        check_integer("seed", seed, 0),
    )


# --- sets that come with a package ---


def _stored(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Iterable[str],
    source: str,
    *,
    size: int | None,
    n_train: int | None,
    seed: int,
) -> DataSet:
    """A set of grey images that lie in memory, in an order that mixes the classes."""
    from PIL import Image

    train, test = _divided(labels)
    if n_train is not None:
        train = train[_stratified(labels[train], n_train, seed, "n_train")]
    _check_memory(len(images), images.shape[1:] if size is None else (size, size))
    if size is not None:
        images = np.stack([Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images])
    images = images[..., None]
    return DataSet(name, images[train], labels[train], images[test], labels[test], tuple(class_names), source)


def _digits(**settings) -> DataSet:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    source = "UCI optical recognition of handwritten digits (Alpaydin and Kaynak 1998), in scikit-learn"
    return _stored("digits", images, digits.target, map(str, range(10)), source, **settings)


def _faces(**settings) -> DataSet:
    from skimage.data import lfw_subset

    images = np.round(lfw_subset() * 255).astype(np.uint8)
    labels = np.repeat([1, 0], len(images) // 2)  # the faces come first
    mixed = np.random.default_rng(0).permutation(len(images))
    source = "100 faces of Labeled Faces in the Wild (Huang et al. 2007) and 100 other crops, in scikit-image"
    return _stored("faces", images[mixed], labels[mixed], ("no face", "face"), source, **settings)


# --- sets that are made on demand ---


def _surfaces(
    *,
    size: int | None,
    n_train: int | None,
    seed: int,
    n_test: int = 300,
    crop: int = 64,
    light: float = 0.3,
    rotation: float = 0,
) -> DataSet:
    size, n_train, n_test = size or 32, n_train or 600, check_integer("n_test", n_test, 1)
    if check_integer("crop", crop, 8) > 128:
        raise ValueError(f"crop: got {crop}, expected at most 128")
    _check_memory(n_train + n_test, (size, size, 3))
    check_range("light", light, 0, 1)
    check_range("rotation", rotation, 0, 180)
    arrays = []
    for part, (count, low, high) in enumerate([(n_train, 0, 0.625), (n_test, 0.625, 1)]):
        rng = np.random.default_rng([seed, part])
        labels = scenes.balanced(count, len(SURFACES), rng)
        regions = [grey[:, int(low * grey.shape[1]) : int(high * grey.shape[1])] for grey in map(photograph, SURFACES)]
        draws = rng.uniform(-1, 1, (count, 5))
        pairs = zip(labels, draws, strict=True)
        crops = [_crop(regions[label], size, crop, light, rotation, draw) for label, draw in pairs]
        arrays += [np.repeat(np.stack(crops)[..., None], 3, axis=-1), labels]
    return DataSet(
        "surfaces",
        *arrays,
        class_names=SURFACES,
        source="crops of photographs in scikit-image (CC0Textures Bricks25 and Gravel04; grass by linolafett); "
        "the brick is a wall that stands in for paving",
    )


def _crop(region: np.ndarray, size: int, side: int, light: float, rotation: float, draw: np.ndarray) -> np.ndarray:
    """A turned square of this side out of a region, never reaching beyond it, in another light."""
    from PIL import Image

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


def _shapes(*, size: int | None, n_train: int | None, seed: int, n_test: int = 200, **options) -> DataSet:
    size, n_train, n_test = size or 32, n_train or 800, check_integer("n_test", n_test, 1)
    _check_memory(n_train + n_test, (size, size, 3))
    train, test = (
        scenes.render(count, size=size, seed=2 * seed + part, **options) for part, count in enumerate((n_train, n_test))
    )
    arrays = train.images, train.labels, test.images, test.labels
    annotations = train.boxes, test.boxes, train.masks, test.masks
    return DataSet("shapes", *arrays, train.class_names, "rendered by helpers/scenes.py", *annotations)


_EMBEDDED = {"digits": _digits, "surfaces": _surfaces, "faces": _faces, "shapes": _shapes}
_OPTIONS = {
    "surfaces": ("n_test", "crop", "light", "rotation"),
    "shapes": ("n_test", "classes", *scenes.KNOBS),
}


# --- sets whose images are read one by one: downloaded ones and folders ---


def _find(name: str | Path) -> tuple[downloads.Downloaded | folders.Photographs, str, str]:
    """The set of this name or in this folder, what to call it, and where it is from."""
    path = Path(os.path.expanduser(name))
    looks_like_path = isinstance(name, Path) or name.startswith((".", "~")) or path.is_absolute()
    if looks_like_path or (name not in _REAL and path.exists()):
        return folders.scan(path), path.resolve().name, f"photographs in {path}"
    builder = fetch(name)
    real = _REAL.get(name, _Real(_INSTEAD, f"https://www.tensorflow.org/datasets/catalog/{builder.name}"))
    return downloads.Downloaded(builder, real.trimap), name, real.source


def _read(name: str | Path, size: int | None, itemsize: int, n_train: int | None, seed: int) -> DataSet:
    found, title, source = _find(name)
    parts = _parts(found, n_train, seed)
    shape = (*_shape(found, size), found.channels)
    count = sum(found.counts[pool] if indices is None else len(indices) for pool, indices in parts)
    _check_memory(count, shape, itemsize)
    (*train, train_mask), (*test, test_mask) = (found.read(pool, indices, size) for pool, indices in parts)
    boxes = [None if found.boxes is None else found.boxes[indices] for _, indices in parts]
    masks = [train_mask, test_mask]
    if train_mask is not None:
        if all(set(np.unique(mask)) <= {0, 255} for mask in masks):
            masks = [mask // 255 for mask in masks]
        if found.boxes is None and max(mask.max() for mask in masks) == 1:
            boxes = [scenes.boxes_of(mask) for mask in masks]
    return DataSet(title, *train, *test, found.class_names, source, *boxes, *masks)


def _check_memory(count: int, shape: tuple[int, ...], itemsize: int = 1) -> None:
    needed = count * math.prod(shape) * itemsize
    if needed > LARGEST:
        raise ValueError(
            f"size: {count:,} images of {size_text(shape)} take {needed / 2**30:.1f} GiB, expected at most "
            f"{LARGEST / 2**30:g}: choose a smaller size or n_train, or use stream in place of load"
        )


def _shape(found: downloads.Downloaded | folders.Photographs, size: int | None) -> tuple[int, int]:
    """Height and width of the images to come."""
    if size is not None:
        return size, size
    if found.shape is None:
        raise ValueError("size: got None, expected a number of pixels, since the images differ in size")
    return found.shape


def _parts(
    found: downloads.Downloaded | folders.Photographs, n_train: int | None, seed: int
) -> list[tuple[str, np.ndarray | None]]:
    """For training and for testing: a pool of examples, and ascending indices into it or ``None`` for all of them."""
    is_divided = "test" in found.counts
    if is_divided and n_train is None:
        return [("train", None), ("test", None)]
    labels = found.labels("train")
    train, rest = (np.arange(len(labels)), None) if is_divided else _divided(labels)
    if n_train is not None:
        train = train[_stratified(labels[train], n_train, seed, "n_train")]
    return [("train", train), ("test" if is_divided else "train", rest)]


def _divided(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices for training and for testing, 80 to 20 in each class, always the same."""
    lone = [label for label, count in zip(*np.unique(labels, return_counts=True), strict=True) if count < 2]
    if lone:
        raise ValueError(f"name: class number {lone[0]} has one image only, expected one to train and one to test on")
    test = _stratified(labels, max(len(np.unique(labels)), math.ceil(TEST_SHARE * len(labels))), 0, "test images")
    return np.setdiff1d(np.arange(len(labels)), test), test


def _stratified(labels: np.ndarray, count: int, seed: int, name: str) -> np.ndarray:
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


def _main(names: list[str]) -> int:
    """Fetch these sets, or list what there is; return the exit status."""
    failed = 0
    for name in names:
        if name in _EMBEDDED:
            print(f"{name}: always there, it needs no download")
            continue
        try:
            fetch(name)
        except (ValueError, OSError) as error:
            failed = 1
            print(error, file=sys.stderr)
        else:
            print(f"{name}: ready in {downloads.cache_folder()}")
    if not names:
        cached = downloads.cached()
        print(f"always there: {', '.join(_EMBEDDED)}")
        print(f"in {downloads.cache_folder()}:")
        for name, size in cached.items():
            print(f"  {name}: {size / 2**20:,.0f} MiB")
        missing = [name for name in _REAL if name not in cached]
        if missing:
            print(f"to fetch: python -m helpers.datasets {' '.join(missing)}")
    return failed


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
