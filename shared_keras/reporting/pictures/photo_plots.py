"""The picture of what `predict` classified."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from shared_keras.reporting.pictures.figure import Figure

PANEL = 168  # pixels a side of the photo, and of the image beside it
GAP = 12
COLUMNS = 4
WIDTH = 2.6  # inches of a column, in which a caption's line has room for 38 letters
LETTERS = 38
HIGHEST = 1.4  # inches of an image
FRAME = (180, 180, 180)  # around photos, so that white ones have an edge
LINE, MARGIN = 0.14, 0.08  # inches: a line of a caption, empty space
TITLE_LETTERS_PER_INCH = 9  # of a title's 12 points


def seen(
    images: Sequence[np.ndarray] | np.ndarray,
    captions: Sequence[Sequence[str]],
    title: str,
    photos: Sequence[np.ndarray] | None = None,
    red: Sequence[bool] | None = None,
) -> Figure:
    """Draw what a model saw, each image with its caption above.

    Args:
        images: uint8 (n, 28, 28).
        captions: Lines of each image's caption; long ones are broken.
        title: Title, broken where the picture ends.
        photos: Where the images come from, each uint8 (height, width, 3), drawn to their left.
        red: Which captions are to be red.
    """
    n = len(images)
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    broken = ["\n".join(textwrap.fill(line, LETTERS) for line in lines) for lines in captions]
    lines = 1 + max(caption.count("\n") for caption in broken)
    width = max(WIDTH * columns, 4)
    title = textwrap.fill(title, int(TITLE_LETTERS_PER_INCH * width))
    # Placed by hand: a layout engine leaves empty space around images of a fixed shape.
    cell, across = width / columns, PANEL if photos is None else 2 * PANEL + GAP
    high = min(HIGHEST, (cell - 2 * MARGIN) * PANEL / across)
    wide = high * across / PANEL
    down = LINE * lines + high + MARGIN
    top = 1.6 * LINE * (1 + title.count("\n")) + 2 * MARGIN
    height = top + rows * down + MARGIN
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, y=1 - MARGIN / height, va="top")
    for i in range(n):
        row, column = divmod(i, columns)
        left, bottom = column * cell + (cell - wide) / 2, height - top - (row + 1) * down
        place = (left / width, bottom / height, wide / width, high / height)
        axes = figure.add_axes(place)
        axes.set_axis_off()
        panels = [_panel(images[i], Image.Resampling.NEAREST)]
        if photos is not None:
            gap = np.full((PANEL, GAP, 3), 255, np.uint8)
            panels = [_panel(photos[i], Image.Resampling.BICUBIC), gap, *panels]
        axes.imshow(np.hstack(panels))
        color = "tab:red" if red is not None and red[i] else "black"
        axes.set_title(broken[i], size=8, color=color, pad=4)
    return figure


def _panel(pixels: np.ndarray, way: Any) -> np.ndarray:
    """Enlarge or shrink an image to a square of `PANEL` pixels: framed, with white around it."""
    picture = Image.fromarray(pixels).convert("RGB")
    scale = (PANEL - 2) / max(picture.size)
    size = [max(1, round(length * scale)) for length in picture.size]
    left, top = ((PANEL - length) // 2 for length in size)
    square = Image.new("RGB", (PANEL, PANEL), "white")
    square.paste(FRAME, (left - 1, top - 1, left + size[0] + 1, top + size[1] + 1))
    square.paste(picture.resize(size, way), (left, top))
    return np.asarray(square)
