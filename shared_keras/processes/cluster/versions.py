"""What decides the result of a job on a machine, to compare nodes with the deciding machine."""

import platform
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from shared_keras import devices

OURS = ("shared_keras", "fashion_keras", "mnist_keras")
PACKAGES = ("keras", "keras-tuner", "numpy", "scikit-learn")
OF_BACKEND = {"jax": ("jax", "jaxlib"), "tensorflow": ("tensorflow",), "torch": ("torch",)}
MISSING = "missing"


def here(backend: str) -> dict[str, str]:
    """Return the versions of all that decides the result of a job here; imports none of it."""
    packages = (*PACKAGES, *OF_BACKEND[backend])
    found = {"Python": platform.python_version()} | dict.fromkeys(packages, MISSING)
    return found | devices.versions(packages) | {"this project's code": _code()}


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return a phrase that says in what versions differ, or an empty one."""
    names = [name for name in here if here[name] != there[name]]
    return "; ".join(f"{name} is {there[name]} there and {here[name]} here" for name in names)


def processors(with_gpus: bool) -> str:
    """Return the name of the processor and of the GPUs, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    return ", ".join([name, *sorted(set(devices.gpus()))] if with_gpus else [name])


def _code() -> str:
    """Return a digest of the code of those of our packages that are installed."""
    folder = Path(sys.modules["shared_keras"].__file__).parent.parent
    digest = sha256()
    for path in sorted(path for name in OURS for path in (folder / name).rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]
