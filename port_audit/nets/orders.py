"""How the arrays of PyTorch lie in Keras: channels first or last, features of flattened maps."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from port_audit.nets import kinds
from port_audit.nets.kinds import SAME, Order, channels_last
from port_audit.nets.torch_net import Unit


@dataclass(frozen=True)
class Seen:
    """What says in which order features may reach a layer.

    Attributes:
        units: All calls of PyTorch.
        maps: What the PyTorch model takes, besides.
        earlier: Orders in which features have reached layers.
    """

    units: Sequence[Unit]
    maps: Sequence[np.ndarray] = ()
    earlier: Sequence[Order] = ()


def inputs(
    layer: keras.layers.Layer, unit: Unit, array: np.ndarray, seen: Seen
) -> tuple[Order, float]:
    """Return how PyTorch's inputs lie in a Keras layer's, and how far the two are apart.

    Args:
        layer: The Keras layer.
        unit: The call of PyTorch.
        array: Inputs of the Keras layer.
        seen: What has been seen of the two models.
    """
    best, least = None, math.inf
    for order in _candidates(layer, unit, array, seen):
        ordered = order(unit.input)
        if ordered.shape != array.shape:
            continue
        error = float(np.abs(ordered.astype(np.float64) - array).max()) if array.size else 0.0
        close = 1e-4 * float(np.abs(array).max() or 1) if order.faulty else math.inf
        if best is None or (error < least and error <= close):
            best, least = order, error
        if error == 0:
            break
    return (best, least) if best is not None else (default(layer, unit), math.inf)


def pads(layer: keras.layers.Layer, unit: Unit) -> bool:
    """Whether PyTorch pads, and Keras's layer does not, so that one ahead may."""
    return (
        unit.kind in kinds.CONVOLUTIONS
        and layer.padding == "valid"
        and any(map(any, kinds.padding(unit.module)))
    )


def outputs(layer: keras.layers.Layer, unit: Unit, order: Order, crops: bool = False) -> np.ndarray:
    """Return PyTorch's outputs as they would lie in Keras.

    Args:
        layer: The Keras layer.
        unit: The call of PyTorch.
        order: How the inputs lie.
        crops: Whether the port crops transposed convolutions in a layer of their own.
    """
    if unit.kind in kinds.RECURRENT:
        return unit.output if layer.return_sequences else unit.last
    if unit.kind in kinds.SAME_ORDER:
        return order(unit.output)
    if unit.kind in (*kinds.CONVOLUTIONS, *kinds.TRANSPOSED):
        whole = unit.uncropped if crops and unit.kind in kinds.TRANSPOSED else unit.output
        return default(layer, unit)(whole)
    return unit.output if order.made is None else unit.output[..., order.made]


def default(layer: keras.layers.Layer, unit: Unit) -> Order:
    """Return the order that a layer's inputs usually have."""
    convolves = unit.kind in (*kinds.CONVOLUTIONS, *kinds.TRANSPOSED)
    if convolves and layer.data_format == "channels_last":
        return channels_last(unit.input.ndim)
    return SAME


def _candidates(
    layer: keras.layers.Layer, unit: Unit, array: np.ndarray, seen: Seen
) -> Iterator[Order]:
    yield default(layer, unit)
    if pads(layer, unit):
        yield _padded(default(layer, unit), unit)
    dimensions = unit.input.ndim
    convolves = unit.kind in (*kinds.CONVOLUTIONS, *kinds.TRANSPOSED)
    if not convolves and dimensions > 2:
        yield channels_last(dimensions)
    if dimensions == 2 and array.ndim == 2 and unit.kind != "embedding":
        for permutation in _features(unit, array, seen):
            yield Order("features", features=permutation)
    if 2 < dimensions < 6:
        for rest in itertools.permutations(range(1, dimensions)):
            yield Order("axes", (0, *rest), faulty=True)
            if pads(layer, unit):
                yield _padded(Order("axes", (0, *rest), faulty=True), unit)


def _padded(order: Order, unit: Unit) -> Order:
    """Return an order with what PyTorch's layer pads with."""
    filled = kinds.FILLED[unit.module.padding_mode]
    return replace(order, pads=kinds.padding(unit.module), filled=filled)


def _features(unit: Unit, array: np.ndarray, seen: Seen) -> Iterator[np.ndarray]:
    """Return permutations that a Flatten of channels last, or a concatenation, would make."""
    n = unit.input.shape[1]
    if array.shape[1] != n:
        return
    for order in seen.earlier:
        if order.features is not None and len(order.features) == n:
            yield order.features
    maps = [*seen.maps, *(each for unit in seen.units for each in (unit.input, unit.output))]
    channels = {each.shape[1] for each in maps if each.ndim > 2}
    for size in sorted(channels):
        if n % size == 0 and 1 < size < n:
            yield np.arange(n).reshape(size, -1).T.ravel()
    for width in sorted({each.output.shape[-1] for each in seen.units if each.output.ndim == 2}):
        if 0 < width < n:
            yield np.roll(np.arange(n), -width)
    by_value = _by_value(unit.input, array)
    if by_value is not None:
        yield by_value


def _by_value(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray | None:
    """Return the permutation of columns, if both have exactly the same ones."""
    sorted_theirs = np.lexsort(theirs.astype(np.float32))
    sorted_ours = np.lexsort(ours.astype(np.float32))
    if not np.array_equal(theirs[:, sorted_theirs], ours[:, sorted_ours]):
        return None
    permutation = np.empty(len(sorted_ours), int)
    permutation[sorted_ours] = sorted_theirs
    return permutation
