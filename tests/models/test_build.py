"""Search spaces, recipes, and the replay of published hyperparameters."""

import re

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import BadInput
from shared_keras.models.build import keras_model
from shared_keras.systems.recipe import Replay
from tests.conftest import FASHION, MNIST, TASKS

UNITS = {"min_value": 24, "max_value": 576, "step": 24}
SPACES = {  # as published
    ("fashion", "dense"): {
        "n_hidden_layers": {"min_value": 1, "max_value": 9},
        "learning_rate": {"values": [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]},
        **{f"layer_units_{i}": UNITS for i in range(9)},
    },
    ("fashion", "regularized"): {
        "n_hidden_layers": {"min_value": 1, "max_value": 4},
        "learning_rate": {"values": [1e-3, 1e-4, 1e-5, 1e-6]},
        **{f"layer_units_{i}": UNITS | {"max_value": 624} for i in range(4)},
        **{f"layer_regu_{i}": {"values": [1e-3, 1e-4, 1e-5, 1e-6]} for i in range(4)},
        **{
            f"layer_drop_{i}": {"min_value": 0.1, "max_value": 0.3, "sampling": "log"}
            for i in range(4)
        },
    },
    ("mnist", "dense"): {
        "num_layers": {"min_value": 2, "max_value": 5},
        "learning_rate": {"values": [1e-4, 1e-3, 1e-2]},
        **{f"num_units_{i}": {"min_value": 15, "max_value": 120, "step": 15} for i in range(5)},
    },
    ("mnist", "regularized"): {
        "num_layers": {"min_value": 2, "max_value": 5},
        "learning_rate": {"values": [1e-4, 1e-3, 1e-2]},
        **{f"num_units_{i}": {"min_value": 15, "max_value": 120, "step": 15} for i in range(5)},
        **{f"l2_{i}": {"values": [1e-4, 1e-3, 1e-2]} for i in range(5)},
        **{f"drop_{i}": {"min_value": 0.2, "max_value": 0.35, "step": 0.05} for i in range(5)},
    },
}
BATCHNORM = {
    "base_lr": {"min_value": 5e-4, "max_value": 5e-2, "sampling": "log"},
    "batch_size": {"values": [512, 1024]},
    "l1_size": {"min_value": 250, "max_value": 349},
    **{f"l{i}_size": {"min_value": 450, "max_value": 649} for i in (2, 3)},
    **{f"l{i}_drop": {"min_value": 0.25, "max_value": 0.35, "sampling": "log"} for i in (1, 3)},
    "l2_drop": {"min_value": 0.05, "max_value": 0.15, "sampling": "log"},
    "l2_rate": {"min_value": 5e-5, "max_value": 5e-3, "sampling": "log"},
    "t_max": {"min_value": 8, "max_value": 14},
}
SPACES |= {("fashion", "batchnorm"): BATCHNORM, ("mnist", "batchnorm"): BATCHNORM}
RECIPES = [(task, name) for task in TASKS for name in task.recipes]
RECIPE_IDS = [f"{task.name}-{name}" for task, name in RECIPES]
REPLAYED = [(task, name) for task, name in RECIPES if isinstance(task.recipes[name].system, Replay)]


def hidden(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][:-1]


@pytest.mark.parametrize(("task_name", "space"), SPACES)
def test_space_is_as_published(task_name, space):
    task = {"fashion": FASHION, "mnist": MNIST}[task_name]
    hp = keras_tuner.HyperParameters()
    task.builder(space)(hp)
    declared = {p.name: p.get_config() for p in hp.space}
    assert set(declared) == set(SPACES[task_name, space])
    for name, expected in SPACES[task_name, space].items():
        assert {key: declared[name][key] for key in expected} == expected, name


def test_published_budgets():
    assert {k: (b.max_epochs, b.factor) for k, b in FASHION.spaces.items()} == {
        "dense": (15, 2),
        "regularized": (20, 2),
        "batchnorm": (80, 3),
    }
    assert {k: (b.max_epochs, b.factor) for k, b in MNIST.spaces.items()} == {
        "dense": (10, 2),
        "regularized": (15, 2),
        "batchnorm": (80, 3),
    }


