"""Read the four files of a task into arrays."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from shared_keras.data import idx
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


def load(task: Task, data_dir: str | None = None) -> tuple[Images, Images]:
    """Read the training and the test images.

    Args:
        task: The task; its embedded files are read, and their digests checked. For a folder,
            the one that `own_data.task_of` returned.
        data_dir: Folder with four IDX files to read instead.

    Returns:
        Training images and test images.

    Raises:
        BadInput: naming the file that is missing or wrong.
    """
    digests = task.digests if data_dir is None else {}
    where = folder(task, data_dir)
    train, test = (_pair(where, names, digests, len(task.classes)) for names in FILES)
    return train, test


def folder(task: Task, data_dir: str | None) -> Path:
    """Return the folder of a task's images: `data_dir`, or the embedded ones.

    Raises:
        BadInput: if it is not a folder, or lacks one of the four files.
    """
    if data_dir is None:
        return embedded(task)
    if not Path(data_dir).is_dir():
        raise BadInput(
            f"argument --data-dir: expected a folder with four IDX files, "
            f"got '{data_dir}', which is not a folder"
        )
    names = [name for pair in FILES for name in pair]
    if missing := [name for name in names if _spelt(Path(data_dir), name) is None]:
        raise BadInput(
            f"argument --data-dir: expected four files in {data_dir}, {', '.join(names[:-1])} and "
            f"{names[-1]}, each plain or with .gz, also with a dot as in "
            f"{names[0].replace('-idx', '.idx')}; missing: {', '.join(missing)}"
        )
    return Path(data_dir)


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


def _pair(folder, names, digests, n_classes) -> Images:
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
            sha256.update(np.ascontiguousarray(array))
    return sha256.hexdigest()
