"""Heat maps over images, scatter plots of classes, and panels of curves with error bars."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from helpers import plots
from test_plots import names, normal

# A warning would be stored in a notebook. Matplotlib itself uses what newer versions of its parser deprecate.
pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LABELS = {"x_label": "images per class", "y_label": "accuracy"}
X = [2, 5, 10, 20, 50]
BYTES = np.random.default_rng(0).integers(0, 256, (2, 12, 18, 3), dtype=np.uint8)
SPOT = np.zeros((2, 4, 6))
SPOT[0, 1, 4], SPOT[1, 3, 0] = 5, 0.01
CLASSES = np.arange(40) % 3


def grey_of(images: np.ndarray) -> np.ndarray:
    return np.repeat((images / 255 @ (0.299, 0.587, 0.114))[..., None], 3, axis=-1)


def curves(*names: str, spread: float = 0.1) -> dict:
    """A curve for each name, at a height of its own."""
    return {name: (np.linspace(0.2, 0.8, 5) + 0.02 * n, np.full(5, spread)) for n, name in enumerate(names)}


METHODS = ("from scratch", "feature extraction", "fine-tuning")
FOUR = {title: curves(*METHODS) for title in ("surfaces (similar)", "photographs (similar)", "digits", "shapes")}
CHANCE = dict.fromkeys(FOUR, 0.1)


def drawn(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def bars_of(ax) -> list[ErrorbarContainer]:
    return [bars for bars in ax.containers if isinstance(bars, ErrorbarContainer)]


FIGURES = {
    "points": lambda: plots.plot_points({"a": normal(40, 2)}, CLASSES, names(3)),
    "long names": lambda: plots.plot_points(
        dict.fromkeys(["a title that is wide " * 3, "b", "c"], normal(40, 2)), CLASSES, names(10, "american_pit_bull")
    ),
    "37 classes": lambda: plots.plot_points({"a": normal(40, 2), "b": normal(40, 2)}, CLASSES, names(37)),
    "one place": lambda: plots.plot_points({"a": np.zeros((40, 2))}, CLASSES, names(3)),
    "four panels": lambda: plots.plot_panels(X, FOUR, **LABELS, log=True, levels=CHANCE),
    "three panels": lambda: plots.plot_panels(X, dict(list(FOUR.items())[:3]), **LABELS),
    "long labels": lambda: plots.plot_panels(X, {"a": curves(*names(8, "a method with the number"))}, **LABELS),
    "long titles": lambda: plots.plot_panels(X, {8 * f"{n} words ": curves("a") for n in "abcd"}, **LABELS, columns=4),
    "one position": lambda: plots.plot_panels([5], {"a": {"b": ([1], [0]), "c": ([1], [0])}}, **LABELS, log=True),
    "nothing": lambda: plots.plot_panels(X, {"a": {"b": ([np.nan] * 5, [np.nan] * 5)}}, **LABELS),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_fits_and_nothing_is_cut_off_or_covered(make):
    figure = drawn(make())
    assert plt.get_fignums() == []
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0
    assert width <= plots.WIDTH + 1e-9
    assert height <= 6.2
    axes = [ax.get_tightbbox() for ax in figure.axes]
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(ax) for ax in axes)
    titles = [ax.title.get_window_extent() for ax in figure.axes]
    assert not any(one.overlaps(other) for n, one in enumerate(titles) for other in titles[:n])


def test_the_hottest_place_is_where_the_map_is_largest():
    result = plots.overlay(BYTES, SPOT)
    assert result.shape == BYTES.shape
    added = np.abs(result - grey_of(BYTES)).sum(axis=-1)
    heat = result[..., 0] - result[..., 2]  # of grey 0, of yellow the most
    for index, (row, column) in enumerate([(1, 4), (3, 0)]):
        y, x = np.unravel_index(heat[index].argmax(), heat[index].shape)
        assert (y // 3, x // 3) == (row, column)
        far = np.hypot(*(np.indices((12, 18)) - np.array([3 * row + 1, 3 * column + 1])[:, None, None])) > 6
        assert added[index][far].max() < 1e-6, "grey where the map is 0"


def test_a_map_of_zeros_leaves_the_image_in_grey():
    np.testing.assert_allclose(plots.overlay(BYTES, np.zeros((2, 3, 3))), grey_of(BYTES), atol=1e-12)
    one = BYTES[..., :1]
    np.testing.assert_allclose(plots.overlay(one, np.zeros((2, 1, 1), bool)), np.repeat(one / 255, 3, -1), atol=1e-12)


def test_bytes_and_floats_give_the_same():
    np.testing.assert_allclose(plots.overlay(BYTES, SPOT), plots.overlay(BYTES / 255, SPOT), atol=1e-12)


@given(st.floats(1e-30, 1e30), st.integers(1, 12), st.integers(1, 18))
def test_the_scale_of_a_map_does_not_matter(factor, rows, columns):
    maps = np.abs(normal(2, rows, columns))
    result = plots.overlay(BYTES, maps)
    assert 0 <= result.min() and result.max() <= 1
    # A hair of difference may lead to the next of the 256 colours
    np.testing.assert_allclose(plots.overlay(BYTES, maps * [[[factor]], [[1]]]), result, atol=0.03)


def test_the_image_is_seen_through_and_hotter_is_brighter():
    """A step of the image stays a step under the hottest map; on black, brightness rises with the map."""
    image = np.zeros((1, 2, 50, 1), np.uint8)
    image[0, 1] = 255
    ramp = np.linspace(0, 1, 50) * np.ones((1, 2, 1))
    dark, light = plots.overlay(image, ramp)[0]
    assert ((light - dark).sum(axis=-1) > 0.7).all()
    assert (np.diff(dark @ (0.299, 0.587, 0.114)) > 0).all()


def test_an_overlay_can_be_shown():
    white = np.ones((1, 8, 8, 3))
    drawn(plots.show_images(plots.overlay(white, np.ones((1, 2, 2)))))
    drawn(plots.show_images(plots.overlay(white, np.zeros((1, 2, 2)))))


def test_points_are_in_the_panel_and_class_they_came_in():
    panels = {"one": normal(40, 2), "two": 5 + normal(40, 2)}
    figure = plots.plot_points(panels, CLASSES, ["a", "b", "c"])
    for ax, (title, points) in zip(figure.axes, panels.items(), strict=True):
        assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == (title, "first component", "second component")
        for index, dots in enumerate(ax.collections):
            np.testing.assert_array_equal(dots.get_offsets(), points[index == CLASSES])
    assert legend_of(figure) == ["a", "b", "c"]


def test_ten_classes_differ_in_colour_and_shape_and_more_have_no_legend():
    figure = plots.plot_points({"a": normal(40, 2)}, np.arange(40) % 10, range(10))
    dots = figure.axes[0].collections
    assert legend_of(figure) == [str(n) for n in range(10)]
    assert len({one.get_paths()[0].vertices.tobytes() for one in dots}) == 10
    more = plots.plot_points({"a": normal(40, 2)}, np.arange(40) % 11, range(11))
    assert more.legends == []
    assert len({to_hex(one.get_facecolor()[0]) for one in more.axes[0].collections}) == 11


def test_both_components_have_one_scale():
    ax = drawn(plots.plot_points({"a": normal(40, 2) * [9, 1]}, CLASSES, names(3))).axes[0]
    (left, right), (low, high), box = ax.get_xlim(), ax.get_ylim(), ax.get_window_extent()
    assert (right - left) / box.width == pytest.approx((high - low) / box.height)


def test_panels_share_their_scale_their_colours_and_a_legend():
    panels = {"one": curves("a", "b"), "two": curves("b", "c", "a"), "three": {"a": ([5] * 5, [1] * 5)}}
    figure = drawn(plots.plot_panels(X, panels, **LABELS))
    assert legend_of(figure) == ["a", "b", "c"]
    assert [ax.get_title() for ax in figure.axes] == list(panels)
    (limits,) = {ax.get_ylim() for ax in figure.axes}
    assert limits[0] < 0.1 and limits[1] > 6, "with the error bars"
    looks = {}
    for ax, own in zip(figure.axes, panels.values(), strict=True):
        for label, bars in zip(own, bars_of(ax), strict=True):
            line = bars.lines[0]
            np.testing.assert_array_equal(line.get_ydata(), own[label][0])
            assert looks.setdefault(label, (line.get_color(), line.get_marker())) == (
                line.get_color(),
                line.get_marker(),
            )
    assert len(set(looks.values())) == 3
    assert [ax.get_xlabel() for ax in figure.axes] == ["", *[LABELS["x_label"]] * 2]
    assert [ax.get_ylabel() for ax in figure.axes] == [LABELS["y_label"], "", LABELS["y_label"]]
    shown = [any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks()) for ax in figure.axes]
    assert shown == [False, True, True]


def test_a_spread_is_half_of_a_bar_and_nan_leaves_out():
    panels = {"one": {"a": ([1, 2, np.nan, 4, 5], [0.5, np.nan, 1, 0, 2])}}
    (bars,) = bars_of(drawn(plots.plot_panels(X, panels, **LABELS)).axes[0])
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments() if len(segment)])
    np.testing.assert_allclose(ends, [[0.5, 1.5], [4, 4], [3, 7]])
    np.testing.assert_array_equal(bars.lines[0].get_ydata().astype(float), panels["one"]["a"][0])


@pytest.mark.parametrize(("log", "columns"), [(False, 1), (True, 2), (True, 4)])
def test_error_bars_stand_side_by_side_in_the_order_of_their_labels(log, columns):
    ax = drawn(plots.plot_panels(X, dict(list(FOUR.items())[:columns]), **LABELS, log=log, columns=columns)).axes[0]
    places = np.array([bars.lines[0].get_xdata() for bars in bars_of(ax)])
    pixels = ax.transData.transform(np.c_[places.ravel(), np.ones(places.size)])[:, 0].reshape(places.shape)
    apart = np.diff(pixels, axis=0)
    assert (apart > (4 if log else 2)).all() and apart.max() < 12
    assert (pixels[-1, :-1] < pixels[0, 1:]).all(), "each group is clear of the next"
    middle = np.exp(np.log(places).mean(axis=0)) if log else places.mean(axis=0)
    np.testing.assert_allclose(middle, X)


def test_a_logarithmic_axis_has_its_ticks_at_x():
    for ax in plots.plot_panels(X, {"a": curves("b"), "c": curves("d")}, **LABELS, log=True).axes:
        assert ax.get_xscale() == "log"
        assert ax.get_xticks().tolist() == X
        assert ax.get_xticks(minor=True).tolist() == []
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(x) for x in X]


def test_a_level_is_a_dashed_line_in_its_panel():
    panels = {title: curves("a") for title in ("surfaces", "digits", "shapes")}
    figure = plots.plot_panels(X, panels, **LABELS, levels={"digits": 0.125})
    dashed = [[line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] for ax in figure.axes]
    assert dashed == [[], [0.125], []]


ONES, NAN = np.ones((2, 3, 3)), np.full((2, 3, 3), np.nan)


def one_panel(means, spreads) -> dict:
    return {"t": {"l": (means, spreads)}}


def refused(message: str, function, *arguments, **named) -> tuple:
    return message, function, arguments, named


@pytest.mark.parametrize(
    ("message", "function", "arguments", "named"),
    [
        refused("images: got a 3-D array", plots.overlay, BYTES[0], ONES),
        refused("images: got 2 channels, expected 1 or 3", plots.overlay, BYTES[..., :2], ONES),
        refused("images: got RGB values 2 … 2, expected uint8", plots.overlay, 2 * np.ones((2, 3, 3, 1)), ONES),
        refused("maps: got a 2-D array", plots.overlay, BYTES, ONES[0]),
        refused("maps: got an array with NaN, expected", plots.overlay, BYTES, NAN),
        refused("maps: got −1, expected no negative", plots.overlay, BYTES, -ONES),
        refused("maps: got 1 of 3×3, expected 2 of at most 12×18", plots.overlay, BYTES, ONES[:1]),
        refused("maps: got 2 of 13×1, expected 2 of at most 12×18", plots.overlay, BYTES, np.ones((2, 13, 1))),
        refused("maps: got 2 of 1×19, expected 2 of at most 12×18", plots.overlay, BYTES, np.ones((2, 1, 19))),
        refused("panels: got none", plots.plot_points, {}, [0], ["a"]),
        refused("panels['t']: got a 1-D array", plots.plot_points, {"t": [1, 2]}, [0], ["a"]),
        refused("panels['t']: got 1×3, expected 1×2", plots.plot_points, {"t": [[1, 2, 3]]}, [0], ["a"]),
        refused("panels['t']: got 1×2, expected 2×2", plots.plot_points, {"t": [[1, 2]]}, [0, 0], ["a"]),
        refused("panels['t']: got an array with NaN", plots.plot_points, {"t": [[1, np.nan]]}, [0], ["a"]),
        refused("labels: got a 2-D array", plots.plot_points, {"t": [[1, 2]]}, [[0]], ["a"]),
        refused("labels: got 2, expected 0 to 1", plots.plot_points, {"t": [[1, 2]]}, [2], ["a", "b"]),
        refused("labels: got −1, expected 0 to 0", plots.plot_points, {"t": [[1, 2]]}, [-1], ["a"]),
        refused("labels: got 0.5, expected 0 to 1", plots.plot_points, {"t": [[1, 2]]}, [0.5], ["a", "b"]),
        refused("x: got a 2-D array", plots.plot_panels, [[1]], one_panel([1], [0]), **LABELS),
        refused("x: got 0, expected more than 0", plots.plot_panels, [0], one_panel([1], [0]), **LABELS, log=True),
        refused("panels: got none", plots.plot_panels, [1], {}, **LABELS),
        refused("panels: got none, or one without", plots.plot_panels, [1], {"t": {}}, **LABELS),
        refused("panels['t']['l']: got shapes [(2,), (1,)]", plots.plot_panels, [1], one_panel([1, 2], [0]), **LABELS),
        refused("panels['t']['l']: got shapes [(), ()]", plots.plot_panels, [1, 2], one_panel(1, 2), **LABELS),
        refused("panels['t']['l']: got infinity or a s", plots.plot_panels, [1], one_panel([1], [-1]), **LABELS),
        refused("panels['t']['l']: got infinity or a s", plots.plot_panels, [1], one_panel([np.inf], [0]), **LABELS),
        refused("columns: got 0, expected", plots.plot_panels, [1], one_panel([1], [0]), **LABELS, columns=0),
        refused("levels: got s, expected", plots.plot_panels, [1], one_panel([1], [0]), **LABELS, levels={"s": 1}),
        refused(
            "levels['t']: got an array with NaN",
            plots.plot_panels, [1], one_panel([1], [0]), **LABELS, levels={"t": np.nan},
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(message, function, arguments, named):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        function(*arguments, **named)
    assert plt.get_fignums() == []
