"""Compare: the recipes with what was published, two runs, or a Ray Tune folder."""

from pathlib import Path

from shared_keras import cli
from shared_keras.errors import BadInput
from shared_keras.task import Task

RAY_FLAGS = ("mapping", "import_trial", "split")


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `compare` of a task and return its exit code."""
    parser = cli.Parser(
        task,
        "compare",
        f"Compare systems for {task.title}: without arguments all recipes with what was "
        "published, two RUNs with each other, or a Ray Tune folder with its port.",
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="*",
        metavar="RUN",
        help="two runs or .keras files to compare on the same test images",
    )
    add("--ray-results", metavar="DIR", type=Path, help="folder of a Ray Tune experiment")
    add(
        "--mapping",
        metavar="FILE",
        type=Path,
        help="for --ray-results: JSON that translates the names of hyperparameters "
        "('config'), modules ('modules') and the metric ('metric')",
    )
    add(
        "--import",
        dest="import_trial",
        metavar="TRIAL",
        help="for --ray-results: write the port of this trial as a run, too",
    )
    add(
        "--out",
        metavar="DIR",
        type=Path,
        help="new folder for tables and pictures; without it one below --results-dir",
    )
    cli.add_split(parser, None, "; for --ray-results, without it holdout")
    cli.add_data(parser)
    cli.add_results(parser)
    cli.add_device(parser)
    return cli.run(parser, run, task, argv)


def run(task: Task, args) -> None:
    """Do the comparison that the arguments ask for."""
    from shared_keras import devices

    if args.out is not None and args.out.exists() and any(args.out.iterdir()):
        raise BadInput(f"argument --out: expected a new or empty folder, got '{args.out}'")
    if args.ray_results is None:
        for name in RAY_FLAGS:
            if getattr(args, name) is not None:
                flag = {"import_trial": "import"}.get(name, name)
                raise BadInput(
                    f"argument --{flag}: is for --ray-results only, got '{getattr(args, name)}'"
                )
    if len(args.runs) not in (0, 2) or (args.runs and args.ray_results):
        raise BadInput(
            f"argument RUN: expected two runs, or none, and none beside --ray-results, got "
            f"{len(args.runs)}"
        )
    if args.ray_results is not None:
        devices.need_torch("--ray-results")
        from shared_keras import ray_report

        ray_report.run(task, args)
    elif args.runs:
        from shared_keras import run_pair

        run_pair.run(task, args)
    else:
        from shared_keras import ladder

        ladder.run(task, args)
