"""The two ways in which a command can fail."""

import errno
import numbers
from typing import Any, TypeGuard

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BadInput(ValueError):
    """What the user gave cannot be used; the command exits with code 2.

    The message is one sentence. It names the argument or the file, and says what
    was received and what would be right.
    """


class RunFailed(RuntimeError):
    """Something went wrong while running; the command exits with code 1."""


def one_line(error: BaseException) -> str:
    """Return the name of an exception and what it says, without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def of_file(error: BaseException) -> TypeGuard[OSError]:
    """Return whether an exception says which file could not be read or written."""
    return isinstance(error, OSError) and bool(error.strerror) and error.filename is not None


def sentence(error: BaseException) -> str:
    """Return what went wrong, for people: of a file, its name and why."""
    if not of_file(error):
        return one_line(error)
    what = " cannot be written" if error.errno in NO_ROOM else ""
    return f"{error.filename}{what}: {error.strerror}"


def whole(name: str, value: Any, least: int, *others: Any) -> Any:
    """Return a whole number as a Python int, or another value that is allowed unchanged.

    Args:
        name: Name of the argument, for the message.
        value: A Python or NumPy integer, or one of `others`.
        least: Smallest whole number that is allowed.
        others: Other values that are allowed.

    Raises:
        BadInput: if the value is not allowed.
    """
    if isinstance(value, numbers.Integral) and int(value) >= least:
        return int(value)
    if value in others:
        return value
    expected = " or ".join([f"a whole number of at least {least}", *map(repr, others)])
    raise BadInput(f"{name}: expected {expected}, got {value!r}")
