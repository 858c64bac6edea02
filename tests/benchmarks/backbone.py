"""The recipe of the course's backbone: trains the network of `helpers.backbone` from scratch.

    python tests/benchmarks/backbone.py DIR    writes data/backbone.weights.h5; about an hour

DIR holds the photographs: one JPEG file for each class, 320 images of 32×32 pixels in 16 rows of 20. `data/README.md`
says which they were. A run that was interrupted goes on where it stopped, from data/backbone_checkpoints.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from bars import ROOT  # first of ours: it makes the course's folders importable
from PIL import Image

import helpers
from helpers.backbone import WEIGHTS, build

with helpers.quiet_import():
    import keras
    from keras import layers

CHECKPOINTS = ROOT / "data" / "backbone_checkpoints"
SIZES = (24,) * 10 + (32,) * 18  # side of the training images, one entry for each epoch
BATCH_SIZE = 128
LEARNING_RATE = 3e-3  # the highest, after the warm-up
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
HELD_OUT = 20  # images of each class that are never trained on
SEED = 0
ROWS, COLUMNS, TILE = 16, 20, 32  # images in one file, and the side of each in pixels


def photographs(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, their classes one-hot, held-out images and their classes."""
    files = sorted(folder.glob("*.jpg"))
    if len(files) < 2:
        raise ValueError(f"folder: found {len(files)} JPEG files in {folder}, expected one for each class")
    classes = []
    for file in files:
        with Image.open(file) as picture:
            mosaic = np.asarray(picture.convert("RGB"))
        tiles = mosaic.reshape(ROWS, TILE, COLUMNS, TILE, 3).swapaxes(1, 2)
        classes.append(tiles.reshape(ROWS * COLUMNS, TILE, TILE, 3))
    images, one_hot = np.stack(classes), np.eye(len(files), dtype=np.float32)
    x_train, x_test = (part.reshape(-1, TILE, TILE, 3) for part in np.split(images, [-HELD_OUT], axis=1))
    y_train, y_test = (one_hot.repeat(len(part) // len(files), axis=0) for part in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def resized(images: np.ndarray, size: int) -> np.ndarray:
    if images.shape[1] == size:
        return images
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image in images])


def varied(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


def compiled(steps: int, classes: int) -> keras.Model:
    """The backbone with a linear top, ready for so many steps in each epoch."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential([build(), layers.GlobalAveragePooling2D(), layers.Dense(classes)])
    warmup = len(SIZES) * steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 100, len(SIZES) * steps - warmup, warmup_target=LEARNING_RATE, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def accuracy(model: keras.Model, images: np.ndarray, one_hot: np.ndarray) -> float:
    return model.evaluate(images, one_hot, batch_size=256, verbose=0, return_dict=True)["accuracy"]


def train(folder: Path, checkpoints: Path, weights: Path) -> float:
    """Train from scratch, or go on; store the weights; return the accuracy on held-out images, with a linear top."""
    x_train, y_train, x_test, y_test = photographs(folder)
    steps = -(-len(x_train) // BATCH_SIZE)
    checkpoints.mkdir(parents=True, exist_ok=True)
    state = checkpoints / "model.keras"
    model = keras.models.load_model(state) if state.is_file() else compiled(steps, y_train.shape[1])
    for epoch in range(int(model.optimizer.iterations) // steps, len(SIZES)):
        started = time.perf_counter()
        rng = np.random.default_rng([SEED, epoch])  # an epoch is the same whether or not the run was interrupted
        order = rng.permutation(len(x_train))
        parts = np.split(resized(x_train[order], SIZES[epoch]), range(2048, len(order), 2048))
        images = np.concatenate([varied(part, rng) for part in parts])  # in parts, which bounds the memory
        seen = model.fit(images, y_train[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0).history
        unfinished = state.with_name("unfinished.keras")
        model.save(unfinished)
        unfinished.replace(state)
        held_out = accuracy(model, resized(x_test, SIZES[epoch]), y_test)
        print(
            f"epoch {epoch + 1:2d} of {len(SIZES)}, {SIZES[epoch]} pixels: accuracy {seen['accuracy'][0]:.3f} in "
            f"training, {held_out:.3f} on held-out images; {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    save(model.layers[0], weights)
    return accuracy(model, x_test, y_test)


def save(network: keras.Model, file: Path) -> None:
    """Store weights as Keras does, compressed: kernels at half precision, batch normalisation at single.

    Keras's own `load_weights` reads the file; each array in it has a checksum.
    """
    with TemporaryDirectory() as folder:
        network.save_weights(Path(folder) / "full.weights.h5")
        with h5py.File(Path(folder) / "full.weights.h5") as full, h5py.File(file, "w") as stored:

            def store(path: str, item: h5py.Group | h5py.Dataset) -> None:
                if isinstance(item, h5py.Group):
                    stored.create_group(path).attrs.update(item.attrs)
                else:
                    value = item[()].astype(np.float16 if item.ndim == 4 else np.float32)
                    stored.create_dataset(
                        path, data=value, chunks=value.shape, compression="gzip", shuffle=True, fletcher32=True
                    )

            full.visititems(store)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.exit(__doc__)
    print(f"accuracy on held-out images: {train(Path(arguments[0]), CHECKPOINTS, WEIGHTS):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
