"""Every notebook keeps to the rules, every rule notices what breaks it, and the top level stays small."""

import base64
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

import notebook_rules as rules

NOTEBOOKS = rules.course_notebooks()


def name_in_course(path: Path) -> str:
    return path.relative_to(rules.ROOT / "notebooks").with_suffix("").as_posix()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_in_course)
def test_notebook_keeps_to_the_rule(path: Path, rule: rules.Rule):
    problems = rule(rules.read_notebook(path), path)
    assert not problems, "\n".join(problems)


def test_there_are_notebooks():
    assert NOTEBOOKS, "without notebooks, the test above has no cases and so says nothing"


# A notebook that keeps to all rules, and ways to break them


def png(*colours: str) -> str:
    """A picture with a row of pixels of each colour, as a notebook stores it."""
    image = Image.new("RGB", (4, len(colours)))
    for row, colour in enumerate(colours):
        image.paste(colour, (0, row, 4, row + 1))
    stored = io.BytesIO()
    image.save(stored, format="PNG")
    return base64.b64encode(stored.getvalue()).decode("ascii")


def markdown(source: str, slide_type: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source, metadata={"slideshow": {"slide_type": slide_type}})


def code(source: str, slide_type: str, tags: tuple[str, ...] = (), outputs: tuple = ()) -> NotebookNode:
    written = {"slideshow": {"slide_type": slide_type}, "source_hash": rules.source_hash(source)}
    if tags:
        written["tags"] = list(tags)
    return nbformat.v4.new_code_cell(source, metadata=written, outputs=list(outputs))


TITLE = """# A lesson

{badge}

By the end you can

- add one and one,
- draw a square.

**About 50** minutes to teach, **20 seconds** to run."""

SECTION = """## Squares

![A square](square.png) and <img src="https://example.org/home/a.png" alt="another">

```python
# no heading, and ![](nothing.png) is no image
```

### Their sides"""


@pytest.fixture
def lesson(tiny_course: Path) -> tuple[NotebookNode, Path]:
    path = tiny_course / "notebooks" / "lesson.ipynb"
    (path.parent / "square.png").write_bytes(base64.b64decode(png("white")))
    drawing = {"text/plain": "A square, 4×4.", "image/png": png("white", "black")}
    printed = nbformat.v4.new_output("stream", name="stdout", text="1 + 1 = 2\n")
    figure = nbformat.v4.new_output("display_data", drawing, metadata={"image/png": {"alt": "A square, 4×4."}})
    notebook = nbformat.v4.new_notebook(metadata=rules.NOTEBOOK_METADATA)
    notebook.cells = [
        markdown(TITLE.format(badge=rules.badge(path)), "slide"),
        code(rules.setup_source(), "skip", ("setup",)),
        code("SIDE = 4", "skip", ("parameters",)),
        markdown(SECTION, "slide"),
        code("draw(SIDE)", "-", ("nbval-ignore-output",), (figure,)),
        code("claim('the sum', 1 + 1, 2)  # one; and one;", "fragment", (), (printed,)),
        markdown("Ask for a guess first.", "notes"),
    ]
    for count, index in enumerate((1, 2, 4, 5), start=1):
        notebook.cells[index].execution_count = count
    path.write_text(nbformat.v4.writes(notebook), encoding="utf-8")
    return notebook, path


# (rule, what breaks it, words of the problem it has to report)
BREAKERS: list[tuple[rules.Rule, Callable[[NotebookNode, Path], None], str]] = []


def breaks(rule: rules.Rule, reported: str):
    def register(breaker):
        BREAKERS.append((rule, breaker, reported))
        return breaker

    return register


@breaks(rules.executed_in_order, "cell 3 (SIDE = 4) has count 7, not 2")
def executed_again(notebook, path):
    notebook.cells[2].execution_count = 7


@breaks(rules.executed_in_order, "cell 6 (claim('the sum', 1 + 1, 2)  # one; and o) has count None")
def never_executed(notebook, path):
    notebook.cells[5].execution_count = None


