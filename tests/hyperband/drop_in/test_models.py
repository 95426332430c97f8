"""Models of every kind: what `keras.Model.fit` trains, a search trains."""

import functools

import keras
import keras_tuner
import numpy as np
import pytest

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    FIVE,
    VALIDATION,
    X_VAL,
    Y_VAL,
    X,
    Y,
    build,
    compare,
    make,
    search,
)
from tests.shares import dealt

pytestmark = pytest.mark.long

CROSS = "sparse_categorical_crossentropy"


def compiled(model, hp, **options):
    rate = hp.Float("rate", 1e-3, 1e-1)
    options = {"loss": CROSS, "metrics": ["accuracy"]} | options
    model.compile(keras.optimizers.SGD(rate), **options)
    return model


def sequential():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, activation="softmax")])


def unbuilt(hp):
    return compiled(keras.Sequential([keras.layers.Dense(2, activation="softmax")]), hp)


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.out = keras.layers.Dense(2, activation="softmax")

    def build(self, shape):  # KerasTuner cannot load the weights of a model without it
        self.hidden.build(shape)
        self.out.build((*shape[:-1], self.hidden.units))
        self.built = True

    def call(self, x):
        return self.out(self.hidden(x))


def subclassed(hp):
    return compiled(Subclassed(hp.Int("units", 2, 3)), hp)


class OwnStep(keras.Sequential):
    """Adds to the logs of each step."""

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        return logs | {"twice": 2 * logs["loss"]}, state

    def test_step(self, state, data):
        logs, state = super().test_step(state, data)
        return logs | {"twice": 2 * logs["loss"]}, state


def own_step(hp):
    return compiled(OwnStep(sequential().layers), hp)


class OwnLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred))


def own_loss(hp):
    return compiled(OwnLoss(sequential().layers), hp, loss=None)


class OwnFit(keras.Sequential):
    """Trains twice as long as it is told."""

    def fit(self, *args, **kwargs):
        super().fit(*args, **kwargs | {"callbacks": None})
        return super().fit(*args, **kwargs)


def own_fit(hp):
    return compiled(OwnFit(sequential().layers), hp)


def eager(hp):
    return compiled(sequential(), hp, run_eagerly=True)


def uncompiled_steps(hp):
    return compiled(sequential(), hp, jit_compile=False)


def grouped_steps(hp):
    return compiled(sequential(), hp, steps_per_execution=2)


def scheduled(hp):
    model = sequential()
    rate = keras.optimizers.schedules.CosineDecay(hp.Float("rate", 1e-3, 1e-1), 6)
    model.compile(keras.optimizers.Adam(rate), CROSS, metrics=["accuracy"])
    return model


def with_normalization(hp):
    layer = keras.layers.Normalization()
    layer.adapt(X)
    model = keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(2, "softmax")])
    return compiled(model, hp)


