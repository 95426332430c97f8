"""The page of the ladder: published beside ours beside PyTorch's, with intervals and verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared_keras.comparisons import verdicts
from shared_keras.comparisons.recipe_runs import FRAMEWORKS
from shared_keras.reporting.pages import page
from shared_keras.reporting.pages.facts import here
from shared_keras.reporting.pictures.curve_plots import Beside, stack

KIND = "ladder"
SHOWN: tuple[str, ...] = (
    "recipe",
    "score",
    "main",
    "split",
    "published",
    "verdict",
    "beside_published",
)
SHOWN += ("difference", "difference_low", "difference_high", "note", "source")


def write(
    folder: Path,
    rows: Sequence[Mapping],
    trainings: Sequence[Beside],
    title: str,
    data: str,
    home: Path,
) -> None:
    """Write the page, and what it shows.

    Args:
        folder: Folder of the comparison.
        rows: What `ladder_rows.rows` returned.
        trainings: The whole trainings that were published, with ours.
        title: What is compared.
        data: A digest of the images.
        home: Folder of results, or `folder` if it lies elsewhere.
    """
    inside = home.absolute() in folder.absolute().parents
    page.write(folder, KIND, title, home if inside else folder)
    values = {
        "title": title,
        "facts": here([("data", f"digest {data[:12]}")]),
        "margin": verdicts.MARGIN,
        "rows": [_row(row) for row in rows],
        "trainings": [_training(each) for each in trainings],
    }
    page.write_data(folder, page.script(values))


def _row(row: Mapping) -> dict[str, Any]:
    """Return what the page shows of a row, with an interval for each mean of several seeds."""
    shown: dict[str, Any] = {name: row[name] for name in SHOWN}
    for key in FRAMEWORKS:
        mean, sd, n = row[key], row[f"{key}_sd"], row[f"{key}_n"]
        ends = (None, None) if sd is None else verdicts.interval(mean, sd, n)
        shown[key] = {"mean": mean, "sd": sd, "n": n, "low": ends[0], "high": ends[1]}
        shown[key]["yours"] = row[f"{key}_yours"]
    return shown


def _training(each: Beside) -> dict[str, Any]:
    """Return validation accuracy by epoch: what was published, and the mean of ours and theirs."""
    lines = [{"name": "published", "mean": list(each.published["val_accuracy"]), "sd": []}]
    for name, histories in (("ours", each.ours), ("twin", each.twin)):
        if histories:
            mean, sd, _ = stack([one["val_accuracy"] for one in histories])
            lines.append({"name": name, "mean": mean.tolist(), "sd": sd.tolist()})
    return {"name": each.name, "lines": lines}
