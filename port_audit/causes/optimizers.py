"""Optimizers as plain values, computed in float64, so that each option can be swapped alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch

from port_audit.causes import advice
from port_audit.findings import Finding


@dataclass(frozen=True)
class Rule:
    """How one parameter is updated.

    Attributes:
        kind: "sgd", "adam", "rmsprop" or "adagrad".
        lr: Learning rate.
        betas: Of Adam.
        epsilon: Added to the root.
        place: "after" the bias correction of Adam or outside the root, as in PyTorch;
            "before" or inside, as in Keras.
        momentum: Of SGD and RMSprop.
        nesterov: Of SGD.
        rho: Of RMSprop.
        centered: Of RMSprop.
        amsgrad: Of Adam.
        accumulator: Where Adagrad's starts.
        l2: Times the parameter, is added to the gradient.
        decoupled: Times learning rate and parameter, is taken off the parameter.
        times: How often the same gradient moves it: two biases move their sum twice.
    """

    kind: str
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 0.0
    place: str = "after"
    momentum: float = 0.0
    nesterov: bool = False
    rho: float = 0.99
    centered: bool = False
    amsgrad: bool = False
    accumulator: float = 0.0
    l2: float = 0.0
    decoupled: float = 0.0
    times: int = 1


def run(rule: Rule, start: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the parameter after each step, float64."""
    stepper = Stepper(rule, start)
    return [stepper.step(gradient) for gradient in gradients]


class Stepper:
    """A parameter that is updated by a rule."""

    def __init__(self, rule: Rule, start: np.ndarray):
        self.rule, self.value, self.count = rule, start.astype(np.float64), 0
        self.first = np.zeros_like(self.value)
        self.second = np.full_like(self.value, rule.accumulator)
        self.third = np.zeros_like(self.value)

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """Update the parameter and return it."""
        r, self.count = self.rule, self.count + 1
        # Each of two biases decays by its own half.
        g = gradient.astype(np.float64) + r.l2 * self.value / r.times
        self.value = self.value * (1 - r.lr * r.decoupled)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.value = self.value - r.times * r.lr * getattr(self, f"_{r.kind}")(g)
        return self.value

    def _sgd(self, g: np.ndarray) -> np.ndarray:
        r = self.rule
        if not r.momentum:
            return g
        self.first = r.momentum * self.first + g
        return g + r.momentum * self.first if r.nesterov else self.first

    def _adam(self, g: np.ndarray) -> np.ndarray:
        r = self.rule
        b1, b2 = r.betas
        self.first = b1 * self.first + (1 - b1) * g
        self.second = b2 * self.second + (1 - b2) * g * g
        second = self.second
        if r.amsgrad:
            self.third = np.maximum(self.third, second)
            second = self.third
        correction = np.sqrt(1 - b2**self.count)
        epsilon = r.epsilon if r.place == "after" else r.epsilon / correction
        mean = self.first / (1 - b1**self.count)
        return np.nan_to_num(mean / (np.sqrt(second) / correction + epsilon), nan=0.0)

    def _rmsprop(self, g: np.ndarray) -> np.ndarray:
        r = self.rule
        self.second = r.rho * self.second + (1 - r.rho) * g * g
        second = self.second
        if r.centered:
            self.third = r.rho * self.third + (1 - r.rho) * g
            second = second - self.third**2
        root = np.sqrt(second) + r.epsilon if r.place == "after" else np.sqrt(second + r.epsilon)
        move = np.nan_to_num(g / root, nan=0.0)
        if not r.momentum:
            return move
        self.first = r.momentum * self.first + move
        return self.first

    def _adagrad(self, g: np.ndarray) -> np.ndarray:
        r = self.rule
        self.second = self.second + g * g
        root = (
            np.sqrt(self.second) + r.epsilon
            if r.place == "after"
            else np.sqrt(self.second + r.epsilon)
        )
        return np.nan_to_num(g / root, nan=0.0)


def of_torch(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> Rule | None:
    """Return the rule by which PyTorch updates a parameter, or None if it is another one."""
    group = next(
        (g for g in optimizer.param_groups if any(p is parameter for p in g["params"])), None
    )
    if group is None:
        return Rule("sgd", 0.0)  # a parameter that the optimizer does not know
    decay = float(group.get("weight_decay", 0.0))
    common: dict[str, Any] = {"lr": float(group["lr"]), "epsilon": float(group.get("eps", 0.0))}
    decoupled = isinstance(optimizer, torch.optim.AdamW) or group.get(
        "decoupled_weight_decay", False
    )
    common |= {"decoupled": decay} if decoupled else {"l2": decay}
    match optimizer:
        case torch.optim.SGD() if not group["dampening"]:
            momentum = float(group["momentum"])
            return Rule("sgd", momentum=momentum, nesterov=bool(group["nesterov"]), **common)
        case torch.optim.Adam() | torch.optim.AdamW():
            one, two = map(float, group["betas"])
            return Rule("adam", betas=(one, two), amsgrad=bool(group["amsgrad"]), **common)
        case torch.optim.RMSprop():
            return Rule(
                "rmsprop",
                rho=float(group["alpha"]),
                momentum=float(group["momentum"]),
                centered=bool(group["centered"]),
                **common,
            )
        case torch.optim.Adagrad() if not group["lr_decay"]:
            return Rule("adagrad", accumulator=float(group["initial_accumulator_value"]), **common)
    return None


def of_keras(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable, rate: float
) -> list[Rule]:
    """Return the rules by which Keras may update a variable: stock formulas and PyTorch's.

    Args:
        optimizer: The optimizer.
        variable: The variable.
        rate: The learning rate.
    """
    if not variable.trainable:
        return [Rule("sgd", 0.0)]
    decay = float(optimizer.weight_decay or 0.0)
    if decay and not optimizer._use_weight_decay(variable):
        decay = 0.0
    common: dict[str, Any] = {
        "lr": rate,
        "decoupled": decay,
        "l2": float(getattr(optimizer, "l2", 0.0)) + l2_of(variable),
        "epsilon": float(getattr(optimizer, "epsilon", 0.0) or 0.0),
    }
    names = [cls.__name__ for cls in type(optimizer).__mro__]
    if "Nadam" in names or "Adamax" in names:
        return []
    if "SGD" in names:
        return [
            Rule("sgd", momentum=float(optimizer.momentum), nesterov=optimizer.nesterov, **common)
        ]
    if "Adam" in names:
        betas = (float(optimizer.beta_1), float(optimizer.beta_2))
        rule = Rule("adam", betas=betas, amsgrad=bool(optimizer.amsgrad), **common)
    elif "RMSprop" in names:
        rule = Rule(
            "rmsprop",
            rho=float(optimizer.rho),
            momentum=float(optimizer.momentum),
            centered=bool(optimizer.centered),
            **common,
        )
    elif "Adagrad" in names:
        rule = Rule("adagrad", accumulator=float(optimizer.initial_accumulator_value), **common)
    else:
        return []
    return [replace(rule, place="before"), rule]


def l2_of(variable: keras.Variable) -> float:
    """Return how many times a variable its L2 regularizer adds to the gradient."""
    return 2 * float(getattr(getattr(variable, "regularizer", None), "l2", 0.0) or 0.0)


def finding(
    name: str, cause: str, write: str | None, size: float, tolerance: float | None = None
) -> Finding:
    """Return a finding about the optimizer."""
    return Finding("optimizer", name, cause, write, size, tolerance)


def described(
    name: str,
    proved: Sequence[str],
    optimizer: keras.optimizers.Optimizer,
    weights: Sequence,
    rules: Sequence[Rule],
    mine: Sequence[Rule],
    size: float,
) -> Finding:
    """Return the finding of an option.

    Args:
        name: Name of the option.
        proved: Names of all options in which the optimizers differ.
        optimizer: Keras's optimizer.
        weights: What they update.
        rules: PyTorch's rule for each.
        mine: Keras's.
        size: How far parameters are apart.
    """
    pairs = [(a, b) for a, b in zip(rules, mine) if a != b]
    field = "l2" if name == "decay" else name
    theirs, ours = next(
        ((a, b) for a, b in pairs if getattr(a, field) != getattr(b, field)), pairs[0]
    )
    if name == "decay":
        return _decay(optimizer, "place" in proved, weights, rules, mine, size)
    a, b = getattr(theirs, name), getattr(ours, name)
    match name:
        case "kind":
            return finding(
                "optimizer", f"it is {b}, PyTorch's is {a}", f"keras.optimizers: {a}", size
            )
        case "lr":
            return finding(
                "learning rate", f"it is {b:g}, PyTorch's is {a:g}", f"learning_rate={a:g}", size
            )
        case "betas":
            return finding(
                "betas",
                f"they are {b}, PyTorch's are {a}",
                f"beta_1={a[0]:g}, beta_2={a[1]:g}",
                size,
            )
        case "epsilon":
            return finding(
                "optimizer epsilon", f"it is {b:g}, PyTorch's is {a:g}", f"epsilon={a:g}", size
            )
        case "place":
            text = (
                "epsilon is added before the bias correction, in PyTorch after it"
                if theirs.kind == "adam"
                else "epsilon is added inside the root, in PyTorch outside"
            )
            write = advice.epsilon_place(
                optimizer, theirs.kind, bool(theirs.momentum), theirs.centered
            )
            return finding("epsilon place", text, write, size)
        case "times":
            return finding(
                "two biases",
                "LSTM has one bias; PyTorch's two get the same gradient, so that their sum moves "
                "twice as far",
                "use_bias=False, and a layer of your own with two biases; or bias=False in both",
                size,
            )
        case "momentum":
            return finding(
                "optimizer momentum", f"it is {b:g}, PyTorch's is {a:g}", f"momentum={a:g}", size
            )
        case "accumulator":
            return finding(
                "accumulator",
                f"it starts at {b:g}, PyTorch's at {a:g}",
                f"initial_accumulator_value={a:g}",
                size,
            )
    return finding(name, f"{name} is {b}, PyTorch's is {a}", f"{name}={a}", size)


def _decay(
    optimizer: keras.optimizers.Optimizer,
    placed: bool,
    weights: Sequence,
    rules: Sequence[Rule],
    mine: Sequence[Rule],
    size: float,
) -> Finding:
    kernels = [(a, b) for w, a, b in zip(weights, rules, mine) if "kernel" in w.role]
    theirs, ours = kernels[0] if kernels else (rules[0], mine[0])
    wanted = theirs.l2 or theirs.decoupled
    l2 = advice.l2(optimizer, theirs.l2, placed)
    agree = all(
        math.isclose(a.l2, b.l2) and math.isclose(a.decoupled, b.decoupled) for a, b in kernels
    )
    excluded = [w for w, a in zip(weights, rules) if a.lr and not (a.l2 or a.decoupled)]
    if kernels and agree:
        if excluded:
            names = sorted({w.variable.name for w in excluded})
            write = f"optimizer.exclude_from_weight_decay(var_names={names}), before it is built"
            if theirs.l2:
                write = f"L2({theirs.l2 / 2:g}) for kernels, and no other decay"
        else:
            write = l2 if theirs.l2 else f"weight_decay={theirs.decoupled:g}, without exclusions"
        return finding(
            "decay of biases",
            "kernels decay alike, but biases and norms do not decay as in PyTorch",
            write,
            size,
        )
    if theirs.l2 and ours.decoupled and not ours.l2:
        return finding(
            "decoupled decay",
            f"weight_decay={ours.decoupled:g} is decoupled, as in AdamW; PyTorch adds "
            f"{theirs.l2:g} times the parameter to the gradient",
            l2,
            size,
        )
    if theirs.decoupled and ours.l2 and not ours.decoupled:
        return finding(
            "coupled decay",
            f"a penalty adds {ours.l2:g} times the parameter to the gradient; PyTorch's decay "
            "is decoupled",
            f"AdamW(weight_decay={theirs.decoupled:g}) and no regularizer",
            size,
        )
    if theirs.l2 and math.isclose(ours.l2, 2 * theirs.l2, rel_tol=1e-6):
        return finding(
            "decay factor",
            f"L2(c) adds 2c times the parameter: {ours.l2:g}, PyTorch's weight_decay adds "
            f"{theirs.l2:g}",
            l2 if not excluded else f"L2({theirs.l2 / 2:g}) for kernels, and no other decay",
            size,
        )
    return finding(
        "weight decay",
        f"it is {ours.l2 or ours.decoupled:g}, PyTorch's is {wanted:g}",
        (f"weight_decay={wanted:g}" if theirs.decoupled else l2) if wanted else "no decay",
        size,
    )
