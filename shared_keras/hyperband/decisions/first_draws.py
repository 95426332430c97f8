"""The hyperparameters of trials that resume no other, drawn before the first of them starts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras_tuner

from shared_keras.hyperband.decisions.drawn import derive_seed

DRAWS = 100  # attempts to draw a new setting


class FirstDraws:
    """Draws a setting for each trial, such that no two planned trials share one, if possible.

    Args:
        parameters: The hyperparameters that were known before the first trial. Only these are
            drawn here, so that a draw does not depend on which trials have ended; `drawn` does
            the same for those that a trial declares later.
        seed_of: Returns the seed of a trial.
        planned: The ids of the planned trials.
        given: Settings that the first of them use instead of drawn ones.
    """

    def __init__(
        self,
        parameters: list[Any],
        seed_of: Callable[[str], int],
        planned: Iterable[str],
        given: Iterable[Mapping[str, Any]],
    ):
        self._parameters, self._seed_of = parameters, seed_of
        self._planned: dict[str, tuple[Mapping[str, Any], int]] = {}
        left = iter(given)
        for trial_id in planned:
            known = next(left, None)
            self._planned[trial_id] = (known, -1) if known else self._draw(trial_id, 0)

    def first(self, trial_id: str) -> tuple[Mapping[str, Any], int]:
        """Return a trial's first setting, and the attempt at which it was drawn."""
        # Otherwise, it replaces one that failed.
        return self._planned.get(trial_id) or self._draw(trial_id, 0)

    def next(self, trial_id: str, last_attempt: int) -> tuple[Mapping[str, Any], int]:
        """Return the setting after one that was rejected, and the attempt at which it was drawn.

        It differs from the first settings of planned trials, if possible, but not necessarily
        from what other trials were given later, since these depend on timing.
        """
        return self._draw(trial_id, last_attempt + 1)

    def _draw(self, trial_id: str, first_attempt: int) -> tuple[Mapping[str, Any], int]:
        drawn = [setting for setting, _ in self._planned.values()]
        for attempt in range(first_attempt, max(DRAWS, first_attempt + 1)):
            hp = keras_tuner.HyperParameters()
            for i, parameter in enumerate(self._parameters):
                hp.merge([parameter])
                if hp.is_active(parameter):
                    seed = derive_seed(self._seed_of(trial_id), attempt, i)
                    hp.values[parameter.name] = parameter.random_sample(seed)
            if hp.values not in drawn:
                break
        return hp.values, attempt
