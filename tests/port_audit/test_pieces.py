"""Code that one side writes itself, for a layer that is the other side's library's."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from keras import layers, ops  # noqa: E402
from torch import nn  # noqa: E402

from port_audit import KerasSide, TorchSide, compare  # noqa: E402
from port_audit.pair import Pair  # noqa: E402
from tests.port_audit.parts import (  # noqa: E402
    CROSS_ENTROPY,
    compiled,
    conv,
    dense,
    like_torch,
    sequential,
    sgd,
)
from tests.shares import dealt  # noqa: E402

EPS = 1e-5


class OwnDense(layers.Layer):
    """A Dense layer that somebody wrote."""

    def __init__(self, units, turned=False, **options):
        super().__init__(**options)
        self.units, self.turned = units, turned

    def build(self, shape):
        shapes = shape[-1], self.units
        start = like_torch(shape[-1])["kernel_initializer"]
        self.offset = self.add_weight(shape=(self.units,), initializer=start)
        self.matrix = self.add_weight(
            shape=shapes[::-1] if self.turned else shapes, initializer=start
        )

    def call(self, x):
        return x @ (ops.transpose(self.matrix) if self.turned else self.matrix) + self.offset


class OwnConv(layers.Layer):
    """A 3x3 convolution that pads with zeros."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters

    def build(self, shape):
        start = like_torch(9 * shape[-1])["kernel_initializer"]
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], self.filters), initializer=start)
        self.offset = self.add_weight(shape=(self.filters,), initializer=start)

    def call(self, x):
        return ops.conv(ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), self.kernel) + self.offset


class OwnNorm(layers.Layer):
    """A layer norm whose weights come in another order than PyTorch's."""

    def build(self, shape):
        self.offset = self.add_weight(shape=(shape[-1],), initializer="zeros")
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        centred = x - ops.mean(x, -1, keepdims=True)
        spread = ops.sqrt(ops.mean(centred**2, -1, keepdims=True) + EPS)
        return centred / spread * self.scale + self.offset


class Scaled(layers.Dense):
    """A Dense layer with a weight more."""

    def build(self, shape):
        super().build(shape)
        self.factor = self.add_weight(shape=(self.units,), initializer="ones")

    def call(self, x):
        return super().call(x) * self.factor


class TorchDense(nn.Module):
    """The same in PyTorch."""

    def __init__(self, fan_in, units):
        super().__init__()
        bound = fan_in**-0.5
        self.w = nn.Parameter(torch.empty(units, fan_in).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(units).uniform_(-bound, bound))

    def forward(self, x):
        return nn.functional.linear(x, self.w, self.b)


class TorchNorm(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.scale, self.offset = (
            nn.Parameter(torch.ones(features)),
            nn.Parameter(torch.zeros(features)),
        )

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + EPS).sqrt()
        return centred / spread * self.scale + self.offset


class TorchLSTM(nn.Module):
    """An LSTM with one bias; the last state."""

    def __init__(self, features, units):
        super().__init__()
        self.units = units
        self.w = nn.Parameter(0.2 * torch.randn(4 * units, features))
        self.r = nn.Parameter(0.2 * torch.randn(4 * units, units))
        self.b = nn.Parameter(torch.zeros(4 * units))

    def forward(self, x):
        h = c = torch.zeros(len(x), self.units)
        for now in x.unbind(1):
            i, f, g, o = (now @ self.w.T + h @ self.r.T + self.b).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h


class LowRank(nn.Module):
    """A frozen Linear, and a product of two thin matrices that is trained beside it."""

    def __init__(self, fan_in, units, rank):
        super().__init__()
        self.base = nn.Linear(fan_in, units)
        self.base.weight.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(fan_in, rank).uniform_(-1, 1))
        self.b = nn.Parameter(torch.zeros(rank, units))

    def forward(self, x):
        return self.base(x) + x @ self.a @ self.b


def lstm():
    draw = keras.initializers.RandomNormal
    return layers.LSTM(
        6,
        kernel_initializer=draw(0, 0.2),
        recurrent_initializer=draw(0, 0.2),
        unit_forget_bias=False,
    )


def lora():
    model = sequential((8,), [dense(6, 8), layers.ReLU(), dense(3, 6)])
    model.layers[0].enable_lora(2, a_initializer=keras.initializers.RandomUniform(-1, 1))
    return compiled(model)


def stack(*parts):
    """Return a function that makes a PyTorch model."""
    return lambda: nn.Sequential(*(part() for part in parts))


def keras_stack(shape, *parts):
    """Return a function that makes a Keras model."""
    return lambda: sequential(shape, [part() for part in parts])


def linear(fan_in, units):
    return lambda: nn.Linear(fan_in, units)


def own(units, turned=False):
    return lambda: OwnDense(units, turned)


def usual(units, fan_in):
    return lambda: dense(units, fan_in)


def maps(*parts):
    """Return a PyTorch model of a convolution, and a port of it."""
    original = stack(lambda: nn.Conv2d(2, 4, 3, padding=1), nn.ReLU, nn.Flatten, linear(64, 3))
    first, last = parts
    port = keras_stack((4, 4, 2), first, layers.ReLU, layers.Flatten, last)
    return original, port, (2, 4, 4)


