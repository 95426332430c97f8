"""What a worker process does: train one trial, from where its parent stopped."""

import copy
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import keras_tuner
from keras_tuner import errors

from shared_keras import keras_settings, training
from shared_keras.errors import NO_ROOM, one_line
from shared_keras.hyperband.decisions import drawn
from shared_keras.hyperband.space import Space
from shared_keras.hyperband.trials import (
    callback_files,
    compiling,
    folds,
    outcomes,
    own_fit,
    saved,
    tensorboard_dirs,
)
from shared_keras.hyperband.trials.messages import Result, Search, TrialJob
from shared_keras.hyperband.trials.outcomes import BestEpoch, NotLogged
from shared_keras.results import history_csv, names
from shared_keras.training import current_epoch
from shared_keras.training.current_epoch import CurrentEpoch

FATAL = (NotLogged, saved.NotSaved, errors.FatalError)


class Rejected(errors.FailedTrialError):
    """The hypermodel does not want these hyperparameters; others are to be drawn."""


@dataclass
class TrialCourse:
    """The executions of a job so far, and what is to be said about them."""

    executions: list[BestEpoch] = field(default_factory=list)
    note: str | None = None

    def seconds(self) -> float:
        """Return the training time of all epochs."""
        return sum(sum(each.history.get(outcomes.SECONDS, ())) for each in self.executions)


def run(search: Search, job: TrialJob) -> Result:
    """Train a trial; write its history, a checkpoint and, if it is resumable, its state.

    Raises:
        OSError: if a file cannot be written, which is not the trial's fault.
        BadInput: if the objective is not logged; no other trial would log it either.
        keras_tuner.errors.FatalError: if the hypermodel raised it, to end the search.
    """
    keras_settings.apply(search.keras_settings)
    hp = job.drawn(search)
    return record(search, job, hp, lambda course: train(search, job, hp, course))


def record(
    search: Search,
    job: TrialJob,
    hp: drawn.DrawnHyperParameters,
    work: Callable[[TrialCourse], Any],
    fatal: tuple = FATAL,
) -> Result:
    """Return the result of a training, whether it succeeds or fails. See `run`.

    Args:
        search: The search.
        job: The job.
        hp: What `TrialJob.drawn` returned; the training may add to it.
        work: Trains, given the course to record it in, and returns what KerasTuner accepts.
        fatal: Exceptions that end the search instead of the trial.
    """
    course = TrialCourse()
    found: dict[str, Any] = {}
    try:
        results = outcomes.check(work(course), search.objective, "Tuner.run_trial()")
        metrics = outcomes.metrics(results, search.objective)
        found = {"metrics": metrics, "best": outcomes.best_step(results, search.objective)}
    except BaseException as error:  # in a worker, never Ctrl-C, which workers ignore
        if isinstance(error, fatal) or getattr(error, "errno", None) in NO_ROOM:
            raise
        chance = not isinstance(error, errors.FailedTrialError)
        found = {"failure": _failure(error), "retry": chance}
        found |= {"rejected": isinstance(error, Rejected)}
    finally:
        current_epoch.forget(job.folder)
    history = course.executions[0].history if course.executions else {}
    given = hp.given().get_config()
    return Result(history, course.seconds(), given, note=course.note, **found)


def train(
    search: Search, job: TrialJob, hp: drawn.DrawnHyperParameters, course: TrialCourse
) -> list:
    """Train all executions of a trial, and return what each training returned. See `run`."""
    best, best_number, all_results = None, 0, []
    for number in range(search.executions * (search.folds or 1)):
        best_epoch = BestEpoch(search.objective, not own_fit.is_in(search.hypermodel))
        course.executions.append(best_epoch)
        try:
            model = _model(search, job, hp, number)
            results = _fit(search, job, hp, model, number, course)
            results = outcomes.check(results, search.objective, "HyperModel.fit()")
            if not best_epoch.history:  # its own loop did not call the callbacks
                best_epoch.take(results)
        finally:
            first = job.initial_epoch + 1
            path = job.folder / numbered(names.HISTORY, number)
            history_csv.write(path, best_epoch.history, first)
        state = job.folder / numbered(saved.STATE, number) if job.resumable else None
        better = best_epoch.beats(best)
        saved.write(search.warm, job.folder, state, model, best_epoch, better)
        best, best_number = (best_epoch, number) if better else (best, best_number)
        all_results.append(results)
    callback_files.put_best_first(job.folder, best_number)
    return all_results


