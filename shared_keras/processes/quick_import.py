"""Import Keras in half the time, without the libraries that it only offers wrappers for."""

import gc
import importlib
import sys
from typing import Any

WRAPPED = ("sklearn", "matplotlib", "scipy.optimize")  # KerasTuner wraps the last


def keras() -> None:
    """Import Keras and KerasTuner, but not the libraries that they wrap.

    `keras.wrappers`, `keras.visualization` and `keras_tuner.BayesianOptimization` then refuse
    to work in this process, unless their library was loaded before. The libraries themselves
    can still be imported as usual.
    """
    hidden = [name for name in WRAPPED if name not in sys.modules]
    modules: dict[str, Any] = dict.fromkeys(hidden)  # None means "not installed"
    sys.modules |= modules
    collects = gc.isenabled()
    gc.disable()  # scanning what stays would take a quarter of the time
    try:
        importlib.import_module("keras_tuner")
    finally:
        if collects:
            gc.enable()
        for name in hidden:
            del sys.modules[name]
