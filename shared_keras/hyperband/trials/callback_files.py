"""Callbacks of Keras that write to a path: each training writes below the folder of its trial.

Otherwise trials that train at once would write to one file, and restore each other's backups. What
the best training of a trial wrote is in `callbacks`, what others wrote in `callbacks-1` and so on.
Below these, files lie as the user's paths lie to each other. `winner_files` brings those of the
winner to where the user wants them. `tensorboard_dirs` does the same for TensorBoard.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import keras

FOLDER = "callbacks"
MODELS = (".keras", ".h5", ".bkp")  # what checkpoints and backups are called
ATTRIBUTES = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.BackupAndRestore: "backup_dir",
    keras.callbacks.CSVLogger: "filename",
}


class Writer(NamedTuple):
    """A callback that writes to a path.

    Attributes:
        callback: The callback.
        attribute: Name of the attribute that holds its path.
        path: The path, absolute; of a checkpoint it may have placeholders such as `{epoch}`.
    """

    callback: keras.callbacks.Callback
    attribute: str
    path: Path

    @property
    def filled_in(self) -> bool:
        """Whether placeholders in the path are filled in."""
        return isinstance(self.callback, keras.callbacks.ModelCheckpoint)

    @property
    def appends(self) -> bool:
        """Whether it goes on with a file that exists."""
        return isinstance(self.callback, keras.callbacks.CSVLogger) and self.callback.append

    def fixed(self) -> str:
        """Return the beginning that all paths have to which it writes."""
        return str(self.path).partition("{")[0] if self.filled_in else str(self.path)

    def move(self, path: Path) -> None:
        """Have it write to another path, given as its own is."""
        own = getattr(self.callback, self.attribute)
        setattr(self.callback, self.attribute, type(own)(path))
        inside = os.path.join(own, "")
        for name, value in vars(self.callback).items():
            if isinstance(value, (str, os.PathLike)) and str(value).startswith(inside):
                kind: Any = type(value)
                below = kind(path / str(value).removeprefix(inside))
                setattr(self.callback, name, below)


def writers(callbacks: Iterable, here: Path) -> list[Writer]:
    """Return the callbacks that write to a path of this machine.

    Args:
        callbacks: Keras callbacks.
        here: The folder that relative paths start from.
    """
    found = []
    for callback in callbacks:
        for kind, attribute in ATTRIBUTES.items():
            if isinstance(callback, kind):
                path = os.fspath(getattr(callback, attribute))
                if "://" not in path:  # such as a bucket
                    absolute = Path(os.path.normpath(here / path))
                    found.append(Writer(callback, attribute, absolute))
    return found


def root(found: Iterable[Writer]) -> Path:
    """Return the folder below which all callbacks write, whatever their placeholders stand for."""
    return Path(os.path.commonpath([os.path.dirname(writer.fixed()) for writer in found]))


def separate(callbacks: list, here: Path, trial: Path, execution: int) -> None:
    """Have callbacks write below a folder of their training, and tell all of them their trial's.

    Args:
        callbacks: Callbacks of a training, which are changed in place. Each gets an attribute
            `trial_folder`, so that those of the user's own can write there.
        here: The folder that relative paths start from.
        trial: Folder of the trial.
        execution: Number of the training in the trial.
    """
    for callback in callbacks:
        with contextlib.suppress(AttributeError):  # it has a property of that name
            callback.trial_folder = trial
    if not (found := writers(callbacks, here)):
        return
    above, folder = root(found), _folder(trial, execution)
    for writer in found:
        Path(folder, os.path.relpath(os.path.dirname(writer.fixed()), above)).mkdir(
            parents=True, exist_ok=True
        )
        path = folder / writer.path.relative_to(above)
        if writer.filled_in:
            literal = str(folder).replace("{", "{{").replace("}", "}}")
            path = Path(literal, writer.path.relative_to(above))
        writer.move(path)


def put_best_first(trial: Path, execution: int) -> None:
    """Name the folder of a trial's best training as if it had been the first."""
    first, best = trial / FOLDER, _folder(trial, execution)
    if execution and best.exists():
        first.rename(trial / f"{FOLDER}-0")
        best.rename(first)


def _folder(trial: Path, execution: int) -> Path:
    return trial / (f"{FOLDER}-{execution}" if execution else FOLDER)


def clear(trial: Path) -> None:
    """Delete what callbacks of an earlier run of a trial left: it starts over, and so do they."""
    for folder in _folders(trial):
        shutil.rmtree(folder)


def delete_models(trial: Path) -> None:
    """Delete the models that callbacks of a trial saved; logs stay."""
    for folder in _folders(trial):
        for path in folder.rglob("*"):
            if path.suffix in MODELS and path.is_file():
                path.unlink(missing_ok=True)


def _folders(trial: Path) -> list[Path]:
    """Return the folders of a trial's trainings; other names that begin so are the user's."""
    found = [path for path in trial.glob(f"{FOLDER}*") if path.is_dir()]
    return [path for path in found if re.fullmatch(rf"{FOLDER}(-[0-9]+)?", path.name)]
