"""Do something again and again, but not too often."""

import time
from collections.abc import Callable
from typing import Any, Self

SHARE = 0.1


class Seldom:
    """A function that is called so seldom that it takes at most a share of the time.

    Use it as a context manager: a call that was left out last is made up for at the end.

    Args:
        function: The function.
        share: Its share of the time, `SHARE` if not given.
    """

    def __init__(self, function: Callable[[], None], share: float | None = None):
        self._function, self._share = function, SHARE if share is None else share
        self._due, self._left_out = 0.0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._left_out:
            self._call()

    def __call__(self) -> None:
        """Call the function, unless it is too early."""
        self._left_out = time.monotonic() < self._due
        if not self._left_out:
            self._call()

    def catch_up(self) -> None:
        """Make up for a call that was left out, unless it is still too early."""
        if self._left_out:
            self()

    def _call(self) -> None:
        began = time.monotonic()
        self._function()
        self._left_out, now = False, time.monotonic()
        self._due = now + (now - began) * (1 / self._share - 1)