def without_a_word(hp):
    """Has a dropout, a BatchNormalization and a regularizer, which the loss has to hold."""
    layers = [
        keras.layers.Dense(4, kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(2, activation="softmax", activity_regularizer="l2"),
    ]
    return compiled(keras.Sequential([keras.Input((6,)), *layers]), hp)


class Method:
    def build(self, hp):
        return build(hp)


class Declaring(keras_tuner.HyperModel):
    """Declares its hyperparameters before it builds."""

    def declare_hyperparameters(self, hp):
        hp.Boolean("declared")

    def build(self, hp):
        hp.get("declared")
        return build(hp)


class Nested(keras_tuner.HyperModel):
    """Has a part that is not tuned."""

    def build(self, hp):
        hp.Int("width", 2, 9)
        return Fixed(tunable=False).build(hp)


class Fixed(keras_tuner.HyperModel):
    def build(self, hp):
        return build(hp)


def conditional(hp):
    """Declares hyperparameters of every type, some of which depend on others."""
    kind = hp.Choice("kind", ["deep", "wide"], default="wide")
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            for i in range(hp.Int("layers", 1, 2)):
                hp.Int(f"units_{i}", 2, 8, step=2)
    hp.Int("width", 2, 8, step=2, parent_name="kind", parent_values=["wide"])
    with hp.name_scope("other"):
        hp.Boolean("flag", default=True)
        hp.Fixed("constant", 3)
    hp.Float("grid", 0, 1, step=0.25)
    hp.Int("powers", 2, 64, sampling="log", step=2)
    return compiled(sequential(), hp)


KINDS = {
    "unbuilt": unbuilt,
    "subclassed": subclassed,
    "own step": own_step,
    "own loss": own_loss,
    "own fit": own_fit,
    "eager": eager,
    "jit_compile=False": uncompiled_steps,
    "steps_per_execution": grouped_steps,
    "schedule": scheduled,
    "normalization": with_normalization,
    "regularized": without_a_word,
    "lambda": lambda hp: build(hp),
    "partial": functools.partial(lambda hp, factor: build(hp), factor=3),
    "method": Method().build,
    "declaring": Declaring(),
    "nested": Nested(),
    "conditional": conditional,
}
if keras.backend.backend() != "jax":
    del KINDS["own step"]  # steps are specific to a backend; these are for JAX


QUICK = ("subclassed", "own loss", "own fit", "eager", "normalization", "nested", "conditional")
QUICK += ("own step",) if keras.backend.backend() == "jax" else ()


@pytest.mark.parametrize("name", dealt(KINDS, QUICK))
def test_models(tmp_path, name):
    def way(hyperband, folder):
        return search(make(hyperband, folder, KINDS[name]))

    for tuner in compare(way, tmp_path):
        (model,) = tuner.get_best_models()
        score = model.evaluate(*VALIDATION, verbose=0, return_dict=True)["accuracy"]
        assert score == pytest.approx(tuner.oracle.get_best_trials()[0].score)


@pytest.mark.parametrize("name", dealt(KINDS, ["subclassed"]))
def test_a_promoted_trial_resumes_its_model(tmp_path, name):
    def way(hyperband, folder):
        return search(make(hyperband, folder, KINDS[name], schedule=FIVE))

    for tuner in compare(way, tmp_path):
        assert len(tuner.oracle.trials) == 5


def test_several_outputs(tmp_path):
    def hypermodel(hp):
        x = keras.Input((6,), name="x")
        label = keras.layers.Dense(2, activation="softmax", name="label")(x)
        size = keras.layers.Dense(1, name="size")(x)
        losses = {"label": CROSS, "size": "mse"}
        model = keras.Model(x, {"label": label, "size": size})
        metrics = {"label": ["accuracy"], "size": ["mae"]}
        return compiled(
            model, hp, loss=losses, metrics=metrics, loss_weights={"label": 1.0, "size": 0.5}
        )

    def way(hyperband, folder):
        objective = keras_tuner.Objective("val_label_accuracy", "max")
        tuner = make(hyperband, folder, hypermodel, objective)
        targets = {"label": Y, "size": X[:, :1]}
        valid = {"label": Y_VAL, "size": X_VAL[:, :1]}
        tuner.search({"x": X}, targets, validation_data=(X_VAL, valid), verbose=0)
        return tuner

    for tuner in compare(way, tmp_path):
        predicted = tuner.get_best_models()[0].predict(X_VAL, verbose=0)
        assert {name: p.shape for name, p in predicted.items()} == {
            "label": (20, 2),
            "size": (20, 1),
        }


def nothing(y_true, y_pred):
    return keras.ops.mean(y_pred) * float("nan")


def test_a_metric_that_is_nan(tmp_path):
    def way(hyperband, folder):
        def hypermodel(hp):
            return compiled(sequential(), hp, metrics=["accuracy", nothing])

        return search(make(hyperband, folder, hypermodel))

    for tuner in compare(way, tmp_path):
        (trial,) = tuner.oracle.trials.values()
        assert np.isnan(trial.metrics.get_last_value("nothing"))


def test_a_metric_with_a_value_per_class(tmp_path):
    def way(hyperband, folder):
        def hypermodel(hp):
            per_class = keras.metrics.F1Score(average=None, name="f1")
            return compiled(sequential(), hp, loss="mse", metrics=["accuracy", per_class])

        tuner = make(hyperband, folder, hypermodel, "val_loss")
        targets = np.eye(2, dtype="float32")
        tuner.search(X, targets[Y], validation_data=(X_VAL, targets[Y_VAL]), verbose=0)
        return tuner

    for tuner in compare(way, tmp_path):
        (trial,) = tuner.oracle.trials.values()
        assert 0 <= float(trial.metrics.get_last_value("val_f1")) <= 1  # the mean


def test_a_score_that_is_nan_is_a_failure(tmp_path):
    def exploding(hp):
        model = build(hp)
        model.compile(keras.optimizers.SGD(float("inf")), CROSS, metrics=["accuracy"])
        return model

    for name, hyperband in CLASSES.items():
        tuner = make(hyperband, tmp_path / name, exploding, "val_loss", FIVE)
        with pytest.raises(RuntimeError):
            search(tuner)
        assert {str(t.status) for t in tuner.oracle.trials.values()} == {"FAILED"}
