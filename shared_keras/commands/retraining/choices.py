"""What `retrain` trains: a trial of a search, or recipes."""

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared_keras import files
from shared_keras.commands.retraining.request import RetrainRequest
from shared_keras.errors import BadInput
from shared_keras.hyperband import table
from shared_keras.reporting.console import say
from shared_keras.reporting.run_report import SearchScore
from shared_keras.results import searches
from shared_keras.results.settings import ALL, EPOCHS, PATIENCE
from shared_keras.systems.recipe import MONITOR, Replay
from shared_keras.systems.spec import System
from shared_keras.task import Task

CHANGED = ("epochs", "patience", "batch_size", "split")  # by flags, if they are given
OF_BEST = ("trial", "space", "split", "batch_size", "hyperparameters")


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
    search: Mapping = field(default_factory=dict)
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
    folder = searches.find(task, asked.results_dir, asked.search)
    best = files.read_object(folder / "best.json", *OF_BEST)
    trial, values, score = best["trial"], best["hyperparameters"], best.get("score")
    label = "best"
    if asked.trial is not None:
        trial, values, score = searches.trial(folder, asked.trial)
        label = f"trial-{trial}"
    searched = None
    if score is not None and "objective" in best:
        confirmed = best.get("confirmed") if trial == best["trial"] else None
        seconds = _seconds_per_epoch(folder / f"trial_{trial}" / "history.csv")
        epochs = table.last_epoch(values)
        searched = SearchScore(trial, best["objective"], score, epochs, confirmed, seconds)
    replay = Replay(best["space"], values)
    system = task.system(replay)
    return Choice(
        label=f"{label}-{best['space']}",
        source=f"trial {trial} of {searches.describe(task, folder)}",
        system=system,
        replay=replay,
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=system.batch_size or best["batch_size"],
        split=best["split"],
        search=files.read_object(folder / "settings.json", "data"),
        searched=searched,
    )


def _seconds_per_epoch(history: Path) -> float | None:
    """Return what an epoch of a trial took, if its history can be read."""
    try:
        return statistics.median(files.read_history(history)["seconds"])
    except (BadInput, KeyError, TypeError, statistics.StatisticsError):
        return None


def _as_asked(choice: Choice, asked: RetrainRequest) -> Choice:
    given = {name: value for name in CHANGED if (value := getattr(asked, name)) is not None}
    return dataclasses.replace(choice, **given)
