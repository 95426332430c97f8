"""What the claimed scores of trials say of their network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared_keras.comparisons.ray import assumptions, recompute
from shared_keras.comparisons.ray.assumptions import Assumed
from shared_keras.comparisons.ray.recompute import Conditions, ReadTrial
from shared_keras.errors import BadInput

LOOKED_AT = 5  # claims at most, spread evenly from the best to the worst


@dataclass(frozen=True)
class Borne:
    """The assumption that most claims bear out, the likeliest of equals.

    Attributes:
        assumed: The assumption.
        reproduced: How many claims it reproduces.
        looked_at: Of how many.
    """

    assumed: Assumed
    reproduced: int
    looked_at: int

    @property
    def sure(self) -> bool:
        """Whether it reproduces most of the claims; one or two may be false, or fit by chance."""
        return 2 * self.reproduced > self.looked_at

    def __str__(self) -> str:
        if not self.looked_at:
            return (
                f"no score is claimed, so nothing bears out how networks are built: {self.assumed}"
            )
        if not self.sure:
            return (
                f"warning: no likely network reproduces most of {self.looked_at} claimed scores; "
                f"the best, {self.assumed}, {self.reproduced}. So the claims or what is shown "
                "here may be wrong; --model FILE.py says how the networks are built"
            )
        return (
            f"networks: {self.assumed}, which reproduces {self.reproduced} of {self.looked_at} "
            "claimed scores"
        )


def borne_out(jobs: Sequence[ReadTrial], shared: Conditions) -> Borne:
    """Return the assumption that reproduces most of the claimed scores.

    The first that reproduces all is taken, or else the first of those that reproduce most.

    Args:
        jobs: Trials with their weights.
        shared: The images; its assumption is not used.
    """
    with_claim = sorted(
        (job for job in jobs if job.trial.claimed is not None),
        key=lambda job: -job.trial.claimed,
    )
    places = np.unique(np.linspace(0, len(with_claim) - 1, LOOKED_AT).round().astype(int))
    picked = [with_claim[i] for i in places if with_claim]
    best = None
    for assumed in assumptions.likely(shared.task.pixels):
        said = [_reproduces(job, replace(shared, assumed=assumed)) for job in picked]
        borne = Borne(assumed, said.count(True), len(said) - said.count(None))
        if best is None or borne.reproduced > best.reproduced:
            best = borne
        if borne.reproduced == borne.looked_at:
            break
    return best


def _reproduces(job: ReadTrial, shared: Conditions) -> bool | None:
    """Return whether an assumption reproduces a claimed score; None if the trial has no port."""
    try:
        system, network = recompute.twin_of(job, shared)
    except BadInput:
        return None
    claimed = job.trial.claimed
    low, high = recompute.claimable(network, system, shared.split.validation)
    return low <= claimed <= high
