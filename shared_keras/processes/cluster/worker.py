"""A worker on a node of a Ray cluster."""

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from shared_keras.errors import RunFailed
from shared_keras.processes.cluster import answers
from shared_keras.processes.cluster.node import Node, answer

ASK = 10  # seconds within which a node must answer to count as alive


class RayWorker:
    """An actor on a node. See `protocol.Worker`.

    Attributes:
        begun: The future of what `Node.begin` returns.
        node: The node, once the worker has begun.
        cores: The cores that the worker could use when it began.
        core: The one that it is pinned to.
        environment: The environment variables that it was started with.

    Args:
        name: Its name.
        gpus: How many GPUs it has.
        environment: Environment variables.
        gone: Called with the worker when it is ended.
    """

    def __init__(
        self,
        name: str,
        gpus: float,
        environment: Mapping[str, str],
        gone: Callable[["RayWorker"], None],
    ):
        self.name, self.node = name, ""
        self.cores: list[int] = []
        self.core: int | None = None
        self.environment = environment
        self._gone = gone
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0}
        actor: Any = ray.remote(Node)  # its methods get their `remote` there
        self._actor = actor.options(**options).remote()
        begun = self._actor.begin.remote(environment, gpus > 0)
        self.begun = answers.future_of(begun, answers.node_died)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `function(*args)` on the node.

        Raises:
            RunFailed: if the cluster has no room for the arguments.
        """
        try:
            alive = self._actor.call.remote(answer)
            reference = self._actor.call.remote(function, *args)
        except answers.FULL as error:
            raise RunFailed(answers.full(error)) from None

        def innocent(error: Any) -> bool:
            died = answers.node_died(error)
            return died or not returned(lambda: alive) or self._machine_lost()

        return answers.future_of(reference, innocent, _unpacked)

    def restart(self) -> None:
        """End the process; the pool asks for another one."""
        self.stop()

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""
        self._gone(self)
        with contextlib.suppress(Exception):
            ray.kill(self._actor)

    def _machine_lost(self) -> bool:
        """Return whether the node of a process that died does not answer either."""
        where = NodeAffinitySchedulingStrategy(self.node, soft=False)
        ask = ray.remote(answer).options(num_cpus=0, scheduling_strategy=where)
        return not returned(ask.remote)


def returned(ask: Callable[[], Any]) -> bool:
    """Return whether the reference that `ask` returns gets a value in time."""
    if not ray.is_initialized():  # it is over, and Ray would start a cluster to ask
        return False
    try:
        ray.get(ask(), timeout=ASK)
    except Exception:
        return False
    return True


def _unpacked(answer: tuple[bool, Any]) -> Any:
    done, value = answer
    if not done:
        raise value
    return value
