"""Workers of a process that is itself a child of `multiprocessing`."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from shared_keras.processes import job_pool, local_pool
from shared_keras.processes.local_pool import LocalPool
from shared_keras.processes.protocol import NoWorkers
from tests.hyperband import small_search
from tests.shares import dealt

LONG = 120  # seconds


def answer(shared, job):
    return os.getppid()


def ask():
    """Return the parent of a worker."""
    answers = []

    def end(job, result):
        answers.append(result)

    job_pool.run_all(LocalPool(1), None, answer, ["a job"], end, lambda: not answers)
    return answers[0]


def check_and_end():
    assert ask() == os.getpid()


@pytest.mark.long(only=True)
@pytest.mark.parametrize("method", dealt(["spawn", "fork", "forkserver"], ["spawn", "fork"]))
def test_a_child_that_had_workers_ends_and_its_parent_keeps_its_own(method):
    workers = local_pool.get(1)
    child = multiprocessing.get_context(method).Process(target=check_and_end)
    child.start()
    child.join(LONG)
    try:
        assert child.exitcode == 0
    finally:
        child.kill()
    assert local_pool.get(1) == workers and ask() == os.getpid()


PROGRAM = """
import multiprocessing, operator, sys
from shared_keras.processes import job_pool
from shared_keras.processes.local_pool import LocalPool

def seven(job):
    return 7

def child():
    answers = []
    job_pool.run_all(
        LocalPool(1), seven, operator.call, [0], lambda job, result: answers.append(result),
        lambda: not answers,
    )
    print(__name__, answers)

if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
    process.start()
    process.join()
"""


@pytest.mark.long(only=True)
@pytest.mark.parametrize("method", dealt(["spawn", "forkserver"], ["spawn"]))
def test_workers_of_a_child_know_what_the_program_itself_defines(tmp_path, method):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, tmp_path / "program.py", method],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert ended.stdout == "__mp_main__ [7]\n", ended.stderr


@pytest.mark.long(only=True)
@pytest.mark.parametrize("method", dealt(["spawn", "fork"], ["fork"]))
def test_a_process_of_a_pool_ends(method):
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(ask).result(LONG) != os.getpid()


def search_as_a_daemon(folder):
    with pytest.raises(NoWorkers, match="a daemonic process, .* may have no children"):
        LocalPool(1).workers()
    with open(folder / "said", "w") as said, os.fdopen(os.dup(1), "w") as before:
        os.dup2(said.fileno(), 1)
        tuner = small_search.search(small_search.make(folder, max_epochs=1), verbose=1)
        os.dup2(before.fileno(), 1)
    (folder / "outcome").write_text(repr(small_search.outcome(tuner)))


@pytest.mark.long(only=True)
def test_a_search_in_a_daemonic_process_trains_there_and_says_so(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=search_as_a_daemon, args=(tmp_path,), daemon=True)
    child.start()
    child.join(LONG)
    assert child.exitcode == 0
    said = (tmp_path / "said").read_text()
    assert "Trials train in this process, one after the other, because a daemonic process," in said
    here = small_search.outcome(
        small_search.search(small_search.make(tmp_path / "h", max_epochs=1))
    )
    assert (tmp_path / "outcome").read_text() == repr(here)
