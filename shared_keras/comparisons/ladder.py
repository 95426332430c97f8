"""The ladder: every recipe with its published scores, ours, and the PyTorch twin's.

A run counts if it trained a recipe exactly as published, on these images. Where you have no
runs of your own, the committed ones are shown.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from shared_keras import files
from shared_keras.data import datasets
from shared_keras.reporting.comparison_plots import grid, ladder
from shared_keras.reporting.console import console, say, wrote
from shared_keras.results import folders
from shared_keras.systems.recipe import Recipe
from shared_keras.task import Task

SCORES = ("loss", "val_loss", "val_accuracy", "test_accuracy")
FRAMEWORKS = {"ours": "keras", "twin": "pytorch"}


def run(task: Task, *, data_dir: str | None, results_dir: Path, out: Path | None) -> None:
    """Print and write the ladder, the grid, and the per-class tables.

    Args:
        task: The task.
        data_dir: Folder of images to use instead of the embedded ones; only runs on them count.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.
    """
    digest = datasets.digest(*datasets.load(task, data_dir))
    found, set_aside = collect(task, results_dir / task.name / "runs", digest)
    committed, _ = collect(task, folders.reference(task) / "runs", digest)
    from_committed = [key for key in committed if key not in found]
    found = committed | found
    table = rows(task, found)
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "ladder")
    files.write_csv(folder / "ladder.csv", table)
    files.write_figure(
        folder / "ladder.png", ladder(table, f"{task.title}: published and measured")
    )
    _show(table)
    if task.grid:
        cells = [[(name, _history(found, name)) for name in row] for row in task.grid]
        files.write_figure(folder / "grid.png", grid(cells, f"{task.title}: the grid of Lab 4"))
    _per_class(task, found, folder)
    if from_committed:
        say(
            f"{len(from_committed)} of {len(found)} entries are committed runs, because "
            "you have not trained them"
        )
    if set_aside:
        say(f"{set_aside} runs of recipes ignored: their settings or images are not as published")
    wrote(folder)


def collect(task, folder: Path, digest: str) -> tuple[dict[tuple[str, str], list[dict]], int]:
    """Read the runs that trained a recipe as published.

    Args:
        task: The task.
        folder: Folder of runs, at any depth.
        digest: Digest of the images that the runs must have used.

    Returns:
        For each (recipe, "ours" or "twin"), the contents of metrics.json for each seed, with
        the `loss` of the kept epoch and the `folder`; and the number of ignored runs.
    """
    found, set_aside, systems = {}, 0, {}
    paths = sorted(folder.rglob("metrics.json"), key=lambda path: path.stat().st_mtime)
    for path in paths:
        settings = files.read_object(path.with_name("settings.json"))
        name = settings.get("recipe")
        if name not in task.recipes:
            continue
        if name not in systems:
            systems[name] = task.system(task.recipes[name].system).to_json()
        if not _as_published(settings, task.recipes[name], systems[name], digest):
            set_aside += 1
            continue
        key = next(key for key, value in FRAMEWORKS.items() if value == settings["framework"])
        metrics = files.read_object(path, "best_epoch")
        kept = files.read_history(path.with_name("history.csv"))["loss"][metrics["best_epoch"] - 1]
        by_seed = found.setdefault((name, key), {})
        by_seed[settings["seed"]] = metrics | {"loss": kept, "folder": path.parent}
    return {key: list(by_seed.values()) for key, by_seed in found.items()}, set_aside


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
    return all(settings.get(key) == value for key, value in expected.items())


def rows(task: Task, found: Mapping[tuple[str, str], Sequence[Mapping]]) -> list[dict]:
    """Return a row for each score of each recipe: published, ours, the twin's.

    Args:
        task: The task.
        found: The runs that `collect` returned.
    """
    return [
        row
        for name, recipe in task.recipes.items()
        for row in _rows(name, recipe, {key: found.get((name, key), []) for key in FRAMEWORKS})
    ]


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


def _show(rows) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("recipe")
    table.add_column("score")
    for column in ("published", "ours", "PyTorch twin", "s/epoch", "twin s/epoch"):
        table.add_column(column, justify="right")
    before = None
    for row in rows:
        first = row["recipe"] != before
        if first and before is not None:
            table.add_section()
        before = row["recipe"]
        seconds = [row[f"{key}_seconds_per_epoch"] for key in FRAMEWORKS]
        table.add_row(
            row["recipe"] if first else "",
            row["score"],
            number(row["score"], row["published"]),
            *(measured(row, key) for key in FRAMEWORKS),
            *("" if s is None or not first else f"{s:.2f}" for s in seconds),
        )
    console().print(table)
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
