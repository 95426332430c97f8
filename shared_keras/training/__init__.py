"""Train a compiled Keras model: one contract, the fastest way on each backend."""

from shared_keras.training.fit import (
    arguments,
    by_name,
    check,
    fit,
    random_state_restored,
    seed_globals,
    seed_layers,
    why_not_compiled,
)

__all__ = [
    "arguments",
    "by_name",
    "check",
    "fit",
    "random_state_restored",
    "seed_globals",
    "seed_layers",
    "why_not_compiled",
]
