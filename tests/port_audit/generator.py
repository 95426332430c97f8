"""Audit pairs made at random, each as it is and with a fault, and record what was found.

    python -m tests.port_audit.generator --pairs 1000 --out FILE.csv

Each line of the file is a pair; an interrupted run goes on behind the last one.
"""

import argparse
import csv
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import torch

import port_audit
from port_audit import memory
from port_audit.report import Report
from tests.port_audit import generated_faults, generated_pairs
from tests.port_audit.generated_pairs import Made

FIELDS = ("seed", "pair", "alarms", "witnessed", "fault", "outcome", "causes", "seconds")
SMALL = 1e-4  # of the way that weights go: an effect that nobody can miss


@dataclass(frozen=True)
class Outcome:
    """What became of a fault: "named", "located", "no effect" or "silent"; and the causes found."""

    word: str
    causes: tuple[str, ...]


def audited(pair: Made) -> Report:
    """Return the report on a pair."""
    torch.manual_seed(pair.seed)
    keras.utils.set_random_seed(pair.seed)
    return port_audit.compare(*pair.sides())


def outcome(pair: Made, report: Report, right: frozenset[str], faithful: Made) -> Outcome:
    """Return what became of a planted fault.

    Args:
        pair: The pair with the fault.
        report: The report on it.
        right: Causes, each of which would be right.
        faithful: The pair without it.
    """
    causes = tuple(report.causes)
    if not causes:
        left = report.not_compared if hasattr(report, "not_compared") else ()
        if left and effect(pair, faithful) > SMALL:
            return Outcome("ledger only", tuple(map(str, left)))
        return Outcome("silent" if effect(pair, faithful) > SMALL else "no effect", ())
    named = right - generated_faults.LOCATED
    return Outcome("named" if named & set(causes) else "located", causes)


def effect(pair: Made, faithful: Made) -> float:
    """Return how far a fault takes the port's weights, by how far they go, without chance."""
    ends = []
    for each in (faithful, pair):
        _, ours, x, y = each.sides()
        keras.utils.set_random_seed(0)
        model = ours.model()
        for layer in model._flatten_layers():
            if "Dropout" in type(layer).__name__:
                layer.rate = 0.0
        start = [np.array(w) for w in model.get_weights()]
        if each.ours["loss"] == "smoothed":
            y = np.eye(generated_pairs.CLASSES, dtype="float32")[y]
        options = {"callbacks": ours.callbacks(), "class_weight": ours.class_weight}
        size = each.ours["batch_size"]
        model.fit(x, y, size, 3, shuffle=False, verbose=0, validation_data=(x, y), **options)
        ends.append((start, [np.array(w) for w in model.get_weights()]))
    (start, one), (_, other) = ends
    if [w.shape for w in one] != [w.shape for w in other]:
        return np.inf
    ratios = [
        np.abs(a - b).max() / max(np.abs(a - s).max(), 1e-9) for s, a, b in zip(start, one, other)
    ]
    return float(max(ratios))


def run(seed: int) -> dict:
    """Audit the pair of a seed, as it is and with a fault."""
    begun = time.process_time()
    pair = generated_pairs.of_seed(seed)
    report = audited(pair)
    if report.not_compared:
        print(f"{seed}: not compared: {', '.join(map(str, report.not_compared))}")
    draw = random.Random(-seed - 1).choice
    faulty, right = generated_faults.planted(draw, pair)
    found = outcome(faulty, audited(faulty), right, pair)
    alarms = [f"{f.name} ({f.cause[:200]})" for f in report.findings]
    witness = report.stages[-1]
    keras.backend.clear_session(free_memory=True)
    memory.forget_programs()  # hundreds of pairs end in a segmentation fault of JAX otherwise
    return {
        "seed": seed,
        "pair": str(pair),
        "alarms": "; ".join(alarms),
        "witnessed": witness.compared,
        "fault": faulty.fault,
        "outcome": found.word,
        "causes": "; ".join(found.causes),
        "seconds": f"{time.process_time() - begun:.1f}",
    }


def summary(lines: list[dict]) -> str:
    """Return the figures of a record."""
    alarms = sum(bool(line["alarms"]) for line in lines)
    counts = Counter(line["outcome"] for line in lines)
    felt = len(lines) - counts["no effect"]
    words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    seconds = sum(float(line["seconds"]) for line in lines)
    return (
        f"{len(lines)} pairs: {alarms} faithful ones accused; faults: {words}; "
        f"{counts['named'] / max(felt, 1):.0%} of {felt} with an effect named; "
        f"{seconds / max(len(lines), 1):.0f} s of CPU each"
    )


def main() -> None:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.port_audit.generator")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    lines = list(csv.DictReader(args.out.open())) if args.out.exists() else []
    done = {int(line["seed"]) for line in lines}
    with args.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not lines:
            writer.writeheader()
        for seed in range(args.first, args.first + args.pairs):
            if seed not in done:
                lines.append(run(seed))
                writer.writerow(lines[-1])
                file.flush()
                print(seed, lines[-1]["outcome"], lines[-1]["fault"], lines[-1]["alarms"])
    print(summary(lines))


if __name__ == "__main__":
    main()
