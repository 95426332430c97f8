"""Turn KerasTuner's trials into plain rows, and read the bookkeeping in their hyperparameters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_tuner.engine.trial import Trial

from shared_keras.results.trials import TrialRow, column, last_line

PREFIX = "tuner/"


@dataclass(frozen=True)
class Bookkeeping:
    """What KerasTuner's Hyperband writes among the hyperparameters of a trial.

    Attributes:
        epochs: Epoch at which the trial stops.
        initial_epoch: Epoch at which it starts.
        bracket: KerasTuner's number of its bracket.
        rung: The rung in that bracket, which KerasTuner calls a round.
        parent: The trial that it resumes, if any.
    """

    epochs: int
    initial_epoch: int
    bracket: int
    rung: int
    parent: str | None = None

    def to_values(self) -> dict[str, Any]:
        """Return the hyperparameters that KerasTuner would write."""
        values = {
            f"{PREFIX}epochs": self.epochs,
            f"{PREFIX}initial_epoch": self.initial_epoch,
            f"{PREFIX}bracket": self.bracket,
            f"{PREFIX}round": self.rung,
        }
        return values if self.parent is None else {f"{PREFIX}trial_id": self.parent} | values


def bookkeeping(trial: Trial) -> Bookkeeping:
    """Return the bookkeeping of a `keras_tuner.engine.trial.Trial`."""
    values = trial.hyperparameters.values
    return Bookkeeping(
        epochs=values[f"{PREFIX}epochs"],
        initial_epoch=values[f"{PREFIX}initial_epoch"],
        bracket=values[f"{PREFIX}bracket"],
        rung=values[f"{PREFIX}round"],
        parent=parent(values),
    )


def parent(values: Mapping[str, Any]) -> str | None:
    """Return the trial that one with these hyperparameters resumes, if any."""
    return values.get(f"{PREFIX}trial_id")


def last_epoch(values: Mapping[str, Any]) -> int | None:
    """Return the epoch at which a trial with these hyperparameters stops, if they say so."""
    return values.get(f"{PREFIX}epochs")


def without_bookkeeping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters without KerasTuner's bookkeeping."""
    return {name: value for name, value in values.items() if not name.startswith(PREFIX)}


def reason(trial: Trial) -> str:
    """Return in one line why a trial failed; trial.json has the traceback."""
    return last_line(trial.message or "")


def not_finite(trial: Trial) -> bool:
    """Return whether a trial failed because its loss or its objective became NaN or infinite."""
    return reason(trial).startswith(f"{ArithmeticError.__name__}: ")


def row(trial: Trial, seconds: float | None) -> TrialRow:
    """Return the row of a trial, given its training time in seconds."""
    place = bookkeeping(trial)
    return TrialRow(
        trial=trial.trial_id,
        bracket=place.bracket,
        rung=place.rung,
        initial_epoch=place.initial_epoch,
        epochs=place.epochs,
        parent=place.parent,
        score=trial.score,
        seconds=seconds,
        status=trial.status,
        reason=reason(trial) or None,
        hyperparameters=without_bookkeeping(trial.hyperparameters.values),
    )


def axes(space: Iterable[Any]) -> dict[str, bool]:
    """Return the columns of a search space, each with whether its axis is logarithmic.

    Args:
        space: KerasTuner's hyperparameters. An axis is logarithmic if values are drawn on a
            logarithmic scale, or chosen from more than two positive floats.
    """
    found: dict[str, bool] = {}
    for parameter in space:
        config = parameter.get_config()
        values = config.get("values", ())
        spaced = len(values) > 2 and all(isinstance(v, float) and v > 0 for v in values)
        logarithmic = config.get("sampling") == "log" or spaced
        name = column(parameter.name)
        found[name] = found.get(name, False) or logarithmic
    return found
