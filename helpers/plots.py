"""Every figure of the course: images, filters and feature maps in, a matplotlib figure out, which a cell ends with.

Any other chart is plain matplotlib on the Axes that `axes` makes. A figure says in words what it shows, its plain text.
An argument that cannot be drawn raises ``ValueError``, which names it.
"""

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import matplotlib
import matplotlib.axes
import matplotlib.figure
import matplotlib.style
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.patches import Polygon, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter
from PIL import Image

from .claims import check_array, check_integer, number_text, size_text
from .inspection import nodes_of

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of the classes of a mask: none for the first, then seven told apart on light and dark grey, then these, lighter.
CLASS_COLOURS = np.array([to_rgb(colour) for colour in ("white", *PALETTE[:4], "#F0E442", "#882255", PALETTE[4])])
CLASS_COLOURS = np.concatenate([CLASS_COLOURS, 0.5 + 0.5 * CLASS_COLOURS[1:]])
# Colour maps: white at zero for signed values, else of activations, images, errors and heat.
SIGNED, SEQUENTIAL, GREY, ERRORS, HEAT = "RdBu_r", "viridis", "gray", "Oranges", "inferno"
HIGHLIGHT, TRUTH = PALETTE[4], PALETTE[5]
SHAPES = "osD^vP*X<>"  # of points; with the palette, the first 70 pairs of colour and shape differ
DPI, SHOWN_DPI = 150, 90  # of the image, and of the page that shows it
WIDTH = 9.5  # inches; fits a notebook's column and a slide
FONT = 9  # points, of the words in a drawing of a network
MANY = 16  # pictures; beyond, words sum them up
MOST_NUMBERS = 100  # of a table that is read out
# In drawings of networks: colours by kind of layer, kinds by a word in the layer's name, and names as they are written
KINDS = {"weights": PALETTE[0], "pool": PALETTE[4], "element": PALETTE[5], "join": PALETTE[3], "other": "#DDDDDD"}
KIND_OF = {"conv": "weights", "dense": "weights", "pool": "pool"}
KIND_OF |= dict.fromkeys(("norm", "ReLU", "activation"), "element")
SHORT = {
    "batch normalization": "norm", "normalization": "norm", "pooling": "pool", "zero padding": "pad", "re lu": "ReLU",
    "input layer": "input", "concatenate": "concat",
}  # fmt: skip

# Whatever style the user has set, and texts as they are written: a class may be called "$x$".
_own_style = matplotlib.style.context(
    ["default", {"text.parse_math": False, "axes.prop_cycle": matplotlib.cycler(color=PALETTE)}]
)


