"""Right and wrong answers to the exercises of notebook 05: `test_exercises.py` gives the tables to the checkers."""

import functools

import numpy as np
import pytest

from helpers import quiet_import
from helpers.exercises import check, notebook_05

with quiet_import():
    import keras

# Right answers, as different as students' are


def trainable_and_frozen(layers, frozen):
    trainable = others = 0
    for place, (k, channels, filters, normalised) in enumerate(layers):
        own = k * k * channels * filters + (2 * filters if normalised else filters)
        others += 2 * filters if normalised else 0
        if place < frozen:
            others += own
        else:
            trainable += own
    return trainable, others


def trainable_and_frozen_in_keras(layers, frozen):
    model = []
    for place, (k, channels, filters, normalised) in enumerate(layers):
        parts = [keras.layers.Conv2D(filters, k, use_bias=not normalised)]
        parts[0].build((None, 9, 9, channels))
        if normalised:
            parts.append(keras.layers.BatchNormalization())
            parts[1].build((None, 9, 9, filters))
        for part in parts:
            part.trainable = place >= frozen
        model += parts
    trainable = sum(np.prod(weight.shape) for layer in model for weight in layer.trainable_weights)
    return int(trainable), sum(layer.count_params() for layer in model) - int(trainable)


def trainable_and_frozen_by_difference(layers, frozen):
    def count(layers, norm):
        return sum(k**2 * c * f + (norm * f if n else f) for k, c, f, n in layers)

    trainable = count(layers[frozen:], 2)
    return [trainable, count(layers, 4) - trainable]


def moving_statistics(activations, mean, variance, momentum):
    for batch in activations:
        mean = momentum * mean + (1 - momentum) * batch.mean(axis=(0, 1, 2))
        variance = momentum * variance + (1 - momentum) * batch.var(axis=(0, 1, 2))
    return mean, variance


def moving_statistics_by_powers(activations, mean, variance, momentum):
    steps = len(activations)
    x = activations.reshape(steps, -1, activations.shape[-1])
    shares = (1 - momentum) * momentum ** np.arange(steps)[::-1]
    return momentum**steps * mean + shares @ x.mean(1), momentum**steps * variance + shares @ x.var(1)


def moving_statistics_in_float32(activations, mean, variance, momentum):
    mean, variance = mean.astype("float32"), variance.astype("float32")
    for batch in activations.astype("float32"):
        of_batch = batch.mean((0, 1, 2))
        mean += (of_batch - mean) * np.float32(1 - momentum)
        variance += (((batch - of_batch) ** 2).mean((0, 1, 2)) - variance) * np.float32(1 - momentum)
    return [mean, variance]


def moving_statistics_in_keras(activations, mean, variance, momentum):
    layer = keras.layers.BatchNormalization(momentum=momentum)
    layer.build(activations.shape[1:])
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    for batch in activations:
        layer(batch.astype("float32"), training=True)
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def means(features, labels):
    return np.array([features[labels == k].mean(0) for k in range(max(labels) + 1)])


def nearest_class(features, labels, new):
    return np.argmax(unit(new) @ unit(means(unit(features), labels)).T, axis=1)


def nearest_class_with_sums(features, labels, new):
    """The sum and the mean of a class have the same direction."""
    sums = np.eye(labels.max() + 1)[labels].T @ unit(features)
    return (new @ unit(sums).T).argmax(1).astype(np.int32)


def nearest_class_by_distance(features, labels, new):
    """Of vectors of length 1 the nearest is the most similar."""
    centres = unit(means(unit(features), labels))
    return [int(np.argmin([np.linalg.norm(row - centre) for centre in centres])) for row in unit(new)]


def cam(maps, kernel, label):
    x = np.maximum(maps @ kernel[:, label], 0)
    return x / x.max() if x.max() > 0 else x


def cam_by_gradient(maps, kernel, label):
    """Divided by the number of places, as the gradient is, and with a little added to the largest."""
    height, width, channels = maps.shape
    x = np.zeros((height, width))
    for channel in range(channels):
        x += maps[:, :, channel] * kernel[channel, label] / (height * width)
    x[x < 0] = 0
    return (x / (x.max() + 1e-9)).astype("float32")


def cam_with_where(maps, kernel, label):
    x = np.einsum("ijc,c->ij", maps, kernel[:, label])
    return np.where(x > 0, x / max(x.max(), 1e-9), 0).tolist()


