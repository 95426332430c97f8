"""The tuner: Hyperband's schedule, resuming, failures, files, reproducibility."""

import csv
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import keras_tuner
import pytest
from filelock import FileLock

from shared_keras import training
from shared_keras.errors import RunFailed
from shared_keras.hyperband import Hyperband
from shared_keras.hyperband.decisions.rungs import lineage
from shared_keras.processes import local_pool as workers
from tests.hyperband import small_search
from tests.hyperband.healthy_search import (
    BUDGET,
    FIT,
    VALIDATION,
    X,
    Y,
    healthy,
    make,
    outcome,
    search,
)
from tests.shares import dealt


def uninterrupted(hp, seed):
    """Train to the end without interruption and return the history."""
    training.seed_layers(seed)
    epochs = BUDGET["max_epochs"]
    return training.fit(healthy(hp), X[:300], Y[:300], epochs=epochs, seed=seed, **FIT).history


def test_promotion_is_continuation(done):
    """Three rungs give, bit for bit, what one uninterrupted training gives."""
    last = next(
        t for t in done.oracle.trials.values() if t.hyperparameters.values["tuner/round"] == 2
    )
    line = lineage(done.oracle.trials, last)[::-1]
    assert len(line) == 3
    seed = done.oracle.seed_of_training(last)
    # In a process like those that trained the trials, with the same XLA settings.
    worker = workers.get(workers.default())[0]
    expected = worker.submit(uninterrupted, last.hyperparameters, seed).result()
    rows = []
    for trial in line:
        with open(done.folder(trial.trial_id) / "history.csv") as file:
            rows += csv.DictReader(file)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for name, values in expected.items():
        assert [float(row[name]) for row in rows] == values, name


def has_tensorflow():
    return "tensorflow" in sys.modules


@pytest.mark.long(only=True)
def test_workers_do_without_tensorflow(tmp_path):
    """Importing it would take each of them seconds."""
    (worker,) = workers.get(1)
    worker.restart()
    assert len(search(make(tmp_path, workers=1, max_trials=1)).results()) == 1
    assert not worker.submit(has_tensorflow).result()


@pytest.mark.long(only=True)
@pytest.mark.parametrize("moment", dealt([1, 8, 14], [8]))
def test_an_interrupted_search_ends_like_an_uninterrupted_one(done, tmp_path, moment):
    """Stop at the n-th event: before, during and after first trials, during a promotion."""
    events = []

    def stop():
        events.append(1)
        if len(events) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(make(tmp_path, callback=stop))
    completed = set(make(tmp_path).oracle.trials)
    resumed = make(tmp_path)
    begun = set()
    resumed.callback = lambda: begun.update(resumed.course.running)
    search(resumed)
    assert outcome(resumed) == outcome(done)
    assert not completed & begun  # finished trials are not repeated
    for trial in resumed.oracle.trials.values():
        observations = trial.metrics.get_history("val_accuracy")
        assert [len(o.value) for o in observations] == [1]  # nor averaged with stale ones
    assert sorted(resumed.oracle.end_order) == sorted(resumed.oracle.trials)


def test_two_searches_in_one_folder(tmp_path):
    """The second is told so and leaves."""
    with (
        FileLock(make(tmp_path).folder("0000").parent / ".lock"),
        pytest.raises(RunFailed, match="another process is searching in"),
    ):
        search(make(tmp_path))


@pytest.mark.long(only=True)
def test_two_searches_in_one_process(tmp_path):
    """The second is told so and leaves; both would train with the same workers."""
    first = make(tmp_path, max_trials=2)
    told = []

    def second():
        if not told:
            with ThreadPoolExecutor() as thread, pytest.raises(RunFailed, match="this process is"):
                thread.submit(search, make(tmp_path / "another", workers=1)).result()
            told.append(True)

    first.callback = second
    assert len(outcome(search(first))) == 2 and told
    assert len(outcome(search(make(tmp_path / "another", max_trials=1)))) == 1


