"""The slots of a Hyperband search, and which of them can be filled when.

Pure functions of the plan and of the trials so far: nothing here depends on time.

The algorithm as its paper has it (Li et al., JMLR 18, 2018), and where each step is:

    R, the most of the resource; η                 max_epochs, in epochs; factor
    for s = s_max, ..., 0                          Oracle._plan: a bracket, which KerasTuner calls s
      n configurations, r each                     trials and epochs of the bracket's first Rung
      T = get_hyperparameter_configuration(n)      Oracle.draws: from the seed of each trial
      for i = 0, ..., s                            Oracle._plan: a Rung for each i
        n_i configurations, r_i each               Rung.trials, Rung.epochs
        L = run_then_return_val_loss(t, r_i)       trials/job.run, which resumes the parent
        T = top_k(T, L, n_i / η)                   _fill: the `ranked` best become parents
    return the best one seen                       longest_first: the best of those trained longest

The paper runs one step after the other. Several workers need to know what can be done now, so
each t of each T has a Slot, and `open_slots` returns those that nothing has to be waited for:
a rung opens when the one below has ended, and brackets do not wait for each other. A trial that
failed leaves L; `open_slots` replaces it where fewer than k would be left. Sizes are KerasTuner's,
which rounds up where the paper rounds down.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras.hyperband import table

RUNNING, INVALID, COMPLETED, FAILED = "RUNNING", "INVALID", "COMPLETED", "FAILED"
ENDED = (COMPLETED, FAILED)


@dataclass(frozen=True)
class Rung:
    """One rung of one bracket: how many trials it holds, and which epochs they train.

    Attributes:
        key: Number of the bracket, counted from the start of the search, and of the rung in it.
        bracket: KerasTuner's number of the bracket, which counts down to 0.
        first_number: Number of its first trial.
        trials: Planned number of trials.
        initial_epoch: Epoch at which they start.
        epochs: Epoch at which they stop.
    """

    key: tuple[int, int]
    bracket: int
    first_number: int
    trials: int
    initial_epoch: int
    epochs: int

    @property
    def most(self) -> int:
        """How many trials it can hold, including replacements for failed ones."""
        return 2 * self.trials + 8

    @cached_property
    def trial_ids(self) -> list[str]:
        """The names of all trials that it can hold, by index."""
        return [Slot(self, index).trial_id for index in range(self.most)]


@dataclass(frozen=True)
class Slot:
    """Where a trial belongs: a rung, the index in it, and the trial it resumes, if any."""

    rung: Rung
    index: int
    parent: str | None = None

    @property
    def number(self) -> int:
        """The number of the trial; those beyond the rung's size share the last one."""
        return self.rung.first_number + min(self.index, self.rung.trials - 1)

    @property
    def trial_id(self) -> str:
        """The trial's name: its number, with a suffix beyond the rung's size."""
        return _trial_id(self.number, max(self.index - self.rung.trials + 1, 0))


Plan = Mapping[tuple[int, int], Rung]  # by key, in the order of their trials' numbers


def begun_trials(rung: Rung, trials: Mapping[str, Trial]) -> dict[int, Trial]:
    """Return the trials of a rung that have started, by index."""
    return {index: trials[i] for index, i in enumerate(rung.trial_ids) if i in trials}


def first_rungs(plan: Plan) -> list[Rung]:
    """Return the first rung of each bracket."""
    return [rung for (_, level), rung in plan.items() if level == 0]


def open_slots(
    plan: Plan, bracket: int, trials: Mapping[str, Trial], objective: keras_tuner.Objective
) -> list[Slot]:
    """Return the slots of a bracket that can be filled now, in the order of their numbers.

    They are in its lowest incomplete rung. A failed trial uses up its slot. Further slots open
    only if fewer trials completed than the next rung takes.
    """
    rungs = list(_rungs(plan, bracket))
    for i, rung in enumerate(rungs):
        begun = begun_trials(rung, trials)
        missing = rung.trials - sum(index < rung.trials for index in begun)
        if not missing and _any_running(begun):
            return []
        needed = rungs[i + 1].trials if i + 1 < len(rungs) else 1
        short = needed - sum(t.status == COMPLETED for t in begun.values())
        if slots := _fill(plan, rung, missing or short, trials, objective):
            return slots
        if _any_running(begun) or (i and _any_running(begun_trials(rungs[i - 1], trials))):
            return []
    return []


def failures_in_a_row(trial_id: str, failed: Collection[str]) -> int:
    """Return how many trials with consecutive numbers failed, up to and from a given one.

    The trials that replace another have its number; they are a row of their own. In what order
    trials end makes no difference.

    Args:
        trial_id: A trial that failed.
        failed: The ids of all that failed.
    """
    words = trial_id.partition("-")
    number, extra = int(words[0]), int(words[2] or 0)

    def row(ids: Iterable[str]) -> int:
        return sum(1 for _ in itertools.takewhile(lambda i: i in failed, ids))

    def around(place: int, name: Callable[[int], str]) -> int:
        later = map(name, itertools.count(place + 1))
        return 1 + row(map(name, range(place - 1, -1, -1))) + row(later)

    replacing = around(extra, lambda i: _trial_id(number, i))
    return replacing if extra else max(replacing, around(number, _trial_id))


