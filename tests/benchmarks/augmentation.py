"""What does augmentation buy, and does notebook 03's pipeline keep its network fed?

    python tests/benchmarks/augmentation.py             images a second, with the bars; a minute
    python tests/benchmarks/augmentation.py results     writes data/results/augmentation_*.csv; half an hour

All functions are those of the notebook. The first measures the pipeline beside the training that it feeds and beside
the pipeline that most tutorials write, in turns in one process; the exit status is 1 when a bar is missed. The second
trains the networks of section 6 for the seeds 0 to 4.
"""

import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bars import Row, at_least, report, seconds, write_results  # first: it makes the course's folders importable

import helpers
from helpers import scenes
from helpers.datasets import load
from notebook_code import definitions

with helpers.quiet_import():
    import keras
    import numpy as np
    import tensorflow as tf

NAME = "03_preprocessing_and_augmentation"
COMMAND = "python tests/benchmarks/augmentation.py results"
SEEDS = range(5)
SIZES = (50, 100, 200, 400, 800, 1_600, 3_200)
IMAGES, BATCH, TURNS = 8_192, 128, 5


def matrix(lesson: dict) -> list[dict]:
    """Each augmentation on 200 tidy scenes, tested under each nuisance."""
    render, nuisances = lesson["render"], [knob for knob in scenes.KNOBS if knob not in ("colour", "blur")]
    rows = []
    for seed in SEEDS:
        tidy = render(200, seed)
        tests = {"tidy": render(500, 1_000 + seed)} | {name: render(500, 1_000 + seed, name) for name in nuisances}
        tests["all at once"] = render(500, 1_000 + seed, *nuisances)
        ways = {way: (augment, 300) for way, augment in lesson["augmentations"]().items()}
        ways["six, 10 times as long"] = ways["six together"][0], 3_000
        for way, (augment, steps) in ways.items():
            keras.utils.set_random_seed(seed)
            net = lesson["train_cnn"](tidy.images, tidy.labels, augment, steps)
            for name, test in tests.items():
                accuracy = _accuracy(net, test.images, test.labels)
                rows.append({"trained_with": way, "tested_under": name, "seed": seed, "accuracy": accuracy})
            print(seed, way, *(row["accuracy"] for row in rows[-len(tests) :]), flush=True)
    return rows


def sizes(lesson: dict) -> list[dict]:
    """With and without the gentle augmentation, on ever more images of `shapes`; on the most, also for longer."""
    rows = []
    for seed in SEEDS:
        pose = {"background": "fixed", "viewpoint": "random"}
        data = load("shapes", size=32, n_train=SIZES[-1], n_test=1_000, seed=seed, **pose)
        for count, steps in [*((count, 500) for count in SIZES), (SIZES[-1], 2_000)]:
            for name, augment in (("plain", None), ("augmented", lesson["gentle"])):
                keras.utils.set_random_seed(seed)
                net = lesson["train_cnn"](data.x_train[:count], data.y_train[:count], augment, steps)
                accuracy = _accuracy(net, data.x_test, data.y_test)
                case = {"trained": name, "images": count, "batches": steps, "seed": seed}
                rows.append({**case, "accuracy": accuracy})
            print(seed, count, steps, *(row["accuracy"] for row in rows[-2:]), flush=True)
    return rows


def _accuracy(net: keras.Model, images: np.ndarray, labels: np.ndarray) -> str:
    """As the tables have it: three digits."""
    called = net.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return f"{(called == labels).mean():.3f}"


def speed(lesson: dict) -> list[Row]:
    """Images a second: our pipeline, the training it feeds, and the naive pipeline, in turns."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype="uint8")
    labels = np.arange(IMAGES) % 10
    ours = lesson["pipeline"](images, labels, lesson["gentle"], batch_size=BATCH)
    net = lesson["build_cnn"](10)
    net.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    in_memory = tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH).cache().prefetch(2)

    with TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{number}.png") for number in range(IMAGES // 8)]
        for path, image in zip(paths, images, strict=False):
            keras.utils.save_img(path, image, scale=False)
        naive = _naive(paths, labels[: len(paths)])
        ways = {
            "ours": (lambda: _consume(ours), IMAGES),
            "training": (lambda: net.fit(in_memory, shuffle=False, verbose=0), IMAGES),
            "naive": (lambda: _consume(naive), len(paths)),
        }
        for run, _ in ways.values():
            run()
        rates = {name: [] for name in ways}
        for _ in range(TURNS):
            for name, (run, count) in ways.items():
                rates[name].append(count / seconds(run))
    for name, values in rates.items():
        print(f"{name:<10}{statistics.median(values):>9,.0f} images a second")

    def ratio(below: str) -> float:
        return statistics.median(our / other for our, other in zip(rates["ours"], rates[below], strict=True))

    return [
        at_least("pipeline / training that it feeds", ratio("training"), 5),
        at_least("pipeline / naive pipeline", ratio("naive"), 3),
    ]


def _naive(paths: list[str], labels: np.ndarray) -> tf.data.Dataset:
    """Decode and augment one image at a time, in each epoch again; no cache, no parallel calls, no prefetch."""
    layers = keras.layers
    moves = [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(15 / 360),
        layers.RandomZoom(0.15),
        layers.RandomTranslation(3 / 32, 3 / 32),
    ]

    def example(path, label):
        image = tf.io.decode_png(tf.io.read_file(path), channels=3)
        image = tf.cast(tf.ensure_shape(image, (32, 32, 3)), tf.float32)
        for move in moves:
            image = move(image, training=True)
        return image, label

    return tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths)).map(example).batch(BATCH)


def _consume(batches: tf.data.Dataset) -> None:
    for _ in batches:
        pass


def main(parts: list[str]) -> int:
    lesson = definitions(NAME)
    if "results" in parts:
        write_results("augmentation_matrix", matrix(lesson), COMMAND)
        write_results("augmentation_sizes", sizes(lesson), COMMAND)
    if "speed" in parts:
        return report(["tensorflow", "keras"], speed(lesson))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["speed"]))
