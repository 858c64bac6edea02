"""Tiny data sets of tensorflow-datasets, whose one archive comes from an address that a test chooses.

Importing this file imports TensorFlow, and registers the sets.
"""

import hashlib
import io
import os
import zipfile
from types import MappingProxyType
from typing import ClassVar

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


def _archive() -> bytes:
    stored, images = io.BytesIO(), io.BytesIO()
    np.save(images, IMAGES)
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr(zipfile.ZipInfo("images.npy"), images.getvalue())  # ZipInfo's date is always the same
    return stored.getvalue()


ARCHIVE = _archive()


def digest(data) -> str:
    """A number that stands for all images and labels of a `helpers.datasets.DataSet`, in their order."""
    parts = (data.x_train, data.y_train, data.x_test, data.y_test)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


class _Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The first 40 images to train and the other 20 to test on, unless a set says otherwise."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = MappingProxyType({"train": range(40), "test": range(40, COUNT)})
    SHAPE = (12, 10, 3)
    LABEL = tfds.features.ClassLabel(names=CLASSES)

    @property
    def url_infos(self):
        checksum = hashlib.sha256(ARCHIVE).hexdigest()
        size = tfds.core.utils.Size(len(ARCHIVE))
        return {self._url(): tfds.core.download.checksums.UrlInfo(size, checksum, "images.zip")}

    def _url(self) -> str:
        return f"{os.environ[ADDRESS]}/images.zip"

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE, encoding_format="png"), "label": self.LABEL}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        folder = dl_manager.download_and_extract(self._url())
        return {split: self._generate_examples(folder, numbers) for split, numbers in self.SPLITS.items()}

    def _generate_examples(self, folder, numbers):
        images = np.load(os.path.join(folder, "images.npy"))
        for number in numbers:
            yield number, self._example(images[number], number)

    def _example(self, image, number):
        return {"image": image, "label": int(LABELS[number])}


class TinyBoth(_Tiny):
    pass


class TinyTrain(_Tiny):
    SPLITS = MappingProxyType({"train": range(COUNT)})


class TinyTest(_Tiny):
    SPLITS = MappingProxyType({"test": range(COUNT)})


class TinyValidation(_Tiny):
    SPLITS = MappingProxyType({"train": range(45), "validation": range(45, COUNT)})


class TinyVaried(_Tiny):
    SHAPE = (None, None, 3)

    def _example(self, image, number):
        return super()._example(image[: 8 + number % 4, : 6 + number % 5], number)


class TinyMasked(_Tiny):
    def _info(self):
        mask = tfds.features.Image(shape=(12, 10, 1), encoding_format="png")
        features = {**super()._info().features, "segmentation_mask": mask}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _example(self, image, number):
        return {**super()._example(image, number), "segmentation_mask": TRIMAPS[number]}


class TinyKinds(_Tiny):
    """With two configurations."""

    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in ("first", "second")]


class TinyNumbered(_Tiny):
    LABEL = np.int64


class TinyUnlabelled(_Tiny):
    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE), "caption": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


class TinyManual(_Tiny):
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Ask the authors."
