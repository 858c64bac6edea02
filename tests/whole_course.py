"""Execute the whole course under many settings, one factor at a time, and print what passes.

    python tests/whole_course.py                                   everything: about two hours on two cores
    python tests/whole_course.py --notebook 05 06 --setting no_network onednn_off
    python tests/whole_course.py --python ~/colab/bin/python       on another Python, with its versions
    python tests/whole_course.py --margins 20 --notebook 02        how much room bounds leave: seeds 0 to 19

`--margins` alternates one and two threads, and oneDNN on and off, and writes data/results/claims.csv: what each bound
and tolerance measured, over all seeds. There a claim that does not hold is counted; elsewhere the run has failed.

A run that was cut goes on where it stopped: what has passed with the same code is not run again. Two processes can
share the work, each with notebooks of its own. The exit status is 0 when all passes. For Linux; on macOS without the
settings `no_network` and, for root, `read_only`.
"""

import argparse
import csv
import hashlib
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import notebook_rules as rules

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "benchmarks"))
RESULTS = ROOT / "tests" / "whole_course.jsonl"
LIMIT = 600  # seconds for a notebook
SLOWEST = 15

# What differs from an ordinary run: parameters, environment variables, or where the course lies and its kernels run
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
SETTINGS = {
    "as_it_is": {},
    **{f"seed_{seed}": {"parameters": {"SEED": seed}} for seed in (1, 2, 3, 20241234567)},
    "one_thread": {"environment": dict.fromkeys(THREADS, "1")},
    "two_threads": {"environment": dict.fromkeys(THREADS, "2")},
    "onednn_off": {"environment": {"TF_ENABLE_ONEDNN_OPTS": "0"}},
    "no_network": {"place": "no_network"},
    "read_only": {"place": "read_only"},
    "strange_path": {"place": "strange_path"},
    "from_the_root": {"place": "from_the_root"},
}


