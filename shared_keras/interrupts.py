"""Ctrl-C where Python ignores it, and a quick end of the process."""

import _thread
import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator

_interrupted = False  # this process, so that it is to end at once


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Repeat a Ctrl-C that Python would ignore, because it came while memory was freed."""
    before, sys.unraisablehook = sys.unraisablehook, _repeat
    try:
        yield
    finally:
        sys.unraisablehook = before


def end_at_once() -> None:
    """Let the process end without cleaning up; XLA, compiling in a thread, would abort."""
    global _interrupted
    _interrupted = True


@atexit.register  # before all others, so that it is called after them
def _leave() -> None:
    if _interrupted:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130)
    gc.freeze()  # saves 0.5 s: Python skips these objects at exit


def _repeat(unraisable) -> None:
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Timer(0.1, _interrupt).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # wakes a main thread that waits, too
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
