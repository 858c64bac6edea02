"""Every figure of the course: images, filters and feature maps in, a matplotlib figure out, which a cell ends with.

Any other chart is plain matplotlib on the Axes that `axes` makes. A figure says in words what it shows, its plain text.
"""

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import matplotlib.axes
import matplotlib.figure
import matplotlib.style
import numpy as np
from IPython.display import display
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter
from PIL import Image

from .claims import check_array, number_text, size_text
from .inspection import nodes_of

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of the classes of a mask: none for the first, then seven told apart on light and dark grey, then these, lighter.
CLASS_COLOURS = np.array([to_rgb(colour) for colour in ("white", *PALETTE[:4], "#F0E442", "#882255", PALETTE[4])])
CLASS_COLOURS = np.concatenate([CLASS_COLOURS, 0.5 + 0.5 * CLASS_COLOURS[1:]])
# Colour maps: white at zero for signed values, else of activations, images, errors and heat.
SIGNED, SEQUENTIAL, GREY, ERRORS, HEAT = "RdBu_r", "viridis", "gray", "Oranges", "inferno"
HIGHLIGHT, TRUTH = PALETTE[4], PALETTE[5]
FRAMES, FRAME = {"true box": TRUTH, "box": HIGHLIGHT}, {"fill": False, "clip_on": False}
SHAPES = "osD^vP*X<>"  # of points; with the palette, the first 70 pairs of colour and shape differ
DPI, SHOWN_DPI = 150, 90  # of the image, and of the page that shows it
WIDTH = 9.5  # inches; fits a notebook's column and a slide
FONT = 9  # points, of the words in a drawing of a network
MANY = 16  # pictures; beyond, words sum them up
MOST_NUMBERS = 100  # of a table that is read out
# In drawings of networks: colours by a word in the layer's name, and the names of layers as they are written
LAYER_COLOURS = {"pool": PALETTE[4], "conv": PALETTE[0], "dense": PALETTE[0]}
NAMES = {
    "InputLayer": "input", "Conv2D": "conv", "MaxPooling2D": "max pool", "AveragePooling2D": "average pool",
    "BatchNormalization": "norm", "ReLU": "ReLU", "ZeroPadding2D": "pad", "Concatenate": "concat",
}  # fmt: skip


# Whatever style the user has set, and texts as they are written: a class may be called "$x$"
_own_style = matplotlib.style.context(
    ["default", {"text.parse_math": False, "axes.prop_cycle": matplotlib.cycler(color=PALETTE)}]
)


def _styled(cls: type, *names: str) -> dict:
    """These methods of matplotlib's, in the course's style for what a cell adds, too."""
    return {name: _own_style(getattr(cls, name)) for name in names}


