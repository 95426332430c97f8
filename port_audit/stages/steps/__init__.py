"""Stage 6: gradients, one step of the optimizer, twenty steps."""

from collections.abc import Callable, Sequence

import numpy as np

from port_audit.courses import Courses
from port_audit.distances import EPS, largest
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.nets import kinds, pooling
from port_audit.pair import Pair
from port_audit.stages.handed import LossInUse
from port_audit.stages.steps import constraints, gradients, options, penalties, places
from port_audit.stages.steps.optimizer import compare_optimizers
from port_audit.stages.steps.training import (
    Training,
    batch,
    disturbed,
    gradients_in_float64,
    probed,
    replayed,
    steps,
    train,
)
from port_audit.stages.steps.weights import AnyWeight, LooseWeight, Weight

# Rounding may flip a ReLU in a sample, and Adam makes whole steps of the gradients of pixels
# that only this sample has. So a hundredth of the parameters may be further apart.
MOST_AGREE = 0.99


def compare(pair: Pair, settled: bool, loss: LossInUse | None, courses: Courses) -> Stage:
    """Compare gradients; the optimizers, given the same gradients; and twenty steps of both.

    Args:
        pair: Both sides.
        settled: Whether the outputs agree once causes are undone.
        loss: PyTorch's loss, computed in Keras, if it is known.
        courses: How rates move.
    """
    if pair.theirs.loss is None:
        return Stage("steps", "the original has no loss", ran=False)
    if not getattr(pair.keras.model, "compiled", False):
        return Stage("steps", "the port is not compiled", ran=False)
    weights: list[AnyWeight] = [*_weights(pair), *map(LooseWeight, pair.loose)]
    sampled = places.large(weights) and places.known(pair.optimizer)
    looked_at = places.chosen(weights, pair.torch.values()) if sampled else places.whole(weights)
    theirs = train(pair, courses, looked_at)
    exact = gradients_in_float64(pair, theirs.start, 0)
    findings: list[Finding] = []
    coarser = 1.0
    size = tolerance = None
    notes: list[str] = []
    compute = None
    if loss is None:
        notes.append("gradients are not compared, because the losses differ")
    elif not settled:
        notes.append("gradients are not compared, because the outputs differ")
    else:
        compute = gradients.as_it_is(pair, weights, loss)
        compute_there = gradients.given_theirs(pair, weights, loss)
        found, coarser, forced = gradients.compare(
            pair, weights, theirs, exact, compute, compute_there
        )
        findings += found
        if forced:
            notes.append(f"gradients agree only at PyTorch's outputs of each layer: {_flips(pair)}")
    if pair.theirs.optimizer is None:
        notes.append("the original has no optimizer")
        return Stage("steps", "gradients", None, None, tuple(findings), tuple(notes))
    records = theirs, probed(theirs, courses, looked_at)
    alone = not sampled or places.each_alone(pair.optimizer)
    advance = None
    if alone:
        found, advance = compare_optimizers(pair, records, looked_at, courses)
        findings += found
    findings += options.compare(pair)
    if pair.runs():
        findings += penalties.compare(pair)
    pair.ledger.settle("steps", "optimizer")
    if compute is not None:
        pair.ledger.settle("steps")
    if not alone:
        name = type(pair.optimizer).__name__
        notes.append(f"the rule of {name} is not compared: it moves values by what others do")
        by_steps = [entry.path for entry in pair.ledger if entry.settled == "steps"]
        rule = [path for path in by_steps if path.startswith("optimizer.")]
        pair.ledger.reopen(*rule, stage="witness")
    findings += constraints.compare(pair, records, looked_at)
    carried = {id(p) for weight in weights for p in weight.parameters(theirs.module)}
    rest = [n for n, p in theirs.module.named_parameters() if id(p) not in carried]
    if rest:
        notes.append(
            f"{steps(pair)} steps are not compared, because the port lacks {', '.join(rest[:3])}"
        )
        advance = None
    if compute is not None and advance is not None and not _stopped_by(findings):
        rounded = disturbed(pair, theirs, exact, coarser, courses)
        size, tolerance = _train_both(pair, weights, compute, advance, theirs, rounded)
        if not size <= tolerance and _each_step_agrees(
            pair, weights, theirs, compute_there, courses
        ):
            notes.append(
                f"after {steps(pair)} steps the parameters are {size:.1e} apart, but each step "
                f"agrees that starts from PyTorch's parameters and outputs: {_flips(pair)}"
            )
            size = tolerance = None
        elif not size <= tolerance:
            text = f"after {steps(pair)} steps the parameters differ, though each part agrees"
            findings.append(Finding("training", UNEXPLAINED, text, None, size, tolerance))
    compared = f"gradients, one step, {steps(pair)} steps of {batch(pair)} samples"
    return Stage("steps", compared, size, tolerance, tuple(findings), tuple(notes))


def _flips(pair: Pair) -> str:
    text = "rounding adds up, or flips a ReLU or a maximum"
    if pooling.blurred(pair.keras.plain):
        text += " (TensorFlow's MaxPooling3D takes all within 1e-5 of the largest for it)"
    return text


def _stopped_by(findings: Sequence[Finding]) -> bool:
    """Whether twenty steps cannot agree, because something before them is not undone."""
    kept = "padding_idx", "gradient scale"
    return any(not finding.explained or finding.name in kept for finding in findings)


def _weights(pair: Pair) -> list[Weight]:
    """Return the trainable weights of matched layers that stand for parameters of PyTorch."""
    own = pair.torch.parameters()
    return [
        Weight(match, role, variable)
        for match in pair.matches
        for role, variable in kinds.variables(match.layer).items()
        if role not in kinds.STATISTICS
        and role not in match.misfits
        and any(name in own for name in kinds.stands_for(match.unit.names, role))
    ]


def _train_both(
    pair: Pair,
    weights: Sequence[AnyWeight],
    compute: Callable,
    advance: Callable,
    theirs: Training,
    rounded: dict[str, np.ndarray] | None,
) -> tuple[float, float]:
    """Train the port, too, by its own gradients; return the distance and its tolerance."""
    pair.carry()
    for step in range(steps(pair)):
        values = advance(compute(step).values)
        for weight, value in zip(weights, values):
            weight.variable.assign(value.astype("float32"))
    far, allowed = [], []
    for weight, value in zip(weights, values):
        expected = weight.carried(theirs.last)
        if expected.shape != value.shape:
            continue
        other = weight.carried(rounded or theirs.last)
        moved = largest(expected - weight.carried(theirs.start))
        rounding = 16 * float(np.abs(expected - other).max())
        far.append(np.abs(expected - value).ravel())
        limit = max(rounding, 64 * EPS * largest(expected), 1e-4 * moved)
        allowed.append(np.full(value.size, limit))
    distances, limits = np.concatenate(far), np.concatenate(allowed)
    place = np.argsort(distances / limits)[int(MOST_AGREE * (len(distances) - 1))]
    return float(distances[place]), float(limits[place])


def _each_step_agrees(
    pair: Pair,
    weights: Sequence[AnyWeight],
    theirs: Training,
    compute_there: Callable,
    courses: Courses,
) -> bool:
    """Whether gradients agree at the parameters and outputs that PyTorch goes through.

    The optimizers are known to do the same with the same gradients.
    """
    for step, (before, expected) in enumerate(replayed(pair, courses)):
        ours = compute_there(step, before)
        if ours is None:
            return False
        exact = gradients_in_float64(pair, before, step)
        found = gradients.comparisons(weights, ours, theirs.module, expected, exact)
        if any(map(gradients.finding_of, found)):
            return False
    return True
