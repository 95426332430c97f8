"""The two precisions, compared with scikit-learn's."""

import keras
import numpy as np
import pytest
from sklearn.metrics import precision_score

from shared_keras.models.metrics import MacroPrecision, Precision

pytestmark = pytest.mark.every_backend


@pytest.fixture(scope="module")
def batches():
    """Labels and probabilities in three batches; some classes are never predicted."""
    random = np.random.default_rng(0)
    y = random.integers(0, 10, 300)
    logits = random.normal(size=(300, 10)) + 2 * np.eye(10)[y]
    logits[:, 7:] -= 20
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [(y[i : i + 100], p[i : i + 100].astype(np.float32)) for i in range(0, 300, 100)]


def test_macro_precision(batches):
    metric = MacroPrecision()
    for y, p in batches:
        metric.update_state(y, p)
    y, p = (np.concatenate(column) for column in zip(*batches))
    expected = precision_score(y, p.argmax(1), average="macro", labels=range(10), zero_division=0)
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)
    again = MacroPrecision.from_config(metric.get_config())
    assert again.n_classes == 10 and float(again.result()) == 0


def test_macro_precision_where_some_classes_do_not_occur():
    y, said = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 3, 3])
    metric = MacroPrecision()
    metric.update_state(y, np.eye(10, dtype=np.float32)[said])
    expected = precision_score(y, said, average="macro", zero_division=0)
    assert float(metric.result()) == pytest.approx(expected) == 0.5
    metric.reset_state()
    metric.update_state(y, np.eye(10, dtype=np.float32)[y])
    assert float(metric.result()) == 1


def test_thresholded_precision(batches):
    metric = Precision()
    for y, p in batches:
        metric.update_state(y.reshape(-1, 1), p)
    y, p = (np.concatenate(column) for column in zip(*batches))
    said = p > 0.5
    expected = (said & (np.eye(10)[y] > 0)).sum() / said.sum()
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_why_it_misleads():
    """One confident right answer among a thousand: 1.0 by one metric, not by the other."""
    p = np.full((1000, 10), 0.1, np.float32)
    p[0] = np.eye(10)[3] * 0.9 + 0.01
    y = np.arange(1000) % 10
    y[0] = 3
    scores = []
    for metric in (Precision(), MacroPrecision()):
        metric.update_state(y, p)
        scores.append(float(metric.result()))
    assert scores[0] == 1.0
    assert scores[1] < 0.15


def test_in_compile():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10, activation="softmax")])
    metrics = [Precision(name="precision"), MacroPrecision()]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    history = model.fit(np.eye(4), np.arange(4), verbose=0).history
    assert {"precision", "macro_precision"} < set(history)
