"""Figures show the right colours and texts, are drawn once and without warnings, and refuse what they cannot show."""

import base64
import io
import re
import warnings
from functools import cache
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from helpers import plots, quiet_import

# A warning would be stored in a notebook. Matplotlib itself uses what newer versions of its parser deprecate.
pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LABELS = {"x_label": "epochs", "y_label": "loss"}
RAMP = np.arange(12).reshape(3, 4)
BYTES = (20 * RAMP).astype(np.uint8)
COLOUR = np.stack([BYTES, BYTES[::-1], BYTES[:, ::-1]], axis=-1)
PAINTED = np.full((3, 4, 3), 0.5)  # grey, but for one pixel
PAINTED[1, 3] = 1, 0, 0
HISTORY = {
    "accuracy": [0.2, 0.5, 0.6, 0.7],
    "loss": [2.0, 1.0, 0.8, 0.5],
    "val_accuracy": [0.3, 0.4, 0.6, 0.5],
    "val_loss": [1.9, 1.25, 0.875, 1.5],
    "learning_rate": [0.1, 0.1, 0.01, 0.01],
}
ALEXNET = [
    ("image", (227, 227, 3)), ("11×11 conv, /4", (55, 55, 96)), ("max pool", (27, 27, 96)), ("5×5 conv", (27, 27, 256)),
    ("max pool", (13, 13, 256)), ("3×3 conv", (13, 13, 384)), ("max pool", (6, 6, 256)), ("dense", (4096,)),
    ("softmax", (1000,)),
]  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def names(count: int, name: str = "class") -> list[str]:
    return [f"{name} {index}" for index in range(count)]


def counts(classes: int, errors: int = 3) -> np.ndarray:
    """A confusion matrix with 100 images on the diagonal and some errors beside it."""
    return 100 * np.eye(classes, dtype=int) + errors * np.eye(classes, k=1, dtype=int)


def curves(epochs: int) -> dict:
    fall = 1 / np.arange(1, epochs + 1)
    return {"accuracy": 1 - fall / 2, "loss": fall, "val_accuracy": 1 - fall, "val_loss": fall + 0.01}


@cache
def keras():
    with warnings.catch_warnings(), quiet_import():
        warnings.simplefilter("ignore")  # Keras's own
        import keras
    return keras


def inception():
    """Four branches, the third the longest."""
    make, x = keras().layers, keras().Input((28, 28, 192))
    second = make.Conv2D(32, 3, padding="same", activation="relu")(make.Conv2D(16, 1)(x))
    third = make.Conv2D(8, 1)(make.BatchNormalization()(make.Conv2D(4, 3, padding="same")(x)))
    fourth = make.Conv2D(12, 1)(make.MaxPooling2D(3, 1, padding="same")(x))
    return keras().Model(x, make.Concatenate()([make.Conv2D(64, 1)(x), second, third, fourth]))


def shortcuts():
    """Connections that skip one and more layers, a layer that is used twice, and operations that are no layers."""
    make, x = keras().layers, keras().Input((8, 8, 4))
    shared = make.Conv2D(4, 3, padding="same")
    y = make.ReLU()(shared(x))
    z = make.Add()([x, make.Activation("relu")(shared(y))])
    return keras().Model(x, make.Dense(10, activation="softmax")(make.Flatten()(make.Concatenate()([x, y, z]) * 2)))


def late_branch():
    """A branch that leaves a long one in its middle, and a short one, which comes last, past both."""
    make, x = keras().layers, keras().Input((8, 8, 4))
    trunk = [x]
    for _ in range(5):
        trunk.append(make.ReLU()(trunk[-1]))
    branch = make.Dropout(0.5)(make.ReLU()(trunk[2]))
    return keras().Model(x, make.Concatenate()([trunk[-1], branch, make.ReLU()(x)]))


def chart() -> Figure:
    """What a cell may draw itself: curves with error bars, bars, points, a level, texts and legends."""
    figure, ((lines, bars), (points, table)) = plots.axes(2, 2, size=(9, 6))
    lines.set(title="training", xlabel="images", ylabel="accuracy", xscale="log")
    lines.errorbar([5, 50, 200], [0.5, 0.75, 0.7], [0.1, 0.05, 0.02], marker="o", capsize=3, label="scratch")
    lines.axhline(0.25, color="#555555", linestyle="--", label="guessing")
    lines.legend()
    figure.legend(loc="outside lower center")
    bars.barh(["main", "worker"], [2, 1.5], left=[0, 0.5])
    bars.bar_label(bars.containers[0])
    points.scatter([2012, 2], [3, 4.5], label="networks")
    points.scatter(np.arange(20), np.arange(20) ** 2)
    points.annotate("LeNet", (2012, 3), ha="right")
    table.imshow([[0, 1]])
    table.set_xticks([0, 1], labels=["cat", "dog"])
    table.set_yticks([0], labels=["all"])
    table.text(0, 0, "0.25", color="white")
    return figure


