"""A search as plain rows."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_keras.hyperband import Hyperband
from shared_keras.reporting import search_report
from shared_keras.results import trials


@given(st.lists(st.sampled_from(["hp/", "score", "epochs", "rate"]), max_size=4).map("".join))
def test_columns_of_hyperparameters_are_their_own(name):
    """Whatever their names, even the name of another's column."""
    assert trials.column(name) not in trials.COLUMNS
    others = {name[i:] for i in range(len(name) + 1)} | {f"hp/{name}"}
    columns = [trials.column(other) for other in others]
    assert len(set(columns)) == len(columns)


@pytest.mark.long(only=True)
def test_hyperparameters_may_be_called_as_columns_are(tmp_path):
    tuner = Hyperband(odd_names, "val_loss", max_epochs=4, factor=2, directory=tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 4))
    table = tuner.search(x, x[:, :1], validation_data=(x, x[:, :1]), verbose=0).results()
    assert {"score", "hp/score", "epochs", "hp/epochs"} <= set(table)
    best = tuner.winner()
    assert table["score"][0] == best.score
    assert table["hp/score"][0] == best.hyperparameters.get("score")
    assert set(table["epochs"]) == {1, 2, 4} and min(table["hp/epochs"]) >= 100
    assert search_report.draw(tmp_path, tuner.state(), tuner.axes(), "mine", None) == []
    assert (tmp_path / "parallel.png").exists() and (tmp_path / "importance.png").exists()


def test_a_reason_is_short_and_without_the_codes_of_a_terminal():
    """Keras colours what it says of a layer, and lists all weights of it."""
    error = "ValueError: Exception encountered when calling \x1b[1mDense.call()\x1b[0m."
    assert trials.last_line(f"Traceback\n{error}\n") == error.replace("\x1b[1m", "").replace(
        "\x1b[0m", ""
    )
    long = trials.last_line("Traceback\nValueError: " + 2000 * "no ")
    assert len(long) <= 300 and long.startswith("ValueError: no no") and long.endswith("no…")


def odd_names(hp):
    rate = hp.Float("score", 1e-3, 1e-1, sampling="log")
    hp.Int("epochs", 100, 900)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model
