"""The settings of searches and runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shared_keras.results import names
from shared_keras.results.formats import Format
from shared_keras.systems.recipe import MONITOR

QUICK = {"max_epochs": 3, "factor": 3}  # 6 trials, 11 epochs
BATCH_SIZE = 32  # as in the Keras originals
MEASURES = ("accuracy", "loss", "precision", "macro_precision")
OBJECTIVES = (*(f"val_{name}" for name in MEASURES), *MEASURES)
SEEDS = 3  # used by --confirm
TRY_BEST = "best"  # what --try-first calls it
EPOCHS = 100  # more than EarlyStopping ever trains
PATIENCE = 15  # as in Fashion-Keras, which stopped 15 epochs after its best
ALL = "all"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class SearchSettings(Format):
    """Everything that determines the result of a search.

    Attributes:
        try_first: The recipe or the search whose settings are tried first, if any.
        data: A digest of the images.
        min_epochs: Epochs of the shortest training.
        title: What the images are called, which decides nothing.
        planned: How many trials all that makes, once that is known.
    """

    FILE: ClassVar = names.SETTINGS

    task: str
    space: str
    max_epochs: int
    factor: int
    iterations: int
    batch_size: int
    objective: str
    split: str
    seed: int
    try_first: str | None
    backend: str
    data: str
    min_epochs: int
    title: str
    planned: int | None = None


@dataclass(frozen=True)
class RunSettings(Format):
    """Everything that determines the result of a run.

    Attributes:
        framework: "keras", or "pytorch" for the twin.
        recipe: Name of the recipe, if one was trained.
        space: The search space that the hyperparameters belong to, if any.
        system: `System.to_json()` of what was trained.
        patience: Epochs without improvement before it stops; None for no early stopping, when
            the last epoch is kept.
        batch_size: None, like the seed, if unknown, as for an imported trial.
        data: A digest of the images.
        title: What the images are called, which decides nothing.
        classes: The names of their classes.
        monitor: The metric whose maximum early stopping restores.
    """

    FILE: ClassVar = names.SETTINGS
    SINCE: ClassVar = {"monitor": MONITOR}

    task: str
    source: str
    framework: str
    recipe: str | None
    space: str | None
    hyperparameters: dict[str, Any]
    system: dict[str, Any]
    epochs: int
    patience: int | None
    batch_size: int | None
    split: str
    seed: int | None
    precision: str
    backend: str
    data: str
    title: str
    classes: list[str]
    monitor: str


def penalised(framework: str, system: Mapping[str, Any]) -> bool:
    """Return whether the losses of a run's epochs include L2 penalties.

    Those of a PyTorch twin do not: there the optimizer applies them.

    Args:
        framework: As in `RunSettings`.
        system: As in `RunSettings`.
    """
    return framework == "keras" and any(layer.get("l2") for layer in system["layers"])
