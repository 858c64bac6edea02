"""What every notebook of the course keeps to, as stored: one function per rule.

A rule takes a notebook and its path and returns the problems found, each a sentence that names the cell
(counted from 1) and says what to do. `test_notebook_form.py` applies the rules to the course's notebooks, and
to notebooks that break them; `refresh.py` writes what they ask for.
"""

import base64
import hashlib
import io
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat.v4
from nbformat import NotebookNode
from PIL import Image

from masks import INEXACT

Rule = Callable[[NotebookNode, Path], list[str]]

ROOT = Path(__file__).resolve().parent.parent

# Whatever Jupyter and kernel a notebook was last saved with: only a change of content is to show in a diff.
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KNOWN_TAGS = {"parameters", "setup", "nbval-ignore-output", INEXACT}
SLIDE_TYPES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
MOST_LINES = 30  # a longer cell is a listing rather than a step, and overflows its slide
MOST_COLUMNS = 88  # a longer line of code leaves a slide
STILL_WIDE = ("01", "02", "03", "04", "05", "06")  # lessons whose code is not yet that narrow
MOST_BYTES = 4_000_000

BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE = re.compile(rf"\[!\[[^\]]*\]\({re.escape(BADGE_IMAGE)}\)\]\([^)]*\)")


# What the rules share with refresh.py


def course_notebooks() -> list[Path]:
    """All notebooks of the course, lessons first."""
    return sorted(ROOT.glob("notebooks/*.ipynb")) + sorted(ROOT.glob("notebooks/solutions/*.ipynb"))


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook just as stored: `nbformat.read` would repair the ids that the rules are about."""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def public_address() -> tuple[str, str]:
    """The course's repository on GitHub, and its branch or tag, from pyproject.toml; two empty texts without one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository, _, tag = project.get("urls", {}).get("Repository", "").partition("/tree/")
    return repository, tag


def setup_source() -> str:
    """The setup cell that every notebook has."""
    repository, tag = public_address()
    template = (ROOT / "tests" / "setup_cell.py").read_text(encoding="utf-8")
    return template.strip().replace('ADDRESS, TAG = "", ""', f'ADDRESS, TAG = "{repository}", "{tag}"')


def hosted_links(path: Path) -> dict[str, str]:
    """Where this notebook opens without being installed, by the name of the service; empty without a public address."""
    repository, tag = public_address()
    if not repository:
        return {}
    course, notebook = repository.removeprefix("https://github.com/"), path.resolve().relative_to(ROOT).as_posix()
    return {
        "Colab": f"https://colab.research.google.com/github/{course}/blob/{tag}/{notebook}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src={repository}/blob/{tag}/{notebook}",
        "Binder": f"https://mybinder.org/v2/gh/{course}/{tag}?urlpath=lab/tree/{notebook}",
    }


def badge(path: Path) -> str:
    """The Markdown of the button that opens this notebook in Colab; empty without a public address."""
    links = hosted_links(path)
    return f"[![Open in Colab]({BADGE_IMAGE})]({links['Colab']})" if links else ""


def source_hash(source: str) -> str:
    """A fingerprint stored with a code cell, which shows that its code is the code that was executed."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:16]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def slide_type(cell: NotebookNode) -> str | None:
    return cell.metadata.get("slideshow", {}).get("slide_type")


def authored_metadata(cell: NotebookNode) -> dict:
    """The part of a cell's metadata that its author writes; all but the source hash."""
    kept = {}
    if tags(cell):
        kept["tags"] = tags(cell)
    if slide_type(cell):
        kept["slideshow"] = {"slide_type": slide_type(cell)}
    return kept


def where(notebook: NotebookNode, index: int) -> str:
    """Name a cell in a message: its number, counted from 1, and its first words."""
    source = notebook.cells[index].source.strip()
    first_words = source.splitlines()[0][:40] if source else "empty"
    return f"cell {index + 1} ({first_words})"


# The rules, and what only they use


def _code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code")


def _markdown_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "markdown")


