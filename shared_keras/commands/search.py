"""Search hyperparameters with Hyperband."""

import argparse
import contextlib

from shared_keras.commands import pools
from shared_keras.commands.searching import request
from shared_keras.processes import quick_import
from shared_keras.processes.protocol import NoWorkers
from shared_keras.task import Task


def run(task: Task, args: argparse.Namespace) -> None:
    """Start the workers, then search or resume a search.

    Args:
        task: The task.
        args: What `flags.search` parsed.

    Raises:
        BadInput: if the flags conflict, or differ from those of the search to resume.
        RunFailed: if no trial completed.
    """
    asked = request.of(task, args)
    with pools.asked_for(args) as pool:
        with contextlib.suppress(NoWorkers):  # the search says so
            pool.workers()  # they start while this process imports Keras
        quick_import.keras()

        from shared_keras.commands.searching import session  # needs Keras

        session.run(task, asked, pool)
