"""One process at a time in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from shared_keras.errors import RunFailed

FILE = ".lock"


class Taken(RunFailed):
    """Another process is at work in a folder."""


@contextlib.contextmanager
def of(folder: Path, doing: str = "searching") -> Iterator[None]:
    """Keep others from searching, confirming or retraining in a folder meanwhile.

    Args:
        folder: The folder.
        doing: What others would be doing there.

    Raises:
        Taken: if one does already.
    """
    lock = FileLock(folder / FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Taken(f"another process is {doing} in {folder}") from None
    try:
        yield
    finally:
        lock.release()
