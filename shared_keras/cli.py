"""What the commands have in common: flags, checks, and how they end."""

import argparse
import atexit
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

from shared_keras import devices
from shared_keras.datasets import SPLITS
from shared_keras.errors import BadInput, RunFailed
from shared_keras.task import Task

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
atexit.register(gc.freeze)  # otherwise Python, as it leaves, looks at all objects again: 0.5 s


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that a flag is off."""

    def _get_help_string(self, action):
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that says what is wrong in one sentence."""

    def __init__(self, task: Task, verb: str, description: str):
        super().__init__(
            prog=f"python -m {task.package}.{verb}",
            description=description,
            formatter_class=_Help,
            allow_abbrev=False,
        )

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def add_data(parser: Parser) -> None:
    """Add --data-dir."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder with four IDX files, plain or gzipped, instead of the embedded ones",
    )


def add_split(parser: Parser, default: str | None, note: str = "") -> None:
    """Add --split."""
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=default,
        help="where validation images come from: a fifth of the training images "
        "(holdout), or the test images, as the originals did: a part of them (published), "
        f"half (half), all (test){note}",
    )


def add_results(parser: Parser) -> None:
    """Add --results-dir."""
    parser.add_argument(
        "--results-dir",
        metavar="DIR",
        type=Path,
        default=Path("tuner_results"),
        help="where results are written and looked for",
    )


def add_device(parser: Parser) -> None:
    """Add --backend and --device."""
    parser.add_argument(
        "--backend",
        choices=devices.BACKENDS,
        help="Keras backend; without it KERAS_BACKEND decides, and without that jax",
    )
    parser.add_argument(
        "--device", choices=devices.DEVICES, default="auto", help="auto takes a GPU if any"
    )


def whole(low: int) -> Callable[[str], int]:
    """Return a reader of whole numbers of at least `low`."""

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
    """Read a name of a search or a run: one folder's, not a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected a name of letters, digits, dots, dashes and underscores, got '{text}'"
        )
    return text


def run(
    parser: Parser,
    work: Callable[[Task, argparse.Namespace], None],
    task: Task,
    argv: list[str] | None,
) -> int:
    """Parse the flags, choose the backend, do the work, and say how it ended.

    Returns:
        The exit code: 0, or 2 for bad input, 1 for a failure, 130 for Ctrl-C.
        `python -X dev` shows the traceback.
    """
    args = parser.parse_args(argv)
    try:
        if hasattr(args, "backend"):
            devices.choose(args.backend, args.device)
        work(task, args)
        return 0
    except BadInput as error:
        return _fail(parser, error, 2)
    except RunFailed as error:
        return _fail(parser, error, 1)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone; nobody to tell
        return 1
    except Exception as error:
        return _fail(parser, f"{type(error).__name__}: {error}", 1)


def _fail(parser: Parser, error: Exception | str, code: int) -> int:
    if sys.flags.dev_mode and isinstance(sys.exc_info()[1], Exception):
        raise
    sentence = " ".join(str(error).split())
    print(f"{parser.prog}: error: {sentence}", file=sys.stderr)
    return code
