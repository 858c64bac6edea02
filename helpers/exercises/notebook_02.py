"""The exercises of notebook 02, building CNNs with Keras."""

from functools import partial

import numpy as np

from .engine import Exercise, Mistake, as_array, call, describe

MOST_PARAMETERS = 4_000
LEAST_ACCURACY = 0.93


def cnn_parameters(filters, k, side, channels, classes, *, biases=1, cut=1, pool=2, more=0, maps=None):
    pooled = (side - cut * (k - 1) + more) // pool
    return (k * k * channels + biases) * filters, (pooled**2 * (maps or filters) + biases) * classes


def _network(rng):
    filters, k, channels, classes = rng.integers((3, 2, 2, 3), (20, 7, 9, 20)).tolist()
    return {"filters": filters, "k": k, "side": int(rng.integers(k + 4, 40)), "channels": channels, "classes": classes}


Exercise(
    "cnn_parameters",
    right=cnn_parameters,
    draw=_network,
    mistakes={
        "The biases are missing: one for each filter, and one for each class.": dict(biases=0),
        "A filter has a k×k slice for every input channel.": lambda **c: cnn_parameters(**c | {"channels": 1}),
        "The dense layer comes after the pooling, which halves the map's sides.": dict(pool=1),
        "Without padding ('valid') the convolution's map is smaller than the image.": dict(cut=0),
        "Pooling a 9×9 map leaves 4×4: a window that does not fit is left out; you round up.": dict(more=1),
        "Flatten lays the maps of all filters in a row for the dense layer; you count one map.": dict(maps=1),
    },
)


def log_softmax(logits, axis=1):
    return logits - np.logaddexp.reduce(logits, axis=axis, keepdims=True)


def cross_entropy(logits, labels, *, log_p=log_softmax, gather=np.mean):
    return -gather(log_p(logits)[np.arange(len(labels)), labels])


def _logits(rng):
    n, classes = rng.integers((4, 3), (10, 11)).tolist()
    return {"logits": rng.uniform(0.5, 5, size=(n, classes)), "labels": rng.integers(0, classes, size=n)}


def _two_rows(*rows):
    return {"logits": np.array(rows, dtype=float), "labels": np.array([2, 1])}


Exercise(
    "cross_entropy",
    right=cross_entropy,
    draw=_logits,
    mistakes={
        "This is the sum over the images: return their mean.": dict(gather=np.sum),
        "The sign is wrong: a loss is positive.": dict(gather=lambda log_p: -log_p.mean()),
        "The logarithm is missing.": dict(log_p=lambda z: np.exp(log_softmax(z))),
        "The softmax is missing: this is minus the mean logit of the labels.": dict(log_p=lambda z: z),
        "The softmax goes down the columns: each row sums to 1 (axis=1).": dict(log_p=partial(log_softmax, axis=0)),
        "The maximum, subtracted in the exponents, has to be added back to the logarithm of their sum.": dict(
            log_p=lambda z: log_softmax(z) + z.max(axis=1, keepdims=True)
        ),
        "[:, labels] takes all labels in every row: pair each row with its own (np.arange(n), labels).": (
            lambda logits, labels: -log_softmax(logits)[:, labels].mean()
        ),
    },
    also=[  # each is beyond the one before
        ("Logits may be negative.", _two_rows([-2, 1, -0.5], [0.3, -4, -1])),
        ("exp overflows: subtract each row's maximum first.", _two_rows([1000, 999, 998], [1002, 1000, 1001])),
        ("Each row has its own maximum to subtract.", _two_rows([1000, 999, 998], [-998, -1000, -999])),
        ("A softmax of 0 has no logarithm: use z − log Σ exp(z).", _two_rows([1000, -1000, 0], [0, 1000, 2])),
    ],
)


def confusion(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (y_true, y_pred), 1)
    return matrix


def _answers(rng):
    classes = int(rng.integers(3, 7))
    every = np.arange(classes)  # each class occurs, is found once and missed once
    true, pred = rng.integers(0, classes, size=(2, 60))
    return {"y_true": np.r_[every, every, true], "y_pred": np.r_[every, np.roll(every, 1), pred], "classes": classes}


Exercise(
    "confusion",
    right=confusion,
    draw=_answers,
    mistakes={
        "It is transposed: the row is the true class, the column what it was called.": lambda **c: confusion(**c).T,
        "These are shares of each row: count.": lambda **c: confusion(**c) / np.bincount(c["y_true"])[:, None],
        "This is the number called right in each class: the errors need a matrix.": lambda **c: np.diag(confusion(**c)),
        "No count is above 1: m[i, j] += 1 with arrays adds once for all equal pairs. Use a loop, or np.add.at.": (
            lambda **c: np.minimum(confusion(**c), 1)
        ),
    },
    also=[
        (
            "No image here is of the last class, none is called so: its row and column are 0 (in bincount, minlength).",
            {"y_true": np.array([0, 1, 2, 1]), "y_pred": np.array([0, 2, 2, 1]), "classes": 4},
        )
    ],
)


def field_size(layers, *, less=1, jump=np.multiply, own=False, first=1):
    field, total = first, 1
    for k, s in layers:
        after = jump(total, s)
        field, total = field + (k - less) * (after if own else total), after
    return field


def _stack(rng):
    return {"layers": list(map(tuple, rng.integers((2, 1), (8, 4), size=(rng.integers(1, 9), 2)).tolist()))}


