"""Both sides of an audit, with PyTorch's weights, and the layers that belong together."""

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from shared_keras.pytorch.audit import activations, keras_net, kinds, orders, torch_net
from shared_keras.pytorch.audit.changes import Change, applied, attributes
from shared_keras.pytorch.audit.keras_net import KerasNet
from shared_keras.pytorch.audit.kinds import Order
from shared_keras.pytorch.audit.sides import KerasSide, TorchSide, during, make, take, tensors
from shared_keras.pytorch.audit.torch_net import TorchNet, Trace, Unit

EPS = float(np.finfo(np.float32).eps)
SAMPLES = 32  # that outputs and gradients are compared on
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
        again: Repeats the comparison of outputs, returns `error`.
        weights: PyTorch's weights, by the module's own names.
        inputs: What reaches the Keras layer.
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
    again: Any = None
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: np.ndarray | None = None

    @property
    def acting(self) -> keras.layers.Layer:
        """Return the layer that acts for it: itself, unless its form was undone."""
        return kinds.acting(self.layer)

    @property
    def where(self) -> str:
        """Return the names on both sides."""
        return f"{self.unit.name or 'model'} / {self.layer.name}"


@dataclass
class Forced:
    """A run of the Keras model in which each matched layer puts out what PyTorch's does."""

    matches: list[Match]
    plain: list[keras.layers.Layer]
    outputs: list[np.ndarray]
    stopped: str | None = None


class Pair:
    """Both sides with the same weights, on the same samples; the state that stages share."""

    def __init__(self, theirs: TorchSide, ours: KerasSide, x: Any, y: np.ndarray):
        self.theirs, self.ours, self.x, self.y = theirs, ours, x, y
        self.torch_inputs = self.torch_batch(slice(0, SAMPLES))
        self.keras_inputs = self.keras_batch(slice(0, SAMPLES))
        self.torch = TorchNet(make(theirs.model, torch.nn.Module, "original"))
        self.torch.module.eval()
        with during("the original, given a batch of inputs"):
            self.torch.run(self.torch_inputs)  # lazy modules get their weights
        made = make(ours.model, keras.Model, "port")
        with during("the port, given a batch of inputs"):
            self.keras = KerasNet(made, self.keras_inputs)
        self.own_values = {id(v): ops.convert_to_numpy(v) for v in self.keras.model.variables}
        self.undone = contextlib.ExitStack()
        self.changes: list[Change] = []
        self.unsettled = False  # whether outputs differ for no known reason
        self.ends: list[Change] = []  # that make logits and probabilities the same
        self.loss = None  # the Keras loss, once it is known to be PyTorch's
        self.preferred: dict[int, str] = {}  # names of PyTorch's calls, by layer
        self.trace: Trace = self.torch.run(self.torch_inputs)
        self.forced: Forced = self.force()
        self._untangle()

    @property
    def matches(self) -> list[Match]:
        """Return the matches of the last forced run, each layer once."""
        return list({id(m.layer): m for m in reversed(self.forced.matches)}.values())[::-1]

    @property
    def batch_size(self) -> int:
        """Return the samples per step of the comparison."""
        return self.theirs.batch_size or self.ours.batch_size or 64

    def torch_batch(self, rows: slice) -> Any:
        """Return what the PyTorch model takes for some samples."""
        x = take(self.x, rows)
        with torch.no_grad():
            return tensors(self.theirs.preprocess(x) if self.theirs.preprocess else x)

    def keras_batch(self, rows: slice) -> Any:
        """Return what the Keras model takes for some samples."""
        x = take(self.x, rows)
        return self.ours.preprocess(x) if self.ours.preprocess else x

    def undo(self, changes: list[Change]) -> None:
        """Make changes hold until the end of the audit."""
        for change in changes:
            self.undone.enter_context(change.apply())
            self.changes.append(change)

    def _untangle(self) -> None:
        """Match the layers at several outputs by the order of the outputs."""
        theirs, ours = torch_net.arrays(self.trace.output), self.forced.outputs
        if len(theirs) != len(ours) or len(theirs) < 2:
            return
        names = {}
        for expected, got in zip(theirs, ours):
            unit = next((u for u in self.trace.units if distance(u.output, expected) == 0), None)
            match = next(
                (m for m in self.matches if distance(m.unit.output, got) == 0), None
            )
            if unit is None or match is None:
                return
            names[id(match.layer)] = unit.name
        self.preferred = names
        self.reforce()

    @contextlib.contextmanager
    def ended(self):
        """Within this context the port ends as the original does, if that had to be undone."""
        with applied(self.ends):
            yield

    def close(self) -> None:
        """Leave the Keras model as it came."""
        self.undone.close()
        self.keras.restore()

    def force(self, trace: Trace | None = None, training: bool = False, mark: bool = False):
        """Run the Keras model so that each matched layer puts out what PyTorch's does.

        Each difference shows where it arises, whatever comes before it. Weights are carried
        over on the way.

        Args:
            trace: The run of PyTorch; by default that in eval mode.
            training: Whether Keras runs in training mode.
            mark: Replace dropout by a factor, as in the run of PyTorch.
        """
        run = _ForcedRun(self, trace or self.trace)
        stopped, outputs = None, []
        on_drop = lambda layer, on: run.plain.append(layer)  # noqa: E731
        with self.keras.watched(run.on_layer, run.plain.append, on_drop, mark):
            try:
                outputs = keras_net.arrays(self.keras.run(self.keras_inputs, training))
            except Exception as error:
                if not run.matches or not any(m.misfits or m.error > 1e30 for m in run.matches):
                        raise
                stopped = " ".join(str(error).split())[:200]
        return Forced(run.matches, run.plain, outputs, stopped)

    def reforce(self) -> None:
        """Run again, after something was undone."""
        self.forced = self.force()

    def carry(self) -> None:
        """Give the Keras model PyTorch's weights and statistics."""
        values = self.torch.values()
        for match in self.matches:
            assign(match, values)


