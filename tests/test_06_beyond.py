"""What notebook 06 teaches, just as students see it: boxes, masks, decoders, suppression, and its stored results."""

import csv
from collections import Counter

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from notebook_code import definitions
from notebook_rules import ROOT

LESSON = definitions("06_beyond_classification")
LESSON |= {"CELLS": 6, "SIDE": 48}  # computed values, which `definitions` leaves out
iou, nms, mean_iou, conv_transpose = (LESSON[name] for name in ("iou", "nms", "mean_iou", "conv_transpose"))

# Boxes on a grid of whole pixels: (left, top, right, bottom)
SIDES = st.integers(0, 9), st.integers(0, 9), st.integers(0, 6), st.integers(0, 6)
BOXES = st.tuples(*SIDES).map(lambda box: (*box[:2], box[0] + box[2], box[1] + box[3]))


def pixels(box) -> set:
    left, top, right, bottom = box
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


# Boxes


@given(BOXES, BOXES)
def test_iou_is_that_of_the_pixels(a, b):
    union = pixels(a) | pixels(b)
    assert iou(a, b) == pytest.approx(len(pixels(a) & pixels(b)) / len(union) if union else 0)


@given(st.lists(BOXES, min_size=1, max_size=6), st.floats(0.1, 9), st.floats(-5, 5))
def test_iou_does_not_depend_on_order_scale_or_place(boxes, scale, shift):
    a, b = np.array(boxes, float)[:, None], np.array(boxes, float)
    assert np.allclose(iou(a, b), iou(b, a).T)
    moved = (part * scale + shift for part in (a, b))
    assert np.allclose(iou(*moved), iou(a, b), atol=1e-6)
    assert ((iou(a, b) >= 0) & (iou(a, b) <= 1)).all()


