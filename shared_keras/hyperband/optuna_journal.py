"""A search as a study of Optuna, in a journal that `optuna-dashboard` and `load_study` open.

A trial of Optuna is a configuration, through all trials of ours that train it. It runs until its
rung is decided; then it is pruned, unless it was promoted. Each time, the study is compared with
the search, and what it lacks is added. So it does not matter when a search was interrupted.
"""

import contextlib
import datetime
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial
from optuna.distributions import BaseDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from shared_keras.errors import BadInput, one_line
from shared_keras.hyperband import arguments, optuna_distributions, table
from shared_keras.hyperband.decisions.rungs import COMPLETED, ENDED, FAILED, parent_of
from shared_keras.hyperband.resuming import same_search
from shared_keras.hyperband.run_trials import SearchCourse
from shared_keras.hyperband.trials import job
from shared_keras.processes.seldom import Seldom
from shared_keras.results import history_csv, names

OF_SEARCH = "shared_keras:search"  # the attribute that says which search a study is
TRIALS = "trials"  # the attribute of a trial that has our numbers


@contextlib.contextmanager
def kept(
    course: SearchCourse, path: Path, name: str, trainings: int, say: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Keep a study up to date, and yield a function to call whenever something has happened.

    Args:
        course: The search.
        path: The journal; other studies in it are left alone.
        name: Name of the study. If another search has it, a number is added.
        trainings: How many times each trial is trained.
        say: Called with a line for people.

    Raises:
        BadInput: if the file is no journal, or cannot be written.
    """
    study = _Study(course, trainings, *_opened(course, path, name, say))
    failed = False

    def write(over: bool = False) -> None:
        nonlocal failed
        if failed:
            return
        try:
            study.write(over)
        except Exception as error:  # the study only shows the search, which goes on
            failed = True
            say(
                f"note: the Optuna journal {path} could not be written ({one_line(error)}); the "
                "same command brings it up to date"
            )

    try:
        with Seldom(write) as seldom:
            seldom()
            yield seldom
    finally:
        write(over=True)


class _Journal(JournalFileBackend):
    """Optuna's file, to which several changes can be added at once."""

    _held: list[dict[str, Any]] | None = None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._held is None:
            super().append_logs(logs)
        else:
            self._held += logs

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Hold back changes, which nobody sees meanwhile, and write them at the end."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self.append_logs(held)


def _opened(
    course: SearchCourse, path: Path, name: str, say: Callable[[str], None]
) -> tuple[_Journal, optuna.storages.JournalStorage, int]:
    """Return the journal, and the number of the search's study in it, which may be new."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = _Journal(str(path))
        _cut_torn_line(path)
        storage = optuna.storages.JournalStorage(journal)
    except OSError as error:
        raise BadInput(
            f"optuna_journal: expected a file that can be written, got {path} ({error.strerror})"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        raise BadInput(
            f"optuna_journal: expected a new file or a journal of Optuna, got {path}, which is none"
        ) from None
    study_name, study_id = _study_of(course, storage, name)
    say(f"Optuna: study {study_name}; to see it: optuna-dashboard {path}")
    return journal, storage, study_id


def _cut_torn_line(path: Path) -> None:
    """Remove the beginning of a line that a full disk left, or Optuna would add to it.

    Raises:
        ValueError: if what is there is no line of a journal.
    """
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        lines, _, torn = path.read_bytes().rpartition(b"\n")
        if torn.startswith(arguments.LOG):
            os.truncate(path, len(lines) + 1 if lines else 0)
        elif torn:
            raise ValueError("the last line is not one of a journal")
    finally:
        lock.release()


def _study_of(
    course: SearchCourse, storage: optuna.storages.JournalStorage, name: str
) -> tuple[str, int]:
    """Return the name and the number of the search's study, which may be new."""
    state = course.oracle.get_state()
    others = {study.study_name: study for study in storage.get_all_studies()}
    chosen, number = name, 1
    while chosen in others:
        recorded = others[chosen].system_attrs.get(OF_SEARCH)
        if recorded and _same(recorded, state):
            break
        number += 1
        chosen = f"{name}-{number}"
    else:
        _create(storage, chosen, course)
    study_id = storage.get_study_id_from_name(chosen)
    kept = (*same_search.DECIDES, "first", "known_first", "begun_with")
    storage.set_study_system_attr(study_id, OF_SEARCH, {key: state[key] for key in kept})
    return chosen, study_id


def _create(storage: optuna.storages.JournalStorage, name: str, course: SearchCourse) -> None:
    objective = course.oracle.objective
    log = logging.getLogger("optuna")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        log.setLevel(logging.WARNING)  # it would say that there is a new study
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize" if objective.direction == "max" else "minimize",
            )
        finally:
            log.setLevel(level)
        study.set_metric_names([objective.name])
    for key in ("max_epochs", "factor", "seed"):
        study.set_user_attr(key, getattr(course.oracle, key))


