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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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
TRIMAPS = {"oxford_iiit_pet": "segmentation_mask"}
LARGEST = 2  # GiB of images in one set
PATIENCE = 6  # seconds without an answer from the network
CLUTTER = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__macosx", "@eadir"}  # of systems, archives
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # folders that are a split
DECODED_AT_ONCE = 2**26  # pixels
MOST_LISTED = 20  # problems in one message
MOST_CLASSES = 32  # in masks
EDGES = ("left", "top", "right", "bottom")  # of a box


class Part(NamedTuple):
    """Images ``(batch, height, width, channels)``, labels, masks and boxes, as in `datasets.DataSet`."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def some(self, indices: np.ndarray) -> "Part":
        return Part(*(None if array is None else array[indices] for array in self))


class Found(NamedTuple):
    """Parts ``"train"`` and, where a set says what to test on, ``"test"``; names of classes; where it is from."""

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
    if size is None and len(shapes) != 1:
        raise ValueError("size: got None, expected a number of pixels, since the images differ in size")
    check_memory(count, (*((size, size) if size else next(iter(shapes))), channels))


# --- sets of tensorflow-datasets ---


def cache_folder() -> Path:
    """Where prepared sets lie: ``TFDS_DATA_DIR``, or ``data/tensorflow_datasets`` in the course's folder."""
    own = Path(__file__).resolve().parent.parent / "data" / "tensorflow_datasets"
    return Path(os.environ.get("TFDS_DATA_DIR") or own).expanduser()


