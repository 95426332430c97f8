"""Where commands print."""

import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

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


def bar(name: str, done: int, total: int) -> Progress:
    """Return a bar that shows how many of a total are done."""
    shown = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    )
    shown.add_task(name, completed=done, total=total)
    return shown


def wrote(folder: Path) -> None:
    """Print which files a folder holds."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(f"wrote {folder}: {', '.join(files)}")
