"""The same code run with `keras_tuner.Hyperband` and with ours, and what has to agree."""

import contextlib
import inspect
import io
from collections.abc import Callable
from pathlib import Path

import keras
import keras_tuner
import numpy as np

from shared_keras.hyperband import Hyperband

CLASSES = {"stock": keras_tuner.Hyperband, "ours": Hyperband}
ONE = {"max_epochs": 1, "factor": 3, "seed": 7}  # one trial, of one epoch
TWO = {"max_epochs": 2, "factor": 3, "seed": 7}  # two trials, of two epochs each
FIVE = {"max_epochs": 2, "factor": 2, "seed": 7}  # five trials; one resumes another

X = np.random.default_rng(0).normal(size=(48, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
X_VAL, Y_VAL = X[:20] + 0.5, Y[:20]
VALIDATION = (X_VAL, Y_VAL)


def build(hp):
    """Return a small classifier whose trials differ in a number that changes no shape."""
    hp.Int("units", 2, 500)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, activation="softmax")])
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(
        keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def make(hyperband, folder, hypermodel=build, objective="val_accuracy", schedule=ONE, **options):
    """Return a tuner of a class; ours with one worker, because starting another takes longer."""
    if "workers" in inspect.signature(hyperband).parameters:
        options = {"workers": 1} | options
    return hyperband(hypermodel, objective, **(schedule | options), directory=folder)


def search(tuner, *args, **options):
    """Search with the usual data, unless there is other, and return the tuner."""
    if not args:
        args, options = (X, Y), {"validation_data": VALIDATION} | options
    tuner.search(*args, **{"batch_size": 16, "verbose": 0} | options)
    return tuner


def compare(way: Callable, folder: Path) -> list:
    """Search with both classes, and compare what can be told about the results.

    Args:
        way: Called with a class and a folder; returns the tuner, which has searched.
        folder: Folder for both.

    Returns:
        The tuners, the stock one first.
    """
    tuners = [way(hyperband, folder / name) for name, hyperband in CLASSES.items()]
    stock, ours = map(facts, tuners)
    assert ours == stock
    return tuners


def facts(tuner) -> dict:
    """Return what a search with other random draws would have in common with this one."""
    trials = list(tuner.oracle.trials.values())
    best = tuner.oracle.get_best_trials(1)
    return {
        "objective": str(tuner.oracle.objective),
        "trials": sorted(map(_place, trials)),
        "metrics": {name for trial in trials for name in trial.metrics.metrics},
        "space": {(type(hp).__name__, hp.name) for hp in tuner.oracle.get_space().space},
        "best": [(trial.status, isinstance(trial.score, float)) for trial in best],
    }


def _place(trial) -> tuple:
    values = trial.hyperparameters.values
    names = ("bracket", "round", "initial_epoch", "epochs")
    return (*(values.get(f"tuner/{name}") for name in names), str(trial.status))


def printed(function: Callable, *args, **kwargs) -> str:
    """Return what a call prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        function(*args, **kwargs)
    return output.getvalue()


class Log(keras.callbacks.Callback):
    """Notes to a file, also from another process, how each epoch ended.

    Args:
        path: The file.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        steps = int(self.model.optimizer.iterations)
        note(self.path, f"epoch {epoch}, step {steps}: {', '.join(sorted(logs))}")


def note(path: Path, line: str) -> None:
    """Append a line to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")


def notes(path: Path) -> list[str]:
    """Return the lines of a file, sorted, because trials may run side by side."""
    return sorted(path.read_text().splitlines()) if path.exists() else []
