"""What a kind of workers must offer; nothing above this folder knows which kind it uses."""

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from shared_keras.errors import RunFailed


class WorkerLost(BrokenExecutor):
    """A worker is gone through no fault of its job: with its machine, or before the job began."""


class NoWorkers(RunFailed):
    """This process may have no workers."""


class Worker(Protocol):
    """A process that runs one job at a time."""

    @property
    def name(self) -> str:
        """Its name, unique in its pool."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `function(*args)` after everything that was submitted before.

        The future raises what the function raises, a `WorkerLost` if that is not the fault of the
        function, or another `BrokenExecutor` if the process died while the function ran.
        """

    def restart(self) -> None:
        """End the process, if it is still alive, and have its pool start another."""

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""


class Job(Protocol):
    """A job that may leave files, on a worker that need not see ours."""

    def needs(self) -> Sequence[Path]:
        """Return the files that it reads."""

    def moved(self, root: Path) -> "Job":
        """Return the same job with each of its paths below another root."""


class Pool(Protocol):
    """Workers that may come and go.

    Attributes:
        notes: Sentences about workers that came or went; whoever shows them clears them.
        shares_files: Whether the workers see the files of this process.
    """

    notes: list[str]
    shares_files: bool

    def workers(self) -> Sequence[Worker]:
        """Return the workers that there are now.

        Raises:
            NoWorkers: if this process may have none.
            RunFailed: if there has been none for too long.
        """

    def size(self) -> int:
        """Return how many workers there are, or soon will be."""

    def share(self, data: bytes) -> Any:
        """Return what stands for data when it is an argument of a job, so that it is sent once."""

    def claimed(self) -> AbstractContextManager[None]:
        """Have the workers to oneself, because they serve one search at a time.

        Raises:
            RunFailed: if another search of this process has them.
        """
