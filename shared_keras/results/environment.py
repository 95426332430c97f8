"""What a run or a search ran on: versions, backend, device, processor, commit."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from shared_keras import devices, files

PACKAGES = ("keras", "jax", "tensorflow", "torch", "keras-tuner", "numpy", "scikit-learn")

ENVIRONMENT, RESUMED = "environment.json", "resumed_on"
DECIDES = ("versions", "processor")  # how numbers are rounded


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


def environment(asked: Origin | None = None) -> dict:
    """Describe what this process runs on: versions, backend, processor; and who asked for it.

    Args:
        asked: Who asked for it, if not this process itself.
    """
    asked = asked or origin()
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": asked.command,
        "versions": versions,
        "backend": devices.backend(),
        "device": devices.describe(),
        "processor": devices.processor_kind(),
        "commit": asked.commit,
    }


def go_on(folder: Path) -> None:
    """Record on what a run that was interrupted goes on, if it began on something else."""
    path = folder / ENVIRONMENT
    if not path.exists():
        return
    began, now = files.read_object(path), environment()
    others, part = began.get(RESUMED, []), {key: now[key] for key in DECIDES}
    if all(any(_differences(each, part)) for each in (began, *others)):
        files.write_json(path, began | {RESUMED: [*others, part]})


def mixed(folder: Path) -> str | None:
    """Return a sentence that says so if parts of a run ran on different things, or None."""
    path = folder / ENVIRONMENT
    began = files.read_object(path) if path.exists() else {}
    found = [each for part in began.get(RESUMED, []) for each in _differences(began, part)]
    if not found:
        return None
    return (
        f"This run began on something else ({'; '.join(found)}), so its other epochs are rounded "
        "differently: scores may differ as they do between seeds."
    )


def _differences(began: Mapping, now: Mapping) -> Iterator[str]:
    """Yield what differs; earlier versions of this package did not record the processor."""
    kinds = began.get("processor"), now["processor"]
    if None not in kinds and kinds[0] != kinds[1]:
        yield f"{kinds[0]}, then {kinds[1]}"
    versions = began.get("versions", {}), now["versions"]
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
