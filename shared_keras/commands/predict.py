"""Classify image files, or test images."""

import sys
from dataclasses import dataclass

import numpy as np

from shared_keras import files
from shared_keras.data import datasets, likeness, own_data, photos
from shared_keras.errors import BadInput, RunFailed
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.reporting.pictures import photo_plots
from shared_keras.results import folders, saved_models
from shared_keras.results.scores import predict_probabilities
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

SHOWN = 3
PER_PICTURE = 48
EMPTY = {
    "handwriting": "it shows no strokes (it may be blank, noise, or filled throughout)",
    "objects": "nothing stands out from its ground",
}


@dataclass
class Item:
    """An image to classify.

    Attributes:
        name: What the user knows it by.
        image: uint8 (28, 28), or None if there is nothing to classify.
        note: What was done to it, or what its true class is.
        truth: The name of its true class, if that is known.
        thumbnail: The photo that it was made from, if any, uint8 (height, width, 3).
        warning: Why its answer is not to be trusted, as an end of "warning: NAME is ...".
    """

    name: str
    image: np.ndarray | None
    note: str = ""
    thumbnail: np.ndarray | None = None
    warning: str = ""
    truth: str = ""


def run(task: Task, args) -> None:
    """Print the three likeliest classes of each image and draw what the model saw.

    Raises:
        BadInput: if no file is an image.
        RunFailed: if one is not, after the other files were classified.
    """
    if bool(args.files) == (args.random is not None):
        got = "both" if args.files else "neither"
        raise BadInput(f"argument FILE: expected image files or --random N, got {got}")
    task = own_data.task_of(task, args.data_dir)
    path = saved_models.find(task, args.results_dir, args.run)
    trained = saved_models.task_of(task, path)  # its classes are the model's
    on_its_own = args.random is None and args.data_dir is None
    parent = folders.make_folder(args.results_dir / task.name / "predictions")
    model = saved_models.load(trained if on_its_own else task, path)
    say(saved_models.introduce(task, path))
    train, test = datasets.load(task, args.data_dir)
    digest = datasets.digest(train, test) if args.data_dir else saved_models.digest(task)
    settings = saved_models.settings(path)
    run_report.other_images("the model was trained on", settings, task.title, digest)
    known = settings.get("data") in (None, digest)  # these are the model's training images
    items = _files(task, args.files, train, known) if args.files else _random(task, args, test)
    if items:
        answers = _answers(trained, model, items)
        _report(items, answers)
        _draw(trained if on_its_own else task, parent, path, items, answers)
    if args.files and not items:
        raise BadInput(f"argument FILE: none of {len(args.files)} files could be read")
    if broken := len(args.files) and len(args.files) - len(items):
        raise RunFailed(f"{broken} of {len(args.files)} files could not be read")


def _files(task, paths, train, compare: bool) -> list[Item]:
    """Read what can be read; name the other files on stderr.

    Images are compared with the training images, if these are the model's.
    """
    items = []
    for path in paths:
        try:
            photo = photos.read(path, task.photos)
        except BadInput as error:
            if len(paths) == 1:
                raise
            print(error, file=sys.stderr)
            continue
        note = "dark on light, inverted" if photo.inverted else ""
        empty = "" if photo.image is not None else f"not classified: {EMPTY[task.photos]}"
        items.append(Item(files.shown(path.name), photo.image, note, photo.thumbnail, empty))
    found = [item for item in items if item.image is not None]
    if found and compare:
        training = likeness.measure(train.x)
        for item, far in zip(found, training.unlike(np.stack([item.image for item in found]))):
            if far:
                item.warning = "unlike the training images, so its answer means little"
    return items


def _random(task, args, test) -> list[Item]:
    if args.random > len(test):
        raise BadInput(
            f"argument --random: expected at most {len(test)}, the number of test "
            f"images, got {args.random}"
        )
    chosen = np.random.default_rng(args.seed).choice(len(test), args.random, replace=False)
    names = [task.classes[label] for label in test.y[chosen]]
    return [
        Item(f"test image {i}", test.x[i], f"true: {truth}", truth=truth)
        for i, truth in zip(chosen, names)
    ]


def _answers(task, model, items) -> list[list[str]]:
    """Return the likeliest classes of each image with their probabilities; none of nothing."""
    found = [item.image for item in items if item.image is not None]
    rows = iter(predict_probabilities(model, np.stack(found)) if found else ())
    answers = []
    for item in items:
        row = next(rows) if item.image is not None else np.empty(0)
        likeliest = row.argsort()[::-1][:SHOWN]
        answers.append([f"{task.classes[i]} {row[i]:.1%}" for i in likeliest])
    return answers


def _report(items, answers) -> None:
    for item, answer in zip(items, answers):
        if answer:
            note = f" ({item.note})" if item.note else ""
            say(f"{item.name}{note}: {', '.join(answer)}")
        if item.warning:
            say(f"warning: {item.name} is {item.warning}")


def _draw(task, parent, path, items, answers) -> None:
    folder = folders.new_folder(parent, "predict")
    (model,) = saved_models.titles([path])
    if path == saved_models.committed(task):
        model = f"the committed model {model}"
    photographed = items[0].thumbnail is not None
    key = "" if photographed else " (red: wrong)"
    title = f"{task.title}: {'your photos and ' * photographed}what {model} saw{key}"
    for page, start in enumerate(range(0, len(items), PER_PICTURE), 1):
        part = slice(start, start + PER_PICTURE)
        figure = photo_plots.seen(
            [np.zeros((SIDE, SIDE), np.uint8) if i.image is None else i.image for i in items[part]],
            [_caption(item, answer) for item, answer in zip(items[part], answers[part])],
            title,
            [item.thumbnail for item in items[part]] if photographed else None,
            [_is_red(item, answer) for item, answer in zip(items[part], answers[part])],
        )
        file = folder / (f"seen-{page}.png" if page > 1 else "seen.png")
        files.write_figure(file, figure)
        say(f"wrote {file}")


def _is_red(item, answer) -> bool:
    """Return whether an answer is wrong, or not to be trusted."""
    return bool(item.warning) or (bool(item.truth) and answer[0].rpartition(" ")[0] != item.truth)


def _caption(item, answer) -> list[str]:
    return [item.name, *filter(None, [item.note]), *answer, *filter(None, [item.warning])]
