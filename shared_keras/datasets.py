"""From a task to arrays: the four files, and the two split protocols."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from shared_keras import idx
from shared_keras.errors import BadInput
from shared_keras.task import Task

SIDE = 28
SPLITS = ("holdout", "published", "half", "test")
SPLIT_SEED = 42  # the originals' `random_state`; --seed does not move the split
HOLDOUT_FRACTION = 0.2  # 48,000 / 12,000, as Fashion-PyTorch ended up doing
HOLDOUT = "holdout.npz"  # what `_cut` makes of the embedded training images
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


@dataclass(frozen=True)
class Split:
    """Training, validation and test images under one protocol."""

    train: Images
    validation: Images
    test: Images


def load(task: Task, data_dir: str | None = None) -> tuple[Images, Images]:
    """Read the training and the test images.

    Args:
        task: Whose embedded files to read, with their digests checked.
        data_dir: A folder with four IDX files to read instead.

    Returns:
        Training images and test images.

    Raises:
        BadInput: naming the file that is missing or wrong.
    """
    if data_dir is None:
        folder, digests = embedded(task), task.digests
    else:
        folder, digests = Path(data_dir), {}
        if not folder.is_dir():
            raise BadInput(
                f"argument --data-dir: expected a folder with four IDX files, "
                f"got '{data_dir}', which is no folder"
            )
    train, test = (_pair(folder, names, digests, len(task.classes)) for names in FILES)
    return train, test


def embedded(task: Task) -> Path:
    """Return the folder of the files that come with the package."""
    return Path(str(resources.files(task.package) / "data"))


def _pair(folder, names, digests, n_classes) -> Images:
    image_path, label_path = (idx.find(folder, name) for name in names)
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


def split(task: Task, train: Images, test: Images, protocol: str) -> Split:
    """Divide the images, stratified and always alike.

    Args:
        task: Whose published protocol to follow.
        train: All training images.
        test: All test images.
        protocol: "holdout" cuts a fifth of the training images off for validation and
            leaves the test images whole. The others train on all training images, as
            the originals did: "published" cuts the validation images from the test
            images as the task's Keras original did, "half" takes half of them, and
            "test" validates on the test images themselves.

    Raises:
        BadInput: if a class has too few images to be divided.
    """
    if protocol == "holdout":
        rest, validation = _holdout(task, train)
        return Split(_pick(train, rest), _pick(train, validation), test)
    validation, kept = _cut_test(task, test, protocol)
    return Split(train, _pick(test, validation), _pick(test, kept))


def tested(task: Task, test: Images, protocol: str) -> np.ndarray:
    """Return which test images a protocol tests on: indices in its order, (n,)."""
    if protocol == "holdout":
        return np.arange(len(test))
    return _cut_test(task, test, protocol)[1]


def _holdout(task, train) -> tuple[np.ndarray, np.ndarray]:
    """Cut a fifth off; of the embedded images as a file says, because importing scikit-learn
    takes longer than all else that a search does before it trains."""
    path = embedded(task) / HOLDOUT
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if np.array_equal(file["labels"], train.y):
                return file["rest"], file["validation"]
    return _cut(train, HOLDOUT_FRACTION)


def _cut_test(task, test, protocol) -> tuple[np.ndarray, np.ndarray]:
    if protocol == "test":
        return np.arange(len(test)), np.arange(len(test))
    if protocol == "half":
        return _cut(test, 0.5)
    if task.published_test_first:
        kept, validation = _cut(test, 1 - task.published_test_fraction)
        return validation, kept
    return _cut(test, task.published_test_fraction)


def _pick(images: Images, indices: np.ndarray) -> Images:
    return Images(images.x[indices], images.y[indices])


def _cut(images: Images, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(
            np.arange(len(images)),
            test_size=fraction,
            random_state=SPLIT_SEED,
            stratify=images.y,
        )
    except ValueError as error:
        raise BadInput(f"the {len(images)} images cannot be divided by class ({error})") from None
    return first, second


def digest(train: Images, test: Images) -> str:
    """Return a SHA-256 hex digest of all images and labels, to tell data apart."""
    sha256 = hashlib.sha256()
    for images in (train, test):
        for array in (images.x, images.y):
            sha256.update(str(array.shape).encode())
            sha256.update(np.ascontiguousarray(array))
    return sha256.hexdigest()
