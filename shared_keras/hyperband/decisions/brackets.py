"""What each bracket allows now, worked out again only once one of its trials has changed.

A decision looks at one bracket alone (`rungs`), and in a search of many iterations there are
hundreds. This only saves time: forgetting everything at any moment changes no decision.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras.hyperband.decisions import rungs
from shared_keras.hyperband.decisions.rungs import Plan, Slot


@dataclass(frozen=True)
class Standing:
    """What a bracket allows now; see the functions of `rungs` of the same names."""

    open_slots: list[Slot]
    promotable: set[str]
    dropped: set[str]
    all_failed: bool


class Brackets:
    """The brackets of a search.

    Args:
        plan: All rungs.
        objective: What ranks trials.
    """

    def __init__(self, plan: Plan, objective: keras_tuner.Objective):
        self._plan, self._objective = plan, objective
        self._numbers = list(dict.fromkeys(number for number, _ in plan))
        self._bracket_of = {i: key[0] for key, rung in plan.items() for i in rung.trial_ids}
        self._known: dict[int, Standing] = {}

    def changed(self, trial_id: str) -> None:
        """Take note that a trial has begun or ended."""
        self._known.pop(self._bracket_of.get(trial_id, -1), None)

    def forget(self) -> None:
        """Take note that any trial may have changed."""
        self._known.clear()

    def standings(self, trials: Mapping[str, Trial]) -> list[Standing]:
        """Return what each bracket allows, in the order of their trials' numbers."""
        for number in self._numbers:
            if number not in self._known:
                self._known[number] = self._look(number, trials)
        return [self._known[number] for number in self._numbers]

    def _look(self, number: int, trials: Mapping[str, Trial]) -> Standing:
        slots = rungs.open_slots(self._plan, number, trials, self._objective)
        return Standing(
            slots,
            rungs.promotable(self._plan, number, trials, slots),
            rungs.dropped(self._plan, number, trials, slots),
            rungs.all_failed(self._plan, number, trials),
        )
