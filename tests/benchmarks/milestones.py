"""The race of the seven twins, and training error against depth, for notebook 04.

    python tests/benchmarks/milestones.py race      writes data/results/milestones_race.csv; eight minutes
    python tests/benchmarks/milestones.py depth     writes data/results/milestones_depth.csv; five minutes

All functions are those of the notebook, with its data and budget, for the seeds 0 to 2.
"""

import sys

from bars import write_results  # first: it makes the course's folders importable

import helpers
from helpers.datasets import load
from notebook_code import definitions

with helpers.quiet_import():
    import keras

NAME = "04_milestone_architectures"
SEEDS = range(3)
BUDGET = 200e9
BLOCKS = (3, 6, 9, 15, 21)


def race(lesson: dict) -> list[dict]:
    """Each twin with the same budget of multiply-adds."""
    data = lesson["load_for_race"]("shapes")
    rows = []
    for name in lesson["twins"](67, 10):
        for row in lesson["race"](name, data, SEEDS, BUDGET):
            rows.append(row | {"accuracy": f"{row['accuracy']:.3f}", "seconds": f"{row['seconds']:.1f}"})
            print(*rows[-1].values(), flush=True)
    return rows


def depth(lesson: dict) -> list[dict]:
    """Plain and residual chains of several depths on the digits."""
    digits = load("digits", size=16, dtype="float32")
    rows = []
    for seed in SEEDS:
        for blocks in BLOCKS:
            for kind in ("plain", "residual"):
                keras.utils.set_random_seed(seed)
                net = lesson["build_chain"](blocks, kind == "residual")
                lesson["train_chain"](net, digits)
                row = {"network": kind, "layers": 2 * blocks + 2, "seed": seed}
                for part, images, labels in (
                    ("training_error", digits.x_train, digits.y_train),
                    ("test_error", digits.x_test, digits.y_test),
                ):
                    row[part] = f"{lesson['error'](net, images, labels):.3f}"
                rows.append(row)
                print(*row.values(), flush=True)
    return rows


def main(parts: list[str]) -> int:
    lesson = definitions(NAME)
    for part in parts:
        rows = {"race": race, "depth": depth}[part](lesson)
        write_results(f"milestones_{part}", rows, f"python tests/benchmarks/milestones.py {part}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["race", "depth"]))