def _outputs(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((index, output) for index, cell in _code_cells(notebook) for output in cell.outputs)


def _tagged(notebook: NotebookNode, tag: str) -> list[int]:
    return [index for index, cell in _code_cells(notebook) if tag in tags(cell)]


def _title(notebook: NotebookNode) -> str:
    """The text of the first cell when that is Markdown."""
    first = notebook.cells[:1]
    return first[0].source if first and first[0].cell_type == "markdown" else ""


def _without_fenced_code(markdown: str) -> str:
    return re.sub(r"^ *(`{3,}|~{3,}).*?(^ *\1[`~]* *$|\Z)", "", markdown, flags=re.MULTILINE | re.DOTALL)


def executed_in_order(notebook: NotebookNode, path: Path) -> list[str]:
    """All code was executed once, from top to bottom, and has not changed since.

    nbval passes a cell without a count and outputs, whatever it gives, and outputs edited by hand drift.
    """
    problems = []
    for count, (index, cell) in enumerate(_code_cells(notebook), start=1):
        here = where(notebook, index)
        if not cell.source.strip():
            problems.append(f"{here} is a blank code cell: delete it")
        elif cell.execution_count != count:
            problems.append(f"{here} has count {cell.execution_count}, not {count}: refresh the notebook")
        elif cell.metadata.get("source_hash") != source_hash(cell.source):
            problems.append(f"{here} was edited after it was executed: refresh the notebook")
    return problems


def no_stderr_or_error(notebook: NotebookNode, path: Path) -> list[str]:
    problems = []
    for index, output in _outputs(notebook):
        if output.output_type == "error":
            problems.append(f"{where(notebook, index)} raised {output.ename}: mend and refresh the notebook")
        elif output.get("name") == "stderr":
            problems.append(f"{where(notebook, index)} wrote to stderr: prevent {output.text[:60]!r}")
        elif "WARNING:" in output.get("text", ""):  # TensorFlow's logger writes to stdout in a notebook
            problems.append(f"{where(notebook, index)} shows a warning: prevent {output.text[:60]!r}")
    return problems


def claims_hold(notebook: NotebookNode, path: Path) -> list[str]:
    """Every claim holds as stored: a bound that does not prints its line all the same."""
    return [
        f"{where(notebook, index)} has a claim that does not hold: {' '.join(line.split())}"
        for index, output in _outputs(notebook)
        for line in output.get("text", "").splitlines()
        if line.endswith("  ✗") or "  ✗  [" in line
    ]


def unique_ids(notebook: NotebookNode, path: Path) -> list[str]:
    problems, seen = [], set()
    for index, cell in enumerate(notebook.cells):
        if not cell.get("id"):
            problems.append(f"{where(notebook, index)} has no id: refresh the notebook")
        elif cell.id in seen:
            problems.append(f"{where(notebook, index)} has another cell's id {cell.id}: refresh the notebook")
        seen.add(cell.get("id"))
    return problems


def one_parameters_cell(notebook: NotebookNode, path: Path) -> list[str]:
    found = _tagged(notebook, "parameters")
    if len(found) == 1:
        return []
    cells = ", ".join(where(notebook, index) for index in found) or "none"
    return [f"exactly one code cell is to be tagged 'parameters', and here it is {cells}"]


def one_setup_cell(notebook: NotebookNode, path: Path) -> list[str]:
    """The setup cell is that of tests/setup_cell.py and comes before the parameters."""
    found = _tagged(notebook, "setup")
    if len(found) != 1:
        cells = ", ".join(where(notebook, index) for index in found) or "none"
        return [f"exactly one code cell is to be tagged 'setup', and here it is {cells}"]
    problems = []
    here = where(notebook, found[0])
    if notebook.cells[found[0]].source != setup_source():
        problems.append(f"{here} differs from tests/setup_cell.py: refresh the notebook")
    if any(index < found[0] for index in _tagged(notebook, "parameters")):
        problems.append(f"{here} comes after the parameters cell: move it before")
    return problems


def title_cell(notebook: NotebookNode, path: Path) -> list[str]:
    """The title cell says what the reader will be able to do, and how long teaching and running take."""
    title = _title(notebook)
    if not title.startswith("# "):
        return ["cell 1 is to be a Markdown cell that starts with '# ' and the title"]
    problems = []
    _, found, outcomes = title.partition("By the end")
    if not found:
        problems.append("cell 1 has no outcomes: write a line with 'By the end' and a list below it")
    elif len(re.findall(r"^ *(?:[-*+]|\d+\.) \S", outcomes, flags=re.MULTILINE)) < 2:
        problems.append("cell 1 lists fewer than two outcomes below 'By the end': write a list of them")
    plain = title.replace("*", "")
    if not re.search(r"\d+.* minutes to teach", plain, flags=re.IGNORECASE):
        problems.append("cell 1 does not say how long the lesson takes: write '... minutes to teach'")
    if not re.search(r"\d+ (second|minute)s? to run", plain, flags=re.IGNORECASE):
        problems.append("cell 1 does not say how long it runs: write '... seconds to run' (or minutes)")
    return problems


def heading_levels(notebook: NotebookNode, path: Path) -> list[str]:
    """One title, first, and below it no level left out."""
    problems = []
    above = 0
    for index, cell in _markdown_cells(notebook):
        text = _without_fenced_code(cell.source)
        for marks, title in re.findall(r"^(#{1,6}) +(.*)", text, flags=re.MULTILINE):
            heading = f"{where(notebook, index)}: the heading '{title}' has level {len(marks)}"
            if len(marks) == 1 and above:
                problems.append(f"{heading}, and that is for the title only: give it level 2")
            elif len(marks) > above + 1:
                problems.append(f"{heading}, which leaves a level out: give it level {above + 1}")
            above = len(marks)
    if not above:
        problems.append("there is no heading: start cell 1 with '# ' and the title")
    return problems


def images(notebook: NotebookNode, path: Path) -> list[str]:
    """Every image in the text has a text in its place, and exists."""
    problems = []
    for index, cell in _markdown_cells(notebook):
        markdown = re.sub(r"`[^`\n]*`", "", _without_fenced_code(cell.source))
        found = re.findall(r"!\[(.*?)\]\(\s*([^)\s]*)", markdown)
        for element in re.findall(r"<img\b[^>]*>", markdown):
            attributes = {name: text for name, _, text in re.findall(r"\b(alt|src)=([\"'])(.*?)\2", element)}
            found.append((attributes.get("alt", ""), attributes.get("src", "")))
        for alt, source in found:
            here = f"{where(notebook, index)}: the image {source[:60]}"
            if not alt.strip():
                problems.append(f"{here} has no alt text: say what it shows")
            if source.startswith("attachment:"):
                exists = source.removeprefix("attachment:") in cell.get("attachments", {})
            else:
                exists = source.startswith(("https://", "data:")) or (path.parent / source).is_file()
            if not exists:
                problems.append(f"{here} does not exist: correct its address")
    return problems


def cell_length(notebook: NotebookNode, path: Path) -> list[str]:
    lengths = [len(cell.source.splitlines()) for cell in notebook.cells]
    return [
        f"{where(notebook, index)} has {length} lines, more than {MOST_LINES}: split it"
        for index, length in enumerate(lengths)
        if length > MOST_LINES and "setup" not in tags(cell := notebook.cells[index])
        if cell.cell_type == "code" or slide_type(cell) != "skip"  # a table that is in no slide may be long
    ]


def code_width(notebook: NotebookNode, path: Path) -> list[str]:
    return [
        f"{where(notebook, index)} has a line of {width} columns, more than {MOST_COLUMNS}: break it"
        for index, cell in _code_cells(notebook)
        if (width := max(map(len, cell.source.splitlines()), default=0)) > MOST_COLUMNS
        and "setup" not in tags(cell)
        and not path.stem.startswith(STILL_WIDE)
    ]


def minutes_of_subsections(notebook: NotebookNode, path: Path) -> list[str]:
    """Rows below a section's in the table of minutes name its subsections, which take no longer than it does.

    The paths through several lessons are made of them.
    """
    text = "\n\n".join(cell.source for _, cell in _markdown_cells(notebook))
    problems, section, left, headings = [], "", 0, []
    for number, name, minutes in re.findall(r"^\| *(\d*)[ ◆]*\| *(.+?) *\| *(\d+) *\|", text, flags=re.MULTILINE):
        if number:
            section, left = number, int(minutes)
            _, _, rest = text.partition(f"\n## {number} ")
            headings = re.findall(r"^### +(.+?) *$", rest.partition("\n## ")[0], flags=re.MULTILINE)
            continue
        left -= int(minutes)
        if name not in headings:
            problems.append(f"the table of sections has '{name}', which is no heading of section {section}: name one")
        elif left < 0:
            problems.append(f"with '{name}' the subsections of section {section} take longer than it does: count again")
    return problems


def file_size(notebook: NotebookNode, path: Path) -> list[str]:
    size = path.stat().st_size
    if size <= MOST_BYTES:
        return []
    return [f"{path.name} has {size:,} bytes, more than {MOST_BYTES:,}: store smaller or fewer figures"]


def slides(notebook: NotebookNode, path: Path) -> list[str]:
    """Every cell says what it is in the slides, and a heading starts a slide."""
    problems = []
    if notebook.cells and slide_type(notebook.cells[0]) != "slide":
        problems.append(f"{where(notebook, 0)} is to be a 'slide', as the first cell")
    for index, cell in enumerate(notebook.cells):
        allowed = SLIDE_TYPES if cell.cell_type == "markdown" else SLIDE_TYPES - {"notes"}
        if {"setup", "parameters"} & set(tags(cell)):
            allowed = {"skip"}
        elif cell.cell_type == "markdown" and cell.source.startswith(("# ", "## ")):
            allowed = {"slide", "skip"}
        elif cell.cell_type == "markdown" and cell.source.startswith("### "):
            allowed = {"slide", "subslide", "skip"}
        if slide_type(cell) not in allowed:
            problems.append(
                f"{where(notebook, index)} has slide type {slide_type(cell)}: "
                f"set it to one of {', '.join(sorted(allowed))}"
            )
    return problems


def colab_badge(notebook: NotebookNode, path: Path) -> list[str]:
    if BADGE.findall(_title(notebook)) == list(filter(None, [badge(path)])):
        return []
    return ["cell 1 is to have the Colab badge of this very notebook, where the course has an address, and no other"]


def no_final_semicolon(notebook: NotebookNode, path: Path) -> list[str]:
    """A final ; hides a cell's value in Jupyter, not in nbval, which keeps no history (nbval issue 194)."""
    problems = []
    for index, cell in _code_cells(notebook):
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in cell.source.splitlines()]
        code = [line for line in lines if line]
        if code and code[-1].endswith(";"):
            problems.append(f"{where(notebook, index)} ends in ';': assign the value to _ instead")
    return problems


