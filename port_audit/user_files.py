"""Python files of the user: run, and blamed for what goes wrong in them."""

import contextlib
import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from port_audit.errors import UnusableInput
from port_audit.sides import KerasSide, TorchSide


def read_file(path: Path) -> SimpleNamespace:
    """Run a Python file of the user and return what it defines.

    Its functions raise `UnusableInput` with file, line and message if they fail.

    Raises:
        UnusableInput: if it cannot be read, fails, or defines no `model`.
    """
    if not path.is_file():
        raise UnusableInput(f"expected a Python file, got '{path}'")
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
        raise UnusableInput(
            f"{path}: defines no model(), expected a function that returns the model"
        )
    names = {field.name for side in (TorchSide, KerasSide) for field in fields(side)} | {"data"}
    defined = {name: value for name, value in vars(module).items() if name in names}
    return SimpleNamespace(
        **{
            name: _blaming(value, path) if inspect.isfunction(value) else value
            for name, value in defined.items()
        }
    )


def _blaming(function: Callable, path: Path) -> Callable:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
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
        UnusableInput: with file, line and message, if a line of these files was being run.
    """
    names = {str(path) for path in paths}
    try:
        yield
    except UnusableInput:
        raise
    except SyntaxError as error:
        if error.filename not in names:
            raise
        raise UnusableInput(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in names]
        message = " ".join(str(error).split())[:300]
        if not frames:
            notes = getattr(error, "__notes__", ())
            if not notes:
                raise
            raise UnusableInput(f"{notes[0]}: {type(error).__name__}: {message}") from error
        last = frames[-1]
        raise UnusableInput(
            f"{last.filename}, line {last.lineno}: {type(error).__name__}: {message}"
        ) from error
