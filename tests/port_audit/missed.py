"""Differences that strangers planted and an earlier audit passed over; the causes to be named."""

from dataclasses import replace

import keras
import torch
from keras import layers
from torch import nn

from port_audit import KerasSide, TorchSide
from shared_keras.models import optimizers
from shared_keras.models.layers import BatchNorm
from tests.port_audit import parts
from tests.port_audit import plain_pairs as plain
from tests.port_audit import usual_pairs as usual
from tests.port_audit.faults import _clip_norm, _sgd, _torch_adam, _torch_sgd

MaxNorm = keras.constraints.MaxNorm
STEPS = 210  # 30 epochs of 7 steps
LATE = 300 * 7  # as far as rates are compared


class Table(keras.optimizers.schedules.LearningRateSchedule):
    """The rates of a scheduler of PyTorch, step by step."""

    def __init__(self, scheduler, lr=0.1, factor=1.0, **options):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr, **options)
        made, self.rates = scheduler(optimizer), []
        for _ in range(LATE):
            self.rates.append(factor * optimizer.param_groups[0]["lr"])
            optimizer.step()
            try:
                made.step()
            except ValueError:  # OneCycleLR has come to its end
                break

    def __call__(self, step):
        index = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.rates) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates, "float32"), index)

    def get_config(self):
        return {}


def _excluding(**what):
    def make():
        optimizer = optimizers.Adam(1e-3, weight_decay=0.05)
        optimizer.exclude_from_weight_decay(**what)
        return optimizer

    return make


def _without_decay(parameters):
    """Return AdamW that leaves biases and norms alone, as many originals do."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3)


def _residual(seed, **options):
    theirs, ours, x, y = plain.residual(seed, **options)
    return replace(theirs, optimizer=_without_decay), ours, x, y


def _one_cycle(**options):
    given = {"max_lr": 0.1, "total_steps": STEPS + 1} | options
    return lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, **given)


def _warm_up(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))


def _two_rates(optimizer):
    shapes = [lambda epoch: 0.5**epoch, lambda epoch: 1.0]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, shapes)


def _two_groups(parameters):
    parameters = list(parameters)
    return torch.optim.SGD([{"params": parameters[:2]}, {"params": parameters[2:]}], lr=0.1)


def _plateau(**options):
    given = {"factor": 0.5, "patience": 3, "threshold_mode": "abs"} | options
    return lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **given)


def _own_plateau(**options):
    given = {"factor": 0.5, "patience": 4} | options
    return lambda: [keras.callbacks.ReduceLROnPlateau(**given)]


def _per_batch(scheduler, **options):
    return {"scheduler": scheduler, "step_scheduler_per": "batch"} | options


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


class Braking(keras.callbacks.Callback):
    """Takes less of the rate that is set, later on."""

    def on_epoch_begin(self, epoch, logs=None):
        rate = self.model.optimizer._learning_rate
        if epoch > 2:
            rate.assign(rate.value / 2)


class Shrinking(keras.callbacks.Callback):
    """Scales all weights down after each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        for variable in self.model.trainable_variables:
            variable.assign(0.99 * variable)


def _beside_a_schedule():
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 0.97)
    return optimizers.Adam(rate, epsilon=1e-4)