def tags_and_claims(notebook: NotebookNode, path: Path) -> list[str]:
    """Tags are known ones, and an output that is not compared is at least followed by a claim about it."""
    problems = []
    for index, cell in enumerate(notebook.cells):
        unknown = sorted(set(tags(cell)) - KNOWN_TAGS)
        if unknown:
            problems.append(f"{where(notebook, index)} has the unknown tag {', '.join(unknown)}: remove it")
    code = list(_code_cells(notebook))
    for place, (index, cell) in enumerate(code):
        if re.search(r"# *(NBVAL|PYTEST_VALIDATE)_", cell.source):
            problems.append(f"{where(notebook, index)} sets nbval by a comment, which students see: tag it")
        following = code[place + 1][1].source if place + 1 < len(code) else ""
        if "nbval-ignore-output" in tags(cell) and "claim(" not in following and "assert " not in following:
            problems.append(
                f"{where(notebook, index)} is tagged nbval-ignore-output: "
                "check its result with claim() or assert in the next code cell"
            )
    return problems


def figures(notebook: NotebookNode, path: Path) -> list[str]:
    """Figures are there, show something, and say what: nbval compares these words, and no images."""
    problems = []
    for index, output in _outputs(notebook):
        data = output.get("data", {})
        if "image/png" in data:
            try:
                image = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGBA")
            except (ValueError, OSError, SyntaxError):  # Pillow's own errors for a broken PNG
                problems.append(f"{where(notebook, index)} has a damaged figure: refresh the notebook")
            else:
                if all(darkest == lightest for darkest, lightest in image.getextrema()):
                    problems.append(f"{where(notebook, index)} has a blank figure: mend what draws it")
                alt = output.metadata.get("image/png", {}).get("alt", "")
                if len(alt) < 10 or alt != data.get("text/plain"):
                    problems.append(f"{where(notebook, index)} has a figure without its words: use `plots`")
        elif data.get("text/plain", "").startswith("<Figure"):
            problems.append(f"{where(notebook, index)} has a figure without its image: use `plots`")
    return problems


