"""The tuner with hypermodels, data and processes unlike the project's own."""

import errno
import functools
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import BadInput, RunFailed
from shared_keras.hyperband import Hyperband, fingerprint, job

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


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("done")
    search(make(folder))
    return folder


@pytest.mark.parametrize(
    ("changed", "hypermodel", "options"),
    [
        ("model", functools.partial(build, activation="relu"), {}),
        ("model", functools.partial(build, optimizer="adam"), {}),
        ("y", build, {"y": 1 - Y[:80]}),
        ("x", build, {"x": X[:80] * 2}),
        ("validation_data", build, {"validation_data": (X[70:], Y[70:])}),
        ("batch_size", build, {"batch_size": 16}),
        ("shuffle", build, {"shuffle": False}),
        ("callbacks", build, {"callbacks": [keras.callbacks.EarlyStopping(patience=3)]}),
    ],
)
def test_another_search_under_the_same_name_is_refused(done, changed, hypermodel, options):
    with pytest.raises(BadInput, match=f"^{changed} was .* and is now"):
        search(make(done, hypermodel), **options)


@pytest.mark.parametrize(("first", "second"), [((), ("wide",)), (("wide",), ())])
def test_a_hyperparameter_added_or_removed_makes_another_search(tmp_path, first, second):
    search(make(tmp_path, functools.partial(build, declare=first)))
    with pytest.raises(BadInput, match="^hyperparameter wide was .* and is now"):
        make(tmp_path, functools.partial(build, declare=second))


def test_the_same_search_is_resumed(done):
    """By then, models have other names, and the data are another copy."""
    build(keras_tuner.HyperParameters())
    tuner = make(done)
    before = outcome(tuner)
    assert outcome(search(tuner, x=X[:80].copy())) == before and len(before) == 5


def drawing(hp):
    model = build(hp)
    model.add(keras.layers.Dropout(0.1, seed=np.random.randint(2**30)))
    model.compile("sgd", "mse")
    return model


def test_a_search_whose_build_draws_is_resumed(tmp_path):
    """The user's own random draws are not affected."""
    for seed in range(2):
        np.random.seed(seed)
        tuner = make(tmp_path, drawing, "loss", max_epochs=1)
        assert np.random.randint(1000) == np.random.RandomState(seed).randint(1000)
        search(tuner, y=np.ones((80, 2)), validation_data=None)
    assert len(tuner.oracle.trials) == 1


def test_progress_is_printed_unless_silence_is_asked_for(tmp_path, capsys):
    search(make(tmp_path / "a"), verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("p: 5 trials, 7 epochs, in ")
    assert len([line for line in lines if re.match(r"[1-5]/5  trial ", line)]) == 5
    search(make(tmp_path / "b"), verbose=0)
    assert capsys.readouterr().out == ""


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


def test_workers_use_the_backend_of_an_already_imported_keras(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "KERAS_HOME": str(tmp_path)}
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
    model = build(hp)
    assert model.layers[0].compute_dtype == "bfloat16"
    return model


def test_global_keras_settings_reach_the_workers(tmp_path):
    epsilon = keras.config.epsilon()
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_epsilon(1e-5)
    try:
        tuner = search(make(tmp_path, half, max_epochs=1))
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_epsilon(epsilon)
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}


def test_warm_models_are_limited_by_bytes(monkeypatch, tmp_path):
    model = build(keras_tuner.HyperParameters())
    model.optimizer.build(model.trainable_variables)
    monkeypatch.setattr(job, "WARM", 3 * job._size(model))
    objective = keras_tuner.Objective("loss", "min")
    shared = job.Search(None, None, objective, X, Y, {})
    for i in range(5):
        (tmp_path / str(i)).mkdir()
        trial = job.Job({}, tmp_path / str(i), None, 0, 1, 0, resumable=True)
        job._save_outputs(shared, trial, model, job.BestEpoch(objective))
    assert [path.name for path in shared.warm] == ["2", "3", "4"]


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
    shared = job.Search(hypermodel, None, objective, X, Y, options)
    histories = []
    for i, parent in enumerate((None, tmp_path / "0")):
        (tmp_path / str(i)).mkdir()
        config = {"space": [], "values": {"units": 4}}
        trial = job.Job(config, tmp_path / str(i), parent, i, i + 1, 0, resumable=True)
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


