"""Train a search's open trials on its workers, or in this process, and record the results."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras.errors import RunFailed
from shared_keras.hyperband import table
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.hyperband.decisions.rungs import (
    COMPLETED,
    ENDED,
    FAILED,
    INVALID,
    Slot,
    lineage,
    longest_first,
)
from shared_keras.hyperband.trials import callback_files, job, saved
from shared_keras.processes import job_pool
from shared_keras.processes.protocol import Pool, Worker
from shared_keras.results.trials import Span

HERE: Any = "here"  # in place of a worker


class Running(NamedTuple):
    """A running trial.

    Attributes:
        since: Its start, on the clock of `perf_counter`.
        worker: Its worker.
        hyperparameters: Those with which it began.
    """

    since: float
    worker: Worker | Literal["here"]
    hyperparameters: keras_tuner.HyperParameters


@dataclass
class SearchCourse:
    """A search as this process carries it out.

    Attributes:
        oracle: Decides which trials there are.
        folder: Returns the folder of a trial.
        keep_checkpoints: How many of the best trials keep their weights, or "all".
        before_trial: Called before a trial is created.
        on_begin: Called with a trial that begins.
        on_end: Called with a trial that has ended; reports it to the oracle.
        running: The running trials by id.
        again: Trials to run once more, because they may be retried or were rejected.
        seconds: Training time of each trial.
        warm_workers: Where the program of each trial is warm.
        notes: What is to be said about how the trials train.
        pruned: Trials that ended, and of which no file is left that could be deleted.
        say: Called with a line about workers or how trials train, if there is a callback.
    """

    oracle: Oracle
    folder: Callable[[str], Path]
    keep_checkpoints: int | Literal["all"]
    before_trial: Callable[[], None]
    on_begin: Callable[[Trial], None]
    on_end: Callable[[Trial], None]
    running: dict[str, Running] = field(default_factory=dict)
    again: list[Trial] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warm_workers: dict[str, Worker] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pruned: set[str] = field(default_factory=set)
    say: Callable[[str], None] = lambda line: None


def begin(course: SearchCourse) -> None:
    """Forget what an earlier search of the same tuner was interrupted in."""
    course.oracle.forget_interrupted()
    course.running.clear()
    course.again.clear()


def run(
    course: SearchCourse,
    pool: Pool,
    shared: job.Search,
    deadline: float | None,
    report: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Train on workers until no slot is open or the time is up.

    Args:
        course: The search.
        pool: The workers.
        shared: What all its trials have in common.
        deadline: The time, on the clock of `time.monotonic`, after which no trial is started.
        report: Called whenever something has happened, and once a second.
        say: Called with a sentence when workers came or went.

    Raises:
        CannotBeSent: before the first trial, if `shared` cannot be sent to the workers.
        RunFailed: if too many trials failed one after the other.
    """
    trials = {}

    def choose(idle: Sequence) -> Any:
        choice = None if _late(deadline) else _choose(course, idle)
        if choice is None:
            return None
        worker, new = choice
        trial = _begin(course, new, worker, worker.name)
        begun = make_job(course, trial)
        trials[begun] = trial
        return worker, begun

    def end(worker: Any, ended: Any, result: Any) -> None:
        _end(course, trials.pop(ended), worker, result)

    def left() -> bool:
        return not _late(deadline) and bool(course.again or course.oracle.open_slots())

    job_pool.run(pool, shared, job.run, choose, end, left, report, say)


def run_here(
    course: SearchCourse,
    train: Callable[[Trial], job.Result],
    deadline: float | None,
    report: Callable[[], None],
) -> None:
    """Train in this process, one trial after the other. See `run`.

    Args:
        course: The search.
        train: Trains a trial.
        deadline: The time, on the clock of `time.monotonic`, after which no trial is started.
        report: Called whenever a trial begins or ends.
    """
    while not _late(deadline) and (choice := _choose(course, [HERE])):
        trial = _begin(course, choice[1], HERE, HERE)
        report()
        try:
            result = train(trial)
        except BaseException:
            course.running.clear()
            raise
        _end(course, trial, HERE, result)
        report()


def need_success(oracle: Oracle, folder: str) -> None:
    """Refuse to go on after a first rung without any success.

    Raises:
        RunFailed: naming the first failure, and the folder of the search.
    """
    if oracle.all_failed():
        failed = next(t for t in oracle.trials.values() if t.status == FAILED)
        raise RunFailed(
            f"every trial of a first rung failed, the first with {table.reason(failed)}; "
            f"fix that, then delete {folder} or choose another name"
        )


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _choose(course: SearchCourse, idle: Sequence) -> tuple[Worker, Slot | Trial] | None:
    """Return a worker and what it runs next.

    That is a trial to run again; else a slot that is warm there, a new one, or any.
    """
    if course.again:
        return idle[0], course.again.pop(0)
    slots = course.oracle.open_slots()
    if not slots:
        return None
    warm: dict[Worker, Slot] = {}  # the first slot that is warm on each worker
    for slot in slots:
        if slot.parent in course.warm_workers:
            warm.setdefault(course.warm_workers[slot.parent], slot)
    for worker in idle:
        if worker in warm:
            return worker, warm[worker]
    new = (slot for slot in slots if slot.parent is None)
    return idle[0], next(new, slots[0])