def cached() -> dict[str, int]:
    """Names of the sets in `cache_folder` that are ready to read, and their sizes on disk in bytes."""
    sizes = {}
    for info in sorted(cache_folder().glob("*/**/dataset_info.json")):
        *name, version = info.parent.relative_to(cache_folder()).parts
        if name[0] != "downloads" and not version.startswith("incomplete."):
            sizes["/".join(name)] = sum(file.stat().st_size for file in info.parent.iterdir())
    return sizes


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

    Only one process at a time fetches a set, since classes share caches: another waits, and then finds it ready.
    A ``ValueError`` says why a set is none for us, a ``ConnectionError`` why it cannot be had (without a network within
    seconds), another ``OSError`` that the cache cannot be written to.
    """
    import requests
    import tensorflow_datasets as tfds
    from filelock import FileLock, Timeout
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    folder = cache_folder()
    try:
        builder = tfds.builder(name, data_dir=folder)
    except (ValueError, AssertionError) as error:  # an unknown version or configuration
        raise ValueError(f"name: got {name!r}, which tensorflow-datasets refuses ({_first_line(error)})") from None
    features, wanted = builder.info.features, {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    if not all(key in features and isinstance(features[key], kind) for key, kind in wanted.items()):
        raise ValueError(f"name: got {name!r}, which has {', '.join(features)}, expected an image and a class label")
    if builder.is_prepared():
        return builder
    page = f"https://www.tensorflow.org/datasets/catalog/{builder.name}"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise ValueError(f"name: got {name!r}, whose files have to be asked for by hand: see {page}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{builder.name}.lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            print(f"{builder.name}: another process is fetching it; waiting", flush=True)
            held = lock.acquire()
        with held:
            builder = tfds.builder(name, data_dir=folder)  # anew: the other process may have prepared it
            if not builder.is_prepared():
                ask(next(iter(builder.url_infos or {}), page))
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except (ConnectionError, requests.RequestException, tfds.download.DownloadError, NonMatchingChecksumError) as error:
        raise ConnectionError(
            f"{name} is not on this computer and could not be downloaded ({_first_line(error)}): "
            'load("digits"), load("shapes") and load("surfaces") need no network; '
            f"'python -m helpers.datasets {name}', run with a network, fetches {name} for later."
        ) from None
    except OSError as error:
        raise OSError(f"{folder} cannot be written to ({error}): set TFDS_DATA_DIR to a folder that can") from None
    return builder


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


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
        except Exception:  # of any package below: there is no answer
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


def read_set(name: str, size: int | None) -> Found:
    """A set of tensorflow-datasets, fetched if need be, to be tested on its test split, or else its validation split.

    It raises what `fetch` raises; an ``OSError`` says which folder to delete when files are damaged.
    """
    builder, trimap = fetch(name), TRIMAPS.get(name)
    import tensorflow as tf

    def prepared(example):
        image = example["image"]
        if size is not None:
            image = tf.image.resize(image, (size, size), "bicubic", antialias=True)
            image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
        if trimap is None:
            return image, example["label"]
        mask = example[trimap]
        if size is not None:
            mask = tf.image.resize(mask, (size, size), "nearest")
        # A trimap has 1 for the object, 2 for the background and 3 for the border between them.
        return image, example["label"], tf.cast(mask[..., 0] != 2, tf.uint8)

    info, parts = builder.info, {}
    if "train" not in info.splits:
        raise ValueError(f"name: got {name!r}, whose splits are {', '.join(info.splits)}, expected a train split")
    held_out = next((split for split in ("test", "validation") if split in info.splits), None)
    used = {"train": "train", "test": held_out} if held_out else {"train": "train"}
    height, width, channels = info.features["image"].shape
    counts = {part: info.splits[split].num_examples for part, split in used.items()}
    _check_shapes({(height, width)} - {(None, None)}, size, sum(counts.values()), channels)
    damaged = tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.FailedPreconditionError
    for part, split in used.items():
        batches = builder.as_dataset(split=split).map(prepared, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
        columns = []
        with contextlib.suppress(*damaged):
            columns = [np.concatenate(column) for column in zip(*batches.as_numpy_iterator(), strict=True)]
        if not columns or len(columns[0]) != counts[part]:
            raise OSError(f"{name} is damaged: delete the folder {builder.data_path}, then load it again")
        parts[part] = Part(*columns)
    source = KNOWN.get(name, f"https://www.tensorflow.org/datasets/catalog/{builder.name}")
    return Found(parts, tuple(info.features["label"].names), source)


# --- folders ---


class _Photo(NamedTuple):
    """A picture of a folder: its file, class, upright height and width, the file of its mask, its box."""

    path: Path
    class_name: str
    shape: tuple[int, int]
    mask: Path | None = None
    box: tuple[float, ...] | None = None


def read_folder(folder: Path, size: int | None) -> Found:
    """A folder that is as `datasets.load` describes it, in an order that mixes the classes and is always the same.

    A ``ValueError`` lists all files that are not as described; a warning names what else lies there, unused.
    """
    if not folder.is_dir():
        held = "a file" if folder.exists() else "which does not exist"
        raise ValueError(f"name: got {str(folder)!r}, {held}, expected a folder of photographs")
    nested = {path.name.lower(): path for path in _entries(folder) if any(map(Path.is_dir, _entries(path)))}
    train, test = (next((nested[name] for name in names if name in nested), None) for names in (TRAIN, TEST))
    folders = {"train": train, "test": test} if train and test else {"train": folder}
    if len(folders) == 2:
        _warn_of_unused(path for path in _entries(folder) if path not in (train, test))
    photos = {part: _scan(path) for part, path in folders.items()}
    class_names = tuple(sorted({photo.class_name for photo in photos["train"]}))
    everything = [photo for some in photos.values() for photo in some]
    if unknown := sorted({photo.class_name for photo in everything} - set(class_names)):
        raise ValueError(f"name: {test} holds {', '.join(unknown)}, expected only classes that {train} holds too")
    if len({(photo.mask is None, photo.box is None) for photo in everything}) > 1:
        raise ValueError(f"name: {folder}: expected masks or boxes for both {train.name} and {test.name}, or for none")
    _check_shapes({photo.shape for photo in everything}, size, len(everything), 3)
    parts = {}
    for part, some in photos.items():
        # A large picture takes hundreds of megabytes until it is shrunk.
        workers = max(1, min(8, DECODED_AT_ONCE // max(height * width for height, width in (p.shape for p in some))))
        images = np.stack(_each(lambda photo: read_picture(photo.path, size), some, workers))
        labels = np.array([class_names.index(photo.class_name) for photo in some])
        masks = np.stack(_each(lambda photo: read_mask(photo.mask, size), some, workers)) if some[0].mask else None
        boxes = np.array([_resized_box(photo, size) for photo in some], np.float32) if some[0].box else None
        parts[part] = Part(images, labels, masks, boxes)
    if all(part.masks is not None for part in parts.values()):
        numbered = _class_numbers([part.masks for part in parts.values()])
        parts = {name: part._replace(masks=masks) for (name, part), masks in zip(parts.items(), numbered, strict=True)}
    return Found(parts, class_names, f"photographs in {folder}")


def _resized_box(photo: _Photo, size: int | None) -> np.ndarray:
    """A picture's box, in pixels of the picture stretched to a square of side `size`."""
    height, width = photo.shape
    return np.array(photo.box) * (size / np.array([width, height, width, height]) if size else 1)


