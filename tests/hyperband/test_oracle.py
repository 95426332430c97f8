"""Hyperband's decisions, without training: a score is a function of the hyperparameters."""

import random
from pathlib import Path

import keras_tuner
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_keras import files
from shared_keras.errors import BadInput
from shared_keras.hyperband.decisions import drawn, rungs
from shared_keras.hyperband.decisions.brackets import Brackets
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.hyperband.decisions.rungs import COMPLETED, FAILED
from shared_keras.hyperband.decisions.saving import SavingOracle
from shared_keras.hyperband.table import without_bookkeeping
from shared_keras.processes import seldom
from tests.shares import dealt

OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")
BUDGETS = [(4, 2), (10, 2), (27, 3)]


def space():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("depth", 1, 3)
    with hp.conditional_scope("depth", [2, 3]):
        hp.Int("units", 1, 1000)
    return hp


def make(folder, seed=0, budget=BUDGETS[0], **kwargs):
    max_epochs, factor = budget
    oracle = Oracle(OBJECTIVE, seed=seed, max_epochs=max_epochs, factor=factor, **kwargs)
    oracle.verbose = 0
    oracle.update_space(space())
    oracle._set_project_dir(folder, "p")
    return oracle


def chance(*parts) -> float:
    """Return a number in [0, 1) that looks drawn, but follows from its arguments."""
    return random.Random(repr(parts)).random()


def end(oracle, trial, failing=0.0):
    """End a trial with a result that follows from its hyperparameters and its id."""
    values = trial.hyperparameters.values
    if chance("fail", trial.trial_id) < failing:
        trial.status, trial.message = FAILED, "RuntimeError: no luck"
    else:
        score = chance(sorted(without_bookkeeping(values).items())) + values["tuner/epochs"] / 100
        oracle.update_trial(trial.trial_id, {"val_accuracy": score})
        trial.status = COMPLETED
    oracle.end_trial(trial)


def rejected(trial, rejecting):
    values = without_bookkeeping(trial.hyperparameters.values)
    return chance("reject", sorted(values.items())) < rejecting


def play(oracle, workers=1, order=0, failing=0.0, stop=None, rejecting=0.0):
    """Search, with trials that end in any order; stop once `stop` of them have ended."""
    shuffle = random.Random(order)
    running = []
    while stop is None or len(oracle.end_order) < stop:
        while len(running) < workers:
            trial = oracle.create_trial(f"worker{shuffle.random()}")
            if trial.status != "RUNNING":
                break
            running.append(trial)
        if not running:
            break
        trial = running.pop(shuffle.randrange(len(running)))
        if rejected(trial, rejecting) and oracle.redraw(trial):
            oracle.begin_again(trial, f"worker{shuffle.random()}")
            running.append(trial)
            continue
        end(oracle, trial, failing)
    return oracle


def outcome(oracle):
    return {
        i: (t.status, t.score, t.hyperparameters.values) for i, t in sorted(oracle.trials.items())
    }


def filled(oracle):
    """Return each planned rung with its trials."""
    return {
        key: (rung, list(rungs.begun_trials(rung, oracle.trials).values()))
        for key, rung in oracle.rungs.items()
    }


@pytest.mark.parametrize(
    ("max_epochs", "trials", "epochs"), [(10, 46, 170), (15, 46, 250), (20, 92, 468)]
)
def test_schedule_is_the_published_one(max_epochs, trials, epochs):
    """The stock class trains as many."""
    oracle = Oracle(OBJECTIVE, seed=0, max_epochs=max_epochs, factor=2)
    assert sum(r.trials for r in oracle.schedule()) == trials
    assert sum(r.trials * (r.epochs - r.initial_epoch) for r in oracle.schedule()) == epochs


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_the_schedule_is_what_runs_and_the_best_are_promoted(tmp_path, budget):
    oracle = play(make(tmp_path, budget=budget))
    numbers = [int(i) for i in oracle.trials]
    assert numbers == list(range(sum(r.trials for r in oracle.schedule())))
    for (bracket, level), (rung, trials) in filled(oracle).items():
        assert len(trials) == rung.trials
        values = [t.hyperparameters.values for t in trials]
        assert {(v["tuner/initial_epoch"], v["tuner/epochs"]) for v in values} == {
            (rung.initial_epoch, rung.epochs)
        }
        if level:
            below = filled(oracle)[bracket, level - 1][1]
            best = sorted((t.score for t in below), reverse=True)[: rung.trials]
            parents = [oracle.trials[v["tuner/trial_id"]] for v in values]
            assert sorted((t.score for t in parents), reverse=True) == best
            for value, parent in zip(values, parents):
                assert without_bookkeeping(value) == without_bookkeeping(
                    parent.hyperparameters.values
                )


