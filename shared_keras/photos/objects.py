"""Make a photo of one object look like the images of Fashion-MNIST.

The steps are those of Fashion-MNIST's authors, who began with photos on a plain white ground:
trim the ground, fit the longer side into 28 pixels, put the object in the middle, and make it
light on dark.
"""

import numpy as np
from scipy import ndimage

from shared_keras.photos.handwriting import box, resize, shrink, without_specks
from shared_keras.systems.spec import SIDE

SEARCH = 256  # pixels a side that are enough to see the object
CLOSE = 0.05 * 255  # levels; what was as close to the ground's colour, the authors trimmed
FAINT = 3.0  # levels; beside the object, what is as close is the ground or noise of a JPEG
SHADE = 3 * CLOSE  # levels between the ground's lightest and its middle
SMALLEST = 1 / 1000  # of the photo's area
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # as Pillow converts to grey


def prepare(photo: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Find the object on its ground, and fit it as Fashion-MNIST does.

    Args:
        photo: Colours, uint8 (height, width, 3).

    Returns:
        The image, light on dark, uint8 (28, 28), and whether the object was darker than the
        ground, or None if there is no object.
    """
    colours = shrink(photo, SEARCH).astype(np.float32)
    ground, edge = _ground(colours)
    mask = _object(colours, ground, edge)
    if mask is None:
        return None
    grey, level = colours @ LUMINANCE, ground @ LUMINANCE
    darker = bool((grey - level)[mask].mean() < 0)
    levels = (level - grey) if darker else (grey - level)
    return _fit(np.clip(levels, 0, None) * mask, mask), darker


def fit(image: np.ndarray) -> np.ndarray | None:
    """Fit an object on black, uint8 (28, 28), as Fashion-MNIST does; None if there is none."""
    mask = image > CLOSE
    return _fit(image.astype(np.float32), mask) if mask.any() else None


def _fit(levels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fit what a mask shows of levels, float (height, width), into the middle of 28x28 pixels."""
    fitted = resize(levels[box(mask)], SIDE)
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = ((SIDE - length) // 2 for length in fitted.shape)
    fitted = np.clip(fitted * (255 / fitted.max()), 0, 255).round()
    image[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return image


def _ground(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a plane to the colours along the border.

    Returns:
        The ground's colours, float (height, width, 3), and where the border shows it, bool
        (height, width).
    """
    height, width = colours.shape[:2]
    y, x = np.mgrid[:height, :width] / max(height, width)
    plane = np.stack([np.ones_like(x), x, y], axis=2)
    edge = np.ones((height, width), bool)
    edge[1:-1, 1:-1] = False
    median = np.median(colours[edge], axis=0)
    # The object may reach the border, or a shadow lie on it; at least half shows the ground.
    away = np.abs(colours - median).max(axis=2)
    edge &= away <= max(SHADE, np.median(away[edge]))
    slopes = np.linalg.lstsq(plane[edge], colours[edge], rcond=None)[0]
    return (plane @ slopes).astype(np.float32), edge


def _object(colours: np.ndarray, ground: np.ndarray, edge: np.ndarray) -> np.ndarray | None:
    """Return where the object is, bool (height, width), or None if there is only ground."""
    side = max(edge.shape)
    away = ndimage.gaussian_filter(colours - ground, (side / 200, side / 200, 0))
    away = np.abs(away).max(axis=2)
    noise = np.quantile(away[edge], 0.95)
    certain = away > max(CLOSE, 2 * noise)
    if certain.sum() < SMALLEST * certain.size:
        return None
    mask = ndimage.binary_propagation(certain, mask=away > max(FAINT, 1.5 * noise))
    return without_specks(ndimage.binary_fill_holes(mask))