def test_a_build_that_returns_no_model_is_refused_before_the_first_trial(tmp_path):
    with pytest.raises(TypeError, match="must return a compiled keras.Model. Received: 3"):
        make(tmp_path, lambda hp: 3)


@pytest.mark.parametrize(
    ("objective", "direction"),
    [("val_mae", "min"), ("val_mean_squared_error", "min"), ("loss", "min"), ("val_auc", "max")],
)
def test_the_direction_is_that_of_the_stock_class(tmp_path, objective, direction):
    ours = make(tmp_path, objective=objective).oracle.objective
    stock = keras_tuner.Hyperband(build, objective, directory=tmp_path, project_name="stock")
    assert ours == stock.oracle.objective and ours.direction == direction


@pytest.mark.parametrize("objective", ["val_mine", "val_f1_score", ["loss", "val_mine"]])
def test_a_name_of_unknown_direction_is_refused(tmp_path, objective):
    """KerasTuner would look for the smallest F1 score."""
    with pytest.raises(BadInput, match=r"objective: 'val_\w+' .* keras_tuner.Objective\('val_"):
        make(tmp_path, objective=objective)


def test_several_objectives(tmp_path):
    tuner = search(make(tmp_path, objective=["val_loss", "val_accuracy"]))
    best = tuner.winner()
    values = {name: best.metrics.get_last_value(name) for name in ("val_loss", "val_accuracy")}
    assert best.score == pytest.approx(values["val_loss"] - values["val_accuracy"])


def test_an_objective_that_no_trial_logs_ends_the_search_at_once(tmp_path):
    tuner = make(tmp_path, objective=keras_tuner.Objective("val_f1", "max"), workers=1)
    with pytest.raises(BadInput, match="objective: expected one of accuracy, loss, val_accuracy"):
        search(tuner)
    assert [t.status for t in tuner.oracle.trials.values()] == ["RUNNING"]
    assert len(search(make(tmp_path)).results()) == 5  # the same name, and a right objective


@pytest.fixture(scope="module")
def deep_search(tmp_path_factory):
    return search(make(tmp_path_factory.mktemp("deep"), deep, max_epochs=4, workers=1))


def test_late_hyperparameters_are_drawn_alike(deep_search, tmp_path):
    """Also with another number of workers and after an interruption."""
    expected = outcome(deep_search)
    events = []

    def stop():
        events.append(1)
        if len(events) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(make(tmp_path, deep, max_epochs=4, workers=2, callback=stop))
    assert outcome(search(make(tmp_path, deep, max_epochs=4, workers=2))) == expected


def test_late_hyperparameters_are_drawn_from_the_first_trial_on(deep_search):
    values = [t.hyperparameters.values for t in deep_search.oracle.trials.values()]
    for each in values:
        assert {f"units_{i}" for i in range(each["layers"])} <= each.keys()
    later = [v for each in values for name, v in each.items() if re.match("units_[1-4]", name)]
    assert len(set(later)) > 5 and later.count(2) <= 1  # 2 is the default


@pytest.mark.parametrize("keep", [2, "all"])
def test_the_best_models_can_be_loaded(tmp_path, keep):
    tuner = search(make(tmp_path, keep_checkpoints=keep))
    count = 5 if keep == "all" else keep
    models = tuner.get_best_models(count)
    assert len(models) == count
    for model, trial in zip(models, tuner.ranked()):
        score = model.evaluate(*DATA["validation_data"], verbose=0)[1]
        assert score == pytest.approx(trial.score)


@pytest.mark.parametrize("wrong", ["All", -1, 2.0])
def test_how_many_checkpoints_to_keep_is_checked_before_the_first_trial(tmp_path, wrong):
    with pytest.raises(BadInput, match=f"keep_checkpoints: .* or 'all', got {wrong!r}"):
        make(tmp_path, keep_checkpoints=wrong)


