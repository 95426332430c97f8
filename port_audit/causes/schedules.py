"""Guesses at what sets two schedules of the learning rate apart."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from keras import callbacks as keras_callbacks
from keras import ops

from port_audit.causes import advice
from port_audit.changes import attributes

# Causes, each as name, sentence, remedy; and the rates if they are undone.
Variant = tuple[list[tuple[str, str, str]], np.ndarray]


def of_schedule(times: Any, of_step: Callable[[int], float], schedule: Any) -> Iterator[Variant]:
    """Return the rates of a schedule of Keras, with something changed.

    Args:
        times: When.
        of_step: Returns the rate of a step.
        schedule: The schedule.
    """
    points, per = times.points(), times.per_epoch
    kind = type(schedule).__name__
    per_batch = (
        "schedule per batch",
        f"{kind} counts steps, PyTorch's scheduler epochs",
        f"a callback that sets the rate per epoch, or {kind} over {per} times as many steps",
    )
    steps = [epoch * per + step for epoch, step in points]
    epochs = [epoch for epoch, _ in points]
    yield [per_batch], np.array([of_step(epoch) for epoch in epochs])
    slow = ("schedule per epoch", f"{kind} moves {per} times too slowly", "fewer steps: epochs")
    yield [slow], np.array([of_step(step * per) for step in steps])
    for shift, word in ((1, "behind"), (-1, "ahead")):
        shifted = ("schedule shifted", f"{kind} is {word} by a step", "the schedule a step apart")
        yield [shifted], np.array([of_step(max(0, step + shift)) for step in steps])
    period = int(getattr(schedule, "decay_steps", 0))
    if period and "Cosine" in kind:
        floor = (
            "schedule floor",
            f"{kind} stays at its floor after {period} steps, PyTorch's rises again",
            advice.rising(kind),
        )
        for causes, counts in (([floor], steps), ([per_batch, floor], epochs)):
            turns = [period - abs(count % (2 * period) - period) for count in counts]
            yield causes, np.array([of_step(turn) for turn in turns])
    if hasattr(schedule, "staircase"):
        wanted = not schedule.staircase
        word = "in steps" if wanted else "smoothly"
        staircase = (
            "staircase",
            f"staircase is {not wanted}, PyTorch's rate moves {word}",
            f"{kind}(..., staircase={wanted})",
        )
        with attributes(schedule, staircase=wanted):
            rates = [float(ops.convert_to_numpy(schedule(step))) for step in steps]
        yield [staircase], np.array(rates)


def of_callbacks(run: Callable[..., np.ndarray], make: Callable[[], list]) -> Iterator[Variant]:
    """Return the rates that callbacks set, with something changed.

    Args:
        run: Runs callbacks, returns rates; takes `used`, `shift` and `every_step`.
        make: Makes the callbacks anew.
    """
    for shift, word in ((1, "behind"), (-1, "ahead")):
        text = f"the rate is {word} by one epoch"
        shifted = ("schedule shifted", text, "the same schedule, an epoch apart")
        yield [shifted], run(used=make(), shift=shift)
    per_epoch = (
        "schedule per epoch",
        "the rate moves per epoch, PyTorch's per batch",
        "a LearningRateSchedule, which counts steps",
    )
    yield [per_epoch], run(used=make(), every_step=True)
    made = make()
    for callback in made:
        if isinstance(callback, keras_callbacks.ReduceLROnPlateau):
            patience = (
                "patience",
                f"Keras acts after patience={callback.patience} bad epochs, PyTorch after one more",
                f"ReduceLROnPlateau(patience={callback.patience + 1})",
            )
            callback.patience += 1
            yield [patience], run(used=made)
            return
