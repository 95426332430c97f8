"""Train a compiled Keras model: one contract, the fastest way on each backend."""

from shared_keras.training.fit import fit, seed_globals, seed_layers

__all__ = ["fit", "seed_globals", "seed_layers"]
