"""Workers on a real Ray cluster, whose nodes join, leave and die."""

import contextlib
import os
import random
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import psutil
import pytest

from shared_keras.errors import BadInput, RunFailed
from shared_keras.hyperband import confirm
from shared_keras.processes import carried, cluster, job_pool
from tests.hyperband.healthy_search import FIT, X, Y, make, outcome, search

ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
from ray import cluster_utils  # noqa: E402

from shared_keras.processes import ray_pool  # noqa: E402

KILLS = int(os.environ.get("KILLS", "2"))  # KILLS=25 is the long version


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


def leftovers():
    """Return what jobs left on the nodes."""
    return list(Path(tempfile.gettempdir()).glob(f"{carried.PREFIX}*"))


class TestOneSearchAfterTheOther:
    """They share the workers, which take seconds to begin."""

    def test_the_result_is_that_of_this_machine_though_workers_and_nodes_are_killed(
        self, nodes, pool, expected, tmp_path, monkeypatch
    ):
        """The nodes see none of our files: trials run elsewhere, and what they wrote comes back."""
        monkeypatch.setattr(job_pool, "DEATHS", 99)  # by chance, a trial may be hit more than once
        chance, kills = random.Random(0), []

        def kill():
            if len(kills) == KILLS or chance.random() > 0.2 or not pool.workers():
                return
            if len(kills) % 2:
                nodes.remove_node(chance.choice(nodes.list_all_nodes()[1:]), allow_graceful=False)
                nodes.add_node(num_cpus=1)
            else:
                chance.choice(actors()).kill()
            kills.append(len(kills))

        number = 0
        while len(kills) < KILLS:
            folder, number = tmp_path / str(number), number + 1
            tuner = search(make(folder, workers=pool, callback=kill))
            assert (outcome(tuner), files(folder)) == expected

    def test_nodes_that_join_are_used_and_jobs_of_lost_ones_run_again(self, nodes, pool):
        before = len(nodes.list_all_nodes())
        node = nodes.add_node(num_cpus=1)
        until(lambda: len(pool.workers()) == before + 1, 60)
        assert pool.size() == before + 1
        there = next(w for w in pool.workers() if w.node == node.node_id)
        lost = there.submit(time.sleep, 60)
        time.sleep(0.5)
        nodes.remove_node(node, allow_graceful=False)
        assert isinstance(lost.exception(timeout=60), ray_pool.MachineLost)
        until(lambda: len(pool.workers()) == before)
        assert f"Node {node.node_id[:8]} is gone" in " ".join(pool.notes)

    def test_what_callbacks_write_to_relative_paths_comes_back(self, pool, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tuner = make(tmp_path / "search", workers=pool, max_trials=1)
        tuner.search(X[:300], Y[:300], **FIT, callbacks=[keras.callbacks.CSVLogger("log.csv")])
        assert "val_accuracy" in Path("log.csv").read_text()

    def test_confirming_runs_there_too(self, pool, tmp_path):
        tuner = search(make(tmp_path, workers=pool, max_trials=1))
        table = confirm.retrain(tuner, 1, X[:300], Y[:300], **FIT, seeds=2)
        assert table["n"].tolist() == [2]


def test_another_version_is_refused_before_the_first_trial(pool, tmp_path, monkeypatch):
    here = ray_pool.versions("jax")
    monkeypatch.setattr(ray_pool, "versions", lambda backend: here | {"keras": "0.1"})
    with pytest.raises(RunFailed, match=f"keras is {keras.__version__} there and 0.1 here"):
        search(make(tmp_path, workers=pool))
    assert not list(tmp_path.glob("*/trial_*"))


def test_another_processor_is_told(pool, monkeypatch):
    here = ray_pool.versions("jax")
    monkeypatch.setattr(ray_pool, "versions", lambda backend: here | {"processor": "abacus"})
    until(pool.workers)
    assert "has another processor" in " ".join(pool.notes)


@pytest.mark.parametrize("offered", [2, 3])
def test_workers_are_pinned_where_there_is_one_for_each_core(offered):
    """As on this machine; elsewhere other programs may use the cores."""
    calls = []

    def worker(node):
        submit = lambda function, core: calls.append((function, node, core))  # noqa: E731
        return SimpleNamespace(node=node, cores=[4, 7], submit=submit)

    pool = SimpleNamespace(_present=[worker("a"), worker("b")], _offered={"a": offered, "b": 2})
    ray_pool.RayPool._pin(pool, pool._present[0])
    pool._present.append(worker("a"))
    ray_pool.RayPool._pin(pool, pool._present[2])
    expected = [(ray_pool.pin, "a", core) for core in (4, 7)]
    assert calls == (expected if offered == 2 else [])


def test_waiting_for_a_worker_is_said_and_bounded(nodes, tmp_path):
    said = []
    with (
        cluster.connect(gpus_per_worker=1, timeout=7) as pool,
        pytest.raises(RunFailed, match="no worker for 7 seconds .no node offers 1 GPUs"),
    ):
        job_pool.run(pool, 0, lambda *_: 0, lambda idle: None, lambda *_: 0, say=said.append)
    assert said == ["Waiting for a worker: no node offers 1 GPUs."]


def test_a_part_of_a_gpu_is_enough(nodes):
    with cluster.connect(gpus_per_worker=0.25) as pool:
        assert pool._fit({"CPU": 8, "GPU": 1}) == 4
        assert pool._fit({"CPU": 3, "GPU": 1}) == 3
        assert pool._fit({"CPU": 3}) == 0


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("nonsense", BadInput, "expected auto, local, HOST:PORT or ray://HOST:PORT, got nonsense"),
        ("127.0.0.1:9", RunFailed, "nothing answers at 127.0.0.1:9 "),
        ("ray://127.0.0.1:9", RunFailed, "nothing answers at ray://127.0.0.1:9 "),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(address, error, message, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(error, match=message):
        cluster.connect(address)


def test_a_cluster_that_does_not_answer_is_given_up():
    with pytest.raises(RunFailed, match=r"has not answered for 0.1 seconds; is its head node"):
        ray_pool.bounded(lambda: time.sleep(5), 0.1)
