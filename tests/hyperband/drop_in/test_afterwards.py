"""What a search leaves: models, hyperparameters, summaries, a folder that can be reloaded."""

import os

import keras
import keras_tuner
import pytest

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    FIVE,
    TWO,
    VALIDATION,
    X_VAL,
    Log,
    X,
    Y,
    compare,
    facts,
    make,
    note,
    notes,
    printed,
    search,
)
from tests.hyperband.drop_in.test_models import build, subclassed, unbuilt

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished search of each class."""
    folder = tmp_path_factory.mktemp("afterwards")
    return [search(make(kind, folder / name, schedule=FIVE)) for name, kind in CLASSES.items()]


def test_the_best_models(searched):
    for tuner in searched:
        models = tuner.get_best_models(num_models=3)
        assert [type(model) for model in models] == 3 * [keras.Sequential]
        scores = [model.evaluate(*VALIDATION, verbose=0)[1] for model in models]
        assert scores == pytest.approx([t.score for t in tuner.oracle.get_best_trials(3)])
        assert len(tuner.get_best_models()) == 1
        assert len(tuner.get_best_models(99)) == 5


def test_the_best_model_can_be_trained_further_and_saved(searched, tmp_path):
    for tuner in searched:
        (model,) = tuner.get_best_models()
        assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert again.predict(X_VAL, verbose=0).shape == (20, 2)
        assert "Total params" in printed(model.summary)


def test_the_best_hyperparameters(searched):
    stock, ours = ([*tuner.get_best_hyperparameters(num_trials=2)] for tuner in searched)
    for each in (*stock, *ours):
        assert type(each) is keras_tuner.HyperParameters
        assert each.get("units") == each["units"] == each.values["units"]
        assert "units" in each and "layers" not in each
    assert {*ours[0].values} >= {"units", "rate", "tuner/epochs", "tuner/bracket"}
    assert [hp.name for hp in ours[0].space] == [hp.name for hp in stock[0].space]


def test_the_best_hyperparameters_build_a_new_model(searched):
    for tuner in searched:
        (best,) = tuner.get_best_hyperparameters()
        model = tuner.hypermodel.build(best)
        found = tuner.hypermodel.fit(best, model, X, Y, epochs=2, verbose=0)
        assert found.epoch == [0, 1]


def test_trials(searched):
    for tuner in searched:
        assert tuner.get_trial_dir("0000") == os.path.join(tuner.project_dir, "trial_0000")
        best = tuner.oracle.get_best_trials(num_trials=2)
        assert all(tuner.oracle.get_trial(trial.trial_id) is trial for trial in best)
        for trial in best:
            name = "val_accuracy"
            assert trial.metrics.get_best_value(name) == trial.score
            assert trial.metrics.get_last_value(name) == trial.score
            assert trial.metrics.get_direction(name) == "max"
            assert trial.metrics.get_history(name)[0].value == [trial.score]
            assert isinstance(trial.best_step, int)
            assert f"Trial {trial.trial_id} summary" in printed(trial.summary)


@pytest.mark.parametrize("extended", [True, False])
def test_the_summary_of_the_space(searched, extended):
    stock, ours = (printed(tuner.search_space_summary, extended) for tuner in searched)
    assert ours == stock and "units" in stock


def test_the_summary_of_the_results(searched):
    for tuner in searched:
        for count, trials in ((3, 3), (99, 5)):
            text = printed(tuner.results_summary, num_trials=count)
            best = [t.trial_id for t in tuner.oracle.get_best_trials(count)]
            assert len(best) == trials and all(trial in text for trial in best)
            assert f"Score: {tuner.oracle.get_best_trials()[0].score}\n" in text
        assert printed(tuner.results_summary)


def test_before_the_first_trial(tmp_path):
    for name, hyperband in CLASSES.items():
        tuner = make(hyperband, tmp_path / name)
        assert tuner.get_best_models() == tuner.get_best_hyperparameters() == []
        printed(tuner.results_summary)
        assert "units" in printed(tuner.search_space_summary)


@pytest.mark.parametrize("explicitly", [True, False])
def test_another_tuner_reads_the_folder(searched, explicitly):
    for hyperband, tuner in zip(CLASSES.values(), searched):
        again = make(hyperband, tuner.directory, schedule=FIVE)
        if explicitly:
            again.reload()
        assert facts(again) == facts(tuner)
        (model,) = again.get_best_models()
        score = model.evaluate(*VALIDATION, verbose=0)[1]
        assert score == pytest.approx(tuner.oracle.get_best_trials()[0].score)


def test_it_can_be_saved_and_reloaded_in_place(searched):
    for tuner in searched:
        before = facts(tuner)
        tuner.save()
        tuner.reload()
        assert facts(tuner) == before


def test_a_finished_search_is_not_repeated(tmp_path):
    def way(hyperband, folder):
        for _ in range(2):
            tuner = make(hyperband, folder)
            for _ in range(2):
                search(tuner, callbacks=[Log(folder / "log")])
        return tuner

    compare(way, tmp_path)
    assert len(notes(tmp_path / "ours" / "log")) == len(notes(tmp_path / "stock" / "log")) == 1


def interrupting(hyperband):
    class Interrupting(hyperband):
        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            if len(self.oracle.end_order) == 2:
                raise KeyboardInterrupt

    return Interrupting


def test_an_interrupted_search_is_resumed(tmp_path):
    def way(hyperband, folder):
        with pytest.raises(KeyboardInterrupt):
            search(make(interrupting(hyperband), folder, schedule=FIVE))
        again = make(hyperband, folder, schedule=FIVE)
        assert len(again.oracle.end_order) == 2
        return search(again)

    compare(way, tmp_path)


def test_a_relative_directory_may_be_left_during_the_search(tmp_path, monkeypatch):
    class Leaving(CLASSES["ours"]):
        def on_trial_begin(self, trial):
            monkeypatch.chdir(tmp_path)

    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    tuner = search(make(Leaving, "kept", schedule=TWO))
    assert len(tuner.get_best_models(2)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"first"}


@pytest.mark.parametrize("hypermodel", [unbuilt, pytest.param(subclassed, marks=pytest.mark.long)])
def test_models_that_know_their_input_only_from_data(tmp_path, hypermodel):
    def way(hyperband, folder):
        search(make(hyperband, folder, hypermodel))
        return make(hyperband, folder, hypermodel)

    for tuner in compare(way, tmp_path):
        (model,) = tuner.get_best_models()
        score = model.evaluate(*VALIDATION, verbose=0)[1]
        assert score == pytest.approx(tuner.oracle.get_best_trials()[0].score)


def test_the_files_of_the_folder(searched):
    for tuner in searched:
        files = {name for _, _, names in os.walk(tuner.project_dir) for name in names}
        wanted = {"oracle.json", "tuner0.json", "trial.json", "build_config.json"}
        assert files >= wanted | {"checkpoint.weights.h5"}


class Once(keras_tuner.HyperModel):
    """Leaves a note where it was built."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def build(self, hp):
        note(self.path, "built")
        return build(hp)


def test_a_model_is_built_once_for_each_trial(tmp_path):
    def way(hyperband, folder):
        return search(make(hyperband, folder, Once(folder / "built")))

    compare(way, tmp_path)
    assert len(notes(tmp_path / "stock" / "built")) == 2  # one tells the hyperparameters
    assert len(notes(tmp_path / "ours" / "built")) == 2
