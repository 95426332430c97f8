"""A search space: an ordinary KerasTuner hypermodel that also says what it makes."""

from collections.abc import Callable

import keras
import keras_tuner

from shared_keras import keras_model
from shared_keras.system import System


class Space(keras_tuner.HyperModel):
    """The hypermodel of a function from hyperparameters to a system.

    `build(hp)`, or calling it, gives the compiled Keras model; `fit` trains that as
    the system says (batch size, learning rate per epoch), so that a stock tuner
    searches the same space.

    Args:
        describe: Takes `keras_tuner.HyperParameters`, returns a `System`.
    """

    def __init__(self, describe: Callable[[keras_tuner.HyperParameters], System]):
        super().__init__(name=describe.__name__)
        self.describe = describe
        self.__doc__ = describe.__doc__

    def __call__(self, hp) -> keras.Model:
        return self.build(hp)

    def build(self, hp) -> keras.Model:
        """Return the compiled model."""
        return keras_model.build(self.describe(hp))

    def options(self, hp, options: dict) -> dict:
        """Return the options of a training with those that the system itself sets."""
        described = self.describe(hp)
        # Its callbacks first, so that the others see the learning rate in the logs.
        own = {"callbacks": [*keras_model.callbacks(described), *options.get("callbacks", [])]}
        if described.batch_size is not None:
            own["batch_size"] = described.batch_size
        return options | own

    def fit(self, hp, model, *args, **kwargs):
        """Train with `Model.fit`, as a stock tuner does."""
        return model.fit(*args, **self.options(hp, kwargs))
