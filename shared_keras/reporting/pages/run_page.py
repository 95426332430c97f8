"""The page of a run, of several seeds of it, or of the evaluation of a model."""

import base64
import statistics
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from shared_keras.data.datasets import Images
from shared_keras.reporting.pages import page
from shared_keras.reporting.pages.facts import Facts
from shared_keras.reporting.pictures.curve_plots import metrics_of, stack
from shared_keras.results.history_csv import History
from shared_keras.results.metrics import Scores
from shared_keras.results.predictions import Predictions
from shared_keras.results.scores import interval

KIND = "run"
HARDEST = 36
OF_CELL = 12  # images of a cell of the confusion matrix at most
MOST = 1500  # images of a page
COLUMNS = 50  # images side by side in the one picture that holds all of them


class Trained(NamedTuple):
    """What a page shows, with a value for each seed in the sequences.

    Attributes:
        title: What was trained.
        facts: What decided it, and on what it ran.
        classes: Their names.
        scores: Those of the test images.
        figures: Large figures at the top: a value, what it is, and a note.
        histories: The trainings, if they are known.
        predictions: Those of the test images, if they are known.
        images: The test images.
        published: The published training, if there is one.
    """

    title: str
    facts: Facts
    classes: Sequence[str]
    scores: Sequence[Scores]
    figures: Sequence[tuple[str, str, str]]
    histories: Sequence[History]
    predictions: Sequence[Predictions]
    images: Images
    published: History | None = None


def write(folder: Path, shown: Trained, home: Path) -> None:
    """Write the page and what it shows. For `home` see `page.write`."""
    page.write(folder, KIND, shown.title, home)
    examples = Examples(shown)
    cells, hardest = examples.cells(), examples.hardest()
    values = {
        "title": shown.title,
        "facts": shown.facts,
        "figures": shown.figures,
        "seeds": len(shown.scores),
        "curves": _curves(shown.histories, shown.published),
        "scores": class_scores(shown.scores),
        "classes": shown.classes,
        "confusion": np.mean([each.confusion for each in shown.scores], axis=0).tolist(),
        "cells": cells,
        "hardest": hardest,
        "columns": COLUMNS,
        "images": examples.picture(),
    }
    page.write_data(folder, page.script(values))


def _curves(histories: Sequence[History], published: History | None) -> list[dict[str, Any]]:
    """Return mean and standard deviation over the seeds, by metric, beside what was published."""
    if not histories:
        return []
    panels = []
    for metric in metrics_of({"": histories}):
        lines = []
        for key, name in ((metric, "training"), (f"val_{metric}", "validation")):
            if series := [one[key] for one in histories if key in one]:
                mean, sd, _ = stack(series)
                lines.append({"name": name, "mean": mean.tolist(), "sd": sd.tolist()})
        beside = (published or {}).get(f"val_{metric}")
        panels.append({"metric": metric, "lines": lines, "published": beside})
    return panels


