"""Image files of any kind become the model's input."""

import resource
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from shared_keras.errors import BadInput
from shared_keras.photos import reading

KINDS = ["handwriting", "objects"]


@pytest.fixture
def drawing(full):
    """A real digit, light on dark."""
    return full["mnist"][1].x[0]


def rgba(grey, colour=0):
    """Ink that is opaque where the drawing is: black needs white paper, white a blackboard."""
    ink = np.full((*grey.shape, 4), colour, np.uint8)
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
    "white on transparency": lambda d: rgba(d, 255),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_png(drawing, tmp_path, mode, kind):
    path = tmp_path / "drawing.png"
    MODES[mode](drawing).save(path)
    photo = reading.read(path, kind)
    assert (photo.image.shape, photo.image.dtype) == ((28, 28), np.uint8)
    assert photo.inverted == (mode == "ink on transparency")
    expected = (drawing > 127) * 255 if mode == "1" else drawing
    np.testing.assert_array_equal(photo.image, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg(drawing, tmp_path, mode):
    path = tmp_path / "drawing.jpg"
    Image.fromarray(drawing).convert("RGB").convert(mode).save(path, quality=95)
    photo = reading.read(path, "handwriting")
    assert not photo.inverted
    assert np.abs(photo.image.astype(int) - drawing).mean() < 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["a.png", "a.bmp", "a.gif", "a.webp", "a.tiff", "a.jpg", "no-suffix-at-all"]
)
def test_every_format_shows_the_same(drawing, tmp_path, name, kind):
    """Of a drawing on grey paper, which must be prepared."""
    paper = Image.fromarray(np.pad(200 - drawing // 2, 30, constant_values=200))
    paper.save(tmp_path / name, format=None if "." in name else "TIFF", lossless=True, quality=95)
    photo = reading.read(tmp_path / name, kind)
    paper.save(tmp_path / "expected.png")
    expected = reading.read(tmp_path / "expected.png", kind)
    assert photo.inverted and photo.thumbnail.shape == (88, 88, 3)
    tolerance = 20 if name == "a.jpg" else 0
    assert np.abs(photo.image.astype(int) - expected.image).mean() <= tolerance


@pytest.mark.parametrize(
    ("kind", "factor"),
    [(np.int32, 1), (np.int32, 257), (np.int32, 100_000), (np.uint16, 1), (np.uint16, 16)],
)
def test_tiff_files_with_whole_numbers_of_any_range(drawing, tmp_path, kind, factor):
    """8 bits in 32 or in 16, as NumPy arrays are often saved, and 12 bits, as cameras have."""
    Image.fromarray(drawing.astype(kind) * kind(factor)).save(tmp_path / "a.tiff")
    image = reading.read(tmp_path / "a.tiff", "handwriting").image
    np.testing.assert_allclose(image.astype(int), drawing, atol=2)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_tiff_files_of_zeros_and_ones(drawing, tmp_path, kind):
    """Masks, as other programs cut drawings out."""
    mask = drawing > 127
    Image.fromarray(mask.astype(kind)).save(tmp_path / "a.tiff")
    image = reading.read(tmp_path / "a.tiff", "handwriting").image
    np.testing.assert_array_equal(image, 255 * mask)


def test_a_white_drawing_on_a_transparent_ground(drawing, tmp_path):
    """Large, so that it is prepared; in colours and in grey, and in light yellow."""
    large = np.kron(drawing, np.ones((6, 6), np.uint8))
    expected = None
    for name, picture in (
        ("black", rgba(large)),
        ("white", rgba(large, 255)),
        ("grey", rgba(large, 255).convert("LA")),
        ("yellow", rgba(large, np.array([255, 255, 170, 255]))),
    ):
        picture.save(tmp_path / f"{name}.png")
        photo = reading.read(tmp_path / f"{name}.png", "handwriting")
        assert photo.inverted == (name == "black")
        expected = photo.image if expected is None else expected
        assert np.abs(photo.image.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("suffix", ["gif", "webp", "tiff", "png"])
def test_the_first_frame_counts(drawing, tmp_path, suffix):
    frames = [Image.fromarray(drawing), Image.fromarray(drawing.T)]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(reading.read(path, "handwriting").image, drawing)


@pytest.mark.parametrize("levels", [np.float32(1), np.float32(40_000)])
def test_tiff_files_with_floats_of_any_range(drawing, tmp_path, levels):
    Image.fromarray(drawing / np.float32(255) * levels).save(tmp_path / "a.tiff")
    image = reading.read(tmp_path / "a.tiff", "handwriting").image
    np.testing.assert_allclose(image.astype(int), drawing, atol=1)


def test_the_datasets_own_test_images_are_taken_as_they_are(full, task, tmp_path):
    """Only so does a model's accuracy hold for files, too."""
    for image in full[task.name][1].x[:200]:
        Image.fromarray(image).save(tmp_path / "image.png")
        photo = reading.read(tmp_path / "image.png", task.photos)
        np.testing.assert_array_equal(photo.image, image)
        assert not photo.inverted
        Image.fromarray(255 - image).save(tmp_path / "image.png")
        photo = reading.read(tmp_path / "image.png", task.photos)
        np.testing.assert_array_equal(photo.image, image)
        assert photo.inverted


def test_no_image_of_the_datasets_is_mistaken_for_a_photo(full):
    """Each has enough plain black on its border."""
    for images in full.values():
        for part in images:
            inner = np.zeros((28, 28), bool)
            inner[1:-1, 1:-1] = True
            assert ((part.x <= 8) & ~inner).sum((1, 2)).min() >= 0.1 * (~inner).sum()


def test_a_rotated_photograph_is_set_upright(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    turned = Image.fromarray(drawing).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "photo.png", exif=exif)
    image = reading.read(tmp_path / "photo.png", "handwriting").image
    np.testing.assert_array_equal(image, drawing)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"RIFF\4\0\0\0WEBP",
        b"\x89PNG\r\n\x1a\n cut short",
        b"\xff\xd8\xff\xe0 cut short",
        b"%!PS-Adobe-3.0",
        b"P6 1 1 255 abc",
    ],
)
def test_what_is_no_image_is_named(tmp_path, raw):
    (tmp_path / "odd.png").write_bytes(raw)
    with pytest.raises(
        BadInput, match="odd.png: not an image in one of the formats PNG, JPEG, BMP"
    ):
        reading.read(tmp_path / "odd.png", "handwriting")
    with pytest.raises(BadInput, match="absent.png: no such file"):
        reading.read(tmp_path / "absent.png", "handwriting")


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_and_narrow_picture_takes_little_memory(tmp_path, kind):
    Image.new("L", (20_000, 1), 255).save(tmp_path / "line.png")
    tracemalloc.start()
    photo = reading.read(tmp_path / "line.png", kind)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert photo.image is None and peak < 10_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_of_pillow_is_bounded_too(tmp_path, kind):
    """Pillow allocates memory outside of Python."""
    Image.new("1", (40_000, 1)).save(tmp_path / "line.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading.read(tmp_path / "line.png", kind)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif"])