FIGURES = {
    "images": lambda: plots.show_images([RAMP, BYTES, COLOUR, normal(3, 4), np.ones((9, 2))]),
    "a batch": lambda: plots.show_images(normal(20, 8, 8, 1), titles=names(20, "number")),
    "black images": lambda: plots.show_images([np.zeros((3, 3)), np.zeros((3, 3), np.uint8)]),
    "boxes": lambda: plots.show_images(normal(20, 8, 8), boxes=[None, (2, 1, 6, 4)] * 10),
    "pixels": lambda: plots.show_pixels([RAMP, normal(2, 2)], titles=["a", "b"], highlight=(0, 1, 2, 2)),
    "many pixels": lambda: plots.show_pixels(normal(16, 32)),
    "a convolution": lambda: plots.show_convolution(RAMP, np.ones((2, 2)), np.ones((2, 3)), at=(1, 2)),
    "a large one": lambda: plots.show_convolution(normal(60, 90), normal(3, 3), normal(58, 88)),
    "filters": lambda: plots.plot_filters(normal(3, 3, 3, 4)),
    "zero filters": lambda: plots.plot_filters(np.zeros((3, 3, 1))),
    "high filters": lambda: plots.plot_filters(normal(3, 3, 256, 2)),
    "wide filters": lambda: plots.plot_filters(normal(3, 3, 2, 256)),
    "maps": lambda: plots.plot_feature_maps(normal(9, 7, 5), titles=list("abcde")),
    "512 maps": lambda: plots.plot_feature_maps(normal(4, 3, 512)),
}
# Those whose labels stand outside of the Axes, where they could be cut off
LABELLED = {
    "rows": lambda: plots.show_images(normal(48, 8, 8), columns=16, row_titles=names(3, "RandomTranslation")),
    "two rows": lambda: plots.show_images(normal(6, 8, 8), columns=4, row_titles=["one", "the second"]),
    "lines": lambda: plots.plot_lines([1, 2, 4], {"a": [1, 2, np.nan], "b": [3, 2, 1]}, **LABELS, log="xy"),
    "bars": lambda: plots.plot_bars({"a": 1, "b": 2}, x_label="x", errors={"a": 0, "b": 0.5}),
    "points": lambda: plots.plot_bars({"one": 1, "many": 123_456}, x_label="parameters", log=True),
    "history": lambda: plots.plot_history(HISTORY),
    "one epoch": lambda: plots.plot_history(curves(1)),
    "200 epochs": lambda: plots.plot_history(curves(200)),
    "diverged": lambda: plots.plot_history({"loss": [np.nan] * 3, "val_loss": [np.nan] * 3, "accuracy": [0.1] * 3}),
    "2 classes": lambda: plots.plot_confusion([[5, 0], [2, 12_345]], ["face", "no face"]),
    "10 classes": lambda: plots.plot_confusion(counts(10, errors=88), list(range(10))),
    "10 long names": lambda: plots.plot_confusion(counts(10, errors=88), ["m" * 12] * 10),
    "20 classes": lambda: plots.plot_confusion(counts(20), names(20, "american_pit_bull_terrier")),
    "37 classes": lambda: plots.plot_confusion(counts(37), names(37)),
    "a cell's chart": chart,
}
# Drawings that place their own words: none may meet another or leave the figure
DRAWINGS = {
    "AlexNet": lambda: plots.plot_network(ALEXNET, "AlexNet"),
    "14 boxes": lambda: plots.plot_network([("image", (224, 224, 3)), *[("3×3 conv", (56, 56, 64))] * 13]),
    "one box": lambda: plots.plot_network([("dense", (1,))], "a title"),
    "inception": lambda: plots.plot_graph(inception()),
    "shortcuts": lambda: plots.plot_graph(shortcuts(), "a title"),
    "late branch": lambda: plots.plot_graph(late_branch()),
}
FIGURES |= LABELLED | DRAWINGS
made = cache(lambda name: FIGURES[name]())


# What holds for all


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_speaks_and_is_the_same_every_time_whatever_style_the_user_has_set(name):
    with np.errstate(all="raise"), plt.style.context("default"):
        figure = made(name)
        expected = figure._repr_png_()
    with plt.style.context(["dark_background", {"font.size": 20, "axes.grid": True}]):
        assert FIGURES[name]()._repr_png_() == expected
    assert plt.get_fignums() == [], "left open, it would be shown twice"
    assert plt.imread(io.BytesIO(expected)).std() > 0.01, "the figure is blank"
    assert figure.get_figwidth() <= (13 if name in DRAWINGS else 10) and figure.get_figheight() <= 8
    assert re.search(r"\w{3}", figure.alt) and figure.alt.endswith(".")
    assert not re.search(r"\bnan\b|None|\n|array\(|  ", figure.alt), figure.alt
    assert len(figure.alt) < 2500, "who listens to it cannot skim it"


@pytest.mark.parametrize("name", LABELLED | DRAWINGS)
def test_nothing_is_cut_off_or_hidden(name):
    figure = made(name)
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -1e-9
    legends = [legend.get_window_extent() for legend in figure.legends]
    assert not any(legend.overlaps(ax.get_tightbbox()) for legend in legends for ax in figure.axes)
    axes = [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]
    for words in [ax.texts for ax in figure.axes] + [
        axis.get_ticklabels() for ax in axes for axis in (ax.xaxis, ax.yaxis)
    ]:
        boxes = [word.get_window_extent() for word in words if word.get_text()]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert name in LABELLED or all(word.get_fontsize() >= 9 for word in words)


