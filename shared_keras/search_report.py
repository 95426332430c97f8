"""What a search leaves behind: trials.csv, best.json, search.png, a table."""

from pathlib import Path

from rich import box
from rich.table import Table

from shared_keras import plots, runs
from shared_keras.oracle import FAILED, own
from shared_keras.progress import place, settings


def reason(trial) -> str:
    """Return in one line what made a trial fail; trial.json has the traceback."""
    lines = (trial.message or "").strip().splitlines()
    return lines[-1] if lines else ""


def rows(tuner) -> list[dict]:
    """Return a row per trial that was begun, by number."""
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
        table.append(row | values)
    return table


def write_trials(tuner, folder: Path) -> None:
    """Write trials.csv."""
    runs.write_csv(folder / "trials.csv", rows(tuner))


def write_best(tuner, folder: Path, search_settings) -> None:
    """Write search.png, then best.json, which marks the search as finished."""
    winner = tuner.winner()
    figure = plots.search(rows(tuner), tuner.oracle.objective, folder.name)
    runs.write_figure(folder / "search.png", figure)
    runs.write_json(
        folder / "best.json",
        {
            "trial": winner.trial_id,
            "score": float(winner.score),
            "objective": tuner.oracle.objective.name,
            "space": search_settings.space,
            "split": search_settings.split,
            "batch_size": search_settings.batch_size,
            "hyperparameters": winner.hyperparameters.values,
        },
    )


def show(tuner, folder: Path, console) -> None:
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
    winner = tuner.winner()
    console.print(f"Winner: trial {winner.trial_id}, score {winner.score:.4f}", markup=False)
    for name, value in own(winner.hyperparameters.values).items():
        console.print(f"  {name} = {value}", markup=False)
    failed = [t for t in tuner.oracle.trials.values() if t.status == FAILED]
    if failed:
        console.print(
            f"{len(failed)} of {len(tuner.oracle.trials)} trials failed; "
            f"trials.csv has the reasons, the first: {reason(failed[0])}",
            markup=False,
        )
    for name in ("settings.json", "trials.csv", "best.json", "search.png"):
        console.print(f"wrote {folder / name}", markup=False)
