"""A `keras_tuner.Hyperband` that trains fast, on all cores, and survives crashes.

It writes KerasTuner's files: a stock `keras_tuner.Hyperband` opens the folder. This process
decides, and worker processes train with `shared_keras.training.fit`. docs/search.md lists the
differences from the stock class, and tests/hyperband/test_stock_defects.py shows them.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import keras_tuner
import numpy as np
import pandas as pd

from shared_keras import files, training
from shared_keras.errors import BadInput, RunFailed, whole
from shared_keras.hyperband import fingerprint, job, run_trials, table
from shared_keras.hyperband.oracle import Oracle
from shared_keras.hyperband.rungs import FAILED
from shared_keras.hyperband.space import Space
from shared_keras.processes import lock, workers
from shared_keras.reporting.progress import Progress
from shared_keras.results.trials import COLUMNS, SearchState
from shared_keras.training import current_epoch


class Hyperband(keras_tuner.Hyperband):
    """The tuner; the module's docstring describes it.

    Args:
        hypermodel: `build(hp)`, which returns a compiled model, or a
            `keras_tuner.HyperModel`, which may also have a `fit`.
        objective: Name of a Keras metric, such as "val_accuracy", whose direction
            KerasTuner knows; or a `keras_tuner.Objective`, or a list of these.
        max_epochs: Epochs of the longest training.
        factor: Reduction factor.
        hyperband_iterations: How many times to run all brackets.
        seed: Determines everything random.
        metrics: Returns the metrics to compile the models with instead of their own.
        directory: Folder that holds the project's folder.
        project_name: Name of the project's folder.
        workers: How many processes train; by default one per CPU core, or one on a GPU.
        try_first: Hyperparameters to try first.
        max_trials: Only trials whose numbers are below this are run.
        keep_checkpoints: How many of the best trials keep their weights on disk, for
            `get_best_models`, or "all". The trials that they resume keep theirs, too. A
            checkpoint is three times the size of a network that Adam trains.
        callback: Called without arguments whenever something has happened, and once a
            second while trials train. By default, progress is printed.

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
        try_first: Sequence[Mapping] = (),
        max_trials: int | None = None,
        keep_checkpoints: int | Literal["all"] = 10,
        callback: Callable[[], None] | None = None,
    ):
        max_epochs = whole("max_epochs", max_epochs, 1)
        factor = whole("factor", factor, 2)
        hyperband_iterations = whole("hyperband_iterations", hyperband_iterations, 1)
        seed = whole("seed", seed, 0)
        workers = whole("workers", workers, 1, None)
        max_trials = whole("max_trials", max_trials, 1, None)
        keep_checkpoints = whole("keep_checkpoints", keep_checkpoints, 0, "all")
        oracle = Oracle(
            objective,
            seed=seed,
            try_first=try_first,
            max_trials=max_trials,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
        )
        if "KERASTUNER_ORACLE_IP" in os.environ:
            raise BadInput(
                "KERASTUNER_ORACLE_IP: KerasTuner's chief and workers are not used here, because "
                "they hang when one dies; unset it and use workers=N"
            )
        self.callback, self.workers, self.make_metrics = callback, workers, metrics
        self._made = False
        self._first_model = None  # digest of the model with default values
        self.course = run_trials.Course(oracle, self.folder, keep_checkpoints)
        directory = os.path.abspath(directory or ".")  # workers do not change theirs
        keras_tuner.Tuner.__init__(
            self, oracle, hypermodel, directory=directory, project_name=project_name
        )
        self._made = True
        if os.path.exists(self._get_tuner_fname()):
            self.reload()
        self.oracle.verbose = 0

    def search(
        self, x, y, *, timeout: float | None = None, verbose: int = 1, **options
    ) -> "Hyperband":
        """Start or resume a search, and return this tuner.

        Args:
            x: Inputs to train on, shape (n, ...).
            y: Targets, shape (n, ...).
            timeout: Seconds after which no further trial is started.
            verbose: 0 for silence; otherwise progress is printed, unless there is a
                callback.
            options: `validation_data`, `batch_size`, `callbacks` and whatever else
                `training.fit`, or the hypermodel's own `fit`, takes.

        Raises:
            BadInput: if the search in the folder was started with other data, options or
                models, or if the objective is not logged.
            ValueError: if an argument is not what `training.fit` takes.
            RunFailed: if every trial of a first rung failed, or another process
                searches in the folder, or this one is searching already.
        """
        if timeout is not None and not timeout >= 0:
            raise BadInput(f"timeout: expected at least 0 seconds, got {timeout}")
        if not job.own_fit(self.hypermodel):  # which may take anything
            training.check(x, y, **options)
        begun_with = fingerprint.of({"x": x, "y": y, **options, "model": self._first_model})
        shared = job.Search(
            self.hypermodel, self.make_metrics, self.oracle.objective, x, y, options
        )
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.lock(), self._progress(verbose) as report:
            files.sweep(Path(self.project_dir))
            self.oracle.take_up(begun_with)
            self.save()
            run_trials.run(self.course, self.pool(), shared, deadline, report)
        if self.oracle.all_failed():
            trials = self.oracle.trials.values()
            failed = next(t for t in trials if t.status == FAILED)
            raise RunFailed(
                f"every trial of a first rung failed, the first with {table.reason(failed)}; "
                f"fix that, then delete {self.project_dir} or choose another name"
            )
        return self

    def lock(self) -> contextlib.AbstractContextManager:
        """Return what keeps others from searching or confirming in the folder."""
        return lock.of(Path(self.project_dir))

    @contextlib.contextmanager
    def _progress(self, verbose: int) -> Iterator[Callable[[], None]]:
        """Yield the function to call whenever something has happened."""
        if self.callback is not None or not verbose:
            yield self.callback or (lambda: None)
            return
        progress = Progress(self.project_name, self.workers or workers.default())
        progress.announce(self.state(), Path(self.project_dir), bool(self.oracle.end_order))
        with progress:
            yield lambda: progress.update(self.state())

    def finished(self) -> bool:
        """Return whether there is nothing left to train, as far as `max_trials` goes."""
        tried = bool(self.oracle.end_order) and not self.oracle.all_failed()
        return tried and not self.oracle.open_slots()

    def results(self) -> pd.DataFrame:
        """Return a row per trial, ranked ones first: longest trained, then by score."""
        state = self.state()
        order = {row.trial: i for i, row in enumerate(state.ranked)}
        rows = [row.to_csv() for row in state.rows]
        found = pd.DataFrame(rows, columns=None if rows else list(COLUMNS)).convert_dtypes()
        return found.sort_values(
            "trial", key=lambda ids: ids.map(lambda i: order.get(i, len(order))), kind="stable"
        ).reset_index(drop=True)

    def results_summary(self, num_trials=10):
        """Print the best trials."""
        print(self.results().head(num_trials).to_string(index=False))

    def state(self) -> SearchState:
        """Return the search as it stands, as plain rows."""
        trials = self.oracle.trials
        rows = {
            i: table.row(trial, self.course.seconds.get(i)) for i, trial in sorted(trials.items())
        }
        now = time.perf_counter()
        return SearchState(
            objective=self.oracle.objective.name,
            direction=self.oracle.objective.direction,
            rows=list(rows.values()),
            ended=list(self.oracle.end_order),
            ranked=[rows[trial.trial_id] for trial in self.ranked()],
            running={trial: now - running.since for trial, running in self.course.running.items()},
            waiting=self.oracle.waiting(),
            finished=self.finished(),
            left_out=self.oracle.left_out(),
            epoch_of=current_epoch.read({i: self.folder(i) for i in self.course.running}),
        )

    def axes(self) -> dict[str, bool]:
        """Return the columns of the search space, each with whether its axis is logarithmic."""
        return table.axes(self.oracle.hyperparameters.space)

    def pool(self) -> list[workers.Worker]:
        """Return the worker processes."""
        return workers.get(self.workers or workers.default())

    def idle_workers(self) -> list[workers.Worker]:
        """Return the worker processes that are idle."""
        busy = [running.worker for running in self.course.running.values()]
        return [worker for worker in self.pool() if worker not in busy]

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
        """Write the state atomically."""
        self.oracle.save()
        files.write_json(Path(self._get_tuner_fname()), self.get_state())

    def reload(self):
        """Load the state of an earlier search with the same settings."""
        self.oracle.reload()
        for trial_id in self.oracle.trials:
            if seconds := files.seconds(self.folder(trial_id) / "history.csv"):
                self.course.seconds[trial_id] = seconds

    def _get_tuner_fname(self):
        # While the stock constructor runs, one that is not there: it prints that it reads it.
        return super()._get_tuner_fname() + ("" if self._made else ".none")

    def _activate_all_conditions(self):
        hypermodel = self.hypermodel
        # A space need not build a model to declare its hyperparameters.
        make = hypermodel.describe if isinstance(hypermodel, Space) else hypermodel.build

        def build(hp):
            model = make(hp)
            self._first_model = self._first_model or fingerprint.of_model(model)

        self.hypermodel = SimpleNamespace(build=build)
        states = random.getstate(), np.random.get_state()
        training.seed_globals(self.oracle.seed)  # or random draws would change the model
        try:
            super()._activate_all_conditions()
        finally:
            self.hypermodel = hypermodel
            random.setstate(states[0])
            np.random.set_state(states[1])

    def load_model(self, trial):
        """Return the model of a trial with the weights of its best epoch."""
        model = self._try_build(trial.hyperparameters)
        if not model.built:
            model.build_from_config(
                files.read_json(Path(self._get_build_config_fname(trial.trial_id)))
            )
            model.built = True  # Keras does not set this for subclassed models
        model.load_weights(self._get_checkpoint_fname(trial.trial_id))
        return model

    def _build_hypermodel(self, hp):
        # Not Hyperband's method, which would load the parent's weights.
        return keras_tuner.Tuner._build_hypermodel(self, hp)
