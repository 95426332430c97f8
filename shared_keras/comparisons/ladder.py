"""The ladder: every recipe with its published scores, ours, and the PyTorch twin's.

A run counts if it trained a recipe exactly as published, on these images. Where you have no
runs of your own, the committed ones are shown. Of your own images, nothing is published.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.table import Table

from shared_keras import files
from shared_keras.data import datasets, own_data
from shared_keras.errors import BadInput
from shared_keras.reporting.comparison_plots import grid, ladder
from shared_keras.reporting.console import console, say, wrote
from shared_keras.results import folders
from shared_keras.systems.recipe import Recipe
from shared_keras.task import Task

SCORES = ("loss", "val_loss", "val_accuracy", "test_accuracy")
FRAMEWORKS = {"ours": "keras", "twin": "pytorch"}
YOURS = "*"  # marks the user's own runs
WIDE = 116  # columns of a terminal that has room for the whole table


def run(task: Task, *, data_dir: str | None, results_dir: Path, out: Path | None) -> None:
    """Print and write the ladder, the grid, and the per-class tables.

    Args:
        task: The task.
        data_dir: Folder of images to use instead of the embedded ones; only runs on them count.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.
    """
    task = own_data.task_of(task, data_dir)
    digest = datasets.digest(*datasets.load(task, data_dir))
    yours = collect(task, results_dir / task.name / "runs", digest)
    for problem in yours.problems:
        say(f"left out: {problem}")
    committed = collect(task, folders.reference(task) / "runs", digest).found
    from_committed = [key for key in committed if key not in yours.found]
    found = committed | yours.found
    if task.own and not found:
        say(
            f"no recipe has been trained on the images of {task.title}; `python -m "
            f"{task.package}.retrain --recipe all --data-dir {data_dir}` trains them all"
        )
        return
    table = rows(task, found, yours.found)
    if task.own:
        table = [row for row in table if any(row[f"{key}_n"] for key in FRAMEWORKS)]
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "ladder")
    files.write_csv(folder / "ladder.csv", table)
    title = f"{task.title}: measured" if task.own else f"{task.title}: published and measured"
    files.write_figure(folder / "ladder.png", ladder(table, title))
    _show(task, table)
    if task.grid:
        cells = [[(name, _history(found, name)) for name in row] for row in task.grid]
        files.write_figure(folder / "grid.png", grid(cells, f"{task.title}: the grid of Lab 4"))
    _per_class(task, found, folder)
    if task.own:
        say("nothing is published of these images; the recipes were published for others")
    elif from_committed:
        mark = f"; {YOURS} marks yours" if yours.found else ""
        say(
            f"{len(from_committed)} of {len(found)} entries are committed runs, because "
            f"you have not trained them{mark}"
        )
    if yours.ignored:
        say(f"{yours.ignored} runs of recipes ignored: their settings or images are not these")
    wrote(folder)


class Collected(NamedTuple):
    """What a folder of runs holds.

    Attributes:
        found: For each (recipe, "ours" or "twin"), the contents of metrics.json for each
            seed, with the `loss` of the kept epoch and the `folder`.
        ignored: How many runs of recipes have other settings or images.
        problems: What is wrong with those that were interrupted or damaged.
    """

    found: dict[tuple[str, str], list[dict]]
    ignored: int
    problems: list[str]


def collect(task, folder: Path, digest: str) -> Collected:
    """Read the runs that trained a recipe as published.

    Args:
        task: The task.
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.
    """
    found, ignored, problems, systems = {}, 0, [], {}
    for path in sorted(folder.rglob("settings.json"), key=_written):
        try:
            settings = files.read_object(path)
            name = str(settings.get("recipe"))
            if name not in task.recipes:
                continue
            if name not in systems:
                systems[name] = task.system(task.recipes[name].system).to_json()
            if not _as_published(settings, task.recipes[name], systems[name], digest):
                ignored += 1
                continue
            key = next(k for k, value in FRAMEWORKS.items() if value == settings["framework"])
            result = _result(path.parent)
        except BadInput as error:
            problems.append(str(error))
            continue
        found.setdefault((name, key), {})[settings.get("seed")] = result
    by_key = {key: list(by_seed.values()) for key, by_seed in found.items()}
    return Collected(by_key, ignored, problems)


def _written(path: Path) -> float:
    """Return when a run ended, so that a later one replaces an earlier one of the same seed."""
    metrics = path.with_name("metrics.json")
    return (metrics if metrics.exists() else path).stat().st_mtime


def _result(run: Path) -> dict:
    """Return what a run reached.

    Raises:
        BadInput: if it was interrupted or damaged.
    """
    path = run / "metrics.json"
    if not path.exists():
        raise BadInput(f"{run}: interrupted before it had a result")
    metrics = files.read_object(path)
    try:
        losses = files.read_history(run / "history.csv")["loss"]
        for score in SCORES[1:]:
            float(_score(metrics, score))
        float(metrics["seconds_per_epoch"])
        return metrics | {"loss": losses[metrics["best_epoch"] - 1], "folder": run}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {error})") from None


def _as_published(settings: Mapping, recipe: Recipe, system: Mapping, digest: str) -> bool:
    expected = {
        "system": system,
        "epochs": recipe.epochs,
        "patience": recipe.patience,
        "batch_size": recipe.batch_size,
        "split": recipe.split,
        "precision": "float32",
        "data": digest,
    }
    if settings.get("framework") not in FRAMEWORKS.values():
        return False
    return all(settings.get(key) == value for key, value in expected.items())


def rows(
    task: Task,
    found: Mapping[tuple[str, str], Sequence[Mapping]],
    yours: Collection[tuple[str, str]] = (),
) -> list[dict]:
    """Return a row for each score of each recipe: published, ours, the twin's.

    Args:
        task: The task.
        found: The runs that `collect` found.
        yours: The keys of those that are the user's own.
    """
    table = []
    for name, recipe in task.recipes.items():
        measured = {key: found.get((name, key), []) for key in FRAMEWORKS}
        whose = {f"{key}_yours": (name, key) in yours for key in FRAMEWORKS}
        table += [row | whose for row in _rows(name, recipe, measured)]
    return table


def _rows(name: str, recipe: Recipe, measured: Mapping[str, Sequence[Mapping]]) -> list[dict]:
    """Return a row for each score that was published or is always shown."""
    rows = []
    for score in SCORES:
        always = score == "test_accuracy" or (score == "val_accuracy" and recipe.split != "test")
        if score not in recipe.published and not always:
            continue
        row = {
            "recipe": name,
            "score": score,
            "split": recipe.split,
            "published": recipe.published.get(score),
        }
        for key, results in measured.items():
            values = [_score(result, score) for result in results]
            seconds = [result["seconds_per_epoch"] for result in results]
            row |= {
                key: statistics.fmean(values) if values else None,
                f"{key}_sd": statistics.stdev(values) if len(values) > 1 else None,
                f"{key}_n": len(values),
                f"{key}_seconds_per_epoch": statistics.median(seconds) if seconds else None,
            }
        rows.append(row | {"note": recipe.note, "source": recipe.source})
    return rows


def _score(result: Mapping, score: str) -> float:
    if score == "loss":
        return result["loss"]
    part, _, what = score.partition("_")
    return result[{"val": "validation", "test": "test"}[part]][what]


def _show(task: Task, rows: Sequence[Mapping]) -> None:
    screen = console()
    wide = screen.width >= WIDE
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("recipe")
    table.add_column("score")
    columns = ["published"] * (not task.own) + ["ours", "PyTorch twin"]
    for column in columns + ["s/epoch", "twin s/epoch"] * wide:
        table.add_column(column, justify="right", no_wrap=True)
    before = None
    for row in rows:
        first = row["recipe"] != before
        if first and before is not None:
            table.add_section()
        before = row["recipe"]
        seconds = [row[f"{key}_seconds_per_epoch"] for key in FRAMEWORKS]
        cells = [number(row["score"], row["published"])] * (not task.own)
        for key in FRAMEWORKS:
            mark = f" {YOURS}" if row[f"{key}_yours"] and not task.own else ""
            cell = measured(row, key) + mark
            cells.append(cell if wide else cell.replace(" (", "\n("))
        if wide:
            cells += ["" if s is None or not first else f"{s:.2f}" for s in seconds]
        table.add_row(row["recipe"] if first else "", row["score"], *cells)
    screen.print(table)
    for name, note in {row["recipe"]: row["note"] for row in rows if row["note"]}.items():
        say(f"{name}, published: {note}")


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


def _history(found, name: str):
    results = found.get((name, "ours"))
    return files.read_history(results[0]["folder"] / "history.csv") if results else None


def _per_class(task, found, folder: Path) -> None:
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
            ours = {
                key: _mean(result["test"]["classes"][i][key] for result in results) for key in keys
            }
            table.add_row(label, *(f"{published[key]:.2f} / {ours[key]:.2f}" for key in keys))
            rows.append(
                {"class": label}
                | {f"published_{key}": published[key] for key in keys}
                | {f"ours_{key}": ours[key] for key in keys}
            )
        console().print(table)
        files.write_csv(folder / f"classes-{name}.csv", rows)


def _mean(values) -> float:
    """Return the mean of the measured values, or NaN if there are none."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else float("nan")
