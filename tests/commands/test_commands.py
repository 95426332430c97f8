"""Each command as a user types it, on small real data, for both tasks."""

import dataclasses
import itertools
import json
import os
import re

import keras
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from shared_keras.command_line import cli
from shared_keras.comparisons import recipe_runs
from shared_keras.data import datasets, splits
from shared_keras.results import folders, saved_models, searches
from shared_keras.results.settings import RunSettings, SearchSettings
from shared_keras.systems.recipe import MONITOR
from tests.conftest import MNIST, TASKS, as_embedded
from tests.shares import dealt

KERAS_RECIPE = {"fashion": "accuracy", "mnist": "dense"}
WAYS = dealt(TASKS, [MNIST])  # the tasks that go the whole way
# For what cannot depend on the dataset.
ONE_TASK = pytest.mark.parametrize("user", [MNIST], indirect=True, ids=["mnist"])


@pytest.fixture(scope="module", params=WAYS, ids=lambda task: task.name)
def user(request, small_dirs, tmp_path_factory):
    """A user of one task who has searched and retrained."""
    return User(request.param, small_dirs[request.param.name], tmp_path_factory.mktemp("results"))


@pytest.fixture
def trained(user, capsys):
    """The same user, with at least one run."""
    if not user.folder("runs").exists():
        user.run(capsys, "retrain", "--recipe", KERAS_RECIPE[user.task.name], "--epochs", 1)
    return user


class User:
    """Runs commands on the small data; keeps the exit code and the output."""

    def __init__(self, task, data, results):
        self.task, self.data, self.results = as_embedded(task, data), data, results
        self.whole = task  # of all images, not only the small data

    def run(self, capsys, command, *words):
        capsys.readouterr()
        options = ["--data-dir", str(self.data), "--results-dir", str(self.results)]
        code = cli.main(self.task, command, [*map(str, words), *options])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    def folder(self, kind):
        return self.results / self.task.name / kind

    def newest(self, kind):
        return max(self.folder(kind).iterdir(), key=lambda path: path.stat().st_mtime)


