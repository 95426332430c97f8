"""List the user's runs and searches, newest first."""

import argparse
import statistics
import time
from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shared_keras.errors import BadInput
from shared_keras.reporting.console import console, say
from shared_keras.results import overview
from shared_keras.results.overview import ACCURACY, Entry
from shared_keras.task import Task

INDENT = (0, 0, 0, 2)  # top, right, bottom, left


def run(task: Task, args: argparse.Namespace) -> None:
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
    for entry in found:
        score = _mean(entry.validation)
        if entry.objective != ACCURACY:
            score = f"{score}\n{entry.objective}"
        table.add_row(_describe(entry), score, _mean(entry.test))
    console().print(table)
    kinds = {entry.kind for entry in found}
    if "run" in kinds:
        say(f"to evaluate a run: `{command}.evaluate NAME`; predict and compare take its name, too")
    if "search" in kinds:
        say(f"to retrain the winner of a search: `{command}.retrain --best --search NAME`")
    say("if the images are your own, add --data-dir DIR")


def _describe(entry: Entry) -> Group:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.when))
    below = [f"{entry.kind}, {when}" + (f": {entry.what}" if entry.what else "")]
    below += [entry.problem] if entry.problem else []
    name = Text(entry.name, overflow="fold")  # whole, because people copy it
    return Group(name, *(Padding(Text(line), INDENT) for line in below))


def _mean(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    sd = f"\n± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{statistics.fmean(scores):.4f}{sd}"
