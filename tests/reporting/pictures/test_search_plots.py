"""Pictures of searches, including odd ones."""

import numpy as np
import pandas as pd
import pytest

from shared_keras.reporting.pictures import plots, search_plots
from shared_keras.results import names
from shared_keras.results.trials import PICTURES, SearchState, TrialRow
from tests.reporting import seen
from tests.shares import dealt


def state(scores, direction="max", values=lambda i: {"units": i}, names=None, rungs=None):
    """Return a search of trials with these scores, one of which may be None, in these rungs."""
    names = names or [f"{i:04d}" for i in range(len(scores))]
    rungs = rungs or [0] * len(scores)
    rows = [
        TrialRow(name, 0, rung, 0, rung + 1, None, score, 1.0, "COMPLETED", None, values(i))
        for i, (name, score, rung) in enumerate(zip(names, scores, rungs, strict=True))
    ]
    return SearchState("val_loss", direction, rows, names, rows, {}, [], True)


def write(folder, search):
    """Write the pictures of a search whose first trial won."""
    return search_plots.write(folder, search, {"units": False}, "MNIST, search a", search.rows[0])


def dots(axes):
    """Return the points of the trials, from left to right."""
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    return sorted(tuple(point) for line in lines for point in line.get_xydata().tolist())


def stars(axes):
    """Return the points that are marked by a star."""
    lines = [line for line in axes.lines if line.get_marker() == "*"]
    return [tuple(point) for line in lines for point in line.get_xydata().tolist()]


def test_a_trial_that_stands_in_for_a_failed_one_is_drawn():
    stand_in = state([None, 0.5, 0.6], names=["0000", "0000-1", "0001"])
    figure = search_plots.search(stand_in, "a search", stand_in.rows[1])
    assert dots(figure.axes[0]) == [(0, 0.5), (1, 0.6)]


def test_a_picture_that_cannot_be_drawn_costs_only_itself(tmp_path, monkeypatch):
    def fail(*args):
        raise ValueError("no")

    monkeypatch.setattr(search_plots, "search", fail)
    notes = write(tmp_path, state(np.arange(12.0)))
    assert notes == ["note: search.png could not be drawn (ValueError: no)"]
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {names.IMPORTANCE, *PICTURES} - {"search.png"}


@pytest.mark.parametrize("direction", dealt(["min", "max"], ["max"]))
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_pictures_leave_out_scores_that_cannot_be_drawn(tmp_path, bad, direction):
    """An earlier version may have recorded such scores."""
    odd = state([0.0, 1.0, 2.0, bad, *np.arange(4.0, 12)], direction)
    assert write(tmp_path, odd) == []
    assert {path.name for path in tmp_path.iterdir()} == {names.IMPORTANCE, *PICTURES}


@pytest.mark.parametrize(("trials", "written"), [(7, 1), (8, 4)])
def test_hyperparameters_are_pictured_after_enough_trials(tmp_path, trials, written):
    write(tmp_path, state(np.arange(trials) / 10))
    assert len(list(tmp_path.iterdir())) == written


def test_without_importance_the_axes_keep_their_order(tmp_path, monkeypatch):
    drawn, real = [], search_plots.parallel_coordinates

    def draw(table, names, *rest):
        drawn.append(names)
        return real(table, names, *rest)

    monkeypatch.setattr(search_plots, "parallel_coordinates", draw)
    monkeypatch.setattr(search_plots, "importance", None)  # it is not to be called
    table = state(np.arange(12.0), values=lambda i: {"units": i, "rate": (7 * i) % 5})
    axes = {"rate": False, "units": False}
    notes = search_plots.write(tmp_path, table, axes, "a search", table.rows[0])
    assert len(notes) == 1 and notes[0].startswith("note: importance.png could not be drawn")
    assert drawn == [["rate", "units"]]


