"""Train what `retrain` is asked for, here or on workers, and show how it ended."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from shared_keras import files, words
from shared_keras.commands.retraining import choices, kept, training_job, unfinished
from shared_keras.commands.retraining.group import Group
from shared_keras.commands.retraining.kept import Paused
from shared_keras.commands.retraining.request import RetrainRequest
from shared_keras.commands.retraining.training_job import Failed, RunJob, SharedByRuns
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import BadInput, RunFailed, of_file, sentence
from shared_keras.processes import job_pool, quick_import
from shared_keras.processes.protocol import Pool
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.reporting.runs_progress import Running, RunsProgress
from shared_keras.results import folders, names, run_folders
from shared_keras.results.environment import origin
from shared_keras.results.metrics import RunMetrics
from shared_keras.task import Task
from shared_keras.training import current_epoch

PAUSE = 60  # seconds
ONCE_TRAINED = ("scipy.stats", "sklearn.metrics", "shared_keras.reporting.pages.run_page")


def run(task: Task, asked: RetrainRequest, pool: Pool | None) -> None:
    """Train all that was asked for; print and write the results.

    Args:
        task: The task.
        asked: What the retraining was asked.
        pool: The workers, or None to do a single run in this process.

    Raises:
        BadInput: if the flags do not fit each other or the results.
        RunFailed: if a run failed; the others are kept.
    """
    task = own_data.task_of(task, asked.data_dir)
    chosen = choices.choose(task, asked)
    images = datasets.load(task, asked.data_dir, say)
    digest = datasets.digest(*images)
    keras.config.set_dtype_policy(asked.precision)
    cut = {name: splits.split(task, *images, name) for name in {each.split for each in chosen}}
    groups = [
        Group(
            task=task,
            choice=choice,
            asked=asked,
            digest=digest,
            protocol=run_report.protocol(choice.split, cut[choice.split]),
            test=cut[choice.split].test,
        )
        for choice in chosen
    ]
    shared = SharedByRuns(task, *images, origin())
    with unfinished.take_up_or_create(groups):
        if pool is None:
            _run_here(shared, *groups)
        else:
            _Session(shared, groups).run(pool)


def _run_here(shared: SharedByRuns, group: Group) -> None:
    """Do a single run, and print a line after each epoch."""
    group.introduce()
    (seed,) = group.seeds
    say(f"seed {seed}")
    job = group.job(seed)
    if group.resumed:
        say(f"resuming {group.folder}, {_epochs(job)}")

    def after_epoch(epoch: int, logs: Any) -> None:
        run_report.epoch(epoch + 1, job.settings.epochs, logs)

    quick_import.ahead(*ONCE_TRAINED)
    try:
        group.results[seed] = training_job.run(shared, job, after_epoch)
    except RunFailed as error:
        kept.forget(group.folder)
        raise RunFailed(_reason(error, group.folder)) from None
    except BadInput:  # what was kept cannot be read
        raise
    except BaseException as error:
        files.sweep(group.folder)
        left = f"{group.folder} is left, {_epochs(job)}; the same command resumes from there"
        if of_file(error):
            raise RunFailed(f"{sentence(error)}; {left}") from None
        say(left)
        raise
    kept.forget(group.folder)
    run_report.finished(group.results[seed], group.folder)
    group.finish()


def _epochs(job: RunJob) -> str:
    """Say how many epochs of a run have been kept."""
    losses = run_folders.losses_of(job.folder)
    return f"where {len(losses) or 'none'} of {job.settings.epochs} epochs have been kept"


class _Begun(NamedTuple):
    group: Group
    seed: int
    since: float


class _Session:
    """Runs of several groups on workers: those that take longest begin first.

    On workers that do not see our files, a run pauses each minute, brings back what it has, and
    resumes on the next worker.
    """

    def __init__(self, shared: SharedByRuns, groups: list[Group]):
        self.shared, self.groups = shared, sorted(groups, key=Group.cost, reverse=True)
        self.total = sum(len(group.seeds) for group in groups)
        self.ended = self.total - sum(len(group.left) for group in groups)
        self.begun: dict[RunJob, _Begun] = {}
        self.paused: list[RunJob] = []
        self.failures: list[str] = []
        self.progress = RunsProgress(shared.task.title, self.total)

    def run(self, pool: Pool) -> None:
        """Do all runs.

        Raises:
            RunFailed: at the end, if some failed; or if there are no workers for too long.
        """
        left = words.count(self.total - self.ended, "run")
        say(f"{left} on {words.count(pool.size(), 'worker')} of one thread each")
        if any(group.resumed for group in self.groups):
            when = folders.time_of(self.groups[0].folder.name)
            ended = f"{self.ended} of {words.count(self.total, 'run')} have ended"
            say(f"resuming what began at {when}: {ended}")
        self._tell_before()
        jobs = self._jobs(None if pool.shares_files else PAUSE)

        def choose(idle: Sequence) -> Any:
            job = self.paused.pop(0) if self.paused else next(jobs, None)
            return None if job is None else (idle[0], job)

        try:
            with self.progress, pool.claimed():
                job_pool.run(
                    pool,
                    self.shared,
                    training_job.work,
                    choose,
                    lambda worker, job, result: self._end(job, result),
                    lambda: self.ended < self.total,
                    report=self._report,
                    say=say,
                )
        except BaseException as error:
            for job in self.begun:
                current_epoch.forget(job.folder)
                files.sweep(job.folder)
            left = f"{self.ended} of {words.count(self.total, 'run')} have ended; the same command "
            left += "resumes the others"
            if of_file(error):
                raise RunFailed(f"{sentence(error)}; {left}") from None
            say(left)
            raise
        if self.failures:
            told = "; ".join(self.failures)
            if any(group.left_in(group.folder) for group in self.groups):
                told += "; the same command resumes what has no result"
            raise RunFailed(f"{len(self.failures)} of {self.total} runs failed: {told}")

    def _tell_before(self) -> None:
        """Finish the groups whose runs have all ended, and note what failed in them."""
        for group in self.groups:
            for seed in group.seeds:
                if seed not in group.left and seed not in group.results:
                    place = group.place(seed)
                    why = _reason(run_folders.without_result(place), place)
                    self.failures.append(f"{group.name(seed)}: {why}")
            if not group.left:
                group.finish()

    def _jobs(self, pause_after: float | None) -> Iterator[RunJob]:
        for group in self.groups:
            if group.left:
                group.introduce()
            for seed in list(group.left):
                job = group.job(seed, pause_after)
                self.begun[job] = _Begun(group, seed, time.monotonic())
                yield job

    def _end(self, job: RunJob, result: RunMetrics | Failed | Paused | job_pool.Died) -> None:
        """Print the result of a run, and that of its group once all of it have ended."""
        if isinstance(result, Paused):
            current_epoch.tell(job.folder, len(run_folders.losses_of(job.folder)))
            self.paused.append(job)
            return
        group, seed, since = self.begun.pop(job)
        name, place = group.name(seed), group.place(seed)
        self.ended += 1
        files.sweep(job.folder)  # of a worker that died and was replaced
        current_epoch.forget(job.folder)
        if run_folders.has_ended(job.folder):
            kept.forget(job.folder)
        count = f"{self.ended}/{self.total}  {name}"
        if isinstance(result, RunMetrics):
            group.results[seed] = result
            say(f"{count}, {time.monotonic() - since:.0f} s")
            run_report.finished(result, place)
        else:
            reason = _reason(result.reason if isinstance(result, Failed) else result, place)
            self.failures.append(f"{name}: {reason}")
            say(f"{count}: failed, {reason}")
        group.left.remove(seed)
        if not group.left:
            group.finish()

    def _report(self) -> None:
        epochs = current_epoch.read({job: job.folder for job in self.begun})
        now = time.monotonic()
        running = [
            Running(group.name(seed), epochs.get(job), group.choice.epochs, now - since)
            for job, (group, seed, since) in self.begun.items()
        ]
        self.progress.update(self.ended, running)


def _reason(error: Exception | str, folder: Path) -> str:
    history = folder / names.HISTORY
    return f"{error}; see {history}" if history.exists() else str(error)
