"""How a search ends: what it writes, in which order, and what a later showing may believe."""

import io
import json

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st

from shared_keras import plots, runs, search, search_pictures, search_plots, search_report
from shared_keras.tuner import Hyperband
from tests.conftest import MNIST

WORDS = ["--space", "dense", "--max-epochs", "2", "--factor", "2"]  # 5 trials


@pytest.fixture
def user(small_dirs, tmp_path, capsys):
    """Runs `search`; its `folder` is where."""

    class User:
        folder = tmp_path / "mnist" / "searches" / "mine"

        def search(self, *words, code=0):
            places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
            assert search.main(MNIST, [*WORDS, "--name", "mine", *words, *places]) == code
            return "".join(capsys.readouterr())

        def best(self):
            return json.loads((self.folder / "best.json").read_text())

    return User()


def no(*args, **kwargs):
    raise ValueError("no")


def test_a_picture_that_cannot_be_drawn_costs_only_itself(user, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(plots, "search", no)
        out = user.search("--max-trials", "1")
        assert "search.png could not be drawn (ValueError: no)" in out
        assert "Winner: trial 0000" in out and user.best()["trial"] == "0000"
    user.search("--max-trials", "1")
    assert (user.folder / "search.png").exists()


def test_what_a_killed_search_left_undone_is_done(user, monkeypatch):
    """Killed when all trials had ended, and before anything else was written."""
    user.search("--max-trials", "2", "--confirm", "1")
    old = (user.folder / "search.png").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(search_report, "write", no)
        user.search(code=1)
    table = (user.folder / "trials.csv").read_text().splitlines(keepends=True)
    (user.folder / "trials.csv").write_text("".join(table[:-1]))
    out = user.search()
    assert "More trials ended since" in out and "other seeds" not in out
    assert "confirmed" not in user.best() and "confirm.csv" not in out
    assert (user.folder / "search.png").read_bytes() != old
    assert len(pd.read_csv(user.folder / "trials.csv")) == 5


def test_the_winner_of_an_earlier_version_keeps_its_date(user):
    """Until 0.4.0, best.json did not count the trials."""
    user.search("--max-trials", "1")
    best = user.best()
    assert best.pop("trials") == 1
    (user.folder / "best.json").write_text(json.dumps(best, indent=2) + "\n")
    before = (user.folder / "best.json").stat().st_mtime_ns
    user.search("--max-trials", "1")
    assert (user.folder / "best.json").stat().st_mtime_ns == before


def test_a_confirmation_that_cannot_be_read_is_said_in_a_sentence(user):
    user.search("--max-trials", "1", "--confirm", "1")
    (user.folder / "confirm.csv").unlink()
    assert "--confirm writes it again" in user.search("--max-trials", "1", code=2)
    assert "other seeds" in user.search("--max-trials", "1", "--confirm", "1")


def test_the_table_of_a_confirmation_is_written_under_the_lock(user, monkeypatch):
    user.search("--max-trials", "1")
    tried = []

    def write(path, rows, *, real=runs.write_csv):
        if path.name == "confirm.csv":
            with pytest.raises(Timeout):
                FileLock(user.folder / ".lock", timeout=0).acquire()
            tried.append(path)
        real(path, rows)

    monkeypatch.setattr(runs, "write_csv", write)
    user.search("--max-trials", "1", "--confirm", "1")
    assert tried


BAD = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}


class OwnLoop(keras_tuner.HyperModel):
    """Trains by itself, and some of its scores are `bad`."""

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
def test_a_score_that_is_no_number_is_a_failure_in_a_loop_of_ones_own_too(tmp_path, bad):
    objective = keras_tuner.Objective("score", "max")
    tuner = Hyperband(OwnLoop(BAD[bad]), objective, max_epochs=4, factor=2, directory=tmp_path)
    table = tuner.search(np.ones((4, 2)), np.ones((4, 1)), verbose=0).results()
    failed = table.units % 4 == 0
    assert failed.any() and not failed.all()
    assert set(table.status[failed]) == {"FAILED"}
    assert set(table.reason[failed]) == {f"ArithmeticError: score became {bad}"}
    assert set(table.status[~failed]) == {"COMPLETED"}


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("bad", BAD)
def test_pictures_leave_out_scores_that_cannot_be_drawn(tmp_path, bad, direction):
    """As an earlier version may have recorded them."""
    tuner = Hyperband(OwnLoop(0.0), "val_loss", directory=tmp_path)
    tuner.oracle.objective = keras_tuner.Objective("val_loss", direction)
    for i in range(12):
        hp = keras_tuner.HyperParameters()
        hp.values = {"units": i, "tuner/bracket": 0, "tuner/round": 0}
        hp.values |= {"tuner/initial_epoch": 0, "tuner/epochs": 1}
        trial = keras_tuner.engine.trial.Trial(hp, f"{i:04d}", "COMPLETED")
        trial.score = BAD[bad] if i == 3 else float(i)
        tuner.oracle.trials[trial.trial_id] = trial
    said = []
    search_pictures.write(tuner, tmp_path, said.append)
    assert not said and {path.name for path in tmp_path.glob("*.png")} == set(
        search_report.PICTURES
    )


@pytest.mark.parametrize(
    "values",
    [[True, False], [True, None], ["a", None], [1, 2.5, None], [1, "a", 2.5, None], [0.1, 10]],
    ids=str,
)
def test_pictures_of_any_kind_of_hyperparameter(values):
    n = 24
    table = pd.DataFrame({"epochs": 1, "score": np.arange(n) / n, "rate": np.arange(1, n + 1)})
    table["kind"] = pd.Series([values[i % len(values)] for i in range(n)], dtype=object)
    names = ["kind", "rate"]
    objective = keras_tuner.Objective("val_loss", "min")
    draw = search_plots.parallel_coordinates
    for figure in (
        search_plots.importance_figure(search_plots.importance(table, names), "a search"),
        draw(table, names, set(), objective, "a search"),
        draw(table.infer_objects(), names, {"rate"}, objective, "a search"),
    ):
        figure.savefig(io.BytesIO(), format="png")


@given(st.lists(st.sampled_from(["hp/", "score", "epochs", "rate"]), max_size=4).map("".join))
def test_columns_of_hyperparameters_are_their_own(name):
    """Whatever they are called, also as the column of another."""
    assert search_report.column(name) not in search_report.COLUMNS
    others = {name[i:] for i in range(len(name) + 1)} | {f"hp/{name}"}
    columns = [search_report.column(other) for other in others]
    assert len(set(columns)) == len(columns)


def test_a_timeout_before_the_first_trial_is_said_in_a_sentence(user, monkeypatch):
    """As where processes take longer to start; the same command goes on from there."""
    real = Hyperband.search
    with monkeypatch.context() as patch:
        patch.setattr(Hyperband, "search", lambda *args, **words: real(*args, **words | ZERO))
        said = user.search("--timeout", "1", "--max-trials", "1", code=1)
    assert said.strip().endswith("error: no trial completed; time was up")
    assert "Traceback" not in said and not (user.folder / "best.json").exists()
    assert "Winner: trial 0000" in user.search("--max-trials", "1")


ZERO = {"timeout": 0}
