"""Folders of photographs give the pixels, classes, masks and boxes that are in them, or say which files are wrong."""

import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import real
from helpers.datasets import load, photograph

ROOT = Path(__file__).resolve().parent.parent
ORIENTATION = 0x0112  # the EXIF tag
HEIGHT, WIDTH = 20, 30
# A rectangle for every picture: left, top, right, bottom
RECTANGLES = [(n % 4, n % 3, n % 4 + 5 + n % 7, n % 3 + 4 + n % 5) for n in range(10)]


def save(path: Path, picture: np.ndarray | Image.Image, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **settings)
    return path


def class_folders(folder: Path, **counts: int) -> Path:
    """Plain pictures of a level of their own: those of cats below 100, those of dogs from there."""
    for first, (name, count) in enumerate((counts or {"cat": 10, "dog": 5}).items()):
        for number in range(count):
            save(folder / name / f"{number}.png", np.full((6, 9, 3), 100 * first + number, np.uint8))
    return folder


def drawn(rectangle: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    """A black image with a rectangle."""
    left, top, right, bottom = rectangle
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[top:bottom, left:right] = value
    return image


def annotated(folder: Path, *, masks: int | None = 255, boxes: bool = False, classes: tuple[str, ...] = ("",)) -> Path:
    """White rectangles, with masks of this value, with boxes, and in folders of classes, in turn."""
    rows = []
    for number, rectangle in enumerate(RECTANGLES):
        path = Path(classes[number % len(classes)], f"{number}.png")
        save(folder / "images" / path, drawn(rectangle))
        if masks is not None:
            save(folder / "masks" / path, drawn(rectangle, masks))
        rows.append(",".join(map(str, [path.as_posix(), *rectangle])))
    return table(folder, *rows) if boxes else folder


def table(folder: Path, *rows: str, header: str = "file,left,top,right,bottom", encoding: str = "utf-8") -> Path:
    (folder / "boxes.csv").write_text("\n".join([header, *rows]), encoding=encoding)
    return folder


def extents(images: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of what is not black, in pixels."""
    found = []
    for image in images:
        rows, columns = np.nonzero(image)
        found.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return np.array(found)


def together(data, what: str) -> np.ndarray:
    return np.concatenate([getattr(data, f"{what}_train"), getattr(data, f"{what}_test")])


def refusal(folder: Path, size: int | None = 8) -> str:
    """The message, with the folder called FOLDER and the separators of Unix."""
    with pytest.raises(ValueError) as raised:
        load(folder, size=size)
    return str(raised.value).replace("\\\\", "\\").replace(str(folder), "FOLDER").replace("\\", "/")


@pytest.mark.parametrize(
    "fit, expected",
    [("stretch", (16, 12, 40, 36)), ("crop", (9, 12, 45, 36)), ("pad", (16, 18, 40, 34))],
)
@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_pictures_masks_and_boxes_become_square_together(tmp_path, fit, expected, mode):
    for name in ("0.png", "1.png"):
        save(tmp_path / "images" / name, drawn((8, 4, 20, 12)))
        save(tmp_path / "masks" / name, Image.fromarray(drawn((8, 4, 20, 12), 255 if mode == "1" else 1)).convert(mode))
    data = load(table(tmp_path, "0.png,8,4,20,12", "1.png,8,4,20,12"), size=60, fit=fit)
    np.testing.assert_array_equal(together(data, "boxes"), [expected] * 2)
    np.testing.assert_array_equal(extents(together(data, "masks")), [expected] * 2)
    np.testing.assert_array_equal(extents(together(data, "x")[..., 0] > 127), [expected] * 2)


def test_what_a_fit_cannot_do_is_refused(tmp_path):
    folder = annotated(tmp_path, masks=None, boxes=True)  # some of whose boxes end at column 5
    with pytest.raises(ValueError, match=r"0\.png: its box lies outside of the square that fit='crop' keeps"):
        load(folder, size=8, fit="crop")
    for settings in ({"fit": "squash", "size": 8}, {"fit": "crop"}):
        with pytest.raises(
            ValueError, match=r"fit: got '(squash' with size=8|crop' with size=None), expected 'stretch'"
        ):
            load(folder, **settings)


# One picture

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREY = PIXELS[..., 0]
PALETTE = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 120, 150)], np.uint8)
ALPHA = np.where(GREY < 80, 0, np.where(GREY < 160, 102, 255)).astype(np.uint8)


def with_palette() -> Image.Image:
    picture = Image.fromarray(GREY % 4)
    picture.putpalette(PALETTE.ravel().tolist())
    return picture


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
        pytest.param(with_palette(), {}, PALETTE[GREY % 4], id="P"),
        pytest.param(
            with_palette(),
            {"transparency": bytes([255, 102, 0, 255])},
            on_white(PALETTE[GREY % 4], np.array([255, 102, 0, 255])[GREY % 4]),
            id="P, transparent",
        ),
        pytest.param(np.dstack([PIXELS, ALPHA]), {}, on_white(PIXELS), id="RGBA"),
        pytest.param(Image.fromarray(np.dstack([GREY, ALPHA])), {}, on_white(grey(GREY)), id="LA"),
        pytest.param(Image.new("CMYK", (6, 9), (0, 255, 255, 0)), {}, np.full((9, 6, 3), (255, 0, 0)), id="CMYK"),
    ],
)
def test_a_picture_of_any_kind_is_rgb(tmp_path, picture, settings, expected):
    is_cmyk = isinstance(picture, Image.Image) and picture.mode == "CMYK"
    found = real.read_picture(save(tmp_path / ("a.tif" if is_cmyk else "a.png"), picture, **settings))
    assert found.dtype == np.uint8 and found.shape == expected.shape
    assert np.abs(found - expected.astype(float)).max() <= 1
    found[:] = 0  # may be written to


@pytest.mark.parametrize("levels", [np.arange(4096, dtype=np.uint16).reshape(64, 64), np.eye(8, dtype=np.float32)])
def test_pictures_of_more_than_8_bits_are_refused(tmp_path, levels):
    """Cameras use 10, 12 or 14 of 16: only who made the file knows which."""
    path = save(tmp_path / "a.tif", levels)
    with pytest.raises(ValueError, match=rf"a.tif: has more than 8 bits a value \(up to {levels.max():g}\)"):
        photograph(path)


TURNED = {3: PIXELS[::-1, ::-1], 4: PIXELS[::-1], 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS), 9: PIXELS}


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_upright(tmp_path, orientation, ending):
    """A camera held on its side stores the pixels lying, and a tag that says so; 9 means nothing."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for place in ("cat/0", "cat/1", "dog/0"):
        save(tmp_path / f"{place}.{ending}", PIXELS, exif=exif)
    save(tmp_path / f"dog/1.{ending}", np.ascontiguousarray(TURNED[orientation]))
    assert np.array_equal(load(tmp_path).x_train[0], TURNED[orientation])
    left_is_white = np.zeros((128, 192, 3), np.uint8)
    left_is_white[:, :96] = 255
    exif[ORIENTATION] = 6
    found = real.read_picture(save(tmp_path / "a.jpg", left_is_white, exif=exif), 8)
    assert found[:3].min() > 240 and found[-3:].max() < 15, "the left is now on top"


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    busy = threading.Lock()

    def read(path, *_):
        assert busy.acquire(blocking=False)
        time.sleep(0.01)
        busy.release()
        return PIXELS

    monkeypatch.setattr(real, "DECODED_AT_ONCE", 6 * 9)
    monkeypatch.setattr(real, "read_picture", read)
    load(class_folders(tmp_path))


# One folder for each class


def test_class_folders_are_a_set(tmp_path):
    data = load(class_folders(tmp_path / "pets"))
    assert (data.name, data.class_names) == ("pets", ("cat", "dog"))
    assert data.source == f"photographs in {tmp_path / 'pets'}"
    assert (data.x_train.shape, data.x_test.shape) == ((12, 6, 9, 3), (3, 6, 9, 3))
    assert data.boxes_train is data.masks_test is None
    levels, labels = together(data, "x")[:, 0, 0, 0], together(data, "y")
    assert np.array_equal(levels // 100, labels) and sorted(levels) == [*range(10), *range(100, 105)]
    assert np.bincount(data.y_test).tolist() == [2, 1] and np.any(np.diff(data.y_train) < 0)
    some = load(tmp_path / "pets", n_train=6, size=4, dtype="float32")
    assert np.bincount(some.y_train).tolist() == [4, 2]
    assert np.array_equal(some.x_test, data.x_test[:, :4, :4] / np.float32(255))


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "val"), ("training", "validation")])
@pytest.mark.parametrize("make", [class_folders, annotated])
def test_train_and_test_are_the_split(tmp_path, names, make):
    sizes = {"cat": 4, "dog": 3}, {"cat": 1, "dog": 2}
    for name, counts in zip(names, sizes, strict=True):
        make(tmp_path / name, **(counts if make is class_folders else {}))
    data = load(tmp_path)
    expected = ([4, 3], [1, 2]) if make is class_folders else ([10], [10])
    assert (np.bincount(data.y_train).tolist(), np.bincount(data.y_test).tolist()) == expected
    assert make is class_folders or data.masks_test.max() == data.masks_train.max() == 1


