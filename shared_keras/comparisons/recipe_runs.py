"""The user's runs of recipes, and the committed ones, read from their folders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.results import overview
from shared_keras.systems.recipe import MONITOR, Recipe
from shared_keras.task import Task

SCORES = ("loss", "val_loss", "val_accuracy", "test_accuracy")
FRAMEWORKS = {"ours": "keras", "twin": "pytorch"}


class Ignored(NamedTuple):
    """A run of a recipe that does not count, with each setting that is not the recipe's."""

    folder: Path
    differs: tuple[str, ...]


class Collected(NamedTuple):
    """What a folder of runs holds.

    Attributes:
        found: For each (recipe, "ours" or "twin"), the contents of metrics.json for each
            seed, with the `loss` of the kept epoch and the `folder`.
        ignored: The runs of recipes with other settings or images.
        problems: What is wrong with those that were interrupted or damaged.
    """

    found: dict[tuple[str, str], list[dict]]
    ignored: list[Ignored]
    problems: list[str]


def collect(task: Task, folder: Path, digest: str) -> Collected:
    """Read the runs that trained a recipe as published.

    Args:
        task: The task.
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.
    """
    found: dict[tuple[str, str], dict] = {}
    ignored, problems, systems = [], [], {}
    for path in sorted(folder.rglob("settings.json"), key=written):
        try:
            settings = files.read_object(path)
            name = str(settings.get("recipe"))
            if name not in task.recipes:
                continue
            if name not in systems:
                systems[name] = task.system(task.recipes[name].system).to_json()
            if differs := differences(settings, task.recipes[name], systems[name], digest):
                ignored.append(Ignored(path.parent, tuple(differs)))
                continue
            key = next(k for k, value in FRAMEWORKS.items() if value == settings["framework"])
            result = result_of(path.parent)
        except BadInput as error:
            problems.append(str(error))
            continue
        found.setdefault((name, key), {})[settings.get("seed")] = result
    by_key = {key: list(by_seed.values()) for key, by_seed in found.items()}
    return Collected(by_key, ignored, problems)


def written(path: Path) -> float:
    """Return when a run ended, so that a later one replaces an earlier one of the same seed."""
    metrics = path.with_name("metrics.json")
    return (metrics if metrics.exists() else path).stat().st_mtime


def result_of(run: Path) -> dict:
    """Return what a run reached.

    Raises:
        BadInput: if it was interrupted or damaged.
    """
    path = run / "metrics.json"
    if not path.exists():
        raise BadInput(f"{run}: {overview.without_result(run)}")
    metrics = files.read_object(path)
    try:
        losses = files.read_history(run / "history.csv")["loss"]
        for score in SCORES[1:]:
            float(score_of(metrics, score))
        float(metrics["seconds_per_epoch"])
        return metrics | {"loss": losses[metrics["best_epoch"] - 1], "folder": run}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {error})") from None


def differences(settings: Mapping, recipe: Recipe, system: Mapping, digest: str) -> list[str]:
    """Return what a run trained differently than its recipe says, a few words for each.

    Args:
        settings: The settings of the run, as its JSON has them.
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
    its = {key: settings.get(key) for key in expected}
    if recipe.patience is not None:  # without, it decides nothing
        expected["monitor"] = recipe.monitor
        its["monitor"] = settings.get("monitor", MONITOR)
    here, there = dict(_leaves("", its)), dict(_leaves("", expected))
    differs = [
        f"{name} {_text(here.get(name))} instead of {_text(there.get(name))}"
        for name in there | here
        if here.get(name) != there.get(name)
    ]
    if settings.get("data") != digest:
        differs.append("other images")
    if settings.get("framework") not in FRAMEWORKS.values():
        differs.append(f"framework {settings.get('framework')}")
    return differs


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each single value in nested dicts and lists, with its name, as `optimizer.l2`."""
    parts = dict(enumerate(value, 1)) if isinstance(value, list) else value
    if not isinstance(parts, Mapping):
        yield name, value
        return
    for key, part in parts.items():
        yield from _leaves(f"{name}.{key}".removeprefix(".").removeprefix("system."), part)


def score_of(result: Mapping, score: str) -> float:
    if score == "loss":
        return result["loss"]
    part, _, what = score.partition("_")
    return result[{"val": "validation", "test": "test"}[part]][what]
