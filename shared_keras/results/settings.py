"""The settings of searches and runs, and reading and writing them as JSON."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from shared_keras.errors import BadInput
from shared_keras.files import read_json, write_json
from shared_keras.systems.recipe import MONITOR

QUICK = {"max_epochs": 3, "factor": 3}  # 6 trials, 11 epochs
BATCH_SIZE = 32  # as in the Keras originals
METRICS = ("accuracy", "loss", "precision", "macro_precision")
OBJECTIVES = (*(f"val_{name}" for name in METRICS), *METRICS)
SEEDS = 3  # used by --confirm
BEST = "best"
EPOCHS = 100  # more than EarlyStopping ever trains
PATIENCE = 15  # as in Fashion-Keras, which stopped 15 epochs after its best
ALL = "all"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class SearchSettings:
    """Everything that determines the result of a search.

    Attributes:
        try_first: The recipe or the search whose settings are tried first, if any.
        data: A digest of the images.
        min_epochs: Epochs of the shortest training; 1 in older ones.
        title: What the images are called, which decides nothing; None in older ones.
        planned: How many trials all that makes, as far as is known; None in older ones.
    """

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
    min_epochs: int = 1
    title: str | None = None
    planned: int | None = None


@dataclass(frozen=True)
class RunSettings:
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
        title: What the images are called, which decides nothing; None in older ones.
        classes: The names of their classes; None in older runs.
        monitor: The metric whose maximum early stopping restores.
    """

    task: str
    source: str
    framework: str
    recipe: str | None
    space: str | None
    hyperparameters: dict
    system: dict
    epochs: int
    patience: int | None
    batch_size: int | None
    split: str
    seed: int | None
    precision: str
    backend: str
    data: str
    title: str | None = None
    classes: list[str] | None = None
    monitor: str = MONITOR


def penalised(framework: str, system: Mapping) -> bool:
    """Return whether the losses of a run's epochs include L2 penalties.

    Those of a PyTorch twin do not: there the optimizer applies them.

    Args:
        framework: As in `RunSettings`.
        system: As in `RunSettings`.
    """
    return framework == "keras" and any(layer.get("l2") for layer in system["layers"])


def read_settings(kind: type, path: Path) -> Any:
    """Read settings that were written as JSON from the dataclass `kind`.

    Keys that have a default may be missing, because earlier versions did not write them.

    Raises:
        BadInput: naming the file, if a key is unknown or missing.
    """
    values = read_json(path)
    known = {field.name for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if not isinstance(values, dict) or not needed <= set(values) <= known:
        raise BadInput(
            f"{path}: expected the keys {', '.join(sorted(needed))}, got "
            f"{', '.join(sorted(values)) if isinstance(values, dict) else values!r}"
        )
    return kind(**values)


def write_settings(path: Path, settings: Any) -> None:
    """Write a dataclass as JSON."""
    write_json(path, asdict(settings))
