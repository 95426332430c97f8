"""Tell other processes which epoch a training is in."""

import contextlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras

FILE = ".epoch"  # holds the number of the epoch
Name = TypeVar("Name", bound=Hashable)


class CurrentEpoch(keras.callbacks.Callback):
    """Keeps the number of the current epoch, from 1, in a file of the trial's folder."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        tell(self.folder, epoch + 1)


def tell(folder: Path, epoch: int) -> None:
    """Write the number of an epoch, from 1."""
    with contextlib.suppress(OSError):  # it is only for show
        (folder / FILE).write_text(str(epoch))


def forget(folder: Path) -> None:
    """Remove the file of a training that ended."""
    with contextlib.suppress(OSError):
        (folder / FILE).unlink()


def read(folders: Mapping[Name, Path]) -> dict[Name, int]:
    """Return the current epoch of each training by its name, once its first epoch has begun."""
    found: dict[Name, int] = {}
    for name, folder in folders.items():
        with contextlib.suppress(OSError, ValueError):
            found[name] = int((folder / FILE).read_text())
    return found
