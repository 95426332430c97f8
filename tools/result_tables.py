"""The tables of results, from committed runs."""

from pathlib import Path

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras import files
from shared_keras.comparisons import ladder, ladder_rows, recipe_runs
from shared_keras.data import datasets
from shared_keras.results import folders
from shared_keras.task import Task
from tools import speed_tables
from tools.markdown import percent, table

TASKS = {task.name: task for task in (FASHION, MNIST)}
PROTOCOLS = ("holdout", "published")
SAMPLE = Path(__file__).with_name("sample.txt")  # of `mnist_keras.search --quick`
KERAS = {"fashion": ("accuracy",), "mnist": ("dense", "regularized")}  # what the originals reached


def summary() -> str:
    """Return README's table: a row for each dataset."""
    rows = []
    for task in TASKS.values():
        case = speed_tables.search_of(task)
        ours, *stock = case["contenders"].values()
        faster = " and ".join(
            f"{each['ratio']:.1f} ({backend})"
            for each, backend in zip(stock, speed_tables.backends(case)[1:])
        )
        rows.append(
            [
                task.title,
                _published(task),
                percent(_tests(task, "published")),
                percent(_tests(task, "holdout")),
                f"{ours['seconds']:.0f} s: {ours['trials']} trials, {ours['epochs']} epochs",
                faster,
            ]
        )
    header = (
        "dataset",
        "published test accuracy",
        "ours, their split",
        "ours, holdout",
        "one Hyperband iteration takes",
        "times as fast as stock KerasTuner",
    )
    return table(header, rows)


def sample() -> str:
    """Return what a quick search printed: its trials, its winner, a file; cut at the right."""
    printed = SAMPLE.read_text().splitlines()
    trials = printed[: printed.index("")]
    end = [next(line for line in printed if line.startswith("Winner")), printed[-1]]
    return "\n".join(["```", *(line[:98].rstrip() for line in [*trials, *end]), "```"])


def winners() -> str:
    """Return the scores of the committed searches' winners."""
    rows = []
    for task in TASKS.values():
        for protocol in PROTOCOLS:
            runs = _runs(task, protocol)
            validation = [run["validation"]["accuracy"] for run in runs]
            more = "" if protocol == "holdout" else f" --split {protocol}"
            command = f"python -m {task.package}.retrain --best --search reference --runs"
            rows.append(
                [
                    task.title,
                    protocol,
                    percent(validation),
                    percent([run["test"]["accuracy"] for run in runs]),
                    _published(task),
                    f"`{command} {len(runs)}{more}`",
                ]
            )
    return table(("dataset", "split", "validation", "test", "published test", "command"), rows)


def ladder_table(name: str) -> str:
    """Return every recipe of a task: published, ours, the twin's."""
    task = TASKS[name]
    runs = folders.reference(task) / "runs"
    found = recipe_runs.collect(task, runs, datasets.digest(*datasets.load(task))).found
    by_recipe: dict[str, list[dict]] = {}
    for row in ladder_rows.rows(task, found):
        by_recipe.setdefault(row["recipe"], []).append(row)
    lines = []
    for recipe, rows in by_recipe.items():
        cells = [
            "<br>".join(f"{row['score']} {text}" for row in rows if (text := show(row)) != "-")
            for show in (
                lambda row: ladder.number(row["score"], row["published"]),
                lambda row: ladder.measured(row, "ours"),
                lambda row: ladder.measured(row, "twin"),
            )
        ]
        seconds = [rows[0][f"{key}_seconds_per_epoch"] for key in ("ours", "twin")]
        times = " / ".join("-" if s is None else f"{s:.2f}" for s in seconds)
        lines.append([f"`{recipe}`", *(cell or "-" for cell in cells), times])
    header = ("recipe", "published", "Keras, ours", "PyTorch twin", "s/epoch, ours / twin")
    return table(header, lines)


def write_pictures(folder: Path) -> list[Path]:
    """Draw the ladder of each task."""
    from shared_keras.reporting.pictures import comparison_plots

    written = []
    for task in TASKS.values():
        runs = folders.reference(task) / "runs"
        found = recipe_runs.collect(task, runs, datasets.digest(*datasets.load(task))).found
        rows = ladder_rows.rows(task, found)
        written.append(folder / f"ladder-{task.name}.png")
        title = f"{task.title}: published and measured"
        files.write_figure(written[-1], comparison_plots.ladder(rows, title))
    return written


def _runs(task: Task, protocol: str) -> list[dict]:
    """Return the contents of metrics.json for each seed of the retrained winner."""
    folder = folders.reference(task) / "runs" / f"winner-{protocol}"
    paths = sorted(folder.glob("seed-*/metrics.json"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no runs")
    return [files.read_json(path) for path in paths]


def _tests(task: Task, protocol: str) -> list[float]:
    return [run["test"]["accuracy"] for run in _runs(task, protocol)]


def _published(task: Task) -> str:
    """Return the test accuracy that the task's Keras original published."""
    scores = sorted(task.recipes[name].published["test_accuracy"] for name in KERAS[task.name])
    return " to ".join(f"{100 * score:.2f}" for score in scores)
