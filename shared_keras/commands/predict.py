"""Classify image files, or test images."""

import sys

import numpy as np

from shared_keras import files
from shared_keras.data import datasets, own_data, photos
from shared_keras.errors import BadInput, RunFailed
from shared_keras.reporting import plots, run_report
from shared_keras.reporting.console import say
from shared_keras.results import folders, saved_models
from shared_keras.results.scores import predict_probabilities
from shared_keras.task import Task

SHOWN = 3
PER_PICTURE = 50


def run(task: Task, args) -> None:
    """Print the three likeliest classes of each image and draw what the model saw.

    Raises:
        RunFailed: if a file is not an image, after the other files were classified.
    """
    if bool(args.files) == (args.random is not None):
        got = "both" if args.files else "neither"
        raise BadInput(f"argument FILE: expected image files or --random N, got {got}")
    task = own_data.task_of(task, args.data_dir)
    path = saved_models.find(task, args.results_dir, args.run)
    trained = saved_models.task_of(task, path)  # its classes are the model's
    on_its_own = args.random is None and args.data_dir is None
    model = saved_models.load(trained if on_its_own else task, path)
    say(saved_models.introduce(task, path))
    digest = saved_models.digest(task)
    if args.data_dir is not None:
        digest = datasets.digest(*datasets.load(task, args.data_dir))
    what = "the model was trained on"
    run_report.other_images(what, saved_models.settings(path), task.title, digest)
    if args.files:
        names, images, broken = _files(args.files)
    else:
        names, images = _random(task, args)
        broken = 0
    if names:
        answers = []
        for name, row in zip(names, predict_probabilities(model, np.stack(images))):
            likeliest = row.argsort()[::-1][:SHOWN]
            answers.append([f"{trained.classes[i]} {row[i]:.1%}" for i in likeliest])
            say(f"{name}: {', '.join(answers[-1])}")
        captions = ["\n".join([_short(n), *a]) for n, a in zip(names, answers)]
        folder = folders.new_folder(args.results_dir / task.name / "predictions", "predict")
        title = f"What {saved_models.describe(path)} saw"
        for page, i in enumerate(range(0, len(images), PER_PICTURE), 1):
            part = slice(i, i + PER_PICTURE)
            figure = plots.images(np.stack(images[part]), captions[part], title)
            file = folder / (f"seen-{page}.png" if page > 1 else "seen.png")
            files.write_figure(file, figure)
            say(f"wrote {file}")
    if broken:
        raise RunFailed(f"{broken} of {len(args.files)} files could not be read")


def _files(paths):
    names, images = [], []
    for path in paths:
        try:
            image, inverted = photos.read(path)
        except BadInput as error:
            print(error, file=sys.stderr)
            continue
        names.append(f"{path.name} (dark on light, inverted)" if inverted else path.name)
        images.append(image)
    return names, images, len(paths) - len(names)


def _random(task, args):
    _, test = datasets.load(task, args.data_dir)
    if args.random > len(test):
        raise BadInput(
            f"argument --random: expected at most {len(test)}, the number of test "
            f"images, got {args.random}"
        )
    chosen = np.random.default_rng(args.seed).choice(len(test), args.random, replace=False)
    names = [f"test image {i} (true: {task.classes[test.y[i]]})" for i in chosen]
    return names, list(test.x[chosen])


def _short(name: str) -> str:
    return name.replace(" (", "\n(")
