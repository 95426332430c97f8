"""Classify image files, or test images."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared_keras import files
from shared_keras.data import datasets, own_data
from shared_keras.data.datasets import Images
from shared_keras.errors import BadInput, RunFailed
from shared_keras.photos import likeness, many_photos, reading
from shared_keras.reporting import run_report
from shared_keras.reporting.console import say
from shared_keras.reporting.pictures import photo_plots
from shared_keras.results import folders, pixel_scale, saved_models
from shared_keras.results.scores import predict_probabilities
from shared_keras.systems.spec import SIDE
from shared_keras.task import Task

if TYPE_CHECKING:
    import keras

SHOWN = 3
PER_PICTURE = 48
PAGES = 10  # pictures; of a folder of thousands, more would help nobody
CSV = "predictions.csv"


@dataclass
class Item:
    """An image to classify.

    Attributes:
        name: What the user knows it by.
        source: The path of its file, or again its name.
        image: uint8 (28, 28), or None if there is nothing to classify.
        note: What was done to it, or what its true class is.
        truth: The name of its true class, if that is known.
        thumbnail: The photo that it was made from, if any, uint8 (height, width, 3).
        warning: Why its answer is not to be trusted, as an end of "warning: NAME is ...".
    """

    name: str
    source: str
    image: np.ndarray | None
    note: str = ""
    thumbnail: np.ndarray | None = None
    warning: str = ""
    truth: str = ""


def run(task: Task, args: argparse.Namespace) -> None:
    """Print the three likeliest classes of each image, write all, and draw what the model saw.

    Raises:
        BadInput: if no file is an image, or a folder holds none.
        RunFailed: if one is not, after the other files were classified.
    """
    if bool(args.files) == (args.random is not None):
        got = "both" if args.files else "neither"
        raise BadInput(f"argument FILE: expected image files or --random N, got {got}")
    paths = _paths(args.files)
    task = own_data.task_of(task, args.data_dir)
    path = saved_models.find(task, args.results_dir, args.run)
    trained = saved_models.task_of(task, path)  # its classes are the model's
    on_its_own = args.random is None and args.data_dir is None
    parent = folders.make_folder(args.results_dir / task.name / "predictions")
    model = saved_models.load(trained if on_its_own else task, path)
    say(saved_models.introduce(task, path))
    train, test = datasets.load(task, args.data_dir, say)
    suited = pixel_scale.suit(model, task, path, train)
    if suited.line:
        say(suited.line)
    digest = datasets.digest(train, test) if args.data_dir else saved_models.digest(task)
    settings = saved_models.settings(path)
    run_report.other_images("the model was trained on", settings, task.title, digest)
    known = settings is None or settings.data == digest  # these are the model's training images
    if paths:
        items = _files(task, paths, train, known)
    else:
        items = _random(task, test, args.random, args.seed)
    if items:
        rows = _probabilities(suited.model, items, len(trained.classes))
        answers = [_likeliest(trained.classes, row) for row in rows]
        _report(items, answers)
        folder = folders.new_folder(parent, "predict")
        files.write_csv(folder / CSV, _table(trained.classes, items, rows))
        say(f"wrote {folder / CSV}")
        _draw(trained if on_its_own else task, folder, path, items, answers)
    if paths and not items:
        raise BadInput(f"argument FILE: none of {len(paths)} files could be read")
    if broken := len(paths) and len(paths) - len(items):
        raise RunFailed(f"{broken} of {len(paths)} files could not be read")


def _paths(given: Sequence[Path]) -> list[Path]:
    """Return the given files, and for each folder the image files in it and below it."""
    paths = []
    for path in given:
        inside = many_photos.inside(path) if path.is_dir() else [path]
        readable = ", ".join(many_photos.SUFFIXES)
        if not inside:
            raise BadInput(
                f"argument FILE: expected a folder with image files, {path} has none whose name "
                f"ends in {readable}"
            )
        if others := many_photos.inside(path, many_photos.UNREADABLE):
            print(many_photos.left_out(others, f"names that end in {readable}"), file=sys.stderr)
        paths += inside
    return paths


def _files(task: Task, paths: Sequence[Path], train: Images, compare: bool) -> list[Item]:
    """Read what can be read; name the other files on stderr.

    Images are compared with the training images, if these are the model's.
    """
    items, fitted = [], []
    names = _names(paths)
    read = many_photos.read(paths, task.photos, thumbnails=PAGES * PER_PICTURE)
    for path, photo in zip(paths, read):
        if isinstance(photo, BadInput):
            if len(paths) == 1:
                raise photo
            print(photo, file=sys.stderr)
            continue
        note = "dark on light, inverted" if photo.inverted else ""
        empty = "" if photo.image is not None else f"not classified: {reading.EMPTY[task.photos]}"
        name, source = files.shown(names[path]), files.shown(str(path))
        items.append(Item(name, source, photo.image, note, photo.thumbnail, empty))
        fitted.append(photo.fitted)
    if compare:
        _judge(items, fitted, train.x)
    return items


def _judge(
    items: Sequence[Item], fitted: Sequence[np.ndarray | None], training_images: np.ndarray
) -> None:
    """Mark what is unlike the training images, and replace what is not once it is `fitted`."""
    training = likeness.measure(training_images)
    far = _unlike(training, {number: item.image for number, item in enumerate(items)})
    candidates = {number: fitted[number] for number in far if fitted[number] is not None}
    placed = candidates.keys() - _unlike(training, candidates)
    for number in far:
        item = items[number]
        if number not in placed:
            item.warning = "unlike the training images, so its answer means little"
            continue
        item.image = candidates[number]
        notes = [item.note] * bool(item.note) + ["moved and sized as the training images are"]
        item.note = ", ".join(notes)


def _unlike(training: likeness.Training, images: Mapping[int, np.ndarray | None]) -> set[int]:
    """Return the keys of images that are unlike the training images, leaving out None."""
    images = {key: image for key, image in images.items() if image is not None}
    if not images:
        return set()
    far = training.unlike(np.stack(list(images.values())))
    return {key for key, is_far in zip(images, far) if is_far}


def _random(task: Task, test: datasets.Images, count: int, seed: int) -> list[Item]:
    if count > len(test):
        raise BadInput(
            f"argument --random: expected at most {len(test)}, the number of test "
            f"images, got {count}"
        )
    chosen = np.random.default_rng(seed).choice(len(test), count, replace=False)
    names = [task.classes[label] for label in test.y[chosen]]
    return [
        Item(f"test image {i}", f"test image {i}", test.x[i], f"true: {truth}", truth=truth)
        for i, truth in zip(chosen, names)
    ]


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the name of each file, with its folder if another has the same name."""
    counts = Counter(path.name for path in paths)
    return {path: path.name if counts[path.name] == 1 else str(path) for path in paths}


