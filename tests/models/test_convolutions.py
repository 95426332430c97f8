"""Convolutions and pooling with the batch innermost: the values and gradients of Keras's own."""

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared_keras.models import layers
from tests.shares import dealt

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="what is special to JAX")
if keras.backend.backend() == "jax":
    import jax

    from shared_keras.models import convolutions

N = 3
# kernel, strides, padding, height and width, channels, filters, tile
CASES = [
    ((3, 3), (1, 1), "same", (8, 12), 3, 5, (2, 4)),
    ((3, 3), (1, 1), "valid", (9, 8), 2, 4, (1, 3)),
    ((4, 4), (2, 2), "same", (28, 28), 1, 4, (2, 1)),
    ((2, 3), (2, 1), "same", (7, 6), 3, 2, (2, 3)),
    ((1, 1), (1, 1), "valid", (4, 4), 5, 3, (1, 1)),
    ((5, 3), (3, 2), "valid", (12, 11), 2, 3, (1, 1)),
    ((1, 1), (2, 2), "same", (6, 7), 2, 3, (1, 2)),  # leaves out pixels of the last row
]


@pytest.mark.parametrize(
    ("size", "strides", "padding", "sides", "channels", "filters", "tile"), dealt(CASES, CASES[:4])
)
def test_a_tiled_convolution_gives_the_same(size, strides, padding, sides, channels, filters, tile):
    """Values and both gradients, in float32, against Keras's own."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, *sides, channels)).astype(np.float32)
    kernel = rng.normal(size=(*size, channels, filters)).astype(np.float32)

    def theirs(x, kernel):
        return keras.ops.conv(x, kernel, list(strides), padding, "channels_last")

    def ours(x, kernel):
        return _out(convolutions.convolve(_in(x), kernel, strides, padding, tile))

    agree(ours, theirs, x, kernel)


def _in(x):
    return x.transpose(3, 1, 2, 0)


def _out(y):
    return y.transpose(3, 1, 2, 0)


def agree(ours, theirs, *arrays):
    """Compare values, and gradients of a sum with random weights."""
    expected = theirs(*arrays)
    weights = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    np.testing.assert_allclose(ours(*arrays), expected, rtol=1e-5, atol=1e-5)
    every = tuple(range(len(arrays)))
    gradients = [
        jax.jit(jax.grad(lambda *given, f=f: (f(*given) * weights).sum(), every))(*arrays)
        for f in (ours, theirs)
    ]
    for a, b in zip(*gradients):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
@pytest.mark.parametrize("size", [(2, 2), (3, 1)])
def test_pooling_gives_the_same(kind, size):
    """Also the gradient where values are equal, and what is left over at the edges."""
    x = np.random.default_rng(0).integers(0, 3, (N, 7, 8, 2)).astype(np.float32)
    pool = {"MaxPooling2D": convolutions.max_pool, "AveragePooling2D": convolutions.average_pool}
    layer = getattr(keras.layers, kind)(size)
    agree(lambda x: _out(pool[kind](_in(x), size)), layer, x)


def test_nan_goes_through_a_maximum():
    x = np.zeros((1, 2, 2, 1), np.float32)
    x[0, 0, 1] = np.nan
    assert np.isnan(convolutions.max_pool(x, (2, 2))).all()


def test_only_what_is_known_has_a_tile():
    known = convolutions.tile_of((3, 3, 10, 10), (1, 1), "same", (28, 28))
    assert known is not None
    for height in range(1, 30):
        tile = convolutions.tile_of((3, 3, 10, 10), (1, 1), "same", (height, 28))
        assert tile is None or height % tile[0] == 0
    assert convolutions.tile_of((3, 3, 10, 10), (1, 1), "causal", (28, 28)) is None
    assert convolutions.tile_of((3, 3, 10, 10), (7, 1), "same", (28, 28)) is None
    assert convolutions.tile_of((3, 3, 10, 10), (1, 1), "valid", (2, 2)) is None
    assert convolutions.tile_of((3, 3, 10, 10), (1, 1), "same", (64, 64)) is None
    assert convolutions.tile_of((3, 3, 10, 4096), (1, 1), "same", (28, 28)) is None


@st.composite
def networks(draw):
    """A convolution, an activation and a pooling, for images with edges left over, or without."""
    size = draw(st.tuples(*[st.integers(1, 4)] * 2))
    strides = draw(st.tuples(*[st.integers(1, 3)] * 2))
    padding = draw(st.sampled_from(["same", "valid"]))
    sides = tuple(draw(st.integers(max(k, 2), 9)) for k in size)
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    outputs = [
        -(-n // stride) if padding == "same" else (n - k) // stride + 1
        for n, k, stride in zip(sides, size, strides)
    ]
    tile = tuple(draw(st.sampled_from([t for t in (1, 2, 3) if n % t == 0])) for n in outputs)
    pool = tuple(draw(st.integers(1, min(n, 3))) for n in outputs)
    kind = draw(st.sampled_from(["max", "max", "average"]))
    activation = draw(st.sampled_from([layers.relu, keras.ops.tanh, lambda x: x]))
    seed = draw(st.integers(0, 2**32 - 1))
    return size, strides, padding, sides, channels, filters, tile, pool, kind, activation, seed


@settings(max_examples=2)
@given(networks())
@example(((1, 1), (1, 1), "same", (2, 2), 1, 2, (1, 1), (1, 2), "max", layers.relu, 0))
def test_it_agrees_with_keras_whatever_is_equal(network):
    check(network)


@pytest.mark.long
@settings(max_examples=40)
@given(networks())
def test_it_agrees_with_keras_whatever_is_equal_in_many_networks(network):
    check(network)


def check(network):
    """Values and gradients of small integers: of many windows, several values are the highest.

    All gradients come from one program, as in training: XLA may write one layer's over another's.
    """
    size, strides, padding, sides, channels, filters, tile, pool, kind, activation, seed = network
    rng = np.random.default_rng(seed)

    def whole(low, high, *shape):
        return rng.integers(low, high, shape, endpoint=True).astype(np.float32)

    x = whole(0, 1, N, *sides, channels)
    x[:, : sides[0] // 2] = 1
    kernel, bias = whole(-1, 2, *size, channels, filters), whole(-1, 2, filters)
    form, stock = {
        "max": (convolutions.max_pool, keras.layers.MaxPooling2D(pool)),
        "average": (convolutions.average_pool, keras.layers.AveragePooling2D(pool)),
    }[kind]

    def ours(x, kernel, bias):
        y = convolutions.convolve(_in(x), kernel, strides, padding, tile)
        return _out(form(activation(y + bias.reshape(-1, 1, 1, 1)), pool))

    def theirs(x, kernel, bias):
        return stock(activation(keras.ops.conv(x, kernel, list(strides), padding) + bias))

    outputs = jax.eval_shape(theirs, x, kernel, bias)
    weights = whole(-2, 2, outputs.size // N, 2)

    def loss(f):
        def of(*given):
            y = f(*given)
            return (y.reshape(N, -1) @ weights).sum(), y

        return jax.jit(jax.value_and_grad(of, (0, 1, 2), has_aux=True))

    results = [jax.tree.leaves(loss(f)(x, kernel, bias)) for f in (ours, theirs)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
