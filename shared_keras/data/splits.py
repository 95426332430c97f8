"""Split the images into training, validation and test sets, by one of four protocols."""

from dataclasses import dataclass

import numpy as np

from shared_keras.data import stratified
from shared_keras.data.datasets import Images, embedded
from shared_keras.task import Task

SPLITS = ("holdout", "published", "half", "test")
HOLDOUT_FRACTION = 0.2  # 48,000 / 12,000, as Fashion-PyTorch ended up doing
HOLDOUT = "holdout.npz"  # what is cut from the embedded training images


@dataclass(frozen=True)
class Split:
    """Training, validation and test images under one protocol."""

    train: Images
    validation: Images
    test: Images


def split(task: Task, train: Images, test: Images, protocol: str) -> Split:
    """Split the images by class, the same way every time.

    Args:
        task: The task, whose published protocol may be followed.
        train: All training images.
        test: All test images.
        protocol: "holdout" takes a fifth of the training images for validation and
            leaves the test images alone. The others train on all training images, as
            the originals did: "published" takes the validation images from the test
            images as the task's Keras original did, "half" takes half of them, and
            "test" validates on the test images themselves.

    Raises:
        BadInput: if a class has too few images to be split.
    """
    if protocol == "holdout":
        rest, validation = _holdout(task, train)
        return Split(_pick(train, rest), _pick(train, validation), test)
    validation, kept = _cut_test(task, test, protocol)
    return Split(train, _pick(test, validation), _pick(test, kept))


def tested(task: Task, test: Images, protocol: str) -> np.ndarray:
    """Return the indices of the test images that a protocol tests on, in its order, int (n,)."""
    if protocol == "holdout":
        return np.arange(len(test))
    return _cut_test(task, test, protocol)[1]


def _holdout(task: Task, train: Images) -> tuple[np.ndarray, np.ndarray]:
    """Take a fifth for validation.

    For the embedded images, a file says which: importing scikit-learn takes longer than
    everything else that a search does before it trains.
    """
    path = embedded(task) / HOLDOUT
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if np.array_equal(file["labels"], train.y):
                return file["rest"], file["validation"]
    return stratified.cut(train.y, HOLDOUT_FRACTION)


def _cut_test(task: Task, test: Images, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    if protocol == "test":
        return np.arange(len(test)), np.arange(len(test))
    if protocol == "half":
        return stratified.cut(test.y, 0.5)
    if task.published_test_first:
        kept, validation = stratified.cut(test.y, 1 - task.published_test_fraction)
        return validation, kept
    return stratified.cut(test.y, task.published_test_fraction)


def _pick(images: Images, indices: np.ndarray) -> Images:
    return Images(images.x[indices], images.y[indices])
