"""Every figure of the course: arrays or Keras layers in, a matplotlib ``Figure`` out.

A cell shows the figure by ending with it. Grids of images are composed into one array and drawn as a single
image, since hundreds of small Axes are slow. Signed values use a diverging map with white at zero, others
grey (images), viridis (activations) or white to orange (errors); the range of values is written beside them.
"""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from .validation import check_array, check_integer, size_text

# Okabe and Ito's palette: told apart with every common kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SIGNED, SEQUENTIAL, GREY, ERRORS = "RdBu_r", "viridis", "gray", "Oranges"
HIGHLIGHT = PALETTE[4]
DPI = 90  # stated, so that "<Figure size …>" reads the same on every machine
WIDTH = 9.5  # inches; fits a notebook's column and a slide
FRAME = 0.022  # inches: two dots of the screen
MOST_MAPS = 512


def show_images(
    images,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    row_titles: Sequence[str] | None = None,
    boxes: Sequence | None = None,
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
        One for each image: None, or ``(top, left, height, width)`` in pixels of a box to frame. What lies outside of
        the image is cut off.

    Raises
    ------
    ValueError
        For no images, too few or too many titles, row titles or boxes, a wrong rank, NaN, RGB values out of range, or a
        box that is not four finite numbers with a positive height and width.
    """
    if not isinstance(images, (list, tuple)):
        shape = np.shape(images)
        if len(shape) not in (3, 4) or (len(shape) == 3 and shape[2] in (1, 3)):
            raise ValueError(
                f"images: got one image or a number, of shape {shape}, expected a list or a batch (n, h, w, c)"
            )
    arrays = [_image(f"images[{index}]", image) for index, image in enumerate(images)]
    if not arrays:
        raise ValueError("images: got none, expected at least one")
    titles = _checked_titles(titles, len(arrays))
    columns = min(len(arrays), 8) if columns is None else check_integer("columns", columns, 1)
    rows = math.ceil(len(arrays) / columns)
    if row_titles is not None and len(row_titles) != rows:
        raise ValueError(f"row_titles: got {len(row_titles)}, expected {rows}, one for each row")
    boxes = _checked_boxes(boxes, len(arrays))

    floats = [array for array in arrays if array.ndim == 2 and array.dtype != np.uint8]
    signed_limit = max((_largest(array) for array in floats if array.min() < 0), default=0)
    grey_limit = max((_largest(array) for array in floats if array.min() >= 0), default=0)
    tiles, captions = [], []
    for index, array in enumerate(arrays):
        if array.ndim == 3:
            tiles.append(_rgb(f"images[{index}]", array))
        elif array.dtype == np.uint8:
            tiles.append(_colours(array, GREY, 0, 255))
        elif array.min() < 0:
            tiles.append(_colours(array, SIGNED, -signed_limit, signed_limit))
        else:
            tiles.append(_colours(array, GREY, 0, grey_limit))
        captions.append(f"{_number(array.min())} … {_number(array.max())}")
    if len(arrays) > 16:
        low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
        figure = _grid(tiles, columns, titles, boxes=boxes, row_titles=row_titles)
        figure.supxlabel(f"values {_number(low)} … {_number(high)}", fontsize=9, color="#555555")
        return figure
    return _grid(tiles, columns, titles, captions, boxes=boxes, row_titles=row_titles)


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
    arrays = [_image(f"images[{index}]", image) for index, image in enumerate(images)]
    if not arrays:
        raise ValueError("images: got none, expected at least one")
    widths = [array.shape[1] for array in arrays]
    heights = [array.shape[0] for array in arrays]
    if max(array.ndim for array in arrays) > 2 or sum(widths) > 32 or max(heights) > 32:
        sizes = ", ".join(size_text(array.shape) for array in arrays)
        raise ValueError(f"images: got {sizes}, expected one channel each and at most 32×32 together")
    titles = _checked_titles(titles, len(arrays))
    if highlight is not None and not _is_inside(highlight, arrays[0]):
        raise ValueError(
            f"highlight: got {highlight}, expected (row, column, height, width) inside {size_text(arrays[0].shape)}"
        )
    everything = np.concatenate([array.ravel() for array in arrays])
    return _number_panels(arrays, [_scale(everything, GREY)] * len(arrays), titles, [highlight])


def show_convolution(x, kernel, y, *, at: tuple[int, int] = (0, 0), stride: int = 1) -> Figure:
    """Draw input, kernel and output side by side; small ones with their numbers.

    Parameters
    ----------
    x, kernel, y
        Input (padded already, if it is), kernel and output, each ``(h, w)``.
    at
        ``(row, column)`` of an output value; it and the window that it came from are framed.
    stride
        The stride that made `y`.

    Raises
    ------
    ValueError
        For another rank, NaN, `at` outside `y`, or a window outside `x`.
    """
    panels = [check_array(name, value, (2,)) for name, value in (("x", x), ("kernel", kernel), ("y", y))]
    x, kernel, y = panels
    row, column = at
    if not (0 <= row < y.shape[0] and 0 <= column < y.shape[1]):
        raise ValueError(f"at: got {at}, expected a place inside y of shape {y.shape}")
    stride = check_integer("stride", stride, 1)
    window = (row * stride, column * stride, *kernel.shape)
    if window[0] + window[2] > x.shape[0] or window[1] + window[3] > x.shape[1]:
        raise ValueError(f"at: got {at}, whose window leaves x of shape {x.shape}")

    titles = [f"input {size_text(x.shape)}", f"kernel {size_text(kernel.shape)}", f"output {size_text(y.shape)}"]
    if max(x.shape) <= 12:
        scales = [_scale(panel, GREY) for panel in panels]
        return _number_panels(panels, scales, titles, [window, None, (row, column, 1, 1)])
    # A kernel on a photograph would be a dot at the photograph's scale: give it at least a fifth of its width.
    widths = [x.shape[1], max(kernel.shape[1], x.shape[1] // 5), y.shape[1]]
    height = x.shape[0] * (WIDTH - 0.8) / sum(widths)
    figure = _figure(WIDTH, height + 0.6)
    for ax, panel, title in zip(figure.subplots(1, 3, width_ratios=widths), panels, titles, strict=True):
        ax.imshow(_colours(panel, *_scale(panel, GREY)), interpolation="nearest")
        ax.set_title(f"{title}\n{_number(panel.min())} … {_number(panel.max())}", fontsize=9)
        ax.axis("off")
    return figure


def plot_filters(
    kernel, *, channel: int | None = None, titles: Sequence[str] | None = None, columns: int | None = None
) -> Figure:
    """Draw the filters of a convolution, white at zero, all on one scale.

    Parameters
    ----------
    kernel
        ``(h, w)``, ``(h, w, out)`` for one input channel, Keras's ``(h, w, in, out)``, or a built Keras layer.
        With several input channels, up to 32, each has a row and each filter a column.
    channel
        Draw the filters' weights for this input channel only.
    titles
        One for each picture.

    Raises
    ------
    ValueError
        For a layer without weights, another rank, an unknown channel, NaN, a wrong number of titles, or more than
        512 pictures.
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
    if channel is not None:
        if check_integer("channel", channel, 0) >= array.shape[2]:
            raise ValueError(f"channel: got {channel}, expected 0 to {array.shape[2] - 1}")
        array = array[:, :, [channel], :]
    height, width, inputs, filters = array.shape
    _check_count("kernel", inputs * filters)
    titles = _checked_titles(titles, inputs * filters)
    limit = _largest(array)
    maps = array.transpose(2, 3, 0, 1).reshape(inputs * filters, height, width)
    tiles = _colours(maps, SIGNED, -limit, limit)
    if columns is None and inputs > 1 and max(inputs, filters) <= 32:
        columns = filters
    columns = _columns(len(tiles)) if columns is None else check_integer("columns", columns, 1)
    figure = _grid(tiles, columns, titles)
    _colourbar(figure, SIGNED, -limit, limit)
    return figure


def plot_feature_maps(
    maps, *, each: bool = False, titles: Sequence[str] | None = None, columns: int | None = None
) -> Figure:
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
    columns = _columns(count) if columns is None else check_integer("columns", columns, 1)
    if titles is None:
        # Beyond 32 maps only those that start a row: every text takes as long to draw as many maps.
        titles = [str(index) if count <= 32 or index % columns == 0 else "" for index in range(count)]
    figure = _grid(tiles, columns, titles, marks=marks)
    if each:
        figure.supxlabel("each map on a scale of its own", fontsize=9, color="#555555")
    else:
        _colourbar(figure, *shared)
    return figure


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
        Which axes are logarithmic: ``""``, ``"x"`` or ``"xy"``.

    Raises
    ------
    ValueError
        For no curve, a curve whose length is not that of `x`, another `log`, or an `x` that a logarithmic axis cannot
        show.
    """
    if log not in ("", "x", "xy"):
        raise ValueError(f"log: got {log!r}, expected '', 'x' or 'xy'")
    x = check_array("x", x, (1,))
    if log and x.min() <= 0:
        raise ValueError(f"x: got {_number(x.min())}, expected more than 0 on a logarithmic axis")
    if not lines:
        raise ValueError("lines: got none, expected at least one curve")
    figure = _figure(WIDTH * 0.8, 3.6)
    ax = figure.add_subplot()
    for index, (label, values) in enumerate(lines.items()):
        if len(values) != len(x):
            raise ValueError(f"lines[{label!r}]: got {len(values)} values, expected {len(x)}, as in x")
        marker = "osD^vP*"[index % 7] if markers else None
        ax.plot(x, values, marker=marker, markersize=5, color=PALETTE[index % len(PALETTE)], label=label)
    if log:
        ax.set(xscale="log", yscale="log" if log == "xy" else "linear")
        ax.set_xticks(x, labels=[_number(value) for value in x], minor=False)
        ax.set_xticks([], minor=True)
    elif np.array_equal(x, np.rint(x)):  # epochs or steps: nothing lies between two
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel=x_label, ylabel=y_label, title=title)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))  # beside: it hides no curve
    return figure


def plot_bars(
    values: Mapping[str, float], *, x_label: str, log: bool = False, errors: Mapping[str, float] | None = None
) -> Figure:
    """Draw labelled horizontal bars, first on top, each with its number.

    Parameters
    ----------
    values
        Lengths by label.
    errors
        By label, half the length of an error bar.

    Raises
    ------
    ValueError
        For no values, NaN, values that are not positive on a logarithmic axis, errors that are negative or of other
        labels.
    """
    if not values:
        raise ValueError("values: got none, expected at least one bar")
    lengths = check_array("values", list(values.values()), (1,)).tolist()
    if log and min(lengths) <= 0:
        raise ValueError(f"values: got {min(lengths)}, expected more than 0 on a logarithmic axis")
    spread = None
    if errors is not None:
        if list(errors) != list(values):
            raise ValueError(f"errors: got {', '.join(errors)}, expected {', '.join(values)}, as in values")
        spread = check_array("errors", list(errors.values()), (1,))
        if spread.min() < 0:
            raise ValueError(f"errors: got {_number(spread.min())}, expected lengths from 0")
    figure = _figure(WIDTH * 0.75, 0.42 * len(values) + 0.9)
    ax = figure.add_subplot()
    bars = ax.barh(list(values), lengths, color=PALETTE[0], xerr=spread, ecolor=PALETTE[4], capsize=3)
    ax.bar_label(bars, labels=[_number(length) for length in lengths], padding=4)
    ax.invert_yaxis()
    if log:
        ax.set_xscale("log")
    ax.margins(x=0.15)
    ax.set(xlabel=x_label)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


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
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    if best is not None:
        figure.suptitle(f"best epoch {best + 1}, validation loss {_number(watched[best])}", fontsize=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()  # Keras records the loss wherever it records a metric
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)  # below: it hides no curve
    return figure


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
    if matrix.min() < 0 or (matrix != np.rint(matrix)).any():
        odd = matrix[(matrix < 0) | (matrix != np.rint(matrix))][0]
        raise ValueError(f"matrix: got {_number(odd)}, expected counts, whole and not negative")
    if len(class_names) != count:
        raise ValueError(f"class_names: got {len(class_names)}, expected {count}, one for each row")

    # The diagonal is grey: coloured it would drown the errors, which are what to look at.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    limit = _largest(shares)
    colours = _colours(shares, ERRORS, 0, limit)
    colours[np.eye(count, dtype=bool)] = 0.85
    names = [str(name) for name in class_names]
    font = max(4, min(9, 300 / count))
    name_room = max(_text_width(name, font) for name in names)
    cell = min(0.6, 5 / count, (WIDTH - 1.8 - name_room) / count)
    is_wide = name_room > 0.9 * cell
    figure = _figure(
        max(3.2, count * cell + name_room + 1.7), max(2.4, count * cell + (name_room if is_wide else 0.2) + 0.6)
    )
    figure.set_layout_engine("compressed")  # with a square and a bar beside it, "constrained" cuts a label off
    ax = figure.add_subplot()
    ax.imshow(colours, interpolation="nearest")
    if count <= 20:
        ink = _ink(colours)
        for row, column in np.argwhere(matrix):
            text = f"{matrix[row, column]:.0f}"
            number_font = min(11, 72 * cell / (0.65 * len(text) + 0.7))
            ax.text(column, row, text, ha="center", va="center", fontsize=number_font, color=ink[row, column])
    ax.set_xticks(range(count), labels=names, fontsize=font, rotation=90 if is_wide else 0)
    ax.set_yticks(range(count), labels=names, fontsize=font)
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(0.5, count - 1), minor=True)
    ax.set_yticks(np.arange(0.5, count - 1), minor=True)
    ax.grid(which="minor", color="#cccccc", linewidth=0.5)
    ax.tick_params(which="minor", length=0)
    ax.set(xlabel="predicted class", ylabel="true class")
    _colourbar(figure, ERRORS, 0, 100 * limit)
    figure.axes[1].set_ylabel("errors, % of the true class", fontsize=8)
    return figure


def plot_heat_map(
    values,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    x_label: str,
    y_label: str,
    title: str | None = None,
    low: float = 0,
    high: float = 1,
) -> Figure:
    """Draw a table of numbers, each in a cell coloured by its value.

    Parameters
    ----------
    values
        ``(rows, columns)``.
    row_names, column_names
        One for each row and column.
    low, high
        The values at the two ends of the colours.

    Raises
    ------
    ValueError
        For another rank, NaN, a wrong number of names, or `low` that is not below `high`.
    """
    values = check_array("values", values, (2,))
    named = {"row_names": row_names, "column_names": column_names}
    for (name, names), expected in zip(named.items(), values.shape, strict=True):
        if len(names) != expected:
            raise ValueError(f"{name}: got {len(names)}, expected {expected}, as many as in values")
    if not low < high:
        raise ValueError(f"low: got {_number(low)}, expected less than high, {_number(high)}")
    rows, columns = values.shape
    font = 9
    beside, below = (max(_text_width(name, font) for name in names) for names in (row_names, column_names))
    cell = min(0.62, (WIDTH - 1.6 - beside) / columns)
    is_wide = below > 0.95 * cell
    height = rows * min(cell, 0.4) + (below if is_wide else 0.2) + (0.9 if title else 0.6)
    figure = _figure(columns * cell + beside + 1.6, height)
    ax = figure.add_subplot()
    colours = _colours(values, SEQUENTIAL, low, high)
    ax.imshow(colours, interpolation="nearest", aspect="auto")
    ink = _ink(colours)
    for row, column in np.ndindex(rows, columns):
        text = f"{values[row, column]:.2f}".replace("-", "−")
        number_font = min(10, 72 * cell / (0.65 * len(text) + 0.7))
        ax.text(column, row, text, ha="center", va="center", fontsize=number_font, color=ink[row, column])
    ax.set_xticks(range(columns), labels=column_names, fontsize=font, rotation=90 if is_wide else 0)
    ax.set_yticks(range(rows), labels=row_names, fontsize=font)
    ax.tick_params(length=0)
    ax.set(xlabel=x_label, ylabel=y_label, title=title)
    _colourbar(figure, SEQUENTIAL, low, high)
    return figure


def plot_timeline(lanes: Mapping[str, Sequence[tuple[float, float]]], *, title: str | None = None) -> Figure:
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
    figure = _figure(WIDTH, 0.5 * len(lanes) + (1.1 if title else 0.8))
    ax = figure.add_subplot()
    for lane, work in enumerate(lanes.values()):
        bars = [(1000 * (start - origin), 1000 * (end - start)) for start, end in work]
        ax.broken_barh(bars, (lane - 0.35, 0.7), facecolors=[PALETTE[0], PALETTE[5]], edgecolor="white")
    ax.set_yticks(range(len(lanes)), labels=list(lanes))
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set(xlabel="milliseconds", title=title)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


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
        came = f"{_number(confidence.min())} … {_number(confidence.max())}"
        raise ValueError(f"confidence: got values {came}, expected 0 to 1")
    if not np.isin(correct, (0, 1)).all():
        raise ValueError(f"correct: got {_number(correct[~np.isin(correct, (0, 1))][0])}, expected True or False")
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
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _text_width(text: str, font: float) -> float:
    """In inches, rounded up, so that versions of a font that differ by a hair give figures of one size."""
    return math.ceil(TextPath((0, 0), f"{text}.", size=font).get_extents().x1 / 72 * 20) / 20


def _figure(width: float, height: float) -> Figure:
    figure = plt.figure(figsize=(width, height), dpi=DPI, layout="constrained")
    # Closed, it stays usable but is not drawn a second time at the end of the cell.
    plt.close(figure)
    return figure


def _image(name: str, image) -> np.ndarray:
    """A grey image as ``(h, w)``, an RGB one as ``(h, w, 3)``."""
    array = check_array(name, image, (2, 3))
    if array.ndim == 3 and array.shape[2] == 1:
        return array[..., 0]
    if array.ndim == 3 and array.shape[2] != 3:
        raise ValueError(f"{name}: got {array.shape[2]} channels, expected 1 or 3; see plot_feature_maps")
    return array


def _rgb(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array / 255
    if array.min() < 0 or array.max() > 1:
        came = f"{_number(array.min())} … {_number(array.max())}"
        raise ValueError(f"{name}: got RGB values {came}, expected uint8, or floats from 0 to 1")
    return array.astype(float)


def _scale(array: np.ndarray, unsigned_map: str) -> tuple[str, float, float]:
    """Colour map and limits: symmetric around zero for signed values, from zero otherwise."""
    limit = _largest(array)
    return (SIGNED, -limit, limit) if array.min() < 0 else (unsigned_map, 0.0, limit)


def _largest(array: np.ndarray) -> float:
    """The largest magnitude; 1 where all is zero, so that there is a range to divide by."""
    return float(np.abs(array.astype(float)).max()) or 1.0


def _colours(array: np.ndarray, colour_map: str, low: float, high: float) -> np.ndarray:
    return plt.get_cmap(colour_map)(Normalize(low, high)(array.astype(float)))[..., :3]


def _ink(colours: np.ndarray) -> np.ndarray:
    """What to write in on each of these colours: white on dark ones, black on light ones."""
    return np.where(colours @ (0.299, 0.587, 0.114) < 0.5, "white", "black")


def _columns(count: int) -> int:
    """Tiles in a row of a grid about twice as wide as high."""
    return min(count, max(8, math.ceil(math.sqrt(2 * count))))


def _grid(
    tiles: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None,
    captions: Sequence[str] | None = None,
    marks: Sequence[str] | None = None,
    boxes: Sequence | None = None,
    row_titles: Sequence[str] | None = None,
) -> Figure:
    """Compose RGB tiles into one picture and draw it once; texts go above, below, beside and onto the tiles."""
    columns = min(columns, len(tiles))
    beside = max(_text_width(text, 9) for text in row_titles) + 0.1 if row_titles else 0  # inches
    rows = math.ceil(len(tiles) / columns)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    # All in inches: the gaps hold a line of text each, whatever the size of a pixel.
    # As large as a slide allows, and no smaller than can be seen, however many rows somebody asks for.
    tile_width = max(0.05, min((WIDTH - 0.8 - beside) / columns, 2.6, 4.2 / rows * width / height))
    longest = max(map(len, titles)) if titles else 1
    font = max(4, min(10, 115 * tile_width / max(longest, 4)))
    caption_font = min(8, 6 * tile_width) if captions else 0
    gap = 0.1 * tile_width
    above = (font + 3) / 72 if titles else gap / 2
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
        if boxes and boxes[index] is not None:
            _frame(tile, [factor * edge for edge in boxes[index]], math.ceil(FRAME / pixel))
        canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        places.append((x + tile.shape[1] / 2, y, y + tile.shape[0]))

    figure = _figure(max(canvas.shape[1] * pixel + 0.15, 1.2), canvas.shape[0] * pixel + 0.1)
    ax = figure.add_subplot()
    ax.imshow(canvas, interpolation="nearest", aspect="equal")
    ax.axis("off")
    for row, text in enumerate(row_titles or ()):
        middle = row * step_y + top + height * factor / 2
        ax.text(math.ceil((beside - 0.06) / pixel), middle, text, ha="right", va="center", fontsize=9)
    for index, (centre, upper, lower) in enumerate(places):
        if titles and titles[index]:
            ax.text(centre - 0.5, upper - top * 0.15, titles[index], ha="center", va="bottom", fontsize=font)
        if captions:
            ax.text(
                centre - 0.5, lower + bottom * 0.1, captions[index],
                ha="center", va="top", fontsize=caption_font, color="#555555",
            )  # fmt: skip
        if marks and marks[index]:
            ax.text(
                centre - 0.5, (upper + lower) / 2, marks[index], ha="center", va="center",
                fontsize=max(4, min(9, 12 * tile_width)), color="black",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": PALETTE[1]},
            )  # fmt: skip
    for text in ax.texts:
        text.set_in_layout(False)  # the gaps were made for them; laying them out again takes half of the time
    return figure


def _frame(tile: np.ndarray, box: Sequence[float], thickness: int) -> None:
    """Draw the inner edge of a box ``(top, left, height, width)`` onto a tile; all in its pixels."""
    top, left, height, width = box
    high, wide = tile.shape[:2]
    edges = np.clip(np.rint([top, top + height, left, left + width]), 0, [high, high, wide, wide])
    top, bottom, left, right = edges.astype(int)
    inside = tile[top:bottom, left:right].copy()
    tile[top:bottom, left:right] = to_rgb(HIGHLIGHT)
    hole = np.s_[thickness : len(inside) - thickness, thickness : inside.shape[1] - thickness]
    if min(inside.shape[:2]) > 2 * thickness:
        tile[top:bottom, left:right][hole] = inside[hole]


def _colourbar(figure: Figure, colour_map: str, low: float, high: float) -> None:
    mappable = plt.cm.ScalarMappable(Normalize(low, high), colour_map)
    ticks = np.linspace(low, high, 5)
    bar = figure.colorbar(mappable, ax=figure.axes[0], fraction=0.05, pad=0.02, aspect=15, shrink=0.9, ticks=ticks)
    bar.set_ticklabels([_number(tick) for tick in ticks], fontsize=8)


def _number_panels(
    arrays: Sequence[np.ndarray], scales: Sequence[tuple], titles: Sequence[str] | None, frames: Sequence
) -> Figure:
    """Draw arrays side by side, each with its numbers; `frames` are windows to frame, None for none."""
    widths = [array.shape[1] for array in arrays]
    cell = min(0.5, (WIDTH - 0.5) / sum(widths))
    height = max(len(array) for array in arrays) * cell + (0.45 if titles else 0.2)
    figure = _figure(sum(widths) * cell + 0.25 * len(arrays), height)
    axes = figure.subplots(1, len(arrays), width_ratios=widths, squeeze=False)[0]
    for index, (ax, array, scale) in enumerate(zip(axes, arrays, scales, strict=True)):
        _draw_numbers(ax, array, scale, cell)
        if titles:
            ax.set_title(titles[index], fontsize=10)
    for ax, frame in zip(axes, frames, strict=False):
        if frame is not None:
            row, column, rows, columns = frame
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, columns, rows, fill=False, color=HIGHLIGHT, linewidth=3, clip_on=False))
    return figure


def _draw_numbers(ax, array: np.ndarray, scale: tuple, cell: float) -> None:
    colours = _colours(array, *scale)
    ax.imshow(colours, interpolation="nearest")
    texts = [_number(value) for value in array.flat]
    font = min(11, 72 * cell / (0.75 * max(map(len, texts)) + 0.6))
    ink = _ink(colours)
    for (row, column), text in zip(np.ndindex(*array.shape), texts, strict=True):
        ax.text(column, row, text, ha="center", va="center", fontsize=font, color=ink[row, column])
    ax.set_xticks(np.arange(-0.5, array.shape[1]), labels=[])
    ax.set_yticks(np.arange(-0.5, array.shape[0]), labels=[])
    ax.grid(color="#999999", linewidth=0.5)
    ax.tick_params(length=0)


def _check_count(name: str, count: int) -> None:
    if count > MOST_MAPS:
        raise ValueError(f"{name}: got {count} pictures, expected at most {MOST_MAPS}")


def _checked_titles(titles: Sequence | None, count: int) -> list[str] | None:
    if titles is None:
        return None
    if len(titles) != count:
        raise ValueError(f"titles: got {len(titles)}, expected {count}, one for each picture")
    return [str(title) for title in titles]


def _checked_boxes(boxes: Sequence | None, count: int) -> list | None:
    if boxes is None:
        return None
    if len(boxes) != count:
        raise ValueError(f"boxes: got {len(boxes)}, expected {count}, one for each image")
    checked = []
    for index, box in enumerate(boxes):
        if box is not None:
            name = f"boxes[{index}]"
            top, left, height, width = _four_numbers(name, box)
            if min(height, width) <= 0:
                raise ValueError(f"{name}: got {box}, expected a positive height and width")
            box = (top, left, height, width)
        checked.append(box)
    return checked


def _four_numbers(name: str, box) -> list[float]:
    array = check_array(name, box, (1,))
    if len(array) != 4:
        raise ValueError(f"{name}: got {box}, expected (top, left, height, width)")
    return array.tolist()


def _is_inside(window: Sequence[int], array: np.ndarray) -> bool:
    if len(window) != 4:
        return False
    row, column, height, width = window
    is_window = min(row, column) >= 0 and min(height, width) >= 1
    return is_window and row + height <= array.shape[0] and column + width <= array.shape[1]


def _number(value) -> str:
    """A number short enough for a figure: whole where it is whole, else three digits; a true minus sign."""
    value = float(value) or 0.0  # no negative zero
    text = f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.3g}"
    return text.replace("-", "−")
