"""List the user's runs and searches, newest first."""

import statistics
import time
from collections.abc import Sequence

from rich import box
from rich.table import Table

from shared_keras.errors import BadInput
from shared_keras.reporting.console import console, say
from shared_keras.results import overview
from shared_keras.results.overview import ACCURACY, Entry
from shared_keras.task import Task


def run(task: Task, args) -> None:
    """Print a table: names, what they are, scores."""
    if args.results_dir.exists() and not args.results_dir.is_dir():
        raise BadInput(f"argument --results-dir: expected a folder, got '{args.results_dir}'")
    folder = args.results_dir / task.name
    found = overview.entries(folder)
    command = f"python -m {task.package}"
    if not found:
        say(
            f"nothing in {folder} yet; `{command}.search --quick` makes a search, "
            f"`{command}.retrain --best` a run"
        )
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name, and what it is")
    table.add_column("validation", justify="right")
    table.add_column("test", justify="right")
    table.add_column("written", no_wrap=True)
    for entry in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.when))
        score = _mean(entry.validation) if entry.validation else "-"
        if entry.objective != ACCURACY:
            score = f"{score} ({entry.objective})"
        table.add_row(_describe(entry), score, _mean(entry.test), when)
    console().print(table)
    say(f"a run's name is for evaluate, compare and predict --run; {command}.evaluate NAME")
    say(f"a search's name is for retrain; {command}.retrain --best --search NAME")


def _describe(entry: Entry) -> str:
    parts = filter(None, [f"{entry.kind}: {entry.what}" if entry.what else entry.kind])
    lines = [entry.name, *parts] + ([entry.problem] if entry.problem else [])
    return "\n  ".join(lines)


def _mean(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    sd = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.4f}{sd}"