OPTIMIZERS = {
    "epsilon beside a schedule": (
        plain.mlp,
        {
            "optimizer": _beside_a_schedule,
            "theirs": {
                "optimizer": _torch_adam(),
                **_per_batch(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)),
            },
        },
        {"optimizer epsilon"},
    ),
    "decay excluded by name": (
        plain.residual,
        {"optimizer": _excluding(var_names=["bias", "gamma", "beta"])},
        {"decay of biases"},
    ),
    "decay of everything": (_residual, {}, {"decay of biases"}),
    "gradients of four batches": (
        plain.mlp,
        {"optimizer": _sgd(gradient_accumulation_steps=4)},
        {"gradient accumulation"},
    ),
    "moving average of weights": (
        plain.mlp,
        {"optimizer": _sgd(use_ema=True, ema_overwrite_frequency=5)},
        {"moving average of weights"},
    ),
    "moving average at the end": (
        plain.mlp,
        {"optimizer": _sgd(use_ema=True)},
        {"moving average of weights"},
    ),
    "AMSGrad": (
        plain.mlp,
        {
            "optimizer": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-8, amsgrad=True),
            "theirs": {"optimizer": _torch_adam()},
        },
        {"amsgrad", "epsilon place"},
    ),
}
RATES = {
    "one-cycle momentum": (
        plain.mlp,
        {
            "theirs": _per_batch(_one_cycle(), optimizer=_torch_sgd(momentum=0.9)),
            "optimizer": lambda: keras.optimizers.SGD(Table(_one_cycle(), momentum=0.9), 0.9),
        },
        {"moving momentum"},
    ),
    "one-cycle from another rate": (
        plain.mlp,
        {
            "theirs": _per_batch(_one_cycle(cycle_momentum=False)),
            "optimizer": lambda: keras.optimizers.SGD(
                Table(_one_cycle(cycle_momentum=False, div_factor=5, final_div_factor=50000))
            ),
        },
        {"first rate"},
    ),
    "a warm-up from zero": (
        plain.mlp,
        {"theirs": _per_batch(_warm_up)},
        {"schedule missing"},
    ),
    "a group with a rate of its own": (
        plain.mlp,
        {
            "theirs": {"optimizer": _two_groups, "scheduler": _two_rates},
            "ours": {
                "callbacks": lambda: [
                    keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)
                ]
            },
        },
        {"rate of a group"},
    ),
    "plateau of the largest": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau(), "monitor": "val_loss"},
            "ours": {"callbacks": _own_plateau(mode="max")},
        },
        {"mode"},
    ),
    "plateau of another value": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau(), "monitor": "val_loss"},
            "ours": {"callbacks": _own_plateau(monitor="loss")},
        },
        {"monitor"},
    ),
    "plateau with another threshold": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau(), "monitor": "val_loss"},
            "ours": {"callbacks": _own_plateau(min_delta=0.0)},
        },
        {"min_delta"},
    ),
    "steps of another factor": (
        plain.mlp,
        {
            "theirs": {"scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5)},
            "ours": {
                "callbacks": lambda: [
                    keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.9 ** (epoch // 2))
                ]
            },
        },
        {"schedule factor"},
    ),
    "decay of another factor": (
        plain.mlp,
        {
            "theirs": _per_batch(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)),
            "optimizer": _sgd(
                learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.99)
            ),
        },
        {"schedule decay_rate"},
    ),
    "cosine of another period": (
        plain.mlp,
        {
            "theirs": _per_batch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)),
            "optimizer": _sgd(learning_rate=optimizers.CosineAnnealing(0.1, 20)),
        },
        {"schedule t_max"},
    ),
    "a second callback that moves the rate": (
        plain.mlp,
        {
            "theirs": {"scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5)},
            "ours": {
                "callbacks": lambda: [
                    keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.5 ** (epoch // 2)),
                    Braking(),
                ]
            },
        },
        {"callback"},
    ),
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
    "plateau of a relative threshold": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau(threshold_mode="rel"), "monitor": "val_loss"},
            "ours": {"callbacks": _own_plateau()},
        },
        {"threshold mode"},
    ),
    "plateau of a relative threshold, of an accuracy": (
        plain.mlp,
        {
            "theirs": {
                "scheduler": _plateau(threshold_mode="rel", mode="max"),
                "monitor": "val_accuracy",
            },
            "ours": {"callbacks": _own_plateau(monitor="val_accuracy", mode="max")},
        },
        {"threshold mode"},
    ),
    "plateau that goes on below eps": (
        plain.mlp,
        {
            "theirs": {
                "scheduler": _plateau(factor=0.1, patience=0, eps=1e-6),
                "monitor": "val_loss",
            },
            "ours": {"callbacks": _own_plateau(factor=0.1, patience=1)},
        },
        {"eps"},
    ),
    "callback that changes weights": (
        plain.mlp,
        {"ours": {"callbacks": lambda: [Shrinking()]}},
        {"callback"},
    ),
    "no batch size written down": (
        plain.mlp,
        {"theirs": {"batch_size": 64}},
        {"batch size"},
    ),
}
MISSED = {**OPTIMIZERS, **RATES}
# Faithful, and once accused.
# In float32, 1 - beta_2 has three digits; an epsilon of nothing does nothing on both sides.
SLOW_ADAM = {
    "theirs": {"optimizer": lambda p: torch.optim.Adam(p, 0.1, betas=(0.9, 0.9999), eps=1e-30)},
    "optimizer": lambda: keras.optimizers.Adam(0.1, beta_2=0.9999, epsilon=1e-30),
}
ACCUSED = {
    "one-cycle": (
        plain.mlp,
        {
            "theirs": _per_batch(_one_cycle(cycle_momentum=False)),
            "optimizer": lambda: keras.optimizers.SGD(Table(_one_cycle(cycle_momentum=False))),
        },
    ),
    "a schedule of one's own beside clipping": (
        plain.mlp,
        {
            "theirs": _per_batch(_warm_up, clip=_clip_norm),
            "optimizer": lambda: keras.optimizers.SGD(Table(_warm_up), global_clipnorm=0.5),
        },
    ),
    "a rate that a callback sets first": (
        plain.mlp,
        {
            "optimizer": lambda: keras.optimizers.SGD(0.01),
            "ours": {
                "callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)]
            },
        },
    ),
    "a plateau of an absolute threshold": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau(), "monitor": "val_loss"},
            "ours": {"callbacks": _own_plateau()},
        },
    ),
    "scaled losses": (
        plain.mlp,
        {"optimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))},
    ),
    "a warm-up from zero": (
        plain.mlp,
        {
            "theirs": _per_batch(_warm_up),
            "optimizer": lambda: keras.optimizers.SGD(Table(_warm_up)),
        },
    ),
    "a beta_2 close to 1": (plain.mlp, SLOW_ADAM),
}


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
LAYERS = {
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
}


