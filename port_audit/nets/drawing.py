"""What draws at random in a PyTorch module: how it is noticed, and what stands for it."""

import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from port_audit.nets.activations import Event, event
from port_audit.nets.held import Held
from port_audit.samples import call

DROPPING = {
    "dropout": 0,
    "dropout1d": 1,
    "dropout2d": 2,
    "dropout3d": 3,
    "alpha_dropout": 0,
    "feature_alpha_dropout": 1,
}
# Where dropout is replaced by a factor, these set its kinds apart: of single values, of whole
# channels, of other blocks of values, alpha dropout.
FACTORS = {"values": 1.0, "channels": 1.5, "blocks": 2.3, "alpha": 1.25}
NOISE = ("randn", "randn_like", "normal", "normal_")
DRAWS = (  # of other distributions, which nothing stands for
    "rand",
    "rand_like",
    "uniform_",
    "bernoulli",
    "bernoulli_",
    "randint",
    "randint_like",
    "randperm",
    "multinomial",
    "poisson",
    "exponential_",
    "gumbel_softmax",
)
ATTENTION = "scaled_dot_product_attention"
NOISE_MARK = 0.25  # stands for a draw from the standard normal distribution


class Watch(TorchFunctionMode):
    """Notes functions without weights, and takes chance out of dropout."""

    def __init__(self, mark: bool):
        super().__init__()
        self.mark = mark
        self.events: list[Event] = []
        self.draws: list[str] = []

    def taken(self) -> list[Event]:
        """Return what was noted since the last time."""
        events, self.events = self.events, []
        return events

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in DROPPING and args:
            return self._drop(name, *args, **kwargs)
        if name in NOISE:
            with torch._C.DisableTorchFunction(), torch.random.fork_rng(devices=[]):
                drawn = noise(name, function, args, kwargs, NOISE_MARK if self.mark else 0.0)
            if self.mark:
                self.events.append(Event("noise", {"values": drawn.numel()}))
            return drawn
        if name == ATTENTION:
            args, kwargs, drops = without_dropout(args, kwargs)
            self.draws += [f"torch.{name}"] * drops
        if name in DRAWS or (name == "rrelu" and kwargs.get("training", args[3:4] == (True,))):
            self.draws.append(f"torch.{name}")
        found = event(name, args, kwargs)
        if found is not None:
            self.events.append(found)
        return function(*args, **kwargs)

    def _drop(
        self,
        name: str,
        input: torch.Tensor,
        p: float = 0.5,
        training: bool | None = None,
        inplace: bool = False,
        **others: Any,
    ) -> Any:
        if "train" in others:
            training = others["train"]
        # F.dropout is on by default; it then works in eval mode, too.
        on = name != "alpha_dropout" if training is None else bool(training)
        self.events.append(
            Event(
                "dropout",
                {
                    "rate": float(p),
                    "on": on,
                    "dimensions": DROPPING[name],
                    "what": dropped(name),
                    "values": input.numel(),
                },
            )
        )
        if not self.mark or not on:
            return input
        return input * marking(p, dropped(name))


class Generators:
    """What Python and NumPy draw from, also what a module uses; PyTorch's draws are functions."""

    def __init__(self, module: nn.Module):
        self.held = Held({"model": module}).generators
        self.before = self._states()

    def drawn(self) -> tuple[str, ...]:
        """Return names of those that were drawn from since."""
        now = self._states()
        return tuple(name for name, state in self.before.items() if state != now.get(name))

    def _states(self) -> dict[str, bytes]:
        states: dict[str, Any] = {"random": random.getstate()}
        states["numpy.random"] = np.random.get_state(legacy=False)
        for name, value in self.held.items():
            if isinstance(value, random.Random):
                states[name] = value.getstate()
            elif isinstance(value, np.random.Generator):
                states[name] = value.bit_generator.state
            else:
                states[name] = value.get_state(legacy=False)
        return {name: pickle.dumps(state) for name, state in states.items()}


def may_draw(module: nn.Module) -> dict[str, Any]:
    """Return the innermost modules that may draw at random by code that is not known, by name."""
    return {
        name: part
        for name, part in module.named_modules()
        if not list(part.children())
        and (not type(part).__module__.startswith("torch.") or isinstance(part, nn.RReLU))
    }


@torch.no_grad()
def that_draw(module: nn.Module, inputs: Any) -> list[str]:
    """Return which of these modules draw when a module is run in the mode that it is in, by name.

    The others may do something else in training, which is not chance.
    """
    watch = Watch(mark=True)
    before: dict[str, tuple[int, torch.Tensor, Generators]] = {}
    found: dict[str, None] = {}

    def starts(name: str, part: nn.Module) -> None:
        before[name] = len(watch.draws), torch.get_rng_state(), Generators(part)

    def ends(name: str) -> None:
        count, state, generators = before[name]
        drawn = not torch.equal(torch.get_rng_state(), state)  # by a function that is not in DRAWS
        if drawn or len(watch.draws) > count or generators.drawn():
            found[name] = None

    hooks = []
    for name, part in may_draw(module).items():
        hooks.append(part.register_forward_pre_hook(lambda _, __, n=name, p=part: starts(n, p)))
        hooks.append(part.register_forward_hook(lambda *_, n=name: ends(n)))
    try:
        with watch:
            call(module, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found)


def noise(
    name: str, function: Callable, args: tuple, kwargs: dict[str, Any], draw: float
) -> torch.Tensor:
    """Return what a function that draws would, with a constant for each standard draw."""
    drawn = function(*args, **kwargs)
    first = {"normal": 0, "normal_": 1}.get(name)
    mean, spread = 0.0, 1.0
    if first is not None:
        mean = kwargs.get("mean", args[first] if len(args) > first else 0.0)
        spread = kwargs.get("std", args[first + 1] if len(args) > first + 1 else 1.0)
    return drawn.copy_(torch.zeros_like(drawn) + mean + spread * draw)


def without_dropout(args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any], bool]:
    """Return what attention is called with, but for its dropout, and whether there is some."""
    drops = bool(args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0))
    if len(args) > 4:
        return (*args[:4], 0.0, *args[5:]), kwargs, drops
    return args, kwargs | {"dropout_p": 0.0}, drops


def dropped(name: str) -> str:
    """Return what a function of PyTorch drops: "values", "channels" or "alpha"."""
    return "alpha" if "alpha" in name else "channels" if DROPPING[name] else "values"


def marking(rate: float, what: str) -> float:
    """Return the factor that stands for dropout, so that its rate and its place show."""
    return 1 + rate * FACTORS[what]
