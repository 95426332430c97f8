"""What `search` takes: all that `keras.Model.fit` takes, with the same steps and logs."""

import keras
import numpy as np
import pandas as pd
import pytest

from tests.hyperband.drop_in.both_classes import (
    CLASSES,
    VALIDATION,
    X_VAL,
    Y_VAL,
    Log,
    X,
    Y,
    compare,
    make,
    note,
    notes,
    search,
)
from tests.shares import dealt

pytestmark = pytest.mark.long

WEIGHTS = np.linspace(0.1, 1, len(X), dtype="float32")


class Batches(keras.utils.PyDataset):
    """Three batches of 16 samples."""

    def __init__(self, x=X, y=Y, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // 16

    def __getitem__(self, index):
        part = slice(16 * index, 16 * (index + 1))
        return self.x[part], self.y[part]


def generated(x=X, y=Y):
    """Yield batches without end."""
    while True:
        yield from Batches(x, y)


def of_tensorflow(x=X, y=Y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(48).batch(16)


def of_torch(x=X, y=Y):
    data = pytest.importorskip("torch.utils.data")
    import torch

    pairs = data.TensorDataset(torch.tensor(x), torch.tensor(y))
    return data.DataLoader(pairs, batch_size=16, shuffle=True)


FRAMES = pd.DataFrame(X, columns=list("abcdef")), pd.Series(Y, name="label")
VALID = {"validation_data": VALIDATION}
WAYS = {
    "arrays": lambda: ((X, Y), {"epochs": 50, **VALID}),
    "by name": lambda: ((), {"x": X, "y": Y, **VALID}),
    "a batch size by position": lambda: ((X, Y, 8), VALID),
    "bytes": lambda: ((np.uint8(X * 9), Y), {"validation_data": (np.uint8(X_VAL), Y_VAL)}),
    "pandas": lambda: (FRAMES, {"validation_data": (FRAMES[0][:20], FRAMES[1][:20])}),
    "tensors": lambda: ((keras.ops.array(X), keras.ops.array(Y)), VALID),
    "tf.data": lambda: ((of_tensorflow(),), {"validation_data": of_tensorflow(X_VAL, Y_VAL)}),
    "PyDataset": lambda: ((Batches(),), {"validation_data": Batches(X_VAL, Y_VAL)}),
    "PyDataset with processes": lambda: ((Batches(workers=2, use_multiprocessing=False),), VALID),
    "generator": lambda: (
        (generated(),),
        {
            "steps_per_epoch": 2,
            "validation_data": generated(X_VAL, Y_VAL),
            "validation_steps": 1,
        },
    ),
    "DataLoader": lambda: ((of_torch(),), {"validation_data": of_torch(X_VAL, Y_VAL)}),
    "validation_split": lambda: ((X, Y), {"validation_split": 0.25}),
    "validation with weights": lambda: ((X, Y), {"validation_data": (*VALIDATION, WEIGHTS[:20])}),
    "validation as a list": lambda: ((X, Y), {"validation_data": [X_VAL, Y_VAL]}),
    "sample_weight": lambda: ((X, Y), {"sample_weight": WEIGHTS, **VALID}),
    "weights": lambda: (
        (X, Y),
        {"sample_weight": WEIGHTS, "validation_data": (*VALIDATION, WEIGHTS[:20])},
    ),
    "class_weight": lambda: ((X, Y), {"class_weight": {0: 1.0, 1: 3.0}, **VALID}),
    "steps_per_epoch": lambda: ((X, Y), {"steps_per_epoch": 2, **VALID}),
    "validation_steps": lambda: ((X, Y), {"validation_steps": 1, **VALID}),
    "steps": lambda: ((X, Y), {"steps_per_epoch": 2, "validation_steps": 1, **VALID}),
    "validation_freq": lambda: ((X, Y), {"validation_freq": 1, **VALID}),
    "validation_batch_size": lambda: ((X, Y), {"validation_batch_size": 7, **VALID}),
    "no shuffling": lambda: ((X, Y), {"shuffle": False, **VALID}),
    "the first epoch, which a schedule overrides": lambda: ((X, Y), {"initial_epoch": 3, **VALID}),
    "verbose=1": lambda: ((X, Y), {"verbose": 1, **VALID}),
    "verbose=2": lambda: ((X, Y), {"verbose": 2, **VALID}),
    "verbose='auto'": lambda: ((X, Y), {"verbose": "auto", **VALID}),
}
QUICK = ("arrays", "pandas", "tf.data", "PyDataset", "generator", "DataLoader")
QUICK += ("validation_split", "weights", "class_weight", "steps")
HAVE_BATCHES = ("tf.data", "PyDataset", "PyDataset with processes", "generator", "DataLoader")


@pytest.mark.parametrize("name", dealt(WAYS, QUICK))
def test_data_and_options_are_those_of_fit(tmp_path, name):
    logs = []

    def way(hyperband, folder):
        logs.append(folder / "log")
        args, options = WAYS[name]()
        batched = name in HAVE_BATCHES or len(args) == 3
        size = {} if batched else {"batch_size": 20}
        tuner = make(hyperband, folder)
        tuner.search(*args, **{"verbose": 0} | size | options, callbacks=[Log(folder / "log")])
        return tuner

    compare(way, tmp_path)
    stock, ours = map(notes, logs)
    assert ours == stock and len(stock) == 1


def test_lists_of_numbers_are_taken_although_keras_refuses_them(tmp_path):

    def way(hyperband, folder):
        y = Y if hyperband is CLASSES["stock"] else Y.tolist()
        tuner = make(hyperband, folder)
        tuner.search(X, y, verbose=0, **VALID)
        return tuner

    compare(way, tmp_path)
    refused = search(make(CLASSES["stock"], tmp_path), X, Y.tolist(), **VALID)
    (trial,) = refused.oracle.trials.values()
    assert trial.status == "FAILED" and "Unrecognized data type" in trial.message


def two_inputs(hp, names=(None, None)):
    inputs = [keras.Input((6,), name=names[0]), keras.Input((6,), name=names[1])]
    joined = keras.layers.Concatenate()(inputs)
    outputs = keras.layers.Dense(2, activation="softmax")(joined)
    model = keras.Model(dict(zip(names, inputs)) if names[0] else inputs, outputs)
    rate = hp.Float("rate", 1e-3, 1e-1)
    model.compile(
        keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def named_inputs(hp):
    return two_inputs(hp, ("left", "right"))


INPUTS = {
    "list": (two_inputs, lambda x: [x, x]),
    "tuple": (two_inputs, lambda x: (x, x)),
    "dict": (named_inputs, lambda x: {"left": x, "right": x}),
}


@pytest.mark.parametrize("kind", dealt(INPUTS, ["list", "dict"]))
def test_several_inputs(tmp_path, kind):
    hypermodel, form = INPUTS[kind]

    def way(hyperband, folder):
        tuner = make(hyperband, folder, hypermodel)
        tuner.search(form(X), Y, validation_data=(form(X_VAL), Y_VAL), verbose=0)
        return tuner

    for tuner in compare(way, tmp_path):
        assert tuner.get_best_models()[0].predict(form(X_VAL), verbose=0).shape == (20, 2)


def test_a_model_that_needs_no_targets(tmp_path):
    def way(hyperband, folder):
        tuner = make(hyperband, folder, autoencoder, "val_loss")
        tuner.search(X, validation_data=(X_VAL, None), verbose=0)
        return tuner

    compare(way, tmp_path)


class Reconstruction(keras.layers.Layer):
    def call(self, x, decoded):
        self.add_loss(keras.ops.mean((x - decoded) ** 2))
        return decoded


def autoencoder(hp):
    x = keras.Input((6,))
    decoded = keras.layers.Dense(6)(keras.layers.Dense(3)(x))
    model = keras.Model(x, Reconstruction()(x, decoded))
    model.compile(keras.optimizers.SGD(hp.Float("rate", 1e-3, 1e-1)))
    return model


class EveryBatch(keras.callbacks.Callback):
    """Notes each batch, each evaluation and each end of a training."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):
        note(self.path, f"batch {batch}: {', '.join(sorted(logs))}")

    def on_test_end(self, logs=None):
        note(self.path, f"evaluated: {', '.join(sorted(logs))}")

    def on_train_end(self, logs=None):
        note(self.path, f"trained: {', '.join(sorted(logs))}")


CALLBACKS = {
    "many": lambda folder: [
        callback(folder)
        for name, callback in CALLBACKS.items()
        if name not in ("many", "batches", "BackupAndRestore", "ModelCheckpoint every step")
    ],
    "EarlyStopping": lambda folder: keras.callbacks.EarlyStopping("val_loss", patience=5),
    "EarlyStopping that restores": lambda folder: keras.callbacks.EarlyStopping(
        "val_accuracy", patience=1, restore_best_weights=True
    ),
    "ReduceLROnPlateau": lambda folder: keras.callbacks.ReduceLROnPlateau("val_loss"),
    "LearningRateScheduler": lambda folder: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 2
    ),
    "TerminateOnNaN": lambda folder: keras.callbacks.TerminateOnNaN(),
    "LambdaCallback": lambda folder: keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: note(folder / "written", f"epoch {epoch}")
    ),
    "batches": lambda folder: EveryBatch(folder / "written"),
    "CSVLogger": lambda folder: keras.callbacks.CSVLogger(str(folder / "csv")),
    "ModelCheckpoint": lambda folder: keras.callbacks.ModelCheckpoint(str(folder / "m.keras")),
    "ModelCheckpoint every step": lambda folder: keras.callbacks.ModelCheckpoint(
        str(folder / "{batch}.weights.h5"), save_weights_only=True, save_freq=1
    ),
    "BackupAndRestore": lambda folder: keras.callbacks.BackupAndRestore(folder / "backup"),
}


@pytest.mark.parametrize("name", dealt(CALLBACKS, ["many", "batches"]))
def test_callbacks(tmp_path, name):
    folders = []

    def way(hyperband, folder):
        folder.mkdir()
        folders.append(folder)
        tuner = make(hyperband, folder)
        callbacks = [*np.ravel(CALLBACKS[name](folder)), Log(folder / "log")]
        tuner.search(X, Y, batch_size=16, verbose=0, callbacks=callbacks, **VALID)
        return tuner

    compare(way, tmp_path)
    stock, ours = folders
    assert notes(ours / "log") == notes(stock / "log")
    assert notes(ours / "written") == notes(stock / "written")
    written = [{path.name for path in each.iterdir() if path.is_file()} for each in folders]
    assert written[1] == written[0]


def test_a_callback_that_cannot_be_copied_ends_the_search(tmp_path):
    for name, hyperband in CLASSES.items():
        with pytest.raises(ValueError, match="callbacks"):
            make(hyperband, tmp_path / name).search(X, Y, callbacks=[keras], **VALID)


def test_progress_is_silent_if_asked(tmp_path, capfd):
    def way(hyperband, folder):
        tuner = make(hyperband, folder)
        tuner.search(X, Y, verbose=0, **VALID)
        return tuner

    compare(way, tmp_path)
    assert capfd.readouterr().out == ""
