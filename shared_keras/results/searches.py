"""Find searches that have a winner: the user's own and the committed reference."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.results import folders, names
from shared_keras.results.winner import Winner
from shared_keras.task import Task


def find(task: Task, results_dir: Path, name: str | None) -> Path:
    """Return the folder of a search that has a winner; it may be unfinished.

    Args:
        task: The task.
        results_dir: Folder of the user's results.
        name: Name of a search; "reference" is the committed one. By default
            the user's newest on the task's images, or else the reference.

    Raises:
        BadInput: if there is none, or it has no winner yet.
    """
    own = results_dir / task.name / "searches"
    reference = folders.reference(task)
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
        folder = next(_with_winner(task, own), reference)
    if not Winner.is_in(folder):
        raise BadInput(
            f"{folder} has no winner yet (no {names.BEST}); "
            f"`python -m {task.package}.search` makes one"
        )
    return folder


def best_of_space(task: Task, results_dir: Path, space: str, name: str) -> dict[str, Any]:
    """Return the winner's hyperparameters in the newest search of a space that has one.

    A search that has begun with some keeps these.

    Args:
        task: The task.
        results_dir: Folder of the user's results; if it has no such search, the committed ones
            are used.
        space: The search space.
        name: Name of the search that begins with them.

    Raises:
        BadInput: if there is none.
    """
    searches = results_dir / task.name / "searches"
    state = searches / name / "oracle.json"
    if state.exists() and (first := files.read_object(state, "first")["first"]):
        return cast(dict[str, Any], first[0])
    own = (folder for folder in _with_winner(task, searches) if folder.name != name)
    committed = sorted(folders.reference(task).glob(f"**/{names.BEST}"))
    for folder in itertools.chain(own, (path.parent for path in committed)):
        winner = Winner.read(folder)
        if winner.space == space:
            return winner.hyperparameters
    raise BadInput(
        f"argument --try-first: best needs a search of the space {space} that has a winner, "
        f"found none in {searches}"
    )


def _with_winner(task: Task, searches: Path) -> Iterator[Path]:
    """Yield the searches on the task's images that have a winner, newest winner first."""
    written = [(path.stat().st_mtime, path.parent) for path in searches.glob(f"*/{names.BEST}")]
    for _, folder in sorted(written, reverse=True):
        if folders.is_of(task, folder):
            yield folder


def describe(task: Task, folder: Path) -> str:
    """Describe a search: whose it is, and its folder."""
    committed = folder == folders.reference(task)
    owner = "the committed reference search" if committed else "your search"
    return f"{owner} {folder}"


def trial(folder: Path, given: str) -> tuple[str, dict[str, Any], float | None]:
    """Return a trial's number, its hyperparameters by name, and its score, if it has one.

    Args:
        folder: Folder of the search.
        given: The number; its leading zeros may be missing.

    Raises:
        BadInput: if the search has no such trial.
    """
    known = sorted(path.parent.name[6:] for path in folder.glob("trial_*/trial.json"))
    number, dash, extra = given.partition("-")
    trial_id = f"{number:0>4}{dash}{extra}"
    if trial_id not in known:
        among = f"one of {known[0]}...{known[-1]}" if known else "a search with trials"
        raise BadInput(f"argument --trial: no trial '{given}' in {folder}, expected {among}")
    state = files.read_object(folder / f"trial_{trial_id}" / "trial.json", "hyperparameters")
    return trial_id, state["hyperparameters"]["values"], state.get("score")