def is_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def unfreeze_from(base, name):
    base.trainable = True
    reached = False
    for layer in base.layers:
        reached = reached or layer.name == name
        layer.trainable = reached and not is_norm(layer)
    return count(base.trainable_weights)


def unfreeze_by_index(base, name):
    index = base.layers.index(base.get_layer(name))
    base.trainable = True
    for layer in base.layers[:index]:
        layer.trainable = False
    for layer in base.layers:
        if is_norm(layer):
            layer.trainable = False
    return sum(layer.count_params() for layer in base.layers[index:] if layer.trainable)


def unfreeze_from_the_end(base, name):
    base.trainable = True
    for layer in base.layers:
        layer.trainable = False
    total = 0
    for layer in base.layers[::-1]:
        if layer.weights and "moving_mean" not in [weight.name for weight in layer.weights]:
            layer.trainable = True
            total += np.sum([np.size(weight) for weight in layer.get_weights()])
        if layer.name == name:
            return total
    return None


def findings_of(model, base, predict, images, labels, stated):
    found = []
    if not any(layer is base for layer in model.layers):
        found.append("object")
    elif len(base.trainable_weights) == 0:
        found.append("frozen")
    if count(model.trainable_weights) != stated:
        found.append("count")
    if images.max() <= 1:
        found.append("range")
    if len(set(predict(images))) == 1 and len(set(labels)) > 1:
        found.append("spread")
    before = model.get_weights()
    trainable = [weight.numpy() for weight in model.trainable_weights]
    others = [weight.numpy() for weight in model.non_trainable_weights]
    model.train_on_batch(images, labels)
    if any((old == new.numpy()).all() for old, new in zip(trainable, model.trainable_weights, strict=True)):
        found.append("recompile")
    if any((old != new.numpy()).any() for old, new in zip(others, model.non_trainable_weights, strict=True)):
        found.append("statistics")
    model.set_weights(before)
    return found


def findings_by_path(model, base, predict, images, labels, stated):
    """Weights by their path, restored one by one."""
    before = {weight.path: weight.numpy().copy() for weight in model.weights}
    model.train_on_batch(images, labels)
    same = {weight.path: np.array_equal(before[weight.path], weight.numpy()) for weight in model.weights}
    for weight in model.weights:
        weight.assign(before[weight.path])
    inside = base in model.layers
    applies = {
        "object": not inside,
        "frozen": inside and not any(layer.trainable_weights for layer in base.layers),
        "count": stated != sum(weight.numpy().size for weight in model.weights if weight.trainable),
        "range": not (images > 1).any(),
        "spread": np.ptp(predict(images)) == 0 and np.ptp(labels) > 0,
        "recompile": any(same[weight.path] for weight in model.trainable_weights),
        "statistics": not all(same[weight.path] for weight in model.non_trainable_weights),
    }
    return tuple(word for word, does in applies.items() if does)


RIGHT = {
    "trainable_and_frozen": [
        trainable_and_frozen,
        trainable_and_frozen_by_difference,
    ],
    "moving_statistics": [
        moving_statistics,
        moving_statistics_by_powers,
        moving_statistics_in_float32,
    ],
    "nearest_class": [nearest_class, nearest_class_with_sums, nearest_class_by_distance],
    "cam": [cam, cam_by_gradient, cam_with_where],
    "unfreeze_from": [unfreeze_from, unfreeze_by_index, unfreeze_from_the_end],
    "check_finetuning": [
        findings_of,
        findings_by_path,
        notebook_05.findings,
        lambda **c: np.array(sorted(findings_of(**c))),
        lambda **c: findings_of(**c) * 2,
    ],
}

# Wrong answers, each below the words that tell it from all others


def counted(trainable, others):
    """Two sums, of what each layer has on either side: from k, channels, filters, norm and whether it is frozen."""

    def answer(layers, frozen):
        rows = [(*layer, place < frozen) for place, layer in enumerate(layers)]
        return sum(trainable(*row) for row in rows), sum(others(*row) for row in rows)

    return answer


def own(k, c, f, norm):
    """What trains in a layer that is not frozen."""
    return k * k * c * f + (2 * f if norm else f)


def all_of(k, c, f, norm):
    return k * k * c * f + (4 * f if norm else f)


def conv(k, c, f, norm):
    return k * k * c * f + (0 if norm else f)


def upper(*row):
    return 0 if row[4] else own(*row[:4])


