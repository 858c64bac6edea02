"""The ledger: every number that the text states is measured by a cell and claimed with `claim`."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bound:
    """One side of an inequality; made by `at_least` and `at_most`."""

    sign: str
    limit: float

    def holds_for(self, measured: np.ndarray) -> np.ndarray:
        return measured >= self.limit if self.sign == "≥" else measured <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {_text(self.limit)}"


def at_least(limit: float) -> Bound:
    """The claim holds when every measured value is at least `limit`."""
    return Bound("≥", limit)


def at_most(limit: float) -> Bound:
    """The claim holds when every measured value is at most `limit`."""
    return Bound("≤", limit)


def claim(what: str, measured, expected, *, source: str | None = None, rtol: float = 0) -> None:
    """Print one line of the ledger, or raise when it does not hold.

    Parameters
    ----------
    what
        What is claimed, in a few words.
    measured
        What the code found: a number, a string or an array.
    expected
        What it has to be, of the same shape, or a bound made by `at_least` or `at_most`. A bound prints itself and not
        the measured value, so that the line is the same on every machine.
    source
        Where the expected value stands, for example ``"Krizhevsky 2012"``.
    rtol
        Largest allowed difference, relative to the largest magnitude in `expected`; 0 asks for equality.

    Raises
    ------
    AssertionError
        When the claim does not hold; the message names both values.
    ValueError
        When `rtol` is negative, `expected` is no number that something can equal, or a bound has nothing to compare.
    """
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol: got {rtol!r}, expected a number from 0 up to 1")
    if isinstance(expected, Bound):
        problem = _outside(np.asarray(measured), expected)
    else:
        problem = _difference(np.asarray(measured), np.asarray(expected), rtol)
    reference = f"  [{source}]" if source else ""
    if problem:
        raise AssertionError(f"{what}: measured {_text(measured, exact=True)}, {problem}{reference}")
    print(f"{what:<62} {_printed(expected, rtol):>22}  ✓{reference}")


def _outside(measured: np.ndarray, bound: Bound) -> str:
    """Say which measured value is outside the bound; empty when none is."""
    if measured.size == 0:
        raise ValueError("measured: got no value at all, expected at least one to compare with a bound")
    wrong = ~np.asarray(bound.holds_for(measured))
    if not wrong.any():
        return ""
    return f"expected {bound}{_first(wrong, measured)}"


def _first(wrong: np.ndarray, measured: np.ndarray, expected: np.ndarray | None = None) -> str:
    """Name the first wrong value of an array; nothing to add for a single number."""
    if not wrong.ndim:
        return ""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    value = _text(measured[index], exact=True)
    instead = "" if expected is None else f" instead of {_text(expected[index], exact=True)}"
    return f"; {wrong.sum():,} of {wrong.size:,} values are wrong, first at {list(index)}: {value}{instead}"


def _difference(measured: np.ndarray, expected: np.ndarray, rtol: float) -> str:
    """Say how `measured` differs from `expected`; empty when it does not."""
    if expected.dtype.kind == "f" and not np.isfinite(expected).all():
        raise ValueError(f"expected: got {_text(expected)}, expected finite numbers")
    if measured.shape != expected.shape:
        return f"of shape {measured.shape}, expected {_text(expected)} of shape {expected.shape}"
    if expected.dtype.kind not in "buif" or measured.dtype.kind not in "buif" or rtol == 0:
        wrong = np.asarray(measured != expected)
    else:
        allowed = rtol * np.abs(expected.astype(float)).max(initial=0)
        # "not within" rather than "beyond", so that NaN is wrong
        wrong = ~(np.abs(measured.astype(float) - expected.astype(float)) <= allowed)
    if not wrong.any():
        return ""
    within = f" within {rtol:g}" if rtol else ""
    return f"expected {_text(expected, exact=True)}{within}{_first(wrong, measured, expected)}"


def _printed(expected, rtol: float) -> str:
    if isinstance(expected, Bound):
        return str(expected)
    text = _text(expected)
    if np.ndim(expected) and (rtol or len(text) > 22):
        return f"equal to {rtol:g}" if rtol else f"equal, {'×'.join(map(str, np.shape(expected)))}"
    return f"{text} to {rtol:g}" if rtol else text


def _text(value, exact: bool = False) -> str:
    """A number with thousands separators, a short array in brackets, a long one by its shape and range."""
    array = np.asarray(value)
    if array.size > 40:
        return f"an array of shape {array.shape} from {array.min():,.6g} to {array.max():,.6g}"
    if isinstance(value, (tuple, list)):
        return str(value)
    if array.ndim:
        return np.array2string(array, separator=", ", precision=6).replace("\n", "")
    if array.dtype.kind in "iu":
        return f"{array.item():,}"
    if array.dtype.kind == "f":
        return f"{array.item():,}" if exact else f"{array.item():,.6g}"
    return str(array.item())
