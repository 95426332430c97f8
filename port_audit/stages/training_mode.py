"""Stage 4: what is random or different in training: dropout, batch statistics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import torch
from keras import ops
from torch import nn

from port_audit.causes import advice, draws, noise
from port_audit.changes import Change, ahead_of, attributes, calling, prove, setting
from port_audit.distances import EPS, aligned, distance, largest
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.forced import Forced, Match, assign
from port_audit.ledger.entries import ORIGINAL, PORT, Entry
from port_audit.nets import keras_net, kinds, torch_net
from port_audit.nets.activations import Event
from port_audit.nets.held import OF_MODULES, Held
from port_audit.nets.torch_net import Trace
from port_audit.pair import Pair
from port_audit.stages.handed import Agreement

DROPS = {
    "values": "single values",
    "channels": "whole channels",
    "blocks": "other blocks of values",
    "alpha": "single values, as alpha dropout does",
}


def compare(pair: Pair, outputs: Agreement) -> tuple[Stage, bool]:
    """Compare dropout by its place and rate, and batch statistics by how they move.

    Args:
        pair: Both sides.
        outputs: What is known of the outputs in inference.

    Returns:
        The stage, and whether nothing is left unexplained.
    """
    drops_found, hidden = _dropout(pair, outputs)
    findings = [*drops_found, *_in_inference(pair), *_statistics(pair), *_recurrent_dropout(pair)]
    count = sum(match.unit.kind == "batch norm" for match in pair.matches)
    drops = sum(event.name == "dropout" for event in pair.trace.events)
    others = [layer.name for layer in pair.keras.random if not keras_net.known_chance(layer)]
    notes = (f"random and not compared: {', '.join(others)}",) if others else ()
    _settle(pair, others)
    if hidden:
        by_this = [entry.path for entry in pair.ledger if entry.settled == "training mode"]
        pair.ledger.reopen(*by_this)
    compared = f"dropout ({drops} in PyTorch), batch statistics ({count} layer{'s' * (count != 1)})"
    alike = all(finding.explained for finding in findings)
    return Stage("training mode", compared, None, None, tuple(findings), notes), alike


def _settle(pair: Pair, random: Sequence[str]) -> None:
    """Settle what acts in training mode, but for what is random and not compared."""
    for name in random:
        pair.ledger.reopen(f"layers.{name}", side=PORT)
    for name in pair.torch.quiet or ():
        pair.ledger.add([Entry(ORIGINAL, f"modules.{name}.training", "random in itself")])
    pair.ledger.settle("training mode")
    # What drops within a layer cannot be replaced by a factor.
    for name, part in pair.torch.module.named_modules():
        rate = getattr(part, "dropout", 0.0)
        if isinstance(part, nn.RNNBase | nn.MultiheadAttention) and rate:
            pair.ledger.reopen(f"modules.{name}.dropout", side=ORIGINAL)
    for layer in pair.keras.plain:
        if id(layer) in pair.keras.dropped_within and getattr(layer, "rate", None):
            pair.ledger.reopen(f"layers.{layer.name}.rate", side=PORT)


def _dropout(pair: Pair, outputs: Agreement) -> tuple[list[Finding], bool]:
    """Return what is found, and whether what draws by other functions hides the rest."""
    with pair.torch.unmoved():
        pair.torch.train(pair.torch_inputs)
        trace = pair.torch.run(pair.torch_inputs, mark=True)
        before = _own_state(pair)  # what only keeps the last outputs is the same after both runs
        trace = pair.torch.run(pair.torch_inputs, mark=True)
        after = _own_state(pair)
    changing = [path for path, value in before.items() if after.get(path) != value]
    text = "it changes from step to step, so what it does late is not seen"
    pair.ledger.add([Entry(ORIGINAL, f"{path} in training", text) for path in changing])

    def marked() -> Forced:
        return pair.force(trace, training=True, mark=True)

    def far(forced: Forced) -> float:
        ratios = [match.reach / match.reach_tolerance for match in forced.matches]
        theirs = torch_net.arrays(trace.output)
        if outputs.ends or len(theirs) != len(forced.outputs):
            return max(ratios, default=0.0)
        tolerance = 64 * EPS * max((largest(a) for a in theirs), default=1.0)
        return max(
            [*ratios, *(aligned(a, b)[1] / tolerance for a, b in zip(theirs, forced.outputs))]
        )

    if trace.draws:
        names = ", ".join(trace.draws)
        pair.ledger.add([Entry(ORIGINAL, "forward.training", f"it draws by {names}")])
    if not outputs.settled:
        return list(_by_rates(pair, trace)), False
    forced = marked()
    size = far(forced)
    if size <= 1:
        return list(draws.compare(pair, trace, forced)), False

    def divergence() -> float:
        return far(marked())

    for changes in _dropout_changes(pair, trace):
        for noisy in noise.changes(_noises(pair, trace), changes, divergence):
            proved = prove([*changes, *noisy], divergence, 1.0)
            if proved:
                return [change.finding(None, None) for change in _placed(proved)], False
    if trace.draws:  # as far as is known, chance alone sets them apart
        return [], True
    text = "outputs differ in training mode"
    return [Finding("training mode", UNEXPLAINED, text, None, size, 1.0)], False


def _in_inference(pair: Pair) -> list[Finding]:
    """Compare what is drawn in inference, too: by `F.dropout(x)`, or by `training=True`."""
    with pair.torch.unmoved():
        trace = pair.torch.run(pair.torch_inputs, mark=True)
    return list(draws.in_inference(pair, trace, pair.force(trace, mark=True)))


def _gaps(pair: Pair, trace: Trace) -> Iterator[tuple[Match | None, list, list]]:
    """Return for each gap the match behind it, dropouts of PyTorch that are on, and Keras's."""
    forced = pair.force(trace, training=True, mark=True)

    def dropping(events: Iterable[Event]) -> list[Event]:
        return [
            event
            for event in events
            if event.name == "dropout" and event.options["on"] and event.options["rate"] > 0
        ]

    def layers(plain: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
        return [layer for layer in plain if keras_net.drops(layer)]

    for match, events, plain in forced.gaps(trace):
        yield match, dropping(events), layers(plain)


def _noises(pair: Pair, trace: Trace) -> list[noise.Gap]:
    """Return for each gap the match behind it, draws of PyTorch, and Keras's layers that draw."""
    forced = pair.force(trace, training=True, mark=True)
    return [
        noise.Gap(
            match,
            sum(event.name == "noise" for event in events),
            [layer for layer in plain if keras_net.disturbs(layer)],
        )
        for match, events, plain in forced.gaps(trace)
    ]


def _own_state(pair: Pair) -> dict[str, Any]:
    """Return what modules of the original hold and may change when they run, by its path."""
    found: dict[str, Any] = {}
    for name, part in pair.torch.module.named_modules():
        holder = f"modules.{name}" if name else "model"
        for key, value in vars(part).items():
            if key in OF_MODULES:
                continue
            if isinstance(value, int | float):
                found[f"{holder}.{key}"] = value
            elif isinstance(value, torch.Tensor) or _is_list(value):
                found[f"{holder}.{key}"] = str(value)
        if kinds.torch_kind(part) is None:
            for key, buffer in part.named_buffers(recurse=False):
                found[f"{holder}.{key}"] = torch_net.array(buffer).tobytes()
    for path, value in Held({"model": pair.torch.module}).values().items():
        found.setdefault(path.replace("model.", "modules.", path.count(".") > 1), str(value))
    return found


def _is_list(value: Any) -> bool:
    simple = int | float | torch.Tensor
    return isinstance(value, list | tuple) and all(isinstance(each, simple) for each in value)


def _by_rates(pair: Pair, trace: Trace) -> Iterator[Finding]:
    """Where outputs differ anyway, only compare the lists of rates."""
    theirs, ours = [], []
    for _, events, layers in _gaps(pair, trace):
        theirs += [event.options["rate"] for event in events]
        ours += [float(layer.rate) for layer in layers]
    if theirs != ours:
        yield Finding(
            "dropout", UNEXPLAINED, f"rates are {ours}, in PyTorch {theirs}; behind a divergence"
        )


def _dropout_changes(pair: Pair, trace: Trace) -> Iterator[list[Change]]:
    gaps = list(_gaps(pair, trace))
    for last_in_gap in (False, True):
        changes = []
        for match, events, layers in gaps:
            for event, layer in zip(events, layers):
                if last_in_gap and match is not None:
                    changes += [_without(layer, "dropout place"), _inserted(match, event)]
                else:
                    changes += _as_theirs(pair, event, layer)
            changes += [_without(layer, "extra dropout") for layer in layers[len(events) :]]
            if match is not None:
                changes += [_inserted(match, event) for event in events[len(layers) :]]
        yield changes


def _as_theirs(pair: Pair, event: Event, layer: keras.layers.Layer) -> Iterator[Change]:
    rate, dimensions = event.options["rate"], event.options["dimensions"]
    if abs(float(layer.rate) - rate) > 1e-9:
        yield Change(
            layer.name,
            "dropout rate",
            f"the rate is {float(layer.rate):g}, PyTorch's is {rate:g}",
            f"{type(layer).__name__}({rate:g})",
            setting(layer, rate=rate),
        )
    shape = tuple(pair.keras.shapes[id(layer)])
    ours, theirs = keras_net.dropped(layer, shape, pair.keras.channels_first), event.options["what"]
    if ours != theirs:
        kind = {"alpha": "AlphaDropout", "values": "Dropout"}.get(
            theirs, f"SpatialDropout{dimensions}D"
        )
        shaped = getattr(layer, "noise_shape", None) is not None
        own = f"{type(layer).__name__}{f' with noise_shape={layer.noise_shape}' * shaped}"
        yield Change(
            layer.name,
            "noise shape" if shaped else "dropout kind",
            f"{own} drops {DROPS[ours]}, PyTorch {DROPS[theirs]}",
            f"{kind}({rate:g})",
            setting(layer, audited_dropped=theirs),
        )


def _without(layer: keras.layers.Layer, name: str) -> Change:
    return Change(
        layer.name,
        name,
        f"{type(layer).__name__}({float(layer.rate):g}) is at a place where PyTorch has none",
        f"leave {layer.name} out",
        setting(layer, rate=0.0),
    )


def _inserted(match: Match, event: Event) -> Change:
    factor = torch_net.marking(event.options["rate"], event.options["what"])
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


def _recurrent_dropout(pair: Pair) -> Iterator[Finding]:
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


def _statistics(pair: Pair) -> Iterator[Finding]:
    with pair.torch.unmoved():
        pair.torch.train_without_chance(pair.torch_inputs)
        trace = pair.torch.run(pair.torch_inputs)
        forced = pair.force(trace, training=True)
    found: dict[str, list] = {}
    for match in forced.matches:
        if match.unit.kind != "batch norm":
            continue
        if match.error > match.tolerance and not match.unit.training:
            found.setdefault("evaluation mode", []).append(_kept_in_evaluation(pair, match))
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


def _kept_in_evaluation(pair: Pair, match: Match) -> Finding:
    """PyTorch's batch norm stays in evaluation mode; prove that this is all."""

    def still(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        return own(x, **(kwargs | {"training": False}))

    change = Change(
        match.where,
        "evaluation mode",
        "in training PyTorch's uses its running statistics, because its own train() keeps it so; "
        "the port's uses the batch's",
        f"{match.layer.name}(x, training=False) where the port calls it",
        calling(match.layer, still),
    )
    size, tolerance = match.error, match.tolerance

    def divergence() -> float:
        assign(match, pair.torch.values())  # statistics may have moved
        return match.again()

    if not prove([change], divergence, tolerance):
        text = "in training mode the outputs differ"
        return Finding(match.where, UNEXPLAINED, text, None, size, tolerance)
    pair.undo([change])
    return change.finding(size, tolerance)


def _mean_square(inputs: Any) -> float:
    """Return the mean square of inputs, of the channel where it is the largest."""
    inputs = ops.convert_to_numpy(inputs).astype(np.float64)
    others = tuple(axis for axis in range(1, inputs.ndim - 1))
    return float((inputs**2).mean((0, *others)).max())


def _moved(match: Match) -> list[Finding]:
    """Compare how running statistics move in three steps, each with other inputs."""
    unit, layer = match.unit, match.acting
    if not unit.module.track_running_stats or not unit.training:
        return []
    batches = [unit.input, 2 * unit.input + 1, unit.input / 2]
    with torch.no_grad(), torch_net.in_float64(unit.module) as module:
        module.running_mean.zero_()
        module.running_var.zero_()
        module.num_batches_tracked.zero_()
        module.train()
        expected = []
        for batch in batches:
            module(torch.from_numpy(batch).double())
            names = ("running_mean", "running_var")
            moved = {name: torch_net.array(getattr(module, name)) for name in names}
            laid = kinds.carried(match.layer, moved, match.order)  # features may lie otherwise
            expected.append([laid[role] for role in kinds.STATISTICS])
    inputs = [ops.convert_to_tensor(match.order(batch)) for batch in batches]
    variables = [layer.moving_mean, layer.moving_variance]
    others = [v for v in layer.non_trainable_variables if all(v is not each for each in variables)]
    kept = [ops.convert_to_numpy(variable) for variable in others]

    def divergence() -> float:
        for variable in variables:
            variable.assign(np.zeros(variable.shape, "float32"))
        for variable, value in zip(others, kept):
            variable.assign(value)
        layer.__dict__.get("audited_steps", [0])[0] = 0
        far = lost = 0.0
        for batch, (mean, variance) in zip(inputs, expected):
            layer.call(batch, training=True)
            ours = [ops.convert_to_numpy(variable) for variable in variables]
            scale = max(largest(mean), largest(variance) ** 0.5, 1e-12)
            far = max(far, distance(mean, ours[0]) / scale)
            # Keras's variance is the mean of squares minus the square of the mean.
            lost = max(lost, _mean_square(batch) / 32 * (unit.module.momentum or 1.0))
            far = max(far, distance(variance, ours[1]) / (largest(variance) + lost or 1.0))
        return far

    n = unit.input.size // unit.input.shape[1]
    momentum = 1 - (unit.module.momentum or 0.0)

    def cumulative(
        own: Callable, x: Any, args: tuple, kwargs: dict, correction: float = 1.0
    ) -> Any:
        layer.__dict__["audited_steps"][0] += 1
        old = [ops.convert_to_numpy(variable) for variable in variables]
        with attributes(layer, momentum=0.0):
            outputs = own(x, *args, **kwargs)
        for variable, before, factor in zip(variables, old, (1.0, correction)):
            new = ops.convert_to_numpy(variable) * factor
            variable.assign(before + (new - before) / layer.__dict__["audited_steps"][0])
        return outputs

    def unbiased(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        old = ops.convert_to_numpy(layer.moving_variance)
        outputs = own(x, *args, **kwargs)
        new = ops.convert_to_numpy(layer.moving_variance)
        layer.moving_variance.assign(new + (new - layer.momentum * old) / (n - 1))
        return outputs

    changes = []
    if unit.module.momentum is not None and abs(layer.momentum - momentum) > 1e-9:
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
    if unit.module.momentum is None:
        # The port's own variance may be unbiased already.
        changes = [
            Change(
                match.where,
                "momentum",
                f"running statistics keep {layer.momentum:g} of their old value a step; PyTorch's "
                "(momentum=None) are the mean over all batches, their variance unbiased",
                advice.cumulative_batch_norm(),
                calling(layer, partial(cumulative, correction=factor), audited_steps=[0]),
            )
            for factor in (n / (n - 1), 1.0)
        ]
    size, tolerance = divergence(), 256 * EPS  # a variance loses some digits
    if size <= tolerance:
        return []
    alternatives = [[change] for change in changes]
    alternatives += [changes] * (unit.module.momentum is not None)
    proved = next(filter(None, (prove(a, divergence, tolerance) for a in alternatives)), [])
    if not proved:
        text = "running statistics move otherwise"
        return [Finding(match.where, UNEXPLAINED, text, None, size, tolerance)]
    return [change.finding(size, tolerance) for change in proved]
