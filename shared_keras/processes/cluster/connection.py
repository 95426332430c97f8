"""Connect to a Ray cluster, which answers in time or is said not to."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared_keras import devices, silence
from shared_keras.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from shared_keras.processes.cluster.pool import RayPool

LOCAL = "local"
AUTO = "auto"
CLIENT = "ray://"
VARIABLE = "RAY_ADDRESS"
LAST_PORT = 65535
ANSWERS_WITHIN = 30  # seconds within which a cluster must answer
STATUS = (sys.executable, "-m", "ray.scripts.scripts", "status", "--address")
STUCK = "Initialization failure"  # a client server's process, which may hang at its first fork
OF_CLIENT = (
    "is this the port of its client server, 10001 if none was given, and is the token here "
    "(`export RAY_AUTH_MODE=token`)? On the head node, its log is ray_client_server.err"
)
HINTS = {  # what `ray status` says, in small letters, and what that means
    "authentication": "its token is missing or wrong: `export RAY_AUTH_MODE=token`, with the token "
    "of the cluster in ~/.ray/auth_token",
    "method not found": "the port of a Ray client server needs ray:// before the address",
    "found multiple active ray": "there are several: give HOST:PORT",
    "could not find any running ray": "start one with `ray start --head`, or give HOST:PORT",
}


def connect(
    address: str = AUTO,
    *,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    timeout: float = 600,
) -> "RayPool":
    """Return workers on a Ray cluster, for `Hyperband(..., workers=...)`.

    Use it in a `with` statement, or call its `close()`: that ends the workers and the connection.
    A connection that this process has to Ray already is used, and left open.

    Args:
        address: "auto" for that of the environment variable RAY_ADDRESS or the cluster of this
            machine (of `ray start` or `ray job submit`), "host:port" or "ray://host:port" for
            another, "local" to start one here for as long as it is needed.
        workers: How many; by default one per CPU core of the cluster or, where it has GPUs, one
            per GPU.
        gpus_per_worker: GPUs of each worker, which may be a part of one, such as 0.5; 0 for none.
        timeout: Seconds to wait for a worker when there is none.

    Raises:
        BadInput: if Ray is not installed, or the address is not one.
        RunFailed: if there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise BadInput(
            "argument --cluster: needs Ray, which is not installed; "
            "`pip install '.[cluster]'` installs it"
        ) from None
    from shared_keras.processes.cluster.answers import first_sentence
    from shared_keras.processes.cluster.pool import RayPool

    if ray.is_initialized():
        return RayPool(workers, gpus_per_worker, timeout)
    source = "argument --cluster"
    if address == AUTO and os.environ.get(VARIABLE):
        address, source = os.environ[VARIABLE], f"environment variable {VARIABLE}"  # as Ray does
    if address != LOCAL:
        _check(address, source)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its next default
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"log_to_driver": False}
    if address == LOCAL:
        options |= {"num_cpus": devices.core_count(), "include_dashboard": False}
    try:
        with _sigterm_kept(), silence.on_stderr():  # Ray's own log; what goes wrong is raised, too
            _begin(address, options)
    except RunFailed:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if text.startswith("Version mismatch"):
            raise RunFailed(f"{source}: {address} has other versions: {text}") from None
        advice = f"; {OF_CLIENT}" if address.startswith(CLIENT) else ""
        raise RunFailed(
            f"{source}: no Ray cluster answers at {address} ({first_sentence(error)}){advice}"
        ) from None
    except BaseException:
        ray.shutdown()
        raise
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # again: Ray has its own default
    connection = contextlib.ExitStack()
    try:
        connection.enter_context(_without_logs_of_nodes())
        connection.callback(ray.shutdown)
        return RayPool(workers, gpus_per_worker, timeout, disconnect=connection.close)
    except BaseException:
        connection.close()
        raise


def _begin(address: str, options: Mapping[str, Any]) -> None:
    """Connect; not in a thread, whose end would end Ray."""
    import ray

    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        if STUCK not in str(error):
            raise
        ray.init(address=address, **options)


@contextlib.contextmanager
def _without_logs_of_nodes() -> Iterator[None]:
    """Drop the log of a node that died, thirty lines of it, which Ray prints among ours.

    This is the switch of Ray's own debugger; `log_to_driver=False` leaves these lines on.
    """
    from ray._private import worker

    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep what this process does on SIGTERM, in place of which Ray has its own."""
    if threading.current_thread() is not threading.main_thread():
        yield  # there Ray leaves it alone, too
        return
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    try:
        yield
    except SystemExit:  # Ray's own answer to SIGTERM
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        raise RunFailed("SIGTERM came while Ray connected") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(address: str, source: str) -> None:
    """Refuse what is no address, and where no cluster answers.

    `ray.init` would wait for ever, or end this process.

    Args:
        address: The address, or "auto".
        source: Where it is from.

    Raises:
        BadInput: if it is no address.
        RunFailed: if no cluster answers there.
    """
    if address != AUTO:
        host, _, port = address.removeprefix(CLIENT).rpartition(":")
        if not host or "/" in host or not port.isdigit() or int(port) > LAST_PORT:
            raise BadInput(
                f"{source}: expected auto, local, HOST:PORT or ray://HOST:PORT, got {address}"
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise RunFailed(
                f"{source}: nothing answers at {address} ({error.strerror or error})"
            ) from None
    if not address.startswith(CLIENT):
        ask_ray(address, source)


def ask_ray(address: str, source: str) -> None:
    """Ask a cluster for its status, in another process.

    Args:
        address: The address, or "auto".
        source: Where it is from.

    Raises:
        RunFailed: if there is none, or it does not answer in time.
    """
    from shared_keras.processes.cluster import answers  # needs Ray

    where = "on this machine" if address == AUTO else f"at {address}"
    command = [*STATUS, address]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=True)
        return
    except subprocess.TimeoutExpired:
        port = "" if address == AUTO else ", and is this its port"
        why = f"within {ANSWERS_WITHIN} seconds; is its head node still there{port}?"
    except subprocess.CalledProcessError as error:
        said = answers.exception_in(error.stderr) or "it gives no reason"
        if "version mismatch" in said:
            raise RunFailed(f"{source}: the cluster {where} has other versions: {said}") from None
        hints = (hint for sign, hint in HINTS.items() if sign in error.stderr.lower())
        why = f"({next(hints, said)})"
    raise RunFailed(f"{source}: no Ray cluster answers {where} {why}")
