"""Where commands print."""

from pathlib import Path

from rich.console import Console


def console() -> Console:
    """Return the console: as wide as the terminal, or 160 columns on a pipe."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=160)


def say(line: str) -> None:
    """Print a line and flush it, so that it appears at once on a pipe, too."""
    print(line, flush=True)


def wrote(folder: Path) -> None:
    """Print which files a folder holds."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(f"wrote {folder}: {', '.join(files)}")
