"""Weights of layers of no known kind: carried over by their shapes, and compared as one piece.

What such a layer puts out, and what it passes back, is judged by what reaches the layers behind
and before it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from torch import nn

from port_audit.nets import kinds

# Takes values of PyTorch by name; `gradients` says whether they are gradients.
Convert = Callable[..., np.ndarray]
Layout = Callable[[np.ndarray], np.ndarray]


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


def weights_of(layer: layers.Layer) -> list[keras.Variable]:
    """Return the weights of a layer that are trained unless they are frozen."""
    found = [v for part in layer._flatten_layers() for v in part._trainable_variables]
    return list({id(variable): variable for variable in found}.values())


def pair_up(
    modules: Mapping[str, nn.Module],
    parameters: Sequence[str],
    blocks: Sequence[layers.Layer],
) -> tuple[list[Loose], list[layers.Layer]]:
    """Return which weights stand for which parameters, and layers of which that is not known.

    Args:
        modules: PyTorch's modules by name.
        parameters: Names of parameters that belong to no layer of a known kind, in order.
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
    unknown = []
    for layer in rest:
        own = _in_order(layer, left, modules)
        if len(own) == len(weights_of(layer)):
            found += own
            left = [name for name in left if name not in {n for piece in own for n in piece.names}]
        else:
            unknown.append(layer)
    return found, unknown


def ways(
    layer: layers.Layer,
    names: Sequence[str],
    modules: Mapping[str, nn.Module],
    channels: Collection[int],
) -> Iterator[list[Loose]]:
    """Yield all ways in which some parameters may be the weights of a layer, by their shapes.

    Args:
        layer: The layer.
        names: PyTorch's names of as many parameters, of which one way is known to fit.
        modules: PyTorch's modules by name.
        channels: Numbers of channels of maps that may have been flattened before it.
    """

    def extend(variables: Sequence[keras.Variable], left: list[str]) -> Iterator[list[Loose]]:
        if not variables:
            yield []
            return
        first, *rest = variables
        for name in left:
            holder, shape = _parameter(modules, name)
            for layout in _layouts(holder, shape, tuple(first.shape), channels):
                for others in extend(rest, [each for each in left if each != name]):
                    yield [Loose(layer, first, (name,), _converting(name, layout)), *others]

    return extend(weights_of(layer), list(names))


def _parameter(modules: Mapping[str, nn.Module], name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return what holds a parameter, and the parameter's shape."""
    holder, _, own = name.rpartition(".")
    return modules[holder], tuple(modules[holder]._parameters[own].shape)


def _fits(piece: Loose, modules: Mapping[str, nn.Module]) -> bool:
    try:
        values = {n: np.zeros(_parameter(modules, n)[1], "float32") for n in piece.names}
        return piece.convert(values).shape == tuple(piece.variable.shape)
    except (KeyError, AttributeError, ValueError):
        return False


def _in_order(
    layer: layers.Layer, names: Sequence[str], modules: Mapping[str, nn.Module]
) -> list[Loose]:
    """Return for each weight, as far as there is one, the first parameter of a fitting shape."""
    found, left = [], list(names)
    for variable in weights_of(layer):
        for name in left:
            holder, shape = _parameter(modules, name)
            layout = next(iter(_layouts(holder, shape, tuple(variable.shape))), None)
            if layout is not None:
                left.remove(name)
                found.append(Loose(layer, variable, (name,), _converting(name, layout)))
                break
    return found


def _layouts(
    holder: nn.Module,
    shape: tuple[int, ...],
    wanted: tuple[int, ...],
    channels: Collection[int] = (),
) -> list[Layout]:
    """Return how a parameter may lie in a weight, the likeliest first.

    It lies as it is, or as kernels do in Keras; then its rows may be those of flattened maps.
    """
    turn = (*range(2, len(shape)), 1, 0)
    found: list[Layout] = []
    if shape == wanted:
        found.append(lambda array: array)
    if len(shape) > 1 and tuple(shape[axis] for axis in turn) == wanted:
        found.append(lambda array: array.transpose(turn))
        if kinds.torch_kind(holder) is not None:
            found.reverse()
    if len(wanted) == 2:
        for size in (each for each in channels if 1 < each < wanted[0]):
            if wanted[0] % size == 0:
                rows = np.arange(wanted[0]).reshape(size, -1).T.ravel()
                found += [_taking(rows, layout) for layout in found[:2]]
    return found


def _taking(rows: np.ndarray, layout: Layout) -> Layout:
    return lambda array: layout(array)[rows]


def _converting(name: str, layout: Layout) -> Convert:
    return lambda values, gradients=False: layout(values[name])


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
