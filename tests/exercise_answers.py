"""Answers to the exercises: right ones, as different as students' are, and wrong ones with how their diagnosis begins.

The mistakes that a checker knows as functions stand beside it, in `helpers/exercises`.
"""

import math

import numpy as np

from helpers import quiet_import
from helpers.exercises import notebook_01, notebook_05, notebook_06

with quiet_import():
    import keras
    import tensorflow as tf

layers = keras.layers

# Notebook 01

SQUARE = [[32, 0, 19, 19], [14, 14, 18, 0], [20, 8, 27, 13], [8, 8, 12, 12]]


def positional(n, k, s, p, /):
    return (n + 2 * p - k) // s + 1


def double_in_place(x, w, dy):
    x *= 2
    return notebook_01.conv1d_backward(x / 2, w, dy)


def units_and_parameters(height, width, channels, k, filters):
    return np.array([(height - k + 1) * (width - k + 1) * filters, (k * k * channels + 1) * filters])


# Notebook 02


def dropped(x, rate, rng):
    return np.where(rng.random(x.shape) < rate, 0, x / (1 - rate))


def dropped_exactly(x, rate, rng):
    mask = rng.permutation(np.arange(x.size) < round(rate * x.size)).reshape(x.shape)
    return np.where(mask, 0, x / (1 - rate))


def dropped_more(x, rate, rng):
    return dropped(x, rate + 0.04, rng) * (1 - rate - 0.04) / (1 - rate)


def by_bincount(y_true, y_pred, classes):
    return np.bincount(classes * y_true + y_pred, minlength=classes**2).reshape(classes, classes)


def backwards(layers):
    field = 1
    for k, s in layers[::-1]:
        field = (field - 1) * s + k
    return field


def small(*parts):
    return keras.Sequential([keras.Input((28, 28, 1)), *parts])


# Notebook 03


def with_n_minus_1(x_train, x_test):
    mean, std = x_train.mean(axis=(0, 1, 2)), x_train.std(axis=(0, 1, 2), ddof=1)
    std = np.where(np.ptp(x_train, axis=(0, 1, 2)) == 0, 1, std)
    return (x_train - mean) / std, (x_test - mean) / std


def by_std(change):
    """The statistics of the training images in their own precision, the standard deviation changed."""

    def standardise(x_train, x_test):
        mean, std = x_train.mean(axis=(0, 1, 2)), change(x_train.std(axis=(0, 1, 2)))
        with np.errstate(all="ignore"):
            return (x_train - mean) / std, (x_test - mean) / std

    return standardise


def crop_at(row, column):
    """A crop whose place these draw from the most that fits."""

    def random_crop(image, size, rng):
        top, left = row(rng, image.shape[0] - size), column(rng, image.shape[1] - size)
        return image[top : top + size, left : left + size]

    return random_crop


def anywhere(rng, most):
    return rng.integers(most + 1)


def often_first(rng, most):
    return 0 if rng.random() < 0.12 else anywhere(rng, most)


def pipeline(*, shuffle=None, again=True, scale=255.0, labels=lambda y: y, drop=False, batch_first=False):
    def training_pipeline(images, labels_, batch):
        data = tf.data.Dataset.from_tensor_slices((images, labels(labels_)))
        data = data.batch(batch) if batch_first else data
        data = data.shuffle(shuffle or len(images), reshuffle_each_iteration=again) if shuffle != 0 else data
        data = data if batch_first else data.batch(batch, drop_remainder=drop)
        return data.map(lambda x, y: (tf.cast(x, tf.float32) / scale, y))

    return lambda images, labels, batch: training_pipeline(images, labels, batch)


# Notebook 04


def conv(x, filters, size, activation="relu", **options):
    return layers.Conv2D(filters, size, padding="same", activation=activation, **options)(x)


def inception(*, pool=None, activation="relu", order=(0, 1, 2, 3), last=3, dropout=False, threes_more=0):
    pool = pool or layers.MaxPooling2D(3, strides=1, padding="same")

    def factorised_inception(x, ones, reduce3, threes, reduce5, fives, pooled):
        third = conv(conv(x, reduce5, 1, activation), fives, 3, activation)
        branches = [
            conv(x, ones, 1, activation),
            conv(conv(x, reduce3, 1, activation), threes + threes_more, 3, activation),
            conv(third, fives, last, activation),
            conv(pool(x), pooled, 1, activation),
        ]
        y = layers.Concatenate()([branches[branch] for branch in order])
        return layers.Dropout(0.5)(y) if dropout else y

    return factorised_inception


