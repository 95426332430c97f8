"""What a task is: a value that holds all that is true of one dataset only."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared_keras.system import System


@dataclass(frozen=True)
class Budget:
    """A Hyperband budget: the longest training in epochs and the reduction factor."""

    max_epochs: int
    factor: int


@dataclass(frozen=True)
class Replay:
    """A system as KerasTuner or Ray Tune printed it: hyperparameters of a search space."""

    space: str
    hyperparameters: Mapping[str, int | float | str]


@dataclass(frozen=True)
class Recipe:
    """A setting that somebody published, with the scores that they reported.

    Attributes:
        what: The system, or the hyperparameters that make it.
        epochs: Number of epochs of the published training.
        batch_size: Images per optimizer step.
        patience: Epochs without a better `val_accuracy` before training stops and
            the best epoch is restored; None to train to the end and keep the last.
        split: The protocol that the figures were published under.
        published: Reported scores by name: accuracies as fractions of one, losses.
        classes: Published precision, recall and F1 of each class.
        source: Where the figures were published.
        note: What one must know to compare the scores.
    """

    what: Replay | System
    epochs: int
    batch_size: int
    source: str
    patience: int | None = None
    split: str = "published"
    published: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Task:
    """A dataset with its splits, search spaces and recipes.

    Attributes:
        name: Short name; results lie in `RESULTS_DIR/name`.
        title: Name for people.
        package: Python package of the task. It holds `data/` and `models.py`.
        classes: Class names; the label is the index.
        digests: SHA-256 of each uncompressed IDX file, by file name.
        pixels: `mean` and `std` of the training pixels, as shares of 255.
        published_test_fraction: Share of the test images that the published
            protocol keeps for testing; the rest is its validation set.
        published_test_first: Whether the original unpacked `train_test_split`
            as test before validation.
        spaces: Published Hyperband budget of each search space. The builder
            of a space is the function of that name in `models.py`.
        default_space: The space that `search` takes if none is named.
        recipes: Published settings by name.
        grid: Names of recipes that were published as a grid, row by row.
    """

    name: str
    title: str
    package: str
    classes: tuple[str, ...]
    digests: Mapping[str, str]
    pixels: Mapping[str, float]
    published_test_fraction: float
    published_test_first: bool
    spaces: Mapping[str, Budget]
    default_space: str
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    grid: tuple[tuple[str, ...], ...] = ()

    def builder(self, space: str) -> Callable:
        """Return a search space, a `space.Space`: `build(hp)`. Imports Keras."""
        return getattr(importlib.import_module(f"{self.package}.models"), space)

    def system(self, what: Replay | System) -> System:
        """Return what a recipe is about. Imports Keras.

        Raises:
            BadInput: if hyperparameters do not fit their space.
        """
        if isinstance(what, System):
            return what
        from shared_keras.replay import replay

        space = self.builder(what.space)
        return space.describe(replay(space.describe, what.hyperparameters))
