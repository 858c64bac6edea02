"""`python -m helpers` finds what is broken, and says of everything what to do about it, without a network."""

import json
import os
import re
import subprocess
import sys

import pytest

import notebook_rules as rules
from helpers import __main__ as doctor
from helpers import backbone


def only(problems) -> str:
    """The one problem that there is, which has to say what to do in one line; empty if there is none."""
    (problem,) = list(filter(None, problems)) or [""]
    assert re.fullmatch(r"|.+: (run|make|remove|rename|set) .+", problem)
    return problem


@pytest.fixture(autouse=True)
def a_healthy_computer(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("MPLBACKEND", "")
    for name in ("PYTHONPATH", "KERAS_HOME", "JUPYTER_PATH", "TFDS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.mark.parametrize("bare", [False, True])
def test_the_command(bare):
    """As it is typed, or with the standard library only, where three checks fail and the others go on."""
    start = f"import sys; sys.path.insert(0, {str(rules.ROOT)!r}); from helpers.__main__ import main; sys.exit(main())"
    options = ["-I", "-S", "-c", start] if bare else ["-m", "helpers"]
    done = subprocess.run([sys.executable, *options], cwd=rules.ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (int(bare), ""), done.stdout
    _, verdict = done.stdout.strip().split("\n\n")
    failed = [only([problem]).split()[3] for problem in verdict.split("\n- ")[1:]]
    assert failed == (["folders", "packages", "notebooks"] if bare else []) and ("All is well." in verdict) is not bare


def test_python_has_to_be_one_that_the_readme_names():
    readme = (rules.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"You need Python {doctor.PYTHONS[0]} to {doctor.PYTHONS[-1]} " in readme
    assert "Python 3.10 is none of " in only(doctor.settings("3.10")) and not only(doctor.settings("3.13"))


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("KERAS_BACKEND", "jax", "KERAS_BACKEND is 'jax', and the course needs 'tensorflow': remove this"),
        ("MPLBACKEND", "Agg", "MPLBACKEND is 'Agg', with which what you draw with plt appears in no notebook: remove"),
        ("MPLBACKEND", "inline", ""),
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline", ""),
        ("image_data_format", "channels_last", ""),
    ],
)
def test_settings_have_to_suit(tmp_path, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    (tmp_path / "keras.json").write_text(json.dumps({name: value}), encoding="utf-8")
    problem = only(doctor.settings())
    assert said in problem and bool(problem) is bool(said)


@pytest.mark.parametrize(
    "line, code, said",
    [
        ("matplotlib>=3.9", "", ""),
        ("matplotlib>=99", "", "matplotlib>=99 is needed, and missing or there in another version: run"),
        ("nothing>=1", "", "nothing>=1 is needed, and missing or there in another version: run"),
        ("matplotlib", "raise RuntimeError('broken')", "(RuntimeError: broken in {file}): remove the file"),
        ("matplotlib", r"raise ImportError('See\nImportError: no DLL\n\nor not')", "(ImportError: no DLL in {file})"),
        ("matplotlib", "import json; json.loads('')", "decoder.py): remove the file"),
        ("matplotlib", "import os; os._exit(3)", "(exit status 3)"),
        ("matplotlib", "import os; {}[os.environ['KERAS_BACKEND'], os.environ['MPLBACKEND']]", "('tensorflow', 'agg')"),
    ],
)
def test_packages_are_tried(tmp_path, monkeypatch, line, code, said):
    """Whatever the variables say that `settings` judges."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    requirements, file = tmp_path / "requirements.txt", tmp_path / "matplotlib.py"
    requirements.write_text(f"# all\n{line}    # a comment\n", encoding="utf-8")
    file.write_text(code, encoding="utf-8")
    problem = only(doctor.packages(requirements))
    assert said.format(file=file) in problem and bool(problem) is bool(said)


def test_folders_that_cannot_be_written_to_and_missing_weights_are_problems(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "file" / "folder"))
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # so that no home folder is known
    monkeypatch.setattr(backbone, "WEIGHTS", tmp_path / "backbone.npz")
    for problem, said in zip(doctor.folders(), ("variable HOME", "variable TFDS_DATA_DIR", "checkout"), strict=True):
        assert said in only([problem])


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("random.py", "", "Notebooks import {file} in place of the real random: rename"),
        ("solutions/keras.py", "", "Notebooks import {file} in place of the real keras: rename"),
        ("my_own_module.py", "", ""),
        ("no.module.py", "", ""),
        ("kernels/python3/kernel.json", '{"argv": ["python3"]}', ""),
        ("kernels/python3/kernel.json", '{"argv": ["/a/python"]}', "Notebooks run on another Python, /a/python: run"),
    ],
)
def test_notebooks_run_on_this_python_and_are_not_disturbed(tmp_path, name, content, said):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    problem = only(doctor.notebooks(tmp_path))
    assert problem.startswith(said.format(file=file)) and bool(problem) is bool(said)
