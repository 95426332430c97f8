"""Files that travel: to a worker that does not see ours with a job, and back with its result.

On the worker, each file lies below a temporary folder, at the path that it has here. A job also
runs in the image of our current folder, so what its callbacks write to relative paths comes back,
too.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared_keras import files as ours
from shared_keras.processes.protocol import Job

PREFIX = "fashion-mnist-keras-"


class Carried(NamedTuple):
    """The result of a job, and the files that it wrote, by the paths that they have here."""

    result: Any
    files: dict[Path, bytes]


def read(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Return the contents of files that a job needs."""
    return {path.absolute(): path.read_bytes() for path in paths}


def write(files: Mapping[Path, bytes]) -> None:
    """Write files that came back, each whole or not at all, in the order in which they ended."""
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        ours.write_bytes(path, data)


def run(work: Callable[[Job], Any], job: Job, files: Mapping[Path, bytes], folder: Path) -> Carried:
    """Run a job in the worker, and collect the files that it leaves or changes.

    Args:
        work: Runs the job.
        job: A job with the paths of the machine that it comes from.
        files: The files that it needs, by these paths.
        folder: The current folder there.
    """
    root = root_here()
    try:
        write({below(root, path): data for path, data in files.items()})
        given = {below(root, path): _version(below(root, path)) for path in files}
        below(root, folder).mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(below(root, folder)):
            result = work(job.moved(root))
        found = [path for path in root.rglob("*") if path.is_file()]
        found = [path for path in found if given.get(path) != _version(path)]
        left = sorted(found, key=lambda path: (path.stat().st_mtime_ns, path))
        return Carried(result, {Path("/", p.relative_to(root)): p.read_bytes() for p in left})
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _version(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written: its place on the disk, or its time."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def root_here() -> Path:
    """Return the temporary folder of this process; the same for all of its jobs."""
    return Path(tempfile.gettempdir(), f"{PREFIX}{os.getpid()}")


def below(root: Path, path: Path) -> Path:
    """Return where an absolute path lies below another root."""
    return root / path.relative_to(path.anchor)
