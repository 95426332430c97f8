"""Callbacks that write to one path: each trial has files of its own; the user gets the winner's."""

import csv
import functools
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import files
from shared_keras.hyperband import Hyperband, winner_files
from shared_keras.hyperband.trials import callback_files
from shared_keras.results import history_csv
from tests.hyperband.small_search import X, Y, build, make, outcome, search
from tests.shares import dealt


def checkpoint(path, **options):
    return keras.callbacks.ModelCheckpoint(path, save_weights_only=True, **options)


def best(path):
    return checkpoint(path, monitor="val_accuracy", mode="max", save_best_only=True)


class OwnCheckpoint(keras.callbacks.ModelCheckpoint):
    pass


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What a search without callbacks finds."""
    return outcome(search(make(tmp_path_factory.mktemp("plain"))))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.long(only=True)
def test_the_users_paths_hold_what_the_winner_wrote(tmp_path, plain, capfd):
    """Three of Keras's callbacks, by relative and absolute paths; nothing else is changed."""
    callbacks = [
        best(tmp_path / "models" / "best.weights.h5"),
        keras.callbacks.BackupAndRestore("backup"),
        keras.callbacks.CSVLogger("log.csv"),
        OwnCheckpoint("whole.keras"),
    ]
    tuner = search(make("r", callback=None), callbacks=callbacks, verbose=1)
    assert outcome(tuner) == plain
    winner = tuner.winner()
    (model,) = tuner.get_best_models()
    expected = model.get_weights()
    model.load_weights("models/best.weights.h5")
    np.testing.assert_equal(model.get_weights(), expected)
    history = history_csv.read(tuner.folder(winner.trial_id) / "history.csv")
    assert [float(row["loss"]) for row in rows("log.csv")] == history["loss"]
    assert keras.models.load_model("whole.keras").count_params() == model.count_params()
    for trial in tuner.oracle.trials:
        assert (tuner.folder(trial) / "callbacks/log.csv").exists()
        assert not (tuner.folder(trial) / "callbacks/backup").exists()
    line = (
        f"{tmp_path}/models/best.weights.h5, log.csv and whole.keras hold what the winner, "
        f"trial {winner.trial_id}, wrote; the other trials' files are in their folders, below "
        "callbacks."
    )
    assert line in " ".join(capfd.readouterr().out.split())
    assert {path.name for path in tmp_path.iterdir()} == {"models", "r", "log.csv", "whole.keras"}


@pytest.mark.long(only=True)
def test_a_later_winner_takes_the_place_of_an_earlier_one(tmp_path):
    """Files with other names vanish; what was there before the search does, too."""
    path = "runs/{epoch:02d}/{val_loss:.6f}.weights.h5"
    logs = [keras.callbacks.CSVLogger("runs/log.csv"), keras.callbacks.CSVLogger("runs/log.csv")]
    Path("runs").mkdir()
    Path("runs/log.csv").write_text("of an earlier training")
    tuner = search(make("r", max_trials=1), callbacks=[checkpoint(path), *logs])
    first = list(Path("runs").rglob("*.h5"))
    assert len(first) == 1 and len(rows("runs/log.csv")) == 1
    tuner = search(make("r"), callbacks=[checkpoint(path), *logs])
    history = history_csv.read(tuner.folder(tuner.winner().trial_id) / "history.csv")
    begun = len(rows(Path("runs/log.csv")))
    assert begun == len(history["loss"])
    losses = [f"{loss:.6f}.weights.h5" for loss in history["val_loss"]]
    assert sorted(path.name for path in Path("runs").rglob("*.h5")) == sorted(losses)


@pytest.mark.long(only=True)
def test_a_log_that_is_appended_to_keeps_what_was_there():
    """It gets the epochs of the trials that the winner resumes, too."""
    Path("log.csv").write_text("epoch,accuracy,loss,val_accuracy,val_loss\n7,1,1,1,1\n")
    log = keras.callbacks.CSVLogger("log.csv", append=True)
    tuner = make("r", functools.partial(build, optimizer="adam"))
    search(tuner, callbacks=[log])
    assert tuner.winner().hyperparameters.values["tuner/initial_epoch"] == 1  # a promoted one
    assert [row["epoch"] for row in rows("log.csv")] == ["7", "0", "1"]


