"""Models with steps of their own log in `training.fit` what they log in `Model.fit`."""

import functools

import keras
import keras_tuner
import numpy as np
import pytest

from shared_keras import training
from shared_keras.hyperband import Hyperband
from shared_keras.hyperband.trials import job, outcomes
from shared_keras.training import jax_epoch
from tests.shares import dealt
from tests.small_model import CLASSES, FEATURES, build, problem

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="steps are specific to a backend; these are for JAX"
)


class OwnSteps(keras.Sequential):
    """Logs its own distance, that of the last batch, and how many steps it made."""

    def train_step(self, state, data):
        import jax

        trainable, frozen, slots, metrics = state
        (loss, frozen), gradients = jax.value_and_grad(self._loss, has_aux=True)(
            trainable, frozen, data
        )
        trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
        logs = {"distance": loss, "of": {"it": slots[0]}}
        return logs, (tuple(trainable), frozen, slots, metrics)  # some have a tuple, not a list

    def test_step(self, state, data):
        loss, _ = self._loss(state[0], state[1], data)
        return {"distance": loss}, state

    def _loss(self, trainable, frozen, data):
        x, y = data
        predicted, frozen = self.stateless_call(trainable, frozen, x, training=True)
        y = keras.ops.one_hot(y, CLASSES)
        return keras.ops.mean((predicted - y) ** 2), frozen


def decorated(method):
    def step(self, state, data):  # without functools.wraps
        return method(self, state, data)

    return step


class Decorated(OwnSteps):
    train_step = decorated(OwnSteps.train_step)
    test_step = decorated(OwnSteps.test_step)


class Partial(OwnSteps):
    def __init__(self, layers):
        super().__init__(layers)
        self.train_step = functools.partial(OwnSteps.train_step, self)
        self.test_step = functools.partial(OwnSteps.test_step, self)


class OwnMetrics(keras.Sequential):
    """Logs something that is not a metric beside its metrics."""

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return logs | {"highest": keras.ops.max(y_pred)}


class OwnTracker(keras.Sequential):
    """Has its own loss and metrics, and logs the results of the metrics."""

    def __init__(self, layers):
        super().__init__(layers)
        self.mean = keras.metrics.Mean(name="error")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean((y_pred - keras.ops.one_hot(y, CLASSES)) ** 2)
        self.mean.update_state(keras.ops.sqrt(loss))
        return loss


def make(kind, **compiled):
    training.seed_layers(1)
    rescaling = keras.layers.Rescaling(1 / 255)
    dense = keras.layers.Dense(CLASSES, activation="softmax")
    model = kind([keras.Input((FEATURES,)), rescaling, dense])
    model.compile(keras.optimizers.Adam(0.01), **compiled)
    return model


KINDS = [
    (OwnSteps, {}),
    (Decorated, {}),
    (OwnMetrics, {"loss": "sparse_categorical_crossentropy"}),
    (OwnTracker, {}),
]


# A short last batch, none, nothing else.
@pytest.mark.parametrize("batch_size", dealt([32, 30, 1000], [32]))
@pytest.mark.parametrize("one_by_one", dealt([False, True], [False]))
@pytest.mark.parametrize(("kind", "compiled"), KINDS)
def test_the_logs_are_those_of_the_steps(monkeypatch, kind, compiled, batch_size, one_by_one):
    monkeypatch.setattr(jax_epoch, "convolves_slowly", lambda *_: one_by_one)
    x, y = problem()
    options = {"epochs": 2, "batch_size": batch_size, "shuffle": False}
    options["validation_data"] = x[:70], y[:70]
    ours, theirs = make(kind, **compiled), make(kind, **compiled)
    history = training.fit(ours, x, y, **options).history
    expected = theirs.fit(x, y, verbose=0, **options).history
    assert list(history) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_metrics_of_several_numbers():
    x, y = problem()
    y = np.eye(CLASSES, dtype=np.float32)[y]
    histories = []
    for fit in (training.fit, lambda model, *data, **kw: model.fit(*data, verbose=0, **kw)):
        model = build()
        scores = [keras.metrics.F1Score(average=None), "mae"]
        model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=scores)
        options = {"shuffle": False, "validation_data": (x, y), "epochs": 2}
        histories.append(fit(model, x, y, **options).history)
    ours, theirs = histories
    assert set(ours) == set(theirs) and np.shape(ours["val_f1_score"]) == (2, CLASSES)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", [Decorated, Partial])
