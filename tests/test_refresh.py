"""refresh.py writes one form, the same in every run, and nbval accepts exactly what it wrote."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

import notebook_rules as rules
import refresh

COURSE = Path(__file__).resolve().parent.parent

TITLE = """# A lesson

By the end you can

- add one and one,
- draw a line.

50 minutes to teach, 20 seconds to run."""

PICTURE = io.BytesIO()
Image.linear_gradient("L").save(PICTURE, format="PNG")
DRAWING = f"""words = "Grey from black to white."
png = '''{base64.encodebytes(PICTURE.getvalue()).decode()}'''
picture = {{"text/plain": words, "image/png": png.replace("\\n", "")}}
display(picture, metadata={{"image/png": {{"alt": words}}}}, raw=True)"""

# Such a line comes from C++ code, past Python's own sys.stderr.
LOGGING = r"""import os

os.write(2, b"a log line\n")
print("one and one is", 1 + 1)
1 + 1"""


def write_lesson(folder: Path, name: str, *sources: str) -> Path:
    """Store a lesson that was not executed, with the metadata that Jupyter leaves behind."""
    kernel = {"name": "no-such-kernel", "display_name": "Mine"}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}, "kernelspec": kernel})
    title = nbformat.v4.new_markdown_cell(TITLE, metadata={"slideshow": {"slide_type": "slide"}})
    skipped = {"slideshow": {"slide_type": "skip"}}
    setup = nbformat.v4.new_code_cell("old", metadata={"tags": ["setup"], **skipped})
    parameters = nbformat.v4.new_code_cell("SIDE = 4\n\n", metadata={"tags": ["parameters"], **skipped})
    notebook.cells = [title, setup, parameters]
    for source in sources:
        seen = {"iopub.execute_input": "2020-01-01T00:00:00Z"}
        noise = {"collapsed": True, "execution": seen, "slideshow": {"slide_type": "-"}}
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata=noise))
    path = folder / "notebooks" / f"{name}.ipynb"
    path.write_text(nbformat.v4.writes(notebook), encoding="utf-8")
    return path


def test_refresh_writes_a_good_notebook_and_then_changes_nothing(tiny_course, monkeypatch, capsys):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # which a maintainer's terminal does not have either
    path = write_lesson(tiny_course, "lesson", DRAWING, LOGGING)
    stored = json.loads(path.read_text(encoding="utf-8"))
    kept = stored["cells"][0]["id"]
    stored["cells"][3]["id"] = stored["cells"][4]["id"] = kept
    del stored["cells"][2]["id"]
    path.write_text(json.dumps(stored), encoding="utf-8")

    assert refresh.main([]) == 0, capsys.readouterr().out
    assert "changed" in capsys.readouterr().out.split()
    first = path.read_bytes()
    notebook = rules.read_notebook(path)
    assert notebook.cells[0].id == kept
    assert notebook.cells[0].source.splitlines()[:3] == ["# A lesson", "", rules.badge(path)]
    assert notebook.cells[2].source == "SIDE = 4"
    assert "image/png" in notebook.cells[3].outputs[0].data
    streams = [output for output in notebook.cells[4].outputs if output.output_type == "stream"]
    assert [stream.text for stream in streams] == ["one and one is 2\n"]
    for noise in (b"collapsed", b"iopub", b"widgets", b"no-such-kernel"):
        assert noise not in first
    assert first.endswith(b"}\n")

    assert refresh.main([str(path)]) == 0
    assert "unchanged" in capsys.readouterr().out.split()
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.glob("*.*")] == ["lesson.ipynb"]


def test_a_cell_that_raises_leaves_its_notebook_alone(tiny_course, capsys):
    broken = write_lesson(tiny_course, "1_broken", "print('before')", "1 / 0")
    damaged = tiny_course / "notebooks" / "2_damaged.ipynb"
    damaged.write_text("{", encoding="utf-8")
    good = write_lesson(tiny_course, "3_good", "1 + 1")
    before = broken.read_bytes()
    assert refresh.main([]) == 1
    assert broken.read_bytes() == before
    assert damaged.read_text(encoding="utf-8") == "{"
    messages = capsys.readouterr().err
    assert "1_broken.ipynb, cell 5 (1 / 0): ZeroDivisionError: division by zero" in messages
    assert "2_damaged.ipynb is no valid notebook" in messages
    assert rules.executed_in_order(rules.read_notebook(good), good) == []


def test_what_is_still_wrong_is_reported(tiny_course, capsys):
    write_lesson(tiny_course, "lesson", "1 + 1;")
    assert refresh.main([]) == 1
    assert "cell 4 (1 + 1;) ends in ';'" in capsys.readouterr().out


def test_a_new_address_reaches_all_places_without_executing(tiny_course):
    path = write_lesson(tiny_course, "lesson", "print(1 / 3)")
    refresh.refresh(path)
    before = path.read_text(encoding="utf-8")
    assert before.count("first/course") == 2
    places = [path, tiny_course / "README.md", tiny_course / "pyproject.toml"]

    assert refresh.main(["--address", "https://github.com/Second/its.course/tree/v1.2"]) == 0
    notebook, readme, settings = (place.read_text(encoding="utf-8") for place in places)
    assert "first/course" not in notebook and "0.333" in notebook
    assert "github/Second/its.course/blob/v1.2/notebooks/lesson.ipynb" in notebook
    assert r"ADDRESS, TAG = \"https://github.com/Second/its.course\", \"v1.2\"" in notebook
    assert "<https://second.github.io/its.course/>" in readme and "gh/Second/its.course/v1.2?" in readme
    assert '\nRepository = "https://github.com/Second/its.course/tree/v1.2"\n' in settings
    assert all(not rule(rules.read_notebook(path), path) for rule in rules.RULES)

    assert refresh.main(["--address", ""]) == 0
    notebook, readme, settings = (place.read_text(encoding="utf-8") for place in places)
    assert not [text for text in (notebook, readme, settings) if "github" in text or "colab" in text]
    assert all(not rule(rules.read_notebook(path), path) for rule in rules.RULES)

    assert refresh.main(["--address", "https://github.com/first/course"]) == 0
    assert path.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    "address",
    [
        "http://github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a/b/", "https://github.com/a/b.git",
        "https://github.com/a", "https://github.com/a/b/c", "github.com/a/b", 'https://github.com/a/b"', " ",
        "https://github.com/a/b/tree/", "https://github.com.evil.org/a/b", "https://github.com/a/..",
        "https://github.com/a/b/tree/--upload-pack=x",
    ],
)  # fmt: skip
def test_an_address_of_another_form_changes_nothing(tiny_course, capsys, address):
    before = (tiny_course / "pyproject.toml").read_bytes()
    with pytest.raises(SystemExit):
        refresh.main(["--address", address])
    assert f"got {address!r}, expected https://github.com/OWNER/NAME or" in capsys.readouterr().err
    assert (tiny_course / "pyproject.toml").read_bytes() == before


def test_an_unknown_notebook_is_refused(tiny_course, capsys):
    with pytest.raises(SystemExit) as stopped:
        refresh.main([str(tiny_course / "notebooks" / "none.ipynb")])
    assert stopped.value.code == 2
    assert "none.ipynb is not one of the course's notebooks" in capsys.readouterr().err


def run_nbval(folder: Path) -> subprocess.CompletedProcess:
    """Run a folder's notebooks under nbval with the course's own settings."""
    command = [sys.executable, "-m", "pytest", "-c", str(COURSE / "pyproject.toml"), "-p", "no:cacheprovider"]
    command += ["-v", "-n", "0", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_nbval_accepts_what_refresh_wrote_and_nothing_else(tiny_course):
    path = write_lesson(tiny_course, "right", DRAWING, LOGGING)
    refresh.refresh(path)
    right = path.read_text(encoding="utf-8")
    assert "one and one is 2" in right
    wrong = right.replace("one and one is 2", "one and one is 3")
    path.with_stem("wrong").write_text(wrong, encoding="utf-8")

    done = run_nbval(path.parent)
    verdicts = re.findall(r"(\w+)\.ipynb::Cell \d (PASSED|FAILED)", done.stdout)
    assert verdicts == [("right", "PASSED")] * 4 + [("wrong", "PASSED")] * 3 + [("wrong", "FAILED")], done.stdout
