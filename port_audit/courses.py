"""How rates move over a training: all that a scheduler moves, in every group, and in Keras."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import torch
from keras import ops

from port_audit.ledger.port_entries import HARMLESS
from port_audit.nets import differentiation
from port_audit.pair import Pair
from port_audit.samples import count

EPOCHS = 30
LATE = (300, 100, 50)  # epochs whose first step is looked at; a table of rates may end sooner
FAR_EPOCHS, FAR_STRIDE = 3000, 25  # as far as a milestone is looked for, and how closely
MOST_STEPS, MOST_LATE_STEPS = 40_000, 200_000
MONITOR = "val_loss"  # what a plateau scheduler is given, if the original does not say
Logs = Callable[[int], dict[str, float]]


def _logs(start: float = 1.0, **moves: float) -> Logs:
    """Return what an epoch reports: constant, but for values that move by an amount an epoch.

    Args:
        start: What losses start at; accuracies at half of it.
        moves: Amounts by name.
    """
    half = 0.5 * start
    known = {"loss": start, "val_loss": start, "accuracy": half, "val_accuracy": half}
    known |= {name: half for name in moves if name not in known}
    return lambda epoch: {k: v + moves.get(k, 0.0) * epoch for k, v in known.items()}


# Nothing moves; then scenarios in which schedulers that watch something show how they judge.
STEADY = _logs()
FAST = {
    "val_loss falls": {"val_loss": -5e-3},
    "val_loss rises": {"val_loss": 1e-2},
    "loss falls": {"loss": -5e-3},
    "accuracy rises": {"accuracy": 5e-3},
    "val_accuracy rises": {"val_accuracy": 5e-3},
}
FAR = 100.0  # from 1, so that an amount and a share differ


class Tried(NamedTuple):
    """What callbacks do.

    Attributes:
        changing: Names of those that change weights.
        failing: Numbers of those that cannot be run.
        moving: Numbers of those that change something else of the model, such as a rate of dropout.
    """

    changing: list[str]
    failing: list[str]
    moving: list[str]


@dataclass(frozen=True)
class Times:
    """The steps at which rates are compared.

    Attributes:
        per_epoch: Steps per epoch.
        epochs: Number of epochs.
        starts: Whether only the first step of each counts.
        every: Of which epochs it counts: each, every second, and so on.
    """

    per_epoch: int
    epochs: int
    starts: bool = False
    every: int = 1

    def points(self) -> list[tuple[int, int]]:
        """Return pairs of epoch and step within it, both counted from zero."""
        if self.starts:
            return [(epoch, 0) for epoch in range(0, self.epochs, self.every)]
        within = sorted(
            {0, 1, self.per_epoch // 2, self.per_epoch - 1} & set(range(self.per_epoch))
        )
        return [(epoch, step) for epoch in range(self.epochs) for step in within]


class Courses:
    """The rates of both sides at the same points of a training.

    Each is measured when it is first asked for.
    """

    def __init__(self, pair: Pair, times: Times | None = None):
        self.pair = pair
        self.times = times or _times(pair)

    @cached_property
    def watches(self) -> bool:
        """Whether a scheduler or a callback judges what an epoch reports."""
        return is_plateau(self.pair.torch_training()[1]) or any(map(is_plateau, self.callbacks()))

    def late(self) -> "Courses | None":
        """Return the rates at which later epochs start, as far as that can be known.

        A cosine is followed to its end: trainings are made to end there, and behind it PyTorch's
        rises again. It is None where someone watches what epochs report, or if nothing is later.
        """
        if self.watches:
            return None
        per_epoch, scheduler = self.times.per_epoch, self.pair.torch_training()[1]
        by_batch = scheduler is not None and self.pair.theirs.step_scheduler_per == "batch"
        end = _end(scheduler) / (per_epoch if by_batch else 1)
        most = MOST_LATE_STEPS // per_epoch if by_batch else max(LATE)
        for epochs in LATE:
            epochs = int(min(epochs, most, end))
            if epochs <= self.times.epochs:
                break
            found = self._measured(Times(per_epoch, epochs, starts=True))
            if found is not None:
                return found
        return None

    def far(self) -> "Courses | None":
        """Return the rates at some epochs that few trainings reach, or None, as `late` does."""
        per_epoch, scheduler = self.times.per_epoch, self.pair.torch_training()[1]
        if self.watches or math.isfinite(_end(scheduler)):
            return None
        by_batch = scheduler is not None and self.pair.theirs.step_scheduler_per == "batch"
        stepping = by_batch or any(map(_is_busy, self.callbacks()))
        epochs = min(FAR_EPOCHS, MOST_LATE_STEPS // per_epoch if stepping else FAR_EPOCHS)
        if epochs <= max(LATE):
            return None
        return self._measured(Times(per_epoch, epochs, starts=True, every=FAR_STRIDE))

    def _measured(self, times: Times) -> "Courses | None":
        """Return the rates at other times, or None if a table of rates ends before them."""
        found = Courses(self.pair, times)
        try:
            _ = found.ours, found.groups  # measured now
        except Exception:
            return None
        return found

    @cached_property
    def scenarios(self) -> list[Logs]:
        """Return what the epochs report, one run after the other.

        What is watched moves fast, and then by less than what counts as better, also far from 1.
        """
        if not self.watches:
            return [STEADY]
        theirs = self.pair.torch_training()[1]
        ours = [each for each in self.callbacks() if is_plateau(each)]
        monitors = {self.pair.theirs.monitor or MONITOR, *(each.monitor for each in ours)}
        least = [abs(each.min_delta) for each in ours]
        rises = any(each.mode == "max" for each in ours)
        if is_plateau(theirs):
            least.append(theirs.threshold)
            rises = theirs.mode == "max"
        little = (0.23 if rises else -0.23) * (max(least) or 1e-4)
        barely = [
            _logs(start, **{name: little * times})
            for name in sorted(monitors)
            for start, times in ((1.0, 1), (FAR, 10))
        ]
        others = dict.fromkeys(monitors, 0.0)
        return [_logs(**others), *(_logs(**(others | moves)) for moves in FAST.values()), *barely]

    @cached_property
    def groups(self) -> list[dict[str, np.ndarray]]:
        """Return all numbers in PyTorch's groups at the points, by name."""
        runs = [self._of_torch(logs) for logs in self.scenarios]
        return [
            {key: np.concatenate([run[index][key] for run in runs]) for key in runs[0][index]}
            for index in range(len(runs[0]))
        ]

    @property
    def theirs(self) -> np.ndarray:
        """Return PyTorch's learning rate at the points, of the first group."""
        return self.groups[0]["lr"]

    @cached_property
    def ours(self) -> np.ndarray:
        """Return Keras's learning rate at the points."""
        schedule = self.schedule
        if schedule is None:
            return self.of_callbacks()
        values = [
            self.of_step(epoch * self.times.per_epoch + step) for epoch, step in self.times.points()
        ]
        return np.array(values * len(self.scenarios))

    @cached_property
    def reference(self) -> int:
        """Return the point at which optimizers are compared.

        It is the first at which PyTorch's rate is largest; one that falls and rises again may be
        larger there by rounding.
        """
        rates = np.where(self.ours != 0, self.theirs, 0.0)
        return int(np.argmax(rates >= rates.max() * (1 - 1e-6)))

    @property
    def schedule(self) -> Any:
        """Return Keras's schedule, or None."""
        own = self.pair.optimizer._learning_rate
        return own if isinstance(own, keras.optimizers.schedules.LearningRateSchedule) else None

    def of_step(self, step: int) -> float:
        """Return the rate of Keras's schedule at a step."""
        known = self.__dict__.setdefault("_steps", {})
        if step not in known:
            known[step] = float(ops.convert_to_numpy(self._schedule_at(step)))
        return known[step]

    @cached_property
    def _schedule_at(self) -> Callable[[int], Any]:
        return differentiation.compiled(self.schedule)

    def optimizer(self, parameters: Any) -> torch.optim.Optimizer:
        """Return PyTorch's optimizer, with the rates of all its groups at the reference."""
        optimizer = self.pair.theirs.optimizer(parameters)
        for group, course in zip(optimizer.param_groups, self.groups):
            rate = float(course["lr"][self.reference])
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        return optimizer

    def _of_torch(self, logs: Logs, per: str | None = None) -> list[dict[str, np.ndarray]]:
        optimizer, scheduler = self.pair.torch_training()
        times, per = self.times, per or self.pair.theirs.step_scheduler_per
        wanted = set(times.points())
        within: dict[int, list[int]] = {}
        for epoch, step in times.points():
            within.setdefault(epoch, []).append(step)
        seen: list[list[dict[str, float]]] = []

        def look() -> None:
            seen.append([_numbers(group) for group in optimizer.param_groups])

        def steps(epoch: int) -> Sequence[int]:
            if per == "batch":
                return range(times.per_epoch)
            return within.get(epoch, ())

        plateau = is_plateau(scheduler)
        monitor = self.pair.theirs.monitor or MONITOR
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no gradients are there to be stepped along
            for epoch in range(times.epochs):
                for step in steps(epoch) if scheduler is not None else ():
                    if (epoch, step) in wanted:
                        look()
                    if per == "batch" and not _step(scheduler, plateau, logs(epoch), monitor):
                        scheduler = None  # OneCycleLR has come to its end
                        break
                if scheduler is None:
                    break
                if per == "epoch" and not _step(scheduler, plateau, logs(epoch), monitor):
                    scheduler = None
        while len(seen) < len(wanted):
            look()
        return [
            {key: np.array([each[index][key] for each in seen]) for key in seen[0][index]}
            for index in range(len(optimizer.param_groups))
        ]

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return new callbacks of the port, but for those that change nothing or cannot be run."""
        return [
            each
            for index, each in enumerate(self._all_callbacks())
            if not isinstance(each, HARMLESS) and f"{index}" not in self.tried.failing
        ]

    def _all_callbacks(self) -> list[keras.callbacks.Callback]:
        return list(self.pair.ours.callbacks()) if self.pair.ours.callbacks is not None else []

    def of_callbacks(
        self,
        change: Callable[[list], None] = lambda made: None,
        shift: int = 0,
        every_step: bool = False,
    ) -> np.ndarray:
        """Return the rates that callbacks set, called as `fit` would.

        Args:
            change: Changes callbacks before they are run.
            shift: Added to the number of the epoch.
            every_step: Whether each step counts as an epoch.
        """
        found = []
        for logs in self.scenarios:
            made = self.callbacks()
            change(made)
            found.append(self._run(made, logs, shift, every_step))
        return np.concatenate(found)

    def _run(self, used: Sequence, logs: Logs, shift: int, every_step: bool) -> np.ndarray:
        model, times = self.pair.keras.model, self.times
        variable = self.pair.optimizer._learning_rate
        wanted, rates = set(times.points()), []
        busy = [each for each in used if _is_busy(each)]
        if not busy and not every_step:  # only the epochs count
            wanted_steps: dict[int, Sequence[int]] = {epoch: [] for epoch in range(times.epochs)}
            for epoch, step in times.points():
                wanted_steps[epoch] = [*wanted_steps[epoch], step]
        else:
            wanted_steps = {epoch: range(times.per_epoch) for epoch in range(times.epochs)}

        def each(
            callbacks: Sequence[keras.callbacks.Callback], hook: str, number: int, epoch: int
        ) -> None:
            for callback in callbacks:
                getattr(callback, hook)(number, logs(epoch))

        with self._kept(variable):
            for callback in used:
                callback.set_params(
                    {"epochs": times.epochs, "steps": times.per_epoch, "verbose": 0}
                )
                callback.set_model(model)
                callback.on_train_begin()
            for epoch in range(times.epochs):
                if not every_step:
                    each(used, "on_epoch_begin", max(0, epoch + shift), epoch)
                for step in wanted_steps[epoch]:
                    number = epoch * times.per_epoch + step
                    if every_step:
                        each(used, "on_epoch_begin", number, epoch)
                    each(busy, "on_train_batch_begin", step, epoch)
                    if (epoch, step) in wanted:
                        rates.append(float(ops.convert_to_numpy(variable)))
                    each(busy, "on_train_batch_end", step, epoch)
                    if every_step:
                        each(used, "on_epoch_end", number, epoch)
                if not every_step:
                    each(used, "on_epoch_end", max(0, epoch + shift), epoch)
        return np.array(rates)

    @cached_property
    def tried(self) -> "Tried":
        """Return what callbacks do to the model, one by one, over as many epochs as compared."""
        found, model = Tried([], [], []), self.pair.keras.model
        for index, callback in enumerate(self._all_callbacks()):
            if type(callback) in HARMLESS:
                continue
            weights = [(v, ops.convert_to_numpy(v)) for v in model.trainable_variables]
            with self._kept(self.pair.optimizer._learning_rate):
                before = self._state()
                try:
                    self._try(callback)
                except Exception:  # it needs what only `fit` has
                    found.failing.append(f"{index}")
                if any(not np.array_equal(old, ops.convert_to_numpy(v)) for v, old in weights):
                    found.changing.append(type(callback).__name__)
                elif before != self._state():
                    found.moving.append(f"{index}")
        return found

    def _try(self, callback: keras.callbacks.Callback) -> None:
        steps = min(3, self.times.per_epoch)
        callback.set_params({"epochs": EPOCHS, "steps": self.times.per_epoch, "verbose": 0})
        callback.set_model(self.pair.keras.model)
        callback.on_train_begin()
        for epoch in range(EPOCHS):
            callback.on_epoch_begin(epoch, STEADY(epoch))
            for step in range(steps):
                callback.on_train_batch_begin(step, STEADY(epoch))
                callback.on_train_batch_end(step, STEADY(epoch))
            callback.on_epoch_end(epoch, STEADY(epoch))
        callback.on_train_end()

    def _state(self) -> list[Any]:
        """Return what of the model may move besides weights: all variables, settings of layers."""
        values = [ops.convert_to_numpy(v).tobytes() for v in self.pair.keras.model.variables]
        return [values, *map(_settings, self.pair.keras.layers)]

    @contextlib.contextmanager
    def _kept(self, rate: Any) -> Iterator[None]:
        """Within this context the rate and the model may move; then they are as before."""
        first = ops.convert_to_numpy(rate) if self.schedule is None else None
        values, model = self.pair.keras.values(), self.pair.keras.model
        settings = [(layer, _settings(layer)) for layer in self.pair.keras.layers]
        compiled, trained = (model.optimizer, model.stop_training), model.trainable
        frozen = [(variable, variable.trainable) for variable in model.variables]
        try:
            yield
        finally:
            if model.trainable != trained:
                model.trainable = trained  # of its layers, too, which follow
            for layer, own in settings:
                for name, value in own.items():
                    if getattr(layer, name) != value:
                        setattr(layer, name, value)
            for variable, moved in frozen:
                if variable.trainable != moved:
                    variable.trainable = moved
            self.pair.keras.assign(values)
            model.optimizer, model.stop_training = compiled
            if first is not None:
                rate.assign(first)


def _settings(layer: keras.layers.Layer) -> dict[str, Any]:
    """Return the plain settings of a layer, and whether it is trained."""
    simple = {
        key: value
        for key, value in vars(layer).items()
        if not key.startswith("_") and isinstance(value, bool | int | float | str)
    }
    return simple | {"trainable": layer.trainable}


def _is_busy(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback does something at each step."""
    hooks = "on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"
    base = keras.callbacks.Callback
    return any(getattr(type(callback), hook) is not getattr(base, hook) for hook in hooks)


