"""Folders of a user's own photographs: what is in them, what is wrong with them, and their pixels.

One folder a class, or a folder ``images`` beside a folder ``masks``, a file ``boxes.csv`` or both.
"""

import contextlib
import csv
from collections.abc import Callable, Iterable, Iterator
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
        """The number of pictures, all for training: the folder does not say what to test on."""
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
        """A ``tf.data.Dataset`` of image, label and, where there are any, mask."""
        import tensorflow as tf

        shape = self.shape if size is None else (size, size)

        def read(index):
            image = tf.numpy_function(lambda i: read_picture(self.paths[i], size), [index], tf.uint8)
            example = tf.ensure_shape(image, (*shape, 3)), tf.gather(self.targets, index)
            if self.masks is None:
                return example
            mask = tf.numpy_function(lambda i: read_mask(self.masks[i], size), [index], tf.uint8)
            return *example, tf.ensure_shape(mask, shape)

        return tf.data.Dataset.from_tensor_slices(indices).map(read, num_parallel_calls=tf.data.AUTOTUNE)


def scan(folder: Path) -> Photographs:
    """Find the pictures of a folder, and look at the head of each.

    Parameters
    ----------
    folder
        One folder for each class, or ``images`` beside ``masks`` (pictures of the same names), ``boxes.csv`` (columns
        ``file``, ``x``, ``y``, ``w``, ``h`` in pixels and, if you like, ``class``) or both.

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
    classes = _subfolders(folder)
    if len(classes) < 2:
        held = f"one, {classes[0].name!r}" if classes else "none"
        raise ValueError(f"name: the folder {folder} holds {held}, expected at least two folders, one for each class")
    if {path.name.lower() for path in classes} <= _SPLITS:
        named = ", ".join(path.name for path in classes)
        raise ValueError(f"name: the folder {folder} holds {named}, expected one for each class: load one of them")
    found = {path.name: _pictures(path) for path in classes}
    for name, pictures in found.items():
        if not pictures:
            raise ValueError(f"name: the folder {folder / name} holds no pictures, expected those of its class")
    paths = [path for pictures in found.values() for path in pictures]
    labels = np.repeat(np.arange(len(found)), [len(pictures) for pictures in found.values()])
    return _mixed(paths, _shapes(paths), labels, tuple(found))


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
    classes = _subfolders(images)
    paths = _files(images)
    if not paths:
        raise ValueError(f"name: the folder {images} holds no pictures")
    shapes = _shapes(paths)
    class_names, labels = ("object",), np.zeros(len(paths), int)
    if classes:
        class_names = tuple(path.name for path in classes)
        owner = [path.relative_to(images).parts[0] for path in paths]
        stray = next((path for path, name in zip(paths, owner, strict=True) if name not in class_names), None)
        if stray:
            raise ValueError(f"{stray}: lies beside the folders of classes, expected it in one of them")
        labels = np.array([class_names.index(name) for name in owner])
    masks = _find_masks(folder / "masks", images, paths, shapes) if (folder / "masks").is_dir() else None
    boxes = None
    if (folder / "boxes.csv").is_file():
        boxes, named = _read_boxes(folder / "boxes.csv", images, paths, shapes)
        if named and not classes:
            class_names = tuple(sorted(set(named)))
            labels = np.array([class_names.index(name) for name in named])
    if masks is None and boxes is None:
        raise ValueError(f"name: the folder {folder} holds 'images' alone, expected 'masks' or 'boxes.csv' beside it")
    return _mixed(paths, shapes, labels, class_names, masks, boxes)


def _mixed(
    paths: list[Path],
    shapes: list[tuple[int, int]],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    masks: list[Path] | None = None,
    boxes: np.ndarray | None = None,
) -> Photographs:
    order = np.random.default_rng(0).permutation(len(paths))
    return Photographs(
        paths=[paths[index] for index in order],
        shape=shapes[0] if len(set(shapes)) == 1 else None,
        targets=labels[order],
        class_names=class_names,
        masks=None if masks is None else [masks[index] for index in order],
        boxes=None if boxes is None else boxes[order],
    )


def _read_all(read: Callable[..., np.ndarray], paths: list[Path], size: int | None) -> np.ndarray:
    """Stack what `read` makes of every path; Pillow lets several threads decode at once."""
    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(lambda path: read(path, size), paths)))


def _find_masks(folder: Path, images: Path, paths: list[Path], shapes: list[tuple[int, int]]) -> list[Path]:
    """The mask of each picture: the same path and name in another folder, whatever the ending."""
    there = {path.relative_to(folder).with_suffix(""): path for path in _files(folder)}
    masks = []
    for path in paths:
        mask = there.get(path.relative_to(images).with_suffix(""))
        if mask is None:
            raise ValueError(f"{path}: has no mask of the same name in {folder}")
        masks.append(mask)
    for path, shape, mask, mask_shape in zip(paths, shapes, masks, _shapes(masks), strict=True):
        if shape != mask_shape:
            raise ValueError(
                f"{mask}: got {size_text(mask_shape)}, expected {size_text(shape)}, the size of {path.name}"
            )
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
    position = {path.relative_to(images).as_posix(): index for index, path in enumerate(paths)}
    boxes, named = np.full((len(paths), 4), np.nan, np.float32), [""] * len(paths)
    for line, row in rows:
        where = f"{file}, line {line}"
        index = position.get(row["file"])
        if index is None:
            raise ValueError(f"{where}: got the file {row['file']!r}, which is not in {images}")
        if np.isfinite(boxes[index]).all():
            raise ValueError(f"{where}: got a second box for {row['file']!r}, expected one for each picture")
        try:
            x, y, w, h = (float(row[column]) for column in ("x", "y", "w", "h"))
        except (TypeError, ValueError):
            raise ValueError(f"{where}: got {row}, expected numbers for x, y, w, h") from None
        height, width = shapes[index]
        if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height):
            raise ValueError(
                f"{where}: got the box {x:g}, {y:g}, {w:g}, {h:g} (x, y, w, h), "
                f"expected one inside the picture of {size_text(shapes[index])}"
            )
        boxes[index] = x / width, y / height, w / width, h / height
        named[index] = row.get("class") or ""
    without = next((path for path, box in zip(paths, boxes, strict=True) if np.isnan(box).any()), None)
    if without:
        raise ValueError(f"{file}: has no box for {without.relative_to(images).as_posix()!r}")
    if "class" in columns and not all(named):
        raise ValueError(f"{file}: has no class for {paths[named.index('')].name!r}")
    return boxes, named if "class" in columns else []


def _subfolders(folder: Path) -> list[Path]:
    return _by_name(path for path in folder.iterdir() if path.is_dir() and not _is_clutter(path.name))


def _pictures(folder: Path) -> list[Path]:
    return _by_name(path for path in folder.iterdir() if path.is_file() and not _is_clutter(path.name))


def _files(folder: Path) -> list[Path]:
    """All files at any depth."""
    found = [path for path in _by_name(folder.rglob("*")) if path.is_file()]
    return [path for path in found if not any(map(_is_clutter, path.relative_to(folder).parts))]


def _by_name(paths: Iterable[Path]) -> list[Path]:
    """In the same order everywhere: Windows would ignore case."""
    return sorted(paths, key=Path.as_posix)


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER


def _shapes(paths: list[Path]) -> list[tuple[int, int]]:
    """Height and width of every picture as it is shown."""

    def shape(path: Path) -> tuple[int, int]:
        with _named(path), Image.open(path) as picture:
            if picture.format == "TIFF":
                picture.load()  # which turns it already
            width, height = picture.size
            turned = picture.getexif().get(0x0112) in (5, 6, 7, 8)  # EXIF's word for "on its side"
        return (width, height) if turned else (height, width)

    return [shape(path) for path in paths]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever Pillow raises inside this block becomes a ``ValueError`` that names the file."""
    try:
        yield
    except UnidentifiedImageError:
        raise ValueError(f"{path}: is not an image that Pillow can read; remove it or save it as JPEG or PNG") from None
    except Exception as error:  # a damaged file can lead to any
        raise ValueError(f"{path}: cannot be read ({error})") from None
