"""A search with the stock class and with ours, for the tests of its defects."""

import contextlib
import json
from pathlib import Path

import keras
import keras_tuner
import numpy as np

from shared_keras.hyperband import Hyperband as Ours

X = np.random.default_rng(0).integers(0, 256, (320, 10), dtype=np.uint8)


Y = (X[:, 0] > 127).astype(np.int32)


STEPS = 8  # of 32 images, in an epoch of 256


ROOT = Path(__file__).parents[2]


def build(hp, rate=0.01):
    hp.Int("units", 2, 1000)  # tells trials apart; all have the same shapes and programs
    model = keras.Sequential(
        [keras.Input((10,)), keras.layers.Rescaling(1 / 255), keras.layers.Dense(8)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def exploding(hp):
    return build(hp, rate=float("inf"))


def failing(hp):
    if "tuner/epochs" in hp.values:
        raise RuntimeError("no luck")
    return build(hp)


def failing_once(hp, marker):
    if "tuner/epochs" in hp.values:
        with contextlib.suppress(FileExistsError), marker.open("x"):  # one of two workers only
            raise RuntimeError("no luck")
    return build(hp)


class Recorder(keras.callbacks.Callback):
    """Records the state at the start and the end of each training."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def record(self, event):
        weights = sum(float(np.abs(w).sum()) for w in self.model.get_weights())
        state = {
            "event": event,
            "initial_epoch": self.params.get("initial_epoch"),
            "iterations": int(self.model.optimizer.iterations),
            "weights": weights,
        }
        with open(self.path, "a") as file:
            file.write(json.dumps(state) + "\n")

    def on_train_begin(self, logs=None):
        self.record("begin")

    def on_train_end(self, logs=None):
        self.record("end")


def stock(folder, hypermodel=build, objective=None, **options):
    objective = objective or keras_tuner.Objective("val_accuracy", "max")
    options = {"max_epochs": 2, "factor": 2, "seed": 1} | options
    return keras_tuner.Hyperband(
        hypermodel, objective, directory=folder, project_name="p", **options
    )


def ours(folder, hypermodel=build, objective=None, **options):
    objective = objective or keras_tuner.Objective("val_accuracy", "max")
    options = {"max_epochs": 2, "factor": 2, "seed": 1} | options
    return Ours(hypermodel, objective, directory=folder, project_name="p", **options)


def search(tuner, **options):
    tuner.search(X[:256], Y[:256], validation_data=(X[256:], Y[256:]), **options)
    return tuner
