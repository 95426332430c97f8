"""Backend and device: chosen before Keras is imported, described afterwards."""

import contextlib
import importlib
import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from shared_keras import silence, words
from shared_keras.errors import BadInput

BACKENDS = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "PyTorch"}  # as people write them
DEVICES = ("auto", "cpu", "gpu")
CPU_FEATURES = ("sse4_2", "avx", "fma", "avx2", "avx512f", "asimd", "sve", "sve2")
CPUINFO = Path("/proc/cpuinfo")
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}  # environment variables


def choose(backend: str | None, device: str) -> None:
    """Set the backend and the device of this process.

    Must run before Keras is imported. If `backend` is None, the environment variable
    KERAS_BACKEND decides; `shared_keras` sets that to JAX by default.

    Raises:
        BadInput: if the backend is unknown or not installed, or if a GPU is requested
            but there is none.
    """
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    if device == "cpu":
        os.environ |= NO_GPU
    name = os.environ["KERAS_BACKEND"]
    if name not in BACKENDS:
        raise BadInput(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, got '{name}'")
    try:
        import_quietly(name)
    except ImportError:
        hint = "pip install '.[torch]'" if name == "torch" else "pip install ."
        raise BadInput(
            f"argument --backend: '{name}' is not installed; `{hint}` installs it"
        ) from None
    if device == "gpu" and not gpus():
        install = {
            "jax": "pip install '.[gpu]'",
            "tensorflow": "pip install 'tensorflow[and-cuda]'",
        }
        raise BadInput(
            f"argument --device: the {name} backend finds no GPU; on a machine that "
            f"has one, `{install.get(name, 'a CUDA build of torch')}` makes it usable"
        )


def import_quietly(backend: str) -> None:
    """Import a backend; TensorFlow tells of itself before its log level counts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence.on_stderr():
        importlib.import_module(backend)


def gpus() -> list[str]:
    """Return the names of the GPUs that the backend can use."""
    name = backend()
    if name == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    if name == "tensorflow":
        import tensorflow as tf

        return [d.name for d in tf.config.list_physical_devices("GPU")]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def backend() -> str:
    """Return the name of Keras's backend, or of the one it will have once it is imported."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ["KERAS_BACKEND"]


def describe() -> str:
    """Name the device that training runs on."""
    found, cores = gpus(), core_count()
    return found[0] if found else f"CPU, {words.count(cores, 'core')}"


def processor_kind() -> str | None:
    """Return what kind of processor programs are compiled for, or None if the system hides it.

    Another kind rounds differently. That of a CPU is its instruction set, as far as it decides how
    numbers are computed, and a limit that XLA_FLAGS set to it; that of a GPU is its name.
    """
    if found := gpus():
        return found[0]
    try:
        kind = cpu_kind(platform.machine(), CPUINFO.read_text())
    except OSError:
        return None
    limit = re.findall(r"--xla_cpu_max_isa=(\S+)", os.environ.get("XLA_FLAGS", ""))
    return f"{kind}, at most {limit[-1]}" if kind and limit else kind


def cpu_kind(machine: str, cpuinfo: str) -> str | None:
    """Return the kind of a CPU, or None if its features are not told.

    Args:
        machine: Its architecture.
        cpuinfo: What Linux says of its cores.
    """
    told = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    if told is None:
        return None
    found = [name for name in CPU_FEATURES if name in told[1].split()]
    return f"{machine} with {', '.join(found)}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed; imports none of them."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def cores() -> list[int]:
    """Return the CPU cores that this process may run on, or none where the system hides them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def core_count() -> int:
    """Return how many cores this process may use at a time.

    A container's quota and `LOKY_MAX_CPU_COUNT` are taken into account.
    """
    from loky import cpu_count

    return cpu_count()


def need_torch(argument: str) -> None:
    """Refuse to continue without PyTorch.

    Raises:
        BadInput: naming the argument that needs it.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise BadInput(
            f"argument {argument}: needs PyTorch, which is not installed; "
            "`pip install '.[torch]'` installs it"
        ) from None