@breaks(rules.executed_in_order, "cell 5 (draw(5)) was edited")
def edited_after_execution(notebook, path):
    notebook.cells[4].source = "draw(5)"


@breaks(rules.executed_in_order, "cell 8 (empty) is a blank code cell")
def blank_code_cell(notebook, path):
    notebook.cells.append(code(" \n", "-"))


@breaks(rules.no_stderr_or_error, "cell 5 (draw(SIDE)) wrote to stderr")
def warning_stored(notebook, path):
    notebook.cells[4].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="a warning"))


@breaks(rules.no_stderr_or_error, "cell 5 (draw(SIDE)) shows a warning")
def warning_of_tensorflow_stored(notebook, path):
    text = "WARNING:tensorflow:5 out of the last 5 calls triggered tf.function retracing."
    notebook.cells[4].outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))


@breaks(rules.no_stderr_or_error, "cell 5 (draw(SIDE)) raised NameError")
def error_stored(notebook, path):
    error = nbformat.v4.new_output("error", ename="NameError", evalue="draw", traceback=[])
    notebook.cells[4].outputs.append(error)


@breaks(
    rules.claims_hold,
    "cell 6 (claim('the sum', 1 + 1, 2)  # one; and o) has a claim that does not hold: a ratio 2 (≥ 3) ✗",
)
def claim_missed(notebook, path):
    notebook.cells[5].outputs[0].text += "a ratio        2 (≥ 3)  ✗\n"


@breaks(rules.claims_hold, "does not hold: a ratio 2 (≥ 3) ✗ [a book]")
def claim_with_a_source_missed(notebook, path):
    notebook.cells[5].outputs[0].text = "a ratio        2 (≥ 3)  ✗  [a book]\n"


@breaks(rules.unique_ids, "cell 4 (## Squares) has no id")
def id_missing(notebook, path):
    del notebook.cells[3]["id"]


@breaks(rules.unique_ids, "cell 4 (## Squares) has another cell's id")
def id_twice(notebook, path):
    notebook.cells[3].id = notebook.cells[1].id


@breaks(rules.one_parameters_cell, "here it is none")
def no_parameters(notebook, path):
    del notebook.cells[2]


@breaks(rules.one_parameters_cell, "cell 3 (SIDE = 4), cell 5 (draw(SIDE))")
def parameters_twice(notebook, path):
    notebook.cells[4].metadata.tags = ["parameters"]


@breaks(rules.one_setup_cell, "here it is none")
def no_setup(notebook, path):
    notebook.cells[1].metadata.tags = []


@breaks(rules.one_setup_cell, "cell 2 (# Setup), cell 3 (SIDE = 4)")
def setup_twice(notebook, path):
    notebook.cells[2].metadata.tags = ["setup"]


@breaks(rules.one_setup_cell, "cell 2 (# Setup) differs")
def setup_edited(notebook, path):
    notebook.cells[1].source += "\nimport os"


@breaks(rules.one_setup_cell, "cell 3 (# Setup) comes after")
def setup_late(notebook, path):
    notebook.cells.insert(1, notebook.cells.pop(2))


@breaks(rules.title_cell, "cell 1 is to be a Markdown cell")
def no_title(notebook, path):
    del notebook.cells[0]


@breaks(rules.title_cell, "cell 1 has no outcomes")
def no_outcomes(notebook, path):
    notebook.cells[0].source = TITLE.replace("By the end", "Perhaps")


@breaks(rules.title_cell, "cell 1 lists fewer than two outcomes")
def one_outcome(notebook, path):
    notebook.cells[0].source = TITLE.replace("- draw", "or draw")


@breaks(rules.title_cell, "cell 1 does not say how long the lesson takes")
def no_time_to_teach(notebook, path):
    notebook.cells[0].source = TITLE.replace("to teach", "")


@breaks(rules.title_cell, "cell 1 does not say how long it runs")
def no_time_to_run(notebook, path):
    notebook.cells[0].source = TITLE.replace("20 seconds", "seconds")


@breaks(rules.heading_levels, "cell 4 (# Squares): the heading 'Squares' has level 1")
def second_title(notebook, path):
    notebook.cells[3].source = "# Squares"


