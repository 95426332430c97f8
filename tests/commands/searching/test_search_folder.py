"""What the folder of a search tells from one command to the next."""

import json

import pandas as pd
import pytest

from shared_keras.commands.searching.search_folder import SearchFolder
from shared_keras.errors import BadInput
from shared_keras.results.trials import PICTURES, SearchState, TrialRow
from tests.results import made

SETTINGS = made.search_settings()


def state(*scores):
    """Return a search whose trials ended with these scores."""
    rows = [
        TrialRow(f"{i:04d}", 0, 0, 0, 2, None, score, 1.0, "COMPLETED", None, {"units": 8 + i})
        for i, score in enumerate(scores)
    ]
    return SearchState(
        objective="val_accuracy",
        direction="max",
        rows=rows,
        ended=[row.trial for row in rows],
        ranked=sorted(rows, key=lambda row: -row.score),
        running={},
        waiting=[(0, 2)],
        finished=False,
    )


@pytest.fixture
def path(tmp_path):
    """The folder of a search, with the file of each trial that the tuner would have written."""
    for i in range(4):
        (tmp_path / f"trial_{i:04d}").mkdir()
        hyperparameters = {"space": [], "values": {"units": 8 + i}}
        text = json.dumps({"hyperparameters": hyperparameters})
        (tmp_path / f"trial_{i:04d}" / "trial.json").write_text(text)
    return tmp_path


def command(path, before, after, confirmed=None):
    """Do as a command does; return the folder, and whether trials had ended since the last one."""
    folder = SearchFolder(path, SETTINGS)
    folder.begin(before)
    folder.record(after)
    new = folder.has_new(after)
    folder.finish(after, confirmed)
    return folder, new


def draw(path):
    for name in PICTURES:
        (path / name).touch()


def drawn(path):
    return [name for name in PICTURES if (path / name).exists()]


def test_a_search_is_new_once_and_then_resumed(path):
    folder, new = command(path, state(), state(0.5))
    assert not folder.resumed and new
    assert (path / "environment.json").exists()
    assert json.loads((path / "settings.json").read_text())["planned"] == 1
    folder, new = command(path, state(0.5), state(0.5, 0.4))
    assert folder.resumed and new
    assert len(pd.read_csv(path / "trials.csv")) == 2


def test_trials_are_new_that_ended_before_the_command_if_no_end_was_written(path):
    command(path, state(), state(0.5))
    (path / "trials.csv").unlink()
    draw(path)
    assert command(path, state(0.5, 0.4), state(0.5, 0.4))[1]
    assert len(pd.read_csv(path / "trials.csv")) == 2 and drawn(path) == []


def test_pictures_stay_while_the_same_trials_have_the_same_winner(path):
    command(path, state(), state(0.5, 0.4))
    draw(path)
    assert not command(path, state(0.5, 0.4), state(0.5, 0.4))[1]
    assert drawn(path) == list(PICTURES)
    confirmed = pd.DataFrame({"trial": ["0001"], "mean": [0.6], "sd": [0.1], "n": [3]})
    folder, new = command(path, state(0.5, 0.4), state(0.5, 0.4), confirmed)
    assert not new and not folder.was_confirmed and drawn(path) == []
    assert SearchFolder(path, SETTINGS).was_confirmed
    assert json.loads((path / "best.json").read_text())["trial"] == "0001"


def test_another_search_and_a_folder_of_kerastuner_are_refused(path):
    command(path, state(), state(0.5))
    with pytest.raises(BadInput, match="seed was 0 and is now 1"):
        SearchFolder(path, made.search_settings(seed=1))
    assert SearchFolder(path, made.search_settings(iterations=2)).resumed
    (path / "settings.json").unlink()
    (path / "oracle.json").touch()
    with pytest.raises(BadInput, match="did not create"):
        SearchFolder(path, SETTINGS)
