"""Tell whether an image looks like anything among the training images.

A model of ten classes gives every image one of them, and is often sure of nonsense. How far
an image is from its nearest training image does not depend on the model, and neither does how
much of it is filled, as opposed to drawn in strokes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared_keras.systems.spec import SIDE

CHECKED = 1000  # training images whose own nearest neighbours say what is usual
FEW = 6000  # training images among which a near neighbour is looked for first
FILLED = 5000  # training images that say how much is usually filled
USUAL = 0.998  # quantile of what was measured; what is above it is unlike them
SEED = 0  # of the choice of those images
STEP = 25  # images that are compared with all others at a time
CORE = 5  # pixels a side of a square that fits into what is filled


@dataclass(frozen=True)
class Training:
    """Training images by which others are judged.

    Attributes:
        features: One array of float32 (n, features) for each view of the images.
        limits: The largest usual distance in each view.
        filled: The largest usual amount of filled pixels.
    """

    features: tuple[np.ndarray, ...]
    limits: tuple[float, ...]
    filled: float

    def unlike(self, images: np.ndarray) -> np.ndarray:
        """Return which images, uint8 (n, 28, 28), are unlike the training images, bool (n,)."""
        distances = (_nearest(*each) for each in zip(_views(images), self.features))
        far = [d > limit for d, limit in zip(distances, self.limits)]
        return np.any([*far, _filled(images) > self.filled], axis=0)


def measure(images: np.ndarray) -> Training:
    """Measure how far training images, uint8 (n, 28, 28), usually are from each other."""
    features = _views(images)
    order = np.random.default_rng(SEED).permutation(len(images))
    limits = tuple(_limit(view, order) for view in features)
    filled = _filled(images[order[:FILLED]])
    return Training(features, limits, np.quantile(filled, USUAL, method="higher"))


def _views(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coarse pixels, and the same without their brightness, float32 (n, 196) each."""
    fours = images[:, ::2, ::2].astype(np.uint16)  # sums of 2x2 pixels, quicker than a mean of axes
    for pixels in (images[:, ::2, 1::2], images[:, 1::2, ::2], images[:, 1::2, 1::2]):
        fours += pixels
    coarse = fours.reshape(len(images), -1) / np.float32(4 * 255)
    length = np.linalg.norm(coarse, axis=1, keepdims=True)
    return coarse, coarse / np.maximum(length, 1e-6)


def _filled(images: np.ndarray) -> np.ndarray:
    """Return how much ink is left within wide areas, where that of strokes is gone, (n,)."""
    kept = SIDE - CORE + 1
    rows = np.minimum.reduce([images[:, i : i + kept] for i in range(CORE)])
    cores = np.minimum.reduce([rows[:, :, i : i + kept] for i in range(CORE)])
    return cores.sum(axis=(1, 2), dtype=np.int64)


def _limit(view: np.ndarray, order: Any) -> float:
    """Return the quantile `USUAL` of how far the first images of an order are from all others.

    The nearest of a few images is at least as far as the nearest of all. So only those images
    that are far from the few are compared with all, until the others cannot count any more.
    """
    checked, few = order[:CHECKED], order[CHECKED : CHECKED + FEW]
    n = len(checked)
    distances = _nearest(view[checked], view[few]) if len(few) else np.full(n, np.inf, np.float32)
    counting = n - int(USUAL * (n - 1))  # the quantile depends on so many of the largest
    farthest = distances.argsort()[::-1]
    for start in range(0, n, STEP):
        part, rest = farthest[start : start + STEP], farthest[start + STEP :]
        distances[part] = _nearest(view[checked[part]], view, checked[part])
        known = np.sort(distances[farthest[: start + STEP]])
        if not len(rest) or (len(known) >= counting and known[-counting] >= distances[rest[0]]):
            break
    return float(np.quantile(distances, USUAL))


def _nearest(rows: np.ndarray, training: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
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
