"""Find finished searches, the user's own and the committed reference."""

from pathlib import Path

from shared_keras import runs
from shared_keras.errors import BadInput
from shared_keras.task import Replay, Task

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


def known(
    task: Task, results_dir: Path, name: str | None, space: str, but: str
) -> list[dict[str, int | float | str]]:
    """Return the settings that a search of `space` is to try first. Imports Keras.

    Args:
        task: Whose search.
        results_dir: Where the user's results lie.
        name: A recipe, or "best", the winner of the newest finished search of the space,
            or else of the committed one; None for none.
        space: The search space.
        but: A search that does not count, because it is the one that is to begin.

    Raises:
        BadInput: if there are none of this space.
    """
    from shared_keras.replay import replay

    if name is None:
        return []
    if name != "best":
        replays = {n: r.what for n, r in task.recipes.items() if isinstance(r.what, Replay)}
        fitting = [n for n, what in replays.items() if what.space == space]
        if name not in fitting:
            raise BadInput(
                f"argument --try-first: the recipe '{name}' is not of the space {space}, "
                f"expected one of {', '.join([*fitting, 'best'])}"
            )
        values = replays[name].hyperparameters
    else:
        own = (results_dir / task.name / "searches").glob("*/best.json")
        newest = sorted(own, key=lambda path: path.stat().st_mtime, reverse=True)
        found = [path for path in newest if path.parent.name != but]
        found += (REFERENCE / task.name).glob("**/best.json")
        states = [runs.read_json(path) for path in found]
        values = next((s["hyperparameters"] for s in states if s["space"] == space), None)
        if values is None:
            raise BadInput(
                f"argument --try-first: best needs a finished search of the space {space}, "
                f"found none in {results_dir / task.name / 'searches'}"
            )
    return [replay(task.builder(space).describe, values).values]


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
