"""Train a search's winner, one of its trials, or a published recipe."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared_keras import cli, datasets, runs, searches
from shared_keras.errors import BadInput
from shared_keras.system import System
from shared_keras.task import Recipe, Replay, Task

EPOCHS = 100  # more than EarlyStopping leaves
PATIENCE = 15  # that of seed 002, which stopped 15 epochs after its best
ALL = "all"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a run.

    Attributes:
        framework: "keras", or "pytorch" for the twin.
        recipe: Name of the recipe, if it is one.
        space: The search space that the hyperparameters belong to, if any.
        system: `System.to_json()` of what was trained.
        patience: None: no early stopping, the last epoch is kept.
        batch_size: None, as the seed: not known, of a trial that was imported.
        data: A digest of the images.
    """

    task: str
    source: str
    framework: str
    recipe: str | None
    space: str | None
    hyperparameters: dict
    system: dict
    epochs: int
    patience: int | None
    batch_size: int | None
    split: str
    seed: int | None
    precision: str
    backend: str
    data: str


@dataclass(frozen=True)
class Choice:
    """What to train, as a search or a recipe states it."""

    label: str
    source: str
    what: Replay | System
    epochs: int
    patience: int | None
    batch_size: int
    split: str
    published: Mapping[str, float] = field(default_factory=dict)
    recipe: str | None = None
    data: str | None = None  # the digest of the images that a search saw


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `retrain` of a task and return its exit code."""
    parser = cli.Parser(
        task, "retrain", f"Retrain a search's winner or a published recipe for {task.title}."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--best", action="store_true", help="the winner of a search")
    what.add_argument("--trial", metavar="ID", help="a trial of a search, such as 0012")
    what.add_argument(
        "--recipe",
        choices=[*task.recipes, ALL],
        metavar="NAME",
        help=f"a published setting, or all: {', '.join(task.recipes)}",
    )
    add = parser.add_argument
    add("--torch", action="store_true", help="train its PyTorch twin instead of the Keras model")
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
        f"without it {PATIENCE}, or the recipe's, which may have none",
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
    from shared_keras import devices

    if args.torch:
        devices.need_torch("--torch")
        if args.precision != "float32":
            raise BadInput(
                "argument --precision: is a Keras policy, expected float32 beside --torch, "
                f"got {args.precision}"
            )
    choices = _choose(task, args)
    images = datasets.load(task, args.data_dir)
    digest = datasets.digest(*images)
    for choice in choices:
        _train(task, args, _with_flags(choice, args), images, digest)


def _train(task: Task, args, choice: Choice, images, digest: str) -> None:
    """Train one choice with each seed."""
    import keras

    from shared_keras import devices, report, retraining

    described = task.system(choice.what)
    split = datasets.split(task, *images, choice.split)
    keras.config.set_dtype_policy(args.precision)
    prefix = "twin-" if args.torch else ""
    folder = runs.new_folder(args.results_dir / task.name / "runs", prefix + choice.label)
    report.say(f"{task.title}: {choice.source}" + ", as PyTorch twin" * args.torch)
    report.say(report.protocol(choice.split, split))
    if choice.data not in (None, digest):
        report.say("note: the search saw other images than these")

    replay = choice.what if isinstance(choice.what, Replay) else None
    results = []
    for seed in range(args.seed, args.seed + args.runs):
        settings = Settings(
            task=task.name,
            source=choice.source,
            framework="pytorch" if args.torch else "keras",
            recipe=choice.recipe,
            space=replay and replay.space,
            hyperparameters=dict(replay.hyperparameters) if replay else {},
            system=described.to_json(),
            epochs=choice.epochs,
            patience=choice.patience,
            batch_size=args.batch_size or described.batch_size or choice.batch_size,
            split=choice.split,
            seed=seed,
            precision=args.precision,
            backend="torch" if args.torch else devices.backend(),
            data=digest,
        )
        own = folder if args.runs == 1 else runs.make_folder(folder / f"seed-{seed}")
        report.say(f"seed {seed}")
        results.append(retraining.run(task, settings, described, split, own))
    report.outcome(results, choice.published)
    if args.runs > 1:
        runs.write_json(folder / "summary.json", report.summary(results))
        report.say(f"wrote {folder / 'summary.json'}")


def _choose(task: Task, args) -> list[Choice]:
    if args.recipe is None:
        return [_of_search(task, args)]
    if args.search is not None:
        raise BadInput(
            f"argument --search: names a search, '{args.search}', but --recipe "
            "needs none; leave one of them out"
        )
    names = task.recipes if args.recipe == ALL else [args.recipe]
    return [_of_recipe(name, task.recipes[name]) for name in names]


def _of_recipe(name: str, recipe: Recipe) -> Choice:
    return Choice(
        label=f"recipe-{name}",
        source=f"recipe '{name}' ({recipe.source})",
        what=recipe.what,
        epochs=recipe.epochs,
        patience=recipe.patience,
        batch_size=recipe.batch_size,
        split=recipe.split,
        published=recipe.published,
        recipe=name,
    )


def _of_search(task: Task, args) -> Choice:
    folder = searches.find(task, args.results_dir, args.search)
    best = runs.read_json(folder / "best.json")
    values, name = best["hyperparameters"], "best"
    if args.trial is not None:
        values, name = searches.trial(folder, args.trial), f"trial-{args.trial}"
    return Choice(
        label=f"{name}-{best['space']}",
        source=f"trial {args.trial or best['trial']} of {searches.describe(folder)}",
        what=Replay(best["space"], values),
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=best["batch_size"],
        split=best["split"],
        data=runs.read_json(folder / "settings.json")["data"],
    )


def _with_flags(choice: Choice, args) -> Choice:
    given = {
        name: getattr(args, name)
        for name in ("epochs", "patience", "batch_size", "split")
        if getattr(args, name) is not None
    }
    return dataclasses.replace(choice, **given)
