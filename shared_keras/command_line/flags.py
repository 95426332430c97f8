"""The command line: a parser for each command. This module imports nothing heavy."""

from pathlib import Path

from shared_keras.command_line import common_flags
from shared_keras.command_line.parser import Parser, name
from shared_keras.exports.formats import FORMATS
from shared_keras.results.settings import (
    ALL,
    BATCH_SIZE,
    EPOCHS,
    OBJECTIVES,
    PATIENCE,
    PRECISIONS,
    SEEDS,
    TRY_BEST,
)
from shared_keras.systems.recipe import Replay
from shared_keras.task import Task


def parser(task: Task, command: str) -> Parser:
    """Return the parser of a command: "search", "retrain", "evaluate", ..."""
    return PARSERS[command](task)


def search(task: Task) -> Parser:
    """Return the parser of `search`."""
    parser = Parser(task, "search", f"Search hyperparameters for {task.title}.")
    add, number = parser.add_argument, parser.add_number

    def of_spaces(name: str) -> str:
        return ", ".join(f"{getattr(b, name)} ({space})" for space, b in task.spaces.items())

    add("--space", choices=task.spaces, default=task.default_space, help="search space")
    longest = f"epochs of the longest training; by default as published: {of_spaces('max_epochs')}"
    number("--max-epochs", longest)
    share = f"one trial in N is promoted; by default as published: {of_spaces('factor')}"
    number("--factor", share, least=2)
    add("--quick", action="store_true", help="a budget of about half a minute")
    runs = f"Hyperband runs, by default {of_spaces('iterations')}"
    number("--iterations", f"{runs}; a larger N extends a finished search")
    number("--min-epochs", "epochs of the shortest training", default=1)
    batch = f"images per step, by default {BATCH_SIZE}; the space batchnorm searches it itself"
    number("--batch-size", batch)
    add("--objective", choices=OBJECTIVES, default="val_accuracy", help="metric to improve")
    add(
        "--try-first",
        choices=[*(n for n, r in task.recipes.items() if isinstance(r.system, Replay)), TRY_BEST],
        metavar="NAME",
        help="start with known settings: those of a recipe of the same space, or 'best', "
        "the winner of your newest other search of this space",
    )
    late = "start no more trials after this time; the same command with a longer one resumes"
    number("--timeout", late, metavar="SECONDS")
    few = "train only the first N trials; the same command with a larger N resumes"
    number("--max-trials", few)
    again = f"retrain the best K with {SEEDS} other seeds; the best mean wins"
    number("--confirm", again, metavar="K")
    add("--tensorboard", action="store_true", help="also write logs for TensorBoard")
    journal = "also write the search, as it runs, to a journal of Optuna, for optuna-dashboard"
    add("--optuna-journal", metavar="FILE", type=Path, help=journal)
    number("--seed", "seed of everything random", least=0, default=0)
    add("--name", type=name, help="name of the search; by default made from the other flags")
    common_flags.split(parser, "holdout")
    common_flags.data(parser)
    common_flags.results(parser)
    common_flags.workers(parser)
    common_flags.device(parser)
    return parser


def retrain(task: Task) -> Parser:
    """Return the parser of `retrain`."""
    title = f"Retrain a search's winner or a published recipe for {task.title}."
    parser = Parser(task, "retrain", title)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--best", action="store_true", help="the winner of a search")
    which.add_argument("--trial", metavar="ID", help="a trial of a search, such as 0012")
    which.add_argument(
        "--recipe",
        choices=[*task.recipes, ALL],
        metavar="NAME",
        help=f"a published setting, or all: {', '.join(task.recipes)}",
    )
    add, number = parser.add_argument, parser.add_number
    add("--torch", action="store_true", help="train the PyTorch twin instead of the Keras model")
    add(
        "--search",
        metavar="NAME",
        type=name,
        help="for --best and --trial: which search; by default your newest that has a winner, "
        "or else the committed one, named 'reference'",
    )
    number("--epochs", f"maximum number of epochs; by default {EPOCHS}, or the recipe's")
    number(
        "--patience",
        "epochs without a better val_accuracy before training stops; "
        f"by default {PATIENCE}, or the recipe's, which may have none",
    )
    number("--runs", "train once with each of N seeds", default=1)
    number("--seed", "the first seed", least=0, default=0)
    number("--batch-size", "images per step; by default the search's or the recipe's")
    add("--precision", choices=PRECISIONS, default="float32", help="Keras dtype policy")
    common_flags.split(parser, None, "; by default as the search or the recipe did")
    common_flags.data(parser)
    common_flags.results(parser)
    common_flags.workers(parser, "; a single run needs none, unless you say so here")
    common_flags.device(parser)
    return parser


def evaluate(task: Task) -> Parser:
    """Return the parser of `evaluate`."""
    parser = Parser(task, "evaluate", f"Evaluate a model on the test images of {task.title}.")
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="name or folder of a run, path of a .keras file, or 'reference' for the committed "
        "model; by default the newest run, or else the committed model",
    )
    parser.add_argument("--run", dest="named", metavar="RUN", help="the same, as predict takes it")
    common_flags.split(parser, None, "; by default the run's own, or holdout")
    common_flags.data(parser)
    common_flags.results(parser)
    common_flags.device(parser)
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
        help="images of any size, or folders of such: PNG, JPEG, BMP, GIF, WebP, TIFF",
    )
    parser.add_number("--random", "classify N random test images instead")
    add("--run", metavar="RUN", help="like RUN of evaluate")
    parser.add_number("--seed", "seed of the choice of N", least=0, default=0)
    common_flags.data(parser)
    common_flags.results(parser)
    common_flags.device(parser)
    return parser


def explore(task: Task) -> Parser:
    """Return the parser of `explore`."""
    parser = Parser(task, "explore", f"Describe the images of {task.title}.")
    common_flags.split(parser, "holdout")
    common_flags.data(parser)
    common_flags.results(parser)
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
        help="two runs, folders of runs or .keras files to compare on the same test images; of "
        "runs with several seeds, all seeds are compared, too",
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
        "--model",
        metavar="FILE",
        type=Path,
        help="for --ray-results: Python file that defines model(config) and preprocess(images), "
        "if the trials' network is not a likely one. It is run, so only name your own code",
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
    common_flags.split(parser, None, "; for --ray-results, by default holdout")
    common_flags.data(parser)
    common_flags.results(parser)
    common_flags.workers(parser, "; for --ray-results")
    common_flags.device(parser)
    return parser


def runs(task: Task) -> Parser:
    """Return the parser of `runs`."""
    parser = Parser(task, "runs", f"List your runs and searches on {task.title}, newest first.")
    common_flags.results(parser)
    return parser


def export(task: Task) -> Parser:
    """Return the parser of `export`."""
    parser = Parser(
        task,
        "export",
        f"Export a model for {task.title}: to the format of another runtime, or as a page for a "
        "browser that needs nothing else.",
    )
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="like RUN of evaluate")
    add("--to", required=True, choices=FORMATS, help="what to write")
    add("--beside", metavar="RUN", help="for page: a second model, whose answers it also shows")
    common_flags.data(parser)
    common_flags.results(parser)
    return parser


COMMANDS = (search, retrain, evaluate, predict, explore, compare, runs, export)
PARSERS = {f.__name__: f for f in COMMANDS}
