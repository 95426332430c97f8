"""Arguments of `training.fit` mean what they mean to `Model.fit`, or are refused."""

import collections
import contextlib
import re

import keras
import numpy as np
import pandas as pd
import pytest

from shared_keras import training
from shared_keras.training.fit_data import arrays
from tests.shares import dealt
from tests.small_model import BATCH, CLASSES, FEATURES, N, build, problem

X, Y = problem()
F = X / np.float64(255)
WEIGHTS = np.random.default_rng(1).uniform(0, 2, N)
VALIDATION = (X[:70], Y[:70])


def several(optimizer=None):
    """Two inputs and two outputs."""
    training.seed_layers(1)
    inputs = [keras.Input((FEATURES,), name="left"), keras.Input((3,), name="right")]
    both = keras.layers.Concatenate()([keras.layers.Rescaling(1 / 255)(i) for i in inputs])
    outputs = {
        "kind": keras.layers.Dense(CLASSES, activation="softmax", name="kind")(both),
        "size": keras.layers.Dense(1, name="size")(both),
    }
    model = keras.Model(inputs, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    weights = {"kind": 1.0, "size": 0.5}
    metrics = {"kind": ["accuracy"], "size": ["mae"]}
    model.compile("adam", losses, loss_weights=weights, metrics=metrics, weighted_metrics=metrics)
    return model


def in_lists():
    """One input and a list of outputs."""
    training.seed_layers(1)
    given = keras.Input((FEATURES,))
    scaled = keras.layers.Rescaling(1 / 255)(given)
    kind = keras.layers.Dense(CLASSES, activation="softmax", name="kind")(scaled)
    model = keras.Model(given, [kind, keras.layers.Dense(1, name="size")(scaled)])
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], metrics=[["accuracy"], "mae"])
    return model


def without_targets():
    """Learns to reproduce its inputs, with a loss of its own."""

    class GivesBack(keras.layers.Layer):
        def call(self, x, given):
            self.add_loss(keras.ops.mean((x - given) ** 2))
            return x

    training.seed_layers(1)
    given = keras.Input((FEATURES,))
    scaled = keras.layers.Rescaling(1 / 255)(given)
    back = keras.layers.Dense(FEATURES)(keras.layers.Dense(3)(scaled))
    model = keras.Model(given, GivesBack()(back, scaled))
    model.compile("adam")
    return model


def weighed():
    model = build()
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model


def one_hot():
    model = build()
    model.compile("adam", "categorical_crossentropy", weighted_metrics=["accuracy"])
    return model


def column():
    """A regression in which the rank of the targets matters."""
    training.seed_layers(1)
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae", keras.metrics.R2Score()])
    return model


