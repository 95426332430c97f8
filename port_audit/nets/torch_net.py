"""Run a PyTorch module and record what goes into and comes out of its layers."""

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from port_audit.nets import kinds
from port_audit.nets.activations import Event
from port_audit.nets.drawing import Generators, Watch, may_draw, that_draw
from port_audit.samples import call

WIDE = 5.0  # the spread of what layers put out where large values are looked at
DROPPING_WITHIN = (nn.RNNBase, nn.MultiheadAttention)  # which no function shows


@dataclass
class Unit:
    """One call of a layer with weights.

    Attributes:
        name: Name of the module; layers and directions of an LSTM or GRU are numbered.
        kind: Its kind.
        module: A module that does the same on its own.
        names: Full names of its parameters and buffers, by their own names.
        input: What went in, with batches first.
        output: What came out, with batches first.
        last: Of a recurrent layer, the state after its last step, (n, units), else None.
        reverse: Whether a recurrent layer runs from the end.
        before: Functions without weights called since the last such layer.
        training: Whether the module was in train mode.
        rounding: How far rounding may take its outputs, once that is measured.
    """

    name: str
    kind: str
    module: Any  # an `nn.Module`, of whose attributes the type says nothing
    names: dict[str, str]
    input: np.ndarray
    output: np.ndarray
    last: np.ndarray | None = None
    reverse: bool = False
    before: list[Event] = field(default_factory=list)
    training: bool = False
    rounding: float | None = None

    @property
    def uncropped(self) -> np.ndarray:
        """Return the output of a transposed convolution before its padding is cropped."""
        module = copy.deepcopy(self.module)
        module.padding = module.output_padding = (0,) * len(module.stride)
        with torch.no_grad():
            return array(module(torch.from_numpy(self.input)))

    def weights(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return its own among values of all parameters, by their own names."""
        return {own: values[name] for own, name in self.names.items() if name in values}


@dataclass
class Trace:
    """A run: its calls in order, what came after the last, and the outputs.

    Attributes:
        units: The calls.
        after: Functions behind the last.
        output: The outputs.
        draws: Names of functions that drew at random, and for which nothing stood.
    """

    units: list[Unit]
    after: list[Event]
    output: Any
    draws: tuple[str, ...] = ()

    @property
    def events(self) -> list[Event]:
        """Return all functions without weights, in order."""
        return [event for unit in self.units for event in unit.before] + self.after


class TorchNet:
    """A copy of a module that can be run and recorded; the original stays as it is."""

    def __init__(self, module: nn.Module):
        for part in module.modules():
            for name in kinds.made_weights(part):  # by a hook; only what is detached can be copied
                if name in vars(part):
                    setattr(part, name, getattr(part, name).detach())
        self.module = copy.deepcopy(module).cpu()
        if any(p.dtype == torch.float64 for p in self.module.parameters()):
            self.module.float()  # as the port; the witness makes both float64
        self.quiet: list[str] | None = None  # modules that are random in themselves, once known
        self.drawing = False  # whether a `forward` draws in training by what nothing stands for
        self.aside: tuple[str, ...] = ()  # modules of a known kind that are taken as of none
        self.names = {part: name for name, part in self.module.named_modules()}

    def values(self, copies: bool = True) -> dict[str, np.ndarray]:
        """Return all parameters and buffers by name, a shared one under each of its names.

        Args:
            copies: Whether they stay as they are when the module goes on.
        """
        named = [
            *self.module.named_parameters(remove_duplicate=False),
            *self.module.named_buffers(remove_duplicate=False),
        ]
        made = {
            f"{name}.{own}".lstrip("."): array(getattr(part, own), copies)
            for name, part in self.module.named_modules()
            if kinds.torch_kind(part) is not None
            for own in kinds.made_weights(part)
        }
        return {name: array(value, copies) for name, value in named} | made

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return all parameters by name."""
        return dict(self.module.named_parameters(remove_duplicate=False))

    def train(self, inputs: Any) -> None:
        """Train mode, but for what draws at random and cannot be replaced.

        What drops can be, where it is run: by `run`, or within `WithoutChance`. What a `forward`
        does in training mode only is done.

        Args:
            inputs: A batch.
        """
        if self.quiet is None:
            with self.unmoved():
                self._train(())
                self.quiet = self._quiet(inputs)
                self._train(self.quiet)
                self.drawing = bool(self.run(inputs, mark=True).draws)
        self._train(self.quiet)

    def _quiet(self, inputs: Any) -> list[str]:
        """Return the modules that take chance out of train mode, if they are in eval mode."""
        leaves = list(may_draw(self.module))
        if not leaves or not self.random(inputs, mark=True):
            return []
        seen = that_draw(self.module, inputs)
        for quiet in (seen, leaves):  # the latter for what nobody sees, such as the time of day
            self._train(quiet)
            if not self.random(inputs, mark=True):
                return quiet
        return seen  # for chance that is in none of them

    def train_without_chance(self, inputs: Any) -> None:
        """Train mode, but only for batch statistics if a `forward` draws in it by itself.

        Args:
            inputs: A batch.
        """
        self.train(inputs)
        if self.drawing:
            parts = [p for p in self.module.modules() if kinds.torch_kind(p) == "batch norm"]
            on = [part for part in parts if part.training]
            self.module.eval()
            for part in on:
                part.train()

    def _train(self, quiet: Collection[str]) -> None:
        self.module.train()  # a `train` of the user's may leave some in evaluation mode
        for name, part in self.module.named_modules():
            if isinstance(part, DROPPING_WITHIN) or name in quiet:
                part.eval()

    @torch.no_grad()
    def widen(self, inputs: Any) -> None:
        """Scale weights so that what each layer puts out has a large spread, in eval mode.

        Then functions that only act on large values, such as the end of ReLU6, show.
        """
        done = set()

        def hook(module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor | None:
            weight = module._parameters.get("weight")
            if weight is None or id(module) in done or not output.is_floating_point():
                return None
            done.add(id(module))
            spread = float(output.std()) if output.numel() > 1 else 0.0
            if not 0 < spread < float("inf"):
                return None
            for own in (weight, module._parameters.get("bias")):
                if own is not None:
                    own.mul_(WIDE / spread)
            return output * (WIDE / spread)

        skipped = (*kinds.RECURRENT, "prelu")
        hooks = [
            part.register_forward_hook(hook)
            for part in self.module.modules()
            if (kind := kinds.torch_kind(part)) is not None and kind not in skipped
        ]
        try:
            call(self.module, inputs)
        finally:
            for each in hooks:
                each.remove()

    @contextlib.contextmanager
    def unmoved(self) -> Iterator[None]:
        """Within this context, statistics may move; then they are as before, in eval mode."""
        before = {name: value.clone() for name, value in self.module.state_dict().items()}
        try:
            yield
        finally:
            self.module.load_state_dict(before)
            self.module.eval()

    def random(self, inputs: Any, mark: bool = False) -> bool:
        """Whether two runs differ although dropout, and marked noise, are left out."""
        runs = []
        for seed in (1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                runs.append(arrays(self.run(inputs, mark).output))
        return any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(*runs))

    @torch.no_grad()
    def run(self, inputs: Any, mark: bool = False) -> Trace:
        """Run the module in the mode that it is in.

        Args:
            inputs: What it takes.
            mark: Replace dropout that is on by a factor of 1 + rate, instead of leaving it out, and
                normal noise by a constant.
        """
        watch = Watch(mark)
        units: list[Unit] = []
        hooks = [
            part.register_forward_hook(self._hook(units, watch), with_kwargs=True)
            for part in self.module.modules()
            if kinds.torch_kind(part) is not None and self.names[part] not in self.aside
        ]
        generators = Generators(self.module)
        try:
            with watch:
                output = call(self.module, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        draws = tuple(dict.fromkeys([*watch.draws, *generators.drawn()]))
        return Trace(units, watch.taken(), output, draws)

    def _hook(self, units: list[Unit], watch: Watch) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            inputs = args[0] if args else next(iter(kwargs.values()))
            if not isinstance(inputs, torch.Tensor):  # a packed sequence has no shape
                return
            name, kind = self.names[module], kinds.torch_kind(module)
            with torch._C.DisableTorchFunction():
                if kind in kinds.RECURRENT:
                    found = _recurrent_units(name, kind, module, inputs)
                else:
                    own = [key for key, _ in (*module.named_parameters(), *module.named_buffers())]
                    own = [key for key in own if "num_" not in key and not _raw(module, key)]
                    own += kinds.made_weights(module)
                    names = {key: f"{name}.{key}".lstrip(".") for key in own}
                    found = [Unit(name, kind, module, names, array(inputs), array(output))]
            found[0].before = watch.taken()
            for unit in found:
                unit.training = module.training
            units.extend(found)

        return hook


def _raw(module: nn.Module, key: str) -> bool:
    """Whether a weight is made of this parameter, which is none itself."""
    made = kinds.made_weights(module)
    return bool(made) and key.startswith(("parametrizations.", *(f"{name}_" for name in made)))


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor with all its values; the gradient of an `Embedding` may be sparse."""
    return tensor.to_dense() if tensor.is_sparse else tensor


def array(tensor: torch.Tensor, copies: bool = True) -> np.ndarray:
    """Return a tensor as an array: a copy, or a view of it."""
    tensor = dense(tensor).detach().cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy has none
        tensor = tensor.float()
    found = tensor.numpy()
    return found.copy() if copies else found


def arrays(output: Any) -> list[np.ndarray]:
    """Return outputs, one or several, as a list of arrays."""
    if isinstance(output, torch.Tensor):
        return [array(output)]
    if isinstance(output, dict):
        output = output.values()
    return [each for part in output for each in arrays(part)]


@contextlib.contextmanager
def in_float64(module: nn.Module) -> Iterator[Any]:
    """Yield a copy of a module in float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield copy.deepcopy(module).double()
    finally:
        torch.set_default_dtype(default)


def doubled(x: Any) -> Any:
    """Return tensors, of those that are floats, in float64."""
    if isinstance(x, dict):
        return {name: doubled(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(doubled(each) for each in x)
    return x.double() if x.is_floating_point() else x


def _recurrent_units(name: str, kind: str, module: Any, inputs: torch.Tensor) -> list[Unit]:
    """Return a unit for each layer and direction of an LSTM or a GRU."""
    sequence = inputs if module.batch_first else inputs.transpose(0, 1)
    units = []
    for layer in range(module.num_layers):
        outputs = []
        for reverse in (False, True)[: 1 + module.bidirectional]:
            suffix = f"_l{layer}" + "_reverse" * reverse
            single = type(module)(
                sequence.shape[-1], module.hidden_size, bias=module.bias, batch_first=True
            )
            own = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
            with torch.no_grad():
                for key in own:
                    getattr(single, f"{key}_l0").copy_(getattr(module, key + suffix))
                went_in = sequence.flip(1) if reverse else sequence
                output = single(went_in)[0]
            outputs.append(output.flip(1) if reverse else output)
            several = module.num_layers > 1 or module.bidirectional
            units.append(
                Unit(
                    name + suffix * several,
                    kind,
                    single,
                    {key: f"{name}.{key}{suffix}".lstrip(".") for key in own},
                    array(sequence),
                    array(output),  # a layer that runs from the end leaves its outputs so
                    array(output[:, -1]),
                    reverse,
                )
            )
        sequence = torch.cat(outputs, -1)
    return units
