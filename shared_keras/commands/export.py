"""Export a model to another format."""

import argparse

from shared_keras import devices
from shared_keras.errors import BadInput
from shared_keras.exports import formats
from shared_keras.task import Task


def run(task: Task, args: argparse.Namespace) -> None:
    """Choose a backend that can write the format, then export the model and print how to use it.

    Raises:
        BadInput: if nothing can write it.
        RunFailed: if what was written answers otherwise than Keras.
    """
    if args.beside is not None and args.to != "page":
        raise BadInput(f"argument --beside: expected with --to page only, got --to {args.to}")
    devices.choose(formats.backend(args.to), "auto")

    from shared_keras.exports import session  # needs Keras

    session.export(task, args.to, args.run, args.beside, args.results_dir, args.data_dir)