def test_no_time_means_no_trial(tmp_path):
    tuner = search(make(tmp_path), timeout=0)
    assert outcome(tuner) == {} and not tuner.finished()
    table = tuner.results()
    assert len(table) == 0 and {"trial", "score", "status"} < set(table)
    with pytest.raises(BadInput, match="timeout: expected at least 0 seconds, got -1"):
        search(tuner, timeout=-1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 0),
        ("max_epochs", 2.5),
        ("factor", 1),
        ("hyperband_iterations", 0),
        ("seed", None),
        ("seed", -1),
        ("workers", -1),
        ("workers", "2"),
        ("max_trials", 0),
        ("keep_checkpoints", "all of them"),
        ("keep_checkpoints", None),
    ],
)
def test_impossible_numbers_are_refused(tmp_path, name, value):
    with pytest.raises(BadInput, match=f"^{name}: expected a whole number of at least .*, got "):
        make(tmp_path, **{name: value})
    assert not (tmp_path / "p").exists()


def test_numbers_may_be_numpys(tmp_path):
    names = ("max_epochs", "factor", "hyperband_iterations", "seed", "max_trials")
    values = {name: np.int64(value) for name, value in zip(names, (2, 2, 1, 3, 1))}
    assert len(outcome(search(make(tmp_path, **values)))) == 1


def test_a_search_without_a_trial_has_an_empty_table(tmp_path):
    table = search(make(tmp_path), timeout=0).results()
    assert table.empty and list(table.columns[:2]) == ["trial", "bracket"]


@pytest.mark.parametrize("callbacks", [None, keras.callbacks.TerminateOnNaN()], ids=["none", "one"])
def test_callbacks_are_passed_as_to_fit(tmp_path, callbacks):
    tuner = search(make(tmp_path, max_epochs=1), callbacks=callbacks)
    assert [t.status for t in tuner.oracle.trials.values()] == ["COMPLETED"]


class OwnLoop(keras_tuner.HyperModel):
    """Has its own training loop, which ignores the callbacks of the search."""

    def __init__(self, returns):
        super().__init__()
        self.returns = returns

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, x, y, **kwargs):
        history = keras.callbacks.History()
        history.history = {"loss": [3.0, 2.0, 1.0], "val_accuracy": [0.5, 0.75, 0.25]}
        return self.returns(history)


@pytest.mark.parametrize(
    ("returns", "score"),
    [
        (lambda history: history, 0.75),
        (lambda history: [history, {"val_accuracy": 0.25}, 0.5], 0.5),
        (lambda history: np.float32(0.5), 0.5),
    ],
    ids=["history", "list", "number"],
)
def test_a_custom_fit_may_return_all_that_the_stock_class_accepts(tmp_path, returns, score):
    tuner = search(make(tmp_path, OwnLoop(returns), max_epochs=1))
    assert [t.score for t in tuner.oracle.trials.values()] == [score]


def test_a_fit_that_returns_nothing_is_refused(tmp_path):
    with pytest.raises(RunFailed, match="fit must return a History.* Received: None"):
        search(make(tmp_path, OwnLoop(lambda history: None), max_epochs=1))


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    """The workers were started by an earlier search, elsewhere."""
    search(make(tmp_path / "first", max_epochs=1))
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    tuner = make("results", max_epochs=1)
    monkeypatch.chdir(tmp_path)
    search(tuner)
    assert len(tuner.get_best_models()) == 1
    assert (tmp_path / "a/results/p/trial_0000/history.csv").exists()


class Tensor:
    """Like PyTorch's: an array only once it is detached and on the CPU."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return SimpleNamespace(cpu=lambda: X)


def test_a_tensor_with_a_gradient_has_a_fingerprint():
    assert fingerprint.of(Tensor()) == fingerprint.of(X)


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(units), keras.layers.Dense(2)

    def call(self, x):
        return self.out(self.hidden(x))


def subclassed(hp):
    model = Subclassed(hp.Int("units", 2, 9))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def test_the_best_models_of_a_subclass_can_be_loaded(tmp_path):
    tuner = search(make(tmp_path, subclassed))
    (model,) = tuner.get_best_models()
    score = model.evaluate(*DATA["validation_data"], verbose=0)[1]
    assert score == pytest.approx(tuner.winner().score)
