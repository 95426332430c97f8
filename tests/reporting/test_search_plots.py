"""Pictures of searches, including odd ones."""

import io

import numpy as np
import pandas as pd
import pytest

from shared_keras.reporting import search_plots
from shared_keras.results.trials import PICTURES, SearchState, TrialRow


def state(scores, direction="max", values=lambda i: {"units": i}, names=None):
    """Return a search of trials with these scores, one of which may be None."""
    names = names or [f"{i:04d}" for i in range(len(scores))]
    rows = [
        TrialRow(name, 0, 0, 0, 1, None, score, 1.0, "COMPLETED", None, values(i))
        for i, (name, score) in enumerate(zip(names, scores, strict=True))
    ]
    return SearchState("val_loss", direction, rows, names, rows, {}, [], True)


def test_a_trial_that_stands_in_for_a_failed_one_is_drawn():
    stand_in = state([None, 0.5, 0.6], names=["0000", "0000-1", "0001"])
    figure = search_plots.search(stand_in, "a search")
    assert len(figure.axes[0].collections[0].get_offsets()) == 2


def test_a_picture_that_cannot_be_drawn_costs_only_itself(tmp_path, monkeypatch):
    def fail(*args):
        raise ValueError("no")

    monkeypatch.setattr(search_plots, "search", fail)
    notes = search_plots.write(tmp_path, state(np.arange(12.0)), {"units": False})
    assert notes == ["note: search.png could not be drawn (ValueError: no)"]
    written = {path.name for path in tmp_path.iterdir()}
    assert written == set(PICTURES) - {"search.png"}


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_pictures_leave_out_scores_that_cannot_be_drawn(tmp_path, bad, direction):
    """An earlier version may have recorded such scores."""
    odd = state([0.0, 1.0, 2.0, bad, *np.arange(4.0, 12)], direction)
    assert search_plots.write(tmp_path, odd, {"units": False}) == []
    assert {path.name for path in tmp_path.iterdir()} == set(PICTURES)


@pytest.mark.parametrize(("trials", "written"), [(7, 1), (8, 3)])
def test_hyperparameters_are_pictured_after_enough_trials(tmp_path, trials, written):
    search_plots.write(tmp_path, state(np.arange(trials) / 10), {"units": False})
    assert len(list(tmp_path.iterdir())) == written


def results(n=60, seed=0):
    """Trials whose score depends only on `rate` and the epochs."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "epochs": rng.choice([1, 2, 4], n),
            "rate": 10 ** rng.uniform(-4, -1, n),
            "units": rng.integers(10, 100, n),
            "kind": rng.choice(["relu", "tanh"], n),
        }
    )
    table["deep"] = pd.Series(rng.integers(1, 9, n)).where(rng.random(n) < 0.5)
    table["score"] = -np.abs(np.log10(table.rate) + 2) / 10 + table.epochs / 20
    return table


NAMES = ["units", "kind", "deep", "rate"]


@pytest.mark.parametrize("seed", range(3))
def test_importance_finds_what_matters(seed):
    found = search_plots.importance(results(seed=seed), NAMES)
    assert found.index[0] == "rate" and list(found.index[found.low > 0]) == ["rate"]


def test_importance_finds_nothing_in_noise():
    """Not even if promoted settings fill several rows with similar scores."""
    found = 0
    for seed in range(20):
        table = results(30, seed)
        table["score"] = np.random.default_rng(seed).normal(size=30)
        table = pd.concat([table, table.assign(epochs=9, score=table.score + 0.01)])
        table = table.reset_index(drop=True)
        found += (search_plots.importance(table, NAMES).low > 0).any()
    assert found <= 1


def test_the_picture_says_where_nothing_stands_out():
    noise = pd.DataFrame({"mean": [0.1], "low": [-0.1], "high": [0.3]}, index=["rate"])
    for table, words in ((noise, "nothing stands out"), (noise.abs(), "the score depends on")):
        figure = search_plots.importance_figure(table, "a search")
        assert words in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("n", [1, 4, 8])
def test_importance_of_few_trials_or_equal_scores_is_none(n):
    table = results(n).assign(score=0.5)
    assert (search_plots.importance(table, NAMES) == 0).all(axis=None)


def test_parallel_coordinates_draw_each_setting_once():
    table = results(20)
    table = pd.concat([table, table[:5].assign(epochs=9)])  # five were promoted
    figure = search_plots.parallel_coordinates(
        table,
        ["rate", "units", "kind", "deep"],
        {"rate"},
        state([1.0]),
        "a search",
    )
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    assert len(lines) == 20
    ends = [text.get_text() for text in figure.axes[0].texts]
    assert {"relu", "tanh"} <= set(ends)
    rates = table.rate
    assert {f"{rates.min():.3g}", f"{rates.max():.3g}"} <= set(ends)


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
    falling = state([1.0], "min")
    draw = search_plots.parallel_coordinates
    for figure in (
        search_plots.importance_figure(search_plots.importance(table, names), "a search"),
        draw(table, names, set(), falling, "a search"),
        draw(table.infer_objects(), names, {"rate"}, falling, "a search"),
    ):
        figure.savefig(io.BytesIO(), format="png")
