"""How to use what was exported: a few lines for somebody who has never seen the format."""

from pathlib import Path

from shared_keras.exports.formats import FORMATS
from shared_keras.task import Task

IMAGES = "images = np.zeros((1, 28, 28), np.float32)  # yours: 0...255, light on dark"
LINES = {
    "torch": f"""\
import torch
from {Path(FORMATS["torch"].file).stem} import network
images = torch.zeros(1, 28, 28)  # yours: 0...255, light on dark
with torch.no_grad():
    probabilities = network()(images)""",
    "onnx": f"""\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("{FORMATS["onnx"].file}")
{IMAGES}
(probabilities,) = session.run(None, {{session.get_inputs()[0].name: images}})""",
    "litert": f"""\
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter("{FORMATS["litert"].file}")
{IMAGES}
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
interpreter.invoke()
probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])""",
    "saved-model": f"""\
import numpy as np, tensorflow as tf
model = tf.saved_model.load("{FORMATS["saved-model"].file}")
{IMAGES}
probabilities = model.serve(images).numpy()""",
}

INSTALL = {
    "torch": "torch",
    "onnx": "numpy onnxruntime",
    "litert": "numpy ai-edge-litert",
    "saved-model": "numpy tensorflow",
}


def of(form: str, folder: Path, task: Task) -> str:
    """Return how to use an export."""
    if form == "page":
        what = "draw on it" if task.photos == "handwriting" else "give it a photo"
        return f"Open the page in any browser and {what}; it needs no server and no network."
    classes = ", ".join(task.classes)
    return (
        f"To use it, start Python in {folder}:\n\n{LINES[form]}\nprint(probabilities)\n\n"
        f"There is a row for each image, and a column for each class: {classes}. It needs nothing "
        f"but `pip install {INSTALL[form]}`."
    )
