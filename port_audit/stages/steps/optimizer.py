"""Part of stage 6: both optimizers, given the same gradients."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from port_audit import plain_optimizers
from port_audit.causes import optimizers
from port_audit.causes.optimizers import Rule, Stepper
from port_audit.changes import Change, prove
from port_audit.courses import Courses
from port_audit.distances import EPS, largest
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.forced import Match
from port_audit.nets import kinds, torch_net
from port_audit.nets.blocks import Loose
from port_audit.pair import Pair
from port_audit.stages.steps import constraints, trial

DECAY = ("l2", "decoupled")
# Takes the gradients of all weights, returns the weights after a step.
Advance = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


@dataclass
class Weight:
    """A weight of a matched layer: its role and its variable."""

    match: Match
    role: str
    variable: keras.Variable

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return f"{self.match.where} ({self.role})"

    def carried(self, values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        """Return PyTorch's values of it, in Keras's layout."""
        unit = self.match.unit
        own = unit.weights(values)
        own = {name: array for name, array in own.items() if "running" not in name}
        arrays = kinds.carried(self.match.layer, own, self.match.order, gradients)
        return arrays.get(self.role, np.zeros(()))

    def parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        """Return the parameters of PyTorch that it stands for."""
        named = dict(module.named_parameters(remove_duplicate=False))
        names = kinds.stands_for(self.match.unit.names, self.role)
        return [named[name] for name in names if name in named]

    def trained(self, module: torch.nn.Module) -> bool:
        """Whether PyTorch trains it."""
        return any(parameter.requires_grad for parameter in self.parameters(module))

    @property
    def times(self) -> int:
        """Return how often the same gradient moves it: once for each of an LSTM's biases."""
        summed = self.match.unit.kind == "lstm" and self.role == "bias"
        return len(kinds.stands_for(self.match.unit.names, self.role)) if summed else 1


@dataclass
class LooseWeight:
    """A weight of a layer of no known kind."""

    loose: Loose

    @property
    def variable(self) -> keras.Variable:
        """Return the variable of the port."""
        return self.loose.variable

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return self.loose.name

    @property
    def role(self) -> str:
        """Return the name of the variable, such as "kernel"."""
        return self.loose.variable.name

    def carried(self, values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        """Return PyTorch's values of it, in Keras's layout."""
        return self.loose.convert(values, gradients=gradients)

    def parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        """Return the parameters of PyTorch that it stands for."""
        named = dict(module.named_parameters(remove_duplicate=False))
        return [named[name] for name in self.loose.names]

    def trained(self, module: torch.nn.Module) -> bool:
        """Whether PyTorch trains it."""
        return any(parameter.requires_grad for parameter in self.parameters(module))

    @property
    def times(self) -> int:
        """Return how often the same gradient moves it: once for each bias in a sum."""
        return len(self.loose.names)


AnyWeight = Weight | LooseWeight


def compare_optimizers(
    pair: Pair, records: Sequence[Any], weights: Sequence[AnyWeight], courses: Courses
) -> tuple[list[Finding], Advance | None]:
    """Compare where the same gradients take the parameters.

    Args:
        pair: Both sides.
        records: Trainings of PyTorch, with the gradients that its optimizer was given.
        weights: What is compared.
        courses: How rates move.

    Returns:
        The findings, and what does as PyTorch's optimizer does, or None if that is unknown.
    """
    theirs, rate = records[0], float(courses.ours[courses.reference])
    moved, ours, tolerances = [], [], []
    for record in records:
        own = [
            (
                weight.carried(record.start),
                [weight.carried(g, gradients=True) for g in record.gradients],
                [weight.carried(v) for v in record.values],
            )
            for weight in weights
        ]
        moved += own
        ours += _of_keras(pair, weights, own, rate)
        tolerances += _tolerances(record, weights, courses)
    starts = [start for start, _, _ in moved[: len(weights)]]
    rules = [_torch_rule(theirs, weight) for weight in weights] * len(records)
    first, weights = weights, [*weights] * len(records)
    size, ratio, index = _farthest([v for _, _, v in moved], ours, tolerances)
    if ratio <= 1:
        return [], _keras_steps(pair, first, starts, rate)
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
    weights: Sequence[AnyWeight],
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


def _torch_rule(theirs: Any, weight: AnyWeight) -> Rule | None:
    parameters = weight.parameters(theirs.module)
    if not any(parameter.requires_grad for parameter in parameters):
        return Rule("sgd", 0.0)
    rule = optimizers.of_torch(theirs.optimizer, parameters[0])
    return rule if rule is None else replace(rule, times=weight.times)


def _keras_rules(
    pair: Pair,
    weights: Sequence[AnyWeight],
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
    weights: Sequence[AnyWeight],
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
    weights: Sequence[AnyWeight],
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
    trainable = [w for w in weights if w.variable.trainable]
    fresh.build([w.variable for w in trainable])
    for weight, start in zip(weights, starts):
        if start.shape == tuple(weight.variable.shape):
            weight.variable.assign(start)

    def advance(gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
        given = []
        for weight, gradient in zip(weights, gradients):
            if weight.variable.trainable:
                value = ops.convert_to_numpy(weight.variable)
                penalty = optimizers.l2_of(weight.variable) * value * regularized
                whole = np.broadcast_to(gradient, value.shape) + penalty
                given.append(ops.convert_to_tensor(whole.astype("float32")))
        with constraints.taken_off(w.variable for w in trainable):
            fresh.apply(given, [w.variable for w in trainable])
        return [ops.convert_to_numpy(weight.variable).copy() for weight in weights]

    return advance


def _rule_steps(rules: Sequence[Rule], starts: Sequence[np.ndarray]) -> Advance:
    """Return what updates the weights as PyTorch does."""
    steppers = [Stepper(rule, start) for rule, start in zip(rules, starts)]
    return lambda gradients: [s.step(gradient) for s, gradient in zip(steppers, gradients)]


def _tolerances(theirs: Any, weights: Sequence[AnyWeight], courses: Courses) -> list[float]:
    """Return how far rounding may take each weight: PyTorch's optimizer in float64 tells."""
    named = {
        name: torch.nn.Parameter(torch.from_numpy(v).double()) for name, v in theirs.start.items()
    }
    order = [name for name, _ in theirs.module.named_parameters()]
    own = dict(theirs.module.named_parameters())
    for name in order:
        named[name].requires_grad_(own[name].requires_grad)
    optimizer = courses.optimizer(iter([named[name] for name in order]))
    for gradients in theirs.gradients:
        for name in order:
            if own[name].requires_grad:
                named[name].grad = torch.from_numpy(gradients[name]).double()
        optimizer.step()
    for alias, parameter in theirs.module.named_parameters(remove_duplicate=False):
        named[alias] = named[next(n for n in order if own[n] is parameter)]
    exact = {name: torch_net.array(p) for name, p in named.items()}
    # Adam divides by the root of 1 - beta_2 ** step, of which float32 has few digits at first; for
    # others, what is as small is a matter of rates, which the schedule has.
    betas = [float(group["betas"][1]) for group in optimizer.param_groups if "betas" in group]
    digits = EPS / (1 - max([0.999, *betas]))
    found = []
    for weight in weights:
        one, other = weight.carried(theirs.values[-1]), weight.carried(exact)
        rounding = float(np.abs(one - other).max(initial=0.0))
        way = largest(one - weight.carried(theirs.start))
        found.append(max(16 * rounding, 16 * EPS * largest(one), digits * way, 1e-9))
    return found


def _proved(
    optimizer: keras.optimizers.Optimizer,
    weights: Sequence[AnyWeight],
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
