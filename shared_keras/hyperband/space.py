"""A search space: an ordinary KerasTuner hypermodel that can also describe its models."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner

from shared_keras.errors import BadInput
from shared_keras.hyperband.table import without_bookkeeping
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.systems.spec import System


class Space(keras_tuner.HyperModel):
    """A hypermodel made from a function that maps hyperparameters to a system.

    `build(hp)`, or calling it, returns the compiled Keras model. `fit` trains it as the
    system says (batch size, learning rate per epoch), so a stock tuner searches the
    same space.

    Args:
        describe: Takes `keras_tuner.HyperParameters`, returns a `System`.
    """

    def __init__(self, describe: Callable[[keras_tuner.HyperParameters], System]):
        super().__init__(name=describe.__name__)
        self.describe = describe
        self.__doc__ = describe.__doc__

    def with_outputs(self, n: int) -> "Space":
        """Return the same space of models for `n` classes."""

        @functools.wraps(self.describe)
        def describe(hp: keras_tuner.HyperParameters) -> System:
            return self.describe(hp).with_outputs(n)

        return Space(describe)

    def __call__(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return self.build(hp)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled model."""
        return keras_model(self.describe(hp))

    def replay(self, values: Mapping[str, int | float | str]) -> keras_tuner.HyperParameters:
        """Check hyperparameters, as KerasTuner prints them, against this space.

        Args:
            values: Values by name. KerasTuner's own (`tuner/...`) are dropped;
                those of layers beyond the depth are checked, then ignored.

        Returns:
            Hyperparameters with which `describe` makes exactly that system.

        Raises:
            BadInput: if a name is unknown, a value is out of range, or one that
                the system needs is missing.
        """
        values = without_bookkeeping(values)
        space = keras_tuner.HyperParameters()
        self.describe(space)
        known = {hp.name: hp for hp in space.space}
        for name, value in values.items():
            if name not in known:
                raise BadInput(
                    f"hyperparameter '{name}' is unknown; this space has {', '.join(known)}"
                )
            _check_range(known[name], value)
        replayed = keras_tuner.HyperParameters()
        replayed.values = values
        for hp in space.space:
            if replayed._conditions_are_active(hp.conditions) and hp.name not in values:
                raise BadInput(f"hyperparameter '{hp.name}' is missing")
        return replayed

    def options(self, hp: keras_tuner.HyperParameters, options: dict) -> dict:
        """Return a training's options, including those that the system itself sets."""
        system = self.describe(hp)
        # The system's callbacks come first, so that the others see the learning rate in the logs.
        own: dict[str, Any] = {
            "callbacks": [*schedule_callbacks(system), *options.get("callbacks", [])]
        }
        if system.batch_size is not None:
            own["batch_size"] = system.batch_size
        return options | own

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train with `Model.fit`, as a stock tuner does."""
        return model.fit(*args, **self.options(hp, kwargs))


def _check_range(hp: keras_tuner.HyperParameters, value: Any) -> None:
    config = hp.get_config()
    if "values" in config:
        if value not in config["values"]:
            raise BadInput(
                f"hyperparameter '{hp.name}' is {value!r}, expected one of {config['values']}"
            )
        return
    low, high, step = config["min_value"], config["max_value"], config["step"]
    kind = int if isinstance(low, int) else (int, float)
    in_range = isinstance(value, kind) and not isinstance(value, bool)
    in_range = in_range and low - 1e-9 <= value <= high + 1e-9
    if in_range and step is not None:
        in_range = abs((value - low) / step - round((value - low) / step)) < 1e-6
    if not in_range:
        grid = f" in steps of {step}" if step is not None else ""
        raise BadInput(f"hyperparameter '{hp.name}' is {value!r}, expected {low}...{high}{grid}")
