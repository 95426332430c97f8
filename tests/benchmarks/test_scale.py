"""The simulation of large searches: its clock keeps the books, and workers change no trial."""

import functools
from types import SimpleNamespace

import pytest

from benchmarks import scale
from shared_keras.hyperband.decisions.rungs import Rung

TRIALS = 30  # two iterations of 15, which train for up to 4 epochs


@functools.cache
def simulated(workers, measure=False):
    return scale.simulate("mnist", TRIALS, workers, measure=measure, max_epochs=4)


def test_one_worker_takes_as_long_as_all_trainings():
    outcome, trials = simulated(1)
    assert len(trials) == outcome.trials == TRIALS
    assert outcome.seconds == pytest.approx(outcome.trained)
    assert outcome.idle == pytest.approx({"deciding": 0, "rung": 0, "left": 0})


@pytest.mark.parametrize(("workers", "measure"), [(1, True), (3, False), (64, False), (64, True)])
def test_the_time_of_all_workers_is_accounted_for(workers, measure):
    outcome, _ = simulated(workers, measure)
    spent = outcome.trained + sum(outcome.idle.values())
    assert spent == pytest.approx(outcome.seconds * workers)
    assert min(outcome.idle.values()) >= 0
    assert outcome.seconds >= outcome.at_best * (1 - 1e-9)
    assert outcome.trained == pytest.approx(simulated(1)[0].trained)
    assert (outcome.deciding > 0) == measure


def test_more_workers_are_quicker_but_not_by_more_than_their_number():
    alone = simulated(1)[0].seconds
    before = alone
    for workers in (2, 3, 64):
        seconds = simulated(workers)[0].seconds
        assert alone / workers <= seconds * (1 + 1e-9) and seconds < before
        before = seconds


def test_the_trials_are_the_same_for_any_number_of_workers():
    alone = simulated(1)[1]
    for workers in (2, 3, 64):
        assert simulated(workers)[1] == alone
    assert simulated(64, measure=True)[1] == alone
    assert {status for _, _, status in alone.values()} == {"COMPLETED"}


@pytest.mark.parametrize(("completed", "held"), [(0, 0), (2, 2), (3, 3), (5, 3)])
def test_what_could_go_on_is_held_up_by_its_rung(completed, held):
    """Ten workers, six trials in a rung, places for three above; two seconds pass."""
    plan = {(0, 0): Rung((0, 0), 1, 0, 6, 0, 1), (0, 1): Rung((0, 1), 1, 6, 3, 1, 2)}
    statuses = ["COMPLETED"] * completed + ["RUNNING"] * (6 - completed)
    trials = {f"{i:04d}": SimpleNamespace(status=status) for i, status in enumerate(statuses)}
    oracle = SimpleNamespace(rungs=plan, trials=trials)
    simulation = scale.Simulation(oracle, {}, workers=10, measure=False)
    simulation.running = [(2.0, i, None, None) for i in range(6 - completed)]
    simulation.wait(2.0)
    left = 10 - (6 - completed) - held
    assert simulation.idle == {"deciding": 0, "rung": 2.0 * held, "left": 2.0 * left}


def test_a_quantile_lies_between_the_measured_values():
    column = [1.0, 2.0, 4.0]
    assert [scale.quantile(column, share) for share in (0, 0.25, 0.5, 0.75)] == [1, 1.5, 2, 3]
    assert scale.quantile([7.0], 0.9) == 7