def lower(*row):
    return all_of(*row[:4]) if row[4] else 2 * row[2] * row[3]


def numbered(place):
    """A count in which `place` says which layers are frozen."""

    def answer(layers, frozen):
        chosen = [place(number, len(layers), frozen) for number in range(len(layers))]
        rows = [(*layer, is_frozen) for layer, is_frozen in zip(layers, chosen, strict=True)]
        return sum(upper(*row) for row in rows), sum(lower(*row) for row in rows)

    return answer


def with_layers(change):
    """A right count of other layers."""
    return lambda layers, frozen: trainable_and_frozen([change(*layer) for layer in layers], frozen)


def moved(mean_of=lambda x: x.mean((0, 1, 2)), variance_of=lambda x, mean: x.var((0, 1, 2)), keep=lambda m: m):
    def answer(activations, mean, variance, momentum):
        for x in activations:
            # The variance may be measured around the moving mean
            spread = variance_of(x, mean)
            mean = keep(momentum) * mean + (1 - keep(momentum)) * mean_of(x)
            variance = keep(momentum) * variance + (1 - keep(momentum)) * spread
        return mean, variance

    return answer


def with_activations(change):
    return lambda activations, **c: moving_statistics(activations=change(activations), **c)


def moving_in_place(activations, mean, variance, momentum):
    for x in activations:
        mean *= momentum
        mean += (1 - momentum) * x.mean((0, 1, 2))
    return mean, variance


def ranked(similarity):
    return lambda **c: similarity(**c).argmax(axis=1)


def similarities(features, labels, new):
    return unit(new) @ unit(means(unit(features), labels)).T


def distance(of=lambda x: x, of_new=lambda x: x):
    def answer(features, labels, new):
        return ((of_new(new)[:, None] - means(of(features), labels)) ** 2).sum(2).argmin(1)

    return answer


def l1(x):
    return x / abs(x).sum(1, keepdims=True)


def columns(x):
    return x / np.sqrt((x**2).sum(0))


def sums(features, labels):
    return np.array([features[labels == k].sum(0) for k in range(max(labels) + 1)])


def in_order_of_occurrence(features, labels, new):
    found = list(dict.fromkeys(labels.tolist()))
    return [found.index(k) for k in nearest_class(features, labels, new)]


def weighted(weights):
    """A map of the channels with other weights."""

    def answer(maps, kernel, label):
        return cam(maps, weights(maps, kernel, label)[:, None], 0)

    return answer


def of_sum(change):
    return lambda maps, kernel, label: change(maps @ kernel[:, label])


def relu(x):
    return np.maximum(x, 0)


def unfrozen(chosen, norms=False, counted=lambda base: count(base.trainable_weights)):
    """Unfreeze layers by their place and that of the one called name."""

    def answer(base, name):
        at = [layer.name for layer in base.layers].index(name)
        base.trainable = True
        for place, layer in enumerate(base.layers):
            layer.trainable = bool(chosen(place, at) and (norms or not is_norm(layer)))
        return counted(base)

    return answer


def counting(number):
    """The right layers, another number: of base, and of its layers from the one called name on."""

    def answer(base, name):
        unfreeze_from(base, name)
        return number(base, base.layers[base.layers.index(base.get_layer(name)) :])

    return answer


def base_left_frozen(base, name):
    total = reached = 0
    for layer in base.layers:
        reached = reached or layer.name == name
        if reached and not is_norm(layer):
            layer.trainable = True
            total += layer.count_params()
    return total


def reset_at_the_end(base, name):
    for layer in base.layers[base.layers.index(base.get_layer(name)) :]:
        layer.trainable = not is_norm(layer)
    base.trainable = True
    return count(base.trainable_weights)


def unfrozen_but_one(base, name):
    unfreeze_from(base, name)
    base.get_layer("conv3").trainable = False
    return count(base.trainable_weights)


def restarted(base, name):
    base.set_weights([0 * weight for weight in base.get_weights()])
    return unfreeze_from(base, name)


def without(word):
    return lambda **c: [found for found in findings_of(**c) if found != word]


def with_word(word, where):
    """A false alarm where a function of the arguments says so."""
    return lambda **c: {*findings_of(**c), *([word] if where(**c) else [])} - {None}


def replacing(word, where):
    """A test of its own for one word."""
    return lambda **c: [*without(word)(**c), *([word] if where(**c) else [])]


