"""The command line: a parser for each command. This module imports nothing heavy."""

from pathlib import Path

from shared_keras import devices
from shared_keras.parser import Parser, name, share, whole, whole_or_auto
from shared_keras.results.settings import (
    ALL,
    BATCH_SIZE,
    BEST,
    EPOCHS,
    OBJECTIVES,
    PATIENCE,
    PRECISIONS,
    SEEDS,
)
from shared_keras.systems.recipe import Replay
from shared_keras.task import SPLITS, Task


def parser(task: Task, command: str) -> Parser:
    """Return the parser of a command: "search", "retrain", "evaluate", ..."""
    return PARSERS[command](task)


def search(task: Task) -> Parser:
    """Return the parser of `search`."""
    parser = Parser(task, "search", f"Search hyperparameters for {task.title}.")
    add = parser.add_argument
    add("--space", choices=task.spaces, default=task.default_space, help="search space")
    factors = ", ".join(f"{b.factor} ({name})" for name, b in task.spaces.items())
    budgets = ", ".join(f"{b.max_epochs} ({name})" for name, b in task.spaces.items())
    iterations = ", ".join(f"{b.iterations} ({name})" for name, b in task.spaces.items())
    add(
        "--max-epochs",
        type=whole(1),
        metavar="N",
        help=f"epochs of the longest training; by default as published: {budgets}",
    )
    add(
        "--factor",
        type=whole(2),
        metavar="N",
        help=f"one trial in N is promoted; by default as published: {factors}",
    )
    add("--quick", action="store_true", help="a budget of about half a minute")
    add(
        "--iterations",
        type=whole(1),
        metavar="N",
        help=f"Hyperband runs, by default {iterations}; a larger N extends a finished search",
    )
    add(
        "--min-epochs",
        type=whole(1),
        metavar="N",
        default=1,
        help="epochs of the shortest training",
    )
    batch = f"images per step, by default {BATCH_SIZE}; the space batchnorm searches it itself"
    add("--batch-size", type=whole(1), metavar="N", help=batch)
    add("--objective", choices=OBJECTIVES, default="val_accuracy", help="metric to improve")
    add(
        "--try-first",
        choices=[*(n for n, r in task.recipes.items() if isinstance(r.system, Replay)), BEST],
        metavar="NAME",
        help="start with known settings: those of a recipe of the same space, or 'best', "
        "the winner of your newest other search of this space",
    )
    add("--timeout", type=whole(1), metavar="SECONDS", help="start no more trials after this time")
    add(
        "--max-trials",
        type=whole(1),
        metavar="N",
        help="train only the first N trials; the same command with a larger N resumes",
    )
    add(
        "--confirm",
        type=whole(1),
        metavar="K",
        help=f"retrain the best K with {SEEDS} other seeds; the best mean wins",
    )
    add("--tensorboard", action="store_true", help="also write logs for TensorBoard")
    add("--seed", type=whole(0), metavar="N", default=0, help="seed of everything random")
    add("--name", type=name, help="name of the search; by default made from the other flags")
    _add_split(parser, "holdout")
    _add_data(parser)
    _add_results(parser)
    _add_workers(parser)
    _add_device(parser)
    return parser


def retrain(task: Task) -> Parser:
    """Return the parser of `retrain`."""
    parser = Parser(
        task, "retrain", f"Retrain a search's winner or a published recipe for {task.title}."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--best", action="store_true", help="the winner of a search")
    which.add_argument("--trial", metavar="ID", help="a trial of a search, such as 0012")
    which.add_argument(
        "--recipe",
        choices=[*task.recipes, ALL],
        metavar="NAME",
        help=f"a published setting, or all: {', '.join(task.recipes)}",
    )
    add = parser.add_argument
    add("--torch", action="store_true", help="train the PyTorch twin instead of the Keras model")
    add(
        "--search",
        metavar="NAME",
        type=name,
        help="for --best and --trial: which search; by default your newest finished one, "
        "or else the committed one, named 'reference'",
    )
    add(
        "--epochs",
        type=whole(1),
        metavar="N",
        help=f"maximum number of epochs; by default {EPOCHS}, or the recipe's",
    )
    add(
        "--patience",
        type=whole(1),
        metavar="N",
        help="epochs without a better val_accuracy before training stops; "
        f"by default {PATIENCE}, or the recipe's, which may have none",
    )
    add("--runs", type=whole(1), metavar="N", default=1, help="train once with each of N seeds")
    add("--seed", type=whole(0), metavar="N", default=0, help="the first seed")
    add(
        "--batch-size",
        type=whole(1),
        metavar="N",
        help="images per step; by default the search's or the recipe's",
    )
    add("--precision", choices=PRECISIONS, default="float32", help="Keras dtype policy")
    _add_split(parser, None, "; by default as the search or the recipe did")
    _add_data(parser)
    _add_results(parser)
    _add_workers(parser, "; a single run needs none, unless you say so here")
    _add_device(parser)
    return parser


def evaluate(task: Task) -> Parser:
    """Return the parser of `evaluate`."""
    parser = Parser(task, "evaluate", f"Evaluate a model on the test images of {task.title}.")
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="name of a run, path of a .keras file, or 'reference' for the committed model; by "
        "default the newest run, or else the committed model",
    )
    _add_split(parser, None, "; by default the run's own, or holdout")
    _add_data(parser)
    _add_results(parser)
    _add_device(parser)
    return parser


