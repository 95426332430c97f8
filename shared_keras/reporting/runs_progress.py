"""Show runs that train on workers: a bar and a line for each, on a terminal or in a notebook."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

from shared_keras.reporting.console import BelowTheLines
from shared_keras.reporting.progress import duration


class Running(NamedTuple):
    """A run that is training.

    Attributes:
        name: Its name.
        epoch: The last epoch that ended, if that is known.
        epochs: How many there are at most.
        seconds: How long it has been running.
    """

    name: str
    epoch: int | None
    epochs: int
    seconds: float


class RunsProgress(BelowTheLines):
    """The display of runs, below what is printed. Use it as a context manager.

    Args:
        title: What they train on.
        total: How many there are.
    """

    def __init__(self, title: str, total: int):
        super().__init__()
        self.title, self.total = title, total

    def update(self, ended: int, running: Sequence[Running]) -> None:
        """Show how many have ended, and what the others are doing."""
        table = Table.grid(padding=(0, 2))
        for run in running:
            at = "" if run.epoch is None else f"{run.epoch} of {run.epochs} epochs, "
            table.add_row(run.name, f"{at}{duration(run.seconds)}")
        self.redraw(self.bar(f"{self.title}, runs", ended, self.total, table))
