"""Ctrl-C where Python ignores it, SIGTERM as if it were one, and a quick end of the process."""

import _thread
import atexit
import contextlib
import gc
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

_code = None  # with which this process is to end at once
_terminated = -math.inf  # when SIGTERM was heard
PAUSE = 10  # seconds for cleaning up, in which another SIGTERM is not heard


class Terminated(KeyboardInterrupt):
    """SIGTERM, as `kill` or Slurm send it."""


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, where that would end the process without a word.

    And repeat either signal if Python would ignore it, because it came while memory was freed.
    """
    global _terminated
    _terminated = -math.inf
    before, sys.unraisablehook = sys.unraisablehook, _repeat
    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        sys.unraisablehook = before
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_at_once(code: int) -> None:
    """Let the process end without cleaning up; XLA, compiling in a thread, would abort.

    Args:
        code: The exit code.
    """
    global _code
    _code = code
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@atexit.register  # before all others, so that it is called after them
def _leave() -> None:
    if _code is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_code)
    gc.freeze()  # saves 0.5 s: Python skips these objects at exit


def _terminate(number: int, frame: FrameType | None) -> None:
    global _terminated
    if time.monotonic() - _terminated > PAUSE:
        _terminated = time.monotonic()
        raise Terminated


def _repeat(unraisable: Any) -> None:
    global _terminated
    if issubclass(unraisable.exc_type, Terminated):
        _terminated = -math.inf
        threading.Timer(0.1, _interrupt, [signal.SIGTERM]).start()
    elif issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.1, _interrupt, [signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # wakes a main thread that waits, too
        signal.pthread_kill(threading.main_thread().ident, number)
    else:
        _thread.interrupt_main(signal.Signals(number))
