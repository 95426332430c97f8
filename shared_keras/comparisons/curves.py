"""Whole trainings: how far two curves are apart, and where most."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared_keras.comparisons.recipe_runs import FRAMEWORKS, Found
from shared_keras.reporting.pictures.curve_plots import Beside, beside_published, stack
from shared_keras.results import published
from shared_keras.results.settings import penalised
from shared_keras.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 5  # seeds, of which four still have a deviation that says something
COMPARED = ("val_accuracy", "val_loss")  # training metrics depend on how they were averaged


class Apart(NamedTuple):
    """Where two curves are farthest apart.

    Attributes:
        metric: What was measured.
        sds: The largest distance in standard deviations of the seeds, in epoch `epoch`, where
            it is `distance`; None if no epoch has two seeds that differ.
        epoch: Counted from one, like `at`.
        distance: The distance there, a fraction of one or a loss.
        most: The largest distance, in epoch `at`.
    """

    metric: str
    sds: float | None
    epoch: int | None
    distance: float | None
    most: float
    at: int

    def __str__(self) -> str:
        most = f"{self.metric} at most {self._points(self.most)}"
        if self.sds is None:
            return f"{most} (epoch {self.at})"
        if self.epoch == self.at:
            return f"{most}, {self.sds:.1f} sd (epoch {self.at})"
        where = f"epoch {self.epoch}, {self._points(self.distance)}"
        return f"{most} (epoch {self.at}), at most {self.sds:.1f} sd ({where})"

    def _points(self, distance: float) -> str:
        if self.metric.endswith("accuracy"):
            return f"{100 * distance:.2f} points"
        return f"{distance:.4f}"


def apart(
    first: Sequence[Mapping[str, Sequence[float]]],
    second: Sequence[Mapping[str, Sequence[float]]],
    metric: str,
) -> Apart | None:
    """Compare the mean curves of two groups of trainings, over the epochs that both have.

    Args:
        first: Histories of the seeds of one, or a single published one.
        second: Those of the other.
        metric: What to compare.

    Returns:
        Where they are farthest apart, or None if one of them lacks the metric. The standard
        deviation is that of the seeds; of two groups that have one, the root of the mean square.
    """
    groups = [[one[metric] for one in group if metric in one] for group in (first, second)]
    if not all(groups):
        return None
    (a, a_sd, _), (b, b_sd, _) = map(stack, groups)
    length = min(len(a), len(b))
    distance = np.abs(a[:length] - b[:length])
    spreads = np.stack([a_sd[:length], b_sd[:length]]) ** 2
    known = ~np.isnan(spreads)
    sd = np.sqrt(np.where(known, spreads, 0).sum(0) / np.maximum(known.sum(0), 1))
    sds = np.divide(distance, sd, out=np.full(length, -1.0), where=sd > 0)
    at, epoch = int(distance.argmax()), int(sds.argmax())
    most = (float(distance[at]), at + 1)
    if sds[epoch] < 0:
        return Apart(metric, None, None, None, *most)
    return Apart(metric, float(sds[epoch]), epoch + 1, float(distance[epoch]), *most)


def of_recipes(task: Task, found: Found) -> list[Beside]:
    """Return the recipes whose training was published, with ours and the twin's."""
    trainings = []
    for name in published.recipes(task):
        runs = {key: found.get((name, key), []) for key in FRAMEWORKS}
        if not any(runs.values()):
            continue
        ours, twin = ([run.history for run in runs[key]] for key in ("ours", "twin"))
        system = task.system(task.recipes[name].system).to_json()
        same = penalised("keras", system) == penalised("pytorch", system)
        trainings.append(Beside(name, published.curve(task, name), ours, twin, same))
    return trainings


def draw(task: Task, trainings: Sequence[Beside]) -> "Figure":
    """Draw the published trainings with ours, a figure."""
    name = f"{task.title}: published trainings and ours (bands: standard deviation over seeds)"
    return beside_published(trainings, name)


def how_far(training: Beside) -> list[str]:
    """Return for each metric how far the published training is from the mean of ours.

    Beside it stands how far one of our own seeds is from the others.
    """
    lines = []
    for metric in COMPARED:
        how = apart([training.published], training.ours, metric)
        if how is not None:
            own = sorted(_of_each(training.ours, metric))
            beside = f"; one seed of ours: {own[0]:.1f} to {own[-1]:.1f} sd" if own else ""
            lines.append(f"{how}{beside}")
    return lines


def _of_each(ours: Sequence[Mapping[str, Sequence[float]]], metric: str) -> list[float]:
    """Return how far each seed is at most from the mean of the others, in their deviations."""
    if len(ours) < ENOUGH:
        return []
    rest = [apart([one], [each for each in ours if each is not one], metric) for one in ours]
    return [how.sds for how in rest if how.sds is not None]
