"""The public plots of training histories."""

import keras
import numpy as np
import pandas as pd
import pytest

from shared_keras import plots
from shared_keras.errors import BadInput
from shared_keras.reporting.pictures import curve_plots
from shared_keras.results import folders, history_csv, published
from tests.conftest import FASHION, MNIST
from tests.reporting import seen

ONE = {
    "loss": [1.0, 0.5, 0.4],
    "val_loss": [1.1, 0.7, 0.6],
    "accuracy": [0.5, 0.7, 0.8],
    "val_accuracy": [0.5, 0.6, 0.7],
}
RUNS = folders.reference(FASHION) / "runs"


def lines(axes):
    return {line.get_label(): line.get_ydata().tolist() for line in axes.lines}


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def keras_history():
    history = keras.callbacks.History()
    history.history = ONE
    return history


@pytest.mark.parametrize("kind", ["history", "dict", "frame", "folder", "file"])
def test_a_training_is_whatever_holds_its_values(kind, tmp_path):
    history_csv.write(tmp_path / "history.csv", ONE)
    training = {
        "history": keras_history(),
        "dict": ONE,
        "frame": pd.DataFrame(ONE),
        "folder": tmp_path,
        "file": str(tmp_path / "history.csv"),
    }[kind]
    figure = plots.history(training, "mine")
    loss, accuracy = figure.axes
    assert figure.get_suptitle() == "mine"
    assert lines(loss) == {"train": ONE["loss"], "validation": ONE["val_loss"]}
    assert lines(accuracy) == {"train": ONE["accuracy"], "validation": ONE["val_accuracy"]}
    assert not seen.cut(figure) and not seen.colliding(figure)


def test_any_metrics_and_no_validation():
    figure = plots.history({"f1": [0.1, 0.2], "loss": [2.0, 1.0], "seconds": [1.0, 1.0]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "f1"]
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook shows
    assert lines(figure.axes[0]) == {"train": [2.0, 1.0]}


def test_several_seeds_are_a_mean_and_a_band():
    seeds = [history_csv.read(path) for path in sorted(RUNS.glob("accuracy/seed-*/history.csv"))]
    figure = plots.histories({"Keras": RUNS / "accuracy", "mine": keras_history()})
    drawn = lines(figure.axes[1])
    mean = np.mean([seed["val_accuracy"] for seed in seeds], axis=0)
    assert drawn[f"Keras (n = {len(seeds)}), validation"] == pytest.approx(mean.tolist())
    assert drawn["mine, validation"] == ONE["val_accuracy"]
    assert len(figure.axes[1].collections) == 2  # bands, none of a single run
    assert not seen.cut(figure)


def test_beside_the_published_training():
    figure = plots.beside_published(FASHION, "accuracy", ONE, "my port")
    accuracy, loss = figure.axes
    curve = published.curve(FASHION, "accuracy")
    assert lines(accuracy) == {"published": curve["val_accuracy"], "my port": ONE["val_accuracy"]}
    assert lines(loss) == {"published": curve["val_loss"], "my port": ONE["val_loss"]}
    assert labels(figure) == ["published", "my port"]
    assert labels(plots.beside_published(MNIST, "regularized")) == ["published"]
    assert not seen.cut(figure) and not seen.colliding(figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.history(3), "argument training: expected what fit returned, .* got int"),
        (lambda: plots.history({}), "argument training: .* got dict"),
        (lambda: plots.history("no/such/run"), "no/such/run"),
        (lambda: plots.histories({}), "argument trainings: expected at least one"),
        (
            lambda: plots.beside_published(MNIST, "dense", ONE),
            "argument recipe: no training of 'dense' was published for MNIST, .* regularized",
        ),
        (
            lambda: plots.beside_published(MNIST, "regularized", {"loss": [1.0]}),
            "expected the metric 'val_accuracy'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_recipes_stand_one_below_the_other_and_a_loss_without_penalty_is_left_out():
    rows = [
        curve_plots.Beside("one", ONE, [ONE, ONE], [ONE]),
        curve_plots.Beside("another", ONE, [ONE], [ONE, ONE], twin_losses=False),
    ]
    figure = curve_plots.beside_published(rows, "MNIST: published trainings and ours")
    first, _, second, loss = figure.axes
    assert first.get_title(loc="left") == "one (n = 2, twin n = 1)"
    assert set(lines(second)) == {"published", "Keras, ours", "PyTorch twin"}
    assert set(lines(loss)) == {"published", "Keras, ours"}
    assert "no L2 penalty" in loss.get_title(loc="right")
    assert not seen.cut(figure) and not seen.colliding(figure)
