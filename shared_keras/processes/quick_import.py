"""Import Keras in half the time, without the libraries that it only offers wrappers for."""

import contextlib
import gc
import importlib
import os
import sys
import threading
import types
from importlib.machinery import ModuleSpec
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


def ahead(*names: str) -> None:
    """Import modules in a thread, for what comes once this one has waited for XLA."""

    def work() -> None:
        with contextlib.suppress(ImportError):  # who needs it will say so
            for name in names:
                importlib.import_module(name)

    threading.Thread(target=work).start()


def without_tensorflow() -> None:
    """Make TensorFlow look as if it were not installed, unless it is the backend.

    Keras imports it whenever it saves a model, which takes three seconds, only to ask whether a
    value is of one of its types. In a process that does nothing but train, none is.
    """

    def refuse(spec: ModuleSpec) -> None:
        raise ModuleNotFoundError(f"No module named '{spec.name}'", name=spec.name)

    # Who only asks whether there is one, as PyTorch does, gets an answer and no error.
    loader: Any = types.SimpleNamespace(create_module=refuse, exec_module=None)

    def find_spec(name: str, *_: Any) -> ModuleSpec | None:
        return ModuleSpec(name, loader) if name == "tensorflow" else None

    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        sys.meta_path.insert(0, types.SimpleNamespace(find_spec=find_spec))  # type: ignore[arg-type]
