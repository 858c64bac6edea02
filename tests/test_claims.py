"""claim prints one line: what was measured, what was claimed of it, and whether that holds. A wrong equality raises."""

import io
import json
import sys
from contextlib import nullcontext, redirect_stdout

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers import claims
from helpers.claims import at_least, at_most, check_array, check_integer, claim, judge_bounds

NAN, INF = float("nan"), float("inf")
FINITE = st.floats(-1e6, 1e6)
MATRIX = np.arange(6).reshape(2, 3)
ONES = np.ones((200, 300))
NOT_REAL = "got .*, expected at least one real number to compare"
MARGINS = """# made by a command
lesson,claim,bound,lowest,highest,mean,standard deviation,runs,✗
03,what,≥ 0.83,0.4,0.6,0.5,0.05,20,20
02,what,≥ 0.83,0.96,0.99,0.975,0.01,20,0
02,"what, of all",≤ 4,1,3,2.3456,0.5,20,0
"""


@pytest.fixture(autouse=True)
def state():
    """What one test has measured, or has turned off, is gone in the next."""
    yield
    judge_bounds(True, lesson="02")
    claims.ledger.clear()


def shown(measured, expected, what: str = "what", **options) -> str:
    """What stands behind the name of the claim, on one line."""
    with redirect_stdout(io.StringIO()) as output:
        assert claim(what, measured, expected, **options) is None
    (line,) = output.getvalue().splitlines()
    assert line.startswith(f"{what}  ")
    return line.removeprefix(what).strip()


@pytest.mark.parametrize(
    "measured, expected, message",
    [
        (1_000_000, 2_000_000, "measured 1,000,000, expected 2,000,000"),
        (0.1 + 0.2, 0.3, "measured 0.30000000000000004, expected 0.3"),
        (1.0, True, "measured 1.0, expected True: one is True or False, the other is not"),
        (NAN, 1.0, "measured nan, expected 1.0"),
        ([1.0, NAN], [1.0, 1.0], "1 of 2 values are wrong, first at [1]: nan instead of 1.0"),
        ([[0, 1, 2], [40, 4, 5]], MATRIX, "expected [[0, 1, 2], [3, 4, 5]]; 1 of 6 values are wrong, first at [1, 0]"),
        ([1, "a"], ["1", "a"], "measured [1, 'a'], expected ['1', 'a']"),
        (["cat"] * 41, ["dog"] * 41, "41 of 41 values are wrong, first at [0]: 'cat' instead of 'dog'"),
        (ONES, 0 * ONES, "60,000 of 60,000 values are wrong, first at [0, 0]: 1.0 instead of 0.0"),
    ],
)
def test_a_wrong_exact_claim_raises_and_names_both_values(measured, expected, message, capsys):
    with pytest.raises(AssertionError, match=r"^the sum: measured ") as raised:
        claim("the sum", measured, expected, source="a book")
    assert message in str(raised.value)
    assert len(str(raised.value)) < 400
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("measured", [1, [1], [1, 1, 1], [[1, 1]], [[1], [1]]])
@pytest.mark.parametrize("rtol", [0, 1e-6, 0.5])
def test_another_shape_is_wrong_even_where_it_would_broadcast(measured, rtol):
    with pytest.raises(AssertionError, match=r"^the map: measured .*, expected \[1, 1\], of another shape$"):
        claim("the map", measured, [1, 1], rtol=rtol)