def test_steps_without_names_of_their_own_are_told_apart(kind):
    x, y = problem()
    options = {"epochs": 2, "batch_size": 70, "shuffle": False, "validation_data": (x[:70], y[:70])}
    ours, theirs = make(kind), make(kind)
    history = training.fit(ours, x, y, **options, validation_batch_size=70).history
    expected = theirs.fit(x, y, verbose=0, **options).history
    assert list(history) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)


def test_a_metric_of_one_number_in_an_array_stays_an_array():
    x, y = problem()
    histories = []
    for fit in (training.fit, lambda model, *data, **kw: model.fit(*data, verbose=0, **kw)):
        training.seed_layers(1)
        model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1, "sigmoid")])
        f1 = keras.metrics.F1Score(threshold=0.5)
        model.compile("adam", "binary_crossentropy", metrics=[f1])
        data = x / 255, (y > 1).astype(np.float32)[:, None]
        histories.append(fit(model, *data, shuffle=False, validation_data=data).history)
    ours, theirs = histories
    for name in ("f1_score", "val_f1_score"):
        assert type(ours[name][0]) is type(theirs[name][0])
        assert np.shape(ours[name]) == np.shape(theirs[name])
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5)


class PerClass(keras_tuner.HyperModel):
    def build(self, hp):
        model = build()
        scores = [keras.metrics.F1Score(average=None), "accuracy"]
        model.compile("adam", "categorical_crossentropy", metrics=scores)
        return model


@pytest.mark.long(only=True)
@pytest.mark.parametrize("name", ["val_f1_score", "val_precision"])
def test_a_trial_keeps_the_mean_of_a_metric_of_several_numbers(tmp_path, name):
    x, y = problem()
    y = np.eye(CLASSES, dtype=np.float32)[y]
    objective, options = keras_tuner.Objective(name, "max"), {"validation_data": (x, y)}
    shared = job.Search(PerClass(), objective, (x, y), options)
    values = keras_tuner.HyperParameters().get_config()
    trial = job.TrialJob(values, tmp_path, None, 0, 2, 0, resumable=False)
    if name == "val_f1_score":
        result = job.run(shared, trial)
        assert result.failure is None, result.failure
        training.seed_layers(0)
        model = PerClass().build(None)
        scores = training.fit(model, x, y, epochs=2, **options).history[name]
        assert result.history[name] == [pytest.approx(np.mean(score)) for score in scores]
    else:
        known = "expected one of accuracy, f1_score, .*, val_loss, got val_precision"
        with pytest.raises(outcomes.NotLogged, match=known):
            job.run(shared, trial)


def test_a_step_that_returns_no_logs_is_refused():
    class Mute(keras.Sequential):
        def train_step(self, state, data):
            return None, super().train_step(state, data)[1]

    x, y = problem()
    with pytest.raises(
        TypeError, match=r"must return \(logs, state\) with a dict of logs. Received: None"
    ):
        training.fit(make(Mute, loss="sparse_categorical_crossentropy"), x, y)


def searched(hp):
    model = make(OwnSteps)
    model.optimizer.learning_rate = hp.Choice("rate", [1e-5, 1e-1])
    return model


@pytest.mark.long
def test_a_search_ranks_by_what_a_step_logs(tmp_path):
    x, y = problem()
    objective = keras_tuner.Objective("val_distance", "min")
    tuner = Hyperband(searched, objective, max_epochs=2, factor=2, directory=tmp_path, workers=1)
    table = tuner.search(x, y, validation_data=(x[:70], y[:70])).results()
    assert tuner.winner().hyperparameters.values["rate"] == 0.1
    assert len(table) > 2 and table.score.nunique() > 1
    best = tuner.load_model(tuner.winner())
    predicted = best.predict(x[64:70], verbose=0)  # the last batch of 32
    distance = np.mean((predicted - np.eye(CLASSES)[y[64:70]]) ** 2)
    assert tuner.winner().score == pytest.approx(distance, rel=1e-4)
