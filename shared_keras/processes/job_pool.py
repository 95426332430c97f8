"""Run jobs on workers that may die, leave and join: keep them busy, and lose no job.

What all jobs of a run share is sent to each process once. A process may be replaced, by this
module or by loky itself. The new one then answers that it lacks the shared data, and gets it
before its job comes again.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

from shared_keras.errors import RunFailed
from shared_keras.processes.parcel import CannotBeSent, NotGiven, Parcel
from shared_keras.processes.protocol import Job, Pool, Worker, WorkerLost

__all__ = ["CannotBeSent", "Died", "run", "run_all"]
DEATHS = 2  # of the processes that run a job, after which the job is given up
LOSSES = 10  # of workers through no fault of the job, which may be wrong


class Died(Exception):
    """The process that ran a job died, twice."""


def run(
    pool: Pool,
    shared: Any,
    work: Callable[[Any, Any], Any],
    choose: Callable[[list[Worker]], tuple[Worker, Job] | None],
    end: Callable[[Worker, Any, Any], None],
    left: Callable[[], bool],
    report: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda note: None,
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
        left: Asked when no job runs: whether there is one to choose, though maybe no worker.
        report: Called whenever something has happened, and once a second.
        say: Called with a sentence when workers came or went.

    Raises:
        CannotBeSent: before the first job, if `shared` cannot be sent to another process. Later,
            workers that cannot take it are not used.
        RunFailed: if there are no workers for too long.
    """
    run = _Run(pool, Parcel(pool, shared, work))
    try:
        while True:
            run.send_to_new_ones()
            ready, idle = run.ready(), run.idle()
            while idle and ready and (next_ := run.again_on(idle) or choose(idle)):
                worker, job = next_
                idle.remove(worker)
                run.start(worker, job)
            report()
            while pool.notes:
                say(pool.notes.pop(0))
            if not run.busy and not run.again and not left():
                return
            for worker, job, result in run.ended():
                end(worker, job, result)
    except BaseException:
        for worker, _ in run.busy.values():
            worker.stop()
        raise


def run_all(
    pool: Pool,
    shared: Any,
    work: Callable[[Any, Any], Any],
    jobs: Iterable[Job],
    end: Callable[[Any, Any], None],
    left: Callable[[], bool],
    report: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda note: None,
) -> None:
    """Run independent jobs, and begin them in their order. See `run`.

    Args:
        pool: The workers.
        shared: What all jobs share.
        work: Called in a worker as `work(shared, job)`.
        jobs: The jobs; each is asked for when there is an idle worker for it.
        end: Called with the job, and what `work` returned or a `Died`.
        left: Asked when no job runs: whether some are left.
        report: See `run`.
        say: See `run`.
    """
    waiting = iter(jobs)

    def choose(idle: Sequence[Worker]) -> Any:
        job = next(waiting, None)
        return None if job is None else (idle[0], job)

    run(pool, shared, work, choose, lambda worker, job, result: end(job, result), left, report, say)


