"""Both sides of an audit, with PyTorch's weights, and the layers that belong together."""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import torch

from port_audit import costs, pieces
from port_audit.changes import Change
from port_audit.distances import distance
from port_audit.forced import Forced, ForcedRun, Match, assign
from port_audit.ledger import original_entries, port_entries
from port_audit.ledger.entries import Ledger
from port_audit.nets import blocks, keras_net, torch_net
from port_audit.nets.keras_net import KerasNet
from port_audit.nets.torch_net import TorchNet, Trace
from port_audit.samples import labels, take, tensors
from port_audit.sides import BATCH, KerasSide, TorchSide, make
from port_audit.user_files import during

MOST_TIED, MOST_TIES = 4, 16  # layers that may stand for each other, and how often
SAMPLES, FEWEST = 32, 4  # that outputs are compared on
FORWARDS = 5e9  # multiplications that one run of them may take
FIRST = 2  # samples of the run that shows what a model costs


class Pair:
    """Both sides with the same weights, on the same samples; what is undone stays undone."""

    def __init__(self, theirs: TorchSide, ours: KerasSide, x: Any, y: np.ndarray):
        self.theirs, self.ours, self.x, self.y = theirs, ours, x, y
        original = make(theirs.model, torch.nn.Module, "original")
        self.torch = TorchNet(original)
        self.torch.module.eval()
        few = self.torch_batch(slice(0, FIRST))
        with during(f"the original, given a batch of inputs, {_shapes(torch_net.arrays(few))}"):
            first = self.torch.run(few)  # lazy modules get their weights
        self.cost = costs.measured(first, FIRST)
        self.samples = self.cost.kept(FORWARDS, FEWEST, SAMPLES)
        self.torch_inputs = self.torch_batch(slice(0, self.samples))
        self.keras_inputs = self.keras_batch(slice(0, self.samples))
        made = make(ours.model, keras.Model, "port")
        shapes = _shapes(keras_net.arrays(self.keras_inputs))
        with during(f"the port, given a batch of inputs, {shapes}"):
            self.keras = KerasNet(made, self.keras_inputs)
        self.ledger = Ledger()
        self.ledger.add(original_entries.of(original, theirs))
        self.ledger.add(port_entries.of(made, ours))
        self.undone = contextlib.ExitStack()
        self.changed = False  # whether anything is undone
        self.loose: list[blocks.Loose] = []
        self.left_out = False  # whether layers that PyTorch lacks pass on what they get
        self.unknown: list[keras.layers.Layer] = []
        self.range = -np.inf, np.inf  # of outputs, as far as is known
        self.preferred: dict[int, str] = {}  # names of PyTorch's calls, by layer
        self.made: dict[int, np.ndarray] = {}  # orders of the features that layers put out
        self.trace: Trace
        self.forced: Forced
        pieces.match(self)
        self._untangle()
        self._untie()
        self._unflatten()

    @property
    def matches(self) -> list[Match]:
        """Return the matches of the last forced run, each layer once."""
        return list({id(m.layer): m for m in reversed(self.forced.matches)}.values())[::-1]

    @property
    def batch_size(self) -> int:
        """Return the samples per step of the comparison."""
        return self.theirs.batch_size or self.ours.batch_size or BATCH

    @property
    def optimizer(self) -> Any:
        """Return the optimizer of the port, without what only scales its loss."""
        own = self.keras.model.optimizer
        scales = isinstance(own, keras.optimizers.LossScaleOptimizer)
        return own.inner_optimizer if scales else own

    def torch_training(self) -> tuple[Any, Any]:
        """Return PyTorch's optimizer and its scheduler, or None for what is not there."""
        if self.theirs.optimizer is None:
            return None, None
        optimizer = self.theirs.optimizer(self.torch.module.parameters())
        scheduler = self.theirs.scheduler
        return optimizer, None if scheduler is None else scheduler(optimizer)

    def torch_batch(self, rows: slice | np.ndarray) -> Any:
        """Return what the PyTorch model takes for some samples."""
        x = take(self.x, rows)
        with torch.no_grad():
            return tensors(self.theirs.preprocess(x) if self.theirs.preprocess else x)

    def keras_batch(self, rows: slice | np.ndarray) -> Any:
        """Return what the Keras model takes for some samples."""
        x = take(self.x, rows)
        return self.ours.preprocess(x) if self.ours.preprocess else x

    def each_target(self, y: Any) -> list[Any]:
        """Return the targets of each output of the port: their own, or the same for all."""
        if isinstance(y, dict):
            return [y[name] for name in self.keras.named if name in y] or list(y.values())
        return list(y) if isinstance(y, tuple) else [y] * len(self.forced.outputs)

    def as_outputs(self, values: Sequence[Any]) -> Any:
        """Return a value for each output as the port puts them out: as a list, or by name."""
        named = self.keras.named
        return dict(zip(named, values, strict=True)) if named else list(values)

    def torch_labels(self, y: Any, outputs: Any) -> Any:
        """Return targets as PyTorch's loss gets them.

        Args:
            y: Targets.
            outputs: The outputs for them, of which only the shape counts.
        """
        return labels(y, outputs, self._takes_only_the_shape)

    @cached_property
    def _takes_only_the_shape(self) -> bool:
        """Whether PyTorch's loss refuses numbers whose shape is not that of the outputs.

        Others are given the targets as they are: what PyTorch makes of two shapes is then seen.
        """
        outputs = self.trace.output
        if self.theirs.loss is None or not isinstance(outputs, torch.Tensor):
            return False
        y = labels(take(self.y, slice(0, len(outputs))), outputs)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                self.theirs.loss(outputs, y)
        except Exception:
            return True
        return False

    def undo(self, changes: list[Change]) -> None:
        """Make changes hold until the end of the audit."""
        for change in changes:
            self.undone.enter_context(change.apply())
        self.changed = self.changed or bool(changes)

    @contextlib.contextmanager
    def wide(self) -> Iterator[bool]:
        """Within this context, layers put out large values; yields whether they are finite."""
        trace = self.trace
        try:
            with self.torch.unmoved():
                self.torch.widen(self.torch_inputs)
                self.trace = self.torch.run(self.torch_inputs)
                arrays = torch_net.arrays(self.trace.output)
                finite = all(np.isfinite(a).all() for a in arrays)
                if finite:
                    self.range = min(a.min() for a in arrays), max(a.max() for a in arrays)
                    self.reforce()
                yield finite
        finally:
            self.trace = trace
            self.reforce()

    def pair_up(self, modules: Sequence[str] = (), layers: Sequence[str] = ()) -> None:
        """Find what stands for what.

        Args:
            modules: Names of PyTorch's modules of a known kind to be taken as those of none are.
            layers: Names of such layers of the port.
        """
        self.torch.aside = tuple(modules)
        self.keras.set_aside(layers)
        self.trace = self.torch.run(self.torch_inputs)
        if isinstance(self.trace.output, dict):
            self.keras.named = tuple(self.trace.output)
        self.loose = []
        self.loose, self.unknown = blocks.pair_up(
            dict(self.torch.module.named_modules()), self.without_layer(), self.keras.blocks
        )
        self.forced = self.force()

    def without_layer(self) -> list[str]:
        """Return the names of PyTorch's parameters that nothing in the port stands for so far."""
        found = {name for unit in self.trace.units for name in unit.names.values()}
        found |= {name for each in self.loose for name in each.names}
        return [name for name in self.torch.parameters() if name not in found]

    def _untangle(self) -> None:
        """Match the layers at several outputs by the order of the outputs."""
        theirs, ours = torch_net.arrays(self.trace.output), self.forced.outputs
        if len(theirs) != len(ours) or len(theirs) < 2:
            return
        names = {}
        for expected, got in zip(theirs, ours):
            unit = next((u for u in self.trace.units if distance(u.output, expected) == 0), None)
            match = next((m for m in self.matches if distance(m.unit.output, got) == 0), None)
            if unit is None or match is None:
                return
            names[id(match.layer)] = unit.name
        self.preferred = names
        self.reforce()

    def _untie(self) -> None:
        """Match layers that get the same inputs, such as those of attention, by what comes of them.

        A functional model does not call them in the order in which they were written.
        """
        for _ in range(MOST_TIES):
            late = self._late()
            tied = self._tied(late)
            names, preferred = [m.unit.name for m in tied], self.preferred
            for order in itertools.permutations(names):
                if list(order) == names:
                    continue
                ids = (id(m.layer) for m in tied)
                self.preferred = preferred | dict(zip(ids, order))
                self.reforce()
                again = next((m for m in self.forced.matches if m.layer is late.layer), None)
                if again is not None and again.reach <= again.reach_tolerance:
                    break
            else:
                if len(names) > 1:
                    self.preferred = preferred
                    self.reforce()
                return

    def _unflatten(self) -> None:
        """Let a Dense put out features in the order of flattened maps, to which they are added."""
        while (late := self._late()) is not None:
            before = self.forced.matches[: self.forced.matches.index(late)]
            shape = late.unit.input.shape
            known = {m.order.features.tobytes(): m.order.features for m in before if _flat(m)}
            for match, features in itertools.product(reversed(before), known.values()):
                fits = match.unit.kind == "linear" and match.unit.output.shape == shape
                if not fits or shape[1:] != features.shape or id(match.layer) in self.made:
                    continue
                self.made[id(match.layer)] = features
                self.reforce()
                again = next((m for m in self.forced.matches if m.layer is late.layer), None)
                if again is not None and again.reach <= again.reach_tolerance:
                    break
                del self.made[id(match.layer)]
                self.reforce()
            else:
                return

    def _late(self) -> Match | None:
        """Return the first match that is not reached by what reaches it in PyTorch."""
        return next((m for m in self.forced.matches if not m.reach <= m.reach_tolerance), None)

    def _tied(self, late: Match | None) -> list[Match]:
        """Return the last layers before a match that can stand for each other."""
        found: list[Match] = []
        for match in reversed(self.forced.matches):
            if late is None or self.forced.matches.index(match) >= self.forced.matches.index(late):
                continue
            first = found[0].unit if found else match.unit
            same = (
                match.unit.kind == first.kind
                and np.array_equal(match.unit.input, first.input)
                and match.unit.output.shape == first.output.shape
            )
            if same and all(match.layer is not each.layer for each in found):
                found.insert(0, match)
            elif found and len(found) < 2:
                found = [match]
            elif found:
                break
        return found if 1 < len(found) <= MOST_TIED else []

    def close(self) -> None:
        """Leave the Keras model as it came."""
        self.undone.close()
        self.keras.restore()

    def force(
        self,
        trace: Trace | None = None,
        training: bool = False,
        mark: bool = False,
        inputs: Any = None,
        values: dict[str, np.ndarray] | None = None,
    ) -> Forced:
        """Run the Keras model so that each matched layer puts out what PyTorch's does.

        Each difference shows where it arises, whatever comes before it. Weights are carried
        over on the way.

        Args:
            trace: The run of PyTorch; by default that in eval mode.
            training: Whether Keras runs in training mode.
            mark: Replace dropout by a factor, as in the run of PyTorch.
            inputs: What Keras gets; by default what it gets in eval mode.
            values: PyTorch's parameters and buffers by name; by default those at the start.
        """
        inputs = self.keras_inputs if inputs is None else inputs
        values = values or self.torch.values()
        self._carry_loose(values)
        run = ForcedRun(self, trace or self.trace, values)
        stopped, outputs = None, []
        on_drop = lambda layer, on: run.plain.append(layer)  # noqa: E731
        keep = not training  # causes are tried that add what an earlier layer has put out
        with self.keras.watched(run.on_layer, run.plain.append, on_drop, mark, keep):
            try:
                outputs = keras_net.arrays(self.keras.run(inputs, training))
            except Exception as error:
                apart = any(m.misfits or m.error > 1e30 for m in run.matches)
                if not run.matches or not (apart or self.left_out or self.unknown):
                    raise
                stopped = " ".join(str(error).split())[:200]
        return Forced(run.matches, run.calls, run.plain, outputs, stopped)

    def lighten(self) -> None:
        """Drop the numbers of all layers, when only weights are still to be compared."""
        nothing = np.zeros(0, "float32")
        for match in self.forced.matches:
            match.inputs = match.outputs = match.repeat = None
            match.weights = {}
        for unit in self.trace.units:
            unit.input = unit.output = nothing
        self.keras.last.clear()

    def reforce(self) -> None:
        """Run again, after something was undone."""
        self.forced = self.force()

    def carry(self) -> None:
        """Give the Keras model PyTorch's weights and statistics."""
        values = self.torch.values()
        self._carry_loose(values)
        for match in self.matches:
            assign(match, values)

    def runs(self) -> bool:
        """Whether the port runs as a whole; behind a layer left out, shapes may not fit."""
        self.carry()
        try:
            with self.keras.watched():
                self.keras.run(self.keras_inputs)
        except Exception:
            return False
        return True

    def _carry_loose(self, values: dict[str, np.ndarray]) -> None:
        for each in self.loose:
            each.variable.assign(each.convert(values))

    def is_unknown(self, plain: Sequence[keras.layers.Layer]) -> bool:
        """Whether a layer whose weights could not be carried over is among some."""
        inside = {part for layer in self.unknown for part in self.keras.within[id(layer)]}
        return any(id(layer) in inside for layer in plain)


def _flat(match: Match) -> bool:
    return match.order.features is not None


def _shapes(inputs: list[np.ndarray]) -> str:
    return "shape " + " and ".join(str(array.shape) for array in inputs)