class Winners:
    """Stands for a tuner whose trials have written files: `bring` needs no more of it."""

    def __init__(self, folder):
        self.project_dir, self.oracle = Path(folder), SimpleNamespace(trials={})

    def folder(self, trial_id):
        return self.project_dir / f"trial_{trial_id}"

    def winner(self):
        return list(self.oracle.trials.values())[-1]

    def wins(self, trial_id, callbacks, **written):
        """Have a trial win that wrote these files, and return what the line says."""
        hp = keras_tuner.HyperParameters()
        hp.values = {"tuner/epochs": 1, "tuner/initial_epoch": 0, "tuner/bracket": 0}
        trial = keras_tuner.engine.trial.Trial(hp, trial_id)
        self.oracle.trials.pop(trial_id, None)
        self.oracle.trials[trial_id] = trial
        folder = self.folder(trial_id) / "callbacks"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in written.items():
            (folder / name.replace("_", ".")).write_text(text)
        said = []
        winner_files.bring(self, callbacks, said.append)
        return " ".join(said)


def test_what_the_user_changed_stays(tmp_path):
    """Whether the winner is the same or another one; a line says so."""
    tuner, callbacks = Winners("r"), [keras.callbacks.ModelCheckpoint("m{epoch}.keras")]
    one, two = Path("m1.keras"), Path("m2.keras")
    tuner.wins("A", callbacks, m1_keras="A1", m2_keras="A2")
    one.write_text("mine")
    two.unlink()
    tuner.wins("A", callbacks)
    assert (one.read_text(), two.read_text()) == ("mine", "A2")
    line = tuner.wins("B", callbacks, m1_keras="B1", m3_keras="B3")
    assert one.read_text() == "mine" and f"{tmp_path}/m1.keras stayed as you left it" in line
    assert not two.exists() and Path("m3.keras").read_text() == "B3"
    line = tuner.wins("C", callbacks, m1_keras="C1")
    assert one.read_text() == "mine" and "stayed" in line and "trial_C" in line
    assert tuner.wins("D", callbacks, m2_keras="D2").startswith("m{epoch}.keras holds")
    assert one.read_text() == "mine" and not Path("m3.keras").exists()


@pytest.mark.parametrize("before", ["", "e,l\n7,7\n", "e,l\n7,7"])
def test_a_log_has_the_rows_of_one_winner(before, monkeypatch):
    """Below what was there; also if the search was stopped before it could note what it wrote."""
    log = Path("log.csv")
    if before:
        log.write_text(before)
    tuner, callbacks = Winners("r"), [keras.callbacks.CSVLogger("log.csv", append=True)]
    write = files.write_json

    def stop(path, value):
        if value["trial"] == "A":
            raise KeyboardInterrupt
        write(path, value)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "write_json", stop)
        tuner.wins("A", callbacks, log_csv="e,l\n0,1\n")
    first = [{"e": "7", "l": "7"}] if before else []
    assert rows(log) == [*first, {"e": "0", "l": "1"}]
    tuner.wins("A", callbacks)
    assert rows(log) == [*first, {"e": "0", "l": "1"}]
    tuner.wins("B", callbacks, log_csv="e,l\n0,2\n")
    assert rows(log) == [*first, {"e": "0", "l": "2"}]


def test_a_link_stays_a_link():
    Path("disk").mkdir()
    Path("best.keras").symlink_to("disk/best.keras")
    tuner, callbacks = Winners("r"), [keras.callbacks.ModelCheckpoint("best.keras")]
    for trial in "AB":
        tuner.wins(trial, callbacks, best_keras=trial)
        assert Path("best.keras").is_symlink() and Path("disk/best.keras").read_text() == trial


def test_what_was_there_before_the_search_is_named():
    """A checkpoint takes its place, as in Keras."""
    Path("best.keras").write_text("before")
    line = Winners("r").wins("A", [keras.callbacks.ModelCheckpoint("best.keras")], best_keras="A")
    assert Path("best.keras").read_text() == "A"
    assert "and no longer what was in best.keras before" in line


