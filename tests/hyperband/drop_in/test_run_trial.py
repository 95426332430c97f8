"""Subclasses with a `run_trial` of their own."""

import keras
import keras_tuner
import numpy as np
import pytest

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    FIVE,
    TWO,
    VALIDATION,
    X,
    Y,
    compare,
    make,
    search,
)
from tests.hyperband.drop_in.test_overriding import noting


@pytest.mark.long(only=True)
def test_run_trial_may_tune_the_batch_size(tmp_path):
    """What KerasTuner's users are told to do for the batch size."""

    def way(hyperband, folder):
        class OwnBatches(hyperband):
            def run_trial(self, trial, *args, **kwargs):
                kwargs["batch_size"] = trial.hyperparameters.Int("batch_size", 8, 24, step=8)
                return super().run_trial(trial, *args, **kwargs)

        return search(make(OwnBatches, folder, schedule=TWO))

    for tuner in compare(way, tmp_path):
        sizes = [t.hyperparameters.values["batch_size"] for t in tuner.oracle.trials.values()]
        assert set(sizes) <= {8, 16, 24}
        assert tuner.get_best_models()[0].predict(X, verbose=0).shape == (48, 2)


def value(hp):
    return (hp.Float("x", -1, 1) - 0.5) ** 2


def history(losses):
    found = keras.callbacks.History()
    found.history = {"val_loss": losses}
    return found


RESULTS = {
    "float": lambda hp: value(hp),
    "numpy float": lambda hp: np.float32(value(hp)),
    "int": lambda hp: int(9 * value(hp)),
    "dict": lambda hp: {"val_loss": value(hp), "other": 3.0},
    "history": lambda hp: history([9.0, value(hp), 8.0]),
    "floats": lambda hp: [value(hp), value(hp) + 2],
    "dicts": lambda hp: [{"val_loss": value(hp)}, {"val_loss": value(hp) + 2}],
    "histories": lambda hp: [history([9.0, value(hp)]), history([value(hp) + 2, 9.0])],
}


@pytest.mark.parametrize("name", RESULTS)
def test_run_trial_may_return(tmp_path, name):
    def way(hyperband, folder):
        class BlackBox(hyperband):
            def run_trial(self, trial, *args, **kwargs):
                return RESULTS[name](trial.hyperparameters)

        space = keras_tuner.HyperParameters()
        space.Float("x", -1, 1)
        tuner = make(BlackBox, folder, None, "val_loss", FIVE, hyperparameters=space)
        tuner.search()
        return tuner

    for tuner in compare(way, tmp_path):
        best = tuner.oracle.get_best_trials(5)
        several = name in ("floats", "dicts", "histories")
        for trial in best:
            expected = value(trial.hyperparameters) + several
            expected = int(9 * expected) if name == "int" else expected
            assert trial.score == pytest.approx(expected, rel=1e-5)
        assert len(best) == 5


@pytest.mark.parametrize("objective", [None, "val_loss"])
def test_without_a_hypermodel_hyperparameters_may_be_met_on_the_way(tmp_path, objective):
    """The stock Hyperband starts no trial of an empty space; KerasTuner's guide wants some."""

    def run_trial(self, trial, *args, **kwargs):
        return value(trial.hyperparameters)

    kinds = [type("BlackBox", (kind,), {"run_trial": run_trial}) for kind in CLASSES.values()]
    stock, ours = (make(kind, tmp_path / str(i), None, objective) for i, kind in enumerate(kinds))
    stock.search()
    ours.search()
    assert len(stock.oracle.trials) == 0
    assert [str(t.status) for t in ours.oracle.trials.values()] == ["COMPLETED"]


@pytest.mark.parametrize("result", ["good", None, {"other": 3.0}], ids=str)
def test_run_trial_must_return_the_objective(tmp_path, result):
    for name, hyperband in CLASSES.items():

        class Wrong(hyperband):
            def run_trial(self, trial, *args, **kwargs):
                return result

        with pytest.raises((TypeError, ValueError), match=r"run_trial"):
            search(make(Wrong, tmp_path / name))


