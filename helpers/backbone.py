"""Pretrained networks to build on: the one that ships in ``data/backbone.npz`` and how it was trained, and MobileNetV2.

``python -m helpers.backbone --data DIR`` trains it from scratch on the small photographs in DIR (`data/README.md` says
what they are and where to obtain them). A run that was interrupted goes on where it stopped.
"""

import argparse
import hashlib
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import quiet_import, real

if TYPE_CHECKING:
    import keras

WEIGHTS = Path(__file__).resolve().parent.parent / "data" / "backbone.npz"

CHANNELS = (48, 112, 256)  # of the three stages
BLOCKS = (1, 2, 1)  # residual blocks of each stage

SIZES = (24,) * 10 + (32,) * 18  # side of the training images, one entry for each epoch
BATCH_SIZE = 128
LEARNING_RATE = 3e-3  # the highest, after the warm-up
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
HELD_OUT = 20  # images of each class that are never trained on
SEED = 0

NAMES = ("course", "mobilenet_v2")
MOMENTUM = 0.9  # of moving statistics, in what `load` gives: a small task ends before 0.99 has forgotten the start

_MOBILENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_MOBILENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{_MOBILENET_FILE}"
# SHA-256 of the weights' bytes, in the model's order: Keras gives no checksum of the file
_MOBILENET_CHECKSUM = "c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8"

_MOSAIC = (16, 20)  # rows and columns of images in one file
_TILE = 32


def load(name: str = "course", *, pretrained: bool = True, trainable: bool = False) -> "keras.Model":
    """A network without its top, which turns images into feature maps; its preprocessing is part of it.

    Parameters
    ----------
    name
        ``"course"``, the network of `build`, whose weights ship with the course; or ``"mobilenet_v2"``, Keras's
        MobileNetV2 (Sandler et al. 2018) trained on ImageNet, 9 MiB that are downloaded once into Keras's cache.
    pretrained
        Load the weights, or leave them random, to train from scratch.
    trainable
        Frozen by default: no weight is trained, and batch normalisation works in inference mode.

    Returns
    -------
    keras.Model
        From images ``(batch, height, width, 3)`` with values from 0 to 255 to feature maps: 1/8 of the height and width
        and 256 channels, or 1/32 and 1,280.

    Raises
    ------
    ValueError
        For an unknown name.
    ConnectionError
        When the weights have to be downloaded and cannot be; it says so within seconds.
    OSError
        When the file of the weights is missing or damaged.
    """
    if name not in NAMES:
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(NAMES)}")
    if name == "course":
        network = build()
        if pretrained:
            _read_weights(network)
    else:
        network = _mobilenet_v2(pretrained)
    for layer in network.layers:
        if hasattr(layer, "momentum"):  # batch normalisation
            layer.momentum = MOMENTUM
    network.trainable = trainable
    return network


