"""Two runs of several seeds each: is one way of training better than the other?

That is another question than which of two single models is better, which `two_runs` answers.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from shared_keras import files
from shared_keras.comparisons import curves, verdicts
from shared_keras.errors import BadInput
from shared_keras.reporting.console import say
from shared_keras.reporting.pictures import curve_plots
from shared_keras.results import folders, run_folders
from shared_keras.results.history_csv import History
from shared_keras.results.run_folders import Run
from shared_keras.results.settings import RunSettings, penalised
from shared_keras.task import Task


class Group(NamedTuple):
    """The seeds of a run that have ended."""

    name: str
    runs: list[Run]

    @property
    def scores(self) -> list[float]:
        """The test accuracy of each seed."""
        return [run.score("test_accuracy") for run in self.runs]

    @property
    def histories(self) -> list[History]:
        """The history of each seed."""
        return [run.history for run in self.runs]

    @property
    def settings(self) -> RunSettings:
        """Those of the last seed."""
        return self.runs[-1].settings

    @property
    def penalised(self) -> bool:
        """Whether its losses include L2 penalties."""
        return penalised(self.settings.framework, self.settings.system)


def groups(task: Task, names: Sequence[str], results_dir: Path) -> list[Group] | None:
    """Return both runs, or None if one of them has not at least two seeds that have ended.

    Args:
        task: The task.
        names: Names of runs, or their folders.
        results_dir: Folder of the user's results.
    """
    found = [_group(name, results_dir / task.name / "runs") for name in names]
    if any(group is None or len(group.runs) < 2 for group in found):
        return None
    if found[0].name == found[1].name:
        found = [g._replace(name=f"{g.name} ({k})") for g, k in zip(found, ("first", "second"))]
    return found


def _group(name: str, runs: Path) -> Group | None:
    folder = folders.of_run(runs, name)
    if folder is None:
        return None
    ended = []
    by_number = sorted(folder.glob("seed-*"), key=lambda path: (len(path.name), path.name))
    for seed in by_number:
        try:
            ended.append(run_folders.read(seed))
        except BadInput as error:
            say(f"left out: {error}")
    return Group(folder.name, ended) if ended else None


def compare(task: Task, both: Sequence[Group], folder: Path) -> None:
    """Print and write the difference of two runs of several seeds, and draw their curves."""
    a, b = both
    for group in both:
        sd = 100 * statistics.stdev(group.scores)
        mean = 100 * statistics.fmean(group.scores)
        say(f"{group.name}: test accuracy {mean:.2f} % ± {sd:.2f} (n = {len(group.runs)} seeds)")
    written = {
        group.name: {
            "test_accuracy": group.scores,
            "seeds": [run.settings.seed for run in group.runs],
        }
        for group in both
    }
    if why := _incomparable(a, b):
        say(f"their seeds are not compared: {why}")
    else:
        written |= _difference(a, b)
    apart = [
        how
        for metric in curves.COMPARED
        if (metric != "val_loss" or a.penalised == b.penalised)
        and (how := curves.apart(a.histories, b.histories, metric)) is not None
    ]
    for how in apart:
        say(f"mean curves: {how}")
    files.write_json(
        folder / "seeds.json", written | {"curves": [each._asdict() for each in apart]}
    )
    penalties = [group.name for group in both if group.penalised]
    named = {group.name: group.histories for group in both}
    title = f"{task.title}: {a.name} and {b.name} (bands: standard deviation over seeds)"
    files.write_figure(folder / "seeds.png", curve_plots.trainings(named, title, penalties))


def _incomparable(a: Group, b: Group) -> str | None:
    for key, what in (("data", "images"), ("split", "test images")):
        first, second = (getattr(group.settings, key) for group in (a, b))
        if first != second:
            its = f" (splits {first} and {second})" if key == "split" else ""
            return f"they were tested on other {what}{its}"
    return None


def _difference(a: Group, b: Group) -> dict:
    """Print and return the difference of the test accuracies, and the verdict."""
    found = verdicts.difference(a.scores, b.scores)
    verdict = verdicts.verdict(found.p_equal, found.p_different)
    line = (
        f"difference {100 * found.difference:+.2f} points, 95 % interval {100 * found.low:+.2f} to "
        f"{100 * found.high:+.2f} (Welch): {verdict}"
    )
    more = None
    if verdict == verdicts.EQUAL:
        line += f" within {100 * verdicts.MARGIN:g} points (two one-sided tests)"
    elif verdict == verdicts.UNDECIDED and (n := verdicts.more_seeds(a.scores, b.scores)):
        more = {group.name: n - len(group.runs) for group in (a, b)}
        each = " and ".join(dict.fromkeys(map(str, more.values())))
        seeds = "seed" if each == "1" else "seeds"
        line += f"; about {each} more {seeds} each would decide it, if means and deviations stay"
    elif verdict == verdicts.UNDECIDED:
        line += f"; as it looks, not even {verdicts.MOST_SEEDS} seeds each would decide it"
    say(line)
    return found._asdict() | {"verdict": verdict, "more_seeds": more}
