"""Compare recipes with published scores, two runs, a Ray Tune folder or a model with its port."""

import argparse
import contextlib

from shared_keras import devices
from shared_keras.commands import pools
from shared_keras.comparisons import ladder, two_runs
from shared_keras.errors import BadInput
from shared_keras.task import Task

OF_WORKERS = ("workers", "cluster", "gpus_per_worker", "cluster_timeout")
RAY_FLAGS = ("mapping", "model", "import_trial", "split", *OF_WORKERS)


def run(task: Task, args: argparse.Namespace) -> int:
    """Run the comparison that the arguments ask for; return the exit code."""
    if args.out is not None and args.out.exists() and any(args.out.iterdir()):
        raise BadInput(f"argument --out: expected a new or empty folder, got '{args.out}'")
    if args.ray_results is None:
        for name in RAY_FLAGS:
            if getattr(args, name) is not None:
                flag = {"import_trial": "import"}.get(name, name).replace("_", "-")
                raise BadInput(
                    f"argument --{flag}: only works with --ray-results, got '{getattr(args, name)}'"
                )
    if args.port is not None and (args.runs or args.ray_results):
        raise BadInput("argument --port: expected no RUN and no --ray-results beside it")
    if len(args.runs) not in (0, 2) or (args.runs and args.ray_results):
        raise BadInput(
            f"argument RUN: expected two runs or none, and none with --ray-results, got "
            f"{len(args.runs)}"
        )
    places = {"data_dir": args.data_dir, "results_dir": args.results_dir, "out": args.out}
    if args.port is not None:
        devices.need_torch("--port")
        with contextlib.suppress(ImportError):  # Keras imports it, to seed it, too
            devices.import_quietly("tensorflow")
        from shared_keras.comparisons import port  # needs the `torch` extra

        return port.run(task, args.port, **places)
    if args.ray_results is not None:
        devices.need_torch("--ray-results")
        from shared_keras.comparisons.ray import leaderboard  # needs the `torch` extra

        with pools.asked_for(args) as pool:
            leaderboard.run(
                task,
                args.ray_results,
                mapping=args.mapping,
                import_trial=args.import_trial,
                model=args.model,
                split=args.split or "holdout",
                pool=pool,
                **places,
            )
    elif args.runs:
        two_runs.run(task, args.runs, **places)
    else:
        ladder.run(task, **places)
    return 0
