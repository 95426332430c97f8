"""What a running search says of itself."""

import dataclasses

import pandas as pd
import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table

from shared_keras.reporting import console, progress
from shared_keras.reporting.progress import seconds_left
from shared_keras.reporting.runs_progress import Running, RunsProgress
from shared_keras.results import folders
from shared_keras.results.trials import COLUMNS, SearchState, TrialRow


def committed(task):
    """Return the trials of the committed search, by number."""
    table = pd.read_csv(folders.reference(task) / "trials.csv", dtype={"trial": str, "parent": str})
    assert len(table) > 40
    return [TrialRow(**row, hyperparameters={}) for row in table[list(COLUMNS)].to_dict("records")]


def after(rows, count, running=None):
    """Return the search when its first `count` trials had ended."""
    waiting = [(row.initial_epoch, row.epochs) for row in rows[count:]]
    ended = [row.trial for row in rows[:count]]
    return SearchState(
        "val_accuracy", "max", rows[:count], ended, [], running or {}, waiting, False
    )


# The last brackets of the Fashion-MNIST search drew small networks, which nobody could know.
FACTOR = {"mnist": 1.2, "fashion": 2.0}


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
def test_the_time_left_is_about_what_it_took(task, share):
    """Trials of early rungs are short, so counting trials or epochs would be far off."""
    rows = committed(task)
    count = round(share * len(rows))
    took = sum(row.seconds for row in rows[count:]) / 2
    estimate = seconds_left(after(rows, count), workers=2)
    assert took / FACTOR[task.name] <= estimate <= took * FACTOR[task.name]


def test_nothing_is_known_before_the_first_trial_ended(task):
    assert seconds_left(after(committed(task), 0), workers=2) is None


def test_a_trial_that_runs_has_so_much_less_to_go(task):
    rows = committed(task)
    whole = seconds_left(after(rows, len(rows) - 1), workers=1)
    state = after(rows, len(rows) - 1)
    half_done = dataclasses.replace(
        state, rows=rows, waiting=[], running={rows[-1].trial: whole / 2}
    )
    assert seconds_left(half_done, workers=1) == pytest.approx(whole / 2)


def row(trial, epochs, score):
    """Return a trial that ended."""
    values = dict.fromkeys(COLUMNS) | {"trial": trial, "epochs": epochs, "score": score}
    values |= {"bracket": 0, "rung": 0, "initial_epoch": 0}
    return TrialRow(**values, hyperparameters={})


@pytest.mark.parametrize(
    ("direction", "scores", "expected"),
    [
        ("max", (0.61, 0.91), "after 4 epochs 0.6100 (trial a), after 1 epoch 0.9100 (trial b)"),
        ("max", (0.95, 0.91), "after 4 epochs 0.9500 (trial a)"),
        ("min", (0.61, 0.91), "after 4 epochs 0.6100 (trial a)"),
        ("min", (0.95, 0.91), "after 4 epochs 0.9500 (trial a), after 1 epoch 0.9100 (trial b)"),
    ],
)
def test_the_best_is_told_with_its_epochs(direction, scores, expected):
    """It would seem to fall, could one not see that a longer training is another contest."""
    ranked = [row("a", 4, scores[0]), row("b", 1, scores[1])]
    state = SearchState("s", direction, ranked, ["a", "b"], ranked, {}, [], False)
    assert progress.best_so_far(state) == expected


def test_a_running_trial_shows_its_epoch():
    trial = row("a", 4, None)
    state = SearchState("s", "max", [trial], [], [], {"a": 1.0}, [], False)
    assert progress.epoch_text(state, trial) == "epochs 1 to 4"
    state = dataclasses.replace(state, epoch_of={"a": 3})
    assert progress.epoch_text(state, trial) == "epoch 3 of 4"


def test_one_is_no_plural(capsys):
    first, ended = row("a", 1, 0.5), progress.Progress("mine", lambda: 1)
    ended.announce(SearchState("s", "max", [], [], [], {}, [(0, 1)], False), "r", False)
    ended.announce(SearchState("s", "max", [first], ["a"], [first], {}, [], True), "r", False)
    out = capsys.readouterr().out
    assert out.startswith("mine: 1 trial, 1 epoch, on ") and out.endswith("finished: 1 trial.\n")


def test_what_looks_like_markup_is_printed(monkeypatch, tmp_path):
    """On a terminal, too: titles, runs and objectives are the user's."""
    shown = []
    monkeypatch.setattr(Live, "update", lambda live, view: shown.append(view))
    state = SearchState("s", "max", [], [], [], {}, [], False)
    searching = progress.Progress("[x] search :smile:", lambda: 1)
    shown.append(searching.view(state))
    RunsProgress("[x] runs", 3).update(1, [Running("[red]mine[/]", 1, 2, 3.0)])
    screen = console.console()
    with screen.capture() as capture:
        for view in shown:
            screen.print(view)
    out = capture.get()
    assert all(text in out for text in ("[x] search :smile:", "[x] runs", "[red]mine[/]"))


def test_values_are_not_broken_in_a_narrow_table():
    values = {f"num_units_{i}": 120 for i in range(9)} | {"learning_rate": 0.1 + 0.2}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("trial 0003", progress.Settings(values))
    screen = Console(width=34, force_terminal=True)
    with screen.capture() as capture:
        screen.print(table)
    lines = [line.removeprefix("trial 0003").strip() for line in capture.get().splitlines()]
    assert len(lines) > 2 and all(len(line) <= 22 for line in lines)
    assert "".join(lines).replace(" ", "") == progress.settings(values).replace(" ", "")
    words = [word for line in lines for word in line.replace("/", " ").split()]
    assert words.count("120") == 8 and words[-1] == "learning_rate=0.3"


@pytest.mark.parametrize("width", [24, 25, 29, 40, 80])
def test_a_list_of_values_is_broken_only_if_no_line_has_room_for_it(width):
    values = {"l2_0": 0.01, "l2_1": 0.0001, "l2_2": 0.001, "drop_0": 0.2, "drop_1": 0.3}
    words = progress.settings(values | {"drop_2": 0.2}).split()
    screen = Console(width=width, force_terminal=True)
    with screen.capture() as capture:
        screen.print(progress.Settings(values | {"drop_2": 0.2}))
    assert capture.get().split() == words == ["l2=0.01/0.0001/0.001", "drop=0.2/0.3/0.2"]


def test_numbers_are_for_people():
    assert progress.value(0.1 + 0.2) == "0.3" and progress.value(1e-06) == "1e-06"
    assert progress.value(120) == "120"


def test_lines_break_between_words_on_a_terminal_only():
    line = "wrote tuner_results/mnist/searches/regularized-quick/settings.json at once"
    folded = console.fold(line, Console(width=40, force_terminal=True))
    assert folded.split() == line.split() and "\n" in folded
    assert console.fold(line, Console(width=40, force_terminal=False)) == line
