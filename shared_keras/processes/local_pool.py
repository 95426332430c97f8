"""Workers on this machine: the only module that knows that they are loky's processes.

Each `LocalWorker` is a loky executor with a single process. So a job can be sent to the process
where its program is already compiled, and a process that dies takes no other with it. They live
as long as this process and serve one search after another.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing.util import Finalize
from typing import Any

from loky import ProcessPoolExecutor

from shared_keras import devices
from shared_keras.errors import RunFailed
from shared_keras.processes import quick_import, surroundings
from shared_keras.processes.protocol import NoWorkers

# One thread, and programs that compile in two thirds of the time and run no slower:
# benchmarks/trial.py measures it, docs/log.md has its figures.
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
# Where psutil is installed, loky replaces a process that has grown by 0.3 GB. But workers grow
# because they keep compiled programs and models, which would be lost.
NEVER_TOO_LARGE = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
_started: list["LocalWorker"] = []
_of_parents: list["LocalWorker"] = []  # in a forked process: another's, not to be touched
_claim = threading.Lock()
_at_exit: Finalize | None = None


class LocalWorker:
    """A process of this machine. See `protocol.Worker`.

    Args:
        core: The CPU core that it is pinned to, or None for any.
    """

    def __init__(self, core: int | None):
        self.core = core
        self._start()

    @property
    def name(self) -> str:
        """Its place among the workers."""
        return f"worker{_started.index(self)}"

    def _start(self) -> None:
        self.environment = _environment()
        self._executor = ProcessPoolExecutor(
            1, initializer=_begin, initargs=(os.getpid(), self.core), env=self.environment
        )
        with _standard_streams():
            self._executor.submit(os.getpid)  # starts the process
        self.modules: dict[str, Any] = {}  # of this process, as they were when it last got jobs

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `function(*args)` after everything that was submitted before.

        The future raises what the function raises, or a `BrokenExecutor` if the process
        died.
        """
        future: Future[Any] = self._executor.submit(function, *args)
        return future

    def restart(self) -> None:
        """End the process, if it is still alive, and start a new one."""
        self._executor.shutdown(wait=True, kill_workers=True)
        self._start()

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""
        _started.remove(self)
        self._executor.shutdown(wait=True, kill_workers=True)


class LocalPool:
    """A fixed number of workers on this machine. See `protocol.Pool`."""

    shares_files = True

    def __init__(self, count: int | None = None):
        self.count = count
        self.notes: list[str] = []

    def workers(self) -> list[LocalWorker]:
        """Return the workers, reusing those that exist.

        Raises:
            NoWorkers: if this process may have none.
        """
        return get(self.size())

    def size(self) -> int:
        """Return how many there are."""
        return self.count or default()

    def share(self, data: bytes) -> bytes:
        """Return the data themselves."""
        return data

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the workers of this process to oneself."""
        with claim(_claim):
            _restart_outdated()
            yield


@contextlib.contextmanager
def claim(by: threading.Lock) -> Iterator[None]:
    """Hold the lock of a pool, which serves one search at a time.

    Raises:
        RunFailed: if another search of this process holds it, such as one in another thread.
    """
    if not by.acquire(blocking=False):
        raise RunFailed(
            "this process is searching already, with all its workers; "
            "search one after the other, or in another process"
        )
    try:
        yield
    finally:
        by.release()


def get(count: int) -> list[LocalWorker]:
    """Return `count` workers, reusing those that exist.

    If there is one for each core, each is pinned to its own core, where the system allows it.

    Raises:
        NoWorkers: if this process may have none.
    """
    if multiprocessing.current_process().daemon:
        raise NoWorkers(
            "a daemonic process, such as one of multiprocessing.Pool, may have no children"
        )
    _stop_at_exit()
    cores = devices.cores()
    missing: list[int | None] = [*cores] if count == len(cores) else [None] * count
    for worker in list(_started):
        if worker.core in missing:
            missing.remove(worker.core)
        else:
            worker.stop()
    _started.extend(LocalWorker(core) for core in missing)
    return list(_started)


def _restart_outdated() -> None:
    """Replace workers that are not as they would be if they were started now.

    Their modules have been reloaded here since, or libraries would read other variables.
    """
    now = {name: getattr(module, "__spec__", None) for name, module in list(sys.modules.items())}
    for worker in _started:
        reloaded = any(now.get(name, spec) is not spec for name, spec in worker.modules.items())
        if reloaded or worker.environment != _environment():
            worker.restart()
        worker.modules = now


def _environment() -> dict[str, str]:
    """Return the environment variables that a worker is started with, but for changeable ones."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAGS}".strip()
    memory = {name: os.environ.get(name, value) for name, value in NEVER_TOO_LARGE.items()}
    own = {"XLA_FLAGS": flags, "KERAS_BACKEND": devices.backend()} | ONE_THREAD | SHARED_GPU
    return surroundings.read_once() | own | memory


def default() -> int:
    """Return the default number of local workers: one for each core, or a single one on a GPU."""
    return 1 if devices.gpus() else devices.core_count()


@contextlib.contextmanager
def _standard_streams() -> Iterator[None]:
    """Have standard streams meanwhile, also in a program without: loky flushes them."""
    with open(os.devnull, "w") as nowhere, contextlib.ExitStack() as stack:
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _begin(parent: int, core: int | None) -> None:
    """Prepare the process: pin it, ignore Ctrl-C, end when the parent ends, import Keras."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quick_import.keras()  # takes seconds, so do it before the first job comes


def stop() -> None:
    """Stop the workers that this process started."""
    for worker in list(_started):
        worker.stop()


def _stop_at_exit() -> None:
    """Have the workers stopped when this process ends.

    A child of `multiprocessing` waits for its own children, after it has called its finalizers. It
    does not call what `atexit` holds.
    """
    global _at_exit
    if _at_exit is None or not _at_exit.still_active():
        _at_exit = Finalize(None, stop, exitpriority=100)  # before loky closes its queues


def _after_fork() -> None:
    """Leave the workers to the process that started them."""
    global _claim, _at_exit
    _of_parents.extend(_started)
    _started.clear()
    _claim, _at_exit = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