def all_failed(plan: Plan, bracket: int, trials: Mapping[str, Trial]) -> bool:
    """Return whether every trial of a bracket's first rung failed."""
    rung = plan[bracket, 0]
    begun = begun_trials(rung, trials)
    return len(begun) >= rung.trials and all(t.status == FAILED for t in begun.values())


def promotable(
    plan: Plan, bracket: int, trials: Mapping[str, Trial], slots: Sequence[Slot]
) -> set[str]:
    """Return the ids of a bracket's completed trials that a promotion may still need.

    Args:
        plan: All rungs.
        bracket: Number of the bracket.
        trials: All trials that have begun, by id.
        slots: The `open_slots` of the bracket.
    """
    ids: set[str] = set()
    running = any(_any_running(begun_trials(rung, trials)) for rung in _rungs(plan, bracket))
    if not running and not slots:
        return ids
    for rung, above in itertools.pairwise(_rungs(plan, bracket)):
        ended = [t for t in begun_trials(above, trials).values() if t.status in ENDED]
        used = {parent_of(t) for t in ended}
        done = [t for t in begun_trials(rung, trials).values() if t.status == COMPLETED]
        ids |= {t.trial_id for t in done} - used
    return ids


def dropped(
    plan: Plan, bracket: int, trials: Mapping[str, Trial], slots: Sequence[Slot]
) -> set[str]:
    """Return the ids of a bracket's completed trials that were not promoted when their rung ended.

    One may be promoted yet: if those that were fail, it takes their place. The arguments are those
    of `promotable`.
    """
    ids: set[str] = set()
    parents = {slot.parent for slot in slots}
    for rung, above in itertools.pairwise(_rungs(plan, bracket)):
        begun, promoted = begun_trials(rung, trials), begun_trials(above, trials)
        parents |= {parent_of(t) for t in promoted.values()}
        done = {t.trial_id for t in begun.values() if t.status == COMPLETED}
        if len(begun) < rung.trials or _any_running(begun) or len(done & parents) < above.trials:
            break
        ids |= done - parents
    return ids


def parent_of(trial: Trial) -> str | None:
    """Return the trial that a trial resumes, if any."""
    return table.parent(trial.hyperparameters.values)


def ranked(trials: Iterable[Trial], objective: keras_tuner.Objective) -> list[Trial]:
    """Return trials by score, the best first, and by number among equals."""
    sign = -1 if objective.direction == "max" else 1
    return sorted(trials, key=lambda t: (sign * t.score, t.trial_id))


def longest_first(trials: Iterable[Trial], objective: keras_tuner.Objective) -> list[Trial]:
    """Return the completed ones among trials: longest trained first, then by score."""
    best = ranked((t for t in trials if t.status == COMPLETED), objective)
    return sorted(best, key=lambda t: -table.bookkeeping(t).epochs)


def lineage(trials: Mapping[str, Trial], trial: Trial) -> list[Trial]:
    """Return a trial, its parent, its parent's parent, and so on."""
    line = []
    while trial is not None:
        line.append(trial)
        trial = trials.get(parent_of(trial) or "")
    return line


def waiting(schedule: Iterable[Rung], trials: Mapping[str, Trial]) -> list[tuple[int, int]]:
    """Return the initial epoch and the epochs of each trial that has yet to start."""
    left = []
    for rung in schedule:
        begun = sum(index < rung.trials for index in begun_trials(rung, trials))
        left += [(rung.initial_epoch, rung.epochs)] * (rung.trials - begun)
    return left


def stock_state(plan: Plan, trials: Mapping[str, Trial]) -> list[dict[str, Any]]:
    """Return the state of the brackets as KerasTuner's oracle keeps it."""
    brackets: dict[int, dict[str, Any]] = {}
    for (number, _), rung in plan.items():
        entries = [
            {"past_id": parent_of(t), "id": t.trial_id} for t in begun_trials(rung, trials).values()
        ]
        bracket = brackets.setdefault(number, {"bracket_num": rung.bracket, "rounds": []})
        bracket["rounds"].append(entries)
    return list(brackets.values())


def _trial_id(number: int, extra: int = 0) -> str:
    return f"{number:04d}-{extra}" if extra else f"{number:04d}"


def _rungs(plan: Plan, bracket: int) -> Iterator[Rung]:
    """Yield the rungs of a bracket, the lowest first."""
    for level in itertools.count():
        if (bracket, level) not in plan:
            return
        yield plan[bracket, level]


def _any_running(begun: Mapping[int, Trial]) -> bool:
    return any(trial.status not in ENDED for trial in begun.values())


def _fill(
    plan: Plan,
    rung: Rung,
    count: int,
    trials: Mapping[str, Trial],
    objective: keras_tuner.Objective,
) -> list[Slot]:
    """Return up to `count` slots of a rung, or one in a rung below if parents are missing."""
    bracket, level = rung.key
    begun = begun_trials(rung, trials)
    indices = [i for i in range(rung.most) if i not in begun][: max(count, 0)]
    if level == 0 or not indices:
        return [Slot(rung, index) for index in indices]
    taken = {parent_of(t) for t in begun.values()}
    lower = plan[bracket, level - 1]
    below = begun_trials(lower, trials)
    free = [t for t in below.values() if t.status == COMPLETED and t.trial_id not in taken]
    if free:
        parents = (t.trial_id for t in ranked(free, objective))
        return [Slot(rung, index, parent) for index, parent in zip(indices, parents)]
    if _any_running(below) or _any_running(begun):
        return []
    return _fill(plan, lower, 1, trials, objective)
