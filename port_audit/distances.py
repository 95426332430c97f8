"""How far arrays are apart."""

import math

import numpy as np

EPS = float(np.finfo(np.float32).eps)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference, infinite if shapes differ or a number is missing."""
    if one.shape != other.shape:
        return math.inf
    if not one.size:
        return 0.0
    largest = float(np.abs(one.astype(np.float64) - other).max())
    return math.inf if math.isnan(largest) else largest


def aligned(theirs: np.ndarray, ours: np.ndarray) -> tuple[np.ndarray, float]:
    """Return PyTorch's outputs as they lie in Keras, and how far the two are apart."""
    if theirs.shape == ours.shape[:-1] and ours.shape[-1] == 1:  # `squeeze`, as PyTorch's often end
        theirs = theirs[..., None]
    size = distance(theirs, ours)
    if theirs.ndim > 2:
        moved = np.moveaxis(theirs, 1, -1)
        if distance(moved, ours) < size:
            return moved, distance(moved, ours)
    return theirs, size


def largest(array: np.ndarray) -> float:
    """Return the largest absolute value."""
    return float(np.abs(array).max()) if array.size else 0.0


def relative(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Return the largest relative difference."""
    if not np.isfinite(ours).all():
        return float("inf")
    return float(np.abs(theirs - ours).max() / max(np.abs(theirs).max(), 1e-12))
