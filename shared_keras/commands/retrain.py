"""Train a search's winner, one of its trials, or published recipes."""

import argparse

from shared_keras import devices
from shared_keras.commands import pools
from shared_keras.errors import BadInput
from shared_keras.processes import quick_import
from shared_keras.results.settings import ALL
from shared_keras.task import Task


def run(task: Task, args: argparse.Namespace) -> None:
    """Start the workers, if there is more than one run, then train.

    A single run stays in this process, with all its cores, unless `--workers` or `--cluster`
    is given.

    Args:
        task: The task.
        args: What `flags.retrain` parsed.

    Raises:
        BadInput: if the flags conflict.
        RunFailed: if a run failed.
    """
    if args.torch:
        devices.need_torch("--torch")
        if args.precision != "float32":
            raise BadInput(
                "argument --precision: sets a Keras policy, expected float32 with --torch, "
                f"got {args.precision}"
            )
    several = args.runs > 1 or args.recipe == ALL
    with pools.of(args) as pool:
        if several or args.workers is not None or args.cluster is not None:
            pool.workers()  # they start while this process imports Keras
        else:
            pool = None
        quick_import.keras()

        from shared_keras.commands.retraining import session  # needs Keras

        session.run(task, args, pool)
