"""The tuner: Hyperband's schedule, continuation, failures, files, reproducibility."""

import csv
import json

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import training
from shared_keras.oracle import Oracle
from shared_keras.tuner import Hyperband

X = np.random.default_rng(0).integers(0, 256, (400, 10), dtype=np.uint8)
Y = (X[:, 0] > 127).astype(np.int32)
BUDGET = {"max_epochs": 4, "factor": 2}
VALIDATION = (X[300:], Y[300:])
FIT = {"validation_data": VALIDATION, "batch_size": 32}


def build(hp):
    """A hypermodel of which some settings fail."""
    trouble = hp.Choice("trouble", ["none", "raise", "nan"])
    if trouble == "raise":
        raise RuntimeError("out of luck")
    return healthy(hp, float("inf") if trouble == "nan" else None)


def healthy(hp, rate=None):
    units = hp.Int("units", 4, 12, step=4)
    rate = rate or hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def make(folder, hypermodel=healthy, seed=0, **kwargs):
    return Hyperband(
        hypermodel,
        "val_accuracy",
        **BUDGET,
        seed=seed,
        directory=folder,
        project_name="p",
        **kwargs,
    )


def search(tuner):
    tuner.search(X[:300], Y[:300], **FIT)
    return tuner


def outcome(tuner):
    """All that a search decided."""
    return [
        (t.trial_id, t.status, t.score, t.best_step, t.hyperparameters.values)
        for t in tuner.oracle.trials.values()
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished search."""
    return search(make(tmp_path_factory.mktemp("done")))


@pytest.mark.parametrize(
    ("max_epochs", "trials", "epochs"), [(10, 46, 170), (15, 46, 250), (20, 92, 468)]
)
def test_schedule_is_the_published_one(max_epochs, trials, epochs):
    """DESIGN 3 and the issues count these for the stock class."""
    rungs = Oracle("val_accuracy", seed=0, max_epochs=max_epochs, factor=2).schedule()
    assert sum(r.trials for r in rungs) == trials
    assert sum(r.trials * (r.epochs - r.initial_epoch) for r in rungs) == epochs


def test_the_schedule_is_what_runs(done):
    for rung in done.oracle.schedule():
        values = [t.hyperparameters.values for t in done.oracle.trials.values()]
        here = [
            v for v in values if (v["tuner/bracket"], v["tuner/round"]) == (rung.bracket, rung.rung)
        ]
        assert len(here) == rung.trials
        assert {(v["tuner/initial_epoch"], v["tuner/epochs"]) for v in here} == {
            (rung.initial_epoch, rung.epochs)
        }


def test_the_best_are_promoted(done):
    trials = done.oracle.trials
    for rung in done.oracle.schedule():
        if rung.rung == 0:
            continue
        below = [
            t
            for t in trials.values()
            if t.hyperparameters.values["tuner/bracket"] == rung.bracket
            and t.hyperparameters.values["tuner/round"] == rung.rung - 1
        ]
        parents = {
            t.hyperparameters.values["tuner/trial_id"]
            for t in trials.values()
            if t.hyperparameters.values["tuner/bracket"] == rung.bracket
            and t.hyperparameters.values["tuner/round"] == rung.rung
        }
        left = max((t.score for t in below if t.trial_id not in parents), default=0)
        assert all(trials[parent].score >= left for parent in parents)


def test_promotion_is_continuation(done):
    """Three rungs, bit by bit what one uninterrupted training gives."""
    last = next(
        t for t in done.oracle.trials.values() if t.hyperparameters.values["tuner/round"] == 2
    )
    lineage = done._lineage(last)[::-1]
    assert len(lineage) == 3
    seed = done._seed_of(last)
    training.seed_layers(seed)
    model = healthy(last.hyperparameters)
    expected = training.fit(
        model, X[:300], Y[:300], epochs=BUDGET["max_epochs"], seed=seed, **FIT
    ).history
    rows = []
    for trial in lineage:
        with open(done.folder(trial.trial_id) / "history.csv") as file:
            rows += csv.DictReader(file)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for name, values in expected.items():
        assert [float(row[name]) for row in rows] == values, name


def test_same_seed_same_search_and_zero_is_a_seed(done, tmp_path):
    assert outcome(search(make(tmp_path / "again"))) == outcome(done)
    first = [make(tmp_path / str(seed), seed=seed).oracle.create_trial("t") for seed in (0, 1)]
    assert first[0].hyperparameters.values == done.oracle.trials["0000"].hyperparameters.values
    assert first[0].hyperparameters.values != first[1].hyperparameters.values


@pytest.mark.parametrize("moment", [1, 4, 17, 30])
def test_an_interrupted_search_ends_as_if_it_had_not_been(done, tmp_path, moment):
    """Stop at the n-th event: in the first epoch, between trials, in a promotion."""
    events = []

    def stop():
        events.append(1)
        if len(events) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(make(tmp_path, callback=stop))
    before = {i: t.status for i, t in make(tmp_path).oracle.trials.items()}
    resumed = make(tmp_path)
    begun = []
    resumed.callback = lambda: begun.append(resumed.running and resumed.running.trial_id)
    search(resumed)
    assert outcome(resumed) == outcome(done)
    completed = {i for i, status in before.items() if status == "COMPLETED"}
    assert not completed & set(begun)  # finished trials are not repeated
    for trial in resumed.oracle.trials.values():
        observations = trial.metrics.get_history("val_accuracy")
        assert [len(o.value) for o in observations] == [1]  # nor averaged with stale ones
    assert len(resumed.oracle.end_order) == len(set(resumed.oracle.end_order))


def test_files_are_whole_or_absent_after_a_crash_while_writing(tmp_path, monkeypatch):
    tuner = make(tmp_path)
    before = (tuner.folder("x").parent / "oracle.json").read_text()
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tuner.oracle.create_trial("t")
    monkeypatch.undo()
    assert (tuner.folder("x").parent / "oracle.json").read_text() == before
    assert not list(tmp_path.rglob("*tmp*"))
    assert outcome(make(tmp_path)) == []


def test_failures_are_recorded_and_the_rungs_still_fill(tmp_path):
    tuner = search(make(tmp_path, build, seed=1))
    trials = tuner.oracle.trials.values()
    troubles = {t.hyperparameters.values["trouble"] for t in trials}
    assert troubles == {"none", "raise", "nan"}
    for trial in trials:
        trouble = trial.hyperparameters.values["trouble"]
        assert (trial.status == "COMPLETED") == (trouble == "none")
        if trouble == "raise":
            assert "out of luck" in trial.message
        if trouble == "nan":
            assert "became nan in epoch" in trial.message
    for rung in tuner.oracle.schedule():
        values = [t.hyperparameters.values for t in trials]
        healthy_below = [
            v
            for v in values
            if (v["tuner/bracket"], v["tuner/round"]) == (rung.bracket, 0)
            and v["trouble"] == "none"
        ]
        here = [
            v for v in values if (v["tuner/bracket"], v["tuner/round"]) == (rung.bracket, rung.rung)
        ]
        expected = rung.trials if rung.rung == 0 else min(rung.trials, len(healthy_below))
        assert len(here) == expected
    assert tuner.winner().hyperparameters.values["trouble"] == "none"


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
        for t in done._lineage(best)
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
