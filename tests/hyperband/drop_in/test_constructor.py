"""Every argument of the constructor, with the meaning that it has in the stock class."""

import contextlib
import inspect
import json

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.tuner import Tuner

from shared_keras.hyperband import Hyperband
from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    FIVE,
    ONE,
    TWO,
    build,
    compare,
    make,
    note,
    notes,
    search,
)


def test_the_arguments_are_those_of_the_stock_class_in_the_same_order():
    stock = _arguments(keras_tuner.Hyperband)
    ours = _arguments(Hyperband)
    assert [name for name in ours if name in stock] == list(stock)
    assert list(ours)[: len(stock)] == list(stock)
    assert {name: ours[name] for name in stock} == stock


def _arguments(kind) -> dict:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


@pytest.mark.parametrize("name", sorted({*_arguments(Tuner)} - {"oracle", "hypermodel"}))
def test_each_argument_of_the_base_class_may_have_its_default(tmp_path, name):
    default = {name: _arguments(Tuner)[name], "directory": tmp_path}
    for project, hyperband in CLASSES.items():
        tuner = hyperband(build, "val_loss", **(default | {"project_name": project}))
        assert name in ("directory", "project_name", "overwrite") or hasattr(tuner, name)


def test_all_by_position(tmp_path):
    def way(hyperband, folder):
        space = keras_tuner.HyperParameters()
        space.Int("units", 2, 9)
        given = (build, "val_loss", 2, 3, 1, 5, space, True, True, 1, 2)
        return search(hyperband(*given, directory=folder))

    for tuner in compare(way, tmp_path):
        assert tuner.oracle.max_retries_per_trial == 1


def test_the_defaults(tmp_path, monkeypatch):
    def way(hyperband, folder):
        folder.mkdir()
        monkeypatch.chdir(folder)
        tuner = hyperband(build, "val_accuracy", 1)
        assert (folder / "untitled_project").is_dir()
        return search(tuner)

    compare(way, tmp_path)


def test_attributes(tmp_path):
    def way(hyperband, folder):
        given = {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "max_model_size": 10**6}
        tuner = make(hyperband, folder, project_name="mine", executions_per_trial=2, **given)
        assert {name: getattr(tuner, name) for name in given} == given
        assert tuner.executions_per_trial == 2 and tuner.project_name == "mine"
        assert str(tuner.directory) == str(folder) and tuner.remaining_trials is None
        assert tuner.tuner_id == "tuner0" and tuner.logger is None
        assert isinstance(tuner.hypermodel, keras_tuner.HyperModel)
        return tuner

    compare(way, tmp_path)


@pytest.mark.parametrize(
    ("fixed", "tune_new_entries"), [(False, True), (False, False), (True, True), (True, False)]
)
def test_hyperparameters_given_beforehand(tmp_path, fixed, tune_new_entries):
    def way(hyperband, folder):
        space = keras_tuner.HyperParameters()
        if fixed:
            space.Fixed("rate", 0.01)
        else:
            space.Choice("rate", [0.5, 0.25])
        given = {"hyperparameters": space, "tune_new_entries": tune_new_entries}
        return search(make(hyperband, folder, schedule=TWO, **given))

    for tuner in compare(way, tmp_path):
        values = [t.hyperparameters.values for t in tuner.oracle.trials.values()]
        assert {each["rate"] for each in values} <= ({0.01} if fixed else {0.5, 0.25})
        if not tune_new_entries:
            for best in tuner.get_best_hyperparameters(2):
                assert best.get("units") == 2  # the default


def test_no_entries_but_those_given_beforehand(tmp_path):
    def way(hyperband, folder):
        space = keras_tuner.HyperParameters()
        space.Int("units", 2, 9)
        with pytest.raises(RuntimeError, match="`allow_new_entries` is `False`"):
            search(make(hyperband, folder, hyperparameters=space, allow_new_entries=False))
        space.Float("rate", 1e-3, 1e-1)
        return search(make(hyperband, folder, hyperparameters=space, allow_new_entries=False))

    compare(way, tmp_path)


