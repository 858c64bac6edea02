"""Slide decks that open without a network, from a memory stick say, and a PDF of each: ``python -m helpers.slides``.

As nbconvert writes them, decks load reveal.js, MathJax and more from the web. Here these lie in a folder beside them.
"""

import argparse
import base64
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
from pathlib import Path

from . import downloads

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
    "jquery-3.7.1": (
        "m4avr8yL8kmFN8psrbFFFmB/If14iN5o9nw/NgnnM+kybDJpRsAynV2BsfpTYrTRysYUdADVD7CkUUizgkpLfg==",
        "LICENSE.txt dist/jquery.min.js",
    ),
    "requirejs-2.3.8": (
        "7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw==",
        "require.js",
    ),
}
_REVEAL, _MATHJAX, _JQUERY, _REQUIREJS = (f"assets/{package}" for package in PACKAGES)
_SETTINGS = {
    "reveal_width": "1280",
    "reveal_height": "720",
    "reveal_url_prefix": _REVEAL,
    "mathjax_url": f"{_MATHJAX}/MathJax.js?config=TeX-AMS_SVG",
    "jquery_url": f"{_JQUERY}/dist/jquery.min.js",
    "require_js_url": f"{_REQUIREJS}/require.js",
    # The course draws no Mermaid diagrams, but nbconvert loads Mermaid into every deck.
    "mermaid_js_url": "data:text/javascript,export default {initialize() {}}",
    "embed_images": True,
}
_WEB_IMAGE = re.compile(r"(?:\[(?=!))?!\[[^\]]*\]\(https?:[^)]*\)(?:\]\([^)]*\))?")  # and the link around it
# Without these the PDF has bold formulas (of the hairline around each letter), an empty last page, and now and then no
# other: a browser without a window may draw no frame, for which reveal.js would wait, before its time is over.
_FOR_PRINTING = """<style>@media print {
.MathJax_SVG g { stroke: none }
.reveal .slides .pdf-page:last-of-type { break-after: avoid !important }
}</style>
<script>if (/print-pdf/.test(location.search)) window.requestAnimationFrame = step => setTimeout(step, 16)</script>
"""
_BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"),
    *(f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Google Chrome", "Chromium", "Microsoft Edge")),
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
)


def cache_folder() -> Path:
    """Where the packages that decks need lie once they were fetched: ``data/slide_assets`` in the course's folder."""
    return _COURSE / "data" / "slide_assets"


def fetch_assets() -> None:
    """Fetch the packages that decks need from npm's registry, unless they are in `cache_folder`.

    Raises
    ------
    ConnectionError
        When one cannot be had, or what came is damaged; it says so within seconds.
    """
    registry = os.environ.get("npm_config_registry") or "https://registry.npmjs.org"
    for package, (checksum, wanted) in PACKAGES.items():
        folder = cache_folder() / package
        if folder.is_dir():
            continue
        name = package.rpartition("-")[0]
        try:
            archive = _download(f"{registry.rstrip('/')}/{name}/-/{package}.tgz", checksum)
        except Exception as error:
            reason = downloads.network_trouble(error) or error
            raise ConnectionError(
                f"{package}, which slides need, is not on this computer and could not be downloaded ({reason}): "
                "run 'python -m helpers.slides' once with a network; from then on it needs none."
            ) from None
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as half_made:
            unpack(archive, tuple(wanted.split()), Path(half_made) / name)
            (Path(half_made) / name).rename(folder)  # so that the folder is there when it is complete, not before


def _download(url: str, checksum: str) -> bytes:
    downloads.ask(url)
    with urllib.request.urlopen(url, timeout=downloads.PATIENCE) as response:
        archive = response.read()
    if base64.b64encode(hashlib.sha512(archive).digest()).decode() != checksum:
        raise ConnectionError("what came is damaged: its checksum is wrong")
    return archive


def unpack(archive: bytes, wanted: tuple[str, ...], folder: Path) -> None:
    """Write those files of an npm package to a folder whose paths in it begin with one of `wanted`.

    Raises
    ------
    OSError
        When the package names a path outside itself.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            if ".." in re.split(r"[/\\]", member.name):
                raise OSError(f"The package names {member.name}, which is outside its own folder")
            inside = member.name.partition("/")[2]
            if member.isfile() and inside.startswith(wanted):
                content = members.extractfile(member).read()
                if inside.endswith(".css"):
                    # Fonts of Google's, for which a deck would wait behind a silent firewall.
                    content = re.sub(rb"@import url\(https?:[^)]*\);", b"", content)
                (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                (folder / inside).write_bytes(content)


def make_deck(notebook: Path, folder: Path) -> Path:
    """Write the deck of a notebook, from its stored outputs, and what it needs into ``assets`` beside it.

    Images from the web, such as the Colab badge, are left out. The deck of a notebook in ``solutions``, which has the
    name of its lesson, is called so.

    Raises
    ------
    ValueError
        When there is no such notebook, or it is not one, or it has nothing to show.
    ConnectionError
        As `fetch_assets`.
    """
    import nbformat
    from nbconvert import SlidesExporter

    if not notebook.is_file():
        raise ValueError(f"notebook: there is no file {notebook}")
    try:
        content = nbformat.read(notebook, as_version=4)
    except (ValueError, AttributeError, nbformat.ValidationError):
        raise ValueError(f"notebook: {notebook} is not a notebook") from None
    fetch_assets()
    for package in PACKAGES:
        shutil.copytree(cache_folder() / package, folder / "assets" / package, dirs_exist_ok=True)
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = _WEB_IMAGE.sub("", cell.source)
    place = notebook.resolve().parent
    name = notebook.stem + "_solutions" * (place.name == "solutions")
    page, _ = SlidesExporter(**_SETTINGS).from_notebook_node(content, {"metadata": {"name": name, "path": str(place)}})
    deck = folder / f"{name}.slides.html"
    deck.write_text(page.replace("</head>", f"{_FOR_PRINTING}</head>", 1), encoding="utf-8")
    return deck


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


def print_pdf(deck: Path, browser: str) -> Path:
    """Print a deck to a PDF beside it, a page for each slide with all its fragments.

    Raises
    ------
    OSError
        When the browser does not print, or not all.
    """
    pdf = deck.with_suffix("").with_suffix(".pdf").resolve()
    pdf.unlink(missing_ok=True)
    address = f"{deck.resolve().as_uri()}?print-pdf&pdfSeparateFragments=false"
    done = browse(browser, address, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    # Of the sections in a deck half at least are slides; the others group them.
    fewest = deck.read_text(encoding="utf-8").count("<section") // 2
    if not pdf.is_file() or len(re.findall(rb"/Type /Page\b", pdf.read_bytes())) < fewest:
        pdf.unlink(missing_ok=True)
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise OSError(f"{browser} did not print {deck} ({last})")
    return pdf


def _main(arguments: list[str]) -> int:
    """Make the decks and print them; return the exit status."""
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
                print_pdf(deck, browser)
                print(deck.with_suffix("").with_suffix(".pdf"), flush=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    if not browser:
        print("No PDFs: install Chrome, Chromium or Edge, or name one in the environment variable CHROME; then repeat")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
