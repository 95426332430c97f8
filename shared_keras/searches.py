"""Find finished searches, the user's own and the committed reference."""

from pathlib import Path

from shared_keras import runs
from shared_keras.errors import BadInput
from shared_keras.task import Task

REFERENCE = Path(__file__).parents[1] / "tuner_results" / "reference"


def find(task: Task, results_dir: Path, name: str | None) -> Path:
    """Return the folder of a finished search.

    Args:
        task: Whose search.
        results_dir: Where the user's results lie.
        name: Name of a search; "reference" is the committed one. Without it
            the user's newest, or else the reference.

    Raises:
        BadInput: if there is none, or it is not finished.
    """
    own = results_dir / task.name / "searches"
    reference = REFERENCE / task.name
    if name == "reference":
        folder = reference
    elif name is not None:
        folder = own / name
        if not folder.is_dir():
            known = sorted(path.name for path in own.glob("*") if path.is_dir())
            raise BadInput(
                f"argument --search: no search '{name}' in {own}, "
                f"expected one of {', '.join([*known, 'reference'])}"
            )
    else:
        finished = sorted(own.glob("*/best.json"), key=lambda path: path.stat().st_mtime)
        folder = finished[-1].parent if finished else reference
    if not (folder / "best.json").exists():
        raise BadInput(
            f"{folder} holds no finished search (it has no best.json); "
            f"`python -m {task.package}.search` makes one"
        )
    return folder


def describe(folder: Path) -> str:
    """Say whose search a folder holds."""
    owner = "the committed reference search" if REFERENCE in folder.parents else "your search"
    return f"{owner} {folder}"


def trial(folder: Path, trial_id: str) -> dict:
    """Return the hyperparameters of a trial by name.

    Raises:
        BadInput: if the search has no such trial.
    """
    known = sorted(path.parent.name[6:] for path in folder.glob("trial_*/trial.json"))
    if trial_id not in known:
        raise BadInput(
            f"argument --trial: no trial '{trial_id}' in {folder}, "
            f"expected one of {known[0]}...{known[-1]}"
        )
    state = runs.read_json(folder / f"trial_{trial_id}" / "trial.json")
    return state["hyperparameters"]["values"]
