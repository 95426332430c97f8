"""A page for a browser that holds a model and runs it in plain JavaScript."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from shared_keras.data.datasets import Images
from shared_keras.exports import plain, steps
from shared_keras.task import Task

if TYPE_CHECKING:
    from shared_keras.exports.session import Taken

HERE = Path(__file__).parent
SCRIPTS = ("network", "resize", "regions", "filters", "handwriting", "ink", "objects", "reading",
           "matters", "bars", "draw", "photo", "page")  # fmt: skip
SHOWN = 100  # test images
SEED = 0  # of their choice


def write(task: Task, taken: Sequence["Taken"], test: Images, path: Path) -> None:
    """Write the page of one or two models.

    Args:
        task: The task, with the classes of the models.
        taken: The models.
        test: The test images; the page shows some.
        path: The file.
    """
    chosen = np.random.default_rng(SEED).permutation(len(test))[:SHOWN]
    data = {
        "title": task.title,
        "photos": task.photos,
        "classes": list(task.classes),
        "models": [_model(each, test) for each in taken],
        "images": _text(test.x[chosen]),
        "labels": test.y[chosen].tolist(),
    }
    text = (HERE / "page.html").read_text(encoding="utf-8")
    scripts = "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "TITLE": html.escape(task.title),
        "STYLE": (HERE / "page.css").read_text(encoding="utf-8"),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
        "SCRIPT": scripts,
    }
    text = re.sub("@([A-Z]+)@", lambda found: parts[found[1]], text)
    path.write_text(text, encoding="utf-8")


def rounded(model: keras.Model) -> keras.Model:
    """Return a copy of a model whose kernels are rounded to float16, as the page has them."""
    copy = plain.inference(model, probabilities=True)
    for layer in copy.layers:
        if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)):
            kernel, *bias = layer.get_weights()
            layer.set_weights([kernel.astype(np.float16).astype(np.float32), *bias])
    return copy


def _model(taken: "Taken", test: Images) -> Mapping[str, Any]:
    right = int((taken.probabilities.argmax(axis=1) == test.y).sum())
    found = [_plain(step) for step in steps.of(taken.model, "page")]
    return {"name": taken.name, "right": right, "of": len(test), "steps": found}


def _plain(step: steps.Step) -> Mapping[str, Any]:
    """Return a step as JSON: kernels as float16, all other arrays as float32."""
    arrays = {key: value for key, value in step.items() if isinstance(value, np.ndarray)}
    small = {key: "<f2" if key == "kernel" else "<f4" for key in arrays}
    return dict(step) | {key: _text(value.astype(small[key])) for key, value in arrays.items()}


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