def _probabilities(model: "keras.Model", items: Sequence[Item], n_classes: int) -> np.ndarray:
    """Return the probabilities of each image, float (n, classes); NaN where there is none."""
    found = [number for number, item in enumerate(items) if item.image is not None]
    rows = np.full((len(items), n_classes), np.nan)
    if found:
        rows[found] = predict_probabilities(model, np.stack([items[i].image for i in found]))
    return rows


def _likeliest(classes: Sequence[str], row: np.ndarray) -> list[str]:
    """Return the likeliest classes with their probabilities; none of nothing."""
    if np.isnan(row).any():
        return []
    return [f"{classes[i]} {row[i]:.1%}" for i in row.argsort()[::-1][:SHOWN]]


def _table(classes: Sequence[str], items: Sequence[Item], rows: np.ndarray) -> list[dict]:
    """Return a row for each image: what it was taken for, and the probability of every class."""
    table = []
    for item, row in zip(items, rows):
        answer = {} if np.isnan(row).any() else {"class": classes[row.argmax()]}
        answer |= {"probability": row.max()} if answer else {}
        known = {"image": item.source} | ({"true": item.truth} if item.truth else {})
        each = {f"p({name})": p for name, p in zip(classes, row)} if answer else {}
        table.append(known | answer | {"note": item.note, "warning": item.warning} | each)
    return table


def _report(items: Sequence[Item], answers: Sequence[list[str]]) -> None:
    for item, answer in zip(items, answers):
        if answer:
            note = f" ({item.note})" if item.note else ""
            say(f"{item.name}{note}: {', '.join(answer)}")
        if item.warning:
            say(f"warning: {item.name} is {item.warning}")


def _draw(
    task: Task, folder: Path, path: Path, items: Sequence[Item], answers: Sequence[list[str]]
) -> None:
    (model,) = saved_models.titles([path])
    if path == saved_models.committed(task):
        model = f"the committed model {model}"
    photographed = items[0].thumbnail is not None
    key = " (red: wrong)"
    if photographed:
        odd = any(item.warning for item in items)
        key = " (red: unlike the training images, or nothing found)" * odd
    title = f"{task.title}: {'your photos and ' * photographed}what {model} saw{key}"
    drawn = min(len(items), PAGES * PER_PICTURE)
    if drawn < len(items):
        say(f"the pictures show the first {drawn:,} of {len(items):,} images")
    for page, start in enumerate(range(0, drawn, PER_PICTURE), 1):
        part = slice(start, start + PER_PICTURE)
        figure = photo_plots.seen(
            [np.zeros((SIDE, SIDE), np.uint8) if i.image is None else i.image for i in items[part]],
            [_caption(item, answer) for item, answer in zip(items[part], answers[part])],
            title,
            [item.thumbnail for item in items[part]] if photographed else None,
            [is_red(item, answer) for item, answer in zip(items[part], answers[part])],
        )
        file = folder / (f"seen-{page}.png" if page > 1 else "seen.png")
        files.write_figure(file, figure)
        say(f"wrote {file}")


def is_red(item: Item, answer: list[str]) -> bool:
    """Return whether an answer is wrong, or not to be trusted."""
    return bool(item.warning) or (bool(item.truth) and answer[0].rpartition(" ")[0] != item.truth)


def _caption(item: Item, answer: list[str]) -> list[str]:
    return [item.name, *filter(None, [item.note]), *answer, *filter(None, [item.warning])]
