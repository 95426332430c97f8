"""Pictures of a search: its course, its hyperparameters, its confirmation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from shared_keras import files, words
from shared_keras.reporting.pictures.figure import Figure
from shared_keras.reporting.pictures.hyperparameter_plots import (
    axis_order,
    importance,
    importance_figure,
    parallel_coordinates,
)
from shared_keras.reporting.pictures.plots import TOP, WINNER, whole_axis
from shared_keras.reporting.pictures.text_fit import title
from shared_keras.results import names
from shared_keras.results.trials import PICTURES, SearchState, TrialRow

FEWEST = 8  # completed trials; with fewer, importance would be mere noise
BOX = 5  # trials; a box shows five figures, so of fewer it would show more than there are
BOXES = {"widths": 0.6, "showfliers": False, "medianprops": {"color": "black"}}
MANY = 20  # trials; of fewer, each is shown where it is, however far out
FAR = 3  # Tukey's fence: so many times the length of the box from it, a score is far out
ASIDE = 0.22  # rows; so far from its seeds stands what a confirmation is held against
STAR = {"marker": "*", "ms": 16, "color": WINNER, "mec": "white", "ls": "none", "zorder": 4}


def write(
    folder: Path, state: SearchState, axes: Mapping[str, bool], name: str, winner: TrialRow
) -> list[str]:
    """Write search.png and, after enough trials, importance.png and parallel.png, if missing.

    With importance.png comes importance.csv.

    If one picture cannot be drawn, the others still are.

    Args:
        folder: Folder of the search.
        state: The search.
        axes: For each hyperparameter, by column, whether its axis is logarithmic.
        name: What was searched, for titles.
        winner: The winner.

    Returns:
        A line for each picture that could not be drawn.

    Raises:
        OSError: if a file cannot be written.
    """
    done, varied = learnt(state, axes)
    found: list[pd.DataFrame] = []

    def draw_importance() -> Figure:
        found.append(importance(done, varied))
        files.write_csv(folder / names.IMPORTANCE, found[0].reset_index().to_dict("records"))
        return importance_figure(found[0], f"{name}, {len(done)} trials")

    def draw_parallel() -> Figure:
        logarithmic = {column for column, is_log in axes.items() if is_log}
        order = axis_order(done, varied, found[0] if found else None)
        return parallel_coordinates(done, order, logarithmic, state, name, winner)

    drawings: dict[str, Callable[[], Figure]] = dict(
        zip(PICTURES, (draw_importance, draw_parallel, lambda: search(state, name, winner)))
    )
    if len(done) < FEWEST or not varied:
        drawings = {PICTURES[-1]: drawings[PICTURES[-1]]}
    missing = {picture for picture in drawings if not (folder / picture).exists()}
    if not (folder / names.IMPORTANCE).exists():
        missing.add(PICTURES[0])
    return [
        note
        for picture, drawing in drawings.items()
        if picture in missing
        for note in attempt(folder / picture, drawing)
    ]


def learnt(state: SearchState, axes: Mapping[str, bool]) -> tuple[pd.DataFrame, list[str]]:
    """Return a row per trial that has a finite score, and the hyperparameters that vary in them."""
    done = pd.DataFrame([row.to_csv() for row in scored(state)])
    return done, [column for column in axes if column in done and done[column].nunique() > 1]


def importances(state: SearchState, axes: Mapping[str, bool]) -> pd.DataFrame | None:
    """Return the `importance` of the hyperparameters that vary, if there are enough trials."""
    done, varied = learnt(state, axes)
    return importance(done, varied) if len(done) >= FEWEST and varied else None


def attempt(path: Path, drawing: Callable[[], Figure]) -> list[str]:
    """Draw a picture and write it; return no line, or one that says why it cannot be drawn."""
    try:
        files.write_figure(path, drawing())
    except OSError:
        raise
    except Exception as error:  # odd values make Matplotlib and scikit-learn raise many types
        return [f"note: {path.name} could not be drawn ({type(error).__name__}: {error})"]
    return []


def search(state: SearchState, name: str, winner: TrialRow) -> Figure:
    """Draw a search: its scores in the order of the trials and by rung, and its winner.

    Args:
        state: The search.
        name: What was searched.
        winner: The winner.
    """
    done = scored(state)
    rungs: dict[tuple[int, int], list[TrialRow]] = {}
    for row in sorted(done, key=lambda row: (-row.bracket, row.rung)):
        rungs.setdefault((row.bracket, row.rung), []).append(row)
    across = max(4, 0.55 * len(rungs))
    figure = Figure(figsize=(8 + across, 5.2), layout="constrained")
    title(figure, f"{name}: {words.count(len(done), 'trial')}")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(7, across))

    numbers = {row.trial: int(row.trial.partition("-")[0]) for row in done}
    keep = np.maximum if state.direction == "max" else np.minimum
    best = keep.accumulate([row.score for row in done])
    left.step(list(numbers.values()), best, where="post", color=TOP, label="best so far", zorder=1)
    lengths = sorted({row.epochs for row in done})
    colors = dict(zip(lengths, colormaps["viridis"](np.linspace(0.05, 0.9, len(lengths)))))
    for length in lengths:
        rows = [row for row in done if row.epochs == length]
        left.plot(
            [numbers[row.trial] for row in rows],
            [row.score for row in rows],
            "o",
            ms=5,
            color=colors[length],
            label=words.count(length, "epoch"),
        )
    whole_axis(left, "trial", 0, max(numbers.values()))
    left.set_ylabel(state.objective)

    for place, rows in enumerate(rungs.values()):
        scores = [row.score for row in rows]
        if len(rows) >= BOX:
            right.boxplot([scores], positions=[place], manage_ticks=False, **BOXES)
        for row in rows:
            right.plot(place, row.score, "o", ms=5, color=colors[row.epochs], alpha=0.8)
        if winner in rows:
            right.plot(place, winner.score, **STAR)
            won = f"winner: trial {winner.trial}, {winner.score:.4f}"
            left.plot(numbers[winner.trial], winner.score, label=won, **STAR)
    labels = [f"{bracket}.{rung}\n{rows[0].epochs} ep" for (bracket, rung), rows in rungs.items()]
    right.set_xticks(range(len(rungs)), labels, size=9)
    right.set(xlabel="bracket.rung and its epochs", xlim=(-0.6, len(rungs) - 0.4))
    right.grid(alpha=0.3)
    hidden = _zoom(left, done, winner.score, state.direction)
    edge = {"marker": "v" if state.direction == "max" else "^", "ls": "none", "clip_on": False}
    for row in hidden:
        place = list(rungs).index((row.bracket, row.rung))
        for axes, x in ((left, numbers[row.trial]), (right, place)):
            y = 0 if state.direction == "max" else 1  # of the height of the axes
            at = axes.get_xaxis_transform()
            axes.plot(x, y, color=colors[row.epochs], transform=at, ms=7, **edge)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _zoom(axes: Axes, done: Sequence[TrialRow], kept: float, direction: str) -> list[TrialRow]:
    """Leave out trials that learnt next to nothing, which would flatten the rest; say how many.

    Args:
        axes: The axes.
        done: All trials with a score.
        kept: The score that is shown in any case.
        direction: "max" or "min", where a good score is.

    Returns:
        The trials that are left out.
    """
    scores = [row.score for row in done]
    low, high = np.quantile(scores, (0.25, 0.75))
    far = (FAR * (high - low) or np.inf) if len(scores) >= MANY else np.inf
    if direction == "max":
        shown = [score for score in scores if score >= min(low - far, kept)]
    else:
        shown = [score for score in scores if score <= max(high + far, kept)]
    margin = 0.05 * (max(shown) - min(shown)) or 0.01
    bottom, top = min(shown) - margin, max(shown) + margin
    axes.set_ylim(bottom, top)
    hidden = [row for row in done if not bottom <= row.score <= top]
    if hidden:
        where = "▼: {} far below" if direction == "max" else "▲: {} far above"
        axes.set_title(where.format(words.count(len(hidden), "trial")), size=10, loc="left")
    return hidden


def scored(state: SearchState) -> list[TrialRow]:
    """Return the trials that have a finite score."""
    return [row for row in state.rows if row.score is not None and np.isfinite(row.score)]


def confirmed(table: pd.DataFrame, state: SearchState, name: str) -> Figure:
    """Draw the scores of retrained trials over new seeds beside their scores in the search.

    Args:
        table: What `hyperband.confirm.retrain` returned: a row per trial, the winner first.
        state: The search.
        name: What was searched.
    """
    epochs = {row.trial: row.epochs for row in state.rows}
    figure = Figure(figsize=(8.5, 0.6 * len(table) + 2), layout="constrained")
    best = f"the best {len(table)} trials" if len(table) > 1 else "the best trial"
    title(figure, f"{name}: {best} retrained with {words.count(table.n[0], 'other seed')}")
    axes = figure.subplots()
    places = np.arange(len(table))
    found: list[Any] = axes.plot(table.score, places - ASIDE, "x", ms=8, mew=2, color="tab:orange")
    labels = ["score in the search"]
    for seed in (column for column in table if column.startswith("seed_")):
        found[1:] = axes.plot(table[seed], places, "o", ms=6, mfc="none", color="tab:blue")
        labels[1:] = ["with one of the other seeds"]
    mean: dict[str, Any] = {"fmt": "D", "ms": 6, "lw": 2, "capsize": 4}
    sd = table.sd.fillna(0)  # of a single seed
    for part, color, label in (
        (slice(0, 1), WINNER, "winner"),
        (slice(1, None), "black", "others"),
    ):
        if len(table[part]):
            at = (table["mean"][part], places[part] + ASIDE)
            found.append(axes.errorbar(*at, xerr=sd[part], color=color, **mean))
            labels.append(f"their mean ± standard deviation, {label}")
    about = [
        f"trial {trial}, {words.count(epochs[trial], 'epoch')}\n{score:.4f} ± {spread:.4f}"
        for trial, score, spread in zip(table.trial, table["mean"], sd)
    ]
    axes.set_yticks(places, about)
    axes.get_yticklabels()[0].set(color=WINNER, weight="bold")
    axes.set(xlabel=state.objective, ylim=(len(table) - 0.5, -0.5))
    axes.grid(alpha=0.3)
    figure.legend(found, labels, loc="outside lower center", ncols=2)
    return figure
