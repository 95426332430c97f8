"""Pictures. Each function takes values and returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from shared_keras.reporting.pictures.figure import Figure
from shared_keras.reporting.pictures.text_fit import fit, height, title, width

TRAIN, VALIDATION, TOP = "tab:blue", "tab:orange", "tab:green"
WINNER = "tab:red"
CAPTION = 8  # size of captions in points


def history(
    history: Mapping[str, Sequence[float]], best_epoch: int, name: str, penalised: bool = False
) -> Figure:
    """Draw loss and accuracy of training and validation by epoch.

    Args:
        history: Values per epoch of `loss`, `accuracy`, `val_loss`, `val_accuracy`.
        best_epoch: The epoch whose weights were kept, counted from one.
        name: What was trained.
        penalised: Whether the losses include L2 penalties.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    title(figure, name)
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        validation = history[f"val_{metric}"]
        best = validation[best_epoch - 1]
        axes.axvline(best_epoch, color=TOP, lw=1, ls="--", zorder=1)
        axes.plot(epochs, history[metric], "o-", ms=4, color=TRAIN, label="train")
        axes.plot(epochs, validation, "o-", ms=4, color=VALIDATION, label="validation")
        kept = f"kept epoch {best_epoch}: {best:.4f}"
        axes.plot(best_epoch, best, "*", ms=15, color=TOP, label=kept, zorder=1.9)
        penalty = ", with the L2 penalty" * (penalised and metric == "loss")
        axes.set_ylabel(metric + penalty)
        whole_axis(axes, "epoch", 1, len(epochs))
        axes.legend()
    return figure


def whole_axis(axes: Axes, what: str, first: int, last: int) -> None:
    """Give axes a grid, and whole numbers of `what` from left to right, even a single one."""
    margin = max(0.5, 0.03 * (last - first))
    left = first - min(margin, 0.9)  # no tick stands at a number before the first
    axes.set(xlabel=what, xlim=(left, last + margin))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)


def confusion(matrix: np.ndarray, classes: Sequence[str], name: str) -> Figure:
    """Draw a confusion matrix; its errors are coloured, because what is right is most of it.

    Args:
        matrix: Numbers of images, int (n, n), rows true and columns predicted.
        classes: Names of the n classes.
        name: What is shown.
    """
    n, size = len(classes), 9
    empty = matrix.sum(axis=1) == 0
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    errors = np.ma.array(share, mask=np.eye(n, dtype=bool))
    highest = errors.max() or 1.0

    side = max(5, 0.5 * n)  # inches
    true = [f"{label} (no images)" if none else label for label, none in zip(classes, empty)]
    rows = [fit(label, 2, size) for label in true]
    columns = [fit(label, 2, size) for label in classes]
    level = max(width(label, size) for label in columns) < 0.9 * side / n
    room = max(width(label, size) for label in rows)
    below = 0.2 if level else max(width(label, size) for label in columns)
    figure = Figure(figsize=(side + room + 2.8, side + below + 0.9), layout="constrained")
    title(figure, name)
    axes = figure.subplots()
    colors = colormaps["OrRd"].with_extremes(bad="0.9")
    image = axes.imshow(errors, cmap=colors, vmin=0, vmax=highest)
    label = "share of the true class, errors only"
    figure.colorbar(image, ax=axes, format=PercentFormatter(1), label=label, shrink=0.8)
    turned: dict[str, Any] = {} if level else {"rotation": 90 if n > 12 else 45, "ha": "right"}
    if not level:
        turned |= {"rotation_mode": "anchor", "va": "center" if n > 12 else "top"}
    axes.set_xticks(range(n), columns, size=size, **turned)
    axes.set_yticks(range(n), rows, size=size)
    axes.set(xlabel="predicted class (grey: predicted right)", ylabel="true class")
    for i, j in zip(*np.nonzero(matrix)):
        strong = i != j and share[i, j] > 0.6 * highest
        axes.text(
            j,
            i,
            matrix[i, j],
            ha="center",
            va="center",
            color="white" if strong else "black",
            size=8,
        )
    return figure


def images(
    x: np.ndarray,
    captions: Sequence[str],
    name: str,
    columns: int = 5,
    colors: Sequence[str] | None = None,
) -> Figure:
    """Draw images, uint8 (n, 28, 28), in a grid, each with its caption above.

    Args:
        x: The images, at least one.
        captions: Their captions, of any number of lines.
        name: What is shown.
        columns: How many stand side by side at most.
        colors: Colours of the captions, if they are not black.
    """
    n = len(x)
    columns = min(columns, n)
    rows = -(-n // columns)
    across = max(2.1 * columns, 4)
    captions = [fit(caption, across / columns - 0.2, CAPTION) for caption in captions]
    lines = max(captions, key=lambda caption: height(caption, CAPTION))
    down = (1.7 + height(lines, CAPTION)) * rows + 0.4
    figure = Figure(figsize=(across, down), layout="constrained")
    title(figure, name)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if i < n:
            axes.imshow(x[i], cmap="gray", vmin=0, vmax=255)
            axes.set_title(captions[i], size=CAPTION, color=colors[i] if colors else "black")
    return figure


def examples(x: np.ndarray, y: np.ndarray, classes: Sequence[str], name: str) -> Figure:
    """Draw a row of examples for each class. `x` uint8 (n, 28, 28), `y` int (n,)."""
    columns, size = 10, 10
    labels = [fit(label, 2.5, size) for label in classes]
    room = max(width(label, size) for label in labels)
    across, down = columns * 0.8 + room + 0.4, len(classes) * 0.85 + 0.6
    figure = Figure(figsize=(across, down), layout="constrained")
    title(figure, name)
    grid = figure.subplots(len(classes), columns, squeeze=False)
    for label, row in enumerate(grid):
        chosen = np.flatnonzero(y == label)[:columns]
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, index in zip(row, chosen):
            axes.imshow(x[index], cmap="gray", vmin=0, vmax=255)
        row[0].set_ylabel(labels[label], rotation=0, ha="right", va="center", size=size)
    return figure
