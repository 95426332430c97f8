"""Defects of KerasTuner 1.4.8: each check fails on the stock class and passes on ours.

Long tests show them on the stock class, whose version is pinned.
"""

import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import keras_tuner
import pandas as pd
import pytest

from shared_keras.errors import BadInput
from tests.hyperband.stock_and_ours import (
    ROOT,
    STEPS,
    Recorder,
    build,
    exploding,
    failing,
    failing_once,
    ours,
    search,
    stock,
)
from tests.shares import dealt


@pytest.fixture(params=dealt(["ours", "stock"], ["ours"]))
def only_ours_passes(request):
    """Check that our class passes or, in the long tests, that the stock class fails."""

    def see(check):
        if request.param == "ours":
            check(ours)
        else:
            with pytest.raises(AssertionError):
                check(stock)

    return see


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return a finished search of a class, in which each trial's first epoch is its best."""

    @functools.cache
    def of(make):
        folder = tmp_path_factory.mktemp(make.__name__)
        falls = keras_tuner.Objective("loss", "max")
        options = {"keep_checkpoints": 1} if make is ours else {}
        tuner = make(folder, objective=falls, max_epochs=4, factor=3, **options)
        search(tuner, callbacks=[Recorder(folder / "log")], **SILENT[make])
        log = pd.read_json(folder / "log", lines=True)
        return tuner, folder / "p", log

    return of


SILENT = {stock: {"verbose": 0}, ours: {}}


def test_1_the_optimizer_is_resumed(only_ours_passes, searched):
    def check(make):
        _, _, log = searched(make)
        begins = log.iterations[log.event == "begin"]
        assert 2 * STEPS in set(begins)  # those promoted after two epochs

    only_ours_passes(check)


def test_2_a_promoted_trial_starts_with_the_weights_that_its_parent_ended_with(
    only_ours_passes, searched
):
    def check(make):
        tuner, _, log = searched(make)
        begins = log.weights[log.event == "begin"].round(3)
        ends = set(log.weights[log.event == "end"].round(3))
        promoted = sum(
            t.hyperparameters.values["tuner/round"] > 0 for t in tuner.oracle.trials.values()
        )
        assert begins.isin(ends).sum() == promoted

    only_ours_passes(check)


def test_3_one_failure_does_not_empty_a_rung(only_ours_passes, tmp_path):
    def check(make):
        folder = tmp_path / make.__name__
        folder.mkdir()
        tuner = make(folder, functools.partial(failing_once, marker=folder / "marker"))
        search(tuner, **SILENT[make])
        places = [
            (v["tuner/bracket"], v["tuner/round"])
            for v in (t.hyperparameters.values for t in tuner.oracle.trials.values())
        ]
        assert places.count((1, 1)) == 1

    only_ours_passes(check)


def test_4_zero_is_a_seed(only_ours_passes, tmp_path):
    def check(make):
        first = [
            make(tmp_path / make.__name__ / str(i), seed=0).oracle.create_trial("t")
            for i in range(3)
        ]
        assert len({trial.hyperparameters.values["units"] for trial in first}) == 1

    only_ours_passes(check)


@pytest.mark.parametrize(
    "change",
    [{"max_epochs": 8}, {"factor": 3}, {"hypermodel": exploding}, {"objective": "val_loss"}],
    ids=["max_epochs", "factor", "ranges", "objective"],
)
def test_5_other_settings_in_the_same_folder_are_refused(tmp_path, change):
    def narrow(hp):
        hp.Int("units", 2, 50)
        return build(hp)

    if "hypermodel" in change:
        change = {"hypermodel": narrow}
    if "objective" in change:
        change = {"objective": keras_tuner.Objective("val_loss", "min")}

    def check(make):
        tuner = make(tmp_path / make.__name__)
        trial = tuner.oracle.create_trial("t")
        tuner.oracle.update_trial(trial.trial_id, {"val_accuracy": 1.0})
        trial.status = "COMPLETED"
        tuner.oracle.end_trial(trial)
        tuner.save()
        with pytest.raises(BadInput) as refusal:
            make(tmp_path / make.__name__, **change)
        assert "was" in str(refusal.value) and "is now" in str(refusal.value)

    with pytest.raises(pytest.fail.Exception):  # it uses the folder silently
        check(stock)
    check(ours)


