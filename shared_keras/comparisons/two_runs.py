"""Two runs on the same test images: which is better, and is that more than chance?

Of two runs with several seeds each, the seeds are compared, too; see `seeds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from shared_keras import files
from shared_keras.comparisons import seeds
from shared_keras.data import datasets, own_data, splits
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say, wrote
from shared_keras.reporting.pictures.comparison_plots import curves, disagreements
from shared_keras.results import folders, history_csv, names, pixel_scale, saved_models
from shared_keras.results.metrics import Scores
from shared_keras.results.scores import predict_probabilities, score
from shared_keras.results.settings import RunSettings, penalised
from shared_keras.task import Task


class Run(NamedTuple):
    """A model to compare.

    `predicted` is its class for each test image, int (n,), and `note` what is to be said of it.
    """

    name: str
    settings: RunSettings | None
    path: Path
    predicted: np.ndarray
    scores: Scores
    note: str


def run(
    task: Task,
    runs: Sequence[str],
    *,
    data_dir: str | None,
    results_dir: Path,
    out: Path | None,
) -> None:
    """Compare two runs; print and write the result, and draw images they disagree on.

    Args:
        task: The task.
        runs: Two run names or paths of `.keras` files.
        data_dir: Folder of images to compare them on, instead of the embedded ones.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.
    """
    task = own_data.task_of(task, data_dir)
    both_groups = seeds.groups(task, runs, results_dir)
    bare = [name for name in runs if saved_models.is_bare(task, results_dir, name)]
    if bare:
        if not both_groups:
            raise BadInput(
                f"argument RUN: the run '{bare[0]}' has no model, so that only its seeds could be "
                "compared; expected two runs with models, or with at least two seeds each that "
                "ended"
            )
        folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "pair")
        seeds.compare(task, both_groups, folder)
        say("their folders hold no models, so that no two of them are compared image by image")
        wrote(folder)
        return
    paths = [saved_models.find(task, results_dir, name) for name in runs]
    images = datasets.load(task, data_dir, say)
    test = images[1]
    settings = [saved_models.settings(path) for path in paths]
    protocols = [saved_models.split(path) for path in paths]
    common = common_test_images(task, test, protocols)
    x, y = test.x[common], test.y[common]
    both = []
    for name, path, its in zip(_names(paths), paths, settings):
        suited = pixel_scale.suit(saved_models.load(task, path), task, path, images[0])
        probabilities = predict_probabilities(suited.model, x)
        scores = score(probabilities, y, task.classes)
        both.append(Run(name, its, path, probabilities.argmax(1), scores, suited.line))
    a, b = both
    result = mcnemar(a.predicted == y, b.predicted == y)
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "pair")
    digest = datasets.digest(*images)
    files.write_json(
        folder / "comparison.json",
        {
            "models": [str(path) for path in paths],
            "test_images": len(common),
            "scores": {one.name: asdict(one.scores) for one in both},
        }
        | result,
    )
    titles = saved_models.titles(paths)
    differ = np.flatnonzero(a.predicted != b.predicted)
    files.write_csv(
        folder / "disagreements.csv",
        [
            {
                "test_image": int(common[i]),
                "true": task.classes[y[i]],
                a.name: task.classes[a.predicted[i]],
                b.name: task.classes[b.predicted[i]],
            }
            for i in differ
        ],
    )
    if len(differ):
        answers = {title: one.predicted for title, one in zip(titles, both)}
        name = f"{task.title}: where two runs disagree, {len(differ):,} of {len(y):,} test images"
        figure = disagreements(x, y, answers, task.classes, name)
        files.write_figure(folder / "disagreements.png", figure)
    histories = [one.path.with_name(names.HISTORY) for one in both]
    if all(path.exists() for path in histories):
        loaded = {title: history_csv.read(path) for title, path in zip(titles, histories)}
        with_penalty = [
            title
            for title, one in zip(titles, both)
            if one.settings and penalised(one.settings.framework, one.settings.system)
        ]
        name = f"{task.title}: {' and '.join(titles)}"
        files.write_figure(folder / "curves.png", curves(loaded, name, with_penalty))

    if both_groups:
        say("Is one way of training better? All seeds of both:")
        seeds.compare(task, both_groups, folder)
        say("Is one of two models better? The first seed of each, image by image:")
    say(f"{len(common):,} test images that neither run was trained on")
    for one, protocol in zip(both, protocols):
        if protocol == "test":
            say(f"note: {one.name} was validated on the TEST images, including these")
    for one in both:
        run_report.other_images(f"{one.name} was trained on", one.settings, task.title, digest)
        if one.note:
            say(one.note)
        accuracy = run_report.accuracy(one.scores)
        say(f"{one.name}: accuracy {accuracy}, loss {one.scores.loss:.4f}")
    say(
        f"both right {result['both_right']:,}, only {a.name} {result['only_first']:,}, only "
        f"{b.name} {result['only_second']:,}, both wrong {result['both_wrong']:,}"
    )
    say(f"exact McNemar test: p = {result['p_value']:.3g}{_verdict(result, a, b)}")
    wrote(folder)


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict:
    """Test whether two models are wrong equally often on the same images.

    Args:
        first: Whether the first model is right on each image, bool (n,).
        second: The same for the second model.

    Returns:
        Counts, and the `p_value` of the exact two-sided McNemar test: with equal error
        rates, each image that only one model gets right is a fair coin toss.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n = only_first + only_second
    return {
        "both_right": int((first & second).sum()),
        "only_first": only_first,
        "only_second": only_second,
        "both_wrong": int((~first & ~second).sum()),
        "p_value": float(stats.binomtest(only_first, n).pvalue) if n else 1.0,
    }


def common_test_images(task: Task, test: Images, protocols: Sequence[str]) -> np.ndarray:
    """Return the indices of the test images that both protocols test on, int (n,)."""
    first, second = (splits.tested(task, test, protocol) for protocol in protocols)
    common = np.intersect1d(first, second)
    if len(common) == 0:
        raise BadInput("argument RUN: the two runs have no test image in common")
    return common


def _names(paths: Sequence[Path]) -> list[str]:
    named = [saved_models.describe(path) for path in paths]
    if named[0] == named[1]:
        return [f"{name} ({place})" for name, place in zip(named, ("first", "second"))]
    return named


def _verdict(result: Mapping[str, Any], a: Run, b: Run) -> str:
    if result["p_value"] >= 0.05:
        return "; the difference may well be chance"
    better = a if result["only_first"] > result["only_second"] else b
    return f"; {better.name} is better on these images"