def assign(match: Match, values: dict[str, np.ndarray]) -> dict[str, tuple]:
    """Give a layer PyTorch's weights; return what does not fit: both shapes by role."""
    arrays = kinds.carried(match.layer, match.unit.weights(values), match.order)
    misfits = {}
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


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference, infinite if shapes differ or a number is missing."""
    if one.shape != other.shape:
        return math.inf
    if not one.size:
        return 0.0
    largest = float(np.abs(one.astype(np.float64) - other).max())
    return math.inf if math.isnan(largest) else largest


def largest(array: np.ndarray) -> float:
    """Return the largest absolute value."""
    return float(np.abs(array).max()) if array.size else 0.0


def unit_tolerance(unit: Unit) -> float:
    """Return how far rounding may take the outputs of a layer, from its float64 outputs."""
    inputs = torch.from_numpy(unit.input)
    with torch.no_grad(), torch_net.in_float64(unit.module) as module:
        module.train(unit.training)
        exact = module(torch_net.doubled(inputs.flip(1) if unit.reverse else inputs))
    exact = exact[0] if isinstance(exact, tuple) else exact
    rounding = distance(unit.output, torch_net.array(exact))
    return 16 * max(rounding if math.isfinite(rounding) else 0, 2 * EPS * largest(unit.output))


class _ForcedRun:
    """What happens at each layer of a forced run."""

    def __init__(self, pair: Pair, trace: Trace):
        self.pair, self.trace = pair, trace
        self.left = list(trace.units)
        self.values = pair.torch.values()
        self.matches: list[Match] = []
        self.plain: list[keras.layers.Layer] = []

    def on_layer(self, layer, compute, inputs, args, kwargs):
        own_inputs = ops.convert_to_numpy(inputs)
        match = self._match(layer, own_inputs)
        if match is None:
            return compute(inputs, *args, **kwargs)
        unit = match.unit
        match.weights, match.inputs = unit.weights(self.values), own_inputs
        match.misfits = assign(match, self.values)
        expected = orders.outputs(layer, unit, match.order, self.pair.keras.crops(layer))
        theirs = match.order(unit.input).astype(own_inputs.dtype)
        match.masked = kwargs.get("mask") is not None

        def linear(x):
            acting = match.acting
            quiet = {"activation": activations.identity} if keras_net.activation_of(acting) else {}
            with attributes(acting, **quiet):
                return layer_call(ops.convert_to_tensor(x), *args, **kwargs)

        def layer_call(*given, **named):
            # A change under test may have replaced the call, or the layer, since this run.
            now = match.acting.__dict__.get("call")
            chosen = compute if now is watched else now or match.acting.call
            return chosen(*given, **named)

        watched = layer.__dict__.get("call")

        def error():
            try:
                result = linear(theirs)
            except Exception:  # PyTorch's inputs do not fit this layer
                return math.inf
            return distance(keras_net.arrays(result)[0], expected)

        match.again = error
        match.error, match.tolerance = error(), unit_tolerance(unit)
        activation = keras_net.activation_of(match.acting) or activations.identity
        outputs = activation(ops.convert_to_tensor(expected))
        if getattr(layer, "return_state", False):
            return [outputs, *compute(ops.convert_to_tensor(theirs), *args, **kwargs)[1:]]
        return outputs

    def _match(self, layer, inputs) -> Match | None:
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
            order, reach = orders.inputs(layer, unit, inputs, self.trace.units)
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

    def _fits(self, match) -> bool:
        arrays = kinds.carried(match.layer, match.unit.weights(self.values), match.order)
        roles = kinds.variables(match.layer)
        return all(
            role not in roles or tuple(roles[role].shape) == array.shape
            for role, array in arrays.items()
        )