Axes = type("Axes", (matplotlib.axes.Axes,), _styled(matplotlib.axes.Axes, "text", "annotate", "set_title", "legend"))


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself, whatever backend and style are set, with what it shows in words."""

    words = ""  # what other figures show is read off them
    locals().update(_styled(matplotlib.figure.Figure, "text", "suptitle", "legend", "draw", "savefig"))

    @_own_style
    def __init__(self, width: float, height: float, layout: str = "constrained"):
        super().__init__(figsize=(width, height), dpi=DPI, layout=layout)

    @property
    def alt(self) -> str:
        """What the figure shows: its text alternative, and its plain text, which nbval compares."""
        return self.words or describe(self)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()

    def _ipython_display_(self) -> None:
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
    figure = Figure(*size)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": Axes})
    for ax in grid.ravel():
        ax.set(**labels)
        ax.grid(alpha=0.3)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                _number_ticks(axis)
    return figure, grid if grid.size > 1 else grid[0, 0]


def _number_ticks(axis) -> None:
    """Numbers, not powers of ten, along a logarithmic axis; between powers only where there are few of these."""

    def between(value: float, _) -> str:
        return number_text(value) if np.ptp(np.log10(axis.get_view_interval())) < 2.7 else ""

    axis.set_major_formatter(lambda value, _: number_text(value))
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(between)


def describe(figure: matplotlib.figure.Figure) -> str:
    """Say what a figure shows, read off the figure: titles, labels, and what each curve, bar and point holds."""
    parts = [figure.get_suptitle(), *map(_described, figure.axes)]
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
        return _labelled(line, f"level {number_text(y[0])}" if len(set(y)) == 1 else f"place {number_text(x[0])}")
    known = np.flatnonzero(np.isfinite(y))
    if not len(known):
        return _labelled(line, "without values")
    text = f"{number_text(y[known[0]])} to {number_text(y[known[-1]])}"
    text += f", x from {number_text(x[0])} to {number_text(x[-1])}"
    if len(y) > 2:
        for name, place in (("lowest", known[y[known].argmin()]), ("highest", known[y[known].argmax()])):
            text += f", {name} {number_text(y[place])} at {number_text(x[place])}"
    segments = [ends for bars in (whole.lines[2] if whole else ()) for ends in bars.get_segments() if len(ends) == 2]
    lengths = [np.linalg.norm(end - start) / 2 for start, end in segments]  # an error bar of NaN has no ends
    return _labelled(whole or line, text + (f", ± {_range(np.array(lengths))}" if lengths else ""))


def _bars(bars: BarContainer, ax) -> str:
    is_wide = bars.orientation == "horizontal"
    formatter = (ax.yaxis if is_wide else ax.xaxis).get_major_formatter()
    said = []
    for bar in bars:
        (x, y), wide, high = bar.get_xy(), bar.get_width(), bar.get_height()
        place, start, length = (y + high / 2, x, wide) if is_wide else (x + wide / 2, y, high)
        name = number_text(place) if isinstance(formatter, ScalarFormatter) else formatter(place)
        said.append(f"{name}: {number_text(length)}" + (f" from {number_text(start)}" if start else ""))
    return _labelled(bars, "; ".join(said), ", ")


def _points(cloud) -> str:
    places = np.asarray(cloud.get_offsets(), float)
    if len(places) <= MANY:
        return _labelled(cloud, ", ".join(f"({number_text(x).replace(',', '')}, {number_text(y)})" for x, y in places))
    return _labelled(cloud, f"{len(places):,} points, x {_range(places[:, 0])}, y {_range(places[:, 1])}")


@_own_style
def show_images(
    images, *, titles=None, columns: int | None = None, row_titles=None, boxes=None, true_boxes=None
) -> Figure:
    """Draw images side by side, each pixel at the same scale.

    `images` are a batch ``(n, h, w, c)`` or ``(n, h, w)``, or a list of ``(h, w)``, ``(h, w, 1)`` or RGB ``(h, w, 3)``,
    whose sizes may differ. uint8 is shown from 0 to 255. Other grey images share one scale from 0, and those with
    negative values share one that is symmetric around zero. RGB floats have to lie in 0 to 1.

    By default there are up to eight images in a row; a row's title stands to the left of it. Boxes are for each image
    None, ``(left, top, right, bottom)`` in pixels, or a list of such, cut off at the image's edge. True boxes, those
    that should have been found, have another colour.
    """
    images = images if isinstance(images, (list, tuple)) else np.asarray(images)
    if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[2] in (1, 3):
        raise ValueError(f"images: got shape {images.shape}, expected a list or a batch; of one image [image]")
    arrays = _checked_images(images)
    columns = min(len(arrays), columns or 8)
    titles = _strings("titles", titles, len(arrays))
    row_titles = _strings("row_titles", row_titles, math.ceil(len(arrays) / columns))
    framed: list[list] = [[] for _ in arrays]
    for name, given in (("true box", true_boxes), ("box", boxes)):
        for frames, own in zip(framed, [None] * len(arrays) if given is None else given, strict=True):
            frames += [(name, box) for box in np.reshape([] if own is None else own, (-1, 4))]
    floats = [array for array in arrays if array.ndim == 2 and array.dtype != np.uint8]
    limits = [max((_largest(a) for a in floats if (a.min() < 0) == signed), default=1) for signed in (False, True)]
    tiles = []
    for array in arrays:
        limit = 255 if array.dtype == np.uint8 else limits[int(array.min() < 0)]
        tiles.append(_rgb(array) if array.ndim == 3 else _colours(array, *_scale(array, GREY, limit)))
    # Of a picture in decimal numbers, made to be looked at, the values say nothing.
    captions = ["" if a.ndim == 3 and a.dtype != np.uint8 else _range(a, " … ") for a in arrays]
    captions = captions if any(captions) and len(arrays) <= MANY else []
    figure = _grid(tiles, columns, titles, captions, row_titles, framed)
    head = f"{_pictures('image', arrays)}{f', {columns} in a row' if len(arrays) > columns else ''}"
    rows = f"Rows: {'; '.join(row_titles)}. " if row_titles else ""
    figure.words = f"{head}. {rows}{_images_in_words(arrays, columns, titles, framed)}"
    return figure


def _images_in_words(arrays, columns: int, titles: Sequence[str], framed: Sequence) -> str:
    """A few images one by one, with where their brightness and their boxes are; of many the mean of each row."""
    if len(arrays) > MANY:
        counted = [f"{title} ({n})" for title, n in Counter(titles).items() if title]
        names = f"{', '.join(counted[:MANY])}{' and others' * (len(counted) > MANY)}. " if counted else ""
        rows = [arrays[start : start + columns] for start in range(0, len(arrays), columns)]
        means = [np.concatenate([array.ravel() for array in row]).mean(dtype=float) for row in rows]
        return f"{names}Mean of each row: {', '.join(map(number_text, means))}."
    parts = []
    for index, array in enumerate(arrays):
        boxes = [f", {name} {' '.join(f'{edge:.0f}' for edge in box)}" for name, box in framed[index]]
        said = f"{_range(array)}, mean {_value(array.mean(dtype=float), array)}{_middle(array)}{''.join(boxes)}"
        parts.append(f"{(titles and titles[index]) or f'picture {index + 1}'}: {said}")
    return "; ".join(parts) + "."


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
    shares = [(heat / (heat.max() or 1)).astype(np.float32) for heat in check_array("maps", maps, (3,))]
    heat = np.array([Image.fromarray(share).resize(np.shape(images)[2:0:-1], Image.BILINEAR) for share in shares])
    return _tinted(images, _colours(heat, HEAT, 0, 1), 0.75 * heat)  # never opaque: the image is seen through it


def paint(images, masks) -> np.ndarray:
    """Tint each pixel of the images, which turn grey, by its class; class 0 stays grey.

    `images` are as those of `overlay`, `masks` ``(n, h, w)``, whole numbers from 0 to 14. Returned is RGB, as there.
    """
    masks = check_array("masks", masks, (3,)).astype(int)
    if masks.min() < 0 or masks.max() >= len(CLASS_COLOURS):
        raise ValueError(f"masks: got numbers {_range(masks)}, expected classes from 0 to {len(CLASS_COLOURS) - 1}")
    return _tinted(images, CLASS_COLOURS[masks], 0.7 * (masks > 0))


def _tinted(images, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours laid over images, which turn grey, each pixel's as opaque as said, 0 to 1."""
    images = _rgb(check_array("images", images, (4,)))
    grey = images @ ((0.299, 0.587, 0.114) if images.shape[-1] == 3 else (1,))
    return np.clip((1 - opacity[..., None]) * grey[..., None] + opacity[..., None] * colours, 0, 1)


