"""What commands print about trainings."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared_keras import words
from shared_keras.data.splits import Split
from shared_keras.reporting.console import say, wrote
from shared_keras.reporting.progress import duration
from shared_keras.results import environment
from shared_keras.results.metrics import RunMetrics, Scores
from shared_keras.results.settings import RunSettings, SearchSettings
from shared_keras.results.winner import Confirmed


@dataclass(frozen=True)
class SearchScore:
    """What a trial reached in its search: its score after that many epochs, if known.

    Attributes:
        confirmed: What it reached with other seeds, if the search was confirmed.
        seconds: What an epoch took there, if that is known.
    """

    trial: str
    objective: str
    score: float
    epochs: int | None
    confirmed: Confirmed | None = None
    seconds: float | None = None


def validation_source(protocol: str) -> str:
    """Describe where the validation images of a protocol come from."""
    return {
        "holdout": "cut from the training images",
        "test": "which are the TEST images, as the originals did",
    }.get(protocol, "cut from the TEST images, as the originals did")


def protocol(name: str, split: Split) -> str:
    """Describe the split, and where its validation images come from."""
    return (
        f"{len(split.train):,} images to train on; {len(split.validation):,} for validation, "
        f"{validation_source(name)}; {len(split.test):,} to test on"
        + ("" if name == "test" else ", read once, at the end")
    )


def length(epochs: int, patience: int | None, monitor: str, seconds: float | None) -> None:
    """Say how long a training takes.

    Args:
        epochs: How many epochs it has at most.
        patience: After how many epochs without a better `monitor` it stops, or None.
        monitor: What decides that.
        seconds: What an epoch took in the search, if that is known.
    """
    line = words.count(epochs, "epoch")
    if patience is not None and patience < epochs:
        line = f"at most {line}; it stops when {monitor} has not been better for {patience}"
    if seconds is not None:
        line += f"; in the search an epoch took {seconds:.2g} s, all would take "
        line += duration(seconds * epochs)
    say(line)


def epoch(number: int, epochs: int, logs: Mapping[str, float]) -> None:
    """Print the line of an epoch, in less than 80 columns."""
    say(
        f"epoch {number:>{len(str(epochs))}}/{epochs}"
        f"  loss {logs['loss']:.4f} acc {logs['accuracy']:.4f}"
        f"  val_loss {logs['val_loss']:.4f} val_acc {logs['val_accuracy']:.4f}"
        f"  {logs['seconds']:.2f} s"
    )


def accuracy(scores: Scores) -> str:
    """Format an accuracy with its Wilson 95 % interval and its number of images."""
    return (
        f"{scores.accuracy:.4f} (95 % interval {scores.accuracy_low:.4f} to "
        f"{scores.accuracy_high:.4f}, n = {scores.n:,})"
    )


def other_images(
    what: str, settings: SearchSettings | RunSettings | None, title: str, digest: str
) -> None:
    """Say so if a model or a search used other images than those at hand.

    Args:
        what: Who did what, such as "the model was trained on".
        settings: The settings of its run, or of the search, if it has some.
        title: What the images at hand are called.
        digest: Their digest.
    """
    if settings is not None and settings.data != digest:
        named = f": {settings.title}" if settings.title != title else ""
        say(f"note: {what} other images than those of {title}{named}")


def finished(result: RunMetrics, folder: Path) -> None:
    """Print the result of a run and the files it wrote."""
    if result.restored_by is None:
        trained = words.count(result.epochs_trained, "epoch")
        say(f"trained for {trained}; the last weights are kept")
    else:
        say(
            f"best epoch {result.best_epoch} of {result.epochs_trained} by {result.restored_by}; "
            "its weights were restored"
        )
    say(f"validation accuracy {accuracy(result.validation)}")
    say(f"test accuracy       {accuracy(result.test)}")
    if told := environment.mixed(folder):
        say(told)
    wrote(folder)


def summary(results: Sequence[RunMetrics]) -> dict:
    """Return mean and standard deviation over the seeds; the latter is None for a single one."""
    values = {
        "val_loss": [result.validation.loss for result in results],
        "val_accuracy": [result.validation.accuracy for result in results],
        "test_accuracy": [result.test.accuracy for result in results],
        "seconds": [result.seconds for result in results],
    }
    return {"n": len(results), "seeds": [result.seed for result in results]} | {
        name: {
            "mean": statistics.fmean(column),
            "sd": statistics.stdev(column) if len(column) > 1 else None,
        }
        for name, column in values.items()
    }


def outcome(results: Sequence[RunMetrics], published: Mapping[str, float], penalised: bool) -> None:
    """Print mean, standard deviation and n, or a single score, beside the published scores.

    Args:
        results: What the run of each seed reached.
        published: Published scores.
        penalised: Whether the system has L2 penalties, which the losses of its epochs include.
    """
    summed = summary(results)
    if len(results) == 1 and not published:
        return
    for name in ("val_loss", "val_accuracy", "test_accuracy"):
        mean, sd = summed[name]["mean"], summed[name]["sd"]
        score = f"{mean:.4f}" if sd is None else f"mean {mean:.4f} sd {sd:.4f}"
        other = f"   published {published[name]:.4f}" if name in published else ""
        note = ", without the L2 penalty that the epochs include"
        note = note if penalised and name == "val_loss" else ""
        say(f"{name:13} {score} (n = {len(results)}){note}{other}")


def beside_search(results: Sequence[RunMetrics], searched: SearchScore) -> None:
    """Print what a trial reached in its search beside what retraining it reached."""
    there = f"{searched.score:.4f} in the search (trial {searched.trial}"
    there += f", {words.count(searched.epochs, 'epoch')})" if searched.epochs else ")"
    if searched.confirmed:
        over = searched.confirmed
        there += (
            f", there confirmed by {over.mean:.4f} ± {over.sd:.4f} over {over.n:.0f} other seeds"
        )
    if searched.objective == "val_accuracy":
        here = summary(results)["val_accuracy"]["mean"]
        kept = words.span([result.best_epoch for result in results], "epoch")
        seeds = f"mean of {len(results)} seeds, " if len(results) > 1 else ""
        say(f"val_accuracy {here:.4f} here ({seeds}{kept}), {there}")
    else:
        say(f"{searched.objective} {there}")
