"""What a worker process does: train one trial, from where its parent stopped."""

import copy
import errno
import math
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from shared_keras import files, keras_settings, training
from shared_keras.errors import BadInput
from shared_keras.hyperband import drawn
from shared_keras.hyperband.space import Space
from shared_keras.models.initializers import assign
from shared_keras.training import checkpoints, current_epoch

BUILD_CONFIG = "build_config.json"  # this and the next are KerasTuner's names
CHECKPOINT = "checkpoint.weights.h5"
WARM = 2**29  # bytes of compiled models that stay in memory for trials that resume them
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotLogged(BadInput):
    """The objective is not among the logs of an epoch."""


@dataclass(frozen=True)
class Search:
    """What all trials of a search have in common.

    Attributes:
        hypermodel: `keras_tuner.HyperModel`.
        metrics: Returns the metrics to compile the models with, or None for their own.
        objective: `keras_tuner.Objective`.
        x: Inputs to train on.
        y: Targets.
        options: Further arguments of `training.fit`.
        keras_settings: The user's global Keras settings, such as a dtype policy.
        warm: In a worker, the models that others may resume, by the folder of their trial.
    """

    hypermodel: keras_tuner.HyperModel
    metrics: Callable[[], list] | None
    objective: keras_tuner.Objective
    x: np.ndarray
    y: np.ndarray
    options: Mapping[str, Any]
    keras_settings: Mapping = field(default_factory=keras_settings.read)
    warm: OrderedDict[Path, keras.Model] = field(default_factory=OrderedDict)


@dataclass(frozen=True, eq=False)
class Job:
    """A trial to train.

    Attributes:
        hyperparameters: `HyperParameters.get_config()`.
        folder: Folder of the trial.
        parent: Folder of the trial that it resumes, if any.
        initial_epoch: Epoch at which it starts.
        epochs: Epoch at which it stops.
        seed: Determines initial values, dropout and the order of the samples.
        resumable: Whether another trial may resume it.
    """

    hyperparameters: Mapping
    folder: Path
    parent: Path | None
    initial_epoch: int
    epochs: int
    seed: int
    resumable: bool


@dataclass(frozen=True)
class Result:
    """The result of a job.

    Attributes:
        history: Values per epoch, "seconds" among them, up to the failure, if any.
        best: Index of the best epoch in the history.
        hyperparameters: The job's, and those that the training itself declared.
        failure: A traceback whose last line is the reason, or None.
    """

    history: dict[str, list[float]]
    best: int
    hyperparameters: dict
    failure: str | None = None

    def logs(self) -> dict[str, float]:
        """Return what the best epoch logged."""
        return {name: v[self.best] for name, v in self.history.items() if name != "seconds"}


def own_fit(hypermodel: keras_tuner.HyperModel) -> bool:
    """Return whether a hypermodel trains its models itself."""
    return not isinstance(hypermodel, Space) and (
        type(hypermodel).fit is not keras_tuner.HyperModel.fit
    )


def run(search: Search, job: Job) -> Result:
    """Train a trial; write history.csv, a checkpoint and, if it is resumable, its state.

    Raises:
        OSError: if a file cannot be written, which is not the trial's fault.
        BadInput: if the objective is not logged; no other trial would log it either.
    """
    keras_settings.apply(search.keras_settings)
    hp = drawn.of(job.hyperparameters, job.seed)
    best_epoch = BestEpoch(search.objective)
    failure = None
    try:
        model = _model(search, job, hp)
        _fit(search, job, hp, model, best_epoch)
    except BaseException as error:  # never Ctrl-C, which workers ignore
        if isinstance(error, NotLogged) or getattr(error, "errno", None) in NO_ROOM:
            raise
        failure = _told(error)
    finally:
        current_epoch.forget(job.folder)
    files.write_history(job.folder / "history.csv", best_epoch.history, first=job.initial_epoch + 1)
    if failure is None:
        try:
            _save_outputs(search, job, model, best_epoch)
        except OSError:
            raise
        except Exception as error:  # the model cannot be saved
            failure = _told(error)
    return Result(best_epoch.history, best_epoch.best, hp.get_config(), failure)


def _told(error: BaseException) -> str:
    """Return the traceback of the current exception; its last line is the reason."""
    return f"{traceback.format_exc()}\n{type(error).__name__}: {' '.join(str(error).split())}"


def _model(search: Search, job: Job, hp) -> keras.Model:
    """Return the model as the parent left it, or a new one."""
    if job.parent in search.warm:
        return search.warm.pop(job.parent)
    training.seed_layers(job.seed)
    model = search.hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise TypeError(f"build must return a compiled keras.Model. Received: {model!r}")
    if search.metrics is not None:
        model.compile(model.optimizer, model.loss, metrics=search.metrics())
    if job.parent is not None:
        if not model.built:  # the first batch would have built it
            model.build_from_config(files.read_json(job.parent / BUILD_CONFIG))
        checkpoints.load(job.parent / checkpoints.STATE, model)
    return model


