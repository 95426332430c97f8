"""A search in a journal of Optuna, read with Optuna itself."""

import sys

import keras_tuner
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared_keras.errors import BadInput
from shared_keras.results import history_csv
from tests.hyperband import small_search

optuna = pytest.importorskip("optuna")

BUDGET = {"max_epochs": 4, "factor": 2}  # three brackets, of three, two and one rungs


def make(folder, **options):
    return small_search.make(
        folder, **BUDGET | {"optuna_journal": folder / "journal.log"} | options
    )


def studies(path):
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(path / "journal.log"))
    )
    return {s.study_name: optuna.load_study(study_name=s.study_name, storage=storage)
            for s in storage.get_all_studies()}  # fmt: skip


def told(study):
    """Return what a study says of each configuration, but for the time, by our first number."""
    return {
        t.user_attrs["trials"][0]: (
            t.state.name,
            t.value,
            t.params,
            t.distributions,
            t.intermediate_values,
            {key: value for key, value in t.user_attrs.items() if key != "seconds"},
        )
        for t in study.trials
    }


def ours(tuner):
    """Return the lines of trials that train one configuration each, by the first."""
    trials = tuner.oracle.trials
    lines = {}
    for i, trial in sorted(trials.items()):
        parent = trial.hyperparameters.values.get("tuner/trial_id")
        line = next((line for line in lines.values() if line[-1] == parent), None)
        if line is None:
            lines[i] = [i]
        else:
            line.append(i)
    return lines


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A finished search, and its study."""
    folder = tmp_path_factory.mktemp("fresh")
    tuner = small_search.search(make(folder))
    (study,) = studies(folder).values()
    return tuner, study


@pytest.mark.long(only=True)
def test_a_study_has_each_configuration_once_through_all_its_trials(fresh):
    tuner, study = fresh
    lines = ours(tuner)
    assert len(study.trials) == len(lines) < len(tuner.oracle.trials)
    assert study.study_name == "p" and study.metric_names == ["val_accuracy"]
    for trial in study.trials:
        line = trial.user_attrs["trials"]
        assert line == lines[line[0]]
        last = tuner.oracle.trials[line[-1]]
        values = last.hyperparameters.values
        top = values["tuner/round"] == values["tuner/bracket"]
        assert trial.state.name == ("COMPLETE" if top else "PRUNED")
        assert trial.value == last.score
        assert trial.params == {"units": values["units"]}
        assert trial.distributions == {"units": optuna.distributions.IntDistribution(2, 500)}
        assert trial.user_attrs["bracket"] == values["tuner/bracket"]
        assert trial.user_attrs["rung"] == values["tuner/round"]
        history = [v for i in line for v in history_csv.column(
            tuner.folder(i) / "history.csv", "val_accuracy")]  # fmt: skip
        assert trial.intermediate_values == dict(enumerate(history, 1))
        assert len(history) == values["tuner/epochs"]
        assert trial.duration.total_seconds() > 0
    assert study.best_trial.user_attrs["trials"][-1] == tuner.winner().trial_id


@pytest.mark.long(only=True)
@pytest.mark.parametrize(
    "moment", [9, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 5, 14))]
)
def test_an_interrupted_search_goes_on_in_its_study(fresh, tmp_path, moment):
    events = []

    def stop():
        events.append(1)
        if len(events) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_search.search(make(tmp_path, callback=stop))
    (study,) = studies(tmp_path).values()
    assert not [t for t in study.trials if t.state.name == "RUNNING"]
    resumed = make(tmp_path)
    small_search.search(resumed)
    (study,) = studies(tmp_path).values()
    assert told(study) == told(fresh[1])
    assert len(study.trials) == len(fresh[1].trials)


@pytest.mark.long(only=True)
def test_a_trial_runs_until_its_rung_is_decided(tmp_path):
    seen = set()

    def rung(trial):
        values = trial.hyperparameters.values
        return values["tuner/bracket"], values["tuner/round"]

    def look():
        trials = tuner.oracle.trials
        (study,) = studies(tmp_path).values()
        for told in study.trials:
            seen.add(told.state.name)
            last = trials[told.user_attrs["trials"][-1]]
            if told.state.name == "PRUNED":
                assert not [t for t in trials.values() if rung(t) == rung(last) and t.score is None]
            if last.status == "RUNNING":
                assert told.state.name == "RUNNING"

    tuner = make(tmp_path, callback=look)
    small_search.search(tuner)
    assert seen == {"RUNNING", "PRUNED", "COMPLETE"}


class FailsAtLast(keras_tuner.HyperModel):
    """Its longest trainings fail."""

    def build(self, hp):
        return small_search.build(hp)

    def fit(self, hp, model, *args, **options):
        if options["initial_epoch"] == 2:
            raise RuntimeError("out of luck")
        return model.fit(*args, **options)


@pytest.mark.long(only=True)
def test_failed_ones_fail_and_one_promoted_after_all_goes_on(tmp_path):
    tuner = make(tmp_path, hypermodel=FailsAtLast(), max_consecutive_failed_trials=None)
    small_search.search(tuner)
    (study,) = studies(tmp_path).values()
    lines, trials = ours(tuner), tuner.oracle.trials
    assert told(study).keys() == lines.keys()
    for first, (state, value, *_, attributes) in told(study).items():
        assert attributes["trials"] == lines[first]
        if trials[lines[first][-1]].status == "FAILED":
            assert state == "FAIL" and value is None
            assert attributes["reason"] == "RuntimeError: out of luck"
    replaced = [t for t in study.trials if "instead_of" in t.user_attrs]
    assert replaced and len(study.trials) == len(lines) + len(replaced)
    for trial in replaced:
        before = study.trials[trial.user_attrs["instead_of"]]
        assert before.state.name == "PRUNED"
        n = len(before.user_attrs["trials"])
        assert before.user_attrs["trials"] == trial.user_attrs["trials"][:n] != lines[first]
        assert before.intermediate_values.items() <= trial.intermediate_values.items()


@pytest.mark.long(only=True)
def test_other_studies_in_the_file_are_kept(fresh, tmp_path):
    """A study of one's own, of the same name even; and another search of that name."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    )
    own = optuna.create_study(storage=storage, study_name="p")
    own.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    before = (tmp_path / "journal.log").read_bytes()
    budget = {"max_epochs": 2, "max_trials": 2, "optuna_journal": tmp_path / "journal.log"}
    small_search.search(make(tmp_path / "a", **budget))
    small_search.search(make(tmp_path / "b", **budget))  # the same search: nothing is new
    small_search.search(make(tmp_path / "c", **budget, seed=4))
    assert (tmp_path / "journal.log").read_bytes().startswith(before)
    found = studies(tmp_path)
    assert {name: len(study.trials) for name, study in found.items()} == {
        "p": 2,
        "p-2": 2,
        "p-3": 2,
    }
    assert found["p"].trials == own.trials
    assert (found["p-2"].user_attrs["seed"], found["p-3"].user_attrs["seed"]) == (3, 4)


