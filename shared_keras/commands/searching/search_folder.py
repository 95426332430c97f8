"""The folder of a search: what was there, what is new, and what was confirmed."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from shared_keras.errors import BadInput
from shared_keras.hyperband.resuming import same_search
from shared_keras.reporting import search_report
from shared_keras.results import names
from shared_keras.results.environment import environment
from shared_keras.results.settings import SearchSettings
from shared_keras.results.trials import PICTURES, SearchState, write_trials
from shared_keras.results.winner import Winner


class SearchFolder:
    """The folder of a search, from when a command takes it up until it shows what it wrote.

    The tuner keeps its own files there; this class answers for those that the command writes.

    Args:
        path: The folder.
        settings: The settings of the search.
        logs: Whether to write TensorBoard logs of trials that ended.

    Attributes:
        path: The folder.
        settings: The settings of the search.
        resumed: Whether the search was started before.

    Raises:
        BadInput: if the folder holds a different search.
    """

    def __init__(self, path: Path, settings: SearchSettings, logs: bool = False):
        self.path, self.settings, self._logs = path, settings, logs
        self._dates = search_report.dates(path)
        self.resumed = _was_started(path, settings)
        if not self.resumed:
            environment().write(path)
            settings.write(path)
        self._best = Winner.find(path)
        self._recorded = self._reported = 0

    def begin(self, state: SearchState) -> None:
        """Note what has ended before, and write how many trials are planned.

        Args:
            state: The search before it goes on.
        """
        replace(self.settings, planned=state.total + state.left_out).write(self.path)
        self._recorded = len(state.ended)
        # Ask the files, because an earlier process may have been killed before it wrote them.
        self._reported = self._best.trials if self._best else 0
        if self._logs:  # of trials that ended before logs were asked for
            self._log(state, state.ended)

    def record(self, state: SearchState) -> None:
        """Write the table, and the logs of what has ended since the last call."""
        new = state.ended[self._recorded :]
        if new or not (self.path / names.TRIALS).exists():
            write_trials(self.path, state.rows)
        if self._logs:
            self._log(state, new)
        self._recorded = len(state.ended)

    def has_new(self, state: SearchState) -> bool:
        """Return whether trials have ended of which the files that end a search know nothing."""
        return self._reported < len(state.ended)

    @property
    def was_confirmed(self) -> bool:
        """Whether trials had been confirmed before."""
        return self._best is not None and self._best.confirmed is not None

    def finish(self, state: SearchState, confirmed: pd.DataFrame | None) -> None:
        """Write the table and the winner; remove pictures that are no longer true.

        Args:
            state: The search.
            confirmed: What its confirmation found, if it has one.
        """
        if self.has_new(state):
            write_trials(self.path, state.rows)
        winner = search_report.winner(state, confirmed).trial
        if self.has_new(state) or self._best is None or self._best.trial != winner:
            for name in (names.IMPORTANCE, *PICTURES):  # drawn again, as they are missing
                (self.path / name).unlink(missing_ok=True)
        search_report.write(self.path, state, self.settings, confirmed)

    def show(self, state: SearchState, console: Console, confirmed: pd.DataFrame | None) -> None:
        """Print the best trials, the winner, and what was written since the folder was taken up."""
        search_report.show(self.path, state, console, confirmed, self._dates)

    def _log(self, state: SearchState, trials: Sequence[str]) -> None:
        for row in state.rows:
            if row.trial in trials:
                search_report.write_tensorboard(self.path, row)


def _was_started(path: Path, settings: SearchSettings) -> bool:
    """Return whether the search was started before; reject another one."""
    before = SearchSettings.find(path)
    if before is None:
        if (path / "oracle.json").exists():
            raise BadInput(
                f"argument --name: {path} holds a KerasTuner project that this "
                "command did not create; choose another --name"
            )
        return False
    same_search.refuse_other_settings(asdict(before), asdict(settings), path.name)
    return True
