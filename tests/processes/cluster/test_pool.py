"""Workers on a real Ray cluster, whose nodes join, leave and die."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import keras
import pandas as pd
import psutil
import pytest

from shared_keras.command_line import cli
from shared_keras.errors import RunFailed
from shared_keras.hyperband import confirm
from shared_keras.processes import carried, cluster, job_pool
from shared_keras.processes.protocol import WorkerLost
from tests.commands.test_interruption import Searcher
from tests.conftest import MNIST
from tests.hyperband.healthy_search import FIT, X, Y, make, outcome, search
from tests.shares import dealt

ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
from ray import cluster_utils  # noqa: E402

from shared_keras.processes.cluster import connection  # noqa: E402

FAST = {"period_ms": 300, "timeout_ms": 1000, "failure_threshold": 2}  # a dead node is noticed


@pytest.fixture(scope="module")
def nodes():
    """A cluster of three nodes, as if on three machines, with a CPU core each."""
    for name, value in FAST.items():
        os.environ[f"RAY_health_check_{name}"] = str(value)
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="class")
def pool(nodes):
    """The workers of the cluster, for a test or a class of tests; nothing of them stays behind."""
    with cluster.connect() as made:
        yield made
    until(lambda: not actors() and not leftovers())


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a search on this machine decides and leaves."""
    folder = tmp_path_factory.mktemp("local")
    return outcome(search(make(folder, workers=1))), files(folder)


def files(folder):
    """Return the weights that a search left, and the names of its other files."""
    left = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: name.suffix == ".h5" and path.read_bytes() for name, path in left.items()}


def until(happened, seconds=30):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def actors():
    """Return the processes of our workers on all nodes."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith("ray::Node"):
                found.append(process)
    return found


def lives(process):
    """Return whether a process runs, and does not merely wait for its parent to notice its end."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def leftovers():
    """Return what jobs left on the nodes."""
    return list(Path(tempfile.gettempdir()).glob(f"{carried.PREFIX}*"))


def write(logs):
    Path("own").write_text("written")