@_own_style
def show_pixels(images, *, titles=None, highlight: tuple[int, int, int, int] | None = None) -> Figure:
    """Draw a small image, or several side by side on one scale of colours, with the numbers written in.

    `images` are one ``(h, w)`` or ``(h, w, 1)``, or a list of them; beyond 32 columns in all there are no numbers.
    `highlight` is a window of the first image to frame, ``(row, column, height, width)``.
    """
    arrays = _checked_images(images if isinstance(images, (list, tuple)) else [images])
    scale = _scale(np.concatenate([array.ravel() for array in arrays]), GREY)
    names = _strings("titles", titles, len(arrays)) or [_pictures("image", arrays)]
    return _panels(arrays, [scale] * len(arrays), names, [highlight, *[None] * (len(arrays) - 1)])


@_own_style
def show_convolution(x, kernel, y, *, at: tuple[int, int] = (0, 0)) -> Figure:
    """Draw input, kernel and output side by side; small ones with their numbers.

    Each is ``(h, w)``, the input padded already, if it is. In small ones the output value `at` this row and column is
    framed, and the window that it came from, with stride 1.
    """
    x, kernel, y = (check_array(name, value, (2,)) for name, value in (("x", x), ("kernel", kernel), ("y", y)))
    titles = [f"input {size_text(x.shape)}", f"kernel {size_text(kernel.shape)}", f"output {size_text(y.shape)}"]
    frames = [(*at, *kernel.shape), None, (*at, 1, 1)] if max(x.shape) <= 12 else [None] * 3
    return _panels([x, kernel, y], [_scale(panel, GREY) for panel in (x, kernel, y)], titles, frames)


