"""Kinds of models, and that each is trained as Keras would train it."""

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.models.build import keras_model
from shared_keras.training import known_means, why_stock
from tests.conftest import TASKS
from tests.small_model import CLASSES, FEATURES, build, problem

X, Y = problem()
LOSS = "sparse_categorical_crossentropy"


class Doubled(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.sum(x))
        return 2 * x


class Sub(keras.Sequential):
    pass


def per_class(y, y_pred):
    return keras.ops.max(y_pred)


def made(*layers, loss=LOSS, metrics=None, kind=keras.Sequential, **options):
    model = kind([keras.Input((FEATURES,)), *layers, keras.layers.Dense(CLASSES, "softmax")])
    model.compile("adam", loss, metrics=metrics, **options)
    return model


def with_states():
    layers = [keras.layers.Reshape((3, 4)), keras.layers.LSTM(4, stateful=True)]
    model = keras.Sequential([keras.Input(batch_shape=(20, FEATURES)), *layers])
    model.compile("adam", LOSS)
    return model


def with_outputs():
    given = keras.Input((FEATURES,))
    model = keras.Model(given, [keras.layers.Dense(CLASSES, "softmax")(given) for _ in range(2)])
    model.compile("adam", LOSS)
    return model


NOT_ANY = {
    "own layer": lambda: made(Doubled()),
    "own layer within": lambda: made(keras.Sequential([Doubled()])),
    "own model": lambda: made(kind=Sub),
    "own loss": lambda: made(loss=per_class),
    "own metric": lambda: made(metrics=["accuracy", per_class]),
    "own weighed metric": lambda: made(weighted_metrics=[per_class]),
    "sums": lambda: made(loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum")),
    "ignores": lambda: made(loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=0)),
    "penalty": lambda: made(keras.layers.Dense(3, activity_regularizer="l2")),
    "states": with_states,
    "outputs": with_outputs,
}


@pytest.mark.parametrize("kind", NOT_ANY)
def test_models_whose_results_depend_on_the_size_of_a_batch(kind):
    assert not known_means.any_batch_will_do(NOT_ANY[kind]())


def test_others():
    assert known_means.any_batch_will_do(build(norm=True, dropout=0.2, l2=1e-3))
    scores = [keras.metrics.F1Score(average=None), "mae"]
    assert known_means.any_batch_will_do(made(keras.layers.BatchNormalization(), metrics=scores))


@pytest.mark.parametrize("kind", ["own layer", "own loss", "sums", "penalty"])
def test_their_validation_is_keras_own(kind):
    histories = []
    for fit in (training.fit, lambda model, *data, **kw: model.fit(*data, verbose=0, **kw)):
        training.seed_layers(1)
        model = NOT_ANY[kind]()
        options = {"shuffle": False, "validation_data": (X, Y), "batch_size": 20}
        histories.append(fit(model, X / 255, Y, **options).history["val_loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": False}])
def test_a_model_that_is_not_to_be_compiled_is_not(options):
    calls = []

    class Watches(keras.layers.Layer):
        def call(self, x):
            calls.append(x)
            return x

    model = made(Watches(), **options)
    training.fit(model, X[:64], Y[:64], epochs=10, validation_data=(X[:9], Y[:9]))
    assert len(calls) >= 30 and model.run_eagerly == options.get("run_eagerly", False)


def test_a_fit_of_its_own_is_used():
    class Counts(keras.Sequential):
        fits = 0

        def fit(self, *args, **kwargs):
            self.fits += 1
            return super().fit(*args, **kwargs)

    model = made(kind=Counts)
    training.fit(model, X, Y)
    assert model.fits == 1 and int(model.optimizer.iterations) == 5


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_recipe_is_compiled_as_a_whole(task):
    """Also those that mirror or shift images, which take five times as long with `Model.fit`."""
    for recipe in task.recipes.values():
        assert why_stock.of_model(keras_model(task.system(recipe.system))) is None


def test_a_layer_that_refuses_to_be_compiled_is_not():
    class Refuses(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_jit = False

        def call(self, x):
            return x

    assert why_stock.of_model(made(Refuses())) == "Refuses cannot be compiled"
