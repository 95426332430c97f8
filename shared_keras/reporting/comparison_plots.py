"""Pictures that compare systems. Each function returns a figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

FIRST, SECOND, THIRD = "tab:blue", "tab:orange", "black"


def claimed(rows: Sequence[Mapping], title: str) -> Figure:
    """Draw claimed against recomputed accuracies; crosses mark claims that cannot be true.

    Args:
        rows: Rows of the leaderboard; those without a claim are left out.
        title: Title of the dataset.
    """
    rows = [row for row in rows if row["claimed_val"] is not None]
    figure = Figure(figsize=(6.5, 6), layout="constrained")
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
        title=f"{title}: {len(rows)} trials of Ray Tune",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def ladder(rows: Sequence[Mapping], title: str) -> Figure:
    """Draw the test accuracy of each recipe: published, ours, the twin's.

    Args:
        rows: Rows of ladder.csv.
        title: Title of the dataset.
    """
    rows = [row for row in rows if row["score"] == "test_accuracy"]
    figure = Figure(figsize=(9, 0.32 * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    shown = [100 * row[key] for row in rows for key in ("published", "ours", "twin") if row[key]]
    low = max(min(shown, default=0), np.median(shown or [0]) - 15) - 1
    for shift, key, marker, color, label in (
        (0.0, "published", "D", THIRD, "published"),
        (-0.15, "ours", "o", FIRST, "Keras, ours"),
        (0.15, "twin", "s", SECOND, "PyTorch twin"),
    ):
        known = [i for i, row in enumerate(rows) if row[key] is not None]
        if not known:
            continue
        inside = [i for i in known if 100 * rows[i][key] >= low]
        spread = [100 * (rows[i].get(f"{key}_sd") or 0) for i in inside]
        axes.errorbar(
            [100 * rows[i][key] for i in inside],
            places[inside] + shift,
            xerr=spread if key != "published" else None,
            fmt=marker,
            ms=5,
            color=color,
            mfc="none" if key == "published" else color,
            label=label,
        )
        for i in set(known) - set(inside):
            text = f" ◂ {100 * rows[i][key]:.0f}"
            axes.text(low, i + 2 * shift, text, color=color, size=7, va="center")
    axes.set_xlim(left=low)
    axes.set_yticks(places, [row["recipe"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first on top
    axes.set(xlabel="test accuracy, % (bars: standard deviation over seeds)", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def grid(cells: Sequence[Sequence[tuple[str, Mapping | None]]], title: str) -> Figure:
    """Draw loss and accuracy of a grid of trainings as small multiples.

    Args:
        cells: Rows of (name, history); the history is None if it was not trained.
        title: What the grid is.
    """
    height, width = len(cells), len(cells[0])
    figure = Figure(figsize=(4.2 * width, 2.9 * height), layout="constrained")
    figure.suptitle(f"{title} (losses above 1 are not shown)")
    all_axes = figure.subplots(height, width, sharex=True, sharey=True, squeeze=False)
    for i, row in enumerate(cells):
        for j, (name, history) in enumerate(row):
            axes = all_axes[i][j]
            axes.set_title(name, size=9)
            axes.grid(alpha=0.3)
            if history is None:
                axes.text(0.5, 0.5, "not trained here", ha="center", transform=axes.transAxes)
                continue
            epochs = np.arange(1, len(history["loss"]) + 1)
            for metric, color in (("accuracy", FIRST), ("loss", SECOND)):
                axes.plot(epochs, history[metric], color=color, lw=1, label=f"{metric}, train")
                name = f"{metric}, test"
                axes.plot(epochs, history[f"val_{metric}"], "--", color=color, label=name)
            axes.set_ylim(0.0, 1.0)
    for axes in all_axes[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles = next((a.get_legend_handles_labels() for a in all_axes.flat if a.lines), ([], []))
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def curves(histories: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> Figure:
    """Draw loss and accuracy of several trainings, given by name, in the same axes."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    figure.suptitle(title)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for color, (name, history) in zip((FIRST, SECOND), histories.items()):
            epochs = np.arange(1, len(history[metric]) + 1)
            axes.plot(epochs, history[metric], color=color, lw=1, label=f"{name}, train")
            label = f"{name}, validation"
            axes.plot(epochs, history[f"val_{metric}"], "--", color=color, label=label)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
