"""Train a search's winner, one of its trials, or a published recipe."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from shared_keras import cli, datasets, runs, searches
from shared_keras.errors import BadInput
from shared_keras.task import Task

EPOCHS = 100  # more than EarlyStopping leaves
PATIENCE = 15  # that of seed 002, which stopped 15 epochs after its best
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a run. `data` is a digest of the images."""

    task: str
    source: str
    space: str
    hyperparameters: dict
    epochs: int
    patience: int
    batch_size: int
    split: str
    seed: int
    precision: str
    backend: str
    data: str


@dataclass(frozen=True)
class Choice:
    """What to train, as a search or a recipe states it."""

    label: str
    source: str
    space: str
    hyperparameters: Mapping
    epochs: int
    patience: int
    batch_size: int
    split: str
    published: Mapping[str, float]
    data: str | None = None  # the digest of the images that a search saw


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `retrain` of a task and return its exit code."""
    parser = cli.Parser(
        task, "retrain", f"Retrain a search's winner or a published recipe for {task.title}."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--best", action="store_true", help="the winner of a search")
    what.add_argument("--trial", metavar="ID", help="a trial of a search, such as 0012")
    what.add_argument("--recipe", choices=task.recipes, help="a published setting")
    add = parser.add_argument
    add(
        "--search",
        metavar="NAME",
        type=cli.name,
        help="for --best and --trial: which search; without it your newest finished one, "
        "or else the committed one, which is called 'reference'",
    )
    add(
        "--epochs",
        type=cli.whole(1),
        metavar="N",
        help=f"at most how many epochs; without it {EPOCHS}, or the recipe's",
    )
    add(
        "--patience",
        type=cli.whole(1),
        metavar="N",
        help="epochs without a better val_accuracy before training stops; "
        f"without it {PATIENCE}, or the recipe's",
    )
    add("--runs", type=cli.whole(1), metavar="N", default=1, help="repeat over N seeds")
    add("--seed", type=cli.whole(0), metavar="N", default=0, help="the first seed")
    add(
        "--batch-size",
        type=cli.whole(1),
        metavar="N",
        help="images per step; without it the search's or the recipe's",
    )
    add("--precision", choices=PRECISIONS, default="float32", help="Keras dtype policy")
    cli.add_split(parser, None, "; without it as the search or the recipe did")
    cli.add_data(parser)
    cli.add_results(parser)
    cli.add_device(parser)
    return cli.run(parser, run, task, argv)


def run(task: Task, args) -> None:
    """Train, evaluate on the test images once, write, and say what came out."""
    import keras

    from shared_keras import devices, report, retraining
    from shared_keras.replay import replay

    choice = _with_flags(_choose(task, args), args)
    build = task.builder(choice.space)
    hp = replay(build, choice.hyperparameters)
    train, test = datasets.load(task, args.data_dir)
    split = datasets.split(task, train, test, choice.split)
    keras.config.set_dtype_policy(args.precision)
    digest = datasets.digest(train, test)
    folder = runs.new_folder(args.results_dir / task.name / "runs", choice.label)
    report.say(f"{task.title}: {choice.source}")
    report.say(report.protocol(choice.split, split))
    if choice.data not in (None, digest):
        report.say("note: the search saw other images than these")

    results = []
    for seed in range(args.seed, args.seed + args.runs):
        settings = Settings(
            task=task.name,
            source=choice.source,
            space=choice.space,
            hyperparameters=dict(choice.hyperparameters),
            epochs=choice.epochs,
            patience=choice.patience,
            batch_size=choice.batch_size,
            split=choice.split,
            seed=seed,
            precision=args.precision,
            backend=devices.backend(),
            data=digest,
        )
        own = folder if args.runs == 1 else runs.make_folder(folder / f"seed-{seed}")
        report.say(f"seed {seed}, {hp.values}")
        results.append(retraining.run(task, settings, build, hp, split, own))
    report.outcome(results, choice.published)
    if args.runs > 1:
        summary = report.summary(results)
        runs.write_json(folder / "summary.json", summary)
        report.say(f"wrote {folder / 'summary.json'}")


def _choose(task: Task, args) -> Choice:
    if args.recipe is not None:
        if args.search is not None:
            raise BadInput(
                f"argument --search: names a search, '{args.search}', but --recipe "
                "needs none; leave one of them out"
            )
        recipe = task.recipes[args.recipe]
        return Choice(
            label=f"recipe-{args.recipe}",
            source=f"recipe '{args.recipe}' ({recipe.source})",
            space=recipe.space,
            hyperparameters=recipe.hyperparameters,
            epochs=recipe.epochs,
            patience=recipe.patience,
            batch_size=recipe.batch_size,
            split="published",
            published=recipe.published,
        )
    folder = searches.find(task, args.results_dir, args.search)
    best = runs.read_json(folder / "best.json")
    values, name = best["hyperparameters"], "best"
    if args.trial is not None:
        values, name = searches.trial(folder, args.trial), f"trial-{args.trial}"
    return Choice(
        label=f"{name}-{best['space']}",
        source=f"trial {args.trial or best['trial']} of {searches.describe(folder)}",
        space=best["space"],
        hyperparameters=values,
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=best["batch_size"],
        split=best["split"],
        published={},
        data=runs.read_json(folder / "settings.json")["data"],
    )


def _with_flags(choice: Choice, args) -> Choice:
    given = {
        name: getattr(args, name)
        for name in ("epochs", "patience", "batch_size", "split")
        if getattr(args, name) is not None
    }
    return dataclasses.replace(choice, **given)