def block(steps: str, *, bias=False, dropout=False):
    """A block by its steps: N normalisation, R ReLU, C convolution, + the addition of x."""

    def preactivation_block(x):
        y = x
        for step in steps:
            match step:
                case "N":
                    y = layers.BatchNormalization()(y)
                case "R":
                    y = layers.ReLU()(y)
                case "C":
                    y = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=bias)(y)
                case "+":
                    y = layers.Add()([x, y])
        return layers.Dropout(0.5)(y) if dropout else y

    return preactivation_block


# Notebook 05


def unfreeze_from(base, name):
    base.trainable = True
    is_reached = False
    for layer in base.layers:
        is_reached = is_reached or layer.name == name
        layer.trainable = is_reached and not isinstance(layer, layers.BatchNormalization)
    return sum(math.prod(weight.shape) for weight in base.trainable_weights)


def unfreeze_by_name(base, name):
    count = unfreeze_from(base, name)
    for layer in base.layers[base.layers.index(base.get_layer(name)) :]:
        layer.trainable = "norm" not in layer.name
    return count


def unfreeze_all(base, name):
    base.trainable = True
    return sum(math.prod(weight.shape) for weight in base.trainable_weights)


def finetuning(*, step=lambda model, x, y: model.train_on_batch(x, y), catch=ValueError, restores=True):
    def check_finetuning(model, base, predict, images, labels, stated):
        optimizer = [(variable, variable.numpy()) for variable in model.optimizer.variables]
        before, kept = model.get_weights(), [(w, w.trainable, w.numpy()) for w in model.weights]
        try:
            step(model, images, labels)
            moved = [(trainable, not np.array_equal(value, w.numpy())) for w, trainable, value in kept]
        except catch:
            moved = [(True, False)]
        model.set_weights(before)
        for variable, value in optimizer if restores else ():
            variable.assign(value)
        is_part = any(layer is base for layer in model.layers)
        applies = {
            "object": not is_part,
            "frozen": is_part and not base.trainable_weights,
            "count": sum(math.prod(w.shape) for w in model.trainable_weights) != stated,
            "range": images.max() <= 1,
            "spread": len(np.unique(predict(images))) == 1 < len(np.unique(labels)),
            "recompile": (True, False) in moved,
            "statistics": (False, True) in moved,
        }
        return {word for word, does in applies.items() if does}

    return check_finetuning


# Notebook 06


def decoder(*, size=2, activation="relu", joined=layers.Concatenate, interpolation="nearest", before=None):
    def decoder_step(coarse, fine, filters):
        large = layers.UpSampling2D(size, interpolation=interpolation)(coarse) if size else coarse
        x = joined()([large, fine]) if joined else large
        return conv(before(x) if before else x, filters, 3, activation)

    return decoder_step


