"""The door of a command: what was typed becomes one typed value, and the `Namespace` ends."""

import argparse
from dataclasses import fields
from typing import TypeVar

Settings = TypeVar("Settings")


def settings(kind: type[Settings], args: argparse.Namespace, **resolved) -> Settings:
    """Return the settings of a command.

    Args:
        kind: A dataclass whose fields bear the names of arguments.
        args: What a parser of `flags` read.
        resolved: Fields that are not simply what was typed.
    """
    names = [field.name for field in fields(kind) if field.name not in resolved]
    return kind(**{name: getattr(args, name) for name in names}, **resolved)