class _Run:
    """Which workers hold the shared data, which jobs run where, and which are to run again."""

    def __init__(self, pool: Pool, parcel: Parcel):
        self.pool, self.parcel = pool, parcel
        self.holding: dict[Worker, Future[Any]] = {}  # done once a worker has the shared data
        self.busy: dict[Future[Any], tuple[Worker, Job]] = {}
        self.again: list[Job] = []
        self.deaths: Counter[Job] = Counter()
        self.losses: Counter[Job] = Counter()
        self.unborn = 0  # times that workers died before they had the data, while none had them
        self.arrived = False  # whether the data ever arrived
        self.refusing: set[Worker] = set()  # they cannot unpickle the data

    def send_to_new_ones(self) -> None:
        """Send the shared data to workers that are new.

        Raises:
            RunFailed: if processes die of them, or there are no workers for too long.
        """
        self._replace_unborn()
        here = self.pool.workers()
        for worker in here:
            if worker not in self.holding:
                self.holding[worker] = _submit(worker, self.parcel.to_hold())
        self.holding = {worker: self.holding[worker] for worker in here}

    def idle(self) -> list[Worker]:
        """Return the workers without a job."""
        out = self.refusing | {worker for worker, _ in self.busy.values()}
        return [worker for worker in self.holding if worker not in out]

    def ready(self) -> bool:
        """Return whether the shared data have arrived somewhere, so that jobs can begin.

        Raises:
            CannotBeSent: if a worker cannot unpickle them before they have arrived anywhere.
            RunFailed: if no other workers are left.
        """
        holds = any(map(_holds, self.holding.values()))
        self.arrived |= holds
        for worker, future in self.holding.items():
            if worker in self.refusing or not _refuses(future):
                continue
            if not self.arrived:
                future.result()  # raises it
            self.refusing.add(worker)
            self.pool.notes.append(f"{worker.name} is not used: {future.exception()}.")
        if self.holding and not self.busy and self.holding.keys() <= self.refusing:
            raise RunFailed(str(next(iter(self.holding.values())).exception()))
        return holds or bool(self.busy)

    def _replace_unborn(self) -> None:
        """Replace the workers that died before they had the shared data."""
        dead = {worker: f for worker, f in self.holding.items() if f.done() and _died(f)}
        if any(map(_holds, self.holding.values())):
            self.unborn = 0
        else:
            self.unborn += any(not _lost(future) for future in dead.values())
        for worker, future in dead.items():
            worker.restart()
            del self.holding[worker]
            if self.unborn >= DEATHS and not self.busy:
                raise RunFailed(f"no job could begin: {_obituary(future)}")

    def again_on(self, idle: list[Worker]) -> tuple[Worker, Job] | None:
        """Return a job that is to run again, and a worker for it."""
        return (idle[0], self.again.pop(0)) if self.again else None

    def start(self, worker: Worker, job: Job) -> None:
        """Run a job."""
        self.busy[_submit(worker, self.parcel.to_work(job))] = worker, job

    def ended(self) -> Iterator[tuple[Worker, Job, Any]]:
        """Wait a second, or until something happens, and yield the jobs that have ended."""
        running = [*self.busy, *(f for f in self.holding.values() if not f.done())]
        if not running:  # no worker is there
            time.sleep(0.1)
        done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        for future in [future for future in self.busy if future in done]:
            worker, job = self.busy.pop(future)
            if _died(future):
                worker.restart()
                self.holding.pop(worker, None)
                (self.losses if _lost(future) else self.deaths)[job] += 1
                if self.deaths[job] < DEATHS and self.losses[job] < LOSSES:
                    self.again.append(job)
                else:
                    yield worker, job, _obituary(future)
            elif isinstance(answer := future.result(), NotGiven):
                if worker not in self.holding or _refuses(self.holding[worker]):
                    self.again.append(job)
                else:  # loky replaced the process
                    self.holding[worker] = _submit(worker, self.parcel.to_hold())
                    self.start(worker, job)
            else:
                yield worker, job, self.parcel.result(answer)


def _submit(worker: Worker, call: tuple[Any, ...]) -> Future[Any]:
    """Submit to a worker, whose process is replaced if it has died."""
    try:
        return worker.submit(*call)
    except BrokenExecutor:
        worker.restart()
        return worker.submit(*call)


def _died(future: Future[Any]) -> bool:
    """Return whether a job is done because its process died."""
    return isinstance(future.exception(), BrokenExecutor)


def _lost(future: Future[Any]) -> bool:
    return isinstance(future.exception(), WorkerLost)


def _holds(future: Future[Any]) -> bool:
    """Return whether a worker has the shared data, given the future that tells it."""
    return future.done() and future.exception() is None


def _refuses(future: Future[Any]) -> bool:
    """Return whether a worker could not unpickle the shared data."""
    return future.done() and not _holds(future) and not _died(future)


def _obituary(future: Future[Any]) -> Died:
    """Return how a job's process died."""
    codes = re.search(r"{(.*)}", str(future.exception()))
    how = f" ({codes[1]})" if codes else ""
    return Died(
        f"its worker process died twice{how}; the system sends SIGKILL when memory runs out"
    )
