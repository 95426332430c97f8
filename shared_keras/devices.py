"""Backend and device: chosen before Keras is imported, described afterwards."""

import os
import sys

from shared_keras.errors import BadInput

BACKENDS = ("jax", "tensorflow", "torch")
DEVICES = ("auto", "cpu", "gpu")


def choose(backend: str | None, device: str) -> None:
    """Set the backend and the device of this process.

    Must run before Keras is imported. Without `backend` the variable
    KERAS_BACKEND decides, and without that JAX.

    Raises:
        BadInput: if the backend is not installed, or no GPU is there though
            one is asked for.
    """
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    name = os.environ["KERAS_BACKEND"]
    if name not in BACKENDS:
        raise BadInput(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, got '{name}'")
    try:
        __import__(name)
    except ImportError:
        hint = "pip install '.[torch]'" if name == "torch" else "pip install ."
        raise BadInput(
            f"argument --backend: '{name}' is not installed; `{hint}` brings it"
        ) from None
    if device == "gpu" and not gpus():
        install = {
            "jax": "pip install '.[gpu]'",
            "tensorflow": "pip install 'tensorflow[and-cuda]'",
        }
        raise BadInput(
            f"argument --device: the {name} backend finds no GPU; on a machine that "
            f"has one, `{install.get(name, 'a CUDA build of torch')}` lets it be used"
        )


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
    """Return the name of the backend: Keras's, or before Keras is imported the one it will have."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ["KERAS_BACKEND"]


def describe() -> str:
    """Name the device that training runs on."""
    found = gpus()
    return found[0] if found else f"CPU, {core_count()} cores"


def cores() -> list[int]:
    """Return the CPU cores that this process may run on, or none where the system hides them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def core_count() -> int:
    """Return on how many cores this process may run at a time.

    Besides the cores, a container's quota and `LOKY_MAX_CPU_COUNT` count.
    """
    from loky import cpu_count

    return cpu_count()


def need_torch(argument: str) -> None:
    """Refuse to go on without PyTorch.

    Raises:
        BadInput: naming the argument that needs it.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise BadInput(
            f"argument {argument}: needs PyTorch, which is not installed; "
            "`pip install '.[torch]'` brings it"
        ) from None
