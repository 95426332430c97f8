"""Where commands print."""

import textwrap
from pathlib import Path
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

# A class may be called "[x]".
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


def console() -> Console:
    """Return the console: as wide as the terminal, or 160 columns on a pipe."""
    screen = Console(**AS_IT_IS)
    return screen if screen.is_terminal else Console(**AS_IT_IS, width=160)


def say(line: str) -> None:
    """Print a line and flush it, so that it appears at once on a pipe, too."""
    print(fold(line, console()), flush=True)


def fold(line: str, screen: Console) -> str:
    """Break a line between words where a terminal would break it anywhere."""
    if not screen.is_terminal:
        return line
    return textwrap.fill(line, screen.width, break_long_words=False, break_on_hyphens=False)


class BelowTheLines:
    """A bar and a table below what is printed, on a terminal only. Use it as a context manager."""

    def __init__(self) -> None:
        self.console = console()
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def bar(self, name: str, done: int, total: int, table: Table) -> Group:
        """Return a bar that shows how many of a total are done, above a table."""
        shown = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        )
        shown.add_task(name, completed=done, total=total)
        return Group(shown, table)


def wrote(folder: Path) -> None:
    """Print which files a folder holds."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(f"wrote {folder}: {', '.join(files)}")
