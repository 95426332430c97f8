"""Hyperband's decisions: the same whichever trial finishes first.

The stock oracle draws and promotes in the order in which trials are requested, so its search
depends on which worker is faster. Here each trial has a slot: an iteration, a bracket, a rung
and an index in that rung. The slot determines the trial's number, its seed and, in a first
rung, its hyperparameters. A rung is filled once the one below has ended. Brackets are
independent of each other, so several workers find enough to do.

All of this follows from the seed and from the trials that ended. Nothing else is read when a
search is resumed.
"""

import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras_tuner
from keras_tuner.engine.hyperparameters import serialize
from keras_tuner.engine.trial import Trial
from keras_tuner.src.engine.metrics_tracking import MetricsTracker

from shared_keras.errors import BadInput, whole
from shared_keras.hyperband.decisions import objectives, rungs
from shared_keras.hyperband.decisions.brackets import Brackets
from shared_keras.hyperband.decisions.drawn import derive_seed
from shared_keras.hyperband.decisions.first_draws import DRAWS, FirstDraws
from shared_keras.hyperband.decisions.rungs import ENDED, FAILED, RUNNING, Rung, Slot
from shared_keras.hyperband.decisions.saving import SavingOracle
from shared_keras.hyperband.resuming import same_search
from shared_keras.hyperband.table import Bookkeeping, bookkeeping, not_finite
from shared_keras.results.trials import Span


