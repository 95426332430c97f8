"""The picture of a port beside its original."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from port_audit.findings import Step

LEAST, MOST = 1e-9, 1e2  # what is drawn; a layer of another shape is drawn at the top


def along_the_network(steps: Sequence[Step], title: str, cause: str | None = None) -> Figure:
    """Draw how far the outputs of each layer are from PyTorch's, relative to the largest.

    Args:
        steps: The layers, in order.
        title: Title.
        cause: Where the first cause lies: one of the layers, or what stands before the first of
            them that differs, such as an activation, which has no place of its own.
    """
    figure = Figure(figsize=(max(6.5, 0.5 * len(steps) + 2.5), 5.5), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(steps))
    for name, color, marker in (("written", "tab:red", "o"), ("undone", "tab:blue", "s")):
        values = [getattr(step, name) for step in steps]
        shown = [min(max(v, LEAST), MOST) if not math.isnan(v) else MOST for v in values]
        label = "as written" if name == "written" else "with the causes found undone"
        axes.plot(places, shown, marker=marker, color=color, label=label, ms=5, lw=1.2)
        for place, value in zip(places, values):
            if not math.isfinite(value):
                axes.annotate(
                    "other shape",
                    (place, MOST),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7,
                    color=color,
                )
    limits = [step.tolerance for step in steps]
    axes.fill_between(
        places,
        LEAST,
        limits,
        step="mid",
        color="gray",
        alpha=0.25,
        label="float32 rounding explains this much",
    )
    apart = next((i for i, step in enumerate(steps) if step.written > step.tolerance), None)
    if apart is not None:
        names = [step.where for step in steps]
        said = "the two part here"
        spot: float = apart
        if cause is not None:
            spot, said = names.index(cause) if cause in names else apart - 0.5, f"{said}: {cause}"
        axes.axvline(spot, color="tab:red", lw=0.8, ls=":", label=said)
    axes.set_yscale("log")
    axes.set(
        ylim=(LEAST, MOST * 6),
        xticks=places,
        ylabel="largest difference / largest output",
        title=title,
    )
    axes.set_xticklabels(
        [step.where.replace(" / ", "\n") for step in steps], rotation=45, ha="right", fontsize=8
    )
    axes.grid(axis="y", alpha=0.3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    return figure
