"""Why what reaches a layer differs: what the two models do between two layers with weights."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from port_audit.causes import residuals
from port_audit.causes.advice import plain
from port_audit.changes import Change, ahead_of, behind, calling, setting
from port_audit.distances import largest
from port_audit.forced import Match
from port_audit.nets import activations, keras_net, kinds, orders, torch_net
from port_audit.nets.activations import Event
from port_audit.pair import Pair

SHARE = {  # a parameter of an activation, not another activation
    "LeakyReLU": "leaky_relu",
    "leaky_relu": "leaky_relu",
    "ELU": "elu",
    "elu": "elu",
    "gelu": "gelu",
}
GLOBAL = {
    f"Global{one}Pooling{n}D": f"Global{other}Pooling{n}D"
    for n in (1, 2, 3)
    for one, other in (("Max", "Average"), ("Average", "Max"))
}
WRITTEN = {
    "hardswish": "hard_silu",
    "hardsigmoid": "hard_sigmoid",
    "logsigmoid": "log_sigmoid",
    "hardtanh": "hard_tanh",
}


@dataclass(frozen=True)
class Gap:
    """What lies between two layers with weights.

    Attributes:
        where: Its name.
        previous: The match before, or None.
        match: The match behind, or None at the outputs.
        events: Functions of PyTorch.
        plain: Layers of Keras.
    """

    where: str
    previous: Match | None
    match: Match | None
    events: Sequence[Event]
    plain: Sequence[layers.Layer]


def before(match: Match) -> Gap:
    """Return the gap before a match."""
    return Gap(f"before {match.where}", match.previous, match, match.unit.before, match.plain)


def last(pair: Pair) -> Gap:
    """Return the gap before the outputs."""
    forced = pair.forced
    previous = forced.matches[-1] if forced.matches else None
    return Gap("outputs", previous, None, pair.trace.after, forced.plain)


def changes(pair: Pair, gap: Gap) -> Iterator[list[Change]]:
    """Return alternatives, each of changes that can be made at once."""
    own = [*_activations(gap), *_pooling(gap), *_padding(gap)]
    if own:
        yield own
    whole = list(_whole_pooling(gap))
    if whole:
        yield own + whole
    reshaped = list(_reshaped(gap))
    if reshaped:
        yield own + reshaped
    if gap.match is not None:
        # Ahead of residuals: x times two is x added to x, too.
        scaled = list(_scaled(pair, gap.match))
        if scaled:
            yield scaled
        added = list(residuals.added_before(pair, gap.match))
        for one in added:
            yield [one]
        if gap.previous is not None:
            for one in residuals.added_behind(pair, gap):
                yield [one]


def _activations(gap: "Gap") -> Iterator[Change]:
    theirs = [event for event in gap.events if event.activates]
    holder = gap.previous.acting if gap.previous else None
    ours = own_activations(gap)
    for index in range(max(len(theirs), len(ours))):
        event = theirs[index] if index < len(theirs) else None
        wanted = activations.function(event) if event else activations.identity
        if index < len(ours):
            layer, function = ours[index]
            if not activations.same(function, wanted):
                yield _other_activation(layer, function, event, wanted, layer is holder)
        elif holder is not None and not ours:
            yield _activation_added(holder, event, wanted)
        elif gap.match is not None:
            yield _added_before(gap.match, event, wanted)


def own_activations(gap: Gap) -> list[tuple[layers.Layer, Callable]]:
    """Return the activations of Keras in a gap: the layer that holds it, and the function."""
    found = []
    if gap.previous is not None:
        holder = gap.previous.acting
        function = keras_net.activation_of(holder)
        if function is not None and not activations.same(function, activations.identity):
            found.append((holder, function))
    plain = [layer for layer in gap.plain if isinstance(layer, keras_net.ACTIVATIONS)]
    return found + [(layer, layer) for layer in plain]


def _other_activation(
    layer: keras.layers.Layer, function: Callable, event: Event | None, wanted: Callable, own: bool
) -> Change:
    ours = activations.name_of(function)
    theirs = str(event) if event else "nothing"
    parameter = event is not None and SHARE.get(ours.partition("(")[0]) == event.name
    apply = (
        setting(layer, activation=wanted)
        if own
        else calling(layer, lambda call, x, args, kwargs: wanted(x))
    )
    return Change(
        layer.name,
        "slope" if parameter and "gelu" not in ours else "activation",
        f"the activation is {_ours(layer, ours)}, PyTorch's is {theirs}",
        f"{_written(event)} instead",
        apply,
    )


def _ours(layer: keras.layers.Layer, name: str) -> str:
    if isinstance(layer, layers.LeakyReLU):
        return f"LeakyReLU(negative_slope={layer.negative_slope:g})"
    if isinstance(layer, layers.ELU):
        return f"ELU(alpha={layer.alpha:g})"
    return name


def _activation_added(holder: keras.layers.Layer, event: Event | None, wanted: Callable) -> Change:
    return Change(
        holder.name,
        "activation",
        f"no activation follows, in PyTorch it is {event}",
        f"{_written(event)} behind {holder.name}",
        setting(holder, activation=wanted)
        if hasattr(holder, "activation")
        else behind(holder, wanted),
    )


def _added_before(match: Match, event: Event | None, wanted: Callable) -> Change:
    return Change(
        match.layer.name,
        "activation",
        f"an activation is missing before it, in PyTorch it is {event}",
        f"{_written(event)} before {match.layer.name}",
        ahead_of(match.layer, wanted),
    )


def _written(event: Event | None) -> str:
    if event is None:
        return "no activation"
    options = event.options
    match event.name:
        case "leaky_relu":
            return f"LeakyReLU(negative_slope={options['negative_slope']:g})"
        case "elu" | "celu":
            return f"Activation(lambda x: keras.ops.{event.name}(x, {options['alpha']:g}))"
        case "gelu" if options["approximate"] == "none":
            return "activation='gelu' (exact)"
        case "gelu":
            return "Activation(lambda x: keras.ops.gelu(x, approximate=True))"
    return f"activation='{WRITTEN.get(event.name, event.name)}'"


def _pooling(gap: "Gap") -> Iterator[Change]:
    theirs = [event for event in gap.events if event.pools]
    poolings = tuple(keras_net.POOLING)
    ours = [layer for layer in gap.plain if isinstance(layer, poolings)]
    if len(theirs) != len(ours):
        return
    for event, layer in zip(theirs, ours):
        dimensions = next(n for cls, n in keras_net.POOLING.items() if isinstance(layer, cls))
        yield Change(
            layer.name,
            "pooling",
            f"{type(layer).__name__}({plain(layer.pool_size)}, strides={plain(layer.strides)}, "
            f"padding='{layer.padding}'), in PyTorch it is {event}",
            _pooling_written(event, layer, dimensions),
            calling(layer, _pooled(event, dimensions, layer.data_format)),
        )


def _whole_pooling(gap: "Gap") -> Iterator[Change]:
    """A mean over all places instead of a maximum, or the other way round."""
    for layer in gap.plain:
        name = next((name for name in GLOBAL if type(layer) is getattr(layers, name)), None)
        if name is None:
            continue
        wanted = GLOBAL[name]
        other = getattr(layers, wanted)(data_format=layer.data_format, keepdims=layer.keepdims)
        taken = "mean" if "Average" in wanted else "maximum"
        yield Change(
            layer.name,
            "pooling",
            f"it is {name}; PyTorch takes the {taken} of all places",
            f"{wanted}() instead",
            calling(layer, lambda call, x, args, kwargs, other=other: other(x)),
        )


def _pooled(event: Event, dimensions: int, data_format: str) -> Callable:
    pool = activations.pool(event, dimensions)

    def call(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        if data_format == "channels_last":
            return pool(x)
        spatial = range(2, dimensions + 2)
        moved = pool(ops.transpose(x, (0, *spatial, 1)))
        return ops.transpose(moved, (0, dimensions + 1, *range(1, dimensions + 1)))

    return call


def _pooling_written(event: Event, layer: keras.layers.Layer, dimensions: int) -> str:
    kind = ("Max" if event.name == "max_pool" else "Average") + f"Pooling{dimensions}D"
    size = event.options["kernel_size"]
    strides = event.options["stride"] if event.options["stride"] is not None else size
    padding = event.options["padding"]
    text = f"{kind}({size}, strides={strides}, padding='valid')"
    if padding:
        fill = " filled with -inf" if event.name == "max_pool" else ""
        text += f" behind a padding of {padding} on both sides{fill}"
    return text + (", with the last windows cut short" if event.options["ceil_mode"] else "")


def _padding(gap: "Gap") -> Iterator[Change]:
    """A layer that pads otherwise than the convolution in PyTorch."""
    if gap.match is None or not orders.pads(gap.match.acting, gap.match.unit):
        return
    theirs = kinds.padding(gap.match.unit.module)
    adding = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
    for layer in gap.plain:
        if isinstance(layer, adding):
            even = all(before == behind for before, behind in theirs)
            shown = tuple(before for before, _ in theirs) if even else theirs
            yield Change(
                layer.name,
                "padding",
                f"it pads {layer.padding}, PyTorch {theirs}",
                f"{type(layer).__name__}({plain(shown)})",
                setting(layer, padding=theirs if len(theirs) > 1 else theirs[0]),
            )


def _reshaped(gap: "Gap") -> Iterator[Change]:
    for layer in gap.plain:
        shape: tuple[int, ...] = getattr(layer, "target_shape", ())
        if isinstance(layer, layers.Reshape) and len(shape) > 1:
            first = (shape[-1], *shape[:-1])
            back = (0, *range(2, len(shape) + 1), 1)

            def call(
                own: Callable,
                x: Any,
                args: tuple,
                kwargs: dict,
                first: tuple[int, ...] = first,
                back: tuple[int, ...] = back,
            ) -> Any:
                return ops.transpose(ops.reshape(x, (-1, *first)), back)

            yield Change(
                layer.name,
                "reshape",
                f"Reshape({tuple(shape)}) fills channels last; PyTorch's view fills them first",
                f"Reshape({first}), then Permute({back[1:]})",
                calling(layer, call),
            )


def _scaled(pair: Pair, match: Match) -> Iterator[Change]:
    """A linear map, the same for all values or one for each channel, undone at the layer."""
    theirs, ours = match.order(match.unit.input), match.inputs
    if ours is None or theirs.shape != ours.shape or theirs.dtype.kind != "f":
        return
    fits = _lines(ours, theirs)
    if fits is None:
        return
    factor, shift = fits

    def scaled(x: Any) -> Any:
        floats = keras.config.floatx()  # float64 where the witness trains in it
        x = ops.cast(x, floats)
        return x * ops.convert_to_tensor(factor, floats) + ops.convert_to_tensor(shift, floats)

    a, b = float(factor.flat[0]), float(shift.flat[0])
    moved = abs(b) > 1e-5 * largest(theirs)
    line = f"{a:.6g} * x" + f" + {b:.6g}" * moved
    each = "" if factor.size == 1 else f" (first of {factor.size} channels)"
    if match.previous is not None and not _is_input(pair, match.unit.input):
        yield Change(
            match.where,
            "scale",
            f"x reaches the layer, in PyTorch {line}{each}",
            f"{line} before {match.layer.name}{each}",
            ahead_of(match.layer, scaled),
        )
        return
    yield Change(
        match.where,
        "input scale",
        f"inputs are scaled otherwise: in PyTorch they are {line}{each}",
        f"preprocess as PyTorch does: multiply by {a:.6g}" + f", then add {b:.6g}" * moved
        if factor.size == 1
        else "use PyTorch's mean and std of each channel",
        ahead_of(match.layer, scaled),
    )


def _is_input(pair: Pair, array: np.ndarray) -> bool:
    """Whether an array is an input of PyTorch's, or a linear map of one."""
    return any(
        each.shape == array.shape and _lines(each, array) is not None
        for each in torch_net.arrays(pair.torch_inputs)
    )


def _lines(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Fit y = a * x + b, by least squares in float64, over all values or per last axis."""
    for axes in (None, tuple(range(x.ndim - 1))):
        a64, b64 = x.astype(np.float64), y.astype(np.float64)
        mx, my = a64.mean(axes, keepdims=True), b64.mean(axes, keepdims=True)
        spread = ((a64 - mx) ** 2).mean(axes, keepdims=True)
        if (spread == 0).any():
            continue
        a = ((a64 - mx) * (b64 - my)).mean(axes, keepdims=True) / spread
        b = my - a * mx
        if np.abs(a * a64 + b - b64).max() <= 1e-5 * max(1e-12, np.abs(b64).max()):
            return a, b
    return None
