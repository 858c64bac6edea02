"""claim prints one line when it holds and raises, with both values, when it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers.claims import at_least, at_most, claim

NAN = float("nan")
FINITE = st.floats(-1e6, 1e6)
MATRIX = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize(
    "measured, expected, shown",
    [
        (3, 3, "3"),
        (np.int64(20_000_500), 20_000_500, "20,000,500"),
        (0.25, 0.25, "0.25"),
        (2, 2.0, "2"),
        ("(8, 8, 1)", "(8, 8, 1)", "(8, 8, 1)"),
        ((4,), (4,), "(4,)"),
        ([[1, 0], [0, 2]], np.array([[1.0, 0.0], [0.0, 2.0]]), "[[1., 0.], [0., 2.]]"),
        (np.zeros((28, 28)), np.zeros((28, 28)), "equal, 28×28"),
        ([], [], "[]"),
    ],
)
def test_a_claim_that_holds_prints_what_was_expected(measured, expected, shown, capsys):
    assert claim("what", measured, expected) is None
    printed = capsys.readouterr().out
    assert printed.split(maxsplit=1)[0] == "what"
    assert printed.endswith(f" {shown}  ✓\n")


def test_lines_are_aligned(capsys):
    claim("a", 1, 1)
    claim("a rather long description of something", 1_000_000, 1_000_000)
    claim("a bound", 5, at_least(1.5))
    claim("a tolerance", 1.0, 1, rtol=0.1)
    claim("an array", MATRIX, MATRIX, source="a book")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert len({line.index("✓") for line in lines}) == 1


def test_the_source_is_shown(capsys):
    claim("the sum", 2, 2, source="Krizhevsky 2012")
    assert capsys.readouterr().out.endswith("✓  [Krizhevsky 2012]\n")
    with pytest.raises(AssertionError, match=r"\[Krizhevsky 2012\]$"):
        claim("the sum", 3, 2, source="Krizhevsky 2012")


@pytest.mark.parametrize(
    "measured, expected",
    [
        (3, 4),
        (0.25, 0.26),
        ("valid", "same"),
        (1_000_000, 2_000_000),
        (5, at_most(4)),
        (5, at_least(6)),
        (5.5, at_most(4.5)),
    ],
)
def test_a_wrong_claim_names_both_values(measured, expected, capsys):
    with pytest.raises(AssertionError) as raised:
        claim("the sum", measured, expected)
    shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in (measured, expected)]
    assert str(raised.value) == f"the sum: measured {shown[0]}, expected {shown[1]}"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rtol", [0, 1e-3])
def test_a_wrong_array_names_the_place(rtol):
    wrong = MATRIX.copy()
    wrong[1, 0] = 40
    with pytest.raises(AssertionError) as raised:
        claim("the map", wrong, MATRIX, rtol=rtol)
    message = str(raised.value)
    assert "measured [[ 0,  1,  2], [40,  4,  5]]" in message
    assert "expected [[0, 1, 2], [3, 4, 5]]" in message
    assert "1 of 6 values are wrong, first at [1, 0]: 40 instead of 3" in message


def test_the_message_about_a_large_array_is_short():
    with pytest.raises(AssertionError) as raised:
        claim("the map", np.ones((200, 300)), np.zeros((200, 300)))
    assert "60,000 of 60,000 values are wrong, first at [0, 0]: 1.0 instead of 0.0" in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("measured", [NAN, [1.0, NAN], np.float32(NAN)])
@pytest.mark.parametrize("make", [at_least, at_most], ids=["at_least", "at_most"])
def test_nan_is_within_no_bound(measured, make):
    with pytest.raises(AssertionError, match=r"measured .*nan"):
        claim("a ratio", measured, make(1))


@pytest.mark.parametrize("measured, expected", [(NAN, 1.0), ([1.0, NAN], [1.0, 1.0])])
@pytest.mark.parametrize("rtol", [0, 0.5])
def test_nan_equals_nothing(measured, expected, rtol):
    with pytest.raises(AssertionError, match=r"measured .*nan"):
        claim("a ratio", measured, expected, rtol=rtol)


@pytest.mark.parametrize("measured", [1, [1], [1, 1, 1], [[1, 1]], [[1], [1]]])
@pytest.mark.parametrize("rtol", [0, 0.5])
def test_another_shape_is_wrong_even_where_it_would_broadcast(measured, rtol):
    with pytest.raises(AssertionError, match=r"of shape \(.*\), expected \[1, 1\] of shape \(2,\)"):
        claim("the map", measured, [1, 1], rtol=rtol)


@pytest.mark.parametrize("rtol", [-1e-9, 1, 2, NAN, float("inf")])
def test_a_senseless_tolerance_is_refused(rtol):
    with pytest.raises(ValueError, match=r"^rtol: got .*, expected a number from 0 up to 1$"):
        claim("the sum", 1, 1, rtol=rtol)


@pytest.mark.parametrize("expected", [NAN, float("inf"), [1.0, NAN], np.array([-np.inf])])
def test_an_expected_value_that_nothing_can_equal_is_refused(expected):
    with pytest.raises(ValueError, match=r"^expected: got .*, expected finite numbers$"):
        claim("the sum", expected, expected)


@pytest.mark.parametrize("measured", [7, 7.654321, [7, 9.123], np.full((2, 2), 7)])
def test_a_bound_prints_itself_and_not_what_was_measured(measured, capsys):
    claim("times quicker", measured, at_least(5))
    claim("times quicker", 0.123456, at_most(5))
    lines = [line.split("quicker")[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["≥ 5  ✓", "≤ 5  ✓"]


def test_a_tolerance_is_printed(capsys):
    claim("a number", 1.0001, 1, rtol=1e-3)
    claim("an array", [1.0001, 2], [1, 2], rtol=1e-3)
    number, array = capsys.readouterr().out.splitlines()
    assert number.endswith(" 1 to 0.001  ✓")
    assert array.endswith(" equal to 0.001  ✓")


@given(measured=st.integers() | FINITE | st.text(), expected=st.integers() | FINITE | st.text())
def test_equality_is_equality(measured, expected):
    if measured == expected:
        claim("a value", measured, expected)
    else:
        with pytest.raises(AssertionError):
            claim("a value", measured, expected)


@given(arrays(float, array_shapes(min_dims=0, max_side=4), elements=FINITE))
def test_an_array_equals_itself_and_nothing_else(array):
    claim("an array", array, array)
    with pytest.raises(AssertionError):
        claim("an array", array + 1, array)
    for index in np.ndindex(array.shape):
        other = array.copy()
        other[index] += 1
        with pytest.raises(AssertionError):
            claim("an array", other, array)


@given(
    expected=arrays(float, array_shapes(max_side=4), elements=FINITE.filter(lambda value: abs(value) > 1e-3)),
    rtol=st.floats(1e-9, 0.5),
    sign=st.sampled_from([-1, 1]),
)
def test_the_tolerance_is_relative_to_the_largest_expected_magnitude(expected, rtol, sign):
    allowed = rtol * np.abs(expected).max()
    claim("an array", expected + 0.99 * sign * allowed, expected, rtol=rtol)
    with pytest.raises(AssertionError, match="first at"):
        claim("an array", expected + 1.01 * sign * allowed, expected, rtol=rtol)


@given(measured=arrays(float, array_shapes(min_dims=0, max_side=4), elements=FINITE), limit=FINITE)
def test_every_value_has_to_be_within_a_bound(measured, limit):
    low, high = measured.min(), measured.max()
    for bound, holds in ((at_least(limit), low >= limit), (at_most(limit), high <= limit)):
        if holds:
            claim("values", measured, bound)
        else:
            with pytest.raises(AssertionError, match=r"expected [≥≤] "):
                claim("values", measured, bound)


def test_the_limit_itself_is_within_the_bound():
    claim("a value", 5, at_least(5))
    claim("a value", 5, at_most(5))


@pytest.mark.parametrize("make", [at_least, at_most], ids=["at_least", "at_most"])
def test_no_measurement_at_all_is_within_no_bound(make):
    with pytest.raises((AssertionError, ValueError)):
        claim("accuracies", [], make(0.9))


def test_a_value_outside_a_bound_is_named():
    measured = np.ones(100)
    measured[50] = 0.125
    with pytest.raises(AssertionError, match=r"\[50\]: 0\.125"):
        claim("accuracies", measured, at_least(0.5))


def test_a_small_difference_shows_in_the_message():
    with pytest.raises(AssertionError) as raised:
        claim("the sum", 0.1 + 0.2, 0.3)
    measured, expected = str(raised.value).removeprefix("the sum: measured ").split(", expected ")
    assert measured != expected
