"""What `retrain` trains: a trial of a search, or recipes."""

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared_keras.errors import BadInput
from shared_keras.hyperband.table import epochs_of
from shared_keras.reporting.console import say
from shared_keras.reporting.run_report import SearchScore
from shared_keras.results import history_csv, names, searches
from shared_keras.results.settings import ALL, EPOCHS, PATIENCE, SearchSettings
from shared_keras.results.winner import Winner
from shared_keras.systems.recipe import MONITOR, Recipe, Replay
from shared_keras.systems.spec import System
from shared_keras.task import Task


@dataclass(frozen=True)
class Choice:
    """What to train, taken from a search or a recipe.

    Attributes:
        search: The settings of the search, if it is from one.
        searched: What the trial reached there, if that is known.
    """

    label: str
    source: str
    system: Replay | System
    epochs: int
    patience: int | None
    batch_size: int
    split: str
    published: Mapping[str, float] = field(default_factory=dict)
    monitor: str = MONITOR
    recipe: str | None = None
    search: SearchSettings | None = None
    searched: SearchScore | None = None


def choose(task: Task, args) -> list[Choice]:
    """Return what the arguments of `flags.retrain` ask for.

    Raises:
        BadInput: if they contradict each other, or if there is no such search or trial.
    """
    if args.recipe is None:
        return [_with_flags(_of_search(task, args), args)]
    if args.search is not None:
        raise BadInput(
            f"argument --search: got '{args.search}', but --recipe does not use a search; "
            "leave one of them out"
        )
    names = list(task.recipes) if args.recipe == ALL else [args.recipe]
    if args.torch:
        without = [name for name in names if task.recipes[name].monitor != MONITOR]
        if names == without:
            raise BadInput(
                f"argument --torch: recipe '{args.recipe}' has no twin, because it stops early by "
                f"{task.recipes[args.recipe].monitor}; expected one that stops by {MONITOR} or not "
                "at all"
            )
        for name in without:
            say(f"left out: {name} has no twin")
        names = [name for name in names if name not in without]
    return [_with_flags(_of_recipe(name, task.recipes[name]), args) for name in names]


def _of_recipe(name: str, recipe: Recipe) -> Choice:
    return Choice(
        label=f"recipe-{name}",
        source=f"recipe '{name}' ({recipe.source})",
        system=recipe.system,
        epochs=recipe.epochs,
        patience=recipe.patience,
        monitor=recipe.monitor,
        batch_size=recipe.batch_size,
        split=recipe.split,
        published=recipe.published,
        recipe=name,
    )


def _of_search(task: Task, args) -> Choice:
    folder = searches.find(task, args.results_dir, args.search)
    best = Winner.read(folder)
    trial, values, score, label = best.trial, best.hyperparameters, best.score, "best"
    if args.trial is not None:
        trial, values, score = searches.trial(folder, args.trial)
        label = f"trial-{trial}"
    searched = None
    if score is not None:
        confirmed = best.confirmed if trial == best.trial else None
        seconds = history_csv.column(folder / f"trial_{trial}" / names.HISTORY, "seconds")
        epoch, epochs = statistics.median(seconds) if seconds else None, epochs_of(values)
        searched = SearchScore(trial, best.objective, score, epochs, confirmed, epoch)
    return Choice(
        label=f"{label}-{best.space}",
        source=f"trial {trial} of {searches.describe(task, folder)}",
        system=Replay(best.space, values),
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=best.batch_size,
        split=best.split,
        search=SearchSettings.read(folder),
        searched=searched,
    )


def _with_flags(choice: Choice, args) -> Choice:
    given = {
        name: getattr(args, name)
        for name in ("epochs", "patience", "batch_size", "split")
        if getattr(args, name) is not None
    }
    return dataclasses.replace(choice, **given)
