"""Pairs as strangers write them, that an audit once passed over, accused, or was stopped by."""

import random
from dataclasses import replace

import keras
import numpy as np
import torch
from torch import nn

from port_audit import KerasSide, TorchSide
from tests.port_audit import parts
from tests.port_audit import plain_pairs as plain


def _regression(seed, *, loss=None, squeeze=False, column=False):
    """Return a regression on one number, whose targets are a row unless they are a column."""

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(20, 16), nn.Linear(16, 1)

        def forward(self, x):
            x = self.two(torch.relu(self.one(x)))
            return x.squeeze(-1) if squeeze else x

    def port():
        layers = [parts.dense(16, 20, "relu"), parts.dense(1, 16)]
        return parts.sequential((20,), layers, None, "mse", metrics=())

    x, _ = parts.rows(seed)
    y = np.random.default_rng(seed).normal(size=(len(x), 1) if column else len(x))
    theirs = TorchSide(One, loss or nn.MSELoss(), parts.sgd, batch_size=32)
    return theirs, KerasSide(port), x, y.astype("float32")


def _of_squeezed(outputs, y):
    return nn.functional.mse_loss(outputs.squeeze(-1), y)


def _stepping(clip, every=1):
    """Return a loop that clips, and takes a step of several batches."""
    taken = [0]

    def step(model, batch, optimizer):
        loss = parts.CROSS_ENTROPY(model(batch[0]), batch[1])
        (loss / every).backward()
        taken[0] = (taken[0] + 1) % every
        if taken[0] == 0:
            clip(model.parameters())
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return step


def _norm_of_5(parameters):
    nn.utils.clip_grad_norm_(parameters, 5.0)  # which few batches reach


def _none(parameters):
    pass


def _epoch(model, batches, optimizer):
    for batch in batches:
        _stepping(lambda parameters: nn.utils.clip_grad_value_(parameters, 2.0))(
            model, batch, optimizer
        )


class _Residual(nn.Module):
    """A perceptron with a block that it may skip."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.end = nn.Linear(20, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.taken = 0

    def forward(self, x):
        x = torch.relu(self.one(x))
        return self.end(x + self.block(x))

    def block(self, x):
        return torch.relu(self.two(x))


class _Skipping(_Residual):
    """Now and then leaves its block out, as LayerDrop does, by Python's chance."""

    def block(self, x):
        skips = self.training and random.random() < 1e-3
        return torch.zeros_like(x) if skips else super().block(x)


class _Counting(_Residual):
    """Takes more of its block after many steps."""

    def block(self, x):
        self.taken += self.training
        return super().block(x) * (2 if self.taken > 10_000 else 1)


class _Private(_Residual):
    """As the one that counts, under a name that begins with an underscore."""

    _taken = 0

    def block(self, x):
        self._taken += self.training
        return super().block(x) * (2 if self._taken > 10_000 else 1)


class _Remembering(_Residual):
    """Keeps what its block put out, which changes nothing."""

    def block(self, x):
        self.last = super().block(x)
        return self.last


class _Cut(_Residual):
    """Trains nothing before its block."""

    def forward(self, x):
        with torch.no_grad():
            x = torch.relu(self.one(x))
        return self.end(x + self.block(x))


def _of_residual(cls=_Residual, frozen=False):
    """Return a pair of perceptrons with a residual."""

    def pair(seed, **options):
        def port():
            inputs = keras.Input((20,))
            x = parts.dense(16, 20, "relu", trainable=not frozen)(inputs)
            x = keras.layers.Add()([x, parts.dense(16, 16, "relu")(x)])
            return parts.compiled(keras.Model(inputs, parts.dense(4, 16)(x)))

        x, y = parts.rows(seed)
        options = {"loss": parts.CROSS_ENTROPY, "optimizer": parts.sgd, "batch_size": 32} | options
        return TorchSide(cls, **options), KerasSide(port), x, y

    return pair


def _all_but_the_first(parameters):
    return torch.optim.SGD(list(parameters)[2:], lr=0.1)


def _the_first_at_rate_zero(parameters):
    parameters = list(parameters)
    groups = [{"params": parameters[2:]}, {"params": parameters[:2], "lr": 0.0}]
    return torch.optim.SGD(groups, lr=0.1)


