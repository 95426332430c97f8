"""What a running search says of itself."""

import dataclasses

import pandas as pd
import pytest

from shared_keras.reporting.progress import seconds_left
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
