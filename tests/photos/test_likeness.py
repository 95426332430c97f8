"""Images unlike anything in the training set are told from others."""

import numpy as np
import pytest

from shared_keras.photos import handwriting, likeness


@pytest.fixture(scope="module")
def training(full):
    return {name: likeness.measure(train.x[:10_000]) for name, (train, _) in full.items()}


def test_hardly_any_test_image_is_unlike(full, training, task):
    assert training[task.name].unlike(full[task.name][1].x[:1000]).mean() < 0.02


def test_hardly_any_training_image_is_unlike(full, training, task):
    assert training[task.name].unlike(full[task.name][0].x[:1000]).mean() < 0.01


def test_the_limits_are_those_of_comparing_with_all(full, task, monkeypatch):
    """Most images are compared with a few only, which must not change what is usual."""
    images = full[task.name][0].x[:5000]
    quick = likeness.measure(images).limits
    monkeypatch.setattr(likeness, "FEW", 0)
    monkeypatch.setattr(likeness, "STEP", likeness.CHECKED)
    np.testing.assert_allclose(quick, likeness.measure(images).limits, rtol=1e-5)


@pytest.mark.long(only=True)
def test_what_is_filled_more_than_strokes_is_unlike(full, training):
    """Most T-shirts are nearer to some bold digit than bold digits are to each other."""
    shirts = full["fashion"][1].x[full["fashion"][1].y == 0][:40]
    photos = 255 - np.pad(np.kron(shirts, np.ones((8, 8), np.uint8)), ((0, 0), (40, 40), (40, 40)))
    seen = [handwriting.prepare(np.repeat(photo[..., None], 3, axis=2)) for photo in photos]
    images = np.stack([found[0] for found in seen if found])
    assert training["mnist"].unlike(images).mean() > 0.6


def test_nonsense_is_unlike(training, task):
    y, x = np.mgrid[:28, :28]
    stripes = np.uint8(y // 3 % 2 * 255)
    checks = np.uint8((y // 4 + x // 4) % 2 * 255)
    noise = np.random.default_rng(0).choice(np.uint8([0, 255]), (20, 28, 28))
    assert training[task.name].unlike(np.stack([stripes, checks, *noise])).all()


def test_few_training_images_are_enough(full):
    images = full["mnist"][0].x[:2]
    assert not likeness.measure(images).unlike(images).any()
