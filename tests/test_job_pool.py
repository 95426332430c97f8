"""Jobs on worker processes that may die at any moment."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared_keras import job_pool, trial_job, workers


def prepare(search):
    """What `trial_job.begin` is here."""
    global begun
    begun = search


def work(job):
    """What `trial_job.run` is here: die as often as asked, then return."""
    assert begun == "a search"
    with open(job.folder, "a") as file:
        file.write("x")
    if job.folder.stat().st_size <= job.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return job.folder.name


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """Make jobs that die so many times each."""
    monkeypatch.setattr(trial_job, "begin", prepare)
    monkeypatch.setattr(trial_job, "run", work)
    return lambda *deaths: [
        SimpleNamespace(folder=Path(tmp_path, str(i)), deaths=n) for i, n in enumerate(deaths)
    ]


def kill(worker):
    """Kill the process of an idle worker and wait until that is known."""
    try:
        os.kill(worker.submit(os.getpid).result(), signal.SIGKILL)
        while worker.submit(os.getpid):
            time.sleep(0.05)
    except RuntimeError:  # loky's: the process was terminated
        pass


def run(pool, waiting, *, end=lambda worker, name: None):
    results = {}

    def choose(idle):
        return (idle[0], waiting.pop(0)) if waiting else None

    def ended(worker, job, result):
        results[job.folder.name] = result
        end(worker, job.folder.name)

    job_pool.run(pool, "a search", choose, ended)
    return results


def test_a_job_whose_worker_dies_runs_once_more_and_no_third_time(jobs):
    pool = workers.get(2)
    assert run(pool, jobs(0, 1, 5, 0)) == {"0": "0", "1": "1", "2": None, "3": "3"}


def test_workers_that_die_while_idle_are_replaced(jobs):
    def end(worker, name):
        if name == "0":
            kill(worker)

    pool = workers.get(2)
    kill(pool[0])
    assert run(pool, jobs(0, 0, 0, 0), end=end) == {i: i for i in "0123"}


def test_what_raises_is_not_hidden_and_ends_the_workers_that_train(jobs):
    def fail(worker, name):
        raise KeyboardInterrupt

    pool = workers.get(2)
    with pytest.raises(KeyboardInterrupt):
        run(pool, jobs(0, 0, 0), end=fail)
    assert len(workers.get(2)) == 2 and set(workers.get(2)) != set(pool)
