"""Run a search: start or resume it, show its progress, write its results."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import asdict
from typing import Any

import keras_tuner
import pandas as pd

from shared_keras import devices
from shared_keras.commands.searching import choices, confirmation
from shared_keras.commands.searching.request import SearchRequest
from shared_keras.commands.searching.search_folder import SearchFolder
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import RunFailed, of_file, sentence
from shared_keras.hyperband import Hyperband, arguments
from shared_keras.models import metrics
from shared_keras.processes.protocol import Pool, Worker
from shared_keras.processes.seldom import Seldom
from shared_keras.reporting import run_report, search_report
from shared_keras.reporting.console import say
from shared_keras.reporting.pages.search_page import SHARE, SearchPage, facts
from shared_keras.reporting.progress import Progress
from shared_keras.results import folders
from shared_keras.results.settings import SearchSettings
from shared_keras.results.trials import SearchState
from shared_keras.task import Task

MISLEADING = (
    "warning: {0} counts only outputs above 0.5, so it rewards models that hardly "
    "ever give a confident answer: with it, the original search chose a learning rate of 1e-6. "
    "--objective {1} averages the precision of all classes instead."
)


def run(task: Task, asked: SearchRequest, pool: Pool) -> None:
    """Start or resume a search, and show its results.

    Args:
        task: The task.
        asked: What the search was asked.
        pool: The workers.

    Raises:
        BadInput: if the flags do not fit the space, or the folder holds a different search.
        RunFailed: if no trial completed.
    """
    arguments.optuna_journal(asked.optuna_journal, "argument --optuna-journal")
    task = own_data.task_of(task, asked.data_dir)
    batch_size = choices.batch_size(task, asked)
    choices.check_objective(task, asked)
    images = datasets.load(task, asked.data_dir, say)
    settings = SearchSettings(
        task=task.name,
        space=asked.space,
        **asdict(asked.budget),
        min_epochs=asked.min_epochs,
        batch_size=batch_size,
        objective=asked.objective,
        split=asked.split,
        seed=asked.seed,
        try_first=asked.try_first,
        backend=devices.backend(),
        data=datasets.digest(*images),
        title=task.title,
    )
    try_first = choices.starting_points(task, asked)
    split = splits.split(task, *images, asked.split)
    path = asked.results_dir / task.name / "searches" / asked.name
    with folders.gone_if_refused(path):
        folder = SearchFolder(path, settings, logs=asked.tensorboard)
        tuner = _tuner(task, folder, pool, try_first, asked)
        progress = Progress(task.title, pool.size)
        search = _Search(tuner, folder, progress, split)
        search.page.begin(asked.results_dir)
        search.run(asked.timeout, asked.confirm)


def _tuner(
    task: Task,
    folder: SearchFolder,
    pool: Pool,
    try_first: Sequence[Mapping],
    asked: SearchRequest,
) -> Hyperband:
    settings = folder.settings
    return Hyperband(
        task.builder(settings.space),
        keras_tuner.Objective(
            settings.objective, "min" if settings.objective.endswith("loss") else "max"
        ),
        max_epochs=settings.max_epochs,
        min_epochs=settings.min_epochs,
        factor=settings.factor,
        hyperband_iterations=settings.iterations,
        seed=settings.seed,
        max_consecutive_failed_trials=None,
        metrics=_metrics(task, settings.objective),
        directory=folder.path.parent,
        project_name=folder.path.name,
        workers=pool,
        try_first=try_first,
        max_trials=asked.max_trials,
        optuna_journal=asked.optuna_journal,
        optuna_study=f"{task.name}-{asked.name}",
    )


def _metrics(task: Task, objective: str) -> list | None:
    """Return the metrics that models need for an objective, if they are not their own."""
    return metrics.precisions(len(task.classes)) if "precision" in objective else None


class _Search:
    """A search under way: the tuner decides, the folder remembers, the progress tells."""

    def __init__(
        self, tuner: Hyperband, folder: SearchFolder, progress: Progress, split: splits.Split
    ):
        self.tuner, self.folder, self.progress, self.split = tuner, folder, progress, split
        title = search_report.title(progress.title, folder.path)
        self.page = SearchPage(folder.path, title, facts(folder.settings, folder.path))
        self.artist: Worker | None = None  # the first idle worker, which has imported the plots
        self.options: dict[str, Any] = {
            "x": split.train.x,
            "y": split.train.y,
            "validation_data": (split.validation.x, split.validation.y),
            "batch_size": folder.settings.batch_size,
        }
        tuner.course.say = progress.say

    def run(self, timeout: float | None, confirm: int | None) -> None:
        """Train the remaining trials, then show and write the whole search.

        Args:
            timeout: Seconds after which no trial begins.
            confirm: How many of the best trials to retrain with other seeds.
        """
        state = self.tuner.state()
        self._introduce(state)
        self.folder.begin(state)
        try:
            self._train(timeout)
            state = self.tuner.state()
            _some_completed(state)
            if confirm is not None:
                confirmed = confirmation.retrain(self.tuner, confirm, self.progress, **self.options)
            else:
                confirmed = confirmation.earlier(self.folder, state, self.progress)
        except KeyboardInterrupt:
            self.page.write(self.tuner.state(), self.tuner.axes())
            self.progress.say(f"{_done(self.tuner.state())}; the same command resumes from here.")
            raise
        except OSError as error:
            if not of_file(error):
                raise
            left = f"{_done(self.tuner.state())}, and the same command resumes from there"
            raise RunFailed(f"{sentence(error)}; {left}") from None
        if len(state.ended) < state.total:
            self.progress.say(
                f"Stopped by --timeout: {_done(state)}; the same command with a longer one, or "
                "without it, resumes from here."
            )
        self.folder.finish(state, confirmed)
        if not search_report.drawn(self.folder.path, confirmed):
            self._draw(state, confirmed)
        importances = search_report.importances(self.folder.path)
        self.page.write(state, self.tuner.axes(), confirmed, importances)
        self.folder.show(state, self.progress.console, confirmed)

    def _introduce(self, state: SearchState) -> None:
        """Say what is about to happen, and on what."""
        settings = self.folder.settings
        if settings.objective.endswith("precision") and "macro" not in settings.objective:
            macro = settings.objective.replace("precision", "macro_precision")
            print(MISLEADING.format(settings.objective, macro), file=sys.stderr)
        self.progress.announce(state, self.folder.path, self.folder.resumed)
        if settings.split != "holdout":
            source = run_report.validation_source(settings.split)
            self.progress.say(f"{len(self.split.validation):,} images for validation, {source}.")

    def _train(self, timeout: float | None) -> None:
        """Train what is left; meanwhile show the search and keep its table up to date."""
        if not self.tuner.finished():
            self.tuner.callback = report = Seldom(self._report)
            self._write_page = Seldom(
                lambda: self.page.write(self._state, self.tuner.axes(), under_way=True), SHARE
            )
            with self.progress, report:
                self.tuner.search(**self.options, timeout=timeout)
        else:
            with self.tuner.kept_in_optuna(self.progress.say):
                pass  # it is written, if it was not before

    def _report(self) -> None:
        self._state = state = self.tuner.state()
        self.progress.update(state)
        self.folder.record(state)
        self._write_page()
        if self.artist is None and self.tuner.course.running:
            self.artist = self._idle()
            if self.artist is not None:  # the last trials train
                self.artist.submit(search_report.import_plots)

    def _draw(self, state: SearchState, confirmed: pd.DataFrame | None) -> None:
        """Draw the pictures in a worker, if there is one."""
        search = (self.folder.path, state, self.tuner.axes(), self.progress.title, confirmed)
        worker = self.artist or self._idle()
        try:
            done = worker and worker.submit(search_report.draw, *search)
            for note in done.result() if done else search_report.draw(*search):
                self.progress.say(note)
        except BrokenExecutor:
            why = "because the worker process died"
            self.progress.say(f"note: the pictures could not be drawn, {why}")
            worker.restart()

    def _idle(self) -> Worker | None:
        return next(iter(self.tuner.idle_workers()), None)


def _done(state: SearchState) -> str:
    return f"{len(state.ended)} of {state.total} trials have ended"


def _some_completed(state: SearchState) -> None:
    """Raise `RunFailed` if no trial completed."""
    if state.best is None:
        why = "time was up; a longer --timeout resumes"
        if state.failed:
            why = f"the first failed: {state.failed[0].reason or ''}"
        raise RunFailed(f"no trial completed; {why}")
