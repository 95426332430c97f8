"""Workers on a Ray cluster: with `ray_node`, the only module that knows of Ray's actors.

Ray places them, moves the data and notices dead nodes. This module asks for as many as the nodes
have room for, and again when one is gone.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from shared_keras import devices
from shared_keras.errors import RunFailed
from shared_keras.processes import local_pool
from shared_keras.processes.cluster import first_sentence
from shared_keras.processes.protocol import MachineLost
from shared_keras.processes.ray_node import Node, pin, versions

ANSWER = 30  # seconds within which the cluster must answer; Ray ends this process after 60
LOOK = 1  # seconds between two looks at its nodes
PASSED_ON = ("JAX_PLATFORMS", "KERAS_HOME")
SAME_RESULT = "processor"  # what may differ, at the price of the last digits


class RayWorker:
    """An actor on a node. See `protocol.Worker`."""

    def __init__(self, pool: "RayPool", name: str, environment: Mapping[str, str]):
        self.name, self.node, self.cores = name, None, []
        self._pool = pool
        options = {"num_cpus": 1, "num_gpus": pool.gpus_per_worker, "max_restarts": 0}
        self._actor = ray.remote(Node).options(**options).remote()
        self.begun = _answer(self._actor.begin.remote(environment), lambda: False)

    def submit(self, function: Callable, *args) -> Future:
        """Run `function(*args)` on the node."""
        return _answer(self._actor.call.remote(function, *args), self._machine_lost, _unpacked)

    def restart(self) -> None:
        """End the process; the pool asks for another one."""
        self.stop()

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""
        self._pool.forget(self)
        with contextlib.suppress(Exception):
            ray.kill(self._actor)

    def _machine_lost(self) -> bool:
        """Return whether the node of a process that died does not answer either."""
        where = NodeAffinitySchedulingStrategy(self.node, soft=False)
        ask = ray.remote(_ask).options(num_cpus=0, scheduling_strategy=where)
        try:
            ray.get(ask.remote(), timeout=10)
        except Exception:
            return True
        return False


class RayPool:
    """Workers on the nodes of a cluster. See `protocol.Pool`.

    Args:
        count: How many workers; by default as many as the cluster has room for.
        gpus_per_worker: GPUs of each worker; by default 1 where the cluster has any.
        timeout: Seconds to wait for a worker when there is none.
        disconnect: Called by `close`.
    """

    shares_files = False

    def __init__(
        self,
        count: int | None = None,
        gpus_per_worker: float | None = None,
        timeout: float = 600,
        disconnect: Callable[[], None] = lambda: None,
    ):
        self.count, self.timeout, self._disconnect = count, timeout, disconnect
        self.notes = []
        self._claim = threading.Lock()
        self._asked, self._present, self._unused = [], [], []
        self._started, self._looked, self._room = 0, 0.0, 0
        self._since = self._waiting_said = None  # when the waiting for a worker began
        nodes = self._nodes()
        if gpus_per_worker is None:
            gpus_per_worker = float(any(n["Resources"].get("GPU") for n in nodes))
        self.gpus_per_worker = gpus_per_worker
        self._look()

    def workers(self) -> list[RayWorker]:
        """Return the workers that have begun, after a look at the nodes."""
        if time.monotonic() - self._looked > LOOK:
            self._look()
        for worker in [w for w in self._asked if w.begun.done()]:
            self._asked.remove(worker)
            self._welcome(worker)
        self._check_there_are_some()
        return list(self._present)

    def size(self) -> int:
        """Return how many workers there are, or soon will be."""
        return max(1, len(self._present) + len(self._asked))

    def share(self, data: bytes) -> Any:
        """Put data into the object store, from where each node gets it once.

        Raises:
            RunFailed: if there is no room.
        """
        try:
            return bounded(lambda: ray.put(data))
        except (ObjectStoreFullError, OutOfDiskError):
            raise RunFailed(
                f"the object store of the cluster has no room for {len(data) / 2**20:.0f} MiB of "
                "images; `ray start --object-store-memory BYTES` makes it larger"
            ) from None

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the workers to oneself."""
        with local_pool.claim(self._claim):
            yield

    def forget(self, worker: RayWorker) -> None:
        """Let another worker take the place of one that is gone."""
        for workers in (self._asked, self._present, self._unused):
            if worker in workers:
                workers.remove(worker)
        self._looked = 0.0

    def close(self) -> None:
        """End all workers, and the connection if it was made for this pool."""
        for worker in (*self._asked, *self._present, *self._unused):
            worker.stop()
        self._disconnect()

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _nodes(self) -> list[dict]:
        return [node for node in bounded(ray.nodes) if node["Alive"]]

    def _look(self) -> None:
        """Forget the workers of dead nodes, and ask for those that there is room for."""
        nodes = self._nodes()
        alive = {node["NodeID"] for node in nodes}
        for worker in [w for w in (*self._present, *self._unused) if w.node not in alive]:
            self.forget(worker)
            self.notes.append(f"Node {worker.node[:8]} is gone, and {worker.name} with it.")
        self._offered = {n["NodeID"]: int(n["Resources"].get("CPU", 0)) for n in nodes}
        self._room = sum(self._fit(node["Resources"]) for node in nodes)
        wanted = self.count or self._room
        for _ in range(wanted - len(self._present) - len(self._asked) - len(self._unused)):
            name, self._started = f"worker{self._started}", self._started + 1
            self._asked.append(RayWorker(self, name, environment()))
        self._looked = time.monotonic()

    def _fit(self, resources: Mapping[str, float]) -> int:
        """Return how many workers fit into a node."""
        cores = int(resources.get("CPU", 0))
        if not self.gpus_per_worker:
            return cores
        return min(cores, int(resources.get("GPU", 0) / self.gpus_per_worker + 1e-9))

    def _welcome(self, worker: RayWorker) -> None:
        """Take a worker that has begun, unless its node would compute something else."""
        if error := worker.begun.exception():
            worker.stop()
            if not isinstance(error, BrokenExecutor):
                raise RunFailed(f"a worker could not begin on the cluster: {error}") from None
            return
        worker.node, worker.cores, there = worker.begun.result()
        here = versions(devices.backend())
        differing = [n for n in here if here[n] != there[n] and n != SAME_RESULT]
        if differing:
            said = "; ".join(f"{n} is {there[n]} there and {here[n]} here" for n in differing)
            told = f"node {worker.node[:8]} of the cluster has other versions ({said})"
            if not self._present and not self._unused:
                raise RunFailed(f"{told}; install the same ones")
            self._unused.append(worker)  # it keeps its place, or another would be asked for
            self.notes.append(f"{told[0].upper()}{told[1:]}; it is not used.")
            return
        if there[SAME_RESULT] != here[SAME_RESULT]:
            self.notes.append(
                f"Node {worker.node[:8]} has another processor ({there[SAME_RESULT]}): results may "
                "differ in the last digits from those of this machine."
            )
        self._present.append(worker)
        self._pin(worker)

    def _pin(self, worker: RayWorker) -> None:
        """Pin the workers of a node to a core each if there is one for each, as locally."""
        beside = [other for other in self._present if other.node == worker.node]
        if len(beside) == len(worker.cores) == self._offered.get(worker.node):
            for core, other in zip(worker.cores, beside):
                other.submit(pin, core)

    def _check_there_are_some(self) -> None:
        """Say that there are no workers, and give up after a while."""
        now = time.monotonic()
        if self._present:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since > self.timeout:
            raise RunFailed(
                f"the cluster has had no worker for {self.timeout:g} seconds "
                f"({self._lack()}); the same command resumes from here"
            )
        elif now - self._since > 5 and self._waiting_said != self._since:
            self._waiting_said = self._since
            self.notes.append(f"Waiting for a worker: {self._lack()}.")

    def _lack(self) -> str:
        if self._room == 0:
            what = f"{self.gpus_per_worker:g} GPUs" if self.gpus_per_worker else "a CPU core"
            return f"no node offers {what}"
        return "the nodes' cores are taken, or workers are still starting"


