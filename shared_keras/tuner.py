"""A `keras_tuner.Hyperband` that trains fast, on all cores, and that a crash cannot hurt.

The folder it writes is KerasTuner's: a stock `keras_tuner.Hyperband` opens it. What
differs from the stock class:

- this process decides, worker processes train, with `shared_keras.training.fit`;
- a promoted trial goes on exactly where its parent stopped (weights, optimizer,
  seeds of the dropout layers, order of the images); the stock class loads the
  parent's best epoch, counts from its last, and starts the optimizer afresh;
- everything follows from the seed, 0 included, whatever the number of workers;
- files are written whole or not at all, and a trial that was cut off is run again
  without its stale observations;
- a trial that raises, or whose loss is NaN or infinite, is recorded as failed with
  its reason; it costs its own place, not the rung;
- checkpoints that nothing can need any more are deleted.
"""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import keras_tuner
import pandas as pd
from filelock import FileLock, Timeout

from shared_keras import (
    checkpoints,
    fingerprint,
    job_pool,
    runs,
    search_report,
    trial_job,
    workers,
)
from shared_keras.errors import BadInput, RunFailed
from shared_keras.oracle import Oracle
from shared_keras.places import COMPLETED, FAILED, Place, lineage
from shared_keras.progress import Progress
from shared_keras.space import Space


