"""Importing the helpers costs nothing, starts Keras without noise, and works wherever a notebook runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import notebook_rules as rules

SETUP = rules.setup_source()
UNSET = 'ADDRESS, TAG = "", ""'
FINDING = re.sub("ADDRESS, TAG = .*", UNSET, SETUP).partition("with helpers.quiet_import()")[0]
HOSTED = {
    "colab": 'import sys, types; sys.modules["google.colab"] = types.ModuleType("google.colab")\n',
    "kaggle": 'import os; os.environ["KAGGLE_KERNEL_RUN_TYPE"] = "Interactive"\n',
}
# What importing the helpers sets, unless a user has
VARIABLES = dict(
    TF_ENABLE_ONEDNN_OPTS="1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow",
    TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK="true",
)  # fmt: skip


def python(code: str, folder: Path = rules.ROOT, bare: bool = False, **variables: str) -> tuple[str, str]:
    """What code prints and complains of in a Python of its own; a bare one has the standard library only."""
    command = [sys.executable, "-X", "utf8", *(["-I", "-S"] if bare else []), "-c", code]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    return done.stdout, done.stderr


@pytest.mark.parametrize("chosen", [{}, {"TF_ENABLE_ONEDNN_OPTS": "0"}, {"KERAS_BACKEND": "jax"}])
def test_importing_the_helpers_sets_what_a_user_has_not_and_loads_nothing_heavy(chosen):
    heavy = {"tensorflow", "keras", "numpy", "matplotlib", "PIL", "scipy", "sklearn", "skimage"}
    code = f"import helpers, os, sys; print([os.environ[name] for name in {[*VARIABLES]}], {heavy} & {{*sys.modules}})"
    assert python(code, **chosen) == (f"{list((VARIABLES | chosen).values())} set()\n", "")


@pytest.mark.parametrize("bare, module", [(True, "importlib.resources"), (False, "importlib_resources")])
def test_importlib_resources_is_python_s_own_where_it_is_missing(bare, module):
    path = f"import sys; sys.path.insert(0, {str(rules.ROOT)!r})\n"
    printed = python(f"{path}import helpers, importlib_resources; print(importlib_resources.__name__)", bare=bare)
    assert printed == (f"{module}\n", "")


def test_quiet_import_silences_c_code_inside_and_not_after_even_an_error():
    code = """
import contextlib, os
from helpers import quiet_import
os.write(2, b"before ")
with quiet_import():
    os.write(2, b"inside ")
    print("printed")
os.write(2, b"between ")
with contextlib.suppress(ValueError), quiet_import():
    raise ValueError
os.write(2, b"after")
"""
    assert python(code) == ("printed\n", "before between after")


@pytest.mark.parametrize(
    "backend, said", [("jax", "KERAS_BACKEND is 'jax'.*: remove"), ("tensorflow", "nothing.*: run")]
)
def test_quiet_import_says_what_to_do(backend, said):
    _, errors = python("import helpers\nwith helpers.quiet_import():\n    import nothing", KERAS_BACKEND=backend)
    assert re.search(f"\nImportError: .*{said}.*\n$", errors)
    assert errors.count("Traceback") == 1, "the original error is in the sentence already"


def test_another_order_of_channels_in_keras_json_does_no_harm(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}', encoding="utf-8")
    code = "import helpers\nwith helpers.quiet_import():\n    import keras\nprint(keras.config.image_data_format())"
    assert python(code, KERAS_HOME=str(tmp_path)) == ("channels_last\n", "")


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/solutions"])
@pytest.mark.parametrize("stub", ["", *HOSTED.values()], ids=["local", *HOSTED])
def test_the_setup_cell_finds_the_copy_that_it_is_in(tmp_path, folder, stub):
    """Whatever other package named helpers lies about."""
    for name in ("course/helpers/claims.py", "course/helpers/__init__.py", "helpers/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    here = tmp_path / "course" / folder
    here.mkdir(parents=True, exist_ok=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{stub}{FINDING}\nprint(helpers.__file__)"
    printed, errors = python(code, here, bare=True)
    assert Path(printed.strip()).samefile(tmp_path / "course" / "helpers" / "__init__.py") and not errors


def test_outside_the_course_the_setup_cell_says_what_to_do(tmp_path):
    _, errors = python(FINDING, tmp_path, bare=True)
    assert errors.endswith("here: open the notebook in the course's own folder\n")


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A folder with the least that the setup cell takes for the course."""
    (tmp_path / "tiny" / "helpers").mkdir(parents=True)
    (tmp_path / "tiny" / "helpers" / "claims.py").touch()
    (tmp_path / "tiny" / "helpers" / "__init__.py").write_text("HERE = 'found'", encoding="utf-8")
    (tmp_path / "working").mkdir()
    return tmp_path / "tiny"


UPLOADS = ["tiny", "drive/MyDrive/mine", "../input/mine", "../input/mine/tiny", "tiny.zip"]


@pytest.mark.parametrize("stub", HOSTED.values(), ids=HOSTED)
@pytest.mark.parametrize("upload", UPLOADS)
def test_on_a_hosted_service_the_setup_cell_finds_what_was_uploaded(tmp_path, tiny, stub, upload):
    working = tmp_path / "working"
    for name in ("broken.zip", "photographs/cat.jpg"):
        (working / name).parent.mkdir(exist_ok=True)
        (working / name).write_bytes(b"PK")
    shutil.make_archive(str(working / "photographs"), "zip", working / "photographs")
    if upload.endswith(".zip"):
        shutil.make_archive(str(working / "tiny"), "zip", tmp_path, "tiny")
    else:
        shutil.copytree(tiny, working / upload)
    for _ in range(2):
        assert python(f"{stub}{FINDING}\nprint(helpers.HERE)", working, bare=True) == ("found\n", "")
    assert not (working / "cat.jpg").exists(), "only the course is unpacked"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("stub", HOSTED.values(), ids=HOSTED)
def test_on_a_hosted_service_the_setup_cell_clones_a_public_address_once(tmp_path, tiny, stub):
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "A course"], ["tag", "v1"]):
        subprocess.run(["git", *author, *command], cwd=tiny, check=True)
    code = stub + FINDING.replace(UNSET, f'ADDRESS, TAG = "{tiny.as_uri()}", "v1"') + "\nprint(helpers.HERE)"
    for _ in range(2):
        assert python(code, tmp_path / "working", bare=True) == ("found\n", "")
        shutil.rmtree(tiny, ignore_errors=True)  # a second clone would fail
    shutil.rmtree(tmp_path / "working" / "course")
    _, errors = python(code, tmp_path / "working", bare=True)
    assert re.search(r"here: git could not clone file:.* \(fatal: .*\); try again, or upload .*again\n$", errors)


@pytest.mark.parametrize("stub", HOSTED.values(), ids=HOSTED)
def test_on_a_hosted_service_without_a_copy_the_setup_cell_says_how_to_get_one(tmp_path, stub):
    _, errors = python(stub + FINDING, tmp_path, bare=True)
    assert errors.endswith("upload the course, as a zip or as a folder, to this session, and run this cell again\n")


def test_the_whole_setup_cell_writes_nothing():
    """The only test here that starts TensorFlow, as every notebook does."""
    names = ["keras", "np", "animations", "exercises", "plots", "at_least", "at_most", "claim", "load"]
    code = f"{SETUP}\nassert not set({names}) - set(globals())\nprint(keras.backend.backend())"
    assert python(code, rules.ROOT / "notebooks") == ("tensorflow\n", "")
