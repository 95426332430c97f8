"""Each format: written, loaded by its own runtime, and used as the command says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras.command_line import cli
from shared_keras.exports import pytorch
from shared_keras.exports.formats import FORMATS
from shared_keras.models.build import keras_model
from shared_keras.results import saved_models
from shared_keras.systems import mlp, spec
from tests.shares import dealt

ROOT = Path(__file__).parents[2]
RUNTIMES = [name for name in FORMATS if name != "page"]


def needs(form):
    """Skip a test where a package of a format is missing."""
    for name in FORMATS[form].needs:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, of the extra export")


def run(code, folder, **variables):
    """Run Python in a folder, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *code], cwd=folder, capture_output=True, text=True, timeout=300,
        env=os.environ | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.long(only=True)
@pytest.mark.parametrize("form", RUNTIMES)
def test_an_export_is_used_as_it_says(form, tmp_path):
    needs(form)
    command = ["-m", "mnist_keras.export", "--to", form, "reference"]
    done = run([*command, "--results-dir", str(tmp_path)], ROOT, COLUMNS="400")
    assert not done.stderr  # TensorFlow likes to tell of itself
    said = done.stdout
    assert re.search(r"on 10,000 test images, .* is \d\.\de-0[5-9], and 0 get another class", said)
    (folder,) = tmp_path.glob("mnist/exports/*")
    assert not list(folder.parent.glob(".*"))
    lines = said.split("\n\n")[1]
    more = "print(tuple(probabilities.shape), float(probabilities.sum()))"
    told = run(["-c", f"{lines}\n{more}"], folder).stdout
    assert re.match(r"\(1, 10\) (1\.0|0\.99999)", told.splitlines()[-1])


def test_what_no_backend_here_can_is_one_sentence(tmp_path, capsys):
    other = "litert" if keras.config.backend() != "tensorflow" else "onnx"
    needs(other)
    options = ["--to", other, "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", options) == 2
    said = capsys.readouterr().err
    assert f"'{other}' is written by the backend" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_two_models_are_for_a_page(tmp_path, capsys):
    options = ["--to", "torch", "--beside", "reference", "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", options) == 2
    assert "argument --beside: expected with --to page only" in capsys.readouterr().err


def model_file(path, layer):
    """Write a model of which one layer is given."""
    keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), layer,
         keras.layers.Dense(10, activation="softmax")]
    ).save(path)  # fmt: skip
    return str(path)


@pytest.mark.parametrize("form", ["torch", "page"])
def test_a_layer_that_it_cannot_hold_is_named(form, tmp_path, capsys, small_dirs):
    needs(form)
    name = model_file(tmp_path / "own.keras", keras.layers.LayerNormalization(name="odd"))
    options = [name, "--to", form, "--data-dir", str(small_dirs["mnist"])]
    assert cli.main(MNIST, "export", [*options, "--results-dir", str(tmp_path)]) == 2
    assert "cannot hold the layer odd (LayerNormalization)" in capsys.readouterr().err
    assert not list((tmp_path / "mnist" / "exports").iterdir())


def test_branches_are_named(tmp_path, capsys, small_dirs):
    images = keras.Input((28, 28))
    flat = keras.layers.Flatten()(images)
    both = keras.layers.Add()([keras.layers.Dense(8)(flat), keras.layers.Dense(8)(flat)])
    keras.Model(images, keras.layers.Dense(10)(both)).save(tmp_path / "own.keras")
    options = [str(tmp_path / "own.keras"), "--to", "page", "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", [*options, "--data-dir", str(small_dirs["mnist"])]) == 2
    assert "this model has branches" in capsys.readouterr().err


def test_a_difference_that_matters_leaves_nothing(tmp_path, capsys, small_dirs, monkeypatch):
    needs("torch")
    right = pytorch.answers
    monkeypatch.setattr(pytorch, "answers", lambda *given: right(*given)[::-1])
    options = ["reference", "--to", "torch", "--data-dir", str(small_dirs["mnist"])]
    assert cli.main(MNIST, "export", [*options, "--results-dir", str(tmp_path)]) == 1
    assert "that is too much, so nothing was kept" in capsys.readouterr().err
    assert not list((tmp_path / "mnist" / "exports").iterdir())