def _same(recorded: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Return whether a study is that of a search."""
    try:
        same_search.refuse_other_decisions(recorded, state, "")
        same_search.refuse_others_to_train(recorded["begun_with"], state["begun_with"], "")
    except BadInput:
        return False
    return True


class _Study:
    """The study of a search."""

    def __init__(
        self,
        course: SearchCourse,
        trainings: int,
        journal: _Journal,
        storage: optuna.storages.JournalStorage,
        study_id: int,
    ):
        self.course, self.trainings = course, trainings
        self.journal, self.storage, self.study_id = journal, storage, study_id
        self.distributions: dict[str, BaseDistribution] = {}
        self.ids: dict[str, int] = {}  # of Optuna's trials, by the first of ours
        self.done: dict[str, tuple] = {}  # what was written last
        self.left: set[str] = set()  # those that an earlier process left unfinished
        self.replaced: dict[str, int] = {}  # finished trials of Optuna that others replace
        for trial in storage.get_all_trials(study_id, deepcopy=False):
            if ours := trial.user_attrs.get(TRIALS):
                self.ids[ours[0]] = self._id(trial.number)
                if not trial.state.is_finished():
                    self.left.add(ours[0])
                for name, distribution in trial.distributions.items():
                    self.distributions.setdefault(name, distribution)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def write(self, over: bool) -> None:
        """Add what the study lacks.

        Args:
            over: Whether nothing trains any more: then what is not decided waits.
        """
        undecided = TrialState.WAITING if over else TrialState.RUNNING
        dropped = self.course.oracle.dropped()
        changed = {}
        lines = _lines(self.course.oracle.trials)
        for first, line in lines.items():
            now = (len(line), line[-1].status, _state(line[-1], dropped, undecided))
            if self.done.get(first) != now:
                changed[first] = now
        with self.journal.together():
            for first in self.left - lines.keys():  # interrupted; it will start over
                self._set_state(first, TrialState.WAITING, None)
            for first in changed.keys() & self.ids.keys():
                self._change(first, self._wanted(lines[first], changed[first][-1]))
        for first in sorted(changed.keys() - self.ids.keys()):
            wanted = self._wanted(lines[first], changed[first][-1])
            self.ids[first] = self.storage.create_new_trial(self.study_id, wanted)
        self.done |= changed
        self.left.clear()

    def _wanted(self, line: list[Trial], state: TrialState) -> FrozenTrial:
        """Return the trial of Optuna that a line of ours should be."""
        last, place = line[-1], table.bookkeeping(line[-1])
        ended = [trial for trial in line if trial.status in ENDED]
        seconds = [self.course.seconds.get(trial.trial_id, 0.0) for trial in line]
        # Only now is it known which hyperparameters it was given.
        given = ended[-1].hyperparameters if ended else keras_tuner.HyperParameters()
        params, distributions, others = optuna_distributions.split(given, self.distributions)
        attributes: dict[str, Any] = {f"hp/{name}": value for name, value in others.items()}
        attributes |= {
            TRIALS: [trial.trial_id for trial in line],
            "bracket": place.bracket,
            "rung": place.rung,
            "epochs": place.epochs,
            "seconds": round(sum(seconds), 3),
        }
        if last.status == FAILED:
            attributes["reason"] = table.reason(last)
        if line[0].trial_id in self.replaced:
            attributes["instead_of"] = self.replaced[line[0].trial_id]
        scored = state in (TrialState.COMPLETE, TrialState.PRUNED)
        wanted = optuna.create_trial(
            state=state,
            value=float(last.score) if scored else None,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
            intermediate_values=dict(pair for trial in ended for pair in self._values(trial)),
        )
        if state != TrialState.WAITING:
            wanted.datetime_start = self._date(line[0]) - datetime.timedelta(seconds=seconds[0])
        if state.is_finished():
            wanted.datetime_complete = self._date(last)
        return wanted

    def _values(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield the objective of each epoch, from 1: the mean if it was trained several times."""
        folder, objective = self.course.folder(trial.trial_id), self.course.oracle.objective
        series = []
        for number in range(self.trainings):
            with contextlib.suppress(BadInput, KeyError):  # its own loop may log nothing
                history = history_csv.read(folder / job.numbered(names.HISTORY, number))
                rows = (dict(zip(history, row)) for row in zip(*history.values()))
                series.append([float(objective.get_value(row)) for row in rows])
        first = table.bookkeeping(trial).initial_epoch + 1
        for epoch, values in enumerate(zip(*series), first):
            yield epoch, sum(values) / len(values)

    def _date(self, trial: Trial) -> datetime.datetime:
        """Return when a trial ended or, if it runs, the present."""
        if trial.status in ENDED:
            file = self.course.folder(trial.trial_id) / "trial.json"
            with contextlib.suppress(OSError):
                return datetime.datetime.fromtimestamp(file.stat().st_mtime)
        running = self.course.running.get(trial.trial_id)
        elapsed = time.perf_counter() - running.since if running else 0.0
        return datetime.datetime.now() - datetime.timedelta(seconds=elapsed)

    def _change(self, first: str, wanted: FrozenTrial) -> None:
        """Add to a trial of Optuna what it lacks. One that is finished cannot be changed."""
        trial_id, storage = self.ids[first], self.storage
        have = storage.get_trial(trial_id)
        if have.state.is_finished():
            if _differs(have, wanted):  # others failed, so it was promoted after all
                self.replaced[first] = have.number
                del self.ids[first]
            return
        for epoch, value in wanted.intermediate_values.items():
            if epoch not in have.intermediate_values:
                storage.set_trial_intermediate_value(trial_id, epoch, value)
        for name, distribution in wanted.distributions.items():
            if name not in have.params:
                inner = distribution.to_internal_repr(wanted.params[name])
                storage.set_trial_param(trial_id, name, inner, distribution)
        for key, value in wanted.user_attrs.items():
            if have.user_attrs.get(key) != value:
                storage.set_trial_user_attr(trial_id, key, value)
        self._set_state(first, wanted.state, wanted.value)

    def _set_state(self, first: str, state: TrialState, value: float | None) -> None:
        have = self.storage.get_trial(self.ids[first])
        if have.state != state and not have.state.is_finished():
            values = None if value is None else [value]
            self.storage.set_trial_state_values(self.ids[first], state, values)


def _lines(trials: Mapping[str, Trial]) -> dict[str, list[Trial]]:
    """Return each configuration as the trials that train it in turn, by the first of them."""
    promoted = {parent_of(trial): trial for trial in trials.values()}
    lines = {}
    for first, trial in sorted(trials.items()):
        if parent_of(trial) is None:
            lines[first] = line = [trial]
            while line[-1].trial_id in promoted:
                line.append(promoted[line[-1].trial_id])
    return lines


def _state(last: Trial, dropped: set[str], undecided: TrialState) -> TrialState:
    """Return the state of a configuration, given the last trial that trained it."""
    place = table.bookkeeping(last)
    if last.status == FAILED:
        return TrialState.FAIL
    if last.status == COMPLETED and place.rung == place.bracket:  # there is no rung above
        return TrialState.COMPLETE
    return TrialState.PRUNED if last.trial_id in dropped else undecided


def _differs(have: FrozenTrial, wanted: FrozenTrial) -> bool:
    """Return whether a finished trial of Optuna is not how the search has ended or goes on."""
    before, now = have.user_attrs[TRIALS], wanted.user_attrs[TRIALS]
    if before == now:
        return wanted.state.is_finished() and wanted.state != have.state
    return now != before[: len(now)]
