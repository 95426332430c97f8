"""What KerasTuner's guides teach, retyped with small data: only the import is another.

`kt.Hyperband` stands for ours and, in the long tests, for `keras_tuner.Hyperband`. Where a guide
searches with `RandomSearch`, Hyperband takes its place.
"""

import os
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from tests.hyperband.drop_in.both_classes import CLASSES, printed
from tests.shares import dealt

SMALL = {"max_epochs": 1, "factor": 3}  # one trial


@pytest.fixture(params=dealt(CLASSES, ["ours"]))
def kt(request):
    """What the guides import: KerasTuner with our class in it, or, in the long tests, as is."""
    return SimpleNamespace(
        Hyperband=CLASSES[request.param],
        HyperModel=keras_tuner.HyperModel,
        HyperParameters=keras_tuner.HyperParameters,
        Objective=keras_tuner.Objective,
        errors=keras_tuner.errors,
    )


@pytest.fixture(scope="module")
def garments(full):
    """Some images of Fashion-MNIST, as `keras.datasets.fashion_mnist` has them."""
    train, test = full["fashion"]
    return (train.x[:200], train.y[:200]), (test.x[:60], test.y[:60])


@pytest.fixture(scope="module")
def split(garments):
    """Scaled images with a channel: training, validation."""
    (x, y), _ = garments
    x = np.expand_dims(x, -1).astype("float32") / 255
    return (x[:150], y[:150]), (x[150:], y[150:])


@pytest.mark.long(only=True)
def test_introduction_to_the_keras_tuner(kt, garments, tmp_path):
    (img_train, label_train), (img_test, label_test) = garments
    img_train, img_test = img_train.astype("float32") / 255.0, img_test.astype("float32") / 255.0

    def model_builder(hp):
        model = keras.Sequential([keras.Input((28, 28)), layers.Flatten()])
        model.add(layers.Dense(hp.Int("units", 8, 32, step=8), activation="relu"))
        model.add(layers.Dense(10))
        rate = hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    tuner = kt.Hyperband(
        model_builder,
        objective="val_accuracy",
        max_epochs=3,
        factor=3,
        directory=tmp_path,
        project_name="intro_to_kt",
    )
    stop_early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
    tuner.search(img_train, label_train, epochs=50, validation_split=0.2, callbacks=[stop_early])
    best_hps = tuner.get_best_hyperparameters(num_trials=1)[0]
    assert best_hps.get("units") in (8, 16, 24, 32)
    assert best_hps.get("learning_rate") in (1e-2, 1e-3, 1e-4)

    model = tuner.hypermodel.build(best_hps)
    history = model.fit(img_train, label_train, epochs=4, validation_split=0.2, verbose=0)
    per_epoch = history.history["val_accuracy"]
    best_epoch = per_epoch.index(max(per_epoch)) + 1
    hypermodel = tuner.hypermodel.build(best_hps)
    hypermodel.fit(img_train, label_train, epochs=best_epoch, validation_split=0.2, verbose=0)
    loss, accuracy = hypermodel.evaluate(img_test, label_test, verbose=0)
    assert loss > 0 and accuracy > 0.15
    assert len(tuner.oracle.trials) == 6


def call_existing_code(units, activation, dropout, lr):
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    model.add(layers.Dense(units=units, activation=activation))
    if dropout:
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=lr),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def build_model(hp):
    return call_existing_code(
        units=hp.Int("units", min_value=8, max_value=32, step=8),
        activation=hp.Choice("activation", ["relu", "tanh"]),
        dropout=hp.Boolean("dropout"),
        lr=hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log"),
    )


@pytest.mark.long(only=True)
def test_getting_started_tune_the_architecture(kt, split, tmp_path):
    (x_train, y_train), (x_val, y_val) = split
    build_model(keras_tuner.HyperParameters())
    tuner = kt.Hyperband(
        hypermodel=build_model,
        objective="val_accuracy",
        **SMALL,
        executions_per_trial=2,
        overwrite=True,
        directory=tmp_path,
        project_name="helloworld",
    )
    assert "lr (Float)" in printed(tuner.search_space_summary)
    tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
    models = tuner.get_best_models(num_models=2)
    assert "Dense" in printed(models[0].summary)
    assert printed(tuner.results_summary)

    best_hps = tuner.get_best_hyperparameters(5)
    model = build_model(best_hps[0])
    x_all, y_all = np.concatenate((x_train, x_val)), np.concatenate((y_train, y_val))
    assert model.fit(x=x_all, y=y_all, epochs=1, verbose=0).epoch == [0]


class TuneTraining(keras_tuner.HyperModel):
    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


class TunePreprocessing(keras_tuner.HyperModel):
    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("normalize"):
            x = layers.Normalization()(x)
        return model.fit(x, y, shuffle=hp.Boolean("shuffle"), **kwargs)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("kind", [TuneTraining, TunePreprocessing])
def test_getting_started_tune_the_training(kt, split, tmp_path, kind):
    (x_train, y_train), (x_val, y_val) = split
    tuner = kt.Hyperband(
        kind(), objective="val_accuracy", **SMALL, overwrite=True, directory=tmp_path
    )
    tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
    hypermodel = kind()
    best_hp = tuner.get_best_hyperparameters()[0]
    assert best_hp.get("shuffle") in (True, False)
    model = hypermodel.build(best_hp)
    hypermodel.fit(best_hp, model, x_val, y_val, epochs=1, verbose=0)