@pytest.mark.long(only=True)
def test_a_trial_restores_no_backup_of_another_run(plain):
    """Neither its parent's, which is complete, nor that of a run that was interrupted."""
    backup = [keras.callbacks.BackupAndRestore("backup", delete_checkpoint=False)]
    search(make("r", max_trials=1), callbacks=backup)
    left = Path("r/p/trial_0001/callbacks/backup")
    left.mkdir(parents=True)
    for name in ("latest.weights.h5", "training_metadata.json"):
        (left / name).write_bytes(Path("r/p/trial_0000/callbacks/backup", name).read_bytes())
        Path("backup", name).write_bytes((left / name).read_bytes())
    assert outcome(search(make("r"), callbacks=backup)) == plain


class OwnFit(keras_tuner.HyperModel):
    """A hypermodel that has its own `fit` write to a path, and reads what it wrote."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, callbacks, **options):
        begun = []
        noting = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: begun.append(time.time())
        )
        path = self.path.format(trial=callbacks[0].trial_folder.name)
        own = [noting, checkpoint(path)]
        history = model.fit(*args, callbacks=[*callbacks, *own], **options)
        expected = model.get_weights()
        model.load_weights(path)
        np.testing.assert_equal(model.get_weights(), expected)
        (callbacks[0].trial_folder / "span").write_text(f"{begun[0]} {time.time()}")
        return history


@pytest.mark.long(only=True)
@pytest.mark.parametrize("path", ["last.weights.h5", "{trial}.weights.h5"])
def test_trials_whose_own_fit_writes_to_one_path_wait_for_each_other(path, capfd):
    tuner = search(make("r", OwnFit(path), callback=None, workers=2), verbose=1)
    assert list(tuner.results().status) == ["COMPLETED"] * 5
    spans = [tuple(map(float, span.read_text().split())) for span in Path("r").rglob("span")]
    times = [time for span in sorted(spans) for time in span]
    said = " ".join(capfd.readouterr().out.split())
    waited = "own fit gives ModelCheckpoint the path last.weights.h5; given to search()," in said
    one = "{" not in path
    assert len(spans) == 5 and waited == one and (times == sorted(times) or not one)


class Writing(keras.callbacks.Callback):
    """A callback of the user's own, which appends to a file in its trial's folder."""

    def on_epoch_end(self, epoch, logs=None):
        with open(self.trial_folder / "written", "a") as file:
            file.write(f"{epoch}\n")


class Here(Hyperband):
    """Trains in this process."""

    def on_epoch_end(self, trial, model, epoch, logs=None):
        pass


@pytest.mark.parametrize("kind", dealt([Hyperband, Here], [Here]))
def test_where_trials_train_makes_no_difference(kind, plain):
    options = {"max_epochs": 2, "factor": 2, "seed": 3, "directory": "r", "project_name": "p"}
    tuner = kind(build, "val_accuracy", **options)
    search(tuner, callbacks=[Writing(), keras.callbacks.CSVLogger("log.csv")])
    assert outcome(tuner) == plain
    for trial in tuner.oracle.trials.values():
        epochs = range(
            *(trial.hyperparameters.get(f"tuner/{n}") for n in ("initial_epoch", "epochs"))
        )
        expected = [str(epoch) for epoch in epochs]
        folder = tuner.folder(trial.trial_id)
        assert (folder / "written").read_text().split() == expected
        assert [row["epoch"] for row in rows(folder / "callbacks/log.csv")] == expected
    assert rows("log.csv") == rows(tuner.folder(tuner.winner().trial_id) / "callbacks/log.csv")


@pytest.mark.long(only=True)
def test_of_several_trainings_the_best_comes_first():
    """Its files are the user's, and its weights are those of the trial."""
    callbacks = [best("best.weights.h5"), keras.callbacks.CSVLogger("log.csv")]
    data = {"x": X, "y": Y, "validation_data": None, "callbacks": callbacks}
    tuner = search(make("r", folds=3), **data)
    (model,) = tuner.get_best_models()
    expected = model.get_weights()
    model.load_weights("best.weights.h5")
    np.testing.assert_equal(model.get_weights(), expected)
    for trial in tuner.oracle.trials.values():
        folders = sorted(tuner.folder(trial.trial_id).glob("callbacks*"))
        scores = [max(float(r["val_accuracy"]) for r in rows(f / "log.csv")) for f in folders]
        assert folders[0].name == "callbacks" and scores[0] == max(scores) and len(scores) == 3


