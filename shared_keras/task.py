"""A task: a value that holds everything specific to one dataset."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared_keras.systems.recipe import Recipe, Replay
from shared_keras.systems.spec import System

SPLITS = ("holdout", "published", "half", "test")  # the protocols; see data/splits.py


@dataclass(frozen=True)
class Budget:
    """What a search spends by default.

    Attributes:
        max_epochs: Epochs of the longest training, as published.
        factor: Reduction factor, as published.
        iterations: How many times Hyperband runs; published was 1.
    """

    max_epochs: int
    factor: int
    iterations: int = 1


@dataclass(frozen=True)
class Task:
    """A dataset with its splits, search spaces and recipes.

    Attributes:
        name: Short name; results go to this folder below `--results-dir`.
        title: Display name.
        package: Python package of the task. It holds `data/` and `models.py`.
        classes: Class names; the label is the index.
        digests: SHA-256 of each uncompressed IDX file, by file name.
        pixels: `mean` and `std` of the training pixels, as fractions of 255.
        photos: What photos for `predict` show, which decides how they are prepared:
            "handwriting", one character, as in MNIST, or "objects", one thing, as in
            Fashion-MNIST.
        published_test_fraction: Fraction of the test images that the published
            protocol keeps for testing; the rest is its validation set.
        published_test_first: Whether the original unpacked `train_test_split`
            as test before validation.
        spaces: Hyperband budget of each search space. The builder
            of a space is the function of that name in `models.py`.
        default_space: The space that `search` uses by default.
        recipes: Published settings by name.
        grid: Names of recipes that were published as a grid, row by row.
        own: Whether the images are a user's own; see `data.own_data`. Nothing was published
            of them.
    """

    name: str
    title: str
    package: str
    classes: tuple[str, ...]
    digests: Mapping[str, str]
    pixels: Mapping[str, float]
    photos: str
    published_test_fraction: float
    published_test_first: bool
    spaces: Mapping[str, Budget]
    default_space: str
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    grid: tuple[tuple[str, ...], ...] = ()
    own: bool = False

    def builder(self, space: str) -> Any:
        """Return a search space, a `hyperband.space.Space`, for these classes. Imports Keras."""
        module = importlib.import_module(f"{self.package}.models")
        return getattr(module, space).with_outputs(len(self.classes))

    def system(self, system: Replay | System) -> System:
        """Return the system of a recipe for these classes, replayed if need be. Imports Keras.

        Raises:
            BadInput: if hyperparameters do not fit their space.
        """
        if isinstance(system, System):
            return system.with_outputs(len(self.classes))
        space = self.builder(system.space)
        return space.describe(space.replay(system.hyperparameters))