@pytest.mark.parametrize("is_inline", [True, False], ids=["inline", "agg"])
def test_a_notebook_stores_the_image_and_its_words_whatever_the_backend(is_inline, monkeypatch):
    """Only Jupyter's own backend tells IPython how to draw a figure; a server's MPLBACKEND=Agg does not."""
    shell, shown = InteractiveShell.instance(), []
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, metadata, **_: shown.append((data, metadata)))
    try:
        if is_inline:
            select_figure_formats(shell, {"png"})
        result = DisplayFormatter.format(shell.display_formatter, plots.plot_bars({"a": 1}, x_label="x"))
    finally:
        InteractiveShell.clear_instance()
    assert result == ({}, {}), "it has shown itself"
    ((data, metadata),) = shown
    assert data.keys() == {"text/plain", "image/png"} and data["text/plain"] == "Bars of x. a: 1."
    assert metadata["image/png"]["alt"] == "Bars of x. a: 1."
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:  # sharper than the page
        stated = np.array([metadata["image/png"][side] for side in ("width", "height")])
        np.testing.assert_allclose(image.size, stated * 150 / 90, atol=1)
        assert 500 < stated[0] < 800


@pytest.mark.parametrize("name", ["$x$", r"$\frac$", "a$b$c", "_hidden"])
def test_names_are_written_as_they_are(name):
    """Between two dollars matplotlib would read mathematics, and raise where it finds none."""
    figures = [
        plots.show_images([BYTES, BYTES], titles=[name, name], row_titles=[name]),
        plots.plot_bars({name: 1}, x_label=name),
        plots.plot_lines([1, 2], {name: [1, 2], "b": [2, 1]}, x_label=name, y_label=name, title=name, log="y"),
        plots.plot_confusion(np.eye(2, dtype=int), [name, "b"]),
        plots.plot_network([(name, (4, 4, 1)), ("dense", (2,))], name),
        plots.axes(title=name, xlabel=name)[0],
    ]
    figures[-1].axes[0].annotate(name, (0, 1))
    for figure in figures:
        assert figure._repr_png_() and name in figure.alt
        written = [text for text in figure.findobj(Text) if text.get_text() == name]
        assert written and not any(text.get_parse_math() for text in written)


