"""Images unlike anything in the training set are told from others."""

import numpy as np
import pytest

from shared_keras.data import likeness


@pytest.fixture(scope="module")
def training(full):
    return {name: likeness.measure(train.x[:10_000]) for name, (train, _) in full.items()}


def test_hardly_any_test_image_is_unlike(full, training, task):
    assert training[task.name].unlike(full[task.name][1].x[:1000]).mean() < 0.02


def test_training_images_are_like_themselves(full, training, task):
    assert not training[task.name].unlike(full[task.name][0].x[:300]).any()


def test_nonsense_is_unlike(training, task):
    y, x = np.mgrid[:28, :28]
    stripes = np.uint8(y // 3 % 2 * 255)
    checks = np.uint8((y // 4 + x // 4) % 2 * 255)
    noise = np.random.default_rng(0).choice(np.uint8([0, 255]), (20, 28, 28))
    assert training[task.name].unlike(np.stack([stripes, checks, *noise])).all()


def test_few_training_images_are_enough(full):
    images = full["mnist"][0].x[:2]
    assert not likeness.measure(images).unlike(images).any()
