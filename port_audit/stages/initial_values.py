"""Stage 3: the distribution of each parameter before training."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import torch
from scipy import stats

from port_audit.causes import dependence
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.forced import Match
from port_audit.ledger.entries import PORT
from port_audit.nets import kinds
from port_audit.nets.blocks import Loose
from port_audit.nets.torch_net import array
from port_audit.pair import Pair
from port_audit.samples import call, some
from port_audit.sides import make

SEEDS = 4  # models made on each side
MOST = 20_000  # values of a parameter that are compared, also of each model
ENOUGH = 8_000  # where a parameter has few values, more models are made
MOST_MODELS = 64
LEAST = 40  # values in a slice
TRUNCATED = 0.879626  # the spread of a normal truncated at twice its spread, relative to it
CHANCE = 1e-9  # that equal distributions are taken for different ones


@dataclass(frozen=True)
class Candidate:
    """A distribution that PyTorch's may be, and how it is written in Keras."""

    write: str
    make: Callable[[], Callable]  # an initializer draws the same values each time


def compare(pair: Pair) -> Stage:
    """Make models anew with several seeds and compare what their parameters start as."""
    theirs = _of_torch(pair)
    ours = _of_keras(pair)
    if theirs is None or ours is None:
        return Stage(
            "initial values",
            "needs functions that make models, got finished ones",
            ran=False,
        )
    found: dict[tuple, list] = {}
    count, least = 0, 1.0
    for index, match in enumerate(pair.matches):
        for role, names in _roles(match).items():
            known = [theirs[name] for name in names if name in theirs]
            if (index, role) not in ours or not known or match.acting is not match.layer:
                continue  # a layer of another shape starts otherwise, too
            one: Any = np.concatenate(known)
            other = ours[index, role]
            count += 1
            chance = similarity(one, other)
            least = min(least, chance)
            if chance < CHANCE:
                key = _cause(match, role, one)
                found.setdefault(key, []).append((match, role, one, other))
        pair.ledger.settle("initial values", f"layers.{match.layer.name}")
    findings = [_finding(key, places) for key, places in found.items()]
    apart = {id(match) for places in found.values() for match, *_ in places}
    alike = [m for m in pair.matches if id(m) not in apart and m.acting is m.layer]
    findings += dependence.compare(pair, alike)
    fixed = {name for name, values in theirs.items() if _fixed(values, _models(pair))}
    fixed_here = {key for key, values in ours.items() if _fixed(values, SEEDS)}
    findings += _moved(pair, fixed, fixed_here)
    for index, each in enumerate(pair.loose):
        one = sum(theirs[name] for name in each.names)
        other = ours["loose", index]
        count += 1
        if similarity(one, other) < CHANCE:
            findings.append(_of_loose(each, one, other))
    for each in pair.loose:
        for layer in each.layer._flatten_layers():
            pair.ledger.settle("initial values", f"layers.{layer.name}", side=PORT)
    return Stage(
        "initial values",
        f"{count} parameters over {SEEDS} seeds",
        None,
        None,
        tuple(findings),
    )


