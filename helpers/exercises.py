"""Checks a student's answer and says what is wrong with it, not only that it is wrong.

A checker compares the answer with a reference on fresh random inputs. When they differ it looks for a known
mistake that gives the same wrong results, and names that one. Each exercise is a function registered by name.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

TOLERANCE = 1e-5  # relative to the largest value: float32 answers pass


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `check` found; a cell shows it as one sentence."""

    exercise: str
    status: str  # "correct", "not yet" or "not attempted yet"
    diagnosis: str = ""

    def __repr__(self) -> str:
        return f"Exercise {self.exercise}: {self.status}" + (f". {self.diagnosis}" if self.diagnosis else "")


class Mistake(Exception):
    """Raised inside a checker; its text is the diagnosis."""


def check(exercise: str, answer) -> Verdict:
    """Check an answer to an exercise.

    Parameters
    ----------
    exercise
        The name that the exercise states.
    answer
        What the student wrote: a function or a value. ``...`` or a function with no body but ``...`` is not attempted.

    Raises
    ------
    ValueError
        For an exercise that does not exist.
    """
    if exercise not in _CHECKERS:
        raise ValueError(f"exercise: got {exercise!r}, expected one of {', '.join(_CHECKERS)}")
    if answer is ... or answer is None or (inspect.isfunction(answer) and _is_stub(answer)):
        return Verdict(exercise, "not attempted yet")
    try:
        _CHECKERS[exercise](answer)
    except Mistake as mistake:
        return Verdict(exercise, "not yet", str(mistake))
    return Verdict(exercise, "correct")


def _stub(): ...


def _is_stub(function: Callable) -> bool:
    """True when the body is ``...`` (with or without a docstring): then it compiles to what `_stub` compiles to."""
    return function.__code__.co_code == _stub.__code__.co_code and not function.__code__.co_names


_CHECKERS: dict[str, Callable[[object], None]] = {}


def _exercise(checker: Callable[[object], None]) -> Callable[[object], None]:
    _CHECKERS[checker.__name__.removeprefix("_check_")] = checker
    return checker


def _compare(answer, reference: Callable, cases: Sequence[Mapping], mistakes: Mapping[str, Callable]) -> None:
    """Raise a `Mistake` unless `answer` gives what `reference` gives in every case.

    `mistakes` maps a diagnosis to a function that makes this mistake; the first that agrees with the answer in every
    case is reported.
    """
    if not callable(answer):
        raise Mistake(f"Write a function; this is {_describe(answer)}.")
    results, wrong = [], None
    for case in cases:
        arguments = {name: np.copy(v) if isinstance(v, np.ndarray) else v for name, v in case.items()}
        try:
            result = answer(**arguments)
        except Exception as error:
            raise Mistake(f"For {_inputs(case)} it raises {type(error).__name__}: {error}") from None
        if result is None:
            raise Mistake(f"For {_inputs(case)} it returns None: is the return missing?")
        for name, value in case.items():
            if isinstance(value, np.ndarray) and not np.array_equal(value, arguments[name]):
                raise Mistake(f"It changes its input {name}: work on a copy.")
        results.append(result)
        if wrong is None and not _same(result, reference(**case)):
            wrong = len(results) - 1
    if wrong is None:
        return
    for diagnosis, make in mistakes.items():
        if all(_same(result, make(**case)) for result, case in zip(results, cases, strict=True)):
            raise Mistake(diagnosis)
    raise Mistake(_difference(results[wrong], reference(**cases[wrong]), cases[wrong]))


def _difference(result, expected, case: Mapping) -> str:
    """Say how a result differs, for a mistake that nobody foresaw."""
    given = f"For {_inputs(case)}"
    if isinstance(expected, tuple):
        if not isinstance(result, tuple) or len(result) != len(expected):
            return f"{given} it returns {_describe(result)}, where {len(expected)} values are asked for."
        place = next(i for i, pair in enumerate(zip(result, expected, strict=True)) if not _same(*pair))
        return f"In value {place + 1} of {len(expected)}: " + _difference(result[place], expected[place], case)
    try:
        array = np.asarray(result, dtype=float)
    except (TypeError, ValueError):
        return f"{given} it returns {_describe(result)}, where numbers are asked for."
    if array.shape != np.shape(expected):
        if np.ndim(expected) == 0:
            return f"{given} it returns {_describe(result)}, where one number is asked for."
        return f"{given} the result has shape {array.shape}, where {np.shape(expected)} is asked for."
    if np.isnan(array).any():
        return f"{given} the result holds NaN: is every value computed, and nothing divided by zero?"
    if np.ndim(expected) == 0:
        return f"{given} you return {result}, where {expected} is asked for."
    off = np.abs(array - expected) > TOLERANCE * np.abs(expected).max()
    first = tuple(int(i) for i in np.argwhere(off)[0])
    return (
        f"{given} {off.mean():.0%} of the values differ, first at {list(first)}: "
        f"{array[first]:.4g}, where {expected[first]:.4g} is asked for."
    )


def _same(result, expected) -> bool:
    if isinstance(expected, tuple):
        return (
            isinstance(result, tuple) and len(result) == len(expected) and all(map(_same, result, expected))
        )
    try:
        array = np.asarray(result, dtype=float)
    except (TypeError, ValueError):
        return False
    expected = np.asarray(expected, dtype=float)
    if array.shape != expected.shape:
        return False
    return bool(np.all(np.abs(array - expected) <= TOLERANCE * np.abs(expected).max(initial=0)))


def _inputs(case: Mapping) -> str:
    return ", ".join(
        f"{name} of shape {value.shape}" if isinstance(value, np.ndarray) else f"{name}={value}"
        for name, value in case.items()
    )


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{value!r}" if isinstance(value, (int, float, str)) else f"a {type(value).__name__}"


# ---- 01 Convolution by hand ----------------------------------------------------------------------------------


@_exercise
def _check_output_size(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"n": 8, "k": 3, "s": 2, "p": 0}, {"n": 7, "k": 3, "s": 2, "p": 1}]
    for _ in range(30):
        k, s, p = (int(value) for value in rng.integers((2, 2, 1), (8, 5, 4)))
        cases.append({"n": int(rng.integers(k, 40)), "k": k, "s": s, "p": p})
    _compare(
        answer,
        lambda n, k, s, p: (n + 2 * p - k) // s + 1,
        cases,
        {
            "For n=8, k=3, s=2 you return 3.5: a feature map cannot have half a row. Where does the kernel go when "
            "the stride does not fit?": lambda n, k, s, p: (n + 2 * p - k) / s + 1,
            "One too few: the kernel has a place before it takes its first step.": lambda n, k, s, p: (
                (n + 2 * p - k) // s
            ),
            "You round up: at the last place the kernel would hang over the edge.": lambda n, k, s, p: (
                -(-(n + 2 * p - k) // s) + 1
            ),
            "You count the padding once; there is a ring, so it is on both sides.": lambda n, k, s, p: (
                (n + p - k) // s + 1
            ),
            "The padding has no effect on your result.": lambda n, k, s, p: (n - k) // s + 1,
            "The stride has no effect on your result.": lambda n, k, s, p: n + 2 * p - k + 1,
        },
    )


@_exercise
def _check_count(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"height": 8, "width": 8, "channels": 3, "k": 5, "filters": 10}]
    for _ in range(20):
        height, width, channels, k, filters = (int(v) for v in rng.integers((8, 8, 2, 2, 2), (40, 40, 9, 7, 20)))
        cases.append({"height": height, "width": width, "channels": channels, "k": k, "filters": filters})

    def places(height, width, k):
        return (height - k + 1) * (width - k + 1)

    def right(height, width, channels, k, filters):
        return places(height, width, k) * filters, (k * k * channels + 1) * filters

    _compare(
        answer,
        right,
        cases,
        {
            "The two numbers are in the wrong order: units first, then parameters.": lambda **c: right(**c)[::-1],
            "The units are right. The biases are missing from the parameters: one for each filter.": (
                lambda height, width, channels, k, filters: (
                    places(height, width, k) * filters,
                    k * k * channels * filters,
                )
            ),
            "The units are right. You count a bias for each unit; a filter's units share theirs.": (
                lambda height, width, channels, k, filters: (
                    places(height, width, k) * filters,
                    k * k * channels * filters + places(height, width, k) * filters,
                )
            ),
            "The units are right. A filter has a k×k slice for every input channel.": (
                lambda height, width, channels, k, filters: (
                    places(height, width, k) * filters,
                    (k * k + 1) * filters,
                )
            ),
            "The parameters are right. Each filter makes a map of its own: count the units of all of them.": (
                lambda height, width, channels, k, filters: (
                    places(height, width, k),
                    (k * k * channels + 1) * filters,
                )
            ),
            "The parameters are right. Without padding the map is smaller than the image.": (
                lambda height, width, channels, k, filters: (
                    height * width * filters,
                    (k * k * channels + 1) * filters,
                )
            ),
        },
    )


