"""Stage 2: the outputs of every layer in inference, with PyTorch's weights."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import torch
from keras import ops

from port_audit.causes import gaps
from port_audit.causes import layers as layer_causes
from port_audit.changes import Change, ahead_of, prove
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.forced import EPS, Match, distance, largest
from port_audit.nets import keras_net, orders, torch_net
from port_audit.pair import Pair
from port_audit.samples import call

PROBABILITIES = ("softmax", "sigmoid", "log_softmax")


def compare(pair: Pair) -> Stage:
    """Compare layer by layer, undo what is proved, go on behind it; then run it as a whole."""
    findings: list[Finding] = []
    seen: set[tuple] = set()
    while (found := _first(pair, seen)) is not None:
        findings += found
    findings += _outputs(pair)
    size, tolerance = _whole(pair)
    if not size <= tolerance and not pair.unsettled:
        pair.unsettled = True
        findings.append(
            Finding(
                "outputs",
                UNEXPLAINED,
                "every layer agrees on its own, the whole model does not",
                None,
                size,
                tolerance,
            )
        )
    if any(match.misfits for match in pair.matches):
        pair.unsettled = True
    notes = _notes(pair)
    compared = f"{len(pair.forced.matches)} layers and the outputs"
    return Stage("outputs", compared, size, tolerance, tuple(findings), notes)


def _first(pair, seen) -> list[Finding] | None:
    """Return what is found at the first divergence not yet seen, or None."""
    for index, match in enumerate(pair.forced.matches):
        key = (id(match.layer), match.unit.name)
        if match.order.faulty and (*key, "axes") not in seen:
            seen.add((*key, "axes"))
            return _axes(pair, match)
        if match.reach > match.reach_tolerance and (*key, "reach") not in seen:
            seen.add((*key, "reach"))
            return _reach(pair, index)
        if match.error > match.tolerance and (*key, "error") not in seen:
            seen.add((*key, "error"))
            return _error(pair, match)
    return None


def _error(pair, match: Match) -> list[Finding]:
    proved = prove(layer_causes.changes(match), match.again, match.tolerance)
    if not proved:
        pair.unsettled = True
        return [
            Finding(
                match.where,
                UNEXPLAINED,
                "given the same inputs and weights, the outputs differ",
                None,
                match.error,
                match.tolerance,
            )
        ]
    return _undo(pair, proved, match.error, match.tolerance)


def _undo(pair, proved: list[Change], size, tolerance) -> list[Finding]:
    pair.undo(proved)
    pair.reforce()
    return [change.finding(size, tolerance) for change in proved]


def _reach(pair, index: int) -> list[Finding]:
    match = pair.forced.matches[index]
    for alternative in gaps.changes(pair, gaps.before(match)):
        proved = prove(alternative, lambda: _reach_of(pair, match), match.reach_tolerance)
        if proved:
            return _undo(pair, proved, match.reach, match.reach_tolerance)
    pair.unsettled = True
    return [
        Finding(
            f"before {match.where}",
            UNEXPLAINED,
            "what reaches the layer differs"
            if math.isfinite(match.reach)
            else f"shapes differ: {match.inputs.shape} reaches the layer in Keras, "
            f"{match.unit.input.shape} in PyTorch",
            None,
            match.reach,
            match.reach_tolerance,
        )
    ]


def _reach_of(pair, match) -> float:
    """Return how far the inputs of a layer are from PyTorch's now."""
    for now in pair.force().matches:
        if now.layer is match.layer and now.unit.name == match.unit.name:
            return now.reach if not now.order.faulty else math.inf
    return math.inf


