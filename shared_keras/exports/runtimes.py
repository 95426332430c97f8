"""Write a model in the format of a runtime, and answer with that runtime."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from shared_keras import silence
from shared_keras.errors import RunFailed, one_line
from shared_keras.exports.formats import FORMATS
from shared_keras.systems.spec import SIDE

BATCH = 500
KERAS_NAMES = {"onnx": "onnx", "litert": "litert", "saved-model": "tf_saved_model"}


def write(model: keras.Model, folder: Path, form: str) -> None:
    """Write a model with Keras's own exporter.

    Raises:
        RunFailed: if the exporter fails, which is so for layers that it does not know.
    """
    try:
        with _quiet():
            # On PyTorch, Keras exports only a model that has been called.
            model.predict_on_batch(np.zeros((1, SIDE, SIDE), np.float32))
            model.export(str(folder / FORMATS[form].file), format=KERAS_NAMES[form], verbose=False)
    except Exception as error:  # a converter may raise anything
        kinds = ", ".join(sorted({type(layer).__name__ for layer in model.layers}))
        raise RunFailed(
            f"this model cannot be exported to {form}, its layers are {kinds} "
            f"({one_line(error)[:200]})"
        ) from None


def answers(folder: Path, form: str, x: np.ndarray) -> np.ndarray:
    """Return what the runtime of a format answers to images, (n, 28, 28)."""
    path = str(folder / FORMATS[form].file)
    x = x.astype(np.float32)
    with _quiet():
        run = {"onnx": _onnx, "litert": _litert, "saved-model": _saved_model}[form](path)
        return np.concatenate([run(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])


Answer = Callable[[np.ndarray], np.ndarray]


def _onnx(path: str) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _litert(path: str) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(taken["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"]).copy()

    return run


def _saved_model(path: str) -> Answer:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return lambda x: loaded.serve(x).numpy()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what exporters and runtimes tell of themselves."""
    with (
        silence.on_stderr(),
        warnings.catch_warnings(action="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield
