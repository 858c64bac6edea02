"""Every figure of the course: arrays or Keras layers in, a matplotlib ``Figure`` out.

A cell shows the figure by ending with it. Grids of images are composed into one array and drawn as a single
image, since hundreds of small Axes are slow. Signed values use a diverging map with white at zero, others
grey (images), viridis (activations) or white to orange (errors); the range of values is written beside them.
"""

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache

import matplotlib
import matplotlib.figure
import matplotlib.style
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image

from . import descriptions
from .validation import check_array, check_integer, number_text, size_text

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of the classes of a mask: none for the first, then seven told apart on light and dark grey, then these, lighter.
CLASS_COLOURS = np.array([to_rgb(colour) for colour in ("white", *PALETTE[:4], "#F0E442", "#882255", PALETTE[4])])
CLASS_COLOURS = np.concatenate([CLASS_COLOURS, 0.5 + 0.5 * CLASS_COLOURS[1:]])
SIGNED, SEQUENTIAL, GREY, ERRORS, HEAT = "RdBu_r", "viridis", "gray", "Oranges", "inferno"
SHAPES = "osD^vP*X<>"  # of points; with the palette, the first 70 pairs of colour and shape differ
HIGHLIGHT, TRUTH = PALETTE[4], PALETTE[5]
DPI = 90
WIDTH = 9.5  # inches; fits a notebook's column and a slide
FRAME = 0.022  # inches: two dots of the screen
MOST_MAPS = 512
WIDEST = 13  # inches, of a drawing of a network
FONT = 9  # points, of the words in such a drawing and beside bubbles
MOST_GROUPS = 5  # of bubbles
MOST_LAYERS = 40  # of a graph
KINDS = {"weights": PALETTE[0], "pool": PALETTE[4], "element": PALETTE[5], "join": PALETTE[3], "other": "#DDDDDD"}
# In a graph: words of layers' names as they are written, and the kind of a layer with such a word
SHORT = {
    "batch normalization": "norm", "normalization": "norm", "pooling": "pool", "zero padding": "pad", "re lu": "ReLU",
    "input layer": "input", "concatenate": "concat",
}  # fmt: skip
KIND_OF = {
    "conv": "weights", "dense": "weights", "pool": "pool", "norm": "element", "ReLU": "element",
    "activation": "element",
}  # fmt: skip