FRAME = pd.DataFrame(F)
LEFT_RIGHT = {"left": X, "right": X[:, :3]}
KIND_SIZE = {"kind": Y, "size": F[:, :1]}
TAKEN = {
    "float64": (build, F, Y, {}),
    "float16": (build, F.astype(np.float16), Y, {"validation_data": (F[:70], Y[:70])}),
    "int64": (build, X.astype(np.int64), Y.astype(np.int64), {}),
    "bool": (build, X > 99, Y, {}),
    "columns of labels": (build, X, Y[:, None], {"validation_data": (X, Y[:, None])}),
    "pandas": (column, pd.DataFrame(F), pd.Series(F[:, 0]), {}),
    "frame of whole numbers": (build, pd.DataFrame(X), pd.DataFrame(Y), {}),
    "tensors": (build, keras.ops.convert_to_tensor(X), keras.ops.convert_to_tensor(Y), {}),
    "list of validation": (build, X, Y, {"validation_data": list(VALIDATION)}),
    "weighed validation": (weighed, X, Y, {"validation_data": (*VALIDATION, WEIGHTS[:70])}),
    "validation split": (weighed, X, Y, {"validation_split": 0.3, "sample_weight": WEIGHTS}),
    "batches of validation": (
        build,
        X,
        Y,
        {"validation_data": VALIDATION, "validation_batch_size": 7},
    ),
    "sample weight": (weighed, X, Y, {"sample_weight": WEIGHTS}),
    "series of weights": (weighed, X, Y, {"sample_weight": pd.Series(WEIGHTS)}),
    "class weight": (weighed, X, Y, {"class_weight": {0: 3.0, 2: 0.5}}),
    "class weight and split": (
        weighed,
        X,
        Y,
        {"class_weight": {0: 3.0, 2: 0.5}, "validation_split": 0.3},
    ),
    "class weight, one-hot, and split": (
        one_hot,
        X,
        np.eye(4)[Y],
        {"class_weight": {0: 3.0, 2: 0.5}, "validation_split": 0.3},
    ),
    "class weight and validation": (
        weighed,
        X,
        Y,
        {"class_weight": {0: 3.0}, "validation_data": VALIDATION, "validation_split": 0.3},
    ),
    "class weight, one-hot": (one_hot, X, np.eye(4)[Y], {"class_weight": {0: 3.0, 2: 0.5}}),
    "dicts": (several, LEFT_RIGHT, KIND_SIZE, {"validation_data": (LEFT_RIGHT, KIND_SIZE)}),
    "lists": (several, [X, X[:, :3]], KIND_SIZE, {"validation_split": 0.2}),
    "lists of outputs": (in_lists, X, [Y, F[:, :1]], {"sample_weight": [WEIGHTS, WEIGHTS]}),
    "weights of outputs": (several, LEFT_RIGHT, KIND_SIZE, {"sample_weight": WEIGHTS}),
    "no targets": (without_targets, X, None, {}),
    "validation on x": (without_targets, X, None, {"validation_data": X[:70]}),
    "validation on (x,)": (without_targets, X, None, {"validation_data": (X[:70],)}),
    "validation on [x]": (without_targets, X, None, {"validation_data": [X[:70]]}),
    "validation on x without y": (without_targets, X, Y, {"validation_data": (X[:70], None)}),
    "split without targets": (without_targets, X, None, {"validation_split": 0.3}),
    "frame with a bool": (
        column,
        pd.DataFrame(F).assign(**{"0": X[:, 0] > 99}).iloc[:, 1:],
        F[:, 0],
        {},
    ),
    "frame of sizes": (
        column,
        pd.DataFrame(F).astype({0: "float32"}).astype({1: "int8"}),
        F[:, 0],
        {},
    ),
    "no batch size": (build, X, Y, {"batch_size": None}),
    "one callback": (build, X, Y, {"callbacks": keras.callbacks.EarlyStopping("loss")}),
    "no epochs": (build, X, Y, {"epochs": 1, "initial_epoch": 2}),
}


EVERYWHERE = ("lists of outputs", "class weight and split", "validation on x", "frame with a bool")
ON_EVERY = [pytest.param(case, marks=pytest.mark.every_backend) for case in EVERYWHERE[:2]]
ON_EVERY += [
    pytest.param(case, marks=[pytest.mark.every_backend, pytest.mark.long])
    for case in EVERYWHERE[2:]
]
HERE = [case for case in TAKEN if case not in EVERYWHERE]
OFTEN = ["pandas", "weighed validation", "sample weight", "class weight", "no targets"]
OFTEN += ["no batch size", "no epochs"]


@pytest.mark.parametrize("case", dealt(HERE, OFTEN) + ON_EVERY)
def test_taken_as_keras_takes_it(case):
    make, x, y, options = TAKEN[case]
    options = {"epochs": 2, "batch_size": BATCH, "shuffle": False} | options
    ours, theirs = make(), make()
    history = training.fit(ours, x, y, **options).history
    expected = theirs.fit(x, y, verbose=0, **options).history
    assert list(history) == list(expected) and (history or case == "no epochs")
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


