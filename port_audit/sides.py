"""The two sides of an audit: a model, and how it is trained."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import keras
import torch
from torch import nn

from port_audit.errors import UnusableInput

BATCH = 32  # samples per step where nobody says: Keras's default
MONITORS = ("val_loss", "loss", "val_accuracy", "accuracy")


@dataclass(frozen=True)
class TorchSide:
    """A PyTorch model and how it is trained. Only the model is needed.

    Attributes:
        model: A module, or a function without arguments that makes one, anew each time.
        loss: Takes outputs and targets.
        optimizer: Takes parameters, returns an optimizer.
        scheduler: Takes the optimizer, returns a scheduler.
        preprocess: Takes a batch of inputs as arrays, returns what the model takes.
        batch_size: Samples per step.
        step_scheduler_per: "epoch" or "batch".
        monitor: What a plateau scheduler is given, by Keras's name, such as "val_loss".
        clip: Clips the gradients of parameters in place, before each step.
        drop_last: Whether a short last batch is left out.
        evaluate: Takes the model and a list of (inputs, targets), returns the accuracy that
            the original reports.
        train_step: The original's own step, if it is not the usual one: takes the model, a batch
            (inputs, targets) and the optimizer, and does all that belongs to a step.
        train_epoch: Its own epoch: takes the model, a list of batches and the optimizer.
    """

    model: Callable[[], nn.Module] | nn.Module
    loss: Callable | None = None
    optimizer: Callable | None = None
    scheduler: Callable | None = None
    preprocess: Callable | None = None
    batch_size: int | None = None
    step_scheduler_per: str = "epoch"
    monitor: str | None = None
    clip: Callable | None = None
    drop_last: bool = False
    evaluate: Callable | None = None
    train_step: Callable | None = None
    train_epoch: Callable | None = None

    def __post_init__(self) -> None:
        if self.step_scheduler_per not in ("epoch", "batch"):
            raise UnusableInput(
                f"step_scheduler_per: expected 'epoch' or 'batch', got {self.step_scheduler_per!r}"
            )
        if self.monitor not in (None, *MONITORS):
            raise UnusableInput(f"monitor: expected one of {MONITORS}, got {self.monitor!r}")
        _check_batch_size(self.batch_size)


@dataclass(frozen=True)
class KerasSide:
    """A Keras model, compiled if training is to be compared. Only the model is needed.

    Attributes:
        model: A model, or a function without arguments that makes one, anew each time.
        preprocess: Takes a batch of inputs as arrays, returns what the model takes.
        batch_size: Samples per step.
        callbacks: Returns the callbacks that `fit` gets.
        class_weight: What `fit` gets as `class_weight`.
    """

    model: Callable[[], keras.Model] | keras.Model
    preprocess: Callable | None = None
    batch_size: int | None = None
    callbacks: Callable | None = None
    class_weight: dict | None = None

    def __post_init__(self) -> None:
        _check_batch_size(self.batch_size)


def torch_side(given: Any) -> TorchSide:
    """Return what was given as a side: one already, a module, or anything with a `model`.

    Raises:
        UnusableInput: if it is none of these.
    """
    return _side(given, TorchSide, nn.Module, "torch.nn.Module")


def keras_side(given: Any) -> KerasSide:
    """Return what was given as a side: one already, a model, or anything with a `model`.

    Raises:
        UnusableInput: if it is none of these.
    """
    return _side(given, KerasSide, keras.Model, "keras.Model")


def make(model: Any, kind: type, name: str) -> Any:
    """Return a model, made if it is given as a function.

    Raises:
        UnusableInput: if it is not of the kind expected.
    """
    made = model if isinstance(model, kind) or not callable(model) else model()
    if isinstance(made, torch.jit.ScriptModule):
        raise UnusableInput(
            f"{name}: expected a module whose layers can be watched, got a scripted or traced one; "
            "return the module that it was made of"
        )
    if not isinstance(made, kind):
        raise UnusableInput(
            f"{name}: expected model() to return a {_full(kind)}, got {_full(made)}"
        )
    return made


def _side(given: Any, side: type, model: type, expected: str) -> Any:
    if isinstance(given, side):
        return given
    if isinstance(given, model):
        return side(given)
    names = {field.name for field in fields(side)}
    options = {name: getattr(given, name) for name in names if hasattr(given, name)}
    if "model" not in options:
        raise UnusableInput(
            f"{side.__name__}: expected a {expected}, or something with a 'model', "
            f"got {_full(given)}"
        )
    return side(**options)


def _check_batch_size(value: Any) -> None:
    if value is not None and (not isinstance(value, int) or value < 2):
        raise UnusableInput(f"batch_size: expected a whole number of at least 2, got {value!r}")


def _full(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