def by_step(word, find):
    """A test of its own for one word, from the trainable weights or the others before and after the step."""

    def where(model, images, labels, **c):
        before = model.get_weights()
        old = [[w.numpy() for w in weights] for weights in (model.trainable_weights, model.non_trainable_weights)]
        model.train_on_batch(images, labels)
        new = [[w.numpy() for w in weights] for weights in (model.trainable_weights, model.non_trainable_weights)]
        model.set_weights(before)
        which = 0 if word == "recompile" else 1
        return find(old[which], new[which])

    return replacing(word, where)


def unchanged(equal, of=any):
    return by_step("recompile", lambda old, new: of(map(equal, old, new)))


def comparing_variables(model, images, labels, **c):
    before = model.get_weights()
    kept = list(model.trainable_weights)
    model.train_on_batch(images, labels)
    same = any(old is new for old, new in zip(kept, model.trainable_weights, strict=True))
    model.set_weights(before)
    return same


def compiling(model, base, **c):
    if isinstance(model, keras.Sequential) and base.trainable_weights:
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return findings_of(model=model, base=base, **c)


def stepping(restore):
    """A right answer, then a step more, of which `restore` takes back some."""

    def answer(model, images, labels, **c):
        found = findings_of(model=model, images=images, labels=labels, **c)
        before = model.get_weights()
        model.train_on_batch(images, labels)
        for weight, value in zip(model.weights, before, strict=True):
            if restore(weight):
                weight.assign(value)
        return found

    return answer


def unfreezing(model, base, **c):
    found = findings_of(model=model, base=base, **c)
    if "frozen" in found:
        base.trainable = True
    return found


def darkening(images, **c):
    found = findings_of(images=images, **c)
    images /= 255
    return found


def first_only(**c):
    return findings_of(**c)[:1]


