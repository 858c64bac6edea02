"""The website: every page is there, every link leads somewhere, no other host is asked, a phone can show it (slow)."""

import functools
import html.parser
import http.server
import json
import re
import subprocess
import sys
import threading
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import notebook_rules as rules
from helpers import slides

pytestmark = pytest.mark.slow

PAGES = {
    path.relative_to(rules.ROOT).with_suffix(".html").as_posix(): path
    for path in [
        *(rules.ROOT / "README.md", rules.ROOT / "data" / "README.md"),
        *rules.course_notebooks(),
        *sorted(rules.ROOT.glob("notebooks/handouts/*.md")),
    ]
}
LESSON = "notebooks/01_convolution_by_hand.html"
LEAST_CONTRAST = 4.5  # of text and what is behind it: WCAG's level AA
# A page that opens the pages named in its address one after the other, in a frame as wide as a phone, and leaves of
# itself what it measured.
MEASURE = """<!doctype html><title>Measure</title><link rel="icon" href="data:,"><body><script>
const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));

async function open(address) {
  const frame = document.createElement("iframe");
  frame.width = 360; frame.height = 740;
  frame.src = address;
  document.body.replaceChildren(frame);
  await new Promise(loaded => frame.onload = loaded);
  await frame.contentWindow.MathJax?.startup.promise;
  return frame.contentWindow;
}

const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
// The colours of an element's text and of what is behind it, and how much of what is behind shows through.
function colours(element) {
  let opacity = 1, behind = [255, 255, 255];
  const layers = [];
  for (let each = element; each; each = each.parentElement) {
    const style = getComputedStyle(each), [r, g, b, alpha = 1] = numbers(style.backgroundColor);
    opacity *= style.opacity;
    layers.unshift([[r, g, b], alpha]);
  }
  const over = (front, alpha, back) => front.map((value, i) => alpha * value + (1 - alpha) * back[i]);
  for (const [colour, alpha] of layers) behind = over(colour, alpha, behind);
  const [r, g, b, alpha = 1] = numbers(getComputedStyle(element).color);
  return [over([r, g, b], alpha * opacity, behind), behind];
}

function luminance(colour) {
  const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function leastContrast(page) {
  const least = {ratio: 21, text: ""}, seen = new Set();
  const texts = page.document.createTreeWalker(page.document.querySelector("article"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (seen.has(element) || !texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    seen.add(element);
    const [light, dark] = colours(element).map(luminance).sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < least.ratio) Object.assign(least, {ratio, text: texts.currentNode.data.trim().slice(0, 60)});
  }
  return least;
}

async function measure(address) {
  const page = await open(address), all = selector => [...page.document.querySelectorAll(selector)];
  const found = {
    width: Math.max(...all("html, body, .main, .content, article").map(each => each.scrollWidth)),
    formulas: all(".math").length,
    set: all(".math mjx-container").length,
    unset: all("article :is(p, li, td)").map(each => each.innerText).filter(text => text.includes("$")),
    wrong: all("mjx-merror").length,
  };
  for (const theme of ["light", "dark"]) {
    page.document.body.dataset.theme = theme;
    found[theme] = leastContrast(page);
    found[theme].behind = colours(page.document.querySelector("article"))[1];
  }
  return found;
}

async function search(words) {
  const page = await open("search.html?q=" + encodeURIComponent(words));
  const results = page.document.getElementById("search-results");
  while (!/found/.test(results.querySelector(".search-summary")?.textContent)) await wait(100);
  return [...results.querySelectorAll("li a")].map(link => new URL(link.href).pathname.slice(1));
}

async function play(address) {
  const page = await open(address), animation = page.document.querySelector("iframe[srcdoc]").contentDocument;
  const seen = [];
  animation.getElementById("g").click();
  for (let i = 0; i < 3; i++) {
    seen.push(animation.getElementById("s").textContent);
    await wait(1000);
  }
  return seen;
}

(async () => {
  const found = {pages: {}, searches: {}}, {pages, searches, lesson} = ASKED;
  for (const words of searches) found.searches[words] = await search(words);
  for (const page of pages) found.pages[page] = await measure(page);
  found.played = await play(lesson);
  const measured = document.createElement("pre");
  measured.textContent = JSON.stringify(found);
  document.body.replaceChildren(measured);
})();
</script>"""


class Page(html.parser.HTMLParser):
    """What the tests look at in a page: its elements with their attributes, and the text between them."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements[tag].append({name: value or "" for name, value in attributes})

    def handle_data(self, text):
        self.text += text

    def anchors(self) -> set[str]:
        return {attributes["id"] for same in self.elements.values() for attributes in same if "id" in attributes}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the site, built as the README says, without a warning."""
    missing = [package for package in ("sphinx", "myst_nb", "furo") if not find_spec(package)]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}: pip install -r .github/site/requirements.txt")
    folder = tmp_path_factory.mktemp("site")
    command = [*"-m sphinx -M html . ".split(), str(folder), *"-c .github/site -W -q".split()]
    done = subprocess.run([sys.executable, *command], cwd=rules.ROOT, capture_output=True, text=True, check=False)
    if "could not be downloaded" in done.stderr:
        pytest.skip("MathJax is not on this computer and could not be downloaded")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def browser() -> str:
    return slides.find_browser() or pytest.skip("there is no Chromium")