def _panels(arrays, scales: Sequence[tuple], titles: Sequence[str], frames: Sequence) -> Figure:
    """Draw arrays side by side, small ones with their numbers; `frames` are windows to frame, None for none."""
    most = max(max(array.shape) for array in arrays)
    widths = [max(array.shape[1], most // 5) for array in arrays]  # a kernel beside a photograph would be a dot
    cell = min(0.5, (WIDTH - 0.5) / sum(widths))
    figure = Figure(sum(widths) * cell + 0.25 * len(arrays), max(map(len, arrays)) * cell + 0.45)
    said = []
    for index, ax in enumerate(figure.subplots(1, len(arrays), width_ratios=widths, squeeze=False)[0]):
        colours = _colours(arrays[index], *scales[index])
        if sum(widths) <= 32:
            _draw_table(ax, colours, [[number_text(value) for value in row] for row in arrays[index]], cell)
        else:
            ax.imshow(colours, interpolation="nearest")
            ax.axis("off")
        ax.set_title(titles[index], fontsize=10)
        said.append(f"{titles[index]}: {_numbers(arrays[index])}")
        if frames[index]:
            row, column, rows, columns = frames[index]
            said[-1] += f", framed from row {row}, column {column}, {rows}×{columns}"
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), columns, rows, color=HIGHLIGHT, linewidth=3, **FRAME))
    figure.words = "; ".join(said) + "."
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


@_own_style
def plot_filters(kernel, *, titles=None) -> Figure:
    """Draw the filters of a convolution, white at zero, all on one scale.

    `kernel` is ``(h, w, out)`` for one input channel, Keras's ``(h, w, in, out)``, or a built Keras layer. With several
    input channels, up to 32, each has a row and each filter a column. There is a title for each picture.
    """
    if hasattr(kernel, "get_weights"):
        if not kernel.weights:
            raise ValueError(f"kernel: got layer {kernel.name!r} without weights, expected a built convolution")
        kernel = kernel.get_weights()[0]
    array = check_array("kernel", kernel, (3, 4))
    height, width, filters = *array.shape[:2], array.shape[-1]
    maps = np.moveaxis(array.reshape(height, width, -1), -1, 0)
    inputs, titles = len(maps) // filters, _strings("titles", titles, len(maps))
    scale = (SIGNED, -_largest(array), _largest(array))
    figure = _grid(_colours(maps, *scale), filters if 1 < inputs <= 32 >= filters else None, titles)
    _colourbar(figure, *scale)
    each = f" for each of {inputs} inputs" if inputs > 1 else ""
    text = f"{filters} filter{'s' * (filters > 1)} of {height}×{width} weights{each}"
    if array.size > MOST_NUMBERS:
        strongest = np.abs(array).reshape(-1, filters).sum(axis=0).argmax()
        figure.words = f"{text}: {_numbers(array)}; filter {strongest} is the strongest."
    else:
        named = zip(titles or range(len(maps)), maps, strict=True)
        figure.words = f"{text}. {'; '.join(f'{name}: {_numbers(one)}' for name, one in named)}."
    return figure


@_own_style
def plot_feature_maps(maps, *, titles=None) -> Figure:
    """Draw the feature maps of one image on one scale; those that are all 0 are marked.

    `maps` are ``(h, w, channels)``, or a batch ``(n, h, w, channels)``, whose first image is shown. The title of a map
    is by default its index; beyond 32 maps there are none.
    """
    array = check_array("maps", maps, (3, 4))
    array = array[0] if array.ndim == 4 else array
    separate = np.moveaxis(array, -1, 0)
    scale, is_dead = _scale(array, SEQUENTIAL), ~separate.any(axis=(1, 2))
    names = _strings("titles", titles, len(separate)) or [str(index) for index in range(len(separate))]
    marked = [f"{name}: all 0" if dead else name for name, dead in zip(names, is_dead, strict=True)]
    figure = _grid(_colours(separate, *scale), None, marked if len(separate) <= 32 else [])
    _colourbar(figure, *scale)
    said = [f"{name}: {_range(one)}" for name, one in zip(names, separate, strict=True)]
    figure.words = f"{_pictures('feature map', separate)}, values {_range(array)}, {is_dead.sum()} of them all 0."
    figure.words += f" {'; '.join(said)}." if len(said) <= MANY else ""
    return figure