WRONG = {
    "trainable_and_frozen": {
        "The two numbers are in the wrong order": lambda **c: trainable_and_frozen(**c)[::-1],
        "are counted as trainable": counted(
            lambda *r: 0 if r[4] else all_of(*r[:4]), lambda *r: all_of(*r[:4]) if r[4] else 0
        ),
        "missing: two numbers for each channel, trainable in no layer": counted(
            upper, lambda *r: own(*r[:4]) if r[4] else 0
        ),
        "of the layers that are not frozen are missing": counted(upper, lambda *r: all_of(*r[:4]) if r[4] else 0),
        "variances of the frozen layers are missing": counted(
            upper, lambda *r: own(*r[:4]) if r[4] else 2 * r[2] * r[3]
        ),
        "you count all four as others": counted(
            lambda *r: 0 if r[4] else conv(*r[:4]), lambda *r: all_of(*r[:4]) if r[4] else 4 * r[2] * r[3]
        ),
        "The batch normalisation is missing": counted(
            lambda *r: 0 if r[4] else conv(*r[:4]), lambda *r: conv(*r[:4]) if r[4] else 0
        ),
        "Gamma and beta are missing": counted(
            lambda *r: 0 if r[4] else conv(*r[:4]), lambda *r: own(*r[:4]) if r[4] else 2 * r[2] * r[3]
        ),
        "not frozen with its convolution": counted(
            lambda *r: 2 * r[2] * r[3] if r[4] else own(*r[:4]),
            lambda *r: own(*r[:4]) if r[4] else 2 * r[2] * r[3],
        ),
        "missing among the others": counted(upper, lambda *r: conv(*r[:4]) if r[4] else 2 * r[2] * r[3]),
        "Every convolution has biases": counted(
            lambda *r: 0 if r[4] else own(*r[:4]) + r[2] * r[3],
            lambda *r: all_of(*r[:4]) + r[2] * r[3] if r[4] else 2 * r[2] * r[3],
        ),
        "The biases are missing": counted(
            lambda *r: 0 if r[4] else own(*r[:4]) - r[2] * (not r[3]),
            lambda *r: all_of(*r[:4]) - r[2] * (not r[3]) if r[4] else 2 * r[2] * r[3],
        ),
        "The biases are in the wrong layers": counted(
            lambda *r: 0 if r[4] else r[0] ** 2 * r[1] * r[2] + 3 * r[2] * r[3],
            lambda *r: r[0] ** 2 * r[1] * r[2] + 5 * r[2] * r[3] if r[4] else 2 * r[2] * r[3],
        ),
        "not k.": counted(
            lambda *r: 0 if r[4] else own(*r[:4]) - (r[0] - 1) * r[0] * r[1] * r[2],
            lambda *r: all_of(*r[:4]) - (r[0] - 1) * r[0] * r[1] * r[2] if r[4] else 2 * r[2] * r[3],
        ),
        "as many channels as filters": counted(
            lambda *r: 0 if r[4] else own(*r[:4]) + 2 * (r[1] - r[2]) * r[3],
            lambda *r: all_of(*r[:4]) + 4 * (r[1] - r[2]) * r[3] if r[4] else 2 * r[1] * r[3],
        ),
        "You freeze the last layers": numbered(lambda number, total, frozen: number >= total - frozen),
        "You train the layers that are to be frozen": numbered(lambda number, total, frozen: number >= frozen),
        "One layer too many": numbered(lambda number, total, frozen: number <= frozen),
        "One layer too few": numbered(lambda number, total, frozen: number + 1 < frozen),
        "Only one layer is frozen": numbered(lambda number, total, frozen: number + 1 == frozen),
        "frozen has no effect": numbered(lambda number, total, frozen: False),
        "The second number is that of all parameters": lambda **c: (
            trainable_and_frozen(**c)[0],
            sum(trainable_and_frozen(**c)),
        ),
        "This is the sum of both": lambda **c: sum(trainable_and_frozen(**c)),
        "In value 1 of 2": lambda **c: (trainable_and_frozen(**c)[0] + 1, trainable_and_frozen(**c)[1]),
        "In value 2 of 2": lambda layers, frozen: (
            trainable_and_frozen(layers, frozen)[0],
            trainable_and_frozen(layers, frozen)[1] + (frozen == len(layers)),
        ),
        "where 2 values are asked for": lambda **c: (*trainable_and_frozen(**c), 0),
        "Keep the parameters' names: layers, frozen": lambda layers, count: (0, 0),
        "is the return missing?": lambda **c: print(end=""),
        "it raises TypeError": lambda layers, frozen: sum(layers),
    },
    "moving_statistics": {
        "The momentum is on the wrong side": moved(keep=lambda m: 1 - m),
        "The two are in the wrong order": lambda **c: moving_statistics(**c)[::-1],
        "Only the last step has an effect:": with_activations(lambda x: x[-1:]),
        "Only the first step": with_activations(lambda x: x[:1]),
        "together as one batch": with_activations(lambda x: x.reshape(1, -1, *x.shape[2:])),
        "the last batch's own": lambda activations, **c: (
            activations[-1].mean((0, 1, 2)),
            activations[-1].var((0, 1, 2)),
        ),
        "of all activations": lambda activations, **c: (activations.mean((0, 1, 2, 3)), activations.var((0, 1, 2, 3))),
        "do not move": lambda mean, variance, **c: (mean, variance),
        "a variance of 1": lambda mean, variance, **c: moving_statistics(mean=0, variance=1, **c),
        "a variance of 0": lambda mean, variance, **c: moving_statistics(mean=0, variance=0, **c),
        "The first batch replaces": lambda activations, mean, variance, momentum: moving_statistics(
            activations[1:], activations[0].mean((0, 1, 2)), activations[0].var((0, 1, 2)), momentum
        ),
        "One number stands for all channels": moved(lambda x: x.mean(), lambda x, mean: x.var()),
        "The mean is over the batch only": moved(lambda x: x.mean(0), lambda x, mean: x.var(0)),
        "The mean is over height and width only": moved(lambda x: x.mean((1, 2)), lambda x, mean: x.var((1, 2))),
        "The mean is right. The standard deviation": moved(variance_of=lambda x, mean: x.std((0, 1, 2))),
        "The mean is right. You divide by n − 1": moved(variance_of=lambda x, mean: x.var((0, 1, 2), ddof=1)),
        "The mean is right. The variance is around": moved(
            variance_of=lambda x, mean: ((x - mean) ** 2).mean((0, 1, 2))
        ),
        "The mean is right. You take the mean of the squares": moved(
            variance_of=lambda x, mean: (x**2).mean((0, 1, 2))
        ),
        "The mean is right. The variance is as it came": lambda variance, **c: (
            moving_statistics(variance=variance, **c)[0],
            variance,
        ),
        "The mean is right. The variance is one for all": moved(variance_of=lambda x, mean: x.var()),
        "In value 1 of 2": lambda **c: (moving_statistics(**c)[0] + 1, moving_statistics(**c)[1]),
        "In value 2 of 2": lambda **c: (moving_statistics(**c)[0], moving_statistics(**c)[1] + 1),
        "where 2 values are asked for": lambda **c: np.stack(moving_statistics(**c)),
        "It changes its input mean": moving_in_place,
        "is the return missing?": lambda **c: print(end=""),
    },
    "nearest_class": {
        "The features are not scaled before the mean": ranked(
            lambda features, labels, new: new @ unit(means(features, labels)).T
        ),
        "The means are not scaled": ranked(lambda features, labels, new: new @ means(unit(features), labels).T),
        "Neither the features nor": ranked(lambda features, labels, new: new @ means(features, labels).T),
        "These are sums, not scaled": ranked(lambda features, labels, new: new @ sums(unit(features), labels).T),
        "the distance of vectors that are not scaled": distance(),
        "the distance to means that are not scaled": distance(of=unit, of_new=unit),
        "the distance from new vectors": distance(of=unit),
        "the class of the nearest single image": lambda features, labels, new: labels[
            (unit(new) @ unit(features).T).argmax(1)
        ],
        "the place of the nearest single image": lambda features, labels, new: (unit(new) @ unit(features).T).argmax(1),
        "the smallest similarity": lambda **c: similarities(**c).argmin(1),
        "column by column": lambda features, labels, new: (unit(new) @ unit(means(columns(features), labels)).T).argmax(
            1
        ),
        "the sum of the absolute values": lambda features, labels, new: (
            new @ l1(means(l1(features), labels)).T
        ).argmax(1),
        "in which they first occur": in_order_of_occurrence,
        "These are the similarities: return": similarities,
        "This is the largest similarity": lambda **c: similarities(**c).max(1),
        "the new image that is most similar": lambda **c: similarities(**c).argmax(0),
        "of the values differ": lambda **c: nearest_class(**c) + 1,
        "the result has shape (59,)": lambda **c: nearest_class(**c)[1:],
        "It changes its input features": lambda features, labels, new: np.divide(features, 2, out=features)[0],
        "is the return missing?": lambda **c: print(end=""),
    },
    "cam": {
        "The ReLU is missing: neg": of_sum(lambda x: x / x.max()),
        "The ReLU is missing, and": of_sum(lambda x: x / abs(x).max()),
        "from the smallest value, as 0": of_sum(lambda x: (x - x.min()) / np.ptp(x)),
        "You take absolute values": of_sum(lambda x: abs(x) / abs(x).max()),
        "but the largest is not 1": of_sum(relu),
        "You divide by the sum": of_sum(lambda x: relu(x) / relu(x).sum()),
        "the largest absolute value before": of_sum(lambda x: relu(x) / abs(x).max()),
        "the weighted sum alone": of_sum(lambda x: x),
        "Channels with a negative weight are left out": lambda maps, kernel, label: (lambda x: x / x.max())(
            relu(maps * kernel[:, label]).sum(2)
        ),
        "The weights lose their sign": weighted(lambda maps, kernel, label: abs(kernel[:, label])),
        "The sign is wrong": weighted(lambda maps, kernel, label: -kernel[:, label]),
        "The weights are a row": weighted(lambda maps, kernel, label: kernel[label]),
        "the class with the highest score": weighted(
            lambda maps, kernel, label: kernel[:, np.argmax(maps.mean((0, 1)) @ kernel)]
        ),
        "that of class 0": weighted(lambda maps, kernel, label: kernel[:, 0]),
        "the class before": weighted(lambda maps, kernel, label: kernel[:, label - 1]),
        "of all classes together": weighted(lambda maps, kernel, label: kernel.sum(1)),
        "The channels are not weighted": weighted(lambda maps, kernel, label: np.ones(len(kernel))),
        "multiplied by the channels' means": weighted(lambda maps, kernel, label: kernel[:, label] * maps.mean((0, 1))),
        "a map for each channel: sum": lambda maps, kernel, label: (lambda x: x / x.max())(
            relu(maps * kernel[:, label])
        ),
        "a map for each class": lambda maps, kernel, label: relu(maps @ kernel) / (maps @ kernel).max(),
        "have changed places": lambda **c: cam(**c).T,
        "the score of the class": of_sum(lambda x: x.mean()),
        "come out as NaN": of_sum(lambda x: relu(x) / relu(x).max()),
        "come out as something else": of_sum(lambda x: x / x.max() if x.max() <= 0 else relu(x) / x.max()),
        "of the values differ": lambda **c: cam(**c) ** 2,
        "It changes its input maps": lambda maps, kernel, label: np.multiply(maps, kernel[:, label], out=maps).sum(2),
        "is the return missing?": lambda **c: print(end=""),
    },
    "unfreeze_from": {
        "Batch normalisation is trainable too": unfrozen(lambda place, at: place >= at, norms=True),
        "is still frozen: it is the first": unfrozen(lambda place, at: place > at),
        "The layer before the one called name is trainable too.": unfrozen(lambda place, at: place + 1 >= at),
        "Every layer is trainable": reset_at_the_end,
        "freeze them again": unfrozen(lambda place, at: True),
        "Only the layer called name is trainable: those": unfrozen(lambda place, at: place == at),
        "and the others frozen": unfrozen(lambda place, at: place < at),
        "The layers up to": unfrozen(lambda place, at: place <= at),
        "Nothing is trainable": lambda base, name: 0,
        "base itself is still frozen": base_left_frozen,
        "the layer 'conv3' is frozen": unfrozen_but_one,
        "These are all parameters of base": counting(lambda base, layers: base.count_params()),
        "that are not trainable.": counting(lambda base, layers: count(base.non_trainable_weights)),
        "the number of arrays": counting(lambda base, layers: len(base.trainable_weights)),
        "the number of trainable layers": counting(
            lambda base, layers: sum(bool(layer.trainable_weights) for layer in layers)
        ),
        "You count batch normalisation too": counting(
            lambda base, layers: sum(layer.count_params() for layer in layers)
        ),
        "You count gamma and beta": counting(
            lambda base, layers: sum(layer.count_params() // (1 + is_norm(layer)) for layer in layers)
        ),
        "The biases are missing": counting(
            lambda base, layers: count(weight for weight in base.trainable_weights if weight.name == "kernel")
        ),
        "You return 0": counting(lambda base, layers: 0),
        "could have": counting(
            lambda base, layers: sum(layer.count_params() // (1 + is_norm(layer)) for layer in base.layers)
        ),
        "you return 0.5, where": counting(lambda base, layers: 0.5),
        "it returns a list": counting(lambda base, layers: layers),
        "It changes the values": restarted,
        "is the return missing?": lambda **c: print(end=""),
        "it raises ValueError": lambda base, name: base.get_layer("nowhere"),
        "Keep the parameters' names: base, name": lambda model, name: 0,
        "Write a function; this is 3": 3,
    },
    "check_finetuning": {
        "find 'object' for a second base, unfrozen": replacing(
            "object", lambda model, base, **c: base.name not in [layer.name for layer in model.layers]
        ),
        "find 'frozen' for a base whose": without("frozen"),
        "find 'frozen' for a base that is trainable": replacing(
            "frozen", lambda model, base, **c: base in model.layers and not base.trainable
        ),
        "find 'count' for a text that states the number of all": without("count"),
        "find 'count' for a text that states the number of the last": replacing(
            "count", lambda model, stated, **c: count(model.trainable_weights) < stated
        ),
        "find 'range' for images from 0": replacing("range", lambda images, **c: images.max() < 1),
        "find 'range' for images from -1": replacing(
            "range", lambda images, **c: 0 <= images.min() and images.max() <= 1
        ),
        "find 'spread' for a predict that gives class 0": without("spread"),
        "find 'spread' for a predict that gives class 2": replacing(
            "spread", lambda predict, images, labels, **c: not predict(images).any() and len(set(labels)) > 1
        ),
        "find 'range' for a frozen base": lambda **c: (
            first_only(**c) if "range" in findings_of(**c) else findings_of(**c)
        ),
        "find 'recompile' for a model": unchanged(np.array_equal, all),
        "find 'statistics' for": by_step("statistics", lambda old, new: not any(map(np.array_equal, old, new))),
        "reports 'object' for a model in which": replacing(
            "object", lambda model, base, **c: model.layers[0] is not base
        ),
        "reports 'frozen' for a model in which": replacing(
            "frozen", lambda model, base, **c: len(base.trainable_weights) < len(base.weights)
        ),
        "reports 'frozen' for a second base, frozen": replacing(
            "frozen", lambda model, base, **c: not base.trainable_weights
        ),
        "reports 'count' for a model in which": replacing(
            "count", lambda model, stated, **c: len(model.trainable_weights) != stated
        ),
        "reports 'range' for dark": replacing("range", lambda images, **c: images.mean() < 1),
        "reports 'spread' for images": replacing("spread", lambda predict, images, **c: len(set(predict(images))) == 1),
        "reports 'recompile' for a model in which": replacing("recompile", comparing_variables),
        "reports 'recompile' for a learning rate": unchanged(np.allclose),
        "reports 'statistics' for a base that stays": replacing(
            "statistics", lambda base, **c: any(is_norm(layer) and layer.trainable for layer in base.layers)
        ),
        "It leaves model one step further": stepping(lambda weight: False),
        "the step's moving mean": stepping(lambda weight: weight.trainable),
        "It changes what is trainable": unfreezing,
        "It changes images or labels": darkening,
        "It returns 'freeze', which": lambda **c: ["freeze"],
        "It returns 3, which": lambda **c: [3],
        "It returns 'frozen', where a list": lambda **c: "frozen",
        "It returns a dict, where a list": lambda **c: dict.fromkeys(findings_of(**c), True),
        "is the return missing?": lambda **c: print(end=""),
        "it raises AttributeError": lambda model, **c: model.nowhere,
        "Keep the parameters' names: model, base": lambda model, base: [],
        "Write a function; this is 3": 3,
    },
}

# The right result of a checker's first case, and others that a student might type in
CONSTANTS = {
    "trainable_and_frozen": [0, (0, 0), (491, 1255), ()],
    "moving_statistics": [0, (0, 1), (np.zeros(3), np.ones(3)), np.zeros((2, 3))],
    "nearest_class": [0, np.zeros(60), np.zeros(60, dtype=int), []],
    "cam": [0, np.zeros((4, 5)), np.ones((4, 5)), []],
    "unfreeze_from": [0, 1, "conv2", []],
    "check_finetuning": [[], (), set(), ["statistics"], list(notebook_05.WORDS), 0, "object"],
}


def test_each_case_of_finetuning_holds_what_it_says():
    found = [notebook_05.findings(**case) for _, case in notebook_05.finetuning_cases(np.random.default_rng())]
    assert found == [
        *[set()] * 5,
        {"range"},
        {"range"},
        {"spread"},
        {"spread"},
        {"count"},
        {"count"},
        {"statistics"},
        {"object"},
        {"object"},
        {"frozen"},
        {"frozen", "range", "spread"},
        {"frozen"},
        {"recompile"},
    ]


def test_parameters_are_those_of_keras():
    layers = [(3, 3, 8, True), (5, 8, 5, False), (3, 5, 6, False), (1, 6, 9, True)]
    assert trainable_and_frozen_in_keras(layers, 2) == trainable_and_frozen(layers, 2)


def test_statistics_are_those_of_keras():
    case = {"activations": np.random.default_rng(0).normal(2, 3, size=(4, 5, 3, 2, 2)), "momentum": 0.7}
    case |= {"mean": np.array([1.0, 2.0]), "variance": np.array([3.0, 4.0])}
    for ours, theirs in zip(moving_statistics(**case), moving_statistics_in_keras(**case), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_two_mistakes_in_unfreezing_are_told_one_after_the_other():
    answers = [unfrozen(lambda place, at: place > at, norms) for norms in (True, False)]
    assert len({check("unfreeze_from", answer).diagnosis for answer in answers}) == 1


def test_an_answer_that_compiles_does_not_spoil_the_next():
    assert "find 'recompile'" in check("check_finetuning", compiling).diagnosis
    assert check("check_finetuning", findings_of).status == "correct"


def test_training_false_is_overridden_in_a_functional_model():
    """Why a base is kept in inference mode by freezing its batch normalisation: the exercise relies on it."""
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 1))
    norm = keras.layers.BatchNormalization()
    flat = keras.layers.Flatten()
    model = keras.Model(images, keras.layers.Dense(1)(flat(norm(images, training=False))))
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((2, 4, 4, 1)), np.ones((2, 1)))
    assert norm.moving_mean.numpy().any()


@pytest.mark.parametrize("exercise", ["unfreeze_from", "check_finetuning"])
@pytest.mark.parametrize(
    "answer", [print, keras.layers.Dense(1), keras.Sequential(), functools.partial(int, 3), lambda **c: [[1], [2, 3]]]
)
def test_strange_answers_are_only_mistakes(exercise, answer):
    assert check(exercise, answer).status == "not yet"
