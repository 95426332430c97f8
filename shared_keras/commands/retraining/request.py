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
    """What a retraining was asked; `choices` finds out what a search or a recipe adds to that.

    Attributes:
        recipe: A recipe, or all; None for a trial of a search.
        trial: The trial; None for the winner.
        search: The name of its search; None for the newest.
        epochs: How many at most, if not as the search or the recipe has it; the next three alike.
        patience: Epochs without improvement before it stops.
        batch_size: Images per step.
        split: The protocol that validation images follow.
        seeds: A seed for each run.
        torch: Whether to train the PyTorch twin.
        precision: Keras dtype policy.
        data_dir: Folder of the user's own images, or None.
        results_dir: Folder of the user's results.
    """

    recipe: str | None
    trial: str | None
    search: str | None
    epochs: int | None
    patience: int | None
    batch_size: int | None
    split: str | None
    seeds: range
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
