"""Optimizers of Keras with their rule and nothing beside it."""

from typing import Any

import keras

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
)


def plain(optimizer: keras.optimizers.Optimizer, rate: float) -> keras.optimizers.Optimizer:
    """Return an optimizer with the same rule and nothing else, not yet built.

    Args:
        optimizer: The optimizer.
        rate: Its learning rate.
    """
    fresh = type(optimizer).from_config(quiet(optimizer, rate))
    for name in EXCLUDED:
        if hasattr(optimizer, name):
            setattr(fresh, name, getattr(optimizer, name))
    return fresh


def quiet(optimizer: keras.optimizers.Optimizer, rate: float) -> dict[str, Any]:
    """Return the configuration of an optimizer with nothing beside its rule.

    Args:
        optimizer: The optimizer. Its schedule may be of a class that Keras could not make again.
        rate: Its learning rate.
    """
    config = optimizer.get_config() | {"learning_rate": rate}
    return config | {name: value for name, value in QUIET.items() if name in config}
