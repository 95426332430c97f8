"""Draw training histories: alone, several together, or beside a published one.

    from shared_keras import plots

    plots.history(model.fit(x, y, validation_split=0.2))

A training is what `fit` returns, a dict or a pandas frame of values per epoch, or the folder of a
run. If it has several seeds, their mean is drawn, with a band of one standard deviation. Each
function returns a matplotlib figure; `figure.savefig("history.png")` writes it.
"""

from collections.abc import Mapping
from pathlib import Path

from shared_keras.errors import BadInput
from shared_keras.reporting.pictures import curve_plots
from shared_keras.reporting.pictures.figure import Figure
from shared_keras.results import history_csv, names, published
from shared_keras.task import Task

__all__ = ["beside_published", "histories", "history"]


def history(training, name: str = "") -> Figure:
    """Draw one training: every metric by epoch, on the training and the validation data.

    Args:
        training: What `fit` returned, values per epoch, or the folder of a run.
        name: Title of the picture.
    """
    return curve_plots.trainings({"": _read(training)}, name)


def histories(trainings: Mapping[str, object], name: str = "") -> Figure:
    """Draw several trainings in the same axes.

    Args:
        trainings: The trainings, each as in `history`, by name.
        name: Title of the picture.

    Raises:
        BadInput: if there is none.
    """
    if not trainings:
        raise BadInput("argument trainings: expected at least one training, got none")
    return curve_plots.trainings({key: _read(each) for key, each in trainings.items()}, name)


def beside_published(task: Task, recipe: str, training=None, name: str = "yours") -> Figure:
    """Draw a published training with yours, validation accuracy and loss by epoch.

    Args:
        task: `TASK` of `fashion_keras.task` or `mnist_keras.task`.
        recipe: A recipe whose training was published epoch by epoch.
        training: Yours, as in `history`; it must have `val_accuracy` and `val_loss`. By default
            the published one is drawn alone.
        name: What to call yours.

    Raises:
        BadInput: if no training of the recipe was published, or yours lacks a metric.
    """
    curve = published.curve(task, recipe)
    if curve is None:
        known = ", ".join(published.recipes(task))
        raise BadInput(
            f"argument recipe: no training of '{recipe}' was published for {task.title}, expected "
            f"one of {known}"
        )
    ours = [] if training is None else _read(training)
    for metric in ("val_accuracy", "val_loss"):
        if any(metric not in one for one in ours):
            raise BadInput(f"argument training: expected the metric '{metric}', got none")
    row = curve_plots.Beside(recipe, curve, ours, label=name)
    return curve_plots.beside_published([row], f"{task.title}: {recipe}")


def _read(training) -> list[Mapping]:
    """Return the history of each seed.

    Raises:
        BadInput: if it is nothing of what a training may be.
    """
    if isinstance(training, str | Path):
        return _of_folder(Path(training))
    values = getattr(training, "history", training)  # of Keras's History
    if hasattr(values, "to_dict"):
        values = values.to_dict("list")
    if not isinstance(values, Mapping) or not values:
        raise BadInput(
            "argument training: expected what fit returned, values per epoch by metric, or the "
            f"folder of a run, got {type(training).__name__}"
        )
    return [values]


def _of_folder(folder: Path) -> list[Mapping]:
    seeds = sorted(folder.glob(f"seed-*/{names.HISTORY}"))
    paths = seeds or [folder / names.HISTORY if folder.is_dir() else folder]
    return [history_csv.read(path) for path in paths]