class Axes(matplotlib.axes.Axes):
    """Axes on which what a cell writes has the course's style too."""

    text = _own_style(matplotlib.axes.Axes.text)
    annotate = _own_style(matplotlib.axes.Axes.annotate)
    set_title = _own_style(matplotlib.axes.Axes.set_title)

    @_own_style
    def legend(self, *args, **options):
        return super().legend(*args, **{"loc": "best"} | options)  # where it is said, no slow machine warns of it


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself, whatever backend and style are set, with what it shows in words."""

    words = ""  # of a grid of images; what other figures show is read off them
    text = _own_style(matplotlib.figure.Figure.text)
    suptitle = _own_style(matplotlib.figure.Figure.suptitle)
    legend = _own_style(matplotlib.figure.Figure.legend)
    draw = _own_style(matplotlib.figure.Figure.draw)
    savefig = _own_style(matplotlib.figure.Figure.savefig)

    @property
    def alt(self) -> str:
        """What the figure shows: its text alternative, and its plain text, which nbval compares."""
        return self.words or describe(self)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        picture = self._repr_png_()
        width, height = (round(side * SHOWN_DPI / DPI) for side in Image.open(io.BytesIO(picture)).size)
        bundle = {"text/plain": self.alt, "image/png": base64.b64encode(picture).decode("ascii")}
        display(bundle, metadata={"image/png": {"alt": self.alt, "width": width, "height": height}}, raw=True)


@_own_style
def axes(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (7.6, 3.6), **labels):
    """Make a figure to draw on with matplotlib, in the course's colours, `size` inches wide and high.

    Returned are the figure, which a cell ends with to show it, and its Axes: one, or an array ``(rows, columns)``.
    `labels` are what ``Axes.set`` takes, for all Axes: ``xlabel``, ``ylabel``, ``title``, ``xscale``, …
    """
    figure = _figure(*size)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": Axes})
    for ax in grid.ravel():
        ax.set(**labels)
        ax.grid(alpha=0.3)
        ax.set_axisbelow(True)
        ax.tick_params(which="both", color="black", labelcolor="black", grid_color="#b0b0b0", labelsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                _number_ticks(axis)
    return figure, grid if grid.size > 1 else grid[0, 0]


def _number_ticks(axis) -> None:
    """Numbers, not powers of ten, along a logarithmic axis; between powers only where there are few of these."""

    def between(value: float, _) -> str:
        low, high = sorted(axis.get_view_interval())
        return number_text(value) if high < 500 * low else ""

    axis.set_major_formatter(lambda value, _: number_text(value))
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(between)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def describe(figure: matplotlib.figure.Figure) -> str:
    """Say what a figure shows, read off the figure: titles, labels, and what each curve, bar and point holds."""
    shown = [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]
    parts = [figure.get_suptitle(), *map(_described, shown)]
    return " ".join(". ".join(filter(None, parts)).split()) + "."


def _described(ax) -> str:
    axis_labels = " over ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
    logarithmic = " and ".join(name for name in "xy" if getattr(ax, f"get_{name}scale")() == "log")
    said = [", ".join(filter(None, (ax.get_title(), axis_labels, logarithmic and f"logarithmic {logarithmic}")))]
    with_errors = [container for container in ax.containers if isinstance(container, ErrorbarContainer)]
    whole = {container.lines[0]: container for container in with_errors}
    caps = {line for container in with_errors for line in container.lines[1]}
    said += [_line(line, whole.get(line)) for line in ax.lines if line not in caps]
    said += [_bars(bars, ax) for bars in ax.containers if isinstance(bars, BarContainer)]
    said += [_points(cloud) for cloud in ax.collections if cloud.get_offset_transform() == ax.transData]
    for image in ax.images:
        rows, columns = (", ".join(t.get_text() for t in axis.get_ticklabels()) for axis in (ax.yaxis, ax.xaxis))
        said.append(f"{size_text(image.get_array().shape[:2])} cells, rows {rows}, columns {columns}")
    said += [text.get_text() for text in ax.texts]
    return "; ".join(filter(None, said))


def _labelled(artist, text: str, separator: str = ": ") -> str:
    label = artist.get_label()
    return text if label.startswith("_") else f"{label}{separator}{text}"


def _line(line, whole: ErrorbarContainer | None) -> str:
    """Where a curve begins and ends, where it is lowest and highest, and how long its error bars are."""
    x, y = np.asarray(line.convert_xunits(line.get_xdata()), float), np.asarray(line.get_ydata(), float)
    if line.get_transform() != line.axes.transData:  # axhline or axvline
        text = f"level {number_text(y[0])}" if len(set(y)) == 1 else f"place {number_text(x[0])}"
        return _labelled(line, text)
    known = np.flatnonzero(np.isfinite(y))
    if not len(known):
        return _labelled(line, "without values")
    text = f"{number_text(y[known[0]])} to {number_text(y[known[-1]])}"
    text += f", x from {number_text(x[0])} to {number_text(x[-1])}"
    if len(y) > 2:
        for name, place in (("lowest", known[y[known].argmin()]), ("highest", known[y[known].argmax()])):
            text += f", {name} {number_text(y[place])} at {number_text(x[place])}"
    return _labelled(whole or line, text + (_spread(whole) if whole else ""))


def _spread(container: ErrorbarContainer) -> str:
    """Half the length of the shortest and of the longest error bar."""
    segments = [segment for bars in container.lines[2] for segment in bars.get_segments() if len(segment) == 2]
    lengths = [np.linalg.norm(end - start) / 2 for start, end in segments]
    return f", ± {number_text(min(lengths))} to {number_text(max(lengths))}" if lengths else ""


def _bars(bars: BarContainer, ax) -> str:
    """Each bar with its length and, where it does not start at 0, its start."""
    is_wide = bars.orientation == "horizontal"
    axis = ax.yaxis if is_wide else ax.xaxis
    is_named = not isinstance(axis.get_major_formatter(), ScalarFormatter)
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True) if is_named else ()
    names = {round(place, 6): text.get_text() for place, text in ticks}
    said = []
    for bar in bars:
        (x, y), wide, high = bar.get_xy(), bar.get_width(), bar.get_height()
        place, start, length = (y + high / 2, x, wide) if is_wide else (x + wide / 2, y, high)
        name = names.get(round(place, 6), number_text(place))
        said.append(f"{name}: {number_text(length)}" + (f" from {number_text(start)}" if start else ""))
    return _labelled(bars, "; ".join(said) + (_spread(bars.errorbar) if bars.errorbar else ""), ", ")


def _points(cloud) -> str:
    """Up to 16 points one by one, more by their ranges."""
    places = np.asarray(cloud.get_offsets(), float)
    if len(places) <= MANY:
        return _labelled(cloud, ", ".join(f"({number_text(x).replace(',', '')}, {number_text(y)})" for x, y in places))
    x, y = places.T
    return _labelled(cloud, f"{len(places):,} points, x {_range(x)}, y {_range(y)}")


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

    `images` are a batch ``(n, h, w, c)`` or ``(n, h, w)``, or a list of ``(h, w)``, ``(h, w, 1)`` or RGB ``(h, w, 3)``,
    whose sizes may differ. uint8 is shown from 0 to 255. Other grey images share one scale from 0, and those with
    negative values share one that is symmetric around zero. RGB floats have to lie in 0 to 1.

    There is a title for each image, and one for each row, to the left of it; by default up to eight images in a row.
    Boxes are for each image None, ``(left, top, right, bottom)`` in pixels, or a list of such; what lies outside of the
    image is cut off. True boxes, those that should have been found, have another colour.
    """
    if not isinstance(images, (list, tuple)):
        images = np.asarray(images)
        if images.ndim not in (3, 4) or (images.ndim == 3 and images.shape[2] in (1, 3)):
            came = f"shape {images.shape}"
            raise ValueError(f"images: got {came}, expected a list or a batch (n, h, w, c); of one image [image]")
    arrays = _checked_images(images)
    columns = min(len(arrays), 8 if columns is None else check_integer("columns", columns, 1))
    _check_length("titles", titles, len(arrays))
    _check_length("row_titles", row_titles, math.ceil(len(arrays) / columns))
    framed = {"true box": _box_lists("true_boxes", true_boxes, arrays), "box": _box_lists("boxes", boxes, arrays)}
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
    # Of a picture in decimal numbers, made to be looked at, the values say nothing.
    valued = [array.ndim == 2 or array.dtype == np.uint8 for array in arrays]
    captions = [_range(array, " … ") if shown else "" for array, shown in zip(arrays, valued, strict=True)]
    is_captioned = any(valued) and len(arrays) <= MANY
    figure = _grid(tiles, columns, titles, captions if is_captioned else None, row_titles, framed)
    if any(valued) and not is_captioned:
        everything = np.concatenate([array.ravel() for array, shown in zip(arrays, valued, strict=True) if shown])
        figure.supxlabel(f"values {_range(everything, ' … ')}", fontsize=9, color="#555555")
    head = f"{_pictures('image', arrays)}{f', {columns} in a row' if len(arrays) > columns else ''}"
    rows = f"Rows: {'; '.join(map(str, row_titles))}. " if row_titles is not None else ""
    figure.words = f"{head}. {rows}{_images_in_words(arrays, columns, titles, framed)}"
    return figure


