"""What is recorded of a trial is what `build` was given: no more, no less, and no other value."""

import copy
import json

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import files
from shared_keras.hyperband import table
from shared_keras.hyperband.decisions import drawn
from tests.hyperband.small_search import DATA, make, outcome, search
from tests.shares import dealt


def dense(units):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(units), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def two_scopes(hp):
    kind = hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        if kind == "a":
            units = hp.Int("units", 2, 8, step=6)
    with hp.conditional_scope("kind", ["b"]):
        if kind == "b":
            units = hp.Int("units", 20, 30, step=10)
    return dense(units)


def two_parents(hp):
    """The same with `parent_name`, the other way round: what is active comes last."""
    hp.Choice("kind", ["a", "b"])
    wide = hp.Int("units", 20, 30, step=10, parent_name="kind", parent_values=["b"])
    narrow = hp.Int("units", 2, 8, step=6, parent_name="kind", parent_values=["a"])
    return dense(wide or narrow)


def passed_over(hp):
    if hp.Boolean("deep"):
        return dense(3)
    return dense(hp.Int("units", 20, 30, step=10))


def choices(hp):
    """A name whose values in one scope mean nothing in the other."""
    kind = hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        if kind == "b":
            units = {"few": 2, "more": 3}[hp.Choice("size", ["few", "more"])]
    with hp.conditional_scope("kind", ["a"]):
        if kind == "a":
            units = {"many": 20, "most": 30}[hp.Choice("size", ["many", "most"])]
    return dense(units)


def scope_in_scope(hp):
    """What there is to learn under a condition depends on a value that it brings in."""
    kind, units = hp.Choice("kind", ["a", "b"]), 2
    with hp.conditional_scope("kind", ["b"]):
        layers = hp.Int("layers", 1, 30)
        if kind == "b":
            units += sum(hp.Int(f"units_{i}", 1, 2) for i in range(layers))
    return dense(units)


def read_anyhow(hp):
    """`values` is public, too."""
    hp.Int("first", 1, 9, default=2), hp.Int("second", 1, 2), hp.Int("third", 1, 2)
    values = hp.values | {"first": 1}
    return dense(values["first"] + hp["second"] + dict(**hp.values)["third"])


def logged(hp):
    """What writes all values down, or copies them, asks for none."""
    hp.copy(), copy.deepcopy(hp), hp.values.copy(), json.dumps(hp.values)
    dict(**hp.values), hp.values | {}, list(hp.values.items()), [*hp.values], [*hp.values.values()]
    return passed_over(hp)


def scope_beside_scope(hp):
    """A scope that the code comes upon only under the condition of another."""
    if hp.Choice("kind", ["a", "b"], default="b") == "b":
        with hp.conditional_scope("kind", ["a"]):
            return dense(2)
    size = hp.Choice("size", ["few", "more"])
    with hp.conditional_scope("size", ["more"]):
        return dense((hp.Int("units", 20, 30) if size == "more" else None) or 3)


def never_met(hp):
    if hp.Choice("kind", ["a", "b"]) == "a":
        with hp.conditional_scope("kind", ["b"]):
            hp.Int("units", 20, 30)
    return dense(3)


SPACES = [two_scopes, two_parents, passed_over, choices, scope_in_scope, read_anyhow, logged]
SPACES += [scope_beside_scope]
OFTEN = [passed_over, scope_in_scope]  # two_scopes is trained below
KNOWN = [{"deep": True}, {"deep": True, "units": 30}, {"deep": False}]
TRY_FIRST = {passed_over: KNOWN, logged: KNOWN}


def asked(build, values):
    """Return what a hypermodel is given if these are its values, and the model."""
    given = keras_tuner.HyperParameters()
    given.values = dict(values)
    model = build(given)
    names = {each.name for each in given.space if given.is_active(each)}
    return {name: given.values[name] for name in names}, model


