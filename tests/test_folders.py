"""Folders of photographs give the pixels, classes, masks and boxes that are in them, or say which file is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import datasets, folders
from helpers.datasets import load, stream

ROOT = Path(__file__).resolve().parent.parent
ORIENTATION = 0x0112  # the EXIF tag
# A rectangle for every picture: x, y, width, height
RECTANGLES = [(number % 4, number % 3, 5 + number % 7, 4 + number % 5) for number in range(10)]
HEIGHT, WIDTH = 20, 30


def save(path: Path, picture: np.ndarray | Image.Image, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **settings)
    return path


def noise(height: int = 6, width: int = 9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def class_folders(folder: Path, *, cat: int = 10, dog: int = 5, shape: tuple[int, int] = (6, 9)) -> Path:
    """Plain pictures of a level of their own: those of cats below 100, those of dogs from there."""
    for first, name, count in ((0, "cat", cat), (100, "dog", dog)):
        for number in range(count):
            save(folder / name / f"{number}.png", np.full((*shape, 3), first + number, np.uint8))
    return folder


def drawn(rectangle: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    """A black image with a rectangle."""
    x, y, width, height = rectangle
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[y : y + height, x : x + width] = value
    return image


def annotated(folder: Path, *, masks: int | None = None, csv: bool = False, classes: tuple[str, ...] = ("",)) -> Path:
    """White rectangles, with masks of this value, with boxes, and in folders of classes, in turn."""
    rows = ["file,x,y,w,h"]
    for number, rectangle in enumerate(RECTANGLES):
        path = Path(classes[number % len(classes)], f"{number}.png")
        save(folder / "images" / path, drawn(rectangle))
        if masks is not None:
            save(folder / "masks" / path, drawn(rectangle, masks))
        rows.append(",".join(map(str, [path.as_posix(), *rectangle])))
    if csv:
        write_boxes(folder, *rows)
    return folder


def write_boxes(folder: Path, *rows: str, encoding: str = "utf-8") -> None:
    (folder / "boxes.csv").write_text("\n".join(rows), encoding=encoding)


def extents(images: np.ndarray) -> np.ndarray:
    """Left, top, width and height of what is not black, as shares."""
    found = []
    for image in images:
        rows, columns = np.nonzero(image)
        height, width = image.shape
        found.append((columns.min() / width, rows.min() / height, np.ptp(columns) + 1, np.ptp(rows) + 1))
    return np.array(found) / [1, 1, width, height]


def parts(data: datasets.DataSet, what: str) -> tuple[np.ndarray, np.ndarray]:
    return getattr(data, f"{what}_train"), getattr(data, f"{what}_test")


def together(data: datasets.DataSet, what: str) -> np.ndarray:
    return np.concatenate(parts(data, what))


def told(raised: pytest.ExceptionInfo, folder: Path) -> str:
    """The message, with the folder called FOLDER and the separators of Unix."""
    return str(raised.value).replace("\\\\", "\\").replace(str(folder), "FOLDER").replace("\\", "/")


# One picture

PIXELS = noise()
GREY = PIXELS[..., 0]
INDICES = GREY % 4
PALETTE = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 120, 150)], np.uint8)
ALPHA = np.where(GREY < 80, 0, np.where(GREY < 160, 102, 255)).astype(np.uint8)
GREY_16 = np.array([[0, 257, 32_768], [25_700, 65_278, 65_535]], np.uint16)


def with_palette() -> Image.Image:
    picture = Image.fromarray(INDICES)
    picture.putpalette(PALETTE.ravel().tolist())
    return picture


def with_alpha(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([pixels, ALPHA]))


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


def on_white(pixels: np.ndarray, alpha: np.ndarray = ALPHA) -> np.ndarray:
    share = alpha[..., None] / 255
    return share * pixels + (1 - share) * 255


@pytest.mark.parametrize(
    "picture, settings, expected",
    [
        pytest.param(PIXELS, {}, PIXELS, id="RGB"),
        pytest.param(GREY, {}, grey(GREY), id="L"),
        pytest.param(GREY > 99, {}, grey(np.uint8(255) * (GREY > 99)), id="1"),
        pytest.param(with_palette(), {}, PALETTE[INDICES], id="P"),
        pytest.param(
            with_palette(),
            {"transparency": 1},
            on_white(PALETTE[INDICES], np.where(INDICES == 1, 0, 255)),
            id="P, one index transparent",
        ),
        pytest.param(
            with_palette(),
            {"transparency": bytes([255, 102, 0, 255])},
            on_white(PALETTE[INDICES], np.array([255, 102, 0, 255])[INDICES]),
            id="P, several transparencies",
        ),
        pytest.param(with_alpha(PIXELS), {}, on_white(PIXELS), id="RGBA"),
        pytest.param(with_alpha(GREY), {}, on_white(grey(GREY)), id="LA"),
        pytest.param(
            PIXELS,
            {"transparency": tuple(PIXELS[2, 3].tolist())},
            on_white(PIXELS, np.where((PIXELS == PIXELS[2, 3]).all(axis=-1), 0, 255)),
            id="RGB, one colour transparent",
        ),
        pytest.param(GREY_16, {}, grey(np.array([[0, 1, 127], [100, 254, 255]])), id="16 bits"),
    ],
)
def test_a_picture_of_any_kind_is_rgb(tmp_path, picture, settings, expected):
    found = folders.read_picture(save(tmp_path / "a.png", picture, **settings))
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found - expected.astype(float)).max() <= 1
    found[:] = 0  # may be written to


@pytest.mark.parametrize(
    "mode, ink, colour",
    [("CMYK", (0, 255, 255, 0), (255, 0, 0)), ("CMYK", (0, 0, 0, 255), (0, 0, 0)), ("RGB", (9, 99, 200), (9, 99, 200))],
)
def test_a_jpeg_keeps_its_colour(tmp_path, mode, ink, colour):
    path = save(tmp_path / "a.jpg", Image.new(mode, (16, 16), ink), quality=95)
    for size in (None, 4):
        assert np.abs(folders.read_picture(path, size) - np.array(colour)).max() <= 3


@pytest.mark.parametrize("ending", ["gif", "bmp", "tif", "webp"])
def test_other_formats_are_read(tmp_path, ending):
    picture = np.full((6, 9, 3), (255, 0, 0), np.uint8)
    found = folders.read_picture(save(tmp_path / f"a.{ending}", picture))
    assert found.shape == picture.shape
    assert np.abs(found - picture.astype(int)).max() <= 3


TURNED = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.swapaxes(0, 1),
    6: np.rot90(PIXELS, -1),
    7: PIXELS[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(PIXELS),
    9: PIXELS,  # means nothing
}


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_upright(tmp_path, orientation, ending):
    """A camera held on its side stores the pixels lying, and a tag that says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for name in ("cat", "dog"):
        for number in range(2):
            path = save(tmp_path / name / f"{number}.{ending}", PIXELS, exif=exif)
    upright = TURNED[orientation]
    assert np.array_equal(folders.read_picture(path), upright)
    assert folders.scan(tmp_path).shape == upright.shape[:2]
    assert np.array_equal(load(tmp_path).x_train[0], upright)


