"""Plant faults in the lessons, one at a time, and print which of them the lesson itself catches, under nbval.

    python tests/mutations.py                     all eighty: about an hour and a half on two cores
    python tests/mutations.py --notebook 03 05    these lessons only, so that two processes can share the work

The faults are those of faults.toml. One is caught when a cell raises (an exact claim that does not hold, or any other
error), or when it gives another output than the one stored: a line that is not ✓ any more, or a figure that says
something else. nbval runs with the course's own settings and stops at the first such cell. Each lesson runs without a
fault first, and has to pass. A run that was cut goes on where it stopped. The exit status is 0 when of every lesson's
faults at most one survives, beside those whose `survives` says why.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree

import nbformat.v4
from nbformat import NotebookNode

import notebook_rules as rules

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "mutations.jsonl"
MOST_SURVIVORS = 1  # of a lesson's faults, beside those that are known to survive
NONE = {"what": "no fault", "old": "", "new": ""}

# What a failing cell says when the notebook's own code is the reason, and not a dead kernel or a slow machine
RAISED, DIFFERS = "Cell execution caused an exception", "Cell outputs differ"


def faults() -> dict[str, list[dict]]:
    """For each lesson what is wrong, the old text, and the new one."""
    return tomllib.loads((ROOT / "tests" / "faults.toml").read_text(encoding="utf-8"))


def lesson(name: str) -> NotebookNode:
    return rules.read_notebook(ROOT / "notebooks" / f"{name}.ipynb")


def code_cells(notebook: NotebookNode) -> list[int]:
    return [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def place_of(notebook: NotebookNode, fault: dict) -> int:
    """The index of the one code cell that has the fault's old text, once."""
    counts = {index: notebook.cells[index].source.count(fault["old"]) for index in code_cells(notebook)}
    found = [index for index, count in counts.items() for _ in range(count)]
    if len(found) != 1:
        raise ValueError(f"{fault['what']}: its old text is in {len(found)} places, expected one")
    return found[0]


def planted(notebook: NotebookNode, fault: dict) -> NotebookNode:
    """A copy of the notebook with the fault; outputs stay as stored."""
    faulty = copy.deepcopy(notebook)
    cell = faulty.cells[place_of(notebook, fault)]
    cell.source = cell.source.replace(fault["old"], fault["new"])
    return faulty


def failing_cell(notebook: NotebookNode, folder: Path) -> tuple[int, str] | None:
    """Run a notebook in this folder under nbval; the index of the first failing cell and why, or None.

    Raises
    ------
    RuntimeError
        When nbval gives no verdict on the code, as after a timeout or without memory.
    """
    path, report = folder / "lesson.ipynb", folder / "report.xml"
    path.write_text(nbformat.v4.writes(notebook), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    command += ["-n", "0", "-x", "-q", "--color=no", f"--junitxml={report}", "-p", "masks", str(path)]
    # The kernel finds the helpers by this variable, the setup cell being in no folder of the course
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    for case in ElementTree.parse(report).iter("testcase") if report.is_file() else ():
        failure = case.find("failure")
        if failure is not None and (why := reason(failure.text or "")):
            # nbval counts the code cells from 0
            return code_cells(notebook)[int(case.get("name", "").removeprefix("Cell "))], why
    raise RuntimeError(f"nbval gave no verdict: {(done.stdout + done.stderr).strip()[-2000:]}")


def reason(report: str) -> str:
    """One line that says why a cell failed; empty when it was not for its code."""
    # junitxml writes the escape character of a terminal's colours as #x1B
    report = re.sub(r"(#x1B|\x1b)\[[0-9;]*m", "", report)
    message, _, traceback = report.partition("Traceback:")
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    if RAISED in message:
        errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt):", line)]
        return (errors or lines or ["an exception"])[-1]
    if DIFFERS in message:
        return "another output: " + " ".join(lines)[:200]
    return ""


def fingerprint(notebook: NotebookNode, fault: dict) -> str:
    """Of all that a run depends on: the lesson with its outputs, the code it calls, and the fault."""
    parts = [nbformat.v4.writes(notebook), fault["old"], fault["new"]]
    parts += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "helpers").rglob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def run(notebook: NotebookNode, fault: dict) -> dict:
    """Whether the fault is caught, in which cell and why; without one the notebook just runs."""
    faulty = notebook if fault is NONE else planted(notebook, fault)
    start = perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        failing = failing_cell(faulty, Path(folder))
    found = {"caught": failing is not None, "seconds": round(perf_counter() - start, 1)}
    if failing is None:
        return found
    index, why = failing
    if fault is not NONE and index < place_of(notebook, fault):
        raise RuntimeError(f"{rules.where(notebook, index)} failed, which comes before the fault: {why}")
    return found | {"cell": rules.where(notebook, index), "why": why}


def known_rows() -> list[dict]:
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.is_file() else []


def result(name: str, notebook: NotebookNode, fault: dict) -> dict:
    """What came of a fault: from an earlier run with the same code, or now."""
    key = {"notebook": name, "what": fault["what"], "code": fingerprint(notebook, fault)}
    key["known"] = fault.get("survives", "")
    row = next((row for row in known_rows() if key.items() <= row.items()), None)
    if row is None:
        row = key | run(notebook, fault)
        if fault is NONE and row["caught"]:  # something to mend, and then to try again
            return row
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return row


def told(row: dict) -> str:
    if row["caught"]:
        return f"✓ {row['what']}: caught at {row['cell']} by {row['why']}"
    return f"✗ {row['what']}: survived" + (f", as known: {row['known']}" if row["known"] else "")


def table(rows: list[dict]) -> None:
    """How many were caught of each lesson's faults; then the survivors."""
    print()
    for name in dict.fromkeys(row["notebook"] for row in rows):
        caught = [row["caught"] for row in rows if row["notebook"] == name]
        print(f"{name:<38}{sum(caught):>3}/{len(caught)}")
    for row in rows:
        if not row["caught"]:
            print(f"✗ {row['notebook']}: {row['what']}")


def main(arguments: list[str]) -> int:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--notebook", nargs="+", default=[""], help="beginnings of names, as 05")
    beginnings = tuple(parser.parse_args(arguments).notebook)
    chosen = {name: its_faults for name, its_faults in faults().items() if name.startswith(beginnings)}
    rows = []
    for name, its_faults in chosen.items():
        notebook = lesson(name)
        control = result(name, notebook, NONE)
        if control["caught"]:
            print(f"{name} fails without a fault, at {control['cell']}: {control['why']}", file=sys.stderr)
            return 1
        print(f"{name}, as it is: {control['seconds']:.0f} s", flush=True)
        for fault in its_faults:
            try:
                row = result(name, notebook, fault)
            except RuntimeError as error:  # for the next run to decide
                print(f"  ? {fault['what']}: {error}", flush=True)
                continue
            rows.append(row)
            print(f"  {told(row)}  ({row['seconds']:.0f} s)", flush=True)
    table(rows)
    survivors = [row["notebook"] for row in rows if not row["caught"] and not row["known"]]
    return 0 if all(survivors.count(name) <= MOST_SURVIVORS for name in chosen) else 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # not every console can show every sign
    sys.exit(main(sys.argv[1:]))