@given(arrays(np.float64, 3, elements=st.floats(0, 1)))
def test_words_on_a_colour_have_the_contrast_that_WCAG_asks_for(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05
    assert (1.05 / luminance if plots._ink(colour) == "white" else luminance / 0.05) >= 4.5


@pytest.mark.filterwarnings("ignore")  # of Keras's own
@pytest.mark.parametrize("kind", ["bool", "bfloat16", "float16", "variable"])
def test_arrays_of_every_kind_of_number_are_drawn(kind):
    values = np.arange(48).reshape(1, 4, 4, 3) % 2
    if kind == "variable":
        given = keras().Variable(values.astype(np.float32))
    else:
        given = keras().ops.cast(values, kind)
    bytes_ = (values * (255 if kind == "bool" else 1)).astype(np.uint8)
    assert plots.show_images(given).alt == plots.show_images(bytes_ if kind == "bool" else values).alt
    for draw in (plots.plot_feature_maps, plots.plot_filters, lambda x: plots.show_convolution(*[x[0, :, :, 0]] * 3)):
        assert draw(given).alt == draw(values).alt


# Grids of images, filters and maps


def texts(figure: Figure) -> list[str]:
    """All words inside the Axes: titles and captions of tiles, marks, numbers in cells."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def canvas(figure: Figure) -> np.ndarray:
    """The one picture of a grid."""
    (image,) = [image for ax in figure.axes for image in ax.images]
    return np.asarray(image.get_array(), dtype=float)


def colours(figure: Figure) -> np.ndarray:
    """The colours met on the way through the middle of a grid with one row, from left to right."""
    middle = canvas(figure)[len(canvas(figure)) // 2].round(4)
    met = middle[np.r_[True, (middle[1:] != middle[:-1]).any(axis=1)]]
    return met[~np.isin(met, [0.7, 1]).all(axis=1)]


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def mapped(name: str, *values: float) -> np.ndarray:
    return plt.get_cmap(name)(np.array(values))[:, :3]


FLAT = np.ones((4, 4))
GRIDS = {  # the figure, and the colours from left to right
    "bytes": (plots.show_images, [np.array([[0, 128, 254]], np.uint8)], mapped("gray", 0, 128 / 255, 254 / 255)),
    "dim bytes are not stretched": (plots.show_images, [np.array([[51]], np.uint8)], [[0.2] * 3]),
    "others share a scale from 0": (plots.show_images, [FLAT, 3 * FLAT, 4 * FLAT], mapped("gray", 0.25, 0.75)),
    "colours": (plots.show_images, [np.uint8([[[255, 128, 0]]])], np.array([[255, 128, 0]]) / 255),
    "colours in floats": (plots.show_images, [[[[1, 0.5, 0.0]]]], [[1, 0.5, 0]]),
    "a mask": (plots.show_images, [np.array([[False, True, False]])], [[0] * 3, [0] * 3]),
    "signed": (plots.show_images, [[[-2, -1, 1, 2]]], mapped("RdBu_r", 0, 0.25, 0.75, 1)),
    "positive filters are red": (plots.plot_filters, [[[1], [2]]], mapped("RdBu_r", 0.75, 1)),
    "filters share a scale": (plots.plot_filters, [[[0.1, -1]]], mapped("RdBu_r", 0.55, 0)),
    "maps share a scale": (plots.plot_feature_maps, [[[1, 10, 5]]], mapped("viridis", 0.1, 1, 0.5)),
    "signed maps": (plots.plot_feature_maps, [[[-1, 2]]], mapped("RdBu_r", 0.25, 1)),
    "a batch of one": (plots.plot_feature_maps, [[[[1, 2]]]], mapped("viridis", 0.5, 1)),
}


@pytest.mark.parametrize(("draw", "argument", "expected"), GRIDS.values(), ids=GRIDS)
def test_the_colours_are_those_of_the_values(draw, argument, expected):
    found = colours(draw(argument if draw == plots.show_images else np.array(argument, float)))
    assert found[: len(expected)] == pytest.approx(np.array(expected), abs=0.012)


@pytest.mark.filterwarnings("ignore")  # of Keras's own
def test_filters_have_a_row_for_each_channel_and_a_column_for_each_filter():
    kernel = np.ones((3, 3, 2, 3)) * np.array([[1, 1, 1], [-1, 1, -1]])
    rows = [np.array_split(row, 3, axis=1) for row in np.array_split(canvas(plots.plot_filters(kernel)), 2)]
    assert [[np.sign(tile.mean(axis=(0, 1)) @ (1, 0, -1)) for tile in row] for row in rows] == [[1, 1, 1], [-1, 1, -1]]
    layer = keras().layers.Conv2D(3, 3, name="flat")
    with pytest.raises(ValueError, match=r"^kernel: got layer 'flat' without weights, expected a built conv"):
        plots.plot_filters(layer)
    layer.build((None, 8, 8, 2))
    layer.set_weights([kernel, np.zeros(3)])
    assert np.array_equal(canvas(plots.plot_filters(layer)), canvas(plots.plot_filters(kernel)))


DEAD = np.zeros((4, 4, 4))
DEAD[..., 1], DEAD[..., 2], DEAD[0, 0, 3] = 5, -5, 1


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (lambda: plots.show_images([RAMP, BYTES, RAMP / 8 - 1, RAMP * 1e4], titles=list("abcd")),
         ["a", "0 … 11", "b", "0 … 220", "c", "−1 … 0.375", "d", "0 … 110,000"]),
        (lambda: plots.show_images([RAMP] * 17), []),
        (lambda: plots.show_images([COLOUR / 255]), []),
        (lambda: plots.plot_feature_maps(normal(3, 3, 2), titles=["edges", "blobs"]), ["edges", "blobs"]),
        (lambda: plots.plot_feature_maps(normal(3, 3, 32)), [str(index) for index in range(32)]),
        (lambda: plots.plot_feature_maps(normal(3, 3, 33)), []),
        (lambda: plots.plot_feature_maps(DEAD), ["0: all 0", "1", "2", "3"]),
        (lambda: plots.show_pixels(np.array([[0, -1, 2.5], [1 / 3, -0.0, 12_345]])),
         ["0", "−1", "2.5", "0.333", "0", "12,345"]),
        (lambda: plots.show_convolution(np.full((20, 20), 7), FLAT, np.full((17, 17), 9)), []),
        (lambda: plots.show_pixels(normal(40, 40)), []),
    ],
)  # fmt: skip
def test_titles_ranges_marks_and_numbers_are_written(figure, expected):
    assert [text for text in texts(figure()) if text] == expected


def test_colour_bars_have_numbers_and_titles_do_not_change_the_size():
    """Titles may say what a network answered, and nbval compares the size."""
    bar = plots.plot_feature_maps(np.array([[[0.0], [3.99]]])).axes[1]
    assert ticks(bar.yaxis) == ["0", "0.998", "2", "2.99", "3.99"]
    assert plots.plot_filters(RAMP[..., None] - 8).axes[1].get_ylim() == (-8, 8)
    titles = ("", "star", "a long title of several words")
    assert len({tuple(plots.show_images([RAMP] * 4, titles=[t] * 4).get_size_inches()) for t in titles}) == 1


def test_rows_have_their_names_beside_them():
    figure = plots.show_images(normal(6, 8, 8), columns=3, row_titles=["first", "second"])
    words = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    picture = canvas(figure)
    left = np.flatnonzero((picture != 1).any(axis=(0, 2)))[0]
    assert words["first"][0] == words["second"][0] < left  # right-aligned: all of it to the left of the images
    assert 0 < words["first"][1] < len(picture) // 2 < words["second"][1]


# Boxes and what is laid over images


def frames(figure: Figure, colour: str = plots.HIGHLIGHT) -> np.ndarray:
    """Left, top, right, bottom of each frame, on the canvas."""
    boxes = [patch.get_bbox() for patch in figure.axes[0].patches if to_rgb(patch.get_edgecolor()) == to_rgb(colour)]
    return np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes]).reshape(-1, 4)


@pytest.mark.parametrize(
    "box, expected",
    [
        ((3, 2, 4, 6), (3, 2, 4, 6)),
        (np.array([0, 0, 12, 9]), (0, 0, 12, 9)),
        ((2, 1.5, 4.5, 4.5), (2, 1.5, 4.5, 4.5)),
        ((-3, -2, 2, 3), (0, 0, 2, 3)),
        ((10, 7, 15, 12), (10, 7, 12, 9)),
    ],
)
def test_a_box_is_framed_where_it_is_and_cut_off_at_the_image(box, expected):
    figure = plots.show_images([np.ones((9, 12))] * 2, boxes=[(0, 0, 12, 9), box], columns=1)
    whole, found = frames(figure)
    picture = (canvas(figure) == 1).all(axis=-1)
    assert picture[round(whole[1]) + 2, round(whole[0]) + 2], "on the image"
    pixel = (whole[2] - whole[0]) / 12
    down = len(picture) / 2  # from one image to the one below
    assert (found - [whole[0], whole[1] + down] * 2) / pixel == pytest.approx(expected, abs=0.05)


def test_each_image_has_its_own_boxes_or_none():
    image, apart = np.zeros((1, 20, 20)), [(0, 0, 5, 5), (10, 10, 15, 15)]
    figure = plots.show_images(image, boxes=[apart[0]], true_boxes=[apart])
    assert (len(frames(figure)), len(frames(figure, plots.TRUTH))) == (1, 2)
    assert to_rgb(figure.axes[0].patches[-1].get_edgecolor()) == to_rgb(plots.HIGHLIGHT), "what was predicted is on top"
    three = frames(plots.show_images(np.zeros((3, 4, 4)), boxes=[(0, 0, 2, 2), None, (0, 0, 4, 4)]))
    assert len(three) == 2 and three[1][0] - three[0][0] > 2 * (three[1][2] - three[1][0])
    assert not len(frames(plots.show_images(image, boxes=[[]])))


def test_paint_tints_each_class_and_leaves_the_first_grey():
    masks = np.arange(24).reshape(2, 3, 4) % 15
    painted = plots.paint(np.stack([COLOUR, COLOUR]), masks)
    grey = np.stack([COLOUR, COLOUR]) / 255 @ (0.299, 0.587, 0.114)
    assert painted.min() >= 0 and painted.max() <= 1
    np.testing.assert_allclose(painted[masks == 0], np.repeat(grey[masks == 0][:, None], 3, axis=1))
    flat = plots.paint(np.full((1, 3, 5, 1), 128, np.uint8), np.arange(15).reshape(1, 3, 5)).reshape(15, 3)
    assert min(np.abs(one - other).max() for one, other in combinations(flat, 2)) > 0.05, "all classes differ"


def test_the_hottest_place_of_an_overlay_is_where_the_map_is_largest():
    images, maps = np.random.default_rng(0).integers(0, 256, (2, 12, 18, 3), dtype=np.uint8), np.zeros((2, 4, 6))
    maps[0, 1, 4], maps[1, 3, 0] = 5, 0.01  # each map has its own scale
    result, grey = plots.overlay(images, maps), images / 255 @ (0.299, 0.587, 0.114)
    np.testing.assert_allclose(result, plots.overlay(images / 255, 7 * maps), atol=0.03)
    heat = result[..., 0] - result[..., 2]  # of grey 0, of yellow the most
    for index, (row, column) in enumerate([(1, 4), (3, 0)]):
        y, x = np.unravel_index(heat[index].argmax(), heat[index].shape)
        assert (y // 3, x // 3) == (row, column)
        far = np.hypot(*(np.indices((12, 18)) - np.array([3 * row + 1, 3 * column + 1])[:, None, None])) > 6
        np.testing.assert_allclose(result[index][far], np.repeat(grey[index][far][:, None], 3, axis=1), atol=1e-6)
    nothing = plots.overlay(images[..., :1], np.zeros((2, 1, 1), bool))
    np.testing.assert_allclose(nothing, np.repeat(images[..., :1] / 255, 3, axis=-1), atol=1e-12)
    edge = np.array([0, 255], np.uint8)[:, None, None] * np.ones((1, 2, 50, 1), np.uint8)
    dark, light = plots.overlay(edge, np.linspace(0, 1, 50) * np.ones((1, 2, 1)))[0]
    assert ((light - dark).sum(axis=-1) > 0.7).all(), "the image is seen through the hottest places"
    assert (np.diff(dark @ (0.299, 0.587, 0.114)) > 0).all(), "hotter is brighter"


def test_windows_are_framed_in_pixels_and_convolutions():
    pixels = plots.show_pixels([RAMP, RAMP.T], titles=["a matrix", "transposed"], highlight=(1, 2, 2, 1))
    small = plots.show_convolution(normal(7, 9), normal(3, 2), normal(5, 8), at=(2, 3))
    large = plots.show_convolution(np.full((20, 20), 7), np.ones((3, 3)), np.full((18, 18), 63))
    panels = [*pixels.axes, *small.axes, *large.axes]
    titles = ["a matrix", "transposed", "input 7×9", "kernel 3×2", "output 5×8"]
    assert [ax.get_title() for ax in panels] == [
        *titles, "input 20×20", "kernel 3×3", "output 18×18",
    ]  # fmt: skip
    frames = [[(*p.get_xy(), p.get_width(), p.get_height()) for p in ax.patches] for ax in panels]
    assert frames == [[(1.5, 0.5, 1, 2)], [], [(2.5, 1.5, 2, 3)], [], [(2.5, 1.5, 1, 1)], [], [], []]
    assert [len(ax.texts) for ax in panels] == [12, 12, 63, 6, 40, 0, 0, 0]
    assert [text.get_position() for text in panels[0].texts[:5]] == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]


# Curves, bars, a training, confusion


def test_lines_look_different_and_are_named_where_there_are_several():
    (ax,) = plots.plot_lines([1, 2], {str(n): [n, n] for n in range(7)}, **LABELS).axes
    assert len({line.get_color() for line in ax.lines}) == len({line.get_marker() for line in ax.lines}) == 7
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list("0123456")
    assert plots.plot_lines([1, 2], {"a": [1, 2]}, **LABELS).axes[0].get_legend() is None


@pytest.mark.parametrize("x", [range(5), [0.5, 1, 1.5], "one epoch", "history", "200 epochs"], ids=str)
def test_epochs_and_other_whole_positions_have_whole_ticks(x):
    figure = made(x) if isinstance(x, str) else plots.plot_lines(x, {"a": [0] * len(x)}, **LABELS)
    for ax in figure.axes:
        low, high = ax.get_xlim()
        shown = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert shown and all(tick == round(tick) for tick in shown) is (x != [0.5, 1, 1.5])


@pytest.mark.parametrize("log", [False, True])
def test_bars_or_points_carry_their_numbers_first_on_top(log):
    values = {"dense": 1_049_600, "shared": 28, "half": 0.5}
    figure = plots.plot_bars(values, x_label="parameters", log=log, errors={"dense": 9, "shared": 2, "half": 0.1})
    (ax,) = figure.axes
    points = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    lengths = points if log else [bar.get_width() for bar in ax.patches]
    assert list(lengths) == list(values.values()) and bool(ax.patches) is not log
    assert [text.get_text() for text in ax.texts] == ["1,049,600", "28", "0.5"]
    assert ticks(ax.yaxis) == ["dense", "shared", "half"] and ax.yaxis_inverted()
    assert (ax.get_xlabel(), ax.get_xscale()) == ("parameters", "log" if log else "linear")
    ends = np.array([lines.get_segments()[0][:, 0] for lines in ax.collections])
    np.testing.assert_allclose(ends, [[1_049_591, 1_049_609], [26, 30], [0.4, 0.6]])


@pytest.mark.parametrize(
    ("record", "labels", "best"),
    [
        ({"loss": [2, 1], "acc": [0, 1], "auc": [0, 0]}, ["loss", "accuracy"], ""),
        ({"lr": [1, 1], "head_loss": [3, 3], "loss": [3, 2], "mean_absolute_error": [1, 2]},
         ["loss", "mean absolute error"], ""),
        ({"loss": [4, 3, 2, 1], "of_each_class": np.ones((4, 3)), "auc": [0] * 4}, ["loss", "auc"], ""),
        ({"loss": [5, 4, 3, 2, 1, 1], "val_loss": [6, 5, 7]}, ["loss"], "best epoch 4, validation loss 5"),
        ({"loss": [3, 2, 1], "val_loss": [np.nan, 5, 6]}, ["loss"], "best epoch 2, validation loss 5"),
    ],
)  # fmt: skip
def test_the_loss_and_the_first_metric_have_a_panel(record, labels, best):
    returned = keras().callbacks.History()
    returned.history = record
    figure = plots.plot_history(returned)
    assert ([ax.get_ylabel() for ax in figure.axes], figure.get_suptitle()) == (labels, best)
    assert figure._repr_png_()


def test_a_confusion_has_its_counts_and_errors_coloured_by_their_share_of_the_row():
    figure = plots.plot_confusion([[80, 20, 0], [4, 4, 0], [0, 0, 0]], ["a", "b", "c"])
    ax, bar = figure.axes
    shown = {text.get_position(): (text.get_text(), text.get_color()) for text in ax.texts}
    assert shown == {(0, 0): ("80", "black"), (1, 0): ("20", "black"), (0, 1): ("4", "white"), (1, 1): ("4", "black")}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == ["a", "b", "c"]
    found = np.asarray(ax.images[0].get_array())
    assert np.ptp(found[np.eye(3, dtype=bool)]) == 0, "the diagonal is grey"
    expected = mapped(plots.ERRORS, 0.4, 0, 1, 0, 0, 0)
    assert found[~np.eye(3, dtype=bool)] == pytest.approx(expected, abs=0.01)
    assert bar.get_ylim() == (0, 50) and bar.get_ylabel() == "errors, % of the true class"
    assert [len(texts(plots.plot_confusion(counts(n), names(n)))) for n in (20, 21)] == [39, 0], "many: colours only"


# Networks


def test_a_box_of_a_network_is_as_large_as_its_map():
    sizes = {}
    for layers in (ALEXNET, ALEXNET[3:6]):
        figure = plots.plot_network(layers)
        boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
        assert np.all(np.diff([box.get_x() for box in boxes]) > 0), "from left to right"
        for (_, shape), box in zip(layers, boxes, strict=True):
            size = (box.get_width(), box.get_height())
            assert sizes.setdefault(shape, size) == pytest.approx(size), "one scale for all"
        words = [text for text in texts(figure) if text]
        assert words == [word for label, shape in layers for word in (label, "×".join(map(str, shape)))]
    for axis, key in ((1, 0), (0, 2)):  # heights by side, widths by channels
        maps = sorted((shape[key], size[axis]) for shape, size in sizes.items() if len(shape) == 3)
        assert all((a[0] < b[0]) == (a[1] < b[1] - 1e-9) for a, b in pairwise(maps))
    assert sizes[4096,][1] > sizes[1000,][1]


def graph_of(figure: Figure):
    """The boxes, the words in each, and the way of each arrow."""
    ax = figure.axes[0]
    boxes = [patch.get_bbox() for patch in ax.patches]
    words = [
        "".join(text.get_text().replace("\n", " ") for text in ax.texts if box.contains(*text.get_position()))
        for box in boxes
    ]
    ways = {tuple(line.get_xydata()[-1]): line.get_xydata() for line in ax.lines}
    ends = [(text.xyann, text.xy) for text in ax.texts if getattr(text, "arrow_patch", None)]
    return boxes, words, [np.vstack([*ways.get(tuple(start), [start])[:1], start, end]) for start, end in ends]


@pytest.mark.parametrize("name, layers, connections", [("inception", 10, 12), ("shortcuts", 10, 12),
                                                        ("late branch", 10, 11)])  # fmt: skip
def test_each_connection_is_drawn_once_and_no_arrow_runs_through_a_box(name, layers, connections):
    boxes, _, ways = graph_of(made(name))
    ax = made(name).axes[0]
    made(name).draw_without_rendering()
    words = [text.get_window_extent().transformed(ax.transData.inverted()) for text in ax.texts if text.get_text()]
    assert (len(boxes), len(ways)) == (layers, connections)
    edges = []
    for way in ways:
        dense = np.concatenate([np.linspace(a, b, 100) for a, b in pairwise(way)])
        for box in [*boxes, *words]:
            assert not ((dense > box.min + 0.01) & (dense < box.max - 0.01)).all(axis=1).any()
        start, end = ([n for n, box in enumerate(boxes) if box.padded(0.01).contains(*way[at])] for at in (0, -1))
        edges.append((*start, *end))
        assert boxes[edges[-1][0]].x1 < boxes[edges[-1][1]].x0, "from left to right"
    said = re.findall(r"(\d+) [^;]*? gives [\d×]+(?:, from ([\d and]+))?(?=[;.])", made(name).alt)
    told = [(int(before) - 1, int(index) - 1) for index, parents in said for before in re.findall(r"\d+", parents)]
    assert sorted(edges) == sorted(told) and len(set(edges)) == connections
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_boxes_say_what_their_layers_do():
    conv, relu = "3×3 conv 4", "ReLU"
    said = ["input", conv, relu, conv, relu, "add", "concat", "multiply", "flatten", "dense 10 + softmax"]
    assert sorted(graph_of(made("shortcuts"))[1]) == sorted(said)
    assert set(graph_of(made("inception"))[1]) >= {"3×3 conv + ReLU 32", "norm", "3×3 max pool", "1×1 conv 64"}
    shapes = [text for text in texts(made("inception")) if re.fullmatch(r"\d+×\d+×\d+", text)]
    assert sorted(shapes) == sorted(f"28×28×{n}" for n in (192, 64, 16, 32, 4, 8, 12, 116)), "not of norm and pool"
    make = keras().layers
    strided = keras().Sequential([keras().Input((9, 9, 1)), make.Conv2D(6, 3, strides=2), make.MaxPooling2D(2)])
    assert graph_of(plots.plot_graph(strided))[1] == ["input", "3×3 conv 6, /2", "2×2 max pool /2"]
    assert graph_of(plots.plot_graph(strided))[2][0][:, 1].std() < 1e-9, "a chain is on one line"


# Words


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (lambda: plots.show_images([BYTES, BYTES + 3], titles=["one", "two"], boxes=[None, (0, 1, 3, 3)]),
         "2 images of 3×4. one: 0 to 220, mean 110, middle at row 1.5, column 1.7; "
         "two: 3 to 223, mean 113, middle at row 1.5, column 1.7, box 0 1 3 3."),
        (lambda: plots.show_images([RAMP[::-1]], true_boxes=[(1, 0, 3, 1)]),
         "1 image of 3×4. picture 1: 0 to 11, mean 5.5, middle at row 0.5, column 1.7, true box 1 0 3 1."),
        (lambda: plots.show_images([COLOUR] * 40, titles=["cat", "dog"] * 20, columns=20, row_titles=["a", "b"]),
         "40 images of 3×4, 20 in a row. Rows: a; b. cat (20), dog (20). Mean of each row: 110, 110."),
        (lambda: plots.show_images([PAINTED, 0 * RAMP], titles=["painted", "nothing"]),
         "2 images of 3×4. painted: 0 to 1, mean 0.486, middle at row 1.0, column 3.0; nothing: 0 to 0, mean 0."),
        (lambda: plots.show_convolution(np.eye(2), np.array([[1, -1]]), np.array([[1], [-1]]), at=(1, 0)),
         "input 2×2: 1 0 / 0 1, framed from row 1, column 0, 1×2; kernel 1×2: 1 −1; "
         "output 2×1: 1 / −1, framed from row 1, column 0, 1×1."),
        (lambda: plots.plot_filters(np.array([[[1], [0]], [[0], [-1]]])), "1 filter of 2×2 weights. 0: 1 0 / 0 −1."),
        (lambda: plots.plot_filters(np.ones((3, 3, 2, 6)) * [1, 2, 3, 5, 4, 0]),
         "6 filters of 3×3 weights for each of 2 inputs: 0 to 5, mean 2.5; filter 3 is the strongest."),
        (lambda: plots.plot_feature_maps(DEAD),
         "4 feature maps of 4×4, values −5 to 5, 1 of them all 0. 0: 0 to 0; 1: 5 to 5; 2: −5 to −5; 3: 0 to 1."),
        (lambda: plots.plot_lines([1, 2, 3, 4], {"a": [3, 1, 4, 2], "b": [np.nan, 5, 5, np.nan]}, **LABELS, log="y"),
         "loss over epochs, logarithmic y; a: 3 to 2, x from 1 to 4, lowest 1 at 2, highest 4 at 3; "
         "b: 5 to 5, x from 1 to 4, lowest 5 at 2, highest 5 at 2."),
        (lambda: plots.plot_bars({"a": 1, "b": 200}, x_label="cost", log=True), "Points along cost. a: 1; b: 200."),
        (lambda: plots.plot_bars({"a": 0.25, "b": 2000}, x_label="cost", errors={"a": 0.01, "b": 3}),
         "Bars of cost. a: 0.25 ± 0.01; b: 2,000 ± 3."),
        (lambda: plots.plot_history(HISTORY),
         "best epoch 3, validation loss 0.875. "
         "loss over epoch; training: 2 to 0.5, x from 1 to 4, lowest 0.5 at 4, highest 2 at 1; "
         "validation: 1.9 to 1.5, x from 1 to 4, lowest 0.875 at 3, highest 1.9 at 1; best epoch: place 3. "
         "accuracy over epoch; training: 0.2 to 0.7, x from 1 to 4, lowest 0.2 at 1, highest 0.7 at 4; "
         "validation: 0.3 to 0.5, x from 1 to 4, lowest 0.3 at 1, highest 0.6 at 3; best epoch: place 3."),
        (lambda: plots.plot_confusion([[8, 2], [1, 9]], ["cat", "dog"]),
         "2 classes, true against predicted: 17 of 20 right. cat: 8 2; dog: 1 9."),
        (lambda: plots.plot_network([("image", (8, 8, 3)), ("3×3\nconv", (8, 8, 16))], "LeNet"),
         "LeNet. A network as a row of boxes: image 8×8×3, then 3×3 conv 8×8×16."),
        (chart,
         "training, accuracy over images, logarithmic x; scratch: 0.5 to 0.7, x from 5 to 200, lowest 0.5 at 5, "
         "highest 0.75 at 50, ± 0.02 to 0.1; guessing: level 0.25. main: 2; worker: 1.5 from 0.5; 2; 1.5. "
         "networks: (2012, 3), (2, 4.5); 20 points, x 0 to 19, y 0 to 361; LeNet. "
         "1×2 cells, rows all, columns cat, dog; 0.25."),
    ],
)  # fmt: skip
def test_the_words_hold_the_values(figure, text):
    assert figure().alt == text


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda ax: ax.plot([1, 2], [3, np.nan]), "3 to 3, x from 1 to 2."),
        (lambda ax: ax.plot([], [], label="empty"), "empty: without values."),
        (lambda ax: ax.axvline(3, label="here"), "here: place 3."),
        (lambda ax: ax.bar([0, 1], [5, 6], label="both"), "both, 0: 5; 1: 6."),
        (lambda ax: ax.errorbar([1, 2], [3, 4], [0.5, np.nan], fmt="o"), "3 to 4, x from 1 to 2, ± 0.5 to 0.5."),
        (lambda ax: ax.errorbar([1, 2], [3, 4], [np.nan, np.nan], fmt="o"), "3 to 4, x from 1 to 2."),
        (lambda ax: ax.set(title="a\nb"), "a b."),
    ],
)
def test_what_a_cell_draws_is_described(draw, text):
    figure, ax = plots.axes()
    draw(ax)
    assert figure.alt == text == plots.describe(figure)


def test_axes_are_one_or_a_table_with_labels_and_plain_numbers():
    figure, ax = plots.axes(xlabel="x", ylabel="y", xscale="log", xlim=(1, 1000), size=(5, 2))
    figure.draw_without_rendering()
    assert figure.get_size_inches().tolist() == [5, 2] and (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert {"1", "10", "1,000"} <= set(ticks(ax.xaxis))
    assert ax.get_yticklabels()[1].get_text() != ""
    figure, grid = plots.axes(2, 3, title="each")
    assert grid.shape == (2, 3) and {ax.get_title() for ax in figure.axes} == {"each"}


# Bad arguments

NAN = np.full((3, 3), np.nan)


def refused(message: str, function, *arguments, **named):
    """A call and the start of its error."""
    return pytest.param(message, function, arguments, named, id=f"{function.__name__}-{message}")


@pytest.mark.parametrize(
    "message, function, arguments, named",
    [
        refused("images: got none", plots.show_images, []),
        refused("images: got shape (3, 4, 3), expected a list or a batch", plots.show_images, COLOUR),
        refused("images: got RGB values 0 to 2, ", plots.show_images, [2.0 * (COLOUR > 100)]),
        refused("row_titles: got 1, expected 2", plots.show_images, normal(4, 8, 8), columns=3, row_titles=["a"]),
        refused("masks: got numbers 0 to 220, expected classes from 0 to 14", plots.paint, COLOUR[None], BYTES[None]),
        refused("kernel: got an array with NaN", plots.show_convolution, RAMP, NAN, RAMP),
        refused("images: got RGB values 2 to 2, expected uint8", plots.overlay, 2 * np.ones((1, 3, 3, 1)), FLAT[None]),
        refused("model: got str, expected a functional model", plots.plot_graph, "model"),
        refused("model: got Sequential, expected", lambda: plots.plot_graph(keras().Sequential())),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(message, function, arguments, named):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        function(*arguments, **named)
