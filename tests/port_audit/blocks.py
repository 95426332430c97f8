"""Pairs with layers of which the audit knows no kind: taken as one piece, or left out by name."""

import keras
import torch
from keras import layers, ops
from torch import nn

from port_audit import KerasSide, TorchSide
from tests.port_audit import parts


def _pair(original, model, data=parts.rows, loss=None, their_loss=parts.CROSS_ENTROPY, **more):
    def pair(seed):
        x, y = data(seed)

        def port():
            return parts.compiled(model(), None, loss, ())

        theirs = TorchSide(original, their_loss, parts.sgd, batch_size=32)
        return theirs, KerasSide(port), x, y

    return pair


def _functional(shape, between, dtype="float32"):
    def model():
        inputs = keras.Input(shape, dtype=dtype)
        return keras.Model(inputs, between(inputs))

    return model


def normed_weights():
    """Return a weight-normalized layer."""
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(20, 16)), nn.ReLU(), nn.Linear(16, 4)
    )


def old_normed_weights():
    """Return a weight-normalized layer in PyTorch's old way, by a hook."""
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(20, 16)), nn.ReLU(), nn.Linear(16, 4))


def plain_port(inputs):
    """Return a perceptron."""
    return parts.dense(4, 16)(parts.dense(16, 20, "relu")(inputs))


class Shifted(nn.Module):
    """A bare parameter between two layers."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(20, 16), nn.Linear(16, 4)
        self.scale, self.shift = nn.Parameter(torch.ones(16)), nn.Parameter(torch.zeros(16))

    def forward(self, x):
        return self.two(torch.relu(self.one(x)) * self.scale + self.shift)


class Shift(layers.Layer):
    """What stands for the bare parameters."""

    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight((shape[-1],), "ones", name="scale")
        self.shift = self.add_weight((shape[-1],), "zeros", name="shift")

    def call(self, x):
        return x * self.scale * self.factor + self.shift


def shifted_port(factor=1.0):
    """Return its port."""
    return lambda x: parts.dense(4, 16)(Shift(factor)(parts.dense(16, 20, "relu")(x)))


class Attending(nn.Module):
    """Self-attention between two layers."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.end = nn.Linear(8, 4)

    def forward(self, x):
        x = self.words(x)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.end(x.mean(1))


def attending_port(heads=2):
    """Return its port."""

    def between(inputs):
        x = layers.Embedding(30, 8, keras.initializers.RandomNormal(stddev=1.0))(inputs)
        x = x + layers.MultiHeadAttention(heads, 8 // heads)(x, x)
        return parts.dense(4, 8)(ops.mean(x, 1))

    return between


class Encoding(nn.Module):
    """A block of a transformer."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.end = nn.Linear(8, 4)

    def forward(self, x):
        return self.end(self.block(self.words(x)).mean(1))


def encoding_port(inputs):
    """Return its port."""
    x = layers.Embedding(30, 8, keras.initializers.RandomNormal(stddev=1.0))(inputs)
    x = layers.LayerNormalization(epsilon=1e-5)(x + layers.MultiHeadAttention(2, 4)(x, x))
    z = parts.dense(8, 16)(parts.dense(16, 8, "relu")(x))
    x = layers.LayerNormalization(epsilon=1e-5)(x + z)
    return parts.dense(4, 8)(ops.mean(x, 1))


class Recurrent(nn.Module):
    """A plain recurrent layer."""

    def __init__(self, make):
        super().__init__()
        self.words, self.rnn = nn.Embedding(30, 8), make()
        self.end = nn.Linear(getattr(self.rnn, "proj_size", 0) or 6, 4)

    def forward(self, x):
        return self.end(self.rnn(self.words(x))[0][:, -1])


def recurrent_port(layer, units=6):
    """Return its port."""

    def between(inputs):
        x = layers.Embedding(30, 8, keras.initializers.RandomNormal(stddev=1.0))(inputs)
        return parts.dense(4, units)(layer()(x))

    return between


def _simple():
    return layers.SimpleRNN(
        6,
        kernel_initializer=parts.like_torch(6)["kernel_initializer"],
        recurrent_initializer=parts.like_torch(6)["kernel_initializer"],
        use_bias=False,
    )


class InPlace(nn.Module):
    """Changes its input in place."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(20, 16), nn.Linear(16, 4)

    def forward(self, x):
        x.mul_(0.5)
        return self.two(torch.relu(self.one(x)))


def in_place_port(inputs):
    """Return its port."""
    return plain_port(layers.Rescaling(0.5)(inputs))


def instance_norm():
    """Return a network with an instance norm."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(600, 4),
    )


def instance_norm_port(inputs):
    """Return its port: as many groups as channels."""
    x = parts.conv(6, 3, 1)(parts.channels_last()(inputs))
    x = layers.ReLU()(layers.GroupNormalization(-1, epsilon=1e-5)(x))
    return parts.dense(4, 600)(layers.Flatten()(x))


def counts(seed):
    """Return inputs and counts."""
    x, y = parts.rows(seed)
    return x, abs(x[:, :1]).round() + y[:, None].astype("float32")


def rate():
    """Return a network that puts out a positive rate."""
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softplus())


def rate_port(inputs):
    """Return its port."""
    return parts.dense(1, 16, "softplus")(parts.dense(16, 20, "relu")(inputs))


def rows(*units):
    """Return functional models by what lies between input and output."""
    return _functional((20,), *units)


def sentences(*units):
    """Return functional models of words."""
    return _functional((7,), *units, dtype="int32")


FAITHFUL = {
    "instance norm": _pair(
        instance_norm, _functional((1, 12, 12), instance_norm_port), parts.images
    ),
    "in place": _pair(InPlace, rows(in_place_port)),
    "Poisson": _pair(
        rate,
        rows(rate_port),
        counts,
        keras.losses.Poisson(),
        nn.PoissonNLLLoss(log_input=False, eps=1e-7),
    ),
    "bare parameters": _pair(Shifted, rows(shifted_port())),
    "plain recurrent": _pair(
        lambda: Recurrent(lambda: nn.RNN(8, 6, batch_first=True, bias=False)),
        sentences(recurrent_port(_simple)),
        parts.words,
    ),
}
DIFFERENT = {
    "another scale behind bare parameters": (
        _pair(Shifted, rows(shifted_port(2.0))),
        {"scale"},
    ),
    "attention": (_pair(Attending, sentences(attending_port()), parts.words), {"initial values"}),
    "encoder": (_pair(Encoding, sentences(encoding_port), parts.words), {"initial values"}),
    "another number of heads": (
        _pair(Attending, sentences(attending_port(4)), parts.words),
        {"unexplained"},
    ),
    "weight norm": (_pair(normed_weights, rows(plain_port)), {"parametrization"}),
    "weight norm by a hook": (_pair(old_normed_weights, rows(plain_port)), {"parametrization"}),
    "LSTM with a projection": (
        _pair(
            lambda: Recurrent(lambda: nn.LSTM(8, 6, batch_first=True, proj_size=3)),
            sentences(recurrent_port(lambda: layers.LSTM(3), 3)),
            parts.words,
        ),
        {"parameters"},
    ),
}
