"""Convolutions and pooling on JAX for a CPU, with the batch as the innermost axis.

Inside a compiled loop, XLA runs its own convolutions on a CPU many times as slowly as outside, so
here a convolution is a single matrix product. With arrays of shape (channels, height, width, n),
every copy of a shifted image is a long run.

The product computes a tile of neighbouring outputs at once: their kernels are laid out as one
banded matrix. That multiplies with some zeros, but copies fewer pixels, and a network with few
channels gives the product enough rows for a vector unit. `TILES` says which tile is used where,
and where none is; docs/log.md has what was measured.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]


class Known(NamedTuple):
    """Convolutions for which a tile is known to be quicker than XLA's own convolution.

    Attributes:
        kernel: Height and width of the kernel.
        strides: Vertical and horizontal stride.
        channels: The most input channels.
        filters: The most output channels.
        side: The largest height and width of the images.
        tiles: Heights and widths of tiles; the first that divides the output's is used.
    """

    kernel: Pair
    strides: Pair
    channels: int
    filters: int
    side: int
    tiles: tuple[Pair, ...]


# The first that fits counts.
TILES = (
    Known((3, 3), (1, 1), 1, 64, 32, ((1, 1),)),
    Known((3, 3), (1, 1), 12, 12, 14, ((1, 2), (1, 1))),
    Known((3, 3), (1, 1), 12, 12, 32, ((2, 2), (1, 2), (1, 1))),
    Known((3, 3), (1, 1), 64, 128, 14, ((1, 1),)),
    Known((4, 4), (2, 2), 1, 64, 32, ((1, 1),)),
    Known((5, 5), (2, 2), 1, 64, 32, ((1, 1),)),
)


def tile_of(kernel: tuple[int, ...], strides: Pair, padding: str, sides: Pair) -> Pair | None:
    """Return the tile with which a convolution is known to be quick, or None.

    Args:
        kernel: Shape of the kernel: height, width, channels, filters.
        strides: Vertical and horizontal stride.
        padding: "same" or "valid".
        sides: Height and width of the images.
    """
    if padding not in ("same", "valid"):
        return None
    size, (channels, filters) = kernel[:2], kernel[2:]
    height, width = (_outputs(*each, padding) for each in zip(sides, size, strides))
    for known in TILES:
        alike = (known.kernel, known.strides) == (size, strides)
        narrow = channels <= known.channels and filters <= known.filters
        if alike and narrow and max(sides) <= known.side:
            fitting = (t for t in known.tiles if height % t[0] == 0 and width % t[1] == 0)
            return next(fitting, None) if min(height, width) > 0 else None
    return None


def _outputs(side: int, kernel: int, stride: int, padding: str) -> int:
    return -(-side // stride) if padding == "same" else (side - kernel) // stride + 1


def convolve(x: jax.Array, kernel: jax.Array, strides: Pair, padding: str, tile: Pair) -> jax.Array:
    """Return what Keras's convolution returns, but with the batch innermost.

    Args:
        x: Images, shape (channels, height, width, n).
        kernel: Shape (height, width, channels, filters).
        strides: Vertical and horizontal stride.
        padding: "same" or "valid".
        tile: Height and width of the tiles; they must divide the output's.

    Returns:
        Shape (filters, output height, output width, n).
    """
    channels, *sides, n = x.shape
    filters = kernel.shape[3]
    outputs = [_outputs(*each, padding) for each in zip(sides, kernel.shape, strides)]
    tiles = [size // t for size, t in zip(outputs, tile)]  # how many there are
    seen = [(t - 1) * stride + k for t, stride, k in zip(tile, strides, kernel.shape)]

    # What each output of a tile sees: the kernel, shifted by its place in the tile.
    shifted = [
        jnp.pad(kernel, (*_around(kernel.shape, seen, (i, j), strides), (0, 0), (0, 0)))
        for i in range(tile[0])
        for j in range(tile[1])
    ]
    banded = jnp.stack(shifted, 3).reshape(-1, len(shifted) * filters)

    needed = [(size - 1) * stride + k for size, stride, k in zip(outputs, strides, kernel.shape)]
    before = [max(need - side, 0) // 2 for need, side in zip(needed, sides)]
    after = [max(need - side - b, 0) for need, side, b in zip(needed, sides, before)]
    x = jnp.pad(x, ((0, 0), *zip(before, after), (0, 0)))
    steps = [t * stride for t, stride in zip(tile, strides)]
    ends = [(count - 1) * step + 1 for count, step in zip(tiles, steps)]
    patches = [
        lax.slice(x, (0, i, j, 0), (channels, i + ends[0], j + ends[1], n), (1, *steps, 1))
        for i in range(seen[0])
        for j in range(seen[1])
    ]
    pixels = jnp.concatenate(patches).reshape(len(banded), -1)

    y = lax.dot_general(banded, pixels, (((0,), (0,)), ((), ())))
    y = y.reshape(*tile, filters, *tiles, n).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(filters, *outputs, n)


def _around(kernel: tuple[int, ...], seen: list[int], place: Pair, strides: Pair) -> list[Pair]:
    """Return how many zeros surround the kernel of one output in what its tile sees."""
    before = [i * stride for i, stride in zip(place, strides)]
    return [(b, whole - k - b) for b, whole, k in zip(before, seen, kernel)]


def max_pool(x: jax.Array, size: Pair) -> jax.Array:
    """Return the maxima of windows that do not overlap, shape (channels, height, width, n).

    Of equal values, the first gets the gradient, as in Keras's layer.
    """
    return _maxima(size, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _maxima(size: Pair, x: jax.Array) -> jax.Array:
    return functools.reduce(jnp.maximum, _places(x, size))


@_maxima.defjvp
def _change(size: Pair, given: tuple, changes: tuple) -> tuple:
    (x,), (change,) = given, changes
    y = _maxima(size, x)
    first, found = [], jnp.zeros(y.shape, bool)
    for place in _places(x, size):
        highest = place == y
        first.append(highest & ~found)
        found = found | highest
    chosen = jnp.stack(first).reshape(*size, *y.shape).transpose(2, 3, 0, 4, 1, 5)
    windows = _windows(change, size)
    return y, lax.select(chosen, windows, jnp.zeros_like(windows)).sum((2, 4))


def _places(x: jax.Array, size: Pair) -> list[jax.Array]:
    """Return what is at each place of all windows.

    These are slices of `x` itself. Were they slices of `_windows(x)`, XLA would have two names for
    the same memory, and could write a ReLU's derivative over `x` while this still reads there.
    """
    channels, *sides, n = x.shape
    ends = [side // s * s for side, s in zip(sides, size)]
    return [
        lax.slice(x, (0, i, j, 0), (channels, *ends, n), (1, *size, 1))
        for i in range(size[0])
        for j in range(size[1])
    ]


def average_pool(x: jax.Array, size: Pair) -> jax.Array:
    """Return the means of windows that do not overlap, shape (channels, height, width, n)."""
    return _windows(x, size).mean((2, 4))


def _windows(x: jax.Array, size: Pair) -> jax.Array:
    """Return shape (channels, rows, height, columns, width, n): all that is in whole windows."""
    channels, *sides, n = x.shape
    rows, columns = (side // s for side, s in zip(sides, size))
    whole = x[:, : rows * size[0], : columns * size[1]]
    return whole.reshape(channels, rows, size[0], columns, size[1], n)
