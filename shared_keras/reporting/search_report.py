"""What a search leaves behind besides its trials: best.json, a table, pictures."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from shared_keras import files
from shared_keras.reporting import tensorboard_logs
from shared_keras.reporting.console import say
from shared_keras.reporting.progress import Settings, value
from shared_keras.results import history_csv, names
from shared_keras.results.settings import SearchSettings
from shared_keras.results.trials import PICTURES, SearchState, TrialRow
from shared_keras.results.winner import Confirmed, Winner

CONFIRMED_PICTURE = "confirm.png"
OF_CONFIRMATION = (names.CONFIRMED, CONFIRMED_PICTURE)
TENSORBOARD = "tensorboard"
WIDE = 100  # columns of a terminal with room for a trial's place on one line
TABLES = (names.SETTINGS, names.TRIALS, names.CONFIRMED, names.BEST)
WRITTEN = (*TABLES, names.IMPORTANCE, *PICTURES, CONFIRMED_PICTURE, TENSORBOARD, names.REPORT)


def write(
    folder: Path,
    state: SearchState,
    search_settings: SearchSettings,
    confirmed: pd.DataFrame | None,
) -> None:
    """Write the winner, which `retrain` and `--try-first best` need.

    Args:
        folder: Folder of the search.
        state: The search.
        search_settings: Its settings.
        confirmed: What `hyperband.confirm.retrain` returned, if it was called.
    """
    best = winner(state, confirmed)
    values = files.read_object(folder / f"trial_{best.trial}" / "trial.json", "hyperparameters")
    over = None
    if confirmed is not None:
        over = Confirmed(*(float(confirmed[key][0]) for key in ("mean", "sd", "n")))
    Winner(
        trials=len(state.ended),
        planned=state.total + state.left_out,
        trial=best.trial,
        score=float(best.score),
        objective=state.objective,
        space=search_settings.space,
        split=search_settings.split,
        batch_size=search_settings.batch_size,
        hyperparameters=values["hyperparameters"]["values"],
        confirmed=over,
    ).write(folder)


def write_tensorboard(folder: Path, row: TrialRow) -> None:
    """Write the logs of a trial that ended, unless they are there."""
    logs = folder / TENSORBOARD / row.trial
    if row.seconds and not logs.exists():  # no seconds if it failed in its first epoch
        tensorboard_logs.write(
            logs,
            history_csv.read(folder / f"trial_{row.trial}" / names.HISTORY),
            row.initial_epoch + 1,
            row.hyperparameters,
        )


def winner(state: SearchState, confirmed: pd.DataFrame | None) -> TrialRow:
    """Return the winner: the trial with the best mean if it was confirmed, else the best one."""
    if confirmed is None:
        return state.best
    return next(row for row in state.rows if row.trial == confirmed.trial[0])


def drawn(folder: Path, confirmed: pd.DataFrame | None) -> bool:
    """Return whether the pictures of a search are there, and as new as its confirmation, if any."""
    if confirmed is not None:
        table, picture = (folder / name for name in OF_CONFIRMATION)
        if not picture.exists() or picture.stat().st_mtime_ns < table.stat().st_mtime_ns:
            return False
    if (folder / PICTURES[0]).exists() and not (folder / names.IMPORTANCE).exists():
        return False  # a version before 0.6.0 drew it
    return (folder / PICTURES[-1]).exists()


def draw(
    folder: Path,
    state: SearchState,
    axes: Mapping[str, bool],
    dataset: str,
    confirmed: pd.DataFrame | None,
) -> list[str]:
    """Write the pictures that are missing, and that of the confirmation; called in a worker.

    Args:
        folder: Folder of the search.
        state: The search.
        axes: For each hyperparameter, by column, whether its axis is logarithmic.
        dataset: Title of the dataset.
        confirmed: What `hyperband.confirm.retrain` returned, if it was called.

    Returns:
        A line for each picture that could not be drawn.
    """
    import_plots()
    from shared_keras.reporting.pictures import search_plots

    name = title(dataset, folder)
    notes = search_plots.write(folder, state, axes, name, winner(state, confirmed))
    if confirmed is not None:
        notes += search_plots.attempt(
            folder / CONFIRMED_PICTURE, lambda: search_plots.confirmed(confirmed, state, name)
        )
    return notes


def title(dataset: str, folder: Path) -> str:
    """Return what pictures and the page of a search are titled with."""
    return f"{dataset}, search {files.shown(folder.name)}"


def importances(folder: Path) -> pd.DataFrame | None:
    """Return what `draw` found important, if there were enough trials."""
    path = folder / names.IMPORTANCE
    return pd.read_csv(path, index_col=0) if path.exists() else None


def import_plots() -> None:
    """Import Matplotlib and scikit-learn, which takes a second, ahead of `draw`."""
    from shared_keras.reporting.pictures import search_plots  # noqa: F401


def dates(folder: Path) -> dict[str, int]:
    """Return when each file of a search was written that `show` names, in nanoseconds."""
    paths = [folder / name for name in WRITTEN]
    return {path.name: path.stat().st_mtime_ns for path in paths if path.exists()}


def show(
    folder: Path,
    state: SearchState,
    console: Console,
    confirmed: pd.DataFrame | None,
    before: Mapping[str, int],
) -> None:
    """Print the best trials, at most ten, the winner, and what was written.

    Args:
        folder: Folder of the search.
        state: The search.
        console: Where the tables go.
        confirmed: What `hyperband.confirm.retrain` returned, if it was called.
        before: The `dates` when the command began.
    """
    say("")
    n = len(state.ranked)
    which = f"The ten best of {n} trials" if n > 10 else f"All {n} trials that have a score"
    say(f"{'The only trial that has a score' if n == 1 else which}, longest trained first:")
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("trial", "place", "epochs", state.objective):
        table.add_column(name, no_wrap=True)
    table.add_column("hyperparameters")
    for row in state.ranked[:10]:
        place = row.place if console.width >= WIDE else row.place.replace(" rung", "\nrung")
        cells = (row.trial, place, str(row.epochs), f"{row.score:.4f}")
        table.add_row(*cells, Settings(row.hyperparameters))
    console.print(table)
    best = winner(state, confirmed)
    line = f"Winner: trial {best.trial}, score {best.score:.4f}"
    if confirmed is not None:
        _show_confirmed(confirmed, console)
        mean, sd, n = (confirmed[key][0] for key in ("mean", "sd", "n"))
        line += f", over {n} other seeds {mean:.4f} ± {sd:.4f}"
    say(line)
    for name, given in best.hyperparameters.items():
        say(f"  {name} = {value(given)}")
    if state.failed:
        say(
            f"{len(state.failed)} of {len(state.rows)} trials failed; "
            f"{names.TRIALS} gives the reasons; the first: {state.failed[0].reason or ''}"
        )
    now = dates(folder)
    if confirmed is None:
        now = {name: date for name, date in now.items() if name not in OF_CONFIRMATION}
    written = [name for name, date in now.items() if before.get(name) != date]
    for name in written:
        say(f"wrote {folder / name}")
    if kept := [name for name in now if name not in written]:
        say(f"unchanged in {folder}: {', '.join(kept)}")


def _show_confirmed(confirmed: pd.DataFrame, console: Console) -> None:
    """Print the trials that were retrained."""
    console.print("Retrained trials, best mean first:")
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("trial", "score in the search", "mean", "sd", "n"):
        table.add_column(name)
    for row in confirmed.itertuples(index=False):
        table.add_row(row.trial, f"{row.score:.4f}", f"{row.mean:.4f}", f"{row.sd:.4f}", str(row.n))
    console.print(table)
