"""The weekly workflow runs every lesson on real data, and sets only what the lesson's parameters cell sets."""

import ast
import re

import pytest
import yaml  # comes with JupyterLab

import colab
import notebook_rules as rules
from helpers import real

WEEKLY = yaml.safe_load((rules.ROOT / ".github" / "workflows" / "weekly.yml").read_text(encoding="utf-8"))
ROWS = WEEKLY["jobs"]["real-data"]["strategy"]["matrix"]["include"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in WEEKLY["jobs"][job]["steps"])


def parameters(name: str) -> dict[str, object]:
    """What the parameters cell of a notebook sets."""
    notebook = rules.read_notebook(rules.ROOT / "notebooks" / f"{name}.ipynb")
    (cell,) = [cell for cell in notebook.cells if "parameters" in rules.tags(cell)]
    nodes = ast.parse(cell.source).body
    return {node.targets[0].id: ast.literal_eval(node.value) for node in nodes}


def test_every_lesson_is_run_on_real_data():
    lessons = sorted(path.stem for path in (rules.ROOT / "notebooks").glob("*.ipynb"))
    assert [row["notebook"] for row in ROWS] == lessons


@pytest.mark.parametrize("row", ROWS, ids=[row["notebook"] for row in ROWS])
def test_a_lesson_has_the_parameters_that_the_workflow_sets(row):
    changed = dict(re.findall(r"-p (\w+) (\w+)", row["parameters"]))
    default = parameters(row["notebook"])
    assert changed and changed.keys() <= default.keys()
    assert all(changed[name] != default[name] for name in changed), "a default would be no test of real data"
    assert changed.get("DATASET") == row.get("data"), "what is fetched is what is used"
    assert "data" not in row or row["data"] in real.KNOWN


def test_the_data_is_fetched_before_it_is_used():
    before, _, after = commands("real-data").partition("papermill notebooks/")
    assert "python -m helpers.datasets ${{ matrix.data }}" in before
    assert "${{ matrix.parameters }}" in after


def test_colab_s_notebooks_run_on_colab_s_python():
    steps = WEEKLY["jobs"]["colab"]["steps"]
    versions = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert versions == [colab.PYTHON]
    assert "python tests/colab.py" in commands("colab")
