"""Ink on any paper becomes an image like MNIST's."""

import numpy as np
import pytest
from scipy import ndimage

from shared_keras.photos import handwriting
from tests.shares import dealt

WHITE, BLACK, RED, GREEN = (250, 250, 250), (20, 20, 20), (200, 40, 40), (40, 121, 40)
COLOURS = {
    "black on white": (WHITE, BLACK),
    "white on black": (BLACK, WHITE),
    "red on green": (GREEN, RED),
    "green on red": (RED, GREEN),
}
GREY = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def digits(full):
    """Real digits, light on dark, of the training images."""
    return full["mnist"][0].x[:60]


def on_paper(drawing, paper=WHITE, ink=BLACK, size=(90, 120), corner=(5, 60)):
    """Draw in ink, off the middle of a sheet: float (height, width, 3)."""
    coverage = np.zeros((*size, 1))
    place = tuple(slice(start, start + n) for start, n in zip(corner, drawing.shape))
    coverage[(*place, 0)] = drawing / 255
    return np.array(paper) + coverage * (np.array(ink) - paper)


def prepared(picture):
    return handwriting.prepare(np.clip(picture, 0, 255).round().astype(np.uint8))


def differ(image, drawing):
    """Return the mean difference of two images in levels, but for a pixel of shift."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return min(np.abs(np.roll(image, s, (0, 1)).astype(int) - drawing).mean() for s in shifts)


@pytest.mark.parametrize("colours", dealt(COLOURS, ["red on green", "white on black"]))
def test_an_mnist_image_on_larger_paper_comes_back(digits, colours):
    """Of any colours: red and green are chosen so that both are the same grey."""
    assert abs((np.array(RED) - GREEN) @ GREY) < 1
    paper, ink = COLOURS[colours]
    rng = np.random.default_rng(0)
    for drawing in digits:
        corner = rng.integers(0, (90 - 27, 120 - 27))
        image, dark = prepared(on_paper(drawing, paper, ink, corner=corner))
        assert abs(sum(ink) - sum(paper)) < 100 or dark == (sum(ink) < sum(paper))
        assert differ(image, drawing) < 15


def test_a_shadow_across_the_ink_does_not_show(digits):
    differences = []
    for drawing in digits[:20]:
        picture = on_paper(drawing)
        picture[:, 70:] *= 0.6
        image, _ = prepared(picture)
        differences.append(differ(image, drawing))
    assert np.median(differences) < 10 and max(differences) < 25


def test_noise_and_specks_do_not_show(digits):
    rng = np.random.default_rng(1)
    for drawing in digits[:20]:
        picture = on_paper(drawing) + rng.normal(0, 6, (90, 120, 3))
        picture[80:82, 10] = 0
        picture[20, 30] = 0
        image, _ = prepared(picture)
        assert differ(image, drawing) < 0.65 * drawing.mean()  # of a blank image it would be 1


@pytest.mark.long(only=True)
@pytest.mark.parametrize("times", [2, 5, 20])
def test_size_does_not_matter(digits, times):
    """A large character is averaged down; it may be small in its photo, or fill it."""
    for drawing in digits[:10]:
        large = np.kron(drawing, np.ones((times, times)))
        for margin in (1, 40 * times):
            picture = 255 - np.pad(large, margin)
            image, _ = prepared(np.repeat(picture[..., None], 3, axis=2))
            assert differ(image, drawing) < 12


def test_shape_is_kept_and_the_centre_of_mass_is_in_the_middle():
    for shape in [(90, 30), (30, 90), (60, 60), (100, 12)]:
        ink = np.zeros(shape)
        ink[:, : max(4, shape[1] // 6)] = 255
        ink[-max(4, shape[0] // 6) :] = 255
        image, _ = prepared(on_paper(ink, size=(150, 200), corner=(10, 90)))
        rows, columns = handwriting.box(image > 60)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert max(height, width) == 20
        assert height / width == pytest.approx(shape[0] / shape[1], rel=0.25)
        centre = ndimage.center_of_mass(image)
        assert np.abs(np.array(centre) - 14).max() <= 0.75
        assert image.max() == 255


def test_strokes_of_a_thin_pen_are_thickened():
    y, x = np.mgrid[:300, :300]
    ring = 255.0 * (np.abs(np.hypot(y - 150, x - 150) - 100) < 2)
    image, _ = prepared(on_paper(ring, size=(400, 400)))
    assert (image[14] > 200).sum() >= 2 and image[14, 14] == 0
