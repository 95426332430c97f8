"""Image files of any size and colour mode become what the model takes."""

import numpy as np
import pytest
from PIL import Image

from shared_keras import photos
from shared_keras.errors import BadInput


@pytest.fixture
def drawing(full):
    """A real digit, light on dark."""
    return full["mnist"][1].x[0]


def rgba(grey):
    """White ink that is opaque where the drawing is: dark once on white paper."""
    ink = np.zeros((*grey.shape, 4), np.uint8)
    ink[..., 3] = grey
    return Image.fromarray(ink)


MODES = {
    "L": lambda d: Image.fromarray(d),
    "1": lambda d: Image.fromarray(d).convert("1", dither=Image.Dither.NONE),
    "P": lambda d: Image.fromarray(d).convert("P"),
    "RGB": lambda d: Image.fromarray(d).convert("RGB"),
    "RGBA": lambda d: Image.fromarray(d).convert("RGBA"),
    "LA": lambda d: Image.fromarray(d).convert("LA"),
    "I;16": lambda d: Image.fromarray(d.astype(np.uint16) * 257),
    "ink on transparency": rgba,
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_png(drawing, tmp_path, mode):
    path = tmp_path / "drawing.png"
    MODES[mode](drawing).save(path)
    image, turned = photos.read(path)
    assert (image.shape, image.dtype) == ((28, 28), np.uint8)
    assert turned == (mode == "ink on transparency")
    expected = (drawing > 127) * 255 if mode == "1" else drawing
    np.testing.assert_allclose(image.astype(int), expected, atol=2)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg(drawing, tmp_path, mode):
    path = tmp_path / "drawing.jpg"
    Image.fromarray(drawing).convert("RGB").convert(mode).save(path, quality=95)
    image, turned = photos.read(path)
    assert not turned
    assert np.abs(image.astype(int) - drawing).mean() < 6


def test_dark_on_light_is_turned_over(drawing, tmp_path):
    Image.fromarray(255 - drawing).save(tmp_path / "paper.png")
    image, turned = photos.read(tmp_path / "paper.png")
    assert turned
    np.testing.assert_array_equal(image, drawing)


def test_large_pictures_are_averaged_and_keep_their_shape(drawing, tmp_path):
    large = Image.fromarray(np.kron(drawing, np.ones((10, 10), np.uint8)))
    large.save(tmp_path / "large.png")
    np.testing.assert_array_equal(photos.read(tmp_path / "large.png")[0], drawing)
    large.crop((0, 0, 280, 140)).save(tmp_path / "wide.png")
    wide = photos.read(tmp_path / "wide.png")[0]
    np.testing.assert_array_equal(wide[7:21], drawing[:14])
    assert not wide[:7].any() and not wide[21:].any()


def test_a_rotated_photograph_is_set_upright(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    turned = Image.fromarray(drawing).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(photos.read(tmp_path / "photo.png")[0], drawing)


@pytest.mark.parametrize(
    "raw", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n cut short", b"\xff\xd8\xff\xe0 cut short"]
)
def test_what_is_no_image_is_named(tmp_path, raw):
    (tmp_path / "odd.png").write_bytes(raw)
    with pytest.raises(BadInput, match="odd.png: no PNG or JPEG"):
        photos.read(tmp_path / "odd.png")
    with pytest.raises(BadInput, match="absent.png: no such file"):
        photos.read(tmp_path / "absent.png")