def _fit(search: Search, job: Job, hp, model, best_epoch: "BestEpoch") -> None:
    callbacks = copy.deepcopy(keras.tree.flatten(search.options.get("callbacks") or []))
    options = dict(search.options) | {
        "initial_epoch": job.initial_epoch,
        "epochs": job.epochs,
        "callbacks": [*callbacks, best_epoch, current_epoch.CurrentEpoch(job.folder)],
    }
    hypermodel = search.hypermodel
    if own_fit(hypermodel):
        training.seed_globals(job.seed)
        results = hypermodel.fit(hp, model, search.x, search.y, **options)
        if not best_epoch.history:  # its own loop does not call the callbacks
            _record(results, best_epoch)
        return
    if isinstance(hypermodel, Space):
        options = hypermodel.options(hp, options)
    training.fit(model, search.x, search.y, seed=job.seed, **options)


def _record(results, best_epoch: "BestEpoch") -> None:
    """Record what a hypermodel's own `fit` returned, in every form that the stock class accepts."""
    if isinstance(results, keras.callbacks.History):
        epochs = zip(*results.history.values())
        all_logs = [dict(zip(results.history, values)) for values in epochs]
    elif isinstance(results, list) and results:  # several trainings
        all_logs = [_mean(results, best_epoch.objective)]
    elif isinstance(results, Mapping):
        all_logs = [results]
    elif np.ndim(results) == 0 and np.issubdtype(np.asarray(results).dtype, np.number):
        all_logs = [{best_epoch.objective.name: results}]
    else:
        raise TypeError(
            "fit must return a History, a dict of metrics, the value of the objective or a list "
            f"of these. Received: {results!r}"
        )
    for logs in all_logs:
        best_epoch.add(logs, None)
        _need_finite(logs)


def _mean(results: list, objective) -> dict[str, float]:
    """Return the mean over several trainings of what each logged in its best epoch."""
    best = []
    for each in results:
        best_epoch = BestEpoch(objective)
        _record(each, best_epoch)
        best.append({name: values[best_epoch.best] for name, values in best_epoch.history.items()})
    names = set.intersection(*map(set, best)) - {"seconds"}
    return {name: float(np.mean([logs[name] for logs in best])) for name in sorted(names)}


def _save_outputs(search: Search, job: Job, model, best_epoch: "BestEpoch") -> None:
    """Write the trial's best weights, and the state from which another trial resumes it.

    The state has the weights of the last epoch. The end of a training may replace these, by
    an optimizer's averages or by what `EarlyStopping` restores, but an uninterrupted training
    would not have continued from there.
    """
    files.write_json(job.folder / BUILD_CONFIG, model.get_build_config())
    last = best_epoch.last_weights or model.get_weights()
    assign(model.weights, best_epoch.best_weights or last)
    checkpoints.save_weights(job.folder / CHECKPOINT, model)
    assign(model.weights, last)
    if job.resumable:
        checkpoints.save(job.folder / checkpoints.STATE, model)
        search.warm[job.folder] = model
        while len(search.warm) > 1 and sum(map(_size, search.warm.values())) > WARM:
            search.warm.popitem(last=False)


def _size(model) -> int:
    """Return the bytes of a model's weights and of its optimizer's state, counted as float32."""
    variables = [*model.variables, *checkpoints.slots(model)]
    return 4 * sum(math.prod(variable.shape) for variable in variables)


def _need_finite(logs: Mapping[str, float], when: str = "") -> None:
    """Refuse NaN and infinity, which cannot be ranked."""
    for name, value in logs.items():
        if not np.isfinite(value).all():
            raise ArithmeticError(f"{name} became {value}{when}")


class BestEpoch(keras.callbacks.Callback):
    """Records each epoch, keeps the best and the last weights, stops at a non-finite value."""

    def __init__(self, objective):
        super().__init__()
        self.objective, self.started = objective, time.perf_counter()
        self.history: dict[str, list[float]] = {}
        self.best, self.best_value, self.best_weights = 0, None, None
        self.last_weights = None

    def on_epoch_end(self, epoch, logs=None):
        self.add(logs, self.model)
        _need_finite(logs, f" in epoch {epoch + 1}")

    def add(self, logs: Mapping[str, float], model) -> None:
        now = time.perf_counter()
        for name, value in (logs | {"seconds": now - self.started}).items():
            if np.size(value) == 1:  # skips metrics with a value per class
                self.history.setdefault(name, []).append(float(value))
        self.started = now
        if not self.objective.has_value(self.history):
            single = ", ".join(name for name in self.history if name != "seconds")
            raise NotLogged(f"objective: expected one of {single}, got {self.objective.name}")
        self.last_weights = model and model.get_weights()
        value = self.objective.get_value(logs)
        if self.best_value is None or self.objective.better_than(value, self.best_value):
            self.best, self.best_value = len(self.history["seconds"]) - 1, value
            self.best_weights = self.last_weights
