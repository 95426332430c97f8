"""Constraints: a hypermodel rejects settings, and others are drawn in their place."""

import keras_tuner
import pytest
from keras_tuner.errors import FailedTrialError

from tests.hyperband.small_search import build, make, outcome, search


def not_the_default(hp):
    width, depth = hp.Int("width", 1, 9), hp.Int("depth", 1, 9)
    if hp.Choice("kind", ["plain", "wide"]) == "wide":
        hp.Int("factor", 1, 9)
    if width * depth < 3:
        raise FailedTrialError("too small")
    return build(hp)


@pytest.mark.long(only=True)
def test_the_default_setting_may_be_rejected(tmp_path):
    """The stock class does not even start."""
    with pytest.raises(FailedTrialError):
        keras_tuner.Hyperband(not_the_default, "val_accuracy", directory=tmp_path / "stock")
    tuner = make(tmp_path, not_the_default, max_epochs=4)
    assert {"width", "depth", "kind"} <= {hp.name for hp in tuner.oracle.get_space().space}
    expected = outcome(search(tuner))
    assert {status for status, _, _ in expected.values()} == {"COMPLETED"}
    assert all(values["width"] * values["depth"] >= 3 for _, _, values in expected.values())
    assert outcome(search(make(tmp_path, not_the_default, max_epochs=4))) == expected


def late(hp):
    """A hypermodel that rejects what it declares late; nothing of that with the defaults."""
    if hp.Int("number", 1, 10**6) > 1 and hp.Int("late", 1, 4) > 1:
        raise FailedTrialError("too large")
    return build(hp)


def test_late_hyperparameters_of_a_rejected_trial_are_drawn_again(tmp_path):
    trials = outcome(search(make(tmp_path, late)))
    assert {status for status, _, _ in trials.values()} == {"COMPLETED"}
    assert {values["late"] for _, _, values in trials.values()} == {1}
    assert len(trials) == 5
