"""Train a search's open trials on its workers, and record the results."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_tuner

from shared_keras.hyperband import job, table
from shared_keras.hyperband.rungs import COMPLETED, FAILED, Slot, lineage
from shared_keras.processes import job_pool
from shared_keras.processes.workers import Worker
from shared_keras.training import checkpoints

if TYPE_CHECKING:
    from shared_keras.hyperband.tuner import Hyperband


def run(
    tuner: "Hyperband", shared: job.Search, deadline: float | None, report: Callable[[], None]
) -> None:
    """Train until no slot is open or the time is up.

    Args:
        tuner: The tuner whose search it is.
        shared: What all its trials have in common.
        deadline: The time, on the clock of `time.monotonic`, after which no trial is started.
        report: Called whenever something has happened, and once a second.
    """
    pool = tuner.pool()
    trials = {}

    def choose(idle):
        if deadline is not None and time.monotonic() >= deadline:
            return None
        choice = _choose(tuner, idle)
        if choice is None:
            return None
        worker, slot = choice
        trial = tuner.oracle.begin(slot, f"worker{pool.index(worker)}")
        tuner.begun(trial, worker)
        begun = _job(tuner, trial)
        trials[begun] = trial
        return worker, begun

    def end(worker, ended, result):
        _end(tuner, trials.pop(ended), worker, result)

    job_pool.run(pool, shared, job.run, choose, end, report)


def _choose(tuner, idle: Sequence[Worker]) -> tuple[Worker, Slot] | None:
    """Return a worker and its next slot: one that is warm there, else a new one, else any."""
    slots = tuner.oracle.open_slots()
    if not slots:
        return None
    for worker in idle:
        for slot in slots:
            if slot.parent and tuner.warm_workers.get(slot.parent) is worker:
                return worker, slot
    new = (slot for slot in slots if slot.parent is None)
    return idle[0], next(new, slots[0])


def _job(tuner, trial) -> job.Job:
    place = table.bookkeeping(trial)
    return job.Job(
        hyperparameters=trial.hyperparameters.get_config(),
        folder=tuner.folder(trial.trial_id),
        parent=tuner.folder(place.parent) if place.parent else None,
        initial_epoch=place.initial_epoch,
        epochs=place.epochs,
        seed=tuner.oracle.seed_of_training(trial),
        resumable=place.rung < place.bracket,
    )


def _end(tuner, trial, worker: Worker, result: job.Result | job_pool.Died) -> None:
    """Record a trial's result, then delete the checkpoints that are no longer needed."""
    del tuner.running[trial.trial_id]
    if isinstance(result, job_pool.Died):
        trial.status, trial.message = FAILED, f"RuntimeError: {result}"
    else:
        trial.hyperparameters = keras_tuner.HyperParameters.from_config(result.hyperparameters)
        tuner.seconds[trial.trial_id] = sum(result.history.get("seconds", ()))
        if result.failure is None:
            metrics = result.logs()
            metrics[tuner.oracle.objective.name] = tuner.oracle.objective.get_value(metrics)
            step = table.bookkeeping(trial).initial_epoch + result.best
            tuner.oracle.update_trial(trial.trial_id, metrics, step=step)
            trial.status = COMPLETED
            tuner.warm_workers[trial.trial_id] = worker
        else:
            trial.status, trial.message = FAILED, result.failure
    tuner.oracle.end_trial(trial)
    _prune(tuner)


def _prune(tuner) -> None:
    """Keep what a promotion needs, and the weights of the best trials and their ancestors."""
    promotable = tuner.oracle.promotable()
    kept = set(promotable)
    trials = tuner.oracle.trials
    count = len(trials) if tuner.keep_checkpoints == "all" else tuner.keep_checkpoints
    stocks = keras_tuner.Oracle.get_best_trials(tuner.oracle, count)  # what a stock tuner loads
    for trial in (*tuner.ranked()[:count], *stocks):
        kept |= {ancestor.trial_id for ancestor in lineage(trials, trial)}
    for trial_id in trials.keys() - tuner.running.keys():
        if trial_id not in promotable:
            (tuner.folder(trial_id) / checkpoints.STATE).unlink(missing_ok=True)
        if trial_id not in kept:
            Path(tuner._get_checkpoint_fname(trial_id)).unlink(missing_ok=True)
