"""`python -m helpers` finds what is broken, and says of everything what to do about it.

Only the first test imports TensorFlow; none needs a network.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import notebook_rules as rules
from helpers import __main__ as doctor
from helpers import backbone

REMEDY = re.compile(r": (run|make|remove|rename|close|set) ")
NOTEBOOK = "01_convolution_by_hand.ipynb"


def only(problems: list[str]) -> str:
    """The one problem that there is, which has to say what to do."""
    (problem,) = problems
    assert REMEDY.search(problem), problem
    return problem


@pytest.fixture
def course(tmp_path):
    """A copy of the course with two of its notebooks, in a folder with a strange name."""
    root = tmp_path / "Mein Kurs – été 画像"
    shutil.copytree(rules.ROOT / "helpers", root / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "requirements.txt",
        "data/backbone.weights.h5",
        f"notebooks/{NOTEBOOK}",
        f"notebooks/solutions/{NOTEBOOK}",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(rules.ROOT / name, root / name)
    return root


@pytest.fixture
def fake_tensorflow(tmp_path, monkeypatch):
    """Puts this code in the place of TensorFlow, for new processes."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    return lambda code: (tmp_path / "tensorflow.py").write_text(code, encoding="utf-8")


# The whole command


def test_the_command_as_it_is_typed(course):
    chosen = ("KERAS_BACKEND", "TFDS_DATA_DIR", "JUPYTER_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    command = [sys.executable, "-X", "utf8", "-m", "helpers"]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    *lines, empty, verdict = done.stdout.splitlines()
    assert (empty, verdict) == ("", "All is well.")
    sets = course / "data" / "tensorflow_datasets"
    shown = {line[:21].rstrip(): line[21:] for line in lines}
    assert shown["course"] == str(course)
    assert shown["Keras's backend"] == "tensorflow"
    assert shown["GPUs"]
    assert shown["real data sets"] == f"none, and none is needed, in {sets}"
    assert shown["backbone"] == str(course / "data" / "backbone.weights.h5")
    assert "changed cells" not in shown
    assert not sets.exists()


def test_the_command_works_with_the_standard_library_only():
    code = f"import runpy, sys; sys.path[:0] = [{str(rules.ROOT)!r}]; runpy.run_module('helpers', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (1, "")
    _, problems = done.stdout.split("What is wrong, and what to do:\n")
    assert "- tensorflow is missing, keras is missing, numpy is missing" in problems
    assert all(REMEDY.search(problem) for problem in problems.splitlines())


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(monkeypatch, capsys):
    for name in ("packages", "keras", "data", "kernel"):
        monkeypatch.setattr(doctor, name, lambda: ([], []))
    monkeypatch.setattr(doctor, "python", lambda: {}["a missing key"])
    monkeypatch.setattr(doctor, "notebooks", lambda: ([("last", "line")], []))
    assert doctor.main() == 1
    line, empty, title, problem = capsys.readouterr().out.splitlines()
    assert (line.split(), empty, title) == (["last", "line"], "", "What is wrong, and what to do:")
    assert "a missing key" in only([problem])


# Python and packages


@pytest.mark.parametrize("version, fits", [((3, 10, 13), 0), ((3, 11, 0), 1), ((3, 13, 9), 1), ((3, 14, 0), 0)])
def test_python_has_to_be_one_that_the_readme_names(version, fits):
    readme = (rules.ROOT / "README.md").read_text(encoding="utf-8")
    assert "You need Python {}.{} to {}.{} ".format(*doctor.OLDEST, *doctor.NEWEST) in readme
    _, problems = doctor.python(version)
    assert not problems if fits else "3.11 to 3.13" in only(problems)


@pytest.mark.parametrize(
    "change, said",
    [
        ({}, None),
        ({"numpy": "2.5.0rc1"}, None),
        ({"numpy": None}, "numpy is missing: "),
        ({"numpy": "1.9.3"}, "numpy is 1.9.3, not >=1.26: "),
        ({"filelock": "3.9"}, "filelock is 3.9, not >=3.13: "),
        ({"numpy": None, "scikit-learn": "1.3.2"}, "numpy is missing, scikit-learn is 1.3.2, not >=1.4: "),
    ],
)
def test_packages_have_to_be_there_in_a_version_that_will_do(change, said):
    requirements = "# all\nnumpy>=1.26\nscikit-learn>=1.4\n\nfilelock>=3.13    # for another\n"
    versions = {"numpy": "2.1.0", "scikit-learn": "1.4", "filelock": "3.13", **change}
    lines, problems = doctor.packages(requirements, versions.get)
    assert lines == [(name, version or "missing") for name, version in versions.items()]
    assert only(problems).startswith(said + "run 'python -m pip install") if said else not problems


# Keras


def test_another_backend_is_a_problem_and_tensorflow_is_tried_anyway(fake_tensorflow, monkeypatch):
    fake_tensorflow("import os; raise ValueError(os.environ['KERAS_BACKEND'])")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    lines, (backend, broken) = doctor.keras()
    assert ("Keras's backend", "jax") in lines
    assert only([backend]).startswith("KERAS_BACKEND is 'jax', and the course needs 'tensorflow': remove")
    assert "(ValueError: tensorflow)" in only([broken])


@pytest.mark.parametrize(
    "code, said",
    [
        ("import a_missing_package", "(ModuleNotFoundError: No module named 'a_missing_package')"),
        (r"raise ImportError('Traceback:\nImportError: no DLL\n\nSee the web.')", "(ImportError: no DLL)"),
        ("import os; os._exit(3)", "(exit status 3)"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "(Illegal instruction",
            marks=pytest.mark.skipif(os.name == "nt", reason="signals are a matter of POSIX"),
        ),
    ],
)
def test_a_broken_tensorflow_is_reported_in_a_line(fake_tensorflow, code, said):
    fake_tensorflow(code)
    _, problems = doctor.keras()
    assert said in only(problems)
    assert "\n" not in problems[0]


def test_a_tensorflow_that_hangs_is_given_up(fake_tensorflow):
    fake_tensorflow("import time; time.sleep(60)")
    _, problems = doctor.keras(patience=0.5)
    assert only(problems).startswith("Importing TensorFlow takes more than 0.5 s: ")


# Data, Jupyter and notebooks


def test_a_cache_that_cannot_be_written_and_a_missing_backbone_are_problems(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "file" / "sets"))
    monkeypatch.setattr(backbone, "WEIGHTS", tmp_path / "backbone.weights.h5")
    _, (missing, unwritable) = doctor.data()
    assert "git checkout -- data/backbone.weights.h5" in only([missing])
    assert f"{tmp_path / 'file'} cannot be written to (" in only([unwritable])


