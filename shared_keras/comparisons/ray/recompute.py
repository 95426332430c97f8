"""Compare the trials of a Ray Tune folder with their ported models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats

from shared_keras.comparisons.ray import assumptions, experiment, user_network
from shared_keras.comparisons.ray.assumptions import Assumed
from shared_keras.comparisons.ray.experiment import Names, Trial
from shared_keras.data.datasets import Images
from shared_keras.data.splits import Split
from shared_keras.errors import BadInput
from shared_keras.models.build import keras_model
from shared_keras.processes import carried
from shared_keras.pytorch import twin, weights
from shared_keras.results.scores import predict_outputs
from shared_keras.systems.spec import System
from shared_keras.task import Task

FLIPS = 2  # images whose class may differ by the rounding of another machine
SOME = 500  # images by which a network is recognized


@dataclass(frozen=True)
class Conditions:
    """What the comparisons of all trials have in common."""

    task: Task
    split: Split
    assumed: Assumed


@dataclass(frozen=True, eq=False)
class ReadTrial:
    """A trial to compare with its port.

    Attributes:
        trial: The trial.
        state: Its state dict.
        modules: The names of its modules, mapped to the twin's.
        model: A file that says what its network is, or None if that is assumed.
    """

    trial: Trial
    state: Mapping[str, "twin.torch.Tensor"]
    modules: Mapping[str, str]
    model: Path | None

    def needs(self) -> list[Path]:
        """Return the files that it reads."""
        return [] if self.model is None else [self.model]

    def moved(self, root: Path) -> "ReadTrial":
        """Return the job with its file below `root`."""
        return replace(self, model=self.model and carried.below(root, self.model))


@dataclass(frozen=True)
class LeftOut:
    """Why a trial cannot be compared."""

    reason: str


@dataclass(frozen=True)
class Ported:
    """A trial, and both its models.

    Attributes:
        trial: The trial.
        logits: The PyTorch model, as a function of raw images.
        system: What it is, or None if it is none of the networks that can be ported.
        model: The Keras model of the system.
    """

    trial: Trial
    logits: Callable[[np.ndarray], np.ndarray]
    system: System | None
    model: keras.Model | None


def read(trial: Trial, names: Names, model: Path | None) -> ReadTrial:
    """Read the checkpoint of a trial.

    Raises:
        BadInput: if it cannot be read.
    """
    return ReadTrial(
        trial, weights.read(trial.checkpoint), names.modules, model and model.absolute()
    )


def work(shared: Conditions, job: ReadTrial) -> dict | LeftOut:
    """Return the row of a trial on the leaderboard, or why it has none."""
    try:
        return row(port(job, shared), shared.split)
    except BadInput as error:
        return LeftOut(str(error))


def port(job: ReadTrial, shared: Conditions) -> Ported:
    """Make the PyTorch and the Keras model of a trial.

    Raises:
        BadInput: if its architecture does not match.
    """
    if job.model is None:
        system, network = twin_of(job, shared)
        return Ported(job.trial, partial(twin.logits, system, network), system, _keras(job, system))
    some = shared.split.validation.x[:SOME]
    theirs = user_network.read(job.model, job.trial.own_config, job.state, some)
    for assumed in assumptions.likely(theirs.pixels) if theirs.pixels else ():
        try:
            system, network = twin_of(job, replace(shared, assumed=assumed))
        except BadInput:
            break
        if np.allclose(twin.logits(system, network, some), theirs.logits(some), 1e-4, 1e-4):
            return Ported(job.trial, theirs.logits, system, _keras(job, system))
    return Ported(job.trial, theirs.logits, None, None)


def twin_of(job: ReadTrial, shared: Conditions) -> tuple[System, "twin.nn.Sequential"]:
    """Return the system of a trial as it is assumed to be, and its PyTorch model.

    Raises:
        BadInput: if its architecture does not match.
    """
    try:
        system = experiment.system(job.trial.config, job.state, shared.assumed)
        system = system.with_outputs(len(shared.task.classes))
    except (TypeError, ValueError) as error:
        raise BadInput(str(error)) from None
    network = twin.module(system)
    try:
        weights.load_module(network, weights.renamed(job.state, job.modules))
    except (RuntimeError, ValueError):
        _keras(job, system)  # says what does not fit
        raise
    return system, network


def _keras(job: ReadTrial, system: System) -> keras.Model:
    model = keras_model(system)
    weights.load(model, weights.renamed(job.state, job.modules))
    return model


def row(ported: Ported, split: Split) -> dict:
    """Evaluate both models of a trial on the validation and the test images.

    Returns:
        Accuracies as fractions, the largest difference between logits, the number of
        images on which the two disagree, and a warning if the claim cannot be true. What is
        Keras's is None if the network is none of those that can be ported.
    """
    trial = ported.trial
    values: dict[str, Any] = {"trial": trial.name, "claimed_val": trial.claimed}
    difference, disagree = None, None
    for name, images in (("val", split.validation), ("test", split.test)):
        theirs = ported.logits(images.x)
        values[f"torch_{name}"] = _accuracy(theirs, images)
        values[f"keras_{name}"] = None
        if ported.model is not None:
            ours = predict_outputs(ported.model, images.x)
            values[f"keras_{name}"] = _accuracy(ours, images)
            difference = max(difference or 0.0, float(np.abs(theirs - ours).max()))
            disagree = (disagree or 0) + int((theirs.argmax(1) != ours.argmax(1)).sum())
    unknown = ["none of the networks that can be ported: only PyTorch's scores"]
    batch_size = trial.config.get("batch_size") or len(split.validation)
    return values | {
        "max_logit_difference": difference,
        "disagreements": disagree,
        "warning": _warning(trial.claimed, values["torch_val"], len(split.validation), batch_size),
        "notes": "; ".join([*trial.notes, *unknown * (ported.model is None)]),
    }


def claimable(network: "twin.nn.Sequential", system: System, images: Images) -> tuple[float, float]:
    """Return the lowest and the highest accuracy that a network could claim of images."""
    accuracy = _accuracy(twin.logits(system, network, images.x), images)
    return explainable(accuracy, len(images), system.batch_size or len(images))


def _accuracy(logits: np.ndarray, images: Images) -> float:
    return float((logits.argmax(1) == images.y).mean())


def _warning(claimed: float | None, accuracy: float, n: int, batch_size: int) -> str:
    if claimed is None:
        return ""
    low, high = explainable(accuracy, n, batch_size)
    if low <= claimed <= high:
        return ""
    return (
        f"claims {claimed:.4%}, but recomputing gives {accuracy:.4%}; averaging over batches "
        f"explains only {low:.2%} to {high:.2%}"
    )


def explainable(accuracy: float, n: int, batch_size: int) -> tuple[float, float]:
    """Return the range of means over batches that an accuracy can produce.

    The last batch of a shuffled pass may be short, and still weighs as much as a full
    one. The number of correct images in it is hypergeometric. The interval leaves out one
    case in a million at each end, and allows for two images whose class differs by the
    rounding of another machine.

    Args:
        accuracy: The true share of correct images.
        n: Number of images.
        batch_size: Images per batch.

    Returns:
        The lowest and the highest mean.
    """
    correct, last = round(accuracy * n), n % batch_size
    slack = FLIPS / n + 1e-9
    if last == 0 or n < batch_size:
        return accuracy - slack, accuracy + slack
    batches = n // batch_size + 1
    right = np.array(stats.hypergeom(n, correct, last).ppf([1e-6, 1 - 1e-6]))
    means = ((correct - right) / batch_size + right / last) / batches
    return float(means.min()) - slack, float(means.max()) + slack
