"""Answers to the exercises of notebook 01: other right ones, and wrong ones with how their diagnosis begins."""

import numpy as np

from helpers.exercises.notebook_01 import conv1d_backward, conv2d, max_pool_backward

SQUARE = [[32, 0, 19, 19], [14, 14, 18, 0], [20, 8, 27, 13], [8, 8, 12, 12]]


def positional(n, k, s, p, /):
    return (n + 2 * p - k) // s + 1


def in_place(x, w, dy):
    x *= 2
    return conv1d_backward(x / 2, w, dy)


def endless(n, k, s, p):
    while True:
        n += 1


RIGHT = {
    "output_size": [positional, lambda **c: float(positional(*c.values()))],
    "count": [lambda height, width, channels, k, filters: np.array(
        [(height - k + 1) * (width - k + 1) * filters, (k * k * channels + 1) * filters])],
    "conv2d": [lambda **c: conv2d(**c).astype("float32").tolist()],
    "pooling_puzzle": [SQUARE, np.array(SQUARE)],
    "max_pool_backward": [max_pool_backward],
    "conv1d_backward": [lambda **c: list(conv1d_backward(**c))],
}  # fmt: skip
WRONG = [
    ("output_size", "Write a function; this is 7", 7),
    ("output_size", "Keep the parameters' names: n, k, s, p.", lambda size, k, s, p: 1),
    ("output_size", "For n=", lambda n, k, s, p: 1 / 0),
    ("output_size", "For n=", lambda n, k, s, p: print(end="")),
    ("output_size", "For n=", lambda n, k, s, p: exit()),
    ("conv2d", "An image of whole numbers", lambda x, **c: conv2d(x, **c).astype(x.dtype)),
    ("conv2d", "For x of shape", lambda **c: conv2d(**c)[..., 0]),
    ("pooling_puzzle", "Rows and columns are swapped", np.transpose(SQUARE)),
    ("pooling_puzzle", "Two by two blocks", np.ones((2, 2))),
    ("pooling_puzzle", "Write a 4×4 list", [["a"] * 4] * 4),
    ("pooling_puzzle", "The block at [0, 0] has maximum 1", np.ones((4, 4))),
    ("max_pool_backward", "Where the windows do not fill", lambda x, **c: max_pool_backward(x, **c) + (x == x.max())),
    ("conv1d_backward", "It changes its input x", in_place),
    ("conv1d_backward", "Signals of whole numbers", lambda x, **c: tuple(
        part.astype(x.dtype) for part in conv1d_backward(x, **c))),
]  # fmt: skip
