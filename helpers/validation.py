from .claims import check_array, check_integer, size_text, number_text  # noqa


def check_range(name: str, value, low: float, high: float) -> float:
    """Return `value` as a ``float``, or raise ``ValueError`` when it is no number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, __import__("numbers").Real) or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}, expected a number from {low:g} to {high:g}")
    return float(value)
