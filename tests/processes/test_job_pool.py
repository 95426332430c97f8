"""Jobs on worker processes that may die at any moment."""

import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import psutil  # noqa: F401 - with it, loky replaces processes that grow
import pytest

from shared_keras.errors import RunFailed
from shared_keras.processes import job_pool, parcel
from shared_keras.processes.local_pool import LocalPool, LocalWorker


class Job(SimpleNamespace):
    """A job that is hashed by its identity."""

    __hash__ = object.__hash__


def work(shared, job):
    """Die as often as asked, or grow, then return."""
    assert shared == "what they share"
    with open(job.folder, "a") as file:
        file.write("x")
    if job.folder.stat().st_size <= job.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.grow:
        time.sleep(1.1)  # loky checks once a second
        kept.append(b"x" * 2_000_000)
    return job.folder.name


kept = []


@pytest.fixture
def jobs(tmp_path):
    """Make jobs, each of which dies the given number of times."""
    return lambda *deaths, grow=False: [
        Job(folder=Path(tmp_path, str(i)), deaths=n, grow=grow) for i, n in enumerate(deaths)
    ]


def kill(worker):
    """Kill the process of an idle worker and wait until the worker knows."""
    try:
        os.kill(worker.submit(os.getpid).result(), signal.SIGKILL)
        while worker.submit(os.getpid):
            time.sleep(0.05)
    except RuntimeError:  # loky's: the process was terminated
        pass


def run(pool, waiting, *, end=lambda worker, name: None, shared="what they share"):
    results = {}

    def choose(idle):
        return (idle[0], waiting.pop(0)) if waiting else None

    def ended(worker, job, result):
        results[job.folder.name] = result
        end(worker, job.folder.name)

    job_pool.run(pool, shared, work, choose, ended, lambda: bool(waiting))
    return results


@pytest.mark.long(only=True)
def test_a_job_whose_worker_dies_runs_a_second_time_but_not_a_third(jobs):
    results = run(LocalPool(2), jobs(0, 1, 5, 0))
    assert "SIGKILL" in str(results.pop("2"))
    assert results == {"0": "0", "1": "1", "3": "3"}


@pytest.mark.long(only=True)
def test_a_process_that_loky_replaces_is_given_what_its_jobs_need(jobs, monkeypatch):
    """Where psutil is installed, loky ends a process that grew and starts another."""
    monkeypatch.setenv("LOKY_MAX_MEMORY_LEAK_SIZE", "1e6")
    (worker,) = LocalPool(1).workers()
    worker.restart()
    before = worker.submit(os.getpid).result()
    assert run(LocalPool(1), jobs(0, 0, 0, grow=True)) == {i: i for i in "012"}
    assert worker.submit(os.getpid).result() != before
    worker.stop()


@pytest.mark.long(only=True)
def test_a_worker_that_grows_is_kept(jobs, monkeypatch):
    """It holds compiled programs and models, which loky mistakes for a leak."""
    monkeypatch.delenv("LOKY_MAX_MEMORY_LEAK_SIZE", raising=False)
    (worker,) = LocalPool(1).workers()
    worker.restart()
    assert float(worker.submit(os.getenv, "LOKY_MAX_MEMORY_LEAK_SIZE").result()) > 1e12
    worker.stop()


class Unwelcome:
    """Can be pickled, but not unpickled."""

    def __reduce__(self):
        return int, ("no number",)


class Ending:
    """Cannot be pickled, and says so in a sentence that ends in a full stop, as some do."""

    def __reduce__(self):
        raise TypeError("Not this one.")


@pytest.mark.parametrize("shared", [Unwelcome(), (i for i in range(3)), Ending()])
def test_what_cannot_be_sent_is_reported_in_one_sentence(jobs, shared):
    waiting = jobs(0)

    def choose(idle):
        return (idle[0], waiting.pop()) if waiting else None

    with pytest.raises(RunFailed, match="to a worker process: (Value|Type)Error.*[^.]$"):
        job_pool.run(LocalPool(1), shared, work, choose, lambda *_: None, lambda: bool(waiting))


class DeadlyData:
    """Ends as many processes as asked that read it, one after the other."""

    def __init__(self, folder, deaths):
        self.read, self.deaths = folder / "read", deaths

    def __reduce__(self):
        return read_deadly, (self.read, self.deaths)


def read_deadly(path, deaths):
    with open(path, "a") as file:
        file.write("x")
    if path.stat().st_size <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return "what they share"


@pytest.mark.long(only=True)
def test_a_worker_that_dies_before_its_first_job_is_replaced_once(jobs, tmp_path):
    assert run(LocalPool(1), jobs(0), shared=DeadlyData(tmp_path, 1)) == {"0": "0"}
    (tmp_path / "read").unlink()
    with pytest.raises(RunFailed, match="no job could begin: its worker process died twice"):
        run(LocalPool(1), jobs(0), shared=DeadlyData(tmp_path, 9))


@pytest.mark.long(only=True)
def test_workers_that_die_while_idle_are_replaced(jobs):
    def end(worker, name):
        if name == "0":
            kill(worker)

    pool = LocalPool(2)
    kill(pool.workers()[0])
    assert run(pool, jobs(0, 0, 0, 0), end=end) == {i: i for i in "0123"}


@pytest.mark.long(only=True)
def test_an_exception_is_raised_and_ends_the_busy_workers(jobs):
    def fail(worker, name):
        raise KeyboardInterrupt

    pool = LocalPool(2)
    before = pool.workers()
    with pytest.raises(KeyboardInterrupt):
        run(pool, jobs(0, 0, 0), end=fail)
    assert len(pool.workers()) == 2 and set(pool.workers()) != set(before)


class Arriving(Future):
    """What all jobs share, which arrives while nobody has looked for jobs."""

    looks = 0

    def done(self):
        self.looks += 1
        if self.looks == 2 and not super().done():
            self.set_result(None)
        return super().done()


@pytest.mark.long(only=True)
def test_jobs_begin_though_the_shared_data_arrive_at_an_unlucky_moment(jobs, monkeypatch):
    """Between the look for a job and the question whether any is left."""
    real = LocalWorker.submit

    def submit(worker, function, *args):
        given = real(worker, function, *args)
        if function is not parcel.hold:
            return given
        given.result()
        return Arriving()

    monkeypatch.setattr(LocalWorker, "submit", submit)
    assert run(LocalPool(1), jobs(0)) == {"0": "0"}
