"""Results that were damaged from outside: one sentence that names the file, exit code 2."""

import json

import pytest

from mnist_keras.task import TASK
from shared_keras.errors import BadInput
from shared_keras.hyperband import Hyperband
from shared_keras.results import folders, saved_models
from tests.commands.test_bad_input import fails
from tests.hyperband.test_refusals import X, Y, build
from tests.results import made

BEST = json.loads((folders.reference(TASK) / "best.json").read_text())
SETTINGS = made.search_settings().to_json()


@pytest.mark.parametrize(
    ("best", "settings", "expected"),
    [
        ([1], SETTINGS, "best.json: expected a JSON object, got [1]"),
        ({"trial": "0000", "space": "dense"}, SETTINGS, "best.json: trials, planned, score, "),
        (BEST, [], "settings.json: expected a JSON object, got []"),
        (BEST, {"data": ""}, "settings.json: task, space, max_epochs, "),
    ],
)
def test_a_search_that_was_damaged(capsys, tmp_path, best, settings, expected):
    folder = tmp_path / TASK.name / "searches" / "s"
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps(best))
    (folder / "settings.json").write_text(json.dumps(settings))
    words = ("--best", "--search", "s", "--results-dir", tmp_path)
    assert f"{folder}/{expected}" in fails(capsys, "retrain", TASK, *words)


def test_a_run_whose_settings_are_no_object(tmp_path):
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(BadInput, match="settings.json: expected a JSON object, got "):
        saved_models.settings(tmp_path / saved_models.MODEL)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("text", ['{"trial_id": "00', "[]", "{}"])
def test_a_trial_that_was_damaged_is_named(tmp_path, text):
    def make():
        return Hyperband(build, "loss", max_epochs=1, factor=2, directory=tmp_path, max_trials=2)

    tuner = make().search(X, Y, verbose=0)
    assert len(tuner.oracle.trials) == 1
    (tuner.folder("0000") / "history.csv").write_text("epo")
    assert make().results().seconds.isna().all()  # nothing depends on it
    path = tuner.folder("0001") / "trial.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(BadInput, match=f"{path}: "):
        make()
