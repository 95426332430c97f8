"""How the oracle writes its files, and how often."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras import files
from shared_keras.processes.seldom import Seldom

OF_TRIAL = ("trial_id", "hyperparameters", "metrics", "score", "best_step", "status", "message")


class SavingOracle(keras_tuner.oracles.HyperbandOracle):
    """The stock oracle, with files that are whole or absent.

    A trial is written when it begins and ends, and nothing else is needed to resume. The state,
    which names all trials, grows with their number.
    """

    _seldom: Seldom | None = None

    def save(self) -> None:
        """Write the state atomically."""
        (self._seldom or self._write)()

    def _write(self) -> None:
        files.write_json(Path(self._get_oracle_fname()), self.get_state())

    @contextlib.contextmanager
    def saved_seldom(self) -> Iterator[None]:
        """Have `save` write so seldom that it takes a tenth of the time, and again at the end.

        What it leaves out, `catch_up` writes once it is time.
        """
        with Seldom(self._write) as self._seldom:
            try:
                yield
            finally:
                self._seldom = None

    def catch_up(self) -> None:
        """Write the state if `save` has left it out and it is time."""
        if self._seldom:
            self._seldom.catch_up()

    def _save_trial(self, trial: Trial) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        files.write_json(path, trial.get_state())

    def _saved(self) -> tuple[dict[str, Any], set[str]]:
        """Read the state, and the statuses of all trials.

        Raises:
            BadInput: if a file is not what was written.
        """
        path = Path(self._get_oracle_fname())
        state = files.read_object(path, "hyperparameters")
        trials = path.parent.glob("trial_*/trial.json")
        return state, {files.read_object(trial, *OF_TRIAL)["status"] for trial in trials}
