"""What nbval compares: words, structure and marks as they are stored, and of an inexact number only that there is one.

A pytest plugin, which `notebooks/conftest.py` loads. What a bound or a tolerance has measured is masked everywhere. In
cells tagged `inexact`, whose numbers follow from training or differ in their last digits from machine to machine, every
number is: in the words of figures, and in what is printed.
"""

import re
from functools import partial

from nbval.plugin import IPyNbCell

INEXACT = "inexact"  # the tag

# A line of the ledger: what, at least two blanks, what was measured, the bound or tolerance in brackets, the mark
LINE = re.compile(r"^(\S.*?) {2,}\S.* \(((?:[≥≤] |[^()]+ ±)[^()]*)\)  ([✓✗·])", re.MULTILINE)
NUMBER = re.compile(r"[−-]?\d[\d,]*(\.\d+)?(e[+−-]?\d+)?")


def masked(text: str, is_exact: bool) -> str:
    """A cell's text as it is compared, with # for each number that need not be the same."""
    if not isinstance(text, str):  # an image or JSON
        return text
    text = LINE.sub(_masked_line, text)
    return text if is_exact else re.sub(" +", " ", NUMBER.sub("#", text))


def _masked_line(line: re.Match) -> str:
    what, bound, mark = line.groups()
    bound = re.sub(r"^\S+ ±", "# ±", bound)  # what it is compared with may be measured too
    return f"{what}  # ({bound})  {mark}"


def pytest_itemcollected(item) -> None:
    if isinstance(item, IPyNbCell):
        item.sanitize = partial(masked, is_exact=INEXACT not in item.cell.metadata.get("tags", ()))
