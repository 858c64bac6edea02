"""The exercises of notebook 02, building CNNs with Keras."""

from functools import partial

import numpy as np

from .engine import Exercise, Mistake, as_array, call, describe, inputs, numbers, plain

MOST_PARAMETERS = 4_000
LEAST_ACCURACY = 0.93


def cnn_parameters(filters, k, side, channels, classes, *, biases=1, pooled=lambda n, k: (n - k + 1) // 2, maps=None):
    read = pooled(side, k) ** 2 * (maps or filters)
    return (k * k * channels + biases) * filters, (read + biases) * classes


def _network(rng):
    filters, k, channels, classes = rng.integers((3, 2, 2, 3), (20, 7, 9, 20)).tolist()
    return {"filters": filters, "k": k, "side": int(rng.integers(k + 4, 40)), "channels": channels, "classes": classes}


Exercise(
    "cnn_parameters",
    right=cnn_parameters,
    draw=_network,
    mistakes={
        "The two numbers are in the wrong order: the convolution first, then the dense layer.": lambda **c: (
            cnn_parameters(**c)[::-1]
        ),
        "The biases are missing: one for each filter, and one for each class.": dict(biases=0),
        "A filter of the convolution has a k×k slice for every input channel.": lambda **c: (
            cnn_parameters(**c | {"channels": 1})[0],
            cnn_parameters(**c)[1],
        ),
        "The dense layer comes after the pooling, which halves the map's sides.": dict(pooled=lambda n, k: n - k + 1),
        "Without padding ('valid') the convolution's map is smaller than the image.": dict(pooled=lambda n, k: n // 2),
        "Pooling a 9×9 map leaves the dense layer 4×4: a window that does not fit is left out; you round up.": dict(
            pooled=lambda n, k: -(-(n - k + 1) // 2)
        ),
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


def _case(*rows, labels=(2, 1)):
    return {"logits": np.array(rows, float), "labels": np.array(labels)}


Exercise(
    "cross_entropy",
    right=cross_entropy,
    draw=_logits,
    mistakes={
        "This is the sum over the images: return their mean.": dict(gather=np.sum),
        "This is one loss for each image: return their mean.": dict(gather=lambda x: x),
        "The sign is wrong: the logarithm of a probability is negative, a loss is not.": lambda **c: (
            -cross_entropy(**c)
        ),
        "The logarithm is missing: this is minus the mean probability of the labels.": dict(
            log_p=lambda x: np.exp(log_softmax(x))
        ),
        "The softmax is missing: this is minus the mean logit of the labels.": dict(log_p=lambda x: x),
        "The softmax goes over another axis: each row's probabilities sum to 1 (axis=1).": dict(
            log_p=partial(log_softmax, axis=0)
        ),
        "The maximum that you subtract for the exponents has to be added back to the logarithm of their sum.": dict(
            log_p=lambda x: log_softmax(x) + x.max(axis=1, keepdims=True)
        ),
    },
    also=[  # each beyond the one before
        ("Logits may be negative.", _case([-2, 1, -0.5], [0.3, -4, -1])),
        (
            "exp overflows: subtract each row's maximum first, which changes no probability.",
            _case([1000, 999, 998], [1002, 1000, 1001]),
        ),
        (
            "Subtract each row's own maximum: next to 1000 in another row, all of exp(−1000) is 0.",
            _case([1000, 999, 998], [-998, -1000, -999]),
        ),
        (
            "A softmax that has come out as 0 has no logarithm: work log(exp(z) / Σ exp(z)) out on paper, "
            "as z − log Σ exp(z).",
            _case([1000, -1000, 0], [0, 1000, 2]),
        ),
    ],
)


def confusion(y_true, y_pred, classes, *, add=True):
    matrix = np.zeros((classes, classes), dtype=int)
    if add:
        np.add.at(matrix, (y_true, y_pred), 1)
    else:
        matrix[y_true, y_pred] += 1
    return matrix


def _answers(rng):
    classes = int(rng.integers(3, 7))
    every = np.arange(classes)  # each class occurs, is found once and missed once
    y_true, y_pred = rng.integers(0, classes, size=(2, 60))
    return {
        "y_true": np.r_[every, every, y_true],
        "y_pred": np.r_[every, np.roll(every, 1), y_pred],
        "classes": classes,
    }


Exercise(
    "confusion",
    right=confusion,
    draw=_answers,
    mistakes={
        "It is transposed: the row is the true class, the column what it was called.": lambda **c: confusion(**c).T,
        "These are shares of each row: return counts.": lambda **c: (
            confusion(**c) / confusion(**c).sum(axis=1, keepdims=True)
        ),
        "Only the diagonal is filled: count the errors too.": lambda **c: np.diag(np.diag(confusion(**c))),
        "This is the number called right in each class: the errors need a matrix.": lambda **c: np.diag(confusion(**c)),
        "One row and one column too many: classes are counted from 0.": lambda **c: np.pad(confusion(**c), (0, 1)),
        "All is one place too far up and to the left: classes are counted from 0.": lambda **c: np.roll(
            confusion(**c), (-1, -1), axis=(0, 1)
        ),
        "No count is above 1: m[i, j] += 1 with arrays adds once for all pairs that are the same. Use a loop, or "
        "np.add.at.": dict(add=False),
    },
    also=[
        (
            "No image here is of the last class, and none is called so: its row and column are zeros (bincount needs "
            "minlength).",
            {"y_true": np.array([0, 1, 2, 1]), "y_pred": np.array([0, 2, 2, 1]), "classes": 4},
        )
    ],
)


def field_size(layers, *, step=lambda k: k - 1, jump=lambda total, s: total * s, first=1, order=1):
    field, total = first, 1
    for k, s in layers[::order]:
        field, total = field + step(k) * total, jump(total, s)
    return field


def _stack(rng):
    layers = rng.integers((2, 1), (8, 4), size=(int(rng.integers(3, 7)), 2))
    layers[0, 1], layers[1, 1] = rng.integers(2, 4, size=2)
    return {"layers": list(map(tuple, layers.tolist()))}


Exercise(
    "field_size",
    right=field_size,
    draw=_stack,
    mistakes={
        "The strides have no effect: after a stride of 2, one step of the next kernel is 2 pixels.": dict(
            jump=lambda total, s: 1
        ),
        "A layer's own stride does not widen its field, only the fields of the layers after it.": lambda layers: (
            1 + sum((k - 1) * total for (k, _), total in zip(layers, np.cumprod([s for _, s in layers]), strict=True))
        ),
        "You use only the stride just before a kernel: all strides before it multiply.": dict(jump=lambda total, s: s),
        "The strides before a kernel multiply; you add them.": dict(jump=lambda total, s: total + s),
        "The layers are read from the wrong end: the first pair is the layer next to the image.": dict(order=-1),
        "You add k for each layer: a kernel that begins on what is seen already adds k − 1.": dict(step=lambda k: k),
        "One too few: before any layer, a unit sees the one pixel that it is.": dict(first=0),
    },
    also=[("A single layer sees its kernel, whatever its stride.", {"layers": [(5, 2)]})],
)


def dropout(answer) -> None:
    rng = np.random.default_rng()
    counts, found = [], []
    for rate, shape in ((0.2, (50, 80)), (0.5, (10, 5, 8, 10)), (0.8, (80, 50))):
        x = rng.uniform(1, 2, size=shape) * rng.choice([-1, 1], size=shape)
        case = {"x": x, "rate": rate}
        y, other, again = (_dropped(answer, case | {"rng": np.random.default_rng(seed)}) for seed in (1, 2, 1))
        given, dropped = f"For {inputs(case)}", y == 0
        if dropped.all() or not dropped.any():
            raise Mistake(f"{given} {'everything' if dropped.all() else 'nothing'} is dropped: draw for each value.")
        if not np.array_equal(y, again):
            raise Mistake("Two generators with the same seed give different results: draw from rng, not np.random.")
        if np.array_equal(dropped, other == 0):
            raise Mistake("The same places are dropped whatever rng is: draw from it, with no seed of your own.")
        for axis in range(x.ndim):
            if (dropped == dropped.take([0], axis=axis)).all():
                raise Mistake(
                    f"{given} all places along axis {axis} are dropped or kept together: draw for each value."
                )
        factors = y[~dropped] / x[~dropped]
        if np.ptp(factors) > 1e-4 * np.abs(factors).max():
            is_mask = np.ptp(y[~dropped]) == 0
            said = "You return the mask: multiply x by it." if is_mask else "What is kept has not one factor for all."
            raise Mistake(said)
        counts += [dropped.sum(), (other == 0).sum()]
        found.append((rate, dropped.mean(), factors.mean()))
    rates, shares, factors = np.transpose(found)
    # Of 4,000 draws the share has a standard deviation of 0.008 at most: 0.03 is never reached by chance.
    if np.abs(shares - rates).max() > 0.03:
        worst = np.abs(shares - rates).argmax()
        is_swapped = np.abs(shares - (1 - rates)).max() < 0.03
        said = f"For rate={rates[worst]:g} you drop {shares[worst]:.1%} of the values."
        raise Mistake("rate is the probability to be dropped; you keep with that probability." if is_swapped else said)
    if counts == np.rint(np.repeat(rates, 2) * 4000).tolist():
        raise Mistake("The number of dropped values is always the same: each value is dropped by a draw of its own.")
    scales = {
        "": 1 / (1 - rates),
        "The places are right, but what is kept is not scaled: the mean falls. Divide it by 1 − rate.": 1 + 0 * rates,
        "The places are right, but you divide by rate: a share of 1 − rate is left, so divide by that.": 1 / rates,
        "The places are right, but you multiply by 1 − rate: what is kept has to grow, so divide by it.": 1 - rates,
    }
    near = (text for text, scale in scales.items() if np.abs(factors / scale - 1).max() < 1e-3)
    text = next(near, f"For rate={rates[0]:g} what is kept is multiplied by {factors[0]:.3g}, not by 1/(1 − rate).")
    if text:
        raise Mistake(text)


def _dropped(answer, case) -> np.ndarray:
    array = as_array(call(answer, case), case, case["x"].shape)
    if not np.isfinite(array).all():
        raise Mistake(f"For {inputs(case)} the result holds NaN or infinity: a dropped value is 0.")
    return array


Exercise("dropout", judge=dropout)


def small_cnn(answer) -> None:
    # Inside, because importing the exercises must not start TensorFlow. The verdict is on the course's own test set,
    # whatever a cell has made of its copy.
    import keras

    from ..datasets import load

    if not isinstance(answer, keras.Model):
        kinds = {keras.callbacks.History: "what fit returns", type: "a class", keras.Layer: "a layer"}
        what = next((text for kind, text in kinds.items() if isinstance(answer, kind)), describe(answer))
        raise Mistake(f"This is {what}: hand over the trained model.")
    if not answer.built:
        raise Mistake("The model is not built, so it has no weights yet: begin with keras.Input((28, 28, 1)).")
    parameters = answer.count_params()
    if parameters > MOST_PARAMETERS:
        largest = max(answer.layers, key=lambda layer: layer.count_params(), default=answer)
        share = f"{largest.count_params():,} of them are in the layer {largest.name!r}"
        raise Mistake(f"It has {parameters:,} parameters, where {MOST_PARAMETERS:,} are allowed; {share}.")
    # Found by its kernel, wherever it is: in a nested model, or in a layer that a student wrote.
    if not any(len(weight.shape) == 4 for weight in answer.weights):
        raise Mistake("There is no convolution in it.")
    digits = load("digits", size=28, dtype="float32")

    def accuracy(images, shift=0) -> float:
        return float((_outputs(answer, images).argmax(axis=1) == (digits.y_test + shift) % 10).mean())

    shape = _outputs(answer, digits.x_test[:2]).shape
    if shape != (2, 10):
        raise Mistake(f"For each image 10 outputs are asked for, one for each digit; it gives {shape[1:]}.")
    right = accuracy(digits.x_test)
    if right >= LEAST_ACCURACY:
        return
    if accuracy(255 * digits.x_test) >= LEAST_ACCURACY:
        raise Mistake("It is trained on values from 0 to 255; here they are from 0 to 1: load with dtype='float32'.")
    if accuracy(1 - digits.x_test) >= LEAST_ACCURACY:
        raise Mistake("It is trained on inverted images; here the ink is 1 and the paper 0, as load gives them.")
    for shift in (1, -1):
        if accuracy(digits.x_test, shift) >= LEAST_ACCURACY:
            raise Mistake("Its classes are shifted by one: output 0 is for the digit 0.")
    remedy = "train for longer, or spend the parameters on more filters and fewer dense weights"
    guess = (
        "hardly more than by guessing: is it trained?" if right < 0.25 else f"{LEAST_ACCURACY:.0%} are asked: {remedy}."
    )
    raise Mistake(f"It reads {right:.1%} of the test images right, {guess}")


def _outputs(model, images) -> np.ndarray:
    """In batches that no laptop's memory minds, and without the tracing that `predict` would do for one call."""
    try:
        batches = [numbers(model(images[start : start + 128])) for start in range(0, len(images), 128)]
    except Exception as error:
        raise Mistake(f"For images of shape {images.shape} it raises {type(error).__name__}: {plain(error)}") from None
    if any(batch is None or np.isnan(batch).any() for batch in batches):
        raise Mistake("Its outputs are no numbers, or NaN: a training that diverges needs a smaller learning rate.")
    return np.concatenate(batches)


Exercise("small_cnn", judge=small_cnn, seconds=120)
