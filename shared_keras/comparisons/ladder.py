"""The ladder: every recipe with its published scores, ours, and the PyTorch twin's.

Each recipe gets a verdict, whether port and twin are equal, and each published score another,
whether it is within the noise of ours; see `verdicts`.

A run counts if it trained a recipe exactly as published, on these images. Where you have no
runs of your own, the committed ones are shown. Your retrained trials of searches come last. Of
your own images, nothing is published.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.table import Table

from shared_keras import files, words
from shared_keras.comparisons import curves, ladder_page, recipe_runs, verdicts, winner_runs
from shared_keras.comparisons.ladder_rows import EXPLAINED, OPEN, WITHIN, counted, rows
from shared_keras.comparisons.recipe_runs import FRAMEWORKS, Found, Ignored
from shared_keras.data import datasets, own_data
from shared_keras.errors import BadInput
from shared_keras.reporting.console import console, say, wrote
from shared_keras.reporting.pictures.comparison_plots import grid, ladder
from shared_keras.results import folders
from shared_keras.results.history_csv import History
from shared_keras.results.metrics import RunMetrics
from shared_keras.task import Task

YOURS = "*"  # marks the user's own runs
MOST = 4  # settings that are named of a run that the table leaves out
WIDE = 112  # columns of a terminal that has room for the whole table


def run(task: Task, *, data_dir: str | None, results_dir: Path, out: Path | None) -> None:
    """Print and write the ladder, the grid, and the per-class tables.

    Args:
        task: The task.
        data_dir: Folder of images to use instead of the embedded ones; only runs on them count.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.
    """
    task = own_data.task_of(task, data_dir)
    digest = datasets.digest(*datasets.load(task, data_dir, say))
    runs = results_dir / task.name / "runs"
    yours = recipe_runs.collect(task, runs, digest)
    winners, won = winner_runs.collect(runs, digest)
    for problem in dict.fromkeys(yours.problems + won.problems):
        say(f"left out: {problem}")
    committed = recipe_runs.collect(task, folders.reference(task) / "runs", digest).found
    own = yours.found | won.found
    found = committed | own
    if task.own and not found:
        _ignored(yours.ignored, runs)
        say(
            f"no recipe has been trained with its own settings on the images of {task.title}; "
            f"`python -m {task.package}.retrain --recipe all --data-dir {data_dir}` trains them all"
        )
        return
    task = replace(task, recipes=dict(task.recipes) | winners)
    table = rows(task, found, own)
    if task.own:
        table = [row for row in table if any(row[f"{key}_n"] for key in FRAMEWORKS)]
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "ladder")
    files.write_csv(folder / "ladder.csv", table)
    title = f"{task.title}: measured" if task.own else f"{task.title}: published and measured"
    files.write_figure(folder / "ladder.png", ladder(table, title))
    _show(task, table)
    _show_verdicts(table)
    trainings = curves.of_recipes(task, found)
    ladder_page.write(folder, table, trainings, title, digest, results_dir)
    if trainings:
        files.write_figure(folder / "curves.png", curves.draw(task, trainings))
        for each in trainings:
            for line in curves.how_far(each):
                say(f"{each.name}, published training and ours: {line}")
    if task.grid:
        cells = [[(name, _history(found, name)) for name in row] for row in task.grid]
        if not task.own or any(history for row in cells for _, history in row):
            files.write_figure(folder / "grid.png", grid(cells, f"{task.title}: the grid of Lab 4"))
    _per_class(task, found, folder)
    if task.own:
        say(f"nothing is published of {task.title}; the recipes were published for other images")
    elif own:
        others = "; the others are the committed ones" if set(committed) - set(own) else ""
        say(f"{YOURS} marks your runs{others}")
    else:
        say("these are the committed runs; what you train yourself takes their place")
    _ignored(yours.ignored, runs)
    wrote(folder)


def _ignored(ignored: Sequence[Ignored], runs: Path) -> None:
    """List the user's runs that the table leaves out, with what differs from their recipe."""
    groups: dict[tuple, list[Path]] = {}
    for folder, differs in ignored:
        group = folder.parent if folder.name.startswith("seed-") else folder
        groups.setdefault((group.relative_to(runs), differs), []).append(folder)
    for (name, differs), each in groups.items():
        scores = [score for path in each if (score := _test_accuracy(path)) is not None]
        of = f", test accuracy {100 * statistics.fmean(scores):.2f} %" if scores else ""
        seeds = f", {len(each)} seeds" if len(each) > 1 else ""
        more = f"; and {len(differs) - MOST} more" if len(differs) > MOST else ""
        say(f"not in the table: {name}{seeds}{of}, with {'; '.join(differs[:MOST])}{more}")


