"""Part of stage 6: what every optimizer of Keras can do beside its own rule."""

from collections.abc import Iterator
from typing import Any

import keras

from port_audit.findings import Finding
from port_audit.pair import Pair

# How the rule alone is made: what these do is compared elsewhere.
QUIET = {
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "gradient_accumulation_steps": None,
    "use_ema": False,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
}
EXCLUDED = (
    "_exclude_from_weight_decay",
    "_exclude_from_weight_decay_pattern",
    "_exclude_from_weight_decay_cache",
)


def plain(optimizer: keras.optimizers.Optimizer, rate: float) -> keras.optimizers.Optimizer:
    """Return an optimizer with the same rule and nothing else, not yet built.

    Args:
        optimizer: The optimizer.
        rate: Its learning rate.
    """
    fresh = type(optimizer).from_config(quiet(optimizer) | {"learning_rate": rate})
    for name in EXCLUDED:
        if hasattr(optimizer, name):
            setattr(fresh, name, getattr(optimizer, name))
    return fresh


def quiet(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return the configuration of an optimizer with nothing beside its rule."""
    config = optimizer.get_config()
    return config | {name: value for name, value in QUIET.items() if name in config}


def compare(pair: Pair) -> Iterator[Finding]:
    """Compare what changes a step beside the rule; PyTorch's optimizers have none of it."""
    optimizer = pair.optimizer
    steps = optimizer.gradient_accumulation_steps
    loop = any(getattr(pair.theirs, name, None) for name in ("train_step", "train_epoch"))
    if (steps or 1) > 1 and not loop:
        yield Finding(
            "optimizer",
            "gradient accumulation",
            f"it gathers the gradients of {steps} batches before a step; PyTorch steps after each",
            "gradient_accumulation_steps=None",
        )
    if optimizer.use_ema:
        often = optimizer.ema_overwrite_frequency
        when = f"every {often} steps and at the end" if often else "at the end of training"
        yield Finding(
            "optimizer",
            "moving average of weights",
            f"use_ema=True: {when} weights become their moving average; PyTorch's stay as they are",
            "use_ema=False",
        )
