"""Describe a dataset; `run` is what the command does."""

from shared_keras import cli, datasets, runs
from shared_keras.task import Task


def main(task: Task, argv: list[str] | None = None) -> int:
    """Run the command `explore` of a task and return its exit code."""
    parser = cli.Parser(task, "explore", f"Describe the images of {task.title}.")
    cli.add_split(parser, "holdout")
    cli.add_data(parser)
    cli.add_results(parser)
    return cli.run(parser, run, task, argv)


def run(task: Task, args) -> None:
    """Print shapes, pixel statistics and class balance; draw examples."""
    import numpy as np
    from rich import box
    from rich.table import Table

    from shared_keras import plots
    from shared_keras.progress import console

    train, test = datasets.load(task, args.data_dir)
    split = datasets.split(task, train, test, args.split)
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
            str(x.shape),
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
    folder = runs.new_folder(args.results_dir / task.name / "explorations", args.split)
    title = f"{task.title}: training images of every class"
    figure = plots.examples(split.train.x, split.train.y, task.classes, title)
    runs.write_figure(folder / "examples.png", figure)
    screen.print(f"wrote {folder / 'examples.png'}", soft_wrap=True)