def _axes(pair, match: Match) -> list[Finding]:
    axes = match.order.axes
    right = orders.default(match.layer, match.unit)
    inverse = np.argsort(axes)
    composed = [int(inverse[axis]) for axis in right.axes or range(len(axes))]
    change = Change(
        f"before {match.where}",
        "axes",
        f"axes are swapped: what reaches the layer is PyTorch's with the axes {axes}",
        f"Permute({tuple(composed[1:])}) before {match.layer.name}, or no Permute at all",
        ahead_of(match.layer, lambda x: ops.transpose(x, composed)),
    )
    proved = prove([change], lambda: _reach_of(pair, match), match.reach_tolerance)
    expected = replace(right, pads=match.order.pads)(match.unit.input)
    size = distance(expected, match.inputs)
    if not proved:
        pair.unsettled = True
        return [Finding(change.where, UNEXPLAINED, "axes are swapped", None, size)]
    return _undo(pair, proved, size, match.reach_tolerance)


def _outputs(pair) -> list[Finding]:
    """Compare the outputs behind the last layer with weights."""
    gap = gaps.last(pair)
    size, tolerance = _tail(pair)
    if size <= tolerance or pair.forced.stopped:
        return []
    for alternative in gaps.changes(pair, gap):
        proved = prove(alternative, lambda: _tail(pair)[0], tolerance)
        ends = [change for change in proved if _makes_probabilities(pair, change)]
        if ends:  # it belongs to the loss, which says whether that is right
            pair.ends = ends
            proved = [change for change in proved if change not in ends]
            pair.undo(proved)
            pair.reforce()
            return [change.finding(size, tolerance) for change in proved]
        if proved:
            return _undo(pair, proved, size, tolerance)
    if pair.unsettled and not math.isfinite(size):
        return []  # a missing layer, or what stands before, is reason enough
    pair.unsettled = True
    return [Finding("outputs", UNEXPLAINED, "the outputs differ", None, size, tolerance)]


def _makes_probabilities(pair, change) -> bool:
    names = [event.name for event in pair.trace.after]
    return change.name == "activation" and (
        any(name in PROBABILITIES for name in names)
        or any(f"activation is {name}" in change.cause.lower() for name in PROBABILITIES)
    )


def _tail(pair) -> tuple[float, float]:
    theirs = torch_net.arrays(pair.trace.output)
    ours = pair.force().outputs
    if len(theirs) != len(ours):
        return math.inf, 0.0
    size = max((aligned(a, b)[1] for a, b in zip(theirs, ours)), default=0.0)
    return size, 64 * EPS * max((largest(a) for a in theirs), default=1.0)


def aligned(theirs: np.ndarray, ours: np.ndarray) -> tuple[np.ndarray, float]:
    """Return PyTorch's outputs as they lie in Keras, and how far the two are apart."""
    size = distance(theirs, ours)
    if theirs.ndim > 2:
        moved = np.moveaxis(theirs, 1, -1)
        if distance(moved, ours) < size:
            return moved, distance(moved, ours)
    return theirs, size


def _whole(pair) -> tuple[float, float]:
    """Return how far the outputs are apart when the model runs as a whole, and the tolerance.

    Rounding: how far PyTorch's own outputs are from those in float64.
    """
    if pair.forced.stopped:
        return math.inf, 0.0
    pair.carry()
    with contextlib.ExitStack() as stack:
        for change in pair.ends:
            stack.enter_context(change.apply())
        stack.enter_context(pair.keras.watched())
        ours = keras_net.arrays(pair.keras.run(pair.keras_inputs))
    theirs = torch_net.arrays(pair.trace.output)
    if len(theirs) != len(ours):
        return math.inf, 0.0
    size = max((aligned(a, b)[1] for a, b in zip(theirs, ours)), default=0.0)
    with torch.no_grad(), torch_net.in_float64(pair.torch.module) as module:
        exact = torch_net.arrays(call(module, torch_net.doubled(pair.torch_inputs)))
    rounding = max((distance(a, b) for a, b in zip(theirs, exact)), default=0.0)
    top = max((largest(a) for a in theirs), default=1.0)
    return size, 16 * max(rounding, 4 * EPS * top)


def _notes(pair) -> tuple[str, ...]:
    notes = []
    flattened = [m.layer.name for m in pair.matches if m.order.name == "features"]
    if flattened:
        notes.append(
            f"features reach {', '.join(flattened)} in another order (channels last); weights "
            "moved from PyTorch need their rows permuted"
        )
    return tuple(notes)
