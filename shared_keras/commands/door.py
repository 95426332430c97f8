"""The door of a command: what was typed becomes one typed value, and the `Namespace` ends."""

import argparse
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Asked = TypeVar("Asked")


def settings(kind: Callable[..., Asked], args: argparse.Namespace, **resolved: Any) -> Asked:
    """Return the settings of a command.

    Args:
        kind: A dataclass whose fields bear the names of arguments.
        args: What a parser of `flags` read.
        resolved: Fields that are not simply what was typed.
    """
    names = [name for name in inspect.signature(kind).parameters if name not in resolved]
    return kind(**{name: getattr(args, name) for name in names}, **resolved)
