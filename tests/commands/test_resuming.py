"""A retraining that is interrupted goes on as if it had not been, bit by bit."""

import dataclasses
import errno
import os
import random
import re
import signal
import subprocess
import sys
import time
from importlib import metadata

import pytest

from shared_keras import devices, files
from shared_keras.command_line import cli
from shared_keras.commands.retraining import kept, session
from shared_keras.processes import lock
from shared_keras.reporting import run_report
from shared_keras.results import history_csv, names, run_folders, saved_models
from shared_keras.results.settings import RunSettings
from tests.commands.test_retraining import ROOT, result
from tests.conftest import FASHION, MNIST
from tests.shares import dealt

# Noise, batch norm and a rate that moves with each epoch; dropout and a rate that moves with each
# batch; images that are mirrored and moved at random.
COURSES = [(MNIST, "mlp", ()), (FASHION, "pytorch-7", ()), (FASHION, "cnn", ("--patience", "2"))]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


class Retrainer:
    """A user who retrains on small data, into one results folder per name."""

    def __init__(self, task, data, parent, capsys):
        self.task, self.data, self.parent, self.capsys = task, data, parent, capsys

    def places(self, name):
        return ["--data-dir", str(self.data), "--results-dir", str(self.parent / name)]

    def run(self, name, *words):
        self.capsys.readouterr()
        code = cli.main(self.task, "retrain", [*map(str, words), *self.places(name)])
        self.said = self.capsys.readouterr()
        return code

    def folders(self, name):
        return sorted((self.parent / name / self.task.name / "runs").iterdir())

    def only(self, name):
        (folder,) = self.folders(name)
        return folder


@pytest.fixture
def user(small_dirs, tmp_path, capsys):
    return lambda task: Retrainer(task, small_dirs[task.name], tmp_path, capsys)


@pytest.fixture
def interrupt(monkeypatch):
    """Interrupt the next training after an epoch, before that is kept."""

    def after(number):
        def stop(epoch, epochs, logs):
            if epoch == number:
                monkeypatch.setattr(run_report, "epoch", lambda *_: None)
                raise Interrupted

        monkeypatch.setattr(kept, "SHARE", 1)  # keep each epoch
        monkeypatch.setattr(run_report, "epoch", stop)

    return after


def epochs_in(runs):
    return sum(len(run_folders.losses_of(path.parent)) for path in runs.rglob(names.HISTORY))


