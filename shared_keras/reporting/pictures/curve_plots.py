"""Pictures of whole trainings, alone, together, and beside published ones.

A training is a group of histories, one for each seed: mappings from metrics to their values per
epoch. Several seeds are drawn as their mean and a band of one standard deviation.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from shared_keras.reporting.pictures.figure import Figure
from shared_keras.reporting.pictures.plots import whole_axis
from shared_keras.reporting.pictures.text_fit import fit, title

COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:gray")
OURS, TWIN, PUBLISHED = "tab:blue", "tab:orange", "black"
LABEL = 10  # size of names in points
NO_METRICS = ("epoch", "seconds", "learning_rate")
Histories = Sequence[Mapping[str, Sequence[float]]]


class Beside(NamedTuple):
    """A recipe with its published training and ours.

    Attributes:
        name: The recipe.
        published: The published history.
        ours: Histories of our seeds; may be empty, like the next.
        twin: Histories of the PyTorch twin's.
        twin_losses: Whether its losses are of the same kind, with the same penalties.
        label: What to call ours.
    """

    name: str
    published: Mapping[str, Sequence[float]]
    ours: Histories
    twin: Histories = ()
    twin_losses: bool = True
    label: str = "Keras, ours"


def stack(series: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard deviation and number of seeds for each epoch, float (epochs,).

    Seeds that have stopped earlier do not count in later epochs. Where there are fewer than two,
    the deviation is NaN.
    """
    longest = max(map(len, series))
    values = np.full((len(series), longest), np.nan)
    for row, each in zip(values, series):
        row[: len(each)] = each
    n = (~np.isnan(values)).sum(0)
    mean = np.nansum(values, 0) / np.where(n, n, np.nan)
    squares = np.nansum((values - mean) ** 2, 0)
    return mean, np.sqrt(squares / np.where(n > 1, n - 1, np.nan)), n


def band(
    axes: Axes, series: Sequence[Sequence[float]], label: str, color: str, **style: Any
) -> None:
    """Draw seeds as their mean, with a band of one standard deviation."""
    mean, sd, _ = stack(series)
    epochs = np.arange(1, len(mean) + 1)
    style = {"lw": 1.6, "marker": "o" if len(mean) < 3 else None, "ms": 4} | style
    axes.plot(epochs, mean, color=color, label=label, **style)
    if not np.isnan(sd).all():
        axes.fill_between(epochs, mean - sd, mean + sd, color=color, alpha=0.22, lw=0, zorder=1)


def trainings(
    named: Mapping[str, Histories], name: str = "", penalised: Collection[str] = ()
) -> Figure:
    """Draw trainings in the same axes, a panel for each metric, the loss first.

    Args:
        named: The histories of each training's seeds, by the training's name.
        name: What is shown.
        penalised: The names of those whose losses include L2 penalties, unless all do.
    """
    metrics = metrics_of(named)
    across = min(2, len(metrics))
    down = -(-len(metrics) // across)
    figure = Figure(figsize=(5.6 * across, 3.9 * down + 0.6), layout="constrained")
    title(figure, name)
    panels = figure.subplots(down, across, squeeze=False).flat
    longest = max(len(next(iter(one.values()))) for each in named.values() for one in each)
    for axes, metric in zip(panels, metrics):
        for number, (label, histories) in enumerate(named.items()):
            color, label = COLORS[number % len(COLORS)], fit(_counted(label, histories), 4, LABEL)
            for key, what, style in (
                (metric, "train", {"lw": 1.1, "ls": "--"}),
                (f"val_{metric}", "validation", {}),
            ):
                series = [one[key] for one in histories if key in one]
                if series:
                    band(axes, series, f"{label}, {what}" if label else what, color, **style)
        _finish(axes, metric, longest)
    for axes in panels:  # that are left
        axes.set_axis_off()
    if 0 < len(penalised) < len(named):
        note = f"with the L2 penalty only in {', '.join(penalised)}"
        figure.axes[0].set_title(fit(note, 4.5, 9), size=9, loc="left")
    handles = _handles(figure)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def beside_published(rows: Sequence[Beside], name: str) -> Figure:
    """Draw published trainings with ours and the twin's: validation accuracy and loss.

    Args:
        rows: The recipes, from top to bottom, at least one.
        name: What is shown.
    """
    height = 2.9 if len(rows) > 1 else 4.0
    figure = Figure(figsize=(10.5, height * len(rows) + 0.7), layout="constrained")
    title(figure, name)
    every = figure.subplots(len(rows), 2, squeeze=False)
    for row, (left, right) in zip(rows, every):
        longest = max(len(one["val_loss"]) for one in (row.published, *row.ours, *row.twin))
        for axes, metric in ((left, "val_accuracy"), (right, "val_loss")):
            if row.ours:
                band(axes, [one[metric] for one in row.ours], row.label, OURS)
            if row.twin and (row.twin_losses or metric != "val_loss"):
                band(axes, [one[metric] for one in row.twin], "PyTorch twin", TWIN)
            values = row.published[metric]
            epochs = np.arange(1, len(values) + 1)
            dots = {"ls": "none", "marker": "D", "ms": 4.5, "mfc": "white", "mew": 1.1}
            axes.plot(epochs, values, color=PUBLISHED, label="published", zorder=3, **dots)
            _finish(axes, metric.removeprefix("val_"), longest)
        counts = [f"n = {len(row.ours)}"] * bool(row.ours)
        counts += [f"twin n = {len(row.twin)}"] * bool(row.twin)
        left.set_title(f"{row.name} ({', '.join(counts)})", loc="left", size=LABEL, weight="bold")
        if row.twin and not row.twin_losses:
            note = "the twin's loss has no L2 penalty"
            right.set_title(note, size=9, loc="right", color="0.35")
        right.set_ylabel("validation loss")
        left.set_ylabel("validation accuracy")
        for axes in (left, right):
            axes.set_xlabel("epoch" if row is rows[-1] else "")
    handles = _handles(figure)
    order = sorted(handles, key=lambda label: label != "published")
    entries = [handles[label] for label in order]
    figure.legend(entries, order, loc="outside lower center", ncols=3, frameon=False)
    return figure


def metrics_of(named: Mapping[str, Histories]) -> list[str]:
    """Return what is measured on training images or others, the loss first."""
    keys = dict.fromkeys(key for each in named.values() for one in each for key in one)
    names = dict.fromkeys(key.removeprefix("val_") for key in keys if key not in NO_METRICS)
    return sorted(names, key=lambda metric: metric != "loss")


def _counted(label: str, histories: Histories) -> str:
    return f"{label} (n = {len(histories)})" if len(histories) > 1 else label


def _handles(figure: Figure) -> dict:
    """Return the lines of all panels by their labels, each label once."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            found.setdefault(label, handle)
    return found


def _finish(axes: Axes, metric: str, longest: int) -> None:
    axes.set_ylabel(metric)
    whole_axis(axes, "epoch", 1, longest)
    axes.spines[["top", "right"]].set_visible(False)
    if metric.endswith("accuracy"):
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
