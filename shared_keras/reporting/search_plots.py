"""Pictures of a search: its course, and what it learnt about its hyperparameters."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold

from shared_keras import files
from shared_keras.reporting.plots import BEST, TRAIN
from shared_keras.results.trials import PICTURES, SearchState, TrialRow

FEWEST = 8  # completed trials; with fewer, importance would be mere noise
TREES = 64  # as many as Optuna's evaluator uses
FOLDS, REPEATS = 5, 10
LEVEL = 0.95  # joint, of all intervals


def write(folder: Path, state: SearchState, axes: Mapping[str, bool]) -> list[str]:
    """Write search.png and, after enough trials, importance.png and parallel.png.

    If one picture cannot be drawn, the others still are.

    Args:
        folder: Folder of the search.
        state: The search.
        axes: For each hyperparameter, by column, whether its axis is logarithmic.

    Returns:
        A line for each picture that could not be drawn.

    Raises:
        OSError: if a file cannot be written.
    """
    notes = []
    for name, draw in zip(PICTURES, (_importance, _parallel, _search), strict=True):
        try:
            for figure in draw(state, axes, folder.name):
                files.write_figure(folder / name, figure)
        except OSError:
            raise
        except Exception as error:  # odd values make Matplotlib and scikit-learn raise many types
            notes.append(f"note: {name} could not be drawn ({type(error).__name__}: {error})")
    return notes


def _search(state, axes, title: str) -> Iterator[Figure]:
    yield search(state, title)


def _importance(state, axes, title: str) -> Iterator[Figure]:
    done, names = _enough(state, axes)
    if names:
        yield importance_figure(importance(done, names), f"Search {title}, {len(done)} trials")


def _parallel(state, axes, title: str) -> Iterator[Figure]:
    done, names = _enough(state, axes)
    if names:
        logarithmic = {name for name, is_log in axes.items() if is_log}
        yield parallel_coordinates(done, names, logarithmic, state, f"Search {title}")


def _enough(state: SearchState, axes) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials that have a score, and the hyperparameters that vary, if any."""
    done = pd.DataFrame([row.to_csv() for row in scored(state)])
    names = [name for name in axes if name in done and done[name].nunique() > 1]
    return done, names if len(done) >= FEWEST else []


def search(state: SearchState, name: str) -> Figure:
    """Draw a search: the best score so far, and the spread of each rung.

    Args:
        state: The search.
        name: Its name.
    """
    done = scored(state)
    scores = np.array([row.score for row in done])
    epochs = np.array([row.epochs for row in done])
    keep = np.maximum if state.direction == "max" else np.minimum
    figure = Figure(figsize=(13, 5), layout="constrained")
    figure.suptitle(f"Search {name}: {len(done)} trials")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))

    numbers = np.array([int(row.trial.partition("-")[0]) for row in done])
    dots = left.scatter(numbers, scores, c=epochs, s=18, cmap="viridis", label="a trial")
    left.step(numbers, keep.accumulate(scores), where="post", color=BEST, label="best so far")
    figure.colorbar(dots, ax=left, label="epochs trained", ticks=MaxNLocator(integer=True))
    left.set(xlabel="trial", ylabel=state.objective)
    left.legend(loc="lower right" if state.direction == "max" else "upper right")

    rungs = sorted({(row.bracket, row.rung) for row in done}, key=lambda r: (-r[0], r[1]))
    groups = [[row.score for row in done if (row.bracket, row.rung) == rung] for rung in rungs]
    lengths = {(row.bracket, row.rung): row.epochs for row in done}
    labels = [f"{bracket}.{rung}\n{lengths[bracket, rung]} ep" for bracket, rung in rungs]
    right.boxplot(groups, tick_labels=labels, showfliers=False, medianprops={"color": BEST})
    for position, group in enumerate(groups, 1):
        right.plot([position] * len(group), group, ".", color=TRAIN, alpha=0.6)
    right.set(xlabel="bracket.rung, epochs trained")
    right.tick_params(axis="x", labelsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    if state.direction == "max":  # trials that learnt nothing would flatten the rest
        low = max(scores.min(), np.quantile(scores, 0.25) - 0.15) - 0.01
        left.set_ylim(low, scores.max() + 0.01)
        if hidden := int((scores < low).sum()):
            left.set_title(f"{hidden} trials lie below", size=9, loc="left")
    return figure


def scored(state: SearchState) -> list[TrialRow]:
    """Return the trials that have a finite score."""
    return [row for row in state.rows if row.score is not None and np.isfinite(row.score)]


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
    """Draw what `importance` returns as bars; grey ones may be chance."""
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
    table: pd.DataFrame, names: list[str], logarithmic: set[str], state: SearchState, title: str
) -> Figure:
    """Draw each setting as a line through its hyperparameters, colored by its score.

    Args:
        table: As for `importance`; of a promoted setting, the last row counts.
        names: The hyperparameters.
        logarithmic: Which of them have a logarithmic axis.
        state: The search.
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
    best = score if state.direction == "max" else -score
    norm = Normalize(np.quantile(score, 0.1), np.quantile(score, 0.9) + 1e-9)
    colors = colormaps["viridis" if state.direction == "max" else "viridis_r"]
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
    figure.colorbar(ScalarMappable(norm, colors), ax=axes, label=state.objective)
    return figure


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return hyperparameters as numbers: strings by their order, inactive ones as NaN."""

    def number(column):
        if pd.api.types.is_numeric_dtype(column):
            return column.astype(float)
        if pd.api.types.infer_dtype(column) in ("mixed", "mixed-integer"):
            column = column.map(
                str, na_action="ignore"
            )  # numbers and strings together have no order
        codes = column.astype("category").cat.codes
        return codes.where(codes >= 0).astype(float)

    return table.apply(number)
