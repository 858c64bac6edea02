"""Each fault of faults.toml is one, and mutations.py tells which are caught. All of them take an hour, and no test."""

import ast
import functools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import nbformat.v4
import pytest

import mutations
import notebook_rules as rules

FAULTS = mutations.faults()
lesson = functools.cache(mutations.lesson)  # a copy is planted, the lesson itself stays as it is
EACH = [(name, fault) for name, its_faults in FAULTS.items() for fault in its_faults]


def check_lines(source: str) -> set[int]:
    """The lines of a cell, from 1, that belong to a claim or an assertion."""
    lines = set()
    for node in ast.walk(ast.parse(source)):
        is_claim = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "claim"
        if is_claim or isinstance(node, ast.Assert):
            lines |= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_every_lesson_has_ten_faults_that_are_to_be_caught():
    lessons = [path.stem for path in rules.course_notebooks() if path.parent.name == "notebooks"]
    assert list(FAULTS) == lessons
    assert all(len(its_faults) >= 10 for its_faults in FAULTS.values())
    assert not any("survives" in fault for its_faults in FAULTS.values() for fault in its_faults[:10])
    names = Counter((name, fault["what"]) for name, fault in EACH)
    assert max(names.values()) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_spread(name):
    notebook = lesson(name)
    places = Counter(mutations.place_of(notebook, fault) for fault in FAULTS[name])
    assert max(places.values()) <= 2


@pytest.mark.parametrize(("name", "fault"), EACH, ids=[f"{name[:2]}: {fault['what']}" for name, fault in EACH])
def test_a_fault_changes_what_the_lesson_does_and_not_what_checks_it(name, fault):
    notebook = lesson(name)
    place = mutations.place_of(notebook, fault)
    cell, faulty = notebook.cells[place], mutations.planted(notebook, fault).cells[place]
    assert not {"setup", "parameters"} & set(rules.tags(cell))
    assert "exercises.check(" not in cell.source
    assert ast.dump(ast.parse(faulty.source)) != ast.dump(ast.parse(cell.source))
    assert faulty.outputs == cell.outputs

    start = cell.source.index(fault["old"])
    first = cell.source.count("\n", 0, start) + 1
    touched = set(range(first, first + fault["old"].count("\n") + 1))
    assert not touched & check_lines(cell.source)


def test_an_old_text_has_one_place():
    cells = [nbformat.v4.new_code_cell("a = 1\nb = 1"), nbformat.v4.new_markdown_cell("`a = 1`")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert mutations.place_of(notebook, {"what": "two", "old": "a = 1"}) == 0
    for old, count in (("= 1", 2), ("c = 1", 0)):
        with pytest.raises(ValueError, match=f"two: its old text is in {count} places"):
            mutations.place_of(notebook, {"what": "two", "old": old})


def test_an_output_an_assertion_and_nothing_catch_faults(tmp_path):
    first = nbformat.v4.new_code_cell("shown, checked, unseen = 1, 2, 3\nshown", execution_count=1)
    first.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=1)]
    second = nbformat.v4.new_code_cell('assert checked == 2, "checked is wrong"', execution_count=2)
    text = nbformat.v4.new_markdown_cell("Between the two.")
    notebook = nbformat.v4.new_notebook(cells=[first, text, second])

    def came_of(number: int, new: str) -> tuple[int, str] | None:
        folder = tmp_path / str(number)
        folder.mkdir()
        fault = {"what": "a test", "old": "1, 2, 3", "new": new}
        return mutations.failing_cell(mutations.planted(notebook, fault), folder)

    with ThreadPoolExecutor() as pool:  # each waits for a kernel most of the time
        by_output, by_assertion, survived = pool.map(came_of, range(3), ("0, 2, 3", "1, 0, 3", "1, 2, 0"))
    assert by_output[0] == 0
    assert "mismatch 'text/plain'" in by_output[1]
    assert by_assertion == (2, "AssertionError: checked is wrong")
    assert survived is None


def test_a_run_without_a_verdict_catches_nothing():
    assert mutations.reason("Notebook cell execution failed\nCell 3: Timeout of 300 seconds exceeded") == ""
    assert mutations.reason("plugin exception: Kernel dead on test start") == ""


def test_what_ran_with_the_same_code_does_not_run_again(tmp_path, monkeypatch, capsys):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")])
    faults = [{"what": name, "old": "a = 1", "new": "a = 2"} for name in ("caught", "missed", "missed too")]
    known = {"what": "known", "old": "a = 1", "new": "a = 3", "survives": "nothing reads it"}
    ran = []

    def run(notebook, fault):
        ran.append(fault["what"])
        found = {"caught": fault["what"] == "caught", "seconds": 1}
        return found | ({"cell": "cell 1", "why": "a claim"} if found["caught"] else {})

    monkeypatch.setattr(mutations, "RESULTS", tmp_path / "mutations.jsonl")
    monkeypatch.setattr(mutations, "faults", lambda: {"01_first": [*faults, known], "02_second": [faults[1], known]})
    monkeypatch.setattr(mutations, "lesson", lambda name: notebook)
    monkeypatch.setattr(mutations, "run", run)
    assert mutations.main(["--notebook", "01"]) == 1  # two survive
    assert mutations.main(["--notebook", "01"]) == 1
    assert ran == ["no fault", "caught", "missed", "missed too", "known"]
    printed = capsys.readouterr().out
    assert "✓ caught: caught at cell 1 by a claim" in printed
    assert "✗ known: survived, as known: nothing reads it" in printed
    assert "1/4" in printed
    assert "✗ 01_first: missed" in printed
    assert mutations.main(["--notebook", "02"]) == 0  # one, and one that is known
