"""Make a photo of one handwritten character look like the images of MNIST.

The steps are those of MNIST's authors: fit the ink into 20x20 pixels with its shape kept,
and move its centre of mass to the middle of 28x28 pixels. Their forms were scanned in black
and white, so that a photo first needs its paper removed.
"""

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from shared_keras.systems.spec import SIDE

FIT = 20  # MNIST's pixels for the longer side of the ink
SEARCH = 256  # pixels a side that are enough to find the ink, and then to see it
QUANTILES = 1001  # stand for all pixels where ink is told from paper
WIDEST = 0.4  # of a side; what is wider than this is no stroke
DARK = 24.0  # levels added before taking logarithms or ratios, against the noise of the dark
FAINTEST = 0.12  # contrast of the faintest ink, as a logarithm: an eighth darker than the paper
CLEAR = 6.0  # ink differs from the paper by so many standard deviations of the paper
SMALLEST = 1 / 50  # of the photo's longer side; a smaller character cannot be read
REMAINS = 0.15  # of all that was found; so long must be what does not touch the photo's border
SPECK = 0.05  # of the largest stroke's area; what is smaller is dirt
THINNEST = 2.0  # pixels of the thinnest strokes in 28x28 pixels; MNIST's have 2 to 4


def prepare(photo: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Find the ink on its paper, whatever the colours of both, and fit it as MNIST does.

    Args:
        photo: Colours, uint8 (height, width, 3).

    Returns:
        The image, light on dark, uint8 (28, 28), and whether the ink was darker than the
        paper, or None if there are no strokes, as on a blank page or in noise.
    """
    small = shrink(photo, SEARCH)
    found = _ink(small)
    if found is None:
        return None
    # Look again, from close by: a character may be small in its photo.
    closer = shrink(_around(photo, found[0] > 0.5), SEARCH)
    coverage, darker = _ink(closer) or found
    return _fit(coverage), darker


def fit(image: np.ndarray) -> np.ndarray | None:
    """Fit light ink on black, uint8 (28, 28), as MNIST does; None if there is none."""
    coverage = image / np.float32(255)
    return _fit(coverage) if (coverage > 0.5).any() else None


def shrink(photo: np.ndarray, side: int) -> np.ndarray:
    """Average a photo, uint8 (height, width, 3), down to at most `side` pixels a side."""
    longest = max(photo.shape[:2])
    if longest <= side:
        return photo
    size = [max(1, round(length * side / longest)) for length in photo.shape[1::-1]]
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))


def _around(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cut out what a mask of the smaller photo shows, with half of its size around it."""
    ratio = max(photo.shape[:2]) / max(mask.shape)
    (rows, columns) = box(mask)
    margin = 0.5 * max(rows.stop - rows.start, columns.stop - columns.start)
    cut = [
        slice(max(0, int((s.start - margin) * ratio)), int(np.ceil((s.stop + margin) * ratio)))
        for s in (rows, columns)
    ]
    return photo[tuple(cut)]


def box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that hold all that is true in a mask (height, width)."""
    return ndimage.find_objects(mask.astype(np.uint8))[0]


def _ink(photo: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Return how far ink covers each pixel, 0...1 (height, width), and whether it is dark."""
    mask = _strokes(photo)
    if mask is None:
        return None
    side = max(mask.shape)
    near = ndimage.binary_dilation(mask, iterations=1 + side // 64)
    # The paper below the ink is as bright and as shadowed as the nearest paper beside it.
    nearest = ndimage.distance_transform_edt(near, return_distances=False, return_indices=True)
    colours = photo.astype(np.float32)
    paper = ndimage.gaussian_filter(colours[tuple(nearest)], (side / 64, side / 64, 0))
    # Light and shadow act on ink and paper alike, and so cancel out in a ratio.
    contrast = (colours - paper) / (paper + DARK)
    strongest = np.linalg.norm(contrast, axis=2)
    core = mask & (strongest >= np.quantile(strongest[mask], 0.5))
    ink = np.median(contrast[core], axis=0)
    coverage = np.clip(contrast @ ink / max(ink @ ink, 1e-9), 0, 1) * near
    return (coverage, bool(ink.sum() < 0)) if (coverage > 0.5).any() else None


def _strokes(photo: np.ndarray) -> np.ndarray | None:
    """Return where ink is, bool (height, width), or None for a blank page."""
    side = max(photo.shape)
    blurred = ndimage.gaussian_filter(photo.astype(np.float32), (side / 200, side / 200, 0))
    colours = np.log(blurred + DARK)  # a shadow subtracts the same from ink and from paper
    # Ink is what stands out from its surroundings, in one direction of colour.
    detail = colours - ndimage.uniform_filter(colours, (side // 2, side // 2, 1))
    detail = detail.reshape(-1, 3)
    direction = np.linalg.eigh(detail.T @ detail)[1][:, -1]
    direction *= 1 if ((detail @ direction) ** 3).sum() > 0 else -1
    height = colours @ direction
    mask = _higher(height, int(WIDEST * side))
    if mask is not None:
        # The edge of a shadow stands out, too, but less so the narrower strokes may be.
        stroke = 2 * ndimage.distance_transform_edt(mask).max()
        mask = _higher(height, int(1.5 * stroke) + 3)
    return mask


def _higher(height: np.ndarray, widest: float) -> np.ndarray | None:
    """Return what is far higher than all around and narrower than `widest` pixels, if any."""
    height = height - _without_narrow(height, widest)
    values = np.quantile(height, np.linspace(0, 1, QUANTILES)).astype(np.float64)
    if np.ptp(values) < FAINTEST:
        return None
    (paper, ink), kinds = kmeans2(values, np.array([np.median(values), values[-1]]), iter=20)
    noise = values[kinds == 0].std()
    if ink - paper < max(FAINTEST, CLEAR * noise):
        return None
    certain = height > (paper + ink) / 2
    possible = height > paper + max((ink - paper) / 4, 3 * noise)
    mask = ndimage.binary_propagation(certain, mask=possible)
    mask = without_specks(_inside(mask))
    return mask if _longest(mask) > SMALLEST * max(height.shape) else None


def _without_narrow(height: np.ndarray, widest: float) -> np.ndarray:
    """Level what is narrower than `widest` pixels; slopes and edges go on beyond the border."""
    margins = [min(widest // 2, n - 1) for n in height.shape]
    beyond = np.pad(height, [(m, m) for m in margins], "reflect", reflect_type="odd")
    level = ndimage.grey_opening(beyond, (widest, widest))
    return level[tuple(slice(m, m + n) for m, n in zip(margins, height.shape))]


def _inside(mask: np.ndarray) -> np.ndarray:
    """Drop the parts of a mask that touch the border, as shadows do, if large ones remain."""
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    outer = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    inside = mask & ~np.isin(parts, outer)
    enough = max(SMALLEST * max(mask.shape), REMAINS * _longest(mask))
    return inside if inside.any() and _longest(inside) > enough else mask


def _longest(mask: np.ndarray) -> int:
    return max(s.stop - s.start for s in box(mask))


def without_specks(mask: np.ndarray) -> np.ndarray:
    """Drop the parts of a mask (height, width) that are far smaller than the largest."""
    parts, n = ndimage.label(mask, np.ones((3, 3)))
    areas = ndimage.sum_labels(mask, parts, np.arange(n + 1))
    return (areas >= SPECK * areas.max())[parts] & mask


def _fit(coverage: np.ndarray) -> np.ndarray:
    """Fit ink, 0...1 (height, width), into 20x20 pixels, its centre of mass in the middle."""
    rows, columns = box(coverage > 0.5)
    scale = max(rows.stop - rows.start, columns.stop - columns.start) / FIT
    if scale > 1:
        coverage = _as_scanned(coverage, scale)
    ink = coverage[box(coverage > 0.02)]
    fitted = resize(ink, FIT)
    fitted = np.clip(fitted / fitted.max(), 0, 1)
    image = np.zeros((SIDE, SIDE), np.uint8)
    corner = [
        int(np.clip(np.round(SIDE / 2 - centre), 0, SIDE - length))
        for centre, length in zip(ndimage.center_of_mass(fitted), fitted.shape)
    ]
    place = tuple(slice(start, start + length) for start, length in zip(corner, fitted.shape))
    image[place] = np.round(255 * fitted)
    return image


def resize(levels: np.ndarray, side: int) -> np.ndarray:
    """Resize levels, float (height, width), so that the longer side has `side` pixels."""
    longest = max(levels.shape)
    size = [max(1, round(length * side / longest)) for length in levels.shape[::-1]]
    way = Image.Resampling.BOX if longest > side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(levels.astype(np.float32)).resize(size, way))


def _as_scanned(coverage: np.ndarray, scale: float) -> np.ndarray:
    """Sharpen strokes, the more the larger they are, and thicken those of a thin pen.

    Args:
        coverage: Ink, 0...1 (height, width).
        scale: Its pixels for one pixel of the fitted image.
    """
    width = 4 * ndimage.distance_transform_edt(coverage > 0.5)[coverage > 0.5].mean()
    missing = (THINNEST * scale - width) / 2
    if missing >= 1:
        radius = int(missing)
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        coverage = ndimage.grey_dilation(
            np.pad(coverage, radius), footprint=x**2 + y**2 <= radius**2
        )
    return np.clip(0.5 + (coverage - 0.5) * scale, 0, 1)
