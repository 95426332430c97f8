"""What both sides train on: how many samples, steps and epochs. A model's cost decides."""

import math
import warnings
from dataclasses import dataclass, replace

import keras
import numpy as np

from port_audit.courses import is_plateau
from port_audit.pair import Pair
from port_audit.samples import count

COST = 1e10  # multiplications of one pass over all samples of all epochs
MOST, LEAST = 64, 4  # samples per step
STEPS, EPOCHS = 24, 3  # at least, if they cost little
MOST_STEPS, MOST_EPOCHS = 8, 40  # per epoch; of a schedule


@dataclass(frozen=True)
class Plan:
    """What both sides train on.

    Attributes:
        batch: Samples per step; the last step of an epoch has fewer, unless the original drops it.
        rows: The samples of an epoch, in order.
        epochs: Number of epochs.
        jump: How many steps are left out between two epochs, so that a schedule that counts
            steps is where it would be in a whole training.
        seen: Whether the epochs go as far as the rates move, up to 40.
    """

    batch: int
    rows: np.ndarray
    epochs: int
    jump: int = 0
    seen: bool = True

    @property
    def steps(self) -> int:
        """Return the steps per epoch."""
        return math.ceil(len(self.rows) / self.batch)

    def reversed(self) -> "Plan":
        """Return the same with the samples in the opposite order."""
        return replace(self, rows=self.rows[::-1])

    def chosen(self, step: int) -> np.ndarray:
        """Return the samples of a step of an epoch."""
        return self.rows[step * self.batch : (step + 1) * self.batch]


def plan(pair: Pair) -> Plan:
    """Return what a pair can afford."""
    n = count(pair.x)
    affordable = pair.cost.samples(COST, LEAST * 2 * EPOCHS, MOST * STEPS)
    batch = max(2, min(pair.batch_size, MOST, max(LEAST, affordable // STEPS), n // 2))
    whole = n // pair.batch_size if pair.theirs.drop_last else math.ceil(n / pair.batch_size)
    epochs = max(EPOCHS, _last_move(pair) + 2)
    real = batch == pair.batch_size and whole <= MOST_STEPS and whole * epochs <= 4 * STEPS
    steps = whole if real else int(np.clip(affordable // (EPOCHS * batch), 2, MOST_STEPS))
    most = max(EPOCHS, affordable // (2 * batch))  # epochs of two steps
    seen = epochs <= most
    epochs = min(epochs, most)
    if epochs > EPOCHS and not real:
        steps = max(2, min(steps, STEPS // epochs))
    if _counts_differently(pair):
        steps = min(steps, whole)
        jump = whole - steps
    else:
        jump = 0
    if real:
        size = n - n % batch if pair.theirs.drop_last else n
    else:
        size = steps * batch - (0 if pair.theirs.drop_last else batch - max(2, batch // 2))
    return Plan(batch, np.arange(size) % n, epochs, jump, seen)


def _last_move(pair: Pair) -> int:
    """Return the last epoch, from zero, in which a rate that moves per epoch is another one."""
    if pair.theirs.scheduler is None or pair.theirs.step_scheduler_per != "epoch":
        return 0
    optimizer = pair.theirs.optimizer(pair.torch.module.parameters())
    scheduler = pair.theirs.scheduler(optimizer)
    if is_plateau(scheduler):
        return 2 * scheduler.patience + 2
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer has made no step
        for _ in range(MOST_EPOCHS):
            rates.append([group["lr"] for group in optimizer.param_groups])
            scheduler.step()
    moves = [epoch for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]]
    gaps = np.diff(moves)
    if len(moves) > 3 and len(set(gaps)) == 1 and gaps[0] > 1:
        return moves[1]  # the same again and again: twice is enough
    return moves[-1] if moves and len(moves) < MOST_EPOCHS // 2 else min(12, (moves or [0])[-1])


def _counts_differently(pair: Pair) -> bool:
    """Whether PyTorch's schedule counts epochs, and Keras's counts steps."""
    rate = getattr(pair.keras.model.optimizer, "_learning_rate", None)
    return (
        isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        and pair.theirs.scheduler is not None
        and pair.theirs.step_scheduler_per == "epoch"
    )
