"""What commands print about trainings."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared_keras.data.splits import Split
from shared_keras.reporting.console import say, wrote


def validation_source(protocol: str) -> str:
    """Describe where the validation images of a protocol come from."""
    return {
        "holdout": "cut from the training images",
        "test": "which are the TEST images, as published",
    }.get(protocol, "cut from the TEST images, as published")


def protocol(name: str, split: Split) -> str:
    """Describe the split, and where its validation images come from."""
    return (
        f"{len(split.train):,} images to train on; {len(split.validation):,} for validation, "
        f"{validation_source(name)}; {len(split.test):,} to test on"
        + ("" if name == "test" else ", read once, at the end")
    )


def epoch(number: int, epochs: int, logs: Mapping[str, float]) -> None:
    """Print the line of an epoch."""
    say(
        f"  epoch {number:>{len(str(epochs))}}/{epochs}"
        f"  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
        f"  val_loss {logs['val_loss']:.4f}  val_accuracy {logs['val_accuracy']:.4f}"
        f"  {logs['seconds']:.2f} s"
    )


def accuracy(scores: Mapping) -> str:
    """Format an accuracy with its Wilson 95 % interval and its number of images."""
    return (
        f"{scores['accuracy']:.4f} (95 % interval {scores['accuracy_low']:.4f} to "
        f"{scores['accuracy_high']:.4f}, n = {scores['n']:,})"
    )


def finished(result: Mapping, folder: Path) -> None:
    """Print the result of a run and the files it wrote."""
    if result["stopped_early_by"] is None:
        say(f"trained all {result['epochs_trained']} epochs; the last weights are kept")
    else:
        say(
            f"best epoch {result['best_epoch']} of {result['epochs_trained']} by val_accuracy; "
            "its weights were restored"
        )
    say(f"validation accuracy {accuracy(result['validation'])}")
    say(f"test accuracy       {accuracy(result['test'])}")
    wrote(folder)


def summary(results: Sequence[Mapping]) -> dict:
    """Return mean and standard deviation over the seeds; the latter is None for a single one."""
    values = {
        "val_loss": [result["validation"]["loss"] for result in results],
        "val_accuracy": [result["validation"]["accuracy"] for result in results],
        "test_accuracy": [result["test"]["accuracy"] for result in results],
        "seconds": [result["seconds"] for result in results],
    }
    return {"n": len(results), "seeds": [result["seed"] for result in results]} | {
        name: {
            "mean": statistics.fmean(column),
            "sd": statistics.stdev(column) if len(column) > 1 else None,
        }
        for name, column in values.items()
    }


def outcome(results: Sequence[Mapping], published: Mapping[str, float]) -> None:
    """Print mean, standard deviation and n beside the published scores."""
    summed = summary(results)
    if len(results) == 1 and not published:
        return
    for name in ("val_loss", "val_accuracy", "test_accuracy"):
        sd = summed[name]["sd"]
        spread = "" if sd is None else f" sd {sd:.4f}"
        other = f"   published {published[name]:.4f}" if name in published else ""
        say(f"{name:13} mean {summed[name]['mean']:.4f}{spread} (n = {len(results)}){other}")
