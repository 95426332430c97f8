"""What the tuner keeps of the stock class, with this package's way to build, save and load."""

from pathlib import Path

import keras
import keras_tuner
from keras_tuner import errors
from keras_tuner.engine import tuner as stock

from shared_keras import files, training
from shared_keras.errors import BadInput
from shared_keras.hyperband import table
from shared_keras.hyperband.decisions import exploring
from shared_keras.hyperband.resuming import fingerprint
from shared_keras.hyperband.space import Space
from shared_keras.hyperband.trials import job, saved
from shared_keras.results import history_csv, names
from shared_keras.systems.spec import System


class BaseTuner(keras_tuner.Hyperband):
    """The methods that KerasTuner itself calls; `tuner.Hyperband` does the searching."""

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
            if seconds := history_csv.column(self.folder(trial_id) / names.HISTORY, "seconds"):
                self.course.seconds[trial_id] = float(sum(seconds))

    def _get_tuner_fname(self):
        # While the stock constructor runs, one that is not there: it prints that it reads it.
        return super()._get_tuner_fname() + ("" if self._made else ".none")

    def begun(self) -> bool:
        """Return whether the folder holds a search, whichever tuner's."""
        return Path(self.oracle._get_oracle_fname()).exists()

    def _activate_all_conditions(self):
        hypermodel = self.hypermodel
        # A space need not build a model to declare its hyperparameters.
        make = hypermodel.describe if isinstance(hypermodel, Space) else hypermodel.build

        declared = self.oracle.get_space()

        def build(hp):
            nonlocal declared
            declared = hp
            model = make(hp)
            if isinstance(model, keras.Model | System):  # others are refused when they are trained
                self._first_model = self._first_model or {
                    "model": fingerprint.of_model(model),
                    "functions of the model": fingerprint.of_functions(model),
                }

        try:
            with training.random_state_restored():
                training.seed_globals(self.oracle.seed)  # or random draws would change the model
                exploring.explore(build, self.oracle)
        except errors.FailedTrialError:  # a constraint; what it hides is drawn in the trials
            self.oracle.update_space(declared)

    def on_trial_end(self, trial):
        """Report a trial that has ended to the oracle, and save the state."""
        self.oracle.end_trial(trial)
        self.save()

    def load_model(self, trial):
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

    def _build_hypermodel(self, hp):
        """Return a new model, with the best weights of its parent, if any, as the stock class does.

        Only a `run_trial` of a subclass trains it.
        """
        parent = table.parent(hp.values)
        with stock.maybe_distribute(self.distribution_strategy):
            model = job.build(self.shared((), {}), hp)
            if parent is not None and (self.folder(parent) / saved.CHECKPOINT).exists():
                saved.read_best(self.folder(parent), model)
        return model
