"""Some steps of PyTorch's training, for stage 6: with nothing dropped, in float32 and float64."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from port_audit.courses import Courses
from port_audit.nets import chance, torch_net
from port_audit.pair import Pair
from port_audit.samples import call, count, take
from port_audit.stages.steps.places import Chosen

STEPS, FEWEST_STEPS = 20, 6
MOST, FEWEST = 64, 4  # samples per step
FORWARDS = 2e10  # multiplications of all steps, forwards
# Sizes of gradients, relative to those of the first step.
PROBES = (*[1.0] * 6, *[0.03] * 12, 0.0, 0.0, 10.0, 10.0, *[0.01] * 14)


@dataclass
class Way:
    """Where the values of a weight that are looked at went, in Keras's layout.

    Attributes:
        start: Before the first step.
        gradients: What the optimizer was given, in each step.
        values: What it made of them.
        exact: The last of them, had the optimizer computed in float64.
    """

    start: np.ndarray
    gradients: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    exact: np.ndarray | None = None


@dataclass
class Training:
    """A training of PyTorch.

    Attributes:
        start: Parameters before the first step, by name.
        first: Gradients of the first step, by name.
        last: Parameters after the last step, by name.
        ways: Where weights went, of each that was to be looked at.
        optimizer: PyTorch's optimizer after the last step, if the original has one.
        module: The module after the last step.
    """

    start: dict[str, np.ndarray]
    first: dict[str, np.ndarray] = field(default_factory=dict)
    last: dict[str, np.ndarray] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)
    optimizer: Any = None
    module: Any = None


class _Record:
    """Follows the steps of an optimizer in what is looked at, and repeats them in float64."""

    def __init__(self, training: Training, weights: Sequence[Chosen], courses: Courses):
        self.weights, self.module = weights, training.module
        training.ways = [Way(weight.carried(training.start)) for weight in weights]
        self.training = training
        own = dict(self.module.named_parameters())
        self.made = {
            name: torch.nn.Parameter(torch.from_numpy(training.start[name]).double())
            for name in own
        }
        for name, parameter in self.made.items():
            parameter.requires_grad_(own[name].requires_grad)
        self.optimizer = courses.optimizer(iter(self.made.values()))

    def step(self, gradients: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> None:
        """Take a step: the gradients, and what PyTorch's optimizer made of them."""
        for way, weight in zip(self.training.ways, self.weights):
            way.gradients.append(weight.carried(gradients, gradients=True))
            way.values.append(weight.carried(values))
        for name, parameter in self.made.items():
            if parameter.requires_grad:
                parameter.grad = torch.from_numpy(gradients[name]).double()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def end(self) -> None:
        """Note where float64 came to."""
        own = {id(p): name for name, p in self.module.named_parameters()}
        exact = {
            alias: torch_net.array(self.made[own[id(p)]])
            for alias, p in self.module.named_parameters(remove_duplicate=False)
        }
        for way, weight in zip(self.training.ways, self.weights):
            way.exact = weight.carried(exact)


def batch(pair: Pair) -> int:
    """Return the samples per step."""
    affordable = pair.cost.kept(FORWARDS / STEPS, FEWEST, MOST)
    return min(pair.batch_size, affordable, count(pair.x))


def steps(pair: Pair) -> int:
    """Return the number of steps."""
    return pair.cost.samples(FORWARDS / batch(pair), FEWEST_STEPS, STEPS)


def rows(pair: Pair, step: int) -> np.ndarray:
    """Return which samples a step takes."""
    size = batch(pair)
    return (np.arange(size) + step * size) % count(pair.x)


def train(pair: Pair, courses: Courses, weights: Sequence[Chosen]) -> Training:
    """Train PyTorch for some steps, with nothing dropped.

    Args:
        pair: Both sides.
        courses: How rates move.
        weights: What is looked at after each step.
    """
    net = torch_net.TorchNet(pair.torch.module)
    training = Training(_parameters(net), module=net.module)
    record = None
    if pair.theirs.optimizer is not None:
        training.optimizer = courses.optimizer(net.module.parameters())
        record = _Record(training, weights, courses)
    for step in range(steps(pair) if record is not None else 1):
        _backward(pair, net, step)
        gradients = _gradients(net)
        training.first = training.first or gradients
        if record is not None:
            training.optimizer.step()
            net.module.zero_grad()
            record.step(gradients, _parameters(net))
    training.last = _parameters(net)
    if record is not None:
        record.end()
    net.module.zero_grad()
    return training


