"""Runs as their folders tell them."""

import pytest

from shared_keras.errors import BadInput
from shared_keras.results import names, run_folders
from tests.results import made


def test_a_run_is_what_its_files_say(tmp_path):
    made.run(tmp_path / "a", history="epoch,loss\n1,0.5\n2,0.25\n3,0.75\n")
    made.metrics(0.9, loss=0.4, best_epoch=2).write(tmp_path / "a")
    run = run_folders.read(tmp_path / "a")
    assert run.settings == made.run_settings() and run.history == {"loss": [0.5, 0.25, 0.75]}
    scores = {name: run.score(name) for name in run_folders.SCORES}
    expected = {"loss": 0.25, "val_loss": 0.4, "val_accuracy": 0.9, "test_accuracy": 0.9}
    assert scores == expected


@pytest.mark.parametrize(
    ("metrics", "history", "said"),
    [
        (None, "epoch,loss\n1,0.5\n", "a: interrupted after 1 epoch, or still running"),
        (None, "epoch,loss\n1,nan\n", "a: failed, the loss became nan"),
        ({"best_epoch": None}, "epoch,loss\n1,0.5\n", "metrics.json: best_epoch or s"),
        (
            {"seconds_per_epoch": None},
            "epoch,loss\n1,0.5\n",
            "metrics.json: best_epoch or s",
        ),
        ({"best_epoch": 2}, "epoch,loss\n1,0.5\n", "expected one of the 1 epochs in history.csv"),
        ({"best_epoch": 0}, "epoch,loss\n1,0.5\n", "metrics.json: best_epoch: expected one of"),
        ({}, "epoch,accuracy\n1,0.5\n", "expected one of the 0 epochs"),
        ({}, None, "history.csv: cannot be read as a history"),
    ],
)
def test_what_is_no_whole_run_is_refused_and_why(tmp_path, metrics, history, said):
    made.run(tmp_path / "a", history=history)
    if metrics is not None:
        made.metrics(0.5, **metrics).write(tmp_path / "a")
    with pytest.raises(BadInput, match=said):
        run_folders.read(tmp_path / "a")
    found, problems = run_folders.ended(tmp_path, lambda folder, settings: "mine")
    assert found == [] and len(problems) == 1 and said.split(": ")[-1] in problems[0]


def test_runs_that_do_not_count_are_no_problem_and_the_others_come_in_order(tmp_path):
    made.run(tmp_path / "late", 0.5, when=3, seed=1)
    made.run(tmp_path / "deep" / "early", 0.5, when=1)
    made.run(tmp_path / "other", when=2, data="others")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / names.SETTINGS).write_text("{}")

    def name_of(folder, settings):
        return folder.name if settings.data == "these" else None

    found, problems = run_folders.ended(tmp_path, name_of)
    assert [(name, run.settings.seed) for name, run in found] == [("early", 0), ("late", 1)]
    assert len(problems) == 1 and f"damaged/{names.SETTINGS}: " in problems[0]
