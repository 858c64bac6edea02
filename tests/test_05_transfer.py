"""What notebook 05 teaches, just as students see it: which weights move, where a network looks, its stored results."""

import csv
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression

from helpers import backbone
from helpers.exercises.notebook_05 import findings
from notebook_code import definitions
from notebook_rules import ROOT

NAME = "05_transfer_learning"
SIDE = 32


@pytest.fixture(scope="module")
def lesson() -> dict:
    return definitions(NAME)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (12, SIDE, SIDE, 3)).astype(np.float32)


LABELS = np.arange(12) % 3


def headed(base, **mode) -> keras.Model:
    inputs = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(base(inputs, **mode))
    return keras.Model(inputs, layers.Dense(3, name="head")(pooled))


def compiled(model) -> keras.Model:
    model.compile(keras.optimizers.Adam(1e-5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


# Feature extraction


def test_the_head_of_a_probe_is_logistic_regression(lesson):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    vectors = rng.normal(size=(60, 5)) * (1, 10, 0.1, 3, 1) + labels[:, None]
    kernel, bias = lesson["probe_head"](vectors, labels)
    scaled = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-3)
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(scaled, labels).decision_function(scaled)
    assert np.allclose(vectors @ kernel + bias, expected, atol=1e-6)


def test_neighbours_are_those_at_the_smallest_angle(lesson):
    vectors = np.array([[1.0, 0], [0, 3], [-2, 0], [5, 5]])
    assert lesson["nearest"](np.array([[0.1, 0.11], [-1, 0.1]]), vectors, 2)[:, 0].tolist() == [3, 2]


# Fine-tuning


def test_unfreezing_leaves_batch_normalisation_as_it_is(lesson, images):
    base = backbone.load()
    model = compiled(headed(base))
    stored = base.get_weights()
    lesson["unfreeze"](base)
    compiled(model).train_on_batch(images, LABELS)
    moved = lesson["changed"](base, stored)
    assert moved == [variable.path for variable in base.weights if "kernel" in variable.path]


def museum(images, unfreeze) -> dict:
    """The arguments of a check for each of the seven silent errors, and for what is right."""

    def case(model, base, predict=None, fed=images, stated=None):
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        answer = predict or (lambda x: np.asarray(model(x, training=False)).argmax(axis=1))
        return model, base, answer, fed, LABELS, trainable if stated is None else stated

    def spread(x):
        """Answers that differ, whatever the random head says."""
        return np.arange(len(x)) % 3

    cases = {}
    base = backbone.load()
    unfreeze(base)
    model = compiled(headed(base))
    cases["right"] = case(model, base, spread)
    cases["count"] = case(model, base, spread, stated=1_371_866)
    cases["spread"] = case(model, base, lambda x: np.zeros(len(x), int))
    cases["range"] = case(model, base, spread, fed=images / 255)

    base = backbone.load()
    model = compiled(headed(base))
    cases["frozen"] = case(model, base, spread)
    other = backbone.load()
    unfreeze(other)
    cases["object"] = case(model, other, spread)

    base = backbone.load()
    model = compiled(headed(base))
    model.train_on_batch(images, LABELS)
    unfreeze(base)
    cases["recompile"] = case(model, base, spread)

    base = backbone.load()
    model = compiled(headed(base))
    model.fit(images, LABELS, verbose=0)
    unfreeze(base)
    cases["recompile, after fit"] = case(model, base, spread)

    base = backbone.load(trainable=True)
    model = compiled(headed(base, training=False))
    cases["statistics"] = case(model, base, spread)
    return cases


def test_the_reference_finds_each_error_on_the_real_backbone_and_no_other(lesson, images):
    for error, arguments in museum(images, lesson["unfreeze"]).items():
        assert set(findings(*arguments)) == (set() if error == "right" else {error.split(",")[0]}), error


# What it looks at


@pytest.fixture(scope="module")
def forms() -> dict:
    """The same weights as a flat graph, nested in a functional model, in a Sequential, and nested twice."""
    keras.utils.set_random_seed(0)
    base = backbone.load()
    nested = headed(base)
    head, pool = nested.get_layer("head"), layers.GlobalAveragePooling2D()
    inputs = keras.Input((None, None, 3))
    return {
        "functional": nested,
        "flat": keras.Model(base.inputs[0], head(pool(base.outputs[0]))),
        "Sequential": keras.Sequential([keras.Input((None, None, 3)), base, pool, head]),
        "twice": keras.Model(inputs, nested(inputs)),
    }


def test_grad_cam_is_the_same_for_every_form_of_model(lesson, forms, images):
    maps = {form: lesson["grad_cam"](model, images[:3], [0, 1, 2], "stage3_block1") for form, model in forms.items()}
    assert maps["flat"].shape == (3, 4, 4) and maps["flat"].min() >= 0 and maps["flat"].max() > 0
    for form, found in maps.items():
        assert np.allclose(found, maps["flat"], atol=1e-6), form


def test_grad_cam_behind_an_average_is_the_weighted_sum_of_the_maps(lesson, forms, images):
    """Zhou et al. 2016: the gradient of a score with respect to every place is the head's weight over their number."""
    model = forms["flat"]
    maps = np.asarray(backbone.load()(images[:3], training=False))
    kernel = np.asarray(model.get_layer("head").kernel)
    expected = np.maximum(np.einsum("nijk,kn->nij", maps, kernel[:, [2, 0, 1]]), 0) / 16
    assert np.allclose(lesson["grad_cam"](model, images[:3], [2, 0, 1], "stage3_block1"), expected, atol=1e-5)


def test_with_maps_leaves_the_scores_as_they_are(lesson, forms, images):
    for form, model in forms.items():
        maps, scores = lesson["with_maps"](model, "stage1_block1")(images, training=False)
        assert maps.shape == (12, 16, 16, 48), form
        assert np.allclose(scores, model(images, training=False), atol=1e-5), form


def test_occlusion_falls_where_the_score_comes_from(lesson):
    """A score that is the brightness of one place: only a patch over it lowers the score, by what it hides."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Flatten()(inputs[:, 2:3, 5:6, :1]))
    image = np.zeros((8, 8, 3), np.float32)
    image[2, 5] = 64
    falls = lesson["occlusion"](model, image, 0, 2, 2)
    expected = np.zeros((4, 4))
    expected[1, 2] = 64 - image.mean()
    assert np.allclose(falls, expected)


def test_the_guided_copy_computes_the_same_and_passes_only_what_is_positive(lesson):
    inputs = keras.Input((1, 1, 2))
    outputs = layers.Dense(1, use_bias=False)(layers.ReLU(name="relu")(inputs))
    model = keras.Model(inputs, outputs)
    model.layers[-1].set_weights([np.array([[1.0], [-1.0]])])
    twin = lesson["guided_copy"](model)
    x = tf.constant([[[[2.0, 3.0]]], [[[-2.0, 3.0]]]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ordinary, guided = model(x), twin(x)
    assert np.allclose(ordinary, guided)
    assert np.asarray(tape.gradient(ordinary, x)).ravel().tolist() == [1, -1, 0, -1]
    assert np.asarray(tape.gradient(guided, x)).ravel().tolist() == [1, 0, 0, 0]


# The stored results


def test_the_map_is_complete_and_says_what_the_text_says():
    with (ROOT / "data" / "results" / "transfer_map.csv").open(encoding="utf-8") as file:
        assert file.readline().startswith("# 20")
        rows = list(csv.DictReader(file))
    cells = Counter((row["target"], row["each"], row["method"]) for row in rows)
    assert len(cells) == 4 * 3 * 3 and set(cells.values()) == {3}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)
