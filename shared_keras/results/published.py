"""Whole trainings that the originals published, epoch by epoch: a file for each recipe."""

from importlib import resources

from shared_keras.task import Task


def curve(task: Task, recipe: str) -> dict[str, list[float]] | None:
    """Return the published history of a recipe, or None if there is none.

    Its training metrics are what a progress bar printed, which averaged running means over the
    steps of an epoch; only those of validation can be held against others.
    """
    import pandas as pd

    file = resources.files(task.package) / "published" / f"{recipe}.csv"
    if task.own or not file.is_file():
        return None
    with file.open() as text:
        return pd.read_csv(text, comment="#").drop(columns="epoch").to_dict("list")


def recipes(task: Task) -> list[str]:
    """Return the recipes that have a published history."""
    return [name for name in task.recipes if curve(task, name)]
