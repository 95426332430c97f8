"""Part of stage 6: both optimizers, given the same gradients."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from port_audit import plain_optimizers
from port_audit.causes import optimizers
from port_audit.causes.optimizers import Rule, Stepper
from port_audit.changes import Change, prove
from port_audit.courses import Courses
from port_audit.distances import EPS, largest
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.pair import Pair
from port_audit.stages.steps import constraints, trial
from port_audit.stages.steps.places import Chosen, whole
from port_audit.stages.steps.training import Training

DECAY = ("l2", "decoupled")
# Takes the gradients of all weights, returns the weights after a step.
Advance = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def compare_optimizers(
    pair: Pair, records: Sequence[Training], weights: Sequence[Chosen], courses: Courses
) -> tuple[list[Finding], Advance | None]:
    """Compare where the same gradients take the parameters.

    Args:
        pair: Both sides.
        records: Trainings of PyTorch, which looked at these weights.
        weights: What is compared.
        courses: How rates move.

    Returns:
        The findings, and what does as PyTorch's optimizer does, or None if that is unknown.
    """
    theirs, rate = records[0], float(courses.ours[courses.reference])
    moved, ours, tolerances = [], [], []
    for record in records:
        own = [(way.start, way.gradients, way.values) for way in record.ways]
        moved += own
        ours += _of_keras(pair, weights, own, rate)
        tolerances += _tolerances(record)
    every = whole([each.weight for each in weights])
    starts = [each.carried(theirs.start) for each in every]
    rules = [_torch_rule(theirs, weight) for weight in weights] * len(records)
    first, weights = weights, [*weights] * len(records)
    size, ratio, index = _farthest([v for _, _, v in moved], ours, tolerances)
    if ratio <= 1:
        return [], _keras_steps(pair, every, starts, rate)
    optimizer = pair.optimizer
    mine = _keras_rules(pair, weights, moved, ours, tolerances, rate)
    known = all(rule is not None for rule in rules) and all(
        _far(optimizers.run(rule, m[0], m[1]), m[2]) <= t
        for rule, m, t in zip(rules, moved, tolerances)
    )
    advance = _rule_steps(rules[: len(first)], starts) if known else None
    if not known or mine is None:
        name = type(theirs.optimizer).__name__
        other = type(optimizer).__name__
        if known and name.lower() != other.lower():
            return [
                optimizers.finding("optimizer", f"it is {other}, PyTorch's is {name}", name, size)
            ], advance
        text = f"given the same gradients, {other} and {name} part"
        return [
            Finding(weights[index].name, UNEXPLAINED, text, None, size, tolerances[index])
        ], advance
    found, names = _proved(optimizer, weights, rules, mine, moved, tolerances, size)
    if names and not _tried(pair, first, found, names, rules, moved, tolerances, rate):
        found = trial.without_advice(found)
    return found, advance


def _tried(
    pair: Pair,
    weights: Sequence[Chosen],
    found: Sequence[Finding],
    names: Sequence[str],
    rules: Sequence[Rule],
    moved: Sequence[tuple],
    tolerances: Sequence[float],
    rate: float | None,
) -> bool:
    """Whether an optimizer that follows all advice does what PyTorch's does."""
    if "times" in names:
        return True  # said to be what no optimizer mends
    variables = [weight.variable for weight in weights]
    count = len(weights)
    for place in range(0, len(moved), count):
        made = trial.advised(pair.optimizer, names, found, rules[:count], variables)
        if made is None:
            return "kind" in names or _by_regularizers(names, rules)
        optimizer, regularized = made
        own = moved[place : place + count]
        given = rate if "lr" not in names else None
        ours = _of_keras(pair, weights, own, given, optimizer, regularized)
        _, ratio, _ = _farthest([v for _, _, v in own], ours, tolerances[place : place + count])
        if not ratio <= 1:
            return False
    return True


def _by_regularizers(names: Sequence[str], rules: Sequence[Rule]) -> bool:
    """Whether the advice is a regularizer for some weights, whose gradient is exact."""
    return "decay" in names and any(rule.l2 for rule in rules)


