"""Export a model for Fashion-MNIST to the format of another runtime, or as a page."""

from fashion_keras.task import TASK
from shared_keras.command_line import cli

if __name__ == "__main__":
    raise SystemExit(cli.main(TASK, "export"))