def test_pictures_that_are_there_are_left_alone(tmp_path):
    (tmp_path / "search.png").write_bytes(b"as it was")
    assert write(tmp_path, state(np.arange(12.0))) == []
    assert (tmp_path / "search.png").read_bytes() == b"as it was"
    assert {path.name for path in tmp_path.iterdir()} == {names.IMPORTANCE, *PICTURES}


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("won", [0, 3])
def test_the_winner_and_the_dataset_are_named(direction, won):
    search = state([0.9, 0.2, 0.8, 0.5, 0.7], direction, rungs=[0, 0, 0, 1, 1])
    figure = search_plots.search(search, "MNIST, search a", search.rows[won])
    assert figure.get_suptitle() == "MNIST, search a: 5 trials"
    assert [stars(axes) for axes in figure.axes] == [
        [(won, search.rows[won].score)],
        [(search.rows[won].rung, search.rows[won].score)],
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"winner: trial {won:04d}, {search.rows[won].score:.4f}" in legend
    assert {"1 epoch", "2 epochs"} <= set(legend)


@pytest.mark.parametrize(("trials", "box"), [(1, False), (2, False), (4, False), (5, True)])
def test_few_points_are_no_box(trials, box):
    search = state(np.arange(trials) / 10 + 0.1)
    figure = search_plots.search(search, "a search", search.rows[0])
    right = figure.axes[1]
    assert any(str(line.get_color()) == "black" for line in right.lines) == box
    assert dots(right) == [(0, row.score) for row in search.rows]


@pytest.mark.parametrize("direction", ["min", "max"])
def test_trials_far_out_are_counted_and_the_winner_is_not_left_out(direction):
    sign = 1 if direction == "max" else -1
    scores = sign * np.array([*np.linspace(0.8, 0.9, 20), 0.1, 0.2])
    search = state(scores, direction)
    for won, hidden in ((19, "2 trials"), (21, "1 trial")):
        figure = search_plots.search(search, "a search", search.rows[won])
        low, high = figure.axes[0].get_ylim()
        assert low < scores[won] < high
        assert f": {hidden} far " in figure.axes[0].get_title(loc="left")
        for axes in figure.axes[:2]:
            at_edge = [line for line in axes.lines if line.get_marker() in ("v", "^")]
            assert len(at_edge) == int(hidden[0])
        assert sum((low < scores) & (scores < high)) == 22 - int(hidden[0])
        shown = scores[(low < scores) & (scores < high)]
        assert high - low == pytest.approx(1.1 * np.ptp(shown))  # no empty half


def test_of_few_trials_none_is_left_out():
    search = state([0.9158, 0.9068, 0.9303, 0.9489, 0.6150, 0.9202])  # a quick one on MNIST
    figure = search_plots.search(search, "a search", search.rows[3])
    assert figure.axes[0].get_ylim()[0] < 0.6150 and not figure.axes[0].get_title(loc="left")
    assert len(dots(figure.axes[0])) == len(dots(figure.axes[1])) == 6


@pytest.mark.long(only=True)
@pytest.mark.parametrize("trials", [1, 6, 40])
@pytest.mark.parametrize("name", ["MNIST, search a", "my own data, search " + 60 * "ab-"])
def test_nothing_in_the_pictures_of_a_search_is_cut(trials, name):
    search = state(np.arange(trials) / 50, rungs=[i // 3 for i in range(trials)])
    figure = search_plots.search(search, name, search.rows[-1])
    assert not seen.cut(figure) and not seen.colliding(figure)
    low, high = figure.axes[0].get_xlim()
    ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert low <= -0.5 and ticks and all(tick == int(tick) for tick in ticks)


def confirmation(*means):
    """Return what `confirm.retrain` returns: the best mean first."""
    scores = [[mean - 0.01, mean, mean + 0.01] for mean in means]
    return pd.DataFrame(
        [
            {"trial": f"{i:04d}", "score": 0.5, "mean": mean, "sd": 0.01, "n": 3}
            | {f"seed_{k}": score for k, score in enumerate(of_trial, 1)}
            for i, (mean, of_trial) in enumerate(zip(means, scores))
        ]
    )


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_confirmation_shows_every_seed_the_mean_and_the_score_of_the_search(count):
    table = confirmation(*np.linspace(0.6, 0.4, count))
    search = state([0.5] * count)
    figure = search_plots.confirmed(table, search, "MNIST, search a")
    (axes,) = figure.axes
    by_marker = {marker: [] for marker in "oxD"}
    for line in axes.lines:
        if line.get_marker() in by_marker:
            points = line.get_xydata().tolist()
            by_marker[line.get_marker()] += [(score, round(place)) for score, place in points]
    for place, row in enumerate(table.itertuples()):
        assert {(row.seed_1, place), (row.seed_2, place), (row.seed_3, place)} <= set(
            by_marker["o"]
        )
        assert (row.mean, place) in by_marker["D"] and (0.5, place) in by_marker["x"]
    bars = [container.lines[2][0].get_segments() for container in axes.containers]
    widths = [np.ptp(segment[:, 0]) for segments in bars for segment in segments]
    assert widths == pytest.approx([0.02] * count)
    first = axes.get_yticklabels()[0]
    assert (
        first.get_text() == "trial 0000, 1 epoch\n0.6000 ± 0.0100" and first.get_weight() == "bold"
    )
    won = [
        line for line in axes.lines if line.get_color() == plots.WINNER and len(line.get_xdata())
    ]
    assert won[0].get_xydata()[0, 0] == table["mean"][0]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split(", ")[-1] for label in legend[2:]] == ["winner", "others"][:count]
    assert figure.get_suptitle().startswith("MNIST, search a: the best ")
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the winner is on top
    assert not seen.cut(figure) and not seen.colliding(figure)


def test_a_confirmation_of_an_earlier_version_is_drawn_without_its_seeds():
    table = confirmation(0.6, 0.5).drop(columns=["seed_1", "seed_2", "seed_3"])
    figure = search_plots.confirmed(table, state([0.5, 0.5]), "a search")
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "o"]
