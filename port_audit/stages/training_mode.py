"""Stage 4: what is random or different in training: dropout, batch statistics."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from keras import ops

from port_audit.causes import advice
from port_audit.changes import Change, ahead_of, calling, prove, setting
from port_audit.distances import EPS, aligned, distance, largest
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.forced import Match
from port_audit.ledger.entries import PORT
from port_audit.nets import keras_net, kinds, torch_net
from port_audit.pair import Pair
from port_audit.stages.handed import Agreement


def compare(pair: Pair, outputs: Agreement) -> Stage:
    """Compare dropout by its place and rate, and batch statistics by how they move.

    Args:
        pair: Both sides.
        outputs: What is known of the outputs in inference.
    """
    findings = [*_dropout(pair, outputs), *_statistics(pair), *_recurrent_dropout(pair)]
    count = sum(match.unit.kind == "batch norm" for match in pair.matches)
    events = [event for unit in pair.trace.units for event in unit.before] + pair.trace.after
    drops = sum(event.name == "dropout" for event in events)
    others = [layer.name for layer in pair.keras.random if not isinstance(layer, keras_net.DROPOUT)]
    notes = (f"random and not compared: {', '.join(others)}",) if others else ()
    _settle(pair, others)
    compared = f"dropout ({drops} in PyTorch), batch statistics ({count} layers)"
    return Stage("training mode", compared, None, None, tuple(findings), notes)


def _settle(pair, random: Sequence[str]) -> None:
    """Settle what acts in training mode, but for what is random and not compared."""
    for name in random:
        pair.ledger.reopen(f"layers.{name}", side=PORT)
    pair.ledger.settle("training mode")


def _dropout(pair, outputs) -> Iterator[Finding]:
    with pair.torch.unmoved():
        pair.torch.train_with_marks(pair.torch_inputs)
        trace = pair.torch.run(pair.torch_inputs, mark=True)

    def divergence() -> float:
        forced = pair.force(trace, training=True, mark=True)
        ratios = [match.reach / match.reach_tolerance for match in forced.matches]
        theirs = torch_net.arrays(trace.output)
        if outputs.ends or len(theirs) != len(forced.outputs):
            return max(ratios, default=0.0)
        tolerance = 64 * EPS * max((largest(a) for a in theirs), default=1.0)
        return max(
            [*ratios, *(aligned(a, b)[1] / tolerance for a, b in zip(theirs, forced.outputs))]
        )

    if not outputs.settled:
        yield from _by_rates(pair, trace)
        return
    size = divergence()
    if size <= 1:
        return
    for changes in _dropout_changes(pair, trace):
        proved = prove(changes, divergence, 1.0)
        if proved:
            yield from (change.finding(None, None) for change in _placed(proved))
            return
    yield Finding("training mode", UNEXPLAINED, "outputs differ in training mode", None, size, 1.0)


def _gaps(pair, trace) -> Iterator[tuple[Match | None, list, list]]:
    """Return for each gap the match behind it, dropouts of PyTorch that are on, and Keras's."""
    forced = pair.force(trace, training=True, mark=True)

    def dropping(events):
        return [event for event in events if event.name == "dropout" and event.options["on"]]

    def layers(plain):
        return [layer for layer in plain if isinstance(layer, keras_net.DROPOUT)]

    for match in forced.matches:
        yield match, dropping(match.unit.before), layers(match.plain)
    yield None, dropping(trace.after), layers(forced.plain)


def _by_rates(pair, trace) -> Iterator[Finding]:
    """Where outputs differ anyway, only compare the lists of rates."""
    theirs, ours = [], []
    for _, events, layers in _gaps(pair, trace):
        theirs += [event.options["rate"] for event in events]
        ours += [float(layer.rate) for layer in layers]
    if theirs != ours:
        yield Finding(
            "dropout", UNEXPLAINED, f"rates are {ours}, in PyTorch {theirs}; behind a divergence"
        )


def _dropout_changes(pair, trace) -> Iterator[list[Change]]:
    gaps = list(_gaps(pair, trace))
    for last_in_gap in (False, True):
        changes = []
        for match, events, layers in gaps:
            for event, layer in zip(events, layers):
                if last_in_gap and match is not None:
                    changes += [_without(layer, "dropout place"), _inserted(match, event)]
                else:
                    changes += _as_theirs(event, layer)
            changes += [_without(layer, "extra dropout") for layer in layers[len(events) :]]
            if match is not None:
                changes += [_inserted(match, event) for event in events[len(layers) :]]
        yield changes


def _as_theirs(event, layer) -> Iterator[Change]:
    rate, dimensions = event.options["rate"], event.options["dimensions"]
    if abs(float(layer.rate) - rate) > 1e-9:
        yield Change(
            layer.name,
            "dropout rate",
            f"the rate is {float(layer.rate):g}, PyTorch's is {rate:g}",
            f"{type(layer).__name__}({rate:g})",
            setting(layer, rate=rate),
        )
    plain = not type(layer).__name__.startswith("Spatial")
    if plain != (dimensions == 0):
        kind = f"SpatialDropout{dimensions}D" if dimensions else "Dropout"
        yield Change(
            layer.name,
            "dropout kind",
            f"{type(layer).__name__} drops {'single values' if plain else 'whole channels'}, "
            f"PyTorch {'whole channels' if plain else 'single values'}",
            f"{kind}({rate:g})",
            setting(layer, audited_dimensions=dimensions),
        )


