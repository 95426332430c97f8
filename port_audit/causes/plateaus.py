"""How a plateau callback judges, where the rates of the two sides part."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from port_audit.causes import advice
from port_audit.courses import MONITOR, Courses, is_plateau

# Causes, each as name, sentence, remedy; and the rates if they are undone.
Variant = tuple[list[tuple[str, str, str]], np.ndarray]
# What Keras's callback has no option for, and what it does instead.
OWN = {"threshold mode": "abs", "eps": 0.0}


def variants(courses: Courses) -> Iterator[Variant]:
    """Return the rates with options swapped for PyTorch's, the fewest first."""
    theirs = courses.pair.torch_training()[1]
    ours = next((c for c in courses.callbacks() if is_plateau(c)), None)
    if ours is None or not is_plateau(theirs):
        return
    wanted = {
        "patience": theirs.patience + 1,  # PyTorch acts when more than `patience` were bad
        "factor": theirs.factor,
        "mode": theirs.mode,
        "monitor": courses.pair.theirs.monitor or MONITOR,
        "min_delta": theirs.threshold,
        "cooldown": theirs.cooldown,
        "min_lr": float(theirs.min_lrs[0]),
        "threshold mode": theirs.threshold_mode,
        "eps": theirs.eps,
    }
    own = OWN | {key: getattr(ours, key) for key in wanted if key not in OWN}
    differing = [key for key, value in wanted.items() if own[key] != value]
    for size in range(1, len(differing) + 1):
        for names in itertools.combinations(differing, size):
            lines = _lines(ours, wanted, names)

            def change(made: list, names: Sequence[str] = names, lines: str = lines) -> None:
                for callback in filter(is_plateau, made):
                    for name in (each for each in names if each not in OWN):
                        setattr(callback, name, wanted[name])
                    if lines:
                        callback.__class__ = advice.built(lines, type(callback))
                    callback._reset()

            causes = [(n, _spoken(n, own, wanted), _written(n, wanted, lines)) for n in names]
            yield causes, courses.of_callbacks(change)


def _lines(
    ours: keras.callbacks.ReduceLROnPlateau, wanted: Mapping[str, Any], names: Sequence[str]
) -> str:
    relative, least = "threshold mode" in names, wanted["eps"] if "eps" in names else 0.0
    return advice.plateau(ours, relative, least) if relative or least else ""


def _spoken(name: str, own: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if name == "threshold mode":
        return (
            "min_delta is an amount; PyTorch's threshold is a share of the best value so far "
            "(threshold_mode='rel')"
        )
    if name == "eps":
        return f"PyTorch leaves out reductions of the rate by no more than eps={wanted[name]:g}"
    if name == "patience" and wanted[name] == own[name] + 1:
        return f"Keras acts after patience={own[name]} bad epochs, PyTorch after one more"
    if name == "patience":
        return f"Keras acts after {own[name]} bad epochs, PyTorch after {wanted[name]}"
    return f"{name} is {own[name]!r}, PyTorch's is {wanted[name]!r}"


def _written(name: str, wanted: Mapping[str, Any], lines: str) -> str:
    if name in OWN:
        return lines
    value = wanted[name]
    shown = f"{value:g}" if isinstance(value, int | float) else repr(value)
    return f"ReduceLROnPlateau({name}={shown})"
