"""The workers of a Ray cluster.

Ray places them, moves the data and notices dead nodes. This module asks for as many as the nodes
have room for, and again when one is gone.
"""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray

from shared_keras import devices
from shared_keras.errors import RunFailed
from shared_keras.processes import local_pool
from shared_keras.processes.cluster import answers, versions
from shared_keras.processes.cluster.node import pin
from shared_keras.processes.cluster.worker import RayWorker
from shared_keras.processes.protocol import WorkerLost

LOOK = 1  # seconds between two looks at the nodes
SLOWEST = 2**17  # bytes a second that a network to the cluster carries at least
PASSED_ON = ("JAX_", "KERAS_", "TF_")  # environment variables that may change a result
SETUP = ("ModuleNotFoundError", "ImportError", "other versions")  # the node has to be set up
BEGINS = 3  # workers that failed to begin, one after the other, before the pool gives up
LONGEST_PAUSE = 60  # seconds until it asks for another worker where these fail to begin


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
        self.notes: list[str] = []
        self._claim = threading.Lock()
        self._told: set[str] = set()
        self.asked: list[RayWorker] = []
        self.present: list[RayWorker] = []
        self._unused: list[RayWorker] = []
        self.node_names: dict[str, str] = {}  # of nodes, by their ids
        self._used: set[str] = set()  # ids of the nodes that have had workers and are alive
        self._started, self._looked, self.failed, self._not_before = 0, 0.0, 0, 0.0
        self._since: float | None = None  # when the waiting for a worker began
        self._waiting_said: float | None = None  # the waiting of which something was said
        self._begun = False  # whether there has ever been a worker
        self._why = ""  # a worker is not there, if that is known
        if gpus_per_worker is None:
            gpus_per_worker = float(any(n["Resources"].get("GPU") for n in self.nodes()))
        self.gpus_per_worker = gpus_per_worker
        self._versions = versions.here(devices.backend())
        self._processors = versions.processors(gpus_per_worker > 0)
        self._look()

    def workers(self) -> list[RayWorker]:
        """Return the workers that have begun, after a look at the nodes."""
        if time.monotonic() - self._looked > LOOK:
            self._look()
        for worker in [w for w in self.asked if w.begun.done()]:
            self.asked.remove(worker)
            self._welcome(worker)
        self._check_there_are_some()
        return list(self.present)

    def size(self) -> int:
        """Return how many workers there are, or soon will be."""
        return max(1, min(len(self.present) + len(self.asked), self._room - len(self._unused)))

    def share(self, data: bytes) -> Any:
        """Put data into the object store, from where each node gets it once.

        Raises:
            RunFailed: if there is no room, or the network is too slow.
        """
        megabytes = f"{len(data) / 2**20:.0f} MiB of images"
        late = f"{megabytes} did not reach the cluster in {{:.0f}} seconds; is the network slow?"
        try:
            return answers.bounded(
                lambda: ray.put(data), answers.ANSWER + len(data) / SLOWEST, late
            )
        except answers.FULL:
            raise RunFailed(
                f"the object store of the cluster has no room for {megabytes}; "
                "`ray start --object-store-memory BYTES` makes it larger"
            ) from None

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the workers to oneself."""
        with local_pool.claim(self._claim):
            variables = environment(self.gpus_per_worker)
            for worker in (*self.asked, *self.present, *self._unused):
                if worker.environment != variables:  # they have changed here since
                    worker.restart()
            yield

    def close(self) -> None:
        """End all workers, and the connection if it was made for this pool."""
        for worker in (*self.asked, *self.present, *self._unused):
            worker.stop()
        self._disconnect()

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _forget(self, worker: RayWorker) -> None:
        """Let another worker take the place of one that is gone."""
        for workers in (self.asked, self.present, self._unused):
            if worker in workers:
                workers.remove(worker)
        self._looked = 0.0

    def nodes(self) -> list[dict[str, Any]]:
        """Return what Ray tells of the nodes that are alive."""
        return [node for node in answers.bounded(ray.nodes) if node["Alive"]]

    def _look(self) -> None:
        """Forget the workers of dead nodes, and ask for those that there is room for."""
        nodes = self.nodes()
        self.node_names |= _names_of(nodes)
        alive = {node["NodeID"] for node in nodes}
        for node in sorted(self._used - alive):
            self._used.remove(node)
            rest = "; what ran there starts over elsewhere" if alive else ""
            self.notes.append(f"Node {self.node_names.get(node, node[:8])} is gone{rest}.")
        for worker in [w for w in (*self.present, *self._unused) if w.node not in alive]:
            self._forget(worker)
        self._offered = {n["NodeID"]: int(n["Resources"].get("CPU", 0)) for n in nodes}
        self._room = sum(fit(node["Resources"], self.gpus_per_worker) for node in nodes)
        if self.count is not None and self.count > self._room > 0:
            self._tell(f"The cluster has room for {self._room} of {self.count} workers now.")
        self._ask_for_more()
        self._looked = time.monotonic()

    def _ask_for_more(self) -> None:
        wanted = self._room if self.count is None else self.count
        if time.monotonic() < self._not_before:
            return
        variables = environment(self.gpus_per_worker)
        for _ in range(wanted - len(self.present) - len(self.asked) - len(self._unused)):
            name, self._started = f"worker{self._started}", self._started + 1
            self.asked.append(RayWorker(name, self.gpus_per_worker, variables, self._forget))

    def _welcome(self, worker: RayWorker) -> None:
        """Take a worker that has begun, unless its node would compute something else."""
        if error := worker.begun.exception():
            worker.stop()
            if isinstance(error, WorkerLost):  # its node died
                return
            self.failed += 1
            self._not_before = time.monotonic() + min(2 ** (self.failed - 1), LONGEST_PAUSE)
            self._why = f"a worker could not begin on a node ({str(error).strip('{}')})"
            self._tell(f"{self._why}.")
            return
        begun = worker.begun.result()
        worker.node, worker.cores = begun.node, begun.cores
        if differing := versions.differing(begun.versions, self._versions):
            name = self.node_names.get(worker.node, worker.node[:8])
            self._why = f"node {name} of the cluster has other versions ({differing})"
            self._tell(f"{self._why}; it is not used.")
            self._unused.append(worker)  # it keeps its place, or another would be asked for
            return
        if begun.processors != self._processors:
            self._tell(
                f"Nodes have another processor ({begun.processors}) than this machine: if it is of "
                "another kind, results may differ from those of this machine as between seeds."
            )
        self.failed, self._why, self._begun = 0, "", True
        self._used.add(worker.node)
        self.present.append(worker)
        self._pin_beside(worker)

    def _tell(self, note: str) -> None:
        """Note something once, as a sentence."""
        if note not in self._told:
            self._told.add(note)
            self.notes.append(note[0].upper() + note[1:])

    def _pin_beside(self, worker: RayWorker) -> None:
        """Pin the workers of a node to a core each if there is one for each, as locally."""
        beside = [other for other in self.present if other.node == worker.node]
        if len(beside) == len(worker.cores) == self._offered.get(worker.node):
            taken = {other.core for other in beside}
            free = [core for core in worker.cores if core not in taken]
            for other in beside:
                if other.core is None:
                    other.core = free.pop(0)
                    other.submit(pin, other.core)

    def _check_there_are_some(self) -> None:
        """Say that there are no workers, and give up after a while.

        Raises:
            RunFailed: also if those that were asked for cannot be used.
        """
        now = time.monotonic()
        if self.present:
            self._since = None
        elif not self._begun and not self.asked and (self._unused or self.failed >= BEGINS):
            setup = any(sign in self._why for sign in SETUP)
            raise RunFailed(self._why + "; install the same as here on the nodes" * setup)
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
        return self._why or "the nodes' cores are taken, or workers are still starting"


def _names_of(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the addresses of nodes by their ids, with a port where nodes share an address."""
    shared = Counter(node["NodeManagerAddress"] for node in nodes)
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        + f":{node['NodeManagerPort']}" * (shared[node["NodeManagerAddress"]] > 1)
        for node in nodes
    }


def fit(resources: Mapping[str, float], gpus: float) -> int:
    """Return how many workers fit into a node.

    Args:
        resources: What the node has: "CPU" and "GPU".
        gpus: GPUs of a worker. A part of a GPU is a part of one, so 0.4 fits twice into each.
    """
    cores, there = int(resources.get("CPU", 0)), resources.get("GPU", 0)
    if not gpus:
        return cores
    by_gpu = int(there / gpus + 1e-9) if gpus >= 1 else int(there) * int(1 / gpus + 1e-9)
    return min(cores, by_gpu)


def environment(gpus: float) -> dict[str, str]:
    """Return the environment variables of workers.

    Those of this process that may change a result are among them, except paths.

    Args:
        gpus: GPUs of a worker; without any it must not use one.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} {local_pool.XLA_FLAGS}".strip()
    passed = {n: v for n, v in os.environ.items() if n.startswith(PASSED_ON) and os.sep not in v}
    own = {"XLA_FLAGS": flags, "KERAS_BACKEND": devices.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    without = {} if gpus else devices.NO_GPU
    return passed | own | local_pool.ONE_THREAD | local_pool.SHARED_GPU | without
