"""Hyperband's decisions: the same ones whatever finishes first.

The stock oracle draws and promotes in the order in which it is asked, so that its search
depends on who was faster. Here each trial has its place: an iteration, a bracket, a rung,
and an index there. The place decides the number of the trial, its seed and, in a first
rung, its hyperparameters; a rung is filled when the one below has ended. Brackets do not
depend on each other, so that several workers find enough to do.

All of that follows from the seed and from the trials that ended, and nothing else is read
when a search goes on.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial

from shared_keras import runs
from shared_keras.errors import BadInput

RUNNING, COMPLETED, FAILED = "RUNNING", "COMPLETED", "FAILED"
ENDED = (COMPLETED, FAILED)
DRAWS = 100  # until one is accepted that was drawn before


@dataclass(frozen=True)
class Rung:
    """One rung of one bracket: how many trials it holds, and what they train.

    Attributes:
        key: Number of the bracket since the search began, and of the rung in it.
        bracket: KerasTuner's number of the bracket, which counts down to 0.
        first: Number of its first trial.
        trials: How many trials it is to hold.
        initial_epoch: Where they start.
        epochs: Where they stop.
    """

    key: tuple[int, int]
    bracket: int
    first: int
    trials: int
    initial_epoch: int
    epochs: int

    @property
    def most(self) -> int:
        """How many trials it holds at most, those that stand in for failed ones included."""
        return 2 * self.trials + 8


@dataclass(frozen=True)
class Place:
    """Where a trial belongs: a rung, the index in it, and the trial it goes on from."""

    rung: Rung
    index: int
    parent: str | None = None

    @property
    def number(self) -> int:
        """The number of the trial; those beyond the rung's size share the last one."""
        return self.rung.first + min(self.index, self.rung.trials - 1)

    @property
    def trial_id(self) -> str:
        """The trial's name: its number, with a suffix beyond the rung's size."""
        extra = self.index - self.rung.trials + 1
        return f"{self.number:04d}-{extra}" if extra > 0 else f"{self.number:04d}"


