"""The ledger: every number that the text states is measured by a cell and claimed with `claim`.

An exact claim that does not hold raises. A bound or a tolerance can be missed by luck: the line then has ✗ in place of
✓. On other data than the lesson's own, bounds have · and are not judged. Below it are checks of arguments and texts.
"""

import csv
import numbers
from pathlib import Path
from typing import NamedTuple

import numpy as np

MARGINS = Path(__file__).resolve().parent.parent / "data" / "results" / "claims.csv"
WIDTH = 85  # columns, up to the mark
MOST_SHOWN = 40  # values; a longer array is shown by its shape

ledger: list[dict] = []  # what bounds and tolerances have measured so far, for `tests/whole_course.py --margins`

# Set by `judge_bounds`: by claim and bound what the lesson's own data gives, None while bounds are judged
_usual: dict[tuple[str, str], float] | None = None


class Bound(NamedTuple):
    """One side of an inequality; made by `at_least` and `at_most`."""

    sign: str
    limit: float

    def holds_for(self, measured: float) -> bool:
        return bool(measured >= self.limit if self.sign == "≥" else measured <= self.limit)

    def __str__(self) -> str:
        return f"{self.sign} {_number(self.limit, 6)}"


def at_least(limit: float) -> Bound:
    """The claim holds when every measured value is at least `limit`."""
    return Bound("≥", limit)


def at_most(limit: float) -> Bound:
    """The claim holds when every measured value is at most `limit`."""
    return Bound("≤", limit)


def judge_bounds(is_own_data: bool, *, lesson: str) -> None:
    """Say whether what follows is measured on the lesson's own data. If not, a bound shows · and what that data gives:
    the mean in data/results/claims.csv of a `lesson` such as ``"02"``."""
    global _usual
    _usual = None if is_own_data else {}
    if not is_own_data and MARGINS.is_file():
        rows = csv.DictReader(MARGINS.read_text(encoding="utf-8").splitlines()[1:])
        _usual.update({(row["claim"], row["bound"]): float(row["mean"]) for row in rows if row["lesson"] == lesson})


def claim(what: str, measured, expected, *, source: str | None = None, rtol: float = 0) -> None:
    """Print one line of the ledger: what was measured, what was claimed of it, and whether that holds.

    `expected` has the shape of `measured` (a number, a string or an array), or is made by `at_least` or `at_most`;
    `source` says where it stands. `rtol` is the largest difference allowed, relative to the largest magnitude in
    `expected`; 0 asks for equality, and raises ``AssertionError`` where there is none, as another shape always does.
    """
    if isinstance(expected, Bound):
        text, mark = _bounded(what, measured, expected)
    elif np.shape(measured) != np.shape(expected):
        raise AssertionError(f"{what}: measured {_text(measured)}, expected {_text(expected)}, of another shape")
    elif rtol:
        text, mark = _near(what, measured, expected, rtol)
    else:
        text, mark = _equal(what, measured, expected)
    reference = f"  [{source}]" if source else ""
    line = f"{what}{' ' * max(2, WIDTH - len(what) - len(text))}{text}  {mark}{reference}"
    try:
        print(line)
    except UnicodeEncodeError:  # a terminal that knows few letters
        print(line.encode("ascii", "namereplace").decode("ascii"))


def _bounded(what: str, measured, bound: Bound) -> tuple[str, str]:
    values = _numbers("measured", measured)
    worst, best = (values.min(), values.max()) if bound.sign == "≥" else (values.max(), values.min())
    holds = bool(np.isfinite(values).all()) and bound.holds_for(worst)
    ledger.append({"claim": what, "bound": str(bound), "measured": float(worst), "holds": holds})
    # Rounded it could seem to hold, or not to
    is_clear = bound.holds_for(float(_number(worst, 3).replace(",", ""))) == bound.holds_for(worst)
    first = _number(worst, 3) if is_clear else f"{float(worst):,}"
    ends = dict.fromkeys([first] if best == worst else [first, _number(best, 3)])
    text = " to ".join(ends if bound.sign == "≥" else reversed(ends))
    if _usual is None:
        return f"{text} ({bound})", "✓" if holds else "✗"
    usual = _usual.get((what, str(bound)))
    return f"{text} (lesson: {bound if usual is None else _number(usual, 3)})", "·"


