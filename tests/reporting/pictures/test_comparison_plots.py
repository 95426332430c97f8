"""Pictures that compare systems: what they show, and that nothing in them is cut."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from shared_keras.reporting.pictures import comparison_plots
from tests.reporting import seen

LONG = "20261125-201530-recipe-lab4-ffv2-64-0.05-seed-0"


def row(recipe, published=None, ours=None, twin=None, sd=None, **more):
    """A row of ladder.csv."""
    values = {"published": published, "ours": ours, "ours_sd": sd, "twin": twin, "twin_sd": None}
    return {"recipe": recipe, "score": "test_accuracy", "main": True} | values | more


def marks(figure, marker):
    """Return the points that have a marker, and the colours that fill them."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    return [
        (tuple(np.round(line.get_xydata()[0], 6).tolist()), line.get_markerfacecolor())
        for line in lines
    ]


def labels(figure):
    """Return the texts of the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_ladder_shows_what_was_published_and_measured():
    rows = [row("a", 0.9, 0.89, 0.88, sd=0.01), row("b", ours=0.87)]
    figure = comparison_plots.ladder(rows, "MNIST: published and measured")
    assert [point for point, _ in marks(figure, "D")] == [(90, 0)]
    assert [point[0] for point, _ in marks(figure, "o")] == [89, 87]
    assert [point[0] for point, _ in marks(figure, "s")] == [88]
    assert labels(figure) == ["published", "Keras, ours", "PyTorch twin"]
    (bar,) = [line for c in figure.axes[0].containers if c.lines[2] for line in c.lines[2]]
    assert np.ptp(bar.get_segments()[0][:, 0]) == pytest.approx(2)
    assert not seen.cut(figure) and not seen.colliding(figure)
    assert "further" not in figure.axes[0].get_xlabel()


def test_a_single_value_stands_in_the_middle_of_the_ladder():
    (axes,) = comparison_plots.ladder([row("a", ours=0.95)], "a title").axes
    assert np.mean(axes.get_xlim()) == pytest.approx(95) and np.ptp(axes.get_xlim()) < 4


def test_a_value_outside_the_ladder_is_written_in_full():
    rows = [row(f"{i}", ours=0.88, twin=0.87) for i in range(9)]
    rows.append(row("far", ours=0.35, twin=0.1912, sd=0.211))
    figure = comparison_plots.ladder(rows, "a title")
    (axes,) = figure.axes
    assert axes.get_xlim()[0] > 60
    assert [text.get_text() for text in axes.texts] == ["← 35.00 ± 21.10", "← 19.12"]
    assert [round(text.xy[1]) for text in axes.texts] == [9, 9]
    assert len(marks(figure, "o")) == 9 and len(marks(figure, "s")) == 9
    assert axes.get_xlabel().endswith("; ←: further to the left)")
    assert not seen.colliding(figure)


def test_ones_own_runs_in_the_ladder_are_filled_differently():
    rows = [
        row("a", 0.9, 0.89, 0.88, ours_yours=True, twin_yours=False),
        row("b", 0.9, 0.89, 0.88, ours_yours=False, twin_yours=True),
        row("c", ours=0.87),
    ]
    figure = comparison_plots.ladder(rows, "a title")
    yours, committed = comparison_plots.YOURS, comparison_plots.FIRST
    assert [fill for _, fill in marks(figure, "o")] == [yours, committed, committed]
    assert [fill for _, fill in marks(figure, "s")] == [comparison_plots.SECOND, yours]
    assert [fill for _, fill in marks(figure, "D")] == ["none", "none"]
    assert labels(figure) == [
        "published",
        "Keras, yours",
        "Keras, ours",
        "PyTorch twin",
        "PyTorch twin, yours",
    ]


@pytest.mark.parametrize("n", [0, 1, 30])
def test_long_names_of_recipes_fit_into_the_ladder(n):
    rows = [row(f"a-recipe-with-a-very-long-name-that-goes-on-{i}", 0.9, 0.89) for i in range(n)]
    figure = comparison_plots.ladder(rows, 4 * "a long title ")
    assert not seen.cut(figure) and not seen.colliding(figure)
    assert figure.axes[0].bbox.width > 500


CLASSES = ("T-shirt/top", "Trouser", "Pullover")


def test_disagreements_are_grouped_by_who_is_right():
    y = np.array([0, 1, 2, 0, 1])
    answers = {"cnn, seed 0": np.array([0, 1, 0, 0, 0]), "mlp": np.array([1, 1, 2, 2, 2])}
    x = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    figure = comparison_plots.disagreements(x, y, answers, CLASSES, "where two runs disagree")
    key, *parts = figure.subfigs
    assert [text.get_text().split(" (")[0] for text in key.legends[0].get_texts()] == list(answers)
    found = {}
    for part in parts:
        for axes in part.axes:
            if axes.images:
                said = [(text.get_text(), text.get_color()) for text in axes.texts]
                index = int(axes.images[0].get_array()[0, 0])
                found[index] = (part.get_suptitle(), axes.get_title(), said)
    first, second = comparison_plots.FIRST, comparison_plots.DARK
    only_cnn, only_mlp = "Only cnn, seed 0 is right: 2 images", "Only mlp is right: 1 image"
    wrong = "Both are wrong, in different ways: 1 image"
    top, trouser, pullover = CLASSES
    assert found == {
        0: (only_cnn, f"true: {top}", [(f"✓ {top}", first), (f"✗ {trouser}", second)]),
        3: (only_cnn, f"true: {top}", [(f"✓ {top}", first), (f"✗ {pullover}", second)]),
        2: (only_mlp, f"true: {pullover}", [(f"✗ {top}", first), (f"✓ {pullover}", second)]),
        4: (wrong, f"true: {trouser}", [(f"✗ {top}", first), (f"✗ {pullover}", second)]),
    }
    squares = [to_rgba(handle.get_color()) for handle in key.legends[0].legend_handles]
    assert squares == [to_rgba(first), to_rgba(second)]


@pytest.mark.long(only=True)
@pytest.mark.parametrize("images", [1, 7, 200])
@pytest.mark.parametrize("name", ["{}", "a class with quite a long name, number {}"])
def test_nothing_in_disagreements_is_cut(images, name):
    random = np.random.default_rng(0)
    y = random.integers(0, 3, images)
    answers = {LONG: y.copy(), f"{LONG} (2)": (y + 1) % 3}
    answers[LONG][::3] = (y[::3] + 2) % 3
    classes = [name.format(i) for i in range(3)]
    x = np.zeros((images, 28, 28), np.uint8)
    figure = comparison_plots.disagreements(x, y, answers, classes, f"{LONG} {LONG} {LONG}")
    assert not seen.cut(figure) and not seen.colliding(figure) and not seen.collapsed(figure)
    groups = figure.subfigs[1:]
    shown = [sum(bool(axes.images) for axes in group.axes) for group in groups]
    assert max(shown) <= comparison_plots.SHOWN


def histories(*lengths):
    metrics = ("loss", "val_loss", "accuracy", "val_accuracy")
    return [{name: list(np.linspace(1, 0.5, n)) for name in metrics} for n in lengths]


def test_curves_have_the_names_of_the_runs_and_a_single_epoch_is_seen():
    named = dict(zip(("cnn, seed 0", LONG), histories(1, 30)))
    figure = comparison_plots.curves(named, f"MNIST: {LONG} and {LONG}")
    assert [label.replace("\n", "") for label in labels(figure)] == [
        "cnn, seed 0, train",
        "cnn, seed 0, validation",
        f"{LONG}, train",
        f"{LONG}, validation",
    ]
    for axes in figure.axes:
        lengths = [len(line.get_xdata()) for line in axes.lines]
        assert lengths == [1, 1, 30, 30]
        assert [line.get_marker() for line in axes.lines[:2]] == ["o", "o"]
        assert axes.get_xlim()[0] <= 0.5
    assert not seen.cut(figure) and not seen.colliding(figure)


@pytest.mark.parametrize(
    ("penalised", "said"),
    [((), ""), (("one",), "only one with the L2 penalty"), (("one", LONG), "both with the L2")],
)
def test_losses_with_penalties_are_told_from_others(penalised, said):
    named = dict(zip(("one", LONG), histories(3, 30)))
    figure = comparison_plots.curves(named, "MNIST", penalised)
    assert figure.axes[0].get_title(loc="left").startswith(said)
    assert not figure.axes[1].get_title(loc="left")


def test_every_curve_of_a_grid_is_seen():
    """Of a training that does not learn, all losses are above 1."""
    one, other = histories(20, 20)
    other |= {"loss": [2.0 + 0.1 * i for i in range(20)], "val_loss": [30.0] * 20}
    never = one | {"loss": [np.nan] * 20, "val_loss": [np.inf] * 20}
    figure = comparison_plots.grid([[("a", one), ("b", other), ("c", never)]], "Lab 4")
    seen.drawn(figure)
    for axes, curves in zip(figure.axes, (4, 4, 2)):
        inside = [line for line in axes.lines if _is_inside(axes, line)]
        assert len(inside) == curves
    assert [text.get_text() for text in figure.axes[2].texts] == ["no loss is finite"]
    assert not seen.cut(figure) and not seen.colliding(figure)
    assert "logarithmic above 1" in figure.get_suptitle()
    assert "logarithmic" not in comparison_plots.grid([[("a", one)]], "Lab 4")._suptitle.get_text()


def _is_inside(axes, line):
    """Return whether all finite points of a line, of which there are some, are within the axes."""
    points = axes.transData.transform(line.get_xydata())
    points = points[np.isfinite(points).all(axis=1)]
    box = axes.bbox
    within = (points[:, 1] >= box.y0 - 1) & (points[:, 1] <= box.y1 + 1)
    return len(points) > 0 and bool(within.all())


def test_a_grid_without_some_of_its_trainings_is_drawn():
    one, other = histories(20, 20)
    cells = [[("a", one), ("b", None)], [("c", None), (LONG, other)]]
    figure = comparison_plots.grid(cells, "Fashion-MNIST: the grid of Lab 4")
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", LONG]
    assert [bool(axes.lines) for axes in figure.axes] == [True, False, False, True]
    assert labels(figure) == ["accuracy, train", "accuracy, test", "loss, train", "loss, test"]
    assert not seen.cut(figure) and not seen.colliding(figure)
