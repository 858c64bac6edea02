"""Decks need nothing but the folder that they are in; and every slide fits, as a browser shows it (slow)."""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
import tarfile
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from nbformat import v4

import notebook_rules as rules
from helpers import claims, slides

NOTEBOOKS = rules.course_notebooks()
TITLE = """# Title

[![Open in Colab](https://colab.example.org/badge.svg)](https://colab.example.org/course)
See [the web](https://example.org): $x^2$, ![a picture](https://pictures.example.org/c.png)"""
TABLE = """| section | the question | minutes |
| --- | --- | --- |
| 0 | Are you ready? | 2 |
| 1 ◆ | How many? | 61 |
| 2 ◆ | What then? | 4 |
| 3 | Exercises | at home |"""
# A copy of a deck refuses what does not come from a file, and leaves of itself what was measured.
WATCH = f"""<head><meta http-equiv="Content-Security-Policy"
content="default-src file: data: blob: 'unsafe-inline' 'unsafe-eval'">
<script>{(rules.ROOT / "tests" / "measure_slides.js").read_text(encoding="utf-8")}</script>"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(slides, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def filled_cache(cache):
    for package, (_, wanted) in slides.PACKAGES.items():
        for path in wanted.split():
            file = cache / package / (path + "any.js" if path.endswith("/") else path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()


@pytest.fixture
def archive(cache, tmp_path, monkeypatch):
    """The only package of a registry, which decks then need."""
    file = tmp_path / "registry" / "some.js" / "-" / "some.js-1.2.3.tgz"
    file.parent.mkdir(parents=True)
    style = tmp_path / "style.css"
    style.write_bytes(b"@import url(https://fonts.example.org/css?a:4,7);\np { color: red }")
    with tarfile.open(file, mode="w:gz") as package:
        package.add(style, "package/dist/a.css")
        package.add(style, "package/other/b.css")
    checksum = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    monkeypatch.setattr(slides, "PACKAGES", {"some.js-1.2.3": (checksum, "dist/")})
    monkeypatch.setenv("npm_config_registry", (tmp_path / "registry").as_uri())
    return file


def fetch(_=None):
    """Fetch the first of the packages."""
    package, needs = next(iter(slides.PACKAGES.items()))
    return slides.fetch_package(package, *needs, "try again")


@pytest.fixture
def notebook(tmp_path):
    said = {"image/png": {"alt": 'A "ramp" < 5 & more.'}}
    picture = v4.new_output("display_data", {"image/png": base64.b64encode(b"a picture").decode()}, metadata=said)
    framed = v4.new_output("display_data", {"text/html": '<iframe srcdoc="&lt;p&gt;moves"></iframe>'})
    shown = v4.new_code_cell("1 + 1", outputs=[picture, framed])
    nbformat.write(v4.new_notebook(cells=[*lesson().cells, shown]), tmp_path / "tiny.ipynb")
    return tmp_path / "tiny.ipynb"


def cell(slide_type: str, source: str, printed: str | None = None) -> nbformat.NotebookNode:
    """A text of a slide or, when it printed something, code."""
    metadata = {"slideshow": {"slide_type": slide_type}}
    if printed is None:
        return v4.new_markdown_cell(source, metadata=metadata)
    return v4.new_code_cell(source, outputs=[v4.new_output("stream", text=printed)], metadata=metadata)


def lesson(table: str = TABLE, printed: str = "nothing is claimed") -> nbformat.NotebookNode:
    """A notebook with a table of sections, predictions, and a cell that printed something."""
    cells = [
        cell("slide", TITLE),
        cell("skip", table),
        cell("slide", "## 0 Are you ready?"),
        cell("slide", "## 1 ◆ How many?\n\n**Predict first:** how many\nare $x^2$?\n\nNot asked."),
        cell("skip", "hidden()", "hidden       1  ✓\n"),
        cell("fragment", "shown()", printed),
        cell("subslide", "Four are enough (Zeiler et al. 2014, J. Redmon). It always is."),
        cell("subslide", "### More\n\n**Predict first:** one?\n\n**For each, predict first:** two?"),
        cell("subslide", "(An aside.) No. Nothing more comes of it. Never.\n\n**Predict first:** three?"),
        cell("slide", "## 2 ◆ What then?"),
        cell("slide", "## 3 Exercises"),
    ]
    return v4.new_notebook(cells=cells)


def notes_by_slide(notebook: nbformat.NotebookNode) -> list[str]:
    """Add the notes; return that of each slide, which has to follow the slide's first cell and so is in no fragment."""
    slides.add_notes(notebook)
    types = [each.metadata.slideshow.slide_type for each in notebook.cells]
    firsts = [place for place, slide_type in enumerate(types) if slide_type in ("slide", "subslide")]
    assert types.count("notes") == sum(types[first + 1 : first + 2] == ["notes"] for first in firsts)
    return [notebook.cells[first + 1].source if types[first + 1 : first + 2] == ["notes"] else "" for first in firsts]


