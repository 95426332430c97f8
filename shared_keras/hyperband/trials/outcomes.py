"""What a training returned, in every form that KerasTuner accepts, and its best epoch."""

import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.src.engine import tuner_utils
from keras_tuner.src.engine.objective import DefaultObjective

from shared_keras.errors import BadInput

SECONDS = "seconds"


class NotLogged(BadInput):
    """The objective is not among the logs of an epoch."""


def check(results: Any, objective: keras_tuner.Objective, function: str) -> Any:
    """Return results with single numbers only, after a check that KerasTuner accepts them.

    Args:
        results: A History, a dict of metrics, the value of the objective, or a list of these.
        objective: The objective.
        function: Name of the function that returned them, for messages.

    Raises:
        keras_tuner.errors.FatalTypeError: if they have another form.
        keras_tuner.errors.FatalValueError: if a dict lacks the objective.
        NotLogged: if a History lacks the objective.
        ArithmeticError: if the objective or the loss is not finite.
    """
    if isinstance(results, list):
        return [check(each, objective, function) for each in results]
    if isinstance(results, keras.callbacks.History):
        plain = keras.callbacks.History()
        plain.history = {
            name: [number(value) for value in values] for name, values in results.history.items()
        }
        if not isinstance(objective, DefaultObjective):
            _need_objective(plain.history, objective)
        results = plain
    elif isinstance(results, Mapping):
        results = {name: number(value) for name, value in results.items()}
        if hasattr(objective, "objectives") and objective.has_value(results):
            results[objective.name] = objective.get_value(results)
    elif np.ndim(results) == 0 and np.issubdtype(np.asarray(results).dtype, np.number):
        results = float(results)
    tuner_utils.validate_trial_results(results, objective, function)
    need_finite(metrics(results, objective), objective)
    return results


def number(value: Any) -> float:
    """Return the mean of a metric that may have several values, such as one per class."""
    return float(np.mean(value))


def metrics(results: Any, objective: keras_tuner.Objective) -> dict[str, float]:
    """Return the metrics of checked results: those of the best epoch, averaged over a list."""
    if isinstance(results, keras.callbacks.History) and not results.history:
        raise ArithmeticError("no epoch was trained")
    found = tuner_utils.convert_to_metrics_dict(results, objective)
    return {name: float(value) for name, value in found.items()}


def best_step(results: Any, objective: keras_tuner.Objective) -> int:
    """Return the index of the best epoch of checked results, averaged over a list."""
    return tuner_utils.get_best_step(results, objective)


def need_finite(
    logs: Mapping[str, float], objective: keras_tuner.Objective, when: str = ""
) -> None:
    """Refuse an objective or a loss that is NaN or infinite: it cannot be ranked or trusted.

    Raises:
        ArithmeticError: naming it.
    """
    ranked = {"loss", "val_loss", *getattr(objective, "name_to_direction", [objective.name])}
    for name, value in logs.items():
        if name in ranked and not np.isfinite(value).all():
            raise ArithmeticError(f"{name} became {value}{when}")


def _need_objective(logs: Mapping, objective: keras_tuner.Objective) -> None:
    if logs and not objective.has_value(logs):
        wanted = ", ".join(getattr(objective, "name_to_direction", [objective.name]))
        raise NotLogged(f"objective: expected one of {', '.join(logs)}, got {wanted}")


class BestEpoch(keras.callbacks.Callback):
    """Records each epoch, keeps the best and the last weights, stops at a non-finite value.

    Args:
        objective: The objective.
        required: Whether each epoch must log the objective.
    """

    def __init__(self, objective: keras_tuner.Objective, required: bool):
        super().__init__()
        self.objective, self.required = objective, required
        self.began = self.started = time.perf_counter()
        self.history: dict[str, list[float]] = {}
        self.best_value, self.best_weights = None, None
        self.last_weights = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = {name: number(value) for name, value in (logs or {}).items()}
        now = time.perf_counter()
        epochs = len(self.history.get(SECONDS, ()))
        logged = logs | {SECONDS: now - self.started}
        for name in logged:
            self.history.setdefault(name, [math.nan] * epochs)  # not logged in earlier ones
        for name, values in self.history.items():
            values.append(logged.get(name, math.nan))
        self.started = now
        if self.required:
            _need_objective({n: v for n, v in self.history.items() if n != SECONDS}, self.objective)
        self.last_weights = self.model.get_weights()
        if not self.objective.has_value(logs):
            self.best_weights = self.last_weights
        else:
            value = self.objective.get_value(logs)
            if self.best_value is None or self.objective.better_than(value, self.best_value):
                self.best_value, self.best_weights = value, self.last_weights
        need_finite(logs, self.objective, f" in epoch {epoch + 1}")

    def take(self, results: Any) -> None:
        """Record checked results whose loop did not call the callbacks."""
        if isinstance(results, keras.callbacks.History):
            self.history = dict(results.history)
        else:
            self.history = {n: [v] for n, v in metrics(results, self.objective).items()}
        epochs = max(map(len, self.history.values()), default=0)
        seconds = time.perf_counter() - self.began
        self.history[SECONDS] = [seconds / epochs] * epochs if epochs else []

    def beats(self, other: "BestEpoch | None") -> bool:
        """Return whether its best weights are to be kept rather than those of another."""
        if other is None or other.best_value is None:
            return True
        mine = math.nan if self.best_value is None else self.best_value
        return self.objective.better_than(mine, other.best_value)
