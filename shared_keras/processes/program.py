"""What the program itself defines, in a script or a notebook: no other process can import it."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import cloudpickle

IN_CHILDREN = "__mp_main__"  # the program's module in a child of `multiprocessing`
_NAMES = ("__main__", IN_CHILDREN)


def defines(value: Any) -> bool:
    """Return whether the program itself defines a function or a class."""
    return getattr(value, "__module__", None) in _NAMES


def home(value: Any) -> str:
    """Return the module of a function or a class, which is the same in a child."""
    return _NAMES[0] if defines(value) else value.__module__


def pickled(value: Any) -> bytes:
    """Return a value pickled for another process, with all that the program itself defines."""
    with _by_value():
        data: bytes = cloudpickle.dumps(value)
    return data


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Have cloudpickle take a child's program for one meanwhile; it only knows `__main__`."""
    module = sys.modules.get(IN_CHILDREN)
    if module is None or module.__name__ != IN_CHILDREN:  # elsewhere, another name of `__main__`
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)
