"""Optuna's words for KerasTuner's hyperparameters."""

from decimal import Decimal
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from shared_keras.hyperband import table


def split(
    hp: keras_tuner.HyperParameters, known: dict[str, BaseDistribution]
) -> tuple[dict[str, Any], dict[str, BaseDistribution], dict[str, Any]]:
    """Return the values that Optuna takes, their distributions, and the values that it does not.

    It refuses a value outside its distribution, such as one to try first, and a name whose choices
    are others under another condition.

    Args:
        hp: Hyperparameters of a trial.
        known: Distributions that earlier trials of the study have; those of new names are added.
    """
    values, distributions, others = {}, {}, {}
    for name, value in table.without_bookkeeping(hp.values).items():
        distribution = _of(_declared(hp, name), value)
        if distribution is not None and _alike(known.setdefault(name, distribution), distribution):
            values[name], distributions[name] = value, distribution
        else:
            others[name] = value
    return values, distributions, others


def _declared(hp: keras_tuner.HyperParameters, name: str) -> Any:
    """Return the hyperparameter of a name whose conditions hold, or None."""
    return next((each for each in hp.space if each.name == name and hp.is_active(each)), None)


def _of(parameter: Any, value: Any) -> BaseDistribution | None:
    """Return the distribution of a hyperparameter, or None if it cannot have the value."""
    if isinstance(parameter, (kinds.Int, kinds.Float)):
        return _of_number(parameter, value)
    if isinstance(parameter, kinds.Boolean):
        choices = [False, True]
    elif isinstance(parameter, kinds.Choice):
        choices = list(parameter.values)
    elif isinstance(parameter, kinds.Fixed):
        choices = [parameter.value]
    else:
        return None
    return CategoricalDistribution(choices) if value in choices else None


def _of_number(parameter: Any, value: Any) -> IntDistribution | FloatDistribution | None:
    whole, log = isinstance(parameter, kinds.Int), parameter.sampling == "log"
    low, high = parameter.min_value, parameter.max_value
    # On a logarithmic scale, KerasTuner's step is a factor, and Optuna has none.
    step = parameter.step if parameter.sampling == "linear" else None
    if step is not None:
        steps = (Decimal(str(value)) - Decimal(str(low))) / Decimal(str(step))
        if abs(steps - round(steps)) > 1e-8:
            return None
        rest = (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))
        high = type(high)(Decimal(str(high)) - rest)
    if not low <= value <= high:
        return None
    if whole:
        return IntDistribution(low, high, log, step or 1)
    return FloatDistribution(low, high, log, step)


def _alike(earlier: BaseDistribution, now: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(earlier, now)
    except ValueError:
        return False
    return True
