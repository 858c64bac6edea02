"""The code of a notebook, for tests and benchmarks: its functions, just as students read them, and all of it."""

import ast
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import nbformat.v4

import helpers
import notebook_rules as rules
import refresh

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
_LEDGER = "import json\n\nfrom helpers import claims\n\nprint(json.dumps(claims.ledger))"


def definitions(name: str) -> dict:
    """Execute a notebook's parameters, imports, functions and classes, in order, and return the resulting names.

    All else is left out, computed values included: a function that reads one is there but cannot be called.
    Of the setup cell, which looks for the course's folder, only the imports are executed.

    Parameters
    ----------
    name
        The notebook's file name without its ending, for example ``"01_convolution_by_hand"``.
    """
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    namespace = {"__name__": name}
    with helpers.quiet_import():
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                tags, code = cell["metadata"].get("tags", []), ast.parse("".join(cell["source"]))
                nodes = code.body if "parameters" in tags else filter(_defines, code.body)
                for node in _imports(code) if "setup" in tags else nodes:
                    with contextlib.suppress(NameError):  # a function whose default is a computed value
                        exec(compile(ast.Module([node], []), f"{name}.ipynb", "exec"), namespace)
    return namespace


@dataclass(frozen=True)
class Run:
    """What came of executing a notebook."""

    seconds: list[tuple[str, float]]  # each cell's name, as messages have it, and the time that it took
    ledger: list[dict]  # each bound and tolerance with what was measured, as `helpers.claims` keeps them


def execute(name: str, folder: Path | None = None, **parameters) -> Run:
    """Execute a whole notebook with other parameters, as papermill does: a cell after its parameters cell sets them.

    Parameters
    ----------
    name
        The notebook's file name without its ending; of solutions, with ``solutions/`` before it.
    folder
        Where its kernel runs, by default in the notebook's folder.
    **parameters
        New values for names that the parameters cell sets.

    Raises
    ------
    refresh.RefreshError
        When a cell raises, as an exact claim does that does not hold.
    """
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = rules.read_notebook(path)
    place = next(index for index, cell in enumerate(notebook.cells) if "parameters" in rules.tags(cell))
    for parameter in parameters:
        if f"{parameter} = " not in notebook.cells[place].source:
            raise ValueError(f"{parameter}: got a name that the parameters cell of {name} does not set")
    lines = [f"{parameter} = {value!r}" for parameter, value in parameters.items()]
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("\n".join(lines)))
    notebook.cells.append(nbformat.v4.new_code_cell(_LEDGER))
    seconds = refresh.execute(notebook, path, folder)
    ledger = json.loads(notebook.cells.pop().outputs[0].text)
    return Run([(rules.where(notebook, index), taken) for index, taken in enumerate(seconds[:-1])], ledger)


def _imports(code: ast.Module) -> list[ast.stmt]:
    """All imports of a cell, those inside its blocks as well."""
    return [node for node in ast.walk(code) if isinstance(node, (ast.Import, ast.ImportFrom))]


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
