"""Objectives: names, `keras_tuner.Objective`, several of them, and none."""

import keras
import keras_tuner
import pytest
from keras_tuner.src.engine.objective import MultiObjective

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    TWO,
    VALIDATION,
    X,
    Y,
    build,
    compare,
    make,
    search,
)
from tests.shares import dealt

pytestmark = pytest.mark.long


def test_what_is_no_objective_is_refused(tmp_path):
    for kind, hyperband in CLASSES.items():
        with pytest.raises((TypeError, ValueError), match="objective"):
            make(hyperband, tmp_path / kind, objective=3)


def rise(name):
    return keras_tuner.Objective(name, "max")


OBJECTIVES = {
    "training loss": "loss",
    "one": rise("val_accuracy"),
    "against its nature": rise("val_loss"),
    "names": ["val_loss", "val_accuracy"],
    "objects": [keras_tuner.Objective("val_loss", "min"), rise("val_accuracy")],
    "both": ["val_loss", rise("val_accuracy")],
    "a list of one": ["val_loss"],
    "a MultiObjective": MultiObjective([rise("accuracy"), rise("val_accuracy")]),
}


@pytest.mark.parametrize("name", dealt(OBJECTIVES, ["against its nature", "both"]))
def test_objectives(tmp_path, name):
    objective = OBJECTIVES[name]

    def way(hyperband, folder):
        return search(make(hyperband, folder, objective=objective, schedule=TWO))

    for tuner in compare(way, tmp_path):
        goal = tuner.oracle.objective
        best = tuner.oracle.get_best_trials(2)
        values = [{n: t.metrics.get_best_value(n) for n in t.metrics.metrics} for t in best]
        if isinstance(goal, MultiObjective):
            assert "multi_objective" in values[0]
        assert [t.score for t in best] == [v[goal.name] for v in values]
        assert best[0].score == best[1].score or goal.better_than(best[0].score, best[1].score)


class Custom(keras_tuner.HyperModel):
    """Evaluates its model itself, here by a hyperparameter.

    Args:
        returns: What `fit` returns, given an "accuracy".
    """

    def __init__(self, returns):
        super().__init__()
        self.returns = returns

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        return self.returns(hp.get("rate"))


RETURNS = {
    "float": (None, lambda accuracy: 1 - accuracy),
    "int": (None, lambda accuracy: int(100 * accuracy)),
    "float of an objective": (rise("mine"), lambda accuracy: accuracy),
    "dict": (rise("mine"), lambda accuracy: {"mine": accuracy, "other": 3}),
    "default objective": (None, lambda accuracy: {"default_objective": 1 - accuracy}),
}


@pytest.mark.parametrize("name", RETURNS)
def test_the_objective_may_be_what_fit_returns(tmp_path, name):
    objective, returns = RETURNS[name]

    def way(hyperband, folder):
        return search(make(hyperband, folder, Custom(returns), objective, TWO))

    compare(way, tmp_path)


@pytest.mark.parametrize(
    ("objective", "returns"),
    [
        (None, lambda accuracy: {"mine": accuracy}),
        ("val_loss", lambda accuracy: {"mine": accuracy}),
        ("val_loss", lambda accuracy: "good"),
        ("val_loss", lambda accuracy: None),
        (None, None),
    ],
    ids=["no float", "not the objective", "string", "nothing", "history"],
)
def test_results_that_hold_no_objective_end_the_search(tmp_path, objective, returns):
    hypermodel = build if returns is None else Custom(returns)
    for kind, hyperband in CLASSES.items():
        tuner = make(hyperband, tmp_path / kind, hypermodel, objective)
        with pytest.raises((TypeError, ValueError)):
            tuner.search(X, Y, validation_data=VALIDATION, verbose=0)


def own_metric(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_pred[:, 0] - keras.ops.cast(y_true, "float32")))


class Shortfall(keras.metrics.Metric):
    """A metric with a state of its own, as in the guide's example of an objective."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(keras.ops.sum(1 - keras.ops.max(y_pred, axis=-1)))

    def result(self):
        return self.total + 0.0  # a tensor, not the variable


def test_metrics_of_ones_own(tmp_path):
    def hypermodel(hp):
        model = build(hp)
        metrics = [own_metric, Shortfall(name="shortfall")]
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
        return model

    def way(hyperband, folder):
        objective = [keras_tuner.Objective(f"val_{n}", "min") for n in ("own_metric", "shortfall")]
        return search(make(hyperband, folder, hypermodel, objective))

    compare(way, tmp_path)
