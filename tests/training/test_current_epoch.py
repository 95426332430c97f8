"""Another process can read which epoch a training is in."""

import keras
import numpy as np

from shared_keras import training
from shared_keras.training import current_epoch


def test_the_file_holds_the_epoch_until_it_is_forgotten(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen = []

    class Reader(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(current_epoch.read({"a": tmp_path, "b": tmp_path / "none"}))

    x = np.zeros((4, 2), "float32")
    callbacks = [current_epoch.CurrentEpoch(tmp_path), Reader()]
    training.fit(
        model, x, x[:, :1], batch_size=2, initial_epoch=2, epochs=4, callbacks=callbacks, seed=0
    )
    assert seen == [{"a": 3}, {"a": 4}]
    current_epoch.forget(tmp_path)
    assert current_epoch.read({"a": tmp_path}) == {} and not list(tmp_path.iterdir())
    current_epoch.forget(tmp_path)  # a trial may have failed before its first epoch
