"""The picture of what `predict` classified."""

import numpy as np
import pytest

from shared_keras.reporting.pictures import photo_plots
from tests.reporting import seen

LONG = "Fashion-MNIST: your photos and what 20261126-000322-regularized-best-seed-0 saw"


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("with_photos", [True, False])
def test_nothing_is_cut_off(n, with_photos):
    """Neither the title nor a caption, however few images there are."""
    images = np.zeros((n, 28, 28), np.uint8)
    photos = [np.zeros((90, 160, 3), np.uint8)] * n if with_photos else None
    captions = [["a photo with a rather long name of its own.jpeg", "Ankle boot 100.0%"]] * n
    figure = photo_plots.seen(images, captions, LONG, photos, [True] * n)
    assert not seen.cut(figure) and not seen.colliding(figure)
    width, height = figure.get_size_inches() * figure.dpi
    texts = [figure._suptitle, *(axes.title for axes in figure.axes)]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
    assert figure.axes[0].title.get_color() == "tab:red"
    lowest = min(axes.get_window_extent().y0 for axes in figure.axes)  # what is drawn in them
    assert lowest <= 0.12 * figure.dpi


def test_the_photo_is_left_of_the_image():
    photo, image = np.full((50, 50, 3), 100, np.uint8), np.full((1, 28, 28), 200, np.uint8)
    figure = photo_plots.seen(image, [["a"]], "title", [photo])
    (drawn,) = figure.axes[0].images
    pixels = drawn.get_array()
    assert (pixels[80, 10] == 100).all() and (pixels[80, -10] == 200).all()
