"""The user's runs of recipes, and the committed ones, read from their folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.results import overview
from shared_keras.systems.recipe import MONITOR, Recipe
from shared_keras.task import Task

SCORES = ("loss", "val_loss", "val_accuracy", "test_accuracy")
FRAMEWORKS = {"ours": "keras", "twin": "pytorch"}


class Collected(NamedTuple):
    """What a folder of runs holds.

    Attributes:
        found: For each (recipe, "ours" or "twin"), the contents of metrics.json for each
            seed, with the `loss` of the kept epoch and the `folder`.
        ignored: For each folder of runs of a recipe that are not as published, why.
        problems: What is wrong with those that were interrupted or damaged.
    """

    found: dict[tuple[str, str], list[dict]]
    ignored: dict[str, str]
    problems: list[str]


def collect(task: Task, folder: Path, digest: str) -> Collected:
    """Read the runs that trained a recipe as published.

    Args:
        task: The task.
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.
    """
    found, ignored, problems, systems = {}, {}, [], {}
    for path in sorted(folder.rglob("settings.json"), key=written):
        try:
            settings = files.read_object(path)
            name = str(settings.get("recipe"))
            if name not in task.recipes:
                continue
            if name not in systems:
                systems[name] = task.system(task.recipes[name].system).to_json()
            differences = _differences(settings, task.recipes[name], systems[name], digest)
            if differences:
                ignored[path.relative_to(folder).parts[0]] = ", ".join(differences)
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


def _differences(settings: Mapping, recipe: Recipe, system: Mapping, digest: str) -> list[str]:
    """Return what a run has other than the recipe as published, on these images."""
    expected = {
        "epochs": recipe.epochs,
        "patience": recipe.patience,
        "batch_size": recipe.batch_size,
        "split": recipe.split,
        "precision": "float32",
    }
    if recipe.patience is not None:
        expected["monitor"] = recipe.monitor
        settings = {"monitor": MONITOR} | settings
    different = [
        f"{name} {settings.get(name)} instead of {value}"
        for name, value in expected.items()
        if settings.get(name) != value
    ]
    if settings.get("framework") not in FRAMEWORKS.values():
        different.append(f"framework {settings.get('framework')}")
    if settings.get("system") != system:
        different.append("another model or optimizer")
    if settings.get("data") != digest:
        different.append("other images")
    return different


def score_of(result: Mapping, score: str) -> float:
    if score == "loss":
        return result["loss"]
    part, _, what = score.partition("_")
    return result[{"val": "validation", "test": "test"}[part]][what]
