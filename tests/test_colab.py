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
import refresh

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

CLONING, _, _ = rules.setup_source().partition("with helpers.quiet_import()")


def git(*arguments: str, folder: Path) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A repository with tiny helpers and two notebooks, one of which cannot clone it."""
    root = tmp_path_factory.mktemp("published").resolve()
    (root / "helpers").mkdir()
    (root / "helpers" / "__init__.py").write_text("HERE = 'cloned'", encoding="utf-8")
    (root / "helpers" / "claims.py").touch()
    (root / "notebooks").mkdir()
    no_helpers_yet = "import importlib.util\nassert importlib.util.find_spec('helpers') is None\n"
    unknown = CLONING.replace(rules.repository_url(), (root / "nowhere").as_uri())
    for name, source in {"clones": CLONING, "cannot_clone": no_helpers_yet + unknown}.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        text = nbformat.v4.writes(notebook)
        (root / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    git("init", "--quiet", folder=root)
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


def test_git_clones_the_checkout_for_the_public_address(tmp_path, published):
    environment = os.environ | colab.colab_environment(tmp_path, "https://example.org/a/course", published)
    command = ["git", "clone", "--quiet", "--depth=1", "https://example.org/a/course", tmp_path / "course"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert colab.commit(tmp_path / "course") == colab.commit(published)


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


def test_notebooks_are_seen_to_pass_and_to_fail(published, installed, monkeypatch, capsys):
    monkeypatch.setattr(colab, "ROOT", published)
    monkeypatch.setattr(colab, "notebooks", lambda: ["clones", "cannot_clone", "not_committed"])
    monkeypatch.setenv("PYTHONPATH", str(rules.ROOT))  # helpers that the notebooks are not to find
    # This Python need not be Colab's, and may import what its own kernel needs.
    monkeypatch.setattr(colab, "differences", lambda found: [])
    monkeypatch.setattr(colab, "absent_modules", lambda found: ["nbval"])
    # As if the second notebook had installed NumPy
    before = installed | {"versions": {name: "1" for name in installed["versions"] if name != "numpy"}}
    after = installed | {"versions": before["versions"] | {"numpy": "1"}}
    looks = iter([before, before, after])
    monkeypatch.setattr(colab, "look", lambda python, folder: next(looks))

    assert colab.main(["--python", sys.executable]) == 1
    clones, cannot_clone, installs, not_committed = capsys.readouterr().out.splitlines()
    assert clones.startswith("✓ clones: ")
    assert cannot_clone.startswith("✗ cannot_clone: ")
    assert "CalledProcessError: Command '['git', 'clone'" in cannot_clone
    assert installs == "  it installed numpy"
    assert not_committed == "✗ not_committed: is not in the last commit"


def test_a_clone_of_something_else_is_seen(published, tmp_path, monkeypatch):
    """Of the course's public address, say, when git were not told of this checkout."""
    for name in colab.colab_environment(tmp_path, "", published):
        monkeypatch.setenv(name, "")  # restored after the test
    monkeypatch.setattr(refresh, "execute", lambda notebook, path: None)
    notebook = Path(shutil.copy(published / "notebooks" / "clones.ipynb", tmp_path))
    with pytest.raises(colab.NotColabError, match="this checkout was not cloned"):
        colab.execute(notebook, tmp_path, published)

    clone = tmp_path / rules.repository_url().rsplit("/", 1)[-1]
    git("clone", "--quiet", str(published), str(clone), folder=tmp_path)
    colab.execute(notebook, tmp_path, published)
    git("commit", "--quiet", "--allow-empty", "--message", "Another course", folder=clone)
    with pytest.raises(colab.NotColabError, match="this checkout was not cloned"):
        colab.execute(notebook, tmp_path, published)


def test_a_name_that_no_notebook_has_is_an_error(capsys):
    assert colab.main(["--notebook", "07"]) == 1
    assert capsys.readouterr().err == "no notebook's name begins with 07\n"


def test_all_passing_is_status_0(published, monkeypatch):
    monkeypatch.setattr(colab, "ROOT", published)
    monkeypatch.setattr(colab, "differences", lambda found: [])
    monkeypatch.setattr(colab, "run", lambda *arguments: None)
    assert colab.main(["--python", sys.executable]) == 0
