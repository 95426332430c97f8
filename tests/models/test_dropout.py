"""Dropout is dropout: the right fraction, independent, new in each step, off in evaluation."""

import keras
import numpy as np
import pytest
from scipy import stats

from shared_keras import training
from shared_keras.models import layers

pytestmark = pytest.mark.every_backend
RATES = [0.1, 0.25, 0.3206, 0.5]


def masks(rate, shape=(1001, 200), steps=2, seed=1):
    """Return which of many ones are kept, bool (steps, *shape)."""
    training.seed_layers(seed)
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(seed)
    layer = layers.Dropout(rate)
    x = np.ones(shape, "float32")
    outputs = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(steps)]
    kept = np.stack(outputs) > 0
    np.testing.assert_allclose(np.stack(outputs)[kept], 1 / (1 - rate), rtol=1e-4)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, training=False)), x)
    return kept


@pytest.mark.parametrize("rate", RATES)
def test_share(rate):
    kept = masks(rate)
    assert stats.binomtest(int(kept.sum()), kept.size, 1 - rate).pvalue > 1e-4


def same_or_not(first, second):
    """Test whether two masks are independent; return the p-value."""
    table = [[np.sum((first == a) & (second == b)) for b in (0, 1)] for a in (0, 1)]
    return stats.chi2_contingency(table).pvalue


def test_independent():
    """Of neighbours, of earlier steps, and of a layer with a similar seed."""
    first, second, third = masks(0.3, steps=3)
    one, two = (layers.Dropout(0.3, seed=seed) for seed in (1, 2))
    ones = np.ones(first.shape, "float32")
    pairs = [
        (first[:-1], first[1:]),
        (first[:, :-1], first[:, 1:]),
        (first, second),
        (first, third),
        [keras.ops.convert_to_numpy(layer(ones, training=True)) > 0 for layer in (one, two)],
    ]
    for a, b in pairs:
        assert same_or_not(a, b) > 1e-4
    rows = first.sum(axis=1)  # and the images differ only by chance
    assert 0.8 < rows.var() / (200 * 0.3 * 0.7) < 1.2


def test_seeds():
    np.testing.assert_array_equal(masks(0.3, seed=1), masks(0.3, seed=1))
    assert (masks(0.3, seed=1) != masks(0.3, seed=2)).mean() > 0.3


@pytest.mark.parametrize("shape", [(1, 3), (2, 5), (7, 4, 4, 3)])
def test_shapes(shape):
    assert masks(0.5, shape).shape == (2, *shape)


def test_a_noise_shape_drops_whole_rows():
    layer = layers.Dropout(0.5, noise_shape=(None, 1))
    kept = keras.ops.convert_to_numpy(layer(np.ones((200, 30), "float32"), training=True)) > 0
    assert (kept.all(axis=1) | ~kept.any(axis=1)).all() and 0 < kept.mean() < 1
