"""Read image files of any kind and make them what a model takes."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from shared_keras.errors import BadInput
from shared_keras.photos import handwriting, objects
from shared_keras.systems.spec import SIDE

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
LARGE = 28 * 64  # pixels a side; a larger picture is shrunk first
PLAIN = 8  # levels of black or white that a JPEG may be off
WHITE = 200  # levels; a drawing that is lighter on average needs a black ground
BITS = (8, 12, 16)  # of whole levels; a file of 16 or 32 bits may hold fewer
THUMBNAIL = 168  # pixels a side
EMPTY = {  # why there is nothing to classify
    "handwriting": "it shows no strokes (it may be blank, noise, or filled throughout)",
    "objects": "nothing stands out from its ground",
}
SHOWN = {"handwriting": "handwriting, one character each", "objects": "objects, one each"}
PREPARE = {"handwriting": handwriting.prepare, "objects": objects.prepare}
FIT = {"handwriting": handwriting.fit, "objects": objects.fit}


@dataclass(frozen=True)
class Photo:
    """A photo, and what a model gets to see of it.

    Attributes:
        thumbnail: The upright photo, uint8 (height, width, 3), at most 168 pixels a side; None
            where `many_photos.read` dropped it.
        image: uint8 (28, 28), light on dark, or None if nothing was found on the photo.
        inverted: Whether the photo is dark on light.
        fitted: Of an image that was taken as it is, what it is once it has the place and the size
            that the dataset's authors would have given it, if it shows anything.
    """

    thumbnail: np.ndarray | None
    image: np.ndarray | None
    inverted: bool = False
    fitted: np.ndarray | None = None


def read(path: Path, kind: str) -> Photo:
    """Read the first image of a file of any size and colour mode.

    Transparent pixels become white, or black around a white drawing. Grey images of 28x28 pixels
    on plain black or white are taken as they are, only light on dark. All others are prepared as
    `kind` says.

    Args:
        path: The file, in one of `FORMATS`.
        kind: What photos show, as in `Task.photos`.

    Raises:
        BadInput: naming the file, if it is not such an image.
    """
    pixels = _open(path)
    thumbnail = handwriting.shrink(pixels, THUMBNAIL)
    if taken := _as_it_is(pixels):
        return Photo(thumbnail, *taken, FIT[kind](taken[0]))
    prepared = PREPARE[kind](pixels)
    return Photo(thumbnail, *prepared) if prepared else Photo(thumbnail, None)


def _open(path: Path) -> np.ndarray:
    """Return the upright colours of a file, uint8 (height, width, 3), at most LARGE a side."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags, which change nothing here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                file.draft(None, (LARGE, LARGE))  # a large JPEG is decoded at a fraction of it
                return _colours(ImageOps.exif_transpose(file))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except IsADirectoryError:
        raise BadInput(f"{path}: expected an image file, got a folder") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadInput(
            f"{path}: expected an image of at most {Image.MAX_IMAGE_PIXELS:,} pixels, got more"
        ) from None
    except Exception as error:  # Pillow raises many types for broken files
        raise BadInput(
            f"{path}: not an image in one of the formats {', '.join(FORMATS)} ({error})"
        ) from None


def _as_it_is(pixels: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Return an image that already is what a model takes, and whether it was inverted."""
    grey = pixels[..., 0]
    if grey.shape != (SIDE, SIDE) or (pixels != grey[..., None]).any():
        return None
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    black, white = (border <= PLAIN).mean(), (border >= 255 - PLAIN).mean()
    if grey.min() == grey.max() or max(black, white) < 0.1:
        return None
    return (255 - grey, True) if white > black else (grey, False)


def _colours(image: Image.Image) -> np.ndarray:
    transparent = image.info.get("transparency")
    if image.mode == "F" or image.mode.startswith("I"):  # convert("L") would clip them
        levels = np.asarray(image)
        grey = Image.fromarray(_eight_bits(levels))
        if isinstance(transparent, int):
            grey.putalpha(Image.fromarray(np.uint8(levels != transparent) * 255))
        image = grey
    if image.has_transparency_data:
        if isinstance(transparent, tuple) and max(transparent) > 255:  # Pillow keeps 8 of 16 bits
            image.info["transparency"] = tuple(level >> 8 for level in transparent)
        image = _on_ground(image.convert("RGBA"))
    if max(image.size) > LARGE:
        size = [max(1, round(length * LARGE / max(image.size))) for length in image.size]
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image.convert("RGB"))


def _eight_bits(levels: np.ndarray) -> np.ndarray:
    """Return levels of any range as uint8: those of 8, 12 or 16 bits keep their black and white."""
    levels = np.nan_to_num(levels.astype(np.float64))
    whites = [2**bits - 1 for bits in BITS if levels.max() < 2**bits]
    whole = levels.max() > 1 and (levels == levels.round()).all()  # 1 is white in masks and floats
    if levels.min() >= 0 and whites and whole:
        return (levels * (255 / whites[0])).astype(np.uint8)
    return (255 * (levels - levels.min()) / max(np.ptp(levels), 1e-9)).astype(np.uint8)


def _on_ground(image: Image.Image) -> Image.Image:
    """Put an RGBA image on white, or on black if what it shows is white itself."""
    opaque = np.asarray(image.getchannel("A"), np.float32)
    shown = (np.asarray(image.convert("L")) * opaque).sum() / max(opaque.sum(), 1)
    ground = Image.new("RGBA", image.size, "black" if shown > WHITE else "white")
    return Image.alpha_composite(ground, image)
