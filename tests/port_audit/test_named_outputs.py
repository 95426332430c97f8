"""Models with several outputs that have names, and losses by name."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from port_audit import KerasSide, TorchSide  # noqa: E402
from tests.port_audit.parts import CROSS_ENTROPY, dense, rows, sgd  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402


class Named(nn.Module):
    """Two heads on a hidden layer."""

    def __init__(self):
        super().__init__()
        self.hidden, self.first, self.second = nn.Linear(20, 16), nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.hidden(x))
        return {"second": self.second(x), "first": self.first(x)}


class InOrder(Named):
    def forward(self, x):
        found = super().forward(x)
        return found["first"], found["second"]


def loss(outputs, targets):
    """Return a sum in which the second counts half."""
    outputs = outputs.values() if isinstance(outputs, dict) else outputs[::-1]
    second, first = outputs
    return CROSS_ENTROPY(first, targets["first"]) + 0.5 * CROSS_ENTROPY(second, targets["second"])


def port(names, second):
    """Return a function that makes a port whose outputs come in an order."""

    def make():
        start = keras.Input((20,))
        hidden = dense(16, 20, "relu")(start)
        heads = {name: dense(4, 16) for name in ("first", "second")}
        model = keras.Model(start, {name: heads[name](hidden) for name in names})
        entropy = keras.losses.SparseCategoricalCrossentropy
        losses = {name: entropy(from_logits=True) for name in names}
        model.compile(
            keras.optimizers.SGD(0.1), losses, loss_weights={"first": 1.0, "second": second}
        )
        return model

    return make


FORTH, BACK = ("first", "second"), ("second", "first")


@pytest.mark.parametrize(
    ("original", "names", "second"),
    [
        (Named, FORTH, 0.5),
        pytest.param(Named, BACK, 0.5, marks=pytest.mark.long),
        pytest.param(InOrder, FORTH, 0.5, marks=pytest.mark.long),
        pytest.param(Named, FORTH, 1.0, marks=pytest.mark.long),
    ],
)
def test_they_are_compared_by_name(original, names, second):
    x, y = rows(0)
    targets = {"first": y, "second": np.roll(y, 1)}
    side = TorchSide(original, loss=loss, optimizer=sgd, batch_size=32)
    report = audited(lambda seed: (side, KerasSide(port(names, second)), x, targets), 0)
    assert [finding.name for finding in report.findings] == ["loss weights"] * (second != 0.5)
    assert report.exit_code == (0 if second == 0.5 else 3), report.not_compared
