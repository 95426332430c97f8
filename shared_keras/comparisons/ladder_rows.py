"""The rows of the ladder: what was published, ours and the twin's, and a verdict on each."""

import statistics
from collections.abc import Collection, Mapping, Sequence

from shared_keras.comparisons import verdicts
from shared_keras.comparisons.recipe_runs import FRAMEWORKS, Found
from shared_keras.results.run_folders import SCORES, Run
from shared_keras.systems.recipe import Recipe
from shared_keras.task import Task

WITHIN, EXPLAINED, OPEN = "within the noise", "explained", "open"  # of a published score


def rows(
    task: Task,
    found: Found,
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
        table += [(row | whose, measured) for row in _rows(name, recipe, measured)]
    _judge_twins(task, table)
    _judge_published(task, table)
    return [row for row, _ in table]


def _judge_twins(task: Task, table: Sequence[tuple[dict, Mapping]]) -> None:
    """Add to the main row of each recipe whether port and twin are equal."""
    judged, differences = [], []
    for row, results in table:
        row |= dict.fromkeys(("difference", "difference_low", "difference_high", "verdict"))
        both = [[each.score(row["score"]) for each in results[key]] for key in FRAMEWORKS]
        if row["main"] and not task.recipes[row["recipe"]].fails and min(map(len, both)) > 1:
            judged.append(row)
            differences.append(verdicts.difference(*both))
    for row, each, verdict in zip(judged, differences, verdicts.decide(differences)):
        row |= {"difference": each.difference, "verdict": verdict}
        row |= {"difference_low": each.low, "difference_high": each.high}


def _judge_published(task: Task, table: Sequence[tuple[dict, Mapping]]) -> None:
    """Add to each row whether the published score is within the noise of ours."""
    judged, p_values = [], []
    for row, results in table:
        row["beside_published"] = None
        ours, score = results["ours"], row["score"]
        if row["published"] is None or len(ours) < 2:
            continue
        part = "validation" if score == "val_accuracy" else "test"
        images = getattr(ours[0].metrics, part).n if score.endswith("accuracy") else None
        values = [each.score(score) for each in ours]
        judged.append(row)
        p_values.append(verdicts.published(row["published"], values, images))
    for row, p in zip(judged, verdicts.holm(p_values)):
        why = row["score"] in task.recipes[row["recipe"]].explained
        beyond = EXPLAINED if why else OPEN
        row["beside_published"] = WITHIN if p >= 1 - verdicts.LEVEL else beyond


def counted(rows: Sequence[Mapping]) -> dict[str, list[str]]:
    """Return the recipes with published scores that are within the noise, explained, and open.

    A recipe is within the noise if all its published scores are, and open if one of them is.
    """
    of: dict[str, set[str]] = {}
    for row in rows:
        if row["beside_published"]:
            of.setdefault(row["recipe"], set()).add(row["beside_published"])
    worst = {
        name: next(k for k in (OPEN, EXPLAINED, WITHIN) if k in each) for name, each in of.items()
    }
    return {key: [n for n, k in worst.items() if k == key] for key in (WITHIN, EXPLAINED, OPEN)}


def _rows(name: str, recipe: Recipe, measured: Mapping[str, Sequence[Run]]) -> list[dict]:
    """Return a row for each score that was published or is always shown."""
    rows = []
    for score in SCORES:
        always = score == "test_accuracy" or (score == "val_accuracy" and recipe.split != "test")
        if score not in recipe.published and not always:
            continue
        row = {
            "recipe": name,
            "score": score,
            "main": score == recipe.main_score,
            "split": recipe.split,
            "published": recipe.published.get(score),
        }
        for key, results in measured.items():
            values = [run.score(score) for run in results]
            seconds = [run.metrics.seconds_per_epoch for run in results]
            row |= {
                key: statistics.fmean(values) if values else None,
                f"{key}_sd": statistics.stdev(values) if len(values) > 1 else None,
                f"{key}_n": len(values),
                f"{key}_seconds_per_epoch": statistics.median(seconds) if seconds else None,
            }
        rows.append(row | {"note": recipe.note, "source": recipe.source})
    return rows
