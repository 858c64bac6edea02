"""tests/colab.py: its stub and its clone are what a notebook sees, and what would fail in Colab fails here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat.v4
import pytest

import colab
import notebook_rules as rules

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

FINDING, _, _ = rules.setup_source().partition("with helpers.quiet_import()")


def git(*arguments: str, folder: Path) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A repository with tiny helpers and two notebooks, one of which fails."""
    root = tmp_path_factory.mktemp("published").resolve()
    (root / "helpers").mkdir()
    (root / "helpers" / "__init__.py").touch()
    (root / "helpers" / "claims.py").touch()
    (root / "notebooks").mkdir()
    for name, source in {"passes": "1 + 1", "fails": "1 / 0"}.items():
        setup = nbformat.v4.new_code_cell(FINDING, metadata={"tags": ["setup"]})
        notebook = nbformat.v4.new_notebook(cells=[setup, nbformat.v4.new_code_cell(source)])
        text = nbformat.v4.writes(notebook)
        (root / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    git("init", "--quiet", "--initial-branch=main", folder=root)
    git("add", ".", folder=root)
    git("commit", "--quiet", "--message", "A tiny course", folder=root)
    return root


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict:
    return colab.look(sys.executable, tmp_path_factory.mktemp("empty"))


def test_the_stub_is_imported_before_anything_runs_and_hides_what_colab_lacks(tmp_path):
    colab.write_stub(tmp_path, absent=["nbval"])
    code = "import sys; print('google.colab' in sys.modules); import google.protobuf, pytest, nbval"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: import of nbval halted; None in sys.modules"


AS_IN_COLAB = {"python": colab.PYTHON, "versions": {"Pillow": "11.3.0", "nbval": "0.11.0"}, "helpers": False}


@pytest.mark.parametrize(
    "found, expected",
    [
        ({}, []),
        ({"python": "3.11"}, [f"Python 3.11 in place of {colab.PYTHON}"]),
        ({"versions": {"Pillow": "1.0", "numpy": "2.1.3"}}, ["Pillow 1.0 in place of 11.3.0"]),
        ({"versions": {"importlib.metadata": "1.0"}}, ["importlib.metadata 1.0 in place of 9.0.0"]),
        ({"versions": {"pip": "1.0"}}, []),  # an environment's own
        ({"helpers": True}, ["a package 'helpers' is installed, which would hide that the course was not cloned"]),
    ],
)
def test_an_interpreter_that_is_not_colab_s_is_rejected(found, expected):
    assert colab.differences(AS_IN_COLAB | found) == expected


def test_other_versions_end_the_script(tmp_path, monkeypatch, capsys):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# of another day\nnumpy==1.0\n", encoding="utf-8")
    monkeypatch.setattr(colab, "CONSTRAINTS", constraints)
    monkeypatch.setenv("PYTHONPATH", str(rules.ROOT))  # no kernel will have it
    assert colab.main(["--python", sys.executable]) == 1
    error = capsys.readouterr().err
    assert "in place of 1.0" in error and "helpers" not in error


def test_only_what_colab_lacks_is_hidden(installed):
    absent = colab.absent_modules(installed)
    assert {"nbval", "importlib_resources"} <= set(absent)
    assert not {"numpy", "PIL", "keras", "tensorflow", "google", "sklearn", "ipykernel", "pytest"} & set(absent)


@pytest.mark.parametrize("way, is_found", [("a clone", True), ("no copy", True), ("a folder", False)])
def test_a_way_is_what_it_says(published, installed, way, is_found, monkeypatch):
    """The setup cell in every way is tested in test_helpers.py."""
    monkeypatch.setattr(colab, "absent_modules", lambda found: ["nbval"])
    if is_found:
        colab.run("passes", way, sys.executable, installed, published, is_setup_only=True)
        return
    monkeypatch.setattr(colab, "place", lambda published, target: None)
    with pytest.raises(colab.NotColabError, match="The course's folder 'helpers' is not here"):
        colab.run("passes", way, sys.executable, installed, published, is_setup_only=True)


def test_notebooks_are_seen_to_pass_and_to_fail(published, installed, monkeypatch, capsys):
    monkeypatch.setattr(colab, "ROOT", published)
    monkeypatch.setattr(colab, "WAYS", {"a zip": colab.WAYS["a zip"]})
    monkeypatch.setattr(colab, "notebooks", lambda: ["passes", "fails", "not_committed"])
    monkeypatch.setenv("PYTHONPATH", str(rules.ROOT))  # helpers that the notebooks are not to find
    # This Python need not be Colab's, and may import what its own kernel needs.
    monkeypatch.setattr(colab, "differences", lambda found: [])
    monkeypatch.setattr(colab, "absent_modules", lambda found: ["nbval"])
    # As if the second notebook had installed NumPy
    before = installed | {"versions": {name: "1" for name in installed["versions"] if name != "numpy"}}
    after = installed | {"versions": before["versions"] | {"numpy": "1"}}
    looks = iter([before, before, before, after])
    monkeypatch.setattr(colab, "look", lambda python, folder: next(looks))

    assert colab.main(["--python", sys.executable]) == 1
    setup, passes, fails, installs, not_committed = capsys.readouterr().out.splitlines()
    assert setup.startswith("✓ setup with a zip: ") and passes.startswith("✓ passes: ")
    assert fails.startswith("✗ fails: ") and "ZeroDivisionError" in fails
    assert installs == "  it installed numpy"
    assert not_committed == "✗ not_committed: is not in the last commit"


def test_the_script_needs_no_package():
    """A workflow calls it on a bare Python."""
    command = [sys.executable, "-I", "-S", colab.__file__, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_no_notebook_has_is_an_error(capsys):
    assert colab.main(["--notebook", "07"]) == 1
    assert capsys.readouterr().err == "no notebook's name begins with 07\n"


def test_all_passing_is_status_0(published, monkeypatch):
    monkeypatch.setattr(colab, "ROOT", published)
    monkeypatch.setattr(colab, "differences", lambda found: [])
    monkeypatch.setattr(colab, "run", lambda *arguments, **options: None)
    assert colab.main(["--python", sys.executable]) == 0
