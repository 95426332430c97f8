"""The folders of runs, also of unfinished and damaged ones.

Nothing here imports Keras, so that a list of them appears at once.
"""

import html
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from shared_keras import words
from shared_keras.errors import BadInput
from shared_keras.results import history_csv, names
from shared_keras.results.history_csv import History
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.settings import RunSettings

SCORES = ("loss", "val_loss", "val_accuracy", "test_accuracy")
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Run:
    """A run that trained a model and has ended: its folder, and the files in it."""

    folder: Path
    settings: RunSettings
    metrics: RunMetrics
    history: History

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the run."""
        import pandas as pd

        settings, metrics = self.settings, self.metrics
        best = f"epoch {metrics.best_epoch} of {metrics.epochs_trained}"
        what = settings.recipe or settings.source
        title = f"<p><b>Run: {html.escape(self.folder.name)}</b><br>"
        title += html.escape(f"{what}, {settings.title}; {best}, seed {metrics.seed}.") + "</p>"
        parts = {"validation": metrics.validation, "test": metrics.test}
        rows = [
            {
                "images": part,
                "n": scores.n,
                "accuracy": scores.accuracy,
                "95 % interval": f"{scores.accuracy_low:.4f} to {scores.accuracy_high:.4f}",
                "loss": scores.loss,
                "macro F1": scores.macro["f1"],
            }
            for part, scores in parts.items()
        ]
        style = {"index": False, "border": 0, "float_format": "{:.4f}".format}
        tables = [pd.DataFrame(rows), pd.DataFrame(metrics.test.classes)]
        return title + "".join(table.to_html(**style) for table in tables)

    def score(self, name: str) -> float:
        """Return one of SCORES; `loss` is that of the kept epoch."""
        if name == "loss":
            return self.history["loss"][cast(int, self.metrics.best_epoch) - 1]  # see `read`
        part, _, what = name.partition("_")
        scores = {"val": self.metrics.validation, "test": self.metrics.test}[part]
        return cast(float, getattr(scores, what))


def read(folder: Path) -> Run:
    """Read a run.

    Raises:
        BadInput: if it was interrupted or damaged, or trained nothing.
    """
    settings, metrics = RunSettings.read(folder), RunMetrics.find(folder)
    if metrics is None:
        raise BadInput(f"{folder}: {without_result(folder)}")
    if metrics.best_epoch is None or metrics.seconds_per_epoch is None:
        raise BadInput(f"{folder / names.METRICS}: best_epoch or seconds_per_epoch is missing")
    values = history_csv.read(folder / names.HISTORY)
    trained = len(values.get("loss", ()))
    if not 0 < metrics.best_epoch <= trained:
        raise BadInput(
            f"{folder / names.METRICS}: best_epoch: expected one of the {trained} epochs in "
            f"{names.HISTORY}, got {metrics.best_epoch}"
        )
    return Run(folder, settings, metrics, values)


def ended(
    folder: Path, name_of: Callable[[Path, RunSettings], Name | None]
) -> tuple[list[tuple[Name, Run]], list[str]]:
    """Return the runs below a folder that have ended, and sentences about others.

    Args:
        folder: Folder of runs, at any depth.
        name_of: Returns what to call a run, or None if it does not count.

    Returns:
        The runs that count, with their names, in the order in which they ended; and what is wrong
        with those that count but were interrupted or damaged.
    """
    found, problems = [], []
    for path in sorted(folder.rglob(names.SETTINGS), key=lambda path: (_when(path), path)):
        try:
            name = name_of(path.parent, RunSettings.read(path.parent))
            if name is not None:
                found.append((name, read(path.parent)))
        except BadInput as error:
            problems.append(str(error))
    return found, problems


def _when(settings: Path) -> float:
    """Return when a run ended, so that a later one replaces an earlier one of the same seed."""
    metrics = settings.with_name(names.METRICS)
    return (metrics if metrics.exists() else settings).stat().st_mtime


def losses_of(run: Path) -> list[float]:
    """Return the losses of a run's epochs, as far as they are written."""
    return history_csv.column(run / names.HISTORY, "loss")


def failed(losses: Sequence[float]) -> bool:
    """Return whether a training ended because its loss became NaN or infinite."""
    return bool(losses) and not math.isfinite(losses[-1])


def has_ended(run: Path) -> bool:
    """Return whether a run has a result, or failed for good."""
    return RunMetrics.is_in(run) or failed(losses_of(run))


def without_result(run: Path) -> str:
    """Return why the folder of a training has no metrics."""
    losses = losses_of(run)
    if failed(losses):
        return f"failed, the loss became {losses[-1]}"
    after = f" after {words.count(len(losses), 'epoch')}" if losses else ""
    return f"interrupted{after}, or still running"
