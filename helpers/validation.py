"""Clear errors for bad arguments, worded once: what the argument is called, what came, what was expected."""

import numbers

import numpy as np


def check_array(name: str, value, ranks: tuple[int, ...]) -> np.ndarray:
    """Return `value` as an array, or raise ``ValueError`` naming it.

    Parameters
    ----------
    name
        What the argument is called in the caller's signature.
    value
        Anything that NumPy can turn into a numeric array.
    ranks
        The allowed numbers of dimensions.

    Raises
    ------
    ValueError
        When `value` is not numeric, has another rank, is empty, or holds NaN or infinity.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: got rows of different lengths, expected a rectangular array") from None
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):  # bfloat16, which NumPy itself does not know
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name}: got {type(value).__name__} of dtype {array.dtype}, expected numbers")
    if array.ndim not in ranks:
        wanted = " or ".join(f"{rank}-D" for rank in ranks)
        raise ValueError(f"{name}: got a {array.ndim}-D array of shape {array.shape}, expected {wanted}")
    if array.size == 0:
        raise ValueError(f"{name}: got an empty array of shape {array.shape}, expected at least one value")
    if not np.isfinite(array).all():
        what = "NaN" if np.isnan(array).any() else "infinity"
        raise ValueError(f"{name}: got an array with {what}, expected finite numbers")
    return array


def check_integer(name: str, value, minimum: int) -> int:
    """Return `value` as an ``int``, or raise ``ValueError`` when it is no integer or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}: got {value!r}, expected an integer of at least {minimum}")
    return int(value)


def check_range(name: str, value, low: float, high: float) -> float:
    """Return `value` as a ``float``, or raise ``ValueError`` when it is no number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}, expected a number from {low:g} to {high:g}")
    return float(value)


def size_text(shape: tuple[int, ...]) -> str:
    """A shape as the texts write it: ``3×4``."""
    return "×".join(map(str, shape))


def number_text(value) -> str:
    """A number as figures write it: whole where it is whole, else three digits; a true minus sign."""
    value = float(value) or 0.0  # no negative zero
    text = f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.3g}"
    return text.replace("-", "−")


def check_convolution(x, kernel, stride: int = 1, padding: int = 0) -> None:
    """Raise ``ValueError`` unless `kernel` can slide over `x` with this stride and padding.

    Parameters
    ----------
    x
        An image ``(height, width)`` or ``(height, width, channels)``.
    kernel
        Of as many dimensions, and as many channels.
    stride, padding
        Step of the kernel (at least 1) and rings of zeros around the image (at least 0), in pixels.
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
