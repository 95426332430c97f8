"""Some steps of PyTorch's training, for stage 6: with nothing dropped, in float32 and float64."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from port_audit.courses import Courses
from port_audit.nets import torch_net
from port_audit.pair import Pair
from port_audit.samples import call, count, labels, take

STEPS = 20
MOST = 64  # samples per step
# Sizes of gradients, relative to those of the first step.
PROBES = (*[1.0] * 6, *[0.03] * 12, 0.0, 0.0, 10.0, 10.0, *[0.01] * 14)


@dataclass
class Training:
    """A training of PyTorch: gradients and parameters of each step, by name.

    Attributes:
        start: Parameters before the first step.
        gradients: Gradients of each step.
        values: Parameters after each step.
        optimizer: PyTorch's optimizer after the last step, if the original has one.
        module: The module after the last step.
    """

    start: dict[str, np.ndarray]
    gradients: list[dict[str, np.ndarray]] = field(default_factory=list)
    values: list[dict[str, np.ndarray]] = field(default_factory=list)
    optimizer: Any = None
    module: Any = None

    def before(self, step: int) -> dict[str, np.ndarray]:
        """Return the parameters that a step starts from."""
        return self.values[step - 1] if step else self.start


def batch(pair: Pair) -> int:
    """Return the samples per step."""
    return min(pair.batch_size, MOST, count(pair.x))


def rows(pair: Pair, step: int) -> np.ndarray:
    """Return which samples a step takes."""
    size = batch(pair)
    return (np.arange(size) + step * size) % count(pair.x)


def train(
    pair: Pair,
    net: torch_net.TorchNet,
    courses: Courses,
    double: bool = False,
    noise: dict[str, np.ndarray] | None = None,
) -> Training:
    """Train PyTorch for some steps, with nothing dropped.

    Args:
        pair: Both sides.
        net: The network, which is changed.
        courses: How rates move.
        double: Whether it is in float64.
        noise: By how much each gradient is disturbed, by the parameter's name.
    """
    module = net.module
    random = torch.Generator().manual_seed(0)
    net.train_without_chance()
    own = net.parameters()
    record = Training({name: torch_net.array(p) for name, p in own.items()}, module=module)
    if pair.theirs.optimizer is not None:
        record.optimizer = courses.optimizer(module.parameters())
    for step in range(STEPS):
        _backward(pair, module, step, double)
        for name, amount in (noise or {}).items():
            if own[name].grad is not None:
                own[name].grad += torch.randn(amount.shape, generator=random) * torch.from_numpy(
                    amount
                )
        record.gradients.append(_gradients(net))
        if record.optimizer is None:
            break
        record.optimizer.step()
        record.values.append({name: torch_net.array(p) for name, p in own.items()})
    return record


def probed(theirs: Training, courses: Courses) -> Training:
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
    record = Training(theirs.start, module=theirs.module)
    record.optimizer = courses.optimizer(iter(copies.values()))
    first = theirs.gradients[0]
    sizes = {name: max(float(np.sqrt(np.mean(g**2))), 1e-6) for name, g in first.items()}
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
        record.optimizer.step()
        record.gradients.append(gradients)
        record.values.append({name: torch_net.array(p) for name, p in made.items()})
    return record


def in_float64(pair: Pair, courses: Courses) -> Training | None:
    """Return the same training in float64, or None if the loss does not take it."""
    with _doubled(pair) as net:
        try:
            return train(pair, net, courses, double=True)
        except RuntimeError:
            return None


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
        net.train_without_chance()
        try:
            _backward(pair, net.module, step, double=True)
        except RuntimeError:
            return None
        return _gradients(net)


def disturbed(
    pair: Pair, theirs: Training, exact: Training | None, coarser: float, courses: Courses
) -> Training | None:
    """Return a training in which gradients are off by as much as rounding takes them.

    Adam divides gradients by their size, so that rounding of small ones moves parameters far.

    Args:
        pair: Both sides.
        theirs: The training.
        exact: The same in float64.
        coarser: How many times as large the rounding of Keras's gradients is.
        courses: How rates move.
    """
    if exact is None:
        return None
    noise = {
        name: (coarser * np.abs(gradient - exact.gradients[0][name])).astype("float32")
        for name, gradient in theirs.gradients[0].items()
    }
    return train(pair, torch_net.TorchNet(pair.torch.module), courses, noise=noise)


@contextlib.contextmanager
def _doubled(pair: Pair) -> Iterator[torch_net.TorchNet]:
    """Yield the original in float64, with its own parameters."""
    with torch_net.in_float64(pair.torch.module) as module:
        net = copy.copy(pair.torch)
        net.module = module
        yield net


def _backward(pair: Pair, module: torch.nn.Module, step: int, double: bool) -> None:
    """Give the parameters the gradients of a step."""
    chosen = rows(pair, step)
    inputs = pair.torch_batch(chosen)
    outputs = call(module, torch_net.doubled(inputs) if double else inputs)
    first = outputs if isinstance(outputs, torch.Tensor) else None
    y = labels(take(pair.y, chosen), first)
    loss = pair.theirs.loss(outputs, torch_net.doubled(y) if double else y)
    module.zero_grad()
    loss.backward()


def _gradients(net: torch_net.TorchNet) -> dict[str, np.ndarray]:
    return {
        name: np.zeros(p.shape, "float32") if p.grad is None else torch_net.array(p.grad)
        for name, p in net.parameters().items()
    }