def convolution():
    return conv(4, 3, 2, padding="same")


THREE = stack(linear(8, 8), nn.ReLU, linear(8, 8), nn.ReLU, linear(8, 3))
NORMED = stack(linear(8, 8), lambda: nn.LayerNorm(8), nn.ReLU, linear(8, 3))
OWN_NORM = stack(linear(8, 8), lambda: TorchNorm(8), nn.ReLU, linear(8, 3))


def layer_norm():
    return layers.LayerNormalization(epsilon=EPS)


def three(*parts):
    one, two, three = parts
    return keras_stack((8,), one, layers.ReLU, two, layers.ReLU, three)


def normed(norm):
    return keras_stack((8,), usual(8, 8), norm, layers.ReLU, usual(3, 8))


FAITHFUL = {
    "the first of two alike": (THREE, three(own(8), usual(8, 8), usual(3, 8)), (8,)),
    "the second": (THREE, three(usual(8, 8), own(8, True), usual(3, 8)), (8,)),
    "all": (THREE, three(own(8, True), own(8, True), own(3)), (8,)),
    "in the original": (
        stack(lambda: TorchDense(8, 8), nn.ReLU, lambda: TorchDense(8, 8), nn.ReLU, linear(8, 3)),
        three(usual(8, 8), usual(8, 8), usual(3, 8)),
        (8,),
    ),
    "a norm": (NORMED, normed(OwnNorm), (8,)),
    "a norm of the original": (OWN_NORM, normed(layer_norm), (8,)),
    "a norm of both": (OWN_NORM, normed(OwnNorm), (8,)),
    "a convolution": maps(lambda: OwnConv(4), usual(3, 64)),
    "behind flattened maps": maps(convolution, own(3)),
    "both": maps(lambda: OwnConv(4), own(3)),
    "an LSTM": (
        stack(lambda: TorchLSTM(4, 6), linear(6, 3)),
        keras_stack((5, 4), lstm, usual(3, 6)),
        (5, 4),
    ),
    "a dozen, through which rounding grows": (
        stack(*[linear(8, 8), nn.Tanh] * 12, linear(8, 3)),
        keras_stack((8,), *[own(8), lambda: layers.Activation("tanh")] * 12, own(3)),
        (8,),
    ),
    "LoRA": (stack(lambda: LowRank(8, 6, 2), nn.ReLU, linear(6, 3)), lora, (8,)),
}


def sides(original, port, shape, **training):
    """Return both sides, inputs and labels; maps go to the port with channels last."""
    random = np.random.default_rng(0)
    x = random.normal(size=(100, *shape)).astype("float32")
    last = (lambda x: np.moveaxis(x, 1, -1)) if len(shape) == 3 else None
    return (
        TorchSide(original, **training),
        KerasSide(port, preprocess=last),
        x,
        random.integers(0, 3, 100),
    )


@pytest.mark.every_backend
@pytest.mark.parametrize("name", dealt(FAITHFUL, ["both", "an LSTM"]))
def test_it_is_compared_as_one_piece(name):
    """Each weight gets the values of what it stands for, so that both sides put out the same."""
    pair = Pair(*sides(*FAITHFUL[name]))
    try:
        assert not pair.unknown and not pair.without_layer()
        (ours,), theirs = pair.forced.outputs, pair.trace.output.numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    finally:
        pair.close()


TRAINING = {"loss": CROSS_ENTROPY, "optimizer": sgd, "batch_size": 32}


@pytest.mark.long
@pytest.mark.parametrize("name", FAITHFUL)
def test_a_faithful_port_is_not_accused(name):
    report = compare(*sides(*FAITHFUL[name], **TRAINING))
    assert (report.exit_code, report.findings) == (0, ())


def frozen():
    model = stack(linear(8, 8), nn.ReLU, linear(8, 3))()
    model[0].requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("original", "port", "names"),
    [
        (
            stack(linear(8, 6), nn.ReLU, linear(6, 3)),
            keras_stack((8,), lambda: Scaled(6, **like_torch(8)), layers.ReLU, usual(3, 6)),
            {"parameters"},
        ),
        pytest.param(
            frozen,
            keras_stack((8,), own(8), layers.ReLU, usual(3, 8)),
            {"frozen"},
            marks=pytest.mark.long,
        ),
        pytest.param(
            OWN_NORM,
            normed(lambda: layers.LayerNormalization(epsilon=1e-2)),
            {"unexplained"},
            marks=pytest.mark.long,
        ),
        pytest.param(
            stack(linear(8, 8), nn.ReLU, linear(8, 3)),
            keras_stack((8,), own(8), usual(3, 8)),
            {"activation"},
            marks=pytest.mark.long,
        ),
    ],
    ids=["a weight more", "frozen", "epsilon", "activation"],
)
def test_what_differs_in_it_is_found(original, port, names):
    report = compare(*sides(original, port, (8,), **TRAINING))
    assert report.exit_code == 3 and {each.name for each in report.findings} == names