CONV = (spec.Conv(4, padded=False), spec.BatchNorm(), spec.MaxPool(), spec.Flatten())
MOVED = {
    "mirrored": spec.System(  # answers with means over an image and its mirror image
        (spec.Flip(), spec.Shift(1), *CONV, spec.Dense(10)),
        spec.Optimizer("adam", 0.01),
        mirrored=True,
    ),
    "perceptron": mlp.shifted(epochs=1),
}
EXPORTED = [(of, form) for of in MOVED for form in RUNTIMES]


@pytest.mark.parametrize(("of", "form"), dealt(EXPORTED, [("mirrored", "torch")]))
def test_models_that_move_images_are_exported(of, form, tmp_path, small_dirs):
    """Each command compares what its format answers with Keras's answers; only it knows how."""
    needs(form)
    path = tmp_path / "own.keras"
    keras.utils.set_random_seed(1)
    saved_models.save(keras_model(MOVED[of]), path)
    command = ["-m", "mnist_keras.export", str(path), "--to", form, "--results-dir", str(tmp_path)]
    said = run([*command, "--data-dir", str(small_dirs["mnist"])], ROOT, COLUMNS="400").stdout
    assert "0 get another class" in said


@pytest.mark.long(only=True)
@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1)])  # the second gets a Reshape in front
def test_half_precision_is_exported_in_float32_and_said(shape, tmp_path, capsys, small_dirs):
    half = {"dtype": "mixed_float16"}
    layers = [keras.layers.Flatten(**half), keras.layers.Dense(10, activation="softmax", **half)]
    model = keras.Sequential([keras.Input(shape), *layers])
    # No image is near another class, whatever is rounded.
    model.set_weights([np.zeros((784, 10)), np.arange(10.0)])
    model.save(tmp_path / "own.keras")
    options = [str(tmp_path / "own.keras"), "--to", "page", "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", [*options, "--data-dir", str(small_dirs["mnist"])]) == 0
    assert "this model computes in half precision" in capsys.readouterr().out


def test_plain_pytorch_takes_every_kind_of_layer(tmp_path, capsys, small_dirs):
    needs("torch")
    kinds = keras.layers
    keras.utils.set_random_seed(1)
    keras.Sequential(
        [
            keras.Input((28, 28, 1)),  # so a Reshape comes first
            kinds.Rescaling(1 / 127.5, -1.0),
            kinds.Conv2D(4, 3, strides=2, padding="same", activation="leaky_relu"),  # pads one side
            kinds.MaxPooling2D(3, 2),
            kinds.BatchNormalization(),
            kinds.Conv2D(6, 3, activation="mish", use_bias=False),
            kinds.Flatten(),
            kinds.Dropout(0.5),
            kinds.Dense(9, activation="elu"),
            kinds.LeakyReLU(),
            keras.Sequential([keras.Input((9,)), kinds.Dense(10)]),
        ]
    ).save(tmp_path / "own.keras")
    options = [str(tmp_path / "own.keras"), "--to", "torch", "--results-dir", str(tmp_path)]
    assert cli.main(MNIST, "export", [*options, "--data-dir", str(small_dirs["mnist"])]) == 0
    assert "0 get another class" in " ".join(capsys.readouterr().out.split())


@pytest.mark.long(only=True)
def test_plain_keras_opens_our_models(tmp_path):
    path = saved_models.committed(FASHION)
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "assert not any(name.startswith('shared_keras') for name in sys.modules)\n"
        "print(np.asarray(model(np.zeros((1, 28, 28), 'float32'))).tolist())"
    )
    told = run(["-I", "-c", code, str(path)], tmp_path).stdout
    model = saved_models.load(FASHION, path)
    ours = np.asarray(keras.ops.convert_to_numpy(model(np.zeros((1, 28, 28), np.float32))))
    np.testing.assert_allclose(eval(told.splitlines()[-1]), ours, atol=1e-4)
