"""Turn a dict of hyperparameters, as KerasTuner prints it, back into a model."""

from collections.abc import Callable, Mapping

import keras_tuner

from shared_keras.errors import BadInput
from shared_keras.oracle import own


def replay(build: Callable, values: Mapping[str, int | float | str]) -> keras_tuner.HyperParameters:
    """Check the values against the space of `build` and return them for it.

    Args:
        build: A hypermodel, `build(hp)`.
        values: Values by name. KerasTuner's own (`tuner/...`) are dropped;
            those of layers beyond the depth are checked, then ignored.

    Returns:
        Hyperparameters with which `build` makes exactly that model.

    Raises:
        BadInput: if a name is unknown, a value is out of range, or one that
            the model needs is missing.
    """
    values = own(values)
    space = keras_tuner.HyperParameters()
    build(space)
    known = {hp.name: hp for hp in space.space}
    for name, value in values.items():
        if name not in known:
            raise BadInput(f"hyperparameter '{name}' is unknown; this space has {', '.join(known)}")
        _check_range(known[name], value)
    replayed = keras_tuner.HyperParameters()
    replayed.values = values
    for hp in space.space:
        if replayed._conditions_are_active(hp.conditions) and hp.name not in values:
            raise BadInput(f"hyperparameter '{hp.name}' is missing")
    return replayed


def _check_range(hp, value) -> None:
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
