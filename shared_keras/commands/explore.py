"""Describe a dataset."""

import argparse

import numpy as np
from rich import box
from rich.table import Table

from shared_keras import files
from shared_keras.data import datasets, own_data, splits
from shared_keras.reporting.console import console, say
from shared_keras.reporting.pictures import plots
from shared_keras.results import folders
from shared_keras.task import Task


def run(task: Task, args: argparse.Namespace) -> None:
    """Print shapes, pixel statistics and class balance; draw examples."""
    task = own_data.task_of(task, args.data_dir)
    train, test = datasets.load(task, args.data_dir, say)
    split = splits.split(task, train, test, args.split)
    folder = folders.new_folder(args.results_dir / task.name / "explorations", args.split)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}

    facts = Table(box=box.SIMPLE_HEAD, title=f"{task.title}, {args.split} split")
    balance = Table(box=box.SIMPLE_HEAD, title="Images per class")
    for column in ("part", "images", "dtype", "labels", "pixels", "mean", "sd", "zero"):
        facts.add_column(column)
    balance.add_column("class")
    for name, images in parts.items():
        x = images.x
        facts.add_row(
            name,
            f"{len(x):,} of {x.shape[1]}x{x.shape[2]}",
            str(x.dtype),
            f"{images.y.min()}...{images.y.max()}",
            f"{x.min()}...{x.max()}",
            f"{x.mean() / 255:.4f}",
            f"{x.std() / 255:.4f}",
            f"{(x == 0).mean():.1%}",
        )
        balance.add_column(name, justify="right")
    counts = [np.bincount(i.y, minlength=len(task.classes)) for i in parts.values()]
    for label, name in enumerate(task.classes):
        cells = (f"{c[label]:,} ({c[label] / c.sum():.2%})" for c in counts)
        balance.add_row(name, *cells)
    screen = console()
    screen.print(facts)
    screen.print("mean and sd are of pixels scaled to 0...1; zero is the share of black pixels")
    screen.print(balance)
    title = f"{task.title}: training images of every class"
    figure = plots.examples(split.train.x, split.train.y, task.classes, title)
    files.write_figure(folder / "examples.png", figure)
    screen.print(f"wrote {folder / 'examples.png'}", soft_wrap=True)
