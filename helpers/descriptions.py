"""What a figure shows, in words and with its values: its text alternative, for those who do not see it.

One function for each kind of figure in `plots`, which checks the arguments before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .validation import number_text, size_text

MANY = 16  # pictures; beyond, they are summed up
MOST_NUMBERS = 100  # of a table that is read out


def images(
    arrays: Sequence[np.ndarray],
    columns: int,
    titles: Sequence[str] | None,
    row_titles: Sequence[str] | None,
    boxes: Sequence[Sequence],
    true_boxes: Sequence[Sequence],
) -> str:
    """Of `plots.show_images`."""
    kinds = dict.fromkeys("grey" if _is_grey(array) else "in colour" for array in arrays)
    text = f"{_pictures('image', arrays)}, {' and '.join(kinds)}"
    text += f", {columns} in a row. " if len(arrays) > columns else ". "
    if row_titles is not None:
        text += f"Rows: {'; '.join(row_titles)}. "
    is_framed = any(map(len, [*boxes, *true_boxes]))
    if len(arrays) > MANY or not (titles or is_framed):
        counted = [f"{title} ({count})" for title, count in Counter(titles or []).items() if title]
        text += f"{', '.join(counted[:MANY])}{' and others' * (len(counted) > MANY)}. " if counted else ""
        rows = [arrays[start : start + columns] for start in range(0, len(arrays), columns)]
        parts, whose = (rows, "row") if len(rows) > 1 else ([[array] for array in arrays], "picture")
        means = ", ".join(number_text(np.mean([array.mean(dtype=float) for array in part])) for part in parts)
        everything = np.concatenate([array.ravel() for array in arrays])
        return f"{text}Values {_range(everything)}; mean of each {whose} {means}."
    parts = []
    for index, title in enumerate(titles or [""] * len(arrays)):
        place = _colour_place(arrays[index]) if is_picture(arrays[index]) else ""
        own = [place or f"values {_range_and_mean(arrays[index])}, {_centre(arrays[index])}"]
        own += _boxes("box", boxes[index]) + _boxes("true box", true_boxes[index])
        parts.append(f"{title or f'picture {index + 1}'}: {', '.join(own)}")
    return text + _sentence(parts)


def pixels(arrays: Sequence[np.ndarray], titles: Sequence[str] | None, frames: Sequence) -> str:
    """Of pictures with their numbers written in."""
    names = titles or [_pictures("image", [array]) for array in arrays]
    return _sentence(
        ", ".join([f"{name}: {_numbers(array)}", *_boxes("framed", [frame] if frame else [])])
        for name, array, frame in zip(names, arrays, frames, strict=True)
    )


def filters(kernel: np.ndarray, titles: Sequence[str] | None) -> str:
    """Of `plots.plot_filters`, of a kernel ``(height, width, in, out)``."""
    height, width, inputs, count = kernel.shape
    text = f"{_counted(count, 'filter')} of {height}×{width} weights"
    text += f" for each of {inputs} inputs" if inputs > 1 else ""
    if kernel.size > MOST_NUMBERS:
        sums = np.abs(kernel).reshape(-1, count).sum(axis=0)
        strongest = np.flatnonzero(sums > 0.999 * sums.max())
        said = f"; filter {strongest[0]} is the strongest" if len(strongest) == 1 < count else ""
        return f"{text}: {_range_and_mean(kernel)}{said}."
    maps = kernel.transpose(2, 3, 0, 1).reshape(-1, height, width)
    return f"{text}. " + _sentence(f"{titles[i] if titles else i}: {_numbers(map_)}" for i, map_ in enumerate(maps))


def feature_maps(array: np.ndarray, titles: Sequence[str] | None) -> str:
    """Of `plots.plot_feature_maps`, of maps ``(height, width, channels)``."""
    maps = np.moveaxis(array, -1, 0)
    text = f"{_pictures('feature map', maps)}, values {_range(array)}"
    text += f", {int((maps.min(axis=(1, 2)) == maps.max(axis=(1, 2))).sum())} of them constant. "
    titles = titles or range(len(maps))
    if len(maps) > MANY:
        strongest = np.argsort(-maps.mean(axis=(1, 2)))[:3]
        return text + f"On average the strongest are {', '.join(str(titles[index]) for index in strongest)}."
    return text + _sentence(f"{title}: {_range(map_)}" for title, map_ in zip(titles, maps, strict=True))


def curves(
    x: np.ndarray, lines: Mapping[str, Sequence[float]], x_label: str, y_label: str, title: str | None, log: str
) -> str:
    """Of `plots.plot_lines`."""
    text = f"{_title(title)}{y_label} over {x_label} from {number_text(x.min())} to {number_text(x.max())}"
    scales = [label for axis, label in (("x", x_label), ("y", y_label)) if axis in log]
    text += f", {' and '.join(scales)} on a logarithmic scale" if scales else ""
    return f"{text}. " + _sentence(f"{label}: {_course(x, values)}" for label, values in lines.items())


def panels(x: np.ndarray, curves_of: Mapping, x_label: str, y_label: str, levels: Mapping[str, float]) -> str:
    """Of `plots.plot_panels`."""
    text = f"{y_label} over {x_label} from {number_text(x.min())} to {number_text(x.max())}, with error bars. "
    parts = []
    for title, own in curves_of.items():
        ends = [f"{label} {_ends(means)}" for label, (means, _) in own.items()]
        level = [f"dashed line at {number_text(levels[title])}"] if title in levels else []
        parts.append(f"{title}: {', '.join(ends + level)}")
    return text + _sentence(parts)


def bars(values: Mapping[str, float], x_label: str, errors: Mapping[str, float] | None, log: bool) -> str:
    """Of `plots.plot_bars`."""
    spread = {label: f" ± {number_text(length)}" for label, length in (errors or {}).items()}
    return f"{'Points along' if log else 'Bars of'} {x_label}. " + _sentence(
        f"{label}: {number_text(length)}{spread.get(label, '')}" for label, length in values.items()
    )


def history(records: Mapping[str, np.ndarray], shown: Sequence[str], best: int | None) -> str:
    """Of `plots.plot_history`; `best` is the epoch of the lowest validation loss, from 0."""
    epochs = np.arange(1, len(records["loss"]) + 1)
    parts = [
        f"{what} {name}: {_course(epochs, records[key])}"
        for name in shown
        for what, key in (("training", name), ("validation", f"val_{name}"))
        if key in records
    ]
    marked = "" if best is None else f" A dashed line marks epoch {best + 1}, of the lowest validation loss."
    return f"Training history over {_counted(len(epochs), 'epoch')}. {_sentence(parts)}{marked}"


def confusion(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """Of `plots.plot_confusion`."""
    right, total = np.trace(matrix), matrix.sum()
    text = f"{len(matrix)} classes, true against predicted: {right:,.0f} of {total:,.0f} right. "
    if matrix.size <= MOST_NUMBERS:
        return text + _sentence(f"{name}: {_numbers(row[None])}" for name, row in zip(class_names, matrix, strict=True))
    return text + _sentence(
        f"{name}: {row[index]:.0f} of {row.sum():.0f}"
        for index, (name, row) in enumerate(zip(class_names, matrix, strict=True))
    )


def table(values: np.ndarray, row_names: Sequence[str], column_names: Sequence[str], title: str | None) -> str:
    """Of `plots.plot_heat_map`."""
    text = f"{_title(title)}Table of {size_text(values.shape)} numbers, coloured by value. "
    if values.size <= MOST_NUMBERS:
        return text + _sentence(
            f"{name}: " + ", ".join(f"{column} {value:.2f}" for column, value in zip(column_names, row, strict=True))
            for name, row in zip(row_names, values, strict=True)
        )
    ends = [f"means of the rows: {', '.join(f'{mean:.2f}' for mean in values.mean(axis=1))}"]
    for word, place in (("highest", values.argmax()), ("lowest", values.argmin())):
        row, column = np.unravel_index(place, values.shape)
        ends.append(f"{word}: {values[row, column]:.2f}, {row_names[row]} and {column_names[column]}")
    return text + _sentence(ends)


def timeline(lanes: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Of `plots.plot_timeline`, of pieces of work in seconds."""
    times = np.array([piece for work in lanes.values() for piece in work])
    whole = 1000 * (times.max() - times.min())
    return f"Who worked when, {number_text(whole)} ms in all. " + _sentence(
        f"{name}: {_counted(len(work), 'piece')}, busy {number_text(1000 * sum(end - start for start, end in work))} ms"
        for name, work in lanes.items()
    )


