"""The exercises of notebook 01, convolution by hand."""

import operator
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .engine import Exercise, Mistake, numbers


def output_size(n, k, s, p, *, ends=2, first=1, divide=operator.floordiv):
    return divide(n + ends * p - k, s) + first


Exercise(
    "output_size",
    right=output_size,
    draw=lambda rng: dict(zip("nksp", rng.integers((8, 2, 1, 0), (40, 8, 5, 4)).tolist(), strict=True)),
    mistakes={
        "For n=8, k=3, s=2 you return 3.5: where does a kernel go when the stride does not fit?": dict(
            divide=operator.truediv
        ),
        "One too few: the kernel has a place before it takes its first step.": dict(first=0),
        "You round up: at the last place the kernel would hang over the edge.": dict(divide=lambda a, b: -(-a // b)),
        "You count the padding once; there is a ring, so it is on both sides.": dict(ends=1),
        "The padding has no effect on your result.": dict(p=0),
        "The stride has no effect on your result.": dict(s=1),
    },
)


def count(height, width, channels, k, filters, *, lost=lambda k: k - 1, square=lambda k: k * k, biases=None):
    units = (height - lost(k)) * (width - lost(k)) * filters
    return units, square(k) * channels * filters + (filters if biases is None else biases(units, channels))


def _layer(rng):
    names = "height", "width", "channels", "k", "filters"
    return dict(zip(names, rng.integers((8, 8, 2, 2, 2), (40, 40, 9, 7, 20)).tolist(), strict=True))


Exercise(
    "count",
    right=count,
    draw=_layer,
    mistakes={
        "The two numbers are in the wrong order: units first, then parameters.": lambda **c: count(**c)[::-1],
        "A row and a column of units are missing: count the first place too.": dict(lost=lambda k: k),
        "Without padding the map is smaller than the image: count its units.": dict(lost=lambda k: 0),
        "The biases are missing from the parameters: one for each filter.": dict(biases=lambda units, channels: 0),
        "You count a bias for each unit; a filter's units share theirs.": dict(biases=lambda units, channels: units),
        "You count a bias for each input channel: a filter has one.": dict(biases=lambda units, channels: channels),
        "In the parameters a slice of a filter has k×k weights, not k.": dict(square=lambda k: k),
    },
)


def conv2d(x, kernel, bias, stride, padding, *, turn=1, biases=1):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijcuv,uvcf->ijf", windows, kernel[::turn, ::turn]) + biases * bias


def _images(rng):
    height, width, stride, padding = rng.integers((9, 9, 1, 0), (17, 17, 4, 3)).tolist()
    kernel = rng.normal(size=(*rng.permutation([2, 3]), 3, 4))
    x, bias = rng.normal(size=(height, width, 3)), rng.normal(size=4) + 3
    return {"x": x, "kernel": kernel, "bias": bias, "stride": stride, "padding": padding}


INTEGERS = "Whole numbers as input: make the output an array of floats, as np.zeros_like(x) is of integers."

ONE_IMAGE = _images(np.random.default_rng(0)) | {"kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 4))}

Exercise(
    "conv2d",
    right=conv2d,
    draw=_images,
    mistakes={
        "The kernel is flipped, as mathematicians do: a layer does not flip.": dict(turn=-1),
        "The bias is missing.": dict(biases=0),
        "The bias is added at each place of the window: add it once, after the sum.": dict(biases=18),
        "The stride has no effect: the kernel moves one pixel at a time.": dict(stride=1),
        "The padding has no effect.": dict(padding=0),
        "Only the first input channel is used: the sum goes over all of them.": lambda x, kernel, **c: conv2d(
            x[..., :1], kernel[:, :, :1], **c
        ),
    },
    also=[
        (INTEGERS, ONE_IMAGE | {"x": np.arange(9 * 12 * 3).reshape(9, 12, 3) % 7}),
        ("A kernel as large as the image has one place.", ONE_IMAGE | {"x": np.ones((3, 3, 3)), "padding": 0}),
    ],
)


def pooling_puzzle(answer) -> None:
    wanted = np.array([[[32, 19], [20, 27]], [[15, 14], [11, 16]]])
    image = numbers(answer)
    if image is None or image.shape != (4, 4):
        raise Mistake("Write a 4×4 list or array of numbers, two by two blocks of 2×2.")

    def pooled(image):
        blocks = image.reshape(2, 2, 2, 2)
        return np.array([blocks.max(axis=(1, 3)), blocks.mean(axis=(1, 3))])

    found = pooled(image)
    wrong = np.argwhere(~np.isclose(found, wanted)).tolist()
    if wrong and np.allclose(pooled(image.T), wanted):
        raise Mistake("Rows and columns are swapped: transpose it.")
    for kind, row, column in wrong:
        has = f"{('maximum', 'average')[kind]} {found[kind, row, column]:g}"
        raise Mistake(f"The block at [{row}, {column}] has {has}; it has to be {wanted[kind, row, column]}.")


Exercise("pooling_puzzle", judge=pooling_puzzle)


def max_pool_backward(x, dy, size, *, share=lambda window: window == window.max(), value=lambda x, dy: dy):
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(dy.shape):
        window = np.s_[i * size : (i + 1) * size, j * size : (j + 1) * size, c]
        dx[window] = share(x[window]) * value(x[window].max(), dy[i, j, c])
    return dx


def _pooled(rng):
    height, width, size = rng.integers((6, 6, 2), (11, 11, 4)).tolist()
    x = rng.normal(size=(height, width, 3)) - 1  # mostly negative: a maximum that starts at 0 shows
    return {"x": x, "dy": rng.normal(size=(height // size, width // size, 3)), "size": size}


Exercise(
    "max_pool_backward",
    right=max_pool_backward,
    draw=_pooled,
    mistakes={
        "The gradient is spread evenly, as in average pooling: only the largest input matters.": dict(
            share=lambda window: 1 / window.size
        ),
        "All inputs of a window get its gradient: only the largest one changes the output.": dict(
            share=lambda window: 1
        ),
        "The places are right, but they get the maxima themselves: they should get dy.": dict(value=lambda x, dy: x),
        "The places are right, but they get the slope, 1: the chain rule multiplies it by dy.": dict(
            value=lambda x, dy: 1
        ),
        "The places are right, the sign is not: this is a gradient, not yet a step.": dict(value=lambda x, dy: -dy),
    },
    also=[
        (INTEGERS, {"x": np.arange(16).reshape(4, 4, 1) % 5, "dy": np.full((2, 2, 1), 0.5), "size": 2}),
        ("What no window covers gets 0.", {"x": np.arange(64.0).reshape(8, 8, 1), "dy": np.ones((2, 2, 1)), "size": 3}),
    ],
)


def conv1d_backward(x, w, dy, *, turn=1, mode="full", summed=np.correlate):
    return np.convolve(dy, w[::turn], mode), summed(x, dy)


def _replaced(x, w, dy):
    """What is left when dx[t + τ] = dy[t] * w[τ] overwrites, t running outside."""
    last = np.minimum(np.arange(len(x)), len(dy) - 1)
    return dy[last] * w[np.arange(len(x)) - last], dy[-1] * x[len(dy) - 1 :]


def _signal(rng):
    n, k = rng.integers((7, 2), (13, 6)).tolist()
    return {"x": rng.normal(size=n), "w": rng.normal(size=k), "dy": rng.normal(size=n - k + 1)}


Exercise(
    "conv1d_backward",
    right=conv1d_backward,
    draw=_signal,
    mistakes={
        "The two gradients are in the wrong order: dL/dx first, then dL/dw.": lambda **c: conv1d_backward(**c)[::-1],
        "Each contribution to a gradient replaces the one before: add them up (+=).": _replaced,
        "In dL/dx the kernel runs the wrong way: x[t + τ] meets w[τ], so dy[t − τ] does.": dict(turn=-1),
        "dL/dx has only the places where the kernel fits inside dy: pad dy with zeros.": dict(mode="valid"),
        "dL/dw comes out back to front.": dict(summed=lambda x, dy: np.correlate(x, dy)[::-1]),
        "dL/dw is a mean: a shared weight gets the sum over its places.": dict(
            summed=lambda x, dy: np.correlate(x, dy) / len(dy)
        ),
        "In dL/dw, dy is flipped: add up dy[t] x[t + τ].": dict(summed=partial(np.convolve, mode="valid")),
    },
    also=[(INTEGERS, {"x": np.arange(6), "w": np.array([1, -2]), "dy": np.full(5, 0.25)})],
)
