"""A search as plain rows: what trials.csv holds, and what reports and pictures use."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from shared_keras import files
from shared_keras.results import names

PICTURES = ("importance.png", "parallel.png", "search.png")  # in the order of drawing
REASON = 300  # characters of a reason at most; trial.json has the traceback


@dataclass(frozen=True)
class TrialRow:
    """A trial that was started.

    Attributes:
        trial: Its number, such as "0012".
        bracket: KerasTuner's number of the bracket, which counts down to 0.
        rung: The rung in it, from 0.
        initial_epoch: The epoch where it starts, from 0.
        epochs: The epoch where it stops.
        parent: The trial that it resumes, if any.
        score: The objective in its best epoch, or None.
        seconds: How long it trained, or None.
        status: "RUNNING", "COMPLETED" or "FAILED".
        reason: Why it failed, in one line, or None.
        hyperparameters: Values by name, without KerasTuner's own.
    """

    trial: str
    bracket: int
    rung: int
    initial_epoch: int
    epochs: int
    parent: str | None
    score: float | None
    seconds: float | None
    status: str
    reason: str | None
    hyperparameters: Mapping[str, int | float | str | bool]

    @property
    def place(self) -> str:
        """The bracket and the rung, for people."""
        return f"bracket {self.bracket} rung {self.rung}"

    def to_csv(self) -> dict[str, Any]:
        """Return its row in trials.csv."""
        row = {name: getattr(self, name) for name in COLUMNS}
        return row | {column(name): value for name, value in self.hyperparameters.items()}


COLUMNS = tuple(field.name for field in fields(TrialRow) if field.name != "hyperparameters")


class Span(NamedTuple):
    """When and where a trial trained.

    Attributes:
        worker: Name of the worker.
        began: In seconds since 1970, like the next.
        ended: When its result was recorded.
    """

    worker: str
    began: float
    ended: float


class PlannedRung(NamedTuple):
    """A rung as it is planned.

    Attributes:
        run: Number of its bracket, counted from the start of the search.
        bracket: KerasTuner's number of it, which counts down to 0.
        rung: Number of the rung in it.
        first: Number of its first trial.
        trials: How many it has; those that replace others share the last one's number.
        initial_epoch: The epoch where they start.
        epochs: The epoch where they stop.
    """

    run: int
    bracket: int
    rung: int
    first: int
    trials: int
    initial_epoch: int
    epochs: int


@dataclass(frozen=True)
class SearchState:
    """A search at one moment.

    Attributes:
        objective: Name of the metric.
        direction: "max" or "min".
        rows: The trials that were started, by number.
        ended: Numbers of the trials that ended, in that order.
        ranked: The completed trials: longest trained first, then by score.
        running: For how many seconds each running trial has trained.
        waiting: Initial epoch and epochs of each trial that has not started.
        finished: Whether nothing is left to train.
        left_out: How many trials of the plan a limit on their number leaves out.
        epoch_of: The epoch, from 1, that each running trial is in, where it is known.
        spans: When and where each trial trained that has ended, where it is known.
        plan: All rungs.
    """

    objective: str
    direction: str
    rows: Sequence[TrialRow]
    ended: Sequence[str]
    ranked: Sequence[TrialRow]
    running: Mapping[str, float]
    waiting: Sequence[tuple[int, int]]
    finished: bool
    left_out: int = 0
    epoch_of: Mapping[str, int] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    plan: Sequence[PlannedRung] = ()

    @property
    def best(self) -> TrialRow | None:
        """The best of the trials that were trained longest."""
        return next(iter(self.ranked), None)

    @property
    def failed(self) -> list[TrialRow]:
        """The trials that failed."""
        return [row for row in self.rows if row.status == "FAILED"]

    @property
    def total(self) -> int:
        """How many trials there will be, including those that replace failed ones."""
        begun = {row.trial for row in self.rows}
        return len(begun | {*self.ended}) + len(self.waiting)


def column(name: str) -> str:
    """Return the column of a hyperparameter in a table of trials: its name, if that is free.

    `score` becomes `hp/score`, and `hp/score` becomes `hp/hp/score`, so that they stay apart.
    """
    return f"hp/{name}" if re.sub("^(hp/)+", "", name) in COLUMNS else name


def write_trials(folder: Path, rows: Sequence[TrialRow]) -> None:
    """Write trials.csv."""
    files.write_csv(folder / names.TRIALS, [row.to_csv() for row in rows])


def last_line(text: str) -> str:
    """Return the last line of a text, such as a traceback, or nothing of none.

    It is without the codes that colour a terminal, and of 300 characters at most.
    """
    line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).strip().rpartition("\n")[2]
    return line if len(line) <= REASON else f"{line[: REASON - 1].rstrip()}…"
