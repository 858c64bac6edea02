"""The checkers accept every right answer, and tell the wrong ones apart by what is wrong with them."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from helpers.exercises import check

REPEATS = 20  # the inputs are random: a verdict has to be the same for all of them


def exercises() -> list[str]:
    with pytest.raises(ValueError) as raised:
        check("no such exercise", ...)
    return str(raised.value).partition("expected one of ")[2].split(", ")


def places(n, k, s=1, p=0):
    return (n + 2 * p - k) // s + 1


# Right answers, as different as students' are


def places_by_walking(n, k, s, p):
    return len(range(0, n + 2 * p - k + 1, s))


def count(height, width, channels, k, filters):
    return places(height, k) * places(width, k) * filters, (channels * k**2 + 1) * filters


def count_one_by_one(height, width, channels, k, filters):
    units = parameters = 0
    for _ in range(filters):
        units += len(range(height - k + 1)) * len(range(width - k + 1))
        parameters += np.ones((k, k, channels)).size + 1
    return units, parameters


def windows_of(x, size, stride):
    """(rows, columns, channels, *size)"""
    return sliding_window_view(x, size, axis=(0, 1))[::stride, ::stride]


def rings(x, padding):
    return np.pad(x, ((padding, padding), (padding, padding), (0, 0)))


def conv2d(x, kernel, bias, stride, padding):
    windows = windows_of(rings(x, padding), kernel.shape[:2], stride)
    return np.einsum("ijcuv,uvcf->ijf", windows, kernel) + bias


def conv2d_with_loops(x, kernel, bias, stride, padding):
    x = rings(x, padding)
    high, wide, _, filters = kernel.shape
    y = np.zeros((places(x.shape[0], high, stride), places(x.shape[1], wide, stride), filters))
    for i, j, f in np.ndindex(y.shape):
        window = x[i * stride : i * stride + high, j * stride : j * stride + wide]
        y[i, j, f] = np.sum(window * kernel[..., f]) + bias[f]
    return y


def conv2d_by_shifts(x, kernel, bias, stride, padding):
    x = rings(x, padding)
    high, wide = kernel.shape[:2]
    rows, columns = places(x.shape[0], high, stride), places(x.shape[1], wide, stride)
    y = bias
    for u, v in np.ndindex(high, wide):
        y = y + x[u : u + stride * rows : stride, v : v + stride * columns : stride] @ kernel[u, v]
    return y


def conv2d_as_matrix_product(x, kernel, bias, stride, padding):
    windows = windows_of(rings(x, padding), kernel.shape[:2], stride)
    weights = kernel.transpose(2, 0, 1, 3).reshape(-1, len(bias))
    return (windows.reshape(-1, len(weights)) @ weights).reshape(*windows.shape[:2], -1) + bias


def conv2d_in_float32(x, kernel, bias, stride, padding):
    x, kernel, bias = (array.astype(np.float32) for array in (x, kernel, bias))
    return conv2d(x, kernel, bias, stride, padding)


def max_pool_backward(x, dy, size):
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(dy.shape):
        window = x[i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[i * size + u, j * size + v, c] = dy[i, j, c]
    return dx


def enlarged(y, like, size):
    """Each value in all places of its window, zeros where no window fits."""
    result = np.zeros(like.shape)
    result[: y.shape[0] * size, : y.shape[1] * size] = y.repeat(size, axis=0).repeat(size, axis=1)
    return result


def maxima(x, size):
    return windows_of(x, (size, size), size).max(axis=(-2, -1))


def max_pool_backward_by_comparing(x, dy, size):
    return np.where(x == enlarged(maxima(x, size), x, size), enlarged(dy, x, size), 0)


def max_pool_backward_in_place(x, dy, size):
    dy *= 2
    return max_pool_backward(x, dy, size)


def conv1d_backward(x, w, dy):
    return np.convolve(dy, w), np.correlate(x, dy)


def conv1d_backward_with_loops(x, w, dy):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t, tau in np.ndindex(len(dy), len(w)):
        dx[t + tau] += dy[t] * w[tau]
        dw[tau] += dy[t] * x[t + tau]
    return dx, dw


def conv1d_backward_with_matrices(x, w, dy):
    weights = np.array([np.r_[np.zeros(t), w, np.zeros(len(x) - len(w) - t)] for t in range(len(dy))])
    return weights.T @ dy, sliding_window_view(x, len(w)).T @ dy


PUZZLE = np.array([[32, 28, 19, 19], [0, 0, 18, 0], [20, 20, 27, 27], [4, 0, 10, 0]])

RIGHT = {
    "output_size": [places, places_by_walking, lambda n, k, s, p: np.floor((n + 2 * p - k) / s) + 1],
    "count": [count, count_one_by_one],
    "conv2d": [
        conv2d,
        conv2d_with_loops,
        conv2d_by_shifts,
        conv2d_as_matrix_product,
        conv2d_in_float32,
    ],
    "pooling_puzzle": [
        PUZZLE,
        PUZZLE.tolist(),
        [[-9, 32, 19, 19], [32, 5, 19, -1], [11, 11, 16, 10], [2, 20, 27, 11.0]],
    ],
    "max_pool_backward": [
        max_pool_backward,
        max_pool_backward_by_comparing,
        lambda x, dy, size: max_pool_backward(x, dy, size).tolist(),
    ],
    "conv1d_backward": [conv1d_backward, conv1d_backward_with_loops, conv1d_backward_with_matrices],
}

# Wrong answers, each below the words that tell it from all others


def crooked(array, row, column, value):
    changed = np.array(array, dtype=float)
    changed[row, column] = value
    return changed


def conv2d_in_place(x, kernel, bias, stride, padding):
    kernel[:] = kernel[::-1, ::-1]
    return conv2d(x, kernel, bias, stride, padding)


def conv2d_into_integers(x, kernel, bias, stride, padding):
    y = np.zeros(conv2d(x, kernel, bias, stride, padding).shape, dtype=int)
    y[:] = conv2d(x, kernel, bias, stride, padding)
    return y


def conv2d_without_last(**arguments):
    y = conv2d(**arguments)
    y[-1, -1] = np.nan
    return y


def conv2d_on_one_side(x, kernel, bias, stride, padding):
    return conv2d(np.pad(x, ((padding, 0), (padding, 0), (0, 0))), kernel, bias, stride, 0)


def top_left(y, like):
    return y[: like.shape[0], : like.shape[1]]


def conv1d_backward_overwriting(x, w, dy):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t, tau in np.ndindex(len(dy), len(w)):
        dx[t + tau] = dy[t] * w[tau]
        dw[tau] = dy[t] * x[t + tau]
    return dx, dw


def conv1d_backward_in_place(x, w, dy):
    dy *= 2
    return conv1d_backward(x, w, dy)


WRONG = {
    "output_size": {
        "you return 3.5: a feature map cannot have half a row": lambda n, k, s, p: (n + 2 * p - k) / s + 1,
        "One too few": lambda n, k, s, p: (n + 2 * p - k) // s,
        "You round up": lambda n, k, s, p: int(np.ceil((n + 2 * p - k) / s)) + 1,
        "You count the padding once": lambda n, k, s, p: (n + p - k) // s + 1,
        "The padding has no effect": lambda n, k, s, p: (n - k) // s + 1,
        "The stride has no effect": lambda n, k, s, p: n + 2 * p - k + 1,
        "p=0 you return 8, where 3 is asked for": lambda n, k, s, p: n,
        "it raises ZeroDivisionError": lambda n, k, s, p: n // p,
        "is the return missing?": lambda n, k, s, p: print(end=""),
        "it returns a tuple, where one number is asked for": lambda n, k, s, p: (places(n, k, s, p),) * 2,
        "it returns an array of shape (1,), where one": lambda n, k, s, p: np.array([places(n, k, s, p)]),
        "the result holds NaN": lambda n, k, s, p: np.float64("nan"),
        "Write a function; this is 3.": 3,
    },
    "count": {
        "in the wrong order": lambda **c: count(**c)[::-1],
        "The biases are missing": lambda **c: (count(**c)[0], count(**c)[1] - c["filters"]),
        "You count a bias for each unit": lambda **c: (count(**c)[0], sum(count(**c)) - c["filters"]),
        "a k×k slice for every input channel": lambda **c: (count(**c)[0], count(**{**c, "channels": 1})[1]),
        "count the units of all of them": lambda **c: (count(**{**c, "filters": 1})[0], count(**c)[1]),
        "the map is smaller": lambda **c: (c["height"] * c["width"] * c["filters"], count(**c)[1]),
        "one filter's parameters": lambda **c: (count(**c)[0], count(**{**c, "filters": 1})[1]),
        "one bias for the whole layer": lambda **c: (count(**c)[0], count(**c)[1] - c["filters"] + 1),
        "count the first place too": lambda **c: (
            (c["height"] - c["k"]) * (c["width"] - c["k"]) * c["filters"],
            count(**c)[1],
        ),
        "In value 2 of 2: ": lambda **c: (count(**c)[0], count(**c)[1] + 7),
        "returns 160, where 2 values are asked for": lambda **c: count(**c)[0],
        "it raises KeyError": lambda **c: c["stride"],
        "is the return missing?": lambda **c: print(end=""),
        "Write a function; this is a tuple": (160, 760),
    },
    "conv2d": {
        "The kernel is flipped": lambda kernel, **c: conv2d(kernel=kernel[::-1, ::-1], **c),
        "The kernel's height and width are swapped": lambda kernel, **c: conv2d(
            kernel=kernel.transpose(1, 0, 2, 3), **c
        ),
        "The output's height and width are swapped": lambda **c: conv2d(**c).transpose(1, 0, 2),
        "The bias is missing": lambda bias, **c: conv2d(bias=0 * bias, **c),
        "The bias is subtracted": lambda bias, **c: conv2d(bias=-bias, **c),
        "The stride is one too large": lambda stride, **c: conv2d(stride=stride + 1, **c),
        "The stride has no effect": lambda stride, **c: conv2d(stride=1, **c),
        "the windows lie one pixel apart": lambda stride, **c: top_left(
            conv2d(stride=1, **c), conv2d(stride=stride, **c)
        ),
        "The padding has no effect": lambda padding, **c: conv2d(padding=0, **c),
        "the padded image has more of them": lambda padding, **c: top_left(
            conv2d(padding=padding, **c), conv2d(padding=0, **c)
        ),
        "The padding is on one side only": conv2d_on_one_side,
        "The last row and column are missing": lambda **c: conv2d(**c)[:-1, :-1],
        "Only the first input channel is used": lambda x, kernel, **c: conv2d(
            x=x[..., :1], kernel=kernel[:, :, :1], **c
        ),
        "Values are cut to integers": conv2d_into_integers,
        "the result has shape (4, 7, 10), where (7, 10, 4)": lambda **c: conv2d(**c).transpose(2, 0, 1),
        "It changes its input kernel": conv2d_in_place,
        "the result holds NaN": conv2d_without_last,
        "of the values differ, first at [0, 0, 0]": lambda **c: conv2d(**c) ** 2,
        "it raises IndexError": lambda x, **c: x[100],
        "is the return missing?": lambda **c: print(end=""),
        "it returns 'same', where numbers": lambda **c: "same",
        "Write a function; this is an array of shape (7, 10, 4)": np.zeros((7, 10, 4)),
    },
    "pooling_puzzle": {
        "Rows and columns are swapped": PUZZLE.T,
        "Each row holds the four values of a block": [
            [32, 28, 0, 0],
            [19, 19, 18, 0],
            [20, 20, 4, 0],
            [27, 27, 10, 0],
        ],
        "this has shape (2, 2)": [[32, 19], [20, 27]],
        "this has shape ()": 5,
        "The block at [0, 1] has maximum 21; it has to be 19": crooked(PUZZLE, 0, 3, 21),
        "The block at [1, 0] has maximum 30; it has to be 20": crooked(PUZZLE, 3, 1, 30),
        "The block at [0, 0] sums to 65; an average of 15 needs 60": crooked(PUZZLE, 1, 1, 5),
        "The block at [1, 1] sums to 54; an average of 16 needs 64": crooked(PUZZLE, 3, 2, 0),
        "finite number": crooked(PUZZLE, 0, 1, np.nan),
        "something in it is not a number": [["a"] * 4] * 4,
    },
    "max_pool_backward": {
        "spread evenly": lambda x, dy, size: enlarged(dy, x, size) / size**2,
        "All inputs of a window": lambda x, dy, size: enlarged(dy, x, size),
        "the smallest input": lambda x, dy, size: max_pool_backward(-x, dy, size),
        "the same corner": lambda x, dy, size: max_pool_backward(0 * x, dy, size),
        "they get the maxima": lambda x, dy, size: max_pool_backward(x, maxima(x, size), size),
        "they get 1": lambda x, dy, size: max_pool_backward(x, np.ones(dy.shape), size),
        "the sign is wrong": lambda x, dy, size: -max_pool_backward(x, dy, size),
        "Only the first channel": lambda x, dy, size: max_pool_backward(x[..., [0, 0, 0]], dy, size),
        "the result has shape (2, 3, 3), where (4, 6, 3)": lambda x, dy, size: dy,
        "of the values differ, first at": lambda **c: max_pool_backward(**c) + 1,
        "It changes its input dy": max_pool_backward_in_place,
        "the result holds NaN": lambda **c: max_pool_backward(**c) + np.nan,
        "it raises TypeError": lambda x, dy, size: max_pool_backward(x, dy, size / 1),
        "Keep the parameters' names: x, dy, size": lambda x, dy, k: max_pool_backward(x, dy, k),
        "is the return missing?": lambda **c: print(end=""),
    },
    "conv1d_backward": {
        "in the wrong order": lambda **c: conv1d_backward(**c)[::-1],
        "In dL/dx the kernel runs the wrong way": lambda x, w, dy: (
            np.correlate(dy, w, "full"),
            np.correlate(x, dy),
        ),
        "dL/dw comes out back to front": lambda x, w, dy: (np.convolve(dy, w), np.correlate(dy, x)),
        "dL/dw is a mean": lambda x, w, dy: (np.convolve(dy, w), np.correlate(x, dy) / len(dy)),
        "dL/dx has only the places where the kernel fits inside dy": lambda x, w, dy: (
            np.convolve(dy, w, "valid"),
            np.correlate(x, dy),
        ),
        "In dL/dw, dy is flipped": lambda x, w, dy: (np.convolve(dy, w), np.convolve(x, dy, "valid")),
        "In dL/dx each contribution replaces": lambda **c: (
            conv1d_backward_overwriting(**c)[0],
            conv1d_backward(**c)[1],
        ),
        "In dL/dw each contribution replaces": lambda **c: (
            conv1d_backward(**c)[0],
            conv1d_backward_overwriting(**c)[1],
        ),
        "In both gradients each contribution replaces": conv1d_backward_overwriting,
        "Both have the wrong sign": lambda **c: tuple(-gradient for gradient in conv1d_backward(**c)),
        "returns an array of shape (7,), where 2 values": lambda x, w, dy: np.convolve(dy, w),
        "In value 2 of 2: For x of shape (7,), w of shape (3,), dy of shape (5,) the result has shape (7,)": (
            lambda x, w, dy: (np.convolve(dy, w), np.correlate(x, dy, "same"))
        ),
        "of the values differ, first at": lambda x, w, dy: (np.convolve(dy, w) ** 2, np.correlate(x, dy)),
        "the result holds NaN": lambda x, w, dy: (np.convolve(dy, w) + np.nan, np.correlate(x, dy)),
        "It changes its input dy": conv1d_backward_in_place,
        "it raises ValueError": lambda x, w, dy: (dy * w, dy * x),
        "is the return missing?": lambda **c: print(end=""),
    },
}

# The right result of a checker's first case, and others that a student might type in
CONSTANTS = {
    "output_size": [0, 1, 3, 4, 3.0, True],
    "count": [(160, 760), (0, 0), (16, 26)],
    "conv2d": [0, np.zeros((7, 10, 4)), np.ones((9, 12, 4)), []],
    "max_pool_backward": [0, np.zeros((4, 6, 3)), -np.ones((4, 6, 3))],
    "conv1d_backward": [0, (0, 0), (np.zeros(7), np.zeros(3)), ()],
    "pooling_puzzle": [0, 15, np.zeros((4, 4)), np.full((4, 4), 15), [[32, 19, 20, 27]] * 4],
}


def stub(*arguments, **named): ...


def stub_with_docstring(x):
    """What it is to return."""
    ...


def stub_with_docstring_only(x):
    """What it is to return."""


def stub_with_pass(x):
    pass


def cases(table: dict) -> list:
    """One parameter set for each exercise and answer of a table."""
    return [
        pytest.param(exercise, answer, id=f"{exercise}-{index}")
        for exercise, answers in table.items()
        for index, answer in enumerate(answers)
    ]


@pytest.mark.parametrize("exercise, answer", cases(RIGHT))
def test_a_right_answer_is_correct_every_time(exercise, answer):
    for _ in range(REPEATS):
        verdict = check(exercise, answer)
        assert (verdict.status, verdict.diagnosis) == ("correct", "")


@pytest.mark.parametrize(
    "exercise, expected, answer",
    [
        pytest.param(exercise, expected, answer, id=f"{exercise}-{expected}")
        for exercise, answers in WRONG.items()
        for expected, answer in answers.items()
    ],
)
def test_a_wrong_answer_gets_its_diagnosis_every_time(exercise, expected, answer):
    for _ in range(REPEATS):
        verdict = check(exercise, answer)
        assert verdict.status == "not yet"
        assert expected in verdict.diagnosis


@pytest.mark.parametrize("exercise", WRONG)
def test_diagnoses_tell_answers_apart(exercise):
    expected = WRONG[exercise].keys()
    for own, answer in WRONG[exercise].items():
        diagnosis = check(exercise, answer).diagnosis
        assert [words for words in expected if words in diagnosis] == [own]


@pytest.mark.parametrize("exercise, constant", cases(CONSTANTS))
def test_a_constant_never_passes(exercise, constant):
    def answer(**arguments):
        return constant

    for _ in range(REPEATS):
        assert check(exercise, constant if exercise == "pooling_puzzle" else answer).status == "not yet"


@pytest.mark.parametrize("exercise", exercises())
@pytest.mark.parametrize(
    "answer",
    [
        ...,
        None,
        stub,
        stub_with_pass,
        stub_with_docstring,
        stub_with_docstring_only,
    ],
)
def test_what_nobody_has_touched_is_not_attempted(exercise, answer):
    assert repr(check(exercise, answer)) == f"Exercise {exercise}: not attempted yet"


def test_every_exercise_has_wrong_answers():
    registered = set(exercises())
    assert registered == set(RIGHT) == set(WRONG) == set(CONSTANTS)
    few = [exercise for exercise in registered if len(WRONG[exercise]) < 5]
    assert not few, "at least five wrong answers each"


def test_a_verdict_is_one_sentence():
    assert repr(check("output_size", places)) == "Exercise output_size: correct"
    assert repr(check("output_size", 3)) == "Exercise output_size: not yet. Write a function; this is 3."


@pytest.mark.parametrize("exercise", ["conv2D", "", "5", None])
def test_an_unknown_exercise_is_refused(exercise):
    with pytest.raises(ValueError) as raised:
        check(exercise, ...)
    assert str(raised.value).startswith(f"exercise: got {exercise!r}, expected one of output_size, count, ")


def test_text_is_no_number():
    assert check("output_size", lambda n, k, s, p: str(places(n, k, s, p))).status == "not yet"


def test_a_pair_may_be_a_list():
    assert check("count", lambda **c: list(count(**c))).status == "correct"
