"""Run jobs on the worker processes: keep them busy, replace those that die."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait

from shared_keras import trial_job
from shared_keras.trial_job import Job, Result
from shared_keras.workers import Worker

DIED = "RuntimeError: its worker process died twice, as it does without enough memory"


def run(
    pool: Sequence[Worker],
    search: trial_job.Search,
    choose: Callable[[list[Worker]], tuple[Worker, Job] | None],
    end: Callable[[Worker, Job, Result | None], None],
    report: Callable[[], None] = lambda: None,
) -> None:
    """Train until nothing runs and nothing is left to choose.

    A worker that dies is replaced, and its job run once more. If this is left by an
    exception, Ctrl-C included, the workers that train are ended.

    Args:
        pool: The workers.
        search: What all jobs have in common.
        choose: Given the idle workers, returns one of them and its next job, or None.
        end: Called with what came of a job, or None if its worker died twice.
        report: Called whenever something happened, and once a second.
    """
    ready = [_begin(worker, search) for worker in pool]
    idle, busy, died = list(pool), {}, set()
    try:
        while True:
            while idle and (choice := choose(idle)):
                worker, job = choice
                idle.remove(worker)
                busy[_submit(worker, search, job)] = worker, job
            report()
            if not busy:
                return
            done, _ = wait([*busy, *ready], timeout=1, return_when=FIRST_COMPLETED)
            for future in done & set(ready):
                ready.remove(future)
                if not _died(future):
                    future.result()
            for future in done & set(busy):
                worker, job = busy.pop(future)
                if _died(future) and job.folder not in died:
                    died.add(job.folder)
                    busy[_revive(worker, search, job)] = worker, job
                    continue
                idle.append(worker)
                end(worker, job, None if _died(future) else future.result())
    except BaseException:
        for worker, _ in busy.values():
            worker.stop()
        raise


def _begin(worker: Worker, search: trial_job.Search) -> Future:
    try:
        return worker.submit(trial_job.begin, search)
    except BrokenExecutor:  # it died since it was last used
        worker.restart()
        return worker.submit(trial_job.begin, search)


def _submit(worker: Worker, search: trial_job.Search, job: Job) -> Future:
    try:
        return worker.submit(trial_job.run, job)
    except BrokenExecutor:  # it died while it was idle
        return _revive(worker, search, job)


def _revive(worker: Worker, search: trial_job.Search, job: Job) -> Future:
    worker.restart()
    worker.submit(trial_job.begin, search)
    return worker.submit(trial_job.run, job)


def _died(future: Future) -> bool:
    """Return whether the process of a job that is done died under it."""
    return isinstance(future.exception(), BrokenExecutor)
