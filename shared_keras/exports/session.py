"""Export a model: write it, hold it against Keras, and say how to use it."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from shared_keras.data import datasets, own_data
from shared_keras.data.datasets import Images
from shared_keras.errors import RunFailed
from shared_keras.exports import page, plain, pytorch, runtimes, usage
from shared_keras.exports.formats import FORMATS
from shared_keras.reporting.console import say
from shared_keras.results import folders, pixel_scale, saved_models
from shared_keras.results.scores import are_probabilities, predict_outputs, predict_probabilities
from shared_keras.task import Task
from shared_keras.training.model_kinds import layers

TOLERANCE = 1e-3  # of a probability; rounding moves it by less than a hundredth of this
OTHERS = 1e-3  # of the images may get another class from weights of 16 bits


class Taken(NamedTuple):
    """A model to export, as it answers, and the probabilities that Keras itself gives."""

    model: keras.Model
    probabilities: np.ndarray
    name: str


def export(
    task: Task,
    form: str,
    run: str | None,
    beside: str | None,
    results_dir: Path,
    data_dir: str | None,
) -> None:
    """Write a model in a format, and compare the answers on all test images with Keras's.

    Args:
        task: The task.
        form: A name in `formats.FORMATS`.
        run: The model, as `saved_models.find` takes it.
        beside: A second model for a page.
        results_dir: Folder of the user's results.
        data_dir: The user's own images, if any.
    """
    task = own_data.task_of(task, data_dir)
    paths = [saved_models.find(task, results_dir, run)]
    paths += [saved_models.find(task, results_dir, beside)] if beside is not None else []
    if data_dir is None:
        task = saved_models.task_of(task, paths[0])  # the classes are the model's
    names = saved_models.titles(paths)
    loaded = [saved_models.load(task, path) for path in paths]
    say(saved_models.introduce(task, paths[0]))
    train, test = datasets.load(task, data_dir, say)
    taken = [
        _take(task, path, model, name, train, test)
        for path, model, name in zip(paths, loaded, names)
    ]
    parent = folders.make_folder(results_dir / task.name / "exports")
    # What fails leaves nothing behind: a folder gets its name once all in it is right.
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as temporary:
        written = Path(temporary)
        if form == "page":
            page.write(task, taken, test, written / FORMATS[form].file)
            got = [predict_probabilities(page.rounded(each.model), test.x) for each in taken]
        else:
            got = [_written(task, taken[0], form, written, test)]
        for each, answers in zip(taken, got):
            _compare(form, each, answers)
        folder = folders.new_folder(
            parent, f"{form}-{folders.without_time(saved_models.describe(paths[0]))}"
        )
        for path in written.iterdir():
            path.rename(folder / path.name)
    for path in sorted(folder.iterdir()):
        say(f"wrote {path}{_size(path)}")
    say(usage.of(form, folder, task))


def _take(
    task: Task, path: Path, model: keras.Model, name: str, train: Images, test: Images
) -> Taken:
    suited = pixel_scale.suit(model, task, path, train)
    if suited.line:
        say(suited.line)
    outputs = predict_outputs(suited.model, test.x)
    copy = plain.inference(suited.model, are_probabilities(outputs.astype(np.float64)))
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in layers(suited.model)):
        say("note: this model computes in half precision; it is exported, and compared, in float32")
        return Taken(copy, predict_probabilities(copy, test.x), name)
    return Taken(copy, predict_probabilities(suited.model, test.x), name)


def _written(task: Task, taken: Taken, form: str, folder: Path, test: Images) -> np.ndarray:
    """Write a model, and return what its runtime answers."""
    if form == "torch":
        pytorch.write(taken.model, folder, f"A network for {task.title}: {taken.name}.")
        return pytorch.answers(folder, test.x)
    runtimes.write(taken.model, folder, form)
    return runtimes.answers(folder, form, test.x)


def _compare(form: str, taken: Taken, answers: np.ndarray) -> None:
    """Print how far answers are from Keras's.

    Raises:
        RunFailed: if that matters.
    """
    ours = taken.probabilities
    largest = float(np.abs(answers - ours).max())
    others = int((answers.argmax(axis=1) != ours.argmax(axis=1)).sum())
    who = "with weights of 16 bits, as the page has them" if form == "page" else FORMATS[form].title
    line = (
        f"{taken.name}, {who}: on {len(ours):,} test images, the largest difference from Keras's "
        f"probabilities is {largest:.1e}, and {others} get another class"
    )
    matters = others > OTHERS * len(ours) if form == "page" else not largest <= TOLERANCE
    if matters or np.isnan(largest):
        raise RunFailed(f"{line}; that is too much, so nothing was kept")
    say(line)


def _size(path: Path) -> str:
    if not path.is_file():
        return ""
    n = path.stat().st_size
    return f" ({n / 1e6:.2f} MB)" if n >= 1e5 else f" ({n / 1e3:.1f} kB)"
