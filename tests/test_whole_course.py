"""What whole_course.py makes of the ledgers of many runs. The runs themselves take hours, and no test."""

import csv

import bars
import pytest

from helpers import claims

pytest.importorskip("resource", reason="whole_course.py is not for Windows")

import whole_course

NAN = float("nan")
HEADER = ("lesson", "claim", "bound", "lowest", "highest", "mean", "standard deviation", "runs", "✗")
FAILED = {"notebook": "02_x", "passed": False, "error": "no word of why"}


def run(notebook: str, *measured: float, claim: str = "right, of all", bound: str = "≥ 0.8") -> dict:
    """A run in which one claim was made, once for each measured value."""
    ledger = [{"claim": claim, "bound": bound, "measured": value, "holds": value >= 0.8} for value in measured]
    return {"notebook": notebook, "passed": True, "ledger": ledger}


@pytest.mark.parametrize(
    "measured, numbers",
    [
        ([[0.9], [0.7], [0.8]], ["0.7", "0.9", "0.8", "0.08165", 3, 1]),
        ([[0.9], [NAN], [0.7]], ["0.7", "0.9", "0.8", "0.1", 3, 2]),
        ([[NAN]], ["nan", "nan", "nan", "nan", 1, 1]),
        ([[0.9, 0.7], [0.6, 0.6]], ["0.6", "0.9", "0.7", "0.1225", 2, 2]),  # twice within a run
    ],
)
def test_margins_has_a_row_for_each_claim(measured, numbers):
    rows = [run("02_x", *values) for values in measured]
    expected = ["02", "right, of all", "≥ 0.8", *numbers]
    assert whole_course.margins([*rows, FAILED]) == [dict(zip(HEADER, expected, strict=True))]


def test_margins_tells_lessons_claims_and_bounds_apart():
    names = ["01_x", "solutions/01_x", "01_x"]
    rows = [run(name, 0.9) for name in names] + [run("01_x", 0.9, claim="other"), run("01_x", 0.9, bound="≥ 0.7")]
    found = [(row["lesson"], row["runs"]) for row in whole_course.margins(rows)]
    assert found == [("01", 2), ("solutions/01", 1), ("01", 1), ("01", 1)]


def test_only_the_rows_of_lessons_that_ran_are_replaced(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "results" / "claims.csv"
    monkeypatch.setattr(bars, "ROOT", tmp_path)
    whole_course.write_margins([run("solutions/01_x", 0.9), run("03_x", 0.9), run("02_x", 0.9, claim="an old one")])
    whole_course.write_margins([run("02_x", 0.8), run("02_x", 0.9)])
    assert capsys.readouterr().out == f"{path}\n{path}\n"
    _, *lines = path.read_text(encoding="utf-8").splitlines()  # the first is a comment
    found = [(row["lesson"], row["claim"], row["mean"]) for row in csv.DictReader(lines)]
    means = {"02": "0.85", "03": "0.9", "solutions/01": "0.9"}
    assert found == [(lesson, "right, of all", mean) for lesson, mean in means.items()]

    # A lesson on other data reads the same table
    monkeypatch.setattr(claims, "MARGINS", path)
    claims.judge_bounds(False, lesson="02")
    claims.claim("right, of all", 0.5, claims.at_least(0.8))
    claims.judge_bounds(True, lesson="02")
    claims.ledger.clear()
    assert capsys.readouterr().out.endswith(" 0.5 (lesson: 0.85)  ·\n")


@pytest.mark.parametrize("first", [0, 1, 6])
def test_four_seeds_in_a_row_have_all_threads_and_onednn(first):
    settings = {seed: whole_course.margins_setting(seed) for seed in range(first, first + 4)}
    assert all(setting["parameters"] == {"SEED": seed} for seed, setting in settings.items())
    names = (*whole_course.THREADS, "TF_ENABLE_ONEDNN_OPTS")
    found = {tuple(setting["environment"][name] for name in names) for setting in settings.values()}
    assert found == {(threads, threads, threads, onednn) for threads in "12" for onednn in "01"}


def test_missed_names_the_claims_that_do_not_hold():
    names = ["right, of all: 0.71239 (≥ 0.8)", "right, of all: nan (≥ 0.8)"]
    assert whole_course.missed(run("02_x", 0.9, 0.71239, NAN)) == names
    assert whole_course.missed(FAILED) == []