@pytest.mark.parametrize("overwrite", [True, False])
def test_overwrite(tmp_path, overwrite):
    def way(hyperband, folder):
        search(make(hyperband, folder, schedule=TWO))
        again = make(hyperband, folder, schedule=TWO, overwrite=overwrite)
        assert len(again.oracle.trials) == (0 if overwrite else 2)
        return search(again)

    compare(way, tmp_path)


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


def test_executions_per_trial_of_a_compiled_model(tmp_path):
    def way(hyperband, folder):
        return search(make(hyperband, folder, schedule=TWO, executions_per_trial=2))

    for tuner in compare(way, tmp_path):
        assert isinstance(tuner.get_best_models()[0], keras.Model)


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


@pytest.mark.parametrize("compiled", [True, False])
def test_compile_arguments_of_the_search_win(tmp_path, compiled):
    def hypermodel(hp):
        model = build(hp)
        return model if compiled else keras.Sequential(model.layers)

    def way(hyperband, folder):
        given = {
            "optimizer": keras.optimizers.RMSprop(0.01),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["sparse_top_k_categorical_accuracy"],
        }
        objective = keras_tuner.Objective("val_sparse_top_k_categorical_accuracy", "max")
        return search(make(hyperband, folder, hypermodel, objective, **given))

    for tuner in compare(way, tmp_path):
        (model,) = tuner.get_best_models()
        assert isinstance(model.optimizer, keras.optimizers.RMSprop)
        assert model.optimizer.learning_rate == np.float32(0.01)


def test_the_id_of_the_tuner_names_its_file(tmp_path):
    def way(hyperband, folder):
        tuner = search(make(hyperband, folder, tuner_id="mine", project_name="p"))
        assert tuner.tuner_id == "mine" and (folder / "p" / "mine.json").exists()
        return tuner

    compare(way, tmp_path)


def test_a_logger_is_deprecated(tmp_path):
    for name, hyperband in CLASSES.items():
        with pytest.deprecated_call(match="logger"):
            make(hyperband, tmp_path / name, logger=print)


class Strategy:
    """What the tuner uses of a `tf.distribute.Strategy`."""

    extended = object()

    def scope(self):
        return contextlib.nullcontext()


def test_a_distribution_strategy_is_used_or_refused(tmp_path):
    """What cannot mean the same in worker processes is refused, with one sentence."""
    tuner = search(make(keras_tuner.Hyperband, tmp_path, distribution_strategy=Strategy()))
    assert len(tuner.oracle.trials) == 1
    with pytest.raises(ValueError, match="^distribution_strategy: .*workers"):
        make(Hyperband, tmp_path, distribution_strategy=Strategy())


def test_without_a_seed_one_is_drawn_and_recorded(tmp_path):
    def way(hyperband, folder):
        tuners = [make(hyperband, folder / str(i), schedule=ONE | {"seed": None}) for i in range(3)]
        assert len({tuner.oracle.seed for tuner in tuners}) > 1
        tuner = search(tuners[0])
        state = json.loads((folder / "0" / "untitled_project" / "oracle.json").read_text())
        assert state["seed"] == tuner.oracle.seed and isinstance(tuner.oracle.seed, int)
        return search(make(hyperband, folder / "0", schedule=ONE | {"seed": None}))  # resumed

    compare(way, tmp_path)


def test_several_iterations(tmp_path):
    def way(hyperband, folder):
        return search(make(hyperband, folder, schedule=TWO, hyperband_iterations=2))

    for tuner in compare(way, tmp_path):
        assert len(tuner.oracle.trials) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factor": 1}, "factor"),
        ({"unheard_of": 3}, "unheard_of"),
        ({"hypermodel": "build"}, "hypermodel"),
        ({"hypermodel": None}, "hypermodel"),
    ],
    ids=lambda value: str(value),
)
def test_what_the_stock_class_refuses(tmp_path, wrong, message):
    for name, hyperband in CLASSES.items():
        with pytest.raises(ValueError, match=message):
            make(hyperband, tmp_path / name, **wrong)
