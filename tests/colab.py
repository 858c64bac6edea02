"""Execute every notebook as Colab does: alone in an empty folder, on Colab's versions, with the course uploaded.

    python tests/colab.py                               first makes an environment: Python 3.13, some minutes, 2 GB
    python tests/colab.py --python ~/colab/bin/python   on an environment that has Colab's versions already
    python tests/colab.py --notebook 01 solutions/01    some of the notebooks

The versions are those of tests/colab-constraints.txt; what is not listed there cannot be imported. `google.colab` is a
stub. A zip of the course lies beside each notebook; before that, a setup cell finds the course in every way there is,
or says how it can. The course is that of the last commit: changes that are not committed are not in it. The exit status
is 0 when all passes. Needs nothing but Python and git. Linux and macOS.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from time import perf_counter

# Of the course only what `execute` imports: the rest runs on a Python that has no packages
ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600  # seconds for a notebook
CONSTRAINTS = ROOT / "tests" / "colab-constraints.txt"
PYTHON = "3.13"  # Colab's

# Executed by the interpreter in question: what a notebook finds on it
LOOK = """
import importlib.util, json, sys
from importlib.metadata import distributions, packages_distributions
print(json.dumps({
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "versions": {package.metadata["Name"]: package.version for package in distributions()},
    "modules": packages_distributions(),
    "helpers": importlib.util.find_spec("helpers") is not None,
}))
"""

# Python imports a module of this name when it starts, before it runs anything.
STUB = """
import sys

import google.colab

sys.modules.update(dict.fromkeys({absent}))  # importing one of them raises ModuleNotFoundError
"""

# Appended to each notebook
LAST_CELL = """
from pathlib import Path

import helpers

assert Path.cwd() in Path(helpers.__file__).parents, f"the helpers come from {helpers.__file__}"
"""
ADDRESS = "https://github.com/someone/course"  # which git takes the last commit for
# Where a session has the course: its name beside the notebook, the address in the setup cell, what is said if anything
WAYS = {
    "a zip": ("course.zip", "", ""),
    "a folder": ("uploaded", "", ""),
    "Google Drive": ("drive/MyDrive/course", "", ""),
    "a clone": (None, ADDRESS, ""),
    "no copy": (None, "", "upload the course, as a zip or as a folder, to this session"),
    "no network": (None, "https://nowhere.invalid/course", "git could not clone https://nowhere.invalid/course"),
}


class NotColabError(Exception):
    """An interpreter or a notebook does not do what it would in Colab; the message says what."""


def key(package: str) -> str:
    """A package's name in a form that can be compared: `importlib_resources` is `importlib-resources`."""
    return re.sub(r"[-_.]+", "-", package).lower()


def colab_versions() -> dict[str, str]:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {key(package): version for package, version in pairs}


