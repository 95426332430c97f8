"""Seconds of searches that are larger than one machine: a simulation.

    python -m benchmarks.scale [--task TASK] [--trials N ...] [--workers N ...]

Only the clock and the trainings are simulated. `run_trials.run` chooses, begins and ends the
trials, `job_pool.run` hands them out, the oracle decides, and all files but those of a training
are written, to a temporary folder. A worker here trains nothing: it answers with the seconds and
the score of a trial of the committed search, at the time when such a trial would have ended.

How long a trial takes is drawn among the measured trials of the same bracket and rung. A
setting keeps its place among them, so what is slow at first is slow later, too. Its score is
drawn in the same way, and only decides what is promoted. Starting the workers is left out, and
so is what a network costs.

The time of the deciding process is its own CPU time, measured as it decides. Waiting for a disk
comes on top. The figures go to benchmarks/results/scale-TASK-TRIALS.json.
"""

import heapq
import importlib
import itertools
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

from shared_keras.command_line.parser import of_module, whole

REFERENCE = Path(__file__).parents[1] / "tuner_results" / "reference"
TRIALS = (100, 1000, 10_000)
WORKERS = tuple(2**i for i in range(11))
CAUSES = ("deciding", "rung", "left")
Cells = Mapping[tuple[int, int], tuple[Sequence[float], Sequence[float]]]