def _begin(course: SearchCourse, new: Slot | Trial, worker: Worker, tuner_id: str) -> Trial:
    """Begin the trial of a slot, or a trial once more."""
    if isinstance(new, Trial):
        trial = new
        course.oracle.begin_again(trial, tuner_id)
    else:
        course.before_trial()
        trial = course.oracle.begin(new, tuner_id)
        course.on_begin(trial)
    callback_files.clear(course.folder(trial.trial_id))
    begun_with = trial.hyperparameters.copy()
    course.running[trial.trial_id] = Running(time.perf_counter(), worker, begun_with)
    return trial


def make_job(course: SearchCourse, trial: Trial) -> job.TrialJob:
    """Return the job that trains a trial."""
    place = table.bookkeeping(trial)
    return job.TrialJob(
        hyperparameters=trial.hyperparameters.get_config(),
        folder=course.folder(trial.trial_id),
        parent=course.folder(place.parent) if place.parent else None,
        initial_epoch=place.initial_epoch,
        epochs=place.epochs,
        seed=course.oracle.seed_of_training(trial),
        draw_seed=course.oracle.seed_of_draws(trial),
        resumable=place.rung < place.bracket,
    )


def _end(
    course: SearchCourse, trial: Trial, worker: Worker, result: job.Result | job_pool.Died
) -> None:
    """Record a trial's result, then delete the checkpoints that are no longer needed."""
    begun = course.running.pop(trial.trial_id)
    now, lasted = time.time(), time.perf_counter() - begun.since
    name = begun.worker if isinstance(begun.worker, str) else begun.worker.name
    course.oracle.spans[trial.trial_id] = Span(name, round(now - lasted, 2), round(now, 2))
    if isinstance(result, job_pool.Died):
        trial.status, trial.message = INVALID, f"RuntimeError: {result}"
    else:
        if result.rejected and course.oracle.redraw(trial):
            course.again.append(trial)
            return
        trial.hyperparameters = keras_tuner.HyperParameters.from_config(result.hyperparameters)
        course.seconds[trial.trial_id] = result.seconds
        if result.note and result.note not in course.notes:
            course.notes.append(result.note)
        if result.failure is None:
            objective = course.oracle.objective
            metrics = {objective.name: objective.get_value(result.metrics)} | result.metrics
            step = table.bookkeeping(trial).initial_epoch + result.best
            course.oracle.update_trial(trial.trial_id, metrics, step=step)
            trial.status = COMPLETED
            course.warm_workers[trial.trial_id] = worker
        else:
            trial.status = INVALID if result.retry else FAILED
            trial.message = result.failure
    course.on_end(trial)
    if trial.status == INVALID:
        trial.hyperparameters = begun.hyperparameters  # as if it were its first run
        course.again.append(trial)
    elif trial.status == FAILED and course.oracle.too_many_failed(trial):
        raise RunFailed(
            "Number of consecutive failures exceeded the limit of "
            f"{course.oracle.max_failures}, the last with {table.reason(trial)}; "
            "max_consecutive_failed_trials sets the limit"
        )
    _prune(course)


def _prune(course: SearchCourse) -> None:
    """Keep what a promotion needs, and the weights of the best trials and their ancestors.

    What nobody needs now is not needed later, so a trial without files is never among them.
    """
    oracle = course.oracle
    promotable, trials = oracle.promotable(), oracle.trials
    left = {i: trial for i, trial in trials.items() if i not in course.pruned}
    kept = set(promotable)
    count = len(trials) if course.keep_checkpoints == "all" else course.keep_checkpoints
    stocks = keras_tuner.Oracle.get_best_trials(  # what a stock tuner loads
        SimpleNamespace(trials=left, objective=oracle.objective), count
    )
    ranked = longest_first(left.values(), oracle.objective)
    winner = ranked[0].trial_id if ranked else None
    for trial in (*ranked[:count], *stocks):
        kept |= {ancestor.trial_id for ancestor in lineage(trials, trial)}
    for trial_id in left.keys() - course.running.keys() - promotable:
        folder = course.folder(trial_id)
        for state in folder.glob(saved.STATES):
            state.unlink(missing_ok=True)
        if trial_id not in kept:
            (folder / saved.CHECKPOINT).unlink(missing_ok=True)
            if trial_id == winner:  # what its callbacks wrote is for the user
                continue
            callback_files.delete_models(folder)
            if trials[trial_id].status in ENDED:
                course.pruned.add(trial_id)
