"""The recipes train what the originals trained: their settings, as facts."""

import ast
import importlib
import json
import re
import statistics
from pathlib import Path

import pytest

from shared_keras.results.metrics import RunMetrics
from shared_keras.systems.spec import BatchNorm, Cosine, Dense, Dropout
from tests.conftest import FASHION, MNIST

ROOT = Path(__file__).parents[2]
# widths; dropout; optimizer, rate, weight decay; epochs; batch; split; patience
FACTS = {
    "fashion": {
        "pytorch-1": ((120, 72, 48), (), "rmsprop", 1e-4, 0, 40, 128, "half", None),
        "pytorch-2": ((120, 72, 48), (), "rmsprop", 1e-4, 1e-2, 40, 128, "half", None),
        "pytorch-3": ((120, 72, 48), (0.3,), "adam", 1e-4, 1e-2, 41, 128, "half", None),
        "pytorch-4": ((120, 72, 48), (0.3,), "adam", 1e-4, 1e-2, 41, 128, "half", None),
        "pytorch-5": ((120, 72, 48), (0.3,), "adam", 1e-4, 1e-2, 41, 128, "half", None),
        "pytorch-6": ((120, 72, 48), (0.3,), "adam", 1e-4, 1e-2, 41, 128, "holdout", None),
        "pytorch-7": (
            *((250, 150, 100), (0.2, 0.2, 0.5), "adam", 1e-4, 1e-5, 81, 256, "holdout", None),
        ),
        "pytorch-tuned-1": (
            *((256, 512, 512), (0.3, 0.1, 0.3), "adam", 1e-3, 1e-4, 50, 512, "holdout", None),
        ),
        "pytorch-tuned-2": (
            *((342, 580, 491), (0.3206, 0.0698, 0.2547), "adam", 1.0716e-3, 9.282e-5),
            *(50, 1024, "holdout", None),
        ),
        "precision": ((552, 336), (), "keras adam", 1e-6, 0, 10, 32, "published", None),
        "precision-early-stopping": (
            *((552, 336), (), "keras adam", 1e-6, 0, 20, 32, "published", 15),
        ),
        "accuracy": ((504, 288, 408), (), "keras adam", 1e-4, 0, 20, 32, "published", 15),
        "regularized": (
            *((528, 432, 264, 480), (0.1119, 0.136, 0.2584, 0.1237), "keras adam", 1e-4, 0),
            *(20, 32, "published", 15),
        ),
        "lab4-ffv0-0.01": ((32,), (), "sgd", 0.01, 0, 10, 64, "test", None),
        "lab4-ffv0-0.1": ((32,), (), "sgd", 0.1, 0, 10, 64, "test", None),
        **{
            f"lab4-{name}-{rate}": (widths, (), "sgd", rate, 0, 20, 64, "test", None)
            for name, widths in {
                "ffv1-32": (32,),
                "ffv2-32": (32, 32),
                "ffv2-64": (64, 64),
            }.items()
            for rate in (0.05, 0.1, 0.5)
        },
        "lab4-ffv3": ((64, 64), (0.25, 0.25), "sgd", 0.1, 0, 60, 64, "test", None),
        "lab4-cnn": ((), (), "sgd", 0.1, 0, 10, 64, "test", None),
    },
    "mnist": {
        "dense": ((120, 15, 75), (), "keras adam", 1e-3, 0, 10, 32, "published", 15),
        "regularized": (
            *((120, 105, 120), (0.25, 0.2, 0.2), "keras adam", 1e-4, 0),
            *(15, 32, "published", None),
        ),
    },
}
PENALTIES = {
    ("fashion", "regularized"): [1e-4, 1e-6, 1e-5, 1e-4],
    ("mnist", "regularized"): [1e-2, 1e-4, 1e-4],
}
PUBLISHED = {
    "pytorch-1": {"loss": 0.0854, "val_loss": 0.5969},
    "pytorch-2": {"loss": 0.3817, "val_loss": 0.4297},
    "pytorch-3": {"loss": 0.3832, "val_loss": 0.4062},
    "pytorch-4": {"loss": 0.3459, "val_loss": 0.3768},
    "pytorch-5": {"loss": 0.3487, "val_loss": 0.3858, "val_accuracy": 0.8704},
    "pytorch-6": {"loss": 0.35, "val_loss": 0.35, "val_accuracy": 0.8888, "test_accuracy": 0.8762},
    "pytorch-7": {"loss": 0.27, "val_loss": 0.29, "val_accuracy": 0.8953, "test_accuracy": 0.8852},
    "pytorch-tuned-1": {"val_accuracy": 0.9105},
    "pytorch-tuned-2": {"val_accuracy": 0.9110},
    "precision": {"val_accuracy": 0.7933},
    "precision-early-stopping": {"val_accuracy": 0.6025, "test_accuracy": 0.6037},
    "accuracy": {"val_accuracy": 0.8958, "test_accuracy": 0.8990},
    "regularized": {"val_accuracy": 0.8953, "test_accuracy": 0.8970},
}
RECIPES = [(task, name) for task in (FASHION, MNIST) for name in task.recipes]
IDS = [f"{task.name}-{name}" for task, name in RECIPES]


