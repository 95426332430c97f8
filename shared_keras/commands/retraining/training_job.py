"""One run of `retrain`, in this process or in a worker: train, evaluate, leave a folder."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from shared_keras import files, keras_settings, training
from shared_keras.commands.retraining import kept
from shared_keras.commands.retraining.kept import Paused
from shared_keras.data import splits
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput, RunFailed, sentence
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.models.metrics import precisions
from shared_keras.results import environment, history_csv, names, predictions, saved_models
from shared_keras.results.environment import Origin
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.scores import predict_probabilities, score, score_images
from shared_keras.results.settings import RunSettings, penalised
from shared_keras.systems.spec import System
from shared_keras.task import Task
from shared_keras.training import current_epoch

AfterEpoch = Callable[[int, Mapping[str, float]], None]  # the epoch, from zero, and its logs


@dataclass(frozen=True)
class SharedByRuns:
    """What all runs have in common.

    Attributes:
        task: The task.
        train: All training images.
        test: All test images.
        origin: Who asked for the runs.
        keras_settings: Global Keras settings, such as the dtype policy.
    """

    task: Task
    train: Images
    test: Images
    origin: Origin
    keras_settings: dict = field(default_factory=keras_settings.read)


@dataclass(frozen=True, eq=False)
class RunJob:
    """A run.

    Attributes:
        settings: What determines it.
        system: The system.
        folder: Where it leaves environment, history, curves, model and metrics; absolute.
        pause_after: Seconds after which it pauses, so that a worker that does not see our files
            brings back what it has; or None.
    """

    settings: RunSettings
    system: System
    folder: Path
    pause_after: float | None = None

    def needs(self) -> list[Path]:
        """Return the files that it reads: what it left when it was interrupted."""
        began = self.folder / names.ENVIRONMENT
        return [*kept.needed(self.folder), *[began] * began.exists()]

    def moved(self, root: Path) -> "RunJob":
        """Return the same job with its folder below another root."""
        folder = root / self.folder.relative_to(self.folder.anchor)
        folder.mkdir(parents=True, exist_ok=True)
        return replace(self, folder=folder)


@dataclass(frozen=True)
class Failed:
    """Why a run in a worker failed."""

    reason: str


def work(shared: SharedByRuns, job: RunJob) -> RunMetrics | Failed | Paused:
    """Do in a worker what `run` does, without a word; a file tells which epoch has ended."""
    keras_settings.apply(shared.keras_settings | {"interactive_logging": False})
    try:
        return run(shared, job, lambda epoch, _: current_epoch.tell(job.folder, epoch + 1))
    except Paused as pause:
        return pause
    except (BadInput, RunFailed) as error:
        return Failed(str(error))
    except Exception as error:  # another run may succeed
        return Failed(sentence(error))
    finally:
        current_epoch.forget(job.folder)


def run(shared: SharedByRuns, job: RunJob, after_epoch: AfterEpoch) -> RunMetrics:
    """Train a model, restore its best epoch if early stopping is on, and evaluate it.

    A training that was interrupted is resumed. The test images are read once, at the end.

    Args:
        shared: What all runs have in common.
        job: The run.
        after_epoch: Called after each epoch.

    Raises:
        RunFailed: if the loss becomes NaN or infinite.
        BadInput: if what was kept of an interrupted training cannot be read.
        Paused: if it is to pause.
    """
    task, settings, folder = shared.task, job.settings, job.folder
    split = splits.split(task, shared.train, shared.test, settings.split)
    if kept.needed(folder):
        environment.go_on(folder)
    else:
        environment.environment(shared.origin).write(folder)
    train = {"keras": _train_port, "pytorch": _train_twin}[settings.framework]
    started = time.perf_counter()
    trained = train(job, split, after_epoch)
    seconds = trained.seconds_before + time.perf_counter() - started
    from shared_keras.reporting.pictures import plots  # Matplotlib; no training waits for it

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
    probabilities = trained.probabilities(split.test.x)
    predictions.write(folder, predictions.of(probabilities))
    result = RunMetrics(
        seed=settings.seed,
        best_epoch=trained.best_epoch,
        epochs_trained=len(history["loss"]),
        restored_by=None if settings.patience is None else settings.monitor,
        stopped_early_by=settings.monitor if trained.stopped_early else None,
        seconds=seconds,
        seconds_per_epoch=statistics.median(history["seconds"]),
        parameters=trained.model.count_params(),
        validation=score_images(task, trained.probabilities, split.validation),
        test=score(probabilities, split.test.y, task.classes),
    )
    result.write(folder)
    return result


def epochs_allowed(epochs: int) -> int:
    """Return for how many epochs `keras.config.max_epochs` lets a model train."""
    return min(epochs, keras.config.max_epochs() or epochs)


class _Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: The model.
        probabilities: Takes raw images, (n, 28, 28).
        history: Its history.
        best_epoch: The epoch whose weights it has, from 1.
        stopped_early: Whether early stopping ended its training.
        seconds_before: What its training took until it was interrupted.
    """

    model: keras.Model
    probabilities: Callable[[np.ndarray], np.ndarray]
    history: dict[str, list[float]]
    best_epoch: int
    stopped_early: bool
    seconds_before: float


