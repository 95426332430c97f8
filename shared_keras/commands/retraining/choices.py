"""What `retrain` trains: a trial of a search, or recipes."""

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared_keras.commands.retraining.request import RetrainRequest
from shared_keras.errors import BadInput
from shared_keras.reporting.console import say
from shared_keras.reporting.run_report import SearchScore
from shared_keras.results import history_csv, names, searches
from shared_keras.results.settings import ALL, EPOCHS, PATIENCE, SearchSettings
from shared_keras.results.winner import Winner
from shared_keras.systems.recipe import MONITOR, Replay
from shared_keras.systems.spec import System
from shared_keras.task import Task

CHANGED = ("epochs", "patience", "batch_size", "split")  # by flags, if they are given


@dataclass(frozen=True)
class Choice:
    """What to train, taken from a search or a recipe.

    Attributes:
        replay: The hyperparameters that make the system, if it is from a search space.
        search: The settings of the search, if it is from one.
        searched: What the trial reached there, if that is known.
    """

    label: str
    source: str
    system: System
    epochs: int
    patience: int | None
    batch_size: int
    split: str
    published: Mapping[str, float] = field(default_factory=dict)
    monitor: str = MONITOR
    recipe: str | None = None
    replay: Replay | None = None
    search: SearchSettings | None = None
    searched: SearchScore | None = None


def choose(task: Task, asked: RetrainRequest) -> list[Choice]:
    """Return what a retraining was asked for.

    Raises:
        BadInput: if there is no such search, trial or twin, or hyperparameters do not fit.
    """
    if asked.recipe is None:
        return [_as_asked(_of_search(task, asked), asked)]
    names = list(task.recipes) if asked.recipe == ALL else [asked.recipe]
    if asked.torch:
        without = [name for name in names if task.recipes[name].monitor != MONITOR]
        if names == without:
            raise BadInput(
                f"argument --torch: recipe '{asked.recipe}' has no twin, because it stops early by "
                f"{task.recipes[asked.recipe].monitor}; expected one that stops by {MONITOR} or "
                "not at all"
            )
        for name in without:
            say(f"left out: {name} has no twin")
        names = [name for name in names if name not in without]
    return [_as_asked(_of_recipe(task, name), asked) for name in names]


def _of_recipe(task: Task, name: str) -> Choice:
    recipe = task.recipes[name]
    system = task.system(recipe.system)
    return Choice(
        label=f"recipe-{name}",
        source=f"recipe '{name}' ({recipe.source})",
        system=system,
        replay=recipe.system if isinstance(recipe.system, Replay) else None,
        epochs=recipe.epochs,
        patience=recipe.patience,
        monitor=recipe.monitor,
        batch_size=system.batch_size or recipe.batch_size,
        split=recipe.split,
        published=recipe.published,
        recipe=name,
    )


def _of_search(task: Task, asked: RetrainRequest) -> Choice:
    from shared_keras.hyperband import table  # the tuner, which a recipe does without

    folder = searches.find(task, asked.results_dir, asked.search)
    best = Winner.read(folder)
    trial, values, score, label = best.trial, best.hyperparameters, best.score, "best"
    if asked.trial is not None:
        trial, values, score = searches.trial(folder, asked.trial)
        label = f"trial-{trial}"
    searched = None
    if score is not None:
        confirmed = best.confirmed if trial == best.trial else None
        seconds = history_csv.column(folder / f"trial_{trial}" / names.HISTORY, "seconds")
        epoch, epochs = statistics.median(seconds) if seconds else None, table.last_epoch(values)
        searched = SearchScore(trial, best.objective, score, epochs, confirmed, epoch)
    replay = Replay(best.space, values)
    system = task.system(replay)
    return Choice(
        label=f"{label}-{best.space}",
        source=f"trial {trial} of {searches.describe(task, folder)}",
        system=system,
        replay=replay,
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=system.batch_size or best.batch_size,
        split=best.split,
        search=SearchSettings.read(folder),
        searched=searched,
    )


def _as_asked(choice: Choice, asked: RetrainRequest) -> Choice:
    given = {name: value for name in CHANGED if (value := getattr(asked, name)) is not None}
    return dataclasses.replace(choice, **given)