def test_the_whole_way(user, capsys):
    """search, retrain --best, evaluate, predict: output and files."""
    out = user.run(capsys, "search", "--quick", "--name", "mine")
    lines = [line for line in out.splitlines() if re.match(r"\d+/6 ", line)]
    assert len(lines) == 6
    assert "bracket 1 rung 0" in lines[0] and "left" in lines[0] and "best" in lines[0]
    folder = user.folder("searches") / "mine"
    best = json.loads((folder / "best.json").read_text())
    assert f"Winner: trial {best['trial']}" in out
    for name in ("settings.json", "trials.csv", "best.json", "search.png"):
        assert f"wrote {folder / name}" in out
    table = pd.read_csv(folder / "trials.csv", dtype={"trial": str, "parent": str})
    assert list(table.status) == ["COMPLETED"] * 6
    assert (table.seconds > 0).all()
    longest = table[table.epochs == table.epochs.max()]
    assert best["score"] == longest.score.max()
    assert Image.open(folder / "search.png").size[0] > 1000

    out = user.run(capsys, "search", "--quick", "--name", "mine")
    assert "is finished" in out and f"Winner: trial {best['trial']}" in out

    out = user.run(capsys, "retrain", "--best", "--epochs", 3, "--runs", 2)
    assert re.search(r"here \(mean of 2 seeds, .* epochs?\), 0.\d+ in the search \(trial", out)
    assert "your search" in out and f"trial {best['trial']}" in out
    assert "its weights were restored" in out and "sd" in out and "n = 2" in out
    group = user.newest("runs")
    summary = json.loads((group / "summary.json").read_text())
    metrics = [json.loads((group / f"seed-{i}" / "metrics.json").read_text()) for i in (0, 1)]
    accuracies = [m["test"]["accuracy"] for m in metrics]
    assert summary["test_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert summary["test_accuracy"]["sd"] == pytest.approx(np.std(accuracies, ddof=1))

    run = group / "seed-0"
    settings = RunSettings.read(run)
    assert settings.hyperparameters == best["hyperparameters"]
    environment = json.loads((run / "environment.json").read_text())
    assert {"keras", "numpy"} <= set(environment["versions"]) and environment["device"]
    history = pd.read_csv(run / "history.csv")
    assert list(history.epoch) == [1, 2, 3]
    split = splits.split(user.task, *datasets.load(user.task, str(user.data)), "holdout")
    model = keras.saving.load_model(run / "model.keras")
    _, accuracy = model.evaluate(split.validation.x, split.validation.y, verbose=0)
    assert accuracy == pytest.approx(history.val_accuracy.max())
    assert metrics[0]["validation"]["accuracy"] == pytest.approx(history.val_accuracy.max())
    assert metrics[0]["best_epoch"] == 1 + history.val_accuracy.argmax()
    predicted = model.predict(split.test.x, verbose=0).argmax(axis=1)
    assert metrics[0]["test"]["accuracy"] == np.mean(predicted == split.test.y)

    out = user.run(capsys, "compare")
    assert "\n* marks your runs\n" in out  # the committed ones are of other images
    ladder = pd.read_csv(user.newest("comparisons") / "ladder.csv")
    row = ladder[ladder.score == "test_accuracy"].iloc[-1]
    assert row.recipe == f"trial {best['trial']} of your search mine" and row.ours_yours
    assert row.ours == pytest.approx(np.mean(accuracies)) and row.ours_n == 2
    assert pd.isna(row.published) and pd.isna(row.twin)

    out = user.run(capsys, "evaluate", "--run", f"{group.name}/seed-0")
    assert all(name in out for name in user.task.classes)
    assert "validated on TEST images" not in out
    written = json.loads((user.newest("evaluations") / "evaluation.json").read_text())
    assert written["confusion"] == metrics[0]["test"]["confusion"]
    assert f"accuracy {written['accuracy']:.4f}" in out
    assert re.fullmatch(r"\d+-\d+-best-.*-seed-0", user.newest("evaluations").name)  # one time
    for name in ("confusion.png", "hardest.png"):
        assert Image.open(user.newest("evaluations") / name).size[0] > 500

    out = user.run(capsys, "predict", "--random", 4, "--seed", 3)
    assert out.count("test image") == 4 and len(re.findall(r"\d%", out)) == 12
    assert Image.open(user.newest("predictions") / "seen.png")


@pytest.mark.long(only=True)
def test_explore(user, capsys):
    out = user.run(capsys, "explore")
    assert all(name in out for name in user.task.classes)
    assert "1,200 of 28x28" in out and "300 of 28x28" in out and "600 of 28x28" in out
    assert Image.open(user.newest("explorations") / "examples.png")


def test_predict_files(trained, capsys, tmp_path):
    """Good files are classified, the broken one is named, and the exit code is 1."""
    user, image = trained, datasets.load(trained.task, str(trained.data))[1].x[0]
    Image.fromarray(image).save(tmp_path / "light.png")
    Image.fromarray(255 - image).resize((280, 280)).save(tmp_path / "dark.jpg")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    files = [str(tmp_path / name) for name in ("light.png", "broken.png", "dark.jpg")]
    places = ["--data-dir", str(user.data), "--results-dir", str(user.results)]
    code = cli.main(user.task, "predict", [*files, *places])
    out, err = capsys.readouterr()
    assert code == 1
    assert "light.png: " in out and "dark.jpg (dark on light, inverted): " in out
    assert (
        "broken.png: not an image in one of the formats PNG, JPEG" in err and "1 of 3 files" in err
    )
    assert "Traceback" not in err


@pytest.mark.long(only=True)
@ONE_TASK
def test_predicting_no_readable_file_is_bad_input(trained, capsys, tmp_path):
    places = ["--data-dir", str(trained.data), "--results-dir", str(trained.results)]
    for files, message in (
        ([tmp_path], "expected a folder with image files"),
        ([tmp_path / "a.png", tmp_path / "b.png"], "none of 2 files"),
    ):
        assert cli.main(trained.task, "predict", [*map(str, files), *places]) == 2
        err = capsys.readouterr().err
        assert message in err and len(err.splitlines()) == (1 if len(files) == 1 else 3)


@pytest.mark.long(only=True)
def test_recipe_follows_its_protocol(user, capsys):
    name = KERAS_RECIPE[user.task.name]
    out = user.run(capsys, "retrain", "--recipe", name, "--epochs", 1)
    assert "cut from the TEST images" in out and "published 0." in out
    settings = RunSettings.read(user.newest("runs"))
    assert (settings.split, settings.batch_size) == ("published", 32)


@pytest.mark.long(only=True)
def test_runs_are_reproducible_bit_by_bit_and_never_overwritten(user, capsys):
    name = {"fashion": "lab4-ffv3", "mnist": "regularized"}[user.task.name]
    words = ("--recipe", name, "--epochs", 2, "--seed", 7)
    folders = []
    for _ in range(2):
        user.run(capsys, "retrain", *words)
        folders.append(user.newest("runs"))
    assert folders[0] != folders[1]
    models = [keras.saving.load_model(folder / "model.keras") for folder in folders]
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("task", WAYS, indirect=True, ids=lambda task: task.name)
def test_best_falls_back_to_the_committed_search(task, small, tmp_path, capsys):
    """A fresh clone has no search of the user's own."""
    words = ["--best", "--epochs", "1", "--data-dir", str(small), "--results-dir", str(tmp_path)]
    assert cli.main(task, "retrain", words) == 0
    out = capsys.readouterr().out
    assert "committed reference search" in out
    assert "note: the search used other images" in out


@pytest.mark.long(only=True)
@ONE_TASK
def test_evaluating_on_other_images_is_noted(trained, capsys):
    assert "other images" not in trained.run(capsys, "evaluate")
    assert cli.main(trained.whole, "evaluate", ["--results-dir", str(trained.results)]) == 0
    assert "note: the model was trained on other images" in capsys.readouterr().out


def test_committed_reference_is_complete(task, tmp_path):
    folder = searches.find(task, tmp_path, "reference")
    settings = SearchSettings.read(folder)
    budget = task.spaces[task.default_space]
    assert (settings.space, settings.max_epochs, settings.factor, settings.iterations) == (
        task.default_space,
        budget.max_epochs,
        budget.factor,
        budget.iterations,
    )
    table = pd.read_csv(folder / "trials.csv", dtype={"trial": str})
    assert len(table) == {"fashion": 92, "mnist": 6 * 46}[task.name]
    best = json.loads((folder / "best.json").read_text())
    assert best["score"] == table[table.epochs == budget.max_epochs].score.max()


def test_committed_runs_are_as_published(task, full):
    """The ladder's committed runs: all recipes, five seeds, as many twins, and one model.

    A recipe that changes makes this fail until its runs are trained again.
    """
    digest = datasets.digest(*full[task.name])
    folder = folders.reference(task) / "runs"
    found, ignored, problems = recipe_runs.collect(task, folder, digest)
    assert not ignored and not problems
    kinds = {"ours": set(task.recipes)}
    kinds["twin"] = {
        name for name, each in task.recipes.items() if name != "cnn" and each.monitor == MONITOR
    }
    for kind, names in kinds.items():
        assert not {name for name in names if len(found.get((name, kind), ())) < 5}
    assert list(folder.rglob("*.keras")) == [saved_models.committed(task)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 7}, "epochs 10 instead of 7"),
        ({"batch_size": 64}, "batch_size 32 instead of 64"),
        ({"patience": None}, "patience 15 instead of none"),
        ({"monitor": "val_loss"}, "monitor val_accuracy instead of val_loss"),
        ({"split": "holdout"}, "split published instead of holdout"),
        ({"system": {"learning_rate": 1e-4}}, "optimizer.learning_rate 0.001 instead of 0.0001"),
        ({"system": {"num_units_1": 30}}, "layers.4.units 15 instead of 30"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_recipe_leaves_its_old_runs_out_and_says_why(change, said, full):
    recipe = MNIST.recipes["dense"]
    if "system" in change:
        values = dict(recipe.system.hyperparameters) | change["system"]
        change = {"system": dataclasses.replace(recipe.system, hyperparameters=values)}
    changed = dataclasses.replace(recipe, **change)
    task = dataclasses.replace(MNIST, recipes={"dense": changed})
    runs = folders.reference(MNIST) / "runs" / "dense"
    found, ignored, _ = recipe_runs.collect(task, runs, datasets.digest(*full["mnist"]))
    assert not found and {run.differs for run in ignored} == {(said,)}
    assert len(ignored) == len(list(runs.glob("seed-*")))


MODELS = list(itertools.product(TASKS, ([], ["reference"])))


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    ("task", "words"),
    dealt(MODELS, MODELS[:1]),
    indirect=["task"],
    ids=lambda value: getattr(value, "name", "by name" if value else "by default"),
)
def test_the_committed_model_is_used_until_there_is_a_run(task, small, tmp_path, capsys, words):
    places = ["--data-dir", str(small), "--results-dir", str(tmp_path)]
    assert cli.main(task, "evaluate", [*words, *places]) == 0
    assert "the committed model, the recipe cnn with seed 0" in capsys.readouterr().out
    (written,) = tmp_path.rglob("evaluation.json")
    accuracy = json.loads(written.read_text())["accuracy"]
    assert accuracy > {"fashion": 0.9, "mnist": 0.98}[task.name]


