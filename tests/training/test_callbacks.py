"""Keras's callbacks and a user's own in `training.fit`."""

import csv
import functools

import keras
import numpy as np
import pytest

from shared_keras import training
from shared_keras.training import why_stock
from tests.small_model import BATCH, build, problem


@pytest.fixture(scope="module")
def data():
    return problem()


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


def test_backup_and_restore_resumes(data, tmp_path):
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


class Fails(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_training_ends_as_keras_ends_it(data):
    """The averages are in place, and the model can be trained further."""
    x, y = data
    finals = []
    for fit in (training.fit, lambda model, *data, **kw: model.fit(*data, verbose=0, **kw)):
        model = build(keras.optimizers.SGD(0.1, use_ema=True))
        with pytest.raises(KeyboardInterrupt):
            fit(model, x, y, epochs=3, batch_size=BATCH, shuffle=False, callbacks=[Fails()])
        finals.append(model.get_weights())
        training.fit(model, x, y, epochs=2, batch_size=BATCH)
        assert int(model.optimizer.iterations) == 15
    for a, b in zip(*finals):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_terminate_on_nan(data):
    x, y = data
    model = build(keras.optimizers.SGD(float("inf")))
    nan = keras.callbacks.TerminateOnNaN()
    history = training.fit(model, x, y, epochs=9, batch_size=BATCH, callbacks=[nan]).history
    assert len(history["loss"]) == 1


@pytest.mark.every_backend
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


class SeesBatches(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append((batch, logs["loss"]))


def test_callbacks_are_known_by_their_class_and_not_by_names():
    def on_batch_end(self, batch, logs=None):
        pass

    functools.update_wrapper(on_batch_end, keras.callbacks.Callback.on_train_batch_end)
    by_class = type("Own", (keras.callbacks.Callback,), {"on_train_batch_end": on_batch_end})()
    of_its_own = keras.callbacks.Callback()
    of_its_own.on_train_batch_end = functools.partial(on_batch_end, of_its_own)
    for callback in (by_class, of_its_own):
        assert why_stock.of_callbacks([callback]).endswith("has on_train_batch_end")
    assert why_stock.of_callbacks([keras.callbacks.EarlyStopping()]) is None


def test_callbacks_that_need_batches_see_each(data):
    """And the training is the same as without them."""
    x, y = data
    options = {"epochs": 2, "batch_size": BATCH, "seed": 4}
    callback = SeesBatches()
    watched, compiled = build(dropout=0.0), build(dropout=0.0)
    training.fit(watched, x, y, callbacks=callback, **options)
    training.fit(compiled, x, y, **options)
    batches = range(-(-len(x) // BATCH))
    assert [batch for batch, _ in callback.losses] == [*batches, *batches]
    assert len({loss for _, loss in callback.losses}) == len(callback.losses)
    for a, b in zip(watched.get_weights(), compiled.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_checkpoint_every_few_batches(data, tmp_path):
    path = tmp_path / "{epoch}-{batch:02d}.keras"
    callback = keras.callbacks.ModelCheckpoint(path, save_freq=2)
    training.fit(build(), *data, batch_size=BATCH, callbacks=[callback])
    assert len(list(tmp_path.iterdir())) == -(-len(data[0]) // BATCH) // 2


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (SeesBatches, "SeesBatches has on_train_batch_end"),
        (
            lambda: keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None),
            "LambdaCallback has on_train_batch_begin",
        ),
        (
            lambda: keras.callbacks.ModelCheckpoint("x.keras", save_freq=10),
            "ModelCheckpoint has save_freq=10",
        ),
        (
            lambda: keras.callbacks.TensorBoard(update_freq="batch"),
            "TensorBoard has update_freq=1",
        ),
        (
            lambda: keras.callbacks.TensorBoard(profile_batch=(2, 4)),
            "TensorBoard has profile_batch",
        ),
    ],
    ids=["own", "lambda", "checkpoint", "tensorboard", "profile"],
)
def test_callbacks_that_need_batches_are_named(make, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write to the working directory
    try:
        callback = make()
    except ValueError as error:
        pytest.skip(str(error))  # Keras itself refuses to profile PyTorch
    if getattr(callback, "_should_trace", None) is False and callback.update_freq == "epoch":
        pytest.skip("Keras cannot profile JAX on this Python")
    assert why_stock.of_callbacks([callback]) == why