def replayed(
    pair: Pair, courses: Courses
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Train once more; yield the parameters that each step starts from, and its gradients."""
    net = torch_net.TorchNet(pair.torch.module)
    optimizer = courses.optimizer(net.module.parameters())
    for step in range(steps(pair)):
        before = _parameters(net)
        _backward(pair, net, step)
        yield before, _gradients(net)
        optimizer.step()


def probed(theirs: Training, courses: Courses, weights: Sequence[Chosen]) -> Training:
    """Return steps of PyTorch's optimizer on gradients that show what no short training does.

    They fall and rise by orders of magnitude, so that what an optimizer remembers shows: the
    largest of all squares of AMSGrad, say, only once gradients have become small.
    """
    random = np.random.default_rng(0)
    own = dict(theirs.module.named_parameters(remove_duplicate=False))
    twice = {name: name.replace("bias_hh", "bias_ih") for name in own}  # they get the same
    copies: dict[int, Any] = {}
    for name, parameter in own.items():
        made: Any = torch.nn.Parameter(torch.from_numpy(theirs.start[name].copy()))
        copies.setdefault(id(parameter), made.requires_grad_(parameter.requires_grad))
    made = {name: copies[id(parameter)] for name, parameter in own.items()}
    training = Training(theirs.start, module=theirs.module)
    training.optimizer = courses.optimizer(iter(copies.values()))
    record = _Record(training, weights, courses)
    sizes = {name: max(float(np.sqrt(np.mean(g**2))), 1e-6) for name, g in theirs.first.items()}
    for scale in PROBES:
        drawn = {
            name: (random.normal(size=p.shape) * scale * sizes[name]).astype("float32")
            for name, p in own.items()
        }
        gradients = {name: drawn[twice[name] if twice[name] in drawn else name] for name in own}
        gradients = {
            name: g if own[name].requires_grad else np.zeros_like(g)
            for name, g in gradients.items()
        }
        first_of = {id(own[name]): name for name in reversed(list(own))}
        gradients = {name: gradients[first_of[id(own[name])]] for name in own}
        for name, parameter in made.items():
            if parameter.requires_grad:
                parameter.grad = torch.from_numpy(gradients[name].copy())
        training.optimizer.step()
        training.optimizer.zero_grad()
        record.step(gradients, {name: torch_net.array(p) for name, p in made.items()})
    record.end()
    return training


def gradients_in_float64(
    pair: Pair, values: Mapping[str, np.ndarray], step: int
) -> dict[str, np.ndarray] | None:
    """Return the gradients of a step in float64, by name, or None if the loss does not take it.

    Args:
        pair: Both sides.
        values: The parameters to take them at, by name.
        step: The step.
    """
    with _doubled(pair) as net:
        with torch.no_grad():
            for name, parameter in net.parameters().items():
                parameter.copy_(torch.from_numpy(values[name]))
        try:
            _backward(pair, net, step, double=True)
        except RuntimeError:
            return None
        return _gradients(net)


def disturbed(
    pair: Pair,
    theirs: Training,
    exact: Mapping[str, np.ndarray] | None,
    coarser: float,
    courses: Courses,
) -> dict[str, np.ndarray] | None:
    """Return where a training leads in which gradients are off by as much as rounding takes them.

    Adam divides gradients by their size, so that rounding of small ones moves parameters far.

    Args:
        pair: Both sides.
        theirs: The training.
        exact: The gradients of its first step in float64, by name.
        coarser: How many times as large the rounding of Keras's gradients is.
        courses: How rates move.
    """
    if exact is None:
        return None
    noise = {
        name: (coarser * np.abs(gradient - exact[name])).astype("float32")
        for name, gradient in theirs.first.items()
    }
    net = torch_net.TorchNet(pair.torch.module)
    own, random = net.parameters(), torch.Generator().manual_seed(0)
    optimizer = courses.optimizer(net.module.parameters())
    for step in range(steps(pair)):
        _backward(pair, net, step)
        for name, amount in noise.items():
            if own[name].grad is not None:
                drawn = torch.randn(amount.shape, generator=random) * torch.from_numpy(amount)
                own[name].grad = torch_net.dense(own[name].grad) + drawn
        optimizer.step()
    return _parameters(net)


@contextlib.contextmanager
def _doubled(pair: Pair) -> Iterator[torch_net.TorchNet]:
    """Yield the original in float64, with its own parameters."""
    with torch_net.in_float64(pair.torch.module) as module:
        net = copy.copy(pair.torch)
        net.module = module
        yield net


def _backward(pair: Pair, net: torch_net.TorchNet, step: int, double: bool = False) -> None:
    """Give the parameters the gradients of a step, with nothing dropped."""
    chosen = rows(pair, step)
    inputs = pair.torch_batch(chosen)
    inputs = torch_net.doubled(inputs) if double else inputs
    net.train_without_chance(inputs)
    with chance.WithoutChance():
        outputs = call(net.module, inputs)
    first = outputs if isinstance(outputs, torch.Tensor) else None
    y = pair.torch_labels(take(pair.y, chosen), first)
    loss = pair.theirs.loss(outputs, torch_net.doubled(y) if double else y)
    net.module.zero_grad()
    loss.backward()


def _parameters(net: torch_net.TorchNet) -> dict[str, np.ndarray]:
    return {name: torch_net.array(p) for name, p in net.parameters().items()}


def _gradients(net: torch_net.TorchNet) -> dict[str, np.ndarray]:
    return {
        name: np.zeros(p.shape, "float32") if p.grad is None else torch_net.array(p.grad)
        for name, p in net.parameters().items()
    }