def _times(pair: Pair) -> Times:
    """Return the first epochs of a training, as many as are affordable."""
    batch = min(pair.batch_size, count(pair.x))
    whole, rest = divmod(count(pair.x), batch)
    per_epoch = whole if pair.theirs.drop_last else whole + bool(rest)
    return Times(per_epoch, max(2, min(EPOCHS, MOST_STEPS // per_epoch)))


def _end(scheduler: Any) -> float:
    """Return the step of a scheduler at which a training with it is to end, or infinity."""
    known = torch.optim.lr_scheduler
    if isinstance(scheduler, known.CosineAnnealingLR):
        return scheduler.T_max
    if isinstance(scheduler, known.OneCycleLR):
        return scheduler.total_steps
    if isinstance(scheduler, known.SequentialLR):
        return scheduler._milestones[-1] + _end(scheduler._schedulers[-1])
    return math.inf


def is_plateau(one: Any) -> bool:
    """Whether something is a plateau scheduler of PyTorch or a plateau callback of Keras."""
    kinds = torch.optim.lr_scheduler.ReduceLROnPlateau, keras.callbacks.ReduceLROnPlateau
    return isinstance(one, kinds)


def apart(theirs: np.ndarray, ours: np.ndarray, reference: int) -> float:
    """Return how far rates are apart, relative to those of each side at a reference."""
    if not theirs[reference] or not ours[reference]:
        return 0.0 if np.array_equal(theirs, ours) else math.inf
    return float(np.abs(theirs / theirs[reference] - ours / ours[reference]).max())


def _numbers(group: dict) -> dict[str, float]:
    """Return all numbers of a group by name; those of a tuple are numbered."""
    found: dict[str, float] = {}
    for key, value in group.items():
        if key in ("params", "initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"):
            continue
        if isinstance(value, torch.Tensor) and value.ndim == 0:
            value = float(value)
        if isinstance(value, tuple):
            found |= {f"{key}.{i}": float(v) for i, v in enumerate(value) if _is_number(v)}
        elif _is_number(value):
            found[key] = float(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _step(scheduler: Any, plateau: bool, logs: dict[str, float], monitor: str) -> bool:
    """Step a scheduler; return whether it goes on."""
    try:
        scheduler.step(*([logs[monitor]] if plateau else []))
    except ValueError:
        return False
    return True
