"""Import Keras in half the time, without the libraries that it only offers wrappers for."""

import gc
import importlib
import sys

WRAPPED = ("sklearn", "matplotlib", "scipy.optimize")  # KerasTuner wraps the last


def keras() -> None:
    """Import Keras and KerasTuner, but not the libraries that they wrap.

    `keras.wrappers`, `keras.visualization` and `keras_tuner.BayesianOptimization` then refuse
    to work in this process, unless their library was loaded before. The libraries themselves
    can still be imported as usual.
    """
    hidden = [name for name in WRAPPED if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # None means "not installed"
    collects = gc.isenabled()
    gc.disable()  # scanning what stays would take a quarter of the time
    try:
        importlib.import_module("keras_tuner")
    finally:
        if collects:
            gc.enable()
        for name in hidden:
            del sys.modules[name]
