"""The user's runs of recipes, and the committed ones, read from their folders."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from shared_keras.results import run_folders
from shared_keras.results.run_folders import Run
from shared_keras.results.settings import RunSettings
from shared_keras.systems.recipe import Recipe
from shared_keras.task import Task

FRAMEWORKS = {"ours": "keras", "twin": "pytorch"}
Found = dict[tuple[str, str], list[Run]]


class Ignored(NamedTuple):
    """A run of a recipe that does not count, with each setting that is not the recipe's."""

    folder: Path
    differs: tuple[str, ...]


class Collected(NamedTuple):
    """What a folder of runs holds.

    Attributes:
        found: For each (recipe, "ours" or "twin"), the run of each seed.
        ignored: The runs of recipes with other settings or images.
        problems: What is wrong with those that were interrupted or damaged.
    """

    found: Found
    ignored: list[Ignored]
    problems: list[str]


def collect(task: Task, folder: Path, digest: str) -> Collected:
    """Read the runs that trained a recipe as published.

    Args:
        task: The task.
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.
    """
    ignored, systems = [], {}

    def name_of(run: Path, settings: RunSettings) -> str | None:
        name = settings.recipe
        if name not in task.recipes:
            return None
        if name not in systems:
            systems[name] = task.system(task.recipes[name].system).to_json()
        differs = differences(settings, task.recipes[name], systems[name], digest)
        if differs:
            ignored.append(Ignored(run, tuple(differs)))
        return None if differs else name

    ended, problems = run_folders.ended(folder, name_of)
    return Collected(by_framework(ended), ignored, problems)


def by_framework(named: Iterable[tuple[str, Run]]) -> Found:
    """Return runs by name and by "ours" or "twin"; the last one of each seed."""
    found: dict[tuple[str, str], dict[int, Run]] = {}
    for name, run in named:
        key = next(key for key, value in FRAMEWORKS.items() if value == run.settings.framework)
        found.setdefault((name, key), {})[run.settings.seed] = run
    return {key: list(by_seed.values()) for key, by_seed in found.items()}


def differences(settings: RunSettings, recipe: Recipe, system: Mapping, digest: str) -> list[str]:
    """Return what a run trained differently than its recipe says, a few words for each.

    Args:
        settings: The settings of the run.
        recipe: The recipe.
        system: `System.to_json()` of the recipe.
        digest: Digest of the images that the run must have used.
    """
    expected = {
        "system": system,
        "epochs": recipe.epochs,
        "patience": recipe.patience,
        "batch_size": recipe.batch_size,
        "split": recipe.split,
        "precision": "float32",
    }
    if recipe.patience is not None:  # without, it decides nothing
        expected["monitor"] = recipe.monitor
    here = dict(_leaves("", {key: getattr(settings, key) for key in expected}))
    there = dict(_leaves("", expected))
    differs = [
        f"{name} {_text(here.get(name))} instead of {_text(there.get(name))}"
        for name in there | here
        if here.get(name) != there.get(name)
    ]
    if settings.data != digest:
        differs.append("other images")
    if settings.framework not in FRAMEWORKS.values():
        differs.append(f"framework {settings.framework}")
    return differs


def _text(value) -> str:
    return "none" if value is None else str(value)


def _leaves(name: str, value):
    """Yield each single value in nested dicts and lists, with its name, as `optimizer.l2`."""
    parts = dict(enumerate(value, 1)) if isinstance(value, list) else value
    if not isinstance(parts, Mapping):
        yield name, value
        return
    for key, part in parts.items():
        yield from _leaves(f"{name}.{key}".removeprefix(".").removeprefix("system."), part)
