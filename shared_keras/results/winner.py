"""The winner of a search, as `retrain --best` and `search --try-first best` need it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from shared_keras.results import names
from shared_keras.results.formats import Format


@dataclass(frozen=True)
class Confirmed:
    """What a winner reached with `n` other seeds."""

    mean: float
    sd: float
    n: float


@dataclass(frozen=True)
class Winner(Format):
    """The winner of a search.

    Attributes:
        trials: How many trials had ended.
        planned: How many there will be.
        trial: Its number, such as "0012".
        score: What it reached.
        objective: Which metric that is.
        space: The search space of its hyperparameters.
        split: As in `SearchSettings`, like `batch_size`.
        hyperparameters: Values by name, with KerasTuner's own.
        confirmed: What it reached with other seeds, if it was confirmed.
    """

    FILE: ClassVar = names.BEST

    trials: int
    planned: int
    trial: str
    score: float
    objective: str
    space: str
    split: str
    batch_size: int
    hyperparameters: dict[str, Any]
    confirmed: Confirmed | None = None