@_own_style
def plot_lines(
    x, lines: Mapping, *, x_label: str, y_label: str, title: str | None = None, log: str = "", markers: bool = True
) -> Figure:
    """Draw curves, values by label, over a common `x` with one number for each value; NaN leaves a gap.

    `log` says which axes are logarithmic: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
    """
    x = check_array("x", x, (1,))
    figure, ax = axes(xlabel=x_label, ylabel=y_label, title=title, **{f"{axis}scale": "log" for axis in log})
    for index, (label, values) in enumerate(lines.items()):
        ax.plot(x, values, marker=SHAPES[index % len(SHAPES)] if markers else None, markersize=5, label=label)
    if "x" not in log and np.array_equal(x, np.rint(x)):  # epochs or steps: nothing lies between two
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(lines) > 1:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))  # beside: it hides no curve
    return figure


@_own_style
def plot_bars(values: Mapping[str, float], *, x_label: str, log: bool = False, errors: Mapping | None = None) -> Figure:
    """Draw labelled horizontal bars, first on top, each with its number; points where the axis is logarithmic.

    `values` are lengths by label, `errors` half the lengths of the error bars by the same labels.
    """
    figure, ax = axes(size=(0.75 * WIDTH, 0.42 * len(values) + 0.9), xlabel=x_label, xscale="log" if log else "linear")
    said = []
    for row, (label, length) in enumerate(values.items()):
        error = errors[label] if errors else 0
        if log:  # without a zero, lengths would mean nothing
            ax.errorbar(length, row, xerr=error or None, fmt="o", color=PALETTE[0], ecolor=PALETTE[4], capsize=3)
        else:
            ax.barh(row, length, xerr=error or None, color=PALETTE[0], ecolor=PALETTE[4], capsize=3)
        ax.annotate(number_text(length), (length + error, row), xytext=(8, 0), textcoords="offset points", va="center")
        said.append(f"{label}: {number_text(length)}" + (f" ± {number_text(error)}" if errors else ""))
    ax.set_yticks(range(len(values)), labels=list(map(str, values)))
    ax.margins(x=0.15)
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.grid(False, axis="y" if log else "both")
    figure.words = f"{'Points along' if log else 'Bars of'} {x_label}. {'; '.join(said)}."
    return figure


@_own_style
def plot_history(history) -> Figure:
    """Draw the loss and the first metric over the epochs, and mark the epoch of the lowest validation loss.

    `history` is what ``fit`` returns, or its ``.history``: values by name, one for each epoch, or validation.
    """
    record = {name: values for name, values in getattr(history, "history", history).items() if np.ndim(values) == 1}
    metrics = [name for name in record if not name.startswith("val_") and not name.endswith(("loss", "_rate", "lr"))]
    shown, epochs = ["loss", *metrics[:1]], np.arange(len(record["loss"])) + 1
    figure, grid = axes(1, len(shown), size=(WIDTH if len(shown) > 1 else WIDTH * 0.6, 3.4), xlabel="epoch")
    marker = "o" if len(epochs) <= 30 else None  # few epochs: a point without neighbours makes no line
    watched = np.asarray(record.get("val_loss", [np.nan]), float)
    every = len(epochs) // len(watched)  # `validation_freq`
    best = None if np.isnan(watched).all() else every * (np.nanargmin(watched) + 1)
    if best:
        figure.suptitle(f"best epoch {best}, validation loss {number_text(np.nanmin(watched))}", fontsize=11)
    for ax, name in zip(np.ravel(grid), shown, strict=True):
        for label, key, step in (("training", name, 1), ("validation", f"val_{name}", every)):
            if key in record:
                ax.plot(epochs[step - 1 :: step], record[key], marker=marker, markersize=4, label=label)
        if best:
            ax.axvline(best, color="#555555", linestyle="--", linewidth=1.2, zorder=0, label="best epoch")
        ax.set(ylabel="accuracy" if "acc" in name else name.replace("_", " "), xlim=(0.5, len(epochs) + 0.5))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


