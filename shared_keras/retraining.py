"""One training run: from settings to a folder that explains itself."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from shared_keras import evaluation, keras_model, plots, report, runs, saved_models, training
from shared_keras.datasets import Images, Split
from shared_keras.errors import RunFailed
from shared_keras.system import System

CHECKPOINT = "model.pt"


class Trained(NamedTuple):
    """What a training leaves: `probabilities` takes raw images, (n, 28, 28)."""

    model: keras.Model
    probabilities: Callable[[np.ndarray], np.ndarray]
    history: dict[str, list[float]]
    best_epoch: int


class _EpochLine(keras.callbacks.Callback):
    """Prints a line after each epoch, and keeps the seconds that it took."""

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self.started
        report.epoch(epoch + 1, self.params["epochs"], logs)


def run(task, settings, described: System, split: Split, folder: Path) -> dict:
    """Train one model, restore its best epoch where that is asked for, and evaluate it.

    Args:
        task: The task.
        settings: `retrain.Settings`; they are written, too.
        described: The system.
        split: The images; those for testing are read once, at the end.
        folder: Where to write settings, history, curves, model and metrics.

    Returns:
        What metrics.json holds.

    Raises:
        RunFailed: if the loss becomes NaN or infinite.
    """
    runs.write_settings(folder / "settings.json", settings)
    runs.write_json(folder / "environment.json", runs.environment())
    train = {"keras": _train_port, "pytorch": _train_twin}[settings.framework]
    started = time.perf_counter()
    trained = train(settings, described, split, folder)
    seconds = time.perf_counter() - started
    history = trained.history
    runs.write_figure(
        folder / "history.png",
        plots.history(
            history, trained.best_epoch, f"{task.title}: {settings.source}, seed {settings.seed}"
        ),
    )
    saved_models.save(trained.model, folder / saved_models.MODEL)
    result = {
        "seed": settings.seed,
        "best_epoch": trained.best_epoch,
        "epochs_trained": len(history["loss"]),
        "stopped_early_by": None if settings.patience is None else "val_accuracy",
        "seconds": seconds,
        "seconds_per_epoch": statistics.median(history["seconds"]),
        "parameters": trained.model.count_params(),
        "validation": scores(task, trained.probabilities, split.validation),
        "test": scores(task, trained.probabilities, split.test),
    }
    runs.write_json(folder / "metrics.json", result)
    report.finished(result, folder)
    return result


def scores(task, probabilities, images: Images) -> dict:
    """Score a function from raw images to probabilities."""
    return evaluation.scores(probabilities(images.x), images.y, task.classes)


def _train_port(settings, described: System, split: Split, folder: Path) -> Trained:
    training.seed_layers(settings.seed)
    model = keras_model.build(described)
    # _EpochLine first, so that the seconds stand in the history, which is last.
    callbacks = [
        _EpochLine(),
        *keras_model.callbacks(described),
        keras.callbacks.TerminateOnNaN(),
    ]
    stopper = None
    if settings.patience is not None:
        stopper = keras.callbacks.EarlyStopping(
            "val_accuracy", mode="max", patience=settings.patience, restore_best_weights=True
        )
        callbacks.append(stopper)
    history = training.fit(
        model,
        split.train.x,
        split.train.y,
        validation_data=(split.validation.x, split.validation.y),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=callbacks,
        seed=settings.seed,
    ).history
    _keep(history, folder)
    best = len(history["loss"]) if stopper is None else stopper.best_epoch + 1
    return Trained(model, lambda x: evaluation.probabilities(model, x), history, best)


def _train_twin(settings, described: System, split: Split, folder: Path) -> Trained:
    import torch

    from shared_keras import twin, weights

    network, history, best = twin.fit(
        described,
        split.train,
        split.validation,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        patience=settings.patience,
        seed=settings.seed,
        after_epoch=lambda epoch, logs: report.epoch(epoch + 1, settings.epochs, logs),
    )
    _keep(history, folder)
    with runs.replacing(folder / CHECKPOINT) as temporary:
        torch.save(network.state_dict(), temporary)
    model = keras_model.build(described)
    weights.load(model, network.state_dict())
    return Trained(model, lambda x: twin.probabilities(described, network, x), history, best + 1)


def _keep(history, folder: Path) -> None:
    """Write the history, and refuse to go on with a loss that is none."""
    runs.write_history(folder / "history.csv", history)
    if not all(abs(loss) < float("inf") for loss in history["loss"]):
        raise RunFailed(f"the loss became {history['loss'][-1]}; {folder / 'history.csv'} has it")
