"""Options of a search: known settings first, limits, confirmation, logs, pictures."""

import json
from pathlib import Path

import keras_tuner
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared_keras.command_line import cli
from shared_keras.hyperband import confirm
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.hyperband.table import without_bookkeeping
from shared_keras.hyperband.trials import job
from shared_keras.results import history_csv
from shared_keras.results.settings import SEEDS
from tests.conftest import FASHION, MNIST

QUICK = ["--space", "dense", "--max-epochs", "2", "--factor", "2"]  # 5 trials


@pytest.fixture(scope="module")
def places(small_dirs, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(results)], results


def run(places, capsys, *words, code=0):
    assert cli.main(MNIST, "search", [*QUICK, *words, *places[0]]) == code
    return capsys.readouterr()


def read(places, name):
    folder = places[1] / "mnist" / "searches" / name
    table = pd.read_csv(folder / "trials.csv", dtype={"trial": str, "parent": str})
    return folder, table, json.loads((folder / "best.json").read_text())


@pytest.fixture(scope="module")
def whole(places):
    """A search without limits, with logs."""
    assert cli.main(MNIST, "search", [*QUICK, "--name", "whole", "--tensorboard", *places[0]]) == 0
    return read(places, "whole")


@pytest.mark.long(only=True)
def test_max_trials_end_it_and_more_of_them_go_on(places, whole, capsys):
    out = run(places, capsys, "--max-trials", 3 * "1", "--name", "cut").out
    assert "Stopped by" not in out  # 111 exceeds the number of trials
    out = run(places, capsys, "--max-trials", "2", "--name", "short").out
    assert "Winner: trial" in out
    _, table, best = read(places, "short")
    assert list(table.trial) == ["0000", "0001"] and best["trial"] in set(table.trial)
    out = run(places, capsys, "--max-trials", "1", "--name", "short").out
    assert "has 2 of 5 trials, and with this limit on their number nothing is left to train" in out
    out = run(places, capsys, "--name", "short").out
    assert "Resuming the search" in out and "2 of 5 trials done" in out
    for name in ("short", "cut"):
        pd.testing.assert_frame_equal(
            read(places, name)[1].drop(columns="seconds"), whole[1].drop(columns="seconds")
        )


@pytest.mark.long(only=True)
def test_a_finished_search_is_written_to_a_journal_once(places, whole, capsys, tmp_path):
    optuna = pytest.importorskip("optuna")
    path = tmp_path / "new" / "journal.log"
    for _ in range(2):
        out = run(places, capsys, "--name", "whole", "--optuna-journal", str(path)).out
        assert f"study mnist-whole; to see it: optuna-dashboard {path}" in out
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(
        study_name="mnist-whole", storage=optuna.storages.JournalStorage(backend)
    )
    _, table, best = read(places, "whole")
    told = [number for trial in study.trials for number in trial.user_attrs["trials"]]
    assert sorted(told) == list(table.trial)
    assert study.best_trial.user_attrs["trials"][-1] == best["trial"]
    assert study.best_value == best["score"]
    assert all(trial.duration.total_seconds() > 0 for trial in study.trials)


@pytest.mark.long(only=True)
def test_a_timeout_leaves_what_can_be_used(places, whole, capsys):
    words = ["--max-epochs", "10", "--timeout", "1", "--name", "timed"]
    out = run(places, capsys, *words).out
    done = len(read(places, "timed")[1])
    assert done < 46 and "Winner: trial" in out
    assert f"{done} of 46 trials have ended; the same command with a longer one" in out


