"""Seconds of a search on a local Ray cluster, beside the same search on worker processes.

    python -m benchmarks.cluster [--rounds N] [--workers N] [--max-epochs N]

Both have the same number of workers, which have begun before the clock starts. The searches take
turns, in this process, and must find the same. The goal is a ratio of at most 1.05. The figures go
to benchmarks/results/cluster.json.
"""

import statistics
import tempfile
import time

from mnist_keras.task import TASK
from shared_keras import devices
from shared_keras.command_line.parser import of_module, whole
from shared_keras.data import datasets, splits
from shared_keras.processes import cluster
from shared_keras.processes.local_pool import LocalPool

GOAL = 1.05


def main() -> None:
    """Run the searches in turn and print a table."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--rounds", type=whole(1), default=3)
    parser.add_argument("--workers", type=whole(1), default=devices.core_count())
    parser.add_argument("--max-epochs", type=whole(1), default=8)
    args = parser.parse_args()
    if args.workers > (most := devices.core_count()):
        parser.error(f"argument --workers: expected at most {most} (cores), got {args.workers}")
    split = splits.split(TASK, *datasets.load(TASK), "holdout")
    pairs = []
    with cluster.connect("local", workers=args.workers) as far:
        near = LocalPool(args.workers)
        for pool in (near, far):
            while len(pool.workers()) < args.workers:
                time.sleep(0.1)
        for pool in (near, far):  # the first search also loads what all need
            _search(pool, split, 1)
        print("worker processes   Ray's actors   ratio")
        for number in range(args.rounds):
            times = {}
            for pool in ((near, far), (far, near))[number % 2]:
                times[pool] = _search(pool, split, args.max_epochs)
            if times[near][1] != times[far][1]:
                raise SystemExit("the two searches found different trials")
            (one, _), (other, trials) = times[near], times[far]
            pairs.append((one, other))
            print(f"{one:14.1f} s {other:12.1f} s {other / one:7.3f}", flush=True)
    ratio = statistics.median(other / one for one, other in pairs)
    print(f"median ratio {ratio:.3f}, goal: at most {GOAL}; {len(trials)} trials each")

    from benchmarks import receipts

    figures = {"workers": args.workers, "max_epochs": args.max_epochs, "trials": len(trials)}
    receipts.write("cluster", figures | {"seconds": pairs, "ratio": ratio, "goal": GOAL})


def _search(pool, split, max_epochs: int) -> tuple[float, list]:
    """Return the seconds of a search, and what it found."""
    from shared_keras.hyperband import Hyperband

    with tempfile.TemporaryDirectory() as folder:
        tuner = Hyperband(
            TASK.builder("dense"),
            "val_accuracy",
            max_epochs=max_epochs,
            factor=2,
            seed=0,
            directory=folder,
            workers=pool,
        )
        started = time.perf_counter()
        tuner.search(
            split.train.x,
            split.train.y,
            validation_data=(split.validation.x, split.validation.y),
            batch_size=32,
            verbose=0,
        )
        seconds = time.perf_counter() - started
        return seconds, tuner.results().drop(columns="seconds").astype(str).values.tolist()


if __name__ == "__main__":
    main()