def _truncated():
    module = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    spread = 0.1 / 0.879626  # of the whole; truncated at two of these, it is 0.1
    for part in (module[0], module[2]):
        nn.init.trunc_normal_(part.weight, std=spread, a=-2 * spread, b=2 * spread)
    return module


LAYERS["a truncated normal of the same spread"] = (
    _layers(
        _truncated, layers.ReLU, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1)
    ),
    {},
    {"initial values"},
)
MISSED |= LAYERS
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


def _milestone(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [60])


def _milestone_of_one(optimizer):
    shapes = [lambda epoch: 1.0, lambda epoch: 0.1 if epoch > 60 else 1.0]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, shapes)


def _drop(epoch, rate):
    return 0.1 if epoch < 60 else 0.01


def _sparse(seed):
    """Return an embedding whose gradients are sparse tensors."""
    theirs, ours, x, y = usual.stacked(seed)

    def original():
        network = theirs.model()
        network.embedding.sparse = True
        return network

    return replace(theirs, model=original), ours, x, y


ACCUSED |= {
    "a constraint in the original's own loop": (_clamped, {}),
    "own train_step": (_layers(_sequential(nn.ReLU), layers.ReLU, model=OwnStep), {}),
    "decay with exclusions": (
        _residual,
        {"optimizer": _excluding(var_names=["beta", "bias", "gamma"])},
    ),
    "ReLU6": (_layers(_sequential(nn.ReLU6), RELU6), {}),
    "noise": (_layers(_Noisy, layers.ReLU, lambda: layers.GaussianNoise(0.3)), {}),
    "sparse gradients": (_sparse, {}),
    "a milestone at epoch 60": (
        plain.mlp,
        {
            "theirs": {"scheduler": _milestone},
            "optimizer": lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.PiecewiseConstantDecay([60 * 7 - 1], [0.1, 0.01])
            ),
        },
    ),
    "a cosine of 100 epochs": (
        plain.mlp,
        {
            "theirs": _per_batch(
                lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700)
            ),
            "optimizer": lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.CosineDecay(0.1, 700)
            ),
        },
    ),
    "a power that drifts": (
        plain.mlp,
        {
            "theirs": _per_batch(
                lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9999)
            ),
            "optimizer": lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9999)
            ),
        },
    ),
    "a table of 40 epochs": (
        plain.mlp,
        {
            "theirs": {
                "scheduler": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(
                    optimizer, lambda epoch: [0.9**n for n in range(41)][epoch]
                )
            },
            "optimizer": lambda: keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 7, 0.9, staircase=True)
            ),
        },
    ),
}
MISSED["a milestone at epoch 60"] = (
    plain.mlp,
    {"theirs": {"scheduler": _milestone}},
    {"schedule missing"},
)
MISSED["a drop at epoch 60"] = (
    plain.mlp,
    {"ours": {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(_drop)]}},
    {"schedule extra"},
)
MISSED["a milestone of one group"] = (
    plain.mlp,
    {"theirs": {"optimizer": _two_groups, "scheduler": _milestone_of_one}},
    {"schedule missing"},
)
SHORT = ("decay excluded by name", "AMSGrad", "a warm-up from zero", "noise forgotten")
SHORT_ACCUSED = ("one-cycle",)