@pytest.mark.long(only=True)
def test_known_settings_are_the_first_trial(places, whole, capsys):
    run(places, capsys, "--try-first", "dense", "--max-trials", "1")
    folder = Path(places[0][1]).name  # images of one's own are part of the name
    _, table, best = read(places, f"dense-{folder}-try-dense")
    recipe = without_bookkeeping(MNIST.recipes["dense"].system.hyperparameters)
    assert without_bookkeeping(best["hyperparameters"]).items() <= recipe.items()
    assert table.num_units_0[0] == 120
    run(places, capsys, "--try-first", "best", "--max-trials", "1", "--name", "after")
    assert without_bookkeeping(read(places, "after")[2]["hyperparameters"]) == without_bookkeeping(
        best["hyperparameters"]
    )
    run(places, capsys, "--seed", "5", "--max-trials", "1", "--name", "newer")
    out = run(places, capsys, "--try-first", "best", "--max-trials", "2", "--name", "after").out
    assert "Resuming the search" in out and len(read(places, "after")[1]) == 2


@pytest.mark.long(only=True)
def test_fashion_begins_with_the_published_winner_of_its_default_space(small_dirs, tmp_path):
    places = ["--data-dir", str(small_dirs["fashion"]), "--results-dir", str(tmp_path)]
    words = ["--try-first", "regularized", "--max-epochs", "1", "--max-trials", "1", "--name", "a"]
    assert cli.main(FASHION, "search", [*words, *places]) == 0
    best = json.loads((tmp_path / "fashion" / "searches" / "a" / "best.json").read_text())
    recipe = without_bookkeeping(FASHION.recipes["regularized"].system.hyperparameters)
    assert without_bookkeeping(best["hyperparameters"]) == recipe


def test_known_settings_of_another_space_are_refused(places, capsys):
    err = run(places, capsys, "--try-first", "regularized", code=2).err
    assert "--try-first: the recipe 'regularized' does not belong to the space dense" in err
    assert "expected one of dense, best" in err


@pytest.mark.long(only=True)
def test_confirm_trains_the_best_anew_and_the_best_mean_wins(places, whole, capsys):
    words = ["--name", "whole", "--confirm", "2"]
    out = run(places, capsys, *words).out
    assert out.count(", seed ") == 6 and "over 3 other seeds" in out
    folder, _, best = read(places, "whole")
    table = pd.read_csv(folder / "confirm.csv", dtype={"trial": str})
    assert len(table) == 2 and best["trial"] == table.trial[table["mean"].argmax()]
    for row in table.itertuples():
        scores = [
            json.loads(path.read_text())["score"]
            for path in sorted(folder.glob(f"confirm/trial_{row.trial}/seed-*/score.json"))
        ]
        assert len(scores) == row.n == 3 and len(set(scores)) > 1
        assert row.mean == pytest.approx(np.mean(scores))
        assert row.sd == pytest.approx(np.std(scores, ddof=1))
        assert scores == [row.seed_1, row.seed_2, row.seed_3]
    assert best["confirmed"]["mean"] == pytest.approx(table["mean"].max())
    assert f"wrote {folder / 'confirm.png'}" in out
    # Nothing is trained twice.
    (folder / f"confirm/trial_{table.trial[1]}/seed-2/score.json").unlink()
    again = run(places, capsys, *words).out
    assert "Retraining the best 2 with 3 other seeds; 5 of 6 trainings are done." in again
    assert again.count(", seed ") == 1


@pytest.mark.long(only=True)
def test_pictures_mark_another_winner_once_a_confirmation_names_it(places, capsys):
    words = ["--max-trials", "2", "--name", "confirmed"]
    run(places, capsys, *words)
    folder, table, best = read(places, "confirmed")
    before = (folder / "search.png").read_bytes()
    for confirmed in (table.trial, table.trial[::-1]):
        for score, trial in enumerate(confirmed):
            for seed in (1, 2, 3):  # as if they were trained
                path = folder / "confirm" / f"trial_{trial}" / f"seed-{seed}" / "score.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"score": score}))
        run(places, capsys, *words, "--confirm", "2")
        won = list(confirmed)[-1]
        assert read(places, "confirmed")[2]["trial"] == won
        assert ((folder / "search.png").read_bytes() == before) == (won == best["trial"])
        pictures = [(folder / name).read_bytes() for name in ("search.png", "confirm.png")]
        run(places, capsys, *words)
        assert pictures == [(folder / name).read_bytes() for name in ("search.png", "confirm.png")]


