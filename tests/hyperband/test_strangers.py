"""The tuner with hypermodels, Keras settings and processes unlike our own."""

import collections
import errno
import functools
import os
import re
import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import RunFailed
from shared_keras.hyperband import Hyperband
from shared_keras.hyperband.trials import job, outcomes, saved
from tests.hyperband.small_search import DATA, X, Y, build, deep, make, outcome, search
from tests.shares import dealt


def raising(hp, error):
    if hp.values.get("tuner/bracket") == 0:
        raise error
    return build(hp)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no such file"),
        SystemExit("leave"),
        PermissionError(13, "denied"),
        KeyboardInterrupt("from a signal of its own"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_hypermodel_raises_fails_only_its_trial(tmp_path, error):
    """All of bracket 0 fails, so the search fails, but only after the other brackets."""
    tuner = make(tmp_path, functools.partial(raising, error=error), workers=1)
    with pytest.raises(RunFailed, match=f"{type(error).__name__}: .*delete .* or choose another"):
        search(tuner)
    statuses = [t.status for t in tuner.oracle.trials.values()]
    assert statuses.count("FAILED") == 2 and statuses.count("COMPLETED") >= 1
    again = make(tmp_path, functools.partial(raising, error=error), workers=1)
    assert not again.finished()
    with pytest.raises(RunFailed, match="every trial of a first rung failed"):
        search(again)


def test_a_full_disk_during_training_ends_the_search(tmp_path):
    error = OSError(errno.ENOSPC, "No space left")
    tuner = make(tmp_path, functools.partial(raising, error=error), workers=1)
    with pytest.raises(OSError, match="No space left"):
        search(tuner)
    assert "FAILED" not in {t.status for t in tuner.oracle.trials.values()}


BACKEND_FIRST = """
import keras
used = keras.backend.backend()
from shared_keras.hyperband import Hyperband
import numpy as np

def build(hp):
    assert keras.backend.backend() == used, keras.backend.backend()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(hp.Int("units", 2, 9))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model

x, y = np.random.rand(60, 4), np.arange(60) % 2
tuner = Hyperband(build, "val_accuracy", max_epochs=1, factor=2, workers=1)
print(used, *set(tuner.search(x, y, validation_data=(x, y), verbose=0).results().status))
"""


@pytest.mark.long(only=True)
def test_workers_use_the_backend_of_an_already_imported_keras(tmp_path):
    """Here TensorFlow; without TensorBoard, with which alone a stock trial succeeds there."""
    (tmp_path / "tensorboard.py").write_text("raise ImportError('not installed')")
    path = f"{tmp_path}:{os.getcwd()}"
    environment = os.environ | {"PYTHONPATH": path, "KERAS_HOME": str(tmp_path)}
    del environment["KERAS_BACKEND"]
    result = subprocess.run(
        [sys.executable, "-c", BACKEND_FIRST],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["tensorflow", "COMPLETED"], result.stderr[-2000:]


def half(hp):
    assert keras.config.dtype_policy().name == "mixed_bfloat16", keras.config.dtype_policy()
    assert keras.config.epsilon() == 1e-5
    assert keras.config.max_epochs() == 7 and keras.config.max_steps_per_epoch() == 99
    model = build(hp)
    assert model.layers[0].compute_dtype == "bfloat16"
    return model


def test_global_keras_settings_reach_the_workers(tmp_path):
    epsilon = keras.config.epsilon()
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_epsilon(1e-5)
    keras.config.set_max_epochs(7)
    keras.config.set_max_steps_per_epoch(99)
    try:
        tuner = search(make(tmp_path, half, max_epochs=1))
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_epsilon(epsilon)
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}


def test_warm_models_are_limited_by_bytes(monkeypatch, tmp_path):
    model = build(keras_tuner.HyperParameters())
    model.optimizer.build(model.trainable_variables)
    monkeypatch.setattr(saved, "WARM", 3 * saved.bytes_of(model))
    best_epoch = outcomes.BestEpoch(keras_tuner.Objective("loss", "min"), True)
    warm = collections.OrderedDict()
    for i in range(5):
        folder = tmp_path / str(i)
        folder.mkdir()
        saved.write(warm, folder, folder / saved.STATE, model, best_epoch, True)
    assert [state.parent.name for state in warm] == ["2", "3", "4"]


def unbuilt(hp):
    model = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 9)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("warm", [True, False])
def test_a_model_without_an_input_is_resumed_in_any_process(tmp_path, warm):
    objective = keras_tuner.Objective("loss", "min")
    options = {"validation_data": DATA["validation_data"]}
    hypermodel = make(tmp_path, unbuilt).hypermodel
    shared = job.Search(hypermodel, objective, (X, Y), options)
    histories = []
    for i, parent in enumerate((None, tmp_path / "0")):
        (tmp_path / str(i)).mkdir()
        config = {"space": [], "values": {"units": 4}}
        trial = job.TrialJob(config, tmp_path / str(i), parent, i, i + 1, 0, resumable=True)
        result = job.run(shared, trial)
        assert result.failure is None
        histories += result.history["loss"]
        if not warm:
            shared.warm.clear()
    assert histories[1] < histories[0]


