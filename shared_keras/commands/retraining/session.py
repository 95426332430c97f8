"""Train what `retrain` is asked for, here or on workers, and show how it ended."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras

from shared_keras import files
from shared_keras.commands.retraining import training_job
from shared_keras.commands.retraining.choices import choose
from shared_keras.commands.retraining.group import Group
from shared_keras.commands.retraining.training_job import Failed, Job, Shared
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import RunFailed
from shared_keras.processes import job_pool
from shared_keras.processes.protocol import Pool
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.reporting.runs_progress import Running, RunsProgress
from shared_keras.results.environment import origin
from shared_keras.task import Task
from shared_keras.training import current_epoch


def run(task: Task, args, pool: Pool | None) -> None:
    """Train all that the flags ask for; print and write the results.

    Args:
        task: The task.
        args: What `flags.retrain` parsed.
        pool: The workers, or None to do a single run in this process.

    Raises:
        BadInput: if the flags do not fit each other or the results.
        RunFailed: if a run failed; the others are kept.
    """
    task = own_data.task_of(task, args.data_dir)
    choices = choose(task, args)
    images = datasets.load(task, args.data_dir, say)
    digest = datasets.digest(*images)
    keras.config.set_dtype_policy(args.precision)
    protocols = {
        name: run_report.protocol(name, splits.split(task, *images, name))
        for name in {choice.split for choice in choices}
    }
    groups = [
        Group(
            task=task,
            choice=choice,
            system=task.system(choice.system),
            seeds=range(args.seed, args.seed + args.runs),
            torch=args.torch,
            batch_size=args.batch_size,
            precision=args.precision,
            digest=digest,
            protocol=protocols[choice.split],
            runs=args.results_dir / task.name / "runs",
        )
        for choice in choices
    ]
    shared = Shared(task, *images, origin())
    if pool is None:
        _run_here(shared, *groups)
    else:
        _Session(shared, groups).run(pool)


def _run_here(shared: Shared, group: Group) -> None:
    """Do a single run, and print a line after each epoch."""
    group.begin()
    (seed,) = group.seeds
    say(f"seed {seed}")
    job = group.job(seed)

    def after_epoch(epoch, logs):
        run_report.epoch(epoch + 1, job.settings.epochs, logs)

    try:
        group.results[seed] = training_job.run(shared, job, after_epoch)
    except RunFailed as error:
        raise RunFailed(_reason(error, group.folder)) from None
    run_report.finished(group.results[seed], group.folder)
    group.finish()


class _Begun(NamedTuple):
    group: Group
    seed: int
    since: float


class _Session:
    """Runs of several groups on workers: those that take longest begin first."""

    def __init__(self, shared: Shared, groups: list[Group]):
        self.shared, self.groups = shared, sorted(groups, key=Group.cost, reverse=True)
        self.total, self.ended = sum(len(group.seeds) for group in groups), 0
        self.begun: dict[Job, _Begun] = {}
        self.failures: list[str] = []
        self.progress = RunsProgress(shared.task.title, self.total)

    def run(self, pool: Pool) -> None:
        """Do all runs.

        Raises:
            RunFailed: at the end, if some failed; or if there are no workers for too long.
        """
        say(f"{_count(self.total, 'run')} on {_count(pool.size(), 'worker')} of one thread each")
        told = {"report": self._report, "say": say}
        try:
            with self.progress, pool.claimed():
                job_pool.run_all(
                    pool,
                    self.shared,
                    training_job.work,
                    self._jobs(),
                    self._end,
                    lambda: self.ended < self.total,
                    **told,
                )
        except BaseException:
            for job in self.begun:
                current_epoch.forget(job.folder)
                files.sweep(job.folder)
            if self.begun:
                kept = ", which are kept" * bool(self.ended)
                say(f"Stopped after {self.ended} of {self.total} runs{kept}.")
            raise
        if self.failures:
            told = "; ".join(self.failures)
            raise RunFailed(f"{len(self.failures)} of {self.total} runs failed: {told}")

    def _jobs(self) -> Iterator[Job]:
        for group in self.groups:
            group.begin()
            for seed in group.seeds:
                job = group.job(seed)
                self.begun[job] = _Begun(group, seed, time.monotonic())
                yield job

    def _end(self, job: Job, result: dict | Failed | job_pool.Died) -> None:
        """Print the result of a run, and that of its group once all of it have ended."""
        group, seed, since = self.begun.pop(job)
        name, place = group.name(seed), group.place(seed)
        self.ended += 1
        files.sweep(job.folder)  # of a worker that died and was replaced
        count = f"{self.ended}/{self.total}  {name}"
        if isinstance(result, dict):
            group.results[seed] = result
            say(f"{count}, {time.monotonic() - since:.0f} s")
            run_report.finished(result, place)
        else:
            reason = _reason(result.reason if isinstance(result, Failed) else result, place)
            self.failures.append(f"{name}: {reason}")
            say(f"{count}: failed, {reason}")
        group.left -= 1
        if group.left == 0:
            group.finish()

    def _report(self) -> None:
        epochs = current_epoch.read({job: job.folder for job in self.begun})
        now = time.monotonic()
        running = [
            Running(group.name(seed), epochs.get(job), group.choice.epochs, now - since)
            for job, (group, seed, since) in self.begun.items()
        ]
        self.progress.update(self.ended, running)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _reason(error: Exception | str, folder: Path) -> str:
    history = folder / "history.csv"
    return f"{error}; see {history}" if history.exists() else str(error)
