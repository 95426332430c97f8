"""Silence for libraries that write past Python."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def on_stderr() -> Iterator[None]:
    """Drop what is written to stderr meanwhile, by C++ code and other threads, too.

    They write to the file descriptor, so Python's `redirect_stderr` is not enough. Errors still
    arrive: they are exceptions.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
