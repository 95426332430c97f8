"""The models of trials on disk: the best weights, and the state from which others resume."""

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras

from shared_keras import files
from shared_keras.models.initializers import assign
from shared_keras.training import checkpoints

BUILD_CONFIG = "build_config.json"  # this and the next are KerasTuner's names
CHECKPOINT = "checkpoint.weights.h5"
STATE = checkpoints.STATE
STATES = "state*.npz"  # of all trainings of a trial
WARM = 2**29  # bytes of compiled models that stay in memory for trials that resume them


class NotSaved(OSError):
    """A file of a trial cannot be written, which is not the trial's fault."""


def write(
    warm: OrderedDict,
    folder: Path,
    state: Path | None,
    model: keras.Model,
    best_epoch: Any,
    best: bool,
) -> None:
    """Write a training's best weights, and the state from which another trial resumes it.

    The state has the weights of the last epoch. The end of a training may replace these, by
    an optimizer's averages or by what `EarlyStopping` restores, but an uninterrupted training
    would not have continued from there.

    Args:
        warm: The models that others may resume, by the file of their state.
        folder: Folder of the trial.
        state: File of the state, or None if no other trial may resume this one.
        model: The trained model.
        best_epoch: The `BestEpoch` that observed its training.
        best: Whether its weights are the best of the trial so far.

    Raises:
        NotSaved: if a file cannot be written.
    """
    try:
        last = best_epoch.last_weights or model.get_weights()
        if best:
            files.write_json(folder / BUILD_CONFIG, model.get_build_config())
            assign(model.weights, best_epoch.best_weights or last)
            checkpoints.save_weights(folder / CHECKPOINT, model)
        assign(model.weights, last)
        if state is not None:
            checkpoints.save(state, model)
            warm[state] = model
            while len(warm) > 1 and sum(map(bytes_of, warm.values())) > WARM:
                warm.popitem(last=False)
    except OSError as error:
        raise NotSaved(error.errno, error.strerror, error.filename) from error


def resumed_from(folder: Path) -> list[Path]:
    """Return the files of a trial that another needs to resume it."""
    return sorted(path for name in (STATES, BUILD_CONFIG) for path in folder.glob(name))


def read(state: Path, model: keras.Model) -> None:
    """Read the state of a training into a new model of the same architecture."""
    if not model.built:  # the first batch would have built it
        build(state.parent, model)
    checkpoints.load(state, model)


def read_best(folder: Path, model: keras.Model) -> None:
    """Read a trial's best weights into a new model of the same architecture."""
    if not model.built:
        build(folder, model)
        model.built = True  # Keras does not set this for subclassed models
    model.load_weights(folder / CHECKPOINT)


def build(folder: Path, model: keras.Model) -> None:
    """Build a model for the inputs on which a trial was trained."""
    model.build_from_config(files.read_json(folder / BUILD_CONFIG))


def bytes_of(model: keras.Model) -> int:
    """Return the bytes of a model's weights and of its optimizer's state, counted as float32."""
    variables = [*model.variables, *checkpoints.optimizer_variables(model)]
    return 4 * sum(math.prod(variable.shape) for variable in variables)
