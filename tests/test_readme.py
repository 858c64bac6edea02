"""README's tables say what the notebooks and the measurements say."""

import csv
import math
import re

import pytest

import notebook_rules as rules
import refresh
from helpers import slides

README = (rules.ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = [path for path in rules.course_notebooks() if path.parent.name == "notebooks"]
BUDGET = rules.ROOT / "data" / "results" / "budget.csv"


def minutes(path) -> list[tuple[int, bool]]:
    """Each section's minutes, and whether it is of the core, by the notebook's own table."""
    sections = slides.read_sections(rules.read_notebook(path))
    return [(section.minutes, section.is_core) for section in sections if section.minutes]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_minutes_are_those_of_the_notebook(path):
    sections = minutes(path)
    total, core = sum(time for time, _ in sections), sum(time for time, is_core in sections if is_core)
    (row,) = re.findall(rf"^\| {path.stem[:2]} \|( \d.*)\|$", README, re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    shown = [f"**{time}**" if is_core else str(time) for time, is_core in sections]
    assert cells[: len(shown)] == shown
    assert not any(cells[len(shown) : -2]) and cells[-2:] == [str(total), str(core)]
    (link,) = [line for line in README.splitlines() if f"](notebooks/{path.name})" in line and line.startswith("|")]
    assert f"| {total} min (core: {core}) |" in link
    assert f"{total} minutes to teach" in rules.read_notebook(path).cells[0].source


def test_links_are_those_of_the_public_address():
    assert refresh.LINKS.search(README)[0] == f"<!-- links -->\n{refresh.links()}<!-- end of links -->"


@pytest.mark.parametrize("path", rules.course_notebooks(), ids=lambda path: path.relative_to(rules.ROOT).as_posix())
def test_time_and_memory_are_as_measured(path):
    name = path.relative_to(rules.ROOT / "notebooks").with_suffix("").as_posix()
    table = csv.DictReader(BUDGET.read_text(encoding="utf-8").splitlines()[1:])
    (found,) = [row for row in table if row["notebook"] == name]
    (line,) = [line for line in README.splitlines() if f"](notebooks/{name}.ipynb)" in line and line.startswith("|")]
    seconds = 5 * math.ceil(float(found["seconds"]) / 5)
    assert line.endswith(f"| {seconds} s | {float(found['GiB']):.1f} GiB |")
    assert f"{seconds} seconds to run" in rules.read_notebook(path).cells[0].source


def test_every_path_that_the_readme_names_is_there():
    for path in re.findall(r"\]\(([^):]+)\)", README) + re.findall(r"`((?:tests|helpers|data)/[\w./]+)`", README):
        place = rules.ROOT / path
        assert place.exists() or place.name in (rules.ROOT / ".gitignore").read_text(encoding="utf-8"), path
    for script in re.findall(r"python (tests/[\w/]+\.py)", README):
        assert (rules.ROOT / script).is_file(), script
