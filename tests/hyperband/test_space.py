"""The `batchnorm` space: batch size and learning rate are the system's own, in any tuner."""

import math

import keras_tuner
import numpy as np
import pandas as pd
import pytest

from shared_keras.data import datasets, splits
from shared_keras.hyperband import Hyperband
from shared_keras.hyperband.space import Space
from shared_keras.systems.recipe import Replay
from shared_keras.systems.spec import Cosine, Dense, Flatten, Optimizer, System
from tests.conftest import FASHION
from tests.shares import dealt


def values(**changes):
    return dict(FASHION.recipes["pytorch-tuned-2"].system.hyperparameters) | changes


def cosine(epoch, rate, t_max):
    return rate * (1 + math.cos(math.pi * epoch / t_max)) / 2


@pytest.fixture(scope="module")
def split(small_dirs):
    return splits.split(FASHION, *datasets.load(FASHION, str(small_dirs["fashion"])), "holdout")


@pytest.mark.long(only=True)
def test_a_stock_fit_follows_the_system(split):
    """`fit` is what a stock tuner calls: its batches and learning rates are the system's."""
    batch_size = 512
    space = FASHION.builder("batchnorm")
    hp = space.replay(values(batch_size=batch_size, t_max=8))
    model = space.build(hp)
    history = space.fit(hp, model, split.train.x, split.train.y, epochs=3, verbose=0).history
    steps = 3 * -(-len(split.train) // batch_size)
    assert int(model.optimizer.iterations) == steps
    expected = [cosine(epoch, values()["base_lr"], 8) for epoch in range(3)]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)


@Space
def tiny(hp):
    """A similar space that is quick to build."""
    schedule = Cosine(hp.Int("t_max", 2, 5))
    optimizer = Optimizer("adam", hp.Float("base_lr", 1e-3, 1e-2), schedule=schedule)
    return System((Flatten(), Dense(4), Dense(10)), optimizer, batch_size=500)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("factor", dealt([2, 3], [3]))
def test_a_stock_tuner_searches_it(split, tmp_path, factor):
    """Five trials, one of which resumes another; or two."""
    options = {"max_epochs": 2, "factor": factor, "directory": tmp_path}
    tuner = keras_tuner.Hyperband(tiny, "val_accuracy", max_consecutive_failed_trials=1, **options)
    validation = (split.validation.x, split.validation.y)
    tuner.search(split.train.x, split.train.y, validation_data=validation, verbose=0)
    assert tuner.oracle.get_best_trials(1)[0].score > 0.1


@pytest.mark.long(only=True)
def test_a_promoted_trial_resumes_its_learning_rate(split, tmp_path):
    """Cosines count from the first epoch of the first rung."""
    tuner = Hyperband(
        tiny, "val_accuracy", max_epochs=4, factor=2, directory=tmp_path, project_name="p"
    )
    validation = (split.validation.x, split.validation.y)
    tuner.search(split.train.x, split.train.y, validation_data=validation, batch_size=7)
    promoted = 0
    for trial in tuner.oracle.trials.values():
        hp = trial.hyperparameters.values
        history = pd.read_csv(tuner.folder(trial.trial_id) / "history.csv")
        expected = [cosine(epoch - 1, hp["base_lr"], hp["t_max"]) for epoch in history.epoch]
        np.testing.assert_allclose(history.learning_rate, expected, rtol=1e-5, atol=1e-9)
        promoted += history.epoch[0] > 1
    assert promoted > 0


def test_a_replayed_recipe_is_that_of_ray_tune():
    """Its widths, rates and schedule reach the system, with the task's pixel statistics."""
    described = FASHION.system(Replay("batchnorm", values()))
    assert [layer.units for layer in described.layers if hasattr(layer, "units")] == [
        342,
        580,
        491,
        10,
    ]
    rates = [layer.rate for layer in described.layers if hasattr(layer, "rate")]
    assert rates == [values()[f"l{i}_drop"] for i in (1, 2, 3)]
    assert described.batch_size == 1024 and described.optimizer.schedule.t_max == 10
    assert described.optimizer.l2 == values()["l2_rate"]
    assert (described.mean, described.std) == (0.2860, 0.3530)
