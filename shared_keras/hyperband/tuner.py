"""A `keras_tuner.Hyperband` that trains fast, on all cores, and survives crashes.

It takes the place of the stock class: the same arguments and methods, with the same meaning. It
writes KerasTuner's files: a stock `keras_tuner.Hyperband` opens the folder. This process
decides, and worker processes train with `shared_keras.training.fit`. docs/search.md lists the
differences from the stock class, and tests/hyperband/test_stock_defects.py shows them.
"""

import contextlib
import dataclasses
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner
import pandas as pd
from keras_tuner.engine import tuner as stock
from keras_tuner.engine.trial import Trial

from shared_keras import devices, files, training
from shared_keras.errors import BadInput, whole
from shared_keras.hyperband import (
    arguments,
    overrides,
    run_trials,
    table,
    view,
    winner_files,
    workers_or_here,
)
from shared_keras.hyperband.decisions import exploring
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.hyperband.resuming import fingerprint
from shared_keras.hyperband.trials import compiling, folds, job, saved
from shared_keras.processes import lock, seldom
from shared_keras.processes.protocol import NoWorkers, Pool, Worker
from shared_keras.reporting.pages.facts import here
from shared_keras.reporting.pages.search_page import SearchPage
from shared_keras.reporting.progress import Progress
from shared_keras.results import history_csv, names
from shared_keras.results.trials import SearchState


