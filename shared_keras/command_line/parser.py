"""An argument parser that reports errors in one sentence, and argument types."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from shared_keras.task import Task

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that a flag is off."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class OneSentence(argparse.ArgumentParser):
    """An `ArgumentParser` that reports errors in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


class Parser(OneSentence):
    """The parser of a task's command."""

    def __init__(self, task: Task, command: str, description: str):
        super().__init__(
            prog=f"python -m {task.package}.{command}",
            description=description,
            formatter_class=_Help,
            allow_abbrev=False,
        )

    def add_number(
        self,
        flag: str,
        help: str,
        least: int = 1,
        default: int | None = None,
        metavar: str = "N",
    ) -> None:
        """Add a flag for a whole number of at least `least`."""
        self.add_argument(flag, type=whole(least), metavar=metavar, default=default, help=help)


def of_module(file: str, doc: str) -> OneSentence:
    """Return the parser of a module that one runs by `python -m`, by its file and docstring."""
    path = Path(file)
    return OneSentence(
        prog=f"python -m {path.parent.name}.{path.stem}",
        description=doc.partition("\n")[0],
        allow_abbrev=False,
    )


def whole(low: int) -> Callable[[str], int]:
    """Return an argument type: whole numbers of at least `low`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low or value > 2**31 - 1:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {low}, got '{text}'"
            )
        return value

    return read


def name(text: str) -> str:
    """Read the name of a search or a run: a folder name, not a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected a name of letters, digits, dots, dashes and underscores, got {text!r}"
        )
    return text


def whole_or_auto(text: str) -> int | None:
    """Read a whole number of at least 1, or "auto" as None."""
    if text == "auto":
        return None
    try:
        return whole(1)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected auto or a whole number of at least 1, got '{text}'"
        ) from None


def share(text: str) -> float:
    """Read a number of at least 0: a part of one, or a whole number."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value < 1 or (value.is_integer() and 0 <= value <= 1024)):
        raise argparse.ArgumentTypeError(
            f"expected a part of one, such as 0.5, or a whole number, got '{text}'"
        )
    return value
