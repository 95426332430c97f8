"""A user's own photos: what `predict` makes of them and says about them."""

import os

import numpy as np
from PIL import Image

from mnist_keras.task import TASK as MNIST
from shared_keras import cli
from shared_keras.data import photos
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_probabilities
from tests import handwriting

DIGITS = int(os.environ.get("DIGITS", "150"))  # DIGITS=1797 is the long version, all of them
PASTED = int(os.environ.get("PASTED", "150"))  # PASTED=10000 are all test images


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


def test_what_is_empty_or_unlike_gets_a_warning(task, tmp_path, capsys):
    y, x = np.mgrid[:140, :140]
    Image.fromarray(np.full((60, 80), 230, np.uint8)).save(tmp_path / "blank.png")
    rings = np.uint8(235 * (np.hypot(y - 70, x - 70) // 12 % 2))
    Image.fromarray(rings).save(tmp_path / "rings.webp")
    files = [str(tmp_path / name) for name in ("blank.png", "rings.webp")]
    cli.main(task, "predict", [*files, "--results-dir", str(tmp_path / "results")])
    out = capsys.readouterr().out
    assert "warning: blank.png is empty" in out and "\nblank.png" not in out
    assert "warning: rings.webp is unlike all training images" in out
    assert Image.open(next((tmp_path / "results").glob("*/predictions/*/seen.png")))
