"""Search hyperparameters with Hyperband; `run` is what the command does."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from shared_keras import cli, datasets, runs
from shared_keras.errors import BadInput
from shared_keras.task import Task

QUICK = {"max_epochs": 3, "factor": 3}  # 6 trials, 11 epochs
BATCH_SIZE = 32  # as in the Keras originals
OBJECTIVES = ("val_accuracy", "val_loss", "val_precision", "val_macro_precision")
MISLEADING = (
    "warning: val_precision counts only outputs above 0.5, so that it rewards models that "
    "hardly ever answer: with it, the original search chose a learning rate of 1e-6. "
    "--objective val_macro_precision averages the precision of all classes instead."
)


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a search. `data` is a digest of the images."""

    task: str
    space: str
    max_epochs: int
    factor: int
    iterations: int
    batch_size: int
    objective: str
    split: str
    seed: int
    backend: str
    data: str


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `search` of a task and return its exit code."""
    parser = cli.Parser(task, "search", f"Search hyperparameters for {task.title}.")
    add = parser.add_argument
    add("--space", choices=task.spaces, default=task.default_space, help="what to vary")
    budgets = ", ".join(f"{b.max_epochs} ({name})" for name, b in task.spaces.items())
    add(
        "--max-epochs",
        type=cli.whole(1),
        metavar="N",
        help=f"epochs of the longest training; without it as published: {budgets}",
    )
    add(
        "--factor",
        type=cli.whole(2),
        metavar="N",
        help="of how many trials one is promoted; without it as published: 2",
    )
    add("--quick", action="store_true", help="a budget of about half a minute")
    add("--iterations", type=cli.whole(1), metavar="N", default=1, help="Hyperband runs")
    add(
        "--batch-size",
        type=cli.whole(1),
        metavar="N",
        help=f"images per step; without it {BATCH_SIZE}; batchnorm searches it itself",
    )
    add("--objective", choices=OBJECTIVES, default="val_accuracy", help="what to improve")
    add(
        "--workers",
        type=_workers,
        metavar="N",
        default="auto",
        help="processes that train; auto: one for each CPU core, or one on a GPU",
    )
    add("--seed", type=cli.whole(0), metavar="N", default=0, help="decides all chance")
    add(
        "--name",
        type=cli.name,
        help="name of the search; without it the space, and what differs from the default",
    )
    cli.add_split(parser, "holdout")
    cli.add_data(parser)
    cli.add_results(parser)
    cli.add_device(parser)
    return cli.run(parser, run, task, argv)


def run(task: Task, args) -> None:
    """Search, or go on with a search, and show what came out."""
    from shared_keras import devices, workers

    count = args.workers or workers.default()
    budget = _budget(task, args)
    workers.get(count)  # they start while this process reads and imports
    _check_space(task, args)
    train, test = datasets.load(task, args.data_dir)
    settings = Settings(
        task=task.name,
        space=args.space,
        iterations=args.iterations,
        batch_size=args.batch_size or BATCH_SIZE,
        objective=args.objective,
        split=args.split,
        seed=args.seed,
        backend=devices.backend(),
        data=datasets.digest(train, test),
        **budget,
    )
    name = args.name or _default_name(args)
    folder = runs.make_folder(args.results_dir / task.name / "searches" / name)
    _search(task, settings, folder, datasets.split(task, train, test, args.split), count)


def _workers(text: str) -> int | None:
    """Read a number of workers, None for auto."""
    return None if text == "auto" else cli.whole(1)(text)


def _budget(task: Task, args) -> dict[str, int]:
    if args.quick:
        for flag, value in (("max-epochs", args.max_epochs), ("factor", args.factor)):
            if value is not None:
                raise BadInput(
                    f"argument --quick: sets the budget, so it cannot stand beside "
                    f"--{flag} {value}; leave one of them out"
                )
        return QUICK
    published = asdict(task.spaces[args.space])
    given = {"max_epochs": args.max_epochs, "factor": args.factor}
    return published | {key: value for key, value in given.items() if value is not None}


def _check_space(task: Task, args) -> None:
    """Refuse a batch size that the space searches, and an objective that it cannot have."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    described = task.builder(args.space).describe(hp)
    if args.batch_size is not None and "batch_size" in hp.values:
        raise BadInput(
            f"argument --batch-size: the space {args.space} searches it itself, so that it "
            f"must not be given, got {args.batch_size}"
        )
    if args.objective == "val_precision" and not described.probabilities:
        raise BadInput(
            f"argument --objective: val_precision counts probabilities above 0.5, but the space "
            f"{args.space} makes logits; expected one of "
            f"{', '.join(o for o in OBJECTIVES if o != 'val_precision')}"
        )


def _default_name(args) -> str:
    parts = [args.space]
    parts += [args.split] * (args.split != "holdout")
    parts += [args.objective] * (args.objective != "val_accuracy")
    parts += ["quick"] * args.quick
    return "-".join(parts)


def _search(
    task: Task, settings: Settings, folder: Path, split: datasets.Split, workers: int
) -> None:
    from shared_keras import search_report
    from shared_keras.progress import Progress
    from shared_keras.tuner import Hyperband

    resumed = _same_settings(folder / "settings.json", settings)
    if not resumed:
        runs.write_json(folder / "environment.json", runs.environment())
        runs.write_settings(folder / "settings.json", settings)
    progress = Progress(task.title)
    tuner = Hyperband(
        task.builder(settings.space),
        settings.objective,
        max_epochs=settings.max_epochs,
        factor=settings.factor,
        hyperband_iterations=settings.iterations,
        seed=settings.seed,
        metrics=_metrics(settings.objective),
        directory=folder.parent,
        project_name=folder.name,
        workers=workers,
    )
    if settings.objective == "val_precision":
        print(MISLEADING, file=sys.stderr)
    progress.announce(tuner, folder, resumed)
    if settings.split == "published":
        progress.say("Validation images come from the test set, as published.")
    written = -1

    def update():
        nonlocal written
        progress.update(tuner)
        if (ended := len(tuner.oracle.end_order)) != written:
            written = ended
            search_report.write_trials(tuner, folder)

    tuner.callback = update
    if not (folder / "best.json").exists():
        try:
            with progress:
                tuner.search(
                    split.train.x,
                    split.train.y,
                    validation_data=(split.validation.x, split.validation.y),
                    batch_size=settings.batch_size,
                )
        except KeyboardInterrupt:
            progress.say("Stopped. The same command goes on from here.")
            raise
        search_report.write_best(tuner, folder, settings)
    search_report.show(tuner, folder, progress.console)


def _metrics(objective: str) -> Callable[[], list] | None:
    """Return what makes the metrics that an objective needs beyond a model's own."""
    from shared_keras import metrics

    return metrics.precisions if "precision" in objective else None


def _same_settings(path: Path, settings: Settings) -> bool:
    """Return whether the search was begun before; refuse other settings."""
    if not path.exists():
        if path.with_name("oracle.json").exists():
            raise BadInput(
                f"argument --name: {path.parent} holds a KerasTuner project that this "
                "command did not make; give another --name"
            )
        return False
    earlier, now = asdict(runs.read_settings(Settings, path)), asdict(settings)
    differences = [
        f"{key} was {earlier[key]} and is now {now[key]}" for key in now if earlier[key] != now[key]
    ]
    if differences:
        raise BadInput(
            f"argument --name: the search '{path.parent.name}' was made with other "
            f"settings ({'; '.join(differences)}); give them again, or another --name"
        )
    return True