@pytest.fixture(scope="module")
def shown(site, browser) -> tuple[dict, str]:
    """What a browser measures of every page in a frame as wide as a phone, and what it complains about."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    asked = {"pages": [*PAGES, "index.html"], "searches": ["backward", "receptive field"], "lesson": LESSON}
    (site / "measure.html").write_text(MEASURE.replace("ASKED", json.dumps(asked)), encoding="utf-8")
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/measure.html"
        resolve = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        options = ("--enable-logging=stderr", resolve, "--virtual-time-budget=600000", "--dump-dom")
        done = slides.browse(browser, address, *options)
        server.shutdown()
    measured = re.search(r"<pre>(\{.*\})</pre>", done.stdout.decode(), re.DOTALL)
    complaints = "\n".join(line for line in done.stderr.decode().splitlines() if "CONSOLE" in line)
    assert measured, f"the pages were not measured: {complaints or done.stdout.decode()[-500:]}"
    return json.loads(html.unescape(measured[1])), complaints


def test_every_page_of_the_course_is_in_the_contents(pages):
    for page in ["index.html", *PAGES]:
        links = {urlsplit(urljoin(page, link.get("href", ""))).path for link in pages[page].elements["a"]}
        assert PAGES.keys() - {"README.html", page} <= links, page


def test_outputs_are_as_stored(pages):
    for page, path in PAGES.items():
        if path.suffix != ".ipynb":
            continue
        figures = 0
        for cell in rules.read_notebook(path).cells:
            for output in cell.get("outputs", []):
                figures += "image/png" in output.get("data", {})
                if output.output_type == "stream":
                    assert output.text.rstrip("\n") in pages[page].text, (page, cell.id)
        shown = [image["src"] for image in pages[page].elements["img"] if "/_images/" in image["src"]]
        assert len(shown) == figures, page


def test_every_link_and_anchor_leads_somewhere(pages, site):
    broken = []
    for name, page in pages.items():
        for attributes in [attributes for same in page.elements.values() for attributes in same]:
            for address in filter(None, map(attributes.get, ("href", "src"))):
                parts = urlsplit(address)
                if parts.scheme in ("http", "https", "data"):
                    continue
                file = (site / name).parent / unquote(parts.path) if parts.path else site / name
                other = pages.get(file.resolve().relative_to(site.resolve()).as_posix()) if file.is_file() else None
                if not file.is_file() or (parts.fragment and other and unquote(parts.fragment) not in other.anchors()):
                    broken.append(f"{name}: {address}")
    assert broken == []


def test_files_of_the_repository_are_linked_to_where_they_are(pages, site):
    """On GitHub, where the course has an address; else they are part of the website."""
    repository, tag = rules.public_address()
    links = {link.get("href", "") for page in pages.values() for link in page.elements["a"]}
    expected = {"LICENSE", "data/results/claims.csv"}
    if repository:
        kept = re.compile(rf"{re.escape(repository)}/(?:blob|tree)/{re.escape(tag)}/(.*)")
        files = {found[1] for found in map(kept.fullmatch, links) if found}
        assert expected <= files and [file for file in files if not (rules.ROOT / file).exists()] == []
    else:
        files = {Path(link).name for link in links if "_downloads/" in link}
        assert {Path(file).name for file in expected} <= files
        assert not [link for link in links if "github" in link]


def test_no_page_asks_another_host(pages, site):
    for name, page in pages.items():
        for tag, same in page.elements.items():
            loaded = [attributes.get(key, "") for attributes in same for key in ("src", "srcset", "data", "poster")]
            loaded += [attributes.get("href", "") for attributes in same if tag == "link"]
            assert [address for address in loaded if re.match(r"(?:https?:)?//", address)] == [], name
    for sheet in site.rglob("*.css"):
        content = sheet.read_text(encoding="utf-8")
        assert not re.search(r"@import\s+['\"]?(?:https?:)?//|url\(['\"]?(?:https?:)?//", content), sheet


def test_every_image_has_a_text_in_its_place(pages):
    silent = [
        f"{name}: {image['src']}"
        for name, page in pages.items()
        for image in page.elements["img"]
        if not image.get("alt", "").strip() or image["alt"].endswith(".png")
    ]
    assert silent == []


def test_the_browser_has_nothing_to_complain_about(shown):
    assert shown[1] == ""


def test_search_finds_the_right_page(shown):
    searches = shown[0]["searches"]
    assert LESSON in searches["backward"]
    assert {LESSON, "notebooks/02_building_cnns_with_keras.html"} <= set(searches["receptive field"])


def test_no_page_is_wider_than_a_phone(shown):
    assert {name: page["width"] for name, page in shown[0]["pages"].items() if page["width"] > 360} == {}


def test_formulas_are_set(shown):
    for name, page in shown[0]["pages"].items():
        assert page["set"] == page["formulas"] and page["wrong"] == 0 and page["unset"] == [], (name, page)
    assert shown[0]["pages"][LESSON]["formulas"] > 0


@pytest.mark.parametrize("theme, lightest, darkest", [("light", 255, 200), ("dark", 60, 0)])
def test_text_stands_out_in_either_theme(theme, lightest, darkest, shown):
    for name, page in shown[0]["pages"].items():
        assert darkest <= min(page[theme]["behind"]) <= max(page[theme]["behind"]) <= lightest, name
        assert page[theme]["ratio"] >= LEAST_CONTRAST, (name, page[theme])


@pytest.mark.parametrize("handout", ["glossary", "worksheet"])
def test_a_handout_is_printed_on_one_side(handout, site, browser, tmp_path):
    pdf, page = tmp_path / "handout.pdf", site / "notebooks" / "handouts" / f"{handout}.html"
    slides.browse(browser, page.as_uri(), "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    assert len(re.findall(rb"/Type /Page\b", pdf.read_bytes())) == 1


def test_the_animation_plays(shown):
    assert len(set(shown[0]["played"])) == 3