@pytest.mark.every_backend
def test_model_takes_raw_pixels(task, full):
    """A recipe's model, in NumPy: pixels over 255, ReLU, softmax."""
    recipe = {"fashion": "accuracy", "mnist": "dense"}[task.name]
    model = keras_model(task.system(task.recipes[recipe].system))
    x = full[task.name][1].x[:64]
    a = x.reshape(len(x), -1) / 255.0
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer in layers:
        kernel, bias = layer.get_weights()
        a = a @ kernel.astype(np.float64) + bias
        a = np.maximum(a, 0) if layer is not layers[-1] else a
    expected = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(x.astype("float32")), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "recipe", "units", "rate"),
    [
        (FASHION, "precision", [552, 336], 1e-6),
        (FASHION, "accuracy", [504, 288, 408], 1e-4),
        (MNIST, "dense", [120, 15, 75], 1e-3),
        (MNIST, "regularized", [120, 105, 120], 1e-4),
    ],
)
def test_recipe_replays(task, recipe, units, rate):
    model = keras_model(task.system(task.recipes[recipe].system))
    assert [layer.units for layer in hidden(model)] == units
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)
    assert isinstance(model.optimizer, keras.optimizers.Adam)


def test_regularized_recipe_replays_penalties_and_dropout():
    model = keras_model(MNIST.system(MNIST.recipes["regularized"].system))
    penalties = [float(layer.kernel_regularizer.l2) for layer in hidden(model)]
    np.testing.assert_allclose(penalties, [1e-2, 1e-4, 1e-4], rtol=1e-6)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25, 0.2, 0.2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 3}, "'layers' is unknown"),
        ({"num_layers": 6}, r"'num_layers' is 6, expected 2\.\.\.5"),
        ({"num_layers": 2.5}, "'num_layers' is 2.5"),
        ({"num_layers": True}, "'num_layers' is True"),
        ({"num_units_0": 121}, "'num_units_0' is 121"),
        ({"num_units_4": 31}, "'num_units_4' is 31"),  # beyond the depth, but checked
        ({"drop_0": 0.26}, "'drop_0' is 0.26"),
        ({"l2_0": 0.5}, "'l2_0' is 0.5, expected one of"),
        ({"learning_rate": "fast"}, "'learning_rate' is 'fast'"),
    ],
)
def test_bad_values_are_refused(change, message):
    values = dict(MNIST.recipes["regularized"].system.hyperparameters) | change
    with pytest.raises(BadInput, match=message):
        MNIST.builder("regularized").replay(values)


@pytest.mark.parametrize(("task", "recipe"), REPLAYED)
def test_only_what_the_model_uses_is_required(task, recipe):
    replay = task.recipes[recipe].system
    space = task.builder(replay.space)
    depth = next((v for k, v in replay.hyperparameters.items() if k.endswith("_layers")), None)
    for name in replay.hyperparameters:
        values = {k: v for k, v in replay.hyperparameters.items() if k != name}
        last = name.rpartition("_")[2]
        beyond = last.isdigit() and int(last) >= depth
        if beyond or name.startswith("tuner/"):
            space.replay(values)
        else:
            with pytest.raises(BadInput, match=f"'{name}' is missing"):
                space.replay(values)


# One space of each kind; a stock tuner builds many models before it starts.
STOCK = [("mnist", "dense"), ("fashion", "regularized"), ("fashion", "batchnorm")]


@pytest.mark.parametrize(("task_name", "space"), STOCK)
def test_stock_tuner_takes_our_builders(task_name, space, tmp_path):
    task = {"fashion": FASHION, "mnist": MNIST}[task_name]
    tuner = keras_tuner.Hyperband(task.builder(space), "val_accuracy", seed=1, directory=tmp_path)
    trial = tuner.oracle.create_trial("tuner0")
    values = {k: v for k, v in trial.hyperparameters.values.items() if k[:6] != "tuner/"}
    model = task.builder(space)(trial.hyperparameters)
    is_width = re.compile(r".*units.*|l\d_size").fullmatch
    widths = [v for k, v in sorted(values.items()) if is_width(k)]
    assert [layer.units for layer in hidden(model)] == widths
    task.builder(space).replay(values)
