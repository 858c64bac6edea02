"""The checkers accept every right answer, and tell the wrong ones apart by what is wrong with them."""

import functools
import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import notebook_rules as rules
import test_exercises_03
import test_exercises_04
import test_exercises_05
import test_exercises_06
from helpers import quiet_import
from helpers.datasets import load
from helpers.exercises import check

with quiet_import():
    import keras

REPEATS = 6  # the inputs are random: a verdict has to be the same for all of them
# Where nothing is random, and where a check takes long
FEW = {
    "small_cnn": 1,
    "training_pipeline": 2,
    "path_lengths": 2,
    "factorised_inception": 2,
    "preactivation_block": 2,
    "unfreeze_from": 1,
    "check_finetuning": 1,
    "precision_recall": 3,
    "decoder_step": 2,
}
VALUES = ("pooling_puzzle", "small_cnn")  # the exercises whose answer is no function
MADE = ("small_cnn",)  # the exercises whose answers take time to make: in the tables are functions that make them


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


def cnn_parameters(filters, k, side, channels, classes):
    pooled = (side - k + 1) // 2
    return (k * k * channels + 1) * filters, (pooled * pooled * filters + 1) * classes


def cnn_parameters_by_keras(filters, k, side, channels, classes):
    shape = (None, side, side, channels)
    conv, dense = keras.layers.Conv2D(filters, k), keras.layers.Dense(classes)
    for layer in (conv, keras.layers.MaxPooling2D(), keras.layers.Flatten(), dense):
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return conv.count_params(), dense.count_params()


def cnn_parameters_by_arrays(filters, k, side, channels, classes):
    pooled = len(range(0, side - k, 2))
    kernel, units = np.ones((k, k, channels, filters)), np.ones((pooled, pooled, filters))
    return [kernel.size + filters, np.ones((units.size, classes)).size + classes]


def softmax(logits, axis=1):
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def chosen(values, labels):
    return values[np.arange(len(labels)), labels]


def cross_entropy(logits, labels):
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen(logits, labels))


def cross_entropy_with_loops(logits, labels):
    total = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        largest = max(row)
        total += largest + math.log(sum(math.exp(z - largest) for z in row)) - row[label]
    return total / len(labels)


def cross_entropy_by_adding_logarithms(logits, labels):
    return (np.logaddexp.reduce(logits, axis=1) - np.take_along_axis(logits, labels[:, None], 1)[:, 0]).mean()


def cross_entropy_by_keras(logits, labels):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)


def cross_entropy_with_one_hot(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(np.eye(logits.shape[1])[labels] * log_p).sum(axis=1).mean()


def cross_entropy_in_float32(logits, labels):
    logits = logits.astype(np.float32)
    return (np.logaddexp.reduce(logits, axis=1) - chosen(logits, labels)).mean()


def confusion(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), dtype=int)
    for true, called in zip(y_true, y_pred, strict=True):
        matrix[true, called] += 1
    return matrix


def confusion_by_bincount(y_true, y_pred, classes):
    return np.bincount(y_true * classes + y_pred, minlength=classes**2).reshape(classes, classes)


def confusion_as_product(y_true, y_pred, classes):
    one_hot = np.eye(classes)
    return one_hot[y_true].T @ one_hot[y_pred]


def field_size(layers):
    field, step = 1, 1
    for k, s in layers:
        field += (k - 1) * step
        step *= s
    return field


def field_size_backwards(layers):
    field = 1
    for k, s in layers[::-1]:
        field = (field - 1) * s + k
    return field


def field_size_by_products(layers):
    return 1 + sum((k - 1) * math.prod(s for _, s in layers[:place]) for place, (k, _) in enumerate(layers))


def field_size_by_recursion(layers):
    if not layers:
        return 1
    (k, s), *later = layers
    return (field_size_by_recursion(later) - 1) * s + k


def dropout(x, rate, rng):
    return np.where(rng.random(x.shape) < rate, 0, x / (1 - rate))