@breaks(rules.heading_levels, "cell 4 (### Squares): the heading 'Squares' has level 3")
def level_left_out(notebook, path):
    notebook.cells[3].source = "### Squares"


@breaks(rules.heading_levels, "cell 1 (## A lesson): the heading 'A lesson' has level 2")
def title_of_level_two(notebook, path):
    notebook.cells[0].source = "## A lesson"


@breaks(rules.heading_levels, "there is no heading")
def no_heading(notebook, path):
    notebook.cells = notebook.cells[1:3]


@breaks(rules.images, "cell 4 (## Squares): the image square.png has no alt text")
def alt_text_missing(notebook, path):
    notebook.cells[3].source = SECTION.replace("A square", " ")


@breaks(rules.images, "cell 4 (## Squares): the image https://example.org/home/a.png has no alt text")
def alt_attribute_missing(notebook, path):
    notebook.cells[3].source = SECTION.replace('alt="another"', "")


@breaks(rules.images, "cell 4 (## Squares): the image circle.png does not exist")
def image_missing(notebook, path):
    notebook.cells[3].source = SECTION.replace("square.png", "circle.png")


@breaks(rules.images, "cell 4 (## Squares): the image attachment:square.png does not exist")
def attachment_missing(notebook, path):
    notebook.cells[3].source = SECTION.replace("square.png", "attachment:square.png")


@breaks(rules.cell_length, "cell 3 (x = 0) has 31 lines")
def long_code(notebook, path):
    notebook.cells[2].source = "\n".join(["x = 0"] * 31)


@breaks(rules.cell_length, "cell 7 (word) has 31 lines")
def long_text(notebook, path):
    notebook.cells[6].source = "\n".join(["word"] * 31)


@breaks(rules.code_width, "has a line of 89 columns, more than 88")
def wide_code(notebook, path):
    notebook.cells[2].source = "SIDE = 4".ljust(89, "#")


def with_table(*rows):
    def change(notebook, path):
        notebook.cells[0].source += "\n\n" + "\n".join(["| 1 ◆ | Four? | 5 | 9 |", *rows])
        notebook.cells[3].source = "## 1 ◆ Four?\n\n### Their sides\n\n### Their angles\n\n## 2 Five?\n\n### Others"

    return change


for row, reported in [
    ("| | Others | 1 | |", "has 'Others', which is no heading of section 1"),
    ("| | Their angles | 3 | |", "with 'Their angles' the subsections of section 1 take longer"),
]:
    breaks(rules.minutes_of_subsections, reported)(with_table("| | Their sides | 3 | |", row))


@breaks(rules.file_size, "lesson.ipynb has 4,000,001 bytes")
def large_file(notebook, path):
    path.write_bytes(b" " * 4_000_001)


@breaks(rules.slides, "cell 5 (draw(SIDE)) has slide type None")
def no_slide_type(notebook, path):
    del notebook.cells[4].metadata["slideshow"]


@breaks(rules.slides, "cell 5 (draw(SIDE)) has slide type page")
def unknown_slide_type(notebook, path):
    notebook.cells[4].metadata.slideshow.slide_type = "page"


@breaks(rules.slides, "cell 1 (# A lesson) is to be a 'slide'")
def title_skipped(notebook, path):
    notebook.cells[0].metadata.slideshow.slide_type = "skip"


@breaks(rules.slides, "cell 4 (## Squares) has slide type fragment: set it to one of skip, slide")
def section_in_the_middle_of_a_slide(notebook, path):
    notebook.cells[3].metadata.slideshow.slide_type = "fragment"


@breaks(rules.slides, "cell 7 (### Sides) has slide type notes")
def heading_in_notes(notebook, path):
    notebook.cells[6].source = "### Sides"


@breaks(rules.slides, "cell 2 (# Setup) has slide type slide: set it to one of skip")
def setup_on_a_slide(notebook, path):
    notebook.cells[1].metadata.slideshow.slide_type = "slide"


@breaks(rules.slides, "cell 5 (draw(SIDE)) has slide type notes")
def code_in_notes(notebook, path):
    notebook.cells[4].metadata.slideshow.slide_type = "notes"


