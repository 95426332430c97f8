"""Evaluate a model on the test images."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table

from shared_keras import files
from shared_keras.data import datasets, own_data, splits
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput
from shared_keras.reporting import run_report
from shared_keras.reporting.console import console, say
from shared_keras.reporting.pages import facts, run_page
from shared_keras.reporting.pictures import plots
from shared_keras.reporting.run_report import accuracy
from shared_keras.results import (
    folders,
    history_csv,
    names,
    pixel_scale,
    predictions,
    published,
    saved_models,
)
from shared_keras.results.environment import environment
from shared_keras.results.metrics import Scores
from shared_keras.results.scores import entropy, predict_probabilities, score
from shared_keras.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HARDEST = 25


def run(task: Task, args: argparse.Namespace) -> None:
    """Print and write the scores; draw the confusion matrix and the hardest images."""
    task = own_data.task_of(task, args.data_dir)
    if None not in (args.run, args.named):
        raise BadInput(
            f"argument RUN: got '{args.run}' and --run {args.named}, expected one of them"
        )
    path = saved_models.find(task, args.results_dir, args.named if args.run is None else args.run)
    trained = saved_models.settings(path)
    protocol = args.split or saved_models.split(path)
    images = datasets.load(task, args.data_dir, say)
    split = splits.split(task, *images, protocol)
    suited = pixel_scale.suit(saved_models.load(task, path), task, path, images[0])
    probabilities = predict_probabilities(suited.model, split.test.x)
    scores = score(probabilities, split.test.y, task.classes)

    name = folders.without_time(saved_models.describe(path))
    title = f"{task.title}, {saved_models.titles([path])[0]}"
    folder = folders.new_folder(args.results_dir / task.name / "evaluations", name)
    hardest = entropy(probabilities).argsort(kind="stable")[::-1][:HARDEST]
    files.write_json(
        folder / names.EVALUATION,
        {"model": str(path), "split": protocol, "pixels": suited.scale.name}
        | asdict(scores)
        | {"hardest": hardest.tolist()},
    )
    environment().write(folder)
    files.write_figure(
        folder / "confusion.png",
        plots.confusion(
            np.array(scores.confusion),
            task.classes,
            f"{title}: {scores.accuracy:.2%} of {scores.n:,} test images are right",
        ),
    )
    figure = _hardest(task, split.test, probabilities, hardest, title)
    files.write_figure(folder / "hardest.png", figure)

    digest = datasets.digest(*images)
    made, history = predictions.of(probabilities), path.parent / names.HISTORY
    shown = run_page.Trained(
        title=title,
        facts=facts.of_environment(
            folder,
            [("model", str(path)), facts.data(task.title, protocol, digest)],
        ),
        classes=task.classes,
        scores=[scores],
        figures=run_page.figures([scores], []),
        histories=[history_csv.read(history)] if history.exists() else [],
        predictions=[made],
        images=split.test,
        published=published.curve(task, trained.recipe) if trained and trained.recipe else None,
    )
    run_page.write(folder, shown, args.results_dir)

    say(f"{saved_models.introduce(task, path)}; {protocol} split")
    run_report.other_images("the model was trained on", trained, task.title, digest)
    if suited.line:
        say(suited.line)
    own = saved_models.split(path)
    if own == "test" or own not in ("holdout", protocol):
        say("note: the model was validated on TEST images, some or all of which are used here")
    _table(scores)
    say(f"accuracy {accuracy(scores)}")
    say(f"loss     {scores.loss:.4f} (cross-entropy, without any L2 penalty)")
    say(
        f"wrote {folder}: {names.EVALUATION}, {names.ENVIRONMENT}, confusion.png, hardest.png, "
        f"{names.REPORT}"
    )


def _hardest(
    task: Task, images: Images, probabilities: np.ndarray, hardest: np.ndarray, title: str
) -> "Figure":
    predicted = probabilities[hardest].argmax(axis=1)
    truth = images.y[hardest]
    captions = [
        f"true: {task.classes[t]}\npredicted: {task.classes[p]} ({probabilities[i, p]:.0%})"
        for i, t, p in zip(hardest, truth, predicted)
    ]
    colors = ["black" if t == p else "tab:red" for t, p in zip(truth, predicted)]
    name = f"{title}: the hardest test images, by entropy (red: wrong)"
    return plots.images(images.x[hardest], captions, name, colors=colors)


def _table(scores: Scores) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    for column in ("precision", "recall", "f1", "images"):
        table.add_column(column, justify="right")
    for row in scores.classes:
        scores_of_class = [row[key] for key in ("precision", "recall", "f1")]
        numbers = ("-" if score is None else f"{score:.4f}" for score in scores_of_class)
        table.add_row(row["class"], *numbers, f"{row['support']:,}")
    table.add_section()
    numbers = (f"{scores.macro[key]:.4f}" for key in ("precision", "recall", "f1"))
    table.add_row("mean", *numbers, f"{scores.n:,}")
    console().print(table)
