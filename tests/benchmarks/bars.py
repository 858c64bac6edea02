"""What the benchmarks share: timing, one line for each bar, and the tables of results."""

import csv
import datetime
import os
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

Row = tuple[str, float, str, bool]  # what, measured, bar, holds


def seconds(function: Callable[[], object]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """How many times longer `ours` takes: the median over rounds in which each runs once."""
    ours(), theirs()
    return statistics.median(seconds(ours) / seconds(theirs) for _ in range(rounds))


def at_most(what: str, measured: float, bar: float) -> Row:
    return what, measured, f"≤ {bar:g}", measured <= bar


def at_least(what: str, measured: float, bar: float) -> Row:
    return what, measured, f"≥ {bar:g}", measured >= bar


def report(packages: list[str], rows: list[Row]) -> int:
    """Print the versions of these packages and the rows; return the exit status, 1 if a bar is missed."""
    print(", ".join([*(f"{package} {version(package)}" for package in packages), f"{os.cpu_count()} CPUs"]))
    print(f"{'what':<48} {'measured':>9} {'bar':>7}  holds")
    for what, measured, bar, holds in rows:
        print(f"{what:<48} {measured:>9.3g} {bar:>7}  {'yes' if holds else 'NO'}")
    return 0 if all(holds for *_, holds in rows) else 1


def write_results(name: str, rows: list[dict], command: str) -> None:
    """Write a table to data/results; its first line says when, with what and by which command it was made."""
    path = ROOT / "data" / "results" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        versions = ", ".join(f"{package} {version(package)}" for package in ("tensorflow", "keras"))
        file.write(f"# {datetime.date.today()}, {versions}: {command}\n")
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(path)
