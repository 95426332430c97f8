"""Which workers a cluster's pool asks for, takes, puts aside and pins; nothing runs on Ray."""

import contextlib
import os
import threading
from concurrent.futures import BrokenExecutor, Future
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_keras import devices
from shared_keras.errors import RunFailed
from tests.conftest import CORES

pytest.importorskip("ray", reason="needs the extra `cluster`")
from shared_keras.processes.cluster import pool as pools
from shared_keras.processes.cluster import versions
from shared_keras.processes.cluster.node import Begun, pin
from shared_keras.processes.protocol import WorkerLost

HERE = versions.here("jax")


class FakeWorker:
    """In place of an actor; begins when a test says so."""

    def __init__(self, name, gpus, environment, gone):
        self.name, self.node, self.cores, self.core = name, None, [], None
        self.environment = environment
        self.stop = self.restart = lambda: gone(self)
        self.begun, self.calls = Future(), []

    def submit(self, function, *args):
        self.calls.append((function, *args))

    def begin(self, node="one", cores=(4, 7), processors="abacus", **other):
        self.begun.set_result(Begun(node, list(cores), HERE | other, processors))

    def fail(self, reason="no luck"):
        self.begun.set_exception(BrokenExecutor(f"{{{reason}}}"))


@pytest.fixture
def made(monkeypatch):
    """Make a pool of nodes with the given numbers of cores, and a clock that a test moves."""
    monkeypatch.setattr(pools, "RayWorker", FakeWorker)
    monkeypatch.setattr(pools.versions, "processors", lambda with_gpus: "abacus")
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(pools, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def make(*cores, **options):
        nodes = [
            {
                "NodeID": name,
                "Alive": True,
                "Resources": {"CPU": float(count)},
                "NodeManagerAddress": name,
                "NodeManagerPort": 1,
            }
            for name, count in zip(("one", "two", "three"), cores)
        ]
        monkeypatch.setattr(pools.RayPool, "nodes", lambda self: nodes)
        return pools.RayPool(**options)

    make.nodes = lambda: pools.RayPool.nodes(None)
    make.clock = clock
    return make


def look(made, pool, seconds=2):
    """Let time pass, and return the names of the workers."""
    made.clock.now += seconds
    return [worker.name for worker in pool.workers()]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_node_with_other_versions_is_put_aside_whichever_begins_first(made, order):
    pool = made(1, 1)
    good, bad = pool.asked
    for which in order:
        (good.begin, lambda: bad.begin("two", keras="0.1"))[which]()
        look(made, pool)
    assert look(made, pool) == ["worker0"] and not pool.asked
    version = HERE["keras"]
    assert pool.notes == [
        f"Node two of the cluster has other versions (keras is 0.1 there and {version} here); "
        "it is not used."
    ]


def test_other_versions_everywhere_end_the_search_at_once(made):
    pool = made(1, 1)
    for worker in list(pool.asked):
        worker.begin(keras=versions.MISSING)
    with pytest.raises(RunFailed, match=r"keras is missing there and .* here\); install the same"):
        pool.workers()


def test_workers_that_cannot_begin_end_the_search_with_the_reason(made):
    pool = made(2)
    for worker in list(pool.asked):
        worker.fail("killed")  # by chance
    assert look(made, pool) == []
    assert pool.notes == ["A worker could not begin on a node (killed)."]
    assert look(made, pool, 60) == [] and len(pool.asked) == 2
    for worker in list(pool.asked):
        worker.fail("ModuleNotFoundError: No module named 'shared_keras'")
    with pytest.raises(RunFailed, match=r"not begin on a node \(ModuleNotFoundError: .*'\); inst"):
        pool.workers()


def test_workers_that_only_die_are_not_said_to_need_another_installation(made):
    pool = made(3)
    for worker in list(pool.asked):
        worker.fail("killed")
    with pytest.raises(RunFailed, match=r"a worker could not begin on a node \(killed\)$"):
        pool.workers()


def test_a_node_that_dies_is_told_and_its_workers_are_no_failures(made):
    pool = made(1, 1, 1)
    first, second, third = pool.asked
    first.begin("one")
    second.begin("two")
    look(made, pool)
    second.stop()  # its job found out first
    del made.nodes()[1:]
    third.begun.set_exception(WorkerLost())  # with the third node, while it began
    assert look(made, pool) == ["worker0"]
    assert pool.notes == ["Node two is gone; what ran there starts over elsewhere."]
    assert pool.failed == 0 and not pool.asked
    made.nodes().clear()
    assert look(made, pool) == [] and pool.notes[1:] == ["Node one is gone."]


def test_a_node_that_came_and_went_between_two_looks_is_no_error(made):
    pool = made(1, count=2)
    first, second = pool.asked
    first.begin("one")
    second.begin("a node of which the pool never heard")
    look(made, pool)
    assert look(made, pool) == ["worker0"]
    assert pool.notes[-1].startswith("Node a node o is gone;")


def test_nodes_that_share_an_address_are_told_apart(made):
    pool = made(1, 1)
    for node, port in zip(made.nodes(), (5, 7)):
        node |= {"NodeManagerAddress": "10.0.0.1", "NodeManagerPort": port}
    look(made, pool)
    assert list(pool.node_names.values()) == ["10.0.0.1:5", "10.0.0.1:7"]


def test_a_node_that_fails_beside_others_is_told_once_and_asked_seldom(made):
    pool = made(1, 1)
    pool.asked[0].begin()
    look(made, pool)
    asked = set()
    for _ in range(300):
        for worker in list(pool.asked):
            asked.add(worker.name)
            worker.fail()
        assert look(made, pool) == ["worker0"]
    assert pool.notes == ["A worker could not begin on a node (no luck)."]
    assert 5 < len(asked) < 20  # in 600 seconds


def test_a_worker_that_takes_the_place_of_another_gets_its_core(made):
    pool = made(2)
    first, second = pool.asked
    first.begin()
    look(made, pool)
    assert not first.calls  # other programs may use the other core
    second.begin()
    look(made, pool)
    assert first.calls == [(pin, 4)] and second.calls == [(pin, 7)]
    first.stop()
    look(made, pool)
    (third,) = pool.asked
    third.begin()
    look(made, pool)
    assert third.calls == [(pin, 4)] and len(second.calls) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_workers_are_pinned_only_where_there_is_one_for_each_core(made, count):
    pool = made(count)  # of a node that has two
    workers = list(pool.asked)
    for worker in workers:
        worker.begin()
    assert len(look(made, pool)) == count
    assert not any(worker.calls for worker in workers)


def test_a_smaller_cluster_than_asked_for_is_told(made):
    pool = made(1, 1, count=5)
    assert pool.size() == 2 and len(pool.asked) == 5  # an autoscaler may add nodes
    look(made, pool)
    assert pool.notes == ["The cluster has room for 2 of 5 workers now."]


def test_waiting_says_why(made):
    pool = made(1, timeout=50)
    pool.asked[0].begin()
    look(made, pool)
    pool.present[0].stop()
    look(made, pool)
    pool.asked[0].begin(keras="0.1")
    look(made, pool)
    assert look(made, pool, 6) == []
    assert "Waiting for a worker: node one of the cluster has other versions" in pool.notes[-1]
    with pytest.raises(RunFailed, match="no worker for 50 seconds .node one .* the same command"):
        look(made, pool, 60)


@given(st.integers(1, 9), st.integers(0, 8), st.sampled_from([0.1, 0.25, 0.3, 0.4, 0.5, 1, 2, 3]))
def test_workers_fit_into_whole_gpus(cores, there, gpus):
    """No worker has parts of two."""
    found = pools.fit({"CPU": cores, "GPU": there}, gpus)
    if gpus >= 1:
        assert found == min(cores, there // gpus)
    else:
        each = next(n for n in range(99) if (n + 1) * gpus > 1.000001)
        assert found == min(cores, there * each)
    assert pools.fit({"CPU": cores, "GPU": there}, 0) == cores
    assert pools.fit({"CPU": cores}, gpus) == 0


def test_variables_that_change_results_go_along_but_not_paths(monkeypatch):
    for name, value in (("JAX_ENABLE_X64", "1"), ("TF_ENABLE_ONEDNN_OPTS", "0"), ("HOMER", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KERAS_HOME", "/of/mine")
    found = pools.environment(1)
    assert found["JAX_ENABLE_X64"] == "1" and found["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert not {"KERAS_HOME", "HOMER", "CUDA_VISIBLE_DEVICES"} & found.keys()
    assert pools.environment(0).items() >= devices.NO_GPU.items()


def test_workers_are_replaced_once_these_variables_have_changed(made, monkeypatch):
    pool = made(2)
    for worker in list(pool.asked):
        worker.begin()
    assert look(made, pool) == ["worker0", "worker1"]
    monkeypatch.setenv("UNITS", "7")
    with pool.claimed():
        assert look(made, pool) == ["worker0", "worker1"]
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    with pool.claimed():
        assert look(made, pool) == []
    assert [worker.environment["JAX_ENABLE_X64"] for worker in pool.asked] == ["1", "1"]


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_all_threads_are_pinned():
    free, pinned, found = threading.Event(), threading.Event(), []
    before = os.sched_getaffinity(0)

    def work():
        os.sched_setaffinity(0, CORES)
        free.set()
        pinned.wait(10)
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    free.wait(10)
    try:
        pin(CORES[-1])
    finally:
        pinned.set()
        thread.join()
        for each in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(each), before)
    assert found == [{CORES[-1]}]
