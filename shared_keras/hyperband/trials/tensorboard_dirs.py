"""TensorBoard callbacks of a search: each training logs to a folder of its own."""

import importlib.util
import os
from pathlib import Path

import keras
import keras_tuner
from keras_tuner.src.engine import tuner_utils


def separate(
    callbacks: list, hp: keras_tuner.HyperParameters, folder: Path, execution: int
) -> None:
    """Give each `TensorBoard` callback its own folder, as KerasTuner does on TensorFlow.

    With TensorBoard's own package, the hyperparameters are logged for its HParams page, too.

    Args:
        callbacks: Callbacks of a training; its `TensorBoard`s are changed in place, and
            callbacks that log hyperparameters are appended.
        hp: Hyperparameters of the trial.
        folder: Folder of the trial.
        execution: Number of the training in the trial.
    """
    trial_id = folder.name.removeprefix("trial_")
    for callback in list(callbacks):
        if not isinstance(callback, keras.callbacks.TensorBoard):
            continue
        callback.log_dir = os.path.join(callback.log_dir, trial_id, f"execution{execution}")
        if importlib.util.find_spec("tensorboard") is None:
            continue
        from tensorboard.plugins.hparams import api  # imports TensorFlow, as the callback does

        values = tuner_utils.convert_hyperparams_to_hparams(_one_each(hp), api)
        callbacks.append(api.KerasCallback(callback.log_dir, values, trial_id=trial_id))


def _one_each(hp: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
    """Return hyperparameters with one definition for each value; others may have its name."""
    found = keras_tuner.HyperParameters()
    for each in hp.space:
        if each.name in hp.values and each.name not in found.values and hp.is_active(each):
            found.merge([each])
            found.values[each.name] = hp.values[each.name]
    return found