MIXED = {
    "bool and whole numbers": ({"a": [True, False], "b": [3, 4]}, [[1, 3], [0, 4]]),
    "bool and float32": ({"a": [True, False], "b": np.float32([3, 4])}, [[1, 3], [0, 4]]),
    "nullable": ({"a": pd.array([5, None], "Int64"), "b": [1, 2]}, [[5, 1], [np.nan, 2]]),
    "objects": ({"a": np.array([True, 2.5], object)}, [[1], [2.5]]),
    "same names": ([[True, 0.5], [False, 1.5]], [[1, 0.5], [0, 1.5]]),
}


@pytest.mark.parametrize("case", MIXED)
def test_frames_of_numbers_that_keras_refuses(case):
    given, expected = MIXED[case]
    frame = pd.DataFrame(given)
    if case == "same names":
        frame = frame.astype({0: bool}).set_axis(["a", "a"], axis=1)
    array = arrays("x", frame)
    assert array.dtype == "float32"
    np.testing.assert_array_equal(array, np.float32(expected))


@pytest.mark.parametrize(
    ("given", "trained"),
    [(1, 1), pytest.param(2, 2, marks=pytest.mark.every_backend), (9, 3), (None, 3)],
)
def test_the_limit_of_epochs_is_keras_own(given, trained):
    keras.config.set_max_epochs(given)
    try:
        for fit in (training.fit, keras.Model.fit):
            options = {"epochs": 3, "initial_epoch": 0, "verbose": 0}
            warned = pytest.warns(UserWarning, match=f"Limiting epochs to {given}")
            with warned if trained < 3 else contextlib.nullcontext():
                assert len(fit(build(), X, Y, **options).epoch) == trained
    finally:
        keras.config.set_max_epochs(None)


@pytest.mark.every_backend
def test_the_limit_of_steps_is_keras_own():
    keras.config.set_max_steps_per_epoch(2)
    try:
        options = {"epochs": 2, "batch_size": BATCH, "shuffle": False, "verbose": 0}
        options["validation_data"] = VALIDATION
        ours, theirs = build(), build()
        history = training.fit(ours, X, Y, **options).history
        expected = theirs.fit(X, Y, **options).history
    finally:
        keras.config.set_max_steps_per_epoch(None)
    assert int(ours.optimizer.iterations) == 4
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("options", "name"), [({"y": None}, "y"), ({"validation_data": (X,)}, "validation_data")]
)
def test_a_loss_needs_targets(options, name):
    with pytest.raises(ValueError, match=f"^{name} must hold targets, because the model"):
        training.fit(build(), **{"x": X, "y": Y} | options)


def test_lists_of_numbers_are_arrays():
    """Keras refuses these."""
    models = build(), build()
    training.fit(models[0], X, Y)
    training.fit(models[1], X.tolist(), Y.tolist())
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_array_equal(a, b)


def test_progress_is_shown_on_request(capsys):
    training.fit(build(), X, Y, verbose="auto")
    assert "loss" in capsys.readouterr().out
    training.fit(build(), X, Y)
    assert not capsys.readouterr().out


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[index::3], Y[index::3]


def batches():
    for index in range(3):
        yield X[index::3], Y[index::3]


def torch_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(data, batch_size=BATCH)


BATCHED = {
    "PyDataset": (Batches, {}),
    "generator": (batches, {}),
    "torch": (torch_loader, {}),
    "validation": (Batches, {"validation_data": Batches()}),
    "arrays and validation": (lambda: X, {"y": Y, "validation_data": Batches()}),
    "steps": (Batches, {"steps_per_epoch": 2}),
    "steps of arrays": (lambda: X, {"y": Y, "steps_per_epoch": 2}),
    "steps of validation": (
        lambda: X,
        {"y": Y, "validation_data": VALIDATION, "validation_steps": 1},
    ),
    "seldom validated": (
        lambda: X,
        {"y": Y, "validation_data": VALIDATION, "validation_freq": 2},
    ),
}


@pytest.mark.parametrize("case", dealt(BATCHED, ["PyDataset", "generator", "steps of validation"]))
def test_what_comes_in_batches_is_trained_by_keras(case):
    make, options = BATCHED[case]
    options = {"shuffle": False, "epochs": 1 if case == "generator" else 2} | options
    ours, theirs = build(dropout=0.0), build(dropout=0.0)
    history = training.fit(ours, make(), **options).history
    expected = theirs.fit(make(), verbose=0, **options).history
    assert list(history) == list(expected) and history
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)


