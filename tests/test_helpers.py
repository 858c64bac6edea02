"""Importing the helpers costs nothing, starts Keras without noise, and works wherever a notebook runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import notebook_rules as rules

SETUP = rules.setup_source()
FINDING, _, _ = SETUP.partition("with helpers.quiet_import()")
STUB_COLAB = """
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
"""
STUB_KAGGLE = """
import os
os.environ["KAGGLE_KERNEL_RUN_TYPE"] = "Interactive"
"""
# What importing the helpers sets, unless a user has
VARIABLES = {
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK": "true",
}


def python(code: str, folder: Path = rules.ROOT, bare: bool = False, **variables: str):
    """Run code in a Python of its own; a bare one knows the standard library only, whatever is installed."""
    options = ["-I", "-S"] if bare else []
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-X", "utf8", *options, "-c", code],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# import helpers


def test_importing_the_helpers_loads_nothing_heavy():
    done = python("""
import sys
before = set(sys.modules)
import helpers
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded & {"tensorflow", "keras", "numpy", "matplotlib", "PIL", "scipy", "sklearn", "skimage"}))
""")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_helpers_need_the_standard_library_only():
    done = python(f"import sys; sys.path.insert(0, {str(rules.ROOT)!r}); import helpers", bare=True)
    assert (done.returncode, done.stderr) == (0, "")


SHOW_VARIABLES = f"import helpers, os; print([os.environ[name] for name in {list(VARIABLES)}])"


def test_importing_the_helpers_sets_what_tensorflow_reads():
    assert python(SHOW_VARIABLES).stdout == f"{list(VARIABLES.values())}\n"


@pytest.mark.parametrize("name, value", [("TF_ENABLE_ONEDNN_OPTS", "0"), ("KERAS_BACKEND", "jax")])
def test_a_user_s_own_choice_is_kept(name, value):
    expected = list({**VARIABLES, name: value}.values())
    assert python(SHOW_VARIABLES, **{name: value}).stdout == f"{expected}\n"


IMPORTED_AS = "import helpers, importlib_resources; print(importlib_resources.__name__)"


def test_a_missing_importlib_resources_is_python_s_own():
    code = f"import sys; sys.path.insert(0, {str(rules.ROOT)!r}); {IMPORTED_AS}"
    assert python(code, bare=True).stdout == "importlib.resources\n"


def test_an_installed_importlib_resources_is_left_alone():
    assert python(IMPORTED_AS).stdout == "importlib_resources\n"


# quiet_import


def test_quiet_import_silences_c_code_inside_and_not_after():
    done = python("""
import os
from helpers import quiet_import

os.write(2, b"before ")
with quiet_import():
    os.write(2, b"inside ")
    print("printed")
os.write(2, b"between ")
with quiet_import():
    os.write(2, b"inside again ")
os.write(2, b"after")
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "printed\n", "before between after")


def test_quiet_import_lets_errors_through_and_is_loud_after_them():
    done = python("""
import os
from helpers import quiet_import

try:
    with quiet_import():
        raise ValueError("a mistake inside")
except ValueError as error:
    print(error)
os.write(2, b"after")
""")
    assert (done.stdout, done.stderr) == ("a mistake inside\n", "after")


@pytest.mark.skipif(os.name == "nt", reason="a closed standard error stream is a matter of POSIX")
def test_quiet_import_works_without_a_standard_error_stream():
    done = python("""
import os
from helpers import quiet_import

os.close(2)
with quiet_import():
    import json
print("imported")
""")
    assert (done.returncode, done.stdout) == (0, "imported\n")


def test_quiet_import_names_a_missing_package_and_its_remedy():
    done = python("""
from helpers import quiet_import

with quiet_import():
    import a_package_that_is_not_there
""")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == (
        "ImportError: A package that the course needs cannot be imported (No module named "
        "'a_package_that_is_not_there'): run 'pip install -r requirements.txt' in the course's folder, "
        "then restart the kernel."
    )
    assert done.stderr.count("Traceback") == 1, "the original error is in the sentence already"


# The setup cell


@pytest.fixture
def course(tmp_path):
    """A copy of what the setup cell looks for, and a folder beside it."""
    root = tmp_path / "course"
    shutil.copytree(rules.ROOT / "helpers", root / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "notebooks" / "solutions").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return root


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/solutions"])
@pytest.mark.parametrize("stub", ["", STUB_COLAB, STUB_KAGGLE], ids=["local", "colab", "kaggle"])
def test_the_setup_cell_finds_the_helpers(course, folder, stub):
    done = python(f"{stub}{FINDING}\nprint(helpers.__file__)", course / folder, bare=True)
    assert done.stderr == ""
    assert Path(done.stdout.strip()).samefile(course / "helpers" / "__init__.py")


def test_the_setup_cell_prefers_the_copy_it_is_in(course):
    """Whatever other package named helpers a user has installed or lying about."""
    other = course.parent / "elsewhere" / "helpers"
    other.mkdir()
    (other / "__init__.py").write_text("", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(other.parent)!r})\n{FINDING}\nprint(helpers.__file__)"
    done = python(code, course / "notebooks", bare=True)
    assert Path(done.stdout.strip()).samefile(course / "helpers" / "__init__.py")


def test_outside_the_course_the_setup_cell_says_what_to_do(course):
    done = python(FINDING, course.parent / "elsewhere", bare=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert "helpers folder" in last
    assert "clone" in last
    assert rules.repository_url() in last
    assert done.stderr.count("Traceback") == 1


def git(*arguments: str, folder: Path) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("stub", [STUB_COLAB, STUB_KAGGLE], ids=["colab", "kaggle"])
def test_on_a_hosted_service_the_setup_cell_clones_the_course_once(tmp_path, stub):
    published = tmp_path / "published" / "tiny-course"
    (published / "helpers").mkdir(parents=True)
    (published / "helpers" / "claims.py").write_text("", encoding="utf-8")
    (published / "helpers" / "__init__.py").write_text("HERE = 'cloned'", encoding="utf-8")
    git("init", "--quiet", folder=published)
    git("add", ".", folder=published)
    git("commit", "--quiet", "--message", "A tiny course", folder=published)

    content = tmp_path / "content"
    content.mkdir()
    code = stub + FINDING.replace(rules.repository_url(), published.as_uri()) + "\nprint(helpers.HERE)"
    first = python(code, content, bare=True)
    assert (first.stdout, first.stderr) == ("cloned\n", "")
    assert [folder.name for folder in content.iterdir()] == ["tiny-course"]

    shutil.rmtree(published)  # a second clone would fail
    again = python(code, content, bare=True)
    assert (again.stdout, again.stderr) == ("cloned\n", "")


def test_the_whole_setup_cell_writes_nothing():
    """The only test here that starts TensorFlow, as every notebook does."""
    names = ["keras", "np", "animations", "exercises", "plots", "at_least", "at_most", "claim", "load"]
    code = f"{SETUP}\nassert not set({names}) - set(globals())\nprint(keras.backend.backend())"
    done = python(code, rules.ROOT / "notebooks")
    assert (done.returncode, done.stdout, done.stderr) == (0, "tensorflow\n", "")
