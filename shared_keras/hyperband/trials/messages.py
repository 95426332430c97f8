"""What goes to a worker for a search and for each trial, and what comes back."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from shared_keras import files, keras_settings
from shared_keras.hyperband.decisions import drawn
from shared_keras.hyperband.trials import compiling, saved


@dataclass(frozen=True)
class Search:
    """What all trials of a search have in common.

    Attributes:
        hypermodel: `keras_tuner.HyperModel`.
        objective: `keras_tuner.Objective`.
        args: Positional arguments of the training, such as `x` and `y`.
        options: Its keyword arguments.
        parts: What the models are compiled with instead of their own.
        max_model_size: Largest number of trainable scalars, or None.
        executions: How many times a trial is trained, on each fold if there are folds.
        folds: Number of folds for cross-validation, or None.
        seed: The search's seed, which determines the folds.
        draws: Whether hyperparameters that a training declares are drawn, or keep their default.
        quiet: Whether a hypermodel's own `fit` is to print no progress bars.
        tuner_callbacks: Callbacks that the tuner itself adds.
        scope: Returns the context in which models are built.
        keras_settings: The user's global Keras settings, such as a dtype policy.
        here: The current folder of the process that searches.
        warm: In a worker, the models that others may resume, by the file of their state.
    """

    hypermodel: keras_tuner.HyperModel
    objective: keras_tuner.Objective
    args: Sequence
    options: Mapping[str, Any]
    parts: compiling.Replacements = compiling.NONE
    max_model_size: int | None = None
    executions: int = 1
    folds: int | None = None
    seed: int = 0
    draws: bool = True
    quiet: bool = False
    tuner_callbacks: Sequence[keras.callbacks.Callback] = ()
    scope: Callable[[], AbstractContextManager] = nullcontext
    keras_settings: Mapping = field(default_factory=keras_settings.read)
    here: Path = field(default_factory=files.current_folder)
    warm: OrderedDict[Path, keras.Model] = field(default_factory=OrderedDict)


@dataclass(frozen=True, eq=False)
class TrialJob:
    """A trial to train.

    Attributes:
        hyperparameters: `HyperParameters.get_config()`.
        folder: Folder of the trial.
        parent: Folder of the trial that it resumes, if any.
        initial_epoch: Epoch at which it starts.
        epochs: Epoch at which it stops.
        seed: Determines initial values, dropout and the order of the samples.
        resumable: Whether another trial may resume it.
        draw_seed: Determines the hyperparameters that are declared late; `seed` by default.
    """

    hyperparameters: Mapping
    folder: Path
    parent: Path | None
    initial_epoch: int
    epochs: int
    seed: int
    resumable: bool
    draw_seed: int | None = None

    def drawn(self, search: Search) -> drawn.DrawnHyperParameters:
        """Return its hyperparameters, of which those that are declared late will be drawn."""
        seed = self.seed if self.draw_seed is None else self.draw_seed
        return drawn.of(self.hyperparameters, seed, search.draws, self.parent is not None)

    def needs(self) -> list[Path]:
        """Return the files that it reads, on a worker that does not have its parent in memory."""
        return saved.resumed_from(self.parent) if self.parent else []

    def moved(self, root: Path) -> "TrialJob":
        """Return the same job with its folders below another root."""
        parent = self.parent and root / self.parent.relative_to(self.parent.anchor)
        folder = root / self.folder.relative_to(self.folder.anchor)
        folder.mkdir(parents=True, exist_ok=True)
        return replace(self, folder=folder, parent=parent)


@dataclass(frozen=True)
class Result:
    """The result of a job.

    Attributes:
        history: Values per epoch of the first execution, "seconds" among them, up to the
            failure, if any.
        seconds: Training time of all executions.
        hyperparameters: Those of the job that the training asked for, and those that it declared.
        metrics: Those of the best epoch, averaged over executions; None after a failure.
        best: Index of the best epoch, averaged over executions.
        failure: A traceback whose last line is the reason, or None.
        retry: Whether the failure may be due to chance.
        rejected: Whether the hypermodel rejected the hyperparameters.
        note: A sentence about how it trained, if not as usual.
    """

    history: dict[str, list[float]]
    seconds: float
    hyperparameters: dict
    metrics: dict[str, float] | None = None
    best: int = 0
    failure: str | None = None
    retry: bool = True
    rejected: bool = False
    note: str | None = None