def _fixed(values: np.ndarray, models: int) -> bool:
    """Whether a parameter starts with the same values in all models."""
    drawn = values[: len(values) // models * models].reshape(models, -1)
    return bool((drawn == drawn[0]).all())


def _moved(pair: Pair, fixed: set[str], fixed_here: set[tuple]) -> Iterator[Finding]:
    """What starts with the same fixed values on both sides, but at other places."""
    values = pair.torch.values()
    made = {id(v): value for v, value in zip(pair.keras.model.variables, pair.keras.made)}
    found: list[tuple[str, Any, Any]] = []
    for index, match in enumerate(pair.matches):
        carried = kinds.carried(match.layer, match.unit.weights(values), match.order)
        own = kinds.variables(match.layer)
        found += [
            (f"{match.layer.name}/{role}", carried.get(role), made.get(id(own[role])))
            for role, names in _roles(match).items()
            if role in own and (index, role) in fixed_here and fixed.issuperset(names)
        ]
    found += [
        (each.name, each.convert(values), made.get(id(each.variable)))
        for index, each in enumerate(pair.loose)
        if ("loose", index) in fixed_here and fixed.issuperset(each.names)
    ]
    for where, one, other in found:
        if one is None or other is None or one.shape != other.shape or np.allclose(one, other):
            continue
        if np.allclose(np.sort(one, None), np.sort(other, None)):
            cause = "it starts with the values of PyTorch, but at other places"
            yield Finding(where, "initial values", cause, None)


def _of_loose(loose: Loose, theirs: np.ndarray, ours: np.ndarray) -> Finding:
    spread = theirs.std()
    write = f"initial values with a standard deviation of {spread:.3g}"
    if np.ptp(theirs) == 0:
        write = f"Constant({theirs[0]:g})"
    cause = f"it starts with {_described(ours)}, in PyTorch with {_described(theirs)}"
    return Finding(loose.name, "initial values", cause, write)


def _finding(key: tuple[str, str], places: Sequence[tuple]) -> Finding:
    name, write = key
    where = ", ".join(dict.fromkeys(f"{m.layer.name}/{role}" for m, role, _, _ in places[:4]))
    where += f" and {len(places) - 4} more" if len(places) > 4 else ""
    _, _, one, other = places[0]
    cause = f"they start with {_described(other)}, in PyTorch with {_described(one)}"
    return Finding(where, name, cause, write)


def _described(values: np.ndarray) -> str:
    if np.ptp(values) == 0:
        return f"{values[0]:g}"
    if len(np.unique(values)) <= 4:
        return " or ".join(f"{v:g}" for v in np.unique(values))
    return f"std {values.std():.3g}, at most {np.abs(values).max():.3g}"


def _roles(match: Match) -> dict[str, list[str]]:
    """Return the full names of PyTorch's parameters that make a weight of Keras, by role."""
    roles = {
        "weight": "gamma" if match.unit.kind.endswith("norm") else "kernel",
        "bias": "beta" if match.unit.kind.endswith("norm") else "bias",
        "weight_ih": "kernel",
        "weight_hh": "recurrent_kernel",
        "bias_ih": "bias",
        "bias_hh": "bias",
    }
    if match.unit.kind == "embedding":
        roles["weight"] = "embeddings"
    if match.unit.kind == "prelu":
        roles["weight"] = "alpha"
    result: dict[str, list[str]] = {}
    for own, full in match.unit.names.items():
        if own in roles:
            result.setdefault(roles[own], []).append(full)
    if match.unit.kind == "lstm" and "bias" in result:
        result.pop("bias")  # a sum of two, see `_of_torch`
        result["bias"] = [f"{match.unit.name}+bias"]
    return result


def _of_torch(pair: Pair) -> dict[str, np.ndarray] | None:
    model = pair.theirs.model
    if isinstance(model, torch.nn.Module):
        return None
    collected: dict[str, list] = {}
    for seed in range(_models(pair)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + seed)
            module = make(model, torch.nn.Module, "original").cpu()
            if any(isinstance(p, torch.nn.UninitializedParameter) for p in module.parameters()):
                with torch.no_grad():
                    call(module, pair.torch_inputs)
        values = {n: array(v) for n, v in module.named_parameters(remove_duplicate=False)}
        for name, part in module.named_modules():
            for own in kinds.made_weights(part):
                values[f"{name}.{own}".lstrip(".")] = array(getattr(part, own))
        for match in pair.matches:
            if match.unit.kind == "lstm" and "bias_ih" in match.unit.names:
                names = match.unit.names
                values[f"{match.unit.name}+bias"] = (
                    values[names["bias_ih"]] + values[names["bias_hh"]]
                )
        for name, value in values.items():
            collected.setdefault(name, []).append(some(value, MOST))
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def _of_keras(pair: Pair) -> dict[tuple, np.ndarray] | None:
    model = pair.ours.model
    if isinstance(model, keras.Model):
        return None
    order = {id(variable): index for index, variable in enumerate(pair.keras.model.variables)}
    collected: dict[tuple, list] = {}
    for seed in range(SEEDS):
        keras.utils.set_random_seed(2000 + seed)
        made = make(model, keras.Model, "port")
        if not made.built or not made.weights:
            made(pair.keras_inputs)
        if len(made.variables) != len(order):
            return None
        for index, match in enumerate(pair.matches):
            if match.acting is not match.layer:
                continue  # its shape is another, which is found before
            for role, variable in kinds.variables(match.layer).items():
                values = keras.ops.convert_to_numpy(made.variables[order[id(variable)]])
                collected.setdefault((index, role), []).append(some(values, MOST))
        for index, each in enumerate(pair.loose):
            variable = made.variables[order[id(each.variable)]]
            values = keras.ops.convert_to_numpy(variable)
            collected.setdefault(("loose", index), []).append(some(values, MOST))
    found = {key: np.concatenate(parts) for key, parts in collected.items()}
    for index, match in enumerate(pair.matches):
        for role in kinds.variables(match.layer):
            if (index, role) in found:
                found[index, role] = _redrawn(match.layer, role, found[index, role])
    return found


def _models(pair: Pair) -> int:
    """Return how many models PyTorch makes, so that small layers have enough values."""
    sizes = [p.numel() for p in pair.torch.parameters().values() if p.ndim > 1]
    if not sizes:
        return SEEDS
    most = min(MOST_MODELS, 4_000_000 // sum(sizes))
    return max(SEEDS, min(most, math.ceil(ENOUGH / min(sizes))))


def _redrawn(layer: keras.layers.Layer, role: str, values: np.ndarray) -> np.ndarray:
    """Return more values of a weight that has few, drawn by its own initializer."""
    holder = layer.cell if kinds.keras_kind(layer) in kinds.RECURRENT else layer
    names = f"{role}_initializer", "depthwise_initializer"
    made = next((getattr(holder, n) for n in names if getattr(holder, n, None) is not None), None)
    if not isinstance(made, keras.initializers.Initializer) or np.ptp(values) == 0:
        return values
    config, shape = made.get_config(), tuple(kinds.variables(layer)[role].shape)
    if config.get("seed") is not None or getattr(holder, "unit_forget_bias", False):
        return values
    missing = min(MOST_MODELS, math.ceil((ENOUGH - len(values)) / max(1, math.prod(shape))))
    drawn = [
        keras.ops.convert_to_numpy(type(made).from_config(config)(shape)).ravel()
        for _ in range(max(0, missing))
    ]
    if not drawn or similarity(values, np.concatenate(drawn)) < 1e-4:
        return values  # the model does something else with it
    return np.concatenate([values, *drawn])


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the chance of so different samples if the distributions are the same."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        equal = np.ptp(one) == 0 and np.ptp(other) == 0 and np.isclose(one[0], other[0])
        return 1.0 if equal else 0.0
    one, other = _thinned(one), _thinned(other)
    whole = float(stats.ks_2samp(one, other, method="asymp").pvalue)
    return min(1.0, 2 * min(whole, _tails(one, other)))


def _tails(one: np.ndarray, other: np.ndarray) -> float:
    """Return the same chance, from how many values lie in slices that are thin at the ends.

    A truncated normal with the same spread hardly differs but there.
    """
    together = np.sort(np.concatenate([one, other]))
    shares = np.array([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25])
    enough = shares[shares * len(together) >= LEAST]
    if not len(enough):
        return 1.0
    cuts = np.quantile(together, [*enough, 0.5, *(1 - enough[::-1])])
    counts = [np.bincount(np.searchsorted(cuts, v), minlength=len(cuts) + 1) for v in (one, other)]
    table = np.array(counts)[:, np.sum(counts, 0) >= LEAST]
    if table.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _thinned(values: np.ndarray) -> np.ndarray:
    step = math.ceil(len(values) / MOST)
    return np.sort(values[::step])


def _candidates(match: Match, role: str, theirs: np.ndarray) -> Iterator[Candidate]:
    made = keras.initializers
    rows = match.weights.get("weight", match.weights.get("weight_hh"))
    # PyTorch's fan_in is the size of the axes behind the first, of transposed kernels, too.
    fan_in = rows.shape[1] if match.unit.kind in kinds.RECURRENT else math.prod(rows.shape[1:])
    bound = 1 / math.sqrt(max(fan_in, 1))
    fan = "units" if match.unit.kind in kinds.RECURRENT else "fan_in"
    uniform = f"RandomUniform(-b, b) with b = {fan} ** -0.5"
    if role == "bias" and match.unit.kind == "lstm":
        yield Candidate(f"the sum of two draws of {uniform}", lambda: _TwoUniform(bound))
    if role in ("kernel", "recurrent_kernel", "bias"):
        yield Candidate(uniform, lambda: made.RandomUniform(-bound, bound))
    if role in ("kernel", "recurrent_kernel"):
        for factor, mode in (
            (1 / 3, "fan_in"),
            (2, "fan_in"),
            (1, "fan_in"),
            (1, "fan_avg"),
            (2, "fan_out"),
        ):
            for kind in ("uniform", "untruncated_normal"):
                number = "1 / 3" if factor < 1 else f"{factor}"
                yield Candidate(
                    f"VarianceScaling({number}, '{mode}', '{kind}')",
                    functools.partial(made.VarianceScaling, factor, mode, kind),
                )
        yield Candidate("'orthogonal'", made.Orthogonal)
    spread = float(f"{theirs.std():.3g}") or 1.0
    yield Candidate(
        f"TruncatedNormal(stddev={spread / TRUNCATED:.4g})",
        lambda: made.TruncatedNormal(stddev=spread / TRUNCATED),
    )
    for spread in (1.0, 0.02, 0.01):
        yield Candidate(
            f"RandomNormal(stddev={spread:g})", functools.partial(made.RandomNormal, stddev=spread)
        )


class _TwoUniform:
    def __init__(self, bound: float):
        self.bound = bound

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        one = keras.random.uniform(shape, -self.bound, self.bound, dtype)
        return one + keras.random.uniform(shape, -self.bound, self.bound, dtype)


def _cause(match: Match, role: str, theirs: np.ndarray) -> tuple[str, str | None]:
    """Return name and remedy, proved by drawing from Keras's initializer."""
    shape = tuple(kinds.variables(match.layer)[role].shape)
    option = {"kernel": "kernel", "recurrent_kernel": "recurrent"}.get(role, role)
    keras.utils.set_random_seed(3000)
    if np.ptp(theirs) == 0:
        return "initial values", f"{option}_initializer=Constant({theirs[0]:g})"
    for candidate in _candidates(match, role, theirs):
        draws = max(2, min(40, 2000 // max(1, math.prod(shape))))
        drawn = [keras.ops.convert_to_numpy(candidate.make()(shape)).ravel() for _ in range(draws)]
        if similarity(theirs, np.concatenate(drawn)) >= 1e-4:
            return "initial values", f"{option}_initializer={candidate.write}"
    spread = (theirs.min(), theirs.max(), theirs.std())
    for write, values in (
        (
            f"RandomNormal(stddev={spread[2]:.3g})",
            np.random.default_rng(0).normal(0, spread[2], MOST),
        ),
        (
            f"RandomUniform({spread[0]:.3g}, {spread[1]:.3g})",
            np.random.default_rng(0).uniform(spread[0], spread[1], MOST),
        ),
    ):
        if similarity(theirs, values) >= 1e-4:
            return "initial values", f"{option}_initializer={write}"
    return UNEXPLAINED, None
