"""Carry out a search: begin it or go on with it, show it, write what it leaves."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras_tuner

from shared_keras import confirming, metrics, report, runs, search_report
from shared_keras.datasets import Split
from shared_keras.errors import BadInput, RunFailed
from shared_keras.places import FAILED
from shared_keras.progress import Progress, counts
from shared_keras.task import Task
from shared_keras.tuner import Hyperband

MISLEADING = (
    "warning: {0} counts only outputs above 0.5, so that it rewards models that "
    "hardly ever answer: with it, the original search chose a learning rate of 1e-6. "
    "--objective {1} averages the precision of all classes instead."
)


@dataclass(frozen=True)
class Limits:
    """What does not change the trials of a search, only how many there are, and when.

    Attributes:
        workers: How many processes train.
        timeout: Seconds after which no trial is begun.
        max_trials: How many trials there are at most.
        confirm: How many of the best are trained anew.
    """

    workers: int
    timeout: int | None = None
    max_trials: int | None = None
    confirm: int | None = None


def run(
    task: Task,
    settings,
    folder: Path,
    split: Split,
    first: Sequence[dict],
    limits: Limits,
    *,
    tensorboard: bool,
) -> None:
    """Search, or go on with a search, and show what came out.

    Args:
        task: Whose search.
        settings: `search.Settings`.
        folder: Folder of the search.
        split: The images.
        first: Hyperparameters to try first.
        limits: How long to search.
        tensorboard: Whether to write logs for TensorBoard.

    Raises:
        BadInput: if the folder holds a search with other settings.
        RunFailed: if every trial of a first rung failed.
    """
    resumed = _same_settings(folder / "settings.json", settings)
    if not resumed:
        runs.write_json(folder / "environment.json", runs.environment())
        runs.write_settings(folder / "settings.json", settings)
    progress = Progress(task.title)
    tuner = Hyperband(
        task.builder(settings.space),
        keras_tuner.Objective(
            settings.objective, "min" if settings.objective.endswith("loss") else "max"
        ),
        max_epochs=settings.max_epochs,
        factor=settings.factor,
        hyperband_iterations=settings.iterations,
        seed=settings.seed,
        metrics=_metrics(settings.objective),
        directory=folder.parent,
        project_name=folder.name,
        workers=limits.workers,
        first=first,
        max_trials=limits.max_trials,
    )
    if settings.objective.endswith("precision") and "macro" not in settings.objective:
        macro = settings.objective.replace("precision", "macro_precision")
        print(MISLEADING.format(settings.objective, macro), file=sys.stderr)
    progress.announce(tuner, folder, resumed)
    if settings.split != "holdout":
        source = report.validation_source(settings.split)
        progress.say(f"{len(split.validation):,} images for validation, {source}.")
    tuner.callback = _reporter(tuner, folder, progress, tensorboard)
    images = {
        "x": split.train.x,
        "y": split.train.y,
        "validation_data": (split.validation.x, split.validation.y),
        "batch_size": settings.batch_size,
    }
    best, before = search_report.read(folder), len(tuner.oracle.end_order)
    confirmed = None
    try:
        if not tuner.finished():
            with progress:
                tuner.search(**images, timeout=limits.timeout)
        _some_completed(tuner)
        # By what is written, because another process may have been killed before it wrote.
        new = best.get("trials", before) < len(tuner.oracle.end_order)
        if limits.confirm is not None:
            progress.say(f"Training the best {limits.confirm} anew.")
            confirmed = confirming.confirm(tuner, limits.confirm, report=progress.say, **images)
        elif "confirmed" in best and new:
            progress.say("More trials ended since; --confirm trains the best of them anew.")
        elif "confirmed" in best:
            confirmed = confirming.read(folder)
    except KeyboardInterrupt:
        progress.say("Stopped. The same command goes on from here.")
        raise
    done, total = counts(tuner)
    if done < total:
        progress.say(f"Stopped after {done} of {total} trials. The same command goes on from here.")
    if new:
        search_report.write_trials(tuner, folder)
        for name in search_report.PICTURES:  # they are drawn when those of before are gone
            (folder / name).unlink(missing_ok=True)
    search_report.write(tuner, folder, settings, confirmed)
    if not (folder / search_report.PICTURES[-1]).exists():
        _pictures().write(tuner, folder, progress.say)
    search_report.show(tuner, folder, progress.console, confirmed)


def _some_completed(tuner) -> None:
    """Refuse to go on without a trial that could have won.

    Raises:
        RunFailed: saying why there is none.
    """
    if tuner.winner() is None:
        failed = [t for t in tuner.oracle.trials.values() if t.status == FAILED]
        why = f"the first failed: {search_report.reason(failed[0])}" if failed else "time was up"
        raise RunFailed(f"no trial completed; {why}")


def _reporter(tuner, folder: Path, progress: Progress, tensorboard: bool) -> Callable[[], None]:
    """Return what the tuner calls: it shows the search and writes trials.csv."""
    written = len(tuner.oracle.end_order)

    def report():
        nonlocal written
        progress.update(tuner)
        new = tuner.oracle.end_order[written:]
        if new or not (folder / "trials.csv").exists():
            search_report.write_trials(tuner, folder)
        for trial_id in new * tensorboard:
            search_report.write_tensorboard(tuner, folder, trial_id)
        written += len(new)
        if tuner.running and not tuner.oracle.open_places():
            _pictures()  # now that there is a core for it

    return report


def _pictures():
    """Return what draws; importing it, with Matplotlib and scikit-learn, takes a second."""
    with late_interrupt():
        from shared_keras import search_pictures

    return search_pictures


@contextlib.contextmanager
def late_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait: some libraries swallow it while they are imported."""
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


def _metrics(objective: str) -> Callable[[], list] | None:
    """Return what makes the metrics that an objective needs beyond a model's own."""
    return metrics.precisions if "precision" in objective else None


def _same_settings(path: Path, settings) -> bool:
    """Return whether the search was begun before; refuse other settings."""
    if not path.exists():
        if path.with_name("oracle.json").exists():
            raise BadInput(
                f"argument --name: {path.parent} holds a KerasTuner project that this "
                "command did not make; give another --name"
            )
        return False
    earlier, now = asdict(runs.read_settings(type(settings), path)), asdict(settings)
    differences = [
        f"{key} was {earlier[key]} and is now {now[key]}" for key in now if earlier[key] != now[key]
    ]
    if differences:
        raise BadInput(
            f"argument --name: the search '{path.parent.name}' was made with other "
            f"settings ({'; '.join(differences)}); give them again, or another --name"
        )
    return True
