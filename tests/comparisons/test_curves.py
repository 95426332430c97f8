"""Whole trainings, published and ours: how far they are apart, and the published ones."""

import numpy as np
import pytest

from shared_keras.comparisons import curves
from shared_keras.data import own_data
from shared_keras.reporting.pictures.curve_plots import Beside, stack
from shared_keras.results import published
from tests.conftest import FASHION, MNIST, TASKS

METRIC = "val_accuracy"


def seeds(*rows):
    return [{METRIC: list(row)} for row in rows]


def test_the_largest_distance_in_points_and_in_deviations():
    ours = seeds((0.5, 0.7, 0.80), (0.7, 0.7, 0.82))  # means 0.6, 0.7, 0.81; sds 0.14, 0, 0.014
    how = curves.apart(seeds((0.7, 0.7, 0.86)), ours, METRIC)
    assert (how.most, how.at) == (pytest.approx(0.1), 1)
    assert (how.distance, how.epoch) == (pytest.approx(0.05), 3)
    assert how.sds == pytest.approx(0.05 / np.std([0.8, 0.82], ddof=1))
    assert str(how) == (
        "val_accuracy at most 10.00 points (epoch 1), at most 3.5 sd (epoch 3, 5.00 points)"
    )


def test_both_in_one_epoch_are_said_once():
    ours = seeds((0.5, 0.80), (0.5, 0.82))
    assert str(curves.apart(seeds((0.5, 0.86)), ours, METRIC)) == (
        "val_accuracy at most 5.00 points, 3.5 sd (epoch 2)"
    )
    losses = [{"val_loss": [0.5]}, {"val_loss": [0.6]}]
    assert str(curves.apart([{"val_loss": [0.75]}], losses, "val_loss")) == (
        "val_loss at most 0.2000, 2.8 sd (epoch 1)"
    )


def test_single_runs_have_no_deviation():
    how = curves.apart(seeds((0.5, 0.6)), seeds((0.5, 0.7)), METRIC)
    assert how.sds is None and str(how) == "val_accuracy at most 10.00 points (epoch 2)"
    assert curves.apart(seeds((0.5,)), [], METRIC) is None
    assert curves.apart(seeds((0.5,)), seeds((0.5,)), "val_loss") is None


def test_our_own_seeds_are_the_yardstick():
    """Each of five seeds against the other four."""
    values = (0.5, 0.6, 0.65, 0.7, 0.8)
    ours = [{METRIC: [v], "val_loss": [v]} for v in values]
    training = Beside("a", {METRIC: [0.9], "val_loss": [0.9]}, ours)
    others = {v: [other for other in values if other != v] for v in values}
    far = [abs(v - np.mean(rest)) / np.std(rest, ddof=1) for v, rest in others.items()]
    accuracy, loss = curves.how_far(training)
    assert accuracy.endswith(f"; one seed of ours: {min(far):.1f} to {max(far):.1f} sd")
    assert loss.startswith("val_loss at most 0.2500, ")
    assert "one seed" not in curves.how_far(training._replace(ours=ours[:4]))[0]


def test_two_groups_share_their_deviation_and_only_common_epochs_count():
    a, b = seeds((0.5, 0.9), (0.7, 0.9)), seeds((0.9,), (0.9,))
    how = curves.apart(a, b, METRIC)
    both = np.sqrt((np.var([0.5, 0.7], ddof=1) + 0) / 2)
    assert how.at == how.epoch == 1 and how.sds == pytest.approx(0.3 / both)


def test_seeds_that_stopped_earlier_do_not_count_later():
    mean, sd, n = stack([[1.0, 3.0, 5.0], [3.0, 5.0], [5.0]])
    assert mean.tolist() == [3, 4, 5] and n.tolist() == [3, 2, 1]
    assert sd[:2] == pytest.approx([2, np.sqrt(2)]) and np.isnan(sd[2])


def test_published_trainings():
    """Epochs, and the scores of the epoch that was kept, which the recipes have, too."""
    facts = {
        ("fashion", "precision"): (10, 10),
        ("fashion", "precision-early-stopping"): (16, 1),
        ("fashion", "accuracy"): (20, 18),
        ("fashion", "regularized"): (20, 19),
        ("mnist", "regularized"): (15, 15),
    }
    found = {(task.name, name): task for task in TASKS for name in published.recipes(task)}
    assert set(found) == set(facts)
    for (_, name), task in found.items():
        epochs, kept = facts[task.name, name]
        curve = published.curve(task, name)
        assert {len(values) for values in curve.values()} == {epochs}
        assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(curve)
        scores = task.recipes[name].published
        assert curve["val_accuracy"][kept - 1] == pytest.approx(scores["val_accuracy"])
    best = published.curve(FASHION, "precision-early-stopping")["val_precision"]
    assert best[0] == max(best) == 1.0


def test_nothing_is_published_of_other_images(small_dirs):
    own = own_data.task_of(MNIST, str(small_dirs["mnist"]))
    assert own.own and published.curve(own, "regularized") is None
    assert published.curve(MNIST, "dense") is None
