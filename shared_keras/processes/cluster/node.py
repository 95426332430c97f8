"""What runs on a cluster's nodes: an actor that begins like a local worker, then runs jobs.

It must not import Keras before `begin` has set the environment.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import cloudpickle
import ray

from shared_keras import devices
from shared_keras.errors import RunFailed
from shared_keras.processes import carried, quick_import

OURS = ("shared_keras", "fashion_keras", "mnist_keras")
PACKAGES = ("keras", "keras-tuner", "numpy", "scikit-learn")
OF_BACKEND = {"jax": ("jax", "jaxlib"), "tensorflow": ("tensorflow",), "torch": ("torch",)}
# Ends with the worker, however that dies, and then removes the files that a job left behind.
CLEANER = 'exec 3<&0; (cat <&3 >/dev/null; rm -rf -- "$1") &'


class Node:
    """The actor: a process on a node that runs one job at a time."""

    def begin(self, environment: Mapping[str, str]) -> tuple[str, list[int], dict[str, str]]:
        """Set environment variables, import Keras; return the node, its cores and `versions`."""
        os.environ |= environment
        self.cleaner = subprocess.Popen(
            ["sh", "-c", CLEANER, "sh", carried.root_here()],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ray kills the session of a worker with it
        )
        self.cleaner.wait()  # what it leaves in the background waits for the end of this process
        quick_import.keras()
        node = ray.get_runtime_context().get_node_id()
        return node, devices.cores(), versions(environment["KERAS_BACKEND"])

    def call(self, function: Callable, *args) -> tuple[bool, Any]:
        """Return whether a function returned, and what it returned or raised."""
        try:
            return True, function(*args)
        except Exception as error:
            try:
                cloudpickle.loads(cloudpickle.dumps(error))
            except Exception:
                error = RunFailed(f"{type(error).__name__}: {' '.join(str(error).split())}")
            return False, error


def pin(core: int) -> None:
    """Keep this process to a core."""
    os.sched_setaffinity(0, {core})


def versions(backend: str) -> dict[str, str]:
    """Return the versions of all that decides the result of a job here, and the processor."""
    found = {"Python": platform.python_version()}
    for package in (*PACKAGES, *OF_BACKEND[backend]):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found | {"this project's code": _code(), "processor": _processor()}


def _code() -> str:
    """Return a digest of the code of those of our packages that are installed."""
    folder = Path(sys.modules["shared_keras"].__file__).parent.parent
    digest = sha256()
    for path in sorted(path for name in OURS for path in (folder / name).rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
