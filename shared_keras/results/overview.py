"""What a results folder holds: runs and searches, also unfinished and damaged ones.

Nothing here imports Keras, so that a list of them appears at once.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared_keras import words
from shared_keras.errors import BadInput
from shared_keras.results import names, run_folders
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.settings import RunSettings, SearchSettings
from shared_keras.results.winner import Winner

ACCURACY = "val_accuracy"
SEARCH = " search "


@dataclass(frozen=True)
class Entry:
    """A run or a search.

    Attributes:
        name: What commands know it by.
        kind: "run" or "search".
        when: When it last wrote a result, in seconds since 1970.
        what: What it trained, in a few words.
        validation: Validation accuracy of each seed, or the score of a search's winner.
        objective: What `validation` measures.
        test: Test accuracy of each seed.
        problem: Why it has no result, or not all of it, or None.
    """

    name: str
    kind: str
    when: float
    what: str = ""
    validation: tuple[float, ...] = ()
    objective: str = ACCURACY
    test: tuple[float, ...] = ()
    problem: str | None = None


def entries(folder: Path) -> list[Entry]:
    """Return the runs and searches of a task's results folder, newest first."""
    found = [_entry(path, "run", _run) for path in _folders(folder / "runs")]
    found += [_entry(path, "search", _search) for path in _folders(folder / "searches")]
    return sorted(found, key=lambda entry: (-entry.when, entry.name))


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.glob("*") if path.is_dir()]


def _entry(path: Path, kind: str, read: Callable[[Path], dict[str, Any]]) -> Entry:
    results = (names.METRICS, names.BEST, names.SETTINGS)
    written = [file.stat().st_mtime for name in results for file in path.rglob(name)]
    when = max(written, default=path.stat().st_mtime)
    try:
        return Entry(path.name, kind, when, **read(path))
    except (BadInput, OSError, ValueError) as error:
        why = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        return Entry(path.name, kind, when, problem=f"cannot be read: {why}")


def _run(folder: Path) -> dict[str, Any]:
    """Return what there is to say about a run, which may have several seeds."""
    found = (path.parent for path in folder.rglob(names.SETTINGS))
    seeds = sorted(found, key=lambda seed: (len(seed.name), seed))
    if not seeds:
        return {"problem": run_folders.without_result(folder)}
    settings = RunSettings.read(seeds[0])
    results = {seed: RunMetrics.read(seed) for seed in seeds if RunMetrics.is_in(seed)}
    epochs = [each.epochs_trained for each in results.values() if each.epochs_trained is not None]
    parts = [_source(settings), f"on {settings.title}"]
    if epochs:
        parts.append(words.span(epochs, "epoch"))
    if len(seeds) > 1:
        parts.append(f"{len(results)} of {len(seeds)} seeds")
    missing = [seed for seed in seeds if seed not in results]
    return {
        "what": ", ".join(parts),
        "validation": tuple(each.validation.accuracy for each in results.values()),
        "test": tuple(each.test.accuracy for each in results.values()),
        "problem": run_folders.without_result(missing[0]) if missing else None,
    }


def of_trial(source: str) -> str:
    """Return the source of a retrained trial with the name of its search in place of its folder."""
    head, search, folder = source.partition(SEARCH)
    committed = head.endswith("the committed reference")  # its folder depends on the machine
    return head + (search.rstrip() if committed or not search else f"{search}{Path(folder).name}")


def _source(settings: RunSettings) -> str:
    source = f"recipe {settings.recipe}" if settings.recipe else of_trial(settings.source)
    return source + ", in PyTorch" * (settings.framework == "pytorch")


def _search(folder: Path) -> dict[str, Any]:
    """Return what there is to say about a search."""
    settings = SearchSettings.find(folder)
    if settings is None:
        return {"problem": "it holds no search"}
    winner = Winner.find(folder)
    ended, so_far = _so_far(folder / names.TRIALS, settings.objective)
    decided = winner.trials if winner else 0
    more = ended > decided
    ended, score = max(ended, decided), so_far if more else winner and winner.score
    planned = settings.planned or (winner and winner.planned)
    trials = f"{ended} of {planned} trials" if planned else words.count(ended, "trial")
    parts = [f"space {settings.space}", f"on {settings.title}", trials]
    parts.append(f"up to {words.count(settings.max_epochs, 'epoch')}")
    if not more and winner and (over := winner.confirmed):
        parts.append(
            f"the winner confirmed by {over.mean:.4f} ± {over.sd:.4f} over {over.n:.0f} other seeds"
        )
    problem = None
    if more or not winner:
        problem = "interrupted, or still running"
        problem += "; the score is the best so far" * (score is not None)
    return {
        "what": ", ".join(parts),
        "validation": () if score is None else (score,),
        "objective": settings.objective,
        "problem": problem,
    }


def _so_far(table: Path, objective: str) -> tuple[int, float | None]:
    """Return how many trials have ended, and the best score of those trained longest."""
    try:
        with open(table, newline="") as file:
            ended = [row for row in csv.DictReader(file) if row["status"] != "RUNNING"]
        scored = [(int(row["epochs"]), float(row["score"])) for row in ended if row["score"]]
    except (OSError, KeyError):
        return 0, None
    longest = max((epochs for epochs, _ in scored), default=0)
    scores = [score for epochs, score in scored if epochs == longest]
    better = min if objective.endswith("loss") else max
    return len(ended), better(scores, default=None)
