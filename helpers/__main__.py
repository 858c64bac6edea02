"""``python -m helpers`` looks for what is broken on this computer, and says what to do about it.

Whoever needs this has something broken, so only the standard library is imported before a check needs more. A check
returns what it found, as labels and values, and its problems: sentences that say what to do after a colon.
"""

from __future__ import annotations  # so that a Python that is too old can still be told so

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

Report = tuple[list[tuple[str, object]], list[str]]

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)  # the Pythons that README.md names
PATIENCE = 60  # seconds for importing TensorFlow
INSTALL = f"run 'python -m pip install -r requirements.txt' in {ROOT}"

_IMPORT = """
import json, sys, traceback
sys.path.insert(0, sys.argv[1])
import helpers
with helpers.quiet_import():
    try:
        import tensorflow, keras
        print(json.dumps([gpu.name for gpu in tensorflow.config.list_physical_devices("GPU")]))
    except Exception:
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)
"""


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Report:
    """Which Python this is, and where."""
    kind = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    name, oldest, newest = (".".join(map(str, numbers)) for numbers in (version, OLDEST, NEWEST))
    where = f"{name}, {sys.executable} ({kind})"
    lines = [("course", ROOT), ("system", platform.platform()), ("Python", where)]
    if OLDEST <= version[:2] <= NEWEST:
        return lines, []
    return lines, [f"Python {name} is not one of {oldest} to {newest}: make a virtual environment with one of these"]


def installed(name: str) -> str | None:
    """A package's version; None when it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def packages(requirements: str = "", version_of: Callable[[str], str | None] = installed) -> Report:
    """Whether each package in the text of requirements.txt is there, in a version that will do."""
    requirements = requirements or (ROOT / "requirements.txt").read_text(encoding="utf-8")
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # then most else is missing too
        SpecifierSet = None
    lines, wrong = [], []
    for name, wanted in re.findall(r"^([\w.-]+)([^#\s]*)", requirements, re.MULTILINE):
        version = version_of(name)
        if version is None:
            wrong.append(f"{name} is missing")
        elif SpecifierSet and not SpecifierSet(wanted).contains(version, prereleases=True):
            wrong.append(f"{name} is {version}, not {wanted}")
        lines.append((name, version or "missing"))
    return lines, [f"{', '.join(wrong)}: {INSTALL}"] if wrong else []


def keras(patience: float = PATIENCE) -> Report:
    """Whether TensorFlow and Keras can be imported, and what they compute with."""
    backend = os.environ["KERAS_BACKEND"]  # the package has set both variables, unless the user has
    onednn = "off" if os.environ["TF_ENABLE_ONEDNN_OPTS"].lower() in ("0", "false") else "asked for"
    lines, problems = [("Keras's backend", backend), ("CPUs", f"{os.cpu_count()}, oneDNN {onednn}")], []
    if backend != "tensorflow":
        wrong = f"KERAS_BACKEND is {backend!r}, and the course needs 'tensorflow'"
        problems.append(f"{wrong}: remove this environment variable, then start Jupyter again")
    if not all(map(importlib.util.find_spec, ("tensorflow", "keras"))):
        return lines, problems  # `packages` says what to do
    try:
        done = subprocess.run(  # a process of its own, because it may hang or crash
            [sys.executable, "-X", "utf8", "-c", _IMPORT, str(ROOT)],
            cwd=ROOT / "notebooks",  # where kernels run, which find a student's keras.py there before Keras
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        wrong = f"Importing TensorFlow takes more than {patience:g} s"
        return lines, [*problems, f"{wrong}: close other programs and run this again"]
    if done.returncode:
        wrong = f"TensorFlow cannot be imported ({_reason(done)})"
        return lines, [*problems, f"{wrong}: make the virtual environment anew, as README.md says"]
    gpus = json.loads(done.stdout.splitlines()[-1])
    return [*lines, ("GPUs", ", ".join(gpus) or "none, and none is needed")], problems


def data() -> Report:
    """What was downloaded, whether more could be, and whether the course's own network is there."""
    from . import backbone, real

    folder, sets = real.cache_folder(), ", ".join(real.cached())
    mobilenet = backbone.mobilenet_file()
    lines = [
        ("real data sets", f"{sets or 'none, and none is needed'}, in {folder}"),
        ("MobileNetV2", mobilenet if mobilenet.is_file() else "not fetched, and not needed"),
        ("backbone", backbone.WEIGHTS if backbone.WEIGHTS.is_file() else "missing"),
    ]
    problems = []
    if not backbone.WEIGHTS.is_file():
        problems.append(f"{backbone.WEIGHTS} is missing: run 'git checkout -- data/{backbone.WEIGHTS.name}' in {ROOT}")
    while not folder.exists():  # it is made when the first set is fetched
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()  # what permissions say is not all: think of a full disk
    except OSError as error:
        wrong = f"No data set can be fetched, as {folder} cannot be written to ({error.strerror or error})"
        problems.append(f"{wrong}: set the environment variable TFDS_DATA_DIR to a folder that can")
    return lines, problems


