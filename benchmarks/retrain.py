"""Seconds of `retrain --recipe all --runs N` for the perceptrons: on all cores beside one by one.

    python -m benchmarks.retrain [--tasks TASK ...] [--runs N] [--epochs N] [--rounds N]

Both train the same recipes with the same seeds, each in a process of its own, timed from start to
exit, and they take turns. One by one means in one process with all its cores, as a single run
trains. Convolutions are left out, because they use several threads well. The processor seconds,
which count all processes, tell how much of the difference is due to other load on the machine.
The figures go to benchmarks/results/retrain-TASK.json.
"""

import contextlib
import dataclasses
import importlib
import os
import statistics
import sys
import tempfile
from concurrent.futures import Future

from benchmarks import commands
from shared_keras.command_line.parser import of_module, whole

GOAL = 0.65  # of the time, on two cores
WAYS = ("one by one", "on all cores")


def main() -> None:
    """Run both ways in turn and print a table for each task."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--tasks", nargs="+", choices=("fashion", "mnist"), default=["fashion"])
    parser.add_argument("--runs", type=whole(1), default=3)
    parser.add_argument("--epochs", type=whole(1), help="instead of each recipe's own")
    parser.add_argument("--rounds", type=whole(1), default=1)
    args = parser.parse_args()
    for task in args.tasks:
        _compare(task, args.runs, args.epochs, args.rounds)


def _compare(task: str, runs: int, epochs: int | None, rounds: int) -> None:
    words = ["--recipe", "all", "--runs", str(runs)] + (["--epochs", str(epochs)] if epochs else [])
    print(f"\n{task}, {' '.join(words)}, perceptrons only", flush=True)
    print("  way            seconds   of processors")
    seconds = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            wall, processor = _measure(way, task, words)
            seconds[way].append({"seconds": wall, "processor_seconds": processor})
            print(f"  {way:12}  {wall:8.1f}  {processor:8.1f}", flush=True)
    pairs = list(zip(*seconds.values()))
    ratio = statistics.median(pool["seconds"] / one["seconds"] for one, pool in pairs)
    print(f"  {ratio:.2f} of the time; goal: at most {GOAL} on two cores")
    os.environ["KERAS_BACKEND"] = "jax"
    from benchmarks import receipts

    figures = {"runs": runs, "epochs": epochs, "goal": GOAL, "ratio": ratio, "measured": seconds}
    receipts.write(f"retrain-{task}", {"task": task} | figures)


def _measure(way: str, task: str, words: list[str]) -> tuple[float, float]:
    """Return how long a process took, and the processor seconds of it and its workers."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "benchmarks.retrain", way, task, *words]
        return commands.timed([*command, "--results-dir", folder])


class Here:
    """A pool whose only worker is this process. See `processes.protocol`."""

    shares_files = True
    name = "here"

    def __init__(self):
        self.notes = []

    def workers(self) -> list["Here"]:
        """Return the only one."""
        return [self]

    def size(self) -> int:
        """Return that there is one."""
        return 1

    def share(self, data: bytes) -> bytes:
        """Return the data themselves."""
        return data

    def claimed(self):
        """Return a context that does nothing."""
        return contextlib.nullcontext()

    def submit(self, function, *args) -> Future:
        """Run `function(*args)`, and return its result."""
        done = Future()
        done.set_result(function(*args))
        return done


def retrain(way: str, task_name: str, words: list[str]) -> int:
    """Retrain a task's perceptrons in one of the two ways; return the exit code."""
    from shared_keras.command_line import cli, flags
    from shared_keras.systems.spec import Conv

    task = importlib.import_module(f"{task_name}_keras.task").TASK
    recipes = {
        name: recipe
        for name, recipe in task.recipes.items()
        if not any(isinstance(layer, Conv) for layer in getattr(recipe.system, "layers", ()))
    }
    task = dataclasses.replace(task, recipes=recipes)
    if way == WAYS[1]:
        return cli.main(task, "retrain", words)
    from shared_keras.commands.retraining import request, session

    asked = request.of(flags.parser(task, "retrain").parse_args(words))
    session.run(task, asked, Here())
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        sys.exit(retrain(sys.argv[1], sys.argv[2], sys.argv[3:]))
    main()
