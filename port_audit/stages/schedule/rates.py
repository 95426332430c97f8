"""Part of stage 7: the learning rate over steps and epochs."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import torch
from keras import callbacks as keras_callbacks
from keras import ops

from port_audit.causes import schedules
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.pair import Pair

TOLERANCE = 1e-5  # of the first learning rate; schedules are computed in float32
LOGS = {"loss": 1.0, "val_loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5}
HARMLESS = (
    keras_callbacks.ModelCheckpoint,
    keras_callbacks.EarlyStopping,
    keras_callbacks.TensorBoard,
    keras_callbacks.CSVLogger,
    keras_callbacks.TerminateOnNaN,
    keras_callbacks.History,
)


@dataclass(frozen=True)
class Times:
    """The steps at which rates are compared.

    Attributes:
        per_epoch: Steps per epoch.
        epochs: Number of epochs.
    """

    per_epoch: int
    epochs: int

    def points(self) -> list[tuple[int, int]]:
        """Return pairs of epoch and step within it, both counted from zero."""
        within = sorted(
            {0, 1, self.per_epoch // 2, self.per_epoch - 1} & set(range(self.per_epoch))
        )
        return [(epoch, step) for epoch in range(self.epochs) for step in within]


def compare(pair: Pair, times: Times) -> tuple[float, list[Finding]]:
    """Compare the rates of the optimizers; return how far they are apart, and what is found."""
    theirs = _of_torch(pair, times)
    ours, functions = _of_keras(pair, times)
    size = _apart(theirs, ours)
    found = _explained(pair, times, theirs, ours, functions, size) if size > TOLERANCE else []
    return size, list(found)


def _apart(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Return how far rates are apart, relative to the first of each side."""
    if not theirs[0] or not ours[0]:
        return 0.0
    return float(np.abs(theirs / theirs[0] - ours / ours[0]).max())


def _of_torch(pair: Pair, times: Times, per: str | None = None) -> np.ndarray:
    """Return PyTorch's learning rates at the points."""
    optimizer = pair.theirs.optimizer(pair.torch.module.parameters())
    scheduler = pair.theirs.scheduler(optimizer) if pair.theirs.scheduler is not None else None
    per = per or pair.theirs.step_scheduler_per
    wanted, rates = set(times.points()), []
    if scheduler is None:
        return np.full(len(wanted), optimizer.param_groups[0]["lr"])
    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no gradients are there to be stepped along
        for epoch in range(times.epochs):
            for step in range(times.per_epoch):
                if (epoch, step) in wanted:
                    rates.append(float(optimizer.param_groups[0]["lr"]))
                if per == "batch":
                    try:
                        scheduler.step()
                    except ValueError:  # OneCycleLR has come to its end
                        return np.array(rates + rates[-1:] * (len(wanted) - len(rates)))
            if per == "epoch":
                scheduler.step(*([LOGS["val_loss"]] if plateau else []))
    return np.array(rates)


def _of_keras(pair: Pair, times: Times) -> tuple[np.ndarray, dict[str, Any]]:
    """Return Keras's learning rates at the points, and what a change can vary."""
    model = pair.keras.model
    schedule = model.optimizer._learning_rate
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        rates = {}

        def of_step(step: int) -> float:
            if step not in rates:
                rates[step] = float(ops.convert_to_numpy(schedule(step)))
            return rates[step]

        values = [of_step(epoch * times.per_epoch + step) for epoch, step in times.points()]
        return np.array(values), {"step": of_step, "schedule": schedule}

    def make() -> list[keras.callbacks.Callback]:
        made = pair.ours.callbacks() if pair.ours.callbacks is not None else []
        return [each for each in made if not isinstance(each, HARMLESS)]

    return _run_callbacks(model, make(), times), {"callbacks": make}


