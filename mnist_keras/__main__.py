"""Run a command, or list them: `python -m mnist_keras COMMAND`, or `mnist-keras COMMAND`."""

from mnist_keras.task import TASK
from shared_keras.command_line import cli


def main() -> int:
    """Run what was typed; return the exit code."""
    return cli.package(TASK)


if __name__ == "__main__":
    raise SystemExit(main())
