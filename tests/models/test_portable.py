"""Saved models have Keras's own parts only."""

import keras
import numpy as np

from shared_keras import training
from shared_keras.models import layers, optimizers
from shared_keras.models.build import keras_model
from shared_keras.models.portable import portable
from shared_keras.systems import mlp

X = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
Y = np.arange(50) % 10


def test_what_is_quicker_here_is_keras_own_in_a_file(tmp_path):
    """The optimizer keeps its state, so that stock Keras can train the model further."""
    model = keras_model(mlp.perceptron([mlp.Layer(8, dropout=0.2)], learning_rate=0.01))
    assert isinstance(model.optimizer, optimizers.OnePassAdam)
    training.fit(model, X, Y, batch_size=16)
    portable(model).save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras")
    assert type(saved.optimizer) is keras.optimizers.Adam
    for new, old in zip(saved.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(new, old)
    activations = [getattr(layer, "activation", None) for layer in saved.layers]
    assert keras.activations.relu in activations and layers.relu not in activations
    np.testing.assert_allclose(saved.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)


def test_an_optimizer_within_another_is_swapped_too():
    """mixed_float16 wraps it."""
    for inner, kept in ((optimizers.Adam(), False), (optimizers.OnePassAdam(), True)):
        model = keras.Sequential([keras.Input((2,)), layers.Dropout(0.1), keras.layers.Dense(1)])
        model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
        copy = portable(model)
        assert copy.compiled == kept
        if kept:
            assert type(copy.optimizer.inner_optimizer) is keras.optimizers.Adam