def metadata(notebook: NotebookNode, path: Path) -> list[str]:
    """Metadata is what refresh.py writes, so that a diff shows only what an author changed."""
    problems = []
    if notebook.metadata != NOTEBOOK_METADATA:
        problems.append("the notebook's metadata is not what refresh.py writes: refresh the notebook")
    for index, cell in enumerate(notebook.cells):
        found = dict(cell.metadata)
        if cell.cell_type == "code":
            found.pop("source_hash", None)
        if found != authored_metadata(cell):
            problems.append(
                f"{where(notebook, index)} has metadata beyond tags, slide type and source hash: refresh the notebook"
            )
    return problems


def no_machine_paths(notebook: NotebookNode, path: Path) -> list[str]:
    """Neither source nor outputs name a folder of the machine that the notebook was executed on."""
    texts = [(index, cell.source) for index, cell in enumerate(notebook.cells)]
    for index, output in _outputs(notebook):
        if output.output_type == "stream":
            texts.append((index, output.text))
        elif output.output_type == "error":
            texts.append((index, "\n".join([output.evalue, *output.traceback])))
        for kind, value in output.get("data", {}).items():
            if kind == "image/svg+xml" or not kind.startswith("image/"):
                texts.append((index, str(value)))  # JSON outputs are no strings
    problems = []
    for index, text in texts:
        # Base64 holds slashes and letters: an embedded image could contain /tmp/ by chance.
        text = re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", text)
        # A name before the slash makes it part of an address on the web, such as example.org/home/.
        found = re.search(r"(?<![\w.~-])/(home|Users|root|tmp|work|var/folders)/|\b[A-Za-z]:\\+Users", text)
        if found:
            problems.append(f"{where(notebook, index)} shows {found[0]}, a path on one machine: remove it")
    return problems


RULES: list[Rule] = [
    executed_in_order,
    no_stderr_or_error,
    claims_hold,
    unique_ids,
    one_parameters_cell,
    one_setup_cell,
    title_cell,
    heading_levels,
    images,
    cell_length,
    code_width,
    minutes_of_subsections,
    file_size,
    slides,
    colab_badge,
    no_final_semicolon,
    tags_and_claims,
    figures,
    metadata,
    no_machine_paths,
]