def predict(task: Task) -> Parser:
    """Return the parser of `predict`."""
    parser = Parser(task, "predict", f"Classify images with a model for {task.title}.")
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        type=Path,
        help="images of any size: PNG, JPEG, BMP, GIF, WebP, TIFF",
    )
    add("--random", type=whole(1), metavar="N", help="classify N random test images instead")
    add("--run", metavar="RUN", help="like RUN of evaluate")
    add("--seed", type=whole(0), metavar="N", default=0, help="seed of the choice of N")
    _add_data(parser)
    _add_results(parser)
    _add_device(parser)
    return parser


def explore(task: Task) -> Parser:
    """Return the parser of `explore`."""
    parser = Parser(task, "explore", f"Describe the images of {task.title}.")
    _add_split(parser, "holdout")
    _add_data(parser)
    _add_results(parser)
    return parser


def compare(task: Task) -> Parser:
    """Return the parser of `compare`."""
    parser = Parser(
        task,
        "compare",
        f"Compare systems for {task.title}: by default all recipes with their published "
        "scores; or two RUNs with each other, a Ray Tune folder with its port, or your own "
        "Keras model with its PyTorch original.",
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="*",
        metavar="RUN",
        help="two runs or .keras files to compare on the same test images",
    )
    add(
        "--port",
        nargs=2,
        metavar=("ORIGINAL", "PORT"),
        type=Path,
        help="find where your Keras model leaves its PyTorch original, and why. Both Python files "
        "are run, so only name your own code; docs/pytorch.md says what they define",
    )
    add("--ray-results", metavar="DIR", type=Path, help="folder of a Ray Tune experiment")
    add(
        "--mapping",
        metavar="FILE",
        type=Path,
        help="for --ray-results: JSON that maps the names of hyperparameters "
        "('config'), modules ('modules') and the metric ('metric')",
    )
    add(
        "--import",
        dest="import_trial",
        metavar="TRIAL",
        help="for --ray-results: also write the port of this trial as a run",
    )
    add(
        "--out",
        metavar="DIR",
        type=Path,
        help="new folder for tables and pictures; by default one below --results-dir",
    )
    _add_split(parser, None, "; for --ray-results, by default holdout")
    _add_data(parser)
    _add_results(parser)
    _add_workers(parser, "; for --ray-results")
    _add_device(parser)
    return parser


def runs(task: Task) -> Parser:
    """Return the parser of `runs`."""
    parser = Parser(task, "runs", f"List your runs and searches on {task.title}, newest first.")
    _add_results(parser)
    return parser


PARSERS = {f.__name__: f for f in (search, retrain, evaluate, predict, explore, compare, runs)}


def _add_data(parser: Parser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder with four IDX files, plain or gzipped, instead of the embedded ones; a file "
        "classes.txt in it names the classes, one a line",
    )


def _add_split(parser: Parser, default: str | None, note: str = "") -> None:
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=default,
        help="where validation images come from: a fifth of the training images "
        "(holdout), or, as in the originals, the test images: a part of them (published), "
        f"half (half), all (test){note}",
    )


def _add_results(parser: Parser) -> None:
    parser.add_argument(
        "--results-dir",
        metavar="DIR",
        type=Path,
        default=Path("tuner_results"),
        help="where results are written and looked for",
    )


def _add_workers(parser: Parser, note: str = "") -> None:
    add = parser.add_argument
    add(
        "--workers",
        type=whole_or_auto,
        metavar="N",
        default="auto",
        help=f"worker processes; auto: one for each CPU core, or one on a GPU{note}",
    )
    add(
        "--cluster",
        metavar="ADDRESS",
        help="train on a Ray cluster: auto for that of this machine, HOST:PORT, ray://HOST:PORT, "
        "or local to start one here",
    )
    add(
        "--gpus-per-worker",
        type=share,
        metavar="N",
        help="GPUs of each worker of the cluster, such as 0.5; by default 1 if it has any",
    )
    add(
        "--cluster-timeout",
        type=whole(1),
        metavar="SECONDS",
        help="how long to wait while the cluster has no worker, by default 600",
    )


def _add_device(parser: Parser) -> None:
    parser.add_argument(
        "--backend",
        choices=devices.BACKENDS,
        help="Keras backend; by default KERAS_BACKEND or, if unset, jax",
    )
    parser.add_argument(
        "--device", choices=devices.DEVICES, default="auto", help="auto uses a GPU if there is one"
    )
