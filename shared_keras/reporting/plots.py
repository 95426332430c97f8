"""Pictures. Each function takes values and returns a matplotlib figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

TRAIN, VALIDATION, BEST = "tab:blue", "tab:orange", "tab:green"


def history(history: Mapping[str, Sequence[float]], best_epoch: int, title: str) -> Figure:
    """Draw loss and accuracy of training and validation by epoch.

    Args:
        history: Values per epoch of `loss`, `accuracy`, `val_loss`, `val_accuracy`.
        best_epoch: The epoch whose weights were kept, counted from one.
        title: What was trained.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    figure.suptitle(title)
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        axes.plot(epochs, history[metric], "o-", ms=3, color=TRAIN, label="train")
        validation = history[f"val_{metric}"]
        axes.plot(epochs, validation, "o-", ms=3, color=VALIDATION, label="validation")
        best = validation[best_epoch - 1]
        axes.axvline(best_epoch, color=BEST, lw=1, ls="--")
        axes.plot(
            best_epoch, best, "*", ms=14, color=BEST, label=f"kept epoch {best_epoch}: {best:.4f}"
        )
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix, int (n, n), rows true and columns predicted."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class")
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=45, ha="right")
    axes.set_yticks(ticks, classes)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    for i in ticks:
        for j in ticks:
            if matrix[i, j]:
                color = "white" if share[i, j] > 0.5 else "black"
                axes.text(j, i, matrix[i, j], ha="center", va="center", color=color, size=8)
    return figure


def images(
    x: np.ndarray, captions: Sequence[str], title: str, columns: int = 5, colors=None
) -> Figure:
    """Draw images, uint8 (n, 28, 28), in a grid, each with its caption above."""
    n = len(x)
    columns = min(columns, n)
    rows = -(-n // columns)
    lines = max(caption.count("\n") for caption in captions) + 1
    figure = Figure(
        figsize=(max(2.1 * columns, 4), (1.7 + 0.2 * lines) * rows + 0.6), layout="constrained"
    )
    figure.suptitle(title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if i < n:
            axes.imshow(x[i], cmap="gray", vmin=0, vmax=255)
            axes.set_title(captions[i], size=8, color=colors[i] if colors else "black")
    return figure


def examples(x: np.ndarray, y: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a row of examples for each class. `x` uint8 (n, 28, 28), `y` int (n,)."""
    columns = 10
    figure = Figure(figsize=(columns * 0.8 + 1.6, len(classes) * 0.85 + 0.6), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(len(classes), columns, squeeze=False)
    for label, name in enumerate(classes):
        chosen = np.flatnonzero(y == label)[:columns]
        for axes in grid[label]:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, index in zip(grid[label], chosen):
            axes.imshow(x[index], cmap="gray", vmin=0, vmax=255)
        grid[label][0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure
