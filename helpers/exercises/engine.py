"""What all checkers share.

A checker compares the answer with a reference on fresh random inputs. When they differ it looks for a known
mistake that gives the same wrong results, and names that one. Each exercise is a function registered by name.
"""

import copy
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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


def _stub_with_docstring():
    """A docstring is a constant more, and so other bytecode."""


def _is_stub(function: Callable) -> bool:
    """True when the body is nothing but ``...``: it then compiles to what a stub compiles to."""
    stub = _stub_with_docstring if function.__doc__ else _stub
    return function.__code__.co_code == stub.__code__.co_code


_CHECKERS: dict[str, Callable[[object], None]] = {}


def exercise(checker: Callable[[object], None]) -> Callable[[object], None]:
    """Register a checker under its name: it returns for a right answer and raises a `Mistake` otherwise."""
    _CHECKERS[checker.__name__] = checker
    return checker


def run(answer, case: Mapping, what: str):
    """Return what `answer` gives for these arguments, which `what` names in a diagnosis; a `Mistake` when it fails."""
    if not callable(answer):
        raise Mistake(f"Write a function; this is {describe(answer)}.")
    try:
        result = answer(**case)
    except Exception as error:
        refuse_other_names(error, case)
        raise Mistake(f"For {what} it raises {type(error).__name__}: {plain(error)}") from None
    if result is None:
        raise Mistake(f"For {what} it returns None: is the return missing?")
    return result


def refuse_other_names(error: Exception, case: Mapping) -> None:
    """Raise a `Mistake` when this error says that the answer's parameters have other names than the arguments."""
    if any(f"unexpected keyword argument '{name}'" in str(error) for name in case):
        raise Mistake(f"Keep the parameters' names: {', '.join(case)}.") from None


def call(answer, case: Mapping):
    """Return what `answer` gives for copies of these arguments; a `Mistake` when that cannot be judged."""
    arguments = copy.deepcopy(dict(case))
    result = run(answer, arguments, inputs(case))
    for name, value in case.items():
        if isinstance(value, (np.ndarray, list)) and not np.array_equal(value, arguments[name]):
            raise Mistake(f"It changes its input {name}: work on a copy.")
    return result


def plain(error: Exception) -> str:
    """The beginning of an error's text, without the colours and the list of arguments that Keras adds."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received")[0]
    return " ".join(text.split())[:300]


def judge(answer, outcomes: Callable[..., Mapping], cases: Sequence[Mapping]) -> None:
    """Raise a `Mistake` unless `answer` gives what is asked for in every case.

    `outcomes` gives, for the arguments of a case, what is asked for, under "", and under each diagnosis what comes out
    with this mistake. The first that agrees with the answer in every case is reported; when none does, or where a table
    has none because cases are such that mistakes look the same, the report is how the answer differs.
    """
    results = [call(answer, case) for case in cases]
    tables = [outcomes(**case) for case in cases]

    def agrees(diagnosis):
        return all(same(result, table[diagnosis]) for result, table in zip(results, tables, strict=True))

    if agrees(""):
        return
    for diagnosis in tables[0]:
        if agrees(diagnosis):
            raise Mistake(diagnosis)
    for result, table, case in zip(results, tables, cases, strict=True):
        if not same(result, table[""]):
            raise Mistake(_difference(result, table[""], case))


def in_either(right: tuple, firsts: Mapping, seconds: Mapping, said: tuple[str, str]) -> dict:
    """What comes out, by diagnosis, with a mistake in the first of two values, in the second, or in both.

    `said` are sentences that the first is right, and that the second is.
    """
    return (
        {f"{said[1]} {text}": (wrong, right[1]) for text, wrong in firsts.items()}
        | {f"{said[0]} {text}": (right[0], wrong) for text, wrong in seconds.items()}
        | {f"{text} {other}": (firsts[text], seconds[other]) for text in firsts for other in seconds}
    )


def _difference(result, expected, case: Mapping) -> str:
    """Say how a result differs, for a mistake that nobody foresaw."""
    given = f"For {inputs(case)}"
    if isinstance(expected, tuple):
        if not isinstance(result, (tuple, list)) or len(result) != len(expected):
            return f"{given} it returns {describe(result)}, where {len(expected)} values are asked for."
        place = next(i for i, pair in enumerate(zip(result, expected, strict=True)) if not same(*pair))
        return f"In value {place + 1} of {len(expected)}: " + _difference(result[place], expected[place], case)
    array = numbers(result)
    if array is None:
        return f"{given} it returns {describe(result)}, where numbers are asked for."
    if array.shape != np.shape(expected):
        if np.ndim(expected) == 0:
            return f"{given} it returns {describe(result)}, where one number is asked for."
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


def same(result, expected) -> bool:
    """True when a result is the expected number, array or tuple of these, but for rounding."""
    if isinstance(expected, tuple):
        is_pair = isinstance(result, (tuple, list)) and len(result) == len(expected)
        return is_pair and all(map(same, result, expected))
    array, expected = numbers(result), np.asarray(expected, dtype=float)
    if array is None or array.shape != expected.shape:
        return False
    return bool(np.all(np.abs(array - expected) <= TOLERANCE * np.abs(expected).max(initial=0)))


def numbers(result) -> np.ndarray | None:
    """A result as an array of floats; None when it is something else."""
    try:
        array = np.asarray(result)
    except ValueError:  # rows of different lengths
        return None
    return array.astype(float) if array.dtype.kind in "buif" else None


def as_array(result, case: Mapping, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """What came out for these arguments, as an array of floats; a `Mistake` when it is none, or not of this shape."""
    array, given = numbers(result), f"For {inputs(case)}"
    if array is None:
        raise Mistake(f"{given} it returns {describe(result)}, where an array is asked for.")
    if shape not in (None, array.shape):
        raise Mistake(f"{given} the result has shape {array.shape}, where {shape} is asked for.")
    return array


def inputs(case: Mapping) -> str:
    """The arguments as a diagnosis names them: arrays by their shape, and no generators."""
    return ", ".join(
        f"{name} of shape {value.shape}" if isinstance(value, np.ndarray) else f"{name}={value}"
        for name, value in case.items()
        if not isinstance(value, np.random.Generator)
    )


def describe(value) -> str:
    """What something is, in place of a number that was asked for."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{value!r}" if isinstance(value, (int, float, str)) else f"a {type(value).__name__}"
