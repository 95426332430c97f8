"""The user's retrained winners and trials of searches, as recipes without published scores."""

from pathlib import Path

from shared_keras.comparisons.recipe_runs import FRAMEWORKS, Collected, by_framework
from shared_keras.results import overview, run_folders
from shared_keras.results.settings import RunSettings
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

    def name_of(run: Path, settings: RunSettings) -> str | None:
        counts = settings.recipe is None and settings.space is not None
        counts = counts and settings.framework in FRAMEWORKS.values() and settings.data == digest
        return overview.of_trial(settings.source) if counts else None

    ended, problems = run_folders.ended(folder, name_of)
    last = {name: run.settings for name, run in ended}
    alike = [(name, run) for name, run in ended if _way(run.settings) == _way(last[name])]
    recipes = {
        name: Recipe(
            system=Replay(settings.space, settings.hyperparameters),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            source=name,
            patience=settings.patience,
            split=settings.split,
        )
        for name, settings in last.items()
    }
    return recipes, Collected(by_framework(alike), [], problems)


def _way(settings: RunSettings) -> list:
    return [getattr(settings, each) for each in DECIDE]
