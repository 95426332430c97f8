"""Pictures that compare systems. Each function returns a figure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from shared_keras.reporting.pictures.figure import Figure
from shared_keras.reporting.pictures.plots import CAPTION, whole_axis
from shared_keras.reporting.pictures.text_fit import (
    MARGIN,
    POINTS,
    TITLE,
    fit,
    height,
    title,
    width,
)

FIRST, SECOND, THIRD = "tab:blue", "tab:orange", "black"
DARK = "#b35900"  # the second as letters on white
YOURS = "gold"
LOSSES = ("loss", "val_loss")
TICKS = (0, 0.5, 1, 2, 5, 10, 100, 1000)  # of the grid
LABEL = 10  # size of names in points
SERIES = {  # of the ladder: key, and shift, marker, colour, label, and that of the user's own
    "published": (0.0, "D", THIRD, "published", ""),
    "ours": (-0.16, "o", FIRST, "Keras, ours", "Keras, yours"),
    "twin": (0.16, "s", SECOND, "PyTorch twin", "PyTorch twin, yours"),
}
COLUMNS, SHOWN = 6, 12  # of disagreements: side by side, and of each kind
CELL, IMAGE, GAP = 2.1, 1.7, 0.1  # inches: an image with the space beside it, itself, a margin


def claimed(rows: Sequence[Mapping], dataset: str) -> Figure:
    """Draw claimed against recomputed accuracies; crosses mark claims that cannot be true.

    Args:
        rows: Rows of the leaderboard; those without a claim are left out.
        dataset: Title of the dataset.
    """
    rows = [row for row in rows if row["claimed_val"] is not None]
    figure = Figure(figsize=(6.5, 6), layout="constrained")
    title(figure, f"{dataset}: {len(rows)} trials of Ray Tune")
    axes = figure.subplots()
    both = [100 * row[key] for row in rows for key in ("claimed_val", "torch_val")]
    margin = 0.05 * (max(both) - min(both)) + 0.1
    ends = (min(both) - margin, max(both) + margin)
    axes.plot(ends, ends, color="gray", lw=1, label="claim = recomputed")
    for explained, marker, color, label in (
        (True, "o", FIRST, "explained by averaging batches"),
        (False, "X", "tab:red", "not explained"),
    ):
        part = [row for row in rows if (not row["warning"]) == explained]
        axes.plot(
            [100 * row["claimed_val"] for row in part],
            [100 * row["torch_val"] for row in part],
            marker,
            color=color,
            label=f"{label} ({len(part)})",
        )
    axes.set(
        xlim=ends,
        ylim=ends,
        xlabel="claimed validation accuracy, %",
        ylabel="recomputed in eval mode, %",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def ladder(rows: Sequence[Mapping], name: str) -> Figure:
    """Draw the main score of each recipe: published, ours, the twin's.

    It is the test accuracy, or that of validation where only that was published. A value far to
    the left of the others is written at the edge instead.

    Args:
        rows: Rows of ladder.csv; `ours_yours` and `twin_yours` are true where the user has
            trained the recipe.
        name: What is shown.
    """
    rows = [row for row in rows if row["main"]]
    of_validation = [row["score"] == "val_accuracy" for row in rows]
    labels = [
        fit(row["recipe"] + " (val.)" * validation, 3, LABEL)
        for row, validation in zip(rows, of_validation)
    ]
    room = max((width(label, LABEL) for label in labels), default=0)
    down = sum(max(0.32, height(label, LABEL) + 0.1) for label in labels)
    figure = Figure(figsize=(7.5 + room, down + 1.8), layout="constrained")
    title(figure, name)
    axes = figure.subplots()
    percent = [
        {key: None if row[key] is None else 100 * row[key] for key in SERIES} for row in rows
    ]
    shown = [value for each in percent for value in each.values() if value is not None]
    low = max(min(shown, default=0), np.median(shown or [0]) - 15) - 1
    entries: dict[str, Any] = {}
    for key, (shift, marker, color, label, of_yours) in SERIES.items():
        for place, (row, values) in enumerate(zip(rows, percent)):
            value = values[key]
            if value is None:
                continue
            sd = 100 * (row.get(f"{key}_sd") or 0)
            if value < low:
                text = f"← {value:.2f}" + f" ± {sd:.2f}" * bool(sd)
                axes.annotate(
                    text,
                    (0, place + 1.5 * shift),
                    (3, 0),
                    xycoords=("axes fraction", "data"),
                    textcoords="offset points",
                    color=color,
                    size=8,
                    va="center",
                )
                continue
            yours = bool(row.get(f"{key}_yours"))
            fill = "none" if key == "published" else YOURS if yours else color
            line = axes.errorbar(
                value, place + shift, xerr=sd or None, fmt=marker, ms=6, color=color, mfc=fill
            )
            entries.setdefault(of_yours if yours else label, line)
    high = max(shown, default=low + 1)
    beside = max(0.05 * (high - low), 2 - (high - low))  # a single value stands in the middle
    axes.set_xlim(low, max(axes.dataLim.x1, high) + beside)
    axes.set_yticks(range(len(rows)), labels, size=LABEL)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first on top
    about = "bars: standard deviation over seeds"
    if any(value < low for value in shown):
        about += "; ←: further to the left"
    what = "test accuracy" + ", or validation (val.)" * any(of_validation)
    axes.set_xlabel(f"{what}, % ({about})")
    axes.grid(alpha=0.3)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=3)
    return figure


def grid(cells: Sequence[Sequence[tuple[str, Mapping | None]]], name: str) -> Figure:
    """Draw loss and accuracy of a grid of trainings as small multiples.

    Args:
        cells: Rows of (name, history); the history is None if it was not trained.
        name: What the grid is.
    """
    down, across = len(cells), len(cells[0])
    histories = [history for row in cells for _, history in row if history]
    values = np.concatenate([[1.0], *(history[key] for history in histories for key in LOSSES)])
    highest = float(values[np.isfinite(values)].max())
    figure = Figure(figsize=(4.2 * across, 2.9 * down + 0.5), layout="constrained")
    title(figure, name + " (the axis is logarithmic above 1)" * (highest > 1))
    every = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    longest = max((len(history["loss"]) for history in histories), default=1)
    for i, row in enumerate(cells):
        for axes, (recipe, history) in zip(every[i], row):
            axes.set_title(recipe, size=9)
            axes.set_yscale("function", functions=(_level, _value))
            axes.set_yticks([tick for tick in TICKS if tick <= highest])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_ylim(0.0, 1.0 if highest <= 1 else 1.1 * highest)
            whole_axis(axes, "epoch" if i == down - 1 else "", 1, longest)
            if history is None:
                axes.text(0.5, 0.5, "not trained here", ha="center", transform=axes.transAxes)
                continue
            for metric, color in (("accuracy", FIRST), ("loss", SECOND)):
                _curves(axes, history, metric, color, metric, "test")
            if not np.isfinite([history[key] for key in LOSSES]).any():
                text = "no loss is finite"
                axes.text(0.5, 0.9, text, color=DARK, ha="center", transform=axes.transAxes)
    handles: Any = next((a.get_legend_handles_labels() for a in every.flat if a.lines), ([], []))
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def _level(values: np.ndarray) -> np.ndarray:
    """Return how high values are drawn: accuracies as they are, large losses by their logarithm."""
    return np.where(values > 1, 1 + np.log(np.maximum(values, 1)), values)


def _value(levels: np.ndarray) -> np.ndarray:
    """Return the values of levels, the reverse of `_level`."""
    return np.where(levels > 1, np.exp(np.minimum(np.maximum(levels, 1) - 1, 700)), levels)


def curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    name: str,
    penalised: Collection[str] = (),
) -> Figure:
    """Draw loss and accuracy of two trainings in the same axes.

    Args:
        histories: Values per epoch of both, by name.
        name: What is shown.
        penalised: The names of those whose losses include L2 penalties.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    title(figure, name)
    longest = max(len(history["loss"]) for history in histories.values())
    both = figure.subplots(1, 2)
    for axes, metric in zip(both, ("loss", "accuracy")):
        for color, (run, history) in zip((FIRST, SECOND), histories.items()):
            label = fit(run, 4, LABEL)
            _curves(axes, history, metric, color, label, "validation")
        axes.set_ylabel(metric)
        whole_axis(axes, "epoch", 1, longest)
    if penalised:
        whose = "both" if len(penalised) == len(histories) else f"only {next(iter(penalised))}"
        both[0].set_title(fit(f"{whose} with the L2 penalty", 4.5, 9), size=9, loc="left")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _curves(axes: Axes, history: Mapping, metric: str, color: str, name: str, other: str) -> None:
    """Draw a metric of a training by epoch: on the training images and on the `other` ones."""
    epochs = np.arange(1, len(history[metric]) + 1)
    dots: dict[str, Any] = {
        "color": color,
        "lw": 1.2,
        "marker": "o" if len(epochs) < 3 else None,
        "ms": 5,
    }
    axes.plot(epochs, history[metric], label=f"{name}, train", **dots)
    dots |= {"mfc": "none", "ls": "--"}
    axes.plot(epochs, history[f"val_{metric}"], label=f"{name}, {other}", **dots)


