"""The two ways in which a command can end badly."""

import numbers


class BadInput(ValueError):
    """What the user gave cannot be used; the command exits with code 2.

    The message is one sentence that names the argument or the file, says what
    was received and what would be right.
    """


class RunFailed(RuntimeError):
    """Something went wrong while running; the command exits with code 1."""


def whole(name: str, value, least: int, *others):
    """Return a whole number, NumPy's too, as Python's own, or what else there may be.

    Raises:
        BadInput: if it is neither.
    """
    if isinstance(value, numbers.Integral) and value >= least:
        return int(value)
    if value in others:
        return value
    expected = " or ".join([f"a whole number of at least {least}", *map(repr, others)])
    raise BadInput(f"{name}: expected {expected}, got {value!r}")
