"""What a model can be exported to, and which backends can. This module imports nothing heavy."""

import importlib.util
import sys
from typing import NamedTuple

from shared_keras import devices
from shared_keras.errors import BadInput


class Format(NamedTuple):
    """A format of exported models.

    Attributes:
        title: Its name for people.
        file: The file or folder that is used; PyTorch's has its weights beside it.
        backends: The backends of Keras that can write it, the preferred one first.
        needs: The packages that write it, and that load it for the comparison.
    """

    title: str
    file: str
    backends: tuple[str, ...]
    needs: tuple[str, ...] = ()


EVERY = tuple(devices.BACKENDS)
FORMATS = {
    "torch": Format("PyTorch", "network.py", EVERY, ("torch",)),
    "onnx": Format(
        "ONNX", "model.onnx", ("torch",), ("torch", "onnx", "onnxscript", "onnxruntime")
    ),
    "litert": Format("LiteRT", "model.tflite", ("tensorflow",), ("tensorflow", "ai_edge_litert")),
    "saved-model": Format("TensorFlow SavedModel", "saved_model", ("tensorflow",), ("tensorflow",)),
    "page": Format("a page for a browser", "page.html", EVERY),
}


def backend(name: str) -> str:
    """Return a backend that can write a format: that which is set, if it can.

    Raises:
        BadInput: if a package is missing, or if Keras was imported with another backend.
    """
    wanted = FORMATS[name]
    if missing := [each for each in wanted.needs if importlib.util.find_spec(each) is None]:
        raise BadInput(
            f"argument --to: '{name}' needs {', '.join(missing)}, which is not installed; "
            "`pip install '.[export]'` installs it"
        )
    present = devices.backend()
    if present in wanted.backends:
        return present
    if "keras" in sys.modules:
        able = [other for other, each in FORMATS.items() if present in each.backends]
        raise BadInput(
            f"argument --to: '{name}' is written by the backend {wanted.backends[0]}, but Keras "
            f"was imported with {present}, which can write {', '.join(able)}; start a process "
            "of its own for it"
        )
    return wanted.backends[0]
