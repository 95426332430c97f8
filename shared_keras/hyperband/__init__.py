"""A `keras_tuner.Hyperband` that trains fast, on all cores, and survives crashes."""

from shared_keras.hyperband.tuner import Hyperband

__all__ = ["Hyperband"]