@pytest.mark.parametrize(("task", "name"), RECIPES, ids=IDS)
def test_settings(task, name):
    recipe = task.recipes[name]
    if recipe.source == "ours":
        assert name not in FACTS[task.name] and not recipe.published
        return
    widths, dropout, optimizer, rate, decay, *training = FACTS[task.name][name]
    system = task.system(recipe.system)
    dense = [layer for layer in system.layers if isinstance(layer, Dense)]
    assert tuple(layer.units for layer in dense) == (*widths, 10)
    rates = [layer.rate for layer in system.layers if isinstance(layer, Dropout)]
    assert rates == pytest.approx(list(dropout), rel=1e-3)
    its = system.optimizer
    assert its.name == optimizer
    assert (its.learning_rate, its.l2) == pytest.approx((rate, decay), rel=1e-4)
    assert [recipe.epochs, recipe.batch_size, recipe.split, recipe.patience] == training
    assert system.batch_size in (None, recipe.batch_size)
    penalties = PENALTIES.get((task.name, name), [0] * len(widths))
    assert [layer.l2 for layer in dense[:-1]] == penalties
    monitor = "val_precision" if name == "precision-early-stopping" else "val_accuracy"
    assert recipe.monitor == monitor


def test_schedules_and_norms_of_fashion_pytorch():
    """Step 7 steps its cosine after each batch; the tuned networks after each epoch."""
    systems = {name: FASHION.system(FASHION.recipes[name].system) for name in FASHION.recipes}
    schedules = {
        name: (system.optimizer.schedule.t_max, system.optimizer.schedule.per)
        for name, system in systems.items()
        if system.optimizer.schedule and FASHION.recipes[name].source != "ours"
    }
    assert schedules == {
        "pytorch-7": (48_000 // 256 // 2, "batch"),
        "pytorch-tuned-1": (10, "epoch"),
        "pytorch-tuned-2": (10, "epoch"),
    }
    with_norm = {name for name, system in systems.items() if any(map(_is_norm, system.layers))} - {
        "mlp",
        "cnn",
        "sprint",
    }
    steps = {f"pytorch-{step}" for step in (4, 5, 6, 7, "tuned-1", "tuned-2")}
    assert with_norm == steps


def _is_norm(layer):
    return isinstance(layer, BatchNorm)


@pytest.mark.parametrize("task", [MNIST, FASHION], ids=["mnist", "fashion"])
def test_the_rate_of_a_sprint_is_zero_at_its_end(task):
    recipe = task.recipes["sprint"]
    steps = recipe.epochs * 48_000 // recipe.batch_size
    assert recipe.system.optimizer.schedule == Cosine(steps, per="batch")


@pytest.mark.parametrize(
    ("task", "name", "seeds", "goal"),
    [
        (MNIST, "sprint", 20, 0.99),
        (FASHION, "sprint", 20, 0.92),
        (MNIST, "mlp", 5, 0.989),
        (FASHION, "mlp", 5, 0.91),
    ],
)
def test_our_own_recipes_reach_their_goals(task, name, seeds, goal):
    runs = (ROOT / "tuner_results" / "reference" / task.name / "runs" / name).iterdir()
    accuracies = [RunMetrics.read(run).test.accuracy for run in runs]
    assert len(accuracies) == seeds and statistics.mean(accuracies) >= goal


def test_published_scores():
    assert {n: dict(FASHION.recipes[n].published) for n in PUBLISHED} == PUBLISHED
    dense, regularized = (MNIST.recipes[name].published for name in ("dense", "regularized"))
    assert dense == {"val_accuracy": 0.9806, "test_accuracy": 0.9755}
    assert regularized == {"val_accuracy": 0.9762, "test_accuracy": 0.9747}


# What a recipe's file may say of how long it takes, in seconds.
TAKES = {
    "a few seconds": 5,
    "a quarter of a minute": 15,
    "half a minute": 30,
    "a minute": 60,
    "two minutes": 120,
    "three minutes": 180,
    "five minutes": 300,
    "six minutes": 360,
    "ten minutes": 600,
    "a quarter of an hour": 900,
}


def said(task):
    """Return what the files of a task's recipes say: how long each takes, and its accuracy."""
    package = importlib.import_module(f"{task.package}.recipes")
    paths = Path(package.__file__).parent.glob("*.py") if task is FASHION else [package.__file__]
    line = re.compile(r"^    (\S+) {2,}(\S.*\S) {2,}(\d+\.\d) %$", re.MULTILINE)
    docs = [ast.get_docstring(ast.parse(Path(path).read_text()), clean=False) for path in paths]
    return {name: (takes, float(score)) for doc in docs for name, takes, score in line.findall(doc)}


@pytest.mark.parametrize("task", [FASHION, MNIST], ids=lambda task: task.name)
def test_the_files_say_what_to_expect_of_each_recipe(task):
    """Scores are those of the committed runs, up to their noise; times, of the quickest of them."""
    found = said(task)
    assert found.keys() == task.recipes.keys()
    for name, (takes, score) in found.items():
        runs = ROOT / "tuner_results" / "reference" / task.name / "runs" / name
        metrics = [json.loads(path.read_text()) for path in runs.rglob("metrics.json")]
        accuracies = [100 * each["test"]["accuracy"] for each in metrics]
        noise = max(2 * statistics.stdev(accuracies), 0.3)
        assert abs(statistics.mean(accuracies) - score) <= noise, name
        quickest = min(each["seconds"] for each in metrics)
        assert TAKES[takes] / 2 <= quickest <= 2 * TAKES[takes], name
