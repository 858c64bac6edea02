"""The functions that a notebook defines: tests and benchmarks use the very code that students read."""

import ast
import json
from pathlib import Path

import helpers

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def definitions(name: str) -> dict:
    """Execute a notebook's imports, functions and classes, in order, and return the resulting names.

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
                is_setup = "setup" in cell["metadata"].get("tags", [])
                code = ast.parse("".join(cell["source"]))
                code.body = _imports(code) if is_setup else [node for node in code.body if _defines(node)]
                exec(compile(code, f"{name}.ipynb", "exec"), namespace)
    return namespace


def _imports(code: ast.Module) -> list[ast.stmt]:
    """All imports of a cell, those inside its blocks as well."""
    return [node for node in ast.walk(code) if isinstance(node, (ast.Import, ast.ImportFrom))]


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
