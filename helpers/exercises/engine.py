"""An exercise is data: a right answer, a function that draws arguments, and mistakes with what there is to say.

An answer is called with fresh arguments. Where its results differ from the right ones, they are compared with those of
each mistake; the first that gives the same is named. What cannot be drawn (a block, a training) has a judge of its own.
"""

import copy
import dis
import inspect
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

TOLERANCE = 1e-4  # relative to the largest value: sums in float32 pass
CASES = 16
EXERCISES: dict[str, "Exercise"] = {}


class Mistake(BaseException):
    """Raised where something is wrong with an answer, with the diagnosis; no `Exception`, which an answer may catch."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `check` found; a cell shows it as one sentence."""

    exercise: str
    status: str  # "correct", "not yet" or "not attempted yet"
    diagnosis: str = ""

    def __repr__(self) -> str:
        return f"Exercise {self.exercise}: {self.status}" + (f". {self.diagnosis}" if self.diagnosis else "")


@dataclass
class Exercise:
    """An exercise, which registers itself under its name.

    `mistakes` are by diagnosis functions like `right`, or keywords that change it, its arguments or others. `also` are
    further arguments, each after what a wrong result for them says; they are asked once the drawn ones are right.
    `through` makes of an answer what is compared: a function that builds arguments, say, and reads off how the answer
    left them. A `judge`, which raises `Mistake`, stands for all that.
    """

    name: str
    right: Callable | None = None
    draw: Callable[[np.random.Generator], Mapping] | None = None
    mistakes: Mapping[str, Callable | Mapping] = field(default_factory=dict)
    also: Sequence[tuple[str, Mapping]] = ()
    through: Callable[[Callable], Callable] = lambda answer: answer
    judge: Callable[[object], None] | None = None
    seconds: int = 10  # after which an answer is interrupted

    def __post_init__(self):
        self.mistakes = {text: self._function(mistake) for text, mistake in self.mistakes.items()}
        EXERCISES[self.name] = self

    def _function(self, mistake: Callable | Mapping) -> Callable:
        return mistake if callable(mistake) else lambda **case: self.right(**case | mistake)

    def judge_drawn(self, answer) -> None:
        rng = np.random.default_rng()
        answer = self.through(answer) if callable(answer) else answer
        self._compare(answer, [self.draw(rng) for _ in range(CASES)], self.mistakes)
        for text, case in self.also:
            with _said_after(text):
                self._compare(answer, [case], {})

    def _compare(self, answer, cases: Sequence[Mapping], mistakes: Mapping[str, Callable]) -> None:
        """Raise a `Mistake` unless the answer gives for all cases what is right."""
        right = self.through(self.right)
        results, expected = (tuple(call(it, case) for case in cases) for it in (answer, right))
        if same(results, expected):
            return
        with np.errstate(all="ignore"):
            made = {text: tuple(call(self.through(it), case) for case in cases) for text, it in mistakes.items()}
        named = (text for text, wrong in made.items() if same(results, wrong))
        if text := next(named, "") or _by_value(results, expected, made):
            raise Mistake(text)
        _refuse(*next(row for row in zip(results, expected, cases, strict=True) if not same(*row[:2])))


@contextmanager
def _said_after(text: str) -> Iterator[None]:
    try:
        yield
    except Mistake as mistake:
        raise Mistake(f"{text} {mistake}") from None


def check(exercise: str, answer) -> Verdict:
    """Check an answer, a function or a value, to the exercise of this name.

    ``...``, or a function with no body but ``...``, is not attempted. An exercise that does not exist raises
    ``ValueError``; whatever an answer does becomes a verdict.
    """
    if exercise not in EXERCISES:
        raise ValueError(f"exercise: got {exercise!r}, expected one of {', '.join(EXERCISES)}")
    if answer is ... or answer is None or (inspect.isfunction(answer) and _is_stub(answer)):
        return Verdict(exercise, "not attempted yet")
    asked = EXERCISES[exercise]
    try:
        with _interrupted_after(asked.seconds):
            (asked.judge or asked.judge_drawn)(answer)
    except Mistake as mistake:
        return Verdict(exercise, "not yet", str(mistake))
    except Exception as error:
        return Verdict(exercise, "not yet", f"It cannot be judged: {type(error).__name__}: {plain(error)}")
    return Verdict(exercise, "correct")