@breaks(rules.colab_badge, "cell 1 is to have the Colab badge of this very notebook")
def no_badge(notebook, path):
    notebook.cells[0].source = TITLE.format(badge="")


@breaks(rules.colab_badge, "cell 1 is to have the Colab badge of this very notebook")
def badge_of_another_notebook(notebook, path):
    notebook.cells[0].source = TITLE.format(badge=rules.badge(path.with_name("other.ipynb")))


@breaks(rules.colab_badge, "cell 1 is to have the Colab badge of this very notebook")
def badge_twice(notebook, path):
    notebook.cells[0].source = TITLE.format(badge=rules.badge(path) * 2)


@breaks(rules.no_final_semicolon, "cell 5 (draw(SIDE);  # quiet) ends in ';'")
def final_semicolon(notebook, path):
    notebook.cells[4].source = "draw(SIDE);  # quiet\n# the end"


@breaks(rules.tags_and_claims, "cell 4 (## Squares) has the unknown tag cor")
def unknown_tag(notebook, path):
    notebook.cells[3].metadata.tags = ["cor"]


@breaks(rules.tags_and_claims, "cell 6 (# NBVAL_SKIP) sets nbval by a comment")
def nbval_comment(notebook, path):
    notebook.cells[5].source = "# NBVAL_SKIP\nclaim('the sum', 1 + 1, 3)"


@breaks(rules.tags_and_claims, "cell 5 (draw(SIDE)) is tagged nbval-ignore-output")
def ignored_without_claim(notebook, path):
    notebook.cells[5].source = "print(1 + 1)"


@breaks(rules.tags_and_claims, "cell 5 (draw(SIDE)) is tagged nbval-ignore-output")
def ignored_at_the_end(notebook, path):
    del notebook.cells[5]


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a figure without its image")
def image_not_stored(notebook, path):
    notebook.cells[4].outputs[0].data = {"text/plain": "<Figure size 400x400 with 1 Axes>"}


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a figure without its words")
def figure_without_a_text_alternative(notebook, path):
    notebook.cells[4].outputs[0].metadata = {}


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a figure without its words")
def figure_whose_words_are_not_compared(notebook, path):
    notebook.cells[4].outputs[0].data["text/plain"] = "<Figure size 400x400 with 1 Axes>"


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a blank figure")
def blank_figure(notebook, path):
    notebook.cells[4].outputs[0].data["image/png"] = png("white", "white")


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a damaged figure")
def damaged_figure(notebook, path):
    data = notebook.cells[4].outputs[0].data
    data["image/png"] = data["image/png"][:60]


@breaks(rules.figures, "cell 5 (draw(SIDE)) has a damaged figure")
def figure_of_something_else(notebook, path):
    notebook.cells[4].outputs[0].data["image/png"] = base64.b64encode(b"no picture").decode("ascii")


@breaks(rules.metadata, "the notebook's metadata")
def other_kernel(notebook, path):
    notebook.metadata = {**rules.NOTEBOOK_METADATA, "kernelspec": {"name": "mine", "display_name": "mine"}}


@breaks(rules.metadata, "the notebook's metadata")
def widgets_stored(notebook, path):
    notebook.metadata = {**rules.NOTEBOOK_METADATA, "widgets": {}}


@breaks(rules.metadata, "cell 5 (draw(SIDE)) has metadata beyond")
def time_stored(notebook, path):
    notebook.cells[4].metadata.execution = {"iopub.execute_input": "2020-01-01T00:00:00Z"}


@breaks(rules.metadata, "cell 7 (Ask for a guess first.) has metadata beyond")
def hash_of_text(notebook, path):
    notebook.cells[6].metadata.source_hash = "0" * 16


@breaks(rules.no_machine_paths, "cell 3 (DATA = '/home/me/data') shows /home/")
def path_in_source(notebook, path):
    notebook.cells[2].source = "DATA = '/home/me/data'"


@breaks(rules.no_machine_paths, "cell 6 (claim('the sum', 1 + 1, 2)  # one; and o) shows C:\\Users")
def path_printed(notebook, path):
    notebook.cells[5].outputs[0].text = r"read from C:\Users\me\data"


