"""What a search was asked: the flags of `search`, resolved once."""

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

from shared_keras.commands import door
from shared_keras.errors import BadInput
from shared_keras.results.settings import QUICK
from shared_keras.task import Budget, Task

OF_BUDGET = ("max_epochs", "factor", "iterations")


@dataclass(frozen=True)
class SearchRequest:
    """What a search was asked: each field is what the flag of its name says.

    Attributes:
        budget: What `--max-epochs`, `--factor`, `--iterations` and `--quick` come to.
        batch_size: None if it was not given; see `choices.batch_size`.
    """

    space: str
    budget: Budget
    min_epochs: int
    batch_size: int | None
    objective: str
    split: str
    seed: int
    try_first: str | None
    name: str
    max_trials: int | None
    timeout: int | None
    confirm: int | None
    tensorboard: bool
    optuna_journal: Path | None
    data_dir: str | None
    results_dir: Path


def of(task: Task, args: argparse.Namespace) -> SearchRequest:
    """Return what `flags.search` parsed, with the defaults of the task.

    Raises:
        BadInput: if the flags contradict each other.
    """
    budget = _budget(task, args)
    if args.min_epochs > budget.max_epochs:
        raise BadInput(
            f"argument --min-epochs: expected at most {budget.max_epochs}, the epochs of the "
            f"longest training, got {args.min_epochs}"
        )
    name = args.name or _default_name(args)
    return door.settings(SearchRequest, args, budget=budget, name=name)


def _budget(task: Task, args: argparse.Namespace) -> Budget:
    given = {n: value for n in OF_BUDGET if (value := getattr(args, n)) is not None}
    if not args.quick:
        return replace(task.spaces[args.space], **given)
    for name in [name for name in QUICK if name in given]:
        raise BadInput(
            f"argument --quick: sets the budget, so it cannot be combined with "
            f"--{name.replace('_', '-')} {given[name]}; leave one of them out"
        )
    return Budget(**QUICK | given)


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
