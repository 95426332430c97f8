"""The user's retrained winners and trials of searches, as recipes without published scores."""

from pathlib import Path
from typing import Any

from shared_keras import files
from shared_keras.comparisons import recipe_runs
from shared_keras.comparisons.recipe_runs import FRAMEWORKS, Collected
from shared_keras.errors import BadInput
from shared_keras.results import overview
from shared_keras.systems.recipe import Recipe, Replay

DECIDE = ("hyperparameters", "epochs", "patience", "batch_size", "split", "precision")


def collect(folder: Path, digest: str) -> tuple[dict[str, Recipe], Collected]:
    """Read the runs that `retrain --best` and `--trial` made.

    Of a trial that was retrained in several ways, the last way counts.

    Args:
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.

    Returns:
        Each retrained trial, by what to call it, and its runs.
    """
    recipes: dict[str, Any] = {}
    ways: dict[str, Any] = {}
    found: dict[tuple[str, str], dict] = {}
    problems: list[Any] = []
    for path in sorted(folder.rglob("settings.json"), key=recipe_runs.written):
        try:
            settings = files.read_object(path)
            if settings.get("recipe") or not settings.get("space") or settings["data"] != digest:
                continue
            name = overview.of_trial(settings["source"])
            recipe = Recipe(
                system=Replay(settings["space"], settings["hyperparameters"]),
                epochs=settings["epochs"],
                batch_size=settings["batch_size"],
                source=name,
                patience=settings["patience"],
                split=settings["split"],
            )
            key = next(k for k, value in FRAMEWORKS.items() if value == settings["framework"])
            way = [settings[each] for each in DECIDE]
            result = recipe_runs.result_of(path.parent)
        except KeyError as error:
            problems.append(f"{path}: {error} is missing")
            continue
        except BadInput as error:
            problems.append(str(error))
            continue
        if ways.get(name) != way:
            found = {each: runs for each, runs in found.items() if each[0] != name}
        recipes[name], ways[name] = recipe, way
        found.setdefault((name, key), {})[settings["seed"]] = result
    runs = {key: list(by_seed.values()) for key, by_seed in found.items()}
    return recipes, Collected(runs, [], problems)
