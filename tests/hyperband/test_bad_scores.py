"""Scores that are NaN or infinite."""

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.hyperband import Hyperband

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
