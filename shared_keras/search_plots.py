"""Pictures of what a search learnt about its hyperparameters."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

FEWEST = 8  # completed trials, below which importance would be nothing but noise
TREES = 64  # as many as Optuna's evaluator has


def importance(table: pd.DataFrame, names: list[str]) -> pd.Series:
    """Return how much the score depends on each hyperparameter, the largest first.

    A random forest predicts the score of a trial from its hyperparameters and its
    epochs; the importance is by how much its mean squared error on all trials grows if
    the values of one hyperparameter are permuted, as a share of all of them. With few
    trials it says little.

    Args:
        table: A row per completed trial: `score`, `epochs` and the hyperparameters,
            which are empty where they are not active.
        names: The hyperparameters.
    """
    features = _numbers(table[names]).assign(**{"tuner/epochs": table.epochs})
    score = table.score.to_numpy(float)
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)
    forest.fit(features, score)
    grown = permutation_importance(
        forest, features, score, scoring="neg_mean_squared_error", n_repeats=10, random_state=0
    )
    gains = pd.Series(np.maximum(grown.importances_mean, 0), features.columns)[names]
    return (gains / max(gains.sum(), 1e-12)).sort_values(ascending=False, kind="stable")


def importance_figure(shares: pd.Series, title: str) -> Figure:
    """Draw importances as bars."""
    figure = Figure(figsize=(8, 1.4 + 0.3 * len(shares)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(shares.index[::-1], shares.to_numpy()[::-1], color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=3, size=8)
    axes.set(xlabel="share of the importance", title=f"{title}: what the score depends on")
    axes.set_xlim(0, max(shares.max() * 1.12, 0.1))
    axes.grid(axis="x", alpha=0.3)
    return figure


def parallel_coordinates(
    table: pd.DataFrame, names: list[str], logarithmic: set[str], objective, title: str
) -> Figure:
    """Draw each setting as a line through its hyperparameters, colored by its score.

    Args:
        table: As for `importance`; of a setting that was promoted, the last row counts.
        names: The hyperparameters.
        logarithmic: Which of them have a logarithmic axis.
        objective: `keras_tuner.Objective`.
        title: What was searched.
    """
    table = table.sort_values("epochs").drop_duplicates(names, keep="last")
    numbers = _numbers(table[names])
    scaled = pd.DataFrame(index=table.index)
    figure = Figure(figsize=(max(8, 1.1 * len(names) + 2), 5.5), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        values = np.log10(numbers[name]) if name in logarithmic else numbers[name]
        low, high = values.min(), values.max()
        scaled[name] = (values - low) / (high - low) if high > low else values * 0 + 0.5
        active = table[name].dropna()
        for end, value in ((0, active.min()), (1, active.max())):
            label = f"{value:.3g}" if isinstance(value, float) else str(value)
            axes.text(
                place,
                end + (0.02 if end else -0.02),
                label,
                size=7,
                ha="center",
                va="bottom" if end else "top",
            )
    score = table.score.to_numpy(float)
    best = score if objective.direction == "max" else -score
    norm = Normalize(np.quantile(score, 0.1), np.quantile(score, 0.9) + 1e-9)
    colors = colormaps["viridis" if objective.direction == "max" else "viridis_r"]
    winner = np.lexsort((best, table.epochs))[-1]
    for i in np.argsort(best):
        width = 3 if i == winner else 0.8 + table.epochs.iloc[i] / table.epochs.max()
        line = scaled.iloc[i].to_numpy(float)
        axes.plot(
            line,
            "o-",
            ms=2.5,
            lw=width,
            alpha=0.8,
            zorder=3 if i == winner else 2,
            color="tab:red" if i == winner else colors(norm(score[i])),
        )
    for place in range(len(names)):
        axes.axvline(place, color="gray", lw=0.6, zorder=1)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", size=8)
    axes.set_yticks([])
    axes.set_ylim(-0.1, 1.1)
    axes.set_title(
        f"{title}: {len(table)} settings; thick and red: the best; "
        "thicker: trained longer; a gap: not active",
        size=9,
        loc="left",
    )
    figure.colorbar(ScalarMappable(norm, colors), ax=axes, label=objective.name)
    return figure


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return hyperparameters as numbers: words by their order, what is not active as NaN."""

    def number(column):
        if pd.api.types.is_numeric_dtype(column):
            return column.astype(float)
        codes = column.astype("category").cat.codes
        return codes.where(codes >= 0).astype(float)

    return table.apply(number)
