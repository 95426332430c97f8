"""Weights from PyTorch to Keras and back, for every architecture and any widths."""

import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_keras import training
from shared_keras.errors import BadInput
from shared_keras.models.build import keras_model
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_outputs
from shared_keras.systems.mlp import normalized
from shared_keras.systems.spec import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    Optimizer,
    System,
)
from tests.conftest import TASKS
from tests.shares import dealt

torch = pytest.importorskip("torch")
from shared_keras.pytorch import twin, weights  # noqa: E402
from tests.ray_folders import OriginalMLP  # noqa: E402

SGD = Optimizer("sgd", 0.1)
ARCHITECTURES = {  # one recipe of each architecture
    "fashion": "pytorch-1 pytorch-3 pytorch-7 pytorch-tuned-2 accuracy lab4-ffv0-0.1 "
    "lab4-ffv1-32-0.1 lab4-ffv2-64-0.1 lab4-ffv3 lab4-cnn mlp",
    "mnist": "dense regularized",
}
# Enough for other backends, where test_parity.py has a convolutional network.
EVERYWHERE = ("pytorch-7", "regularized")
RECIPES = [
    pytest.param(task, name, marks=[pytest.mark.every_backend] * (name in EVERYWHERE))
    for task in TASKS
    for name in ARCHITECTURES[task.name].split()
]


def lively(described, seed=0):
    """Return a twin whose batch statistics have moved from their initial values."""
    torch.manual_seed(seed)
    network = twin.module(described)
    for part in network.modules():
        if hasattr(part, "running_mean"):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return network


def ported(described, network):
    model = keras_model(described)
    weights.load(model, network.state_dict())
    return model


def assert_same(state, expected):
    assert list(state) == list(expected)
    for key, value in expected.items():
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize("step", dealt([1, 10], [10]))
@pytest.mark.parametrize(("task", "name"), RECIPES, ids=lambda v: getattr(v, "name", v))
def test_logits_on_test_images(full, task, name, step):
    described = task.system(task.recipes[name].system)
    network = lively(described)
    model = ported(described, network)
    x = full[task.name][1].x[::step]
    theirs = twin.logits(described, network, x)
    ours = predict_outputs(model, x)
    if described.probabilities:
        theirs = torch.softmax(torch.from_numpy(theirs), 1).numpy()
    assert len(ours) == len(x) and np.ptp(theirs) > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    assert_same(weights.state_dict(model), network.state_dict())


layer_widths = st.lists(st.integers(1, 20), min_size=1, max_size=4)


@settings(deadline=None, max_examples=5)
@given(widths=layer_widths, norm=st.booleans(), bias=st.booleans(), seed=st.integers(0, 9))
def test_any_perceptron(widths, norm, bias, seed):
    layers = [Flatten()]
    for width in widths:
        layers += [Dense(width, bias=bias), *[BatchNorm()] * norm, Activation("relu")]
    check(System((*layers, Dense(10)), SGD), seed)


@settings(deadline=None, max_examples=3)
@given(filters=st.lists(st.integers(1, 5), min_size=1, max_size=3), norm=st.booleans())
def test_any_convolutional_network(filters, norm):
    """The kernel after Flatten has its inputs in another order, whatever the shape."""
    layers = []
    for width in filters:
        layers += [Conv(width), *[BatchNorm()] * norm, Activation("relu"), MaxPool()]
    check(System((*layers, Flatten(), Dense(7), Activation("mish"), Dense(10)), SGD), 1)


def check(described, seed):
    network = lively(described, seed)
    model = ported(described, network)
    x = np.random.default_rng(seed).integers(0, 256, (8, 28, 28), dtype=np.uint8)
    theirs = twin.logits(described, network, x)
    np.testing.assert_allclose(predict_outputs(model, x), theirs, atol=1e-5, rtol=1e-5)
    assert_same(weights.state_dict(model), network.state_dict())


def test_modules_of_somebody_else():
    """Their names and their order; `like` converts back to their module."""
    theirs = OriginalMLP((12, 11, 13), (0.1, 0.1, 0.1)).eval()
    state = theirs.state_dict()
    assert "layers.0.weight" in state and "out_layer.weight" in state
    described = normalized((12, 11, 13), (0.1, 0.1, 0.1), SGD)
    model = keras_model(described)
    weights.load(model, state)
    x = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    expected = theirs(twin.normalized(described, x)).detach().numpy()
    np.testing.assert_allclose(predict_outputs(model, x), expected, atol=1e-5)
    again = OriginalMLP((12, 11, 13), (0.1, 0.1, 0.1)).eval()
    again.load_state_dict(weights.state_dict(model, like=again.state_dict()))
    np.testing.assert_array_equal(again(twin.normalized(described, x)).detach(), expected)
    network = twin.module(described)
    weights.load_module(network, state)
    np.testing.assert_allclose(twin.logits(described, network, x), expected, atol=1e-6)


