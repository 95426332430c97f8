"""Stage 5: the loss, its reduction and weights, logits or probabilities."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from port_audit.causes import ends as ends_of
from port_audit.causes import losses, unseen
from port_audit.causes.losses import Form
from port_audit.changes import Change, attributes
from port_audit.distances import relative
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.nets import activations, torch_net
from port_audit.pair import Pair
from port_audit.samples import labels, take
from port_audit.stages.handed import LossInUse

TOLERANCE = 1e-5  # relative; losses are sums of a few hundred float32 numbers
SIZES, SCALES = (32, 7), (1.0, 4.0)


def compare(pair: Pair, ends: tuple[Change, ...]) -> tuple[Stage, LossInUse | None]:
    """Compare both losses on the same outputs, before a softmax or sigmoid at the end.

    Args:
        pair: Both sides.
        ends: Changes by which the port ends as the original does.

    Returns:
        The stage, and PyTorch's loss computed in Keras, or None if that is not known.
    """
    model = pair.keras.model
    if pair.theirs.loss is None or not getattr(model, "compiled", False) or model.loss is None:
        lacks = "original has no loss" if pair.theirs.loss is None else "port is not compiled"
        return Stage("loss", f"the {lacks}", ran=False), None
    if not isinstance(pair.trace.output, torch.Tensor):
        return _several(pair, ends)
    samples = list(_samples(pair))
    theirs = np.array([_theirs_of(pair)(y, u) for y, u in samples])
    ours = np.array([_ours_of(pair)(y, u) for y, u in samples])
    size = relative(theirs, ours)
    pair.ledger.settle("loss")
    if size <= TOLERANCE:
        pair.ledger.add(unseen.differing(pair, samples, _theirs_of(pair), _ours_of(pair)))
        return Stage("loss", _name(pair), size, TOLERANCE), compiled(pair)
    if _own(pair.keras.model):
        stock = np.array([_ours(pair, y, ends_of.both(pair)[1](u), False) for y, u in samples])
        if relative(theirs, stock) <= TOLERANCE:
            text = f"compute_loss of {type(pair.keras.model).__name__} makes another loss of it"
            found = Finding("loss", "compute_loss", text, "no compute_loss", size, TOLERANCE)
            return Stage("loss", _name(pair), None, None, (found,)), compiled(pair, False)
    findings, known = _explained(pair, samples, theirs, ours, size)
    loss = None if known is None else LossInUse(lambda y: (y,), lambda z, y: known(y, z), ends)
    return Stage("loss", _name(pair), None, None, tuple(findings)), loss


def _name(pair: Pair) -> str:
    loss = pair.keras.model.loss
    return f"{loss if isinstance(loss, str) else getattr(loss, 'name', type(loss).__name__)}"


def _samples(pair: Pair) -> Iterator[tuple]:
    """Return targets, and numbers in the shape of outputs with classes last."""
    random = np.random.default_rng(0)
    shape = pair.trace.output.shape
    last = (*shape[2:], shape[1]) if len(shape) > 2 and _classes_second(pair) else shape[1:]
    last = (*last, 1) if _squeezed(pair) else last
    for size in SIZES:
        y = take(pair.y, slice(0, size))
        for scale in SCALES:
            values = _in_range(pair, random.normal(size=(len(y), *last)) * scale)
            yield y, ops.convert_to_tensor(values.astype("float32"))


def _in_range(pair: Pair, values: np.ndarray) -> np.ndarray:
    """Return numbers within the range of the original's outputs: a loss may take no others."""
    if ends_of.both(pair)[0] is not activations.identity or not pair.range[0] >= 0:
        return values
    if pair.range[1] <= 1:
        return 1 / (1 + np.exp(-values))
    return np.log1p(np.exp(values))


def _classes_second(pair: Pair) -> bool:
    """Whether PyTorch's outputs have the classes on the second axis and Keras's on the last."""
    ours = pair.forced.outputs[0].shape if pair.forced.outputs else ()
    return len(ours) > 1 and ours == (
        *pair.trace.output.shape[:1],
        *pair.trace.output.shape[2:],
        pair.trace.output.shape[1],
    )


def _theirs_of(pair: Pair) -> Callable[[Any, Any], float]:
    """Return PyTorch's loss as a function of targets and of outputs before their end."""
    end = ends_of.both(pair)[0]
    return lambda y, u: _theirs(pair, y, end(u))


def _ours_of(pair: Pair) -> Callable[[Any, Any], float]:
    """Return the port's loss as a function of targets and of outputs before their end."""
    end = ends_of.both(pair)[1]
    return lambda y, u: _ours(pair, y, end(u))


