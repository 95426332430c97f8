"""Convolutional networks on JAX and a CPU: the layers that compute with the batch innermost.

While a step is traced, each layer that is listed here computes in another layout, (channels,
height, width, n), and still returns what it always returns. That is a transposed view of its
result. If the next layer is listed, too, it takes the result itself, and nobody computes the
view. So the layout is kept from the first convolution to the `Flatten`. Nothing of this stays on a
model.

A model is computed so only if all its convolutions are of a kind that is known to be quick, and if
it consists of Keras's layers and this package's alone (`known_means.samples_are_apart`). Code that
is not known could read a result through its view while XLA writes over it: see
`convolutions.max_pool`.

Images that are moved by whole pixels before the first convolution are moved by rows and columns
instead of pixel by pixel.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import jax
import keras

from shared_keras.models import convolutions, jax_ops
from shared_keras.models import layers as ours
from shared_keras.training import known_means
from shared_keras.training.model_kinds import CONVOLUTIONS, convolves_on_cpu, layers

OVER_CHANNELS = (
    keras.activations.glu,
    keras.activations.log_softmax,
    keras.activations.softmax,
    keras.activations.sparsemax,
)
ELEMENTWISE = known_means.ACTIVATIONS - set(OVER_CHANNELS)
DTYPES = ("float32", "float64")
FEWEST = 16  # images; with fewer, a run is too short


class Views:
    """The results of a traced step that are at hand with the batch innermost."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[jax.Array, jax.Array]] = {}

    def inner(self, x: jax.Array) -> jax.Array | None:
        """Return the array of which `x`, shape (n, height, width, channels), is a view, if any."""
        return self._found[id(x)][1] if id(x) in self._found else None

    def outer(self, inner: jax.Array) -> jax.Array:
        """Return the view (n, height, width, channels) of an array (channels, height, width, n)."""
        view = inner.transpose(3, 1, 2, 0)
        self._found[id(view)] = view, inner  # keeps the view, so that its id stays its own
        return view


@contextlib.contextmanager
def quick_layers(model: keras.Model) -> Iterator[None]:
    """Let the layers of a model compute with the batch innermost, within this context."""
    views = Views()
    chosen = [layer for layer in layers(model) if type(layer) in QUICK] if _is_quick(model) else []
    try:
        for layer in chosen:
            vars(layer)["call"] = functools.partial(QUICK[type(layer)], views, layer)
        yield
    finally:
        for layer in chosen:
            vars(layer).pop("call", None)


def convolves_slowly(model: keras.Model, batch_size: int) -> bool:
    """Return whether a model has a convolution that XLA would run slowly inside a loop."""
    return convolves_on_cpu(model) and not (batch_size >= FEWEST and _is_quick(model))


def _is_quick(model: keras.Model) -> bool:
    """Return whether all that a model consists of is known, and all its convolutions are quick."""
    return (
        convolves_on_cpu(model)
        and known_means.samples_are_apart(model)
        and all(_has_tile(layer) for layer in layers(model) if isinstance(layer, CONVOLUTIONS))
    )


def _has_tile(layer: keras.layers.Layer) -> bool:
    """Return whether a convolution, called for images of the size it was built for, is quick."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.built
        and layer.compute_dtype in DTYPES
        and layer.data_format == "channels_last"
        and _tile(layer, layer._build_shapes_dict["input_shape"]) is not None
    )


def _tile(layer: keras.layers.Conv2D, shape: tuple) -> tuple[int, int] | None:
    """Return the tile for a convolution of images, shape (n, height, width, channels), or None."""
    sides = shape[1:3]
    if layer.groups != 1 or layer.dilation_rate != (1, 1) or len(shape) != 4 or None in sides:
        return None
    return convolutions.tile_of(layer._kernel.shape, layer.strides, layer.padding, sides)


def _convolution(views: Views, layer: keras.layers.Conv2D, inputs: jax.Array) -> jax.Array:
    tile = _tile(layer, inputs.shape)
    if tile is None or len(inputs) < FEWEST:
        return type(layer).call(layer, inputs)
    x = views.inner(inputs)
    x = inputs.transpose(3, 1, 2, 0) if x is None else x
    kernel = keras.ops.convert_to_tensor(layer.kernel)
    x = x.astype(kernel.dtype)  # as Keras does, for instance with bytes
    x = convolutions.convolve(x, kernel, layer.strides, layer.padding, tile)
    if layer.use_bias:
        x = x + keras.ops.reshape(layer.bias, (-1, 1, 1, 1))
    if layer.activation is None:
        return views.outer(x)
    if _is_elementwise(layer.activation):
        return views.outer(layer.activation(x))
    return layer.activation(views.outer(x))


def _is_elementwise(activation: Any) -> bool:
    return isinstance(activation, FunctionType) and activation in ELEMENTWISE


def _kept(form: Callable) -> Callable:
    """Return a call that uses a form where the layout is at hand, and the layer's own elsewhere."""

    def call(
        views: Views, layer: keras.layers.Layer, inputs: Any, *args: Any, **kwargs: Any
    ) -> Any:
        x = views.inner(inputs)
        result = None if x is None else form(layer, x, *args, **kwargs)
        if result is None:
            return type(layer).call(layer, inputs, *args, **kwargs)
        return views.outer(result)

    return call


