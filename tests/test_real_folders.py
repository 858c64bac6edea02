"""Folders of real photographs, where they lie beside the repository, and notebooks on them: `pytest -m real`."""

import numpy as np
import pytest
import segmentation
from PIL import Image

import notebook_rules
from helpers.datasets import load
from notebook_code import definitions, execute

pytestmark = pytest.mark.real

DATA = notebook_rules.ROOT.parent / "shared" / "data"


@pytest.mark.parametrize(
    "folder, classes",
    [
        ("flower_photos", "daisy, dandelion, roses, sunflowers, tulips"),
        ("pavements", "asphalt, cobblestone, compacted, gravel, ground, paving_stones, sett"),
    ],
)
def test_folders_of_photographs(folder, classes):
    data = load(DATA / folder, size=64)
    count = len(data.class_names)
    assert ", ".join(data.class_names) == classes
    assert data.x_train.shape == (80 * count, 64, 64, 3)
    assert set(np.bincount(data.y_train)) == {80}
    assert set(np.bincount(data.y_test)) == {20}
    assert not np.array_equal(data.y_train, np.sort(data.y_train))
    assert data.x_train.std() > 40


def test_photographs_keep_their_class_and_their_looks():
    """Every picture is a shrunk copy of some file in the folder of its class."""
    data = load(DATA / "flower_photos", size=16)
    files = sorted((DATA / "flower_photos" / "tulips").iterdir())
    shrunk = np.stack(
        [np.asarray(Image.open(file).convert("RGB").resize((16, 16), Image.Resampling.BICUBIC)) for file in files]
    )
    tulips = data.x_test[data.y_test == data.class_names.index("tulips")].astype(float)
    nearest = [np.abs(shrunk - image).mean(axis=(1, 2, 3)) for image in tulips]
    assert len(tulips) == 20
    assert max(distances.min() for distances in nearest) < 10
    assert len({distances.argmin() for distances in nearest}) == 20


def test_street_scenes_with_masks(tmp_path):
    (tmp_path / "images").symlink_to(DATA / "camvid_small" / "train")
    (tmp_path / "masks").symlink_to(DATA / "camvid_small" / "trainannot")
    streets = load(tmp_path, size=96)
    assert (len(streets.x_train), len(streets.x_test)) == (128, 32)
    assert streets.masks_train.shape == (128, 96, 96)
    assert set(np.unique(streets.masks_train)) == set(range(12))
    assert streets.boxes_train is None
    # Class 0 is the sky, class 3 the road: one is above, the other below, and the sky is the brighter.
    rows = np.arange(96)[:, None] * np.ones(96, int)
    sky, road = streets.masks_train == 0, streets.masks_train == 3
    assert np.broadcast_to(rows, sky.shape)[sky].mean() < 30 < 60 < np.broadcast_to(rows, road.shape)[road].mean()
    assert streets.x_train[sky].mean() > streets.x_train[road].mean() + 50


def test_the_networks_of_notebook_06_learn_streets():
    """The majority predictor gives every pixel the most frequent class of all."""
    lesson = definitions(segmentation.NAME)
    _, truth = segmentation.frames(DATA / "camvid_small", "test")
    majority = np.full_like(truth, np.bincount(truth.ravel(), minlength=12)[: segmentation.CLASSES].argmax())
    rows = segmentation.streets(lesson, DATA / "camvid_small", seeds=[0], epochs=4)
    found = {row["method"]: float(row["mean IoU"]) for row in rows}
    assert min(found["FCN"], found["U-Net"]) > lesson["mean_iou"](truth, majority, segmentation.CLASSES) + 0.1


def test_notebook_03_runs_on_a_folder_of_photographs():
    execute("03_preprocessing_and_augmentation", DATASET=str(DATA / "flower_photos"))


def test_notebook_05_teaches_on_a_folder_of_real_photographs():
    execute("05_transfer_learning", DATASET=str(DATA / "pavements"))