def test_trial_of_a_search(small_dirs, tmp_path, capsys):
    words = ["--trial", "3", "--search", "reference", "--epochs", "1"]
    places = ["--data-dir", str(small_dirs["mnist"]), "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "retrain", [*words, *places]) == 0
    assert "trial 0003 of the committed" in capsys.readouterr().out


@pytest.mark.long(only=True)
@ONE_TASK
def test_other_settings_under_the_same_name_are_refused(user, capsys):
    user.run(capsys, "search", "--quick", "--max-trials", 1, "--name", "once")
    before = (user.folder("searches") / "once" / "trials.csv").read_bytes()
    words = ["--quick", "--max-trials", "1", "--name", "once", "--seed", "1", "--batch-size", "64"]
    places = ["--data-dir", str(user.data), "--results-dir", str(user.results)]
    assert cli.main(user.task, "search", [*words, *places]) == 2
    err = capsys.readouterr().err
    assert "batch_size was 32 and is now 64; seed was 0 and is now 1" in err
    assert (user.folder("searches") / "once" / "trials.csv").read_bytes() == before


@pytest.mark.long(only=True)
def test_precision_misleads_and_says_so_before_it_starts(small_dirs, tmp_path, capsys):
    """It misled the search of Fashion-Keras."""
    user = User(TASKS[0], small_dirs["fashion"], tmp_path)
    places = ["--data-dir", str(user.data), "--results-dir", str(user.results)]
    words = ["--max-epochs", "1", "--objective"]
    for objective in ("val_precision", "val_macro_precision"):
        assert cli.main(user.task, "search", [*words, objective, *places]) == 0
        out, err = capsys.readouterr()
        assert ("ever give a confident answer" in err) == (objective == "val_precision")
        name = f"{user.task.default_space}-{user.data.name}-{objective}"
        table = pd.read_csv(user.folder("searches") / name / "trials.csv")
        assert table.score.between(0, 1).all() and re.search(rf"{objective} [01]\.", out)


@ONE_TASK
def test_a_second_search_in_one_folder_leaves(user, capsys):
    folder = folders.make_folder(user.folder("searches") / "busy")
    with FileLock(folder / ".lock"):
        words = ["--quick", "--name", "busy", "--results-dir", str(user.results)]
        assert cli.main(user.whole, "search", words) == 1
    assert "another process is searching" in capsys.readouterr().err


@pytest.mark.long(only=True)
@ONE_TASK
def test_a_file_name_with_dollars_is_no_formula(trained, capsys, tmp_path):
    path = tmp_path / "pay $1_{$ now.png"
    Image.new("L", (28, 28), 40).save(path)
    places = ["--data-dir", str(trained.data), "--results-dir", str(trained.results)]
    assert cli.main(trained.task, "predict", [str(path), *places]) == 0, capsys.readouterr().err
    assert path.name in capsys.readouterr().out


@ONE_TASK
@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("published", "cut from the TEST images"),
        pytest.param("half", "cut from the TEST images", marks=pytest.mark.long),
        pytest.param("test", "which are the TEST images", marks=pytest.mark.long),
    ],
)
def test_a_search_says_where_its_validation_images_come_from(user, capsys, protocol, words):
    options = ("--quick", "--max-trials", 1, "--name", f"by-{protocol}", "--split", protocol)
    assert f"images for validation, {words}" in user.run(capsys, "search", *options)


