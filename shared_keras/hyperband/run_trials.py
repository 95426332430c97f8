"""Train a search's open trials on its workers, and record the results."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import keras_tuner

from shared_keras.hyperband import job, table
from shared_keras.hyperband.oracle import Oracle
from shared_keras.hyperband.rungs import COMPLETED, FAILED, Slot, lineage
from shared_keras.processes import job_pool
from shared_keras.processes.workers import Worker
from shared_keras.training import checkpoints


class Running(NamedTuple):
    """A running trial: its start, on the clock of `perf_counter`, and its worker."""

    since: float
    worker: Worker


@dataclass
class Course:
    """A search as this process carries it out.

    Attributes:
        oracle: Decides which trials there are.
        folder: Returns the folder of a trial.
        keep_checkpoints: How many of the best trials keep their weights, or "all".
        running: The running trials by id.
        seconds: Training time of each trial.
        warm_workers: Where the program of each trial is warm.
    """

    oracle: Oracle
    folder: Callable[[str], Path]
    keep_checkpoints: int | Literal["all"]
    running: dict[str, Running] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warm_workers: dict[str, Worker] = field(default_factory=dict)


def run(
    course: Course,
    pool: Sequence[Worker],
    shared: job.Search,
    deadline: float | None,
    report: Callable[[], None],
) -> None:
    """Train until no slot is open or the time is up.

    Args:
        course: The search.
        pool: The workers.
        shared: What all its trials have in common.
        deadline: The time, on the clock of `time.monotonic`, after which no trial is started.
        report: Called whenever something has happened, and once a second.
    """
    trials = {}

    def choose(idle):
        if deadline is not None and time.monotonic() >= deadline:
            return None
        choice = _choose(course, idle)
        if choice is None:
            return None
        worker, slot = choice
        trial = course.oracle.begin(slot, f"worker{pool.index(worker)}")
        course.running[trial.trial_id] = Running(time.perf_counter(), worker)
        begun = _job(course, trial)
        trials[begun] = trial
        return worker, begun

    def end(worker, ended, result):
        _end(course, trials.pop(ended), worker, result)

    job_pool.run(pool, shared, job.run, choose, end, report)


def _choose(course: Course, idle: Sequence[Worker]) -> tuple[Worker, Slot] | None:
    """Return a worker and its next slot: one that is warm there, else a new one, else any."""
    slots = course.oracle.open_slots()
    if not slots:
        return None
    for worker in idle:
        for slot in slots:
            if slot.parent and course.warm_workers.get(slot.parent) is worker:
                return worker, slot
    new = (slot for slot in slots if slot.parent is None)
    return idle[0], next(new, slots[0])


def _job(course: Course, trial) -> job.Job:
    place = table.bookkeeping(trial)
    return job.Job(
        hyperparameters=trial.hyperparameters.get_config(),
        folder=course.folder(trial.trial_id),
        parent=course.folder(place.parent) if place.parent else None,
        initial_epoch=place.initial_epoch,
        epochs=place.epochs,
        seed=course.oracle.seed_of_training(trial),
        resumable=place.rung < place.bracket,
    )


def _end(course: Course, trial, worker: Worker, result: job.Result | job_pool.Died) -> None:
    """Record a trial's result, then delete the checkpoints that are no longer needed."""
    del course.running[trial.trial_id]
    if isinstance(result, job_pool.Died):
        trial.status, trial.message = FAILED, f"RuntimeError: {result}"
    else:
        trial.hyperparameters = keras_tuner.HyperParameters.from_config(result.hyperparameters)
        course.seconds[trial.trial_id] = sum(result.history.get("seconds", ()))
        if result.failure is None:
            metrics = result.logs()
            metrics[course.oracle.objective.name] = course.oracle.objective.get_value(metrics)
            step = table.bookkeeping(trial).initial_epoch + result.best
            course.oracle.update_trial(trial.trial_id, metrics, step=step)
            trial.status = COMPLETED
            course.warm_workers[trial.trial_id] = worker
        else:
            trial.status, trial.message = FAILED, result.failure
    course.oracle.end_trial(trial)
    _prune(course)


def _prune(course: Course) -> None:
    """Keep what a promotion needs, and the weights of the best trials and their ancestors."""
    promotable = course.oracle.promotable()
    kept = set(promotable)
    trials = course.oracle.trials
    count = len(trials) if course.keep_checkpoints == "all" else course.keep_checkpoints
    stocks = keras_tuner.Oracle.get_best_trials(course.oracle, count)  # what a stock tuner loads
    for trial in (*course.oracle.get_best_trials(count), *stocks):
        kept |= {ancestor.trial_id for ancestor in lineage(trials, trial)}
    for trial_id in trials.keys() - course.running.keys():
        if trial_id not in promotable:
            (course.folder(trial_id) / checkpoints.STATE).unlink(missing_ok=True)
        if trial_id not in kept:
            (course.folder(trial_id) / job.CHECKPOINT).unlink(missing_ok=True)
