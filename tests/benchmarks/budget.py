"""Time and memory of every notebook, each executed once in a fresh process; README's table shows them.

    python tests/benchmarks/budget.py

Writes data/results/budget.csv. The bars: 60 seconds on two cores, 90 for notebook 04, which builds seven networks at
full size, and 3 GiB, which a laptop of 8 has left.
"""

import sys

import bars

import whole_course

SECONDS, SECONDS_04, GIB = 60, 90, 3


def main() -> int:
    rows, measured = [], []
    for notebook in whole_course.notebooks():
        found = whole_course.run(notebook, whole_course.SETTINGS["as_it_is"], sys.executable)
        if not found["passed"]:
            raise SystemExit(f"{notebook}: {found['error']}")
        rows.append({"notebook": notebook, "seconds": found["seconds"], "GiB": found["GiB"]})
        most = SECONDS_04 if notebook.startswith("04") else SECONDS
        measured.append(bars.at_most(f"{notebook}: seconds", found["seconds"], most))
        measured.append(bars.at_most(f"{notebook}: GiB", found["GiB"], GIB))
    bars.write_results("budget", rows, "python tests/benchmarks/budget.py")
    return bars.report(["tensorflow", "keras"], measured)


if __name__ == "__main__":
    sys.exit(main())
