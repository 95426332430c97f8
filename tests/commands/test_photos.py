"""A user's own photos: what `predict` makes of them and says about them."""

import os

import numpy as np
from PIL import Image

from mnist_keras.task import TASK as MNIST
from shared_keras import cli
from shared_keras.commands import predict
from shared_keras.commands.predict import Item
from shared_keras.data import photos
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_probabilities
from tests import handwriting

DIGITS = int(os.environ.get("DIGITS", "75"))  # DIGITS=1797 is the long version, all of them
PASTED = int(os.environ.get("PASTED", "75"))  # PASTED=10000 are all test images


def accuracy(images, labels):
    """Score the committed model of MNIST; what is empty counts as wrong."""
    model = saved_models.load(MNIST, saved_models.committed(MNIST))
    empty = np.array([image is None for image in images])
    x = np.stack([np.zeros((28, 28), np.uint8) if i is None else i for i in images])
    return ((predict_probabilities(model, x).argmax(axis=1) == labels) & ~empty).mean()


def test_handwriting_from_elsewhere_is_read(tmp_path):
    files = handwriting.write(tmp_path, DIGITS)
    images = [photos.read(path, MNIST.photos).image for path, _ in files]
    assert accuracy(images, np.array([label for _, label in files])) >= 0.85


def test_test_images_on_larger_paper_lose_little(full, tmp_path):
    x, y = full["mnist"][1].x[:PASTED], full["mnist"][1].y[:PASTED]
    rng = np.random.default_rng(0)
    images = []
    for image in x:
        paper = np.zeros(rng.integers(32, 160, 2), np.uint8)
        top, left = rng.integers(0, np.array(paper.shape) - 27)
        paper[top : top + 28, left : left + 28] = image
        Image.fromarray(paper if rng.integers(2) else 255 - paper).save(tmp_path / "a.png")
        images.append(photos.read(tmp_path / "a.png", "handwriting").image)
    lost = accuracy(list(x), y) - accuracy(images, y)
    assert lost <= max(0.003, 1.01 / PASTED)


def test_what_shows_nothing_or_is_unlike_gets_a_warning(task, tmp_path, capsys):
    y, x = np.mgrid[:140, :140]
    Image.fromarray(np.full((60, 80), 230, np.uint8)).save(tmp_path / "blank.png")
    rings = np.uint8(235 * (np.hypot(y - 70, x - 70) // 12 % 2))
    Image.fromarray(rings).save(tmp_path / "rings.webp")
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    names = ("blank.png", "noise.png", "rings.webp")
    files = [str(tmp_path / name) for name in names]
    cli.main(task, "predict", [*files, "--results-dir", str(tmp_path / "results")])
    out = capsys.readouterr().out
    why = "it shows no strokes (" if task is MNIST else "nothing stands out"
    assert f"warning: blank.png is not classified: {why}" in out and "\nblank.png" not in out
    assert "warning: noise.png is" in out
    assert task is not MNIST or f"noise.png is not classified: {why}" in out
    assert "warning: rings.webp is unlike the training images" in out
    assert Image.open(next((tmp_path / "results").glob("*/predictions/*/seen.png")))


def test_a_filled_shape_is_no_digit(full, tmp_path, capsys):
    """The model is sure of it: a T-shirt becomes an 8."""
    shirt = next(x for x, y in zip(full["fashion"][1].x, full["fashion"][1].y) if y == 0)
    paper = np.pad(255 - np.kron(shirt, np.ones((8, 8), np.uint8)), 40, constant_values=255)
    Image.fromarray(paper).save(tmp_path / "shirt.png")
    for name, margin in (("square.png", 70), ("wide.png", 30)):
        square = np.pad(np.zeros((200 - 2 * margin,) * 2, np.uint8), margin, constant_values=255)
        Image.fromarray(square).save(tmp_path / name)
    names = ("shirt.png", "square.png", "wide.png")
    files = [str(tmp_path / name) for name in names]
    cli.main(MNIST, "predict", [*files, "--results-dir", str(tmp_path / "results")])
    out = capsys.readouterr().out
    assert all(f"warning: {name} is unlike" in out for name in names[:2])
    assert "warning: wide.png is not classified: it shows no strokes (" in out


def test_wrong_answers_to_test_images_are_red():
    truth = Item("test image 3", np.zeros((28, 28), np.uint8), truth="Ankle boot")
    assert not predict._is_red(truth, ["Ankle boot 99.0%", "Bag 1.0%"])
    assert predict._is_red(truth, ["Ankle boot of mine 99.0%"])
    assert not predict._is_red(Item("a.png", truth.image), ["Bag 60.0%"])
    assert predict._is_red(Item("a.png", truth.image, warning="odd"), ["Bag 60.0%"])