def suppressed(boxes, scores, threshold) -> list[int]:
    """By the definition: a box is kept when no kept box of a higher score overlaps it by the threshold."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        own, others = pixels(boxes[index]), [pixels(boxes[k]) for k in kept]
        if all(len(own & other) / len(own | other) < threshold for other in others):
            kept.append(index)
    return kept


FULL = BOXES.map(lambda box: (*box[:2], box[2] + 1, box[3] + 1))


@given(st.lists(FULL, max_size=12), st.sampled_from([0.25, 0.4, 0.7]), st.randoms())
def test_nms_is_what_brute_force_finds(boxes, threshold, random):
    scores = [index / 20 for index in range(len(boxes))]
    random.shuffle(scores)
    assert nms(np.array(boxes).reshape(-1, 4), scores, threshold) == suppressed(boxes, scores, threshold)


def test_nms_of_nothing_is_nothing():
    assert nms(np.zeros((0, 4)), np.zeros(0)) == []


def test_the_grid_gives_back_the_boxes_it_was_made_of():
    boxes = np.array([[[5, 10, 19, 29], [24, 2, 46, 12], [29, 34, 48, 48]]])
    grid = LESSON["as_grid"](boxes, np.array([[2, 0, 5]]))
    assert grid[..., 0].sum() == 3
    said = np.full((*grid.shape[1:3], 5 + 6), -9.0)
    shares = np.clip(grid[0, ..., 1:5], 1e-6, 1 - 1e-6)
    said[..., 1:5] = np.log(shares / (1 - shares))
    there = grid[0, ..., 0] > 0
    said[there, 0] = 9
    said[there, 5 + grid[0][there][:, 5].astype(int)] = 9
    found, scores, labels = LESSON["decode"](said)
    order = np.argsort(found[:, 0])
    assert np.allclose(found[order], boxes[0], atol=5e-3)
    assert labels[order].tolist() == [2, 0, 5] and (scores > 0.99).all()


def test_the_grid_loss_asks_empty_cells_only_whether_they_are_empty():
    rng = np.random.default_rng(0)
    target = LESSON["as_grid"](np.array([[[5, 10, 19, 29]]]), np.array([[3]]))
    answer = rng.normal(size=(1, 6, 6, 11)).astype(np.float32)
    loss = float(LESSON["grid_loss"](target, answer))
    elsewhere = answer.copy()
    elsewhere[target[..., 0] == 0, 1:] += 5
    assert float(LESSON["grid_loss"](target, elsewhere)) == pytest.approx(loss)
    for channel in (0, 2, 8):
        for empty in (True, False):
            changed = answer.copy()
            changed[(target[..., 0] == 0) == empty, channel] += 2
            assert (float(LESSON["grid_loss"](target, changed)) != pytest.approx(loss)) == (channel == 0 or not empty)


# A dense layer is a convolution


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 1, 8), (2, 5, 4)])
def test_the_convolution_computes_what_the_dense_layer_does_at_every_place(shape):
    keras.utils.set_random_seed(0)
    maps = keras.random.normal((2, shape[0] + 2, shape[1] + 1, shape[2]))
    dense = layers.Dense(7, activation="relu")
    dense.build((None, int(np.prod(shape))))
    conv = LESSON["as_convolution"](dense, *shape)
    result = np.asarray(conv(maps))
    assert result.shape == (2, 3, 2, 7)
    for i in range(3):
        for j in range(2):
            window = keras.ops.reshape(maps[:, i : i + shape[0], j : j + shape[1]], (2, -1))
            assert np.allclose(result[:, i, j], dense(window), atol=1e-5)


# Masks


def test_mean_iou_agrees_with_keras_and_leaves_out_what_is_not_there():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, (2, 3, 9, 9))
    metric = keras.metrics.MeanIoU(4)
    metric.update_state(truth, predicted)
    assert mean_iou(truth, predicted, 4) == pytest.approx(float(metric.result()), abs=1e-6)
    assert mean_iou(truth, predicted, 9) == mean_iou(truth, predicted, 4)
    assert mean_iou(np.array([[0, 0, 1, 5]]), np.array([[0, 1, 1, 1]]), 2) == pytest.approx(1 / 2), "5 is not counted"


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_the_transposed_convolution_is_keras_own_and_the_adjoint(stride, side, size, seed):
    """<conv(x), y> = <x, transposed(y)> for all x and y."""
    rng = np.random.default_rng(seed)
    y, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((side, side + 1), (size, size)))
    result = conv_transpose(y, kernel, stride)
    x = rng.normal(size=result.shape).astype(np.float32)
    forward = keras.ops.conv(x[None, ..., None], kernel[..., None, None], strides=stride)
    assert np.sum(np.asarray(forward)[0, ..., 0] * y) == pytest.approx(np.sum(x * result), abs=1e-3)
    if size >= stride:  # else Keras adds a border that no copy reaches
        own = keras.ops.conv_transpose(y[None, ..., None], kernel[..., None, None], strides=stride)
        assert np.allclose(np.asarray(own)[0, ..., 0], result, atol=1e-4)


@pytest.mark.parametrize("size", [32, 48, 96])
def test_both_decoders_give_a_class_to_every_pixel(size):
    encoder = LESSON["new_encoder"]()
    image = np.zeros((1, size, size, 3), np.float32)
    fcn = LESSON["fcn_on"](encoder, 5)(image)
    assert {name: scores.shape for name, scores in fcn.items()} == dict.fromkeys(
        ("stride_8", "stride_4", "stride_2"), (1, size, size, 5)
    )
    assert LESSON["unet_on"](encoder, 5)(image).shape == (1, size, size, 5)


def test_a_frozen_encoder_is_left_alone_by_the_u_net():
    keras.utils.set_random_seed(0)
    encoder = LESSON["new_encoder"]()
    encoder.trainable = False
    unet = LESSON["unet_on"](encoder, 3)
    unet.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [encoder.get_weights(), unet.get_weights()]
    rng = np.random.default_rng(0)
    unet.fit(rng.uniform(0, 255, (8, 32, 32, 3)), rng.integers(0, 3, (8, 32, 32)), verbose=0)
    assert all(map(np.array_equal, encoder.get_weights(), before[0]))
    assert not all(map(np.array_equal, unet.get_weights(), before[1]))


# The stored results


def test_the_table_of_streets_is_complete():
    with (ROOT / "data" / "results" / "streets.csv").open(encoding="utf-8") as file:
        assert file.readline().startswith("# 20")
        rows = list(csv.DictReader(file))
    assert Counter(row["method"] for row in rows) == {"most frequent at the place": 3, "FCN": 3, "U-Net": 3}
    assert all(0 < float(row["mean IoU"]) < 1 for row in rows)
