"""Scores, checked against their definitions."""

import math

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shared_keras.results.scores import entropy, predict_outputs, predict_probabilities, score

CLASSES = ("a", "b", "c")
labels = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@given(labels)
def test_scores_are_what_they_are_called(pairs):
    y, predicted = (np.array(column) for column in zip(*pairs))
    probabilities = np.eye(3)[predicted] * 0.7 + 0.1
    scores = score(probabilities, y, CLASSES)
    n, correct = len(y), int((y == predicted).sum())
    assert (scores.n, scores.accuracy) == (n, correct / n)
    z, p = stats.norm.ppf(0.975), correct / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert scores.accuracy_low == pytest.approx(centre - half, abs=1e-9)
    assert scores.accuracy_high == pytest.approx(centre + half, abs=1e-9)
    assert scores.loss == pytest.approx(
        -(correct * math.log(0.8) + (n - correct) * math.log(0.1)) / n
    )
    known = [row for row in scores.classes if row["f1"] is not None]
    assert {row["class"] for row in known} == {CLASSES[i] for i in y}
    for label, row in enumerate(scores.classes):
        if row not in known:
            assert row["precision"] is row["recall"] is None and row["support"] == 0
            continue
        hits = int(((y == label) & (predicted == label)).sum())
        said, true = int((predicted == label).sum()), int((y == label).sum())
        assert row["class"] == CLASSES[label] and row["support"] == true
        assert row["precision"] == pytest.approx(hits / said if said else 0)
        assert row["recall"] == pytest.approx(hits / true if true else 0)
        assert row["f1"] == pytest.approx(2 * hits / (said + true) if said + true else 0)
        for other in range(3):
            expected = int(((y == label) & (predicted == other)).sum())
            assert scores.confusion[label][other] == expected
    assert scores.macro["recall"] == pytest.approx(np.mean([row["recall"] for row in known]))


def test_a_class_without_images_is_not_measured_even_if_it_is_predicted():
    y = np.array([0, 2, 2, 2])
    scores = score(np.eye(3)[y], y, CLASSES)
    assert scores.macro == {"precision": 1, "recall": 1, "f1": 1}
    scores = score(np.eye(3)[[0, 2, 2, 1]], y, CLASSES)
    assert scores.macro["recall"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.classes[1]["precision"] is None and scores.confusion[2][1] == 1


def test_entropy():
    rows = np.array([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]])
    np.testing.assert_allclose(entropy(rows), [0, math.log(3), math.log(2)], atol=1e-12)


class Echo:
    """A model whose outputs are its inputs."""

    def predict_on_batch(self, x):
        return x


def test_logits_are_normalised_and_probabilities_are_kept():
    logits = np.random.default_rng(0).normal(size=(2500, 10)).astype(np.float32)
    exponentials = np.exp(logits.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict_probabilities(Echo(), logits), expected, atol=1e-7)
    kept = predict_probabilities(Echo(), expected.astype(np.float32))
    np.testing.assert_allclose(kept, expected, atol=1e-7)
    rounded = expected.astype(ml_dtypes.bfloat16)
    np.testing.assert_allclose(predict_probabilities(Echo(), rounded), expected, atol=0.01)


@pytest.mark.parametrize(("convolves", "batch"), [(False, 1000), (True, 100)])
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="for JAX")
def test_a_model_that_moves_images_is_one_program(monkeypatch, convolves, batch):
    """Keras would run it layer by layer; weights that have changed count."""
    import jax

    seen = []
    call = keras.layers.Dense.call
    monkeypatch.setattr(
        keras.layers.Dense, "call", lambda self, x, **given: (seen.append(x), call(self, x))[1]
    )
    between = [keras.layers.Conv2D(2, 2)] * convolves
    layers = [keras.layers.RandomFlip(), *between, keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    x = np.random.default_rng(0).normal(size=(2 * batch + 50, 4, 4, 1)).astype(np.float32)
    seen.clear()
    before = predict_outputs(model, x)
    assert all(isinstance(each, jax.core.Tracer) for each in seen)
    assert [len(each) for each in seen] == [batch, 50]
    model.layers[-1].kernel.assign(2 * model.layers[-1].kernel)
    np.testing.assert_allclose(predict_outputs(model, x), 2 * before, rtol=1e-5)
    assert len(seen) == 2
