"""Settings and a fixture for the tests in this folder."""

from pathlib import Path

import hypothesis
import matplotlib
import pytest

import notebook_rules as rules

matplotlib.use("Agg")  # no windows

# The same examples in every run, so that a verdict can be repeated, and no verdict on a slow machine's time.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("course")


@pytest.fixture
def tiny_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course folder without notebooks, in which rules and refresh.py work as they do in the real one."""
    root = tmp_path.resolve() / "course"  # resolved, because a temporary folder can lie behind a link
    (root / "tests").mkdir(parents=True)
    (root / "notebooks" / "solutions").mkdir(parents=True)
    address = 'Repository = "https://github.com/first/course/tree/main"'
    settings = f"[project]\n\n[project.urls]\n{address}\n\n[tool.setuptools]\n"
    (root / "pyproject.toml").write_text(settings, encoding="utf-8")
    (root / "README.md").write_text("# Course\n\n<!-- links -->\n<!-- end of links -->\n", encoding="utf-8")
    setup = '# Setup\nADDRESS, TAG = "", ""\n'
    (root / "tests" / "setup_cell.py").write_text(setup, encoding="utf-8")
    monkeypatch.setattr(rules, "ROOT", root)
    return root
