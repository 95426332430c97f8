"""What all jobs of a run share, as it is sent to workers, and the calls that use it there.

With it go the surroundings of this process and the custom objects that are registered with Keras.
"""

import gc
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from shared_keras import files
from shared_keras.errors import RunFailed, one_line
from shared_keras.processes import carried, program, registered, surroundings
from shared_keras.processes.protocol import Job, Pool
from shared_keras.processes.surroundings import Surroundings

_held: dict[str, Any] = {}  # in a worker: what its jobs share, by key


class CannotBeSent(RunFailed):
    """What all jobs share cannot be sent to another process."""


class NotGiven:
    """The answer of a process that lacks the data that all jobs share."""


class Parcel:
    """What all jobs share, pickled once.

    Args:
        pool: The pool whose workers get it.
        shared: What all jobs share.
        work: Called in a worker as `work(shared, job)`.

    Raises:
        CannotBeSent: if `shared` cannot be pickled.
    """

    def __init__(self, pool: Pool, shared: Any, work: Callable[[Any, Any], Any]):
        self.key, self.work = uuid.uuid4().hex, work
        self.shares_files = pool.shares_files
        self.surroundings = surroundings.read() if pool.shares_files else None
        objects = registered.read()
        self.imported = objects.imported
        try:
            self.data = pool.share(program.pickled((objects.own, shared)))
        except RunFailed:
            raise
        except Exception as error:
            raise _cannot_be_sent(error) from error
        pool.notes += objects.notes

    def to_hold(self) -> tuple[Any, ...]:
        """Return the call that gives a worker the data."""
        return hold, self.key, self.data, self.imported, self.surroundings

    def to_work(self, job: Job) -> tuple[Any, ...]:
        """Return the call that runs a job."""
        if self.shares_files:
            return run, self.key, self.work, job
        needed, here = carried.read(job.needs()), files.current_folder()
        return run_elsewhere, self.key, self.work, job, needed, here

    def result(self, answer: Any) -> Any:
        """Return what `work` returned, after the files that it wrote elsewhere are written here."""
        if isinstance(answer, carried.Carried):
            carried.write(answer.files)
            return answer.result
        return answer


def hold(key: str, data: bytes, imported: Mapping[str, bytes], around: Surroundings | None) -> None:
    """Keep what the next jobs share, and take over the surroundings that they come from.

    Args:
        key: The key of the data.
        data: What `Parcel` pickled.
        imported: Custom objects of modules; see `registered.Registered`.
        around: The surroundings, unless they are those of another machine.
    """
    _held.clear()
    if around is not None:
        surroundings.enter(around)
    try:
        own, _held[key] = cloudpickle.loads(data)
    except Exception as error:
        raise _cannot_be_sent(error) from error
    registered.enter(own, imported)
    gc.collect()
    gc.freeze()  # imported modules need no collecting


def run(key: str, work: Callable[[Any, Any], Any], job: Job) -> Any:
    """Run a job that uses the files of this machine."""
    return work(_held[key], job) if key in _held else NotGiven()


def run_elsewhere(
    key: str, work: Callable[[Any, Any], Any], job: Job, brought: Mapping[Path, bytes], folder: Path
) -> Any:
    """Run a job of another machine, whose files come with it and go back with its result."""
    if key not in _held:
        return NotGiven()
    return carried.run(lambda moved: work(_held[key], moved), job, brought, folder)


def _cannot_be_sent(error: Exception) -> CannotBeSent:
    return CannotBeSent(
        "the hypermodel, the data or an option of the search cannot be sent to a worker "
        f"process: {one_line(error).removesuffix('.')}"
    )
