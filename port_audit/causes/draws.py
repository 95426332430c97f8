"""How many values dropout and noise set, on both sides.

In a marked run each draw is a constant, and a constant passes through a pooling: dropout on its
other side changes no output. It only drops another number of values.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import keras

from port_audit.findings import Finding
from port_audit.forced import Forced
from port_audit.ledger.entries import PORT, Entry
from port_audit.nets.activations import Event
from port_audit.nets.keras_net import MIXING, known_chance
from port_audit.nets.torch_net import Trace
from port_audit.pair import Pair


class Draw(NamedTuple):
    """A kind of draws: "noise", or what is dropped at which rate."""

    what: str
    rate: float | None = None

    def __str__(self) -> str:
        return self.what if self.rate is None else f"dropout at a rate of {self.rate:g}"


def compare(pair: Pair, trace: Trace, forced: Forced) -> Iterator[Finding]:
    """Compare how many values are drawn; outputs of marked runs are known to agree.

    What is apart by as much as a pooling takes away is found; anything else is named as not
    compared: to drop values and then crop them, say, is the same the other way round.

    Args:
        pair: Both sides.
        trace: PyTorch's marked run.
        forced: That of Keras, the last one.
    """
    if forced.stopped is not None:
        return
    mine = list(pair.keras.draws)
    counts = _counts(trace.events), _counts(mine)
    for draw in sorted(counts[0].keys() | counts[1].keys(), key=str):
        there, here = (count[draw] for count in counts)
        if there == here:
            continue
        found = _misplaced(pair, [e for e in mine if _draw(e) == draw], there - here)
        if found is not None:
            yield found
            continue
        text = f"values of {pair.samples} samples: PyTorch draws {there:,}, the port {here:,}"
        pair.ledger.add([Entry(PORT, f"draws.{draw}", text)])
    for _, events, plain in forced.gaps(trace):
        kept = [layer for layer in plain if _keeps_size(pair, layer)]
        if kept and _order_of_events(events) != _order_of_layers(plain):
            text = "on which side of it values are drawn"
            pair.ledger.add([Entry(PORT, f"layers.{kept[0].name}.place", text)])


def in_inference(pair: Pair, trace: Trace, forced: Forced) -> Iterator[Finding]:
    """Compare what draws in inference; how often is compared in training mode.

    Args:
        pair: Both sides.
        trace: PyTorch's marked run in eval mode.
        forced: That of Keras, the last one.
    """
    if forced.stopped is not None:
        return
    layers = {e.name: e.options["layer"] for e in reversed(pair.keras.draws) if _is_on(e)}
    theirs = {event.name for event in trace.events if _is_on(event)}
    known = all(map(known_chance, pair.keras.random))
    for name in sorted(layers.keys() - theirs):
        if not trace.draws:
            text = f"{name} is on in inference, too; PyTorch's is not"
            yield Finding(layers[name], "in inference", text, f"{layers[name]} only in training")
    for name in sorted(theirs - layers.keys()):
        if known:
            text = f"{name} is on in eval mode, too, as F.dropout(x) is; not so in the port"
            write = (
                "a layer whose call() passes on training=True; in a model's call it has no effect"
            )
            yield Finding("model", "in inference", text, write)


def _is_on(event: Event) -> bool:
    if event.name not in ("dropout", "noise"):
        return False
    return bool(event.options.get("on", True) and event.options.get("rate", 1.0))


def _misplaced(pair: Pair, drawn: Sequence[Event], apart: int) -> Finding | None:
    """Return what is found if a pooling takes away as many values as are drawn too many or few."""
    for layer in pair.keras.plain:
        into, out = pair.keras.passed.get(id(layer), (0, 0))
        if into == out or abs(into - out) != abs(apart):
            continue
        behind = (apart > 0) == (into > out)  # the port draws behind it
        here, there = (out, into) if behind else (into, out)
        name = next((e.options["layer"] for e in drawn if e.options["values"] == here), None)
        if name is not None:
            own, other = ("behind", "before") if behind else ("before", "behind")
            return Finding(
                name,
                "dropout place",
                f"it stands {own} {layer.name} and draws for {here // pair.samples:,} values of a "
                f"sample; PyTorch's stands {other} it, and draws for {there // pair.samples:,}",
                f"{name} {other} {layer.name}",
            )
    return None


def _keeps_size(pair: Pair, layer: keras.layers.Layer) -> bool:
    into, out = pair.keras.passed.get(id(layer), (0, 1))
    return into == out


def _order_of_events(events: Iterable[Event]) -> list[bool]:
    """Return what is called, in order: True for draws, False for poolings."""
    return [not event.pools for event in events if event.pools or _draw(event) is not None]


def _order_of_layers(layers: Iterable[keras.layers.Layer]) -> list[bool]:
    found = [layer for layer in layers if known_chance(layer) or isinstance(layer, MIXING)]
    return [known_chance(layer) for layer in found]


def _counts(events: Iterable[Event]) -> Counter[Draw]:
    counts: Counter[Draw] = Counter()
    for event in events:
        draw = _draw(event)
        if draw is not None:
            counts[draw] += event.options["values"]
    return counts


def _draw(event: Event) -> Draw | None:
    """Return what is drawn for each value, or None."""
    if event.name == "noise":
        return Draw("noise")
    o = event.options
    if event.name != "dropout" or not o["on"] or not o["rate"]:
        return None
    return Draw(o["what"], round(o["rate"], 6)) if o["what"] in ("values", "alpha") else None