def _scan(folder: Path) -> list[_Photo]:
    """The pictures of one folder for each class, or of ``images`` beside ``masks``, ``boxes.csv`` or both."""
    is_annotated = (folder / "images").is_dir()
    root, masks, table = folder / "images" if is_annotated else folder, folder / "masks", folder / "boxes.csv"
    paths, problems = {}, []  # the paths of each class
    loose = [path for path in _entries(root) if not path.is_dir()]
    for inner in (path for path in _entries(root) if path.is_dir()):
        paths[inner.name] = [path for path in _entries(inner) if not path.is_dir()]
        problems += [
            f"{path}: is a folder inside that of a class, expected pictures: move them up"
            for path in _entries(inner)
            if path.is_dir()
        ]
        problems += [] if _entries(inner) else [f"{inner}: holds no pictures"]
    if not is_annotated and (len(paths) < 2 or {name.lower() for name in paths} <= {*TRAIN, *TEST}):
        held = ", ".join(paths) or "no folder"
        raise ValueError(f"name: {folder} holds {held}, expected at least two folders, one for each class")
    if is_annotated and paths:
        problems += [f"{path}: lies beside the folders of classes" for path in loose]
    elif is_annotated:
        paths["object"] = loose
    _refuse(problems)
    if is_annotated and not (any(paths.values()) and (masks.is_dir() or table.is_file())):
        raise ValueError(f"name: {folder}: expected pictures in 'images', and 'masks' or 'boxes.csv' beside it")
    used = [root, masks, table] if is_annotated else [root / name for name in paths]
    _warn_of_unused(path for path in _entries(folder) if path not in used)

    named = [(path, name) for name, inside in paths.items() for path in inside]
    shapes = _each(_shape, [path for path, _ in named], workers=1)
    photos = [_Photo(*pair, shape) for pair, shape in zip(named, shapes, strict=True)]
    if is_annotated and masks.is_dir():
        photos = _with_masks(photos, root, masks)
    if is_annotated and table.is_file():
        photos = _with_boxes(photos, root, table)
    return [photos[index] for index in np.random.default_rng(0).permutation(len(photos))]


def _with_masks(photos: list[_Photo], root: Path, folder: Path) -> list[_Photo]:
    """Each with the mask at the same place in another folder, whatever its ending."""
    places = [photo.path.relative_to(root).with_suffix("") for photo in photos]
    parents = {place.parent for place in places}
    there = {parent / path.stem: path for parent in parents for path in _entries(folder / parent)}
    _refuse(f"{root / place}: has no mask of the same name in {folder}" for place in places if place not in there)
    _warn_of_unused(path for place, path in there.items() if place not in places)
    photos = [photo._replace(mask=there[place]) for photo, place in zip(photos, places, strict=True)]
    shapes = _each(_shape, [photo.mask for photo in photos], workers=1)
    _refuse(
        f"{photo.mask}: got {size_text(shape)}, expected {size_text(photo.shape)}, the size of {photo.path.name}"
        for photo, shape in zip(photos, shapes, strict=True)
        if shape != photo.shape
    )
    return photos


