"""Read files, and write them atomically: after a crash, a file is whole or as it was before."""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared_keras.errors import BadInput


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, which then replaces `path`, or not on an error."""
    temporary = path.with_name(f".{os.getpid()}.tmp-{path.name}")  # keeps the suffix
    try:
        yield temporary
        with open(temporary, "rb+") as file:  # Windows syncs only what can be written
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:  # else the message is all that there is
            error.filename = path  # a full disk names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def shown(name: str) -> str:
    """Return a file's name for texts and pictures.

    Where the locale knows ASCII only, Python has surrogates in place of other letters.
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def on_disk(name: str) -> str:
    """Return a name as Python must have it here to name a file: the inverse of `shown`."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def current_folder() -> Path:
    """Return the current folder; if it was deleted, by the name that the shell had for it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(os.environ.get("PWD", os.sep))


def sweep(folder: Path) -> None:
    """Delete the temporary files of processes that were killed while writing."""
    for leftover in folder.rglob(".*.tmp-*"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; leave it alone if it already holds this data."""
    if path.exists() and path.read_bytes() == data:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path):
    """Read a JSON file.

    Raises:
        BadInput: naming the file, if it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as JSON ({error})") from None


def read_object(path: Path, *keys: str) -> dict:
    """Read a JSON file that holds an object with at least these keys.

    Raises:
        BadInput: naming the file, if it is something else.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected a JSON object, got {json.dumps(values)[:80]}")
    if missing := [key for key in keys if key not in values]:
        raise BadInput(f"{path}: {', '.join(missing)} is missing")
    return values


def write_csv(path: Path, rows: Sequence[Mapping]) -> None:
    """Write rows as CSV, atomically; values that a row lacks stay empty."""
    import pandas as pd

    table = pd.DataFrame(rows).convert_dtypes()  # integers stay integers beside missing values
    write_bytes(path, table.to_csv(index=False).encode())


@contextlib.contextmanager
def missing_signs() -> Iterator[None]:
    """Keep Matplotlib from warning of each sign that its font lacks; it draws a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def write_figure(path: Path, figure) -> None:
    """Write a matplotlib figure as PNG, atomically."""
    write_bytes(path, png(figure))


def png(figure) -> bytes:
    """Return a matplotlib figure as PNG.

    Texts are shown literally: two "$" in the name of a file or a class do not make a formula.
    A sign that the font lacks, such as an emoji, is drawn as a box.
    """
    for text in figure.findobj(lambda part: hasattr(part, "set_parse_math")):
        text.set_parse_math(False)
    picture = io.BytesIO()
    with missing_signs():
        figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