class Oracle(SavingOracle):
    """The stock oracle, with decisions as the module describes them.

    Args:
        objective: As for `HyperbandOracle`; see `objectives.check`.
        seed: Determines every drawn value; 0 is a seed like any other.
        max_epochs: As for `HyperbandOracle`, like what is not named here.
        factor: It need not be whole.
        try_first: Hyperparameters that the first trials use instead of drawn ones.
        max_trials: Only trials whose numbers are below this are run.
        min_epochs: No trial trains for fewer epochs, so brackets that would are left out.
        max_consecutive_failed_trials: How many may fail; then `too_many_failed` says so.

    Raises:
        BadInput: naming the argument that is wrong.
    """

    hyperband_iterations: int
    trials: dict[str, Trial]
    _retry_queue: list[str]

    def __init__(
        self,
        objective: keras_tuner.Objective,
        *,
        seed: int,
        max_epochs: int,
        factor: float,
        min_epochs: int = 1,
        hyperband_iterations: int = 1,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = None,
        max_trials: int | None = None,
        try_first: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ):
        objectives.check(objective)
        most = whole("max_epochs", max_epochs, 1)
        self.min_epochs = whole("min_epochs", min_epochs, 1)
        if self.min_epochs > most:
            raise BadInput(f"min_epochs: expected at most max_epochs, {most}, got {min_epochs}")
        super().__init__(
            objective,
            seed=seed,
            max_epochs=most,
            factor=_factor(factor),
            hyperband_iterations=whole("hyperband_iterations", hyperband_iterations, 1),
            max_retries_per_trial=whole("max_retries_per_trial", max_retries_per_trial, 0),
            max_consecutive_failed_trials=math.inf,  # it would raise before it has saved the trial
            **kwargs,
        )
        self.seed = seed  # the stock class takes 0 for "no seed"
        failures = "max_consecutive_failed_trials"
        self.max_failures = whole(failures, max_consecutive_failed_trials, 1, None) or math.inf
        self.try_first = [_plain(values) for values in try_first]
        self.max_trials = whole("max_trials", max_trials, 1, None)  # the stock class has None
        self.rungs = self._plan()
        self.brackets = Brackets(self.rungs, self.objective)
        self.begun_with: dict[str, Any] = {}  # what else decides the search: see `fingerprint`
        self.processor: str | None = None  # the kind that the search began on, if it is known
        self.spans: dict[str, Span] = {}  # when each trial trained that has ended
        self._known_first: list[Any] | None = None
        self._draws: FirstDraws | None = None
        self._redrawn: dict[str, list[int]] = {}  # attempts of drawing after rejections, by trial

    def _plan(self) -> dict[tuple[int, int], Rung]:
        """Return all rungs by key, in the order of their trials' numbers."""
        plan, first_number = {}, 0
        brackets = [*reversed(range(self._get_num_brackets()))] * self.hyperband_iterations
        for number, bracket in enumerate(brackets):
            initial = 0
            for rung in range(self._get_num_rounds(bracket)):
                key, size = (number, rung), self._get_size(bracket, rung)
                epochs = self._get_epochs(bracket, rung)
                plan[key] = Rung(key, bracket, first_number, size, initial, epochs)
                first_number, initial = first_number + size, epochs
        return plan

    def schedule(self) -> list[Rung]:
        """Return all rungs, without the trials beyond `max_trials`."""
        limit = self.max_trials or sys.maxsize
        cut = [(r, min(r.trials, limit - r.first_number)) for r in self.rungs.values()]
        return [r if n == r.trials else replace(r, trials=n) for r, n in cut if n > 0]

    def waiting(self) -> list[tuple[int, int]]:
        """Return the initial epoch and the epochs of each trial that has yet to start."""
        return rungs.waiting(self.schedule(), self.trials)

    def left_out(self) -> int:
        """Return how many trials have yet to start that `max_trials` leaves out."""
        return len(rungs.waiting(self.rungs.values(), self.trials)) - len(self.waiting())

    def open_slots(self) -> list[Slot]:
        """Return the slots that can be filled now, in the order of their numbers."""
        if self.all_failed():
            return []
        slots = [slot for s in self.brackets.standings(self.trials) for slot in s.open_slots]
        return [slot for slot in slots if slot.number < (self.max_trials or math.inf)]

    def all_failed(self) -> bool:
        """Return whether every trial of a first rung failed."""
        return any(s.all_failed for s in self.brackets.standings(self.trials))

    def promotable(self) -> set[str]:
        """Return the ids of completed trials that a promotion may still need."""
        return set().union(*(s.promotable for s in self.brackets.standings(self.trials)))

    def dropped(self) -> set[str]:
        """Return the ids of completed trials that were not promoted when their rung ended."""
        return set().union(*(s.dropped for s in self.brackets.standings(self.trials)))

    def begin(self, slot: Slot, tuner_id: str) -> Trial:
        """Create the trial of a slot and save it."""
        place = Bookkeeping(
            epochs=slot.rung.epochs,
            initial_epoch=slot.rung.initial_epoch,
            bracket=slot.rung.bracket,
            rung=slot.rung.key[1],
            parent=slot.parent,
        )
        if slot.parent is None:
            hyperparameters = self._known_with(self.draws().first(slot.trial_id)[0], place)
        else:
            hyperparameters = self.trials[slot.parent].hyperparameters.copy()
            hyperparameters.values |= place.to_values()
        trial = Trial(hyperparameters=hyperparameters, trial_id=slot.trial_id, status=RUNNING)
        self.trials[trial.trial_id] = self.ongoing_trials[tuner_id] = trial
        self.start_order.append(trial.trial_id)
        self._save_trial(trial)
        self.save()
        return trial

    def begin_again(self, trial: Trial, tuner_id: str) -> None:
        """Restart a trial that failed and may be retried, or that got other hyperparameters."""
        trial.status, trial.message, trial.metrics = RUNNING, None, MetricsTracker()
        self.ongoing_trials[tuner_id] = trial
        self._save_trial(trial)

    def _save_trial(self, trial: Trial) -> None:
        self.brackets.changed(trial.trial_id)
        super()._save_trial(trial)

    def redraw(self, trial: Trial) -> bool:
        """Draw other hyperparameters for a rejected trial, and return whether there are any."""
        attempts = self._redrawn.setdefault(trial.trial_id, [])
        place = bookkeeping(trial)
        if place.parent is not None or len(attempts) + 1 >= DRAWS:
            return False
        last = attempts[-1] if attempts else self.draws().first(trial.trial_id)[1]
        values, attempt = self.draws().next(trial.trial_id, last)
        attempts.append(attempt)
        trial.hyperparameters = self._known_with(values, place)
        return True

    def _known_with(
        self, values: Mapping[str, Any], place: Bookkeeping
    ) -> keras_tuner.HyperParameters:
        """Return the hyperparameters that were known first, with these values."""
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.merge(self.known_first())
        hyperparameters.values = {**values, **place.to_values()}
        return hyperparameters

    def create_trial(self, tuner_id: str) -> Trial:
        """Start the next trial; see `keras_tuner.Oracle.create_trial`."""
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        if open_now := self.open_slots():
            return self.begin(open_now[0], tuner_id)
        status = "IDLE" if self.ongoing_trials else "STOPPED"
        return Trial(hyperparameters=self.get_space(), trial_id=None, status=status)

    def draws(self) -> FirstDraws:
        """Return the settings of the trials that resume no other."""
        if self._draws is None:
            slots = (Slot(r, i) for r in rungs.first_rungs(self.rungs) for i in range(r.trials))
            ids = (slot.trial_id for slot in slots)
            self._draws = FirstDraws(self.known_first(), self.seed_of, ids, self.try_first)
        return self._draws

    def known_first(self) -> list[Any]:
        """Return the hyperparameters that were known before the first trial."""
        if self._known_first is None:
            self._known_first = self.hyperparameters.copy().space
        return self._known_first

    def seed_of(self, trial_id: str) -> int:
        """Return the seed of a trial that does not resume another."""
        return derive_seed(self.seed, *map(int, trial_id.split("-")))

    def seed_of_training(self, trial: Trial) -> int:
        """Return the seed that a trial shares with all that it resumes, unless it is retried."""
        *resuming, first = rungs.lineage(self.trials, trial)
        seed = self.seed_of(first.trial_id)
        for each in (first, *reversed(resuming)):
            retries = self._run_times[each.trial_id] - (each.status in ENDED)
            if retries > 0:
                seed = derive_seed(seed, retries, 1)  # no other execution's: those have two numbers
        return seed

    def seed_of_draws(self, trial: Trial) -> int:
        """Return the seed of the hyperparameters that a trial declares late."""
        seed = self.seed_of(rungs.lineage(self.trials, trial)[-1].trial_id)
        attempts = self._redrawn.get(trial.trial_id)
        return derive_seed(seed, attempts[-1]) if attempts else seed

    def _record_values(self, trial: Trial) -> None:
        """Note that a setting was tried. Unlike the stock method, leave it as it is.

        That one draws again what a condition excludes, and what nobody asked for.
        """
        old = self._id_to_hash[trial.trial_id]
        new = self._compute_values_hash(trial.hyperparameters.values)
        if old != new:
            self._tried_so_far.discard(old)
        self._tried_so_far.add(new)
        self._id_to_hash[trial.trial_id] = new

    def _retry(self, trial: Trial) -> bool:
        """Return whether a failed trial is to be run again. Unlike the stock method, be silent."""
        failed = trial.status == rungs.INVALID
        if failed and self._run_times[trial.trial_id] > self.max_retries_per_trial:
            trial.status = FAILED
        elif failed:
            self._write()  # how often it has run decides its next seed
        return bool(trial.status == rungs.INVALID)

    def too_many_failed(self, last: Trial) -> bool:
        """Return whether a trial belongs to a row of as many failures as are allowed.

        See `rungs.failures_in_a_row`. Trials whose loss became NaN do not count: the stock
        class takes them for completed.
        """
        failed = {i for i, t in self.trials.items() if t.status == FAILED and not not_finite(t)}
        return rungs.failures_in_a_row(last.trial_id, failed) >= self.max_failures

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Return completed trials: longest trained first, then by score.

        The stock method ranks the scores of all rungs together.
        """
        return rungs.longest_first(self.trials.values(), self.objective)[:num_trials]

    def get_state(self) -> dict[str, Any]:
        """Return the state that a stock oracle can load, with what only this one needs."""
        stock: dict[str, Any] = super().get_state()
        return stock | {
            "brackets": rungs.stock_state(self.rungs, self.trials),
            "current_bracket": 0,
            "current_iteration": self.hyperband_iterations - 1,
            "objective": objectives.state(self.objective),
            "first": self.try_first,
            "known_first": [serialize(hp) for hp in self.known_first()],
            "begun_with": self.begun_with,
            "processor": self.processor,
            "spans": self.spans,
        }

    def reload(self) -> None:
        """Load the trials that ended; interrupted ones will start over.

        Raises:
            BadInput: if the search there was started with other settings.
        """
        state, statuses = self._saved()
        ended = statuses & set(ENDED)
        self.known_first()  # now, because the state may hold some that were found later
        try:
            same_search.refuse_other_decisions(state, self.get_state(), self._project_dir)
        except BadInput:
            if ended:
                raise
            return  # nothing that other settings could conflict with
        self.begun_with = state.get("begun_with", {})  # there was none before 0.4.0
        if not ended:
            self._run_times.update(state["run_times"])
            return
        iterations = self.hyperband_iterations
        super().reload()
        self.hyperband_iterations = iterations
        self.try_first = state["first"]
        self.processor = state.get("processor")  # there was none before 0.6.0
        self.spans = {i: Span(*span) for i, span in state.get("spans", {}).items()}  # nor these
        self.forget_interrupted()

    def forget_interrupted(self) -> None:
        """Keep the trials that ended; those that an interruption left running start over."""
        ended = {i: t for i, t in sorted(self.trials.items()) if t.status in ENDED}
        self.ongoing_trials.clear()
        self.trials, self._retry_queue = ended, []
        self._draws, self._redrawn = None, {}
        self.brackets.forget()
        for order in (self.start_order, self.end_order):
            order[:] = dict.fromkeys([*(i for i in order if i in ended), *ended])

    def take_up(self, begun_with: Mapping[str, Any], processor: str | None = None) -> str | None:
        """Record what the search trains and where, or compare it with what was recorded.

        Args:
            begun_with: What `fingerprint.of` returns, by the name of each argument.
            processor: The kind of this machine's processor, if it is known.

        Returns:
            A sentence to say if the processor is of another kind, or None.

        Raises:
            BadInput: naming what has changed.
        """
        try:
            same_search.refuse_others_to_train(self.begun_with, begun_with, self._project_dir)
        except BadInput:
            if self.trials:
                raise
            self._run_times.clear()  # nothing had ended, so this is a new search
        self.begun_with = dict(begun_with)
        if not self.trials:
            self.processor = processor
        if None in (self.processor, processor) or self.processor == processor:
            return None
        return (
            f"This search began on a processor of another kind ({self.processor}; this is "
            f"{processor}), so its other trials are rounded differently: scores may differ as they "
            "do between seeds."
        )


def _factor(factor: float) -> float:
    """Return the reduction factor, as an int if it is whole."""
    if isinstance(factor, numbers.Real) and 2 <= factor < math.inf:
        return int(factor) if factor == int(factor) else float(factor)
    raise BadInput(f"factor: expected a number of at least 2, got {factor!r}")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters with Python's numbers instead of NumPy's, which JSON lacks."""
    return {n: value.item() if hasattr(value, "item") else value for n, value in values.items()}
