"""A search that is killed goes on where it was; one that cannot succeed says why."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
import types

import pandas as pd
import pytest

from shared_keras import search
from shared_keras.space import Space
from tests.conftest import MNIST

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def trials(results, name):
    path = results / MNIST.name / "searches" / name / "trials.csv"
    return pd.read_csv(path, dtype=str).drop(columns="seconds")


STOPS = {"kill": (signal.SIGKILL, -signal.SIGKILL), "ctrl-c": (signal.SIGINT, 130)}


@pytest.mark.parametrize(("how", "code"), STOPS.values(), ids=STOPS)
def test_the_same_command_goes_on(small_dirs, tmp_path, capsys, how, code):
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    words = ["--quick", "--name", "cut", *places]
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_keras.search", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("2/6"):
            time.sleep(0.3)  # into the next trial
            process.send_signal(how)
            break
    rest, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    if how == signal.SIGINT:
        assert "The same command goes on from here" in rest
    assert not (tmp_path / "mnist" / "searches" / "cut" / "best.json").exists()

    assert search.main(MNIST, words) == 0
    out = capsys.readouterr().out
    assert "Going on with the search" in out and "of 6 trials done" in out
    assert search.main(MNIST, ["--quick", "--name", "whole", *places]) == 0
    pd.testing.assert_frame_equal(trials(tmp_path, "cut"), trials(tmp_path, "whole"))


def test_when_every_trial_fails_the_reason_is_told(small_dirs, tmp_path, capsys, monkeypatch):
    @Space
    def hopeless(hp):
        if hp.Int("units", 1, 1000) > 1:  # KerasTuner's own look at the space succeeds
            raise RuntimeError("no luck today")
        return MNIST.builder("dense").describe(hp)

    monkeypatch.setitem(sys.modules, "broken", types.ModuleType("broken"))
    models = types.ModuleType("broken.models")
    models.regularized = hopeless
    monkeypatch.setitem(sys.modules, "broken.models", models)
    task = dataclasses.replace(MNIST, package="broken")
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    assert search.main(task, ["--quick", *places]) == 1
    err = capsys.readouterr().err
    assert "trials failed, the first: RuntimeError: no luck today" in err
    assert "Traceback" not in err
    table = pd.read_csv(tmp_path / "mnist" / "searches" / "regularized-quick" / "trials.csv")
    assert set(table.status) == {"FAILED"}
    assert set(table.reason) == {"RuntimeError: no luck today"}
