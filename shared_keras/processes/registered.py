"""Custom objects that are registered with Keras, as they travel to workers.

Importing a module registers what it holds. What the program itself registers, in a script or a
notebook, no import brings.
"""

import contextlib
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from shared_keras.errors import one_line
from shared_keras.processes import program

_brought: set[str] = set()  # in a worker: the names that its present search brought


class Registered(NamedTuple):
    """Custom objects by name.

    Attributes:
        own: Those of the program itself. Pickled together with what uses them, they stay the same
            objects.
        imported: Those of modules, each pickled on its own, since a worker may lack a module.
        notes: Sentences about those that cannot be sent.
    """

    own: Mapping[str, Any]
    imported: Mapping[str, bytes]
    notes: list[str]


def read() -> Registered:
    """Return what is registered here, what a `custom_object_scope` offers included."""
    with keras.saving.custom_object_scope({}) as scope:
        found = keras.saving.get_custom_objects() | scope.backup
    own: dict[str, Any] = {}
    imported: dict[str, bytes] = {}
    notes: list[str] = []
    for name, value in found.items():
        try:
            data = program.pickled(value)
        except Exception as error:
            notes.append(
                f"Workers do not know {name!r}, which is registered with Keras but cannot be sent "
                f"to them: {one_line(error).removesuffix('.')}."
            )
            continue
        if program.defines(value):
            own[name] = value
        else:
            imported[name] = data
    return Registered(own, imported, notes)


def enter(own: Mapping[str, Any], imported: Mapping[str, bytes]) -> None:
    """Register in this process what `read` found in another, in place of what it found before."""
    here = keras.saving.get_custom_objects()
    found = dict(own)
    for name, data in imported.items():
        with contextlib.suppress(Exception):  # if it is needed, Keras says that it is missing
            found[name] = pickle.loads(data)
    for name in _brought - found.keys():
        here.pop(name, None)
    _brought.intersection_update(found)
    for name, value in found.items():
        if here.get(name) is not value:
            _register(name, value)
            _brought.add(name)


def _register(name: str, value: Any) -> None:
    """Register an object; if Keras made its name, so that Keras finds the name, too."""
    keras.saving.get_custom_objects()[name] = value
    package, made_by_keras, short = name.partition(">")
    if made_by_keras:
        with contextlib.suppress(TypeError, ValueError):  # a name that somebody made to look so
            keras.saving.register_keras_serializable(package, short)(value)
