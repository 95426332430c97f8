"""What a retraining was asked: the flags of `retrain`."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from shared_keras import devices
from shared_keras.commands import door
from shared_keras.errors import BadInput
from shared_keras.results.settings import ALL


@dataclass(frozen=True)
class RetrainRequest:
    """What a retraining was asked: each field is what the flag of its name says.

    Attributes:
        recipe: None for a trial of a search: `trial` or, if that is None, the winner.
        seeds: A seed for each run.
        epochs: If it is None, as with the next three, the search or the recipe has its own.
    """

    recipe: str | None
    trial: str | None
    search: str | None
    seeds: range
    epochs: int | None
    patience: int | None
    batch_size: int | None
    split: str | None
    torch: bool
    precision: str
    data_dir: str | None
    results_dir: Path

    @property
    def several(self) -> bool:
        """Whether there is more than one run."""
        return len(self.seeds) > 1 or self.recipe == ALL


def of(args: argparse.Namespace) -> RetrainRequest:
    """Return what `flags.retrain` parsed.

    Raises:
        BadInput: if the flags contradict each other, or PyTorch is needed and not installed.
    """
    if args.recipe is not None and args.search is not None:
        raise BadInput(
            f"argument --search: got '{args.search}', but --recipe does not use a search; "
            "leave one of them out"
        )
    if args.torch:
        devices.need_torch("--torch")
        if args.precision != "float32":
            raise BadInput(
                "argument --precision: sets a Keras policy, expected float32 with --torch, "
                f"got {args.precision}"
            )
    seeds = range(args.seed, args.seed + args.runs)
    return door.settings(RetrainRequest, args, seeds=seeds)
