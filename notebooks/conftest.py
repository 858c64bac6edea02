"""For `pytest`, which runs every notebook and compares its outputs with the stored ones; no part of a lesson."""

from masks import pytest_itemcollected  # noqa: F401
