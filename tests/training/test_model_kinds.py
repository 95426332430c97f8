"""Kinds of models, and that each is trained as Keras would train it."""

import keras
import pytest

from shared_keras import training
from shared_keras.models.build import keras_model
from shared_keras.training import why_stock
from tests.conftest import TASKS
from tests.small_model import CLASSES, FEATURES, problem

X, Y = problem()
LOSS = "sparse_categorical_crossentropy"


def made(*layers, loss=LOSS, metrics=None, kind=keras.Sequential, **options):
    model = kind([keras.Input((FEATURES,)), *layers, keras.layers.Dense(CLASSES, "softmax")])
    model.compile("adam", loss, metrics=metrics, **options)
    return model


@pytest.mark.long(only=True)
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
