"""Take trained runs of recipes into the committed ones, without models and pictures.

    python -m tools.take_runs RESULTS

RESULTS is what was given to `retrain --results-dir`. Each finished run that trained a recipe as it
is now goes to `tuner_results/reference/TASK/runs/[twin-]NAME/seed-N` and replaces the one that
was there; committed runs of that recipe that trained it as it was before are deleted. A committed
model stays with its run. What is left to do then: `python -m tools.write_docs`.
"""

import re
import shutil
from dataclasses import replace
from pathlib import Path

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras.command_line.parser import of_module
from shared_keras.comparisons import recipe_runs
from shared_keras.data import datasets
from shared_keras.results import folders, names, saved_models
from shared_keras.results.environment import Environment
from shared_keras.task import Task

TAKEN = (names.SETTINGS, names.ENVIRONMENT, names.HISTORY, names.METRICS)
PLACE = re.compile(r" --results-dir(?:=|\s+)\S+")  # says nothing to others


def take(task: Task, results: Path, reference: Path | None = None) -> list[str]:
    """Copy the finished runs of a task; return a line for each recipe that was taken.

    Args:
        task: The task.
        results: Folder of results that holds them.
        reference: Folder of the committed runs; by default that of the task.
    """
    reference = reference or folders.reference(task) / "runs"
    digest = datasets.digest(*datasets.load(task))
    lines = []
    new = recipe_runs.collect(task, results / task.name / "runs", digest)
    lines += [f"left out: {problem}" for problem in new.problems]
    lines += [f"left out: {run.folder}: {'; '.join(run.differs)}" for run in new.ignored]
    for (recipe, key), found in new.found.items():
        place = reference / ("twin-" * (key == "twin") + recipe)
        old = [run.folder for run in recipe_runs.collect(task, place, digest).ignored]
        for outdated in old:
            shutil.rmtree(outdated)
        seeds = sorted(run.settings.seed for run in found)
        for run in found:
            _copy(run.folder, place / f"seed-{run.settings.seed}")
        lines.append(
            f"{task.name}, {place.name}: seeds {', '.join(map(str, seeds))}; {len(old)} outdated "
            f"deleted; {len(list(place.glob('seed-*')))} there now"
        )
    return lines


def _copy(run: Path, to: Path) -> None:
    if (to / saved_models.MODEL).exists():
        return  # the figures of a committed model are those of its own training
    to.mkdir(parents=True, exist_ok=True)
    for name in TAKEN:
        shutil.copy(run / name, to / name)
    environment = Environment.read(to)
    replace(environment, command=PLACE.sub("", environment.command)).write(to)


def main() -> None:
    """Take the runs of both tasks."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder of results")
    results = parser.parse_args().results
    if not any((results / task.name / "runs").is_dir() for task in (FASHION, MNIST)):
        parser.error(
            f"argument RESULTS: expected a folder that holds fashion/runs or mnist/runs, got "
            f"'{results}'"
        )
    for task in (FASHION, MNIST):
        for line in take(task, results):
            print(line)


if __name__ == "__main__":
    main()
