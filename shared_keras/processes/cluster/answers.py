"""What a cluster answers: in time, and what went wrong as one sentence."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError

from shared_keras.errors import RunFailed
from shared_keras.processes.protocol import WorkerLost

FULL = (ObjectStoreFullError, OutOfDiskError)
ANSWER = 30  # seconds within which the cluster must answer; Ray ends this process after 60
SILENT = (
    "the cluster has not answered for {:g} seconds; is its head node still there? A search that "
    "was running can be resumed"
)
RAISED = re.compile(r"[\w.]+(Error|Exception)\b.*: \S")


def bounded(call: Callable[[], Any], seconds: float = ANSWER, late: str = SILENT) -> Any:
    """Return what a call to the cluster returns, if it does so in time.

    Args:
        call: The call.
        seconds: How long it may take.
        late: What to say if it takes longer, with a place for the seconds.

    Raises:
        RunFailed: if it takes longer, or fails.
    """
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        raise RunFailed(late.format(seconds)) from None
    except FULL:
        raise
    except (RayError, ConnectionError, RuntimeError) as error:
        raise RunFailed(f"the cluster does not answer: {first_sentence(error)}") from None


def future_of(
    reference: Any,
    innocent: Callable[[RayError], bool] = lambda error: False,
    unpack: Callable[[Any], Any] = lambda value: value,
) -> Future[Any]:
    """Return the future of a reference, whose errors are those that `protocol.Worker` names.

    Args:
        reference: The reference to a call of an actor.
        innocent: Whether an error of Ray, such as the death of the actor's process, is not the
            fault of the call.
        unpack: Returns or raises what an answer stands for.
    """
    answer: Future[Any] = Future()

    def take(done: Future[Any]) -> None:
        try:
            answer.set_result(unpack(done.result()))
        except RayTaskError as error:
            answer.set_exception(RunFailed(raised(error.cause)))
        except FULL as error:
            answer.set_exception(RunFailed(full(error)))
        except RayError as error:
            broken = WorkerLost if innocent(error) else BrokenExecutor
            answer.set_exception(broken(f"{{{raised(error)}}}"))
        except BaseException as error:
            answer.set_exception(error)

    reference.future().add_done_callback(
        lambda done: threading.Thread(target=take, args=(done,), daemon=True).start()
    )
    return answer


def first_sentence(error: BaseException) -> str:
    """Return the first line of an error of Ray, which may go on for many."""
    return _first_line(str(error)) or type(error).__name__


def raised(error: BaseException) -> str:
    """Return the exception at the end of a traceback that an error quotes, or its first line."""
    if not isinstance(error, RayError):
        return f"{type(error).__name__}: {first_sentence(error)}"
    return exception_in(str(error)) or first_sentence(error)


def exception_in(text: str) -> str:
    """Return the last line of a text that names an exception, or else the first, if any."""
    ends = [line.strip() for line in text.splitlines() if RAISED.match(line.strip())]
    return ends[-1] if ends else _first_line(text)


def node_died(error: RayError) -> bool:
    """Whether Ray says that the machine of an actor is gone."""
    return "its node has died" in str(error)


def full(error: BaseException) -> str:
    """Say that the object store, or the disk below it, is full."""
    return (
        f"the cluster is full: {first_sentence(error)}; `ray start --object-store-memory BYTES` "
        "gives it more room"
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip().rstrip(".")
