"""Pretrained networks for notebook 05: the course's own, whose weights ship with it, and Keras's MobileNetV2.

`data/README.md` describes both; ``python -m helpers.backbone --fetch`` downloads the second before a lecture.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import quiet_import, real

if TYPE_CHECKING:
    import keras

WEIGHTS = Path(__file__).resolve().parent.parent / "data" / "backbone.weights.h5"
STAGES = ((48, 1), (112, 2), (256, 1))  # channels and residual blocks of each
_MOBILENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_MOBILENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{_MOBILENET_FILE}"


def load(name: str = "course", *, pretrained: bool = True, trainable: bool = False) -> "keras.Model":
    """A network without its top, which turns images into feature maps; its preprocessing is part of it.

    Parameters
    ----------
    name
        ``"course"``, the network of `build`, whose weights ship with the course; or ``"mobilenet_v2"``, Keras's
        MobileNetV2 (Sandler et al. 2018) trained on ImageNet, 9 MiB that are downloaded once into Keras's cache.
    pretrained
        Load the weights, or leave them random, to train from scratch.
    trainable
        Frozen by default: no weight is trained, and batch normalisation works in inference mode.

    Returns
    -------
    keras.Model
        From images ``(batch, height, width, 3)`` with values from 0 to 255 to feature maps: 1/8 of the height and width
        and 256 channels, or 1/32 and 1,280.

    Raises
    ------
    ValueError
        For an unknown name.
    OSError
        When the file of the weights is missing or damaged; a ConnectionError, within seconds, when it has to be
        downloaded and cannot be.
    """
    if name not in ("course", "mobilenet_v2"):
        raise ValueError(f"name: got {name!r}, expected one of course, mobilenet_v2")
    network = build() if name == "course" else _mobilenet_v2()
    if pretrained:
        file = WEIGHTS if name == "course" else _fetched_mobilenet()
        try:
            network.load_weights(file)
        except (OSError, ValueError, KeyError):  # not there, no HDF5, or not of this network
            remedy = f"run 'git checkout {file.name}' in its folder" if file == WEIGHTS else "delete it and try again"
            raise OSError(f"{file} is missing or damaged: {remedy}") from None
    for layer in network.layers:
        if hasattr(layer, "momentum"):  # batch normalisation: a small task ends before 0.99 has forgotten the start
            layer.momentum = 0.9
    network.trainable = trainable
    return network


def build() -> "keras.Model":
    """The course's network with random weights: a residual network for small photographs, without a top.

    A strided 5×5 convolution, then three stages of residual blocks (He, Zhang, Ren and Sun 2016), the second and third
    at half the resolution of the one before.

    Returns
    -------
    keras.Model
        From images ``(batch, height, width, 3)`` with values from 0 to 255, 32 to 96 pixels a side, to feature maps
        ``(batch, height / 8, width / 8, 256)``, none of them negative.
    """
    with quiet_import():
        import keras
        from keras import layers

    def convolved(x, channels, kernel_size, strides, name):
        x = layers.Conv2D(channels, kernel_size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    images = keras.Input((None, None, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    x = layers.ReLU(name="stem")(convolved(x, STAGES[0][0], 5, 2, "stem"))
    for stage, (channels, blocks) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            label = f"stage{stage}_block{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x if strides == 1 else convolved(x, channels, 1, strides, f"{label}_shortcut")
            x = layers.ReLU(name=f"{label}_relu")(convolved(x, channels, 3, strides, f"{label}_first"))
            x = convolved(x, channels, 3, 1, f"{label}_second")
            x = layers.ReLU(name=label)(layers.Add(name=f"{label}_add")([x, shortcut]))
    return keras.Model(images, x, name="backbone")


def mobilenet_file() -> Path:
    """Where Keras's cache has the weights of MobileNetV2, or would have them."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / _MOBILENET_FILE


def _mobilenet_v2() -> "keras.Model":
    with quiet_import():
        import keras

    images = keras.Input((None, None, 3), name="images")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    network = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None)
    return keras.Model(images, network.output, name="backbone")


def _fetched_mobilenet() -> Path:
    """The file of MobileNetV2's weights, downloaded unless it is in Keras's cache."""
    file = mobilenet_file()
    if not file.is_file():
        try:
            weights = real.content(_MOBILENET_URL)
        except Exception as error:
            raise ConnectionError(
                f"MobileNetV2's weights could not be downloaded ({error}): "
                "backbone.load(\"course\") needs no network; 'python -m helpers.backbone --fetch' has them for later."
            ) from None
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as aside:  # under its own name a file is always whole
            (Path(aside) / file.name).write_bytes(weights)
            (Path(aside) / file.name).replace(file)
    return file


if __name__ == "__main__":
    if sys.argv[1:] != ["--fetch"]:
        sys.exit("usage: python -m helpers.backbone --fetch    (MobileNetV2's weights, into Keras's cache)")
    try:
        print(f"MobileNetV2 is ready: {load('mobilenet_v2').count_params():,} parameters")
    except OSError as error:
        sys.exit(str(error))