@pytest.mark.long(only=True)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5),
    workers=st.integers(1, 9),
    order=st.integers(0, 2**20),
    failing=st.sampled_from([0.0, 0.3]),
    rejecting=st.sampled_from([0.0, 0.5]),
)
def test_the_number_of_workers_and_their_speed_change_nothing(
    tmp_path_factory, seed, workers, order, failing, rejecting
):
    chances = {"failing": failing, "rejecting": rejecting}
    alone = play(make(tmp_path_factory.mktemp("a"), seed), **chances)
    many = play(make(tmp_path_factory.mktemp("b"), seed), workers, order, **chances)
    assert outcome(many) == outcome(alone)


@pytest.mark.long(only=True)
@settings(max_examples=25, deadline=None)
@given(
    stops=st.lists(st.integers(0, 15), max_size=4),
    order=st.integers(0, 2**20),
    failing=st.sampled_from([0.0, 0.3]),
    rejecting=st.sampled_from([0.0, 0.5]),
)
def test_interruptions_change_nothing(tmp_path_factory, stops, order, failing, rejecting):
    """Interrupted with trials still running, then resumed from the files alone."""
    chances = {"failing": failing, "rejecting": rejecting}
    whole = play(make(tmp_path_factory.mktemp("a")), **chances)
    folder = tmp_path_factory.mktemp("b")
    ended = set()
    for i, stop in enumerate(sorted(stops)):
        oracle = make(folder)
        if i:
            oracle.reload()
        assert set(oracle.trials) == ended
        play(oracle, 3, order + i, stop=stop, **chances)
        oracle.save()
        ended = {t for t, trial in oracle.trials.items() if trial.status in (COMPLETED, FAILED)}
    oracle = make(folder)
    if stops:
        oracle.reload()
    assert outcome(play(oracle, 2, order, **chances)) == outcome(whole)
    assert sorted(oracle.end_order) == sorted(oracle.trials)


def test_seeds(tmp_path):
    searches = [outcome(play(make(tmp_path / str(seed), seed))) for seed in range(4)]
    assert outcome(play(make(tmp_path / "again", 0))) == searches[0]  # 0 is a seed
    settings = [
        without_bookkeeping(values)
        for search in searches
        for _, _, values in search.values()
        if values["tuner/round"] == 0
    ]
    assert len({repr(each) for each in settings}) == len(
        settings
    )  # and neighbouring seeds share no setting


@pytest.mark.parametrize("seed", range(20))
def test_every_rung_is_filled_despite_thirty_percent_failures(tmp_path, seed):
    oracle = play(make(tmp_path, seed, (10, 2)), 3, seed, failing=0.3)
    statuses = [t.status for t in oracle.trials.values()]
    assert 0.1 < statuses.count(FAILED) / len(statuses) < 0.5
    for (bracket, level), (rung, trials) in filled(oracle).items():
        assert len(trials) >= rung.trials, (bracket, level)
        assert any(t.status == COMPLETED for t in trials)
        parents = [t.hyperparameters.values.get("tuner/trial_id") for t in trials]
        assert level == 0 or len(set(parents)) == len(parents)  # no trial is resumed twice


def test_a_failure_costs_only_its_own_slot(tmp_path):
    """If enough trials are left, it is not replaced."""
    oracle = make(tmp_path, budget=(10, 2))
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        if trial.trial_id in ("0000", "0003"):
            trial.status = FAILED
            oracle.end_trial(trial)
        else:
            end(oracle, trial)
    assert len(oracle.trials) == 46 and not any("-" in i for i in oracle.trials)
    parents = {t.hyperparameters.values.get("tuner/trial_id") for t in oracle.trials.values()}
    assert not parents & {"0000", "0003"}


def test_only_a_first_rung_of_failures_stops_the_search(tmp_path):
    oracle = play(make(tmp_path, budget=(10, 2)), failing=1.0)
    first = oracle.rungs[0, 0]
    assert oracle.all_failed() and len(oracle.trials) == first.trials
    assert {t.status for t in oracle.trials.values()} == {FAILED}
    assert oracle.create_trial("t").status == "STOPPED"


