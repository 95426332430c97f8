"""A `keras_tuner.Hyperband` that trains fast, on all cores, and that a crash cannot hurt."""

from shared_keras.hyperband.tuner import Hyperband

__all__ = ["Hyperband"]