def _without(layer, name) -> Change:
    return Change(
        layer.name,
        name,
        f"{type(layer).__name__}({float(layer.rate):g}) is at a place where PyTorch has none",
        f"leave {layer.name} out",
        setting(layer, rate=0.0),
    )


def _inserted(match, event) -> Change:
    factor = torch_net.marking(event.options["rate"], event.options["dimensions"])
    rate = event.options["rate"]
    return Change(
        f"before {match.layer.name}",
        "missing dropout",
        f"PyTorch drops {rate:g} here, the port does not",
        f"Dropout({rate:g}) before {match.layer.name}",
        ahead_of(match.layer, lambda x: x * factor),
    )


def _placed(proved: Sequence[Change]) -> list[Change]:
    """Join a dropout too many and one too few into one at the wrong place."""
    extra = [c for c in proved if c.name in ("extra dropout", "dropout place")]
    missing = [c for c in proved if c.name == "missing dropout"]
    joined = []
    for one, other in zip(extra, missing):
        joined.append(
            Change(
                one.where,
                "dropout place",
                f"{one.cause}; {other.cause[0].lower()}{other.cause[1:]} ({other.where})",
                f"{one.write}, {other.write}",
                one.apply,
            )
        )
    count = min(len(extra), len(missing))
    used = {id(c) for c in (*extra[:count], *missing[:count])}
    return [c for c in proved if id(c) not in used] + joined


def _recurrent_dropout(pair) -> Iterator[Finding]:
    for match in pair.matches:
        if match.unit.kind not in kinds.RECURRENT:
            continue
        for option in ("dropout", "recurrent_dropout"):
            rate = float(getattr(match.layer, option, 0) or 0)
            if rate:
                yield Finding(
                    match.where,
                    "recurrent dropout",
                    f"{option}={rate:g} drops within the layer; PyTorch's only between layers",
                    f"no {option}; Dropout between the layers where PyTorch has it",
                )


def _statistics(pair) -> Iterator[Finding]:
    with pair.torch.unmoved():
        pair.torch.train_without_chance()
        trace = pair.torch.run(pair.torch_inputs)
        forced = pair.force(trace, training=True)
    found: dict[str, list] = {}
    for match in forced.matches:
        if match.unit.kind != "batch norm":
            continue
        if match.error > match.tolerance:
            frozen = not match.layer.trainable
            found.setdefault("frozen batch norm" if frozen else UNEXPLAINED, []).append(
                Finding(
                    match.where,
                    "frozen batch norm" if frozen else UNEXPLAINED,
                    "in training it uses its running statistics, PyTorch's the batch's"
                    if frozen
                    else "in training mode the outputs differ",
                    f"{match.layer.name}.trainable = True" if frozen else None,
                    match.error,
                    match.tolerance,
                )
            )
            continue
        for finding in _moved(match):
            found.setdefault(finding.name, []).append(finding)
    for same in found.values():
        first = same[0]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        yield Finding(
            first.where + more, first.name, first.cause, first.write, first.size, first.tolerance
        )


def _moved(match: Match) -> list[Finding]:
    """Compare how running statistics move in one step."""
    unit, layer = match.unit, match.acting
    if not unit.module.track_running_stats:
        return []
    with torch.no_grad(), torch_net.in_float64(unit.module) as module:
        module.running_mean.zero_()
        module.running_var.zero_()
        module.train()
        module(torch.from_numpy(unit.input).double())
        expected = [torch_net.array(module.running_mean), torch_net.array(module.running_var)]
    inputs = ops.convert_to_tensor(match.order(unit.input))
    variables = [layer.moving_mean, layer.moving_variance]

    def divergence() -> float:
        for variable in variables:
            variable.assign(np.zeros(variable.shape, "float32"))
        layer.call(inputs, training=True)
        ours = [ops.convert_to_numpy(variable) for variable in variables]
        scale = max(largest(expected[0]), largest(expected[1]) ** 0.5, 1e-12)
        means = distance(expected[0], ours[0]) / scale
        return max(means, distance(expected[1], ours[1]) / (largest(expected[1]) or 1.0))

    n = unit.input.size // unit.input.shape[1]
    momentum = 1 - (unit.module.momentum if unit.module.momentum is not None else 1.0)

    def unbiased(own, x, args, kwargs):
        old = ops.convert_to_numpy(layer.moving_variance)
        outputs = own(x, *args, **kwargs)
        new = ops.convert_to_numpy(layer.moving_variance)
        layer.moving_variance.assign(new + (new - layer.momentum * old) / (n - 1))
        return outputs

    changes = []
    if abs(layer.momentum - momentum) > 1e-9:
        changes.append(
            Change(
                match.where,
                "momentum",
                f"running statistics keep {layer.momentum:g} of their old value a step, "
                f"PyTorch's {momentum:g}",
                f"BatchNormalization(momentum={momentum:g})",
                setting(layer, momentum=momentum),
            )
        )
    changes.append(
        Change(
            match.where,
            "running variance",
            f"the running variance is biased; PyTorch's is n / (n - 1) times that, n = {n}",
            advice.batch_norm(),
            calling(layer, unbiased),
        )
    )
    size, tolerance = divergence(), 256 * EPS  # a variance loses some digits
    if size <= tolerance:
        return []
    alternatives = [*([change] for change in changes), changes]
    proved = next(filter(None, (prove(a, divergence, tolerance) for a in alternatives)), [])
    if not proved:
        text = "running statistics move otherwise"
        return [Finding(match.where, UNEXPLAINED, text, None, size, tolerance)]
    return [change.finding(size, tolerance) for change in proved]
