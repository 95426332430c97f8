"""Pictures of runs: what they show, and that nothing in them is cut."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from shared_keras.reporting.pictures import plots
from tests.reporting import seen
from tests.shares import dealt

LONG = "Fashion-MNIST, 20261125-201530-recipe-lab4-ffv2-64-0.05-seed-0: a title of some length"


def shown(figure):
    """Return the texts of a figure."""
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("epochs", [1, 2, 7, 56])
def test_the_axis_of_epochs_has_whole_epochs_only(epochs):
    falling = list(np.linspace(1, 0.5, epochs))
    values = dict.fromkeys(("loss", "val_loss", "accuracy", "val_accuracy"), falling)
    figure = plots.history(values, epochs, LONG)
    assert not seen.cut(figure)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == int(tick) and 1 <= tick <= epochs for tick in ticks)
        assert low <= 0.5 and high >= epochs + 0.5 and high - low <= 1.2 * epochs + 1
    if epochs == 1:
        assert ticks == [1]


def test_the_kept_epoch_is_marked():
    values = {"loss": [3, 2, 1], "val_loss": [3, 2, 4], "accuracy": [0, 1, 1]}
    figure = plots.history(values | {"val_accuracy": [0.1, 0.9, 0.8]}, 2, "a run")
    stars = [[line for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes]
    assert [star.get_xydata().tolist() for (star,) in stars] == [[[2, 2]], [[2, 0.9]]]


@pytest.mark.parametrize("penalised", [True, False])
def test_a_loss_with_penalties_says_so(penalised):
    values = {key: [0.5, 0.4] for key in ("loss", "val_loss", "accuracy", "val_accuracy")}
    left, right = plots.history(values, 2, "a run", penalised).axes
    assert left.get_ylabel() == "loss" + ", with the L2 penalty" * penalised
    assert right.get_ylabel() == "accuracy"


def confusion(n=10, name="{}", errors=30):
    """A matrix of n classes, of 1000 images each, with errors of one kind in class 0."""
    matrix = np.eye(n, dtype=int) * 1000
    matrix[0, :2] = 1000 - errors, errors
    return matrix, [name.format(i) for i in range(n)]


@pytest.mark.parametrize("errors", [1, 30, 700])
def test_errors_are_coloured_and_what_is_right_is_not(errors):
    """The errors of MNIST are few, and the diagonal must not outshine them."""
    figure = plots.confusion(*confusion(errors=errors), "a run")
    image = figure.axes[0].images[0]
    colors = image.to_rgba(image.get_array())
    diagonal = colors[range(10), range(10)]
    assert np.ptp(diagonal, axis=0).max() == 0  # all the same
    assert np.ptp(diagonal[0][:3]) == 0  # and grey
    red, _, blue, _ = colors[0, 1]
    assert red - blue > 0.4  # the only error, and so the worst one
    assert np.allclose(colors[5, 6], image.cmap(0.0))
    assert image.norm.vmax == errors / 1000
    assert {str(1000 - errors), str(errors)} <= shown(figure)


@pytest.mark.parametrize(
    ("n", "name"),
    [
        (2, "a class with quite a long name, number {}"),
        (10, "{}"),
        (10, "class {}"),
        (10, "a class with quite a long name, number {}"),
        (20, "{}"),
        (20, "a class with quite a long name, number {}"),
    ],
)
def test_a_confusion_matrix_of_any_size_is_readable(n, name):
    figure = plots.confusion(*confusion(n, name), LONG)
    assert not seen.cut(figure) and not seen.collapsed(figure)
    assert not seen.colliding(figure)
    matrix, bar = figure.axes
    heading = figure.get_suptitle()
    assert heading.replace("\n", " ").startswith("Fashion-MNIST")
    above = next(text for text, box in seen.texts(figure) if text.get_text() == heading)
    box = above.get_window_extent()
    assert not box.overlaps(bar.bbox) and not box.overlaps(matrix.bbox)
    ticks = [label.get_text().replace("\n", " ") for label in matrix.get_yticklabels()]
    assert ticks == [name.format(i) for i in range(n)]


def test_a_confusion_matrix_without_errors_or_with_an_empty_class_is_drawn():
    matrix, classes = confusion(3, errors=0)
    matrix[2] = 0
    figure = plots.confusion(matrix, classes, "a run")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["0", "1", "2 (no images)"]
    assert not seen.cut(figure)


@pytest.mark.parametrize("n", dealt([1, 2, 6, 17], [1, 6]))
def test_images_with_long_titles_and_captions(n):
    captions = ["IMG_20260101_123456-a-very-long-name-of-a-file.png\n(inverted)\nT-shirt/top 99.9%"]
    figure = plots.images(np.zeros((n, 28, 28), np.uint8), n * captions, LONG)
    assert not seen.cut(figure) and not seen.colliding(figure) and not seen.collapsed(figure)
    assert len([axes for axes in figure.axes if axes.images]) == n
    heading = figure.get_suptitle().replace("\n", "").replace(" ", "")
    assert heading == LONG.replace(" ", "")


def test_captions_have_their_colours():
    figure = plots.images(np.zeros((2, 28, 28)), ["one", "two"], "t", colors=["tab:red", "black"])
    titles = [axes.title for axes in figure.axes]
    assert [to_rgba(title.get_color()) for title in titles] == [
        to_rgba("tab:red"),
        to_rgba("black"),
    ]


@pytest.mark.parametrize("name", ["{}", "a class with quite a long name, number {}"])
def test_examples_of_classes_with_long_names_and_of_an_empty_class(name):
    classes = [name.format(i) for i in range(5)]
    figure = plots.examples(np.zeros((4, 28, 28)), np.array([0, 1, 2, 2]), classes, LONG)
    assert not seen.cut(figure) and not seen.collapsed(figure)
    assert sum(bool(axes.images) for axes in figure.axes) == 4
