"""The text alternatives of figures: they hold the values that the figure shows, and travel with its image."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats

import test_plots
import test_plots_transfer
from helpers import plots

LABELS = {"x_label": "epochs", "y_label": "loss"}
IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURED = np.tile(np.uint8([0, 0, 9]), (3, 4, 1))
GREY_IN_RGB = np.repeat(IMAGE[..., None], 3, axis=-1)
PAINTED = np.full((3, 4, 3), 0.5)  # grey, but for one pixel
PAINTED[1, 3] = 1, 0, 0
FIGURES = test_plots.FIGURES | {f"transfer: {name}": make for name, make in test_plots_transfer.FIGURES.items()}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_every_figure_says_what_it_shows(make):
    alt = make().alt
    assert re.search(r"\w{3}", alt) and alt.endswith(".")
    assert not re.search(r"\bnan\b|None|\n|array\(|  ", alt), alt
    assert len(alt) < 2500, "who listens to it cannot skim it"


@pytest.mark.parametrize("backend", ["inline", "agg"])
def test_a_notebook_shows_the_image_and_its_words_whatever_the_backend(backend):
    """Only Jupyter's own backend tells IPython how to draw a figure; a server's MPLBACKEND=Agg does not."""
    shell = InteractiveShell.instance()
    if backend == "inline":
        select_figure_formats(shell, {"png"})
    figure = plots.plot_bars({"a": 1}, x_label="x")
    try:
        data, metadata = DisplayFormatter.format(shell.display_formatter, figure)
    finally:
        InteractiveShell.clear_instance()
    assert data.keys() == {"image/png", "text/plain"} and data["text/plain"] == "Bars of x. a: 1."
    assert metadata["image/png"] == {"alt": "Bars of x. a: 1."}


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (
            lambda: plots.show_images([IMAGE, IMAGE + 3], titles=["one", "two"], boxes=[None, (1, 0, 2, 3)]),
            "2 images of 3×4, grey. one: values 0 to 11, mean 5.5, its middle at row 1.5, column 1.7; "
            "two: values 3 to 14, mean 8.5, its middle at row 1.3, column 1.6, box from row 1, column 0, 2×3.",
        ),
        (
            lambda: plots.show_images([IMAGE, IMAGE[::-1]], titles=["one", "two"], true_boxes=[None, (0, 1, 1, 2)]),
            "2 images of 3×4, grey. one: values 0 to 11, mean 5.5, its middle at row 1.5, column 1.7; "
            "two: values 0 to 11, mean 5.5, its middle at row 0.5, column 1.7, true box from row 0, column 1, 1×2.",
        ),
        (
            lambda: plots.show_images([IMAGE, IMAGE + 3], columns=1, row_titles=["before", "after"]),
            "2 images of 3×4, grey, 1 in a row. Rows: before; after. Values 0 to 14; mean of each row 5.5, 8.5.",
        ),
        (
            lambda: plots.show_images([COLOURED] * 40, titles=["cat", "dog"] * 20, columns=10),
            "40 images of 3×4, in colour, 10 in a row. cat (20), dog (20). Values 0 to 9; mean of each row 3, 3, 3, 3.",
        ),
        (
            lambda: plots.show_images([GREY_IN_RGB, PAINTED, PAINTED], titles=["grey", "", "one"]),
            "3 images of 3×4, grey and in colour. grey: values 0 to 11, mean 5.5, its middle at row 1.5, column 1.7; "
            "picture 2: coloured around row 1.0, column 3.0; one: coloured around row 1.0, column 3.0.",
        ),
        (
            lambda: plots.show_convolution(np.eye(2), np.array([[1, -1]]), np.array([[1], [-1]]), at=(1, 0)),
            "input 2×2: 1 0 / 0 1, framed from row 1, column 0, 1×2; kernel 1×2: 1 −1; "
            "output 2×1: 1 / −1, framed from row 1, column 0, 1×1.",
        ),
        (
            lambda: plots.plot_filters(np.array([[1, 0], [0, -1]])),
            "1 filter of 2×2 weights. 0: 1 0 / 0 −1.",
        ),
        (
            lambda: plots.plot_lines([1, 2, 3, 4], {"a": [3, 1, 4, 2], "b": [np.nan, 5, 5, np.nan]}, **LABELS),
            "loss over epochs from 1 to 4. a: 3 to 2, lowest 1 at 2, highest 4 at 3; "
            "b: 5 to 5, lowest 5 at 2, highest 5 at 2.",
        ),
        (
            lambda: plots.plot_lines([1, 2], {"a": [3, 1]}, **LABELS, log="y"),
            "loss over epochs from 1 to 2, loss on a logarithmic scale. a: 3 to 1.",
        ),
        (
            lambda: plots.plot_lines([1, 2], {"a": [3, 1]}, **LABELS, log="xy"),
            "loss over epochs from 1 to 2, epochs and loss on a logarithmic scale. a: 3 to 1.",
        ),
        (
            lambda: plots.plot_bars({"a": 1, "b": 200}, x_label="cost", log=True),
            "Points along cost. a: 1; b: 200.",
        ),
        (
            lambda: plots.plot_calibration([0.9, 0.95, 0.97, 0.99], [True, True, False, True]),
            "Share correct against mean confidence, beside the diagonal where both are equal. "
            f"{'; '.join(f'confidence from 0.{step}: 0 of 0 correct' for step in range(9))}; "
            "confidence from 0.9: 3 of 4 correct.",
        ),
        (
            lambda: plots.plot_bars({"a": 0.25, "b": 2000}, x_label="cost", errors={"a": 0.01, "b": 3}),
            "Bars of cost. a: 0.25 ± 0.01; b: 2,000 ± 3.",
        ),
        (
            lambda: plots.plot_history(test_plots.HISTORY),
            "Training history over 4 epochs. training loss: 2 to 0.5, lowest 0.5 at 4, highest 2 at 1; "
            "validation loss: 1.9 to 1.5, lowest 0.875 at 3, highest 1.9 at 1; "
            "training accuracy: 0.2 to 0.7, lowest 0.2 at 1, highest 0.7 at 4; "
            "validation accuracy: 0.3 to 0.5, lowest 0.3 at 1, highest 0.6 at 3. "
            "A dashed line marks epoch 3, of the lowest validation loss.",
        ),
        (
            lambda: plots.plot_confusion([[8, 2], [1, 9]], ["cat", "dog"]),
            "2 classes, true against predicted: 17 of 20 right. cat: 8 2; dog: 1 9.",
        ),
        (
            lambda: plots.plot_timeline({"pipeline": [(0, 1), (2, 3)], "network": [(1, 2)]}),
            "Who worked when, 3,000 ms in all. pipeline: 2 pieces, busy 2,000 ms; network: 1 piece, busy 1,000 ms.",
        ),
        (
            lambda: plots.plot_bubbles({"nets": {"A": (2012, 2)}}, **LABELS, lines={"people": 5.1}),
            "loss against epochs. nets: A (2012, 2); dashed line, people: 5.1.",
        ),
        (
            lambda: plots.plot_network([("image", (8, 8, 3)), ("3×3\nconv", (8, 8, 16))], "LeNet"),
            "LeNet. A network as a row of boxes: image 8×8×3, then 3×3 conv 8×8×16.",
        ),
    ],
)
def test_the_text_holds_the_values(figure, text):
    assert figure().alt == text


def test_the_strongest_filter_is_named_if_there_is_one():
    kernel = np.ones((3, 3, 2, 6))
    assert "strongest" not in plots.plot_filters(kernel).alt
    kernel[..., 4] = 2
    assert "filter 4 is the strongest" in plots.plot_filters(kernel).alt


def test_the_graph_says_what_reads_what():
    alt = plots.plot_graph(test_plots.inception(), "Inception").alt
    assert alt.startswith("Inception. 10 layers. 1 ")
    (joined,) = re.findall(r"\d+ [^;]* gives 28×28×116, from ([^;]*)\.", alt)
    assert len(set(joined.split(" and "))) == 4, "it joins four branches"


def test_points_apart_lie_nearest_to_their_own():
    labels = np.arange(40) % 2
    apart = np.stack([10 * labels, 0 * labels], axis=1) + np.random.default_rng(0).normal(size=(40, 2))
    assert "a: 100 % lie nearest" in plots.plot_points({"a": apart}, labels, ["one", "other"]).alt


@given(arrays(np.float64, 3, elements=st.floats(0, 1)))
def test_words_on_a_colour_have_the_contrast_that_WCAG_asks_for(colour):
    assert test_plots.contrast(colour, plots._ink(colour).item()) >= 4.5
