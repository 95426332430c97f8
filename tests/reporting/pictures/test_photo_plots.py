"""The picture of what `predict` classified."""

import importlib

import numpy as np
import pytest

from shared_keras import files
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


def test_white_photos_have_an_edge():
    photo, image = np.full((40, 80, 3), 255, np.uint8), np.zeros((1, 28, 28), np.uint8)
    figure = photo_plots.seen(image, [["a"]], "title", [photo])
    pixels = figure.axes[0].images[0].get_array()
    across, down = pixels[photo_plots.PANEL // 2, :168], pixels[:168, 84]
    for line, edges in ((across, (0, 167)), (down, (41, 125))):
        assert np.flatnonzero((line < 255).all(axis=1)).tolist() == list(edges)


def test_a_figure_is_shown_by_a_notebook(tmp_path):
    """Without pyplot, IPython asks it for `_repr_png_`."""
    figure = photo_plots.seen(np.zeros((1, 28, 28), np.uint8), [["$1 and $2"]], "title")
    files.write_figure(tmp_path / "a.png", figure)
    assert figure._repr_png_() == (tmp_path / "a.png").read_bytes()


def test_every_picture_is_of_that_kind():
    for name in (
        "plots",
        "comparison_plots",
        "curve_plots",
        "hyperparameter_plots",
        "search_plots",
    ):
        module = importlib.import_module(f"shared_keras.reporting.pictures.{name}")
        assert hasattr(module.Figure, "_repr_png_")