@_own_style
def plot_confusion(matrix, class_names: Sequence[str]) -> Figure:
    """Draw which class was called what: each count in its cell, the errors coloured by their share of the row.

    `matrix` has counts ``(classes, classes)``, a row for each true class and a column for each predicted one. Beyond 20
    classes only the colours are drawn.
    """
    matrix, count = check_array("matrix", matrix, (2,)), len(matrix)
    names, font, cell = _strings("class_names", class_names, count), min(9, 300 / count), min(0.6, 5 / count)
    # The diagonal is grey: coloured it would drown the errors, which are what to look at.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    limit = _largest(shares)
    colours = _colours(shares, ERRORS, 0, limit)
    colours[np.eye(count, dtype=bool)] = 0.85
    numbers = [[f"{number:.0f}" if number and count <= 20 else "" for number in row] for row in matrix]
    side, beside = max(2.4, count * cell), _widest(names, font)
    figure = Figure(side + beside + 1.7, side + beside + 0.6, "compressed")  # "constrained" would cut a label off
    ax = figure.add_subplot()
    _draw_table(ax, colours, numbers, cell)
    ax.set_xticks(range(count), labels=names, fontsize=font, rotation=90 if beside > 0.9 * cell else 0)
    ax.set_yticks(range(count), labels=names, fontsize=font)
    ax.set(xlabel="predicted class", ylabel="true class")
    _colourbar(figure, ERRORS, 0, 100 * limit)
    figure.axes[1].set_ylabel("errors, % of the true class", fontsize=8)
    few = matrix.size <= MOST_NUMBERS
    rows = [_numbers(row[None]) if few else f"{row[i]:.0f} of {row.sum():.0f}" for i, row in enumerate(matrix)]
    said = map(": ".join, zip(names, rows, strict=True))
    right = f"{np.trace(matrix):,.0f} of {matrix.sum():,.0f} right"
    figure.words = f"{count} classes, true against predicted: {right}. {'; '.join(said)}."
    return figure


@_own_style
def plot_network(layers: Sequence[tuple[str, Sequence[int]]], title: str = "") -> Figure:
    """Draw a network as a row of boxes, one for each layer's output, on one scale for all networks.

    `layers` are ``(label, shape)`` from the input to the output, shapes ``(height, width, channels)`` or ``(units,)``.
    A box is as high as the square root of its map's height, and as wide as that of its channels; that of a dense layer
    is as high as the logarithm of its units. The first is grey; those with "pool" in the label have their own colour.
    """
    labels, shapes = [" ".join(label.split()) for label, _ in layers], [size_text(shape) for _, shape in layers]
    sizes = np.zeros((len(layers), 2))
    for size, (_, (*sides, channels)) in zip(sizes, layers, strict=True):
        size[0] = 0.04 + 0.017 * math.sqrt(channels) if sides else 0.12
        size[1] = 0.11 * math.sqrt(sides[0]) if sides else 0.15 + 0.4 * math.log10(channels)
    slots = np.maximum(sizes[:, 0], [_widest(texts) for texts in zip(labels, shapes, strict=True)]) + 0.17
    centres = np.column_stack([np.cumsum(slots) - slots / 2, 0 * slots])
    edges = sizes * (0.5, 0) + (0.04, 0)
    ways = zip((centres + edges)[:-1], (centres - edges)[1:], strict=True)
    words = f"A network as a row of boxes: {', then '.join(map(' '.join, zip(labels, shapes, strict=True)))}."
    return _diagram(title, words, centres, sizes, labels, shapes, ways, is_above=True)


@_own_style
def plot_graph(model, title: str = "") -> Figure:
    """Draw the layers of a small Keras model as boxes in columns, with an arrow for each connection.

    `model` is a functional model, or a Sequential one whose input is known; a model inside it is one box. Below a box
    is the shape of its output where it differs from that of its input.
    """
    nodes = nodes_of(model)
    parents = [[nodes.index(parent) for parent in dict.fromkeys(node.parent_nodes)] for node in nodes]
    columns, rows = _places(parents)
    texts, said, below = [_box_text(node.operation) for node in nodes], [], []
    shapes = [size_text(node.outputs[0].shape[1:]) for node in nodes]
    for index, (text, shape, before) in enumerate(zip(texts, shapes, parents, strict=True)):
        origin = f", from {' and '.join(str(parent + 1) for parent in before)}" if before else ""
        said.append(f"{index + 1} {' '.join(text.split())} gives {shape}{origin}")
        below.append("" if {shapes[parent] for parent in before} == {shape} else shape)
    widths, high, gap = np.zeros(max(columns) + 1), 0.1 + 0.15 * max(len(text.split("\n")) for text in texts), 0.34
    for column, text, shape in zip(columns, texts, below, strict=True):  # all of a column are as wide
        widths[column] = max(widths[column], 0.1 + _widest([*text.split("\n"), shape]))
    middles = np.cumsum(widths + gap) - widths / 2
    centres = np.column_stack([middles[columns], -(high + 0.35) * np.array(rows)])
    sizes = np.column_stack([widths[columns], np.full(len(nodes), high)])
    ways = []
    for end, before in enumerate(parents):
        tip = centres[end] - sizes[end] * (0.5, 0)
        for out in (centres[start] + sizes[start] * (0.5, 0) for start in before):
            ways.append([out, (tip[0] - gap + 0.08, out[1]), tip])  # along its own row, which is free, to the gap
    words = f"{len(nodes)} layers. {'; '.join(said)}."
    return _diagram(title, words, centres, sizes, texts, below, ways)


