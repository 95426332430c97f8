"""Hyperband's decisions, reproducible and hardened against failures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras_tuner
import numpy as np

from shared_keras import runs

COMPLETED, FAILED = "COMPLETED", "FAILED"
ENDED = (COMPLETED, FAILED)


@dataclass(frozen=True)
class Rung:
    """One rung of one bracket: how many trials it holds, and what they train."""

    bracket: int
    rung: int
    trials: int
    initial_epoch: int
    epochs: int


class Oracle(keras_tuner.oracles.HyperbandOracle):
    """The stock oracle with what the module promises.

    Args:
        objective: Name of a metric, such as "val_accuracy".
        seed: Decides every value that is drawn; 0 is a seed like any other.
        **kwargs: As for `HyperbandOracle`.
    """

    def __init__(self, objective, *, seed: int, **kwargs):
        super().__init__(objective, max_consecutive_failed_trials=math.inf, seed=seed, **kwargs)
        # The stock class takes 0 for "none", and counts up from the seed with each
        # value that it draws, so that the searches of seeds 1 and 2 are nearly one.
        self.seed = seed
        self._seed_state = mix(seed)

    def schedule(self) -> list[Rung]:
        """Return the rungs of one Hyperband iteration in the order they run."""
        return [
            Rung(
                bracket,
                rung,
                self._get_size(bracket, rung),
                self._get_epochs(bracket, rung - 1) if rung else 0,
                self._get_epochs(bracket, rung),
            )
            for bracket in reversed(range(self._get_num_brackets()))
            for rung in range(self._get_num_rounds(bracket))
        ]

    def populate_space(self, trial_id):
        """Decide what to run next; see `HyperbandOracle.populate_space`."""
        self._remove_completed_brackets()
        for bracket in self._brackets:
            number, rounds = bracket["bracket_num"], bracket["rounds"]
            if len(rounds[0]) < self._get_size(number, 0):
                return self._random_trial(trial_id, bracket)
            for rung in range(1, len(rounds)):
                parent = self._next_promotion(number, rounds, rung)
                if parent is not None:
                    rounds[rung].append({"past_id": parent.trial_id, "id": trial_id})
                    values = parent.hyperparameters.values | {
                        "tuner/trial_id": parent.trial_id,
                        "tuner/epochs": self._get_epochs(number, rung),
                        "tuner/initial_epoch": self._get_epochs(number, rung - 1),
                        "tuner/bracket": number,
                        "tuner/round": rung,
                    }
                    return {"status": "RUNNING", "values": values}
        last = self._current_iteration + 1 == self.hyperband_iterations
        if self._current_bracket == 0 and last:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}
        self._increment_bracket_num()
        self._start_new_bracket()
        return self._random_trial(trial_id, self._brackets[-1])

    def _next_promotion(self, bracket, rounds, rung):
        """Return the trial to promote to `rung`, or None if there is none yet.

        Failed trials rank last: they count among those that are thrown out.
        """
        promoted = {entry["past_id"] for entry in rounds[rung]}
        waiting = [
            self.trials[entry["id"]] for entry in rounds[rung - 1] if entry["id"] not in promoted
        ]
        size, below = self._get_size(bracket, rung), self._get_size(bracket, rung - 1)
        if sum(t.status in ENDED for t in waiting) <= below - size:
            return None
        return best([t for t in waiting if t.status == COMPLETED], self.objective)

    def promotable(self) -> set[str]:
        """Return the ids of completed trials that a promotion may still need."""
        ids = set()
        for bracket in self._brackets:
            for below, above in zip(bracket["rounds"], bracket["rounds"][1:]):
                done = {e["past_id"] for e in above if self.trials[e["id"]].status in ENDED}
                ids |= {entry["id"] for entry in below} - done
        return {i for i in ids if self.trials[i].status != FAILED}

    def save(self):
        """Write the state, whole or not at all."""
        runs.write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial):
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        runs.write_json(path, trial.get_state())

    def reload(self):
        """Read the state back; a trial that was cut off starts over."""
        super().reload()
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        for trial_id in self._retry_queue:
            trial = self.trials[trial_id]
            trial.metrics, trial.score = type(trial.metrics)(), None


def own(values: Mapping) -> dict:
    """Return hyperparameters without KerasTuner's bookkeeping: epochs, bracket, parent."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def mix(*seeds: int) -> int:
    """Return a seed that is unlike those of other arguments, in 0...2**31-1."""
    return int(np.random.SeedSequence(seeds).generate_state(1)[0] >> 1)


def best(trials, objective):
    """Return the trial with the best score, the first of equals, or None."""
    ranked = sorted(trials, key=lambda t: t.trial_id)
    ranked.sort(key=lambda t: t.score, reverse=objective.direction == "max")
    return ranked[0] if ranked else None
