"""What a model costs, and how many samples an audit can afford with it."""

from dataclasses import dataclass

import numpy as np

from port_audit.nets import kinds
from port_audit.nets.torch_net import Trace

FLOATS = 2e7  # that layers take and put out in one run whose numbers are kept
LARGE = 1e8  # multiplications of a sample
MOVED = 60  # multiplications that take as long as it takes to move a float


@dataclass(frozen=True)
class Cost:
    """What one sample costs.

    Attributes:
        multiplications: Of a run forwards, and as many as take as long as moving the floats.
        floats: What layers with weights take and put out.
    """

    multiplications: float
    floats: float

    @property
    def large(self) -> bool:
        """Whether programs for it are so large that they should not outlive their stage."""
        return self.multiplications > LARGE

    def samples(self, budget: float, least: int, most: int) -> int:
        """Return how many samples can be run for a number of multiplications."""
        return int(np.clip(budget / max(self.multiplications, 1), least, most))

    def kept(self, budget: float, least: int, most: int) -> int:
        """Return how many samples can be run if the numbers of all layers are kept, too."""
        few = int(np.clip(FLOATS / max(self.floats, 1), least, most))
        return min(few, self.samples(budget, least, most))


def measured(trace: Trace, samples: int) -> Cost:
    """Return what a sample cost in a run.

    Args:
        trace: The run.
        samples: How many samples it took.
    """
    multiplications = floats = 0.0
    for unit in trace.units:
        convolves = unit.kind in (*kinds.CONVOLUTIONS, *kinds.TRANSPOSED)
        channels = unit.output.shape[1 if convolves else -1]
        places = unit.output.size / max(channels, 1)
        weights = sum(p.numel() for p in unit.module.parameters() if p.ndim > 1)
        multiplications += places * (0 if unit.kind == "embedding" else weights)
        floats += unit.input.size + unit.output.size
    return Cost((multiplications + MOVED * floats) / samples, floats / samples)