def dropout_by_coins(x, rate, rng):
    return x * rng.binomial(1, 1 - rate, size=x.shape) / (1 - rate)


def dropout_in_loops(x, rate, rng):
    y = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        if rng.uniform() >= rate:
            y[place] = x[place] / (1 - rate)
    return y


def dropout_of_a_fixed_number(x, rate, rng):
    y = x.astype(np.float32).ravel() / np.float32(1 - rate)
    y[rng.permutation(x.size)[: round(rate * x.size)]] = 0
    return y.reshape(x.shape)


def network(*layers, shape=(28, 28, 1)):
    return keras.Sequential([keras.Input(shape), *layers])


def small_network(units=10):
    conv = functools.partial(keras.layers.Conv2D, strides=2, activation="relu")
    layers = [conv(8, 5, padding="same"), conv(12, 3), conv(16, 3), keras.layers.Flatten(), keras.layers.Dense(units)]
    return network(*layers)


@functools.cache
def trained():
    keras.utils.set_random_seed(0)
    digits, model = load("digits", size=28, dtype="float32"), small_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(4e-3), loss=loss)
    model.fit(digits.x_train, digits.y_train, batch_size=32, epochs=12, verbose=0)
    return model


def with_weights(change):
    """A copy of the trained network, never compiled, with other weights in its last layer."""
    model = small_network()
    model.set_weights(trained().get_weights())
    model.layers[-1].set_weights(change(*model.layers[-1].get_weights()))
    return model


class Wrapped(keras.Model):
    """A network as a subclass of Model, which knows its input's shape only when it is called."""

    def __init__(self, change):
        super().__init__()
        self.inner, self.change = trained(), change

    def call(self, images):
        return self.change(self.inner(images))


def wrapped(change):
    model = Wrapped(change)
    model.build((None, 28, 28, 1))
    return model


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
    "cnn_parameters": [cnn_parameters, cnn_parameters_by_keras, cnn_parameters_by_arrays],
    "cross_entropy": [
        cross_entropy,
        cross_entropy_with_loops,
        cross_entropy_by_adding_logarithms,
        cross_entropy_by_keras,
        cross_entropy_with_one_hot,
        cross_entropy_in_float32,
    ],
    "confusion": [
        confusion,
        confusion_by_bincount,
        confusion_as_product,
        lambda **c: confusion(**c).tolist(),
    ],
    "field_size": [field_size, field_size_backwards, field_size_by_products, field_size_by_recursion],
    "dropout": [dropout, dropout_by_coins, dropout_in_loops, dropout_of_a_fixed_number],
    "small_cnn": [
        trained,
        lambda: network(trained(), keras.layers.Softmax()),
        lambda: with_weights(lambda kernel, bias: (2 * kernel, 2 * bias)),
        lambda: wrapped(lambda outputs: outputs),
        lambda: network(trained(), shape=(None, None, 1)),
        lambda: network(trained(), keras.layers.Dropout(0.9)),  # which is for the training only
    ],
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


def convolution(change):
    """A wrong number for the convolution, the right one for the dense layer."""
    return lambda **c: (change(*cnn_parameters(**c), **c), cnn_parameters(**c)[1])


def dense_layer(change):
    """The right number for the convolution, a wrong one for the dense layer."""
    return lambda **c: (cnn_parameters(**c)[0], change(*cnn_parameters(**c), **c))


def dense_on(side):
    return dense_layer(lambda conv, dense, filters, classes, **c: (side(**c) ** 2 * filters + 1) * classes)


def cross_entropy_unstable(logits, labels):
    powers = np.exp(logits)
    return -np.log(chosen(powers / powers.sum(axis=1, keepdims=True), labels)).mean()


def cross_entropy_shifted_by_one_maximum(logits, labels):
    logits = logits - logits.max()
    return (np.log(np.exp(logits).sum(axis=1)) - chosen(logits, labels)).mean()


def cross_entropy_of_absolute_values(logits, labels):
    return cross_entropy(abs(logits), labels)