def test_of_test_and_val_the_one_with_classes_is_used_and_the_other_named(tmp_path):
    for name, count in (("train", 4), ("val", 3), ("test", 2)):
        class_folders(tmp_path / name, cat=count, dog=count)
    with pytest.warns(UserWarning, match="^not used: .*val$"):
        assert len(load(tmp_path).x_test) == 4
    for folder in ("cat", "dog"):
        (tmp_path / "test" / folder).rename(tmp_path / folder)
    with pytest.warns(UserWarning, match="^not used: .*cat, .*dog, .*test$"):
        assert len(load(tmp_path).x_test) == 6


CLUTTER = [".DS_Store", "Thumbs.db", "cat/ehthumbs.db", "cat/._0.png", "cat/@eaDir/0.png", "__MACOSX/cat/._0.png"]


@pytest.mark.parametrize("clutter", CLUTTER)
def test_clutter_is_no_picture_and_no_class(tmp_path, clutter):
    expected = load(class_folders(tmp_path)).x_train
    (tmp_path / clutter).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / clutter).write_text("no picture")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(load(tmp_path).x_train, expected)


def test_what_is_not_used_is_said(tmp_path):
    class_folders(tmp_path)
    save(tmp_path / "stray.png", PIXELS)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.warns(UserWarning, match=r"^not used: .*gone, .*stray\.png$"):
        assert len(together(load(tmp_path), "x")) == 15
    annotated(tmp_path / "tiles")
    save(tmp_path / "tiles" / "notes.png", GREY)
    with pytest.warns(UserWarning, match=r"^not used: .*notes\.png$"):
        load(tmp_path / "tiles")