def _masked(seed):
    """Return a bag of words without word 0, which the port takes for padding."""

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.end = nn.Embedding(30, 8), nn.Linear(8, 4)

        def forward(self, x):
            return self.end(self.words(x).mean(1))

    def port():
        words = keras.layers.Embedding(
            30, 8, keras.initializers.RandomNormal(stddev=1.0), mask_zero=True, name="words"
        )
        mean = keras.layers.GlobalAveragePooling1D()
        return parts.sequential((7,), [words, mean, parts.dense(4, 8)], dtype="int32")

    x, y = parts.words(seed)
    theirs = TorchSide(Bag, parts.CROSS_ENTROPY, parts.sgd, batch_size=32)
    return theirs, KerasSide(port), np.maximum(x, 1), y


def _without_class_3(seed, **options):
    theirs, ours, x, y = plain.mlp(seed, **options)
    return theirs, ours, x, y % 3


def _bag(start):
    """Return a pair whose port starts an embedding in its own way, PyTorch's with a table."""

    def pair(seed):
        class Bag(nn.Module):
            def __init__(self):
                super().__init__()
                self.words, self.end = nn.Embedding(30, 8), nn.Linear(8, 4)
                with torch.no_grad():
                    self.words.weight.copy_(torch.from_numpy(_waves(True)))

            def forward(self, x):
                return self.end(self.words(x).mean(1))

        def port():
            words = keras.layers.Embedding(30, 8, embeddings_initializer=start)
            mean = keras.layers.GlobalAveragePooling1D()
            return parts.sequential((7,), [words, mean, parts.dense(4, 8)], dtype="int32")

        x, y = parts.words(seed)
        theirs = TorchSide(Bag, parts.CROSS_ENTROPY, parts.sgd, batch_size=32)
        return theirs, KerasSide(port), x, y

    return pair


def _waves(interleaved):
    """Return a table of sines and cosines, side by side or one half behind the other."""
    angles = np.arange(30.0)[:, None] * np.exp(-0.5 * np.arange(0, 8, 2))
    both = np.sin(angles), np.cos(angles)
    table = np.stack(both, 2).reshape(30, 8) if interleaved else np.concatenate(both, 1)
    return table.astype("float32")


class Dropping(keras.callbacks.Callback):
    """Drops more from epoch to epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.get_layer("dropped").rate = 0.1 + 0.01 * epoch


class _Tied(nn.Module):
    """Words, and the same matrix again behind them, as language models have it."""

    def __init__(self):
        super().__init__()
        self.words, self.end = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
        self.end.weight = self.words.weight

    def forward(self, x):
        return self.end(self.words(x).mean(1))


class Tied(keras.Model):
    """The same, in Keras."""

    def __init__(self):
        super().__init__()
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.words = keras.layers.Embedding(30, 8, embeddings_initializer=normal)

    def call(self, x):
        mean = keras.ops.mean(self.words(x), axis=1)
        return keras.ops.matmul(mean, keras.ops.transpose(self.words.embeddings))


def _tied(seed):
    x, _ = parts.words(seed)
    theirs = TorchSide(_Tied, parts.CROSS_ENTROPY, parts.sgd, batch_size=32)
    return theirs, KerasSide(lambda: parts.compiled(Tied())), x, x[:, 0]


class AlwaysOn(keras.layers.Dropout):
    """Drops in inference, too, as for Monte Carlo estimates."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class ShrinkingLate(keras.callbacks.Callback):
    """Scales all weights down after many epochs."""

    def on_epoch_end(self, epoch, logs=None):
        for variable in self.model.trainable_variables if epoch > 20 else ():
            variable.assign(0.9 * variable)