def stops(oracle, workers, seed):
    """Search until too many fail in a row, and return whether they did."""
    shuffle = random.Random(seed)
    running = []
    while True:
        while len(running) < workers:
            trial = oracle.create_trial(f"worker{shuffle.random()}")
            if trial.status != "RUNNING":
                break
            running.append(trial)
        if not running:
            return False
        trial = running.pop(shuffle.randrange(len(running)))
        end(oracle, trial, failing=chance("row", seed, trial.trial_id) < 0.35)
        if trial.status == FAILED and oracle.too_many_failed(trial):
            return True


def test_failures_in_a_row_are_those_of_consecutive_numbers(tmp_path, monkeypatch):
    """So the number of workers and their speed decide nothing."""
    monkeypatch.setattr(SavingOracle, "save", lambda self: None)  # as fast as the decisions
    monkeypatch.setattr(SavingOracle, "_save_trial", lambda self, trial: None)
    most = {"max_consecutive_failed_trials": 3}
    found = [
        {stops(make(tmp_path, seed, **most), workers, seed) for workers in (1, 2, 4, 9)}
        for seed in range(8)
    ]
    assert all(len(each) == 1 for each in found)
    assert {True} in found and {False} in found


@pytest.mark.parametrize(
    ("failed", "row"),
    [
        ("0000 0001 0003", 2),
        ("0000 0001 0002", 3),
        ("9999 10000 0001", 1),
        ("0001 0001-1 0001-2 0001-3", 4),
        ("0000 0001 0001-1", 2),
        ("0001-1 0002 0003-1", 2),
    ],
)
def test_a_row_of_failures(failed, row):
    assert rungs.failures_in_a_row("0001", {"0001", *failed.split()}) == row
    assert rungs.failures_in_a_row("10000", {"9998", "9999", "10000", "1001"}) == 3


def test_max_trials_are_the_first_ones(tmp_path):
    whole = outcome(play(make(tmp_path / "a", budget=(10, 2))))
    for limit in (1, 13, 45):
        oracle = play(make(tmp_path / str(limit), budget=(10, 2), max_trials=limit), 4, limit)
        assert outcome(oracle) == {i: t for i, t in whole.items() if int(i) < limit}
        assert sum(r.trials for r in oracle.schedule()) == limit


def test_known_settings_come_first(tmp_path):
    known = [{"rate": 0.01, "depth": 2, "units": 7}, {"rate": 0.02, "depth": 1}]
    oracle = play(make(tmp_path, try_first=known), 3)
    first = [without_bookkeeping(oracle.trials[i].hyperparameters.values) for i in ("0000", "0001")]
    assert first == known
    others = outcome(play(make(tmp_path / "x"), 3))
    assert without_bookkeeping(others["0002"][2]) == without_bookkeeping(
        oracle.trials["0002"].hyperparameters.values
    )
    again = make(tmp_path)
    again.reload()
    assert again.try_first == known
    with pytest.raises(BadInput, match="try_first was .*0.02.* when .* and is now .*0.03"):
        make(tmp_path, try_first=[{"rate": 0.03}]).reload()


def test_a_rejection_costs_a_draw_and_not_a_place(tmp_path):
    """Also where there are fewer settings than trials."""
    oracle = Oracle(OBJECTIVE, seed=0, max_epochs=10, factor=2)
    oracle.verbose = 0
    hp = keras_tuner.HyperParameters()
    hp.Int("depth", 1, 4)
    oracle.update_space(hp)
    oracle._set_project_dir(tmp_path, "p")
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        while trial.hyperparameters["depth"] > 2 and oracle.redraw(trial):
            pass
        end(oracle, trial)
    assert len(oracle.trials) == 46
    assert {t.hyperparameters["depth"] for t in oracle.trials.values()} == {1, 2}


def test_a_retry_has_a_seed_of_its_own(tmp_path):
    """Unlike that of any execution, and a trial that resumes it has the same."""
    oracle = make(tmp_path, max_retries_per_trial=1)
    seeds = set()
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        parent = trial.hyperparameters.values.get("tuner/trial_id")
        seed = oracle.seed_of_training(trial)
        if parent is not None:
            assert seed == oracle.seed_of_training(oracle.trials[parent])
        else:
            assert seed == oracle.seed_of(trial.trial_id)
            trial.status = "INVALID"
            oracle.end_trial(trial)
            oracle.begin_again(trial, "t")
            retry = oracle.seed_of_training(trial)
            seeds |= {seed, retry, *(drawn.derive_seed(seed, number) for number in range(1, 5))}
        end(oracle, trial)
    assert len(seeds) == 6 * sum(r.trials for r in rungs.first_rungs(oracle.rungs))