@pytest.mark.parametrize("written", ["~/pets", "./pets", "pets", "../home/pets"])
def test_a_folder_may_be_written_in_many_ways(tmp_path, monkeypatch, written):
    class_folders(tmp_path / "home" / "pets")
    monkeypatch.chdir(tmp_path / "home")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert load(written).name == load(Path(written)).name == "pets"


def test_a_set_that_hides_a_folder_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(class_folders(tmp_path / "faces", cat=5, dog=5).parent)
    with pytest.warns(UserWarning, match=r"^faces is the set of this name; load\('./faces'\) has the folder that is h"):
        assert load("faces").class_names == ("no face", "face")
    for folder in (Path("faces"), "./faces", str(tmp_path / "faces")):
        assert load(folder).class_names == ("cat", "dog")


# Boxes and masks


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("size", [None, 24])
def test_masks_of_one_object_come_with_its_boxes(tmp_path, value, size):
    annotated(tmp_path, masks=value)
    data = load(tmp_path, size=size)
    assert data.class_names == ("object",)
    images, masks, boxes = (together(data, what) for what in ("x", "masks", "boxes"))
    assert masks.dtype == np.uint8 and (size or np.array_equal(masks, images[..., 0] // 255))
    assert boxes == pytest.approx(extents(images[..., 0] > 127), abs=1.01 if size else 0)


def test_masks_of_more_classes_are_kept_and_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for number, rectangle in enumerate(RECTANGLES):
        save(tmp_path / "images" / f"{number}.jpg", np.rot90(drawn(rectangle)), exif=exif, quality=100)
        save(
            tmp_path / "masks" / f"{number}.png", drawn(rectangle, 11) + (np.arange(HEIGHT) > 15)[:, None] * np.uint8(2)
        )
    table(tmp_path, *(f"{n}.jpg,{','.join(map(str, box))}" for n, box in enumerate(RECTANGLES)))
    data = load(tmp_path)
    assert set(np.unique(data.masks_train)) == {0, 2, 11}
    assert np.array_equal(data.x_train[..., 0] > 127, data.masks_train >= 11)
    assert data.boxes_train == pytest.approx(extents(data.masks_train >= 11))
    (tmp_path / "boxes.csv").unlink()
    assert load(tmp_path).boxes_train is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_classes_stand_in_the_table_of_boxes(tmp_path, encoding):
    sorts = ["große Fuge", "Bruch", "Algen"]
    rows = [f"{sorts[n % 3]},{n}.png,,{r}.0,{b},{x},{y}" for n, (x, y, r, b) in enumerate(RECTANGLES)]
    header = "class,file,note,right,bottom,left,top"
    data = load(table(annotated(tmp_path, masks=None), *rows, header=header, encoding=encoding))
    assert data.class_names == ("Algen", "Bruch", "große Fuge") and data.masks_train is None
    boxes, labels = together(data, "boxes"), together(data, "y")
    assert boxes.dtype == np.float32 and boxes == pytest.approx(extents(together(data, "x")[..., 0]))
    places = [np.abs(extents(drawn(box)[None]) - boxes).max(axis=1).argmin() for box in RECTANGLES]
    assert [data.class_names[labels[place]] for place in places] == [sorts[n % 3] for n in range(10)]


def test_pictures_lie_in_folders_of_classes_and_masks_likewise(tmp_path):
    data = load(annotated(tmp_path, boxes=True, classes=("wet", "dry")))
    assert data.class_names == ("dry", "wet")
    images = together(data, "x")[..., 0]
    assert np.array_equal(together(data, "masks"), images // 255)
    wet = {drawn(rectangle).tobytes() for rectangle in RECTANGLES[::2]}
    assert [image.tobytes() in wet for image in images] == together(data, "y").astype(bool).tolist()


@pytest.mark.parametrize("size", [None, 32])
def test_boxes_follow_the_size_and_lose_what_rounding_adds(tmp_path, size):
    for number in range(5):
        save(tmp_path / "images" / f"{number}.png", np.zeros((80, 640), np.uint8))
    left = 2 / 15 * 640
    rows = (f"{n}.png,{left},-0.004,{left + (1 - 2 / 15) * 640 + 1e-10},40" for n in range(5))
    boxes = together(load(table(tmp_path, *rows), size=size), "boxes")
    scale = np.tile([size / 640, size / 80], 2) if size else 1
    assert boxes.dtype == np.float32 and boxes == pytest.approx(np.array([[left, 0, 640, 40]] * 5) * scale)
    assert boxes.min() == 0 and boxes.max() == (size or 640)


# What is refused: each spoils a folder, and names what the message has to say


def put(name: str, content: bytes | np.ndarray | Image.Image = b"", **settings) -> Callable[[Path], None]:
    def spoil(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            save(folder / name, content, **settings)

    return spoil


def cut_off(name: str) -> Callable[[Path], None]:
    """Half of a picture, as after an interrupted copy."""

    def spoil(folder):
        path = save(folder / name, PIXELS.repeat(9, axis=0))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return spoil


def all_of(*spoils: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: [spoil(folder) for spoil in spoils]


def rename(**names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / old).rename(folder / new) for old, new in names.items()]


NO_IMAGE = r"cannot be read \(cannot identify image file '[^']*'\); remove it, or save it as JPEG or PNG"
TWO = "expected at least two folders, one for each class"
LONE = all_of(put("emu/0.png", PIXELS), put("yak/0.png", PIXELS))
BAD = all_of(put("cat/a.txt", b"my cats"), put("cat/b.jpg"), lambda folder: (folder / "dog/c.png").symlink_to("no"))
ALL_BAD = "/cat/a.txt: cannot be read (cannot identify image file "


@pytest.mark.parametrize(
    "spoil, message",
    [
        (rename(cat="../cat", dog="../dog"), f" holds no folder, {TWO}"),
        (rename(cat="../cat"), f" holds dog, {TWO}"),
        (rename(cat="val", dog="Test"), f" holds Test, val, {TWO}"),
        (rename(cat="train", dog="Test"), f" holds Test, train, {TWO}"),
        (put("horse/.DS_Store"), "/horse: holds no pictures"),
        (put("cat/more/0.png", PIXELS), "/cat/more: is a folder inside that of a class: move it up"),
        (put("dog/height.tif", np.float32([[0.5, 1]])), "/dog/height.tif: has more than 8 bits a value (up to 1)"),
        (cut_off("dog/half.jpg"), "/dog/half.jpg: cannot be read ("),
        (LONE, "emu, yak has one image only, expected one to train and one to test on"),
        (BAD, ALL_BAD),
    ],
)
def test_class_folders_are_refused(tmp_path, spoil, message):
    spoil(class_folders(tmp_path / "pets"))
    assert re.sub("^(name: )?(FOLDER)?", "", refusal(tmp_path / "pets")).startswith(message)


def test_other_folders_are_refused(tmp_path):
    assert refusal(tmp_path / "none") == "name: got 'FOLDER', which is no folder, expected a folder of photographs"
    for name in ("train", "test"):
        class_folders(tmp_path / name, cat=3, dog=3)
    class_folders(tmp_path / "test", cat=3, dog=3, emu=3)
    assert refusal(tmp_path) == "name: FOLDER/test holds emu, which FOLDER/train does not"
    save(class_folders(tmp_path / "pets") / "dog" / "large.png", np.full((30, 20, 3), 200, np.uint8))
    assert refusal(tmp_path / "pets", None).startswith("size: got None, expected a number of pixels, since the images")
    assert refusal(tmp_path / "pets", 9000).startswith(
        "size: 16 images of 9000×9000×3 take 3.6 GiB, expected at most 2"
    )
    for number in range(30):
        put(f"pets/cat/{number}.txt")(tmp_path)
    assert re.fullmatch(rf"(FOLDER/cat/\d+.txt: {NO_IMAGE}\n){{20}}and 10 more", refusal(tmp_path / "pets"))


RANGE = "expected classes from 0 to 31, or 0 and 255 for one object; JPEG files change the numbers"


def boxes(*rows: str, **settings) -> Callable[[Path], None]:
    """A table of the ten pictures' boxes, in which these rows replace the first ones."""
    return lambda folder: table(folder, *rows, *(f"{n}.png,1,2,4,6" for n in range(len(rows), 10)), **settings)


MASK, CLASS = drawn(RECTANGLES[7]), "file,left,top,right,bottom,class"
OUTSIDE = ("-1,2,3,4", "1,-2,3,4", "3,2,3,4", "1,4,3,2", "1,2,30.5,4", "1,2,3,20.1", "nan,2,3,4", "1,b,3,4")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (rename(masks="../m", **{"boxes.csv": "../b"}), ": expected pictures in 'images', and 'masks' or 'boxes.csv'"),
        (put("images/wet/0.png", PIXELS), "/images/0.png: lies beside the folders of classes\n"),
        (rename(**{"masks/7.png": "../7"}), "/images/7.png: has no mask FOLDER/masks/7.png (not as JPEG, which"),
        (put("masks/7.png", GREY), "/masks/7.png: got 6×9, expected 20×30, as 7.png is"),
        (put("masks/7.png", grey(MASK)), "/masks/7.png: got a mask of mode RGB, expected grey or palette"),
        (put("masks/7.png", drawn(RECTANGLES[7], 128)), f"masks: got numbers up to 255, {RANGE}"),
        (put("masks/7.png", MASK // 2 + MASK % 9), f"masks: got numbers up to 255, {RANGE}"),
        (
            boxes(header="file,x,y,w,h"),
            "/boxes.csv: got the columns file, x, y, w, h, expected file, left, top, right, bottom (and",
        ),
        (boxes("a.png,1,2,3,4"), "/boxes.csv: 'a.png' is not in images\nFOLDER/boxes.csv: has no box for '0.png'"),
        (boxes("0.png,1,2,3,4", "0.png,1,2,3,4"), "/boxes.csv: '0.png' has 2 boxes, expected one\n"),
        *(
            (boxes(f"0.png,{box}"), f"/boxes.csv: '0.png' has {box.replace(',', ', ')}, expected left")
            for box in OUTSIDE
        ),
        (boxes("0.png,1,2,3,4,tile", header=CLASS), "/boxes.csv: '1.png' has no class\nFOLDER/boxes.csv: '2.png' has"),
        (boxes("0.png,1,2,3,4,grün", header=CLASS, encoding="latin-1"), "/boxes.csv: cannot be read as a table in UTF"),
    ],
)
def test_annotated_pictures_are_refused(tmp_path, spoil, message):
    spoil(annotated(tmp_path / "tiles", boxes=True))
    assert re.sub("^(name: )?(FOLDER)?", "", refusal(tmp_path / "tiles")).startswith(message)


def test_a_folder_is_loaded_without_tensorflow(tmp_path):
    code = f"import sys; from helpers.datasets import load; load({str(class_folders(tmp_path))!r}, dtype='float32')"
    code += "; assert not {'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
