"""Compare the trials of a Ray Tune folder with their ported models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats

from shared_keras.comparisons.ray import experiment
from shared_keras.comparisons.ray.experiment import Names, Trial
from shared_keras.data.datasets import Images
from shared_keras.data.splits import Split
from shared_keras.errors import BadInput
from shared_keras.models.build import keras_model
from shared_keras.pytorch import twin, weights
from shared_keras.results.scores import predict_outputs
from shared_keras.systems.spec import System
from shared_keras.task import Task

FLIPS = 2  # images whose class may differ by the rounding of another machine


@dataclass(frozen=True)
class Shared:
    """What the comparisons of all trials have in common."""

    task: Task
    split: Split


@dataclass(frozen=True, eq=False)
class Job:
    """A trial to compare with its port, and its state dict under the twin's names."""

    trial: Trial
    state: Mapping[str, "twin.torch.Tensor"]

    def needs(self) -> list[Path]:
        """Return the files that it reads: none."""
        return []

    def moved(self, root: Path) -> "Job":
        """Return the job itself, which has no paths that matter."""
        return self


@dataclass(frozen=True)
class LeftOut:
    """Why a trial cannot be compared."""

    reason: str


@dataclass(frozen=True)
class Ported:
    """A trial, its system, and its Keras and PyTorch models."""

    trial: Trial
    system: System
    model: keras.Model
    network: "twin.nn.Sequential"


def read(trial: Trial, names: Names) -> Job:
    """Read the checkpoint of a trial.

    Raises:
        BadInput: if it cannot be read.
    """
    return Job(trial, weights.renamed(weights.read(trial.checkpoint), names.modules))


def work(shared: Shared, job: Job) -> dict | LeftOut:
    """Return the row of a trial on the leaderboard, or why it has none."""
    try:
        return row(port(job, shared.task), shared.split)
    except BadInput as error:
        return LeftOut(str(error))


def port(job: Job, task: Task) -> Ported:
    """Make the PyTorch and the Keras model of a trial.

    Raises:
        BadInput: if its architecture does not match.
    """
    trial, state = job.trial, job.state
    try:
        system = experiment.system(trial.config, state, task.pixels)
        system = system.with_outputs(len(task.classes))
    except (TypeError, ValueError) as error:
        raise BadInput(str(error)) from None
    model = keras_model(system)
    weights.load(model, state)
    network = twin.module(system)
    weights.load_module(network, state)
    return Ported(trial, system, model, network)


def row(ported: Ported, split: Split) -> dict:
    """Evaluate both models of a trial on the validation and the test images.

    Returns:
        Accuracies as fractions, the largest difference between logits, the number of
        images on which the two disagree, and a warning if the claim cannot be true.
    """
    values: dict[str, Any] = {"trial": ported.trial.name, "claimed_val": ported.trial.claimed}
    difference, disagree = 0.0, 0
    for name, images in (("val", split.validation), ("test", split.test)):
        theirs = twin.logits(ported.system, ported.network, images.x)
        ours = predict_outputs(ported.model, images.x)
        values[f"torch_{name}"] = _accuracy(theirs, images)
        values[f"keras_{name}"] = _accuracy(ours, images)
        difference = max(difference, float(np.abs(theirs - ours).max()))
        disagree += int((theirs.argmax(1) != ours.argmax(1)).sum())
    batch_size = ported.system.batch_size or len(split.validation)
    return values | {
        "max_logit_difference": difference,
        "disagreements": disagree,
        "warning": _warning(
            ported.trial.claimed, values["torch_val"], len(split.validation), batch_size
        ),
        "notes": "; ".join(ported.trial.notes),
    }


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