# Whatever style the user has set, and texts as they are written: a class may be called "$x$".
_own_style = matplotlib.style.context(["default", {"text.parse_math": False}])


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that knows what it shows, in words and with its values: `alt`, which is its plain text.

    Jupyter stores the words beside the image, for those who do not see it, and nbval compares them. The image is made
    here, so that it appears whatever backend is set.
    """

    alt = ""

    @_own_style
    def draw(self, renderer) -> None:
        super().draw(renderer)

    @_own_style
    def savefig(self, *args, **kwargs) -> None:
        super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        return {"text/plain": self.alt}, {"image/png": {"alt": self.alt}}


@_own_style
def show_images(
    images,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    row_titles: Sequence[str] | None = None,
    boxes: Sequence | None = None,
    true_boxes: Sequence | None = None,
) -> Figure:
    """Draw images side by side, each pixel at the same scale.

    Parameters
    ----------
    images
        A batch ``(n, h, w, c)`` or ``(n, h, w)``, or a list of ``(h, w)``, ``(h, w, 1)`` or RGB ``(h, w, 3)``; sizes
        may differ. uint8 is shown from 0 to 255. Other grey images share one scale from 0, and those with
        negative values share one that is symmetric around zero. RGB floats have to lie in 0 to 1.
    titles
        One for each image.
    columns
        Images in a row; by default up to eight.
    row_titles
        One for each row, written to the left of it.
    boxes
        For each image None, ``(top, left, height, width)`` in pixels of a box to frame, or a list of such boxes. What
        lies outside of the image is cut off.
    true_boxes
        The same, framed in another colour: where `boxes` are predicted, those that should have been.

    Raises
    ------
    ValueError
        For no images, a wrong rank or number of titles or boxes, NaN, RGB values out of range, or a box without area.
    """
    if not isinstance(images, (list, tuple)):
        shape = np.shape(images)
        if len(shape) not in (3, 4) or (len(shape) == 3 and shape[2] in (1, 3)):
            raise ValueError(
                f"images: got one image or a number, of shape {shape}, expected a list or a batch (n, h, w, c)"
            )
    arrays = _checked_images(images)
    titles = _checked_titles(titles, len(arrays))
    columns = min(len(arrays), 8) if columns is None else check_integer("columns", columns, 1)
    if row_titles is not None:
        _check_length("row_titles", row_titles, math.ceil(len(arrays) / columns), "one for each row")
    truths = _checked_boxes("true_boxes", true_boxes, len(arrays))
    guesses = _checked_boxes("boxes", boxes, len(arrays))
    frames = [
        [(box, TRUTH) for box in truth] + [(box, HIGHLIGHT) for box in guess]
        for truth, guess in zip(truths, guesses, strict=True)
    ]

    floats = [array for array in arrays if array.ndim == 2 and array.dtype != np.uint8]
    signed_limit = max((_largest(array) for array in floats if array.min() < 0), default=0)
    grey_limit = max((_largest(array) for array in floats if array.min() >= 0), default=0)
    tiles = []
    for index, array in enumerate(arrays):
        if array.ndim == 3:
            tiles.append(_rgb(f"images[{index}]", array))
        elif array.dtype == np.uint8:
            tiles.append(_colours(array, GREY, 0, 255))
        elif array.min() < 0:
            tiles.append(_colours(array, SIGNED, -signed_limit, signed_limit))
        else:
            tiles.append(_colours(array, GREY, 0, grey_limit))
    # Decimal RGB is a colour to look at, made from something else: its range says nothing.
    valued = [array for array in arrays if not descriptions.is_picture(array)]
    captions = None
    if valued and len(arrays) <= 16:
        captions = ["" if descriptions.is_picture(array) else _range(array) for array in arrays]
    figure = _grid(tiles, columns, titles, captions, frames=frames, row_titles=row_titles)
    if valued and captions is None:
        ends = [(array.min(), array.max()) for array in valued]
        figure.supxlabel(f"values {_range(np.array(ends))}", fontsize=9, color="#555555")
    figure.alt = descriptions.images(arrays, columns, titles, row_titles, guesses, truths)
    return figure


def overlay(images, maps) -> np.ndarray:
    """Lay a heat map over each image, which turns grey.

    Parameters
    ----------
    images
        A batch ``(n, h, w, 3)`` or ``(n, h, w, 1)``, uint8 or floats from 0 to 1.
    maps
        ``(n, rows, columns)``, not negative, no larger than the images, and enlarged bilinearly to their size. Each is
        scaled so that its own largest value is the hottest, yellow; where it is 0, the image is left grey.

    Returns
    -------
    numpy.ndarray
        RGB ``(n, h, w, 3)``, floats from 0 to 1, to be handed to `show_images`.

    Raises
    ------
    ValueError
        For another rank or number of channels, NaN, values out of range, or maps that do not go with the images.
    """
    grey, maps = _grey(images), check_array("maps", maps, (3,))
    count, height, width = grey.shape
    if len(maps) != count or maps.shape[1] > height or maps.shape[2] > width:
        came = f"{len(maps)} of {size_text(maps.shape[1:])}"
        raise ValueError(f"maps: got {came}, expected {count} of at most {height}×{width}, as the images")
    if maps.min() < 0:
        raise ValueError(f"maps: got {number_text(maps.min())}, expected no negative values")
    shares = [(heat / (heat.max() or 1)).astype(np.float32) for heat in maps]
    heat = np.array([Image.fromarray(share).resize((width, height), Image.Resampling.BILINEAR) for share in shares])
    # Never opaque: the image is to be seen through the hottest places too.
    return np.clip(_tinted(grey, _colours(heat, HEAT, 0, 1), 0.75 * heat), 0, 1)


def paint(images, masks) -> np.ndarray:
    """Tint each pixel of the images by its class.

    Parameters
    ----------
    images
        A batch ``(n, h, w, 3)`` or ``(n, h, w, 1)``, uint8 or floats from 0 to 1. They turn grey.
    masks
        ``(n, h, w)``, whole numbers from 0 to 14. Class 0 stays grey.

    Returns
    -------
    numpy.ndarray
        RGB ``(n, h, w, 3)``, floats from 0 to 1, to be handed to `show_images`.

    Raises
    ------
    ValueError
        For another rank or number of channels, NaN, values out of range, or masks that do not go with the images.
    """
    grey, masks = _grey(images), check_array("masks", masks, (3,))
    if masks.shape != grey.shape:
        came, expected = (f"{len(batch)} of {size_text(batch.shape[1:])}" for batch in (masks, grey))
        raise ValueError(f"masks: got {came}, expected {expected}, as the images")
    if masks.dtype.kind not in "biu" or masks.min() < 0:
        raise ValueError(f"masks: got {masks.dtype} from {number_text(masks.min())}, expected whole numbers from 0")
    if masks.max() >= len(CLASS_COLOURS):
        raise ValueError(f"masks: got class {masks.max()}, expected at most {len(CLASS_COLOURS) - 1}")
    return _tinted(grey, CLASS_COLOURS[masks.astype(int)], 0.7 * (masks > 0))


@_own_style
def show_pixels(
    images,
    *,
    titles: Sequence[str] | None = None,
    highlight: tuple[int, int, int, int] | None = None,
) -> Figure:
    """Draw a small image, or several side by side on one scale of colours, with the numbers written in.

    Parameters
    ----------
    images
        An image ``(h, w)`` or ``(h, w, 1)``, or a list of them; at most 32×32, and 32 columns in all.
    titles
        One for each image.
    highlight
        ``(row, column, height, width)`` of a window of the first image to frame.

    Raises
    ------
    ValueError
        For another rank, larger images, NaN, a wrong number of titles, or a window that leaves the image.
    """
    if not isinstance(images, (list, tuple)):
        images = [images]
    arrays = _checked_images(images)
    width, height = sum(array.shape[1] for array in arrays), max(map(len, arrays))
    if max(array.ndim for array in arrays) > 2 or max(width, height) > 32:
        sizes = ", ".join(size_text(array.shape) for array in arrays)
        raise ValueError(f"images: got {sizes}, expected one channel each and at most 32×32 together")
    titles = _checked_titles(titles, len(arrays))
    if highlight is not None and not _is_inside(highlight, arrays[0]):
        raise ValueError(
            f"highlight: got {highlight}, expected (row, column, height, width) inside {size_text(arrays[0].shape)}"
        )
    everything = np.concatenate([array.ravel() for array in arrays])
    frames = [highlight, *[None] * (len(arrays) - 1)]
    return _number_panels(arrays, [_scale(everything, GREY)] * len(arrays), titles, frames)


@_own_style
def show_convolution(x, kernel, y, *, at: tuple[int, int] = (0, 0)) -> Figure:
    """Draw input, kernel and output side by side; small ones with their numbers.

    Parameters
    ----------
    x, kernel, y
        Input (padded already, if it is), kernel and output, each ``(h, w)``.
    at
        ``(row, column)`` of an output value; it and the window that it came from, with stride 1, are framed.

    Raises
    ------
    ValueError
        For another rank, NaN, `at` outside `y`, or a window outside `x`.
    """
    panels = [check_array(name, value, (2,)) for name, value in (("x", x), ("kernel", kernel), ("y", y))]
    x, kernel, y = panels
    if not _is_inside((*at, 1, 1), y):
        raise ValueError(f"at: got {at}, expected a place inside y of shape {y.shape}")
    window = (*at, *kernel.shape)
    if not _is_inside(window, x):
        raise ValueError(f"at: got {at}, whose window leaves x of shape {x.shape}")

    titles = [f"input {size_text(x.shape)}", f"kernel {size_text(kernel.shape)}", f"output {size_text(y.shape)}"]
    if max(x.shape) <= 12:
        scales = [_scale(panel, GREY) for panel in panels]
        return _number_panels(panels, scales, titles, [window, None, (*at, 1, 1)])
    # A kernel on a photograph would be a dot at the photograph's scale: give it at least a fifth of its width.
    widths = [x.shape[1], max(kernel.shape[1], x.shape[1] // 5), y.shape[1]]
    height = x.shape[0] * (WIDTH - 0.8) / sum(widths)
    figure = _figure(WIDTH, height + 0.6)
    for ax, panel, title in zip(figure.subplots(1, 3, width_ratios=widths), panels, titles, strict=True):
        ax.imshow(_colours(panel, *_scale(panel, GREY)), interpolation="nearest")
        ax.set_title(f"{title}\n{_range(panel)}", fontsize=9)
        ax.axis("off")
    figure.alt = descriptions.pixels(panels, titles, [None] * 3)
    return figure


@_own_style
def plot_filters(kernel, *, titles: Sequence[str] | None = None) -> Figure:
    """Draw the filters of a convolution, white at zero, all on one scale.

    Parameters
    ----------
    kernel
        ``(h, w)``, ``(h, w, out)`` for one input channel, Keras's ``(h, w, in, out)``, or a built Keras layer.
        With several input channels, up to 32, each has a row and each filter a column.
    titles
        One for each picture.

    Raises
    ------
    ValueError
        For a layer without weights, another rank, NaN, a wrong number of titles, or more than 512 pictures.
    """
    if hasattr(kernel, "get_weights"):
        weights = kernel.get_weights()
        if not weights:
            raise ValueError(f"kernel: got layer {kernel.name!r} without weights, expected a built convolution")
        kernel = weights[0]
    array = check_array("kernel", kernel, (2, 3, 4))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[:, :, None, :]
    height, width, inputs, filters = array.shape
    _check_count("kernel", inputs * filters)
    titles = _checked_titles(titles, inputs * filters)
    limit = _largest(array)
    maps = array.transpose(2, 3, 0, 1).reshape(inputs * filters, height, width)
    tiles = _colours(maps, SIGNED, -limit, limit)
    is_table = inputs > 1 and max(inputs, filters) <= 32
    figure = _grid(tiles, filters if is_table else _columns(len(tiles)), titles)
    _colourbar(figure, SIGNED, -limit, limit)
    figure.alt = descriptions.filters(array, titles)
    return figure


@_own_style
def plot_feature_maps(maps, *, each: bool = False, titles: Sequence[str] | None = None) -> Figure:
    """Draw the feature maps of one image; those that are all 0, and other constant ones, are marked.

    Parameters
    ----------
    maps
        ``(h, w, channels)`` or a batch of one, ``(1, h, w, channels)``; 1 to 512 channels.
    each
        Give each map a colour scale of its own. By default all share one, so that a faint map looks faint.
    titles
        One for each map; by default its index, beyond 32 maps at the start of each row.

    Raises
    ------
    ValueError
        For another rank or batch size, NaN, too many maps, or a wrong number of titles.
    """
    array = check_array("maps", maps, (3, 4))
    if array.ndim == 4:
        if len(array) != 1:
            raise ValueError(f"maps: got a batch of {len(array)}, expected the maps of one image")
        array = array[0]
    count = array.shape[-1]
    _check_count("maps", count)
    titles = _checked_titles(titles, count)

    shared = _scale(array, SEQUENTIAL)
    separate = np.moveaxis(array, -1, 0)
    if each:
        tiles = [_colours(tile, *_scale(tile, SEQUENTIAL)) for tile in separate]
    else:
        tiles = _colours(separate, *shared)
    lowest, highest = separate.min(axis=(1, 2)), separate.max(axis=(1, 2))
    marks = ["" if low < high else "constant" if high else "all 0" for low, high in zip(lowest, highest, strict=True)]
    columns = _columns(count)
    alt = descriptions.feature_maps(array, titles)
    if titles is None:
        # Beyond 32 maps only those that start a row: every text takes as long to draw as many maps.
        titles = [str(index) if count <= 32 or index % columns == 0 else "" for index in range(count)]
    figure = _grid(tiles, columns, titles, marks=marks)
    figure.alt = alt
    if each:
        figure.supxlabel("each map on a scale of its own", fontsize=9, color="#555555")
    else:
        _colourbar(figure, *shared)
    return figure


@_own_style
def plot_lines(
    x,
    lines: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    title: str | None = None,
    log: str = "",
    markers: bool = True,
) -> Figure:
    """Draw curves over a common `x`, each labelled.

    Parameters
    ----------
    x
        The common positions, one number for each value of a curve.
    lines
        Values by label; NaN leaves a gap.
    log
        Which axes are logarithmic: ``""``, ``"x"``, ``"y"`` or ``"xy"``.

    Raises
    ------
    ValueError
        For no curve, one that is not as long as `x`, another `log`, or an `x` that a logarithmic axis cannot show.
    """
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"log: got {log!r}, expected '', 'x', 'y' or 'xy'")
    x = check_array("x", x, (1,))
    if "x" in log:
        _check_positive("x", x)
    if not lines:
        raise ValueError("lines: got none, expected at least one curve")
    figure = _figure(WIDTH * 0.8, 3.6)
    ax = figure.add_subplot()
    for index, (label, values) in enumerate(lines.items()):
        if len(values) != len(x):
            raise ValueError(f"lines[{label!r}]: got {len(values)} values, expected {len(x)}, as in x")
        marker = SHAPES[index % len(SHAPES)] if markers else None
        ax.plot(x, values, marker=marker, markersize=5, color=PALETTE[index % len(PALETTE)], label=label)
    _set_positions(ax, x, "x" in log)
    ax.set(xlabel=x_label, ylabel=y_label, title=title)
    if "y" in log:
        ax.set_yscale("log")
        _number_ticks(ax.yaxis)
    _tidy(ax)
    if len(lines) > 1:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))  # beside: it hides no curve
    figure.alt = descriptions.curves(x, lines, x_label, y_label, title, log)
    return figure


@_own_style
def plot_panels(
    x,
    panels: Mapping[str, Mapping[str, Sequence]],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    columns: int = 2,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Draw curves with error bars in panels on one scale, each label in the same colour and shape in all of them.

    Parameters
    ----------
    x
        The common positions; the curves stand a little beside them, so that no error bar covers another.
    panels
        By title and label, ``(means, spreads)``, each as long as `x`; a spread is half the length of an error bar.
        NaN leaves out the point or the bar.
    log
        Put `x` on a logarithmic axis, with ticks at its values.
    columns
        Panels in a row.
    levels
        By title, the value of `y` of a dashed line across that panel.

    Raises
    ------
    ValueError
        For no panels or curves, wrong lengths, negative spreads, infinity, levels of other panels, or an `x` that a
        logarithmic axis cannot show.
    """
    x = check_array("x", x, (1,)).astype(float)
    if log:
        _check_positive("x", x)
    if not panels or not all(panels.values()):
        raise ValueError("panels: got none, or one without curves, expected at least one curve in each")
    for title, label, pair in [(title, *curve) for title, curves in panels.items() for curve in curves.items()]:
        name, shapes = f"panels[{title!r}][{label!r}]", [np.shape(part) for part in pair]
        if shapes != [x.shape] * 2:
            raise ValueError(f"{name}: got shapes {shapes}, expected means and spreads, {len(x)} of each, as in x")
        if np.isinf(pair).any() or np.less(pair[1], 0).any():
            raise ValueError(f"{name}: got infinity or a spread below 0, expected neither")
    levels = {title: check_array(f"levels[{title!r}]", y, (0,)).item() for title, y in (levels or {}).items()}
    if not set(levels) <= set(panels):
        raise ValueError(f"levels: got {', '.join(levels)}, expected titles of panels, {', '.join(panels)}")
    columns = min(check_integer("columns", columns, 1), len(panels))
    rows, width = math.ceil(len(panels) / columns), min(WIDTH, 5.2 * columns)
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    places = np.log(x) if log else x
    gaps = np.diff(np.unique(places))
    step = min(0.012 * max(columns, 2) * gaps.sum(), 0.6 * gaps.min() / len(labels)) if len(gaps) else 0.02

    in_a_row = max(1, int((width - 0.2) / (_widest(labels, 10) + 0.7)))
    figure = _figure(width, 2.7 * rows + 0.3 + 0.22 * math.ceil(len(labels) / in_a_row))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    bars = {}
    for index, (ax, title) in enumerate(zip(axes, panels, strict=False)):
        for label, (means, spreads) in panels[title].items():
            order = labels.index(label)
            beside = places + (order - (len(labels) - 1) / 2) * step
            bars[label] = ax.errorbar(
                np.exp(beside) if log else beside, means, spreads, marker=SHAPES[order % len(SHAPES)], markersize=5,
                color=PALETTE[order % len(PALETTE)], linewidth=1.4, elinewidth=1.2, capsize=2.5,
            )  # fmt: skip
        if title in levels:
            ax.axhline(levels[title], color="#777777", linestyle="--", linewidth=1, zorder=1)
        _set_positions(ax, x, log)
        is_lowest = index + columns >= len(panels)
        ax.tick_params(labelbottom=is_lowest)
        ax.set(xlabel=x_label if is_lowest else None, ylabel=y_label if index % columns == 0 else None)
        ax.set_title(textwrap.fill(title, int(11 * width / columns)), fontsize=10)
        _tidy(ax)
    for ax in axes[len(panels) :]:
        ax.remove()
    figure.legend([bars[label] for label in labels], labels, loc="outside lower center", ncols=in_a_row, frameon=False)
    figure.alt = descriptions.panels(x, panels, x_label, y_label, levels)
    return figure


