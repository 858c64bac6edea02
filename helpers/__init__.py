"""What a student should not have to read to learn the lesson: figures, data, claims and checkers.

Importing this package loads nothing heavy. It sets what has to be set before TensorFlow loads, which is
why a notebook imports it first.
"""

import contextlib
import importlib.resources
import importlib.util
import logging
import os
import sys

# oneDNN is off by default on some CPUs, where training then runs 2 to 4 times slower.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# tensorflow-metadata 1.21, which tensorflow-datasets needs, was generated for protobuf 6.31. It refuses the protobuf
# 5.29 of TensorFlow 2.18 and 2.19 (and so of Colab), although it works with that.
os.environ.setdefault("TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK", "true")

# tensorflow-datasets imports this package without declaring it, and Colab lacks it; Python's own module is the same.
if importlib.util.find_spec("importlib_resources") is None:
    sys.modules["importlib_resources"] = importlib.resources

# On a machine's first run matplotlib announces on stderr that it builds its font cache.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

REMOVE_VARIABLE = "remove this environment variable, then start Jupyter again"


def backend_problem() -> str:
    """What is wrong with the environment variable ``KERAS_BACKEND``, and what to do; empty if nothing is."""
    backend = os.environ["KERAS_BACKEND"]
    wrong = f"KERAS_BACKEND is {backend!r}, and the course needs 'tensorflow'"
    return "" if backend == "tensorflow" else f"{wrong}: {REMOVE_VARIABLE}"


@contextlib.contextmanager
def quiet_import():
    """Import TensorFlow and Keras inside this ``with`` block without their start-up log lines.

    TensorFlow's C++ code writes to file descriptor 2 whatever ``TF_CPP_MIN_LOG_LEVEL`` says, so the descriptor
    itself points to the null device inside the block. Later warnings are shown as usual.

    Raises
    ------
    ImportError
        When Keras would not run on TensorFlow, or when a package is missing or broken, with what to do about it.
    """
    if problem := backend_problem():
        raise ImportError(problem)
    saved = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
        if "tensorflow" in sys.modules:
            config = sys.modules["tensorflow"].config
            config.list_physical_devices()  # the first look for a GPU logs too: let it happen here
            # Recent GPUs would round to 10 bits inside convolutions, where the claims compare to 1e-5.
            config.experimental.enable_tensor_float_32_execution(False)
        if "keras" in sys.modules:
            sys.modules["keras"].config.set_image_data_format("channels_last")  # whatever keras.json says
    except ImportError as error:
        wrong = f"A package that the course needs cannot be imported ({error})"
        remedy = "run 'pip install -r requirements.txt' in the course's folder, then restart the kernel"
        raise ImportError(f"{wrong}: {remedy}.") from None
    finally:
        os.dup2(saved, 2)
        os.close(saved)
