"""Values that a file holds as JSON, each with one reader, one writer, and the version of its form.

Only the tables, which end in `.csv`, have no version: the first line names their columns.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from shared_keras import files
from shared_keras.errors import BadInput

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made", bound="DataclassInstance")
VERSION = 1
WORDS = {str: "a text", int: "a whole number", float: "a number", list: "a list", NoneType: "null"}


@dataclass(frozen=True)
class Format:
    """A value that has a file in the folder of a search or a run.

    A subclass is a dataclass. Its file holds the version, then each field, but none that has its
    default. A file without a version was written by version 0.5 of this package.

    Attributes:
        FILE: The name of the file.
        SINCE: Values of the fields that version 0.5 did not write.
    """

    FILE: ClassVar[str]
    SINCE: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Return whether a folder has the file."""
        return (folder / cls.FILE).exists()

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """Read the file of a folder, or return None if it has none. See `read`."""
        return cls.read(folder) if cls.is_in(folder) else None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the file of a folder.

        Raises:
            BadInput: naming the file, if it is missing, of an unknown version, or damaged.
        """
        path = folder / cls.FILE
        values = files.read_object(path)
        if "version" not in values:
            return _made(cls, dict(cls.SINCE) | values, f"{path}:")
        version = json.dumps(values.pop("version"))
        if version != str(VERSION):
            raise BadInput(
                f"{path}: expected version {VERSION} of this file, or none, got {version}; a later "
                "version of this package reads it"
            )
        return _made(cls, values, f"{path}:")

    def write(self, folder: Path) -> None:
        """Write the file, atomically; leave one alone that holds this value, whatever its version.

        Raises:
            BadInput: if there is one that `read` refuses.
        """
        if self.find(folder) != self:
            files.write_json(folder / self.FILE, {"version": VERSION} | self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the fields that the file holds, without the version."""
        values = asdict(self)
        return {
            field.name: values[field.name]
            for field in fields(self)
            if values[field.name] != field.default
        }


def _made(kind: type[Made], values: Mapping[str, Any], where: str) -> Made:
    """Return a dataclass of values from JSON."""
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    kinds = get_type_hints(kind)
    if missing := [name for name in needed if name not in values]:
        verb = "is" if len(missing) == 1 else "are"
        names = ", ".join(missing)
        raise BadInput(f"{where} {names} {verb} missing, which every version since 0.5 writes")
    if unknown := [name for name in values if name not in {field.name for field in fields(kind)}]:
        raise BadInput(f"{where} expected {', '.join(needed)}, got also {', '.join(unknown)}")
    return kind(**{name: _value(kinds[name], v, f"{where} {name}:") for name, v in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return the value of a field from JSON; `kind` is how the field is annotated."""
    kinds = [
        get_origin(each) or each
        for each in (get_args(kind) if isinstance(kind, UnionType) else (kind,))
    ]
    for each in kinds:
        if isinstance(each, type) and is_dataclass(each) and isinstance(value, dict):
            return _made(each, value, where)
    allowed = (*kinds, int) if float in kinds else tuple(kinds)
    if isinstance(value, allowed) and not isinstance(value, bool):
        return value
    expected = " or ".join(WORDS.get(each, "an object") for each in kinds)
    raise BadInput(f"{where} expected {expected}, got {json.dumps(value)[:80]}")
