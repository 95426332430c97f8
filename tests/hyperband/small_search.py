"""A small hypermodel and its search, for the tests of the tuner with others' code."""

import keras
import numpy as np

from shared_keras.hyperband import Hyperband

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")

Y = (X[:, 0] > 0).astype("int32")

DATA = {"x": X[:80], "y": Y[:80], "validation_data": (X[80:], Y[80:])}


def build(hp, optimizer="sgd", activation="linear", declare=()):
    hp.Int("units", 2, 500)  # tells trials apart; all have the same program
    for name in declare:
        hp.Boolean(name)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, activation), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def deep(hp):
    """The usual pattern of KerasTuner: some hyperparameters are known only once built."""
    for i in range(hp.Int("layers", 1, 5)):
        hp.Int(f"units_{i}", 2, 500)
    return build(hp)


def make(folder, hypermodel=build, objective="val_accuracy", **options):
    options = {"max_epochs": 2, "factor": 2, "seed": 3} | options
    return Hyperband(hypermodel, objective, directory=folder, project_name="p", **options)


def search(tuner, **options):
    return tuner.search(**(DATA | {"verbose": 0} | options))


def outcome(tuner):
    return {
        i: (t.status, t.score, t.hyperparameters.values) for i, t in tuner.oracle.trials.items()
    }
