"""Run a command, or list them: `python -m fashion_keras COMMAND`, or `fashion-keras COMMAND`."""

from fashion_keras.task import TASK
from shared_keras.command_line import cli


def main() -> int:
    """Run what was typed; return the exit code."""
    return cli.package(TASK)


if __name__ == "__main__":
    raise SystemExit(main())
