"""What the tuner and its search are told: numbers, limits, callbacks."""

import re

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import BadInput
from shared_keras.hyperband.decisions.oracle import Oracle
from tests.hyperband.small_search import X, Y, build, make, outcome, search


@pytest.mark.long(only=True)
def test_progress_is_printed_unless_silence_is_asked_for(tmp_path, capsys):
    search(make(tmp_path / "a"), verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("p: 5 trials, 7 epochs, on JAX, in ")
    assert len([line for line in lines if re.match(r"[1-5]/5  trial ", line)]) == 5
    search(make(tmp_path / "b"), verbose=0)
    assert capsys.readouterr().out == ""


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
        ("hyperband_iterations", 0),
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


@pytest.mark.parametrize("wrong", [1, 1.9, float("nan"), float("inf"), "3", None])
def test_an_impossible_factor_is_refused(tmp_path, wrong):
    with pytest.raises(BadInput, match=f"^factor: expected a number of at least 2, got {wrong!r}"):
        make(tmp_path, factor=wrong)


@pytest.mark.parametrize("wrong", [1.5, "1", float("nan")])
def test_an_impossible_seed_is_refused(tmp_path, wrong):
    with pytest.raises(BadInput, match=f"^seed: expected a whole number or None, got {wrong!r}"):
        make(tmp_path, seed=wrong)


@pytest.mark.long(only=True)
def test_a_seed_may_be_negative(tmp_path):
    """It is a seed like any other, here with folds, and not that of its positive namesake."""
    data = {"x": X, "y": Y, "validation_data": None}
    options = {"folds": 2, "max_epochs": 1}
    found = [
        outcome(search(make(tmp_path / str(i), seed=seed, **options), **data))
        for i, seed in enumerate((-1, -1, 1))
    ]
    assert found[0] == found[1] != found[2]
    assert outcome(make(tmp_path / "0", seed=-1, **options)) == found[0]


def test_a_factor_need_not_be_whole(tmp_path):
    tuner = make(tmp_path, max_epochs=10, factor=np.float32(2.5), max_trials=2)
    plan = [
        (rung.bracket, rung.trials, rung.initial_epoch, rung.epochs)
        for rung in tuner.oracle.rungs.values()
    ]
    top = [(2, 9, 0, 2), (2, 4, 2, 4), (2, 2, 4, 10)]
    assert plan == [*top, (1, 5, 0, 4), (1, 2, 4, 10), (0, 4, 0, 10)]
    first = outcome(search(tuner))
    assert outcome(make(tmp_path, max_epochs=10, factor=2.5, max_trials=2)) == first
    assert len(first) == 2


def test_every_factor_gives_the_plan_of_the_stock_class():
    for factor in np.linspace(2, 9, 50):
        for epochs in (1, 2, 7, 30, 81):
            numbers = {"max_epochs": epochs, "factor": float(factor)}
            stock = keras_tuner.oracles.HyperbandOracle("val_loss", **numbers)
            rungs = list(Oracle("val_loss", seed=0, **numbers).rungs.values())
            assert sum(rung.key[1] == 0 for rung in rungs) == stock._get_num_brackets()
            for rung in rungs:
                where = rung.bracket, rung.key[1]
                assert rung.trials == stock._get_size(*where)
                assert rung.epochs == stock._get_epochs(*where) > rung.initial_epoch


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
    with pytest.raises(TypeError, match=r"return value of HyperModel.fit\(\) is None"):
        search(make(tmp_path, OwnLoop(lambda history: None), max_epochs=1))


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
    with pytest.raises(
        BadInput, match=r"objective: Could not .* 'val_\w+'; expected keras_tuner.Objective\('val_"
    ):
        make(tmp_path, objective=objective)


def test_several_objectives(tmp_path):
    tuner = search(make(tmp_path, objective=["val_loss", "val_accuracy"]))
    best = tuner.winner()
    values = {name: best.metrics.get_last_value(name) for name in ("val_loss", "val_accuracy")}
    assert best.score == pytest.approx(values["val_loss"] - values["val_accuracy"])


@pytest.mark.long(only=True)
def test_an_objective_that_no_trial_logs_ends_the_search_at_once(tmp_path):
    tuner = make(tmp_path, objective=keras_tuner.Objective("val_f1", "max"), workers=1)
    with pytest.raises(BadInput, match="objective: expected one of accuracy, loss, val_accuracy"):
        search(tuner)
    assert [t.status for t in tuner.oracle.trials.values()] == ["RUNNING"]
    assert len(search(make(tmp_path)).results()) == 5  # the same name, and a right objective


def test_what_to_try_first_may_be_what_another_search_found(tmp_path):
    found = keras_tuner.HyperParameters()
    found.values = {"units": 7, "tuner/epochs": 2}
    for given, expected in (([found, {"units": 8}], [{"units": 7}, {"units": 8}]), (None, [])):
        assert make(tmp_path, try_first=given).oracle.try_first == expected


@pytest.mark.parametrize("wrong", [{"units": 7}, "best", [7], 7])
def test_what_cannot_be_tried_first_is_refused(tmp_path, wrong):
    with pytest.raises(BadInput, match="^try_first: expected a list of dicts of hyperparameters"):
        make(tmp_path, try_first=wrong)