def test_an_image_of_too_many_pixels_is_refused_in_a_sentence(tmp_path, suffix):
    Image.new("1", (20_000, 5_000)).save(tmp_path / f"bomb.{suffix}")
    with pytest.raises(BadInput, match=r"expected an image of at most 89,478,485 pixels"):
        reading.read(tmp_path / f"bomb.{suffix}", "handwriting")


@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_in_16_bits_is_white(tmp_path, colours):
    """One level or colour of such a PNG may mean "transparent"."""
    levels = np.full((28, 28, colours), 0x1234, ">u2")
    levels[8:20, 8:20] = 0
    (tmp_path / "a.png").write_bytes(png16(levels, transparent=0x1234))
    photo = reading.read(tmp_path / "a.png", "handwriting")
    assert photo.inverted and photo.image[0, 0] == 0 and photo.image[14, 14] == 255


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 30, 128, 255])
@pytest.mark.parametrize("noise", [0, 8])
def test_a_blank_page_is_empty(tmp_path, kind, level, noise):
    """Even under uneven light."""
    light = np.linspace(1, 0.7, 150)[:, None, None]
    paper = np.full((150, 220, 3), level) * light
    paper += np.random.default_rng(0).normal(0, noise, paper.shape)
    Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8)).save(tmp_path / "blank.png")
    assert reading.read(tmp_path / "blank.png", kind).image is None
