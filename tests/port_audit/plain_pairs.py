"""Faithful pairs of multilayer perceptrons; options of the Keras side plant a difference."""

import keras
import torch
from keras import layers
from torch import nn

from port_audit import KerasSide, TorchSide
from shared_keras.models import optimizers
from shared_keras.models.layers import BatchNorm
from tests.port_audit.parts import CROSS_ENTROPY, compiled, dense, rows, sequential, sgd


def mlp(seed, *, hidden=None, end=None, optimizer=None, loss=None, theirs=None, ours=None):
    """Return a plain perceptron."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

    def port():
        first = hidden() if hidden else [dense(16, 20, "relu")]
        return sequential(
            (20,),
            [*first, dense(4, 16, end)],
            optimizer() if optimizer else None,
            loss() if loss else None,
        )

    x, y = rows(seed)
    theirs = {"loss": CROSS_ENTROPY, "optimizer": sgd, "batch_size": 32} | (theirs or {})
    return TorchSide(original, **theirs), KerasSide(port, **(ours or {})), x, y


def normed(
    seed, *, norm=None, drop=0.3, activation="mish", optimizer=None, second=0.2, theirs=None
):
    """Return a perceptron with batch norm, Mish, dropout and Adam with L2."""

    def original():
        return nn.Sequential(
            nn.Linear(20, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.Mish(),
            nn.Dropout(0.3),
            nn.Linear(16, 12),
            nn.Mish(),
            nn.Dropout(0.2),
            nn.Linear(12, 4),
        )

    def port():
        return sequential(
            (20,),
            [
                dense(16, 20, use_bias=False),
                (norm or BatchNorm)(),
                layers.Activation(activation),
                *([layers.Dropout(drop)] if drop else []),
                dense(12, 16, activation),
                *([layers.Dropout(second)] if second else []),
                dense(4, 12),
            ],
            optimizer() if optimizer else optimizers.Adam(1e-2, l2=1e-3),
        )

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-3)

    x, y = rows(seed)
    theirs = {"loss": CROSS_ENTROPY, "optimizer": adam, "batch_size": 32} | (theirs or {})
    return TorchSide(original, **theirs), KerasSide(port), x, y


class _Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.start, self.norm = nn.Linear(20, 16), nn.LayerNorm(16)
        self.one, self.two, self.end = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, x):
        x = self.start(x)
        x = x + self.two(nn.functional.gelu(self.one(self.norm(x))))
        return self.end(x)


def residual(seed, *, epsilon=1e-5, approximate=False, add=True, decay=0.05, optimizer=None):
    """Return a block as in a transformer: layer norm, GELU, a residual; AdamW."""

    def port():
        inputs = keras.Input((20,))
        x = dense(16, 20)(inputs)
        z = dense(32, 16)(layers.LayerNormalization(epsilon=epsilon)(x))
        z = layers.Activation(lambda z: keras.ops.gelu(z, approximate=approximate))(z)
        z = dense(16, 32)(z)
        x = layers.Add()([x, z]) if add else z
        model = keras.Model(inputs, dense(4, 16)(x))
        return compiled(
            model, optimizer() if optimizer else optimizers.Adam(1e-3, weight_decay=decay)
        )

    def adamw(parameters):
        return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)

    x, y = rows(seed)
    return TorchSide(_Residual, CROSS_ENTROPY, adamw, batch_size=32), KerasSide(port), x, y


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(20, 8), nn.Linear(6, 8)
        self.end = nn.Linear(16, 4)

    def forward(self, a, b):
        joined = torch.cat([torch.relu(self.left(a)), torch.tanh(self.right(b))], 1)
        return self.end(joined)


def two_inputs(seed, *, right="tanh", swap=False, scale=1.0):
    """Return a model with two inputs that are concatenated."""

    def port():
        a, b = keras.Input((20,)), keras.Input((6,))
        z = b if scale == 1 else layers.Rescaling(scale)(b)
        both = [dense(8, 20, "relu")(a), dense(8, 6, right)(z)]
        joined = layers.Concatenate()(both[::-1] if swap else both)
        return compiled(keras.Model([a, b], dense(4, 16)(joined)))

    (a, y), (b, _) = rows(seed), rows(seed + 100, 6)
    return TorchSide(_Two, CROSS_ENTROPY, sgd, batch_size=32), KerasSide(port), (a, b), y


def regression(seed, *, loss=None, rho=0.99, momentum=0.9, l2=1e-3, optimizer=None, delta=1.0):
    """Return a regression with Huber loss and RMSprop."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 2))

    def port():
        return sequential(
            (20,),
            [dense(16, 20, "tanh"), dense(2, 16)],
            optimizer()
            if optimizer
            else optimizers.RMSprop(1e-3, rho=rho, momentum=momentum, l2=l2),
            loss or keras.losses.Huber(delta=delta),
            metrics=(),
        )

    def rmsprop(parameters):
        return torch.optim.RMSprop(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-3)

    x, _ = rows(seed)
    y = x[:, :2] * 2 + x[:, 2:4]
    return TorchSide(original, nn.HuberLoss(), rmsprop, batch_size=32), KerasSide(port), x, y


