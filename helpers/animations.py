"""The kernel gliding over the image, as a small page of its own: plays with no kernel and no network."""

import html
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .claims import check_array, check_integer, size_text

MOST_PIXELS, MOST_WEIGHTS = 12, 5  # a side; what fits on a slide, with the sum spelled out


@dataclass(frozen=True, repr=False)
class Animation:
    """A page that a notebook, exported HTML and slides show in a frame; see `glide`."""

    page: str
    title: str
    height: int
    steps: int

    def __repr__(self) -> str:
        return f"animation of {self.steps} steps"

    def _repr_html_(self) -> str:
        # In a frame, the page's script and style cannot clash with those around it or with a second animation.
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="{html.escape(self.title)}" '
            f'style="width:100%;max-width:860px;height:{self.height}px;border:0"></iframe>'
        )


def glide(x, kernel, stride: int = 1, padding: int = 0) -> Animation:
    """Animate the cross-correlation of `x` with `kernel`: play, step or drag, the sum spelled out at each place.

    `x` is an image ``(height, width)``, at most 12×12 with its padding, `kernel` ``(height, width)``, at most 5×5;
    `stride` and `padding` are in pixels. Returned is a self-contained page of a few kilobytes, the same at every run.
    Where scripts are stripped (GitHub) it shows nothing: put a static figure beside it.
    """
    x, kernel = (check_array(name, value, (2,)) + 0 for name, value in (("x", x), ("kernel", kernel)))  # bool → int
    check_convolution(x, kernel, stride, padding)
    stride, padding = int(stride), int(padding)  # JSON knows no NumPy integers
    padded = np.pad(x, padding)
    for name, array, most in (("x", padded, MOST_PIXELS), ("kernel", kernel, MOST_WEIGHTS)):
        if max(array.shape) > most:
            raise ValueError(f"{name}: got {size_text(array.shape)} with its padding, expected at most {most}×{most}")
    rows = (padded.shape[0] - kernel.shape[0]) // stride + 1
    columns = (padded.shape[1] - kernel.shape[1]) // stride + 1
    data = {"x": padded.tolist(), "k": kernel.tolist(), "s": stride, "p": padding, "n": rows, "m": columns}
    template = Path(__file__).with_name("glide.html").read_text(encoding="utf-8")
    page = template.replace("DATA", json.dumps(data, separators=(",", ":")))
    title = f"A kernel of {size_text(kernel.shape)} glides over an image of {size_text(x.shape)}, padding {padding}, "
    title += f"in steps of {stride}: the output, {rows}×{columns}, is written value by value"
    return Animation(page=page, title=title, height=36 * max(len(padded), rows) + 150, steps=rows * columns)


def check_convolution(x, kernel, stride: int = 1, padding: int = 0) -> None:
    """Raise ``ValueError`` unless `kernel` can slide over `x` with this stride and padding, both in pixels.

    `x` is an image ``(height, width)`` or ``(height, width, channels)``, `kernel` of as many dimensions and channels.
    """
    x = check_array("x", x, (2, 3))
    kernel = check_array("kernel", kernel, (2, 3))
    check_integer("stride", stride, 1)
    check_integer("padding", padding, 0)
    if kernel.ndim != x.ndim:
        raise ValueError(
            f"kernel: got a {kernel.ndim}-D array of shape {kernel.shape}, "
            f"expected {x.ndim}-D to go with x of shape {x.shape}"
        )
    if kernel.shape[2:] != x.shape[2:]:
        raise ValueError(
            f"kernel: got shape {kernel.shape} with {kernel.shape[2]} channels, "
            f"expected {x.shape[2]}, as in x of shape {x.shape}"
        )
    rows, columns = x.shape[:2]
    room = (rows + 2 * padding, columns + 2 * padding)
    if kernel.shape[0] > room[0] or kernel.shape[1] > room[1]:
        raise ValueError(
            f"kernel: got {size_text(kernel.shape[:2])}, "
            f"expected at most {size_text(room)}, the size of the padded image"
        )
