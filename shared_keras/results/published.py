"""Whole trainings that the originals published, epoch by epoch: a file for each recipe."""

from importlib import resources
from pathlib import Path

from shared_keras.results import history_csv
from shared_keras.results.history_csv import History
from shared_keras.task import Task


def curve(task: Task, recipe: str) -> History | None:
    """Return the published history of a recipe, or None if there is none.

    Its training metrics are what a progress bar printed, which averaged running means over the
    steps of an epoch; only those of validation can be held against others.
    """
    path = Path(str(resources.files(task.package))) / "published" / f"{recipe}.csv"
    return history_csv.read(path) if path.is_file() and not task.own else None


def recipes(task: Task) -> list[str]:
    """Return the recipes that have a published history."""
    return [name for name in task.recipes if curve(task, name)]
