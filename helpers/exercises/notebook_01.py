"""The exercises of notebook 01, convolution by hand."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .engine import Exercise, Mistake, numbers


def output_size(n, k, s, p, *, ends=2, divide=lambda way, s: way // s, first=1):
    return divide(n + ends * p - k, s) + first


def _sizes(rng):
    k, s, p = rng.integers((2, 2, 1), (8, 5, 4)).tolist()
    return {"n": int(rng.integers(k, 40)), "k": k, "s": s, "p": p}


Exercise(
    "output_size",
    right=output_size,
    draw=_sizes,
    mistakes={
        "For n=8, k=3, s=2 you return 3.5: a feature map cannot have half a row. Where does the kernel go when the "
        "stride does not fit?": dict(divide=lambda way, s: way / s),
        "One too few: the kernel has a place before it takes its first step.": dict(first=0),
        "You round up: at the last place the kernel would hang over the edge.": dict(
            divide=lambda way, s: -(-way // s)
        ),
        "You count the padding once; there is a ring, so it is on both sides.": dict(ends=1),
        "The padding has no effect on your result.": dict(ends=0),
        "The stride has no effect on your result.": lambda **c: output_size(**c | {"s": 1}),
    },
    also=[("With stride 1 and no padding:", {"n": 7, "k": 3, "s": 1, "p": 0})],
)


def count(height, width, channels, k, filters, *, seen=lambda side, k: side - k + 1, square=True, biases=None):
    weights = (k * k if square else k) * channels
    units = seen(height, k) * seen(width, k) * filters
    return units, weights * filters + (filters if biases is None else biases(units, filters))


def _layer(rng):
    names = "height", "width", "channels", "k", "filters"
    return dict(zip(names, rng.integers((8, 8, 2, 2, 2), (40, 40, 9, 7, 20)).tolist(), strict=True))


Exercise(
    "count",
    right=count,
    draw=_layer,
    mistakes={
        "The two numbers are in the wrong order: units first, then parameters.": lambda **c: count(**c)[::-1],
        "A row and a column of units are missing: count the first place too.": dict(seen=lambda side, k: side - k),
        "Without padding the map is smaller than the image: count its units, not the pixels.": dict(
            seen=lambda side, k: side
        ),
        "Each filter makes a map of its own: count the units of all of them.": lambda **c: (
            count(**c)[0] // c["filters"],
            count(**c)[1],
        ),
        "The biases are missing from the parameters: one for each filter.": dict(biases=lambda units, filters: 0),
        "You count a bias for each unit; a filter's units share theirs.": dict(biases=lambda units, filters: units),
        "In the parameters a slice of a filter has k×k weights, not k.": dict(square=False),
        "A filter has a k×k slice for every input channel.": lambda **c: (
            count(**c)[0],
            count(**c | {"channels": 1})[1],
        ),
    },
)


def conv2d(x, kernel, bias, stride, padding, *, rings=lambda p: (p, p), prepare=lambda kernel: kernel, biases=1):
    x, kernel = np.pad(x, (rings(padding), rings(padding), (0, 0))), prepare(kernel)
    windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijcuv,uvcf->ijf", windows[:, :, : kernel.shape[2]], kernel) + biases * bias


def _images(rng):
    height, width = rng.integers(9, 17, size=2).tolist()
    stride, padding = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    return {
        "x": rng.normal(size=(height, width, 3)),
        "kernel": rng.normal(size=(*rng.choice([(2, 3), (3, 2)]), 3, 4)),
        "bias": rng.normal(size=4) + 3,
        "stride": stride,
        "padding": padding,
    }


def _one_image(**changes):
    rng = np.random.default_rng(0)
    case = {"x": rng.normal(size=(9, 12, 3)), "kernel": rng.normal(size=(3, 3, 3, 4)), "bias": rng.normal(size=4)}
    return case | {"stride": 1, "padding": 0} | changes


Exercise(
    "conv2d",
    right=conv2d,
    draw=_images,
    mistakes={
        "The kernel is flipped: this is a convolution in the mathematician's sense. A layer does not flip.": dict(
            prepare=lambda kernel: kernel[::-1, ::-1]
        ),
        "The bias is missing.": dict(biases=0),
        "The bias is added at each place of the window: add it once, after the sum.": dict(biases=18),
        "The stride has no effect: the kernel moves one pixel at a time.": lambda **c: conv2d(**c | {"stride": 1}),
        "The padding has no effect.": dict(rings=lambda p: (0, 0)),
        "The padding is on one side only: rings of zeros go all around.": dict(rings=lambda p: (p, 0)),
        "Only the first input channel is used: the sum goes over all of them.": dict(
            prepare=lambda kernel: kernel[:, :, :1]
        ),
    },
    also=[
        (
            "An image of whole numbers: make the output an array of floats, as np.zeros_like(x) is of integers.",
            _one_image(x=np.arange(9 * 12 * 3).reshape(9, 12, 3) % 7),
        ),
        ("A kernel as large as the image has one place:", _one_image(x=np.ones((3, 3, 3)))),
    ],
)


def pooling_puzzle(answer) -> None:
    maximum, average = np.array([[32, 19], [20, 27]]), np.array([[15, 14], [11, 16]])
    array = numbers(answer)
    if array is None:
        raise Mistake("Write a 4×4 list or array of numbers; something in it is not a number.")
    if array.shape != (4, 4):
        raise Mistake(f"Two by two blocks of 2×2 make 4×4; this has shape {array.shape}.")

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
            wanted = f"an average of {average[row, column]} needs {4 * average[row, column]}"
            raise Mistake(f"{where} sums to {values.sum():g}; {wanted}.")


Exercise("pooling_puzzle", judge=pooling_puzzle)


def max_pool_backward(x, dy, size, *, place=np.argmax, value=lambda x, dy: dy):
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(dy.shape):
        window = np.s_[i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        dx[window].flat[place(x[window])] = value(x[window].max(), dy[i, j, c])
    return dx


def _everywhere(x, dy, size):
    dx, (rows, columns, _) = np.zeros(x.shape), dy.shape
    dx[: rows * size, : columns * size] = dy.repeat(size, axis=0).repeat(size, axis=1)
    return dx


def _pooled(rng):
    height, width, size = rng.integers(6, 11), rng.integers(6, 11), int(rng.integers(2, 4))
    x = rng.normal(size=(height, width, 3)) - 1  # mostly negative: a maximum that starts at 0 shows
    return {"x": x, "dy": rng.normal(size=(height // size, width // size, 3)), "size": size}


Exercise(
    "max_pool_backward",
    right=max_pool_backward,
    draw=_pooled,
    mistakes={
        "The gradient is spread evenly: so it is in average pooling. Here only the largest input matters.": (
            lambda **c: _everywhere(**c) / c["size"] ** 2
        ),
        "All inputs of a window get its gradient: only the largest one changes the output.": _everywhere,
        "The gradient goes to the smallest input of each window.": dict(place=np.argmin),
        "The gradient goes to the same corner of every window: find the place of the maximum.": dict(
            place=lambda window: 0
        ),
        "The places are right, but they get the maxima themselves: they should get dy.": dict(
            value=lambda largest, dy: largest
        ),
        "The places are right, but they get 1: that is the slope; the chain rule multiplies it by dy.": dict(
            value=lambda largest, dy: 1
        ),
        "The places are right, the sign is wrong: this is a gradient, not yet a step downhill.": lambda **c: (
            -max_pool_backward(**c)
        ),
    },
    also=[
        (
            "An image of whole numbers: make the gradient an array of floats, as np.zeros_like(x) is of integers.",
            {"x": np.arange(16).reshape(4, 4, 1) % 5, "dy": np.full((2, 2, 1), 0.5), "size": 2},
        ),
        (
            "Where the windows do not fill the image, what is left over gets 0.",
            {"x": np.arange(64.0).reshape(8, 8, 1), "dy": np.ones((2, 2, 1)), "size": 3},
        ),
    ],
)


def conv1d_backward(x, w, dy):
    return np.convolve(dy, w), np.correlate(x, dy)


def _replaced(x, w, dy):
    """What is left when dx[t + τ] = dy[t] * w[τ] overwrites, t running outside."""
    last = np.minimum(np.arange(len(x)), len(dy) - 1)
    return dy[last] * w[np.arange(len(x)) - last], dy[-1] * x[len(dy) - 1 :]


def _signal(rng):
    n, k = int(rng.integers(7, 13)), int(rng.integers(2, 6))
    return {"x": rng.normal(size=n), "w": rng.normal(size=k), "dy": rng.normal(size=n - k + 1)}


Exercise(
    "conv1d_backward",
    right=conv1d_backward,
    draw=_signal,
    mistakes={
        "The two gradients are in the wrong order: dL/dx first, then dL/dw.": lambda **c: conv1d_backward(**c)[::-1],
        "Each contribution to a gradient replaces the one before: add them up (+=).": _replaced,
        "In dL/dx the kernel runs the wrong way: x[t + τ] meets w[τ], so dy[t − τ] does.": lambda x, w, dy: (
            np.convolve(dy, w[::-1]),
            np.correlate(x, dy),
        ),
        "dL/dx has only the places where the kernel fits inside dy: pad dy with zeros.": lambda x, w, dy: (
            np.convolve(dy, w, "valid"),
            np.correlate(x, dy),
        ),
        "dL/dw comes out back to front.": lambda x, w, dy: (np.convolve(dy, w), np.correlate(x, dy)[::-1]),
        "dL/dw is a mean: a shared weight gets the sum over all places where it was used.": lambda x, w, dy: (
            np.convolve(dy, w),
            np.correlate(x, dy) / len(dy),
        ),
        "In dL/dw, dy is flipped: w[τ] met x[t + τ], so add up dy[t] x[t + τ].": lambda x, w, dy: (
            np.convolve(dy, w),
            np.convolve(x, dy, "valid"),
        ),
    },
    also=[
        (
            "Signals of whole numbers: make the gradients arrays of floats, as np.zeros_like(x) is of integers.",
            {"x": np.arange(6), "w": np.array([1, -2]), "dy": np.full(5, 0.25)},
        ),
    ],
)
