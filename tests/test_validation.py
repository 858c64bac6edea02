"""Every bad argument is answered by what it is called, what came and what was expected."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from helpers.validation import check_array, check_convolution, check_integer, check_range

IMAGE, KERNEL = np.ones((5, 6)), np.ones((3, 2))


@pytest.mark.parametrize(
    "value, came, expected",
    [
        ("a string", "str of dtype <U8", "numbers"),
        (["1", "2"], "list of dtype", "numbers"),
        (None, "NoneType of dtype object", "numbers"),
        ([[1, None]], "list of dtype object", "numbers"),
        ([[1, 2], [3]], "rows of different lengths", "a rectangular array"),
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


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_check_array_returns_the_array_itself(dtype):
    array = np.ones((2, 3), dtype)
    assert check_array("picture", array, (2,)) is array


def test_check_array_turns_lists_into_arrays():
    array = check_array("picture", [[1, 2], [3, 4]], (2,))
    assert array.shape == (2, 2)
    assert array.dtype.kind == "i"


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, True, "1", None, [1], np.array([1]), float("nan")])
def test_check_integer_refuses(value):
    with pytest.raises(ValueError, match=r"^stride: got .*, expected an integer of at least 1$"):
        check_integer("stride", value, 1)


@pytest.mark.parametrize("value", [1, 7, np.int32(7), np.uint8(7)])
def test_check_integer_returns_a_plain_integer(value):
    checked = check_integer("stride", value, 1)
    assert checked == value
    assert type(checked) is int


@pytest.mark.parametrize("value", [-0.01, 1.51, 2, float("nan"), float("inf"), True, "1", None, [1], np.ones(1), 1j])
def test_check_range_refuses(value):
    with pytest.raises(ValueError) as raised:
        check_range("light", value, 0, 1.5)
    assert str(raised.value) == f"light: got {value!r}, expected a number from 0 to 1.5"


@pytest.mark.parametrize("value", [0, 1, 1.5, np.float32(0.25), np.uint8(1), Fraction(1, 3)])
def test_check_range_returns_a_plain_float(value):
    checked = check_range("light", value, 0, 1.5)
    assert checked == float(value)
    assert type(checked) is float


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((IMAGE[0], KERNEL), "x: got a 1-D array of shape (6,), expected 2-D or 3-D"),
        ((np.ones((0, 3)), KERNEL), "x: got an empty array of shape (0, 3), expected at least one value"),
        ((np.full((4, 4), np.nan), KERNEL), "x: got an array with NaN, expected finite numbers"),
        (("image", KERNEL), "x: got str of dtype <U5, expected numbers"),
        ((IMAGE, KERNEL[0]), "kernel: got a 1-D array of shape (2,), expected 2-D or 3-D"),
        ((IMAGE, np.full((2, 2), np.inf)), "kernel: got an array with infinity, expected finite numbers"),
        (
            (IMAGE, np.ones((2, 2, 1))),
            "kernel: got a 3-D array of shape (2, 2, 1), expected 2-D to go with x of shape (5, 6)",
        ),
        (
            (np.ones((5, 5, 3)), np.ones((2, 2, 4))),
            "kernel: got shape (2, 2, 4) with 4 channels, expected 3, as in x of shape (5, 5, 3)",
        ),
        ((IMAGE, KERNEL, 0), "stride: got 0, expected an integer of at least 1"),
        ((IMAGE, KERNEL, 1.0), "stride: got 1.0, expected an integer of at least 1"),
        ((IMAGE, KERNEL, 1, -1), "padding: got -1, expected an integer of at least 0"),
        ((IMAGE, KERNEL, 1, "same"), "padding: got 'same', expected an integer of at least 0"),
        (
            (IMAGE, np.ones((6, 2))),
            "kernel: got 6×2, expected at most 5×6, the size of the padded image",
        ),
        (
            (IMAGE, np.ones((2, 9)), 1, 1),
            "kernel: got 2×9, expected at most 7×8, the size of the padded image",
        ),
    ],
)
def test_check_convolution_refuses(arguments, message):
    with pytest.raises(ValueError) as raised:
        check_convolution(*arguments)
    assert str(raised.value) == message


SIDES = st.integers(1, 6)


def fits(x, kernel, stride, padding) -> bool:
    """Whether SciPy finds a place for the kernel inside the padded image.

    Asked for "valid", SciPy would let a small image slide over a large kernel. So all places are asked for,
    those where the kernel hangs over an edge as well, and then only those inside are kept.
    """
    everywhere = signal.correlate(np.pad(x, padding), kernel, "full", "direct")
    rows, columns = (n - 1 for n in kernel.shape)
    height, width = (n + 2 * padding for n in x.shape)
    return everywhere[rows:height:stride, columns:width:stride].size > 0


@given(image=st.tuples(SIDES, SIDES), kernel=st.tuples(SIDES, SIDES), stride=SIDES, padding=st.integers(0, 2))
def test_check_convolution_accepts_exactly_what_scipy_can_compute(image, kernel, stride, padding):
    x, kernel = np.ones(image), np.ones(kernel)
    if fits(x, kernel, stride, padding):
        check_convolution(x, kernel, stride, padding)
        assert signal.correlate(np.pad(x, padding), kernel, "valid", "direct").size > 0
    else:
        with pytest.raises(ValueError, match=r"^kernel: got \d×\d, expected at most"):
            check_convolution(x, kernel, stride, padding)


@given(image=st.tuples(SIDES, SIDES), kernel=st.tuples(SIDES, SIDES), channels=st.integers(1, 3))
def test_channels_do_not_change_what_fits(image, kernel, channels):
    x, bank = np.ones((*image, channels)), np.ones((*kernel, channels))
    if fits(np.ones(image), np.ones(kernel), 1, 0):
        check_convolution(x, bank)
    else:
        with pytest.raises(ValueError, match=r"^kernel: got \d×\d, expected at most"):
            check_convolution(x, bank)