@pytest.mark.parametrize(
    "measured, expected, rtol, text",
    [
        # Equality
        (np.int64(5258), 5258, 0, "5,258  ✓"),
        (2, 2.0, 0, "2  ✓"),
        (True, np.True_, 0, "True  ✓"),
        ("(8, 8, 1)", "(8, 8, 1)", 0, "(8, 8, 1)  ✓"),
        ([1, "a"], [1, "a"], 0, "[1, 'a']  ✓"),
        ([[1, 0], [0, 2]], np.array([[1.0, 0.0], [0.0, 2.0]]), 0, "[[1., 0.], [0., 2.]]  ✓"),
        (np.zeros((28, 28)), np.zeros((28, 28)), 0, "equal, 28×28  ✓"),
        (np.ones((8, 8), bool), np.ones((8, 8), bool), 0, "equal, 8×8  ✓"),
        (["cat"] * 41, ["cat"] * 41, 0, "equal, 41  ✓"),
        (MATRIX.repeat(6), MATRIX.repeat(6), 0, "equal, 36  ✓"),
        # Bounds
        (0.975, at_least(0.83), 0, "0.975 (≥ 0.83)  ✓"),
        (0.61, at_least(0.83), 0, "0.61 (≥ 0.83)  ✗"),
        ([0.9, 0.84], at_least(0.8), 0, "0.84 to 0.9 (≥ 0.8)  ✓"),
        ([0.9, 0.84], at_most(0.85), 0, "0.84 to 0.9 (≤ 0.85)  ✗"),
        (NAN, at_least(0), 0, "nan (≥ 0)  ✗"),
        ([1.0, NAN], at_most(2), 0, "nan (≤ 2)  ✗"),
        (INF, at_least(0), 0, "inf (≥ 0)  ✗"),
        ([1.0, INF], at_least(0), 0, "1 to inf (≥ 0)  ✗"),
        # Bounds that would seem to hold if the value were rounded
        (0.8299999, at_least(0.83), 0, "0.8299999 (≥ 0.83)  ✗"),
        ([0.9, 0.8299999], at_least(0.83), 0, "0.8299999 to 0.9 (≥ 0.83)  ✗"),
        (1235.4, at_most(1235.2), 0, "1,235.4 (≤ 1,235.2)  ✗"),
        # Tolerances: of one number the value, of a small tolerance and of arrays the largest difference
        (0.671, 0.6667, 0.08, "0.671 (0.667 ± 8 %)  ✓"),
        (0.9, 0.6667, 0.08, "0.9 (0.667 ± 8 %)  ✗"),
        (1.0001, 1, 1e-3, "1 (1 ± 0.1 %)  ✓"),
        (0, 0, 0.1, "0 (0 ± 10 %)  ✓"),
        (NAN, 1, 0.5, "nan (1 ± 50 %)  ✗"),
        (42 + 8.4e-11, 42, 1e-9, "42, apart by 2e-12 (≤ 1e-09)  ✓"),
        (42.84, 42, 1e-9, "42.84, apart by 0.02 (≤ 1e-09)  ✗"),
        ([1 + 2e-8, 0], [1, 0], 1e-6, "apart by 2e-08 (≤ 1e-06)  ✓"),
        ([1.1, 2], [1, 2], 1e-2, "apart by 0.05 (≤ 0.01)  ✗"),
        ([1.0, NAN], [1, 1], 0.5, "apart by nan (≤ 0.5)  ✗"),
    ],
)
def test_a_claim_prints_one_line(measured, expected, rtol, text):
    assert shown(measured, expected, rtol=rtol) == text


@given(whole=st.integers(-99_999, 99_999), places=st.integers(0, 4), off=st.floats(-1, 1), tens=st.integers(-9, 3))
@example(whole=5, places=0, off=0, tens=0)
@example(whole=12352, places=1, off=0.2, tens=0)
def test_the_verdict_on_a_bound_can_be_read_off_the_line(whole, places, off, tens):
    limit = whole / 10**places
    measured = limit + off * 10**tens
    for bound, is_within in ((at_least(limit), limit.__le__), (at_most(limit), limit.__ge__)):
        text = shown(measured, bound)
        assert text[-1] == ("✓" if is_within(measured) else "✗")
        assert is_within(float(text.partition(" (")[0].replace(",", ""))) == is_within(measured)