class Oracle(keras_tuner.oracles.HyperbandOracle):
    """The stock oracle with what the module promises.

    Args:
        objective: `keras_tuner.Objective`.
        seed: Decides every value that is drawn; 0 is a seed like any other.
        first: Hyperparameters that the first trials try instead of drawn ones.
        max_trials: Trials of a higher number are left out.
        **kwargs: As for `HyperbandOracle`.
    """

    def __init__(
        self,
        objective,
        *,
        seed: int,
        first: Sequence[Mapping] = (),
        max_trials: int | None = None,
        **kwargs,
    ):
        super().__init__(objective, max_consecutive_failed_trials=math.inf, seed=seed, **kwargs)
        self.seed = seed  # the stock class takes 0 for "none"
        self.first = [dict(values) for values in first]
        self.limit = max_trials or math.inf
        self.rungs = self._plan()
        self._drawn: dict[Place, dict] = {}

    def _plan(self) -> dict[tuple[int, int], Rung]:
        """Return all rungs by key, in the order of their trials' numbers."""
        rungs, first, number = {}, 0, 0
        for _ in range(self.hyperband_iterations):
            for bracket in reversed(range(self._get_num_brackets())):
                for rung in range(self._get_num_rounds(bracket)):
                    size = self._get_size(bracket, rung)
                    initial = self._get_epochs(bracket, rung - 1) if rung else 0
                    epochs = self._get_epochs(bracket, rung)
                    rungs[number, rung] = Rung(
                        (number, rung), bracket, first, size, initial, epochs
                    )
                    first += size
                number += 1
        return rungs

    def schedule(self) -> list[Rung]:
        """Return all rungs, without the trials beyond `max_trials`."""
        cut = [(r, min(r.trials, self.limit - r.first)) for r in self.rungs.values()]
        return [
            Rung(r.key, r.bracket, r.first, n, r.initial_epoch, r.epochs) for r, n in cut if n > 0
        ]

    def open_places(self) -> list[Place]:
        """Return the places that can be filled now, those of lower numbers first."""
        if self.hopeless():
            return []
        places = [place for number in self._brackets_planned() for place in self._open(number)]
        return [place for place in places if place.number < self.limit]

    def hopeless(self) -> bool:
        """Return whether every trial of a first rung failed."""
        for rung in self._first_rungs():
            here = self._here(rung)
            if len(here) >= rung.trials and all(t.status == FAILED for t in here.values()):
                return True
        return False

    def _open(self, bracket: int) -> list[Place]:
        """Return the places of the lowest rung of a bracket that is not complete.

        A trial that failed costs its place. Only if fewer completed than the next rung
        takes are there further ones.
        """
        rungs = [rung for key, rung in self.rungs.items() if key[0] == bracket]
        for i, rung in enumerate(rungs):
            here = self._here(rung)
            missing = rung.trials - sum(index < rung.trials for index in here)
            if not missing and _any_running(here):
                return []
            needed = rungs[i + 1].trials if i + 1 < len(rungs) else 1
            short = needed - sum(t.status == COMPLETED for t in here.values())
            if places := self._fill(rung, missing or short):
                return places
            if _any_running(here) or (i and _any_running(self._here(rungs[i - 1]))):
                return []
        return []

    def _fill(self, rung: Rung, count: int) -> list[Place]:
        """Return up to `count` places: with the best from below, or one more there."""
        number, level = rung.key
        here = self._here(rung)
        indices = [i for i in range(rung.most) if i not in here][: max(count, 0)]
        if level == 0 or not indices:
            return [Place(rung, index) for index in indices]
        taken = {t.hyperparameters.values["tuner/trial_id"] for t in here.values()}
        lower = self.rungs[number, level - 1]
        below = self._here(lower)
        free = [t for t in below.values() if t.status == COMPLETED and t.trial_id not in taken]
        if free:
            parents = (t.trial_id for t in ranked(free, self.objective))
            return [Place(rung, index, parent) for index, parent in zip(indices, parents)]
        return [] if _any_running(below) or _any_running(here) else self._fill(lower, 1)

    def _here(self, rung: Rung) -> dict[int, Trial]:
        """Return the trials of a rung that were begun, by index."""
        ids = {index: Place(rung, index).trial_id for index in range(rung.most)}
        return {index: self.trials[i] for index, i in ids.items() if i in self.trials}

    def _brackets_planned(self) -> list[int]:
        return list(dict.fromkeys(number for number, _ in self.rungs))

    def _first_rungs(self) -> list[Rung]:
        return [rung for (_, level), rung in self.rungs.items() if level == 0]

    def begin(self, place: Place, tuner_id: str) -> Trial:
        """Create the trial of a place and write it down."""
        if place.parent is None:
            values = self._values(place)
        else:
            values = self.trials[place.parent].hyperparameters.values | {
                "tuner/trial_id": place.parent
            }
        values = values | {
            "tuner/epochs": place.rung.epochs,
            "tuner/initial_epoch": place.rung.initial_epoch,
            "tuner/bracket": place.rung.bracket,
            "tuner/round": place.rung.key[1],
        }
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = values
        trial = Trial(hyperparameters=hyperparameters, trial_id=place.trial_id, status=RUNNING)
        self.trials[trial.trial_id] = self.ongoing_trials[tuner_id] = trial
        self.start_order.append(trial.trial_id)
        self._save_trial(trial)
        self.save()
        return trial

    def create_trial(self, tuner_id):
        """Begin the next trial; see `keras_tuner.Oracle.create_trial`."""
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        if places := self.open_places():
            return self.begin(places[0], tuner_id)
        status = "IDLE" if self.ongoing_trials else "STOPPED"
        return Trial(hyperparameters=self.get_space(), trial_id=None, status=status)

    def _values(self, place: Place) -> dict:
        """Return the hyperparameters of a place in a first rung."""
        if place not in self._drawn:
            self._drawn = {}
            given = iter(self.first)
            for rung in self._first_rungs():
                for each in (Place(rung, index) for index in range(rung.trials)):
                    self._drawn[each] = next(given, None) or self._draw(each)
            if place not in self._drawn:  # instead of one that failed
                self._drawn[place] = self._draw(place)
        return self._drawn[place]

    def _draw(self, place: Place) -> dict:
        """Draw hyperparameters that are unlike all earlier ones, if that can be had."""
        for attempt in range(DRAWS):
            hp = keras_tuner.HyperParameters()
            for i, parameter in enumerate(self.hyperparameters.space):
                hp.merge([parameter])
                if hp.is_active(parameter):
                    seed = mix(self.seed_of(place.trial_id), attempt, i)
                    hp.values[parameter.name] = parameter.random_sample(seed)
            if hp.values not in self._drawn.values():
                break
        return hp.values

    def update_space(self, hyperparameters):
        """Add new hyperparameters; what is drawn from now on has values of them, too."""
        before = len(self.hyperparameters.space)
        super().update_space(hyperparameters)
        if len(self.hyperparameters.space) > before:
            self._drawn = {}

    def seed_of(self, trial_id: str) -> int:
        """Return the seed of a trial that does not go on from another."""
        return mix(self.seed, *map(int, trial_id.split("-")))

    def get_best_trials(self, num_trials=1):
        """Return completed trials: longest trained first, then by score.

        The stock method ranks the scores of all rungs together.
        """
        done = [t for t in self.trials.values() if t.status == COMPLETED]
        best = ranked(done, self.objective)
        return sorted(best, key=lambda t: -t.hyperparameters.values["tuner/epochs"])[:num_trials]

    def promotable(self) -> set[str]:
        """Return the ids of completed trials that a promotion may still need."""
        ids = set()
        for (bracket, level), rung in self.rungs.items():
            above = self.rungs.get((bracket, level + 1))
            if above is None or self._finished(bracket):
                continue
            ended = [t for t in self._here(above).values() if t.status in ENDED]
            used = {t.hyperparameters.values["tuner/trial_id"] for t in ended}
            ids |= {t.trial_id for t in self._here(rung).values() if t.status == COMPLETED} - used
        return ids

    def _finished(self, bracket: int) -> bool:
        rungs = [rung for key, rung in self.rungs.items() if key[0] == bracket]
        return not self._open(bracket) and not any(_any_running(self._here(r)) for r in rungs)

    def get_state(self):
        """Return what a stock oracle reads back, and what only this one needs."""
        brackets: dict[int, list] = {}
        for (number, _), rung in self.rungs.items():
            entries = [
                {"past_id": t.hyperparameters.values.get("tuner/trial_id"), "id": t.trial_id}
                for t in self._here(rung).values()
            ]
            brackets.setdefault(number, []).append(entries)
        kinds = {number: rung.bracket for (number, _), rung in self.rungs.items()}
        return super().get_state() | {
            "brackets": [{"bracket_num": kinds[n], "rounds": r} for n, r in brackets.items()],
            "current_bracket": 0,
            "current_iteration": self.hyperband_iterations - 1,
            "objective": [self.objective.name, self.objective.direction],
            "first": self.first,
        }

    def save(self):
        """Write the state, whole or not at all."""
        runs.write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        runs.write_json(path, trial.get_state())

    def reload(self):
        """Take up the trials that ended; those that were cut off are begun anew.

        Raises:
            BadInput: if the search there was begun with other settings.
        """
        state = runs.read_json(Path(self._get_oracle_fname()))
        self._refuse_others(state)
        super().reload()
        self.first = state["first"]
        ended = {i: t for i, t in sorted(self.trials.items()) if t.status in ENDED}
        self.trials, self._retry_queue, self._drawn = ended, [], {}
        for order in (self.start_order, self.end_order):
            known = [trial_id for trial_id in dict.fromkeys(order) if trial_id in ended]
            order[:] = known + [trial_id for trial_id in ended if trial_id not in known]

    def _refuse_others(self, state: Mapping) -> None:
        """Compare what decides a search with what it was begun with."""
        now = self.get_state()
        for name in ("objective", "max_epochs", "factor", "hyperband_iterations", "seed"):
            if state.get(name) != now[name]:
                raise BadInput(
                    f"{name} was {state.get(name)} when the search in {self._project_dir} was "
                    f"begun and is now {now[name]}; give it again, or another project_name"
                )
        earlier = {_identity(hp): hp["config"] for hp in state["hyperparameters"]["space"]}
        for hp in now["hyperparameters"]["space"]:
            if earlier.get(_identity(hp)) != hp["config"]:
                raise BadInput(
                    f"hyperparameter {hp['config']['name']} was "
                    f"{earlier.get(_identity(hp))} when the search in {self._project_dir} was "
                    f"begun and is now {hp['config']}; give another project_name"
                )


def _identity(hp: Mapping) -> str:
    """Tell hyperparameters of one name apart by the conditions that they are active on."""
    return json.dumps([hp["config"]["name"], hp["config"]["conditions"]])


def own(values: Mapping) -> dict:
    """Return hyperparameters without KerasTuner's bookkeeping: epochs, bracket, parent."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def mix(*seeds: int) -> int:
    """Return a seed that is unlike those of other arguments, in 0...2**31-1."""
    return int(np.random.SeedSequence(seeds).generate_state(1)[0] >> 1)


def _any_running(here: Mapping[int, Trial]) -> bool:
    return any(trial.status not in ENDED for trial in here.values())


def ranked(trials, objective) -> list[Trial]:
    """Return trials by score, the best first, and by number among equals."""
    sign = -1 if objective.direction == "max" else 1
    return sorted(trials, key=lambda t: (sign * t.score, t.trial_id))
