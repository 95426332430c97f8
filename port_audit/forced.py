"""A run of the Keras model in which each layer puts out what PyTorch's does."""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from port_audit.changes import attributes
from port_audit.distances import EPS, distance, largest
from port_audit.nets import activations, keras_net, kinds, orders, torch_net
from port_audit.nets.activations import Event
from port_audit.nets.kinds import Order
from port_audit.nets.torch_net import Trace, Unit

MOST_ROUNDING = 1e-3  # what is measured and larger, relative to its scale, is no rounding
NEUTRAL = {"gamma": 1.0}  # what a weight that PyTorch lacks has to be; others: zero


@dataclass
class Match:
    """A Keras layer and the call of a PyTorch layer that it stands for.

    Attributes:
        layer: The Keras layer.
        unit: The call.
        order: How the layer's inputs lie.
        reach: How far its inputs are from PyTorch's.
        reach_tolerance: How far rounding may take them.
        error: How far its outputs are from PyTorch's, given PyTorch's inputs.
        tolerance: How far rounding may take them.
        misfits: Weights that one side lacks or whose shapes differ, by role: both shapes.
        plain: Keras layers without weights called since the last such layer.
        previous: The match before, if there is one.
        masked: Whether a mask reaches the Keras layer.
        repeat: Takes the match and compares outputs once more; returns `error`. It does not hold
            the match itself: in a circle, the arrays of a run would outlive it.
        weights: PyTorch's weights, by the module's own names.
        inputs: What reaches the Keras layer.
        outputs: What it is to put out, before its activation.
    """

    layer: keras.layers.Layer
    unit: Unit
    order: Order
    reach: float
    reach_tolerance: float
    error: float = math.inf
    tolerance: float = 0.0
    misfits: dict[str, tuple] = field(default_factory=dict)
    plain: list[keras.layers.Layer] = field(default_factory=list)
    previous: "Match | None" = None
    masked: bool = False
    repeat: Any = None
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: np.ndarray | None = None
    outputs: np.ndarray | None = None

    @property
    def acting(self) -> keras.layers.Layer:
        """Return the layer that acts for it: itself, unless its form was undone."""
        return kinds.acting(self.layer)

    @property
    def where(self) -> str:
        """Return the names on both sides."""
        return f"{self.unit.name or 'model'} / {self.layer.name}"

    def again(self) -> float:
        """Return how far the outputs are from PyTorch's now, given PyTorch's inputs."""
        return self.repeat(self)


@dataclass
class Forced:
    """A run of the Keras model in which each matched layer puts out what PyTorch's does.

    Attributes:
        matches: The layers with weights that stand for calls of PyTorch.
        calls: The calls of all layers of known kinds, in order; None where there is no match.
        plain: Other layers behind the last match.
        outputs: What the model puts out.
        stopped: Why it ended early, if it did.
    """

    matches: list[Match]
    calls: list[Match | None]
    plain: list[keras.layers.Layer]
    outputs: list[np.ndarray]
    stopped: str | None = None

    def gaps(self, trace: Trace) -> list[tuple[Match | None, list[Event], list]]:
        """Return what lies before each match, and before the outputs, where there is none.

        These are PyTorch's functions without weights, and Keras's layers.
        """
        found = [(match, match.unit.before, match.plain) for match in self.matches]
        return [*found, (None, trace.after, self.plain)]


def assign(match: Match, values: dict[str, np.ndarray]) -> dict[str, tuple]:
    """Give a layer PyTorch's weights; return what does not fit: both shapes by role."""
    arrays = kinds.carried(match.layer, match.unit.weights(values), match.order)
    misfits: dict[str, tuple] = {}
    for role, variable in kinds.variables(match.layer).items():
        array = arrays.pop(role, None)
        if array is None:
            if role not in kinds.STATISTICS:
                misfits[role] = (None, tuple(variable.shape))
            variable.assign(np.full(variable.shape, NEUTRAL.get(role, 0.0), "float32"))
        elif array.shape != tuple(variable.shape):
            misfits[role] = (array.shape, tuple(variable.shape))
        else:
            variable.assign(array)
    misfits |= {role: (array.shape, None) for role, array in arrays.items()}
    return misfits


def unit_tolerance(unit: Unit) -> float:
    """Return how far rounding may take the outputs of a layer, from its float64 outputs."""
    if unit.rounding is None:
        unit.rounding = _rounding(unit)
    return unit.rounding


def _rounding(unit: Unit) -> float:
    inputs = torch.from_numpy(unit.input)
    with torch.no_grad(), torch_net.in_float64(unit.module) as module:
        module.train(unit.training)
        exact = module(torch_net.doubled(inputs.flip(1) if unit.reverse else inputs))
    exact = exact[0] if isinstance(exact, tuple) else exact
    rounding = distance(unit.output, torch_net.array(exact))
    rounding = max(rounding if math.isfinite(rounding) else 0, 2 * EPS * largest(unit.output))
    return max(16 * rounding, batch_rounding(unit) * largest(unit.output))


