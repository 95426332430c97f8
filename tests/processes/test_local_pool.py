"""Worker processes: kept, pinned, replaced."""

import os
import re
import signal
import sys

import keras
import pytest

from shared_keras import devices
from shared_keras.processes import local_pool as workers
from tests.conftest import CORES


def pids(pool):
    return [worker.submit(os.getpid).result() for worker in pool]


@pytest.fixture(autouse=True, scope="module")
def every_core():
    """Let this process use all cores, as a user's does, and its workers, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    workers.stop()
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.long(only=True)
def test_workers_are_kept_from_one_search_to_the_next():
    cores = os.sched_getaffinity(0)
    pool = workers.get(len(cores))
    before = pids(pool)
    assert len(set(before)) == len(cores) and os.getpid() not in before
    assert pids(workers.get(len(cores))) == before
    where = [worker.submit(os.sched_getaffinity, 0).result() for worker in pool]
    assert sorted(map(list, where)) == [[core] for core in sorted(cores)]  # each on its own
    pool[0].stop()
    again = workers.get(len(cores))
    assert sorted(worker.core for worker in again) == sorted(cores)
    assert set(before[1:]) <= set(pids(again))


@pytest.mark.long(only=True)
def test_a_worker_that_died_is_replaced():
    worker = workers.get(len(os.sched_getaffinity(0)))[0]
    pid = worker.submit(os.getpid).result()
    with pytest.raises(RuntimeError, match="SIGKILL"):
        worker.submit(os.kill, pid, signal.SIGKILL).result()
    worker.restart()
    assert worker.submit(os.getpid).result() != pid


@pytest.mark.long(only=True)
def test_one_thread_each(monkeypatch):
    for name in ("XLA_FLAGS", *workers.ONE_THREAD):  # they are inherited
        monkeypatch.delenv(name)
    worker = workers.get(len(os.sched_getaffinity(0)))[0]
    worker.restart()
    assert worker.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    assert "multi_thread_eigen=false" in worker.submit(os.getenv, "XLA_FLAGS").result()
    worker.stop()  # its flags are not those of the others


@pytest.mark.long(only=True)
def test_a_program_without_standard_streams_has_workers(monkeypatch):
    """Such as a service that was started with them closed."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    worker = workers.get(1)[0]
    worker.restart()
    assert worker.submit(os.getpid).result() != os.getpid()
    assert sys.stdout is sys.stderr is None


@pytest.mark.long(only=True)
def test_workers_have_the_backend_of_this_process(monkeypatch):
    """Whatever the environment variable says by then."""
    monkeypatch.setenv("KERAS_BACKEND", "another")
    assert devices.backend() == keras.backend.backend()
    worker = workers.get(1)[0]
    worker.restart()
    assert worker.submit(os.getenv, "KERAS_BACKEND").result() == keras.backend.backend()


def test_a_containers_quota_is_respected(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert workers.default() == 1


@pytest.mark.long(only=True)
def test_where_the_system_hides_its_cores_workers_run_unpinned(monkeypatch):
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    pool = workers.get(2)
    assert [worker.core for worker in pool] == [None, None] and len(set(pids(pool))) == 2
    assert workers.default() >= 1
    assert re.fullmatch("CPU, (1 core|[0-9]+ cores)", devices.describe())


@pytest.mark.long(only=True)
def test_workers_are_pinned_only_if_there_is_one_for_each_core():
    cores = os.sched_getaffinity(0)
    count = 1 if len(cores) > 1 else 2
    pool = workers.get(count)
    for worker in pool:
        worker.restart()  # it may have been started while this process had a single core
    where = [worker.submit(os.sched_getaffinity, 0).result() for worker in pool]
    assert where == [cores] * count
