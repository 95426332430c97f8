"""Part of stage 6: the weights that both sides train."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import torch

from port_audit.forced import Match
from port_audit.nets import kinds
from port_audit.nets.blocks import Loose


@dataclass
class Weight:
    """A weight of a matched layer: its role and its variable."""

    match: Match
    role: str
    variable: keras.Variable

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return f"{self.match.where} ({self.role})"

    def carried(self, values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        """Return PyTorch's values of it, in Keras's layout."""
        unit = self.match.unit
        own = unit.weights(values)
        own = {name: array for name, array in own.items() if "running" not in name}
        arrays = kinds.carried(self.match.layer, own, self.match.order, gradients)
        return arrays.get(self.role, np.zeros(()))

    def parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        """Return the parameters of PyTorch that it stands for."""
        named = dict(module.named_parameters(remove_duplicate=False))
        names = kinds.stands_for(self.match.unit.names, self.role)
        return [named[name] for name in names if name in named]

    def trained(self, module: torch.nn.Module) -> bool:
        """Whether PyTorch trains it."""
        return any(parameter.requires_grad for parameter in self.parameters(module))

    @property
    def times(self) -> int:
        """Return how often the same gradient moves it: once for each of an LSTM's biases."""
        summed = self.match.unit.kind == "lstm" and self.role == "bias"
        return len(kinds.stands_for(self.match.unit.names, self.role)) if summed else 1


@dataclass
class LooseWeight:
    """A weight of a layer of no known kind."""

    loose: Loose

    @property
    def variable(self) -> keras.Variable:
        """Return the variable of the port."""
        return self.loose.variable

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return self.loose.name

    @property
    def role(self) -> str:
        """Return the name of the variable, such as "kernel"."""
        return self.loose.variable.name

    def carried(self, values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        """Return PyTorch's values of it, in Keras's layout."""
        return self.loose.convert(values, gradients=gradients)

    def parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        """Return the parameters of PyTorch that it stands for."""
        named = dict(module.named_parameters(remove_duplicate=False))
        return [named[name] for name in self.loose.names]

    def trained(self, module: torch.nn.Module) -> bool:
        """Whether PyTorch trains it."""
        return any(parameter.requires_grad for parameter in self.parameters(module))

    @property
    def times(self) -> int:
        """Return how often the same gradient moves it: once for each bias in a sum."""
        return len(self.loose.names)


AnyWeight = Weight | LooseWeight
