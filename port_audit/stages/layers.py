"""Stage 1: layers in their order, shapes of their weights, and what is frozen."""

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence

import keras

from port_audit.changes import Change, calling, setting
from port_audit.findings import Finding, Stage
from port_audit.forced import Match
from port_audit.nets import kinds
from port_audit.pair import Pair

OPTIONS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}


def compare(pair: Pair) -> tuple[Stage, bool]:
    """Match the layers of both models.

    Returns:
        The stage, and whether the port has a layer for each of PyTorch's.
    """
    matches = pair.matches
    findings = [*_unmatched(pair), *_unknown(pair)]
    for match in matches:
        findings += _misfits(match)
    findings += _frozen(pair)
    complete = not any(finding.name == "missing layer" for finding in findings)
    _leave_out(pair, _extra(pair))
    _take_their_forms(pair)
    theirs = sum(p.numel() for p in pair.torch.module.parameters())
    ours = _count(pair)
    notes = () if theirs == ours else (f"parameters: {theirs:,} in PyTorch, {ours:,} in Keras",)
    compared = f"{len(matches)} layers, {theirs:,} parameters"
    return Stage("layers", compared, None, None, tuple(findings), notes), complete


def _count(pair: Pair) -> int:
    """Return the number of parameters in Keras, as PyTorch counts: without statistics."""
    return sum(
        math.prod(variable.shape)
        for variable in pair.keras.model.weights
        if variable.path.rpartition("/")[2] not in (*kinds.STATISTICS, "seed_generator_state")
    )


def _unmatched(pair: Pair) -> Iterator[Finding]:
    used = {match.unit.name for match in pair.forced.matches}
    for unit in pair.trace.units:
        if unit.name not in used:
            used.add(unit.name)
            yield Finding(
                unit.name or "model",
                "missing layer",
                f"the port has no layer for this {unit.kind}"
                + (", or its model stopped before it" if pair.forced.stopped else ""),
                f"add the {unit.kind} that stands for {unit.name}",
            )
    for layer in _extra(pair):
        yield Finding(
            layer.name,
            "extra layer",
            f"PyTorch has no layer for this {type(layer).__name__}",
            f"leave {layer.name} out",
        )


def _extra(pair: Pair) -> list:
    called = {id(match.layer) for match in pair.forced.matches}
    return [
        layer for layer in pair.keras.known if id(layer) not in called and not pair.forced.stopped
    ]


def _unknown(pair: Pair) -> Iterator[Finding]:
    known = {name for unit in pair.trace.units for name in unit.names.values()}
    rest = sorted({n.rpartition(".")[0] for n in pair.torch.parameters() if n not in known})
    if rest:
        yield Finding(
            ", ".join(rest[:3]),
            "unknown layer",
            "has parameters, but is of no kind that the audit can compare",
        )
    covered = {
        id(variable) for layer in pair.keras.known for variable in kinds.variables(layer).values()
    }
    names = sorted(
        {
            v.path.rpartition("/")[0]
            for v in pair.keras.model.trainable_weights
            if id(v) not in covered
        }
    )
    if names:
        yield Finding(
            ", ".join(names[:3]),
            "unknown layer",
            "has weights, but is of no kind that the audit can compare",
        )


def _leave_out(pair: Pair, layers: Sequence[keras.layers.Layer]) -> None:
    """Let layers that PyTorch lacks pass on what they get."""
    changes = [
        Change(layer.name, "extra layer", "", "", calling(layer, lambda own, x, args, kwargs: x))
        for layer in layers
    ]
    if changes:
        pair.undo(changes)
        pair.reforce()


def _take_their_forms(pair: Pair) -> None:
    """Let layers with PyTorch's shapes act for those that differ, so that others can be seen."""
    for _ in pair.matches:
        misfit = next((m for m in pair.matches if m.misfits and m.acting is m.layer), None)
        if misfit is None:
            return
        shape = misfit.order(misfit.unit.input).shape
        other = kinds.instead(misfit.layer, misfit.weights, shape)
        apply = setting(misfit.layer, audited_instead=other)
        pair.undo([Change(misfit.where, "shape", "", "", apply)])
        pair.reforce()


def _misfits(match: Match) -> Iterator[Finding]:
    for role, (theirs, ours) in match.misfits.items():
        option = OPTIONS.get(role)
        if theirs is None or ours is None:
            has = "only the port has" if theirs is None else "the port lacks"
            write = f"{option}={theirs is not None}" if option else None
            yield Finding(match.where, role, f"{has} a {role}", write)
            continue
        if match.unit.kind in ("linear", *kinds.RECURRENT, "prelu"):
            follows = theirs[-1] == ours[-1]  # from what reaches the layer
            write = f"{type(match.layer).__name__}({_units(match)})"
        elif match.unit.kind in kinds.CONVOLUTIONS:
            follows = theirs[:-2] == ours[:-2] and theirs[-1] == ours[-1]
            write = f"filters={theirs[-1]}, kernel_size={theirs[:-2]}"
        elif match.unit.kind in kinds.TRANSPOSED:
            follows = theirs[:-1] == ours[:-1]
            write = f"filters={theirs[-2]}, kernel_size={theirs[:-2]}"
        else:
            follows = match.unit.kind != "embedding"
            write = f"Embedding{theirs}"
        if not follows and not (role == "bias" and "kernel" in match.misfits):
            yield Finding(
                match.where, "shape", f"the {role} is {ours}, PyTorch's would be {theirs}", write
            )


def _units(match: Match) -> int:
    rows = {"lstm": 4, "gru": 3}.get(match.unit.kind, 1)
    return match.weights.get("weight", match.weights.get("weight_ih")).shape[0] // rows


def _frozen(pair: Pair) -> Iterator[Finding]:
    parameters = pair.torch.parameters()
    trainable = {id(variable) for variable in pair.keras.model.trainable_variables}
    for match in pair.matches:
        theirs = [parameters[n] for n in match.unit.names.values() if n in parameters]
        ours = [v for r, v in kinds.variables(match.layer).items() if r not in kinds.STATISTICS]
        if not theirs or not ours:
            continue
        moves = any(parameter.requires_grad for parameter in theirs)
        if moves != any(id(variable) in trainable for variable in ours):
            state = ("frozen in PyTorch, trained", "trained in PyTorch, frozen")[moves]
            write = f"{match.layer.name}.trainable = {moves}"
            change = Change(
                match.where,
                "frozen",
                f"{state} in the port",
                write,
                functools.partial(_trainable, match.layer, moves),
            )
            pair.undo([change])
            yield change.finding(None, None)


@contextlib.contextmanager
def _trainable(layer: keras.layers.Layer, value: bool) -> Iterator[None]:
    old = layer.trainable
    layer.trainable = value
    try:
        yield
    finally:
        layer.trainable = old