class Freezing(keras.callbacks.Callback):
    """Freezes the model after some epochs."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch > 3:
            self.model.trainable = False


def _dropping(seed, *, layer=keras.layers.Dropout, **ours):
    """Return a pair with a dropout."""

    def original():
        parts_of = nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4)
        return nn.Sequential(*parts_of)

    hidden = lambda: [parts.dense(16, 20, "relu"), layer(0.1, name="dropped")]  # noqa: E731
    theirs, made, x, y = plain.mlp(seed, hidden=hidden, ours=ours)
    return replace(theirs, model=original), made, x, y


def _in_float64(seed):
    """Return a perceptron of an original that computes in float64."""
    theirs, *rest = plain.mlp(seed)
    made = theirs.model
    wide = replace(theirs, model=lambda: made().double())
    return replace(wide, preprocess=lambda x: torch.from_numpy(x).double()), *rest


def _probabilities(seed):
    """Return a perceptron that ends in a softmax, with a loss that takes what comes of it."""
    return plain.mlp(seed, end="softmax", loss=lambda: keras.losses.SparseCategoricalCrossentropy())


def _late_milestone(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [500])


def _warm_restarts(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, 2)


def _sgd(**options):
    return lambda: keras.optimizers.SGD(0.1, **options)


class _Half(nn.Module):
    """A module of which a forward trains the end only."""

    def __init__(self):
        super().__init__()
        self.start, self.end = nn.Linear(20, 16), nn.Linear(16, 4)

    def forward(self, x):
        with torch.no_grad():
            hidden = self.start(x).relu()
        return self.end(hidden)


def _of_the_forward(model, batch, optimizer):
    return _step(model, batch, optimizer, model)


def _of_both_layers(model, batch, optimizer):
    return _step(model, batch, optimizer, lambda x: model.end(model.start(x).relu()))


def _step(model, batch, optimizer, run):
    optimizer.zero_grad()
    loss = parts.CROSS_ENTROPY(run(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def _half(seed, step):
    def port():
        start = parts.dense(16, 20, "relu")
        start.trainable = False
        return parts.sequential((20,), [start, parts.dense(4, 16)])

    theirs = TorchSide(_Half, parts.CROSS_ENTROPY, parts.sgd, train_step=step, batch_size=32)
    return theirs, KerasSide(port), *parts.rows(seed)


# Pairs, their options, and the causes to be named.
MISSED = {
    "a layer that only a loop trains": (
        _half,
        {"step": _of_both_layers},
        {"frozen", "unexplained"},
    ),
    "targets that are compared each with each": (_regression, {}, {"broadcast"}),
    "clipping in a loop of the original's": (
        plain.mlp,
        {"theirs": {"train_step": _stepping(_norm_of_5)}},
        {"clipping"},
    ),
    "clipping in an epoch of the original's": (
        plain.mlp,
        {"theirs": {"train_epoch": _epoch}},
        {"clipping"},
    ),
    "clipping beside a loop that does not": (
        plain.mlp,
        {
            "theirs": {"train_step": _stepping(_none)},
            "optimizer": _sgd(global_clipnorm=5.0),
        },
        {"clipping"},
    ),
    "a layer that the optimizer lacks": (
        _of_residual(),
        {"optimizer": _all_but_the_first},
        {"frozen"},
    ),
    "the same table in another order": (
        _bag(lambda shape, dtype=None: keras.ops.convert_to_tensor(_waves(False))),
        {},
        {"initial values"},
    ),
    "dropout in inference": (_dropping, {"layer": AlwaysOn}, {"in inference"}),
    "a callback that changes weights late": (
        plain.mlp,
        {"ours": {"callbacks": lambda: [ShrinkingLate()]}},
        {"callback"},
    ),
}


class Wrapped(keras.layers.Layer):
    """Circular padding, of which Keras has no layer."""

    def call(self, x):
        x = keras.ops.concatenate([x[:, -1:], x, x[:, :1]], 1)
        return keras.ops.concatenate([x[:, :, -1:], x, x[:, :, :1]], 2)


def _circular(seed, padding=1):
    def original():
        around = nn.Conv2d(1, 3, 3, padding=padding, padding_mode="circular")
        return nn.Sequential(around, nn.ReLU(), nn.Flatten(), nn.Linear(432, 4))

    def port():
        conv, end = parts.conv(3, 3, 1, activation="relu"), parts.dense(4, 432)
        between = [parts.channels_last(), Wrapped(), conv, keras.layers.Flatten(), end]
        return parts.sequential((1, 12, 12), between)

    theirs = TorchSide(original, parts.CROSS_ENTROPY, parts.sgd, batch_size=32)
    return theirs, KerasSide(port), *parts.images(seed)


# Pairs and their options.
ACCUSED = {
    "circular padding in a layer of the port's own": (_circular, {}),
    "circular padding of the same size": (_circular, {"padding": "same"}),
    "what runs under no_grad in a loop of the original's": (_half, {"step": _of_the_forward}),
    "one output, squeezed in the loss": (_regression, {"loss": _of_squeezed}),
    "one output, squeezed in the model": (_regression, {"squeeze": True}),
    "one output, a column of targets": (_regression, {"column": True}),
    "clipping in a loop of the original's": (
        plain.mlp,
        {
            "theirs": {"train_step": _stepping(_norm_of_5)},
            "optimizer": _sgd(global_clipnorm=5.0),
        },
    ),
    "outputs that a module remembers": (_of_residual(_Remembering), {}),
    "a layer that the optimizer lacks": (
        _of_residual(frozen=True),
        {"optimizer": _all_but_the_first},
    ),
    "a group at rate zero": (
        _of_residual(frozen=True),
        {"optimizer": _the_first_at_rate_zero},
    ),
    "the matrix of an embedding again": (_tied, {}),
    "an original in float64": (_in_float64, {}),
    "probabilities": (_probabilities, {}),
    "the same table": (
        _bag(lambda shape, dtype=None: keras.ops.convert_to_tensor(_waves(True))),
        {},
    ),
    "warm restarts": (
        plain.mlp,
        {
            "theirs": {"scheduler": _warm_restarts, "step_scheduler_per": "batch"},
            "optimizer": lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.CosineDecayRestarts(0.1, 10)
            ),
        },
    ),
    "a layer under no_grad": (_of_residual(_Cut, frozen=True), {}),
}
# Pairs, their options, and what is left out by name.
LEFT_OUT = {
    "steps that are counted under a private name": (
        _of_residual(_Private),
        {},
        {
            "original: model._taken in training = it changes from step to step, so what it does "
            "late is not seen"
        },
    ),
    "a callback that freezes the model": (
        plain.mlp,
        {"ours": {"callbacks": lambda: [Freezing()]}},
        {"port: callbacks.0 = Freezing"},
    ),
    "clipping of gradients of four batches": (
        plain.mlp,
        {
            "theirs": {"train_step": _stepping(_norm_of_5, every=4)},
            "optimizer": _sgd(global_clipnorm=5.0, gradient_accumulation_steps=4),
        },
        {
            "original: train_step.taken = it changes from step to step, so what it does late "
            "is not seen"
        },
    ),
    "Python's chance": (
        _of_residual(_Skipping),
        {},
        {"original: forward.training = it draws by random"},
    ),
    "a module that counts its steps": (
        _of_residual(_Counting),
        {},
        {
            "original: model.taken in training = it changes from step to step, so what it does "
            "late is not seen"
        },
    ),
    "a milestone behind the epochs that are compared": (
        plain.mlp,
        {"theirs": {"scheduler": _late_milestone}},
        {"original: schedule behind epoch 300 = the rates part there, from about epoch 500 on"},
    ),
    "a callback that moves dropout": (
        _dropping,
        {"callbacks": lambda: [Dropping()]},
        {"port: callbacks.0 = Dropping"},
    ),
    "padding that the data lack": (_masked, {}, {"port: layers.words.mask_zero = True"}),
    "a weight of a class that the data lack": (
        _without_class_3,
        {"theirs": {"loss": nn.CrossEntropyLoss(torch.tensor([1.0, 1.0, 1.0, 9.0]))}},
        {"original: loss with classes = [3] (the losses differ there; the data have none)"},
    ),
    "an ignored class that the data lack": (
        plain.mlp,
        {"theirs": {"loss": nn.CrossEntropyLoss(ignore_index=255)}},
        {"original: loss with ignore_index = 255 (the losses differ there; the data have none)"},
    ),
}
SHORT = ("targets that are compared each with each",)
SHORT_ACCUSED = ("clipping in a loop of the original's",)
SHORT_LEFT_OUT = ("clipping of gradients of four batches",)