def _near(what: str, measured, expected, rtol: float) -> tuple[str, str]:
    values, wanted = _numbers("measured", measured), _numbers("expected", expected)
    apart, largest = np.abs(values - wanted).max(), np.abs(wanted).max()
    holds = bool(apart <= rtol * largest)  # and so not for NaN
    apart = apart / largest if largest else apart
    if values.ndim or rtol < 1e-3:
        bound, value = f"≤ {rtol:g}", "" if values.ndim else f"{_number(values, 4)}, "
        digits = 1 if (float(f"{apart:.1g}") <= rtol) == holds else 3
        text = f"{value}apart by {apart:.{digits}g} ({bound})"
    else:
        bound, apart = f"{_number(wanted, 3)} ± {100 * rtol:g} %", values
        text = f"{_number(values, 3)} ({bound})"
    ledger.append({"claim": what, "bound": bound, "measured": float(apart), "holds": holds})
    return text, "✓" if holds else "✗"


def _equal(what: str, measured, expected) -> tuple[str, str]:
    # As objects where NumPy would turn the 1 of ``[1, "a"]`` into a string
    found, wanted = (np.asarray(x, object if np.asarray(x).dtype.kind in "US" else None) for x in (measured, expected))
    if not found.size and not wanted.size:
        raise ValueError(f"{what}: got no value at all, expected at least one to compare")
    wrong = np.argwhere(found != wanted)
    problem = f"{what}: measured {_text(measured, exact=True)}, expected {_text(expected, exact=True)}"
    if (found.dtype.kind == "b") != (wanted.dtype.kind == "b"):
        raise AssertionError(f"{problem}: one is True or False, the other is not")
    if len(wrong):
        if wanted.ndim:
            first = tuple(map(int, wrong[0]))
            values = f"{_text(found[first], exact=True)} instead of {_text(wanted[first], exact=True)}"
            problem += f"; {len(wrong):,} of {wanted.size:,} values are wrong, first at {list(first)}: {values}"
        raise AssertionError(problem)
    text = _text(expected)
    is_long = wanted.ndim and (wanted.size > MOST_SHOWN or len(what) + len(text) + 2 > WIDTH)
    return f"equal, {size_text(wanted.shape)}" if is_long else text, "✓"


def _numbers(name: str, value) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or not array.size:
        raise ValueError(f"{name}: got {_text(value)} ({array.dtype}), expected at least one real number to compare")
    return array.astype(float)


def _number(value, digits: int) -> str:
    """Whole where it is whole or large, else rounded to this many digits."""
    rounded = f"{float(value):,.{digits}g}"
    is_whole = value == np.rint(value) or abs(float(rounded.replace(",", ""))) >= 10**digits
    return f"{float(value):,.0f}" if is_whole and abs(value) < 1e15 else rounded


def _text(value, exact: bool = False) -> str:
    """A number with thousands separators, a short array in brackets, a long one by its shape."""
    array = np.asarray(value)
    if array.size > MOST_SHOWN:
        return f"an array of shape {array.shape}"
    if isinstance(value, (tuple, list)):
        return str(value)
    if array.ndim:
        return np.array2string(array, separator=", ", precision=6).replace("\n", "")
    if array.dtype.kind in "iu":
        return f"{array.item():,}"
    if array.dtype.kind == "f":
        return f"{array.item():,}" if exact else f"{array.item():,.6g}"
    return repr(array.item()) if exact else str(array.item())


def check_array(name: str, value, ranks: tuple[int, ...]) -> np.ndarray:
    """`value` as an array of one of these numbers of dimensions, not empty, of finite numbers; else ``ValueError``."""
    array = np.asarray(value)
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):  # bfloat16, which NumPy itself does not know
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name}: got {type(value).__name__} of dtype {array.dtype}, expected numbers")
    if array.ndim not in ranks:
        wanted = " or ".join(f"{rank}-D" for rank in ranks)
        raise ValueError(f"{name}: got a {array.ndim}-D array of shape {array.shape}, expected {wanted}")
    if array.size == 0:
        raise ValueError(f"{name}: got an empty array of shape {array.shape}, expected at least one value")
    if not np.isfinite(array).all():
        what = "NaN" if np.isnan(array).any() else "infinity"
        raise ValueError(f"{name}: got an array with {what}, expected finite numbers")
    return array


def check_integer(name: str, value, minimum: int) -> int:
    """`value` as an ``int``; ``ValueError`` when it is no integer or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}: got {value!r}, expected an integer of at least {minimum}")
    return int(value)


def size_text(shape: tuple[int, ...]) -> str:
    """A shape as the texts write it: ``3×4``."""
    return "×".join(map(str, shape))


def number_text(value) -> str:
    """A number as figures write it: whole where it is whole, else three digits; a true minus sign."""
    value = float(value) or 0.0  # no negative zero
    text = f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.3g}"
    return text.replace("-", "−")
