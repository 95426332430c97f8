"""Convert weights between PyTorch state dicts and Keras models of the same system.

The k-th Linear, Conv2d or BatchNorm of a state dict, in its own order, belongs to the
k-th Dense, Conv2D or BatchNormalization of the model, whatever the modules' names:
`layers.0`, `hl1` and `capas.1` can all be a first layer. Kernels are transposed. That of a
Dense layer after a Flatten of feature maps is also reordered, because PyTorch puts
channels first.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from shared_keras.errors import BadInput

if TYPE_CHECKING:
    import torch

NORM = ("weight", "bias", "running_mean", "running_var")


class _Holder(NamedTuple):
    """A Keras layer with weights: its kind, and the shape of feature maps flattened before it."""

    layer: keras.layers.Layer
    kind: str
    maps: tuple[int, int, int] | None


def load(model: keras.Model, state: Mapping[str, "torch.Tensor"]) -> None:
    """Put the weights of a state dict into a Keras model.

    Args:
        model: A model of the same system.
        state: Tensors by name, in the order in which the modules were registered.

    Raises:
        BadInput: naming the first key that does not fit; the model is unchanged.
    """
    holders = _holders(model)
    values = []
    for holder, (name, tensors) in _matched(holders, _modules(state)):
        values.append([_to_keras(holder, name, part, tensors) for part in _parts(holder)])
    for holder, arrays in zip(holders, values):
        holder.layer.set_weights(arrays)


def state_dict(
    model: keras.Model, like: Mapping[str, "torch.Tensor"] | None = None
) -> dict[str, "torch.Tensor"]:
    """Return the weights of a Keras model as a PyTorch state dict.

    Args:
        model: A model of one of our systems.
        like: A state dict whose names and order to use, such as that of your own
            module; by default those of the twin: dense_1.weight, norm_1.bias, ...

    Raises:
        BadInput: naming the first key of `like` that does not fit.
    """
    import torch

    holders = _holders(model)
    if like is None:
        names: list[str] = []
        counts: dict[str, int] = {}
        for holder in holders:
            counts[holder.kind] = counts.get(holder.kind, 0) + 1
            names.append(f"{holder.kind}_{counts[holder.kind]}")
    else:
        matched = _matched(holders, _modules(like))
        for holder, (name, tensors) in matched:
            for part in _parts(holder):
                _to_keras(holder, name, part, tensors)
        names = [name for _, (name, _) in matched]
    state = {}
    for holder, name in zip(holders, names):
        for part, array in zip(_parts(holder), holder.layer.get_weights()):
            state[f"{name}.{part}"] = torch.from_numpy(_to_torch(holder, part, array).copy())
        if holder.kind == "norm":
            state[f"{name}.num_batches_tracked"] = torch.tensor(0)
    return state if like is None else {key: state[key] for key in like}


def load_module(network: "torch.nn.Module", state: Mapping[str, "torch.Tensor"]) -> None:
    """Put the weights of a state dict into a network whose modules have other names.

    Args:
        network: A module of the same system, such as the twin.
        state: Tensors by name, in the order in which the modules were registered.

    Raises:
        RuntimeError: from PyTorch, if the shapes differ.
    """
    own = network.state_dict()
    theirs = _by_kind(_modules(state))
    named: dict[str, Any] = {}
    for kind, modules in _by_kind(_modules(own)).items():
        for (name, _), (_, tensors) in zip(modules, theirs.get(kind, []), strict=True):
            named |= {f"{name}.{part}": tensor for part, tensor in tensors.items()}
    network.load_state_dict(own | named)


def renamed(
    state: Mapping[str, "torch.Tensor"], names: Mapping[str, str]
) -> dict[str, "torch.Tensor"]:
    """Return a state dict with its modules renamed, in the order of the new names.

    Args:
        state: Tensors by name.
        names: Their names mapped to ours, such as {"fc.in": "dense_1"}; the numbers at the
            end give the order.
    """
    if not names:
        return dict(state)

    def number(name: str) -> int:
        digits = name.rpartition("_")[2]
        return int(digits) if digits.isdigit() else 0

    new = {}
    for key, tensor in state.items():
        name, _, part = key.rpartition(".")
        new[f"{names.get(name, name)}.{part}"] = tensor
    return {key: new[key] for key in sorted(new, key=lambda k: number(k.rpartition(".")[0]))}


def read(path: Path) -> dict[str, "torch.Tensor"]:
    """Read a state dict from a file that may hold nothing but tensors.

    Raises:
        BadInput: if it is not a state dict, or would run code.
    """
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BadInput(
            f"{path}: refused, it holds more than tensors, which could run code; expected a "
            "state dict, as torch.save(model.state_dict(), ...) writes it"
        ) from None
    except Exception as error:  # a broken file may raise anything
        sentence = str(error).strip().split("\n")[0][:200]
        raise BadInput(f"{path}: cannot be read as a PyTorch checkpoint ({sentence})") from None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise BadInput(f"{path}: expected a state dict of names and tensors, got something else")
    return dict(state)


def _holders(model: keras.Model) -> list[_Holder]:
    kinds = {
        keras.layers.Dense: "dense",
        keras.layers.Conv2D: "conv",
        keras.layers.BatchNormalization: "norm",
    }
    holders, maps = [], None
    for layer in model.layers:
        if isinstance(layer, keras.layers.Flatten):
            shape = layer.input.shape[1:]
            maps = tuple(shape) if len(shape) == 3 else None
        kind = next((name for cls, name in kinds.items() if isinstance(layer, cls)), None)
        if kind is not None:
            holders.append(_Holder(layer, kind, maps if kind == "dense" else None))
            maps = None
    return holders


def _modules(state: Mapping[str, Any]) -> dict[str, dict]:
    """Group tensors by module, and drop the batch counters."""
    modules: dict[str, dict] = {}
    for key, tensor in state.items():
        name, _, part = key.rpartition(".")
        if part != "num_batches_tracked":
            modules.setdefault(name, {})[part] = tensor
    return modules


def _kind(name: str, tensors: Mapping) -> str:
    if "running_mean" in tensors:
        return "norm"
    dimensions = getattr(tensors.get("weight"), "ndim", None)
    if dimensions not in (2, 4):
        part = next(iter(tensors))
        raise BadInput(
            f"state dict: '{name}.{part}' does not belong to a Linear, Conv2d or "
            "BatchNorm, expected only those"
        )
    return {2: "dense", 4: "conv"}[dimensions]


def _by_kind(modules: Mapping[str, Mapping]) -> dict[str, list[tuple[str, Mapping]]]:
    kinds: dict[str, list[tuple[str, Mapping]]] = {}
    for name, tensors in modules.items():
        kinds.setdefault(_kind(name, tensors), []).append((name, tensors))
    return kinds


def _matched(
    holders: Sequence[_Holder], modules: Mapping[str, Mapping]
) -> list[tuple[_Holder, tuple[str, Mapping]]]:
    """Pair each layer with the next module of its kind."""
    queues: dict[str, list[tuple[str, Mapping]]] = {"dense": [], "conv": [], "norm": []}
    for name, tensors in modules.items():
        kind = _kind(name, tensors)
        queues[kind].append((name, tensors))
        wanted = sum(holder.kind == kind for holder in holders)
        if len(queues[kind]) > wanted:
            raise BadInput(
                f"state dict: '{name}.{next(iter(tensors))}' has no place in the model, which "
                f"has {wanted} {kind} layers"
            )
    pairs = []
    for holder in holders:
        if not queues[holder.kind]:
            raise BadInput(
                f"state dict: nothing in it fits '{holder.layer.name}', a {holder.kind} layer of "
                f"the model; it has {', '.join(f'{name}.weight' for name in modules) or 'no keys'}"
            )
        pairs.append((holder, queues[holder.kind].pop(0)))
    return pairs


def _parts(holder: _Holder) -> tuple[str, ...]:
    if holder.kind == "norm":
        return NORM
    return ("weight", "bias") if holder.layer.use_bias else ("weight",)


def _to_keras(holder: _Holder, name: str, part: str, tensors: Mapping[str, Any]) -> np.ndarray:
    """Return one tensor in the layout of the Keras layer, or reject it by name."""
    key = f"{name}.{part}"
    if part not in tensors:
        raise BadInput(f"state dict: '{key}' is missing, but the model needs it")
    spare = set(tensors) - set(_parts(holder))
    if spare:
        raise BadInput(f"state dict: '{name}.{sorted(spare)[0]}' has no place in the model")
    place = holder.layer.get_weights()[_parts(holder).index(part)]
    array = (
        tensors[part].detach().cpu().numpy().copy()
    )  # without a copy JAX might share PyTorch's memory
    expected = _to_torch(holder, part, place).shape
    if array.shape != expected:
        raise BadInput(f"state dict: '{key}' has the shape {array.shape}, expected {expected}")
    if part == "weight" and holder.kind == "conv":
        return array.transpose(2, 3, 1, 0)
    if part == "weight" and holder.kind == "dense":
        if holder.maps:
            height, width, channels = holder.maps
            array = array.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            array = array.reshape(len(array), -1)
        return array.T
    return array


def _to_torch(holder: _Holder, part: str, array: np.ndarray) -> np.ndarray:
    """Return one array of the Keras layer in PyTorch's layout."""
    if part == "weight" and holder.kind == "conv":
        return array.transpose(3, 2, 0, 1)
    if part == "weight" and holder.kind == "dense":
        array = array.T
        if holder.maps:
            array = array.reshape(-1, *holder.maps).transpose(0, 3, 1, 2)
            array = array.reshape(len(array), -1)
    return array
