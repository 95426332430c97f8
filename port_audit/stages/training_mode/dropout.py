"""Stage 4, dropout and noise: their places, rates and kinds."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import torch

from port_audit.causes import draws, noise
from port_audit.changes import Change, ahead_of, prove, setting
from port_audit.distances import EPS, aligned, largest
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.forced import Forced, Match
from port_audit.ledger.entries import ORIGINAL, Entry
from port_audit.nets import keras_net, kinds, torch_net
from port_audit.nets.activations import Event
from port_audit.nets.drawing import marking
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


def compare(pair: Pair, outputs: Agreement) -> tuple[list[Finding], bool]:
    """Compare what drops values or adds noise in training, by its place and rate.

    Args:
        pair: Both sides.
        outputs: What is known of the outputs in inference.

    Returns:
        What is found, and whether what draws by other functions hides the rest.
    """
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
    factor = marking(event.options["rate"], event.options["what"])
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
