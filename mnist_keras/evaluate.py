"""Evaluate a model on the test images of MNIST."""

from mnist_keras.task import TASK
from shared_keras.command_line import cli

if __name__ == "__main__":
    raise SystemExit(cli.main(TASK, "evaluate"))
