"""Text in pictures: broken into lines that fit, so that none is cut or runs into another."""

import re
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from shared_keras import files

POINTS = 72  # per inch
LINE = 1.25  # height of a line, as a multiple of the size of its letters
TITLE = 12  # size of titles in points
MARGIN = 0.3  # inches beside a title, both sides together
BREAK = re.compile(r"(?<=[-_/\\.])")  # where a long word may be broken


def width(text: str, size: float) -> float:
    """Return the width in inches of the widest line of a text, with letters of `size` points."""
    letters = FontProperties(size=size)
    measure = text_to_path.get_text_width_height_descent
    with files.missing_signs():
        widest = max(measure(line, letters, False)[0] for line in text.split("\n"))
    return 1.03 * widest / POINTS  # letters on a raster of pixels are up to 3 % wider


def height(text: str, size: float) -> float:
    """Return the height in inches of a text, with letters of `size` points."""
    return (text.count("\n") + 1) * LINE * size / POINTS


def fit(text: str, inches: float, size: float) -> str:
    """Break a text into lines no wider than `inches`, at spaces, or within a word that is wider.

    Args:
        text: The text; its own lines are kept.
        inches: The width that there is.
        size: Size of the letters in points.
    """
    lines = []
    for given in text.split("\n"):
        line = ""
        for piece in _pieces(given, inches, size):
            if line and width((line + piece).rstrip(), size) > inches:
                lines.append(line.rstrip())
                line = ""
            line += piece
        lines.append(line.rstrip())
    return "\n".join(lines)


def _pieces(line: str, inches: float, size: float) -> Iterator[str]:
    """Yield parts of a line that need not be broken, each word with the spaces behind it."""
    for word in re.findall(r"\S+\s*|\s+", line):
        if width(word.rstrip(), size) <= inches:
            yield word
            continue
        for part in BREAK.split(word):
            while part.rstrip() and width(part.rstrip(), size) > inches and len(part) > 1:
                fits = range(len(part) - 1, 1, -1)
                cut = next((n for n in fits if width(part[:n], size) <= inches), 1)
                yield part[:cut]
                part = part[cut:]
            yield part


def title(figure: Figure, text: str) -> None:
    """Write the title above a figure, which grows by its lines after the first."""
    fitted = fit(text, figure.get_figwidth() - MARGIN, TITLE)
    figure.suptitle(fitted, size=TITLE)
    figure.set_figheight(figure.get_figheight() + height(fitted, TITLE) - height("", TITLE))
