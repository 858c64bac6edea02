"""Tiny data sets of tensorflow-datasets, whose archive comes from an address that a test chooses.

Importing this file imports TensorFlow, and registers the sets.
"""

import hashlib
import os
from types import MappingProxyType

import numpy as np

from helpers import quiet_import

with quiet_import():
    import tensorflow  # noqa: F401
    import tensorflow_datasets as tfds

ADDRESS = "TINY_SETS_ADDRESS"  # the environment variable that says where the archive is
COUNT = 60
CLASSES = ("ant", "bee", "cow")
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [36, 18, 6]))
IMAGES = np.random.default_rng(1).integers(0, 256, (COUNT, 12, 10, 3), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(COUNT)  # so that an image tells its number
TRIMAPS = np.full((COUNT, 12, 10, 1), 2, np.uint8)  # 2 is the background,
for number, trimap in enumerate(TRIMAPS):
    top, left = 1 + number % 5, 1 + number % 3
    trimap[top : top + 6, left : left + 5] = 3  # 3 the border
    trimap[top + 1 : top + 5, left + 1 : left + 4] = 1  # and 1 the object
ARCHIVE = IMAGES.tobytes()


class _Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The first 40 images to train and the other 20 to test on, unless a set says otherwise."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = MappingProxyType({"train": range(40), "test": range(40, COUNT)})
    SHAPE = (12, 10, 3)

    @property
    def url_infos(self):
        size = tfds.core.utils.Size(len(ARCHIVE))
        info = tfds.core.download.checksums.UrlInfo(size, hashlib.sha256(ARCHIVE).hexdigest(), "images.bin")
        return {f"{os.environ[ADDRESS]}/images.bin": info}

    def _features(self) -> dict:
        image = tfds.features.Image(shape=self.SHAPE, encoding_format="png")
        return {"image": image, "label": tfds.features.ClassLabel(names=CLASSES)}

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self._features()))

    def _split_generators(self, dl_manager):
        file = dl_manager.download(next(iter(self.url_infos)))
        images = np.frombuffer(file.read_bytes(), np.uint8).reshape(IMAGES.shape)
        return {split: self._generate_examples(images, numbers) for split, numbers in self.SPLITS.items()}

    def _generate_examples(self, images, numbers):
        for number in numbers:
            yield number, self._example(images[number], number)

    def _example(self, image, number):
        return {"image": image, "label": int(LABELS[number])}


class TinyBoth(_Tiny):
    pass


class TinyTrain(_Tiny):
    SPLITS = MappingProxyType({"train": range(COUNT)})


class TinyValidation(_Tiny):
    SPLITS = MappingProxyType({"train": range(45), "validation": range(45, COUNT)})


class TinyVaried(_Tiny):
    SHAPE = (None, None, 3)

    def _example(self, image, number):
        return super()._example(image[: 8 + number % 4, : 6 + number % 5], number)


class TinyMasked(_Tiny):
    def _features(self):
        return {**super()._features(), "trimap": tfds.features.Image(shape=(12, 10, 1), encoding_format="png")}

    def _example(self, image, number):
        return {**super()._example(image, number), "trimap": TRIMAPS[number]}


class TinyUnlabelled(_Tiny):
    def _features(self):
        return {"image": tfds.features.Image(shape=self.SHAPE), "caption": tfds.features.Text()}