def _conv2d(x, kernel, bias, stride, padding):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijcuv,uvcf->ijf", windows, kernel) + bias


@_exercise
def _check_conv2d(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for height, width, stride, padding in ((9, 12, 1, 0), (9, 12, 1, 1), (13, 9, 2, 1), (11, 16, 3, 2)):
        cases.append(
            {
                "x": rng.normal(size=(height, width, 3)),
                "kernel": rng.normal(size=(3, 3, 3, 4)),
                "bias": rng.normal(size=4) + 3,
                "stride": stride,
                "padding": padding,
            }
        )
    cases.append({**cases[0], "kernel": rng.normal(size=(2, 5, 3, 4))})

    def changed(**changes):
        return lambda **case: _conv2d(**{**case, **{name: make(case) for name, make in changes.items()}})

    _compare(
        answer,
        _conv2d,
        cases,
        {
            "The kernel is flipped: this is a convolution in the mathematician's sense. A layer does not flip.": (
                changed(kernel=lambda c: c["kernel"][::-1, ::-1])
            ),
            "The kernel's height and width are swapped.": changed(
                kernel=lambda c: c["kernel"].swapaxes(0, 1)
            ),
            "The output's height and width are swapped.": lambda **c: _conv2d(**c).swapaxes(0, 1),
            "The bias is missing.": changed(bias=lambda c: 0),
            "The bias is subtracted.": changed(bias=lambda c: -c["bias"]),
            "The stride is one too large.": changed(stride=lambda c: c["stride"] + 1),
            "The stride has no effect: the kernel moves one pixel at a time.": changed(stride=lambda c: 1),
            "The padding has no effect.": changed(padding=lambda c: 0),
            "The padding is on one side only: rings of zeros go all around.": (
                lambda x, kernel, bias, stride, padding: _conv2d(
                    np.pad(x, ((padding, 0), (padding, 0), (0, 0))), kernel, bias, stride, 0
                )
            ),
            "The last row and column are missing: how many places does the kernel have?": (
                lambda **c: _conv2d(**c)[:-1, :-1]
            ),
            "Only the first input channel is used: the sum goes over all of them.": (
                lambda x, kernel, bias, stride, padding: _conv2d(
                    x[..., :1], kernel[:, :, :1], bias, stride, padding
                )
            ),
            "Values are cut to integers: make the output an array of floats.": lambda **c: np.trunc(_conv2d(**c)),
        },
    )


@_exercise
def _check_pooling_puzzle(answer) -> None:
    maximum, average = np.array([[32, 19], [20, 27]]), np.array([[15, 14], [11, 16]])
    try:
        array = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise Mistake("Write a 4×4 list or array of numbers; something in it is not a number.") from None
    if array.shape != (4, 4):
        raise Mistake(f"Two by two blocks of 2×2 make 4×4; this has shape {array.shape}.")
    if not np.isfinite(array).all():
        raise Mistake("Every value has to be a finite number.")

    def blocks(image):
        return image.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(2, 2, 4)

    def fits(image):
        pooled = blocks(image)
        return np.allclose(pooled.max(-1), maximum) and np.allclose(pooled.mean(-1), average)

    if fits(array):
        return
    if fits(array.T):
        raise Mistake("Rows and columns are swapped: transpose it.")
    if fits(array.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(4, 4)):
        raise Mistake("Each row holds the four values of a block: lay each block out as 2×2.")
    for row, column in np.ndindex(2, 2):
        values, where = blocks(array)[row, column], f"The block at [{row}, {column}]"
        if values.max() != maximum[row, column]:
            raise Mistake(f"{where} has maximum {values.max():g}; it has to be {maximum[row, column]}.")
        if not np.isclose(values.mean(), average[row, column]):
            raise Mistake(
                f"{where} sums to {values.sum():g}; an average of {average[row, column]} "
                f"needs {4 * average[row, column]}."
            )


def _pool(x, size, stride, reduce=np.max):
    return reduce(sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride], axis=(-2, -1))


