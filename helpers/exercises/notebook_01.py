"""The exercises of notebook 01, convolution by hand: each checker is named like its exercise."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .engine import Mistake, compare, exercise, first_wrong, numbers, second_wrong


@exercise
def output_size(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"n": 8, "k": 3, "s": 2, "p": 0}, {"n": 7, "k": 3, "s": 2, "p": 1}]
    for _ in range(30):
        k, s, p = (int(value) for value in rng.integers((2, 2, 1), (8, 5, 4)))
        cases.append({"n": int(rng.integers(k, 40)), "k": k, "s": s, "p": p})
    compare(
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


@exercise
def count(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"height": 8, "width": 8, "channels": 3, "k": 5, "filters": 10}]
    for _ in range(20):
        height, width, channels, k, filters = (int(v) for v in rng.integers((8, 8, 2, 2, 2), (40, 40, 9, 7, 20)))
        cases.append({"height": height, "width": width, "channels": channels, "k": k, "filters": filters})

    def right(height, width, channels, k, filters):
        return (height - k + 1) * (width - k + 1) * filters, (k * k * channels + 1) * filters

    def wrong_units(mistake):
        return first_wrong(right, mistake)

    def wrong_parameters(mistake):
        return second_wrong(right, mistake)

    compare(
        answer,
        right,
        cases,
        {
            "The two numbers are in the wrong order: units first, then parameters.": lambda **c: right(**c)[::-1],
            "The units are right. The biases are missing from the parameters: one for each filter.": wrong_parameters(
                lambda height, width, channels, k, filters: k * k * channels * filters
            ),
            "The units are right. You count a bias for each unit; a filter's units share theirs.": wrong_parameters(
                lambda height, width, channels, k, filters: (
                    (k * k * channels + (height - k + 1) * (width - k + 1)) * filters
                )
            ),
            "The units are right. A filter has a k×k slice for every input channel.": wrong_parameters(
                lambda height, width, channels, k, filters: (k * k + 1) * filters
            ),
            "The units are right. This is one filter's parameters: there are as many such sets as filters.": (
                wrong_parameters(lambda height, width, channels, k, filters: k * k * channels + 1)
            ),
            "The units are right. You count one bias for the whole layer; each filter has its own.": wrong_parameters(
                lambda height, width, channels, k, filters: k * k * channels * filters + 1
            ),
            "The parameters are right. A row and a column of units are missing: count the first place too.": (
                wrong_units(lambda height, width, channels, k, filters: (height - k) * (width - k) * filters)
            ),
            "The parameters are right. Each filter makes a map of its own: count the units of all of them.": (
                wrong_units(lambda height, width, channels, k, filters: (height - k + 1) * (width - k + 1))
            ),
            "The parameters are right. Without padding the map is smaller than the image.": wrong_units(
                lambda height, width, channels, k, filters: height * width * filters
            ),
        },
    )


def _conv2d(x, kernel, bias, stride, padding):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijcuv,uvcf->ijf", windows, kernel) + bias


def _top_left(y, like):
    return y[: like.shape[0], : like.shape[1]]


@exercise
def conv2d(answer) -> None:
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

    compare(
        answer,
        _conv2d,
        cases,
        {
            "The kernel is flipped: this is a convolution in the mathematician's sense. A layer does not flip.": (
                changed(kernel=lambda c: c["kernel"][::-1, ::-1])
            ),
            "The kernel's height and width are swapped.": changed(kernel=lambda c: c["kernel"].swapaxes(0, 1)),
            "The output's height and width are swapped.": lambda **c: _conv2d(**c).swapaxes(0, 1),
            "The bias is missing.": changed(bias=lambda c: 0),
            "The bias is subtracted.": changed(bias=lambda c: -c["bias"]),
            "The stride is one too large.": changed(stride=lambda c: c["stride"] + 1),
            "The stride has no effect: the kernel moves one pixel at a time.": changed(stride=lambda c: 1),
            "The shape is right, but the windows lie one pixel apart: where does the stride enter their place?": (
                lambda **c: _top_left(changed(stride=lambda c: 1)(**c), _conv2d(**c))
            ),
            "The padding has no effect.": changed(padding=lambda c: 0),
            "Places are missing below and on the right: the padded image has more of them.": (
                lambda **c: _top_left(_conv2d(**c), changed(padding=lambda c: 0)(**c))
            ),
            "The padding is on one side only: rings of zeros go all around.": (
                lambda x, kernel, bias, stride, padding: _conv2d(
                    np.pad(x, ((padding, 0), (padding, 0), (0, 0))), kernel, bias, stride, 0
                )
            ),
            "The last row and column are missing: how many places does the kernel have?": (
                lambda **c: _conv2d(**c)[:-1, :-1]
            ),
            "Only the first input channel is used: the sum goes over all of them.": (
                lambda x, kernel, bias, stride, padding: _conv2d(x[..., :1], kernel[:, :, :1], bias, stride, padding)
            ),
            "Values are cut to integers: make the output an array of floats.": lambda **c: np.trunc(_conv2d(**c)),
        },
    )


@exercise
def pooling_puzzle(answer) -> None:
    maximum, average = np.array([[32, 19], [20, 27]]), np.array([[15, 14], [11, 16]])
    array = numbers(answer)
    if array is None:
        raise Mistake("Write a 4×4 list or array of numbers; something in it is not a number.")
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


def _max_pool_backward(x, dy, size, pick=np.argmax, give=lambda x, dy: dy):
    """Each window's `give` goes to the place that `pick` finds in it."""
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(dy.shape):
        window = np.s_[i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        place = pick(x[window])
        dx[window].flat[place] = give(x[window].flat[place], dy[i, j, c])
    return dx


@exercise
def max_pool_backward(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for height, width, size in ((4, 6, 2), (7, 9, 2), (9, 6, 3)):
        x = rng.normal(size=(height, width, 3)) - 1  # mostly negative: a maximum that starts at 0 shows
        cases.append({"x": x, "dy": rng.normal(size=(height // size, width // size, 3)), "size": size})

    def everywhere(x, dy, size):
        rows, columns = (n // size * size for n in x.shape[:2])
        dx = np.zeros(x.shape)
        dx[:rows, :columns] = dy.repeat(size, axis=0).repeat(size, axis=1)
        return dx

    compare(
        answer,
        _max_pool_backward,
        cases,
        {
            "The gradient is spread evenly: so it is in average pooling. Here only the largest input matters.": (
                lambda x, dy, size: everywhere(x, dy, size) / size**2
            ),
            "All inputs of a window get its gradient: only the largest one changes the output.": everywhere,
            "The gradient goes to the smallest input of each window.": (
                lambda x, dy, size: _max_pool_backward(x, dy, size, pick=np.argmin)
            ),
            "The gradient goes to the same corner of every window: find the place of the maximum.": (
                lambda x, dy, size: _max_pool_backward(x, dy, size, pick=lambda window: 0)
            ),
            "The places are right, but they get the maxima themselves: they should get dy.": (
                lambda x, dy, size: _max_pool_backward(x, dy, size, give=lambda x, dy: x)
            ),
            "The places are right, but they get 1: that is the slope; the chain rule multiplies it by dy.": (
                lambda x, dy, size: _max_pool_backward(x, dy, size, give=lambda x, dy: 1)
            ),
            "The places are right, the sign is wrong: this is a gradient, not yet a step downhill.": (
                lambda x, dy, size: -_max_pool_backward(x, dy, size)
            ),
            "Only the first channel is right: each channel has maxima of its own.": lambda x, dy, size: (
                _max_pool_backward(np.repeat(x[..., :1], 3, axis=2), dy, size)
            ),
        },
    )


@exercise
def conv1d_backward(answer) -> None:
    rng = np.random.default_rng()
    cases = [
        {"x": rng.normal(size=n), "w": rng.normal(size=k), "dy": rng.normal(size=n - k + 1)}
        for n, k in ((7, 3), (9, 4), (12, 2), (8, 5))
    ]

    def right(x, w, dy):
        return np.convolve(dy, w), np.correlate(x, dy)

    def last_dx(x, w, dy):
        """What is left when dx[t + τ] = dy[t] * w[τ] overwrites, t running outside."""
        last = np.minimum(np.arange(len(x)), len(dy) - 1)
        return dy[last] * w[np.arange(len(x)) - last]

    def last_dw(x, w, dy):
        return dy[-1] * x[len(dy) - 1 :]

    def wrong_dx(mistake):
        return first_wrong(right, mistake)

    def wrong_dw(mistake):
        return second_wrong(right, mistake)

    compare(
        answer,
        right,
        cases,
        {
            "The two gradients are in the wrong order: dL/dx first, then dL/dw.": lambda **c: right(**c)[::-1],
            "dL/dw is right. In dL/dx the kernel runs the wrong way: x[t + τ] meets w[τ], so dy[t − τ] does.": wrong_dx(
                lambda x, w, dy: np.convolve(dy, w[::-1])
            ),
            "dL/dx is right. dL/dw comes out back to front.": wrong_dw(lambda x, w, dy: np.correlate(x, dy)[::-1]),
            "dL/dx is right. dL/dw is a mean: a shared weight gets the sum over all places where it was used.": (
                wrong_dw(lambda x, w, dy: np.correlate(x, dy) / len(dy))
            ),
            "dL/dw is right. dL/dx has only the places where the kernel fits inside dy: pad dy with zeros.": wrong_dx(
                lambda x, w, dy: np.convolve(dy, w, "valid")
            ),
            "dL/dx is right. In dL/dw, dy is flipped: w[τ] met x[t + τ], so add up dy[t] x[t + τ].": wrong_dw(
                lambda x, w, dy: np.convolve(x, dy, "valid")
            ),
            "dL/dw is right. In dL/dx each contribution replaces the one before: add them up (+=).": wrong_dx(last_dx),
            "dL/dx is right. In dL/dw each contribution replaces the one before: add them up (+=).": wrong_dw(last_dw),
            "In both gradients each contribution replaces the one before: add them up (+=).": lambda **c: (
                last_dx(**c),
                last_dw(**c),
            ),
            "Both have the wrong sign: this is a gradient, not yet a step downhill.": lambda **c: tuple(
                -gradient for gradient in right(**c)
            ),
        },
    )