def test_what_was_fetched_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    mobilenet = tmp_path / "keras" / "models" / backbone.mobilenet_file().name
    for file in (tmp_path / "mnist" / "3.0.1" / "dataset_info.json", mobilenet):
        file.parent.mkdir(parents=True)
        file.touch()
    lines, problems = doctor.data()
    assert {("real data sets", f"mnist, in {tmp_path}"), ("MobileNetV2", mobilenet)} < set(lines)
    assert not problems


@pytest.mark.parametrize("program, is_this", [("python", True), ("python3", True), ("/elsewhere/bin/python", False)])
def test_the_kernel_has_to_be_this_python(tmp_path, monkeypatch, program, is_this):
    spec = {"argv": [program, "-m", "ipykernel_launcher"], "display_name": "Python 3", "language": "python"}
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    lines, problems = doctor.kernel()
    assert lines[-1] == ("its kernel python3", sys.executable if is_this else program)
    assert not problems if is_this else str(folder) in only(problems)


def test_a_file_that_hides_a_module_is_a_problem(tmp_path):
    for name in ("random.py", "my_own_module.py", "no module.py"):
        (tmp_path / name).touch()
    _, problems = doctor.notebooks(tmp_path)
    assert only(problems).startswith(f"Notebooks import {tmp_path / 'random.py'} in place of ")


def test_changed_cells_are_counted_and_a_damaged_notebook_is_a_problem(course):
    folder = course / "notebooks"
    notebook = rules.read_notebook(folder / NOTEBOOK)
    for cell in [cell for cell in notebook.cells if cell.cell_type == "code"][1:3]:
        cell.source += "\n1 / 0"
    (folder / NOTEBOOK).write_text(json.dumps(notebook), encoding="utf-8")
    (folder / "solutions" / NOTEBOOK).write_text('{"cells": [', encoding="utf-8")
    lines, problems = doctor.notebooks(folder)
    assert lines == [("changed cells", f"2 in {NOTEBOOK}")]
    assert only(problems).startswith(f"solutions/{NOTEBOOK} is no notebook any more: run 'git checkout -- solutions/")