def _with_boxes(photos: list[_Photo], root: Path, table: Path) -> list[_Photo]:
    """Each with its box, and its class if there is such a column, from ``file,left,top,right,bottom[,class]``."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table}: cannot be read as a table in UTF-8 ({error})") from None
    if not {"file", *EDGES} <= set(columns):
        expected = f"file, {', '.join(EDGES)} in pixels (and class)"
        raise ValueError(f"{table}: got the columns {', '.join(columns)}, expected {expected}")
    known = {photo.path.relative_to(root).as_posix(): photo for photo in photos}
    boxed, problems = {}, []
    for row in rows:
        name, photo = row["file"], known.get(row["file"])
        if photo is None or name in boxed:
            problems.append(f"{table}: {name!r} {'is not in images' if photo is None else 'has a second box'}")
            continue
        height, width = photo.shape
        try:
            box = np.array([float(row[edge]) for edge in EDGES])
        except (TypeError, ValueError):
            box = np.full(4, np.nan)
        inside = np.clip(box, 0, [width, height, width, height])
        # A thousandth of a pixel is rounding
        if not (np.abs(inside - box).max() < 1e-3 and inside[2] > inside[0] and inside[3] > inside[1]):
            got = ", ".join(str(row[edge]) for edge in EDGES)
            problems.append(f"{table}: {name!r} has {got}, expected {', '.join(EDGES)} inside {width}×{height} pixels")
        boxed[name] = photo._replace(box=tuple(inside))
        if photo.path.parent == root and "class" in columns:
            boxed[name] = boxed[name]._replace(class_name=row["class"])
            problems += [] if row["class"] else [f"{table}: {name!r} has no class"]
    problems += [f"{table}: has no box for {name!r}" for name in known if name not in boxed]
    _refuse(problems)
    return [boxed[name] for name in known]


def read_picture(path: Path, size: int | None = None) -> np.ndarray:
    """A picture of any kind as ``(height, width, 3)``, uint8, upright, on white where it is transparent.

    It is stretched to a square of side `size`. A ``ValueError`` names a file that cannot be read.
    """
    with _opened(path) as picture:
        if size is not None:
            picture.draft("RGB", (size, size))  # lets a JPEG be decoded at a fraction of its size
        picture.load()
        if picture.getexif().get(0x0112, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":
        picture = _of_8_bits(path, np.asarray(picture))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3)
    return np.array(picture)


def _of_8_bits(path: Path, levels: np.ndarray) -> Image.Image:
    low, high = levels.min(), levels.max()
    if levels.dtype.kind == "f" or low < 0 or high >= 2**16:
        raise ValueError(f"{path}: holds numbers from {low:g} to {high:g}, expected 8 or 16 bits without a sign")
    bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
    if 0 < high and bits < 16:  # without the name of the file, so that it is said once
        warnings.warn(f"16-bit pictures with no level above {2**bits - 1} are read as {bits} bits", stacklevel=2)
    return Image.fromarray((levels.astype(np.uint32) * 255 // (2**bits - 1)).astype(np.uint8))


def read_mask(path: Path, size: int | None = None) -> np.ndarray:
    """A mask as ``(height, width)``, uint8, as stored in a grey, palette or black-and-white file.

    Stretched to a square of side `size`, every pixel takes its nearest one's value. A ``ValueError`` names a file that
    cannot be read, is in colour, or is a JPEG.
    """
    with _opened(path) as opened:
        mask, kind = ImageOps.exif_transpose(opened), opened.format
    if kind in ("JPEG", "MPO", "JPEG2000"):
        raise ValueError(f"{path}: is a JPEG, which changes the numbers of a mask, expected the PNG it was made from")
    if mask.mode not in ("1", "L", "P"):
        raise ValueError(f"{path}: got a mask of mode {mask.mode}, expected grey or palette, one number a pixel")
    if size is not None:
        mask = mask.resize((size, size), Image.Resampling.NEAREST)
    return np.array(mask, dtype=np.uint8)


def _class_numbers(masks: list[np.ndarray]) -> list[np.ndarray]:
    """Masks that hold the numbers of classes; those of 0 and 255 become 0 and 1."""
    values = sorted({int(value) for some in masks for value in np.unique(some)})
    if values[-1] >= MOST_CLASSES and not {*values} <= {0, 255}:
        held = ", ".join(map(str, values if len(values) < 9 else [*values[:4], "...", *values[-3:]]))
        wanted = f"numbers of classes from 0 to {MOST_CLASSES - 1}, or 0 and 255 for one object"
        raise ValueError(f"masks: got {held}, expected {wanted}, in files that were never stored as JPEG")
    return [some // 255 if values[-1] == 255 else some for some in masks]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, if it is one, but for hidden files and clutter; in the same order everywhere."""
    there = folder.iterdir() if folder.is_dir() else []
    return sorted(
        (path for path in there if not path.name.startswith(".") and path.name.lower() not in CLUTTER),
        key=lambda path: path.name,
    )


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
    except FileNotFoundError:
        raise ValueError(f"{path}: is a link to a file that is not there") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path}: is not an image that Pillow can read; remove it or save it as JPEG or PNG") from None
    except Exception as error:  # a damaged file can lead to any
        raise ValueError(f"{path}: cannot be read ({error})") from None


def _each(read: Callable, items: Iterable, workers: int) -> list:
    """What `read` makes of each item, in several threads, or one ``ValueError`` for all that it raises."""

    def attempt(item):
        try:
            return read(item), None
        except ValueError as error:
            return None, str(error)

    with ThreadPoolExecutor(workers) as threads:
        done = list(threads.map(attempt, items))
    _refuse(problem for _, problem in done if problem)
    return [value for value, _ in done]


def _refuse(problems: Iterable[str]) -> None:
    problems = sorted(problems)
    more = [f"and {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
    if problems:
        raise ValueError("\n".join([*problems[:MOST_LISTED], *more]))


def _warn_of_unused(paths: Iterable[Path]) -> None:
    if unused := [str(path) for path in paths]:
        warnings.warn(f"not used: {', '.join(unused)}", stacklevel=2)
