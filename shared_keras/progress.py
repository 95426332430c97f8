"""Show a running search: live on a terminal, plain lines on a pipe."""

import re
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from shared_keras.oracle import own
from shared_keras.places import ENDED

LAYER = re.compile(r"_\d+$")


class Progress:
    """What a person sees of a search. Use as a context around `tuner.search`."""

    def __init__(self, title: str):
        self.console = console()
        self.title = title
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self):
        self.started, self.epochs_before = time.perf_counter(), None
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception):
        if self.console.is_terminal:
            self.live.stop()

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, markup=False, soft_wrap=True)

    def announce(self, tuner, folder, resumed: bool) -> None:
        """Say what is about to happen."""
        done, total = counts(tuner)
        if tuner.finished():
            self.say(f"The search in {folder} is finished: {done} trials.")
        elif resumed:
            self.say(f"Going on with the search in {folder}: {done} of {total} trials done.")
        else:
            epochs = total_epochs(tuner)
            self.say(f"{self.title}: {total} trials, {epochs} epochs, in {folder}.")

    def update(self, tuner) -> None:
        """Show the state of the search."""
        if self.epochs_before is None:
            self.epochs_before = epochs_done(tuner)
            self.said = len(tuner.oracle.end_order)
        done, total = counts(tuner)
        left = self._time_left(tuner)
        if self.console.is_terminal:
            self.live.update(self._view(tuner, done, total, left))
            return
        for trial_id in tuner.oracle.end_order[self.said :]:
            self.said += 1
            self.say(self._line(tuner, trial_id, total, left))

    def _time_left(self, tuner) -> str:
        done = epochs_done(tuner)
        if done == self.epochs_before:
            return "?"
        rate = (time.perf_counter() - self.started) / (done - self.epochs_before)
        return duration(rate * max(0, total_epochs(tuner) - done))

    def _view(self, tuner, done, total, left):
        bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        bar.add_task(f"{self.title}, trials", completed=done, total=total)
        table = Table.grid(padding=(0, 2))
        for trial_id, since in tuner.running.items():
            values = tuner.oracle.trials[trial_id].hyperparameters.values
            epochs = f"epochs {values['tuner/initial_epoch'] + 1} to {values['tuner/epochs']}"
            elapsed = duration(time.perf_counter() - since)
            table.add_row(f"trial {trial_id}", f"{place(values)}, {epochs}, for {elapsed}")
            table.add_row("", settings(values))
        table.add_row("best so far", _best(tuner))
        table.add_row("time left", left)
        return Group(bar, table)

    def _line(self, tuner, trial_id, total, left) -> str:
        trial = tuner.oracle.trials[trial_id]
        score = tuner.oracle.objective.name
        result = trial.status.lower() if trial.score is None else f"{score} {trial.score:.4f}"
        return (
            f"{self.said}/{total}  trial {trial.trial_id}  "
            f"{place(trial.hyperparameters.values)}  {result}  "
            f"[{settings(trial.hyperparameters.values)}]  "
            f"best {_best(tuner)}  left {left}"
        )


def console() -> Console:
    """Return where to print: as wide as the terminal, and wide enough on a pipe."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=160)


def counts(tuner) -> tuple[int, int]:
    """Return how many trials ended and how many there are to be."""
    trials = tuner.oracle.trials
    done = sum(t.status in ENDED for t in trials.values())
    extra = sum("-" in trial_id for trial_id in trials)  # they stand in for failed ones
    return done, sum(r.trials for r in tuner.oracle.schedule()) + extra


def total_epochs(tuner) -> int:
    """Return how many epochs the whole search trains."""
    return sum(r.trials * (r.epochs - r.initial_epoch) for r in tuner.oracle.schedule())


def epochs_done(tuner) -> int:
    """Return how many epochs the trials that ended were to train."""
    values = [t.hyperparameters.values for t in tuner.oracle.trials.values() if t.status in ENDED]
    return sum(v["tuner/epochs"] - v["tuner/initial_epoch"] for v in values)


def place(values) -> str:
    """Name the bracket and the rung of a trial."""
    return f"bracket {values['tuner/bracket']} rung {values['tuner/round']}"


def settings(values) -> str:
    """Write a trial's hyperparameters on one line, those of the layers together."""
    grouped = {}
    for name, value in own(values).items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        grouped.setdefault(LAYER.sub("", name), []).append(text)
    return " ".join(f"{name}={'/'.join(texts)}" for name, texts in grouped.items())


def duration(seconds: float) -> str:
    """Write a duration for people."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _best(tuner) -> str:
    winner = tuner.winner()
    if winner is None:
        return "none yet"
    epochs = winner.hyperparameters.values["tuner/epochs"]
    return f"{winner.score:.4f} (trial {winner.trial_id}, epoch {epochs})"