@_own_style
def plot_bars(
    values: Mapping[str, float], *, x_label: str, log: bool = False, errors: Mapping[str, float] | None = None
) -> Figure:
    """Draw labelled horizontal bars, first on top, each with its number; points where the axis is logarithmic.

    Parameters
    ----------
    values
        Lengths by label.
    errors
        By label, half the length of an error bar.

    Raises
    ------
    ValueError
        For no values, NaN, values that a logarithmic axis cannot show, errors that are negative or of other labels.
    """
    if not values:
        raise ValueError("values: got none, expected at least one bar")
    lengths = check_array("values", list(values.values()), (1,)).tolist()
    if log:
        _check_positive("values", lengths)
    spread = None
    if errors is not None:
        if list(errors) != list(values):
            raise ValueError(f"errors: got {', '.join(errors)}, expected {', '.join(values)}, as in values")
        spread = check_array("errors", list(errors.values()), (1,))
        if spread.min() < 0:
            raise ValueError(f"errors: got {number_text(spread.min())}, expected lengths from 0")
    figure = _figure(WIDTH * 0.75, 0.42 * len(values) + 0.9)
    ax = figure.add_subplot()
    numbers = [number_text(length) for length in lengths]
    if log:  # without a zero, lengths would mean nothing
        ax.errorbar(lengths, list(values), xerr=spread, fmt="o", color=PALETTE[0], ecolor=PALETTE[4], capsize=3)
        for row, (length, number) in enumerate(zip(lengths, numbers, strict=True)):
            ax.annotate(number, (length, row), xytext=(8, 0), textcoords="offset points", va="center")
        ax.set_xscale("log")
        _number_ticks(ax.xaxis)
        ax.grid(axis="x", alpha=0.3)
    else:
        bars = ax.barh(list(values), lengths, color=PALETTE[0], xerr=spread, ecolor=PALETTE[4], capsize=3)
        ax.bar_label(bars, labels=numbers, padding=4)
    ax.invert_yaxis()
    ax.margins(x=0.15, y=0.15 if log else None)
    ax.set(xlabel=x_label)
    ax.spines[["top", "right"]].set_visible(False)
    figure.alt = descriptions.bars(values, x_label, errors, log)
    return figure