def _torch_rule(theirs: Any, weight: Chosen) -> Rule | None:
    parameters = weight.parameters(theirs.module)
    if not any(parameter.requires_grad for parameter in parameters):
        return Rule("sgd", 0.0)
    rule = optimizers.of_torch(theirs.optimizer, parameters[0])
    return rule if rule is None else replace(rule, times=weight.times)


def _keras_rules(
    pair: Pair,
    weights: Sequence[Chosen],
    moved: Sequence[tuple],
    ours: Sequence[Sequence[np.ndarray]],
    tolerances: Sequence[float],
    rate: float | None,
) -> list[Rule] | None:
    """Return the rules that do what Keras's optimizer did, or None if none do."""
    made = [optimizers.of_keras(pair.optimizer, w.variable, rate) for w in weights]
    ratios = {}
    for place in ("after", "before"):
        rules = [next((r for r in each if r.place == place), (each or [None])[0]) for each in made]
        if any(rule is None for rule in rules):
            return None
        far = max(
            _far(optimizers.run(rule, start, gradients), got) / tolerance
            for rule, (start, gradients, _), got, tolerance in zip(rules, moved, ours, tolerances)
        )
        ratios[place] = far, rules
    # Where epsilon hardly matters, it does not matter where it stands.
    after, before = ratios["after"][0], ratios["before"][0]
    far, rules = ratios["after"] if after <= max(4 * before, 1e-2) else ratios["before"]
    return rules if far <= 1 else None


def _far(values: Any, others: Any) -> float:
    return max(
        float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else math.inf
        for a, b in zip(values, others)
    )


def _farthest(
    theirs: Sequence[Sequence[np.ndarray]],
    ours: Sequence[Sequence[np.ndarray]],
    tolerances: Sequence[float],
) -> tuple[float, float, int]:
    size, ratio, place = 0.0, 0.0, 0
    for index, (a, b, tolerance) in enumerate(zip(theirs, ours, tolerances)):
        for one, other in zip(a, b):
            if one.shape != other.shape:
                continue
            far = float(np.abs(one - other).max(initial=0.0))
            if far / tolerance > ratio:
                size, ratio, place = far, far / tolerance, index
    return size, ratio, place


def _of_keras(
    pair: Pair,
    weights: Sequence[Chosen],
    moved: Sequence[tuple],
    rate: float | None,
    optimizer: keras.optimizers.Optimizer | None = None,
    regularized: bool = True,
) -> list[list[np.ndarray]]:
    """Return what Keras's optimizer makes of PyTorch's gradients: each weight after each step."""
    starts = [start for start, _, _ in moved]
    advance = _keras_steps(pair, weights, starts, rate, optimizer, regularized)
    steps = range(len(moved[0][1]))
    values = [advance([gradients[step] for _, gradients, _ in moved]) for step in steps]
    return [list(each) for each in zip(*values)]


