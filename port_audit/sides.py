"""The two sides of an audit: what the user gives, from Python or in a file."""

import contextlib
import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from shared_keras.errors import BadInput

BATCH = 64  # images per step, where neither side says


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
        clip: Clips the gradients of parameters in place, before each step.
        drop_last: Whether a short last batch is left out.
        evaluate: Takes the model and a list of (inputs, targets), returns the accuracy that
            the original reports.
    """

    model: Callable[[], nn.Module] | nn.Module
    loss: Callable | None = None
    optimizer: Callable | None = None
    scheduler: Callable | None = None
    preprocess: Callable | None = None
    batch_size: int | None = None
    step_scheduler_per: str = "epoch"
    clip: Callable | None = None
    drop_last: bool = False
    evaluate: Callable | None = None

    def __post_init__(self):
        if self.step_scheduler_per not in ("epoch", "batch"):
            raise BadInput(
                f"step_scheduler_per: expected 'epoch' or 'batch', got {self.step_scheduler_per!r}"
            )
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

    def __post_init__(self):
        _check_batch_size(self.batch_size)


def torch_side(given: Any) -> TorchSide:
    """Return what was given as a side: one already, a module, or anything with a `model`.

    Raises:
        BadInput: if it is none of these.
    """
    return _side(given, TorchSide, nn.Module, "torch.nn.Module")


def keras_side(given: Any) -> KerasSide:
    """Return what was given as a side: one already, a model, or anything with a `model`.

    Raises:
        BadInput: if it is none of these.
    """
    return _side(given, KerasSide, keras.Model, "keras.Model")


def make(model: Any, kind: type, name: str) -> Any:
    """Return a model, made if it is given as a function.

    Raises:
        BadInput: if it is not of the kind expected.
    """
    made = model if isinstance(model, kind) or not callable(model) else model()
    if not isinstance(made, kind):
        raise BadInput(f"{name}: expected model() to return a {_full(kind)}, got {_full(made)}")
    return made


def read_file(path: Path) -> SimpleNamespace:
    """Run a Python file of the user and return what it defines.

    Its functions raise `BadInput` with file, line and message if they fail.

    Raises:
        BadInput: if it cannot be read, fails, or defines no `model`.
    """
    if not path.is_file():
        raise BadInput(f"argument --port: expected a Python file, got '{path}'")
    name = f"audited_{path.stem}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.modules[name] = module  # Keras and dataclasses look classes up there
    sys.path.insert(0, folder)  # as if the file were run
    try:
        with blamed(path):
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    finally:
        sys.path.remove(folder)
    if not callable(getattr(module, "model", None)):
        raise BadInput(f"{path}: defines no model(), expected a function that returns the model")
    names = {field.name for side in (TorchSide, KerasSide) for field in fields(side)}
    defined = {name: value for name, value in vars(module).items() if name in names}
    return SimpleNamespace(
        **{
            name: _blaming(value, path) if inspect.isfunction(value) else value
            for name, value in defined.items()
        }
    )


def _blaming(function: Callable, path: Path) -> Callable:
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with blamed(path):
            return function(*args, **kwargs)

    return wrapped


@contextlib.contextmanager
def during(what: str) -> Iterator[None]:
    """Within this context, an exception says during what it was raised."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


@contextlib.contextmanager
def blamed(*paths: Path) -> Iterator[None]:
    """Within this context, an exception from the user's files becomes bad input.

    Raises:
        BadInput: with file, line and message, if a line of these files was being run.
    """
    names = {str(path) for path in paths}
    try:
        yield
    except BadInput:
        raise
    except SyntaxError as error:
        if error.filename not in names:
            raise
        raise BadInput(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in names]
        message = " ".join(str(error).split())[:300]
        if not frames:
            notes = getattr(error, "__notes__", ())
            if not notes:
                raise
            raise BadInput(f"{notes[0]}: {type(error).__name__}: {message}") from error
        last = frames[-1]
        raise BadInput(
            f"{last.filename}, line {last.lineno}: {type(error).__name__}: {message}"
        ) from error


def arrays(x: Any) -> Any:
    """Return data as arrays."""
    if isinstance(x, dict):
        return {name: arrays(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return tuple(arrays(each) for each in x)
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def take(x: Any, rows: slice | np.ndarray) -> Any:
    """Return some samples of an array, or of each of several arrays."""
    if isinstance(x, dict):
        return {name: take(each, rows) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(take(each, rows) for each in x)
    return x[rows]


def count(x: Any) -> int:
    """Return the number of samples."""
    while isinstance(x, dict | list | tuple):
        x = next(iter(x.values())) if isinstance(x, dict) else x[0]
    return len(x)


def tensors(x: Any) -> Any:
    """Return arrays as tensors: bytes and floats as float32, whole numbers as int64."""
    if isinstance(x, dict):
        return {name: tensors(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(tensors(each) for each in x)
    if isinstance(x, torch.Tensor):
        return x.detach().cpu()
    x = np.asarray(x)
    whole = np.issubdtype(x.dtype, np.integer) and x.dtype != np.uint8
    return torch.tensor(x, dtype=torch.int64 if whole else torch.float32)


def labels(y: Any, outputs: Any) -> Any:
    """Return targets as PyTorch's losses take them: classes as int64, others as float32."""
    if isinstance(y, dict | list | tuple):
        parts = y.items() if isinstance(y, dict) else enumerate(y)
        made = {key: labels(each, None) for key, each in parts}
        return made if isinstance(y, dict) else type(y)(made.values())
    y = np.asarray(y)
    whole = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
    if whole and isinstance(outputs, torch.Tensor) and outputs.shape[-1] == 1 == outputs.ndim - 1:
        y, whole = y.reshape(outputs.shape), False  # of one output, yes or no
    elif not whole and isinstance(outputs, torch.Tensor) and y.size == outputs.numel():
        y = y.reshape(outputs.shape)
    return torch.tensor(y, dtype=torch.int64 if whole else torch.float32)


def call(module: nn.Module, inputs: Any) -> Any:
    """Call a module on one input, or on several."""
    if isinstance(inputs, dict):
        return module(**inputs)
    if isinstance(inputs, list | tuple):
        return module(*inputs)
    return module(inputs)


def _side(given: Any, side: type, model: type, expected: str) -> Any:
    if isinstance(given, side):
        return given
    if isinstance(given, model):
        return side(given)
    names = {field.name for field in fields(side)}
    options = {name: getattr(given, name) for name in names if hasattr(given, name)}
    if "model" not in options:
        raise BadInput(
            f"{side.__name__}: expected a {expected}, or something with a 'model', "
            f"got {_full(given)}"
        )
    return side(**options)


def _check_batch_size(value: Any) -> None:
    if value is not None and (not isinstance(value, int) or value < 2):
        raise BadInput(f"batch_size: expected a whole number of at least 2, got {value!r}")


def _full(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
