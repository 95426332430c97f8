"""A digest of what a function does: equal for the same code in another run, cell or process."""

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
)
# Other versions of Python compile the same function to other code.
VERSION = f"{sys.implementation.cache_tag}{sys.flags.optimize or ''}"


def of(function: Callable) -> str:
    """Return a function's name and, if it is written in Python, a digest of its code.

    Where it stands, its comments and its documentation do not count; nor do the values
    that it takes from outside, since these may be counters or paths with a date.
    """
    function = inspect.unwrap(function)  # such as a decorated one
    function = getattr(function, "__func__", function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if not hasattr(function, "__code__") and callable(function):  # an object that can be called
        function = type(function).__call__
    if (code := getattr(function, "__code__", None)) is None:
        return name
    digest = hashlib.sha256(_text(code, function.__doc__).encode()).hexdigest()
    return f"{name} {VERSION}:{digest}"


def alike(earlier: str, now: str) -> bool:
    """Return whether two results of `of` may be those of the same function.

    The code of different versions of Python cannot be compared.
    """
    if earlier == now:
        return True
    (name, _, code), (other, _, other_code) = earlier.rpartition(" "), now.rpartition(" ")
    versions = {each.partition(":")[0] for each in (code, other_code) if ":" in each}
    return bool(name) and name == other and len(versions) == 2


def _text(part: Any, left_out: str | None = None) -> str:
    """Return code or a constant as text, without addresses and in a fixed order."""
    if isinstance(part, types.CodeType):
        constants = [_text(c) for c in part.co_consts if left_out is None or c != left_out]
        return repr((part.co_code, part.co_names, constants))
    if isinstance(part, tuple):
        return repr([_text(each) for each in part])
    if isinstance(part, frozenset):
        return repr(sorted(_text(each) for each in part))
    return repr(part)
