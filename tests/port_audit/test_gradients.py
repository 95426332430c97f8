"""Where rounding flips a gradient, it is compared at PyTorch's numbers; what differs is found.

Long tests do so for all pairs and all planted differences.
"""

from dataclasses import replace

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from port_audit.nets import differentiation, pooling  # noqa: E402
from port_audit.stages import steps  # noqa: E402
from port_audit.stages.steps import gradients  # noqa: E402
from tests.port_audit import parts  # noqa: E402
from tests.port_audit.test_audit import FAITHFUL, PLANTED, audited, expected  # noqa: E402
from tests.shares import dealt  # noqa: E402

ONLY_THERE = "gradients agree only at PyTorch's outputs of each layer"

NOTED = ("units and activation", "a layer too many")


@pytest.fixture
def flipped(monkeypatch):
    """Turn the last gradient of the model as it is around."""
    right = gradients.as_it_is

    def as_it_is(*given):
        compute = right(*given)

        def run(step):
            found = compute(step)
            return replace(found, values=[*found.values[:-1], -found.values[-1]])

        return run

    monkeypatch.setattr(gradients, "as_it_is", as_it_is)


def notes(report):
    """Return the notes on the steps."""
    return next(stage.notes for stage in report.stages if stage.name == "steps")


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(FAITHFUL, ["cnn"]))
def test_a_flipped_gradient_is_no_difference(name, flipped):
    report = audited(FAITHFUL[name], 0)
    assert report.same, report.findings
    assert any(note.startswith(ONLY_THERE) for note in notes(report))


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", dealt(PLANTED, NOTED))
def test_what_is_planted_is_named_beside_a_flipped_gradient(name, flipped):
    pair, options, _ = PLANTED[name]
    report = audited(pair, 0, **options)
    assert set(report.causes) == expected(name), report.findings
    if name in NOTED:
        assert any(note.startswith(ONLY_THERE) for note in notes(report))


def scaled_in(name, factor):
    """Return a pair whose gradients before the last layer are scaled in the port."""
    part = keras.layers.Lambda(lambda x: factor * x + (1 - factor) * keras.ops.stop_gradient(x))

    def pair(seed):
        theirs, ours, x, y = FAITHFUL[name](seed)

        def port():
            layers = ours.model().layers
            return parts.sequential(x.shape[1:], [*layers[:-1], part, layers[-1]])

        return theirs, replace(ours, model=port), x, y

    return pair


@pytest.mark.parametrize("factor", [0.5, 0.99])
@pytest.mark.parametrize("name", dealt(["mlp", "normed_cnn", "lstm"], ["mlp"]))
def test_a_gradient_of_another_size_is_found_though_all_outputs_are_the_same(name, factor):
    report = audited(scaled_in(name, factor), 0)
    said = f"gradients are {factor:g} times PyTorch's, though the outputs agree"
    assert any(finding.cause.startswith(said) for finding in report.findings)


def test_a_flip_within_pytorch_itself_hides_nothing(monkeypatch):
    """Between float32 and float64."""
    right = steps.gradients_in_float64

    def gradients_in_float64(*given):
        return {name: 1.5 * value for name, value in right(*given).items()}

    monkeypatch.setattr(steps, "gradients_in_float64", gradients_in_float64)
    report = audited(scaled_in("mlp", 0.5), 0)
    assert any(finding.cause.startswith("gradients are 0.5 times") for finding in report.findings)


@pytest.mark.parametrize("size", [2, (1, 2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_exact_pooling_has_the_same_outputs(size, padding, data_format):
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 6, 7)).astype("float32")
    layer = keras.layers.MaxPooling3D(size, padding=padding, data_format="channels_last")
    wanted = keras.ops.convert_to_numpy(layer(x))
    if data_format == "channels_first":
        layer = keras.layers.MaxPooling3D(size, padding=padding, data_format=data_format)
        x, wanted = np.moveaxis(x, -1, 1), np.moveaxis(wanted, -1, 1)
    assert np.array_equal(keras.ops.convert_to_numpy(pooling.in_two_turns(layer, x)), wanted)


def close(gap):
    """Return a pool of eight values, of which the second is the largest, and by how little."""
    return np.reshape([1, 1 + gap, 0, 0, 0, 0, 0, 0], (1, 2, 2, 2, 1)).astype("float32")


@pytest.mark.every_backend
def test_exact_pooling_gives_the_gradient_to_the_largest_alone():
    layer, x = keras.layers.MaxPooling3D(2), keras.Variable(close(1e-6))
    compute = differentiation.program(
        [x], lambda: keras.ops.sum(pooling.in_two_turns(layer, keras.ops.convert_to_tensor(x)))
    )
    assert list(compute()[1][0].ravel()) == [0, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.long
@pytest.mark.parametrize(("gap", "gradient"), [(9e-6, [1, 1]), (1.1e-5, [0, 1])])
def test_tensorflow_gives_the_gradient_of_a_pool_to_all_that_are_close(gap, gradient):
    """If this fails, it is mended there, and `nets/pooling.py` can go."""
    tf = pytest.importorskip("tensorflow")
    x = tf.Variable(close(gap))
    with tf.GradientTape() as tape:
        largest = tf.nn.max_pool3d(x, 2, 2, "VALID")
    assert list(tape.gradient(largest, x).numpy().ravel()[:2]) == gradient
