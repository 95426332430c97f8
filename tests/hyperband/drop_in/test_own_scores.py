"""Trainings that score and fail as they like: repeated, retried, counted."""

import keras
import keras_tuner
import pytest

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    FIVE,
    TWO,
    build,
    compare,
    make,
    note,
    notes,
    search,
)

pytestmark = pytest.mark.long


class Scored(keras_tuner.HyperModel):
    """Returns as many points as there were trainings, and fails in some.

    Args:
        path: File to note the trainings in.
        failing: The numbers of those that fail.
        error: How they fail.
    """

    def __init__(self, path, failing=(), error=RuntimeError):
        super().__init__()
        self.path, self.failing, self.error = path, failing, error

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        note(self.path, hp.get("units"))
        number = len(notes(self.path))
        if number in self.failing:
            raise self.error("out of luck")
        return float(number)


def test_executions_per_trial(tmp_path):
    def way(hyperband, folder):
        scored = Scored(folder / "fits")
        return search(make(hyperband, folder, scored, None, executions_per_trial=3))

    for tuner in compare(way, tmp_path):
        assert [t.score for t in tuner.oracle.trials.values()] == [2.0]


@pytest.mark.parametrize(("failing", "left"), [((1,), 2), ((1, 2), 3)])
def test_a_trial_is_retried(tmp_path, failing, left):
    def way(hyperband, folder):
        scored = Scored(folder / "fits", failing)
        return search(make(hyperband, folder, scored, None, max_retries_per_trial=2))

    for name, tuner in zip(CLASSES, compare(way, tmp_path)):
        fits = notes(tmp_path / name / "fits")
        assert len(fits) == left and len(set(fits)) == 1  # with the same values
        assert [t.score for t in tuner.oracle.trials.values()] == [float(left)]


def test_a_trial_that_fails_on_purpose_is_not_retried(tmp_path):
    def way(hyperband, folder):
        scored = Scored(folder / "fits", (1,), keras_tuner.errors.FailedTrialError)
        return search(make(hyperband, folder, scored, None, TWO, max_retries_per_trial=2))

    for name, tuner in zip(CLASSES, _searched(way, tmp_path)):
        fits = notes(tmp_path / name / "fits")
        statuses = [str(t.status) for t in tuner.oracle.trials.values()]
        assert statuses.count("FAILED") == 1 and len(fits) == len(statuses)


def _searched(way, folder) -> list:
    return [way(hyperband, folder / name) for name, hyperband in CLASSES.items()]


def test_a_search_ends_after_some_failures_in_a_row(tmp_path):
    def way(hyperband, folder):
        scored = Scored(folder / "fits", range(100))
        limit = {"max_consecutive_failed_trials": 2}
        tuner = make(hyperband, folder, scored, None, FIVE | {"max_epochs": 4}, **limit)
        with pytest.raises(RuntimeError, match="out of luck"):
            search(tuner)
        return tuner

    for name, _ in zip(CLASSES, _searched(way, tmp_path)):
        assert 2 <= len(notes(tmp_path / name / "fits")) <= 4  # others may have been running


def test_a_fatal_error_ends_the_search_at_once(tmp_path):
    def way(hyperband, folder):
        scored = Scored(folder / "fits", (1,), keras_tuner.errors.FatalError)
        tuner = make(hyperband, folder, scored, None, FIVE, max_retries_per_trial=2)
        with pytest.raises(keras_tuner.errors.FatalError, match="out of luck"):
            search(tuner)
        return tuner

    for name, _ in zip(CLASSES, _searched(way, tmp_path)):
        assert len(notes(tmp_path / name / "fits")) <= 2  # another may have been running


def sized(hp):
    units = hp.Choice("units", [2, 500])
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(units), keras.layers.Dense(2, "softmax")]
    )
    hp.Float("rate", 1e-3, 1e-1)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_too_large_models_fail(tmp_path):
    def way(hyperband, folder):
        limit = {"max_model_size": 100, "max_consecutive_failed_trials": 20}
        return search(make(hyperband, folder, sized, schedule=FIVE, **limit))

    for tuner in _searched(way, tmp_path):
        for trial in tuner.oracle.trials.values():
            large = trial.hyperparameters.values["units"] == 500
            assert str(trial.status) == ("FAILED" if large else "COMPLETED")
            assert not large or "Oversized model" in trial.message