@pytest.mark.long(only=True)
@ONE_TASK
def test_every_command_runs_where_linux_is_not(user, capsys, monkeypatch):
    """And does what it does elsewhere: it is the same run, bit by bit."""
    name = KERAS_RECIPE[user.task.name]
    words = ("retrain", "--recipe", name, "--epochs", 1)
    search = ("search", "--quick", "--max-trials", 1, "--name")
    user.run(capsys, *words)
    here = user.newest("runs")
    user.run(capsys, *search, "here")
    for function in ("sched_getaffinity", "sched_setaffinity", "posix_fallocate"):
        monkeypatch.delattr(os, function)

    assert "\nepoch 1/1  loss" in user.run(capsys, *words)
    there = user.newest("runs")
    assert there != here
    models = [keras.saving.load_model(run / "model.keras", compile=False) for run in (here, there)]
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)

    out = user.run(capsys, "evaluate", "--run", there.name)
    metrics = json.loads((there / "metrics.json").read_text())
    written = json.loads((user.newest("evaluations") / "evaluation.json").read_text())
    assert written["confusion"] == metrics["test"]["confusion"]
    assert f"accuracy {written['accuracy']:.4f}" in out

    out = user.run(capsys, *search, "elsewhere")
    tables = [
        pd.read_csv(user.folder("searches") / name / "trials.csv").drop(columns="seconds")
        for name in ("here", "elsewhere")
    ]
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[1].status) == ["COMPLETED"] and "Winner: trial 0000" in out


PRECISIONS = list(itertools.product(("mixed_float16", "mixed_bfloat16"), ("mlp", None)))


@pytest.mark.long(only=True)
@ONE_TASK
@pytest.mark.parametrize(("precision", "recipe"), dealt(PRECISIONS, PRECISIONS[:1]))
def test_mixed_precision(user, capsys, precision, recipe):
    """The saved model computes in the chosen precision, and stock Keras loads it."""
    try:
        name = recipe or KERAS_RECIPE[user.task.name]
        words = ("--recipe", name, "--epochs", 1, "--precision", precision)
        user.run(capsys, "retrain", *words)
    finally:
        keras.config.set_dtype_policy("float32")
    metrics = json.loads((user.newest("runs") / "metrics.json").read_text())
    assert np.isfinite(metrics["test"]["loss"])
    model = keras.saving.load_model(user.newest("runs") / "model.keras")
    hidden = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]
    assert {layer.compute_dtype for layer in hidden} == {precision.removeprefix("mixed_")}
    assert {layer.variable_dtype for layer in hidden} == {"float32"}
    assert model.outputs[0].dtype == "float32"
