"""Stage 2: the outputs of every layer in inference, with PyTorch's weights."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from keras import ops

from port_audit.causes import gaps, unseen
from port_audit.causes import layers as layer_causes
from port_audit.causes.ends import PROBABILITIES
from port_audit.changes import Change, ahead_of, applied, prove
from port_audit.distances import EPS, aligned, distance, largest
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.forced import Match
from port_audit.ledger.entries import ORIGINAL, PORT
from port_audit.nets import chance, keras_net, orders, torch_net
from port_audit.pair import Pair
from port_audit.samples import call
from port_audit.stages.handed import Agreement


def compare(pair: Pair, complete: bool) -> tuple[Stage, Agreement]:
    """Compare layer by layer, undo what is proved, go on behind it; then run it as a whole.

    Args:
        pair: Both sides.
        complete: Whether the port has a layer for each of PyTorch's.
    """
    findings: list[Finding] = []

    def settled() -> bool:
        return complete and not pair.unknown and all(finding.explained for finding in findings)

    seen: set[tuple] = set()
    while (found := _first(pair, seen)) is not None:
        findings += found
    found, ends = _outputs(pair, settled())
    findings += found
    if settled():
        findings += _wide(pair)
    size, tolerance = _whole(pair, ends)
    if not size <= tolerance and settled():
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
    fits = not any(match.misfits for match in pair.matches)
    compared = f"{len(pair.forced.matches)} layers and the outputs"
    pair.keras.last.clear()  # no cause is looked for in it behind this stage
    stage = Stage("outputs", compared, size, tolerance, tuple(findings), _notes(pair))
    if settled():
        pair.ledger.settle("outputs")
    else:
        _settle_parts(pair)
    pair.ledger.reopen(*unseen.unmasked(pair), side=PORT)
    return stage, Agreement(settled() and fits, tuple(ends))


def _settle_parts(pair: Pair) -> None:
    """Settle what agrees on its own, though the whole does not."""
    for match in pair.matches:
        if match.error <= match.tolerance:
            pair.ledger.settle("outputs", f"layers.{match.layer.name}", side=PORT)
            holder = match.unit.name.partition("_l0")[0]
            pair.ledger.settle("outputs", f"modules.{holder}", side=ORIGINAL)
        if match.reach <= match.reach_tolerance:
            for layer in match.plain:
                pair.ledger.settle("outputs", f"layers.{layer.name}", side=PORT)


def _first(pair: Pair, seen: set[tuple]) -> list[Finding] | None:
    """Return what is found at the first divergence not yet seen, or None."""
    for index, match in enumerate(pair.forced.matches):
        key = (id(match.layer), match.unit.name)
        if match.order.faulty and (*key, "axes") not in seen:
            seen.add((*key, "axes"))
            return _axes(pair, match)
        if match.reach > match.reach_tolerance and (*key, "reach") not in seen:
            seen.add((*key, "reach"))
            if not pair.is_unknown(match.plain):  # else the ledger says that it is left out
                return _reach(pair, index)
        if match.error > match.tolerance and (*key, "error") not in seen:
            seen.add((*key, "error"))
            return _error(pair, match)
    return None


def _wide(pair: Pair) -> list[Finding]:
    """Compare once more with large values, which reach where a ReLU6 ends."""
    findings: list[Finding] = []
    with pair.wide() as finite:
        seen: set[tuple] = set()
        while finite and (found := _first(pair, seen)) is not None:
            findings += found
        if finite and not findings:
            findings += _outputs(pair, True)[0]
    return findings


def _error(pair: Pair, match: Match) -> list[Finding]:
    proved = prove(layer_causes.changes(match), match.again, match.tolerance)
    if not proved:
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


def _undo(pair: Pair, proved: list[Change], size: float, tolerance: float) -> list[Finding]:
    pair.undo(proved)
    pair.reforce()
    return [change.finding(size, tolerance) for change in proved]


def _reach(pair: Pair, index: int) -> list[Finding]:
    match = pair.forced.matches[index]
    for alternative in gaps.changes(pair, gaps.before(match)):
        proved = prove(alternative, lambda: _reach_of(pair, match), match.reach_tolerance)
        if proved:
            return _undo(pair, proved, match.reach, match.reach_tolerance)
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


def _reach_of(pair: Pair, match: Match) -> float:
    """Return how far the inputs of a layer are from PyTorch's now."""
    for now in pair.force().matches:
        if now.layer is match.layer and now.unit.name == match.unit.name:
            return now.reach if not now.order.faulty else math.inf
    return math.inf


