"""Pictures of hyperparameters: what matters, and each setting as a line."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from shared_keras.reporting.pictures import hyperparameter_plots, plots
from shared_keras.results.trials import TrialRow
from tests.reporting import seen
from tests.reporting.pictures.test_search_plots import state
from tests.shares import dealt


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
    return table.assign(trial=[f"{i:04d}" for i in range(n)])


NAMES = ["units", "kind", "deep", "rate"]


@pytest.mark.parametrize("seed", range(3))
def test_importance_finds_what_matters(seed):
    found = hyperparameter_plots.importance(results(seed=seed), NAMES)
    assert found.index[0] == "rate" and list(found.index[found.low > 0]) == ["rate"]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("first", dealt([0, 10], [0]))
def test_importance_finds_nothing_in_noise(first):
    """Not even if promoted settings fill several rows with similar scores."""
    found = 0
    for seed in range(first, first + 10):
        table = results(30, seed)
        table["score"] = np.random.default_rng(seed).normal(size=30)
        table = pd.concat([table, table.assign(epochs=9, score=table.score + 0.01)])
        table = table.reset_index(drop=True)
        found += (hyperparameter_plots.importance(table, NAMES).low > 0).any()
    assert found <= 1


def test_the_picture_says_where_nothing_stands_out():
    noise = pd.DataFrame({"mean": [0.1], "low": [-0.1], "high": [0.3]}, index=["rate"])
    for table, words in ((noise, "nothing stands out"), (noise.abs(), "the score depends on")):
        figure = hyperparameter_plots.importance_figure(table, "a search")
        assert words in figure.get_suptitle()


@pytest.mark.parametrize("n", [1, 4, 8])
def test_importance_of_few_trials_or_equal_scores_is_none(n):
    table = results(n).assign(score=0.5)
    assert (hyperparameter_plots.importance(table, NAMES) == 0).all(axis=None)


def test_parallel_coordinates_draw_each_setting_once():
    table = results(20)
    table = pd.concat([table, table[:5].assign(epochs=9)])  # five were promoted
    figure = hyperparameter_plots.parallel_coordinates(
        table,
        ["rate", "units", "kind", "deep"],
        {"rate"},
        state([1.0]),
        "a search",
        trial("0007"),
    )
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    assert len(lines) == 20
    (won,) = [line for line in lines if line.get_color() == plots.WINNER]
    table["at"] = np.log10(table.rate).transform(lambda at: (at - at.min()) / np.ptp(at))
    assert won.get_ydata()[0] == pytest.approx(table["at"].iloc[7])
    ends = [text.get_text() for text in figure.axes[0].texts]
    assert {"relu", "tanh"} <= set(ends)
    rates = table.rate
    assert {f"{rates.min():.3g}", f"{rates.max():.3g}"} <= set(ends)


def test_colours_tell_ranks_apart_however_close_the_scores():
    """Nearly all scores of a search are good, so that a scale of scores is of one colour."""
    table = results(20).assign(score=[0.1, *np.linspace(0.97, 0.98, 19)])
    for direction, name in (("max", "viridis"), ("min", "viridis_r")):
        figure = hyperparameter_plots.parallel_coordinates(
            table, ["rate", "units"], set(), state([1.0], direction), "a search", trial("0019")
        )
        lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
        drawn = {to_hex(line.get_color()) for line in lines if line.get_marker() == "o"}
        ranks = {to_hex(colormaps[name](rank / 19)) for rank in range(19)}
        assert drawn == ranks | {to_hex(plots.WINNER)}
        ticks = [text.get_text() for text in figure.axes[1].get_yticklabels()]
        assert ticks[0] == "0.1" and ticks[-1] == "0.98"


@pytest.mark.parametrize("count", [14, 40])
def test_many_hyperparameters_make_no_wider_picture(count):
    table = results(20)
    names = [f"num_units_{i}" for i in range(count)]
    rng = np.random.default_rng(0)
    table = table.assign(**{name: rng.integers(15, 120, 20) for name in names})
    figure = hyperparameter_plots.parallel_coordinates(
        table, names, set(), state([1.0]), "a search", trial("0001")
    )
    assert figure.get_figwidth() <= 12.5 and not seen.cut(figure) and not seen.colliding(figure)
    said = figure.get_suptitle()
    assert ("21 of 40 hyperparameters" in said) == (count == 40)


def trial(number):
    """Return the row of a trial."""
    return TrialRow(number, 0, 0, 0, 1, None, 0.5, 1.0, "COMPLETED", None, {})


def test_a_promoted_winner_is_marked_though_its_parent_won():
    """The confirmation may prefer a setting as it was trained before its promotion."""
    table = results(20)
    table = pd.concat([table, table[:5].assign(epochs=9, trial="0099")])
    figure = hyperparameter_plots.parallel_coordinates(
        table, ["rate", "units"], {"rate"}, state([1.0]), "a search", trial("0003")
    )
    assert [line.get_color() for line in figure.axes[0].lines].count(plots.WINNER) == 1


def test_axes_are_ordered_by_reach_then_importance():
    """The axes of layers that few trials have come last, however much they matter."""
    table = results(40).assign(always=np.arange(40) % 3)
    names = ["deep", "units", "always", "rate"]
    weights = pd.DataFrame({"mean": [0.9, 0.1, 0.1, 0.5]}, index=names)
    order = hyperparameter_plots.axis_order
    assert order(table, names, weights) == ["rate", "units", "always", "deep"]
    assert order(table, names, None) == ["units", "always", "rate", "deep"]
    found = hyperparameter_plots.importance(table, names)
    assert order(table, names, found)[0] == "rate" and order(table, names, found)[-1] == "deep"


@pytest.mark.parametrize("long", ["", "a_hyperparameter_with_a_name_of_some_length_"])
def test_nothing_in_the_pictures_of_hyperparameters_is_cut(long):
    table = results(20).rename(columns=lambda name: long + name if name in NAMES else name)
    names = [long + name for name in NAMES]
    found = hyperparameter_plots.importance(table, names)
    for figure in (
        hyperparameter_plots.importance_figure(found, 5 * "MNIST, search "),
        hyperparameter_plots.parallel_coordinates(
            table, names, set(), state([1.0]), 5 * "MNIST, search ", trial("0000")
        ),
    ):
        assert not seen.cut(figure) and not seen.collapsed(figure)


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    "values",
    [[True, False], [True, None], ["a", None], [1, 2.5, None], [1, "a", 2.5, None], [0.1, 10]],
    ids=str,
)
def test_pictures_of_any_kind_of_hyperparameter(values):
    n = 24
    table = pd.DataFrame({"epochs": 1, "score": np.arange(n) / n, "rate": np.arange(1, n + 1)})
    table["kind"] = pd.Series([values[i % len(values)] for i in range(n)], dtype=object)
    table["trial"] = [f"{i:04d}" for i in range(n)]
    names = ["kind", "rate"]
    falling = state([1.0], "min")
    draw = hyperparameter_plots.parallel_coordinates
    for figure in (
        hyperparameter_plots.importance_figure(
            hyperparameter_plots.importance(table, names), "a search"
        ),
        draw(table, names, set(), falling, "a search", trial("0001")),
        draw(table.infer_objects(), names, {"rate"}, falling, "a search", trial("0001")),
    ):
        figure.savefig(io.BytesIO(), format="png")
