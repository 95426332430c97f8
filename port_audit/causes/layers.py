"""Why a layer given the same inputs and weights puts out something else."""

from collections.abc import Callable, Iterator
from typing import Any

from keras import ops

from port_audit.causes import advice
from port_audit.causes.advice import plain
from port_audit.changes import Change, calling, setting
from port_audit.forced import Match
from port_audit.nets import kinds


def changes(match: Match) -> list[Change]:
    """Return the changes that would make a layer do what PyTorch's does."""
    found = [*_masked(match)]
    kind = match.unit.kind
    if kind in kinds.CONVOLUTIONS:
        found += _convolution(match)
    elif kind in kinds.TRANSPOSED:
        found += _transposed(match)
    elif kind in ("batch norm", "layer norm", "group norm"):
        found += _norm(match)
    elif kind in kinds.RECURRENT:
        found += _recurrent(match)
    return found


def _option(
    match: Match, name: str, option: str, ours: Any, theirs: Any, write: str | None = None
) -> Change:
    return Change(
        match.where,
        name,
        f"{option} is {plain(ours)}, PyTorch's is {plain(theirs)}",
        write or f"{type(match.acting).__name__}(..., {option}={plain(theirs)})",
        setting(match.acting, **{option: theirs}),
    )


def _masked(match: Match) -> Iterator[Change]:
    if match.masked:
        yield Change(
            match.where,
            "mask",
            "a mask from Embedding(mask_zero=True) or Masking reaches the layer; PyTorch has none",
            "Embedding(..., mask_zero=False)",
            calling(
                match.acting,
                lambda own, x, args, kwargs: own(x, *args, **(kwargs | {"mask": None})),
            ),
        )


def _convolution(match: Match) -> Iterator[Change]:
    layer, module = match.acting, match.unit.module
    if tuple(layer.strides) != module.stride:
        yield _option(match, "strides", "strides", tuple(layer.strides), module.stride)
    if tuple(layer.dilation_rate) != module.dilation:
        yield _option(
            match, "dilation", "dilation_rate", tuple(layer.dilation_rate), module.dilation
        )
    if match.order.pads:
        return
    pairs = kinds.padding(module)
    first = layer.data_format == "channels_first"
    whole = [(0, 0), (0, 0), *pairs] if first else [(0, 0), *pairs, (0, 0)]
    mode = kinds.FILLED[module.padding_mode]

    def padded(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        return own(ops.pad(x, whole, mode=mode), *args, **kwargs)

    shown = pairs[0][0] if len(set(pairs)) == 1 and pairs[0][0] == pairs[0][1] else pairs
    if any(p != (0, 0) for p in pairs):
        write = f"ZeroPadding{len(pairs)}D({shown}) before {layer.name}, with padding='valid'"
        if mode != "constant":
            write = advice.padding(layer.name, whole, mode)
    else:
        write = "padding='valid'"
    yield Change(
        match.where,
        "padding",
        f"padding is '{layer.padding}', PyTorch pads {shown} on both sides"
        + ("" if mode == "constant" else f", by '{module.padding_mode}'"),
        write,
        calling(layer, padded, padding="valid"),
    )


def _transposed(match: Match) -> Iterator[Change]:
    layer, module = match.acting, match.unit.module
    if tuple(layer.strides) != module.stride:
        yield _option(match, "strides", "strides", tuple(layer.strides), module.stride)
    expected = match.unit.output.shape[2:]
    padding = module.padding
    first = layer.data_format == "channels_first"

    def cropped(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        whole = own(x, *args, **kwargs)
        for axis, (start, length) in enumerate(zip(padding, expected)):
            index = [slice(None)] * len(whole.shape)
            index[axis + 1 + first] = slice(start, start + length)
            whole = whole[tuple(index)]
        return whole

    yield Change(
        match.where,
        "padding",
        f"padding is '{layer.padding}', PyTorch crops {plain(padding)} on both sides, "
        f"output_padding {plain(module.output_padding)}",
        f"padding='valid', then Cropping{len(padding)}D to {tuple(expected)}",
        calling(layer, cropped, padding="valid"),
    )


def _norm(match: Match) -> Iterator[Change]:
    layer, module = match.acting, match.unit.module
    if layer.epsilon != module.eps:
        yield _option(match, "epsilon", "epsilon", layer.epsilon, module.eps)
    if match.unit.kind == "layer norm":
        rank = match.unit.input.ndim
        theirs = list(range(rank - len(module.normalized_shape), rank))
        own = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        ours = [axis % rank for axis in own]
        if match.order.name == "same" and ours != theirs:
            yield _option(match, "axis", "axis", ours, theirs)
        if getattr(layer, "rms_scaling", False):
            yield _option(match, "rms_scaling", "rms_scaling", True, False)
    if match.unit.kind == "group norm" and layer.groups != kinds.groups_of(module):
        yield _option(match, "groups", "groups", layer.groups, kinds.groups_of(module))
    if match.unit.kind == "batch norm" and match.order.name in ("same", "channels last"):
        channel = match.unit.input.ndim - 1 if match.order.name == "channels last" else 1
        if layer.axis % match.unit.input.ndim != channel:
            yield _option(match, "axis", "axis", layer.axis, channel)


def _recurrent(match: Match) -> Iterator[Change]:
    layer, unit = match.acting, match.unit
    if layer.go_backwards != unit.reverse:
        yield _option(match, "direction", "go_backwards", layer.go_backwards, unit.reverse)
    for option, theirs in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        if getattr(layer.cell, option).__name__ != theirs:
            yield Change(
                match.where,
                option.replace("_", " "),
                f"{option} is {getattr(layer.cell, option).__name__}, PyTorch's is {theirs}",
                f"{type(layer).__name__}(..., {option}='{theirs}')",
                setting(layer.cell, **{option: getattr(ops, theirs)}),
            )
    if unit.kind == "gru" and not layer.reset_after:
        yield Change(
            match.where,
            "reset_after",
            "reset_after is False: the reset gate acts before the recurrent product; in "
            "PyTorch it acts after it, and has a bias of its own",
            "GRU(..., reset_after=True)",
            _reset_after(match),
        )


def _reset_after(match: Match) -> Callable:
    shape = match.order(match.unit.input).shape
    other = kinds.instead(match.layer, match.weights, shape, reset_after=True)
    for role, array in kinds.carried(other, match.weights, match.order).items():
        kinds.variables(other)[role].assign(array)
    return setting(match.layer, audited_instead=other)
