"""Checks a student's answer and says what is wrong with it, not only that it is wrong.

`engine` judges; the exercises of each notebook are a module of their own, registered by importing it. `keras_blocks` is
what those of notebooks 04 and 06 share for blocks in Keras.
"""

from . import notebook_01, notebook_02, notebook_03, notebook_04, notebook_05, notebook_06  # noqa: F401
from .engine import Verdict, check

__all__ = ["Verdict", "check"]
