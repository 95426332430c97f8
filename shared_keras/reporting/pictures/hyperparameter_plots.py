"""Pictures of what a search learnt about its hyperparameters."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold

from shared_keras.reporting.pictures.figure import Figure
from shared_keras.reporting.pictures.plots import WINNER
from shared_keras.reporting.pictures.text_fit import fit, title, width
from shared_keras.results.trials import SearchState, TrialRow

TREES = 64  # as many as Optuna's evaluator uses
FOLDS, REPEATS = 5, 10
LEVEL = 0.95  # joint, of all intervals
LABEL, SMALL = 10, 8  # sizes of names in points
WIDEST = 12.5  # inches of a picture; 1,500 pixels
AXES = 21  # of parallel coordinates; with more, their values would run into each other
NAMED = 5  # values of a hyperparameter at most that are all written beside its axis


def importance(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return how much the score depends on each hyperparameter, largest first.

    Random forests predict the score of held-out trials from their hyperparameters and
    epochs. The importance of a hyperparameter is the growth of the squared error if its values
    are permuted among those trials, as a share of the score's variance. A promoted setting
    counts once: its trials are held out together.

    Args:
        table: A row per completed trial: `score`, `epochs` and the hyperparameters,
            which are empty where they are not active.
        names: The hyperparameters.

    Returns:
        A row per hyperparameter: its name as index, `mean`, and the bounds `low` and `high`
        of its interval. With a probability of 95 % all intervals hold at once, so an
        interval above zero is unlikely to be a chance find among many.
    """
    features = _numbers(table[names]).assign(**{"tuner/epochs": table.epochs}).to_numpy(float)
    score = table.score.to_numpy(float)
    settings = table.groupby(names, dropna=False, sort=False).ngroup().to_numpy()
    count = len(np.unique(settings))
    variance = score.var()
    if count < FOLDS or variance == 0:
        return pd.DataFrame(
            {"mean": 0.0, "low": 0.0, "high": 0.0}, index=pd.Index(names, name="hyperparameter")
        )
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
    result = result.sort_values("mean", ascending=False, kind="stable")
    return result.rename_axis("hyperparameter")


def importance_figure(importances: pd.DataFrame, name: str) -> Figure:
    """Draw what `importance` returns as bars; grey ones may be chance.

    Args:
        importances: A row per hyperparameter.
        name: What was searched.
    """
    shown = importances[::-1]
    labels = [fit(label, 3, LABEL) for label in shown.index]
    room = max(width(label, LABEL) for label in labels)
    lines = sum(label.count("\n") for label in labels)
    figure = Figure(
        figsize=(6.5 + room, 1.6 + 0.3 * len(shown) + 0.17 * lines), layout="constrained"
    )
    stands_out = shown.low > 0
    found = "what the score depends on" if stands_out.any() else "nothing stands out"
    title(figure, f"{name}: {found}")
    axes = figure.subplots()
    places = range(len(shown))
    axes.barh(
        places,
        shown["mean"],
        xerr=[shown["mean"] - shown.low, shown.high - shown["mean"]],
        color=np.where(stands_out, "tab:blue", "lightgrey"),
        error_kw={"lw": 1, "capsize": 2, "ecolor": "black"},
    )
    axes.set_yticks(places, labels, size=LABEL)
    axes.axvline(0, color="black", lw=0.8)
    axes.set(
        xlabel="growth of the squared error on held-out trials if its values are permuted,\n"
        "as a share of the score's variance; lines: 95 % intervals, for all together"
    )
    axes.grid(axis="x", alpha=0.3)
    return figure


def axis_order(
    table: pd.DataFrame, names: list[str], importances: pd.DataFrame | None
) -> list[str]:
    """Return the hyperparameters as their axes are to follow.

    Those that every setting has come first, then those of ever fewer settings, so that no line
    ends early. Among equals the most important comes first.

    Args:
        table: As for `importance`.
        names: The hyperparameters, as they were declared.
        importances: What `importance` returned; None to keep that order.
    """
    reach = table.drop_duplicates(names)[names].notna().sum()
    weight = pd.Series(0.0, names) if importances is None else importances["mean"]
    return sorted(names, key=lambda name: (-reach[name], -weight[name]))