def visible(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.long(every=6)
@pytest.mark.parametrize(
    ("task", "recipe", "more"), dealt(COURSES, COURSES[:1]), ids=lambda v: getattr(v, "name", v)
)
@pytest.mark.parametrize("way", dealt(["keras", "torch"], ["keras"]))
def test_bit_by_bit(user, interrupt, task, recipe, more, way):
    if way == "torch":
        pytest.importorskip("torch")
    user = user(task)
    words = ["--recipe", recipe, "--epochs", 5, *more, *["--torch"] * (way == "torch")]
    assert user.run("whole", *words) == 0, user.said.err
    for number in (3, 4):
        interrupt(number)
        assert user.run("cut", *words) == 130
        folder = user.only("cut")
        assert f"{folder} is left, where {number - 1} of 5 epochs have been kept" in user.said.out
        assert user.said.err.endswith("stopped by Ctrl-C\n")
        assert "metrics.json" not in visible(folder)
        assert len(history_csv.read(folder / "history.csv")["loss"]) == number - 1
    assert user.run("cut", *words) == 0
    assert f"resuming {folder}, where 3 of 5 epochs have been kept" in user.said.out
    assert result(user.only("cut")) == result(user.only("whole"))
    assert visible(user.only("cut")) == visible(user.only("whole"))

    assert user.run("cut", *words) == 0  # it is finished, so this is a new run
    assert len(user.folders("cut")) == 2


@pytest.mark.long(only=True)
@pytest.mark.parametrize("way", dealt(["keras", "torch"], ["torch"]))
def test_early_stopping_remembers_what_it_has_seen(user, interrupt, way):
    """Interrupted after its best epoch, and again when it has just stopped."""
    if way == "torch":
        pytest.importorskip("torch")
    user = user(MNIST)
    words = ["--recipe", "mlp", "--epochs", 60, "--patience", 2, *["--torch"] * (way == "torch")]
    assert user.run("whole", *words) == 0
    metrics = files.read_json(user.only("whole") / "metrics.json")
    assert metrics["epochs_trained"] < 60 and metrics["stopped_early_by"] == "val_accuracy"
    interrupt(metrics["epochs_trained"])  # its best epoch is two before
    assert user.run("cut", *words) == 130
    assert user.run("cut", *words) == 0
    assert result(user.only("cut")) == result(user.only("whole"))


@pytest.mark.long(only=True)
@pytest.mark.parametrize("workers", [(), pytest.param(("--workers", 1), marks=pytest.mark.long)])
def test_what_goes_on_elsewhere_says_so(user, interrupt, monkeypatch, workers):
    """What it began on is kept; nothing is said where nothing differs, or it is not known."""
    user, kind = user(MNIST), devices.processor_kind()
    for name in ("same", "older", "other"):
        words = ["--recipe", "dense", "--epochs", 3]
        interrupt(3)
        assert user.run(name, *words) == 130
        path = user.only(name) / "environment.json"
        began = files.read_json(path)
        assert began["processor"] == kind
        if name == "older":  # as version 0.5 wrote it
            del began["processor"], began["version"]
            settings = files.read_json(path.with_name("settings.json"))
            del settings["monitor"], settings["version"]
            files.write_json(path.with_name("settings.json"), settings)
        elif name == "other":
            began |= {"processor": "abacus", "versions": began["versions"] | {"jax": "0.1"}}
        files.write_json(path, began | {"command": "typed first"})
        assert user.run(name, *words, *workers) == 0, user.said.err
        ended = files.read_json(path)
        assert ended["command"] == "typed first"
        told = [line for line in user.said.out.splitlines() if "began on something else" in line]
        if name == "other":
            now = ended["resumed_on"]
            assert [part["processor"] for part in now] == [kind] and ended["processor"] == "abacus"
            assert len(told) == 1 and f"(abacus, then {kind}; jax 0.1, then " in told[0]
        else:
            assert told == [] and "resumed_on" not in ended


@pytest.mark.long(only=True)
def test_what_was_trained_is_not_trained_again(user, interrupt, monkeypatch):
    """It is interrupted while it saves the model of an early stopping."""
    user = user(MNIST)
    words = ["--recipe", "mlp", "--epochs", 60, "--patience", 1]
    assert user.run("whole", *words) == 0
    interrupt(0)

    def stop(*_):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(saved_models, "save", stop)
        assert user.run("cut", *words) == 130
    interrupt(1)  # would stop it
    assert user.run("cut", *words) == 0
    assert "epoch 1/" not in user.said.out
    assert result(user.only("cut")) == result(user.only("whole"))


@pytest.mark.long(only=True)
def test_other_settings_and_a_run_under_way_are_left_alone(user, interrupt):
    user = user(MNIST)
    words = ["--recipe", "dense", "--epochs", 2]
    interrupt(2)
    assert user.run("cut", *words) == 130
    folder = user.only("cut")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert user.run("cut", *words, "--seed", 1) == 0
    assert user.run("cut", *words, "--runs", 2, "--workers", 1) == 0
    with lock.of(folder):
        assert user.run("cut", *words) == 0
    (folder / lock.FILE).unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(user.folders("cut")) == 4
    assert user.run("cut", *words) == 0
    assert f"resuming {folder}" in user.said.out and len(user.folders("cut")) == 4


@pytest.mark.long(only=True)
def test_an_equal_command_does_not_take_up_what_is_just_being_created(user, monkeypatch):
    """It looks as soon as the settings can be found."""
    user, looks = user(MNIST), []
    words = ["--recipe", "dense", "--epochs", 1]
    write = RunSettings.write

    def look_after(settings, folder):
        write(settings, folder)
        if not looks:
            looks.append(folder)
            assert user.run("both", *words) == 0

    monkeypatch.setattr(RunSettings, "write", look_after)
    assert user.run("both", *words) == 0, user.said.err
    assert "resuming" not in user.said.out and len(user.folders("both")) == 2
    assert all((folder / "metrics.json").exists() for folder in user.folders("both"))


def cut_after_the_first(user, words, monkeypatch):
    """Retrain, interrupted when the first run has ended."""
    finished = run_report.finished

    def stop(*args):
        finished(*args)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(run_report, "finished", stop)
        assert user.run("cut", *words) == 130


@pytest.mark.long(only=True)
def test_of_several_runs_those_that_ended_are_kept(user, monkeypatch):
    """Interrupted when the first of three has ended; `runs` knows that there are three."""
    user = user(MNIST)
    words = ["--recipe", "dense", "--epochs", 2, "--runs", 3, "--workers", 1]
    assert user.run("whole", *words) == 0
    whole = {path.name: result(path) for path in user.only("whole").glob("seed-*")}

    cut_after_the_first(user, words, monkeypatch)
    assert "1 of 3 runs have ended; the same command resumes the others" in user.said.out
    folder = user.only("cut")
    (done,) = folder.glob("*/metrics.json")
    written = done.stat().st_mtime_ns
    assert cli.main(MNIST, "runs", user.places("cut")[2:]) == 0
    assert "1 of 3 seeds" in user.capsys.readouterr().out

    assert user.run("cut", *words) == 0
    assert "2 runs on 1 worker of one thread each\n" in user.said.out
    when = folder.name.removesuffix("-recipe-dense")
    assert f"resuming what began at {when}: 1 of 3 runs have ended\n" in user.said.out
    assert "recipe dense, 3 of 3 seeds" in user.said.out
    assert done.stat().st_mtime_ns == written
    assert {path.name: result(path) for path in user.only("cut").glob("seed-*")} == whole
    assert files.read_json(folder / "summary.json")["n"] == 3


@pytest.mark.long(only=True)
def test_of_all_recipes_those_that_ended_are_kept(user, monkeypatch):
    names = ("dense", "mlp")
    task = dataclasses.replace(MNIST, recipes={name: MNIST.recipes[name] for name in names})
    user = user(task)
    words = ["--recipe", "all", "--epochs", 1, "--workers", 1]
    cut_after_the_first(user, words, monkeypatch)
    assert len(user.folders("cut")) == 2
    assert user.run("cut", *words) == 0
    assert "1 run on 1 worker" in user.said.out
    assert len(user.folders("cut")) == 2
    assert all((folder / "metrics.json").exists() for folder in user.folders("cut"))


@pytest.mark.long(only=True)
def test_what_failed_for_good_is_not_resumed(user):
    recipe = MNIST.recipes["mlp"]
    wild = dataclasses.replace(recipe.system.optimizer, learning_rate=1e30, schedule=None)
    system = dataclasses.replace(recipe.system, optimizer=wild)
    user = user(
        dataclasses.replace(MNIST, recipes={"wild": dataclasses.replace(recipe, system=system)})
    )
    for count in (1, 2):
        assert user.run("nan", "--recipe", "wild", "--epochs", 2) == 1
        assert len(user.folders("nan")) == count
    assert not list(user.parent.rglob(kept.PORT))


def test_a_damaged_state_is_one_sentence(user, interrupt):
    user = user(MNIST)
    words = ["--recipe", "dense", "--epochs", 3]
    interrupt(3)
    assert user.run("cut", *words) == 130
    path = user.only("cut") / kept.PORT
    path.write_bytes(path.read_bytes()[:999])
    assert user.run("cut", *words) == 2
    assert "the same command" not in user.said.out
    assert user.said.err.count("\n") == 1
    assert f"error: {path}: expected what an interrupted training left" in user.said.err


FULL = """
import resource, sys
from mnist_keras.task import TASK
from shared_keras.command_line import cli

size, command = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.argv = sys.argv[2:]
sys.exit(cli.main(TASK, command))
"""


def on_a_full_disk(size, command, *words):
    """Run a command where no file can be larger; return its last line on stderr."""
    process = subprocess.run(
        [sys.executable, "-c", FULL, str(size), command, *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1 and "Traceback" not in process.stderr
    return process.stderr.splitlines()[-1]


@pytest.mark.long(only=True)
def test_on_a_full_disk_a_sentence_names_the_file_and_what_is_left(user, monkeypatch):
    user = user(MNIST)
    words = ["--recipe", "dense", "--epochs", 2, *user.places("full")]
    err = on_a_full_disk(50_000, "retrain", *words)
    folder = user.only("full")
    assert err.endswith(
        f"error: {folder / kept.PORT} cannot be written: File too large; {folder} is left, where "
        "none of 2 epochs have been kept; the same command resumes from there"
    )
    plotly = f"plotly-{metadata.version('plotly')}.min.js"  # as after an earlier search
    (user.parent / "full" / plotly).touch()
    err = on_a_full_disk(100_000, "search", "--quick", *user.places("full"))
    assert re.search(
        r"error: \S+/trial_000\d/\S+ cannot be written: File too large; 0 of 6 trials have "
        "ended, and the same command resumes from there$",
        err,
    )

    def full(model, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    several = ["--recipe", "dense", "--epochs", 2, "--seed", 7]
    with monkeypatch.context() as patch:
        patch.setattr(saved_models, "save", full)
        assert user.run("late", *several) == 1
    model = user.only("late") / saved_models.MODEL
    assert f"error: {model} cannot be written: No space left on device; " in user.said.err
    assert "where 2 of 2 epochs have been kept; the same command resumes" in user.said.err
    assert user.run("late", *several) == 0
    assert "epoch 2/2" not in user.said.out and model.exists()


@pytest.mark.long(only=True)
def test_elsewhere_a_full_disk_is_a_sentence_too(user, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    user = user(MNIST)
    monkeypatch.setattr(files, "write_bytes", full)
    assert cli.main(MNIST, "explore", user.places("full")) == 1
    err = user.capsys.readouterr().err
    assert err.endswith(
        "examples.png cannot be written: No space left on device; what was "
        "written before is whole\n"
    )
    assert "OSError" not in err


def test_a_file_is_named_whatever_could_not_write_it(tmp_path):
    with pytest.raises(OSError) as caught, files.replacing(tmp_path / "a.npz"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value.filename) == str(tmp_path / "a.npz")


@pytest.mark.long(only=True)
@pytest.mark.parametrize("framework", dealt(["keras", "torch"], ["keras"]))
def test_a_cluster_brings_home_what_it_has(user, monkeypatch, framework):
    """Each run pauses after each epoch, and resumes on whichever worker is idle."""
    pytest.importorskip("ray")
    pytest.importorskip("torch")
    user = user(MNIST)
    words = ["--recipe", "mlp", "--epochs", 3, "--runs", 2, *["--torch"] * (framework == "torch")]
    assert user.run("here", *words, "--workers", 1) == 0
    monkeypatch.setattr(session, "PAUSE", 0)
    told = []
    monkeypatch.setattr(session.current_epoch, "tell", lambda folder, epoch: told.append(epoch))
    assert user.run("there", *words, "--cluster", "local", "--workers", 1) == 0, user.said.err
    assert sorted(told) == [1, 1, 2, 2]
    for seed in ("seed-0", "seed-1"):
        assert result(user.only("there") / seed) == result(user.only("here") / seed)
        assert visible(user.only("there") / seed) == visible(user.only("here") / seed)


@pytest.mark.parametrize("moment", dealt(range(10), []))
def test_killed_at_any_moment(user, moment):
    """Killed, then terminated, and then left in peace."""
    user, chance = user(MNIST), random.Random(moment)
    words = ["--recipe", "mlp", "--epochs", 25, "--runs", 2, "--workers", 2]
    assert user.run("whole", *words) == 0
    command = [sys.executable, "-m", "mnist_keras.retrain", *map(str, words), *user.places("cut")]
    runs, kept_before = user.parent / "cut" / MNIST.name / "runs", 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None and epochs_in(runs) == kept_before:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err and process.returncode != 0
        kept_before = epochs_in(runs)
    assert user.run("cut", *words) == 0
    assert "resuming what began at" in user.said.out
    folder = user.only("cut")
    for seed in ("seed-0", "seed-1"):
        assert result(folder / seed) == result(user.only("whole") / seed)
    assert not list(folder.rglob(".*")) and not list(folder.rglob(kept.PORT))
