"""Notebooks with other parameters. Other seeds, versions and places are those of `whole_course.py`."""

import re
from pathlib import Path

import nbformat.v4
import pytest
from PIL import Image

import notebook_code
import notebook_rules as rules
import refresh
from helpers.scenes import render
from notebook_code import execute


def photographs(folder: Path, count: int, classes: tuple[str, ...] = ("star", "heart", "moon"), *parts: str) -> str:
    """A folder of scenes as somebody's own pictures: with `parts` "masks" and "boxes", else with folders of classes."""
    scenes = render(count, size=64, classes=classes, illumination="random", noise="random")
    rows = ["file,left,top,right,bottom"]
    for index, label in enumerate(scenes.labels):
        name = f"{scenes.class_names[label]}/{index}.png" if len(classes) > 1 else f"{index}.png"
        pictures = {"images" if parts else ".": scenes.images[index]}
        pictures |= {"masks": 255 * scenes.masks[index]} if "masks" in parts else {}
        for part, picture in pictures.items():
            (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / part / name)
        rows.append(",".join(map(str, [name, *scenes.boxes[index].astype(int)])))
    if "boxes" in parts:
        (folder / "boxes.csv").write_text("\n".join(rows), encoding="utf-8")
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson, count, classes, parts",
    [
        ("03_preprocessing_and_augmentation", 4, ("star", "heart"), ()),
        ("05_transfer_learning", 4, ("star", "heart"), ()),
        ("06_beyond_classification", 400, ("star", "heart", "moon"), ("masks",)),
        ("06_beyond_classification", 30, ("star", "heart"), ("masks", "boxes")),
        ("06_beyond_classification", 5, ("star",), ("boxes",)),
    ],
)
def test_a_lesson_runs_on_a_folder_of_pictures(tmp_path, lesson, count, classes, parts):
    """On many and on hardly any, of one class, without masks or without boxes."""
    execute(lesson, DATASET=photographs(tmp_path, count, classes, *parts))


def test_another_value_reaches_the_notebook(tiny_course, monkeypatch):
    monkeypatch.setattr(notebook_code, "NOTEBOOKS", tiny_course / "notebooks")
    parameters = nbformat.v4.new_code_cell('DATASET = "digits"\nSEED = 0', metadata={"tags": ["parameters"]})
    use = nbformat.v4.new_code_cell("raise ValueError([DATASET, SEED])")
    lesson = nbformat.v4.new_notebook(cells=[parameters, use])
    (tiny_course / "notebooks" / "lesson.ipynb").write_text(nbformat.v4.writes(lesson), encoding="utf-8")
    with pytest.raises(refresh.RefreshError, match=r"\['no such set', 3\]"):
        execute("lesson", DATASET="no such set", SEED=3)
    with pytest.raises(ValueError, match="SEEDS: got a name"):
        execute("lesson", SEEDS=1)


@pytest.mark.parametrize("path", rules.course_notebooks(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_parameter_is_used(path):
    """What the test above does not see: it runs a notebook that starts in no time, and none of the course's own."""
    code = [cell for cell in rules.read_notebook(path).cells if cell.cell_type == "code"]
    place = next(index for index, cell in enumerate(code) if "parameters" in rules.tags(cell))
    later = "\n".join(cell.source for cell in code[place + 1 :])
    names = re.findall(r"^(\w+) = ", code[place].source, re.MULTILINE)
    assert "SEED" in names
    assert [name for name in names if not re.search(rf"\b{name}\b", later)] == []


@pytest.mark.parametrize("path", [path for path in rules.course_notebooks() if path.parent.name == "notebooks"])
def test_a_lesson_compares_with_its_own_margins(path):
    """On other data its bounds show what data/results/claims.csv has of the lesson that it names."""
    code = "\n".join(cell.source for cell in rules.read_notebook(path).cells if cell.cell_type == "code")
    assert set(re.findall(r"judge_bounds\(.*lesson=\"(\w+)\"\)", code)) == {path.stem[:2]}
