"""Guesses at what sets two schedules of the learning rate apart."""

from collections.abc import Iterator

import numpy as np
from keras import ops

from port_audit.causes import advice, plateaus
from port_audit.causes.plateaus import Variant
from port_audit.changes import attributes
from port_audit.courses import Courses


def variants(courses: Courses) -> Iterator[Variant]:
    """Return Keras's rates with something changed, and what that would be the cause of."""
    if courses.schedule is not None:
        yield from _of_schedule(courses)
        yield from _of_options(courses)
    else:
        yield from _of_callbacks(courses)
    yield from _of_factor(courses)


def _of_options(courses: Courses) -> Iterator[Variant]:
    """Each number of Keras's schedule, swapped for one of PyTorch's scheduler."""
    schedule, per = courses.schedule, courses.times.per_epoch
    points = courses.times.points() * len(courses.scenarios)
    state = {
        k: v
        for k, v in courses.pair.torch_training()[1].state_dict().items()
        if not k.startswith("_")
    }
    numbers = {k: v for k, v in state.items() if type(v) in (int, float) and k != "last_epoch"}
    config = schedule.get_config()
    for key, own in config.items():
        if type(own) not in (int, float) or "learning_rate" in key:
            continue
        for name, value in numbers.items():
            times = (1, per) if isinstance(value, int) else (1,)
            for wanted in sorted({value * each for each in times} - {own}):
                try:
                    other = type(schedule).from_config(config | {key: wanted})
                    rates = [
                        float(ops.convert_to_numpy(other(epoch * per + step)))
                        for epoch, step in points
                    ]
                except Exception:  # a schedule need not take it
                    continue
                text = f"{key} is {own:g}, PyTorch's {name} is {value:g}"
                written = f"{type(schedule).__name__}(..., {key}={wanted:g})"
                yield [(f"schedule {key}", text, written)], np.array(rates)


def _of_factor(courses: Courses) -> Iterator[Variant]:
    """Rates that move where PyTorch's do, each time by another factor."""
    theirs, ours = courses.theirs, courses.ours
    if not (np.all(theirs > 0) and np.all(ours > 0)) or not np.ptp(ours):
        return
    logs = [np.log(rates / rates[0]) for rates in (ours, theirs)]
    first = int(np.argmax(np.abs(np.diff(logs[0])) > 1e-6))
    jumps = [float(np.exp(np.diff(each)[first])) for each in logs]
    power = float(logs[0] @ logs[1] / (logs[0] @ logs[0]))
    text = f"the rate moves by a factor of {jumps[0]:.6g}, PyTorch's by {jumps[1]:.6g}"
    factor = ("schedule factor", text, f"a factor of {jumps[1]:.6g} in the schedule")
    yield [factor], ours[0] * np.exp(power * logs[0])


def _of_schedule(courses: Courses) -> Iterator[Variant]:
    schedule, of_step = courses.schedule, courses.of_step
    points = courses.times.points() * len(courses.scenarios)
    per = courses.times.per_epoch
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


def _of_callbacks(courses: Courses) -> Iterator[Variant]:
    run = courses.of_callbacks
    for shift, word in ((1, "behind"), (-1, "ahead")):
        text = f"the rate is {word} by one epoch"
        shifted = ("schedule shifted", text, "the same schedule, an epoch apart")
        yield [shifted], run(shift=shift)
    per_epoch = (
        "schedule per epoch",
        "the rate moves per epoch, PyTorch's per batch",
        "a LearningRateSchedule, which counts steps",
    )
    yield [per_epoch], run(every_step=True)
    made = courses.callbacks()
    for index, each in enumerate(made if len(made) > 1 else ()):

        def leave_out(made: list, index: int = index) -> None:
            del made[index]

        name = type(each).__name__
        yield [("callback", f"{name} moves the rate, too", f"no {name}")], run(leave_out)
    yield from plateaus.variants(courses)