def margins_setting(seed: int) -> dict:
    threads, onednn = str(1 + seed % 2), str(seed // 2 % 2)
    return {
        "parameters": {"SEED": seed},
        "environment": dict.fromkeys(THREADS, threads) | {"TF_ENABLE_ONEDNN_OPTS": onednn},
    }


def notebooks() -> list[str]:
    """Names as the other functions take them, such as ``solutions/01_convolution_by_hand``; lessons first."""
    return [path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in rules.course_notebooks()]


def fingerprint(notebook: str) -> str:
    """Of all code that a notebook runs; outputs do not count."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "helpers").rglob("*.py"))]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def copied(folder: Path) -> Path:
    """A copy of the course without what is cached or made."""
    course = folder / "the course, für alle"
    shutil.copytree(ROOT, course, ignore=shutil.ignore_patterns(".*", "tensorflow_datasets", "__pycache__", "*.jsonl"))
    return course


def placed(place: str | None, folder: Path) -> tuple[Path, list[str]]:
    """Where the course lies, and a command that runs another one under the setting."""
    if place in (None, "from_the_root"):
        return ROOT, []
    if place == "no_network":
        # A network of its own, with nothing in it but itself: kernels talk over it
        return ROOT, ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    course = copied(folder)
    if place == "strange_path":
        return course, []
    if os.geteuid() == 0:  # root may write where nobody may: have it mounted for reading
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        return course, ["unshare", "-m", "sh", "-c", mount, str(course)]
    for path in [course, *course.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555)
    return course, []


def run(notebook: str, setting: dict, python: str) -> dict:
    """Execute a notebook in a process of its own; what came of it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        course, before = placed(setting.get("place"), Path(folder))
        kernel_folder = str(ROOT) if setting.get("place") == "from_the_root" else ""
        told = json.dumps([notebook, kernel_folder, setting.get("parameters", {})])
        start = perf_counter()
        try:
            done = subprocess.run(
                [*before, python, "-B", str(course / "tests" / "whole_course.py"), "--execute", told],
                env=os.environ | setting.get("environment", {}) | {"PYTHONPATH": str(course)},
                cwd=course, capture_output=True, text=True, timeout=LIMIT,
            )  # fmt: skip
            lines, error = done.stdout.splitlines(), done.stderr.strip()
        except subprocess.TimeoutExpired:
            lines, error, done = [], f"not done after {LIMIT} s", None
        passed = done is not None and done.returncode == 0
        found = json.loads(lines[-1]) if passed else {"error": error.splitlines()[-1] if error else "no word of why"}
        subprocess.run(["chmod", "-R", "u+w", folder], check=False)  # so that it can be removed
        return {"passed": passed, "seconds": round(perf_counter() - start, 1), **found}


def execute(notebook: str, folder: str, parameters: dict) -> None:
    """In the process of `run`: execute, and print the slowest cells, the memory of the kernel and the ledger."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from notebook_code import execute as execute_notebook

    done = execute_notebook(notebook, Path(folder) if folder else None, **parameters)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    slowest = sorted(done.seconds, key=lambda cell: -cell[1])[:SLOWEST]
    cells = [[name, round(taken, 1)] for name, taken in slowest]
    print(json.dumps({"GiB": round(largest, 2), "cells": cells, "ledger": done.ledger}))


def missed(row: dict) -> list[str]:
    """The claims of a run that do not hold."""
    return [
        f"{entry['claim']}: {entry['measured']:.6g} ({entry['bound']})"
        for entry in row.get("ledger", ())
        if not entry["holds"]
    ]


def lesson(row: dict) -> str:
    """The number of a run's notebook: ``02``, or ``solutions/02``."""
    return row["notebook"].partition("_")[0]


def margins(rows: list[dict]) -> list[dict]:
    """A row for each bound and tolerance of each notebook: what was measured of it, over all runs."""
    found: dict[tuple, list[dict]] = {}
    for number, row in enumerate(rows):
        for entry in row.get("ledger", ()):
            found.setdefault((lesson(row), entry["claim"], entry["bound"]), []).append(entry | {"run": number})
    table = []
    for (name, claim, bound), entries in found.items():
        values = [entry["measured"] for entry in entries if math.isfinite(entry["measured"])] or [math.nan]
        numbers = (min(values), max(values), statistics.fmean(values), np.std(values))
        lowest, highest, mean, spread = (f"{value:.4g}" for value in numbers)
        runs, wrong = {entry["run"] for entry in entries}, {entry["run"] for entry in entries if not entry["holds"]}
        table.append(
            {"lesson": name, "claim": claim, "bound": bound, "lowest": lowest, "highest": highest, "mean": mean,
             "standard deviation": spread, "runs": len(runs), "✗": len(wrong)}
        )  # fmt: skip
    return table


def write_margins(rows: list[dict]) -> None:
    """Put these rows in the place of their lessons' old ones in data/results/claims.csv."""
    import bars  # of the benchmarks

    new = margins(rows)
    path = bars.ROOT / "data" / "results" / "claims.csv"
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []
    lessons = {lesson(row) for row in rows}
    kept = [row for row in csv.DictReader(lines) if row["lesson"] not in lessons]
    table = sorted(kept + new, key=lambda row: (row["lesson"].startswith("solutions"), row["lesson"]))
    bars.write_results("claims", table, "python tests/whole_course.py --margins SEEDS")


def mark(row: dict) -> str:
    return "✓" if row["passed"] and not missed(row) else "✗"


def table(rows: list[dict]) -> None:
    """A line for each notebook and a column for each setting; then what failed, and the slowest cells."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    print("\n" + " " * 42 + " ".join(f"{name:>13}" for name in settings))
    for notebook in dict.fromkeys(row["notebook"] for row in rows):
        found = {row["setting"]: row for row in rows if row["notebook"] == notebook}
        marks = [f"{mark(row)} {row['seconds']:.0f} s" for row in map(found.get, settings)]
        print(f"{notebook:<42}" + " ".join(f"{mark:>13}" for mark in marks))
    for row in rows:
        for problem in missed(row) if row["passed"] else [row["error"]]:
            print(f"✗ {row['notebook']}, {row['setting']}: {problem}")
    plain = [row for row in rows if row["setting"] == "as_it_is" and row["passed"]]
    for row in plain:
        print(f"{row['notebook']}: {row['seconds']:.0f} s, {row['GiB']} GiB")
    cells = [(taken, row["notebook"], name) for row in plain for name, taken in row["cells"]]
    for taken, notebook, name in sorted(cells, reverse=True)[:SLOWEST]:
        print(f"{taken:6.1f} s  {notebook}, {name}")


def main(arguments: list[str]) -> int:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--notebook", nargs="+", default=[""], help="beginnings of names, as 05 or solutions/05")
    parser.add_argument("--setting", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--python", default=sys.executable, help="the interpreter to run on")
    parser.add_argument("--margins", type=int, metavar="SEEDS", help="of so many seeds, in place of the settings")
    parser.add_argument("--execute", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.execute:
        execute(*json.loads(options.execute))
        return 0
    chosen = [name for name in notebooks() if name.startswith(tuple(options.notebook))]
    known = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.is_file() else []
    settings = {name: SETTINGS[name] for name in options.setting}
    if options.margins:
        settings = {f"margins_{seed}": margins_setting(seed) for seed in range(options.margins)}
    rows = []
    for name, setting in settings.items():
        for notebook in chosen:
            key = {"notebook": notebook, "setting": name, "python": options.python, "code": fingerprint(notebook)}
            row = next((row for row in known if row["passed"] and key.items() <= row.items()), None)
            if row is None:
                row = key | run(notebook, setting, options.python)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{mark(row)} {notebook}, {name}: {row['seconds']:.0f} s", flush=True)
            rows.append(row)
    table(rows)
    if options.margins:
        write_margins(rows)
        return 0 if all(row["passed"] for row in rows) else 1
    return 0 if all(mark(row) == "✓" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
