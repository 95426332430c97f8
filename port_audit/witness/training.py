"""Keras's own `fit`, with PyTorch one step behind it, and both compared after each step."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from port_audit.causes import losses
from port_audit.nets.chance import without_chance
from port_audit.pair import Pair
from port_audit.samples import take
from port_audit.witness.original import Original
from port_audit.witness.parting import Course
from port_audit.witness.plan import plan
from port_audit.witness.precision import Copy

# They write files or end the training, and move nothing.
LEFT_OUT = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)


def train(copy: Copy, backwards: bool = False) -> Course:
    """Train both sides and compare them after each step.

    Args:
        copy: What trains.
        backwards: Whether the samples come in the opposite order.
    """
    pair, model = copy.pair, copy.net.model
    made = plan(pair).reversed() if backwards else plan(pair)
    theirs, disturbed = (Original(pair, made, copy.dtype, off) for off in (False, True))
    start = theirs.values()
    decays = any(group.get("weight_decay") for group in theirs.optimizer.param_groups)
    converted = [slot.convert(start) for slot in copy.slots]
    lacking = [slot.name for slot, value in zip(copy.slots, converted) if value is None]
    if lacking:
        raise RuntimeError(f"PyTorch has nothing for {lacking[0]}")
    # Copies, as JAX takes an array as it is: what the port leaves alone would follow PyTorch.
    values = [np.array(value) for value in converted]
    course = Course(made, copy.dtype, copy.slots, values, decays)
    for slot, value in zip(copy.slots, values):
        slot.variable.assign(value)
    del start, converted, values
    own = list(pair.ours.callbacks()) if pair.ours.callbacks is not None else []
    kept = [each for each in own if not isinstance(each, LEFT_OUT)]
    watched, validates = _watched(pair, theirs, kept)
    x, y = _inputs(pair, made.rows), _targets(pair, model, made.rows)
    options: dict[str, Any] = {}
    if validates:
        first = made.chosen(0)
        options["validation_data"] = (_inputs(pair, first), _targets(pair, model, first))
        options["validation_batch_size"] = len(first)
    witness = _Witness(course, theirs, disturbed, watched)
    with without_chance(copy.net, _inputs(pair, made.chosen(0)[:2])):
        try:
            model.fit(
                x,
                y,
                batch_size=made.batch,
                epochs=made.epochs,
                shuffle=False,
                class_weight=pair.ours.class_weight,
                callbacks=[*kept, witness],
                verbose=0,
                **options,
            )
        finally:
            model.train_function = model.test_function = None  # they were traced without chance
            pair.ledger.add(theirs.late())
            theirs.held.restore(theirs.held.start)
    if theirs.quieted:
        course.notes.append(f"in eval mode, because random: {', '.join(theirs.quieted)}")
    left = [type(each).__name__ for each in own if each not in kept]
    if left:
        course.notes.append(f"callbacks left out: {', '.join(left)}")
    if not made.seen:
        course.notes.append(f"rates that move behind epoch {made.epochs} were not trained with")
    return course


def _watched(
    pair: Pair, theirs: Original, callbacks: Sequence[keras.callbacks.Callback]
) -> tuple[str, bool]:
    """Return what a plateau scheduler watches, and whether anything needs validation."""
    monitors = [each for each in (getattr(c, "monitor", None) for c in callbacks) if each]
    watched = pair.theirs.monitor or (monitors[0] if monitors else "val_loss")
    plateau = hasattr(theirs.scheduler, "num_bad_epochs")
    needed = [*monitors, watched] if plateau else monitors
    return watched, any(each.startswith("val") for each in needed)


def _inputs(pair: Pair, rows: np.ndarray) -> Any:
    """Return what `fit` gets: floats in float32, as both models take them."""

    def narrow(x: Any) -> Any:
        if isinstance(x, dict):
            return {name: narrow(each) for name, each in x.items()}
        if isinstance(x, list | tuple):
            return type(x)(narrow(each) for each in x)
        x = ops.convert_to_numpy(x)
        return x.astype("float32") if x.dtype.kind == "f" else x

    return narrow(pair.keras_batch(rows))


def _targets(pair: Pair, model: keras.Model, rows: np.ndarray) -> Any:
    """Return targets as the loss of the port takes them."""
    y = take(pair.y, rows)
    if len(pair.forced.outputs) > 1:
        return pair.as_outputs(pair.each_target(y))
    if model.loss is None or not isinstance(y, np.ndarray):
        return y
    return losses.targets(model.loss, y, pair.forced.outputs[0].shape)


class _Witness(keras.callbacks.Callback):
    """Lets PyTorch take each step that Keras has taken, and compares."""

    def __init__(self, course: Course, theirs: Original, disturbed: Original, watched: str):
        super().__init__()
        self.course, self.both, self.watched = course, (theirs, disturbed), watched
        self.done = 0  # steps of this epoch that PyTorch took
        self.number, self.mean = 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.number, self.done, self.mean = epoch, 0, 0.0
        jump = self.course.plan.jump
        if epoch and jump:
            iterations = self.model.optimizer.iterations
            iterations.assign(ops.convert_to_numpy(iterations) + jump)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        theirs, disturbed = self.both
        if theirs.pair.theirs.train_epoch is not None or self.course.parting is not None:
            return
        first, value = self.done, None
        while self.done <= batch:  # several at once, with steps_per_execution
            rate = theirs.rate
            value = theirs.step(self.done)
            disturbed.step(self.done)
            self.done += 1
        state = _State(self.model)
        mine = self._loss(logs, first, batch)
        both = None if value is None or mine is None or batch > first else (mine, value)
        self._compare(state, batch + 1, (state.rate(), rate), both)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.course.parting is not None:
            return
        own = self.both[0].pair.theirs.train_epoch is not None
        rate = self.both[0].rate
        for each in self.both:
            if own:
                each.epoch()
            each.end_epoch(self.watched)
        if own:
            state = _State(self.model)
            self._compare(state, 0, (state.rate(), rate), None)

    def _compare(
        self,
        state: "_State",
        step: int,
        rates: tuple[float | None, float],
        losses_of: tuple[float, float] | None,
    ) -> None:
        theirs, disturbed = (each.values() for each in self.both)
        slots = self.course.slots
        agree = self.course.compare(
            [state.value(slot.variable) for slot in slots],
            [slot.convert(theirs) for slot in slots],
            [slot.convert(disturbed) for slot in slots],
            self.number + 1,
            step,
            None if rates[0] is None else rates,
            losses_of,
        )
        if not agree:
            self.model.stop_training = True

    def _loss(self, logs: dict | None, first: int, batch: int) -> float | None:
        """Return the loss of a step, of which Keras shows the mean over the epoch."""
        mean = (logs or {}).get("loss")
        if mean is None:
            return None
        plan = self.course.plan
        before, now = first * plan.batch, min((batch + 1) * plan.batch, len(plan.rows))
        mean, old = float(mean), self.mean
        self.mean = mean
        return (mean * now - old * before) / (now - before)


class _State:
    """The variables of a model in `fit`, only read: on JAX, `fit` keeps them to itself.

    To sync them would make callbacks work that do not work without.
    """

    def __init__(self, model: keras.Model):
        self.values: dict[int, Any]
        self.model, self.values = model, {}
        held = getattr(model, "_jax_state", None)
        if held and not getattr(model, "_jax_state_synced", True):
            for name, variables in (
                ("trainable_variables", model.trainable_variables),
                ("non_trainable_variables", model.non_trainable_variables),
                ("optimizer_variables", model.optimizer.variables),
            ):
                if held.get(name):
                    self.values |= {id(v): a for v, a in zip(variables, held[name], strict=True)}

    def value(self, variable: keras.Variable) -> np.ndarray:
        """Return a variable's value, as it is until the next step."""
        held = self.values.get(id(variable))
        return ops.convert_to_numpy(variable) if held is None else np.asarray(held)

    def rate(self) -> float | None:
        """Return the learning rate of the last step."""
        optimizer = self.model.optimizer
        rate = getattr(optimizer, "_learning_rate", None)
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            steps = int(self.value(optimizer._iterations))
            return float(ops.convert_to_numpy(rate(max(0, steps - 1))))
        return float(self.value(rate)) if isinstance(rate, keras.Variable) else None