def environment() -> dict[str, str]:
    """Return the environment variables of workers."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {local_pool.XLA_FLAGS}".strip()
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"XLA_FLAGS": flags, "KERAS_BACKEND": devices.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return passed | own | local_pool.ONE_THREAD | local_pool.SHARED_GPU


def bounded(call: Callable[[], Any], seconds: float = ANSWER) -> Any:
    """Return what a call to the cluster returns, if it does so in time.

    Raises:
        RunFailed: if it does not.
    """
    future = Future()

    def work():
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        raise RunFailed(
            f"the cluster has not answered for {seconds:g} seconds; is its head node still there?"
        ) from None
    except (RayError, ConnectionError, RuntimeError) as error:
        if isinstance(error, ObjectStoreFullError | OutOfDiskError):
            raise
        raise RunFailed(f"the cluster does not answer: {first_sentence(error)}") from None


def _ask() -> None:
    """Answer, on a node."""


def _unpacked(answer: tuple[bool, Any]) -> Any:
    returned, value = answer
    if not returned:
        raise value
    return value


def _answer(reference, lost: Callable[[], bool], unpack: Callable = lambda value: value) -> Future:
    """Return the future of a reference, whose errors are those that `protocol.Worker` names."""
    answer = Future()

    def take(done):
        try:
            answer.set_result(unpack(done.result()))
        except RayTaskError as error:
            answer.set_exception(RunFailed(str(error.cause)))
        except (ObjectStoreFullError, OutOfDiskError) as error:
            answer.set_exception(RunFailed(f"the cluster is full: {first_sentence(error)}"))
        except RayError as error:
            reason = f"{{{first_sentence(error)}}}"
            broken = MachineLost if lost() else BrokenExecutor
            answer.set_exception(broken(reason))
        except BaseException as error:
            answer.set_exception(error)

    reference.future().add_done_callback(
        lambda done: threading.Thread(target=take, args=(done,), daemon=True).start()
    )
    return answer
