"""nbval compares a notebook's words exactly, and of an inexact number only that there is one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat.v4
import pytest

from helpers.claims import at_least, claim
from masks import masked

COURSE = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("one", "other", "is_exact", "is_same"),
    [
        # What a bound or a tolerance measured may differ in any cell, and what a tolerance is about
        ("accuracy      0.975 (≥ 0.83)  ✓", "accuracy        0.9 (≥ 0.83)  ✓", True, True),
        ("accuracy  0.8 to 0.9 (≥ 0.8)  ✓", "accuracy    -1e-05 (≥ 0.8)  ✓", True, True),
        ("the sums   apart by 2e-08 (≤ 1e-06)  ✓", "the sums   apart by 0 (≤ 1e-06)  ✓", True, True),
        ("a loss   2.303, apart by 2e-08 (≤ 1e-06)  ✓", "a loss   2.3, apart by 0 (≤ 1e-06)  ✓", True, True),
        ("width (cm)   0.671 (0.667 ± 8 %)  ✓  [A]", "width (cm)   0.67 (0.666 ± 8 %)  ✓  [A]", True, True),
        # its limit, name, mark and source may not
        ("accuracy      0.975 (≥ 0.83)  ✓", "accuracy      0.975 (≥ 0.8)  ✓", True, False),
        ("accuracy      0.975 (≥ 0.83)  ✓", "error         0.975 (≥ 0.83)  ✓", True, False),
        ("accuracy      0.975 (≥ 0.83)  ✓", "accuracy      0.975 (≥ 0.83)  ✗", True, False),
        ("width   0.671 (0.667 ± 8 %)  ✓", "width   0.671 (0.667 ± 9 %)  ✓", True, False),
        ("width   0.671 (0.667 ± 8 %)  ✓  [A]", "width   0.671 (0.667 ± 8 %)  ✓  [B]", True, False),
        # Exact claims and all other numbers are compared, but in cells that are tagged
        ("parameters   5,258  ✓", "parameters   5,259  ✓", True, False),
        ("parameters   5,258  ✓", "parameters   5,259  ✓", False, True),
        ("Bars of loss. a: 0.5; b: 1,200.", "Bars of loss. a: 0.5; b: −3e−05.", True, False),
        ("Bars of loss. a: 0.5; b: 1,200.", "Bars of loss. a: 0.5; b: −3e−05.", False, True),
        ("loss  0.31   12 ms", "loss 0.3 1,200 ms", False, True),
        # and there words are too
        ("Bars of loss. a: 0.5; b: 1.", "Bars of loss. b: 0.5; a: 1.", False, False),
        ("Bars of loss. a: 0.5; b: 1.", "Bars of loss. a: 0.5.", False, False),
        ("accuracy      0.975 (≥ 0.83)  ✓", "accuracy      0.975 (≥ 0.83)  ✗", False, False),
        ("a loss of nan", "a loss of 0.5", False, False),
    ],
)
def test_what_is_compared(one, other, is_exact, is_same):
    assert (masked(one, is_exact) == masked(other, is_exact)) == is_same


def test_what_is_no_text_is_left_alone():
    assert masked({"a": 1}, is_exact=False) == {"a": 1}


def test_lines_that_claim_prints_are_masked(capsys):
    claim("a name: 3 × 4 (5)", 0.975, at_least(0.83), source="A 2012")
    claim("a ratio", 0.671, 2 / 3, rtol=0.08)
    claim("arrays", [1.0, 2.0], [1.0, 2.0 + 1e-9], rtol=1e-6)
    claim("a number", 0.5, 0.5, rtol=1e-6)
    claim("exact", 5258, 5258)
    assert masked(capsys.readouterr().out, is_exact=True).splitlines() == [
        "a name: 3 × 4 (5)  # (≥ 0.83)  ✓  [A 2012]",
        "a ratio  # (# ± 8 %)  ✓",
        "arrays  # (≤ 1e-06)  ✓",
        "a number  # (≤ 1e-06)  ✓",
        f"exact{' ' * 75}5,258  ✓",
    ]


FIGURE = """from helpers import plots
plots.plot_bars({"a": VALUES[0], "b": VALUES[1]}, x_label="loss")"""
CLAIM = """from helpers.claims import at_least, claim
claim("a value", VALUES[1], at_least(2))"""


def test_nbval_compares_figures_and_claims(tmp_path: Path):
    """What is stored was measured as 1 and 2; now it is 1 and 3, or 1 and 1."""

    def stored(name: str, second: int) -> None:
        alt = {"text/plain": "Bars of loss. a: 1; b: 2.", "image/png": ""}
        ledger = f"a value{' ' * 70}2 (≥ 2)  ✓\n"
        outputs = [
            [],
            [nbformat.v4.new_output("execute_result", alt, execution_count=2)],
            [nbformat.v4.new_output("execute_result", alt, execution_count=3)],
            [nbformat.v4.new_output("stream", text=ledger)],
        ]
        sources = [f"VALUES = [1, {second}]", FIGURE, FIGURE, CLAIM]
        cells = [
            nbformat.v4.new_code_cell(source, outputs=output, execution_count=number)
            for number, (source, output) in enumerate(zip(sources, outputs, strict=True), start=1)
        ]
        cells[2].metadata.tags = ["inexact"]
        (tmp_path / f"{name}.ipynb").write_text(nbformat.v4.writes(nbformat.v4.new_notebook(cells=cells)), "utf-8")

    for name, second in (("a_same", 2), ("b_more", 3), ("c_less", 1)):
        stored(name, second)
    (tmp_path / "conftest.py").write_text((COURSE / "notebooks" / "conftest.py").read_text("utf-8"), "utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(COURSE / "pyproject.toml"), "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(COURSE), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [*command, "-v", "-n", "0", str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    verdicts = re.findall(r"(\w+)\.ipynb::Cell (\d) (PASSED|FAILED)", done.stdout)
    failed = [(name, int(cell)) for name, cell, verdict in verdicts if verdict == "FAILED"]
    assert len(verdicts) == 12 and failed == [("b_more", 1), ("c_less", 1), ("c_less", 3)], done.stdout
