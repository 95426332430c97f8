"""Chance, taken out of both sides while they train."""

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from port_audit.changes import attributes
from port_audit.nets import drawing, keras_net, torch_net
from port_audit.nets.keras_net import KerasNet
from port_audit.samples import call


@contextlib.contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Within this context, Python, NumPy and PyTorch draw from a seed; then go on as before."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


class Random(RuntimeError):
    """A side is random in a way that cannot be taken out."""


class WithoutChance(TorchFunctionMode):
    """Within this context, functions of PyTorch drop nothing, and normal draws are their mean.

    That matters in eval mode, too: `F.dropout(x)` drops there.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name in drawing.DROPPING and (args or "input" in kwargs):
            return args[0] if args else kwargs["input"]
        if name in drawing.NOISE:
            with torch._C.DisableTorchFunction():
                return drawing.noise(name, function, args, kwargs, 0.0)
        if name == drawing.ATTENTION:
            args, kwargs, _ = drawing.without_dropout(args, kwargs)
        return function(*args, **kwargs)


def quiet(module: nn.Module, inputs: Any) -> tuple[str, ...]:
    """Take chance out of a module that is to train; return what was put into eval mode for that.

    Args:
        module: The module, which is changed.
        inputs: A few samples.

    Raises:
        Random: if it is still random.
    """
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.dropout = 0.0
    if not _is_random(module, inputs):
        return ()
    leaves = drawing.may_draw(module)
    with seeded():
        seen = drawing.that_draw(copy.deepcopy(module).train(), inputs)
    for chosen in filter(None, (seen, list(leaves))):  # the latter for what nobody sees
        for name in chosen:
            part = leaves[name].eval()
            part.train = lambda mode=True, part=part: part  # stays so whatever the loop says
        if not _is_random(module, inputs):
            return tuple(chosen)
    raise Random("the original is random in training, and not only by dropout or noise")


def _is_random(module: nn.Module, inputs: Any) -> bool:
    runs = []
    for seed in (1, 2):
        with seeded(seed), torch.no_grad(), WithoutChance():
            probe = copy.deepcopy(module)
            probe.train()
            before = drawing.Generators(probe)
            runs.append(torch_net.arrays(call(probe, inputs)))
            if before.drawn():  # it may act in few steps only
                return True
    return any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(*runs))


@contextlib.contextmanager
def without_chance(net: KerasNet, inputs: Any) -> Iterator[None]:
    """Within this context nothing in a Keras model is random, not even in `fit`.

    Args:
        net: The model.
        inputs: A few samples.

    Raises:
        Random: if a layer of the user's draws whether it trains or not.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(net.watched())
        for layer in net.layers:
            cell = getattr(layer, "cell", None)
            if isinstance(layer, keras.layers.RNN) and hasattr(cell, "recurrent_dropout"):
                stack.enter_context(attributes(cell, dropout=0.0, recurrent_dropout=0.0))
        if any(not keras_net.known_chance(layer) for layer in net.random):
            one, other = (keras_net.arrays(net.run(inputs)) for _ in range(2))
            if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other)):
                raise Random("the port is random in training, and not only by dropout or noise")
        yield