def test_a_jpeg_is_upright_when_it_is_shrunk(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    left_is_white = np.zeros((128, 192, 3), np.uint8)
    left_is_white[:, :96] = 255
    found = folders.read_picture(save(tmp_path / "a.jpg", left_is_white, exif=exif), 8)
    assert found[:3].min() > 240, "the left is now on top"
    assert found[-3:].max() < 15


def test_a_size_stretches(tmp_path):
    picture = np.zeros((40, 90, 3), np.uint8)
    picture[:10, :, 0], picture[:, :30, 1] = 255, 255
    found = folders.read_picture(save(tmp_path / "a.png", picture), 12)
    assert found.shape == (12, 12, 3)
    assert (found[..., 0] > 127).sum(axis=0).tolist() == [3] * 12
    assert (found[..., 1] > 127).sum(axis=1).tolist() == [4] * 12


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("size", [8, 20])
def test_shrinking_averages_rather_than_skips(tmp_path, ending, size):
    board = np.uint8(255) * (np.indices((320, 320)).sum(axis=0) % 2 == 1)
    path = save(tmp_path / f"a.{ending}", grey(board), quality=100)
    assert np.abs(folders.read_picture(path, size) - 127.5).max() < 5


# Masks


@pytest.mark.parametrize("mode, values", [("1", (0, 1)), ("L", (0, 7, 255)), ("P", (0, 1, 2, 3))])
def test_a_mask_keeps_its_numbers(tmp_path, mode, values):
    numbers = np.array(values, np.uint8)[GREY % len(values)]
    picture = Image.fromarray(numbers > 0) if mode == "1" else Image.fromarray(numbers)
    if mode == "P":
        picture.putpalette(PALETTE.ravel().tolist())
    path = save(tmp_path / "a.png", picture)
    with Image.open(path) as stored:
        assert stored.mode == mode
    found = folders.read_mask(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, numbers)
    for size in (2, 5, 50):
        resized = folders.read_mask(path, size)
        assert resized.shape == (size, size)
        assert set(resized.ravel()) <= set(values)


def test_a_mask_is_stretched_to_the_nearest(tmp_path):
    numbers = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    resized = folders.read_mask(save(tmp_path / "a.png", numbers), 6)
    assert np.array_equal(resized, numbers.repeat(3, axis=0).repeat(2, axis=1))


def test_a_mask_is_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert np.array_equal(folders.read_mask(save(tmp_path / "a.png", GREY, exif=exif)), np.rot90(GREY, -1))


# One folder for each class


def test_class_folders_are_a_set(tmp_path):
    data = load(class_folders(tmp_path / "pets"))
    assert data.name == "pets"
    assert data.class_names == ("cat", "dog")
    assert data.source == f"photographs in {tmp_path / 'pets'}"
    assert (data.x_train.shape, data.x_test.shape) == ((12, 6, 9, 3), (3, 6, 9, 3))
    assert (data.x_train.dtype, data.y_train.dtype.kind) == (np.uint8, "i")
    assert data.boxes_train is data.boxes_test is data.masks_train is data.masks_test is None
    levels, labels = together(data, "x")[:, 0, 0, 0], together(data, "y")
    assert np.array_equal(levels // 100, labels)
    assert sorted(levels) == [*range(10), *range(100, 105)]
    assert np.bincount(data.y_test).tolist() == [2, 1]


def test_classes_are_in_alphabetical_order_and_mixed(tmp_path):
    names = ["pine", "ash", "oak", "elm"]
    for level, name in enumerate(names):
        for number in range(10):
            save(tmp_path / name / f"{number}.png", np.full((2, 2), level, np.uint8))
    data = load(tmp_path)
    assert data.class_names == ("ash", "elm", "oak", "pine")
    for images, labels in zip(parts(data, "x"), parts(data, "y"), strict=True):
        assert [names[level] for level in images[:, 0, 0, 0]] == [data.class_names[label] for label in labels]
        assert np.any(np.diff(labels) < 0)


def test_loading_again_gives_the_same_whatever_was_copied_first(tmp_path):
    data = load(class_folders(tmp_path / "first" / "pets"))
    assert np.array_equal(load(tmp_path / "first" / "pets").x_train, data.x_train)
    for path in sorted((tmp_path / "first" / "pets").rglob("*.png"), reverse=True):
        copy = tmp_path / "second" / path.relative_to(tmp_path / "first")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    copied = load(tmp_path / "second" / "pets")
    for what in ("x", "y"):
        assert np.array_equal(together(copied, what), together(data, what))


def test_float32_is_the_same_from_0_to_1(tmp_path):
    class_folders(tmp_path)
    data, floats = load(tmp_path), load(tmp_path, dtype="float32")
    assert floats.x_train.dtype == floats.x_test.dtype == np.float32
    assert np.array_equal(together(floats, "x"), together(data, "x").astype(np.float32) / 255)


def test_n_train_takes_some_with_the_classes_in_proportion(tmp_path):
    class_folders(tmp_path)
    whole, some, other = load(tmp_path), load(tmp_path, n_train=6), load(tmp_path, n_train=6, seed=1)
    assert np.bincount(some.y_train).tolist() == np.bincount(other.y_train).tolist() == [4, 2]
    assert not np.array_equal(some.x_train, other.x_train)
    for data in (some, other):
        assert set(data.x_train[:, 0, 0, 0]) <= set(whole.x_train[:, 0, 0, 0])
        assert np.array_equal(data.x_test, whole.x_test)
    with pytest.raises(ValueError) as raised:
        load(tmp_path, n_train=13)
    assert str(raised.value) == "n_train: got 13, expected 2 (one of each class) to 12 (all)"


def test_pictures_of_different_sizes_need_a_size(tmp_path):
    save(class_folders(tmp_path) / "dog" / "large.png", np.full((30, 20, 3), 200, np.uint8))
    for function in (load, stream):
        with pytest.raises(ValueError) as raised:
            function(tmp_path)
        assert str(raised.value) == ("size: got None, expected a number of pixels, since the images differ in size")
    data = load(tmp_path, size=8)
    assert together(data, "x").shape == (16, 8, 8, 3)
    assert set(together(data, "x")[:, 4, 4, 0]) == {*range(10), *range(100, 105), 200}


def test_more_than_fits_is_refused_before_it_is_read(tmp_path, monkeypatch):
    class_folders(tmp_path)
    taken = 15 * 6 * 9 * 3
    monkeypatch.setattr(datasets, "LARGEST", taken)
    assert load(tmp_path).x_train.nbytes < taken
    monkeypatch.setattr(folders, "read_picture", None)
    monkeypatch.setattr(datasets, "LARGEST", 2**30)
    gigabytes = 15 * 6000 * 6000 * 3 / 2**30
    for dtype, needed in (("uint8", gigabytes), ("float32", 4 * gigabytes)):
        with pytest.raises(ValueError) as raised:
            load(tmp_path, size=6000, dtype=dtype)
        assert str(raised.value) == (
            f"size: 15 images of 6000×6000×3 take {needed:.1f} GiB, expected at most 1: "
            "choose a smaller size or n_train, or use stream in place of load"
        )


@pytest.mark.parametrize(
    "clutter",
    [
        ".DS_Store",
        ".hidden.png",
        "Thumbs.db",
        "desktop.ini",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "cat/._0.png",
        "__MACOSX/cat/._0.png",
        ".ipynb_checkpoints/0.png",
        "notes.txt",
    ],
)
def test_clutter_is_no_picture_and_no_class(tmp_path, clutter):
    class_folders(tmp_path)
    expected = load(tmp_path)
    (tmp_path / clutter).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / clutter).write_text("no picture")
    data = load(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert np.array_equal(data.x_train, expected.x_train)


# Boxes and masks


def test_pictures_and_masks(tmp_path):
    data = load(annotated(tmp_path / "tiles", masks=255))
    assert (data.name, data.class_names) == ("tiles", ("object",))
    assert not together(data, "y").any()
    assert together(data, "x").shape == (10, HEIGHT, WIDTH, 3)
    for images, masks, boxes in zip(*(parts(data, what) for what in ("x", "masks", "boxes")), strict=True):
        assert masks.dtype == np.uint8
        assert np.array_equal(masks, images[..., 0] // 255)
        assert boxes.shape == (len(images), 4)
        assert boxes == pytest.approx(extents(images[..., 0]))


@pytest.mark.parametrize("value", [1, 255])
def test_boxes_follow_from_masks_of_one_object(tmp_path, value):
    annotated(tmp_path, masks=value)
    save(tmp_path / "masks" / "3.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    data = load(tmp_path)
    masks, boxes = together(data, "masks"), together(data, "boxes")
    assert set(np.unique(masks)) == {0, 1}
    empty = ~masks.any(axis=(1, 2))
    assert empty.sum() == 1
    assert not boxes[empty].any()
    assert boxes[~empty] == pytest.approx(extents(masks[~empty]))


@pytest.mark.parametrize("value", [2, 128, 254])
def test_masks_of_more_classes_are_kept_and_have_no_boxes(tmp_path, value):
    data = load(annotated(tmp_path, masks=value))
    assert set(np.unique(together(data, "masks"))) == {0, value}
    assert data.boxes_train is data.boxes_test is None


def test_pictures_and_boxes(tmp_path):
    data = load(annotated(tmp_path, csv=True))
    assert data.masks_train is data.masks_test is None
    assert data.class_names == ("object",)
    assert data.boxes_train.dtype == np.float32
    for images, boxes in zip(parts(data, "x"), parts(data, "boxes"), strict=True):
        assert boxes == pytest.approx(extents(images[..., 0]))


@pytest.mark.parametrize("size", [10, 24, 60])
def test_boxes_and_masks_stay_right_when_pictures_are_stretched(tmp_path, size):
    data = load(annotated(tmp_path, masks=255, csv=True), size=size)
    for images, masks, boxes in zip(*(parts(data, what) for what in ("x", "masks", "boxes")), strict=True):
        assert masks.shape == images.shape[:3] == (len(boxes), size, size)
        assert boxes == pytest.approx(extents(images[..., 0] > 127), abs=1.01 / size)
        assert boxes == pytest.approx(extents(masks), abs=1.01 / size)


def test_written_boxes_come_before_those_of_masks(tmp_path):
    annotated(tmp_path, masks=255)
    write_boxes(tmp_path, "file,x,y,w,h", *(f"{number}.png,0,0,{WIDTH},{HEIGHT}" for number in range(10)))
    assert np.array_equal(together(load(tmp_path), "boxes"), np.tile([0, 0, 1, 1], (10, 1)))


def test_boxes_are_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for number, rectangle in enumerate(RECTANGLES):
        save(tmp_path / "images" / f"{number}.jpg", np.rot90(drawn(rectangle)), exif=exif, quality=100)
        save(tmp_path / "masks" / f"{number}.png", drawn(rectangle))
    write_boxes(tmp_path, "file,x,y,w,h", *(f"{n}.jpg,{','.join(map(str, box))}" for n, box in enumerate(RECTANGLES)))
    data = load(tmp_path)
    assert data.x_train.shape[1:] == (HEIGHT, WIDTH, 3)
    assert np.array_equal(data.x_train[..., 0] > 127, data.masks_train)
    assert data.boxes_train == pytest.approx(extents(data.masks_train))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_classes_stand_in_the_table_of_boxes(tmp_path, encoding):
    annotated(tmp_path)
    sorts = ["große Fuge", "Bruch", "Algen"]
    write_boxes(
        tmp_path,
        "class,file,note,w,h,x,y",
        *(f"{sorts[n % 3]},{n}.png,,{w}.0,{h},{x},{y}" for n, (x, y, w, h) in enumerate(RECTANGLES)),
        "",
        encoding=encoding,
    )
    data = load(tmp_path)
    assert data.class_names == ("Algen", "Bruch", "große Fuge")
    assert np.bincount(together(data, "y")).tolist() == [3, 3, 4]
    boxes = together(data, "boxes")
    assert boxes == pytest.approx(extents(together(data, "x")[..., 0]))
    numbers = [np.abs(extents(drawn(box)[None]) - boxes).max(axis=1).argmin() for box in RECTANGLES]
    assert [data.class_names[together(data, "y")[number]] for number in numbers] == [sorts[n % 3] for n in range(10)]


@pytest.mark.parametrize("csv", [False, True])
def test_pictures_lie_in_folders_of_classes_and_masks_likewise(tmp_path, csv):
    data = load(annotated(tmp_path, masks=255, csv=csv, classes=("wet", "dry")))
    assert data.class_names == ("dry", "wet")
    images, masks = together(data, "x")[..., 0], together(data, "masks")
    assert np.array_equal(masks, images // 255)
    assert together(data, "boxes") == pytest.approx(extents(images))
    wet = {drawn(rectangle).tobytes() for rectangle in RECTANGLES[::2]}
    assert [image.tobytes() in wet for image in images] == together(data, "y").astype(bool).tolist()


def test_the_classes_of_folders_come_before_those_of_the_table(tmp_path):
    annotated(tmp_path, classes=("wet", "dry"))
    rows = [f"{('wet', 'dry')[n % 2]}/{n}.png,{','.join(map(str, box))},x{n % 2}" for n, box in enumerate(RECTANGLES)]
    write_boxes(tmp_path, "file,x,y,w,h,class", *rows)
    assert load(tmp_path).class_names == ("dry", "wet")


def test_masks_may_end_in_another_way(tmp_path):
    annotated(tmp_path, masks=255)
    for number in range(10):
        save(tmp_path / "images" / f"{number}.jpg", Image.open(tmp_path / "images" / f"{number}.png"), quality=100)
        (tmp_path / "images" / f"{number}.png").unlink()
    data = load(tmp_path)
    assert np.array_equal(data.masks_train, data.x_train[..., 0] > 127)


@pytest.mark.parametrize("clutter", [".DS_Store", "Thumbs.db", "._0.png", ".ipynb_checkpoints/0-checkpoint.png"])
@pytest.mark.parametrize("beside", ["images", "masks"])
@pytest.mark.parametrize("classes", [("",), ("wet", "dry")], ids=["no classes", "classes"])
def test_clutter_beside_annotated_pictures_is_ignored(tmp_path, clutter, beside, classes):
    annotated(tmp_path, masks=255, classes=classes)
    path = tmp_path / beside / clutter
    path.parent.mkdir(exist_ok=True)
    path.write_text("no picture")
    assert len(together(load(tmp_path), "x")) == 10


# Streams


@pytest.mark.parametrize("settings", [{}, {"size": 12, "dtype": "float32", "n_train": 5, "seed": 1}])
@pytest.mark.parametrize(
    "make",
    [class_folders, lambda folder: annotated(folder, masks=255, csv=True)],
    ids=["class folders", "annotated"],
)
def test_a_stream_gives_what_load_gives(tmp_path, make, settings):
    folder = make(tmp_path / "pets")
    data, streamed = load(folder, **settings), stream(folder, **settings)
    pools = streamed.train, streamed.test
    for examples, images, labels in zip(pools, parts(data, "x"), parts(data, "y"), strict=True):
        image, label = examples.element_spec
        assert (tuple(image.shape), tuple(label.shape)) == (images.shape[1:], ())
        assert (image.dtype.name, label.dtype.name) == (images.dtype, "int64")
        assert examples.cardinality() == len(images)
        for _ in range(2):
            streamed_images, streamed_labels = next(examples.batch(100).as_numpy_iterator())
            assert np.array_equal(streamed_images, images)
            assert np.array_equal(streamed_labels, labels)
    assert (streamed.name, streamed.class_names, streamed.source) == (data.name, data.class_names, data.source)


def test_a_stream_s_repr_is_readable(tmp_path):
    assert repr(stream(class_folders(tmp_path / "pets"), size=12)).splitlines() == [
        "pets: a stream of 12 training and 3 test images of 12 × 12 × 3, uint8",
        "classes: cat, dog",
        f"source: photographs in {tmp_path / 'pets'}",
    ]


# What is a folder, and what a name


@pytest.mark.parametrize("written", ["~/pets", "./pets", "pets", "../home/pets", "{folder}"])
def test_a_folder_may_be_written_as_a_string(tmp_path, monkeypatch, written):
    folder = class_folders(tmp_path / "home" / "pets")
    monkeypatch.chdir(tmp_path / "home")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    written = written.format(folder=folder)
    for name in (written, Path(written)):
        data = load(name)
        assert data.name == "pets"
        assert len(data.x_train) == 12


def test_a_folder_s_name_is_known_in_any_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(class_folders(tmp_path / "pets"))
    assert load(".").name == "pets"


def test_a_folder_may_lie_in_a_hidden_one(tmp_path):
    assert load(class_folders(tmp_path / ".course" / "pets")).class_names == ("cat", "dog")
    assert len(load(annotated(tmp_path / ".course" / "tiles", masks=255)).x_train) == 8


def test_a_name_is_a_set_and_a_path_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "digits")
    assert load("digits").class_names == tuple("0123456789")
    for folder in (Path("digits"), "./digits", str(tmp_path / "digits")):
        assert load(folder).class_names == ("cat", "dog")


def test_a_folder_does_not_hide_a_set_to_be_downloaded(tmp_path, monkeypatch):
    def asked_for(name):
        raise ConnectionError(f"asked for {name}")

    monkeypatch.setattr(datasets, "fetch", asked_for)
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "mnist")
    with pytest.raises(ConnectionError, match="asked for mnist"):
        load("mnist")
    assert load(Path("mnist")).class_names == ("cat", "dog")


def test_a_folder_has_no_settings(tmp_path):
    with pytest.raises(ValueError) as raised:
        load(class_folders(tmp_path), light=0)
    assert told(raised, tmp_path) == "light: is no setting of 'FOLDER', which has none"


# What is refused


def remove(*names: str) -> Callable[[Path], None]:
    def spoil(folder):
        for name in names:
            for path in sorted((folder / name).rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()

    return spoil


def put(name: str, content: bytes | np.ndarray | Image.Image = b"", **settings) -> Callable[[Path], None]:
    def spoil(folder):
        if isinstance(content, bytes):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        else:
            save(folder / name, content, **settings)

    return spoil


def cut_off(name: str) -> Callable[[Path], None]:
    """Half of a picture, as after an interrupted copy."""

    def spoil(folder):
        path = save(folder / name, noise(64, 64))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return spoil


def damaged(name: str) -> Callable[[Path], None]:
    """A picture with a byte that is not what it was."""

    def spoil(folder):
        path = save(folder / name, noise(64, 64))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)

    return spoil


def rename(**names: str) -> Callable[[Path], None]:
    def spoil(folder):
        for old, new in names.items():
            (folder / old).rename(folder / new)

    return spoil


IS_NO_IMAGE = "is not an image that Pillow can read; remove it or save it as JPEG or PNG"
LONE = "has one image only, expected one to train and one to test on"


def check_refused(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    """Message may end in an ellipsis where Pillow's words follow."""
    spoil(folder)
    with pytest.raises(ValueError) as raised:
        load(folder, size=8)
    start, ellipsis, end = message.partition("...")
    assert told(raised, folder).startswith(start)
    assert told(raised, folder).endswith(end)
    assert ellipsis or told(raised, folder) == message


@pytest.mark.parametrize(
    "spoil, message",
    [
        (remove("."), "name: got 'FOLDER', which does not exist, expected a folder of photographs"),
        (
            lambda folder: [remove(".")(folder), put(".", b"a file")(folder)],
            "name: got 'FOLDER', a file, expected a folder of photographs",
        ),
        (remove("cat", "dog"), "name: the folder FOLDER holds none, expected at least two folders, one for each class"),
        (remove("cat"), "name: the folder FOLDER holds one, 'dog', expected at least two folders, one for each class"),
        (
            lambda folder: [remove("cat", "dog")(folder), put("0.png", PIXELS)(folder)],
            "name: the folder FOLDER holds none, expected at least two folders, one for each class",
        ),
        (
            rename(cat="train", dog="Test"),
            "name: the folder FOLDER holds Test, train, expected one for each class: load one of them",
        ),
        (
            rename(cat="training", dog="validation"),
            "name: the folder FOLDER holds training, validation, expected one for each class: load one of them",
        ),
        (
            lambda folder: (folder / "horse").mkdir(),
            "name: the folder FOLDER/horse holds no pictures, expected those of its class",
        ),
        (
            put("horse/.DS_Store"),
            "name: the folder FOLDER/horse holds no pictures, expected those of its class",
        ),
        (put("cat/notes.txt", b"my cats"), f"FOLDER/cat/notes.txt: {IS_NO_IMAGE}"),
        (put("cat/notes.png", b"my cats"), f"FOLDER/cat/notes.png: {IS_NO_IMAGE}"),
        (put("cat/empty.jpg"), f"FOLDER/cat/empty.jpg: {IS_NO_IMAGE}"),
        (put("cat/a.ppm", b"P6\n12"), "FOLDER/cat/a.ppm: ..."),
        (cut_off("dog/half.jpg"), "FOLDER/dog/half.jpg: cannot be read (...)"),
        (cut_off("dog/half.png"), "FOLDER/dog/half.png: cannot be read (..."),
        (cut_off("dog/half.gif"), "FOLDER/dog/half.gif: cannot be read (...)"),
        (cut_off("dog/half.bmp"), "FOLDER/dog/half.bmp: cannot be read (...)"),
        (damaged("dog/bad.png"), "FOLDER/dog/bad.png: cannot be read (..."),
        (
            put("dog/height.tif", np.full((6, 9), 0.5, np.float32)),
            "FOLDER/dog/height.tif: holds decimal numbers of unknown range, expected grey levels or colours",
        ),
        (put("a/0.png", PIXELS), f"name: class number 0 {LONE}"),
        (put("emu/0.png", PIXELS), f"name: class number 2 {LONE}"),
    ],
)
def test_class_folders_are_refused(tmp_path, spoil, message):
    check_refused(class_folders(tmp_path / "pets"), spoil, message)


def boxes(*rows: str, header: str = "file,x,y,w,h", encoding: str = "utf-8") -> Callable[[Path], None]:
    """A table of the ten pictures' boxes, in which these rows replace those of the same line."""

    def spoil(folder):
        table = [f"{number}.png,1,2,3,4" for number in range(10)]
        write_boxes(folder, header, *rows, *table[len(rows) :], encoding=encoding)

    return spoil


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            remove("masks", "boxes.csv"),
            "name: the folder FOLDER holds 'images' alone, expected 'masks' or 'boxes.csv' beside it",
        ),
        (
            lambda folder: [remove("images")(folder), (folder / "images").mkdir()],
            "name: the folder FOLDER/images holds no pictures",
        ),
        (put("images/notes.txt", b"notes"), f"FOLDER/images/notes.txt: {IS_NO_IMAGE}"),
        (cut_off("images/4.png"), "FOLDER/images/4.png: cannot be read (..."),
        (
            put("images/wet/0.png", PIXELS),
            "FOLDER/images/0.png: lies beside the folders of classes, expected it in one of them",
        ),
        (remove("masks/7.png"), "FOLDER/images/7.png: has no mask of the same name in FOLDER/masks"),
        (put("masks/7.png", GREY), "FOLDER/masks/7.png: got 6×9, expected 20×30, the size of 7.png"),
        (
            put("masks/7.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8)),
            "FOLDER/masks/7.png: got a mask of mode RGB, expected grey or palette, one number a pixel",
        ),
        (
            put("masks/7.png", np.zeros((HEIGHT, WIDTH, 4), np.uint8)),
            "FOLDER/masks/7.png: got a mask of mode RGBA, expected grey or palette, one number a pixel",
        ),
        (put("masks/7.png", b"no mask"), f"FOLDER/masks/7.png: {IS_NO_IMAGE}"),
        (
            boxes(header="file,left,top,w,h"),
            "FOLDER/boxes.csv: got the columns file, left, top, w, h, expected file, x, y, w, h (and class)",
        ),
        (
            boxes(header="file;x;y;w;h"),
            "FOLDER/boxes.csv: got the columns file;x;y;w;h, expected file, x, y, w, h (and class)",
        ),
        (put("boxes.csv"), "FOLDER/boxes.csv: got the columns , expected file, x, y, w, h (and class)"),
        (
            boxes("a.png,1,2,3,4"),
            "FOLDER/boxes.csv, line 2: got the file 'a.png', which is not in FOLDER/images",
        ),
        (
            boxes("0.png,1,2,3,4", "0.png,1,2,3,4"),
            "FOLDER/boxes.csv, line 3: got a second box for '0.png', expected one for each picture",
        ),
        (
            boxes("0.png,1,2,3,4", "1.png,1,two,3,4"),
            "FOLDER/boxes.csv, line 3: got {'file': '1.png', 'x': '1', 'y': 'two', 'w': '3', 'h': '4'}, "
            "expected numbers for x, y, w, h",
        ),
        (boxes("0.png,1,2,3"), "FOLDER/boxes.csv, line 2: got {...}, expected numbers for x, y, w, h"),
        *(
            (
                boxes(f"0.png,{box.replace(' ', '')}"),
                f"FOLDER/boxes.csv, line 2: got the box {box} (x, y, w, h), expected one inside the picture of 20×30",
            )
            for box in (
                "-1, 2, 3, 4",
                "1, -2, 3, 4",
                "1, 2, 0, 4",
                "1, 2, 3, -4",
                "1, 2, 29.5, 4",
                "1, 2, 3, 18.5",
                "nan, 2, 3, 4",
                "1, 2, inf, 4",
            )
        ),
        (
            lambda folder: write_boxes(folder, "file,x,y,w,h", "0.png,1,2,3,4"),
            "FOLDER/boxes.csv: has no box for '1.png'",
        ),
        (
            boxes(
                *(f"{number}.png,1,2,3,4,{'tile' if number != 5 else ''}" for number in range(10)),
                header="file,x,y,w,h,class",
            ),
            "FOLDER/boxes.csv: has no class for '5.png'",
        ),
        (
            boxes(
                *(f"{number}.png,1,2,3,4,{'tile' if number else 'brick'}" for number in range(10)),
                header="file,x,y,w,h,class",
            ),
            f"name: class number 0 {LONE}",
        ),
        (boxes("0.png,1,2,3,4,grün", header="file,x,y,w,h,class", encoding="latin-1"), "FOLDER/boxes.csv: ..."),
    ],
)
def test_annotated_pictures_are_refused(tmp_path, spoil, message):
    check_refused(annotated(tmp_path / "tiles", masks=255, csv=True), spoil, message)


def test_a_picture_of_too_many_pixels_is_named(tmp_path, monkeypatch):
    save(class_folders(tmp_path) / "cat" / "large.png", noise(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    check_refused(tmp_path, lambda _: None, "FOLDER/cat/large.png: cannot be read (...)")


def test_an_unknown_home_is_refused():
    with pytest.raises(ValueError, match=r"^name: got '.*nobody-by-this-name"):
        load("~nobody-by-this-name/pets")


def test_a_folder_is_loaded_without_tensorflow(tmp_path):
    code = f"import sys; from helpers.datasets import load; load({str(class_folders(tmp_path))!r}, dtype='float32')"
    code += "; print(sorted({'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]"]