@pytest.mark.long(only=True)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optunas_own_plots_work(fresh):
    study = fresh[1]
    assert optuna.importance.get_param_importances(study)["units"] > 0
    for plot in ("param_importances", "slice", "optimization_history", "intermediate_values"):
        draw = getattr(optuna.visualization.matplotlib, f"plot_{plot}")
        assert draw(study) is not None


def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "notes.txt"
    expected = r"expected a new file or a journal of Optuna, got .*notes"
    for text in ("not a journal\nat all\n", "a line", '{"a": 1}\n', "[1]\n", '{"op_code":99}\n'):
        path.write_text(text)
        with pytest.raises(BadInput, match=expected):
            small_search.search(make(tmp_path / "a", optuna_journal=path))
        assert path.read_text() == text
    for wrong in (tmp_path, "sqlite:///search.db", 3, ""):
        with pytest.raises(BadInput, match=r"optuna_journal: expected the path of a file, got"):
            make(tmp_path, optuna_journal=wrong)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadInput, match=r"needs Optuna, .*`pip install '.\[optuna\]'` installs it"):
        make(tmp_path)


@pytest.mark.long(only=True)
def test_a_line_that_a_full_disk_tore_is_mended(fresh, tmp_path):
    tuner = make(tmp_path, max_epochs=2)
    small_search.search(tuner)
    journal = tmp_path / "journal.log"
    before = studies(tmp_path)["p"].trials
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"worker')
    small_search.search(make(tmp_path, max_epochs=2, hyperband_iterations=2))
    (study,) = studies(tmp_path).values()
    assert study.trials[: len(before)] == before
    assert len(study.trials) == 2 * len(before)


