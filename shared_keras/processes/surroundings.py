"""What a process takes from where it runs, and what a worker takes over from ours for each search.

Workers live as long as this process, which may change its environment variables, its folder and
its import path between two searches.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Libraries read these once, when they are imported: a process that has others must be replaced.
READ_ONCE = (
    *("JAX_", "KERAS_", "TF_", "TORCH_", "PYTORCH_", "XLA_"),
    *("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "TPU_LIBRARY_PATH"),
    *("OMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "NPY_"),
    *("LD_", "DYLD_", "PYTHON"),
)


class Surroundings(NamedTuple):
    """What may change while a process runs.

    Attributes:
        environment: Environment variables, but for those that are read once.
        folder: The current folder, or None if it was deleted.
        path: Where modules are looked for.
    """

    environment: Mapping[str, str]
    folder: str | None
    path: Sequence[str]


def read() -> Surroundings:
    """Return those of this process."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = None
    return Surroundings(_changeable(), folder, list(sys.path))


def enter(given: Surroundings) -> None:
    """Make this process's surroundings those of another one on the same machine."""
    global _taken_over
    for name in _taken_over - given.environment.keys():
        os.environ.pop(name, None)
    os.environ |= given.environment
    _taken_over = set(given.environment)
    sys.path[:] = given.path
    importlib.invalidate_caches()
    if given.folder is not None:
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            os.chdir(given.folder)


def read_once() -> dict[str, str]:
    """Return the environment variables that a process must be started with."""
    return {name: value for name, value in os.environ.items() if name.startswith(READ_ONCE)}


def _changeable() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(READ_ONCE)}


_taken_over = set(_changeable())  # names; in a worker, first those that it was started with