def test_a_timeout_ends_with_a_usable_result(tmp_path):
    tuner = make(tmp_path)
    tuner.search(X[:300], Y[:300], timeout=0.5, **FIT)
    assert 1 <= len(tuner.results()) < 15
    assert tuner.winner().score is not None


class OwnFit(keras_tuner.HyperModel):
    """A hypermodel with its own `fit`, which declares a hyperparameter."""

    def build(self, hp):
        return small_search.build(hp)

    def fit(self, hp, model, x, y, **kwargs):
        kwargs["batch_size"] = hp.Choice("batch_size", [10, 20, 40, 80])  # of 80 samples
        return model.fit(x, y, **kwargs)


def test_a_hypermodels_own_fit_is_used(tmp_path):
    tuner = small_search.make(tmp_path, OwnFit())
    small_search.search(tuner)
    sizes = [t.hyperparameters.values["batch_size"] for t in tuner.oracle.trials.values()]
    assert len(set(sizes)) > 2
    assert all(t.status == "COMPLETED" for t in tuner.oracle.trials.values())


def test_any_logged_metric_can_be_the_objective(tmp_path):
    tuner = search(Hyperband(healthy, "loss", max_epochs=2, factor=2, directory=tmp_path))
    longest = [
        t for t in tuner.oracle.trials.values() if t.hyperparameters.values["tuner/epochs"] == 2
    ]
    assert tuner.winner().score == min(t.score for t in longest)


def test_same_seed_same_search_whatever_the_number_of_workers(done, tmp_path):
    another = 1 if workers.default() > 1 else 2
    assert outcome(search(make(tmp_path, workers=another))) == outcome(done)


def test_the_winner_is_among_the_longest_trained(done):
    longest = [
        t for t in done.oracle.trials.values() if t.hyperparameters.values["tuner/epochs"] == 4
    ]
    assert done.winner().score == max(t.score for t in longest)
    assert done.winner() in longest


def test_a_stock_tuner_opens_the_folder(done):
    stock = keras_tuner.Hyperband(
        healthy,
        "val_accuracy",
        **BUDGET,
        directory=done.directory,
        project_name=done.project_name,
    )
    assert len(stock.oracle.trials) == 15
    best = stock.oracle.get_best_trials(1)[0]
    assert stock.get_best_hyperparameters()[0].values == best.hyperparameters.values
    model = stock.get_best_models(1)[0]
    assert model.evaluate(*VALIDATION, verbose=0)[1] == pytest.approx(best.score)


def test_our_best_model_has_the_winners_score(done):
    model = done.load_model(done.winner())
    assert model.evaluate(*VALIDATION, verbose=0)[1] == pytest.approx(done.winner().score)


def test_only_needed_checkpoints_stay(done):
    folders = {p.parent.name[6:] for p in done.folder("0000").parent.rglob("checkpoint.weights.h5")}
    needed = {
        t.trial_id
        for best in (done.winner(), done.oracle.get_best_trials(1)[0])
        for t in lineage(done.oracle.trials, best)
    }
    assert folders == needed
    assert not list(done.folder("0000").parent.rglob("state.npz"))


def test_trial_files_are_plain_json(done):
    for path in done.folder("0000").parent.rglob("trial.json"):
        state = json.loads(path.read_text())
        assert state["status"] == "COMPLETED" and 0 <= state["score"] <= 1


def test_nothing_is_printed(done, tmp_path, capsys):
    trial = make(tmp_path).oracle.create_trial("t")
    assert trial.status == "RUNNING"
    assert capsys.readouterr().out == ""


@pytest.mark.long(only=True)
def test_the_same_tuner_goes_on_after_an_interruption(tmp_path):
    calls = []

    def stop_once():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    tuner = small_search.make(tmp_path / "stopped", callback=stop_once)
    with pytest.raises(KeyboardInterrupt):
        small_search.search(tuner)
    small_search.search(tuner)
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    whole = small_search.make(tmp_path / "whole")
    small_search.search(whole)
    assert small_search.outcome(tuner) == small_search.outcome(whole)
