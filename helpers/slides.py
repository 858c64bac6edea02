"""Slide decks that open without a network, from a memory stick say, and a PDF of each: ``python -m helpers.slides``.

As nbconvert writes them, decks load reveal.js, MathJax and more from the web. Here these lie in a folder beside them.
"""

import argparse
import base64
import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import nbformat
from nbformat import NotebookNode, v4

_COURSE = Path(__file__).resolve().parent.parent
# What decks need: npm's packages, each with npm's checksum (sha512) and how the paths of the files begin that are used.
# MathJax draws formulas as SVG: its other formats need fonts ten times as large, which come too late for a PDF.
PACKAGES = {
    "reveal.js-4.6.1": (
        "1CW0auaXNPmwmvQ7TwpszwVxMi2Xr5cTS3J3EBC/HHgbPF32Dn7aiu/LKWDOGjMbaDwKQiGmfqcoGQ74HUHCMw==",
        "LICENSE dist/reveal.js dist/reveal.css dist/theme/simple.css plugin/notes/notes.js",
    ),
    "mathjax-2.7.9": (
        "NOGEDTIM9+MrsqnjPEjVGNx4q0GQxqm61yQwSK+/5S59i26wId5IC5gNu9/bu8+CCVl5p9G2IHcAl/wJa+5+BQ==",
        "LICENSE MathJax.js config/TeX-AMS_SVG.js extensions/Math extensions/TeX/ jax/element/ jax/input/TeX/ "
        "jax/output/SVG/autoload/ jax/output/SVG/config.js jax/output/SVG/fonts/TeX/ jax/output/SVG/jax.js",
    ),
    "requirejs-2.3.8": (
        "7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw==",
        "require.js",
    ),
}
_REVEAL, _MATHJAX, _REQUIREJS = (f"assets/{package}" for package in PACKAGES)
_SETTINGS = {
    "raw_template": Path(__file__).with_name("slides.html.j2").read_text(encoding="utf-8"),
    "reveal_width": "1280",
    "reveal_height": "720",
    "reveal_url_prefix": _REVEAL,
    "mathjax_url": f"{_MATHJAX}/MathJax.js?config=TeX-AMS_SVG",
    "require_js_url": f"{_REQUIREJS}/require.js",
    "embed_images": True,
}
_WEB_IMAGE = re.compile(r"(?:\[(?=!))?!\[[^\]]*\]\(https?:[^)]*\)(?:\]\([^)]*\))?")  # and the link around it


def cache_folder() -> Path:
    """Where the packages that decks need lie once they were fetched: ``data/slide_assets`` in the course's folder."""
    return _COURSE / "data" / "slide_assets"


def fetch_package(package: str, checksum: str, wanted: str, remedy: str) -> Path:
    """Fetch a package like those in `PACKAGES` from npm's registry, unless it is in `cache_folder`; return its folder.

    Raises
    ------
    ConnectionError
        When it cannot be had, or what came is damaged; `remedy` is what to do once with a network.
    """
    folder = cache_folder() / package
    if folder.is_dir():
        return folder
    registry = os.environ.get("npm_config_registry") or "https://registry.npmjs.org"
    address = f"{registry.rstrip('/')}/{package.rpartition('-')[0]}/-/{package}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=6) as response:  # seconds without a byte
            archive = response.read()
        if base64.b64encode(hashlib.sha512(archive).digest()).decode() != checksum:
            raise OSError("what came is damaged, its checksum is wrong")
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"{package} is not on this computer and could not be downloaded "
            f"({urlsplit(registry).hostname}: {getattr(error, 'reason', error)}): "
            f"{remedy} once with a network; from then on it needs none."
        ) from error
    with _made_aside(folder) as half_made, tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            inside = member.name.partition("/")[2]  # npm packs everything into one folder
            if inside.startswith(tuple(wanted.split())):
                members.extract(member.replace(name=inside), half_made, filter="data")
        for sheet in half_made.rglob("*.css"):
            # Fonts of Google's, for which a deck would wait behind a silent firewall.
            sheet.write_bytes(re.sub(rb"@import url\(https?:[^)]*\);", b"", sheet.read_bytes()))
    return folder


