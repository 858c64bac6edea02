"""The exercises of notebook 02, building CNNs with Keras: each checker is named like its exercise."""

import numpy as np

from .engine import Mistake, as_array, call, describe, exercise, in_either, inputs, judge, numbers, plain

MOST_PARAMETERS = 4_000
LEAST_ACCURACY = 0.93


@exercise
def cnn_parameters(answer) -> None:
    rng = np.random.default_rng()
    # Maps of an even and of an odd side, then of any
    cases = [
        {"filters": 8, "k": 5, "side": 28, "channels": 3, "classes": 10},
        {"filters": 6, "k": 4, "side": 12, "channels": 2, "classes": 5},
    ]
    for _ in range(8):
        filters, k, channels, classes = rng.integers((3, 2, 2, 3), (20, 7, 9, 20)).tolist()
        side = int(rng.integers(k + 4, 40))
        cases.append({"filters": filters, "k": k, "side": side, "channels": channels, "classes": classes})

    def outcomes(filters, k, side, channels, classes):
        def dense(values):
            return (values + 1) * classes

        convolved, weights = side - k + 1, k**2 * channels
        pooled = convolved // 2
        read = pooled**2 * filters
        right = (weights + 1) * filters, dense(read)
        wrong_convolutions = {
            "The convolution's biases are missing: one for each filter.": weights * filters,
            "The convolution has one bias for each filter, not one in all.": weights * filters + 1,
            "The convolution's units share the bias of their filter; you count one for each unit.": (
                (weights + convolved**2) * filters
            ),
            "A filter of the convolution has a k×k slice for every input channel.": (k**2 + 1) * filters,
            "For the convolution you count one filter: there are as many as filters says.": weights + 1,
            "A slice of a convolution's filter has k×k weights, not k.": (k * channels + 1) * filters,
        }
        wrong_denses = {
            "The dense layer's biases are missing: one for each class.": read * classes,
            "The dense layer has one bias for each class, not one in all.": read * classes + 1,
            "The dense layer comes after the pooling, which halves the map's sides.": dense(convolved**2 * filters),
            "Without padding ('valid') the convolution's map is smaller than the image; the dense layer gets less.": (
                dense((side // 2) ** 2 * filters)
            ),
            "Neither the convolution nor the pooling shrinks your map; the dense layer comes after both.": (
                dense(side**2 * filters)
            ),
            "The map that is pooled for the dense layer has a row and a column more: count the first place too.": (
                dense(((side - k) // 2) ** 2 * filters)
            ),
            "Pooling a 9×9 map leaves the dense layer 4×4: a window that does not fit is left out; you round up.": (
                dense((-(-convolved // 2)) ** 2 * filters)
            ),
            "Pooling a 9×9 map leaves the dense layer 4×4, not 4.5×4.5: divide with //.": (
                dense((convolved / 2) ** 2 * filters)
            ),
            "Pooling a 9×9 map leaves the dense layer 4×4 = 16 values, not 81 // 4: round the side, then square.": (
                dense(convolved**2 // 4 * filters)
            ),
            "Pooling halves the height and the width; for the dense layer you halve only one of them.": (
                dense(pooled * convolved * filters)
            ),
            "Flatten lays the maps of all filters in a row for the dense layer; you count one map.": dense(pooled**2),
            "The dense layer reads a map for each filter; the image's channels are no more.": (
                dense(pooled**2 * channels)
            ),
            "The dense layer reads height times width values of each map; you count one side.": dense(pooled * filters),
            "For the dense layer you count one class: each has weights of its own.": read + 1,
        }
        return {
            "": right,
            "The two numbers are in the wrong order: the convolution first, then the dense layer.": right[::-1],
            "This is the sum of both layers: return the two numbers.": sum(right),
        } | in_either(
            right, wrong_convolutions, wrong_denses, ("The convolution is right.", "The dense layer is right.")
        )

    judge(answer, outcomes, cases)


def _log_softmax(logits, axis=1):
    return logits - np.logaddexp.reduce(logits, axis=axis, keepdims=True)


def _cross_entropy(logits, labels):
    return -_log_softmax(logits)[np.arange(len(labels)), labels].mean()


@exercise
def cross_entropy(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for n, classes in ((6, 4), (9, 3), (5, 10)):
        # Positive, so that the logarithm of a logit exists where somebody takes it
        logits = rng.uniform(0.5, 5, size=(n, classes))
        labels = rng.integers(0, classes, size=n)
        labels[:2] = logits[0].argmin(), logits[1].argmax()
        cases.append({"logits": logits, "labels": labels})

    def outcomes(logits, labels):
        own = np.arange(len(labels)), labels
        log_p = _log_softmax(logits)
        p, loss = np.exp(log_p), -log_p[own].mean()
        return {
            "": loss,
            "The logarithm is to base 2; the natural one is asked for.": loss / np.log(2),
            "The logarithm is to base 10; the natural one is asked for.": loss / np.log(10),
            "This is the sum over the images: return their mean.": loss * len(labels),
            "This is one loss for each image: return their mean.": -log_p[own],
            "The mean goes over all entries; each image has one loss, so divide by their number only.": (
                loss / logits.shape[1]
            ),
            "The sign is wrong: the logarithm of a probability is negative, a loss is not.": -loss,
            "The logarithm is missing: this is the mean probability of the labels.": p[own].mean(),
            "The logarithm is missing: this is minus the mean probability of the labels.": -p[own].mean(),
            "The softmax is missing: this is minus the mean logit of the labels.": -logits[own].mean(),
            "The softmax is missing: you take the logarithm of the logits themselves.": -np.log(logits[own]).mean(),
            "The softmax is taken twice.": _cross_entropy(p, labels),
            "The softmax goes down the columns: an image's classes are in a row (axis=1).": (
                -_log_softmax(logits, axis=0)[own].mean()
            ),
            "The softmax goes over all images together: each row's probabilities sum to 1 (axis=1).": (
                -_log_softmax(logits, axis=None)[own].mean()
            ),
            "The labels have no effect: you take the largest probability of each row.": -log_p.max(axis=1).mean(),
            "The labels have no effect: you take the mean over all classes.": -log_p.mean(),
            "[:, labels] takes the columns of all labels in every row: pair each row with its own label "
            "(np.arange(n), labels).": -log_p[:, labels].mean(),
        }

    judge(answer, outcomes, cases)
    # Each of these is beyond the one before: what a diagnosis says is the first thing that is missing.
    large = np.array([[1000.0, 999.0, 998.0], [1002.0, 1000.0, 1001.0]])
    beyond = (
        (np.array([[-2.0, 1.0, -0.5], [0.3, -4.0, -1.0]]), "Logits may be negative."),
        (large, "exp overflows: subtract each row's maximum first, which changes no probability."),
        (
            np.concatenate([large, large - 2000]),
            "Subtract each row's own maximum: next to 1000 in another row, all of exp(−1000) is 0.",
        ),
        (
            np.array([[1000.0, -1000.0, 0.0], [0.0, 1000.0, 2.0]]),
            "A softmax that has come out as 0 has no logarithm: work log(exp(z) / Σ exp(z)) out on paper, "
            "as z − log Σ exp(z).",
        ),
    )
    for logits, remedy in beyond:
        case = {"logits": logits, "labels": np.array([2, 1] * 2)[: len(logits)]}
        with np.errstate(all="ignore"):  # the diagnosis says it
            result, expected = call(answer, case), _cross_entropy(**case)
        number = numbers(result)
        is_number = number is not None and number.ndim == 0
        # Next to 1000, float32 has four digits left for a difference.
        if not is_number or not abs(number - expected) <= 1e-4 * expected:
            shown = f"{number:.4g}" if is_number else describe(result)
            raise Mistake(
                f"For logits={logits.tolist()}, labels={case['labels'].tolist()} you return {shown}, "
                f"where {expected:.4g} is asked for. {remedy}"
            )


@exercise
def confusion(answer) -> None:
    rng = np.random.default_rng()
    cases = []
    for classes, n in ((3, 40), (4, 90), (6, 200)):
        every = np.arange(classes)  # each class occurs, is found once and missed once
        y_true = np.concatenate([every, every, rng.integers(0, classes, size=n)])
        y_pred = np.concatenate([every, np.roll(every, 1), rng.integers(0, classes, size=n)])
        cases.append({"y_true": y_true, "y_pred": y_pred, "classes": classes})

    def counted(y_true, y_pred, classes):
        matrix = np.zeros((classes, classes), dtype=int)
        np.add.at(matrix, (y_true, y_pred), 1)
        return matrix

    def outcomes(**case):
        matrix = counted(**case)
        found = np.diag(matrix)
        return {
            "": matrix,
            "It is transposed: the row is the true class, the column what it was called.": matrix.T,
            "These are shares of each row: return counts.": matrix / matrix.sum(axis=1, keepdims=True),
            "These are shares of each column: return counts.": matrix / matrix.sum(axis=0),
            "These are shares of all images: return counts.": matrix / matrix.sum(),
            "Only the diagonal is filled: count the errors too.": np.diag(found),
            "Only the errors are counted: the diagonal holds what was called right.": matrix - np.diag(found),
            "This is the number called right in each class: the errors need a matrix.": found,
            "One row and one column too many: classes are counted from 0.": np.pad(matrix, [(0, 1), (0, 1)]),
            "One row and one column too many, the first: classes are counted from 0.": np.pad(matrix, [(1, 0), (1, 0)]),
            "The last class is missing: there are as many rows as classes.": matrix[:-1, :-1],
            "All is one place too far up and to the left: classes are counted from 0.": (
                np.roll(matrix, (-1, -1), axis=(0, 1))
            ),
            "No count is above 1: m[i, j] += 1 with arrays adds once for all pairs that are the same. Use a loop, or "
            "np.add.at.": np.minimum(matrix, 1),
        }

    judge(answer, outcomes, cases)

    def without_a_class(**case):
        matrix = counted(**case)
        occurs = matrix.any(axis=0) | matrix.any(axis=1)
        return {
            "": matrix,
            f"No image here is of class {occurs.argmin()}, and none is called so; its row and column are missing. "
            "They are zeros.": matrix[occurs][:, occurs],
        }

    # One in the middle, then the last
    for classes, unseen in ((5, 2), (4, 3)):
        y_true, y_pred = rng.choice(np.delete(np.arange(classes), unseen), size=(2, 60))
        judge(answer, without_a_class, [{"y_true": y_true, "y_pred": y_pred, "classes": classes}])


@exercise
def field_size(answer) -> None:
    rng = np.random.default_rng()
    lists = [[(3, 1), (3, 1)], [(3, 2), (3, 2)], [(5, 2)], [(5, 1), (2, 2), (5, 1), (2, 2)]]
    for _ in range(20):
        count = int(rng.integers(3, 7))
        lists.append(list(map(tuple, rng.integers((1, 1), (8, 4), size=(count, 2)).tolist())))
    lists.append([(7, 2), (3, 2), (3, 1), (2, 3)])

    def right(layers):
        field, step = 1, 1
        for k, s in layers:
            field, step = field + (k - 1) * step, step * s
        return field

    def outcomes(layers):
        kernels, strides = np.transpose(layers)
        before = np.array([1, *strides[:-1]])  # the stride just in front of each layer
        steps, field = np.cumprod(before), right(layers)
        return {
            "": field,
            "The strides have no effect: after a stride of 2, one step of the next kernel is 2 pixels of the image.": (
                1 + sum(kernels - 1)
            ),
            "A layer's own stride does not widen its field, only the fields of the layers after it.": (
                1 + (kernels - 1) @ np.cumprod(strides)
            ),
            "You use only the stride just before a kernel: all strides before it multiply.": 1 + (kernels - 1) @ before,
            "The strides before a kernel multiply; you add them.": 1 + (kernels - 1) @ np.cumsum(before),
            "The layers are read from the wrong end: the first pair is the layer next to the image.": (
                right(layers[::-1])
            ),
            "This is the sum of the kernels: each adds k − 1 steps to what one unit sees.": sum(kernels),
            "This is the product of the kernels: each adds k − 1 steps to the field.": np.prod(kernels),
            "You use only the last layer.": kernels[-1],
            "You use only the first layer.": kernels[0],
            "This is how far apart two units' fields lie, the product of the strides.": np.prod(strides),
            "One too few: before any layer, a unit sees the one pixel that it is.": field - 1,
            "One too many: begin with 1 pixel.": field + 1,
            "You add k for each layer: a kernel that begins on what is seen already adds k − 1.": 1 + kernels @ steps,
            # The next two begin with 1 unit at the far end, which each stride multiplies
            "Going back through a layer, n units in a row cover (n − 1) s + k: the steps between them are one "
            "fewer.": np.prod(strides) + kernels @ steps,
            "Going back through a layer, n units in a row cover (n − 1) s + k: you have n s + k − 1.": (
                np.prod(strides) + (kernels - 1) @ steps
            ),
            "This is the area: return the side.": field**2,
        }

    judge(answer, outcomes, [{"layers": layers} for layers in lists])


@exercise
def dropout(answer) -> None:
    rng = np.random.default_rng()
    found = []
    for rate, shape in ((0.2, (50, 80)), (0.5, (10, 5, 8, 10)), (0.8, (80, 50))):
        x = rng.uniform(1, 2, size=shape) * rng.choice([-1, 1], size=shape)
        case = {"x": x, "rate": rate}
        y, other, again = (_dropped(answer, case | {"rng": np.random.default_rng(seed)}) for seed in (1, 2, 1))
        given = f"For {inputs(case)}"
        dropped = y == 0
        if dropped.all() or not dropped.any():
            what = "everything" if dropped.all() else "nothing"
            raise Mistake(f"{given} {what} is dropped: each value needs a draw of its own.")
        if not np.array_equal(y, again):
            raise Mistake("Two generators with the same seed give different results: draw from rng, not np.random.")
        if np.array_equal(dropped, other == 0):
            raise Mistake("The same places are dropped whatever rng is: draw from it, with no seed of your own.")
        for axis in range(x.ndim):
            if (dropped == dropped.take([0], axis=axis)).all():
                raise Mistake(
                    f"{given} all places along axis {axis} are dropped or kept together: "
                    "draw a number for each value of x."
                )
        kept = y[~dropped]
        factors = kept / x[~dropped]
        if np.ptp(factors) > 1e-4 * np.abs(factors).max():
            if np.ptp(kept) == 0:
                raise Mistake("You return the mask: multiply x by it.")
            raise Mistake(f"{given} the values that are kept are not all multiplied by the same number.")
        found.append((rate, dropped.mean(), factors.mean()))

    rates, shares, factors = np.transpose(found)
    # The share of 4,000 draws is off by 0.008 or less: 0.05 is never reached by chance.
    if not _near(shares, rates, 0.05):
        if _near(shares, 1 - rates, 0.05):
            raise Mistake("rate is the probability to be dropped; you keep with that probability.")
        worst = np.abs(shares - rates).argmax()
        raise Mistake(f"For rate={rates[worst]:g} you drop {shares[worst]:.0%} of the values.")
    right = 1 / (1 - rates)
    if _near(factors, right, 1e-3):
        return
    scales = {
        "The places are right, but what is kept is not scaled: the mean falls. Divide it by 1 − rate.": 1 + 0 * rates,
        "The places are right, but you divide by rate: a share of 1 − rate is left, so divide by that.": 1 / rates,
        "The places are right, but you multiply by 1 − rate: what is kept has to grow, so divide by it.": 1 - rates,
        "The places are right, but you multiply by rate: divide by 1 − rate.": rates,
        "The places are right, but you divide by 1 − rate twice.": right**2,
        "The places are right, the sign is wrong.": -right,
    }
    for diagnosis, scale in scales.items():
        if _near(factors, scale, 1e-3):
            raise Mistake(diagnosis)
    worst = np.abs(factors - right).argmax()
    raise Mistake(
        f"For rate={rates[worst]:g} what is kept is multiplied by {factors[worst]:.3g}: the mean of x and of the "
        f"result have to be the same, which takes {right[worst]:.3g}."
    )


def _near(values, expected, margin: float) -> bool:
    return bool(np.all(np.abs(values - expected) <= margin))


def _dropped(answer, case) -> np.ndarray:
    array, given = as_array(call(answer, case), case), f"For {inputs(case)}"
    if array.shape != case["x"].shape:
        raise Mistake(f"{given} the result has shape {array.shape}, where x's own is asked for.")
    if not np.isfinite(array).all():
        raise Mistake(f"{given} the result holds NaN or infinity: a dropped value is 0.")
    return array


@exercise
def small_cnn(answer) -> None:
    # Inside, because importing the checkers must not start TensorFlow. And the one checker that needs images: the
    # verdict is on the course's own test set, whatever a cell has made of its copy.
    import keras

    from ..datasets import load

    if isinstance(answer, keras.callbacks.History):
        raise Mistake("This is what fit returns, the record of the training: hand over the model.")
    if isinstance(answer, type):
        raise Mistake(f"This is the class {answer.__name__}: hand over a model made from it.")
    if not isinstance(answer, keras.Model):
        if callable(answer) and not isinstance(answer, keras.Layer):
            raise Mistake("This is a function: call it, and hand over the model that it returns.")
        raise Mistake(f"Hand over a Keras model; this is {describe(answer)}.")
    if not answer.built:
        raise Mistake("The model is not built, so it has no weights yet: begin with keras.Input((28, 28, 1)).")
    shape = getattr(answer, "input_shape", None)  # a subclass of Model need not have one
    if shape is not None and not _reads(shape):
        raise Mistake(f"The images are (28, 28, 1); this model reads {tuple(shape[1:])}.")
    parameters = answer.count_params()
    if parameters > MOST_PARAMETERS:
        largest = max(answer.layers, key=lambda layer: layer.count_params(), default=answer)
        raise Mistake(
            f"It has {parameters:,} parameters, where {MOST_PARAMETERS:,} are allowed; "
            f"{largest.count_params():,} of them are in the layer {largest.name!r}."
        )
    # Found by its kernel, wherever it is: in a nested model, or in a layer that a student wrote.
    if not any(len(weight.shape) == 4 for weight in answer.weights):
        raise Mistake("There is no convolution in it.")

    digits = load("digits", size=28, dtype="float32")
    outputs = _outputs(answer, digits.x_test)
    classes = len(digits.class_names)
    if outputs is None or outputs.shape != (len(digits.x_test), classes):
        shown = "something else" if outputs is None else outputs.shape[1:]
        raise Mistake(f"For each image {classes} outputs are asked for, one for each digit; it gives {shown}.")
    if np.isnan(outputs).any():
        raise Mistake("Its outputs hold NaN: a training that diverges needs a smaller learning rate.")

    def accuracy(outputs):
        return float((outputs.argmax(axis=1) == digits.y_test).mean())

    right = accuracy(outputs)
    if right >= LEAST_ACCURACY:
        return
    if accuracy(_outputs(answer, 255 * digits.x_test)) >= LEAST_ACCURACY:
        raise Mistake("It is trained on values from 0 to 255; here they are from 0 to 1: load with dtype='float32'.")
    if right < 0.25:
        raise Mistake(f"It reads {right:.1%} of the test images right, hardly more than by guessing: is it trained?")
    raise Mistake(
        f"It reads {right:.1%} of the test images right, where {LEAST_ACCURACY:.0%} are asked for: "
        "train for longer, or spend the parameters on more filters and fewer dense weights."
    )


def _reads(shape) -> bool:
    return len(shape) == 4 and all(n in (None, size) for n, size in zip(shape[1:], (28, 28, 1), strict=True))


def _outputs(model, images) -> np.ndarray | None:
    """In batches that no laptop's memory minds, and without the tracing that `predict` would do for one call."""
    try:
        batches = [numbers(model(images[start : start + 128])) for start in range(0, len(images), 128)]
    except Exception as error:
        raise Mistake(f"For images of shape {images.shape} it raises {type(error).__name__}: {plain(error)}") from None
    return None if any(batch is None for batch in batches) else np.concatenate(batches)
