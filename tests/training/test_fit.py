"""`training.fit` means what `keras.Model.fit` means."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from shared_keras import devices, training
from shared_keras.models.build import keras_model
from shared_keras.models.initializers import assign
from shared_keras.systems import mlp
from shared_keras.training import jax_epoch, model_kinds, plan
from tests.shares import dealt
from tests.small_model import BATCH, CLASSES, FEATURES, N, build, problem

ON_EVERY = pytest.mark.every_backend


@pytest.fixture(scope="module")
def data():
    return problem()


def schedule():
    return keras.optimizers.schedules.CosineDecay(0.02, decay_steps=8)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.001, momentum=0.9),
    "schedule": lambda: keras.optimizers.Adam(schedule()),
    "ema": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9),
}
CASES = [
    pytest.param("sgd", {"l2": 1e-2}, marks=ON_EVERY),
    ("rmsprop", {"norm": True, "l2": 1e-2}),
    ("schedule", {}),
    ("ema", {}),
    pytest.param("adam", {"l2": 1e-2}, marks=pytest.mark.long),
    pytest.param("adam", {"norm": True}, marks=pytest.mark.long),
]


@pytest.mark.long(only=True)
@pytest.mark.parametrize(("optimizer", "parts"), CASES, ids=str)
def test_same_weights_and_history_as_keras(data, monkeypatch, optimizer, parts):
    """The same start and the same batches: the same weights after two epochs."""
    monkeypatch.setattr(plan, "VALIDATION_BATCH", 40)
    x, y = data
    ours, theirs = (build(OPTIMIZERS[optimizer](), **parts) for _ in range(2))
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_array_equal(a, b)
    options = {
        "epochs": 2,
        "batch_size": BATCH,
        "shuffle": False,
        "validation_data": (x[:70], y[:70]),
    }
    history = training.fit(ours, x, y, **options).history
    expected = theirs.fit(x, y, verbose=0, **options).history
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert set(history) == set(expected)
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], atol=1e-5, err_msg=name)
    assert int(ours.optimizer.iterations) == 10


class Recorder(keras.layers.Layer):
    """Records the sum of the first feature of each training batch."""

    def build(self, shape):
        self.sums = self.add_weight(shape=(40,), initializer="zeros", trainable=False)
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            place = keras.ops.one_hot(self.step, 40)
            self.sums.assign_add(place * keras.ops.sum(x[:, 0]))
            self.step.assign_add(1)
        return x


@ON_EVERY
def test_every_sample_once_an_epoch_in_the_seeded_order(data):
    x, y = data
    recorder = Recorder()
    model = keras.Sequential([keras.Input((FEATURES,)), recorder, keras.layers.Dense(CLASSES)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    training.fit(model, x, y, epochs=3, initial_epoch=1, batch_size=BATCH, seed=5)
    expected = []
    for epoch in (1, 2):
        order = np.random.default_rng([5, epoch]).permutation(N)
        expected += [x[order[i : i + BATCH], 0].sum() for i in range(0, N, BATCH)]
    np.testing.assert_allclose(np.asarray(recorder.sums.numpy())[:10], expected)
    assert int(recorder.step) == 10


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_resuming_is_the_same_as_never_stopping(data, dropout):
    x, y = data
    whole, parts = (build(dropout=dropout) for _ in range(2))
    training.fit(whole, x, y, epochs=4, batch_size=BATCH, seed=3)
    for first, last in ((0, 1), (1, 4)):
        training.fit(parts, x, y, initial_epoch=first, epochs=last, batch_size=BATCH, seed=3)
    for a, b in zip(whole.get_weights(), parts.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_bits_other_seed_other_bits(data):
    x, y = data
    results = []
    for seed in (0, 0, 1):
        model = build(dropout=0.3, seed=seed)
        training.fit(model, x, y, epochs=2, batch_size=BATCH, seed=seed)
        results.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@ON_EVERY
def test_dropout_draws_a_new_mask_in_each_step():
    recorder = Recorder()
    layers = [keras.layers.Dropout(0.5, seed=1), recorder, keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.ones((10 * BATCH, FEATURES), np.float32), np.zeros(10 * BATCH, np.int32)
    training.fit(model, x, y, epochs=2, batch_size=BATCH)
    sums = np.asarray(recorder.sums.numpy())[:20]
    assert len(set(sums)) > 4  # the numbers of images that were kept, which are binomial
    assert not np.array_equal(sums[:10], sums[10:])
    assert abs(sums.mean() / BATCH - 1) < 0.2  # kept ones are scaled up


def test_validation_is_on_the_whole_set(data, monkeypatch):
    monkeypatch.setattr(plan, "VALIDATION_BATCH", 40)
    x, y = data
    model = build(l2=1e-2)
    history = training.fit(model, x, y, batch_size=BATCH, validation_data=(x, y)).history
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("shapes", "batch_size", "size"),
    [
        ([(28, 28)], 32, 1000),
        ([(126, 126)], 32, 1000),
        ([(224, 224, 3)], 32, 106),
        ([(224, 224, 3), (8,)], 64, 106),
        ([(224, 224, 3)], 256, 256),
        ([(5000, 5000)], 2, 2),
        ([()], 2000, 1000),
    ],
)
def test_large_inputs_are_validated_in_smaller_batches(shapes, batch_size, size):
    """1,000 of 224 x 224 x 3 would fill 600 MB before the first layer."""
    x = [np.broadcast_to(np.uint8(0), (3000, *shape)) for shape in shapes]
    assert plan.validation_batch(x, batch_size) == size


@pytest.mark.parametrize(("most", "size"), [(plan.MOST_NUMBERS, 1000), (FEATURES * 50, 50)])
def test_fit_validates_in_batches_of_that_size(data, monkeypatch, most, size):
    fit = sys.modules["shared_keras.training.fit"]
    plans = []
    monkeypatch.setattr(plan, "MOST_NUMBERS", most)
    for way in ("stock_fit", "jax_epoch"):
        if hasattr(fit, way):
            fake = SimpleNamespace(fit=lambda model, data, plan: plans.append(plan))
            monkeypatch.setattr(fit, way, fake)
    training.fit(build(), *data, batch_size=BATCH, validation_data=data)
    assert [made.validation_batch_size for made in plans] == [size]


def test_bad_arguments_are_refused(data):
    x, y = data
    with pytest.raises(ValueError, match="batch_size must be at least 1. Received: 0"):
        training.fit(build(), x, y, batch_size=0)
    with pytest.raises(ValueError, match="equally long. Received: 150, 149"):
        training.fit(build(), x, y[1:])
    with pytest.raises(ValueError, match="len"):
        training.fit(build(), x[:0], y[:0])
    with pytest.raises(ValueError, match="must be compiled"):
        training.fit(keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)]), x, y)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="specific to JAX")
@pytest.mark.parametrize("batch_size", dealt([BATCH, N, 1000], [BATCH]))
def test_one_program_per_step_gives_the_same(monkeypatch, batch_size):
    """Models with convolutions train step by step on a CPU; here any model does."""
    x, y = problem()
    options = {"epochs": 3, "batch_size": batch_size, "validation_data": (x, y)}
    histories, finals = [], []
    for one_by_one in (False, True):
        monkeypatch.setattr(jax_epoch, "convolves_slowly", lambda *_, it=one_by_one: it)
        model = build(norm=True, dropout=0.2)
        histories.append(training.fit(model, x, y, **options).history)
        finals.append(model.get_weights())
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5, err_msg=name)
    for a, b in zip(*finals):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.long(only=True)
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="specific to JAX")
def test_a_new_shape_takes_two_programs():
    """One to train, one to validate; none for initial values, slots or restored weights."""
    from jax import monitoring

    x, y = np.zeros((50, 28, 28), np.uint8), np.zeros(50, np.int64)
    compiled = []

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    def train(units):
        layers = [mlp.Layer(n, dropout=0.1) for n in units]
        model = keras_model(mlp.perceptron(layers, learning_rate=0.01))
        training.fit(model, x, y, batch_size=16, validation_data=(x, y))
        assign(model.weights, model.get_weights())

    train((11, 13))  # compiles what all models share, too
    monitoring.register_event_duration_secs_listener(listen)
    try:
        train((17, 19))
    finally:
        monitoring.unregister_event_duration_listener(listen)
    assert len(compiled) == 2


@pytest.mark.parametrize(
    "kind", ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"]
)
def test_convolutions_are_found(kind):
    kind = getattr(keras.layers, kind)
    inner = keras.Sequential(
        [kind(kernel_size=3, **({} if "Depth" in kind.__name__ else {"filters": 2}))]
    )
    model = keras.Sequential([keras.Input((8, 8, 1)), inner])
    assert model_kinds.convolves_on_cpu(model) or devices.gpus()
    assert not model_kinds.convolves_on_cpu(build())