def regressor(hp, metrics):
    model = keras.Sequential([keras.Input((4,))])
    model.add(layers.Dense(units=hp.Int("units", 4, 16, 4), activation="relu"))
    model.add(layers.Dense(units=1))
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=metrics)
    return model


class CustomMetric(keras.metrics.Metric):
    """The mean of the errors, counted by hand."""

    def __init__(self, **kwargs):
        super().__init__(name="custom_metric", **kwargs)
        self.sum = self.add_weight(name="sum", initializer="zeros")
        self.count = self.add_weight(name="count", dtype="int32", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = keras.ops.square(keras.ops.cast(y_true, "float32") - y_pred)
        self.count.assign_add(keras.ops.shape(y_true)[0])
        self.sum.assign_add(keras.ops.sum(error))

    def result(self):
        return self.sum / keras.ops.cast(self.count, "float32")

    def reset_state(self):
        self.sum.assign(0)
        self.count.assign(0)


@pytest.mark.long(only=True)
@pytest.mark.parametrize("custom", [False, True])
def test_getting_started_choose_the_objective(kt, tmp_path, custom):
    x, y = np.random.default_rng(0).random((40, 4)), np.random.default_rng(1).random((40, 1))

    def hypermodel(hp):
        return regressor(hp, [CustomMetric() if custom else keras.metrics.MeanAbsoluteError()])

    objective = "val_mean_absolute_error"
    if custom:
        objective = kt.Objective("val_custom_metric", direction="min")
    tuner = kt.Hyperband(
        hypermodel, objective=objective, **SMALL, overwrite=True, directory=tmp_path
    )
    tuner.search(x, y, epochs=1, validation_data=(x, y))
    score = tuner.get_best_models()[0].evaluate(x, y, verbose=0)[1]
    assert score == pytest.approx(tuner.oracle.get_best_trials()[0].score, rel=1e-5)


class HyperRegressor(keras_tuner.HyperModel):
    """Returns an error that it computed itself, as a number or with another beside it."""

    def __init__(self, several):
        super().__init__()
        self.several = several

    def build(self, hp):
        return regressor(hp, None)

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        x_val, y_val = validation_data
        error = float(np.mean(np.abs(model.predict(x_val, verbose=0) - y_val)))
        return {"metric_a": -error, "metric_b": error} if self.several else error


@pytest.mark.parametrize("several", [False, True])
def test_getting_started_return_the_evaluation(kt, tmp_path, several):
    x, y = np.random.default_rng(0).random((40, 4)), np.random.default_rng(1).random((40, 1))
    objective = {"objective": kt.Objective("metric_a", "max")} if several else {}
    tuner = kt.Hyperband(
        hypermodel=HyperRegressor(several), **objective, **SMALL, overwrite=True, directory=tmp_path
    )
    tuner.search(x, y, validation_data=(x, y))
    (best,) = tuner.oracle.get_best_trials()
    assert (best.score < 0) == several
    assert several == best.metrics.exists("metric_b")


def test_getting_started_tune_anything(kt, tmp_path):
    """The guide's RandomSearch learns the space on the way, which stock Hyperband cannot."""
    space = kt.HyperParameters()
    space.Float("x", min_value=-1.0, max_value=1.0)

    class MyTuner(kt.Hyperband):
        def run_trial(self, trial, *args, **kwargs):
            hp = trial.hyperparameters
            x = hp.Float("x", min_value=-1.0, max_value=1.0)
            return x * x + 1

    tuner = MyTuner(
        hyperparameters=space, max_epochs=4, factor=2, overwrite=True, directory=tmp_path
    )
    tuner.search()
    x = tuner.get_best_hyperparameters()[0].get("x")
    scores = [t.score for t in tuner.oracle.trials.values() if "x" in t.hyperparameters.values]
    assert len(scores) > 5 and x * x + 1 <= np.median(scores)


def test_getting_started_keep_existing_code_as_it_is(kt, tmp_path):
    x, y = np.random.default_rng(0).random((40, 4)), np.random.default_rng(1).random((40, 1))

    def keras_code(units, optimizer, saving_path):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(units), layers.Dense(1)])
        model.compile(optimizer=optimizer, loss="mean_squared_error")
        model.fit(x, y, verbose=0)
        model.save(saving_path)
        return float(np.mean(np.abs(model.predict(x, verbose=0) - y)))

    space = kt.HyperParameters()
    space.Int("units", 4, 16, 4)

    class MyTuner(kt.Hyperband):
        def run_trial(self, trial, **kwargs):
            hp = trial.hyperparameters
            return keras_code(
                units=hp.Int("units", 4, 16, 4),
                optimizer=hp.Choice("optimizer", ["adam", "sgd"]),
                saving_path=os.path.join(tmp_path, f"{trial.trial_id}.keras"),
            )

    tuner = MyTuner(hyperparameters=space, **SMALL, overwrite=True, directory=tmp_path)
    tuner.search()
    best = tuner.oracle.get_best_trials()[0]
    saved = keras.saving.load_model(tmp_path / f"{best.trial_id}.keras")
    assert saved.predict(x, verbose=0).shape == (40, 1)
