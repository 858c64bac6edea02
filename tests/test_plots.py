"""Figures show the right colours and texts, are drawn once and without warnings, and refuse what they cannot show."""

import io
import re
import warnings
from collections import Counter
from functools import cache
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.text import Text

from helpers import plots, quiet_import

# A warning would be stored in a notebook. Matplotlib itself uses what newer versions of its parser deprecate.
pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LABELS = {"x_label": "x", "y_label": "y"}
RAMP = np.arange(12).reshape(3, 4)
BYTES = (20 * RAMP).astype(np.uint8)
COLOUR = np.stack([BYTES, BYTES[::-1], BYTES[:, ::-1]], axis=-1)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def texts(figure: Figure) -> list[str]:
    """All words inside the Axes: titles and captions of tiles, marks, numbers in cells."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def canvas(figure: Figure) -> np.ndarray:
    """The one picture of a grid."""
    (image,) = [image for ax in figure.axes for image in ax.images]
    return np.asarray(image.get_array(), dtype=float)


def row_of_colours(figure: Figure) -> np.ndarray:
    """The colours met on the way through the middle of a grid with one row, from left to right."""
    picture = canvas(figure)
    middle = picture[len(picture) // 2].round(4)
    changes = np.r_[True, (middle[1:] != middle[:-1]).any(axis=1)]
    met = middle[changes]
    return met[~np.isin(met, [0.7, 1]).all(axis=1)]


def colours_of_tiles(figure: Figure, rows: int, columns: int) -> np.ndarray:
    """The colour in the middle of each tile of a grid."""
    picture = canvas(figure)
    y, x = ((2 * np.arange(n) + 1) * side // (2 * n) for n, side in zip((rows, columns), picture.shape, strict=False))
    return picture[np.ix_(y, x)]


def rows_and_columns(rows: int, columns: int) -> dict:
    return {"row_names": names(rows, "RandAugment"), "column_names": names(columns, "illumination")}


HISTORY = {
    "accuracy": [0.2, 0.5, 0.6, 0.7],
    "loss": [2.0, 1.0, 0.8, 0.5],
    "val_accuracy": [0.3, 0.4, 0.6, 0.5],
    "val_loss": [1.9, 1.25, 0.875, 1.5],
    "learning_rate": [0.1, 0.1, 0.01, 0.01],
}


def longer(epochs: int, **curves) -> dict:
    """A history of as many epochs, with some curves replaced."""
    fall = 1 / np.arange(1, epochs + 1)
    return {"accuracy": 1 - fall / 2, "loss": fall, "val_accuracy": 1 - fall, "val_loss": fall + 0.01} | curves


def counts(classes: int, errors: int = 3) -> np.ndarray:
    """A confusion matrix with 100 images on the diagonal and some errors beside it."""
    return 100 * np.eye(classes, dtype=int) + errors * np.eye(classes, k=1, dtype=int)


def names(classes: int, name: str = "class") -> list[str]:
    return [f"{name} {index}" for index in range(classes)]


@cache
def keras():
    with warnings.catch_warnings(), quiet_import():
        warnings.simplefilter("ignore")  # Keras's own
        import keras
    return keras


def inception():
    """Four branches, the third the longest."""
    make, x = keras().layers, keras().Input((28, 28, 192))
    branches = [
        make.Conv2D(64, 1)(x),
        make.Conv2D(32, 3, padding="same", activation="relu")(make.Conv2D(16, 1)(x)),
        make.Conv2D(8, 1)(make.BatchNormalization()(make.Conv2D(4, 3, padding="same")(x))),
        make.Conv2D(12, 1)(make.MaxPooling2D(3, 1, padding="same")(x)),
    ]
    return keras().Model(x, make.Concatenate()(branches))


def shortcuts():
    """Connections that skip one and more layers, a layer that is used twice, and operations that are no layers."""
    make, x = keras().layers, keras().Input((8, 8, 4))
    shared = make.Conv2D(4, 3, padding="same")
    y = make.ReLU()(shared(x))
    z = make.Add()([x, make.Activation("relu")(shared(y))])
    return keras().Model(x, make.Dense(10, activation="softmax")(make.Flatten()(make.Concatenate()([x, y, z]) * 2)))


def chain(layers: int):
    make = keras().layers
    steps = [(make.Conv2D(12, 3, padding="same"), make.ReLU())[n % 2] for n in range(layers - 1)]
    return keras().Sequential([keras().Input((8, 8, 4)), *steps])


def drawn(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png")
    return figure


def contrast(colour: np.ndarray, ink: str) -> float:
    """The contrast ratio of black or white on a colour, by WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = np.dot(linear, (0.2126, 0.7152, 0.0722))
    return 1.05 / (luminance + 0.05) if ink == "white" else (luminance + 0.05) / 0.05


def row_of_colours_of_images(*images: np.ndarray) -> np.ndarray:
    return row_of_colours(plots.show_images(images))


