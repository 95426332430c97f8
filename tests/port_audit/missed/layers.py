"""Of layers, losses and what else a model is made of."""

from dataclasses import replace

import keras
import torch
from keras import layers
from torch import nn

from port_audit import KerasSide, TorchSide
from shared_keras.models.layers import BatchNorm
from tests.port_audit import parts
from tests.port_audit import plain_pairs as plain
from tests.port_audit import usual_pairs as usual

MaxNorm = keras.constraints.MaxNorm


def _half_of_the_gradient(x):
    return 0.5 * x + 0.5 * keras.ops.stop_gradient(x)


def _norms(seed):
    """Return a Softsign between two norms that the port lacks."""

    def original():
        norms = nn.LayerNorm(16), nn.Softsign(), nn.LayerNorm(16)
        return nn.Sequential(nn.Linear(20, 16), *norms, nn.Linear(16, 4))

    def port():
        norms = [layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        return parts.sequential((20,), [parts.dense(16, 20), *norms, parts.dense(4, 16)])

    x, y = parts.rows(seed)
    return TorchSide(original, parts.CROSS_ENTROPY, parts.sgd, batch_size=32), KerasSide(port), x, y


class _KeptNorm(nn.Module):
    """A perceptron whose batch norm stays in evaluation mode, as fine-tuning often has it."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(20, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.two(torch.relu(self.norm(self.one(x))))

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


class _Noisy(nn.Module):
    def __init__(self, spread=0.3):
        super().__init__()
        self.one, self.two, self.spread = nn.Linear(20, 16), nn.Linear(16, 4), spread

    def forward(self, x):
        x = torch.relu(self.one(x))
        if self.training:
            x = x + self.spread * torch.randn_like(x)
        return self.two(x)


def _layers(original, *between, loss=None, model=keras.Sequential, **options):
    """Return a perceptron 20-16-4 with something between its two layers."""

    def pair(seed):
        def port():
            first = parts.dense(16, 20, **options)
            made = model(
                [keras.Input((20,)), first, *(make() for make in between), parts.dense(4, 16)]
            )
            return parts.compiled(made, None, loss)

        x, y = parts.rows(seed)
        theirs = TorchSide(original, parts.CROSS_ENTROPY, parts.sgd, batch_size=32)
        return theirs, KerasSide(port), x, y

    return pair


def _clamped(seed):
    """Return a perceptron with a first kernel that is clamped after each step, as in a WGAN."""

    def step(model, batch, optimizer):
        optimizer.zero_grad()
        loss = parts.CROSS_ENTROPY(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model[0].weight.clamp_(-0.1, 0.1)
        return loss

    theirs, *rest = _layers(_sequential(nn.ReLU), layers.ReLU, kernel_constraint=Clamped())(seed)
    return replace(theirs, train_step=step), *rest


def _sequential(*between):
    return lambda: nn.Sequential(nn.Linear(20, 16), *(make() for make in between), nn.Linear(16, 4))


def _partly_frozen():
    module = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    module[0].weight.requires_grad_(False)
    return module


def _truncated():
    module = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    spread = 0.1 / 0.879626  # of the whole; truncated at two of these, it is 0.1
    for part in (module[0], module[2]):
        nn.init.trunc_normal_(part.weight, std=spread, a=-2 * spread, b=2 * spread)
    return module


def _sparse(seed):
    """Return an embedding whose gradients are sparse tensors."""
    theirs, ours, x, y = usual.stacked(seed)

    def original():
        network = theirs.model()
        network.embedding.sparse = True
        return network

    return replace(theirs, model=original), ours, x, y


class Adding(layers.Layer):
    """Adds a loss of what passes."""

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(x**2))
        return x


class Clamped(keras.constraints.Constraint):
    """Keeps values between two limits."""

    def __init__(self, limit=0.1):
        self.limit = limit

    def __call__(self, w):
        return keras.ops.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}


class OwnLoss(keras.Sequential):
    """Takes twice the loss."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)


class OwnStep(keras.Sequential):
    """Trains as Keras does, in a step of its own."""

    def train_step(self, *given):
        return super().train_step(*given)


def _without_optimizer(pair):
    def made(seed):
        theirs, *rest = pair(seed)
        return replace(theirs, optimizer=None), *rest

    return made


def _norm(**options):
    return lambda: BatchNorm(**options)


RELU, RELU6 = "relu", lambda: layers.ReLU(max_value=6)
MISSED = {
    "an activation missing between norms": (
        _norms,
        {},
        {"activation"},
    ),
    "gradients scaled on their way": (
        plain.mlp,
        {"hidden": lambda: [parts.dense(16, 20, "relu"), layers.Lambda(_half_of_the_gradient)]},
        {"gradient scale"},
    ),
    "partly frozen": (_layers(_partly_frozen, activation="relu"), {}, {"frozen"}),
    "batch norm kept in evaluation": (
        _layers(_KeptNorm, _norm(), layers.ReLU),
        {},
        {"evaluation mode"},
    ),
    "batch norm over all batches": (
        _layers(
            _sequential(lambda: nn.BatchNorm1d(16, momentum=None), nn.ReLU), _norm(), layers.ReLU
        ),
        {},
        {"momentum"},
    ),
    "noise forgotten": (_layers(_Noisy, layers.ReLU), {}, {"missing noise"}),
    "too much noise": (
        _layers(_sequential(nn.ReLU), layers.ReLU, lambda: layers.GaussianNoise(0.1)),
        {},
        {"extra noise"},
    ),
    "another noise": (
        _layers(_Noisy, layers.ReLU, lambda: layers.GaussianNoise(0.1)),
        {},
        {"noise"},
    ),
    "noise shape": (
        _layers(
            _sequential(nn.ReLU, lambda: nn.Dropout(0.2)),
            layers.ReLU,
            lambda: layers.Dropout(0.2, noise_shape=(None, 1)),
        ),
        {},
        {"noise shape"},
    ),
    "alpha dropout": (
        _layers(
            _sequential(nn.SELU, lambda: nn.AlphaDropout(0.2)),
            lambda: layers.Activation("selu"),
            lambda: layers.Dropout(0.2),
        ),
        {},
        {"dropout kind"},
    ),
    "ReLU for ReLU6": (_layers(_sequential(nn.ReLU6), layers.ReLU), {}, {"activation"}),
    "ReLU6 for ReLU": (_layers(_sequential(nn.ReLU), RELU6), {}, {"activation"}),
    "activity regularizer": (
        _layers(_sequential(nn.ReLU), activation="relu", activity_regularizer="l2"),
        {},
        {"activity regularizer"},
    ),
    "a loss that a layer adds": (
        _layers(_sequential(nn.ReLU), layers.ReLU, Adding),
        {},
        {"added loss"},
    ),
    "a penalty of another kind": (
        _layers(_sequential(nn.ReLU), layers.ReLU, kernel_regularizer=keras.regularizers.L1(0.01)),
        {},
        {"regularizer"},
    ),
    "a constraint": (
        _layers(_sequential(nn.ReLU), layers.ReLU, kernel_constraint=MaxNorm(0.5)),
        {},
        {"constraint"},
    ),
    "own compute_loss": (
        _layers(_sequential(nn.ReLU), layers.ReLU, model=OwnLoss),
        {},
        {"compute_loss"},
    ),
    "a truncated normal of the same spread": (
        _layers(
            _truncated, layers.ReLU, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1)
        ),
        {},
        {"initial values"},
    ),
}
ACCUSED = {
    "a constraint in the original's own loop": (_clamped, {}),
    "own train_step": (_layers(_sequential(nn.ReLU), layers.ReLU, model=OwnStep), {}),
    "ReLU6": (_layers(_sequential(nn.ReLU6), RELU6), {}),
    "noise": (_layers(_Noisy, layers.ReLU, lambda: layers.GaussianNoise(0.3)), {}),
    "sparse gradients": (_sparse, {}),
}
# What no stage can measure: left out by name, so that the exit code is 4.
# The witness settles an own train_step where both sides can train.
LEFT_OUT = {
    "own train_step": (
        _without_optimizer(_layers(_sequential(nn.ReLU), layers.ReLU, model=OwnStep)),
        {"port: model.train_step = own, of OwnStep"},
    ),
    "a constraint that does not act so soon": (
        _layers(_sequential(nn.ReLU), layers.ReLU, kernel_constraint=Clamped(9), name="hidden"),
        {"port: layers.hidden.kernel_constraint = Clamped(limit=9)"},
    ),
}
