"""What a task is: a value that holds all that is true of one dataset only."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """A Hyperband budget: the longest training in epochs and the reduction factor."""

    max_epochs: int
    factor: int


@dataclass(frozen=True)
class Recipe:
    """A setting that somebody published, with the scores that they reported.

    Attributes:
        space: Name of the search space that the hyperparameters belong to.
        hyperparameters: Values by name, as KerasTuner printed them.
        epochs: Number of epochs of the published training.
        batch_size: Images per optimizer step.
        patience: Epochs without a better `val_accuracy` before training stops.
        published: Reported scores by name, as fractions of one.
        source: Where the figures were published.
    """

    space: str
    hyperparameters: Mapping[str, int | float | str]
    epochs: int
    batch_size: int
    patience: int
    published: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class Task:
    """A dataset with its splits, search spaces and recipes.

    Attributes:
        name: Short name; results lie in `RESULTS_DIR/name`.
        title: Name for people.
        package: Python package of the task. It holds `data/` and `models.py`.
        classes: Class names; the label is the index.
        digests: SHA-256 of each uncompressed IDX file, by file name.
        published_test_fraction: Share of the test images that the published
            protocol keeps for testing; the rest is its validation set.
        published_test_first: Whether the original unpacked `train_test_split`
            as test before validation.
        spaces: Published Hyperband budget of each search space. The builder
            of a space is the function of that name in `models.py`.
        default_space: The space that `search` takes if none is named.
        recipes: Published settings by name.
    """

    name: str
    title: str
    package: str
    classes: tuple[str, ...]
    digests: Mapping[str, str]
    published_test_fraction: float
    published_test_first: bool
    spaces: Mapping[str, Budget]
    default_space: str
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    def builder(self, space: str) -> Callable:
        """Return the function `build(hp)` of a search space. Imports Keras."""
        return getattr(importlib.import_module(f"{self.package}.models"), space)
