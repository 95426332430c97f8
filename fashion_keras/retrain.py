"""Retrain a search's winner or a published recipe for Fashion-MNIST."""

from fashion_keras.task import TASK
from shared_keras.command_line import cli

if __name__ == "__main__":
    raise SystemExit(cli.main(TASK, "retrain"))
