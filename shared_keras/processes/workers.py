"""Processes that train: the only place that knows what pool they come from.

Each is a loky executor of one process, so that a job can be sent to a particular one,
where its program is compiled already, and so that one that dies takes no other with it.
They live as long as this process, and serve one search after the other. What a cluster's
scheduler would have to offer instead: `submit`, which returns a future, and `restart`.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from loky import ProcessPoolExecutor

from shared_keras import devices
from shared_keras.processes import quick_import

# One thread, and programs that compile in two thirds of the time and are not slower:
# benchmarks/trial.py shows it, docs/speed.md tells.
XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_backend_extra_options="
    "xla_cpu_disable_loop_unrolling=true,"
    "xla_cpu_disable_tiled_emitter=true,"
    "xla_cpu_use_multi_output_fusion=true,"
    "xla_cpu_flatten_after_fusion=true"
)
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
# Where psutil is installed, loky replaces a process that grew by 0.3 GB, and its compiled
# programs with it. Programs and models are what a worker grows by.
NEVER_TOO_LARGE = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
_started: list["Worker"] = []


class Worker:
    """A process that runs one job at a time.

    Args:
        core: The CPU core that it stays on, or None for any.
    """

    def __init__(self, core: int | None):
        self.core = core
        self._start()

    def _start(self) -> None:
        self.backend = devices.backend()
        flags = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAGS}".strip()
        memory = {name: os.environ.get(name, value) for name, value in NEVER_TOO_LARGE.items()}
        self._executor = ProcessPoolExecutor(
            1,
            initializer=_begin,
            initargs=(os.getpid(), self.core),
            env={"XLA_FLAGS": flags, "KERAS_BACKEND": self.backend}
            | ONE_THREAD
            | SHARED_GPU
            | memory,
        )
        self._executor.submit(os.getpid)  # starts the process

    def submit(self, function: Callable, *args) -> Future:
        """Run `function(*args)` after all that was submitted before.

        The future raises what the function raises, or a `BrokenExecutor` if the process
        died.
        """
        return self._executor.submit(function, *args)

    def restart(self) -> None:
        """End the process, if it still lives, and start a new one."""
        self._executor.shutdown(wait=True, kill_workers=True)
        self._start()

    def stop(self) -> None:
        """End the process, whatever it does, for good."""
        _started.remove(self)
        self._executor.shutdown(wait=True, kill_workers=True)


def get(count: int) -> list[Worker]:
    """Return `count` workers, those of before as far as there are.

    If there is one for each core, each stays on its own, where the system lets it.
    """
    cores = devices.cores()
    missing = cores if count == len(cores) else [None] * count
    for worker in list(_started):
        if worker.core in missing and worker.backend == devices.backend():
            missing.remove(worker.core)
        else:
            worker.stop()
    _started.extend(Worker(core) for core in missing)
    return list(_started)


def default() -> int:
    """Return how many workers there are if nobody says: one for each core, or on a GPU one."""
    return 1 if devices.gpus() else devices.core_count()


def _begin(parent: int, core: int | None) -> None:
    """Prepare the process: its core, no answer to Ctrl-C, an end when the parent ends."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quick_import.keras()  # takes seconds, before the first job comes


@atexit.register
def _stop() -> None:
    for worker in list(_started):
        worker.stop()
