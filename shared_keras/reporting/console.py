"""Where commands print."""

import io
import textwrap
from pathlib import Path
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

# A class may be called "[x]".
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
CELL = 110  # columns of a notebook's cell
CODE = "<pre style='line-height: 1.3; overflow-x: auto'>{code}</pre>"


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel."""
    return Console().is_jupyter


def console() -> Console:
    """Return the console: as wide as the terminal, or 160 columns on a pipe.

    In a notebook it writes plain lines, where Rich would make a display of each.
    """
    if in_notebook():
        return Console(**AS_IT_IS, width=CELL, force_jupyter=False, force_terminal=False)
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
    """A bar and a table below what is printed, on a terminal or in a notebook.

    Use it as a context manager. A notebook keeps what was shown last.
    """

    def __init__(self) -> None:
        self.console = console()
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)
        self.cell = _Cell() if in_notebook() else None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    @property
    def is_live(self) -> bool:
        """Whether what `redraw` is given is seen."""
        return self.console.is_terminal or self.cell is not None

    def redraw(self, shown: RenderableType) -> None:
        """Show this instead of what was shown before."""
        if self.cell is not None:
            self.cell.update(shown)
        else:
            self.live.update(shown)

    def bar(self, name: str, done: int, total: int, table: Table) -> Group:
        """Return a bar that shows how many of a total are done, above a table."""
        shown = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        )
        shown.add_task(name, completed=done, total=total)
        return Group(shown, table)


class _Cell:
    """A display in a notebook's cell that can be changed."""

    def __init__(self) -> None:
        self.handle: Any = None

    def update(self, shown: RenderableType) -> None:
        """Show this instead of what was shown before."""
        from IPython.display import display

        page = Console(**AS_IT_IS, width=CELL, file=io.StringIO(), record=True, force_jupyter=False)
        page.print(shown)
        both = {
            "text/plain": page.export_text(clear=False),
            "text/html": page.export_html(inline_styles=True, code_format=CODE),
        }
        if self.handle is None:
            self.handle = display(both, raw=True, display_id=True)
        else:
            self.handle.update(both, raw=True)


def wrote(folder: Path) -> None:
    """Print which files a folder holds."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(f"wrote {folder}: {', '.join(files)}")
