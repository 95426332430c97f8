"""The entry point of every command: parse, choose the backend, run, report how it ended."""

import codecs
import importlib
import sys
from typing import Any

from shared_keras import devices, interrupts
from shared_keras.command_line import flags
from shared_keras.errors import NO_ROOM, BadInput, RunFailed, of_file, sentence
from shared_keras.processes import quick_import
from shared_keras.task import Task

TRAIN = ("search", "retrain")


def main(task: Task, command: str, argv: list[str] | None = None) -> int:
    """Run a command of a task.

    Args:
        task: The task.
        command: "search", "retrain", "evaluate", "predict", "explore", "compare", "runs" or
            "export".
        argv: Arguments of the command; by default those of this process.

    Returns:
        The exit code: 0, or 2 for bad input, 1 for a failure, 130 for Ctrl-C, 143 for SIGTERM, 3
        for a port that differs from its original, 4 for one of which not all was compared.
        `python -X dev` shows the traceback.
    """
    if argv is None:  # this process is the command's own
        _write_any_text()
    parser = flags.parser(task, command)
    args = parser.parse_args(argv)
    try:
        with interrupts.heard():
            if hasattr(args, "backend"):
                devices.choose(args.backend, args.device)
            if argv is None and command in TRAIN:
                quick_import.without_tensorflow()
            # Imported only now: commands import Keras, which takes seconds and needs its backend.
            code = importlib.import_module(f"shared_keras.commands.{command}").run(task, args)
        return code or 0
    except BadInput as error:
        return _fail(parser, error, 2)
    except RunFailed as error:
        return _fail(parser, error, 1)
    except KeyboardInterrupt as error:
        terminated = isinstance(error, interrupts.Terminated)
        name, code = ("SIGTERM", 143) if terminated else ("Ctrl-C", 130)
        if argv is None:  # this process is the command's own
            interrupts.end_at_once(code)
        print(f"{parser.prog}: stopped by {name}", file=sys.stderr)
        return code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone
        return 1
    except Exception as error:
        full = of_file(error) and error.errno in NO_ROOM
        return _fail(parser, sentence(error) + "; what was written before is whole" * full, 1)


def package(task: Task) -> int:
    """Run the command that was typed behind the package, or list the commands of a task.

    Args:
        task: The task.

    Returns:
        The exit code: that of the command, 0 if help was asked for, or else 2.
    """
    typed = sys.argv[1:]
    if typed and typed[0] in flags.PARSERS:
        return main(task, sys.argv.pop(1))
    asked = typed in (["--help"], ["-h"])
    file = sys.stdout if asked else sys.stderr
    if typed and not asked:
        known = ", ".join(flags.PARSERS)
        error = f"expected one of the commands {known}, got '{typed[0]}'"
        print(f"python -m {task.package}: error: {error}", file=file)
        return 2
    print(f"usage: python -m {task.package} COMMAND [--help], where COMMAND is", file=file)
    for command in flags.PARSERS:
        what = flags.parser(task, command).description.partition(":")[0].rstrip(".")
        print(f"  {command:9} {what[0].lower()}{what[1:]}", file=file)
    return 0 if asked else 2


def _write_any_text() -> None:
    """Write a "?" for a letter that the locale's encoding lacks, and the bytes of file names."""
    codecs.register_error("as_far_as_possible", _as_far_as_possible)
    stream: Any
    for stream in (sys.stdout, sys.stderr):
        if stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="as_far_as_possible")


def _as_far_as_possible(error: Any) -> tuple[bytes, int]:
    letters = error.object[error.start : error.end]
    written = [
        letter.encode("ascii", "surrogateescape") if "\udc80" <= letter <= "\udcff" else b"?"
        for letter in letters
    ]
    return b"".join(written), error.end


def _fail(parser: flags.Parser, error: Exception | str, code: int) -> int:
    if sys.flags.dev_mode and isinstance(sys.exc_info()[1], Exception):
        raise
    sentence = " ".join(str(error).split())
    print(f"{parser.prog}: error: {sentence}", file=sys.stderr)
    return code