@contextmanager
def _interrupted_after(seconds: int) -> Iterator[None]:
    """Raise a `Mistake` after so many seconds, on systems that can and where the main thread asks."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise Mistake(f"It is not done after {seconds} s: does every loop end?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _is_stub(function: Callable) -> bool:
    """True when the body is nothing but ``...``: it then compiles to what a stub compiles to."""

    def stub(): ...

    compiled = [[(step.opname, step.argval) for step in dis.get_instructions(it)] for it in (function, stub)]
    return compiled[0] == compiled[1]


def run(answer, case: Mapping, what: str):
    """Return what `answer` gives for these arguments, which `what` names in a diagnosis; a `Mistake` when it fails."""
    if not callable(answer):
        raise Mistake(f"Write a function; this is {describe(answer)}.")
    try:
        kinds = {parameter.kind for parameter in inspect.signature(answer).parameters.values()}
        result = answer(*case.values()) if inspect.Parameter.POSITIONAL_ONLY in kinds else answer(**case)
    except (Exception, SystemExit) as error:
        refuse_other_names(error, case)
        raise Mistake(f"For {what} it raises {type(error).__name__}: {plain(error)}") from None
    if result is None:
        raise Mistake(f"For {what} it returns None: is the return missing?")
    return result


def refuse_other_names(error: BaseException, case: Mapping) -> None:
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


def plain(error: BaseException) -> str:
    """The beginning of an error's text, without the colours and the list of arguments that Keras adds."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received")[0]
    return " ".join(text.split())[:300]


def _by_value(results: tuple, expected: tuple, made: Mapping[str, tuple]) -> str:
    """Of several values a diagnosis for each wrong one; empty where one has none."""
    count = len(expected[0]) if isinstance(expected[0], tuple) else 0
    said = []
    for place in range(count if all(_length(row) == count for row in results) else 0):
        own, right = (tuple(row[place] for row in rows) for rows in (results, expected))
        tables = {text: tuple(row[place] for row in rows if _length(row) == count) for text, rows in made.items()}
        if not same(own, right):
            said.append(next((text for text, wrong in tables.items() if same(own, wrong)), ""))
    return " ".join(said) if all(said) else ""


def _refuse(result, expected, case: Mapping) -> None:
    """Say how a result differs, for a mistake that nobody foresaw."""
    given = f"For {inputs(case)}"
    if isinstance(expected, tuple):
        if _length(result) != len(expected):
            raise Mistake(f"{given} it returns {describe(result)}, where {len(expected)} values are asked for.")
        place = next(i for i, right in enumerate(expected) if not same(result[i], right))
        with _said_after(f"In value {place + 1} of {len(expected)}:"):
            _refuse(result[place], expected[place], case)
    array = as_array(result, case, np.shape(expected))
    if np.isnan(array).any():
        raise Mistake(f"{given} the result holds NaN: is every value computed, and nothing divided by zero?")
    if array.ndim == 0:
        raise Mistake(f"{given} you return {result}, where {expected} is asked for.")
    off = np.abs(array - expected) > TOLERANCE * np.abs(expected).max()
    first = tuple(int(i) for i in np.argwhere(off)[0])
    values = f"{array[first]:.4g}, where {np.asarray(expected)[first]:.4g} is asked for."
    raise Mistake(f"{given} {off.mean():.0%} of the values differ, first at {list(first)}: {values}")


def _length(result) -> int:
    """How many values something is; 0 where it is one."""
    return len(result) if isinstance(result, (tuple, list)) or np.ndim(result) else 0


def same(result, expected) -> bool:
    """True when a result is the expected number, array or tuple of these, but for rounding."""
    if isinstance(expected, tuple):
        return _length(result) == len(expected) and all(map(same, result, expected))
    array, expected = numbers(result), np.asarray(expected, dtype=float)
    if array is None or array.shape != expected.shape:
        return False
    return bool(np.all(np.abs(array - expected) <= TOLERANCE * np.abs(expected).max(initial=0)))


def numbers(result) -> np.ndarray | None:
    """A result as an array of floats; None when it is something else."""
    try:
        array = np.asarray(result)
    except (TypeError, ValueError):  # rows of different lengths, or what cannot be an array
        return None
    return array.astype(float) if array.dtype.kind in "buif" else None


def as_array(result, case: Mapping, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """What came out for these arguments, as an array of floats; a `Mistake` when it is none, or not of this shape."""
    array, given = numbers(result), f"For {inputs(case)}"
    if array is None or (shape == () and array.shape):
        asked = "one number" if shape == () else "an array of real numbers"
        raise Mistake(f"{given} it returns {describe(result)}, where {asked} is asked for.")
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
        return f"an array of shape {value.shape}" + " with complex numbers (take .real)" * np.iscomplexobj(value)
    return f"{value!r}" if isinstance(value, (int, float, str)) else f"a {type(value).__name__}"
