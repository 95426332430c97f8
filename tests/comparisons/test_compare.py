"""The ladder, the comparison of two runs, and the twin as a run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared_keras import files
from shared_keras.command_line import cli
from shared_keras.comparisons import recipe_runs, two_runs
from shared_keras.data import datasets, splits
from shared_keras.results import saved_models
from shared_keras.results.settings import RunSettings
from tests.commands.test_commands import WAYS, User
from tests.conftest import FASHION

torch = pytest.importorskip("torch")
RECIPE = {"fashion": "lab4-ffv3", "mnist": "dense"}


@pytest.fixture(scope="module", params=WAYS, ids=lambda task: task.name)
def user(request, small_dirs, tmp_path_factory):
    """A user who trained one recipe: the port with two seeds, and the twin."""
    task = request.param
    user = User(task, small_dirs[task.name], tmp_path_factory.mktemp("results"))
    places = ["--data-dir", str(user.data), "--results-dir", str(user.results)]
    for words in (["--runs", "2"], ["--torch"]):
        assert cli.main(user.task, "retrain", ["--recipe", RECIPE[task.name], *words, *places]) == 0
    return user


def find(user, prefix):
    (path,) = [p for p in user.folder("runs").iterdir() if p.name[16:].startswith(prefix)]
    return path


@pytest.mark.long(only=True)
def test_the_twin_is_a_run_like_others(user, capsys):
    twin = find(user, "twin-recipe")
    settings = RunSettings.read(twin)
    assert (settings.framework, settings.recipe) == ("pytorch", RECIPE[user.task.name])
    metrics = json.loads((twin / "metrics.json").read_text())
    history = pd.read_csv(twin / "history.csv")
    kept = history.val_accuracy[metrics["best_epoch"] - 1]
    assert metrics["validation"]["accuracy"] == pytest.approx(kept)
    assert len(history) == user.task.recipes[RECIPE[user.task.name]].epochs
    user.run(capsys, "evaluate", twin.name)
    evaluation = json.loads((user.newest("evaluations") / "evaluation.json").read_text())
    assert evaluation["confusion"] == metrics["test"]["confusion"]


@pytest.mark.long(only=True)
def test_ladder(user, capsys):
    out = user.run(capsys, "compare")
    folder = user.newest("comparisons")
    table = pd.read_csv(folder / "ladder.csv").set_index(["recipe", "score"])
    name, recipe = RECIPE[user.task.name], user.task.recipes[RECIPE[user.task.name]]
    assert list(dict.fromkeys(table.index.get_level_values(0))) == list(user.task.recipes)
    row = table.loc[name, "test_accuracy"]
    group = find(user, "recipe-")
    scores = [
        json.loads((group / f"seed-{i}" / "metrics.json").read_text())["test"]["accuracy"]
        for i in (0, 1)
    ]
    assert row.ours == pytest.approx(np.mean(scores)) and row.ours_n == 2
    assert row.ours_sd == pytest.approx(np.std(scores, ddof=1))
    twin = json.loads((find(user, "twin-") / "metrics.json").read_text())
    assert row.twin == pytest.approx(twin["test"]["accuracy"]) and row.twin_n == 1
    assert row.published == recipe.published["test_accuracy"]
    assert row.ours_seconds_per_epoch > 0 and row.twin_seconds_per_epoch > 0
    for other, published in user.task.recipes.items():
        for score, value in published.published.items():
            assert table.loc[other, score].published == value
    assert name in out and "(n = 2)" in out and "(n = 1)" in out
    pictures = ["ladder.png"] + ["grid.png"] * bool(user.task.grid)
    for picture in pictures:
        assert Image.open(folder / picture).size[0] > 800
    if recipe.classes:
        classes = pd.read_csv(folder / f"classes-{name}.csv").set_index("class")
        assert classes.published_recall["Shirt"] == 0.59 and len(classes) == 10


@pytest.mark.long(only=True)
def test_runs_under_other_settings_do_not_count(user, capsys, tmp_path):
    digest = datasets.digest(*datasets.load(user.task, str(user.data)))
    found, before, _ = recipe_runs.collect(user.task, user.folder("runs"), digest)
    key = (RECIPE[user.task.name], "ours")
    assert sorted(run.settings.seed for run in found[key]) == [0, 1] and before == []
    other = User(user.task, user.data, tmp_path)
    words = ("--recipe", RECIPE[user.task.name], "--epochs", 1)
    other.run(capsys, "retrain", *words)
    found, (ignored,), problems = recipe_runs.collect(user.task, other.folder("runs"), digest)
    epochs = user.task.recipes[RECIPE[user.task.name]].epochs
    assert not found and not problems and ignored.differs == (f"epochs 1 instead of {epochs}",)
    strange = recipe_runs.collect(user.task, user.folder("runs"), "other images")
    assert strange.found == {} and {run.differs for run in strange.ignored} == {("other images",)}
    accuracy = json.loads((ignored.folder / "metrics.json").read_text())["test"]["accuracy"]
    assert (
        f"not in the table: {ignored.folder.name}, test accuracy {100 * accuracy:.2f} %, "
        f"with epochs 1 instead of {epochs}\n"
    ) in other.run(capsys, "compare")


@pytest.mark.long(only=True)
def test_damaged_and_interrupted_runs_are_left_out_with_a_sentence(user, capsys, tmp_path):
    for name, damage in {
        "a-damaged": lambda run: (run / "metrics.json").write_text("{"),
        "b-short": lambda run: (run / "metrics.json").write_text('{"best_epoch": 1}'),
        "c-cut": lambda run: (run / "metrics.json").unlink(),
        "d-unknown": lambda run: (run / "settings.json").write_text("[]"),
    }.items():
        copy = tmp_path / user.task.name / "runs" / name
        shutil.copytree(find(user, "twin-"), copy)
        damage(copy)
    shutil.copytree(find(user, "twin-"), tmp_path / user.task.name / "runs" / "good")
    out = User(user.task, user.data, tmp_path).run(capsys, "compare")
    left_out = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert sorted(re.search("[a-d]-[a-z]+", line).group() for line in left_out) == [
        "a-damaged",
        "b-short",
        "c-cut",
        "d-unknown",
    ]
    assert "(n = 1) *" in out  # the good one, marked as the user's


@pytest.mark.long(only=True)
def test_two_runs(user, capsys):
    """The counts match the predictions; the intervals contain the accuracies."""
    first, second = find(user, "recipe-").name + "/seed-0", find(user, "twin-").name
    out = user.run(capsys, "compare", first, second)
    folder = user.newest("comparisons")
    result = json.loads((folder / "comparison.json").read_text())
    counts = [result[k] for k in ("both_right", "only_first", "only_second", "both_wrong")]
    assert sum(counts) == result["test_images"]
    scores = list(result["scores"].values())
    assert scores[0]["accuracy"] == pytest.approx((counts[0] + counts[1]) / sum(counts))
    assert scores[1]["accuracy"] == pytest.approx((counts[0] + counts[2]) / sum(counts))
    disagreements = pd.read_csv(folder / "disagreements.csv")
    names = list(result["scores"])
    assert (disagreements[names[0]] != disagreements[names[1]]).all()
    assert len(disagreements) >= counts[1] + counts[2]
    assert "exact McNemar test: p = " in out and out.count("95 % interval") == 2
    for picture in ("disagreements.png", "curves.png"):
        assert Image.open(folder / picture).size[0] > 800


@pytest.mark.long(only=True)
def test_two_runs_of_several_seeds_say_which_test_answers_what(user, capsys, tmp_path):
    group, elsewhere = find(user, "recipe-"), tmp_path / "elsewhere"
    shutil.copytree(group, elsewhere)
    out = user.run(capsys, "compare", group.name, elsewhere)
    assert "elsewhere-seed-0: accuracy " in out
    parts = [
        "Is one way of training better?",
        "difference +0.00 points",
        "Is one of two models better?",
        "McNemar",
    ]
    places = [out.index(part) for part in parts]
    assert places == sorted(places) and out.count("(n = 2 seeds)") == 2
    assert {"seeds.json", "seeds.png", "comparison.json", "curves.png"} <= {
        path.name for path in user.newest("comparisons").iterdir()
    }


@pytest.fixture
def figures(monkeypatch):
    """Return the figures that commands draw, by file."""
    drawn = {}
    monkeypatch.setattr(
        files, "write_figure", lambda path, figure: drawn.update({path.name: figure})
    )
    return drawn


def test_pictures_of_two_runs_name_them(user, capsys, figures):
    recipe = f"recipe {RECIPE[user.task.name]}"
    user.run(capsys, "compare", find(user, "recipe-").name + "/seed-1", find(user, "twin-").name)
    names = [f"{recipe}, seed 1", f"{recipe} in PyTorch"]
    top = figures["disagreements.png"].subfigs[0]
    (key,) = top.legends
    assert [text.get_text().split(" (")[0] for text in key.get_texts()] == names
    assert top.get_suptitle().startswith(f"{user.task.title}: ")
    labels = [text.get_text() for text in figures["curves.png"].legends[0].get_texts()]
    assert [label.rpartition(", ")[0] for label in labels] == [names[0]] * 2 + [names[1]] * 2
    assert figures["curves.png"].get_suptitle() == f"{user.task.title}: {' and '.join(names)}"


def test_pictures_of_an_evaluation_name_the_run(user, capsys, figures):
    user.run(capsys, "evaluate", find(user, "twin-").name)
    name = f"{user.task.title}, recipe {RECIPE[user.task.name]} in PyTorch: "
    assert set(figures) == {"confusion.png", "hardest.png"}
    assert all(figure.get_suptitle().startswith(name) for figure in figures.values())


def test_titles_of_models_are_short_and_different():
    def titles(*paths):
        return saved_models.titles([Path(path) for path in paths])

    runs = "results/mnist/runs"
    first = f"{runs}/20261125-201530-recipe-dense/seed-0/model.keras"
    twin = f"{runs}/20261125-201530-twin-recipe-dense/seed-1/model.keras"
    later = f"{runs}/20261126-090000-best-regularized/model.keras"
    assert titles(first, twin) == ["recipe dense, seed 0", "recipe dense in PyTorch, seed 1"]
    assert titles(later, "mine.keras") == ["best-regularized", "mine"]
    assert titles(f"{runs}/cnn/seed-0/model.keras") == ["cnn, seed 0"]
    again = later.replace("20261126", "20261127")
    assert titles(later, again) == [
        "20261126-090000-best-regularized",
        "20261127-090000-best-regularized",
    ]
    assert titles(first, first) == ["recipe dense, seed 0 (1)", "recipe dense, seed 0 (2)"]


def test_a_run_agrees_with_itself(user, capsys):
    name = find(user, "twin-").name
    out = user.run(capsys, "compare", name, name)
    assert "p = 1;" in out and "(first)" in out
    result = json.loads((user.newest("comparisons") / "comparison.json").read_text())
    assert (result["only_first"], result["only_second"]) == (0, 0)


@pytest.mark.long(only=True)
def test_runs_that_were_validated_on_the_test_images_say_so(user, capsys):
    """Runs of Lab 4, for example."""
    user.run(capsys, "retrain", "--recipe", "mlp", "--epochs", 1, "--split", "test")
    validated = user.newest("runs").name
    out = user.run(capsys, "compare", validated, find(user, "twin-").name)
    assert re.search(r"\d+ test images that neither run was trained on", out)
    assert f"note: {validated} was validated on the TEST images" in out


@pytest.mark.long(only=True)
def test_evaluating_on_images_of_the_validation_says_so(user, capsys):
    """Lab 4's protocol always does; MNIST's published one does if evaluated on another split."""
    twin = find(user, "twin-").name
    note = "note: the model was validated on TEST images, some or all of which are used here"
    assert (note in user.run(capsys, "evaluate", twin)) == (user.task.name == FASHION.name)
    assert note in user.run(capsys, "evaluate", twin, "--split", "holdout")


def test_only_images_that_both_test_on_are_compared(small_dirs):
    test = datasets.load(FASHION, str(small_dirs["fashion"]))[1]
    protocols = ["published", "half", "holdout"]
    parts = [set(splits.tested(FASHION, test, protocol)) for protocol in protocols]
    common = two_runs.common_test_images(FASHION, test, protocols[:2])
    assert set(common) == parts[0] & parts[1] and 0 < len(common) < len(parts[0])
    assert set(two_runs.common_test_images(FASHION, test, protocols[1:])) == parts[1]
    split = splits.split(FASHION, test, test, "half")
    np.testing.assert_array_equal(split.test.x, test.x[splits.tested(FASHION, test, "half")])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar(pairs):
    """Against the definition: a fair coin for each image that only one gets right."""
    from scipy.stats import binom

    first, second = (np.array(column) for column in zip(*pairs))
    result = two_runs.mcnemar(first, second)
    b, c = result["only_first"], result["only_second"]
    expected = min(1.0, 2 * binom.cdf(min(b, c), b + c, 0.5)) if b + c else 1.0
    assert result["p_value"] == pytest.approx(expected)
    assert two_runs.mcnemar(second, first)["p_value"] == pytest.approx(result["p_value"])
    assert result["both_right"] + b == first.sum() and result["both_right"] + c == second.sum()
