"""Evaluate a model on the test images; `run` is what the command does."""

from shared_keras import cli, datasets, runs
from shared_keras.task import Task

HARDEST = 25


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `evaluate` of a task and return its exit code."""
    parser = cli.Parser(task, "evaluate", f"Evaluate a model on the test images of {task.title}.")
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="name of a run, or path of a .keras file; without it the newest run",
    )
    cli.add_split(parser, None, "; without it the run's own, or holdout")
    cli.add_data(parser)
    cli.add_results(parser)
    cli.add_device(parser)
    return cli.run(parser, run, task, argv)


def run(task: Task, args) -> None:
    """Print the scores; write them, the confusion matrix and the hardest images."""
    import numpy as np

    from shared_keras import evaluation, plots, saved_models
    from shared_keras.report import accuracy, say

    path = saved_models.find(task, args.results_dir, args.run)
    model = saved_models.load(task, path)
    trained = saved_models.settings(path)
    protocol = args.split or trained.get("split", "holdout")
    images = datasets.load(task, args.data_dir)
    split = datasets.split(task, *images, protocol)
    probabilities = evaluation.probabilities(model, split.test.x)
    scores = evaluation.scores(probabilities, split.test.y, task.classes)

    name = saved_models.describe(path)
    title = f"{task.title}, {name}: {scores['accuracy']:.2%} of {scores['n']:,} test images"
    folder = runs.new_folder(args.results_dir / task.name / "evaluations", name)
    hardest = evaluation.entropy(probabilities).argsort(kind="stable")[::-1][:HARDEST]
    runs.write_json(
        folder / "evaluation.json",
        {"model": str(path), "split": protocol} | scores | {"hardest": hardest.tolist()},
    )
    runs.write_json(folder / "environment.json", runs.environment())
    runs.write_figure(
        folder / "confusion.png",
        plots.confusion(np.array(scores["confusion"]), task.classes, title),
    )
    runs.write_figure(folder / "hardest.png", _hardest(task, split.test, probabilities, hardest))

    say(f"{path}, {protocol} split")
    if trained.get("data") not in (None, datasets.digest(*images)):
        say("note: the model was trained on other images than these; --data-dir names them")
    _table(scores)
    say(f"accuracy {accuracy(scores)}")
    say(f"loss     {scores['loss']:.4f}")
    say(f"wrote {folder}: evaluation.json, environment.json, confusion.png, hardest.png")


def _hardest(task, images, probabilities, hardest):
    from shared_keras import plots

    predicted = probabilities[hardest].argmax(axis=1)
    truth = images.y[hardest]
    captions = [
        f"true: {task.classes[t]}\npredicted: {task.classes[p]} {probabilities[i, p]:.0%}"
        for i, t, p in zip(hardest, truth, predicted)
    ]
    colors = ["black" if t == p else "tab:red" for t, p in zip(truth, predicted)]
    title = "The hardest test images, by entropy (red: wrong)"
    return plots.images(images.x[hardest], captions, title, colors=colors)


def _table(scores) -> None:
    from rich import box
    from rich.table import Table

    from shared_keras.progress import console

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    for column in ("precision", "recall", "f1", "images"):
        table.add_column(column, justify="right")
    for row in scores["classes"]:
        scores_of_class = [row[key] for key in ("precision", "recall", "f1")]
        numbers = ("-" if score is None else f"{score:.4f}" for score in scores_of_class)
        table.add_row(row["class"], *numbers, str(row["support"]))
    table.add_section()
    numbers = (f"{scores['macro'][key]:.4f}" for key in ("precision", "recall", "f1"))
    table.add_row("mean", *numbers, str(scores["n"]))
    console().print(table)
