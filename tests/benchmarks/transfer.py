"""What the backbone is worth, for notebook 05.

    python tests/benchmarks/transfer.py map               writes data/results/transfer_map.csv; half an hour
    python tests/benchmarks/transfer.py flowers FOLDER    writes data/results/transfer_flowers.csv: linear probes on a
                                                          folder of flower photographs; a minute
    python tests/benchmarks/transfer.py bars [FOLDER]     the bars on `surfaces` and, given a folder of photographs of
                                                          pavements, on these; a quarter of an hour

All functions are those of the notebook. A network from scratch is the same network, with the same augmentation, trained
until it has learned its images, at its best of three learning rates. The set cifar10 is downloaded unless it is there.
"""

import sys
from pathlib import Path

import numpy as np
from bars import at_least, at_most, report, write_results  # first of ours: it makes the course's folders importable

from helpers import backbone
from helpers.datasets import load
from notebook_code import definitions

NAME = "05_transfer_learning"
TARGETS = ("surfaces", "cifar10", "digits", "shapes")
EACH = (5, 20, 80)
SEEDS = range(3)
BAR_SEEDS = range(5)
TRIED = (3e-4, 1e-3, 3e-3)  # learning rates from scratch


def table(lesson: dict) -> list[dict]:
    """Targets, numbers of examples and methods, three seeds each."""
    rows = []
    for target in TARGETS:
        for each in EACH:
            for seed in SEEDS:
                x, y, x_new, y_new = lesson["target_task"](target, each, seed)
                for method in ("frozen", "fine-tuned", "from scratch"):
                    model = lesson["adapted"](method, x, y, seed)
                    row = {"target": target, "each": each, "method": method, "seed": seed}
                    rows.append(row | {"accuracy": f"{lesson['accuracy'](model, x_new, y_new):.3f}"})
                    print(*rows[-1].values(), flush=True)
    return rows


def from_scratch(lesson: dict, tasks: list[tuple]) -> float:
    """Mean accuracy over the tasks at the rate that is best on the first of them."""

    def one(seed: int, rate: float) -> float:
        x, y, x_new, y_new = tasks[seed]
        return lesson["accuracy"](lesson["adapted"]("from scratch", x, y, seed, rate), x_new, y_new)

    first = {rate: one(0, rate) for rate in TRIED}
    best = max(first, key=first.get)
    print(f"from scratch, first seed: {first}", flush=True)
    return float(np.mean([first[best], *(one(seed, best) for seed in range(1, len(tasks)))]))


def probed(lesson: dict, base, tasks: list[tuple]) -> float:
    """Mean accuracy over the tasks of a linear probe."""
    vectors = [(lesson["features"](base, x), y, lesson["features"](base, x_new), y_new) for x, y, x_new, y_new in tasks]
    return float(np.mean([lesson["probe"](*each) for each in vectors]))


def photographs(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All images of a folder and their labels."""
    data = load(folder, size=size)
    return np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])


def task(images: np.ndarray, labels: np.ndarray, each: int, seed: int) -> tuple:
    """So many images, or features of images, of each class to learn from, all others to test on."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)])
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    return images[chosen], labels[chosen], images[others], labels[others]


def flowers(lesson: dict, folder: Path) -> list[dict]:
    """Linear probes on both backbones."""
    rows = []
    for name, size in (("course", 64), ("mobilenet_v2", 160)):
        images, labels = photographs(folder, size)
        vectors = lesson["features"](backbone.load(name), images)
        for each in (5, 10, 20, 40):
            for seed in SEEDS:
                row = {"backbone": name, "size": size, "each": each, "seed": seed}
                rows.append(row | {"accuracy": f"{lesson['probe'](*task(vectors, labels, each, seed)):.3f}"})
                print(*rows[-1].values(), flush=True)
    return rows


def bars(lesson: dict, folder: Path | None) -> int:
    course = backbone.load()
    tasks = [lesson["target_task"]("surfaces", 5, seed) for seed in BAR_SEEDS]
    by_hand = [
        lesson["probe"](lesson["statistics"](x), y, lesson["statistics"](x_new), y_new) for x, y, x_new, y_new in tasks
    ]
    ours, scratch = probed(lesson, course, tasks), from_scratch(lesson, tasks)
    print(f"surfaces, 5 a class: probe {ours:.1%}, from scratch {scratch:.1%}")
    rows = [
        at_most("surfaces: six statistics", float(np.mean(by_hand)), 0.9),
        at_least("surfaces: probe minus scratch", ours - scratch, 0.12),
    ]
    if folder is not None:
        small, large = photographs(folder, 48), photographs(folder, 160)
        tasks = [task(*small, 20, seed) for seed in BAR_SEEDS]
        ours, scratch = probed(lesson, course, tasks), from_scratch(lesson, tasks)
        vectors = lesson["features"](backbone.load("mobilenet_v2"), large[0])
        theirs = float(np.mean([lesson["probe"](*task(vectors, large[1], 20, seed)) for seed in BAR_SEEDS]))
        print(f"pavements, 20 a class: probe {ours:.1%}, from scratch {scratch:.1%}, MobileNetV2's probe {theirs:.1%}")
        rows += [
            at_least("pavements: probe minus scratch", ours - scratch, 0.15),
            at_most("pavements: MobileNetV2 minus ours", theirs - ours, 0.12),
        ]
    return report(["tensorflow", "keras"], rows)


def main(arguments: list[str]) -> int:
    lesson = definitions(NAME)
    if arguments == ["map"]:
        write_results("transfer_map", table(lesson), "python tests/benchmarks/transfer.py map")
        return 0
    if arguments[:1] == ["flowers"] and len(arguments) == 2:
        rows = flowers(lesson, Path(arguments[1]))
        write_results("transfer_flowers", rows, "python tests/benchmarks/transfer.py flowers FOLDER")
        return 0
    if arguments[:1] == ["bars"]:
        return bars(lesson, Path(arguments[1]) if arguments[1:] else None)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
