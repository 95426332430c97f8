"""Pictures of what a search learnt about its hyperparameters."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold

FEWEST = 8  # completed trials, below which importance would be nothing but noise
TREES = 64  # as many as Optuna's evaluator has
FOLDS, REPEATS = 5, 10
LEVEL = 0.95  # of all intervals together


def importance(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return how much the score depends on each hyperparameter, the largest first.

    Random forests predict the score of trials that they have not seen from their
    hyperparameters and epochs. The importance is by how much the squared error grows if the
    values of one hyperparameter are permuted among those trials, as a share of the score's
    variance. A setting that was promoted counts once: its trials are held out together.

    Args:
        table: A row per completed trial: `score`, `epochs` and the hyperparameters,
            which are empty where they are not active.
        names: The hyperparameters.

    Returns:
        A row per hyperparameter: its name as index, `mean`, and the bounds `low` and `high`
        of its interval. All intervals hold together with a probability of 95 %, so that
        one above zero is no chance find among many.
    """
    features = _numbers(table[names]).assign(**{"tuner/epochs": table.epochs}).to_numpy(float)
    score = table.score.to_numpy(float)
    settings = table.groupby(names, dropna=False, sort=False).ngroup().to_numpy()
    count = len(np.unique(settings))
    variance = score.var()
    if count < FOLDS or variance == 0:
        return pd.DataFrame({"mean": 0.0, "low": 0.0, "high": 0.0}, index=names)
    random = np.random.default_rng(0)
    grown = np.zeros((len(table), len(names)))
    for seen, held in GroupKFold(FOLDS, shuffle=True, random_state=0).split(
        features, None, settings
    ):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)
        forest.fit(features[seen], score[seen])
        permuted = np.tile(features[held], (1 + len(names) * REPEATS, 1, 1))
        for i, copy in enumerate(permuted[1:]):
            copy[:, i % len(names)] = random.permutation(copy[:, i % len(names)])
        predicted = forest.predict(permuted.reshape(-1, features.shape[1]))
        errors = (predicted.reshape(len(permuted), -1) - score[held]) ** 2
        by_name = (errors[1:] - errors[0]).reshape(REPEATS, len(names), -1)
        grown[held] = by_name.mean(axis=0).T / variance
    of_settings = pd.DataFrame(grown, columns=names).groupby(settings).mean()
    margin = stats.t.ppf(1 - (1 - LEVEL) / 2 / len(names), count - 1) * of_settings.sem()
    mean = of_settings.mean()
    result = pd.DataFrame({"mean": mean, "low": mean - margin, "high": mean + margin})
    return result.sort_values("mean", ascending=False, kind="stable")


def importance_figure(importances: pd.DataFrame, title: str) -> Figure:
    """Draw what `importance` returns as bars, those that may be chance in grey."""
    figure = Figure(figsize=(8, 1.6 + 0.3 * len(importances)), layout="constrained")
    axes = figure.subplots()
    shown = importances[::-1]
    stands_out = shown.low > 0
    axes.barh(
        shown.index,
        shown["mean"],
        xerr=[shown["mean"] - shown.low, shown.high - shown["mean"]],
        color=np.where(stands_out, "tab:blue", "lightgrey"),
        error_kw={"lw": 1, "capsize": 2, "ecolor": "black"},
    )
    axes.axvline(0, color="black", lw=0.8)
    axes.set(
        xlabel="growth of the squared error on held-out trials if its values are permuted,\n"
        "as a share of the score's variance; lines: 95 % intervals, for all together"
    )
    found = "what the score depends on" if stands_out.any() else "nothing stands out"
    axes.set_title(f"{title}: {found}", loc="left")
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
        ordered = active.loc[numbers.loc[active.index, name].sort_values().index]
        for end, value in ((0, ordered.iloc[0]), (1, ordered.iloc[-1])):
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
        if pd.api.types.infer_dtype(column) in ("mixed", "mixed-integer"):
            column = column.map(str, na_action="ignore")  # numbers among words have no order
        codes = column.astype("category").cat.codes
        return codes.where(codes >= 0).astype(float)

    return table.apply(number)
