"""KerasTuner's and Keras's further guides, retyped like those of `test_guides`."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from tests.hyperband.drop_in.both_classes import printed
from tests.hyperband.drop_in.test_guides import (  # noqa: F401
    SMALL,
    build_model,
    garments,
    kt,
    split,
)

pytestmark = pytest.mark.long


class OwnLoop(keras_tuner.HyperModel):
    """Trains with a loop of its own, and calls the callbacks itself."""

    def build(self, hp):
        model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
        model.add(layers.Dense(hp.Int("units", 8, 32, step=8), activation="relu"))
        model.add(layers.Dense(10))
        return model

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        batch_size = hp.Int("batch_size", 32, 96, step=32, default=64)
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        epoch_loss_metric = keras.metrics.Mean()
        model.compile(keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2)), loss_fn)
        x_val, y_val = validation_data
        for callback in callbacks:
            callback.set_model(model)
        best_epoch_loss = float("inf")
        for epoch in range(2):
            for start in range(0, len(x), batch_size):
                batch = slice(start, start + batch_size)
                model.train_on_batch(x[batch], y[batch])
            logits = model(x_val, training=False)
            epoch_loss_metric.update_state(loss_fn(keras.ops.array(y_val), logits))
            epoch_loss = float(epoch_loss_metric.result())
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": epoch_loss})
            epoch_loss_metric.reset_state()
            best_epoch_loss = min(best_epoch_loss, epoch_loss)
        return best_epoch_loss


def test_hypertune_custom_training_loop(kt, split, tmp_path):  # noqa: F811
    (x_train, y_train), validation = split
    tuner = kt.Hyperband(
        objective=kt.Objective("my_metric", "min"),
        **SMALL,
        hypermodel=OwnLoop(),
        directory=tmp_path,
        project_name="custom_training",
        overwrite=True,
    )
    tuner.search(x=x_train, y=y_train, validation_data=validation)
    best_hps = tuner.get_best_hyperparameters()[0]
    assert best_hps.values["batch_size"] in (32, 64, 96)
    best_model = tuner.get_best_models()[0]
    best_model.build((None, 28, 28, 1))
    assert "Dense" in printed(best_model.summary)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = float(loss_fn(validation[1], best_model(validation[0])))
    assert loss == pytest.approx(tuner.oracle.get_best_trials()[0].score, rel=1e-5)


def test_visualize_the_hyperparameter_tuning_process(kt, split, tmp_path):  # noqa: F811
    pytest.importorskip("tensorboard")
    (x_train, y_train), validation = split
    logs = tmp_path / "tb_logs"
    tuner = kt.Hyperband(
        build_model,
        max_epochs=2,
        factor=3,
        hyperband_iterations=1,
        objective="val_accuracy",
        directory=tmp_path / "dir",
        project_name="mnist",
    )
    tuner.search(
        x_train,
        y_train,
        validation_data=validation,
        epochs=2,
        callbacks=[keras.callbacks.TensorBoard(str(logs))],
    )
    folders = {path.name for path in logs.iterdir()}
    if kt.Hyperband is keras_tuner.Hyperband and keras.backend.backend() != "tensorflow":
        assert folders == {"train", "validation"}  # of the last trial: it needs TensorFlow
        return
    assert folders == {*tuner.oracle.trials}
    for trial_id in folders:
        events = [*(logs / trial_id).rglob("events.out.tfevents.*")]
        assert {"train", "validation"} <= {path.parent.name for path in events}
        written = b"".join(path.read_bytes() for path in events)
        assert b"hparams" in written and b"units" in written


def several_parts(hp):
    """A model whose optimizer, loss and metrics the guide replaces."""
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for i in range(hp.Int("num_layers", 1, 2)):
        units = hp.Int(f"units_{i}", 8, 16, step=8)
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Choice("learning_rate", [1e-2, 1e-3, 1e-4])
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def overridden(kt):  # noqa: F811
    """One hyperparameter is overridden; the others are tuned as usual."""
    hp = kt.HyperParameters()
    hp.Float("learning_rate", min_value=1e-4, max_value=1e-2, sampling="log")
    return hp, {"tune_new_entries": True}, {"learning_rate", "num_layers", "units_0"}


def alone(kt):  # noqa: F811
    """Only one hyperparameter is tuned; the others keep their defaults."""
    hp = kt.HyperParameters()
    hp.Choice("learning_rate", [1e-2, 1e-3, 1e-4])
    return hp, {"tune_new_entries": False}, {"learning_rate"}


def fixed(kt):  # noqa: F811
    """One hyperparameter is fixed; the others are tuned."""
    hp = kt.HyperParameters()
    hp.Fixed("learning_rate", value=1e-4)
    return hp, {"tune_new_entries": True}, {"learning_rate", "num_layers", "units_0"}


@pytest.mark.parametrize("which", [overridden, alone, fixed])
def test_tailor_the_search_space(kt, split, tmp_path, which):  # noqa: F811
    (x_train, y_train), validation = split
    space, options, names = which(kt)
    tuner = kt.Hyperband(
        several_parts,
        hyperparameters=space,
        **options,
        objective="val_accuracy",
        **SMALL,
        overwrite=True,
        directory=tmp_path,
        project_name="search_a_few",
    )
    assert "learning_rate" in printed(tuner.search_space_summary)
    tuner.search(x_train, y_train, epochs=1, validation_data=validation)
    assert {hp.name for hp in tuner.oracle.get_space().space} >= names
    rate = tuner.get_best_hyperparameters()[0].get("learning_rate")
    if which is overridden:
        assert 1e-4 <= rate <= 1e-2
    else:
        assert rate in ((1e-4,) if which is fixed else (1e-2, 1e-3, 1e-4))


def test_tailor_the_compile_arguments(kt, split, tmp_path):  # noqa: F811
    (x_train, y_train), validation = split
    tuner = kt.Hyperband(
        several_parts,
        optimizer=keras.optimizers.Adam(1e-3),
        loss="mse",
        metrics=["mean_squared_error"],
        objective="val_loss",
        **SMALL,
        overwrite=True,
        directory=tmp_path,
        project_name="override_compile",
    )
    one_hot = np.eye(10, dtype="float32")
    validation = validation[0], one_hot[validation[1]]
    tuner.search(x_train, one_hot[y_train], epochs=1, validation_data=validation)
    (model,) = tuner.get_best_models()
    assert model.loss == "mse" and model.optimizer.learning_rate == np.float32(1e-3)
    (trial,) = tuner.oracle.get_best_trials()
    assert trial.metrics.exists("val_mean_squared_error") and not trial.metrics.exists("accuracy")


def test_distributed_hyperparameter_tuning(kt, split, tmp_path):  # noqa: F811
    """The guide's part for one machine: several devices, which train one model together."""
    tensorflow = pytest.importorskip("tensorflow")
    (x_train, y_train), validation = split
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a tf.distribute.Strategy is for TensorFlow")
    tuner = kt.Hyperband(
        build_model,
        objective="val_loss",
        **SMALL,
        distribution_strategy=tensorflow.distribute.MirroredStrategy(["/cpu:0"]),
        directory=tmp_path,
        project_name="distributed",
    )
    tuner.search(x_train, y_train, validation_data=validation)
    assert len(tuner.oracle.trials) == 1
