"""Execute the course's notebooks and store them in the one form that the tests accept.

    python tests/refresh.py                        all notebooks
    python tests/refresh.py notebooks/01_*.ipynb   some of them
    python tests/refresh.py --address URL          executes nothing: sets the course's public address

Run it after editing a notebook or tests/setup_cell.py. A notebook in which a cell raises stays as it was. The exit
status is 0 when all is well, 1 when not, 2 for an unknown notebook or a wrong address.

The address is that of a repository on GitHub, https://github.com/OWNER/NAME, or of a branch or tag of it, …/tree/TAG
(without: main); "" takes it away. It is written to pyproject.toml, and badges, setup cells and README follow.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat.v4
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

import notebook_rules as rules

CELL_TIMEOUT = 300  # seconds; the one that nbval has in pyproject.toml
ADDRESS = re.compile(r"(https://github\.com/[A-Za-z\d-]+/(?:(?!\.git\b)[\w.-])*\w)(?:/tree/(\w[\w.-]*))?", re.ASCII)
# Of the README, what is written by `set_address`
LINKS = re.compile(r"(<!-- links -->\n).*(<!-- end of links -->)", re.DOTALL)


class RefreshError(Exception):
    """A notebook cannot be refreshed; the message says why."""


class ThisPython(AsyncKernelManager):
    """Starts kernels on the Python that runs this file, whatever kernels Jupyter knows."""

    kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        **rules.NOTEBOOK_METADATA["kernelspec"],
    )


def refresh(path: Path) -> bool:
    """Execute one notebook and store it; tell whether the file changed.

    Raises
    ------
    RefreshError
        When the file is no notebook or a cell raises; the file is then as it was.
    """
    before = path.read_bytes()
    try:
        notebook = rules.read_notebook(path)
        prepare(notebook, path)
        nbformat.validate(notebook)
    except (ValueError, nbformat.ValidationError) as error:
        raise RefreshError(f"{path.name} is no valid notebook: {first_line(error)}") from error
    execute(notebook, path)
    after = (nbformat.v4.writes(notebook) + "\n").encode("utf-8")
    if after == before:
        return False
    # First beside the notebook, then in its place: an interrupted run leaves the old file or the new one.
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(after)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def prepare(notebook: NotebookNode, path: Path) -> None:
    """Bring everything but the outputs into its one form."""
    notebook.nbformat_minor = 5  # the first with cell ids
    notebook.metadata = nbformat.from_dict(rules.NOTEBOOK_METADATA)
    if notebook.cells and notebook.cells[0].cell_type == "markdown":
        notebook.cells[0].source = with_badge(notebook.cells[0].source, rules.badge(path))
    taken = set()
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(rules.authored_metadata(cell))
        if cell.cell_type == "code":
            cell.source = rules.setup_source() if "setup" in rules.tags(cell) else cell.source.rstrip()
            cell.metadata.source_hash = rules.source_hash(cell.source)
            cell.execution_count = None
            cell.outputs = []
        if not cell.get("id") or cell.id in taken:
            cell.id = new_id(cell.source, taken)
        taken.add(cell.id)


def with_badge(title: str, badge: str) -> str:
    """Put the Colab badge, if there is one, in place of the old one, below the title's first line."""
    heading, _, text = rules.BADGE.sub("", title).partition("\n")
    return "\n\n".join(filter(None, [heading, badge, text.strip()]))


def set_address(address: str) -> None:
    """Write the course's public address, or none, to every place that shows it; nothing is executed.

    An address that is not of this form raises ``ValueError``.
    """
    match = ADDRESS.fullmatch(address)
    if address and not match:
        wanted = "https://github.com/OWNER/NAME or https://github.com/OWNER/NAME/tree/TAG, without .git or / at the end"
        raise ValueError(f"got {address!r}, expected {wanted}")
    settings = rules.ROOT / "pyproject.toml"
    text = re.sub(r"\[project\.urls\]\n.*\n\n", "", settings.read_text(encoding="utf-8"))
    if match:
        entry = f'[project.urls]\nRepository = "{match[1]}/tree/{match[2] or "main"}"\n\n'
        text = text.replace("[tool.setuptools]", f"{entry}[tool.setuptools]", 1)
    settings.write_text(text, encoding="utf-8")
    for path in rules.course_notebooks():
        notebook = rules.read_notebook(path)
        notebook.cells[0].source = with_badge(notebook.cells[0].source, rules.badge(path))
        for cell in notebook.cells:
            if "setup" in rules.tags(cell):
                cell.source = rules.setup_source()
                cell.metadata.source_hash = rules.source_hash(cell.source)
        path.write_text(nbformat.v4.writes(notebook) + "\n", encoding="utf-8")
    readme = rules.ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(LINKS.sub(lambda found: found[1] + links() + found[2], text), encoding="utf-8")