@contextlib.contextmanager
def _made_aside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is put in its place when it is complete; of two runs at once the quicker one's stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        half_made = Path(aside) / folder.name
        yield half_made
        try:
            half_made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def make_deck(notebook: Path, folder: Path) -> Path:
    """Write the deck of a notebook, from its stored outputs, and what it needs into ``assets`` beside it.

    Images from the web, such as the Colab badge, are left out; the speaker's notes are added. The deck of a notebook
    in ``solutions``, which has the name of its lesson, is called so.

    Raises
    ------
    ValueError
        When it is not a notebook.
    OSError
        When there is no such file; ConnectionError as by `fetch_package`.
    """
    from nbconvert import SlidesExporter  # not above: the website, which fetches its MathJax here, has no nbconvert

    try:
        content = nbformat.read(notebook, as_version=4)
    except (ValueError, AttributeError, nbformat.ValidationError):
        raise ValueError(f"notebook: {notebook} is not a notebook") from None
    for package, (checksum, wanted) in PACKAGES.items():
        fetched = fetch_package(package, checksum, wanted, "run 'python -m helpers.slides'")
        if not (folder / "assets" / package).is_dir():
            with _made_aside(folder / "assets" / package) as copy:
                shutil.copytree(fetched, copy)
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = _WEB_IMAGE.sub("", cell.source)
    add_notes(content)
    place = notebook.resolve().parent
    name = notebook.stem + "_solutions" * (place.name == "solutions")
    page, _ = SlidesExporter(**_SETTINGS).from_notebook_node(content, {"metadata": {"name": name, "path": str(place)}})
    deck = folder / f"{name}.slides.html"
    deck.write_text(page, encoding="utf-8")
    return deck


# Where a notebook says what its speaker needs
_TABLE = re.compile(r"^\| *section *\|.*\| *minutes *\|.*\n\|[-:| ]+\n((?:\|.*\n?)*)", re.MULTILINE)
_ROW = re.compile(r"^\| *(\d+) *(◆?) *\| *(.*?) *\| *(.*?) *\|", re.MULTILINE)
_PREDICTION = re.compile(r"\*\*([^*]*)predict first:\*\*\s*(.+?)(?=\n\s*\n|\Z)", re.IGNORECASE | re.DOTALL)
_CLAIM = re.compile(r"^ *(\S.*?) {2,}(\S.*?)  ([✓✗·](?:  \[.*\])?)$", re.MULTILINE)  # as `claims.claim` prints it
_MOST_CLAIMS = 3  # in a note, which is read while speaking
# What follows a prediction, up to the end of a sentence: at least 25 letters, so that "Hardly." is not all, without a
# parenthesis in front. The dots of "et al. 2014" and "M. Zeiler" end no sentence.
_ANSWER = re.compile(r"(?:\(.*?\)\s+)?(.{23,}?[^A-Z][.!?][)\"]?)(?=\s+[^a-z0-9\s]|\s*\Z)", re.DOTALL)


class Section(NamedTuple):
    """A row of the table in which a lesson lists its sections, and when it begins."""

    number: str
    is_core: bool
    question: str
    length: str  # its minutes, but it may also be "at home"
    minutes: int  # 0 for what is no number
    begins: int  # in minutes, after all sections before it,
    core_begins: int  # and after those of the core only