@given(measured=arrays(float, array_shapes(min_dims=0, max_side=4), elements=FINITE), limit=FINITE)
def test_every_value_has_to_be_within_a_bound(measured, limit):
    assert shown(measured, at_least(limit))[-1] == ("✓" if measured.min() >= limit else "✗")
    assert shown(measured, at_most(limit))[-1] == ("✓" if measured.max() <= limit else "✗")


@given(
    expected=arrays(float, array_shapes(max_side=4), elements=FINITE.filter(lambda value: abs(value) > 1e-3)),
    rtol=st.floats(1e-9, 0.5),
    sign=st.sampled_from([-1, 1]),
)
def test_the_tolerance_is_relative_to_the_largest_expected_magnitude(expected, rtol, sign):
    allowed = sign * rtol * np.abs(expected).max()
    assert shown(expected + 0.99 * allowed, expected, rtol=rtol)[-1] == "✓"
    assert shown(expected + 1.01 * allowed, expected, rtol=rtol)[-1] == "✗"


@given(measured=st.integers() | FINITE | st.text(), expected=st.integers() | FINITE | st.text())
def test_equality_is_equality(measured, expected):
    with nullcontext() if measured == expected else pytest.raises(AssertionError):
        claim("a value", measured, expected)


@given(arrays(float, array_shapes(min_dims=0, max_side=4), elements=FINITE))
def test_an_array_equals_itself_and_nothing_else(array):
    claim("an array", array, array)
    for index in np.ndindex(array.shape):
        other = array.copy()
        other[index] += 1
        with pytest.raises(AssertionError):
            claim("an array", other, array)


