"""What a search refuses before its first trial, so that nothing has failed in its folder."""

import functools
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import BadInput
from shared_keras.hyperband import Hyperband

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = X[:, :1]


class Batches(keras.utils.PyDataset):
    """Batches of inputs and targets."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[index::2], Y[index::2]


def build(hp):
    hp.Int("units", 2, 500)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class OwnFit(keras_tuner.HyperModel):
    """Trains by itself, on what it likes."""

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, x, y, **options):
        return model.fit(x, **options)


def make(folder, hypermodel=build):
    return Hyperband(hypermodel, "loss", max_epochs=2, factor=2, directory=folder)


REFUSED = {
    "x must be an array, a list or dict of arrays, or a dataset": {"x": 3},
    "y must be an array of numbers": {"y": np.array([["yes"]] * 60)},
    "x and y must be equally long. Received: 60, 59": {"y": Y[1:]},
    r"validation_data must be": {"validation_data": (X, Y, None, Y)},
    r"len\(validation_data\[0\]\) must be at least 1": {"validation_data": (X[:0], Y[:0])},
    "batch_size must be at least 1. Received: 0": {"batch_size": 0},
    "callbacks must be Keras callbacks": {"callbacks": ["stop"]},
    "must be those of keras.Model.fit: .*'steps'": {"steps": 2},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_trained_on_is_refused_before_the_first_trial(tmp_path, message):
    tuner = make(tmp_path)
    with pytest.raises(ValueError, match=message):
        tuner.search(**({"x": X, "y": Y, "verbose": 0} | REFUSED[message]))
    assert not tuner.oracle.trials and not list(tmp_path.rglob("oracle.json"))


def test_trials_that_keras_would_end_early_are_refused(tmp_path):
    """A promoted trial would begin behind the limit, and have no epoch."""
    keras.config.set_max_epochs(1)
    try:
        with pytest.raises(
            BadInput, match="^max_epochs: expected at most 1, because KERAS_MAX_.*2"
        ):
            make(tmp_path).search(X, Y, verbose=0)
    finally:
        keras.config.set_max_epochs(None)
    assert not list(tmp_path.rglob("oracle.json"))


def test_a_fit_of_ones_own_may_take_any_data(tmp_path):
    table = make(tmp_path, OwnFit()).search(Batches(), None, verbose=0).results()
    assert set(table.status) == {"COMPLETED"}


def test_tuners_that_are_made_at_once_leave_the_output_alone(tmp_path):
    """A redirection of it in each of several threads could end in the wrong order."""
    make(tmp_path).save()
    out = sys.stdout
    seen = []

    def watched(hp):
        seen.append(sys.stdout)
        return build(hp)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(functools.partial(make, tmp_path), [watched] * 8))
    assert sys.stdout is out and len(seen) >= 8 and all(stream is out for stream in seen)