@breaks(rules.no_machine_paths, "cell 5 (draw(SIDE)) shows /tmp/")
def path_in_a_value(notebook, path):
    notebook.cells[4].outputs[0].data["text/plain"] = "PosixPath('/tmp/data')"


@breaks(rules.no_machine_paths, "cell 5 (draw(SIDE)) shows /Users/")
def path_in_an_error(notebook, path):
    error = nbformat.v4.new_output("error", ename="OSError", evalue="none", traceback=["in /Users/me/a.py"])
    notebook.cells[4].outputs = [error]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_notebook(lesson, rule: rules.Rule):
    assert rule(*lesson) == []


@pytest.mark.parametrize(
    "rule, breaker, reported",
    BREAKERS,
    ids=[f"{rule.__name__}-{breaker.__name__}" for rule, breaker, _ in BREAKERS],
)
def test_rule_reports(lesson, rule: rules.Rule, breaker, reported: str):
    breaker(*lesson)
    problems = rule(*lesson)
    assert any(reported in problem for problem in problems), problems


def test_every_rule_has_a_breaker():
    assert {rule.__name__ for rule in rules.RULES} == {rule.__name__ for rule, _, _ in BREAKERS}


def test_machine_paths_in_embedded_images_are_chance(lesson):
    notebook, path = lesson
    notebook.cells[3].source = '<img alt="dot" src="data:image/png;base64,AAAA/tmp/AAAA">'
    assert rules.no_machine_paths(notebook, path) == []


# The folder around the notebooks


HOSTS = ("github.com/", ".github.io", "mybinder.org", "kaggle.com/kernels", "colab.research.google.com/github")


def test_no_link_leads_to_an_address_that_is_not_set():
    """Whoever registers it would run code in every student's session."""
    repository, _ = rules.public_address()
    owner, _, name = repository.removeprefix("https://github.com/").lower().partition("/")
    files = [*rules.ROOT.glob("*.*"), *rules.ROOT.glob(".github/**/*.*"), *rules.ROOT.glob("data/*.md")]
    files += [*rules.ROOT.glob("notebooks/**/*.ipynb"), *rules.ROOT.glob("notebooks/**/*.md")]
    files += rules.ROOT.glob("helpers/**/*.*")
    texts = {file: file.read_bytes().decode("utf-8", "ignore") for file in files if file.is_file()}
    words = {
        (file.name, word) for file, text in texts.items() for word in re.split(r"[\s()<>\"]+", text) if "//" in word
    }
    links = {(file, word) for file, word in words if any(host in word for host in HOSTS)}
    known = re.compile(r"https://github\.com/(OWNER/NAME|keras-team/)")  # an example, and what is cited
    strange = {(file, link) for file, link in links if not known.search(link)}
    if repository:
        own = re.compile(rf"{re.escape(owner)}(?:/|\.github\.io/){re.escape(name)}\b", re.IGNORECASE)
        strange = {(file, link) for file, link in strange if not own.search(link)}
    assert not strange


def test_environment_adds_nothing_to_the_requirements():
    dependencies = (rules.ROOT / "environment.yml").read_text(encoding="utf-8").partition("dependencies:")[2]
    listed = re.findall(r"^ *- *(.*\S)", dependencies, flags=re.MULTILINE)
    assert re.fullmatch(r"python\b[=<>., \d]*", listed[0])
    assert listed[1:] == ["pip", "pip:", "-r requirements.txt"]


def test_top_level_is_small():
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    found = subprocess.run([git, "ls-files"], cwd=rules.ROOT, capture_output=True, text=True, check=False)
    if not found.stdout:
        pytest.skip("this copy of the course is not a git checkout")
    top = {name.partition("/")[0] for name in found.stdout.splitlines()}
    files = {"README.md", "requirements.txt", "environment.yml", "pyproject.toml", "LICENSE"}
    folders = {"notebooks", "helpers", "data", "tests"}
    assert {name for name in top if not name.startswith(".")} == files | folders
