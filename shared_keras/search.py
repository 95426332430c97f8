"""Search hyperparameters with Hyperband; `run` is what the command does."""

import argparse
from dataclasses import asdict, dataclass

from shared_keras import cli, datasets, runs, searches
from shared_keras.errors import BadInput
from shared_keras.task import Replay, Task

QUICK = {"max_epochs": 3, "factor": 3}  # 6 trials, 11 epochs
BATCH_SIZE = 32  # as in the Keras originals
METRICS = ("accuracy", "loss", "precision", "macro_precision")
OBJECTIVES = (*(f"val_{name}" for name in METRICS), *METRICS)
BEST = "best"
SEEDS = 3  # of --confirm


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a search.

    Attributes:
        try_first: The recipe or the search whose settings are tried first, if any.
        data: A digest of the images.
    """

    task: str
    space: str
    max_epochs: int
    factor: int
    iterations: int
    batch_size: int
    objective: str
    split: str
    seed: int
    try_first: str | None
    backend: str
    data: str


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `search` of a task and return its exit code."""
    parser = cli.Parser(task, "search", f"Search hyperparameters for {task.title}.")
    add = parser.add_argument
    add("--space", choices=task.spaces, default=task.default_space, help="what to vary")
    factors = ", ".join(f"{b.factor} ({name})" for name, b in task.spaces.items())
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
        help=f"of how many trials one is promoted; without it as published: {factors}",
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
    add(
        "--try-first",
        choices=[*(n for n, r in task.recipes.items() if isinstance(r.what, Replay)), BEST],
        metavar="NAME",
        help="start with known settings: those of a recipe of the same space, or 'best', "
        "the winner of your newest other search of it",
    )
    add("--timeout", type=cli.whole(1), metavar="SECONDS", help="begin no trial after that")
    add(
        "--max-trials",
        type=cli.whole(1),
        metavar="N",
        help="only the first N trials; with more of them the same command goes on",
    )
    add(
        "--confirm",
        type=cli.whole(1),
        metavar="K",
        help=f"train the best K anew over {SEEDS} seeds; the best mean wins",
    )
    add("--tensorboard", action="store_true", help="also write logs for TensorBoard")
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
    from shared_keras import devices, quick_import, workers

    budget = _budget(task, args)
    count = args.workers or workers.default()
    workers.get(count)  # they start while this process reads and imports
    quick_import.keras()
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
        try_first=args.try_first,
        backend=devices.backend(),
        data=datasets.digest(train, test),
        **budget,
    )
    name = args.name or _default_name(args)
    first = searches.known(task, args.results_dir, args.try_first, args.space, but=name)
    folder = runs.make_folder(args.results_dir / task.name / "searches" / name)

    from shared_keras import searching

    split = datasets.split(task, train, test, args.split)
    limits = searching.Limits(count, args.timeout, args.max_trials, args.confirm)
    searching.run(task, settings, folder, split, first, limits, tensorboard=args.tensorboard)


def _workers(text: str) -> int | None:
    """Read a number of workers, None for auto."""
    if text == "auto":
        return None
    try:
        return cli.whole(1)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected auto or a whole number of at least 1, got '{text}'"
        ) from None


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
    if args.objective in ("precision", "val_precision") and not described.probabilities:
        raise BadInput(
            f"argument --objective: {args.objective} counts probabilities above 0.5, but the space "
            f"{args.space} makes logits; expected one of "
            f"{', '.join(o for o in OBJECTIVES if o not in ('precision', 'val_precision'))}"
        )


def _default_name(args) -> str:
    parts = [args.space]
    parts += [args.split] * (args.split != "holdout")
    parts += [args.objective] * (args.objective != "val_accuracy")
    parts += [f"try-{args.try_first}"] * (args.try_first is not None)
    parts += ["quick"] * args.quick
    return "-".join(parts)
