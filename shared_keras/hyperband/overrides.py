"""What a subclass of the tuner overrides, and where its trials train therefore."""

from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

from shared_keras.errors import BadInput
from shared_keras.hyperband.trials import own_fit
from shared_keras.training import why_stock

DURING_TRAINING = {  # methods of the tuner, and the hooks of a callback that call them
    "on_epoch_begin": "on_epoch_begin",
    "on_epoch_end": "on_epoch_end",
    "on_batch_begin": "on_train_batch_begin",
    "on_batch_end": "on_train_batch_end",
}


def overridden(tuner: keras_tuner.Tuner, method: str) -> bool:
    """Return whether a method is not the one of this package or of KerasTuner."""
    return why_stock.overridden(tuner, method, ("keras_tuner", "shared_keras"))


def takes_anything(tuner: keras_tuner.Tuner) -> bool:
    """Return whether the user's own code trains, which may take any arguments."""
    return overridden(tuner, "run_trial") or own_fit.is_in(tuner.hypermodel)


def need_hypermodel(tuner: keras_tuner.Tuner, hypermodel: Any) -> None:
    """Refuse a search without a hypermodel, unless a subclass trains by itself.

    Raises:
        BadInput: saying so.
    """
    if hypermodel is None and not overridden(tuner, "run_trial"):
        raise BadInput(
            "Received `hypermodel=None`; expected a function or a keras_tuner.HyperModel, "
            "unless a subclass has its own run_trial"
        )


def reason_to_train_here(tuner: keras_tuner.Tuner) -> str | None:
    """Return why trials train in this process, as the end of a sentence, or None."""
    for method in ("run_trial", *DURING_TRAINING):
        if overridden(tuner, method):
            return f"{type(tuner).__name__} has its own {method}"
    return None if tuner.distribution_strategy is None else "there is a distribution_strategy"


def callbacks(tuner: keras_tuner.Tuner, trial: Trial) -> list[keras.callbacks.Callback]:
    """Return callbacks that call what a subclass overrides, as the stock tuner does."""
    callback = keras.callbacks.Callback()
    for method, hook in DURING_TRAINING.items():
        if overridden(tuner, method):
            setattr(callback, hook, _caller(getattr(tuner, method), trial, callback))
    return [callback]


def _caller(method: Callable, trial: Trial, callback: keras.callbacks.Callback) -> Callable:
    def call(number: int, logs: Any = None) -> None:
        method(trial, callback.model, number, logs)

    return call