def _squeezed(pair: Pair) -> bool:
    """Whether Keras's outputs have one more axis, of one value."""
    ours = pair.forced.outputs[0].shape if pair.forced.outputs else ()
    return ours == (*pair.trace.output.shape, 1)


def _theirs(pair: Pair, y: Any, outputs: Any) -> float:
    z = _laid(pair, outputs)
    with torch.no_grad():
        value = pair.theirs.loss(z, pair.torch_labels(y, z))
    return float(value.sum() if value.ndim else value)


def _laid(pair: Pair, outputs: Any) -> torch.Tensor:
    """Return outputs of Keras as PyTorch's lie."""
    array = ops.convert_to_numpy(outputs)
    if array.ndim > 2 and _classes_second(pair):
        array = np.moveaxis(array, -1, 1)
    return torch.tensor(array[..., 0] if _squeezed(pair) else array)


def compiled(pair: Pair, own: bool = True) -> LossInUse:
    """Return the loss that the port was compiled with.

    Args:
        pair: Both sides.
        own: Whether a `compute_loss` of the user's counts.
    """
    weights, model = pair.ours.class_weight, pair.keras.model
    own = own and _own(model)

    def data(y: Any) -> tuple:
        shape = pair.forced.outputs[0].shape
        sample_weights = () if not weights else (_each(weights, y),)
        return (losses.targets(pair.keras.model.loss, y, shape), *sample_weights)

    def value(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
        y = ops.convert_to_tensor(y)
        if own:
            with _without_penalties(model):
                return model._compute_loss(None, y, outputs, sample_weight)
        return model._compile_loss(y, outputs, sample_weight=sample_weight)

    return LossInUse(data, value)


@contextlib.contextmanager
def _without_penalties(model: keras.Model) -> Iterator[None]:
    """Within this context no weight has a regularizer: those are compared with the optimizer."""
    with contextlib.ExitStack() as stack:
        for variable in model.trainable_variables:
            if getattr(variable, "regularizer", None) is not None:
                stack.enter_context(attributes(variable, regularizer=None))
        yield


def _each(weights: Mapping[int, float], y: Any) -> np.ndarray:
    return np.array([weights.get(int(label), 1.0) for label in y], "float32")


def _own(model: keras.Model) -> bool:
    """Whether a model has a `compute_loss` of the user's."""
    return type(model).compute_loss is not keras.Model.compute_loss


def _ours(pair: Pair, y: Any, outputs: Any, own: bool = True) -> float:
    loss = compiled(pair, own)
    return float(ops.convert_to_numpy(loss.value(outputs, *loss.data(y))))


def _explained(
    pair: Pair, samples: Sequence[tuple], theirs: np.ndarray, ours: np.ndarray, size: float
) -> tuple[list[Finding], Form | None]:
    """Find both losses among the known forms, and what sets them apart.

    Returns:
        What is found, and PyTorch's loss, if it is of a known form.
    """
    end_theirs, end_ours = ends_of.both(pair)
    y, u = samples[0]
    z = _laid(pair, end_theirs(u))
    if _broadcast(pair, samples, ours):
        return [_of_broadcast(z, y, size)], None
    heard = losses.of_torch(pair.theirs.loss, z, pair.torch_labels(y, z))
    mine = losses.of_keras(pair.keras.model.loss, pair.ours.class_weight, int(u.shape[-1]))
    if len(heard) != 1 or not _is(heard[0], samples, end_theirs, theirs):
        return [_unexplained(size)], None
    form = heard[0]
    if mine is None or not _is(mine, samples, end_ours, ours):
        return [_unexplained(size)], form
    # The last proof: Keras's loss with PyTorch's options is PyTorch's.
    causes = form.differences(mine)
    if end_theirs is not end_ours and not activations.same(end_theirs, end_ours):
        causes.append("end")
    changed = replace(mine, **{n: getattr(form, n) for n in form.differences(mine)})
    if not _is(changed, samples, end_theirs, theirs):
        return [_unexplained(size)], form
    return list(losses.named(causes, form, mine, end_theirs, end_ours, size, TOLERANCE)), form


def _broadcast(pair: Pair, samples: Sequence[tuple], ours: np.ndarray) -> bool:
    """Whether PyTorch's loss is Keras's, once targets have the shape of the outputs."""
    end = ends_of.both(pair)[0]
    y, u = samples[0]
    z = _laid(pair, end(u))
    if labels(y, z).shape == z.shape or labels(y, z, shaped=True).shape != z.shape:
        return False
    with torch.no_grad():
        values = [
            float(torch.as_tensor(pair.theirs.loss(z, labels(y, z, shaped=True))).sum())
            for y, z in ((y, _laid(pair, end(u))) for y, u in samples)
        ]
    return relative(np.array(values), ours) <= TOLERANCE


def _of_broadcast(outputs: torch.Tensor, y: Any, size: float) -> Finding:
    shapes = tuple(outputs.shape), np.shape(y)
    return Finding(
        "loss",
        "broadcast",
        f"PyTorch's loss gets outputs {shapes[0]} and targets {shapes[1]}, and compares each with "
        "each; the port's compares the two of a sample",
        "nothing; targets of the outputs' shape in original.py, such as y.view(-1, 1)",
        size,
        TOLERANCE,
    )


def _is(form: Form, samples: Sequence[tuple], end: Callable, values: np.ndarray) -> bool:
    got = [float(ops.convert_to_numpy(form(y, end(u)))) for y, u in samples]
    return relative(values, np.array(got)) <= TOLERANCE


def _unexplained(size: float) -> Finding:
    return Finding("loss", UNEXPLAINED, "the losses differ", None, size, TOLERANCE)


def _several(pair: Pair, ends: tuple[Change, ...]) -> tuple[Stage, LossInUse | None]:
    """Compare the losses of models with several outputs, and the weights that they have."""
    model, trace = pair.keras.model, pair.trace
    count = len(torch_net.arrays(trace.output))
    size, theirs, parts, totals = len(pair.trace.units[0].input), [], [], []
    random = np.random.default_rng(0)
    single = model.loss if isinstance(model.loss, list) else [model.loss] * count
    if isinstance(model.loss, dict):
        single = [model.loss[name] for name in pair.keras.named or model.output_names]
    for _ in range(2 * count + 2):
        y = take(pair.y, slice(0, size))
        arrays = [
            random.normal(size=a.shape).astype("float32") for a in torch_net.arrays(trace.output)
        ]
        made = [torch.from_numpy(a) for a in arrays]
        z = dict(zip(trace.output, made)) if isinstance(trace.output, dict) else tuple(made)
        with torch.no_grad():
            theirs.append(float(pair.theirs.loss(z, labels(y, None))))
        values = [ops.convert_to_tensor(a) for a in arrays]
        ys = pair.each_target(y)
        losses_of = [keras.losses.get(each) for each in single]
        parts.append(
            [
                float(ops.mean(f(ops.convert_to_tensor(a), b)))
                for f, a, b in zip(losses_of, ys, values)
            ]
        )
        total = model._compile_loss(pair.as_outputs(ys), pair.as_outputs(values))
        totals.append(float(ops.convert_to_numpy(total)))
    far = relative(np.array(theirs), np.array(totals))
    pair.ledger.settle("loss")
    if far <= TOLERANCE:
        return Stage("loss", f"{count} outputs", far, TOLERANCE), LossInUse(
            lambda y: tuple(pair.each_target(y)),
            lambda outputs, *ys: model._compile_loss(pair.as_outputs(ys), outputs),
            ends,
        )
    found = np.linalg.lstsq(np.array(parts), np.array(theirs), rcond=None)[0]
    if relative(np.array(theirs), np.array(parts) @ found) > TOLERANCE:
        return Stage("loss", f"{count} outputs", far, TOLERANCE, (_unexplained(far),)), None
    least = 1e-5 * np.abs(found).max()  # the rest is rounding
    found = [float(f"{weight:.4g}") if abs(weight) > least else 0.0 for weight in found]
    loss = LossInUse(
        lambda y: tuple(pair.each_target(y)),
        lambda outputs, *ys: sum(
            w * ops.mean(f(a, b))
            for w, f, a, b in zip(found, losses_of, ys, _listed(outputs, pair.keras.named))
        ),
        ends,
    )
    finding = Finding(
        "loss",
        "loss weights",
        f"they are {_weights_of(model, count, pair.keras.named)}, PyTorch's are {found}",
        f"loss_weights={found}",
        far,
        TOLERANCE,
    )
    return Stage("loss", f"{count} outputs", None, None, (finding,)), loss


def _weights_of(model: keras.Model, count: int, names: Sequence[str]) -> list[float]:
    weights = model._compile_loss._user_loss_weights
    if isinstance(weights, dict):
        return [weights.get(name, 1.0) for name in names or weights]
    return weights or [1.0] * count


def _listed(outputs: Any, names: Sequence[str]) -> list[Any]:
    return [outputs[name] for name in names] if names else list(outputs)
