"""Optuna's words for KerasTuner's hyperparameters."""

import math
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
    are others under another condition. A sum of steps is told without its rounding, which may lie
    above the highest value: 3.7 + 7 * 0.3 is 5.800000000000001, and Optuna's highest is 5.8. So is
    one of a reversed scale: 0.1 + 0.2 - 0.1.

    Args:
        hp: Hyperparameters of a trial.
        known: Distributions that earlier trials of the study have; those of new names are added.
    """
    values, distributions, others = {}, {}, {}
    for name, value in table.without_bookkeeping(hp.values).items():
        parameter = _declared(hp, name)
        value = _without_rounding(parameter, value)
        distribution = _of(parameter, value)
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
    low, high, step = parameter.min_value, parameter.max_value, _step(parameter)
    if step is not None:
        if not _whole(_steps(parameter, value)):
            return None
        high = _after(parameter, _steps(parameter, high) // 1)
    if not low <= value <= high:
        return None
    if whole:
        return IntDistribution(low, high, log, step or 1)
    return FloatDistribution(low, high, log, step)


def _without_rounding(parameter: Any, value: Any) -> Any:
    """Return the sum of steps, or the end of the range, that only rounding keeps a value from."""
    if not isinstance(parameter, (kinds.Int, kinds.Float)):
        return value
    if _step(parameter) is not None:
        steps = _steps(parameter, value)
        return _after(parameter, round(steps)) if _whole(steps) else value
    within = min(max(value, parameter.min_value), parameter.max_value)
    return within if math.isclose(value, within, rel_tol=1e-12) else value


def _step(parameter: Any) -> Any:
    """Return the step of a number, which on other scales is a factor, and Optuna has none."""
    return parameter.step if parameter.sampling == "linear" else None


def _steps(parameter: Any, value: Any) -> Decimal:
    return (Decimal(str(value)) - Decimal(str(parameter.min_value))) / Decimal(str(parameter.step))


def _whole(steps: Decimal) -> bool:
    return abs(steps - round(steps)) < 1e-8


def _after(parameter: Any, steps: Any) -> Any:
    low = parameter.min_value
    return type(low)(Decimal(str(low)) + steps * Decimal(str(parameter.step)))


def _alike(earlier: BaseDistribution, now: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(earlier, now)
    except ValueError:
        return False
    return True
