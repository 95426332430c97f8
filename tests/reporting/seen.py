"""What can be seen in a figure."""

import functools
from unittest import mock

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def drawn(figure):
    """Draw a figure as `files.write_figure` does, and return its renderer."""
    figure.set_dpi(120)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


@functools.lru_cache(1)
def texts(figure):
    """Return the texts that are drawn, each with the pixels that it takes."""
    found, draw = {}, Text.draw

    def note(text, renderer):
        if text.get_visible() and text.get_text():
            found[text] = None
        draw(text, renderer)

    with mock.patch.object(Text, "draw", note):  # not all texts are: ticks may be out of sight
        renderer = drawn(figure)
    return [(text, text.get_window_extent(renderer)) for text in found]


def cut(figure):
    """Return the texts that reach over an edge of the figure."""
    whole = figure.bbox
    return [
        text.get_text()
        for text, box in texts(figure)
        if box.x0 < whole.x0 - 1
        or box.y0 < whole.y0 - 1
        or box.x1 > whole.x1 + 1
        or box.y1 > whole.y1 + 1
    ]


def colliding(figure):
    """Return the pairs of texts that overlap by more than a pixel, if neither is turned."""
    level = [
        (text.get_text(), box.padded(-1)) for text, box in texts(figure) if not text.get_rotation()
    ]
    return [
        (one, other)
        for i, (one, box) in enumerate(level)
        for other, its in level[:i]
        if box.width > 0 and its.width > 0 and box.overlaps(its)
    ]


def collapsed(figure):
    """Return the axes that are too small to show anything."""
    texts(figure)  # places the axes
    return [axes for axes in figure.axes if min(axes.bbox.width, axes.bbox.height) < 8]