def calibration(steps: np.ndarray, correct: np.ndarray) -> str:
    """Of `plots.plot_calibration`; `steps` are the confidences in whole tenths."""
    return "Share correct against mean confidence, beside the diagonal where both are equal. " + _sentence(
        f"confidence from {step / 10}: {correct[steps == step].sum()} of {(steps == step).sum()} correct"
        for step in range(10)
    )


def points(clouds: Mapping[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str]) -> str:
    """Of `plots.plot_points`."""
    text = f"{len(labels):,} points of {len(class_names)} classes, first and second component. "
    present = np.unique(labels)
    parts = []
    for title, own in clouds.items():
        centres = np.array([own[labels == index].mean(axis=0) for index in present])
        nearest = np.linalg.norm(own[:, None] - centres, axis=2).argmin(axis=1)
        share = (present[nearest] == labels).mean()
        parts.append(f"{title}: {100 * share:.0f} % lie nearest to the middle of their own class")
    return text + _sentence(parts)


def bubbles(groups: Mapping, x_label: str, y_label: str, lines: Mapping[str, float], title: str | None) -> str:
    """Of `plots.plot_bubbles`."""
    sized = any(len(values) == 3 for own in groups.values() for values in own.values())
    text = f"{_title(title)}{y_label} against {x_label}{', with sizes' if sized else ''}. "
    parts = []
    for name, own in groups.items():
        # Years have no comma.
        texts = (
            f"{label} ({', '.join([number_text(x).replace(',', ''), *map(number_text, others)])})"
            for label, (x, *others) in own.items()
        )
        parts.append(f"{name}: {', '.join(texts)}")
    return text + _sentence([*parts, *(f"dashed line, {line}: {number_text(y)}" for line, y in lines.items())])


