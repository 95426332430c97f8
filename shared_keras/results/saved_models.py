"""Save models, find them again, and load them without trusting them."""

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import keras

from shared_keras import silence
from shared_keras.errors import BadInput
from shared_keras.files import replacing, shown
from shared_keras.models import mirrored
from shared_keras.models.portable import portable
from shared_keras.results import folders
from shared_keras.results.metrics import RunMetrics
from shared_keras.results.settings import RunSettings
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

MODEL = "model.keras"
CHECKPOINT = "model.pt"  # of a PyTorch twin
# In which models take an image: the same values in the same order.
SHAPES = ((SIDE, SIDE), (SIDE, SIDE, 1), (1, SIDE, SIDE), (SIDE * SIDE,))
REFERENCE = "reference"  # the name of the committed model
# The name of a run as `describe` returns it: when it began, what was trained, and the seed.
RUN = re.compile(r"(?:\d{8}-\d{6}-)?(twin-)?(recipe-)?(.*?)(?:-seed-(\d+))?")


def save(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file that stock Keras loads; it is complete or not there at all."""
    with replacing(path) as temporary, silence.on_stderr():
        portable(model).save(temporary)


def load(task: Task, path: Path) -> keras.Model:
    """Read a `.keras` file in safe mode.

    Args:
        task: The task of the images; see also `task_of`.
        path: The file.

    Returns:
        A model of raw images, (n, 28, 28). One that takes them in another of `SHAPES` gets a
        `Reshape` in front; one that `save` had to take apart is put together again.

    Raises:
        BadInput: if it is not a model, needs code that Keras does not have, does not map
            28x28 images to classes, or has another number of classes than the task.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{path}: the encoding of this locale, {error.encoding}, cannot name this file; "
            "expected a locale with UTF-8, or PYTHONUTF8=1"
        ) from None
    if path.suffix != ".keras" or not path.is_file():
        raise BadInput(f"{path}: expected a .keras file, got none")
    try:
        with silence.on_stderr():
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a broken or hostile file may raise anything
        sentence = str(error).strip().split("\n")[0][:200]
        raise BadInput(
            f"{path}: refused, it is not a Keras model, or needs code that Keras does "
            f"not have ({type(error).__name__}: {sentence})"
        ) from None
    model = mirrored.again(model)
    n = len(task.classes)
    given, answers = model.input_shape, model.output_shape
    shape = next((each for each in SHAPES if _takes(given, each)), None)
    if shape is None or not isinstance(answers, tuple) or len(answers) != 2:
        *others, last = ((None, *each) for each in SHAPES)
        raise BadInput(
            f"{path}: a model from {given} to {answers}, expected one from "
            f"{', '.join(map(str, others))} or {last} to {(None, n)}"
        )
    if answers[1] != n:
        its = settings(path)
        trained = f", trained on {its.title}," if its else ""
        raise BadInput(
            f"{path}: this model{trained} has {answers[1]} "
            f"classes, but {task.title} has {n}; choose the images with --data-dir, or another run"
        )
    if shape == SHAPES[0]:
        return model
    reshaping = keras.layers.Reshape(shape)
    return keras.Sequential([keras.Input(SHAPES[0]), reshaping, model])


