"""Execute the course's notebooks and store them in the one form that the tests accept.

    python tests/refresh.py                        all notebooks
    python tests/refresh.py notebooks/01_*.ipynb   some of them

Run it after editing a notebook, tests/setup_cell.py or the address in pyproject.toml. A notebook in which a
cell raises stays as it was. The exit status is 0 when all is well, 1 when not, 2 for an unknown notebook.
"""

import argparse
import os
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
    """Put the Colab badge in place of the old one, or below the title's first line."""
    if rules.BADGE.search(title):
        return rules.BADGE.sub(lambda _: badge, title, count=1)
    heading, _, text = title.partition("\n")
    return f"{heading}\n\n{badge}\n\n{text.lstrip()}".rstrip()


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
    chosen = [path.resolve() for path in parser.parse_args(arguments).notebooks]
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
