"""Weights of layers of no known kind: carried over by their shapes, and compared as one piece.

What such a layer puts out, and what it passes back, is judged by what reaches the layers behind
and before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from torch import nn

# Takes values of PyTorch by name; `gradients` says whether they are gradients.
Convert = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Loose:
    """A weight of the port that belongs to no layer of a known kind.

    Attributes:
        layer: Its layer.
        variable: The weight.
        names: PyTorch's parameters that it stands for.
        convert: Makes it of PyTorch's values by name.
    """

    layer: layers.Layer
    variable: keras.Variable
    names: tuple[str, ...]
    convert: Convert

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return f"{' + '.join(self.names)} / {self.variable.path}"


def pair_up(
    modules: Mapping[str, nn.Module],
    parameters: Sequence[str],
    blocks: Sequence[layers.Layer],
) -> tuple[list[Loose], list[layers.Layer]]:
    """Return which weights stand for which parameters, and layers of which that is not known.

    Args:
        modules: PyTorch's modules by name.
        parameters: Names of parameters of no known kind, in order.
        blocks: Keras's layers of no known kind that have weights, in order.
    """
    found: list[Loose] = []
    left, rest = list(parameters), list(blocks)
    for module, layer, pieces in (
        (nn.MultiheadAttention, layers.MultiHeadAttention, _attention),
        (nn.RNN, layers.SimpleRNN, _recurrent),
    ):
        theirs = [name for name, part in modules.items() if isinstance(part, module)]
        ours = [each for each in rest if isinstance(each, layer)]
        if len(theirs) != len(ours):
            continue
        for name, each in zip(theirs, ours):
            made = list(pieces(name, modules[name], each))
            if all(_fits(piece, modules) for piece in made):
                found += made
                used = {own for piece in made for own in piece.names}
                left = [own for own in left if own not in used]
                rest.remove(each)
    shapes = {
        f"{name}.{own}".lstrip("."): tuple(parameter.shape)
        for name, part in modules.items()
        for own, parameter in part._parameters.items()
        if parameter is not None
    }
    unknown = []
    for layer in rest:
        own = list(_by_shape(layer, left, shapes))
        if len(own) == len(layer.trainable_weights):
            found += own
            left = [name for name in left if name not in {n for piece in own for n in piece.names}]
        else:
            unknown.append(layer)
    return found, unknown


def _fits(piece: Loose, modules: Mapping[str, nn.Module]) -> bool:
    values = {
        f"{name}.{own}".lstrip("."): np.zeros(tuple(parameter.shape), "float32")
        for name, part in modules.items()
        for own, parameter in part._parameters.items()
        if parameter is not None
    }
    try:
        return piece.convert(values).shape == tuple(piece.variable.shape)
    except (KeyError, ValueError):
        return False


def _by_shape(
    layer: layers.Layer, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[Loose]:
    """Return weights and parameters of the same shape, in order; or of the transposed one."""
    left = list(names)
    for variable in layer.trainable_weights:
        wanted = tuple(variable.shape)
        for turn in (False, True):
            name = next(
                (n for n in left if (shapes[n][::-1] if turn else shapes[n]) == wanted), None
            )
            if name is None:
                continue
            left.remove(name)

            def convert(
                values: Mapping[str, np.ndarray],
                gradients: bool = False,
                name: str = name,
                turn: bool = turn,
            ) -> np.ndarray:
                return values[name].T if turn else values[name]

            yield Loose(layer, variable, (name,), convert)
            break


def _attention(name: str, module: nn.Module, layer: layers.Layer) -> Iterator[Loose]:
    prefix = f"{name}." if name else ""
    packed = module.in_proj_weight is not None
    dense = (layer._query_dense, layer._key_dense, layer._value_dense)
    for index, (own, letter) in enumerate(zip(dense, "qkv")):
        weight = f"{prefix}{'in_proj_weight' if packed else f'{letter}_proj_weight'}"

        def kernel(
            values: Mapping[str, np.ndarray],
            gradients: bool = False,
            own: layers.Layer = own,
            index: int = index,
            weight: str = weight,
        ) -> np.ndarray:
            part = np.split(values[weight], 3)[index] if packed else values[weight]
            return part.T.reshape(tuple(own.kernel.shape))

        yield Loose(layer, own.kernel, (weight,), kernel)
        if own.bias is not None:

            def bias(
                values: Mapping[str, np.ndarray],
                gradients: bool = False,
                own: layers.Layer = own,
                index: int = index,
            ) -> np.ndarray:
                part = np.split(values[f"{prefix}in_proj_bias"], 3)[index]
                return part.reshape(tuple(own.bias.shape))

            yield Loose(layer, own.bias, (f"{prefix}in_proj_bias",), bias)
    last = layer._output_dense

    def kernel_of_output(values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        return values[f"{prefix}out_proj.weight"].T.reshape(tuple(last.kernel.shape))

    yield Loose(layer, last.kernel, (f"{prefix}out_proj.weight",), kernel_of_output)
    if last.bias is not None:
        yield Loose(
            layer,
            last.bias,
            (f"{prefix}out_proj.bias",),
            lambda values, gradients=False: values[f"{prefix}out_proj.bias"],
        )


def _recurrent(name: str, module: nn.Module, layer: layers.Layer) -> Iterator[Loose]:
    prefix = f"{name}." if name else ""
    cell = layer.cell
    for own, variable in (("weight_ih_l0", cell.kernel), ("weight_hh_l0", cell.recurrent_kernel)):
        yield Loose(
            layer,
            variable,
            (prefix + own,),
            lambda values, gradients=False, own=own: values[prefix + own].T,
        )
    if cell.bias is not None:
        both = f"{prefix}bias_ih_l0", f"{prefix}bias_hh_l0"

        def bias(values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
            return values[both[0]] if gradients else values[both[0]] + values[both[1]]

        yield Loose(layer, cell.bias, both, bias)
