"""A `keras_tuner.Hyperband` that trains fast and that a crash cannot hurt.

The folder it writes is KerasTuner's: a stock `keras_tuner.Hyperband` opens it. What
differs from the stock class:

- a trial trains with `shared_keras.training.fit`;
- a promoted trial goes on exactly where its parent stopped (weights, optimizer,
  seeds of the dropout layers, order of the images); the stock class loads the
  parent's best epoch, counts from its last, and starts the optimizer afresh;
- everything random follows from the seed, 0 included;
- files are written whole or not at all, and a trial that was cut off is run again
  without its stale observations;
- a trial that raises, or whose loss is NaN or infinite, is recorded as failed with
  its reason; it costs its own place in the next rung, not the rung;
- checkpoints that nothing can need any more are deleted.
"""

import gc
import math
import time
import traceback
from pathlib import Path

import keras
import keras_tuner
from keras_tuner.errors import FatalError

from shared_keras import checkpoints, runs, training
from shared_keras.oracle import COMPLETED, FAILED, Oracle, mix
from shared_keras.space import Space


class Hyperband(keras_tuner.Hyperband):
    """The tuner; see the module. `search` takes what `training.fit` takes.

    Args:
        hypermodel: `build(hp)`, which returns a compiled model.
        objective: Name of a metric, such as "val_accuracy"; a loss is to fall, all
            others are to rise.
        max_epochs: Epochs of the longest training.
        factor: Reduction factor.
        hyperband_iterations: How often to run all brackets.
        seed: Decides everything random.
        metrics: Metrics to compile the models with instead of their own.
        directory: Folder that holds the project's.
        project_name: Name of the project's folder.
        callback: Called without arguments whenever something happened: at the
            start and the end of a trial, and after each epoch.
    """

    def __init__(
        self,
        hypermodel,
        objective,
        max_epochs,
        factor,
        hyperband_iterations=1,
        seed=0,
        metrics=None,
        directory=None,
        project_name=None,
        callback=lambda: None,
    ):
        direction = "min" if objective.endswith("loss") else "max"
        oracle = Oracle(
            keras_tuner.Objective(objective, direction),
            seed=seed,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
        )
        self.callback = callback
        self.running = None  # the trial that trains, and its history so far
        self.history = {}
        keras_tuner.Tuner.__init__(
            self,
            oracle,
            hypermodel,
            metrics=metrics,
            directory=directory,
            project_name=project_name,
        )
        self.oracle.verbose = 0
        self.save()  # so that a crash in the first trial leaves what resumes

    def save(self):
        """Write the state, whole or not at all."""
        self.oracle.save()
        runs.write_json(Path(self._get_tuner_fname()), self.get_state())

    def folder(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return Path(self.get_trial_dir(trial_id))

    def ranked(self) -> list:
        """Return the completed trials: longest trained first, then by score."""
        sign = -1 if self.oracle.objective.direction == "max" else 1
        return sorted(
            (t for t in self.oracle.trials.values() if t.status == COMPLETED),
            key=lambda t: (-t.hyperparameters.values["tuner/epochs"], sign * t.score, t.trial_id),
        )

    def winner(self):
        """Return the best of the trials that were trained longest, or None."""
        return next(iter(self.ranked()), None)

    def on_search_begin(self):
        """Make the stock class's garbage collections before each trial cheap."""
        gc.collect()
        gc.freeze()

    def on_search_end(self):
        """Undo that."""
        gc.unfreeze()

    def on_trial_begin(self, trial):
        """Tell the caller."""
        self.running, self.history = trial, {}
        self.callback()

    def _try_run_and_update_trial(self, trial, *fit_args, **fit_kwargs):
        # The stock method prints the traceback, and ends its message with whatever
        # the backend added below the error; here the last line is the reason.
        try:
            self._run_and_update_trial(trial, *fit_args, **fit_kwargs)
            trial.status = COMPLETED
        except (FatalError, OSError):  # a full disk is not the trial's fault
            raise
        except Exception as error:
            trial.status = FAILED
            reason = " ".join(str(error).split())
            trial.message = f"{traceback.format_exc()}\n{type(error).__name__}: {reason}"

    def run_trial(self, trial, x, y, **fit_kwargs):
        """Train one trial from where its parent stopped; see `Tuner.run_trial`."""
        values = trial.hyperparameters.values
        started = time.perf_counter()
        seed = self._seed_of(trial)
        training.seed_layers(seed)
        model = self._try_build(trial.hyperparameters)
        if parent := values.get("tuner/trial_id"):
            checkpoints.load(self.folder(parent) / checkpoints.STATE, model)
        keeper = _Keeper(self, started)
        options = fit_kwargs | {
            "initial_epoch": values["tuner/initial_epoch"],
            "epochs": values["tuner/epochs"],
            "callbacks": [*self._deepcopy_callbacks(fit_kwargs.get("callbacks", [])), keeper],
            "seed": seed,
        }
        if isinstance(self.hypermodel, Space):
            options = self.hypermodel.options(trial.hyperparameters, options)
        try:
            history = training.fit(model, x, y, **options)
        finally:
            runs.write_history(
                self.folder(trial.trial_id) / "history.csv",
                self.history,
                first=values["tuner/initial_epoch"] + 1,
            )
        if values["tuner/round"] < values["tuner/bracket"]:
            checkpoints.save(self.folder(trial.trial_id) / checkpoints.STATE, model)
        runs.write_json(
            Path(self._get_build_config_fname(trial.trial_id)), model.get_build_config()
        )
        model.set_weights(keeper.best_weights)
        checkpoints.save_weights(Path(self._get_checkpoint_fname(trial.trial_id)), model)
        return history

    def on_trial_end(self, trial):
        """Record the trial, then delete the checkpoints that nobody needs."""
        super().on_trial_end(trial)
        self.running = None
        self._prune()
        self.callback()

    def _build_hypermodel(self, hp):
        # Not Hyperband's: `run_trial` restores the parent, and all of it.
        return keras_tuner.Tuner._build_hypermodel(self, hp)

    def _lineage(self, trial):
        """Return a trial, its parent, its parent's parent, and so on."""
        lineage = []
        while trial is not None:
            lineage.append(trial)
            parent = trial.hyperparameters.values.get("tuner/trial_id")
            trial = self.oracle.trials.get(parent)
        return lineage

    def _seed_of(self, trial) -> int:
        """Return the seed that a trial shares with its ancestors."""
        first = int(self._lineage(trial)[-1].trial_id)
        return mix(self.oracle.seed, first)

    def _prune(self) -> None:
        """Keep what a promotion needs, and the best weights with their ancestors'."""
        promotable = self.oracle.promotable()
        kept = set(promotable)
        for trial in (self.winner(), *self.oracle.get_best_trials(1)):
            kept |= {ancestor.trial_id for ancestor in self._lineage(trial)}
        for trial_id in self.oracle.trials:
            if trial_id not in promotable:
                (self.folder(trial_id) / checkpoints.STATE).unlink(missing_ok=True)
            if trial_id not in kept:
                Path(self._get_checkpoint_fname(trial_id)).unlink(missing_ok=True)


class _Keeper(keras.callbacks.Callback):
    """Records each epoch, keeps the best weights in memory, stops at a bad loss."""

    def __init__(self, tuner, started):
        super().__init__()
        self.tuner, self.started = tuner, started
        self.best_value = self.best_weights = None

    def on_epoch_end(self, epoch, logs=None):
        objective = self.tuner.oracle.objective
        now = time.perf_counter()
        for name, value in (logs | {"seconds": now - self.started}).items():
            self.tuner.history.setdefault(name, []).append(value)
        self.started = now
        if not all(math.isfinite(value) for value in logs.values()):
            bad = next(name for name, value in logs.items() if not math.isfinite(value))
            raise ArithmeticError(f"{bad} became {logs[bad]} in epoch {epoch + 1}")
        value = objective.get_value(logs)
        if self.best_value is None or objective.better_than(value, self.best_value):
            self.best_value, self.best_weights = value, self.model.get_weights()
        self.tuner.callback()
