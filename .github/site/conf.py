"""The course as a website, from the notebooks as stored: nothing is executed. README.md has the command that builds it.

The pages are the README, the notebooks, the handouts and the data card, where they lie; what the site needs beyond
them is added here while they are read. No page asks another host for anything.
"""

import json
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
from helpers import slides  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY, _, TAG = PROJECT.get("urls", {}).get("Repository", "").partition("/tree/")  # empty without an address
# With npm's checksum (sha512). MathJax 3 draws all formulas with one file; 4 gets its rarer letters from another host.
MATHJAX_CHECKSUM = "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
MATHJAX_FILE = "es5/tex-svg.js"
MATHJAX = slides.fetch_package("mathjax-3.2.2", MATHJAX_CHECKSUM, MATHJAX_FILE, "build the website")


def first_heading(path: Path) -> str:
    """The title of a Markdown file or notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    return text.partition("\n")[0].removeprefix("# ")


project = first_heading(ROOT / "README.md")
html_title = "Convolutional networks"
language = "en"
extensions = ["myst_nb"]
include_patterns = ["README.md", "data/README.md", "notebooks/**"]
exclude_patterns = [".*", "**/.*", "site"]  # environments, say, which would take long to look through
root_doc = "README"
nb_execution_mode = "off"
nb_code_prompt_show = "Show the setup"
nb_code_prompt_hide = "Hide the setup"
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True  # $$ without blank lines around it, as Jupyter takes it
highlight_language = "none"  # of the README's commands; the cells of a notebook are Python

html_theme = "furo"
html_static_path = ["static", str(MATHJAX)]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
# Each page links to what it was made from; a notebook is not edited on GitHub, where furo would link, too.
if REPOSITORY:
    html_theme_options = {
        "source_view_link": f"{REPOSITORY}/blob/{TAG}/{{filename}}",
        "top_of_page_buttons": ["view"],
    }
else:
    html_theme_options = {"top_of_page_buttons": []}
mathjax_path = MATHJAX_FILE


def contents() -> str:
    """The table of contents, which becomes the bar at the side: short titles, which begin with the lesson's number."""
    notebooks = ROOT / "notebooks"
    parts = {
        "Lessons": sorted(notebooks.glob("*.ipynb")),
        "Solutions": sorted(notebooks.glob("solutions/*.ipynb")),
        "To print": sorted(notebooks.glob("handouts/*.md")),
        "Data": [ROOT / "data" / "README.md"],
    }
    trees = []
    for caption, paths in parts.items():
        entries = []
        for path in paths:
            number = f"{path.stem[:2]} " if path.suffix == ".ipynb" else ""
            title = number + first_heading(path).removesuffix(": solutions")
            entries.append(f"{title} </{path.relative_to(ROOT).with_suffix('').as_posix()}>")
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"]))
    return "\n\n".join(trees)


def complete_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the table of contents to the README, and fold the setup cell of a notebook."""
    if docname == root_doc:
        source[0] += f"\n\n{contents()}\n"
    elif app.env.doc2path(docname).suffix == ".ipynb":
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if "setup" in cell["metadata"].get("tags", []):
                cell["metadata"]["tags"].append("hide-input")
        source[0] = json.dumps(notebook)


def complete_page(app: Sphinx, doctree: nodes.document) -> None:
    """Describe figures, put words in place of images from the web, and link to GitHub, if set, what is no page."""
    path = app.env.doc2path(app.env.docname)
    if path.suffix == ".ipynb":
        describe_figures(doctree, path)
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith("https:"):  # Colab's button
            image.replace_self(nodes.Text(image["alt"]))
    for link in [*doctree.findall(addnodes.download_reference), *doctree.findall(addnodes.pending_xref)]:
        target = (path.parent / link["reftarget"]).resolve()
        if REPOSITORY and (isinstance(link, addnodes.download_reference) or target.is_dir()):
            kind = "tree" if target.is_dir() else "blob"  # as GitHub calls folders and files
            address = f"{REPOSITORY}/{kind}/{TAG}/{target.relative_to(ROOT).as_posix()}"
            link.replace_self(nodes.reference("", "", *link.children, refuri=address))
        elif target.is_dir():  # a file comes along, to be downloaded
            link.replace_self(nodes.Text(link.astext()))


def describe_figures(doctree: nodes.document, path: Path) -> None:
    """Give each figure the text alternative that is stored with it, which myst-nb does not read."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    figures = [box for box in doctree.findall(nodes.container) if box.get("mime_type") == "image/png"]
    for figure, output in zip(figures, outputs, strict=True):
        figure[0]["alt"] = output["metadata"].get("image/png", {}).get("alt", "")


def write_front_page(app: Sphinx, exception: Exception | None) -> None:
    """Show the README at the site's address, for which servers send index.html."""
    if not exception:
        (app.outdir / "index.html").write_bytes((app.outdir / "README.html").read_bytes())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", complete_source)
    app.connect("doctree-read", complete_page, priority=400)  # before Sphinx gathers images and files
    app.connect("build-finished", write_front_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