@pytest.mark.parametrize("folder, name", [(".", "tiny"), ("solutions", "tiny_solutions")])
def test_a_deck_needs_nothing_from_the_web(folder, name, notebook, filled_cache, tmp_path):
    (tmp_path / folder).mkdir(exist_ok=True)
    deck = slides.make_deck(notebook.rename(tmp_path / folder / notebook.name), tmp_path / "to")
    assert deck == tmp_path / "to" / f"{name}.slides.html"
    page = deck.read_text(encoding="utf-8")
    # What tags other than links load
    files = re.findall(r"""<(?!a\b)[a-z]+ [^>]*\b(?:src|href)=["']((?!data:)[^"']*)""", page)
    assert len(files) == 4
    for address in files + re.findall(r'"(assets/[^"]*)"', page):
        assert (deck.parent / address.partition("?")[0]).is_file(), address
    styles = "".join(re.findall(r"<style.*?</style>", page, re.DOTALL))
    assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", styles)
    assert not re.search(r"^ *import [^;\n]*['\"]https?:", page, re.MULTILINE)
    assert "pictures.example.org" not in page and "colab.example.org" not in page and "https://example.org" in page
    assert "&lt;p&gt;moves" in page and base64.b64encode(b"a picture").decode() in page
    assert re.search(r"""<img alt='A "ramp" &lt; 5 &amp; more.'[^>]* src="data:image/png""", page)
    assert page.count('<aside class="notes">') == 7


def test_the_notes_are_on_their_slides():
    plan = (
        "**67 minutes, 65 of them for the core, ◆.** Short of time? Leave out the sections without ◆. The key S opens "
        "these notes.\n\n| begins | core only | section | minutes |\n| --- | --- | --- | --- |\n"
        "| 0:00 |  | 0 Are you ready? | 2 |\n| 0:02 | 0:00 | 1 ◆ How many? | 61 |\n"
        "| 1:03 | 1:01 | 2 ◆ What then? | 4 |\n|  |  | 3 Exercises | at home |"
    )
    wait, no = "**Wait for hands before you go on.**", "**Then:** No. Nothing more comes of it."
    assert notes_by_slide(lesson()) == [
        plan,
        "**Section 0:** 2 minutes, 0:00 to 0:02; leave it out when time is short.",
        "**Section 1 ◆:** 61 minutes, 0:02 to 1:03; core only: 0:00 to 1:01.\n\n"
        f"**Ask:** how many\nare $x^2$? {wait}\n\n**Then:** Four are enough (Zeiler et al. 2014, J. Redmon).",
        "",
        f"**Ask:** one? {wait}\n\n{no}\n\n**Ask:** For each, two? {wait}\n\n{no}",
        f"**Ask:** three? {wait}",
        "**Section 2 ◆:** 4 minutes, 1:03 to 1:07; core only: 1:01 to 1:05.",
        "**Section 3:** at home.",
    ]


def test_the_notes_quote_whole_lines_of_the_ledger(capsys):
    try:
        claims.claim("3 · 2 + 1, as taught", 7, 7, source="Zeiler 2014")
        claims.claim("test accuracy of the CNN", 0.5, claims.at_least(0.83))
        claims.judge_bounds(False, lesson="none")
        claims.claim("    indented", [0.25, 1], claims.at_most(3))
    finally:
        claims.judge_bounds(True, lesson="none")
    printed = f"a table  ✓  of\n{capsys.readouterr().out}one more    4  ✓\n"
    assert notes_by_slide(lesson(printed=printed))[2].endswith(
        "**Checked:**\n\n- `3 · 2 + 1, as taught`: `7` ✓  [Zeiler 2014]\n"
        "- `test accuracy of the CNN`: `0.5 (≥ 0.83)` ✗\n- `indented`: `0.25 to 1 (lesson: ≤ 3)` ·"
    )


