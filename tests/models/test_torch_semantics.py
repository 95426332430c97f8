"""The table of docs/pytorch.md, row by row: one word, two meanings."""

import math
import re

import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from port_audit.nets import differentiation
from shared_keras import training
from shared_keras.models import layers, optimizers
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.systems import spec
from shared_keras.systems.spec import Cosine, Dense, Flatten, Optimizer, System

torch = pytest.importorskip("torch")
from shared_keras.pytorch import twin, weights  # noqa: E402

LOGITS = (Flatten(), Dense(16), Dense(10))


def rng():
    return np.random.default_rng(0)


@pytest.mark.every_backend
def test_dense_kernel_is_the_transpose():
    linear = torch.nn.Linear(5, 3)
    dense = keras.layers.Dense(3)
    x = rng().normal(size=(4, 5)).astype("float32")
    dense.build(x.shape)
    dense.set_weights([linear.weight.detach().numpy().T, linear.bias.detach().numpy()])
    ours = keras.ops.convert_to_numpy(dense(x))
    np.testing.assert_allclose(ours, linear(torch.from_numpy(x)).detach(), atol=1e-6)


def same_distribution(first, second):
    """Check that two samples have one distribution: two-sample Kolmogorov-Smirnov."""
    assert scipy.stats.ks_2samp(np.ravel(first), np.ravel(second)).pvalue > 1e-4


def initialized(init):
    training.seed_layers(1)
    model = keras_model(System((Flatten(), Dense(300, init)), Optimizer("sgd", 0.1)))
    return model.layers[-1].get_weights()


def test_torch_init_is_torchs_default():
    torch.manual_seed(0)
    linear = torch.nn.Linear(784, 300)
    kernel, bias = initialized("torch")
    same_distribution(kernel, linear.weight.detach())
    same_distribution(bias, linear.bias.detach())
    assert np.abs(kernel).max() <= 1 / 28 and np.abs(bias).max() <= 1 / 28
    glorot, zero = initialized("keras")  # Keras's own differs
    assert np.abs(glorot).max() > 1.5 / 28 and not zero.any()


