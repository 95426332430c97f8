"""The tables of results, from committed runs."""

import functools
from pathlib import Path

from fashion_keras.task import TASK as FASHION
from mnist_keras.task import TASK as MNIST
from shared_keras import files
from shared_keras.comparisons import curves, ladder, ladder_rows, recipe_runs, verdicts
from shared_keras.data import datasets
from shared_keras.results import folders
from shared_keras.results.metrics import RunMetrics
from shared_keras.task import Task
from tools import speed_tables
from tools.markdown import percent, table

TASKS = {task.name: task for task in (FASHION, MNIST)}
PROTOCOLS = ("holdout", "published")
SAMPLE = Path(__file__).with_name("sample.txt")  # of `mnist_keras.search --quick`
KERAS = {"fashion": ("accuracy", "regularized"), "mnist": ("dense", "regularized")}  # originals


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
            validation = [run.validation.accuracy for run in runs]
            more = "" if protocol == "holdout" else f" --split {protocol}"
            command = f"python -m {task.package}.retrain --best --search reference --runs"
            rows.append(
                [
                    task.title,
                    protocol,
                    percent(validation),
                    percent([run.test.accuracy for run in runs]),
                    _published(task),
                    f"`{command} {len(runs)}{more}`",
                ]
            )
    return table(("dataset", "split", "validation", "test", "published test", "command"), rows)


@functools.cache
def _found(name: str) -> recipe_runs.Found:
    """Return the committed runs of a task's recipes."""
    task = TASKS[name]
    digest = datasets.digest(*datasets.load(task))
    return recipe_runs.collect(task, folders.reference(task) / "runs", digest).found


def _rows(task: Task) -> list[dict]:
    return ladder_rows.rows(task, _found(task.name))


def published_counts() -> str:
    """Return how many recipes' published scores are within the noise, explained, and open."""
    lines = []
    for task in TASKS.values():
        counted = ladder_rows.counted(_rows(task))
        cells = [_named(counted[key], key == ladder_rows.WITHIN) for key in counted]
        lines.append([task.title, str(sum(map(len, counted.values()))), *cells])
    header = ("dataset", "recipes with published scores", *counted)
    return table(header, lines)


def twin_counts() -> str:
    """Return for how many recipes port and twin are equal, different, undecided."""
    kinds = (verdicts.EQUAL, verdicts.DIFFERENT, verdicts.UNDECIDED)
    lines = []
    for task in TASKS.values():
        main = [row for row in _rows(task) if row["main"]]
        cells = [
            _named([row["recipe"] for row in main if row["verdict"] == kind], kind == kinds[0])
            for kind in kinds
        ]
        none = [row["recipe"] for row in main if not row["verdict"]]
        lines.append([task.title, *cells, _named(none)])
    return table(("dataset", *kinds, "no verdict"), lines)


def _named(names: list[str], only_count: bool = False) -> str:
    """Return a number of recipes, and which."""
    which = "" if only_count or not names else f": {', '.join(f'`{name}`' for name in names)}"
    return f"{len(names)}{which}"


def whole_trainings() -> str:
    """Return how far the published trainings are from ours."""
    lines = [
        [task.title, f"`{each.name}`", str(len(each.ours)), *_apart(each)]
        for task in TASKS.values()
        for each in curves.of_recipes(task, _found(task.name))
    ]
    return table(("dataset", "recipe", "n", "validation accuracy", "validation loss"), lines)


def _apart(training) -> list[str]:
    if not training.ours:
        return ["-"] * len(curves.COMPARED)
    return [
        how.removeprefix(f"{metric} ")
        for metric, how in zip(curves.COMPARED, curves.how_far(training))
    ]


def ladder_table(name: str) -> str:
    """Return every recipe of a task: published, ours, the twin's, and both verdicts."""
    by_recipe: dict[str, list[dict]] = {}
    for row in _rows(TASKS[name]):
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
        judged = [_beside_published(rows), _beside_twin(rows)]
        lines.append([f"`{recipe}`", *(cell or "-" for cell in cells), *judged])
    header = ("recipe", "published", "Keras, ours", "PyTorch twin", "published is", "ours - twin")
    return table(header, lines)


def _beside_published(rows: list[dict]) -> str:
    """Return whether the published scores of a recipe are within the noise; if not, which."""
    states = {row["score"]: row["beside_published"] for row in rows if row["beside_published"]}
    if set(states.values()) <= {ladder_rows.WITHIN}:
        return next(iter(states.values()), "-")
    beyond = {score: state for score, state in states.items() if state != ladder_rows.WITHIN}
    return "<br>".join(f"{score} {state}" for score, state in beyond.items())


def _beside_twin(rows: list[dict]) -> str:
    row = next(row for row in rows if row["main"])
    if not row["verdict"]:
        return "-"
    apart, interval = ladder.difference(row)
    part = " (validation)" if row["score"] == "val_accuracy" else ""
    return f"{apart} ({interval})<br>{row['verdict']}{part}"


def write_pictures(folder: Path) -> list[Path]:
    """Draw the ladder of each task, and its published trainings with ours."""
    from shared_keras.reporting.pictures import comparison_plots

    written = []
    for task in TASKS.values():
        title = f"{task.title}: published and measured"
        trainings = curves.of_recipes(task, _found(task.name))
        for name, figure in {
            "ladder": comparison_plots.ladder(_rows(task), title),
            "curves": curves.draw(task, trainings) if trainings else None,
        }.items():
            if figure is not None:
                written.append(folder / f"{name}-{task.name}.png")
                files.write_figure(written[-1], figure)
    return written


def _runs(task: Task, protocol: str) -> list[RunMetrics]:
    """Return what each seed of the retrained winner reached."""
    folder = folders.reference(task) / "runs" / f"winner-{protocol}"
    paths = sorted(folder.glob("seed-*"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no runs")
    return [RunMetrics.read(path) for path in paths]


def _tests(task: Task, protocol: str) -> list[float]:
    return [run.test.accuracy for run in _runs(task, protocol)]


def _published(task: Task) -> str:
    """Return the test accuracy that the task's Keras original published."""
    scores = sorted(task.recipes[name].published["test_accuracy"] for name in KERAS[task.name])
    return " to ".join(f"{100 * score:.2f}" for score in scores)
