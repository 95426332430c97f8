"""Initial values drawn by NumPy have the same distribution as Keras's."""

import keras
import numpy as np
import pytest
from scipy.stats import ks_2samp

from shared_keras import training
from shared_keras.models.build import keras_model
from shared_keras.models.initializers import Ones, RandomNormal, RandomUniform, Zeros, constants
from shared_keras.systems.spec import Conv, Dense, Flatten, Optimizer, System

PAIRS = [
    (RandomUniform(-0.5, 0.25, seed=1), keras.initializers.RandomUniform(-0.5, 0.25, seed=1)),
    (RandomNormal(0.1, 0.3, seed=1), keras.initializers.RandomNormal(0.1, 0.3, seed=1)),
]
IDS = ["uniform", "normal"]


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def same_distribution(first, second):
    return ks_2samp(np.ravel(first), np.ravel(second)).pvalue > 1e-4


@pytest.mark.every_backend
@pytest.mark.parametrize(("ours", "stock"), PAIRS, ids=IDS)
def test_distribution(ours, stock):
    values = array(ours((90, 110), dtype="float32"))
    assert values.shape == (90, 110) and values.dtype == np.float32
    assert same_distribution(values, array(stock((90, 110), dtype="float32")))
    assert not same_distribution(values + 0.05, array(stock((90, 110), dtype="float32")))


@pytest.mark.every_backend
@pytest.mark.parametrize(("ours", "word"), [(Zeros, "zeros"), (Ones, "ones")])
def test_constants(ours, word):
    with constants():
        made = keras.initializers.get(word)
    stock = keras.initializers.get(word)
    assert type(made) is ours and type(stock) is not ours
    for dtype in ("float32", "int32"):
        values, expected = array(made((3, 5), dtype)), array(stock((3, 5), dtype))
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == expected.dtype


@pytest.mark.parametrize("ours", [pair[0] for pair in PAIRS], ids=IDS)
def test_seed_decides(ours):
    config = ours.get_config()
    again, other = (type(ours).from_config(config | {"seed": seed}) for seed in (1, 2))
    values = array(ours((5, 7), "float32"))
    np.testing.assert_array_equal(values, array(again((5, 7), "float32")))
    assert (values != array(other((5, 7), "float32"))).all()


@pytest.mark.parametrize(
    "layer", [Dense(120, "keras"), Conv(120, 5, init="keras")], ids=["1d", "2d"]
)
def test_keras_default(layer):
    """ "keras" is what a stock layer without arguments has: Glorot uniform and zeros."""
    training.seed_layers(0)
    before = () if isinstance(layer, Conv) else (Flatten(),)
    described = System((*before, layer, Flatten(), Dense(10)), Optimizer("sgd", 0.1))
    ours = next(part for part in keras_model(described).layers if part.weights)
    kernel, bias = ours.get_weights()
    stock = keras.initializers.GlorotUniform(seed=0)(kernel.shape)
    assert same_distribution(kernel, array(stock)) and not bias.any()
    assert not same_distribution(kernel * 1.5, array(stock))
