"""The scale of the pixels that a model from elsewhere was trained on."""

import json
import shutil

import keras
import numpy as np
import pytest

from shared_keras.command_line import cli
from shared_keras.data import datasets
from shared_keras.results import pixel_scale, saved_models
from shared_keras.results.scores import predict_probabilities
from tests.conftest import FASHION, MNIST

SCALES = {
    "0...255": lambda x: x * 1.0,
    "0...1": lambda x: x / 255,
    "-1...1": lambda x: x / 127.5 - 1,
    "mean 0": lambda x: (x / 255 - FASHION.pixels["mean"]) / FASHION.pixels["std"],
}


def network(*first, hidden=32, last="softmax"):
    """A small network."""
    parts = [keras.layers.Flatten(), keras.layers.Dense(hidden, "relu")] if hidden else []
    parts = parts or [keras.layers.Flatten()]
    return keras.Sequential(
        [keras.Input((28, 28)), *first, *parts, keras.layers.Dense(10, activation=last)]
    )


def trained(model, images, scale, logits=False, epochs=2):
    """Train a network on images of one scale, as somebody else would."""
    keras.utils.set_random_seed(0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(keras.optimizers.Adam(), loss)
    x = np.float32(SCALES[scale](images.x[:6000]))
    model.fit(x, images.y[:6000], 64, epochs, verbose=0)
    return model


@pytest.mark.long(only=True)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["hidden", "linear, one epoch", "logits"])
def test_a_model_gets_what_it_was_trained_on(full, tmp_path, scale, kind):
    raw = scale == "0...255"  # what is trained on them scales them itself
    first = (keras.layers.Rescaling(1 / 255),) if raw else ()
    hidden, last = (0 if "linear" in kind else 32), (None if kind == "logits" else "softmax")
    train, test = full["fashion"]
    model = network(*first, hidden=hidden, last=last)
    trained(model, train, scale, kind == "logits", 1 if "linear" in kind else 2)
    path = tmp_path / "theirs.keras"
    suited = pixel_scale.suit(model, FASHION, path, train)
    assert suited.scale.name.startswith(scale)
    assert bool(suited.line) == (not raw)
    expected = predict_probabilities(model, np.float32(SCALES[scale](test.x[:500])))
    given = predict_probabilities(suited.model, test.x[:500])
    np.testing.assert_allclose(given, expected, atol=1e-3)


def test_a_model_that_knows_nothing_is_named(full, tmp_path):
    train, _ = full["fashion"]
    keras.utils.set_random_seed(1)
    model = network()
    rng = np.random.default_rng(0)
    noise = datasets.Images(
        rng.integers(0, 256, (6000, 28, 28), np.uint8), rng.permutation(train.y)
    )
    trained(model, noise, "0...1")
    suited = pixel_scale.suit(model, FASHION, tmp_path / "theirs.keras", train)
    assert suited.model is model and suited.scale.name == "0...255"
    assert suited.line.startswith("warning: theirs.keras knows ")


def test_models_of_runs_are_left_alone(full, task):
    path = saved_models.committed(task)
    model = saved_models.load(task, path)
    suited = pixel_scale.suit(model, task, path, full[task.name][0])
    assert suited.model is model and not suited.line


@pytest.mark.long(only=True)
def test_the_commands_say_so_and_score_it_right(full, tmp_path, capsys):
    train, test = full["mnist"]
    model = trained(network(), train, "0...1")
    path, copy = tmp_path / "theirs.keras", tmp_path / "copy.keras"
    model.save(path)
    shutil.copy(path, copy)
    results = ["--results-dir", str(tmp_path / "results")]

    def user(*words):
        assert cli.main(MNIST, words[0], [*map(str, words[1:]), *results]) == 0
        return capsys.readouterr().out

    note = "theirs.keras was trained on pixels of 0...1"
    assert note in user("evaluate", path)
    (file,) = (tmp_path / "results").glob("mnist/evaluations/*/evaluation.json")
    evaluation = json.loads(file.read_text())
    expected = predict_probabilities(model, np.float32(test.x / 255)).argmax(axis=1)
    assert evaluation["accuracy"] == (expected == test.y).mean()
    assert evaluation["pixels"] == "0...1"
    out = user("predict", "--random", 5, "--run", path)
    assert note in out
    for line in out.splitlines():
        if line.startswith("test image "):
            index = int(line.split()[2])
            assert f": {expected[index]} " in line
    out = user("compare", path, copy)
    assert note in out and note.replace("theirs", "copy") in out
    assert f"accuracy {evaluation['accuracy']:.4f}" in out