class Uncompiled(keras_tuner.HyperModel):
    """As in KerasTuner's guide to training loops: the model is never compiled."""

    def build(self, hp):
        hp.Int("units", 2, 500)
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])

    def fit(self, hp, model, x, y, *, initial_epoch, epochs, callbacks, **options):
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(initial_epoch, epochs):
            model.set_weights([w + 1 for w in model.get_weights()])
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"trained": model.get_weights()[1][0]})
        return {"trained": model.get_weights()[1][0]}


def test_a_custom_loop_need_not_compile_its_model(tmp_path):
    objective = keras_tuner.Objective("trained", "max")
    tuner = search(make(tmp_path, Uncompiled(), objective))
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    assert {t.score for t in tuner.ranked()} == {1, 2}  # a promoted one was resumed
    assert tuner.get_best_models()[0].get_weights()[1][0] == 2


class Unsaved(keras.Sequential):
    def get_build_config(self):
        raise NotImplementedError("not to be saved")


def test_a_model_that_cannot_be_saved_fails_its_trial(tmp_path):
    def make_one(hp):
        model = Unsaved(build(hp).layers)
        model.compile("sgd", "mse")
        return model

    tuner = make(tmp_path, make_one, "loss", max_epochs=1)
    with pytest.raises(RunFailed, match="the first with NotImplementedError: not to be saved; fix"):
        search(tuner, y=np.ones((80, 2)), validation_data=None)
    assert [t.status for t in tuner.oracle.trials.values()] == ["FAILED"]


def test_a_build_that_returns_no_model_ends_the_search(tmp_path):
    with pytest.raises(TypeError, match="a valid Keras Model instance, compiled. Received: 3"):
        search(make(tmp_path, lambda hp: 3))


@pytest.fixture(scope="module")
def deep_search(tmp_path_factory):
    return search(make(tmp_path_factory.mktemp("deep"), deep, workers=1))


@pytest.mark.long(only=True)
def test_late_hyperparameters_are_drawn_alike(deep_search, tmp_path):
    """Also with another number of workers and after an interruption."""
    expected = outcome(deep_search)
    events = []

    def stop():
        events.append(1)
        if len(events) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(make(tmp_path, deep, workers=1, callback=stop))
    assert outcome(search(make(tmp_path, deep, workers=2))) == expected


def test_late_hyperparameters_are_drawn_from_the_first_trial_on(deep_search):
    values = [t.hyperparameters.values for t in deep_search.oracle.trials.values()]
    for each in values:
        assert {f"units_{i}" for i in range(each["layers"])} <= each.keys()
    later = [v for each in values for name, v in each.items() if re.match("units_[1-4]", name)]
    assert len(set(later)) > 5 and later.count(2) <= 1  # 2 is the default


@pytest.mark.long(only=True)
@pytest.mark.parametrize("keep", dealt([2, "all"], [2]))
def test_the_best_models_can_be_loaded(tmp_path, keep):
    tuner = search(make(tmp_path, keep_checkpoints=keep))
    count = 5 if keep == "all" else keep
    models = tuner.get_best_models(count)
    assert len(models) == count
    for model, trial in zip(models, tuner.ranked()):
        score = model.evaluate(*DATA["validation_data"], verbose=0)[1]
        assert score == pytest.approx(trial.score)


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(units), keras.layers.Dense(2)

    def call(self, x):
        return self.out(self.hidden(x))


def subclassed(hp):
    hp.Int("tells trials apart", 2, 500)
    model = Subclassed(hp.Choice("units", [2, 3]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.mark.long(only=True)
def test_the_best_models_of_a_subclass_can_be_loaded(tmp_path):
    tuner = search(make(tmp_path, subclassed))
    (model,) = tuner.get_best_models()
    score = model.evaluate(*DATA["validation_data"], verbose=0)[1]
    assert score == pytest.approx(tuner.winner().score)


BAD = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}


class OwnLoop(keras_tuner.HyperModel):
    """Has its own training loop, and some of its scores are `bad`."""

    def __init__(self, bad):
        super().__init__()
        self.bad = bad

    def build(self, hp):
        hp.Int("units", 1, 100)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def fit(self, hp, model, x, y, **options):
        units = hp.get("units")
        return float(units) if units % 4 else {"reward": float(units), "score": self.bad}


@pytest.mark.long(only=True)
@pytest.mark.parametrize("bad", BAD)
def test_a_non_finite_score_of_a_custom_loop_is_a_failure(tmp_path, bad):
    objective = keras_tuner.Objective("score", "max")
    tuner = Hyperband(OwnLoop(BAD[bad]), objective, max_epochs=4, factor=2, directory=tmp_path)
    table = tuner.search(np.ones((4, 2)), np.ones((4, 1)), verbose=0).results()
    failed = table.units % 4 == 0
    assert failed.any() and not failed.all()
    assert set(table.status[failed]) == {"FAILED"}
    assert set(table.reason[failed]) == {f"ArithmeticError: score became {bad}"}
    assert set(table.status[~failed]) == {"COMPLETED"}


@pytest.mark.long(only=True)
def test_a_search_goes_on_where_the_current_folder_was_deleted(tmp_path, monkeypatch):
    expected = outcome(search(make(tmp_path / "there")))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()  # the workers live
    tuner = search(make(tmp_path / "here"))
    assert outcome(tuner) == expected
