"""Results that nobody measured, and folders of runs that nobody trained."""

import os

from shared_keras.results import names
from shared_keras.results.metrics import RunMetrics, Scores
from shared_keras.results.settings import RunSettings, SearchSettings


def scores(accuracy, loss=0.5, n=100):
    return Scores(n, accuracy, accuracy, accuracy, loss, {}, [], [])


def metrics(accuracy, loss=0.5, n=100, **changes):
    part = scores(accuracy, loss, n)
    given = {"seed": 0, "best_epoch": 1, "epochs_trained": 1, "seconds": 1.0, "test": part}
    given |= {"seconds_per_epoch": 1.0, "parameters": 1, "validation": part}
    given |= {"restored_by": None, "stopped_early_by": None}
    return RunMetrics(**given | changes)


def run_settings(**changes):
    given = {"task": "mnist", "source": "made", "framework": "keras", "recipe": None, "space": None}
    given |= {"hyperparameters": {}, "system": {"layers": []}, "epochs": 5, "patience": 2}
    given |= {"batch_size": 32, "split": "holdout", "seed": 0, "precision": "float32"}
    given |= {"backend": "jax", "data": "these", "title": "Wardrobe", "classes": ["a", "b"]}
    return RunSettings(**given | {"monitor": "val_accuracy"} | changes)


def search_settings(**changes):
    given = {"task": "mnist", "space": "dense", "max_epochs": 2, "factor": 2, "iterations": 1}
    given |= {"batch_size": 32, "objective": "val_accuracy", "split": "holdout", "seed": 0}
    given |= {"try_first": None, "backend": "jax", "data": "digest", "min_epochs": 1}
    return SearchSettings(**given | {"title": "MNIST"} | changes)


def run(folder, accuracy=None, when=1, history="epoch,loss\n1,0.5\n", **settings):
    """Write a run to a folder; without an accuracy, it was interrupted."""
    folder.mkdir(parents=True)
    run_settings(**settings).write(folder)
    if history is not None:
        (folder / names.HISTORY).write_text(history)
    if accuracy is not None:
        metrics(accuracy, seed=settings.get("seed", 0)).write(folder)
    for path in folder.iterdir():
        os.utime(path, (when, when))
