"""What a results folder holds: runs and searches, also unfinished and damaged ones.

Nothing here imports Keras, so that a list of them appears at once.
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.results.trials import TRIALS

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


def without_result(run: Path) -> str:
    """Return why the folder of a training has no metrics.json."""
    losses = losses_of(run)
    if failed(losses):
        return f"failed, the loss became {losses[-1]}"
    after = f" after {len(losses)} epoch{'s' * (len(losses) > 1)}" if losses else ""
    return f"interrupted{after}, or still running"


def losses_of(run: Path) -> list[float]:
    """Return the losses of a run's epochs, as far as they are written."""
    try:
        return files.read_history(run / "history.csv")["loss"]
    except (BadInput, KeyError):
        return []


def failed(losses: Sequence[float]) -> bool:
    """Return whether a training ended because its loss became NaN or infinite."""
    return bool(losses) and not math.isfinite(losses[-1])


def ended(run: Path) -> bool:
    """Return whether a run has a result, or failed for good."""
    return (run / "metrics.json").exists() or failed(losses_of(run))


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.glob("*") if path.is_dir()]


def _entry(path: Path, kind: str, read: Callable[[Path], dict]) -> Entry:
    results = ("metrics.json", "best.json", "settings.json")
    written = [file.stat().st_mtime for name in results for file in path.rglob(name)]
    when = max(written, default=path.stat().st_mtime)
    try:
        return Entry(path.name, kind, when, **read(path))
    except (BadInput, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        return Entry(path.name, kind, when, problem=f"damaged: {why}")


def _run(folder: Path) -> dict:
    """Return what there is to say about a run, which may have several seeds."""
    seeds = [path.parent for path in folder.rglob("settings.json")]
    if not seeds:
        return {"problem": without_result(folder)}
    settings = files.read_object(seeds[0] / "settings.json", "source", "framework")
    done = [path for path in seeds if (path / "metrics.json").exists()]
    results = [files.read_object(path / "metrics.json", "validation", "test") for path in done]
    epochs = [r["epochs_trained"] for r in results if "epochs_trained" in r]
    parts = [_source(settings), _images(settings)]
    if epochs:
        low, high = min(epochs), max(epochs)
        span = str(low) if low == high else f"{low} to {high}"
        parts.append(f"{span} epoch{'s' * (high > 1)}")
    if len(seeds) > 1:
        parts.append(f"{len(done)} of {len(seeds)} seeds")
    missing = [path for path in seeds if path not in done]
    return {
        "what": ", ".join(filter(None, parts)),
        "validation": tuple(float(r["validation"]["accuracy"]) for r in results),
        "test": tuple(float(r["test"]["accuracy"]) for r in results),
        "problem": without_result(missing[0]) if missing else None,
    }


def of_trial(source: str) -> str:
    """Return the source of a retrained trial with the name of its search in place of its folder."""
    head, search, folder = source.partition(SEARCH)
    committed = head.endswith("the committed reference")  # its folder depends on the machine
    return head + (search.rstrip() if committed or not search else f"{search}{Path(folder).name}")


def _source(settings: dict) -> str:
    recipe = settings.get("recipe")
    source = f"recipe {recipe}" if recipe else of_trial(settings["source"])
    return source + (", in PyTorch" if settings["framework"] == "pytorch" else "")


def _images(settings: dict) -> str:
    return f"on {settings['title']}" if settings.get("title") else ""


def _search(folder: Path) -> dict:
    """Return what there is to say about a search."""
    if not (folder / "settings.json").exists():
        return {"problem": "it holds no search"}
    settings = files.read_object(folder / "settings.json", "space", "max_epochs", "objective")
    best = {}
    if (folder / "best.json").exists():
        best = files.read_object(folder / "best.json", "score")
    ended, so_far = _so_far(folder / TRIALS, settings["objective"])
    decided = best.get("trials", ended if best else 0)  # earlier versions did not write it
    more = ended > decided
    ended, score = max(ended, decided), so_far if more else best.get("score")
    planned = settings.get("planned") or best.get("planned")
    trials = f"{ended} of {planned} trials" if planned else f"{ended} trials"
    parts = [f"space {settings['space']}", _images(settings), trials]
    longest = settings["max_epochs"]
    parts.append(f"up to {longest} epoch{'s' * (longest > 1)}")
    if not more and "confirmed" in best:
        mean, sd, n = (best["confirmed"][key] for key in ("mean", "sd", "n"))
        parts.append(f"the winner confirmed by {mean:.4f} ± {sd:.4f} over {n:.0f} other seeds")
    problem = None
    if more or not best:
        problem = "interrupted, or still running"
        problem += "; the score is the best so far" * (score is not None)
    return {
        "what": ", ".join(filter(None, parts)),
        "validation": () if score is None else (float(score),),
        "objective": settings["objective"],
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
