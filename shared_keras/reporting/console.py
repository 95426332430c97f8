"""Where commands print."""

from pathlib import Path

from rich.console import Console


def console() -> Console:
    """Return where to print: as wide as the terminal, and wide enough on a pipe."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=160)


def say(line: str) -> None:
    """Print a line at once, also on a pipe."""
    print(line, flush=True)


def wrote(folder: Path) -> None:
    """Say which files a folder holds."""
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    say(f"wrote {folder}: {', '.join(files)}")
