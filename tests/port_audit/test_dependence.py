"""Initial values that depend on each other, while each for itself has the right distribution."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from keras import initializers, layers  # noqa: E402
from torch import nn  # noqa: E402

from port_audit import KerasSide, TorchSide  # noqa: E402
from tests.port_audit.parts import like_torch  # noqa: E402
from tests.port_audit.test_audit import audited  # noqa: E402


def uniform():
    return like_torch(32)["kernel_initializer"]


def orthogonal():
    network = nn.Sequential(nn.Linear(32, 32, bias=False), nn.ReLU())
    nn.init.orthogonal_(network[0].weight)
    return network


def plain():
    parts = [nn.Linear(32, 32, bias=False), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(32, 32, bias=False))


def report_on(original, starts):
    def port():
        made = starts()
        first, *others = (layers.Dense(32, use_bias=False, kernel_initializer=i) for i in made)
        return keras.Sequential([keras.Input((32,)), first, layers.ReLU(), *others])

    x = np.random.default_rng(0).normal(size=(64, 32)).astype("float32")
    pair = TorchSide(original), KerasSide(port), x, np.zeros(64, "int32")
    return audited(lambda seed: pair, 0)


def shared():
    return [uniform()] * 2


@pytest.mark.parametrize(
    ("original", "starts", "said"),
    [
        (orthogonal, lambda: [initializers.RandomNormal(stddev=32**-0.5)], "not orthogonal"),
        (plain, shared, "both start with the same values"),
    ],
    ids=["orthogonal", "shared"],
)
def test_it_is_named(original, starts, said):
    (finding,) = report_on(original, starts).findings
    assert finding.name == "initial values" and said in finding.cause


@pytest.mark.parametrize(
    ("original", "starts"),
    [(orthogonal, lambda: [initializers.Orthogonal()]), (plain, lambda: [uniform(), uniform()])],
    ids=["orthogonal", "each its own"],
)
def test_the_same_start_is_quiet(original, starts):
    assert report_on(original, starts).exit_code == 0
