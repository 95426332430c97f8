"""Show runs that train on workers: a bar and a line for each, on a terminal only."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table

from shared_keras.reporting.console import bar, console
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


class RunsProgress:
    """The display of runs, below what is printed. Use it as a context manager.

    Args:
        title: What they train on.
        total: How many there are.
    """

    def __init__(self, title: str, total: int):
        self.title, self.total = title, total
        self.live = Live(console=console(), refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.live.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.live.stop()

    def update(self, ended: int, running: Sequence[Running]) -> None:
        """Show how many have ended, and what the others are doing."""
        counted = bar(f"{self.title}, runs", ended, self.total)
        table = Table.grid(padding=(0, 2))
        for run in running:
            at = "" if run.epoch is None else f"{run.epoch} of {run.epochs} epochs, "
            table.add_row(run.name, f"{at}{duration(run.seconds)}")
        self.live.update(Group(counted, table))
