"""What the pairs of the audit's tests share: data, and Keras layers that start as PyTorch's do."""

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

N = 213  # samples: batches of 32 leave a short one


def images(seed, side=12, channels=1, classes=4):
    """Return inputs float32 (N, channels, side, side) and labels."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(N, channels, side, side)).astype("float32")
    return x, random.integers(0, classes, N)


def rows(seed, features=20, classes=4):
    """Return inputs float32 (N, features) and labels."""
    random = np.random.default_rng(seed)
    return random.normal(size=(N, features)).astype("float32"), random.integers(0, classes, N)


def words(seed, length=7, vocabulary=30, classes=4):
    """Return inputs int64 (N, length) without zeros at the beginning, and labels."""
    random = np.random.default_rng(seed)
    x = random.integers(0, vocabulary, (N, length))
    return x, random.integers(0, classes, N)


def like_torch(fan_in, bias=True):
    """Return initializers that draw as PyTorch's layers do."""
    bound = fan_in**-0.5
    found = {"kernel_initializer": keras.initializers.RandomUniform(-bound, bound)}
    if bias:
        found["bias_initializer"] = keras.initializers.RandomUniform(-bound, bound)
    return found


def dense(units, fan_in, activation=None, **options):
    """Return a Dense layer that starts as PyTorch's does."""
    return layers.Dense(units, activation, **(like_torch(fan_in) | options))


def conv(filters, kernel, channels, **options):
    """Return a Conv2D layer that starts as PyTorch's does."""
    fan_in = channels * kernel**2 // options.get("groups", 1)
    return layers.Conv2D(filters, kernel, **(like_torch(fan_in) | options))


def channels_last():
    """Return a layer that moves channels to the end."""
    return layers.Permute((2, 3, 1))


def compiled(model, optimizer=None, loss=None, metrics=("accuracy",)):
    """Compile a classifier on logits, by default with SGD."""
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
    )
    return model


def sequential(shape, parts, *options, dtype="float32", **others):
    """Return a compiled Sequential."""
    return compiled(keras.Sequential([keras.Input(shape, dtype=dtype), *parts]), *options, **others)


def sgd(parameters):
    """Return PyTorch's SGD at a rate of 0.1."""
    return torch.optim.SGD(parameters, lr=0.1)


CROSS_ENTROPY = nn.CrossEntropyLoss()