def batch_rounding(unit: Unit) -> float:
    """Return how far rounding of a batch's statistics may take what was normalized by them.

    They are sums of n values, which some backends form one after the other. Zero for a layer
    that does not use the batch's statistics.
    """
    if unit.kind != "batch norm" or not (unit.training or not unit.module.track_running_stats):
        return 0.0
    values = np.moveaxis(unit.input.astype(np.float64), 1, 0).reshape(unit.input.shape[1], -1)
    spread = np.sqrt(values.var(1) + unit.module.eps)
    size = float((np.sqrt((values**2).mean(1)) / spread).max())
    return min(4 * EPS * math.sqrt(values.shape[1]) * size, MOST_ROUNDING)


class ForcedRun:
    """What happens at each layer of a forced run."""

    def __init__(self, pair: Any, trace: Trace, values: dict[str, np.ndarray]):
        self.pair, self.trace, self.values = pair, trace, values
        self.left = list(trace.units)
        self.matches: list[Match] = []
        self.calls: list[Match | None] = []
        self.plain: list[keras.layers.Layer] = []

    def on_layer(
        self, layer: keras.layers.Layer, compute: Callable, inputs: Any, args: tuple, kwargs: dict
    ) -> Any:
        own_inputs = ops.convert_to_numpy(inputs)
        match = self._match(layer, own_inputs)
        self.calls.append(match)
        if match is None:
            return compute(inputs, *args, **kwargs)
        unit = match.unit
        match.weights, match.inputs = unit.weights(self.values), own_inputs
        match.misfits = assign(match, self.values)
        expected = orders.outputs(layer, unit, match.order, self.pair.keras.crops(layer))
        match.outputs = expected
        theirs = match.order(unit.input).astype(own_inputs.dtype, copy=False)
        match.masked = kwargs.get("mask") is not None
        watched = weakref.ref(layer.__dict__["call"])  # it holds this run, with all its matches

        def linear(x: Any, acting: keras.layers.Layer) -> Any:
            quiet = {"activation": activations.identity} if keras_net.activation_of(acting) else {}
            with attributes(acting, **quiet):
                # A change under test may have replaced the call, or the layer, since this run.
                now = acting.__dict__.get("call")
                chosen = compute if now is not None and now is watched() else now or acting.call
                return chosen(ops.convert_to_tensor(x), *args, **kwargs)

        def error(now: Match) -> float:
            try:
                result = linear(theirs, now.acting)
            except Exception:  # PyTorch's inputs do not fit this layer
                return math.inf
            return distance(keras_net.arrays(result)[0], expected)

        match.repeat = error
        match.error, match.tolerance = match.again(), unit_tolerance(unit)
        activation = keras_net.activation_of(match.acting) or activations.identity
        outputs = activation(ops.convert_to_tensor(expected))
        if getattr(layer, "return_state", False):
            return [outputs, *compute(ops.convert_to_tensor(theirs), *args, **kwargs)[1:]]
        return outputs

    def _match(self, layer: keras.layers.Layer, inputs: Any) -> Match | None:
        """Choose the call of PyTorch: the next in order whose inputs are the same, if any."""
        kind = kinds.keras_kind(layer)
        units = [unit for unit in self.left if unit.kind == kind]
        earlier = next((m for m in self.matches if m.layer is layer), None)
        if earlier is not None:
            units = [unit for unit in units if unit.name == earlier.unit.name]
        if layer_name := self.pair.preferred.get(id(layer)):
            units = [unit for unit in units if unit.name == layer_name]
        if not units:
            return None
        called = {id(m.layer) for m in self.matches}
        waiting = [k for k in self.pair.keras.known if id(k) not in called]
        surplus = sum(kinds.keras_kind(each) == kind for each in waiting) > len(units)
        found = []
        for unit in units:
            order, reach = orders.inputs(layer, unit, inputs, self._seen())
            order = replace(order, made=self.pair.made.get(id(layer)))
            tolerance = 64 * EPS * max(largest(unit.input), 1e-6)
            match = Match(layer, unit, order, reach, tolerance)
            fits = self._fits(match)
            if reach <= tolerance and fits:
                break
            found.append((not fits, match))
        else:
            misfit, match = min(found, key=lambda each: each[0])
            if misfit and surplus and earlier is None:
                return None  # a later layer may fit better
        self.left.remove(match.unit)
        match.plain, self.plain[:] = list(self.plain), []
        match.previous = self.matches[-1] if self.matches else None
        self.matches.append(match)
        return match

    def _seen(self) -> orders.Seen:
        maps = torch_net.arrays(self.pair.torch_inputs)
        return orders.Seen(self.trace.units, maps, [m.order for m in self.matches])

    def _fits(self, match: Match) -> bool:
        arrays = kinds.carried(match.layer, match.unit.weights(self.values), match.order)
        roles = kinds.variables(match.layer)
        return all(
            role not in roles or tuple(roles[role].shape) == array.shape
            for role, array in arrays.items()
        )
