"""Decks need nothing but the folder that they are in; and every slide fits, as a browser shows it (slow)."""

import base64
import hashlib
import html
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pytest

import notebook_rules as rules
from helpers import slides

TEXT = """# Title

[![Open in Colab](https://colab.example.org/badge.svg)](https://colab.example.org/course)

See [the web](https://example.org): $x^2$, ![a picture](https://pictures.example.org/c.png)
"""
REFUSAL = 10  # seconds within which a closed network has to be told
MOST_HEIGHT = 720  # of a slide, in pixels
NOTEBOOKS = rules.course_notebooks()
LESSONS = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]
TABLE = """| section | the question | minutes |
| --- | --- | --- |
| 0 | Are you ready? | 2 |
| 1 ◆ | How many? | 61 |
| 2 | Why? | 5 |
| 3 ◆ | What then? | 4 |
| 4 | Exercises | at home |

Some words.
"""
# A copy of a deck refuses what does not come from a file, and tells what was refused, missing or wrong,
WATCH = """<head><meta http-equiv="Content-Security-Policy"
content="default-src file: data: blob: 'unsafe-inline' 'unsafe-eval'"><script>
const missing = [], told = kind => addEventListener(kind, e => missing.push(
    e.blockedURI || e.target.src || e.target.href || e.message), true);
told("error"); told("securitypolicyviolation");
</script>"""
# and leaves of itself what was measured when all its fragments are shown and all its formulas are set.
MEASURE = """<script>
const waiting = setInterval(() => {
  if (!document.querySelector(".reveal.ready") || !window.MathJax || !MathJax.isReady) return;
  clearInterval(waiting);
  // Ready is what MathJax is before it sets the formulas, and "End" what it signals when all are set.
  MathJax.Hub.Register.StartupHook("End", () => {
    document.querySelectorAll(".slides section, .fragment").forEach(each => {
      each.style.display = "block"; each.classList.add("visible"); each.hidden = false;
    });
    const found = [...document.querySelectorAll(".slides > section > section")].map(slide => ({
      height: slide.scrollHeight,
      width: Math.max(0, ...[...slide.querySelectorAll("*")].filter(each => each.scrollWidth > each.clientWidth + 2
        && getComputedStyle(each).overflowX != "visible").map(each => each.scrollWidth)),
      text: slide.innerText.slice(0, 60)}));
    const formulas = document.querySelectorAll(".MathJax_SVG svg").length;
    const notes = [...document.querySelectorAll("aside.notes")];
    const wrong = document.querySelectorAll(".merror, .MathJax_Error").length;
    const measured = document.createElement("pre");
    measured.textContent = JSON.stringify({slides: found, formulas, wrong, missing,
      notes: notes.length, seen: notes.filter(note => note.checkVisibility()).length,
      drawn: notes.filter(note => note.querySelector("script, svg")).length});
    document.body.replaceChildren(measured);
  });
}, 100);
</script>"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a registry that refuses connections."""
    monkeypatch.setattr(slides, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("CHROME", "/no/browser")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{taken.getsockname()[1]}/")
        yield tmp_path / "cache"


@pytest.fixture
def filled_cache(cache):
    for package, (_, wanted) in slides.PACKAGES.items():
        for path in wanted.split():
            file = cache / package / (path + "any.js" if path.endswith("/") else path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return cache


@pytest.fixture
def notebook(tmp_path):
    said = {"image/png": {"alt": "A ramp < 5 & more."}}
    picture = v4.new_output("display_data", {"image/png": base64.b64encode(b"a picture").decode()}, metadata=said)
    framed = v4.new_output("display_data", {"text/html": '<iframe srcdoc="&lt;p&gt;moves"></iframe>'})
    cells = [
        v4.new_markdown_cell(TEXT),
        v4.new_code_cell("1 + 1", outputs=[picture, framed], metadata={"slideshow": {"slide_type": "subslide"}}),
    ]
    file = tmp_path / "tiny.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), file)
    return file


def package(*paths: str) -> bytes:
    """An npm package whose files all hold a style sheet."""
    packed, content = io.BytesIO(), b"@import url(https://fonts.example.org/css?a:4,7);\np { color: red }"
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in paths:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def registry(cache, monkeypatch):
    """A registry that gives the same small package to whoever asks, which decks then need."""
    content = package("package/dist/a.css", "package/other/b.css")

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Say nothing."""

    checksum = base64.b64encode(hashlib.sha512(content).digest()).decode()
    monkeypatch.setattr(slides, "PACKAGES", {"some.js-1.2.3": (checksum, "dist/")})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_address[1]}")
        yield server
        server.shutdown()


def test_a_deck_needs_nothing_from_the_web(notebook, filled_cache, tmp_path):
    deck = slides.make_deck(notebook, tmp_path / "to")
    assert deck == tmp_path / "to" / "tiny.slides.html"
    page = deck.read_text(encoding="utf-8")
    loaded = re.findall(r"""<(?!a\b)[a-z]+ [^>]*\b(?:src|href)=["']([^"']*)""", page)  # by tags other than links
    files = [address for address in loaded if not address.startswith("data:")]
    assert len(files) == 5
    for address in files + re.findall(r'"(assets/[^"]*)"', page):
        assert (deck.parent / address.partition("?")[0]).is_file(), address
    styles = "".join(re.findall(r"<style.*?</style>", page, re.DOTALL))
    assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", styles)
    assert not re.search(r"^ *import [^;\n]*['\"]https?:", page, re.MULTILINE)
    assert "pictures.example.org" not in page and "colab.example.org" not in page and "https://example.org" in page
    assert "&lt;p&gt;moves" in page and base64.b64encode(b"a picture").decode() in page


def test_a_figure_in_a_deck_says_what_it_shows(notebook, filled_cache, tmp_path):
    page = slides.make_deck(notebook, tmp_path / "usb").read_text(encoding="utf-8")
    (alt,) = re.findall(r'<img alt="([^"]*)"[^>]* src="data:image/png', page)
    assert html.unescape(alt) == "A ramp < 5 & more."


def cell(slide_type: str, source: str, printed: str | None = None) -> nbformat.NotebookNode:
    """A text of a slide or, when it printed something, code."""
    metadata = {"slideshow": {"slide_type": slide_type}}
    if printed is None:
        return v4.new_markdown_cell(source, metadata=metadata)
    return v4.new_code_cell(source, outputs=[v4.new_output("stream", text=printed)], metadata=metadata)


def lesson(table: str = TABLE) -> nbformat.NotebookNode:
    """A notebook with a table of sections, and with predictions."""
    cells = [
        cell("slide", "# Title\n\n**72 minutes to teach**"),
        cell("skip", table),
        cell("slide", "## 0 Are you ready?"),
        cell("slide", "## 1 ◆ How many?\n\n**Predict first:** how many\nare $x^2$?\n\nNot asked."),
        cell("skip", "hidden()", "hidden       1  ✓\n"),
        cell("fragment", "shown()", "first line     ≥ 2  ✓  [Zeiler 2014]\nno claim\nlast        (3, 4)  ✓\n"),
        cell("subslide", "Four (Zeiler et al. 2014, J. Redmon). It always is."),
        cell("subslide", "### More\n\n**Predict first:** one?\n\n**For each, predict first:** two?"),
        cell("subslide", "(An aside.) No. Nothing more comes of it. Never.\n\n**Predict first:** three?"),
        cell("slide", "## 3 ◆ What then?"),
        cell("slide", "## 4 Exercises"),
        cell("slide", "## What to remember"),
    ]
    return v4.new_notebook(cells=cells)


def speak(notebook: nbformat.NotebookNode, folder: Path) -> list[tuple[str, str]]:
    """Make the deck of a notebook; return each slide's text and the text of its notes, which are in no fragment."""
    nbformat.write(notebook, folder / "spoken.ipynb")
    page = slides.make_deck(folder / "spoken.ipynb", folder / "to").read_text(encoding="utf-8")
    spoken = []
    for section in page.split("<section")[1:]:
        inside = section.partition(">")[2].partition("</section>")[0]
        shown, aside, rest = inside.partition('<aside class="notes">')
        note, _, after = rest.partition("</aside>")
        assert '<div class="fragment"' not in shown or not aside
        assert "<aside" not in after
        texts = [" ".join(html.unescape(re.sub(r"<[^>]*>", "", part)).split()) for part in (shown + after, note)]
        if texts[0]:
            spoken.append(tuple(texts))
    return spoken


def test_the_notes_are_on_their_slides(filled_cache, tmp_path):
    spoken = speak(lesson(), tmp_path)
    plan = (
        "72 minutes, 65 of them for the core, ◆. Short of time? Leave out the sections without ◆. The key S opens "
        "these notes. begins core only section minutes 0:00 0 Are you ready? 2 0:02 0:00 1 ◆ How many? 61 "
        "1:03 2 Why? 5 1:08 1:01 3 ◆ What then? 4 4 Exercises at home"
    )
    wait, no = "Wait for hands before you go on.", "Then: No. Nothing more comes of it."
    assert [note for _, note in spoken] == [
        plan,
        "Section 0: 2 minutes, 0:00 to 0:02; leave it out when time is short.",
        "Section 1 ◆: 61 minutes, 0:02 to 1:03; core only: 0:00 to 1:01. "
        f"Ask: how many are $x^2$? {wait} Then: Four (Zeiler et al. 2014, J. Redmon). "
        "Checked: first line: ≥ 2 last: (3, 4)",
        "",
        f"Ask: one? {wait} {no} Ask: For each, two? {wait} {no}",
        f"Ask: three? {wait}",
        "Section 3 ◆: 4 minutes, 1:08 to 1:12; core only: 1:01 to 1:05.",
        "Section 4: at home.",
        "",
    ]
    assert not any("Ask:" in text or "Section" in text for text, _ in spoken)


@pytest.mark.parametrize("wrong", ["", "ten", "-5", "5 or 6", "½", "| 7"])
def test_a_section_without_minutes_has_no_time(wrong, filled_cache, tmp_path):
    spoken = speak(lesson(TABLE.replace("61", wrong)), tmp_path)
    assert spoken[0][1].startswith("11 minutes, 4 of them for the core")
    assert re.match(r"Section 1 ◆: [^:;]+\. Ask: how many", spoken[2][1])
    assert "0:07 to 0:11; core only: 0:00 to 0:04" in spoken[6][1]


@pytest.mark.parametrize("table", ["No table.", TABLE.replace("minutes", "pages"), TABLE.partition("| 0")[0]])
def test_without_sections_there_are_still_predictions(table, filled_cache, tmp_path):
    notes = [note for _, note in speak(lesson(table), tmp_path)]
    assert notes[0] == "72 minutes. The key S opens these notes."
    assert [note.partition(":")[0] for note in notes[1:]] == ["", "Ask", "", "Ask", "Ask", "", "", ""]


def test_a_notebook_that_says_nothing_of_its_course_has_no_notes(notebook, filled_cache, tmp_path):
    assert [note for _, note in speak(nbformat.read(notebook, as_version=4), tmp_path)] == ["", ""]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_notes_of_a_lesson_have_all_its_minutes_and_predictions(path):
    notebook = nbformat.read(path, as_version=4)
    sections = slides.read_sections(notebook)
    minutes = sum(section.minutes for section in sections)
    core = sum(section.minutes for section in sections if section.is_core)
    assert f"**{minutes} minutes to teach**" in notebook.cells[0].source
    readme = (rules.ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\(notebooks/{path.name}\) .*\| {minutes} min \(core: {core}\) \|", readme)
    slides.add_notes(notebook)
    told = [""]
    for each in notebook.cells:
        slide_type = each.metadata.slideshow.slide_type
        if slide_type in ("slide", "subslide"):
            told.append("")
        if each.cell_type == "markdown" and slide_type != "skip":
            told[-1] += each.source + "\n"
    predictions = [slide.lower().count("predict first:**") for slide in told]
    assert [slide.count("**Ask:**") for slide in told] == predictions
    assert sum(predictions) > 10
    opened = [re.search(r"^## (\d+) (?s:.*)^\*\*Section \1\b", slide, re.MULTILINE) for slide in told]
    assert [found[1] for found in opened if found] == [str(section.number) for section in sections]


def test_solutions_do_not_take_the_name_of_their_lesson(notebook, filled_cache, tmp_path):
    (tmp_path / "solutions").mkdir()
    solution = notebook.rename(tmp_path / "solutions" / notebook.name)
    assert slides.make_deck(solution, tmp_path).name == "tiny_solutions.slides.html"


@pytest.mark.parametrize(
    "browser, status, told", [("/no/browser", 0, "No PDFs: install Chrome"), (sys.executable, 1, "did not print")]
)
def test_there_is_a_deck_where_there_is_no_pdf(
    browser, status, told, notebook, filled_cache, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("CHROME", browser)
    assert slides._main([str(notebook), "--to", str(tmp_path / "to")]) == status
    assert told in "".join(capsys.readouterr())
    assert {path.name for path in (tmp_path / "to").iterdir()} == {"assets", "tiny.slides.html"}


@pytest.mark.parametrize("content", [None, "no JSON", "{}", "[]"])
def test_what_is_not_a_notebook_is_named(content, tmp_path, cache, capsys):
    file = tmp_path / "unknown.ipynb"
    if content:
        file.write_text(content, encoding="utf-8")
    assert slides._main([str(file), "--to", str(tmp_path)]) == 2
    assert str(file) in capsys.readouterr().err


def test_no_network_is_told_in_seconds(notebook, cache, tmp_path, capsys):
    start = time.perf_counter()
    assert slides._main([str(notebook), "--to", str(tmp_path)]) == 1
    assert time.perf_counter() - start < REFUSAL
    told = capsys.readouterr().err
    assert "could not be downloaded (127.0.0.1 cannot be reached): run 'python -m helpers.slides' once" in told


def fetch() -> Path:
    """Fetch the one package that there is."""
    ((package, settings),) = slides.PACKAGES.items()
    return slides.fetch_package(package, *settings, "try again")


def test_packages_are_fetched_once_and_without_what_they_load(registry, cache):
    fetched = fetch()
    assert registry.asked == ["/some.js/-/some.js-1.2.3.tgz"]
    assert fetch() == fetched == cache / "some.js-1.2.3"
    assert registry.asked == ["/some.js/-/some.js-1.2.3.tgz"]
    file = cache / "some.js-1.2.3" / "dist" / "a.css"
    assert [path for path in cache.rglob("*") if path.is_file()] == [file]
    assert file.read_bytes() == b"\np { color: red }"


def test_the_website_s_build_can_import_the_module_without_what_decks_need():
    code = f"import sys; sys.path.insert(0, {str(rules.ROOT)!r}); import helpers.slides"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_a_wrong_checksum_is_refused(registry, cache, monkeypatch):
    monkeypatch.setattr(slides, "PACKAGES", {"some.js-1.2.3": ("another", "dist/")})
    with pytest.raises(ConnectionError, match="its checksum is wrong"):
        fetch()
    assert not cache.exists()


@pytest.mark.parametrize("path", ["../dist/a.css", "package/dist/../../../a.css", r"package/dist/..\..\a.css"])
def test_a_package_that_reaches_outside_is_refused(path, tmp_path):
    with pytest.raises(OSError, match="outside its own folder"):
        slides.unpack(package(path), ("dist/",), tmp_path / "inner" / "folder")
    assert not list(tmp_path.rglob("*.css"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_slide_fits_and_no_network_is_asked(path, tmp_path):
    browser = slides.find_browser()
    if not browser:
        pytest.skip("there is no Chromium")
    try:
        deck = slides.make_deck(path, tmp_path)
    except ConnectionError as error:
        pytest.skip(str(error))
    page = deck.read_text(encoding="utf-8")
    watched = tmp_path / "watched.html"
    watched.write_text(page.replace("<head>", WATCH, 1) + MEASURE, encoding="utf-8")
    options = ("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,720", "--dump-dom")
    shown = slides.browse(browser, watched.as_uri(), *options).stdout.decode()
    found = json.loads(html.unescape(re.search(r"<pre>(\{.*\})</pre>", shown, re.DOTALL)[1]))
    assert found["missing"] == []
    assert found["wrong"] == 0
    assert found["notes"] == page.count('<aside class="notes">') > 0
    assert found["seen"] == 0
    assert found["drawn"] == 0  # a drawing of MathJax's would be empty in the speaker's window
    assert found["formulas"] > 0 or "$" not in path.read_text(encoding="utf-8")
    over = [slide for slide in found["slides"] if slide["height"] > MOST_HEIGHT or slide["width"] > 1280]
    assert over == []
    pages = re.findall(rb"/Type /Page\b", slides.print_pdf(deck, browser).read_bytes())
    assert len(pages) == len(found["slides"]) > 0
