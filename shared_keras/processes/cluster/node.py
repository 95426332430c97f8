"""What runs on a cluster's nodes: an actor that begins like a local worker, then runs jobs.

It must not import Keras before `begin` has set the environment.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import cloudpickle
import ray

from shared_keras import devices
from shared_keras.errors import RunFailed, one_line
from shared_keras.processes import carried, quick_import
from shared_keras.processes.cluster import versions

# Ends with the worker, however that dies, and then removes the files that a job left behind.
CLEANER = 'exec 3<&0; (cat <&3 >/dev/null; rm -rf -- "$1") &'


class Begun(NamedTuple):
    """Where a worker has begun.

    Attributes:
        node: The node's id.
        cores: The cores that the worker may use.
        versions: What `versions.here` returns there.
        processors: The processor, and the GPUs if the worker has any.
    """

    node: str
    cores: list[int]
    versions: dict[str, str]
    processors: str


class Node:
    """The actor: a process on a node that runs one job at a time."""

    def begin(self, environment: Mapping[str, str], with_gpus: bool) -> Begun:
        """Set environment variables and import Keras, if it and its backend are installed."""
        os.environ |= environment
        self.cleaner = subprocess.Popen(
            ["sh", "-c", CLEANER, "sh", carried.root_here()],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ray kills the session of a worker with it
        )
        self.cleaner.wait()  # what it leaves in the background waits for the end of this process
        node = ray.get_runtime_context().get_node_id()
        found = versions.here(environment["KERAS_BACKEND"])
        if versions.MISSING in found.values():
            return Begun(node, devices.cores(), found, "")
        quick_import.keras()
        return Begun(node, devices.cores(), found, versions.processors(with_gpus))

    def call(self, function: Callable[..., Any], *args: Any) -> tuple[bool, Any]:
        """Return whether a function returned, and what it returned or raised."""
        try:
            return True, function(*args)
        except Exception as error:
            try:
                cloudpickle.loads(cloudpickle.dumps(error))
            except Exception:
                error = RunFailed(one_line(error))
            return False, error


def answer() -> None:
    """Answer that the process lives."""


def pin(core: int) -> None:
    """Keep this process, with the threads that it has, to a core."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), {core})
