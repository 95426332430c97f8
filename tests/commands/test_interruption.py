"""A killed search resumes where it stopped; one that cannot succeed says why."""

import contextlib
import dataclasses
import importlib
import json
import random
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pandas as pd
import pytest

from shared_keras import interrupts
from shared_keras.command_line import cli
from shared_keras.hyperband.space import Space
from tests.conftest import MNIST
from tests.shares import dealt

ROOT = Path(__file__).parents[2]


NAMES = ("number", "name", "code")
CTRL_C, SIGTERM = (signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)
STOPPED = pytest.mark.parametrize(NAMES, [CTRL_C, SIGTERM])
STOPPED_IN_SEARCH = pytest.mark.parametrize(
    NAMES, [CTRL_C, pytest.param(*SIGTERM, marks=pytest.mark.long)]
)


def hear_ctrl_c():
    """Handle SIGINT as in a terminal, even if the tests run in a background job that ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Searcher:
    """A user who searches on small data."""

    def __init__(self, data, results):
        self.results = results
        self.places = ["--data-dir", str(data), "--results-dir", str(results)]

    def words(self, name):
        return ["--quick", "--space", "dense", "--name", name, *self.places]

    def start(self, name, *more):
        """Start a search in its own process, with several workers."""
        words = [*self.words(name), "--workers", "2", *more]
        return subprocess.Popen(
            [sys.executable, "-m", "mnist_keras.search", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,
        )

    def folder(self, name):
        return self.results / MNIST.name / "searches" / name

    def trials(self, name):
        return pd.read_csv(self.folder(name) / "trials.csv", dtype=str).drop(columns="seconds")

    def ended(self, name):
        """Return the trials that ended, according to their files."""
        files = self.folder(name).glob("trial_*/trial.json")
        states = [json.loads(path.read_text()) for path in files]
        return {s["trial_id"] for s in states if s["status"] in ("COMPLETED", "FAILED")}


@pytest.fixture(scope="module")
def user(small_dirs, tmp_path_factory):
    """A user who has run one search without interruption."""
    user = Searcher(small_dirs["mnist"], tmp_path_factory.mktemp("results"))
    assert cli.main(MNIST, "search", user.words("whole")) == 0
    return user


@pytest.mark.long(only=True)
@STOPPED_IN_SEARCH
def test_after_it_the_same_command_goes_on(user, capsys, number, name, code):
    name = name.lower()
    process = user.start(name)
    for line in process.stdout:
        if line.startswith("2/6"):
            time.sleep(0.3)  # until the next trials are running
            process.send_signal(number)
            break
    rest, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert re.search(r"^\d of 6 trials have ended; the same command resumes from here", rest, re.M)
    assert not (user.folder(name) / "best.json").exists()

    assert cli.main(MNIST, "search", user.words(name)) == 0
    out = capsys.readouterr().out
    assert "Resuming the search" in out and "of 6 trials done" in out
    pd.testing.assert_frame_equal(user.trials(name), user.trials("whole"))


HEARD = """
import ctypes, gc, signal, sys, time, types
from mnist_keras.task import TASK
from shared_keras.command_line import cli

number = int(sys.argv.pop())

def run(task, args):
    gc.callbacks.append(lambda *_: gc.callbacks.clear() or signal.raise_signal(number))
    gc.collect()
    for _ in range(200):  # a signal just before a long sleep would wait for its end
        time.sleep(0.1)

ctypes.CDLL(None).__cxa_atexit(ctypes.CDLL(None).abort, None, None)
sys.modules["shared_keras.commands.retrain"] = types.SimpleNamespace(run=run)
sys.argv[1:] = ["--recipe", "mlp"]
sys.exit(cli.main(TASK, "retrain"))
"""


@STOPPED
def test_it_is_heard_where_python_ignores_it_and_ends_without_a_crash(number, name, code):
    """In a callback of the garbage collector, as JAX has; and although XLA aborts at the end."""
    command = [sys.executable, "-c", HEARD, str(int(number))]
    process = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, preexec_fn=hear_ctrl_c
    )
    assert process.returncode == code, process.stderr
    assert process.stderr == f"python -m mnist_keras.retrain: stopped by {name}\n"


def test_one_sigterm_is_heard_and_a_second_does_not_interrupt_the_cleaning_up():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with interrupts.heard():
            with pytest.raises(interrupts.Terminated):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


FIRST = pytest.param(0, marks=pytest.mark.long(every=2))


@pytest.mark.parametrize("moment", [FIRST, *dealt(range(1, 10), [])])
def test_killed_at_any_moment_nothing_is_lost(user, capsys, moment):
    """Kill it twice, each time after a random delay; then the same command finishes it."""
    name, chance = f"kill-{moment}", random.Random(moment)
    kept: set[str] = set()
    for _ in range(2):
        process = user.start(name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(2, 7))
        process.kill()
        process.communicate()
        assert kept <= user.ended(name)
        kept = user.ended(name)
    before = {i: (user.folder(name) / f"trial_{i}" / "trial.json").stat().st_mtime for i in kept}
    assert cli.main(MNIST, "search", user.words(name)) == 0
    capsys.readouterr()
    pd.testing.assert_frame_equal(user.trials(name), user.trials("whole"))
    for trial, written in before.items():  # trials that had ended were not run again
        assert (user.folder(name) / f"trial_{trial}" / "trial.json").stat().st_mtime == written
    assert not list(user.folder(name).rglob("*.tmp-*"))


@pytest.mark.long(only=True)
def test_when_every_trial_fails_the_reason_is_told(small_dirs, tmp_path, capsys, monkeypatch):
    @Space
    def hopeless(hp):
        if hp.Int("units", 1, 1000) > 1:  # KerasTuner's own first build succeeds
            raise RuntimeError("no luck today")
        return MNIST.builder("dense").describe(hp)

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "broken", importlib.import_module("broken"))
    models = types.ModuleType("broken.models")
    models.regularized = hopeless
    monkeypatch.setitem(sys.modules, "broken.models", models)
    task = dataclasses.replace(MNIST, package="broken")
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    for _ in range(2):  # the same command reports it again
        assert cli.main(task, "search", ["--quick", "--name", "mine", *places]) == 1
        err = capsys.readouterr().err
        assert (
            "every trial of a first rung failed, the first with RuntimeError: no luck today" in err
        )
        assert "Traceback" not in err
    table = pd.read_csv(tmp_path / "mnist" / "searches" / "mine" / "trials.csv")
    assert set(table.status) == {"FAILED"}
    assert set(table.reason) == {"RuntimeError: no luck today"}