def test_batches_that_keras_shuffles_follow_the_seed():
    losses = []
    for seed in (1, 1, 2):
        model = build(dropout=0.0)
        history = training.fit(model, X, Y, steps_per_epoch=4, batch_size=30, seed=seed).history
        losses.append(history["loss"])
    assert losses[0] == losses[1] != losses[2]


REFUSED = {
    "x must be an array, a list or dict of arrays, or a dataset": ({"x": 3},),
    "x must be an array of numbers": (
        {"x": np.array([["a"]] * N)},
        {"x": [[1.0], [1.0, 2.0]]},
        {"x": pd.DataFrame({"a": ["b"] * N})},
        {"x": np.float32(3)},
    ),
    "x must be an array of numbers, but its column 'b' has the dtype": (
        {"x": pd.DataFrame({"a": np.ones(N), "b": ["1.5"] * N})},
        {"x": pd.DataFrame({"a": np.ones(N), "b": pd.date_range("2020", periods=N)})},
        {"x": pd.DataFrame({"a": np.ones(N), "b": pd.Categorical(["u"] * N)})},
        {"x": pd.DataFrame({"a": np.ones(N), "b": [1.0, "u"] + [1.0] * (N - 2)})},
    ),
    "y must be an array of numbers, but it has the dtype": ({"y": pd.Series(["a"] * N)},),
    "x and y must be equally long. Received: 150, 149": ({"y": Y[1:]},),
    "x and y and sample_weight must be equally long": ({"sample_weight": WEIGHTS[1:]},),
    "validation_data[0] and validation_data[1] must be": ({"validation_data": (X, Y[1:])},),
    "validation_data must be x, (x,), (x, y) or (x, y, sample_weight)": (
        {"validation_data": (X, Y, WEIGHTS, WEIGHTS)},
        {"validation_data": ()},
    ),
    "validation_data must be an array": ({"validation_data": 3},),
    "validation_split must leave samples on both sides": (
        {"validation_split": 1.0},
        {"validation_split": 1.5},
    ),
    "validation_split must be a number of at least 0": (
        {"validation_split": "a"},
        {"validation_split": -0.5},
        {"validation_split": float("nan")},
    ),
    "len(x) must be at least 1. Received: 0": ({"x": X[:0], "y": Y[:0]},),
    "len(validation_data[0]) must be at least 1. Received: 0": (
        {"validation_data": (X[:0], Y[:0])},
    ),
    "seed must be a whole number. Received: None": ({"seed": None},),
    "seed must be at least 0. Received: -1": ({"seed": -1},),
    "class_weight and sample_weight cannot": ({"sample_weight": WEIGHTS, "class_weight": {}},),
    "class_weight needs y": ({"class_weight": {0: 1.0}, "y": None},),
    "class_weight must be a dict": ({"class_weight": [1.0, 2.0]},),
    "sample_weight needs y": ({"y": None, "sample_weight": WEIGHTS},),
    "callbacks must be a list": ({"callbacks": keras.callbacks.CallbackList()},),
    "callbacks must be Keras callbacks. Received: 'stop'": ({"callbacks": ["stop"]},),
    "batch_size must be a whole number. Received: 32.5": ({"batch_size": 32.5},),
    "epochs must be a whole number": ({"epochs": "2"},),
    "epochs must be at least 0": ({"epochs": -1},),
    "shuffle must be True or False. Received: 'batch'": ({"shuffle": "batch"},),
}
CASES = [(message, options) for message, cases in REFUSED.items() for options in cases]


@pytest.mark.parametrize(("message", "options"), CASES)
def test_refused_in_one_sentence(message, options):
    options = collections.ChainMap(options, {"x": X, "y": Y})
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        training.fit(build(), **options)
    assert len(str(caught.value)) < 250
    if "seed" not in options:
        with pytest.raises(ValueError, match=re.escape(message)):
            training.check(**options)
