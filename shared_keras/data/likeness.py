"""Tell whether an image looks like anything among the training images.

A model of ten classes gives every image one of them, and is often sure of nonsense. How far
an image is from its nearest training image does not depend on the model.
"""

from dataclasses import dataclass

import numpy as np

from shared_keras.systems.spec import SIDE

CHECKED = 1000  # training images whose own nearest neighbours say what is usual
USUAL = 0.998  # quantile of those distances; farther images are unlike all
SEED = 0  # of the choice of those images


@dataclass(frozen=True)
class Training:
    """Training images by which others are judged.

    Attributes:
        features: One array of float32 (n, features) for each view of the images.
        limits: The largest usual distance in each view.
    """

    features: tuple[np.ndarray, ...]
    limits: tuple[float, ...]

    def unlike(self, images: np.ndarray) -> np.ndarray:
        """Return which images, uint8 (n, 28, 28), are unlike all training images, bool (n,)."""
        distances = (_nearest(*each) for each in zip(_views(images), self.features))
        return np.any([d > limit for d, limit in zip(distances, self.limits)], axis=0)


def measure(images: np.ndarray) -> Training:
    """Measure how far training images, uint8 (n, 28, 28), usually are from each other."""
    features = _views(images)
    n = len(images)
    checked = np.random.default_rng(SEED).permutation(n)[:CHECKED]
    limits = [np.quantile(_nearest(view[checked], view, checked), USUAL) for view in features]
    return Training(features, tuple(limits))


def _views(images) -> tuple[np.ndarray, np.ndarray]:
    """Return coarse pixels, and the same without their brightness, float32 (n, 196) each."""
    half = SIDE // 2
    fours = images.reshape(-1, half, 2, half, 2)
    coarse = fours.mean(axis=(2, 4), dtype=np.float32).reshape(-1, half**2) / 255
    length = np.linalg.norm(coarse, axis=1, keepdims=True)
    return coarse, coarse / np.maximum(length, 1e-6)


def _nearest(rows, training, own=None) -> np.ndarray:
    """Return each row's distance from the nearest training row, but for its `own` index."""
    squares = (training**2).sum(axis=1)
    distances = []
    for start in range(0, len(rows), 100):  # 100 x 60,000 distances take 24 MB
        part = rows[start : start + 100]
        square = squares - 2 * part @ training.T
        if own is not None:
            square[np.arange(len(part)), own[start : start + 100]] = np.inf
        distances.append(square.min(axis=1) + (part**2).sum(axis=1))
    return np.sqrt(np.maximum(np.concatenate(distances), 0))