def _images_in_words(arrays, columns: int, titles, framed: Mapping[str, Sequence]) -> str:
    """A few images one by one, with where their brightness and their boxes are; of many the mean of each row."""
    if len(arrays) > MANY:
        counted = [f"{title} ({n})" for title, n in Counter(titles if titles is not None else []).items() if title]
        names = f"{', '.join(counted[:MANY])}{' and others' * (len(counted) > MANY)}. " if counted else ""
        rows = [
            np.concatenate([array.ravel() for array in arrays[i : i + columns]]) for i in range(0, len(arrays), columns)
        ]
        return f"{names}Mean of each row: {', '.join(number_text(row.mean(dtype=float)) for row in rows)}."
    parts = []
    for index, array in enumerate(arrays):
        own = [f"{_range(array)}, mean {_value(array.mean(dtype=float), array)}{_middle(array)}"]
        for name, lists in framed.items():
            own += [f"{name} {' '.join(f'{edge:.0f}' for edge in box)}" for box in lists[index]]
        parts.append(f"{(titles is not None and titles[index]) or f'picture {index + 1}'}: {', '.join(own)}")
    return _sentence(parts)


def _middle(array: np.ndarray) -> str:
    """Where the middle of a picture's brightness is, or of what is laid over a grey one in colour."""
    weights = np.abs(array.astype(float)).reshape(*array.shape[:2], -1)
    colour = np.ptp(weights, axis=-1)
    is_laid_over = array.dtype != np.uint8 and colour.any() and (colour < 1e-6).mean() > 0.1
    weights = colour if is_laid_over else weights.mean(axis=-1)
    if not weights.any():
        return ""
    row, column = (np.average(place, weights=weights) for place in np.indices(weights.shape))
    return f", middle at row {row:.1f}, column {column:.1f}"


def overlay(images, maps) -> np.ndarray:
    """Lay a heat map over each image, which turns grey.

    `images` are ``(n, h, w, 3)`` or ``(n, h, w, 1)``, uint8 or floats from 0 to 1; `maps` ``(n, rows, columns)``, not
    negative and no larger. They are enlarged bilinearly, each scaled so that its own largest value is the hottest,
    yellow; where it is 0, the image is left grey. Returns RGB ``(n, h, w, 3)``, floats from 0 to 1, for `show_images`.
    """
    grey, maps = _grey(images), check_array("maps", maps, (3,))
    count, height, width = grey.shape
    if len(maps) != count or maps.shape[1] > height or maps.shape[2] > width or maps.min() < 0:
        came = f"{size_text(maps.shape)} from {number_text(maps.min())}"
        raise ValueError(f"maps: got {came}, expected {count} of at most {height}×{width} from 0, as the images")
    shares = [(heat / (heat.max() or 1)).astype(np.float32) for heat in maps]
    heat = np.array([Image.fromarray(share).resize((width, height), Image.Resampling.BILINEAR) for share in shares])
    # Never opaque: the image is to be seen through the hottest places too.
    return np.clip(_tinted(grey, _colours(heat, HEAT, 0, 1), 0.75 * heat), 0, 1)


def paint(images, masks) -> np.ndarray:
    """Tint each pixel of the images, which turn grey, by its class; class 0 stays grey.

    `images` are ``(n, h, w, 3)`` or ``(n, h, w, 1)``, uint8 or floats from 0 to 1; `masks` ``(n, h, w)``, whole numbers
    from 0 to 14. Returns RGB ``(n, h, w, 3)``, floats from 0 to 1, for `show_images`.
    """
    grey, masks = _grey(images), check_array("masks", masks, (3,))
    if masks.shape != grey.shape:
        raise ValueError(f"masks: got {size_text(masks.shape)}, expected {size_text(grey.shape)}, as the images")
    if masks.dtype.kind not in "biu" or not 0 <= masks.min() <= masks.max() < len(CLASS_COLOURS):
        came = f"{masks.dtype} from {_range(masks)}"
        raise ValueError(f"masks: got {came}, expected whole numbers from 0 to {len(CLASS_COLOURS) - 1}")
    return _tinted(grey, CLASS_COLOURS[masks.astype(int)], 0.7 * (masks > 0))


def _grey(images) -> np.ndarray:
    """The luminance of a batch, ``(n, h, w)``, floats from 0 to 1."""
    images = check_array("images", images, (4,))
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images: got {images.shape[-1]} channels, expected 1 or 3")
    return _rgb("images", images) @ ((0.299, 0.587, 0.114) if images.shape[-1] == 3 else (1,))