def cross_entropy_in_place(logits, labels):
    logits -= logits.max(axis=1, keepdims=True)
    return cross_entropy(logits, labels)


def mean_logarithm(probabilities):
    return -np.log(probabilities).mean()


def confusion_losing_repeats(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), dtype=int)
    matrix[y_true, y_pred] += 1
    return matrix


def confusion_of_what_occurs(y_true, y_pred, classes):
    found = np.union1d(y_true, y_pred)
    return confusion(np.searchsorted(found, y_true), np.searchsorted(found, y_pred), len(found))


def confusion_up_to_the_largest(y_true, y_pred, classes):
    return confusion(y_true, y_pred, max(y_true.max(), y_pred.max()) + 1)


def confusion_with_nan(y_true, y_pred, classes):
    matrix = confusion(y_true, y_pred, classes)
    return np.where(matrix.sum(axis=1, keepdims=True) == 0, np.nan, matrix)


def field_size_backwards_without_gaps(layers):
    field = 1
    for k, s in reversed(layers):
        field = field * s + k
    return field


def field_size_backwards_with_more(layers):
    field = 1
    for k, s in reversed(layers):
        field = field * s + k - 1
    return field


def field_size_by_popping(layers):
    field = 1
    while layers:
        k, s = layers.pop()
        field = (field - 1) * s + k
    return field


def steps(layers):
    return [k - 1 for k, _ in layers], [s for _, s in layers]


def field_size_with_own_strides(layers):
    wider, strides = steps(layers)
    return 1 + sum(wider * np.cumprod(strides))


def field_size_with_the_last_stride(layers):
    wider, strides = steps(layers)
    return 1 + sum(np.multiply(wider, [1, *strides[:-1]]))


def field_size_with_the_sum_of_strides(layers):
    wider, strides = steps(layers)
    return 1 + sum(np.multiply(wider, np.cumsum([1, *strides[:-1]])))


def dropout_with(draw, scale=lambda rate: 1 / (1 - rate)):
    """Keep the places where `draw` gives True."""
    return lambda x, rate, rng: x * draw(x.shape, rate, rng) * scale(rate)


def keep(shape, rate, rng):
    return rng.random(shape) >= rate


def dropout_in_place(x, rate, rng):
    x[rng.random(x.shape) < rate] = 0
    return x / (1 - rate)


def dropout_of_a_noisy_input(x, rate, rng):
    return dropout(x * rng.uniform(0.5, 2, size=x.shape), rate, rng)


def dropout_to_nan(x, rate, rng):
    return np.where(rng.random(x.shape) < rate, np.nan, x) / (1 - rate)