class _Epochs(keras.callbacks.Callback):
    """Records the seconds of each epoch, and calls a function after it."""

    def __init__(self, after_epoch: AfterEpoch):
        super().__init__()
        self.after_epoch = after_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seconds"] = time.perf_counter() - self.started
        self.after_epoch(epoch, logs)


def _train_port(job: RunJob, split: splits.Split, after_epoch: AfterEpoch) -> _Trained:
    settings = job.settings
    training.seed_layers(settings.seed)
    watched = precisions(len(settings.classes)) if "precision" in settings.monitor else ["accuracy"]
    model = keras_model(job.system, watched)
    # _Epochs comes first, because what comes last records its seconds.
    callbacks = [
        _Epochs(after_epoch),
        *schedule_callbacks(job.system),
        keras.callbacks.TerminateOnNaN(),
    ]
    stopper = None
    if settings.patience is not None:
        stopper = keras.callbacks.EarlyStopping(
            settings.monitor, mode="max", patience=settings.patience, restore_best_weights=True
        )
        callbacks.append(stopper)
    keeper = kept.OfPort(job.folder, stopper, job.pause_after)
    keeper.take_up(model)
    if not keeper.over:
        training.fit(
            model,
            split.train.x,
            split.train.y,
            validation_data=(split.validation.x, split.validation.y),
            batch_size=settings.batch_size,
            epochs=epochs_allowed(settings.epochs),
            initial_epoch=keeper.epochs,
            callbacks=[*callbacks, keeper],
            seed=settings.seed,
        )
    history = keeper.history
    _keep(history, job.folder)
    best = keeper.epochs if stopper is None else stopper.best_epoch + 1
    # What stops in the last epoch does not stop early.
    stopped_early = stopper is not None and 0 < stopper.stopped_epoch < settings.epochs - 1
    return _Trained(
        model,
        lambda x: predict_probabilities(model, x),
        history,
        best,
        stopped_early,
        keeper.seconds_before,
    )


def _train_twin(job: RunJob, split: splits.Split, after_epoch: AfterEpoch) -> _Trained:
    import torch

    from shared_keras.pytorch import twin, weights  # need the `torch` extra

    settings = job.settings
    keeper = kept.OfTwin(job.folder, job.pause_after)
    keeper.take_up()
    network, history, best = twin.fit(
        job.system,
        split.train,
        split.validation,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        patience=settings.patience,
        seed=settings.seed,
        after_epoch=after_epoch,
        resumed=keeper.state,
        keep=keeper.after_epoch,
    )
    _keep(history, job.folder)
    with files.replacing(job.folder / saved_models.CHECKPOINT) as temporary:
        torch.save(network.state_dict(), temporary)
    model = keras_model(job.system)
    weights.load(model, network.state_dict())
    return _Trained(
        model,
        lambda x: twin.probabilities(job.system, network, x),
        history,
        best + 1,
        len(history["loss"]) < settings.epochs,  # nothing else ends its loop
        keeper.seconds_before,
    )


def _keep(history: Mapping[str, list[float]], folder: Path) -> None:
    """Write the history, and fail on a non-finite loss."""
    history_csv.write(folder / names.HISTORY, history)
    for epoch, loss in enumerate(history["loss"], 1):
        if not math.isfinite(loss):
            raise RunFailed(f"the loss became {loss} in epoch {epoch}")
