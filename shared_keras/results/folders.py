"""Create and find the folders that commands write to."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.results.settings import SearchSettings
from shared_keras.task import Task

TIME = re.compile(r"^(\d{8}-\d{6})-")


def make_folder(path: Path) -> Path:
    """Create a folder below the results folder.

    Raises:
        BadInput: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"argument --results-dir: expected a writable folder, but {path}: {error.strerror}"
        ) from None
    return path


@contextlib.contextmanager
def gone_if_refused(path: Path) -> Iterator[None]:
    """Create the folder of a search, and remove it if a `BadInput` ends the block.

    A folder that was there before, or in which a trial has begun, is kept.
    """
    new = not path.exists()
    make_folder(path)
    try:
        yield
    except BadInput:
        if new and not any(path.glob("trial_*")):
            shutil.rmtree(path, ignore_errors=True)
        raise


def is_of(task: Task, folder: Path) -> bool:
    """Return whether a search was on the task's images, as far as its settings say."""
    settings = SearchSettings.find(folder)
    return settings is None or settings.title == task.title


def now() -> str:
    """Return the time, as the names of folders have it."""
    return f"{datetime.now():%Y%m%d-%H%M%S}"


def new_folder(parent: Path, label: str, when: str | None = None) -> Path:
    """Create a new folder, named after a time, by default `now`, and `label`."""
    make_folder(parent)
    name = f"{when or now()}-{files.on_disk(label)}"
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        try:
            (parent / f"{name}{suffix}").mkdir()
            return parent / f"{name}{suffix}"
        except FileExistsError:
            continue
    raise BadInput(f"argument --results-dir: {parent / name} exists 999 times already")


def time_of(name: str) -> str | None:
    """Return the time in the name of a folder that `new_folder` made."""
    found = TIME.match(name)
    return found and found[1]


def without_time(name: str) -> str:
    """Return the name of a folder that `new_folder` made, or a part of it, without its time."""
    return TIME.sub("", name)


def of_run(runs: Path, name: str) -> Path | None:
    """Return the folder of a run, given its name below `runs` or its path, or None."""
    inside = runs / name
    if name and ".." not in name and inside.is_dir():
        return inside
    return Path(name) if name and Path(name).is_dir() else None


def comparison_folder(out: Path | None, parent: Path, label: str) -> Path:
    """Create the folder of a comparison: `out`, or a new one in `parent`.

    Raises:
        BadInput: if that is not possible.
    """
    if out is None:
        return new_folder(parent, label)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"argument --out: expected a new folder, but {out}: {error.strerror}"
        ) from None
    return out


def reference(task: Task) -> Path:
    """Return the folder of the committed results: in a checkout, or in an installed package."""
    package = Path(str(resources.files(task.package)))
    checkout = package.parent / "tuner_results" / "reference" / task.name
    return checkout if checkout.is_dir() else package / "reference"
