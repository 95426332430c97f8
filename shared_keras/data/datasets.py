"""Read the images of a task, or of a user's folder, into arrays."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from shared_keras.data import class_folders, idx
from shared_keras.errors import BadInput
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

FILES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


@dataclass(frozen=True)
class Images:
    """Images and labels: `x` uint8 (n, 28, 28) in 0...255, `y` int32 (n,)."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def load(
    task: Task, data_dir: str | None = None, say: Callable[[str], None] | None = None
) -> tuple[Images, Images]:
    """Read the training and the test images.

    Args:
        task: The task; its embedded files are read, and their digests checked. For a folder,
            the one that `own_data.task_of` returned.
        data_dir: Folder to read instead, with four IDX files or with class folders of photos.
        say: Called with each line about what was made of photos, and their digest.

    Returns:
        Training images and test images.

    Raises:
        BadInput: naming the file that is missing or wrong.
    """
    digests = task.digests if data_dir is None else {}
    where = folder(task, data_dir)
    if data_dir is not None and not holds_idx(where):
        return _photos(where, task.photos, say or (lambda line: None))
    train, test = (_pair(where, names, digests, len(task.classes)) for names in FILES)
    return train, test


def folder(task: Task, data_dir: str | None) -> Path:
    """Return the folder of a task's images: `data_dir`, or the embedded ones.

    Raises:
        BadInput: if it is not a folder, or has neither the four files nor class folders.
    """
    if data_dir is None:
        return embedded(task)
    if not Path(data_dir).is_dir():
        raise BadInput(
            f"argument --data-dir: expected a folder with four IDX files or with "
            f"class folders, got '{data_dir}', which is not a folder"
        )
    where = Path(data_dir)
    if not holds_idx(where) and class_folders.find(where):
        return where
    names = [name for pair in FILES for name in pair]
    if missing := [name for name in names if _spelt(where, name) is None]:
        raise BadInput(
            f"argument --data-dir: expected four files in {data_dir}, {', '.join(names[:-1])} and "
            f"{names[-1]}, each plain or with .gz, also with a dot as in "
            f"{names[0].replace('-idx', '.idx')}, or a folder of PNG or JPEG files for each class; "
            f"missing: {', '.join(missing)}"
        )
    return where


def holds_idx(folder: Path) -> bool:
    """Return whether a folder holds any of the four IDX files; it is then no folder of photos."""
    return any(_spelt(folder, name) for pair in FILES for name in pair)


def find(folder: Path, name: str) -> Path:
    """Return the path of a file of `FILES`: plain or gzipped, its name dashed or dotted.

    Raises:
        BadInput: if there is none.
    """
    path = _spelt(folder, name)
    if path is None:
        raise BadInput(f"{folder / name}: no such file")
    return path


def _spelt(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")
    spellings = (folder / each for each in (name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return next((path for path in spellings if path.is_file()), None)


def embedded(task: Task) -> Path:
    """Return the folder of the files embedded in the package."""
    return Path(str(resources.files(task.package) / "data"))


def _photos(folder: Path, kind: str, say: Callable[[str], None]) -> tuple[Images, Images]:
    train, test = (Images(*arrays) for arrays in class_folders.load(folder, kind, say))
    say(f"digest of these images: {digest(train, test)[:16]}")
    return train, test


def _pair(folder: Path, names: Sequence[str], digests: Any, n_classes: int) -> Images:
    image_path, label_path = (find(folder, name) for name in names)
    x = idx.read(image_path, 3, digests.get(names[0]))
    y = idx.read(label_path, 1, digests.get(names[1]))
    if x.shape[1:] != (SIDE, SIDE):
        raise BadInput(
            f"{image_path}: images of {x.shape[1]}x{x.shape[2]} pixels, expected {SIDE}x{SIDE}"
        )
    if len(x) == 0:
        raise BadInput(f"{image_path}: holds no images")
    if len(x) != len(y):
        raise BadInput(
            f"{label_path}: {len(y)} labels, expected {len(x)}, one for each image "
            f"of {image_path.name}"
        )
    if y.max() >= n_classes:
        raise BadInput(
            f"{label_path}: holds the label {y.max()}, expected 0...{n_classes - 1} "
            f"for {n_classes} classes"
        )
    return Images(x, y.astype(np.int32))


def digest(train: Images, test: Images) -> str:
    """Return a SHA-256 hex digest of all images and labels, which identifies the data."""
    sha256 = hashlib.sha256()
    for images in (train, test):
        for array in (images.x, images.y):
            sha256.update(str(array.shape).encode())
            sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()