def _tinted(grey: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours laid over grey images, each pixel's as opaque as said, 0 to 1."""
    return (1 - opacity[..., None]) * grey[..., None] + opacity[..., None] * colours


def show_pixels(
    images, *, titles: Sequence[str] | None = None, highlight: tuple[int, int, int, int] | None = None
) -> Figure:
    """Draw a small image, or several side by side on one scale of colours, with the numbers written in.

    `images` are one ``(h, w)`` or ``(h, w, 1)``, or a list of them, at most 32 rows, and 32 columns in all; `highlight`
    is ``(row, column, height, width)`` of a window of the first image to frame.
    """
    arrays = _checked_images(images if isinstance(images, (list, tuple)) else [images])
    width, height = sum(array.shape[1] for array in arrays), max(map(len, arrays))
    if max(array.ndim for array in arrays) > 2 or max(width, height) > 32:
        sizes = ", ".join(size_text(array.shape) for array in arrays)
        raise ValueError(f"images: got {sizes}, expected one channel each and at most 32×32 together")
    _check_length("titles", titles, len(arrays))
    if highlight is not None:
        _check_window("highlight", highlight, arrays[0])
    scale = _scale(np.concatenate([array.ravel() for array in arrays]), GREY)
    return _number_panels(arrays, [scale] * len(arrays), titles, [highlight, *[None] * (len(arrays) - 1)])


@_own_style
def show_convolution(x, kernel, y, *, at: tuple[int, int] = (0, 0)) -> Figure:
    """Draw input, kernel and output side by side; small ones with their numbers.

    Each is ``(h, w)``, the input padded already, if it is. The output value `at` this row and column is framed, and the
    window that it came from, with stride 1.
    """
    panels = [check_array(name, value, (2,)) for name, value in (("x", x), ("kernel", kernel), ("y", y))]
    x, kernel, y = panels
    window = (*at, *kernel.shape)
    _check_window("at", (*at, 1, 1), y)
    _check_window("at", window, x)
    scales = [_scale(panel, GREY) for panel in panels]
    names = ("input", "kernel", "output")
    titles = [f"{name} {size_text(panel.shape)}" for name, panel in zip(names, panels, strict=True)]
    if max(x.shape) <= 12:
        return _number_panels(panels, scales, titles, [window, None, (*at, 1, 1)])
    # A kernel on a photograph would be a dot at the photograph's scale: give it at least a fifth of its width.
    widths = [x.shape[1], max(kernel.shape[1], x.shape[1] // 5), y.shape[1]]
    figure = _figure(WIDTH, x.shape[0] * (WIDTH - 0.8) / sum(widths) + 0.6)
    for index, ax in enumerate(figure.subplots(1, 3, width_ratios=widths)):
        ax.imshow(_colours(panels[index], *scales[index]), interpolation="nearest")
        ax.set_title(f"{titles[index]}\n{_range(panels[index], ' … ')}", fontsize=9)
        ax.axis("off")
    figure.words = _pixels_in_words(panels, titles)
    return figure


@_own_style
def _number_panels(arrays, scales: Sequence[tuple], titles: Sequence[str] | None, frames: Sequence) -> Figure:
    """Draw arrays side by side, each with its numbers; `frames` are windows to frame, None for none."""
    widths = [array.shape[1] for array in arrays]
    cell = min(0.5, (WIDTH - 0.5) / sum(widths))
    height = max(len(array) for array in arrays) * cell + (0.45 if titles is not None else 0.2)
    figure = _figure(sum(widths) * cell + 0.25 * len(arrays), height)
    for index, ax in enumerate(figure.subplots(1, len(arrays), width_ratios=widths, squeeze=False)[0]):
        numbers = [[number_text(value) for value in row] for row in arrays[index]]
        _draw_table(ax, _colours(arrays[index], *scales[index]), numbers, cell)
        if titles is not None:
            ax.set_title(titles[index], fontsize=10)
        if frames[index] is not None:
            row, column, rows, columns = frames[index]
            _draw_frame(ax, (column - 0.5, row - 0.5), columns, rows, HIGHLIGHT, 3)
    figure.words = _pixels_in_words(arrays, titles, frames)
    return figure


def _pixels_in_words(arrays, titles, frames: Sequence | None = None) -> str:
    parts = []
    for index, (array, frame) in enumerate(zip(arrays, frames or [None] * len(arrays), strict=True)):
        name = titles[index] if titles is not None else _pictures("image", [array])
        framed = "" if frame is None else ", framed from row {}, column {}, {}×{}".format(*frame)
        parts.append(f"{name}: {_numbers(array)}{framed}")
    return _sentence(parts)


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


def _draw_frame(ax, corner: tuple[float, float], width: float, height: float, colour: str, line: float) -> None:
    ax.add_patch(Rectangle(corner, width, height, fill=False, color=colour, linewidth=line, clip_on=False))


@_own_style
def plot_filters(kernel, *, titles: Sequence[str] | None = None) -> Figure:
    """Draw the filters of a convolution, white at zero, all on one scale.

    `kernel` is ``(h, w)``, ``(h, w, out)`` for one input channel, Keras's ``(h, w, in, out)``, or a built Keras layer.
    With several input channels, up to 32, each has a row and each filter a column. There is a title for each picture.
    """
    if hasattr(kernel, "get_weights"):
        if not kernel.get_weights():
            raise ValueError(f"kernel: got layer {kernel.name!r} without weights, expected a built convolution")
        kernel = kernel.get_weights()[0]
    array = check_array("kernel", kernel, (2, 3, 4))
    height, width, inputs, filters = (*array.shape[:2], *(1, 1, *array.shape[2:])[-2:])
    array = array.reshape(height, width, inputs, filters)
    maps = array.transpose(2, 3, 0, 1).reshape(inputs * filters, height, width)
    _check_length("titles", titles, len(maps))
    scale = (SIGNED, -_largest(array), _largest(array))
    is_table = inputs > 1 and max(inputs, filters) <= 32
    figure = _grid(_colours(maps, *scale), filters if is_table else _columns(len(maps)), titles)
    _colourbar(figure, *scale)
    text = f"{_counted(filters, 'filter')} of {height}×{width} weights"
    text += f" for each of {inputs} inputs" if inputs > 1 else ""
    if array.size > MOST_NUMBERS:
        strongest = np.abs(array).sum(axis=(0, 1, 2)).argmax()
        figure.words = f"{text}: {_numbers(array)}; filter {strongest} is the strongest."
    else:
        names = titles if titles is not None else range(len(maps))
        figure.words = f"{text}. {_sentence(f'{name}: {_numbers(one)}' for name, one in zip(names, maps, strict=True))}"
    return figure


@_own_style
def plot_feature_maps(maps, *, titles: Sequence[str] | None = None) -> Figure:
    """Draw the feature maps of one image on one scale; those that are all 0 are marked.

    `maps` are ``(h, w, channels)`` or a batch of one, ``(1, h, w, channels)``. The title of a map is by default its
    index, beyond 32 maps at the start of each row.
    """
    array = check_array("maps", maps, (3, 4))
    if array.ndim == 4:
        if len(array) != 1:
            raise ValueError(f"maps: got a batch of {len(array)}, expected the maps of one image, maps[:1]")
        array = array[0]
    separate = np.moveaxis(array, -1, 0)
    count, columns, scale = len(separate), _columns(len(separate)), _scale(array, SEQUENTIAL)
    _check_length("titles", titles, count)
    names = [str(title) for title in titles] if titles is not None else [str(index) for index in range(count)]
    is_dead = ~separate.any(axis=(1, 2))
    # Beyond 32 maps only those that start a row: every text takes as long to draw as many maps.
    shown = [name if titles is not None or count <= 32 or i % columns == 0 else "" for i, name in enumerate(names)]
    marked = [f"{name}: all 0" if name else "all 0" for name in shown]
    figure = _grid(_colours(separate, *scale), columns, np.where(is_dead, marked, shown))
    _colourbar(figure, *scale)
    text = f"{_pictures('feature map', separate)}, values {_range(array)}, {is_dead.sum()} of them all 0. "
    if count > MANY:
        strongest = [names[index] for index in np.argsort(-separate.mean(axis=(1, 2)))[:3]]
        figure.words = f"{text}On average the strongest are {', '.join(strongest)}."
    else:
        figure.words = text + _sentence(f"{name}: {_range(one)}" for name, one in zip(names, separate, strict=True))
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
    """Draw curves, values by label, over a common `x` with one number for each value; NaN leaves a gap.

    `log` says which axes are logarithmic: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
    """
    x = check_array("x", x, (1,))
    figure, ax = axes(xlabel=x_label, ylabel=y_label, title=title, **{f"{axis}scale": "log" for axis in log})
    for index, (label, values) in enumerate(lines.items()):
        marker = SHAPES[index % len(SHAPES)] if markers else None
        ax.plot(x, values, marker=marker, markersize=5, label=label)
    if "x" in log:
        ax.set_xticks(x, labels=list(map(number_text, x)))
        ax.set_xticks([], minor=True)
    elif np.array_equal(x, np.rint(x)):  # epochs or steps: nothing lies between two
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(lines) > 1:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))  # beside: it hides no curve
    return figure


@_own_style
def plot_bars(
    values: Mapping[str, float], *, x_label: str, log: bool = False, errors: Mapping[str, float] | None = None
) -> Figure:
    """Draw labelled horizontal bars, first on top, each with its number; points where the axis is logarithmic.

    `values` are lengths by label, `errors` half the lengths of the error bars.
    """
    lengths = check_array("values", list(values.values()), (1,)).tolist()
    if errors is not None and list(errors) != list(values):
        raise ValueError(f"errors: got {', '.join(errors)}, expected {', '.join(values)}, as in values")
    if log and min(lengths) <= 0:
        raise ValueError(f"values: got {number_text(min(lengths))}, expected more than 0 on a logarithmic axis")
    spread = None if errors is None else list(errors.values())
    rows, numbers = range(len(values)), list(map(number_text, lengths))
    size = (WIDTH * 0.75, 0.42 * len(values) + 0.9)
    figure, ax = axes(size=size, xlabel=x_label, xscale="log" if log else "linear")
    ax.set_yticks(rows, labels=list(map(str, values)))
    if log:  # without a zero, lengths would mean nothing
        ax.errorbar(lengths, rows, xerr=spread, fmt="o", ecolor=PALETTE[4], capsize=3)
        for row, length, number in zip(rows, lengths, numbers, strict=True):
            ax.annotate(number, (length, row), xytext=(8, 0), textcoords="offset points", va="center")
    else:
        bars = ax.barh(rows, lengths, xerr=spread, ecolor=PALETTE[4], capsize=3)
        ax.bar_label(bars, labels=numbers, padding=4)
        ax.grid(False)
    ax.grid(False, axis="y")
    ax.invert_yaxis()
    ax.margins(x=0.15, y=0.15 if log else None)
    half = [f" ± {number_text(length)}" for length in spread] if spread else [""] * len(values)
    named = (f"{label}: {number}{error}" for label, number, error in zip(values, numbers, half, strict=True))
    figure.words = f"{'Points along' if log else 'Bars of'} {x_label}. {_sentence(named)}"
    return figure


@_own_style
def plot_history(history) -> Figure:
    """Draw the loss and the first metric over the epochs, and mark the epoch of the lowest validation loss.

    `history` is what ``fit`` returns, or its ``.history``: values by name. Fewer values than epochs, as of validation
    every second epoch, are drawn at every second, third, …
    """
    record = getattr(history, "history", history)
    if not isinstance(record, Mapping) or not len(record.get("loss", ())):
        came = ", ".join(record) or "nothing" if isinstance(record, Mapping) else type(record).__name__
        raise ValueError(f"history: got {came}, expected what fit returns, or its .history, with at least one epoch")
    epochs = len(record["loss"])
    # Not a metric that is an array an epoch
    curves = {name: np.array(values, float) for name, values in record.items() if np.ndim(values) == 1}
    for name, values in curves.items():
        if not 1 <= len(values) <= epochs:
            raise ValueError(f"history[{name!r}]: got {len(values)} values, expected 1 to {epochs}")
    metrics = [name for name in curves if not re.match(r"val_|.*loss$|learning_rate$|lr$", name)]
    shown = ["loss", *metrics[:1]]
    figure, grid = axes(1, len(shown), size=(WIDTH if len(shown) > 1 else WIDTH * 0.6, 3.4), xlabel="epoch")
    marker = "o" if epochs <= 30 else None  # few epochs: a point without neighbours makes no line

    def places(values: np.ndarray) -> np.ndarray:
        return epochs // len(values) * np.arange(1, len(values) + 1)

    watched = curves.get("val_loss", np.array([np.nan]))
    best = None
    if np.isfinite(watched).any():
        lowest = np.where(np.isfinite(watched), watched, np.inf).argmin()
        best = places(watched)[lowest]
        figure.suptitle(f"best epoch {best}, validation loss {number_text(watched[lowest])}", fontsize=11)
    for ax, name in zip(np.ravel(grid), shown, strict=True):
        for label, key in (("training", name), ("validation", f"val_{name}")):
            if key in curves:
                ax.plot(places(curves[key]), curves[key], marker=marker, markersize=4, label=label)
        if best is not None:
            ax.axvline(best, color="#555555", linestyle="--", linewidth=1.2, zorder=0, label="best epoch")
        ax.set(ylabel="accuracy" if "acc" in name else name.replace("_", " "), xlim=(0.5, epochs + 0.5))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)  # below: it hides no curve
    return figure


