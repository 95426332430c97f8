"""Import Keras in half the time: without the libraries that it only offers wrappers for."""

import gc
import importlib
import sys

WRAPPED = ("sklearn", "matplotlib", "scipy.optimize")  # the last by KerasTuner's Bayesian search


def keras() -> None:
    """Import Keras and KerasTuner as if what they wrap were not installed, if it is not loaded.

    `keras.wrappers`, `keras.visualization` and `keras_tuner.BayesianOptimization` then refuse
    to work in this process; whoever imports those libraries themselves gets them as ever.
    """
    hidden = [name for name in WRAPPED if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # None is "not installed"
    collects = gc.isenabled()
    gc.disable()  # a quarter of the time would go into looking at what stays
    try:
        importlib.import_module("keras_tuner")
    finally:
        if collects:
            gc.enable()
        for name in hidden:
            del sys.modules[name]