def failing(images):
    raise RuntimeError("a mistake inside the model")


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
        "of the values differ, first at [0, 0, 0]": lambda **c: conv2d(**c) + 1,
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
    "cnn_parameters": {
        "in the wrong order": lambda **c: cnn_parameters(**c)[::-1],
        "the sum of both layers": lambda **c: sum(cnn_parameters(**c)),
        "The convolution's biases are missing": convolution(lambda conv, dense, filters, **c: conv - filters),
        "one bias for each filter, not one in all": convolution(lambda conv, dense, filters, **c: conv - filters + 1),
        "share the bias of their filter": convolution(
            lambda conv, dense, filters, k, side, **c: conv + filters * ((side - k + 1) ** 2 - 1)
        ),
        "a k×k slice for every input channel": convolution(lambda conv, dense, filters, k, **c: (k * k + 1) * filters),
        "you count one filter": convolution(lambda conv, dense, filters, **c: conv / filters),
        "has k×k weights, not k": convolution(
            lambda conv, dense, filters, k, channels, **c: (k * channels + 1) * filters
        ),
        "The dense layer's biases are missing": dense_layer(lambda conv, dense, classes, **c: dense - classes),
        "one bias for each class, not one in all": dense_layer(lambda conv, dense, classes, **c: dense - classes + 1),
        "The dense layer comes after the pooling": dense_on(lambda side, k, **c: side - k + 1),
        "Without padding ('valid')": dense_on(lambda side, **c: side // 2),
        "Neither the convolution nor the pooling": dense_on(lambda side, **c: side),
        "count the first place too": dense_on(lambda side, k, **c: (side - k) // 2),
        "you round up": dense_on(lambda side, k, **c: math.ceil((side - k + 1) / 2)),
        "not 4.5×4.5": dense_on(lambda side, k, **c: (side - k + 1) / 2),
        "round the side, then square": dense_layer(
            lambda conv, dense, filters, k, side, classes, **c: ((side - k + 1) ** 2 // 4 * filters + 1) * classes
        ),
        "you halve only one of them": dense_layer(
            lambda conv, dense, filters, k, side, classes, **c: (
                (((side - k + 1) // 2) * (side - k + 1) * filters + 1) * classes
            )
        ),
        "you count one map": dense_layer(
            lambda conv, dense, filters, classes, **c: (dense - classes) // filters + classes
        ),
        "the image's channels are no more": dense_layer(
            lambda conv, dense, filters, channels, classes, **c: (dense - classes) // filters * channels + classes
        ),
        "you count one side": dense_layer(
            lambda conv, dense, filters, k, side, classes, **c: ((side - k + 1) // 2 * filters + 1) * classes
        ),
        "you count one class": dense_layer(lambda conv, dense, classes, **c: dense / classes),
        "In value 2 of 2: For filters=8, k=5, side=28, channels=3, classes=10 you": dense_layer(
            lambda conv, dense, **c: dense + 1
        ),
        "returns 608, where 2 values": lambda **c: cnn_parameters(**c)[0],
        "Keep the parameters' names: filters, k, side, channels, classes": lambda filters, k, side, classes: 0,
        "is the return missing?": lambda **c: print(end=""),
    },
    "cross_entropy": {
        "to base 2": lambda logits, labels: -np.log2(chosen(softmax(logits), labels)).mean(),
        "to base 10": lambda logits, labels: -np.log10(chosen(softmax(logits), labels)).mean(),
        "This is the sum over the images": lambda logits, labels: -np.log(chosen(softmax(logits), labels)).sum(),
        "This is one loss for each image": lambda logits, labels: -np.log(chosen(softmax(logits), labels)),
        "The mean goes over all entries": lambda logits, labels: (
            -np.mean(np.eye(logits.shape[1])[labels] * np.log(softmax(logits)))
        ),
        "The sign is wrong": lambda logits, labels: -mean_logarithm(chosen(softmax(logits), labels)),
        "this is the mean probability": lambda logits, labels: chosen(softmax(logits), labels).mean(),
        "this is minus the mean probability": lambda logits, labels: -chosen(softmax(logits), labels).mean(),
        "this is minus the mean logit": lambda logits, labels: -chosen(logits, labels).mean(),
        "the logarithm of the logits": lambda logits, labels: mean_logarithm(chosen(logits, labels)),
        "The softmax is taken twice": lambda logits, labels: cross_entropy(softmax(logits), labels),
        "down the columns": lambda logits, labels: mean_logarithm(chosen(softmax(logits, axis=0), labels)),
        "over all images together": lambda logits, labels: mean_logarithm(chosen(softmax(logits, (0, 1)), labels)),
        "the largest probability": lambda logits, labels: mean_logarithm(softmax(logits).max(axis=1)),
        "the mean over all classes": lambda logits, labels: mean_logarithm(softmax(logits)),
        "pair each row with its own label": lambda logits, labels: mean_logarithm(softmax(logits)[:, labels]),
        "you return 1.018, where 3.146 is asked for. Logits may be negative": cross_entropy_of_absolute_values,
        "you return nan, where 2.408 is asked for. exp overflows": cross_entropy_unstable,
        "Subtract each row's own maximum": cross_entropy_shifted_by_one_maximum,
        "you return inf, where 500 is asked for": lambda logits, labels: mean_logarithm(
            chosen(softmax(logits), labels)
        ),
        "you return 13.82, where 500 is asked for": lambda logits, labels: mean_logarithm(
            chosen(softmax(logits), labels) + 1e-12
        ),
        "It changes its input logits": cross_entropy_in_place,
        "the result holds NaN": lambda **c: np.nan,
        "it raises IndexError": lambda logits, labels: logits[labels + 100],
        "is the return missing?": lambda **c: print(end=""),
    },
    "confusion": {
        "It is transposed": lambda y_true, y_pred, classes: confusion(y_pred, y_true, classes),
        "shares of each row": lambda **c: confusion(**c) / np.bincount(c["y_true"], minlength=c["classes"])[:, None],
        "shares of each column": lambda **c: confusion(**c) / np.bincount(c["y_pred"], minlength=c["classes"]),
        "shares of all images": lambda **c: confusion(**c) / len(c["y_true"]),
        "Only the diagonal is filled": lambda **c: confusion(**c) * np.eye(c["classes"]),
        "Only the errors are counted": lambda **c: confusion(**c) * (1 - np.eye(c["classes"])),
        "the number called right in each class": lambda **c: confusion(**c).diagonal(),
        "One row and one column too many: ": lambda classes, **c: confusion(classes=classes + 1, **c),
        "One row and one column too many, the first": lambda y_true, y_pred, classes: confusion(
            y_true + 1, y_pred + 1, classes + 1
        ),
        "The last class is missing": lambda **c: confusion(**c)[:-1, :-1],
        "too far up and to the left": lambda y_true, y_pred, classes: confusion(y_true - 1, y_pred - 1, classes),
        "No count is above 1": confusion_losing_repeats,
        "No image here is of class 2,": confusion_of_what_occurs,
        "No image here is of class 3,": confusion_up_to_the_largest,
        "the result holds NaN": confusion_with_nan,
        "first at [0, 0]": lambda **c: confusion(**c) + 1,
        "the result has shape (3,), where (3, 3)": lambda classes, **c: np.zeros(classes),
        "it returns a list, where numbers": lambda **c: [[1], [2, 3]],
        "it raises IndexError": lambda classes, **c: confusion(classes=classes - 1, **c),
        "is the return missing?": lambda **c: print(end=""),
    },
    "field_size": {
        "The strides have no effect": lambda layers: 1 + sum(steps(layers)[0]),
        "A layer's own stride": field_size_with_own_strides,
        "You use only the stride just before": field_size_with_the_last_stride,
        "you add them": field_size_with_the_sum_of_strides,
        "from the wrong end": lambda layers: field_size(layers[::-1]),
        "This is the sum of the kernels": lambda layers: sum(k for k, _ in layers),
        "This is the product of the kernels": lambda layers: math.prod(k for k, _ in layers),
        "You use only the last layer": lambda layers: layers[-1][0],
        "You use only the first layer": lambda layers: layers[0][0],
        "how far apart": lambda layers: math.prod(s for _, s in layers),
        "One too few": lambda layers: field_size(layers) - 1,
        "One too many": lambda layers: field_size(layers) + 1,
        "You add k for each layer": lambda layers: (
            1 + sum(k * math.prod(s for _, s in layers[:place]) for place, (k, _) in enumerate(layers))
        ),
        "the steps between them are one fewer": field_size_backwards_without_gaps,
        "you have n s + k − 1": field_size_backwards_with_more,
        "This is the area": lambda layers: field_size(layers) ** 2,
        "For layers=[(3, 1), (3, 1)] you return 8, where 5": lambda layers: field_size(layers) + 3,
        "It changes its input layers": field_size_by_popping,
        "it raises TypeError": lambda layers: sum(layers),
        "it returns a list, where one number": lambda layers: [field_size(layers)],
        "is the return missing?": lambda layers: print(end=""),
    },
    "dropout": {
        "you keep with that probability": dropout_with(
            lambda shape, rate, rng: rng.random(shape) < rate, lambda rate: 1 / rate
        ),
        "what is kept is not scaled": dropout_with(keep, lambda rate: 1),
        "but you divide by rate": dropout_with(keep, lambda rate: 1 / rate),
        "but you multiply by 1 − rate": dropout_with(keep, lambda rate: 1 - rate),
        "but you multiply by rate": dropout_with(keep, lambda rate: rate),
        "but you divide by 1 − rate twice": lambda x, rate, rng: dropout(x, rate, rng) / (1 - rate),
        "the sign is wrong": lambda x, rate, rng: -dropout(x, rate, rng),
        "For rate=0.8 what is kept is multiplied by 10:": dropout_with(keep, lambda rate: 2 / (1 - rate)),
        "draw from rng, not np.random": dropout_with(lambda shape, rate, rng: np.random.rand(*shape) >= rate),  # noqa: NPY002
        "whatever rng is": dropout_with(lambda shape, rate, rng: np.random.default_rng(0).random(shape) >= rate),
        "along axis 0 are dropped or kept together": dropout_with(
            lambda shape, rate, rng: rng.random(shape[1:]) >= rate
        ),
        "along axis 1 are dropped or kept together": dropout_with(
            lambda shape, rate, rng: rng.random(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) >= rate
        ),
        "everything is dropped": lambda x, rate, rng: 0 * x,
        "nothing is dropped": lambda x, rate, rng: x,
        "For rate=0.5 you drop 74% of the values": lambda x, rate, rng: dropout(dropout(x, rate, rng), rate, rng),
        "You return the mask": lambda x, rate, rng: dropout(np.ones(x.shape), rate, rng),
        "not all multiplied by the same number": dropout_of_a_noisy_input,
        "It changes its input x": dropout_in_place,
        "NaN or infinity": dropout_to_nan,
        "the result has shape (50,), where x's own": lambda x, rate, rng: dropout(x[:, 0], rate, rng),
        "it returns 'x', where": lambda x, rate, rng: "x",
        "it raises AttributeError": lambda x, rate, rng: rng.rand(),
        "Keep the parameters' names: x, rate, rng": lambda x, p, rng: x,
        "is the return missing?": lambda **c: print(end=""),
    },
    "small_cnn": {
        "This is what fit returns": keras.callbacks.History,
        "This is the class Sequential": lambda: keras.Sequential,
        "This is a function": lambda: small_network,
        "this is a Dense": lambda: keras.layers.Dense(10),
        "this is 'small_cnn.keras'": lambda: "small_cnn.keras",
        "The model is not built": lambda: keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)]),
        "this model reads (8, 8, 1)": lambda: network(keras.layers.Conv2D(4, 3), shape=(8, 8, 1)),
        "this model reads (784,)": lambda: network(keras.layers.Dense(10), shape=(784,)),
        "It has 54,188 parameters, where 4,000 are allowed; 54,088 of them are in the layer 'wide'": lambda: network(
            keras.layers.Conv2D(10, 3), keras.layers.Flatten(), keras.layers.Dense(8, name="wide")
        ),
        "There is no convolution in it": lambda: network(
            keras.layers.MaxPooling2D(2), keras.layers.Flatten(), keras.layers.Dense(10)
        ),
        "one for each digit; it gives (11,)": lambda: small_network(units=11),
        "one for each digit; it gives (10, 1)": lambda: network(trained(), keras.layers.Reshape((10, 1))),
        "it gives something else": lambda: wrapped(lambda outputs: [outputs, "text"]),
        "hold NaN": lambda: with_weights(lambda kernel, bias: (np.nan * kernel, bias)),
        "from 0 to 255": lambda: network(keras.layers.Rescaling(1 / 255), trained()),
        "is it trained?": lambda: with_weights(lambda kernel, bias: (0 * kernel, bias)),
        "where 93% are asked for": lambda: with_weights(
            lambda kernel, bias: (kernel[:, [1, 0, *range(2, 10)]], bias[[1, 0, *range(2, 10)]])
        ),
        "it raises RuntimeError: Exception encountered when calling Wrapped.call(). a mistake inside": lambda: wrapped(
            failing
        ),
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
    "cnn_parameters": [(608, 11_530), (0, 0), 0],
    "cross_entropy": [0, 1, 2.3, np.zeros(6)],
    "confusion": [0, np.zeros((3, 3)), np.eye(3), np.full((3, 3), 15)],
    "field_size": [0, 1, 5, 14],
    "dropout": [0, 0.8, np.zeros((80, 125)), np.ones((80, 125))],
    "small_cnn": [lambda: 0, lambda: 0.97, list, lambda: np.ones((360, 10)), lambda: {"accuracy": 0.97}],
}

for notebook in (test_exercises_03, test_exercises_04, test_exercises_05, test_exercises_06):
    RIGHT.update(notebook.RIGHT)
    WRONG.update(notebook.WRONG)
    CONSTANTS.update(notebook.CONSTANTS)


def stub(*arguments, **named): ...


def stub_with_docstring(x):
    """What it is to return."""
    ...


def stub_with_docstring_only(x):
    """What it is to return."""


def stub_with_pass(x):
    pass


def repeats(exercise) -> int:
    return FEW.get(exercise, REPEATS)


@functools.cache
def made(make):
    return make()


def given(exercise, answer):
    """What a student hands over, from what is in a table."""
    return made(answer) if exercise in MADE else answer


def cases(table: dict) -> list:
    """One parameter set for each exercise and answer of a table."""
    return [
        pytest.param(exercise, answer, id=f"{exercise}-{index}")
        for exercise, answers in table.items()
        for index, answer in enumerate(answers)
    ]


@pytest.mark.parametrize("exercise, answer", cases(RIGHT))
def test_a_right_answer_is_correct_every_time(exercise, answer):
    for _ in range(repeats(exercise)):
        verdict = check(exercise, given(exercise, answer))
        assert (verdict.status, verdict.diagnosis) == ("correct", "")


@pytest.mark.parametrize(
    "exercise, expected, answer",
    [
        pytest.param(exercise, expected, answer, id=f"{exercise}-{expected}")
        for exercise, answers in WRONG.items()
        for expected, answer in answers.items()
    ],
)
def test_a_wrong_answer_gets_its_own_diagnosis_every_time(exercise, expected, answer):
    for _ in range(repeats(exercise)):
        verdict = check(exercise, given(exercise, answer))
        assert verdict.status == "not yet"
        found = [words for words in WRONG[exercise] if words in verdict.diagnosis]
        assert found == [expected], f"no other answer's words, but in: {verdict.diagnosis}"


@pytest.mark.parametrize("exercise, constant", cases(CONSTANTS))
def test_a_constant_never_passes(exercise, constant):
    constant = given(exercise, constant)

    def answer(**arguments):
        return constant

    for _ in range(repeats(exercise)):
        assert check(exercise, constant if exercise in VALUES else answer).status == "not yet"


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


def test_names_are_wrong_only_where_they_are_the_answers_own():
    def with_a_wrong_call(n, k, s, p):
        return places(n, k, stride=s)

    assert "raises TypeError" in check("output_size", with_a_wrong_call).diagnosis


def test_mistakes_in_both_layers_are_told_at_once():
    def without_biases(filters, k, side, channels, classes):
        return k * k * channels * filters, (side // 2) ** 2 * filters * classes

    def without_first_biases(**case):
        return without_biases(**case)[0], without_biases(**case)[1] + case["classes"]

    diagnosis = check("cnn_parameters", without_first_biases).diagnosis
    assert diagnosis.startswith("The convolution's biases are missing: one for each filter. Without padding ('valid')")
    assert check("cnn_parameters", without_biases).diagnosis.startswith("In value 1 of 2: ")


def test_dropout_of_the_smallest_values_does_not_depend_on_rng():
    def answer(x, rate, rng):
        return np.where(np.abs(x) >= np.quantile(np.abs(x), rate), x, 0) / (1 - rate)

    assert "dropped whatever rng is" in check("dropout", answer).diagnosis


def test_importing_the_checkers_starts_no_tensorflow():
    code = "import sys, helpers.exercises; print({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=rules.ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "set()\n"