def test_6_files_stay_whole_if_the_disk_is_full(tmp_path):
    def check(make):
        tuner = make(tmp_path / make.__name__)
        tuner.oracle.create_trial("t")
        path = Path(tuner.oracle._get_oracle_fname())
        tuner.oracle.save()
        tuner.oracle.start_order.append("more")  # something to write
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        try:
            with pytest.raises(OSError):
                tuner.oracle.save()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        try:
            json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise AssertionError("truncated") from error

    with pytest.raises(AssertionError, match="truncated"):
        check(stock)
    check(ours)


def test_7_a_trial_that_is_run_again_does_not_average(only_ours_passes, tmp_path):
    def check(make):
        killed = make(tmp_path / make.__name__)
        killed.save()
        trial = killed.oracle.create_trial("tuner0")
        killed.oracle.update_trial(trial.trial_id, {"val_accuracy": 0.0})
        again = make(tmp_path / make.__name__)
        trial = again.oracle.create_trial("tuner0")
        assert trial.trial_id == "0000"
        again.oracle.update_trial(trial.trial_id, {"val_accuracy": 1.0})
        trial.status = "COMPLETED"
        again.oracle.end_trial(trial)
        assert again.oracle.trials["0000"].score == 1.0

    only_ours_passes(check)


def test_8_a_non_finite_loss_is_a_failure(only_ours_passes, tmp_path):
    def check(make):
        tuner = make(tmp_path / make.__name__, exploding, max_epochs=1)
        with contextlib.suppress(RuntimeError):
            search(tuner, **SILENT[make])
        assert {t.status for t in tuner.oracle.trials.values()} == {"FAILED"}

    only_ours_passes(check)


def test_9_every_failure_is_on_disk_with_its_reason(only_ours_passes, tmp_path):
    def check(make):
        tuner = make(tmp_path / make.__name__, failing)
        with pytest.raises(RuntimeError, match="no luck"):
            search(tuner, **SILENT[make])
        for path in Path(tuner.project_dir).glob("trial_*/trial.json"):
            state = json.loads(path.read_text())
            assert state["status"] == "FAILED" and "no luck" in state["message"]

    only_ours_passes(check)


@pytest.mark.long
def test_10_tensorflow_without_tensorboard(tmp_path):
    """Without TensorBoard, every stock trial fails on TensorFlow, and none of ours does.

    `test_strangers.py` always checks ours.
    """
    (tmp_path / "tensorboard.py").write_text("raise ImportError('not installed')")
    code = (
        "from tests.hyperband.test_stock_defects import *\n"
        "for make in (stock, ours):\n"
        "    tuner = make(Path(make.__name__), max_epochs=1, factor=2)\n"
        "    with contextlib.suppress(RuntimeError):\n"
        "        search(tuner, verbose=0)\n"
        "    print(make.__name__, *{t.status for t in tuner.oracle.trials.values()})"
    )
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    outcomes = [line for line in result.stdout.splitlines() if line.startswith(("stock", "ours"))]
    assert outcomes == ["stock FAILED", "ours COMPLETED"], result.stdout[-2000:]


def test_11_only_needed_checkpoints_stay(only_ours_passes, searched):
    def check(make):
        tuner, folder, _ = searched(make)
        kept = len(list(folder.glob("trial_*/checkpoint.weights.h5")))
        assert kept < len(tuner.oracle.trials)

    only_ours_passes(check)


def test_12_every_epoch_is_kept(only_ours_passes, searched):
    def check(make):
        tuner, folder, _ = searched(make)
        for trial_id, trial in tuner.oracle.trials.items():
            path = folder / f"trial_{trial_id}" / "history.csv"
            assert path.exists()
            values = trial.hyperparameters.values
            epochs = range(values["tuner/initial_epoch"] + 1, values["tuner/epochs"] + 1)
            assert list(pd.read_csv(path).epoch) == list(epochs)

    only_ours_passes(check)


def test_13_the_best_are_among_the_longest_trained(only_ours_passes, searched):
    """The objective falls with each epoch, so the shortest trials have the best scores."""

    def check(make):
        tuner, _, _ = searched(make)
        for hyperparameters in tuner.get_best_hyperparameters(3):
            assert hyperparameters.values["tuner/epochs"] == 4

    only_ours_passes(check)


def test_14_chief_and_workers_are_refused(tmp_path, monkeypatch):
    """Our class has its own worker processes, which are replaced when they die."""
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(BadInput, match="KERASTUNER_ORACLE_IP"):
        ours(tmp_path)
