"""Stage 1: layers in their order, shapes of their weights, and what is frozen."""

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from port_audit.changes import Change, calling, setting
from port_audit.courses import is_plateau
from port_audit.findings import TRAINING, Finding, Stage
from port_audit.forced import Match
from port_audit.ledger.entries import ORIGINAL, PORT
from port_audit.nets import blocks, kinds
from port_audit.nets.chance import WithoutChance, seeded
from port_audit.nets.held import Held
from port_audit.nets.torch_net import Unit
from port_audit.pair import Pair
from port_audit.samples import call, count, take

WARM_UP = 30  # steps of a scheduler within which a rate of zero may rise
LOOP = 4  # batches after which an own loop has trained all that it trains
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
    parameters = pair.torch.parameters()

    def own(unit: Unit) -> set[int]:
        return {id(parameters[name]) for name in unit.names.values() if name in parameters}

    known = set().union(*(own(match.unit) for match in pair.forced.matches))
    for unit in pair.trace.units:
        if own(unit) and own(unit) <= known:  # tied: the port may use a matched layer's weight
            continue
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
    """What one side has weights for and the other has not.

    If both have, the ledger says so; but two numbers of parameters that differ are a difference.
    """
    open_names = pair.without_layer()
    raw = [name for name in open_names if _made_of(pair, name)]
    for name in raw:
        pair.ledger.settle("layers", f"parameters.{name}", side=ORIGINAL)
    rest = [name for name in open_names if name not in raw]
    for holder in dict.fromkeys(_made_of(pair, name) for name in raw):
        yield Finding(
            holder,
            "parametrization",
            "PyTorch trains what its weight is made of; the port trains the weight itself",
            None,
            severity=TRAINING,
        )
    names = [layer.name for layer in pair.unknown]
    if rest and not names:
        holders = dict.fromkeys(name.rpartition(".")[0] or name for name in rest)
        yield Finding(
            ", ".join(list(holders)[:3]),
            "missing layer",
            "has parameters, but the port has no weights for them",
        )
    if names and not rest:
        yield Finding(
            ", ".join(names[:3]),
            "extra layer",
            "has weights, but PyTorch has no parameters for them",
        )
    if names and rest:
        parameters = pair.torch.parameters()
        theirs = sum(parameters[name].numel() for name in rest)
        ours = sum(math.prod(v.shape) for layer in pair.unknown for v in blocks.weights_of(layer))
        if theirs != ours:
            yield Finding(
                ", ".join(names[:3]),
                "parameters",
                f"{ours:,} numbers to train, PyTorch's {', '.join(rest[:3])}: {theirs:,}",
            )


def _made_of(pair: Pair, name: str) -> str | None:
    """Return the module whose weight is made of a parameter, if there is one."""
    for holder, part in pair.torch.module.named_modules():
        if kinds.torch_kind(part) is not None and kinds.made_weights(part):
            own = name.removeprefix(f"{holder}." if holder else "")
            if own != name or not holder:
                return holder or "model"
    return None


def _leave_out(pair: Pair, layers: Sequence[keras.layers.Layer]) -> None:
    """Let layers that PyTorch lacks pass on what they get."""
    changes = [
        Change(layer.name, "extra layer", "", "", calling(layer, lambda own, x, args, kwargs: x))
        for layer in layers
    ]
    if changes:
        pair.left_out = True
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
    """Compare what each side trains, weight by weight; a layer may be frozen in part."""
    parameters = pair.torch.parameters()
    trained, still = _trained(pair, parameters), _still(pair, parameters)
    trainable = {id(variable) for variable in pair.keras.model.trainable_variables}
    for each in pair.loose:
        pair.ledger.settle("layers", f"layers.{each.layer.name}.trainable", side=PORT)
        for part in each.layer._flatten_layers(include_self=False):
            pair.ledger.settle("layers", f"layers.{part.name}.trainable", side=PORT)
        for name in each.names:
            pair.ledger.settle("layers", f"parameters.{name}", side=ORIGINAL)
        moves: Any = any(name in trained for name in each.names)
        frozen = id(each.variable) not in trainable
        if moves and frozen and still.issuperset(each.names):
            for name in each.names:
                parameters[name].requires_grad_(False)  # no step is another one
        elif moves == frozen:
            state = ("frozen in PyTorch, trained", "trained in PyTorch, frozen")[moves]
            write = f"{each.variable.path}: trainable = {moves}"
            apply = partial(_moving, each.variable, moves)
            change = Change(each.name, "frozen", f"{state} in the port", write, apply)
            pair.undo([change])
            yield replace(change.finding(None, None), severity=TRAINING)
    for match in pair.matches:
        roles = [r for r in kinds.variables(match.layer) if r not in kinds.STATISTICS]
        weights = {role: _parameters(match, role, parameters) for role in roles}
        pair.ledger.settle("layers", f"layers.{match.layer.name}.trainable", side=PORT)
        for name in match.unit.names.values():
            pair.ledger.settle("layers", f"parameters.{name}", side=ORIGINAL)
        moves = {
            role: any(name in trained for name in found) for role, found in weights.items() if found
        }
        own = {role: id(kinds.variables(match.layer)[role]) in trainable for role in moves}
        for role, found in weights.items():
            if found and not own[role] and still.issuperset(found):
                moves[role] = False
                for name in found:
                    parameters[name].requires_grad_(False)  # no step is another one
        different = {role: wanted for role, wanted in moves.items() if wanted != own[role]}
        if not different:
            continue
        wanted = next(iter(different.values()))
        whole = len(set(moves.values())) == 1
        state = ("frozen in PyTorch, trained", "trained in PyTorch, frozen")[wanted]
        name = match.layer.name
        change = Change(
            match.where if whole else f"{match.where} ({', '.join(different)})",
            "frozen",
            f"{state} in the port",
            f"{name}.trainable = {wanted}" if whole else _frozen_in_part(match.layer, moves),
            partial(_trainable, match.layer, moves),
        )
        pair.undo([change])
        yield replace(change.finding(None, None), severity=TRAINING)