def parallel_coordinates(
    table: pd.DataFrame,
    names: list[str],
    logarithmic: set[str],
    state: SearchState,
    name: str,
    winner: TrialRow,
) -> Figure:
    """Draw each setting as a line through its hyperparameters, coloured by the rank of its score.

    Args:
        table: A row per completed trial: `trial`, `score`, `epochs` and the hyperparameters; of a
            promoted setting, the longest trained counts.
        names: The hyperparameters, in the order of their axes.
        logarithmic: Which of them have a logarithmic axis.
        state: The search.
        name: What was searched.
        winner: The winner.
    """
    table = table.reset_index(drop=True)
    setting = table.groupby(names, dropna=False, sort=False).ngroup()
    won = setting[table.trial == winner.trial]
    table = table.assign(won=setting.isin(won)).sort_values("epochs", kind="stable")
    table = table.drop_duplicates(names, keep="last")
    shown = names[:AXES]
    more = f", {len(shown)} of {len(names)} hyperparameters" if len(shown) < len(names) else ""
    names = shown
    numbers = _numbers(table[names])
    labels = [fit(label, 2, SMALL) for label in names]
    down = 5.5 + 0.5 * max(width(label, SMALL) for label in labels)
    across = min(max(9, 1.1 * len(names) + 2), WIDEST)
    figure = Figure(figsize=(across, down), layout="constrained")
    title(figure, f"{name}: {len(table)} settings by {state.objective}{more}")
    axes = figure.subplots()
    scaled = pd.DataFrame(
        {
            column: _axis(axes, place, table[column], numbers[column], column in logarithmic)
            for place, column in enumerate(names)
        }
    )
    score = table.score.to_numpy(float)
    rising = score if state.direction == "max" else -score
    # By rank, because scores of a search lie close together, but for a few that are far off.
    ranks = (stats.rankdata(score) - 1) / max(len(score) - 1, 1)
    colors = colormaps["viridis" if state.direction == "max" else "viridis_r"]
    widths = 0.8 + table.epochs.to_numpy(float) / table.epochs.max()
    for i in np.argsort(rising):
        won = table.won.iloc[i]
        axes.plot(
            scaled.iloc[i].to_numpy(float),
            "o-",
            ms=2.5,
            lw=3 if won else widths[i],
            alpha=0.9 if won else 0.65,
            zorder=3 if won else 2,
            color=WINNER if won else colors(ranks[i]),
        )
    axes.set_xticks(range(len(names)), labels, rotation=30, ha="right", size=SMALL)
    axes.tick_params(axis="x", length=0)
    axes.set(yticks=[], xlim=(-0.4, len(names) - 0.4), ylim=(-0.1, 1.1))
    axes.spines[:].set_visible(False)
    ticks = np.linspace(0, 1, 5)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colors), ax=axes, ticks=ticks)
    bar.ax.set_yticklabels([f"{value:.4g}" for value in np.quantile(score, ticks)])
    bar.set_label(f"{state.objective}, coloured by rank")
    figure.legend(
        [
            Line2D([], [], color=WINNER, lw=3),
            *(Line2D([], [], color="0.4", lw=w) for w in (1, 1.8)),
        ],
        [
            f"winner: trial {winner.trial}, {winner.score:.4f}",
            f"trained for {table.epochs.min()}",
            f"for {table.epochs.max()} epochs",
        ],
        loc="outside lower center",
        ncols=3,
        title="On the left is what every trial has, the most important first.\n"
        "A line ends where a trial does not have the next hyperparameters.",
    )
    return figure


def _axis(axes: Axes, place: int, column: pd.Series, numbers: pd.Series, is_log: bool) -> pd.Series:
    """Draw the axis of a hyperparameter, and return where its values lie on it, from 0 to 1."""
    places = np.log10(numbers) if is_log else numbers
    low, high = places.min(), places.max()
    places = (places - low) / (high - low) if high > low else places * 0 + 0.5
    axes.axvline(place, 1 / 12, 11 / 12, color="gray", lw=0.6, zorder=1)
    values = column.loc[places.dropna().sort_values().index]
    ends = values.drop_duplicates()
    if len(ends) > NAMED:
        ends = ends.iloc[[0, -1]]
    before = -1.0
    for index, value in ends.items():
        at = places[index]
        if 0 < at < 1 and min(at - before, 1 - at) < 0.05:
            continue  # its text would run into another
        before = at
        text = f"{value:.3g}" if isinstance(value, float) else fit(str(value), 1, 7)
        shift, across, down = {0: (-3, "center", "top"), 1: (3, "center", "bottom")}.get(
            at, (0, "left", "center")
        )
        axes.annotate(
            text,
            (place, at),
            (0 if shift else 4, shift),
            textcoords="offset points",
            size=7,
            ha=across,
            va=down,
            zorder=5,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )
    return places


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return hyperparameters as numbers: strings by their order, inactive ones as NaN."""

    def number(column: pd.Series) -> pd.Series:
        if pd.api.types.is_numeric_dtype(column):
            return column.astype(float)
        if pd.api.types.infer_dtype(column) in ("mixed", "mixed-integer"):
            column = column.map(
                str, na_action="ignore"
            )  # numbers and strings together have no order
        codes = column.astype("category").cat.codes
        return codes.where(codes >= 0).astype(float)

    return table.apply(number)
