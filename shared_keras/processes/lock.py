"""One search at a time in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from shared_keras.errors import RunFailed


@contextlib.contextmanager
def of(folder: Path) -> Iterator[None]:
    """Keep others from searching or confirming in a folder meanwhile.

    Raises:
        RunFailed: if one does already.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunFailed(f"another process is searching in {folder}") from None
    try:
        yield
    finally:
        lock.release()
