"""The animation is one small page: self-contained, the same in every run, and with the right numbers."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from helpers.animations import check_convolution, glide

IMAGE = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
KERNEL = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
WIDE, HIGH = np.ones((5, 6)), np.ones((3, 2))


def data_of(animation) -> dict:
    """The numbers that the page's script works on."""
    found = re.findall(r"const d=(\{.*?\}),", animation.page)
    assert len(found) == 1
    return json.loads(found[0])


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, unescaped."""

    def __init__(self, page: str):
        super().__init__()
        self.found = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def animation():
    return glide(IMAGE, KERNEL)


def test_the_same_bytes_twice(animation):
    assert glide(IMAGE, KERNEL)._repr_html_() == animation._repr_html_()


def test_it_says_what_it_is(animation):
    assert repr(animation) == "animation of 9 steps"
    assert animation.steps == 9


@pytest.mark.parametrize("x, kernel", [(IMAGE, KERNEL), (np.full((12, 12), -0.123), np.full((5, 5), -0.123))])
def test_it_is_small(x, kernel):
    assert len(glide(x, kernel)._repr_html_().encode("utf-8")) < 10_000


def test_it_needs_nothing_from_elsewhere(animation):
    shown = animation._repr_html_()
    for loads in ("http", "//", "src=", "href", "import", "fetch", "url("):
        assert loads not in shown, loads


def test_the_frame_holds_the_whole_page(animation):
    (tag, attributes), *others = Tags(animation._repr_html_()).found
    assert tag == "iframe"
    assert not others, "the page's quotes or tags leave the frame"
    assert attributes["srcdoc"] == animation.page
    assert attributes["title"]
    assert f"height:{animation.height}px" in attributes["style"]


def test_controls_have_names(animation):
    controls = [attributes for tag, attributes in Tags(animation.page).found if tag in ("button", "input")]
    assert len(controls) == 4
    assert all(attributes.get("aria-label") for attributes in controls)


def test_the_numbers_are_the_arguments():
    data = data_of(glide(IMAGE, KERNEL[:2], stride=2, padding=1))
    assert data == {"x": np.pad(IMAGE, 1).tolist(), "k": KERNEL[:2].tolist(), "s": 2, "p": 1, "n": 3, "m": 3}


SIDES = st.integers(1, 5)


@given(
    image=st.tuples(st.integers(5, 8), st.integers(5, 8)),
    kernel=st.tuples(SIDES, SIDES),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)
def test_every_place_of_the_kernel_is_one_step(image, kernel, stride, padding):
    x, kernel = np.arange(np.prod(image)).reshape(image) / 4, np.ones(kernel)
    animation = glide(x, kernel, stride, padding)
    data = data_of(animation)
    padded = np.pad(x, padding)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)[::stride, ::stride]
    assert (data["n"], data["m"]) == windows.shape[:2]
    assert animation.steps == data["n"] * data["m"]
    assert (data["s"], data["p"]) == (stride, padding)
    assert np.array_equal(data["x"], padded)
    assert np.array_equal(data["k"], kernel)


def test_a_stride_counted_by_numpy():
    assert glide(IMAGE, KERNEL, np.int64(2), np.int64(1)).page == glide(IMAGE, KERNEL, 2, 1).page


def test_a_mask_is_shown_as_numbers():
    assert glide(IMAGE == 1, KERNEL == 1).page == glide(IMAGE, KERNEL).page


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((IMAGE[0], KERNEL), "x: got a 1-D array of shape (5,), expected 2-D"),
        ((IMAGE[..., None], KERNEL[..., None]), "x: got a 3-D array of shape (5, 5, 1), expected 2-D"),
        ((IMAGE[:2], KERNEL), "kernel: got 3×3, expected at most 2×5, the size of the padded image"),
        ((np.ones((13, 4)), KERNEL), "x: got 13×4"),
        ((np.ones((4, 11)), KERNEL, 1, 1), "x: got 6×13"),
        ((np.ones((9, 9)), np.ones((6, 2))), "kernel: got 6×2"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        glide(*arguments)


def test_the_largest_that_is_readable():
    assert glide(np.ones((8, 12)), np.ones((5, 5)), 1, 0).steps == 32
    assert glide(np.ones((10, 6)), np.ones((3, 3)), 1, 1).steps == 60


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((WIDE[0], HIGH), "x: got a 1-D array of shape (6,), expected 2-D or 3-D"),
        ((np.ones((0, 3)), HIGH), "x: got an empty array of shape (0, 3), expected at least one value"),
        ((np.full((4, 4), np.nan), HIGH), "x: got an array with NaN, expected finite numbers"),
        (("image", HIGH), "x: got str of dtype <U5, expected numbers"),
        ((WIDE, HIGH[0]), "kernel: got a 1-D array of shape (2,), expected 2-D or 3-D"),
        ((WIDE, np.full((2, 2), np.inf)), "kernel: got an array with infinity, expected finite numbers"),
        (
            (WIDE, np.ones((2, 2, 1))),
            "kernel: got a 3-D array of shape (2, 2, 1), expected 2-D to go with x of shape (5, 6)",
        ),
        (
            (np.ones((5, 5, 3)), np.ones((2, 2, 4))),
            "kernel: got shape (2, 2, 4) with 4 channels, expected 3, as in x of shape (5, 5, 3)",
        ),
        ((WIDE, HIGH, 0), "stride: got 0, expected an integer of at least 1"),
        ((WIDE, HIGH, 1.0), "stride: got 1.0, expected an integer of at least 1"),
        ((WIDE, HIGH, 1, -1), "padding: got -1, expected an integer of at least 0"),
        ((WIDE, HIGH, 1, "same"), "padding: got 'same', expected an integer of at least 0"),
        (
            (WIDE, np.ones((6, 2))),
            "kernel: got 6×2, expected at most 5×6, the size of the padded image",
        ),
        (
            (WIDE, np.ones((2, 9)), 1, 1),
            "kernel: got 2×9, expected at most 7×8, the size of the padded image",
        ),
    ],
)
def test_check_convolution_refuses(arguments, message):
    with pytest.raises(ValueError) as raised:
        check_convolution(*arguments)
    assert str(raised.value) == message


def fits(x, kernel, stride, padding) -> bool:
    """Whether SciPy finds a place for the kernel inside the padded image.

    Asked for "valid", SciPy would let a small image slide over a large kernel. So all places are asked for,
    those where the kernel hangs over an edge as well, and then only those inside are kept.
    """
    everywhere = signal.correlate(np.pad(x, padding), kernel, "full", "direct")
    rows, columns = (n - 1 for n in kernel.shape)
    height, width = (n + 2 * padding for n in x.shape)
    return everywhere[rows:height:stride, columns:width:stride].size > 0


@given(image=st.tuples(SIDES, SIDES), kernel=st.tuples(SIDES, SIDES), stride=SIDES, padding=st.integers(0, 2))
def test_check_convolution_accepts_exactly_what_scipy_can_compute(image, kernel, stride, padding):
    x, kernel = np.ones(image), np.ones(kernel)
    if fits(x, kernel, stride, padding):
        check_convolution(x, kernel, stride, padding)
        assert signal.correlate(np.pad(x, padding), kernel, "valid", "direct").size > 0
    else:
        with pytest.raises(ValueError, match=r"^kernel: got \d×\d, expected at most"):
            check_convolution(x, kernel, stride, padding)