@pytest.mark.parametrize(
    "measured, expected, rtol, message",
    [
        ([], [], 0, "what: got no value at all, expected at least one to compare"),
        *((bad, at_least(0), 0, f"measured: {NOT_REAL}") for bad in ([], 1 + 5j, True, [True, False], "7", None)),
        (True, 1, 0.1, f"measured: {NOT_REAL}"),
        (1, "1", 0.1, f"expected: {NOT_REAL}"),
    ],
)
def test_what_cannot_be_compared_is_refused(measured, expected, rtol, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        claim("what", measured, expected, rtol=rtol)


@pytest.mark.parametrize("what", ["a", "a rather long description of something", "w" * 60, "w" * 95])
@pytest.mark.parametrize("measured, expected, rtol", [(9, 9, 0), (5, at_least(1.5), 0), (1.0, 1, 0.1), (ONES, ONES, 0)])
def test_marks_stand_below_each_other(what, measured, expected, rtol, capsys):
    claim(what, measured, expected, rtol=rtol, source="LeCun 1998")
    line, _, source = capsys.readouterr().out.rpartition("  ✓  ")
    value = line.removeprefix(what)
    assert source == "[LeCun 1998]\n"
    assert value.startswith("  ") and len(line) == max(85, len(what) + 2 + len(value.strip()))


def test_a_terminal_that_knows_few_letters_shows_their_names(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    claim("what", 0.975, at_least(0.83))
    terminal.flush()
    assert (
        terminal.buffer.getvalue().split(maxsplit=1)[1]
        == rb"0.975 (\N{GREATER-THAN OR EQUAL TO} 0.83)  \N{CHECK MARK}" + b"\n"
    )


@pytest.mark.parametrize(
    "lesson, what, measured, bound, text",
    [
        ("02", "what", 0.61, at_least(0.83), "0.61 (lesson: 0.975)  ·"),
        ("02", "what", NAN, at_least(0.83), "nan (lesson: 0.975)  ·"),
        ("02", "what, of all", [9, 5], at_most(4), "5 to 9 (lesson: 2.35)  ·"),
        ("03", "what", 0.61, at_least(0.83), "0.61 (lesson: 0.5)  ·"),
        ("02", "what", 0.61, at_least(0.84), "0.61 (lesson: ≥ 0.84)  ·"),
        ("04", "what", 0.61, at_least(0.83), "0.61 (lesson: ≥ 0.83)  ·"),
    ],
)
def test_on_other_data_a_bound_shows_what_the_lesson_gives(lesson, what, measured, bound, text, tmp_path, monkeypatch):
    table = tmp_path / "claims.csv"
    monkeypatch.setattr(claims, "MARGINS", table)
    judge_bounds(False, lesson=lesson)
    assert shown(measured, bound, what).endswith(f" (lesson: {bound})  ·")  # there is no table yet
    table.write_text(MARGINS, encoding="utf-8")
    judge_bounds(False, lesson=lesson)
    assert shown(measured, bound, what) == text
    judge_bounds(True, lesson=lesson)
    assert f" ({bound})  " in shown(measured, bound, what)


def test_on_other_data_all_but_bounds_is_judged():
    judge_bounds(False, lesson="02")
    assert shown(0.9, 0.6667, rtol=0.08) == "0.9 (0.667 ± 8 %)  ✗"
    assert shown(3, 3) == "3  ✓"
    with pytest.raises(AssertionError, match=r"^what: measured 3, expected 4$"):
        claim("what", 3, 4)


@pytest.mark.parametrize(
    "measured, expected, rtol, bound, recorded, holds",
    [
        (np.float32(0.975), at_least(0.83), 0, "≥ 0.83", 0.975, True),
        ([0.84, 0.79], at_least(0.8), 0, "≥ 0.8", 0.79, False),
        ([0.84, 0.79], at_most(0.8), 0, "≤ 0.8", 0.84, False),
        (NAN, at_most(1), 0, "≤ 1", NAN, False),
        (0.671, 0.6667, 0.08, "0.667 ± 8 %", 0.671, True),
        (42.00042, 42, 1e-4, "≤ 0.0001", 1e-5, True),
        ([0, 12], [0, 10], 0.1, "≤ 0.1", 0.2, False),
    ],
)
def test_the_ledger_keeps_bounds_and_tolerances(measured, expected, rtol, bound, recorded, holds):
    claim("an exact claim", 1, 1)
    claim("what", measured, expected, rtol=rtol)
    (entry,) = json.loads(json.dumps(claims.ledger))  # so do notebooks hand it on
    number = pytest.approx(recorded, rel=1e-6, nan_ok=True)
    assert entry == {"claim": "what", "bound": bound, "measured": number, "holds": holds}


# Checks of arguments


@pytest.mark.parametrize(
    "value, came, expected",
    [
        ("a string", "str of dtype <U8", "numbers"),
        (["1", "2"], "list of dtype", "numbers"),
        (None, "NoneType of dtype object", "numbers"),
        ([[1, None]], "list of dtype object", "numbers"),
        (3, "a 0-D array of shape ()", "2-D or 3-D"),
        ([1, 2, 3], "a 1-D array of shape (3,)", "2-D or 3-D"),
        (np.ones((2, 3, 4, 5)), "a 4-D array of shape (2, 3, 4, 5)", "2-D or 3-D"),
        (np.ones((0, 3)), "an empty array of shape (0, 3)", "at least one value"),
        ([[1.0, np.nan]], "an array with NaN", "finite numbers"),
        ([[np.inf, np.nan]], "an array with NaN", "finite numbers"),
        ([[1.0, -np.inf]], "an array with infinity", "finite numbers"),
    ],
)
def test_check_array_refuses(value, came, expected):
    with pytest.raises(ValueError) as raised:
        check_array("picture", value, (2, 3))
    message = str(raised.value)
    assert message.startswith(f"picture: got {came}")
    assert message.endswith(f", expected {expected}")


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, True, "1", None, [1], np.array([1]), float("nan")])
def test_check_integer_refuses(value):
    with pytest.raises(ValueError, match=r"^stride: got .*, expected an integer of at least 1$"):
        check_integer("stride", value, 1)


@pytest.mark.parametrize("value", [1, 7, np.int32(7), np.uint8(7)])
def test_check_integer_returns_a_plain_integer(value):
    checked = check_integer("stride", value, 1)
    assert checked == value
    assert type(checked) is int