def _takes(given: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a model whose input shape is given takes arrays of (n, *shape)."""
    return (
        isinstance(given, tuple)
        and len(given) == 1 + len(shape)
        and given[0] is None
        and all(its in (None, side) for its, side in zip(given[1:], shape))
    )


def task_of(task: Task, path: Path) -> Task:
    """Return the task with the title and the class names that a model was trained with.

    Without them, as for a file from elsewhere, it is the task as given.
    """
    its = settings(path)
    if its is None:
        return task
    return dataclasses.replace(task, title=its.title, classes=tuple(its.classes))


def digest(task: Task) -> str:
    """Return the digest of the task's embedded images, as the committed model's run knows it."""
    return RunSettings.read(committed(task).parent).data


def find(task: Task, results_dir: Path, name: str | None) -> Path:
    """Return the path of a model.

    Args:
        task: The task.
        results_dir: Folder of the user's results.
        name: Name of a run or its folder, "reference" for the committed model, or the path of a
            `.keras` file; by default the newest run, or else the committed model. Of a run with
            several seeds it is the first.

    Raises:
        BadInput: if there is none.
    """
    folder = results_dir / task.name / "runs"
    if name is None:
        every = folder.glob(f"**/{MODEL}")
        newest = max(every, key=lambda path: (path.stat().st_mtime, path), default=None)
        if newest is None:
            return committed(task)
        return _models(folder / newest.relative_to(folder).parts[0])[0]
    if name == REFERENCE:
        return committed(task)
    if name.endswith(".keras"):
        return Path(name)
    models = _in(folder, name)
    if not models:
        known = sorted(path.name for path in folder.glob("*") if _models(path))
        bare = is_bare(task, results_dir, name)
        what = f"the run '{name}' has no model" if bare else f"no run '{name}' in {folder}"
        raise BadInput(
            f"argument RUN: {what}, expected a .keras file or one of "
            f"{', '.join([*known, REFERENCE])}"
        )
    return models[0]


def is_bare(task: Task, results_dir: Path, name: str) -> bool:
    """Return whether a name or a folder is that of a run that holds no model."""
    runs = results_dir / task.name / "runs"
    if name == REFERENCE or name.endswith(".keras") or _in(runs, name):
        return False
    found = folders.of_run(runs, name)
    return found is not None and any(map(RunMetrics.is_in, [found, *found.iterdir()]))


def _in(runs: Path, name: str) -> list[Path]:
    """Return the models of a run, by its name or its folder."""
    inside = _models(runs / name) if name and ".." not in name else []
    if inside or not (name and Path(name).is_dir()):
        return inside
    return sorted(Path(name).glob(MODEL)) + _by_seed(Path(name).glob(f"seed-*/{MODEL}"))


def _models(run: Path) -> list[Path]:
    """Return the models of a run, by seed."""
    return _by_seed(run.glob(f"**/{MODEL}"))


def _by_seed(models: Iterable[Path]) -> list[Path]:
    return sorted(models, key=lambda path: (len(path.parent.name), path.parent.name))


def committed(task: Task) -> Path:
    """Return the path of the model that comes with the package."""
    return folders.reference(task) / "runs" / "cnn" / "seed-0" / MODEL


def introduce(task: Task, path: Path) -> str:
    """Describe a model in one line."""
    if path == committed(task):
        card = path.with_name("README.md")
        return f"the committed model, the recipe cnn with seed 0; {card} describes it"
    line = f"model {path}"
    seeds = _models(path.parent.parent) if path.parent.name.startswith("seed-") else [path]
    if len(seeds) > 1:
        line += f" ({'the first' if path == seeds[0] else 'one'} of {len(seeds)} seeds)"
    its = settings(path)
    return f"{line}, trained on {its.title}" if its else line


def settings(path: Path) -> RunSettings | None:
    """Return the settings of a model's run, or None if it has none."""
    return RunSettings.find(path.parent) if path.name == MODEL else None


def split(path: Path) -> str:
    """Return the split protocol of a model's run; one from elsewhere has not seen a test image."""
    its = settings(path)
    return its.split if its else "holdout"


def describe(path: Path) -> str:
    """Return a model's name for messages and folders: its run and seed, or its file."""
    if path.name != MODEL:
        return shown(path.stem)
    parts = path.parent.parts
    if "runs" in parts:
        run = parts[parts.index("runs") + 1 :]
    else:
        run = parts[-2:] if parts[-1].startswith("seed-") else parts[-1:]
    return shown("-".join(run))


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
    twin, recipe, label, seed = cast(re.Match[str], RUN.fullmatch(name)).groups()
    label = "recipe " * bool(recipe) + label + " in PyTorch" * bool(twin)
    return f"{label}, seed {seed}" if seed else label