def kernel() -> Report:
    """Whether notebooks run on this same Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    def folder(program: str) -> str:  # and not the program: a virtual environment's Python is a link to another's
        return os.path.normcase(os.path.realpath(os.path.dirname(program)))

    command, here = shutil.which("jupyter"), folder(sys.executable)
    if command is None or folder(command) != here:
        command = f"{command or 'not on the path'}; this Python's is 'python -m jupyter'"
    spec = KernelSpecManager().get_kernel_spec("python3")
    # For a mere name Jupyter starts the Python that it runs on
    program = sys.executable if re.fullmatch(r"python[\d.]*", spec.argv[0]) else spec.argv[0]
    lines = [("Jupyter", command), ("its kernel python3", program)]
    if folder(program) == here:
        return lines, []
    wrong = f"Jupyter's kernel in {spec.resource_dir} is another Python, {program}"
    return lines, [f"{wrong}: run 'python -m jupyter kernelspec remove python3', after which it is this one"]


def notebooks(folder: Path = ROOT / "notebooks") -> Report:
    """Whether they are whole, and in which of them code was changed since it was run, which is no problem."""
    lines, problems = [], []
    for path in sorted({*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")}):
        name, changed = path.relative_to(folder).as_posix(), 0
        try:
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                code, stored = "".join(cell["source"]), cell["metadata"].get("source_hash")
                changed += stored is not None and stored != hashlib.sha256(code.encode("utf-8")).hexdigest()[:16]
        except (ValueError, LookupError, TypeError):
            problems.append(f"{name} is no notebook any more: run 'git checkout -- {name}' in {folder} to have it back")
        if changed:
            lines.append(("changed cells", f"{changed} in {name}"))
    for path in sorted({*folder.glob("*.py"), *folder.glob("solutions/*.py")}):
        if path.stem.isidentifier() and importlib.util.find_spec(path.stem):
            problems.append(f"Notebooks import {path} in place of the real {path.stem}: rename or remove this file")
    return lines, problems


def main() -> int:
    """Print what is there and what is wrong; return the exit status."""
    problems = []
    for check in (python, packages, keras, data, kernel, notebooks):
        try:
            lines, found = check()
        except Exception as error:  # what is broken must not keep the other checks from running
            lines, found = [], [f"A check failed ({error}): {INSTALL}, or else clone the course anew"]
        problems += found
        for label, value in lines:
            print(f"{label:<21}{value}", flush=True)
    print("\nWhat is wrong, and what to do:" if problems else "\nAll is well.", *problems, sep="\n- ")
    return int(bool(problems))


def _reason(done: subprocess.CompletedProcess) -> str:
    """The last line that names an error, as advice follows TensorFlow's; or else how the process ended."""
    errors = re.findall(r"^[\w.]*(?:Error|Exception)\b.*", done.stderr + done.stdout, re.MULTILINE)
    ended = signal.strsignal(-done.returncode) if done.returncode < 0 else None
    return errors[-1] if errors else ended or f"exit status {done.returncode}"


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a path may have letters that the terminal lacks
    sys.exit(main())