def _places(parents: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Each box's column, and its row: the first of its parents' that is free up to the last box it has an arrow to."""
    columns, rows, taken = [], [], set()
    for before in parents:
        columns.append(1 + max((columns[parent] for parent in before), default=-1))
    for index, before in enumerate(parents):
        ends = [columns[end] for end, others in enumerate(parents) if index in others]
        row = min((rows[parent] for parent in before), default=0)
        needed = range(columns[index], max(ends, default=columns[index] + 1))
        while any((column, row) in taken for column in needed):
            row += 1
        rows.append(row)
        taken |= {(column, row) for column in needed}
    return columns, rows


def _box_text(layer) -> str:
    kind = type(layer).__name__
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear").replace("relu", "ReLU")
    if kind == "Activation":
        return activation
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    text = f"{size_text(size)} " if size else ""
    text += NAMES.get(kind, kind.lower()) + (f" {layer.units}" if hasattr(layer, "units") else "")
    text += f"\n+ {activation}" if activation != "linear" else ""
    details, stride = [str(layer.filters)] if hasattr(layer, "filters") else [], np.max(getattr(layer, "strides", 1))
    details += [f"/{stride}"] if stride > 1 else []
    return "\n".join([text, ", ".join(details)]).strip()


def _diagram(title, words, centres, sizes, texts, below, ways, is_above: bool = False) -> Figure:
    """Draw boxes, in inches, with texts inside or above and others below, and an arrow along each way."""
    (left, low), (right, high) = (centres - sizes / 2).min(0) - 0.4, np.add((centres + sizes / 2).max(0), (0.4, 0.6))
    figure = Figure(right - left, high - low, "none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(low, high))
    ax.axis("off")
    ax.text((left + right) / 2, high - 0.08, title, ha="center", va="top", fontsize=4 / 3 * FONT)
    for index, ((x, y), size, text, note) in enumerate(zip(centres, sizes, texts, below, strict=True)):
        plain = PALETTE[0] if is_above and index else "#DDDDDD"
        colour = next((colour for word, colour in LAYER_COLOURS.items() if word in text), plain)
        bottom = y - size[1] / 2
        ax.add_patch(Rectangle((x - size[0] / 2, bottom), *size, facecolor=colour, edgecolor="#333333", linewidth=0.8))
        height, align = (y + size[1] / 2 + 0.04, "bottom") if is_above else (y, "center")
        ink = "black" if is_above else _ink(np.array(to_rgb(colour))).item()
        ax.text(x, height, text, ha="center", va=align, fontsize=FONT, color=ink)
        ax.text(x, bottom - 0.04, note, ha="center", va="top", fontsize=FONT, color="#555555")
    look = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    for *way, end in ways:
        ax.plot(*np.transpose(way), color="#333333", linewidth=1.1)
        ax.annotate("", xy=end, xytext=way[-1], arrowprops=look)
    figure.words = f"{title}. {words}" if title else words
    return figure


def _widest(texts: Iterable[str], font: float = FONT) -> float:
    """In inches, rounded up, so that versions of a font that differ by a hair give figures of one size."""
    widths = [TextPath((0, 0), f"{text}.", size=font).get_extents().x1 for text in texts]
    return math.ceil(max(widths, default=0) / 72 * 20) / 20


def _grid(tiles, columns: int | None, titles=(), captions=(), row_titles=(), framed=()) -> Figure:
    """Compose RGB tiles into one picture and draw it once, which hundreds of small Axes would make slow.

    Titles stand above the tiles, captions below, titles of rows beside; `framed` are each tile's boxes, with names
    of `FRAMES`. By default the picture is about twice as wide as high.
    """
    columns = columns or min(len(tiles), max(8, math.ceil(math.sqrt(2 * len(tiles)))))
    beside = _widest(row_titles) + 0.1 if row_titles else 0
    rows = math.ceil(len(tiles) / columns)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    # In inches: as large as a slide allows, and no smaller than can be seen, however many rows somebody asks for
    tile_width = max(0.05, min((WIDTH - 0.8 - beside) / columns, 2.6, 4.2 / rows * width / height))
    font, caption_font = max(4, min(10, 115 * tile_width / max(4, *map(len, titles), 4))), min(8, 6 * tile_width)
    # Small tiles are enlarged by a whole factor, so that the gaps come out as thin as they should.
    factor = max(1, math.ceil(70 * tile_width / width))
    pixel, gap = tile_width / (width * factor), 0.1 * tile_width
    gaps = (13 / 72 if titles else gap / 2, (caption_font + 4) / 72 if captions else gap / 2, gap)
    top, bottom, side = (max(2, math.ceil(inches / pixel)) for inches in gaps)
    step_y, step_x = height * factor + top + bottom, width * factor + side
    canvas = np.ones((rows * step_y, columns * step_x, 3), dtype=np.float32)
    figure = Figure(max(canvas.shape[1] * pixel + beside + 0.15, 1.2), canvas.shape[0] * pixel + 0.1)
    ax = figure.add_subplot()
    for row, text in enumerate(row_titles):
        ax.text(0, row * step_y + top + height * factor / 2, text, ha="right", va="center", fontsize=FONT)
    look = {"ha": "center", "in_layout": False}  # gaps were made for these texts; a layout takes half of the time
    for index, tile in enumerate(tiles):
        tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
        high, wide = tile.shape[:2]
        y = index // columns * step_y + top + (height * factor - high) // 2
        x = index % columns * step_x + side // 2 + (width * factor - wide) // 2
        canvas[y - 1 : y + high + 1, x - 1 : x + wide + 1] = 0.7  # a thin edge
        canvas[y : y + high, x : x + wide] = tile
        for name, box in framed[index] if framed else ():
            start, end = np.clip(np.reshape(box, (2, 2)) * factor, 0, (wide, high))
            corner = np.add(start, (x - 0.5, y - 0.5))
            ax.add_patch(Rectangle(corner, *(end - start), color=FRAMES[name], linewidth=1.6, **FRAME))
        if titles and titles[index]:
            ax.text(x + (wide - 1) / 2, y - top * 0.15, titles[index], va="bottom", fontsize=font, **look)
        if captions:
            below = {"va": "top", "fontsize": caption_font, "color": "#555555"}
            ax.text(x + (wide - 1) / 2, y + high + bottom * 0.1, captions[index], **below, **look)
    ax.imshow(canvas, interpolation="nearest", aspect="equal")
    ax.axis("off")
    return figure


def _colourbar(figure: Figure, colour_map: str, low: float, high: float) -> None:
    mappable, ticks = ScalarMappable(Normalize(low, high), colour_map), np.linspace(low, high, 5)
    bar = figure.colorbar(mappable, ax=figure.axes[0], fraction=0.05, pad=0.02, aspect=15, shrink=0.9, ticks=ticks)
    bar.set_ticklabels([number_text(tick) for tick in ticks], fontsize=8)


def _checked_images(images) -> list[np.ndarray]:
    """Grey images as ``(h, w)``, RGB ones as ``(h, w, 3)``."""
    arrays = [check_array(f"images[{index}]", image, (2, 3)) for index, image in enumerate(images)]
    if not arrays:
        raise ValueError("images: got none, expected at least one")
    arrays = [array[..., 0] if array.shape[2:] == (1,) else array for array in arrays]
    return [255 * array.astype(np.uint8) if array.dtype == bool else array for array in arrays]


def _strings(name: str, values: Sequence | None, expected: int) -> list[str]:
    """So many texts, or none at all."""
    if values is not None and len(values) != expected:
        raise ValueError(f"{name}: got {len(values)}, expected {expected}")
    return [] if values is None else [str(value) for value in values]


def _rgb(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array / 255
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"images: got RGB values {_range(array)}, expected uint8, or floats from 0 to 1")
    return array.astype(float)


def _scale(array: np.ndarray, unsigned_map: str, limit: float | None = None) -> tuple[str, float, float]:
    """Colour map and limits: symmetric around zero for signed values, from zero otherwise."""
    limit = limit or _largest(array)
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


def _pictures(what: str, arrays: Sequence[np.ndarray]) -> str:
    sizes = sorted({array.shape[:2] for array in arrays})
    text = f"{len(arrays):,} {what}{'s' * (len(arrays) > 1)} of {size_text(sizes[0])}"
    return f"{text} to {size_text(sizes[-1])}" if len(sizes) > 1 else text


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
