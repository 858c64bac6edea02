"""Are the scenes rendered, and the data sets loaded, quickly enough?

    python tests/benchmarks/data.py

Prints one line for each bar; the exit status is 1 when one is missed. Sets of tensorflow-datasets are timed where they
are cached, without a bar: their time is that of decoding.
"""

import statistics
import sys

from bars import Row, at_least, at_most, report, seconds  # first: it makes the course's folders importable

from helpers import real, scenes
from helpers.datasets import load

SCENES = 2_000


def rendering() -> list[Row]:
    """Scenes of 32×32 a second; the renderer uses one core."""
    everything = dict.fromkeys(scenes.KNOBS, "random")

    def rate(**settings) -> float:
        times = [seconds(lambda: scenes.render(SCENES, **settings)) for _ in range(5)]
        return SCENES / statistics.median(times)

    scenes.render(1, **everything)
    return [
        at_least("scenes a second, default knobs", rate(), 2_000),
        at_least("scenes a second, all knobs random", rate(**everything), 2_000),
        at_least("scenes a second, three objects in each", rate(objects=3), 2_000),
    ]


def loading() -> list[Row]:
    rows = []
    for name, options in (("digits", {}), ("digits", {"size": 32}), ("surfaces", {}), ("faces", {}), ("shapes", {})):
        load(name, **options)  # imports what it needs
        label = "".join(f", {key} {value}" for key, value in options.items())
        median = statistics.median(seconds(lambda name=name, options=options: load(name, **options)) for _ in range(5))
        rows.append(at_most(f"load {name}{label}, seconds", median, 0.5))
    return rows


def main() -> int:
    for name in (name for name in real.KNOWN if (real.cache_folder() / name).is_dir()):
        real.names()  # imports TensorFlow
        print(f"load {name}: {seconds(lambda name=name: load(name)):.1f} s")
    return report(["numpy", "Pillow", "scikit-image"], [*rendering(), *loading()])


if __name__ == "__main__":
    sys.exit(main())
