"""Folders of a user's own photographs: what is in them, what is wrong with them, and their pixels.

One folder a class, or a folder ``images`` beside a folder ``masks``, a file ``boxes.csv`` or both.
"""

import contextlib
import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .validation import size_text

# Put into folders by operating systems and by archive programs.
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


@dataclass(frozen=True)
class Photographs:
    """What `scan` found: one entry for each picture, in an order that mixes the classes and is always the same.

    Attributes
    ----------
    paths
        The pictures.
    shape
        ``(height, width)`` if all pictures agree, else ``None``.
    channels
        Of the pictures: 3.
    targets
        Index into `class_names` of every picture.
    class_names
        Names of the folders, or of the classes in ``boxes.csv``, in alphabetical order.
    masks
        The mask of every picture, or ``None``.
    boxes
        ``(picture, 4)``: left, top, width, height as shares of the picture's sides, or ``None``.
    counts
        The number of pictures in each pool: all are in ``"train"``, as the folder does not say what to test on.
    """

    paths: list[Path]
    shape: tuple[int, int] | None
    targets: np.ndarray
    class_names: tuple[str, ...]
    masks: list[Path] | None = None
    boxes: np.ndarray | None = None

    channels = 3

    @property
    def counts(self) -> dict[str, int]:
        return {"train": len(self.paths)}

    def labels(self, _pool: str) -> np.ndarray:
        """Index into `class_names` of every picture."""
        return self.targets

    def read(
        self, _pool: str, indices: np.ndarray, size: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Images ``(batch, height, width, 3)``, labels and, where there are any, masks."""
        images = _read_all(read_picture, [self.paths[index] for index in indices], size)
        masks = None if self.masks is None else _read_all(read_mask, [self.masks[index] for index in indices], size)
        return images, self.targets[indices], masks

    def stream(self, _pool: str, indices: np.ndarray, size: int | None):
        """A ``tf.data.Dataset`` of image and label."""
        import tensorflow as tf

        shape = self.shape if size is None else (size, size)

        def read(index):
            image = tf.numpy_function(lambda i: read_picture(self.paths[i], size), [index], tf.uint8)
            return tf.ensure_shape(image, (*shape, 3)), tf.gather(self.targets, index)

        return tf.data.Dataset.from_tensor_slices(indices).map(read, num_parallel_calls=tf.data.AUTOTUNE)


def scan(folder: Path) -> Photographs:
    """Find the pictures of a folder that is as `datasets.load` describes it, and look at the head of each.

    Raises
    ------
    ValueError
        For a folder that is missing, empty or of one class only, a file that is no picture, a picture without its mask
        or box, and a box outside its picture; the message names the file.
    """
    if not folder.is_dir():
        raise ValueError(f"name: got {str(folder)!r}, {'a file' if folder.exists() else 'which does not exist'}, "
                         "expected a folder of photographs")  # fmt: skip
    if (folder / "images").is_dir():
        return _scan_annotated(folder)
    classes = _listed(folder, wanted=Path.is_dir)
    if len(classes) < 2:
        held = f"one, {classes[0].name!r}" if classes else "none"
        raise ValueError(f"name: the folder {folder} holds {held}, expected at least two folders, one for each class")
    if {path.name.lower() for path in classes} <= _SPLITS:
        named = ", ".join(path.name for path in classes)
        raise ValueError(f"name: the folder {folder} holds {named}, expected one for each class: load one of them")
    found = [_listed(path) for path in classes]
    if [] in found:
        empty = classes[found.index([])]
        raise ValueError(f"name: the folder {empty} holds no pictures, expected those of its class")
    paths = [path for pictures in found for path in pictures]
    return _mixed(paths, list(map(_shape, paths)), [path.parent.name for path in paths])


def read_picture(path: Path, size: int | None = None) -> np.ndarray:
    """A picture as ``(height, width, 3)``, uint8, upright, without transparency.

    Parameters
    ----------
    path
        An image file of any kind that Pillow reads: grey, palette, RGB, CMYK, 16 bits, with or without transparency
        (shown on white), turned by its EXIF tag.
    size
        Stretch it to a square of this side (bicubic).

    Raises
    ------
    ValueError
        When the file cannot be read, naming it.
    """
    with _named(path), Image.open(path) as opened:
        if size is not None:
            opened.draft("RGB", (size, size))  # lets a JPEG be decoded at a fraction of its size
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):  # 16 bits a pixel
        picture = Image.fromarray((np.asarray(picture) // 257).clip(0, 255).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError(f"{path}: holds decimal numbers of unknown range, expected grey levels or colours")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3)
    return np.array(picture)


def read_mask(path: Path, size: int | None = None) -> np.ndarray:
    """A mask as ``(height, width)``, uint8: the number of each pixel's class, as stored.

    Parameters
    ----------
    path
        A grey, palette or black-and-white image file.
    size
        Stretch it to a square of this side; every pixel takes the nearest one's class.

    Raises
    ------
    ValueError
        When the file cannot be read or is in colour, naming it.
    """
    with _named(path), Image.open(path) as opened:
        mask = ImageOps.exif_transpose(opened)
    if mask.mode not in ("1", "L", "P"):
        raise ValueError(f"{path}: got a mask of mode {mask.mode}, expected grey or palette, one number a pixel")
    if size is not None:
        mask = mask.resize((size, size), Image.Resampling.NEAREST)
    return np.array(mask, dtype=np.uint8)


def _scan_annotated(folder: Path) -> Photographs:
    images = folder / "images"
    paths = _listed(images, "**/*")
    if not paths:
        raise ValueError(f"name: the folder {images} holds no pictures")
    shapes = list(map(_shape, paths))
    outside = [path for path in paths if path.parent == images]  # of any folder of a class
    if 0 < len(outside) < len(paths):
        raise ValueError(f"{outside[0]}: lies beside the folders of classes, expected it in one of them")
    names = ["object"] * len(paths) if outside else [path.relative_to(images).parts[0] for path in paths]
    masks = _find_masks(folder / "masks", images, paths, shapes) if (folder / "masks").is_dir() else None
    boxes = None
    if (folder / "boxes.csv").is_file():
        boxes, named = _read_boxes(folder / "boxes.csv", images, paths, shapes)
        if named and outside:
            names = named
    if masks is None and boxes is None:
        raise ValueError(f"name: the folder {folder} holds 'images' alone, expected 'masks' or 'boxes.csv' beside it")
    return _mixed(paths, shapes, names, masks, boxes)


def _mixed(
    paths: list[Path],
    shapes: list[tuple[int, int]],
    names: list[str],
    masks: list[Path] | None = None,
    boxes: np.ndarray | None = None,
) -> Photographs:
    order = np.random.default_rng(0).permutation(len(paths))
    class_names, labels = np.unique(names, return_inverse=True)
    return Photographs(
        paths=[paths[index] for index in order],
        shape=shapes[0] if len(set(shapes)) == 1 else None,
        targets=labels[order],
        class_names=tuple(class_names.tolist()),
        masks=None if masks is None else [masks[index] for index in order],
        boxes=None if boxes is None else boxes[order],
    )


def _read_all(read: Callable[..., np.ndarray], paths: list[Path], size: int | None) -> np.ndarray:
    """Stack what `read` makes of every path; Pillow lets several threads decode at once."""
    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(lambda path: read(path, size), paths)))


def _find_masks(folder: Path, images: Path, paths: list[Path], shapes: list[tuple[int, int]]) -> list[Path]:
    """The mask of each picture: the same path and name in another folder, whatever the ending."""
    there = {path.relative_to(folder).with_suffix(""): path for path in _listed(folder, "**/*")}
    masks = []
    for path, shape in zip(paths, shapes, strict=True):
        mask = there.get(path.relative_to(images).with_suffix(""))
        if mask is None:
            raise ValueError(f"{path}: has no mask of the same name in {folder}")
        if _shape(mask) != shape:
            got = size_text(_shape(mask))
            raise ValueError(f"{mask}: got {got}, expected {size_text(shape)}, the size of {path.name}")
        masks.append(mask)
    return masks


def _read_boxes(
    file: Path, images: Path, paths: list[Path], shapes: list[tuple[int, int]]
) -> tuple[np.ndarray, list[str]]:
    """One box and, if there is such a column, one class for each picture, from ``file,x,y,w,h[,class]`` in pixels."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file}: cannot be read as a table in UTF-8 ({error})") from None
    if not {"file", "x", "y", "w", "h"} <= set(columns):
        raise ValueError(f"{file}: got the columns {', '.join(columns)}, expected file, x, y, w, h (and class)")
    known = {path.relative_to(images).as_posix(): shape for path, shape in zip(paths, shapes, strict=True)}
    boxes, named = {}, {}
    for line, row in rows:
        where, name = f"{file}, line {line}", row["file"]
        if name not in known:
            raise ValueError(f"{where}: got the file {name!r}, which is not in {images}")
        if name in boxes:
            raise ValueError(f"{where}: got a second box for {name!r}, expected one for each picture")
        try:
            x, y, w, h = (float(row[column]) for column in ("x", "y", "w", "h"))
        except (TypeError, ValueError):
            raise ValueError(f"{where}: got {row}, expected numbers for x, y, w, h") from None
        height, width = known[name]
        if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height):
            raise ValueError(
                f"{where}: got the box {x:g}, {y:g}, {w:g}, {h:g} (x, y, w, h), "
                f"expected one inside the picture of {size_text(known[name])}"
            )
        boxes[name] = x / width, y / height, w / width, h / height
        named[name] = row.get("class")
    for name in known:
        if name not in boxes:
            raise ValueError(f"{file}: has no box for {name!r}")
        if "class" in columns and not named[name]:
            raise ValueError(f"{file}: has no class for {Path(name).name!r}")
    classes = [named[name] for name in known] if "class" in columns else []
    return np.array([boxes[name] for name in known], np.float32), classes


def _listed(folder: Path, pattern: str = "*", wanted: Callable[[Path], bool] = Path.is_file) -> list[Path]:
    """The files of a folder, but for clutter, in the same order everywhere: Windows would ignore case."""

    def is_clutter(name: str) -> bool:
        return name.startswith(".") or name.lower() in _CLUTTER

    found = [path for path in folder.glob(pattern) if not any(map(is_clutter, path.relative_to(folder).parts))]
    return sorted(filter(wanted, found), key=Path.as_posix)


def _shape(path: Path) -> tuple[int, int]:
    """Height and width of a picture as it is shown."""
    with _named(path), Image.open(path) as picture:
        if picture.format == "TIFF":
            picture.load()  # which turns it already
        width, height = picture.size
        turned = picture.getexif().get(0x0112) in (5, 6, 7, 8)  # EXIF's word for "on its side"
    return (width, height) if turned else (height, width)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever Pillow raises inside this block becomes a ``ValueError`` that names the file."""
    try:
        yield
    except UnidentifiedImageError:
        raise ValueError(f"{path}: is not an image that Pillow can read; remove it or save it as JPEG or PNG") from None
    except Exception as error:  # a damaged file can lead to any
        raise ValueError(f"{path}: cannot be read ({error})") from None
