"""Memory that is free and that the process still holds."""

import ctypes
import sys

import keras


def forget_programs() -> None:
    """Let JAX forget what it has compiled, which it otherwise keeps as long as the process runs."""
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    hand_back()


def hand_back() -> None:
    """Give free memory back to the system; on Linux, the C library keeps much of it."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim is not None:
        trim(0)