def numbered(name: str, number: int) -> str:
    """Return the name of an execution's file: `history.csv`, `history-1.csv`, ..."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{number}{dot}{ending}" if number else name


def seed_of(job: TrialJob, number: int) -> int:
    """Return the seed of an execution."""
    return drawn.derive_seed(job.seed, number) if number else job.seed


def _failure(error: BaseException) -> str:
    """Return the traceback of the current exception; its last line is the reason."""
    return f"{traceback.format_exc()}\n{one_line(error)}"


def _model(
    search: Search, job: TrialJob, hp: drawn.DrawnHyperParameters, number: int
) -> keras.Model:
    """Return the model as the parent left it, or a new one."""
    state = job.parent and job.parent / numbered(saved.STATE, number)
    if state in search.warm:
        return search.warm.pop(state)
    training.seed_layers(seed_of(job, number))
    with search.scope():
        model = build(search, hp)
    if job.parent is not None:
        saved.read(state, model)
    return model


def build(search: Search, hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return a new model, compiled as the search says.

    Raises:
        Rejected: if the hypermodel rejects the hyperparameters, or the model is too large.
        keras_tuner.errors.FatalTypeError: if it is not a model.
    """
    try:
        model = search.hypermodel.build(hp)
    except errors.FailedTrialError as error:
        raise Rejected(str(error)) from error
    if not isinstance(model, keras.Model):
        raise errors.FatalTypeError(
            "Expected the model-building function, or HyperModel.build() to return a valid "
            f"Keras Model instance, compiled. Received: {model!r}"
        )
    compiling.recompile(model, search.parts)
    if search.max_model_size and model.built:
        size = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        if size > search.max_model_size:
            raise Rejected(f"Oversized model: {size} parameters, more than max_model_size")
    return model


def _fit(
    search: Search,
    job: TrialJob,
    hp: drawn.DrawnHyperParameters,
    model: keras.Model,
    number: int,
    course: TrialCourse,
) -> Any:
    """Train a model, and return what its training returned."""
    callbacks = _copies(keras.tree.flatten(search.options.get("callbacks") or []))
    tensorboard_dirs.separate(callbacks, hp.given(), job.folder, number)
    callbacks += [*search.tuner_callbacks, course.executions[-1], CurrentEpoch(job.folder)]
    callback_files.separate(callbacks, search.here, job.folder, number)
    own = {"initial_epoch": job.initial_epoch, "epochs": job.epochs, "callbacks": callbacks}
    args, options = search.args, search.options
    seed = seed_of(job, number)
    if search.folds:
        args, options = folds.cut(args, options, search.folds, number % search.folds, search.seed)
    if own_fit.is_in(search.hypermodel):
        training.seed_globals(seed)

        def say(line: str) -> None:
            course.note = course.note or line

        with own_fit.running(model, callbacks, job.folder, search.quiet, say):
            return search.hypermodel.fit(hp, model, *args, **{**options, **own})
    given = {**training.arguments(*args, **options), **own}
    if isinstance(search.hypermodel, Space):
        given = search.hypermodel.options(hp, given)
    del given["seed"]
    if course.note is None and (why := training.why_not_compiled(model, given)):
        course.note = (
            f"keras.Model.fit trains, instead of one compiled program per epoch, as {why}."
        )
    return training.fit(model, seed=seed, **given)


def _copies(callbacks: list) -> list:
    try:
        return copy.deepcopy(callbacks)
    except Exception as error:
        raise errors.FatalValueError(
            "All callbacks used during a search should be deep-copyable, since each trial gets "
            f"its own copies; copying {callbacks!r} failed: {error}"
        ) from error
