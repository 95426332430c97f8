"""Some steps of PyTorch's training, for stage 6: with nothing dropped, in float32 and float64."""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from port_audit.nets import torch_net
from port_audit.pair import Pair
from port_audit.samples import call, count, labels, take

STEPS = 20
MOST = 64  # samples per step


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
    double: bool = False,
    noise: dict[str, np.ndarray] | None = None,
) -> Training:
    """Train PyTorch for some steps, with nothing dropped.

    Args:
        pair: Both sides.
        net: The network, which is changed.
        double: Whether it is in float64.
        noise: By how much each gradient is disturbed, by the parameter's name.
    """
    module = net.module
    random = torch.Generator().manual_seed(0)
    net.train_without_chance()
    own = net.parameters()
    record = Training({name: torch_net.array(p) for name, p in own.items()}, module=module)
    make = pair.theirs.optimizer
    record.optimizer = make(module.parameters()) if make is not None else None
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


def in_float64(pair: Pair) -> Training | None:
    """Return the same training in float64, or None if the loss does not take it."""
    with _doubled(pair) as net:
        try:
            return train(pair, net, double=True)
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
    pair: Pair, theirs: Training, exact: Training | None, coarser: float
) -> Training | None:
    """Return a training in which gradients are off by as much as rounding takes them.

    Adam divides gradients by their size, so that rounding of small ones moves parameters far.

    Args:
        pair: Both sides.
        theirs: The training.
        exact: The same in float64.
        coarser: How many times as large the rounding of Keras's gradients is.
    """
    if exact is None:
        return None
    noise = {
        name: (coarser * np.abs(gradient - exact.gradients[0][name])).astype("float32")
        for name, gradient in theirs.gradients[0].items()
    }
    return train(pair, torch_net.TorchNet(pair.torch.module), noise=noise)


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
