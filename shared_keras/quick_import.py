"""Import Keras in half the time: without two libraries that it only offers wrappers for."""

import importlib
import sys

WRAPPED = ("sklearn", "matplotlib.pyplot")


def keras() -> None:
    """Import Keras and KerasTuner as if what they wrap were not installed, if it is not loaded.

    `keras.wrappers` and `keras.visualization` then refuse to work in this process; whoever
    imports those libraries themselves gets them as ever.
    """
    hidden = [name for name in WRAPPED if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # None is "not installed"
    try:
        importlib.import_module("keras_tuner")
    finally:
        for name in hidden:
            del sys.modules[name]