@_own_style
def plot_confusion(matrix, class_names: Sequence[str]) -> Figure:
    """Draw which class was called what: each count in its cell, the errors coloured by their share of the row.

    `matrix` has counts ``(classes, classes)``, a row for each true class and a column for each predicted one. Beyond 20
    classes only the colours are drawn.
    """
    matrix = check_array("matrix", matrix, (2,))
    count = len(matrix)
    if matrix.shape != (count, count) or matrix.min() < 0:
        came = f"{size_text(matrix.shape)} from {number_text(matrix.min())}"
        raise ValueError(f"matrix: got {came}, expected counts, as many rows as columns")
    _check_length("class_names", class_names, count)
    # The diagonal is grey: coloured it would drown the errors, which are what to look at.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    limit = _largest(shares)
    colours = _colours(shares, ERRORS, 0, limit)
    colours[np.eye(count, dtype=bool)] = 0.85
    numbers = [[f"{number:.0f}" if number and count <= 20 else "" for number in row] for row in matrix]
    names, font = [str(name) for name in class_names], max(4, min(9, 300 / count))
    beside = _widest(names, font)
    cell = min(0.6, 5 / count, (WIDTH - 1.8 - beside) / count)
    is_wide = beside > 0.9 * cell
    height = count * cell + (beside if is_wide else 0.2) + 0.6
    figure = _figure(max(3.2, count * cell + beside + 1.7), max(2.4, height))
    figure.set_layout_engine("compressed")  # with a square and a bar beside it, "constrained" cuts a label off
    ax = figure.add_subplot()
    _draw_table(ax, colours, numbers, cell)
    ax.set_xticks(range(count), labels=names, fontsize=font, rotation=90 if is_wide else 0)
    ax.set_yticks(range(count), labels=names, fontsize=font)
    ax.set(xlabel="predicted class", ylabel="true class")
    _colourbar(figure, ERRORS, 0, 100 * limit)
    figure.axes[1].set_ylabel("errors, % of the true class", fontsize=8)
    text = f"{count} classes, true against predicted: {np.trace(matrix):,.0f} of {matrix.sum():,.0f} right. "
    figure.words = text + _sentence(
        f"{name}: {_numbers(row[None]) if matrix.size <= MOST_NUMBERS else f'{row[index]:.0f} of {row.sum():.0f}'}"
        for index, (name, row) in enumerate(zip(names, matrix, strict=True))
    )
    return figure


