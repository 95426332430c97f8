"""Stage 4: what is random or different in training: dropout, batch statistics."""

from collections.abc import Iterator, Sequence

from torch import nn

from port_audit.causes import draws
from port_audit.findings import Finding, Stage
from port_audit.ledger.entries import ORIGINAL, PORT, Entry
from port_audit.nets import keras_net, kinds
from port_audit.pair import Pair
from port_audit.stages.handed import Agreement
from port_audit.stages.training_mode import dropout, statistics


def compare(pair: Pair, outputs: Agreement) -> tuple[Stage, bool]:
    """Compare dropout by its place and rate, and batch statistics by how they move.

    Args:
        pair: Both sides.
        outputs: What is known of the outputs in inference.

    Returns:
        The stage, and whether nothing is left unexplained.
    """
    found, hidden = dropout.compare(pair, outputs)
    findings = [*found, *_in_inference(pair), *statistics.compare(pair), *_recurrent_dropout(pair)]
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


def _in_inference(pair: Pair) -> list[Finding]:
    """Compare what is drawn in inference, too: by `F.dropout(x)`, or by `training=True`."""
    with pair.torch.unmoved():
        trace = pair.torch.run(pair.torch_inputs, mark=True)
    return list(draws.in_inference(pair, trace, pair.force(trace, mark=True)))


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
