"""Every argument of the constructor, with the meaning that it has in the stock class."""

import contextlib
import inspect
import json

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.hyperband import Hyperband
from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    ONE,
    build,
    compare,
    make,
    search,
)

pytestmark = pytest.mark.long


def test_the_arguments_are_those_of_the_stock_class_in_the_same_order():
    stock = _arguments(keras_tuner.Hyperband)
    ours = _arguments(Hyperband)
    assert [name for name in ours if name in stock] == list(stock)
    assert list(ours)[: len(stock)] == list(stock)
    assert {name: ours[name] for name in stock} == stock


def _arguments(kind) -> dict:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


def test_each_argument_of_the_base_class_may_have_its_default(tmp_path):
    defaults = _arguments(keras_tuner.Tuner)
    del defaults["oracle"], defaults["hypermodel"]
    for project, hyperband in CLASSES.items():
        named = {"directory": tmp_path, "project_name": project}
        tuner = hyperband(build, "val_loss", **(defaults | named))
        assert all(hasattr(tuner, name) for name in defaults.keys() - {"overwrite"})


def test_all_by_position(tmp_path):
    def way(hyperband, folder):
        space = keras_tuner.HyperParameters()
        space.Int("units", 2, 9)
        given = (build, "val_loss", 1, 3, 1, 5, space, True, True, 1, 2)
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


@pytest.mark.parametrize(("fixed", "tune_new_entries"), [(False, False), (True, True)])
def test_hyperparameters_given_beforehand(tmp_path, fixed, tune_new_entries):
    def way(hyperband, folder):
        space = keras_tuner.HyperParameters()
        if fixed:
            space.Fixed("rate", 0.01)
        else:
            space.Choice("rate", [0.5, 0.25])
        given = {"hyperparameters": space, "tune_new_entries": tune_new_entries}
        return search(make(hyperband, folder, **given))

    for tuner in compare(way, tmp_path):
        values = [t.hyperparameters.values for t in tuner.oracle.trials.values()]
        assert {each["rate"] for each in values} <= ({0.01} if fixed else {0.5, 0.25})
        if not tune_new_entries:
            for best in tuner.get_best_hyperparameters():
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
        search(make(hyperband, folder))
        again = make(hyperband, folder, overwrite=overwrite)
        assert len(again.oracle.trials) == (0 if overwrite else 1)
        return search(again)

    compare(way, tmp_path)


def test_executions_per_trial_of_a_compiled_model(tmp_path):
    def way(hyperband, folder):
        return search(make(hyperband, folder, executions_per_trial=2))

    for tuner in compare(way, tmp_path):
        assert isinstance(tuner.get_best_models()[0], keras.Model)


REPLACED = {
    "optimizer": keras.optimizers.RMSprop(0.01),
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_top_k_categorical_accuracy"],
}
TOP = keras_tuner.Objective("val_sparse_top_k_categorical_accuracy", "max")


def test_compile_arguments_of_the_search_win(tmp_path):
    def way(hyperband, folder):
        return search(make(hyperband, folder, objective=TOP, **REPLACED))

    for tuner in compare(way, tmp_path):
        (model,) = tuner.get_best_models()
        assert isinstance(model.optimizer, keras.optimizers.RMSprop)
        assert model.optimizer.learning_rate == np.float32(0.01)


def test_compile_arguments_of_the_search_are_enough(tmp_path):
    """The stock class says so, too, but asks a model that was not compiled for its optimizer."""

    def uncompiled(hp):
        return keras.Sequential(build(hp).layers)

    stock, ours = (
        make(kind, tmp_path / name, uncompiled, TOP, **REPLACED) for name, kind in CLASSES.items()
    )
    assert [str(t.status) for t in search(stock).oracle.trials.values()] == ["FAILED"]
    assert isinstance(search(ours).get_best_models()[0].optimizer, keras.optimizers.RMSprop)


def test_the_id_of_the_tuner_names_its_file(tmp_path):
    def way(hyperband, folder):
        tuner = make(hyperband, folder, tuner_id="mine", project_name="p")
        tuner.save()
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
    inside = False

    @contextlib.contextmanager
    def scope(self):
        outside, self.inside = self.inside, True
        yield
        self.inside = outside


def test_models_are_built_under_a_distribution_strategy(tmp_path):
    def way(hyperband, folder):
        strategy, scopes = Strategy(), []

        def hypermodel(hp):
            scopes.append(strategy.inside)
            return build(hp)

        tuner = search(make(hyperband, folder, hypermodel, distribution_strategy=strategy))
        assert len(scopes) == 2 and scopes[1]
        return tuner

    compare(way, tmp_path)


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
        return search(make(hyperband, folder, hyperband_iterations=2))

    for tuner in compare(way, tmp_path):
        assert len(tuner.oracle.trials) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factor": 1}, "factor"),
        ({"unheard_of": 3}, "unheard_of"),
        ({"hypermodel": "build"}, "hypermodel"),
    ],
    ids=lambda value: str(value),
)
def test_what_the_stock_class_refuses(tmp_path, wrong, message):
    for name, hyperband in CLASSES.items():
        with pytest.raises((TypeError, ValueError), match=message):
            make(hyperband, tmp_path / name, **wrong)