@_own_style
def plot_network(layers: Sequence[tuple[str, Sequence[int]]], title: str = "") -> Figure:
    """Draw a network as a row of boxes, one for each layer's output, on one scale for all networks.

    `layers` are ``(label, shape)`` from the input to the output, shapes ``(height, width, channels)`` or ``(units,)``.
    A box is as high and deep as the square root of its map's height and width, and as wide as that of the number of
    channels; the bar of a dense layer is as high as the logarithm of its units. The first is grey, and those with
    "pool" in the label have a colour of their own.
    """
    for index, (_, shape) in enumerate(layers):
        if len(shape) not in (1, 3):
            raise ValueError(f"layers[{index}]: got shape {shape}, expected (height, width, channels) or (units,)")
    above, below = [label.strip() for label, _ in layers], [size_text(shape) for _, shape in layers]
    wide, high, deep = np.transpose([_box_size(shape) for _, shape in layers])
    over, under = _text_sizes(above), _text_sizes(below)
    slots = np.max([wide + deep, over[:, 0], under[:, 0]], axis=0) + 0.17
    middles, pad = np.cumsum(slots) - slots / 2, 0.07
    highest, lowest = (high / 2 + deep + over[:, 1]).max(), (high / 2 + under[:, 1]).max()
    figure, ax = _sheet(slots.sum(), -lowest - 2 * pad, highest + 2 * pad, title)
    lefts, rights = middles - (wide + deep) / 2, middles + (wide + deep) / 2
    for index, (left, right, middle) in enumerate(zip(lefts, rights, middles, strict=True)):
        front, top, depth = left + wide[index], high[index] / 2, deep[index]
        kind = "other" if index == 0 else "pool" if "pool" in above[index].lower() else "weights"
        colour = np.array(to_rgb(KINDS[kind]))
        lid = [(left, top), (front, top), (right, top + depth), (left + depth, top + depth)]
        side = [(front, -top), (front, top), (right, top + depth), (right, -top + depth)]
        for corners, shade in ((lid, 0.5 + 0.5 * colour), (side, 0.7 * colour)):
            ax.add_patch(Polygon(corners, facecolor=shade, edgecolor="white", linewidth=0.6))
        ax.add_patch(Rectangle((left, -top), wide[index], 2 * top, facecolor=colour, edgecolor="white", linewidth=0.6))
        ax.text(middle, top + depth + pad, above[index], ha="center", va="bottom", fontsize=FONT)
        ax.text(middle, -top - pad, below[index], ha="center", va="top", fontsize=FONT, color="#555555")
        if index:
            _draw_arrow(ax, (rights[index - 1] + 0.04, 0), (left - 0.04, 0))
    named = ", then ".join(f"{' '.join(label.split())} {size}" for label, size in zip(above, below, strict=True))
    figure.words = f"{title}. " * bool(title) + f"A network as a row of boxes: {named}."
    return figure


def _box_size(shape: Sequence[int]) -> tuple[float, float, float]:
    """Width, height and depth in inches of a layer's box; see `plot_network`."""
    if len(shape) == 1:
        return 0.12, max(0.15, 0.42 * math.log10(shape[0])), 0.05
    high, deep = (0.11 * math.sqrt(side) for side in shape[:2])
    return max(0.05, 0.018 * math.sqrt(shape[2])), high, 0.18 * deep