FIGURES = {
    "images": lambda: plots.show_images([RAMP, BYTES, COLOUR, normal(3, 4), np.ones((9, 2))]),
    "a batch": lambda: plots.show_images(normal(20, 8, 8, 1), titles=[f"number {n}" for n in range(20)]),
    "black images": lambda: plots.show_images([np.zeros((3, 3)), np.zeros((3, 3), np.uint8)]),
    "a mask": lambda: plots.show_images([RAMP > 5]),
    "pixels": lambda: plots.show_pixels([RAMP, normal(2, 2)], titles=["a", "b"], highlight=(0, 1, 2, 2)),
    "many pixels": lambda: plots.show_pixels(normal(16, 32)),
    "a convolution": lambda: plots.show_convolution(RAMP, np.ones((2, 2)), np.ones((2, 3)), at=(1, 2)),
    "a large one": lambda: plots.show_convolution(normal(60, 90), normal(3, 3), normal(58, 88)),
    "filters": lambda: plots.plot_filters(normal(3, 3, 3, 4)),
    "zero filters": lambda: plots.plot_filters(np.zeros((3, 3))),
    "maps": lambda: plots.plot_feature_maps(normal(9, 7, 5), titles=list("abcde")),
    "maps, each": lambda: plots.plot_feature_maps(normal(9, 7, 5) * np.arange(5), each=True),
    "lines": lambda: plots.plot_lines([1, 2, 4], {"a": [1, 2, np.nan], "b": [3, 2, 1]}, **LABELS, log="xy"),
    "bars": lambda: plots.plot_bars({"one": 1, "many": 123_456}, x_label="parameters", log=True),
    "bars with errors": lambda: plots.plot_bars({"a": 1, "b": 2}, x_label="x", errors={"a": 0, "b": 0.5}),
    "boxes": lambda: plots.show_images(normal(20, 8, 8), boxes=[None, (1, 2, 3, 4)] * 10),
}
# Those whose labels stand outside of the Axes, where they could be cut off
LABELLED = {
    "rows": lambda: plots.show_images(normal(48, 8, 8), columns=16, row_titles=names(3, "RandomTranslation")),
    "two rows": lambda: plots.show_images(normal(6, 8, 8), columns=4, row_titles=["one", "the second"]),
    "heat map": lambda: plots.plot_heat_map(normal(3, 11), **LABELS, **rows_and_columns(3, 11)),
    "a cell": lambda: plots.plot_heat_map([[0.5]], **LABELS, **rows_and_columns(1, 1)),
    "timeline": lambda: plots.plot_timeline({"the pipeline": [(0, 1), (2, 3)], "network": [(1, 2)]}),
    "history": lambda: plots.plot_history(HISTORY),
    "one epoch": lambda: plots.plot_history(longer(1)),
    "200 epochs": lambda: plots.plot_history(longer(200)),
    "a loss only": lambda: plots.plot_history({"loss": [3, 2, 1]}),
    "diverged": lambda: plots.plot_history({"loss": [np.nan] * 3, "val_loss": [np.nan] * 3, "accuracy": [0.1] * 3}),
    "2 classes": lambda: plots.plot_confusion([[5, 0], [2, 12_345]], ["face", "no face"]),
    "10 classes": lambda: plots.plot_confusion(counts(10), list(range(10))),
    "20 classes": lambda: plots.plot_confusion(counts(20), names(20, "american_pit_bull_terrier")),
    "37 classes": lambda: plots.plot_confusion(counts(37), names(37)),
    "calibration": lambda: plots.plot_calibration(np.linspace(0, 1, 90), np.arange(90) % 7 < 4),
    "surely right": lambda: plots.plot_calibration(np.ones(12_345), np.ones(12_345, dtype=bool)),
}
FIGURES |= LABELLED
ALEXNET = [
    ("image", (227, 227, 3)), ("11×11 conv, /4", (55, 55, 96)), ("max pool", (27, 27, 96)), ("5×5 conv", (27, 27, 256)),
    ("max pool", (13, 13, 256)), ("3×3 conv", (13, 13, 384)), ("max pool", (6, 6, 256)), ("dense", (4096,)),
    ("softmax", (1000,)),
]  # fmt: skip
CROWDED = {
    "not a network": {"NEC": (2010, 28.2), "XRCE": (2011, 25.8), "ISI": (2012, 26.2)},
    "single": {f"network {n}": (2012 + n // 2, 18 - 2.5 * n) for n in range(6)},
    "ensemble": {f"ensemble {n}": (2012 + n // 2, 17 - 2.4 * n) for n in range(5)},
}
SIZED = {
    "chain": {
        "AlexNet": (0.72, 19.7, 61),
        "VGG-16": (15.5, 9.9, 138),
        "VGG-19": (19.6, 9, 144),
        "small": (0.3, 9.7, 3),
    },
    "other": {"GoogLeNet": (1.5, 10.1, 7), "ResNet-50": (4.1, 7, 25.6), "ResNet-152": (11.5, 5.9, 60.2)},
}
# Drawings that place their own words: none may meet another or leave the figure
DRAWINGS = {
    "timeline of networks": lambda: plots.plot_bubbles(CROWDED, **LABELS, lines={"people": 5.1}),
    "bubbles": lambda: plots.plot_bubbles(SIZED, **LABELS, log="x", title="area: parameters"),
    "a bubble": lambda: plots.plot_bubbles({"a": {"b": (1, 2)}}, **LABELS),
    "AlexNet": lambda: plots.plot_network(ALEXNET, "AlexNet"),
    "14 boxes": lambda: plots.plot_network([("image", (224, 224, 3)), *[("3×3 conv", (56, 56, 64))] * 13]),
    "one box": lambda: plots.plot_network([("dense", (1,))], "a title that is wider than the box"),
    "inception": lambda: plots.plot_graph(inception()),
    "shortcuts": lambda: plots.plot_graph(shortcuts(), "a title"),
    "a long chain": lambda: plots.plot_graph(chain(13)),
}
FIGURES |= DRAWINGS


def made_and_saved(make) -> tuple[Figure, bytes]:
    png = io.BytesIO()
    with np.errstate(all="raise"):
        figure = make()
    figure.savefig(png, format="png")
    return figure, png.getvalue()


first_time = cache(made_and_saved)  # drawing takes most of this file's time: the tests of one figure share it


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_drawn_without_warnings_and_not_left_open(make):
    figure, png = first_time(make)
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    assert plt.imread(io.BytesIO(png)).std() > 0.01, "the figure is blank"
    assert figure.get_figwidth() <= (13 if make in DRAWINGS.values() else 10)


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_the_same_every_time(make):
    assert made_and_saved(make)[1] == first_time(make)[1]


@pytest.mark.parametrize("make", LABELLED.values(), ids=LABELLED)
def test_nothing_is_cut_off(make):
    figure, _ = first_time(make)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0
    assert height <= 8, "as high as a slide"


@pytest.mark.parametrize(
    "make",
    [
        lambda: plots.plot_filters(normal(3, 3, 256, 2)),
        lambda: plots.plot_filters(normal(3, 3, 2, 256)),
    ],
    ids=["high filters", "wide filters"],
)
def test_a_long_grid_fits_too(make):
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_figwidth() <= 10


def test_the_size_of_a_grid_does_not_hang_on_its_titles():
    """Titles may say what a network answered, and nbval compares the size."""
    sizes = {
        tuple(plots.show_images([RAMP] * 4, titles=[title, "", "", ""]).get_size_inches())
        for title in ("", "star", "a long title of several words")
    }
    assert len(sizes) == 1


@pytest.mark.parametrize("count", [1, 2, 63, 512])
@pytest.mark.parametrize("each", [False, True])
def test_feature_maps_are_one_image(count, each):
    maps = normal(6, 5, count)
    figure = plots.plot_feature_maps(maps, each=each)
    assert canvas(figure).shape[2] == 3
    assert len(figure.axes) == (1 if each else 2), "the grid, and the bar of a shared scale"
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_figwidth() <= 10
    assert figure.get_figheight() <= 8


@pytest.mark.parametrize("count", [1, 2, 63, 512])
def test_images_and_filters_are_one_image(count):
    for figure in (plots.show_images(normal(count, 6, 5, 1)), plots.plot_filters(normal(3, 3, count))):
        assert canvas(figure).shape[2] == 3
        figure.savefig(io.BytesIO(), format="png")


def test_more_than_512_maps_are_refused():
    for plot in (plots.plot_feature_maps, plots.plot_filters):
        with pytest.raises(ValueError, match="got 513 pictures, expected at most 512"):
            plot(normal(2, 2, 513))


def test_every_map_is_in_its_place():
    maps = np.ones((4, 4, 6)) * np.arange(1, 7)
    viridis = plt.get_cmap(plots.SEQUENTIAL)(np.arange(1, 7) / 6)[:, :3]
    found = colours_of_tiles(plots.plot_feature_maps(maps, titles=list("abcdef")), 1, 6)
    assert found == pytest.approx(viridis[None], abs=0.01)


def test_filters_have_a_row_for_each_channel_and_a_column_for_each_filter():
    kernel = np.ones((3, 3, 2, 3)) * np.array([[1, 1, 1], [-1, 1, -1]])
    redness = colours_of_tiles(plots.plot_filters(kernel), 2, 3) @ (1, 0, -1)
    assert np.sign(redness).tolist() == [[1, 1, 1], [-1, 1, -1]]


def test_maps_of_zeros_and_constant_maps_are_marked():
    maps = np.zeros((4, 4, 4))
    maps[..., 1], maps[..., 2], maps[0, 0, 3] = 5, -5, 1
    for each in (False, True):
        with np.errstate(all="raise"):
            shown = texts(plots.plot_feature_maps(maps, each=each))
        assert (shown.count("all 0"), shown.count("constant")) == (1, 2)
        assert texts(plots.plot_feature_maps(normal(4, 4, 3), each=each)) == ["0", "1", "2"]


def test_maps_are_named_or_numbered():
    assert texts(plots.plot_feature_maps(normal(3, 3, 2), titles=["edges", "blobs"])) == ["edges", "blobs"]
    assert texts(plots.plot_feature_maps(normal(3, 3, 32))) == [str(index) for index in range(32)]
    assert texts(plots.plot_feature_maps(normal(3, 3, 33))) == ["0", "9", "18", "27"]


def test_a_batch_of_one_is_its_maps():
    maps = normal(1, 5, 4, 3)
    assert np.array_equal(canvas(plots.plot_feature_maps(maps)), canvas(plots.plot_feature_maps(maps[0])))


def test_a_shared_scale_shows_which_map_is_faint():
    ramp = np.linspace(0, 1, 5)[None, :, None]
    maps = np.concatenate([ramp, 10 * ramp], axis=2)
    shared = row_of_colours(plots.plot_feature_maps(maps))
    each = row_of_colours(plots.plot_feature_maps(maps, each=True))
    bright = plt.get_cmap(plots.SEQUENTIAL)(1.0)[:3]

    def shows_the_brightest(colours):
        return np.isclose(colours, bright, atol=1e-3).all(axis=1).any()

    assert not shows_the_brightest(shared[:5])
    assert shows_the_brightest(shared[5:])
    assert shows_the_brightest(each[:5])
    assert np.array_equal(each[:5], each[5:])


@pytest.mark.parametrize(
    "draw",
    [plots.plot_filters, lambda x: plots.plot_feature_maps(x[..., None]), lambda x: plots.show_images([x])],
    ids=["filters", "maps", "images"],
)
def test_signed_values_are_white_at_zero_and_symmetric(draw):
    figure = draw(np.array([[-2, -1, 0, 1, 2]]))
    blue, light_blue, white, light_red, red = row_of_colours(figure)
    assert white.min() > 0.95
    assert np.ptp(white) < 0.01
    for negative, positive in ((blue, red), (light_blue, light_red)):
        assert negative[2] > negative[0]
        assert positive[0] > positive[2]
    assert light_red.min() > red.min()
    assert light_blue.min() > blue.min()


def test_positive_filters_stay_on_the_side_of_red():
    assert np.all(row_of_colours(plots.plot_filters([[1, 2, 3]])) @ (1, 0, -1) > 0)


def test_filters_share_one_scale():
    faint, strong = np.full((1, 1, 1), 0.1), np.full((1, 1, 1), -1)
    first, second = row_of_colours(plots.plot_filters(np.concatenate([faint, strong], axis=2)))
    assert first.min() > 0.8 > 0.1 > second[0]


def test_bytes_are_shown_as_they_are():
    black, grey, white = row_of_colours_of_images(np.array([[0, 128, 254]], np.uint8))
    assert black.max() == 0
    assert grey == pytest.approx(128 / 255, abs=0.01)
    assert white == pytest.approx(254 / 255, abs=0.01)
    (dim,) = row_of_colours_of_images(np.array([[51]], np.uint8))
    assert dim == pytest.approx(0.2, abs=0.01), "not stretched to white"


def test_other_grey_images_share_one_scale_from_zero():
    faint, brighter, *_ = row_of_colours_of_images(np.full((2, 2), 1.0), np.array([[3.0, 4.0]]))
    assert faint == pytest.approx(0.25, abs=0.01)
    assert brighter == pytest.approx(0.75, abs=0.01)


def test_colour_is_kept_for_bytes_and_floats():
    orange = np.array([[[255, 128, 0]]], np.uint8)
    (from_bytes,) = row_of_colours_of_images(orange)
    (from_floats,) = row_of_colours_of_images(orange / 255)
    assert from_bytes == pytest.approx(np.array([255, 128, 0]) / 255, abs=1e-3)
    assert np.array_equal(from_bytes, from_floats)


def test_a_channel_axis_of_one_changes_nothing():
    assert np.array_equal(canvas(plots.show_images([BYTES])), canvas(plots.show_images([BYTES[..., None]])))


def test_captions_state_the_range_of_values():
    shown = texts(plots.show_images([RAMP, BYTES, RAMP / 8 - 1, RAMP * 1e4], titles=list("abcd")))
    assert shown[1::2] == ["0 … 11", "0 … 220", "−1 … 0.375", "0 … 110,000"]
    assert shown[::2] == list("abcd")


def test_the_range_of_many_images_is_stated_once():
    figure = plots.show_images([RAMP - number for number in range(17)])
    assert figure.get_supxlabel() == "values −16 … 11"
    assert texts(figure) == []


def test_a_shared_scale_has_a_bar():
    figure = plots.plot_feature_maps(4 * RAMP[..., None])
    assert figure.axes[1].get_ylim() == (0, 44)
    assert plots.plot_filters(RAMP - 8).axes[1].get_ylim() == (-8, 8)
    assert "own" in plots.plot_feature_maps(RAMP[..., None], each=True).get_supxlabel()


# Boxes


def highlighted(figure: Figure) -> np.ndarray:
    return np.isclose(canvas(figure), to_rgb(plots.HIGHLIGHT), atol=1e-3).all(axis=-1)


def extent(mask: np.ndarray) -> np.ndarray:
    """(top, left, bottom, right) of what is True."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def framed(image: np.ndarray, box) -> tuple:
    """The frame that is drawn, as (top, left, height, width) in the image's pixels."""
    whole = extent(highlighted(plots.show_images([image], boxes=[(0, 0, *image.shape)])))
    pixel = (whole[2] - whole[0]) / len(image)
    top, left, bottom, right = (
        extent(highlighted(plots.show_images([image], boxes=[box]))) - np.tile(whole[:2], 2)
    ) / pixel
    return top, left, bottom - top, right - left


@pytest.mark.parametrize(
    "box, expected",
    [
        ((2, 3, 4, 1), (2, 3, 4, 1)),
        (np.array([0, 0, 9, 12]), (0, 0, 9, 12)),
        ((1.5, 2, 3, 2.5), (1.5, 2, 3, 2.5)),
        ((-2, -3, 5, 5), (0, 0, 3, 2)),
        ((7, 10, 5, 5), (7, 10, 2, 2)),
    ],
)
def test_a_box_is_framed_where_it_is_and_cut_off_at_the_image(box, expected):
    assert framed(np.zeros((9, 12)), box) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("size", [8, 60, 500])
def test_a_frame_is_thin_but_seen(size):
    figure = plots.show_images([np.zeros((size, size))], boxes=[(size / 4, size / 4, size / 2, size / 2)])
    mask = highlighted(figure)
    top, left, bottom, right = extent(mask)
    inches = figure.get_figwidth() / mask.shape[1]
    thickness = mask[(top + bottom) // 2, left : (left + right) // 2].sum() * inches
    assert 0.02 < thickness < 0.05
    assert not mask[top : (top + bottom) // 2, (left + right) // 2].all(), "what is inside stays visible"


def test_a_tiny_box_is_filled():
    assert highlighted(plots.show_images([np.zeros((100, 100))], boxes=[(50, 50, 1, 1)])).any()


def test_each_image_has_its_own_box_or_none():
    picture = highlighted(plots.show_images(np.zeros((3, 4, 4)), boxes=[(0, 0, 2, 2), None, (0, 0, 4, 4)]))
    first, second, third = (part.sum() for part in np.array_split(picture, 3, axis=1))
    assert third > first > second == 0
    assert not highlighted(plots.show_images(np.zeros((1, 4, 4)), boxes=[(9, 9, 2, 2)])).any(), "all of it outside"
    assert highlighted(plots.show_images(np.zeros((20, 4, 4)), boxes=[None] * 19 + [(1, 1, 2, 2)])).any()


def test_an_image_may_have_several_boxes_and_those_that_should_have_been():
    """As many pixels are framed as by one box each, in a colour for each kind; what was predicted is on top."""
    image, apart, ends = np.zeros((1, 20, 20)), [(0, 0, 5, 5), (10, 10, 5, 5)], [[(0, 0, 0, 0)]]
    both = highlighted(plots.show_images(image, boxes=[apart]))
    one, other = (highlighted(plots.show_images(image, boxes=[box])) for box in apart)
    assert np.array_equal(both, one | other) and one.sum() == other.sum() > 0
    truth = canvas(plots.show_images(image, boxes=[apart[0]], true_boxes=[apart]))
    is_true = np.isclose(truth, to_rgb(plots.TRUTH), atol=1e-3).all(axis=-1)
    assert np.array_equal(is_true, other)
    assert np.array_equal(np.isclose(truth, to_rgb(plots.HIGHLIGHT), atol=1e-3).all(axis=-1), one)
    assert not highlighted(plots.show_images(image, boxes=[[]])).any()
    with pytest.raises(ValueError, match=re.escape("boxes[0][0]: got (0, 0, 0, 0), expected a positive height")):
        plots.show_images(image, boxes=ends)
    with pytest.raises(ValueError, match=re.escape("true_boxes: got 2, expected 1")):
        plots.show_images(image, true_boxes=[None, None])


def test_paint_tints_each_class_and_leaves_the_first_grey():
    images = np.stack([COLOUR, COLOUR])
    masks = np.arange(24).reshape(2, 3, 4) % 15
    painted = plots.paint(images, masks)
    grey = images / 255 @ (0.299, 0.587, 0.114)
    assert painted.min() >= 0 and painted.max() <= 1
    np.testing.assert_allclose(painted[masks == 0], np.repeat(grey[masks == 0][:, None], 3, axis=1))
    flat = plots.paint(np.full((1, 3, 5, 1), 128, np.uint8), np.arange(15).reshape(1, 3, 5)).reshape(15, 3)
    assert min(np.abs(one - other).max() for one, other in combinations(flat, 2)) > 0.05, "all classes differ"


@pytest.mark.parametrize(
    "message, images, masks",
    [
        ("masks: got 1 of 3×4, expected 2 of 3×4", [COLOUR, COLOUR], [RAMP]),
        ("masks: got 1 of 4×3, expected 1 of 3×4", [COLOUR], [RAMP.T]),
        ("masks: got float64 from 0, expected whole numbers", [COLOUR], [RAMP / 2]),
        ("masks: got int64 from −1, expected whole numbers", [COLOUR], [RAMP - 1]),
        ("images: got 2 channels", [COLOUR[..., :2]], [RAMP]),
        ("masks: got class 23, expected at most 14", [COLOUR], [RAMP + 12 * (RAMP > 3)]),
    ],
)
def test_what_cannot_be_painted_is_named(message, images, masks):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        plots.paint(np.array(images), np.array(masks))


def test_boxes_leave_the_rest_as_it_is():
    images = normal(2, 6, 6)
    plain, boxed = (canvas(plots.show_images(images, boxes=boxes)) for boxes in (None, [None, (1, 1, 3, 3)]))
    changed = (plain != boxed).any(axis=-1)
    assert 0 < changed.mean() < 0.1
    assert np.isclose(boxed[changed], to_rgb(plots.HIGHLIGHT), atol=1e-3).all()


# Numbers written in


def test_pixels_are_numbers_in_their_cells():
    figure = plots.show_pixels(np.array([[0, -1, 2.5], [1 / 3, 1000, 12_345]]))
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["0", "−1", "2.5", "0.333", "1,000", "12,345"]
    assert [text.get_position() for text in ax.texts[:4]] == [(0, 0), (1, 0), (2, 0), (0, 1)]


def test_zero_has_no_sign():
    assert texts(plots.show_pixels(np.array([[-0.0]]))) == ["0"]


def test_pixels_side_by_side_have_their_titles():
    figure = plots.show_pixels([RAMP, RAMP.T], titles=["a matrix", "transposed"])
    assert [ax.get_title() for ax in figure.axes] == ["a matrix", "transposed"]
    assert [len(ax.texts) for ax in figure.axes] == [12, 12]
    assert [len(ax.images) for ax in figure.axes] == [1, 1]


def test_numbers_stand_out_from_their_cells():
    (ax,) = plots.show_pixels(np.array([[0, 255]], np.uint8)).axes
    assert [to_rgb(text.get_color()) for text in ax.texts] == [(1, 1, 1), (0, 0, 0)]


def frames(ax) -> list[tuple]:
    """(row, column, height, width) of each frame."""
    return [(p.get_y() + 0.5, p.get_x() + 0.5, p.get_height(), p.get_width()) for p in ax.patches]


def test_a_highlight_frames_the_first_image():
    figure = plots.show_pixels([RAMP, RAMP], highlight=(1, 2, 2, 1))
    assert [frames(ax) for ax in figure.axes] == [[(1, 2, 2, 1)], []]


def test_a_convolution_frames_a_value_and_its_window():
    x, kernel, y = normal(7, 9), normal(3, 2), normal(5, 8)
    figure = plots.show_convolution(x, kernel, y, at=(2, 3))
    assert [ax.get_title() for ax in figure.axes] == ["input 7×9", "kernel 3×2", "output 5×8"]
    assert [frames(ax) for ax in figure.axes] == [[(2, 3, 3, 2)], [], [(2, 3, 1, 1)]]
    assert [len(ax.texts) for ax in figure.axes] == [63, 6, 40]


def test_a_large_convolution_states_ranges_in_place_of_numbers():
    figure = plots.show_convolution(np.full((20, 20), 7), np.ones((3, 3)), np.full((18, 18), 63))
    assert texts(figure) == []
    assert [ax.get_title() for ax in figure.axes] == [
        "input 20×20\n7 … 7",
        "kernel 3×3\n1 … 1",
        "output 18×18\n63 … 63",
    ]


# Curves and bars


def test_lines_are_the_values_with_their_labels():
    figure = plots.plot_lines([1, 2, 4], {"a": [3, 2, 1], "b": [1, np.nan, 5]}, **LABELS, title="two")
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    for line, values in zip(ax.lines, ([3, 2, 1], [1, np.nan, 5]), strict=True):
        assert np.array_equal(line.get_xdata(), [1, 2, 4])
        assert np.array_equal(line.get_ydata(), values, equal_nan=True)
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x", "y", "two")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


@pytest.mark.parametrize("x, whole", [([1, 2, 3], True), (range(5), True), ([0.5, 1, 1.5], False)])
def test_whole_positions_have_ticks_at_whole_numbers(x, whole):
    figure = plots.plot_lines(x, {"a": [0] * len(x)}, **LABELS)
    figure.draw_without_rendering()
    ticks = [tick for tick in figure.axes[0].get_xticks() if min(x) <= tick <= max(x)]
    assert len(ticks) > 1
    assert all(tick == round(tick) for tick in ticks) is whole


def test_one_line_needs_no_legend():
    (ax,) = plots.plot_lines([1, 2], {"a": [1, 2]}, **LABELS).axes
    assert ax.get_legend() is None


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_axes_are_logarithmic_on_request(log):
    (ax,) = plots.plot_lines([50, 800], {"a": [1, 2]}, **LABELS, log=log).axes
    assert ("x" in log, "y" in log) == (ax.get_xscale() == "log", ax.get_yscale() == "log")
    if "x" in log:
        assert [label.get_text() for label in ax.get_xticklabels()] == ["50", "800"]


def test_every_line_looks_different():
    (ax,) = plots.plot_lines([1, 2], {str(n): [n, n] for n in range(7)}, **LABELS).axes
    assert len({line.get_color() for line in ax.lines}) == 7
    assert len({line.get_marker() for line in ax.lines}) == 7


def test_bars_carry_their_numbers_first_on_top():
    (ax,) = plots.plot_bars({"dense": 1_049_600, "shared": 28, "half": 0.5}, x_label="parameters").axes
    assert [bar.get_width() for bar in ax.patches] == [1_049_600, 28, 0.5]
    assert [text.get_text() for text in ax.texts] == ["1,049,600", "28", "0.5"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dense", "shared", "half"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "parameters"
    assert ax.get_xscale() == "linear"


def test_on_a_logarithmic_axis_points_take_the_place_of_bars():
    (ax,) = plots.plot_bars({"dense": 1_049_600, "half": 0.5}, x_label="parameters", log=True).axes
    assert ax.get_xscale() == "log" and not ax.patches and ax.yaxis_inverted()
    assert list(ax.lines[0].get_xdata()) == [1_049_600, 0.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dense", "half"]
    assert [text.get_text() for text in ax.texts] == ["1,049,600", "0.5"]


@pytest.mark.parametrize("count", [3, 20])
def test_the_range_of_values_is_written_but_not_of_decimal_colours(count):
    images = np.random.default_rng(0).random((count, 4, 4, 3))
    bytes_ = (255 * images).astype(np.uint8)
    written = [[*(text.get_text() for text in figure.axes[0].texts), figure.get_supxlabel()]
               for figure in map(plots.show_images, (images, bytes_))]  # fmt: skip
    assert not any("…" in text for text in written[0]) and any("…" in text for text in written[1])


def test_the_ticks_of_a_colour_bar_are_its_ends_and_round_numbers():
    figure = plots.plot_feature_maps(np.array([[[0.0], [3.99]]]))
    ticks = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert ticks == ["0", "1", "2", "3", "3.99"]


def test_error_bars_reach_as_far_either_way():
    (ax,) = plots.plot_bars({"a": 0.5, "b": 0.8}, x_label="x", errors={"a": 0.1, "b": 0}).axes
    assert [text.get_text() for text in ax.texts] == ["0.5", "0.8"]
    (lines,) = ax.collections
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    np.testing.assert_allclose(ends, [[0.4, 0.6], [0.8, 0.8]])


def test_a_heat_map_has_each_number_in_its_cell_on_one_scale():
    values = np.array([[0, 0.25, 0.5], [0.75, 1, 0.125]])
    figure = plots.plot_heat_map(
        values, row_names=["top", "low"], column_names="abc", x_label="tested", y_label="trained"
    )
    ax = figure.axes[0]
    places = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert places[1, 0] == "0.25" and places[2, 1] == "0.12"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["top", "low"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("tested", "trained")
    colours = np.asarray(ax.images[0].get_array())
    expected = plt.get_cmap(plots.SEQUENTIAL)(values)[..., :3]
    np.testing.assert_allclose(colours, expected, atol=0.01)
    for text in ax.texts:
        column, row = text.get_position()
        assert contrast(colours[row, column], text.get_color()) >= 4.5


def test_a_timeline_counts_milliseconds_from_the_first_start():
    (ax,) = plots.plot_timeline({"a": [(5.0, 5.1), (5.3, 5.35)], "b": [(5.1, 5.3)]}).axes
    spans = [[path.get_extents().intervalx for path in lane.get_paths()] for lane in ax.collections]
    np.testing.assert_allclose(spans[0], [[0, 100], [300, 350]])
    np.testing.assert_allclose(spans[1], [[100, 300]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.yaxis_inverted() and ax.get_xlabel() == "milliseconds"


def test_rows_have_their_names_beside_them():
    figure = plots.show_images(normal(6, 8, 8), columns=3, row_titles=["first", "second"])
    words = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert words["first"][1] < words["second"][1] and words["first"][0] == words["second"][0]
    picture = canvas(figure)
    left = np.flatnonzero((picture != 1).any(axis=(0, 2)))[0]
    assert words["first"][0] < left  # right-aligned, so all of it stands to the left of the images
    rows = len(picture) // 2
    assert 0 < words["first"][1] < rows < words["second"][1]


# A training


def curve(ax, label: str):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line


def test_a_history_is_drawn_over_epochs_counted_from_1():
    figure = plots.plot_history(HISTORY)
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy"]
    for ax, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        assert ax.get_xlabel() == "epoch"
        for label, key in (("training", name), ("validation", f"val_{name}")):
            assert curve(ax, label).get_xdata().tolist() == [1, 2, 3, 4]
            assert curve(ax, label).get_ydata().tolist() == HISTORY[key]
        assert curve(ax, "training").get_color() != curve(ax, "validation").get_color()


def test_the_epoch_of_the_lowest_validation_loss_is_marked():
    figure = plots.plot_history(HISTORY)
    assert figure.get_suptitle() == "best epoch 3, validation loss 0.875"
    for ax in figure.axes:
        mark = curve(ax, "best epoch")
        assert (list(mark.get_xdata()), mark.get_linestyle()) == ([3, 3], "--")


def test_without_validation_no_epoch_is_best():
    figure = plots.plot_history({"loss": [2, 1], "accuracy": [0.5, 0.6]})
    assert figure.get_suptitle() == ""
    assert [line.get_label() for ax in figure.axes for line in ax.lines] == ["training", "training"]


def test_a_loss_alone_is_one_panel():
    (ax,) = plots.plot_history({"loss": [2, 1], "val_loss": [2, 3], "lr": [0.1, 0.1]}).axes
    assert ax.get_ylabel() == "loss"


@pytest.mark.parametrize(
    "key, label",
    [("acc", "accuracy"), ("sparse_categorical_accuracy", "accuracy"), ("mean_absolute_error", "mean absolute error")],
)
def test_the_first_metric_has_a_panel(key, label):
    record = {"lr": [1, 1], "head_loss": [3, 3], "loss": [3, 2], "val_loss": [3, 2], key: [0.1, 0.2], "auc": [0, 0]}
    figure = plots.plot_history(record)
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", label]
    assert curve(figure.axes[1], "training").get_ydata().tolist() == [0.1, 0.2]


def test_what_is_not_finite_leaves_a_gap():
    values = longer(100)
    values["loss"][50], values["val_loss"][-1], values["val_loss"][7] = np.nan, -np.inf, 0.001
    figure = plots.plot_history(values)
    gaps = [np.flatnonzero(np.isnan(curve(figure.axes[0], name).get_ydata())) for name in ("training", "validation")]
    assert [gap.tolist() for gap in gaps] == [[50], [99]]
    assert figure.get_suptitle() == "best epoch 8, validation loss 0.001"
    assert curve(figure.axes[0], "training").get_marker() == "o", "a point between two gaps is no line"
    assert np.isfinite(values["val_loss"]).sum() == 99, "the history itself keeps what it had"


def test_a_single_epoch_is_seen():
    for ax in plots.plot_history(longer(1)).axes:
        assert [curve(ax, label).get_marker() for label in ("training", "validation")] == ["o", "s"]
    assert curve(plots.plot_history(longer(200)).axes[0], "training").get_marker() == "None"


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30, 200])
def test_epochs_are_whole(epochs):
    for ax in drawn(plots.plot_history(longer(epochs))).axes:
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)


def test_the_legend_hides_no_curve():
    figure = drawn(plots.plot_history(HISTORY))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "best epoch"]
    assert not any(legend.get_window_extent().overlaps(ax.get_tightbbox()) for ax in figure.axes)


@pytest.mark.filterwarnings("ignore")  # of Keras's own
def test_what_fit_returns_is_its_record():
    with quiet_import():
        import keras
    history = keras.callbacks.History()
    history.history = HISTORY
    assert plots.plot_history(history).get_suptitle() == plots.plot_history(HISTORY).get_suptitle()


# Confusion


def test_counts_are_in_their_cells_and_zeros_are_left_out():
    ax, _ = plots.plot_confusion([[12345, 2, 0], [0, 7, 1], [3, 0, 0]], ["a", "b", "c"]).axes
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    assert shown == {(0, 0): "12345", (1, 0): "2", (1, 1): "7", (2, 1): "1", (0, 2): "3"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["a", "b", "c"]


def test_errors_are_coloured_by_their_share_of_the_row():
    figure = plots.plot_confusion([[80, 20, 0], [4, 4, 0], [0, 0, 0]], ["a", "b", "c"])
    colours, oranges = canvas_of(figure.axes[0]), plt.get_cmap(plots.ERRORS)
    assert np.ptp(colours[np.eye(3, dtype=bool)]) == 0, "the diagonal is grey"
    assert colours[1, 0] == pytest.approx(oranges(1.0)[:3], abs=0.01)
    assert colours[0, 1] == pytest.approx(oranges(0.4)[:3], abs=0.01)
    for place in ((0, 2), (1, 2), (2, 0), (2, 1)):
        assert colours[place] == pytest.approx(oranges(0.0)[:3], abs=0.01)
    bar = figure.axes[1]
    assert bar.get_ylim() == (0, 50)
    assert bar.get_ylabel() == "errors, % of the true class"
    inks = {text.get_position(): to_rgb(text.get_color()) for text in figure.axes[0].texts}
    assert (inks[0, 0], inks[0, 1]) == ((0, 0, 0), (1, 1, 1)), "numbers stand out"


def canvas_of(ax) -> np.ndarray:
    (image,) = ax.images
    return np.asarray(image.get_array())


@pytest.mark.parametrize("classes, letters", [(2, 6), (10, 1), (10, 12), (20, 3), (20, 25)])
def test_class_names_and_numbers_do_not_overlap(classes, letters):
    ax, _ = drawn(plots.plot_confusion(counts(classes, errors=88), ["m" * letters] * classes)).axes
    for words in (ax.get_xticklabels(), ax.get_yticklabels(), ax.texts):
        boxes = [word.get_window_extent() for word in words]
        assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    assert min(word.get_fontsize() for word in ax.texts) >= 5


def test_many_classes_are_colours_only():
    assert len(texts(plots.plot_confusion(counts(20), names(20)))) == 39
    assert texts(plots.plot_confusion(counts(21), names(21))) == []


# Calibration


def test_a_point_is_the_mean_of_its_step():
    confidence = np.array([0.0, 0.05, 0.1, 0.45, 0.48, 0.93, 0.97, 1.0])
    correct = np.array([0, 0, 1, 1, 0, 1, 1, 0], dtype=bool)
    (ax,) = plots.plot_calibration(confidence, correct).axes
    (points,) = ax.collections
    expected = [(0.025, 0), (0.1, 1), (0.465, 0.5), (2.9 / 3, 2 / 3)]
    assert np.asarray(points.get_offsets()) == pytest.approx(np.array(expected))
    assert [text.get_text() for text in ax.texts] == ["2", "1", "2", "3"]
    assert np.array([text.xy for text in ax.texts]) == pytest.approx(np.array(expected))
    sizes = points.get_sizes()
    assert sizes / sizes.max() == pytest.approx(np.array([2, 1, 2, 3]) / 3)


def test_a_calibration_has_a_dashed_diagonal_and_square_axes():
    (ax,) = plots.plot_calibration([0.5, 0.9], [True, False]).axes
    (line,) = ax.lines
    assert (list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle()) == ([0, 1], [0, 1], "--")
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) == ((0, 1), (0, 1), 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mean confidence", "share correct")


def test_large_counts_are_grouped_and_small_points_are_seen():
    confidence = np.r_[np.full(12_000, 0.95), 0.3]
    (ax,) = plots.plot_calibration(confidence, confidence > 0.5).axes
    assert [text.get_text() for text in ax.texts] == ["1", "12,000"]
    assert ax.collections[0].get_sizes().min() > 5


def test_counts_stand_clear_of_points_and_the_axis():
    confidence = (np.arange(1000) + 0.5) / 1000
    for correct in (confidence > 2, confidence < 2, np.arange(1000) % 10 < 10 * confidence**2):
        figure = drawn(plots.plot_calibration(confidence, correct))
        (ax,) = figure.axes
        boxes = [text.get_window_extent() for text in ax.texts]
        ticks = [label.get_window_extent() for label in ax.get_xticklabels()]
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:index] + ticks)


# Drawings that place their own words


@pytest.mark.parametrize("make", DRAWINGS.values(), ids=DRAWINGS)
def test_words_are_large_enough_and_meet_neither_each_other_nor_the_edge(make):
    figure = drawn(make())
    (ax,) = figure.axes
    words = [text for text in ax.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in words]
    assert min(text.get_fontsize() for text in words) >= 9
    for index, (word, box) in enumerate(zip(words, boxes, strict=True)):
        assert not any(box.overlaps(other) for other in boxes[:index]), word
        assert min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1) >= 0, word
    assert figure.get_figheight() <= 5
    assert np.allclose(20 * figure.get_size_inches(), np.rint(20 * figure.get_size_inches()))


@pytest.mark.parametrize("groups, log", [(CROWDED, ""), (SIZED, "x")], ids=["crowded", "sized"])
def test_every_bubble_has_its_label_clear_of_the_others(groups, log):
    (ax,) = drawn(plots.plot_bubbles(groups, **LABELS, log=log)).axes
    named = {text.get_text(): text for text in ax.texts if text.get_text()}
    assert sorted(named) == sorted(label for points in groups.values() for label in points)
    assert {label: tuple(text.xy) for label, text in named.items()} == {
        label: point[:2] for points in groups.values() for label, point in points.items()
    }
    spots = [collection.get_datalim(ax.transData).transformed(ax.transData) for collection in ax.collections]
    for box in [text.get_window_extent() for text in named.values()] + spots:
        assert ax.bbox.x0 <= box.x0 <= box.x1 <= ax.bbox.x1
        assert ax.bbox.y0 <= box.y0 <= box.y1 <= ax.bbox.y1
    centres = [spot for collection in ax.collections for spot in ax.transData.transform(collection.get_offsets())]
    assert not any(text.get_window_extent().contains(*spot) for text in named.values() for spot in centres)


def test_groups_differ_in_colour_and_shape_and_have_a_legend():
    figure = plots.plot_bubbles(CROWDED, **LABELS)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(CROWDED)
    keys = [(line.get_marker(), to_rgb(line.get_color())) for line in legend.get_lines()]
    assert [len(set(part)) for part in zip(*keys, strict=True)] == [3, 3]
    assert [to_rgb(points.get_facecolor()[0, :3]) for points in figure.axes[0].collections] == [key[1] for key in keys]
    assert not plots.plot_bubbles({"a": CROWDED["single"]}, **LABELS).legends


def test_areas_are_as_sizes():
    (ax,) = plots.plot_bubbles(SIZED, **LABELS).axes
    areas = {}
    for points in ax.collections:
        x, y = points.get_paths()[0].to_polygons()[0].T  # of a marker of size 1
        share = abs(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2
        for place, size in zip(points.get_offsets(), points.get_sizes(), strict=True):
            areas[tuple(place)] = size * share
    sizes = {point[:2]: point[2] for points in SIZED.values() for point in points.values()}
    assert areas == pytest.approx({place: size * areas[19.6, 9] / 144 for place, size in sizes.items()}, rel=0.02)
    assert areas[19.6, 9] == pytest.approx(np.pi * 45**2, rel=0.02)


def test_lines_are_at_their_values_and_years_are_whole():
    (ax,) = drawn(plots.plot_bubbles(CROWDED, **LABELS, lines={"people": 5.1, "far": 40})).axes
    assert [set(line.get_ydata()) for line in ax.lines] == [{5.1}, {40}]
    assert {line.get_linestyle() for line in ax.lines} == {"--"}
    assert ax.get_ylim()[1] > 40
    ticks = [text.get_text() for text in ax.get_xticklabels() if ax.viewLim.x0 < text.get_position()[0] < ax.viewLim.x1]
    assert ticks == [str(year) for year in range(2010, 2015)]


def test_a_box_is_as_large_as_its_map():
    shapes = {}
    for layers in (ALEXNET, ALEXNET[3:6]):
        figure = plots.plot_network(layers)
        boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
        assert len(boxes) == len(layers)
        assert np.all(np.diff([box.get_x() for box in boxes]) > 0), "from left to right"
        for (_, shape), box in zip(layers, boxes, strict=True):
            size = (box.get_width(), box.get_height())
            assert shapes.setdefault(shape, size) == pytest.approx(size), "one scale for all"
        found = texts(figure)
        assert [text.replace("\n", "") for text in found[1::2]] == ["×".join(map(str, shape)) for _, shape in layers]
        assert [text.replace("\n", " ") for text in found[::2]] == [label for label, _ in layers]
    for axis, key in ((1, 0), (0, 2)):  # heights by side, widths by channels
        maps = sorted((shape[key], size[axis]) for shape, size in shapes.items() if len(shape) == 3)
        assert all((a[0] < b[0]) == (a[1] < b[1] - 1e-9) for a, b in pairwise(maps))
    assert shapes[4096,][1] > shapes[1000,][1]


def graph_of(figure: Figure) -> tuple[dict, list, list]:
    """Boxes with their words, connections as pairs of boxes' numbers, and the paths of their lines."""
    patches = figure.axes[0].patches
    boxes = [patch.get_bbox() for patch in patches if isinstance(patch, Rectangle)]
    words = ["" for _ in boxes]
    for text in figure.axes[0].texts:
        for index, box in enumerate(boxes):
            words[index] += text.get_text().replace("\n", " ") if box.contains(*text.get_position()) else ""
    paths = [patch.get_path().interpolated(1).to_polygons(closed_only=False)[0] for patch in patches
             if isinstance(patch, PathPatch)]  # fmt: skip
    at = [[index for spot in (path[0], path[-1]) for index, box in enumerate(boxes)
           if box.expanded(1.01, 1.01).contains(*spot)] for path in paths]  # fmt: skip
    return dict(zip(range(len(boxes)), words, strict=True)), at, [boxes, paths]


@pytest.mark.parametrize("make", [inception, shortcuts, lambda: chain(13)], ids=["inception", "shortcuts", "chain"])
def test_every_layer_and_connection_is_drawn_once_and_nothing_runs_through_a_box(make):
    model = make()
    words, edges, (boxes, paths) = graph_of(plots.plot_graph(model))
    nodes = plots._nodes(model)
    assert {node.operation for node in nodes} == set(getattr(model, "operations", None) or model._functional.operations)
    assert len(words) == len(nodes)
    expected = [[nodes.index(parent), index] for index, node in enumerate(nodes) for parent in node.parent_nodes]
    assert sorted(edges) == sorted(expected)
    for (start, end), path in zip(edges, paths, strict=True):
        assert boxes[start].x1 < boxes[end].x0, "from left to right"
        dense = np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(path)])
        for box in boxes:
            assert not ((dense > box.min + 0.01) & (dense < box.max - 0.01)).all(axis=1).any()
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_boxes_say_what_their_layers_do():
    words = Counter(graph_of(plots.plot_graph(shortcuts()))[0].values())
    assert words == Counter(
        ["input", *["3×3 conv 4"] * 2, *["ReLU"] * 2, "add", "concat", "multiply", "flatten", "dense 10 + softmax"]
    )
    figure = plots.plot_graph(inception())
    assert set(graph_of(figure)[0].values()) >= {"3×3 conv + ReLU 32", "norm", "3×3 max pool", "1×1 conv 64"}
    shapes = [text for text in texts(figure) if re.fullmatch(r"\d+×\d+×\d+", text)]
    assert sorted(shapes) == sorted(f"28×28×{n}" for n in (192, 64, 16, 32, 4, 8, 12, 116)), "not of norm and pool"
    layers = keras().layers
    strided = keras().Sequential([keras().Input((9, 9, 1)), layers.Conv2D(6, 3, strides=2), layers.MaxPooling2D(2)])
    assert {"3×3 conv 6, /2", "2×2 max pool /2"} < set(graph_of(plots.plot_graph(strided))[0].values())


def test_a_chain_is_on_one_line_and_branches_in_the_order_of_what_joins_them():
    _, _, (boxes, _) = graph_of(plots.plot_graph(chain(9)))
    assert np.ptp([box.y0 + box.y1 for box in boxes]) < 1e-9
    words, _, (boxes, _) = graph_of(plots.plot_graph(inception()))
    heights = {word: boxes[index].y0 for index, word in words.items()}
    assert heights["1×1 conv 64"] > heights["norm"] > heights["3×3 max pool"]


def test_only_small_functional_models_are_drawn():
    class Own(keras().Model):
        pass

    for model in (Own(), keras().Sequential([keras().layers.ReLU()]), keras().layers.ReLU(), "model", None):
        with pytest.raises(ValueError, match=r"^model: got .*, expected a functional model or a Sequential one"):
            plots.plot_graph(model)
    with pytest.raises(ValueError, match=r"^model: got 4[12] layers, expected at most 40"):
        plots.plot_graph(chain(42))
    with pytest.raises(ValueError, match=r"^model: got 40 layers in a row that need .* draw a part"):
        plots.plot_graph(chain(40))


# A Keras layer


@pytest.mark.filterwarnings("ignore")  # of Keras's own
def test_a_built_keras_layer_is_its_kernel():
    with quiet_import():
        import keras
    layer = keras.layers.Conv2D(4, 3)
    with pytest.raises(ValueError, match=r"^kernel: got layer .*without weights, expected a built convolution$"):
        plots.plot_filters(layer)
    layer.build((None, 8, 8, 2))
    kernel = normal(3, 3, 2, 4)
    layer.set_weights([kernel, np.zeros(4)])
    drawn = canvas(plots.plot_filters(layer))
    assert np.array_equal(drawn, canvas(plots.plot_filters(kernel.astype(np.float32))))
    with pytest.raises(ValueError, match=r"^kernel: got layer 'flat' without weights"):
        plots.plot_filters(keras.layers.Flatten(name="flat"))


# Bad arguments

NAN = np.full((3, 3), np.nan)


def refused(message: str, function, *arguments, **named):
    """A call and the start of its error."""
    return pytest.param(message, function, arguments, named, id=f"{function.__name__}-{message}")


@pytest.mark.parametrize(
    "message, function, arguments, named",
    [
        refused("images: got none", plots.show_images, []),
        refused("images[1]: got an array with NaN", plots.show_images, [RAMP, NAN]),
        refused("images[0]: got a 1-D array", plots.show_images, [RAMP[0]]),
        refused("images: got one image", plots.show_images, COLOUR),
        refused("images[0]: got 2 channels", plots.show_images, [normal(3, 3, 2)]),
        refused("images[0]: got RGB values 0 … 2, ", plots.show_images, [2.0 * (COLOUR > 100)]),
        refused("images[0]: got RGB values −0.5 … 0.6, ", plots.show_images, [COLOUR / 200 - 0.5]),
        refused("images[0]: got an empty array", plots.show_images, [np.ones((0, 3))]),
        refused("titles: got 1, expected 2", plots.show_images, [RAMP, RAMP], titles=["a"]),
        refused("columns: got 0, expected", plots.show_images, [RAMP], columns=0),
        refused("images: ", plots.show_images, 5),
        refused("images: got none", plots.show_pixels, []),
        refused("images: got 33×2, expected", plots.show_pixels, np.ones((33, 2))),
        refused("images: got 2×33, expected", plots.show_pixels, np.ones((2, 33))),
        refused("images: got 2×20, 2×20, expected", plots.show_pixels, [np.ones((2, 20))] * 2),
        refused("images: got 3×4×3, expected one channel", plots.show_pixels, COLOUR),
        refused("images[0]: got an array with NaN", plots.show_pixels, NAN),
        refused("images[0]: got a 1-D array", plots.show_pixels, RAMP[0]),
        refused("titles: got 2, expected 1", plots.show_pixels, RAMP, titles=["a", "b"]),
        refused("highlight: got (0, 0, 4, 2), expected", plots.show_pixels, RAMP, highlight=(0, 0, 4, 2)),
        refused("highlight: got (1, 3, 1, 2), expected", plots.show_pixels, RAMP, highlight=(1, 3, 1, 2)),
        refused("highlight: got (-1, 0, 1, 1), expected", plots.show_pixels, RAMP, highlight=(-1, 0, 1, 1)),
        refused("highlight: got (2, 3, -1, 0)", plots.show_pixels, RAMP, highlight=(2, 3, -1, 0)),
        refused("highlight: got (1, 1)", plots.show_pixels, RAMP, highlight=(1, 1)),
        refused("x: got a 1-D array", plots.show_convolution, RAMP[0], RAMP, RAMP),
        refused("kernel: got an array with NaN", plots.show_convolution, RAMP, NAN, RAMP),
        refused("y: got a 3-D array", plots.show_convolution, RAMP, RAMP, COLOUR),
        refused("at: got (0, 4), expected", plots.show_convolution, RAMP, RAMP[:1, :1], RAMP, at=(0, 4)),
        refused("at: got (-1, 0), expected", plots.show_convolution, RAMP, RAMP[:1, :1], RAMP, at=(-1, 0)),
        refused("at: got (2, 3), whose window", plots.show_convolution, RAMP, RAMP[:2, :2], RAMP, at=(2, 3)),
        refused("kernel: got a 1-D array", plots.plot_filters, RAMP[0]),
        refused("kernel: got an array with NaN", plots.plot_filters, NAN),
        refused("kernel: got 600 pictures", plots.plot_filters, normal(3, 3, 20, 30)),
        refused("titles: got 4, expected 8", plots.plot_filters, normal(3, 3, 2, 4), titles=list("abcd")),
        refused("maps: got a 2-D array", plots.plot_feature_maps, RAMP),
        refused("maps: got a batch of 2", plots.plot_feature_maps, normal(2, 3, 3, 4)),
        refused("maps: got an array with NaN", plots.plot_feature_maps, NAN[..., None]),
        refused("titles: got 1, expected 4", plots.plot_feature_maps, normal(3, 3, 4), titles=["a"]),
        refused("x: got a 2-D array", plots.plot_lines, RAMP, {"a": RAMP}, **LABELS),
        refused("x: got an array with NaN", plots.plot_lines, NAN[0], {"a": [1, 2, 3]}, **LABELS),
        refused("lines: got none", plots.plot_lines, [1, 2], {}, **LABELS),
        refused("lines['a']: got 3 values, expected 2", plots.plot_lines, [1, 2], {"a": [1, 2, 3]}, **LABELS),
        refused("x: ", plots.plot_lines, [0, 1], {"a": [1, 2]}, **LABELS, log="x"),
        refused("log: got True, expected", plots.plot_lines, [1, 2], {"a": [1, 2]}, **LABELS, log=True),
        refused("boxes: got 1, expected 2, one for each image", plots.show_images, [RAMP, RAMP], boxes=[None]),
        refused("boxes[1]: got (1, 2, 3), expected (top,", plots.show_images, [RAMP, RAMP], boxes=[None, (1, 2, 3)]),
        refused("boxes[0]: got (0, 0, 0, 2), expected a pos", plots.show_images, [RAMP], boxes=[(0, 0, 0, 2)]),
        refused("boxes[0]: got (0, 0, 2, -1), expected a pos", plots.show_images, [RAMP], boxes=[(0, 0, 2, -1)]),
        refused("boxes[0]: got an array with NaN", plots.show_images, [RAMP], boxes=[(0, np.nan, 2, 2)]),
        refused("boxes[0]: got a 0-D array", plots.show_images, [RAMP], boxes=[3]),
        refused("boxes[0]: got str of dtype", plots.show_images, [RAMP], boxes=["abcd"]),
        refused("history: got list, expected what fit returns", plots.plot_history, [1, 2]),
        refused("history: got nothing, expected the loss", plots.plot_history, {}),
        refused("history: got loss, expected the loss of at least one", plots.plot_history, {"loss": []}),
        refused("history: got accuracy, expected the loss", plots.plot_history, {"accuracy": [0.5]}),
        refused("history['val_loss']: got 1 values, expected 2", plots.plot_history, {"loss": [2, 1], "val_loss": [2]}),
        refused("matrix: got a 1-D array", plots.plot_confusion, [1, 2], ["a", "b"]),
        refused("matrix: got 3×4, expected as many rows", plots.plot_confusion, RAMP, list("abc")),
        refused("matrix: got −1, expected counts", plots.plot_confusion, [[1, -1], [0, 2]], list("ab")),
        refused("matrix: got 0.5, expected counts", plots.plot_confusion, [[1, 0.5], [0, 2]], list("ab")),
        refused("matrix: got an array with NaN", plots.plot_confusion, NAN, list("abc")),
        refused("class_names: got 3, expected 2", plots.plot_confusion, [[1, 0], [0, 2]], list("abc")),
        refused("confidence: got a 2-D array", plots.plot_calibration, RAMP, RAMP),
        refused("confidence: got an array with NaN", plots.plot_calibration, NAN[0], [1, 1, 0]),
        refused("confidence: got values −0.5 … 1, expected", plots.plot_calibration, [-0.5, 1], [True, False]),
        refused("confidence: got values 0.5 … 97, expected", plots.plot_calibration, [0.5, 97], [True, False]),
        refused("correct: got 7, expected True or False", plots.plot_calibration, [0.5, 0.7], [1, 7]),
        refused("correct: got 3 values, expected 2", plots.plot_calibration, [0.5, 0.7], [True, False, True]),
        refused("correct: got a 2-D array", plots.plot_calibration, [0.5, 0.7], [[True, False]]),
        refused("row_titles: got 1, expected 2", plots.show_images, normal(4, 8, 8), columns=3, row_titles=["a"]),
        refused("errors: got b, expected a", plots.plot_bars, {"a": 1}, x_label="x", errors={"b": 1}),
        refused("errors: got −1, expected", plots.plot_bars, {"a": 1}, x_label="x", errors={"a": -1}),
        refused("errors: ", plots.plot_bars, {"a": 1}, x_label="x", errors={"a": float("nan")}),
        refused("values: got a 1-D array", plots.plot_heat_map, [1, 2], **LABELS, **rows_and_columns(1, 2)),
        refused("values: got an array with NaN", plots.plot_heat_map, [[np.nan]], **LABELS, **rows_and_columns(1, 1)),
        refused("row_names: got 2, expected 1", plots.plot_heat_map, [[1, 2]], **LABELS, **rows_and_columns(2, 2)),
        refused("column_names: got 1, expected 2", plots.plot_heat_map, [[1, 2]], **LABELS, **rows_and_columns(1, 1)),
        refused("log: got 'z', expected", plots.plot_bubbles, {"a": {"b": (1, 2)}}, **LABELS, log="z"),
        refused("groups: got 0, expected 1 to 5", plots.plot_bubbles, {}, **LABELS),
        refused(
            "groups: got 6, expected 1 to 5", plots.plot_bubbles, {key: {"b": (1, 2)} for key in "abcdef"}, **LABELS
        ),
        refused("groups['a']: got no points", plots.plot_bubbles, {"a": {}}, **LABELS),
        refused("groups['a']['b']: got (1,), expected (x, y)", plots.plot_bubbles, {"a": {"b": (1,)}}, **LABELS),
        refused("groups['a']['b']: got an array with NaN", plots.plot_bubbles, {"a": {"b": (1, np.nan)}}, **LABELS),
        refused("groups['a']['b']: got size 0", plots.plot_bubbles, {"a": {"b": (1, 2, 0)}}, **LABELS),
        refused(
            "groups['a']['c']: got (1, 2), exp", plots.plot_bubbles, {"a": {"b": (1, 2, 3), "c": (1, 2)}}, **LABELS
        ),
        refused("groups: got x = 0, expected more", plots.plot_bubbles, {"a": {"b": (0, 2)}}, **LABELS, log="x"),
        refused("lines['l']: got an array with", plots.plot_bubbles, CROWDED, **LABELS, lines={"l": np.inf}),
        refused("layers: got none", plots.plot_network, []),
        refused("layers[0]: got shape (3, 4), expected", plots.plot_network, [("a", (3, 4))]),
        refused("layers[1]: got 0, expected an integer", plots.plot_network, [("a", (3,)), ("b", (0,))]),
        refused("layers: got 40 that need", plots.plot_network, [("dense", (9,))] * 40),
        refused("lanes: got none", plots.plot_timeline, {"a": []}),
        refused("lanes: expected pairs", plots.plot_timeline, {"a": [(2, 1)]}),
        refused("lanes: expected pairs", plots.plot_timeline, {"a": [(1, 2, 3)]}),
        refused("values: got none", plots.plot_bars, {}, x_label="x"),
        refused("values: got 0, expected more than 0", plots.plot_bars, {"a": 1, "b": 0}, x_label="x", log=True),
        refused("values: ", plots.plot_bars, {"a": float("nan")}, x_label="x"),
    ],
)
def test_bad_arguments_are_named(message, function, arguments, named):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        function(*arguments, **named)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_style_that_the_user_has_set_changes_nothing(make):
    with plt.style.context("default"):
        expected = make()._repr_png_()
    with plt.style.context(["dark_background", {"font.size": 20, "axes.grid": True}]):
        figure = make()
        assert figure._repr_png_() == expected
        saved = io.BytesIO()
        figure.savefig(saved, format="png", bbox_inches="tight")
    assert saved.getvalue() == expected


@pytest.mark.parametrize("name", ["$x$", r"$\frac$", "a$b$c", "_hidden"])
def test_names_are_written_as_they_are(name):
    """Between two dollars matplotlib would read mathematics, and raise where it finds none."""
    figures = [
        plots.show_images([BYTES, BYTES], titles=[name, name], row_titles=[name]),
        plots.plot_bars({name: 1}, x_label=name),
        plots.plot_lines([1, 2], {name: [1, 2], "b": [2, 1]}, x_label=name, y_label=name, title=name, log="y"),
        plots.plot_confusion(np.eye(2, dtype=int), [name, "b"]),
        plots.plot_network([(name, (4, 4, 1)), ("dense", (2,))], name),
    ]
    for figure in figures:
        assert figure._repr_png_() and name in figure.alt
        written = [text for text in figure.findobj(Text) if text.get_text() == name]
        assert written and not any(text.get_parse_math() for text in written)