def binary(seed, *, end=None, logits=True, slope=0.01):
    """Return yes or no, with one logit."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.LeakyReLU(), nn.Linear(16, 1))

    def port():
        leaky = layers.LeakyReLU(negative_slope=slope)
        return sequential(
            (20,),
            [dense(16, 20), leaky, dense(1, 16, end)],
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.BinaryCrossentropy(from_logits=logits),
            metrics=(),
        )

    def momentum(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    x, y = rows(seed, classes=2)
    return (
        TorchSide(original, nn.BCEWithLogitsLoss(), momentum, batch_size=32),
        KerasSide(port),
        x,
        y,
    )


def prelu(seed, *, shared=None, accumulator=0.0):
    """Return a perceptron with PReLU and Adagrad."""

    def original():
        return nn.Sequential(nn.Linear(20, 16), nn.PReLU(16), nn.Linear(16, 4))

    def port():
        slopes = layers.PReLU(
            alpha_initializer=keras.initializers.Constant(0.25), shared_axes=shared
        )
        optimizer = AdagradAsInTorch(0.05, initial_accumulator_value=accumulator, epsilon=1e-10)
        return sequential((20,), [dense(16, 20), slopes, dense(4, 16)], optimizer)

    def adagrad(parameters):
        return torch.optim.Adagrad(parameters, lr=0.05)

    x, y = rows(seed)
    return TorchSide(original, CROSS_ENTROPY, adagrad, batch_size=32), KerasSide(port), x, y


class AdagradAsInTorch(keras.optimizers.Adagrad):
    """PyTorch's: epsilon outside the root."""

    def update_step(self, gradient, variable, learning_rate):
        square = self._accumulators[self._get_variable_index(variable)]
        self.assign_add(square, keras.ops.square(gradient))
        move = gradient / (keras.ops.sqrt(square) + self.epsilon)
        self.assign_sub(variable, keras.ops.cast(learning_rate, variable.dtype) * move)


class _Net(keras.Model):
    """A subclassed model, as many write them."""

    def __init__(self, activation):
        super().__init__()
        self.hidden, self.out = dense(16, 20, activation), dense(4, 16)
        self.drop = layers.Dropout(0.4)

    def call(self, x, training=False):
        return self.out(self.drop(self.hidden(x), training=training))


class _TorchNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(20, 16), nn.Linear(16, 4)

    def forward(self, x):
        return self.fc2(nn.functional.dropout(torch.sigmoid(self.fc1(x)), 0.4, self.training))


def subclassed(seed, *, activation="sigmoid", ours=None):
    """Return subclassed models on both sides."""
    x, y = rows(seed)
    theirs = TorchSide(_TorchNet, nn.functional.cross_entropy, sgd, batch_size=32)
    return theirs, KerasSide(lambda: compiled(_Net(activation)), **(ours or {})), x, y


class _Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.one, self.two = nn.Linear(20, 16), nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.body(x))
        return self.one(x), self.two(x)


def two_heads(seed, *, weights=(1.0, 0.5)):
    """Return a model with two outputs and weighted losses."""

    def port():
        inputs = keras.Input((20,))
        x = dense(16, 20, "relu")(inputs)
        model = keras.Model(inputs, [dense(4, 16)(x), dense(4, 16)(x)])
        each = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), [each, each], loss_weights=list(weights))
        return model

    def loss(outputs, y):
        return CROSS_ENTROPY(outputs[0], y) + 0.5 * CROSS_ENTROPY(outputs[1], y)

    x, y = rows(seed)
    return TorchSide(_Heads, loss, sgd, batch_size=32), KerasSide(port), x, y