def _run_callbacks(
    model: keras.Model, used: Any, times: Times, shift: int = 0, every_step: bool = False
) -> np.ndarray:
    """Return the rates that callbacks set, called as `fit` would.

    Args:
        model: The model, whose learning rate is put back.
        used: The callbacks.
        times: When.
        shift: Added to the number of the epoch.
        every_step: Whether each step counts as an epoch.
    """
    variable = model.optimizer._learning_rate
    first = ops.convert_to_numpy(variable)
    wanted, rates = set(times.points()), []
    base = keras.callbacks.Callback
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    busy = [c for c in used if any(getattr(type(c), h) is not getattr(base, h) for h in hooks)]
    if not busy and not every_step:  # only the epochs count
        wanted_steps: dict[int, Sequence[int]] = {
            epoch: sorted(s for e, s in wanted if e == epoch) for epoch, _ in wanted
        }
    else:
        wanted_steps = {epoch: range(times.per_epoch) for epoch in range(times.epochs)}
    try:
        for callback in used:
            callback.set_params({"epochs": times.epochs, "steps": times.per_epoch, "verbose": 0})
            callback.set_model(model)
            callback.on_train_begin()
        for epoch in range(times.epochs):
            if not every_step:
                _each(used, "on_epoch_begin", max(0, epoch + shift))
            for step in wanted_steps[epoch]:
                if every_step:
                    _each(used, "on_epoch_begin", epoch * times.per_epoch + step)
                _each(busy, "on_train_batch_begin", step)
                if (epoch, step) in wanted:
                    rates.append(float(ops.convert_to_numpy(variable)))
                _each(busy, "on_train_batch_end", step)
                if every_step:
                    _each(used, "on_epoch_end", epoch * times.per_epoch + step)
            if not every_step:
                _each(used, "on_epoch_end", max(0, epoch + shift))
    finally:
        variable.assign(first)
    return np.array(rates)


def _each(callbacks: Sequence[keras_callbacks.Callback], hook: str, number: int) -> None:
    for callback in callbacks:
        getattr(callback, hook)(number, dict(LOGS))


def _explained(
    pair: Pair,
    times: Times,
    theirs: np.ndarray,
    ours: np.ndarray,
    functions: Mapping[str, Any],
    size: float,
) -> Iterator[Finding]:
    def finding(name: str, cause: str, write: str | None) -> Finding:
        return Finding("learning rate", name, cause, write, size, TOLERANCE)

    first = next(
        i
        for i, (a, b) in enumerate(zip(theirs / theirs[0], ours / ours[0]))
        if abs(a - b) > TOLERANCE
    )
    epoch, step = times.points()[first]
    where = f"from epoch {epoch + 1}, step {step + 1} on"
    if np.ptp(ours) == 0:
        yield finding(
            "schedule missing",
            f"the rate stays at {ours[0]:g}; PyTorch's moves {where}",
            f"a schedule; PyTorch's is {_class_of(pair)}, stepped per "
            f"{pair.theirs.step_scheduler_per}",
        )
        return
    if np.ptp(theirs) == 0:
        text = f"the rate moves {where}; PyTorch's stays at {theirs[0]:g}"
        yield finding("schedule extra", text, f"learning_rate={theirs[0]:g}, and no schedule")
        return
    for causes, rates in _variants(pair, times, functions):
        if _apart(theirs, rates) <= TOLERANCE:
            for name, cause, write in causes:
                yield finding(name, f"{cause}; they part {where}", write)
            return
    yield Finding(
        "learning rate",
        UNEXPLAINED,
        f"the rates part {where}: {ours[first]:.6g}, in PyTorch {theirs[first]:.6g}",
        None,
        size,
        TOLERANCE,
    )


def _class_of(pair: Pair) -> str:
    optimizer = pair.theirs.optimizer(pair.torch.module.parameters())
    return type(pair.theirs.scheduler(optimizer)).__name__


def _variants(
    pair: Pair, times: Times, functions: Mapping[str, Any]
) -> Iterator[tuple[list[tuple[str, str, str]], np.ndarray]]:
    """Return Keras's rates with something changed, and what that would be the cause of."""
    if "step" in functions:
        yield from schedules.of_schedule(times, functions["step"], functions["schedule"])
    else:
        yield from schedules.of_callbacks(
            lambda **options: _run_callbacks(pair.keras.model, times=times, **options),
            functions["callbacks"],
        )