@pytest.mark.parametrize("model", ["same", "another"])
def test_retries_of_another_search_do_not_count(tmp_path, model):
    """As long as no trial has ended, the same name may be used for another search."""
    oracle = make(tmp_path, max_retries_per_trial=1)
    oracle.take_up({"model": "same"})
    trial = oracle.create_trial("t")
    trial.status = "INVALID"
    oracle.end_trial(trial)
    again = make(tmp_path, max_retries_per_trial=1)
    again.reload()
    again.take_up({"model": model})
    seed = again.seed_of_training(again.create_trial("t"))
    assert (seed == again.seed_of("0000")) == (model == "another")
    assert seed == oracle.seed_of_training(trial) or model == "another"


def test_a_hyperparameter_found_late_changes_no_other_draw(tmp_path):
    configs = []
    for late in (False, True):
        oracle = make(tmp_path / str(late))
        oracle.create_trial("t")
        if late:
            hp = keras_tuner.HyperParameters()
            hp.Int("late", 1, 1000)
            oracle.update_space(hp)
        configs.append(oracle.create_trial("u").hyperparameters.get_config())
    assert configs[0] == configs[1]


def test_a_late_value_follows_from_the_seed_and_the_name():
    def ask(seed, *names):
        hp = drawn.of(space().get_config(), seed)
        return {name: hp.Int(name, 1, 10**6) for name in names}

    both = ask(1, "a", "b")
    assert ask(1, "b", "a") == both and both["a"] != both["b"]
    assert ask(2, "a")["a"] != both["a"]
    assert drawn.of({"space": [], "values": {"a": 7}}, 1).Int("a", 1, 10**6) == 7


def test_what_a_promotion_needs_is_kept(tmp_path):
    """Until the promoted trial has ended; at the end nothing is kept."""
    oracle = make(tmp_path, budget=(10, 2))
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        parent = trial.hyperparameters.values.get("tuner/trial_id")
        assert parent is None or parent in oracle.promotable()
        end(oracle, trial)
    assert oracle.promotable() == set()


@pytest.mark.long(only=True)
@pytest.mark.parametrize("most", dealt([4, 10], [4]))
@settings(max_examples=15, deadline=None)
@given(order=st.integers(0, 2**20), failing=st.sampled_from([0.0, 0.3, 1.0]))
def test_what_is_remembered_of_a_bracket_is_how_it_stands(tmp_path_factory, most, order, failing):
    oracle = make(tmp_path_factory.mktemp("a"), budget=(most, 2), hyperband_iterations=2)
    shuffle, running = random.Random(order), []
    while True:
        anew = Brackets(oracle.rungs, oracle.objective)
        assert oracle.brackets.standings(oracle.trials) == anew.standings(oracle.trials)
        trial = oracle.create_trial(f"worker{len(oracle.trials)}")
        if trial.status == "RUNNING":
            running.append(trial)
        if len(running) == 5 or trial.status != "RUNNING":
            if not running:
                break
            end(oracle, running.pop(shuffle.randrange(len(running))), failing)


def test_brackets_and_iterations_do_not_wait_for_each_other(tmp_path):
    """The first rungs of all are open from the start."""
    oracle = make(tmp_path, hyperband_iterations=3)
    first = [r for (_, level), r in oracle.rungs.items() if level == 0]
    assert len(first) == 9
    assert [s.number for s in oracle.open_slots()] == [
        rung.first_number + index for rung in first for index in range(rung.trials)
    ]


def started(oracle):
    return files.read_json(Path(oracle._get_oracle_fname()))["start_order"]


def test_a_search_is_resumed_without_a_state_that_names_all_trials(tmp_path, monkeypatch):
    """As if it had been killed before the state was due."""
    whole = outcome(play(make(tmp_path / "whole")))
    monkeypatch.setattr(seldom, "SHARE", 1e-9)
    for stop in (1, 4, 7):
        killed = make(tmp_path / str(stop))
        killed.save()
        with killed.saved_seldom():
            play(killed, 2, stop, stop=stop)
            again = make(tmp_path / str(stop))
            again.reload()
            assert started(killed) == ["0000"]
        assert started(killed) == killed.start_order
        assert len(again.trials) == stop
        assert outcome(play(again)) == whole
