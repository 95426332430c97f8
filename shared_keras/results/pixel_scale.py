"""On which scale a model from elsewhere takes its pixels.

Models of runs take pixels of 0...255. Others may have been trained on images that were divided by
255 first, and nothing in the file says so. Their answers to training images do.
"""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from shared_keras.data.datasets import Images
from shared_keras.results import saved_models
from shared_keras.results.scores import predict_probabilities
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

CHECKED = 2000  # training images
SEED = 0  # of their choice
SIGMAS = 3.0  # what chance alone hardly reaches
LEAST = 0.25  # of the way from guessing to knowing all; a model that knows less tells no scale


class Scale(NamedTuple):
    """A scale of pixels: `factor * x + offset` for x in 0...255."""

    name: str
    factor: float
    offset: float = 0.0


class Suited(NamedTuple):
    """A model that takes pixels of 0...255, the scale that it needed, and a line that says so."""

    model: keras.Model
    scale: Scale
    line: str


class _Answers(NamedTuple):
    """What a model answers on one scale; `right` is bool, a value for each image."""

    right: np.ndarray
    loss: float


def suit(model: keras.Model, task: Task, path: Path, training: Images) -> Suited:
    """Put before a model from elsewhere what scales pixels as it was trained.

    Its loss on training images decides between 0...255 and 0...1. A scale with another zero is
    taken only if far more images are right on it, too. A model that knows next to nothing on any
    scale is named, and stays as it is.

    Args:
        model: The model.
        task: The task of the images.
        path: The model's file; that of a run needs nothing.
        training: Training images.
    """
    mean, std = task.pixels["mean"], task.pixels["std"]
    raw = Scale("0...255", 1.0)
    scales = (
        raw,
        Scale("0...1", 1 / 255),
        Scale("-1...1", 2 / 255, -1.0),
        Scale(
            f"mean 0 and standard deviation 1 (less {mean}, by {std})", 1 / 255 / std, -mean / std
        ),
    )
    if saved_models.settings(path):
        return Suited(model, raw, "")
    chosen = np.random.default_rng(SEED).permutation(len(training))[:CHECKED]
    images = Images(training.x[chosen], training.y[chosen])
    given = best = _answers(model, raw, images)
    found = raw
    for scale in scales[1:]:
        answers = _answers(model, scale, images)
        shifted = scale.offset != 0
        if answers.loss < best.loss and not (shifted and not _far_better(answers, best)):
            found, best = scale, answers
    name = path.name
    share = np.bincount(images.y).max() / len(images)  # of the class that is most frequent
    if best.right.mean() < share + LEAST * (1 - share):
        line = (
            f"warning: {name} knows only {best.right.mean():.1%} of {len(images):,} training "
            f"images, whatever the scale of their pixels ({', '.join(s.name for s in scales)}); "
            f"it gets {raw.name}"
        )
        return Suited(model, raw, line)
    if found == raw:
        return Suited(model, raw, "")
    line = (
        f"note: {name} was trained on pixels of {found.name}, so it gets these: "
        f"{best.right.mean():.1%} of {len(images):,} training images are right (loss "
        f"{best.loss:.2f}); with {raw.name}, {given.right.mean():.1%} (loss {given.loss:.2f})"
    )
    scaling = keras.layers.Rescaling(found.factor, found.offset)
    return Suited(keras.Sequential([keras.Input((SIDE, SIDE)), scaling, model]), found, line)


def _answers(model: keras.Model, scale: Scale, images: Images) -> _Answers:
    x = images.x * np.float32(scale.factor) + np.float32(scale.offset)
    probabilities = predict_probabilities(model, x)
    of_truth = probabilities[np.arange(len(images)), images.y]
    loss = float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())
    return _Answers(probabilities.argmax(axis=1) == images.y, loss)


def _far_better(one: _Answers, other: _Answers) -> bool:
    """Return whether more images are right, by more than chance explains."""
    gained, lost = (one.right & ~other.right).sum(), (other.right & ~one.right).sum()
    return bool(gained - lost > SIGMAS * np.sqrt(gained + lost))