def _elementwise(layer: keras.layers.Layer, x: jax.Array) -> jax.Array | None:
    if type(layer) is keras.layers.Activation and not _is_elementwise(layer.activation):
        return None
    return type(layer).call(layer, x)


def _pooling(pool: Callable) -> Callable:
    def form(layer: keras.layers.Layer, x: jax.Array) -> jax.Array | None:
        if layer.pool_size != layer.strides or layer.padding != "valid":
            return None
        return pool(x, layer.pool_size)

    return form


def _normalized(layer: Any, x: jax.Array, training: bool | None = None, mask: Any = None) -> Any:
    """Call a batch normalization as if it had been made for the other layout."""
    if mask is not None or layer.axis not in (-1, 3) or layer.renorm:
        return None
    own = vars(layer).copy()
    try:
        vars(layer).update(axis=0, _reduction_axes=[1, 2, 3])
        return type(layer).call(layer, x, training=training)
    finally:
        vars(layer).update({name: own[name] for name in ("axis", "_reduction_axes")})


def _translated(views: Views, layer: Any, inputs: Any, training: bool = True) -> Any:
    """Move images by whole pixels, as Keras does: the same ones by as much, but by rows."""
    known = (layer.interpolation, layer.fill_mode, layer.data_format)
    images = isinstance(inputs, jax.Array) and inputs.ndim == 4
    if not (training and images and known == ("nearest", "nearest", "channels_last")):
        return type(layer).call(layer, inputs, training=training)
    moved = layer.get_random_transformation(inputs, training=training)
    matrix = layer._get_translation_matrix(moved["translations"])
    x = inputs.astype(layer.compute_dtype)
    for axis, column in ((1, 5), (2, 2)):
        place = jax.numpy.arange(x.shape[axis]) + matrix[:, column, None]
        place = jax.numpy.clip(jax.numpy.round(place).astype("int32"), 0, x.shape[axis] - 1)
        place = jax.numpy.expand_dims(place, [each for each in (1, 2, 3) if each != axis])
        x = jax.numpy.take_along_axis(x, place, axis, mode="promise_in_bounds")
    return x


def _dropout(layer: Any, x: jax.Array, training: bool | None = False) -> jax.Array | None:
    if not training or layer.rate == 0:
        return x
    if layer.noise_shape is not None:
        return None
    if type(layer) is ours.Dropout:
        return jax_ops.dropout(x, layer.rate, layer.seed_generator.next(), order=(3, 1, 2, 0))
    ones = jax.numpy.ones((x.shape[3], *x.shape[1:3], x.shape[0]), x.dtype)
    kept = type(layer).call(layer, ones, training=training).transpose(3, 1, 2, 0)
    return jax.lax.select(kept != 0, x * kept, jax.numpy.zeros_like(x))


QUICK: dict[type, Callable] = {
    keras.layers.Conv2D: _convolution,
    keras.layers.Activation: _kept(_elementwise),
    keras.layers.ReLU: _kept(_elementwise),
    keras.layers.LeakyReLU: _kept(_elementwise),
    keras.layers.ELU: _kept(_elementwise),
    keras.layers.MaxPooling2D: _kept(_pooling(convolutions.max_pool)),
    ours.MaxPool: _kept(_pooling(convolutions.max_pool)),
    keras.layers.AveragePooling2D: _kept(_pooling(convolutions.average_pool)),
    keras.layers.BatchNormalization: _kept(_normalized),
    ours.BatchNorm: _kept(_normalized),
    keras.layers.Dropout: _kept(_dropout),
    ours.Dropout: _kept(_dropout),
    keras.layers.RandomTranslation: _translated,
}
