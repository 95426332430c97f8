"""Published settings, with the scores that were reported for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared_keras.systems.spec import System

MONITOR = "val_accuracy"


@dataclass(frozen=True)
class Replay:
    """A system as KerasTuner or Ray Tune printed it: hyperparameters of a search space."""

    space: str
    hyperparameters: Mapping[str, int | float | str]


@dataclass(frozen=True)
class Recipe:
    """A setting that somebody published, with the scores that they reported.

    Attributes:
        system: The system, or the hyperparameters that make it.
        epochs: Number of epochs of the published training.
        batch_size: Images per optimizer step.
        patience: Epochs without a better `monitor` before training stops and the best epoch
            is restored; None to train to the end and keep the last.
        monitor: The metric whose maximum is the best epoch; it decides nothing without `patience`.
        split: The split protocol under which the scores were measured.
        published: Reported scores by name: accuracies as fractions of one, and losses.
        classes: Published precision, recall and F1 of each class.
        source: Where the scores were published.
        note: What a reader must know to compare the scores.
        explained: Why a published score is not what this training gives, by score.
        fails: Whether it fails to train at all, so that what it reaches is chance.
    """

    system: Replay | System
    epochs: int
    batch_size: int
    source: str
    patience: int | None = None
    monitor: str = MONITOR
    split: str = "published"
    published: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    note: str = ""
    explained: Mapping[str, str] = field(default_factory=dict)
    fails: bool = False

    @property
    def main_score(self) -> str:
        """The score to compare: the test accuracy, unless only that of validation is published."""
        only = "val_accuracy" in self.published and "test_accuracy" not in self.published
        return "val_accuracy" if only else "test_accuracy"
