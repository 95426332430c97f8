"""Part of stages 2 and 5: what the data lack, such as a class, a padded sequence, a large number.

Both sides do the same with the data, so it is no difference; with other data it would be one.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from port_audit.changes import attributes
from port_audit.ledger.entries import ORIGINAL, Entry
from port_audit.pair import Pair
from port_audit.samples import count

# Takes targets and outputs before their end.
Loss = Callable[[Any, Any], float]
TOLERANCE = 1e-4  # relative
LARGE = 1000.0  # times outputs
ROWS = 192  # samples that are looked through
USUAL = -100  # the class that PyTorch ignores if nothing is said


def differing(pair: Pair, samples: Sequence[tuple], theirs: Loss, ours: Loss) -> Iterator[Entry]:
    """Return an entry for what the losses make of each thing that targets or outputs lack.

    Args:
        pair: Both sides.
        samples: Targets and outputs before their end, on which the losses agree.
        theirs: PyTorch's loss.
        ours: The port's.
    """
    y, u = samples[0]
    for path, value, targets in _targets(pair, y, u):
        if _part(theirs, ours, targets, u):
            yield Entry(ORIGINAL, path, f"{value} (the losses differ there; the data have none)")
    # Probabilities of large numbers are 0 and 1, of which each loss has its own logarithm.
    if _is_regression(pair) and _part(theirs, ours, y, LARGE * u):
        text = f"{LARGE:g} times the usual (the losses differ there)"
        yield Entry(ORIGINAL, "loss with large outputs", text)


def _is_regression(pair: Pair) -> bool:
    y = pair.y
    return isinstance(y, np.ndarray) and y.dtype.kind == "f" and not set(np.unique(y)) <= {0.0, 1.0}


def _targets(pair: Pair, y: Any, u: Any) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Return what targets may lack: where it stands, its value, and targets with it."""
    if not isinstance(y, np.ndarray) or not y.size:
        return
    random, known = np.random.default_rng(0), np.unique(np.asarray(pair.y))
    if y.dtype.kind in "iu" and u.shape[-1] > 1:
        absent = sorted(set(range(u.shape[-1])) - set(known.tolist()))
        if absent:
            shown = f"{absent[:3]} and {len(absent) - 3} more" if len(absent) > 4 else absent
            yield "loss with classes", shown, _with(y, random.choice(absent, y.shape))
        for path, value in _ignored(pair):
            if value not in known:
                yield path, value, _with(y, np.full(y.shape, value))
    elif y.dtype.kind == "f" and set(known.tolist()) <= {0.0, 1.0}:
        flat = np.asarray(pair.y).reshape(-1, y.shape[-1] if y.ndim > 1 else 1)
        if np.ptp(flat, axis=0).min() == 0:
            yield (
                "loss with classes",
                "0 and 1 of each",
                random.integers(0, 2, y.shape).astype(y.dtype),
            )


def _with(y: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return targets of which every other one is another."""
    mixed = y.copy().reshape(-1)
    mixed[::2] = others.reshape(-1)[::2]
    return mixed.reshape(y.shape)


def _ignored(pair: Pair) -> Iterator[tuple[str, int]]:
    """Return the class that each side leaves out, with where it stands."""
    theirs = getattr(pair.theirs.loss, "ignore_index", USUAL)
    ours = getattr(pair.keras.model.loss, "ignore_class", None)
    if theirs != USUAL:
        yield "loss with ignore_index", int(theirs)
    if ours is not None and ours != theirs:
        yield "loss with ignore_class", int(ours)


def _part(theirs: Loss, ours: Loss, y: Any, u: Any) -> bool:
    """Whether the losses differ there, or only one of them takes it."""
    values = []
    for loss in (theirs, ours):
        try:
            values.append(loss(y, u))
        except Exception:  # a class that it does not know
            values.append(np.nan)
    one, other = values
    if not np.isfinite(values).any():
        return False
    return not abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


def unmasked(pair: Pair) -> Iterator[str]:
    """Return the path of each setting that masks, where the data have nothing to be masked."""
    masking = [
        layer
        for layer in pair.keras.layers
        if isinstance(layer, layers.Masking) or getattr(layer, "mask_zero", False)
    ]
    if not masking:
        return
    seen: dict[int, list] = {id(layer): [] for layer in masking}
    with contextlib.ExitStack() as stack:
        for layer in masking:
            stack.enter_context(attributes(layer, call=_noting(layer, seen[id(layer)])))
        try:
            pair.keras.run(pair.keras_batch(slice(0, min(ROWS, count(pair.x)))))
        except Exception:  # shapes do not fit behind a divergence
            return
    for layer in masking:
        if all(bool(ops.all(layer.compute_mask(inputs))) for inputs in seen[id(layer)]):
            own = "mask_value" if isinstance(layer, layers.Masking) else "mask_zero"
            yield f"layers.{layer.name}.{own}"


def _noting(layer: keras.layers.Layer, seen: list) -> Callable:
    own = layer.call

    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(inputs)
        return own(inputs, *args, **kwargs)

    return call