@pytest.mark.parametrize("table", ["No table.", TABLE.replace("minutes", "pages"), TABLE.partition("| 0")[0]])
def test_without_sections_there_are_still_predictions(table):
    notes = notes_by_slide(lesson(table))
    assert [note.count("**Ask:**") for note in notes] == [0, 0, 1, 0, 2, 1, 0, 0] and "Section" not in "".join(notes)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_notes_of_a_notebook_have_all_its_sections_and_predictions(path):
    notebook = nbformat.read(path, as_version=4)
    sections = [section.number for section in slides.read_sections(notebook)]
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    notes = "\n".join(notes_by_slide(notebook))
    assert re.findall(r"^\*\*Section (\d+)", notes, re.MULTILINE) == sections
    assert bool(sections) == (path.parent.name == "notebooks")
    assert notes.count("**Ask:**") == sum(text.lower().count("predict first:**") for text in texts)
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert len(slides._CLAIM.findall(printed)) == len(re.findall(r"  [✓✗·](?:$|  \[)", printed, re.MULTILINE)) > 0


def test_without_a_browser_there_are_decks(notebook, filled_cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CHROME", "/no/browser")
    slides._main([str(notebook), "--to", str(tmp_path / "to")])
    assert "No PDFs: install Chrome" in capsys.readouterr().out
    monkeypatch.setenv("CHROME", sys.executable)
    with pytest.raises(SystemExit, match="did not print"):
        slides._main([str(notebook), "--to", str(tmp_path / "to")])
    assert {path.name for path in (tmp_path / "to").iterdir()} == {"assets", "tiny.slides.html"}


@pytest.mark.parametrize("content", [None, "no JSON", "{}", "[]"])
def test_what_is_not_a_notebook_is_named(content, tmp_path):
    file = tmp_path / "unknown.ipynb"
    if content:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(str(file))):
        slides._main([str(file), "--to", str(tmp_path)])


def test_two_runs_at_once_fetch_the_same_and_a_third_nothing(archive, cache, monkeypatch):
    both, urlopen = threading.Barrier(2, timeout=10), urllib.request.urlopen
    # Neither gets an answer before both have asked.
    monkeypatch.setattr(urllib.request, "urlopen", lambda *asked, **how: both.wait() < 2 and urlopen(*asked, **how))
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fetch, range(2))) == [cache / "some.js-1.2.3"] * 2
    archive.unlink()
    assert fetch() == cache / "some.js-1.2.3"
    (file,) = [path for path in cache.rglob("*") if path.is_file()]
    assert file == cache / "some.js-1.2.3" / "dist" / "a.css"
    assert file.read_bytes() == b"\np { color: red }"


def test_what_cannot_be_had_is_told_with_the_reason(archive, cache, monkeypatch):
    archive.write_bytes(archive.read_bytes() + b"damaged")
    with pytest.raises(ConnectionError, match=r"its checksum is wrong\): try again once"):
        fetch()
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    with pytest.raises(ConnectionError, match=r"some.js-1.2.3 .* \(127.0.0.1: .*refused\): try again once"):
        fetch()
    assert not cache.exists()


def test_the_website_can_import_the_module_without_what_decks_need():
    block = "import sys; sys.modules.update(dict.fromkeys(['nbconvert', 'numpy', 'keras', 'matplotlib']))"
    subprocess.run([sys.executable, "-c", f"{block}; import helpers.slides"], cwd=rules.ROOT, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_slide_fits_and_no_network_is_asked(path, tmp_path):
    browser = slides.find_browser() or pytest.skip("there is no Chromium")
    deck = slides.make_deck(path, tmp_path)
    page = deck.read_text(encoding="utf-8")
    watched = tmp_path / "watched.html"
    watched.write_text(page.replace("<head>", WATCH, 1), encoding="utf-8")
    options = ("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,720", "--dump-dom")
    shown = slides.browse(browser, watched.as_uri(), *options).stdout.decode()
    found = json.loads(html.unescape(re.search(r"<pre>(\{.*\})</pre>", shown, re.DOTALL)[1]))
    assert (found["missing"], found["wrong"]) == ([], 0)
    assert (found["notes"], found["seen"]) == (page.count('<aside class="notes">'), 0)
    assert found["drawn"] == 0  # a drawing of MathJax's would be empty in the speaker's window
    assert found["formulas"] > 0 or "$" not in path.read_text(encoding="utf-8")
    assert [slide for slide in found["slides"] if slide["height"] > 720 or slide["width"] > 1280] == []
    pages = re.findall(rb"/Type /Page\b", slides._print_pdf(deck, browser).read_bytes())
    assert len(pages) == len(found["slides"]) > 0
