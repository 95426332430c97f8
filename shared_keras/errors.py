"""The two ways in which a command can end badly."""


class BadInput(ValueError):
    """What the user gave cannot be used; the command exits with code 2.

    The message is one sentence that names the argument or the file, says what
    was received and what would be right.
    """


class RunFailed(RuntimeError):
    """Something went wrong while running; the command exits with code 1."""
