"""Which samples an audit looks at."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from keras import layers  # noqa: E402
from torch import nn  # noqa: E402

from port_audit import (  # noqa: E402
    KerasSide,
    TorchSide,
    compare,
    samples,
)
from tests.port_audit.parts import dense  # noqa: E402

NUMBERS = np.arange(1000)


def test_inputs_and_targets_stay_together():
    x = {"one": NUMBERS, "several": (NUMBERS[:, None] + [0, 1], NUMBERS)}
    x, y = samples.mixed(x, NUMBERS)
    assert sorted(y) == list(NUMBERS) and not np.array_equal(y, NUMBERS)
    np.testing.assert_array_equal(x["one"], y)
    np.testing.assert_array_equal(x["several"][0], y[:, None] + [0, 1])


class Mean(nn.Module):
    """The mean of the words that are there, zero being none."""

    def __init__(self):
        super().__init__()
        self.words, self.end = nn.Embedding(30, 6), nn.Linear(6, 3)

    def forward(self, x):
        there = (x != 0).unsqueeze(-1).float()
        return self.end((self.words(x) * there).sum(1) / there.sum(1))


@pytest.mark.parametrize("mask", [pytest.param(True, marks=pytest.mark.long), False])
def test_what_only_the_last_samples_show_is_seen_in_the_outputs(mask):
    """Here texts are sorted by their length, and the first half has no padding."""
    random = np.random.default_rng(0)
    x = random.integers(1, 30, (400, 8))
    x[200:, 4:] = 0

    def port():
        start = keras.initializers.RandomNormal(stddev=1.0)
        words = layers.Embedding(30, 6, embeddings_initializer=start, mask_zero=mask)
        mean, last = layers.GlobalAveragePooling1D(), dense(3, 6, name="last")
        return keras.Sequential([keras.Input((8,)), words, mean, last])

    report = compare(TorchSide(Mean), KerasSide(port), x, random.integers(0, 3, 400))
    places = [finding.where for finding in report.findings]
    assert places == ([] if mask else ["before end / last"])
