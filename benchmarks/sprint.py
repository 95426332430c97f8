"""Accuracy and seconds of a recipe `sprint`: ours beside the same recipe in PyTorch, in turn.

    python -m benchmarks.sprint --task TASK [--seeds N] [--twins N]

Each run is a whole command: imports, compiling, reading, training, evaluation and pictures count.
The goal of its seconds is for a machine on which PyTorch takes 36 seconds for an epoch of Lab 4's
convolutional network, and is for others in proportion, so such an epoch is timed before and after.
The figures go to benchmarks/results/sprint-TASK.json. Needs PyTorch.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import commands, contenders, receipts, twin
from shared_keras.command_line.parser import of_module, whole
from shared_keras.results.metrics import RunMetrics

GOALS = {"mnist": (0.99, 30.0), "fashion": (0.92, 120.0)}  # mean accuracy, and seconds at most
EPOCH = 36.0  # seconds of the epoch where the goal is so
ROUNDS = 5  # of its epoch, each time


def main() -> None:
    """Train the seeds in turn, and print a row for each side."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--task", choices=GOALS, required=True)
    parser.add_argument("--seeds", type=whole(2), default=20)
    parser.add_argument("--twins", type=whole(2), default=5, help="seeds of PyTorch's")
    args = parser.parse_args()
    epochs = [_epoch_of_lab4()]
    sides = {"ours": [], "PyTorch": []}
    for seed in range(max(args.seeds, args.twins)):
        if seed < args.seeds:
            sides["ours"].append(_run(args.task, seed))
        if seed < args.twins:
            sides["PyTorch"].append(_run(args.task, seed, "--torch"))
    epochs.append(_epoch_of_lab4())

    epoch = statistics.mean(epochs)
    accuracy, limit = GOALS[args.task]
    allowed = limit * epoch / EPOCH
    print(f"\nAn epoch of Lab 4's network takes PyTorch {epoch:.1f} s here")
    print("side     seeds  test accuracy     seconds, median  of processors")
    rows = {}
    for side, runs in sides.items():
        accuracies, seconds, processors = zip(*runs)
        row = {
            "accuracies": accuracies,
            "mean": statistics.mean(accuracies),
            "sd": statistics.stdev(accuracies),
            "seconds": statistics.median(seconds),
            "processor_seconds": statistics.median(processors),
        }
        rows[side] = row
        print(
            f"{side:8} {len(runs):5}  {row['mean']:.2%} ± {100 * row['sd']:.2f}"
            f"   {row['seconds']:14.1f} {row['processor_seconds']:14.1f}"
        )
    print(f"goal: at least {accuracy:.1%} in at most {allowed:.1f} s")

    figures = {"epoch_of_lab4": epochs, "allowed": allowed, "sides": rows, "goal": accuracy}
    receipts.write(f"sprint-{args.task}", figures)


def _run(task: str, seed: int, *words: str) -> tuple[float, float, float]:
    """Return the test accuracy of a seed, its seconds, and its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", f"{task}_keras.retrain", "--recipe", "sprint", "--seed", str(seed)]
        command += words
        seconds = commands.timed([*command, "--results-dir", folder])
        (path,) = Path(folder).rglob(RunMetrics.FILE)
        accuracy = RunMetrics.read(path.parent).test.accuracy
    print(f"{' '.join(command[1:])}: {accuracy:.2%}, {seconds[0]:.1f} s", flush=True)
    return accuracy, *seconds


def _epoch_of_lab4() -> float:
    """Return the seconds that PyTorch takes for 60,000 images of Lab 4's network."""
    case = "Lab 4's CNN, all cores"
    words = ["-m", "benchmarks.twin", "--contender", "index", case, str(ROUNDS)]
    seconds = statistics.median(contenders.measure({"twin": words}, ROUNDS)["twin"])
    return seconds * 60_000 / twin.CASES[case].images


if __name__ == "__main__":
    sys.exit(main())