def _parameters(match: Match, role: str, parameters: Mapping[str, nn.Parameter]) -> list[str]:
    return [n for n in kinds.stands_for(match.unit.names, role) if n in parameters]


def _trained(pair: Pair, parameters: Mapping[str, nn.Parameter]) -> set[str]:
    """Return names of the parameters that PyTorch trains: its optimizer has them, at some rate."""
    wanted = {name for name, parameter in parameters.items() if parameter.requires_grad}
    optimizer, scheduler = pair.torch_training()
    if optimizer is None:
        return wanted
    moved: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer has made no step
        for _ in range(WARM_UP):
            for group in optimizer.param_groups:
                moved.update(map(id, group["params"] if float(group["lr"]) else ()))
            if scheduler is None or is_plateau(scheduler):
                break
            with contextlib.suppress(ValueError):  # it has come to its end
                scheduler.step()
    return {name for name in wanted if id(parameters[name]) in moved}


def _still(pair: Pair, parameters: Mapping[str, nn.Parameter]) -> set[str]:
    """Return names of those that get no gradient, as what runs under `no_grad` does."""
    if pair.theirs.train_step is not None or pair.theirs.train_epoch is not None:
        return _still_in_loop(pair)
    if pair.theirs.loss is None:
        return set()
    able = {name: p for name, p in parameters.items() if p.requires_grad}
    y = take(pair.y, slice(0, pair.samples))
    with pair.torch.unmoved(), seeded(), WithoutChance():
        pair.torch.module.train()
        outputs = call(pair.torch.module, pair.torch_inputs)
        first = outputs if isinstance(outputs, torch.Tensor) else None
        try:
            loss = pair.theirs.loss(outputs, pair.torch_labels(y, first))
            found = torch.autograd.grad(loss.sum(), list(able.values()), allow_unused=True)
        except Exception:  # the stage of the loss says so
            return set()
    return {name for name, gradient in zip(able, found) if gradient is None}


def _still_in_loop(pair: Pair) -> set[str]:
    """Return names of those that the original's own loop gives no gradient to."""
    module = copy.deepcopy(pair.torch.module)
    module.train()
    moved: set[str] = set()
    named = module.named_parameters(remove_duplicate=False)
    able = {name: p for name, p in named if p.requires_grad}
    for name, parameter in able.items():
        parameter.register_hook(lambda gradient, name=name: moved.add(name))
    optimizer = pair.theirs.optimizer(module.parameters())
    loop = {name: getattr(pair.theirs, name) for name in ("train_step", "train_epoch")}
    rows = np.arange(min(pair.samples, count(pair.x)))
    outputs = pair.trace.output if isinstance(pair.trace.output, torch.Tensor) else None
    batch = pair.torch_batch(rows), pair.torch_labels(take(pair.y, rows), outputs)
    with Held(loop).kept(), seeded(), WithoutChance():
        try:
            if pair.theirs.train_step is not None:
                for _ in range(LOOP):
                    pair.theirs.train_step(module, batch, optimizer)
            else:
                pair.theirs.train_epoch(module, [batch] * LOOP, optimizer)
        except Exception:  # the stages that follow say so
            return set()
    return set(able) - moved


def _frozen_in_part(layer: keras.layers.Layer, moves: Mapping[str, bool]) -> str:
    lines = [f"{layer.name}.{role}.trainable = {moved}" for role, moved in moves.items()]
    return "; ".join(lines) + ", once the layer is built"


@contextlib.contextmanager
def _moving(variable: keras.Variable, moved: bool) -> Iterator[None]:
    """Within this context, a weight is trained, or is not."""
    old, variable.trainable = variable.trainable, moved
    try:
        yield
    finally:
        variable.trainable = old


@contextlib.contextmanager
def _trainable(layer: keras.layers.Layer, moves: dict[str, bool]) -> Iterator[None]:
    """Within this context, only those weights of a layer are trained."""
    variables = kinds.variables(layer)
    old = layer.trainable, {role: variables[role].trainable for role in moves}
    layer.trainable = any(moves.values())
    for role, moved in moves.items():
        variables[role].trainable = moved
    try:
        yield
    finally:
        layer.trainable = old[0]
        for role, moved in old[1].items():
            variables[role].trainable = moved
