"""Figures show the right colours and texts, are drawn once and without warnings, and refuse what they cannot show."""

import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

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
    "maps, each": lambda: plots.plot_feature_maps(normal(9, 7, 5) * np.arange(5), each=True, columns=2),
    "lines": lambda: plots.plot_lines([1, 2, 4], {"a": [1, 2, np.nan], "b": [3, 2, 1]}, **LABELS, log=True),
    "bars": lambda: plots.plot_bars({"one": 1, "many": 123_456}, x_label="parameters", log=True),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_drawn_without_warnings_and_not_left_open(make):
    with np.errstate(all="raise"):
        figure = make()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    png = io.BytesIO()
    figure.savefig(png, format="png")
    assert plt.imread(io.BytesIO(png.getvalue())).std() > 0.01, "the figure is blank"
    assert figure.get_figwidth() <= 10


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_the_same_every_time(make):
    first, second = io.BytesIO(), io.BytesIO()
    for png in (first, second):
        make().savefig(png, format="png")
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda: plots.plot_filters(normal(3, 3, 256, 2)),
        lambda: plots.plot_filters(normal(3, 3, 2, 256)),
        lambda: plots.plot_feature_maps(normal(7, 7, 64), columns=1),
    ],
    ids=["high filters", "wide filters", "high maps"],
)
def test_a_long_grid_fits_too(make):
    figure = make()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_figwidth() <= 10


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
    found = colours_of_tiles(plots.plot_feature_maps(maps, columns=3, titles=list("abcdef")), 2, 3)
    assert found == pytest.approx(viridis.reshape(2, 3, 3), abs=0.01)


def test_filters_have_a_row_for_each_channel_and_a_column_for_each_filter():
    kernel = np.ones((3, 3, 2, 3)) * np.array([[1, 1, 1], [-1, 1, -1]])
    redness = colours_of_tiles(plots.plot_filters(kernel), 2, 3) @ (1, 0, -1)
    assert np.sign(redness).tolist() == [[1, 1, 1], [-1, 1, -1]]
    of_one_channel = colours_of_tiles(plots.plot_filters(kernel, channel=1), 1, 3) @ (1, 0, -1)
    assert np.sign(of_one_channel).tolist() == [[-1, 1, -1]]


def test_dead_and_constant_maps_are_marked():
    maps = np.zeros((4, 4, 4))
    maps[..., 1], maps[..., 2], maps[0, 0, 3] = 5, -5, 1
    for each in (False, True):
        with np.errstate(all="raise"):
            shown = texts(plots.plot_feature_maps(maps, each=each))
        assert (shown.count("dead"), shown.count("constant")) == (1, 2)
        assert texts(plots.plot_feature_maps(normal(4, 4, 3), each=each)) == ["0", "1", "2"]


def test_maps_are_named_or_numbered():
    assert texts(plots.plot_feature_maps(normal(3, 3, 2), titles=["edges", "blobs"])) == ["edges", "blobs"]
    assert texts(plots.plot_feature_maps(normal(3, 3, 32))) == [str(index) for index in range(32)]
    assert texts(plots.plot_feature_maps(normal(3, 3, 33), columns=8)) == ["0", "8", "16", "24", "32"]


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
    x, kernel, y = normal(7, 9), normal(3, 2), normal(3, 4)
    figure = plots.show_convolution(x, kernel, y, at=(2, 3), stride=2)
    assert [ax.get_title() for ax in figure.axes] == ["input 7×9", "kernel 3×2", "output 3×4"]
    assert [frames(ax) for ax in figure.axes] == [[(4, 6, 3, 2)], [], [(2, 3, 1, 1)]]
    assert [len(ax.texts) for ax in figure.axes] == [63, 6, 12]


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


def test_one_line_needs_no_legend():
    (ax,) = plots.plot_lines([1, 2], {"a": [1, 2]}, **LABELS, log=True).axes
    assert ax.get_legend() is None
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


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
    assert plots.plot_bars({"a": 1}, x_label="x", log=True).axes[0].get_xscale() == "log"


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
        refused("stride: got 0, expected", plots.show_convolution, RAMP, RAMP[:2, :2], RAMP, stride=0),
        refused("kernel: got a 1-D array", plots.plot_filters, RAMP[0]),
        refused("kernel: got an array with NaN", plots.plot_filters, NAN),
        refused("kernel: got 600 pictures", plots.plot_filters, normal(3, 3, 20, 30)),
        refused("channel: got 2, expected 0 to 1", plots.plot_filters, normal(3, 3, 2, 4), channel=2),
        refused("channel: got -1, expected", plots.plot_filters, normal(3, 3, 2, 4), channel=-1),
        refused("titles: got 4, expected 8", plots.plot_filters, normal(3, 3, 2, 4), titles=list("abcd")),
        refused("columns: got 1.5, expected", plots.plot_filters, RAMP, columns=1.5),
        refused("maps: got a 2-D array", plots.plot_feature_maps, RAMP),
        refused("maps: got a batch of 2", plots.plot_feature_maps, normal(2, 3, 3, 4)),
        refused("maps: got an array with NaN", plots.plot_feature_maps, NAN[..., None]),
        refused("titles: got 1, expected 4", plots.plot_feature_maps, normal(3, 3, 4), titles=["a"]),
        refused("columns: got 0, expected", plots.plot_feature_maps, normal(3, 3, 4), columns=0),
        refused("x: got a 2-D array", plots.plot_lines, RAMP, {"a": RAMP}, **LABELS),
        refused("x: got an array with NaN", plots.plot_lines, NAN[0], {"a": [1, 2, 3]}, **LABELS),
        refused("lines: got none", plots.plot_lines, [1, 2], {}, **LABELS),
        refused("lines['a']: got 3 values, expected 2", plots.plot_lines, [1, 2], {"a": [1, 2, 3]}, **LABELS),
        refused("x: ", plots.plot_lines, [0, 1], {"a": [1, 2]}, **LABELS, log=True),
        refused("values: got none", plots.plot_bars, {}, x_label="x"),
        refused("values: got 0, expected more than 0", plots.plot_bars, {"a": 1, "b": 0}, x_label="x", log=True),
        refused("values: ", plots.plot_bars, {"a": float("nan")}, x_label="x"),
    ],
)
def test_bad_arguments_are_named(message, function, arguments, named):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        function(*arguments, **named)
    assert plt.get_fignums() == []