def read_sections(notebook: NotebookNode) -> list[Section]:
    """Read the table of a lesson's sections; a notebook without such a table has none."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    table = _TABLE.search(text)
    rows = _ROW.findall(table[1]) if table else []
    sections, whole, core = [], 0, 0
    for number, mark, question, length in rows:
        minutes = int(length) if length.isdecimal() else 0
        sections.append(Section(number, bool(mark), question, length, minutes, whole, core))
        whole += minutes
        core += minutes if mark else 0
    return sections


def add_notes(notebook: NotebookNode) -> None:
    """Write the speaker's notes: the lesson's plan, when each section begins, what to ask and what comes of it."""
    sections = read_sections(notebook)
    times = {section.number: _time(section) for section in sections if section.length}
    shown = [each for each in enumerate(notebook.cells) if _slide_type(each[1]) not in ("skip", "notes")]
    notes: dict[int, list[str]] = {}  # by the place of their slide's first cell
    for number, (place, cell) in enumerate(shown):
        if not notes or _slide_type(cell) in ("slide", "subslide"):
            first = place
            notes[first] = [_plan(sections)] if sections and not notes else []
            if (heading := re.match(r"## (\d+) ", cell.source)) and heading[1] in times:
                notes[first].append(times[heading[1]])
        if cell.cell_type == "markdown":
            notes[first] += _predictions(cell, [later for _, later in shown[number + 1 :]])
    # From the last slide on, so that the places of the others stay
    for first, texts in reversed(notes.items()):
        if texts:
            note = v4.new_markdown_cell("\n\n".join(texts), metadata={"slideshow": {"slide_type": "notes"}})
            # Behind the first cell: a later one may be a fragment, with which the note would come and go
            notebook.cells.insert(first + 1, note)


def _slide_type(cell: NotebookNode) -> str:
    return cell.metadata.get("slideshow", {}).get("slide_type", "-")


def _plan(sections: list[Section]) -> str:
    """A table of when each section begins, in the whole lesson and in its core alone."""
    whole = sum(section.minutes for section in sections)
    core = sum(section.minutes for section in sections if section.is_core)
    lines = [
        f"**{whole} minutes, {core} of them for the core, ◆.** Short of time? Leave out the sections without ◆. "
        "The key S opens these notes.",
        "",
        "| begins | core only | section | minutes |",
        "| --- | --- | --- | --- |",
    ]
    for section in sections:
        begins = _clock(section.begins) if section.minutes else ""
        core_begins = _clock(section.core_begins) if section.minutes and section.is_core else ""
        title = f"{section.number} {'◆ ' * section.is_core}{section.question}"
        lines.append(f"| {begins} | {core_begins} | {title} | {section.length} |")
    return "\n".join(lines)


def _time(section: Section) -> str:
    """When a section begins and ends."""
    told = section.length
    if section.minutes:
        told += f" minutes, {_clock(section.begins, section.begins + section.minutes)}; "
        core = f"core only: {_clock(section.core_begins, section.core_begins + section.minutes)}"
        told += core if section.is_core else "leave it out when time is short"
    return f"**Section {section.number}{' ◆' * section.is_core}:** {told}."


def _clock(*minutes: int) -> str:
    return " to ".join(f"{each // 60}:{each % 60:02}" for each in minutes)


def _predictions(cell: NotebookNode, following: list[NotebookNode]) -> list[str]:
    """For each prediction that a text asks for: the question, and what the next cells say, in a sentence and claims."""
    answer, claims = "", []
    for later in following:
        if later.cell_type == "markdown":
            answer = _answer(later.source)
            break
        printed = "".join(output.get("text", "") for output in later.get("outputs", []))
        claims += [f"- `{what}`: `{value}` {mark}" for what, value, mark in _CLAIM.findall(printed)]
    then = f"\n\n**Then:** {answer}" if answer else ""
    checked = "\n\n**Checked:**\n\n" + "\n".join(claims[:_MOST_CLAIMS]) if claims else ""
    return [
        f"**Ask:** {before}{question} **Wait for hands before you go on.**{then}{checked}"
        for before, question in _PREDICTION.findall(cell.source)
    ]


def _answer(markdown: str) -> str:
    """What a text says first; empty where it does not begin with a sentence."""
    if re.match(r"[#|!>]|```", markdown) or _PREDICTION.match(markdown):
        return ""
    paragraph = re.split(r"\n\s*\n|\n[-*] ", markdown.removeprefix("- "))[0]
    said = _ANSWER.match(paragraph)
    return said[1] if said else paragraph


_BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"),
    *(f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Google Chrome", "Chromium", "Microsoft Edge")),
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
)


def find_browser() -> str | None:
    """Chromium, Chrome or Edge: what the environment variable ``CHROME`` names, or else one at the usual places."""
    names = [os.environ["CHROME"]] if os.environ.get("CHROME") else map(os.path.expandvars, _BROWSERS)
    return next(filter(None, map(shutil.which, names)), None)


def browse(browser: str, address: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Open a page without a window until it has settled; what comes of it is up to the options."""
    # Chromium has no sandbox for root, who one is in most containers.
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # A profile of its own, because a browser that is open keeps its own from being used.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        usual = ["--headless", f"--user-data-dir={profile}", "--virtual-time-budget=60000"]
        return subprocess.run([browser, *usual, *as_root, *options, address], capture_output=True, check=False)


def _print_pdf(deck: Path, browser: str) -> Path:
    """Print a deck to a PDF beside it, a page for each slide with all its fragments; OSError if not all come out."""
    pdf = deck.with_suffix("").with_suffix(".pdf")
    # Of the sections in a deck half at least are slides; the others group them.
    fewest = deck.read_text(encoding="utf-8").count("<section") // 2
    with tempfile.TemporaryDirectory(dir=deck.parent) as aside:
        printed = Path(aside).resolve() / pdf.name
        address = f"{deck.resolve().as_uri()}?print-pdf&pdfSeparateFragments=false"
        done = browse(browser, address, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
        if not printed.is_file() or len(re.findall(rb"/Type /Page\b", printed.read_bytes())) < fewest:
            raise OSError(f"{browser} did not print {deck}: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return printed.replace(pdf)


def _main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m helpers.slides", description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", metavar="NOTEBOOK", nargs="*", type=Path, help="if none is named: all")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path("slides"), help="default: slides")
    asked = parser.parse_args(arguments)
    lessons = _COURSE / "notebooks"
    browser = find_browser()
    try:
        for notebook in asked.notebooks or sorted([*lessons.glob("*.ipynb"), *lessons.glob("solutions/*.ipynb")]):
            deck = make_deck(notebook, asked.to)
            print(deck, flush=True)
            if browser:
                print(_print_pdf(deck, browser), flush=True)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    if not browser:
        print("No PDFs: install Chrome, Chromium or Edge, or name one in the environment variable CHROME; then repeat")


if __name__ == "__main__":
    _main(sys.argv[1:])