def _axes(pair: Pair, match: Match) -> list[Finding]:
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
    expected = replace(right, pads=match.order.pads, filled=match.order.filled)(match.unit.input)
    size = distance(expected, match.inputs)
    if not proved:
        return [Finding(change.where, UNEXPLAINED, "axes are swapped", None, size)]
    return _undo(pair, proved, size, match.reach_tolerance)


def _outputs(pair: Pair, settled: bool) -> tuple[list[Finding], list[Change]]:
    """Compare the outputs behind the last layer with weights.

    Returns:
        What is found, and the changes that belong to the loss, which says whether they are right.
    """
    gap = gaps.last(pair)
    size, tolerance = _tail(pair)
    if size <= tolerance or pair.forced.stopped or pair.is_unknown(gap.plain):
        return [], []
    for alternative in gaps.changes(pair, gap):
        proved = prove(alternative, lambda: _tail(pair)[0], tolerance)
        ends = [change for change in proved if _makes_probabilities(pair, change)]
        if proved:
            mended = [change for change in proved if change not in ends]
            return _undo(pair, mended, size, tolerance), ends
    if not settled and not math.isfinite(size):
        return [], []  # a missing layer, or what stands before, is reason enough
    return [Finding("outputs", UNEXPLAINED, "the outputs differ", None, size, tolerance)], []


def _makes_probabilities(pair: Pair, change: Change) -> bool:
    names = [event.name for event in pair.trace.after]
    return change.name == "activation" and (
        any(name in PROBABILITIES for name in names)
        or any(f"activation is {name}" in change.cause.lower() for name in PROBABILITIES)
    )


def _tail(pair: Pair) -> tuple[float, float]:
    theirs = torch_net.arrays(pair.trace.output)
    ours = pair.force().outputs
    if len(theirs) != len(ours):
        return math.inf, 0.0
    size = max((aligned(a, b)[1] for a, b in zip(theirs, ours)), default=0.0)
    tolerance = 64 * EPS * max((largest(a) for a in theirs), default=1.0)
    if pair.loose and size > tolerance:  # rounding adds up, as no layer gets PyTorch's inputs
        tolerance = max(tolerance, 16 * _rounding(pair))
    return size, tolerance


def _rounding(pair: Pair) -> float:
    """Return how far PyTorch's outputs are from those in float64."""
    theirs, quiet = torch_net.arrays(pair.trace.output), chance.WithoutChance()
    with torch.no_grad(), quiet, torch_net.in_float64(pair.torch.module) as module:
        exact = torch_net.arrays(call(module, torch_net.doubled(pair.torch_inputs)))
    return max((distance(a, b) for a, b in zip(theirs, exact)), default=0.0)


def _whole(pair: Pair, ends: Sequence[Change]) -> tuple[float, float]:
    """Return how far the outputs are apart when the model runs as a whole, and the tolerance."""
    if pair.forced.stopped or not pair.runs():
        return math.inf, 0.0
    pair.carry()
    with applied(ends), pair.keras.watched():
        ours = keras_net.arrays(pair.keras.run(pair.keras_inputs))
    theirs = torch_net.arrays(pair.trace.output)
    if len(theirs) != len(ours):
        return math.inf, 0.0
    size = max((aligned(a, b)[1] for a, b in zip(theirs, ours)), default=0.0)
    top = max((largest(a) for a in theirs), default=1.0)
    return size, 16 * max(_rounding(pair), 4 * EPS * top)


def _notes(pair: Pair) -> tuple[str, ...]:
    notes = []
    flattened = [m.layer.name for m in pair.matches if m.order.name == "features"]
    if flattened:
        notes.append(
            f"features reach {', '.join(flattened)} in another order (channels last); weights "
            "moved from PyTorch need their rows permuted"
        )
    return tuple(notes)