def links() -> str:
    """What README says of where the course is on the web: the website, and a row of links for each lesson."""
    repository, _ = rules.public_address()
    if not repository:
        return ""
    owner, name = repository.split("/")[-2:]
    site = f"The same pages to read: <https://{owner.lower()}.github.io/{name}/>. To run, one click away:"
    rows = ["| notebook | Colab | Kaggle | Binder |", "| --- | --- | --- | --- |"]
    for path in rules.course_notebooks():
        if path.parent.name == "notebooks":
            hosted = [f"[{path.stem[:2]} on {service}]({link})" for service, link in rules.hosted_links(path).items()]
            rows.append(f"| {' | '.join([path.stem[:2], *hosted])} |")
    return "\n".join([site, "", *rows, ""])


def new_id(source: str, taken: set[str]) -> str:
    """An id that follows from the cell's text, so that making it again gives the same one."""
    text = source
    while (name := rules.source_hash(text)) in taken:
        text += "+"
    return name


def execute(notebook: NotebookNode, path: Path, folder: Path | None = None) -> list[float]:
    """Run all cells, from top to bottom, on a fresh kernel in this folder, by default the notebook's own.

    Returns
    -------
    list
        The seconds that each cell took; 0 for those that are no code.
    """
    # With this variable set ipykernel does not capture file descriptors 1 and 2. pytest sets it, so nbval's
    # kernels have it: without it here, what C++ code logs would be stored and then be missing under nbval.
    environment = {**os.environ, "PYTEST_CURRENT_TEST": "refresh"}
    running, started, seconds = 0, 0.0, [0.0] * len(notebook.cells)

    def remember(cell: NotebookNode, cell_index: int) -> None:
        nonlocal running, started
        running, started = cell_index, time.perf_counter()

    def note(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        seconds[cell_index] = time.perf_counter() - started

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_manager_class=ThisPython,
        resources={"metadata": {"path": str(folder or path.parent)}},
        on_cell_start=remember,
        on_cell_executed=note,
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
    )
    try:
        # What the kernel's process says, of its own start for example, is no output of the notebook.
        client.execute(env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        is_from_cell = isinstance(error, CellExecutionError)
        reason = f"{error.ename}: {error.evalue}" if is_from_cell else first_line(error)
        raise RefreshError(f"{path.name}, {rules.where(notebook, running)}: {reason}") from error
    # The kernel reports its language in more words, versions included.
    notebook.metadata = nbformat.from_dict(rules.NOTEBOOK_METADATA)
    return seconds


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Refresh the notebooks named, or all, and report what is still wrong with them."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: all")
    parser.add_argument("--address", metavar="URL", help="of the course on GitHub; executes nothing")
    options = parser.parse_args(arguments)
    if options.address is not None:
        try:
            set_address(options.address)
        except ValueError as error:
            parser.error(f"argument --address: {error}")
        return 0
    chosen = [path.resolve() for path in options.notebooks]
    known = rules.course_notebooks()
    for path in chosen:
        if path not in known:
            parser.error(f"{path} is not one of the course's notebooks, in {rules.ROOT / 'notebooks'}")
    status = 0
    for path in chosen or known:
        start = time.perf_counter()
        try:
            changed = refresh(path)
        except RefreshError as error:
            print(f"{error}\n  {path.name} was left as it was", file=sys.stderr)
            status = 1
            continue
        seconds = time.perf_counter() - start
        print(f"{path.name}: {seconds:.0f} s, {'changed' if changed else 'unchanged'}", flush=True)
        notebook = rules.read_notebook(path)
        for rule in rules.RULES:
            for problem in rule(notebook, path):
                print(f"  {problem}")
                status = 1
    return status


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # not every console can show every sign
    sys.exit(main(sys.argv[1:]))
