"""Of optimizers, learning rates and batches."""

from dataclasses import replace

import keras
import torch

from shared_keras.models import optimizers
from tests.port_audit import plain_pairs as plain
from tests.port_audit.faults import _clip_norm, _sgd, _torch_adam, _torch_sgd

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


def _milestone(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [60])


def _milestone_of_one(optimizer):
    shapes = [lambda epoch: 1.0, lambda epoch: 0.1 if epoch > 60 else 1.0]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, shapes)


def _drop(epoch, rate):
    return 0.1 if epoch < 60 else 0.01


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
    "a milestone at epoch 60": (
        plain.mlp,
        {"theirs": {"scheduler": _milestone}},
        {"schedule missing"},
    ),
    "a drop at epoch 60": (
        plain.mlp,
        {"ours": {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(_drop)]}},
        {"schedule extra"},
    ),
    "a milestone of one group": (
        plain.mlp,
        {"theirs": {"optimizer": _two_groups, "scheduler": _milestone_of_one}},
        {"schedule missing"},
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
    "decay with exclusions": (
        _residual,
        {"optimizer": _excluding(var_names=["beta", "bias", "gamma"])},
    ),
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