@_own_style
def plot_history(history) -> Figure:
    """Draw the loss and the first metric over the epochs, and mark the epoch of the lowest validation loss.

    Parameters
    ----------
    history
        What ``fit`` returns, or its ``.history``: values by name, one for each epoch. NaN leaves a gap.

    Raises
    ------
    ValueError
        For something else, a history without epochs or without loss, or curves of different lengths.
    """
    record = getattr(history, "history", history)
    if not isinstance(record, Mapping):
        raise ValueError(f"history: got {type(history).__name__}, expected what fit returns, or its .history")
    epochs = len(record.get("loss", ()))
    if not epochs:
        raise ValueError(f"history: got {', '.join(record) or 'nothing'}, expected the loss of at least one epoch")
    curves = {}
    for name, values in record.items():
        curves[name] = np.array(values, dtype=float)
        if curves[name].shape != (epochs,):
            raise ValueError(f"history[{name!r}]: got {len(values)} values, expected {epochs}, as in loss")
        curves[name][~np.isfinite(curves[name])] = np.nan
    others = [name for name in curves if name not in ("loss", "learning_rate", "lr")]
    metrics = [name for name in others if not name.startswith("val_") and not name.endswith("_loss")]
    watched = curves.get("val_loss", np.full(epochs, np.nan))
    best = None if np.isnan(watched).all() else int(np.nanargmin(watched))

    shown = ["loss", *metrics[:1]]
    figure = _figure(WIDTH if len(shown) > 1 else WIDTH * 0.6, 3.4)
    x = np.arange(1, epochs + 1)
    # Few epochs or gaps: a point without neighbours makes no line.
    has_markers = epochs <= 30 or any(np.isnan(values).any() for values in curves.values())
    for ax, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for index, (label, key) in enumerate((("training", name), ("validation", f"val_{name}"))):
            if key in curves:
                marker = "os"[index] if has_markers else None
                ax.plot(x, curves[key], marker=marker, markersize=4, color=PALETTE[index], label=label)
        if best is not None:
            ax.axvline(best + 1, color="#555555", linestyle="--", linewidth=1.2, zorder=0, label="best epoch")
        ax.set(xlabel="epoch", ylabel="accuracy" if "acc" in name else name.replace("_", " "))
        ax.set_xlim(0.5, epochs + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _tidy(ax)
    if best is not None:
        figure.suptitle(f"best epoch {best + 1}, validation loss {number_text(watched[best])}", fontsize=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()  # Keras records the loss wherever it records a metric
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)  # below: it hides no curve
    figure.alt = descriptions.history(curves, shown, best)
    return figure


@_own_style
def plot_confusion(matrix, class_names: Sequence[str]) -> Figure:
    """Draw which class was called what: each count in its cell, the errors coloured by their share of the row.

    Parameters
    ----------
    matrix
        Counts ``(classes, classes)``, a row for each true class and a column for each predicted one. Beyond 20 classes
        only the colours are drawn.
    class_names
        One for each class.

    Raises
    ------
    ValueError
        For a matrix that is not square, counts that are negative or not whole, or a wrong number of names.
    """
    matrix = check_array("matrix", matrix, (2,))
    count = len(matrix)
    if matrix.shape != (count, count):
        raise ValueError(f"matrix: got {size_text(matrix.shape)}, expected as many rows as columns")
    for odd in matrix[(matrix < 0) | (matrix != np.rint(matrix))]:
        raise ValueError(f"matrix: got {number_text(odd)}, expected counts, whole and not negative")
    _check_length("class_names", class_names, count, "one for each row")

    # The diagonal is grey: coloured it would drown the errors, which are what to look at.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    limit = _largest(shares)
    colours = _colours(shares, ERRORS, 0, limit)
    colours[np.eye(count, dtype=bool)] = 0.85
    numbers = [[f"{number:.0f}" if number and count <= 20 else "" for number in row] for row in matrix]
    names = [str(name) for name in class_names]
    font = max(4, min(9, 300 / count))
    beside = _widest(names, font)
    cell = min(0.6, 5 / count, (WIDTH - 1.8 - beside) / count)
    below = beside if beside > 0.9 * cell else 0.2
    figure = _figure(max(3.2, count * cell + beside + 1.7), max(2.4, count * cell + below + 0.6))
    figure.set_layout_engine("compressed")  # with a square and a bar beside it, "constrained" cuts a label off
    ax = figure.add_subplot()
    _draw_table(ax, colours, numbers, cell)
    _name_cells(ax, names, names, cell, font)
    ax.set(xlabel="predicted class", ylabel="true class")
    _colourbar(figure, ERRORS, 0, 100 * limit)
    figure.axes[1].set_ylabel("errors, % of the true class", fontsize=8)
    figure.alt = descriptions.confusion(matrix, names)
    return figure


@_own_style
def plot_heat_map(
    values, *, row_names: Sequence, column_names: Sequence, x_label: str, y_label: str, title: str | None = None
) -> Figure:
    """Draw a table of numbers from 0 to 1, each in a cell coloured by its value.

    Parameters
    ----------
    values
        ``(rows, columns)``.
    row_names, column_names
        One for each row and column.

    Raises
    ------
    ValueError
        For another rank, NaN, or a wrong number of names.
    """
    values = check_array("values", values, (2,))
    rows, columns = values.shape
    _check_length("row_names", row_names, rows, "as many as in values")
    _check_length("column_names", column_names, columns, "as many as in values")
    beside, below = _widest(row_names, FONT), _widest(column_names, FONT)
    cell = min(0.62, (WIDTH - 1.6 - beside) / columns)
    height = rows * min(cell, 0.4) + (below if below > 0.9 * cell else 0.2) + (0.9 if title else 0.6)
    figure = _figure(columns * cell + beside + 1.6, height)
    ax = figure.add_subplot()
    numbers = [[f"{value:.2f}".replace("-", "−") for value in row] for row in values]
    _draw_table(ax, _colours(values, SEQUENTIAL, 0, 1), numbers, cell)
    _name_cells(ax, row_names, column_names, cell, FONT)
    ax.set(xlabel=x_label, ylabel=y_label, title=title, aspect="auto")
    _colourbar(figure, SEQUENTIAL, 0, 1)
    figure.alt = descriptions.table(values, row_names, column_names, title)
    return figure


@_own_style
def plot_timeline(lanes: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw who worked when: a lane for each worker, a bar for each piece of work, in turns of two colours.

    Parameters
    ----------
    lanes
        Pieces of work, ``(start, end)`` in seconds, by worker; time is counted from the first start.

    Raises
    ------
    ValueError
        For no work at all, or a piece that ends before it starts.
    """
    pieces = [piece for work in lanes.values() for piece in work]
    if not pieces:
        raise ValueError("lanes: got none, expected at least one piece of work")
    times = check_array("lanes", pieces, (2,))
    if times.shape[1] != 2 or (times[:, 1] < times[:, 0]).any():
        raise ValueError("lanes: expected pairs (start, end), the end not before the start")
    origin = times.min()
    figure = _figure(WIDTH, 0.5 * len(lanes) + 0.8)
    ax = figure.add_subplot()
    for lane, work in enumerate(lanes.values()):
        bars = [(1000 * (start - origin), 1000 * (end - start)) for start, end in work]
        ax.broken_barh(bars, (lane - 0.35, 0.7), facecolors=[PALETTE[0], PALETTE[5]], edgecolor="white")
    ax.set_yticks(range(len(lanes)), labels=list(lanes))
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set(xlabel="milliseconds")
    _tidy(ax, grid="x")
    figure.alt = descriptions.timeline(lanes)
    return figure


@_own_style
def plot_calibration(confidence, correct) -> Figure:
    """Draw how often predictions of about the same confidence are right; on the diagonal it is as often as they say.

    Predictions are taken together in steps of 0.1. Each point is at the mean confidence and the share that is correct
    of one step, its area and the number beside it say how many predictions it stands for.

    Parameters
    ----------
    confidence
        The probability of the predicted class, 0 to 1, one for each image.
    correct
        Whether that class was the right one, one for each image.

    Raises
    ------
    ValueError
        For values out of range, NaN, something other than True and False, or different lengths.
    """
    confidence, correct = check_array("confidence", confidence, (1,)), check_array("correct", correct, (1,))
    if confidence.min() < 0 or confidence.max() > 1:
        raise ValueError(f"confidence: got values {_range(confidence)}, expected 0 to 1")
    for odd in correct[~np.isin(correct, (0, 1))]:
        raise ValueError(f"correct: got {number_text(odd)}, expected True or False")
    if len(correct) != len(confidence):
        raise ValueError(f"correct: got {len(correct)} values, expected {len(confidence)}, as in confidence")
    steps = np.minimum((10 * confidence).astype(int), 9)  # 1.0 is in the last step
    filled, counts = np.unique(steps, return_counts=True)
    means = np.array([confidence[steps == step].mean() for step in filled])
    shares = np.array([correct[steps == step].mean() for step in filled])
    areas = np.maximum(400 * counts / counts.max(), 6)  # square points

    figure = _figure(4.6, 4.6)
    ax = figure.add_subplot()
    ax.plot([0, 1], [0, 1], linestyle="--", linewidth=1.2, color="#555555", zorder=1)
    ax.scatter(means, shares, s=areas, color=PALETTE[0], alpha=0.8, clip_on=False, zorder=2)
    for mean, share, area, count in zip(means, shares, areas, counts, strict=True):
        # On the side away from the diagonal, but not on the axis below
        side = -1 if 0.12 < share < mean else 1
        ax.annotate(
            f"{count:,}", (mean, share), xytext=(0, side * (math.sqrt(area) / 2 + 2)), textcoords="offset points",
            ha="center", va="bottom" if side > 0 else "top", fontsize=8,
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip
    ax.tick_params(pad=7)  # a point in the corner is as large
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean confidence", ylabel="share correct")
    _tidy(ax)
    figure.alt = descriptions.calibration(steps, correct)
    return figure


@_own_style
def plot_points(panels: Mapping[str, Sequence], labels, class_names: Sequence[str]) -> Figure:
    """Draw points in the plane side by side, a colour and a shape for each class; beyond ten classes only a colour.

    Parameters
    ----------
    panels
        Points ``(n, 2)`` by title: first and second component, both on one scale.
    labels
        The class of each point, ``(n,)`` whole numbers from 0, the same in all panels.
    class_names
        One for each class; beyond ten there is no legend.

    Raises
    ------
    ValueError
        For no panels, points or labels of another shape, NaN, or a label without a name.
    """
    if not panels:
        raise ValueError("panels: got none, expected at least one")
    labels, count = check_array("labels", labels, (1,)), len(class_names)
    for odd in labels[~np.isin(labels, range(count))]:
        raise ValueError(f"labels: got {number_text(odd)}, expected 0 to {count - 1}, as in class_names")
    points = {title: check_array(f"panels[{title!r}]", own, (2,)) for title, own in panels.items()}
    for title, own in points.items():
        if own.shape != (len(labels), 2):
            raise ValueError(f"panels[{title!r}]: got {size_text(own.shape)}, expected {len(labels)}×2, as labels")
    is_named = count <= len(SHAPES)
    beside = _widest(class_names, FONT) + 0.6 if is_named else 0
    side = min(3.4, (WIDTH - beside) / len(points))
    figure = _figure(side * len(points) + beside, max(side, 0.2 * count if is_named else 0) + 0.1)
    colours = PALETTE if is_named else matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 1, count))
    area = np.clip(9000 / len(labels), 10, 30)  # square points
    for ax, (title, own) in zip(figure.subplots(1, len(points), squeeze=False)[0], points.items(), strict=True):
        for index in range(count):
            shape, colour = SHAPES[index] if is_named else "o", colours[index % len(colours)]
            ax.scatter(
                *own[labels == index].T, s=area, marker=shape, color=colour, alpha=0.75, lw=0.3, edgecolor="white"
            )
        ax.set_aspect("equal", adjustable="datalim")
        ax.set(xticks=[], yticks=[], xlabel="first component", ylabel="second component")
        ax.set_title(textwrap.fill(title, max(8, int(11 * side))), fontsize=10)
    if is_named:
        legend = figure.legend(ax.collections, class_names, loc="outside right center", frameon=False, fontsize=FONT)
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1)
    figure.alt = descriptions.points(points, labels, class_names)
    return figure


@_own_style
def plot_bubbles(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    lines: Mapping[str, float] | None = None,
    log: str = "",
    title: str | None = None,
) -> Figure:
    """Draw labelled points, a colour and a shape for each group; where sizes are given, circles of that area.

    Parameters
    ----------
    groups
        By the name of a group and the label of a point, its ``(x, y)`` or ``(x, y, size)``; at most five groups.
    lines
        By text, the value of `y` of a dashed line across.
    log
        ``"x"`` for a logarithmic axis.

    Raises
    ------
    ValueError
        For no points or too many groups, points that are not two or three finite numbers, sizes of some points only or
        not above 0, another `log`, or an `x` that a logarithmic axis cannot show.
    """
    if log not in ("", "x"):
        raise ValueError(f"log: got {log!r}, expected '' or 'x'")
    if not 1 <= len(groups) <= MOST_GROUPS:
        raise ValueError(f"groups: got {len(groups)}, expected 1 to {MOST_GROUPS}")
    owners = np.repeat(range(len(groups)), [len(points) for points in groups.values()])
    labels = [str(label) for points in groups.values() for label in points]
    values = _points(groups)
    if log and values[:, 0].min() <= 0:
        lowest = number_text(values[:, 0].min())
        raise ValueError(f"groups: got x = {lowest}, expected more than 0 on a logarithmic axis")
    heights = {text: check_array(f"lines[{text!r}]", y, (0,)).item() for text, y in (lines or {}).items()}
    is_sized = values.shape[1] == 3
    diameters = 90 * np.sqrt(values[:, 2] / values[:, 2].max()) if is_sized else np.full(len(values), 8)  # points
    looks = [{"marker": "o" if is_sized else SHAPES[index], "color": PALETTE[index]} for index in range(len(groups))]

    figure = _figure(WIDTH, 4.8)
    ax = figure.add_subplot()
    order = np.argsort(-diameters, kind="stable")  # small ones in front
    for index, look in enumerate(looks):
        own = order[owners[order] == index]
        ax.scatter(*values[own, :2].T, s=diameters[own] ** 2, lw=0.8, edgecolor="white", alpha=0.75, zorder=3, **look)
    if log:
        ax.set_xscale("log")
        _number_ticks(ax.xaxis)
    else:
        _set_positions(ax, values[:, 0], log=False)
    ax.set(xlabel=x_label, ylabel=y_label, title=title)
    ax.margins(0.15, 0.3 if is_sized else 0.06)
    _tidy(ax)
    if len(groups) > 1:
        handles = [Line2D([], [], linestyle="", markersize=8, **look) for look in looks]
        figure.legend(handles, groups, loc="outside lower center", ncols=len(groups), frameon=False)
    for text, y in heights.items():
        ax.axhline(y, color="#555555", linestyle="--", linewidth=1.2, zorder=1)
        ax.annotate(
            text, (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=FONT, color="#555555", annotation_clip=False,
        )  # fmt: skip
    figure.draw_without_rendering()  # lays out what there is: the labels go where it leaves room
    _label_points(ax, labels, values[:, :2], diameters / 2, list(heights.values()))
    figure.alt = descriptions.bubbles(groups, x_label, y_label, heights, title)
    return figure


@_own_style
def plot_network(layers: Sequence[tuple[str, Sequence[int]]], title: str | None = None) -> Figure:
    """Draw a network as a row of boxes, one for each layer's output, on one scale for all networks.

    A box is as high and deep as the square root of its map's height and width, and as wide as that of the number of
    channels; the bar of a dense layer is as high as the logarithm of its units. Sides beyond 400 are drawn as 400.

    Parameters
    ----------
    layers
        ``(label, shape)`` from the input to the output, each shape ``(height, width, channels)`` or ``(units,)``. The
        first is grey, and those with "pool" in the label have a colour of their own.

    Raises
    ------
    ValueError
        For no layers, another shape, or more boxes than fit beside each other.
    """
    if not layers:
        raise ValueError("layers: got none, expected at least one")
    shapes, sizes = [], []
    for index, (_, shape) in enumerate(layers):
        if len(shape) not in (1, 3):
            raise ValueError(f"layers[{index}]: got shape {shape}, expected (height, width, channels) or (units,)")
        shapes.append([check_integer(f"layers[{index}]", side, 1) for side in shape])
        sizes.append(_box_size(shapes[-1]))
    wide, high, deep = np.array(sizes).T
    above, below = [label.strip() for label, _ in layers], list(map(size_text, shapes))
    over, under = _text_sizes(above), _text_sizes(below)
    slots = np.max([wide + deep, over[:, 0], under[:, 0]], axis=0) + 0.17
    if slots.sum() > WIDEST:
        raise ValueError(
            f"layers: got {len(layers)} that need {slots.sum():.1f} inches, expected at most {WIDEST}; shorten them"
        )
    pad = 0.07
    highest, lowest = (high / 2 + deep + over[:, 1]).max(), (high / 2 + under[:, 1]).max()
    figure, ax = _sheet(slots.sum(), -lowest - 2 * pad, highest + 2 * pad, title)
    middles = np.cumsum(slots) - slots / 2
    lefts, rights = middles - (wide + deep) / 2, middles + (wide + deep) / 2
    for index, (left, right, middle) in enumerate(zip(lefts, rights, middles, strict=True)):
        front, top, depth = left + wide[index], high[index] / 2, deep[index]
        kind = "other" if index == 0 else "pool" if "pool" in layers[index][0].lower() else "weights"
        colour = np.array(to_rgb(KINDS[kind]))
        lid = [(left, top), (front, top), (right, top + depth), (left + depth, top + depth)]
        side = [(front, -top), (front, top), (right, top + depth), (right, -top + depth)]
        for corners, shade in ((lid, 0.5 + 0.5 * colour), (side, 0.7 * colour)):
            ax.add_patch(Polygon(corners, facecolor=shade, edgecolor="white", linewidth=0.6))
        ax.add_patch(Rectangle((left, -top), wide[index], 2 * top, facecolor=colour, edgecolor="white", linewidth=0.6))
        ax.text(middle, top + depth + pad, above[index], ha="center", va="bottom", fontsize=FONT)
        ax.text(middle, -top - pad, below[index], ha="center", va="top", fontsize=FONT, color="#555555")
        if index:
            _draw_arrow(ax, Path([(rights[index - 1] + 0.04, 0), (left - 0.04, 0)]))
    figure.alt = descriptions.network(layers, title)
    return figure


@_own_style
def plot_graph(model, title: str | None = None) -> Figure:
    """Draw the layers of a small Keras model as boxes, from left to right, with an arrow for each connection.

    Below a box is the shape of its output where it differs from that of its input.

    Parameters
    ----------
    model
        A functional model, or a Sequential one whose input is known, with at most 40 layers. A model inside it is one
        box.

    Raises
    ------
    ValueError
        For another kind of model, one that is not built, or one with too many layers to draw beside each other.
    """
    nodes = _nodes(model)
    parents = [[nodes.index(parent) for parent in dict.fromkeys(node.parent_nodes)] for node in nodes]
    columns = []
    for before in parents:
        columns.append(1 + max((columns[parent] for parent in before), default=-1))
    rows, lanes = _rows(parents, columns)
    shapes = [size_text(node.outputs[0].shape[1:]) for node in nodes]
    new = [{shapes[parent] for parent in before} != {shape} for shape, before in zip(shapes, parents, strict=True)]
    below = [shape * is_new for shape, is_new in zip(shapes, new, strict=True)]
    texts, kinds = zip(*map(_box_text, nodes), strict=True)
    boxes, notes = _text_sizes(texts) + 0.1, _text_sizes(below)
    widths = np.zeros(max(columns) + 1)
    np.maximum.at(widths, columns, np.maximum(boxes, notes)[:, 0])
    gap = 0.34 if (widths + 0.34).sum() <= WIDEST else 0.24
    width = (widths + gap).sum()
    if width > WIDEST:
        raise ValueError(
            f"model: got {len(widths)} layers in a row that need {width:.1f} inches, expected at most {WIDEST}; "
            "draw a part of it"
        )
    lefts = gap / 2 + np.r_[0, np.cumsum(widths + gap)]
    # Around each row's middle line the room that its boxes need; below them are the shapes.
    over, under = np.full((2, max(*rows, *lanes.values(), 0) + 1), 0.12)
    np.maximum.at(over, rows, boxes[:, 1] / 2 + 0.08)
    np.maximum.at(under, rows, boxes[:, 1] / 2 + 0.08 + notes[:, 1])
    middles = -(np.cumsum(over) + np.r_[0, np.cumsum(under)[:-1]])
    figure, ax = _sheet(width, middles[-1] - under[-1], 0, title)
    centres = [(lefts[column] + widths[column] / 2, middles[row]) for column, row in zip(columns, rows, strict=True)]
    for centre, box, text, kind, shape in zip(centres, boxes, texts, kinds, below, strict=True):
        ax.add_patch(Rectangle(centre - box / 2, *box, facecolor=KINDS[kind], edgecolor="#333333", linewidth=0.8))
        ink = _ink(np.array(to_rgb(KINDS[kind]))).item()
        ax.text(*centre, text, ha="center", va="center", fontsize=FONT, color=ink)
        if shape:
            y = centre[1] - box[1] / 2 - 0.03
            ax.text(centre[0], y, shape, ha="center", va="top", fontsize=FONT, color="#555555")
    for (start, end), lane in lanes.items():
        first, last = centres[start] + boxes[start] * (0.5, 0), centres[end] - boxes[end] * (0.5, 0)
        _draw_arrow(ax, _route(first, last, middles[lane], lefts[columns[start] + 1] - gap, lefts[columns[end]], gap))
    figure.alt = descriptions.graph(texts, shapes, parents, title)
    return figure


@cache
def _text_width(text: str, font: float) -> float:
    """In inches, rounded up, so that versions of a font that differ by a hair give figures of one size."""
    return math.ceil(TextPath((0, 0), f"{text}.", size=font).get_extents().x1 / 72 * 20) / 20


def _widest(names: Sequence, font: float) -> float:
    return max((_text_width(str(name), font) for name in names), default=0)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _tidy(ax, grid: str = "both") -> None:
    ax.grid(axis=grid, alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _number_ticks(axis) -> None:
    """Numbers, not powers, along a logarithmic axis; between powers of ten too where there are few of these."""
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(lambda value, _: number_text(value))
    axis.set_minor_locator(LogLocator(subs=()))


def _text_sizes(texts: Sequence[str]) -> np.ndarray:
    """Widths and heights in inches of texts of some lines."""
    lines = [text.split("\n") if text else [] for text in texts]
    return np.array([(_widest(own, FONT), len(own) * 1.2 * FONT / 72) for own in lines])


def _sheet(width: float, low: float, high: float, title: str | None):
    """A figure and its Axes in inches, from 0 to `width` and from `low` to `high`, wider where the title is."""
    heading = 0.35 if title else 0
    room = max(width, 1.2, 4 / 3 * _widest([title or ""], FONT) + 0.2)
    figure = _figure(*(math.ceil(20 * length) / 20 for length in (room, high - low + heading)))
    figure.set_layout_engine("none")
    (wide, tall), ax = figure.get_size_inches(), figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=((width - wide) / 2, (width + wide) / 2), ylim=(low, low + tall))
    ax.axis("off")
    if title:
        ax.text(width / 2, low + tall - 0.08, title, ha="center", va="top", fontsize=4 / 3 * FONT)
    return figure, ax


def _draw_arrow(ax, path: Path) -> None:
    ax.add_patch(PathPatch(path, fill=False, edgecolor="#333333", linewidth=1.1, capstyle="butt"))
    x, y = path.vertices[-1]
    ax.add_patch(Polygon([(x, y), (x - 0.08, y + 0.035), (x - 0.08, y - 0.035)], color="#333333", linewidth=0))


def _points(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> np.ndarray:
    """All points below each other, x and y, and the sizes where there are any."""
    values = []
    for name, points in groups.items():
        if not points:
            raise ValueError(f"groups[{name!r}]: got no points, expected at least one")
        for label, point in points.items():
            where = f"groups[{name!r}][{label!r}]"
            values.append(check_array(where, point, (1,)))
            if len(point) not in (2, 3):
                raise ValueError(f"{where}: got {point}, expected (x, y) or (x, y, size)")
            if len(point) != len(values[0]):
                raise ValueError(f"{where}: got {point}, expected a size for all points or none")
            if len(point) == 3 and point[2] <= 0:
                raise ValueError(f"{where}: got size {number_text(point[2])}, expected more than 0")
    return np.array(values, dtype=float)


def _set_positions(ax, x: np.ndarray, log: bool) -> None:
    """Ticks at each `x` of a logarithmic axis, and at whole numbers of another where all of `x` are whole."""
    if log:
        ax.set_xscale("log")
        ax.set_xticks(x, labels=[number_text(value) for value in x], minor=False)
        ax.set_xticks([], minor=True)
    elif np.array_equal(x, np.rint(x)):  # epochs or steps: nothing lies between two
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _label_points(ax, labels: Sequence[str], places: np.ndarray, radii: np.ndarray, heights: Sequence[float]) -> None:
    """Write each label beside its point, which is a circle, clear of other circles, of labels and of lines across.

    The radii are in points, the places and the heights of the lines in data.
    """
    corner, room, scale = ax.bbox.min, ax.bbox.size * 72 / DPI, 72 / DPI
    points = (ax.transData.transform(places) - corner) * scale
    rules = [(ax.get_yaxis_transform().transform((0, y))[1] - corner[1]) * scale for y in heights]
    taken = [((0, y - 0.6), (room[0], y + 0.6)) for y in rules]

    def is_free(low, high, owner: int) -> bool:
        away = np.hypot(*(np.clip(points, low, high) - points).T) - radii
        met = any((low < upper).all() and (high > lower).all() for lower, upper in taken)
        inside = (low > 0).all() and (high < room).all()
        return inside and not met and 0 < away.min() > away[owner] - 0.5  # nearest to its own

    sizes = 72 * _text_sizes(labels)
    for index in np.argsort(-points[:, 1], kind="stable"):  # from top to bottom
        offsets = [
            np.array(direction) * (gap + radii[index] / np.hypot(*direction) + sizes[index] / 2)
            for gap in (2, 8, 16)
            for direction in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
        ]
        middles = points[index] + offsets
        boxes = list(zip(middles - sizes[index] / 2, middles + sizes[index] / 2, strict=True))
        chosen = next((place for place, box in enumerate(boxes) if is_free(*box, index)), 0)
        taken.append(boxes[chosen])
        note = ax.annotate(
            labels[index], places[index], xytext=offsets[chosen], textcoords="offset points",
            ha="center", va="center", fontsize=FONT, zorder=4, annotation_clip=False,
        )  # fmt: skip
        note.set_in_layout(False)


def _box_size(shape: Sequence[int]) -> tuple[float, float, float]:
    """Width, height and depth in inches of a layer's box; see `plot_network`."""
    if len(shape) == 1:
        return 0.12, max(0.15, 0.42 * math.log10(shape[0])), 0.05
    high, deep = (0.11 * math.sqrt(min(side, 400)) for side in shape[:2])
    return max(0.05, 0.018 * math.sqrt(shape[2])), high, 0.18 * deep


def _nodes(model) -> list:
    """The calls of a Keras model's layers, each after those that it depends on."""
    try:
        ends = [tensor._keras_history for tensor in model.outputs]
    except (AttributeError, TypeError, ValueError):
        came = type(model).__name__
        raise ValueError(f"model: got {came}, expected a functional model or a Sequential one that is built") from None
    if len(model.layers) > MOST_LAYERS:
        raise ValueError(f"model: got {len(model.layers)} layers, expected at most {MOST_LAYERS}; draw a part of it")
    found: dict = {}

    def visit(node) -> None:
        if node not in found:
            for parent in node.parent_nodes:
                visit(parent)
            found[node] = None

    for end in ends:
        visit(end.operation._inbound_nodes[end.node_index])
    return list(found)


def _box_text(node) -> tuple[str, str]:
    """What to write into the box of a layer, and which of `KINDS` it is."""
    layer = node.operation
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\dD", "", type(layer).__name__)).lower()
    for long, short in SHORT.items():
        text = text.replace(long, short)
    others = "join" if len(node.parent_nodes) > 1 else "other"
    kind = next((kind for word, kind in KIND_OF.items() if word in text), others)
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear").replace("relu", "ReLU")
    if text == "activation":
        return activation, kind
    if hasattr(layer, "layers"):  # a model
        text = layer.name.replace("_", " ")
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if size:
        text = f"{size_text(size)} {text}"
    if hasattr(layer, "units"):
        text += f" {layer.units}"
    if activation != "linear":
        text += f"\n+ {activation}"
    details = [str(layer.filters)] if hasattr(layer, "filters") else []
    stride = np.max(getattr(layer, "strides", 1))
    if stride > 1:
        details.append(f"/{stride}")
    return "\n".join([text, ", ".join(details)]).strip(), kind


def _rows(parents: Sequence[Sequence[int]], columns: Sequence[int]) -> tuple[list[int], dict]:
    """The row of each box, and by ``(start, end)`` the row in which a connection runs between their columns.

    A box is in the row of the first that it reads, or in the next one below that is free; a connection that skips
    columns is in the nearest row that is free all the way.
    """
    rows: list[int] = []
    taken: set[tuple[int, int]] = set()
    for column, before in zip(columns, parents, strict=True):
        row = rows[before[0]] if before else 0
        while (column, row) in taken:
            row += 1
        rows.append(row)
        taken.add((column, row))
    lanes = {}
    for start, end in [(start, end) for end, before in enumerate(parents) for start in before]:
        between = range(columns[start] + 1, columns[end])
        rooms = range(-len(parents), len(parents))
        free = [row for row in rooms if not any((column, row) in taken for column in between)]
        lane = min(free, key=lambda row: (abs(row - rows[start]) + abs(row - rows[end]), abs(row - rows[end])))
        lanes[start, end] = lane
        taken.update((column, lane) for column in between)
    used = sorted({*rows, *lanes.values()})
    return [used.index(row) for row in rows], {edge: used.index(row) for edge, row in lanes.items()}


def _route(start, end, lane: float, left: float, right: float, gap: float) -> Path:
    """From a box to another: to the height `lane`, which is free from `left` + `gap` to `right` − `gap`, and on."""
    bend = gap - 0.08  # the rest is straight, for the head of the arrow
    bends = [(left, start[1], lane), (right - gap, lane, end[1])]
    if right - left < gap + 1e-6:  # no column in between
        bends = [(left, start[1], end[1])]
    vertices, codes = [start], [Path.MOVETO]
    for x, before, after in bends:
        middle = x + bend / 2
        vertices += [(x, before), (middle, before), (middle, after), (x + bend, after)]
        codes += [Path.LINETO, *[Path.CURVE4] * 3]
    return Path([*vertices, end], [*codes, Path.LINETO])


def _checked_images(images) -> list[np.ndarray]:
    """Grey images as ``(h, w)``, RGB ones as ``(h, w, 3)``."""
    arrays = []
    for index, image in enumerate(images):
        array = check_array(f"images[{index}]", image, (2, 3))
        if array.ndim == 3 and array.shape[2] not in (1, 3):
            raise ValueError(f"images[{index}]: got {array.shape[2]} channels, expected 1 or 3; see plot_feature_maps")
        arrays.append(array[..., 0] if array.shape[2:] == (1,) else array)
    if not arrays:
        raise ValueError("images: got none, expected at least one")
    return arrays


def _rgb(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array / 255
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{name}: got RGB values {_range(array)}, expected uint8, or floats from 0 to 1")
    return array.astype(float)


def _grey(images) -> np.ndarray:
    """The luminance of a batch, ``(n, h, w)``, floats from 0 to 1."""
    images = check_array("images", images, (4,))
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"images: got {channels} channels, expected 1 or 3")
    return _rgb("images", images) @ ((0.299, 0.587, 0.114) if channels == 3 else (1,))


def _tinted(grey: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours laid over grey images, each pixel's as opaque as said, 0 to 1."""
    return (1 - opacity[..., None]) * grey[..., None] + opacity[..., None] * colours


def _range(array: np.ndarray) -> str:
    return f"{number_text(array.min())} … {number_text(array.max())}"


def _scale(array: np.ndarray, unsigned_map: str) -> tuple[str, float, float]:
    """Colour map and limits: symmetric around zero for signed values, from zero otherwise."""
    limit = _largest(array)
    return (SIGNED, -limit, limit) if array.min() < 0 else (unsigned_map, 0.0, limit)


def _largest(array: np.ndarray) -> float:
    """The largest magnitude; 1 where all is zero, so that there is a range to divide by."""
    return float(np.abs(array.astype(float)).max()) or 1.0


def _colours(array: np.ndarray, colour_map: str, low: float, high: float) -> np.ndarray:
    return matplotlib.colormaps[colour_map](Normalize(low, high)(array.astype(float)))[..., :3]


def _ink(colours: np.ndarray) -> np.ndarray:
    """What to write in on each of these colours: black or white, whichever has more contrast (WCAG 2: 4.5 or more)."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return np.where(linear @ (0.2126, 0.7152, 0.0722) < 0.179, "white", "black")


def _columns(count: int) -> int:
    """Tiles in a row of a grid about twice as wide as high."""
    return min(count, max(8, math.ceil(math.sqrt(2 * count))))


def _grid(
    tiles: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None,
    captions: Sequence[str] | None = None,
    marks: Sequence[str] | None = None,
    frames: Sequence[Sequence[tuple]] | None = None,
    row_titles: Sequence[str] | None = None,
) -> Figure:
    """Compose RGB tiles into one picture and draw it once; texts go above, below, beside and onto the tiles."""
    columns = min(columns, len(tiles))
    beside = _widest(row_titles, FONT) + 0.1 if row_titles else 0
    rows = math.ceil(len(tiles) / columns)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    # All in inches: the gaps hold a line of text each, whatever the size of a pixel.
    # As large as a slide allows, and no smaller than can be seen, however many rows somebody asks for.
    tile_width = max(0.05, min((WIDTH - 0.8 - beside) / columns, 2.6, 4.2 / rows * width / height))
    longest = max(map(len, titles)) if titles else 1
    font = max(4, min(10, 115 * tile_width / max(longest, 4)))
    caption_font = min(8, 6 * tile_width) if captions else 0
    gap = 0.1 * tile_width
    above = 13 / 72 if titles else gap / 2  # of the largest font: titles that a network wrote do not change the size
    below = (caption_font + 4) / 72 if captions else gap / 2
    # Small tiles are enlarged by a whole factor, so that gaps and frames come out as thin as they should.
    factor = max(1, math.ceil(70 * tile_width / width))
    pixel = tile_width / (width * factor)
    top, bottom, side = (max(2, math.ceil(inches / pixel)) for inches in (above, below, gap))
    step_y, step_x = height * factor + top + bottom, width * factor + side
    indent = math.ceil(beside / pixel)
    canvas = np.ones((rows * step_y, indent + columns * step_x, 3), dtype=np.float32)
    places = []
    for index, tile in enumerate(tiles):
        tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
        y = index // columns * step_y + top + (height * factor - tile.shape[0]) // 2
        x = indent + index % columns * step_x + side // 2 + (width * factor - tile.shape[1]) // 2
        canvas[y - 1 : y + tile.shape[0] + 1, x - 1 : x + tile.shape[1] + 1] = 0.7  # a thin frame
        for box, colour in frames[index] if frames else ():
            _frame(tile, [factor * edge for edge in box], math.ceil(FRAME / pixel), colour)
        canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        places.append((x + (tile.shape[1] - 1) / 2, y, y + tile.shape[0]))

    figure = _figure(max(canvas.shape[1] * pixel + 0.15, 1.2), canvas.shape[0] * pixel + 0.1)
    ax = figure.add_subplot()
    ax.imshow(canvas, interpolation="nearest", aspect="equal")
    ax.axis("off")

    def write(x: float, y: float, text: str, **look) -> None:
        # The gaps were made for the texts; laying them out again takes half of the time.
        ax.text(x, y, text, **{"ha": "center", **look}).set_in_layout(False)

    for row, text in enumerate(row_titles or ()):
        middle = row * step_y + top + height * factor / 2
        write(math.ceil((beside - 0.06) / pixel), middle, text, ha="right", va="center", fontsize=FONT)
    for index, (centre, upper, lower) in enumerate(places):
        if titles and titles[index]:
            write(centre, upper - top * 0.15, titles[index], va="bottom", fontsize=font)
        if captions:
            write(centre, lower + bottom * 0.1, captions[index], va="top", fontsize=caption_font, color="#555555")
        if marks and marks[index]:
            edged = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": PALETTE[1]}
            mark_font = max(4, min(9, 12 * tile_width))
            write(centre, (upper + lower) / 2, marks[index], va="center", fontsize=mark_font, bbox=edged)
    return figure


def _frame(tile: np.ndarray, box: Sequence[float], thickness: int, colour: str) -> None:
    """Draw the inner edge of a box ``(top, left, height, width)`` onto a tile; all in its pixels."""
    top, left, height, width = box
    high, wide = tile.shape[:2]
    edges = np.clip(np.rint([top, top + height, left, left + width]), 0, [high, high, wide, wide])
    top, bottom, left, right = edges.astype(int)
    inside = tile[top:bottom, left:right]
    for edge in (np.s_[:thickness], np.s_[-thickness:], np.s_[:, :thickness], np.s_[:, -thickness:]):
        inside[edge] = to_rgb(colour)


def _colourbar(figure: Figure, colour_map: str, low: float, high: float) -> None:
    mappable = ScalarMappable(Normalize(low, high), colour_map)
    near = 0.07 * (high - low)  # round numbers between the ends, but where their labels would meet
    ticks = [low, *(t for t in MaxNLocator(4).tick_values(low, high) if low + near < t < high - near), high]
    bar = figure.colorbar(mappable, ax=figure.axes[0], fraction=0.05, pad=0.02, aspect=15, shrink=0.9, ticks=ticks)
    bar.set_ticklabels([number_text(tick) for tick in ticks], fontsize=8)


def _number_panels(
    arrays: Sequence[np.ndarray], scales: Sequence[tuple], titles: Sequence[str] | None, frames: Sequence
) -> Figure:
    """Draw arrays side by side, each with its numbers; `frames` are windows to frame, None for none."""
    widths = [array.shape[1] for array in arrays]
    cell = min(0.5, (WIDTH - 0.5) / sum(widths))
    height = max(len(array) for array in arrays) * cell + (0.45 if titles else 0.2)
    figure = _figure(sum(widths) * cell + 0.25 * len(arrays), height)
    axes = figure.subplots(1, len(arrays), width_ratios=widths, squeeze=False)[0]
    for ax, array, scale, frame in zip(axes, arrays, scales, frames, strict=True):
        numbers = [[number_text(value) for value in row] for row in array]
        _draw_table(ax, _colours(array, *scale), numbers, cell)
        if frame is not None:
            row, column, rows, columns = frame
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, columns, rows, fill=False, color=HIGHLIGHT, linewidth=3, clip_on=False))
    for ax, title in zip(axes, titles or (), strict=False):
        ax.set_title(title, fontsize=10)
    figure.alt = descriptions.pixels(arrays, titles, frames)
    return figure


def _draw_table(ax, colours: np.ndarray, texts: Sequence[Sequence[str]], cell: float) -> None:
    """Draw coloured cells, `cell` inches wide, each with its text."""
    ax.imshow(colours, interpolation="nearest")
    font = min(11, 72 * cell / (0.65 * max(len(text) for row in texts for text in row) + 0.7))
    ink = _ink(colours)
    for row, column in np.ndindex(ink.shape):
        if texts[row][column]:
            ax.text(column, row, texts[row][column], ha="center", va="center", fontsize=font, color=ink[row, column])
    ax.set(xticks=[], yticks=[])
    ax.set_xticks(np.arange(0.5, ink.shape[1] - 1), minor=True)
    ax.set_yticks(np.arange(0.5, ink.shape[0] - 1), minor=True)
    ax.grid(which="minor", color="#aaaaaa", linewidth=0.5)
    ax.tick_params(which="both", length=0)


def _name_cells(ax, row_names: Sequence, column_names: Sequence, cell: float, font: float) -> None:
    is_wide = _widest(column_names, font) > 0.9 * cell
    ax.set_xticks(range(len(column_names)), labels=column_names, fontsize=font, rotation=90 if is_wide else 0)
    ax.set_yticks(range(len(row_names)), labels=row_names, fontsize=font)


def _check_count(name: str, count: int) -> None:
    if count > MOST_MAPS:
        raise ValueError(f"{name}: got {count} pictures, expected at most {MOST_MAPS}")


def _check_length(name: str, values: Sequence, expected: int, which: str) -> None:
    if len(values) != expected:
        raise ValueError(f"{name}: got {len(values)}, expected {expected}, {which}")


def _check_positive(name: str, values) -> None:
    if min(values) <= 0:
        raise ValueError(f"{name}: got {number_text(min(values))}, expected more than 0 on a logarithmic axis")


def _checked_titles(titles: Sequence | None, count: int) -> list[str] | None:
    if titles is None:
        return None
    _check_length("titles", titles, count, "one for each picture")
    return [str(title) for title in titles]


def _checked_boxes(argument: str, boxes: Sequence | None, count: int) -> list[list]:
    """A list of boxes for each image."""
    if boxes is None:
        return [[]] * count
    _check_length(argument, boxes, count, "one for each image")
    checked = []
    for index, entry in enumerate(boxes):
        name = f"{argument}[{index}]"
        if entry is None:
            checked.append([])
        elif np.ndim(entry) == 0 or (len(entry) and np.ndim(entry[0]) == 0):
            checked.append([_checked_box(name, entry)])
        else:
            checked.append([_checked_box(f"{name}[{place}]", box) for place, box in enumerate(entry)])
    return checked


def _checked_box(name: str, box) -> list[float]:
    edges = check_array(name, box, (1,)).tolist()
    if len(edges) != 4:
        raise ValueError(f"{name}: got {box}, expected (top, left, height, width)")
    if min(edges[2:]) <= 0:
        raise ValueError(f"{name}: got {box}, expected a positive height and width")
    return edges


def _is_inside(window: Sequence[int], array: np.ndarray) -> bool:
    if len(window) != 4:
        return False
    row, column, height, width = window
    fits = row + height <= array.shape[0] and column + width <= array.shape[1]
    return fits and min(row, column) >= 0 and min(height, width) >= 1
