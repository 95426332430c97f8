"""Train a search's winner, one of its trials, or a published recipe."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from shared_keras import devices, files, training
from shared_keras.commands.choices import Choice, choose
from shared_keras.data import datasets, own_data, splits
from shared_keras.errors import BadInput, RunFailed
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.reporting.pictures import plots
from shared_keras.results import folders, saved_models
from shared_keras.results.environment import environment
from shared_keras.results.scores import predict_probabilities, score_images
from shared_keras.results.settings import RunSettings, penalised, write_settings
from shared_keras.systems.recipe import Replay
from shared_keras.systems.spec import System
from shared_keras.task import Task


def run(task: Task, args) -> None:
    """Train, evaluate once on the test images, then write and print the results."""
    if args.torch:
        devices.need_torch("--torch")
        if args.precision != "float32":
            raise BadInput(
                "argument --precision: sets a Keras policy, expected float32 with --torch, "
                f"got {args.precision}"
            )
    task = own_data.task_of(task, args.data_dir)
    choices = choose(task, args)
    images = datasets.load(task, args.data_dir)
    digest = datasets.digest(*images)
    for choice in choices:
        _train(task, args, choice, images, digest)


def _train(task: Task, args, choice: Choice, images, digest: str) -> None:
    """Train one choice with each seed."""
    system = task.system(choice.system)
    split = splits.split(task, *images, choice.split)
    keras.config.set_dtype_policy(args.precision)
    prefix = "twin-" if args.torch else ""
    folder = folders.new_folder(args.results_dir / task.name / "runs", prefix + choice.label)
    say(f"{task.title}: {choice.source}" + ", as PyTorch twin" * args.torch)
    say(run_report.protocol(choice.split, split))
    run_report.other_images("the search used", choice.search, task.title, digest)

    framework = "pytorch" if args.torch else "keras"
    with_penalty = penalised(framework, system.to_json())
    if with_penalty:
        say("the losses of the epochs include the L2 penalty; those in metrics.json do not")
    replay = choice.system if isinstance(choice.system, Replay) else None
    results = []
    for seed in range(args.seed, args.seed + args.runs):
        settings = RunSettings(
            task=task.name,
            source=choice.source,
            framework=framework,
            recipe=choice.recipe,
            space=replay and replay.space,
            hyperparameters=dict(replay.hyperparameters) if replay else {},
            system=system.to_json(),
            epochs=choice.epochs,
            patience=choice.patience,
            batch_size=args.batch_size or system.batch_size or choice.batch_size,
            split=choice.split,
            seed=seed,
            precision=args.precision,
            backend="torch" if args.torch else devices.backend(),
            data=digest,
            title=task.title,
            classes=list(task.classes),
        )
        own = folder if args.runs == 1 else folders.make_folder(folder / f"seed-{seed}")
        say(f"seed {seed}")
        results.append(_run(task, settings, system, split, own))
    run_report.outcome(results, choice.published, with_penalty)
    if choice.searched and choice.search["data"] == digest:
        run_report.beside_search(results, choice.searched)
    if args.runs > 1:
        files.write_json(folder / "summary.json", run_report.summary(results))
        say(f"wrote {folder / 'summary.json'}")


class _Trained(NamedTuple):
    """A trained model; `probabilities` takes raw images, (n, 28, 28)."""

    model: keras.Model
    probabilities: Callable[[np.ndarray], np.ndarray]
    history: dict[str, list[float]]
    best_epoch: int


class _EpochLine(keras.callbacks.Callback):
    """Prints a line after each epoch, and records its duration in seconds."""

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self.started
        run_report.epoch(epoch + 1, self.params["epochs"], logs)


def _run(
    task: Task, settings: RunSettings, system: System, split: splits.Split, folder: Path
) -> dict:
    """Train one model, restore its best epoch if early stopping is on, and evaluate it.

    Args:
        task: The task.
        settings: What determines the run; written to settings.json.
        system: The system.
        split: The images; the test images are read once, at the end.
        folder: Folder for settings, history, curves, model and metrics.

    Returns:
        The contents of metrics.json.

    Raises:
        RunFailed: if the loss becomes NaN or infinite.
    """
    write_settings(folder / "settings.json", settings)
    files.write_json(folder / "environment.json", environment())
    train = {"keras": _train_port, "pytorch": _train_twin}[settings.framework]
    started = time.perf_counter()
    trained = train(settings, system, split, folder)
    seconds = time.perf_counter() - started
    history = trained.history
    files.write_figure(
        folder / "history.png",
        plots.history(
            history,
            trained.best_epoch,
            f"{task.title}: {settings.source}, seed {settings.seed}",
            penalised(settings.framework, settings.system),
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
        "validation": score_images(task, trained.probabilities, split.validation),
        "test": score_images(task, trained.probabilities, split.test),
    }
    files.write_json(folder / "metrics.json", result)
    run_report.finished(result, folder)
    return result


def _train_port(settings, system: System, split: splits.Split, folder: Path) -> _Trained:
    training.seed_layers(settings.seed)
    model = keras_model(system)
    # _EpochLine comes first, because the History callback, which comes last, records its seconds.
    callbacks = [
        _EpochLine(),
        *schedule_callbacks(system),
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
    return _Trained(model, lambda x: predict_probabilities(model, x), history, best)


def _train_twin(settings, system: System, split: splits.Split, folder: Path) -> _Trained:
    import torch

    from shared_keras.pytorch import twin, weights  # need the `torch` extra

    network, history, best = twin.fit(
        system,
        split.train,
        split.validation,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        patience=settings.patience,
        seed=settings.seed,
        after_epoch=lambda epoch, logs: run_report.epoch(epoch + 1, settings.epochs, logs),
    )
    _keep(history, folder)
    with files.replacing(folder / saved_models.CHECKPOINT) as temporary:
        torch.save(network.state_dict(), temporary)
    model = keras_model(system)
    weights.load(model, network.state_dict())
    return _Trained(model, lambda x: twin.probabilities(system, network, x), history, best + 1)


def _keep(history, folder: Path) -> None:
    """Write the history, and fail on a non-finite loss."""
    files.write_history(folder / "history.csv", history)
    if not all(abs(loss) < float("inf") for loss in history["loss"]):
        raise RunFailed(f"the loss became {history['loss'][-1]}; see {folder / 'history.csv'}")
