"""The functions of notebook 01, just as students see them, against SciPy, TensorFlow and central differences.

Images and kernels hold small integers unless said otherwise: float32 sums of their products are exact, in any
order, so that results can be compared without a tolerance.
"""

import re
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from notebook_code import definitions


class Lesson(SimpleNamespace):
    """The notebook's functions by name."""

    def __repr__(self):
        return "the lesson"  # the names in full would bury what a failed test reports


@pytest.fixture(scope="module")
def lesson():
    return Lesson(**definitions("01_convolution_by_hand"))


class Setting(NamedTuple):
    """A convolution that has at least one place; `image` and `kernel` are (height, width)."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: int
    padding: int
    batch: int
    channels: int
    filters: int
    seed: int

    def batch_and_bank(self, dtype=np.float32):
        x = integers(self.seed, self.batch, *self.image, self.channels).astype(dtype)
        return x, integers(self.seed + 1, *self.kernel, self.channels, self.filters).astype(dtype)


SIDES, FEW, SEEDS = st.integers(1, 4), st.integers(1, 3), st.integers(0, 1000)


@st.composite
def settings(draw) -> Setting:
    kernel, padding = draw(st.tuples(SIDES, SIDES)), draw(st.integers(0, 2))
    image = tuple(draw(st.integers(max(1, side - 2 * padding), 7)) for side in kernel)
    return Setting(image, kernel, draw(FEW), padding, draw(FEW), draw(FEW), draw(FEW), draw(SEEDS))


def integers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 5, size=shape)


def largest_difference(ours: np.ndarray, theirs) -> float:
    """Relative to the largest of `theirs`, or to 1 when that is less."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())


def correlate(x, kernel, stride, padding):
    return signal.correlate2d(np.pad(x, padding), kernel, "valid")[::stride, ::stride]


def tensorflow_conv(tf, x, kernel, stride, padding):
    rings = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    return tf.nn.conv2d(tf.pad(x, rings), kernel, stride, "VALID")


# One image


@given(settings())
def test_conv2d_is_scipy_s_correlation(lesson, setting):
    x, kernel = integers(setting.seed, *setting.image), integers(setting.seed + 1, *setting.kernel)
    ours = lesson.conv2d(x, kernel, setting.stride, setting.padding)
    assert np.array_equal(ours, correlate(x, kernel, setting.stride, setting.padding))


@given(settings())
def test_conv2d_sums_over_the_channels(lesson, setting):
    (x, *_), bank = setting.batch_and_bank()
    kernel = bank[..., 0]
    by_channel = [
        correlate(x[..., channel], kernel[..., channel], setting.stride, setting.padding)
        for channel in range(setting.channels)
    ]
    assert np.array_equal(lesson.conv2d(x, kernel, setting.stride, setting.padding), sum(by_channel))


def test_conv2d_does_not_overflow_on_a_photograph(lesson):
    white, kernel = np.full((3, 3), 255, np.uint8), np.full((3, 3), 2, np.uint8)
    assert lesson.conv2d(white, kernel) == 9 * 255 * 2


def test_conv2d_leaves_its_input_alone(lesson):
    x, kernel = np.ones((4, 4)), np.ones((2, 2))
    lesson.conv2d(x, kernel, 2, 1)
    assert (x == 1).all()
    assert (kernel == 1).all()