@_exercise
def _check_max_pool(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for height, width, size, stride in ((8, 6, 2, 2), (9, 11, 3, 2), (10, 7, 2, 3), (9, 9, 4, 1)):
        x = rng.normal(size=(height, width, 3)) - 1  # mostly negative: a maximum that starts at 0 shows
        cases.append({"x": x, "size": size, "stride": stride})
    _compare(
        answer,
        _pool,
        cases,
        {
            "This is average pooling: take the largest value of each window.": lambda **c: _pool(
                **c, reduce=np.mean
            ),
            "This takes the smallest value of each window.": lambda **c: _pool(**c, reduce=np.min),
            "The stride has no effect: you step by the size of the window.": lambda x, size, stride: _pool(
                x, size, size
            ),
            "The stride has no effect: the window moves one pixel at a time.": lambda x, size, stride: _pool(
                x, size, 1
            ),
            "Size and stride are swapped.": lambda x, size, stride: _pool(x, stride, size),
            "The maximum goes over the channels too: each channel is pooled on its own.": (
                lambda **c: _pool(**c).max(axis=-1)
            ),
            "Negative values turn into 0: the running maximum must not start at 0.": (
                lambda **c: np.maximum(_pool(**c), 0)
            ),
            "Height and width of the output are swapped.": lambda **c: _pool(**c).swapaxes(0, 1),
        },
    )


@_exercise
def _check_conv1d_backward(answer) -> None:
    rng = np.random.default_rng()
    cases = [
        {"x": rng.normal(size=n), "w": rng.normal(size=k), "dy": rng.normal(size=n - k + 1)}
        for n, k in ((7, 3), (9, 4), (12, 2), (8, 5))
    ]

    def right(x, w, dy):
        return np.convolve(dy, w), np.correlate(x, dy)

    _compare(
        answer,
        right,
        cases,
        {
            "The two gradients are in the wrong order: dL/dx first, then dL/dw.": lambda **c: right(**c)[::-1],
            "dL/dw is right. In dL/dx the kernel runs the wrong way: x[t + τ] meets w[τ], so dy[t − τ] does.": (
                lambda x, w, dy: (np.convolve(dy, w[::-1]), np.correlate(x, dy))
            ),
            "dL/dx is right. dL/dw comes out back to front.": (
                lambda x, w, dy: (np.convolve(dy, w), np.correlate(x, dy)[::-1])
            ),
            "dL/dx is right. dL/dw is a mean: a shared weight gets the sum over all places where it was used.": (
                lambda x, w, dy: (np.convolve(dy, w), np.correlate(x, dy) / len(dy))
            ),
            "dL/dw is right. dL/dx has only the places where the kernel fits inside dy: pad dy with zeros.": (
                lambda x, w, dy: (
                    np.convolve(dy, w)[len(w) - 1 : len(dy)], np.correlate(x, dy),
                )
            ),
            "Both have the wrong sign: this is a gradient, not yet a step downhill.": (
                lambda x, w, dy: (-np.convolve(dy, w), -np.correlate(x, dy))
            ),
        },
    )  # fmt: skip
