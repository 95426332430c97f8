"""The page of a search."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from shared_keras.errors import BadInput
from shared_keras.reporting.pages import page
from shared_keras.reporting.pages.facts import Facts, data, of_environment
from shared_keras.reporting.pictures.curve_plots import NO_METRICS
from shared_keras.results import history_csv, names
from shared_keras.results.settings import SearchSettings
from shared_keras.results.trials import COLUMNS, SearchState, TrialRow, column

KIND = "search"
CONFIRMED = ["trial", "score", "mean", "sd", "n"]
SHARE = 0.02  # of the time, which is to be written at most while trials train
STALE = 60  # seconds without news, beyond what SHARE asks for, after which it may have stopped


def facts(settings: SearchSettings, folder: Path) -> Facts:
    """Return what decided a search, and on what it ran."""
    schedule = f"up to {settings.max_epochs} epochs, factor {settings.factor}"
    decided = [
        data(settings.title, settings.split, settings.data),
        ("space", settings.space),
        ("schedule", schedule + f", {settings.iterations} times" * (settings.iterations > 1)),
        ("batch size", str(settings.batch_size)),
        ("tried first", settings.try_first or ""),
        ("seed", str(settings.seed)),
    ]
    return of_environment(folder, [fact for fact in decided if fact[1]])


class SearchPage:
    """The page of a search.

    Args:
        folder: The folder of the search.
        title: What was searched.
        facts: What decided it, and on what it ran.
    """

    def __init__(self, folder: Path, title: str, facts: Facts):
        self.folder, self.title, self.facts = folder, title, facts
        self._ended: dict[str, str] = {}  # the trials that ended, as JavaScript

    def begin(self, home: Path) -> None:
        """Write the page itself. For `home` see `page.write`."""
        page.write(self.folder, KIND, self.title, home)

    def write(self, *state: Any, **more: Any) -> None:
        """Write what the page shows; the arguments are those of `values`."""
        page.write_data(self.folder, self.values(*state, **more))

    def whole(self, *state: Any, **more: Any) -> bytes:
        """Return a page that holds all it needs; the arguments are those of `values`."""
        return page.whole(KIND, self.title, self.values(*state, **more))

    def values(
        self,
        state: SearchState,
        axes: Mapping[str, bool],
        confirmed: pd.DataFrame | None = None,
        importances: pd.DataFrame | None = None,
        under_way: bool = False,
    ) -> str:
        """Return what the page shows, as JavaScript.

        Args:
            state: The search.
            axes: For each hyperparameter, by column, whether its axis is logarithmic.
            confirmed: What `hyperband.confirm.retrain` returned, if it was called.
            importances: What `hyperparameter_plots.importance` returned, if it is known.
            under_way: Whether it is searching.
        """
        best = state.best.trial if state.best else None
        ends = [span.ended for span in state.spans.values()]
        text = page.script(
            {
                "title": self.title,
                "facts": self.facts,
                "objective": state.objective,
                "direction": state.direction,
                "total": state.total,
                "left_out": state.left_out,
                "finished": state.finished,
                "under_way": under_way,
                "written": int(time.time() if under_way else max(ends, default=0)) or None,
                "winner": best if confirmed is None else confirmed.trial[0],
                "confirmed": None if confirmed is None else _rows(confirmed[CONFIRMED]),
                "importances": _rows(importances),
                "axes": axes,
                "plan": [rung._asdict() for rung in state.plan],
            }
        )
        began = time.perf_counter()
        trials = ",".join(self._trial(row, state) for row in state.rows)
        within = round(STALE + (time.perf_counter() - began) / SHARE)  # of a large search, long
        return f'{text[:-1]},"news_within":{within if under_way else "null"},"trials":[{trials}]}}'

    def _trial(self, row: TrialRow, state: SearchState) -> str:
        """Return a trial as JavaScript; what it left is read once, when it has ended."""
        if row.trial in self._ended:
            return self._ended[row.trial]
        told = {name: getattr(row, name) for name in COLUMNS}
        told["values"] = {column(name): value for name, value in row.hyperparameters.items()}
        told["span"] = state.spans.get(row.trial)
        told["curves"] = {}
        ended = row.trial not in state.running
        told["epoch"] = None if ended else state.epoch_of.get(row.trial)
        if ended:
            told["curves"] = _curves(self.folder / f"trial_{row.trial}" / names.HISTORY)
        text = page.script(told)
        if ended:
            self._ended[row.trial] = text
        return text


def _curves(path: Path) -> dict[str, list[float]]:
    """Return what a trial measured in each epoch that it trained, if it trained one."""
    try:
        curves = history_csv.read(path)
    except BadInput:  # it failed before its first epoch had ended
        return {}
    return {metric: curves[metric] for metric in curves if metric not in NO_METRICS}


def _rows(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    return None if table is None else table.reset_index().to_dict("records")
