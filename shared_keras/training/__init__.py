"""Train a compiled Keras model: one contract, the fastest way on each backend."""

from shared_keras.training.fit import check, fit, seed_globals, seed_layers

__all__ = ["check", "fit", "seed_globals", "seed_layers"]
