"""What a model reached: its scores on some images, and what a run leaves of them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from shared_keras.results import names
from shared_keras.results.formats import Format


@dataclass(frozen=True)
class Scores:
    """The scores of predictions.

    Attributes:
        n: How many images.
        accuracy: The share that is right, with its Wilson 95 % interval `accuracy_low` to
            `accuracy_high`.
        loss: Mean cross-entropy in nats, without the model's weight penalties.
        macro: Mean "precision", "recall" and "f1" of the classes that occur.
        classes: The same of each "class", by name, and its "support", how often it occurs. A
            class that occurs but is never predicted scores zero. One that does not occur is not
            measured: its scores are None.
        confusion: The confusion matrix; rows are true.
    """

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    macro: dict[str, float]
    classes: list[dict[str, Any]]
    confusion: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class RunMetrics(Format):
    """What a run reached.

    Attributes:
        seed: Its seed. This and the next ones are None of an imported model, which was not
            trained here.
        best_epoch: The epoch whose weights the model has, from 1.
        epochs_trained: How many epochs were trained.
        restored_by: The metric by which the best epoch was restored, or None if the last was kept.
        stopped_early_by: The metric that stopped it early, or None.
        seconds: How long the training took.
        seconds_per_epoch: The median.
        parameters: The size of the model.
        validation: Its scores on the validation images.
        test: Its scores on the test images.
        claimed_val_accuracy: What its original claimed, if it was imported and that is known.
    """

    FILE: ClassVar = names.METRICS
    SINCE: ClassVar = {"restored_by": None, "stopped_early_by": None}

    seed: int | None = None
    best_epoch: int | None = None
    epochs_trained: int | None = None
    restored_by: str | None
    stopped_early_by: str | None
    seconds: float | None = None
    seconds_per_epoch: float | None = None
    parameters: int
    validation: Scores
    test: Scores
    claimed_val_accuracy: float | None = None
