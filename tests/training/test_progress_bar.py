"""What the progress bar of Keras printed in mid-2025, and the originals published."""

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.data import splits
from shared_keras.models.build import keras_model
from shared_keras.results import published
from tests.conftest import MNIST


@pytest.mark.long(only=True)
def test_published_training_figures_are_means_of_running_means(full):
    """The first epoch of MNIST's `regularized`, step by step, averaged the way of the bar."""
    recipe = MNIST.recipes["regularized"]
    training.seed_layers(0)
    keras.utils.set_random_seed(0)
    model = keras_model(MNIST.system(recipe.system))
    running = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: running.append(logs))
    images = splits.split(MNIST, *full["mnist"], recipe.split).train
    ran = model.fit(images.x, images.y, batch_size=recipe.batch_size, verbose=0, callbacks=[note])
    printed = published.curve(MNIST, "regularized")
    assert len(running) == 60_000 // 32
    for metric, noise in (("accuracy", 0.03), ("loss", 0.06)):  # that of seeds
        averaged = np.mean([float(logs[metric]) for logs in running])
        true = ran.history[metric][0]
        assert abs(averaged - printed[metric][0]) < noise
        assert abs(true - printed[metric][0]) > 5 * noise
