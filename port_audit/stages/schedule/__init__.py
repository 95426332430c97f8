"""Stage 7: the learning rate over steps and epochs, the batches, clipping."""

from collections.abc import Iterator

from port_audit.courses import Courses
from port_audit.findings import Finding, Stage
from port_audit.pair import Pair
from port_audit.samples import count
from port_audit.stages.schedule import clipping, rates
from port_audit.stages.schedule.rates import TOLERANCE

BATCH = 32  # what `fit` takes where nobody wrote down a size


def compare(pair: Pair, courses: Courses) -> Stage:
    """Compare how rates move, how samples are batched, how gradients are clipped.

    Args:
        pair: Both sides.
        courses: How rates move.
    """
    findings = list(_batches(pair))
    if pair.theirs.batch_size is not None or pair.ours.batch_size is None:
        pair.ledger.settle("batches")
    if pair.theirs.optimizer is None or not getattr(pair.keras.model, "compiled", False):
        if not findings and pair.theirs.batch_size is None:
            return Stage("schedule", "no optimizer on both sides", ran=False)
        return Stage("schedule", "batches", None, None, tuple(findings))
    size, found = rates.compare(courses)
    findings += found
    findings += clipping.compare(pair)
    rates.settle(courses, findings)
    times = courses.times
    compared = f"{times.epochs} epochs of {times.per_epoch} steps; batches; clipping"
    sizes = (size, TOLERANCE) if size <= TOLERANCE else (None, None)
    return Stage("schedule", compared, *sizes, tuple(findings))


def _batches(pair: Pair) -> Iterator[Finding]:
    theirs, ours, n = pair.theirs.batch_size, pair.ours.batch_size, count(pair.x)
    if theirs is not None and theirs != (ours or BATCH):
        own = ours or f"{BATCH}, because nobody wrote one down"
        yield Finding(
            "batches",
            "batch size",
            f"it is {own}, PyTorch's is {theirs}",
            f"batch_size = {theirs}",
        )
    if pair.theirs.drop_last and n % pair.batch_size:
        yield Finding(
            "batches",
            "last batch",
            f"fit also trains on the last {n % pair.batch_size} samples of {n}; PyTorch drops them",
            f"x[:{n - n % pair.batch_size}] after shuffling, or a data set that drops the rest",
        )
