"""What a run or a search ran on: versions, backend, device, processor, commit."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from shared_keras import devices
from shared_keras.results import names
from shared_keras.results.formats import Format

PACKAGES = ("keras", "jax", "tensorflow", "torch", "keras-tuner", "numpy", "scikit-learn")

DECIDES = ("versions", "processor")  # how numbers are rounded


@dataclass(frozen=True, kw_only=True)
class Environment(Format):
    """What a search, a run or an evaluation ran on.

    Attributes:
        command: What was typed.
        versions: Those of Python and of the packages that decide.
        backend: Keras's.
        device: For people.
        processor: Its kind, or None if it is not known.
        commit: That of the checkout, or None outside of one.
        resumed_on: What else it was resumed on: `versions` and `processor` of each.
    """

    FILE: ClassVar = names.ENVIRONMENT
    SINCE: ClassVar = {"processor": None}

    command: str
    versions: dict[str, str]
    backend: str
    device: str
    processor: str | None
    commit: str | None
    resumed_on: list[dict[str, Any]] | None = None

    def parts(self) -> list[dict[str, Any]]:
        """Return each of the things that it ran on, the first one first."""
        return [{key: getattr(self, key) for key in DECIDES}, *(self.resumed_on or ())]


class Origin(NamedTuple):
    """Who asked for a run: the command that was typed, and the commit of its checkout."""

    command: str
    commit: str | None


def origin() -> Origin:
    """Return the command and the commit of this process."""
    words = sys.orig_argv[1:]
    script = bool(words) and not words[0].startswith("-") and not words[0].endswith(".py")
    typed = [Path(words[0]).name, *words[1:]] if script else ["python", *words]
    return Origin(shlex.join(typed), commit())


def environment(asked: Origin | None = None) -> Environment:
    """Describe what this process runs on.

    Args:
        asked: Who asked for it, if not this process itself.
    """
    asked = asked or origin()
    return Environment(
        command=asked.command,
        versions={"python": platform.python_version()} | devices.versions(PACKAGES),
        backend=devices.backend(),
        device=devices.describe(),
        processor=devices.processor_kind(),
        commit=asked.commit,
    )


def go_on(folder: Path) -> None:
    """Record on what a run that was interrupted goes on, if it began on something else."""
    began = Environment.find(folder)
    if began is None:
        return
    parts, (now,) = began.parts(), environment().parts()
    if all(any(_differences(part, now)) for part in parts):
        replace(began, resumed_on=[*parts[1:], now]).write(folder)


def mixed(folder: Path) -> str | None:
    """Return a sentence that says so if parts of a run ran on different things, or None."""
    parts = ran.parts() if (ran := Environment.find(folder)) else []
    found = [each for part in parts[1:] for each in _differences(parts[0], part)]
    if not found:
        return None
    return (
        f"This run began on something else ({'; '.join(found)}), so its other epochs are rounded "
        "differently: scores may differ as they do between seeds."
    )


def _differences(began: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs; version 0.5 of this package did not record the processor."""
    kinds = began["processor"], now["processor"]
    if None not in kinds and kinds[0] != kinds[1]:
        yield f"{kinds[0]}, then {kinds[1]}"
    versions = began["versions"], now["versions"]
    for name in versions[0] | versions[1]:
        old, new = (of.get(name, "none") for of in versions)
        if old != new:
            yield f"{name} {old}, then {new}"


def commit() -> str | None:
    """Return the commit of this checkout, marked if it was changed, or None outside of one."""
    root = Path(__file__).parents[2]
    where = [f"--git-dir={root / '.git'}", f"--work-tree={root}"]  # never a user's own repository
    try:
        return subprocess.run(
            ["git", *where, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