def class_scores(scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """Return the scores of each class: their mean over the seeds, and an interval.

    Recall and precision are shares of images. So is r / (r + wrong ones of either kind), of which
    F1 is a function: 2 s / (1 + s). The intervals are Wilson's, for one seed and other images.
    """
    counts = np.mean([each.confusion for each in scores], axis=0)
    right, of, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    rows = []
    for i, first in enumerate(scores[0].classes):
        shares = {
            "precision": interval(right[i], said[i]),
            "recall": interval(right[i], of[i]),
            "f1": [2 * end / (1 + end) for end in interval(right[i], of[i] + said[i] - right[i])],
        }
        row: dict[str, Any] = {"class": first["class"], "support": first["support"]}
        for key, (low, high) in shares.items():
            known = [v for each in scores if (v := each.classes[i][key]) is not None]
            sd = statistics.stdev(known) if len(known) > 1 else None
            mean = statistics.fmean(known) if known else None
            row[key] = {"mean": mean, "low": low, "high": high, "sd": sd}
        rows.append(row)
    return rows


class Examples:
    """The test images that a page shows, each once, in one picture."""

    def __init__(self, shown: Trained):
        self.shown = shown
        self.places: dict[int, int] = {}  # of an image, by its number among the test images
        made = shown.predictions
        self.votes = np.array([each.predicted for each in made]) if made else None
        self.doubt = np.mean([each.entropy for each in made], axis=0) if made else None
        self.sure = np.mean([each.probability for each in made], axis=0) if made else None

    def hardest(self) -> list[dict[str, Any]]:
        """Return the images of the largest entropy, in the mean over the seeds."""
        if self.votes is None:
            return []
        numbers = self.doubt.argsort(kind="stable")[::-1][:HARDEST]
        return [
            {"number": int(i), "true": int(self.shown.images.y[i]), "place": self._place(int(i))}
            | {"predicted": _most(self.votes[:, i]), "probability": float(self.sure[i])}
            for i in numbers
        ]

    def cells(self) -> list[dict[str, Any]]:
        """Return images of each cell of the confusion matrix: wrong ones first, surest first."""
        if self.votes is None:
            return []
        y, n = self.shown.images.y, len(self.shown.classes)
        found: dict[tuple[int, int], np.ndarray] = {}
        for true in range(n):
            mine = np.flatnonzero(y == true)
            for predicted in np.unique(self.votes[:, mine]):
                votes = (self.votes[:, mine] == predicted).sum(0)
                order = np.lexsort((-self.sure[mine], -votes))
                some = mine[order][: np.count_nonzero(votes)]
                found[true, int(predicted)] = some[:OF_CELL]
        cells = []
        for (true, predicted), numbers in sorted(found.items(), key=lambda f: f[0][0] == f[0][1]):
            if len(self.places) + len(numbers) > MOST:
                break
            images = [
                {"number": int(i), "place": self._place(int(i))}
                | {"seeds": int((self.votes[:, i] == predicted).sum())}
                for i in numbers
            ]
            cells.append({"true": true, "predicted": predicted, "images": images})
        return cells

    def picture(self) -> str | None:
        """Return all of them in one picture, as the address of its data."""
        if not self.places:
            return None
        some = self.shown.images.x[list(self.places)]
        n, height, width = some.shape
        rows = -(-n // COLUMNS)
        grid = np.zeros((rows * COLUMNS, height, width), np.uint8)
        grid[:n] = some
        whole = grid.reshape(rows, COLUMNS, height, width).swapaxes(1, 2)
        packed = BytesIO()
        Image.fromarray(whole.reshape(rows * height, COLUMNS * width)).save(packed, "PNG")
        return f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"

    def _place(self, number: int) -> int:
        return self.places.setdefault(number, len(self.places))


def _most(votes: np.ndarray) -> int:
    """Return the class that most seeds predict."""
    return int(np.bincount(votes).argmax())


def figures(tests: Sequence[Scores], validations: Sequence[Scores]) -> list[tuple[str, str, str]]:
    """Return accuracies and loss: of one seed with an interval, of several with their deviation."""
    found = []
    for scores, of in ((tests, "test"), (validations, "validation")):
        if not scores:
            continue
        values = [100 * each.accuracy for each in scores]
        mean, one = f"{statistics.fmean(values):.2f} %", scores[0]
        if len(values) > 1:
            note = f"± {statistics.stdev(values):.2f}, n = {len(values)} seeds"
        else:
            low, high = 100 * one.accuracy_low, 100 * one.accuracy_high
            note = f"95 % interval {low:.2f} to {high:.2f}, {one.n:,} images"
        found.append((mean, f"{of} accuracy", note))
    loss = statistics.fmean(each.loss for each in tests)
    return [*found, (f"{loss:.4f}", "test loss", "cross-entropy, without penalties")]