def build() -> "keras.Model":
    """The course's network with random weights: a residual network for small photographs, without a top.

    A strided 5×5 convolution, then three stages of residual blocks (He, Zhang, Ren and Sun 2016), the second and third
    at half the resolution of the one before.

    Returns
    -------
    keras.Model
        From images ``(batch, height, width, 3)`` with values from 0 to 255, 32 to 96 pixels a side, to feature maps
        ``(batch, height / 8, width / 8, 256)``, none of them negative.
    """
    with quiet_import():
        import keras
        from keras import layers

    def convolved(x, channels, kernel_size, strides, name):
        x = layers.Conv2D(channels, kernel_size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    images = keras.Input((None, None, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    x = layers.ReLU(name="stem")(convolved(x, CHANNELS[0], 5, 2, "stem"))
    for stage, (channels, blocks) in enumerate(zip(CHANNELS, BLOCKS, strict=True), start=1):
        for block in range(1, blocks + 1):
            label = f"stage{stage}_block{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x if strides == 1 else convolved(x, channels, 1, strides, f"{label}_shortcut")
            x = layers.ReLU(name=f"{label}_relu")(convolved(x, channels, 3, strides, f"{label}_first"))
            x = convolved(x, channels, 3, 1, f"{label}_second")
            x = layers.ReLU(name=label)(layers.Add(name=f"{label}_add")([x, shortcut]))
    return keras.Model(images, x, name="backbone")


def train(folder: str | Path, checkpoints: str | Path, weights: str | Path = WEIGHTS) -> float:
    """Train the network from scratch and store its weights; print one line for each epoch.

    Parameters
    ----------
    folder
        One JPEG file for each class: 320 images of 32×32 pixels in 16 rows of 20.
    checkpoints
        A folder for what an interrupted run needs to go on; it is made, and may be deleted afterwards.
    weights
        The ``.npz`` file to write.

    Returns
    -------
    float
        The share of held-out images that the network, with a linear top, classifies correctly.

    Raises
    ------
    ValueError
        When `folder` does not hold such files.
    """
    x_train, y_train, x_test, y_test = _photographs(Path(folder))
    with quiet_import():
        import keras
        from keras import layers

    state = Path(checkpoints) / "model.keras"
    state.parent.mkdir(parents=True, exist_ok=True)
    steps = -(-len(x_train) // BATCH_SIZE)
    if state.is_file():
        model = keras.models.load_model(state)
    else:
        keras.utils.set_random_seed(SEED)
        model = keras.Sequential([build(), layers.GlobalAveragePooling2D(), layers.Dense(y_train.shape[1])])
        warmup = len(SIZES) * steps // 10
        rate = keras.optimizers.schedules.CosineDecay(
            LEARNING_RATE / 100, len(SIZES) * steps - warmup, warmup_target=LEARNING_RATE, warmup_steps=warmup
        )
        optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
        model.compile(optimizer, loss, metrics=["accuracy"])

    for epoch in range(int(model.optimizer.iterations) // steps, len(SIZES)):
        started = time.perf_counter()
        rng = np.random.default_rng([SEED, epoch])  # an epoch is the same whether or not the run was interrupted
        order = rng.permutation(len(x_train))
        parts = np.split(_resized(x_train[order], SIZES[epoch]), range(2048, len(order), 2048))
        images = np.concatenate([_varied(part, rng) for part in parts])  # in parts, which bounds the memory
        seen = model.fit(images, y_train[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0).history
        unfinished = state.with_name("unfinished.keras")
        model.save(unfinished)
        unfinished.replace(state)
        accuracy = _accuracy(model, _resized(x_test, SIZES[epoch]), y_test)
        print(
            f"epoch {epoch + 1:2d} of {len(SIZES)}, {SIZES[epoch]} pixels: accuracy {seen['accuracy'][0]:.3f} in "
            f"training, {accuracy:.3f} on held-out images; {time.perf_counter() - started:.0f} s",
            flush=True,
        )

    save(model.layers[0], weights)
    return _accuracy(model, x_test, y_test)


def save(network: "keras.Model", file: str | Path) -> None:
    """Store weights: kernels at half precision, the few numbers of batch normalisation at single.

    Parameters
    ----------
    network
        What `build` gave.
    file
        The ``.npz`` file to write.
    """
    stored = {}
    for layer in network.layers:
        for variable in layer.weights:
            value = np.asarray(variable)
            stored[f"{layer.name}/{variable.name}"] = value.astype(np.float16 if value.ndim == 4 else np.float32)
    np.savez_compressed(file, **stored)


def _read_weights(network: "keras.Model") -> None:
    """Give a network of `build` the weights that `save` stored."""
    try:
        with np.load(WEIGHTS, allow_pickle=False) as stored:
            for layer in network.layers:
                layer.set_weights([stored[f"{layer.name}/{variable.name}"] for variable in layer.weights])
    except FileNotFoundError:
        raise FileNotFoundError(f"{WEIGHTS} is not there: it comes with the course, in a clone of it") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
        raise OSError(f"{WEIGHTS} is damaged: 'git checkout {WEIGHTS.name}' in its folder brings it back") from None


def _mobilenet_v2(pretrained: bool) -> "keras.Model":
    with quiet_import():
        import keras

    images = keras.Input((None, None, 3), name="images")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    network = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None)
    network = keras.Model(images, network.output, name="backbone")
    if pretrained:
        file = _fetched()
        try:
            network.load_weights(file)
            checksum = hashlib.sha256(b"".join(np.ascontiguousarray(value) for value in network.get_weights()))
            is_whole = checksum.hexdigest() == _MOBILENET_CHECKSUM
        except (OSError, ValueError, KeyError):  # no HDF5, or not of this network
            is_whole = False
        if not is_whole:
            file.unlink()
            raise OSError(f"{file} was damaged and has been removed: run this again, with a network, to fetch it anew")
    return network


def mobilenet_file() -> Path:
    """Where Keras's cache has the weights of MobileNetV2, or would have them."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / _MOBILENET_FILE


def _fetched() -> Path:
    """The file of MobileNetV2's weights, downloaded unless it is in Keras's cache."""
    file = mobilenet_file()
    if not file.is_file():
        try:
            weights = real.content(_MOBILENET_URL)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(weights)
        except Exception as error:
            reason = str(error)
            raise ConnectionError(
                f"MobileNetV2's weights are not on this computer and could not be downloaded ({reason}): "
                f"backbone.load(\"course\") needs no network; 'python -m helpers.backbone --fetch', run with a "
                "network, fetches them for later."
            ) from None
    return file


def _accuracy(model: "keras.Model", images: np.ndarray, one_hot: np.ndarray) -> float:
    return model.evaluate(images, one_hot, batch_size=256, verbose=0, return_dict=True)["accuracy"]


def _photographs(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, their classes one-hot, held-out images and their classes."""
    from PIL import Image

    files = sorted(folder.glob("*.jpg"))
    if len(files) < 2:
        raise ValueError(f"folder: found {len(files)} JPEG files in {folder}, expected one for each class")
    rows, columns = _MOSAIC
    classes = []
    for file in files:
        with Image.open(file) as picture:
            mosaic = np.asarray(picture.convert("RGB"))
        if mosaic.shape != (rows * _TILE, columns * _TILE, 3):
            raise ValueError(
                f"folder: {file.name} has {mosaic.shape[1]} by {mosaic.shape[0]} pixels, expected "
                f"{columns * _TILE} by {rows * _TILE}: {rows} rows of {columns} images"
            )
        tiles = mosaic.reshape(rows, _TILE, columns, _TILE, 3).swapaxes(1, 2)
        classes.append(tiles.reshape(rows * columns, _TILE, _TILE, 3))
    images, one_hot = np.stack(classes), np.eye(len(files), dtype=np.float32)
    x_train, x_test = (part.reshape(-1, _TILE, _TILE, 3) for part in np.split(images, [-HELD_OUT], axis=1))
    y_train, y_test = (one_hot.repeat(len(part) // len(files), axis=0) for part in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    if images.shape[1] == size:
        return images
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in images])


def _varied(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image shifted by up to an eighth, half of them mirrored, in another light, a tenth of them grey."""
    count, size = images.shape[:2]
    reach = size // 8
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    down, right = rng.integers(0, 2 * reach + 1, (2, count))
    moved = windows[np.arange(count), down, right].transpose(0, 2, 3, 1).astype(np.float32)
    mirrored = rng.random(count) < 0.5
    moved[mirrored] = moved[mirrored, :, ::-1]
    grey = rng.random(count) < 0.1
    moved[grey] = moved[grey].mean(axis=-1, keepdims=True)
    contrast, brightness = rng.uniform(0.7, 1.3, (2, count, 1, 1, 1))
    mean = moved.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip((mean + contrast * (moved - mean)) * brightness, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the course's network, or fetch MobileNetV2 for later.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="train on this folder of mosaics, one JPEG file for each class")
    what.add_argument("--fetch", action="store_true", help="have MobileNetV2's weights in Keras's cache")
    parser.add_argument(
        "--checkpoints", type=Path, default=WEIGHTS.parent / "backbone_checkpoints", help="where a run can go on from"
    )
    arguments = parser.parse_args()
    try:
        if arguments.fetch:
            print(f"MobileNetV2 is ready: {load('mobilenet_v2').count_params():,} parameters")
        else:
            print(f"accuracy on held-out images: {train(arguments.data, arguments.checkpoints):.3f}")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
