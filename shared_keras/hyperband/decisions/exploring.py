"""Learn which hyperparameters a hypermodel has, by building it under each of its conditions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import keras_tuner
from keras_tuner import errors

from shared_keras import training
from shared_keras.hyperband.resuming import fingerprint
from shared_keras.hyperband.space import Space
from shared_keras.systems.spec import System


def explore(
    build: Callable[[keras_tuner.HyperParameters], None], oracle: keras_tuner.Oracle
) -> None:
    """Tell an oracle all hyperparameters that a hypermodel declares.

    KerasTuner's method draws what a new condition brings in, without a seed, and may give one
    hyperparameter the value of another that has the same name. Here such values are defaults.

    Args:
        build: Builds the hypermodel.
        oracle: The oracle, which may know some already.
    """
    met: list[Any] = []  # lists of conditions that hold together
    seen: list[Any] = []
    # Such lists, each with values that may be needed to come upon them.
    attempts: list[tuple[Any, dict[str, Any]]] = []
    hp = oracle.get_space()
    while True:
        build(hp)
        oracle.update_space(hp)
        met += [scope for scope in hp.active_scopes if scope not in met]
        for scope in hp.inactive_scopes:
            if scope not in seen:
                seen.append(scope)
                attempts += [(scope, {}), (scope, dict(hp.values))]
        attempts = [(scope, values) for scope, values in attempts if scope not in met]
        if not attempts:
            return
        hp = _meeting(*attempts.pop(0), oracle.get_space())


def explore_models(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle
) -> dict[str, Any]:
    """Tell an oracle all hyperparameters of a hypermodel, with defaults for what is not known.

    Returns:
        What identifies its first model, that with default values; nothing if it makes none.
    """
    # A space need not build a model to declare its hyperparameters.
    make = hypermodel.describe if isinstance(hypermodel, Space) else hypermodel.build
    declared = oracle.get_space()
    first: dict[str, Any] = {}

    def build(hp: keras_tuner.HyperParameters) -> None:
        nonlocal declared
        declared = hp
        model = make(hp)
        if not first and isinstance(model, keras.Model | System):  # else refused when it is trained
            first["model"] = fingerprint.of_model(model)
            first["functions of the model"] = fingerprint.of_functions(model)

    try:
        with training.random_state_restored():
            training.seed_globals(oracle.seed)  # or random draws would change the model
            explore(build, oracle)
    except errors.FailedTrialError:  # a constraint; what it hides is drawn in the trials
        oracle.update_space(declared)
    return first


def _meeting(
    conditions: Iterable[Any], values: Mapping[str, Any], known: keras_tuner.HyperParameters
) -> keras_tuner.HyperParameters:
    """Return hyperparameters that meet conditions.

    Args:
        conditions: The conditions.
        values: Values of others; what depends on no condition and is not among them stays as it
            is known.
        known: All hyperparameters that are known.
    """
    hp = keras_tuner.HyperParameters()
    free = {each.name for each in known.space if not each.conditions}
    hp.values = {name: value for name, value in known.values.items() if name in free}
    hp.values |= values
    hp.values |= {condition.name: condition.values[0] for condition in conditions}
    hp.merge(known, overwrite=False)  # all others get their defaults
    return hp
