"""Retraining on workers: the same result on any, and what fails or is stopped harms no other."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pandas as pd
import pytest

from shared_keras.command_line import cli
from shared_keras.models.build import keras_model
from shared_keras.processes.local_pool import LocalPool
from shared_keras.systems.spec import System
from tests.commands.test_interruption import hear_ctrl_c
from tests.conftest import FASHION, MNIST, TASKS
from tests.shares import dealt

ROOT = Path(__file__).parents[2]
RECIPE = {"fashion": "lab4-ffv3", "mnist": "dense"}


@pytest.fixture
def retrain(small_dirs, tmp_path, capsys):
    """Retrain on small data; return the exit code, the output and the folder of the runs."""

    def run(task, name, *words):
        places = ["--data-dir", small_dirs[task.name], "--results-dir", tmp_path / name]
        capsys.readouterr()
        code = cli.main(task, "retrain", [str(word) for word in (*words, *places)])
        return code, capsys.readouterr(), tmp_path / name / task.name / "runs"

    return run


def result(run):
    """Return all that a run reached, without the time it took."""
    metrics = json.loads((run / "metrics.json").read_text())
    history = pd.read_csv(run / "history.csv").drop(columns="seconds").to_csv()
    model = keras.saving.load_model(run / "model.keras", compile=False)
    timeless = {k: v for k, v in metrics.items() if not k.startswith("seconds")}
    return timeless, history, [weights.tobytes() for weights in model.get_weights()]


def seeds(runs):
    (group,) = runs.iterdir()
    return {int(path.name.removeprefix("seed-")): result(path) for path in group.glob("seed-*")}


def only(runs):
    (run,) = runs.iterdir()
    return result(run)


@pytest.mark.long(only=True)
def test_the_number_of_workers_does_not_matter(retrain):
    """Nor that the seed runs in this process, if this has the settings of workers, as in tests."""
    words = ["--recipe", RECIPE["mnist"], "--epochs", 1]
    code, said, two = retrain(MNIST, "two", *words, "--runs", 2, "--workers", 2)
    assert code == 0 and said.err == ""
    assert said.out.startswith("2 runs on 2 workers of one thread each\n")
    assert "epoch 1/1" not in said.out
    for seed in (0, 1):
        assert f"/2  recipe dense, seed {seed}, " in said.out
    assert "recipe dense, 2 of 2 seeds\n" in said.out and "(n = 2)" in said.out
    found = seeds(two)
    assert found[0] != found[1] and set(found) == {0, 1}
    _, _, here = retrain(MNIST, "here", *words, "--seed", 1)
    assert only(here) == found[1]


@pytest.mark.long(only=True)
def test_a_cluster_brings_the_same_and_all_its_files(retrain):
    """Without pauses; with them, `test_resuming.py` always sees the same of MNIST."""
    pytest.importorskip("ray")
    words = ["--recipe", RECIPE["fashion"], "--epochs", 1, "--runs", 2]
    code, said, there = retrain(FASHION, "there", *words, "--cluster", "local", "--workers", 1)
    assert code == 0, said.err
    _, _, here = retrain(FASHION, "here", *words, "--workers", 1)
    assert seeds(there) == seeds(here)

    def names(runs):
        return sorted(str(path.relative_to(runs))[16:] for path in runs.rglob("*"))

    assert names(there) == names(here)


@pytest.mark.long(only=True)
def test_twins_train_on_workers(retrain):
    pytest.importorskip("torch")
    words = ["--recipe", RECIPE["mnist"], "--epochs", 1, "--torch"]
    code, said, runs = retrain(MNIST, "two", *words, "--runs", 2, "--workers", 1)
    assert code == 0 and "/2  twin of recipe dense, seed 1" in said.out
    assert len(list(runs.rglob("model.pt"))) == 2
    _, _, here = retrain(MNIST, "here", *words, "--seed", 1)
    assert only(here) == seeds(runs)[1]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("workers", [(), pytest.param(("--workers", 1), marks=pytest.mark.long)])
def test_what_keras_cuts_short_has_not_stopped_early(retrain, monkeypatch, workers):
    before = keras.config.max_epochs()
    keras.config.set_max_epochs(2)  # as KERAS_MAX_EPOCHS does when Keras is imported
    try:
        words = ["--recipe", RECIPE["mnist"], "--epochs", 4, *workers]
        code, said, runs = retrain(MNIST, "cut", *words)
    finally:
        keras.config.set_max_epochs(before)
    assert code == 0 and said.err == ""
    assert "KERAS_MAX_EPOCHS ends the training after 2\n" in said.out
    metrics = only(runs)[0]
    assert (metrics["epochs_trained"], metrics["stopped_early_by"]) == (2, None)


@pytest.mark.long(only=True)
def test_a_single_run_needs_no_worker_but_can_have_one(retrain, monkeypatch):
    words = ["--recipe", RECIPE["mnist"], "--epochs", 1]
    precision = ["--precision", "mixed_bfloat16"]
    try:
        code, said, runs = retrain(MNIST, "there", *words, *precision, "--workers", 1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert code == 0 and said.out.startswith("1 run on 1 worker of one thread each\n")
    (run,) = runs.iterdir()
    model = keras.saving.load_model(run / "model.keras")
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    environment = json.loads((run / "environment.json").read_text())
    assert "loky" not in environment["command"] and "versions" in environment

    monkeypatch.delattr(LocalPool, "workers")
    code, said, _ = retrain(MNIST, "here", *words)
    assert code == 0 and "\nepoch 1/1  loss" in said.out


class Deadly(System):
    """Becomes something in a worker that ends it."""

    def __reduce__(self):
        return End, ()


class End:
    """Ends the process that looks at what it has."""

    def __getattr__(self, name):
        os._exit(9)


@pytest.mark.long(only=True)
def test_a_run_that_fails_is_one_sentence_and_the_others_are_kept(retrain):
    recipe = MNIST.recipes["mlp"]
    layers, optimizer = recipe.system.layers, recipe.system.optimizer
    wild = dataclasses.replace(optimizer, learning_rate=1e30, schedule=None)
    systems = {
        "good": System(layers, optimizer),
        "wild": System(layers, wild),
        "deadly": Deadly(layers, optimizer),
    }
    recipes = {name: dataclasses.replace(recipe, system=each) for name, each in systems.items()}
    task = dataclasses.replace(MNIST, recipes=recipes)
    code, said, runs = retrain(task, "all", "--recipe", "all", "--epochs", 1, "--workers", 1)
    assert code == 1 and said.err.count("\n") == 1
    assert (
        "error: 2 of 3 runs failed: recipe wild, seed 0: the loss became nan in epoch 1" in said.err
    )
    (wild,) = runs.glob("*wild")
    assert f"{wild / 'history.csv'}; recipe deadly, seed 0: its worker process died" in said.err
    assert [path.parent.name[16:] for path in runs.rglob("metrics.json")] == ["recipe-good"]
    assert "/3  recipe good, seed 0, " in said.out and ": failed, the loss became nan" in said.out

    code, said, _ = retrain(task, "one", "--recipe", "wild", "--epochs", 1)
    assert code == 1 and "error: the loss became nan in epoch 1; see " in said.err


@pytest.mark.long(only=True)
def test_ctrl_c_keeps_what_is_finished(small_dirs, tmp_path):
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    words = ["--recipe", "dense", "--runs", "9", "--epochs", "3", "--workers", "2", *places]
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_keras.retrain", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    for line in process.stdout:
        if line.startswith("1/9"):
            process.send_signal(signal.SIGINT)
            break
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    ended = list(tmp_path.rglob("metrics.json"))
    said = int(re.search(r"(\d) of 9 runs have ended; the same command resumes", rest)[1])
    assert 1 <= said <= len(ended) <= said + 2  # two workers may have been about to tell
    assert all(result(path.parent) for path in ended)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_a_run_costs_is_what_its_layers_multiply(task):
    for name in ("cnn", "mlp", *(name for name in task.recipes if name == "lab4-cnn")):
        system = task.system(task.recipes[name].system)
        expected = 0
        for layer in keras_model(system).layers:
            if hasattr(layer, "kernel"):
                expected += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        assert system.multiplications() == expected, name


# From the quickest to the one that takes longest.
ALL = ["dense", "regularized", "mlp", "cnn"]
SHORT = ["dense", "mlp"]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("names", dealt([SHORT, ALL], [SHORT]), ids=len)
def test_all_trains_every_recipe_and_begins_with_the_longest(retrain, names):
    task = dataclasses.replace(MNIST, recipes={name: MNIST.recipes[name] for name in names})
    code, said, runs = retrain(task, "all", "--recipe", "all", "--epochs", 1, "--workers", 1)
    assert code == 0
    labels = {path.parent.name[16:] for path in runs.rglob("metrics.json")}
    assert labels == {f"recipe-{name}" for name in names}
    begun = [line.split("'")[1] for line in said.out.splitlines() if line.startswith("mnist-data")]
    assert begun == names[::-1]
