"""Where two trainings part: at which step, in which weights, by how much."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from port_audit.distances import EPS
from port_audit.witness.plan import Plan
from port_audit.witness.precision import Slot

FACTOR = 32  # how many times as far as a disturbed training rounding may take another one
SHARE = 1e-6  # of the way that weights went, in float64: the user's code may cast to float32
MOST_AGREE = 0.99  # of the values of a weight; in float32 rounding may flip a ReLU


@dataclass(frozen=True)
class Parting:
    """Where two trainings part.

    Attributes:
        epoch: From one.
        step: Within the epoch, from one; 0 for its end.
        last: Whether the step is the last of its epoch.
        slot: The weight that is the farthest off.
        size: How far it is from PyTorch's.
        tolerance: How far rounding explains.
        moved: How far PyTorch's has moved.
        weights: Names of all weights that part there.
        agreeing: How many do not.
        rates: The learning rates of this step: the port's and PyTorch's, if they are known.
        losses: The losses of this step, likewise.
    """

    epoch: int
    step: int
    last: bool
    slot: Slot
    size: float
    tolerance: float
    moved: float
    weights: tuple[str, ...]
    agreeing: int
    rates: tuple[float, float] | None
    losses: tuple[float, float] | None

    @property
    def where(self) -> str:
        """Return the place in time."""
        at = f", step {self.step}" if self.step else ""
        return f"training, epoch {self.epoch}{at}"

    def sentence(self) -> str:
        """Return what is seen."""
        parts = [
            "both sides were trained, and here they part, though the stages found nothing: "
            f"{self.slot.name} went {self.moved:.1e}"
        ]
        if self.agreeing:
            shown = ", ".join(self.weights[:4]) + (", ..." if len(self.weights) > 4 else "")
            parts.append(f"only {shown} part; {self.agreeing} others agree")
        if self.rates and abs(self.rates[0] - self.rates[1]) > 1e-5 * abs(self.rates[1]):
            parts.append(f"the rate is {self.rates[0]:.6g}, PyTorch's {self.rates[1]:.6g}")
        if self.losses and abs(self.losses[0] - self.losses[1]) > 1e-3 * abs(self.losses[1]):
            parts.append(f"the loss is {self.losses[0]:.6g}, PyTorch's {self.losses[1]:.6g}")
        if (hint := self._hint()) is not None:
            parts.append(hint)
        return "; ".join(parts)

    def _hint(self) -> str | None:
        statistics = all("moving" in name for name in self.weights)
        if statistics:
            return "these are running statistics: look at batch norm in training mode"
        if self.epoch == 1 and self.step == 1:
            return "the first step: look at the loss, its gradients, the rate"
        if self.step == 1:
            return "the first step of an epoch: look at schedules and callbacks"
        if self.epoch == 1 and self.step == 2:
            return "the second step: look at what the optimizer keeps from the first"
        if self.last:
            return "the short last batch: look at what is divided by the number of samples"
        return None


@dataclass
class Course:
    """A training of both sides, compared after each step.

    Attributes:
        plan: What they train on.
        dtype: "float64" or "float32".
        slots: The weights that are compared.
        start: PyTorch's weights at the start.
        decays: Whether weights decay.
        allowed: How far rounding takes each value of each weight, so far.
        steps: How many steps were compared.
        size: The largest distance, by what rounding allows.
        tolerance: What rounding allows there.
        parting: Where they part, if they do.
        notes: What a reader should know.
    """

    plan: Plan
    dtype: str
    slots: tuple[Slot, ...]
    start: list[np.ndarray]
    decays: bool = False
    allowed: list[np.ndarray] = field(default_factory=list)
    steps: int = 0
    size: float = 0.0
    tolerance: float = 0.0
    parting: Parting | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.allowed = [np.zeros(value.shape, "float32") for value in self.start]
        # Copies, half as large where nothing is lost: what is float64 was made of float32.
        self.start = [_narrowed(value) for value in self.start]

    def compare(
        self,
        ours: Sequence[np.ndarray],
        theirs: Sequence[np.ndarray],
        disturbed: Sequence[np.ndarray],
        epoch: int,
        step: int,
        rates: tuple[float, float] | None,
        losses: tuple[float, float] | None,
    ) -> bool:
        """Compare all weights after a step; return whether they agree.

        Args:
            ours: Keras's weights.
            theirs: PyTorch's, in the layout of Keras.
            disturbed: Those of the disturbed training.
            epoch: From one.
            step: Within the epoch, from one; 0 for its end.
            rates: Learning rates of both, if known.
            losses: Losses of both, if known.
        """
        self.steps += 1 if step else self.plan.steps
        ways = [_largest(now - start) for now, start in zip(theirs, self.start)]
        most, found = max(ways, default=0.0), []
        # A single value may be where it was by chance, so that others speak for it, too.
        shares = [
            _largest(expected - other) / way
            for expected, other, way in zip(theirs, disturbed, ways)
            if way
        ]
        share = max(SHARE, FACTOR * float(np.median(shares)) if shares else 0.0)
        for index, (mine, expected, other) in enumerate(zip(ours, theirs, disturbed)):
            moved, shift = ways[index], np.abs(expected - other)
            shift = FACTOR * np.maximum(shift, np.median(shift))
            np.maximum(self.allowed[index], shift, out=self.allowed[index], casting="same_kind")
            # A gradient that is zero but for rounding is noise, and so is where it leads.
            least = max(share * moved, EPS * most, self._floor(index, theirs))
            limits = np.maximum(self.allowed[index], least)
            # 1 - rate * decay is a number close to 1, and may be float32; weights of LoRA are, too.
            if self.decays or self.slots[index].variable.dtype != self.dtype:
                limits = limits + EPS * self.steps * np.abs(expected)
            found.append((*self._far(mine, expected, limits), moved))
        worst = max(range(len(found)), key=lambda i: found[i][0])
        ratio, far, limit, moved = found[worst]
        if self.tolerance == 0 or ratio > self.size / self.tolerance:
            self.size, self.tolerance = far, limit
        if ratio <= 1:
            return True
        names = [s.name for s, each in zip(self.slots, found) if each[0] > 1]
        self.parting = Parting(
            epoch,
            step,
            step == self.plan.steps and len(self.plan.rows) % self.plan.batch > 0,
            self.slots[worst],
            far,
            limit,
            moved,
            tuple(names),
            len(found) - len(names),
            rates,
            losses,
        )
        return False

    def _floor(self, index: int, theirs: Sequence[np.ndarray]) -> float:
        share = 1e-13 if self.dtype == "float64" else 64 * EPS
        scale = _largest(theirs[index])
        # A mean that is zero but for rounding is as exact as the values that it is the mean of.
        name = self.slots[index].name.replace("(moving_mean)", "(moving_variance)")
        if name != self.slots[index].name:
            names = [slot.name for slot in self.slots]
            scale = max(scale, _largest(theirs[names.index(name)]) ** 0.5)
        return max(share * scale, 1e-300)

    def _far(
        self, mine: np.ndarray, expected: np.ndarray, limits: np.ndarray
    ) -> tuple[float, float, float]:
        """Return the largest distance by its limit, the distance, and the limit."""
        if mine.shape != expected.shape:
            return np.inf, np.inf, _largest(limits)
        far, limits = np.abs(mine.astype(np.float64) - expected).ravel(), limits.ravel()
        if not far.size or np.array_equal(mine, expected, equal_nan=True):
            return 0.0, 0.0, float(limits.max(initial=1e-300))
        ratios = np.nan_to_num(far / limits, nan=np.inf)
        place = int(ratios.argmax())
        if self.dtype == "float32":
            place = int(np.argsort(ratios)[int(MOST_AGREE * (far.size - 1))])
        return float(ratios[place]), float(far[place]), float(limits[place])


def _narrowed(value: np.ndarray) -> np.ndarray:
    narrow = value.astype("float32")
    return narrow if np.array_equal(narrow, value) else value.copy()


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))
