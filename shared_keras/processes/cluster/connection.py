"""Connect to a Ray cluster."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator

from shared_keras import devices
from shared_keras.errors import BadInput, RunFailed

LOCAL = "local"
AUTO = "auto"


def connect(
    address: str = AUTO,
    *,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    timeout: float = 600,
):
    """Return workers on a Ray cluster, for `Hyperband(..., workers=...)`.

    Use it in a `with` statement, or call its `close()`: that ends the workers and the connection.
    A connection that this process has to Ray already is used, and left open.

    Args:
        address: "auto" for the cluster of this machine (of `ray start` or `ray job submit`),
            "host:port" or "ray://host:port" for another, "local" to start one here for as long
            as it is needed.
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
    _check(address)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its next default
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    options = {"log_to_driver": False}
    if address == LOCAL:
        options |= {"num_cpus": devices.core_count(), "include_dashboard": False}
    try:
        with _quiet():
            ray.init(address=address, **options)  # not in a thread: its end would end Ray
    except Exception as error:
        text = " ".join(str(error).split())
        if text.startswith("Version mismatch"):
            raise RunFailed(f"argument --cluster: {address} has other versions: {text}") from None
        raise RunFailed(
            f"argument --cluster: no Ray cluster answers at {address} ({first_sentence(error)})"
        ) from None
    try:
        return RayPool(workers, gpus_per_worker, timeout, disconnect=ray.shutdown)
    except BaseException:
        ray.shutdown()
        raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what Ray's own log writes to stderr; what goes wrong comes as an exception, too."""
    sys.stderr.flush()
    before = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _check(address: str) -> None:
    """Refuse what is no address, and one where nothing listens, which Ray would try for long."""
    if address in (AUTO, LOCAL):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise BadInput(
            f"argument --cluster: expected auto, local, HOST:PORT or ray://HOST:PORT, got {address}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise RunFailed(
            f"argument --cluster: nothing answers at {address} ({error.strerror or error})"
        ) from None