@_own_style
def plot_graph(model, title: str = "") -> Figure:
    """Draw the layers of a small Keras model as boxes in columns, with an arrow for each connection.

    `model` is a functional model, or a Sequential one whose input is known; a model inside it is one box. Below a box
    is the shape of its output where it differs from that of its input.
    """
    nodes = nodes_of(model)
    parents = [[nodes.index(parent) for parent in dict.fromkeys(node.parent_nodes)] for node in nodes]
    columns: list[int] = []
    for before in parents:
        columns.append(1 + max((columns[parent] for parent in before), default=-1))
    rows = _rows(parents, columns)
    shapes = [size_text(node.outputs[0].shape[1:]) for node in nodes]
    is_new = [{shapes[parent] for parent in before} != {shape} for shape, before in zip(shapes, parents, strict=True)]
    below = [shape if new else "" for shape, new in zip(shapes, is_new, strict=True)]
    texts, kinds = zip(*map(_box_text, nodes), strict=True)
    boxes, notes, gap = _text_sizes(texts) + 0.1, _text_sizes(below), 0.34
    widths, above, under = np.zeros(max(columns) + 1), np.zeros(max(rows) + 1), np.zeros(max(rows) + 1)
    np.maximum.at(widths, columns, np.maximum(boxes, notes)[:, 0])
    np.maximum.at(above, rows, boxes[:, 1] / 2 + 0.1)
    np.maximum.at(under, rows, boxes[:, 1] / 2 + notes[:, 1] + 0.1)
    boxes[:, 0] = widths[columns]  # all of a column are as wide: arrows end beside the notes
    x, y = np.cumsum(widths + gap) - (widths + gap) / 2, under - np.cumsum(above + under)
    centres = np.column_stack([x[columns], y[rows]])
    figure, ax = _sheet((widths + gap).sum(), -(above + under).sum(), 0, title)
    for centre, box, text, kind, shape in zip(centres, boxes, texts, kinds, below, strict=True):
        ax.add_patch(Rectangle(centre - box / 2, *box, facecolor=KINDS[kind], edgecolor="#333333", linewidth=0.8))
        ink = _ink(np.array(to_rgb(KINDS[kind]))).item()
        ax.text(*centre, text, ha="center", va="center", fontsize=FONT, color=ink)
        ax.text(centre[0], centre[1] - box[1] / 2 - 0.03, shape, ha="center", va="top", fontsize=FONT, color="#555555")
    for end, before in enumerate(parents):
        for start in before:
            out, tip = centres[start] + boxes[start] * (0.5, 0), centres[end] - boxes[end] * (0.5, 0)
            if columns[end] > columns[start] + 1:  # along its own row, which is free, to the gap before its end
                turn = np.array([tip[0] - gap + 0.08, out[1]])
                ax.plot(*np.transpose([out, turn]), color="#333333", linewidth=1.1)
                out = turn
            _draw_arrow(ax, out, tip)
    said = []
    for index, (text, shape, before) in enumerate(zip(texts, shapes, parents, strict=True)):
        origin = f", from {' and '.join(str(parent + 1) for parent in before)}" if before else ""
        said.append(f"{index + 1} {' '.join(text.split())} gives {shape}{origin}")
    figure.words = f"{title}. " * bool(title) + f"{_counted(len(nodes), 'layer')}. {_sentence(said)}"
    return figure


def _rows(parents: Sequence[Sequence[int]], columns: Sequence[int]) -> list[int]:
    """The row of each box. An arrow that skips columns keeps its row free there: the others go below."""
    skips = {
        (start, end) for end, before in enumerate(parents) for start in before if columns[end] > columns[start] + 1
    }
    rows: list[int] = []
    taken: set[tuple[int, int]] = set()
    for index, before in enumerate(parents):
        over = [rows[start] for start in before if (start, index) in skips]
        row = min(over) if over else rows[before[0]] if before else 0
        ends = [columns[end] for start, end in skips if start == index]
        needed = range(columns[index], max(ends, default=columns[index] + 1))
        while any((column, row) in taken for column in needed):
            row += 1
        rows.append(row)
        taken |= {(column, row) for column in needed}
    return rows


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
    text = f"{size_text(size)} {text}" if size else text
    text += f" {layer.units}" if hasattr(layer, "units") else ""
    text += f"\n+ {activation}" if activation != "linear" else ""
    details = [str(layer.filters)] if hasattr(layer, "filters") else []
    stride = np.max(getattr(layer, "strides", 1))
    details += [f"/{stride}"] if stride > 1 else []
    return "\n".join([text, ", ".join(details)]).strip(), kind


def _sheet(width: float, low: float, high: float, title: str):
    """A figure and its Axes in inches, from 0 to `width` and from `low` to `high`, wider where the title is."""
    heading = 0.35 if title else 0
    figure = _figure(max(width, 1.2, 4 / 3 * _widest([title], FONT) + 0.2), high - low + heading)
    figure.set_layout_engine("none")
    (wide, tall), ax = figure.get_size_inches(), figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=((width - wide) / 2, (width + wide) / 2), ylim=(low, low + tall))
    ax.axis("off")
    ax.text(width / 2, low + tall - 0.08, title, ha="center", va="top", fontsize=4 / 3 * FONT)
    return figure, ax


def _draw_arrow(ax, start, end) -> None:
    look = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    ax.annotate("", xy=end, xytext=start, arrowprops=look)


def _text_sizes(texts: Sequence[str]) -> np.ndarray:
    """Widths and heights in inches of texts of some lines."""
    lines = [text.split("\n") if text else [] for text in texts]
    return np.array([(_widest(own, FONT), len(own) * 1.2 * FONT / 72) for own in lines])


def _widest(names: Iterable, font: float) -> float:
    return max((_text_width(str(name), font) for name in names), default=0)


@cache
def _text_width(text: str, font: float) -> float:
    """In inches, rounded up, so that versions of a font that differ by a hair give figures of one size."""
    return math.ceil(TextPath((0, 0), f"{text}.", size=font).get_extents().x1 / 72 * 20) / 20


# What several figures need