RIGHT = {
    "output_size": [positional, lambda **c: float(positional(*c.values()))],
    "count": [units_and_parameters],
    "conv2d": [lambda **c: notebook_01.conv2d(**c).astype("float32").tolist()],
    "pooling_puzzle": [SQUARE, np.array(SQUARE)],
    "conv1d_backward": [lambda **c: list(notebook_01.conv1d_backward(**c))],
    "cross_entropy": [lambda logits, labels: keras.losses.SparseCategoricalCrossentropy(True)(labels, logits)],
    "confusion": [by_bincount],
    "field_size": [backwards],
    "dropout": [dropped, lambda x, rate, rng: x * (rng.uniform(size=x.shape) >= rate) / (1 - rate)],
    "standardise": [with_n_minus_1],
    "flip_boxes": [lambda boxes, width: [(width - r, top, width - left, b) for left, top, r, b in boxes]],
    "random_crop": [crop_at(anywhere, anywhere)],
    "training_pipeline": [pipeline(), pipeline(shuffle=10**6)],
    "path_lengths": [lambda blocks: [math.comb(blocks, k) for k in range(blocks + 1)]],
    "factorised_inception": [inception()],
    "preactivation_block": [block("NRCNRC+")],
    "trainable_and_frozen": [lambda **c: np.array(notebook_05.trainable_and_frozen(**c))],
    "unfreeze_from": [unfreeze_from],
    "check_finetuning": [finetuning(), lambda **c: list(finetuning()(**c))],
    "box_iou": [lambda a, b: np.array([[notebook_06.box_iou(x[None], y[None])[0, 0] for y in b] for x in a])],
    "decoder_step": [decoder()],
}
WRONG = [
    ("output_size", "Write a function; this is 7", 7),
    ("output_size", "Keep the parameters' names: n, k, s, p.", lambda size, k, s, p: 1),
    ("output_size", "For n=", lambda n, k, s, p: 1 / 0),
    ("output_size", "For n=", lambda n, k, s, p: print(end="")),
    ("output_size", "For n=", lambda n, k, s, p: exit()),
    ("conv2d", "Whole numbers as input", lambda x, **c: notebook_01.conv2d(x, **c).astype(x.dtype)),
    ("conv2d", "For x of shape", lambda **c: notebook_01.conv2d(**c)[..., 0]),
    ("pooling_puzzle", "Rows and columns are swapped", np.transpose(SQUARE)),
    ("pooling_puzzle", "Write a 4×4 list", np.ones((2, 2))),
    ("pooling_puzzle", "Write a 4×4 list", [["a"] * 4] * 4),
    ("pooling_puzzle", "The block at [0, 0] has maximum 1", np.ones((4, 4))),
    ("max_pool_backward", "Whole numbers as input",
     lambda x, **c: notebook_01.max_pool_backward(x, **c).astype(x.dtype)),
    ("conv1d_backward", "It changes its input x", double_in_place),
    ("conv1d_backward", "Whole numbers as input", lambda x, **c: tuple(
        part.astype(x.dtype) for part in notebook_01.conv1d_backward(x, **c))),
    ("cross_entropy", "exp overflows", lambda logits, labels: -np.log(
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(len(labels)), labels].mean()),
    ("confusion", "No image here is of the last class", lambda y_true, y_pred, classes: by_bincount(
        y_true, y_pred, 1 + max(y_true.max(), y_pred.max()))),
    ("field_size", "Before any layer", lambda layers: backwards(layers) if layers else 0),
    ("dropout", "The number of dropped values is always the same", dropped_exactly),
    ("dropout", "For rate=0.2 you drop 2", dropped_more),
    ("dropout", "For rate=0.2 you drop 1", lambda x, rate, rng: dropped(x, rate - 0.03, rng)),
    ("dropout", "rate is the probability to be dropped", lambda x, rate, rng: dropped(x, 1 - rate, rng)),
    ("dropout", "For rate=0.2 what is kept is multiplied by 1: divide",
     lambda x, rate, rng: dropped(x, rate, rng) * (1 - rate)),
    ("dropout", "For x of shape (100, 200), rate=0.2 what is kept has not one factor",
     lambda x, rate, rng: (dropped(x, rate, rng) != 0) / (1 - rate)),
    ("dropout", "Two generators", lambda x, rate, rng: dropped(x, rate, np.random.default_rng())),
    ("dropout", "The same places", lambda x, rate, rng: dropped(x, rate, np.random.default_rng(0))),
    ("dropout", "For x of shape (100, 200), rate=0.2 whole rows",
     lambda x, rate, rng: np.broadcast_to(rng.random(x.shape[1:]) < rate, x.shape) * x),
    ("small_cnn", "This is a History", keras.callbacks.History()),
    ("small_cnn", "It cannot be judged: ValueError: You tried to call", keras.Sequential([layers.Conv2D(4, 3)])),
    ("small_cnn", "It has 7,850 parameters", small(layers.Flatten(), layers.Dense(10))),
    ("small_cnn", "There is no convolution", small(layers.MaxPooling2D(7), layers.Flatten(), layers.Dense(10))),
    ("small_cnn", "For each image 10 outputs", small(layers.Conv2D(4, 5), layers.GlobalAveragePooling2D())),
    ("small_cnn", "It reads", small(layers.Conv2D(4, 5), layers.GlobalAveragePooling2D(), layers.Dense(10))),
    ("standardise", "Images of floats, with little contrast", by_std(lambda std: np.maximum(std, 1))),
    ("standardise", "A channel that is 1", by_std(lambda std: std)),
    ("standardise", "A channel of 0.1 has a std above 0, by rounding: ask", by_std(lambda s: np.where(s == 0, 1, s))),
    ("flip_boxes", "One pixel off", lambda boxes, width: [
        (width - 1 - r, top, width - 1 - left, b) for left, top, r, b in boxes]),
    ("random_crop", "The row is always 0", crop_at(lambda *_: 0, lambda *_: 0)),
    ("random_crop", "The row is always 0", crop_at(lambda *_: 0, anywhere)),
    ("random_crop", "Not every place", crop_at(often_first, anywhere)),
    ("random_crop", "A crop never begins in row 2", crop_at(lambda rng, most: rng.integers(most), anywhere)),
    ("random_crop", "A crop has shape", crop_at(lambda rng, most: rng.integers(most + 3), anywhere)),
    ("random_crop", "A crop has shape", lambda image, size, rng: image[anywhere(rng, 2) : size, :size]),
    ("random_crop", "The crop is no piece of the image", lambda **c: crop_at(anywhere, anywhere)(**c)[:, ::-1]),
    ("random_crop", "Two generators", lambda image, size, rng: crop_at(anywhere, anywhere)(
        image, size, np.random.default_rng())),
    ("training_pipeline", "Return a tf.data.Dataset", lambda images, labels, batch: images),
    ("training_pipeline", "The images come as they are stored", pipeline(shuffle=0)),
    ("training_pipeline", "No image comes more than", pipeline(shuffle=2_700)),
    ("training_pipeline", "Whole batches are mixed", pipeline(batch_first=True)),
    ("training_pipeline", "The second epoch has the same order", pipeline(again=False)),
    ("training_pipeline", "The dataset does not end", lambda **c: pipeline()(**c).repeat()),
    ("training_pipeline", "The last", pipeline(drop=True)),
    ("training_pipeline", "The images are float32 from 0 to 255", pipeline(scale=1.0)),
    ("training_pipeline", "The labels are changed, or belong to other images", pipeline(labels=lambda y: y[::-1])),
    ("factorised_inception", "Each branch is right, but they come in the order 2, 1", inception(order=(1, 0, 2, 3))),
    ("factorised_inception", "In branch 3 the second 3×3 convolution has a kernel of shape (5, 5", inception(last=5)),
    ("factorised_inception", "In branch 2 the 3×3 convolution has", inception(threes_more=20)),
    ("factorised_inception", "The ReLU is missing after every", inception(activation=None)),
    ("factorised_inception", "In branch 4 the average is taken",
     inception(pool=layers.AveragePooling2D(3, strides=1, padding="same"))),
    ("factorised_inception", "There is a dropout", inception(dropout=True)),
    ("factorised_inception", "The branches come out as", inception(pool=layers.MaxPooling2D(3))),
    ("preactivation_block", "There is a ReLU after the addition", block("NRCNRC+R")),
    ("preactivation_block", "This is the first version", block("CNRCN+R")),
    ("preactivation_block", "The skip is missing", block("NRCNRC")),
    ("preactivation_block", "The convolutions have biases", block("NRCNRC+", bias=True)),
    ("preactivation_block", "There is a dropout", block("NRCNRC+", dropout=True)),
    ("preactivation_block", "It returns x itself", lambda x: x),
    ("unfreeze_from", "Every layer is trainable", unfreeze_all),
    ("unfreeze_from", "Batch normalisation is trainable too", unfreeze_by_name),
    ("unfreeze_from", "This is the number of arrays",
     lambda base, name: unfreeze_from(base, name) and len(base.trainable_weights)),
    ("check_finetuning", "For a model whose step raises ValueError it raises", finetuning(catch=KeyError)),
    ("check_finetuning", "It does not find 'recompile' for a model whose step raises",
     finetuning(step=lambda model, x, y: model.fit(x, y, verbose=0))),
    ("check_finetuning", "It leaves the optimizer one step further", finetuning(restores=False)),
    ("check_finetuning", "It returns 'nothing'", lambda **c: ["nothing"]),
    ("decoder_step", "Maps of ", decoder(size=None)),
    ("decoder_step", "You add the two maps", decoder(joined=layers.Add)),
    ("decoder_step", "The ReLU is missing", decoder(activation=None)),
    ("decoder_step", "The ReLU comes before", decoder(activation=None, before=layers.ReLU())),
    ("decoder_step", "It does not compute", decoder(activation="tanh")),
    ("decoder_step", "The result has shape", lambda coarse, fine, filters: decoder()(coarse, fine, filters + 1)),
    ("decoder_step", "The upsampling is bilinear", decoder(interpolation="bilinear")),
    ("decoder_step", "The convolution reads", decoder(joined=None)),
    ("decoder_step", "One Conv2D of 3×3 with bias is asked for", decoder(before=layers.BatchNormalization())),
    ("decoder_step", "There is a dropout", decoder(before=layers.Dropout(0.5))),
]  # fmt: skip