def test_run_trial_may_report_to_the_oracle(tmp_path):
    def way(hyperband, folder):
        class Reporting(hyperband):
            def run_trial(self, trial, *args, **kwargs):
                self.oracle.update_trial(trial.trial_id, {"val_loss": 0.25}, step=3)

        with pytest.deprecated_call(match="update_trial"):
            return search(make(Reporting, folder, objective="val_loss"))

    for tuner in compare(way, tmp_path):
        assert [t.score for t in tuner.oracle.trials.values()] == [0.25]


def test_run_trial_may_validate_across_folds(tmp_path):
    def way(hyperband, folder):
        class Folds(hyperband):
            def run_trial(self, trial, x, y, batch_size=32, epochs=1):
                scores = []
                for part in np.split(np.arange(len(x)), 2):
                    model = self.hypermodel.build(trial.hyperparameters)
                    rest = np.setdiff1d(np.arange(len(x)), part)
                    model.fit(x[rest], y[rest], batch_size=batch_size, verbose=0)
                    scores.append(model.evaluate(x[part], y[part], verbose=0)[1])
                self.scores = scores
                return {"val_accuracy": np.mean(scores)}

        tuner = make(Folds, folder)
        tuner.search(X, Y, batch_size=24)
        return tuner

    for tuner in compare(way, tmp_path):
        assert tuner.oracle.get_best_trials()[0].score == np.mean(tuner.scores)


@pytest.mark.long(only=True)
def test_run_trial_may_resume_a_trial_itself(tmp_path):
    """As in the documentation of `HyperbandOracle`, with a loop and weights of its own."""

    def way(hyperband, folder):
        class OwnLoop(hyperband):
            def run_trial(self, trial, x, y, **kwargs):
                hp = trial.hyperparameters
                model = self.hypermodel.build(hp)
                if "tuner/trial_id" in hp:
                    parent = self.oracle.get_trial(hp["tuner/trial_id"])
                    assert str(parent.status) == "COMPLETED"
                    model.load_weights(self._get_checkpoint_fname(parent.trial_id))
                for epoch in range(hp["tuner/initial_epoch"], hp["tuner/epochs"]):
                    self.on_epoch_begin(trial, model, epoch)
                    loss = model.train_on_batch(x, y)[0]
                    self.on_epoch_end(trial, model, epoch, {"loss": loss})
                model.save_weights(self._get_checkpoint_fname(trial.trial_id))
                return {"loss": float(loss)}

        tuner = make(noting(OwnLoop, ["on_epoch_end"]), folder, objective="loss", schedule=FIVE)
        tuner.search(X, Y)
        return tuner

    stock, ours = compare(way, tmp_path)
    assert len(ours.events) == len(stock.events) == 7
    assert ours.get_best_models()[0].predict(X, verbose=0).shape == (48, 2)


def test_models_of_another_library(tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model")
    pickle = pytest.importorskip("pickle")

    def way(hyperband, folder):
        class Sklearn(hyperband):
            def run_trial(self, trial, x, y, validation_data):
                model = self.hypermodel.build(trial.hyperparameters).fit(x, y)
                self.save_model(trial.trial_id, model)
                return {"score": model.score(*validation_data)}

            def save_model(self, trial_id, model, step=0):
                (folder / trial_id).write_bytes(pickle.dumps(model))

            def load_model(self, trial):
                return pickle.loads((folder / trial.trial_id).read_bytes())

        def logistic(hp):
            return linear_model.LogisticRegression(C=hp.Float("c", 1e-3, 10))

        tuner = make(Sklearn, folder, logistic, keras_tuner.Objective("score", "max"), TWO)
        tuner.search(X, Y, validation_data=VALIDATION)
        return tuner

    for tuner in compare(way, tmp_path):
        scores = [model.score(*VALIDATION) for model in tuner.get_best_models(2)]
        assert scores == [t.score for t in tuner.oracle.get_best_trials(2)]
