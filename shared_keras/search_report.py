"""What a search leaves behind: trials.csv, best.json, a table."""

import re
from pathlib import Path

import pandas as pd
from rich import box
from rich.table import Table

from shared_keras import runs
from shared_keras.oracle import own
from shared_keras.places import FAILED
from shared_keras.progress import place, settings

BEST = "best.json"
CONFIRMED = "confirm.csv"
PICTURES = ("importance.png", "parallel.png", "search.png")  # in the order of drawing
WRITTEN = ("settings.json", "trials.csv", CONFIRMED, BEST, *PICTURES, "tensorboard")
COLUMNS = (
    "trial",
    "bracket",
    "rung",
    "initial_epoch",
    "epochs",
    "parent",
    "score",
    "seconds",
    "status",
    "reason",
)


def reason(trial) -> str:
    """Return in one line what made a trial fail; trial.json has the traceback."""
    return last_line(trial.message or "")


def last_line(text: str) -> str:
    """Return the last line of a text, or nothing of none."""
    return text.strip().rpartition("\n")[2]


def rows(tuner) -> list[dict]:
    """Return a row per trial that was begun, by number: `COLUMNS` and the hyperparameters."""
    table = []
    for trial_id, trial in sorted(tuner.oracle.trials.items()):
        values = dict(trial.hyperparameters.values)
        row = {
            "trial": trial_id,
            "bracket": values.pop("tuner/bracket"),
            "rung": values.pop("tuner/round"),
            "initial_epoch": values.pop("tuner/initial_epoch"),
            "epochs": values.pop("tuner/epochs"),
            "parent": values.pop("tuner/trial_id", None),
            "score": trial.score,
            "seconds": tuner.seconds.get(trial_id),
            "status": trial.status,
            "reason": reason(trial) or None,
        }
        table.append(row | {column(name): value for name, value in values.items()})
    return table


def column(name: str) -> str:
    """Return the column of a hyperparameter in a table of trials: its name, if that is free.

    One that is called as the column of another would be gets another `hp/`, too.
    """
    return f"hp/{name}" if re.sub("^(hp/)+", "", name) in COLUMNS else name


def write_trials(tuner, folder: Path) -> None:
    """Write trials.csv."""
    runs.write_csv(folder / "trials.csv", rows(tuner))


def write(tuner, folder: Path, search_settings, confirmed: pd.DataFrame | None) -> None:
    """Write best.json, with which a search can be used.

    Args:
        tuner: The tuner.
        folder: Folder of the search.
        search_settings: `search.Settings`.
        confirmed: What `confirming.confirm` returned, if it was called.
    """
    winner = _winner(tuner, confirmed)
    best = {
        "trials": len(tuner.oracle.end_order),
        "trial": winner.trial_id,
        "score": float(winner.score),
        "objective": tuner.oracle.objective.name,
        "space": search_settings.space,
        "split": search_settings.split,
        "batch_size": search_settings.batch_size,
        "hyperparameters": winner.hyperparameters.values,
    }
    if confirmed is not None:
        best["confirmed"] = {key: float(confirmed[key][0]) for key in ("mean", "sd", "n")}
    if {"trials": best["trials"]} | read(folder) != best:  # 0.3.0 did not count the trials
        runs.write_json(folder / BEST, best)


def read(folder: Path) -> dict:
    """Return what `write` wrote, or before that of no trials."""
    return runs.read_json(folder / BEST) if (folder / BEST).exists() else {"trials": 0}


def write_tensorboard(tuner, folder: Path, trial_id: str) -> None:
    """Write the logs of a trial that ended."""
    from shared_keras import tensorboard_logs

    values = tuner.oracle.trials[trial_id].hyperparameters.values
    if tuner.seconds.get(trial_id):  # not if it failed before its first epoch ended
        tensorboard_logs.write(
            folder / "tensorboard" / trial_id,
            runs.read_history(tuner.folder(trial_id) / "history.csv"),
            values["tuner/initial_epoch"] + 1,
            own(values),
        )


def _winner(tuner, confirmed: pd.DataFrame | None):
    """Return the trial that won: with the best mean, if that is known."""
    return tuner.winner() if confirmed is None else tuner.oracle.trials[confirmed.trial[0]]


def show(tuner, folder: Path, console, confirmed: pd.DataFrame | None) -> None:
    """Print the ten best trials, the winner and the paths."""
    console.print("\nThe ten best trials, longest trained first:")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("trial", "place", "epochs", tuner.oracle.objective.name, "hyperparameters"):
        table.add_column(column, overflow="fold")
    for trial in tuner.ranked()[:10]:
        values = trial.hyperparameters.values
        table.add_row(
            trial.trial_id,
            place(values),
            str(values["tuner/epochs"]),
            f"{trial.score:.4f}",
            settings(values),
        )
    console.print(table)
    winner = _winner(tuner, confirmed)
    line = f"Winner: trial {winner.trial_id}, score {winner.score:.4f}"
    if confirmed is not None:
        _show_confirmed(confirmed, console)
        mean, sd, n = (confirmed[key][0] for key in ("mean", "sd", "n"))
        line += f", over {n} other seeds {mean:.4f} ± {sd:.4f}"
    console.print(line, markup=False)
    for name, value in own(winner.hyperparameters.values).items():
        console.print(f"  {name} = {value}", markup=False)
    failed = [t for t in tuner.oracle.trials.values() if t.status == FAILED]
    if failed:
        console.print(
            f"{len(failed)} of {len(tuner.oracle.trials)} trials failed; "
            f"trials.csv has the reasons, the first: {reason(failed[0])}",
            markup=False,
        )
    for name in WRITTEN:
        if (folder / name).exists() and (name != CONFIRMED or confirmed is not None):
            console.print(f"wrote {folder / name}", markup=False)


def _show_confirmed(confirmed: pd.DataFrame, console) -> None:
    """Print the trials that were trained anew."""
    console.print("Trained anew, the best mean first:")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("trial", "score in the search", "mean", "sd", "n"):
        table.add_column(column)
    for row in confirmed.itertuples(index=False):
        table.add_row(row.trial, f"{row.score:.4f}", f"{row.mean:.4f}", f"{row.sd:.4f}", str(row.n))
    console.print(table)
