"""Show a running search: live on a terminal, plain lines on a pipe."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from shared_keras import devices, words
from shared_keras.reporting.console import BelowTheLines, fold
from shared_keras.results.trials import SearchState, TrialRow

LAYER = re.compile(r"_\d+$")


class Progress(BelowTheLines):
    """The display of a running search. Use it as a context manager around `tuner.search`.

    Args:
        title: What is searched.
        workers: Returns the number of workers.
    """

    def __init__(self, title: str, workers: Callable[[], int]):
        super().__init__()
        self.title, self.workers = title, workers
        self.shown: set[str] = set()  # ended trials, shown or of an earlier run

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(fold(line, self.console), soft_wrap=True)

    def announce(self, state: SearchState, folder: Path, resumed: bool) -> None:
        """Say what is about to happen."""
        self.shown = set(state.ended)
        backend = devices.BACKENDS.get(devices.backend(), devices.backend())
        if state.finished and state.left_out:
            planned = state.total + state.left_out
            self.say(
                f"The search in {folder} has {len(state.ended)} of {planned} trials, and with "
                "this limit on their number nothing is left to train."
            )
        elif state.finished:
            self.say(
                f"The search in {folder} is finished: {words.count(len(state.ended), 'trial')}."
            )
        elif resumed:
            done = f"{len(state.ended)} of {state.total} trials done"
            self.say(f"Resuming the search in {folder} on {backend}: {done}.")
        else:
            epochs = sum(stop - start for start, stop in state.waiting)
            trials = f"{words.count(state.total, 'trial')}, {words.count(epochs, 'epoch')}"
            self.say(f"{self.title}: {trials}, on {backend}, in {folder}.")

    def update(self, state: SearchState) -> None:
        """Show the state of the search."""
        if self.is_live:
            self.redraw(self.view(state))
            return
        rows = {row.trial: row for row in state.rows}
        for number, trial in enumerate(state.ended, 1):
            if trial not in self.shown:
                self.shown.add(trial)
                self.say(self._line(state, rows[trial], number))

    def _time_left(self, state: SearchState) -> str:
        seconds = seconds_left(state, self.workers())
        return "?" if seconds is None else duration(seconds)

    def view(self, state: SearchState) -> Group:
        table = Table.grid(padding=(0, 2))
        for row in state.rows:
            if row.trial in state.running:
                elapsed = duration(state.running[row.trial])
                where = f"{row.place}, {epoch_text(state, row)}, for {elapsed}"
                table.add_row(f"trial {row.trial}", where)
                table.add_row("", Settings(row.hyperparameters))
        table.add_row("best", best_so_far(state))
        table.add_row("time left", self._time_left(state))
        return self.bar(f"{self.title}, trials", len(state.ended), state.total, table)

    def _line(self, state: SearchState, row: TrialRow, number: int) -> str:
        scored = row.score is not None
        result = f"{state.objective} {row.score:.4f}" if scored else row.status.lower()
        return (
            f"{number}/{state.total}  trial {row.trial}  {row.place}  {result}  "
            f"[{settings(row.hyperparameters)}]  "
            f"best {best_so_far(state)}  left {self._time_left(state)}"
        )


def seconds_left(state: SearchState, workers: int) -> float | None:
    """Estimate the seconds a search still takes, or return None until its first trial ends.

    A trial has a cost per epoch and, unless it resumes another, a fixed cost for building and
    compiling its model. Both are fitted to the trials that ended.

    Args:
        state: The search.
        workers: Number of worker processes.
    """
    ended = [row for row in state.rows if row.seconds and row.trial not in state.running]
    if not ended:
        return None
    costs = np.array([_costs(row.initial_epoch, row.epochs) for row in ended], float)
    seconds = np.array([row.seconds for row in ended])
    cost, _, rank, _ = np.linalg.lstsq(costs, seconds, rcond=None)
    if rank < 2 or cost.min() < 0:
        cost = np.array([0, seconds.sum() / costs[:, 1].sum()])
    running = {row.trial: row for row in state.rows if row.trial in state.running}
    left = [cost @ _costs(*span) for span in state.waiting] + [
        max(0.0, cost @ _costs(row.initial_epoch, row.epochs) - state.running[trial])
        for trial, row in running.items()
    ]
    return max(sum(left) / workers, max(left, default=0.0))


def _costs(initial_epoch: int, epochs: int) -> tuple[int, int]:
    """Return how many models are compiled, and how many epochs are trained."""
    return int(initial_epoch == 0), epochs - initial_epoch


class Settings:
    """Hyperparameters in a cell of a table.

    Lines break at spaces, and between the values of a list only if it is too long for a line.
    """

    def __init__(self, hyperparameters: Mapping):
        self.words = settings(hyperparameters).split(" ")

    def __rich_console__(self, screen: Console, options: ConsoleOptions) -> Iterator[Text]:
        line = ""
        for word in self.words:
            whole = len(word) <= options.max_width
            for piece in [word] if whole else _values(word):
                if line and len((line + piece).rstrip()) > options.max_width:
                    yield Text(line.rstrip())
                    line = ""
                line += piece
            line += " "
        yield Text(line.rstrip())

    def __rich_measure__(self, screen: Console, options: ConsoleOptions) -> Measurement:
        pieces = [piece for word in self.words for piece in _values(word)]
        return Measurement(max(map(len, pieces)), len(" ".join(self.words)))


def _values(word: str) -> list[str]:
    """Return the values of a list such as "a=1/2/3", each with what must stand beside it."""
    return re.findall(r"[^/]+/?", word) or [""]


def value(given: Any) -> str:
    """Format a hyperparameter for people; files have all digits."""
    return f"{given:.6g}" if isinstance(given, float) else str(given)


def settings(hyperparameters: Mapping) -> str:
    """Format hyperparameters on one line, grouping those of the layers."""
    grouped: dict[str, list[str]] = {}
    for name, value in hyperparameters.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        grouped.setdefault(LAYER.sub("", name), []).append(text)
    return " ".join(f"{name}={'/'.join(texts)}" for name, texts in grouped.items())


def duration(seconds: float) -> str:
    """Format a duration in seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def epoch_text(state: SearchState, row: TrialRow) -> str:
    if row.trial in state.epoch_of:
        return f"epoch {state.epoch_of[row.trial]} of {row.epochs}"
    return f"epochs {row.initial_epoch + 1} to {row.epochs}"


def best_so_far(state: SearchState) -> str:
    """Describe the best of the longest trainings and, if it is better still, that of all."""
    if state.best is None:
        return "none yet"
    sign = 1 if state.direction == "max" else -1
    of_all = max(state.ranked, key=lambda row: sign * row.score)
    rows = [state.best] if of_all.score == state.best.score else [state.best, of_all]
    return ", ".join(
        f"after {words.count(row.epochs, 'epoch')} {row.score:.4f} (trial {row.trial})"
        for row in rows
    )
