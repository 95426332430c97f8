"""Stage 8: the metric of a whole set, averages of batches, train and eval mode."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from keras import ops

from port_audit.causes import ends, losses
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.nets import chance, torch_net
from port_audit.pair import Pair
from port_audit.samples import call, count, labels, take

MOST, FEWEST = 1000, 64  # samples
FORWARDS = 5e10  # multiplications of all of them


def compare(pair: Pair, settled: bool) -> Stage:
    """Compare accuracies with the same weights, and how each side computes them.

    Args:
        pair: Both sides.
        settled: Whether the outputs agree once causes are undone.
    """
    y = pair.y
    output = pair.trace.output
    if (
        not isinstance(output, torch.Tensor)
        or output.ndim != 2
        or np.asarray(y).dtype.kind not in "iub"
    ):
        return Stage("evaluation", "no classes to be right about", ran=False)
    n = min(pair.cost.samples(FORWARDS, FEWEST, MOST), count(pair.x))
    size = min(pair.batch_size, n)
    if n % size == 0 and count(pair.x) > n:
        n -= size // 2  # so that a short last batch is among them
    batches = [np.arange(start, min(start + size, n)) for start in range(0, n, size)]
    y = np.asarray(y)[:n].reshape(-1)
    net = pair.torch
    with torch.no_grad(), chance.WithoutChance():
        theirs = [torch_net.array(call(net.module, pair.torch_batch(rows))) for rows in batches]
    right = [_predicted(out, ends.both(pair)[0]) == y[rows] for out, rows in zip(theirs, batches)]
    whole = float(np.concatenate(right).mean())
    averaged = float(np.mean([part.mean() for part in right]))
    findings = [*_metrics(pair, settled, batches, whole), *_theirs(pair, batches, whole, averaged)]
    pair.ledger.settle("evaluation")
    notes = []
    if averaged != whole and pair.theirs.evaluate is None:
        notes.append(f"accuracy {whole:.4f}; a mean over batches would say {averaged:.4f}")
    return Stage(
        "evaluation", f"accuracy on {n} samples", None, None, tuple(findings), tuple(notes)
    )


def _predicted(outputs: np.ndarray, end: Callable) -> np.ndarray:
    if outputs.shape[1] > 1:
        return outputs.argmax(1)
    zero = float(ops.convert_to_numpy(end(ops.zeros((1, 1))))[0, 0])
    return (outputs[:, 0] > zero).astype(int)


def _metrics(pair: Pair, settled: bool, batches: Sequence[np.ndarray], whole: Any) -> list[Finding]:
    """Compare each accuracy that the port was compiled with."""
    model = pair.keras.model
    if not getattr(model, "compiled", False) or not settled:
        return []
    pair.carry()
    model.reset_metrics()
    result, right = {}, []
    with pair.keras.watched():
        for rows in batches:
            x, y = pair.keras_batch(rows), take(pair.y, rows)
            size = pair.samples if pair.cost.large else len(rows)
            pieces = [rows[i : i + size] for i in range(0, len(rows), size)]
            parts = [pair.keras.run(pair.keras_batch(piece)) for piece in pieces]
            outputs = ops.concatenate(parts)
            result = model.compute_metrics(
                x, ops.convert_to_tensor(losses.targets(model.loss, y, outputs.shape)), outputs
            )
            right.append(
                _predicted(ops.convert_to_numpy(outputs), ends.both(pair)[1]) == y.reshape(-1)
            )
    mine = float(np.concatenate(right).mean())
    model.reset_metrics()
    half = 1.5 / sum(map(len, batches))
    found = []
    for name, value in result.items():
        if "acc" not in name or "top" in name:
            continue
        value = float(ops.convert_to_numpy(value))
        if abs(value - whole) > half and abs(mine - whole) <= half:
            text = f"{name} says {value:.4f} where {whole:.4f} of the samples are right"
            found.append(
                Finding(name, "metric", text, "metrics=['accuracy']", abs(value - whole), half)
            )
    return found


def _theirs(pair: Pair, batches: Sequence[np.ndarray], whole: Any, averaged: Any) -> list[Finding]:
    """Compare what the original's `evaluate` says with the share of samples that are right."""
    if pair.theirs.evaluate is None:
        return []

    def said(net: torch_net.TorchNet, train: bool, lasting: bool) -> float:
        module = copy.deepcopy(net.module)
        module.train(train)
        if lasting:
            for part in module.modules():
                object.__setattr__(part, "train", lambda mode=True, part=part: part)
        data = [
            (pair.torch_batch(rows), labels(take(pair.y, rows), pair.trace.output))
            for rows in batches
        ]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            value = float(pair.theirs.evaluate(module, data))
        return value / 100 if value > 1.5 else value

    value = said(pair.torch, True, False)
    tolerance = 0.5 / sum(map(len, batches))
    if abs(value - whole) <= tolerance:
        return []
    quiet = said(pair.torch, False, True)
    found = []
    if abs(value - quiet) > 1e-9:
        found.append(
            Finding(
                "original's evaluate",
                "eval mode",
                f"it says {value:.4f} with dropout and batch statistics on, {quiet:.4f} without: "
                "eval() is missing",
                "nothing; model.eval() in original.py",
                abs(value - quiet),
                tolerance,
            )
        )
    if abs(quiet - whole) > tolerance:
        mean = abs(quiet - averaged) <= 1e-6
        found.append(
            Finding(
                "original's evaluate",
                "average of batches" if mean else UNEXPLAINED,
                f"it averages batches, {averaged:.4f}; of all samples {whole:.4f} are right"
                if mean
                else f"it says {quiet:.4f}, of all samples {whole:.4f} are right",
                "nothing; count right answers over the whole set in original.py" if mean else None,
                abs(quiet - whole),
                tolerance,
            )
        )
    return found
