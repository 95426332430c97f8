"""The same name again: the same search is resumed, another one is refused."""

import functools
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras.errors import BadInput
from shared_keras.hyperband import fingerprint
from tests.hyperband.small_search import X, Y, build, make, outcome, search


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("done")
    search(make(folder))
    return folder


@pytest.mark.parametrize(
    ("changed", "hypermodel", "options"),
    [
        ("model", functools.partial(build, activation="relu"), {}),
        ("model", functools.partial(build, optimizer="adam"), {}),
        ("y", build, {"y": 1 - Y[:80]}),
        ("x", build, {"x": X[:80] * 2}),
        ("validation_data", build, {"validation_data": (X[70:], Y[70:])}),
        ("batch_size", build, {"batch_size": 16}),
        ("shuffle", build, {"shuffle": False}),
        ("callbacks", build, {"callbacks": [keras.callbacks.EarlyStopping(patience=3)]}),
    ],
)
def test_another_search_under_the_same_name_is_refused(done, changed, hypermodel, options):
    with pytest.raises(BadInput, match=f"^{changed} was .* and is now"):
        search(make(done, hypermodel), **options)


@pytest.mark.parametrize(("first", "second"), [((), ("wide",)), (("wide",), ())])
def test_a_hyperparameter_added_or_removed_makes_another_search(tmp_path, first, second):
    search(make(tmp_path, functools.partial(build, declare=first)))
    with pytest.raises(BadInput, match="^hyperparameter wide was .* and is now"):
        make(tmp_path, functools.partial(build, declare=second))


def test_the_same_search_is_resumed(done):
    """By then, models have other names, and the data are another copy."""
    build(keras_tuner.HyperParameters())
    tuner = make(done)
    before = outcome(tuner)
    assert outcome(search(tuner, x=X[:80].copy())) == before and len(before) == 5


def drawing(hp):
    model = build(hp)
    model.add(keras.layers.Dropout(0.1, seed=np.random.randint(2**30)))
    model.compile("sgd", "mse")
    return model


def test_a_search_whose_build_draws_is_resumed(tmp_path):
    """The user's own random draws are not affected."""
    for seed in range(2):
        np.random.seed(seed)
        tuner = make(tmp_path, drawing, "loss", max_epochs=1)
        assert np.random.randint(1000) == np.random.RandomState(seed).randint(1000)
        search(tuner, y=np.ones((80, 2)), validation_data=None)
    assert len(tuner.oracle.trials) == 1


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    """The workers were started by an earlier search, elsewhere."""
    search(make(tmp_path / "first", max_epochs=1))
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    tuner = make("results", max_epochs=1)
    monkeypatch.chdir(tmp_path)
    search(tuner)
    assert len(tuner.get_best_models()) == 1
    assert (tmp_path / "a/results/p/trial_0000/history.csv").exists()


class Tensor:
    """Like PyTorch's: an array only once it is detached and on the CPU."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return SimpleNamespace(cpu=lambda: X)


def test_a_tensor_with_a_gradient_has_a_fingerprint():
    assert fingerprint.of(Tensor()) == fingerprint.of(X)
