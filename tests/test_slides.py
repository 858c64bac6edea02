"""Decks need nothing but the folder that they are in; and every slide fits, as a browser shows it (slow)."""

import base64
import hashlib
import html
import http.server
import io
import json
import re
import socket
import sys
import tarfile
import threading
import time
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pytest

from helpers import downloads, slides

TEXT = """# Title

[![Open in Colab](https://colab.example.org/badge.svg)](https://colab.example.org/course)

See [the web](https://example.org): $x^2$, ![a picture](https://pictures.example.org/c.png)
"""
REFUSAL = 10  # seconds within which a closed network has to be told
MOST_HEIGHT = 720  # of a slide, in pixels
NOTEBOOKS = sorted(Path(slides.__file__).resolve().parent.parent.glob("notebooks/**/[0-9]*.ipynb"))
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
  MathJax.Hub.Queue(() => {
    document.querySelectorAll(".slides section, .fragment").forEach(each => {
      each.style.display = "block"; each.classList.add("visible"); each.hidden = false;
    });
    const found = [...document.querySelectorAll(".slides > section > section")].map(slide => ({
      height: slide.scrollHeight,
      width: Math.max(0, ...[...slide.querySelectorAll("*")].filter(each => each.scrollWidth > each.clientWidth + 2
        && getComputedStyle(each).overflowX != "visible").map(each => each.scrollWidth)),
      text: slide.innerText.slice(0, 60)}));
    const formulas = document.querySelectorAll(".MathJax_SVG svg").length;
    const wrong = document.querySelectorAll(".merror, .MathJax_Error").length;
    const measured = document.createElement("pre");
    measured.textContent = JSON.stringify({slides: found, formulas, wrong, missing});
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
    picture = v4.new_output("display_data", {"image/png": base64.b64encode(b"a picture").decode()})
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
    downloads.network_trouble(ValueError())  # slow at the first time
    start = time.perf_counter()
    assert slides._main([str(notebook), "--to", str(tmp_path)]) == 1
    assert time.perf_counter() - start < REFUSAL
    told = capsys.readouterr().err
    assert "could not be downloaded (127.0.0.1 cannot be reached): run 'python -m helpers.slides' once" in told


def test_packages_are_fetched_once_and_without_what_they_load(registry, cache):
    slides.fetch_assets()
    asked = list(registry.asked)
    assert set(asked) == {"/some.js/-/some.js-1.2.3.tgz"}
    slides.fetch_assets()
    assert registry.asked == asked
    file = cache / "some.js-1.2.3" / "dist" / "a.css"
    assert [path for path in cache.rglob("*") if path.is_file()] == [file]
    assert file.read_bytes() == b"\np { color: red }"


def test_a_wrong_checksum_is_refused(registry, cache, monkeypatch):
    monkeypatch.setattr(slides, "PACKAGES", {"some.js-1.2.3": ("another", "dist/")})
    with pytest.raises(ConnectionError, match="its checksum is wrong"):
        slides.fetch_assets()
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
    assert found["formulas"] > 0 or "$" not in path.read_text(encoding="utf-8")
    over = [slide for slide in found["slides"] if slide["height"] > MOST_HEIGHT or slide["width"] > 1280]
    assert over == []
    pages = re.findall(rb"/Type /Page\b", slides.print_pdf(deck, browser).read_bytes())
    assert len(pages) == len(found["slides"]) > 0
