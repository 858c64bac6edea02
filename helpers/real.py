"""Real images: sets of tensorflow-datasets, downloaded once, and folders of a user's own photographs.

`read_set` and `read_folder` give everything that is there as arrays; `datasets.load` divides it.
"""

import contextlib
import csv
import logging
import math
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from . import quiet_import
from .claims import size_text

KNOWN = {  # the sets that the course names, and where they are from
    "mnist": "MNIST handwritten digits (LeCun, Bottou, Bengio and Haffner 1998)",
    "fashion_mnist": "Fashion-MNIST, pictures of clothes (Xiao, Rasul and Vollgraf 2017)",
    "cifar10": "CIFAR-10, tiny photographs (Krizhevsky 2009)",
    "cifar100": "CIFAR-100, tiny photographs (Krizhevsky 2009)",
    "tf_flowers": "Flower photographs from Flickr (The TensorFlow Team 2019)",
    "oxford_iiit_pet": "Oxford-IIIT Pet, cats and dogs of 37 breeds (Parkhi et al. 2012)",
}
TRIMAPS = {"oxford_iiit_pet": "segmentation_mask"}  # 1 for the object, 2 for the background, 3 for the border
LARGEST = 2  # GiB of images in one set
PATIENCE = 6  # seconds without an answer from the network
CLUTTER = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__macosx", "@eadir"}  # of systems, archives
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # folders that are a split
EDGES = ("left", "top", "right", "bottom")
DECODED_AT_ONCE = 2**26  # pixels: a large picture takes hundreds of megabytes until it is shrunk
MOST_LISTED = 20  # problems in one message
MOST_CLASSES = 32  # in masks
# How pictures of other proportions become square: all of it, its largest square, or all of it between black bars
FITS = ("stretch", "crop", "pad")


class Part(NamedTuple):
    """Images ``(batch, height, width, channels)``, labels, masks and boxes, as in `datasets.DataSet`."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def some(self, indices: np.ndarray) -> "Part":
        return Part(*(None if array is None else array[indices] for array in self))


class Found(NamedTuple):
    """What a set holds: parts ``"train"`` and, where it says what to test on, ``"test"``."""

    name: str
    parts: dict[str, Part]
    class_names: tuple[str, ...]
    source: str


def check_memory(count: int, shape: tuple[int, ...], itemsize: int = 1) -> None:
    """Raise ``ValueError`` for more images than `LARGEST`."""
    needed = count * math.prod(shape) * itemsize / 2**30
    if needed > LARGEST:
        what = f"{count:,} images of {size_text(shape)} take {needed:.1f} GiB"
        raise ValueError(f"size: {what}, expected at most {LARGEST}: choose a smaller size")


def _check_shapes(shapes: set[tuple[int, int]], size: int | None, count: int, channels: int) -> None:
    """Raise ``ValueError`` unless images of these heights and widths become equally large, and fit into memory."""
    if size is None and (len(shapes) > 1 or (None, None) in shapes):
        raise ValueError("size: got None, expected a number of pixels, since the images differ in size")
    check_memory(count, (*((size, size) if size else next(iter(shapes))), channels))


# --- sets of tensorflow-datasets ---


def cache_folder() -> Path:
    """Where downloaded sets lie: ``TFDS_DATA_DIR``, or ``data/tensorflow_datasets`` in the course's folder."""
    own = Path(__file__).resolve().parent.parent / "data" / "tensorflow_datasets"
    return Path(os.environ.get("TFDS_DATA_DIR") or own).expanduser()


def names() -> list[str]:
    """The sets that tensorflow-datasets knows how to fetch."""
    with quiet_import():
        import tensorflow  # noqa: F401
        import tensorflow_datasets as tfds
    logging.getLogger("absl").setLevel(logging.ERROR)  # tensorflow-datasets warns of its own deprecations
    # The list of community sets would be fetched from the web, with no end when that is silent.
    return tfds.list_builders(with_community_datasets=False)