def main() -> None:
    """Simulate the searches, and print a table for each number of trials."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--task", choices=("fashion", "mnist"), default="fashion")
    parser.add_argument("--trials", nargs="+", type=whole(1), default=TRIALS)
    parser.add_argument("--workers", nargs="+", type=whole(1), default=WORKERS)
    args = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from benchmarks import receipts

    for about in args.trials:
        found = [simulate(args.task, about, workers)[0] for workers in args.workers]
        show(args.task, found)
        figures = {"task": args.task, "about": about, "cases": [asdict(each) for each in found]}
        receipts.write(f"scale-{args.task}-{about}", figures)


@dataclass(frozen=True)
class Outcome:
    """What became of a simulated search.

    Attributes:
        trials: Number of trials.
        workers: Number of workers.
        seconds: From the first decision to the last.
        trained: Seconds of all trainings.
        longest: Seconds of the longest line of trials that resume each other.
        deciding: Seconds that the deciding process worked.
        idle: Seconds that workers waited, by cause: "deciding", while the deciding process
            worked; "rung", while a trial that had ended could not go on, since others of its
            rung had not; "left", while no other trial could have begun.
    """

    trials: int
    workers: int
    seconds: float
    trained: float
    longest: float
    deciding: float
    idle: Mapping[str, float]

    @property
    def at_best(self) -> float:
        """Seconds that no order of the same trials could do with less than."""
        return max(self.longest, self.trained / self.workers)

    def share(self, seconds: float) -> float:
        """Return a share of the time of all workers."""
        return seconds / (self.seconds * self.workers)


def show(task: str, found: Sequence[Outcome]) -> None:
    """Print a table with a row for each number of workers."""
    from rich.table import Table

    from shared_keras.reporting.console import console

    title = f"{task}, {found[0].trials:,} trials, {found[0].trained:,.0f} s of training"
    table = Table(title=title, title_justify="left")
    for name in ("workers", "seconds", "at best", "used", *CAUSES, "trials a second"):
        table.add_column(name, justify="right")
    for each in found:
        shares = [each.share(each.trained), *(each.share(each.idle[cause]) for cause in CAUSES)]
        row = [f"{each.workers:,}", f"{each.seconds:,.0f}", f"{each.at_best:,.0f}"]
        row += [f"{share:.1%}" for share in shares]
        table.add_row(*row, f"{each.trials / each.deciding:.0f}" if each.deciding else "")
    console().print(table)


def simulate(
    task_name: str,
    about: int,
    workers: int,
    seed: int = 0,
    measure: bool = True,
    max_epochs: int | None = None,
) -> tuple[Outcome, dict]:
    """Simulate a search.

    Args:
        task_name: "fashion" or "mnist".
        about: Number of trials; rounded to whole iterations.
        workers: Number of workers.
        seed: Seed of the search, and of what is drawn for the trials.
        measure: Whether decisions take the time that they are measured to take, or none.
        max_epochs: Those of the longest trial, if not those of the committed search.

    Returns:
        What became of it, and the parent, the score and the status of each trial.
    """
    from shared_keras.hyperband import Hyperband, run_trials
    from shared_keras.processes.seldom import Seldom
    from shared_keras.results.settings import SearchSettings
    from shared_keras.results.trials import write_trials

    task = importlib.import_module(f"{task_name}_keras.task").TASK
    settings = SearchSettings.read(REFERENCE / task_name)
    with tempfile.TemporaryDirectory() as folder:

        def make(iterations):
            return Hyperband(
                task.builder(settings.space),
                settings.objective,
                max_epochs=max_epochs or settings.max_epochs,
                factor=settings.factor,
                hyperband_iterations=iterations,
                seed=seed,
                max_consecutive_failed_trials=None,
                directory=folder,
            )

        one = sum(rung.trials for rung in make(1).oracle.schedule())
        tuner = make(max(1, round(about / one)))
        simulation = Simulation(tuner.oracle, cells(task_name), workers, measure)
        pool = SimulatedPool(simulation)
        show = Seldom(lambda: write_trials(Path(tuner.project_dir), tuner.state().rows))

        def report():
            tuner.oracle.catch_up()
            show()
            simulation.go_on()

        with tuner.oracle.saved_seldom(), show:
            simulation.start()
            run_trials.run(tuner.course, pool, None, None, report, print)
        found = {row.trial: (row.parent, row.score, row.status) for row in tuner.state().rows}
        return simulation.outcome(), found


def cells(task_name: str) -> Cells:
    """Return the seconds and the scores of the committed search by bracket and rung, sorted."""
    import pandas as pd

    from shared_keras.results import names

    trials = pd.read_csv(REFERENCE / task_name / names.TRIALS)
    return {
        place: (sorted(rows.seconds), sorted(rows.score))
        for place, rows in trials.groupby(["bracket", "rung"])
    }


class SimulatedPool:
    """Takes the place of a `protocol.Pool`."""

    shares_files = True

    def __init__(self, simulation: "Simulation"):
        self.notes = []
        self._workers = [SimulatedWorker(simulation, f"w{i}") for i in range(simulation.workers)]

    def workers(self) -> list["SimulatedWorker"]:
        """Return all workers."""
        return self._workers

    def share(self, data: bytes) -> bytes:
        """Return the data themselves."""
        return data


class SimulatedWorker:
    """Takes the place of a `protocol.Worker`."""

    def __init__(self, simulation: "Simulation", name: str):
        self._simulation, self.name = simulation, name

    def submit(self, function, *args) -> Future:
        """Return a future that `Simulation.go_on` fills, if this is to train a trial."""
        from shared_keras.hyperband.trials.job import TrialJob

        future = Future()
        if jobs := [each for each in args if isinstance(each, TrialJob)]:
            self._simulation.train(*jobs, future)
        else:
            future.set_result(None)  # what all trials share has arrived
        return future

    def stop(self) -> None:
        """Do nothing."""


class Simulation:
    """The clock, and the trials that are in training. For the arguments see `simulate`."""

    def __init__(self, oracle, cells: Cells, workers: int, measure: bool):
        self.oracle, self.cells, self.workers, self.measure = oracle, cells, workers, measure
        self.now = self.trained = self.deciding = 0.0
        self.running: list[tuple] = []  # a heap of: end, number, future, result
        self.idle = dict.fromkeys(CAUSES, 0.0)
        self.lines: dict[int, float] = defaultdict(float)  # seconds of each line, by its seed
        self.numbers = itertools.count()

    def start(self) -> None:
        """Measure from now on how long the deciding process works."""
        self._mark = time.thread_time()

    def train(self, job, future: Future) -> None:
        """Begin a trial."""
        from shared_keras.hyperband.trials.job import Result

        self._decided()
        values = job.hyperparameters["values"]
        draw = random.Random(job.seed)  # that of the whole line
        seconds, score = (
            quantile(column, draw.random())
            for column in self.cells[values["tuner/bracket"], values["tuner/round"]]
        )
        self.trained += seconds
        self.lines[job.seed] += seconds
        metrics = {self.oracle.objective.name: score}
        result = Result({}, seconds, job.hyperparameters, metrics)
        heapq.heappush(self.running, (self.now + seconds, next(self.numbers), future, result))
        self._mark = time.thread_time()

    def go_on(self) -> None:
        """Let time pass until a trial has ended; called once no worker is given another."""
        self._decided()
        if self.running:
            self.wait(self.running[0][0])
        while self.running and self.running[0][0] <= self.now:
            end, _, future, result = heapq.heappop(self.running)
            self.idle["deciding"] += self.now - end
            future.set_result(result)
        self._mark = time.thread_time()

    def _decided(self) -> None:
        """Advance the clock by what the deciding process has worked."""
        if self.measure:
            seconds = time.thread_time() - self._mark
            self.now += seconds
            self.deciding += seconds
            self.idle["deciding"] += seconds * (self.workers - len(self.running))

    def wait(self, until: float) -> None:
        """Advance the clock, with nothing to decide."""
        seconds, idle = until - self.now, self.workers - len(self.running)
        if seconds > 0:
            held = min(idle, self._held()) if idle else 0
            self.idle["rung"] += seconds * held
            self.idle["left"] += seconds * (idle - held)
            self.now = until

    def _held(self) -> int:
        """Return how many trials could begin if no rung waited for the one below to end."""
        from shared_keras.hyperband.decisions.rungs import COMPLETED, begun_trials

        held = 0
        for (number, level), rung in self.oracle.rungs.items():
            if above := self.oracle.rungs.get((number, level + 1)):
                promoted = len(begun_trials(above, self.oracle.trials))
                begun = begun_trials(rung, self.oracle.trials).values()
                completed = sum(trial.status == COMPLETED for trial in begun)
                held += max(0, min(above.trials, completed) - promoted)
        return held

    def outcome(self) -> Outcome:
        """Return what became of the search."""
        return Outcome(
            trials=len(self.oracle.trials),
            workers=self.workers,
            seconds=self.now,
            trained=self.trained,
            longest=max(self.lines.values()),
            deciding=self.deciding,
            idle=self.idle,
        )


def quantile(column: Sequence[float], share: float) -> float:
    """Return a value between those of a sorted column, where a share of them is below."""
    place = share * (len(column) - 1)
    low = int(place)
    high = min(low + 1, len(column) - 1)
    return column[low] + (place - low) * (column[high] - column[low])


if __name__ == "__main__":
    main()