def disagreements(
    x: np.ndarray,
    y: np.ndarray,
    answers: Mapping[str, np.ndarray],
    classes: Sequence[str],
    name: str,
) -> Figure:
    """Draw images that two models classify differently, grouped by which of them is right.

    Args:
        x: Images, uint8 (n, 28, 28).
        y: Their true labels, int (n,).
        answers: For each of the two models, by name, the class it gives, int (n,).
        classes: Names of the classes.
        name: What is shown.
    """
    (first, given), (second, other) = answers.items()
    apart = given != other
    groups = {
        (f"Only {first} is right", FIRST): (given == y) & apart,
        (f"Only {second} is right", DARK): (other == y) & apart,
        ("Both are wrong, in different ways", "black"): (given != y) & (other != y) & apart,
    }
    across = CELL * COLUMNS
    groups = {key: np.flatnonzero(group) for key, group in groups.items() if group.any()}
    headings, rows, captions = [], [], {}
    for (heading, _), group in groups.items():
        count = f"{len(group):,} images" if len(group) > 1 else "1 image"
        more = f", the first {SHOWN}" if len(group) > SHOWN else ""
        headings.append(fit(f"{heading}: {count}{more}", across - MARGIN, TITLE))
        rows.append(-(-len(group[:SHOWN]) // COLUMNS))
        for i in group[:SHOWN]:
            said = [
                f"{'✓' if answer[i] == y[i] else '✗'} {classes[answer[i]]}"
                for answer in (given, other)
            ]
            texts = (f"true: {classes[y[i]]}", *said)
            captions[i] = [fit(text, CELL - MARGIN, CAPTION) for text in texts]
    above = GAP + max(height(true, CAPTION) for true, *_ in captions.values())
    below = GAP + max(
        height(one, CAPTION) + height(two, CAPTION) for _, one, two in captions.values()
    )
    name = fit(name, across - MARGIN, TITLE)
    labels = [fit(f"{run} (✓ right, ✗ wrong)", across / 2 - 1, LABEL) for run in answers]
    heights = [2 * GAP + height(name, TITLE) + 0.3 + max(height(run, LABEL) for run in labels)] + [
        2 * GAP + height(heading, TITLE) + row * (IMAGE + above + below)
        for heading, row in zip(headings, rows)
    ]
    # Constrained layout does not keep room for texts beside images of a fixed shape.
    figure = Figure(figsize=(across, sum(heights)))
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights, hspace=0)
    top, *parts = parts
    top.suptitle(name, y=1 - GAP / heights[0], size=TITLE)
    squares = [Line2D([], [], ls="none", marker="s", ms=9, color=c) for c in (FIRST, DARK)]
    top.legend(squares, labels, loc="lower center", ncols=2, frameon=False)
    for part, down, heading, (_, color), group, row in zip(
        parts, heights[1:], headings, groups, groups.values(), rows
    ):
        part.suptitle(heading, y=1 - GAP / down, size=TITLE, color=color, weight="bold")
        places = {
            "left": (CELL - IMAGE) / 2 / across,
            "right": 1 - (CELL - IMAGE) / 2 / across,
            "bottom": below / down,
            "top": (below + row * IMAGE + (row - 1) * (above + below)) / down,
            "wspace": CELL / IMAGE - 1,
            "hspace": (above + below) / IMAGE,
        }
        grid = part.subplots(row, COLUMNS, squeeze=False, gridspec_kw=places)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, i in zip(grid.flat, group):
            axes.imshow(x[i], cmap="gray", vmin=0, vmax=255)
            true, *said = captions[i]
            axes.set_title(true, size=CAPTION, pad=3)
            down = 3.0
            for text, shade in zip(said, (FIRST, DARK)):
                axes.annotate(
                    text,
                    (0.5, 0),
                    (0, -down),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    ha="center",
                    va="top",
                    size=CAPTION,
                    color=shade,
                )
                down += POINTS * height(text, CAPTION)
    return figure
