"""Stage 4, batch statistics: how they are used in training, and how they move."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from keras import ops

from port_audit.causes import advice
from port_audit.changes import Change, attributes, calling, prove, setting
from port_audit.distances import EPS, distance, largest
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.forced import Match, assign
from port_audit.nets import kinds, torch_net
from port_audit.pair import Pair


def compare(pair: Pair) -> Iterator[Finding]:
    """Compare how batch norms use and move their statistics.

    Args:
        pair: Both sides.

    Yields:
        A finding for each cause, which names the first layer of several.
    """
    with pair.torch.unmoved():
        pair.torch.train_without_chance(pair.torch_inputs)
        trace = pair.torch.run(pair.torch_inputs)
        forced = pair.force(trace, training=True)
    found: dict[str, list] = {}
    for match in forced.matches:
        if match.unit.kind != "batch norm":
            continue
        if match.error > match.tolerance and not match.unit.training:
            found.setdefault("evaluation mode", []).append(_kept_in_evaluation(pair, match))
            continue
        if match.error > match.tolerance:
            frozen = not match.layer.trainable
            found.setdefault("frozen batch norm" if frozen else UNEXPLAINED, []).append(
                Finding(
                    match.where,
                    "frozen batch norm" if frozen else UNEXPLAINED,
                    "in training it uses its running statistics, PyTorch's the batch's"
                    if frozen
                    else "in training mode the outputs differ",
                    f"{match.layer.name}.trainable = True" if frozen else None,
                    match.error,
                    match.tolerance,
                )
            )
            continue
        for finding in _moved(match):
            found.setdefault(finding.name, []).append(finding)
    for same in found.values():
        first = same[0]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        yield Finding(
            first.where + more, first.name, first.cause, first.write, first.size, first.tolerance
        )


def _kept_in_evaluation(pair: Pair, match: Match) -> Finding:
    """PyTorch's batch norm stays in evaluation mode; prove that this is all."""

    def still(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        return own(x, **(kwargs | {"training": False}))

    change = Change(
        match.where,
        "evaluation mode",
        "in training PyTorch's uses its running statistics, because its own train() keeps it so; "
        "the port's uses the batch's",
        f"{match.layer.name}(x, training=False) where the port calls it",
        calling(match.layer, still),
    )
    size, tolerance = match.error, match.tolerance

    def divergence() -> float:
        assign(match, pair.torch.values())  # statistics may have moved
        return match.again()

    if not prove([change], divergence, tolerance):
        text = "in training mode the outputs differ"
        return Finding(match.where, UNEXPLAINED, text, None, size, tolerance)
    pair.undo([change])
    return change.finding(size, tolerance)


def _mean_square(inputs: Any) -> float:
    """Return the mean square of inputs, of the channel where it is the largest."""
    inputs = ops.convert_to_numpy(inputs).astype(np.float64)
    others = tuple(axis for axis in range(1, inputs.ndim - 1))
    return float((inputs**2).mean((0, *others)).max())


def _moved(match: Match) -> list[Finding]:
    """Compare how running statistics move in three steps, each with other inputs."""
    unit, layer = match.unit, match.acting
    if not unit.module.track_running_stats or not unit.training:
        return []
    batches = [unit.input, 2 * unit.input + 1, unit.input / 2]
    with torch.no_grad(), torch_net.in_float64(unit.module) as module:
        module.running_mean.zero_()
        module.running_var.zero_()
        module.num_batches_tracked.zero_()
        module.train()
        expected = []
        for batch in batches:
            module(torch.from_numpy(batch).double())
            names = ("running_mean", "running_var")
            moved = {name: torch_net.array(getattr(module, name)) for name in names}
            laid = kinds.carried(match.layer, moved, match.order)  # features may lie otherwise
            expected.append([laid[role] for role in kinds.STATISTICS])
    inputs = [ops.convert_to_tensor(match.order(batch)) for batch in batches]
    variables = [layer.moving_mean, layer.moving_variance]
    others = [v for v in layer.non_trainable_variables if all(v is not each for each in variables)]
    kept = [ops.convert_to_numpy(variable) for variable in others]

    def divergence() -> float:
        for variable in variables:
            variable.assign(np.zeros(variable.shape, "float32"))
        for variable, value in zip(others, kept):
            variable.assign(value)
        layer.__dict__.get("audited_steps", [0])[0] = 0
        far = lost = 0.0
        for batch, (mean, variance) in zip(inputs, expected):
            layer.call(batch, training=True)
            ours = [ops.convert_to_numpy(variable) for variable in variables]
            scale = max(largest(mean), largest(variance) ** 0.5, 1e-12)
            far = max(far, distance(mean, ours[0]) / scale)
            # Keras's variance is the mean of squares minus the square of the mean.
            lost = max(lost, _mean_square(batch) / 32 * (unit.module.momentum or 1.0))
            far = max(far, distance(variance, ours[1]) / (largest(variance) + lost or 1.0))
        return far

    n = unit.input.size // unit.input.shape[1]
    momentum = 1 - (unit.module.momentum or 0.0)

    def cumulative(
        own: Callable, x: Any, args: tuple, kwargs: dict, correction: float = 1.0
    ) -> Any:
        layer.__dict__["audited_steps"][0] += 1
        old = [ops.convert_to_numpy(variable) for variable in variables]
        with attributes(layer, momentum=0.0):
            outputs = own(x, *args, **kwargs)
        for variable, before, factor in zip(variables, old, (1.0, correction)):
            new = ops.convert_to_numpy(variable) * factor
            variable.assign(before + (new - before) / layer.__dict__["audited_steps"][0])
        return outputs

    def unbiased(own: Callable, x: Any, args: tuple, kwargs: dict) -> Any:
        old = ops.convert_to_numpy(layer.moving_variance)
        outputs = own(x, *args, **kwargs)
        new = ops.convert_to_numpy(layer.moving_variance)
        layer.moving_variance.assign(new + (new - layer.momentum * old) / (n - 1))
        return outputs

    changes = []
    if unit.module.momentum is not None and abs(layer.momentum - momentum) > 1e-9:
        changes.append(
            Change(
                match.where,
                "momentum",
                f"running statistics keep {layer.momentum:g} of their old value a step, "
                f"PyTorch's {momentum:g}",
                f"BatchNormalization(momentum={momentum:g})",
                setting(layer, momentum=momentum),
            )
        )
    changes.append(
        Change(
            match.where,
            "running variance",
            f"the running variance is biased; PyTorch's is n / (n - 1) times that, n = {n}",
            advice.batch_norm(),
            calling(layer, unbiased),
        )
    )
    if unit.module.momentum is None:
        # The port's own variance may be unbiased already.
        changes = [
            Change(
                match.where,
                "momentum",
                f"running statistics keep {layer.momentum:g} of their old value a step; PyTorch's "
                "(momentum=None) are the mean over all batches, their variance unbiased",
                advice.cumulative_batch_norm(),
                calling(layer, partial(cumulative, correction=factor), audited_steps=[0]),
            )
            for factor in (n / (n - 1), 1.0)
        ]
    size, tolerance = divergence(), 256 * EPS  # a variance loses some digits
    if size <= tolerance:
        return []
    alternatives = [[change] for change in changes]
    alternatives += [changes] * (unit.module.momentum is not None)
    proved = next(filter(None, (prove(a, divergence, tolerance) for a in alternatives)), [])
    if not proved:
        text = "running statistics move otherwise"
        return [Finding(match.where, UNEXPLAINED, text, None, size, tolerance)]
    return [change.finding(size, tolerance) for change in proved]
