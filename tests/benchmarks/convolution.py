"""Is the course's NumPy quick enough beside TensorFlow, and are its figures and imports quick at all?

    python tests/benchmarks/convolution.py

Prints one line for each bar; the exit status is 1 when one is missed. Where two ways are compared they take turns, and
the median of their ratios counts: another program that runs meanwhile slows both.
"""

import io
import statistics
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from bars import ROOT, Row, at_least, at_most, ratio, report, seconds  # makes the course's folders importable

from helpers import plots
from notebook_code import definitions


def convolutions(lesson: dict) -> list[Row]:
    """The setting of the notebook: 100 small colour images, 25 filters, stride 2, one ring of zeros."""
    keras, tf = lesson["keras"], lesson["tf"]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 31, 31, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 25)).astype(np.float32)
    dy = rng.normal(size=(100, 16, 16, 25)).astype(np.float32)
    plan = lesson["plan_convolution"](x.shape, kernel.shape, 2, 1)

    def planned():
        return plan(x, kernel)

    def with_keras():
        return keras.ops.conv(x, kernel, strides=2, padding="same")

    def backward():
        return lesson["conv_backward"](x, kernel, dy, 2, 1)

    with tf.GradientTape(persistent=True) as tape:
        x_tf, kernel_tf = tf.constant(x), tf.constant(kernel)
        tape.watch([x_tf, kernel_tf])
        y_tf = tf.nn.conv2d(x_tf, kernel_tf, 2, "SAME")

    def with_tape():
        return tape.gradient(y_tf, [x_tf, kernel_tf], dy)

    # Only what computes the same may be compared.
    np.testing.assert_allclose(planned(), with_keras(), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(backward(), with_tape(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-2)

    loops = seconds(lambda: lesson["conv_loops"](x, kernel, 2, 1))
    best = statistics.median(seconds(planned) for _ in range(50))
    return [
        at_least("loops / best NumPy", loops / best, 500),
        at_most("best NumPy / keras.ops.conv", ratio(planned, with_keras, 200), 1.3),
        at_most("conv_backward / tape.gradient", ratio(backward, with_tape, 100), 3),
    ]


def figures() -> list[Row]:
    """64 maps composed into one picture, beside 64 Axes with a map each; drawn as a notebook stores them."""
    maps = np.random.default_rng(0).normal(size=(16, 16, 64))

    def store(figure):
        figure.savefig(io.BytesIO(), format="png")

    def images():
        store(plots.show_images(maps.transpose(2, 0, 1)))

    def feature_maps():
        store(plots.plot_feature_maps(maps))

    def subplots():
        figure, axes = plt.subplots(8, 8)
        for index, ax in enumerate(axes.flat):
            ax.imshow(maps[..., index])
        store(figure)
        plt.close(figure)

    return [
        at_most("show_images / 64 imshow subplots", ratio(images, subplots, 7), 0.1),
        at_most("plot_feature_maps / 64 imshow subplots", ratio(feature_maps, subplots, 7), 0.1),
    ]


def imports() -> Row:
    def python(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True))

    python("import helpers")
    difference = statistics.median(python("import helpers") - python("pass") for _ in range(5))
    return at_most("import helpers, seconds", difference, 0.2)


def main() -> int:
    rows = [*convolutions(definitions("01_convolution_by_hand")), *figures(), imports()]
    return report(["numpy", "tensorflow", "keras"], rows)


if __name__ == "__main__":
    sys.exit(main())
