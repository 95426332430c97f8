"""Save models, find them again, and load them without trusting them."""

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import keras

from shared_keras.errors import BadInput
from shared_keras.files import read_object, replacing
from shared_keras.models.portable import portable
from shared_keras.results import folders
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

MODEL = "model.keras"
CHECKPOINT = "model.pt"  # of a PyTorch twin
REFERENCE = "reference"  # the name of the committed model
# The name of a run as `describe` returns it: when it began, what was trained, and the seed.
RUN = re.compile(r"(?:\d{8}-\d{6}-)?(twin-)?(recipe-)?(.*?)(?:-seed-(\d+))?")


def save(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file that stock Keras loads; it is complete or not there at all."""
    with replacing(path) as temporary, _silence():
        portable(model).save(temporary)


def load(task: Task, path: Path) -> keras.Model:
    """Read a `.keras` file in safe mode.

    Raises:
        BadInput: if it is not a model, needs code that Keras does not have, or does not
            map 28x28 images to the task's classes.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise BadInput(f"{path}: expected a .keras file, got none")
    try:
        with _silence():
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a broken or hostile file may raise anything
        sentence = str(error).strip().split("\n")[0][:200]
        raise BadInput(
            f"{path}: refused, it is not a Keras model, or needs code that Keras does "
            f"not have ({type(error).__name__}: {sentence})"
        ) from None
    expected = ((None, SIDE, SIDE), (None, len(task.classes)))
    shapes = (model.input_shape, model.output_shape)
    if shapes != expected:
        raise BadInput(
            f"{path}: a model from {shapes[0]} to {shapes[1]}, expected one from "
            f"{expected[0]} to {expected[1]}"
        )
    return model


def find(task: Task, results_dir: Path, name: str | None) -> Path:
    """Return the path of a model.

    Args:
        task: The task.
        results_dir: Folder of the user's results.
        name: Name of a run (if it has several seeds, the first), "reference" for the
            committed model, or the path of a `.keras` file; by default the newest run, or
            else the committed model.

    Raises:
        BadInput: if there is none.
    """
    folder = results_dir / task.name / "runs"
    if name is None:
        models = folder.glob(f"**/{MODEL}")
        newest = max(models, key=lambda path: path.stat().st_mtime, default=None)
        return newest or committed(task)
    if name == REFERENCE:
        return committed(task)
    if name.endswith(".keras"):
        return Path(name)
    inside = name and ".." not in name
    models = sorted((folder / name).glob(f"**/{MODEL}")) if inside else []
    if not models:
        known = sorted(path.name for path in folder.glob("*"))
        raise BadInput(
            f"argument RUN: no run '{name}' in {folder}, expected a .keras file or one of "
            f"{', '.join([*known, REFERENCE])}"
        )
    return models[0]


def committed(task: Task) -> Path:
    """Return the path of the model that comes with the package."""
    return folders.reference(task) / "runs" / "cnn" / "seed-0" / MODEL


def introduce(task: Task, path: Path) -> str:
    """Describe a model in one line."""
    if path == committed(task):
        card = path.with_name("README.md")
        return f"the committed model, the recipe cnn with seed 0; {card} describes it"
    return f"model {path}"


def settings(path: Path) -> dict:
    """Return the settings of a model's run, or an empty dict if it has none."""
    file = path.with_name("settings.json")
    return read_object(file) if path.name == MODEL and file.exists() else {}


def describe(path: Path) -> str:
    """Return a model's name for messages and folders: its run and seed, or its file."""
    if path.name != MODEL:
        return path.stem
    parts = path.parent.parts
    run = parts[parts.index("runs") + 1 :] if "runs" in parts else parts[-1:]
    return "-".join(run)


def titles(paths: Sequence[Path]) -> list[str]:
    """Return short names of models for pictures, each different.

    They lack the date of the run, unless two models had the same name without it.
    """
    named = [describe(path) for path in paths]
    short = [_title(name) for name in named]
    if len(set(short)) == len(short):
        return short
    if len(set(named)) == len(named):
        return named
    return [f"{name} ({number})" for number, name in enumerate(short, 1)]


def _title(name: str) -> str:
    twin, recipe, label, seed = RUN.fullmatch(name).groups()
    label = "recipe " * bool(recipe) + label + " in PyTorch" * bool(twin)
    return f"{label}, seed {seed}" if seed else label


@contextlib.contextmanager
def _silence():
    """Keep TensorFlow, which Keras imports to save and load, from writing to stderr.

    Its C++ code writes to the file descriptor, so Python's `redirect_stderr` is not
    enough. Errors still arrive: they are exceptions.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
