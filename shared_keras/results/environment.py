"""What a run or a search ran on: versions, backend, device, commit."""

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from shared_keras import devices

PACKAGES = ("keras", "jax", "tensorflow", "torch", "keras-tuner", "numpy", "scikit-learn")


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
    """Describe what this process runs on: versions, backend, device; and who asked for it.

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
        "commit": asked.commit,
    }


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
