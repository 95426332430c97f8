"""`training.fit` means what `keras.Model.fit` means."""

import csv

import keras
import numpy as np
import pytest

from shared_keras import training

pytestmark = pytest.mark.every_backend
N, FEATURES, CLASSES = 150, 12, 4
BATCH = 32  # four whole batches and one of 22


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (N, FEATURES), dtype=np.uint8)
    y = (x[:, 0].astype(np.int32) * CLASSES) // 256
    return x, y


def build(optimizer=None, *, l2=0.0, norm=False, dropout=0.0, seed=1):
    training.seed_layers(seed)
    penalty = keras.regularizers.L2(l2) if l2 else None
    layers = [keras.Input((FEATURES,)), keras.layers.Rescaling(1 / 255)]
    # A bias before BatchNormalization has no gradient but rounding, which Adam magnifies.
    layers += [keras.layers.Dense(16, kernel_regularizer=penalty, use_bias=not norm)]
    layers += [keras.layers.BatchNormalization()] * norm
    layers += [keras.layers.Activation("relu")]
    layers += [keras.layers.Dropout(dropout)] * bool(dropout)
    layers += [keras.layers.Dense(CLASSES, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(
        optimizer or keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


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
    ("sgd", {}),
    ("adam", {"l2": 1e-2}),
    ("rmsprop", {"norm": True, "l2": 1e-2}),
    ("adam", {"norm": True}),
    ("schedule", {}),
    ("ema", {}),
]


@pytest.mark.parametrize(("optimizer", "parts"), CASES, ids=str)
def test_same_weights_and_history_as_keras(data, optimizer, parts):
    """The same start and the same batches: the same weights after two epochs."""
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
    """Adds up the first feature of its training batches, weighted by their place."""

    def build(self, shape):
        self.sums = self.add_weight(shape=(40,), initializer="zeros", trainable=False)
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            place = keras.ops.one_hot(self.step, 40)
            self.sums.assign_add(place * keras.ops.sum(x[:, 0]))
            self.step.assign_add(1)
        return x


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
def test_going_on_is_the_same_as_never_stopping(data, dropout):
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


def test_dropout_draws_anew_in_each_step():
    recorder = Recorder()
    layers = [keras.layers.Dropout(0.5, seed=1), recorder, keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.ones((10 * BATCH, FEATURES), np.float32), np.zeros(10 * BATCH, np.int32)
    training.fit(model, x, y, epochs=2, batch_size=BATCH)
    sums = np.asarray(recorder.sums.numpy())[:20]
    assert len(set(sums)) > 4  # of the binomial numbers of the images that were kept
    assert not np.array_equal(sums[:10], sums[10:])
    assert abs(sums.mean() / BATCH - 1) < 0.2  # kept ones are scaled up


def test_validation_is_on_the_whole_set(data, monkeypatch):
    monkeypatch.setattr(training, "VALIDATION_BATCH", 40)
    x, y = data
    model = build(l2=1e-2)
    history = training.fit(model, x, y, batch_size=BATCH, validation_data=(x, y)).history
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)


def test_early_stopping_restores_the_best_weights(data):
    x, y = data
    stopper = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    model = build(keras.optimizers.SGD(30.0))
    history = training.fit(model, x, y, epochs=30, batch_size=BATCH, callbacks=[stopper]).history
    assert len(history["loss"]) == int(np.argmin(history["loss"])) + 3 < 30
    again = build(keras.optimizers.SGD(30.0))
    training.fit(again, x, y, epochs=stopper.best_epoch + 1, batch_size=BATCH)
    for a, b in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_learning_rate_scheduler(data):
    x, y = data
    rates = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    history = training.fit(build(), x, y, epochs=3, batch_size=BATCH, callbacks=[rates]).history
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)
    frozen = build()
    before = frozen.get_weights()
    stop = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)
    training.fit(frozen, x, y, batch_size=BATCH, callbacks=[stop])
    np.testing.assert_array_equal(frozen.get_weights()[0], before[0])


def test_files_that_callbacks_write(data, tmp_path):
    x, y = data
    model = build()
    pattern = str(tmp_path / "{epoch}.keras")
    training.fit(
        model,
        x,
        y,
        epochs=2,
        batch_size=BATCH,
        validation_data=(x, y),
        callbacks=[
            keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
            keras.callbacks.ModelCheckpoint(pattern),
            keras.callbacks.TensorBoard(str(tmp_path / "board"), write_graph=False),
        ],
    )
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"] and "val_accuracy" in rows[0]
    saved = keras.saving.load_model(tmp_path / "2.keras")
    for a, b in zip(saved.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert list((tmp_path / "board").rglob("events*"))


def test_backup_and_restore_goes_on(data, tmp_path):
    x, y = data
    whole = build()
    training.fit(whole, x, y, epochs=4, batch_size=BATCH)

    def train(epochs):
        model = build()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        history = training.fit(model, x, y, epochs=epochs, batch_size=BATCH, callbacks=[backup])
        return model, history

    train(2)
    model, history = train(4)
    assert history.epoch == [2, 3]
    for a, b in zip(model.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_terminate_on_nan(data):
    x, y = data
    model = build(keras.optimizers.SGD(float("inf")))
    nan = keras.callbacks.TerminateOnNaN()
    history = training.fit(model, x, y, epochs=9, batch_size=BATCH, callbacks=[nan]).history
    assert len(history["loss"]) == 1


def test_a_users_callback_sees_the_protocol(data):
    x, y = data
    events = []

    class Mine(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            events.append("train begin")

        def on_epoch_begin(self, epoch, logs=None):
            events.append(f"epoch {epoch} begin")

        def on_test_begin(self, logs=None):
            events.append("test begin")

        def on_test_end(self, logs=None):
            events.append("test end")

        def on_epoch_end(self, epoch, logs=None):
            assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
            events.append(f"epoch {epoch} end")
            # Reading and writing weights between epochs works.
            self.model.set_weights([0 * w for w in self.model.get_weights()])

        def on_train_end(self, logs=None):
            events.append("train end")

    model = build()
    training.fit(
        model, x, y, epochs=2, batch_size=BATCH, validation_data=(x, y), callbacks=[Mine()]
    )
    epochs = [[f"epoch {i} begin", "test begin", "test end", f"epoch {i} end"] for i in (0, 1)]
    assert events == ["train begin", *epochs[0], *epochs[1], "train end"]
    assert not any(w.any() for w in model.get_weights())


class NeedsBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    "make",
    [
        NeedsBatches,
        lambda: keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None),
        lambda: keras.callbacks.ModelCheckpoint("x.keras", save_freq=10),
        lambda: keras.callbacks.TensorBoard(update_freq="batch"),
        lambda: keras.callbacks.TensorBoard(profile_batch=(2, 4)),
    ],
    ids=["own", "lambda", "checkpoint", "tensorboard", "profile"],
)
def test_callbacks_that_need_batches_are_refused(data, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write where they stand
    try:
        callback = make()
    except ValueError as error:
        pytest.skip(str(error))  # Keras refuses by itself to profile PyTorch
    if getattr(callback, "_should_trace", None) is False and callback.update_freq == "epoch":
        pytest.skip("Keras cannot profile JAX on this Python")
    with pytest.raises(ValueError, match="epoch is one compiled"):
        training.fit(build(), *data, callbacks=[callback])


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
