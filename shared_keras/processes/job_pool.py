"""Run jobs on worker processes: keep them busy, replace those that die.

What all jobs of a run share is sent to each process once. A process may be replaced, by this
module or by loky itself. The new one then answers that it lacks the shared data, and gets it
together with its job.
"""

import gc
import re
import uuid
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

import cloudpickle

from shared_keras.errors import RunFailed
from shared_keras.processes.workers import Worker


class Died(Exception):
    """The process that ran a job died, twice."""


class CannotBeSent(RunFailed):
    """What all jobs share cannot be sent to another process."""


def run(
    pool: Sequence[Worker],
    shared: Any,
    work: Callable[[Any, Any], Any],
    choose: Callable[[list[Worker]], tuple[Worker, Hashable] | None],
    end: Callable[[Worker, Any, Any], None],
    report: Callable[[], None] = lambda: None,
) -> None:
    """Run jobs until none is running and none is left to choose.

    A worker that dies is replaced, and its job run once more. If an exception ends this
    function, such as that of Ctrl-C, the busy workers are stopped.

    Args:
        pool: The workers.
        shared: What all jobs share.
        work: Called in a worker as `work(shared, job)`.
        choose: Given the idle workers, returns one of them and its next job, or None.
        end: Called with the worker, the job, and what `work` returned or, if the worker
            died twice, a `Died`.
        report: Called whenever something has happened, and once a second.

    Raises:
        CannotBeSent: before the first job, if `shared` cannot be sent to another process.
    """
    parcel = _Parcel(shared, work)
    ready = [_submit(worker, parcel.hold) for worker in pool]
    _arrive(ready)
    idle, busy, died = list(pool), {}, set()

    def start(worker, job, call=parcel.work):
        busy[_submit(worker, call, job)] = worker, job

    try:
        while True:
            while idle and (choice := choose(idle)):
                worker, job = choice
                idle.remove(worker)
                start(worker, job)
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
                if _died(future):
                    if job not in died:
                        died.add(job)
                        start(worker, job, parcel.hold_and_work)
                        continue
                    result = _obituary(future)
                else:
                    result = future.result()
                if isinstance(result, _NotGiven):  # loky has replaced the process
                    start(worker, job, parcel.hold_and_work)
                    continue
                idle.append(worker)
                end(worker, job, result)
    except BaseException:
        for worker, _ in busy.values():
            worker.stop()
        raise


def _arrive(ready: list[Future]) -> None:
    """Wait until one process has what all jobs share, so that no job begins if none can."""
    wait(ready, return_when=FIRST_COMPLETED)
    for future in ready:
        if future.done() and not _died(future):
            future.result()


class _NotGiven:
    """The answer of a process that lacks the data that all jobs share."""


_held: dict[str, Any] = {}  # in a worker: what its jobs share, by key


class _Parcel:
    """What all jobs share, pickled once, and the calls that are submitted to workers."""

    def __init__(self, shared, work):
        self.key, self.function = uuid.uuid4().hex, work
        try:
            self.data = cloudpickle.dumps(shared)
        except Exception as error:
            raise _cannot_be_sent(error) from error

    @property
    def hold(self):
        return _hold, self.key, self.data

    @property
    def work(self):
        return _work, self.key, self.function

    @property
    def hold_and_work(self):
        return _hold_and_work, self.key, self.data, self.function


def _hold(key: str, data: bytes) -> None:
    _held.clear()
    try:
        _held[key] = cloudpickle.loads(data)
    except Exception as error:
        raise _cannot_be_sent(error) from error
    gc.collect()
    gc.freeze()  # imported modules need no collecting


def _work(key: str, function: Callable, job):
    return function(_held[key], job) if key in _held else _NotGiven()


def _hold_and_work(key: str, data: bytes, function: Callable, job):
    _hold(key, data)
    return _work(key, function, job)


def _cannot_be_sent(error: Exception) -> CannotBeSent:
    return CannotBeSent(
        "the hypermodel, the data or an option of the search cannot be sent to a worker "
        f"process: {type(error).__name__}: {' '.join(str(error).split())}"
    )


def _submit(worker: Worker, call: tuple, *args) -> Future:
    """Submit to a worker, whose process is replaced if it has died."""
    try:
        return worker.submit(*call, *args)
    except BrokenExecutor:
        worker.restart()
        return worker.submit(*call, *args)


def _died(future: Future) -> bool:
    """Return whether a job is done because its process died."""
    return isinstance(future.exception(), BrokenExecutor)


def _obituary(future: Future) -> Died:
    """Return how a job's process died."""
    codes = re.search(r"{(.*)}", str(future.exception()))
    how = f" ({codes[1]})" if codes else ""
    return Died(
        f"its worker process died twice{how}; the system sends SIGKILL when memory runs out"
    )
