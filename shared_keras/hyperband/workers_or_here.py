"""Where the trials of a search train: on the workers or, where that cannot be, in this process."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras import training
from shared_keras.hyperband import overrides, run_trials
from shared_keras.hyperband.trials import job
from shared_keras.hyperband.trials.job import TrialCourse
from shared_keras.processes.job_pool import CannotBeSent
from shared_keras.processes.protocol import NoWorkers


def train(
    tuner: keras_tuner.Tuner,
    args: Sequence,
    options: Mapping[str, Any],
    deadline: float | None,
    reports: Sequence[Callable[[], None]],
    say: Callable[[str], None],
) -> None:
    """Train the open trials of a `Hyperband`.

    Args:
        tuner: The tuner.
        args: Positional arguments of the training.
        options: Its keyword arguments.
        deadline: The time, on the clock of `time.monotonic`, after which no trial is started.
        reports: Called whenever something has happened.
        say: Called with a line that tells where and how trials train, if not as usual.
    """
    note = _noting(tuner.course.notes, say)

    def each_time() -> None:
        tuner.oracle.catch_up()
        note()
        for report in reports:
            report()

    reason = overrides.reason_to_train_here(tuner)
    if reason is None:
        try:
            shared = tuner.shared(args, options)
            run_trials.run(tuner.course, tuner.pool, shared, deadline, each_time, say)
            return
        except (CannotBeSent, NoWorkers) as error:
            if not tuner.pool.shares_files:  # a cluster was asked for
                raise
            reason = str(error)
    say(f"Trials train in this process, one after the other, because {reason}.")

    def train_here(trial: Trial) -> Any:
        return _train_here(tuner, trial, args, options)

    run_trials.run_here(tuner.course, train_here, deadline, each_time)


def _train_here(
    tuner: keras_tuner.Tuner, trial: Trial, args: Sequence, options: Mapping
) -> job.Result:
    shared = tuner.shared(args, options)
    begun = run_trials.make_job(tuner.course, trial)
    hp = begun.drawn(shared)
    trial.hyperparameters = hp

    def work(course: TrialCourse) -> Any:
        tuner.here = course
        results = tuner.run_trial(trial, *args, **options)
        return _reported(trial, tuner.oracle.objective.name) if results is None else results

    with training.random_state_restored():
        return job.record(shared, begun, hp, work, (*job.FATAL, KeyboardInterrupt, SystemExit))


def _reported(trial: Trial, objective: str) -> dict[str, float] | None:
    """Return what a `run_trial` that returns nothing gave to `Oracle.update_trial`, if anything."""
    known = trial.metrics
    if not known.exists(objective):
        return None
    warnings.warn(
        "Please remove the call to `oracle.update_trial`, and return the metrics from `run_trial`.",
        DeprecationWarning,
        stacklevel=2,
    )
    return {name: known.get_best_value(name) for name in known.metrics}


def _noting(notes: Sequence[str], say: Callable) -> Callable[[], None]:
    """Return a function that says each new note once."""
    said: set[str] = set()

    def note_new() -> None:
        for note in set(notes) - said:
            said.add(note)
            say(note)

    return note_new
