"""One training run: from settings to a folder that explains itself."""

import time
from pathlib import Path

import keras

from shared_keras import evaluation, plots, report, runs, saved_models, training
from shared_keras.datasets import Split
from shared_keras.errors import RunFailed


class _EpochLine(keras.callbacks.Callback):
    """Prints a line after each epoch, and keeps the seconds that it took."""

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self.started
        report.epoch(epoch + 1, self.params["epochs"], logs)


def run(task, settings, build, hp, split: Split, folder: Path) -> dict:
    """Train one model, restore its best epoch, and evaluate it.

    Args:
        task: The task.
        settings: `retrain.Settings`; they are written, too.
        build: The hypermodel.
        hp: Its hyperparameters.
        split: The images; those for testing are read once, at the end.
        folder: Where to write settings, history, curves, model and metrics.

    Returns:
        What metrics.json holds.

    Raises:
        RunFailed: if the loss becomes NaN or infinite.
    """
    runs.write_settings(folder / "settings.json", settings)
    runs.write_json(folder / "environment.json", runs.environment())
    started = time.perf_counter()
    training.seed_layers(settings.seed)
    model = build(hp)
    stopper = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=settings.patience, restore_best_weights=True
    )
    # _EpochLine first, so that the seconds stand in the history, which is last.
    history = training.fit(
        model,
        split.train.x,
        split.train.y,
        validation_data=(split.validation.x, split.validation.y),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=[_EpochLine(), stopper, keras.callbacks.TerminateOnNaN()],
        seed=settings.seed,
    ).history
    runs.write_history(folder / "history.csv", history)
    if not all(abs(loss) < float("inf") for loss in history["loss"]):
        raise RunFailed(f"the loss became {history['loss'][-1]}; {folder / 'history.csv'} has it")
    seconds = time.perf_counter() - started
    best_epoch = stopper.best_epoch + 1
    runs.write_figure(
        folder / "history.png",
        plots.history(
            history, best_epoch, f"{task.title}: {settings.source}, seed {settings.seed}"
        ),
    )
    saved_models.save(model, folder / saved_models.MODEL)
    result = {
        "seed": settings.seed,
        "best_epoch": best_epoch,
        "epochs_trained": len(history["loss"]),
        "seconds": seconds,
        "seconds_per_epoch": sum(history["seconds"][1:]) / max(len(history["seconds"]) - 1, 1),
        "parameters": model.count_params(),
        "validation": _scores(task, model, split.validation),
        "test": _scores(task, model, split.test),
    }
    runs.write_json(folder / "metrics.json", result)
    report.finished(result, folder)
    return result


def _scores(task, model, images) -> dict:
    return evaluation.scores(evaluation.probabilities(model, images.x), images.y, task.classes)