Exercise(
    "field_size",
    right=field_size,
    draw=_stack,
    mistakes={
        "The strides have no effect: after a stride of 2, one step of a kernel is 2 pixels.": dict(jump=lambda *_: 1),
        "A layer's own stride widens only the fields of the layers after it.": dict(own=True),
        "You use only the stride just before a kernel: all before it multiply.": dict(jump=lambda total, s: s),
        "The layers are read from the wrong end.": lambda layers: field_size(layers[::-1]),
        "You add k for each layer: a kernel that begins on what is seen already adds k − 1.": dict(less=0),
        "One too few: before any layer, a unit sees the one pixel that it is.": dict(first=0),
    },
    also=[("Before any layer, a unit sees one pixel.", {"layers": []})],
)

SHAPES = {0.2: (100, 200), 0.5: (20, 10, 5, 20), 0.8: (200, 100)}  # by rate
MOST_OFF = 0.02  # of 20,000 values the share that is dropped has a standard deviation of 0.0035 at most


def dropout(answer) -> None:
    rng, found, more = np.random.default_rng(), [], set()
    for rate, shape in SHAPES.items():
        x = rng.uniform(1, 2, size=shape) * rng.choice([-1, 1], size=shape)
        case, given = {"x": x, "rate": rate}, f"For x of shape {shape}, rate={rate}"
        results = [call(answer, case | {"rng": np.random.default_rng(seed)}) for seed in (1, 2, 1)]
        y, other, again = (as_array(result, case, shape) for result in results)
        dropped = y == 0
        if not np.isfinite(y).all():
            raise Mistake(f"{given} the result holds NaN or infinity: a dropped value is 0.")
        if dropped.all() or not dropped.any():
            raise Mistake(f"{given} {'everything' if dropped.all() else 'nothing'} is dropped: draw for each value.")
        if not np.array_equal(y, again):
            raise Mistake("Two generators with the same seed give different results: draw from rng, not np.random.")
        if np.array_equal(dropped, other == 0):
            raise Mistake("The same places are dropped whatever rng is: draw from it, with no seed of your own.")
        if any((dropped == dropped.take([0], axis=axis)).all() for axis in range(x.ndim)):
            raise Mistake(f"{given} whole rows or columns are dropped together: draw for each value.")
        factors = y[~dropped] / x[~dropped]
        if not np.allclose(factors, factors[0], rtol=1e-4):
            raise Mistake(f"{given} what is kept has not one factor for all: return x / (1 − rate) there.")
        found.append((rate, dropped.mean(), factors[0]))
        more.add(np.sum(other == 0) - np.sum(dropped))
    if all(abs(share - (1 - rate)) < MOST_OFF for rate, share, _ in found):
        raise Mistake("rate is the probability to be dropped; you keep with that probability.")
    for rate, share, factor in found:
        if abs(share - rate) > MOST_OFF:
            raise Mistake(f"For rate={rate} you drop {share:.1%} of the values.")
        if abs(factor * (1 - rate) - 1) > 1e-3:
            raise Mistake(f"For rate={rate} what is kept is multiplied by {factor:.3g}: divide it by 1 − rate.")
    if more == {0}:
        raise Mistake("The number of dropped values is always the same: each value is dropped by a draw of its own.")


def small_cnn(answer) -> None:
    # Inside, because importing the exercises must not start TensorFlow. The verdict is on the course's own test set,
    # whatever a cell has made of its copy.
    import keras

    from ..datasets import load

    if not isinstance(answer, keras.Model):
        raise Mistake(f"This is {describe(answer)}: hand over the trained model.")
    parameters = answer.count_params()
    if parameters > MOST_PARAMETERS:
        largest = max(answer.layers, key=lambda layer: layer.count_params(), default=answer)
        share = f"{largest.count_params():,} of them are in the layer {largest.name!r}"
        raise Mistake(f"It has {parameters:,} parameters, where {MOST_PARAMETERS:,} are allowed; {share}.")
    # Found by its kernel, wherever it is: in a nested model, or in a layer that a student wrote
    if not any(len(weight.shape) == 4 for weight in answer.weights):
        raise Mistake("There is no convolution in it.")
    digits = load("digits", size=28, dtype="float32")

    def accuracy(images) -> float:
        outputs = np.asarray(keras.ops.cast(answer(images), "float32"))
        if outputs.shape != (len(images), 10):
            raise Mistake(f"For each image 10 outputs are asked for, one for each digit; it gives {outputs.shape[1:]}.")
        if np.isnan(outputs).any():
            raise Mistake("Its outputs hold NaN: a training that diverges needs a smaller learning rate.")
        return np.mean(outputs.argmax(axis=1) == digits.y_test)

    right = accuracy(digits.x_test)
    if right >= LEAST_ACCURACY:
        return
    if accuracy(255 * digits.x_test) >= LEAST_ACCURACY:
        raise Mistake("It is trained on values from 0 to 255; load with dtype='float32' gives 0 to 1.")
    if accuracy(1 - digits.x_test) >= LEAST_ACCURACY:
        raise Mistake("It is trained on inverted images; load gives the ink as 1 and the paper as 0.")
    remedy = "train for longer, or spend the parameters on more filters and fewer dense weights."
    said = "hardly more than by guessing: is it trained?" if right < 0.25 else f"not {LEAST_ACCURACY:.0%}: {remedy}"
    raise Mistake(f"It reads {right:.1%} of the test images right, {said}")


Exercise("dropout", judge=dropout)
Exercise("small_cnn", judge=small_cnn, seconds=120)