class Scored(keras_tuner.HyperModel):
    """Scores models without training them, which takes no time."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def build(self, hp):
        return self.make(hp)

    def fit(self, hp, model, *args, **options):
        return {"score": float(model.count_params())}


def scored(folder, build, **options):
    objective = keras_tuner.Objective("score", "max")
    options = {"hyperband_iterations": 2, "keep_checkpoints": "all"} | options
    return make(folder, Scored(build), objective, **options)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("build", dealt(SPACES, OFTEN), ids=lambda build: build.__name__)
def test_what_is_recorded_is_what_build_was_given(tmp_path, build):
    """The same seed gives the same record, also after an interruption; the weights fit it."""
    tried = {"try_first": TRY_FIRST.get(build, ())}
    tuner = search(scored(tmp_path / "1", build, **tried))
    first = outcome(tuner)
    assert len(first) == 10 and {status for status, *_ in first.values()} == {"COMPLETED"}
    search(scored(tmp_path / "2", build, **tried, max_trials=4))
    assert outcome(search(scored(tmp_path / "2", build, **tried))) == first
    states = [files.read_json(tmp_path / name / "p/oracle.json") for name in "12"]
    assert len({json.dumps(state["known_first"]) for state in states}) == 1
    assert len({json.dumps(sorted(state["tried_so_far"])) for state in states}) == 1
    for trial, model in zip(tuner.ranked(), tuner.get_best_models(len(first))):
        recorded = table.without_bookkeeping(trial.hyperparameters.values)
        given, rebuilt = asked(build, recorded)
        assert recorded == given
        assert model.count_params() == rebuilt.count_params() == trial.score


@pytest.mark.long(only=True)
def test_a_search_over_two_scopes_is_trained_and_extended(tmp_path):
    search(make(tmp_path, two_scopes, max_trials=3))
    tuner = search(make(tmp_path, two_scopes))
    assert outcome(tuner) == outcome(search(make(tmp_path / "at once", two_scopes)))
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    score = tuner.get_best_models()[0].evaluate(*DATA["validation_data"], verbose=0)[1]
    assert score == pytest.approx(tuner.winner().score)


@pytest.mark.parametrize("build, found", [(scope_beside_scope, 3), (never_met, 2)])
def test_a_search_space_is_learnt_in_finite_time(tmp_path, build, found):
    """And so far as there are values with which the code comes upon it."""
    known = scored(tmp_path, build, max_trials=1).oracle.get_space()
    assert len(known.space) == found


class AsksInFit(keras_tuner.HyperModel):
    def build(self, hp):
        return dense(hp.Int("units", 2, 8, step=6))

    def fit(self, hp, model, *args, **options):
        batch_size = hp.Choice("batch_size", [8, 16])
        if batch_size == 16:
            assert hp.get("momentum") is not None
        return model.fit(*args, **options, batch_size=batch_size)


def test_what_is_read_from_a_copy_was_asked_for():
    hp = drawn.of({"space": [], "values": {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}}, 0)
    assert hp.values["a"] == hp.values.get("a") == hp["a"] == 1
    assert hp.copy()["b"] == 2 and copy.deepcopy(hp).get("c") == 3 and hp.values.copy()["d"] == 4
    assert hp.given().values == {"a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize("tuned", dealt([True, False], [False]))
def test_what_fit_asks_for_counts_too(tmp_path, tuned):
    """Here with hyperparameters that the user declares, one of which is used by chance alone."""
    known = keras_tuner.HyperParameters()
    known.Choice("batch_size", [8, 16])
    known.Float("momentum", 0.1, 0.9)
    known.Int("nobody asks", 1, 9)
    tuner = search(make(tmp_path, AsksInFit(), hyperparameters=known, tune_new_entries=tuned))
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    recorded = [table.without_bookkeeping(t.hyperparameters.values) for t in tuner.ranked()]
    for values in recorded:
        late = {"momentum"} if values["batch_size"] == 16 else set()
        assert values.keys() == {"units", "batch_size"} | late
    assert {values["batch_size"] for values in recorded} == {8, 16}
    assert tuned or {values["units"] for values in recorded} == {2}


def test_tried_first_in_part_with_new_entries_not_tuned(tmp_path):
    """What is missing is drawn, as it would have been."""
    known = keras_tuner.HyperParameters()
    known.Int("units", 20, 30, step=10), known.Boolean("deep")
    options = {"hyperparameters": known, "tune_new_entries": False}
    tuner = search(scored(tmp_path, passed_over, try_first=[{"deep": False}], **options))
    status, _, values = outcome(tuner)["0000"]
    assert status == "COMPLETED" and values["units"] in (20, 30)


def test_what_is_missing_is_drawn_from_the_range_that_the_user_gave():
    """As everything else is, whatever range `build` declares."""
    known = keras_tuner.HyperParameters()
    known.Int("units", 20, 30, step=10), known.Fixed("deep", False)
    config = known.get_config() | {"values": {"rate": 0.1}}
    for seed in range(20):
        hp = drawn.of(config, seed)
        assert hp.Boolean("deep") is False and hp.Int("units", 2, 500) in (20, 30)


@pytest.mark.long(only=True)
def test_tensorboard_shows_what_was_given(tmp_path):
    pytest.importorskip("tensorboard")
    board = keras.callbacks.TensorBoard(str(tmp_path / "logs"), write_graph=False)
    tuner = search(make(tmp_path, two_scopes, max_epochs=1), callbacks=[board])
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    assert np.all([(tmp_path / "logs" / i).exists() for i in tuner.oracle.trials])
