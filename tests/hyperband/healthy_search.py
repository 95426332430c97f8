"""A hypermodel that trains, and its search, for the tests of the tuner."""

import keras
import numpy as np

from shared_keras.hyperband import Hyperband

X = np.random.default_rng(0).integers(0, 256, (400, 10), dtype=np.uint8)


Y = (X[:, 0] > 127).astype(np.int32)


BUDGET = {"max_epochs": 4, "factor": 2}


VALIDATION = (X[300:], Y[300:])


FIT = {"validation_data": VALIDATION, "batch_size": 32}


def build(hp):
    """A hypermodel in which some settings fail."""
    trouble = hp.Choice("trouble", ["none", "no", "raise", "nan"])
    if trouble == "raise":
        raise RuntimeError("out of luck")
    return healthy(hp, float("inf") if trouble == "nan" else None)


def healthy(hp, rate=None):
    units = hp.Choice("units", [4, 8])  # each of them is a program to compile
    rate = rate or hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def make(folder, hypermodel=healthy, seed=0, **kwargs):
    return Hyperband(
        hypermodel,
        "val_accuracy",
        **BUDGET,
        seed=seed,
        directory=folder,
        project_name="p",
        **kwargs,
    )


def search(tuner):
    tuner.search(X[:300], Y[:300], **FIT)
    return tuner


def outcome(tuner):
    """Everything that a search decided."""
    return [
        (t.trial_id, t.status, t.score, t.best_step, t.hyperparameters.values)
        for _, t in sorted(tuner.oracle.trials.items())
    ]
