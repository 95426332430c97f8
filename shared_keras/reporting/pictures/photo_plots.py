"""The picture of what `predict` classified."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

PANEL = 168  # pixels a side of the photo, and of the image beside it
GAP = 12
COLUMNS = 4
WIDTH = 2.6  # inches of a column, in which a caption's line has room for 38 letters
LETTERS = 38
HIGHEST = 1.4  # inches of an image
TITLE_LETTERS_PER_INCH = 9  # of a title's 12 points


def seen(
    images: np.ndarray,
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
    captions = ["\n".join(textwrap.fill(line, LETTERS) for line in lines) for lines in captions]
    lines = 1 + max(caption.count("\n") for caption in captions)
    width = max(WIDTH * columns, 4)
    title = textwrap.fill(title, int(TITLE_LETTERS_PER_INCH * width))
    across = PANEL if photos is None else 2 * PANEL + GAP
    picture = min(HIGHEST, (width / columns - 0.15) * PANEL / across)
    height = rows * (picture + 0.14 * lines + 0.08) + 0.2 * (2 + title.count("\n"))
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.1)
    figure.suptitle(title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        axes.set_anchor("S")  # no empty space below the last row
        if i < n:
            panels = [_panel(images[i], Image.Resampling.NEAREST)]
            if photos is not None:
                gap = np.full((PANEL, GAP, 3), 255, np.uint8)
                panels = [_panel(photos[i], Image.Resampling.BICUBIC), gap, *panels]
            axes.imshow(np.hstack(panels))
            color = "tab:red" if red is not None and red[i] else "black"
            axes.set_title(captions[i], size=8, color=color)
    return figure


def _panel(pixels, way) -> np.ndarray:
    """Enlarge or shrink an image to a square of `PANEL` pixels, with white around it."""
    picture = Image.fromarray(pixels).convert("RGB")
    scale = PANEL / max(picture.size)
    size = [max(1, round(length * scale)) for length in picture.size]
    square = Image.new("RGB", (PANEL, PANEL), "white")
    square.paste(picture.resize(size, way), ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    return np.asarray(square)