IMAGE, KERNEL = np.ones((4, 4)), np.ones((2, 2))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((IMAGE, np.ones((5, 5))), "kernel: got 5×5, expected at most 4×4"),
        ((IMAGE, np.ones((7, 2)), 1, 1), "kernel: got 7×2, expected at most 6×6"),
        ((IMAGE, np.ones((2, 2, 3))), "kernel: got a 3-D array of shape (2, 2, 3), expected 2-D"),
        ((np.ones((4, 4, 3)), np.ones((2, 2, 1))), "kernel: got shape (2, 2, 1) with 1 channels"),
        ((IMAGE, KERNEL[0]), "kernel: got a 1-D array"),
        ((IMAGE, KERNEL, 0), "stride: got 0, expected an integer of at least 1"),
        ((IMAGE, KERNEL, 1.5), "stride: got 1.5, expected an integer of at least 1"),
        ((IMAGE, KERNEL, 1, -1), "padding: got -1, expected an integer of at least 0"),
        ((IMAGE[0], KERNEL), "x: got a 1-D array of shape (4,)"),
        ((np.full((4, 4), np.nan), KERNEL), "x: got an array with NaN"),
        ((np.zeros((0, 3)), KERNEL), "x: got an empty array of shape (0, 3)"),
        ((np.array([["a", "b"]]), KERNEL), "x: got ndarray of dtype <U1, expected numbers"),
        ((np.ones((2, 5, 5, 3)), np.ones((3, 3, 3, 4))), "x: got a 4-D array"),
    ],
)
def test_conv2d_names_the_bad_argument(lesson, arguments, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        lesson.conv2d(*arguments)


@given(a=st.tuples(SIDES, SIDES), b=st.tuples(SIDES, SIDES), seed=SEEDS)
def test_convolve_is_scipy_s_convolution(lesson, a, b, seed):
    a, b = integers(seed, *a), integers(seed + 1, *b)
    assert np.array_equal(lesson.convolve(a, b), signal.convolve2d(a, b))


@given(side=SIDES, dilation=FEW, extra=st.tuples(FEW, FEW), seed=SEEDS)
def test_dilate_is_keras_s_dilation(lesson, side, dilation, extra, seed):
    kernel = integers(seed, side, side).astype(np.float32)
    x = integers(seed + 1, *np.add(extra, (side - 1) * dilation)).astype(np.float32)
    theirs = lesson.keras_conv(x, kernel, dilation_rate=dilation)
    assert np.array_equal(lesson.conv2d(x, lesson.dilate(kernel, dilation)), theirs)


@given(setting=settings(), size=st.integers(1, 4), stride=st.integers(1, 4))
def test_pool_is_tensorflow_s_pooling(lesson, setting, size, stride):
    x = integers(setting.seed, *np.add(setting.image, size - 1), setting.channels).astype(np.float32)
    for reduce, theirs in ((np.max, lesson.tf.nn.max_pool2d), (np.mean, lesson.tf.nn.avg_pool2d)):
        expected = theirs(x[None], size, stride, "VALID")[0]
        assert largest_difference(lesson.pool(x, size, stride, reduce), expected) < 1e-6


# A batch and several filters


@given(settings())
def test_the_quick_ways_are_tensorflow_s_and_the_loops(lesson, setting):
    x, kernel = setting.batch_and_bank()
    how = setting.stride, setting.padding
    planned = lesson.plan_convolution(x.shape, kernel.shape, *how)
    theirs = tensorflow_conv(lesson.tf, x, kernel, *how)
    for ours in (
        lesson.conv_loops(x, kernel, *how),
        lesson.conv_windows(x, kernel, *how),
        lesson.conv_im2col(x, kernel, *how),
        planned(x, kernel),
    ):
        assert np.array_equal(ours, theirs)


@given(settings())
def test_conv_fft_is_the_same_up_to_rounding(lesson, setting):
    x, kernel = setting.batch_and_bank(np.float64)
    x = lesson.pad_batch(x, setting.padding)
    assert largest_difference(lesson.conv_fft(x, kernel), lesson.conv_im2col(x, kernel)) < 1e-10


@given(settings())
def test_a_plan_remembers_nothing_of_the_call_before(lesson, setting):
    x, kernel = setting.batch_and_bank()
    planned = lesson.plan_convolution(x.shape, kernel.shape, setting.stride, setting.padding)
    first = planned(x, kernel)
    kept = first.copy()
    doubled = planned(2 * x, kernel)
    assert np.shares_memory(doubled, first), "the memory is reserved once"
    assert np.array_equal(doubled, 2 * kept)
    assert np.array_equal(planned(x, kernel), kept)


@given(settings())
def test_conv_layer_adds_a_bias_to_every_map(lesson, setting):
    (x, *_), kernel = setting.batch_and_bank()
    x, bias = np.pad(x, [(4, 0), (4, 0), (0, 0)]), integers(setting.seed, setting.filters)
    theirs = tensorflow_conv(lesson.tf, x[None], kernel, 1, 0)[0]
    assert np.array_equal(lesson.conv_layer(x, kernel, bias), theirs + bias)


# Backwards


def test_numeric_gradient_of_a_known_function(lesson):
    x = np.array([[1.0, -2.0, 0.5]])
    gradient = lesson.numeric_gradient(lambda: (x**2).sum(), x)
    assert largest_difference(gradient, [[2, -4, 1]]) < 1e-9
    assert x.tolist() == [[1.0, -2.0, 0.5]], "each entry is put back"


@given(settings())
def test_conv_backward_agrees_with_central_differences(lesson, setting):
    rng = np.random.default_rng(setting.seed)
    x = rng.normal(size=(setting.batch, *setting.image, setting.channels))
    kernel = rng.normal(size=(*setting.kernel, setting.channels, setting.filters))
    how = setting.stride, setting.padding
    dy = rng.normal(size=lesson.conv_im2col(x, kernel, *how).shape)

    def loss():
        return (lesson.conv_im2col(x, kernel, *how) * dy).sum()

    for ours, argument in zip(lesson.conv_backward(x, kernel, dy, *how), (x, kernel), strict=True):
        assert largest_difference(ours, lesson.numeric_gradient(loss, argument)) < 1e-7


@given(settings())
def test_conv_backward_agrees_with_tensorflow(lesson, setting):
    tf, how = lesson.tf, (setting.stride, setting.padding)
    arrays = setting.batch_and_bank()
    with tf.GradientTape() as tape:
        x, kernel = (tf.Variable(array) for array in arrays)
        y = tensorflow_conv(tf, x, kernel, *how)
    dy = integers(setting.seed + 2, *y.shape).astype(np.float32)
    theirs = tape.gradient(y, (x, kernel), dy)
    for ours, expected in zip(lesson.conv_backward(*arrays, dy, *how), theirs, strict=True):
        assert ours.dtype == np.float32
        assert largest_difference(ours, expected) < 1e-5


def test_relative_error(lesson):
    assert lesson.relative_error(np.array([1.0, -4.0]), np.array([1.0, -5.0])) == 0.2


# Any number of axes


@given(sides=st.lists(st.tuples(SIDES, st.integers(0, 3)), min_size=1, max_size=3), seed=SEEDS)
def test_convolve_any_is_scipy_s_correlation(lesson, sides, seed):
    kernel = integers(seed, *(side for side, _ in sides))
    x = integers(seed + 1, *(side + more for side, more in sides))
    ours = lesson.convolve_any(x, kernel)
    assert np.array_equal(ours, signal.correlate(x, kernel, "valid", "direct"))
    # ndimage keeps the size of the image: only the places where the kernel lies inside are the same.
    inside = tuple(slice(side // 2, side // 2 + 1 + more) for side, more in sides)
    assert np.array_equal(ours, ndimage.correlate(x, kernel, mode="constant")[inside])