def _test_accuracy(run: Path) -> float | None:
    try:
        return RunMetrics.read(run).test.accuracy
    except BadInput:
        return None  # interrupted or damaged


def _show(task: Task, rows: Sequence[Mapping]) -> None:
    screen = console()
    wide = screen.width >= WIDE
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("recipe")
    table.add_column("score")
    columns = ["published"] * (not task.own) + ["ours", "PyTorch twin"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    before = None
    for row in rows:
        first = row["recipe"] != before
        if first and before is not None:
            table.add_section()
        before = row["recipe"]
        cells = [number(row["score"], row["published"])] * (not task.own)
        for key in FRAMEWORKS:
            mark = f" {YOURS}" if row[f"{key}_yours"] and not task.own else ""
            cell = measured(row, key) + mark
            cells.append(cell if wide else cell.replace(" (", "\n("))
        table.add_row(row["recipe"] if first else "", row["score"], *cells)
    screen.print(table)
    for name, note in {row["recipe"]: row["note"] for row in rows if row["note"]}.items():
        say(f"{name}, published: {note}")


def _show_verdicts(rows: Sequence[Mapping]) -> None:
    """Print whether port and twin are equal, and how many published scores are within the noise."""
    judged = [row for row in rows if row["verdict"]]
    table = Table(title="ours - PyTorch twin", box=box.SIMPLE_HEAD)
    table.add_column("recipe")
    for column in ("score", "n", "points", "95 % interval", "verdict"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in judged:
        seeds = f"{row['ours_n']}, {row['twin_n']}"
        score = row["score"].removesuffix("_accuracy")
        table.add_row(row["recipe"], score, seeds, *difference(row), row["verdict"])
    if judged:
        console().print(table)
        say(
            f"equal: within {100 * verdicts.MARGIN:g} points by two one-sided tests; different: "
            "not equal, and Welch's test rejects 0; verdicts hold for all rows together (Holm)"
        )
    of = counted(rows)
    if n := sum(map(len, of.values())):
        say(
            f"published scores of {words.count(n, 'recipe')}: {len(of[WITHIN])} within the noise "
            f"of seeds and test images, {len(of[EXPLAINED])} explained, {len(of[OPEN])} open"
            + f" ({', '.join(of[OPEN])})"
            * bool(of[OPEN])
        )


def difference(row: Mapping) -> tuple[str, str]:
    """Format the difference of port and twin in points, and its interval."""
    low, high = (100 * row[f"difference_{end}"] for end in ("low", "high"))
    return f"{100 * row['difference']:+.2f}", f"{low:+.2f} to {high:+.2f}"


def number(score: str, value: float | None) -> str:
    """Format a score, accuracies in percent."""
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if score.endswith("accuracy") else f"{value:.4f}"


def measured(row: Mapping, key: str) -> str:
    """Format the result of "ours" or the "twin": mean, standard deviation, number of seeds."""
    if row[key] is None:
        return "-"
    text = number(row["score"], row[key])
    sd = row[f"{key}_sd"]
    if sd is not None:
        text += f" ± {100 * sd:.2f}" if row["score"].endswith("accuracy") else f" ± {sd:.4f}"
    return f"{text} (n = {row[f'{key}_n']})"


def _history(found: Found, name: str) -> History | None:
    runs = found.get((name, "ours"))
    return runs[0].history if runs else None


def _per_class(task: Task, found: Found, folder: Path) -> None:
    """Print and write the published scores of each class beside ours."""
    keys = ("precision", "recall", "f1")
    for name, recipe in task.recipes.items():
        results = found.get((name, "ours"))
        if not recipe.classes or not results:
            continue
        table = Table(title=f"{name}: published / ours (n = {len(results)})", box=box.SIMPLE_HEAD)
        table.add_column("class")
        for key in keys:
            table.add_column(key, justify="right")
        rows = []
        for i, label in enumerate(task.classes):
            published = dict(zip(keys, recipe.classes[label]))
            ours = {key: _mean(run.metrics.test.classes[i][key] for run in results) for key in keys}
            table.add_row(label, *(f"{published[key]:.2f} / {ours[key]:.2f}" for key in keys))
            rows.append(
                {"class": label}
                | {f"published_{key}": published[key] for key in keys}
                | {f"ours_{key}": ours[key] for key in keys}
            )
        console().print(table)
        files.write_csv(folder / f"classes-{name}.csv", rows)


def _mean(values: Iterable[float]) -> float:
    """Return the mean of the measured values, or NaN if there are none."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else float("nan")