class Hyperband(keras_tuner.Hyperband):
    """The tuner; the module's docstring describes it.

    The arguments up to `executions_per_trial` are those of `keras_tuner.Hyperband` and of its
    base classes.

    Args:
        hypermodel: `build(hp)`, which returns a compiled model, or a
            `keras_tuner.HyperModel`, which may also have a `fit`.
        objective: Name of a Keras metric, such as "val_accuracy", whose direction
            KerasTuner knows; or a `keras_tuner.Objective`, or a list of these; or None, if
            `run_trial` or the hypermodel's `fit` returns a number to minimize.
        max_epochs: Epochs of the longest training.
        factor: Reduction factor, at least 2; it need not be whole.
        hyperband_iterations: How many times to run all brackets. More than before extend a
            search that is finished.
        seed: Determines everything random, any whole number; by default one is drawn and recorded.
        hyperparameters: `keras_tuner.HyperParameters` that replace those of the hypermodel.
        tune_new_entries: Whether hyperparameters beyond these are tuned.
        allow_new_entries: Whether the hypermodel may declare others.
        max_retries_per_trial: How often a trial that fails is run again, with another seed.
        max_consecutive_failed_trials: After how many failed trials in a row the search
            stops, or None. Trials whose loss became NaN do not count.
        max_model_size: Largest number of trainable scalars; larger models are rejected.
        optimizer: Replaces that of the models.
        loss: Replaces that of the models.
        metrics: Replace those of the models.
        distribution_strategy: A `tf.distribute.Strategy` to build and train models under,
            in this process.
        directory: Folder that holds the project's folder.
        project_name: Name of the project's folder.
        logger: Ignored, as KerasTuner does.
        tuner_id: Name of the file that KerasTuner keeps for each tuner; any resumes the search.
        overwrite: Whether to delete an earlier search of this name.
        executions_per_trial: How many times to train each trial, with different seeds; its
            score is the mean.
        workers: How many processes train, by default one per CPU core, or one on a GPU; or the
            workers of a cluster, from `shared_keras.processes.cluster.connect`.
        min_epochs: Epochs of the shortest training; brackets that would train for fewer are
            left out.
        folds: Number of folds for cross-validation: a trial trains once for each, and its
            score is the mean. There is no `validation_data` then.
        try_first: Hyperparameters to try first, as dicts or `HyperParameters`; when a search is
            resumed, by default its own.
        max_trials: Only trials whose numbers are below this are run.
        keep_checkpoints: How many of the best trials keep their weights on disk, for
            `get_best_models`, or "all". The trials that they resume keep theirs, too. A
            checkpoint is three times the size of a network that Adam trains.
        callback: Called without arguments whenever something has happened, and once a
            second while trials train. By default, progress is printed.
        optuna_journal: File to which the search is written as it runs, as a study of Optuna, for
            `optuna-dashboard` and `optuna.load_study`; other studies in it are kept.
        optuna_study: Name of the study, by default `project_name`.
        unknown: Refused, as KerasTuner does.

    Example:

    ```python
    tuner = Hyperband(build, "val_accuracy", max_epochs=9, factor=3)
    tuner.search(x, y, validation_data=(x_val, y_val)).results()
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: Any = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        *,
        workers: int | Pool | None = None,
        min_epochs: int = 1,
        folds: int | None = None,
        try_first: Sequence[Mapping | keras_tuner.HyperParameters] | None = (),
        max_trials: int | None = None,
        keep_checkpoints: int | Literal["all"] = 10,
        callback: Callable[[], None] | None = None,
        optuna_journal: str | os.PathLike | None = None,
        optuna_study: str | None = None,
        **unknown: Any,
    ):
        overrides.need_hypermodel(self, hypermodel)
        arguments.alone()
        self.given_folder = Path(directory or ".", project_name or "untitled_project")  # as typed
        directory = Path(directory or ".").absolute()  # the current one may change
        folder = None if overwrite else directory / (project_name or "untitled_project")
        oracle = Oracle(
            objective,
            seed=arguments.seed(seed, folder),
            max_epochs=max_epochs,
            min_epochs=min_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            try_first=arguments.try_first(try_first),
            max_trials=max_trials,
        )
        self.callback = arguments.callable_or_none("callback", callback)
        self.pool = arguments.pool(workers)
        self.optuna_journal = arguments.optuna_journal(optuna_journal)
        self.optuna_study = optuna_study
        self.folds = whole("folds", folds, 2, None)
        self._made = False
        self._first_model: dict[str, Any] = {}  # what identifies the model with default values
        # Models that other trials may resume in this process.
        self._warm: OrderedDict[Path, keras.Model] = OrderedDict()
        self.here = job.TrialCourse()  # what `run_trial` records its trainings in
        self.course = run_trials.SearchCourse(
            oracle,
            self.folder,
            whole("keep_checkpoints", keep_checkpoints, 0, "all"),
            self.pre_create_trial,
            self.on_trial_begin,
            self.on_trial_end,
        )
        keras_tuner.Tuner.__init__(
            self,
            oracle,
            hypermodel,
            max_model_size=whole("max_model_size", max_model_size, 1, None),
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            distribution_strategy=distribution_strategy,
            directory=directory,
            project_name=project_name,
            logger=logger,
            tuner_id=tuner_id,
            executions_per_trial=whole("executions_per_trial", executions_per_trial, 1),
            **unknown,
        )
        if overwrite:  # now that all arguments are known to be right
            arguments.delete(Path(self.project_dir))
        self._made = True
        if Path(oracle._get_oracle_fname()).exists():  # whichever tuner's
            self.reload()
        self.oracle.verbose = 0

    def search(
        self,
        *fit_args: Any,
        timeout: float | None = None,
        verbose: int | str = "auto",
        **fit_kwargs: Any,
    ) -> "Hyperband":
        """Start or resume a search, and return this tuner.

        Args:
            fit_args: Positional arguments of `training.fit`, which are those of
                `keras.Model.fit`; or of the hypermodel's own `fit` or the tuner's own
                `run_trial`.
            timeout: Seconds after which no further trial is started.
            verbose: 0 for silence; otherwise progress is printed, unless there is a
                callback. If it is given, a `fit` or `run_trial` of the user's own gets it, too.
            fit_kwargs: Further arguments, such as `validation_data`. `epochs` is ignored: the
                search sets it.

        Raises:
            BadInput: if the search in the folder was started with other data, options or
                models, or if the objective is not logged.
            ValueError: if an argument is not what `training.fit` takes.
            RunFailed: if every trial of a first rung failed, or too many in a row, or another
                process searches in the folder, or this one is searching already.
        """
        if timeout is not None and not timeout >= 0:
            raise BadInput(f"timeout: expected at least 0 seconds, got {timeout}")
        limit = keras.config.max_epochs()
        if limit is not None and limit < self.oracle.max_epochs and not self.finished():
            raise BadInput(
                f"max_epochs: expected at most {limit}, because KERAS_MAX_EPOCHS or "
                "keras.config.set_max_epochs ends each training there, "
                f"got {self.oracle.max_epochs}"
            )
        if overrides.takes_anything(self):
            fit_kwargs |= {} if verbose == "auto" else {"verbose": verbose}
        else:
            training.check(*fit_args, **fit_kwargs)
            fit_args, fit_kwargs = (), training.by_name(fit_args) | fit_kwargs
            verbose = fit_kwargs.pop("verbose", verbose)
        if self.folds:
            folds.check(fit_args, fit_kwargs, self.folds)
        begun_with = fingerprint.of_search(self, fit_args, fit_kwargs)
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.lock():
            files.sweep(Path(self.project_dir))
            run_trials.begin(self.course)
            kind = devices.processor_kind()
            elsewhere = self.oracle.take_up(self._first_model | begun_with, kind)
            with (
                self._progress(verbose) as (report, say),
                self.oracle.saved_seldom(),
                self.kept_in_optuna(say) as record,
            ):
                if elsewhere and not self.finished():
                    say(elsewhere)
                self.save()
                self.on_search_begin()
                workers_or_here.train(self, fit_args, fit_kwargs, deadline, (record, report), say)
                winner_files.bring(self, fit_kwargs.get("callbacks"), say)
                self.on_search_end()
        run_trials.need_success(self.oracle, self.project_dir)
        return self

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> list:
        """Train a trial in this process, and return what each of its trainings returned.

        Trials train in worker processes, unless a subclass overrides this method, or one that
        is called during a training.
        """
        shared = dataclasses.replace(
            self.shared(fit_args, fit_kwargs),
            tuner_callbacks=overrides.callbacks(self, trial),
            warm=self._warm,
            quiet=False,
            scope=lambda: stock.maybe_distribute(self.distribution_strategy),
        )
        begun = run_trials.make_job(self.course, trial)
        return job.train(shared, begun, trial.hyperparameters, self.here)

    def on_trial_end(self, trial: Trial) -> None:
        """Report a trial that has ended to the oracle, and save the state."""
        self.oracle.end_trial(trial)
        self.save()

    def save(self) -> None:
        """Write the state atomically."""
        self.oracle.save()
        files.write_json(Path(self._get_tuner_fname()), self.get_state())

    def reload(self) -> None:
        """Load the state of an earlier search with the same settings."""
        self.oracle.reload()
        for trial_id in self.oracle.trials:
            if seconds := history_csv.column(self.folder(trial_id) / names.HISTORY, "seconds"):
                self.course.seconds[trial_id] = float(sum(seconds))

    def load_model(self, trial: Trial) -> keras.Model:
        """Return the model of a trial with the weights of its best epoch.

        Raises:
            BadInput: if the weights were deleted, since the trial was not among the best.
        """
        folder = self.folder(trial.trial_id)
        if not (folder / saved.CHECKPOINT).exists():
            raise BadInput(
                f"trial {trial.trial_id}: its weights are not in {folder}; expected one of the "
                f"best {self.course.keep_checkpoints}, whose weights are kept; keep_checkpoints "
                "sets how many"
            )
        model = self._try_build(trial.hyperparameters)
        with stock.maybe_distribute(self.distribution_strategy):
            saved.read_best(folder, model)
        return model

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return a new model, with the best weights of its parent, if any, as the stock class does.

        Only a `run_trial` of a subclass trains it.
        """
        parent = table.parent(hp.values)
        with stock.maybe_distribute(self.distribution_strategy):
            model = job.build(self.shared((), {}), hp)
            if parent is not None and (self.folder(parent) / saved.CHECKPOINT).exists():
                saved.read_best(self.folder(parent), model)
        return model

    def _activate_all_conditions(self) -> None:
        self._first_model = exploring.explore_models(self.hypermodel, self.oracle)

    def _get_tuner_fname(self) -> str:
        # While the stock constructor runs, one that is not there: it prints that it reads it.
        return super()._get_tuner_fname() + ("" if self._made else ".none")

    def shared(self, fit_args: Sequence, fit_kwargs: Mapping[str, Any]) -> job.Search:
        """Return what all trials of a search have in common."""
        options = {n: v for n, v in fit_kwargs.items() if n not in ("epochs", "initial_epoch")}
        return job.Search(
            self.hypermodel,
            self.oracle.objective,
            fit_args,
            options,
            parts=compiling.replacements(self.optimizer, self.loss, self.metrics),
            max_model_size=self.max_model_size,
            executions=self.executions_per_trial,
            folds=self.folds,
            seed=self.oracle.seed,
            draws=self.oracle.tune_new_entries,
            quiet="verbose" not in options,
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others from searching or confirming in the folder, or with the workers."""
        with self.pool.claimed(), lock.of(Path(self.project_dir)):
            yield

    @contextlib.contextmanager
    def _progress(self, verbose: Any) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
        """Yield a function to call whenever something has happened, and one that says a line."""
        if self.callback is not None or not verbose:
            yield self.callback or (lambda: None), self.course.say
            return
        progress = Progress(self.project_name, self.pool.size)
        progress.announce(self.state(), self.given_folder, bool(self.oracle.end_order))
        with progress, seldom.Seldom(lambda: progress.update(self.state())) as report:
            yield report, progress.say

    @contextlib.contextmanager
    def kept_in_optuna(self, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
        """Keep the Optuna journal up to date, if there is one.

        Yields:
            A function to call whenever something has happened.

        Raises:
            BadInput: if the file is no journal, or cannot be written.
        """
        if self.optuna_journal is None:
            yield lambda: None
            return
        from shared_keras.hyperband import optuna_journal

        name = self.optuna_study or self.project_name
        trainings = self.executions_per_trial * (self.folds or 1)
        with optuna_journal.kept(self.course, self.optuna_journal, name, trainings, say) as record:
            yield record

    def finished(self) -> bool:
        """Return whether there is nothing left to train, as far as `max_trials` goes."""
        tried = bool(self.oracle.end_order) and not self.oracle.all_failed()
        return tried and not self.oracle.open_slots()

    def results(self) -> pd.DataFrame:
        """Return a row per trial, ranked ones first: longest trained, then by score."""
        return view.frame(self.state())

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the tuner."""
        return view.page(self.state(), self.project_name)

    def report(self, path: str | Path) -> Path:
        """Write a page that shows the search in a browser, and return its path.

        All that the page needs is in that one file of 5 MB, so it can be sent to others.

        Args:
            path: A file that ends in ".html"; one that is there is replaced.
        """
        path = Path(path)
        if path.suffix != ".html" or not path.parent.is_dir():
            raise BadInput(
                f"path: expected a file in a folder that exists, NAME.html, got '{path}'"
            )
        folder, axes, state = Path(self.project_dir), self.axes(), self.state()
        facts = [("folder", str(folder)), ("seed", str(self.oracle.seed)), *here()]
        page = SearchPage(folder, self.project_name, facts)
        from shared_keras.reporting.pictures import search_plots  # Matplotlib, scikit-learn

        importances = search_plots.importances(state, axes)
        files.write_bytes(path, page.whole(state, axes, importances=importances))
        return path

    def state(self) -> SearchState:
        """Return the search as it stands, as plain rows."""
        return view.state(self.oracle, self.course, self.finished())

    def ranked(self) -> list[Trial]:
        """Return the completed trials: longest trained first, then by score."""
        return self.oracle.get_best_trials(len(self.oracle.trials))

    def winner(self) -> Trial | None:
        """Return the best of the trials that were trained longest, or None."""
        return next(iter(self.ranked()), None)

    def folder(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return Path(self.get_trial_dir(trial_id))

    def axes(self) -> dict[str, bool]:
        """Return the columns of the search space, each with whether its axis is logarithmic."""
        return table.axes(self.oracle.hyperparameters.space)

    def idle_workers(self) -> list[Worker]:
        """Return the workers that are idle and see the files of this process."""
        if not self.pool.shares_files:
            return []
        busy = [running.worker for running in self.course.running.values()]
        try:
            return [worker for worker in self.pool.workers() if worker not in busy]
        except NoWorkers:
            return []