def _grid(
    tiles: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None,
    captions: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    framed: Mapping[str, Sequence] | None = None,
) -> Figure:
    """Compose RGB tiles into one picture and draw it once, which hundreds of small Axes would make slow.

    Titles stand above the tiles, captions below, titles of rows beside; `framed` are lists of boxes for each tile.
    """
    beside = _widest(row_titles, FONT) + 0.1 if row_titles is not None else 0
    rows = math.ceil(len(tiles) / columns)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    # All in inches: the gaps hold a line of text each, whatever the size of a pixel.
    # As large as a slide allows, and no smaller than can be seen, however many rows somebody asks for.
    tile_width = max(0.05, min((WIDTH - 0.8 - beside) / columns, 2.6, 4.2 / rows * width / height))
    longest = max(len(str(title)) for title in titles) if titles is not None else 1
    font = max(4, min(10, 115 * tile_width / max(longest, 4)))
    caption_font = min(8, 6 * tile_width) if captions else 0
    gap = 0.1 * tile_width
    above = 13 / 72 if titles is not None else gap / 2  # of the largest font, whatever a network wrote
    below = (caption_font + 4) / 72 if captions else gap / 2
    # Small tiles are enlarged by a whole factor, so that the gaps come out as thin as they should.
    factor = max(1, math.ceil(70 * tile_width / width))
    pixel = tile_width / (width * factor)
    top, bottom, side = (max(2, math.ceil(inches / pixel)) for inches in (above, below, gap))
    step_y, step_x = height * factor + top + bottom, width * factor + side
    indent = math.ceil(beside / pixel)
    canvas = np.ones((rows * step_y, indent + columns * step_x, 3), dtype=np.float32)
    figure = _figure(max(canvas.shape[1] * pixel + 0.15, 1.2), canvas.shape[0] * pixel + 0.1)
    ax = figure.add_subplot()

    def write(x: float, y: float, text: str, **look) -> None:
        # The gaps were made for the texts; laying them out again takes half of the time.
        ax.text(x, y, text, **{"ha": "center", **look}).set_in_layout(False)

    for row, text in enumerate(row_titles if row_titles is not None else ()):
        middle = row * step_y + top + height * factor / 2
        write(math.ceil((beside - 0.06) / pixel), middle, text, ha="right", va="center", fontsize=FONT)
    for index, tile in enumerate(tiles):
        tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
        high, wide = tile.shape[:2]
        y = index // columns * step_y + top + (height * factor - high) // 2
        x = indent + index % columns * step_x + side // 2 + (width * factor - wide) // 2
        canvas[y - 1 : y + high + 1, x - 1 : x + wide + 1] = 0.7  # a thin edge
        canvas[y : y + high, x : x + wide] = tile
        for what, colour in (("true box", TRUTH), ("box", HIGHLIGHT)):
            for box in framed[what][index] if framed else ():
                edges = np.clip(np.multiply(factor, box), 0, [wide, high, wide, high])
                corner = (x + edges[0] - 0.5, y + edges[1] - 0.5)
                _draw_frame(ax, corner, edges[2] - edges[0], edges[3] - edges[1], colour, 1.6)
        if titles is not None and titles[index]:
            write(x + (wide - 1) / 2, y - top * 0.15, titles[index], va="bottom", fontsize=font)
        if captions:
            look = {"va": "top", "fontsize": caption_font, "color": "#555555"}
            write(x + (wide - 1) / 2, y + high + bottom * 0.1, captions[index], **look)
    ax.imshow(canvas, interpolation="nearest", aspect="equal")
    ax.axis("off")
    return figure


def _colourbar(figure: Figure, colour_map: str, low: float, high: float) -> None:
    mappable = ScalarMappable(Normalize(low, high), colour_map)
    near = 0.07 * (high - low)  # round numbers between the ends, but where their labels would meet
    ticks = [low, *(t for t in MaxNLocator(4).tick_values(low, high) if low + near < t < high - near), high]
    bar = figure.colorbar(mappable, ax=figure.axes[0], fraction=0.05, pad=0.02, aspect=15, shrink=0.9, ticks=ticks)
    bar.set_ticklabels([number_text(tick) for tick in ticks], fontsize=8)


def _columns(count: int) -> int:
    """Tiles in a row of a grid about twice as wide as high."""
    return min(count, max(8, math.ceil(math.sqrt(2 * count))))


def _checked_images(images) -> list[np.ndarray]:
    """Grey images as ``(h, w)``, RGB ones as ``(h, w, 3)``."""
    arrays = []
    for index, image in enumerate(images):
        array = check_array(f"images[{index}]", image, (2, 3))
        if array.ndim == 3 and array.shape[2] not in (1, 3):
            raise ValueError(f"images[{index}]: got {array.shape[2]} channels, expected 1 or 3; see plot_feature_maps")
        array = array[..., 0] if array.shape[2:] == (1,) else array
        arrays.append(255 * array.astype(np.uint8) if array.dtype == bool else array)
    if not arrays:
        raise ValueError("images: got none, expected at least one")
    return arrays


def _box_lists(name: str, boxes: Sequence | None, images: Sequence) -> list[list]:
    """A list of boxes for each image."""
    if boxes is None:
        return [[]] * len(images)
    _check_length(name, boxes, len(images))
    lists = []
    for index, entry in enumerate(boxes):
        own = np.zeros((0, 4)) if entry is None or not len(entry) else np.atleast_2d(np.asarray(entry, float))
        if own.shape[1:] != (4,) or not np.isfinite(own).all() or (own[:, 2:] < own[:, :2]).any():
            came = f"{name}[{index}]: got {entry}"
            raise ValueError(f"{came}, expected (left, top, right, bottom), right and bottom the larger, or a list")
        lists.append(own.tolist())
    return lists


def _check_window(name: str, window: Sequence[int], array: np.ndarray) -> None:
    row, column, height, width = window
    fits = row + height <= array.shape[0] and column + width <= array.shape[1]
    if not fits or min(row, column) < 0 or min(height, width) < 1:
        came = f"{name}: got the window (row, column, height, width) {tuple(window)}"
        raise ValueError(f"{came}, which leaves the image of {size_text(array.shape)}")


def _check_length(name: str, values: Sequence | None, expected: int) -> None:
    if values is not None and len(values) != expected:
        raise ValueError(f"{name}: got {len(values)}, expected {expected}")


def _rgb(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array / 255
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{name}: got RGB values {_range(array)}, expected uint8, or floats from 0 to 1")
    return array.astype(float)


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


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _pictures(what: str, arrays: Sequence[np.ndarray]) -> str:
    sizes = sorted({array.shape[:2] for array in arrays})
    text = f"{_counted(len(arrays), what)} of {size_text(sizes[0])}"
    return f"{text} to {size_text(sizes[-1])}" if len(sizes) > 1 else text


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(parts) + "."


def _value(value: float, array: np.ndarray) -> str:
    """A number of an array; 0 for what is left of a sum that would be 0."""
    return number_text(0 if abs(value) < 1e-6 * np.abs(array.astype(float)).max() else value)


def _range(array: np.ndarray, between: str = " to ") -> str:
    return f"{_value(array.min(), array)}{between}{_value(array.max(), array)}"


def _numbers(array: np.ndarray) -> str:
    """Row by row; of a large array the range and the mean."""
    if array.size > MOST_NUMBERS:
        return f"{_range(array)}, mean {_value(array.mean(dtype=float), array)}"
    return " / ".join(" ".join(map(number_text, row)) for row in array)
