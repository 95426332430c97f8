"""Cross-validation: which samples a fold holds, and what a training on it is given."""

import json

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from shared_keras.errors import BadInput
from shared_keras.hyperband.trials import folds
from tests.hyperband.small_search import X, Y, build, make

RNG = np.random.default_rng(0)
TARGETS = {
    "classes": (np.arange(120) % 3, True),
    "a column": (np.arange(120)[:, None] % 3.0, True),
    "one-hot": (np.eye(3)[np.arange(120) % 3], True),
    "whole numbers": (RNG.permutation(120), False),
    "counts": (RNG.poisson(9.0, 120), False),
    "a rare class": (np.minimum(np.arange(120), 118) % 119 // 117, False),
    "numbers": (RNG.normal(size=120), False),
    "several": (RNG.normal(size=(120, 2)), False),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("error")
def test_each_sample_is_held_out_once(name):
    y, stratified = TARGETS[name]
    held_out = []
    for number in range(4):
        (x, part), named = folds.cut((np.arange(120.0), y), {}, 4, number, 5)
        assert set(named) == {"validation_data"} and len(x) == len(part) == 90
        x_val, y_val = named["validation_data"]
        assert not set(x) & set(x_val) and len(x_val) == len(y_val) == 30
        np.testing.assert_allclose(part, y[x.astype(int)])
        held_out += [*x_val]
        if stratified:
            labels = y_val.argmax(axis=1) if y_val.ndim == 2 and y_val.shape[1] > 1 else y_val
            assert [*np.bincount(labels.ravel().astype(int))] == [10, 10, 10]
    assert sorted(held_out) == [*range(120)]


def test_classes_are_cut_as_before():
    y = np.arange(120) % 3
    expected = StratifiedKFold(4, shuffle=True, random_state=7).split(y, y)
    for number, (_, held_out) in enumerate(expected):
        named = folds.cut((), {"x": np.arange(120), "y": y}, 4, number, 7)[1]
        assert [*named["validation_data"][0]] == [*held_out]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_split": 0.5}, "validation_split: expected none with folds=3"),
        ({"validation_data": (X, Y)}, "validation_data: expected none with folds=3"),
        ({"y": None}, "y: expected targets with folds=3, got None"),
        ({"x": X[:2], "y": Y[:2]}, "folds: the data cannot be cut into 3 folds: .*samples"),
    ],
)
def test_data_that_cannot_be_cut_are_refused(tmp_path, options, message):
    with pytest.raises(BadInput, match=message):
        make(tmp_path, folds=3).search(**{"x": X, "y": Y, "verbose": 0} | options)


def regression(hp):
    hp.Int("units", 2, 500)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_regression_on_whole_numbers(tmp_path):
    tuner = make(tmp_path, regression, "val_loss", folds=3, max_epochs=1)
    table = tuner.search(X, RNG.permutation(120) / 1, verbose=0).results()
    assert set(table.status) == {"COMPLETED"}
    assert len([*tuner.folder("0000").glob("history*.csv")]) == 3


class OwnFit(keras_tuner.HyperModel):
    """Has no arguments but those that it needs.

    Args:
        path: A file for their names.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, inputs, targets, validation_data, augment, **options):
        self.path.write_text(json.dumps([len(inputs), augment, sorted(options)]))
        return model.fit(inputs, targets, validation_data=validation_data, verbose=0, **options)


def test_a_fit_of_ones_own_is_given_what_the_user_gave(tmp_path):
    told = tmp_path / "told"
    tuner = make(tmp_path, OwnFit(told), folds=3, max_epochs=1)
    table = tuner.search(X, Y, augment=True).results()
    assert set(table.status) == {"COMPLETED"}, set(table.reason)
    assert json.loads(told.read_text()) == [80, True, ["callbacks", "epochs", "initial_epoch"]]
