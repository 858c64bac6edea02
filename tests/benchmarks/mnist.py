"""How quickly do two cores reach 99.0 % on MNIST, and how few errors do 62,000 parameters make?

    TFDS_DATA_DIR=… python tests/benchmarks/mnist.py            both, about half an hour
    TFDS_DATA_DIR=… python tests/benchmarks/mnist.py speed      or one of them
    TFDS_DATA_DIR=… python tests/benchmarks/mnist.py errors

`speed` compares section 10 of notebook 02 with the network and settings of keras.io's example "Simple MNIST convnet",
that one under TensorFlow's default settings and again under the course's. `errors` trains a small network for longer,
and compares with the 82 errors of LeNet-5.

Every training has a process of its own, and the ways take turns. The clock runs from before the model is built to the
end of the last epoch; imports, loading and test evaluations are left out. The example stops after the first epoch with
99.0 % of the test images right. Ours has its number of epochs fixed beforehand, and a seed that then misses 99.0 %
fails. Our settings were chosen by training on the first 50,000 training images and looking at the last 10,000.

Prints one line for each bar; the exit status is 1 when one is missed.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bars import Row, at_least, at_most, report  # first: it makes the course's folders importable

SEEDS = (0, 1, 2)
MOST_ERRORS = 100  # of 10,000: 99.0 %
LENET_ERRORS = 82  # LeCun et al. 1998
QUICK_EPOCHS, QUICK_BATCH = 2, 192  # those of the notebook
SMALL_EPOCHS = 10


# In a process of its own


def example(keras, x, y, seed: int, errors) -> dict:
    """keras.io's example on all training images, until the goal; it is given 15 epochs."""
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    start = perf_counter()
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    seconds, epochs = perf_counter() - start, 0
    while epochs < 15 and (not epochs or errors(model) > MOST_ERRORS):
        start = perf_counter()
        model.fit(x, y, batch_size=128, verbose=0)
        seconds += perf_counter() - start
        epochs += 1
    return {"model": model, "seconds": seconds, "epochs": epochs}


def quick(keras, x, y, seed: int, errors) -> dict:
    """Section 10 of notebook 02."""
    from notebook_code import definitions

    lesson = definitions("02_building_cnns_with_keras")
    keras.utils.set_random_seed(seed)
    start = perf_counter()
    model = lesson["build_quick"]()
    rate = lesson["rise_and_fall"](QUICK_EPOCHS * -(-len(x) // QUICK_BATCH))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, steps_per_execution=16)
    model.fit(x, keras.utils.to_categorical(y, 10), batch_size=QUICK_BATCH, epochs=QUICK_EPOCHS, verbose=0)
    return {"model": model, "seconds": perf_counter() - start, "epochs": QUICK_EPOCHS}


def small(keras, x, y, seed: int, errors) -> dict:
    """A deeper net of the same kind; in each epoch every image is moved anew, by up to one pixel each way."""
    import numpy as np

    from notebook_code import definitions

    rise_and_fall = definitions("02_building_cnns_with_keras")["rise_and_fall"]
    layers = keras.layers
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    start = perf_counter()
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(24, 5, strides=2, padding="same", activation="relu"),
    ])  # fmt: skip
    for filters, strides in ((32, 1), (48, 2), (40, 2)):
        model.add(layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(32, use_bias=False))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.ReLU())
    model.add(layers.Dense(10))
    rate = rise_and_fall(SMALL_EPOCHS * -(-len(x) // 128))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    targets = keras.utils.to_categorical(y, 10)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[..., 0], ((0, 0), (1, 1), (1, 1))), (28, 28), (1, 2))
    for _ in range(SMALL_EPOCHS):
        down, right = rng.integers(0, 3, (2, len(x)))
        model.fit(windows[np.arange(len(x)), down, right][..., None], targets, batch_size=128, verbose=0)
    return {"model": model, "seconds": perf_counter() - start, "epochs": SMALL_EPOCHS}


def train(way: str, seed: int, file: str) -> None:
    """Train in this process, and print the outcome as one line of JSON."""
    import keras
    import numpy as np

    with np.load(file) as data:
        x, y, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))

    def errors(model) -> int:
        return int((model.predict(x_test, batch_size=500, verbose=0).argmax(axis=1) != y_test).sum())

    outcome = {"example": example, "quick": quick, "small": small}[way](keras, x, y, seed, errors)
    model = outcome.pop("model")
    print(json.dumps({**outcome, "errors": errors(model), "parameters": model.count_params()}))


# In the first process


def run(way: str, seed: int, file: Path, onednn: str | None) -> dict:
    """Train in a new process; `onednn` is TensorFlow's setting, None for what TensorFlow itself chooses."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    if onednn:
        environment["TF_ENABLE_ONEDNN_OPTS"] = onednn
    command = [sys.executable, __file__, "train", way, str(seed), str(file)]
    printed = subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL, text=True)
    outcome = json.loads(printed.splitlines()[-1])
    setting = "course's settings" if onednn else "TensorFlow's settings"
    print(
        f"{way:<8} {setting:<22} seed {seed}: {outcome['seconds']:6.1f} s, {outcome['epochs']:2} epochs, "
        f"{outcome['errors']:3} errors, {outcome['parameters']:,} parameters",
        flush=True,
    )
    return outcome


def speed(file: Path) -> list[Row]:
    ways = {"ours": ("quick", "1"), "default": ("example", None), "course": ("example", "1")}
    outcomes = {name: [] for name in ways}
    for seed in SEEDS:
        for name, (way, onednn) in ways.items():
            outcomes[name].append(run(way, seed, file, onednn))
    seconds = {name: statistics.median(outcome["seconds"] for outcome in runs) for name, runs in outcomes.items()}
    return [
        at_most("errors of the quick network, worst seed", max(o["errors"] for o in outcomes["ours"]), MOST_ERRORS),
        at_least("the example, TensorFlow's settings / ours", seconds["default"] / seconds["ours"], 12),
        at_least("the example, the course's settings / ours", seconds["course"] / seconds["ours"], 9),
    ]


def errors(file: Path) -> list[Row]:
    outcomes = [run("small", seed, file, "1") for seed in SEEDS]
    return [
        at_most("parameters of the small network", outcomes[0]["parameters"], 62_000),
        at_most("its errors, worst seed", max(outcome["errors"] for outcome in outcomes), LENET_ERRORS - 1),
    ]


def main(parts: list[str]) -> int:
    import numpy as np

    from helpers.datasets import load

    data = load("mnist", dtype="float32")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mnist.npz"
        names = ("x_train", "y_train", "x_test", "y_test")
        np.savez(file, **{name: getattr(data, name) for name in names})
        rows = [row for part in parts for row in {"speed": speed, "errors": errors}[part](file)]
    return report(["tensorflow", "keras"], rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main(sys.argv[1:] or ["speed", "errors"]))