def test_names_that_are_out_of_order():
    described = System((Flatten(), Dense(10), Activation("relu"), Dense(10)), SGD)
    network = lively(described)
    own = network.state_dict()
    state = {f"z.{k}": own[f"dense_2.{k}"] for k in ("weight", "bias")}
    state |= {f"a.{k}": own[f"dense_1.{k}"] for k in ("weight", "bias")}
    renamed = weights.renamed(state, {"z": "dense_2", "a": "dense_1"})
    assert_same(renamed, own)


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("dense_2.weight"), "'dense_2.bias' does not belong to a Linear"),
        (without("dense_2.bias"), "'dense_2.bias' is missing"),
        (without("norm_1.running_var"), "'norm_1.running_var' is missing"),
        (
            lambda s: s | {"dense_2.weight": s["dense_2.weight"].T},
            r"'dense_2.weight' has the shape \(12, 10\), expected \(10, 12\)",
        ),
        (
            lambda s: s | {"dense_3.weight": torch.zeros(10, 10)},
            "'dense_3.weight' has no place in the model, which has 2 dense layers",
        ),
        (lambda s: s | {"dense_1.scale": torch.zeros(12)}, "'dense_1.scale' has no place"),
        (lambda s: {"x": torch.zeros(3)}, "'.x' does not belong to a Linear|'x' does not"),
        (lambda s: {}, "nothing in it fits 'dense"),
        (lambda s: s | {"gru.weight": torch.zeros(2, 2, 2)}, "'gru.weight' does not belong to a"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(spoil, message):
    described = System((Flatten(), Dense(12), BatchNorm(), Activation("relu"), Dense(10)), SGD)
    model = keras_model(described)
    before = model.get_weights()
    with pytest.raises(BadInput, match=message):
        weights.load(model, spoil(lively(described).state_dict()))
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


class Hostile:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save({"w": Hostile()}, path), "could run code"),
        (lambda path: path.write_bytes(pickle.dumps({"w": Hostile()})), "refused|cannot be read"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "could run code"),
        (lambda path: torch.save([1, 2], path), "expected a state dict"),
        (lambda path: torch.save({"epoch": 3}, path), "expected a state dict"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "cannot be read|refused"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
    ],
    ids=["hostile", "pickle", "module", "list", "numbers", "text", "empty"],
)
def test_checkpoints_that_are_no_state_dict_are_refused(tmp_path, monkeypatch, write, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model.pt")
    with pytest.raises(BadInput, match=message):
        weights.read(tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.long(only=True)
def test_a_saved_port_needs_nothing_of_ours(tmp_path, full):
    """Stock Keras loads it in a process without this project, and its outputs agree."""
    task = TASKS[0]
    described = task.system(task.recipes["pytorch-7"].system)
    model = ported(described, lively(described))
    saved_models.save(model, tmp_path / "model.keras")
    x = full["fashion"][1].x[:20]
    np.save(tmp_path / "x.npy", x)
    code = (
        "import keras, numpy as np; m = keras.saving.load_model('model.keras');"
        "np.save('y.npy', m.predict_on_batch(np.load('x.npy')));"
        "import sys; assert 'shared_keras' not in sys.modules"
    )
    environment = os.environ | {"KERAS_BACKEND": keras.backend.backend()}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    expected = predict_outputs(model, x)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-5)


@pytest.mark.long(only=True)
def test_a_saved_keras_system_keeps_its_optimizer(tmp_path, full):
    """Stock Keras resumes training where it stopped."""
    task = TASKS[1]
    model = keras_model(task.system(task.recipes["regularized"].system))
    train = full["mnist"][0]
    training.fit(model, train.x[:200], train.y[:200])
    saved_models.save(model, tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {type(layer).__module__.partition(".")[0] for layer in again.layers} == {"keras"}
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    first = again.evaluate(train.x[:200], train.y[:200], verbose=0)
    assert first == pytest.approx(model.evaluate(train.x[:200], train.y[:200], verbose=0))
