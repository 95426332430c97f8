"""Ways to call `search` and to be told that Keras's users are used to."""

import keras_tuner
import numpy as np
import pytest

from shared_keras.hyperband import Hyperband
from shared_keras.hyperband.trials import job
from shared_keras.results import history_csv
from tests.hyperband.drop_in.both_classes import Log, notes
from tests.hyperband.small_search import DATA, X, Y, build, make, outcome, search
from tests.shares import dealt


def test_all_arguments_of_fit_by_position(tmp_path, capsys):
    """In the order of `Model.fit`: batch size, epochs, verbose, callbacks, validation split."""
    by_name = {"x": X, "y": Y, "batch_size": 16, "validation_split": 0.25, "verbose": 0}
    expected = outcome(make(tmp_path / "a", max_epochs=1).search(**by_name))
    log = tmp_path / "log"
    tuner = make(tmp_path / "b", max_epochs=1)
    tuner.search(X, Y, 16, 5, 0, [Log(log)], 0.25)
    assert outcome(tuner) == expected
    assert notes(log) == ["epoch 0, step 6: accuracy, loss, val_accuracy, val_loss"]
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="multiple values for argument 'callbacks'"):
        tuner.search(X, Y, 16, 5, 0, [Log(log)], callbacks=[])


@pytest.mark.parametrize("error", dealt([SystemExit, KeyboardInterrupt], [SystemExit]))
@pytest.mark.parametrize("kind", [keras_tuner.Hyperband, Hyperband])
def test_a_run_trial_may_end_the_process(tmp_path, kind, error):
    class Leaving(kind):
        def run_trial(self, trial, *args, **kwargs):
            raise error

    space = keras_tuner.HyperParameters()
    space.Int("units", 1, 9)
    tuner = Leaving(None, "loss", directory=tmp_path, hyperparameters=space)
    with pytest.raises(error):
        tuner.search(verbose=0)
    assert {str(t.status) for t in tuner.oracle.trials.values()} == {"RUNNING"}


class Strategy:
    """What the tuner uses of a `tf.distribute.Strategy`."""

    extended = object()
    inside = False

    def scope(self):
        return self

    def __enter__(self):
        self.inside = True

    def __exit__(self, *error):
        self.inside = False


@pytest.mark.long(only=True)
@pytest.mark.parametrize("kind", [keras_tuner.Hyperband, Hyperband])
def test_a_best_model_is_built_under_the_strategy(tmp_path, kind):
    strategy, scopes = Strategy(), []

    def hypermodel(hp):
        scopes.append(strategy.inside)
        return build(hp)

    options = {"max_epochs": 1, "factor": 3, "distribution_strategy": strategy}
    tuner = kind(hypermodel, "val_accuracy", directory=tmp_path, **options)
    search(tuner)
    before = len(scopes)
    tuner.get_best_models()
    assert scopes[before:] == [True]


class OwnFit(keras_tuner.HyperModel):
    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


@pytest.mark.parametrize(("verbose", "shown"), [({}, False), ({"verbose": 2}, True)])
def test_the_bars_of_a_fit_of_ones_own_leave_the_progress_alone(tmp_path, capsys, verbose, shown):
    tuner = make(tmp_path, OwnFit())
    shared = tuner.shared((), DATA | verbose)
    (tmp_path / "trial").mkdir()
    config = {"space": [], "values": {"units": 4}}
    result = job.run(shared, job.TrialJob(config, tmp_path / "trial", None, 0, 1, 0, False))
    assert result.failure is None
    assert ("3/3" in capsys.readouterr().out) == shown


def test_metrics_of_some_epochs_stand_beside_these(tmp_path):
    tuner = make(tmp_path, objective="loss", max_epochs=3, factor=4)
    search(tuner, validation_freq=2)
    history = history_csv.read(tuner.folder("0000") / "history.csv")
    assert [np.isnan(value) for value in history["val_loss"]] == [True, False, True]
    assert not np.isnan(history["loss"]).any() and len(history["loss"]) == 3


def test_a_history_with_columns_of_any_length_is_whole(tmp_path):
    path = tmp_path / "history.csv"
    history_csv.write(path, {"loss": [1.5, 0.5, 0.25], "lr": [0.5], "seconds": [1.0, 2.0, 3.5]})
    assert path.read_text().splitlines() == [
        "epoch,loss,lr,seconds",
        "1,1.5,0.5,1.0",
        "2,0.5,,2.0",
        "3,0.25,,3.5",
    ]
    assert history_csv.column(path, "seconds") == [1.0, 2.0, 3.5]