def network(layers: Sequence[tuple[str, Sequence[int]]], title: str | None) -> str:
    """Of `plots.plot_network`."""
    boxes = (f"{' '.join(label.split())} {size_text(shape)}" for label, shape in layers)
    return f"{_title(title)}A network as a row of boxes: {', then '.join(boxes)}."


def graph(texts: Sequence[str], shapes: Sequence[str], parents: Sequence[Sequence[int]], title: str | None) -> str:
    """Of `plots.plot_graph`; `parents` holds the places of the layers that each layer reads."""
    names = [f"{index + 1} {' '.join(text.split())}" for index, text in enumerate(texts)]
    return f"{_title(title)}{_counted(len(names), 'layer')}. " + _sentence(
        f"{name} gives {shape}" + (f", from {' and '.join(str(parent + 1) for parent in before)}" if before else "")
        for name, shape, before in zip(names, shapes, parents, strict=True)
    )


def is_picture(array: np.ndarray) -> bool:
    """Whether it is RGB in decimal numbers: made to be looked at, with values that say nothing by themselves."""
    return array.ndim == 3 and array.dtype != np.uint8


def _is_grey(array: np.ndarray) -> bool:
    return array.ndim == 2 or bool((np.ptp(array, axis=-1) < 1e-6).all())


def _colour_place(array: np.ndarray) -> str:
    """Of a grey picture with something in colour laid over it, where that is; of another nothing."""
    strength = np.ptp(array, axis=-1)
    if _is_grey(array) or (strength < 1e-6).mean() < 0.1:
        return ""
    row, column = (np.average(place, weights=strength) for place in np.indices(strength.shape))
    return f"coloured around row {row:.1f}, column {column:.1f}"


def _centre(array: np.ndarray) -> str:
    """Where the middle of a picture's brightness is, by which a turned or moved one differs."""
    weights = np.abs(array.astype(float)).reshape(*array.shape[:2], -1).mean(axis=-1)
    if not weights.any():
        return "all 0"
    row, column = (np.average(place, weights=weights) for place in np.indices(weights.shape))
    return f"its middle at row {row:.1f}, column {column:.1f}"


def _range_and_mean(array: np.ndarray) -> str:
    return f"{_range(array)}, mean {_value(array.mean(dtype=float), array)}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(parts) + "."


def _title(title: str | None) -> str:
    return f"{' '.join(title.split())}. " if title else ""


def _range(array: np.ndarray) -> str:
    return f"{_value(array.min(), array)} to {_value(array.max(), array)}"


def _value(value: float, array: np.ndarray) -> str:
    """A number of an array; 0 for what is left of a sum that would be 0."""
    return number_text(0 if abs(value) < 1e-6 * np.abs(array).max() else value)


def _pictures(what: str, arrays: Sequence[np.ndarray]) -> str:
    sizes = sorted({array.shape[:2] for array in arrays})
    text = f"{_counted(len(arrays), what)} of {size_text(sizes[0])}"
    return f"{text} to {size_text(sizes[-1])}" if len(sizes) > 1 else text


def _numbers(array: np.ndarray) -> str:
    """Row by row; of a large array the range and the mean."""
    if array.size > MOST_NUMBERS:
        return f"values {_range_and_mean(array)}"
    return " / ".join(" ".join(map(number_text, row)) for row in array)


def _boxes(name: str, boxes: Sequence) -> list[str]:
    return [
        f"{name} from row {top:.0f}, column {left:.0f}, {height:.0f}×{width:.0f}" for top, left, height, width in boxes
    ]


def _ends(values: Sequence[float]) -> str:
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return "without values"
    return number_text(values[0]) if len(values) == 1 else f"{number_text(values[0])} to {number_text(values[-1])}"


def _course(x: np.ndarray, values: Sequence[float]) -> str:
    """Where a curve begins and ends, and where it is lowest and highest."""
    values = np.asarray(values, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    if len(values) < 3 or not len(known):
        return _ends(values)
    low, high = known[values[known].argmin()], known[values[known].argmax()]
    return (
        f"{_ends(values)}, lowest {number_text(values[low])} at {number_text(x[low])}, "
        f"highest {number_text(values[high])} at {number_text(x[high])}"
    )