def test_models_of_other_trials_are_deleted_with_their_checkpoints():
    callbacks = [checkpoint("{epoch}.weights.h5"), keras.callbacks.CSVLogger("log.csv")]
    tuner = search(make("r", keep_checkpoints=0), callbacks=callbacks)
    kept = {path.parts[-3] for path in Path("r").rglob("callbacks/*.h5")}
    assert kept == {f"trial_{tuner.winner().trial_id}"}
    assert len(list(Path("r").rglob("callbacks/log.csv"))) == len(tuner.oracle.trials)
    assert list(Path(".").glob("*.h5"))


def separated(callback, here, folder):
    callback_files.separate([callback], Path(here), Path(folder), 1)
    return callback


def test_paths_move_as_they_are_given(tmp_path):
    """Relative ones start where the search does; braces in a folder are no placeholders."""
    moved = separated(checkpoint("a/../b/{epoch}/m.weights.h5"), "/here", tmp_path / "{x}")
    assert moved._get_file_path(0, None, {}) == f"{tmp_path}/{{x}}/callbacks-1/1/m.weights.h5"
    backup = separated(keras.callbacks.BackupAndRestore(Path("epoch")), "/here", tmp_path)
    folder = tmp_path / "callbacks-1" / "epoch"
    assert backup.backup_dir == folder and backup.save_freq == "epoch"
    assert str(backup._weights_path) == f"{folder}/latest.weights.h5"
    bucket = separated(checkpoint("gs://bucket/m.weights.h5"), "/here", tmp_path)
    assert bucket.filepath == "gs://bucket/m.weights.h5" and bucket.trial_folder == tmp_path


def test_a_path_that_cannot_be_written_is_named():
    Path("log.csv").mkdir()
    with pytest.raises(RuntimeError, match=r"/log.csv: what the winner's .*Is a directory"):
        search(make("r", max_trials=1), callbacks=[keras.callbacks.CSVLogger("log.csv")])
    assert set(make("r", max_trials=1).results().status) == {"COMPLETED"}


class Keeping(keras.callbacks.Callback):
    """A callback of the user's own that chooses names like ours."""

    def on_train_begin(self, logs=None):
        (self.trial_folder / "callbacks-mine").mkdir(exist_ok=True)
        for name in ("callbacks.log", "callbacks-mine/m.keras"):
            (self.trial_folder / name).write_text("kept")


def test_names_like_ours_are_the_users():
    """When a trial starts over, and when the models of others are deleted."""
    left = Path("r/p/trial_0000")
    (left / "callbacks-mine").mkdir(parents=True)
    for name in ("callbacks.log", "callbacks-mine/m.keras", "callbacks-mine/earlier"):
        (left / name).write_text("kept")
    tuner = search(make("r", keep_checkpoints=0), callbacks=[Keeping()])
    for trial in tuner.oracle.trials:
        assert (tuner.folder(trial) / "callbacks.log").exists()
        assert (tuner.folder(trial) / "callbacks-mine/m.keras").exists()
    assert (left / "callbacks-mine/earlier").exists()


def test_no_folder_is_named_like_a_placeholder():
    callbacks = [checkpoint("m/{epoch}/m.weights.h5"), keras.callbacks.CSVLogger("log.csv")]
    search(make("r", max_trials=1), callbacks=callbacks)
    folders = Path("r").rglob("callbacks/**/")
    assert [path.name for path in folders] == ["callbacks", "m", "1"]
    assert Path("m/1/m.weights.h5").exists()