def fetch(name: str):
    """Have one of `names` on this computer, downloaded with progress on screen; return its builder.

    One process at a time downloads a set, since classes share caches; the others wait. Raises ``ValueError`` for a set
    without images in classes, ``ConnectionError`` for one that cannot be had, without a network within seconds.
    """
    import requests
    import tensorflow_datasets as tfds
    from filelock import FileLock
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    builder = tfds.builder(name, data_dir=cache_folder())
    features, wanted = builder.info.features, {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if not all(key in features and isinstance(features[key], kind) for key, kind in wanted.items()):
        raise ValueError(f"name: got {name!r}, which has {', '.join(features)}, expected an image and a class label")
    if builder.is_prepared():
        return builder
    print(f"{name}: fetching it into {cache_folder()}, as soon as no other process does", flush=True)
    cache_folder().mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cache_folder() / f"{builder.name}.lock"):
            builder = tfds.builder(name, data_dir=cache_folder())  # anew: another process may have prepared it
            if not builder.is_prepared():
                ask(next(iter(builder.url_infos or {}), "https://www.tensorflow.org/datasets"))
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except (ConnectionError, requests.RequestException, tfds.download.DownloadError, NonMatchingChecksumError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ConnectionError(
            f"{name} is not on this computer and could not be downloaded ({reason}): "
            'load("digits"), load("shapes") and load("surfaces") need no network; '
            f"'python -m helpers.datasets {name}', run with a network, fetches {name} for later."
        ) from None
    return builder


def ask(url: str) -> None:
    """Wait `PATIENCE` seconds at most for an answer from this address; ``ConnectionError`` says what is wrong."""
    import requests

    host = urlsplit(url).hostname
    wrong = [f"{host} did not answer within {PATIENCE} s"]

    def get() -> None:
        try:
            with requests.get(url, stream=True, timeout=PATIENCE) as response:
                wrong[:] = [] if response.ok else [f"{host} answered {response.status_code}"]
        except requests.exceptions.SSLError:
            wrong[:] = [f"the certificate of {host} is not trusted on this computer"]
        except requests.Timeout:
            pass
        except requests.RequestException:
            wrong[:] = [f"{host} cannot be reached"]

    # Resolving a name cannot be interrupted: the thread is left behind if need be.
    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if wrong:
        raise ConnectionError(wrong[0])


def content(url: str) -> bytes:
    """What lies at this address; raises ``OSError``, and ``ConnectionError`` within seconds where nothing answers."""
    import requests

    ask(url)
    return requests.get(url, timeout=PATIENCE).content


def read_set(name: str, size: int | None, fit: str) -> Found:
    """A set of tensorflow-datasets, fetched if need be, to be tested on its test split, or else on validation."""
    builder, trimap = fetch(name), TRIMAPS.get(name)
    import tensorflow as tf

    def square(image):
        side = (tf.reduce_max if fit == "pad" else tf.reduce_min)(tf.shape(image)[:2])
        return image if fit == "stretch" else tf.image.resize_with_crop_or_pad(image, side, side)

    def prepared(example):
        image = example["image"]
        if size is not None:
            image = tf.image.resize(square(image), (size, size), "bicubic", antialias=True)
            image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
        if trimap is None:
            return image, example["label"]
        mask = tf.cast(example[trimap] != 2, tf.uint8)
        if size is not None:
            mask = tf.image.resize(square(mask), (size, size), "nearest")
        return image, example["label"], mask[..., 0]

    info = builder.info
    held_out = [split for split in ("test", "validation") if split in info.splits][:1]
    splits = dict(zip(("train", "test"), ["train", *held_out], strict=False))
    height, width, channels = info.features["image"].shape
    _check_shapes({(height, width)}, size, sum(info.splits[split].num_examples for split in splits.values()), channels)
    parts = {}
    for part, split in splits.items():
        batches = builder.as_dataset(split=split).map(prepared, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
        parts[part] = Part(*map(np.concatenate, zip(*batches.as_numpy_iterator(), strict=True)))
    source = KNOWN.get(name, f"https://www.tensorflow.org/datasets/catalog/{builder.name}")
    return Found(name, parts, tuple(info.features["label"].names), source)


# --- folders ---


class _Photo(NamedTuple):
    """A picture of a folder: its file, class, upright height and width, the file of its mask, its box in pixels."""

    path: Path
    class_name: str
    shape: tuple[int, int]
    mask: Path | None
    box: np.ndarray | None


def read_folder(folder: Path, size: int | None, fit: str) -> Found:
    """A folder that is as `datasets.load` describes it, in an order that mixes the classes and is always the same.

    A ``ValueError`` lists all files that are not as described; a warning names what else lies there, unused.
    """
    if not folder.is_dir():
        raise ValueError(f"name: got {str(folder)!r}, which is no folder, expected a folder of photographs")
    places = _split(folder)
    photos = {part: _photos(place) for part, place in places.items()}
    everything = [photo for some in photos.values() for photo in some]
    class_names = tuple(sorted({photo.class_name for photo in photos["train"]}))
    if unknown := sorted({photo.class_name for photo in everything} - set(class_names)):
        raise ValueError(f"name: {places['test']} holds {', '.join(unknown)}, which {places['train']} does not")
    if len({(photo.mask is None, photo.box is None) for photo in everything}) > 1:
        raise ValueError(f"name: {folder}: expected masks or boxes for training and for testing, or for neither")
    _check_shapes({photo.shape for photo in everything}, size, len(everything), 3)
    workers = max(1, min(8, DECODED_AT_ONCE // max(math.prod(photo.shape) for photo in everything)))
    parts = {}
    for part, some in photos.items():
        images = np.stack(_each(lambda photo: read_picture(photo.path, size, fit), some, workers))
        labels, masks, boxes = np.array([class_names.index(photo.class_name) for photo in some]), None, None
        if some[0].mask is not None:
            masks = np.stack(_each(lambda photo: read_mask(photo.mask, size, fit), some, workers))
        if some[0].box is not None:
            boxes = np.stack(_each(lambda photo: _fitted_box(photo, size, fit), some))
        parts[part] = Part(images, labels, masks, boxes)
    return Found(folder.resolve().name, _with_class_numbers(parts), class_names, f"photographs in {folder}")


def _split(folder: Path) -> dict[str, Path]:
    """The folders to train and to test on, where it holds such, or the whole to train on."""
    nested = {path.name.lower(): path for path in _entries(folder) if any(map(Path.is_dir, _entries(path)))}
    train, test = (next((nested[name] for name in names if name in nested), None) for names in (TRAIN, TEST))
    if not (train and test):
        return {"train": folder}
    _warn_of_unused(path for path in _entries(folder) if path not in (train, test))
    return {"train": train, "test": test}


def _photos(folder: Path) -> list[_Photo]:
    """The pictures of one folder for each class, or of ``images`` beside ``masks``, ``boxes.csv`` or both."""
    is_annotated = (folder / "images").is_dir()
    root, masks, table = folder / "images" if is_annotated else folder, folder / "masks", folder / "boxes.csv"
    classes = {path: _entries(path) for path in _entries(root) if path.is_dir()}
    loose = [path for path in _entries(root) if not path.is_dir()]
    has_masks, has_boxes = is_annotated and masks.is_dir(), is_annotated and table.is_file()
    lower = {path.name.lower() for path in classes}
    if not is_annotated and (len(lower) < 2 or lower <= {*TRAIN, *TEST}):
        held = ", ".join(path.name for path in classes) or "no folder"
        raise ValueError(f"name: {folder} holds {held}, expected at least two folders, one for each class")
    if is_annotated and not ((has_masks or has_boxes) and (classes or loose)):
        raise ValueError(f"name: {folder}: expected pictures in 'images', and 'masks' or 'boxes.csv' beside it")
    problems = [f"{path}: lies beside the folders of classes" for path in loose if is_annotated and classes]
    for path, inside in classes.items():
        problems += [] if inside else [f"{path}: holds no pictures"]
        problems += [f"{inner}: is a folder inside that of a class: move it up" for inner in inside if inner.is_dir()]
    _refuse(problems)
    used = [root, masks, table] if is_annotated else classes
    _warn_of_unused(path for path in _entries(folder) if path not in used)

    paths = [path for inside in classes.values() for path in inside] or loose
    rows = _rows(table, {path.relative_to(root).as_posix() for path in paths}) if has_boxes else {}

    def described(path: Path) -> _Photo:
        place, shape = path.relative_to(root), _shape(path)
        row = rows.get(place.as_posix(), {})
        class_name = row.get("class", "object") if path.parent == root else path.parent.name
        mask = masks / place.with_suffix(".png") if has_masks else None
        if mask and not mask.is_file():
            raise ValueError(f"{path}: has no mask {mask} (not as JPEG, which changes its numbers)")
        if mask and _shape(mask) != shape:
            raise ValueError(f"{mask}: got {size_text(_shape(mask))}, expected {size_text(shape)}, as {path.name} is")
        return _Photo(path, class_name, shape, mask, _box(table, row, shape) if has_boxes else None)

    photos = _each(described, paths)
    return [photos[index] for index in np.random.default_rng(0).permutation(len(photos))]


def _rows(table: Path, names: set[str]) -> dict[str, dict[str, str]]:
    """The rows of a table ``file,left,top,right,bottom[,class]``, one for each of these names."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except UnicodeDecodeError as error:
        raise ValueError(f"{table}: cannot be read as a table in UTF-8 ({error})") from None
    if not {"file", *EDGES} <= set(columns):
        wanted = f"file, {', '.join(EDGES)} (and class), in pixels, right and bottom just outside of the box"
        raise ValueError(f"{table}: got the columns {', '.join(columns)}, expected {wanted}")
    counts = Counter(row["file"] for row in rows)
    _refuse(
        [f"{table}: has no box for {name!r}" for name in names - set(counts)]
        + [f"{table}: {name!r} is not in images" for name in set(counts) - names]
        + [f"{table}: {name!r} has {count} boxes, expected one" for name, count in counts.items() if count > 1]
        + [f"{table}: {row['file']!r} has no class" for row in rows if row.get("class", "object") in ("", None)]
    )
    return {row["file"]: row for row in rows}


def _box(table: Path, row: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    """The box of a row, in pixels of a picture of this height and width."""
    try:
        box = np.array([float(row[edge]) for edge in EDGES])
    except (TypeError, ValueError):
        box = np.full(4, np.nan)
    inside = box.clip(0, 2 * shape[::-1])
    # What was a share of the sides before, with six digits, may reach beyond them by a hair.
    if np.abs(box - inside).max() <= 0.01 and (inside[:2] < inside[2:]).all():
        return inside
    got, pixels = ", ".join(str(row[edge]) for edge in EDGES), size_text(shape[::-1])
    raise ValueError(f"{table}: {row['file']!r} has {got}, expected {', '.join(EDGES)} inside the {pixels} pixels")


def _fitted_box(photo: _Photo, size: int | None, fit: str) -> np.ndarray:
    """The box of a picture in pixels of the square that it becomes; ``ValueError`` where nothing of it is left."""
    if size is None:
        return photo.box.astype(np.float32)
    sides = np.array(2 * photo.shape[::-1])
    span = {"stretch": sides, "crop": sides.min(), "pad": sides.max()}[fit]  # of the picture, what becomes `size`
    box = ((photo.box - (sides - span) / 2) * size / span).clip(0, size)
    if (box[:2] >= box[2:]).any():
        raise ValueError(f"{photo.path}: its box lies outside of the square that fit='crop' keeps")
    return box.astype(np.float32)


def _fitted(picture: Image.Image, size: int | None, fit: str, method: Image.Resampling) -> Image.Image:
    if size is None:
        return picture
    if fit == "stretch":
        return picture.resize((size, size), method, reducing_gap=3)
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(picture, (size, size), method)


def read_picture(path: Path, size: int | None = None, fit: str = "stretch") -> np.ndarray:
    """A picture of any kind as ``(height, width, 3)``, uint8, upright, on white where it is transparent.

    It becomes a square of side `size` by one of `FITS`. A ``ValueError`` names a file that cannot be read.
    """
    with _opened(path) as picture:
        if size is not None:
            picture.draft("RGB", (size, size))  # lets a JPEG be decoded at a fraction of its size
        picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":
        raise ValueError(f"{path}: has more than 8 bits a value (up to {np.max(picture):g}): save it scaled to 255")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(_fitted(picture.convert("RGB"), size, fit, Image.Resampling.BICUBIC))


def read_mask(path: Path, size: int | None = None, fit: str = "stretch") -> np.ndarray:
    """A mask as ``(height, width)``, uint8, as stored in a grey, palette or black-and-white file.

    As a square of side `size`, every pixel takes its nearest one's value, in the bars of ``"pad"`` 0. A ``ValueError``
    names a file that cannot be read, or is in colour.
    """
    with _opened(path) as mask:
        mask = ImageOps.exif_transpose(mask)
    if mask.mode not in ("1", "L", "P"):
        raise ValueError(f"{path}: got a mask of mode {mask.mode}, expected grey or palette, one number a pixel")
    return np.array(_fitted(mask, size, fit, Image.Resampling.NEAREST), dtype=np.uint8)


def _with_class_numbers(parts: dict[str, Part]) -> dict[str, Part]:
    """The parts with masks that hold the numbers of classes; those of 0 and 255 become 0 and 1."""
    values = {int(value) for part in parts.values() if part.masks is not None for value in np.unique(part.masks)}
    if max(values, default=0) < MOST_CLASSES:
        return parts
    if not values <= {0, 255}:
        wanted = f"classes from 0 to {MOST_CLASSES - 1}, or 0 and 255 for one object; JPEG files change the numbers"
        raise ValueError(f"masks: got numbers up to {max(values)}, expected {wanted}")
    return {name: part._replace(masks=part.masks // 255) for name, part in parts.items()}


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, if it is one, but for hidden files and clutter; in the same order everywhere."""
    there = folder.iterdir() if folder.is_dir() else []
    shown = [path for path in there if not path.name.startswith(".") and path.name.lower() not in CLUTTER]
    return sorted(shown, key=lambda path: path.name)


def _shape(path: Path) -> tuple[int, int]:
    """Height and width of a picture as it is shown."""
    with _opened(path) as picture:
        if picture.format == "TIFF":
            picture.load()  # which turns it already
        width, height = picture.size
        turned = picture.getexif().get(0x0112) in (5, 6, 7, 8)  # EXIF's word for "on its side"
    return (width, height) if turned else (height, width)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file; whatever Pillow raises becomes a ``ValueError`` that names it."""
    try:
        with Image.open(path) as picture:
            yield picture
    except Exception as error:  # a damaged file can lead to any
        raise ValueError(f"{path}: cannot be read ({error}); remove it, or save it as JPEG or PNG") from None


def _each(read: Callable, items: Iterable, workers: int = 1) -> list:
    """What `read` makes of each item, in several threads, or one ``ValueError`` for all that it raises."""

    with ThreadPoolExecutor(workers) as threads:
        done = [threads.submit(read, item) for item in items]
        for _ in tqdm(as_completed(done), "pictures", len(done), leave=False, delay=10):  # seconds until it shows
            pass
    _refuse(str(one.exception()) for one in done if isinstance(one.exception(), ValueError))
    return [one.result() for one in done]


def _refuse(problems: Iterable[str]) -> None:
    """Raise one ``ValueError`` for all problems, if there are any."""
    if problems := sorted(problems):
        more = [f"and {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
        raise ValueError("\n".join([*problems[:MOST_LISTED], *more]))


def _warn_of_unused(paths: Iterable[Path]) -> None:
    if unused := [str(path) for path in paths]:
        warnings.warn(f"not used: {', '.join(unused)}", stacklevel=2)
