"""Search hyperparameters with Hyperband."""

import argparse
import contextlib
import re
from dataclasses import asdict
from pathlib import Path

from shared_keras.commands import pools
from shared_keras.errors import BadInput
from shared_keras.processes import quick_import
from shared_keras.processes.protocol import NoWorkers
from shared_keras.results.settings import QUICK
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
    budget = _budget(task, args)
    if args.min_epochs > budget["max_epochs"]:
        raise BadInput(
            f"argument --min-epochs: expected at most {budget['max_epochs']}, the epochs of the "
            f"longest training, got {args.min_epochs}"
        )
    with pools.of(args) as pool:
        with contextlib.suppress(NoWorkers):  # the search says so
            pool.workers()  # they start while this process imports Keras
        quick_import.keras()

        from shared_keras.commands.searching import session  # needs Keras

        session.run(task, args, budget, args.name or _default_name(args), pool)


def _budget(task: Task, args: argparse.Namespace) -> dict[str, int]:
    if args.quick:
        for flag, value in (("max-epochs", args.max_epochs), ("factor", args.factor)):
            if value is not None:
                raise BadInput(
                    f"argument --quick: sets the budget, so it cannot be combined with "
                    f"--{flag} {value}; leave one of them out"
                )
        return QUICK | {"iterations": args.iterations or 1, "min_epochs": args.min_epochs}
    budget = asdict(task.spaces[args.space])
    given = {name: getattr(args, name) for name in ("max_epochs", "factor", "iterations")}
    budget |= {name: value for name, value in given.items() if value is not None}
    return budget | {"min_epochs": args.min_epochs}


def _default_name(args: argparse.Namespace) -> str:
    parts = [args.space]
    if args.data_dir is not None:
        folder = Path(args.data_dir).resolve().name
        parts += re.findall("[A-Za-z0-9._]+", folder)
    parts += [args.split] * (args.split != "holdout")
    parts += [args.objective] * (args.objective != "val_accuracy")
    parts += [f"try-{args.try_first}"] * (args.try_first is not None)
    parts += ["quick"] * args.quick
    return "-".join(parts)