def test_a_journal_that_breaks_does_not_end_the_search(tmp_path):
    """Here someone deletes the study in the dashboard."""
    said = []

    def look():
        for study_name, study in studies(tmp_path).items():
            optuna.delete_study(study_name=study_name, storage=study._storage)

    tuner = make(tmp_path, max_epochs=2, callback=look)
    tuner.course.say = said.append
    small_search.search(tuner)
    assert tuner.finished()
    assert [line for line in said if "journal.log could not be written" in line]


numbers = st.integers(1, 40)


@st.composite
def declared(draw):
    """Declare one hyperparameter of any kind in `HyperParameters`."""
    low, width = draw(numbers), draw(numbers)
    sampling = draw(st.sampled_from(["linear", "log", "reverse_log"]))
    if draw(st.booleans()):
        step = draw(st.one_of(st.none(), st.integers(2, 9)))
        return lambda hp: hp.Int("x", low, low + width, step=step, sampling=sampling)
    if draw(st.booleans()):
        step = draw(st.one_of(st.none(), st.sampled_from([0.05, 0.3, 2.5])))
        step = step if sampling == "linear" or step is None else 1 + step
        return lambda hp: hp.Float("x", low / 10, (low + width) / 10, step=step, sampling=sampling)
    choices = draw(st.sampled_from([["a", "b"], [1e-3, 1e-2], [1, 2, 4], [True, False]]))
    return draw(
        st.sampled_from(
            [
                lambda hp: hp.Choice("x", choices),
                lambda hp: hp.Boolean("x"),
                lambda hp: hp.Fixed("x", choices[0]),
            ]
        )
    )


@given(declare=declared(), seed=st.integers(0, 2**31 - 1))
@example(declare=lambda hp: hp.Float("x", 0.1, 0.2, step=0.05), seed=1)  # 0.20000000000000004
@example(declare=lambda hp: hp.Float("x", 3.7, 5.9, step=0.3), seed=2)  # 5.800000000000001
@example(
    declare=lambda hp: hp.Float("x", 0.1, 0.2, step=3.5, sampling="reverse_log"), seed=1
)  # 0.20000000000000004
def test_optuna_takes_whatever_kerastuner_draws(declare, seed):
    from shared_keras.hyperband import optuna_distributions

    hp = keras_tuner.HyperParameters()
    declare(hp)
    hp.values["x"] = hp.space[0].random_sample(seed)
    hp.values["tuner/epochs"] = 3
    params, distributions, others = optuna_distributions.split(hp, {})
    value = hp.values["x"]
    rounded = pytest.approx(value, rel=1e-14) if isinstance(value, float) else value
    assert (params, others) == ({"x": rounded}, {})
    optuna.create_trial(value=0.0, params=params, distributions=distributions)  # or it raises


def test_values_that_optuna_refuses_are_attributes():
    from shared_keras.hyperband import optuna_distributions

    known = {}
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 8, 64, step=8)
    hp.Choice("rate", [0.1, 0.2])
    hp.values |= {"units": 12, "rate": 0.2, "free": 3}  # as `try_first` may have it
    params, _, others = optuna_distributions.split(hp, known)
    assert (params, others) == ({"rate": 0.2}, {"units": 12, "free": 3})
    other = keras_tuner.HyperParameters()
    other.Choice("rate", [0.2, 0.3])  # another scope's
    assert optuna_distributions.split(other, known)[2] == {"rate": 0.2}