def _keras_steps(
    pair: Pair,
    weights: Sequence[Chosen],
    starts: Sequence[np.ndarray],
    rate: float | None,
    optimizer: keras.optimizers.Optimizer | None = None,
    regularized: bool = True,
) -> Advance:
    """Return what updates the weights as Keras's own optimizer does, unclipped and unconstrained.

    Args:
        pair: Both sides.
        weights: The weights.
        starts: Their values before the first step.
        rate: The learning rate; None for that of an optimizer that is given.
        optimizer: The optimizer, not yet built; by default the port's own.
        regularized: Whether L2 regularizers of the weights count.
    """
    fresh = plain_optimizers.plain(pair.optimizer, rate) if optimizer is None else optimizer
    if optimizer is not None and rate is not None:
        fresh.learning_rate = rate
    _exclude_as_theirs(fresh, weights)
    trainable = [w.stepped for w in weights if w.variable.trainable]
    fresh.build(trainable)
    for weight, start in zip(weights, starts):
        if start.shape == tuple(weight.stepped.shape):
            weight.stepped.assign(start)

    def advance(gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
        given = []
        for weight, gradient in zip(weights, gradients):
            if weight.variable.trainable:
                value = ops.convert_to_numpy(weight.stepped)
                penalty = optimizers.l2_of(weight.variable) * value * regularized
                added = np.broadcast_to(gradient, value.shape) + penalty
                given.append(ops.convert_to_tensor(added.astype("float32")))
        with constraints.taken_off(trainable):
            fresh.apply(given, trainable)
        return [ops.convert_to_numpy(weight.stepped).copy() for weight in weights]

    return advance


def _exclude_as_theirs(optimizer: keras.optimizers.Optimizer, weights: Sequence[Chosen]) -> None:
    """Exclude from weight decay what stands for variables that are excluded."""
    excluded = getattr(optimizer, "_exclude_from_weight_decay", None)
    if excluded:
        own = {id(weight.stepped) for weight in weights if id(weight.variable) in excluded}
        optimizer._exclude_from_weight_decay = excluded | own
    optimizer._exclude_from_weight_decay_cache = {}


def _rule_steps(rules: Sequence[Rule], starts: Sequence[np.ndarray]) -> Advance:
    """Return what updates the weights as PyTorch does."""
    steppers = [Stepper(rule, start) for rule, start in zip(rules, starts)]
    return lambda gradients: [s.step(gradient) for s, gradient in zip(steppers, gradients)]


def _tolerances(record: Training) -> list[float]:
    """Return how far rounding may take each weight: PyTorch's optimizer in float64 tells."""
    # Adam divides by the root of 1 - beta_2 ** step, of which float32 has few digits at first; for
    # others, what is as small is a matter of rates, which the schedule has.
    groups = record.optimizer.param_groups
    betas = [float(group["betas"][1]) for group in groups if "betas" in group]
    digits = EPS / (1 - max([0.999, *betas]))
    found = []
    for way in record.ways:
        one = way.values[-1]
        rounding = float(np.abs(one - way.exact).max(initial=0.0))
        moved = largest(one - way.start)
        found.append(max(16 * rounding, 16 * EPS * largest(one), digits * moved, 1e-9))
    return found


def _proved(
    optimizer: keras.optimizers.Optimizer,
    weights: Sequence[Chosen],
    rules: Sequence[Rule],
    mine: Sequence[Rule],
    moved: Sequence[tuple],
    tolerances: Sequence[float],
    size: float,
) -> tuple[list[Finding], list[str]]:
    """Swap options of Keras's rules for PyTorch's until both agree, and keep what is needed."""
    names = ["kind", "lr", "betas", "epsilon", "place", "momentum", "nesterov", "rho", "centered"]
    names += ["amsgrad", "accumulator", "decay", "times"]
    active: set[str] = set()

    @contextlib.contextmanager
    def swapped(name: str) -> Iterator[None]:
        active.add(name)
        try:
            yield
        finally:
            active.discard(name)

    def divergence() -> float:
        worst = 0.0
        for theirs, ours, (start, gradients, expected), tolerance in zip(
            rules, mine, moved, tolerances
        ):
            fields = [f for name in active for f in (DECAY if name == "decay" else (name,))]
            rule = (
                theirs
                if "kind" in active
                else replace(ours, **{f: getattr(theirs, f) for f in fields})
            )
            got = optimizers.run(rule, start, gradients)
            far = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(got, expected))
            worst = max(worst, far / tolerance)
        return worst

    differing = [
        name
        for name in names
        if any(
            getattr(a, f) != getattr(b, f)
            for a, b in zip(rules, mine)
            for f in (DECAY if name == "decay" else (name,))
        )
    ]
    if "kind" in differing:
        differing = ["kind"]
    changes = [
        Change("optimizer", name, "", "", functools.partial(swapped, name)) for name in differing
    ]
    proved = prove(changes, divergence, 1.0)
    if not proved:
        return [
            Finding(
                "optimizer", UNEXPLAINED, "the same gradients move parameters otherwise", None, size
            )
        ], []
    needed = [change.name for change in proved]
    common = needed, optimizer, weights, rules, mine, size
    return [optimizers.described(name, *common) for name in needed], needed