class TestOneSearchAfterTheOther:
    """They share the workers, which take seconds to begin."""

    @pytest.mark.long(only=True)
    @pytest.mark.parametrize("count", dealt([1, 2, 9], [1]))
    def test_the_result_is_that_of_this_machine_though_workers_and_nodes_are_killed(
        self, nodes, pool, expected, tmp_path, monkeypatch, count
    ):
        """The nodes see none of our files: trials run elsewhere, and what they wrote comes back."""
        monkeypatch.setattr(job_pool, "DEATHS", 99)  # by chance, a trial may be hit more than once
        chance, kills = random.Random(0), []

        def kill():
            if len(kills) == count or chance.random() > 0.2 or not pool.workers():
                return
            if len(kills) % 2:
                nodes.remove_node(chance.choice(nodes.list_all_nodes()[1:]), allow_graceful=False)
                nodes.add_node(num_cpus=1)
            else:
                chance.choice(actors()).kill()
            kills.append(len(kills))

        number = 0
        while len(kills) < count:
            folder, number = tmp_path / str(number), number + 1
            tuner = search(make(folder, workers=pool, callback=kill))
            assert (outcome(tuner), files(folder)) == expected

    @pytest.mark.long(only=True)
    def test_nodes_that_join_are_used_and_jobs_of_lost_ones_run_again(self, nodes, pool):
        before = len(nodes.list_all_nodes())
        node = nodes.add_node(num_cpus=1)
        until(lambda: len(pool.workers()) == before + 1, 60)
        assert pool.size() == before + 1
        there = next(w for w in pool.workers() if w.node == node.node_id)
        (name,) = (
            f"{each['NodeManagerAddress']}:{each['NodeManagerPort']}"
            for each in ray.nodes()
            if each["NodeID"] == node.node_id
        )
        lost = there.submit(time.sleep, 60)
        time.sleep(0.5)
        nodes.remove_node(node, allow_graceful=False)
        assert isinstance(lost.exception(timeout=60), WorkerLost)
        there.restart()
        gone = f"Node {name} is gone; what ran there starts over elsewhere."
        until(lambda: pool.workers() and gone in pool.notes, 60)
        until(lambda: len(pool.workers()) == before)

    def test_the_cluster_answers_when_it_is_asked(self, nodes, pool, monkeypatch):
        found = []
        run = subprocess.run
        monkeypatch.setattr(
            subprocess, "run", lambda *args, **options: found.append(run(*args, **options))
        )
        connection.ask_ray(nodes.address, "argument --cluster")
        assert found[0].returncode == 0 and found[0].stdout

    @pytest.mark.long(only=True)
    def test_what_callbacks_write_to_relative_paths_comes_back(self, pool, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tuner = make(tmp_path / "search", workers=pool, max_trials=2)
        log = keras.callbacks.CSVLogger("log.csv")
        own = keras.callbacks.LambdaCallback(on_train_end=write)
        tuner.search(X[:300], Y[:300], **FIT, callbacks=[log, own])
        assert Path("own").read_text() == "written"
        folders = {tuner.folder(trial) for trial in tuner.oracle.trials}
        logs = {folder: (folder / "callbacks/log.csv").read_text() for folder in folders}
        assert len(logs) == 2
        assert logs[tuner.folder(tuner.winner().trial_id)] == Path("log.csv").read_text()

    @pytest.mark.long(only=True)
    def test_who_is_to_blame_for_the_death_of_a_process(self, pool):
        """Not a job that came when its process was dead; but one that ends its process."""
        until(lambda: len(pool.workers()) > 1)
        idle, busy = pool.workers()[:2]
        os.kill(idle.submit(os.getpid).result(), signal.SIGKILL)
        assert isinstance(idle.submit(os.getpid).exception(timeout=60), WorkerLost)
        error = busy.submit(os.system, "sleep 0.3; kill -9 $PPID").exception(timeout=60)
        assert isinstance(error, BrokenExecutor) and not isinstance(error, WorkerLost)
        for worker in (idle, busy):
            worker.restart()

    @pytest.mark.long(only=True)
    def test_confirming_runs_there_too(self, pool, tmp_path):
        tuner = search(make(tmp_path, workers=pool, max_trials=1))
        table = confirm.retrain(tuner, 1, X[:300], Y[:300], **FIT, seeds=2)
        assert table["n"].tolist() == [2]


@pytest.mark.long(only=True)
def test_another_version_is_refused_before_the_first_trial(pool, tmp_path, monkeypatch):
    monkeypatch.setitem(pool._versions, "keras", "0.1")
    with pytest.raises(RunFailed, match=f"keras is {keras.__version__} there and 0.1 here"):
        search(make(tmp_path, workers=pool))
    assert not list(tmp_path.glob("*/trial_*"))


@pytest.mark.long(only=True)
def test_another_processor_is_told(pool, monkeypatch):
    monkeypatch.setattr(pool, "_processors", "abacus")
    until(pool.workers)
    assert "Nodes have another processor" in " ".join(pool.notes)


@pytest.mark.long(only=True)
def test_a_search_says_what_it_waits_for_and_not_for_ever(nodes, small_dirs, tmp_path, capsys):
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    words = ["--cluster", "auto", "--gpus-per-worker", "1", "--cluster-timeout", "6"]
    assert cli.main(MNIST, "search", ["--quick", *words, *places]) == 1
    out, err = capsys.readouterr()
    assert "\nWaiting for a worker: no node offers 1 GPUs.\n" in out
    assert "no worker for 6 seconds (no node offers 1 GPUs); the same command resumes" in err
    assert len(err.splitlines()) == 1


@pytest.mark.long(only=True)
def test_a_search_whose_command_is_killed_goes_on_without_a_cluster(
    nodes, small_dirs, tmp_path, capsys
):
    user = Searcher(small_dirs["mnist"], tmp_path)
    process = user.start("cut", "--cluster", nodes.address)
    for line in process.stdout:
        if line.startswith("2/6"):
            break
    process.kill()
    process.communicate()
    kept = user.ended("cut")
    assert len(kept) >= 2
    until(lambda: not actors() and not leftovers())
    assert cli.main(MNIST, "search", user.words("cut")) == 0
    assert f"{len(kept)} of 6 trials done" in capsys.readouterr().out
    assert cli.main(MNIST, "search", user.words("whole")) == 0
    pd.testing.assert_frame_equal(user.trials("cut"), user.trials("whole"))


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_number_of_workers_on_a_node_does_not_matter(nodes, expected, tmp_path, count):
    node = nodes.add_node(num_cpus=8)
    try:
        with cluster.connect(workers=count) as pool:
            until(lambda: len(pool.workers()) == count)
            tuner = search(make(tmp_path / "there", workers=pool))
            assert (outcome(tuner), files(tmp_path / "there")) == expected
    finally:
        nodes.remove_node(node)
    tuner = search(make(tmp_path / "here", workers=count))
    assert (outcome(tuner), files(tmp_path / "here")) == expected


@pytest.mark.long(only=True)
def test_a_search_outlives_a_network_that_is_gone_for_a_while(pool, expected, tmp_path):
    """The head node's service does not answer for longer than a node may be silent."""
    until(lambda: len(pool.workers()) == 3)
    (service,) = [p for p in psutil.process_iter() if p.name() == "gcs_server"]
    resume = threading.Timer(15, service.resume)

    def pause():
        if not resume.is_alive() and not resume.finished.is_set():
            service.suspend()
            resume.start()

    tuner = search(make(tmp_path, workers=pool, callback=pause))
    assert resume.finished.is_set()
    assert (outcome(tuner), files(tmp_path)) == expected


@pytest.mark.long(only=True)
def test_if_the_head_node_dies_the_search_ends_and_goes_on_elsewhere(small_dirs, tmp_path, capsys):
    user = Searcher(small_dirs["mnist"], tmp_path)
    process = user.start("cut", "--cluster", "local")
    for line in process.stdout:
        if line.startswith("2/6"):
            break
    below = psutil.Process(process.pid).children(recursive=True)
    ours = [p for p in below if not p.name().endswith("Agent")]  # Ray's end a minute later
    (service,) = [p for p in below if p.name() == "gcs_server"]
    service.kill()
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1 and len(err.splitlines()) == 1
    assert "the cluster" in err and "head node" in err
    until(lambda: not any(map(lives, ours)))
    kept = len(user.ended("cut"))
    assert cli.main(MNIST, "search", user.words("cut")) == 0
    assert f"{kept} of 6 trials done" in capsys.readouterr().out
