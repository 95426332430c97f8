"""How an audit says that it cannot use what it was given."""


class UnusableInput(ValueError):
    """A side, a file or the data are not what they should be.

    The message is one sentence. It says what was received and what would be right.
    """


def one_line(error: BaseException) -> str:
    """Return the name of an exception and what it says, without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
