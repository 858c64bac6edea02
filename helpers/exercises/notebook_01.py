"""The exercises of notebook 01, convolution by hand: each checker is named like its exercise."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .engine import Mistake, exercise, in_either, judge, numbers


@exercise
def output_size(answer) -> None:
    rng = np.random.default_rng()
    cases = [{"n": 8, "k": 3, "s": 2, "p": 0}, {"n": 7, "k": 3, "s": 2, "p": 1}]
    for _ in range(30):
        k, s, p = rng.integers((2, 2, 1), (8, 5, 4)).tolist()
        cases.append({"n": int(rng.integers(k, 40)), "k": k, "s": s, "p": p})

    def outcomes(n, k, s, p):
        way = n + 2 * p - k  # from the kernel's first place to its last
        return {
            "": way // s + 1,
            "For n=8, k=3, s=2 you return 3.5: a feature map cannot have half a row. Where does the kernel go when "
            "the stride does not fit?": way / s + 1,
            "One too few: the kernel has a place before it takes its first step.": way // s,
            "You round up: at the last place the kernel would hang over the edge.": -(-way // s) + 1,
            "You count the padding once; there is a ring, so it is on both sides.": (way - p) // s + 1,
            "The padding has no effect on your result.": (n - k) // s + 1,
            "The stride has no effect on your result.": way + 1,
        }

    judge(answer, outcomes, cases)


@exercise
def count(answer) -> None:
    rng = np.random.default_rng()
    names = "height", "width", "channels", "k", "filters"
    drawn = rng.integers((8, 8, 2, 2, 2), (40, 40, 9, 7, 20), size=(20, 5)).tolist()
    cases = [dict(zip(names, values, strict=True)) for values in ([8, 8, 3, 5, 10], *drawn)]

    def outcomes(height, width, channels, k, filters):
        places, weights = (height - k + 1) * (width - k + 1), k * k * channels
        units, parameters = places * filters, (weights + 1) * filters
        wrong_units = {
            "A row and a column of units are missing: count the first place too.": (height - k) * (width - k) * filters,
            "Each filter makes a map of its own: count the units of all of them.": places,
            "Without padding the map is smaller than the image.": height * width * filters,
        }
        wrong_parameters = {
            "The biases are missing from the parameters: one for each filter.": weights * filters,
            "You count a bias for each unit; a filter's units share theirs.": weights * filters + units,
            "A filter has a k×k slice for every input channel.": (k * k + 1) * filters,
            "This is one filter's parameters: there are as many such sets as filters.": weights + 1,
            "You count one bias for the whole layer; each filter has its own.": weights * filters + 1,
        }
        said = "The units are right.", "The parameters are right."
        return {
            "": (units, parameters),
            "The two numbers are in the wrong order: units first, then parameters.": (parameters, units),
        } | in_either((units, parameters), wrong_units, wrong_parameters, said)

    judge(answer, outcomes, cases)


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

    def outcomes(x, kernel, bias, stride, padding):
        def layer(x=x, kernel=kernel, bias=bias, stride=stride, padding=padding):
            x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
            windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
            return np.einsum("ijcuv,uvcf->ijf", windows, kernel) + bias

        y, one_apart, unpadded = layer(), layer(stride=1), layer(padding=0)
        return {
            "": y,
            "The kernel is flipped: this is a convolution in the mathematician's sense. A layer does not flip.": (
                layer(kernel=kernel[::-1, ::-1])
            ),
            "The kernel's height and width are swapped.": layer(kernel=kernel.swapaxes(0, 1)),
            "The output's height and width are swapped.": y.swapaxes(0, 1),
            "The bias is missing.": y - bias,
            "The bias is subtracted.": y - 2 * bias,
            "The stride is one too large.": layer(stride=stride + 1),
            "The stride has no effect: the kernel moves one pixel at a time.": one_apart,
            "The shape is right, but the windows lie one pixel apart: where does the stride enter their place?": (
                one_apart[: y.shape[0], : y.shape[1]]
            ),
            "The padding has no effect.": unpadded,
            "Places are missing below and on the right: the padded image has more of them.": (
                y[: unpadded.shape[0], : unpadded.shape[1]]
            ),
            "The padding is on one side only: rings of zeros go all around.": (
                layer(np.pad(x, ((padding, 0), (padding, 0), (0, 0))), padding=0)
            ),
            "The last row and column are missing: how many places does the kernel have?": y[:-1, :-1],
            "Only the first input channel is used: the sum goes over all of them.": (
                layer(x[..., :1], kernel[:, :, :1])
            ),
            "Values are cut to integers: make the output an array of floats.": np.trunc(y),
        }

    judge(answer, outcomes, cases)


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
    if fits(blocks(array).reshape(4, 4)):
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


@exercise
def max_pool_backward(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for height, width, size in ((4, 6, 2), (7, 9, 2), (9, 6, 3)):
        x = rng.normal(size=(height, width, 3)) - 1  # mostly negative: a maximum that starts at 0 shows
        cases.append({"x": x, "dy": rng.normal(size=(height // size, width // size, 3)), "size": size})

    def outcomes(x, dy, size):
        def to_largest(x=x, dy=dy):
            dx = np.zeros(x.shape)
            for i, j, c in np.ndindex(dy.shape):
                window = np.s_[i * size : (i + 1) * size, j * size : (j + 1) * size, c]
                dx[window].flat[x[window].argmax()] = dy[i, j, c]
            return dx

        dx = to_largest()
        everywhere, (rows, columns, channels) = np.zeros(x.shape), dy.shape
        everywhere[: rows * size, : columns * size] = dy.repeat(size, axis=0).repeat(size, axis=1)
        return {
            "": dx,
            "The gradient is spread evenly: so it is in average pooling. Here only the largest input matters.": (
                everywhere / size**2
            ),
            "All inputs of a window get its gradient: only the largest one changes the output.": everywhere,
            "The gradient goes to the smallest input of each window.": to_largest(-x),
            "The gradient goes to the same corner of every window: find the place of the maximum.": to_largest(0 * x),
            "The places are right, but they get the maxima themselves: they should get dy.": np.where(dx != 0, x, 0),
            "The places are right, but they get 1: that is the slope; the chain rule multiplies it by dy.": (
                to_largest(dy=np.ones(dy.shape))
            ),
            "The places are right, the sign is wrong: this is a gradient, not yet a step downhill.": -dx,
            "Only the first channel is right: each channel has maxima of its own.": (
                to_largest(x[..., :1].repeat(channels, axis=2))
            ),
        }

    judge(answer, outcomes, cases)


@exercise
def conv1d_backward(answer) -> None:
    rng = np.random.default_rng()
    cases = [
        {"x": rng.normal(size=n), "w": rng.normal(size=k), "dy": rng.normal(size=n - k + 1)}
        for n, k in ((7, 3), (9, 4), (12, 2), (8, 5))
    ]

    def outcomes(x, w, dy):
        dx, dw = np.convolve(dy, w), np.correlate(x, dy)
        # What is left when dx[t + τ] = dy[t] * w[τ] overwrites, t running outside
        last = np.minimum(np.arange(len(x)), len(dy) - 1)
        last_dx, last_dw = dy[last] * w[np.arange(len(x)) - last], dy[-1] * x[len(dy) - 1 :]
        wrong_dx = {
            "In dL/dx the kernel runs the wrong way: x[t + τ] meets w[τ], so dy[t − τ] does.": (
                np.convolve(dy, w[::-1])
            ),
            "dL/dx has only the places where the kernel fits inside dy: pad dy with zeros.": (
                np.convolve(dy, w, "valid")
            ),
            "In dL/dx each contribution replaces the one before: add them up (+=).": last_dx,
        }
        wrong_dw = {
            "dL/dw comes out back to front.": dw[::-1],
            "dL/dw is a mean: a shared weight gets the sum over all places where it was used.": dw / len(dy),
            "In dL/dw, dy is flipped: w[τ] met x[t + τ], so add up dy[t] x[t + τ].": np.convolve(x, dy, "valid"),
            "In dL/dw each contribution replaces the one before: add them up (+=).": last_dw,
        }
        return {
            "": (dx, dw),
            "The two gradients are in the wrong order: dL/dx first, then dL/dw.": (dw, dx),
            "In both gradients each contribution replaces the one before: add them up (+=).": (last_dx, last_dw),
            "Both have the wrong sign: this is a gradient, not yet a step downhill.": (-dx, -dw),
        } | in_either((dx, dw), wrong_dx, wrong_dw, ("dL/dx is right.", "dL/dw is right."))

    judge(answer, outcomes, cases)
