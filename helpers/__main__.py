"""``python -m helpers`` looks for what is broken on this computer, with the standard library as far as that goes.
A check yields problems: sentences that name what is wrong and, after a colon, what to do."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, util
from pathlib import Path

from . import REMOVE_VARIABLE, backend_problem

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")  # README.md names them
INSTALL = f"run 'python -m pip install -r requirements.txt' in {ROOT}"
# What a package is called in Python, where that is not its own name
MODULES = {"Pillow": "PIL", "pytest-xdist": "xdist", "scikit-image": "skimage", "scikit-learn": "sklearn"}


def folders() -> Iterator[str]:
    """Where Jupyter and the course write, and the weights that come with the course."""
    from . import backbone, real

    for variable, find in (("HOME", Path.home), ("TFDS_DATA_DIR", real.cache_folder)):
        try:
            there = next(path for path in (find(), *find().parents) if os.path.exists(path))
            tempfile.TemporaryFile(dir=there).close()  # what permissions say is not all: think of a full disk
        except (OSError, RuntimeError) as error:
            yield f"No folder to write to ({error}): set the environment variable {variable} to one"
    if not backbone.WEIGHTS.is_file():
        yield f"{backbone.WEIGHTS} is missing: run 'git checkout -- data/{backbone.WEIGHTS.name}' in {ROOT}"


def settings(python: str = "{}.{}".format(*sys.version_info)) -> Iterator[str]:
    """Which Python this is, and what was set for Keras and matplotlib outside of the course."""
    if python not in PYTHONS:
        yield f"Python {python} is none of {', '.join(PYTHONS)}: make a virtual environment with one of these"
    yield backend_problem()
    backend = os.environ.get("MPLBACKEND", "")
    if backend.lower() not in ("", "inline", "ipympl", "widget") and not backend.startswith("module://"):
        yield f"MPLBACKEND is {backend!r}, with which what you draw with plt appears in no notebook: {REMOVE_VARIABLE}"


def packages(requirements: Path = ROOT / "requirements.txt") -> Iterator[str]:
    """What the course needs: each package is tried, several at a time."""
    lines = re.findall(r"^[^#\s]+", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    with ThreadPoolExecutor() as pool:
        yield from pool.map(package_problem, lines)


def package_problem(line: str) -> str:
    """What is wrong with what this line of requirements.txt asks for, and what to do; empty if nothing is."""
    from packaging.requirements import Requirement

    package = Requirement(line)
    module = MODULES.get(package.name, package.name.replace("-", "_"))
    there = [found.version for found in metadata.distributions(name=package.name)]
    if not there or not package.specifier.contains(there[0], prereleases=True):
        return f"{line} is needed, and missing or there in another version: {INSTALL}"
    error = import_error(module)
    remedy = "remove the file if it is your own, or else make the virtual environment anew, as README.md says"
    return f"{module} cannot be imported ({error}): {remedy}" if error else ""


def import_error(module: str) -> str:
    """Why a module cannot be imported, tried in a process of its own as it may crash; empty if it can."""
    # `settings` judges the first two, which must not look like broken packages.
    env = {**os.environ, "KERAS_BACKEND": "tensorflow", "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", f"import {module}"], env=env, capture_output=True, errors="replace")
    # The last of both kinds, as advice follows TensorFlow's errors
    errors = re.findall(r"^[\w.]*(?:Error|Exception)\b.*", done.stderr, re.MULTILINE)
    places = re.findall(r'^ *File "([^<].*?)"', done.stderr, re.MULTILINE)
    return " in ".join((errors[-1:] or [f"exit status {done.returncode}"]) + places[-1:]) if done.returncode else ""


def notebooks(folder: Path = ROOT / "notebooks") -> Iterator[str]:
    """The Python that notebooks run on, and files beside them that hide a module."""
    from jupyter_client.kernelspec import KernelSpecManager

    kernel = KernelSpecManager().get_kernel_spec("python3").argv[0]
    place = Path(kernel).parent  # as a virtual environment's Python is a link to that of another
    if place.is_absolute() and place.resolve() != Path(sys.executable).parent.resolve():
        yield f"Notebooks run on another Python, {kernel}: run 'python -m jupyter kernelspec remove python3'"
    for path in sorted({*folder.glob("*.py"), *folder.glob("solutions/*.py")}):
        if path.stem.isidentifier() and util.find_spec(path.stem):
            yield f"Notebooks import {path} in place of the real {path.stem}: rename or remove this file"


def main() -> int:
    """Print what is wrong; return the exit status."""
    problems = []
    for check in (folders, settings, packages, notebooks):
        print(f"Looking at {check.__name__} ...", flush=True)
        try:
            problems += filter(None, check())
        except Exception as error:  # what is broken must not keep the other checks from running
            problems.append(f"The check of {check.__name__} failed ({error}): {INSTALL}")
    print("\nWhat is wrong, and what to do:" if problems else "\nAll is well.", *problems, sep="\n- ")
    return int(bool(problems))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a path may have letters that the terminal lacks
    sys.exit(main())
