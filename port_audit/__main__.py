"""python -m port_audit ORIGINAL PORT: audit a port, both sides in a Python file."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from port_audit.data_file import read_npz
from port_audit.errors import UnusableInput, one_line


def main(words: Sequence[str] | None = None) -> int:
    """Audit a port as the arguments say.

    Args:
        words: The arguments; by default those of this process.

    Returns:
        The exit code: 0 if there is no difference and nothing was left out, 3 if there is a
        difference, 4 if there is none but settings could not be compared; 2 for bad input, 1 for
        a failure, 130 for Ctrl-C. `python -X dev` shows the traceback.
    """
    parser = _parser()
    args = parser.parse_args(words)
    try:  # only now: it takes seconds
        _import_tensorflow()
        from port_audit.audit import compare_files
    except ModuleNotFoundError as error:
        return _fail(parser, f"an audit needs '{error.name}', which is not installed", 2)
    try:
        if args.out is not None:
            _make(args.out)
        data = None if args.data is None else read_npz(args.data)
        report = compare_files(args.original, args.port, data)
        report.show()
        if args.out is not None:
            report.write(args.out, args.original, args.port)
            print(f"wrote {args.out}: {', '.join(sorted(p.name for p in args.out.iterdir()))}")
        return report.exit_code
    except UnusableInput as error:
        return _fail(parser, str(error), 2)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone
        return 1
    except Exception as error:
        return _fail(parser, one_line(error), 1)


def _import_tensorflow() -> None:
    """Import it, if it is there, without what it tells of itself, past Python, on stderr.

    Keras does so on every backend, to read the settings of layers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m port_audit",
        description="Find where a Keras model leaves its PyTorch original, and why. Both Python "
        "files are run, so only name your own code.",
        epilog="Exit codes: 0 no difference, nothing left out; 3 differences; 4 no difference in "
        "what was compared, but settings were left out; 2 bad input.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("original", metavar="ORIGINAL", type=_file, help="Python file that defines the original")
    add("port", metavar="PORT", type=_file, help="Python file that defines the port")
    add(
        "--data",
        metavar="FILE.npz",
        type=_file,
        help="inputs and targets: arrays x and y, several as x_NAME and y_NAME; by default what "
        "data() of ORIGINAL returns",
    )
    add("--out", metavar="DIR", type=Path, help="new folder for audit.json and audit.png")
    return parser


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected a file, got '{text}'")
    return Path(text)


def _make(folder: Path) -> None:
    """Create a folder for what is written.

    Raises:
        UnusableInput: if that is not possible, or it holds something.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError:
        empty = False
    if not empty:
        raise UnusableInput(f"argument --out: expected a new or empty folder, got '{folder}'")


def _fail(parser: argparse.ArgumentParser, sentence: str, code: int) -> int:
    if sys.flags.dev_mode:
        raise
    print(f"{parser.prog}: error: {' '.join(sentence.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