def everything(folder):
    """Return when each file of a folder was written, and its contents."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.long(only=True)
def test_showing_a_confirmed_search_writes_nothing(places, whole, capsys):
    """It also shows the confirmation, which may have changed the winner."""
    run(places, capsys, "--name", "whole", "--confirm", "2")
    before = everything(whole[0])
    winner = json.loads((whole[0] / "best.json").read_text())
    for words in ((), ("--confirm", "2")):
        out = run(places, capsys, "--name", "whole", *words).out
        assert everything(whole[0]) == before
        assert "Retraining" not in out and "wrote" not in out
        assert f"unchanged in {whole[0]}: settings.json, trials.csv, confirm.csv, best.json" in out
        assert ("Nothing is left to retrain: the best 2 had 3 other seeds" in out) == bool(words)
        assert "over 3 other seeds" in out and f"Winner: trial {winner['trial']}" in out


@pytest.mark.long(only=True)
def test_a_confirmation_does_not_outlive_further_trials(places, capsys):
    words = ["--max-epochs", "2", "--name", "growing"]
    run(places, capsys, *words, "--max-trials", "2", "--confirm", "1")
    assert "confirmed" in read(places, "growing")[2]
    assert "More trials have ended since" in run(places, capsys, *words).out
    assert "confirmed" not in read(places, "growing")[2]
    run(places, capsys, *words, "--confirm", "1")
    assert "confirmed" in read(places, "growing")[2]


def test_a_search_without_a_completed_trial_ends_in_a_sentence(places, capsys, monkeypatch):
    monkeypatch.setattr(job, "run", fail_first)
    words = ["--max-epochs", "2", "--name", "failing", "--max-trials", "1"]
    err = run(places, capsys, *words, code=1).err
    assert err.strip().endswith("no trial completed; the first failed: no luck")
    assert "Traceback" not in err


def fail_first(search, trial):
    """Stands in for a trial that fails."""
    return job.Result({}, 0, trial.hyperparameters, failure="no luck")


def test_confirming_takes_the_lock_of_the_search(places, whole, capsys):
    with FileLock(whole[0] / ".lock"):
        err = run(places, capsys, "--name", "whole", "--confirm", "3", code=1).err
    assert "another process is searching in" in err


@given(st.integers(0, 2**31 - 1), st.integers(0, 999), st.integers(0, 20))
def test_no_trial_has_the_seed_of_a_confirming_training(seed, number, extra):
    oracle = Oracle(keras_tuner.Objective("loss", "min"), seed=seed, max_epochs=2, factor=2)
    trial_id = f"{number:04d}-{extra}" if extra else f"{number:04d}"
    seeds = [confirm.seed_of(seed, k) for k in range(1, SEEDS + 1)]
    assert oracle.seed_of(trial_id) not in seeds and len(set(seeds)) == 3


def test_pictures(whole):
    for name in ("search.png", "parallel.png", "importance.png"):
        exists = (whole[0] / name).exists()
        assert exists == (name == "search.png")  # five trials are too few for the others
        assert not exists or Image.open(whole[0] / name).size[0] > 500


def test_tensorboard_logs_are_the_histories(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, table, _ = whole
    for row in table.itertuples():
        events = EventAccumulator(str(folder / "tensorboard" / row.trial)).Reload()
        history = history_csv.read(folder / f"trial_{row.trial}" / "history.csv")
        assert set(events.Tags()["scalars"]) == set(history)
        scalars = events.Scalars("val_accuracy")
        assert [s.step for s in scalars] == list(range(row.initial_epoch + 1, row.epochs + 1))
        assert [s.value for s in scalars] == pytest.approx(history["val_accuracy"])
