"""Subclasses: what they override is called when the stock class calls it, in this process."""

import functools

import keras
import keras_tuner
import pytest

from shared_keras.hyperband import Hyperband, overrides
from tests.hyperband.drop_in.both_classes import (
    ONE,
    TWO,
    build,
    compare,
    make,
    note,
    notes,
    search,
)

HOOKS = (
    "pre_create_trial",
    "on_search_begin",
    "on_search_end",
    "on_trial_begin",
    "on_trial_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_batch_begin",
    "on_batch_end",
)


def noting(hyperband, names):
    """Return a subclass that keeps in a list what was called, and with what."""

    class Noting(hyperband):
        def __init__(self, *args, **kwargs):
            self.events = []
            super().__init__(*args, **kwargs)

    for name in names:
        setattr(Noting, name, _noted(hyperband, name))
    return Noting


def _noted(hyperband, name):
    def method(self, *args, **kwargs):
        getattr(hyperband, name)(self, *args, **kwargs)
        self.events.append((name, *map(_plain, args), *map(_plain, kwargs.values())))

    return method


def _plain(value):
    if isinstance(value, keras.Model):
        return "model"
    if isinstance(value, dict):
        return sorted(value)
    return getattr(value, "trial_id", value)


def test_a_hook_is_known_by_its_class_and_not_by_its_name():
    class Own(Hyperband):
        @functools.wraps(keras_tuner.Hyperband.on_epoch_end)
        def on_epoch_end(self, trial, model, epoch, logs=None):
            pass

    tuner = Own.__new__(Own)
    assert overrides.overridden(tuner, "on_epoch_end")
    assert not overrides.overridden(tuner, "run_trial")


@pytest.mark.long
@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_called(tmp_path, name):
    def way(hyperband, folder):
        return search(make(noting(hyperband, [name]), folder, schedule=TWO))

    stock, ours = compare(way, tmp_path)
    if name == "pre_create_trial":  # also when there was nothing to start
        stock.events, ours.events = stock.events[:2], ours.events[:2]
    assert sorted(ours.events, key=str) == sorted(stock.events, key=str)
    assert len(stock.events) >= 1


def test_hooks_are_called_in_order(tmp_path):
    def way(hyperband, folder):
        return search(make(noting(hyperband, HOOKS[1:]), folder))

    stock, ours = compare(way, tmp_path)
    assert ours.events == stock.events


@pytest.mark.long(only=True)
def test_a_trial_has_its_result_when_it_ends(tmp_path):
    def way(hyperband, folder):
        class Reporting(hyperband):
            ended = ()

            def on_trial_end(self, trial):
                super().on_trial_end(trial)
                trial = self.oracle.get_trial(trial.trial_id)
                told = str(trial.status), trial.score > 0, trial.best_step is not None
                self.ended = (*self.ended, told)

        return search(make(Reporting, folder, objective="val_loss", schedule=TWO))

    for tuner in compare(way, tmp_path):
        assert tuner.ended == 2 * (("COMPLETED", True, True),)


@pytest.mark.long(only=True)
def test_on_epoch_end_has_the_logs_and_the_model(tmp_path):
    def way(hyperband, folder):
        class Watching(hyperband):
            seen = ()

            def on_epoch_end(self, trial, model, epoch, logs=None):
                self.seen = (*self.seen, (epoch, logs["val_loss"], len(model.get_weights())))

        return search(make(Watching, folder, objective="val_loss", schedule=TWO))

    for tuner in compare(way, tmp_path):
        assert sorted(epoch for epoch, _, _ in tuner.seen) == [0, 0, 1, 1]
        best = min(loss for _, loss, _ in tuner.seen)
        assert best == pytest.approx(tuner.oracle.get_best_trials()[0].score)


class OwnFit(keras_tuner.HyperModel):
    """Tunes how its model is trained."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("size", [8, 16])
        names = sorted(type(callback).__name__ for callback in kwargs["callbacks"])
        note(self.path, f"{hp['tuner/epochs']} {kwargs['epochs']} {'LambdaCallback' in names}")
        kwargs["batch_size"] = size
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


@pytest.mark.long(only=True)
def test_a_fit_of_the_hypermodel(tmp_path):
    def way(hyperband, folder):
        callbacks = [keras.callbacks.LambdaCallback()]
        tuner = make(hyperband, folder, OwnFit(folder / "fits"), schedule=TWO)
        return search(tuner, callbacks=callbacks)

    compare(way, tmp_path)
    assert notes(tmp_path / "ours" / "fits") == notes(tmp_path / "stock" / "fits")


def test_a_tuner_may_build_the_models(tmp_path):
    def way(hyperband, folder):
        class Building(hyperband):
            def __init__(self, **kwargs):
                super().__init__(self.build_model, "val_accuracy", **kwargs)

            def build_model(self, hp):
                return build(hp)

        return search(Building(directory=folder, **ONE))

    compare(way, tmp_path)
