"""Image files of any size and colour mode become the model's input."""

import resource
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from shared_keras.data import photos
from shared_keras.errors import BadInput


@pytest.fixture
def drawing(full):
    """A real digit, light on dark."""
    return full["mnist"][1].x[0]


def rgba(grey):
    """Black ink that is opaque where the drawing is: dark on white paper."""
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
    with pytest.raises(BadInput, match="odd.png: not a PNG or JPEG"):
        photos.read(tmp_path / "odd.png")
    with pytest.raises(BadInput, match="absent.png: no such file"):
        photos.read(tmp_path / "absent.png")


def test_a_long_and_narrow_picture_takes_little_memory(tmp_path):
    Image.new("L", (20_000, 1), 255).save(tmp_path / "line.png")
    tracemalloc.start()
    image, turned = photos.read(tmp_path / "line.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.shape == (28, 28) and turned and peak < 10_000_000


def test_the_memory_of_pillow_is_bounded_too(tmp_path):
    """Pillow allocates memory outside of Python."""
    Image.new("1", (40_000, 1)).save(tmp_path / "line.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    photos.read(tmp_path / "line.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_an_image_of_too_many_pixels_is_refused_in_a_sentence(tmp_path):
    Image.new("1", (20_000, 5_000)).save(tmp_path / "bomb.png")
    with pytest.raises(BadInput, match=r"expected an image of at most 89,478,485 pixels"):
        photos.read(tmp_path / "bomb.png")


@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_in_16_bits_is_white(tmp_path, colours):
    """One level or colour of such a PNG may mean "transparent"."""
    levels = np.full((28, 28, colours), 0x1234, ">u2")
    levels[8:20, 8:20] = 0
    (tmp_path / "a.png").write_bytes(png16(levels, transparent=0x1234))
    image, turned = photos.read(tmp_path / "a.png")
    assert turned and image[0, 0] == 0 and image[14, 14] == 255


def png16(levels, transparent):
    """Write a PNG with 16 bits per channel, which Pillow cannot do in colour."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    height, width, colours = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[colours], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    chunks = (
        (b"IHDR", header),
        (b"tRNS", struct.pack(">H", transparent) * colours),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)