class Hyperband(keras_tuner.Hyperband):
    """The tuner; see the module.

    Args:
        hypermodel: `build(hp)`, which returns a compiled model, or a
            `keras_tuner.HyperModel`, which may also have a `fit`.
        objective: Name of a metric of Keras, such as "val_accuracy", whose direction
            KerasTuner knows; or a `keras_tuner.Objective`, or a list of them.
        max_epochs: Epochs of the longest training.
        factor: Reduction factor.
        hyperband_iterations: How often to run all brackets.
        seed: Decides everything random.
        metrics: Makes the metrics to compile the models with instead of their own.
        directory: Folder that holds the project's.
        project_name: Name of the project's folder.
        workers: How many processes train; without it one for each CPU core.
        first: Hyperparameters to try first.
        max_trials: Trials of a higher number are left out.
        keep_checkpoints: Of how many of the best trials the weights stay on disk, for
            `get_best_models`, or "all". A checkpoint takes three times the size of a
            network that Adam trains; those of the trials that it goes on from stay, too.
        callback: Called without arguments whenever something happened, and once a
            second while trials train; without it progress is printed.

    Example:

    ```python
    tuner = Hyperband(build, "val_accuracy", max_epochs=9, factor=3)
    tuner.search(x, y, validation_data=(x_val, y_val)).results()
    ```
    """

    def __init__(
        self,
        hypermodel,
        objective="val_accuracy",
        max_epochs=20,
        factor=3,
        hyperband_iterations=1,
        seed=0,
        metrics: Callable[[], list] | None = None,
        directory=None,
        project_name=None,
        workers: int | None = None,
        first: Sequence[Mapping] = (),
        max_trials: int | None = None,
        keep_checkpoints: int | Literal["all"] = 10,
        callback: Callable[[], None] | None = None,
    ):
        oracle = Oracle(
            objective,
            seed=seed,
            first=first,
            max_trials=max_trials,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
        )
        if "KERASTUNER_ORACLE_IP" in os.environ:
            raise BadInput(
                "KERASTUNER_ORACLE_IP: KerasTuner's chief and workers are not used here, because "
                "they hang when one dies; unset it and give workers=N"
            )
        self.callback, self.workers, self.make_metrics = callback, workers, metrics
        self.keep_checkpoints = keep_checkpoints
        self._first_model = None  # a digest of what the default hyperparameters make
        self.running: dict[str, float] = {}  # since when each trial trains
        self.seconds: dict[str, float] = {}  # that each trial took
        self._home: dict[str, workers.Worker] = {}  # where each trial's program is warm
        with contextlib.redirect_stdout(io.StringIO()):  # the stock class prints
            keras_tuner.Tuner.__init__(
                self, oracle, hypermodel, directory=directory, project_name=project_name
            )
        self.oracle.verbose = 0

    def search(
        self, x, y, *, timeout: float | None = None, verbose: int = 1, **options
    ) -> "Hyperband":
        """Search, or go on with a search, and return this tuner.

        Args:
            x: Inputs to train on, shape (n, ...).
            y: Targets, shape (n, ...).
            timeout: Seconds after which no trial is begun any more.
            verbose: 0 for silence; otherwise progress is printed, unless there is a
                callback.
            options: `validation_data`, `batch_size`, `callbacks` and what else
                `training.fit` takes, or the hypermodel's own `fit`.

        Raises:
            BadInput: if the search in the folder was begun with other data, options or
                models, or if the objective is not logged.
            RunFailed: if every trial of a first rung failed, or another process
                searches in the folder.
        """
        if timeout is not None and not timeout >= 0:
            raise BadInput(f"timeout: expected at least 0 seconds, got {timeout}")
        begun_with = fingerprint.of({"x": x, "y": y, **options, "model": self._first_model})
        shared = trial_job.Search(
            self.hypermodel, self.make_metrics, self.oracle.objective, x, y, options
        )
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.lock(), self._progress(verbose) as report:
            runs.sweep(Path(self.project_dir))
            self.oracle.take_up(begun_with)
            self.save()
            self._run(shared, deadline, report)
        if self.oracle.hopeless():
            trials = self.oracle.trials.values()
            failed = next(t for t in trials if t.status == FAILED)
            raise RunFailed(
                f"every trial of a first rung failed, the first: {search_report.reason(failed)}; "
                f"mend that, then delete {self.project_dir} or give another name"
            )
        return self

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from searching or confirming in the folder meanwhile.

        Raises:
            RunFailed: if one does already.
        """
        lock = FileLock(Path(self.project_dir) / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunFailed(f"another process is searching in {self.project_dir}") from None
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _progress(self, verbose: int) -> Iterator[Callable[[], None]]:
        """Give what is to be called whenever something happened."""
        if self.callback is not None or not verbose:
            yield self.callback or (lambda: None)
            return
        progress = Progress(self.project_name)
        progress.announce(self, Path(self.project_dir), bool(self.oracle.end_order))
        with progress:
            yield lambda: progress.update(self)

    def finished(self) -> bool:
        """Return whether there is nothing left to train, as far as `max_trials` goes."""
        tried = bool(self.oracle.end_order) and not self.oracle.hopeless()
        return tried and not self.oracle.open_places()

    def results(self) -> pd.DataFrame:
        """Return a row per trial, the best of the longest trained first, others last."""
        order = {trial.trial_id: i for i, trial in enumerate(self.ranked())}
        table = pd.DataFrame(search_report.rows(self)).convert_dtypes()
        return table.sort_values(
            "trial", key=lambda ids: ids.map(lambda i: order.get(i, len(order))), kind="stable"
        ).reset_index(drop=True)

    def results_summary(self, num_trials=10):
        """Print the best trials."""
        print(self.results().head(num_trials).to_string(index=False))

    def ranked(self) -> list:
        """Return the completed trials: longest trained first, then by score."""
        return self.oracle.get_best_trials(len(self.oracle.trials))

    def winner(self):
        """Return the best of the trials that were trained longest, or None."""
        return next(iter(self.ranked()), None)

    def folder(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return Path(self.get_trial_dir(trial_id))

    def save(self):
        """Write the state, whole or not at all."""
        self.oracle.save()
        runs.write_json(Path(self._get_tuner_fname()), self.get_state())

    def reload(self):
        """Read the state of a search that was begun before, with the same settings."""
        self._populate_initial_space()
        self.oracle.reload()
        for trial_id in self.oracle.trials:
            if seconds := runs.seconds(self.folder(trial_id) / "history.csv"):
                self.seconds[trial_id] = seconds

    def _run(
        self, shared: trial_job.Search, deadline: float | None, report: Callable[[], None]
    ) -> None:
        """Train what is open, and record what comes of it."""
        pool = workers.get(self.workers or workers.default())
        trials = {}

        def choose(idle):
            if deadline is not None and time.monotonic() >= deadline:
                return None
            choice = self._choose(idle)
            if choice is None:
                return None
            worker, place = choice
            trial = self.oracle.begin(place, f"worker{pool.index(worker)}")
            self.running[trial.trial_id] = time.perf_counter()
            job = self._job(trial)
            trials[job] = trial
            return worker, job

        def end(worker, job, result):
            self._end(trials.pop(job), worker, result)

        job_pool.run(pool, shared, trial_job.run, choose, end, report)

    def _choose(self, idle: Iterable) -> tuple[workers.Worker, Place] | None:
        """Return a worker and what it does next: what is warm there, or new, or any."""
        places = self.oracle.open_places()
        if not places:
            return None
        for worker in idle:
            for place in places:
                if place.parent and self._home.get(place.parent) is worker:
                    return worker, place
        new = (place for place in places if place.parent is None)
        return next(iter(idle)), next(new, places[0])

    def _job(self, trial) -> trial_job.Job:
        values = trial.hyperparameters.values
        parent = values.get("tuner/trial_id")
        return trial_job.Job(
            hyperparameters=trial.hyperparameters.get_config(),
            folder=self.folder(trial.trial_id),
            parent=self.folder(parent) if parent else None,
            initial_epoch=values["tuner/initial_epoch"],
            epochs=values["tuner/epochs"],
            seed=self.oracle.seed_of_training(trial),
            resumable=values["tuner/round"] < values["tuner/bracket"],
        )

    def _end(self, trial, worker, result: trial_job.Result | job_pool.Died) -> None:
        """Record what came of a trial, then delete the checkpoints that nobody needs."""
        del self.running[trial.trial_id]
        if isinstance(result, job_pool.Died):
            trial.status, trial.message = FAILED, f"RuntimeError: {result}"
        else:
            trial.hyperparameters = keras_tuner.HyperParameters.from_config(result.hyperparameters)
            self.seconds[trial.trial_id] = sum(result.history.get("seconds", ()))
            if result.failure is None:
                metrics = result.logs()
                metrics[self.oracle.objective.name] = self.oracle.objective.get_value(metrics)
                step = trial.hyperparameters.values["tuner/initial_epoch"] + result.best
                self.oracle.update_trial(trial.trial_id, metrics, step=step)
                trial.status = COMPLETED
                self._home[trial.trial_id] = worker
            else:
                trial.status, trial.message = FAILED, result.failure
        self.oracle.end_trial(trial)
        self._prune()

    def _activate_all_conditions(self):
        hypermodel = self.hypermodel
        # A space need not build a model each time.
        make = hypermodel.describe if isinstance(hypermodel, Space) else hypermodel.build

        def build(hp):
            model = make(hp)
            self._first_model = self._first_model or fingerprint.of_model(model)

        self.hypermodel = SimpleNamespace(build=build)
        try:
            super()._activate_all_conditions()
        finally:
            self.hypermodel = hypermodel

    def _build_hypermodel(self, hp):
        # Not Hyperband's, which would load the parent's weights.
        return keras_tuner.Tuner._build_hypermodel(self, hp)

    def _prune(self) -> None:
        """Keep what a promotion needs, and the weights of the best with their ancestors'."""
        promotable = self.oracle.promotable()
        kept = set(promotable)
        trials = self.oracle.trials
        count = len(trials) if self.keep_checkpoints == "all" else self.keep_checkpoints
        stocks = keras_tuner.Oracle.get_best_trials(self.oracle, count)  # what a stock tuner loads
        for trial in (*self.ranked()[:count], *stocks):
            kept |= {ancestor.trial_id for ancestor in lineage(trials, trial)}
        for trial_id in trials.keys() - self.running.keys():
            if trial_id not in promotable:
                (self.folder(trial_id) / checkpoints.STATE).unlink(missing_ok=True)
            if trial_id not in kept:
                Path(self._get_checkpoint_fname(trial_id)).unlink(missing_ok=True)