def look(python: str, folder: Path) -> dict:
    """What a kernel of this interpreter finds when it starts in an empty folder."""
    done = subprocess.run([python, "-c", LOOK], cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def differences(found: dict) -> list[str]:
    """Where an interpreter, as `look` describes it, is not Colab's; packages that it lacks do not count."""
    expected = colab_versions()
    wrong = [] if found["python"] == PYTHON else [f"Python {found['python']} in place of {PYTHON}"]
    for package, version in sorted(found["versions"].items()):
        # pip is what the environment came with; no notebook runs on it
        if key(package) != "pip" and version != expected.get(key(package), version):
            wrong.append(f"{package} {version} in place of {expected[key(package)]}")
    if found["helpers"]:
        wrong.append("a package 'helpers' is installed, which would hide that the course was not cloned")
    return wrong


def absent_modules(found: dict) -> list[str]:
    """The modules that can be imported here and not in Colab."""
    known = colab_versions()
    return sorted(name for name, owners in found["modules"].items() if not any(key(owner) in known for owner in owners))


def make_environment(folder: Path) -> str:
    """Install Colab's versions of what the course uses; the new interpreter."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        raise NotColabError(f"Colab runs Python {PYTHON}: run this script with it, or name it with --python")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements.txt", "-c", CONSTRAINTS]
    subprocess.run(install, check=True)
    return python


def write_stub(folder: Path, absent: list[str]) -> None:
    """The modules that make a Python look like Colab's when this folder is on its path."""
    # Without an __init__.py in `google`, which other packages share
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").touch()
    (folder / "sitecustomize.py").write_text(STUB.format(absent=absent), encoding="utf-8")


def colab_environment(stub: Path, published: Path) -> dict[str, str]:
    """Variables for a kernel: the stub is imported, and git clones the folder for the address."""
    return {
        "PYTHONPATH": str(stub),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


def place(published: Path, target: Path) -> None:
    """Put the last commit into a folder, or into a zip with a folder, as GitHub makes it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".zip":
        command = ["git", "archive", "--format=zip", "--prefix=course-main/", f"--output={target}", "HEAD"]
    else:
        command = ["git", "clone", "--quiet", ".", target]
    subprocess.run(command, cwd=published, check=True)


def prepared(stored: Path, address: str, is_setup_only: bool) -> str:
    """A notebook, or its setup cell, with this address in it and a look at where the helpers come from."""
    notebook = json.loads(stored.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if "setup" in cell["metadata"].get("tags", ()):
            setup = cell
    source = "".join(setup["source"])
    setup["source"] = re.sub(r"ADDRESS, TAG = .*", f'ADDRESS, TAG = "{address}", "main"', source)
    last = setup | {"id": "last", "source": LAST_CELL}
    notebook["cells"] = [setup, last] if is_setup_only else [*notebook["cells"], last]
    return json.dumps(notebook)


def execute(notebook: Path, stub: Path, published: Path) -> None:
    """In a process on the interpreter that is tested: execute a notebook as it is, and look at its claims."""
    import notebook_rules as rules
    import refresh

    os.environ |= colab_environment(stub, published)
    content = rules.read_notebook(notebook)
    try:
        refresh.execute(content, notebook)
    except refresh.RefreshError as error:
        raise NotColabError(str(error)) from error
    if missed := rules.claims_hold(content, notebook):
        raise NotColabError("\n  ".join(missed))


def run(name: str, way: str, python: str, installed: dict, published: Path, *, is_setup_only: bool = False) -> None:
    """Execute a notebook of the last commit in an empty folder; raise NotColabError when it would not do in Colab."""
    beside, address, said = WAYS[way]
    stored = published / "notebooks" / f"{name}.ipynb"
    if not stored.is_file():
        raise NotColabError("is not in the last commit")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        notebook = folder / "content" / stored.name
        notebook.parent.mkdir()
        notebook.write_text(prepared(stored, address, is_setup_only), encoding="utf-8")
        if beside:
            place(published, notebook.parent / beside)
        write_stub(folder / "stub", absent_modules(installed))
        told = [str(path) for path in (notebook, folder / "stub", published)]
        command = [python, __file__, "--execute", *told]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise NotColabError(f"not done after {LIMIT} s") from None
        problems = []
        if bool(done.returncode) != bool(said) or said not in done.stderr:
            problems.append(done.stderr.strip() or f"ended with status {done.returncode}")
        new = dict(look(python, folder)["versions"].items() - installed["versions"].items())
        if new:
            problems.append(f"it installed {', '.join(sorted(new))}")
        if problems:
            raise NotColabError("\n  ".join(problems))


def notebooks() -> list[str]:
    """Names such as ``solutions/01_convolution_by_hand``, lessons first."""
    found = sorted(ROOT.glob("notebooks/*.ipynb")) + sorted(ROOT.glob("notebooks/solutions/*.ipynb"))
    return [path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in found]


def run_all(beginnings: list[str], python: str | None) -> bool:
    """Execute the notebooks whose names begin so, and print a line for each; tell whether all pass."""
    chosen = [name for name in notebooks() if name.startswith(tuple(beginnings))]
    if not chosen:
        raise NotColabError(f"no notebook's name begins with {' or '.join(beginnings)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        python = python or make_environment(folder / "environment")
        installed = look(python, folder)
        if wrong := differences(installed):
            raise NotColabError("\n  ".join([f"{python} is not what Colab has:", *wrong]))
        published = folder / "published"
        subprocess.run(["git", "clone", "--quiet", ROOT, published], check=True)
        subprocess.run(["git", "checkout", "--quiet", "-B", "main"], cwd=published, check=True)  # whatever it was here
        passed = True
        jobs = [(f"setup with {way}", chosen[0], way, True) for way in WAYS]
        for title, name, way, is_setup_only in [*jobs, *((name, name, "a zip", False) for name in chosen)]:
            start = perf_counter()
            try:
                run(name, way, python, installed, published, is_setup_only=is_setup_only)
            except NotColabError as error:
                passed = False
                print(f"✗ {title}: {error}", flush=True)
            else:
                print(f"✓ {title}: {perf_counter() - start:.0f} s", flush=True)
        return passed


def main(arguments: list[str]) -> int:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--python", help="an interpreter that has Colab's versions")
    parser.add_argument("--notebook", nargs="+", default=[""], help="beginnings of names, as 05 or solutions/05")
    parser.add_argument("--execute", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.environ.pop("PYTHONPATH", None)  # a kernel's is the stub alone, and `look` is to see no more
    try:
        if options.execute:
            execute(*options.execute)
            return 0
        return 0 if run_all(options.notebook, options.python) else 1
    except NotColabError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