@pytest.mark.parametrize("nonlinearity", ["relu", "leaky_relu"])
def test_he_init_is_kaiming_normal_for_either_nonlinearity(nonlinearity):
    """Untruncated; and with a=0, its default, leaky ReLU has the gain of ReLU."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(784, 300)
    torch.nn.init.kaiming_normal_(linear.weight, nonlinearity=nonlinearity)
    kernel, bias = initialized("he")
    same_distribution(kernel, linear.weight.detach())
    same_distribution(bias, linear.bias.detach())
    assert np.abs(kernel).max() > 3 * math.sqrt(2 / 784)  # HeNormal stops at 2.3 of these


@pytest.mark.every_backend
@pytest.mark.parametrize("shape", [(7, 6), (3, 4, 4, 6)], ids=["1d", "2d"])
def test_batch_norm(shape):
    """Outputs, moving mean, and unbiased moving variance over several batches."""
    norm = torch.nn.BatchNorm1d(6) if len(shape) == 2 else torch.nn.BatchNorm2d(6)
    ours = layers.BatchNorm()
    for i in range(4):
        x = np.random.default_rng(i).normal(2, 3, shape).astype("float32")
        expected = norm(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
        outputs = keras.ops.convert_to_numpy(ours(x, training=True))
        np.testing.assert_allclose(outputs, np.moveaxis(expected, 1, -1), atol=1e-5)
    mean, variance = ours.get_weights()[2:]
    np.testing.assert_allclose(mean, norm.running_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, norm.running_var, rtol=1e-5)
    norm.eval()
    expected = norm(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    outputs = keras.ops.convert_to_numpy(ours(x, training=False))
    np.testing.assert_allclose(outputs, np.moveaxis(expected, 1, -1), atol=1e-5)


OPTIMIZERS = {
    "adam": (lambda: optimizers.Adam(0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
    "adam, l2": (
        lambda: optimizers.Adam(0.01, l2=0.1),
        lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    ),
    "rmsprop": (lambda: optimizers.RMSprop(0.01), lambda p: torch.optim.RMSprop(p, lr=0.01)),
    "rmsprop, momentum, l2": (
        lambda: optimizers.RMSprop(0.01, momentum=0.9, l2=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
    "sgd": (lambda: keras.optimizers.SGD(0.01), lambda p: torch.optim.SGD(p, lr=0.01)),
}
STOCK = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
}


def moved(make, gradients):
    variable = keras.Variable(np.ones(4, "float32"))
    optimizer = make()
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


def moved_in_torch(make, gradients):
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = make([parameter])
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


def gradients():
    """Large ones and, in the last column, some so small that epsilon matters."""
    return (rng().normal(size=(20, 4)) * [1, 1e-2, 1e-4, 1e-8]).astype("float32")


@pytest.mark.every_backend
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    ours, theirs = OPTIMIZERS[name]
    expected = moved_in_torch(theirs, gradients())
    np.testing.assert_allclose(moved(ours, gradients()), expected, rtol=2e-5)


@pytest.mark.parametrize("name", STOCK)
def test_the_stock_optimizer_differs(name):
    expected = moved_in_torch(OPTIMIZERS[name][1], gradients())
    assert np.abs(moved(STOCK[name], gradients()) - expected).max() > 1e-3


@pytest.mark.every_backend
@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.RMSprop])
def test_optimizers_survive_their_config(kind):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(kind(0.01, l2=0.1)))
    expected = moved(lambda: kind(0.01, l2=0.1), gradients())
    np.testing.assert_array_equal(moved(lambda: again, gradients()), expected)


@settings(deadline=None, max_examples=20)
@given(t_max=st.integers(1, 20), rate=st.floats(1e-5, 1.0))
def test_cosine_is_periodic(t_max, rate):
    described = System(LOGITS, Optimizer("sgd", rate, schedule=Cosine(t_max)))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=rate)
    schedule = twin.make_scheduler(described, optimizer)
    (callback,) = schedule_callbacks(described)
    per_batch = optimizers.CosineAnnealing(rate, t_max)
    for step in range(4 * t_max + 1):
        expected = pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-4, abs=1e-6 * rate)
        assert callback.schedule(step, None) == expected
        assert float(per_batch(step)) == expected
        optimizer.step()
        schedule.step()
    floor = keras.optimizers.schedules.CosineDecay(rate, t_max)
    assert float(floor(2 * t_max)) == 0 and float(per_batch(2 * t_max)) == pytest.approx(rate)


def test_loss_takes_logits():
    described = System(LOGITS, Optimizer("sgd", 0.1))
    model = keras_model(described)
    network = twin.module(described)
    weights.load(model, network.state_dict())
    x = rng().integers(0, 256, (50, 28, 28), dtype=np.uint8)
    y = rng().integers(0, 10, 50)
    expected = torch.nn.CrossEntropyLoss()(
        torch.from_numpy(twin.logits(described, network, x)), torch.from_numpy(y)
    )
    loss, _ = model.evaluate(x, y, verbose=0)
    assert loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.every_backend
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mish_in_half_precision_is_the_rounded_one(dtype):
    x = np.concatenate([np.linspace(-30, 30, 2001), [-1e-3, 0, 1e-3, 200, -200]])
    half = keras.ops.cast(keras.ops.convert_to_tensor(x.astype("float32")), dtype)
    x = keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")).astype("float64")
    exact = x * np.tanh(np.log1p(np.exp(x)))
    ours = layers.mish(half)
    assert keras.backend.standardize_dtype(ours.dtype) == dtype
    ours = keras.ops.convert_to_numpy(keras.ops.cast(ours, "float32"))
    digits, least = {"float16": (2**-11, 2**-25), "bfloat16": (2**-8, 1e-37)}[dtype]
    np.testing.assert_allclose(ours, exact, rtol=1.01 * digits, atol=least)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optimizers.Adam(amsgrad=True), "Adam(amsgrad=...) must be False"),
        (lambda: optimizers.RMSprop(centered=True), "RMSprop(centered=...) must be False"),
        (lambda: layers.MaxPool(3, strides=2), "MaxPool needs squares that do not overlap"),
        (lambda: layers.MaxPool(2, padding="same"), "padding='same'"),
        (lambda: layers.BatchNorm(axis=1), "BatchNorm normalizes the last axis"),
        (lambda: layers.BatchNorm(synchronized=True), "synchronized=True"),
    ],
)
def test_what_a_formula_leaves_out_is_refused(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


def test_mish_is_mish():
    x = np.linspace(-60, 60, 2001).astype("float32")
    tensor = torch.from_numpy(x).requires_grad_()
    expected = torch.nn.functional.mish(tensor)
    ours = keras.ops.convert_to_numpy(layers.mish(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(ours, expected.detach(), atol=2e-6)


@pytest.mark.parametrize("wrong", [{"momentum": 0.9}, {"l2": 0.1}])
def test_what_an_optimizer_would_ignore_is_refused(wrong):
    with pytest.raises(ValueError, match="only. Received"):
        Optimizer("sgd", 0.1, **wrong)
    with pytest.raises(ValueError, match="both odd or both even"):
        spec.Conv(8, kernel=3, stride=2)


@pytest.mark.every_backend
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("side", [4, 5, 7])
def test_pooling_is_that_of_keras_and_torch(side, size):
    """Also which of equal values gets the gradient, and where there is a NaN."""
    x = rng().integers(0, 3, size=(30, side, side, 2)).astype("float32")
    x[0, 0, 1] = x[1, 0, 0] = np.nan
    ours = keras.ops.convert_to_numpy(layers.MaxPool(size)(x))
    stock = keras.ops.convert_to_numpy(keras.layers.MaxPooling2D(size)(x))
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    theirs = torch.nn.MaxPool2d(size)(images)
    np.testing.assert_array_equal(ours[2:], stock[2:])
    np.testing.assert_array_equal(ours, theirs.detach().numpy().transpose(0, 2, 3, 1))
    weights = rng().normal(size=ours.shape).astype("float32")
    (theirs * torch.from_numpy(weights.transpose(0, 3, 1, 2).copy())).sum().backward()
    variable = keras.Variable(x)

    def weighted():
        pooled = layers.MaxPool(size)(keras.ops.convert_to_tensor(variable))
        return keras.ops.sum(pooled * keras.ops.convert_to_tensor(weights))

    _, (gradient,) = differentiation.program([variable], weighted)()
    np.testing.assert_array_equal(gradient, images.grad.numpy().transpose(0, 2, 3, 1))


def made_in_training(part, images):
    """Return what a random part makes of images (n, 28, 28, 1) in training: here, in the twin.

    In inference it must leave them alone.
    """
    described = System((part, spec.Conv(1), Flatten(), Dense(10)), Optimizer("sgd", 0.1))
    ours, theirs = keras_model(described).layers[2], twin.module(described)[1]
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours(images, training=False)), images)
    assert torch.equal(theirs.eval()(tensor), tensor)
    torch.manual_seed(0)
    return (
        keras.ops.convert_to_numpy(ours(images, training=True)),
        theirs.train()(tensor).permute(0, 2, 3, 1).numpy(),
    )


@pytest.mark.every_backend
def test_flip_mirrors_half_of_the_images_in_training_only():
    x = rng().normal(size=(400, 28, 28, 1)).astype("float32")
    for outputs in made_in_training(spec.Flip(), x):
        mirrored = (outputs == x[:, :, ::-1]).all(axis=(1, 2, 3))
        same = (outputs == x).all(axis=(1, 2, 3))
        assert (mirrored ^ same).all() and 140 < mirrored.sum() < 260


@pytest.mark.every_backend
def test_noise_is_normal_in_training_only():
    x = rng().normal(size=(20, 28, 28, 1)).astype("float32")
    for outputs in made_in_training(spec.Noise(0.3), x):
        added = (outputs - x).ravel()
        assert scipy.stats.kstest(added, scipy.stats.norm(0, 0.3).cdf).pvalue > 1e-4


@pytest.mark.every_backend
def test_shift_moves_images_by_whole_pixels_in_training_only():
    """By -2...2 in both directions, the extremes half as often, with the edge repeated."""
    n = 1600
    x = rng().normal(size=(n, 28, 28, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    for outputs in made_in_training(spec.Shift(2), x):
        moved = np.zeros((5, 5), int)
        for down in range(5):
            for right in range(5):
                candidate = padded[:, 4 - down : 32 - down, 4 - right : 32 - right]
                moved[down, right] = (outputs == candidate).all(axis=(1, 2, 3)).sum()
        assert moved.sum() == n
        share = np.array([1, 2, 2, 2, 1]) / 8
        assert (
            scipy.stats.chisquare(moved.ravel(), n * np.outer(share, share).ravel()).pvalue > 1e-4
        )
