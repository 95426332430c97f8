"""Convert any PNG or JPEG file to the image that a model takes."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from shared_keras.errors import BadInput
from shared_keras.systems.spec import SIDE

FORMATS = ("PNG", "JPEG")
LARGE = 28 * 64  # pixels a side; a larger picture is shrunk first


def read(path: Path) -> tuple[np.ndarray, bool]:
    """Read a PNG or JPEG file of any size and colour mode.

    Transparent pixels become white. If the border is lighter than mid-grey,
    the picture is dark on light and is inverted, because the datasets are light
    on dark. A picture that is not square is padded with its
    background, then scaled to 28x28.

    Args:
        path: The file.

    Returns:
        The image, uint8 (28, 28), and whether it was inverted.

    Raises:
        BadInput: naming the file, if it is not such an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                grey = _grey(ImageOps.exif_transpose(file))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadInput(
            f"{path}: expected an image of at most {Image.MAX_IMAGE_PIXELS:,} pixels, got more"
        ) from None
    except Exception as error:  # Pillow raises many types for broken files
        raise BadInput(f"{path}: not a PNG or JPEG image ({error})") from None
    pixels = np.asarray(grey)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    inverted = bool(np.median(border) > 127)
    if inverted:
        grey, border = ImageOps.invert(grey), 255 - border
    side = max(grey.size)
    if side > LARGE:  # keeps the square small, however long and narrow the picture is
        size = [max(1, round(length * LARGE / side)) for length in grey.size]
        grey, side = grey.resize(size, Image.Resampling.BOX), LARGE
    square = Image.new("L", (side, side), int(np.median(border)))
    square.paste(grey, ((side - grey.width) // 2, (side - grey.height) // 2))
    shrink, enlarge = Image.Resampling.BOX, Image.Resampling.BICUBIC
    return np.asarray(square.resize((SIDE, SIDE), shrink if side > SIDE else enlarge)), inverted


def _grey(image: Image.Image) -> Image.Image:
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16 bits per pixel, which convert("L") would clip
        levels = np.asarray(image, np.uint32)
        if isinstance(transparent, int):
            levels = np.where(levels == transparent, 0xFFFF, levels)
        return Image.fromarray((levels >> 8).astype(np.uint8))
    if isinstance(transparent, tuple) and max(transparent) > 255:  # Pillow keeps 8 of the 16 bits
        image.info["transparency"] = tuple(level >> 8 for level in transparent)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L")
